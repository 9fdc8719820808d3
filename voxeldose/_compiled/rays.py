"""Energy carried along straight rays through voxels: the inner loop of ``engines/density.py``."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["spread"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@njit(nogil=True, cache=True)
def spread(
    sources: Integers,
    amounts: Floats,
    tau: Floats,
    share: Floats,
    chord: Floats,
    offset: Integers,
    length: Floats,
    count: Integers,
    table: Floats,
    per_mm: float,
    reach: float,
    energy: Floats,
    first: int,
) -> None:
    """Add to ``energy`` what each source leaves in the voxels that its rays cross.

    Parameters
    ----------
    sources, amounts : int64 and float64, (sources,)
        Flat index of each source voxel and what it emits.
    tau : float64, (voxels,)
        Water-equivalent length a mm, flat. Where it is huge rays end; such a layer surrounds the grid.
    share, chord : float64, (rays,)
        Part of the emission that a ray carries in each octant, and its length in mm in the source voxel.
    offset, length : int64, (rays, 8, steps) and float64, (rays, steps)
        Flat offset from the source, in each octant, and length in mm of each voxel crossed after it.
    count : int64, (rays,)
        Number of voxels crossed up to the longest ray.
    table : float64, (2, n)
        Energy fraction F within a radius in water, and its integral, at steps of ``1 / per_mm``.
    per_mm, reach : float
        Steps a mm of the table, and where F ends to rise, in mm of water.
    energy : float64, (window,)
        Filled from flat voxel index ``first`` on.

    Notes
    -----
    Starts are averaged along the chord of water-equivalent length ``a``: after a path ``t`` beyond the source
    ``H(t) = (integral of F from t to t + a) / a`` of the energy has been left behind. Short chords take two Gauss
    points of F instead of the difference of integrals, which would cancel.
    """
    whole = table[0, int(reach * per_mm)]
    for q in range(sources.size):
        here = sources[q]
        own = 0.0
        for r in range(chord.size):
            amount = amounts[q] * share[r]
            a = tau[here] * chord[r]
            if a < 0.5:
                values, near, far, weight, other = table[0], 0.21132486540518713 * a, 0.7886751345948129 * a, 0.5, 0.5
            else:
                values, near, far, weight, other = table[1], 0.0, a, -1.0 / a, 1.0 / a
            near *= per_mm
            far *= per_mm
            low, high = int(near), int(far)
            start = weight * (values[low] + (near - low) * (values[low + 1] - values[low]))
            start += other * (values[high] + (far - high) * (values[high + 1] - values[high]))
            own += amount * start
            for octant in range(8):
                path, left = 0.0, start
                for step in range(count[r]):
                    voxel = np.uint64(here + offset[r, octant, step])  # unsigned: no test for an index from the end
                    path += tau[voxel] * length[r, step]
                    into = voxel - np.uint64(first)
                    if path >= reach:
                        energy[into] += amount * (whole - left)
                        break
                    x, y = path * per_mm + near, path * per_mm + far
                    low, high = int(x), int(y)
                    after = weight * (values[low] + (x - low) * (values[low + 1] - values[low]))
                    after += other * (values[high] + (y - high) * (values[high + 1] - values[high]))
                    energy[into] += amount * (after - left)
                    left = after
        energy[here - first] += 8 * own
