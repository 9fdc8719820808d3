"""Label maps, masks and ``.seg.nrrd`` files to regions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from voxeldose.errors import InputError
from voxeldose.io.arrays import header_remarks, read_array, stem
from voxeldose.io.found_regions import FileRegion, FoundRegions, SetAside
from voxeldose.io.label_boxes import labelled_boxes
from voxeldose.model.remarks import Remark
from voxeldose.model.roi import Roi

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from voxeldose.model.grid import Grid

__all__ = ["regions_in_file"]

#: Values in single precision that are this near to a whole number, or to the ends of 0 to 1, are meant to be it.
ROUNDING = 1e-5
#: The same as a part of a large label.
ROUNDING_PART = 1e-6


class _Mask(NamedTuple):
    """A part of an array: its box, and its mask or occupancy there."""

    box: tuple[slice, ...]
    values: npt.NDArray[Any]

    def roi(self, name: str, grid: Grid, remarks: tuple[Remark, ...], source_name: str | None = None) -> Roi:
        """The part of an array on ``grid`` as a region."""
        window = grid.window([s.start for s in self.box], self.values.shape)
        return Roi(
            name, "other", self.values, window, remarks, source_name=name if source_name is None else source_name
        )


class _Held(NamedTuple):
    """What a file holds: values in (k, j, i) order, layers last, where they lie, and what was assumed."""

    path: Path
    values: npt.NDArray[Any]
    grid: Grid
    remarks: tuple[Remark, ...]


class _SlicerSegment(NamedTuple):
    """One segment of a 3D Slicer ``.seg.nrrd``."""

    name: str
    value: int
    layer: int


def regions_in_file(path: Path, *, whole_file_is_one: bool) -> FoundRegions:
    """The regions of one file; ``whole_file_is_one`` for a file in a folder of masks.

    Raises
    ------
    InputError
        If it cannot be read, holds no region, or its values are neither labels nor fractions.
    """
    values, grid, texts = read_array(path)
    remarks = header_remarks(texts)
    if not np.isfinite(values).all():
        msg = f"{path}: holds values that are not numbers; labels must be whole numbers."
        raise InputError(msg, code="value-not-finite")
    segments = _slicer_segments(texts, path)
    if segments:
        return _of_segments(segments, _Held(path, values, grid, remarks))
    if values.ndim != 3:
        msg = f"{path}: holds {values.shape[-1]} components per voxel but no segment names; one label per voxel is needed."
        raise InputError(msg, code="dimensions-not-three")
    if values.dtype.kind == "f" and not all(_is_whole(part) for part in values):
        return FoundRegions([_fractional(_Held(path, values, grid, remarks))], [])
    if values.min() < -ROUNDING:
        msg = f"{path}: a label is negative ({float(values.min()):g}); labels must be 0 (background) or above."
        raise InputError(msg, code="labels-not-whole")
    masks = _masks(values)
    if not masks:
        msg = f"{path}: every voxel is 0, so the file holds no region."
        raise InputError(msg, code="regions-missing")
    names = {int(k.removeprefix("label:")): v for k, v in texts.items() if k.startswith("label:") and k[6:].isdigit()}
    return FoundRegions(
        _of_labels(masks, names, _Held(path, values, grid, remarks), whole_file_is_one=whole_file_is_one), []
    )


def _of_labels(
    masks: dict[int, _Mask], names: dict[int, str], held: _Held, *, whole_file_is_one: bool
) -> list[FileRegion]:
    """A region of every label."""
    path, _, grid, remarks = held
    first = next(iter(masks))
    if len(masks) == 1 and (whole_file_is_one or first not in names):
        roi = masks[first].roi(stem(path), grid, remarks)
        return [FileRegion((stem(path), str(first)), stem(path), roi, grid, file=path.name)]
    if whole_file_is_one:
        msg = f"{path}: {len(masks)} labels in a folder of masks; give one mask per file, or this file alone."
        raise InputError(msg, code="mask-with-several-labels")
    if len(masks) > 1:
        sentence = f"In {path.name} every voxel has one label, so that none of its {len(masks)} regions holds another."
        remarks = (*remarks, Remark("label-map-without-overlap", {"labels": len(masks)}, sentence))
    return [
        FileRegion(
            (names[v], str(v)) if v in names else (str(v),),
            names.get(v),
            mask.roi(names.get(v, str(v)), grid, remarks, source_name=names.get(v, "")),
            grid,
            file=path.name,
        )
        for v, mask in masks.items()
    ]


def _is_whole(part: npt.NDArray[Any]) -> bool:
    """Whether values are whole numbers, but for the rounding of single precision."""
    return bool(np.allclose(part, np.rint(part), rtol=ROUNDING_PART, atol=ROUNDING))


def _fractional(held: _Held) -> FileRegion:
    """The one region of a map of fractions."""
    path, values, grid, remarks = held
    low, high = float(values.min()), float(values.max())
    if low < -ROUNDING or high > 1 + ROUNDING:
        msg = f"{path}: values from {low:g} to {high:g} are neither whole labels nor fractions from 0 to 1."
        raise InputError(msg, code="labels-not-whole")
    whole = _Mask(tuple(slice(0, n) for n in values.shape), np.clip(values, 0, 1))
    return FileRegion((stem(path), "1"), stem(path), whole.roi(stem(path), grid, remarks), grid, file=path.name)


def _masks(values: npt.NDArray[Any]) -> dict[int, _Mask]:
    """Every label but 0 of a map of whole numbers."""
    boxes: dict[int, tuple[slice, ...]] = {}
    for k, part in enumerate(values):  # a slice at a time, so that a large map is not copied
        labels = np.rint(part).astype(np.int64) if part.dtype.kind == "f" else part
        for label, box in labelled_boxes(labels).items():
            in_slice = (slice(k, k + 1), *box)
            boxes[label] = _both(boxes.get(label, in_slice), in_slice)
    return {label: _Mask(box, np.abs(values[box] - label) < 0.5) for label, box in sorted(boxes.items())}


def _both(one: tuple[slice, ...], other: tuple[slice, ...]) -> tuple[slice, ...]:
    """The smallest box that holds two."""
    return tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True))


def _slicer_segments(texts: dict[str, str], path: Path) -> list[_SlicerSegment]:
    """The segments that the header of a file names, by the numbers in its keys; none if it is no ``.seg.nrrd``.

    Files of 3D Slicer before 4.11 have neither Layer nor LabelValue: there each segment is a layer of its own, of value 1.
    """
    found = {int(m.group(1)) for key in texts if (m := re.fullmatch(r"Segment(\d+)_(?:ID|Name|LabelValue)", key))}
    segments = []
    for place, n in enumerate(sorted(found)):
        own = {k: texts.get(f"Segment{n}_{k}") for k in ("Name", "ID", "LabelValue", "Layer")}
        is_old = own["LabelValue"] is None
        try:
            value, layer = int(own["LabelValue"] or 1), int(own["Layer"] or (place if is_old else 0))
        except ValueError as error:
            msg = f"{path}: LabelValue or Layer of segment {n} is no whole number. Write the file again."
            raise InputError(msg, code="segments-undescribed", segment=n) from error
        segments.append(_SlicerSegment(own["Name"] or own["ID"] or f"Segment_{n}", value, layer))
    return segments


def _of_segments(segments: list[_SlicerSegment], held: _Held) -> FoundRegions:
    """A region of every segment that has a voxel, and the segments that have none."""
    path, values, grid, remarks = held
    layers = [values] if values.ndim == 3 else [values[..., n] for n in range(values.shape[-1])]
    if not all(_is_whole(part) for layer in layers if layer.dtype.kind == "f" for part in layer) or values.min() < 0:
        msg = f"{path}: values of a segmentation must be whole numbers from 0; fractional labelmaps are not read."
        raise InputError(msg, code="labels-not-whole")
    masks = [_masks(layer) for layer in layers]
    regions, empty = [], []
    unnamed = {(layer, v) for layer, own in enumerate(masks) for v in own} - {(s.layer, s.value) for s in segments}
    if unnamed:
        listed = ", ".join(sorted(f"{v} in layer {layer}" for layer, v in unnamed))
        sentence = f"In {path.name} voxels have labels that no segment names; they are left out: {listed}."
        remarks = (*remarks, Remark("labels-undescribed", {"labels": listed}, sentence))
    for segment in segments:
        keys = (segment.name, str(segment.value))
        mask = masks[segment.layer].get(segment.value) if 0 <= segment.layer < len(masks) else None
        if mask is None:
            msg = f"{path}: the segment {segment.name} is empty: no voxel of layer {segment.layer} has its label {segment.value}."
            empty.append(SetAside(keys, segment.name, InputError(msg, code="roi-empty", roi=segment.name)))
            continue
        regions.append(FileRegion(keys, segment.name, mask.roi(segment.name, grid, remarks), grid, file=path.name))
    return FoundRegions(regions, empty)
