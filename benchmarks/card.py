"""The cards as Markdown, as one self-contained HTML page with plots, and as JSON."""

from __future__ import annotations

import base64
import io
import json
import math
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.machine import told

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.figure import Figure as Drawing

    from benchmarks.figures import Figure

__all__ = ["Card", "text_of", "write_card", "write_json"]

_SPEED = ("grid", "activity", "program", "cpu_s", "wall_s", "fftconvolve_cpu_ratio", "limit_cpu_ratio", "peak_grids")
_GROWTH = ("voxels", "dense ns", "liver ns", "read and write ns", "dense grids", "liver grids")


@dataclass(frozen=True)
class Card:
    """Everything one run found.

    Parameters
    ----------
    machine : dict
        Of :func:`benchmarks.machine.describe_machine`.
    command : str
        The words that repeat it.
    figures : list of Figure
        Of the accuracy card.
    speed : dict
        Of :func:`benchmarks.speed.speed_card`; empty without it.
    """

    machine: dict[str, Any]
    command: str
    figures: list[Figure] = field(default_factory=list)
    speed: dict[str, Any] = field(default_factory=dict)

    @property
    def outside(self) -> list[Figure]:
        """Figures that left their band."""
        return [f for f in self.figures if f.is_inside is False]

    @property
    def verdict(self) -> str:
        """One line about accuracy."""
        judged = [f for f in self.figures if f.is_inside is not None]
        shown = len(self.figures) - len(judged)
        return (
            f"{len(judged) - len(self.outside)} of {len(judged)} judged figures inside their bands; {shown} more shown."
        )


def text_of(figure: Figure) -> str:
    """A line for the terminal."""
    unit = f" {figure.unit}" if figure.unit else ""
    return (
        f"  {figure.verdict:8}{figure.name:52}{figure.value:11.5g}  against {figure.reference:9.5g}{unit:12} {figure.difference:>12}"
        f"  {figure.band}"
    )


def write_json(card: Card, path: Path) -> None:
    """All numbers; a number that is not finite is null."""
    content = {
        "schema": "voxeldose/benchmarks/1",
        "command": card.command,
        "machine": card.machine,
        "accuracy": [asdict(f) | {"inside": f.is_inside, "deviation": f.deviation} for f in card.figures],
        "speed": card.speed,
    }
    path.write_text(json.dumps(_plain(content), indent=1, allow_nan=False) + "\n", "utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_card(card: Card, folder: Path) -> None:
    """``card.md`` and ``card.html`` in a folder, which is made if it is not there."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    folder.mkdir(parents=True, exist_ok=True)
    tables = {"sections": list(_sections(card)), "speed": _speed_rows(card), "growth": _growth_rows(card)}
    words = {"card": card, "machine": told(card.machine).splitlines(), **tables, "columns": (_SPEED, _GROWTH)}
    house = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=select_autoescape(["html.j2"]),
    )
    (folder / "card.md").write_text(house.get_template("card.md.j2").render(**words), "utf-8")
    plots = {name: _as_uri(drawing) for name, drawing in _drawings(card)}
    (folder / "card.html").write_text(house.get_template("card.html.j2").render(**words, plots=plots), "utf-8")


def _sections(card: Card) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Rows of text by section."""
    for name, figures in groupby(card.figures, key=lambda f: f.section):
        yield (
            name,
            [
                {
                    "figure": f.name,
                    "value": f"{f.value:.4g}",
                    "reference": f"{f.reference:.4g}",
                    "unit": f.unit,
                    "difference": f.difference,
                    "band": f.band,
                    "verdict": f.verdict,
                    "source": f.source,
                    "reason": f.reason,
                }
                for f in figures
            ],
        )


def _speed_rows(card: Card) -> list[list[str]]:
    return [[_cell(row[c]) for c in _SPEED] for row in card.speed.get("grids", [])]


def _growth_rows(card: Card) -> list[list[str]]:
    return [[_cell(v) for v in row] for row in card.speed.get("growth", [])]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _drawings(card: Card) -> Iterator[tuple[str, Drawing]]:
    judged = [f for f in card.figures if f.is_inside is not None]
    if judged:
        yield "Where in its band each judged figure lies", _bands(judged)
    spheres = [
        f
        for f in card.figures
        if f.name.endswith(" mean dose, dpk") and f.unit == "Gy" and f.name.startswith("sphere_")
    ]
    if spheres:
        yield "Mean dose of the NEMA spheres by dpk, in parts of the reference", _by_diameter(spheres)
    recovery = [f for f in card.figures if " RC of the " in f.name]
    if recovery:
        yield "Recovery coefficients: measured on one noisy run (dots), and the fitted curve", _recovery(recovery)
    if card.speed.get("growth"):
        from benchmarks.bench_growth import plot

        yield "How the dose step grows with the grid", plot([tuple(row) for row in card.speed["growth"]])
    if card.speed.get("grids"):
        yield "CPU time of fftconvolve by that of each program", _ratios(card.speed["grids"])


def _bands(figures: Sequence[Figure]) -> Drawing:
    """A dot a figure: -1 and 1 are the ends of its band."""
    from matplotlib.figure import Figure as Drawing

    names = list(dict.fromkeys(f.section for f in figures))
    drawing = Drawing(figsize=(8, 0.35 * len(names) + 1.0), layout="constrained")
    axes = drawing.add_subplot()
    for f in figures:
        half = ((f.high or 0) - (f.low or 0)) / 2
        place = (f.value - ((f.high or 0) + (f.low or 0)) / 2) / half if half else 0.0
        colour = "#2c6e49" if f.is_inside else "#b3261e"
        axes.plot(max(-1.6, min(1.6, place)), names.index(f.section), "o", color=colour, alpha=0.6, markersize=5)
    for edge in (-1, 1):
        axes.axvline(edge, color="#777", linewidth=0.8)
    axes.axvline(0, color="#bbb", linewidth=0.6)
    axes.set(xlim=(-1.7, 1.7), yticks=range(len(names)), yticklabels=names, xlabel="part of the band")
    axes.tick_params(labelsize=7)
    axes.invert_yaxis()
    return drawing


def _by_diameter(figures: Sequence[Figure]) -> Drawing:
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing(figsize=(8, 4), layout="constrained")
    axes = drawing.add_subplot()
    for name, group in groupby(figures, key=lambda f: f.section):
        rows = [(float(f.name[7 : f.name.index("mm")]), f.value / f.reference) for f in group]
        axes.plot(*zip(*rows, strict=True), "o-", label=name, markersize=4, linewidth=1)
    axes.axhline(1, color="#777", linewidth=0.8)
    axes.set(xlabel="inner diameter (mm)", ylabel="found / reference")
    axes.legend(fontsize=6)
    axes.grid(alpha=0.3)
    return drawing


def _recovery(figures: Sequence[Figure]) -> Drawing:
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing(figsize=(8, 3.6), layout="constrained")
    axes = drawing.add_subplot()
    kinds = dict.fromkeys(f.name.partition(" RC of the ")[2] for f in figures)
    for kind, colour in zip(kinds, ("#1f4e79", "#b3541e", "#2c6e49"), strict=True):
        rows = [(float(f.name[7 : f.name.index("mm")]), f) for f in figures if f.name.endswith(kind)]
        axes.plot([d for d, _ in rows], [f.value for _, f in rows], "-", color=colour, label=kind)
        axes.plot([d for d, _ in rows], [f.reference for _, f in rows], "o", color=colour, markersize=4)
    axes.set(xlabel="inner diameter (mm)", ylabel="RC", ylim=(0, 1.05))
    axes.legend(fontsize=7)
    axes.grid(alpha=0.3)
    return drawing


def _ratios(rows: Sequence[dict[str, Any]]) -> Drawing:
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing(figsize=(8, 0.26 * len(rows) + 1.2), layout="constrained")
    axes = drawing.add_subplot()
    kept = [r for r in rows if r["program"] != "copy"]
    names = [f"{r['grid']}, {r['activity']}: {r['program']}" for r in kept]
    colours = ["#1f4e79" if r["program"] in ("ours", "assess") else "#b0b7c3" for r in kept]
    axes.barh(range(len(kept)), [r["fftconvolve_cpu_ratio"] or 0.0 for r in kept], color=colours)
    axes.axvline(1, color="#777", linewidth=0.8)
    axes.set(yticks=range(len(kept)), yticklabels=names, xscale="log", xlabel="times as fast as fftconvolve (CPU)")
    axes.tick_params(labelsize=7)
    axes.invert_yaxis()
    return drawing


def _as_uri(drawing: Drawing) -> str:
    buffer = io.BytesIO()
    drawing.savefig(buffer, format="png", dpi=110)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
