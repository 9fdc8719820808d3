"""Folders of results to a folder that holds their comparison or their sum; whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from voxeldose import __version__
from voxeldose.dose.comparison import (
    GammaCriteria,
    dose_sum,
    gamma_index,
    registration_of,
    require_same_rois,
    sums_in_rois,
)
from voxeldose.dose.regions import regions_on
from voxeldose.errors import InputError, QuantityError
from voxeldose.geometry.resample import moved_onto
from voxeldose.io.nifti import write_nifti
from voxeldose.io.results.assessment import plain, write_json
from voxeldose.io.results.folder import read_results
from voxeldose.io.results.new_folder import new_folder
from voxeldose.jobs import compare_content, compare_remarks
from voxeldose.model.remarks import Remark
from voxeldose.model.roi import RoiSet
from voxeldose.report.comparison import MapPanel, plot_curves, plot_maps, write_page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from voxeldose.dose.comparison import SumInRoi
    from voxeldose.io.results.folder import StoredAssessment
    from voxeldose.model.arrays import Doubles, Matrix
    from voxeldose.model.dvh import Dvh
    from voxeldose.model.volume import DoseMap

__all__ = ["SCHEMA", "Comparison", "ComparisonOptions", "compare_folders"]

SCHEMA = "voxeldose/comparison/1"
MARKER = "comparison.json"


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
    matrices: tuple[Matrix | None, ...] = ()
    same_frame: bool = False
    criteria: GammaCriteria = field(default_factory=GammaCriteria)
    add: bool = False


@dataclass(frozen=True, eq=False)
class Comparison:
    """What a comparison, or a sum, gave.

    Parameters
    ----------
    content : dict
        ``comparison.json``.
    dose : DoseMap
        Last less first, or the sum, on the grid of the last result.
    assumptions, warnings : tuple of Remark
        Those whose sentences stand in ``content``.
    """

    content: dict[str, Any]
    dose: DoseMap
    assumptions: tuple[Remark, ...]
    warnings: tuple[Remark, ...]


def compare_folders(
    paths: Sequence[Path],
    out: Path | None,
    options: ComparisonOptions,
    *,
    overwrite: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
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

    Raises
    ------
    InputError
        If a folder cannot be read.
    QuantityError
        If the regions differ.
    GeometryError
        If the frames of reference differ and nothing says how they lie to each other.
    """
    report_progress = progress or (lambda _: None)
    report_progress("reading results")
    results = [read_results(path) for path in paths]
    if len(results) != 2 and not options.add:
        msg = f"A comparison needs two results folders, found {len(results)}; more can only be added (--add)."
        raise InputError(msg, code="results-count", found=len(results), needed=2)
    if out is None:
        return _compare(results, options, report_progress)[0]
    with new_folder(out, overwrite=overwrite, marker=MARKER) as folder:
        comparison, part = _compare(results, options, report_progress)
        report_progress("writing")
        name = "dose_sum.nii.gz" if options.add else "dose_difference.nii.gz"
        description = "sum of absorbed doses in Gy" if options.add else "absorbed dose in Gy, post less pre"
        write_nifti(comparison.dose, folder / name, description=description)
        compare_content.write_csv(comparison.content, folder / "comparison.csv")
        write_page(comparison.content, part.figures(), folder / "comparison.html")
        write_json(comparison.content, folder / MARKER)
    return comparison


def _compare(
    results: list[StoredAssessment], options: ComparisonOptions, report_progress: Callable[[str], None]
) -> tuple[Comparison, _Part]:
    """The whole answer, and the part of it that a sum and a difference do not share."""
    names = _choose_names(results, options)
    placed = _place(results, options, report_progress)
    assumptions = [
        Remark(
            "comparison-interpolated",
            {},
            "Doses are cubic between voxel centres (gamma: linear); where a map does not reach there is no number (NaN).",
        )
    ]
    warnings = compare_remarks.collect_warnings(results, placed.doses, names)
    regions, region_remark = _regions(placed.last, names)
    (warnings if regions is None else assumptions).append(region_remark)
    if options.add:
        part: _Part = _sum(placed, regions)
    else:
        report_progress("computing gamma")
        part = _difference(placed, names, regions, options)
    assumptions += part.assumptions
    warnings += part.warnings
    inputs = {
        "rois": list(options.rois),
        "same_frame": options.same_frame,
        "gamma": None if options.add else str(options.criteria),
    }
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "version": __version__,
        "kind": "sum" if options.add else "difference",
        "results": [
            compare_content.side_row(one, name)
            for one, name in zip(results, _side_names(results, options), strict=True)
        ],
        "registration": {
            "kind": placed.registration,
            "matrices_lps_mm": [m.tolist() if m is not None else None for m in placed.matrices],
        },
        **part.content,
        **compare_content.provenance(results, inputs, add=options.add),
        "assumptions": [one.sentence for one in assumptions],
        "warnings": [one.sentence for one in warnings],
    }
    return Comparison(plain(content), part.dose, tuple(assumptions), tuple(warnings)), part


@dataclass(frozen=True, eq=False)
class _Placed:
    """Results and their doses on the grid of the last; ``matrices`` and ``registration`` say how they came there."""

    results: list[StoredAssessment]
    doses: list[DoseMap]
    matrices: tuple[Matrix | None, ...]
    registration: str

    @property
    def last(self) -> StoredAssessment:
        return self.results[-1]


def _place(
    results: list[StoredAssessment], options: ComparisonOptions, report_progress: Callable[[str], None]
) -> _Placed:
    matrices = options.matrices or (None,) * (len(results) - 1)
    grid = results[-1].dose.grid
    others = list(zip(results[:-1], matrices, strict=True))
    kinds = [registration_of(one.dose.grid, grid, m, same_frame=options.same_frame) for one, m in others]
    report_progress("placing doses on one grid")
    doses = [moved_onto(one.dose, grid, m) for one, m in others]
    return _Placed(results, [*doses, results[-1].dose], matrices, "; ".join(dict.fromkeys(kinds)))


def _choose_names(results: list[StoredAssessment], options: ComparisonOptions) -> list[str]:
    """The regions to compare; a sum is made in the last result's."""
    sets = [list(one.content["rois"]) for one in results]
    if options.rois:
        lacking = [n for n in options.rois if any(n not in s for s in (sets[-1:] if options.add else sets))]
        if lacking:
            here = "; ".join(f"{one.path.name} has {', '.join(s)}" for one, s in zip(results, sets, strict=True))
            msg = f"ROI {', '.join(lacking)} is not in every result: {here}."
            raise QuantityError(msg, code="roi-unknown", found=tuple(lacking))
        return list(options.rois)
    if not options.add:
        require_same_rois(*sets)
    return sets[-1]


def _side_names(results: list[StoredAssessment], options: ComparisonOptions) -> list[str]:
    return [f"treatment {n}" for n in range(1, len(results) + 1)] if options.add else ["pre", "post"]


def _regions(last: StoredAssessment, names: list[str]) -> tuple[RoiSet | None, Remark]:
    """Regions of the last result on its dose grid, derived normal liver included, and where they are from."""
    given = last.read_regions()
    if given.rois is None:
        sentence = (
            "The regions of the last result are not there any more (neither the files of its case nor rois.dcm), so there are "
            "no numbers voxel by voxel inside regions."
        )
        return None, Remark("result-regions-missing", {}, sentence)
    on_grid = regions_on(given.rois, last.dose.grid).rois
    source = "the case's own ROI files" if given.source == "case" else "rois.dcm"
    sentence = f"Regions on the grid of the last result are from {source}."
    remark = Remark("regions-source", {"source": given.source}, sentence)
    return RoiSet(tuple(r for r in on_grid if r.name in names)), remark


class _Part(Protocol):
    """What a sum and a difference each add: content, the dose map, remarks, figures."""

    @property
    def content(self) -> dict[str, Any]: ...
    @property
    def dose(self) -> DoseMap: ...
    @property
    def assumptions(self) -> list[Remark]: ...
    @property
    def warnings(self) -> list[Remark]: ...

    def figures(self) -> list[tuple[str, Figure]]:
        """Captions and figures of the page."""


@dataclass(frozen=True, eq=False)
class _Sum:
    placed: _Placed
    rows: Mapping[str, SumInRoi]
    content: dict[str, Any]
    dose: DoseMap
    assumptions: list[Remark]
    warnings: list[Remark]

    def figures(self) -> list[tuple[str, Figure]]:
        curves = {name: _curve(row.dvh) for name, row in self.rows.items()}
        panels = [MapPanel(f"treatment {n}", dose) for n, dose in enumerate(self.placed.doses, 1)]
        return [
            ("DVHs of the summed dose.", plot_curves([("sum", curves)])),
            (
                "Doses and their sum, one slice.",
                plot_maps([*panels, MapPanel("sum", self.dose)], _hottest_slice(self.dose)),
            ),
        ]


def _sum(placed: _Placed, regions: RoiSet | None) -> _Sum:
    if regions is None:
        msg = f"{placed.last.path}: doses can only be added in regions, and none can be read. Keep rois.dcm or the ROI files."
        raise InputError(msg, code="result-regions-missing")
    sentence = (
        "BED is computed for each treatment by itself and then summed; no repair and no growth between treatments."
    )
    rows = sums_in_rois(placed.doses, regions, [one.radionuclide for one in placed.results])
    contents = [one.content["rois"] for one in placed.results]
    unknown = [n for n in rows if any(c.get(n, {"mean_dose_gy": 0})["mean_dose_gy"] is None for c in contents)]
    warnings = [
        Remark(
            "sum-without-dose",
            {"roi": n},
            f"ROI {n} has no dose in one of the results (its medium does not fit), so it has no sum.",
        )
        for n in unknown
    ]
    rows = {name: row for name, row in rows.items() if name not in unknown}
    content = {"rois": {name: compare_content.sum_row(row, name, placed.results) for name, row in rows.items()}}
    assumptions = [Remark("bed-summed-by-treatment", {}, sentence)]
    return _Sum(placed, rows, content, dose_sum(placed.doses), assumptions, warnings)


@dataclass(frozen=True, eq=False)
class _Difference:
    placed: _Placed
    names: list[str]
    content: dict[str, Any]
    dose: DoseMap
    assumptions: list[Remark]
    warnings: list[Remark]

    def figures(self) -> list[tuple[str, Figure]]:
        sets = [
            (title, {n: (one.curves[n].dose_gy, one.curves[n].volume_fraction) for n in self.names if n in one.curves})
            for title, one in zip(("pre", "post"), self.placed.results, strict=True)
        ]
        pre, post = self.placed.doses
        panels = [
            MapPanel("pre, on the grid of post", pre),
            MapPanel("post", post),
            MapPanel("post less pre", self.dose, is_difference=True),
        ]
        return [
            ("DVHs: dashed before, solid after treatment.", plot_curves(sets)),
            (
                "Doses and their difference in the slice of the highest dose after treatment.",
                plot_maps(panels, _hottest_slice(post)),
            ),
        ]


def _difference(placed: _Placed, names: list[str], regions: RoiSet | None, options: ComparisonOptions) -> _Difference:
    pre, post = placed.doses
    first, second = placed.results
    gamma = gamma_index(second.dose, first.dose, options.criteria, placed.matrices[0])
    content = compare_content.difference_content(first.content, second.content, names, gamma)
    for name in names:
        means = content["rois"][name]["metrics"]["mean_dose_gy"]
        known = None not in (means["pre"], means["post"])
        content["rois"][name] |= compare_content.voxel_row(name, regions if known else None, pre, post, gamma)
    difference = post.replaced(post.gy - pre.gy)
    return _Difference(placed, names, content, difference, [compare_remarks.gamma_remark(gamma)], [])


def _curve(dvh: Dvh) -> tuple[Doubles, Doubles]:
    doses, volumes = dvh.curve(max(dvh.range_gy[1], 1e-6) / 300)
    return doses, volumes / dvh.total_ml


def _hottest_slice(dose: DoseMap) -> int:
    return int(np.unravel_index(int(np.nanargmax(dose.gy)), dose.grid.shape)[0])
