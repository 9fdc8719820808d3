"""Folders of results to a folder that holds their comparison or their sum; whole or not at all."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from voxeldose._version import __version__
from voxeldose.dose.comparison import (
    BED_SOURCE,
    GAMMA_SOURCE,
    GammaCriteria,
    dose_sum,
    gamma_index,
    registration_of,
    require_same_rois,
    sums_in_rois,
)
from voxeldose.dose.metrics import dvh_in
from voxeldose.dose.regions import regions_on
from voxeldose.errors import InputError, QuantityError
from voxeldose.geometry.resample import moved_onto
from voxeldose.io.nifti import write_nifti
from voxeldose.io.results.assessment import plain, write_json
from voxeldose.io.results.folder import read_results
from voxeldose.io.results.new_folder import new_folder
from voxeldose.model.roi import RoiSet
from voxeldose.report.comparison import plot_curves, plot_maps, write_page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt
    from matplotlib.figure import Figure

    from voxeldose.dose.comparison import GammaMap
    from voxeldose.io.results.folder import StoredAssessment
    from voxeldose.model.volume import DoseMap

__all__ = ["SCHEMA", "ComparisonOptions", "compare_folders"]

SCHEMA = "voxeldose/comparison/1"
MARKER = "comparison.json"

_METRICS = (
    *("volume_ml", "mass_g", "activity_mbq", "mean_dose_gy", "sd_dose_gy", "d95_gy", "d70_gy", "d50_gy", "d2_gy"),
    *("v100_fraction", "v190_fraction", "v205_fraction", "v400_fraction", "v446_fraction", "bed_gy", "eud_gy"),
)
#: Net activities or volumes further apart than this earn a warning.
_APART = 0.05


@dataclass(frozen=True, eq=False)
class ComparisonOptions:
    """What is compared and how.

    Parameters
    ----------
    rois : tuple of str
        Regions to compare; all, which must then be the same, if none.
    matrices : tuple of ndarray or None
        For each result but the last: the rigid transform, (4, 4) in LPS millimetres, that takes its points to the last's.
    same_frame : bool
        The user states that all lie in one frame of reference.
    criteria : GammaCriteria
        Of the gamma index.
    add : bool
        Add the doses instead of comparing them.
    """

    rois: tuple[str, ...] = ()
    matrices: tuple[npt.NDArray[np.float64] | None, ...] = ()
    same_frame: bool = False
    criteria: GammaCriteria = field(default_factory=GammaCriteria)
    add: bool = False


def compare_folders(
    paths: Sequence[Path],
    out: Path | None,
    options: ComparisonOptions,
    *,
    overwrite: bool = False,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Compare two results folders, or add the doses of two or more.

    Parameters
    ----------
    paths : sequence of Path
        Results folders; the grid and the regions of the last one rule (delivered after predicted).
    out : Path, optional
        Folder for ``comparison.json``, ``comparison.csv``, ``comparison.html`` and ``dose_difference.nii.gz`` (last less
        first) or ``dose_sum.nii.gz``; nothing is written without it.
    options : ComparisonOptions
        Regions, registration, criteria.
    overwrite : bool
        Replace an earlier comparison.
    progress : callable, optional
        Called with a few words before each step.

    Returns
    -------
    dict
        ``comparison.json``.

    Raises
    ------
    InputError
        If a folder cannot be read.
    QuantityError
        If the regions differ.
    GeometryError
        If the frames of reference differ and nothing tells how they lie to each other.
    """
    tell = progress or (lambda _: None)
    tell("reading results")
    found = [read_results(path) for path in paths]
    if len(found) != 2 and not options.add:
        msg = f"A comparison needs two results folders, found {len(found)}; more can only be added (--add)."
        raise InputError(msg)
    if out is None:
        return _made(found, options, tell)[0]
    with new_folder(out, overwrite=overwrite, marker=MARKER) as folder:
        content, dose, figures = _made(found, options, tell)
        tell("writing")
        name = "dose_sum.nii.gz" if options.add else "dose_difference.nii.gz"
        words = "sum of absorbed doses in Gy" if options.add else "absorbed dose in Gy, post less pre"
        write_nifti(dose, folder / name, description=words)
        _write_csv(content, folder / "comparison.csv")
        write_page(content, figures(), folder / "comparison.html")
        write_json(content, folder / MARKER)
    return content


def _made(
    found: list[StoredAssessment], options: ComparisonOptions, tell: Callable[[str], None]
) -> tuple[dict[str, Any], DoseMap, Callable[[], list[tuple[str, Figure]]]]:
    last = found[-1]
    names = _names(found, options)
    matrices = options.matrices or (None,) * (len(found) - 1)
    kinds = [
        registration_of(f.dose.grid, last.dose.grid, m, same_frame=options.same_frame)
        for f, m in zip(found[:-1], matrices, strict=True)
    ]
    tell("placing doses on one grid")
    doses = [moved_onto(f.dose, last.dose.grid, m) for f, m in zip(found[:-1], matrices, strict=True)] + [last.dose]
    assumptions = [
        "Doses are cubic between voxel centres (gamma: linear); where a map does not reach there is no number (NaN)."
    ]
    warnings = _warnings(found, names, doses)
    regions, source = _regions(last, names)
    if regions is None:
        warnings.append(
            "The regions of the last result are not there any more (neither the files of its case nor rois.dcm), so nothing "
            "is said voxel by voxel inside regions."
        )
    else:
        assumptions.append(f"Regions on the grid of the last result are from {source}.")
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "version": __version__,
        "kind": "sum" if options.add else "difference",
        "results": [_side(f, n, len(found), add=options.add) for n, f in enumerate(found)],
        "registration": {
            "kind": "; ".join(dict.fromkeys(kinds)),
            "matrices_lps_mm": [m.tolist() if m is not None else None for m in matrices],
        },
    }
    if options.add:
        if regions is None:
            msg = f"{last.path}: doses can only be added in regions, and none can be read. Keep rois.dcm or the ROI files."
            raise InputError(msg)
        assumptions.append(
            "BED is computed for each treatment by itself and then summed; no repair and no growth between treatments."
        )
        rows = sums_in_rois(doses, regions, [f.radionuclide for f in found])
        unknown = [
            n for n in rows if any(f.content["rois"].get(n, {"mean_dose_gy": 0})["mean_dose_gy"] is None for f in found)
        ]
        warnings += [
            f"ROI {n} has no dose in one of the results (its medium does not fit), so it has no sum." for n in unknown
        ]
        rows = {name: row for name, row in rows.items() if name not in unknown}
        content["rois"] = {name: _summed(row, name, found) for name, row in rows.items()}
        total = dose_sum(doses)

        def figures() -> list[tuple[str, Figure]]:
            curves = {name: _fractions(row.dvh) for name, row in rows.items()}
            k = _slice(total)
            maps = [(side["name"], d, False) for side, d in zip(content["results"], doses, strict=True)]
            return [
                ("DVHs of the summed dose.", plot_curves([("sum", curves)])),
                ("Doses and their sum, one slice.", plot_maps([*maps, ("sum", total, False)], k)),
            ]

        made = total
    else:
        tell("computing gamma")
        pre, post = doses
        made = post.replaced(post.gy - pre.gy)
        gamma = gamma_index(last.dose, found[0].dose, options.criteria, matrices[0])
        assumptions.append(f"Gamma: {options.criteria}; reference is the second result, its voxels the ones counted.")
        content |= _difference(found, names, gamma)
        for name in names:
            means = content["rois"][name]["metrics"]["mean_dose_gy"]
            known = None not in (means["pre"], means["post"])
            content["rois"][name] |= _inside(name, regions if known else None, pre, post, gamma)

        def figures() -> list[tuple[str, Figure]]:
            sets = [
                (title, {n: (f.curves[n].dose_gy, f.curves[n].volume_fraction) for n in names if n in f.curves})
                for title, f in zip(("pre", "post"), found, strict=True)
            ]
            k = _slice(post)
            maps = [("pre, on the grid of post", pre, False), ("post", post, False), ("post less pre", made, True)]
            return [
                ("DVHs: dashed before, solid after treatment.", plot_curves(sets)),
                ("Doses and their difference in the slice of the highest dose after treatment.", plot_maps(maps, k)),
            ]

    content |= _provenance(found, options) | {"assumptions": assumptions, "warnings": warnings}
    return plain(content), made, figures


def _provenance(found: list[StoredAssessment], options: ComparisonOptions) -> dict[str, Any]:
    """Formulas, constants of each result, inputs and sources."""
    formula = {
        "sum": "Σ D of the treatments, voxel by voxel",
        "bed": "Σ BED of the treatments; BED = D (1 + G D / (α/β))",
    }
    if not options.add:
        formula = {
            "difference": "post - pre",
            "tumor_to_normal": "(A_T / V_T) / (A_N / V_N), and mean dose over mean dose",
            "gamma": "minimum over distance r of sqrt((difference / dose criterion)² + (r / distance criterion)²), passed at 1",
        }
    return {
        "formula": formula,
        "constants": [f.content["constants"] for f in found],
        "inputs": {
            "results": [f.path.name for f in found],
            "rois": list(options.rois),
            "same_frame": options.same_frame,
            "gamma": None if options.add else str(options.criteria),
        },
        "sources": [
            *((BED_SOURCE,) if options.add else (GAMMA_SOURCE,)),
            *sorted({f.radionuclide.source for f in found}),
        ],
    }


def _names(found: list[StoredAssessment], options: ComparisonOptions) -> list[str]:
    """The regions to compare; a sum is made in the last result's."""
    sets = [list(f.content["rois"]) for f in found]
    if options.rois:
        lacking = [n for n in options.rois if any(n not in s for s in (sets[-1:] if options.add else sets))]
        if lacking:
            here = "; ".join(f"{f.path.name} has {', '.join(s)}" for f, s in zip(found, sets, strict=True))
            msg = f"ROI {', '.join(lacking)} is not in every result: {here}."
            raise QuantityError(msg)
        return list(options.rois)
    if not options.add:
        require_same_rois(*sets)
    return sets[-1]


def _side(found: StoredAssessment, number: int, count: int, *, add: bool) -> dict[str, Any]:
    content = found.content
    return {
        "name": f"treatment {number + 1}" if add else ("pre" if number < count - 1 else "post"),
        "id": content["case"]["id"],
        "version": content["version"],
        "engine": content["method"]["engine"],
        "calibration": content["method"]["calibration"],
        "constants": content["constants"]["name"],
        "net_mbq": content["totals"]["net_mbq"],
        "activity_mbq": content["totals"]["activity_mbq"],
        "tumor_to_normal_ratio": content["tumor_to_normal_ratio"],
        "grid": content["method"]["grid"],
    }


def _warnings(found: list[StoredAssessment], names: list[str], doses: list[DoseMap]) -> list[str]:
    said = []
    for key, words in (("engine", "dose engines"), ("calibration", "calibrations")):
        values = [str(f.content["method"][key]) for f in found]
        if len(set(values)) > 1:
            said.append(f"The {words} differ ({'; '.join(values)}), so part of a difference may be the method's.")
    constants = [f.content["constants"]["name"] for f in found]
    if len(set(constants)) > 1:
        said.append(f"The sets of constants differ ({', '.join(constants)}).")
    net = [f.content["totals"]["net_mbq"] for f in found]
    if len(found) == 2 and None not in net and abs(net[1] / net[0] - 1) > _APART:
        said.append(f"The net activities differ: {net[0]:.0f} and {net[1]:.0f} MBq; dose is proportional to them.")
    for name in names:
        volumes = [f.content["rois"][name]["volume_ml"] for f in found if name in f.content["rois"]]
        if len(volumes) == 2 and abs(volumes[1] / volumes[0] - 1) > _APART:
            said.append(
                f"ROI {name} has {volumes[0]:.1f} mL in the first result and {volumes[1]:.1f} mL in the second."
            )
    for n, dose in enumerate(doses[:-1], 1):
        missing = float(np.isnan(dose.gy[doses[-1].gy > 0.1 * doses[-1].gy.max()]).mean())
        if missing > 0.001:
            said.append(
                f"Result {n} does not reach {missing:.1%} of the voxels with a tenth of the last one's highest dose."
            )
    return said


def _regions(last: StoredAssessment, names: list[str]) -> tuple[RoiSet | None, str]:
    """Regions of the last result on its dose grid, derived normal liver included."""
    given = last.read_regions()
    if given.rois is None:
        return None, ""
    made, _ = regions_on(given.rois, last.dose.grid, [], [])
    source = "the case's own ROI files" if given.source == "case" else "rois.dcm"
    return RoiSet(tuple(r for r in made if r.name in names)), source


def _difference(found: list[StoredAssessment], names: list[str], gamma: GammaMap) -> dict[str, Any]:
    first, second = (f.content for f in found)
    return {
        "rois": {
            name: {
                "role": second["rois"][name]["role"],
                "metrics": {m: _pair(first["rois"][name][m], second["rois"][name][m]) for m in _METRICS},
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


def _inside(name: str, regions: RoiSet | None, pre: DoseMap, post: DoseMap, gamma: GammaMap) -> dict[str, Any]:
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


def _summed(row: Any, name: str, found: list[StoredAssessment]) -> dict[str, Any]:
    d95, d70, d50, d2 = row.dvh.at((), (0.95, 0.70, 0.50, 0.02))[1]
    return {
        "role": row.role,
        "volume_ml": row.volume_ml,
        "mean_each_gy": list(row.mean_each_gy),
        "mean_each_on_own_grid_gy": [f.content["rois"].get(name, {}).get("mean_dose_gy") for f in found],
        "mean_dose_gy": row.dvh.mean_gy,
        "d95_gy": d95,
        "d70_gy": d70,
        "d50_gy": d50,
        "d2_gy": d2,
        "bed_each_gy": list(row.bed_each_gy) if row.bed_each_gy is not None else None,
        "bed_gy": row.bed_gy,
        "outside_fraction": row.outside_fraction,
    }


def _fractions(dvh: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    doses, volumes = dvh.curve(max(dvh.range_gy[1], 1e-6) / 300)
    return doses, volumes / dvh.total_ml


def _slice(dose: DoseMap) -> int:
    return int(np.unravel_index(int(np.nanargmax(dose.gy)), dose.grid.shape)[0])


def _write_csv(content: Mapping[str, Any], path: Path) -> None:
    """Long form: a row a region and quantity."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        if content["kind"] == "difference":
            rows.writerow(["roi", "metric", "pre", "post", "difference", "ratio"])
            for name, roi in content["rois"].items():
                for metric, pair in roi["metrics"].items():
                    rows.writerow([name, metric, *(_cell(pair[k]) for k in ("pre", "post", "difference", "ratio"))])
            return
        rows.writerow(["roi", "metric", "sum", *(side["name"] for side in content["results"])])
        for name, roi in content["rois"].items():
            nothing = [None] * len(content["results"])
            rows.writerow([name, "mean_dose_gy", *map(_cell, (roi["mean_dose_gy"], *roi["mean_each_gy"]))])
            rows.writerow([name, "bed_gy", *map(_cell, (roi["bed_gy"], *(roi["bed_each_gy"] or nothing)))])
            for metric in ("volume_ml", "d95_gy", "d70_gy", "d50_gy", "d2_gy"):
                rows.writerow([name, metric, _cell(roi[metric]), *(_cell(None) for _ in nothing)])


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.8g}"
