"""CT, PET and SPECT series to volumes: checked, sorted by place, scaled slice by slice.

Nothing is interpolated and nothing guessed: a missing, doubled, shifted or turned slice is refused.
"""

from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from voxeldose.errors import InputError
from voxeldose.grid import Grid, towards_lps
from voxeldose.io.dicom_files import Series, instant, nuclide_of, only_series, stated_zone, whole_instant, zone_note
from voxeldose.volume import ActivityMap, CountMap, CtImage, Volume

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from voxeldose.volume import FloatArray

__all__ = [
    "image_axes",
    "pet_instant",
    "pixel_spacing",
    "read_ct",
    "read_dicom_volume",
    "read_pet",
    "read_spect",
    "require_rescale",
    "stored_pixels",
    "vector",
]

#: A slice may lie this far from its even place, as a part of the spacing (GE PET: up to 2.5 % in real files).
UNEVEN_PART = 0.05
#: In-plane drift of slice origins that is still no shear.
DRIFT_MM = 0.05

_ENHANCED = {
    "1.2.840.10008.5.1.4.1.1.2.1": "Enhanced CT",
    "1.2.840.10008.5.1.4.1.1.130": "Enhanced PET",
    "1.2.840.10008.5.1.4.1.1.128.1": "Legacy Converted Enhanced PET",
    "1.2.840.10008.5.1.4.1.1.2.2": "Legacy Converted Enhanced CT",
}


def read_ct(path: str | Path, *, series_uid: str | None = None) -> CtImage:
    """CT numbers of a single-frame series.

    Parameters
    ----------
    path : path
        Folder that holds the series.
    series_uid : str, optional
        Which, if it holds several.

    Raises
    ------
    InputError
        For anything but one complete, even, unsheared CT series with Rescale Slope and Intercept.
    """
    series = only_series(Path(path), ("CT",), series_uid)
    require_rescale(series)
    values, grid, notes = _load(series)
    return CtImage(values, grid, notes=notes)


def read_pet(path: str | Path, *, zone: tzinfo = UTC, series_uid: str | None = None) -> ActivityMap:
    """Activity concentration of a PET series that is stored in Bq/mL.

    Parameters
    ----------
    path : path
        Folder that holds the series.
    zone : tzinfo
        Of the header's times where it does not state one.
    series_uid : str, optional
        Which, if the folder holds several.

    Returns
    -------
    ActivityMap
        ``at`` is the instant to which the scanner corrected for decay, ``None`` if the header does not tell.

    Raises
    ------
    InputError
        If the series is not complete and even, or its Units are not BQML.
    """
    series = only_series(Path(path), ("PT",), series_uid)
    require_rescale(series)
    units = str(series.first.get("Units", "") or "none")
    if units != "BQML":
        msg = (
            f"{series.folder}: Units (0054,1001) is {units}, not BQML, so these numbers are not activities. Export the "
            'series in Bq/mL, or use it as a relative image with quantity = "counts" and the administered activity.'
        )
        raise InputError(msg)
    values, grid, notes = _load(series)
    at, said = pet_instant(series, zone)
    return ActivityMap(values, grid, at=at, radionuclide=nuclide_of(series.first), notes=notes + said)


def read_spect(path: str | Path, *, zone: tzinfo = UTC, series_uid: str | None = None) -> CountMap:
    """Counts of a reconstructed SPECT (NM, multi-frame, RECON TOMO).

    The geometry is that of the Detector Information Sequence; the sign of Spacing Between Slices says on which side of
    the first frame the others lie (PS3.3 C.8.4.15): positive along row x column, negative against it.

    Parameters
    ----------
    path : path
        The file, or a folder that holds it.
    zone : tzinfo
        Of the header's times where it does not state one.
    series_uid : str, optional
        Which, if the folder holds several.

    Raises
    ------
    InputError
        If it is not one reconstructed volume with position, orientation and spacing.
    """
    series = only_series(Path(path), ("NM",), series_uid)
    if len(series.paths) != 1:
        msg = (
            f"{series.folder}: a reconstructed SPECT is one multi-frame file, found {len(series.paths)} in the series."
        )
        raise InputError(msg)
    values, grid, notes = _load_nm(series)
    header = series.first
    at = instant(header, "AcquisitionDate", "AcquisitionTime", zone)
    return CountMap(values, grid, radionuclide=nuclide_of(header), at=at, notes=notes + zone_note(header, zone))


def read_dicom_volume(path: str | Path, *, series_uid: str | None = None) -> tuple[Volume, Series]:
    """Stored value times slope plus intercept of any image series, whatever it says it is, and the series.

    For images whose header does not tell their quantity; the caller must know it.
    """
    series = only_series(Path(path), (), series_uid)
    values, grid, notes = _load_nm(series) if series.modality == "NM" else _load(series)
    return Volume(values, grid, notes=notes), series


def pet_instant(series: Series, zone: tzinfo) -> tuple[datetime | None, tuple[str, ...]]:
    """The instant to which a PET series' values hold, by Decay Correction (0054,1102), and what was assumed.

    START: Series Date and Time, or the earliest acquisition if that is before (a series made later). ADMIN: the
    Radiopharmaceutical Start DateTime. NONE: the middle of the frame.

    Raises
    ------
    InputError
        If slices without decay correction were measured at different instants.
    """
    header = series.first
    correction = str(header.get("DecayCorrection", "") or "missing")
    note = zone_note(header, zone)
    starts = [instant(h, "AcquisitionDate", "AcquisitionTime", zone) for h in series.headers]
    known = sorted(t for t in starts if t is not None)
    if correction == "START":
        at = instant(header, "SeriesDate", "SeriesTime", zone)
        if known and (at is None or at > known[0]):
            at = known[0]
        if at is None:
            return None, (*note, "The PET header has no usable series or acquisition date and time.")
        return at, (*note, f"PET values hold at the start of the scan, {at.isoformat()} (Decay Correction START).")
    if correction == "ADMIN":
        drug = (header.get("RadiopharmaceuticalInformationSequence") or [None])[0]
        at = (
            whole_instant(drug.get("RadiopharmaceuticalStartDateTime"), stated_zone(header) or zone)
            if drug is not None
            else None
        )
        if at is None:
            said = (
                "Decay Correction is ADMIN but the header gives no Radiopharmaceutical Start DateTime with its date; "
                "say the instant with measured_at."
            )
            return None, (*note, said)
        return at, (*note, f"PET values hold at the administration the scanner knew, {at.isoformat()}.")
    if correction == "NONE":
        times = {(t, float(h.get("ActualFrameDuration", 0) or 0)) for t, h in zip(starts, series.headers, strict=True)}
        if len(times) > 1:
            msg = (
                f"{series.folder}: Decay Correction is NONE and the slices were measured at {len(times)} different "
                "instants, so no one instant holds. Export the series with decay correction."
            )
            raise InputError(msg)
        start, duration_ms = times.pop()
        if start is None:
            return None, (*note, "The PET header has no usable acquisition date and time.")
        at = start + timedelta(milliseconds=duration_ms / 2)
        return at, (*note, f"PET values hold at the middle of the frame, {at.isoformat()} (no decay correction).")
    return None, (*note, f"Decay Correction (0054,1102) is {correction}, so the instant of the values is not known.")


def require_rescale(series: Series) -> None:
    """Refuse a series whose stored values have no unit for lack of slope or intercept."""
    for path, header in zip(series.paths, series.headers, strict=True):
        for key, tag in (("RescaleSlope", "(0028,1053)"), ("RescaleIntercept", "(0028,1052)")):
            if header.get(key) is None and str(header.SOPClassUID) not in _ENHANCED:
                msg = f"{path}: {key} {tag} is missing, so stored values have no unit. Export the series again."
                raise InputError(msg)


def _rescale(header: Dataset) -> tuple[float, float]:
    """Slope and intercept; 1 and 0 where the header has none, as in NM files of counts."""
    slope, intercept = header.get("RescaleSlope"), header.get("RescaleIntercept")
    return 1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept)


def stored_pixels(path: Path) -> npt.NDArray[Any]:
    """Stored values of one file."""
    from pydicom import dcmread

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return np.asarray(dcmread(path, force=True).pixel_array)
        except (AttributeError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError, EOFError) as error:
            why = str(error).splitlines()[0]
            msg = f"{path}: its pixels cannot be read ({why}). Export the series uncompressed, or copy the file again."
            raise InputError(msg) from error


def vector(header: Dataset, key: str, length: int, where: str) -> npt.NDArray[np.float64]:
    """Numbers of one attribute; refused if there are not ``length`` of them."""
    value = header.get(key)
    if value is None or len(value) != length:
        msg = f"{where}: {key} is missing, so nobody knows where the image lies. Export it with its geometry."
        raise InputError(msg)
    try:
        return np.array([float(v) for v in value])
    except (TypeError, ValueError):
        msg = f"{where}: {key} holds {list(value)!r}, which are not {length} numbers. Export the image again."
        raise InputError(msg) from None


def pixel_spacing(header: Dataset, where: str) -> npt.NDArray[np.float64]:
    """Distance between rows and between columns in mm, above zero."""
    spacing = vector(header, "PixelSpacing", 2, where)
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
        msg = f"{where}: Pixel Spacing (0028,0030) must be above 0, found {spacing.tolist()}. Export the image again."
        raise InputError(msg)
    return spacing


def image_axes(header: Dataset, where: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Unit vectors along a row (i) and along a column (j)."""
    both = vector(header, "ImageOrientationPatient", 6, where)
    row, column = both[:3], both[3:]
    if not (np.allclose([row @ row, column @ column], 1, atol=1e-3) and abs(row @ column) < 1e-3):
        msg = f"{where}: Image Orientation (Patient) {both.tolist()} is not a pair of perpendicular unit vectors."
        raise InputError(msg)
    return row / np.linalg.norm(row), column / np.linalg.norm(column)


def _load(series: Series) -> tuple[FloatArray, Grid, tuple[str, ...]]:
    """A single-frame series as one volume."""
    header, where = series.first, str(series.folder)
    kind = _ENHANCED.get(str(header.SOPClassUID))
    if kind or int(header.get("NumberOfFrames", 1) or 1) > 1:
        msg = f"{where}: {kind or 'multi-frame ' + series.modality} objects are not read yet; export a single-frame series."
        raise InputError(msg)
    if len(series.paths) < 2:
        msg = f"{series.paths[0]}: one slice is not a volume; give the folder that holds the whole series."
        raise InputError(msg)
    stated = int(header.get("NumberOfSlices", 0) or 0) if series.modality == "PT" else 0
    if len(series.paths) < stated:
        msg = (
            f"{where}: Number of Slices (0054,0081) says {stated} but {len(series.paths)} are here; the export is not "
            "complete. Export the whole series again."
        )
        raise InputError(msg)
    row, column = image_axes(header, where)
    spacing = pixel_spacing(header, where)
    shape = (int(header.Rows), int(header.Columns))
    places = []
    for path, slice_header in zip(series.paths, series.headers, strict=True):
        other = image_axes(slice_header, str(path))
        same = (
            np.allclose(other, (row, column), atol=1e-4)
            and np.allclose(pixel_spacing(slice_header, str(path)), spacing, rtol=1e-4)
            and (int(slice_header.Rows), int(slice_header.Columns)) == shape
            and slice_header.get("FrameOfReferenceUID") == header.get("FrameOfReferenceUID")
        )
        if not same:
            msg = (
                f"{path}: this slice differs in orientation, size, spacing or frame of reference from others of series "
                f"{series.uid}. Localisers or several reconstructions are mixed; export one volume."
            )
            raise InputError(msg)
        if int(slice_header.get("SamplesPerPixel", 1)) != 1:
            msg = f"{path}: a colour image holds no measured values; export the original series."
            raise InputError(msg)
        places.append(vector(slice_header, "ImagePositionPatient", 3, str(path)))
    order, step, notes = _even_order(np.array(places), np.cross(row, column), series)
    first = places[order[0]]
    affine = np.eye(4)
    affine[:3, 0] = np.cross(row, column) * step
    affine[:3, 1] = column * spacing[0]
    affine[:3, 2] = row * spacing[1]
    affine[:3, 3] = first
    values = np.empty((len(order), *shape), np.float32)
    for place, index in enumerate(order):
        stored = stored_pixels(series.paths[index])
        slope, intercept = _rescale(series.headers[index])
        if stored.shape != shape:
            msg = f"{series.paths[index]}: holds {stored.shape} pixels where the header says {shape}."
            raise InputError(msg)
        values[place] = stored * slope + intercept
    uid = header.get("FrameOfReferenceUID")
    grid = Grid(values.shape, affine, str(uid) if uid else None)
    turned, grid = towards_lps(values, grid)
    return turned, grid, notes


def _even_order(
    places: npt.NDArray[np.float64], normal: npt.NDArray[np.float64], series: Series
) -> tuple[list[int], float, tuple[str, ...]]:
    """Order of the slices along the normal and their distance; refuses gaps, doubles and shear."""
    where = str(series.folder)
    along = places @ normal
    order = np.argsort(along, kind="stable")
    gaps = np.diff(along[order])
    step = float(np.median(gaps))
    double = np.flatnonzero(gaps < 0.1 * max(step, 1e-6))
    if double.size or step < 1e-3:
        at = int(double[0]) if double.size else 0
        names = series.paths[order[at]].name, series.paths[order[at + 1]].name
        msg = f"{where}: two slices lie at the same place ({names[0]} and {names[1]}); keep one of them."
        raise InputError(msg)
    even = along[order[0]] + np.arange(len(order)) * (along[order[-1]] - along[order[0]]) / (len(order) - 1)
    wrong = np.flatnonzero(np.abs(gaps - step) > UNEVEN_PART * step)
    if wrong.size or np.abs(along[order] - even).max() > UNEVEN_PART * step:
        at = int(wrong[0]) if wrong.size else 0
        msg = (
            f"{where}: slices are not evenly spaced: {gaps[at]:.3f} mm after {series.paths[order[at]].name} where most are "
            f"{step:.3f} mm apart; a slice is missing or two spacings are mixed. Export the series again."
        )
        raise InputError(msg)
    drift = places - np.outer(along, normal)
    if np.abs(drift - drift[order[0]]).max() > DRIFT_MM:
        shift = np.abs(drift[order[-1]] - drift[order[0]]).max()
        msg = (
            f"{where}: slices shift sideways by {shift:.2f} mm over the series (gantry tilt); resample it to upright "
            "slices first."
        )
        raise InputError(msg)
    step = float(along[order[-1]] - along[order[0]]) / (len(order) - 1)
    worst = float(np.abs(along[order] - even).max())
    note = f"{series.modality} slices lie up to {worst:.3f} mm from even places; taken as even at {step:.4f} mm."
    return order.tolist(), step, (note,) if worst > 0.01 else ()


def _load_nm(series: Series) -> tuple[FloatArray, Grid, tuple[str, ...]]:
    """A reconstructed NM multi-frame file as one volume."""
    header, where = series.first, str(series.paths[0])
    kind = [str(v) for v in header.get("ImageType", [])]
    if len(kind) < 3 or kind[2] != "RECON TOMO":
        found = kind[2] if len(kind) > 2 else "none"
        msg = f"{where}: Image Type says {found}, not RECON TOMO; planar views and projections are no volume."
        raise InputError(msg)
    windows = int(header.get("NumberOfEnergyWindows", 1) or 1)
    if windows > 1:
        msg = f"{where}: {windows} energy windows are stored in one file; export the one to use."
        raise InputError(msg)
    detectors = header.get("DetectorInformationSequence") or []
    placed = [d for d in detectors if d.get("ImagePositionPatient") is not None]
    if not placed:
        msg = (
            f"{where}: the Detector Information Sequence holds no Image Position (Patient), so nobody knows where the volume "
            "lies. Export it again with geometry, or convert it to NIfTI with the right affine."
        )
        raise InputError(msg)
    row, column = image_axes(placed[0], where)
    first = vector(placed[0], "ImagePositionPatient", 3, where)
    spacing = pixel_spacing(header, where)
    between = header.get("SpacingBetweenSlices")
    if between is None or float(between) == 0:
        msg = (
            f"{where}: Spacing Between Slices (0018,0088) is missing; its sign says on which side the slices lie, so Slice "
            "Thickness cannot stand in. Export the volume again."
        )
        raise InputError(msg)
    stored = stored_pixels(series.paths[0])
    if stored.ndim != 3:
        msg = f"{where}: a volume needs several frames, found pixels of shape {stored.shape}."
        raise InputError(msg)
    slices = [int(n) for n in header.get("SliceVector") or []]
    if slices and slices != list(range(1, stored.shape[0] + 1)):
        msg = (
            f"{where}: Slice Vector (0054,0080) does not number the frames 1 to {stored.shape[0]}; several volumes or "
            "another order are stored. Export one volume."
        )
        raise InputError(msg)
    slope, intercept = _rescale(header)
    values = stored * slope + intercept
    affine = np.eye(4)
    affine[:3, 0] = np.cross(row, column) * float(between)
    affine[:3, 1] = column * spacing[0]
    affine[:3, 2] = row * spacing[1]
    affine[:3, 3] = first
    uid = header.get("FrameOfReferenceUID")
    notes = []
    if header.get("RealWorldValueMappingSequence"):
        notes.append("The NM file holds a Real World Value Mapping that is not applied: values are used as counts.")
    grid = Grid((values.shape[0], values.shape[1], values.shape[2]), affine, str(uid) if uid else None)
    turned, grid = towards_lps(values.astype(np.float32), grid)
    return turned, grid, tuple(notes)
