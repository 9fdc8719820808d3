"""A folder of results read back: numbers, curves, dose on its frame of reference, regions."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxeldose.errors import InputError, VoxeldoseError
from voxeldose.io.arrays import read_array
from voxeldose.io.config.case import case_file_again
from voxeldose.io.regions import read_rois, read_seg
from voxeldose.io.results.assessment import SCHEMA
from voxeldose.io.results.manifest import read_manifest, sha256
from voxeldose.model.grid import Grid
from voxeldose.model.radionuclide import y90_constants
from voxeldose.model.roi import RoiSet
from voxeldose.model.volume import DoseMap

if TYPE_CHECKING:
    from voxeldose.model.arrays import Doubles
    from voxeldose.model.radionuclide import Radionuclide


__all__ = ["ResultsFolder", "read_results"]


@dataclass(frozen=True, eq=False)
class ResultsFolder:
    """What a run left.

    Parameters
    ----------
    path : Path
        The folder.
    content : dict
        ``assessment.json``.
    dose : DoseMap
        On the grid of the run, frame of reference included.
    curves : dict
        Region -> doses in Gy and volume fractions of ``dvh.csv``.
    radionuclide : Radionuclide
        With the constants of the run.
    """

    path: Path
    content: dict[str, Any]
    dose: DoseMap
    curves: dict[str, tuple[Doubles, Doubles]]
    radionuclide: Radionuclide

    def regions(self) -> tuple[RoiSet | None, str]:
        """The regions as they were given, and where they are from: the files of the case if unchanged, else ``rois.dcm``.

        ``None`` where neither is there.
        """
        try:
            return _regions_of_case(self.path), "the case's own ROI files"
        except (InputError, VoxeldoseError):
            pass
        seg = self.path / "rois.dcm"
        return (read_seg(seg), "rois.dcm") if seg.is_file() else (None, "")


def read_results(path: Path) -> ResultsFolder:
    """Read a folder that ``voxeldose assess`` wrote.

    Raises
    ------
    InputError
        If it is no such folder, or its files do not fit together.
    """
    try:
        content = json.loads((path / "assessment.json").read_text("utf-8"))
        if content.get("schema") != SCHEMA:
            msg = f"{path / 'assessment.json'}: schema {SCHEMA!r} is needed, found {content.get('schema')!r}."
            raise InputError(msg)
        told = content["method"]["grid"]
        values, place, _ = read_array(path / "dose.nii.gz")
        grid = Grid(tuple(told["shape_kji"]), np.array(told["affine_lps_mm"]), told["frame_uid"])
        nuclide = y90_constants(content["constants"]["name"])
        curves = _curves(path / "dvh.csv")
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{path}: cannot be read as a results folder ({type(error).__name__}: {error}). Give one that voxeldose assess wrote."
        raise InputError(msg) from error
    if not place.matches(grid):
        msg = f"{path}: dose.nii.gz does not lie where assessment.json says; one of them was replaced. Run the case again."
        raise InputError(msg)
    dose = DoseMap(values, grid, method=str(content["method"].get("description", "")))
    return ResultsFolder(path, content, dose, curves, nuclide)


def _curves(path: Path) -> dict[str, tuple[Doubles, Doubles]]:
    rows: dict[str, list[tuple[float, float]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            rows.setdefault(row["roi"], []).append((float(row["dose_gy"]), float(row["volume_fraction"])))
    return {name: (np.array([p[0] for p in points]), np.array([p[1] for p in points])) for name, points in rows.items()}


def _regions_of_case(path: Path) -> RoiSet:
    """The regions of the files that the manifest names, if they are still the same."""
    manifest, _ = read_manifest(path)
    config = case_file_again(manifest["case"], str(path))
    recorded = {str(i["path"]): i["sha256"] for i in manifest["inputs"]}
    rois = RoiSet()
    for table in config.rois:
        paths = [Path(p) for p in table.paths]
        files = [f for p in paths for f in ([p] if p.is_file() else sorted(p.rglob("*"))) if f.is_file()]
        if not files or any(recorded.get(str(f)) != sha256(f) for f in files if not f.name.startswith(".")):
            msg = f"{path}: the ROI files of the case are not there as they were."
            raise InputError(msg)
        rois += read_rois(paths, table.names)
    return rois
