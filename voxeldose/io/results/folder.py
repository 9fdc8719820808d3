"""A folder of results read back: an assessment without its case, in the names of the one that was computed.

Numbers are read when the folder is; dose, curves and regions when they are asked for.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, fields, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from voxeldose.errors import InputError, VoxeldoseError
from voxeldose.io.arrays import read_array
from voxeldose.io.config.case import case_file_again, files_read_at
from voxeldose.io.regions import RegionSource, read_rois, read_seg
from voxeldose.io.results.content import read_content, remarks_of
from voxeldose.io.results.manifest import read_manifest, sha256
from voxeldose.model.administration import Administration
from voxeldose.model.assessment import (
    Distribution,
    Overlap,
    Probability,
    RoiNumbers,
    RoiUncertainty,
    RunRecord,
    Term,
    Threshold,
    Totals,
    TumorToNormal,
    Uncertainty,
)
from voxeldose.model.display import html_of_assessment, summary_of_assessment
from voxeldose.model.exchange import frame_of_rois
from voxeldose.model.grid import Grid
from voxeldose.model.radionuclide import y90_constants
from voxeldose.model.recovered import Estimate, RecoveredDvh, RecoveredMetrics, RecoveredNumbers, RecoveredRoi
from voxeldose.model.roi import RoiSet
from voxeldose.model.roles import RoiCode
from voxeldose.model.territory import TerritoryActivity
from voxeldose.model.tissue import Radiobiology
from voxeldose.model.volume import DoseMap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxeldose.model.arrays import Doubles
    from voxeldose.model.image_kind import Kind
    from voxeldose.model.radionuclide import Radionuclide

__all__ = ["DvhCurve", "StoredAssessment", "StoredRegions", "StoredRoi", "read_results"]

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class DvhCurve:
    """A cumulative histogram as ``dvh.csv`` holds it: at doses in even steps, to eight digits."""

    dose_gy: Doubles
    volume_ml: Doubles
    volume_fraction: Doubles


@dataclass(frozen=True, eq=False)
class StoredRoi(RoiNumbers):
    """Numbers of one region as a run wrote them; not a number (NaN) where the run found none."""

    source_name: str = ""
    codes: tuple[RoiCode, ...] = ()


@dataclass(frozen=True, eq=False)
class StoredRegions:
    """The regions of a run as they were given, if they can still be read.

    Parameters
    ----------
    rois : RoiSet or None
        ``None`` where neither the files of the case nor ``rois.dcm`` is there.
    source : str or None
        ``case``: the case's own files, unchanged by their hashes. ``seg``: ``rois.dcm``.
    refusal : VoxeldoseError or None
        Why the case's own files were not taken.
    """

    rois: RoiSet | None
    source: Literal["case", "seg"] | None
    refusal: VoxeldoseError | None


@dataclass(frozen=True, eq=False, repr=False)
class StoredAssessment:
    """What a run left, in the names of :class:`voxeldose.Assessment`.

    Parameters
    ----------
    path : Path
        The folder.
    content : dict
        ``assessment.json``; assumptions and warnings are objects also where schema 1 had sentences.
    id : str
        The label of the case.
    administration : Administration
        What was given.
    rois : mapping
        Region -> its numbers.
    kind, kind_text, tumor_to_normal_ratio, tumor_to_normal_region, tumor_to_normal, totals, thresholds, overlaps, uncertainty
        As of the assessment; ``None`` and an empty text where earlier results do not state the kind.
    recovered : RecoveredNumbers or None
        Numbers with the scanner's blur taken out, where the case asked for them; the recovered map is ``dose_recovered``.
    record : RunRecord
        How it came about. Remarks of schema 1 have the code ``unclassified``; ``timings_s`` stands in ``run.json`` alone
        and is empty here.
    grid : Grid
        Of the dose, frame of reference included.
    radiobiology : mapping or None
        Role -> parameter set of BED and EUD; ``None`` where the results do not state it (schema 1).
    """

    path: Path
    content: dict[str, Any]
    id: str
    kind: Kind | None
    kind_text: str
    administration: Administration
    rois: Mapping[str, StoredRoi]
    tumor_to_normal_ratio: float | None
    tumor_to_normal_region: str | None
    tumor_to_normal: tuple[TumorToNormal, ...]
    totals: Totals
    thresholds: tuple[Threshold, ...]
    overlaps: tuple[Overlap, ...]
    uncertainty: Uncertainty | None
    recovered: RecoveredNumbers | None
    record: RunRecord
    grid: Grid
    radiobiology: Mapping[str, Radiobiology] | None

    def __repr__(self) -> str:
        return summary_of_assessment(self)

    def _repr_html_(self) -> str:
        """As of the assessment, for notebooks."""
        return html_of_assessment(self)

    def to_dataframe(self) -> Any:
        """The numbers of the regions as a ``pandas.DataFrame``, a row per region (extra ``voxeldose[pandas]``)."""
        return frame_of_rois(self.rois, [f.name for f in fields(RoiNumbers)])

    @property
    def radionuclide(self) -> Radionuclide:
        """With the constants of the run."""
        return self.record.constants

    @cached_property
    def dose(self) -> DoseMap:
        """The dose map; raises InputError if it cannot be read or lies elsewhere than the numbers say."""
        values, place, _ = read_array(self.path / "dose.nii.gz")
        if not place.matches(self.grid):
            msg = f"{self.path}: dose.nii.gz does not lie where assessment.json says; one of them was replaced. Run the case again."
            raise InputError(msg, code="results-contradict")
        lost = self.content["method"].get("energy_lost_fraction") or 0.0
        return DoseMap(values, self.grid, method=self.record.method, energy_lost_fraction=lost)

    @cached_property
    def dose_recovered(self) -> DoseMap:
        """The recovered dose on its fine box, mean over draws; its own DVH is narrower than the recovered numbers.

        Raises InputError if the run recovered none, or the map cannot be read.
        """
        if self.recovered is None:
            msg = f"{self.path}: this run recovered no dose. Add [resolution] to the case and run it again."
            raise InputError(msg, code="dose-not-recovered")
        values, place, _ = read_array(self.path / "dose_recovered.nii.gz")
        return DoseMap(
            values, replace(place, frame_uid=self.grid.frame_uid), method="resolution recovery, mean over draws"
        )

    @cached_property
    def curves(self) -> Mapping[str, DvhCurve]:
        """The histogram of each region with a dose; raises InputError if they cannot be read."""
        rows: dict[str, list[tuple[float, float, float]]] = {}
        path = self.path / "dvh.csv"
        try:
            with path.open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    numbers = (float(row["dose_gy"]), float(row["volume_ml"]), float(row["volume_fraction"]))
                    rows.setdefault(row["roi"], []).append(numbers)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _unreadable(path, error) from error
        return {name: DvhCurve(*np.array(points).T) for name, points in rows.items()}

    def read_regions(self) -> StoredRegions:
        """The regions as they were given: from the files of the case if those are unchanged, else from ``rois.dcm``."""
        try:
            return StoredRegions(_regions_of_case(self.path), "case", None)
        except VoxeldoseError as error:
            seg = self.path / "rois.dcm"
            return StoredRegions(read_seg(seg), "seg", error) if seg.is_file() else StoredRegions(None, None, error)


def read_results(path: str | Path) -> StoredAssessment:
    """Read a folder that ``voxeldose assess`` wrote, of this schema or the one before.

    Parameters
    ----------
    path : path
        The folder, or its ``assessment.json``.

    Returns
    -------
    StoredAssessment
        With the numbers; dose, curves and regions are read when they are asked for.

    Raises
    ------
    InputError
        If it is no such folder, or what it holds is no assessment.
    """
    path = Path(path)
    content = read_content(path)
    folder = path if path.is_dir() else path.parent
    try:
        return _assessment(folder, content)
    except (KeyError, TypeError, ValueError, AttributeError, VoxeldoseError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> InputError:
    msg = f"{path}: cannot be read as results ({type(error).__name__}: {error}). Give a folder that voxeldose assess wrote."
    return InputError(msg, code="file-damaged")


def _assessment(folder: Path, content: dict[str, Any]) -> StoredAssessment:
    place, sets = content["method"]["grid"], content.get("radiobiology")
    record = _record_of(content)
    return StoredAssessment(
        path=folder,
        content=content,
        id=content["case"]["id"],
        kind=content.get("kind"),
        kind_text=content.get("kind_text", ""),
        administration=_administration(content, record.constants),
        rois={name: _roi(row) for name, row in content["rois"].items()},
        tumor_to_normal_ratio=content["tumor_to_normal_ratio"],
        tumor_to_normal_region=content.get("tumor_to_normal_region"),
        tumor_to_normal=tuple(_read(TumorToNormal, row) for row in content.get("tumor_to_normal", ())),
        totals=_totals(content["totals"]),
        thresholds=tuple(_read(Threshold, row) for row in content["thresholds"]),
        overlaps=tuple(_read(Overlap, row) for row in content["overlaps"]),
        uncertainty=_uncertainty(content["uncertainty"]) if content.get("uncertainty") else None,
        recovered=_recovered(content),
        record=record,
        grid=Grid(tuple(place["shape_kji"]), np.array(place["affine_lps_mm"]), place["frame_uid"]),
        radiobiology={role: _read(Radiobiology, row, roles=(role,)) for role, row in sets.items()}
        if sets is not None
        else None,
    )


def _read(kind: type[T], row: Mapping[str, Any], **others: Any) -> T:
    """A record from what JSON holds of it; ``null`` is not a number (NaN) where a number must stand."""
    values = {
        f.name: math.nan if row[f.name] is None and f.type == "float" else row[f.name]
        for f in fields(kind)  # type: ignore[arg-type]  # every record here is a dataclass
        if f.name in row
    }
    return kind(**values | others)


def _roi(row: Mapping[str, Any]) -> StoredRoi:
    codes = tuple(_read(RoiCode, code) for code in row.get("codes") or ())
    return _read(
        StoredRoi,
        row,
        outside_fraction=row["outside_grid_fraction"],
        source_name=row.get("source_name") or "",
        codes=codes,
    )


def _recovered(content: Mapping[str, Any]) -> RecoveredNumbers | None:
    """Recovered numbers of regions, and how they came about; ``None`` without them."""
    facts = content.get("resolution")
    if facts is None:
        return None
    rois = {name: _recovered_roi(row) for name, row in content["rois"].items() if row.get("recovered")}
    return RecoveredNumbers(facts["method"], rois, {key: value for key, value in facts.items() if key != "method"})


def _recovered_roi(row: Mapping[str, Any]) -> RecoveredRoi:
    found = row["recovered"]
    x, y, z = found["shift_lps_mm"]
    best, drawn = (_recovered_metrics(one) for one in (found, found["as_drawn"]))
    curves = found.get("dvh")
    dvh = RecoveredDvh(**{key: tuple(values) for key, values in curves.items()}) if curves else None
    return _read(RecoveredRoi, found, role=row["role"], best=best, as_drawn=drawn, shift_lps_mm=(x, y, z), dvh=dvh)


def _recovered_metrics(row: Mapping[str, Any]) -> RecoveredMetrics:
    return RecoveredMetrics(**{name: _read(Estimate, row[name]) for name in RecoveredMetrics.names() if name in row})


def _record_of(content: Mapping[str, Any]) -> RunRecord:
    method = content["method"]
    return RunRecord(
        version=content["version"],
        engine=method["engine"],
        method=method["description"],
        kernel=method["kernel"],
        constants=y90_constants(content["constants"]["name"]),
        calibration=method["calibration"],
        assumptions=remarks_of(content["assumptions"]),
        warnings=remarks_of(content["warnings"]),
        timings_s={},
    )


def _totals(row: Mapping[str, Any]) -> Totals:
    return _read(Totals, row, territories=tuple(_read(TerritoryActivity, one) for one in row.get("territories", ())))


def _administration(content: Mapping[str, Any], nuclide: Radionuclide) -> Administration:
    """What was given, as a whole; what each territory got stands with the totals."""
    row = content["administration"]
    at = datetime.fromisoformat(row["at"]) if row["at"] else None
    return Administration(
        nuclide,
        row["administered_mbq"],
        at,
        residual_mbq=row["residual_mbq"],
        lung_shunt_fraction=row["lung_shunt_fraction"],
        device=row["device"],
    )


def _uncertainty(row: Mapping[str, Any]) -> Uncertainty:
    return _read(
        Uncertainty,
        row,
        rois={name: _roi_uncertainty(one) for name, one in row["rois"].items()},
        probabilities=tuple(_read(Probability, one) for one in row["probabilities"]),
        assumptions=remarks_of(row["assumptions"]),
        warnings=remarks_of(row["warnings"]),
    )


def _roi_uncertainty(row: Mapping[str, Any]) -> RoiUncertainty:
    return _read(
        RoiUncertainty,
        row,
        metrics={name: _read(Distribution, one) for name, one in row["metrics"].items()},
        budget=tuple(_read(Term, one) for one in row["budget"]),
        dvh_band={key: tuple(values) for key, values in row["dvh_band"].items()},
    )


def _regions_of_case(path: Path) -> RoiSet:
    """The regions of the files that the manifest names; refused unless they are still the same."""
    manifest, _ = read_manifest(path)
    config = case_file_again(manifest["case"], str(path))
    recorded = {str(i["path"]): i["sha256"] for i in manifest["inputs"]}
    rois = RoiSet()
    for table in config.rois:
        paths = [Path(p) for p in table.paths]
        files = [file for p in paths for file in files_read_at(p)]
        if not files or any(recorded.get(str(f)) != _hash_of(f) for f in files):
            msg = f"{path}: the ROI files of the case are not there as they were."
            raise InputError(msg, code="inputs-changed")
        rois += read_rois(paths, table.names, source=RegionSource(slice_mm=table.slice_mm))
    return rois


def _hash_of(path: Path) -> str | None:
    try:
        return sha256(path)
    except OSError:
        return None
