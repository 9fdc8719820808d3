"""Each error's own standard deviation of a mean dose, without sampling.

Products for the scale, the norm of the adjoint for the noise, five-point quadrature for outlines and shifts, which keeps what is
not linear in them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.model.assessment import Term
from voxeldose.model.case import Administered
from voxeldose.model.remarks import Remark

if TYPE_CHECKING:
    from voxeldose.dose.uncertainty.inputs import Spread
    from voxeldose.dose.uncertainty.noise import NoiseField
    from voxeldose.dose.uncertainty.region import MovingRegion
    from voxeldose.model.arrays import Doubles
    from voxeldose.model.assessment import Assessment


__all__ = ["budget", "scale_terms"]


def scale_terms(result: Assessment, spread: Spread) -> tuple[dict[str, float], tuple[Remark, ...]]:
    """Relative standard deviations of what multiplies every dose, and remarks on what was given and does not."""
    given = result.case.administration
    remarks: tuple[Remark, ...] = ()
    terms = {"calibration": spread.calibration_fraction, "energy and kernel": spread.energy_fraction}
    if spread.lung_shunt_sd:
        if isinstance(result.case.calibration, Administered):
            terms["lung shunt"] = spread.lung_shunt_sd / (1 - (given.lung_shunt_fraction or 0.0))
        else:
            sentence = "The lung shunt is not used by absolute calibration, so its uncertainty changes no dose."
            remarks = (Remark("uncertainty-lung-shunt-unused", {"lung_shunt_sd": spread.lung_shunt_sd}, sentence),)
    if spread.timing_h:
        terms["timing"] = spread.timing_h * math.log(2) / given.radionuclide.half_life_h
    return {name: value for name, value in terms.items() if value}, remarks


def budget(
    result: Assessment, region: MovingRegion, spread: Spread, scales: dict[str, float], noise: NoiseField | None
) -> tuple[Term, ...]:
    """Each term's own standard deviation of the mean dose (of the recovered mean where there is a curve), in Gy."""
    curve = spread.recovery if result.rois[region.name].role == "tumor" else None

    def mean(outline: float, shift: tuple[float, ...]) -> float:
        occupancy = region.moved(outline, shift)
        value = region.mean_gy(occupancy)
        return value / float(curve.at(region.ml_of(occupancy))) if curve else value

    still = (0.0, 0.0, 0.0)
    reported = result.rois[region.name]
    per_gy = 1 / float(curve.at(reported.volume_ml)) if curve else 1.0
    nominal = reported.mean_dose_gy * per_gy
    sd_gy = {name: abs(nominal) * sd for name, sd in scales.items()}
    if noise is not None:
        occupancy = region.grid.cut(region.occupancy, noise.grid)
        sd_gy["noise"] = noise.sd_of_mean(occupancy, region.mean_gy(region.occupancy)) * per_gy
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    weights = weights / weights.sum()
    if region.contour_sd_mm:
        values = np.array([mean(float(x) * region.contour_sd_mm, still) for x in nodes])
        name = "volume (outline and recovery)" if curve else "volume (outline)"
        sd_gy[name] = _sd(values, weights)
    if curve:
        sd_gy["recovery curve"] = abs(nominal) * curve.relative_sd(region.ml)
    if spread.registration_mm:
        variances = []
        for axis in np.eye(3) * spread.registration_mm:
            values = np.array([mean(0.0, tuple(float(x) * axis)) for x in nodes])
            variances.append(_sd(values, weights) ** 2)
        sd_gy["registration"] = math.sqrt(sum(variances))
    total = sum(v**2 for v in sd_gy.values()) or 1.0
    ordered = sorted(sd_gy.items(), key=lambda item: -item[1])
    return tuple(Term(name, sd, sd**2 / total) for name, sd in ordered)


def _sd(values: Doubles, weights: Doubles) -> float:
    middle = float(weights @ values)
    return math.sqrt(max(float(weights @ (values - middle) ** 2), 0.0))
