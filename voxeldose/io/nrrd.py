"""NRRD and MetaImage in, by SimpleITK."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from voxeldose.errors import InputError
from voxeldose.io.damage import grid_of_file
from voxeldose.model.grid import Grid, towards_lps

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_nrrd"]

#: NRRD spaces that lie in the patient; SimpleITK turns each to LPS.
_PATIENT_SPACES = {"left-posterior-superior", "right-anterior-superior", "left-anterior-superior", "LPS", "RAS", "LAS"}

#: Bytes that a compressed byte can stand for, at most (DEFLATE).
_DEFLATE = 1032


def read_nrrd(path: Path) -> tuple[npt.NDArray[Any], Grid, dict[str, str]]:
    """Values in (k, j, i) order, grid and text fields of an NRRD or MetaImage file."""
    import SimpleITK as sitk  # noqa: N813

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        _require_size(path)
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        why = str(error).strip().splitlines()[-1]
        msg = f"{path}: cannot be read ({why}). Write the file again."
        raise InputError(msg, code="file-damaged") from error
    texts = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    if image.GetDimension() != 3:
        msg = f"{path}: three dimensions are needed, found {image.GetDimension()}."
        raise InputError(msg, code="dimensions-not-three", shape=image.GetSize())
    space = texts.get("NRRD_space", "")
    if path.name.casefold().endswith((".nrrd", ".nhdr")) and space not in _PATIENT_SPACES:
        found = f"'space' is {space}" if space else "there is no 'space'"
        msg = f"{path}: in the NRRD header {found}, so left and right are not certain. Write it as left-posterior-superior."
        raise InputError(msg, code="place-unknown")
    values = sitk.GetArrayFromImage(image)
    directions = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine = np.eye(4)
    affine[:3, :3] = directions[:, ::-1]
    affine[:3, 3] = image.GetOrigin()
    lattice = grid_of_file(values.shape[:3], affine, path)
    if values.ndim == 3:
        turned, grid = towards_lps(values, lattice)
        return turned, grid, texts
    layers = [towards_lps(values[..., n], lattice) for n in range(values.shape[-1])]
    return np.stack([v for v, _ in layers], axis=-1), layers[0][1], texts


def _require_size(path: Path) -> None:
    """Refuse an NRRD or MetaImage file that holds less than its header says; ITK fills up with what was in memory."""
    import SimpleITK as sitk  # noqa: N813

    header = sitk.ImageFileReader()
    header.SetFileName(str(path))
    header.ReadImageInformation()
    item = sitk.Image([1, 1], header.GetPixelID(), header.GetNumberOfComponents())
    wanted = math.prod(header.GetSize()) * item.GetSizeOfPixelComponent() * header.GetNumberOfComponents()
    start = path.read_bytes()[: 1 << 16]
    mark = re.search(rb"ElementDataFile\s*=\s*(\S+)[^\n]*\n|\n\r?\n", start, re.IGNORECASE)
    where = re.search(rb"(?:ElementDataFile\s*=|data ?file\s*:)\s*([^\r\n]+)", start, re.IGNORECASE)
    name = where.group(1).strip().decode("utf-8", "replace") if where else "LOCAL"
    data_file = path.parent / name
    if name.upper() == "LOCAL" and mark:
        there = path.stat().st_size - mark.end()
    elif data_file.is_file():
        there = data_file.stat().st_size
    else:
        return  # a list of files, which ITK checks one by one
    packed = re.search(rb"CompressedData\s*=\s*True|encoding\s*:\s*(gz|bz)", start, re.IGNORECASE)
    text = re.search(rb"encoding\s*:\s*(text|txt|ascii|hex)|BinaryData\s*=\s*False", start, re.IGNORECASE)
    if not text and there * (_DEFLATE if packed else 1) < wanted:
        msg = f"{path}: cannot be read: its header wants {wanted} bytes of values, {there} are there. Copy or write the file again."
        raise InputError(msg, code="file-damaged")
