"""Mass density: from CT numbers, and on the dose grid."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.errors import GeometryError, QuantityError
from voxeldose.geometry.resample import onto
from voxeldose.model.densities import AIR_G_PER_ML, DENSEST_G_PER_ML
from voxeldose.model.remarks import Numbers, Remark
from voxeldose.model.roles import LIVER_ROLES
from voxeldose.model.volume import CtImage, DecayMap, DensityMap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.model.arrays import Doubles, Mask
    from voxeldose.model.case import Case
    from voxeldose.model.grid import Grid
    from voxeldose.model.roi import RoiSet

__all__ = ["density_on_grid", "hu_to_density", "kg_per_voxel", "require_density_in"]

#: Part of the activity outside the density image that earns a warning.
MISSING_WARNING = 0.001

#: Part of a region outside the density image that is said, or refused where the region is of the liver.
MISSING_PART = 0.01


#: HU and g/mL, linear in between, flat beyond. Schneider, Bortfeld, Schlegel, Phys. Med. Biol. 45 (2000) 459-478
#: (its air-lung-fat line, soft-tissue and bone fits), with the breakpoints in use by GATE.
HU_TABLE = (
    (-1000.0, 0.00121),
    (-98.0, 0.93),
    (-97.0, 0.930486),
    (14.0, 1.03),
    (23.0, 1.031),
    (100.0, 1.1199),
    (101.0, 1.0762),
    (1600.0, 1.9642),
    (3000.0, 2.8),
)


def hu_to_density(ct: CtImage, table: Sequence[tuple[float, float]] | None = None) -> DensityMap:
    """Mass density from CT numbers by a piecewise linear table, flat beyond its ends; padding below -1000 HU is air.

    Parameters
    ----------
    ct : CtImage
        Hounsfield units.
    table : sequence of (float, float), optional
        Pairs of HU and g/mL, the site's own; :data:`HU_TABLE` without it.

    Raises
    ------
    QuantityError
        If the table has fewer than two rows, its HU do not rise, or a density is negative or above 25 g/mL.
    """
    if table is None:
        sentence = (
            "Mass density from CT numbers by the table of Schneider et al. 2000 (doi:10.1088/0031-9155/45/2/314)."
        )
        table = HU_TABLE
    else:
        _require_hu_table(table)
        listed = ", ".join(f"{h:g} HU {d:g}" for h, d in table)
        sentence = f"Mass density from CT numbers by the table given, in g/mL: {listed}."
    hu, density = zip(*table, strict=True)
    remark = Remark("density-by-hu-table", {"rows": len(table)}, sentence)
    values = np.interp(ct.hu, hu, density).astype(np.float32)
    return DensityMap(values, ct.grid, remarks=(*ct.remarks, remark))


def _require_hu_table(table: Sequence[tuple[float, float]]) -> None:
    way_out = "Give rows of HU and g/mL with rising HU, as [-1000, 0.00121]."
    if len(table) < 2 or not np.isfinite(np.asarray(table, float)).all():
        msg = f"hu_table needs at least two rows of two finite numbers, found {len(table)} rows. {way_out}"
        raise QuantityError(msg, code="table-too-short", field="hu_table")
    for (before, _), (after, _) in pairwise(table):
        if after <= before:
            msg = f"hu_table: {after:g} HU follows {before:g} HU. {way_out}"
            raise QuantityError(msg, code="table-not-rising", field="hu_table")
    wrong = [(h, d) for h, d in table if not 0 <= d <= DENSEST_G_PER_ML]
    if wrong:
        msg = f"hu_table: {wrong[0][1]:g} g/mL at {wrong[0][0]:g} HU is no density. {way_out}"
        raise QuantityError(msg, code="density-impossible", field="hu_table")


def density_on_grid(case: Case, decays: DecayMap) -> tuple[DensityMap | float, tuple[Remark, ...], tuple[Remark, ...]]:
    """Density on the grid of the decays, and where it gives no dose: as assumptions and, if that matters, as warnings."""
    if not isinstance(case.density, DensityMap):
        return case.density, (), ()
    density = onto(case.density, decays.grid)
    missing = density.g_per_ml <= 0
    air = ~missing & (density.g_per_ml < AIR_G_PER_ML)
    gaps = [
        *_gap("density-gap", missing, "not reached by the density image; there is no dose and no mass there", decays),
        *_gap(
            "density-of-air",
            air,
            f"lighter than {AIR_G_PER_ML} g/mL (air); no dose is given, since energy over nearly no mass is none there",
            decays,
        ),
    ]
    severe = [abs(float(gap.numbers["activity_fraction"] or 0)) > MISSING_WARNING for gap in gaps]
    return (
        density,
        tuple(gap for gap, is_severe in zip(gaps, severe, strict=True) if not is_severe),
        tuple(gap for gap, is_severe in zip(gaps, severe, strict=True) if is_severe),
    )


def require_density_in(regions: RoiSet, case: Case, density: DensityMap | float) -> tuple[Remark, ...]:
    """That the density image holds the regions: a warning for each that it misses a part of.

    Parameters
    ----------
    regions : RoiSet
        On windows of the grid of ``density``.
    case : Case
        With the density image as it was given.
    density : DensityMap or float
        On the dose grid, in g/mL; a single density holds everything.

    Raises
    ------
    GeometryError
        If more than 1 % of a tumor or of the liver lies outside; the message names the millimetres.
    """
    if not (isinstance(density, DensityMap) and isinstance(case.density, DensityMap)):
        return ()
    warnings = []
    for roi in regions:
        without = roi.occupancy * (density.grid.cut(density.g_per_ml, roi.grid) <= 0)
        total = float(roi.occupancy.sum(dtype=np.float64))
        part = float(without.sum(dtype=np.float64)) / total if total else 0.0
        if part <= MISSING_PART:
            continue
        short_mm = _short_of_mm(roi.grid.points_lps_mm(np.argwhere(without > 0)), case.density.grid)
        found = f"{part:.1%} of ROI {roi.name} lies outside the density image (the CT), by up to {short_mm:.0f} mm"
        if roi.role in LIVER_ROLES:
            msg = (
                f"{found}, so it has no mass and no dose there. Give a CT that covers it, or a uniform density "
                '(density = "uniform").'
            )
            raise GeometryError(msg, code="density-too-small", roi=roi.name, outside_fraction=part, short_mm=short_mm)
        numbers: Numbers = {"roi": roi.name, "outside_fraction": part, "short_mm": short_mm}
        warnings.append(Remark("roi-outside-density", numbers, f"{found}; its numbers are those of the part inside."))
    return tuple(warnings)


def _short_of_mm(points_lps_mm: Doubles, grid: Grid) -> float:
    """How far the farthest of the points (n, 3) lies beyond the edges of a grid, along its axes; 0 where all are inside."""
    indices = grid.indices(points_lps_mm)
    last = np.array(grid.shape) - 0.5
    beyond = np.maximum(np.maximum(-0.5 - indices, indices - last), 0) * np.array(grid.spacing_mm)
    return float(beyond.max(initial=0.0))


def _gap(code: str, where: Mask, what: str, decays: DecayMap) -> list[Remark]:
    """How much of the grid and of the activity lies ``where``; nothing if none does."""
    if not where.any():
        return []
    total = decays.total()
    part = float(decays.decays[where].sum(dtype=np.float64)) / total if total else 0.0
    numbers = {"grid_fraction": float(where.mean()), "activity_fraction": part}
    sentence = f"{where.mean():.1%} of the dose grid, with {part:.2%} of the activity, is {what}."
    return [Remark(code, numbers, sentence)]


def kg_per_voxel(decays: DecayMap, density_g_per_ml: float) -> float:
    """Mass of a voxel in kg at one density; one that is no tissue is refused."""
    if not (math.isfinite(density_g_per_ml) and density_g_per_ml >= AIR_G_PER_ML):
        msg = f"A tissue density of at least {AIR_G_PER_ML} g/mL is needed, found {density_g_per_ml}."
        raise QuantityError(msg, code="density-impossible", found=density_g_per_ml, needed_at_least=AIR_G_PER_ML)
    return density_g_per_ml * decays.grid.voxel_volume_ml * 1e-3
