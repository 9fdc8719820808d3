"""A DICOM image series to one volume: slices or frames, checked, sorted by place, scaled one by one.

Nothing is interpolated and nothing guessed: a missing, doubled, shifted or turned slice is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from voxeldose.errors import InputError
from voxeldose.io.dicom.agreement import require_agreement
from voxeldose.io.dicom.header import count, frame_header, items, numbers, same_stored, stated_number, text, words
from voxeldose.io.dicom.numbering import missing_slices
from voxeldose.io.dicom.pixels import stored_pixels
from voxeldose.model.grid import Grid, lps_grid, towards_lps
from voxeldose.model.remarks import Numbers, Remark

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pydicom.dataset import Dataset

    from voxeldose.io.dicom.files import Series
    from voxeldose.model.arrays import Doubles, Floats

__all__ = [
    "ENHANCED",
    "Plane",
    "Stack",
    "UnevenPlaces",
    "grid_of",
    "image_axes",
    "pixel_spacing",
    "planes_of",
    "require_finite",
    "require_rescale",
    "rescale",
    "stack_planes",
    "uneven_places",
    "vector",
    "volume_of",
    "volume_of_stack",
    "whole_header",
]

#: A slice may lie this far from its even place, as a part of the spacing (GE PET: up to 2.5 % in real files).
UNEVEN_PART = 0.05
#: In-plane drift of slice origins that is still no shear.
DRIFT_MM = 0.05
#: What all slices of a stack share.
_LAYOUT = ("ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "FrameOfReferenceUID")
#: Multi-frame objects whose places and scales stand in functional groups.
ENHANCED = {
    "1.2.840.10008.5.1.4.1.1.2.1": "Enhanced CT",
    "1.2.840.10008.5.1.4.1.1.130": "Enhanced PET",
    "1.2.840.10008.5.1.4.1.1.128.1": "Legacy Converted Enhanced PET",
    "1.2.840.10008.5.1.4.1.1.2.2": "Legacy Converted Enhanced CT",
}


@dataclass(frozen=True, eq=False)
class Plane:
    """One slice: its own header, and where its pixels are (``frame`` counts from 0 in a multi-frame file)."""

    path: Path
    header: Dataset
    frame: int | None = None

    def __str__(self) -> str:
        return str(self.path) if self.frame is None else f"{self.path}, frame {self.frame + 1}"

    @property
    def name(self) -> str:
        """What distinguishes it from the others of its series."""
        return self.path.name if self.frame is None else f"frame {self.frame + 1}"


@dataclass(frozen=True, eq=False)
class Stack:
    """Parallel planes of one size in the order of their places along ``normal``."""

    planes: tuple[Plane, ...]
    places: Doubles  # (n, 3), centre of each plane's first pixel in LPS mm
    row: Doubles
    column: Doubles
    spacing_mm: Doubles  # between rows, between columns
    shape: tuple[int, int]

    @property
    def normal(self) -> Doubles:
        """Row direction × column direction."""
        return np.cross(self.row, self.column)

    @property
    def along(self) -> Doubles:
        """Place of each plane along the normal in mm."""
        return np.asarray(self.places @ self.normal)

    def values(self, scale: Callable[[Plane], tuple[float, float]]) -> Floats:
        """Stored value times slope plus intercept, (planes, rows, columns)."""
        values = np.empty((len(self.planes), *self.shape), np.float32)
        open_path, whole = None, np.empty(0)
        for n, plane in enumerate(self.planes):
            if plane.path != open_path:
                open_path, whole = plane.path, stored_pixels(plane.path, plane.header)
            stored = whole if plane.frame is None or whole.ndim == 2 else whole[plane.frame]
            if stored.shape != self.shape:
                msg = f"{plane}: holds {stored.shape} pixels where the header says {self.shape}."
                raise InputError(msg, code="pixels-differ", stored=stored.shape, stated=self.shape)
            slope, intercept = scale(plane)
            with np.errstate(over="ignore"):
                values[n] = stored * slope + intercept
            require_finite(values[n], plane)
        return values

    def grid(self, step: float, first: Doubles, planes: int) -> Grid:
        """The right-angled grid of ``planes`` planes from ``first`` on, ``step`` mm apart."""
        affine = np.eye(4)
        affine[:3, 0] = self.normal * step
        affine[:3, 1] = self.column * self.spacing_mm[0]
        affine[:3, 2] = self.row * self.spacing_mm[1]
        affine[:3, 3] = first
        return Grid((planes, *self.shape), affine, text(self.planes[0].header, "FrameOfReferenceUID") or None)


@dataclass(frozen=True)
class UnevenPlaces:
    """What keeps the planes of a series from being an even, upright grid: ``code`` for programs, a message for people."""

    code: Literal["slices-uneven", "slices-shifted"]
    message: str
    fields: dict[str, float]

    def refusal(self, way_out: str = "", keys: tuple[str, ...] = ()) -> InputError:
        """The error; ``way_out`` adds one to a new export, by ``keys`` of the case file."""
        return InputError(f"{self.message}{way_out}", code=self.code, keys=keys, **self.fields)


def whole_header(series: Series) -> Dataset:
    """A header that holds what multi-frame files say in their functional groups."""
    try:
        return planes_of(series)[0].header
    except (InputError, IndexError):
        return series.first


def planes_of(series: Series) -> list[Plane]:
    """Every slice of a series: one per file, or one per frame of enhanced and legacy converted objects.

    Raises
    ------
    InputError
        If a multi-frame file says nothing about its frames.
    """
    planes = []
    for path, header in zip(series.paths, series.headers, strict=True):
        frames, sop = count(header, "NumberOfFrames", 1), text(header, "SOPClassUID")
        if "PerFrameFunctionalGroupsSequence" in header:
            described = len(items(header, "PerFrameFunctionalGroupsSequence"))
            if described != frames:
                msg = f"{path}: {frames} frames are stored and {described} described; export the series again."
                raise InputError(msg, code="frames-undescribed", stored=frames, described=described)
            planes += [Plane(path, frame_header(header, n), n) for n in range(frames)]
        elif frames > 1 or sop in ENHANCED:
            kind = ENHANCED.get(sop, f"multi-frame {series.modality}")
            msg = (
                f"{path}: this {kind} file has no functional groups, so nothing says where its frames lie and how they are "
                "scaled; export it whole, or as a single-frame series."
            )
            raise InputError(msg, code="frames-undescribed", stored=frames, described=0)
        else:
            planes.append(Plane(path, header))
    return planes


def volume_of(
    planes: Sequence[Plane], series: Series, scale: Callable[[Plane], tuple[float, float]] | None = None
) -> tuple[Floats, Grid, tuple[Remark, ...]]:
    """Evenly spaced, unsheared planes as one volume in LPS+ (k, j, i) order, with remarks; anything else is refused."""
    return volume_of_stack(_even_stack(planes, series), series.modality, scale)


def grid_of(planes: Sequence[Plane], series: Series) -> Grid:
    """The grid of :func:`volume_of`, from headers alone."""
    return lps_grid(_even_grid(_even_stack(planes, series)))


def _even_stack(planes: Sequence[Plane], series: Series) -> Stack:
    """The planes in order; refused if they are no even, upright grid."""
    stack = stack_planes(planes, series)
    uneven = uneven_places(stack, str(series.folder))
    if uneven:
        raise uneven.refusal()
    return stack


def _even_grid(stack: Stack) -> Grid:
    """The grid of evenly placed planes, as they are stored."""
    along = stack.along
    return stack.grid(float(along[-1] - along[0]) / (len(along) - 1), stack.places[0], len(along))


def volume_of_stack(
    stack: Stack, modality: str, scale: Callable[[Plane], tuple[float, float]] | None = None
) -> tuple[Floats, Grid, tuple[Remark, ...]]:
    """:func:`volume_of` of planes already found to be evenly placed."""
    along = stack.along
    worst = float(np.abs(along - np.linspace(along[0], along[-1], len(along))).max())
    values, grid = towards_lps(stack.values(scale or rescale), _even_grid(stack))
    missing = missing_slices(stack.planes, modality)
    if worst <= 0.01:
        return values, grid, missing
    step = float(along[-1] - along[0]) / (len(along) - 1)
    sentence = f"{modality} slices lie up to {worst:.3f} mm from even places; taken as even at {step:.4f} mm."
    found: Numbers = {"modality": modality, "offset_mm": worst, "spacing_mm": step}
    return values, grid, (*missing, Remark("slices-nearly-even", found, sentence))


def stack_planes(planes: Sequence[Plane], series: Series) -> Stack:
    """The planes in order along their common normal.

    Raises
    ------
    InputError
        If they are fewer than two, differ in orientation, size, spacing or frame of reference, or two share a place.
    """
    first, where = planes[0], str(series.folder)
    if len(planes) < 2:
        msg = f"{first.path}: one slice is not a volume; give the folder that holds the whole series."
        raise InputError(msg, code="slices-too-few", slices=len(planes))
    header = first.header
    stated = count(header, "NumberOfSlices", 0) if series.modality == "PT" else 0
    if len(planes) < stated:
        msg = (
            f"{where}: Number of Slices (0054,0081) says {stated} but {len(planes)} are here; the export is not "
            "complete. Export the whole series again."
        )
        raise InputError(msg, code="series-incomplete", stated=stated, slices=len(planes))
    row, column = image_axes(header, where)
    spacing = pixel_spacing(header, where)
    shape = _shape(header)
    places = []
    for plane in planes:
        other = plane.header
        same = same_stored(header, other, _LAYOUT) or (
            np.allclose(image_axes(other, str(plane)), (row, column), atol=1e-4)
            and np.allclose(pixel_spacing(other, str(plane)), spacing, rtol=1e-4)
            and _shape(other) == shape
            and text(other, "FrameOfReferenceUID") == text(header, "FrameOfReferenceUID")
        )
        if not same:
            msg = (
                f"{plane}: this slice differs in orientation, size, spacing or frame of reference from others of series "
                f"{series.uid}. Localisers or several reconstructions are mixed; export one volume."
            )
            raise InputError(msg, code="slices-mixed")
        if count(other, "SamplesPerPixel", 1) != 1:
            msg = f"{plane}: a colour image holds no measured values; export the original series."
            raise InputError(msg, code="colour-image")
        places.append(vector(other, "ImagePositionPatient", 3, str(plane)))
    placed = np.array(places)
    order = np.argsort(placed @ np.cross(row, column), kind="stable")
    stack = Stack(tuple(planes[n] for n in order), placed[order], row, column, spacing, shape)
    require_agreement(stack.planes, series.modality)
    gaps = np.diff(stack.along)
    double = np.flatnonzero(gaps < 0.1 * max(float(np.median(gaps)), 1e-2))
    if double.size:
        one, two = stack.planes[int(double[0])], stack.planes[int(double[0]) + 1]
        types = words(one.header, "SeriesType")
        kind = (
            f" Series Type says {types[0]}: several times or gates of one place;"
            if types[:1] != ["STATIC"] and types
            else ""
        )
        msg = f"{where}: two slices lie at the same place ({one.name} and {two.name});{kind} keep one of them."
        raise InputError(msg, code="slices-doubled")
    return stack


def _shape(header: Dataset) -> tuple[int, int]:
    """Rows and columns; 0 where the header has none."""
    return count(header, "Rows", 0), count(header, "Columns", 0)


def uneven_places(stack: Stack, where: str) -> UnevenPlaces | None:
    """What keeps the planes from being an even, upright grid; ``None`` if nothing does."""
    along, gaps = stack.along, np.diff(stack.along)
    step = float(np.median(gaps))
    even = np.linspace(along[0], along[-1], len(along))
    wrong = np.flatnonzero(np.abs(gaps - step) > UNEVEN_PART * step)
    if wrong.size or np.abs(along - even).max() > UNEVEN_PART * step:
        at = int(wrong[0]) if wrong.size else 0
        msg = (
            f"{where}: slices are not evenly spaced: {gaps[at]:.3f} mm after {stack.planes[at].name} where most are "
            f"{step:.3f} mm apart; a slice is missing or two spacings are mixed. Export the series again."
        )
        return UnevenPlaces("slices-uneven", msg, {"gap_mm": float(gaps[at]), "spacing_mm": step})
    drift = stack.places - np.outer(along, stack.normal)
    if np.abs(drift - drift[0]).max() > DRIFT_MM:
        shift = float(np.abs(drift[-1] - drift[0]).max())
        msg = (
            f"{where}: slices shift sideways by {shift:.2f} mm over the series (gantry tilt); resample it to upright "
            "slices first."
        )
        return UnevenPlaces("slices-shifted", msg, {"shift_mm": shift})
    return None


def rescale(plane: Plane) -> tuple[float, float]:
    """Slope and intercept; 1 and 0 where the header has none, as in files of counts."""
    where = str(plane)
    slope, intercept = (stated_number(plane.header, key, where) for key in ("RescaleSlope", "RescaleIntercept"))
    slope, intercept = 1.0 if slope is None else slope, 0.0 if intercept is None else intercept
    if slope <= 0:
        msg = f"{where}: Rescale Slope (0028,1053) must be above 0, found {slope:g}. The header is damaged; export the series again."
        raise InputError(msg, code="rescale-invalid", slope=slope, intercept=intercept)
    return slope, intercept


def require_finite(values: Floats, plane: Plane) -> None:
    """Refuse values that slope and intercept take beyond all numbers."""
    if not np.isfinite(values).all():
        msg = f"{plane}: stored values times Rescale Slope (0028,1053) plus Intercept are not finite. Export the series again."
        raise InputError(msg, code="rescale-invalid")


def require_rescale(planes: Sequence[Plane]) -> None:
    """Refuse slices whose stored values have no unit: slope or intercept are missing, or make no values."""
    for plane in planes:
        for key, tag in (("RescaleSlope", "(0028,1053)"), ("RescaleIntercept", "(0028,1052)")):
            if stated_number(plane.header, key, str(plane)) is None:
                msg = f"{plane}: {key} {tag} is missing, so stored values have no unit. Export the series again."
                raise InputError(msg, code="rescale-missing", keyword=key)
        rescale(plane)


def vector(header: Dataset, key: str, length: int, where: str) -> Doubles:
    """Numbers of one attribute; refused if there are not ``length`` of them."""
    values = numbers(header, key)
    if len(values) != length:
        msg = f"{where}: {key} is missing or incomplete, so the place of the image is unknown. Export it with its geometry."
        raise InputError(msg, code="geometry-missing", keyword=key)
    return np.array(values)


def pixel_spacing(header: Dataset, where: str) -> Doubles:
    """Distance between rows and between columns in mm, above zero."""
    spacing = vector(header, "PixelSpacing", 2, where)
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
        msg = f"{where}: Pixel Spacing (0028,0030) must be above 0, found {spacing.tolist()}. Export the image again."
        raise InputError(msg, code="geometry-invalid", keyword="PixelSpacing")
    return spacing


def image_axes(header: Dataset, where: str) -> tuple[Doubles, Doubles]:
    """Unit vectors along a row (i) and along a column (j)."""
    both = vector(header, "ImageOrientationPatient", 6, where)
    row, column = both[:3], both[3:]
    if not (np.allclose([row @ row, column @ column], 1, atol=1e-3) and abs(row @ column) < 1e-3):
        msg = f"{where}: Image Orientation (Patient) {both.tolist()} is not a pair of perpendicular unit vectors."
        raise InputError(msg, code="geometry-invalid", keyword="ImageOrientationPatient")
    return row / np.linalg.norm(row), column / np.linalg.norm(column)
