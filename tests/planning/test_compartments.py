import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remarks import coded, refusal

from voxeldose.errors import QuantityError
from voxeldose.model.radionuclide import Y90, Y90_SETS
from voxeldose.planning.compartments import plan_mird, plan_partition, plan_partition_for
from voxeldose.planning.plan import Lungs, with_other_constants
from voxeldose.planning.territories import Territory, Tumor

grams = st.floats(1, 3000)
ratios = st.floats(0.2, 30)
shunts = st.floats(0.001, 0.6)
activities = st.floats(50, 20000)


def codes(remarks):
    return {remark.code for remark in remarks}


@st.composite
def territories(draw, least=1, most=3):
    parts = []
    for k in range(draw(st.integers(1, most))):
        masses = draw(st.lists(st.tuples(grams, ratios), min_size=least, max_size=3))
        tumors = tuple(Tumor(f"t{k}{n}", m, r) for n, (m, r) in enumerate(masses))
        parts.append(Territory(tumors, draw(grams), draw(shunts), f"k{k}"))
    return parts


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_forward_and_inverse_partition_are_each_others_inverse(data):
    parts = data.draw(territories(most=1))
    activity = data.draw(activities)
    forward = plan_partition(parts, [activity])
    for asked in (
        {"tumor_gy": min(forward.tumor_gy.values())},
        {"normal_limit_gy": forward.normal_gy},
        {"lung_limit_gy": forward.lung_gy},
    ):
        back = plan_partition_for(parts, **asked)
        assert back.activity_mbq == pytest.approx(activity, rel=1e-12)
        assert back.tumor_gy == pytest.approx(forward.tumor_gy, rel=1e-12)


@settings(max_examples=100, deadline=None)
@given(territories(), st.floats(20, 600), st.floats(0.1, 1))
def test_over_territories_the_activities_of_the_inverse_give_its_doses_and_a_limit_there_gives_them_back(
    parts, goal, part
):
    plan = plan_partition_for(parts, tumor_gy=goal)
    forward = plan_partition(parts, [plan.territories_mbq[p.name] for p in parts])
    assert forward.tumor_gy == pytest.approx(plan.tumor_gy, rel=1e-12)
    for territory in parts:
        assert min(forward.tumor_gy[t.name] for t in territory.tumors) == pytest.approx(goal, rel=1e-12)
    # limits at a part of the doses lower every territory by that part
    for limit in ({"normal_limit_gy": part * forward.normal_gy}, {"lung_limit_gy": part * forward.lung_gy}):
        lowered = plan_partition_for(parts, tumor_gy=goal, **limit)
        wanted = {name: part * mbq for name, mbq in plan.territories_mbq.items()}
        assert lowered.territories_mbq == pytest.approx(wanted, rel=1e-12)


@settings(max_examples=50, deadline=None)
@given(grams, shunts, activities)
def test_without_a_tumor_the_normal_limit_is_inverse_and_equals_the_single_compartment(mass, shunt, activity):
    part = Territory((), mass, shunt)
    forward = plan_partition([part], [activity])
    assert forward.tumor_gy == {}
    assert plan_partition_for([part], normal_limit_gy=forward.normal_gy).activity_mbq == pytest.approx(
        activity, rel=1e-12
    )
    assert forward.normal_gy == pytest.approx(plan_mird(mass, activity_mbq=activity, lungs=Lungs(shunt)).perfused_gy)


@settings(max_examples=100, deadline=None)
@given(territories(), st.floats(20, 600), st.floats(5, 200), st.floats(5, 60), grams)
def test_in_any_number_of_territories_the_goal_is_met_or_a_limit_binds_and_every_limit_is_kept(
    parts, goal, normal, lung, unperfused
):
    plan = plan_partition_for(parts, tumor_gy=goal, normal_limit_gy=normal, lung_limit_gy=lung, unperfused_g=unperfused)
    assert plan.whole_normal_gy <= normal * (1 + 1e-12)
    assert plan.lung_gy <= lung * (1 + 1e-12)
    rules = next(b for b in plan.bounds if b.name == plan.binding)
    assert rules.value == pytest.approx(rules.wanted, rel=1e-12)
    assert rules.activity_mbq == pytest.approx(plan.activity_mbq, rel=1e-12)
    assert rules.activity_mbq == min(b.activity_mbq for b in plan.bounds)
    assert (min(plan.tumor_gy.values()) >= goal * (1 - 1e-12)) is (plan.binding == "tumor goal")
    assert ("goal-missed" in codes(plan.warnings)) is (plan.binding != "tumor goal")


@settings(max_examples=50, deadline=None)
@given(territories(least=0), st.data())
def test_energy_is_conserved(parts, data):
    given_mbq = [data.draw(activities) for _ in parts]
    plan = plan_partition(parts, given_mbq, lung_g=900.0)
    mass = {t.name: t.mass_g for part in parts for t in part.tumors}
    inside = sum(plan.tumor_gy[name] * mass[name] for name in mass) + plan.normal_gy * sum(p.normal_g for p in parts)
    assert inside + plan.lung_gy * 900 == pytest.approx(Y90.gy_kg_per_gbq * sum(given_mbq), rel=1e-9)
    assert plan.perfused_gy * sum(p.perfused_g for p in parts) == pytest.approx(inside, rel=1e-9)


@settings(max_examples=50, deadline=None)
@given(grams, st.floats(10, 1000), shunts)
def test_mird_is_its_own_inverse(mass, dose, shunt):
    wanted = plan_mird(mass, dose_gy=dose, lungs=Lungs(shunt))
    assert plan_mird(mass, activity_mbq=wanted.activity_mbq, lungs=Lungs(shunt)).perfused_gy == pytest.approx(
        dose, rel=1e-12
    )


def test_a_tumor_that_spans_two_territories_gets_the_mean_by_mass():
    parts = [
        Territory((Tumor("t", 100.0, 4.0),), 500.0, 0.0, "a"),
        Territory((Tumor("t", 300.0, 2.0),), 700.0, 0.0, "b"),
    ]
    alone = [plan_partition([p], [1000.0]).tumor_gy["t"] for p in parts]
    assert plan_partition(parts, [1000.0, 1000.0]).tumor_gy["t"] == pytest.approx((alone[0] + 3 * alone[1]) / 4)


def test_the_goal_is_for_the_tumor_with_the_lowest_ratio():
    part = Territory((Tumor("a", 100.0, 6.0), Tumor("b", 20.0, 2.0)), 900.0, 0.0)
    plan = plan_partition_for([part], tumor_gy=205.0)
    assert plan.tumor_gy == pytest.approx({"a": 615.0, "b": 205.0})
    assert "goal-for-every-tumor" in codes(plan.assumptions)


def test_without_a_shunt_fraction_the_lungs_have_no_dose_and_the_plan_says_so():
    plan = plan_mird(200.0, dose_gy=400.0)
    assert plan.lung_gy is None
    (missing,) = coded("lung-shunt-missing", plan.assumptions)
    assert missing.numbers == {"lung_shunt_fraction": 0.0}
    assert "0 is taken, and the lungs' dose is not known" in missing.sentence
    assert plan_mird(200.0, dose_gy=400.0, lungs=Lungs(0.0)).lung_gy == 0


def test_the_spread_of_constants_is_that_of_k():
    inverse, forward = plan_mird(200.0, dose_gy=400.0), plan_mird(200.0, activity_mbq=1700.0)
    for name, nuclide in Y90_SETS.items():
        assert with_other_constants(inverse)[name]["activity_mbq"] == pytest.approx(
            plan_mird(200.0, nuclide, dose_gy=400.0).activity_mbq
        )
        assert with_other_constants(forward)[name]["perfused_gy"] == pytest.approx(
            plan_mird(200.0, nuclide, activity_mbq=1700.0).perfused_gy
        )
    assert set(with_other_constants(inverse)) == {"ddep", "icrp107", "vendor", "legacy"}


ONE = (Tumor("t", 200.0, 5.0),)


def test_lungs_weigh_by_convention_where_their_mass_is_not_given():
    plan = plan_mird(200.0, dose_gy=400.0, lungs=Lungs(0.05))
    (conventional,) = coded("lung-mass-conventional", plan.assumptions)
    assert conventional.numbers == {"lung_mass_g": 1000.0}
    assert conventional.sentence == "Lungs of 1000 g, the convention that the 30 Gy limit goes with."
    for lungs in (Lungs(0.05, 800.0), Lungs(0.0), Lungs()):
        assert not coded("lung-mass-conventional", plan_mird(200.0, dose_gy=400.0, lungs=lungs).assumptions)


def test_a_compartment_is_even_and_one_compartment_holds_tumor_and_liver():
    (mean,) = coded("perfused-mean", plan_mird(200.0, dose_gy=400.0).assumptions)
    assert "tumor and normal liver alike" in mean.sentence
    (even,) = coded("compartments-even", plan_partition([Territory(ONE, 1300.0)], [1000.0]).assumptions)
    assert "keeps all its energy" in even.sentence


def test_a_limit_lowers_all_territories_by_one_factor():
    parts = [Territory((Tumor(n, 100.0, 4.0),), 500.0, 0.1, n) for n in ("a", "b")]
    (shared,) = coded("territories-share-factor", plan_partition_for(parts, tumor_gy=205.0).assumptions)
    assert shared.numbers == {"territories": 2}
    assert "lowers all of them by the same factor" in shared.sentence
    assert not coded("territories-share-factor", plan_partition_for(parts[:1], tumor_gy=205.0).assumptions)


@pytest.mark.parametrize(
    ("plan", "code", "words"),
    [
        (lambda: plan_mird(0.0, dose_gy=400.0), "value-out-of-range", "perfused mass must be above 0 g"),
        (lambda: plan_mird(200.0), "values-contradict", "one of the two"),
        (lambda: plan_mird(200.0, dose_gy=400.0, activity_mbq=1.0), "values-contradict", "one of the two"),
        (lambda: plan_mird(200.0, activity_mbq=-1.0), "value-out-of-range", "above 0 MBq"),
        (lambda: plan_mird(200.0, dose_gy=float("nan")), "value-out-of-range", "above 0 Gy"),
        (lambda: Lungs(1.0), "value-out-of-range", "below 1"),
        (lambda: Lungs(8.0), "value-out-of-range", "not percent"),
        (lambda: Lungs(0.1, 0.0), "value-out-of-range", "lung mass must be above 0 g"),
        (lambda: Territory(ONE, 1300.0, 1.0), "value-out-of-range", "below 1"),
        (lambda: Territory((), 0.0), "mass-missing", "no mass"),
        (lambda: Territory(ONE * 2, 10.0), "name-twice", "twice"),
        (lambda: Territory(ONE, -1.0), "value-out-of-range", "0 g or more"),
        (lambda: Tumor("t", 0.0, 5.0), "value-out-of-range", "mass of t must be above 0 g"),
        (lambda: Tumor("t", 10.0, 0.0), "value-out-of-range", "T/N of t must be above 0"),
        (lambda: plan_partition([], []), "territory-missing", "at least one territory"),
        (lambda: plan_partition([Territory(ONE, 1.0)], [1.0, 2.0]), "values-contradict", "as many activities"),
        (lambda: plan_partition([Territory(ONE, 1.0)] * 2, [1.0, 2.0]), "name-twice", "its own name"),
        (lambda: plan_partition([Territory(ONE, 1.0)], [1.0], unperfused_g=-1.0), "value-out-of-range", "0 g or more"),
        (lambda: plan_partition_for([Territory(ONE, 1.0)]), "goal-missing", "goal for the tumor or a limit"),
        (lambda: plan_partition_for([Territory((), 100.0, 0.1)], tumor_gy=205.0), "tumor-missing", "needs a tumor"),
        (
            lambda: plan_partition_for([Territory(ONE, 0.0, 0.1)], normal_limit_gy=75.0),
            "mass-missing",
            "needs its mass",
        ),
        (
            lambda: plan_partition_for([Territory(ONE, 1.0)], lung_limit_gy=30.0),
            "lung-shunt-missing",
            "lung shunt fraction",
        ),
        (
            lambda: plan_partition_for([Territory(ONE, 1.0, 0.0)], lung_limit_gy=30.0),
            "goal-unreachable",
            "No activity reaches",
        ),
        (lambda: plan_partition_for([Territory(ONE, 1.0, 0.0)], tumor_gy=0.0), "value-out-of-range", "above 0 Gy"),
        (
            lambda: plan_partition_for(
                [Territory(ONE, 1.0, 0.0, "a"), Territory(ONE, 1.0, 0.0, "b")], normal_limit_gy=50.0
            ),
            "goal-missing",
            "how to share",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(plan, code, words):
    with pytest.raises(QuantityError, match=words, check=refusal(code)):
        plan()
