"""Activity of resin microspheres by body surface area, for comparison with plans that know a dose."""

from __future__ import annotations

import math

from voxeldose.errors import QuantityError
from voxeldose.model.radionuclide import Y90
from voxeldose.model.remarks import Remark
from voxeldose.planning.plan import Plan

__all__ = ["plan_body_surface"]

BSA_SOURCE = (
    "Body-surface-area method of resin microspheres (van Roekel et al., thesis): BSA - 0.2 + tumor part of the liver"
)


def plan_body_surface(height_m: float, weight_kg: float, tumor_part: float) -> Plan:
    """Activity of resin microspheres for the whole liver by body surface area; it has no dose in it.

    ``BSA = 0.20247 h^0.725 w^0.425`` (m, kg; Du Bois), ``A[GBq] = BSA - 0.2 + V_T / (V_T + V_N)``.

    Parameters
    ----------
    height_m, weight_kg : float
        Of the patient.
    tumor_part : float
        Tumor volume over whole liver volume, 0 to 1.

    Raises
    ------
    QuantityError
        If a number is impossible, height in centimetres and weight in grams included.
    """
    if not (math.isfinite(weight_kg) and 2 < weight_kg < 500):
        msg = f"Weight must be in kilograms, found {weight_kg}."
        raise QuantityError(msg, code="value-out-of-range")
    if not (math.isfinite(height_m) and 0.3 < height_m < 2.6):
        msg = f"Height must be in metres, found {height_m}."
        raise QuantityError(msg, code="value-out-of-range")
    if not (math.isfinite(tumor_part) and 0 <= tumor_part <= 1):
        msg = f"The tumor's part of the liver must be 0 to 1 (a fraction, not percent), found {tumor_part}."
        raise QuantityError(msg, code="value-out-of-range")
    surface_m2 = 0.20247 * height_m**0.725 * weight_kg**0.425
    sentence = f"Body surface {surface_m2:.4f} m²; whole liver, resin microspheres; no dose is planned by this method."
    return Plan(
        1000 * (surface_m2 - 0.2 + tumor_part),
        Y90,
        "A[GBq] = BSA - 0.2 + V_T / (V_T + V_N); BSA = 0.20247 h^0.725 w^0.425",
        (BSA_SOURCE,),
        {},
        assumptions=(Remark("body-surface-method", {"body_surface_m2": surface_m2}, sentence),),
    )
