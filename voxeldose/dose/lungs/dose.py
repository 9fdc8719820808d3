"""Mean absorbed dose to the lungs, with earlier treatments, next to its limits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from voxeldose.dose.compartment import compartment_gy
from voxeldose.errors import QuantityError
from voxeldose.model.administration import unit_doubts
from voxeldose.model.limits import meets
from voxeldose.model.lungs import CONVENTIONAL_MASS_G, CUMULATIVE_LIMIT_GY, LIMIT_GY, LungDose, LungMass, LungShunt
from voxeldose.model.remarks import Remark
from voxeldose.model.wording import dose

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.model.radionuclide import Radionuclide
    from voxeldose.model.remarks import Numbers

__all__ = ["lung_dose"]


def lung_dose(
    net_mbq: float,
    shunt: LungShunt | float,
    radionuclide: Radionuclide,
    *,
    mass: LungMass | None = None,
    earlier_gy: Sequence[float] = (),
) -> LungDose:
    """Mean absorbed dose to the lungs: ``K A shunt / m``, all energy in the lungs, earlier treatments added.

    Parameters
    ----------
    net_mbq : float
        Activity in the patient at the infusion.
    shunt : LungShunt or float
        The fraction of it that goes to the lungs.
    radionuclide : Radionuclide
        With the run's constants.
    mass : LungMass, optional
        1 kg by convention without it.
    earlier_gy : sequence of float
        Lung doses of earlier treatments; absorbed doses add, biologically effective ones do not.

    Raises
    ------
    QuantityError
        If a number is impossible.
    """
    fraction = shunt.fraction if isinstance(shunt, LungShunt) else shunt
    if not (math.isfinite(net_mbq) and net_mbq > 0):
        msg = f"The activity must be above 0 MBq, found {net_mbq}."
        raise QuantityError(msg, code="value-out-of-range")
    if not 0 <= fraction < 1:
        msg = f"A lung shunt fraction is at least 0 and below 1 (no percent), found {fraction}."
        raise QuantityError(msg, code="value-out-of-range")
    if any(not (math.isfinite(d) and d >= 0) for d in earlier_gy):
        msg = f"Earlier lung doses must be 0 Gy or more, found {list(earlier_gy)}."
        raise QuantityError(msg, code="value-out-of-range")
    mass = mass or LungMass(CONVENTIONAL_MASS_G, "1 kg by convention", is_convention=True)
    per_mbq = compartment_gy(radionuclide.gy_kg_per_gbq, fraction, mass.grams)
    before = sum(earlier_gy)
    left_gy = min(LIMIT_GY, CUMULATIVE_LIMIT_GY - before)
    gy = per_mbq * net_mbq
    return LungDose(
        gy=gy,
        earlier_gy=tuple(earlier_gy),
        cumulative_gy=gy + before,
        mass=mass,
        allowed_mbq=max(left_gy, 0.0) / per_mbq if per_mbq > 0 else None,
        formula="D = K * A * shunt / m",
        warnings=(
            *unit_doubts(net_mbq, lung_g=mass.grams),
            *_unlike_the_limits(mass, shunt),
            *_exceeded(gy, before, mass),
        ),
    )


def _unlike_the_limits(mass: LungMass, shunt: LungShunt | float) -> list[Remark]:
    """Where mass or shunt were not found as those that the limits go with."""
    remarks = []
    if not mass.is_convention:
        sentence = f"The lungs' mass is {mass.source}, not the 1 kg that the limits were found with."
        remarks.append(
            Remark("lung-mass-not-conventional", {"lung_mass_g": mass.grams, "source": mass.source}, sentence)
        )
    if isinstance(shunt, LungShunt) and not shunt.is_planar:
        sentence = f"The shunt is from {shunt.method}; the limits were found with planar views, which show more."
        remarks.append(Remark("lung-shunt-not-planar", {"lung_shunt_fraction": shunt.fraction}, sentence))
    return remarks


def _exceeded(gy: float, before_gy: float, mass: LungMass) -> list[Remark]:
    remarks = []
    numbers: Numbers
    if not meets(gy, "at most", LIMIT_GY):
        sentence = f"{dose(gy)} Gy to the lungs ({mass.source}) exceed the {LIMIT_GY:g} Gy of one treatment."
        numbers = {"lung_gy": gy, "limit_gy": LIMIT_GY, "lung_mass_g": mass.grams}
        remarks.append(Remark("lung-dose-above-limit", numbers, sentence))
    if not meets(gy + before_gy, "at most", CUMULATIVE_LIMIT_GY):
        sentence = f"{dose(gy + before_gy)} Gy to the lungs ({mass.source}) with earlier treatments exceed {CUMULATIVE_LIMIT_GY:g} Gy."
        numbers = {"lung_gy": gy + before_gy, "limit_gy": CUMULATIVE_LIMIT_GY, "lung_mass_g": mass.grams}
        remarks.append(Remark("lung-dose-above-cumulative-limit", numbers, sentence))
    return remarks
