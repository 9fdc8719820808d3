"""Energy carried along straight rays through voxels: the inner loop of ``dose/engines/rays``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from voxeldose._compiled.arrays import Doubles, Integers

__all__ = ["trace_from_cells", "trace_from_voxels"]


@njit(nogil=True, cache=True)
def _average_along_chord(a: float, per_mm: float) -> tuple[int, float, float, float, float]:
    """Row of the table, two places on it (in steps) and their weights, that average over starts on a chord of length ``a``.

    Short chords take two Gauss points of F, others the difference of its integral.
    """
    if a < 0.5:
        return 0, 0.21132486540518713 * a * per_mm, 0.7886751345948129 * a * per_mm, 0.5, 0.5
    return 1, 0.0, a * per_mm, -1.0 / a, 1.0 / a


@njit(nogil=True, cache=True)
def trace_from_voxels(
    sources: Integers,
    amounts: Doubles,
    tau: Doubles,
    share: Doubles,
    chord: Doubles,
    offset: Integers,
    length: Doubles,
    count: Integers,
    table: Doubles,
    per_mm: float,
    reach: float,
    energy: Doubles,
    first: int,
) -> None:
    """Add to ``energy`` what each source leaves in the voxels that its rays cross.

    Parameters
    ----------
    sources, amounts : int64 and float64, (sources,)
        Flat index of each source voxel and what it emits.
    tau : float64, (voxels,)
        Water-equivalent mm per mm, flat. Where it is huge rays end; such a layer surrounds the grid.
    share, chord : float64, (rays,)
        Part of the emission that a ray carries in each octant, and its length in mm in the source voxel.
    offset, length : int64, (rays, octants, steps) and float64, (rays, steps)
        Flat offset from the source, in each octant, and length in mm of each voxel crossed after it.
    count : int64, (rays,)
        Number of voxels crossed up to the longest ray.
    table : float64, (2, n)
        Energy fraction F within a radius in water, and its integral, at steps of ``1 / per_mm``.
    per_mm, reach : float
        Steps per mm of the table, and where F stops rising, in mm of water.
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
            row, near, far, weight, other = _average_along_chord(a, per_mm)
            values = table[row]
            low, high = int(near), int(far)
            start = weight * (values[low] + (near - low) * (values[low + 1] - values[low]))
            start += other * (values[high] + (far - high) * (values[high + 1] - values[high]))
            own += amount * start
            for octant in range(offset.shape[1]):
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
        energy[here - first] += offset.shape[1] * own


@njit(nogil=True, cache=True)
def trace_from_cells(
    centres: Doubles,
    amounts: Doubles,
    start: Doubles,
    speed: Doubles,
    ends: Doubles,
    tau: Doubles,
    limits: tuple[float, float, float, float],
    table: Doubles,
    energy: Doubles,
    first: int,
) -> None:
    """Add to ``energy`` what cells of one lattice leave in the voxels of another, at any offset, spacing and tilt.

    Parameters
    ----------
    centres, amounts : float64, (cells, 3) and (cells,)
        Where each cell's middle lies, in voxels, and what it emits.
    start, speed : float64, (rays, 8, 3)
        From the middle of the cell to where a ray starts in each octant, in voxels, and voxels per mm along it, never zero.
    ends : float64, (rays, 2)
        Where the ray's line enters (negative) and leaves the cell, in mm from its start.
    tau : float64, (nk, nj, ni)
        Water-equivalent mm per mm. Where it is ``limits[3]`` or more rays end; such a layer surrounds the lattice.
    limits : tuple of float
        Steps per mm of the table, where F stops rising in mm of water, the longest ray in mm, and what ends a ray.
    table, energy, first
        As in :func:`trace_from_voxels`.

    Notes
    -----
    Starts are averaged over the part of the line that lies in the cell and in the voxel of the start, as in
    :func:`trace_from_voxels`; from its end on the ray has the path to the voxel's face behind it before the next one.
    """
    per_mm, reach, longest, wall = limits
    whole = table[0, int(reach * per_mm)]
    flat = tau.ravel()
    nj, ni = tau.shape[1], tau.shape[2]
    for q in range(amounts.size):
        amount = amounts[q] / (8 * start.shape[0])
        for r in range(start.shape[0]):
            for octant in range(8):
                x = centres[q, 0] + start[r, octant, 0]
                y = centres[q, 1] + start[r, octant, 1]
                z = centres[q, 2] + start[r, octant, 2]
                k, j, i = int(x + 0.5), int(y + 0.5), int(z + 0.5)  # all positive: one layer surrounds the lattice
                dx, dy, dz = 1 / speed[r, octant, 0], 1 / speed[r, octant, 1], 1 / speed[r, octant, 2]
                ahead_x, ahead_y, ahead_z = (k - x) * dx, (j - y) * dy, (i - z) * dz
                step_k = nj * ni if dx > 0 else -nj * ni
                step_j = ni if dy > 0 else -ni
                step_i = 1 if dz > 0 else -1
                dx, dy, dz = abs(dx), abs(dy), abs(dz)
                entered = max(ahead_x - dx / 2, ahead_y - dy / 2, ahead_z - dz / 2)
                ahead_x += dx / 2
                ahead_y += dy / 2
                ahead_z += dz / 2
                left_at = min(ahead_x, ahead_y, ahead_z)
                voxel = (k * nj + j) * ni + i
                here = flat[voxel]
                if here >= wall:
                    continue
                begin, end = max(entered, ends[r, 0]), min(left_at, ends[r, 1])
                a = here * (end - begin)
                row, near, far, weight, other = _average_along_chord(a, per_mm)
                values = table[row]
                path, at, length, left = 0.0, left_at, left_at - end, 0.0
                while True:
                    path += here * length
                    if path >= reach:
                        energy[voxel - first] += amount * (whole - left)
                        break
                    low_x, high_x = path * per_mm + near, path * per_mm + far
                    low, high = int(low_x), int(high_x)
                    after = weight * (values[low] + (low_x - low) * (values[low + 1] - values[low]))
                    after += other * (values[high] + (high_x - high) * (values[high + 1] - values[high]))
                    energy[voxel - first] += amount * (after - left)
                    left = after
                    if at >= longest:
                        break
                    if ahead_x <= ahead_y and ahead_x <= ahead_z:
                        voxel += step_k
                        ahead_x += dx
                    elif ahead_y <= ahead_z:
                        voxel += step_j
                        ahead_y += dy
                    else:
                        voxel += step_i
                        ahead_z += dz
                    reached = min(ahead_x, ahead_y, ahead_z)
                    length = reached - at
                    at = reached
                    here = flat[voxel]
                    if here >= wall:
                        break
