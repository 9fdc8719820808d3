"""What a report says of resolution recovery: each number beside the image's own, the fit, and what it left of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from voxeldose.model.wording import measure, number, percent
from voxeldose.report.wording import fact, sentences, times

if TYPE_CHECKING:
    from voxeldose.model.assessment import Assessment
    from voxeldose.model.recovered import Estimate, Recovered, RecoveredRoi

__all__ = ["RecoveryRow", "RecoveryWords", "recovery_words"]

#: What is shown of each region: heading, unit, name.
_NUMBERS = (
    ("Mean", "Gy", "mean_dose_gy"),
    ("D95", "Gy", "d95_gy"),
    ("D70", "Gy", "d70_gy"),
    ("D50", "Gy", "d50_gy"),
    ("V205", "%", "v205_fraction"),
    ("V400", "%", "v400_fraction"),
    ("Activity", "MBq", "activity_mbq"),
    ("T/N", "", "tumor_to_normal"),
)


class RecoveryRow(NamedTuple):
    """One number of a region: in the image, recovered with its interval, and in the outline as drawn where that was moved."""

    label: str
    unit: str
    image: str
    value: str
    interval: str
    as_drawn: str


class RecoveredRegion(NamedTuple):
    """One region: its numbers, and what was done to its outline."""

    name: str
    rows: list[RecoveryRow]
    outline: str
    comparator: str


class RecoveryWords(NamedTuple):
    """All that a report says in words: regions, facts of the fit, what it assumed, and what to doubt."""

    regions: list[RecoveredRegion]
    facts: list[tuple[str, str]]
    assumptions: list[str]
    warnings: list[str]
    is_fitted: bool


def recovery_words(result: Assessment) -> RecoveryWords | None:
    """What a report says of the recovery of a result; ``None`` where nothing was recovered."""
    found = result.recovered
    if found is None:
        return None
    regions = [_region(result, name, found.rois[name], found.method) for name in result.rois if name in found.rois]
    return RecoveryWords(
        regions, _facts(found), sentences(found.assumptions), sentences(found.warnings), found.residual is not None
    )


def _region(result: Assessment, name: str, roi: RecoveredRoi, method: str) -> RecoveredRegion:
    is_moved = roi.as_drawn != roi.best
    rows = []
    for label, unit, metric in _NUMBERS:
        one: Estimate = getattr(roi.best, metric)
        image = _image_own(result, name, metric)
        if one.value is None and image is None:
            continue
        drawn: Estimate = getattr(roi.as_drawn, metric)
        rows.append(
            RecoveryRow(
                label,
                unit,
                measure(image, unit),
                measure(one.value, unit) if one.value is not None else "withheld",
                f"{measure(one.low, unit)} to {measure(one.high, unit)}" if one.low is not None else "",
                measure(drawn.value, unit) if is_moved else "",
            )
        )
    comparator = f"{measure(roi.mean_dose_rbv_gy, 'Gy')} Gy" if method != "rbv" else ""
    return RecoveredRegion(name, rows, _outline(roi, is_moved=is_moved), comparator)


def _image_own(result: Assessment, name: str, metric: str) -> float | None:
    if metric == "tumor_to_normal":
        return next((row.by_concentration for row in result.tumor_to_normal if row.roi == name), None)
    value: float | None = getattr(result.rois[name], metric)
    return value


def _outline(roi: RecoveredRoi, *, is_moved: bool) -> str:
    """What was done to the outline: shift along the patient's axes, growth, cold part."""
    if roi.role != "tumor":
        return ""
    parts = ["outline as drawn"]
    if is_moved:
        x, y, z = roi.shift_lps_mm
        shift = f"{x:+.1f} mm to the left, {y:+.1f} mm to the back, {z:+.1f} mm to the head"
        parts = [f"outline shifted by {shift}, and grown by {roi.growth_mm:+.1f} mm"]
    if roi.cold_core_ml > 0:
        parts.append(f"a cold part of {number(roi.cold_core_ml, 3)} mL found inside")
    return "; ".join(parts)


def _facts(found: Recovered) -> list[tuple[str, str]]:
    """The fit in numbers, each with what is believed."""
    facts = found.facts
    rows = [
        (
            "Method",
            "log-normal fields in regions, posterior draws" if found.method == "field" else "region-based voxelwise",
        )
    ]
    width = facts.get("fwhm_mm_kji")
    if isinstance(width, list):
        source = facts.get("source") or "source not stated"
        rows.append(("Resolution stated (k × j × i)", f"{times(width)} mm, {source}"))
    for label, key, words in (
        ("Chi-square per voxel", "chi_square_per_voxel", "{} (0.7 to 1.3 is believed)"),
        ("Noise of a voxel at normal liver", "noise_level", "{}"),
        ("Draws", "draws", "{}"),
        ("Seed", "seed", "{}"),
        ("Outlines", "outlines", "{}"),
    ):
        value = facts.get(key)
        if value is not None:
            shown = f"{percent(value)} %" if key == "noise_level" and isinstance(value, float) else fact(value)
            rows.append((label, words.format(shown)))
    rows.append(("Map", f"dose_recovered.nii.gz, {times(found.dose.grid.spacing_mm)} mm; {found.dose.method}"))
    return rows
