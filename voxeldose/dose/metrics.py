"""Dose and regions to numbers: DVH metrics, tumor to normal.

Definitions (weights ``w`` are occupied volumes, doses ``D`` voxel means):

- the dose of a voxel is its mean; a part of a voxel gets the dose at that part's middle (slope of the dose map), except
  in local deposition, which has none;
- mean and standard deviation are volume-weighted, negative voxels included; min and max are over occupied voxels;
- ``Vd`` is the fraction of the volume with dose >= d, ``Dx`` the highest dose that at least x % of the volume receives;
- ``bed_gy`` is the mean over the region of the BED of its voxels; ``eud_gy`` the even absorbed dose, ``eubed_gy`` the even BED
  with the same survival. Formulas and parameters: :mod:`voxeldose.dose.radiobiology`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.radiobiology import eubed_gy, eud_gy
from voxeldose.errors import QuantityError
from voxeldose.model.assessment import Overlap, RoiMetrics, TumorToNormal
from voxeldose.model.dvh import Dvh
from voxeldose.model.metric import Metric
from voxeldose.model.volume import DensityMap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voxeldose.model.arrays import Floats
    from voxeldose.model.roi import Roi
    from voxeldose.model.tissue import Radiobiology
    from voxeldose.model.volume import DecayMap, DoseMap

__all__ = [
    "dvh_in",
    "overlaps",
    "roi_metrics",
    "tumor_to_normal",
    "tumor_to_normal_of",
    "tumor_to_normal_table",
]


#: Doses of the coverages and fractions of the doses that every region is given.
COVERAGES_GY = (100.0, 190.0, 205.0, 400.0, 446.0)
FRACTIONS = (0.98, 0.95, 0.90, 0.70, 0.50, 0.02)


def roi_metrics(
    roi: Roi,
    outside_fraction: float,
    dose: DoseMap,
    local: DoseMap,
    decays: DecayMap,
    density: DensityMap | float,
    *,
    dose_is_known: bool = True,
    tissue: Radiobiology | None = None,
) -> RoiMetrics:
    """All numbers of one region.

    Parameters
    ----------
    roi : Roi
        On a window of the dose grid.
    outside_fraction : float
        Part of the region that lies outside the dose grid, and so is not in the numbers.
    dose, local : DoseMap
        The run's dose, and the dose by local deposition, on the same grid.
    decays : DecayMap
        On the same grid.
    density : DensityMap or float
        In g/mL, on the same grid.
    dose_is_known : bool
        False where the run's medium does not fit the region: every dose is then NaN (``null`` in files).
    tissue : Radiobiology, optional
        Parameters for BED and EUD; there are none without it.

    Raises
    ------
    QuantityError
        If the parameters are for another tissue than the region's role.
    """
    if tissue is not None:
        tissue.require_role(roi.role)
    part = dose.grid.slices_of(roi.grid)
    voxel_ml = dose.grid.voxel_volume_ml
    gy = _inside(roi, dose) if dose_is_known else np.full(roi.grid.shape, np.nan, np.float32)
    near_gy = local.gy[part] if dose_is_known else gy
    whole = roi.occupancy.sum(dtype=np.float64)
    if isinstance(density, DensityMap):
        mass_g = _product(roi.occupancy, density.g_per_ml[part]) * voxel_ml
    else:
        mass_g = float(whole) * voxel_ml * density
    dvh = Dvh(gy, roi.occupancy, voxel_ml)
    coverages, doses = dvh.at(COVERAGES_GY, FRACTIONS)
    mean, sd = dvh.mean_gy, dvh.sd_gy
    lowest, highest = dvh.range_gy
    filled = roi.occupancy > 0
    bed = eud = eubed = None
    if tissue is not None:
        nuclide, weights = decays.radionuclide, roi.occupancy[filled].astype(np.float64)
        doses64 = gy[filled].astype(np.float64)
        bed = mean + tissue.repair(nuclide) / tissue.alpha_beta_gy * (sd**2 + mean**2)
        eud = eud_gy(doses64, weights, tissue.alpha_per_gy)
        eubed = eubed_gy(doses64, weights, tissue, nuclide)
    return RoiMetrics(
        role=roi.role,
        volume_ml=float(whole) * voxel_ml,
        mass_g=mass_g,
        activity_mbq=_product(roi.occupancy, decays.decays[part]) / decays.radionuclide.decays_per_bq() / 1e6,
        mean_dose_gy=mean,
        min_dose_gy=lowest,
        max_dose_gy=highest,
        sd_dose_gy=sd,
        **{Metric("d", 100 * part).key: value for part, value in zip(FRACTIONS, doses, strict=True)},
        **{Metric("v", dose).key: value for dose, value in zip(COVERAGES_GY, coverages, strict=True)},
        bed_gy=bed,
        eud_gy=eud,
        eubed_gy=eubed,
        mean_dose_local_gy=_product(roi.occupancy, near_gy) / float(whole),
        outside_fraction=outside_fraction,
        dvh=dvh,
    )


def dvh_in(roi: Roi, dose: DoseMap) -> Dvh:
    """The DVH of a region (on a window of the dose grid) in a dose map, as :func:`roi_metrics` makes it."""
    return Dvh(_inside(roi, dose), roi.occupancy, dose.grid.voxel_volume_ml)


def _inside(roi: Roi, dose: DoseMap) -> Floats:
    """Dose to the part of each voxel that the region holds.

    A voxel's dose is its mean. Where the region fills only a part of it, that part gets the mean plus the slope of the
    dose (central differences) times how far the part's middle lies from the centre, within what the neighbours have. Local
    deposition is even in a voxel by its definition and stays so.
    """
    part = dose.grid.slices_of(roi.grid)
    gy = dose.gy[part]
    if roi.offset is None or dose.is_even_in_voxels:
        return gy
    cut = (np.abs(roi.offset).max(axis=0) > 1e-4) & (roi.occupancy > 0)
    if not cut.any():
        return gy
    at = np.argwhere(cut) + [s.start for s in part]
    centre = dose.gy[tuple(at.T)]
    change = np.zeros(len(at), np.float32)
    lowest, highest = centre.copy(), centre.copy()
    for axis, size in enumerate(dose.grid.shape):
        before, after = at.copy(), at.copy()
        before[:, axis] = np.maximum(before[:, axis] - 1, 0)
        after[:, axis] = np.minimum(after[:, axis] + 1, size - 1)
        less, more = dose.gy[tuple(before.T)], dose.gy[tuple(after.T)]
        steps = np.maximum(after[:, axis] - before[:, axis], 1)
        change += (more - less) / steps * roi.offset[axis][cut]
        lowest, highest = np.minimum(lowest, np.minimum(less, more)), np.maximum(highest, np.maximum(less, more))
    result = gy.copy()
    result[cut] = np.clip(centre + change, lowest, highest)
    return result


def _product(weights: Floats, values: Floats) -> float:
    """Sum of weight times value, in float64."""
    return float(np.einsum("kji,kji->", weights, values, dtype=np.float64))


def tumor_to_normal(metrics: Mapping[str, RoiMetrics]) -> float | None:
    """Activity per gram of all tumors pooled over that of the normal liver; ``None`` without both.

    Tumors that overlap each other count their shared voxels twice here; the run warns of it.
    """
    tumors = [m for m in metrics.values() if m.role == "tumor"]
    normal = [m for m in metrics.values() if m.role == "normal_liver"]
    if not tumors or not normal:
        return None
    in_normal = sum(m.activity_mbq for m in normal) / sum(m.mass_g for m in normal)
    if in_normal <= 0:
        return None
    return sum(m.activity_mbq for m in tumors) / sum(m.mass_g for m in tumors) / in_normal


def tumor_to_normal_table(
    metrics: Mapping[str, RoiMetrics], normal: RoiMetrics, definition: str
) -> tuple[TumorToNormal, ...]:
    """Each tumor, and all pooled, against a normal region: by activity per millilitre (as counts would) and by mean dose.

    Tumors that overlap each other count their shared voxels twice in the pool.
    """
    tumors = {name: m for name, m in metrics.items() if m.role == "tumor"}
    rows = {name: (m.activity_mbq, m.volume_ml, m.mean_dose_gy) for name, m in tumors.items()}
    return _ratios(rows, (normal.activity_mbq, normal.volume_ml, normal.mean_dose_gy), definition)


def tumor_to_normal_of(
    tumors: Mapping[str, tuple[float, float]],
    normal: tuple[float, float],
    definition: str,
    *,
    by_dose: bool = False,
) -> tuple[TumorToNormal, ...]:
    """Each tumor, and all pooled, against a normal region, from numbers alone: ``(N_T/V_T) / (N_N/V_N)``.

    Parameters
    ----------
    tumors : mapping
        Name to counts (or activity) and volume in mL; with ``by_dose`` to mean dose in Gy and volume in mL.
    normal : (float, float)
        The same of the normal region.
    definition : str
        What the normal region is; perfused normal liver alone gives the ratio that the partition model needs.
    by_dose : bool
        Whether the first numbers are mean doses.

    Raises
    ------
    QuantityError
        If there is no tumor, a volume is not above 0, a number is negative, or the normal region holds nothing.
    """
    for name, (amount, volume) in (*tumors.items(), ("the normal region", normal)):
        if not (math.isfinite(amount) and amount >= 0 and math.isfinite(volume) and volume > 0):
            msg = f"{name} needs 0 or more of counts or dose and a volume above 0 mL, found {amount} and {volume}."
            raise QuantityError(msg, code="value-out-of-range", roi=name)
    if not tumors or normal[0] == 0:
        what = "a tumor" if not tumors else "counts or dose in the normal region, found 0"
        msg = f"T/N needs {what}."
        raise QuantityError(msg, code="tumor-to-normal-undefined")
    nan = math.nan

    def row(amount: float, volume: float) -> tuple[float, float, float]:
        return (nan, volume, amount) if by_dose else (amount, volume, nan)

    return _ratios({name: row(*of) for name, of in tumors.items()}, row(*normal), definition)


def _ratios(
    rows: dict[str, tuple[float, float, float]], normal: tuple[float, float, float], definition: str
) -> tuple[TumorToNormal, ...]:
    """Ratios of amount per millilitre and of mean dose; rows are (amount, mL, Gy), the pool of several rows is added."""
    if len(rows) > 1:
        amounts, volumes, doses = zip(*rows.values(), strict=True)
        volume = sum(volumes)
        dose = sum(gy * ml for gy, ml in zip(doses, volumes, strict=True)) / volume
        rows = rows | {"all tumors": (sum(amounts), volume, dose)}
    per_ml, gy = normal[0] / normal[1], normal[2]
    return tuple(
        TumorToNormal(
            name,
            amount / volume / per_ml if per_ml > 0 else None,
            dose / gy if gy > 0 else None,
            definition,
            normal[1],
        )
        for name, (amount, volume, dose) in rows.items()
    )


def overlaps(rois: Sequence[Roi], voxel_volume_ml: float) -> tuple[Overlap, ...]:
    """Every pair of regions (on windows of one lattice) that share more than 0.01 mL in voxels filled beyond one."""
    shared_pairs = []
    for n, first in enumerate(rois):
        for second in rois[n + 1 :]:
            other = second.on_window(first.grid)
            shared = float(np.clip(first.occupancy + other - 1, 0, None).sum(dtype=np.float64)) * voxel_volume_ml
            if shared > 0.01:
                shared_pairs.append(Overlap(first.name, second.name, shared))
    return tuple(shared_pairs)
