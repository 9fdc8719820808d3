"""Frames of a DICOM SEG: which segment each belongs to, where it lies, how far apart slices are, and its pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from voxeldose.errors import InputError
from voxeldose.geometry.slabs import GAP, fit_lattice, proven_distance, slabs_of
from voxeldose.io.dicom.header import count, items, number, text, whole_number
from voxeldose.io.dicom.planes import DRIFT_MM, image_axes, pixel_spacing, vector
from voxeldose.model.grid import Grid
from voxeldose.model.remarks import Numbers, Remark

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pydicom.dataset import Dataset

    from voxeldose.io.dicom.cited import CitedImages
    from voxeldose.model.arrays import Doubles

__all__ = ["Frames", "Placed", "frame_pixels", "frames_of", "place_frames"]

#: Transfer syntaxes whose pixels are stored as they are: implicit and explicit little endian, deflated, big endian.
_NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2")
#: Frames nearer than this lie on one slice.
SAME_SLICE_MM = 0.05
#: A statement of the distance of slices holds if no two lie nearer than this part of it.
NEAREST_PART = 0.95
#: Even frames up to so many thicknesses apart show their own distance: thin slices with gaps between.
THIN_SLICES = 3.05
#: No patient is longer.
LONGEST_MM = 5000.0


@dataclass(frozen=True, eq=False)
class Frames:
    """Every frame of a file, in its order, on parallel planes of one size.

    Parameters
    ----------
    segments : list of int or None
        The number of each frame's segment; ``None`` where a frame holds many (LABELMAP).
    slices : ndarray of int
        Which of ``heights`` each frame has.
    heights : list of float
        Places of the slices along ``normal`` in mm, rising.
    origin : ndarray, (3,)
        The centre of the first pixel of the lowest slice in LPS mm.
    """

    segments: list[int | None]
    slices: npt.NDArray[np.int64]
    heights: list[float]
    origin: Doubles
    row: Doubles
    column: Doubles
    spacing_mm: Doubles
    shape: tuple[int, int]
    stated_mm: float | None
    thickness_mm: float | None

    @property
    def normal(self) -> Doubles:
        """Row direction × column direction."""
        return np.cross(self.row, self.column)


class Placed(NamedTuple):
    """The grid of all slices of a file as stored, and for each slice of it the parts of its voxels that it fills."""

    grid: Grid
    parts: list[list[tuple[int, float]]]
    remarks: tuple[Remark, ...]


def frames_of(seg: Dataset, path: Path) -> Frames:
    """Where every frame lies.

    Raises
    ------
    InputError
        If frames are not described, or differ in orientation, or shift sideways.
    """
    described = items(seg, "PerFrameFunctionalGroupsSequence")
    stored = count(seg, "NumberOfFrames", 1)
    if stored != len(described):
        msg = f"{path}: {stored} frames are stored and {len(described)} described; export the segmentation again."
        raise InputError(msg, code="frames-undescribed", stored=stored, described=len(described))
    shared = items(seg, "SharedFunctionalGroupsSequence")[:1]
    holds_many = text(seg, "SegmentationType") == "LABELMAP"
    first: tuple[Doubles, Doubles, Doubles] | None = None
    segments, places, distances, thicknesses = [], [], [], []
    for n, own in enumerate(described, 1):
        groups, where = (own, *shared), f"{path}, frame {n}"
        measures = _group(groups, "PixelMeasuresSequence", where)
        row, column = image_axes(_group(groups, "PlaneOrientationSequence", where), where)
        found = (row, column, pixel_spacing(measures, where))
        first = first or found
        if not all(np.allclose(a, b, rtol=1e-4, atol=1e-4) for a, b in zip(found, first, strict=True)):
            msg = f"{where}: this frame differs in orientation or spacing from the first; a segmentation needs one volume."
            raise InputError(msg, code="slices-mixed")
        places.append(vector(_group(groups, "PlanePositionSequence", where), "ImagePositionPatient", 3, where))
        distances.append(number(measures, "SpacingBetweenSlices"))
        thicknesses.append(number(measures, "SliceThickness"))
        segments.append(
            None
            if holds_many
            else whole_number(_group(groups, "SegmentIdentificationSequence", where), "ReferencedSegmentNumber")
        )
    if first is None:
        msg = f"{path}: no frame is described."
        raise InputError(msg, code="frames-undescribed", stored=stored, described=0)
    heights, slices, origin = _slices_of(np.array(places), np.cross(first[0], first[1]), path)
    shape = (count(seg, "Rows", 0), count(seg, "Columns", 0))
    return Frames(segments, slices, heights, origin, *first, shape, _one_of(distances), _one_of(thicknesses))


def _group(groups: Sequence[Dataset], keyword: str, where: str) -> Dataset:
    """The item of a functional group: the frame's own, else the one that all share."""
    for group in groups:
        for item in items(group, keyword)[:1]:
            return item
    msg = f"{where}: {keyword} is missing, so the frame's place or segment is not known. Export the segmentation again."
    raise InputError(msg, code="frames-undescribed", keyword=keyword)


def _one_of(values: Sequence[float | None]) -> float | None:
    """The one length above zero that frames state; ``None`` if there is none, or they differ."""
    stated = [abs(v) for v in values if v is not None and v != 0]
    return stated[0] if stated and max(stated) - min(stated) <= 0.01 * stated[0] else None


def _slices_of(places: Doubles, normal: Doubles, path: Path) -> tuple[list[float], npt.NDArray[np.int64], Doubles]:
    """Heights of slices, rising, which of them each frame has, and the place of the lowest."""
    if not np.isfinite(places).all():
        msg = f"{path}: a frame's place is not a number. Export the segmentation again."
        raise InputError(msg, code="geometry-invalid", keyword="ImagePositionPatient")
    along = places @ normal
    drift = places - np.outer(along, normal)
    shift = float(np.abs(drift - drift[0]).max())
    if shift > DRIFT_MM:
        msg = f"{path}: frames shift sideways by {shift:.2f} mm (gantry tilt); resample the segmentation to upright slices."
        raise InputError(msg, code="slices-shifted", shift_mm=shift)
    if np.ptp(along) > LONGEST_MM:
        msg = f"{path}: frames lie {np.ptp(along):.0f} mm apart, further than a patient is long. Export the segmentation again."
        raise InputError(msg, code="geometry-invalid", keyword="ImagePositionPatient")
    order = np.argsort(along, kind="stable")
    steps = np.diff(along[order], prepend=along[order[0]]) > SAME_SLICE_MM
    slices = np.empty(len(along), np.int64)
    slices[order] = np.cumsum(steps)
    heights = [float(along[slices == n].mean()) for n in range(int(slices.max()) + 1)]
    return heights, slices, drift[0] + heights[0] * normal


def place_frames(frames: Frames, seg: Dataset, images: CitedImages, path: Path) -> Placed:
    """Lay the slices of a file on a grid: even where they are, else each where it lies, shared between two.

    Raises
    ------
    InputError
        If nothing says how far apart slices are.
    """
    if images.user_mm is not None:
        frames = replace(frames, stated_mm=images.user_mm)
    cited_mm = images.slice_mm(seg, frames.normal) if frames.stated_mm is None else None
    distance, remarks = _slice_mm(frames, cited_mm, path)
    remarks = (*images.user_remarks("SEG"), *remarks)
    lattice = fit_lattice(frames.heights, distance)
    if lattice is not None:
        index, start, step = lattice
        offset = float(np.abs(np.array(frames.heights) - start - index * step).max())
        if offset > 0.01:
            sentence = f"SEG slices lie up to {offset:.3f} mm from even places; taken as even at {step:.4f} mm."
            numbers: Numbers = {"modality": "SEG", "offset_mm": offset, "spacing_mm": step}
            remarks = (*remarks, Remark("slices-nearly-even", numbers, sentence))
        parts = [[(int(k), 1.0)] for k in index]
        return Placed(_grid(frames, seg, start, step, int(index[-1]) + 1), parts, remarks)
    slabs = slabs_of(frames.heights, distance)
    parts = [
        [
            (k, min(stop, k + 1) - max(start, k))
            for k in range(max(0, int(start)), min(slabs.slices, int(np.ceil(stop))))
        ]
        for start, stop in zip(slabs.starts, slabs.stops, strict=True)
    ]
    sentence = f"SEG slices lie on no even places of {distance:.3f} mm; each fills parts of the slices that it meets."
    uneven = Remark("slices-between", {"spacing_mm": distance}, sentence)
    grid = _grid(frames, seg, slabs.bottom + distance / 2, distance, slabs.slices)
    return Placed(grid, parts, (*remarks, uneven))


def _grid(frames: Frames, seg: Dataset, start: float, step: float, slices: int) -> Grid:
    affine = np.eye(4)
    affine[:3, 0] = frames.normal * step
    affine[:3, 1] = frames.column * frames.spacing_mm[0]
    affine[:3, 2] = frames.row * frames.spacing_mm[1]
    affine[:3, 3] = frames.origin + (start - frames.heights[0]) * frames.normal
    return Grid((slices, *frames.shape), affine, text(seg, "FrameOfReferenceUID") or None)


def _slice_mm(frames: Frames, cited_mm: float | None, path: Path) -> tuple[float, tuple[Remark, ...]]:
    """How far apart slices are: as stated, else as in the series cited, else as thick as they are, and what is assumed."""
    nearest = float(np.diff(frames.heights).min()) if len(frames.heights) > 1 else np.inf
    proven = proven_distance(frames.heights)
    for stated, what in ((frames.stated_mm, "Spacing Between Slices (or slice_mm)"), (cited_mm, "the series cited")):
        if stated is None:
            continue
        if nearest < NEAREST_PART * stated:
            return nearest, (_contradiction(what, stated, nearest),)
        if proven is not None and abs(proven - stated) <= (1 - NEAREST_PART) * stated:
            return proven, ()
        if proven is not None and proven > GAP * stated:
            sentence = (
                f"SEG frames are {proven:.2f} mm apart where {what} says {stated:.2f} mm; what lies between is empty."
            )
            return stated, (Remark("seg-slices-left-out", {"distance_mm": proven, "stated_mm": stated}, sentence),)
        return stated, ()
    return _from_thickness(frames, nearest, proven, path)


def _from_thickness(
    frames: Frames, nearest: float, proven: float | None, path: Path
) -> tuple[float, tuple[Remark, ...]]:
    """The distance of slices where only their thickness is stated, or nothing is."""
    stated = frames.thickness_mm
    if proven is not None and (stated is None or proven <= THIN_SLICES * stated):
        sentence = (
            f"The SEG does not say how far apart slices are; {proven:.3f} mm are taken, the distance of its frames."
        )
        is_as_stated = stated is not None and abs(proven - stated) <= 0.05 * stated
        return proven, () if is_as_stated else (Remark("slice-distance-from-frames", {"spacing_mm": proven}, sentence),)
    if stated is None:
        msg = (
            f"{path}: neither Spacing Between Slices (0018,0088) nor Slice Thickness (0018,0050) is stated, and the frames are "
            "too few to show how thick a slice is. Give the images that it cites, or slice_mm in [[rois]], or export it with its spacing."
        )
        raise InputError(msg, code="slice-thickness-missing")
    if nearest < NEAREST_PART * stated:
        return nearest, (_contradiction("Slice Thickness (0018,0050)", stated, nearest),)
    sentence = f"The SEG does not say how far apart slices are (Spacing Between Slices); {stated:g} mm are taken, their thickness."
    return stated, (Remark("slice-distance-from-thickness", {"spacing_mm": stated}, sentence),)


def _contradiction(what: str, stated: float, nearest: float) -> Remark:
    sentence = (
        f"SEG frames are {nearest:.3f} mm apart where {what} says {stated:.3f} mm; the place of the frames is taken."
    )
    return Remark("slice-distance-contradicts", {"distance_mm": nearest, "stated_mm": stated}, sentence)


def frame_pixels(seg: Dataset, frames: Frames, path: Path) -> Iterator[npt.NDArray[Any]]:
    """The stored values of every frame, (rows, columns), one frame at a time.

    Raises
    ------
    InputError
        If they cannot be decoded, or are not as many as the header says.
    """
    syntax = getattr(seg.file_meta, "TransferSyntaxUID", None)
    if syntax is not None and syntax not in _NATIVE:
        yield from _decoded(seg, frames, path)
        return
    bits, size, total = count(seg, "BitsAllocated", 0), frames.shape[0] * frames.shape[1], len(frames.segments)
    raw = seg.get("PixelData") or b""
    wanted = -(-size * total * bits // 8)
    if bits not in (1, 8, 16) or not size or not wanted <= len(raw) <= wanted + wanted % 2:
        msg = (
            f"{path}: {total} frames of {frames.shape[0]} x {frames.shape[1]} pixels with {bits} bits want {wanted} bytes, "
            f"{len(raw)} are there. Export the segmentation again."
        )
        raise InputError(msg, code="pixels-differ", wanted=wanted, found=len(raw))
    if bits > 1:
        is_little = seg.original_encoding[1] is not False
        values = np.frombuffer(raw, np.dtype(f"u{bits // 8}").newbyteorder("<" if is_little else ">"), size * total)
        yield from values.reshape(total, *frames.shape)
        return
    packed = np.frombuffer(raw, np.uint8)
    for n in range(total):
        first, last = n * size // 8, -(-(n + 1) * size // 8)
        unpacked = np.unpackbits(packed[first:last], bitorder="little")
        yield unpacked[n * size - 8 * first :][:size].reshape(frames.shape)


def _decoded(seg: Dataset, frames: Frames, path: Path) -> Iterator[npt.NDArray[Any]]:
    from pydicom.pixels import iter_pixels

    found = 0
    try:
        for values in iter_pixels(seg, raw=True):
            found += 1
            if values.shape != frames.shape or found > len(frames.segments):
                break
            yield np.asarray(values)
    except (AttributeError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError, OSError) as error:
        why = (str(error).splitlines() or [""])[0]
        msg = f"{path}: cannot be read as DICOM SEG ({why}). Export it uncompressed, or as a label map in NIfTI."
        raise InputError(msg, code="file-damaged") from error
    if found != len(frames.segments):
        msg = f"{path}: {len(frames.segments)} frames are described, {found} can be decoded. Export it uncompressed."
        raise InputError(msg, code="pixels-differ", wanted=len(frames.segments), found=found)
