"""Rays from the cells of one lattice through the voxels of another: activity is never resampled first.

Spread over the voxels of the dose grid before the rays start, a hot cell would lose up to a quarter of its dose where the
lattices do not coincide.
"""

from __future__ import annotations

import itertools
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.engines.rays.table import END, LONGEST_RAY_MM, STEPS_PER_MM, energy_table, points, rays_for
from voxeldose.dose.engines.threads import processors
from voxeldose.model.grid import voxels_met
from voxeldose.model.kernel import DEFAULT_REACH_MM, PointKernel

if TYPE_CHECKING:
    from voxeldose.model.arrays import Doubles, Integers, Mask
    from voxeldose.model.grid import Grid
    from voxeldose.model.volume import DecayMap

__all__ = ["Cells", "cells_near", "energy_from_cells", "lattice_around", "places"]

#: Rays in all below which each part takes more of them, up to the most: a single hot cell has no neighbours whose errors
#: cancel its own.
_FEWEST_RAYS_IN_ALL, _MOST_RAYS_A_PART = 1 << 23, 1 << 14

#: Parts the cells are shared into, each with its own sum: fixed, so that any number of threads gives the same bits.
_PARTS = 8


@dataclass(frozen=True, eq=False)
class Cells:
    """Image voxels with activity: ``index`` (n, 3) in ``grid`` and ``amounts`` (n,), decays."""

    grid: Grid
    index: Integers
    amounts: Doubles

    def some(self, chosen: Mask) -> Cells:
        """Part of them."""
        return Cells(self.grid, self.index[chosen], self.amounts[chosen])


def cells_near(decays: DecayMap, grid: Grid) -> Cells:
    """The voxels of ``decays`` whose rays may reach ``grid``."""
    values = decays.decays
    index = np.argwhere(values != 0)
    matrix, offset = decays.grid.to_index_of(grid)
    at = index @ matrix.T + offset
    reach = _reach(decays.grid, grid)
    near = ((at > -0.5 - reach) & (at < np.array(grid.shape) - 0.5 + reach)).all(axis=1)
    index = index[near]
    return Cells(decays.grid, index, values[tuple(index.T)].astype(np.float64))


def _reach(cell: Grid, grid: Grid) -> Doubles:
    """Farthest that a ray ends from the middle of its cell, in voxels of ``grid`` along each axis."""
    matrix, _ = cell.to_index_of(grid)
    unit = matrix / np.array(cell.spacing_mm)
    return np.asarray(LONGEST_RAY_MM * np.linalg.norm(unit, axis=1) + np.abs(matrix).sum(axis=1) / 2)


def lattice_around(cells: Cells, grid: Grid) -> Grid:
    """The lattice of ``grid``, cut and grown to hold every cell and every ray from it that ends in ``grid``."""
    matrix, offset = cells.grid.to_index_of(grid)
    at = cells.index @ matrix.T + offset
    half = np.abs(matrix).sum(axis=1) / 2
    reach = _reach(cells.grid, grid)
    first, last = at.min(axis=0), at.max(axis=0)
    low = np.maximum(first - reach, np.minimum(first - half, -0.5))
    high = np.minimum(last + reach, np.maximum(last + half, np.array(grid.shape) - 0.5))
    start, end = voxels_met(np.stack([low, high]), with_touched=True)
    return grid.window(start.tolist(), (end - start + 1).tolist())


def places(cells: Cells, around: Grid) -> Integers:
    """Where each cell lies in voxels of a grid on the same lattice, (n, 3)."""
    return np.asarray(cells.index - cells.grid.first_voxel_of(around), np.int64)


def energy_from_cells(
    kernel: PointKernel, cells: Cells, lattice: Grid, tau: Doubles, rays: int | None, threads: int | None
) -> Doubles:
    """Energy that rays from the cells leave in each voxel of a lattice, in units of the energy of one decay.

    Parameters
    ----------
    kernel : PointKernel
        Of water.
    cells : Cells
        Of a right-angled grid, all of them within ``lattice``.
    lattice : Grid
        Any, sheared ones too.
    tau : ndarray, lattice.shape
        Water-equivalent mm per mm; :data:`END` where there is nothing.
    rays : int, optional
        Rays from each part of a cell, a power of two. Without it by the part's size, more if there are few.
    threads : int, optional
        Any number gives the same bits.

    Returns
    -------
    ndarray, lattice.shape
    """
    from voxeldose._compiled.rays import trace_from_cells

    matrix, offset = cells.grid.to_index_of(lattice)
    parts = _parts(cells.grid, lattice)
    at, amounts = _split(cells, parts)
    centres = at @ matrix.T + offset + 1
    part_mm = np.array(cells.grid.spacing_mm) / parts
    if rays is None:
        few = 1 << int(math.log2(max(1, _FEWEST_RAYS_IN_ALL // amounts.size)))
        rays = max(rays_for(part_mm), min(few, _MOST_RAYS_A_PART))
    start, speed, ends = _lines(points(rays // 8), part_mm, matrix / parts)
    closed = np.pad(tau, 1, constant_values=END)
    longest = float(np.linalg.norm(lattice.affine_lps_mm[:3, :3].sum(axis=1))) + max(lattice.spacing_mm) * 3
    table = energy_table(kernel, float(tau[tau < END].max(initial=1.0)) * longest)
    limits = float(STEPS_PER_MM), DEFAULT_REACH_MM, LONGEST_RAY_MM, END
    reach = np.ceil(_reach(cells.grid, lattice)).astype(int) + 1
    plane = closed.shape[1] * closed.shape[2]

    def work(part: slice) -> tuple[int, Doubles]:
        middle = centres[part]
        first = max(0, int(middle[:, 0].min()) - int(reach[0])) * plane
        last = min(closed.shape[0], int(middle[:, 0].max()) + int(reach[0]) + 2) * plane
        window = np.zeros(last - first)
        trace_from_cells(middle, amounts[part], start, speed, ends, closed, limits, table, window, first)
        return first, window

    total = np.zeros(closed.size)
    edges = [amounts.size * n // _PARTS for n in range(_PARTS + 1)]
    shared = [slice(a, b) for a, b in itertools.pairwise(edges) if b > a]
    with ThreadPoolExecutor(threads or processors()) as pool:
        for first, window in pool.map(work, shared):
            total[first : first + window.size] += window
    return total.reshape(closed.shape)[1:-1, 1:-1, 1:-1]


def _parts(cell: Grid, lattice: Grid) -> Integers:
    """Into how many parts a cell is shared along each axis: about as large as the voxels that its rays cross.

    Parts in step with the voxels cover them evenly, in every direction alike; as many rays from all over a larger cell
    leave a pattern, four times the error where cells of 4.8 mm lie over voxels of 2 mm.
    """
    nearest = np.abs(cell.directions.T @ lattice.directions).argmax(axis=1)
    ratio = np.array(cell.spacing_mm) / np.array(lattice.spacing_mm)[nearest]
    return np.asarray(np.maximum(1, np.rint(ratio)), np.int64)


def _split(cells: Cells, parts: Integers) -> tuple[Doubles, Doubles]:
    """Middle of each part in cells (n, 3), and what it emits (n,)."""
    middles = [(np.arange(n) + 0.5) / n - 0.5 for n in parts]
    inside = np.stack(np.meshgrid(*middles, indexing="ij"), axis=-1).reshape(-1, 3)
    at = (cells.index[:, None] + inside).reshape(-1, 3)
    return at, np.repeat(cells.amounts / len(inside), len(inside))


def _lines(points: Doubles, spacing_mm: Doubles, matrix: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """``start``, ``speed`` and ``ends`` of :func:`voxeldose._compiled.rays.trace_from_cells`."""
    cosine, azimuth, start = points[:, 0], points[:, 1] * (math.pi / 2), points[:, 2:] - 0.5
    sine = np.sqrt(1 - cosine**2)
    speed = np.stack((cosine, sine * np.cos(azimuth), sine * np.sin(azimuth)), axis=1) / spacing_mm
    ends = np.stack((((-0.5 - start) / speed).max(axis=1), ((0.5 - start) / speed).min(axis=1)), axis=1)
    octants = np.array(list(itertools.product((1, -1), repeat=3)))
    start, speed = ((v[:, None] * octants) @ matrix.T for v in (start, speed))
    speed = np.where(np.abs(speed) < 1e-9, 1e-9, speed)
    return np.ascontiguousarray(start), np.ascontiguousarray(speed), ends
