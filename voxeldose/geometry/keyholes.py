"""Polygons with holes as one closed contour each, for readers that know no even-odd rule.

Every hole is joined to what lies around it by a channel of no width, which the contour passes once in each direction: the
area stays that of the polygon by the even-odd rule, by the winding rule and by the sum of signed triangles alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.model.arrays import Doubles

__all__ = ["Polygon", "keyholed"]


class Polygon(NamedTuple):
    """An outline (n, 2), anticlockwise, and the outlines of its holes, clockwise; first points are not repeated."""

    outer: Doubles
    holes: tuple[Doubles, ...] = ()


class _Channel(NamedTuple):
    """From a vertex of the contour to one of a hole that is not joined yet."""

    length: float
    start: Doubles
    hole: int
    vertex: int


def keyholed(polygon: Polygon) -> Doubles:
    """One closed contour (n, 2) that encloses what the polygon encloses.

    The hole that is nearest to the contour so far is joined first, by the shortest channel between two vertices that meets
    neither an outline nor an earlier channel.
    """
    contour, edges = polygon.outer, np.concatenate([_edges(r) for r in (polygon.outer, *polygon.holes)])
    nearest = _shortest(contour, dict(enumerate(polygon.holes)))
    while nearest:
        channel = min(nearest.values(), key=lambda c: c.length)
        if _is_blocked(channel, polygon.holes, edges):
            channel = _shortest_free(contour, {n: polygon.holes[n] for n in nearest}, edges) or channel
        hole = polygon.holes[channel.hole]
        contour = _joined(contour, hole, channel)
        edges = np.concatenate([edges, [[channel.start, hole[channel.vertex]]]])
        del nearest[channel.hole]
        for n, other in _shortest(hole, {n: polygon.holes[n] for n in nearest}).items():
            nearest[n] = min(nearest[n], other, key=lambda c: c.length)
    return contour


def _edges(ring: Doubles) -> Doubles:
    """Both ends of every edge, (n, 2, 2)."""
    return np.stack([ring, np.roll(ring, -1, axis=0)], axis=1)


def _shortest(ring: Doubles, holes: dict[int, Doubles]) -> dict[int, _Channel]:
    """The shortest channel from any vertex of a ring to each hole, with nothing looked at between."""
    from scipy.spatial import cKDTree

    tree, channels = cKDTree(ring), {}
    for n, hole in holes.items():
        distance, index = (np.asarray(found) for found in tree.query(hole))
        vertex = int(np.argmin(distance))
        channels[n] = _Channel(float(distance[vertex]), ring[int(index[vertex])], n, vertex)
    return channels


def _shortest_free(contour: Doubles, holes: dict[int, Doubles], edges: Doubles) -> _Channel | None:
    """The shortest channel that meets no edge; a polygon without crossings always has one."""
    numbers = np.concatenate([np.full(len(h), n) for n, h in holes.items()])
    vertices = np.concatenate([np.arange(len(h)) for h in holes.values()])
    points = np.concatenate(list(holes.values()))
    apart = np.linalg.norm(contour[:, None] - points[None], axis=-1).ravel()
    for pair in np.argsort(apart, kind="stable"):
        start, end = divmod(int(pair), len(points))
        channel = _Channel(float(apart[pair]), contour[start], int(numbers[end]), int(vertices[end]))
        if not _crosses(contour[start], points[end], edges):
            return channel
    return None


def _is_blocked(channel: _Channel, holes: Sequence[Doubles], edges: Doubles) -> bool:
    return _crosses(channel.start, holes[channel.hole][channel.vertex], edges)


def _crosses(start: Doubles, end: Doubles, edges: Doubles) -> bool:
    """Whether the line from ``start`` to ``end`` meets an edge elsewhere than in a vertex that both share."""
    first, last = edges[:, 0], edges[:, 1]
    low, high = np.minimum(start, end), np.maximum(start, end)
    near = ((np.maximum(first, last) >= low) & (np.minimum(first, last) <= high)).all(axis=1)
    shared = [(p == q).all(axis=1) for p in (first, last) for q in (start, end)]
    first, last = first[near & ~np.any(shared, axis=0)], last[near & ~np.any(shared, axis=0)]
    across = _turn(start, end, first) * _turn(start, end, last)
    along = _turn(first, last, start) * _turn(first, last, end)
    return bool(((across <= 0) & (along <= 0)).any())


def _turn(origin: Doubles, end: Doubles, point: Doubles) -> Doubles:
    """Twice the area of each triangle; above zero where ``point`` lies on the left of ``origin`` to ``end``."""
    one, other = end - origin, point - origin
    return np.asarray(one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0])


def _joined(contour: Doubles, hole: Doubles, channel: _Channel) -> Doubles:
    """The contour, at the channel's start out to the hole, once round it and back."""
    at = _place(contour, channel.start, hole[channel.vertex])
    around = np.roll(hole, -channel.vertex, axis=0)
    if channel.length == 0:  # the two touch: no channel to go back through
        return np.concatenate([contour[: at + 1], around[1:], contour[at : at + 1], contour[at + 1 :]])
    return np.concatenate([contour[: at + 1], around, around[:1], contour[at:]])


def _place(contour: Doubles, start: Doubles, end: Doubles) -> int:
    """Where the contour is left: of several visits to one point, that with ``end`` on the inside, which is its left."""
    visits = np.flatnonzero((contour == start).all(axis=1))
    for at in visits:
        outgoing = contour[(at + 1) % len(contour)] - start
        incoming, wanted = contour[at - 1] - start, end - start
        ahead = np.arctan2(outgoing[1], outgoing[0])
        if (np.arctan2(wanted[1], wanted[0]) - ahead) % (2 * np.pi) <= (
            np.arctan2(incoming[1], incoming[0]) - ahead
        ) % (2 * np.pi):
            return int(at)
    return int(visits[0])
