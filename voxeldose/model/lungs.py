"""What is known of the lungs: how much goes there, their mass, their dose, and the limits it is compared with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxeldose.errors import QuantityError
from voxeldose.model.limits import meets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxeldose.model.remarks import Remark

__all__ = [
    "CONVENTIONAL_MASS_G",
    "CUMULATIVE_LIMIT_GY",
    "LIMIT_GY",
    "LIMIT_SOURCE",
    "LungDose",
    "LungFindings",
    "LungLimit",
    "LungMass",
    "LungSettings",
    "LungShunt",
]

#: The mass that the 30 Gy limit goes with; by CT it was 822 ± 103 g in 30 patients (Kao 2014, doi:10.1186/s13550-014-0033-7).
CONVENTIONAL_MASS_G = 1000.0

#: One treatment, and all treatments together (package inserts; van Roekel, thesis).
LIMIT_GY, CUMULATIVE_LIMIT_GY = 30.0, 50.0
#: Where the limits come from.
LIMIT_SOURCE = "package inserts: 30 Gy per treatment, 50 Gy cumulative; found with planar shunts and 1 kg of lung"


def _require_above_zero(value: float | None, what: str) -> None:
    if value is not None and not (math.isfinite(value) and value > 0):
        msg = f"The {what}, found {value}."
        raise QuantityError(msg, code="value-out-of-range")


@dataclass(frozen=True)
class LungSettings:
    """What a user says of the lungs besides the shunt fraction.

    Parameters
    ----------
    earlier_gy : tuple of float
        Lung doses of earlier treatments, Gy.
    mass_g, volume_ml : float, optional
        Of both lungs, whole: where the regions hold only a part of them, the counts seen are scaled to this mass (with a CT), or
        to this volume. One of them.
    dome_margin_mm : float
        Lung this near to the liver is left out when a shunt is measured.

    Raises
    ------
    QuantityError
        If a number is impossible, or mass and volume are both given.
    """

    earlier_gy: tuple[float, ...] = ()
    mass_g: float | None = None
    volume_ml: float | None = None
    dome_margin_mm: float = 0.0

    def __post_init__(self) -> None:
        _require_above_zero(self.mass_g, "lung mass must be above 0 g")
        _require_above_zero(self.volume_ml, "lung volume must be above 0 mL")
        if any(not (math.isfinite(d) and d >= 0) for d in self.earlier_gy):
            msg = f"Earlier lung doses must be 0 Gy or more, found {list(self.earlier_gy)}."
            raise QuantityError(msg, code="value-out-of-range")
        if not (math.isfinite(self.dome_margin_mm) and self.dome_margin_mm >= 0):
            msg = f"dome_margin_mm must be 0 mm or more, found {self.dome_margin_mm}."
            raise QuantityError(msg, code="value-out-of-range")
        if self.mass_g is not None and self.volume_ml is not None:
            msg = "The counts of lungs that are cut can be scaled to the mass or to the volume of whole lungs; give one of them."
            raise QuantityError(msg, code="values-contradict")

    @property
    def is_whole_given(self) -> bool:
        """Whether the size of whole lungs is known from elsewhere."""
        return self.mass_g is not None or self.volume_ml is not None


@dataclass(frozen=True)
class LungMass:
    """Mass of both lungs and where it comes from; ``is_convention`` for the 1 kg of the inserts."""

    grams: float
    source: str
    is_convention: bool = False

    def __post_init__(self) -> None:
        _require_above_zero(self.grams, "lung mass must be above 0 g")


@dataclass(frozen=True)
class LungLimit:
    """A limit for the lungs' mean dose, and the value of this plan or run."""

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


@dataclass(frozen=True)
class LungShunt:
    """A lung shunt fraction and how it was found.

    ``sd`` is from counting statistics alone, ``None`` where counts are no longer Poisson (reconstructed images). ``is_planar``
    where it is from planar views, as the shunts were that the limits for the lungs go with.
    """

    fraction: float
    sd: float | None
    method: str
    formula: str
    lung_counts: float
    liver_counts: float
    inputs: Mapping[str, object]
    assumptions: tuple[Remark, ...]
    warnings: tuple[Remark, ...]
    sources: tuple[str, ...]
    is_planar: bool = False


@dataclass(frozen=True)
class LungFindings:
    """What a run says of the lungs.

    Parameters
    ----------
    shunt_fraction : float, optional
        As the case states it.
    dose : LungDose, optional
        By that fraction and 1 kg of lung, which the limits go with; ``None`` without a fraction or an activity.
    dose_by_mass : LungDose, optional
        The same with the lungs' mass from the CT, or as the user gives it.
    measured : LungShunt, optional
        From this run's image, where it has regions of lung and liver.
    """

    shunt_fraction: float | None
    dose: LungDose | None
    dose_by_mass: LungDose | None
    measured: LungShunt | None
