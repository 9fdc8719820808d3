"""RTSTRUCT in and out: regions as closed planar contours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from voxeldose.errors import GeometryError, InputError, QuantityError
from voxeldose.geometry.contours import contours_of, from_contours, has_holes, outlines_of
from voxeldose.io.damage import refusing_damage
from voxeldose.io.dicom.codes import RTSTRUCT, codes_in
from voxeldose.io.dicom.files import find_series, read_header
from voxeldose.io.dicom.header import items, text, whole_number
from voxeldose.io.dicom.new_object import save_object, study_reference
from voxeldose.model.remarks import Remark
from voxeldose.model.roi import Roi
from voxeldose.model.roles import RoiCode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydicom.dataset import Dataset

    from voxeldose.io.dicom.files import Scan
    from voxeldose.io.dicom.new_object import StudyReference
    from voxeldose.model.arrays import Doubles
    from voxeldose.model.roi import RoiSet

__all__ = ["Structure", "StructureFile", "StructureSet", "read_structures", "structure_set_of", "write_rtstruct"]

#: Contours that enclose area (PS3.3 C.8.8.6.3); all of a plane count together by the even-odd rule.
_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")

_OPEN = ("POINT", "OPEN_PLANAR", "OPEN_NONPLANAR")
#: The most bytes that a Decimal String may have where value representations are explicit: its length has 16 bits.
_LONGEST = 65534
_STUDY = "1.2.840.10008.3.1.2.3.1"

#: Interpreted types of PS3.3 C.8.8.8.1 by role; ORGAN for the rest.
_TYPES = {"tumor": "GTV", "perfused": "TREATED_VOLUME"}


@dataclass(frozen=True)
class StructureSet:
    """A structure set on disk: its SOP Instance UID, and the ROI Number of each region by the name used here."""

    uid: str
    numbers: Mapping[str, int]


def write_rtstruct(
    rois: RoiSet, path: str | Path, *, reference: str | Path | StudyReference, xor: bool = False
) -> StructureSet:
    """Write regions as an RTSTRUCT: contours in the planes of each region's own grid.

    Contours follow occupancy 0.5, linear between voxel centres: corners of voxels are cut, half a voxel per contour in all.
    A plane that a region fills by less than half has no contour. Planning systems keep contours only in the planes of the
    images that they lie on, so regions should lie on the voxels of the reference.

    Holes are keyholes: the outline of a piece passes through a channel of no width to each hole. Readers that unite the
    contours of a plane then find the right area, which they do not where holes are contours of their own.

    Parameters
    ----------
    rois : RoiSet
        On any grids in the frame of reference of the series.
    path : path
        File to write.
    reference : path or StudyReference
        Folder of the series whose patient, study and frame of reference the structure set takes, or that series as read.
    xor : bool
        Write holes as contours of their own, and every contour of such a region as CLOSEDPLANAR_XOR (PS3.3 C.8.8.6.3).
        The term is young: plastimatch 1.9.4 passes such contours over, and dciodvfy of 2022 calls it an error.

    Returns
    -------
    StructureSet
        What a dose that cites the regions needs.

    Raises
    ------
    GeometryError
        If a region lies in another frame of reference.
    QuantityError
        If a region has no contour at all.
    """
    from pydicom.dataset import Dataset

    study = study_reference(reference)
    new = study.build_object(RTSTRUCT, "RTSTRUCT", "regions", 4)
    frame = study.frame_uid_for(rois.rois[0].grid)
    new.FrameOfReferenceUID = frame
    if "PositionReferenceIndicator" not in new:
        new.PositionReferenceIndicator = ""
    new.StructureSetLabel, new.StructureSetName = "voxeldose", "voxeldose regions"
    new.StructureSetDate, new.StructureSetTime = new.InstanceCreationDate, new.InstanceCreationTime
    in_frame = Dataset()
    in_frame.FrameOfReferenceUID, in_frame.RTReferencedStudySequence = (
        frame,
        [_cited_study(study, str(new.StudyInstanceUID))],
    )
    new.ReferencedFrameOfReferenceSequence = [in_frame]
    for roi in rois:
        study.frame_uid_for(roi.grid)  # refused where it is another
    new.StructureSetROISequence = [_structure(number, roi, frame) for number, roi in enumerate(rois, 1)]
    new.ROIContourSequence = [_contours(number, roi, xor=xor) for number, roi in enumerate(rois, 1)]
    new.RTROIObservationsSequence = [_observation(number, roi) for number, roi in enumerate(rois, 1)]
    loops = [loop for drawn in new.ROIContourSequence for loop in drawn.ContourSequence]
    longest = max(sum(len(str(v)) + 1 for v in loop.ContourData) for loop in loops)
    save_object(new, path, implicit=longest > _LONGEST)
    return StructureSet(str(new.SOPInstanceUID), {roi.name: number for number, roi in enumerate(rois, 1)})


def _cited_study(study: StudyReference, study_uid: str) -> Dataset:
    """The study and series on which the contours lie, with every image."""
    from pydicom.dataset import Dataset

    images = []
    for instance in study.instances:
        image = Dataset()
        image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = instance
        images.append(image)
    in_series, in_study = Dataset(), Dataset()
    in_series.SeriesInstanceUID, in_series.ContourImageSequence = study.series_uid, images
    in_study.ReferencedSOPClassUID, in_study.ReferencedSOPInstanceUID = _STUDY, study_uid
    in_study.RTReferencedSeriesSequence = [in_series]
    return in_study


def _structure(number: int, roi: Roi, frame: str) -> Dataset:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.ROINumber, item.ReferencedFrameOfReferenceUID = number, frame
    item.ROIName, item.ROIGenerationAlgorithm = roi.name[:64], ""
    return item


def _contours(number: int, roi: Roi, *, xor: bool) -> Dataset:
    from pydicom.dataset import Dataset

    exclusive = xor and has_holes(roi)
    loops = outlines_of(roi) if exclusive else contours_of(roi)
    if not loops:
        msg = f"ROI {roi.name!r} fills no voxel by half, so it has no contour; leave it out of the RTSTRUCT."
        raise QuantityError(msg, code="roi-empty", roi=roi.name)
    drawn = Dataset()
    drawn.ReferencedROINumber, drawn.ContourSequence = number, []
    for points in loops:
        loop = Dataset()
        loop.ContourGeometricType = "CLOSEDPLANAR_XOR" if exclusive else "CLOSED_PLANAR"
        loop.NumberOfContourPoints = len(points)
        loop.ContourData = [f"{v:.4f}" for v in points.ravel() + 0.0]
        drawn.ContourSequence.append(loop)
    return drawn


def _observation(number: int, roi: Roi) -> Dataset:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.ObservationNumber = item.ReferencedROINumber = number
    item.RTROIInterpretedType, item.ROIInterpreter = _TYPES.get(roi.role, "ORGAN"), ""
    return item


class Structure(NamedTuple):
    """One drawn region of an RTSTRUCT, on a grid of its own."""

    number: int
    name: str
    region: Roi


class StructureFile(NamedTuple):
    """Every region of a structure set that has closed contours, and the names of those without."""

    structures: list[Structure]
    without_contours: list[str]


@refusing_damage
def read_structures(path: Path, *, header: Dataset | None = None, pixel_mm: float | None = None) -> StructureFile:
    """The regions of a structure set.

    Contours are used where they lie, with no image: see :func:`voxeldose.geometry.contours.from_contours`.

    Parameters
    ----------
    path : Path
        The file.
    header : Dataset, optional
        Its content, where it has been read.
    pixel_mm : float, optional
        Of the raster, as in :func:`voxeldose.geometry.contours.from_contours`.

    Raises
    ------
    InputError
        If it is no RTSTRUCT, has no contours, or a region's contours are not planar and parallel.
    QuantityError
        If ``pixel_mm`` cannot be used.
    """
    header = read_header(path) if header is None else header
    if header is None or text(header, "SOPClassUID") != RTSTRUCT:
        msg = f"{path}: not an RTSTRUCT file."
        raise InputError(msg, code="format-unknown")
    described = {whole_number(r, "ROINumber"): r for r in items(header, "StructureSetROISequence")}
    codes = _codes(header)
    drawn: dict[int, list[Doubles]] = {}
    for roi in items(header, "ROIContourSequence"):
        loops = [loop for c in items(roi, "ContourSequence") if (loop := _closed_loop(c, roi, path)) is not None]
        if loops:
            drawn.setdefault(whole_number(roi, "ReferencedROINumber"), []).extend(loops)
    thickness = _usual_distance(list(drawn.values()))
    structures = []
    for number, loops in drawn.items():
        item = described.get(number)
        name = (text(item, "ROIName") if item is not None else "") or str(number)
        frame = text(item, "ReferencedFrameOfReferenceUID") if item is not None else ""
        try:
            raster = from_contours(loops, thickness_mm=thickness, frame_uid=frame or None, pixel_mm=pixel_mm)
        except GeometryError as error:
            msg = f"{path}: ROI {name}: {error} Correct it in the contouring system, or leave it out of the export."
            raise InputError(msg, code=error.code, roi=name) from error
        remarks = tuple(
            Remark(r.code, {"roi": name, **r.numbers}, f"ROI {name}: {r.sentence}.") for r in raster.remarks
        )
        region = Roi(
            name, "other", raster.occupancy, raster.grid, remarks, source_name=name, codes=codes.get(number, ())
        )
        structures.append(Structure(number, name, region))
    if not structures:
        msg = f"{path}: no ROI here has closed planar contours."
        raise InputError(msg, code="contours-missing")
    return StructureFile(structures, [text(r, "ROIName") or str(n) for n, r in described.items() if n not in drawn])


def _closed_loop(contour: Dataset, roi: Dataset, path: Path) -> Doubles | None:
    """Points (n, 3) of a contour that encloses area; ``None`` for points and open lines, which enclose none.

    Raises
    ------
    InputError
        If its type or its points are not all there: left out in silence it would change the region.
    """
    kind = text(contour, "ContourGeometricType")
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
        raise InputError(msg, code="contours-broken", roi=str(roi.get("ReferencedROINumber")))
    return points.reshape(-1, 3) if points.size >= 9 else None


def _codes(header: Dataset) -> dict[int, tuple[RoiCode, ...]]:
    """What the RT ROI Observations say each region is: its interpreted type and its identification codes."""
    by_number: dict[int, tuple[RoiCode, ...]] = {}
    for item in items(header, "RTROIObservationsSequence"):
        kind = text(item, "RTROIInterpretedType")
        codes = codes_in(item, "RTROIIdentificationCodeSequence")
        if kind:
            codes = (RoiCode(kind, "3006,00A4", f"RT ROI Interpreted Type {kind}"), *codes)
        number = item.get("ReferencedROINumber")
        if codes and number is not None:
            by_number[int(number)] = by_number.get(int(number), ()) + codes
    return by_number


def _usual_distance(rois: list[list[Doubles]]) -> float | None:
    """The usual distance of axial planes over a whole structure set; ``None`` if no region lies in two."""
    gaps = [
        gap
        for loops in rois
        for gap in np.diff(np.unique(np.round([float(c[:, 2].mean()) for c in loops], 2)))
        if gap > 0.1
    ]
    return float(np.median(gaps)) if gaps else None


def structure_set_of(
    path: Path, labels: Mapping[str, tuple[str, str]] | None, *, scan: Scan = find_series
) -> StructureSet | None:
    """The structure set at ``path`` with the names that ``labels`` give its regions; ``None`` if it is none.

    Parameters
    ----------
    path : Path
        File, or folder with one RTSTRUCT.
    labels : mapping, optional
        ROI Number or name in the file -> (name, role), as in :func:`voxeldose.io.regions.read_rtstruct`.
    scan : callable
        Lists the series at ``path``.
    """
    if path.is_file() and path.suffix.casefold() not in ("", ".dcm", ".ima"):
        return None
    headers = [h for s in scan(path) for h in s.headers if text(h, "SOPClassUID") == RTSTRUCT]
    if len(headers) != 1:
        return None
    roi_numbers: dict[str, int] = {}
    for item in items(headers[0], "StructureSetROISequence"):
        roi_number = whole_number(item, "ROINumber")
        own = text(item, "ROIName") or str(roi_number)
        if labels is None:
            roi_numbers[own] = roi_number
            continue
        given = labels.get(own) or labels.get(str(roi_number))
        if given:
            roi_numbers[given[0]] = roi_number
    return StructureSet(text(headers[0], "SOPInstanceUID"), roi_numbers)
