"""Numbers of a comparison in the keys of ``comparison.json`` and ``comparison.csv``."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import numpy as np

from voxeldose.dose.comparison import BED_SOURCE, GAMMA_SOURCE
from voxeldose.dose.metrics import dvh_in
from voxeldose.io.results.assessment import csv_cell

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from voxeldose.dose.comparison import GammaMap, SumInRoi
    from voxeldose.io.results.folder import StoredAssessment
    from voxeldose.model.roi import RoiSet
    from voxeldose.model.volume import DoseMap

__all__ = ["difference_content", "provenance", "side_row", "sum_row", "voxel_row", "write_csv"]

_METRICS = (
    *(
        "volume_ml",
        "mass_g",
        "activity_mbq",
        "mean_dose_gy",
        "single_compartment_gy",
        "sd_dose_gy",
        "d95_gy",
        "d70_gy",
        "d50_gy",
        "d2_gy",
    ),
    *("v100_fraction", "v190_fraction", "v205_fraction", "v400_fraction", "v446_fraction", "bed_gy", "eud_gy"),
)


def side_row(result: StoredAssessment, name: str) -> dict[str, Any]:
    """One result: where its numbers come from."""
    content = result.content
    return {
        "name": name,
        "id": content["case"]["id"],
        "kind": result.kind,
        "kind_text": result.kind_text,
        "version": content["version"],
        "engine": content["method"]["engine"],
        "calibration": content["method"]["calibration"],
        "constants": content["constants"]["name"],
        "net_mbq": content["totals"]["net_mbq"],
        "activity_mbq": content["totals"]["activity_mbq"],
        "tumor_to_normal_ratio": content["tumor_to_normal_ratio"],
        "tumor_to_normal_region": content.get("tumor_to_normal_region"),
        "grid": content["method"]["grid"],
    }


def provenance(results: list[StoredAssessment], inputs: dict[str, Any], *, add: bool) -> dict[str, Any]:
    """Formulas, constants of each result, ``inputs`` as given, and sources."""
    formula = {
        "sum": "Σ D of the treatments, voxel by voxel",
        "bed": "Σ BED of the treatments; BED = D (1 + G D / (α/β))",
    }
    if not add:
        formula = {
            "difference": "post - pre",
            "tumor_to_normal": "(A_T / V_T) / (A_N / V_N), and mean dose over mean dose",
            "gamma": "minimum over distance r of sqrt((difference / dose criterion)² + (r / distance criterion)²), passed at 1",
        }
    return {
        "formula": formula,
        "constants": [one.content["constants"] for one in results],
        "inputs": {"results": [one.path.name for one in results], **inputs},
        "sources": [
            *((BED_SOURCE,) if add else (GAMMA_SOURCE,)),
            *sorted({one.radionuclide.source for one in results}),
        ],
    }


def difference_content(
    first: dict[str, Any], second: dict[str, Any], names: list[str], gamma: GammaMap
) -> dict[str, Any]:
    """Numbers of regions, T/N, activity and gamma of two results."""
    return {
        "rois": {
            name: {
                "role": second["rois"][name]["role"],
                "metrics": {m: _pair(first["rois"][name].get(m), second["rois"][name].get(m)) for m in _METRICS},
            }
            for name in names
        },
        "tumor_to_normal_ratio": _pair(first["tumor_to_normal_ratio"], second["tumor_to_normal_ratio"]),
        "tumor_to_normal": _ratios(first.get("tumor_to_normal", ()), second.get("tumor_to_normal", ())),
        "net_mbq": _pair(first["totals"]["net_mbq"], second["totals"]["net_mbq"]),
        "gamma": {
            "criteria": str(gamma.criteria),
            "dose_fraction": gamma.criteria.dose_fraction,
            "distance_mm": gamma.criteria.distance_mm,
            "local": gamma.criteria.is_local,
            "cutoff_fraction": gamma.criteria.cutoff_fraction,
            "limit": gamma.criteria.limit,
            "passed_fraction": gamma.passed_fraction(),
            "evaluated_voxels": gamma.evaluated,
            "not_reached_voxels": gamma.not_reached,
        },
    }


def _ratios(pre: Sequence[dict[str, Any]], post: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """T/N of every tumor that both results have, and of all pooled, with the normal region of each."""
    before = {row["roi"]: row for row in pre}
    return [
        {
            "roi": row["roi"],
            "normal": {"pre": before[row["roi"]]["normal"], "post": row["normal"]},
            **{key: _pair(before[row["roi"]][key], row[key]) for key in ("by_concentration", "by_dose")},
        }
        for row in post
        if row["roi"] in before
    ]


def _pair(pre: float | None, post: float | None) -> dict[str, float | None]:
    known = pre is not None and post is not None
    return {
        "pre": pre,
        "post": post,
        "difference": post - pre if known else None,  # type: ignore[operator]
        "ratio": post / pre if known and pre else None,  # type: ignore[operator]
    }


def voxel_row(name: str, regions: RoiSet | None, pre: DoseMap, post: DoseMap, gamma: GammaMap) -> dict[str, Any]:
    """Voxel by voxel in a region of post; ``None`` where a map does not reach all of it."""
    nothing = {"gamma_passed_fraction": None, "pre_in_post_roi_gy": None, "rms_difference_gy": None}
    if regions is None or name not in regions:
        return nothing
    roi = regions[name]
    part = post.grid.slices_of(roi.grid)
    change = (post.gy[part] - pre.gy[part]).astype(np.float64)
    if np.isnan(change[roi.occupancy > 0]).any():
        return nothing | {"gamma_passed_fraction": gamma.passed_fraction(roi)}
    weights = roi.occupancy.astype(np.float64)
    square = float((weights * np.nan_to_num(change) ** 2).sum() / weights.sum())
    return {
        "gamma_passed_fraction": gamma.passed_fraction(roi),
        "pre_in_post_roi_gy": dvh_in(roi, pre.replaced(np.nan_to_num(pre.gy))).mean_gy,
        "rms_difference_gy": square**0.5,
    }


def sum_row(row: SumInRoi, name: str, results: list[StoredAssessment]) -> dict[str, Any]:
    """What several treatments gave one region."""
    d95, d70, d50, d2 = row.dvh.at((), (0.95, 0.70, 0.50, 0.02))[1]
    return {
        "role": row.role,
        "volume_ml": row.volume_ml,
        "mean_each_gy": list(row.mean_each_gy),
        "mean_each_on_own_grid_gy": [one.content["rois"].get(name, {}).get("mean_dose_gy") for one in results],
        "mean_dose_gy": row.dvh.mean_gy,
        "d95_gy": d95,
        "d70_gy": d70,
        "d50_gy": d50,
        "d2_gy": d2,
        "bed_each_gy": list(row.bed_each_gy) if row.bed_each_gy is not None else None,
        "bed_gy": row.bed_gy,
        "outside_fraction": row.outside_fraction,
    }


def write_csv(content: Mapping[str, Any], path: Path) -> None:
    """Long form: a row per region and quantity."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        if content["kind"] == "difference":
            rows.writerow(["roi", "metric", "pre", "post", "difference", "ratio"])
            for name, roi in content["rois"].items():
                for metric, pair in roi["metrics"].items():
                    rows.writerow([name, metric, *(csv_cell(pair[k]) for k in ("pre", "post", "difference", "ratio"))])
            return
        rows.writerow(["roi", "metric", "sum", *(side["name"] for side in content["results"])])
        for name, roi in content["rois"].items():
            nothing = [None] * len(content["results"])
            rows.writerow([name, "mean_dose_gy", *map(csv_cell, (roi["mean_dose_gy"], *roi["mean_each_gy"]))])
            rows.writerow([name, "bed_gy", *map(csv_cell, (roi["bed_gy"], *(roi["bed_each_gy"] or nothing)))])
            for metric in ("volume_ml", "d95_gy", "d70_gy", "d50_gy", "d2_gy"):
                rows.writerow([name, metric, csv_cell(roi[metric]), *(csv_cell(None) for _ in nothing)])
