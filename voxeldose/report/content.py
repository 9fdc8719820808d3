"""What page and PDF both say, in the same words: columns, facts, the list of what a report should give."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, NamedTuple

from voxeldose.model.assessment import RoiMetrics
from voxeldose.model.volume import ActivityMap, DensityMap
from voxeldose.report.wording import fact, measure, number, percent, times

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxeldose.model.assessment import Assessment, Threshold

__all__ = ["COLUMNS", "Column", "Intervals", "ThresholdRow", "facts", "intervals", "reporting_items", "threshold_rows"]

Facts = list[tuple[str, list[tuple[str, str]]]]


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
    Column("Activity at infusion", "MBq", "activity_mbq", _SIZE),
    Column("Mean", "Gy", "mean_dose_gy", _DOSE),
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
    """The intervals of a result that carries an ``uncertainty``; ``None`` where it was not asked for."""
    found = result.uncertainty
    if found is None:
        return None
    ends = {
        (name, key): (one.q025, one.q975) for name, region in found.rois.items() for key, one in region.metrics.items()
    }
    return Intervals(
        f"Intervals hold the true value with 95 % confidence, by the stated uncertainties of the input ({found.samples} samples).",
        ends,
    )


class ThresholdRow(NamedTuple):
    """A published limit beside this run's value, as text; ``part`` is value over limit, 0 to 1.5."""

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


def facts(result: Assessment) -> Facts:
    """Method, constants, administration, calibration and grids, each as (label, value)."""
    record, given, totals = result.record, result.case.administration, result.totals
    nuclide = record.constants
    method = [("Engine", record.engine), ("Method", record.method)]
    method += [(f"Kernel {k.replace('_', ' ').replace('mev', 'MeV')}", fact(v)) for k, v in record.kernel.items()]
    density = result.case.density
    method.append(("Density", "from an image" if isinstance(density, DensityMap) else f"{density:g} g/mL, uniform"))
    recovered = totals.recovered_fraction
    images = (("Dose", result.dose), ("Activity image", result.case.activity), ("CT", result.case.ct))
    return [
        (
            "Calibration check",
            [
                ("Calibration", record.calibration),
                ("Net activity, MBq", number(totals.net_mbq)),
                ("Activity in the image at infusion, MBq", number(totals.activity_mbq)),
                (
                    "Image over administered, %",
                    "not known: the image is not in Bq/mL, or no activity was given"
                    if recovered is None
                    else percent(recovered),
                ),
                ("Energy emitted, J", number(totals.energy_emitted_j)),
                ("Energy in the dose map, J", number(totals.energy_j)),
            ],
        ),
        (
            "Administration",
            [
                ("Infusion", given.at.isoformat(" ", "minutes") if given.at else "not given"),
                ("Device", given.device or "not given"),
                ("Administered, MBq", number(given.administered_mbq)),
                ("Residual, MBq", number(given.residual_mbq)),
                (
                    "Lung shunt, %",
                    "not given, 0 taken" if given.lung_shunt_fraction is None else percent(given.lung_shunt_fraction),
                ),
            ],
        ),
        (
            "Constants",
            [
                ("Radionuclide", f"{nuclide.name} ({nuclide.constants})" if nuclide.constants else nuclide.name),
                ("Half-life, h", number(nuclide.half_life_h)),
                ("Mean energy per decay, MeV", number(nuclide.energy_mev)),
                ("K, Gy kg/GBq", number(nuclide.gy_kg_per_gbq)),
                ("Source", nuclide.source),
            ],
        ),
        (
            "Grids, in slice × row × column",
            [(n, f"{times(v.grid.shape)} voxels of {times(v.grid.spacing_mm)} mm") for n, v in images if v is not None],
        ),
        ("Method", method),
        (
            "Provenance",
            [
                ("Software", f"voxeldose {record.version}"),
                ("Inputs", "SHA-256 of every input file: run.json beside this file"),
                (
                    "Time, s",
                    "; ".join(f"{step} {seconds:.2f}" for step, seconds in record.timings_s.items()) or "not recorded",
                ),
            ],
        ),
    ]


def reporting_items(
    result: Assessment, spread: Intervals | None = None
) -> list[tuple[str, list[tuple[str, str | None]]]]:
    """What a dosimetry report should give, with what is known here; ``None`` where nobody said.

    References
    ----------
    Lassmann et al., EANM Dosimetry Committee guidance document: good practice of clinical dosimetry reporting,
    Eur. J. Nucl. Med. Mol. Imaging 38 (2011) 192-200, doi:10.1007/s00259-010-1549-3; adapted to one image of a permanent
    implant.
    """
    given, image, record = result.case.administration, result.case.activity, result.record
    in_role = {role: ", ".join(result.case.rois.with_role(role).names()) for role in ("perfused", "segment")}
    territories = ", ".join(n for n in in_role.values() if n)
    shunt = given.lung_shunt_fraction
    volumes = "; ".join(f"{n} {number(m.volume_ml)} mL" for n, m in result.rois.items())
    means = "; ".join(
        f"{n} {number(m.mean_dose_gy)} Gy" for n, m in result.rois.items() if math.isfinite(m.mean_dose_gy)
    )
    ratio = result.tumor_to_normal_ratio
    return [
        (
            "Treatment",
            [
                ("Radionuclide and device", f"{given.radionuclide.name}{f', {given.device}' if given.device else ''}"),
                ("Product lot, vial calibration activity and time", None),
                ("Activity in the vial at infusion", _mbq(given.administered_mbq)),
                ("Residual activity", _mbq(given.residual_mbq) if given.administered_mbq is not None else None),
                ("Net activity", _mbq(result.totals.net_mbq)),
                ("Time of infusion", given.at.isoformat(" ", "minutes") if given.at else None),
                ("Activity meter and its calibration factor", None),
                ("Lung shunt fraction", None if shunt is None else f"{percent(shunt)} %"),
                ("How the lung shunt was measured", None),
                ("Territories", territories or None),
                ("Catheter positions", None),
            ],
        ),
        (
            "Imaging",
            [
                ("Kind of image", "activity in Bq/mL" if isinstance(image, ActivityMap) else "counts"),
                ("Nuclide in the image", image.radionuclide.name if image.radionuclide else result.case.image_nuclide),
                ("Instant of the image's values", image.at.isoformat(" ", "minutes") if image.at else None),
                ("Voxels", f"{times(image.grid.shape)} of {times(image.grid.spacing_mm)} mm"),
                ("Scanner, duration and beds", None),
                ("Reconstruction, corrections and resolution (FWHM)", None),
                ("CT", "given" if result.case.ct is not None else None),
                ("Registration", result.case.registration.source if result.case.registration else None),
            ],
        ),
        (
            "From image to activity",
            [
                ("Calibration", record.calibration),
                ("Image over administered activity", _percent(result.totals.recovered_fraction)),
                ("Recovery coefficients", None),
            ],
        ),
        (
            "Regions",
            [
                ("Volumes", volumes or None),
                ("Who or what drew them", None),
                ("Border voxels", "counted by the part that lies in the region"),
                (
                    "Overlaps",
                    "; ".join(f"{o.first} and {o.second} {number(o.volume_ml)} mL" for o in result.overlaps) or "none",
                ),
            ],
        ),
        (
            "Absorbed dose",
            [
                ("Method", f"engine {record.engine}"),
                ("Kernel", fact(record.kernel["source"]) if "source" in record.kernel else "none: local deposition"),
                ("Time-integrated activity", "permanent trapping, A T½/ln 2"),
                (
                    "Constants",
                    f"T½ {number(record.constants.half_life_h)} h, K {number(record.constants.gy_kg_per_gbq)} Gy kg/GBq",
                ),
                ("Mean absorbed doses", means or None),
                ("T/N ratio", None if ratio is None else number(ratio)),
                ("Dose-volume histograms", "in this report" if result.rois else None),
                ("Uncertainty", None if spread is None else spread.text),
            ],
        ),
        ("Software", [("Program and version", f"voxeldose {record.version}"), ("Hashes of inputs", "in run.json")]),
    ]


def _mbq(value: float | None) -> str | None:
    return None if value is None else f"{number(value)} MBq"


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{percent(value)} %"
