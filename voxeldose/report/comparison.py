"""The page of a comparison, for people: tables, DVHs overlaid, slices. Draws and computes nothing new."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from voxeldose.report.templates import data_uri, page_template

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt
    from matplotlib.figure import Figure

    from voxeldose.model.volume import DoseMap

    Curve = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]

__all__ = ["plot_curves", "plot_maps", "write_page"]

_COLOURS = ("#c1272d", "#0072b2", "#009e73", "#e69f00", "#7b3294", "#56b4e9", "#666666", "#a6761d")
_DASHES = ("--", "-", ":", "-.")


def write_page(content: Mapping[str, Any], figures: Sequence[tuple[str, Figure]], path: Path) -> None:
    """Write one self-contained HTML file from ``comparison.json`` and captioned figures."""
    page = page_template("comparison.html.j2", number=_number).render(
        content=content, figures=[(caption, _image(figure)) for caption, figure in figures]
    )
    path.write_text(page, "utf-8")


def plot_curves(sets: Sequence[tuple[str, Mapping[str, Curve]]]) -> Figure:
    """Cumulative DVHs of several results: a colour a region, a dash a result."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    names = list(dict.fromkeys(name for _, curves in sets for name in curves))
    last = 0.0
    for n, (title, curves) in enumerate(sets):
        for name, (doses, fractions) in curves.items():
            colour = _COLOURS[names.index(name) % len(_COLOURS)]
            axes.plot(
                doses, 100 * fractions, _DASHES[n % len(_DASHES)], color=colour, linewidth=1.5, label=f"{name}, {title}"
            )
            reached = doses[fractions > 0.01]
            last = max(last, float(reached[-1]) if reached.size else 0.0)
    axes.set(xlim=(0, 1.1 * last or 1.0), ylim=(0, 102), xlabel="Absorbed dose (Gy)", ylabel="Volume (%)")
    axes.grid(color="#e3e6ea", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, frameon=False, loc="upper right")
    return figure


def plot_maps(maps: Sequence[tuple[str, DoseMap, bool]], k: int) -> Figure:
    """One slice of each map side by side; patient's right at the left. ``True`` marks a difference, coloured around zero."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.4 * len(maps), 3.2), layout="constrained")
    top = max((float(np.nanmax(m.gy[k])) for _, m, signed in maps if not signed), default=1.0)
    for n, (title, dose, signed) in enumerate(maps, 1):
        axes = figure.add_subplot(1, len(maps), n)
        _, j, i = dose.grid.spacing_mm
        values = dose.gy[k]
        ends = np.nanmax(np.abs(values)) if signed and np.isfinite(values).any() else top
        low, colours = (-ends, "RdBu_r") if signed else (0.0, "inferno")
        drawn = axes.imshow(values, cmap=colours, vmin=low, vmax=ends or 1.0, aspect=j / i)
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
        figure.colorbar(drawn, ax=axes, shrink=0.8, label="Gy")
    return figure


def _image(figure: Figure) -> str:
    kept = io.BytesIO()
    figure.savefig(kept, format="png", dpi=130)
    return data_uri(kept.getvalue(), "image/png")


def _number(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
