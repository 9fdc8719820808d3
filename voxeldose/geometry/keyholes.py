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

    start: Doubles
    hole: int
    vertex: int


def keyholed(polygon: Polygon) -> Doubles:
    """One closed contour (n, 2) that encloses what the polygon encloses.

    The hole that is nearest to the contour so far is joined first, by the shortest channel between two vertices that meets
    neither an outline nor an earlier channel.
    """
    contour = polygon.outer
    if not polygon.holes:
        return contour
    edges = np.concatenate([_edges(r) for r in (contour, *polygon.holes)])
    open_ = _OpenHoles(polygon.holes, contour)
    while open_.is_any_left:
        channel = open_.shortest()
        if _crosses(channel.start, polygon.holes[channel.hole][channel.vertex], edges):
            channel = open_.shortest_free(contour, edges) or channel
        hole = polygon.holes[channel.hole]
        contour = _joined(contour, hole, channel)
        edges = np.concatenate([edges, [[channel.start, hole[channel.vertex]]]])
        open_.close(channel.hole)
    return contour


class _OpenHoles:
    """The vertices of holes that are not joined yet, and the nearest vertex of the contour to each."""

    def __init__(self, holes: Sequence[Doubles], contour: Doubles) -> None:
        self._holes = holes
        self._points = np.concatenate(list(holes))
        self._hole_of = np.concatenate([np.full(len(h), n) for n, h in enumerate(holes)])
        self._vertex_of = np.concatenate([np.arange(len(h)) for h in holes])
        self._nearest = np.zeros_like(self._points)
        self._apart = np.full(len(self._points), np.inf)
        self._is_open = np.ones(len(self._points), bool)
        self._approach(contour)

    @property
    def is_any_left(self) -> bool:
        return bool(self._is_open.any())

    def _approach(self, ring: Doubles) -> None:
        """Take a ring's vertices into account, now that they are the contour's."""
        from scipy.spatial import cKDTree

        left = np.flatnonzero(self._is_open)
        apart, index = (np.asarray(found) for found in cKDTree(ring).query(self._points[left]))
        nearer = apart < self._apart[left]
        self._apart[left[nearer]], self._nearest[left[nearer]] = apart[nearer], ring[index[nearer]]

    def shortest(self) -> _Channel:
        """The shortest channel, whatever lies between."""
        end = int(np.argmin(np.where(self._is_open, self._apart, np.inf)))
        return _Channel(self._nearest[end], int(self._hole_of[end]), int(self._vertex_of[end]))

    def shortest_free(self, contour: Doubles, edges: Doubles) -> _Channel | None:
        """The shortest channel that meets no edge; a polygon without crossings always has one."""
        left = np.flatnonzero(self._is_open)
        apart = np.linalg.norm(contour[:, None] - self._points[left][None], axis=-1)
        for pair in np.argsort(apart, axis=None, kind="stable"):
            start, end = contour[pair // left.size], left[pair % left.size]
            if not _crosses(start, self._points[end], edges):
                return _Channel(start, int(self._hole_of[end]), int(self._vertex_of[end]))
        return None

    def close(self, hole: int) -> None:
        """A hole is joined: its outline is the contour's."""
        self._is_open[self._hole_of == hole] = False
        if self.is_any_left:
            self._approach(self._holes[hole])


def _edges(ring: Doubles) -> Doubles:
    """Both ends of every edge, (n, 2, 2)."""
    return np.stack([ring, np.roll(ring, -1, axis=0)], axis=1)


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
    if (channel.start == around[0]).all():  # the two touch: no channel to go back through
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
