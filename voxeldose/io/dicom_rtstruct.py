"""RTSTRUCT out: regions as closed planar contours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxeldose.errors import QuantityError
from voxeldose.geometry.contours import contours_of
from voxeldose.io.dicom_header import frame_of, save_object, series_ref, study_object

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

    from voxeldose.io.dicom_header import SeriesRef
    from voxeldose.model.roi import Roi, RoiSet

__all__ = ["write_rtstruct"]

_RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
_STUDY = "1.2.840.10008.3.1.2.3.1"

#: Interpreted types of PS3.3 C.8.8.8.1 by role; ORGAN for the rest.
_TYPES = {"tumor": "GTV", "perfused": "TREATED_VOLUME"}


def write_rtstruct(rois: RoiSet, path: str | Path, *, reference: str | Path | SeriesRef) -> None:
    """Write regions as an RTSTRUCT: contours in the planes of each region's own grid.

    Contours follow occupancy 0.5, linear between voxel centres: corners of voxels are cut, half a voxel a contour in all.
    Holes are contours of their own (even-odd rule). A plane that a region fills by less than half has no contour.

    Parameters
    ----------
    rois : RoiSet
        On any grids in the frame of reference of the series.
    path : path
        File to write.
    reference : path
        Folder of the series whose patient, study and frame of reference the structure set takes.

    Raises
    ------
    GeometryError
        If a region lies in another frame of reference.
    QuantityError
        If a region has no contour at all.
    """
    from pydicom.dataset import Dataset

    series = series_ref(reference).series()
    source = series.first
    made = study_object(source, _RTSTRUCT, "RTSTRUCT", "voxeldose regions")
    frame = frame_of(rois.rois[0].grid, source)
    made.FrameOfReferenceUID = frame
    if "PositionReferenceIndicator" not in made:
        made.PositionReferenceIndicator = ""
    made.StructureSetLabel, made.StructureSetName = "voxeldose", "voxeldose regions"
    made.StructureSetDate, made.StructureSetTime = made.InstanceCreationDate, made.InstanceCreationTime
    images = []
    for header in series.headers:
        image = Dataset()
        image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
        images.append(image)
    in_series, in_study, in_frame = Dataset(), Dataset(), Dataset()
    in_series.SeriesInstanceUID, in_series.ContourImageSequence = source.SeriesInstanceUID, images
    in_study.ReferencedSOPClassUID, in_study.ReferencedSOPInstanceUID = _STUDY, source.StudyInstanceUID
    in_study.RTReferencedSeriesSequence = [in_series]
    in_frame.FrameOfReferenceUID, in_frame.RTReferencedStudySequence = frame, [in_study]
    made.ReferencedFrameOfReferenceSequence = [in_frame]
    made.StructureSetROISequence, made.ROIContourSequence, made.RTROIObservationsSequence = [], [], []
    for number, roi in enumerate(rois, 1):
        frame_of(roi.grid, source)
        _add(made, number, roi, frame)
    save_object(made, path)


def _add(made: Dataset, number: int, roi: Roi, frame: str) -> None:
    from pydicom.dataset import Dataset

    loops = contours_of(roi)
    if not loops:
        msg = f"ROI {roi.name!r} fills no voxel by half, so it has no contour; leave it out of the RTSTRUCT."
        raise QuantityError(msg)
    item, drawn, seen = Dataset(), Dataset(), Dataset()
    item.ROINumber, item.ReferencedFrameOfReferenceUID = number, frame
    item.ROIName, item.ROIGenerationAlgorithm = roi.name[:64], ""
    drawn.ReferencedROINumber, drawn.ContourSequence = number, []
    for points in loops:
        loop = Dataset()
        loop.ContourGeometricType, loop.NumberOfContourPoints = "CLOSED_PLANAR", len(points)
        loop.ContourData = [f"{v:.4f}" for v in points.ravel() + 0.0]
        drawn.ContourSequence.append(loop)
    seen.ObservationNumber = seen.ReferencedROINumber = number
    seen.RTROIInterpretedType, seen.ROIInterpreter = _TYPES.get(roi.role, "ORGAN"), ""
    made.StructureSetROISequence.append(item)
    made.ROIContourSequence.append(drawn)
    made.RTROIObservationsSequence.append(seen)
