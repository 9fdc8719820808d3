"""DICOM SEG in: segments of a file to regions, each frame read once."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from voxeldose.errors import InputError
from voxeldose.io.damage import refusing_damage
from voxeldose.io.dicom.cited import CitedImages
from voxeldose.io.dicom.codes import CODED_BY, codes_in
from voxeldose.io.dicom.header import count, items, number, text, whole_number
from voxeldose.io.dicom.segment_frames import frame_pixels, frames_of, place_frames
from voxeldose.io.dicom.texts import name_in, role_in
from voxeldose.io.found_regions import SetAside
from voxeldose.io.label_boxes import labelled_boxes
from voxeldose.model.grid import Grid, bounding_box, lps_grid, towards_lps
from voxeldose.model.remarks import Remark
from voxeldose.model.roi import Roi
from voxeldose.model.roles import ROLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pydicom.dataset import Dataset

    from voxeldose.io.dicom.segment_frames import Frames, Placed
    from voxeldose.model.arrays import Floats

__all__ = ["Segment", "SegmentFile", "read_segments"]

#: Segmentation Storage and Label Map Segmentation Storage (PS3.6).
_SOP_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
#: What reading files raises for those that it cannot make sense of.
_FAILURES = (AttributeError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError, OSError)
#: Seconds between two words on how far the frames are read.
_EVERY_S = 1.0

_NO_IMAGES = CitedImages()


class Segment(NamedTuple):
    """One segment of a file, in LPS+ (k, j, i) order, cropped; ``whole`` is the grid of all frames."""

    number: int
    label: str
    role: str | None
    region: Roi
    whole: Grid


class SegmentFile(NamedTuple):
    """Every segment that has a voxel, and those that have none."""

    segments: list[Segment]
    set_aside: list[SetAside]


@refusing_damage
def read_segments(
    path: Path, *, images: CitedImages = _NO_IMAGES, progress: Callable[[str], None] | None = None
) -> SegmentFile:
    """Every segment of a SEG: binary, fractional (scaled to 0-1) or label map; overlap is kept.

    Frames that the file leaves out, as writers do for empty slices, are empty. Slices are as far apart as the file states
    (Spacing Between Slices), else as those of the series that it cites, else as thick as stated, which a remark says.

    Parameters
    ----------
    path : Path
        The file.
    images : CitedImages
        Series that it may cite.
    progress : callable, optional
        Called with a few words, once a second.

    Raises
    ------
    InputError
        If it cannot be read or decoded, contradicts itself, or its frames do not lie in one volume.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seg = _opened(path)
        described = _described(seg, path)
        backgrounds = _backgrounds(seg, described)
        for background in backgrounds:
            described.pop(background, None)
        frames = frames_of(seg, path)
        _require_named(frames, described, path)
        placed = place_frames(frames, seg, images, path)
        slices: dict[int, dict[int, _Part]] = {}
        for slice_, parts in _parts_of_frames(seg, frames, described, path, progress or (lambda _: None)):
            for background in backgrounds:
                parts.pop(background, None)
            for segment_number, part in parts.items():
                own = slices.setdefault(segment_number, {})
                if slice_ in own:
                    msg = f"{path}: two frames of segment {segment_number} lie on one slice; keep one of them."
                    raise InputError(msg, code="frames-doubled", segment=segment_number)
                own[slice_] = part
        if unnamed := sorted(set(slices) - set(described)):
            raise _unnamed(unnamed, path)
        remarks = (*placed.remarks, *_remarks(seg))
        segments = [_segment(n, described[n], _assembled(own, placed), remarks) for n, own in sorted(slices.items())]
    empty = [_empty(n, item, path) for n, item in described.items() if n not in slices]
    if not segments:
        msg = f"{path}: every segment is empty."
        raise InputError(msg, code="regions-missing")
    return SegmentFile(segments, empty)


def _opened(path: Path) -> Dataset:
    from pydicom import dcmread

    try:
        seg = dcmread(path)
    except _FAILURES as error:
        why = (str(error).splitlines() or [""])[0]
        msg = f"{path}: cannot be read as DICOM SEG ({why}). Export it again, or as a label map in NIfTI."
        raise InputError(msg, code="file-damaged") from error
    if text(seg, "SOPClassUID") not in _SOP_CLASSES:
        msg = f"{path}: not a DICOM SEG file."
        raise InputError(msg, code="format-unknown")
    return seg


def _described(seg: Dataset, path: Path) -> dict[int, Dataset]:
    """What the file says of each segment, by its number."""
    kind = text(seg, "SegmentationType")
    if kind not in ("BINARY", "FRACTIONAL", "LABELMAP"):
        msg = f"{path}: Segmentation Type (0062,0001) is {kind or 'missing'}; BINARY, FRACTIONAL or LABELMAP is needed."
        raise InputError(msg, code="segmentation-type-unknown", found=kind)
    described: dict[int, Dataset] = {}
    for item in items(seg, "SegmentSequence"):
        segment_number = whole_number(item, "SegmentNumber")
        if segment_number in described:
            msg = f"{path}: two segments have the number {segment_number} (0062,0004). Export the segmentation again."
            raise InputError(msg, code="number-twice", number=segment_number)
        if kind != "LABELMAP" and segment_number < 1:
            msg = f"{path}: a segment has the number {segment_number} (0062,0004); they begin at 1. Export it again."
            raise InputError(msg, code="segment-number-invalid", number=segment_number)
        described[segment_number] = item
    return described


def _backgrounds(seg: Dataset, described: dict[int, Dataset]) -> set[int]:
    """What a label map holds where there is no segment: Pixel Padding Value, and 0 unless that is a segment."""
    if text(seg, "SegmentationType") != "LABELMAP":
        return set()
    padding = number(seg, "PixelPaddingValue")
    found = set() if padding is None else {int(padding)}
    is_segment = 0 in described and text(described[0], "SegmentLabel").strip().casefold() != "background"
    return found if is_segment else found | {0}


def _require_named(frames: Frames, described: dict[int, Dataset], path: Path) -> None:
    """Refuse frames of a segment that the file does not name: left out, they would change a region in silence."""
    unnamed = sorted({n for n in frames.segments if n is not None} - set(described))
    if unnamed:
        raise _unnamed(unnamed, path)


def _unnamed(unnamed: list[int], path: Path) -> InputError:
    listed = ", ".join(str(n) for n in unnamed)
    msg = f"{path}: frames belong to segments that the file does not name ({listed}); export the segmentation again."
    return InputError(msg, code="segments-undescribed", segments=tuple(unnamed))


class _Part(NamedTuple):
    """What a segment fills of one slice: the box, and its mask or occupancy in it."""

    box: tuple[slice, ...]
    values: npt.NDArray[np.bool_] | Floats


def _parts_of_frames(
    seg: Dataset, frames: Frames, described: dict[int, Dataset], path: Path, report_progress: Callable[[str], None]
) -> Iterator[tuple[int, dict[int, _Part]]]:
    """Each frame's slice, and the part of every segment in it."""
    scale, background = _scale(seg, path), -1 if 0 in described else 0
    due = time.monotonic() + _EVERY_S
    for n, stored in enumerate(frame_pixels(seg, frames, path)):
        if time.monotonic() > due:
            report_progress(f"reading regions: {n} of {len(frames.segments)} frames")
            due = time.monotonic() + _EVERY_S
        segment_number = frames.segments[n]
        if segment_number is None:
            boxes = labelled_boxes(stored, background)
            parts = {v: _Part(box, stored[box] == v) for v, box in boxes.items()}
        else:
            box = bounding_box(stored != 0)
            if box is not None and int(stored.max()) > scale:
                msg = f"{path}: frame {n + 1} holds {int(stored.max())}, where the highest value is {scale}. Export it again."
                raise InputError(msg, code="value-out-of-range", found=int(stored.max()), highest=scale)
            parts = {} if box is None else {segment_number: _Part(box, _scaled(stored[box], scale))}
        yield int(frames.slices[n]), parts


def _scaled(stored: npt.NDArray[Any], scale: int) -> npt.NDArray[np.bool_] | Floats:
    return stored != 0 if scale == 1 else stored.astype(np.float32) / np.float32(scale)


def _scale(seg: Dataset, path: Path) -> int:
    """The stored value that stands for a whole voxel."""
    if text(seg, "SegmentationType") != "FRACTIONAL":
        return 1
    highest, bits = number(seg, "MaximumFractionalValue"), count(seg, "BitsStored", count(seg, "BitsAllocated", 8))
    if highest is None or not (1 <= highest < 2**bits and highest.is_integer()):
        msg = (
            f"{path}: Maximum Fractional Value (0062,000E) is {seg.get('MaximumFractionalValue')}, which {bits} bits do not "
            "hold, so fractions have no scale. Export the segmentation again."
        )
        raise InputError(msg, code="fraction-scale-invalid", bits=bits)
    return int(highest)


def _assembled(parts: dict[int, _Part], placed: Placed) -> tuple[Floats, Grid, Grid]:
    """One segment's occupancy on a window of the file's grid, that window, and the whole grid, in LPS+ order."""
    filled = [k for n in parts for k, _ in placed.parts[n]]
    low = (min(filled), *(min(p.box[a].start for p in parts.values()) for a in (0, 1)))
    high = (max(filled) + 1, *(max(p.box[a].stop for p in parts.values()) for a in (0, 1)))
    shape = [b - a for a, b in zip(low, high, strict=True)]
    occupancy = np.zeros(shape, np.float32)
    for n, part in parts.items():
        j, i = (slice(b.start - first, b.stop - first) for b, first in zip(part.box, low[1:], strict=True))
        for k, share in placed.parts[n]:
            occupancy[k - low[0], j, i] += part.values * np.float32(share)
    turned, grid = towards_lps(np.minimum(occupancy, 1, out=occupancy), placed.grid.window(low, shape))
    return turned, grid, lps_grid(placed.grid)


def _segment(
    segment_number: int, item: Dataset, assembled: tuple[Floats, Grid, Grid], remarks: tuple[Remark, ...]
) -> Segment:
    occupancy, grid, whole = assembled
    label = _label(segment_number, item)
    role = role_in(text(item, "SegmentDescription"))
    codes = tuple(code for key in CODED_BY for code in codes_in(item, key))
    region = Roi(label, "other", occupancy, grid, remarks, source_name=label, codes=codes)
    return Segment(segment_number, label, role if role in ROLES else None, region, whole)


def _label(segment_number: int, item: Dataset) -> str:
    return name_in(item, "SegmentLabel", "SegmentDescription") or f"segment {segment_number}"


def _empty(segment_number: int, item: Dataset, path: Path) -> SetAside:
    label = _label(segment_number, item)
    msg = f"{path}: segment {segment_number} ({label}) is empty: no voxel belongs to it."
    error = InputError(msg, code="roi-empty", roi=label)
    return SetAside((label, str(segment_number)), label, error)


def _remarks(seg: Dataset) -> tuple[Remark, ...]:
    kinds = (text(seg, "SegmentationType"), text(seg, "SegmentationFractionalType"))
    if kinds != ("FRACTIONAL", "PROBABILITY"):
        return ()
    sentence = "The SEG holds probabilities; they are taken as the part of each voxel that belongs to the segment."
    return (Remark("probability-taken-as-occupancy", {}, sentence),)
