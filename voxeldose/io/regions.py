"""Regions of any format: label maps, ``.seg.nrrd``, folders of one mask per file, DICOM SEG and RTSTRUCT.

A region gets its name and role from the user where given, else from the file, and the results say which.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from voxeldose.errors import InputError
from voxeldose.geometry.resample import roi_onto
from voxeldose.io.arrays import SUFFIXES, stem
from voxeldose.io.damage import refusing_damage
from voxeldose.io.dicom.cited import CitedImages
from voxeldose.io.dicom.files import find_series
from voxeldose.io.dicom.segments import read_segments
from voxeldose.io.dicom.structures import read_structures
from voxeldose.io.found_regions import FileRegion, FoundRegions, SetAside, label_key, remarks_of_parts
from voxeldose.io.label_files import regions_in_file
from voxeldose.model.remarks import Remark
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.roles import ROLES, role_from_codes, role_from_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydicom.dataset import Dataset

    from voxeldose.io.dicom.files import Scan, Series
    from voxeldose.model.grid import Grid

    Labels = Mapping[int, tuple[str, str]] | Mapping[str, tuple[str, str]] | Mapping[int | str, tuple[str, str]]

__all__ = ["RegionSource", "read_labels", "read_rois", "read_rtstruct", "read_seg"]


#: Why a file in a folder of masks may be none; one that is damaged is refused, unless others are asked for by name.
_NO_MASKS = (
    "dimensions-not-three",
    "labels-not-whole",
    "mask-with-several-labels",
    "regions-missing",
    "value-not-finite",
)
#: A part of a region's volume outside a grid that is no more than rounding.
OUTSIDE = 1e-3


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
def read_seg(path: str | Path, labels: Labels | None = None, *, slices: str | Path | float | None = None) -> RoiSet:
    """Regions of a DICOM SEG.

    Parameters
    ----------
    path : path
        The file.
    labels : mapping, optional
        As in :func:`read_labels`, by segment number or label.
    slices : path or float, optional
        Folder of the series that it cites, whose slices say how far apart those of the SEG are where the file does not; or
        that distance in mm.

    Raises
    ------
    InputError
        If it is no SEG, cannot be decoded, contradicts itself, or nothing says how thick a slice is.
    """
    return name_regions(_in_seg(Path(path), _cited(slices)), [Path(path)], labels)


def _cited(slices: str | Path | float | None) -> CitedImages:
    """What the caller gives of the slices that regions were drawn on."""
    if slices is None:
        return CitedImages()
    if isinstance(slices, str | Path):
        return CitedImages(tuple(s for s in find_series(Path(slices)) if "Rows" in s.first))
    return CitedImages(user_mm=slices)


@refusing_damage
def read_rtstruct(
    path: str | Path,
    labels: Labels | None = None,
    *,
    grid: Grid | None = None,
    pixel_mm: float | None = None,
    slices: str | Path | float | None = None,
) -> RoiSet:
    """Regions of an RTSTRUCT; ``labels`` as in :func:`read_labels`, by ROI number or name.

    Each region is rasterised on a grid of its own in the planes of its contours: nested contours by the even-odd rule, those
    that overlap united, with exact coverage of border pixels. No image is needed but where too few planes show how thick a
    slice is.

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
    slices : path or float, optional
        Folder of the series that it cites, whose slices say how thick those of the contours are where the file does not; or
        that thickness in mm.

    Raises
    ------
    InputError
        If it is no RTSTRUCT, or its contours cannot be used.
    GeometryError
        If ``grid`` lies in another frame of reference, or a region wholly outside of it.
    QuantityError
        If ``pixel_mm`` is not above zero, or makes too many voxels.
    """
    rois = name_regions(_in_rtstruct(Path(path), _cited(slices), pixel_mm=pixel_mm), [Path(path)], labels)
    return rois if grid is None else RoiSet(tuple(_on_grid(roi, grid) for roi in rois), grid)


@dataclass(frozen=True, eq=False)
class RegionSource:
    """How files of regions are read.

    Parameters
    ----------
    scan : callable
        Lists the DICOM series at a path.
    images : tuple of Series
        Image series that a SEG or RTSTRUCT may cite, and whose slices say how thick its own are.
    slice_mm : float, optional
        How thick a slice of a SEG or RTSTRUCT is, as the user says.
    progress : callable, optional
        Called with a few words while a large SEG is read.
    """

    scan: Scan = find_series
    images: tuple[Series, ...] = ()
    slice_mm: float | None = None
    progress: Callable[[str], None] | None = None


_ALONE = RegionSource()


def read_rois(paths: list[Path], labels: Labels | None = None, *, source: RegionSource = _ALONE) -> RoiSet:
    """Regions of several files, with one mapping for all of them.

    Parameters
    ----------
    paths : list of Path
        Files and folders.
    labels : mapping, optional
        As in :func:`read_labels`.
    source : RegionSource
        How they are read.
    """
    found = [_regions(path, source, is_named=labels is not None) for path in paths]
    together = FoundRegions([r for f in found for r in f.regions], [p for f in found for p in f.set_aside])
    return name_regions(together, paths, labels)


def _on_grid(roi: Roi, grid: Grid) -> Roi:
    """A region on the voxels of ``grid``, with a remark of what was cut off."""
    moved, outside = roi_onto(roi, grid)
    if outside < OUTSIDE:
        return moved
    sentence = f"ROI {roi.name} reaches out of the grid that was asked for; {outside:.1%} of its volume is cut off."
    return replace(
        moved, remarks=(*moved.remarks, Remark("roi-cut-off", {"roi": roi.name, "outside_fraction": outside}, sentence))
    )


@refusing_damage
def list_regions(path: str | Path) -> FoundRegions:
    """Everything that a file of regions holds, named or not, and what could not be read of it.

    Raises
    ------
    InputError
        If nothing of it can be read.
    """
    return _regions(Path(path), _ALONE, is_named=True)


def name_regions(found: FoundRegions, paths: list[Path], labels: Labels | None) -> RoiSet:
    """Regions with the user's names and roles, or the file's, on the file's grid if all have the same.

    Raises
    ------
    InputError
        If there is none, one that is wanted is not there, or one has no name and the user gives none.
    """
    regions = found.regions
    wanted = None if labels is None else {label_key(key): value for key, value in labels.items()}
    _require_found(found, paths, wanted)
    grid = regions[0].whole if all(r.whole.matches(regions[0].whole) for r in regions) else None
    aside = remarks_of_parts(found.set_aside)
    if wanted is None:
        rois = [_named_by_file(region, paths) for region in _told_apart(regions)]
        rois[0] = replace(rois[0], remarks=(*rois[0].remarks, *aside))
        return RoiSet(tuple(rois), grid)
    _require_distinct(regions, wanted)
    rois, left = [], []
    for region in regions:
        key = next((k for k in _keys(region) if k in wanted), None)
        if key is None:
            left.append(region.keys[0])
            continue
        name, role = wanted[key]
        if role not in ROLES:
            msg = f"The label {key!r} has the unknown role {role!r}; roles are {', '.join(ROLES)}."
            raise InputError(msg, code="role-unknown", role=role)
        rois.append(replace(region.roi, name=name, role=role))
    if left and rois:
        unused = ", ".join(left)
        sentence = f"Labels without a name in the case are not used: {unused}."
        aside = (Remark("labels-unused", {"labels": unused}, sentence), *aside)
    if rois:
        rois[0] = replace(rois[0], remarks=(*rois[0].remarks, *aside))
    return RoiSet(tuple(rois), grid)


def _keys(part: FileRegion | SetAside) -> tuple[str, ...]:
    return tuple(label_key(k) for k in part.keys)


def _require_found(found: FoundRegions, paths: list[Path], wanted: Mapping[str, tuple[str, str]] | None) -> None:
    """Refuse what is asked for and not there, or there and no region; and files in which there is none at all."""
    regions, files = found.regions, ", ".join(p.name for p in paths)
    there = {k for r in regions for k in _keys(r)}
    for key in wanted or ():
        if key not in there:
            for part in found.set_aside:
                if key in _keys(part):
                    raise part.error
    if not regions:
        for part in found.set_aside:
            if part.error.code != "roi-empty":
                raise part.error
        msg = f"{', '.join(str(p) for p in paths) or 'no file'}: no region that is not empty is here."
        raise InputError(msg, code="regions-missing")
    missing = [k for k in wanted or () if k not in there]
    if missing:
        known = ", ".join(r.keys[0] if len(r.keys) == 1 else f"{r.keys[0]} ({r.keys[-1]})" for r in regions)
        msg = f"{files}: no label {', '.join(missing)} here; there are {known}, by name or number."
        raise InputError(msg, code="label-missing", labels=tuple(missing))


def _require_distinct(regions: list[FileRegion], wanted: Mapping[str, tuple[str, str]]) -> None:
    """Refuse a label that stands for several regions: which one is meant, nobody knows."""
    for key in wanted:
        alike = [r for r in regions if next((k for k in _keys(r) if k in wanted), None) == key]
        if len(alike) > 1:
            listed = ", ".join(f"{r.file} number {r.keys[-1]}" for r in alike)
            msg = f"The label {key!r} stands for {len(alike)} regions ({listed}); choose by number, or by the file."
            raise InputError(msg, code="label-ambiguous", label=key, regions=listed)


def _told_apart(regions: list[FileRegion]) -> list[FileRegion]:
    """Regions of one name in a file with their numbers added, where those differ, and a remark."""
    names = [label_key(r.own_name) for r in regions if r.own_name is not None]
    twice = {n for n in names if names.count(n) > 1}
    told = []
    for region in regions:
        alike = [r for r in regions if r.own_name is not None and label_key(r.own_name) == label_key(region.own_name)]
        if (
            region.own_name is None
            or label_key(region.own_name) not in twice
            or len({r.keys[-1] for r in alike}) < len(alike)
        ):
            told.append(region)
            continue
        name = f"{region.own_name} ({region.keys[-1]})"
        sentence = f"{len(alike)} regions of {region.file} are called {region.own_name}; their numbers tell them apart: {name}."
        remark = Remark("names-told-apart", {"roi": name, "regions": len(alike)}, sentence)
        told.append(replace(region, own_name=name, roi=replace(region.roi, remarks=(*region.roi.remarks, remark))))
    return told


def _named_by_file(region: FileRegion, paths: list[Path]) -> Roi:
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
    by_name = f"Role {role.replace('_', ' ')} taken from the name of ROI {name}."
    if coded in ("other", role):
        return role, Remark("role-from-name", {"roi": name, "role": role}, by_name)
    known = ", ".join(str(c) for c in roi.codes if role_from_codes([c]) == coded)
    if role == "other":
        sentence = f"Role {coded.replace('_', ' ')} taken from the code in the file, {known}, of ROI {name}."
        return coded, Remark("role-from-code", {"roi": name, "role": coded}, sentence)
    sentence = f"{by_name} Its code in the file, {known}, alone would say {coded}."
    return role, Remark("role-from-name-against-code", {"roi": name, "role": role, "coded": coded}, sentence)


def _regions(path: Path, source: RegionSource, *, is_named: bool) -> FoundRegions:
    """What lies at a path; ``is_named`` where the user names the regions that are wanted."""
    if not path.exists():
        msg = f"{path}: there is no such file or folder."
        raise InputError(msg, code="file-missing")
    if not path.is_dir():
        if path.name.casefold().endswith(SUFFIXES):
            return regions_in_file(path, whole_file_is_one=False)
        return _in_dicom(path, source)
    files = sorted(p for p in path.iterdir() if p.name.casefold().endswith(SUFFIXES) and not p.name.startswith("."))
    if not files:
        return _in_dicom(path, source)
    regions: list[FileRegion] = []
    set_aside: list[SetAside] = []
    for file in files:
        try:
            found = regions_in_file(file, whole_file_is_one=True)
        except InputError as error:
            if not is_named and error.code not in _NO_MASKS:
                raise
            set_aside.append(SetAside((stem(file),), stem(file), error))
            continue
        regions += found.regions
        set_aside += found.set_aside
    return FoundRegions(regions, set_aside)


def _in_dicom(path: Path, source: RegionSource) -> FoundRegions:
    """Regions of the one SEG or RTSTRUCT in a folder, or of that file."""
    series = source.scan(path)
    files = [
        (s.modality, file, header)
        for s in series
        for file, header in zip(s.paths, s.headers, strict=True)
        if s.modality in ("SEG", "RTSTRUCT")
    ]
    if len(files) != 1:
        listed = ", ".join(f"{file.name} ({modality})" for modality, file, _ in files)
        listed = listed or "; ".join(str(s) for s in series) or "no DICOM file"
        msg = f"{path}: one SEG or RTSTRUCT, or masks ({', '.join(SUFFIXES)}), are needed, found {listed}. Name the one file."
        raise InputError(msg, code="regions-several" if files else "regions-missing", count=len(files))
    modality, file, header = files[0]
    beside = (s for s in series if "Rows" in s.first and s.modality != "SEG")
    images = CitedImages((*source.images, *beside), source.slice_mm)
    if modality == "SEG":
        return _in_seg(file, images, source.progress)
    return _in_rtstruct(file, images, header=header)


def _in_seg(path: Path, images: CitedImages, progress: Callable[[str], None] | None = None) -> FoundRegions:
    segments, empty = read_segments(path, images=images, progress=progress)
    regions = [FileRegion((s.label, str(s.number)), s.label, s.region, s.whole, s.role, path.name) for s in segments]
    return FoundRegions(regions, empty)


def _in_rtstruct(
    path: Path, images: CitedImages, *, header: Dataset | None = None, pixel_mm: float | None = None
) -> FoundRegions:
    found = read_structures(path, header=header, pixel_mm=pixel_mm, images=images)
    remarks: tuple[Remark, ...] = ()
    if found.without_contours:
        names = ", ".join(found.without_contours)
        remarks = (
            Remark("roi-without-contours", {"rois": names}, f"ROIs without closed contours are left out: {names}."),
        )
    regions = [
        FileRegion(
            (s.name, str(s.number)),
            s.name,
            replace(s.region, remarks=s.region.remarks + remarks),
            s.region.grid,
            file=path.name,
        )
        for s in found.structures
    ]
    return FoundRegions(regions, found.set_aside)
