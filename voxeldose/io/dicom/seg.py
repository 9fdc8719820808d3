"""DICOM SEG out: regions as segments on the frames of an image series.

The name of a region is the Segment Label; its role stands in the Segment Description as ``role=tumor``, and so does a name
that a label cannot hold.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from voxeldose import __version__
from voxeldose.errors import GeometryError, InputError, QuantityError
from voxeldose.io.damage import without_quotes
from voxeldose.io.dicom.codes import CODES_OF_ROLES
from voxeldose.io.dicom.header import count, text
from voxeldose.io.dicom.new_object import study_reference
from voxeldose.io.dicom.patient import citable_copy
from voxeldose.io.dicom.planes import image_axes
from voxeldose.io.dicom.texts import description_of, fit_character_set, labels_for

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt
    from highdicom import Volume
    from highdicom.seg import Segmentation, SegmentDescription
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

    from voxeldose.io.dicom.new_object import StudyReference
    from voxeldose.model.grid import Grid
    from voxeldose.model.roi import Roi, RoiSet

__all__ = ["write_seg"]

_CT = "1.2.840.10008.5.1.4.1.1.2"

#: A voxel belongs to a segment if at least this part of it belongs to the region.
OCCUPIED = 0.5


def write_seg(
    rois: RoiSet, path: str | Path, *, reference: str | Path | StudyReference, fractional: bool = False
) -> None:
    """Write regions as a DICOM SEG in the patient, study and frame of reference of an image series.

    Regions may overlap. Frames without any voxel of a segment are left out. How the regions were drawn is not known here;
    segments are marked MANUAL, that is as given by the user.

    BINARY (the default) lies on the voxels of the series. A voxel is in a segment if its occupancy is 0.5 or more, so a
    region that was resampled to the series loses its partial border voxels here: volumes in the SEG may differ a little
    from the ones that voxeldose reports. FRACTIONAL (OCCUPANCY) lies on the regions' own grid and keeps partial voxels to
    half of 1/255; where in a voxel its occupied part lies is lost.

    Parameters
    ----------
    rois : RoiSet
        On windows of one lattice, as the readers order it (k to the head, j to the back, i to the left): for BINARY that
        of the series. A grid without a frame of reference is accepted.
    path : path
        Of the file to write.
    reference : path or StudyReference
        Folder of the series whose patient, study and frame of reference the SEG takes, or that series as read:
        single-frame CT or PET, for FRACTIONAL a reconstructed SPECT too.
    fractional : bool
        Keep occupancies as fractions.

    Raises
    ------
    GeometryError
        If a region lies on another lattice, reaches out of the series (BINARY), or is in another frame of reference.
    QuantityError
        If there is no region, or one fills no voxel by half (BINARY).
    InputError
        If the reference is not one series of images that a SEG can cite.
    """
    if not len(rois):
        msg = "A DICOM SEG needs at least one region; this set has none."
        raise QuantityError(msg, code="regions-missing")
    study = study_reference(reference)
    content = _fractional_content(rois, study) if fractional else _binary_content(rois, study)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # values of the source that break the standard are copied as they are
        try:
            seg = _segmentation(content, rois, study)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            why = without_quotes(error)
            msg = (
                f"{study.series.folder}: headers do not allow a SEG that cites them ({why}). Export the series again with "
                "all its attributes."
            )
            raise InputError(msg, code="headers-insufficient") from error
        for item, roi in zip(seg.SegmentSequence, rois, strict=True):
            item.SegmentDescription = description_of(roi.role, roi.name, str(item.SegmentLabel))
        _state_spacing(seg, content.volume.spacing_between_slices)
        cited, sop_class = study.instances[0], str(content.sources[0].SOPClassUID)
        if sop_class != cited.sop_class_uid:
            seg.walk(partial(_cite, uid=cited.sop_instance_uid, sop_class=cited.sop_class_uid))
        fit_character_set(seg, study.header)
        seg.save_as(path)


@dataclass(frozen=True, eq=False)
class _Content:
    """What a SEG holds: the pixels of every segment, and the images that it cites."""

    volume: Volume
    sources: Sequence[Dataset]
    is_fractional: bool


def _fractional_content(rois: RoiSet, study: StudyReference) -> _Content:
    """Occupancies on the regions' own grid."""
    spacing_of = study.grid
    masks, part = _fractions(rois)
    frame = study.frame_uid_for(part)
    sources = [_citable(h, spacing_of, frame) for h in study.series.headers]
    return _Content(_volume(masks, part, frame), sources, is_fractional=True)


def _binary_content(rois: RoiSet, study: StudyReference) -> _Content:
    """Masks on the voxels of the series, in the orientation of its images, as viewers expect."""
    header, frame = study.header, study.grid.frame_uid
    if count(header, "NumberOfFrames", 1) > 1 or frame is None:
        msg = f"{study.series.folder}: a SEG needs a single-frame CT or PET series with a Frame of Reference UID (0020,0052)."
        raise InputError(msg, code="images-not-citable")
    order, flipped = _axes_in_files(study.grid, header)
    masks, part = _masks(rois, study.grid, slice_axis=order[0])
    volume = _volume(masks, part, frame).permute_spatial_axes(order)
    volume = volume.flip_spatial(flipped) if flipped else volume
    return _Content(volume, [citable_copy(h) for h in study.series.headers], is_fractional=False)


def _volume(masks: npt.NDArray[np.float32] | npt.NDArray[np.uint8], part: Grid, frame: str) -> Volume:
    import highdicom as hd

    numbers = list(range(1, masks.shape[-1] + 1))
    return hd.Volume(
        masks, part.affine_lps_mm, "PATIENT", frame_of_reference_uid=frame, channels={"SegmentNumber": numbers}
    )


def _segmentation(content: _Content, rois: RoiSet, study: StudyReference) -> Segmentation:
    import highdicom as hd
    from pydicom.uid import generate_uid

    labelled = enumerate(zip(labels_for(rois.names()), rois, strict=True), 1)
    return hd.seg.Segmentation(
        source_images=content.sources,
        pixel_array=content.volume,
        segmentation_type="FRACTIONAL" if content.is_fractional else "BINARY",
        fractional_type="OCCUPANCY",
        max_fractional_value=255,
        segment_descriptions=[_segment(number, label, roi) for number, (label, roi) in labelled],
        series_instance_uid=generate_uid(),
        series_number=study.kind.first_number + 6,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="voxeldose",
        manufacturer_model_name="voxeldose",
        software_versions=__version__,
        device_serial_number=__version__,
        content_label="ROIS",
        content_description="Regions of interest",
        series_description=study.describe("regions"),
    )


def _state_spacing(seg: Segmentation, spacing_mm: float) -> None:
    """State how far apart slices are, which highdicom takes from the images and leaves out where they have one slice."""
    for groups in (*seg.SharedFunctionalGroupsSequence, *seg.PerFrameFunctionalGroupsSequence):
        for measures in groups.get("PixelMeasuresSequence", ()):
            measures.SliceThickness = measures.SpacingBetweenSlices = f"{spacing_mm:.9g}"


def _cite(item: Dataset, element: DataElement, *, uid: str, sop_class: str) -> None:
    if element.keyword == "ReferencedSOPClassUID" and text(item, "ReferencedSOPInstanceUID") == uid:
        element.value = sop_class


def _put(header: Dataset, keyword: str, value: object) -> None:
    """Replace an attribute; setting it would change an element that the original shares."""
    if keyword in header:
        del header[keyword]
    setattr(header, keyword, value)


def _citable(header: Dataset, grid: Grid, frame: str) -> Dataset:
    """A copy of a header that highdicom accepts as a source.

    One without frame of reference gets that of the other objects; a SPECT, which keeps its place in another sequence and
    has all frames in one file, is shown as one image.
    """
    shown = citable_copy(header)
    _put(shown, "FrameOfReferenceUID", frame)
    if not shown.get("SliceThickness"):
        _put(shown, "SliceThickness", round(grid.spacing_mm[0], 6))
    if header.get("Modality") != "NM":
        return shown
    if "NumberOfFrames" in shown:
        del shown.NumberOfFrames
    row, column = grid.directions[:, 2], grid.directions[:, 1]
    for keyword, value in (
        ("SOPClassUID", _CT),  # put right in the references afterwards
        ("SliceThickness", round(grid.spacing_mm[0], 6)),
        ("SpacingBetweenSlices", round(grid.spacing_mm[0], 6)),
        ("PixelSpacing", [round(v, 6) for v in grid.spacing_mm[1:]]),
        ("ImagePositionPatient", [round(float(v), 6) for v in grid.points_lps_mm((0, 0, 0))]),
        ("ImageOrientationPatient", [round(float(v), 9) for v in (*row, *column)]),
    ):
        _put(shown, keyword, value)
    return shown


def _fractions(rois: RoiSet) -> tuple[npt.NDArray[np.float32], Grid]:
    """Occupancies (nk, nj, ni, n) on the smallest window of the regions' lattice that holds them all."""
    first = rois.rois[0].grid
    ends = []
    for roi in rois:
        first.require_same_frame(roi.grid, f"ROIs {rois.rois[0].name!r} and {roi.name!r}")
        same = first.window(first.first_voxel_of(roi.grid).tolist(), roi.grid.shape)
        if not same.matches(roi.grid):
            msg = (
                f"ROI {roi.name!r} lies on another lattice than {rois.rois[0].name!r}; a SEG has one. Resample both to one "
                "grid with resample.roi_onto(roi, grid)."
            )
            raise GeometryError(msg, code="grid-differs", roi=roi.name)
        ends.append(roi.grid.points_lps_mm(np.array([(0, 0, 0), [n - 1 for n in roi.grid.shape]])))
    window = first.extended_to(np.concatenate(ends))
    return np.stack([roi.on_window(window) for roi in rois], axis=-1), window


def _segment(number: int, label: str, roi: Roi) -> SegmentDescription:
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription
    from pydicom.sr.coding import Code

    coded = CODES_OF_ROLES[roi.role]
    return SegmentDescription(
        number,
        label,
        Code(coded.category[0], "SCT", coded.category[1]),
        Code(coded.kind[0], "SCT", coded.kind[1]),
        "MANUAL",
        display_color=CIELabColor.from_rgb(*coded.rgb),
    )


def _axes_in_files(grid: Grid, header: Dataset) -> tuple[tuple[int, int, int], list[int]]:
    """Which axis of ``grid`` is slice, row and column in the files, and which of those run the other way there.

    Readers turn images towards LPS; a SEG has the orientation of its source images, as viewers expect.
    """
    row, column = image_axes(header, "reference series")
    cosines = grid.directions.T @ np.stack([np.cross(row, column), column, row], axis=1)
    order = np.abs(cosines).argmax(axis=0)
    flipped = [n for n in range(3) if cosines[order[n], n] < 0]
    return (int(order[0]), int(order[1]), int(order[2])), flipped


def _masks(rois: RoiSet, grid: Grid, *, slice_axis: int) -> tuple[npt.NDArray[np.uint8], Grid]:
    """Masks (nk, nj, ni, n) on whole slices of ``grid``, from the first to the last slice that holds a region."""
    boxes = [_place(roi, grid) for roi in rois]
    low = min(box[slice_axis].start for box in boxes)
    high = max(box[slice_axis].stop for box in boxes)
    start, shape = [0, 0, 0], list(grid.shape)
    start[slice_axis], shape[slice_axis] = low, high - low
    masks = np.zeros((*shape, len(rois)), np.uint8)
    for n, (roi, box) in enumerate(zip(rois, boxes, strict=True)):
        inside = roi.occupancy >= OCCUPIED
        if not inside.any():
            msg = (
                f"ROI {roi.name!r} fills no voxel by half (at most {roi.occupancy.max():.2f}), so it would be empty in "
                "a SEG; write it on a series with smaller voxels, or leave it out."
            )
            raise QuantityError(msg, code="roi-empty", roi=roi.name)
        k, j, i = (slice(s.start - first, s.stop - first) for s, first in zip(box, start, strict=True))
        masks[k, j, i, n] = inside
    return masks, grid.window(start, shape)


def _place(roi: Roi, grid: Grid) -> tuple[slice, slice, slice]:
    """Where a region lies in an array on ``grid``."""
    grid.require_same_frame(roi.grid, f"ROI {roi.name!r} and the reference series")
    try:
        return grid.slices_of(roi.grid)
    except GeometryError as error:
        msg = (
            f"ROI {roi.name!r} (spacing {roi.grid.spacing_mm} mm in k, j, i) does not lie on voxels of the reference "
            f"series ({grid.spacing_mm} mm, shape {grid.shape}); resample it first with resample.roi_onto(roi, grid)."
        )
        raise GeometryError(msg, code="grid-differs", roi=roi.name) from error
