"""What the page's viewer shows: images on a box of the dose grid, packed small enough for one file.

The viewer's axes are those of the dose grid, so that a dose under the cursor is a voxel of the result and nothing
interpolated; the CT and the activity are sampled into the same box. All values are whole steps of a stated size.
"""

from __future__ import annotations

import base64
import math
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from voxeldose.model.grid import Grid, bounding_box
from voxeldose.model.volume import Volume
from voxeldose.report.plots import roi_styles, slice_focus
from voxeldose.report.wording import times

if TYPE_CHECKING:
    import numpy.typing as npt

    from voxeldose.model.arrays import Doubles, Floats, Mask
    from voxeldose.model.assessment import Assessment

__all__ = ["MAX_BYTES", "colour_maps", "display_grid", "pack", "viewer_data"]

#: What the images of one page may take, packed; beyond it they are sampled on a coarser grid, and the page says so.
MAX_BYTES = 9_000_000
#: Voxels of the finest grid that is tried for the dose, and for the CT.
MAX_VOXELS, MAX_CT_VOXELS = 5_000_000, 3_000_000
#: A CT finer than this is not shown finer.
CT_SPACING_MM = 1.5
#: Steps of dose and activity from 0 to their maximum.
STEPS = 16_000
LOWEST_HU, HIGHEST_HU = -1024.0, 3071.0
BODY_HU = -400.0
MARGIN_MM, AROUND_MM = 10.0, 80.0
#: Part of the highest dose that belongs into the view wherever it lies.
SHOWN_DOSE = 0.02
#: A grid that is turned by more than this is called oblique.
OBLIQUE_DEG = 1.0
ISODOSES_GY = (50.0, 100.0, 200.0, 400.0)
MAPS = ("inferno", "viridis", "cividis")
#: At the low and the high end of LPS x, y and z.
_LETTERS = ("RL", "AP", "FH")


def viewer_data(result: Assessment) -> dict[str, Any]:
    """Everything the viewer needs, ready for JSON.

    Returns
    -------
    dict
        ``box_mm`` and ``spacing_mm`` in array order; ``layers`` (``dose`` in Gy, ``activity`` in MBq/mL, ``ct`` in HU) and
        ``rois`` as packed arrays, each with ``shape`` and spacing, its outer corner on the box's; ``letters`` at the low and
        high end of each axis.
    """
    grid, ct_grid = display_grid(result), None
    if result.case.ct is not None:
        ct_grid = _limited(_ct_grid(result.case.ct.grid, grid), MAX_CT_VOXELS)
    while True:
        layers = _layers(result, grid, ct_grid)
        size = sum(len(layer["data"]) for layer in layers.values())
        if size <= MAX_BYTES:
            break
        coarser = max(1.1, (size / MAX_BYTES) ** (1 / 3))
        grid = grid.with_spacing([s * coarser for s in grid.spacing_mm])
        if ct_grid is not None:
            ct_grid = grid.with_spacing(
                [min(s * coarser, own) for s, own in zip(ct_grid.spacing_mm, grid.spacing_mm, strict=True)]
            )
    is_exact = _is_window(grid, result.dose.grid)
    focus = slice_focus(result)
    return {
        "shape": list(grid.shape),
        "spacing_mm": list(grid.spacing_mm),
        "box_mm": [n * s for n, s in zip(grid.shape, grid.spacing_mm, strict=True)],
        "affine_lps_mm": grid.affine_lps_mm.round(5).tolist(),
        "letters": _letters(grid),
        "is_oblique": _tilt_deg(grid) > OBLIQUE_DEG,
        "start": _nearest(grid, focus.point_lps_mm),
        "layers": layers,
        "rois": _rois(result, grid, is_exact=is_exact),
        "note": _note(result, grid, ct_grid, is_exact=is_exact),
    }


def display_grid(result: Assessment) -> Grid:
    """The window of the dose grid around regions and dose, with what is body for some way beyond them.

    Another grid only where that one is sheared or huge.
    """
    grid = result.dose.grid
    points = [roi.grid.corners() for roi in result.case.rois]
    highest = float(result.dose.gy.max())
    if highest > 0:
        points.append(_ends(result.dose.gy >= SHOWN_DOSE * highest, grid))
    inside = grid.indices(np.concatenate(points)) if points else np.array([[0, 0, 0], np.array(grid.shape) - 1])
    spacing = np.array(grid.spacing_mm)
    low, high = inside.min(axis=0) - MARGIN_MM / spacing, inside.max(axis=0) + MARGIN_MM / spacing
    if result.case.ct is not None:
        body = result.case.ct.hu[::2, ::2, ::2] > BODY_HU
        if body.any():
            ends = grid.indices(_ends(body, result.case.ct.grid, step=2))
            margin, around = MARGIN_MM / spacing, AROUND_MM / spacing
            low = np.minimum(low, np.maximum(ends.min(axis=0) - margin, low - around))
            high = np.maximum(high, np.minimum(ends.max(axis=0) + margin, high + around))
    first = np.clip(np.floor(low), 0, np.array(grid.shape) - 1).astype(int)
    last = np.clip(np.ceil(high), first, np.array(grid.shape) - 1).astype(int)
    part = grid.window(first.tolist(), (last - first + 1).tolist())
    if not grid.is_right_angled:
        corners = part.corners()
        near, far = corners.min(axis=0), corners.max(axis=0)
        step = min(grid.spacing_mm)
        shape = [max(1, math.ceil(n / step)) for n in (far - near)[::-1]]
        part = Grid.from_axes(shape, (step, step, step), near + step / 2, frame_uid=grid.frame_uid)
    return _limited(part, MAX_VOXELS)


def pack(steps: npt.NDArray[Any]) -> str:
    """Pack whole numbers of 16 bits, or of 8 bits without sign, as base64 of zlib.

    16-bit numbers become differences along the array, zigzag coded (0, -1, 1, -2 … as 0, 1, 2, 3 …), low bytes before
    high bytes; 8-bit numbers stay as they are.
    """
    flat = steps.ravel()
    if flat.dtype == np.int16:
        change = np.diff(flat, prepend=np.int16(0))  # wraps, and unpacking wraps back
        coded = ((change << 1) ^ (change >> 15)).view(np.uint16)
        raw = (coded & 0xFF).astype(np.uint8).tobytes() + (coded >> 8).astype(np.uint8).tobytes()
    else:
        raw = flat.astype(np.uint8).tobytes()
    return base64.b64encode(zlib.compress(raw, 5)).decode("ascii")


def colour_maps() -> dict[str, str]:
    """The viewer's colour maps, 256 times red, green, blue; each has even steps of lightness, whatever the colour vision."""
    import matplotlib as mpl

    places = np.linspace(0, 1, 256)
    tables = {name: (255 * np.array(mpl.colormaps[name](places))[:, :3]).round().astype(np.uint8) for name in MAPS}
    return {name: base64.b64encode(table.tobytes()).decode("ascii") for name, table in tables.items()}


def _layers(result: Assessment, grid: Grid, ct_grid: Grid | None) -> dict[str, dict[str, Any]]:
    images: dict[str, tuple[Floats, Grid, float]] = {}
    dose, activity = _on(result.dose, grid), _on(result.activity, grid) / np.float32(1e6)
    images["dose"] = dose, grid, _step(dose)
    images["activity"] = activity, grid, _step(activity)
    if result.case.ct is not None and ct_grid is not None:
        hu = result.case.ct.sampled_on(ct_grid, outside=LOWEST_HU)
        images["ct"] = np.clip(hu, LOWEST_HU, HIGHEST_HU), ct_grid, 1.0
    return {
        name: {
            "shape": list(on.shape),
            "spacing_mm": list(on.spacing_mm),
            "step": step,
            "data": pack(np.rint(values / step).astype(np.int16)),
        }
        for name, (values, on, step) in images.items()
    }


def _step(values: Floats) -> float:
    return (float(np.abs(values).max()) or 1.0) / STEPS


def _on(volume: Volume, grid: Grid) -> Floats:
    """Voxels as they are where the grid is a window of the volume's own; else interpolated."""
    return volume.grid.cut(volume.values, grid) if _is_window(grid, volume.grid) else volume.sampled_on(grid)


def _is_window(part: Grid, whole: Grid) -> bool:
    first = whole.first_voxel_of(part)
    return bool(whole.window(first.tolist(), part.shape).matches(part))


def _limited(grid: Grid, most: int) -> Grid:
    """The same box with at most about so many voxels."""
    count = math.prod(grid.shape)
    return grid if count <= most else grid.with_spacing([s * (count / most) ** (1 / 3) for s in grid.spacing_mm])


def _ct_grid(ct: Grid, grid: Grid) -> Grid:
    """The viewer's box at the CT's own spacing, or the dose's where that is finer."""
    # the CT's axis most nearly along each of the box's
    along = np.abs(ct.directions.T @ grid.directions).argmax(axis=0)
    finest = [max(CT_SPACING_MM, ct.spacing_mm[a]) for a in along]
    return grid.with_spacing([min(f, s) for f, s in zip(finest, grid.spacing_mm, strict=True)])


def _rois(result: Assessment, grid: Grid, *, is_exact: bool) -> list[dict[str, Any]]:
    """Occupancy of every region in 255ths, cropped; its first voxel counts from the box's."""
    styles = roi_styles(result)
    shown = []
    for region in result.regions:
        if is_exact:
            whole = region.on_window(grid)
        else:
            wider = region.grid.window([-1, -1, -1], [n + 2 for n in region.grid.shape])
            whole = Volume(region.on_window(wider), wider).sampled_on(grid)
        occupancy = np.rint(255 * whole).astype(np.uint8)
        filled = np.argwhere(occupancy)
        if not filled.size:
            continue
        low, high = filled.min(axis=0), filled.max(axis=0) + 1
        part = occupancy[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        colour, dash = styles[region.name]
        shown.append(
            {
                "name": region.name,
                "role": region.role,
                "colour": colour,
                "dash": dash,
                "first": low.tolist(),
                "shape": list(part.shape),
                "hottest": _hottest(result, region.name, grid),
                "data": pack(part),
            }
        )
    return shown


def _hottest(result: Assessment, name: str, grid: Grid) -> list[int]:
    region = result.regions[name]
    gy = np.where(
        region.occupancy >= 0.5 * region.occupancy.max(), result.dose.grid.cut(result.dose.gy, region.grid), -np.inf
    )
    return _nearest(grid, region.grid.points_lps_mm(np.unravel_index(int(gy.argmax()), gy.shape)))


def _nearest(grid: Grid, point_lps_mm: npt.ArrayLike) -> list[int]:
    index = np.clip(np.rint(grid.indices(point_lps_mm)), 0, np.array(grid.shape) - 1)
    return [int(n) for n in index]


def _letters(grid: Grid) -> list[list[str]]:
    """What lies at the low and at the high end of each axis; two or three letters where the axis is oblique."""
    letters = []
    for axis in range(3):
        along = grid.directions[:, axis]
        order = [a for a in np.argsort(-np.abs(along)) if abs(along[a]) > math.sin(math.radians(10))]
        low = "".join(_LETTERS[a][0 if along[a] > 0 else 1] for a in order)
        high = "".join(_LETTERS[a][1 if along[a] > 0 else 0] for a in order)
        letters.append([low, high])
    return letters


def _tilt_deg(grid: Grid) -> float:
    """The largest angle between an axis of the grid and the patient axis nearest to it."""
    return float(np.degrees(np.arccos(np.clip(np.abs(grid.directions).max(axis=0), 0, 1))).max())


def _note(result: Assessment, grid: Grid, ct_grid: Grid | None, *, is_exact: bool) -> str:
    """Say what the numbers under the cursor are."""
    parts = []
    mm = times(grid.spacing_mm)
    if is_exact:
        parts.append(f"Dose is that of the voxel ({mm} mm)")
    else:
        parts.append(f"Dose is sampled on a coarser grid ({mm} mm) to keep this file small, so read tables for numbers")
    if result.activity.grid.matches(result.dose.grid) and is_exact:
        parts.append("activity at the infusion is that of the voxel")
    else:
        parts.append("activity at the infusion is interpolated from its image")
    if ct_grid is not None:
        parts.append(f"CT is interpolated to {times(ct_grid.spacing_mm)} mm")
    if _tilt_deg(grid) > OBLIQUE_DEG:
        parts.append(
            f"the planes are those of the dose grid, turned by up to {_tilt_deg(grid):.0f}° from the patient's axes; the "
            "letters say where each side lies"
        )
    return "; ".join(parts) + "."


def _ends(mask: Mask, grid: Grid, step: int = 1) -> Doubles:
    """Corners of the box that holds a mask, in the patient; the mask may take every ``step``-th voxel only."""
    ends = [(step * part.start, step * (part.stop - 1)) for part in bounding_box(mask) or ()]
    corners = np.array(np.meshgrid(*ends, indexing="ij")).reshape(3, -1).T
    return grid.points_lps_mm(corners)
