"""What a dosimetry report should give, with what is known here; nothing where nobody stated it.

References
----------
Lassmann et al., EANM Dosimetry Committee guidance document: good practice of clinical dosimetry reporting,
Eur. J. Nucl. Med. Mol. Imaging 38 (2011) 192-200, doi:10.1007/s00259-010-1549-3; adapted to one image of a permanent
implant.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from voxeldose.model.reported import Acquisition, Stated
from voxeldose.model.volume import ActivityMap
from voxeldose.model.wording import number, percent
from voxeldose.report.content import Group
from voxeldose.report.headline import best, ratios, recovery_coefficients
from voxeldose.report.wording import fact, times

if TYPE_CHECKING:
    from voxeldose.model.assessment import Assessment
    from voxeldose.report.content import Intervals
    from voxeldose.report.headline import Best

__all__ = ["reporting_items"]


def reporting_items(result: Assessment, spread: Intervals | None = None) -> list[Group]:
    """Treatment, imaging, activity, regions, dose and software."""
    software: list[tuple[str, str | None]] = [
        ("Program and version", f"voxeldose {result.record.version}"),
        ("Site protocol", result.case.reported.protocol or "none"),
        ("Hashes of inputs", "in run.json"),
    ]
    return [
        Group("Treatment", _treatment(result)),
        Group("Imaging", _imaging(result)),
        Group("From image to activity", _activity(result)),
        Group("Regions", _regions(result)),
        Group("Absorbed dose", _dose(result, spread)),
        Group("Software", software),
        Group("Responsibility", _responsibility(result)),
    ]


def _stated(result: Assessment) -> Stated:
    """What the case states for its report; nothing where it has no such table."""
    return result.case.reported.stated or Stated()


def _responsibility(result: Assessment) -> list[tuple[str, str | None]]:
    stated = _stated(result)
    signed = None
    if stated.signed_off_at is not None:
        signed = f"{stated.signed_off_by}, {stated.signed_off_at.isoformat(' ', 'minutes')}"
    rows = [("Operator", stated.operator or None), ("Reviewer", stated.reviewer or None), ("Signed off", signed)]
    return [*rows, *([("Comment", stated.comment)] if stated.comment else [])]


def _treatment(result: Assessment) -> list[tuple[str, str | None]]:
    given, stated = result.case.administration, _stated(result)
    in_role = {role: ", ".join(result.case.rois.with_role(role).names()) for role in ("perfused", "segment")}
    territories = ", ".join(n for n in in_role.values() if n)
    return [
        ("Radionuclide and device", f"{given.radionuclide.name}{f', {given.device}' if given.device else ''}"),
        ("Product lot, vial calibration activity and time", _joined(stated.lot, _vial(stated))),
        ("Activity in the vial at infusion", _mbq(given.administered_mbq)),
        ("Residual activity", _mbq(given.residual_mbq) if given.administered_mbq is not None else None),
        ("Net activity", _mbq(result.totals.net_mbq)),
        ("Time of infusion", given.at.isoformat(" ", "minutes") if given.at else None),
        ("Activity meter and its calibration factor", _joined(stated.activity_meter, stated.activity_meter_factor)),
        ("Lung shunt fraction", _percent(given.lung_shunt_fraction)),
        ("How the lung shunt was measured", stated.lung_shunt_method or None),
        ("Territories", ", ".join(t.roi for t in given.territories) or territories or None),
        ("Catheter positions", _joined(*stated.catheter_positions)),
    ]


def _imaging(result: Assessment) -> list[tuple[str, str | None]]:
    image, stated = result.case.activity, _stated(result)
    how = result.case.reported.image or Acquisition()
    return [
        ("Predicted or delivered", result.kind_text if result.kind is not None else None),
        ("Kind of image", "activity in Bq/mL" if isinstance(image, ActivityMap) else "counts"),
        ("Nuclide in the image", image.radionuclide.name if image.radionuclide else result.case.image_nuclide),
        ("Instant of the image's values", image.at.isoformat(" ", "minutes") if image.at else None),
        ("Voxels", f"{times(image.grid.shape)} of {times(image.grid.spacing_mm)} mm"),
        ("Scanner", _joined(how.scanner, stated.scanner)),
        ("Duration, and beds or projections", _joined(_duration(how), stated.scan)),
        ("Energy windows and collimator", _joined(_windows(how), how.collimator)),
        ("Reconstruction", _joined(*how.reconstruction, stated.reconstruction)),
        ("Corrections", _joined(*how.corrections)),
        ("Resolution (FWHM)", _resolution(result)),
        ("CT", _ct(result)),
        ("Registration", result.case.registration.source if result.case.registration else None),
    ]


def _activity(result: Assessment) -> list[tuple[str, str | None]]:
    return [
        ("Calibration", result.record.calibration),
        ("Calibration region", result.totals.calibration_region),
        ("Image over administered activity", _percent(result.totals.recovered_fraction)),
        ("Liver over field of view", _percent(result.totals.liver_of_field_fraction)),
        ("Recovery coefficients", recovery_coefficients(result)),
    ]


def _regions(result: Assessment) -> list[tuple[str, str | None]]:
    volumes = "; ".join(f"{n} {number(m.volume_ml)} mL" for n, m in result.rois.items())
    overlaps = "; ".join(f"{o.first} and {o.second} {number(o.volume_ml)} mL" for o in result.overlaps)
    return [
        ("Volumes", volumes or None),
        ("Who or what drew them", _stated(result).regions_drawn_by or None),
        ("Border voxels", "counted by the part that lies in the region"),
        ("Overlaps", overlaps or "none"),
    ]


def _dose(result: Assessment, spread: Intervals | None) -> list[tuple[str, str | None]]:
    record = result.record
    half_life, k = number(record.constants.half_life_h), number(record.constants.gy_kg_per_gbq)
    means = "; ".join(
        _with_image(n, best(result, n, "mean_dose_gy", "Gy"), " Gy")
        for n, m in result.rois.items()
        if math.isfinite(m.mean_dose_gy)
    )
    ratio = "; ".join(f"{_with_image(r.roi, r.best, '')}, against {r.normal}" for r in ratios(result))
    return [
        ("Method", f"engine {record.engine}"),
        ("Kernel", fact(record.kernel["source"]) if "source" in record.kernel else "none"),
        ("Time-integrated activity", "permanent trapping, A T½/ln 2"),
        ("Constants", f"T½ {half_life} h, K {k} Gy kg/GBq"),
        ("Mean absorbed doses", means or None),
        ("T/N ratio", ratio or None),
        ("Dose-volume histograms", "in this report" if result.rois else None),
        ("Uncertainty", None if spread is None else spread.text),
    ]


def _joined(*words: str | None) -> str | None:
    """What is known, in one line; ``None`` where nothing is."""
    return ", ".join(w for w in words if w) or None


def _vial(stated: Stated) -> str | None:
    if stated.vial_calibration_mbq is None or stated.vial_calibrated_at is None:
        return None
    return f"{number(stated.vial_calibration_mbq)} MBq at {stated.vial_calibrated_at.isoformat(' ', 'minutes')}"


def _duration(how: Acquisition) -> str | None:
    each = (
        f"{number(how.frame_duration_s)} s per {'projection' if how.frames else 'frame'}"
        if how.frame_duration_s
        else None
    )
    frames = f"{how.frames} projections" if how.frames else None
    return _joined(each, frames, f"{how.detectors} detectors" if how.detectors else None)


def _windows(how: Acquisition) -> str | None:
    return _joined(*(f"{low:g} to {high:g} keV" for low, high in how.energy_windows_kev))


def _resolution(result: Assessment) -> str | None:
    """As the case states it where numbers were recovered with it."""
    widths = result.recovered.facts.get("fwhm_mm_kji") if result.recovered is not None else None
    return f"{times(widths)} mm (slice, row, column)" if isinstance(widths, list | tuple) else None


def _ct(result: Assessment) -> str | None:
    if result.case.ct is None:
        return None
    how = result.case.reported.ct or Acquisition()
    tube = f"{how.tube_kv:g} kV" if how.tube_kv else None
    return _joined(how.scanner, tube, *how.reconstruction) or "given"


def _with_image(name: str, one: Best, unit: str) -> str:
    """A best value, and where it is not the image's own what it is and the image's."""
    beside = f" ({one.kind}; {one.image}{unit} in the image)" if one.kind else ""
    return f"{name} {one.words}{unit}{beside}"


def _mbq(value: float | None) -> str | None:
    return None if value is None else f"{number(value)} MBq"


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{percent(value)} %"
