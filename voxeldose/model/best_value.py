"""The best value of a number of a region that a run knows: recovered, else corrected, else the image's own.

A scanner's blur makes small hot regions too cold. Resolution recovery corrects every number that it gives. A recovery curve
corrects the mean activity concentration of a hot sphere, and therefore what is proportional to it and nothing else: mean dose,
activity, and T/N by concentration, whose normal liver stays as it is. A DVH is not corrected by a curve.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from voxeldose.model.recovered import Estimate, RecoveredMetrics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voxeldose.model.assessment import RoiNumbers, TumorToNormal, Uncertainty
    from voxeldose.model.recovered import RecoveredNumbers

__all__ = [
    "CORRECTED_MEAN",
    "TUMOR_TO_NORMAL",
    "BestValue",
    "HasNumbers",
    "ValueKind",
    "best_pooled_ratio",
    "best_value",
    "numbers_in",
    "tumors_with_ratio",
]

ValueKind = Literal["recovered", "corrected", "image"]

#: Name of a tumor's T/N by concentration, which stands next to the numbers of its region.
TUMOR_TO_NORMAL = "tumor_to_normal"
#: Mean dose corrected by the recovery curve, among the numbers that have an interval.
CORRECTED_MEAN = "mean_dose_recovered_gy"
#: What a recovery curve corrects besides the mean dose: what is proportional to the mean activity concentration.
PROPORTIONAL = ("activity_mbq", TUMOR_TO_NORMAL)
#: What recovery gives that is no better value of a run's number: an outline is where it was drawn.
NOT_BETTER = ("volume_ml",)

_WORDS = {"recovered": "resolution recovered", "corrected": "corrected by recovery curve", "image": ""}


@dataclass(frozen=True)
class BestValue:
    """A number, its 95 % interval, and where it comes from.

    Parameters
    ----------
    value : float or None
        ``None`` where the run has none.
    low, high : float or None
        Of the interval of this very value; ``None`` where it has none.
    kind : str
        ``recovered``, ``corrected`` or ``image``.
    image : float or None
        The image's own value, without interval.
    """

    value: float | None
    low: float | None
    high: float | None
    kind: ValueKind
    image: float | None

    @property
    def words(self) -> str:
        """What it is, for people; empty for the image's own."""
        return _WORDS[self.kind]

    @property
    def is_better(self) -> bool:
        """Whether it is not just the image's own."""
        return self.kind != "image"


class HasNumbers(Protocol):
    """An assessment, computed or read back."""

    @property
    def rois(self) -> Mapping[str, RoiNumbers]:
        """Region to its numbers."""

    @property
    def tumor_to_normal(self) -> Sequence[TumorToNormal]:
        """Of each tumor and of all pooled."""

    @property
    def uncertainty(self) -> Uncertainty | None:
        """Where it was asked for."""

    @property
    def recovered(self) -> RecoveredNumbers | None:
        """Where it was asked for."""


def best_value(result: HasNumbers, roi: str, metric: str) -> BestValue:
    """The best value of a number of a region.

    Parameters
    ----------
    result : Assessment or StoredAssessment
        The run; ``assessment.json`` by :func:`numbers_in`.
    roi : str
        Name of the region.
    metric : str
        As in results, ``mean_dose_gy`` or ``v400_fraction``; ``tumor_to_normal`` is the region's T/N by concentration.

    Raises
    ------
    KeyError
        If there is no such region.
    """
    image = (
        next((row.by_concentration for row in result.tumor_to_normal if row.roi == roi), None)
        if metric == TUMOR_TO_NORMAL
        else getattr(result.rois[roi], metric)
    )
    found = result.recovered.rois.get(roi) if result.recovered is not None else None
    estimate = getattr(found.best, metric) if found is not None and metric in _recoverable() else None
    known = result.uncertainty.rois.get(roi) if result.uncertainty is not None else None
    ends = {key: _Spread(d.value, d.q025, d.q975) for key, d in known.metrics.items()} if known is not None else {}
    return _chosen(metric, image, estimate, ends, known.recovery_coefficient if known is not None else None)


def numbers_in(content: Mapping[str, Any]) -> HasNumbers:
    """What ``assessment.json`` holds, in the shape that :func:`best_value` reads.

    Raises
    ------
    KeyError
        If it has no regions.
    """
    spread = content.get("uncertainty")
    rois = {name: _Row(**row) for name, row in content["rois"].items()}
    return _Content(
        rois,
        tuple(SimpleNamespace(**row) for row in content.get("tumor_to_normal", ())),
        SimpleNamespace(rois={name: _spread_in(row) for name, row in spread["rois"].items()}) if spread else None,
        _recovered_in(content["rois"]),
    )


class _Row(SimpleNamespace):
    """Numbers of a region; one that earlier results lack is ``None``."""

    def __getattr__(self, _: str) -> None:
        return None


def _spread_in(row: Mapping[str, Any]) -> SimpleNamespace:
    metrics = {key: SimpleNamespace(**one) for key, one in row["metrics"].items()}
    return SimpleNamespace(metrics=metrics, recovery_coefficient=row["recovery_coefficient"])


def _recovered_in(rois: Mapping[str, Any]) -> SimpleNamespace | None:
    found = {name: row["recovered"] for name, row in rois.items() if row.get("recovered")}
    best = {
        name: RecoveredMetrics(**{key: Estimate(**row[key]) for key in RecoveredMetrics.names() if key in row})
        for name, row in found.items()
    }
    return SimpleNamespace(rois={name: SimpleNamespace(best=one) for name, one in best.items()}) if found else None


@dataclass(frozen=True)
class _Content:
    """Numbers of ``assessment.json`` by the names of the assessment."""

    rois: Mapping[str, Any]
    tumor_to_normal: Sequence[Any]
    uncertainty: Any
    recovered: Any


def tumors_with_ratio(result: HasNumbers) -> list[str]:
    """Tumors that have a T/N: those reached, where there is normal liver."""
    return [row.roi for row in result.tumor_to_normal if row.roi in result.rois and row.by_concentration is not None]


def best_pooled_ratio(result: HasNumbers, image: float | None) -> BestValue:
    """T/N of all tumors that have one together, by volume: the mean of their concentrations over that of normal liver.

    All must have the same kind of value, or the image's own is answered.

    Parameters
    ----------
    result : Assessment or StoredAssessment
        The run.
    image : float or None
        The run's own pooled ratio.
    """
    tumors = tumors_with_ratio(result)
    rows = [(best_value(result, name, TUMOR_TO_NORMAL), result.rois[name].volume_ml) for name in tumors]
    known = [(one, ml) for one, ml in rows if one.value is not None and math.isfinite(one.value)]
    kinds = {one.kind for one, _ in known}
    if len(known) < len(rows) or len(kinds) != 1 or "image" in kinds:
        return BestValue(image, None, None, "image", image)
    if len(known) == 1:
        one = known[0][0]
        return BestValue(one.value, one.low, one.high, one.kind, image)
    total = sum(ml for _, ml in known)
    return BestValue(sum((one.value or 0.0) * ml for one, ml in known) / total, None, None, kinds.pop(), image)


class _Spread(NamedTuple):
    """A number of the uncertainty of a region and the ends of its interval."""

    value: float
    low: float
    high: float


def _recoverable() -> set[str]:
    return set(RecoveredMetrics.names()) - set(NOT_BETTER)


def _chosen(
    metric: str,
    image: float | None,
    recovered: Estimate | None,
    ends: Mapping[str, _Spread],
    coefficient: float | None,
) -> BestValue:
    """Recovered, else corrected, else the image's own with its interval."""
    if metric == TUMOR_TO_NORMAL and image is None:  # not reached, or no normal liver: then no method has one
        return BestValue(None, None, None, "image", None)
    if recovered is not None and recovered.value is not None:
        return BestValue(recovered.value, recovered.low, recovered.high, "recovered", image)
    corrected = ends.get(CORRECTED_MEAN)
    if metric == "mean_dose_gy" and corrected is not None:
        return BestValue(*corrected, "corrected", image)
    if metric in PROPORTIONAL and coefficient and image is not None:
        return BestValue(image / coefficient, None, None, "corrected", image)
    own = ends.get(metric)
    return BestValue(image, own.low if own else None, own.high if own else None, "image", image)
