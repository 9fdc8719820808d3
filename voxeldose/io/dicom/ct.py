"""CT series to Hounsfield units: padding, and on request uneven or tilted slices onto an even, upright grid."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.errors import InputError
from voxeldose.io.damage import refusing_damage
from voxeldose.io.dicom.emission import require_no_projection
from voxeldose.io.dicom.files import only_series
from voxeldose.io.dicom.header import count, number, same_stored, text
from voxeldose.io.dicom.options import CtOptions
from voxeldose.io.dicom.planes import (
    Stack,
    planes_of,
    require_rescale,
    rescale,
    stack_planes,
    uneven_places,
    volume_of_stack,
)
from voxeldose.model.grid import towards_lps
from voxeldose.model.remarks import Remark
from voxeldose.model.volume import CtImage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.io.dicom.files import Series
    from voxeldose.io.dicom.planes import Plane
    from voxeldose.model.arrays import Floats

__all__ = ["ct_image", "read_ct"]

AIR_HU = -1000.0
#: CT numbers are written in at most 16 bits.
MOST_HU = 2.0**16
#: A padding value above this is no anatomy and would weigh as dense bone or metal; it is replaced by air.
PADDING_ABOVE_HU = 3000.0
#: Rescale Types (0028,1054) whose values are CT numbers; unspecified (US) is what most scanners wrote before 2010.
CT_NUMBERS = ("", "HU", "US")


@refusing_damage
def read_ct(path: str | Path, *, series_uid: str | None = None, options: CtOptions | None = None) -> CtImage:
    """CT numbers of a series: single-frame, enhanced or legacy converted enhanced.

    Parameters
    ----------
    path : path
        Folder that holds the series, or a multi-frame file.
    series_uid : str, optional
        Which, if it holds several.
    options : CtOptions, optional
        What happens to slices that are uneven or shift sideways; they are refused without it.

    Raises
    ------
    InputError
        For anything but one complete CT series with Rescale Slope and Intercept.
    """
    return ct_image(only_series(Path(path), ("CT",), series_uid), options or CtOptions())


def ct_image(series: Series, options: CtOptions) -> CtImage:
    """:func:`read_ct` of a series already found."""
    planes = planes_of(series)
    require_rescale(planes)
    _require_ct_numbers(planes)
    padding_hu, remarks = _padding_to_air(planes)
    stack = stack_planes(planes, series)
    uneven = uneven_places(stack, str(series.folder))
    if uneven and options.uneven == "resample":
        return _resample(stack, padding_hu, remarks)
    if uneven:
        way_out = ' Or let voxeldose do it with uneven = "resample" in [ct] of the case file (--ct-uneven resample).'
        raise uneven.refusal(way_out, keys=("ct.uneven",))
    values, grid, more = volume_of_stack(stack, series.modality)
    _require_hu(values, str(series.folder))
    return CtImage(_without_padding(values, padding_hu), grid, remarks=(*more, *remarks))


def _require_hu(values: Floats, where: str) -> None:
    """Refuse values beyond 16 bits, which no scanner gives as CT numbers: slope or intercept of a slice are wrong."""
    low, high = float(values.min()), float(values.max())
    if low < -MOST_HU or high > MOST_HU:
        msg = (
            f"{where}: values from {low:g} to {high:g} are no CT numbers in HU: Rescale Slope (0028,1053) or Intercept of a slice "
            "are wrong. Export the series again."
        )
        raise InputError(msg, code="ct-not-in-hu", lowest=low, highest=high)


def _require_ct_numbers(planes: Sequence[Plane]) -> None:
    """Refuse spectral and derived maps (electron density, effective Z, iodine) that call themselves CT."""
    first = planes[0].header
    for plane in planes:
        if plane.header is not first and same_stored(first, plane.header, ("ImageType", "FrameType", "RescaleType")):
            continue
        require_no_projection(plane.header, str(plane))
        kind = text(plane.header, "RescaleType")
        if kind not in CT_NUMBERS:
            msg = (
                f"{plane}: Rescale Type (0028,1054) is {kind}, so these are no CT numbers in HU. Give the series in HU; a "
                "density in g/mL can be given as an image with dose.density."
            )
            raise InputError(msg, code="ct-not-in-hu", rescale_type=kind)


def _padding_to_air(planes: Sequence[Plane]) -> tuple[float | None, tuple[Remark, ...]]:
    """The HU of padding that must become air (``None`` where it may stay), and remarks on padding."""
    header = planes[0].header
    stored = number(header, "PixelPaddingValue")
    if stored is None:
        return None, ()
    bits = min(count(header, "BitsAllocated", 16), 64)
    if count(header, "PixelRepresentation", 0) == 0 and stored < 0:
        stored += 2.0**bits  # written as signed where the pixels are unsigned
    slope, intercept = rescale(planes[0])
    hu = stored * slope + intercept
    if hu > PADDING_ABOVE_HU:
        sentence = f"CT voxels at the Pixel Padding Value ({hu:g} HU, outside the scan) are set to air."
        return hu, (Remark("ct-padding-set-to-air", {"padding_hu": hu}, sentence),)
    if hu < AIR_HU:
        sentence = f"CT voxels at the Pixel Padding Value ({hu:g} HU, outside the scan) weigh as air."
        return None, (Remark("ct-padding-weighs-as-air", {"padding_hu": hu}, sentence),)
    return None, ()


def _without_padding(values: Floats, padding_hu: float | None) -> Floats:
    if padding_hu is None:
        return values
    return np.where(values == np.float32(padding_hu), np.float32(AIR_HU), values)


def _resample(stack: Stack, padding_hu: float | None, remarks: tuple[Remark, ...]) -> CtImage:
    """The slices on upright planes at their median distance: linear in between, air where no slice reaches.

    Each slice is first moved in its own plane by its sideways shift, then neighbours are mixed by distance. The grid keeps
    the first slice's rows and columns and grows sideways so that every slice fits.
    """
    from scipy.ndimage import shift

    # padding below air would bleed into tissue when mixed
    read = stack.values(rescale)
    _require_hu(read, str(stack.planes[0].path.parent))
    slices = np.maximum(_without_padding(read, padding_hu), np.float32(AIR_HU))
    along = stack.along
    step = float(np.median(np.diff(along)))
    drift = stack.places - np.outer(along, stack.normal)
    offsets = (drift - drift[0]) @ np.stack([stack.column, stack.row], axis=1) / stack.spacing_mm
    low = np.floor(offsets.min(axis=0) + 1e-6).astype(int)
    high = np.ceil(offsets.max(axis=0) - 1e-6).astype(int)
    rows, columns = (int(n) for n in np.array(stack.shape) + high - low)
    upright = np.full((len(along), rows, columns), AIR_HU, np.float32)
    for n, (hu, offset) in enumerate(zip(slices, offsets, strict=True)):
        upright[n, : stack.shape[0], : stack.shape[1]] = hu
        if np.abs(offset - low).max() > 1e-6:
            upright[n] = shift(upright[n], offset - low, order=1, mode="constant", cval=AIR_HU)
    slices_out = int(np.floor((along[-1] - along[0]) / step + 1e-6)) + 1
    wanted = along[0] + step * np.arange(slices_out)
    after = np.clip(np.searchsorted(along, wanted - 1e-6), 1, len(along) - 1)
    part = ((wanted - along[after - 1]) / (along[after] - along[after - 1])).astype(np.float32)[:, None, None]
    even = upright[after - 1] * (1 - part) + upright[after] * part
    first = stack.places[0] + low[0] * stack.column * stack.spacing_mm[0] + low[1] * stack.row * stack.spacing_mm[1]
    wide = Stack(stack.planes, stack.places, stack.row, stack.column, stack.spacing_mm, (rows, columns))
    values, grid = towards_lps(even, wide.grid(step, first, slices_out))
    gaps, shifted = np.diff(along), float(np.abs(drift - drift[0]).max())
    sentence = (
        f"CT slices {gaps.min():.3f} to {gaps.max():.3f} mm apart, shifted sideways by up to {shifted:.2f} mm, are "
        f"interpolated onto upright slices {step:.3f} mm apart, as asked (uneven = resample)."
    )
    numbers = {
        "smallest_gap_mm": float(gaps.min()),
        "largest_gap_mm": float(gaps.max()),
        "shift_mm": shifted,
        "spacing_mm": step,
    }
    return CtImage(values, grid, remarks=(*remarks, Remark("ct-resampled", numbers, sentence)))
