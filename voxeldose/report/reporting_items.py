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

from voxeldose.model.volume import ActivityMap
from voxeldose.report.content import Group
from voxeldose.report.headline import best, ratios, recovery_coefficients
from voxeldose.report.wording import fact, number, percent, times

if TYPE_CHECKING:
    from voxeldose.model.assessment import Assessment
    from voxeldose.report.content import Intervals
    from voxeldose.report.headline import Best

__all__ = ["reporting_items"]


def reporting_items(result: Assessment, spread: Intervals | None = None) -> list[Group]:
    """Treatment, imaging, activity, regions, dose and software."""
    software: list[tuple[str, str | None]] = [
        ("Program and version", f"voxeldose {result.record.version}"),
        ("Hashes of inputs", "in run.json"),
    ]
    return [
        Group("Treatment", _treatment(result)),
        Group("Imaging", _imaging(result)),
        Group("From image to activity", _activity(result)),
        Group("Regions", _regions(result)),
        Group("Absorbed dose", _dose(result, spread)),
        Group("Software", software),
    ]


def _treatment(result: Assessment) -> list[tuple[str, str | None]]:
    given = result.case.administration
    in_role = {role: ", ".join(result.case.rois.with_role(role).names()) for role in ("perfused", "segment")}
    territories = ", ".join(n for n in in_role.values() if n)
    return [
        ("Radionuclide and device", f"{given.radionuclide.name}{f', {given.device}' if given.device else ''}"),
        ("Product lot, vial calibration activity and time", None),
        ("Activity in the vial at infusion", _mbq(given.administered_mbq)),
        ("Residual activity", _mbq(given.residual_mbq) if given.administered_mbq is not None else None),
        ("Net activity", _mbq(result.totals.net_mbq)),
        ("Time of infusion", given.at.isoformat(" ", "minutes") if given.at else None),
        ("Activity meter and its calibration factor", None),
        ("Lung shunt fraction", _percent(given.lung_shunt_fraction)),
        ("How the lung shunt was measured", None),
        ("Territories", ", ".join(t.roi for t in given.territories) or territories or None),
        ("Catheter positions", None),
    ]


def _imaging(result: Assessment) -> list[tuple[str, str | None]]:
    image = result.case.activity
    return [
        ("Predicted or delivered", result.kind_text if result.kind is not None else None),
        ("Kind of image", "activity in Bq/mL" if isinstance(image, ActivityMap) else "counts"),
        ("Nuclide in the image", image.radionuclide.name if image.radionuclide else result.case.image_nuclide),
        ("Instant of the image's values", image.at.isoformat(" ", "minutes") if image.at else None),
        ("Voxels", f"{times(image.grid.shape)} of {times(image.grid.spacing_mm)} mm"),
        ("Scanner, duration and beds", None),
        ("Reconstruction, corrections and resolution (FWHM)", None),
        ("CT", "given" if result.case.ct is not None else None),
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
        ("Who or what drew them", None),
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


def _with_image(name: str, one: Best, unit: str) -> str:
    """A best value, and where it is not the image's own what it is and the image's."""
    beside = f" ({one.kind}; {one.image}{unit} in the image)" if one.kind else ""
    return f"{name} {one.words}{unit}{beside}"


def _mbq(value: float | None) -> str | None:
    return None if value is None else f"{number(value)} MBq"


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{percent(value)} %"
