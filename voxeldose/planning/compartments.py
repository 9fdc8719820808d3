"""Activity for a wanted dose, and dose of an activity: single compartment and partition model.

Every activity is in the patient at the infusion: net of what stays in vial and tubing, lungs included. K (Gy kg/GBq, the same
number in Gy g/MBq) is that of one set of constants; the lung shunt fraction divides the wanted activity by (1 - LSF).

Partition model (Ho et al., Eur. J. Nucl. Med. 23 (1996) 947-952) with any number of tumors j and of territories k, one infusion
each: ``D_kj = K A_k (1 - LSF_k) r_kj / Σ_i r_ki m_ki``, with r = 1 in normal liver. In a structure that lies in several
territories the doses are averaged by mass. All energy is taken to stay in its compartment, and every compartment to be even.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from voxeldose.dose.compartment import compartment_gy
from voxeldose.errors import QuantityError
from voxeldose.model.administration import require_above_zero, require_activity, unit_doubts
from voxeldose.model.limits import meets
from voxeldose.model.radionuclide import Y90
from voxeldose.model.remarks import Remark
from voxeldose.model.wording import dose
from voxeldose.planning.plan import TRAPPED, Bound, Lungs, Plan, lung_dose_gy
from voxeldose.planning.territories import doses_of_compartments, mean_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.model.radionuclide import Radionuclide
    from voxeldose.planning.territories import CompartmentDose, Territory

__all__ = [
    "plan_mird",
    "plan_partition",
    "plan_partition_for",
]

MIRD_SOURCE = "MIRD single compartment; the TheraSphere package insert has the same form with K = 50"
PARTITION_SOURCE = (
    "Partition model: Ho et al., Eur. J. Nucl. Med. 23 (1996) 947-952; several territories: same balance for each"
)

#: Names of what a plan by the partition model can be asked for.
TUMOR_GOAL, NORMAL_LIMIT, LUNG_LIMIT = "tumor goal", "normal liver limit", "lung limit"


def plan_mird(
    mass_g: float,
    radionuclide: Radionuclide = Y90,
    *,
    dose_gy: float | None = None,
    activity_mbq: float | None = None,
    lungs: Lungs | None = None,
) -> Plan:
    """Activity for a mean dose of the perfused volume, or the dose of an activity, by one compartment.

    ``A = D m / (K (1 - LSF))``.

    Parameters
    ----------
    mass_g : float
        Of the perfused volume.
    radionuclide : Radionuclide
        With the set of constants.
    dose_gy, activity_mbq : float
        One of the two.
    lungs : Lungs, optional
        Shunt fraction and mass.

    Raises
    ------
    QuantityError
        If the mass, dose or activity is not above 0, or not exactly one of dose and activity is given.
    """
    lungs = lungs or Lungs()
    require_above_zero(mass_g, "perfused mass", "g")
    _require_one(dose_gy, activity_mbq, "a dose or an activity")
    held = 1 - (lungs.shunt_fraction or 0.0)
    k = radionuclide.gy_kg_per_gbq
    bounds: tuple[Bound, ...] = ()
    if dose_gy is not None:
        require_above_zero(dose_gy, "wanted dose", "Gy")
        activity = dose_gy * mass_g / (k * held)
        bounds = (Bound("perfused volume goal", "goal", dose_gy, dose_gy, activity),)
    else:
        activity = require_activity(activity_mbq)
    return Plan(
        activity,
        radionuclide,
        "A = D m / (K (1 - LSF))",
        (MIRD_SOURCE,),
        {},
        perfused_gy=compartment_gy(k, activity, mass_g, part=held),
        lung_gy=lung_dose_gy(k, [(activity, lungs.shunt_fraction)], lungs.grams),
        bounds=bounds,
        binding=bounds[0].name if bounds else None,
        assumptions=(
            Remark(
                "perfused-mean",
                {},
                "The dose is the mean of the whole perfused volume, tumor and normal liver alike.",
            ),
            TRAPPED,
            *lungs.remarks(),
        ),
        warnings=unit_doubts(activity, (mass_g,), lungs.mass_g),
    )


def plan_partition(
    territories: Sequence[Territory],
    activities_mbq: Sequence[float],
    radionuclide: Radionuclide = Y90,
    *,
    lung_g: float | None = None,
    unperfused_g: float = 0.0,
) -> Plan:
    """Doses of given activities by the partition model.

    Parameters
    ----------
    territories : sequence of Territory
        One infusion each.
    activities_mbq : sequence of float
        Into each, at the infusion, lungs included.
    radionuclide : Radionuclide
        With the set of constants.
    lung_g : float, optional
        Mass of the lungs; :data:`CONVENTIONAL_MASS_G` without it.
    unperfused_g : float
        Normal liver that no infusion reaches; counts in ``whole_normal_gy`` alone.

    Raises
    ------
    QuantityError
        If a number is impossible.
    """
    _require_territories(territories, unperfused_g)
    if len(activities_mbq) != len(territories):
        msg = f"{len(territories)} territories need as many activities, found {len(activities_mbq)}."
        raise QuantityError(msg, code="values-contradict")
    lungs = Lungs(_common_shunt(territories), lung_g)
    activities = [require_activity(a) for a in activities_mbq]
    k = radionuclide.gy_kg_per_gbq
    parts = doses_of_compartments(territories, activities, radionuclide)
    tumor_gy = {
        name: mean_of([p for p in parts if p.tumor == name])
        for name in dict.fromkeys(p.tumor for p in parts if p.tumor)
    }
    normal = [p for p in parts if p.tumor is None]
    shunts = [(a, t.lung_shunt_fraction) for a, t in zip(activities, territories, strict=True)]
    return Plan(
        sum(activities),
        radionuclide,
        "D_N = K A (1 - LSF) / (Σ r m_T + m_N); D_T = r D_N; D_L = K A LSF / m_L",
        (PARTITION_SOURCE,),
        tumor_gy,
        normal_gy=mean_of(normal) if normal else None,
        whole_normal_gy=_whole_normal_gy(normal, unperfused_g),
        perfused_gy=mean_of(parts),
        lung_gy=lung_dose_gy(k, shunts, lungs.grams),
        territories_mbq=_by_name(territories, activities),
        assumptions=(
            Remark(
                "compartments-even",
                {},
                "Each compartment is even and keeps all its energy; voxel doses show what this hides.",
            ),
            TRAPPED,
            *lungs.remarks(),
        ),
        warnings=unit_doubts(sum(activities), [g for t in territories for g in (t.normal_g, *_grams(t))], lungs.mass_g),
    )


def _whole_normal_gy(normal: Sequence[CompartmentDose], unperfused_g: float) -> float | None:
    """Mean of all normal liver, of which ``unperfused_g`` gets nothing."""
    perfused_g = sum(p.mass_g for p in normal)
    if not perfused_g:
        return 0.0 if unperfused_g else None
    return mean_of(normal) * perfused_g / (perfused_g + unperfused_g)


def _grams(territory: Territory) -> list[float]:
    return [tumor.mass_g for tumor in territory.tumors]


def plan_partition_for(
    territories: Sequence[Territory],
    radionuclide: Radionuclide = Y90,
    *,
    tumor_gy: float | None = None,
    normal_limit_gy: float | None = None,
    lung_limit_gy: float | None = None,
    lung_g: float | None = None,
    unperfused_g: float = 0.0,
) -> Plan:
    """The highest activity that a goal and limits allow, by the partition model.

    The goal is for every tumor: the one with the lowest T/N just reaches it. In several territories each gets the activity of its
    own goal; where a limit asks for less, all are lowered by the same factor. Without a goal there can be one territory only, and
    the limits rule.

    Parameters
    ----------
    territories : sequence of Territory
        One infusion each.
    radionuclide : Radionuclide
        With the set of constants.
    tumor_gy : float, optional
        Mean dose that every tumor is to reach.
    normal_limit_gy : float, optional
        For the mean of all normal liver, ``unperfused_g`` included.
    lung_limit_gy : float, optional
        For the mean of the lungs.
    lung_g, unperfused_g : float
        As in :func:`plan_partition`.

    Raises
    ------
    QuantityError
        If nothing is asked for, there is no tumor for a goal, no normal liver or lung shunt fraction for a limit.
    """
    _require_territories(territories, unperfused_g)
    asked = _require_asked(
        territories, {TUMOR_GOAL: tumor_gy, NORMAL_LIMIT: normal_limit_gy, LUNG_LIMIT: lung_limit_gy}
    )
    started = _goal_activities(territories, radionuclide, tumor_gy)
    reached = plan_partition(territories, started, radionuclide, lung_g=lung_g, unperfused_g=unperfused_g)
    doses = {
        TUMOR_GOAL: min(reached.tumor_gy.values(), default=0.0),
        NORMAL_LIMIT: reached.whole_normal_gy or 0.0,
        LUNG_LIMIT: reached.lung_gy or 0.0,
    }
    # with a goal every tumor's parts reach it at factor 1; a limit lowers all by one factor
    factors = {name: value / doses[name] if doses[name] > 0 else math.inf for name, value in asked.items()}
    if TUMOR_GOAL in factors:
        factors[TUMOR_GOAL] = 1.0
    binding = min(factors, key=lambda name: factors[name])
    factor = factors[binding]
    if not math.isfinite(factor):
        msg = f"No activity reaches the {binding}: without shunt the lungs get no dose. Give a goal or another limit."
        raise QuantityError(msg, code="goal-unreachable", bound=binding)
    plan = plan_partition(
        territories, [a * factor for a in started], radionuclide, lung_g=lung_g, unperfused_g=unperfused_g
    )
    bounds = tuple(
        Bound(
            name,
            "goal" if name == TUMOR_GOAL else "limit",
            value,
            doses[name] * factor,
            reached.activity_mbq * factors[name],
        )
        for name, value in asked.items()
    )
    return replace(
        plan,
        formula="A = min[D_T (Σ r m_T + m_N) / (r K (1 - LSF)); D_N (Σ r m_T + m_N) / (K (1 - LSF)); D_L m_L / (K LSF)]",
        bounds=bounds,
        binding=binding,
        assumptions=(*plan.assumptions, *_goal_remarks(plan, len(territories), tumor_gy)),
        warnings=(*_missed_goal(tumor_gy, binding, doses[TUMOR_GOAL] * factor), *plan.warnings),
    )


def _require_asked(territories: Sequence[Territory], wanted: dict[str, float | None]) -> dict[str, float]:
    """Goal and limits that were given; refused without any, and where a limit cannot be judged."""
    asked = {name: value for name, value in wanted.items() if value is not None}
    if not asked:
        msg = "A goal for the tumor or a limit is needed (tumor_gy, normal_limit_gy, lung_limit_gy), or an activity."
        raise QuantityError(msg, code="goal-missing")
    for name, value in asked.items():
        require_above_zero(value, name, "Gy")
    if LUNG_LIMIT in asked and any(t.lung_shunt_fraction is None for t in territories):
        msg = "A lung limit cannot be kept without the lung shunt fraction; give it (--lung-shunt), 0 if there is none."
        raise QuantityError(msg, code="lung-shunt-missing")
    if NORMAL_LIMIT in asked and not any(t.normal_g for t in territories):
        msg = "A limit for normal liver needs its mass, found 0 g in every territory."
        raise QuantityError(msg, code="mass-missing")
    return asked


def _missed_goal(tumor_gy: float | None, binding: str, reached_gy: float) -> tuple[Remark, ...]:
    if tumor_gy is None or meets(reached_gy, "at least", tumor_gy):
        return ()
    sentence = f"The {binding} rules: the least dosed tumor gets {dose(reached_gy)} Gy of the wanted {tumor_gy:g} Gy."
    return (
        Remark(
            "goal-missed",
            {"binding": binding, "goal": TUMOR_GOAL, "reached_gy": reached_gy, "wanted_gy": tumor_gy},
            sentence,
        ),
    )


def _goal_remarks(plan: Plan, territories: int, tumor_gy: float | None) -> list[Remark]:
    remarks = []
    if tumor_gy is not None and len(plan.tumor_gy) > 1:
        sentence = "The goal is for every tumor: the one with the lowest T/N just reaches it."
        remarks.append(Remark("goal-for-every-tumor", {"tumors": len(plan.tumor_gy)}, sentence))
    if territories > 1:
        sentence = "Each territory gets the activity of its own goal; a limit lowers all of them by the same factor."
        remarks.append(Remark("territories-share-factor", {"territories": territories}, sentence))
    return remarks


def _goal_activities(
    territories: Sequence[Territory], radionuclide: Radionuclide, tumor_gy: float | None
) -> list[float]:
    """What each territory needs for its least dosed tumor; 1000 MBq into the only one where no goal is given."""
    if tumor_gy is None:
        if len(territories) > 1:
            msg = "Limits alone do not say how to share activity between territories; give a goal for the tumors."
            raise QuantityError(msg, code="goal-missing")
        return [1000.0]
    without = [t.name for t in territories if not t.tumors]
    if without:
        msg = f"A goal for the tumor needs a tumor with its mass and T/N; there is none in {', '.join(without)}."
        raise QuantityError(msg, code="tumor-missing")
    k = radionuclide.gy_kg_per_gbq
    return [
        tumor_gy * t.weighted_g / (min(tumor.ratio for tumor in t.tumors) * k * t.held_fraction) for t in territories
    ]


def _common_shunt(territories: Sequence[Territory]) -> float | None:
    """A shunt fraction that stands for all of them in the remarks: the highest, or ``None`` where one is not known."""
    known = [t.lung_shunt_fraction for t in territories]
    return None if None in known else max(f for f in known if f is not None)


def _by_name(territories: Sequence[Territory], activities: Sequence[float]) -> dict[str, float]:
    return {t.name: a for t, a in zip(territories, activities, strict=True)}


def _require_territories(territories: Sequence[Territory], unperfused_g: float) -> None:
    if not territories:
        msg = "The partition model needs at least one territory."
        raise QuantityError(msg, code="territory-missing")
    names = [t.name for t in territories]
    if len(set(names)) < len(names):
        msg = f"Every territory needs its own name, found {', '.join(names)}."
        raise QuantityError(msg, code="name-twice")
    if not (math.isfinite(unperfused_g) and unperfused_g >= 0):
        msg = f"Unperfused normal liver must be 0 g or more, found {unperfused_g}."
        raise QuantityError(msg, code="value-out-of-range")


def _require_one(first: float | None, second: float | None, what: str) -> None:
    if (first is None) == (second is None):
        msg = f"Give {what}, one of the two."
        raise QuantityError(msg, code="values-contradict")
