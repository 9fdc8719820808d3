"""Regions of any format: label maps, ``.seg.nrrd``, folders of one mask a file, DICOM SEG and RTSTRUCT.

A region gets its name and role from the user where given, else from the file, and the results say which.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxeldose.errors import InputError
from voxeldose.io.arrays import SUFFIXES, read_array, stem
from voxeldose.io.damage import refusing_damage
from voxeldose.io.dicom.files import find_series
from voxeldose.io.dicom.rtstruct import find_structures
from voxeldose.io.dicom.seg import find_segments
from voxeldose.model.grid import bounding_box
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.roles import ROLES, role_from_codes, role_from_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from voxeldose.model.grid import Grid

    Labels = Mapping[int, tuple[str, str]] | Mapping[str, tuple[str, str]] | Mapping[int | str, tuple[str, str]]

__all__ = ["read_labels", "read_rois", "read_rtstruct", "read_seg"]


@dataclass(frozen=True, eq=False)
class _Found:
    """One region as it stands in a file: the keys it may be called by, the region, and the file's whole grid."""

    keys: tuple[str, ...]
    own_name: str | None
    region: Roi
    whole: Grid
    role: str | None = None


@refusing_damage
def read_labels(path: str | Path, labels: Labels | None = None) -> RoiSet:
    """Regions of one label map, mask, or folder of masks.

    Parameters
    ----------
    path : path
        ``.nii``, ``.nii.gz``, ``.nrrd``, ``.seg.nrrd``, ``.mha``, or a folder with one mask a file.
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
    return RoiSet(*_named(_in_seg(Path(path)), [Path(path)], labels))


@refusing_damage
def read_rtstruct(path: str | Path, labels: Labels | None = None) -> RoiSet:
    """Regions of an RTSTRUCT; ``labels`` as in :func:`read_labels`, by ROI number or name.

    Each region is rasterised on a grid of its own in the planes of its contours, by the even-odd rule over all contours
    of a plane, with exact coverage of border pixels; no image is needed.
    """
    return RoiSet(*_named(_in_rtstruct(Path(path)), [Path(path)], labels))


def read_rois(paths: list[Path], labels: Labels | None = None) -> RoiSet:
    """Regions of several files, with one mapping for all of them."""
    return RoiSet(*_named([region for path in paths for region in _regions(path)], paths, labels))


def _named(found: list[_Found], paths: list[Path], labels: Labels | None) -> tuple[tuple[Roi, ...], Grid | None]:
    """Regions with the user's names and roles, or the file's, and their grid if all have the same."""
    if not found:
        msg = f"{', '.join(str(p) for p in paths) or 'no file'}: no region that is not empty is here."
        raise InputError(msg)
    shared = found[0].whole if all(one.whole.matches(found[0].whole) for one in found) else None
    if labels is None:
        return tuple(_named_by_file(one, paths) for one in found), shared
    wanted = {str(key): value for key, value in labels.items()}
    used: set[str] = set()
    rois = []
    for one in found:
        key = next((k for k in one.keys if k in wanted), None)
        if key is None:
            continue
        used.add(key)
        name, role = wanted[key]
        if role not in ROLES:
            msg = f"The label {key!r} has the unknown role {role!r}; roles are {', '.join(ROLES)}."
            raise InputError(msg)
        rois.append(replace(one.region, name=name, role=role))
    missing = [k for k in wanted if k not in used]
    if missing:
        there = ", ".join(sorted({k for one in found for k in one.keys}))
        files = ", ".join(p.name for p in paths)
        msg = f"{files}: no label {', '.join(missing)} here; there are {there or 'none'}."
        raise InputError(msg)
    left = [one.keys[0] for one in found if not set(one.keys) & used]
    if left and rois:
        note = f"Labels without a name in the case are not used: {', '.join(left)}."
        rois[0] = replace(rois[0], remarks=(*rois[0].remarks, note))
    return tuple(rois), shared


def _named_by_file(found: _Found, paths: list[Path]) -> Roi:
    name, region = found.own_name, found.region
    if name is None:
        files = ", ".join(p.name for p in paths)
        msg = f"{files}: label {found.keys[0]} has no name; give names and roles with labels (label = name and role)."
        raise InputError(msg)
    if found.role is not None:
        return replace(region, name=name, role=found.role)
    role, coded = role_from_name(name), role_from_codes(region.codes)
    note = f"ROI {name} has the role {role}, taken from its name."
    if coded not in ("other", role):
        known = ", ".join(str(c) for c in region.codes if role_from_codes([c]) == coded)
        if role == "other":
            role, note = coded, f"ROI {name} has the role {coded}, taken from its code in the file: {known}."
        else:
            note += f" Its code in the file, {known}, alone would say {coded}."
    return replace(region, name=name, role=role, remarks=(*region.remarks, note))


def _regions(path: Path) -> list[_Found]:
    if not path.exists():
        msg = f"{path}: there is no such file or folder."
        raise InputError(msg)
    if not path.is_dir():
        if path.name.casefold().endswith(SUFFIXES):
            return _in_file(path, whole_file_is_one=False)
        return _in_dicom(path)
    files = sorted(p for p in path.iterdir() if p.name.casefold().endswith(SUFFIXES) and not p.name.startswith("."))
    if not files:
        return _in_dicom(path)
    return [region for file in files for region in _in_file(file, whole_file_is_one=True)]


def _in_dicom(path: Path) -> list[_Found]:
    """Regions of the one SEG or RTSTRUCT in a folder, or of that file."""
    series = find_series(path)
    files = [(s.modality, p) for s in series for p in s.paths if s.modality in ("SEG", "RTSTRUCT")]
    if len(files) != 1:
        listed = "; ".join(str(s) for s in series) or "no DICOM file"
        msg = f"{path}: one SEG or RTSTRUCT, or masks ({', '.join(SUFFIXES)}), are needed, found {listed}. Name the one file."
        raise InputError(msg)
    modality, file = files[0]
    return _in_seg(file) if modality == "SEG" else _in_rtstruct(file)


def _in_seg(path: Path) -> list[_Found]:
    return [_Found((s.label, str(s.number)), s.label, s.region, s.whole, s.role) for s in find_segments(path)]


def _in_rtstruct(path: Path) -> list[_Found]:
    found, empty = find_structures(path)
    remarks = (f"ROIs without closed contours are left out: {', '.join(empty)}.",) if empty else ()
    return [
        _Found((s.name, str(s.number)), s.name, replace(s.region, remarks=s.region.remarks + remarks), s.region.grid)
        for s in found
    ]


def _in_file(path: Path, *, whole_file_is_one: bool) -> list[_Found]:
    values, grid, texts = read_array(path)
    remarks = (texts["note"],) if "note" in texts else ()
    if not np.isfinite(values).all():
        msg = f"{path}: holds values that are not numbers; labels must be whole numbers."
        raise InputError(msg)
    segments = _slicer_segments(texts)
    if segments:
        layers = {layer: _masks(_layer(values, layer)) for _, _, layer in segments}
        return [
            _Found((name, str(value)), name, _region(name, layers[layer][value], grid, remarks), grid)
            for name, value, layer in segments
            if value in layers[layer]
        ]
    if values.ndim != 3:
        msg = f"{path}: holds {values.shape[-1]} components a voxel but no segment names; one label a voxel is needed."
        raise InputError(msg)
    low, high = float(values.min()), float(values.max())
    if values.dtype.kind == "f" and any(not np.array_equal(part, np.rint(part)) for part in values):
        if low < 0 or high > 1:
            msg = f"{path}: values from {low:g} to {high:g} are neither whole labels nor fractions from 0 to 1."
            raise InputError(msg)
        whole = (tuple(slice(0, n) for n in values.shape), values)
        return [_Found((stem(path), "1"), stem(path), _region(stem(path), whole, grid, remarks), grid)]
    if low < 0:
        msg = f"{path}: a label is negative ({low:g}); labels must be 0 (background) or above."
        raise InputError(msg)
    masks = _masks(values)
    marked = list(masks)
    if not marked:
        msg = f"{path}: every voxel is 0, so the file holds no region."
        raise InputError(msg)
    names = {int(k.removeprefix("label:")): v for k, v in texts.items() if k.startswith("label:") and k[6:].isdigit()}
    if len(marked) == 1 and (whole_file_is_one or marked[0] not in names):
        region = _region(stem(path), masks[marked[0]], grid, remarks)
        return [_Found((stem(path), str(marked[0])), stem(path), region, grid)]
    if whole_file_is_one:
        msg = f"{path}: {len(marked)} labels in a folder of masks; give one mask a file, or this file alone."
        raise InputError(msg)
    if len(marked) > 1:
        remarks = (*remarks, f"In {path.name} a voxel has one label: a liver label there does not hold its tumors.")
    return [
        _Found(
            (str(v), names[v]) if v in names else (str(v),),
            names.get(v),
            _region(names.get(v, str(v)), masks[v], grid, remarks, source_name=names.get(v, "")),
            grid,
        )
        for v in marked
    ]


def _masks(values: npt.NDArray[Any]) -> dict[int, tuple[tuple[slice, ...], npt.NDArray[Any]]]:
    """Every label but 0 of a map of whole numbers: its box, and its mask in that box."""
    found: dict[int, list[slice]] = {}
    for k, part in enumerate(values):  # a slice at a time, so that a large map is not copied
        for label in np.unique(part):
            if label == 0:
                continue
            rows, columns = bounding_box(part == label) or (slice(0), slice(0))
            new = slice(k, k + 1), rows, columns
            old = found.get(int(label), list(new))
            found[int(label)] = [
                slice(min(int(a.start), int(b.start)), max(int(a.stop), int(b.stop)))
                for a, b in zip(old, new, strict=True)
            ]
    return {label: (tuple(box), values[tuple(box)] == label) for label, box in sorted(found.items())}


def _region(
    name: str,
    part: tuple[tuple[slice, ...], npt.NDArray[Any]],
    grid: Grid,
    remarks: tuple[str, ...],
    source_name: str | None = None,
) -> Roi:
    box, mask = part
    window = grid.window([s.start for s in box], mask.shape)
    return Roi(name, "other", mask, window, remarks, source_name=name if source_name is None else source_name)


def _slicer_segments(texts: dict[str, str]) -> list[tuple[str, int, int]]:
    """Name, label value and layer of the segments of a 3D Slicer ``.seg.nrrd``."""
    found = []
    for n in range(len(texts)):
        value = texts.get(f"Segment{n}_LabelValue")
        if value is None:
            break
        found.append(
            (texts.get(f"Segment{n}_Name", f"Segment_{n}"), int(value), int(texts.get(f"Segment{n}_Layer", "0")))
        )
    return found


def _layer(values: npt.NDArray[Any], layer: int) -> npt.NDArray[Any]:
    return values if values.ndim == 3 else values[..., layer]
