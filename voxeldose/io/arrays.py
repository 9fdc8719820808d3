"""Arrays with their place from NIfTI, NRRD and MetaImage files, and what their headers leave open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voxeldose.errors import InputError
from voxeldose.io.damage import refusing_damage
from voxeldose.io.nifti import NIFTI_SUFFIXES, read_nifti
from voxeldose.io.nrrd import PLACE_NOTE, read_nrrd
from voxeldose.io.raster import RASTER_SUFFIXES
from voxeldose.model.remarks import Remark

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

    from voxeldose.model.grid import Grid

__all__ = ["SUFFIXES", "header_remarks", "read_array", "stem"]

SUFFIXES = (*NIFTI_SUFFIXES, *RASTER_SUFFIXES)


def stem(path: Path) -> str:
    """File name without any of its image suffixes."""
    name = path.name
    for suffix in (".seg.nrrd", *SUFFIXES):
        if name.casefold().endswith(suffix):
            return name[: -len(suffix)]
    return path.stem


def header_remarks(texts: Mapping[str, str]) -> tuple[Remark, ...]:
    """What is taken for granted where a header is silent: by the text fields of :func:`read_array`."""
    remarks = []
    if "note" in texts:
        remarks.append(Remark("unit-of-length-assumed", {}, texts["note"]))
    if PLACE_NOTE in texts:
        remarks.append(Remark("place-assumed", {}, texts[PLACE_NOTE]))
    return tuple(remarks)


@refusing_damage
def read_array(path: Path) -> tuple[npt.NDArray[Any], Grid, dict[str, str]]:
    """Values in (k, j, i) order, grid, and the file's own text fields.

    Returns
    -------
    values : ndarray
        (nk, nj, ni); a file with several components (layers of a ``.seg.nrrd``) has them as a last axis.
    grid : Grid
        In LPS, without a frame of reference.
    texts : dict
        Metadata of NRRD and MetaImage; for NIfTI the label names of a Caret extension as ``label:VALUE``.

    Raises
    ------
    InputError
        If the file cannot be read, is not three-dimensional, or does not say where it lies.
    """
    if not path.exists():
        msg = f"{path}: there is no such file."
        raise InputError(msg, code="file-missing")
    lower = path.name.casefold()
    if lower.endswith(NIFTI_SUFFIXES):
        return read_nifti(path)
    if lower.endswith(RASTER_SUFFIXES):
        return read_nrrd(path)
    msg = f"{path}: not a format that is read here; give DICOM, {', '.join(SUFFIXES)}."
    raise InputError(msg, code="format-unknown")
