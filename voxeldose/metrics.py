"""Dose and regions to numbers: DVH metrics, BED, EUD.

Definitions (weights ``w`` are occupied volumes, doses ``D`` voxel means):

- the dose of a voxel is its mean; a part of a voxel gets the dose at that part's middle (slope of the dose map), except
  in local deposition, which has none;
- mean and standard deviation are volume-weighted, negative voxels included; min and max are over occupied voxels;
- ``Vd`` is the fraction of the volume with dose >= d, ``Dx`` the highest dose that at least x % of the volume receives;
- ``bed_gy`` is the mean over the region of ``BED = D (1 + G D / (α/β))``, ``G = T_rep/(T_rep + T½)``: all decays, repair
  with one half-time, no proliferation (Dale 1985; Cremonesi 2008). One administration; repeated ones do not add;
- ``eud_gy`` is ``-ln(Σ w exp(-α D) / Σ w) / α`` (Niemierko 1997) with D the absorbed dose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.case import Overlap, RoiMetrics
from voxeldose.dvh import Dvh
from voxeldose.volume import DensityMap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from voxeldose.radionuclide import Radionuclide
    from voxeldose.roi import Roi
    from voxeldose.volume import DecayMap, DoseMap, FloatArray

__all__ = [
    "RADIOBIOLOGY",
    "Radiobiology",
    "bed_gy",
    "dvh_in",
    "eud_gy",
    "overlaps",
    "roi_metrics",
    "tumor_to_normal",
]


@dataclass(frozen=True)
class Radiobiology:
    """Parameters of the linear-quadratic model for one kind of tissue."""

    name: str
    alpha_beta_gy: float
    repair_half_time_h: float
    alpha_per_gy: float
    source: str


#: Doses of the coverages and fractions of the doses that every region is given.
COVERAGES_GY = (100.0, 190.0, 205.0, 400.0, 446.0)
FRACTIONS = (0.98, 0.95, 0.90, 0.70, 0.50, 0.02)

_CREMONESI = (
    "α/β and repair half-time: Cremonesi 2008; α: values in public Y-90 code, apparent and far below in-vitro ones "
    "(J. Nucl. Med. 61 (2020) 104), good for ranking plans and not for absolute effect"
)
_TUMOR = Radiobiology("tumor", 10.0, 1.5, 0.002, _CREMONESI)
_LIVER = Radiobiology("normal liver", 2.5, 2.5, 0.004, _CREMONESI)

#: By role; a role without an entry has no BED and no EUD.
RADIOBIOLOGY: Mapping[str, Radiobiology] = {"tumor": _TUMOR, "liver": _LIVER, "normal_liver": _LIVER}


def bed_gy(
    dose_gy: npt.NDArray[np.float64], tissue: Radiobiology, radionuclide: Radionuclide
) -> npt.NDArray[np.float64]:
    """Biologically effective dose of a permanent implant, voxel by voxel."""
    return np.asarray(dose_gy * (1 + _repair(tissue, radionuclide) * dose_gy / tissue.alpha_beta_gy))


def _repair(tissue: Radiobiology, radionuclide: Radionuclide) -> float:
    """The Lea-Catcheside factor G of an implant that decays away."""
    return tissue.repair_half_time_h / (tissue.repair_half_time_h + radionuclide.half_life_h)


def eud_gy(dose_gy: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], alpha_per_gy: float) -> float:
    """Equivalent uniform dose: the even dose with the same surviving fraction."""
    lowest = dose_gy.min()
    surviving = float((weights * np.exp(-alpha_per_gy * (dose_gy - lowest))).sum() / weights.sum())
    return float(lowest - np.log(surviving) / alpha_per_gy)


def roi_metrics(
    roi: Roi,
    outside_fraction: float,
    dose: DoseMap,
    local: DoseMap,
    decays: DecayMap,
    density: DensityMap | float,
    *,
    dose_is_known: bool = True,
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
    """
    part = dose.grid.slices_of(roi.grid)
    voxel_ml = dose.grid.voxel_volume_ml
    gy = _inside(roi, dose) if dose_is_known else np.full(roi.grid.shape, np.nan, np.float32)
    near_gy = local.gy[part] if dose_is_known else gy
    whole = roi.occupancy.sum(dtype=np.float64)
    if isinstance(density, DensityMap):
        mass_g = _product(roi.occupancy, density.g_per_ml[part]) * voxel_ml
    else:
        mass_g = float(whole) * voxel_ml * density
    tissue = RADIOBIOLOGY.get(roi.role)
    dvh = Dvh(gy, roi.occupancy, voxel_ml)
    coverages, doses = dvh.at(COVERAGES_GY, FRACTIONS)
    mean, sd = dvh.mean_gy, dvh.sd_gy
    lowest, highest = dvh.range_gy
    filled = roi.occupancy > 0
    return RoiMetrics(
        role=roi.role,
        volume_ml=float(whole) * voxel_ml,
        mass_g=mass_g,
        activity_mbq=_product(roi.occupancy, decays.decays[part]) / decays.radionuclide.decays_per_bq() / 1e6,
        mean_dose_gy=mean,
        min_dose_gy=lowest,
        max_dose_gy=highest,
        sd_dose_gy=sd,
        **dict(zip(("d98_gy", "d95_gy", "d90_gy", "d70_gy", "d50_gy", "d2_gy"), doses, strict=True)),
        **{f"v{dose:g}_fraction": value for dose, value in zip(COVERAGES_GY, coverages, strict=True)},
        bed_gy=mean + _repair(tissue, decays.radionuclide) / tissue.alpha_beta_gy * (sd**2 + mean**2)
        if tissue
        else None,
        eud_gy=eud_gy(gy[filled].astype(np.float64), roi.occupancy[filled].astype(np.float64), tissue.alpha_per_gy)
        if tissue
        else None,
        mean_dose_local_gy=_product(roi.occupancy, near_gy) / float(whole),
        outside_fraction=outside_fraction,
        dvh=dvh,
    )


def dvh_in(roi: Roi, dose: DoseMap) -> Dvh:
    """The DVH of a region (on a window of the dose grid) in a dose map, as :func:`roi_metrics` makes it."""
    return Dvh(_inside(roi, dose), roi.occupancy, dose.grid.voxel_volume_ml)


def _inside(roi: Roi, dose: DoseMap) -> FloatArray:
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


def _product(weights: FloatArray, values: FloatArray) -> float:
    """Sum of weight times value, in float64."""
    return float(np.einsum("kji,kji->", weights, values, dtype=np.float64))


def tumor_to_normal(metrics: Mapping[str, RoiMetrics]) -> float | None:
    """Activity a gram of all tumors pooled over that of the normal liver; ``None`` without both.

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


def overlaps(rois: Sequence[Roi], voxel_volume_ml: float) -> tuple[Overlap, ...]:
    """Every pair of regions (on windows of one lattice) that share more than 0.01 mL in voxels filled beyond one."""
    found = []
    for n, first in enumerate(rois):
        for second in rois[n + 1 :]:
            other = second.on_window(first.grid)
            shared = float(np.clip(first.occupancy + other - 1, 0, None).sum(dtype=np.float64)) * voxel_volume_ml
            if shared > 0.01:
                found.append(Overlap(first.name, second.name, shared))
    return tuple(found)
