"""How things show themselves in a notebook: one table and one small picture, without names of files or frames.

Pictures are grey levels as PNG, or lines as SVG; both lie within the page, and no drawing library is loaded.
"""

from __future__ import annotations

import base64
import html
import math
import struct
import zlib
from typing import TYPE_CHECKING, Protocol

import numpy as np

from voxeldose.model.best_value import HasNumbers, best_pooled_ratio, best_value
from voxeldose.model.wording import dose, number, ratio

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from voxeldose.model.arrays import Doubles, Floats
    from voxeldose.model.assessment import RunRecord, Threshold, Totals
    from voxeldose.model.dvh import Dvh
    from voxeldose.model.grid import Grid
    from voxeldose.model.roi import Roi, RoiSet
    from voxeldose.model.volume import DoseMap, Volume

__all__ = [
    "grid_summary",
    "html_of_assessment",
    "html_of_dvh",
    "html_of_grid",
    "html_of_roi",
    "html_of_rois",
    "html_of_volume",
    "png_of",
    "summary_of_assessment",
]

#: Width of a picture on the page.
WIDE_PX = 240
#: CT numbers from air-filled lung to bone: the window of the abdomen, widened.
CT_WINDOW_HU = (-250.0, 350.0)
#: Values of a whole-page picture are left out beyond this many voxels a side: a notebook needs no more.
MOST_PIXELS = 512
#: Numbers of a region that the table of an assessment shows, by the name they have in every result.
SHOWN = (
    "volume_ml",
    "mass_g",
    "activity_mbq",
    "mean_dose_gy",
    "d95_gy",
    "d70_gy",
    "d50_gy",
    "v205_fraction",
    "v400_fraction",
)


class Results(HasNumbers, Protocol):
    """What an assessment and one read back have in common."""

    @property
    def totals(self) -> Totals: ...
    @property
    def thresholds(self) -> tuple[Threshold, ...]: ...
    @property
    def tumor_to_normal_ratio(self) -> float | None: ...
    @property
    def record(self) -> RunRecord: ...
    @property
    def kind_text(self) -> str: ...
    @property
    def dose(self) -> DoseMap: ...


_STROKE = 'fill="none" stroke="currentColor"'


def grid_summary(grid: Grid) -> str:
    """Shape and spacing of a grid in one line."""
    shape, spacing = " × ".join(map(str, grid.shape)), " × ".join(f"{s:.4g}" for s in grid.spacing_mm)
    return f"{shape} voxels of {spacing} mm (k, j, i)"


def html_of_grid(grid: Grid) -> str:
    """Where the voxels lie, and their box seen from the front and a little from above."""
    corners, directions = grid.corners(), grid.directions
    axes = {f"axis {n} points to": _direction(directions[:, a]) for a, n in enumerate("kji")}
    x, z = corners[:, 0] + 0.3 * corners[:, 1], -corners[:, 2] + 0.2 * corners[:, 1]
    edges = [(a, b) for a in range(8) for b in range(a + 1, 8) if bin(a ^ b).count("1") == 1]
    lines = [[(x[a], z[a]), (x[b], z[b])] for a, b in edges]
    return _side_by_side(_facts({"Grid": grid_summary(grid), **_place(grid), **axes}), _svg_of_lines(lines))


def html_of_volume(volume: Volume) -> str:
    """What the values are, and the slice with the most in it (of a CT, the middle one)."""
    values = volume.values
    facts = {
        type(volume).__name__: f"{volume.quantity} in {volume.unit}" if volume.unit else volume.quantity,
        "grid": grid_summary(volume.grid),
        **_place(volume.grid),
        "lowest, mean, highest": ", ".join(
            number(float(v)) for v in (values.min(), values.mean(dtype=np.float64), values.max())
        ),
    }
    if volume.is_extensive:
        facts["total"] = f"{number(volume.total())} {volume.unit}"
    if volume.remarks:
        facts["remarks"] = str(len(volume.remarks))
    return _side_by_side(_facts(facts), _slice_picture(volume))


def html_of_dvh(dvh: Dvh) -> str:
    """The numbers most asked for, and the curve."""
    low, high = dvh.range_gy
    (v205, v400), (d95, d70, d50) = dvh.at([205.0, 400.0], [0.95, 0.70, 0.50])
    facts = {
        "Dvh": f"{number(dvh.total_ml)} mL",
        "mean ± sd": f"{dose(dvh.mean_gy)} ± {dose(dvh.sd_gy)} Gy",
        "range": f"{dose(low)} to {dose(high)} Gy",
        "D95, D70, D50": ", ".join(map(dose, (d95, d70, d50))) + " Gy",
        "V205, V400": ", ".join(map(number, (v205, v400))),
    }
    if not high > 0:
        return _side_by_side(_facts(facts), "")
    doses, volumes = dvh.curve(high / 100)
    points = list(zip(doses / high, -0.6 * volumes / dvh.total_ml, strict=True))
    frame = [(0.0, -0.6), (0.0, 0.0), (1.02, 0.0)]
    caption = f"volume against dose, 0 to {dose(high)} Gy"
    return _side_by_side(_facts(facts), _svg_of_lines([frame, points], caption))


def html_of_roi(roi: Roi) -> str:
    """Name, role and volume, and the slice that holds most of it."""
    facts = {
        "Roi": roi.name,
        "role": roi.role,
        "volume": f"{number(roi.volume_ml)} mL",
        "box": grid_summary(roi.grid),
        **_place(roi.grid),
    }
    k = int(roi.occupancy.sum(axis=(1, 2)).argmax())
    return _side_by_side(_facts(facts), _image(roi.occupancy[k], (0.0, 1.0), roi.grid, f"occupancy of slice k = {k}"))


def html_of_rois(rois: RoiSet) -> str:
    """A row per region, and their boxes seen from the front."""
    rows = [(roi.name, roi.role, number(roi.volume_ml)) for roi in rois]
    lines = []
    for roi in rois:
        x, z = roi.grid.corners()[:, 0], -roi.grid.corners()[:, 2]
        left, right, top, bottom = x.min(), x.max(), z.min(), z.max()
        lines.append([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)])
    picture = _svg_of_lines(lines, "boxes of the regions from the front: head up, the patient's left to the right")
    return _side_by_side(_table(("RoiSet", "role", "volume_ml"), rows), picture if rows else "")


def summary_of_assessment(result: Results) -> str:
    """Engine, activity and the best mean doses in one line; one that is not the image's own says what it is."""
    means = ", ".join(_best_words(result, name, "mean_dose_gy", " Gy") for name in result.rois)
    activity = number(result.totals.activity_mbq)
    return f"{type(result).__name__}({result.record.engine}, {activity} MBq; mean dose: {means})"


def _best_words(result: Results, name: str, key: str, unit: str) -> str:
    best = best_value(result, name, key)
    beside = f" ({best.words})" if best.is_better else ""
    return f"{name} {_written(key, best.value)}{unit}{beside}"


def _best_cell(result: Results, name: str, key: str) -> str:
    """A best value; where it is not the image's own, that and what the value is stand beside it."""
    best = best_value(result, name, key)
    beside = f" ({best.words}; {_written(key, best.image)} in the image)" if best.is_better else ""
    return f"{_written(key, best.value)}{beside}"


def _written(key: str, value: float | None) -> str:
    """A number of a region by its name in results."""
    return dose(value) if key.endswith("_gy") else number(value)


def html_of_assessment(result: Results) -> str:
    """A row per region with its main numbers, and the slice of the dose with the highest one."""
    rows = [(name, roi.role, *(_best_cell(result, name, key) for key in SHOWN)) for name, roi in result.rois.items()]
    totals, record = result.totals, result.record
    pooled = best_pooled_ratio(result, result.tumor_to_normal_ratio)
    facts = {
        type(result).__name__: f"{record.engine}, {record.constants.name}, {record.calibration}",
        "dose": result.kind_text,
        "activity at infusion": f"{number(totals.activity_mbq)} MBq",
        "tumor to normal": ratio(pooled.value) + (f" ({pooled.words})" if pooled.is_better else ""),
        "limits met": f"{sum(t.met for t in result.thresholds)} of {len(result.thresholds)}",
        "assumptions, warnings": f"{len(record.assumptions)}, {len(record.warnings)}",
    }
    table = _table(("", "role", *SHOWN), rows)
    return _side_by_side(_facts(facts), _slice_picture(result.dose)) + table


def png_of(grey: Floats | Doubles, window: tuple[float, float]) -> bytes:
    """A picture of (rows, columns) in 8-bit grey, black at the window's lower end; what is no number is black."""
    low, high = window
    scaled = np.nan_to_num((np.asarray(grey, np.float64) - low) / ((high - low) or 1.0), nan=0.0)
    pixels = np.clip(scaled * 255, 0, 255).astype(np.uint8)
    rows, columns = pixels.shape
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), pixels], axis=1)  # each line begins with its filter: none
    parts = {
        b"IHDR": struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0),
        b"IDAT": zlib.compress(lines.tobytes(), 6),
        b"IEND": b"",
    }
    chunks = (
        struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in parts.items()
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _slice_picture(volume: Volume) -> str:
    values = np.nan_to_num(volume.values)
    if volume.quantity == "CT number":
        k, window = values.shape[0] // 2, CT_WINDOW_HU
    else:
        k = int(values.max(axis=(1, 2)).argmax())
        window = (min(0.0, float(values.min())), float(values.max()))
    caption = f"slice k = {k}, {number(window[0])} to {number(window[1])} {volume.unit}"
    return _image(values[k], window, volume.grid, caption)


def _image(plane: Floats, window: tuple[float, float], grid: Grid, caption: str) -> str:
    step = max(1, -(-max(plane.shape) // MOST_PIXELS))
    tall, wide = grid.shape[1] * grid.spacing_mm[1], grid.shape[2] * grid.spacing_mm[2]
    data = base64.b64encode(png_of(plane[::step, ::step], window)).decode("ascii")
    size = f"width:{WIDE_PX}px;height:{round(WIDE_PX * tall / wide)}px;max-height:{3 * WIDE_PX}px"
    picture = f'<img alt="{html.escape(caption)}" style="{size};image-rendering:pixelated;outline:1px solid #888" src="data:image/png;base64,{data}"/>'
    return f"<figure>{picture}<figcaption>{html.escape(caption)}</figcaption></figure>"


def _svg_of_lines(lines: Sequence[Sequence[tuple[float, float]]], caption: str = "") -> str:
    points = np.array([p for line in lines for p in line], float).reshape(-1, 2)
    if not len(points):
        return ""
    low, span = points.min(axis=0), float(np.ptp(points, axis=0).max()) or 1.0
    tall = 100 * float(np.ptp(points[:, 1])) / span
    paths = "".join(
        f'<path {_STROKE} d="M'
        + "L".join(f"{100 * (x - low[0]) / span:.1f} {100 * (y - low[1]) / span:.1f}" for x, y in line)
        + '"/>'
        for line in lines
    )
    box = f'viewBox="-2 -2 104 {tall + 4:.1f}" width="{WIDE_PX}" height="{WIDE_PX * (tall + 4) / 104:.0f}"'
    return f"<figure><svg {box}>{paths}</svg><figcaption>{html.escape(caption)}</figcaption></figure>"


def _place(grid: Grid) -> dict[str, str]:
    centre = grid.corners().mean(axis=0)
    known = "with" if grid.frame_uid is not None else "without"
    return {
        "centre (x, y, z)": ", ".join(f"{c:.1f}" for c in centre) + f" mm LPS, {known} a frame of reference",
    }


def _direction(axis: Doubles) -> str:
    """The patient's side nearest to an axis, and the angle between them if it is worth stating."""
    a = int(np.abs(axis).argmax())
    side = (("right", "left"), ("front", "back"), ("feet", "head"))[a][int(axis[a] > 0)]
    tilt = math.degrees(math.acos(min(1.0, abs(float(axis[a])))))
    return side if tilt < 0.05 else f"{side}, {tilt:.1f}° off"


def _facts(facts: dict[str, str]) -> str:
    rows = "".join(
        f"<tr><th style='text-align:left'>{html.escape(k)}</th><td style='text-align:left'>{html.escape(v)}</td></tr>"
        for k, v in facts.items()
    )
    return f"<table>{rows}</table>"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>"


def _side_by_side(table: str, picture: str) -> str:
    return f'<div style="display:flex;gap:1.5em;align-items:flex-start">{table}{picture}</div>'
