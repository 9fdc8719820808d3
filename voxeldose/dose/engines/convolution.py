"""Decays to dose by convolution with a dose point kernel, in a uniform medium."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.density import kg_per_voxel
from voxeldose.dose.engines.convolve import convolve
from voxeldose.dose.engines.kernel_remarks import kernel_facts, loss_remarks, range_remark
from voxeldose.dose.engines.voxelise import voxelise
from voxeldose.errors import GeometryError, QuantityError
from voxeldose.geometry.resample import onto
from voxeldose.model.kernel import DEFAULT_REACH_MM, PointKernel, VoxelKernel
from voxeldose.model.radionuclide import JOULE_PER_MEV
from voxeldose.model.volume import DecayMap, DensityMap, DoseMap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxeldose.model.arrays import Floats
    from voxeldose.model.grid import Grid
    from voxeldose.model.remarks import Remark

__all__ = ["Convolution"]


#: Size of the parts that voxels of a dose grid other than the image's are cut into, and how many there may be in all.
PART_MM, MOST_PARTS = 1.5, 6 * 10**7


@dataclass(frozen=True, eq=False)
class Convolution:
    """Decays convolved with the voxel kernel of a uniform medium; no activity outside the image.

    Parameters
    ----------
    kernel : PointKernel or VoxelKernel
        A point kernel is voxelised for each grid and density. A voxel kernel must fit both. Either keeps its shape and
        takes the energy per decay of the run's constants.
    reach_mm : float
        Radius in water at which a point kernel ends.
    """

    kernel: PointKernel | VoxelKernel
    reach_mm: float = DEFAULT_REACH_MM
    name = "dpk"

    def describe(self) -> str:
        """One sentence for the report."""
        return (
            f"Dose point kernel convolution in a uniform medium, kernel cut at {self.reach_mm:g} mm of water; "
            f"kernel: {self.kernel.source}."
        )

    def facts(self) -> Mapping[str, object]:
        """Source, energy, reach and loss of the kernel, and the hash of its table."""
        return kernel_facts(self.kernel, self.reach_mm)

    def remarks(self) -> tuple[Remark, ...]:
        """How the kernel was brought to the run's density, and the energy that it leaves out."""
        return (range_remark(self.kernel), *loss_remarks(self.kernel, self.reach_mm))

    def _margin_mm(self, density: float) -> float:
        """How far beyond a grid activity gives dose inside it."""
        return self.kernel.reach_mm if isinstance(self.kernel, VoxelKernel) else self.reach_mm / density

    def point_spread(self, grid: Grid, density_g_per_ml: float) -> VoxelKernel:
        """The voxel kernel for this grid and density, or the given one if it fits.

        Raises
        ------
        GeometryError
            If the grid is sheared, or a given voxel kernel was made for another spacing.
        QuantityError
            If a given voxel kernel was made for another density.
        """
        density = density_g_per_ml
        if not grid.is_right_angled:
            msg = (
                "The activity grid is sheared (its axes are not perpendicular), so no voxel kernel fits it; "
                "resample the image to a right-angled grid, or ask for --grid MM."
            )
            raise GeometryError(msg, code="grid-sheared")
        if isinstance(self.kernel, PointKernel):
            return voxelise(self.kernel, grid.spacing_mm, density_g_per_ml=density, reach_mm=self.reach_mm)
        if not np.allclose(self.kernel.spacing_mm, grid.spacing_mm, rtol=1e-4):
            msg = (
                f"The dose grid has spacing {grid.spacing_mm} mm (k, j, i) but the kernel was made for "
                f"{self.kernel.spacing_mm} mm; call voxelise(kernel, grid.spacing_mm)."
            )
            raise GeometryError(
                msg, code="kernel-spacing-differs", found=self.kernel.spacing_mm, needed=grid.spacing_mm
            )
        if not math.isclose(self.kernel.density_g_per_ml, density, rel_tol=1e-6):
            msg = (
                f"The voxel kernel was made for {self.kernel.density_g_per_ml} g/mL but the run has {density} g/mL; "
                "call voxelise with that density."
            )
            raise QuantityError(msg, code="kernel-density-differs", found=self.kernel.density_g_per_ml, needed=density)
        return self.kernel

    def dose(self, decays: DecayMap, density: DensityMap | float, grid: Grid | None = None) -> DoseMap:
        """Dose in each voxel of ``grid``, or of the grid of ``decays``.

        Parameters
        ----------
        decays : DecayMap
            All decays in each voxel of a right-angled grid; negative ones (noise) are kept.
        density : float
            Of the uniform medium in g/mL. A :class:`DensityMap` is refused: dividing a water convolution by the local
            density doubles the dose in the first lung layer and starves what lies behind it.
        grid : Grid, optional
            Where the dose is wanted, if not on the grid of ``decays``. Activity within reach of it counts. It is spread evenly
            over parts of its voxels (:data:`PART_MM`), and a voxel's dose is the mean of its parts: spread over whole voxels of
            4 mm, a single hot voxel would lose a quarter of its dose.

        Returns
        -------
        DoseMap
            Non-negative where ``decays`` is; ``energy_lost_fraction`` holds what left the kernel's reach or the grid.
        """
        if isinstance(density, DensityMap):
            msg = (
                "The dpk engine takes one uniform density, not a density image: a water kernel is wrong where density "
                'varies. Use density = "uniform", or engine = "local" with the image.'
            )
            raise QuantityError(msg, code="engine-takes-no-density-image", engine=self.name)
        if grid is not None and not grid.matches(decays.grid):
            kg_per_voxel(decays, density)  # refuses what is no tissue
            margin = [math.ceil(self._margin_mm(density) / s) for s in grid.spacing_mm]
            wide = grid.window([-m for m in margin], [n + 2 * m for n, m in zip(grid.shape, margin, strict=True)])
            parts = _parts_of_a_voxel(wide) if isinstance(self.kernel, PointKernel) else (1, 1, 1)
            fine = wide.with_spacing([s / n for s, n in zip(wide.spacing_mm, parts, strict=True)])
            dose = self.dose(onto(decays, fine), density)
            if max(parts) == 1:
                return dose.window(grid)
            blocks = dose.gy.reshape([n for pair in zip(wide.shape, parts, strict=True) for n in pair])
            return dose.replaced(blocks.mean(axis=(1, 3, 5)), wide).window(grid)
        from voxeldose._compiled.convolve import find_reach

        voxel_kg = kg_per_voxel(decays, density)
        kernel = self.point_spread(decays.grid, density)
        values = decays.decays
        reach = find_reach(values, kernel.energy_fraction.shape)
        if reach is None:
            return DoseMap(np.zeros(values.shape, np.float32), decays.grid, method=self.describe())
        emitted = _sum(values, reach.box)
        if not math.isfinite(emitted):
            decays.require_finite()
            emitted = decays.total()  # finite values, but too large for a row's sum in float32
        gy_per_decay = decays.radionuclide.energy_mev * JOULE_PER_MEV / voxel_kg
        gy = convolve(values, kernel.energy_fraction * gy_per_decay, reach)
        lost = 1 - _sum(gy, reach.out) / gy_per_decay / emitted if emitted else 0.0
        gy.setflags(write=False)  # otherwise DoseMap would copy it
        return DoseMap(gy, decays.grid, method=self.describe(), energy_lost_fraction=lost)


def _parts_of_a_voxel(grid: Grid) -> tuple[int, int, int]:
    """Into how many parts each voxel of a grid is cut along each axis; fewer where the memory would not do."""
    parts = [max(1, round(s / PART_MM)) for s in grid.spacing_mm]
    while math.prod(grid.shape) * math.prod(parts) > MOST_PARTS and max(parts) > 1:
        parts[parts.index(max(parts))] -= 1
    k, j, i = parts
    return k, j, i


def _sum(values: Floats, part: tuple[slice, slice, slice]) -> float:
    """Sum of a part: each row pairwise in float32 (1e-7 of the row), the rows in float64; not finite if a value is not."""
    with np.errstate(over="ignore", invalid="ignore"):
        return float(values[part].sum(axis=2).sum(dtype=np.float64))
