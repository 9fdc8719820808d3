"""Local deposition: all energy of a decay stays in its voxel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.density import kg_per_voxel
from voxeldose.errors import GeometryError
from voxeldose.geometry.resample import onto
from voxeldose.model.densities import AIR_G_PER_ML
from voxeldose.model.kernel import VoxelKernel
from voxeldose.model.radionuclide import JOULE_PER_MEV, Y90
from voxeldose.model.volume import DecayMap, DensityMap, DoseMap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxeldose.model.grid import Grid
    from voxeldose.model.remarks import Remark

__all__ = ["LocalDeposition"]


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

    def facts(self) -> Mapping[str, object]:
        """Nothing: there is no kernel."""
        return {}

    def remarks(self) -> tuple[Remark, ...]:
        """None: what this leaves out is its one sentence."""
        return ()

    def point_spread(self, grid: Grid, density_g_per_ml: float) -> VoxelKernel:
        """One voxel that keeps everything."""
        return VoxelKernel(
            np.ones((1, 1, 1)), grid.spacing_mm, Y90.energy_mev, density_g_per_ml, reach_mm=0.0, source=self.describe()
        )

    def dose(self, decays: DecayMap, density: DensityMap | float, grid: Grid | None = None) -> DoseMap:
        """Dose in each voxel.

        Parameters
        ----------
        decays : DecayMap
            All decays in each voxel; negative ones (noise) are kept.
        density : DensityMap or float
            In g/mL; a map must lie on the grid of ``decays``. Voxels below 0.05 g/mL (air) get zero dose, since energy
            over nearly no mass is not a dose; the energy is reported as lost.
        grid : Grid, optional
            Where the dose is wanted: both images are brought onto it, activity spread evenly over each of its voxels.
        """
        if grid is not None:
            return self.dose(onto(decays, grid), onto(density, grid) if isinstance(density, DensityMap) else density)
        decays.require_finite()
        energy_j = decays.decays.astype(np.float64) * (decays.radionuclide.energy_mev * JOULE_PER_MEV)
        if isinstance(density, DensityMap):
            _require_match(decays, density)
            rho = density.g_per_ml.astype(np.float64)
            tissue = rho >= AIR_G_PER_ML
            dose = np.where(tissue, energy_j / np.where(tissue, rho, 1.0), 0.0) / (decays.grid.voxel_volume_ml * 1e-3)
            emitted = energy_j.sum()
            lost = float(energy_j[~tissue].sum() / emitted) if emitted else 0.0
            return DoseMap(
                dose.astype(np.float32),
                decays.grid,
                method=self.describe(),
                is_even_in_voxels=True,
                energy_lost_fraction=lost,
            )
        gy = (energy_j / kg_per_voxel(decays, density)).astype(np.float32)
        return DoseMap(gy, decays.grid, method=self.describe(), is_even_in_voxels=True)


def _require_match(decays: DecayMap, density: DensityMap) -> None:
    if not density.grid.matches(decays.grid):
        msg = "The density image must lie on the grid of the decays; resample it first (resample.onto)."
        raise GeometryError(msg, code="grid-differs")
