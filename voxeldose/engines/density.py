"""Decays and a density image to dose: straight rays on the water-equivalent path.

A kernel for a uniform medium is tens of per cent wrong beside a lung, and dividing it by the local density is worse.
Here each voxel's energy is carried along straight rays and spent by the mass it crosses.
"""

from __future__ import annotations

import itertools
import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from voxeldose.dpk import DEFAULT_REACH_MM, PointKernel
from voxeldose.engines.convolution import AIR_G_PER_ML, Convolution
from voxeldose.engines.ray_table import (
    LONGEST_RAY_MM,
    LUNG_G_PER_ML,
    SOFT_TISSUE_G_PER_ML,
    STEPS_PER_MM,
    energy_table,
    points,
    shares,
    trace,
)
from voxeldose.errors import GeometryError, QuantityError
from voxeldose.radionuclide import JOULE_PER_MEV
from voxeldose.volume import DecayMap, DensityMap, DoseMap

__all__ = ["SOFT_TISSUE_RANGE", "RayTransport"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: Range in g/cm² in ICRU four-component soft tissue of 1.05 g/mL, against water: own Monte Carlo (tables/README.md). At
#: 0.26 g/mL the same atoms stop as water does, since the density effect is weaker in thin media: 1.00.
SOFT_TISSUE_RANGE: Final = 1.0122

#: Nothing is denser: a larger number has another unit.
DENSEST_G_PER_ML = 25.0

#: Rays a voxel, from this voxel size in mm on (cube root of the volume). Too few leave the first layers of lung beside a
#: liver several per cent wrong while the liver looks fine; benchmarks/bench_density.py has the errors.
_RAYS = ((2.5, 1024), (1.75, 512), (0.0, 256))
_FEWEST_RAYS, _MOST_RAYS = 64, 1 << 16

#: Water-equivalent mm a mm of what ends a ray: the layer around the grid, and voxels without density.
_END = 1e9

#: Parts the sources are shared into, each with its own sum: fixed, so that any number of threads gives the same bits.
_PARTS = 8

#: Voxel size of the coarse grid for the tail.
_TAIL_VOXEL_MM = 8.0


@dataclass(frozen=True, eq=False)
class RayTransport:
    """Each voxel's energy carried along straight rays, spent by the mass that they cross.

    A ray that has crossed a water-equivalent path ``t`` (mm times g/mL, divided by the tissue's range factor) has left
    the part ``F(t)`` of its energy behind, ``F`` being the point kernel's energy within a radius. What it leaves in a
    voxel is the difference over the voxel, so energy is conserved and there is no pole at the source. Rays start all
    over the source voxel and are averaged along their chord of it.

    Scatter is as in water at the same path: not modelled are backscatter at bone, metal and air and the range factors of
    bone and fat.

    Parameters
    ----------
    kernel : PointKernel
        Of water. It keeps its shape and takes the energy per decay of the run's constants.
    rays : int, optional
        Rays a voxel, a power of two. Without it 1024 from a voxel size of 2.5 mm on (cube root of the volume),
        512 from 1.75 mm on, 256 below.
    soft_tissue_range : float
        Range factor from 1.05 g/mL on; falls with the logarithm of density, as the density effect does, to 1 at
        0.26 g/mL (lung). With 1, a uniform density gives what ``Convolution`` gives; by default, what it gives with the
        kernel's radii stretched by the factor.
    tail_mm : float
        Beyond 12 mm of water (bremsstrahlung, 0.39 % of the energy) the kernel is added as a dose in water up to this
        radius, on a coarse grid and whatever the density. 0: left out, and counted as lost.
    threads : int, optional
        Without it ``NUMBA_NUM_THREADS``, else all cores. Any number gives the same bits.
    """

    kernel: PointKernel
    rays: int | None = None
    soft_tissue_range: float = SOFT_TISSUE_RANGE
    tail_mm: float = 100.0
    threads: int | None = None
    name = "density"

    def __post_init__(self) -> None:
        rays = self.rays
        if rays is not None and not (_FEWEST_RAYS <= rays <= _MOST_RAYS and rays & (rays - 1) == 0):
            msg = f"The number of rays must be a power of two from {_FEWEST_RAYS} to {_MOST_RAYS}, found {rays}."
            raise QuantityError(msg)
        if not 0.9 <= self.soft_tissue_range <= 1.1:
            msg = f"A range factor against water lies near 1 (soft tissue {SOFT_TISSUE_RANGE}), found {self.soft_tissue_range}."
            raise QuantityError(msg)
        if not (math.isfinite(self.tail_mm) and self.tail_mm >= 0) or (self.threads is not None and self.threads < 1):
            msg = f"tail_mm must be 0 or more and threads 1 or more, found {self.tail_mm} and {self.threads}."
            raise QuantityError(msg)

    def describe(self) -> str:
        """One sentence for the report."""
        rays = "256 to 1024 rays a voxel, by its size" if self.rays is None else f"{self.rays} rays a voxel"
        tail = (
            f"bremsstrahlung from there to {self.tail_mm:g} mm added as in water"
            if self.tail_mm > DEFAULT_REACH_MM
            else "bremsstrahlung beyond counted as lost"
        )
        return (
            f"Straight rays through the density image ({rays}; exact kernel where density is uniform), energy spent on the "
            f"water-equivalent path up to {DEFAULT_REACH_MM:g} mm, {tail}; range factor {self.soft_tissue_range:g} for "
            f"soft tissue, bone and fat, 1 for lung; kernel: {self.kernel.source}."
        )

    def margin_mm(self, density: DensityMap | float) -> float:  # noqa: ARG002 - rays reach as far in every medium
        """How far beyond a grid activity gives dose inside it."""
        return LONGEST_RAY_MM

    def dose(self, decays: DecayMap, density: DensityMap | float) -> DoseMap:
        """Dose in each voxel of the grid of ``decays``.

        Parameters
        ----------
        decays : DecayMap
            All decays in each voxel of a right-angled grid; negative ones (noise) are kept.
        density : DensityMap or float
            In g/mL; a map must lie on the grid of ``decays``. A uniform density takes the exact kernel. Voxels below
            0.05 g/mL (air) get zero dose; where there is no density, and at the image's edge, rays end.

        Returns
        -------
        DoseMap
            ``energy_lost_fraction`` holds what was left in air, left the image, the longest ray or the tail.

        Raises
        ------
        GeometryError
            If the grid is sheared or the density lies on another one.
        QuantityError
            If a number is not finite, or a density is none of matter.
        """
        decays.require_finite()
        if not decays.grid.is_right_angled:
            msg = (
                "The activity grid is sheared (its axes are not perpendicular), so one table of rays does not fit it; "
                "resample the image to a right-angled grid, or ask for --grid MM."
            )
            raise GeometryError(msg)
        if isinstance(density, DensityMap):
            _require_usable(decays, density)
            rho = density.g_per_ml.astype(np.float64)
            low, high = float(rho.min()), float(rho.max())
            uniform = high if high - low <= 1e-6 * high and high >= AIR_G_PER_ML else None
        else:
            rho, uniform = np.full((1, 1, 1), density, np.float64), density
        tissue = rho >= AIR_G_PER_ML
        joule = decays.radionuclide.energy_mev * JOULE_PER_MEV
        voxel_l = decays.grid.voxel_volume_ml * 1e-3
        if uniform is not None:
            gy = self._in_uniform_medium(decays, uniform)
        else:
            gy = np.where(tissue, self._energy_fraction(decays, rho) / np.where(tissue, rho, 1.0), 0.0)
            gy *= joule / voxel_l
        if self.tail_mm > DEFAULT_REACH_MM:
            gy += np.where(tissue, _tail_gy(self.kernel, decays, self.tail_mm), np.float32(0))
        emitted = decays.total() * joule
        lost = 1 - float((gy * rho).sum()) * voxel_l / emitted if emitted else 0.0
        return DoseMap(gy.astype(np.float32), decays.grid, method=self.describe(), energy_lost_fraction=lost)

    def _in_uniform_medium(self, decays: DecayMap, density: float) -> Floats:
        """The exact kernel, its radii stretched by the range factor."""
        stretch = float(self._range_factor(np.array(density)))
        gy = Convolution(self.kernel.with_range(stretch), DEFAULT_REACH_MM * stretch).dose(decays, density).gy
        return np.asarray(gy, np.float64)

    def _range_factor(self, rho: Floats) -> Floats:
        known = np.log([LUNG_G_PER_ML, SOFT_TISSUE_G_PER_ML])
        return np.asarray(np.interp(np.log(np.maximum(rho, 1e-6)), known, [1.0, self.soft_tissue_range]))

    def _energy_fraction(self, decays: DecayMap, rho: Floats) -> Floats:
        """Energy that rays leave in each voxel, in units of the energy of one decay."""
        whole = np.zeros(rho.shape)
        filled = decays.decays != 0
        if not filled.any():
            return whole
        spacing = np.array(decays.grid.spacing_mm)
        number = self.rays or _rays_for(spacing)
        lines = trace(points(number // 8), spacing)
        crop = _box(filled, lines.steps.max(axis=(0, 1)))
        tau = np.full([s.stop - s.start + 2 for s in crop], _END)
        inner = (slice(1, -1),) * 3
        part = rho[crop]
        tau[inner] = np.where(part > 0, part / self._range_factor(part), _END)
        amount = np.zeros(tau.shape)
        amount[inner] = decays.decays[crop]
        strides = np.array([tau.shape[1] * tau.shape[2], tau.shape[2], 1])
        octants = np.array(list(itertools.product((1, -1), repeat=3))) * strides
        offset = np.ascontiguousarray(np.einsum("rsa,oa->ros", lines.steps, octants))
        sources = np.flatnonzero((amount != 0) & (tau < _END))
        densest = max(SOFT_TISSUE_G_PER_ML, float(tau[tau < _END].max(initial=0)))
        table = energy_table(self.kernel, densest * float(np.linalg.norm(spacing)))
        rows = shares(self.kernel, spacing, table, lines), lines.chord, offset, lines.length, lines.count
        energy = _shared(sources, amount.ravel()[sources], tau.ravel(), rows, table, self.threads)
        whole[crop] = energy.reshape(tau.shape)[inner]
        return whole


def _require_usable(decays: DecayMap, density: DensityMap) -> None:
    if not density.grid.matches(decays.grid):
        msg = "The density image must lie on the grid of the decays; resample it first (resample.onto)."
        raise GeometryError(msg)
    density.require_finite()
    highest = float(density.g_per_ml.max())
    if highest > DENSEST_G_PER_ML:
        msg = f"The density image reaches {highest:g}, more than any matter in g/mL; is it in kg/m³ or HU?"
        raise QuantityError(msg)


def _rays_for(spacing_mm: Floats) -> int:
    size = float(np.prod(spacing_mm)) ** (1 / 3)
    return next(number for least, number in _RAYS if size >= least)


def _box(filled: npt.NDArray[np.bool_], reach: Integers) -> tuple[slice, slice, slice]:
    """What holds all activity and every ray from it, within the image."""
    sides = []
    for axis in range(3):
        rows = np.flatnonzero(filled.any(axis=tuple(a for a in range(3) if a != axis)))
        low, high = int(rows[0]) - int(reach[axis]), int(rows[-1]) + int(reach[axis]) + 1
        sides.append(slice(max(0, low), min(filled.shape[axis], high)))
    return sides[0], sides[1], sides[2]


def _shared(
    sources: Integers,
    amounts: Floats,
    tau: Floats,
    rows: tuple[Floats, Floats, Integers, Floats, Integers],
    table: Floats,
    threads: int | None,
) -> Floats:
    """Rays of all sources, in a fixed number of parts that are added in order."""
    from voxeldose._compiled.rays import spread

    reach = int(rows[2].max(initial=0))

    def work(some: Integers) -> tuple[int, Floats]:
        if not some.size:
            return 0, np.zeros(0)
        first = max(0, int(sources[some[0]]) - reach)
        window = np.zeros(min(tau.size, int(sources[some[-1]]) + reach + 1) - first)
        spread(
            *(sources[some], amounts[some], tau, *rows, table),
            *(float(STEPS_PER_MM), DEFAULT_REACH_MM, window, first),
        )
        return first, window

    total = np.zeros(tau.size)
    with ThreadPoolExecutor(threads or int(os.environ.get("NUMBA_NUM_THREADS") or os.cpu_count() or 1)) as pool:
        for first, window in pool.map(work, np.array_split(np.arange(sources.size), _PARTS)):
            total[first : first + window.size] += window
    return total


def _tail_gy(kernel: PointKernel, decays: DecayMap, tail_mm: float) -> npt.NDArray[np.float32]:
    """Dose beyond the reach, in water: by the exact kernel on a coarse grid, linear between its voxels."""
    radius = kernel.radius_mm * kernel.density_g_per_ml
    beyond = radius > DEFAULT_REACH_MM
    if not beyond.any():
        return np.zeros(decays.grid.shape, np.float32)
    further = kernel.energy_fraction_within[beyond] - kernel.within(DEFAULT_REACH_MM / kernel.density_g_per_ml)
    tail = PointKernel(
        np.concatenate(([0.0, DEFAULT_REACH_MM], radius[beyond])),
        np.concatenate(([0.0, 0.0], np.maximum(further, 0))),
        kernel.mev_per_decay,
        1.0,
        kernel.source,
    )
    grid = decays.grid
    merged = [max(1, round(_TAIL_VOXEL_MM / s)) for s in grid.spacing_mm]
    coarse = grid.with_spacing([m * s for m, s in zip(merged, grid.spacing_mm, strict=True)])
    padded = np.pad(decays.decays, [(0, c * m - n) for c, m, n in zip(coarse.shape, merged, grid.shape, strict=True)])
    blocks = padded.reshape([n for pair in zip(coarse.shape, merged, strict=True) for n in pair])
    dose = (
        Convolution(tail, tail_mm).dose(decays.replaced(blocks.sum(axis=(1, 3, 5), dtype=np.float64), coarse), 1.0).gy
    )
    for axis, (m, size) in enumerate(zip(merged, grid.shape, strict=True)):
        place = np.clip((np.arange(size) + 0.5) / m - 0.5, 0, dose.shape[axis] - 1)
        low = place.astype(np.int64)
        high = np.minimum(low + 1, dose.shape[axis] - 1)
        part = (place - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        dose = dose.take(low, axis) * (1 - part) + dose.take(high, axis) * part
    return dose
