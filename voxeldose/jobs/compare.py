"""Folders of results to a folder that holds their comparison or their sum; whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from voxeldose import __version__
from voxeldose.dose.comparison import (
    GammaCriteria,
    SharedRois,
    dose_sum,
    gamma_index,
    shared_rois,
    sums_in_rois,
)
from voxeldose.dose.regions import regions_on
from voxeldose.errors import InputError, QuantityError
from voxeldose.io.nifti import write_nifti
from voxeldose.io.results.assessment import plain, write_json
from voxeldose.io.results.folder import read_results
from voxeldose.io.results.new_folder import new_folder
from voxeldose.jobs import compare_content, compare_remarks
from voxeldose.jobs.compare_pictures import draw_difference
from voxeldose.jobs.compare_sides import Joining, Placed, Side, place
from voxeldose.model.remark_groups import texts_of
from voxeldose.model.remarks import Remark
from voxeldose.model.roi import RoiSet
from voxeldose.report.comparison import Picture, write_page
from voxeldose.report.comparison_pdf import write_comparison_pdf
from voxeldose.report.comparison_plots import MapPanel, plot_curves, plot_maps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from voxeldose.dose.comparison import SumInRoi
    from voxeldose.io.results.folder import StoredAssessment
    from voxeldose.model.arrays import Doubles
    from voxeldose.model.dvh import Dvh
    from voxeldose.model.volume import DoseMap

__all__ = ["SCHEMA", "Comparison", "ComparisonOptions", "compare_folders"]

SCHEMA = "voxeldose/comparison/1"
MARKER = "comparison.json"


@dataclass(frozen=True, eq=False)
class ComparisonOptions(Joining):
    """What is compared and how; registration and resolution as :class:`voxeldose.jobs.compare_sides.Joining` has them.

    Parameters
    ----------
    rois : tuple of str
        Regions to compare; those that both results have, if none.
    criteria : GammaCriteria
        Of the gamma index.
    add : bool
        Add the doses instead of comparing them.
    """

    rois: tuple[str, ...] = ()
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
        Folder for ``comparison.json``, ``comparison.csv``, ``comparison.html``, ``comparison.pdf`` and
        ``dose_difference.nii.gz`` (last less first) or ``dose_sum.nii.gz``; nothing is written without it.
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
        pictures = part.pictures()
        write_page(comparison.content, pictures, folder / "comparison.html")
        write_comparison_pdf(comparison.content, pictures, folder / "comparison.pdf")
        write_json(comparison.content, folder / MARKER)
    return comparison


def _compare(
    results: list[StoredAssessment], options: ComparisonOptions, report_progress: Callable[[str], None]
) -> tuple[Comparison, _Part]:
    """The whole answer, and the part of it that a sum and a difference do not share."""
    chosen = _choose_names(results, options)
    placed = place(results, options, report_progress)
    assumptions = [
        Remark(
            "comparison-interpolated",
            {},
            "Doses are cubic between voxel centres (gamma: linear); where a map does not reach there is no number (NaN).",
        ),
        *placed.remarks,
    ]
    warnings = [
        *placed.warnings,
        *compare_remarks.shared_remarks(chosen),
        *compare_remarks.collect_warnings(results, placed.doses, list(chosen.both)),
    ]
    regions, region_remark = _regions(placed.last, chosen.both)
    (warnings if regions is None else assumptions).append(region_remark)
    if options.add:
        part: _Part = _sum(placed, regions)
    else:
        report_progress("computing gamma")
        part = _difference(placed, chosen, regions, options)
    assumptions += part.assumptions
    warnings += part.warnings
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "version": __version__,
        "kind": "sum" if options.add else "difference",
        "results": [
            compare_content.side_row(one, name)
            for one, name in zip(results, _side_names(results, options), strict=True)
        ],
        "registration": placed.registration,
        **part.content,
        **compare_content.provenance(results, _inputs(options), add=options.add),
        "assumptions": texts_of(assumptions),
        "warnings": texts_of(warnings),
    }
    return Comparison(plain(content), part.dose, tuple(assumptions), tuple(warnings)), part


def _inputs(options: ComparisonOptions) -> dict[str, Any]:
    """What was asked for, as given."""
    return {
        "rois": list(options.rois),
        "same_frame": options.same_frame,
        "register": options.register,
        "match_fwhm_mm": options.matching.fwhm_mm if options.matching is not None else None,
        "gamma": None if options.add else str(options.criteria),
    }


def _choose_names(results: list[StoredAssessment], options: ComparisonOptions) -> SharedRois:
    """The regions to compare; a sum is made in the last result's."""
    sets = [list(one.content["rois"]) for one in results]
    if options.rois:
        lacking = [n for n in options.rois if any(n not in s for s in (sets[-1:] if options.add else sets))]
        if lacking:
            here = "; ".join(f"{one.path.name} has {', '.join(s)}" for one, s in zip(results, sets, strict=True))
            msg = f"ROI {', '.join(lacking)} is not in every result: {here}."
            raise QuantityError(msg, code="roi-unknown", found=tuple(lacking))
        return SharedRois(options.rois, (), ())
    return SharedRois(tuple(sets[-1]), (), ()) if options.add else shared_rois(*sets)


def _side_names(results: list[StoredAssessment], options: ComparisonOptions) -> list[str]:
    return [f"treatment {n}" for n in range(1, len(results) + 1)] if options.add else ["pre", "post"]


def _regions(last: Side, names: Sequence[str]) -> tuple[RoiSet | None, Remark]:
    """Regions of the last result on its dose grid, derived ones included, and where they are from."""
    if last.rois is None:
        sentence = (
            "The regions of the last result are not there any more (neither the files of its case nor rois.dcm), so there are "
            "no numbers voxel by voxel inside regions."
        )
        return None, Remark("result-regions-missing", {}, sentence)
    on_grid = regions_on(last.rois, last.dose.grid).rois
    source = "the case's own ROI files" if last.source == "case" else "rois.dcm"
    sentence = f"Regions on the grid of the last result are from {source}."
    remark = Remark("regions-source", {"source": last.source}, sentence)
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

    def pictures(self) -> list[Picture]:
        """Pictures of the page."""


@dataclass(frozen=True, eq=False)
class _Sum:
    placed: Placed
    rows: Mapping[str, SumInRoi]
    content: dict[str, Any]
    dose: DoseMap
    assumptions: list[Remark]
    warnings: list[Remark]

    def pictures(self) -> list[Picture]:
        curves = {name: _curve(row.dvh) for name, row in self.rows.items()}
        panels = [MapPanel(f"treatment {n}", dose) for n, dose in enumerate(self.placed.doses, 1)]
        maps = plot_maps([*panels, MapPanel("sum", self.dose)], _hottest_slice(self.dose))
        return [
            Picture.drawn("curves", "DVHs of the summed dose.", plot_curves([("sum", curves)])),
            Picture.drawn("maps", "Doses and their sum, one slice.", maps),
        ]


def _sum(placed: Placed, regions: RoiSet | None) -> _Sum:
    if regions is None:
        msg = f"{placed.last.result.path}: doses can only be added in regions, and none can be read. Keep rois.dcm or the ROI files."
        raise InputError(msg, code="result-regions-missing")
    sentence = (
        "BED is computed for each treatment by itself and then summed; no repair and no growth between treatments."
    )
    results = [side.result for side in placed.sides]
    rows = sums_in_rois(placed.doses, regions, [one.radionuclide for one in results])
    contents = [one.content["rois"] for one in results]
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
    content = {"rois": {name: compare_content.sum_row(row, name, results) for name, row in rows.items()}}
    assumptions = [Remark("bed-summed-by-treatment", {}, sentence)]
    return _Sum(placed, rows, content, dose_sum(placed.doses), assumptions, warnings)


@dataclass(frozen=True, eq=False)
class _Difference:
    placed: Placed
    names: Sequence[str]
    regions: RoiSet | None
    content: dict[str, Any]
    dose: DoseMap
    assumptions: list[Remark]
    warnings: list[Remark]

    def pictures(self) -> list[Picture]:
        return draw_difference(self.placed, self.names, self.regions, self.dose)


def _difference(placed: Placed, chosen: SharedRois, regions: RoiSet | None, options: ComparisonOptions) -> _Difference:
    pre, post = placed.doses
    first, second = placed.sides
    gamma = gamma_index(second.dose, first.dose, options.criteria)
    names = list(chosen.both)
    content = compare_content.difference_content(first.result.content, second.result.content, names, gamma)
    content["not_compared"] = {"pre": list(chosen.only_first), "post": list(chosen.only_second)}
    content["matching"] = placed.matching
    for name in names:
        means = content["rois"][name]["metrics"]["mean_dose_gy"]
        known = regions if None not in (means["pre"], means["post"]) else None
        content["rois"][name] |= compare_content.voxel_row(name, known, pre, post, gamma)
        if placed.matching is not None:
            content["rois"][name]["matched"] = compare_content.matched_row(name, known, pre, post)
    difference = post.replaced(post.gy - pre.gy)
    return _Difference(placed, names, regions, content, difference, [compare_remarks.gamma_remark(gamma)], [])


def _curve(dvh: Dvh) -> tuple[Doubles, Doubles]:
    doses, volumes = dvh.curve(max(dvh.range_gy[1], 1e-6) / 300)
    return doses, volumes / dvh.total_ml


def _hottest_slice(dose: DoseMap) -> int:
    return int(np.unravel_index(int(np.nanargmax(dose.gy)), dose.grid.shape)[0])
