"""Dose to effect: BED, EUD, EUBED, gEUD, and control and complication probability with named parameter sets.

- ``BED = D (1 + G D / (α/β))``, ``G = T_rep/(T_rep + T½)``: all decays of a permanent implant, repair with one half-time,
  no proliferation (Dale 1985; Cremonesi 2008). One administration; repeated ones do not add.
- ``EUD = -ln(Σ w exp(-α D) / Σ w) / α`` (Niemierko 1997); EUBED is the same with BED in place of D.
- ``gEUD = (Σ w D^a / Σ w)^(1/a)`` (Niemierko 1999).
- control ``1 / (1 + (D50/D)^slope)``, complication ``Φ((D - TD50) / (m TD50))`` (Lyman, Kutcher, Burman with n = 1).

Parameters stand in ``tables/radiobiology.toml``, each with tissue, year and source. A set for one tissue is refused for
another, and a curve for one kind of sphere for another: swapped, the numbers would look just as good. No curve is a default.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.errors import QuantityError
from voxeldose.model.tissue import Complication, Control, Radiobiology, require_known

if TYPE_CHECKING:
    from voxeldose.model.arrays import Doubles
    from voxeldose.model.radionuclide import Radionuclide


__all__ = [
    "bed_gy",
    "complication_by_set",
    "complication_probability",
    "control_probability",
    "eubed_gy",
    "eud_gy",
    "geud_gy",
    "poisson_control",
]

#: exp of more is no float.
LARGEST_EXPONENT = 700.0


def bed_gy(dose_gy: Doubles, tissue: Radiobiology, radionuclide: Radionuclide) -> Doubles:
    """Biologically effective dose of a permanent implant, voxel by voxel."""
    return np.asarray(dose_gy * (1 + tissue.repair(radionuclide) * dose_gy / tissue.alpha_beta_gy))


def eud_gy(dose_gy: Doubles, weights: Doubles, alpha_per_gy: float) -> float:
    """Equivalent uniform dose: the even dose with the same surviving fraction; ``weights`` are volumes."""
    lowest = dose_gy.min()
    surviving = float((weights * np.exp(-alpha_per_gy * (dose_gy - lowest))).sum() / weights.sum())
    return float(lowest - np.log(surviving) / alpha_per_gy)


def eubed_gy(dose_gy: Doubles, weights: Doubles, tissue: Radiobiology, radionuclide: Radionuclide) -> float:
    """Equivalent uniform BED: the even BED with the same surviving fraction, dose rate and repair counted."""
    return eud_gy(bed_gy(dose_gy, tissue, radionuclide), weights, tissue.alpha_per_gy)


def geud_gy(dose_gy: Doubles, weights: Doubles, a: float) -> float:
    """Generalised EUD: ``a`` below 0 for tumors (cold spots rule), 1 the mean, above 1 for serial organs.

    Raises
    ------
    QuantityError
        If ``a`` is 0 or a dose is negative, for which the power means nothing.
    """
    if a == 0 or not math.isfinite(a):
        msg = f"gEUD needs a parameter a that is not 0, found {a}."
        raise QuantityError(msg, code="value-out-of-range", field="a", found=a)
    if dose_gy.min() < 0:
        msg = f"gEUD needs doses of 0 Gy or more, found {dose_gy.min():g} Gy (noise); use EUD instead."
        raise QuantityError(msg, code="dose-negative")
    highest = float(dose_gy.max())
    if highest == 0 or (a < 0 and dose_gy[weights > 0].min() == 0):
        return 0.0
    scale = float(dose_gy[weights > 0].min()) if a < 0 else highest  # the largest power is then 1
    return float(scale * ((weights * (dose_gy / scale) ** a).sum() / weights.sum()) ** (1 / a))


def control_probability(dose_gy: float, curve: Control, slope: float | None = None) -> float:
    """Part of tumors controlled at this dose by a log-logistic curve, ``1 / (1 + (D50/D)^slope)``.

    Raises
    ------
    QuantityError
        If neither the set nor the caller gives a slope, or both do, or the dose is not a number.
    """
    require_known(dose_gy)
    if (slope is None) == (curve.slope is None):
        msg = (
            f"The set {curve.name} has no slope (only {curve.d50_gy:g} Gy for one half); give one with its source (--slope)."
            if slope is None
            else f"The set {curve.name} has a slope of its own, {curve.slope:g}; leave --slope out."
        )
        raise QuantityError(msg, code="slope-missing" if slope is None else "slope-twice")
    exponent = float(slope or curve.slope or 0)
    if not 0 < exponent < math.inf:
        msg = f"A slope must be above 0, found {exponent}."
        raise QuantityError(msg, code="value-out-of-range", field="slope", found=exponent)
    if dose_gy <= 0:
        return 0.0
    return 1 / (1 + math.exp(min(exponent * math.log(curve.d50_gy / dose_gy), LARGEST_EXPONENT)))


def complication_probability(dose_gy: float, td50_gy: float, m: float) -> float:
    """Part of patients with the complication at this mean dose, ``Φ((D - TD50) / (m TD50))``.

    Parameters hold for one device, endpoint and way of measuring dose; :func:`complication_by_set` takes those of a named set.

    Raises
    ------
    QuantityError
        If a parameter is not above 0, or the dose is not a number.
    """
    require_known(dose_gy)
    if not (0 < td50_gy < math.inf and 0 < m < math.inf):
        msg = f"TD50 and m must be above 0, found {td50_gy} Gy and {m}."
        raise QuantityError(msg, code="value-out-of-range", field="td50_gy, m")
    return 0.5 * math.erfc(-(dose_gy - td50_gy) / (m * td50_gy) / math.sqrt(2))


def complication_by_set(dose_gy: float, curve: Complication, m: float | None = None) -> float:
    """Part of patients with the complication by a named curve, at this dose of the curve's ``quantity``.

    Raises
    ------
    QuantityError
        If neither the set nor the caller gives the width m, or both do.
    """
    if (m is None) == (curve.m is None):
        msg = (
            f"The set {curve.name} has no width m (only {curve.td50_gy:g} Gy for one half); give one with its source (--m)."
            if m is None
            else f"The set {curve.name} has a width of its own, {curve.m:g}; leave --m out."
        )
        raise QuantityError(msg, code="width-missing" if m is None else "width-twice")
    return complication_probability(dose_gy, curve.td50_gy, float(m if m is not None else curve.m or 0))


def poisson_control(eubed: float, alpha_per_gy: float, clonogens: float) -> float:
    """Probability that no clonogenic cell survives, ``exp(-N exp(-α EUBED))``."""
    require_known(eubed)
    if not (1 <= clonogens < math.inf and alpha_per_gy > 0):
        msg = f"Poisson control needs at least one cell and α above 0, found {clonogens} and {alpha_per_gy}."
        raise QuantityError(msg, code="value-out-of-range", field="clonogens, alpha_per_gy")
    return math.exp(-clonogens * math.exp(-alpha_per_gy * eubed))
