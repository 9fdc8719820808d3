"""What every kind of planning shares: lungs, goals and limits, the plan itself, and its numbers with other constants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxeldose.dose.compartment import compartment_gy
from voxeldose.model.administration import require_above_zero, require_shunt
from voxeldose.model.limits import meets
from voxeldose.model.lungs import CONVENTIONAL_MASS_G
from voxeldose.model.radionuclide import Y90_SETS
from voxeldose.model.remarks import Remark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.model.radionuclide import Radionuclide

__all__ = [
    "TRAPPED",
    "Bound",
    "Lungs",
    "Plan",
    "lung_dose_gy",
    "with_other_constants",
]

TRAPPED = Remark(
    "microspheres-fixed",
    {},
    "Microspheres do not move: all activity decays where it is (time-integrated activity = A T½/ln 2).",
)


@dataclass(frozen=True)
class Lungs:
    """How much goes to the lungs, and their mass.

    Parameters
    ----------
    shunt_fraction : float, optional
        Of the net activity, at least 0 and below 1. Without it 0 is taken, lungs have no dose, and the plan says so.
    mass_g : float, optional
        :data:`CONVENTIONAL_MASS_G` without it.
    """

    shunt_fraction: float | None = None
    mass_g: float | None = None

    def __post_init__(self) -> None:
        require_shunt(self.shunt_fraction)
        if self.mass_g is not None:
            require_above_zero(self.mass_g, "lung mass", "g")

    @property
    def grams(self) -> float:
        """The mass that counts."""
        return CONVENTIONAL_MASS_G if self.mass_g is None else self.mass_g

    def remarks(self) -> tuple[Remark, ...]:
        """What is assumed about them."""
        if self.shunt_fraction is None:
            sentence = "No lung shunt fraction was given: 0 is taken, and the lungs' dose is not known."
            return (Remark("lung-shunt-missing", {"lung_shunt_fraction": 0.0}, sentence),)
        if self.mass_g is None and self.shunt_fraction > 0:
            sentence = f"Lungs of {CONVENTIONAL_MASS_G:g} g, the convention that the 30 Gy limit goes with."
            return (Remark("lung-mass-conventional", {"lung_mass_g": CONVENTIONAL_MASS_G}, sentence),)
        return ()


@dataclass(frozen=True)
class Bound:
    """A goal or a limit of a plan.

    ``activity_mbq`` is the activity at which ``wanted`` is just reached (infinite where no activity does), ``value`` what the
    plan's activity gives.
    """

    name: str
    kind: str
    wanted: float
    value: float
    activity_mbq: float

    @property
    def met(self) -> bool:
        """Whether the plan reaches the goal, or keeps the limit."""
        return meets(self.value, "at least" if self.kind == "goal" else "at most", self.wanted)


@dataclass(frozen=True)
class Plan:
    """An activity and the doses it gives.

    Parameters
    ----------
    activity_mbq : float
        In the patient at the infusion, lungs included, all territories together.
    tumor_gy : dict
        Tumor to mean dose.
    normal_gy : float or None
        Mean of the normal liver that is perfused.
    whole_normal_gy : float or None
        Mean of all normal liver, with what no infusion reaches.
    perfused_gy, lung_gy : float or None
        Mean of everything perfused; of the lungs.
    bounds : tuple of Bound
        Goals and limits asked for; empty where an activity was given.
    binding : str or None
        The name of the bound that rules the activity.
    territories_mbq : dict
        Territory to its activity.
    """

    activity_mbq: float
    radionuclide: Radionuclide
    formula: str
    sources: tuple[str, ...]
    tumor_gy: dict[str, float]
    normal_gy: float | None = None
    whole_normal_gy: float | None = None
    perfused_gy: float | None = None
    lung_gy: float | None = None
    bounds: tuple[Bound, ...] = ()
    binding: str | None = None
    territories_mbq: dict[str, float] | None = None
    assumptions: tuple[Remark, ...] = ()
    warnings: tuple[Remark, ...] = ()


def with_other_constants(plan: Plan) -> dict[str, dict[str, float]]:
    """The answer with every set of Y-90 constants: K, and the activity for the same doses or the doses of the same activity."""
    table = {}
    for name, other in Y90_SETS.items():
        ratio = other.gy_kg_per_gbq / plan.radionuclide.gy_kg_per_gbq
        row = {"gy_kg_per_gbq": other.gy_kg_per_gbq}
        if plan.bounds:
            row["activity_mbq"] = plan.activity_mbq / ratio
        elif plan.perfused_gy is not None:
            row["perfused_gy"] = plan.perfused_gy * ratio
        table[name] = row
    return table


def lung_dose_gy(k: float, shunts: Sequence[tuple[float, float | None]], lung_g: float) -> float | None:
    """``K Σ A LSF / m``; ``None`` where a shunt fraction is not known."""
    total = 0.0
    for activity, fraction in shunts:
        if fraction is None:
            return None
        total += activity * fraction
    return compartment_gy(k, total, lung_g)
