"""RTSTRUCT out: regions as closed planar contours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxeldose.errors import QuantityError
from voxeldose.geometry.contours import contours_of, has_holes, outlines_of
from voxeldose.io.dicom.codes import RTSTRUCT
from voxeldose.io.dicom.files import find_series
from voxeldose.io.dicom.header import items, text, whole_number
from voxeldose.io.dicom.new_object import save_object, study_reference
from voxeldose.io.dicom.texts import description_of, labels_for, name_in
from voxeldose.io.found_regions import label_key

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydicom.dataset import Dataset

    from voxeldose.io.dicom.files import Scan
    from voxeldose.io.dicom.new_object import StudyReference
    from voxeldose.model.roi import Roi, RoiSet

__all__ = ["StructureSet", "structure_set_of", "write_rtstruct"]

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
    A plane that a region fills by less than half has no contour. Each contour states how thick its slice is (Contour Slab
    Thickness), so that a region on one slice, or on slices far apart, keeps its volume. Planning systems keep contours only
    in the planes of the images that they lie on, so regions should lie on the voxels of the reference.

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
    labels = labels_for(rois.names())
    new.StructureSetROISequence = [
        _structure(number, roi, label, frame) for number, (roi, label) in enumerate(zip(rois, labels, strict=True), 1)
    ]
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


def _structure(number: int, roi: Roi, label: str, frame: str) -> Dataset:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.ROINumber, item.ReferencedFrameOfReferenceUID = number, frame
    item.ROIName, item.ROIGenerationAlgorithm = label, ""
    if label != roi.name:
        item.ROIDescription = description_of(roi.role, roi.name, label)
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
        loop.ContourSlabThickness = f"{roi.grid.spacing_mm[0]:.9g}"
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
    given_names = {label_key(key): given for key, given in (labels or {}).items()}
    for item in items(headers[0], "StructureSetROISequence"):
        roi_number = whole_number(item, "ROINumber")
        own = name_in(item, "ROIName", "ROIDescription") or str(roi_number)
        if labels is None:
            roi_numbers[own] = roi_number
            continue
        given = given_names.get(label_key(own)) or given_names.get(str(roi_number))
        if given:
            roi_numbers[given[0]] = roi_number
    return StructureSet(text(headers[0], "SOPInstanceUID"), roi_numbers)
