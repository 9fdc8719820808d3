"""DICOM SEG in and out: regions as segments on the frames of an image series.

The name of a region is the Segment Label; its role stands in the Segment Description as ``role=tumor``.
"""

from __future__ import annotations

import re
import warnings
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from voxeldose._version import __version__
from voxeldose.errors import GeometryError, InputError, QuantityError
from voxeldose.io.damage import refusing_damage
from voxeldose.io.dicom.codes import CODED_BY, CODES_OF_ROLES, codes_in
from voxeldose.io.dicom.new_object import frame_of, series_ref
from voxeldose.io.dicom.series import read_dicom_volume
from voxeldose.model.grid import Grid, towards_lps
from voxeldose.model.roi import Roi
from voxeldose.model.roles import ROLES

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt
    from highdicom.seg import SegmentDescription
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

    from voxeldose.io.dicom.new_object import SeriesRef
    from voxeldose.model.roi import RoiSet

__all__ = ["SegmentFound", "find_segments", "write_seg"]

_CT = "1.2.840.10008.5.1.4.1.1.2"

#: A voxel belongs to a segment if at least this part of it belongs to the region.
OCCUPIED = 0.5


#: Type 2 attributes that de-identified files may lack and a SEG must have, empty if nobody knows.
_MAY_BE_EMPTY = (
    "AccessionNumber",
    "PatientBirthDate",
    "PatientID",
    "PatientName",
    "PatientSex",
    "ReferringPhysicianName",
    "StudyDate",
    "StudyID",
    "StudyTime",
)


def write_seg(rois: RoiSet, path: str | Path, *, reference: str | Path | SeriesRef, fractional: bool = False) -> None:
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
    reference : path
        Folder of the series whose patient, study and frame of reference the SEG takes: single-frame CT or PET, for
        FRACTIONAL a reconstructed SPECT too.
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
    import warnings

    import highdicom as hd
    from pydicom.uid import generate_uid

    if not len(rois):
        msg = "A DICOM SEG needs at least one region; this set has none."
        raise QuantityError(msg)
    where = series_ref(reference)
    image, series = read_dicom_volume(where.path, series_uid=where.uid)
    header = series.first
    if not fractional and (int(header.get("NumberOfFrames", 1) or 1) > 1 or image.grid.frame_uid is None):
        msg = f"{where.path}: a SEG needs a single-frame CT or PET series with a Frame of Reference UID (0020,0052)."
        raise InputError(msg)
    order, flipped = (0, 1, 2), list[int]()
    masks: npt.NDArray[np.float32] | npt.NDArray[np.uint8]
    if fractional:
        masks, part = _fractions(rois)
        frame = frame_of(part, header)
        sources = [_citable(h, image.grid, frame) for h in series.headers]
    else:
        order, flipped = _axes_in_files(image.grid, header)
        masks, part = _masks(rois, image.grid, slice_axis=order[0])
        frame, sources = str(image.grid.frame_uid), list(series.headers)
    for key in _MAY_BE_EMPTY:
        if key not in sources[0]:
            setattr(sources[0], key, None)
    for each in sources:
        if "SpecificCharacterSet" in each and not each.SpecificCharacterSet:
            del each.SpecificCharacterSet  # empty means the default, which highdicom does not take
    volume = hd.Volume(
        masks,
        part.affine_lps_mm,
        "PATIENT",
        frame_of_reference_uid=frame,
        channels={"SegmentNumber": list(range(1, len(rois) + 1))},
    )
    volume = volume.permute_spatial_axes(order)
    if flipped:
        volume = volume.flip_spatial(flipped)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # values of the source that break the standard are copied as they are
        try:
            made = hd.seg.Segmentation(
                source_images=sources,
                pixel_array=volume,
                segmentation_type="FRACTIONAL" if fractional else "BINARY",
                fractional_type="OCCUPANCY",
                max_fractional_value=255,
                segment_descriptions=[_segment(number, roi) for number, roi in enumerate(rois, 1)],
                series_instance_uid=generate_uid(),
                series_number=int(header.get("SeriesNumber", 0) or 0) + 900,
                sop_instance_uid=generate_uid(),
                instance_number=1,
                manufacturer="voxeldose",
                manufacturer_model_name="voxeldose",
                software_versions=__version__,
                device_serial_number=__version__,
                content_label="ROIS",
                content_description="Regions of interest",
                series_description="voxeldose regions",
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            why = str(error).splitlines()[0]
            msg = f"{where.path}: headers do not allow a SEG that cites them ({why}). Export the series again with all its attributes."
            raise InputError(msg) from error
        for item, roi in zip(made.SegmentSequence, rois, strict=True):
            item.SegmentDescription = f"role={roi.role}"
        if sources[0].SOPClassUID != header.SOPClassUID:
            made.walk(partial(_cite, uid=str(header.SOPInstanceUID), sop_class=str(header.SOPClassUID)))
        made.save_as(path)


def _cite(item: Dataset, element: DataElement, *, uid: str, sop_class: str) -> None:
    if element.keyword == "ReferencedSOPClassUID" and str(item.get("ReferencedSOPInstanceUID", "")) == uid:
        element.value = sop_class


def _citable(header: Dataset, grid: Grid, frame: str) -> Dataset:
    """A header that highdicom accepts as a source.

    One without frame of reference gets that of the other objects; a SPECT, which keeps its place in another sequence and
    has all frames in one file, is shown as one image.
    """
    from copy import copy

    from pydicom import Dataset

    made = Dataset()
    made.update(copy(header))
    made.FrameOfReferenceUID = frame
    if not made.get("SliceThickness"):
        made.SliceThickness = round(grid.spacing_mm[0], 6)
    if header.get("Modality") != "NM":
        return made
    made.SOPClassUID = _CT  # put right in the references afterwards
    if "NumberOfFrames" in made:
        del made.NumberOfFrames
    made.SliceThickness = made.SpacingBetweenSlices = round(grid.spacing_mm[0], 6)
    made.PixelSpacing = [round(v, 6) for v in grid.spacing_mm[1:]]
    made.ImagePositionPatient = [round(float(v), 6) for v in grid.points_lps_mm((0, 0, 0))]
    made.ImageOrientationPatient = [round(float(v), 9) for v in (*grid.directions[:, 2], *grid.directions[:, 1])]
    return made


def _fractions(rois: RoiSet) -> tuple[npt.NDArray[np.float32], Grid]:
    """Occupancies (nk, nj, ni, n) on the smallest window of the regions' lattice that holds them all."""
    first = rois.rois[0].grid
    ends = []
    for roi in rois:
        first.require_same_frame(roi.grid, f"ROIs {rois.rois[0].name!r} and {roi.name!r}")
        corner = first.indices(roi.grid.points_lps_mm((0, 0, 0)))
        same = first.window(np.rint(corner).astype(int).tolist(), roi.grid.shape)
        if not same.matches(roi.grid):
            msg = (
                f"ROI {roi.name!r} lies on another lattice than {rois.rois[0].name!r}; a SEG has one. Resample both to one "
                "grid with resample.roi_onto(roi, grid)."
            )
            raise GeometryError(msg)
        ends.append(roi.grid.points_lps_mm(np.array([(0, 0, 0), [n - 1 for n in roi.grid.shape]])))
    window = first.extended_to(np.concatenate(ends))
    return np.stack([roi.on_window(window) for roi in rois], axis=-1), window


def _segment(number: int, roi: Roi) -> SegmentDescription:
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription
    from pydicom.sr.coding import Code

    coded = CODES_OF_ROLES[roi.role]
    return SegmentDescription(
        number,
        roi.name[:64],
        Code(coded.category[0], "SCT", coded.category[1]),
        Code(coded.kind[0], "SCT", coded.kind[1]),
        "MANUAL",
        display_color=CIELabColor.from_rgb(*coded.rgb),
    )


def _axes_in_files(grid: Grid, header: Dataset) -> tuple[tuple[int, int, int], list[int]]:
    """Which axis of ``grid`` is slice, row and column in the files, and which of those run the other way there.

    Readers turn images towards LPS; a SEG has the orientation of its source images, as viewers expect.
    """
    both = np.array([float(v) for v in header.ImageOrientationPatient])
    row, column = both[:3], both[3:]
    cosines = grid.directions.T @ np.stack([np.cross(row, column), column, row], axis=1)
    order = np.abs(cosines).argmax(axis=0)
    flipped = [n for n in range(3) if cosines[order[n], n] < 0]
    return (int(order[0]), int(order[1]), int(order[2])), flipped


def _masks(rois: RoiSet, grid: Grid, *, slice_axis: int) -> tuple[npt.NDArray[np.uint8], Grid]:
    """Masks (nk, nj, ni, n) on whole slices of ``grid``, from the first to the last slice that holds a region."""
    boxes = [_box(roi, grid) for roi in rois]
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
            raise QuantityError(msg)
        k, j, i = (slice(s.start - first, s.stop - first) for s, first in zip(box, start, strict=True))
        masks[k, j, i, n] = inside
    return masks, grid.window(start, shape)


def _box(roi: Roi, grid: Grid) -> tuple[slice, slice, slice]:
    grid.require_same_frame(roi.grid, f"ROI {roi.name!r} and the reference series")
    try:
        return grid.slices_of(roi.grid)
    except GeometryError as error:
        msg = (
            f"ROI {roi.name!r} (spacing {roi.grid.spacing_mm} mm in k, j, i) does not lie on voxels of the reference "
            f"series ({grid.spacing_mm} mm, shape {grid.shape}); resample it first with resample.roi_onto(roi, grid)."
        )
        raise GeometryError(msg) from error


class SegmentFound(NamedTuple):
    """One segment of a file, in the house's order of axes, cropped; ``whole`` is the grid of all frames."""

    number: int
    label: str
    role: str | None
    region: Roi
    whole: Grid


@refusing_damage
def find_segments(path: Path) -> list[SegmentFound]:
    """Every segment of a SEG: binary, fractional (scaled to 0-1) or label map; overlap is kept.

    Frames that the file leaves out, as writers do for empty slices, are empty.

    Raises
    ------
    InputError
        If it cannot be read or decoded, or its frames do not lie in one regular volume.
    """
    import highdicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            seg = highdicom.seg.segread(path)
            is_fractional = str(seg.SegmentationType) == "FRACTIONAL"
            dtype = np.float32 if is_fractional else np.uint8
            remarks = _notes(seg) if is_fractional else ()
            found = []
            for number in (int(n) for n in seg.segment_numbers if int(n) > 0):
                volume = seg.get_volume(
                    segment_numbers=[number], combine_segments=False, rescale_fractional=is_fractional, dtype=dtype
                )
                values = np.asarray(volume.array)[..., 0]
                if not values.any():
                    continue
                uid = volume.frame_of_reference_uid
                lattice = Grid(values.shape, np.asarray(volume.affine), str(uid) if uid else None)
                turned, grid = towards_lps(values, lattice)
                description = seg.get_segment_description(number)
                label = str(description.segment_label)
                said = re.search(r"role=(\w+)", str(description.get("SegmentDescription", "")))
                role = said.group(1) if said and said.group(1) in ROLES else None
                codes = tuple(code for key in CODED_BY for code in codes_in(description, key))
                region = Roi(label, "other", turned, grid, remarks, source_name=label, codes=codes)
                found.append(SegmentFound(number, label, role, region, grid))
        except (AttributeError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError, OSError) as error:
            why = str(error).splitlines()[0]
            msg = f"{path}: cannot be read as DICOM SEG ({why}). Export it uncompressed, or as a label map in NIfTI."
            raise InputError(msg) from error
    if not found:
        msg = f"{path}: every segment is empty."
        raise InputError(msg)
    return found


def _notes(seg: Dataset) -> tuple[str, ...]:
    if str(seg.get("SegmentationFractionalType", "")) != "PROBABILITY":
        return ()
    return ("The SEG holds probabilities; they are taken as the part of each voxel that belongs to the segment.",)
