"""The exact volume that the voxels of one grid share with those of another, whatever their directions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit, prange

if TYPE_CHECKING:
    from voxeldose._compiled.arrays import Doubles, Floats, Integers

__all__ = ["gather"]


#: A face has four corners; each of the six planes that cut it to a cell may add one.
_MOST = 12


@njit(cache=True, nogil=True)
def _cut(points: Doubles, count: int, axis: int, level: float, above: bool, out: Doubles) -> int:
    """Write the part of a convex polygon (n, 3) above or below ``level`` along ``axis`` into ``out``; return its corners."""
    found = 0
    for n in range(count):
        m = n + 1 if n + 1 < count else 0
        here, there = points[n, axis] - level, points[m, axis] - level
        if not above:
            here, there = -here, -there
        if here >= 0:
            for a in range(3):
                out[found, a] = points[n, a]
            found += 1
        if (here > 0 and there < 0) or (here < 0 and there > 0):
            part = here / (here - there)
            for a in range(3):
                out[found, a] = points[n, a] + part * (points[m, a] - points[n, a])
            out[found, axis] = level
            found += 1
    return found


@njit(cache=True, nogil=True)
def _add_piece(points: Doubles, count: int, place: Doubles, sums: Doubles) -> None:
    """Add to ``sums`` (7) the integrals over the polygon, seen along k, of h, h²/2, j h, i h, 1, j and i.

    h is the height above the cell's floor, j and i are counted from the cell's centre (``place``: floor, j, i). The
    midpoint rule on the edges of each triangle is exact for these (degree 2).
    """
    for n in range(1, count - 1):
        dj1, di1 = points[n, 1] - points[0, 1], points[n, 2] - points[0, 2]
        dj2, di2 = points[n + 1, 1] - points[0, 1], points[n + 1, 2] - points[0, 2]
        third = (dj1 * di2 - di1 * dj2) / 6.0
        for edge in range(3):
            one = 0 if edge < 2 else n
            two = n if edge == 0 else n + 1
            h = 0.5 * (points[one, 0] + points[two, 0]) - place[0]
            j = 0.5 * (points[one, 1] + points[two, 1]) - place[1]
            i = 0.5 * (points[one, 2] + points[two, 2]) - place[2]
            sums[0] += third * h
            sums[1] += third * 0.5 * h * h
            sums[2] += third * j * h
            sums[3] += third * i * h
            sums[4] += third
            sums[5] += third * j
            sums[6] += third * i


@njit(cache=True, nogil=True)
def _span(points: Doubles, count: int, axis: int) -> tuple[int, int]:
    """First and one past the last cell along ``axis`` that the points touch."""
    low, high = points[0, axis], points[0, axis]
    for n in range(1, count):
        low, high = min(low, points[n, axis]), max(high, points[n, axis])
    first = int(np.floor(low + 0.5))
    return first, max(first + 1, int(np.ceil(high + 0.5)))


@njit(cache=True, nogil=True)
def _integrate(corners: Doubles, faces: Integers, lowest: int, values: Floats, work: Doubles, result: Doubles) -> None:
    """Write into ``result`` (4) the integral over one new voxel of the values, and of values times k, j and i.

    ``corners`` (8, 3) are its corners in cells of ``values``, ``lowest`` the first cell along k that it may touch.

    By the divergence theorem: the volume of the body in a cell is the integral of the height above the cell's floor over
    the body's faces in that cell, and of 1 over its faces above it.
    """
    result[:] = 0.0
    nk, nj, ni = values.shape
    place, sums = np.zeros(3), np.zeros(7)
    for f in range(6):
        for n in range(4):
            for a in range(3):
                work[0, n, a] = corners[faces[f, n], a]
        first_i, last_i = _span(work[0], 4, 2)
        for i in range(max(first_i, 0), min(last_i, ni)):
            c = _cut(work[0], 4, 2, i - 0.5, True, work[1])
            c = _cut(work[1], c, 2, i + 0.5, False, work[2])
            if c < 3:
                continue
            first_j, last_j = _span(work[2], c, 1)
            for j in range(max(first_j, 0), min(last_j, nj)):
                d = _cut(work[2], c, 1, j - 0.5, True, work[1])
                d = _cut(work[1], d, 1, j + 0.5, False, work[3])
                if d < 3:
                    continue
                first_k, last_k = _span(work[3], d, 0)
                for k in range(max(first_k, 0), last_k):
                    e = _cut(work[3], d, 0, k - 0.5, True, work[1])
                    e = _cut(work[1], e, 0, k + 0.5, False, work[4])
                    if e < 3:
                        continue
                    place[0], place[1], place[2] = k - 0.5, j, i
                    sums[:] = 0.0
                    _add_piece(work[4], e, place, sums)
                    if k < nk:
                        value = values[k, j, i]
                        if value != 0:
                            result[0] += value * sums[0]
                            result[1] += value * (sums[1] + (k - 0.5) * sums[0])
                            result[2] += value * (sums[2] + j * sums[0])
                            result[3] += value * (sums[3] + i * sums[0])
                    for below in range(lowest, min(k, nk)):
                        value = values[below, j, i]
                        if value != 0:
                            result[0] += value * sums[4]
                            result[1] += value * sums[4] * below
                            result[2] += value * (sums[5] + j * sums[4])
                            result[3] += value * (sums[6] + i * sums[4])


@njit(cache=True, nogil=True)
def _same(values: Floats, low: Integers, high: Integers) -> bool:
    """Whether all cells from ``low`` to before ``high`` hold one value; cells outside the array hold 0."""
    nk, nj, ni = values.shape
    k0, k1 = max(low[0], 0), min(high[0], nk)
    j0, j1 = max(low[1], 0), min(high[1], nj)
    i0, i1 = max(low[2], 0), min(high[2], ni)
    if k0 >= k1 or j0 >= j1 or i0 >= i1:
        return True
    cut = low[0] < 0 or low[1] < 0 or low[2] < 0 or high[0] > nk or high[1] > nj or high[2] > ni
    first = values[k0, j0, i0]
    if cut and first != 0:
        return False
    for k in range(k0, k1):
        for j in range(j0, j1):
            for i in range(i0, i1):
                if values[k, j, i] != first:
                    return False
    return True


@njit(cache=True, nogil=True, parallel=True)
def gather(values: Floats, matrix: Doubles, offset: Doubles, mean: Doubles, moments: Doubles) -> None:
    """Write the mean of ``values`` over each voxel of another grid, and its first moments.

    ``values`` (nk, nj, ni) float32 fill their cells evenly and are 0 outside. ``matrix`` (3, 3) and ``offset`` (3,) take an
    index of the new grid to one of the old. ``mean`` (mk, mj, mi) float64; ``moments`` (3, mk, mj, mi) is the mean of the
    value times the place, in new voxels from the new voxel's centre. Exact up to rounding.
    """
    mk, mj, mi = mean.shape
    det = np.linalg.det(matrix)
    back = np.linalg.inv(matrix)
    faces = np.empty((6, 4), np.int64)
    for axis in range(3):
        one, two, three = 4 >> axis, 4 >> (axis + 1) % 3, 4 >> (axis + 2) % 3
        for side in range(2):
            ring = (0, two, two + three, three)
            for n in range(4):
                turned = n if (side == 1) == (det > 0) else 3 - n
                faces[2 * axis + side, n] = side * one + ring[turned]
    half = np.zeros((8, 3))
    for c in range(8):
        for a in range(3):
            for b in range(3):
                half[c, a] += matrix[a, b] * (0.5 if c & (4 >> b) else -0.5)
    size = 0.5 * np.abs(matrix).sum(axis=1)
    for row in prange(mk * mj):
        k, j = row // mj, row % mj
        centre, moment, result = np.empty(3), np.empty(3), np.empty(4)
        corners, work = np.empty((8, 3)), np.empty((5, _MOST, 3))
        low, high = np.empty(3, np.int64), np.empty(3, np.int64)
        for i in range(mi):
            for a in range(3):
                centre[a] = matrix[a, 0] * k + matrix[a, 1] * j + matrix[a, 2] * i + offset[a]
                low[a] = int(np.floor(centre[a] - size[a] + 0.5))
                high[a] = int(np.ceil(centre[a] + size[a] + 0.5))
            if _same(values, low, high):
                inside = True
                for a in range(3):
                    inside = inside and low[a] >= 0 and high[a] <= values.shape[a]
                mean[k, j, i] = values[low[0], low[1], low[2]] if inside else 0.0
                moments[:, k, j, i] = 0.0
                continue
            for c in range(8):
                for a in range(3):
                    corners[c, a] = centre[a] + half[c, a]
            _integrate(corners, faces, max(low[0], 0), values, work, result)
            mean[k, j, i] = result[0] / abs(det)
            for a in range(3):
                moment[a] = (result[1 + a] - centre[a] * result[0]) / abs(det)
            for a in range(3):
                moments[a, k, j, i] = back[a, 0] * moment[0] + back[a, 1] * moment[1] + back[a, 2] * moment[2]
