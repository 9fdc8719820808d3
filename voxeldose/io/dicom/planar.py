"""Planar views in: anterior and posterior frames of NM files, and label images drawn on them.

A planar view has no place in the patient: pixels are rows and columns of the frame as stored, and a label image must have
the same rows and columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from voxeldose.errors import InputError
from voxeldose.io.damage import refusing_damage
from voxeldose.io.dicom.emission import require_emission
from voxeldose.io.dicom.files import read_header
from voxeldose.io.dicom.header import items, text, whole_numbers, words
from voxeldose.io.dicom.pixels import stored_pixels
from voxeldose.io.dicom.planes import Plane, rescale
from voxeldose.io.nrrd import require_whole
from voxeldose.io.raster import RASTER_SUFFIXES, read_raster_header

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pydicom.dataset import Dataset

    from voxeldose.model.arrays import Doubles, Integers

__all__ = ["counts_by_label", "read_label_image", "read_planar_views"]

_KINDS = ("STATIC", "WHOLE BODY")
#: View Code Sequence (0054,0220), CID 26: SNOMED CT and the older SRT codes of the same concepts.
_VIEWS = {"399321004": "anterior", "R-10206": "anterior", "399001007": "posterior", "R-10214": "posterior"}
_WORDS = {"anterior": ("ANT",), "posterior": ("POST",)}


def read_planar_views(paths: Sequence[Path], *, energy_window: int | None = None) -> dict[str, Doubles]:
    """The anterior and the posterior view, (rows, columns) each, of one or two NM files.

    Frames are distinguished by the View Code of their detector, or by ANT and POST in the series description of a file with
    one frame. Several frames of one view (spot images of neighbouring parts) are refused.

    Parameters
    ----------
    paths : sequence of Path
        DICOM NM files, Image Type STATIC or WHOLE BODY.
    energy_window : int, optional
        Which, counted from 1, where a file holds several.

    Raises
    ------
    InputError
        If a file is no planar image, or not exactly one anterior and one posterior view are found.
    """
    views: dict[str, list[Doubles]] = {"anterior": [], "posterior": []}
    for path in paths:
        header = read_header(path) if path.is_file() else None
        if header is None or text(header, "Modality") != "NM":
            msg = f"{path}: is no DICOM NM file; planar views are read from NM files, one or two."
            raise InputError(msg, code="not-planar")
        for view, frame in _frames(path, header, energy_window):
            views[view].append(frame)
    counted = {view: len(frames) for view, frames in views.items()}
    if set(counted.values()) != {1}:
        msg = (
            f"{', '.join(p.name for p in paths)}: one anterior and one posterior view are needed, found {counted['anterior']} "
            f"anterior and {counted['posterior']} posterior. Give the files that hold one of each."
        )
        raise InputError(msg, code="views-missing", **counted)
    (anterior,), (posterior,) = views["anterior"], views["posterior"]
    if anterior.shape != posterior.shape:
        msg = f"The anterior view has {anterior.shape} rows and columns, the posterior {posterior.shape}; export one study."
        raise InputError(msg, code="views-differ", anterior=anterior.shape, posterior=posterior.shape)
    return {"anterior": anterior, "posterior": posterior}


@refusing_damage
def _frames(path: Path, header: Dataset, energy_window: int | None) -> list[tuple[str, Doubles]]:
    kind = words(header, "ImageType")
    if len(kind) < 3 or kind[2] not in _KINDS:
        msg = f"{path}: Image Type says {kind[2] if len(kind) > 2 else 'none'}; planar views are {' or '.join(_KINDS)}."
        raise InputError(msg, code="not-planar", image_type=kind[2] if len(kind) > 2 else None)
    require_emission(header, str(path))
    stored = stored_pixels(path, header).astype(np.float64)
    stored = stored[None] if stored.ndim == 2 else stored
    slope, intercept = rescale(Plane(path, header))
    values = stored * slope + intercept
    windows = _vector(header, "EnergyWindowVector", len(values))
    if len(set(windows)) > 1 and energy_window is None:
        msg = (
            f"{path}: {len(set(windows))} energy windows are stored; give which with --energy-window (1 is the first)."
        )
        raise InputError(msg, code="energy-windows-several", windows=len(set(windows)))
    if energy_window is not None and energy_window not in windows:
        msg = f"{path}: there is no energy window {energy_window}; there are {sorted(set(windows))}."
        raise InputError(msg, code="energy-window-missing", energy_window=energy_window)
    detectors = _vector(header, "DetectorVector", len(values))
    chosen = [n for n in range(len(values)) if energy_window in (None, windows[n])]
    return [(_view(header, detectors[n], len(chosen), path), values[n]) for n in chosen]


def _vector(header: Dataset, key: str, frames: int) -> list[int]:
    listed = whole_numbers(header, key)
    return listed if len(listed) == frames else [1] * frames


def _view(header: Dataset, detector: int, frames: int, path: Path) -> str:
    detectors = items(header, "DetectorInformationSequence")
    if 1 <= detector <= len(detectors):
        for code in items(detectors[detector - 1], "ViewCodeSequence"):
            view = _VIEWS.get(text(code, "CodeValue").strip())
            if view:
                return view
    if frames == 1:
        described = text(header, "SeriesDescription").upper()
        named = [view for view, starts in _WORDS.items() if any(w in described for w in starts)]
        if len(named) == 1:
            return named[0]
    msg = (
        f"{path}: nothing says which frame is anterior: neither a View Code (0054,0220) of its detector nor, in a file with one "
        "frame, ANT or POST in the series description. Export the views with their codes, or give counts as numbers."
    )
    raise InputError(msg, code="view-unknown")


def read_label_image(path: Path, shape: tuple[int, int]) -> Integers:
    """Whole-number labels on the pixels of a planar view, (rows, columns), as stored: ``.png``, ``.tif``, NIfTI, NRRD, MHA.

    The file's first axis is the column and its second the row, from the upper left; orientation in the file is not used.

    Raises
    ------
    InputError
        If it cannot be read, is not one plane, or has other rows and columns than the view.
    """
    import SimpleITK as Itk

    if not path.is_file():
        msg = f"{path}: there is no such file."
        raise InputError(msg, code="file-missing")
    if path.name.casefold().endswith(RASTER_SUFFIXES):
        require_whole(path, read_raster_header(path))
    try:
        values = np.asarray(Itk.GetArrayFromImage(Itk.ReadImage(str(path))))
    except RuntimeError as error:
        msg = f"{path}: cannot be read as a label image; give .png, .tif, NIfTI, NRRD or MHA with one label per pixel."
        raise InputError(msg, code="file-damaged") from error
    plane = values[0] if values.ndim == 3 and values.shape[0] == 1 else values
    if plane.ndim != 2 or plane.shape != shape or not np.array_equal(plane, np.rint(plane)) or plane.min() < 0:
        msg = (
            f"{path}: one plane of {shape[0]} rows x {shape[1]} columns with whole labels is needed, as the view has; found "
            f"{values.shape}."
        )
        raise InputError(msg, code="labels-differ-from-view", found=values.shape, needed=shape)
    return plane.astype(np.int64)


def counts_by_label(
    views: Mapping[str, Doubles], labels: Mapping[str, Integers], wanted: Mapping[int, str]
) -> dict[str, dict[str, float]]:
    """Counts in each view, and pixels, of every named label: name -> anterior, posterior, pixels.

    Several labels of one name are added up.

    Raises
    ------
    InputError
        If a label has no pixel in a view, or its size in the two views differs.
    """
    result: dict[str, dict[str, float]] = {}
    for value, name in wanted.items():
        masks = {view: labels[view] == value for view in views}
        sizes = {view: int(mask.sum()) for view, mask in masks.items()}
        if min(sizes.values()) == 0 or len(set(sizes.values())) > 1:
            msg = (
                f"Label {value} ({name}) has {sizes['anterior']} pixels on the anterior and {sizes['posterior']} on the "
                "posterior view; opposite views need regions of the same size."
            )
            raise InputError(msg, code="label-sizes-differ", label=value, **sizes)
        row = result.setdefault(name, {"anterior": 0.0, "posterior": 0.0, "pixels": 0.0})
        for view, mask in masks.items():
            row[view] += float(views[view][mask].sum())
        row["pixels"] += sizes["anterior"]
    return result
