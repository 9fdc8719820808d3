"""Several infusions in one case, against closed forms and against each infusion as a case of its own."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from remarks import coded, refusal

from voxeldose.dose.assess import assess, what_if
from voxeldose.dose.engines.convolution import Convolution
from voxeldose.dose.engines.local import LocalDeposition
from voxeldose.dose.recovery.options import Resolution
from voxeldose.dose.recovery.run import recover
from voxeldose.dose.territories import share_out
from voxeldose.dose.uncertainty.inputs import Spread
from voxeldose.dose.uncertainty.run import with_uncertainty
from voxeldose.errors import QuantityError
from voxeldose.model.administration import Administration, administration_of
from voxeldose.model.case import Absolute, Administered, Case
from voxeldose.model.grid import Grid
from voxeldose.model.kernel import point_kernel
from voxeldose.model.radionuclide import JOULE_PER_MEV, TC99M, Y90
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.territory import TreatedTerritory
from voxeldose.model.volume import ActivityMap, CountMap

AT = datetime(2024, 5, 2, 10, 15, tzinfo=UTC)
GRID = Grid.from_axes((20, 22, 44), (5.0, 4.5, 4.0), (-90, -50, -50), frame_uid="1.2.3")
LEFT, RIGHT = np.s_[6:14, 6:16, 6:14], np.s_[6:14, 6:16, 26:38]
VOXELS = {"left": 640, "right": 960}
#: Counts per voxel in the two boxes.
COUNTS = {"left": 30.0, "right": 20.0}
ONE_LEFT = Administration(Y90, 410.0, AT, 10.0, 0.02, "glass")
ONE_RIGHT = Administration(Y90, 905.0, AT, 5.0, 0.10, "glass")
DENSITY = 1.04


def roi(name: str, where, role: str = "perfused") -> Roi:
    occupancy = np.zeros(GRID.shape, np.float32)
    occupancy[where] = 1
    return Roi(name, role, occupancy, GRID)


ROIS = (roi("left", LEFT), roi("right", RIGHT))
BOTH = administration_of([TreatedTerritory("left", ONE_LEFT), TreatedTerritory("right", ONE_RIGHT)])


def counts(background: float = 0.0) -> np.ndarray:
    values = np.full(GRID.shape, background, np.float32)
    values[LEFT], values[RIGHT] = COUNTS["left"], COUNTS["right"]
    return values


def case(given: Administration = BOTH, rois=ROIS, values: np.ndarray | None = None, **more) -> Case:
    image = CountMap(counts() if values is None else values, GRID, radionuclide=Y90)
    return Case(image, RoiSet(tuple(rois)), given, density=DENSITY, **more)


def test_each_territory_holds_its_own_activity_and_dose():
    result = assess(case(), LocalDeposition())
    for name, one in (("left", ONE_LEFT), ("right", ONE_RIGHT)):
        held = (one.administered_mbq - one.residual_mbq) * (1 - one.lung_shunt_fraction)
        mass_kg = VOXELS[name] * GRID.voxel_volume_ml * DENSITY / 1000
        found = result.rois[name]
        assert found.activity_mbq == pytest.approx(held, rel=1e-6)
        # even uptake, all energy kept in its voxel: K A / m everywhere
        assert found.mean_dose_gy == pytest.approx(Y90.gy_kg_per_gbq * held / 1000 / mass_kg, rel=1e-5)
        assert found.single_compartment_gy == pytest.approx(found.mean_dose_gy, rel=1e-5)
        assert found.sd_dose_gy == pytest.approx(0, abs=1e-3)
    assert result.totals.activity_mbq == pytest.approx(400 * 0.98 + 900 * 0.90, rel=1e-6)


def test_activities_add_up_and_the_lungs_get_the_sum_of_shunts():
    assert BOTH.administered_mbq == 1315
    assert BOTH.residual_mbq == 15
    assert BOTH.lung_shunt_fraction == pytest.approx((400 * 0.02 + 900 * 0.10) / 1300)
    assert BOTH.liver_mbq == pytest.approx(400 * 0.98 + 900 * 0.90)
    rows = {row.roi: row for row in assess(case(), LocalDeposition()).totals.territories}
    assert [rows[n].lung_mbq for n in ("left", "right")] == pytest.approx([8, 90])
    assert [rows[n].held_mbq for n in ("left", "right")] == pytest.approx([392, 810])
    assert [rows[n].region_mbq for n in ("left", "right")] == pytest.approx([392, 810], rel=1e-6)
    assert rows["right"].net_mbq == 900
    # 30 x 640 and 20 x 960 counts: half of the image each
    assert [rows[n].share_ratio for n in ("left", "right")] == pytest.approx([0.5 / (392 / 1202), 0.5 / (810 / 1202)])


def test_energy_is_that_of_all_activity():
    result = assess(case(), LocalDeposition())
    decays = 1202e6 * Y90.half_life_s / np.log(2)
    assert result.totals.energy_emitted_j == pytest.approx(decays * Y90.energy_mev * JOULE_PER_MEV, rel=1e-6)
    assert result.totals.energy_j == pytest.approx(result.totals.energy_emitted_j, rel=1e-6)


@pytest.mark.parametrize("engine", [LocalDeposition(), Convolution(point_kernel())])
def test_two_territories_are_the_sum_of_two_runs(engine):
    together = assess(case(), engine)
    left, right = counts(), counts()
    left[RIGHT], right[LEFT] = 0, 0
    apart = [
        assess(case(ONE_LEFT, ROIS[:1], left), engine),
        assess(case(ONE_RIGHT, ROIS[1:], right), engine),
    ]
    added = apart[0].dose.gy + apart[1].dose.gy
    np.testing.assert_allclose(together.dose.gy, added, rtol=2e-5, atol=1e-4 * added.max())
    for name, one in zip(("left", "right"), apart, strict=True):
        assert together.rois[name].single_compartment_gy == one.rois[name].single_compartment_gy


def test_one_territory_is_the_form_with_one_activity():
    allowed = Administered(outside_allowed=True)  # the other box then lies outside, in both forms at the same scale
    alone = case(ONE_LEFT, ROIS[:1], calibration=allowed)
    as_territory = case(administration_of([TreatedTerritory("left", ONE_LEFT)]), ROIS[:1], calibration=allowed)
    first, second = (assess(one, LocalDeposition()) for one in (alone, as_territory))
    np.testing.assert_allclose(second.dose.gy, first.dose.gy, rtol=1e-6)
    assert second.rois["left"].single_compartment_gy == first.rois["left"].single_compartment_gy
    assert first.totals.territories == ()
    assert len(second.totals.territories) == 1


def test_what_lies_in_no_territory_keeps_the_mean_scale_and_adds_to_the_total():
    values = counts(background=0.5)
    result = assess(case(values=values), LocalDeposition())
    shares = share_out(BOTH, RoiSet(ROIS), GRID)
    inside = shares.weights_of_all()
    in_all = float((values * inside).sum(dtype=np.float64))
    between = result.activity.bq_per_ml[10, 10, 20]  # 6 voxels of 4 mm from either box
    assert inside[10, 10, 20] == 0
    assert between == pytest.approx(0.5 * 1202e6 / in_all / GRID.voxel_volume_ml, rel=1e-5)
    outside_mbq = 1202 * float((values * (1 - inside)).sum(dtype=np.float64)) / in_all
    assert result.totals.activity_mbq == pytest.approx(1202 + outside_mbq, rel=1e-5)


def test_much_activity_between_territories_is_refused_with_the_ways_out():
    with pytest.raises(QuantityError, match="draw the territories again", check=refusal("activity-outside-region")):
        assess(case(values=counts(background=2.0)), LocalDeposition())
    allowed = case(values=counts(background=2.0), calibration=Administered(outside_allowed=True))
    totals = assess(allowed, LocalDeposition()).totals
    assert totals.calibration_region_mbq == pytest.approx(1202, rel=1e-6)
    assert totals.outside_region_fraction > 0.3
    assert totals.outside_region_fraction == pytest.approx((totals.activity_mbq - 1202) / 1300, rel=1e-4)


def test_the_margin_belongs_to_the_nearer_territory_and_ends_at_10_mm():
    near = (roi("left", np.s_[6:14, 6:16, 6:14]), roi("right", np.s_[6:14, 6:16, 18:26]))
    shares = share_out(BOTH, RoiSet(near), GRID)
    left, right = shares.weights
    row = np.s_[10, 10]
    # 4 mm voxels; left ends at column 13, right begins at 18: 14 and 15 are nearer to left, 16 and 17 to right
    np.testing.assert_array_equal(left[row][3:18], [0, 1, 1] + [1] * 8 + [1, 1, 0, 0])
    np.testing.assert_array_equal(right[row][13:30], [0, 0, 0, 1, 1] + [1] * 8 + [1, 1, 0, 0])
    assert (left + right).max() == 1


def test_border_voxels_that_two_fill_in_part_are_no_overlap():
    halves = [np.zeros(GRID.shape, np.float32) for _ in range(2)]
    halves[0][6:14, 6:16, 6:14], halves[0][6:14, 6:16, 14] = 1, 0.4
    halves[1][6:14, 6:16, 15:22], halves[1][6:14, 6:16, 14] = 1, 0.6
    touching = [Roi(n, "perfused", o, GRID) for n, o in zip(("left", "right"), halves, strict=True)]
    shares = share_out(BOTH, RoiSet(tuple(touching)), GRID)
    assert [float(w[10, 10, 14]) for w in shares.weights] == pytest.approx([0.4, 0.6])


OVERLAPPING = (roi("left", np.s_[6:14, 6:16, 6:14]), roi("right", np.s_[6:14, 6:16, 12:26]))


def test_territories_that_overlap_are_refused():
    with pytest.raises(
        QuantityError, match="share 14", check=refusal("territories-overlap")
    ) as error:  # 8 x 10 x 2 voxels of 0.09 mL
        share_out(BOTH, RoiSet(OVERLAPPING), GRID)
    assert error.value.fields["volume_ml"] == pytest.approx(14.4, rel=1e-6)


def test_an_overlap_is_shared_evenly_where_the_case_says_so():
    shared = replace(BOTH, overlap_shared=True)
    values = np.zeros(GRID.shape, np.float32)
    values[6:14, 6:16, 6:26] = 10
    result = assess(case(shared, OVERLAPPING, values), LocalDeposition())
    (remark,) = coded("territories-overlap-shared", result.record.assumptions)
    assert remark.numbers["volume_ml"] == pytest.approx(14.4, rel=1e-6)
    assert [row.region_mbq for row in result.totals.territories] == pytest.approx([392, 810], rel=1e-6)
    # left is 6 whole and 2 half columns of 80 voxels, right 12 whole and 2 half; the shared ones get half of each
    per_left, per_right = 392 / (7 * 80), 810 / (13 * 80)
    bq = result.activity.bq_per_ml[10, 10] * GRID.voxel_volume_ml / 1e6
    assert bq[[8, 13, 20]] == pytest.approx([per_left, (per_left + per_right) / 2, per_right], rel=1e-5)
    assert result.totals.activity_mbq == pytest.approx(1202, rel=1e-6)


def test_what_if_in_shared_voxels_changes_only_what_came_by_that_vessel():
    values = np.zeros(GRID.shape, np.float32)
    values[6:14, 6:16, 6:26] = 10
    engine = LocalDeposition()
    result = assess(case(replace(BOTH, overlap_shared=True), OVERLAPPING, values), engine)
    twice = what_if(result, engine, activity_factor=2.0, territory="right")
    again = what_if(twice, engine, activity_factor=2.0, territory="right")
    per_left, per_right = 392 / (7 * 80), 810 / (13 * 80)
    for run, factor in ((twice, 2), (again, 4)):
        mbq = run.activity.bq_per_ml[10, 10] * GRID.voxel_volume_ml / 1e6
        assert mbq[[8, 13, 20]] == pytest.approx(
            [per_left, (per_left + factor * per_right) / 2, factor * per_right], rel=1e-5
        )
        assert run.totals.activity_mbq == pytest.approx(392 + factor * 810, rel=1e-5)


def test_each_territory_counts_decays_from_its_own_infusion():
    later = replace(ONE_RIGHT, at=AT + timedelta(hours=24))
    given = administration_of([TreatedTerritory("left", ONE_LEFT), TreatedTerritory("right", later)])
    assert given.at == AT
    result = assess(case(given), LocalDeposition())
    same = assess(case(), LocalDeposition())
    assert result.rois["right"].mean_dose_gy == pytest.approx(same.rois["right"].mean_dose_gy, rel=1e-6)
    (remark,) = coded("territory-instants-differ", result.record.assumptions)
    assert remark.numbers["hours_apart"] == pytest.approx(24)
    # at one instant the later vial is worth more: 810 MBq at 24 h were 810 / 0.771 at 0 h
    at_first = 810 / Y90.decay_factor(24 * 3600)
    ratio = result.totals.territories[1].share_ratio
    assert ratio == pytest.approx(0.5 / (at_first / (392 + at_first)), rel=1e-6)


def test_absolute_bq_per_ml_are_decayed_to_each_infusion():
    scanned = AT + timedelta(hours=30)
    infused = {"left": AT, "right": AT + timedelta(hours=24)}
    held = {"left": 392.0, "right": 0.9 * 810}  # the image shows 90 % of what went to the right
    values = np.zeros(GRID.shape, np.float32)
    for name, where in (("left", LEFT), ("right", RIGHT)):
        left = Y90.decay_factor((scanned - infused[name]).total_seconds())
        values[where] = held[name] * 1e6 * left / (VOXELS[name] * GRID.voxel_volume_ml)
    given = administration_of(
        [TreatedTerritory("left", ONE_LEFT), TreatedTerritory("right", replace(ONE_RIGHT, at=infused["right"]))]
    )
    image = ActivityMap(values, GRID, at=scanned, radionuclide=Y90)
    result = assess(Case(image, RoiSet(ROIS), given, density=DENSITY, calibration=Absolute()), LocalDeposition())
    assert [result.rois[n].activity_mbq for n in ("left", "right")] == pytest.approx([392, 729], rel=1e-5)
    assert [row.recovered_fraction for row in result.totals.territories] == pytest.approx([1, 0.9], rel=1e-5)
    assert result.totals.recovered_fraction == pytest.approx((392 + 729) / 1202, rel=1e-5)


def test_what_is_hardly_plausible_of_one_infusion_names_its_territory():
    large = replace(ONE_RIGHT, residual_mbq=300.0, lung_shunt_fraction=0.25)
    given = administration_of([TreatedTerritory("left", ONE_LEFT), TreatedTerritory("right", large)])
    warnings = assess(case(given), LocalDeposition()).record.warnings
    (residual,) = coded("residual-large", warnings)
    assert residual.numbers["roi"] == "right"
    assert residual.numbers["value"] == pytest.approx(300 / 905)
    assert residual.sentence.startswith("right: 33 % of the vial")
    (shunt,) = coded("lung-shunt-above-20-percent", warnings)
    assert shunt.sentence.startswith("right: The lung shunt fraction is 25.0 %")


def test_an_image_before_the_last_infusion_is_refused():
    later = replace(ONE_RIGHT, at=AT + timedelta(hours=24))
    given = administration_of([TreatedTerritory("left", ONE_LEFT), TreatedTerritory("right", later)])
    image = ActivityMap(counts(), GRID, at=AT + timedelta(hours=20), radionuclide=Y90)
    with pytest.raises(QuantityError, match="2024-05-03T10:15", check=refusal("scan-before-infusion")):
        assess(Case(image, RoiSet(ROIS), given), LocalDeposition())


def test_vials_that_went_into_the_other_vessel_are_warned_of_by_y90_but_not_by_maa():
    # counts as of the activities, and as if the two vials had been swapped
    values = counts()
    values[LEFT], values[RIGHT] = 392 / 640, 810 / 960
    assert not coded("territories-disagree", assess(case(values=values), LocalDeposition()).record.warnings)
    values[LEFT], values[RIGHT] = 810 / 640, 392 / 960
    swapped = assess(case(values=values), LocalDeposition())
    (warning,) = coded("territories-disagree", swapped.record.warnings)
    assert warning.numbers["rois"] == "left, right"
    assert "left 2.07" in warning.sentence
    maa = replace(case(), activity=CountMap(values, GRID, radionuclide=TC99M))
    assert not coded("territories-disagree", assess(maa, LocalDeposition()).record.warnings)


def test_shunts_and_instants_that_are_missing_are_said():
    some = administration_of(
        [
            TreatedTerritory("left", replace(ONE_LEFT, lung_shunt_fraction=None, at=None)),
            TreatedTerritory("right", ONE_RIGHT),
        ]
    )
    result = assess(case(some), LocalDeposition())
    (shunt,) = coded("territory-shunt-missing", result.record.assumptions)
    assert shunt.numbers["rois"] == "left"
    assert coded("territory-instant-missing", result.record.assumptions)
    assert some.at is None
    assert some.lung_shunt_fraction == pytest.approx(90 / 1300)
    none = administration_of([TreatedTerritory("left", replace(ONE_LEFT, lung_shunt_fraction=None))])
    assert none.lung_shunt_fraction is None
    assert none.liver_mbq == 400


def test_territories_that_cannot_be_are_refused():
    with pytest.raises(QuantityError, match="Two territories name the ROI left", check=refusal("territory-twice")):
        administration_of([TreatedTerritory("left", ONE_LEFT), TreatedTerritory("left", ONE_RIGHT)])
    with pytest.raises(QuantityError, match="left has no activity", check=refusal("activity-missing")):
        administration_of([TreatedTerritory("left", Administration(Y90))])
    with pytest.raises(QuantityError, match="At least one", check=refusal("territory-missing")):
        administration_of([])
    with pytest.raises(QuantityError, match="same device", check=refusal("keys-contradict")):
        administration_of(
            [TreatedTerritory("left", ONE_LEFT), TreatedTerritory("right", replace(ONE_RIGHT, device="resin"))]
        )


def test_a_region_that_is_not_there_or_was_not_infused_is_refused():
    with pytest.raises(QuantityError, match="no ROI 'right'", check=refusal("roi-unknown")):
        assess(case(rois=ROIS[:1]), LocalDeposition())
    with pytest.raises(QuantityError, match="has the role tumor", check=refusal("territory-role")):
        assess(case(rois=(ROIS[0], roi("right", RIGHT, "tumor"))), LocalDeposition())
    cold = counts()
    cold[RIGHT] = 0
    with pytest.raises(QuantityError, match="territory right shows no activity", check=refusal("activity-none")):
        assess(case(values=cold), LocalDeposition())


def test_what_if_one_territory_gets_more_its_dose_alone_rises():
    engine = LocalDeposition()
    result = assess(case(values=counts(0.5)), engine)
    more = what_if(result, engine, activity_factor=1.5, territory="right")
    assert more.rois["right"].mean_dose_gy == pytest.approx(1.5 * result.rois["right"].mean_dose_gy, rel=1e-5)
    assert more.rois["right"].single_compartment_gy == pytest.approx(1.5 * result.rois["right"].single_compartment_gy)
    assert more.rois["left"].mean_dose_gy == pytest.approx(result.rois["left"].mean_dose_gy, rel=1e-6)
    assert [row.held_mbq for row in more.totals.territories] == pytest.approx([392, 1215])
    np.testing.assert_allclose(
        more.activity.bq_per_ml[10, 10, 24], 1.5 * result.activity.bq_per_ml[10, 10, 24], rtol=1e-5
    )  # in the margin of right
    whole = what_if(result, engine, activity_factor=2.0)
    assert [row.lung_mbq for row in whole.totals.territories] == pytest.approx([16, 180])


def test_intervals_of_noise_and_shunt_and_recovery_are_refused_and_others_are_not():
    engine = Convolution(point_kernel())
    result = assess(case(), engine)
    for spread in (Spread(noise_fraction=0.2, noise_fwhm_mm=6), Spread(lung_shunt_sd=0.01)):
        with pytest.raises(
            QuantityError, match="cannot be used with territories", check=refusal("territories-not-supported")
        ):
            with_uncertainty(result, engine, spread)
    known = with_uncertainty(result, engine, Spread(samples=20, calibration_fraction=0.05)).uncertainty
    mean = known.rois["left"].metrics["mean_dose_gy"]
    assert mean.sd / mean.value == pytest.approx(0.05, rel=0.02)
    with pytest.raises(
        QuantityError,
        match=r"\[resolution\] cannot be used with territories",
        check=refusal("territories-not-supported"),
    ):
        recover(result, Resolution((6.0, 6.0, 6.0)), engine=engine)
