"""Pictures of a cohort."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxeldose.report.palette import OF_NUCLIDE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from voxeldose.model.remarks import Remark

__all__ = ["Line", "draw_histograms", "draw_scatter", "values_by_quantity"]


@dataclass(frozen=True)
class Line:
    """One case on the page."""

    row: int
    title: str
    link: str
    nuclide: str
    tumors: dict[str, dict[str, float]]
    normal_gy: float | None
    ratio: float | None
    recovered: float | None
    warnings: tuple[Remark, ...]
    pair: str
    seconds: float
    outlying: tuple[str, ...] = ()

    @property
    def tumor_gy(self) -> float | None:
        """Mean over all tumors, by their mass."""
        mass = sum(t["mass_g"] for t in self.tumors.values())
        return sum(t["mass_g"] * t["mean_dose_gy"] for t in self.tumors.values()) / mass if mass else None


def values_by_quantity(lines: list[Line]) -> dict[str, dict[str, list[float]]]:
    """Quantity -> nuclide -> values."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        for tumor in line.tumors.values():
            values["Mean dose of each tumor (Gy)"][line.nuclide].append(tumor["mean_dose_gy"])
            values["V205 of each tumor (%)"][line.nuclide].append(100 * tumor["v205_fraction"])
            values["V400 of each tumor (%)"][line.nuclide].append(100 * tumor["v400_fraction"])
        if line.ratio is not None:
            values["T/N of each case"][line.nuclide].append(line.ratio)
    return values


def draw_histograms(lines: list[Line]) -> Figure:
    """Histograms of every quantity, by nuclide."""
    from matplotlib.figure import Figure

    values = values_by_quantity(lines)
    figure = Figure(figsize=(9.6, 2.5), layout="constrained")
    for axes, (quantity, kinds) in zip(figure.subplots(1, len(values), squeeze=False)[0], values.items(), strict=True):
        every = [v for one in kinds.values() for v in one]
        low, high = min(*every, 0.0), max(every)
        high = high if high > low else low + 1
        edges = [low + (high - low) * n / 20 for n in range(21)]
        for nuclide, some in sorted(kinds.items()):
            colour = OF_NUCLIDE.get(nuclide, OF_NUCLIDE[""])
            axes.hist(some, edges, histtype="stepfilled", alpha=0.35, color=colour)
            axes.hist(some, edges, histtype="step", color=colour, label=f"{nuclide} ({len(some)})")
        axes.set_xlabel(quantity, fontsize=8)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=6.5, frameon=False)
    return figure


def draw_scatter(pairs: list[tuple[float, float]]) -> Figure:
    """Mean tumor doses before against after treatment."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.0, 3.7), layout="constrained")
    axes = figure.add_subplot()
    most = 1.05 * max(max(pair) for pair in pairs) or 1.0
    axes.plot([0, most], [0, most], color="#999", linewidth=0.8, linestyle="dashed")
    axes.scatter(
        [before for before, _ in pairs], [after for _, after in pairs], s=12, color=OF_NUCLIDE["Y-90"], alpha=0.7
    )
    axes.set(xlim=(0, most), ylim=(0, most), aspect="equal")
    axes.set_xlabel("Mean tumor dose by Tc-99m MAA (Gy)", fontsize=8)
    axes.set_ylabel("Mean tumor dose by Y-90 (Gy)", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
