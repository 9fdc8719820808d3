"""Rules of plausibility: what a case can hardly be, asked of every result, plan and file of regions.

The rules are data (``tables/plausibility.toml``): a code, a fact, the range it should lie in, a level, a source and a sentence. A
site's own file overrides them by code. Facts of a result are found in
:mod:`voxeldose.dose.plausibility_facts`; a plan and a file of regions have some of them too.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal, get_args

from voxeldose.errors import QuantityError
from voxeldose.model.limits import is_within, meets
from voxeldose.model.remarks import Remark

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from voxeldose.model.roi import RoiSet

__all__ = ["Fact", "Level", "Plausibility", "Rule", "facts_of_regions", "judge_facts", "published_rules", "rules_with"]

Level = Literal["note", "warning", "refusal", "off"]


@dataclass(frozen=True)
class Fact:
    """A number, and the region or image it is of (empty for the whole case)."""

    name: str
    value: float
    subject: str = ""


@dataclass(frozen=True)
class Rule:
    """One thing that a case should be.

    Parameters
    ----------
    code : str
        Of the remark.
    fact : str
        What is asked.
    level : str
        ``note`` (an assumption of the result), ``warning``, ``refusal`` or ``off``.
    source : str
        Where the range is from.
    sentence : str
        With ``{value}``, ``{percent}``, ``{roi}``, ``{low}`` and ``{high}`` where it wants them.
    low, high : float, optional
        The range, ends included; open without.
    """

    code: str
    fact: str
    level: Level
    source: str
    sentence: str
    low: float | None = None
    high: float | None = None

    def holds(self, value: float) -> bool:
        """Whether a value lies in the range; what is not finite is not judged."""
        if not math.isfinite(value):
            return True
        return is_within(value, self.low, self.high)

    def remark(self, fact: Fact) -> Remark:
        """What is said of a fact outside the range."""
        numbers = {"value": fact.value, "low": self.low, "high": self.high, "roi": fact.subject or None}
        words = {"value": fact.value, "percent": 100 * fact.value, "age": -fact.value, "roi": fact.subject}
        ends = {"low": self.low, "high": self.high}
        of = f"{fact.subject}: " if fact.subject and "{roi}" not in self.sentence else ""
        sentence = of + self.sentence.format(**words, **ends)
        return Remark(self.code, {k: v for k, v in numbers.items() if v is not None}, sentence)


@dataclass(frozen=True)
class Plausibility:
    """What the rules say of a result."""

    notes: tuple[Remark, ...]
    warnings: tuple[Remark, ...]


@cache
def published_rules() -> tuple[Rule, ...]:
    """The rules shipped in ``tables/plausibility.toml``."""
    text = (resources.files("voxeldose") / "tables" / "plausibility.toml").read_text("utf-8")
    return tuple(Rule(**row) for row in tomllib.loads(text)["rule"])


def rules_with(own: Iterable[Mapping[str, Any]], rules: Sequence[Rule] | None = None) -> tuple[Rule, ...]:
    """The shipped rules with a site's: a known code changes that rule's keys, a new one needs all of them.

    Raises
    ------
    QuantityError
        For a row without a code, an unknown key or level, or a new rule that is not whole.
    """
    table = {rule.code: rule for rule in (published_rules() if rules is None else rules)}
    for row in own:
        code = row.get("code")
        if not isinstance(code, str):
            msg = f"A rule of plausibility needs a code, found {sorted(row)}."
            raise QuantityError(msg, code="rule-without-code")
        try:
            rule = replace(table[code], **row) if code in table else Rule(**row)
        except TypeError as error:
            msg = f"Rule {code!r}: needs the keys code, fact, level, source, sentence, and low or high; found {sorted(row)}."
            raise QuantityError(msg, code="rule-keys") from error
        if rule.level not in get_args(Level):
            msg = f"Rule {code!r}: level must be {', '.join(get_args(Level))}, found {rule.level!r}."
            raise QuantityError(msg, code="rule-level")
        table[code] = rule
    return tuple(table.values())


def judge_facts(given: Iterable[Fact], rules: Sequence[Rule] | None = None) -> Plausibility:
    """Every fact outside the range of a rule, in the order of the rules.

    Of two rules on one fact and region only the one with the farther limit speaks.

    Parameters
    ----------
    given : iterable of Fact
        Of a result, or of anything else that has them.
    rules : sequence of Rule, optional
        :func:`published_rules` without it.

    Raises
    ------
    QuantityError
        If a rule of level ``refusal`` does not hold; its message has every one of them.
    """
    rules = published_rules() if rules is None else rules
    facts: dict[str, list[Fact]] = {}
    for fact in given:
        facts.setdefault(fact.name, []).append(fact)
    found: dict[tuple[str, str, bool], tuple[Rule, Fact]] = {}
    for rule in rules:
        for fact in facts.get(rule.fact, ()) if rule.level != "off" else ():
            if rule.holds(fact.value):
                continue
            above = rule.high is not None and not meets(fact.value, "at most", rule.high)
            key = fact.name, fact.subject, above
            if key not in found or _farther(rule, found[key][0], above=above):
                found[key] = rule, fact
    refused = [rule.remark(fact).sentence for rule, fact in found.values() if rule.level == "refusal"]
    if refused:
        raise QuantityError(" ".join(refused), code="implausible")
    return Plausibility(
        tuple(rule.remark(fact) for rule, fact in found.values() if rule.level == "note"),
        tuple(rule.remark(fact) for rule, fact in found.values() if rule.level == "warning"),
    )


def _farther(rule: Rule, other: Rule, *, above: bool) -> bool:
    if above:
        return (rule.high or 0.0) > (other.high or 0.0)
    return (rule.low or 0.0) < (other.low or 0.0)


def facts_of_regions(rois: RoiSet) -> tuple[Fact, ...]:
    """What volumes alone say: of liver, lungs, each tumor and each perfused region, as drawn."""
    facts = []
    for name, role in (("liver_ml", "liver"), ("lungs_ml", "lung")):
        if rois.with_role(role):
            facts.append(Fact(name, sum(roi.volume_ml for roi in rois.with_role(role))))
    for name, role in (("tumor_ml", "tumor"), ("perfused_ml", "perfused")):
        facts += [Fact(name, roi.volume_ml, roi.name) for roi in rois.with_role(role)]
    return tuple(facts)
