"""RTDOSE out and in, with the DVHs of a structure set."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from voxeldose.errors import GeometryError, InputError, QuantityError
from voxeldose.io.damage import refusing_damage
from voxeldose.io.dicom.codes import RTDOSE, RTPLAN, RTSTRUCT
from voxeldose.io.dicom.files import read_header
from voxeldose.io.dicom.header import count, numbers, stated_number, text
from voxeldose.io.dicom.new_object import any_study_reference, save_object
from voxeldose.io.dicom.pixels import stored_pixels
from voxeldose.io.dicom.planes import image_axes, pixel_spacing, vector
from voxeldose.model.grid import Grid, towards_lps
from voxeldose.model.volume import DoseMap

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    from pydicom.dataset import Dataset

    from voxeldose.io.dicom.new_object import StudyReference
    from voxeldose.io.dicom.rtstruct import StructureSet
    from voxeldose.model.arrays import Doubles, Floats
    from voxeldose.model.dvh import Dvh

__all__ = [
    "DISPLAY_COMMENT",
    "StructureDvhs",
    "read_rtdose",
    "write_display_dose",
    "write_recovered_dose",
    "write_rtdose",
]

#: Dose Comment of a dose that only viewers should use (LO: at most 64 characters).
#: Of a recovered map, which no one should measure a DVH in.
RECOVERED_COMMENT = "Resolution recovered, mean map; own DVH narrower than reported"
RECOVERED_WORDS = (
    "Absorbed dose after resolution recovery, mean over all draws on fine voxels. Its own DVH is narrower than the one reported, "
    "which is the mean of the DVHs of the draws: read D95, D70 and coverages from the report, not from this map."
)
DISPLAY_COMMENT = "Interpolated for display; its own DVH is not the one reported"
#: Points of a curve in the file: Decimal Strings, so a few hundred per region.
_POINTS = 300


def write_rtdose(
    dose: DoseMap,
    path: str | Path,
    *,
    reference: str | Path | StudyReference,
    bits: int = 16,
    dvhs: StructureDvhs | None = None,
    effective: str | None = None,
    plan_uid: str | None = None,
) -> None:
    """Write a dose map as RTDOSE, in the patient, study and frame of reference of an image series.

    The dose is in Gy, to total decay. Values below zero (noise) are stored as zero, since RTDOSE is unsigned.

    Dose Summation Type is PLAN where the dose belongs to a plan that exists. Without one it is PLAN_OVERVIEW, the one type
    that refers to no plan (PS3.3 C.8.8.3), with an overview that leaves unknown what there is not. dciodvfy of 2022 warns
    of that term and its attributes, which are younger, and finds no error; PLAN without the reference is one (Type 1C).

    Parameters
    ----------
    dose : DoseMap
        On a grid with perpendicular axes; oblique is right.
    path : path
        File to write.
    reference : path or StudyReference
        Folder or file of the series whose patient, study and frame of reference the dose takes, or that series as read.
    bits : int
        16 or 32 bits per voxel. Rounding is at most half of maximum/(2^bits - 2): 0.004 Gy at 16 bits for a maximum of
        500 Gy. RTDOSE allows 32 (PS3.3 C.8.8.3.4.3), but some readers and validators stop at it: dciodvfy ends with a
        failed assertion on any Pixel Data of 32 bits, however encoded.
    dvhs : StructureDvhs, optional
        DVHs of regions that came from a structure set, and that structure set.
    effective : str, optional
        What makes the dose biologically effective, such as the parameter set of a BED; Dose Type is then EFFECTIVE.
    plan_uid : str, optional
        SOP Instance UID of the RTPLAN that the dose belongs to, as :func:`voxeldose.io.dicom.rtplan.write_rtplan` returns it.

    Raises
    ------
    GeometryError
        If the grid is sheared, or lies in another frame of reference than the reference.
    QuantityError
        If ``bits`` is neither 16 nor 32.
    """
    study = any_study_reference(reference)
    new = _dose_object(dose, study, bits, _Texts(effective, 2, effective) if effective else _ABSORBED)
    new.DoseType = "EFFECTIVE" if effective else "PHYSICAL"
    new.update(_plan(plan_uid, study))
    if dvhs is not None:
        new.update(_dvh_sequence(dvhs, new.DoseType))
    save_object(new, path)


def write_display_dose(
    dose: DoseMap,
    path: str | Path,
    *,
    reference: str | Path | StudyReference,
    bits: int = 16,
    plan_uid: str | None = None,
) -> None:
    """Write an absorbed dose that was interpolated for display, and say so in the file; without DVHs.

    Parameters are those of :func:`write_rtdose`, as is what it raises.
    """
    study = any_study_reference(reference)
    new = _dose_object(dose, study, bits, _Texts("dose for display", 3, DISPLAY_COMMENT))
    new.DoseType = "PHYSICAL"
    new.update(_plan(plan_uid, study))
    save_object(new, path)


def write_recovered_dose(
    dose: DoseMap,
    path: str | Path,
    *,
    reference: str | Path | StudyReference,
    bits: int = 16,
    plan_uid: str | None = None,
) -> None:
    """Write a recovered dose map on its own voxels as a series of its own, with what its DVH is not; without DVHs.

    Parameters are those of :func:`write_rtdose`, as is what it raises.
    """
    study = any_study_reference(reference)
    new = _dose_object(dose, study, bits, _Texts("recovered absorbed dose", 4, RECOVERED_COMMENT))
    new.DoseType = "PHYSICAL"
    new.DerivationDescription = RECOVERED_WORDS
    new.update(_plan(plan_uid, study))
    save_object(new, path)


class _Texts(NamedTuple):
    """What the series is called, its number after the first of its kind, and what the dose says of itself."""

    content: str
    number: int
    comment: str


_ABSORBED = _Texts("absorbed dose", 1, "Absorbed dose to total decay, voxel means")


def _dose_object(dose: DoseMap, study: StudyReference, bits: int, texts: _Texts) -> Dataset:
    """Patient, study, place and voxels of a dose in Gy."""
    if bits not in (16, 32):
        msg = f"RTDOSE holds 16 or 32 bits per voxel, found {bits}."
        raise QuantityError(msg, code="value-out-of-range", bits=bits)
    dose.require_finite()
    values, grid = _right_handed(dose)
    frame = study.frame_uid_for(grid)
    stored, scaling = _scaled(values, bits)
    new = study.build_object(RTDOSE, "RTDOSE", texts.content, texts.number)
    if "PositionReferenceIndicator" not in new:
        new.PositionReferenceIndicator = ""
    new.FrameOfReferenceUID = frame
    new.ContentDate, new.ContentTime = new.InstanceCreationDate, new.InstanceCreationTime
    new.update(_geometry(grid))
    new.DoseUnits = "GY"
    new.DoseComment = texts.comment[:64]
    new.DoseGridScaling = scaling
    new.update(_pixels(stored, bits))
    return new


def _plan(uid: str | None, study: StudyReference) -> Dataset:
    """The plan that the dose belongs to, or an overview in place of one that does not exist."""
    from pydicom.dataset import Dataset

    new, plan = Dataset(), Dataset()
    if uid is not None:
        new.DoseSummationType = "PLAN"
        plan.ReferencedSOPClassUID, plan.ReferencedSOPInstanceUID = RTPLAN, uid
        new.ReferencedRTPlanSequence = [plan]
        return new
    new.DoseSummationType = "PLAN_OVERVIEW"
    plan.PlanOverviewIndex = plan.NumberOfFractionsIncluded = 1
    plan.RTPlanLabel = plan.TreatmentSite = ""
    plan.TreatmentSiteCodeSequence, plan.PrescriptionOverviewSequence = [], []
    plan.ReferencedImageSequence = []
    for instance in study.instances:
        image = Dataset()
        image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = instance
        plan.ReferencedImageSequence.append(image)
    new.PlanOverviewSequence = [plan]
    return new


def _geometry(grid: Grid) -> Dataset:
    """Place, orientation and spacing of the frames."""
    from pydicom.dataset import Dataset
    from pydicom.tag import Tag

    new = Dataset()
    row, column = grid.directions[:, 2], grid.directions[:, 1]
    new.ImageOrientationPatient = [_coordinate(v) for v in (*row, *column)]
    new.ImagePositionPatient = [_coordinate(v) for v in grid.points_lps_mm((0, 0, 0))]
    new.PixelSpacing = [_decimal(grid.spacing_mm[1]), _decimal(grid.spacing_mm[2])]
    new.SliceThickness = _decimal(grid.spacing_mm[0])
    new.NumberOfFrames, new.Rows, new.Columns = grid.shape
    new.FrameIncrementPointer = Tag("GridFrameOffsetVector")
    new.GridFrameOffsetVector = [_decimal(n * grid.spacing_mm[0]) for n in range(grid.shape[0])]
    return new


def _pixels(stored: npt.NDArray[np.unsignedinteger], bits: int) -> Dataset:
    """Frames of integers and how they are stored."""
    from pydicom.dataset import Dataset

    new = Dataset()
    new.SamplesPerPixel = 1
    new.PhotometricInterpretation = "MONOCHROME2"
    new.BitsAllocated = new.BitsStored = bits
    new.HighBit = bits - 1
    new.PixelRepresentation = 0
    new.PixelData = stored.tobytes()
    new["PixelData"].VR = "OW"
    return new


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
    if header is None or text(header, "SOPClassUID") != RTDOSE:
        msg = f"{path}: not an RTDOSE file."
        raise InputError(msg, code="format-unknown")
    if header.get("DoseUnits") != "GY":
        msg = f"{path}: Dose Units (3004,0002) is {header.get('DoseUnits')}, not GY; relative dose cannot be used."
        raise InputError(msg, code="units-not-gray")
    if header.get("DoseType", "PHYSICAL") != "PHYSICAL":
        msg = f"{path}: Dose Type (3004,0004) is {header.get('DoseType')}, not PHYSICAL; it is no absorbed dose."
        raise InputError(msg, code="dose-not-physical")
    scaling = stated_number(header, "DoseGridScaling", str(path))
    if scaling is None:
        msg = f"{path}: Dose Grid Scaling (3004,000E) is missing, so stored values have no unit."
        raise InputError(msg, code="rescale-missing")
    if scaling <= 0:
        msg = f"{path}: Dose Grid Scaling (3004,000E) must be above 0, found {scaling:g}. Export the dose again."
        raise InputError(msg, code="rescale-invalid", slope=scaling)
    where = str(path)
    offsets = np.array(numbers(header, "GridFrameOffsetVector") or [0.0])
    gaps = np.diff(offsets)
    frames = count(header, "NumberOfFrames", 1)
    if gaps.size == 0 or np.abs(gaps - gaps[0]).max() > 0.01 or abs(gaps[0]) < 1e-3 or offsets.size != frames:
        msg = f"{path}: Grid Frame Offset Vector (3004,000C) must hold an even step for each of {frames} frames, two or more."
        raise InputError(msg, code="frames-uneven")
    row, column = image_axes(header, where)
    spacing = pixel_spacing(header, where)
    affine = np.eye(4)
    affine[:3, 0] = np.cross(row, column) * gaps[0]
    affine[:3, 1] = column * spacing[0]
    affine[:3, 2] = row * spacing[1]
    affine[:3, 3] = vector(header, "ImagePositionPatient", 3, where)
    gy = (stored_pixels(path, header) * scaling).astype(np.float32)
    frame = header.get("FrameOfReferenceUID")
    turned, grid = towards_lps(gy, Grid((gy.shape[0], gy.shape[1], gy.shape[2]), affine, str(frame) if frame else None))
    return DoseMap(turned, grid, method=str(header.get("DoseComment", "") or "RTDOSE"))


def _right_handed(dose: DoseMap) -> tuple[Floats, Grid]:
    """Dose and grid with frames stacked along row x column, as rising offsets need."""
    grid = dose.grid
    if not grid.is_right_angled:
        msg = "RTDOSE needs perpendicular axes; this grid is sheared. Resample the dose first."
        raise GeometryError(msg, code="grid-sheared")
    values = np.maximum(dose.gy, 0)
    normal = np.cross(grid.directions[:, 2], grid.directions[:, 1])
    if normal @ grid.directions[:, 0] > 0:
        return values, grid
    affine = grid.affine_lps_mm.copy()
    affine[:3, 3] += affine[:3, 0] * (grid.shape[0] - 1)
    affine[:3, 0] *= -1
    return values[::-1], Grid(grid.shape, affine, grid.frame_uid)


def _scaled(gy: Floats, bits: int) -> tuple[npt.NDArray[np.unsignedinteger], str]:
    """Integers and the scaling that turns them back, rounded up to the 16 characters that a DS may have."""
    highest = float(gy.max())
    step = highest / (2**bits - 2) if highest > 0 else 1.0
    scaling = _decimal(step * (1 + 1e-9))
    while highest / float(scaling) > 2**bits - 1:
        scaling = _decimal(float(scaling) * (1 + 1e-8))
    stored = np.empty(gy.shape, np.uint32 if bits == 32 else np.uint16)
    for k, frame in enumerate(gy):  # in double precision, but not of the whole grid at once
        stored[k] = np.rint(frame.astype(np.float64) / float(scaling))
    return stored, scaling


def _coordinate(value: float) -> str:
    """A decimal string, with what is left of rounding around zero written as zero."""
    return "0" if abs(value) < 1e-12 else _decimal(value)


def _decimal(value: float) -> str:
    """A DICOM decimal string: as many digits as 16 characters hold."""
    if not math.isfinite(value):
        msg = f"{value} cannot be written to DICOM."
        raise QuantityError(msg, code="value-not-finite")
    for digits in range(15, 5, -1):
        decimal = f"{value:.{digits}g}"
        if len(decimal) <= 16:
            return decimal
    return f"{value:.6g}"


@dataclass(frozen=True, eq=False)
class StructureDvhs:
    """DVHs of regions that came from a structure set; a region that it does not hold gets none."""

    structure_set: StructureSet
    dvhs: Mapping[str, Dvh]


def _dvh_sequence(dvhs: StructureDvhs, dose_type: str) -> Dataset:
    """Referenced Structure Set and DVH Sequence (PS3.3 C.8.8.4) of an RTDOSE; nothing where no region has a DVH.

    Each pair of DVH Data is the width of a bin in Gy and the volume in cm3 that receives at least the dose at the bin's
    *lower* edge; the first bin begins at 0 Gy.
    """
    from pydicom.dataset import Dataset

    rows, new = [], Dataset()
    for name, dvh in dvhs.dvhs.items():
        number = dvhs.structure_set.numbers.get(name)
        if number is not None and math.isfinite(dvh.mean_gy):  # not finite: a dose that is not known
            rows.append(_row(dvh, number, dose_type))
    if rows:
        structure_set = Dataset()
        structure_set.ReferencedSOPClassUID = RTSTRUCT
        structure_set.ReferencedSOPInstanceUID = dvhs.structure_set.uid
        new.ReferencedStructureSetSequence, new.DVHSequence = [structure_set], rows
    return new


def _row(dvh: Dvh, number: int, dose_type: str) -> Dataset:
    from pydicom.dataset import Dataset

    lowest, highest = dvh.range_gy
    step = max(highest, 1e-6) / _POINTS
    doses, volumes = dvh.curve(step)
    region = Dataset()
    region.ReferencedROINumber, region.DVHROIContributionType = number, "INCLUDED"
    row = Dataset()
    row.DVHReferencedROISequence = [region]
    row.DVHType, row.DoseUnits, row.DoseType = "CUMULATIVE", "GY", dose_type
    row.DVHDoseScaling, row.DVHVolumeUnits = "1", "CM3"
    row.DVHNumberOfBins = len(doses)
    row.DVHData = _pairs(step, volumes)
    row.DVHMinimumDose, row.DVHMaximumDose, row.DVHMeanDose = (
        f"{v:.9g}" for v in (max(lowest, 0.0), highest, dvh.mean_gy)
    )
    return row


def _pairs(step: float, volumes: Doubles) -> list[str]:
    width = f"{step:.9g}"
    return [value for volume in volumes for value in (width, f"{float(volume):.9g}")]
