"""NIfTI, NRRD and MetaImage in and out; the only room that knows RAS.

Voxel order never decides where a voxel lies: everything goes through the affine.
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from voxeldose.errors import GeometryError, InputError
from voxeldose.io.damage import refusing_damage
from voxeldose.model.grid import Grid, towards_lps

if TYPE_CHECKING:
    from voxeldose.model.volume import Volume

__all__ = ["SUFFIXES", "read_array", "stem", "write_labels", "write_nifti"]

_NIFTI = (".nii.gz", ".nii")
_ITK = (".nrrd", ".nhdr", ".mha", ".mhd")
SUFFIXES = (*_NIFTI, *_ITK)

#: RAS to LPS: x and y change sign.
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
#: (i, j, k) to (k, j, i).
_REVERSED = np.eye(4)[[2, 1, 0, 3]]
#: NRRD spaces that lie in the patient; SimpleITK turns each to LPS.
_PATIENT_SPACES = {"left-posterior-superior", "right-anterior-superior", "left-anterior-superior", "LPS", "RAS", "LAS"}
#: sform and qform may differ by this at a corner of the image before the file is refused.
_FORMS_MM = 0.5


def stem(path: Path) -> str:
    """File name without any of its image suffixes."""
    name = path.name
    for suffix in (".seg.nrrd", *SUFFIXES):
        if name.casefold().endswith(suffix):
            return name[: -len(suffix)]
    return path.stem


@refusing_damage
def read_array(path: Path) -> tuple[npt.NDArray[Any], Grid, dict[str, str]]:
    """Values in the house's order, grid, and the file's own text fields.

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
        raise InputError(msg)
    lower = path.name.casefold()
    if lower.endswith(_NIFTI):
        return _read_nifti(path)
    if lower.endswith(_ITK):
        return _read_itk(path)
    msg = f"{path}: not a format that is read here; give DICOM, {', '.join(SUFFIXES)}."
    raise InputError(msg)


def _read_nifti(path: Path) -> tuple[npt.NDArray[Any], Grid, dict[str, str]]:
    import nibabel as nib
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        image = nib.load(path)
        held = int(image.dataobj.offset) + math.prod(image.shape) * image.dataobj.dtype.itemsize
        if path.name.casefold().endswith(".gz"):
            _check_gzip(path, held)
        elif path.stat().st_size < held:
            msg = (
                f"{path}: its header wants {held} bytes, {path.stat().st_size} are there. Copy or write the file again."
            )
            raise InputError(msg)
        values = np.asanyarray(image.dataobj)
    except (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, zlib.error) as error:
        msg = f"{path}: cannot be read as NIfTI ({str(error).splitlines()[0]}). Write the file again."
        raise InputError(msg) from error
    if values.dtype.kind not in "uifb":
        msg = (
            f"{path}: one real number a voxel is needed, found {values.dtype}; colour and complex images are not read."
        )
        raise InputError(msg)
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim != 3:
        msg = f"{path}: three dimensions are needed, found shape {values.shape}; split time points or channels."
        raise InputError(msg)
    header: Any = image.header
    sform, s_code = header.get_sform(coded=True)
    qform, q_code = header.get_qform(coded=True)
    if not s_code and not q_code:
        msg = f"{path}: neither sform nor qform is set, so nobody knows where the voxels lie. Write the file with its affine."
        raise InputError(msg)
    affine = sform if s_code else qform
    if s_code and q_code:
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in values.shape], [1], indexing="ij")).reshape(4, -1)
        apart = float(np.abs((sform - qform) @ corners).max())
        if apart > _FORMS_MM:
            msg = (
                f"{path}: sform and qform place the image up to {apart:.1f} mm apart, so its orientation is not certain. "
                "Write the file with one affine."
            )
            raise InputError(msg)
    unit = header.get_xyzt_units()[0]
    if unit in ("meter", "micron"):
        msg = f"{path}: lengths are in {unit}, millimetres are needed."
        raise InputError(msg)
    texts = {f"label:{key}": name for key, name in _caret_labels(header).items()}
    if unit == "unknown":
        texts["note"] = f"{path.name} does not state its unit of length; millimetres are taken."
    lattice = _grid((values.shape[2], values.shape[1], values.shape[0]), _LPS @ affine @ _REVERSED, path)
    turned, grid = towards_lps(values.transpose(2, 1, 0), lattice)
    return turned, grid, texts


def _grid(shape: tuple[int, int, int], affine: npt.NDArray[np.float64], path: Path) -> Grid:
    try:
        return Grid(shape, affine)
    except GeometryError as error:
        msg = f"{path}: {error} Write the file with its affine."
        raise InputError(msg) from error


def _check_gzip(path: Path, held: int) -> None:
    """Read a compressed file to its end, where its checksum stands; nibabel does not. Its header wants ``held`` bytes."""
    found = 0
    with gzip.open(path) as file:
        while part := file.read(1 << 24):
            found += len(part)
            if found > held + (1 << 24):
                break
    if found < held or found > held + (1 << 24):
        msg = f"{path}: its header wants {held} bytes, {'more' if found > held else found} are there. Write the file again."
        raise InputError(msg)


def _caret_labels(header: Any) -> dict[str, str]:
    """Label names that TotalSegmentator and Connectome tools keep in an XML extension."""
    from xml.etree import ElementTree as ET

    found: dict[str, str] = {}
    for extension in header.extensions:
        content = extension.get_content()
        raw = content if isinstance(content, bytes) else str(content).encode()
        if b"<Label" not in raw or b"<!DOCTYPE" in raw or b"<!ENTITY" in raw:
            continue
        try:
            text = raw.rstrip(b"\x00").decode("utf-8", "replace").strip()
            root = ET.fromstring(text)
        except ET.ParseError:
            continue
        found |= {
            str(e.get("Key")): (e.text or "").strip() for e in root.iter("Label") if e.get("Key") not in (None, "0")
        }
    return found


def _read_itk(path: Path) -> tuple[npt.NDArray[Any], Grid, dict[str, str]]:
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        _require_size(path)
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        why = str(error).strip().splitlines()[-1]
        msg = f"{path}: cannot be read ({why}). Write the file again."
        raise InputError(msg) from error
    texts = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    if image.GetDimension() != 3:
        msg = f"{path}: three dimensions are needed, found {image.GetDimension()}."
        raise InputError(msg)
    space = texts.get("NRRD_space", "")
    if path.name.casefold().endswith((".nrrd", ".nhdr")) and space not in _PATIENT_SPACES:
        found = f"'space' is {space}" if space else "there is no 'space'"
        msg = f"{path}: in the NRRD header {found}, so left and right are not certain. Write it as left-posterior-superior."
        raise InputError(msg)
    values = sitk.GetArrayFromImage(image)
    directions = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine = np.eye(4)
    affine[:3, :3] = directions[:, ::-1]
    affine[:3, 3] = image.GetOrigin()
    lattice = _grid(values.shape[:3], affine, path)
    if values.ndim == 3:
        turned, grid = towards_lps(values, lattice)
        return turned, grid, texts
    layers = [towards_lps(values[..., n], lattice) for n in range(values.shape[-1])]
    return np.stack([v for v, _ in layers], axis=-1), layers[0][1], texts


#: Bytes that a compressed byte can stand for, at most (DEFLATE).
_DEFLATE = 1032


def _require_size(path: Path) -> None:
    """Refuse an NRRD or MetaImage file that holds less than its header says; ITK fills up with what was in memory."""
    import SimpleITK as sitk

    header = sitk.ImageFileReader()
    header.SetFileName(str(path))
    header.ReadImageInformation()
    item = sitk.Image([1, 1], header.GetPixelID(), header.GetNumberOfComponents())
    wanted = math.prod(header.GetSize()) * item.GetSizeOfPixelComponent() * header.GetNumberOfComponents()
    start = path.read_bytes()[: 1 << 16]
    mark = re.search(rb"ElementDataFile\s*=\s*(\S+)[^\n]*\n|\n\r?\n", start, re.IGNORECASE)
    where = re.search(rb"(?:ElementDataFile\s*=|data ?file\s*:)\s*([^\r\n]+)", start, re.IGNORECASE)
    name = where.group(1).strip().decode("utf-8", "replace") if where else "LOCAL"
    beside = path.parent / name
    if name.upper() == "LOCAL" and mark:
        there = path.stat().st_size - mark.end()
    elif beside.is_file():
        there = beside.stat().st_size
    else:
        return  # a list of files, which ITK checks one by one
    packed = re.search(rb"CompressedData\s*=\s*True|encoding\s*:\s*(gz|bz)", start, re.IGNORECASE)
    text = re.search(rb"encoding\s*:\s*(text|txt|ascii|hex)|BinaryData\s*=\s*False", start, re.IGNORECASE)
    if not text and there * (_DEFLATE if packed else 1) < wanted:
        msg = f"{path}: cannot be read: its header wants {wanted} bytes of values, {there} are there. Copy or write the file again."
        raise InputError(msg)


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

    if not path.name.casefold().endswith(_NIFTI):
        msg = f"{path}: a NIfTI file is named .nii or .nii.gz."
        raise InputError(msg)
    affine = _LPS @ grid.affine_lps_mm @ _REVERSED
    image = nib.Nifti1Image(np.ascontiguousarray(values.transpose(2, 1, 0)), affine)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = description.encode("ascii", "replace")[:79]
    image.set_sform(affine, 1)
    if grid.is_right_angled:
        image.set_qform(affine, 1)
    nib.save(image, path)
