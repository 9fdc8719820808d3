"""The first numbers of a report, the same on page, in print and in words: the best value of each, and what its interval covers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from voxeldose.model.best_value import best_pooled_ratio, best_value, tumors_with_ratio
from voxeldose.model.wording import measure, ratio, role_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxeldose.model.assessment import Assessment, Uncertainty
    from voxeldose.model.best_value import BestValue, HasNumbers, ValueKind
    from voxeldose.model.recovered import Recovered

__all__ = ["Best", "Ratio", "best", "compared_role", "intervals_text", "not_reached", "ratios", "recovery_coefficients"]

#: Sources of an uncertainty by the keys of its inputs, for the sentence on what intervals cover.
_SOURCES = {
    "calibration_fraction": "calibration",
    "energy_fraction": "energy per decay",
    "lung_shunt_sd": "lung shunt",
    "timing_h": "timing",
    "noise_fraction": "noise",
    "noise_region": "noise",
    "registration_mm": "registration",
    "contour_mm": "outlines",
    "contour_fwhm_mm": "outlines",
}


class Best(NamedTuple):
    """A number as people read it, without its unit.

    ``words`` is the value, ``interval`` is ``low to high`` where it has one; ``kind`` is what it is, and ``image`` is the image's own
    value, both empty where the value is the image's own. ``part`` is the bare number, for bars; ``source`` is the kind as results have it.
    """

    words: str
    interval: str
    kind: str
    image: str
    part: float | None
    source: ValueKind


def best(result: HasNumbers, roi: str, metric: str, unit: str) -> Best:
    """The best value of a number of a region, in the unit of its column."""
    return _as_words(best_value(result, roi, metric), unit)


def _as_words(one: BestValue, unit: str) -> Best:
    known = one.low is not None and one.high is not None
    return Best(
        measure(one.value, unit),
        f"{measure(one.low, unit)} to {measure(one.high, unit)}" if known else "",
        one.words,
        measure(one.image, unit) if one.is_better else "",
        one.value,
        one.kind,
    )


class Ratio(NamedTuple):
    """T/N of one tumor, or of all treated ones pooled, against the normal liver named."""

    roi: str
    best: Best
    normal: str


def ratios(result: HasNumbers) -> list[Ratio]:
    """T/N of each tumor that has one, the largest first, and of all pooled where there are several."""
    rows = {row.roi: row for row in result.tumor_to_normal}
    names = sorted(tumors_with_ratio(result), key=lambda name: -result.rois[name].volume_ml)
    found = [Ratio(name, best(result, name, "tumor_to_normal", "T/N"), rows[name].normal) for name in names]
    for name, row in rows.items():
        if name not in result.rois and len(names) > 1:
            pooled = best_pooled_ratio(result, row.by_concentration)
            found.append(Ratio(name, _as_words(pooled, "T/N"), row.normal))
    return found


def not_reached(result: HasNumbers) -> list[str]:
    """Tumors outside the perfused volume, which have no T/N."""
    return [row.roi for row in result.tumor_to_normal if getattr(row, "reached", True) is False]


def compared_role(content: Mapping[str, Any], name: str) -> str:
    """What a region of ``comparison.json`` is, and of a tumor in which result no infusion reached it."""
    role = role_words(content["rois"][name]["role"])
    for row in content["tumor_to_normal"]:
        left = [side for side, is_reached in row["reached"].items() if not is_reached]
        if row["roi"] == name and left:
            return f"{role}, not reached{'' if len(left) > 1 else f' in {left[0]}'}"
    return role


def intervals_text(result: Assessment) -> str:
    """What the intervals of a result cover, and what is in none of them; empty where it has none."""
    parts = []
    if result.uncertainty is not None:
        parts += _of_uncertainty(result.uncertainty, is_recovered=result.recovered is not None)
    if result.recovered is not None:
        parts.append(_of_recovery(result.recovered, has_others=result.uncertainty is not None))
    return " ".join(parts)


def _of_uncertainty(uncertainty: Uncertainty, *, is_recovered: bool) -> list[str]:
    stated = dict.fromkeys(words for key, words in _SOURCES.items() if uncertainty.inputs.get(key))
    what = ", ".join(stated) or "none"
    subject = "Intervals of numbers of the image" if is_recovered else "Intervals"
    parts = [
        f"{subject} are of 95 % confidence, by the stated uncertainties of the input ({what}; {uncertainty.samples} samples)."
    ]
    corrected = any(region.recovery_coefficient is not None for region in uncertainty.rois.values())
    if corrected:
        parts.append(
            "Tumors' means are corrected by the recovery curve and their intervals hold its uncertainty; D95, coverage and all else of "
            "their DVHs are those of the blurred image, and partial volume is in none of those intervals."
        )
    elif is_recovered:
        parts.append("Partial volume is in none of these.")
    else:
        parts.append(
            "The blur of the scanner (partial volume) is not among them: true doses of tumors may lie above these intervals."
        )
    return parts


def _of_recovery(recovered: Recovered, *, has_others: bool) -> str:
    draws = recovered.facts.get("draws")
    if not draws:
        return "Recovered numbers are by region-based voxelwise correction and have no interval."
    outlines = "outlines within their prior, " if recovered.facts.get("outlines") == "fitted" else ""
    others = "calibration, lung shunt, registration" if has_others else "calibration, lung shunt and registration"
    return (
        f"Intervals of recovered numbers are of 95 % confidence ({draws} draws): they cover noise, texture, {outlines}and the stated "
        f"resolution with its uncertainty; {others}{' and energy' if has_others else ''} are not in them, nor is a resolution that is "
        "stated wrongly."
    )


def recovery_coefficients(result: Assessment) -> str | None:
    """Mean dose in the image over the best mean, of each tumor that is recovered or corrected; ``None`` without any."""
    found = []
    for name, roi in result.rois.items():
        one = best_value(result, name, "mean_dose_gy")
        if roi.role == "tumor" and one.is_better and one.value and one.image is not None:
            found.append(f"{name} {ratio(one.image / one.value)} ({one.words})")
    return "; ".join(found) or None
