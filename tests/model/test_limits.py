"""One comparison of a value with a limit, used everywhere: the last bit of a float decides nothing."""

import ast
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

import voxeldose
from voxeldose.dose.lungs.dose import lung_dose
from voxeldose.dose.recovery.dose_points import PointDvh
from voxeldose.dose.segmentectomy import SegmentectomyFacts, segmentectomy_card
from voxeldose.dose.uncertainty.confidence import Confidence
from voxeldose.model.administration import unit_doubts
from voxeldose.model.dvh import Dvh
from voxeldose.model.limits import is_within, meets, with_tolerance
from voxeldose.model.plausibility import Rule
from voxeldose.model.radionuclide import Y90
from voxeldose.planning.compartments import plan_partition_for
from voxeldose.planning.plan import Bound
from voxeldose.planning.territories import Territory, Tumor
from voxeldose.planning.vials import Product, plan_vial

#: A part of the limit that counts as the limit, and one that does not.
EQUAL, APART = 5e-7, 2e-6


@pytest.mark.parametrize(("sense", "towards"), [("at least", -1), ("above", -1), ("at most", 1), ("below", 1)], ids=str)
@pytest.mark.parametrize("limit", [400.0, 0.3, -5.0])
def test_a_value_meets_a_limit_that_it_equals_to_one_part_in_a_million(sense, towards, limit):
    assert meets(limit, sense, limit)
    assert meets(limit + towards * EQUAL * abs(limit), sense, limit)
    assert not meets(limit + towards * APART * abs(limit), sense, limit)
    assert meets(limit - towards * abs(limit), sense, limit)
    assert not meets(float("nan"), sense, limit)
    assert with_tolerance(limit, sense) == pytest.approx(limit, rel=1.01e-6)


def test_nothing_lies_below_a_limit_of_zero():
    assert meets(0.0, "at most", 0.0)
    assert not meets(1e-12, "at most", 0.0)


def test_a_range_holds_its_ends_and_may_be_open():
    assert is_within(20 * (1 - EQUAL), 20, 40)
    assert is_within(40 * (1 + EQUAL), 20, 40)
    assert not is_within(20 * (1 - APART), 20, 40)
    assert not is_within(40 * (1 + APART), 20, 40)
    assert is_within(1e9, 20, None)
    assert is_within(-1e9, None, 40)


def bound(kind, value):
    return Bound("a", kind, 400.0, value, 1.0).met


def card(value):
    rows = segmentectomy_card(SegmentectomyFacts(perfused_gy=value, device="glass"))
    return next(r for r in rows if r.reference == 400).status == "met"


def partition_advised(ratio):
    rows = segmentectomy_card(SegmentectomyFacts(tumor_to_normal=ratio * 2 / 400))
    return next(r for r in rows if r.item.startswith("Partition")).status == "advised"


def coverage(gy):
    return Dvh.from_voxels(np.full(7, gy), 1.0).coverage(400.0) == 1


def point_coverage(gy):
    return PointDvh(np.full(7, gy)).coverage(400.0) == 1


def certainly_reached(gy):
    exact = Confidence(np.array([gy]), np.array([0.0]), gy, gy)
    return exact.below(with_tolerance(400.0, "at least")) == 0


def lungs_kept(gy):
    dose = lung_dose(gy * 30 / 400 / Y90.gy_kg_per_gbq * 1000 / 0.1, 0.1, Y90)
    codes = {r.code for r in dose.warnings}
    assert dose.limits[0].met is ("lung-dose-above-limit" not in codes)
    return dose.limits[0].met


def lungs_kept_with_earlier(gy):
    dose = lung_dose(1.0, 0.1, Y90, earlier_gy=(gy / 8 - Y90.gy_kg_per_gbq * 1e-4,))
    codes = {r.code for r in dose.warnings}
    assert dose.limits[1].met is ("lung-dose-above-cumulative-limit" not in codes)
    return dose.limits[1].met


def plausible(value):
    rule = Rule("a", "f", "warning", "s", "{value}", low=None, high=400.0)
    return rule.holds(value)


def usual(mbq):
    return not unit_doubts(mbq * 100)


def vial_is_large_enough(mbq):
    at = datetime(2024, 5, 2, 10, tzinfo=UTC)
    try:
        plan = plan_vial(800 - mbq, at, Y90, product=Product("p", vials_gbq=(0.4,)))
    except voxeldose.QuantityError as error:
        return error.code != "vial-too-small"
    return plan.chosen.vial_gbq == 0.4


@pytest.mark.parametrize(
    ("place", "towards"),
    [
        (lambda v: bound("goal", v), -1),
        (lambda v: bound("limit", v), 1),
        (card, -1),
        (partition_advised, -1),
        (coverage, -1),
        (point_coverage, -1),
        (certainly_reached, -1),
        (lungs_kept, 1),
        (lungs_kept_with_earlier, 1),
        (plausible, 1),
        (usual, 1),
        (vial_is_large_enough, -1),
    ],
    ids=[
        "goal",
        "limit",
        "card",
        "partition",
        "coverage",
        "points",
        "probability",
        "lungs",
        "cumulative",
        "rule",
        "usual",
        "vial",
    ],
)
def test_400_against_400_is_met_in_every_place_and_399_99_is_not(place, towards):
    assert place(400.0)
    assert place(400.0 * (1 + towards * EQUAL))
    assert not place(400.0 * (1 + towards * 1e-5))


@pytest.mark.parametrize("normal_limit_gy", [50.0, 75.0, 60.1])
def test_a_goal_that_the_limit_just_allows_is_not_called_missed(normal_limit_gy):
    # T/N 4 and one territory: at this limit the tumor gets four times as much
    territory = Territory((Tumor("t", 200.0, 4.0),), 1300.0, 0.05)
    plan = plan_partition_for([territory], tumor_gy=4 * normal_limit_gy, normal_limit_gy=normal_limit_gy)
    assert all(b.met for b in plan.bounds)
    assert "goal-missed" not in {r.code for r in plan.warnings}
    missed = plan_partition_for([territory], tumor_gy=4 * normal_limit_gy * (1 + 1e-5), normal_limit_gy=normal_limit_gy)
    assert "goal-missed" in {r.code for r in missed.warnings}


# ---- No raw comparison of a value with a limit comes back ---------------------------------------------------------------

PACKAGE = Path(voxeldose.__file__).parent
#: What names a goal, a limit or a published reference, with or without its unit.
NAMES = re.compile(r"(^|_)(goal|limits?|wanted|threshold|shelf_life)(_(gy|mbq|g|h|fraction|percent))?$", re.IGNORECASE)
#: Rooms whose numbers are compared with goals and limits; ``geometry`` and ``_compiled`` threshold voxels, ``io`` reads.
ROOMS = ("model", "dose", "planning", "report", "jobs", "cli")
#: Files whose limits are none of a result: bytes of memory.
OTHER_LIMITS = ("model/memory.py",)
#: Comparisons that judge no result.
EXCEPTED = {
    "1 <= self.limit <= 10": "range of an input",
    "0 <= limit <= 1": "range of an input",
    "0 <= self.wanted <= 1": "range of an input",
    "self.wanted > 0": "range of an input",
    "wanted <= 0": "range of an input",
    "index <= limits": "the edge of a grid",
    "self.density < LUNG_DENSITY_LIMIT": "which medium it is",
    "abs(total - wanted) > allowed": "how far a fit went",
}


def names_in(node):
    """The last word of each operand: ``self.plan.limit_gy`` and ``row["limit"]`` are limits, ``limit(x)`` is a call."""
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute):
            yield part.attr
        elif isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def raw_comparisons(text):
    found = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Compare):
            continue
        if not any(isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for op in node.ops):
            continue
        if any(NAMES.search(name) for side in (node.left, *node.comparators) for name in names_in(side)):
            found.append(ast.unparse(node))
    return found


def test_the_search_for_raw_comparisons_finds_them():
    assert raw_comparisons("met = value >= limit.limit") == ["value >= limit.limit"]
    assert raw_comparisons("if gy > LIMIT_GY: pass") == ["gy > LIMIT_GY"]
    assert raw_comparisons('ok = row["value"] < row["limit"]')
    assert raw_comparisons("x = self.value <= self.wanted * (1 + 1e-6)")
    assert not raw_comparisons("meets(value, 'at least', limit)")
    assert not raw_comparisons("if name == limit: pass")


def test_no_value_is_compared_with_a_limit_but_by_the_one_function():
    found = []
    for room in ROOMS:
        for file in sorted((PACKAGE / room).rglob("*.py")):
            where = file.relative_to(PACKAGE).as_posix()
            if where not in OTHER_LIMITS:
                found += [f"{where}: {one}" for one in raw_comparisons(file.read_text("utf-8")) if one not in EXCEPTED]
    assert not found, "use voxeldose.model.limits.meets, or say in EXCEPTED why it judges no result"
