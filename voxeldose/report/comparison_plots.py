"""Pictures of a comparison: fused slices of both sides at one scale, curves overlaid, maps of a sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.report.palette import DASHES, GRID, ROIS
from voxeldose.report.plots import PLANES, Layers, dose_colours, draw_marks, draw_plane
from voxeldose.report.wording import shortened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

    from voxeldose.model.arrays import Doubles
    from voxeldose.model.volume import DoseMap
    from voxeldose.report.plots import Focus, Frame

    Curve = tuple[Doubles, Doubles]

__all__ = ["MapPanel", "plot_curves", "plot_difference", "plot_fused", "plot_maps", "region_styles"]

#: A dash for each result, the first one before treatment.
_RESULT_DASHES = ("--", "-", ":", "-.")
_WIDE_IN, _EDGE_IN, _BAR_IN = 4.2, 0.06, 0.52


@dataclass(frozen=True, eq=False)
class MapPanel:
    """One map in a row of maps."""

    title: str
    dose: DoseMap


def region_styles(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Give each region a colour and a dash, the same in slices and curves."""
    count = len(ROIS)
    return {name: (ROIS[n % count], DASHES[n // count % len(DASHES)]) for n, name in enumerate(dict.fromkeys(names))}


def plot_fused(layers: Layers, focus: Focus, view: Frame) -> Figure:
    """Draw axial and coronal planes of one side: dose over its CT, its outlines, and the scale, which is that of ``view``."""
    colours = dose_colours(opaque=layers.ct is None)
    return _planes(layers, focus, view, _Scale(colours, 0.0, view.top_gy, "Absorbed dose (Gy)"))


def plot_difference(layers: Layers, focus: Focus, view: Frame) -> Figure:
    """Draw the same planes of a difference, coloured around zero; ``layers.dose`` is the difference."""
    import matplotlib as mpl

    known = layers.dose.gy[np.isfinite(layers.dose.gy)]
    end = float(np.abs(known).max(initial=0.0)) or 1.0
    return _planes(layers, focus, view, _Scale(mpl.colormaps["RdBu_r"], -end, end, "Post less pre (Gy)"))


@dataclass(frozen=True, eq=False)
class _Scale:
    colours: Colormap
    low_gy: float
    high_gy: float
    label: str


def _planes(layers: Layers, focus: Focus, view: Frame, scale: _Scale) -> Figure:
    from matplotlib.figure import Figure

    wide, deep, tall = (float(n) for n in view.high_lps_mm - view.low_lps_mm)
    per_mm = (_WIDE_IN - 2 * _EDGE_IN) / wide
    title = 0.26
    heights = [deep * per_mm, tall * per_mm]
    size = (_WIDE_IN, sum(heights) + 2 * title + _BAR_IN)
    figure = Figure(figsize=size)
    low = _BAR_IN
    for plane, height in zip(PLANES[1::-1], heights[::-1], strict=True):
        axes = figure.add_axes(
            (_EDGE_IN / size[0], low / size[1], (_WIDE_IN - 2 * _EDGE_IN) / size[0], height / size[1])
        )
        draw_plane(axes, layers, plane, focus.point_lps_mm, view)
        draw_marks(axes, plane, focus.point_lps_mm)
        axes.images[-1].set_cmap(scale.colours)
        axes.images[-1].set_clim(scale.low_gy, scale.high_gy)
        low += height + title
    _draw_bar(figure.add_axes((0.06, 0.3 / size[1], 0.88, 0.13 / size[1])), layers, scale)
    return figure


def _draw_bar(axes: Axes, layers: Layers, scale: _Scale) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    axes.set_facecolor("black" if layers.ct is None else "#606060")
    drawn = ScalarMappable(Normalize(scale.low_gy, scale.high_gy), scale.colours)
    bar = axes.figure.colorbar(drawn, cax=axes, orientation="horizontal")
    bar.set_label(scale.label, fontsize=8, labelpad=1)
    bar.ax.tick_params(labelsize=7, pad=1)


def plot_curves(
    sets: Sequence[tuple[str, Mapping[str, Curve]]], styles: Mapping[str, tuple[str, str]] | None = None
) -> Figure:
    """Cumulative DVHs of several results: a colour for each region, a dash for each result."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    names = list(dict.fromkeys(name for _, curves in sets for name in curves))
    colours = {name: style[0] for name, style in (styles or region_styles(names)).items()}
    last = 0.0
    for n, (_, curves) in enumerate(sets):
        for name, (doses, fractions) in curves.items():
            dash = _RESULT_DASHES[n % len(_RESULT_DASHES)]
            axes.plot(doses, 100 * fractions, dash, color=colours[name], linewidth=1.5)
            reached = doses[fractions > 0.01]
            last = max(last, float(reached[-1]) if reached.size else 0.0)
    axes.set(xlim=(0, 1.1 * last or 1.0), ylim=(0, 102), xlabel="Absorbed dose (Gy)", ylabel="Volume (%)")
    axes.grid(color=GRID, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    lines = [Line2D([], [], color=colours[name], linewidth=2) for name in names]
    lines += [
        Line2D([], [], color="#333", linewidth=1.5, linestyle=_RESULT_DASHES[n % len(_RESULT_DASHES)])
        for n in range(len(sets))
    ]
    legend = axes.legend(lines, [""] * len(lines), fontsize=7.5, frameon=False, loc="upper right")
    for text, name in zip(legend.get_texts(), [*names, *(title for title, _ in sets)], strict=True):
        text.set_parse_math(False)  # neither ``$`` nor a leading ``_`` of a name means anything
        text.set_text(shortened(name, 36))
    return figure


def plot_maps(panels: Sequence[MapPanel], k: int) -> Figure:
    """One slice of each map side by side, at one scale; patient's right at the left."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.4 * len(panels), 3.2), layout="constrained")
    top = max((float(np.nanmax(one.dose.gy[k])) for one in panels), default=1.0)
    for n, one in enumerate(panels, 1):
        axes = figure.add_subplot(1, len(panels), n)
        _, j, i = one.dose.grid.spacing_mm
        drawn = axes.imshow(one.dose.gy[k], cmap="inferno", vmin=0.0, vmax=top or 1.0, aspect=j / i)
        axes.set_title(one.title, fontsize=9)
        axes.set_axis_off()
        figure.colorbar(drawn, ax=axes, shrink=0.8, label="Gy")
    return figure
