"""An assessment as JSON and CSV; names and definitions are the contract's."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from voxeldose.case import RoiMetrics

if TYPE_CHECKING:
    from pathlib import Path

    from voxeldose.case import Assessment

__all__ = ["SCHEMA", "assessment_dict", "write_json", "write_tables"]

SCHEMA = "voxeldose/assessment/1"

#: A DVH curve in dvh.csv has about this many points a region; its step is one of 1, 2, 5 times a power of ten.
CURVE_POINTS = 400

_METRICS = [f.name for f in fields(RoiMetrics) if f.name not in ("dvh", "outside_fraction")]


def assessment_dict(result: Assessment) -> dict[str, Any]:
    """Everything numeric, in the contract's keys; numbers that are not finite become ``None``."""
    record, given = result.record, result.case.administration
    grid = result.dose.grid
    rois = {
        name: {key: getattr(m, key) for key in _METRICS} | {"outside_grid_fraction": m.outside_fraction}
        for name, m in result.rois.items()
    }
    whole = {
        "schema": SCHEMA,
        "version": record.version,
        "case": {"id": result.case.id},
        "rois": rois,
        "tumor_to_normal_ratio": result.tumor_to_normal_ratio,
        "tumor_to_normal": [asdict(t) for t in result.tumor_to_normal],
        "totals": asdict(result.totals),
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
        "method": {
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
        },
        "uncertainty": asdict(result.uncertainty) if result.uncertainty else None,
        "administration": {
            "administered_mbq": given.administered_mbq,
            "residual_mbq": given.residual_mbq,
            "at": given.at.isoformat() if given.at else None,
            "lung_shunt_fraction": given.lung_shunt_fraction,
            "device": given.device,
        },
        "assumptions": list(record.assumptions),
        "warnings": list(record.warnings),
    }
    cleaned: dict[str, Any] = _clean(whole)
    return cleaned


def write_json(content: dict[str, Any], path: Path) -> None:
    """Write JSON that any parser reads: UTF-8, no NaN."""
    path.write_text(json.dumps(_clean(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")


def write_tables(result: Assessment, folder: Path) -> None:
    """Write ``rois.csv`` (a row a region) and ``dvh.csv`` (cumulative: the volume that receives at least ``dose_gy``)."""
    with (folder / "rois.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["roi", *_METRICS])
        for name, m in result.rois.items():
            rows.writerow([name, *(_cell(getattr(m, key)) for key in _METRICS)])
    with (folder / "dvh.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["roi", "dose_gy", "volume_ml", "volume_fraction"])
        for name, m in result.rois.items():
            if not math.isfinite(m.mean_dose_gy):
                continue
            doses, volumes = m.dvh.curve(curve_step_gy(m.max_dose_gy))
            for dose, volume in zip(doses, volumes, strict=True):
                rows.writerow([name, f"{dose:.10g}", f"{volume:.8g}", f"{volume / m.dvh.total_ml:.8g}"])


def curve_step_gy(highest_gy: float) -> float:
    """The step of a DVH curve up to ``highest_gy``."""
    if highest_gy <= 0:
        return 1.0
    rough = highest_gy / CURVE_POINTS
    power = 10.0 ** math.floor(math.log10(rough))
    return next((m * power for m in (1, 2, 5) if m * power >= rough), 10 * power)


def _cell(value: object) -> object:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return f"{value:.8g}" if isinstance(value, float) else value


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _clean(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(v) for v in value]
    if isinstance(value, (np.floating, float)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    return value
