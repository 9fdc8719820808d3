"""Mass density: from CT numbers, and on the dose grid."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.errors import QuantityError
from voxeldose.geometry.resample import onto
from voxeldose.model.densities import AIR_G_PER_ML, DENSEST_G_PER_ML
from voxeldose.model.remarks import Remark
from voxeldose.model.volume import CtImage, DecayMap, DensityMap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.model.arrays import Mask
    from voxeldose.model.case import Case

__all__ = ["density_on_grid", "hu_to_density", "kg_per_voxel"]

#: Part of the activity outside the density image that earns a warning.
MISSING_WARNING = 0.001


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
