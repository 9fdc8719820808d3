"""Polygons to the part of each pixel that they cover."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit, types

if TYPE_CHECKING:
    from voxeldose._compiled.arrays import Doubles, Integers

__all__ = ["fill", "fill_united", "shared_area"]


_edges = types.Array(types.float64, 2, "C", readonly=True)
_plane = types.Array(types.float64, 2, "C")
_numbers = types.Array(types.int64, 1, "C", readonly=True)


@njit(cache=True, nogil=True)
def _crossings(edges: Doubles, first: int, last: int, y: float, crossings: Doubles) -> int:
    """Write where the edges from ``first`` to ``last`` cross the line at ``y``, rising; how many there are."""
    count = 0
    for n in range(first, last):
        y0, y1 = edges[n, 1], edges[n, 3]
        if (y0 <= y) != (y1 <= y):
            crossings[count] = edges[n, 0] + (y - y0) / (y1 - y0) * (edges[n, 2] - edges[n, 0])
            count += 1
    crossings[:count].sort()
    return count


@njit(cache=True, nogil=True)
def _cover(row: Doubles, start: float, stop: float, share: float) -> None:
    """Add ``share`` of each pixel's part between two places of its row, in pixels from the edge of the first."""
    left = min(max(start, 0.0), float(row.size))
    right = min(max(stop, 0.0), float(row.size))
    first, last = int(left), int(right)
    if first == last:
        if first < row.size:
            row[first] += (right - left) * share
        return
    row[first] += (first + 1 - left) * share
    for i in range(first + 1, last):
        row[i] += share
    if last < row.size:
        row[last] += (right - last) * share


@njit(types.void(_edges, types.int64, _plane), cache=True, nogil=True)
def fill(edges: Doubles, rows_a_pixel: int, covered: Doubles) -> None:
    """Add to ``covered`` (nj, ni) the part of each pixel inside the polygons, by the even-odd rule over all edges.

    ``edges`` (n, 4) float64 holds x₀, y₀, x₁, y₁ in pixels (integer = pixel centre), every polygon closed. Coverage is
    exact along a row and taken at ``rows_a_pixel`` lines within each pixel.
    """
    share = 1.0 / rows_a_pixel
    crossings = np.empty(edges.shape[0])
    for line in range(covered.shape[0] * rows_a_pixel):
        y = (line + 0.5) / rows_a_pixel - 0.5
        count = _crossings(edges, 0, edges.shape[0], y, crossings)
        for n in range(0, count - 1, 2):  # a pixel spans one half below its centre to one half above
            _cover(covered[line // rows_a_pixel], crossings[n] + 0.5, crossings[n + 1] + 0.5, share)


@njit(types.void(_edges, _numbers, types.int64, _plane), cache=True, nogil=True)
def fill_united(edges: Doubles, starts: Integers, rows_a_pixel: int, covered: Doubles) -> None:
    """As :func:`fill`, for several polygons whose union counts; each by the even-odd rule over its own edges.

    ``starts`` (polygons + 1,) int64 says where the edges of each polygon begin, and where the last ends.
    """
    share = 1.0 / rows_a_pixel
    crossings = np.empty(edges.shape[0])
    begins, ends = np.empty(edges.shape[0]), np.empty(edges.shape[0])
    for line in range(covered.shape[0] * rows_a_pixel):
        y = (line + 0.5) / rows_a_pixel - 0.5
        spans = 0
        for polygon in range(starts.size - 1):
            count = _crossings(edges, starts[polygon], starts[polygon + 1], y, crossings)
            for n in range(0, count - 1, 2):
                begins[spans], ends[spans] = crossings[n], crossings[n + 1]
                spans += 1
        order = np.argsort(begins[:spans])
        reached = -np.inf
        for n in order:
            if ends[n] > reached:
                _cover(covered[line // rows_a_pixel], max(begins[n], reached) + 0.5, ends[n] + 0.5, share)
                reached = ends[n]


@njit(types.UniTuple(types.float64, 2)(_edges, _edges, types.int64), cache=True, nogil=True)
def shared_area(edges: Doubles, others: Doubles, lines: int) -> tuple[float, float]:
    """Area of one polygon, and the part of it inside another, each by the even-odd rule; in the unit of the edges squared.

    Exact along ``lines`` rows, evenly spread over the height of the first.
    """
    low, high = edges[:, 1].min(), edges[:, 1].max()
    step = (high - low) / lines
    first, second = np.empty(edges.shape[0]), np.empty(others.shape[0])
    own, shared = 0.0, 0.0
    for line in range(lines):
        y = low + (line + 0.5) * step
        ones = _crossings(edges, 0, edges.shape[0], y, first)
        twos = _crossings(others, 0, others.shape[0], y, second)
        for n in range(0, ones - 1, 2):
            own += first[n + 1] - first[n]
            for m in range(0, twos - 1, 2):
                shared += max(0.0, min(first[n + 1], second[m + 1]) - max(first[n], second[m]))
    return own * step, shared * step
