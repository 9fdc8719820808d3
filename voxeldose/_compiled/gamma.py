"""Loop behind the gamma index: for each reference point the nearest agreement in the other dose map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit, prange

if TYPE_CHECKING:
    from voxeldose._compiled.arrays import Doubles, Floats

__all__ = ["ROUNDING", "search"]


#: An index this far beyond the outermost voxel centre still is that centre.
ROUNDING = 1e-6

#: How often the step is halved around the best point of the lattice.
_HALVINGS = 2


@njit(cache=True, nogil=True, inline="always")
def _between(values: Floats, k: float, j: float, i: float) -> float:
    """Value between voxel centres (trilinear); NaN beyond the outermost centres, where nothing is known."""
    nk, nj, ni = values.shape
    if min(k, j, i) < -ROUNDING or k > nk - 1 + ROUNDING or j > nj - 1 + ROUNDING or i > ni - 1 + ROUNDING:
        return np.nan
    k = min(max(k, 0.0), nk - 1.0)
    j = min(max(j, 0.0), nj - 1.0)
    i = min(max(i, 0.0), ni - 1.0)
    k0, j0, i0 = int(k), int(j), int(i)
    k1, j1, i1 = min(k0 + 1, nk - 1), min(j0 + 1, nj - 1), min(i0 + 1, ni - 1)
    u, v, w = k - k0, j - j0, i - i0
    front = (values[k0, j0, i0] * (1 - w) + values[k0, j0, i1] * w) * (1 - v) + (
        values[k0, j1, i0] * (1 - w) + values[k0, j1, i1] * w
    ) * v
    back = (values[k1, j0, i0] * (1 - w) + values[k1, j0, i1] * w) * (1 - v) + (
        values[k1, j1, i0] * (1 - w) + values[k1, j1, i1] * w
    ) * v
    return float(front * (1 - u) + back * u)


@njit(parallel=True, cache=True, nogil=True)
def search(
    places: Doubles,
    reference: Doubles,
    tolerance: Doubles,
    values: Floats,
    spacing: Doubles,
    offsets: Doubles,
    criteria: Doubles,
    gamma: Doubles,
) -> None:
    """Write the gamma of each reference point into ``gamma`` (n,), at most the limit.

    ``places`` (n, 3) are indices of the points in ``values`` (nk, nj, ni) float32, the evaluated dose; ``reference`` and
    ``tolerance`` (n,) in Gy; ``spacing`` (3,) of ``values`` in mm; ``offsets`` (m, 3) in mm along its axes, nearest first;
    ``criteria`` holds the distance criterion and the step of the offsets in mm, and the limit. The best offset is refined
    by halving the step around it.
    """
    distance, step, limit = criteria[0], criteria[1], criteria[2]
    for n in prange(places.shape[0]):
        best = limit * limit
        a, b, c = 0.0, 0.0, 0.0
        for m in range(offsets.shape[0]):
            x, y, z = offsets[m, 0], offsets[m, 1], offsets[m, 2]
            far = (x * x + y * y + z * z) / (distance * distance)
            if far >= best:
                break
            value = _between(
                values, places[n, 0] + x / spacing[0], places[n, 1] + y / spacing[1], places[n, 2] + z / spacing[2]
            )
            apart = (value - reference[n]) / tolerance[n]
            found = far + apart * apart
            if found < best:
                best, a, b, c = found, x, y, z
        if best < limit * limit:
            half = step
            for _ in range(_HALVINGS):
                half *= 0.5
                x0, y0, z0 = a, b, c
                for p in range(-1, 2):
                    for q in range(-1, 2):
                        for r in range(-1, 2):
                            x, y, z = x0 + p * half, y0 + q * half, z0 + r * half
                            far = (x * x + y * y + z * z) / (distance * distance)
                            if far >= best:
                                continue
                            value = _between(
                                values,
                                places[n, 0] + x / spacing[0],
                                places[n, 1] + y / spacing[1],
                                places[n, 2] + z / spacing[2],
                            )
                            apart = (value - reference[n]) / tolerance[n]
                            found = far + apart * apart
                            if found < best:
                                best, a, b, c = found, x, y, z
        gamma[n] = np.sqrt(best)
