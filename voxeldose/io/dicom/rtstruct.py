"""RTSTRUCT out: regions as closed planar contours."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from voxeldose.errors import GeometryError, InputError, QuantityError
from voxeldose.geometry.contours import contours_of, from_contours
from voxeldose.io.damage import refusing_damage
from voxeldose.io.dicom.codes import codes_in
from voxeldose.io.dicom.files import read_header
from voxeldose.io.dicom.header import whole_number
from voxeldose.io.dicom.new_object import frame_of, save_object, series_ref, study_object
from voxeldose.model.roi import Roi
from voxeldose.model.roles import RoiCode

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

    from voxeldose.io.dicom.new_object import SeriesRef
    from voxeldose.model.roi import RoiSet

__all__ = ["StructureFound", "find_structures", "write_rtstruct"]

#: Contours that enclose area (PS3.3 C.8.8.6.3); all of a plane count together by the even-odd rule.
_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")

_OPEN = ("POINT", "OPEN_PLANAR", "OPEN_NONPLANAR")


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
    names = {whole_number(r, "ROINumber"): r for r in header.get("StructureSetROISequence") or []}
    codes = _codes(header)
    drawn: dict[int, list[npt.NDArray[np.float64]]] = {}
    for roi in header.get("ROIContourSequence") or []:
        loops = [loop for c in roi.get("ContourSequence") or [] if (loop := _closed_loop(c, roi, path)) is not None]
        if loops:
            drawn.setdefault(whole_number(roi, "ReferencedROINumber"), []).extend(loops)
    thickness = _usual_distance(list(drawn.values()))
    found = []
    for number, loops in drawn.items():
        item = names.get(number)
        name = str(item.get("ROIName", "") or number) if item is not None else str(number)
        frame = str(item.get("ReferencedFrameOfReferenceUID", "") or "") if item is not None else ""
        try:
            occupancy, grid, remarks = from_contours(loops, thickness_mm=thickness, frame_uid=frame or None)
        except GeometryError as error:
            msg = f"{path}: ROI {name}: {error} Correct it in the contouring system, or leave it out of the export."
            raise InputError(msg) from error
        said = tuple(f"ROI {name}: {n}." for n in remarks)
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
