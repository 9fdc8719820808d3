"""Numbers of a comparison in the keys of ``comparison.json`` and ``comparison.csv``."""

from __future__ import annotations

import csv
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from voxeldose.dose.comparison import BED_SOURCE, GAMMA_SOURCE
from voxeldose.dose.metrics import dvh_in
from voxeldose.io.results.assessment import csv_cell
from voxeldose.model.best_value import TUMOR_TO_NORMAL, best_pooled_ratio, best_value, numbers_in

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from voxeldose.dose.comparison import GammaMap, SumInRoi
    from voxeldose.io.results.folder import StoredAssessment
    from voxeldose.model.best_value import HasNumbers
    from voxeldose.model.roi import Roi, RoiSet
    from voxeldose.model.volume import DoseMap

__all__ = ["difference_content", "matched_row", "provenance", "side_row", "sum_row", "voxel_row", "write_csv"]

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
        "best_tumor_to_normal": best_pooled_ratio(numbers_in(content), content["tumor_to_normal_ratio"]).value,
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
    numbers = numbers_in(first), numbers_in(second)
    return {
        "rois": {
            name: {
                "role": second["rois"][name]["role"],
                "metrics": {m: _pair(first["rois"][name].get(m), second["rois"][name].get(m)) for m in _METRICS},
                "best": {
                    m: _best_pair(numbers, name, m)
                    for m in _METRICS
                    if m in first["rois"][name] and m in second["rois"][name]
                },
            }
            for name in names
        },
        "tumor_to_normal_ratio": _pair(first["tumor_to_normal_ratio"], second["tumor_to_normal_ratio"]),
        "tumor_to_normal": _ratios(first, second, numbers, names),
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


def _ratios(
    pre: dict[str, Any], post: dict[str, Any], numbers: tuple[HasNumbers, HasNumbers], names: list[str]
) -> list[dict[str, Any]]:
    """T/N of every tumor that is compared, as each result has it, with the normal region that it is against."""
    before, after = ({row["roi"]: row for row in content.get("tumor_to_normal", ())} for content in (pre, post))
    nothing = dict.fromkeys(("normal", "by_concentration", "by_dose"))
    rows = []
    for name in names:
        if name not in before and name not in after:
            continue
        first, second = before.get(name, nothing), after.get(name, nothing)
        pairs = {key: _pair(first[key], second[key]) for key in ("by_concentration", "by_dose")}
        best = _best_pair(numbers, name, TUMOR_TO_NORMAL)
        normal = {"pre": first["normal"], "post": second["normal"]}
        reached = {"pre": first.get("reached", True), "post": second.get("reached", True)}
        rows.append({"roi": name, "normal": normal, "reached": reached, "best": best, **pairs})
    return rows


#: Ratios beyond this are of numbers that are nothing but noise.
_LARGEST_RATIO = 1000.0
#: Doses below this part of the highest are what the blur and the splines leave where there is nothing.
_ROUNDING = 1e-5
_MATCHED_GY = (100.0, 190.0, 205.0, 400.0, 446.0)
_MATCHED_PARTS = (0.95, 0.70, 0.50, 0.02)


def matched_row(name: str, regions: RoiSet | None, pre: DoseMap, post: DoseMap) -> dict[str, Any] | None:
    """Numbers of one region of post in both doses, which lie on its grid at one resolution; ``None`` where one does not reach."""
    if regions is None or name not in regions:
        return None
    roi = regions[name]
    part = post.grid.slices_of(roi.grid)
    if any(np.isnan(dose.gy[part][roi.occupancy > 0]).any() for dose in (pre, post)):
        return None
    first, second = (_numbers(roi, dose) for dose in (pre, post))
    return {key: _pair(first[key], second[key]) for key in first}


def _numbers(roi: Roi, dose: DoseMap) -> dict[str, float]:
    dvh = dvh_in(roi, dose.replaced(np.nan_to_num(dose.gy)))
    coverages, doses = dvh.at(_MATCHED_GY, _MATCHED_PARTS)
    found = {"mean_dose_gy": dvh.mean_gy}
    found |= {f"d{100 * part:.0f}_gy": gy for part, gy in zip(_MATCHED_PARTS, doses, strict=True)}
    least = _ROUNDING * float(np.nanmax(np.abs(dose.gy)))
    found = {key: gy if abs(gy) >= least else 0.0 for key, gy in found.items()}
    return found | {f"v{gy:.0f}_fraction": part for gy, part in zip(_MATCHED_GY, coverages, strict=True)}


def _ratio(pre: float | None, post: float | None) -> float | None:
    """Post over pre; ``None`` where it would mislead: of a number at or below zero, or more than a thousandfold."""
    if pre is None or post is None or not 0 < post <= _LARGEST_RATIO * pre:
        return None
    return post / pre


def _pair(pre: float | None, post: float | None) -> dict[str, float | None]:
    known = pre is not None and post is not None
    return {
        "pre": pre,
        "post": post,
        "difference": post - pre if known else None,  # type: ignore[operator]
        "ratio": _ratio(pre, post),
    }


def _best_pair(numbers: tuple[HasNumbers, HasNumbers], roi: str, metric: str) -> dict[str, Any]:
    """The best value of each result with its interval, its kind and the image's own; a ratio only of values of one kind."""
    first, second = (best_value(one, roi, metric) for one in numbers)
    alike = first.kind == second.kind
    return {
        "pre": asdict(first) | {"words": first.words},
        "post": asdict(second) | {"words": second.words},
        "ratio": _ratio(first.value, second.value) if alike else None,
    }


def voxel_row(name: str, regions: RoiSet | None, pre: DoseMap, post: DoseMap, gamma: GammaMap) -> dict[str, Any]:
    """Voxel by voxel in a region of post; ``None`` where a map does not reach all of it."""
    keys = ("gamma_passed_fraction", "pre_in_post_roi_gy", "post_in_post_roi_gy", "rms_difference_gy")
    nothing: dict[str, Any] = dict.fromkeys(keys)
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
        "post_in_post_roi_gy": dvh_in(roi, post).mean_gy,
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


def _values_of(best: Mapping[str, Any]) -> dict[str, float | None]:
    """A pair of best values as a pair of numbers; those of two kinds are not compared."""
    pair = _pair(best["pre"]["value"], best["post"]["value"])
    return pair if best["pre"]["kind"] == best["post"]["kind"] else pair | {"difference": None, "ratio": None}


def write_csv(content: Mapping[str, Any], path: Path) -> None:
    """Long form: a row per region and quantity."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        if content["kind"] == "difference":
            rows.writerow(["roi", "metric", "pre", "post", "difference", "ratio"])
            for name, roi in content["rois"].items():
                matched = {f"matched_{metric}": pair for metric, pair in (roi.get("matched") or {}).items()}
                better = {
                    f"best_{metric}": _values_of(pair)
                    for metric, pair in roi["best"].items()
                    if any(pair[side]["kind"] != "image" for side in ("pre", "post"))
                }
                for metric, pair in {**roi["metrics"], **better, **matched}.items():
                    rows.writerow([name, metric, *(csv_cell(pair[k]) for k in ("pre", "post", "difference", "ratio"))])
            for row in content["tumor_to_normal"]:
                for key in ("by_concentration", "by_dose"):
                    pair = row[key]
                    cells = (csv_cell(pair[k]) for k in ("pre", "post", "difference", "ratio"))
                    rows.writerow([row["roi"], f"tumor_to_normal_{key}", *cells])
            return
        rows.writerow(["roi", "metric", "sum", *(side["name"] for side in content["results"])])
        for name, roi in content["rois"].items():
            nothing = [None] * len(content["results"])
            rows.writerow([name, "mean_dose_gy", *map(csv_cell, (roi["mean_dose_gy"], *roi["mean_each_gy"]))])
            rows.writerow([name, "bed_gy", *map(csv_cell, (roi["bed_gy"], *(roi["bed_each_gy"] or nothing)))])
            for metric in ("volume_ml", "d95_gy", "d70_gy", "d50_gy", "d2_gy"):
                rows.writerow([name, metric, csv_cell(roi[metric]), *(csv_cell(None) for _ in nothing)])
