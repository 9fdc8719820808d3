"""What the rules of plausibility say of a result; the rules are in :mod:`voxeldose.model.plausibility`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxeldose.dose.plausibility_facts import facts_of
from voxeldose.model.plausibility import judge_facts, published_rules, rules_with

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.model.assessment import Assessment
    from voxeldose.model.plausibility import Plausibility, Rule

__all__ = ["judge", "published_rules", "rules_with"]


def judge(result: Assessment, rules: Sequence[Rule] | None = None) -> Plausibility:
    """What the rules say of a result, those of its case without others; see :func:`voxeldose.model.plausibility.judge_facts`."""
    return judge_facts(facts_of(result), result.case.rules if rules is None else rules)
