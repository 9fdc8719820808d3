"""Decays to dose by a kernel: local deposition and dose-point-kernel convolution.

Both engines have the seam that ``pipeline.assess`` calls: ``name``, ``describe()`` and ``dose(decays, density)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dpk import DEFAULT_REACH_MM, PointKernel, VoxelKernel, voxelise
from voxeldose.errors import GeometryError, QuantityError
from voxeldose.radionuclide import JOULE_PER_MEV
from voxeldose.volume import DecayMap, DensityMap, DoseMap

if TYPE_CHECKING:
    import numpy.typing as npt

    from voxeldose.volume import FloatArray

__all__ = ["Convolution", "LocalDeposition"]

#: Below this density local deposition divides by nearly nothing; such voxels (air) get no dose and are counted.
AIR_G_PER_ML = 0.05


@dataclass(frozen=True, eq=False)
class LocalDeposition:
    """All energy stays in the voxel where it is emitted: ``D = K A / m``, voxel by voxel.

    The default of the EANM's standard procedure for Y-90 PET (Chiesa 2021, doi:10.1186/s40658-021-00394-3). On images
    blurrier than about 3 mm it is nearer the true mean dose than a second blur by a kernel (Pasciak 2014,
    doi:10.3389/fonc.2014.00121).
    """

    name = "local"

    def describe(self) -> str:
        """One sentence for the report."""
        return "Local deposition: all beta energy stays in the voxel where it is emitted."

    def dose(self, decays: DecayMap, density: DensityMap | float) -> DoseMap:
        """Dose in each voxel.

        Parameters
        ----------
        decays : DecayMap
            All decays in each voxel; negative ones (noise) are kept.
        density : DensityMap or float
            In g/mL; a map must lie on the grid of ``decays``. Voxels below 0.05 g/mL (air) get zero dose, since energy
            over nearly no mass is not a dose; the energy is reported as lost.
        """
        decays.require_finite()
        energy_j = decays.decays.astype(np.float64) * (decays.radionuclide.energy_mev * JOULE_PER_MEV)
        if isinstance(density, DensityMap):
            _require_match(decays, density)
            rho = density.g_per_ml.astype(np.float64)
            tissue = rho >= AIR_G_PER_ML
            dose = np.where(tissue, energy_j / np.where(tissue, rho, 1.0), 0.0) / (decays.grid.voxel_volume_ml * 1e-3)
            emitted = energy_j.sum()
            lost = float(energy_j[~tissue].sum() / emitted) if emitted else 0.0
            return DoseMap(dose.astype(np.float32), decays.grid, method=self.describe(), energy_lost_fraction=lost)
        gy = (energy_j / _voxel_kg(decays, density)).astype(np.float32)
        return DoseMap(gy, decays.grid, method=self.describe())


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

    def voxel_kernel(self, decays: DecayMap, density: float) -> VoxelKernel:
        """The kernel for this grid and density, or the given one if it fits.

        Raises
        ------
        GeometryError
            If the grid is sheared, or a given voxel kernel was made for another spacing.
        QuantityError
            If a given voxel kernel was made for another density.
        """
        grid = decays.grid
        if not grid.is_right_angled:
            msg = (
                "The activity grid is sheared (its axes are not perpendicular), so no voxel kernel fits it; "
                "resample the image to a right-angled grid, or ask for --grid MM."
            )
            raise GeometryError(msg)
        if isinstance(self.kernel, PointKernel):
            return voxelise(self.kernel, grid.spacing_mm, density_g_per_ml=density, reach_mm=self.reach_mm)
        if not np.allclose(self.kernel.spacing_mm, grid.spacing_mm, rtol=1e-4):
            msg = (
                f"The dose grid has spacing {grid.spacing_mm} mm (k, j, i) but the kernel was made for "
                f"{self.kernel.spacing_mm} mm; call voxelise(kernel, grid.spacing_mm)."
            )
            raise GeometryError(msg)
        if not math.isclose(self.kernel.density_g_per_ml, density, rel_tol=1e-6):
            msg = (
                f"The voxel kernel was made for {self.kernel.density_g_per_ml} g/mL but the run has {density} g/mL; "
                "call voxelise with that density."
            )
            raise QuantityError(msg)
        return self.kernel

    def dose(self, decays: DecayMap, density: DensityMap | float) -> DoseMap:
        """Dose in each voxel of the grid of ``decays``.

        Parameters
        ----------
        decays : DecayMap
            All decays in each voxel of a right-angled grid; negative ones (noise) are kept.
        density : float
            Of the uniform medium in g/mL. A :class:`DensityMap` is refused: dividing a water convolution by the local
            density doubles the dose in the first lung layer and starves what lies behind it.

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
            raise QuantityError(msg)
        decays.require_finite()
        voxel_kg = _voxel_kg(decays, density)
        kernel = self.voxel_kernel(decays, density)
        energy = _convolve(decays.decays, kernel.energy_fraction)
        joule = decays.radionuclide.energy_mev * JOULE_PER_MEV
        emitted = decays.total()
        lost = 1 - float(energy.sum()) / emitted if emitted else 0.0
        gy = (energy * (joule / voxel_kg)).astype(np.float32)
        return DoseMap(gy, decays.grid, method=self.describe(), energy_lost_fraction=lost)


def _voxel_kg(decays: DecayMap, density_g_per_ml: float) -> float:
    if not (math.isfinite(density_g_per_ml) and density_g_per_ml >= AIR_G_PER_ML):
        msg = f"A tissue density of at least {AIR_G_PER_ML} g/mL is needed, found {density_g_per_ml}."
        raise QuantityError(msg)
    return density_g_per_ml * decays.grid.voxel_volume_ml * 1e-3


def _require_match(decays: DecayMap, density: DensityMap) -> None:
    if not density.grid.matches(decays.grid):
        msg = "The density image must lie on the grid of the decays; resample it first (resample.onto)."
        raise GeometryError(msg)


def _convolve(source: FloatArray, kernel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Linear convolution, same size, zeros outside; works on the box that holds activity plus the kernel's reach.

    In float64, where the FFT's rounding is 1e-16 of the maximum: what a non-negative source leaves below zero is that
    rounding and is set to zero.
    """
    from scipy import fft

    result = np.zeros(source.shape)
    filled = source != 0
    if not filled.any():
        return result
    reach = [n // 2 for n in kernel.shape]
    box, into = [], []
    for axis in range(3):
        rows = np.flatnonzero(filled.any(axis=tuple(a for a in range(3) if a != axis)))
        low, high = int(rows[0]), int(rows[-1]) + 1
        box.append(slice(low, high))
        into.append((low - reach[axis], high + reach[axis]))
    part = source[tuple(box)].astype(np.float64)
    full = [high - low for low, high in into]
    fast = [fft.next_fast_len(n, real=True) for n in full]
    spectrum = fft.rfftn(part, fast)
    spectrum *= fft.rfftn(kernel, fast)
    spread = fft.irfftn(spectrum, fast)
    here = tuple(slice(max(0, low), min(n, high)) for (low, high), n in zip(into, source.shape, strict=True))
    there = tuple(slice(h.start - low, h.stop - low) for h, (low, _) in zip(here, into, strict=True))
    result[here] = spread[there]
    if part.min() >= 0:
        np.maximum(result, 0, out=result)
    return result
