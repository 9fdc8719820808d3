import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from remarks import coded, refusal
from scipy.ndimage import gaussian_filter

from voxeldose.dose.assess import assess, what_if
from voxeldose.dose.engines.local import LocalDeposition
from voxeldose.errors import QuantityError
from voxeldose.model.administration import Administration
from voxeldose.model.case import Administered, Case
from voxeldose.model.grid import Grid
from voxeldose.model.radionuclide import TC99M, Y90
from voxeldose.model.recovered import Estimate, Recovered, RecoveredDvh, RecoveredMetrics, RecoveredRoi
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.volume import CountMap
from voxeldose.planning.from_assessment import perfused_mass_g, territory_of
from voxeldose.planning.plan import Lungs
from voxeldose.planning.voxels import Wish, plan_voxels

AT = datetime(2024, 5, 2, 10, 15, tzinfo=UTC)
GRID = Grid.from_axes((24, 26, 30), (4, 3.5, 3), (-40, -50, -60))


def roi(name, role, where):
    occupancy = np.zeros(GRID.shape)
    occupancy[where] = 1
    return Roi(name, role, occupancy, GRID)


ROIS = (
    roi("liver", "liver", np.s_[4:20, 4:22, 5:25]),
    roi("a.b", "tumor", np.s_[9:14, 9:14, 10:16]),
    roi("small", "tumor", np.s_[16:18, 16:19, 18:21]),
    roi("right", "perfused", np.s_[4:20, 4:22, 5:20]),
    roi("air", "other", np.s_[0:2, 0:5, 0:6]),
    roi("lungs", "lung", np.s_[21:24, 4:22, 5:25]),
)


@pytest.fixture(scope="module")
def predicted():
    """A blurred and noisy MAA SPECT: counts, with negative voxels."""
    counts = np.full(GRID.shape, 0.5)
    counts[4:20, 4:22, 5:25] = 10
    counts[9:14, 9:14, 10:16] = 60
    counts[16:18, 16:19, 18:21] = 30
    counts = gaussian_filter(counts, 1.2) + np.random.default_rng(5).normal(0, 0.8, GRID.shape)
    image = CountMap(counts.astype(np.float32), GRID, at=AT, radionuclide=TC99M)
    given_ = Administration(Y90, 1850.0, AT, 12.0, 0.05, "glass")
    return assess(Case(image, RoiSet(ROIS), given_), LocalDeposition())


def at(result, plan):
    """The case at the activity of a plan: the scaled map itself, measured anew."""
    return what_if(result, activity_factor=plan.activity_mbq / result.case.administration.net_mbq)


@pytest.mark.parametrize(
    ("metric", "wanted", "value"),
    [
        ("mean", 400.0, lambda m: m.mean_dose_gy),
        ("D95", 120.0, lambda m: m.d95_gy),
        ("d70", 205.0, lambda m: m.d70_gy),
        ("max", 900.0, lambda m: m.max_dose_gy),
        ("D33.3", 400.0, lambda m: m.dvh.dose_to_fraction_gy(0.333)),
    ],
)
def test_a_goal_in_gray_is_met_on_the_scaled_map(predicted, metric, wanted, value):
    plan = plan_voxels(predicted, [Wish("a.b", metric, wanted)])
    # float32 voxels: 6e-8 each
    assert value(at(predicted, plan).rois["a.b"]) == pytest.approx(wanted, rel=1e-6)
    assert plan.binding.startswith("a.b.")
    assert plan.bounds[0].met


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fraction=st.floats(0.01, 1.0), dose=st.floats(50, 800))
def test_a_coverage_is_reached_on_the_scaled_map_with_the_least_activity(predicted, fraction, dose):
    plan = plan_voxels(predicted, [Wish("a.b", f"V{dose:.3f}", fraction)])
    dose = round(dose, 3)
    assert at(predicted, plan).rois["a.b"].dvh.coverage(dose) >= fraction * (1 - 1e-9)
    less = what_if(predicted, activity_factor=plan.activity_mbq * (1 - 3e-6) / predicted.case.administration.net_mbq)
    assert less.rois["a.b"].dvh.coverage(dose) < fraction


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fraction=st.floats(0.0, 0.95), dose=st.floats(20, 100))
def test_a_limit_for_a_coverage_is_kept_on_the_scaled_map_and_just_so(predicted, fraction, dose):
    plan = plan_voxels(predicted, [Wish("a.b", "mean", 1e6)], [Wish("normal_liver", f"V{dose:.3f}", fraction)])
    dose = round(dose, 3)
    assert plan.binding.startswith("normal_liver")
    assert plan.warnings[0].code == "goal-missed"
    assert plan.warnings[0].sentence.endswith("is not met.")
    assert at(predicted, plan).rois["normal_liver"].dvh.coverage(dose) <= fraction
    more = what_if(predicted, activity_factor=plan.activity_mbq * (1 + 3e-6) / predicted.case.administration.net_mbq)
    assert more.rois["normal_liver"].dvh.coverage(dose) > fraction


def test_every_limit_is_kept_and_the_lowest_rules(predicted):
    limits = [Wish("normal_liver", "mean", 30.0), Wish("lung", "mean", 10.0), Wish("liver", "D2", 500.0)]
    plan = plan_voxels(predicted, [Wish("tumor", "mean", 400.0)], limits)
    assert plan.binding == min((b for b in plan.bounds if b.kind == "limit"), key=lambda b: b.activity_mbq).name
    scaled = at(predicted, plan).rois
    assert scaled["normal_liver"].mean_dose_gy <= 30 * (1 + 1e-6)
    assert scaled["liver"].d2_gy <= 500 * (1 + 1e-6)
    assert all(b.met for b in plan.bounds if b.kind == "limit")
    assert [b.name for b in plan.bounds if b.kind == "goal"] == ["a.b.mean=400", "small.mean=400"]


def test_a_role_as_goal_means_every_region_of_it(predicted):
    plan = plan_voxels(predicted, [Wish("tumor", "mean", 400.0)])
    assert min(plan.tumor_gy.values()) == pytest.approx(400, rel=1e-9)
    assert len(plan.tumor_gy) == 2
    (factor,) = coded("one-factor-for-map", plan.assumptions)
    assert "every infusion that the image shows gets the same" in factor.sentence
    assert plan.perfused_gy == pytest.approx(at(predicted, plan).rois["right"].mean_dose_gy, rel=1e-6)


def test_the_answer_does_not_depend_on_the_activity_of_the_case(predicted):
    case = predicted.case
    other = assess(Case(case.activity, case.rois, Administration(Y90, 900.0, AT, 0.0, 0.05)), LocalDeposition())
    wishes = [Wish("a.b", "mean", 400.0)], [Wish("lung", "mean", 30.0)]
    assert plan_voxels(other, *wishes).activity_mbq == pytest.approx(
        plan_voxels(predicted, *wishes).activity_mbq, rel=1e-6
    )


def test_lungs_without_a_dose_map_take_shunt_and_mass_and_the_plan_says_so(predicted):
    plan = plan_voxels(predicted, [], [Wish("lung", "mean", 30.0)], lungs=Lungs(0.08, 800.0))
    assert plan.activity_mbq == pytest.approx(30 * 800 / (Y90.gy_kg_per_gbq * 0.08))
    assert plan.lung_gy == pytest.approx(30)
    (shunted,) = coded("lung-dose-by-shunt", plan.assumptions)
    assert shunted.numbers == {"lung_shunt_fraction": 0.08, "lung_mass_g": 800.0}
    assert "LSF 0.08 and 800 g, not that of a dose map." in shunted.sentence
    by_convention = plan_voxels(predicted, [], [Wish("lung", "mean", 30.0)])
    (shunted,) = coded("lung-dose-by-shunt", by_convention.assumptions)
    assert shunted.numbers == {"lung_shunt_fraction": 0.05, "lung_mass_g": 1000.0}
    assert "1000 g is the convention" in shunted.sentence
    by_name = plan_voxels(predicted, [], [Wish("lungs", "mean", 30.0)], lungs=Lungs(0.08, 800.0))
    assert by_name.activity_mbq == plan.activity_mbq


def test_lungs_with_a_dose_map_take_that():
    counts = np.ones(GRID.shape, np.float32)
    image = CountMap(counts, GRID, at=AT, radionuclide=TC99M)
    given_, everywhere = Administration(Y90, 1000.0, AT), Administered("image")
    result = assess(Case(image, RoiSet(ROIS), given_, density=0.3, calibration=everywhere), LocalDeposition())
    plan = plan_voxels(result, [], [Wish("lung", "mean", 30.0)])
    assert at(result, plan).rois["lungs"].mean_dose_gy == pytest.approx(30, rel=1e-6)
    (mapped,) = coded("lung-dose-by-map", plan.assumptions)
    assert mapped.numbers == {"roi": "lungs"}
    assert mapped.sentence == "The lungs' dose is that of the dose map in lungs."


@pytest.mark.parametrize(
    ("wish", "code", "words"),
    [
        (("a.b", "median", 400.0), "metric-unknown", "unknown metric 'median'"),
        (("a.b", "mean5", 400.0), "metric-unknown", "unknown metric"),
        (("a.b", "D", 400.0), "metric-unknown", "unknown metric"),
        (("a.b", "D101", 400.0), "value-out-of-range", "at most 100"),
        (("a.b", "V400", 90.0), "value-out-of-range", "90 % is 0.9"),
        (("a.b", "mean", 0.0), "value-out-of-range", "above 0 Gy"),
        (("c", "mean", 400.0), "region-unknown", "no region and no role 'c'"),
        (("lung", "D95", 10.0), "metric-unknown", "Use lung.mean"),
        (("air", "min", 10.0), "goal-unreachable", "no activity reaches it"),
        (("air", "V100", 1.0), "goal-unreachable", "never get a dose"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_reason(predicted, wish, code, words):
    with pytest.raises(QuantityError, match=words, check=refusal(code)):
        plan_voxels(predicted, [Wish(*wish)])


def test_a_lung_limit_without_shunt_and_no_wish_at_all_are_refused(predicted):
    case = predicted.case
    unknown = assess(Case(case.activity, case.rois, Administration(Y90, 900.0, AT)), LocalDeposition())
    with pytest.raises(QuantityError) as refused:
        plan_voxels(unknown, [], [Wish("lung", "mean", 30.0)])
    assert refused.value.code == "lung-shunt-missing"
    with pytest.raises(QuantityError) as refused:
        plan_voxels(unknown, [], [Wish("lung", "mean", 30.0)], lungs=Lungs(0.0))
    assert refused.value.code == "goal-unreachable"
    with pytest.raises(QuantityError) as refused:
        plan_voxels(predicted, [])
    assert refused.value.code == "goal-missing"


def test_masses_and_ratio_of_a_case_are_those_of_the_perfused_region(predicted):
    found = territory_of(
        assess(
            Case(predicted.case.activity, RoiSet(ROIS[:2] + ROIS[3:4]), predicted.case.administration),
            LocalDeposition(),
        ),
        0.05,
    )
    rois, territory = predicted.rois, found.territory
    assert territory.normal_g == pytest.approx(rois["right"].mass_g - rois["a.b"].mass_g)
    normal = (rois["right"].activity_mbq - rois["a.b"].activity_mbq) / territory.normal_g
    assert territory.tumors[0].ratio == pytest.approx(rois["a.b"].activity_mbq / rois["a.b"].mass_g / normal)
    assert found.unperfused_g + territory.perfused_g == pytest.approx(rois["liver"].mass_g, rel=1e-6)
    assert [a.code for a in found.assumptions] == ["normal-liver-of-perfused", "mass-by-density"]
    assert found.assumptions[1].sentence == "Masses are volumes of the regions times the run's density."
    assert perfused_mass_g(predicted) == (rois["right"].mass_g, "right")
    assert perfused_mass_g(predicted, "liver")[0] == rois["liver"].mass_g


def test_a_tumor_belongs_to_the_territory_if_half_of_it_is_perfused(predicted):
    assert predicted.rois["small"].perfused_fraction == pytest.approx(2 / 3)
    assert [t.name for t in territory_of(predicted).territory.tumors] == ["a.b", "small"]
    moved = roi("small", "tumor", np.s_[16:18, 16:19, 19:22])
    rois = RoiSet((*ROIS[:2], moved, *ROIS[3:]))
    result = assess(Case(predicted.case.activity, rois, predicted.case.administration), LocalDeposition())
    assert result.rois["small"].perfused_fraction == pytest.approx(1 / 3)
    assert [t.name for t in territory_of(result).territory.tumors] == ["a.b"]
    with pytest.raises(QuantityError, match="small is not reached", check=refusal("tumor-not-reached")):
        plan_voxels(result, [Wish("small", "mean", 100.0)])
    assert set(plan_voxels(result, [Wish("tumor", "mean", 100.0)]).tumor_gy) == {"a.b"}


def test_missing_regions_are_refused(predicted):
    bare = assess(Case(predicted.case.activity, RoiSet(ROIS[:1]), predicted.case.administration), LocalDeposition())
    with pytest.raises(QuantityError) as refused:
        territory_of(bare)
    assert refused.value.code == "region-missing"
    assert refused.value.fields["role"] == "tumor"
    with pytest.raises(QuantityError) as refused:
        perfused_mass_g(bare)
    assert refused.value.code == "region-missing"
    assert refused.value.fields["role"] == "perfused"


def test_two_perfused_regions_are_two_infusions(predicted):
    left = roi("left", "perfused", np.s_[4:20, 4:22, 20:25])
    rois = RoiSet((*ROIS[:2], ROIS[3], left))
    two = assess(Case(predicted.case.activity, rois, predicted.case.administration), LocalDeposition())
    with pytest.raises(QuantityError, match=r"right, left.*--territories", check=refusal("regions-several")):
        territory_of(two)


def test_a_region_whose_dose_is_not_known_is_no_goal(predicted):
    unknown = replace(predicted.rois["small"], mean_dose_gy=math.nan)
    result = replace(predicted, rois={**predicted.rois, "small": unknown})
    with pytest.raises(QuantityError, match="small has no dose", check=refusal("region-without-dose")):
        plan_voxels(result, [Wish("tumor", "mean", 200.0)])


@pytest.mark.parametrize("text", ["lesion_1.mean", "lesion_1=400", ".mean=400", "lesion_1.mean=lots", "lesion_1.mean="])
def test_a_wish_that_is_not_written_as_one_is_refused_with_an_example(text):
    with pytest.raises(QuantityError, match=r"such as lesion_1\.mean=400", check=refusal("wish-malformed")):
        Wish.parse(text)


def test_without_a_perfused_region_all_normal_liver_is_taken_and_its_bias_is_told(predicted):
    whole = assess(Case(predicted.case.activity, RoiSet(ROIS[:2]), predicted.case.administration), LocalDeposition())
    (normal,) = coded("normal-liver-whole", territory_of(whole).assumptions)
    assert normal.numbers == {"roi": "normal_liver"}
    assert "T/N comes out too high: give the perfused region" in normal.sentence


def with_recovery(result, dvh=None, **numbers):
    """The predicted map with these recovered numbers of one tumor."""
    metrics = RecoveredMetrics(**{name: Estimate(value, 0.9 * value, 1.1 * value) for name, value in numbers.items()})
    rois = {"a.b": RecoveredRoi("tumor", metrics, metrics, 1.0, dvh=dvh)}
    return replace(result, recovered=Recovered("field", rois, {}, result.dose, (), (), 0.0))


#: Even from 0 to 800 Gy: 1 - d/800 of the volume gets d or more.
EVEN = RecoveredDvh((0.0, 800.0), (1.0, 0.0), (1.0, 0.0), (1.0, 0.0))


@pytest.mark.parametrize(
    ("wish", "factor"),
    [
        (Wish("a.b", "mean", 400.0), 400.0 / 250.0),
        (Wish("a.b", "D95", 100.0), 100.0 / 60.0),
        (Wish("a.b", "D60", 400.0), 400.0 / 320.0),  # 60 % of an even DVH to 800 Gy get 320 Gy
        (Wish("a.b", "V400", 0.75), 400.0 / 200.0),  # and 75 % get 200 Gy
        (Wish("a.b", "V205", 0.0), 0.0),
    ],
)
def test_goals_are_about_recovered_numbers_where_there_are_any(predicted, wish, factor):
    result = with_recovery(predicted, EVEN, mean_dose_gy=250.0, d95_gy=60.0)
    plan = plan_voxels(result, [wish])
    net = predicted.case.administration.net_mbq
    assert plan.activity_mbq == pytest.approx(factor * net, rel=2e-6)
    assert plan.tumor_gy["a.b"] == pytest.approx(250.0 * factor, rel=2e-6)
    assert plan.tumor_gy["small"] == pytest.approx(predicted.rois["small"].mean_dose_gy * factor, rel=2e-6)
    assert plan.bounds[0].value == pytest.approx(wish.wanted, rel=2e-6)
    assert [r.numbers["rois"] for r in coded("plan-recovered", plan.assumptions)] == ["a.b"]


def test_a_limit_on_coverage_keeps_the_recovered_dvh_below_it(predicted):
    result = with_recovery(predicted, EVEN, mean_dose_gy=250.0)
    plan = plan_voxels(result, [], [Wish("a.b", "V400", 0.25)])
    assert plan.activity_mbq == pytest.approx(400.0 / 600.0 * predicted.case.administration.net_mbq, rel=2e-6)
    assert EVEN.scaled(plan.activity_mbq / predicted.case.administration.net_mbq).coverage(400.0) <= 0.25
    with pytest.raises(QuantityError, match="No activity reaches"):
        plan_voxels(result, [], [Wish("a.b", "V400", 1.0)])


def test_single_voxels_and_withheld_histograms_are_the_images_own(predicted):
    result = with_recovery(predicted, EVEN, mean_dose_gy=250.0)
    assert plan_voxels(result, [Wish("a.b", "max", 900.0)]).activity_mbq == pytest.approx(
        plan_voxels(predicted, [Wish("a.b", "max", 900.0)]).activity_mbq
    )
    withheld = with_recovery(predicted, None, mean_dose_gy=250.0)
    assert plan_voxels(withheld, [Wish("a.b", "V400", 0.5)]).activity_mbq == pytest.approx(
        plan_voxels(predicted, [Wish("a.b", "V400", 0.5)]).activity_mbq
    )
    assert not coded("plan-recovered", plan_voxels(predicted, [Wish("a.b", "mean", 400.0)]).assumptions)


def test_the_partition_model_takes_a_recovered_ratio_and_says_so(predicted):
    rois = RoiSet(tuple(r for r in ROIS if r.name != "right"))
    predicted = what_if(predicted, rois=rois)
    result = with_recovery(predicted, mean_dose_gy=250.0, tumor_to_normal=9.0)
    found, before = territory_of(result), territory_of(predicted)
    assert {t.name: t.ratio for t in found.territory.tumors}["a.b"] == 9.0
    (remark,) = coded("tumor-to-normal-recovered", found.assumptions)
    assert "a.b 9" in remark.sentence
    assert not coded("tumor-to-normal-recovered", before.assumptions)


def test_another_activity_scales_recovered_numbers_and_another_region_drops_them(predicted):
    result = with_recovery(predicted, EVEN, mean_dose_gy=150.0)
    twice = what_if(result, activity_factor=2.0)
    assert twice.recovered.rois["a.b"].best.mean_dose_gy.value == pytest.approx(300.0)
    (limit,) = [t for t in twice.thresholds if t.roi == "a.b" and t.limit == 205.0]
    assert (limit.value, limit.kind, limit.met) == (pytest.approx(300.0), "recovered", True)
    assert what_if(result, rois=predicted.case.rois).recovered is None
    assert what_if(result, activity_factor=0.0).recovered is None
