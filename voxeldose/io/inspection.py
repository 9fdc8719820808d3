"""What lies in a folder or file, and what voxeldose would do with it or why it would refuse."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

from voxeldose.errors import InputError, VoxeldoseError
from voxeldose.io.dicom_ct import read_ct
from voxeldose.io.dicom_files import Series, find_series
from voxeldose.io.dicom_headers import nuclide_of
from voxeldose.io.dicom_nm import read_spect
from voxeldose.io.dicom_pet import read_pet
from voxeldose.io.labels import read_labels
from voxeldose.io.nifti import SUFFIXES, read_array

if TYPE_CHECKING:
    from collections.abc import Callable

    from voxeldose.grid import Grid
    from voxeldose.volume import Volume

__all__ = ["inspect"]

_READERS: dict[str, Callable[..., Volume]] = {"CT": read_ct, "PT": read_pet, "NM": read_spect}
_LATER = {"RTDOSE": "a dose; read with read_rtdose"}


def inspect(path: str | Path) -> list[dict[str, object]]:
    """One row a series or image file: what it is, and the verdict.

    Parameters
    ----------
    path : path
        A folder (subfolders included) or a file.

    Returns
    -------
    list of dict
        Keys ``path``, ``kind``, ``files``, ``series_uid``, ``vendor``, ``nuclide``, ``units``, ``decay``, ``grid``,
        ``use`` (as activity, ct, rois, or nothing) and ``verdict``. No patient data.

    Raises
    ------
    InputError
        If there is nothing there that could be read.
    """
    path = Path(path)
    series = sorted(find_series(path), key=lambda s: (str(s.folder), s.uid))
    rows = [_series_row(one, path) for one in series]
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if not p.name.startswith("."))
    rows += [_file_row(p) for p in files if p.is_file() and p.name.casefold().endswith(SUFFIXES)]
    if not rows:
        msg = f"{path}: nothing here is DICOM, {', '.join(SUFFIXES)}."
        raise InputError(msg)
    return rows


def _series_row(series: Series, looked_in: Path) -> dict[str, object]:
    header = series.first
    nuclide = nuclide_of(header)
    row: dict[str, object] = {
        "path": str(series.folder if len(series.paths) > 1 else series.paths[0]),
        "kind": series.modality,
        "files": len(series.paths),
        "series_uid": series.uid,
        "vendor": " ".join(str(header.get(k, "") or "") for k in ("Manufacturer", "ManufacturerModelName")).strip(),
        "nuclide": nuclide.name if nuclide else None,
        "units": header.get("Units"),
        "decay": header.get("DecayCorrection"),
        "grid": None,
        "use": None,
    }
    if series.modality in ("SEG", "RTSTRUCT"):
        row["use"], row["verdict"] = _regions_verdict(series.paths)
        return row
    reader = _READERS.get(series.modality)
    if reader is None:
        row["verdict"] = _LATER.get(series.modality, f"{series.modality} is not used")
        return row
    try:
        volume = reader(looked_in, series_uid=series.uid)
    except VoxeldoseError as error:
        row["verdict"] = f"refused: {error}"
        return row
    row["grid"] = _grid_text(volume.grid)
    row["use"] = "ct" if series.modality == "CT" else "activity"
    at = getattr(volume, "at", None)
    said = [f"values hold at {at.astimezone(UTC).isoformat()}"] if at else []
    row["verdict"] = "; ".join(["can be used", *said, *volume.notes])
    return row


def _file_row(path: Path) -> dict[str, object]:
    row: dict[str, object] = {"path": str(path), "kind": "file", "files": 1, "series_uid": None, "vendor": None}
    row |= {"nuclide": None, "units": None, "decay": None, "grid": None, "use": None}
    try:
        values, grid, _ = read_array(path)
    except VoxeldoseError as error:
        row["verdict"] = f"refused: {error}"
        return row
    row["grid"] = _grid_text(grid)
    whole = values.dtype.kind in "ui" and values.min() >= 0 and values.max() < 1000
    if not whole:
        row["use"] = "activity (say its quantity), ct or density"
        row["verdict"] = f"values from {values.min():g} to {values.max():g}; the file does not say what they are"
        return row
    row["use"], row["verdict"] = _regions_verdict((path,))
    return row


def _regions_verdict(paths: tuple[Path, ...]) -> tuple[str | None, str]:
    """Use and verdict of files of regions."""
    try:
        rois = [roi for path in paths for roi in read_labels(path)]
    except VoxeldoseError as error:
        needs_names = "has no name" in str(error)
        return ("rois", f"labels need names: {error}") if needs_names else (None, f"refused: {error}")
    return "rois", "regions: " + ", ".join(f"{r.name} ({r.role}, {r.volume_ml:.1f} mL)" for r in rois)


def _grid_text(grid: Grid) -> str:
    size = " x ".join(str(n) for n in grid.shape)
    return f"{size} voxels of {' x '.join(f'{s:.4g}' for s in grid.spacing_mm)} mm (k, j, i)"
