"""Closed curves of one plane: which are the same, which lie in one another, and which overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.model.arrays import Doubles, Integers

__all__ = ["SAME_CURVE_MM", "Shapes", "edges_of", "repeated_loops", "united_shapes"]

#: Curves that stay within this of each other all the way round are one; so much may one pass over another in touching it.
SAME_CURVE_MM = 0.1
#: Rows on which the shared area of two curves is measured.
ROWS = 128
#: A part of a small curve's own area that always counts as touching at most.
TOUCHING_PART = 0.05


class Shapes(NamedTuple):
    """Polygons whose union counts: their edges (n, 4), where each polygon's edges start, and how many pairs overlap."""

    edges: Doubles
    starts: Integers
    overlaps: int


def edges_of(loops: Sequence[Doubles]) -> Doubles:
    """The edges x₀, y₀, x₁, y₁ of closed curves (n, 2), as (n, 4) in C order."""
    return np.ascontiguousarray(np.concatenate([np.hstack([c, np.roll(c, -1, axis=0)]) for c in loops]))


def repeated_loops(loops: Sequence[Doubles]) -> list[int]:
    """The numbers of the curves (n, 3) that are there already, from whichever point and in whichever direction.

    A curve is repeated if it stays within 0.1 mm of an earlier one all the way round, and that one of it: a first point
    that is given again at the end, or more points on a straight edge, make no difference.
    """
    from scipy.spatial import cKDTree

    boxes = np.array([np.concatenate([c.min(axis=0), c.max(axis=0)]) for c in loops]).reshape(-1, 6)
    pairs = cKDTree(boxes).query_pairs(SAME_CURVE_MM, p=np.inf, output_type="ndarray")
    gone: set[int] = set()
    for one, other in pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))].tolist():
        if one not in gone and other not in gone and _is_near(loops[one], loops[other]):
            gone.add(other)
    return sorted(gone)


def _is_near(one: Doubles, other: Doubles) -> bool:
    """Whether each of two closed curves stays near the other."""
    from scipy.spatial import cKDTree

    for curve, along in ((one, other), (other, one)):
        apart = np.asarray(cKDTree(_with_points_between(along)).query(curve)[0])
        if apart.max() > SAME_CURVE_MM:
            return False
    return True


def _with_points_between(loop: Doubles) -> Doubles:
    """A closed curve with points so near that the one nearest to a point stands for the curve itself."""
    step = SAME_CURVE_MM / 4
    ahead = np.roll(loop, -1, axis=0) - loop
    counts = np.maximum(1, np.ceil(np.linalg.norm(ahead, axis=1) / step).astype(np.int64))
    start = np.repeat(np.arange(len(loop)), counts)
    part = (np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)) / np.repeat(counts, counts)
    return np.asarray(loop[start] + part[:, None] * ahead[start])


def united_shapes(loops: Sequence[Doubles], size_mm: float) -> Shapes:
    """Polygons that enclose what the curves of a plane mean.

    Curves that lie in one another are outlines, holes, islands in holes and so on. Each outline and island with its holes
    is a polygon of its own, and a curve that overlaps another in part is cut out of nothing.

    Parameters
    ----------
    loops : sequence of ndarray, (n, 2)
        In pixels.
    size_mm : float
        Of a pixel.
    """
    inside, overlaps = _relations(loops, size_mm)
    depths = _depths(inside)
    polygons: list[list[Doubles]] = []
    for outer in np.flatnonzero(depths % 2 == 0).tolist():
        within = np.flatnonzero((depths % 2 == 1) & inside[:, outer])
        holes = [n for n in within.tolist() if not inside[n, within].any()]
        polygons.append([loops[outer], *(loops[n] for n in holes)])
    edges = [edges_of(polygon) for polygon in polygons]
    starts = np.cumsum([0, *(len(e) for e in edges)], dtype=np.int64)
    return Shapes(np.ascontiguousarray(np.concatenate(edges)), starts, overlaps)


def _relations(loops: Sequence[Doubles], size_mm: float) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.bool_]], int]:
    """Whether the first of two curves lies in the second, for all pairs; and how many pairs overlap only in part."""
    from voxeldose._compiled.contours import shared_area

    inside = np.zeros((len(loops), len(loops)), bool)
    overlaps = 0
    low, high = np.array([c.min(axis=0) for c in loops]), np.array([c.max(axis=0) for c in loops])
    edges = [edges_of([c]) for c in loops]
    sizes = np.array([_area(c) for c in loops])
    rising = np.argsort(sizes, kind="stable")
    for rank, small in enumerate(rising[:-1].tolist()):
        larger = rising[rank + 1 :]
        for large in larger[((low[small] < high[larger]) & (high[small] > low[larger])).all(axis=1)].tolist():
            own, shared = shared_area(edges[small], edges[large], ROWS)
            around = float(np.linalg.norm(np.roll(loops[small], -1, axis=0) - loops[small], axis=1).sum())
            touching = min(SAME_CURVE_MM / size_mm * around, TOUCHING_PART * own)
            # two that are nearly the same lie out of each other by as much: none is a hole in the other
            if own - shared <= min(touching, max(sizes[large] - shared, 0) / 4):
                inside[small, large] = True
            elif shared > touching:
                overlaps += 1
    return inside, overlaps


def _area(loop: Doubles) -> float:
    """Area of a closed curve (n, 2) by the shoelace formula, whichever way it runs; keyholes count as they should."""
    ahead = np.roll(loop, -1, axis=0)
    return float(abs((loop[:, 0] * ahead[:, 1] - loop[:, 1] * ahead[:, 0]).sum())) / 2


def _depths(inside: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> Integers:
    """How many curves lie around each one, one in another: 0 for an outline, 1 for its holes, 2 for islands in them."""
    depths = np.full(len(inside), -1, np.int64)
    for n in np.argsort(inside.sum(axis=1), kind="stable"):  # those around a curve come first
        around = np.flatnonzero(inside[n])
        innermost = [m for m in around if not (inside[around, m] & (around != m)).any()]
        depths[n] = max((depths[m] + 1 for m in innermost), default=0)
    return depths
