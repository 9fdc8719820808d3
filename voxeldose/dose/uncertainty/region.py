"""A region that is moved by parts of a voxel over the dose of a run, and measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.metrics import COVERAGES_GY, FRACTIONS
from voxeldose.dose.uncertainty.inputs import REACH_SIGMAS
from voxeldose.dose.uncertainty.mean_dose import diameter_sd_mm
from voxeldose.geometry.outline import Outline
from voxeldose.model.dvh import ROUNDING, Dvh
from voxeldose.model.limits import with_tolerance
from voxeldose.model.metric import Metric

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from voxeldose.dose.uncertainty.inputs import Condition, Spread
    from voxeldose.dose.uncertainty.noise import NoiseField
    from voxeldose.model.arrays import Doubles, Floats
    from voxeldose.model.assessment import Assessment
    from voxeldose.model.grid import Grid
    from voxeldose.model.roi import Roi


__all__ = ["MetricList", "MovingRegion"]

#: Points of a DVH band.
BAND_POINTS = 61


@dataclass(frozen=True)
class MetricList:
    """What is measured in a region: the mean, doses to fractions of the volume, and coverages."""

    fractions: tuple[float, ...]
    coverages_gy: tuple[float, ...]

    @classmethod
    def of(cls, conditions: tuple[Condition, ...]) -> MetricList:
        """What every run reports, and what conditions ask for."""
        asked = [m for c in conditions if (m := Metric.parse(c.metric)) is not None]
        fractions = [m.number / 100 for m in asked if m.kind == "d"]
        coverages = [m.number for m in asked if m.kind == "v"]
        return cls(tuple(dict.fromkeys((*FRACTIONS, *fractions))), tuple(dict.fromkeys((*COVERAGES_GY, *coverages))))

    @property
    def names(self) -> list[str]:
        """Names of the metrics; points of the DVH have none."""
        doses = [Metric("d", 100 * f).key for f in self.fractions]
        return [Metric("mean").key, *doses, *(Metric("v", d).key for d in self.coverages_gy)]

    @property
    def doses(self) -> int:
        """How many numbers of a row are doses; coverages and points of the DVH follow."""
        return 1 + len(self.fractions)


@dataclass(frozen=True, eq=False)
class MovingRegion:
    """A region on a box of the dose grid with space to move, and the distance of each voxel from its outline."""

    name: str
    grid: Grid
    gy: Floats
    occupancy: Floats
    outline: Outline | None
    contour_sd_mm: float
    metrics: MetricList
    band_gy: Doubles

    @classmethod
    def of(cls, result: Assessment, name: str, spread: Spread, metrics: MetricList) -> MovingRegion:
        """A region of a run, with space for the errors stated."""
        roi, whole = result.regions[name], result.dose.grid
        contour = spread.contour_mm or _contour_by_resolution(result, roi, spread)
        reach = REACH_SIGMAS * (contour + spread.registration_mm)
        first = whole.first_voxel_of(roi.grid)
        margin = np.ceil(reach / np.array(whole.spacing_mm)).astype(int)
        low = np.maximum(first - margin, 0)
        high = np.minimum(first + np.array(roi.grid.shape) + margin, whole.shape)
        grid = whole.window(low.tolist(), (high - low).tolist())
        occupancy = roi.on_window(grid)
        outline = Outline.of(occupancy, grid.spacing_mm) if reach else None
        if outline is not None:  # what moved outlines are compared with
            occupancy = outline.moved(0.0, np.zeros(3))
        band = np.linspace(0, 1.25 * max(result.rois[name].d2_gy, 1e-3), BAND_POINTS)
        return cls(name, grid, result.dose.gy[whole.slices_of(grid)], occupancy, outline, contour, metrics, band)

    @property
    def ml(self) -> float:
        """Volume of the region where it is."""
        return self.ml_of(self.occupancy)

    def ml_of(self, occupancy: Floats) -> float:
        """Volume of an occupancy on its box."""
        return float(occupancy.sum(dtype=np.float64)) * self.grid.voxel_volume_ml

    def moved(self, outline_mm: float, shift_mm: ArrayLike) -> Floats:
        """Occupancy with the outline moved outwards and the whole shifted."""
        if self.outline is None:
            return self.occupancy
        return self.outline.moved(outline_mm, shift_mm)

    def noisy_gy(self, field: Floats, noise: NoiseField) -> Floats:
        """Its dose with a field of noise."""
        return self.gy + field[noise.grid.slices_of(self.grid)]

    def measure(self, gy: Floats, occupancy: Floats | None = None) -> Doubles:
        """Every metric and point of the DVH, as one row."""
        dvh = Dvh(
            np.ascontiguousarray(gy), self.occupancy if occupancy is None else occupancy, self.grid.voxel_volume_ml
        )
        dose, volume = dvh.dose_gy, dvh.volume_ml
        total = volume[-1]
        ranks = np.searchsorted(volume, [f * total * (1 - ROUNDING) for f in self.metrics.fractions])
        reached = [with_tolerance(gy, "at least") for gy in (*self.metrics.coverages_gy, *self.band_gy)]
        above = np.searchsorted(-dose, -np.array(reached), side="right")
        covered = np.where(above > 0, volume[above - 1], 0) / total
        return np.array([dvh.mean_gy, *dose[np.minimum(ranks, dose.size - 1)], *covered])

    def mean_gy(self, occupancy: Floats) -> float:
        """The mean alone."""
        return float(np.einsum("kji,kji->", self.gy, occupancy, dtype=np.float64) / occupancy.sum(dtype=np.float64))


def _contour_by_resolution(result: Assessment, roi: Roi, spread: Spread) -> float:
    """Half the uncertainty of a diameter, by the voxels that the region was drawn on and the resolution given."""
    if not spread.contour_fwhm_mm:
        return 0.0
    drawn = result.case.rois[roi.name].grid if roi.name in result.case.rois else roi.grid
    voxel = float(np.prod(drawn.spacing_mm)) ** (1 / 3)
    return diameter_sd_mm(voxel, spread.contour_fwhm_mm) / 2
