"""Reconstructed SPECT (NM) of any vendor's layout to counts or Bq/mL; raw and planar views are refused."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.errors import InputError
from voxeldose.io.damage import refusing_damage
from voxeldose.io.dicom.files import Series, only_series
from voxeldose.io.dicom.header import frame_header, number, words
from voxeldose.io.dicom.instants import instant, said_instant, stated_zone, whole_instant, zone_note
from voxeldose.io.dicom.nuclide import nuclide_of
from voxeldose.io.dicom.options import Requests
from voxeldose.io.dicom.planes import (
    Plane,
    image_axes,
    pixel_spacing,
    planes_of,
    rescale,
    stored_pixels,
    vector,
    volume_of,
)
from voxeldose.io.dicom.units import Mapping, bq_per_ml_mapping, bq_per_ml_of, mapping_note
from voxeldose.model.grid import Grid, towards_lps
from voxeldose.model.volume import ActivityMap, CountMap, Volume

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from voxeldose.model.volume import FloatArray

__all__ = ["nm_activity", "nm_volume", "read_spect"]

#: What Image Type's third value says an NM image is, where it is no volume.
_NO_VOLUME = {
    "STATIC": "planar views",
    "WHOLE BODY": "planar whole-body views",
    "DYNAMIC": "planar frames in time",
    "GATED": "planar frames by heart phase",
    "TOMO": "raw projections; reconstruct them first",
    "GATED TOMO": "raw projections by heart phase; reconstruct them first",
    "RECON GATED TOMO": "one volume a heart phase; export their sum",
}


@refusing_damage
def read_spect(
    path: str | Path, *, zone: tzinfo = UTC, series_uid: str | None = None, requests: Requests | None = None
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
    requests : Requests, optional
        Energy window and slice spacing, where the file leaves them open.

    Raises
    ------
    InputError
        If it is not one reconstructed volume with position, orientation and spacing.
    """
    series = only_series(Path(path), ("NM",), series_uid)
    return nm_activity(series, zone=zone, requests=requests or Requests())


def nm_activity(series: Series, *, zone: tzinfo, requests: Requests) -> CountMap | ActivityMap:
    """:func:`read_spect` of a series already found."""
    values, grid, remarks, mapping = _load(series, requests)
    header = series.first
    nuclide = nuclide_of(header)
    started = _started(header, zone)
    remarks = (*remarks, *zone_note(header, zone))
    if mapping is None:
        return CountMap(values, grid, radionuclide=nuclide, at=started, remarks=remarks)
    stated = whole_instant(header.get("DecayCorrectionDateTime"), stated_zone(header) or zone)
    at = stated or started
    if at is None:
        remarks = (
            *remarks,
            "The NM header has no usable acquisition date and time; say it with measured_at (--measured-at).",
        )
    elif stated is None:
        said = (
            f"SPECT values in Bq/mL are taken to hold at the start of the acquisition, {said_instant(at)}; if the "
            "software corrected them to another instant, say it with measured_at (--measured-at)."
        )
        remarks = (*remarks, said)
    return ActivityMap(values, grid, at=at, radionuclide=nuclide, acquired_at=started, remarks=remarks)


def nm_volume(series: Series) -> Volume:
    """Stored value times slope plus intercept, or by the mapping to Bq/mL, of a reconstructed NM series."""
    values, grid, remarks, _ = _load(series, Requests())
    return Volume(values, grid, remarks=remarks)


def _started(header: Dataset, zone: tzinfo) -> datetime | None:
    at = instant(header, "AcquisitionDate", "AcquisitionTime", zone)
    return at or whole_instant(header.get("AcquisitionDateTime"), stated_zone(header) or zone)


def _load(series: Series, requests: Requests) -> tuple[FloatArray, Grid, tuple[str, ...], Mapping | None]:
    """One volume, its remarks, and the mapping to Bq/mL that was applied, if any."""
    for path, header in zip(series.paths, series.headers, strict=True):
        _require_volume(header, str(path))
    if len(series.paths) > 1:
        if any(int(number(h, "NumberOfFrames") or 1) > 1 for h in series.headers):
            msg = (
                f"{series.folder}: a reconstructed SPECT is one multi-frame file, found {len(series.paths)} in the series. "
                "Give the one file to use."
            )
            raise InputError(msg)
        planes = planes_of(series)
    else:
        planes = _frames_of(series.paths[0], series.first)
    header = planes[0].header
    remarks = [note] if (note := mapping_note(header)) else []
    mappings = [_mapping(p, remarks) for p in planes]
    if len({m is None for m in mappings}) > 1:
        msg = f"{series.folder}: only some slices have a mapping to Bq/mL; export one series."
        raise InputError(msg)
    scales = {id(p): (m.slope, m.intercept) if m else rescale(p) for p, m in zip(planes, mappings, strict=True)}
    remarks = list(dict.fromkeys(remarks))
    if len(series.paths) > 1 or _places_differ(planes):
        values, grid, said = volume_of(planes, series, lambda plane: scales[id(plane)])
    else:
        values, grid, said = _by_spacing(planes, [scales[id(p)] for p in planes], requests)
    return values, grid, (*remarks, *said), mappings[0]


def _frames_of(path: Path, header: Dataset) -> list[Plane]:
    """Every frame with what is said of it: functional groups, or a detector item of its own."""
    count = max(int(number(header, "NumberOfFrames") or 1), 1)
    grouped = "SharedFunctionalGroupsSequence" in header or "PerFrameFunctionalGroupsSequence" in header
    planes = [Plane(path, frame_header(header, n) if grouped else header, n) for n in range(count)]
    detectors = _placed_detectors(header)
    places = {tuple(vector(d, "ImagePositionPatient", 3, str(path))) for d in detectors}
    if count > 1 and len(detectors) == len(places) == count:
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
    planes: list[Plane], scales: list[tuple[float, float]], requests: Requests
) -> tuple[FloatArray, Grid, tuple[str, ...]]:
    """Frames from the first one's position on, by Spacing Between Slices."""
    path, header = planes[0].path, planes[0].header
    placed, remarks = _placed(header, str(path))
    stored = stored_pixels(path)
    chosen, said = _frames(header, stored.shape, requests, str(path))
    remarks += said
    row, column = image_axes(placed, str(path))
    spacing = pixel_spacing(header, str(path))
    affine = np.eye(4)
    affine[:3, 0] = np.cross(row, column) * _between(header, requests, str(path), remarks)
    affine[:3, 1] = column * spacing[0]
    affine[:3, 2] = row * spacing[1]
    affine[:3, 3] = vector(placed, "ImagePositionPatient", 3, str(path))
    uid = header.get("FrameOfReferenceUID")
    values = np.stack([stored[n] * scales[n][0] + scales[n][1] for n in chosen]).astype(np.float32)
    grid = Grid((values.shape[0], values.shape[1], values.shape[2]), affine, str(uid) if uid else None)
    return *towards_lps(values, grid), tuple(remarks)


def _require_volume(header: Dataset, where: str) -> None:
    kind = words(header, "ImageType")
    found = kind[2] if len(kind) > 2 else "none"
    if found != "RECON TOMO":
        what = _NO_VOLUME.get(found, "planar views and projections are no volume")
        msg = f"{where}: Image Type says {found}, not RECON TOMO: {what}. Give the reconstructed volume."
        raise InputError(msg)


def _mapping(plane: Plane, remarks: list[str]) -> Mapping | None:
    """The line to Bq/mL of a Real World Value Mapping, or of units that some vendors write into NM."""
    found = bq_per_ml_mapping(plane)
    if found:
        remarks.append("Bq/mL by the Real World Value Mapping of the header.")
        return found
    units = str(plane.header.get("Units", "") or "")
    factor = bq_per_ml_of(units)
    if factor is None or number(plane.header, "RescaleSlope") is None:
        return None
    slope, intercept = rescale(plane)
    remarks.append(f"Units (0054,1001) of the NM file are {units}; its values are taken as Bq/mL.")
    return Mapping(slope * factor, intercept * factor, "Bq/mL")


def _placed_detectors(header: Dataset) -> list[Dataset]:
    return [d for d in header.get("DetectorInformationSequence") or [] if d.get("ImagePositionPatient")]


def _placed(header: Dataset, where: str) -> tuple[Dataset, list[str]]:
    """The item that holds position and orientation: of the detector, or the file's own top level."""
    detectors = _placed_detectors(header)
    if not detectors and header.get("ImagePositionPatient"):
        return header, ["Position and orientation are those at the top of the NM file; its detectors have none."]
    if not detectors:
        msg = (
            f"{where}: the Detector Information Sequence holds no Image Position (Patient), so nobody knows where the volume "
            "lies. Export it again with geometry, or convert it to NIfTI with the right affine."
        )
        raise InputError(msg)
    first = detectors[0]
    if first.get("ImageOrientationPatient") is None and header.get("ImageOrientationPatient") is not None:
        first = _with_place(header, first)
    differ = [d for d in detectors[1:] if d.get("ImagePositionPatient") != detectors[0].get("ImagePositionPatient")]
    note = f"{len(detectors)} detectors state different positions; a reconstructed volume lies at the first's."
    return first, [note] if differ else []


def _between(header: Dataset, requests: Requests, where: str, remarks: list[str]) -> float:
    """Spacing Between Slices with its sign."""
    stated = number(header, "SpacingBetweenSlices")
    if stated:
        return stated
    if requests.slice_spacing_mm:
        remarks.append(f"Slices of the SPECT are {requests.slice_spacing_mm:g} mm apart, as the user says.")
        return requests.slice_spacing_mm
    thick = number(header, "SliceThickness")
    msg = (
        f"{where}: Spacing Between Slices (0018,0088) is missing; its sign says on which side the slices lie, so Slice "
        f"Thickness cannot stand in. Export the volume again, or say slice_spacing_mm = {thick or 4:g} if the frames follow "
        f"row × column, {-(thick or 4):g} if they run against it (--slice-spacing-mm)."
    )
    raise InputError(msg)


def _frames(header: Dataset, shape: tuple[int, ...], requests: Requests, where: str) -> tuple[list[int], list[str]]:
    """Which frames make the volume, in the order of their places."""
    if len(shape) != 3:
        msg = f"{where}: a volume needs several frames, found pixels of shape {shape}."
        raise InputError(msg)
    count = shape[0]
    windows = _numbers(header, "EnergyWindowVector")
    names = _window_names(header)
    several = max(int(number(header, "NumberOfEnergyWindows") or 1), len(set(windows)))
    chosen, remarks = list(range(count)), []
    if several > 1 and requests.energy_window is None and len(set(windows)) != 1:
        msg = (
            f"{where}: {several} energy windows are stored in one file ({', '.join(names) or 'without names'}); choose one by "
            "energy_window = 1 and so on in [activity] (--energy-window), or export the one to use."
        )
        raise InputError(msg)
    if requests.energy_window is not None:
        wanted = requests.energy_window
        if not 1 <= wanted <= several:
            msg = f"{where}: energy_window = {wanted}, but the file holds windows 1 to {several} ({', '.join(names)})."
            raise InputError(msg)
        if len(windows) == count:
            chosen = [n for n, w in enumerate(windows) if w == wanted]
        elif several > 1 and count != int(number(header, "NumberOfSlices") or count):
            msg = f"{where}: no Energy Window Vector (0054,0010) says which frames belong to which window; export one."
            raise InputError(msg)
        name = names[wanted - 1] if wanted <= len(names) else str(wanted)
        remarks.append(f"Energy window {wanted} ({name}) of {several} is read, as asked.")
    slices = _numbers(header, "SliceVector")
    slices = [slices[n] for n in chosen] if len(slices) == count else slices
    if len(chosen) < 2 or (slices and slices != list(range(1, len(chosen) + 1))):
        msg = (
            f"{where}: Slice Vector (0054,0080) does not number the frames 1 to {len(chosen)}; several volumes or another "
            "order are stored. Export one volume."
        )
        raise InputError(msg)
    return chosen, remarks


def _numbers(header: Dataset, key: str) -> list[int]:
    value = header.get(key)
    if value is None or value == "":
        return []
    return [int(value)] if isinstance(value, int) else [int(n) for n in value]


def _window_names(header: Dataset) -> list[str]:
    names = []
    for n, item in enumerate(header.get("EnergyWindowInformationSequence") or [], start=1):
        limits = [
            f"{number(r, 'EnergyWindowLowerLimit') or 0:g}-{number(r, 'EnergyWindowUpperLimit') or 0:g} keV"
            for r in item.get("EnergyWindowRangeSequence") or []
        ]
        name = str(item.get("EnergyWindowName", "") or "")
        names.append(" ".join(filter(None, [f"{n}:", name, "+".join(limits)])))
    return names
