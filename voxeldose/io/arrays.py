"""Arrays with their place from NIfTI, NRRD and MetaImage files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voxeldose.errors import InputError
from voxeldose.io.damage import refusing_damage
from voxeldose.io.nifti import NIFTI_SUFFIXES, read_nifti
from voxeldose.io.nrrd import read_nrrd

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from voxeldose.model.grid import Grid

__all__ = ["SUFFIXES", "read_array", "stem"]


_ITK_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")

SUFFIXES = (*NIFTI_SUFFIXES, *_ITK_SUFFIXES)


def stem(path: Path) -> str:
    """File name without any of its image suffixes."""
    name = path.name
    for suffix in (".seg.nrrd", *SUFFIXES):
        if name.casefold().endswith(suffix):
            return name[: -len(suffix)]
    return path.stem


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
    if lower.endswith(_ITK_SUFFIXES):
        return read_nrrd(path)
    msg = f"{path}: not a format that is read here; give DICOM, {', '.join(SUFFIXES)}."
    raise InputError(msg, code="format-unknown")
