"""What resolution recovery finds: numbers of regions with intervals, the recovered dose, and what was assumed."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxeldose.model.remarks import Remark
    from voxeldose.model.volume import DoseMap

__all__ = ["Estimate", "Recovered", "RecoveredMetrics", "RecoveredNumbers", "RecoveredRoi"]


@dataclass(frozen=True)
class Estimate:
    """A number and the ends of its 95 % interval; ``None`` where it is not known or would mislead."""

    value: float | None
    low: float | None = None
    high: float | None = None


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
    """

    role: str
    best: RecoveredMetrics
    as_drawn: RecoveredMetrics
    mean_dose_rbv_gy: float
    shift_lps_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    growth_mm: float = 0.0
    cold_core_ml: float = 0.0


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
    """

    dose: DoseMap
    assumptions: tuple[Remark, ...]
    warnings: tuple[Remark, ...]
    seconds: float
