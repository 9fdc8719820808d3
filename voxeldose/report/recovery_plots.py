"""Figures of resolution recovery: DVHs with their band against the image's own, and what the fit leaves of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from voxeldose.model.volume import Volume
from voxeldose.report.images import figure_file
from voxeldose.report.palette import GRID
from voxeldose.report.plots import roi_styles
from voxeldose.report.wording import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from voxeldose.model.arrays import Doubles, Integers
    from voxeldose.model.assessment import Assessment
    from voxeldose.model.grid import Grid
    from voxeldose.model.roi import Roi

__all__ = ["RecoveryPictures", "draw_recovery", "plot_recovered_dvh", "plot_residual"]

_DPI = 110
_MARK_GY = 400.0
#: Around the tumor that the residual is shown at, mm; residuals beyond so many standard deviations have the last colour.
_AROUND_MM, _MOST_SD = 45.0, 4.0


class RecoveryPictures(NamedTuple):
    """PNG of the DVHs and of the residual; ``None`` where there is nothing to draw."""

    dvh: bytes | None
    residual: bytes | None


def draw_recovery(result: Assessment) -> RecoveryPictures:
    """Both figures as files in memory."""
    dvh, residual = plot_recovered_dvh(result), plot_residual(result)
    return RecoveryPictures(*(figure_file(f, "png", _DPI) if f is not None else None for f in (dvh, residual)))


def plot_recovered_dvh(result: Assessment) -> Figure | None:
    """Draw recovered DVHs, solid with their 95 % band, over the image's own, dashed; ``None`` without any."""
    from matplotlib.figure import Figure

    found = result.recovered
    curves = {n: r.dvh for n, r in found.rois.items() if r.dvh is not None} if found is not None else {}
    if not curves:
        return None
    figure = Figure(figsize=(6.4, 3.7), layout="constrained")
    axes = figure.add_subplot()
    styles, last = roi_styles(result), 1.0
    for name, curve in curves.items():
        colour = styles[name][0]
        doses, fractions = np.array(curve.dose_gy), np.array(curve.fraction)
        axes.plot(doses, 100 * fractions, color=colour, linewidth=1.8, label=f"{shortened(name, 24)}, recovered")
        if curve.low_fraction:
            low, high = np.array(curve.low_fraction), np.array(curve.high_fraction)
            axes.fill_between(doses, 100 * low, 100 * high, color=colour, alpha=0.2, linewidth=0)
        own = result.rois[name].dvh
        steps, volumes = own.curve(max(own.range_gy[1], 1e-3) / 400)
        label = f"{shortened(name, 24)}, image"
        axes.plot(steps, 100 * volumes / own.total_ml, color=colour, linewidth=1.2, linestyle="--", label=label)
        last = max(last, curve.dose_to_fraction_gy(0.01))
    if last >= _MARK_GY:
        axes.axvline(_MARK_GY, color="#777", linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
        axes.text(_MARK_GY, 2, f"{_MARK_GY:g} Gy ", ha="right", fontsize=7, color="#555")
    axes.set(xlim=(0, 1.05 * last), ylim=(0, 102))
    axes.set_xlabel("Absorbed dose (Gy)", fontsize=9)
    axes.set_ylabel("Volume (%)", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(color=GRID, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    for text in axes.legend(fontsize=7, frameon=False, loc="upper right").get_texts():
        text.set_parse_math(False)
    return figure


def plot_residual(result: Assessment) -> Figure | None:
    """Draw the image, what the fit predicts for the scanner, and their difference in standard deviations of the noise.

    One slice of the image's own voxels through the largest recovered tumor, patient's right at the left. Outlines are dashed as
    drawn and solid as moved onto the image. ``None`` for a method without fit.
    """
    from matplotlib.figure import Figure

    found = result.recovered
    if found is None or found.residual is None:
        return None
    residual = found.residual
    name = max(residual.moved.names(), key=lambda n: result.rois[n].volume_ml)
    grid = residual.image.grid
    focus = np.round(grid.indices(_middle(result.regions[name]))).astype(int)
    k = int(np.clip(focus[0], 0, grid.shape[0] - 1))
    part = _around(grid, focus)
    figure = Figure(figsize=(9.0, 3.1), layout="constrained")
    image, predicted, deviation = (v.values[k][part] for v in (residual.image, residual.predicted, residual.deviation))
    scores = (image - predicted) / deviation
    top = float(max(image.max(), predicted.max(), 1e-6)) / 1e6
    panels = (("Image", image / 1e6), ("Predicted by the fit", predicted / 1e6), ("Difference / noise", scores))
    points = _points_of(grid, k, part)
    _, j, i = grid.spacing_mm
    for n, (title, values) in enumerate(panels, 1):
        axes = figure.add_subplot(1, 3, n)
        is_score = n == len(panels)
        low, high, colours = (-_MOST_SD, _MOST_SD, "RdBu_r") if is_score else (0.0, top, "inferno")
        drawn = axes.imshow(values, cmap=colours, vmin=low, vmax=high, aspect=j / i, interpolation="nearest")
        for roi in residual.moved:
            _draw_outlines(axes, result.regions[roi.name], roi, points, "#000" if is_score else "#fff")
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
        figure.colorbar(drawn, ax=axes, shrink=0.8, label="standard deviations" if is_score else "MBq/mL")
    return figure


def _middle(roi: Roi) -> Doubles:
    """Centre of mass of a region, in the patient."""
    index = np.argwhere(roi.occupancy > 0)
    weights = roi.occupancy[roi.occupancy > 0]
    return np.asarray(roi.grid.points_lps_mm(np.average(index, axis=0, weights=weights)))


def _around(grid: Grid, focus: Integers) -> tuple[slice, slice]:
    """Rows and columns around a voxel."""
    half = [max(2, round(_AROUND_MM / s)) for s in grid.spacing_mm[1:]]
    ends = zip(focus[1:], half, grid.shape[1:], strict=True)
    rows, columns = (slice(max(int(f) - h, 0), min(int(f) + h + 1, n)) for f, h, n in ends)
    return rows, columns


def _points_of(grid: Grid, k: int, part: tuple[slice, slice]) -> Doubles:
    """Where the voxels of a part of a slice lie in the patient, (rows, columns, 3)."""
    rows, columns = part
    j, i = np.meshgrid(np.arange(rows.start, rows.stop), np.arange(columns.start, columns.stop), indexing="ij")
    return np.asarray(grid.points_lps_mm(np.stack([np.full_like(j, k), j, i], axis=-1)))


def _draw_outlines(axes: Axes, drawn: Roi, moved: Roi, points_lps_mm: Doubles, colour: str) -> None:
    """Draw a region as drawn, dashed, and as moved, solid, in a slice."""
    for roi, dash, width in ((drawn, "--", 1.0), (moved, "-", 1.4)):
        wider = roi.grid.window([-1, -1, -1], [n + 2 for n in roi.grid.shape])
        inside = Volume(roi.on_window(wider), wider).sampled_at(points_lps_mm)
        if inside.min() < 0.5 <= inside.max():
            axes.contour(inside, levels=[0.5], colors=colour, linestyles=dash, linewidths=width)
