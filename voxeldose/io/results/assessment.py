"""An assessment as JSON and CSV; names and definitions are the contract's."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import asdict, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from voxeldose.io.json_text import format_json
from voxeldose.io.results.content import SCHEMA, remark_rows
from voxeldose.model.assessment import RoiNumbers
from voxeldose.model.lungs import LIMIT_SOURCE
from voxeldose.model.roles import ROLES

if TYPE_CHECKING:
    from pathlib import Path

    from voxeldose.model.assessment import Assessment, Uncertainty
    from voxeldose.model.lungs import LungFindings
    from voxeldose.model.reported import Acquisition, Reported, Stated
    from voxeldose.model.roi import Roi
    from voxeldose.model.tissue import Radiobiology

__all__ = ["SCHEMA", "assessment_dict", "columns", "csv_cell", "plain", "write_json", "write_tables"]

#: A DVH curve in dvh.csv has about this many points per region; its step is one of 1, 2, 5 times a power of ten.
CURVE_POINTS = 400

_METRICS = [f.name for f in fields(RoiNumbers) if f.name != "outside_fraction"]


def assessment_dict(result: Assessment) -> dict[str, Any]:
    """Everything numeric, in the contract's keys; numbers that are not finite become ``None``."""
    content: dict[str, Any] = plain(_parts(result))
    return content


def _parts(result: Assessment) -> dict[str, Any]:
    record, given = result.record, result.case.administration
    rois = {
        name: {key: getattr(m, key) for key in _METRICS}
        | {"outside_grid_fraction": m.outside_fraction}
        | _origin(result.regions[name])
        | _recovered(result, name)
        for name, m in result.rois.items()
    }
    return _resolution(result) | {
        "schema": SCHEMA,
        "version": record.version,
        "kind": result.kind,
        "kind_text": result.kind_text,
        "case": {"id": result.case.id},
        "patient": result.case.patient.facts() or None,
        "rois": rois,
        "tumor_to_normal_ratio": result.tumor_to_normal_ratio,
        "tumor_to_normal_region": result.tumor_to_normal_region,
        "tumor_to_normal": [asdict(t) for t in result.tumor_to_normal],
        "totals": _totals(result),
        "thresholds": [asdict(t) for t in result.thresholds],
        "overlaps": [asdict(o) for o in result.overlaps],
        "constants": {
            "name": record.constants.constants,
            "radionuclide": record.constants.name,
            "half_life_h": record.constants.half_life_h,
            "mean_energy_mev": record.constants.mean_energy_mev,
            "gy_kg_per_gbq": record.constants.gy_kg_per_gbq,
            "source": record.constants.source,
        },
        "method": _method(result),
        "radiobiology": _radiobiology(result),
        "lungs": _lungs(result.lungs) if result.lungs else None,
        "uncertainty": _uncertainty(result.uncertainty) if result.uncertainty else None,
        "administration": {
            "administered_mbq": given.administered_mbq,
            "residual_mbq": given.residual_mbq,
            "at": given.at.isoformat() if given.at else None,
            "lung_shunt_fraction": given.lung_shunt_fraction,
            "device": given.device,
        },
        "reported": _reported(result.case.reported),
        "registration": result.case.registration.facts() if result.case.registration else None,
        "assumptions": remark_rows(record.assumptions),
        "warnings": remark_rows(record.warnings),
    }


def _reported(reported: Reported) -> dict[str, Any]:
    """Facts on the user's word and of the headers, instants as text; ``None`` where there are none."""

    def plain_facts(facts: Stated | Acquisition | None) -> dict[str, Any] | None:
        if facts is None:
            return None
        rows = asdict(facts).items()
        return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in rows}

    sides = {"stated": reported.stated, "image": reported.image, "ct": reported.ct}
    return {key: plain_facts(facts) for key, facts in sides.items()} | {"protocol": reported.protocol or None}


def _totals(result: Assessment) -> dict[str, Any]:
    """Sums; what each territory got only where there are territories."""
    totals = asdict(result.totals)
    return totals if totals["territories"] else {key: v for key, v in totals.items() if key != "territories"}


def _method(result: Assessment) -> dict[str, Any]:
    """How the dose was computed, and where it lies."""
    record, grid = result.record, result.dose.grid
    return {
        "engine": record.engine,
        "description": record.method,
        "calibration": record.calibration,
        "kernel": dict(record.kernel),
        "density_g_per_ml": result.case.density if isinstance(result.case.density, float) else None,
        "energy_lost_fraction": result.dose.energy_lost_fraction,
        "grid": {
            "shape_kji": list(grid.shape),
            "spacing_mm_kji": list(grid.spacing_mm),
            "affine_lps_mm": grid.affine_lps_mm.tolist(),
            "frame_uid": grid.frame_uid,
        },
    }


def _radiobiology(result: Assessment) -> dict[str, Any]:
    """The parameter set that BED and EUD of each role were computed with."""
    roles = {metrics.role for metrics in result.rois.values()}
    return {role: _tissue(tissue) for role, tissue in result.case.radiobiology.items() if role in roles}


def _tissue(tissue: Radiobiology) -> dict[str, Any]:
    names = ("name", "tissue", "alpha_beta_gy", "repair_half_time_h", "alpha_per_gy", "source", "year")
    return {name: getattr(tissue, name) for name in names}


def _lungs(lungs: LungFindings) -> dict[str, Any]:
    """The lungs' dose by the shunt fraction, with limits, and the fraction that the run's own image shows."""
    first, second, measured = lungs.dose, lungs.dose_by_mass, lungs.measured
    seen = measured.inputs if measured is not None else {}
    return {
        "lung_shunt_fraction": lungs.shunt_fraction,
        "dose_gy": first.gy if first else None,
        "mass_g": first.mass.grams if first else None,
        "mass_source": first.mass.source if first else None,
        "dose_own_mass_gy": second.gy if second else None,
        "own_mass_g": second.mass.grams if second else None,
        "own_mass_source": second.mass.source if second else None,
        "earlier_gy": list(first.earlier_gy) if first else [],
        "cumulative_gy": first.cumulative_gy if first else None,
        "limits": [
            {**asdict(limit), "met": limit.met, "mass_g": one.mass.grams, "mass_source": one.mass.source}
            for one in (first, second)
            if one is not None
            for limit in one.limits
        ],
        "limits_source": LIMIT_SOURCE,
        "formula": first.formula if first else None,
        "measured_shunt_fraction": measured.fraction if measured else None,
        "measured_part_seen": seen.get("lung_part_seen"),
        "measured_is_cut": seen.get("lung_at_edge"),
        "measured_formula": measured.formula if measured else None,
    }


def _uncertainty(uncertainty: Uncertainty) -> dict[str, Any]:
    remarks = {key: remark_rows(getattr(uncertainty, key)) for key in ("assumptions", "warnings")}
    return asdict(replace(uncertainty, assumptions=(), warnings=())) | remarks


def _recovered(result: Assessment, name: str) -> dict[str, Any]:
    """Recovered numbers of a region, in the outline moved onto the image and as drawn; nothing where there are none."""
    roi = result.recovered.rois.get(name) if result.recovered is not None else None
    if roi is None:
        return {}
    others = {
        "as_drawn": asdict(roi.as_drawn),
        "mean_dose_rbv_gy": roi.mean_dose_rbv_gy,
        "shift_lps_mm": list(roi.shift_lps_mm),
        "growth_mm": roi.growth_mm,
        "cold_core_ml": roi.cold_core_ml,
        "dvh": asdict(roi.dvh) if roi.dvh is not None else None,
    }
    return {"recovered": asdict(roi.best) | others}


def _resolution(result: Assessment) -> dict[str, Any]:
    """How the recovered numbers came about; nothing where there are none."""
    found = result.recovered
    return {} if found is None else {"resolution": {"method": found.method, **found.facts}}


def _origin(roi: Roi) -> dict[str, Any]:
    """The region's name and codes in its file, besides the user's name."""
    return {"source_name": roi.source_name or None, "codes": [asdict(code) for code in roi.codes]}


def write_json(content: dict[str, Any], path: Path) -> None:
    """Write JSON that any parser reads (:func:`voxeldose.io.json_text.format_json`); what is not finite is null."""
    path.write_text(format_json(plain(content)) + "\n", "utf-8")


def write_tables(result: Assessment, folder: Path) -> None:
    """Write ``rois.csv`` (a row per region), ``dvh.csv`` (cumulative) and ``columns.json``, which says what each column is."""
    write_json(columns(), folder / "columns.json")
    with (folder / "rois.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["roi", *_METRICS])
        for name, m in result.rois.items():
            rows.writerow([name, *(csv_cell(getattr(m, key)) for key in _METRICS)])
    with (folder / "dvh.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["roi", "dose_gy", "volume_ml", "volume_fraction"])
        for name, m in result.rois.items():
            if not math.isfinite(m.mean_dose_gy):
                continue
            doses, volumes = m.dvh.curve(curve_step_gy(m.max_dose_gy))
            for dose, volume in zip(doses, volumes, strict=True):
                rows.writerow([name, f"{dose:.10g}", f"{volume:.8g}", f"{volume / m.dvh.total_ml:.8g}"])


def columns() -> dict[str, dict[str, dict[str, str]]]:
    """What each column of the tables holds: file -> column -> unit and meaning."""
    rois = {"roi": ("", "name of the region"), "role": ("", "what the region is: " + ", ".join(ROLES))} | _MEANINGS
    for metric in _METRICS:
        if match := re.fullmatch(r"d(\d+)_gy", metric):
            rois[metric] = ("Gy", f"highest dose that at least {match[1]} % of the volume receives")
        elif match := re.fullmatch(r"v(\d+)_fraction", metric):
            rois[metric] = ("1", f"fraction of the volume with a dose of at least {match[1]} Gy, 0 to 1")
    dvh = {
        "roi": ("", "name of the region"),
        "dose_gy": ("Gy", "absorbed dose"),
        "volume_ml": ("mL", "volume that receives at least dose_gy (cumulative)"),
        "volume_fraction": ("1", "the same as a fraction of the region's volume, 0 to 1"),
    }
    tables = {"rois.csv": {m: rois[m] for m in ("roi", *_METRICS)}, "dvh.csv": dvh}
    return {
        file: {name: {"unit": unit, "meaning": meaning} for name, (unit, meaning) in table.items()}
        for file, table in tables.items()
    }


#: Unit and meaning of what ``rois.csv`` holds besides coverages and doses to fractions.
_MEANINGS = {
    "volume_ml": ("mL", "volume within the dose grid, partial voxels counted by their occupancy"),
    "mass_g": ("g", "volume times density; of lungs never at the density of liver, but the CT's or empty"),
    "activity_mbq": ("MBq", "activity in the region at the infusion"),
    "mean_dose_gy": ("Gy", "absorbed dose to total decay, mean over the volume, negative voxels included"),
    "min_dose_gy": ("Gy", "lowest dose of an occupied voxel"),
    "max_dose_gy": ("Gy", "highest dose of an occupied voxel"),
    "sd_dose_gy": ("Gy", "standard deviation of the dose over the volume"),
    "bed_gy": (
        "Gy",
        "biologically effective dose, mean over the volume; parameters stand in assessment.json, radiobiology",
    ),
    "eud_gy": ("Gy", "equivalent uniform dose; parameters stand in assessment.json, radiobiology"),
    "eubed_gy": ("Gy", "equivalent uniform BED; parameters as for eud_gy"),
    "single_compartment_gy": (
        "Gy",
        "of a perfused region: K A (1 - LSF) / m, the mean dose if the activity that goes there spread evenly",
    ),
    "perfused_fraction": ("1", "of a tumor: part of its volume that lies in perfused regions, 0 to 1"),
    "reached": ("", "of a tumor: whether at least half of it lies in perfused regions; if not it is not treated"),
    "axial_diameter_mm": ("mm", "of a tumor: longest diameter of its outline in one slice of the file it was drawn in"),
    "mean_dose_local_gy": ("Gy", "mean dose of the same region by local deposition"),
}


def curve_step_gy(highest_gy: float) -> float:
    """The step of a DVH curve up to ``highest_gy``."""
    if highest_gy <= 0:
        return 1.0
    rough = highest_gy / CURVE_POINTS
    power = 10.0 ** math.floor(math.log10(rough))
    return next((m * power for m in (1, 2, 5) if m * power >= rough), 10 * power)


def csv_cell(value: object) -> object:
    """A value as tables hold it: eight significant digits, empty where there is no number."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return f"{value:.8g}" if isinstance(value, float) else value


def plain(value: Any) -> Any:
    """The same content as plain numbers, lists and tables for JSON; numbers that are not finite become ``None``."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (np.floating, float)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    return value
