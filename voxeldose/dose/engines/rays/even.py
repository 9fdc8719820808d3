"""Source voxels that see one density only: the exact kernel serves them, and no ray is needed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy.ndimage import uniform_filter

from voxeldose.dose.engines.convolution import Convolution
from voxeldose.dose.engines.rays.cells import Cells, places
from voxeldose.model.densities import AIR_G_PER_ML
from voxeldose.model.kernel import DEFAULT_REACH_MM, PointKernel
from voxeldose.model.radionuclide import JOULE_PER_MEV, Radionuclide
from voxeldose.model.volume import DecayMap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from voxeldose.model.arrays import Doubles, Mask, Reals
    from voxeldose.model.grid import Grid

__all__ = ["STRICT", "USUAL", "Even", "Evenness", "averaged_density", "even_surroundings", "spend_evenly"]

#: Size of the cube over which density is averaged before it is compared: noise of voxels evens out along a ray and does not
#: change the dose, since what a voxel takes and its mass go alike.
AVERAGED_MM: Final = 10.0


class Evenness(NamedTuple):
    """When densities count as one; all relative.

    Averaged densities may differ by ``averaged`` within reach, groups are ``group`` wide, and a single voxel may differ from
    the average by ``voxel``. Noise of a voxel changes its dose by a third of its own, since a voxel that is denser also keeps
    more, and the dose is divided by the averaged density of its own voxel.
    """

    averaged: float
    group: float
    voxel: float


#: All densities met are within 0.9 % of the group's.
STRICT: Final = Evenness(0.006, 0.003, 0.02)

#: Within 3 % of the group's, whose noise a CT has: dose in soft tissue 0.1 % rms from that of rays (benchmarks/bench_noisy.py).
USUAL: Final = Evenness(0.02, 0.01, 0.06)

#: Voxels below which a convolution of their own costs more than their rays.
_FEWEST = 1000


@dataclass(frozen=True, eq=False)
class Even:
    """Voxels (a mask over the lattice) that have ``g_per_ml`` all around them."""

    g_per_ml: float
    where: Mask


def spend_evenly(
    kernel: PointKernel,
    cells: Cells,
    around: Grid,
    grid: Grid,
    density: Reals,
    range_factor: Callable[[Doubles], Doubles],
    radionuclide: Radionuclide,
    energy: Doubles,
    evenness: Evenness = STRICT,
) -> Cells:
    """Add to ``energy`` what cells in even surroundings leave, and return the others.

    Parameters
    ----------
    kernel : PointKernel
        Of water.
    cells : Cells
        On the lattice of ``around``.
    around, grid : Grid
        The lattice that rays cross, and where dose is wanted.
    density : ndarray, (nk, pk, nj, pj, ni, pi)
        That rays meet in the parts of each voxel of ``around``, g/mL.
    range_factor : callable
        Of a density, against water.
    radionuclide : Radionuclide
        Sets the unit of energy, in which it cancels.
    energy : ndarray, (nk, nj, ni)
        In units of the energy of one decay; changed in place. Each voxel takes of the group's energy by its own mass, so
        noise of density changes no dose.
    evenness : Evenness
        What counts as even.
    """
    at = places(cells, around)
    wanted = around.first_voxel_of(grid)
    low = np.minimum(at.min(axis=0), wanted).clip(0)
    high = np.maximum(at.max(axis=0) + 1, wanted + grid.shape).clip(None, around.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))  # nobody asks for what lies around
    lattice = around.window(low.tolist(), (high - low).tolist())
    amounts = np.zeros(lattice.shape)
    amounts[tuple((at - low).T)] = cells.amounts
    parts = density[box[0], :, box[1], :, box[2]]
    mass = parts.mean(axis=(1, 3, 5))
    averaged = averaged_density(mass, lattice.spacing_mm).astype(np.float64)
    others = np.ones(lattice.shape, bool)
    reach = DEFAULT_REACH_MM * float(range_factor(averaged).max())
    for even in even_surroundings(amounts, averaged, parts, lattice.spacing_mm, reach, evenness):
        others &= ~even.where
        factor = float(range_factor(np.array(even.g_per_ml)))
        exact = Convolution(kernel.with_range(factor), DEFAULT_REACH_MM * factor)
        decays = DecayMap(np.where(even.where, amounts, 0), lattice, radionuclide=radionuclide)
        per_decay = radionuclide.energy_mev * JOULE_PER_MEV / (even.g_per_ml * lattice.voxel_volume_ml * 1e-3)
        energy[box] += exact.dose(decays, even.g_per_ml).gy / per_decay * (mass / np.maximum(averaged, AIR_G_PER_ML))
    return cells.some(others[tuple((at - low).T)])


def averaged_density(density: Reals, spacing_mm: Sequence[float]) -> Reals:
    """Density over a cube of about :data:`AVERAGED_MM` around each voxel; both in g/mL, (nk, nj, ni)."""
    return np.asarray(uniform_filter(density, [2 * round(AVERAGED_MM / 2 / s) + 1 for s in spacing_mm]))


def even_surroundings(
    amounts: Reals,
    averaged: Reals,
    density: Reals,
    spacing_mm: Sequence[float],
    reach_mm: float,
    evenness: Evenness = STRICT,
) -> Iterator[Even]:
    """Groups of source voxels from which no ray meets another density than that of the group, as far as ``evenness`` say.

    Parameters
    ----------
    amounts : ndarray, (nk, nj, ni)
        What each voxel emits; sought are those that are not zero.
    averaged : ndarray, (nk, nj, ni)
        Density of :func:`averaged_density`, g/mL.
    density : ndarray, (nk, pk, nj, pj, ni, pi)
        That rays meet in the parts of each voxel, g/mL. Beyond the array nothing is asked of it.
    spacing_mm : sequence of float
        Voxel size ``(k, j, i)``.
    reach_mm : float
        Of rays in water of 1 g/mL; it shrinks with density.
    evenness : Evenness
        What counts as even.

    Yields
    ------
    Even
        Each voxel in one group at most. Looked for are densities from 2 % below the median at the sources: what is less
        dense is seen from farther.
    """
    sources = amounts != 0
    if np.count_nonzero(sources) < _FEWEST:
        return
    least = 0.98 * float(np.median(averaged[sources]))
    if least <= 0:
        return
    uneven = density.max(axis=(1, 3, 5)) > averaged * (1 + evenness.voxel)
    uneven |= density.min(axis=(1, 3, 5)) < averaged * (1 - evenness.voxel)
    steps = [math.ceil(reach_mm / least / s) for s in spacing_mm]
    low, high = _within(np.minimum, np.where(uneven, 0, averaged), steps), _within(np.maximum, averaged, steps)
    even = sources & (low >= least) & (high - low <= evenness.averaged * low)
    group = np.floor(np.log((low[even] + high[even]) / (2 * least)) / evenness.group)
    for one in np.unique(group):
        chosen = group == one
        if np.count_nonzero(chosen) >= _FEWEST:
            where = np.zeros_like(even)
            where[even] = chosen
            yield Even(float(np.median(averaged[where])), where)


def _within(extreme: np.ufunc, values: Reals, steps: Sequence[int]) -> Reals:
    """Extreme over the box of so many voxels to either side along each axis."""
    for axis, reach in enumerate(steps):
        extremes = np.moveaxis(values, axis, 0)
        have = 0  # voxels to either side that are in already
        while have < reach:
            step = min(2 * have + 1, reach - have)
            grown = extremes.copy()
            extreme(grown[:-step], extremes[step:], out=grown[:-step])
            extreme(grown[step:], extremes[:-step], out=grown[step:])
            extremes, have = grown, have + step
        values = np.moveaxis(extremes, 0, axis)
    return values
