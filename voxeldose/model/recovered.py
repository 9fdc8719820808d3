"""What resolution recovery finds: numbers of regions with intervals, the recovered dose, and what was assumed."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.model.metric import Metric

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxeldose.model.remarks import Remark
    from voxeldose.model.roi import RoiSet
    from voxeldose.model.volume import DoseMap, Volume

__all__ = ["Estimate", "Recovered", "RecoveredDvh", "RecoveredMetrics", "RecoveredNumbers", "RecoveredRoi", "Residual"]


@dataclass(frozen=True)
class Estimate:
    """A number and the ends of its 95 % interval; ``None`` where it is not known or would mislead."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def scaled(self, factor: float) -> Estimate:
        """All three numbers times a factor above 0."""
        low, high = (None if end is None else end * factor for end in (self.low, self.high))
        return Estimate(None if self.value is None else self.value * factor, low, high)


NOT_KNOWN = Estimate(None)


@dataclass(frozen=True)
class RecoveredMetrics:
    """Numbers of one region in one outline; names and definitions as in an assessment.

    ``tumor_to_normal`` is the ratio of activity per mL to that of the normal liver, as the run's own T/N is;
    ``tumor_to_normal_by_dose`` that of mean doses. Both are ``None`` for a region that is no tumor.
    """

    mean_dose_gy: Estimate = NOT_KNOWN
    d95_gy: Estimate = NOT_KNOWN
    d70_gy: Estimate = NOT_KNOWN
    d50_gy: Estimate = NOT_KNOWN
    v205_fraction: Estimate = NOT_KNOWN
    v400_fraction: Estimate = NOT_KNOWN
    tumor_to_normal: Estimate = NOT_KNOWN
    tumor_to_normal_by_dose: Estimate = NOT_KNOWN
    activity_mbq: Estimate = NOT_KNOWN
    volume_ml: Estimate = NOT_KNOWN

    @classmethod
    def names(cls) -> list[str]:
        """Of all numbers."""
        return [f.name for f in fields(cls)]

    def scaled(self, factor: float, dvh: RecoveredDvh | None) -> RecoveredMetrics:
        """With so many times the activity: doses and activity grow, coverages are read from the DVH, ratios and volumes stay.

        Without a DVH coverages are not known.
        """
        changed = {}
        for name in self.names():
            metric = Metric.parse(name)
            if metric is not None and metric.is_fraction:
                known = dvh is not None and getattr(self, name).value is not None
                changed[name] = dvh.estimate(metric.number / factor) if known and dvh is not None else NOT_KNOWN
            elif metric is not None or name == "activity_mbq":
                changed[name] = getattr(self, name).scaled(factor)
        return replace(self, **changed)


@dataclass(frozen=True)
class RecoveredDvh:
    """Cumulative DVH of a region, mean over draws, with a 95 % band at each dose.

    Parameters
    ----------
    dose_gy : tuple of float
        Rising from 0.
    fraction : tuple of float
        Of the volume that receives at least that dose.
    low_fraction, high_fraction : tuple of float
        Ends of the band; empty for a method without intervals.
    """

    dose_gy: tuple[float, ...]
    fraction: tuple[float, ...]
    low_fraction: tuple[float, ...] = ()
    high_fraction: tuple[float, ...] = ()

    def estimate(self, dose_gy: float) -> Estimate:
        """``Vd`` with the ends of the band, linear between points; 0 beyond the last."""
        curves = (self.fraction, self.low_fraction, self.high_fraction)
        value, low, high = (float(np.interp(dose_gy, self.dose_gy, c, right=0.0)) if c else None for c in curves)
        return Estimate(value, low, high)

    def coverage(self, dose_gy: float) -> float:
        """``Vd``: the fraction of the volume with at least this dose."""
        return float(np.interp(dose_gy, self.dose_gy, self.fraction, right=0.0))

    def dose_to_fraction_gy(self, fraction: float) -> float:
        """``Dx``: the dose that this fraction of the volume receives at least, linear between points."""
        return float(np.interp(fraction, self.fraction[::-1], self.dose_gy[::-1]))

    def scaled(self, factor: float) -> RecoveredDvh:
        """With every dose times a factor above 0."""
        return replace(self, dose_gy=tuple(dose * factor for dose in self.dose_gy))


@dataclass(frozen=True)
class RecoveredRoi:
    """One region.

    Parameters
    ----------
    role : str
        Of the ROI.
    best : RecoveredMetrics
        In the outline moved onto the image where outlines are fitted, else as drawn.
    as_drawn : RecoveredMetrics
        In the outline as drawn.
    mean_dose_rbv_gy : float
        Mean dose by the comparator, region-based voxelwise correction, in the outline as drawn.
    shift_lps_mm : tuple of float
        How far the outline was moved, (x, y, z).
    growth_mm : float
        And grown.
    cold_core_ml : float
        Volume of the cold part that was found inside.
    dvh : RecoveredDvh, optional
        In the outline of ``best``; none where its numbers are withheld.
    """

    role: str
    best: RecoveredMetrics
    as_drawn: RecoveredMetrics
    mean_dose_rbv_gy: float
    shift_lps_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    growth_mm: float = 0.0
    cold_core_ml: float = 0.0
    dvh: RecoveredDvh | None = None

    def scaled(self, factor: float) -> RecoveredRoi:
        """With so many times the activity, above 0."""
        best = self.best.scaled(factor, self.dvh)
        drawn = best if self.as_drawn == self.best else self.as_drawn.scaled(factor, None)
        dvh = self.dvh.scaled(factor) if self.dvh is not None else None
        return replace(self, best=best, as_drawn=drawn, mean_dose_rbv_gy=self.mean_dose_rbv_gy * factor, dvh=dvh)


@dataclass(frozen=True, eq=False)
class Residual:
    """The image less what the fit predicts for the scanner, in the box around the regions.

    Parameters
    ----------
    image, predicted : Volume
        Activity at the infusion in Bq/mL, on the image's own voxels.
    deviation : Volume
        Standard deviation of the image's noise in each voxel by the noise level found, Bq/mL; infinite where nothing was measured.
    moved : RoiSet
        Tumors in the outlines that the fit moved onto the image.
    """

    image: Volume
    predicted: Volume
    deviation: Volume
    moved: RoiSet


@dataclass(frozen=True, eq=False)
class RecoveredNumbers:
    """What a recovery found, as results hold it.

    Parameters
    ----------
    method : str
        ``field`` or ``rbv``.
    rois : mapping
        Name of a tumor or normal liver to its numbers.
    facts : mapping
        Blur, noise level, chi-square, seed and the like.
    """

    method: str
    rois: Mapping[str, RecoveredRoi]
    facts: Mapping[str, object]


@dataclass(frozen=True, eq=False)
class Recovered(RecoveredNumbers):
    """The result of a recovery.

    Parameters
    ----------
    dose : DoseMap
        Mean dose over all draws on the fine box. Its own DVH is narrower than the numbers in ``rois``, which are means over
        draws.
    assumptions, warnings : tuple of Remark
        What was assumed, and what to doubt.
    seconds : float
        Time it took.
    residual : Residual, optional
        What the fit leaves of the image; none for a method without fit.
    """

    dose: DoseMap
    assumptions: tuple[Remark, ...]
    warnings: tuple[Remark, ...]
    seconds: float
    residual: Residual | None = None

    def scaled(self, factor: float) -> Recovered:
        """With so many times the activity, above 0; what the image leaves unexplained is that of the run, and left out."""
        rois = {name: roi.scaled(factor) for name, roi in self.rois.items()}
        return replace(self, rois=rois, dose=self.dose.replaced(self.dose.gy * np.float32(factor)), residual=None)
