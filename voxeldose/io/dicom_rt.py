"""RTDOSE out and in, RTSTRUCT in."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from voxeldose.errors import GeometryError, InputError, QuantityError
from voxeldose.geometry.contours import from_contours
from voxeldose.io.damage import refusing_damage
from voxeldose.io.dicom_dvh import add_dvhs
from voxeldose.io.dicom_files import read_header
from voxeldose.io.dicom_header import frame_of, plan_uid, reference_header, save_object, study_object
from voxeldose.io.dicom_seg import codes_in
from voxeldose.io.dicom_series import image_axes, pixel_spacing, stored_pixels, vector
from voxeldose.model.grid import Grid, towards_lps
from voxeldose.model.roi import Roi
from voxeldose.model.roles import RoiCode
from voxeldose.model.volume import DoseMap

if TYPE_CHECKING:
    import numpy.typing as npt
    from pydicom.dataset import Dataset

    from voxeldose.io.dicom_dvh import StructureDvhs
    from voxeldose.io.dicom_header import SeriesRef

__all__ = ["StructureFound", "find_structures", "read_rtdose", "write_rtdose"]

_RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
_RTDOSE = "1.2.840.10008.5.1.4.1.1.481.2"
#: Contours that enclose area (PS3.3 C.8.8.6.3); all of a plane count together by the even-odd rule.
_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
_OPEN = ("POINT", "OPEN_PLANAR", "OPEN_NONPLANAR")
_RTPLAN = "1.2.840.10008.5.1.4.1.1.481.5"


def write_rtdose(
    dose: DoseMap,
    path: str | Path,
    *,
    reference: str | Path | SeriesRef,
    bits: int = 32,
    dvhs: StructureDvhs | None = None,
    effective: str | None = None,
) -> None:
    """Write a dose map as RTDOSE, in the patient, study and frame of reference of an image series.

    The dose is in Gy, to total decay. Values below zero (noise) are stored as zero, since RTDOSE is unsigned.

    Dose Summation Type is PLAN with a reference to a plan, which radioembolization does not have: the UID named is made
    from the study's, is the same for all doses of a study, and belongs to no file. The choices were tried: without the
    reference PLAN breaks Type 1C (an error for dciodvfy); RECORD wants a treatment record in the same way; PLAN_OVERVIEW
    (PS3.3 C.8.8.3, 2021) fits a dose without a plan, but dciodvfy does not know its terms and readers that look for PLAN
    pass it over. Planning systems write PLAN, and plastimatch does with an empty UID, which no archive can index.

    Parameters
    ----------
    dose : DoseMap
        On a grid with perpendicular axes; oblique is right.
    path : path
        File to write.
    reference : path
        Folder or file of the series whose patient, study and frame of reference the dose takes.
    bits : int
        32 or 16 bits a voxel. Rounding is at most half of maximum/(2^bits - 2).
    dvhs : StructureDvhs, optional
        DVHs of regions that came from a structure set, and that structure set.
    effective : str, optional
        What makes the dose biologically effective, such as the parameter set of a BED; Dose Type is then EFFECTIVE.

    Raises
    ------
    GeometryError
        If the grid is sheared, or lies in another frame of reference than the reference.
    QuantityError
        If ``bits`` is neither 16 nor 32.
    """
    from pydicom.dataset import Dataset
    from pydicom.tag import Tag

    if bits not in (16, 32):
        msg = f"RTDOSE holds 16 or 32 bits a voxel, found {bits}."
        raise QuantityError(msg)
    dose.require_finite()
    source = reference_header(reference)
    values, grid = _right_handed(dose)
    frame = frame_of(grid, source)
    stored, scaling = _scaled(values, bits)

    ds = study_object(source, _RTDOSE, "RTDOSE", f"voxeldose {effective or 'absorbed dose'}"[:64])
    if "PositionReferenceIndicator" not in ds:
        ds.PositionReferenceIndicator = ""
    ds.FrameOfReferenceUID = frame
    ds.ContentDate, ds.ContentTime = ds.InstanceCreationDate, ds.InstanceCreationTime
    row, column = grid.directions[:, 2], grid.directions[:, 1]
    ds.ImageOrientationPatient = [_coordinate(v) for v in (*row, *column)]
    ds.ImagePositionPatient = [_coordinate(v) for v in grid.points_lps_mm((0, 0, 0))]
    ds.PixelSpacing = [_decimal(grid.spacing_mm[1]), _decimal(grid.spacing_mm[2])]
    ds.SliceThickness = _decimal(grid.spacing_mm[0])
    ds.NumberOfFrames, ds.Rows, ds.Columns = grid.shape
    ds.FrameIncrementPointer = Tag("GridFrameOffsetVector")
    ds.GridFrameOffsetVector = [_decimal(n * grid.spacing_mm[0]) for n in range(grid.shape[0])]
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = bits
    ds.HighBit = bits - 1
    ds.PixelRepresentation = 0
    ds.DoseUnits = "GY"
    ds.DoseType = "EFFECTIVE" if effective else "PHYSICAL"
    ds.DoseSummationType = "PLAN"
    ds.DoseComment = (effective or "Absorbed dose to total decay, voxel means")[:64]
    ds.DoseGridScaling = scaling
    plan = Dataset()
    plan.ReferencedSOPClassUID, plan.ReferencedSOPInstanceUID = _RTPLAN, plan_uid(source)
    ds.ReferencedRTPlanSequence = [plan]
    if dvhs is not None:
        add_dvhs(ds, dvhs)
    ds.PixelData = stored.tobytes()
    ds["PixelData"].VR = "OW"
    save_object(ds, path)


@refusing_damage
def read_rtdose(path: str | Path) -> DoseMap:
    """Physical dose in Gy of an RTDOSE file.

    Raises
    ------
    InputError
        If it is no RTDOSE in Gy with a geometry.
    """
    path = Path(path)
    header = read_header(path) if path.is_file() else None
    if header is None or str(header.get("SOPClassUID", "")) != _RTDOSE:
        msg = f"{path}: not an RTDOSE file."
        raise InputError(msg)
    if header.get("DoseUnits") != "GY":
        msg = f"{path}: Dose Units (3004,0002) is {header.get('DoseUnits')}, not GY; relative dose cannot be used."
        raise InputError(msg)
    if header.get("DoseType", "PHYSICAL") != "PHYSICAL":
        msg = f"{path}: Dose Type (3004,0004) is {header.get('DoseType')}, not PHYSICAL; it is no absorbed dose."
        raise InputError(msg)
    scaling = header.get("DoseGridScaling")
    if scaling is None:
        msg = f"{path}: Dose Grid Scaling (3004,000E) is missing, so stored values have no unit."
        raise InputError(msg)
    where = str(path)
    offsets = np.array([float(v) for v in header.get("GridFrameOffsetVector") or [0.0]])
    gaps = np.diff(offsets)
    frames = int(header.get("NumberOfFrames", 1) or 1)
    if gaps.size == 0 or np.abs(gaps - gaps[0]).max() > 0.01 or abs(gaps[0]) < 1e-3 or offsets.size != frames:
        msg = f"{path}: Grid Frame Offset Vector (3004,000C) must hold an even step for each of {frames} frames, two or more."
        raise InputError(msg)
    row, column = image_axes(header, where)
    spacing = pixel_spacing(header, where)
    affine = np.eye(4)
    affine[:3, 0] = np.cross(row, column) * gaps[0]
    affine[:3, 1] = column * spacing[0]
    affine[:3, 2] = row * spacing[1]
    affine[:3, 3] = vector(header, "ImagePositionPatient", 3, where)
    gy = (stored_pixels(path) * float(scaling)).astype(np.float32)
    frame = header.get("FrameOfReferenceUID")
    turned, grid = towards_lps(gy, Grid((gy.shape[0], gy.shape[1], gy.shape[2]), affine, str(frame) if frame else None))
    return DoseMap(turned, grid, method=str(header.get("DoseComment", "") or "RTDOSE"))


class StructureFound(NamedTuple):
    """One drawn region of an RTSTRUCT, on a grid of its own."""

    number: int
    name: str
    region: Roi


@refusing_damage
def find_structures(path: Path) -> tuple[list[StructureFound], list[str]]:
    """Every region of a structure set that has closed contours, and the names of those without.

    Contours are used where they lie, with no image: see :func:`voxeldose.geometry.contours.from_contours`.

    Raises
    ------
    InputError
        If it is no RTSTRUCT, has no contours, or a region's contours are not planar and parallel.
    """
    header = read_header(path)
    if header is None or str(header.get("SOPClassUID", "")) != _RTSTRUCT:
        msg = f"{path}: not an RTSTRUCT file."
        raise InputError(msg)
    names = {int(r.ROINumber): r for r in header.get("StructureSetROISequence") or []}
    codes = _codes(header)
    drawn: dict[int, list[npt.NDArray[np.float64]]] = {}
    for roi in header.get("ROIContourSequence") or []:
        loops = [loop for c in roi.get("ContourSequence") or [] if (loop := _closed_loop(c, roi, path)) is not None]
        if loops:
            drawn.setdefault(int(roi.ReferencedROINumber), []).extend(loops)
    thickness = _usual_distance(list(drawn.values()))
    found = []
    for number, loops in drawn.items():
        item = names.get(number)
        name = str(item.get("ROIName", "") or number) if item is not None else str(number)
        frame = str(item.get("ReferencedFrameOfReferenceUID", "") or "") if item is not None else ""
        try:
            occupancy, grid, notes = from_contours(loops, thickness_mm=thickness, frame_uid=frame or None)
        except GeometryError as error:
            msg = f"{path}: ROI {name}: {error} Correct it in the contouring system, or leave it out of the export."
            raise InputError(msg) from error
        said = tuple(f"ROI {name}: {n}." for n in notes)
        region = Roi(name, "other", occupancy, grid, said, source_name=name, codes=codes.get(number, ()))
        found.append(StructureFound(number, name, region))
    if not found:
        msg = f"{path}: no ROI here has closed planar contours."
        raise InputError(msg)
    return found, [str(r.get("ROIName", "") or n) for n, r in names.items() if n not in drawn]


def _closed_loop(contour: Dataset, roi: Dataset, path: Path) -> npt.NDArray[np.float64] | None:
    """Points (n, 3) of a contour that encloses area; ``None`` for points and open lines, which enclose none.

    Raises
    ------
    InputError
        If its type or its points are not all there: left out in silence it would change the region.
    """
    kind = str(contour.get("ContourGeometricType", "") or "")
    stated = contour.get("NumberOfContourPoints")
    raw = contour.get("ContourData")
    if kind in _OPEN:
        return None
    try:
        points = np.array([float(v) for v in raw or ()])
        whole = points.size % 3 == 0 and points.size > 0 and (stated is None or points.size == 3 * int(stated))
    except (TypeError, ValueError):
        whole = False
    if not whole or kind not in _CLOSED or not np.isfinite(points).all():
        msg = (
            f"{path}: a contour of ROI {roi.get('ReferencedROINumber')} is broken: Contour Geometric Type (3006,0042) is "
            f"{kind or 'missing'}, Number of Contour Points (3006,0046) {stated}, and Contour Data (3006,0050) are no points "
            "that fit. Export the structure set again."
        )
        raise InputError(msg)
    return points.reshape(-1, 3) if points.size >= 9 else None


def _codes(header: Dataset) -> dict[int, tuple[RoiCode, ...]]:
    """What the RT ROI Observations say each region is: its interpreted type and its identification codes."""
    found: dict[int, tuple[RoiCode, ...]] = {}
    for item in header.get("RTROIObservationsSequence") or []:
        kind = str(item.get("RTROIInterpretedType", "") or "")
        codes = codes_in(item, "RTROIIdentificationCodeSequence")
        if kind:
            codes = (RoiCode(kind, "3006,00A4", f"RT ROI Interpreted Type {kind}"), *codes)
        number = item.get("ReferencedROINumber")
        if codes and number is not None:
            found[int(number)] = found.get(int(number), ()) + codes
    return found


def _usual_distance(rois: list[list[npt.NDArray[np.float64]]]) -> float | None:
    """The usual distance of axial planes over a whole structure set; ``None`` if no region has two."""
    gaps = [
        gap
        for loops in rois
        for gap in np.diff(np.unique(np.round([float(c[:, 2].mean()) for c in loops], 2)))
        if gap > 0.1
    ]
    return float(np.median(gaps)) if gaps else None


def _right_handed(dose: DoseMap) -> tuple[npt.NDArray[np.float64], Grid]:
    """Dose and grid with frames stacked along row x column, as rising offsets need."""
    grid = dose.grid
    if not grid.is_right_angled:
        msg = "RTDOSE needs perpendicular axes; this grid is sheared. Resample the dose first."
        raise GeometryError(msg)
    values = np.maximum(dose.gy.astype(np.float64), 0)
    normal = np.cross(grid.directions[:, 2], grid.directions[:, 1])
    if normal @ grid.directions[:, 0] > 0:
        return values, grid
    affine = grid.affine_lps_mm.copy()
    affine[:3, 3] += affine[:3, 0] * (grid.shape[0] - 1)
    affine[:3, 0] *= -1
    return values[::-1], Grid(grid.shape, affine, grid.frame_uid)


def _scaled(gy: npt.NDArray[np.float64], bits: int) -> tuple[npt.NDArray[np.unsignedinteger], str]:
    """Integers and the scaling that turns them back, rounded up to the 16 characters that a DS may have."""
    highest = float(gy.max())
    step = highest / (2**bits - 2) if highest > 0 else 1.0
    text = _decimal(step * (1 + 1e-9))
    while highest / float(text) > 2**bits - 1:
        text = _decimal(float(text) * (1 + 1e-8))
    return np.rint(gy / float(text)).astype(np.uint32 if bits == 32 else np.uint16), text


def _coordinate(value: float) -> str:
    """A decimal string, with what is left of rounding around zero written as zero."""
    return "0" if abs(value) < 1e-12 else _decimal(value)


def _decimal(value: float) -> str:
    """A DICOM decimal string: as many digits as 16 characters hold."""
    if not math.isfinite(value):
        msg = f"{value} cannot be written to DICOM."
        raise QuantityError(msg)
    for digits in range(15, 5, -1):
        text = f"{value:.{digits}g}"
        if len(text) <= 16:
            return text
    return f"{value:.6g}"
