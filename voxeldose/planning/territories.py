"""What an infusion reaches, and the mean dose of each of its compartments by the partition model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxeldose.dose.compartment import compartment_gy
from voxeldose.errors import QuantityError
from voxeldose.model.administration import require_above_zero, require_shunt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.model.radionuclide import Radionuclide

__all__ = ["CompartmentDose", "Territory", "Tumor", "doses_of_compartments", "mean_of"]


@dataclass(frozen=True)
class Tumor:
    """A tumor, or the part of one that a territory reaches.

    ``ratio`` is its activity per gram over that of normal liver in the same territory (T/N). The same name in two territories is
    one tumor.
    """

    name: str
    mass_g: float
    ratio: float

    def __post_init__(self) -> None:
        require_above_zero(self.mass_g, f"mass of {self.name}", "g")
        require_above_zero(self.ratio, f"T/N of {self.name}", "")


@dataclass(frozen=True)
class Territory:
    """What one infusion reaches.

    Parameters
    ----------
    tumors : tuple of Tumor
        None at all is allowed: normal liver alone.
    normal_g : float
        Normal liver that is perfused.
    lung_shunt_fraction : float, optional
        Of this infusion.
    name : str
        For results.
    """

    tumors: tuple[Tumor, ...]
    normal_g: float
    lung_shunt_fraction: float | None = None
    name: str = "territory"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.normal_g) and self.normal_g >= 0):
            msg = f"Mass of normal liver in {self.name} must be 0 g or more, found {self.normal_g}."
            raise QuantityError(msg, code="value-out-of-range")
        if not self.tumors and self.normal_g == 0:
            msg = f"{self.name} has no mass: no tumor and no normal liver. Give at least one."
            raise QuantityError(msg, code="mass-missing")
        names = [t.name for t in self.tumors]
        if len(set(names)) < len(names):
            msg = f"{self.name} names a tumor twice ({', '.join(names)}); give each its own name."
            raise QuantityError(msg, code="name-twice")
        require_shunt(self.lung_shunt_fraction)

    @property
    def weighted_g(self) -> float:
        """``Σ r m``: the mass of normal liver that would hold the same activity."""
        return self.normal_g + sum(t.ratio * t.mass_g for t in self.tumors)

    @property
    def perfused_g(self) -> float:
        """All mass that the infusion reaches."""
        return self.normal_g + sum(t.mass_g for t in self.tumors)

    @property
    def held_fraction(self) -> float:
        """What does not go to the lungs."""
        return 1 - (self.lung_shunt_fraction or 0.0)


@dataclass(frozen=True)
class CompartmentDose:
    """Mean dose of one compartment of one territory.

    Parameters
    ----------
    territory : str
        Its name.
    tumor : str or None
        The tumor's name; ``None`` for normal liver.
    mass_g : float
        Of the compartment.
    ratio : float
        Its activity per gram over that of normal liver in the same territory; 1 for normal liver.
    mean_gy : float
        ``K A (1 - LSF) r / Σ r m``.
    """

    territory: str
    tumor: str | None
    mass_g: float
    ratio: float
    mean_gy: float


def doses_of_compartments(
    territories: Sequence[Territory], activities_mbq: Sequence[float], radionuclide: Radionuclide
) -> tuple[CompartmentDose, ...]:
    """Mean dose of every tumor, and of the normal liver, of every territory for these activities."""
    found = []
    for territory, activity in zip(territories, activities_mbq, strict=True):
        base_gy = compartment_gy(
            radionuclide.gy_kg_per_gbq, activity, territory.weighted_g, part=territory.held_fraction
        )
        found += [
            CompartmentDose(territory.name, t.name, t.mass_g, t.ratio, base_gy * t.ratio) for t in territory.tumors
        ]
        if territory.normal_g:
            found.append(CompartmentDose(territory.name, None, territory.normal_g, 1.0, base_gy))
    return tuple(found)


def mean_of(parts: Sequence[CompartmentDose]) -> float:
    """Mean dose of compartments together, weighted by mass."""
    return sum(p.mean_gy * p.mass_g for p in parts) / sum(p.mass_g for p in parts)
