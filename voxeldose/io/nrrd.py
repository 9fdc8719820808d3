"""NRRD and MetaImage in, by SimpleITK, after their headers and values were found whole."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from voxeldose.errors import InputError
from voxeldose.io.damage import grid_of_file
from voxeldose.io.raster import RasterHeader, beside, read_raster_header, require_sound_values
from voxeldose.model.grid import Grid, towards_lps

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["PLACE_NOTE", "read_nrrd", "require_whole"]

#: Under this key stands what is taken for granted about the place of an image.
PLACE_NOTE = "note:place"

#: NRRD spaces that lie in the patient; SimpleITK turns each to LPS.
_PATIENT_SPACES = {"left-posterior-superior", "right-anterior-superior", "left-anterior-superior", "LPS", "RAS", "LAS"}

#: Names under which MetaImage files have the place of the first voxel, and the directions of the axes.
_OFFSETS, _MATRICES = ("offset", "position", "origin"), ("transformmatrix", "rotation", "orientation")
#: Axes that differ from unit length by more than this hide a spacing.
_UNIT = 1e-3


def read_nrrd(path: Path) -> tuple[npt.NDArray[Any], Grid, dict[str, str]]:
    """Values in (k, j, i) order, grid and text fields of an NRRD or MetaImage file."""
    import SimpleITK as sitk  # noqa: N813

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    is_nrrd = path.name.casefold().endswith((".nrrd", ".nhdr"))
    try:
        header = read_raster_header(path)
        if not is_nrrd:
            _require_meta_place(path, header.fields)
        require_whole(path, header)
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        why = str(error).strip().splitlines()[-1]
        msg = f"{path}: cannot be read ({why}). Write the file again."
        raise InputError(msg, code="file-damaged") from error
    texts = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()} | _place_notes(path, header)
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    if image.GetDimension() != 3:
        msg = f"{path}: three dimensions are needed, found {image.GetDimension()}."
        raise InputError(msg, code="dimensions-not-three", shape=image.GetSize())
    space = texts.get("NRRD_space", "")
    if is_nrrd and space not in _PATIENT_SPACES:
        found = f"'space' is {space}" if space else "there is no 'space'"
        msg = f"{path}: in the NRRD header {found}, so left and right are not certain. Write it as left-posterior-superior."
        raise InputError(msg, code="place-unknown")
    if is_nrrd:
        _require_nrrd_place(path, header.fields)
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


def require_whole(path: Path, header: RasterHeader) -> None:
    """Refuse a file unless its values are whole, undamaged by their checksum, and no more than it wants.

    Raises
    ------
    InputError
        If they are not, or the header points to values outside its folder.
    """
    import SimpleITK as sitk  # noqa: N813

    for name in header.names:
        beside(path, name)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    item = sitk.Image([1, 1], reader.GetPixelID(), reader.GetNumberOfComponents())
    items = math.prod(reader.GetSize()) * reader.GetNumberOfComponents()
    require_sound_values(path, header, items * item.GetSizeOfPixelComponent(), items)


def _require_nrrd_place(path: Path, fields: Mapping[str, str]) -> None:
    for key in ("spacedirections", "spaceorigin"):
        texts = re.findall(r"\(([^)]*)\)", fields.get(key, ""))
        vectors = [_numbers(text.replace(",", " ")) for text in texts]
        sizes = {len(v) for v in vectors}
        if sizes != {3} or len(vectors) != (3 if key == "spacedirections" else 1):
            what = "space directions" if key == "spacedirections" else "space origin"
            raise _placeless(path, f"its NRRD header has no {what} of finite numbers")
    units = set(re.findall(r'"([^"]*)"', fields.get("spaceunits", "")))
    if units - {"mm", "millimeter", "millimetre", ""}:
        raise _wrong_unit(path, ", ".join(sorted(units)))


def _require_meta_place(path: Path, fields: Mapping[str, str]) -> None:
    spacing = _numbers(fields.get("elementspacing", ""))
    if len(spacing) < 2 or min(spacing) <= 0:
        raise _placeless(path, "its header has no ElementSpacing of numbers above 0")
    for key in _OFFSETS:
        if key in fields and len(_numbers(fields[key])) != len(spacing):
            raise _placeless(path, f"{key.capitalize()} in its header is not {len(spacing)} finite numbers")
    for key in _MATRICES:
        if key not in fields:
            continue
        matrix = _numbers(fields[key])
        if len(matrix) != len(spacing) ** 2:
            raise _placeless(path, f"{key.capitalize()} in its header is not {len(spacing) ** 2} finite numbers")
        lengths = np.linalg.norm(np.reshape(matrix, (len(spacing), -1)), axis=1)
        if np.abs(lengths - 1).max() > _UNIT:
            raise _placeless(
                path, f"the axes in {key.capitalize()} have the lengths {', '.join(f'{v:g}' for v in lengths)}, not 1"
            )
    if fields.get("distanceunits", "mm").casefold() not in ("mm", "?", ""):
        raise _wrong_unit(path, fields["distanceunits"])


def _place_notes(path: Path, header: RasterHeader) -> dict[str, str]:
    """What is taken for granted of a MetaImage that does not say it."""
    if not path.name.casefold().endswith((".mha", ".mhd")):
        return {}
    missing = [
        name
        for name, keys in (("offset", _OFFSETS), ("directions of its axes", _MATRICES))
        if not any(k in header.fields for k in keys)
    ]
    if not missing:
        return {}
    return {PLACE_NOTE: f"{path.name} does not state the {' and the '.join(missing)}; 0 mm and LPS axes are taken."}


def _numbers(text: str) -> list[float]:
    """Finite numbers separated by blanks; none if one is something else."""
    try:
        found = [float(v) for v in text.split()]
    except ValueError:
        return []
    return found if all(math.isfinite(v) for v in found) else []


def _placeless(path: Path, found: str) -> InputError:
    msg = f"{path}: {found}, so nobody knows where the voxels lie. Write the file with its geometry."
    return InputError(msg, code="place-unknown")


def _wrong_unit(path: Path, unit: str) -> InputError:
    msg = f"{path}: lengths are in {unit}, millimetres are needed."
    return InputError(msg, code="unit-wrong", found=unit)
