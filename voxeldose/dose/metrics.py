"""Dose and regions to numbers: DVH metrics.

Definitions (weights ``w`` are occupied volumes, doses ``D`` voxel means):

- the dose of a voxel is its mean; a part of a voxel gets the dose at that part's middle (slope of the dose map), except
  in local deposition, which has none;
- mean and standard deviation are volume-weighted, negative voxels included; min and max are over occupied voxels;
- ``Vd`` is the fraction of the volume with dose >= d, ``Dx`` the highest dose that at least x % of the volume receives;
- ``bed_gy`` is the mean over the region of the BED of its voxels; ``eud_gy`` the even absorbed dose, ``eubed_gy`` the even BED
  with the same survival. Formulas and parameters: :mod:`voxeldose.dose.radiobiology`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from voxeldose.dose.radiobiology import eubed_gy, eud_gy
from voxeldose.model.assessment import RoiMetrics
from voxeldose.model.dvh import Dvh
from voxeldose.model.metric import Metric
from voxeldose.model.volume import DensityMap

if TYPE_CHECKING:
    from voxeldose.model.arrays import Floats
    from voxeldose.model.roi import Roi
    from voxeldose.model.tissue import Radiobiology
    from voxeldose.model.volume import DecayMap, DoseMap

__all__ = ["dvh_in", "roi_metrics"]

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
    read: dict[str, Any] = {Metric("d", 100 * part).key: value for part, value in zip(FRACTIONS, doses, strict=True)}
    read |= {Metric("v", dose).key: value for dose, value in zip(COVERAGES_GY, coverages, strict=True)}
    return RoiMetrics(
        role=roi.role,
        volume_ml=float(whole) * voxel_ml,
        mass_g=mass_g,
        activity_mbq=_product(roi.occupancy, decays.decays[part]) / decays.radionuclide.decays_per_bq() / 1e6,
        mean_dose_gy=mean,
        min_dose_gy=lowest,
        max_dose_gy=highest,
        sd_dose_gy=sd,
        **read,
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
