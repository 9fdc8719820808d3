"""RTSTRUCT in: regions from closed planar contours."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from voxeldose.errors import GeometryError, InputError, QuantityError
from voxeldose.geometry.contours import rasterise, stack_contours
from voxeldose.geometry.slabs import SlabThickness, usual_distance
from voxeldose.io.damage import refusing_damage
from voxeldose.io.dicom.cited import CitedImages
from voxeldose.io.dicom.codes import RTSTRUCT, codes_in
from voxeldose.io.dicom.files import read_header
from voxeldose.io.dicom.header import items, number, numbers, text, whole_number
from voxeldose.io.dicom.texts import name_in
from voxeldose.io.found_regions import SetAside
from voxeldose.model.remarks import Remark
from voxeldose.model.roi import Roi
from voxeldose.model.roles import RoiCode

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

    from voxeldose.geometry.contours import ContourStack
    from voxeldose.model.arrays import Doubles

__all__ = ["Structure", "StructureFile", "read_structures"]

#: Contours that enclose area (PS3.3 C.8.8.6.3); with CLOSEDPLANAR_XOR all of a plane count by the even-odd rule.
_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
_OPEN = ("POINT", "OPEN_PLANAR", "OPEN_NONPLANAR")

#: No point of a patient lies further from the origin; it is none where it does, or is no number.
_FURTHEST_MM = 1e5

_NO_IMAGES = CitedImages()


class Structure(NamedTuple):
    """One drawn region of an RTSTRUCT, on a grid of its own."""

    number: int
    name: str
    region: Roi


class StructureFile(NamedTuple):
    """Every region of a structure set that has closed contours, those that are no volume, and the names of the rest."""

    structures: list[Structure]
    set_aside: list[SetAside]
    without_contours: list[str]


class _Drawn(NamedTuple):
    """The closed contours of one ROI: points (n, 3), whether they exclude one another, and their stated thickness."""

    number: int
    name: str
    loops: list[Doubles]
    is_exclusive: bool
    slab_mm: float | None
    frame: str


@refusing_damage
def read_structures(
    path: Path, *, header: Dataset | None = None, pixel_mm: float | None = None, images: CitedImages = _NO_IMAGES
) -> StructureFile:
    """The regions of a structure set.

    Contours are used where they lie, with no image: see :func:`voxeldose.geometry.contours.from_contours`. How thick a slice
    is comes from Contour Slab Thickness (3006,0044), else from the series cited, else from the whole set.

    Parameters
    ----------
    path : Path
        The file.
    header : Dataset, optional
        Its content, where it has been read.
    pixel_mm : float, optional
        Of the raster, as in :func:`voxeldose.geometry.contours.from_contours`.
    images : CitedImages
        Series that it may cite.

    Raises
    ------
    InputError
        If it is no RTSTRUCT, or holds no contours.
    QuantityError
        If ``pixel_mm`` cannot be used.
    """
    header = read_header(path) if header is None else header
    if header is None or text(header, "SOPClassUID") != RTSTRUCT:
        msg = f"{path}: not an RTSTRUCT file."
        raise InputError(msg, code="format-unknown")
    described = _described(header, path)
    drawn, set_aside = _drawn_rois(header, described, path)
    placed: list[tuple[_Drawn, ContourStack]] = []
    for roi in drawn:
        try:
            placed.append((roi, stack_contours(roi.loops)))
        except GeometryError as error:
            set_aside.append(_refused(roi, error, path))
    set_mm = usual_distance([(stack.normal, stack.heights) for _, stack in placed])
    set_thickness = SlabThickness(set_mm, "set") if set_mm is not None else None
    codes = _codes(header)
    structures = []
    for roi, stack in placed:
        thickness = _thickness(roi, stack, images, header) or set_thickness
        try:
            region = _region(roi, stack, thickness, pixel_mm, codes.get(roi.number, ()))
        except (GeometryError, QuantityError) as error:
            if error.code == "value-out-of-range":
                raise
            set_aside.append(_refused(roi, error, path))
            continue
        region = replace(region, remarks=(*images.user_remarks(f"ROI {roi.name}"), *region.remarks))
        structures.append(Structure(roi.number, roi.name, region))
    if not structures and not set_aside:
        msg = f"{path}: no ROI here has closed planar contours."
        raise InputError(msg, code="contours-missing")
    known = {s.number for s in structures} | {int(part.keys[-1]) for part in set_aside}
    return StructureFile(structures, set_aside, [_name_of(n, r) for n, r in described.items() if n not in known])


def _described(header: Dataset, path: Path) -> dict[int, Dataset]:
    """What the file says of each ROI, by its number."""
    described: dict[int, Dataset] = {}
    for item in items(header, "StructureSetROISequence"):
        roi_number = whole_number(item, "ROINumber")
        if roi_number in described:
            msg = (
                f"{path}: two ROIs have the number {roi_number} (3006,0022), so nobody knows whose contours are whose. "
            )
            msg += "Export the structure set again."
            raise InputError(msg, code="number-twice", number=roi_number)
        described[roi_number] = item
    return described


def _name_of(roi_number: int, item: Dataset | None) -> str:
    return (name_in(item, "ROIName", "ROIDescription") if item is not None else "") or str(roi_number)


def _drawn_rois(header: Dataset, described: dict[int, Dataset], path: Path) -> tuple[list[_Drawn], list[SetAside]]:
    """The ROIs that have closed contours, and those of which a contour is broken."""
    contours: dict[int, list[Dataset]] = {}
    for roi in items(header, "ROIContourSequence"):
        contours.setdefault(whole_number(roi, "ReferencedROINumber"), []).extend(items(roi, "ContourSequence"))
    drawn: list[_Drawn] = []
    set_aside: list[SetAside] = []
    for roi_number, own in contours.items():
        item = described.get(roi_number)
        name = _name_of(roi_number, item)
        try:
            closed = [(c, loop) for c in own if (loop := _closed_loop(c, name, path)) is not None]
        except InputError as error:
            set_aside.append(SetAside((name, str(roi_number)), name, error))
            continue
        if not closed:
            continue
        is_exclusive = any(text(c, "ContourGeometricType") == "CLOSEDPLANAR_XOR" for c, _ in closed)
        stated = [t for c, _ in closed if (t := number(c, "ContourSlabThickness")) is not None and t > 0]
        slab = float(np.median(stated)) if stated else None
        frame = text(item, "ReferencedFrameOfReferenceUID") if item is not None else ""
        drawn.append(_Drawn(roi_number, name, [loop for _, loop in closed], is_exclusive, slab, frame))
    return drawn, set_aside


def _closed_loop(contour: Dataset, name: str, path: Path) -> Doubles | None:
    """Points (n, 3) of a contour that encloses area; ``None`` for points and open lines, which enclose none.

    Raises
    ------
    InputError
        If its type or its points are not all there: left out in silence it would change the region.
    """
    kind = text(contour, "ContourGeometricType")
    if kind in _OPEN:
        return None
    stated = number(contour, "NumberOfContourPoints")
    try:
        points = np.array(numbers(contour, "ContourData"))
    except InputError:
        points = np.empty(0)
    whole = points.size % 3 == 0 and points.size > 0 and (stated is None or points.size == 3 * int(stated))
    if not whole or kind not in _CLOSED or not (np.abs(points) < _FURTHEST_MM).all():
        msg = (
            f"{path}: a contour of ROI {name} is broken: Contour Geometric Type (3006,0042) is "
            f"{kind or 'missing'}, Number of Contour Points (3006,0046) {contour.get('NumberOfContourPoints')}, and Contour "
            "Data (3006,0050) are no points that fit. Export the structure set again."
        )
        raise InputError(msg, code="contours-broken", roi=name)
    return points.reshape(-1, 3) if points.size >= 9 else None


def _thickness(roi: _Drawn, stack: ContourStack, images: CitedImages, header: Dataset) -> SlabThickness | None:
    """What is known of a ROI's own slices: the user's word, what the contours state, the images cited."""
    if images.user_mm is not None:
        return SlabThickness(images.user_mm, "user")
    if roi.slab_mm is not None:
        return SlabThickness(roi.slab_mm, "contours")
    series_mm = images.slice_mm(header, stack.normal)
    return SlabThickness(series_mm, "series") if series_mm is not None else None


def _region(
    roi: _Drawn,
    stack: ContourStack,
    thickness: SlabThickness | None,
    pixel_mm: float | None,
    codes: tuple[RoiCode, ...],
) -> Roi:
    raster = rasterise(
        stack, thickness=thickness, frame_uid=roi.frame or None, pixel_mm=pixel_mm, exclusive=roi.is_exclusive
    )
    remarks = tuple(
        Remark(r.code, {"roi": roi.name, **r.numbers}, f"ROI {roi.name}: {r.sentence}.") for r in raster.remarks
    )
    return Roi(roi.name, "other", raster.occupancy, raster.grid, remarks, source_name=roi.name, codes=codes)


def _refused(roi: _Drawn, error: GeometryError | QuantityError, path: Path) -> SetAside:
    way_out = "Correct it in the contouring system, or leave it out of the export."
    if error.code in ("contours-in-one-plane", "contours-thickness-unknown"):
        way_out = "Give the images that it cites, or slice_mm in [[rois]], or export it with Contour Slab Thickness (3006,0044)."
    msg = f"{path}: ROI {roi.name}: {error} {way_out}"
    return SetAside((roi.name, str(roi.number)), roi.name, InputError(msg, code=error.code, roi=roi.name))


def _codes(header: Dataset) -> dict[int, tuple[RoiCode, ...]]:
    """What the RT ROI Observations say each region is: its interpreted type and its identification codes."""
    by_number: dict[int, tuple[RoiCode, ...]] = {}
    for item in items(header, "RTROIObservationsSequence"):
        kind = text(item, "RTROIInterpretedType")
        codes = codes_in(item, "RTROIIdentificationCodeSequence")
        if kind:
            codes = (RoiCode(kind, "3006,00A4", f"RT ROI Interpreted Type {kind}"), *codes)
        roi_number = item.get("ReferencedROINumber")
        if codes and roi_number is not None:
            by_number[int(roi_number)] = by_number.get(int(roi_number), ()) + codes
    return by_number
