"""Decays and density on the grid that the dose is wanted on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from voxeldose.geometry.resample import onto
from voxeldose.model.volume import AIR_G_PER_ML, DensityMap

if TYPE_CHECKING:
    import numpy.typing as npt

    from voxeldose.model.case import Case
    from voxeldose.model.grid import Grid
    from voxeldose.model.volume import DecayMap

__all__ = ["decays_on_grid", "density_on_grid"]

#: Part of the activity outside the density image that earns a warning.
MISSING_WARNING = 0.001


def decays_on_grid(case: Case, emitted: DecayMap, assumptions: list[str]) -> DecayMap:
    """The decays on the grid the dose is wanted on."""
    grid = case.dose_grid or emitted.grid
    if grid.matches(emitted.grid):
        return emitted
    moved = onto(emitted, grid)
    inside = float(moved.total() / emitted.total())
    assumptions.append(
        f"Dose is computed on a grid of {grid.shape} voxels of {_mm(grid)} mm (k, j, i); activity is spread evenly over each "
        f"image voxel, its total kept; {inside:.2%} of it lies inside that grid."
    )
    return moved


def density_on_grid(case: Case, decays: DecayMap, said: tuple[list[str], list[str]]) -> DensityMap | float:
    """Density on the grid of the decays; ``said`` (assumptions, warnings) learns where the image does not reach."""
    if not isinstance(case.density, DensityMap):
        return case.density
    density = onto(case.density, decays.grid)
    missing = density.g_per_ml <= 0
    _report_gap(missing, "not reached by the density image", "there is no dose and no mass", decays, said)
    air = ~missing & (density.g_per_ml < AIR_G_PER_ML)
    what = "no dose is given, since energy over nearly no mass is none"
    _report_gap(air, f"lighter than {AIR_G_PER_ML} g/mL (air)", what, decays, said)
    return density


def _report_gap(
    where: npt.NDArray[np.bool_], name: str, what: str, decays: DecayMap, said: tuple[list[str], list[str]]
) -> None:
    """Say how much of grid and activity lies ``where``: as a warning if it is more than a little of the activity."""
    if not where.any():
        return
    total = decays.total()
    part = float(decays.decays[where].sum(dtype=np.float64)) / total if total else 0.0
    assumptions, warnings = said
    (warnings if abs(part) > MISSING_WARNING else assumptions).append(
        f"{where.mean():.1%} of the dose grid, with {part:.2%} of the activity, is {name}; {what} there."
    )


def _mm(grid: Grid) -> str:
    return " x ".join(f"{s:.4g}" for s in grid.spacing_mm)
