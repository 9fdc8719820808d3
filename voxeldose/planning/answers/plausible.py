"""What the rules of plausibility say of a plan: of its activity, its lung shunt, and the assessment that it comes from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from voxeldose.dose.plausibility_facts import facts_of
from voxeldose.model.plausibility import Fact, judge_facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voxeldose.model.plausibility import Plausibility
    from voxeldose.planning.answers.settings import PlanSetting
    from voxeldose.planning.plan import Plan

__all__ = ["judge_plan"]

#: Facts that are the plan's own, not those of the assessment that it scales.
OF_PLAN = (
    "lung_shunt_fraction",
    "glass_mbq",
    "resin_mbq",
    "residual_fraction",
    "mean_dose_gy",
    "normal_liver_mean_dose_gy",
)


def judge_plan(plan: Plan, setting: PlanSetting) -> Plausibility:
    """What is hardly plausible in a plan, by the rules of its case; those shipped without one.

    Raises
    ------
    QuantityError
        If a rule of level ``refusal`` does not hold.
    """
    result = setting.assessment
    facts = list(_facts(plan, setting))
    if result is not None:
        facts += [fact for fact in facts_of(result) if fact.name not in OF_PLAN]
    return judge_facts(facts, result.case.rules if result is not None else None)


def _facts(plan: Plan, setting: PlanSetting) -> Iterator[Fact]:
    if setting.shunt_fraction is not None:
        yield Fact("lung_shunt_fraction", setting.shunt_fraction)
    if setting.microspheres is not None:
        yield Fact(f"{setting.microspheres}_mbq", plan.activity_mbq)
    for name, gy in plan.tumor_gy.items():
        if math.isfinite(gy):
            yield Fact("mean_dose_gy", gy, name)
    if plan.normal_gy is not None and math.isfinite(plan.normal_gy):
        yield Fact("normal_liver_mean_dose_gy", plan.normal_gy, "normal liver")
