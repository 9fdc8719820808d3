"""Regions of any format: label maps, ``.seg.nrrd``, folders of one mask per file, DICOM SEG and RTSTRUCT.

A region gets its name and role from the user where given, else from the file, and the results say which.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from voxeldose.errors import InputError
from voxeldose.geometry.resample import roi_onto
from voxeldose.io.arrays import SUFFIXES, header_remarks, read_array, stem
from voxeldose.io.damage import refusing_damage
from voxeldose.io.dicom.files import find_series
from voxeldose.io.dicom.rtstruct import read_structures
from voxeldose.io.dicom.seg import read_segments
from voxeldose.model.grid import bounding_box
from voxeldose.model.remarks import Remark
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.roles import ROLES, role_from_codes, role_from_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    from pydicom.dataset import Dataset

    from voxeldose.io.dicom.files import Scan
    from voxeldose.model.grid import Grid

    Labels = Mapping[int, tuple[str, str]] | Mapping[str, tuple[str, str]] | Mapping[int | str, tuple[str, str]]

__all__ = ["read_labels", "read_rois", "read_rtstruct", "read_seg"]


#: A part of a region's volume outside a grid that is no more than rounding.
OUTSIDE = 1e-3


@dataclass(frozen=True, eq=False)
class _FileRegion:
    """One region as it stands in a file: the keys it may be called by, the region, and the file's whole grid."""

    keys: tuple[str, ...]
    own_name: str | None
    roi: Roi
    whole: Grid
    role: str | None = None


@refusing_damage
def read_labels(path: str | Path, labels: Labels | None = None) -> RoiSet:
    """Regions of one label map, mask, or folder of masks.

    Parameters
    ----------
    path : path
        ``.nii``, ``.nii.gz``, ``.nrrd``, ``.seg.nrrd``, ``.mha``, or a folder with one mask per file.
    labels : mapping, optional
        Label value or name in the file -> (name, role). Only regions in it are read. Without it every region is read
        under the name that the file or its file name gives, with the role that the name suggests.

    Returns
    -------
    RoiSet
        Each region on its own grid, without a frame of reference.

    Raises
    ------
    InputError
        If a file cannot be read, a label is not there, or values are neither labels nor fractions.
    """
    return read_rois([Path(path)], labels)


@refusing_damage
def read_seg(path: str | Path, labels: Labels | None = None) -> RoiSet:
    """Regions of a DICOM SEG; ``labels`` as in :func:`read_labels`, by segment number or label."""
    return _name_regions(_in_seg(Path(path)), [Path(path)], labels)


@refusing_damage
def read_rtstruct(
    path: str | Path, labels: Labels | None = None, *, grid: Grid | None = None, pixel_mm: float | None = None
) -> RoiSet:
    """Regions of an RTSTRUCT; ``labels`` as in :func:`read_labels`, by ROI number or name.

    Each region is rasterised on a grid of its own in the planes of its contours, by the even-odd rule over all contours
    of a plane, with exact coverage of border pixels; no image is needed.

    Parameters
    ----------
    path : path
        The file.
    labels : mapping, optional
        ROI number or name in the file -> (name, role).
    grid : Grid, optional
        The voxels on which the regions are wanted, such as those of the CT: every region is then resampled from its raster
        to a window of this grid, with its volume kept; what lies outside is cut off, and a remark says so. Without it each
        region stays on its raster.
    pixel_mm : float, optional
        In-plane size of the raster's voxels. Without it a 256th of the region's width, but at least 0.2 and at most 1.0 mm.
        Across the planes the raster has the distance of the planes.

    Raises
    ------
    InputError
        If it is no RTSTRUCT, or its contours cannot be used.
    GeometryError
        If ``grid`` lies in another frame of reference, or a region wholly outside of it.
    QuantityError
        If ``pixel_mm`` is not above zero, or makes too many voxels.
    """
    rois = _name_regions(_in_rtstruct(Path(path), pixel_mm=pixel_mm), [Path(path)], labels)
    return rois if grid is None else RoiSet(tuple(_on_grid(roi, grid) for roi in rois), grid)


def read_rois(paths: list[Path], labels: Labels | None = None, *, scan: Scan = find_series) -> RoiSet:
    """Regions of several files, with one mapping for all of them; ``scan`` lists the DICOM series at a path."""
    return _name_regions([region for path in paths for region in _regions(path, scan)], paths, labels)


def _on_grid(roi: Roi, grid: Grid) -> Roi:
    """A region on the voxels of ``grid``, with a remark of what was cut off."""
    moved, outside = roi_onto(roi, grid)
    if outside < OUTSIDE:
        return moved
    sentence = f"ROI {roi.name} reaches out of the grid that was asked for; {outside:.1%} of its volume is cut off."
    return replace(
        moved, remarks=(*moved.remarks, Remark("roi-cut-off", {"roi": roi.name, "outside_fraction": outside}, sentence))
    )


def _name_regions(regions: list[_FileRegion], paths: list[Path], labels: Labels | None) -> RoiSet:
    """Regions with the user's names and roles, or the file's, on the file's grid if all have the same."""
    if not regions:
        msg = f"{', '.join(str(p) for p in paths) or 'no file'}: no region that is not empty is here."
        raise InputError(msg, code="regions-missing")
    grid = regions[0].whole if all(r.whole.matches(regions[0].whole) for r in regions) else None
    if labels is None:
        return RoiSet(tuple(_named_by_file(r, paths) for r in regions), grid)
    wanted = {str(key): value for key, value in labels.items()}
    used: set[str] = set()
    rois = []
    for region in regions:
        key = next((k for k in region.keys if k in wanted), None)
        if key is None:
            continue
        used.add(key)
        name, role = wanted[key]
        if role not in ROLES:
            msg = f"The label {key!r} has the unknown role {role!r}; roles are {', '.join(ROLES)}."
            raise InputError(msg, code="role-unknown", role=role)
        rois.append(replace(region.roi, name=name, role=role))
    missing = [k for k in wanted if k not in used]
    if missing:
        there = ", ".join(sorted({k for r in regions for k in r.keys}))
        files = ", ".join(p.name for p in paths)
        msg = f"{files}: no label {', '.join(missing)} here; there are {there or 'none'}."
        raise InputError(msg, code="label-missing", labels=tuple(missing))
    left = [r.keys[0] for r in regions if not set(r.keys) & used]
    if left and rois:
        unused = ", ".join(left)
        remark = Remark(
            "labels-unused", {"labels": unused}, f"Labels without a name in the case are not used: {unused}."
        )
        rois[0] = replace(rois[0], remarks=(*rois[0].remarks, remark))
    return RoiSet(tuple(rois), grid)


def _named_by_file(region: _FileRegion, paths: list[Path]) -> Roi:
    name, roi = region.own_name, region.roi
    if name is None:
        files = ", ".join(p.name for p in paths)
        msg = f"{files}: label {region.keys[0]} has no name; give names and roles with labels (label = name and role)."
        raise InputError(msg, code="label-without-name", label=region.keys[0])
    if region.role is not None:
        return replace(roi, name=name, role=region.role)
    role, remark = _role_of(name, roi)
    return replace(roi, name=name, role=role, remarks=(*roi.remarks, remark))


def _role_of(name: str, roi: Roi) -> tuple[str, Remark]:
    """The role that a region's name says, or its codes where the name says none."""
    role, coded = role_from_name(name), role_from_codes(roi.codes)
    by_name = f"ROI {name} has the role {role}, taken from its name."
    if coded in ("other", role):
        return role, Remark("role-from-name", {"roi": name, "role": role}, by_name)
    known = ", ".join(str(c) for c in roi.codes if role_from_codes([c]) == coded)
    if role == "other":
        sentence = f"ROI {name} has the role {coded}, taken from its code in the file: {known}."
        return coded, Remark("role-from-code", {"roi": name, "role": coded}, sentence)
    sentence = f"{by_name} Its code in the file, {known}, alone would say {coded}."
    return role, Remark("role-from-name-against-code", {"roi": name, "role": role, "coded": coded}, sentence)


def _regions(path: Path, scan: Scan) -> list[_FileRegion]:
    if not path.exists():
        msg = f"{path}: there is no such file or folder."
        raise InputError(msg, code="file-missing")
    if not path.is_dir():
        if path.name.casefold().endswith(SUFFIXES):
            return _in_file(path, whole_file_is_one=False)
        return _in_dicom(path, scan)
    files = sorted(p for p in path.iterdir() if p.name.casefold().endswith(SUFFIXES) and not p.name.startswith("."))
    if not files:
        return _in_dicom(path, scan)
    return [region for file in files for region in _in_file(file, whole_file_is_one=True)]


def _in_dicom(path: Path, scan: Scan) -> list[_FileRegion]:
    """Regions of the one SEG or RTSTRUCT in a folder, or of that file."""
    series = scan(path)
    files = [
        (s.modality, file, header)
        for s in series
        for file, header in zip(s.paths, s.headers, strict=True)
        if s.modality in ("SEG", "RTSTRUCT")
    ]
    if len(files) != 1:
        listed = "; ".join(str(s) for s in series) or "no DICOM file"
        msg = f"{path}: one SEG or RTSTRUCT, or masks ({', '.join(SUFFIXES)}), are needed, found {listed}. Name the one file."
        raise InputError(msg, code="regions-several" if files else "regions-missing", count=len(files))
    modality, file, header = files[0]
    return _in_seg(file) if modality == "SEG" else _in_rtstruct(file, header)


def _in_seg(path: Path) -> list[_FileRegion]:
    return [_FileRegion((s.label, str(s.number)), s.label, s.region, s.whole, s.role) for s in read_segments(path)]


def _in_rtstruct(path: Path, header: Dataset | None = None, *, pixel_mm: float | None = None) -> list[_FileRegion]:
    structures, empty = read_structures(path, header=header, pixel_mm=pixel_mm)
    remarks: tuple[Remark, ...] = ()
    if empty:
        names = ", ".join(empty)
        remarks = (
            Remark("roi-without-contours", {"rois": names}, f"ROIs without closed contours are left out: {names}."),
        )
    return [
        _FileRegion(
            (s.name, str(s.number)), s.name, replace(s.region, remarks=s.region.remarks + remarks), s.region.grid
        )
        for s in structures
    ]


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


class _SlicerSegment(NamedTuple):
    """One segment of a 3D Slicer ``.seg.nrrd``."""

    name: str
    value: int
    layer: int


def _in_file(path: Path, *, whole_file_is_one: bool) -> list[_FileRegion]:
    values, grid, texts = read_array(path)
    remarks = header_remarks(texts)
    if not np.isfinite(values).all():
        msg = f"{path}: holds values that are not numbers; labels must be whole numbers."
        raise InputError(msg, code="value-not-finite")
    segments = _slicer_segments(texts)
    if segments:
        layers = {s.layer: _masks(_layer(values, s.layer)) for s in segments}
        return [
            _FileRegion((s.name, str(s.value)), s.name, layers[s.layer][s.value].roi(s.name, grid, remarks), grid)
            for s in segments
            if s.value in layers[s.layer]
        ]
    if values.ndim != 3:
        msg = f"{path}: holds {values.shape[-1]} components per voxel but no segment names; one label per voxel is needed."
        raise InputError(msg, code="dimensions-not-three")
    if values.dtype.kind == "f" and any(not np.array_equal(part, np.rint(part)) for part in values):
        return [_fractional(path, values, grid, remarks)]
    if values.min() < 0:
        msg = f"{path}: a label is negative ({float(values.min()):g}); labels must be 0 (background) or above."
        raise InputError(msg, code="labels-not-whole")
    names = {int(k.removeprefix("label:")): v for k, v in texts.items() if k.startswith("label:") and k[6:].isdigit()}
    masks = _masks(values)
    if not masks:
        msg = f"{path}: every voxel is 0, so the file holds no region."
        raise InputError(msg, code="regions-missing")
    first = next(iter(masks))
    if len(masks) == 1 and (whole_file_is_one or first not in names):
        roi = masks[first].roi(stem(path), grid, remarks)
        return [_FileRegion((stem(path), str(first)), stem(path), roi, grid)]
    if whole_file_is_one:
        msg = f"{path}: {len(masks)} labels in a folder of masks; give one mask per file, or this file alone."
        raise InputError(msg, code="mask-with-several-labels")
    if len(masks) > 1:
        sentence = f"In {path.name} a voxel has one label: a liver label there does not hold its tumors."
        remarks = (*remarks, Remark("label-map-without-overlap", {"labels": len(masks)}, sentence))
    return [
        _FileRegion(
            (str(v), names[v]) if v in names else (str(v),),
            names.get(v),
            mask.roi(names.get(v, str(v)), grid, remarks, source_name=names.get(v, "")),
            grid,
        )
        for v, mask in masks.items()
    ]


def _fractional(path: Path, values: npt.NDArray[Any], grid: Grid, remarks: tuple[Remark, ...]) -> _FileRegion:
    """The one region of a map of fractions."""
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 1:
        msg = f"{path}: values from {low:g} to {high:g} are neither whole labels nor fractions from 0 to 1."
        raise InputError(msg, code="labels-not-whole")
    whole = _Mask(tuple(slice(0, n) for n in values.shape), values)
    return _FileRegion((stem(path), "1"), stem(path), whole.roi(stem(path), grid, remarks), grid)


def _masks(values: npt.NDArray[Any]) -> dict[int, _Mask]:
    """Every label but 0 of a map of whole numbers."""
    boxes: dict[int, tuple[slice, ...]] = {}
    for k, part in enumerate(values):  # a slice at a time, so that a large map is not copied
        for label in np.unique(part):
            if label == 0:
                continue
            in_slice = (slice(k, k + 1), *(bounding_box(part == label) or ()))
            boxes[int(label)] = _both(boxes.get(int(label), in_slice), in_slice)
    return {label: _Mask(box, values[box] == label) for label, box in sorted(boxes.items())}


def _both(one: tuple[slice, ...], other: tuple[slice, ...]) -> tuple[slice, ...]:
    """The smallest box that holds two."""
    return tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True))


def _slicer_segments(texts: dict[str, str]) -> list[_SlicerSegment]:
    """The segments that the header of a file names; none if it is no ``.seg.nrrd``."""
    segments = []
    for n in range(len(texts)):
        value = texts.get(f"Segment{n}_LabelValue")
        if value is None:
            break
        name = texts.get(f"Segment{n}_Name", f"Segment_{n}")
        segments.append(_SlicerSegment(name, int(value), int(texts.get(f"Segment{n}_Layer", "0"))))
    return segments


def _layer(values: npt.NDArray[Any], layer: int) -> npt.NDArray[Any]:
    return values if values.ndim == 3 else values[..., layer]
