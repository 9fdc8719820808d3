"""Decays and a density image to dose: straight rays on the water-equivalent path.

A kernel for a uniform medium is tens of per cent wrong next to a lung, and dividing it by the local density is worse.
Here each voxel's energy is carried along straight rays and spent by the mass it crosses.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from voxeldose.dose.engines.convolution import Convolution
from voxeldose.dose.engines.kernel_remarks import kernel_facts, loss_remarks
from voxeldose.dose.engines.rays.cells import Cells, cells_near, energy_from_cells, lattice_around, places
from voxeldose.dose.engines.rays.classes import CellClass, by_strength, classes_of
from voxeldose.dose.engines.rays.even import STRICT, USUAL, spend_evenly
from voxeldose.dose.engines.rays.table import (
    END,
    LUNG_G_PER_ML,
    SOFT_TISSUE_G_PER_ML,
    STEPS_PER_MM,
    Bundle,
    bundles,
    energy_table,
    rays_for,
)
from voxeldose.dose.engines.rays.tail import add_tail
from voxeldose.dose.engines.threads import processors
from voxeldose.dose.engines.voxelise import voxelise
from voxeldose.errors import GeometryError, QuantityError
from voxeldose.geometry.resample import onto
from voxeldose.model.densities import AIR_G_PER_ML, DENSEST_G_PER_ML
from voxeldose.model.kernel import DEFAULT_REACH_MM, PointKernel
from voxeldose.model.radionuclide import JOULE_PER_MEV
from voxeldose.model.remarks import Remark
from voxeldose.model.volume import DecayMap, DensityMap, DoseMap

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from voxeldose.model.arrays import Doubles, Floats, Integers, Reals
    from voxeldose.model.grid import Grid
    from voxeldose.model.kernel import VoxelKernel
    from voxeldose.model.radionuclide import Radionuclide

__all__ = ["SOFT_TISSUE_RANGE", "RayTransport"]

Window = tuple[slice, slice, slice]

#: Range in g/cm² in ICRU four-component soft tissue of 1.05 g/mL, against water: own Monte Carlo (tables/README.md). At
#: 0.26 g/mL the same atoms stop as water does, since the density effect is weaker in thin media: 1.00.
SOFT_TISSUE_RANGE: Final = 1.0122


_FEWEST_RAYS, _MOST_RAYS = 64, 1 << 16

#: Parts the sources are shared into, each with its own sum: fixed, so that any number of threads gives the same bits.
_PARTS = 8

#: Rays see the density image down to this voxel size.
_FINEST_DENSITY_MM = 2.0


@dataclass(frozen=True, eq=False)
class RayTransport:
    """Each voxel's energy carried along straight rays, spent by the mass that they cross.

    A ray that has crossed a water-equivalent path ``t`` (mm times g/mL, divided by the tissue's range factor) has left
    the part ``F(t)`` of its energy behind, ``F`` being the point kernel's energy within a radius. What it leaves in a
    voxel is the difference over the voxel, so energy is conserved and there is no pole at the source. Rays start all
    over the source voxel and are averaged along their chord of it.

    In plane layers of one composition this is exact, scatter back and forth included: transport there depends on mass per
    area alone, whatever the densities. Elsewhere scatter is as in water at the same path: not modelled are backscatter at bone, metal and air and the range factors of
    bone and fat. Against full Monte Carlo (benchmarks/tables): layers of liver and lung within 15 mm of their border agree
    within 2.2 %, liver voxels around a hot sphere that touches lung within the noise of 1 %; lung voxels of 2.5 mm right above
    it get 3 % too much, as betas that turn in lung spread farther aside than straight rays; the first 4 mm of bone get 3.4 %
    too much.

    Where density is even (to 3 % within reach, noise averaged over 10 mm; to 0.9 % with ``rays``) the exact kernel of that density
    takes the place of rays, if image and dose have one lattice: only where density varies does it cost more. No ray starts in air.

    Rays are finite in number, so voxels are noisy (benchmarks/bench_density.py; bench_noisy.py for PETs with noise in every voxel:
    1.4 and 1.7 %, lung 3.1 and 3.8 % on its two phantoms; on the first 0.3 % where the dose exceeds a fifth of its maximum). Rms over voxels above 1 % of the maximum:
    0.3 % (lung 0.9 %) with image, dose and density on 4.8 mm, 0.9 % (2.1 %) with the density of a CT and activity that ends at
    voxels; 1.1 % (2.2 %) with all three on a CT grid of 1 mm; 1.2 % (1.6 %) on a dose grid of 2 mm under an image of 4.8 mm;
    on a CT grid of 1 mm under such an image 1 % where the dose exceeds a fifth of its maximum, but 10 % far from the
    activity. Means over a layer of voxels are within 1.5 %.

    Parameters
    ----------
    kernel : PointKernel
        Of water. It keeps its shape and takes the energy per decay of the run's constants.
    rays : int, optional
        Rays per voxel, a power of two, from each of the parts in which rays see it where the density image is finer. Without it a
        number by the voxel's size (1024 from 2.5 mm on, cube root of the volume, 512 from 1 mm on, 256 below) and by what lies around
        (:mod:`voxeldose.dose.engines.rays.classes`): twice as many from strong sources at an edge of density, in parts; half at other
        edges and in lung; a quarter in soft tissue.
    soft_tissue_range : float
        Range factor from 1.05 g/mL on; falls with the logarithm of density, as the density effect does, to 1 at
        0.26 g/mL (lung). One density all over the image says nothing of tissue: there it is 1, water of that density, and the
        dose is that of ``Convolution``.
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
            raise QuantityError(msg, code="value-out-of-range", field="rays", found=rays)
        if not 0.9 <= self.soft_tissue_range <= 1.1:
            msg = f"A range factor against water lies near 1 (soft tissue {SOFT_TISSUE_RANGE}), found {self.soft_tissue_range}."
            raise QuantityError(msg, code="value-out-of-range", field="soft_tissue_range", found=self.soft_tissue_range)
        if not (math.isfinite(self.tail_mm) and self.tail_mm >= 0) or (self.threads is not None and self.threads < 1):
            msg = f"tail_mm must be 0 or more and threads 1 or more, found {self.tail_mm} and {self.threads}."
            raise QuantityError(msg, code="value-out-of-range", field="tail_mm, threads")

    def describe(self) -> str:
        """One sentence for the report."""
        rays = (
            "64 to 2048 rays from each voxel by its size, most where density changes and from strong sources; none from air"
            if self.rays is None
            else f"{self.rays} rays per voxel"
        )
        tail = (
            f"bremsstrahlung from there to {self.tail_mm:g} mm added as in water"
            if self.tail_mm > DEFAULT_REACH_MM
            else "bremsstrahlung beyond counted as lost"
        )
        return (
            f"Straight rays through the density image ({rays}; exact kernel where density is even within reach), energy spent on the "
            f"water-equivalent path up to {DEFAULT_REACH_MM:g} mm, {tail}; range factor {self.soft_tissue_range:g} for "
            f"soft tissue, bone and fat, 1 for lung; kernel: {self.kernel.source}."
        )

    def facts(self) -> Mapping[str, object]:
        """Source, energy, reach and hash of the kernel; beyond the reach of rays only the tail is added."""
        return kernel_facts(self.kernel, DEFAULT_REACH_MM)

    def remarks(self) -> tuple[Remark, ...]:
        """What straight rays leave out, and the energy beyond rays and tail."""
        straight = Remark(
            "rays-straight",
            {"soft_tissue_range": self.soft_tissue_range},
            "Betas are carried along straight rays with scatter as in water at the same path; backscatter at bone, metal and air and "
            "the range factors of bone and fat are not modelled.",
        )
        return (straight, *loss_remarks(self.kernel, max(self.tail_mm, DEFAULT_REACH_MM)))

    def point_spread(self, grid: Grid, density_g_per_ml: float) -> VoxelKernel:
        """The kernel of a uniform medium; where density varies, rays go farther and less far than it says."""
        return voxelise(self.kernel, grid.spacing_mm, density_g_per_ml=density_g_per_ml)

    def dose(self, decays: DecayMap, density: DensityMap | float, grid: Grid | None = None) -> DoseMap:
        """Dose in each voxel of ``grid``.

        Rays start in the voxels of ``decays``, evenly all over each of them, and cross the density as finely as its image
        has it, down to 2 mm; what they leave in a voxel of ``grid`` is divided by its mass. No image is resampled but the
        density, by mean density.

        Parameters
        ----------
        decays : DecayMap
            All decays in each voxel of a right-angled grid; negative ones (noise) are kept.
        density : DensityMap or float
            In g/mL, on any grid. A uniform density takes the exact kernel if ``grid`` is that of ``decays``. Voxels below
            0.05 g/mL (air) get zero dose; where there is no density, and at the edge of its image, rays end.
        grid : Grid, optional
            Where the dose is wanted; that of ``decays`` without it. Activity outside it counts, as far as rays reach.

        Returns
        -------
        DoseMap
            ``energy_lost_fraction`` holds what was left in air, left the image, the longest ray or the tail.

        Raises
        ------
        GeometryError
            If the grid of ``decays`` is sheared, or frames of reference differ.
        QuantityError
            If a number is not finite, or a density is none of matter.
        """
        grid = decays.grid if grid is None else grid
        _require_usable(decays, density, grid)
        rho = (
            onto(density, grid).g_per_ml if isinstance(density, DensityMap) else np.full((1, 1, 1), density, np.float32)
        )
        joule = decays.radionuclide.energy_mev * JOULE_PER_MEV
        voxel_l = grid.voxel_volume_ml * 1e-3
        gy = np.zeros(grid.shape, np.float32)
        uniform = _uniform(rho) if isinstance(density, DensityMap) else density
        if uniform is not None and self.soft_tissue_range != 1:  # says nothing of tissue
            return replace(self, soft_tissue_range=1.0).dose(decays, uniform, grid)
        if grid.matches(decays.grid) and uniform is not None:
            gy[:] = Convolution(self.kernel).dose(decays, uniform).gy
        elif (cells := _outside_air(cells_near(decays, grid), density)).amounts.size:
            energy, crop = self._energy(cells, density, grid, decays.radionuclide)
            mass = np.broadcast_to(rho, grid.shape)[crop]
            gy[crop] = np.where(mass >= AIR_G_PER_ML, energy * (joule / voxel_l) / np.maximum(mass, AIR_G_PER_ML), 0)
        if self.tail_mm > DEFAULT_REACH_MM:
            add_tail(self.kernel, decays, self.tail_mm, gy, grid)
            gy[np.broadcast_to(rho < AIR_G_PER_ML, gy.shape)] = 0
        emitted = decays.total() * joule
        kept = float(np.einsum("kji,kji->", gy, np.broadcast_to(rho, gy.shape), dtype=np.float64)) * voxel_l
        lost = 1 - kept / emitted if emitted else 0.0
        gy.setflags(write=False)  # otherwise DoseMap would copy it
        return DoseMap(gy, grid, method=self.describe(), energy_lost_fraction=lost)

    def _range_factor(self, rho: Doubles) -> Doubles:
        known = np.log([LUNG_G_PER_ML, SOFT_TISSUE_G_PER_ML])
        return np.asarray(np.interp(np.log(np.maximum(rho, 1e-6)), known, [1.0, self.soft_tissue_range]))

    def _tau(self, rho: Reals) -> Doubles:
        """Water-equivalent mm per mm."""
        dense = np.asarray(rho, np.float64)
        return np.where(dense > 0, dense / self._range_factor(dense), END)

    def _energy(
        self, cells: Cells, density: DensityMap | float, grid: Grid, radionuclide: Radionuclide
    ) -> tuple[Doubles, Window]:
        """Energy in voxels of ``grid`` in units of the energy of one decay, and the part of ``grid`` that it fills."""
        around = lattice_around(cells, grid)
        parts = _parts_of_a_voxel(grid, density)
        fine = _density_for_rays(density, around, parts)
        whole = _density_for_rays(density, around, (1, 1, 1))
        energy = np.zeros(around.shape)
        size = np.abs(cells.amounts)
        average = float((size**2).sum() / size.sum())
        if _same_lattice(cells.grid, around):
            limits, seen = (USUAL, whole) if self.rays is None else (STRICT, fine)
            blocks = seen.reshape(_blocks(around, (1, 1, 1) if self.rays is None else parts))
            cells = spend_evenly(
                self.kernel, cells, around, grid, blocks, self._range_factor, radionuclide, energy, limits
            )
        for one in self._classes(cells, around, whole, parts, average) if cells.amounts.size else ():
            some = cells.some(one.chosen)
            if one.in_parts:
                energy += self._through(some, around, parts, fine, one.rays)
            else:
                energy += self._through(some, around, (1, 1, 1), whole, one.rays)
        first = grid.first_voxel_of(around)
        low, high = np.maximum(first, 0), np.minimum(first + around.shape, grid.shape)
        inside = tuple(slice(a - f, b - f) for a, b, f in zip(low, high, first, strict=True))
        return energy[inside], (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))

    def _classes(
        self, cells: Cells, around: Grid, whole: Reals, parts: tuple[int, int, int], average: float
    ) -> Iterable[CellClass]:
        """Which sources take how many rays."""
        if self.rays is not None:
            return [CellClass("all", np.ones(cells.amounts.shape, bool), self.rays, in_parts=True)]
        if _same_lattice(cells.grid, around):
            at = places(cells, around)
            return classes_of(at, cells.amounts / average, whole, np.array(around.spacing_mm), parts)
        return by_strength(cells.amounts / average, None)

    def _through(
        self,
        cells: Cells,
        around: Grid,
        parts: tuple[int, int, int],
        rho: Reals,
        rays: int | None,
    ) -> Doubles:
        """Energy in voxels of ``around``, each seen by the rays in ``parts``, of density ``rho``."""
        tau = self._tau(rho)
        if _same_lattice(cells.grid, around):
            energy = self._from_voxels(cells, around, parts, tau, rays)
        else:
            lattice = _in_parts(around, parts)
            energy = energy_from_cells(self.kernel, cells, lattice, tau, rays, self.threads)
        return np.asarray(energy.reshape(_blocks(around, parts)).sum(axis=(1, 3, 5)))

    def _from_voxels(
        self, cells: Cells, around: Grid, parts: tuple[int, int, int], part_tau: Doubles, rays: int | None
    ) -> Doubles:
        """As :func:`energy_from_cells` where each cell is a block of voxels: one way through them for all, known before."""
        voxel_mm = np.array(around.spacing_mm)
        tau = np.pad(part_tau, 1, constant_values=END)
        strides = np.array([tau.shape[1] * tau.shape[2], tau.shape[2], 1])
        sources = (places(cells, around) * parts + 1) @ strides
        densest = max(SOFT_TISSUE_G_PER_ML, float(tau[tau < END].max(initial=0)))
        table = energy_table(self.kernel, densest * float(np.linalg.norm(voxel_mm)))
        rows = bundles(self.kernel, voxel_mm, parts, rays or rays_for(voxel_mm / parts), table)
        energy = _trace_all(sources, cells.amounts, tau, rows, table, self.threads)
        return energy.reshape(tau.shape)[1:-1, 1:-1, 1:-1]


def _outside_air(cells: Cells, density: DensityMap | float) -> Cells:
    """Sources that are not in air: energy emitted over nearly no mass is lost, and rays from there would light up the skin."""
    if not isinstance(density, DensityMap):
        return cells
    of_cell = onto(density, cells.grid).g_per_ml[tuple(cells.index.T)]
    return cells.some(of_cell >= AIR_G_PER_ML)


def _same_lattice(one: Grid, other: Grid) -> bool:
    """Whether the voxels of both are those of one lattice."""
    matrix, offset = one.to_index_of(other)
    return bool(np.allclose(matrix, np.eye(3), atol=1e-6) and np.allclose(offset, np.rint(offset), atol=1e-4))


def _uniform(rho: Floats) -> float | None:
    low, high = float(rho.min()), float(rho.max())
    return high if high - low <= 1e-6 * high and high >= AIR_G_PER_ML else None


def _in_parts(around: Grid, parts: tuple[int, int, int]) -> Grid:
    return around.with_spacing([s / n for s, n in zip(around.spacing_mm, parts, strict=True)])


def _blocks(around: Grid, parts: tuple[int, int, int]) -> list[int]:
    """Shape in which the parts of each voxel have axes of their own."""
    return [n for pair in zip(around.shape, parts, strict=True) for n in pair]


def _density_for_rays(density: DensityMap | float, around: Grid, parts: tuple[int, int, int]) -> Reals:
    """The density that rays cross, on the parts of voxels."""
    lattice = _in_parts(around, parts)
    if isinstance(density, DensityMap):
        return onto(density, lattice).g_per_ml
    return np.full(lattice.shape, density)


def _parts_of_a_voxel(grid: Grid, density: DensityMap | float) -> tuple[int, int, int]:
    """Into how many parts rays see a voxel along each axis: as finely as the density image has it."""
    if not isinstance(density, DensityMap):
        return 1, 1, 1
    nearest = np.abs(grid.directions.T @ density.grid.directions).argmax(axis=1)
    finest = np.maximum(np.array(density.grid.spacing_mm)[nearest], _FINEST_DENSITY_MM)
    k, j, i = (max(1, round(float(n))) for n in np.array(grid.spacing_mm) / finest)
    return k, j, i


def _require_usable(decays: DecayMap, density: DensityMap | float, grid: Grid) -> None:
    decays.require_finite()
    decays.grid.require_same_frame(grid, "Activity image and dose grid")
    if not decays.grid.is_right_angled:
        msg = (
            "The activity grid is sheared (its axes are not perpendicular), so one table of rays does not fit it; "
            "resample the activity image to a right-angled grid."
        )
        raise GeometryError(msg, code="grid-sheared")
    if not isinstance(density, DensityMap):
        if not (math.isfinite(density) and density >= AIR_G_PER_ML):
            msg = f"A tissue density of at least {AIR_G_PER_ML} g/mL is needed, found {density}."
            raise QuantityError(msg, code="density-impossible", found=density, needed_at_least=AIR_G_PER_ML)
        return
    density.require_finite()
    highest = float(density.g_per_ml.max())
    if highest > DENSEST_G_PER_ML:
        msg = f"The density image reaches {highest:g}, more than any matter in g/mL; is it in kg/m³ or HU?"
        raise QuantityError(msg, code="density-impossible", found=highest, needed_at_most=DENSEST_G_PER_ML)


def _trace_all(
    sources: Integers, amounts: Doubles, tau: Doubles, rays: list[Bundle], table: Doubles, threads: int | None
) -> Doubles:
    """Rays of all sources, in a fixed number of ranges that are added in order; ``sources`` are flat indices, rising."""
    from voxeldose._compiled.rays import trace_from_voxels

    flat, strides = tau.ravel(), np.array([tau.shape[1] * tau.shape[2], tau.shape[2], 1])
    rows = []
    for some in rays:
        offset = np.einsum("rsa,oa->ros", some.lines.steps, some.octants * strides)
        row = some.share, some.lines.chord, np.ascontiguousarray(offset), some.lines.length, some.lines.count
        rows.append((int(some.part @ strides), row))
    reach = max(at + int(row[2].max(initial=0)) for at, row in rows)

    def work(some: Integers) -> tuple[int, Doubles]:
        if not some.size:
            return 0, np.zeros(0)
        first = max(0, int(sources[some[0]]) - reach)
        window = np.zeros(min(flat.size, int(sources[some[-1]]) + reach + 1) - first)
        for at, row in rows:
            here = some[flat[sources[some] + at] < END]
            trace_from_voxels(
                *(sources[here] + at, amounts[here], flat, *row, table),
                *(float(STEPS_PER_MM), DEFAULT_REACH_MM, window, first),
            )
        return first, window

    total = np.zeros(flat.size)
    with ThreadPoolExecutor(threads or processors()) as pool:
        for first, window in pool.map(work, np.array_split(np.arange(sources.size), _PARTS)):
            total[first : first + window.size] += window
    return total
