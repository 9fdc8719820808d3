"""Mean absorbed dose to the lungs, with earlier treatments, next to its limits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxeldose.dose.compartment import compartment_gy
from voxeldose.errors import QuantityError
from voxeldose.model.administration import unit_doubts
from voxeldose.model.limits import meets
from voxeldose.model.remarks import Remark
from voxeldose.planning.lungs.shunt import LungShunt
from voxeldose.planning.plan import LUNG_MASS_G

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.model.radionuclide import Radionuclide

__all__ = ["CUMULATIVE_LIMIT_GY", "LIMIT_GY", "LIMIT_SOURCE", "LungDose", "LungLimit", "LungMass", "lung_dose"]

#: One treatment, and all treatments together (package inserts; van Roekel, thesis).
LIMIT_GY, CUMULATIVE_LIMIT_GY = 30.0, 50.0
#: Where the limits come from.
LIMIT_SOURCE = "package inserts: 30 Gy per treatment, 50 Gy cumulative; found with planar shunts and 1 kg of lung"


@dataclass(frozen=True)
class LungMass:
    """Mass of both lungs and where it comes from; ``is_convention`` for the 1 kg of the inserts."""

    grams: float
    source: str
    is_convention: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.grams) and self.grams > 0):
            msg = f"The lung mass must be above 0 g, found {self.grams}."
            raise QuantityError(msg, code="value-out-of-range")


@dataclass(frozen=True)
class LungLimit:
    """A limit for the lungs' mean dose, and the value of this plan."""

    name: str
    limit_gy: float
    value_gy: float

    @property
    def met(self) -> bool:
        """Whether it is kept."""
        return meets(self.value_gy, "at most", self.limit_gy)


@dataclass(frozen=True)
class LungDose:
    """Mean absorbed dose to the lungs, with earlier treatments, next to the limits.

    ``allowed_mbq`` is the net activity that keeps both limits; ``None`` where any does.
    """

    gy: float
    earlier_gy: tuple[float, ...]
    cumulative_gy: float
    mass: LungMass
    allowed_mbq: float | None
    formula: str
    warnings: tuple[Remark, ...]

    @property
    def limits(self) -> tuple[LungLimit, LungLimit]:
        """For one treatment and for all together."""
        return (
            LungLimit("one treatment", LIMIT_GY, self.gy),
            LungLimit("all treatments", CUMULATIVE_LIMIT_GY, self.cumulative_gy),
        )


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
    mass = mass or LungMass(LUNG_MASS_G, "1 kg by convention", is_convention=True)
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
            *_exceeded(gy, before),
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


def _exceeded(gy: float, before_gy: float) -> list[Remark]:
    remarks = []
    if not meets(gy, "at most", LIMIT_GY):
        sentence = f"{gy:.1f} Gy exceed the {LIMIT_GY:g} Gy of one treatment."
        remarks.append(Remark("lung-dose-above-limit", {"lung_gy": gy, "limit_gy": LIMIT_GY}, sentence))
    if not meets(gy + before_gy, "at most", CUMULATIVE_LIMIT_GY):
        sentence = f"{gy + before_gy:.1f} Gy with earlier treatments exceed {CUMULATIVE_LIMIT_GY:g} Gy."
        numbers = {"lung_gy": gy + before_gy, "limit_gy": CUMULATIVE_LIMIT_GY}
        remarks.append(Remark("lung-dose-above-cumulative-limit", numbers, sentence))
    return remarks
