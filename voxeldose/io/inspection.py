"""What lies in a folder or file, what voxeldose would do with it or why it would refuse, and what it still needs."""

from __future__ import annotations

import os
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

from voxeldose.errors import InputError, VoxeldoseError
from voxeldose.io.arrays import SUFFIXES, read_array
from voxeldose.io.damage import refusing_damage
from voxeldose.io.dicom.ct import read_ct
from voxeldose.io.dicom.files import Series, find_series
from voxeldose.io.dicom.header import drug_item, number
from voxeldose.io.dicom.instants import format_instant, instant, stated_zone, whole_instant
from voxeldose.io.dicom.nuclide import nuclide_of
from voxeldose.io.dicom.pet import read_pet, units_of
from voxeldose.io.dicom.planes import planes_of
from voxeldose.io.dicom.quirks import quirks_of
from voxeldose.io.dicom.spect import read_spect
from voxeldose.io.regions import read_labels
from voxeldose.model.volume import ActivityMap, CountMap

if TYPE_CHECKING:
    from collections.abc import Callable

    from voxeldose.model.grid import Grid
    from voxeldose.model.volume import Volume

__all__ = ["inspect"]

_READERS: dict[str, Callable[..., Volume]] = {"CT": read_ct, "PT": read_pet, "NM": read_spect}
_LATER = {"RTDOSE": "a dose; read with read_rtdose"}
#: A way out that a message names -> the key of the case file, and what it asks.
_WAYS_OUT = {
    "--undo-suv": ("activity.undo_suv", "true turns SUV into Bq/mL with the header's dose, weight and times"),
    "--energy-window": ("activity.energy_window", "number of the window to read"),
    "--slice-spacing-mm": ("activity.slice_spacing_mm", "with its sign"),
    "--ct-uneven": ("ct.uneven", '"resample" interpolates the slices'),
    'quantity = "counts"': ("activity.quantity", '"counts" uses it as a relative image'),
}


@refusing_damage
def inspect(path: str | Path) -> list[dict[str, object]]:
    """One row a series, image file or file of regions: what it is, and the verdict.

    Parameters
    ----------
    path : path
        A folder (subfolders included) or a file.

    Returns
    -------
    list of dict
        Keys ``path``, ``kind``, ``files``, ``series_uid``, ``vendor``, ``nuclide``, ``units``, ``decay``, ``instants``
        (what the header dates, with a zone where it states one), ``grid``, ``quirks`` (what sets it apart), ``use`` (as
        activity, ct, rois, or nothing), ``regions`` (their names), ``needs`` (key of the case file: what the header leaves
        open) and ``verdict``. No patient data.

    Raises
    ------
    InputError
        If there is nothing there that could be read.
    """
    path = Path(path)
    series = sorted(find_series(path), key=lambda s: (str(s.folder), s.uid))
    rows = [_series_row(part, path) for one in series for part in _parts(one)]
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if not p.name.startswith("."))
    rows += [_file_row(p) for p in files if p.is_file() and p.name.casefold().endswith(SUFFIXES)]
    if not rows:
        msg = f"{path}: nothing here is DICOM, {', '.join(SUFFIXES)}."
        raise InputError(msg)
    return rows


def _parts(series: Series) -> list[Series]:
    """Files of regions one by one, as each can be used alone; images as they are."""
    if series.modality not in ("SEG", "RTSTRUCT"):
        return [series]
    return [Series(series.uid, (p,), (h,)) for p, h in zip(series.paths, series.headers, strict=True)]


def _series_row(series: Series, looked_in: Path) -> dict[str, object]:
    header = _described(series)
    nuclide = nuclide_of(header)
    needs: dict[str, str] = {}
    row: dict[str, object] = {
        "path": _place(series),
        "kind": series.modality,
        "files": len(series.paths),
        "series_uid": series.uid,
        "vendor": " ".join(str(header.get(k, "") or "") for k in ("Manufacturer", "ManufacturerModelName")).strip(),
        "nuclide": nuclide.name if nuclide else None,
        "units": units_of(header) or None,
        "decay": header.get("DecayCorrection"),
        "instants": _instants(header) if series.modality in ("PT", "NM") else {},
        "grid": None,
        "quirks": quirks_of(series),
        "use": None,
        "regions": [],
        "needs": needs,
    }
    if series.modality in ("SEG", "RTSTRUCT"):
        return row | _regions(series.paths[0], needs)
    reader = _READERS.get(series.modality)
    if reader is None:
        row["verdict"] = _LATER.get(series.modality, f"{series.modality} is not used")
        return row
    try:
        volume = reader(looked_in, series_uid=series.uid)
    except VoxeldoseError as error:
        row["verdict"] = f"refused: {error}"
        needs |= {key: what for words, (key, what) in _WAYS_OUT.items() if words in str(error)}
        return row
    row["grid"] = _grid_text(volume.grid)
    row["use"] = "ct" if series.modality == "CT" else "activity"
    at = volume.at if isinstance(volume, ActivityMap | CountMap) else None
    said = [f"values hold at {at.astimezone(UTC).isoformat()}"] if at else []
    needs |= _open_questions(volume)
    row["verdict"] = "; ".join(["can be used", *said, *volume.remarks])
    return row


def _described(series: Series):  # type: ignore[no-untyped-def]
    """A header that holds what multi-frame files say in their functional groups."""
    try:
        return planes_of(series)[0].header
    except (InputError, IndexError):
        return series.first


def _place(series: Series) -> str:
    """The file, or the nearest folder that holds every file of the series."""
    if len(series.paths) == 1:
        return str(series.paths[0])
    return os.path.commonpath([p.parent for p in series.paths])


def _instants(header) -> dict[str, str]:  # type: ignore[no-untyped-def]
    """Series, acquisition and administration as the header dates them, with its zone if it states one."""
    stated = stated_zone(header)
    zone = stated or UTC
    drug = drug_item(header)
    given = whole_instant(drug.get("RadiopharmaceuticalStartDateTime"), zone) if drug is not None else None
    found = {
        "series": instant(header, "SeriesDate", "SeriesTime", zone),
        "acquired": instant(header, "AcquisitionDate", "AcquisitionTime", zone)
        or whole_instant(header.get("FrameAcquisitionDateTime") or header.get("AcquisitionDateTime"), zone),
        "administered": given,
    }
    shown = {n: format_instant(at if stated else at.replace(tzinfo=None)) for n, at in found.items() if at is not None}
    clock = str(drug.get("RadiopharmaceuticalStartTime", "") or "") if drug is not None else ""
    if given is None and clock:
        shown["administered"] = f"{clock[:2]}:{clock[2:4]} on an unknown day"
    seconds = number(header, "ActualFrameDuration") or number(header, "FrameAcquisitionDuration")
    if seconds and shown:
        shown["frame"] = f"{seconds / 1000:g} s"
    return shown


def _open_questions(volume: Volume) -> dict[str, str]:
    """Keys that a usable emission image still leaves to the user."""
    if not isinstance(volume, ActivityMap | CountMap):
        return {}
    needs = {}
    name = volume.radionuclide.name if volume.radionuclide else None
    if isinstance(volume, ActivityMap) and volume.at is None:
        needs["activity.measured_at"] = "instant to which the values hold; without it, administered calibration only"
    if name not in (None, "Y-90", "Tc-99m"):
        needs["activity.undo_nuclide"] = f'"{name}" if Y-90 was scanned under that name and Bq/mL are wanted'
        needs["activity.image_nuclide"] = f'"Y-90" if Y-90 was scanned as {name}, "{name}" if it stands for the spheres'
    elif isinstance(volume, ActivityMap) and volume.not_absolute:
        needs["activity.undo_nuclide"] = "the nuclide that the scanner computed with, if Bq/mL are wanted"
    return needs


def _file_row(path: Path) -> dict[str, object]:
    row: dict[str, object] = {"path": str(path), "kind": "file", "files": 1, "series_uid": None, "vendor": None}
    row |= {"nuclide": None, "units": None, "decay": None, "instants": {}, "grid": None, "quirks": [], "use": None}
    needs: dict[str, str] = {}
    row |= {"regions": [], "needs": needs}
    if (path.parent / "run.json").is_file():
        row["verdict"] = "a result of voxeldose; not used"
        return row
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
        needs["activity.quantity"] = '"bq_per_ml", "bq" or "counts", if it is the activity'
        needs["activity.measured_at"] = "instant to which the values hold, if they are Bq"
        return row
    return row | _regions(path, needs)


def _regions(path: Path, needs: dict[str, str]) -> dict[str, object]:
    """Use, names and verdict of a file of regions."""
    try:
        rois = list(read_labels(path))
    except VoxeldoseError as error:
        if "has no name" not in str(error):
            return {"use": None, "verdict": f"refused: {error}"}
        needs["rois.labels"] = "name and role of every label"
        return {"use": "rois", "verdict": f"labels need names: {error}"}
    said = ", ".join(f"{r.name} ({r.role}, {r.volume_ml:.1f} mL)" for r in rois)
    return {"use": "rois", "regions": [r.name for r in rois], "verdict": f"regions: {said}"}


def _grid_text(grid: Grid) -> str:
    size = " x ".join(str(n) for n in grid.shape)
    return f"{size} voxels of {' x '.join(f'{s:.4g}' for s in grid.spacing_mm)} mm (k, j, i)"
