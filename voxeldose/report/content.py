"""What page and PDF both say, in the same words: columns, intervals, thresholds, facts."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from voxeldose.model.assessment import RoiMetrics
from voxeldose.model.volume import DensityMap
from voxeldose.model.wording import dose, measure, number, percent, ratio
from voxeldose.report.headline import intervals_text
from voxeldose.report.wording import fact, times

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxeldose.model.assessment import Assessment, Threshold
    from voxeldose.model.territory import TerritoryActivity

__all__ = [
    "COLUMNS",
    "Column",
    "Group",
    "Intervals",
    "ThresholdRow",
    "facts",
    "intervals",
    "lung_rows",
    "threshold_rows",
]


class Column(NamedTuple):
    """One number of a region: its heading, unit (``%`` for fractions), name in ``RoiMetrics`` and group."""

    label: str
    unit: str
    key: str
    group: str


_SIZE, _DOSE, _COVER, _MORE = "Size and activity", "Absorbed dose", "Volume with at least this dose (Gy)", "Derived"
_STATED = (
    Column("Volume", "mL", "volume_ml", _SIZE),
    Column("Mass", "g", "mass_g", _SIZE),
    Column("Longest axial diameter", "mm", "axial_diameter_mm", _SIZE),
    Column("Activity at infusion", "MBq", "activity_mbq", _SIZE),
    Column("Mean", "Gy", "mean_dose_gy", _DOSE),
    Column("Mean by single compartment", "Gy", "single_compartment_gy", _DOSE),
    Column("SD", "Gy", "sd_dose_gy", _DOSE),
    Column("Min", "Gy", "min_dose_gy", _DOSE),
    Column("D98", "Gy", "d98_gy", _DOSE),
    Column("D95", "Gy", "d95_gy", _DOSE),
    Column("D90", "Gy", "d90_gy", _DOSE),
    Column("D70", "Gy", "d70_gy", _DOSE),
    Column("D50", "Gy", "d50_gy", _DOSE),
    Column("D2", "Gy", "d2_gy", _DOSE),
    Column("Max", "Gy", "max_dose_gy", _DOSE),
    Column("V100", "%", "v100_fraction", _COVER),
    Column("V190", "%", "v190_fraction", _COVER),
    Column("V205", "%", "v205_fraction", _COVER),
    Column("V400", "%", "v400_fraction", _COVER),
    Column("V446", "%", "v446_fraction", _COVER),
    Column("BED, mean", "Gy", "bed_gy", _MORE),
    Column("EUD", "Gy", "eud_gy", _MORE),
    Column("EUBED", "Gy", "eubed_gy", _MORE),
    Column("Mean by local deposition", "Gy", "mean_dose_local_gy", _MORE),
    Column("Inside perfused regions", "%", "perfused_fraction", _MORE),
    Column("Outside the dose grid", "%", "outside_fraction", _MORE),
)


def _further() -> tuple[Column, ...]:
    """Numbers that ``RoiMetrics`` has beyond those above, under their own names."""
    stated = {c.key for c in _STATED}
    return tuple(
        Column(
            f.name.replace("_fraction", "").replace("_gy", "").replace("_", " "),
            "%" if "fraction" in f.name else "",
            f.name,
            _MORE,
        )
        for f in fields(RoiMetrics)
        if f.name not in stated and str(f.type) in ("float", "float | None")
    )


COLUMNS: tuple[Column, ...] = _STATED + _further()


@dataclass(frozen=True)
class Intervals:
    """How far the numbers of regions may be off, where that was computed; what they are stands in ``text``."""

    text: str
    ends: Mapping[tuple[str, str], tuple[float, float]]

    def words(self, roi: str, key: str, unit: str) -> str:
        """``low to high`` of one number of a region, empty where there is none."""
        ends = self.ends.get((roi, key))
        return "" if ends is None else f"{measure(ends[0], unit)} to {measure(ends[1], unit)}"


def intervals(result: Assessment) -> Intervals | None:
    """The intervals of a result that carries an ``uncertainty`` or recovered numbers; ``None`` where neither was asked for.

    ``ends`` are of the image's own numbers, as tables have them.
    """
    uncertainty = result.uncertainty
    if uncertainty is None:
        return Intervals(intervals_text(result), {}) if result.recovered is not None else None
    ends = {
        (name, key): (one.q025, one.q975)
        for name, region in uncertainty.rois.items()
        for key, one in region.metrics.items()
    }
    return Intervals(intervals_text(result), ends)


class ThresholdRow(NamedTuple):
    """A published limit and this run's value, as text; ``part`` is value over limit, 0 to 1.5."""

    name: str
    roi: str
    met: bool
    value: str
    limit: str
    quantity: str
    source: str
    method: str
    differs: str
    part: float


def threshold_rows(result: Assessment) -> list[ThresholdRow]:
    """Every threshold of a result, those not met first."""
    rows = [_threshold_row(t) for t in result.thresholds]
    return sorted(rows, key=lambda row: row.met)


def _threshold_row(threshold: Threshold) -> ThresholdRow:
    column = next((c for c in COLUMNS if c.key == threshold.metric), Column(threshold.metric, "", threshold.metric, ""))
    part = threshold.value / threshold.limit if threshold.limit else math.nan
    return ThresholdRow(
        threshold.name,
        threshold.roi,
        threshold.met,
        _with_unit(threshold.value, column.unit),
        _with_unit(threshold.limit, column.unit),
        column.label,
        threshold.source,
        threshold.method,
        threshold.differs,
        min(max(part, 0.0), 1.5) if math.isfinite(part) else 0.0,
    )


def _with_unit(value: float, unit: str) -> str:
    return f"{measure(value, unit)} {unit}".strip()


class Group(NamedTuple):
    """A heading and rows of (label, words); no words where nobody stated them."""

    title: str
    rows: list[tuple[str, str | None]]


def facts(result: Assessment) -> list[Group]:
    """Calibration, administration, constants, grids, method and provenance."""
    images = (("Dose", result.dose), ("Activity image", result.case.activity), ("CT", result.case.ct))
    grids: list[tuple[str, str | None]] = [
        (name, f"{times(v.grid.shape)} voxels of {times(v.grid.spacing_mm)} mm") for name, v in images if v is not None
    ]
    return [
        Group("Calibration check", _calibration(result)),
        Group("Administration", [*_administration(result), *_territories(result)]),
        *([Group("Lungs", [*lung_rows(result)])] if result.lungs is not None else []),
        Group("Constants", _constants(result)),
        Group("Grids, in slice × row × column", grids),
        Group("Method", _method(result)),
        Group("Provenance", _provenance(result)),
    ]


def _calibration(result: Assessment) -> list[tuple[str, str | None]]:
    totals = result.totals
    recovered = "not known: the image is not in Bq/mL, or no activity was given"
    if totals.recovered_fraction is not None:
        recovered = percent(totals.recovered_fraction)
    return [
        ("Calibration", result.record.calibration),
        ("Net activity, MBq", number(totals.net_mbq)),
        ("Activity in the image at infusion, MBq", number(totals.activity_mbq)),
        ("Image over administered, %", recovered),
        ("Liver over field of view, %", percent(totals.liver_of_field_fraction)),
        ("Calibration region", totals.calibration_region),
        ("Activity in the calibration region, MBq", number(totals.calibration_region_mbq)),
        ("Activity outside the calibration region, MBq", number(totals.outside_region_mbq)),
        ("Activity outside over net activity, %", percent(totals.outside_region_fraction)),
        ("Energy emitted, J", number(totals.energy_emitted_j)),
        ("Energy in the dose map, J", number(totals.energy_j)),
    ]


def lung_rows(result: Assessment) -> list[tuple[str, str]]:
    """The lungs' dose by the shunt fraction in each mass, against both limits, and the fraction that the image shows."""
    lungs = result.lungs
    if lungs is None:
        return []
    rows = []
    for found in [d for d in (lungs.dose, lungs.dose_by_mass) if d is not None]:
        limits = [
            f"{dose(one.value_gy)} of {one.limit_gy:g} Gy {one.name}, {'kept' if one.met else 'EXCEEDED'}"
            for one in found.limits
        ]
        rows.append((f"In {number(found.mass.grams)} g ({found.mass.source})", "; ".join(limits)))
    if lungs.shunt_fraction is not None:
        rows.append(("Lung shunt fraction stated", f"{percent(lungs.shunt_fraction)} %"))
    if lungs.measured is not None:
        cut = ", lungs cut by the image" if lungs.measured.inputs["lung_at_edge"] else ""
        rows.append(("Lung shunt fraction in this image", f"{percent(lungs.measured.fraction)} %{cut}"))
    return rows


def _administration(result: Assessment) -> list[tuple[str, str | None]]:
    given = result.case.administration
    shunt = given.lung_shunt_fraction
    return [
        ("Infusion", given.at.isoformat(" ", "minutes") if given.at else "not given"),
        ("Device", given.device or "not given"),
        ("Administered, MBq", number(given.administered_mbq)),
        ("Residual, MBq", number(given.residual_mbq)),
        ("Lung shunt, %", "not given, 0 taken" if shunt is None else percent(shunt)),
    ]


def _territories(result: Assessment) -> list[tuple[str, str | None]]:
    """What each territory got, where several vessels were infused."""
    return [(f"Territory {one.roi}", _of_territory(one)) for one in result.totals.territories]


def _of_territory(one: TerritoryActivity) -> str:
    at = f"; infused {datetime.fromisoformat(one.at).isoformat(' ', 'minutes')}" if one.at else ""
    return (
        f"{number(one.administered_mbq)} MBq in the vial, {number(one.net_mbq)} net: {number(one.held_mbq)} in the liver, "
        f"{number(one.lung_mbq)} in the lungs{at}. Its part of the image over its part of the activities: {ratio(one.share_ratio)}"
    )


def _constants(result: Assessment) -> list[tuple[str, str | None]]:
    nuclide = result.record.constants
    return [
        ("Radionuclide", f"{nuclide.name} ({nuclide.constants})" if nuclide.constants else nuclide.name),
        ("Half-life, h", number(nuclide.half_life_h)),
        ("Mean energy per decay, MeV", number(nuclide.energy_mev)),
        ("K, Gy kg/GBq", number(nuclide.gy_kg_per_gbq)),
        ("Source", nuclide.source),
    ]


def _method(result: Assessment) -> list[tuple[str, str | None]]:
    record, density = result.record, result.case.density
    kernel = [(f"Kernel {k.replace('_', ' ').replace('mev', 'MeV')}", fact(v)) for k, v in record.kernel.items()]
    uniform = "from an image" if isinstance(density, DensityMap) else f"{density:g} g/mL, uniform"
    return [("Engine", record.engine), ("Method", record.method), *kernel, ("Density", uniform)]


def _provenance(result: Assessment) -> list[tuple[str, str | None]]:
    seconds = "; ".join(f"{step} {seconds:.2f}" for step, seconds in result.record.timings_s.items())
    return [
        ("Software", f"voxeldose {result.record.version}"),
        ("Inputs", "SHA-256 of every input file: run.json in the same folder"),
        ("Time, s", seconds or "not recorded"),
    ]
