"""Reconstructed SPECT (NM) of any vendor's layout to counts or Bq/mL; raw and planar views are refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.errors import InputError
from voxeldose.io.damage import refusing_damage
from voxeldose.io.dicom.emission import emission_remarks, require_emission
from voxeldose.io.dicom.files import Series, only_series
from voxeldose.io.dicom.header import count, frame_header, items, number, stated_number, text, whole_numbers, words
from voxeldose.io.dicom.instants import format_instant, instant, stated_zone, whole_instant, zone_remarks
from voxeldose.io.dicom.nuclide import nuclide_of
from voxeldose.io.dicom.options import SpectOptions
from voxeldose.io.dicom.pixels import stored_pixels
from voxeldose.io.dicom.planes import (
    Plane,
    image_axes,
    pixel_spacing,
    planes_of,
    require_finite,
    rescale,
    vector,
    volume_of,
)
from voxeldose.io.dicom.units import (
    MAPPED,
    Mapping,
    bq_per_ml_mapping,
    bq_per_ml_of,
    require_possible_activity,
    unused_mappings,
)
from voxeldose.model.grid import Grid, towards_lps
from voxeldose.model.remarks import Remark
from voxeldose.model.volume import ActivityMap, CountMap, Volume

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from voxeldose.model.arrays import Floats

__all__ = ["nm_activity", "nm_volume", "read_spect"]

#: What Image Type's third value says an NM image is, where it is no volume.
_NO_VOLUME = {
    "STATIC": "planar views",
    "WHOLE BODY": "planar whole-body views",
    "DYNAMIC": "planar frames in time",
    "GATED": "planar frames by heart phase",
    "TOMO": "raw projections; reconstruct them first",
    "GATED TOMO": "raw projections by heart phase; reconstruct them first",
    "RECON GATED TOMO": "one volume per heart phase; export their sum",
}


@refusing_damage
def read_spect(
    path: str | Path, *, zone: tzinfo = UTC, series_uid: str | None = None, options: SpectOptions | None = None
) -> CountMap | ActivityMap:
    """A reconstructed SPECT (NM, RECON TOMO): counts, or Bq/mL where a Real World Value Mapping says so.

    The geometry is that of the Detector Information Sequence, of the file itself, or of each frame or file; the sign of
    Spacing Between Slices says on which side of the first frame the others lie (PS3.3 C.8.4.15): positive along
    row × column, negative against it.

    Parameters
    ----------
    path : path
        The file, or a folder that holds it.
    zone : tzinfo
        Of the header's times where it does not state one.
    series_uid : str, optional
        Which, if the folder holds several.
    options : SpectOptions, optional
        Energy window and slice spacing, where the file leaves them open.

    Raises
    ------
    InputError
        If it is not one reconstructed volume with position, orientation and spacing.
    """
    series = only_series(Path(path), ("NM",), series_uid)
    return nm_activity(series, zone=zone, options=options or SpectOptions())


def nm_activity(series: Series, *, zone: tzinfo, options: SpectOptions) -> CountMap | ActivityMap:
    """:func:`read_spect` of a series already found."""
    found = _load_volume(series, options)
    header, grid = series.first, found.grid
    nuclide = nuclide_of(header)
    started = min((at for h in series.headers if (at := _acquisition_start(h, zone)) is not None), default=None)
    remarks = (*found.remarks, *zone_remarks(header, zone), *emission_remarks(header))
    if not found.is_bq_per_ml:
        return CountMap(found.values, grid, radionuclide=nuclide, at=started, modality="NM", remarks=remarks)
    require_possible_activity(float(found.values.max()), str(series.folder))
    stated = whole_instant(header.get("DecayCorrectionDateTime"), stated_zone(header) or zone)
    at = stated or started
    if at is None:
        sentence = "The NM header has no usable acquisition date and time; give it with measured_at (--measured-at)."
        remarks = (*remarks, Remark("spect-instant-missing", {}, sentence))
    elif stated is None:
        sentence = (
            f"SPECT values in Bq/mL are taken to hold at the start of the acquisition, {format_instant(at)}; if the "
            "software corrected them to another instant, give it with measured_at (--measured-at)."
        )
        remarks = (*remarks, Remark("spect-instant-start", {"at": at.isoformat()}, sentence))
    return ActivityMap(
        found.values, grid, at=at, radionuclide=nuclide, acquired_at=started, modality="NM", remarks=remarks
    )


def nm_volume(series: Series) -> Volume:
    """Stored value times slope plus intercept, or by the mapping to Bq/mL, of a reconstructed NM series."""
    found = _load_volume(series, SpectOptions())
    return Volume(found.values, found.grid, remarks=found.remarks)


def _acquisition_start(header: Dataset, zone: tzinfo) -> datetime | None:
    at = instant(header, "AcquisitionDate", "AcquisitionTime", zone)
    return at or whole_instant(header.get("AcquisitionDateTime"), stated_zone(header) or zone)


@dataclass(frozen=True, eq=False)
class _Loaded:
    """One volume, remarks on it, and whether a mapping or units made its values Bq/mL."""

    values: Floats
    grid: Grid
    remarks: tuple[Remark, ...]
    is_bq_per_ml: bool


def _load_volume(series: Series, options: SpectOptions) -> _Loaded:
    """The volume of a reconstructed NM series, scaled."""
    for path, header in zip(series.paths, series.headers, strict=True):
        _require_volume(header, str(path))
        require_emission(header, str(path))
    planes = _planes(series)
    mappings = [_mapping(p) for p in planes]
    if len({m is None for m in mappings}) > 1:
        msg = f"{series.folder}: only some slices have a mapping to Bq/mL; export one series."
        raise InputError(msg, code="mappings-differ")
    scales = [(m.line.slope, m.line.intercept) if m else rescale(p) for p, m in zip(planes, mappings, strict=True)]
    remarks = (*unused_mappings(planes[0].header), *{m.remark.sentence: m.remark for m in mappings if m}.values())
    if len(series.paths) > 1 or _places_differ(planes):
        by_plane = {id(p): scale for p, scale in zip(planes, scales, strict=True)}
        values, grid, more = volume_of(planes, series, lambda plane: by_plane[id(plane)])
    else:
        values, grid, more = _by_spacing(planes, scales, options)
    return _Loaded(values, grid, (*remarks, *more), mappings[0] is not None)


def _planes(series: Series) -> list[Plane]:
    """The slices of one multi-frame file, or of a series with one per file."""
    if len(series.paths) == 1:
        return _frames_of(series.paths[0], series.first)
    if any(count(h, "NumberOfFrames", 1) > 1 for h in series.headers):
        msg = (
            f"{series.folder}: a reconstructed SPECT is one multi-frame file, found {len(series.paths)} in the series. "
            "Give the one file to use."
        )
        raise InputError(msg, code="series-several", files=len(series.paths))
    return planes_of(series)


def _frames_of(path: Path, header: Dataset) -> list[Plane]:
    """Every frame with the header that describes it: functional groups, or a detector item of its own."""
    frames = max(count(header, "NumberOfFrames", 1), 1)
    grouped = "SharedFunctionalGroupsSequence" in header or "PerFrameFunctionalGroupsSequence" in header
    planes = [Plane(path, frame_header(header, n) if grouped else header, n) for n in range(frames)]
    detectors = _detectors_with_place(header)
    places = {tuple(vector(d, "ImagePositionPatient", 3, str(path))) for d in detectors}
    if frames > 1 and len(detectors) == len(places) == frames:
        planes = [Plane(path, _with_place(p.header, d), p.frame) for p, d in zip(planes, detectors, strict=True)]
    return planes


def _with_place(header: Dataset, detector: Dataset) -> Dataset:
    """The header with position, and orientation if there is one, of a detector item."""
    placed = frame_header(header, 0)
    placed.ImagePositionPatient = detector.ImagePositionPatient
    if detector.get("ImageOrientationPatient") is not None:
        placed.ImageOrientationPatient = detector.ImageOrientationPatient
    return placed


def _places_differ(planes: list[Plane]) -> bool:
    """Whether each frame states a place, and not all the same."""
    if any(p.header.get("ImagePositionPatient") is None for p in planes):
        return False
    return len({tuple(vector(p.header, "ImagePositionPatient", 3, str(p))) for p in planes}) > 1


def _by_spacing(
    planes: list[Plane], scales: list[tuple[float, float]], options: SpectOptions
) -> tuple[Floats, Grid, tuple[Remark, ...]]:
    """Frames from the first one's position on, by Spacing Between Slices."""
    path, header = planes[0].path, planes[0].header
    placed, of_place = _place_item(header, str(path))
    stored = stored_pixels(path, header)
    if stored.ndim == 3 and len(stored) != len(planes):
        msg = f"{path}: holds {len(stored)} frames where the header says {len(planes)}. Copy or export it again."
        raise InputError(msg, code="pixels-differ", stored=len(stored), stated=len(planes))
    chosen, of_frames = _frames(header, stored.shape, options, str(path))
    row, column = image_axes(placed, str(path))
    spacing = pixel_spacing(header, str(path))
    between, of_spacing = _between(header, options, str(path))
    affine = np.eye(4)
    affine[:3, 0] = np.cross(row, column) * between
    affine[:3, 1] = column * spacing[0]
    affine[:3, 2] = row * spacing[1]
    affine[:3, 3] = vector(placed, "ImagePositionPatient", 3, str(path))
    with np.errstate(over="ignore"):
        values = np.stack([stored[n] * scales[n][0] + scales[n][1] for n in chosen]).astype(np.float32)
    require_finite(values, planes[0])
    shape = (values.shape[0], values.shape[1], values.shape[2])
    grid = Grid(shape, affine, text(header, "FrameOfReferenceUID") or None)
    return *towards_lps(values, grid), (*of_place, *of_frames, *of_spacing)


def _require_volume(header: Dataset, where: str) -> None:
    kind = words(header, "ImageType")
    found = kind[2] if len(kind) > 2 else "none"
    if found != "RECON TOMO":
        what = _NO_VOLUME.get(found, "planar views and projections are no volume")
        msg = f"{where}: Image Type says {found}, not RECON TOMO: {what}. Give the reconstructed volume."
        raise InputError(msg, code="not-reconstructed", image_type=found)


@dataclass(frozen=True)
class _Scaled:
    """The line to Bq/mL of a slice, and the remark on where it comes from."""

    line: Mapping
    remark: Remark


def _mapping(plane: Plane) -> _Scaled | None:
    """The line to Bq/mL of a Real World Value Mapping, or of units that some vendors write into NM."""
    line = bq_per_ml_mapping(plane)
    if line:
        return _Scaled(line, MAPPED)
    units = text(plane.header, "Units")
    factor = bq_per_ml_of(units)
    if factor is None or number(plane.header, "RescaleSlope") is None:
        return None
    slope, intercept = rescale(plane)
    sentence = f"Units (0054,1001) of the NM file are {units}; its values are taken as Bq/mL."
    return _Scaled(
        Mapping(slope * factor, intercept * factor, "Bq/mL"), Remark("spect-units-used", {"units": units}, sentence)
    )


def _detectors_with_place(header: Dataset) -> list[Dataset]:
    return [d for d in items(header, "DetectorInformationSequence") if d.get("ImagePositionPatient")]


def _place_item(header: Dataset, where: str) -> tuple[Dataset, tuple[Remark, ...]]:
    """The item that holds position and orientation: of the detector, or the file's own top level."""
    detectors = _detectors_with_place(header)
    if not detectors and header.get("ImagePositionPatient"):
        sentence = "Position and orientation are those at the top of the NM file; its detectors have none."
        return header, (Remark("spect-place-of-file", {}, sentence),)
    if not detectors:
        msg = (
            f"{where}: the Detector Information Sequence holds no Image Position (Patient), so the place of the volume is "
            "unknown. Export it again with geometry, or convert it to NIfTI with the right affine."
        )
        raise InputError(msg, code="geometry-missing", keyword="ImagePositionPatient")
    first = detectors[0]
    if first.get("ImageOrientationPatient") is None and header.get("ImageOrientationPatient") is not None:
        first = _with_place(header, first)
    if all(d.get("ImagePositionPatient") == detectors[0].get("ImagePositionPatient") for d in detectors[1:]):
        return first, ()
    sentence = f"{len(detectors)} detectors state different positions; a reconstructed volume lies at the first's."
    return first, (Remark("spect-detectors-differ", {"detectors": len(detectors)}, sentence),)


def _between(header: Dataset, options: SpectOptions, where: str) -> tuple[float, tuple[Remark, ...]]:
    """Spacing Between Slices with its sign."""
    stated = stated_number(header, "SpacingBetweenSlices", where)
    if stated:
        return stated, ()
    spacing = options.slice_spacing_mm
    if spacing:
        sentence = f"Slices of the SPECT are {spacing:g} mm apart, as the user says."
        return spacing, (Remark("spect-spacing-of-user", {"spacing_mm": spacing}, sentence),)
    thick = number(header, "SliceThickness") or 4
    msg = (
        f"{where}: Spacing Between Slices (0018,0088) is missing; its sign says on which side the slices lie, so Slice "
        f"Thickness cannot stand in. Export the volume again, or give slice_spacing_mm = {thick:g} if the frames follow "
        f"row × column, {-thick:g} if they run against it (--slice-spacing-mm)."
    )
    raise InputError(msg, code="slice-spacing-missing", keys=("activity.slice_spacing_mm",))


def _frames(
    header: Dataset, shape: tuple[int, ...], options: SpectOptions, where: str
) -> tuple[list[int], tuple[Remark, ...]]:
    """Which frames make the volume, in the order of their places."""
    if len(shape) != 3:
        msg = f"{where}: a volume needs several frames, found pixels of shape {shape}."
        raise InputError(msg, code="slices-too-few")
    frames = shape[0]
    chosen, remarks = _of_window(header, frames, options.energy_window, where)
    slices = whole_numbers(header, "SliceVector")
    slices = [slices[n] for n in chosen] if len(slices) == frames else slices
    if len(chosen) < 2 or (slices and slices != list(range(1, len(chosen) + 1))):
        msg = (
            f"{where}: Slice Vector (0054,0080) does not number the frames 1 to {len(chosen)}; several volumes or another "
            "order are stored. Export one volume."
        )
        raise InputError(msg, code="slices-unordered", slices=len(chosen))
    return chosen, remarks


def _of_window(header: Dataset, frames: int, wanted: int | None, where: str) -> tuple[list[int], tuple[Remark, ...]]:
    """The frames of the wanted energy window; all of them where the file holds one window."""
    windows = whole_numbers(header, "EnergyWindowVector")
    names = _window_names(header)
    several = max(count(header, "NumberOfEnergyWindows", 1), len(set(windows)))
    everything = list(range(frames))
    if wanted is None:
        if several > 1 and len(set(windows)) != 1:
            msg = (
                f"{where}: {several} energy windows are stored in one file ({', '.join(names) or 'without names'}); choose "
                "one by energy_window = 1 and so on in [activity] (--energy-window), or export the one to use."
            )
            raise InputError(msg, code="energy-windows-several", windows=several, keys=("activity.energy_window",))
        return everything, ()
    if not 1 <= wanted <= several:
        msg = f"{where}: energy_window = {wanted}, but the file holds windows 1 to {several} ({', '.join(names)})."
        raise InputError(msg, code="energy-window-missing", energy_window=wanted, windows=several)
    chosen = everything
    if len(windows) == frames:
        chosen = [n for n, w in enumerate(windows) if w == wanted]
    elif several > 1 and frames != count(header, "NumberOfSlices", frames):
        msg = f"{where}: no Energy Window Vector (0054,0010) says which frames belong to which window; export one."
        raise InputError(msg, code="energy-window-vector-missing")
    name = names[wanted - 1] if wanted <= len(names) else str(wanted)
    sentence = f"Energy window {wanted} ({name}) of {several} is read, as asked."
    return chosen, (Remark("energy-window-chosen", {"energy_window": wanted, "windows": several}, sentence),)


def _window_names(header: Dataset) -> list[str]:
    names = []
    for n, item in enumerate(items(header, "EnergyWindowInformationSequence"), start=1):
        limits = [
            f"{number(r, 'EnergyWindowLowerLimit') or 0:g}-{number(r, 'EnergyWindowUpperLimit') or 0:g} keV"
            for r in items(item, "EnergyWindowRangeSequence")
        ]
        name = text(item, "EnergyWindowName")
        names.append(" ".join(filter(None, [f"{n}:", name, "+".join(limits)])))
    return names
