"""NIfTI in and out; only this module knows RAS.

Voxel order never decides where a voxel lies: everything goes through the affine.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from voxeldose.errors import InputError
from voxeldose.io.damage import grid_of_file
from voxeldose.model.exchange import LPS_TO_RAS, REVERSED, ras_affine
from voxeldose.model.grid import Grid, towards_lps

if TYPE_CHECKING:
    from voxeldose.model.arrays import Doubles
    from voxeldose.model.volume import Volume

__all__ = ["NIFTI_SUFFIXES", "read_nifti", "write_labels", "write_nifti"]

NIFTI_SUFFIXES = (".nii.gz", ".nii")


#: sform and qform may differ by this at a corner of the image before the file is refused.
_FORMS_MM = 0.5


def read_nifti(path: Path) -> tuple[npt.NDArray[Any], Grid, dict[str, str]]:
    """Values in (k, j, i) order, grid and label names of a NIfTI file."""
    values, header = _load(path)
    affine = _affine_of(header, values.shape, path)
    unit = header.get_xyzt_units()[0]
    if unit in ("meter", "micron"):
        msg = f"{path}: lengths are in {unit}, millimetres are needed."
        raise InputError(msg, code="unit-wrong", found=unit)
    texts = {f"label:{key}": name for key, name in _caret_labels(header).items()}
    if unit == "unknown":
        texts["note"] = f"{path.name} does not state its unit of length; millimetres are taken."
    lattice = grid_of_file((values.shape[2], values.shape[1], values.shape[0]), LPS_TO_RAS @ affine @ REVERSED, path)
    turned, grid = towards_lps(values.transpose(2, 1, 0), lattice)
    return turned, grid, texts


def _load(path: Path) -> tuple[npt.NDArray[Any], Any]:
    """Values in (i, j, k) order and the header, the file read to its end."""
    import nibabel as nib
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        image = nib.load(path)
        size = int(image.dataobj.offset) + math.prod(image.shape) * image.dataobj.dtype.itemsize
        if path.name.casefold().endswith(".gz"):
            _check_gzip(path, size)
        elif (there := path.stat().st_size) != size:
            msg = f"{path}: its header wants {size} bytes, {there} are there. Copy or write the file again."
            raise InputError(msg, code="file-damaged")
        values = np.asanyarray(image.dataobj)
    except (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, zlib.error) as error:
        msg = f"{path}: cannot be read as NIfTI ({str(error).splitlines()[0]}). Write the file again."
        raise InputError(msg, code="file-damaged") from error
    if values.dtype.kind not in "uifb":
        msg = f"{path}: one real number per voxel is needed, found {values.dtype}; colour and complex images are not read."
        raise InputError(msg, code="values-not-real")
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim != 3:
        msg = f"{path}: three dimensions are needed, found shape {values.shape}; split time points or channels."
        raise InputError(msg, code="dimensions-not-three", shape=values.shape)
    return values, image.header


def _affine_of(header: Any, shape: tuple[int, ...], path: Path) -> Doubles:
    """The one affine of sform and qform; refused where there is none, or two that differ."""
    sform, s_code = header.get_sform(coded=True)
    qform, q_code = header.get_qform(coded=True)
    if not s_code and not q_code:
        msg = f"{path}: neither sform nor qform is set, so nobody knows where the voxels lie. Write the file with its affine."
        raise InputError(msg, code="place-unknown")
    if s_code and q_code:
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape], [1], indexing="ij")).reshape(4, -1)
        apart = float(np.abs((sform - qform) @ corners).max())
        if apart > _FORMS_MM:
            msg = (
                f"{path}: sform and qform place the image up to {apart:.1f} mm apart, so its orientation is not certain. "
                "Write the file with one affine."
            )
            raise InputError(msg, code="place-unknown", apart_mm=apart)
    return np.asarray(sform if s_code else qform)


def _check_gzip(path: Path, size: int) -> None:
    """Read a compressed file to its end, where its checksum stands; nibabel does not. Its header wants ``size`` bytes."""
    there = 0
    with gzip.open(path) as file:
        while part := file.read(1 << 24):
            there += len(part)
            if there > size:
                break
    if there != size:
        msg = f"{path}: its header wants {size} bytes, {'more' if there > size else there} are there. Write the file again."
        raise InputError(msg, code="file-damaged")


def _caret_labels(header: Any) -> dict[str, str]:
    """Label names that TotalSegmentator and Connectome tools keep in an XML extension."""
    from xml.etree import ElementTree as ET

    labels: dict[str, str] = {}
    for extension in header.extensions:
        content = extension.get_content()
        raw = content if isinstance(content, bytes) else str(content).encode()
        if b"<Label" not in raw or b"<!DOCTYPE" in raw or b"<!ENTITY" in raw:
            continue
        try:
            text = raw.rstrip(b"\x00").decode("utf-8", "replace").strip()
            root = ET.fromstring(text)  # noqa: S314 - declarations of entities are refused above
        except ET.ParseError:
            continue
        labels |= {
            str(e.get("Key")): (e.text or "").strip() for e in root.iter("Label") if e.get("Key") not in (None, "0")
        }
    return labels


def write_nifti(volume: Volume, path: str | Path, *, description: str = "") -> None:
    """Write a volume as float32 NIfTI, with its place in the patient in sform and qform.

    Parameters
    ----------
    volume : Volume
        On a grid whose axes are perpendicular or not.
    path : path
        Ending in ``.nii`` or ``.nii.gz``.
    description : str
        At most 79 characters are kept in the header.
    """
    _write(volume.values, volume.grid, Path(path), description or volume.quantity)


def write_labels(labels: npt.NDArray[np.uint8], grid: Grid, path: str | Path) -> None:
    """Write a label map as NIfTI."""
    _write(labels, grid, Path(path), "label map")


def _write(values: npt.NDArray[Any], grid: Grid, path: Path, description: str) -> None:
    import nibabel as nib

    if not path.name.casefold().endswith(NIFTI_SUFFIXES):
        msg = f"{path}: a NIfTI file is named .nii or .nii.gz."
        raise InputError(msg, code="format-unknown")
    affine = ras_affine(grid)
    image = nib.Nifti1Image(np.ascontiguousarray(values.transpose(2, 1, 0)), affine)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = description.encode("ascii", "replace")[:79]
    image.set_sform(affine, 1)
    if grid.is_right_angled:
        image.set_qform(affine, 1)
    nib.save(image, path)
