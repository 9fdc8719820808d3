"""The page of a comparison, for people: tables, DVHs overlaid, slices. Draws and computes nothing new."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from voxeldose.report.images import figure_uri
from voxeldose.report.palette import GRID, ROIS
from voxeldose.report.templates import page_template
from voxeldose.report.wording import fact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from voxeldose.model.arrays import Doubles
    from voxeldose.model.volume import DoseMap

    Curve = tuple[Doubles, Doubles]

__all__ = ["MapPanel", "plot_curves", "plot_maps", "write_page"]

#: A dash for each result, the first one before treatment.
_DASHES = ("--", "-", ":", "-.")
_DPI = 130


@dataclass(frozen=True, eq=False)
class MapPanel:
    """One map in a row of maps; a difference is coloured around zero."""

    title: str
    dose: DoseMap
    is_difference: bool = False


def write_page(content: Mapping[str, Any], figures: Sequence[tuple[str, Figure]], path: Path) -> None:
    """Write one self-contained HTML file from ``comparison.json`` and captioned figures."""
    page = page_template("comparison.html.j2", number=fact).render(
        content=content, figures=[(caption, figure_uri(figure, "png", _DPI)) for caption, figure in figures]
    )
    path.write_text(page, "utf-8")


def plot_curves(sets: Sequence[tuple[str, Mapping[str, Curve]]]) -> Figure:
    """Cumulative DVHs of several results: a colour for each region, a dash for each result."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    names = list(dict.fromkeys(name for _, curves in sets for name in curves))
    last = 0.0
    for n, (title, curves) in enumerate(sets):
        for name, (doses, fractions) in curves.items():
            colour = ROIS[names.index(name) % len(ROIS)]
            axes.plot(
                doses, 100 * fractions, _DASHES[n % len(_DASHES)], color=colour, linewidth=1.5, label=f"{name}, {title}"
            )
            reached = doses[fractions > 0.01]
            last = max(last, float(reached[-1]) if reached.size else 0.0)
    axes.set(xlim=(0, 1.1 * last or 1.0), ylim=(0, 102), xlabel="Absorbed dose (Gy)", ylabel="Volume (%)")
    axes.grid(color=GRID, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, frameon=False, loc="upper right")
    return figure


def plot_maps(panels: Sequence[MapPanel], k: int) -> Figure:
    """One slice of each map side by side; patient's right at the left."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.4 * len(panels), 3.2), layout="constrained")
    top = max((float(np.nanmax(one.dose.gy[k])) for one in panels if not one.is_difference), default=1.0)
    for n, one in enumerate(panels, 1):
        axes = figure.add_subplot(1, len(panels), n)
        _, j, i = one.dose.grid.spacing_mm
        values = one.dose.gy[k]
        ends = np.nanmax(np.abs(values)) if one.is_difference and np.isfinite(values).any() else top
        low, colours = (-ends, "RdBu_r") if one.is_difference else (0.0, "inferno")
        drawn = axes.imshow(values, cmap=colours, vmin=low, vmax=ends or 1.0, aspect=j / i)
        axes.set_title(one.title, fontsize=9)
        axes.set_axis_off()
        figure.colorbar(drawn, ax=axes, shrink=0.8, label="Gy")
    return figure
