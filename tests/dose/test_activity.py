from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from remarks import coded, refusal

from voxeldose.dose.activity import count_decays, decay_to, quantify
from voxeldose.dose.density import hu_to_density
from voxeldose.errors import QuantityError
from voxeldose.model.administration import Administration, Assay, administration_from_assays
from voxeldose.model.case import Absolute, Administered, Case
from voxeldose.model.grid import Grid
from voxeldose.model.radionuclide import F18, TC99M, Y90
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.volume import ActivityMap, CountMap, CtImage
from voxeldose.model.wording import number

GRID = Grid.from_axes((20, 24, 28), (4, 4, 4), (0, 0, 0))
INFUSION = datetime(2024, 5, 2, 10, 15, tzinfo=UTC)
GIVEN = Administration(Y90, 1850.0, INFUSION, 50.0, 0.04)


def liver(where=(slice(6, 12), slice(6, 14), slice(6, 16)), role="liver", name="liver"):
    occupancy = np.zeros(GRID.shape, np.float32)
    occupancy[where] = 1
    return Roi(name, role, occupancy, GRID)


def image(value=1e6, background=0.0, kind=ActivityMap, **said):
    values = np.full(GRID.shape, background, np.float32)
    values[6:12, 6:14, 6:16] = value
    return kind(values, GRID, **said)


def case(activity=None, rois=None, given=GIVEN, **more):
    rois = RoiSet((liver(),)) if rois is None else rois
    return Case(activity if activity is not None else image(at=INFUSION, radionuclide=Y90), rois, given, **more)


def activity_in(found, where=(slice(None),) * 3):
    return float(found.activity.bq_per_ml[where].sum(dtype=float)) * GRID.voxel_volume_ml / 1e6


def test_administered_calibration_puts_net_less_shunt_into_the_region():
    found = quantify(case())
    assert activity_in(found) == pytest.approx(1800 * 0.96, rel=1e-6)
    assert found.activity.at == INFUSION


def test_activity_within_ten_millimetres_of_the_region_belongs_to_it_and_beyond_does_not():
    values = image(at=INFUSION, radionuclide=Y90).values.copy()
    values[4, 8, 8] = 1e6  # 8 mm below the region's first voxel centre
    values[3, 8, 8] = 5e6  # 12 mm below
    found = quantify(case(ActivityMap(values, GRID, at=INFUSION, radionuclide=Y90)))
    inside = activity_in(found) - float(found.activity.bq_per_ml[3, 8, 8]) * GRID.voxel_volume_ml / 1e6
    assert inside == pytest.approx(1800 * 0.96, rel=1e-6)
    (calibration,) = coded("calibration", found.assumptions)
    assert "grown by 10 mm" in calibration.sentence


def test_a_named_region_rules_without_margin():
    rois = RoiSet((liver(), liver((slice(6, 9), slice(6, 14), slice(6, 16)), "other", "half")))
    found = quantify(case(rois=rois, calibration=Administered("half")))
    assert activity_in(found, (slice(6, 9),)) == pytest.approx(1800 * 0.96, rel=1e-6)


@pytest.mark.parametrize("role", ["tumor", "segment", "lung", "other"])
def test_without_liver_or_perfused_region_nothing_says_where_the_activity_was_infused(role):
    # tumor alone: it would get all of the activity, and four times its dose
    part = liver((slice(6, 9), slice(6, 10), slice(6, 16)), role, "part")
    with pytest.raises(QuantityError, check=refusal("calibration-region-missing")) as refused:
        quantify(case(rois=RoiSet((part,))))
    for way_out in (f"part ({role})", "perfused volume", "--calibration-region", 'calibration_region = "image"'):
        assert way_out in str(refused.value)
    stored = quantify(case(rois=RoiSet((part,)), calibration=Absolute()))
    assert stored.shown.region == "the whole image"
    assert stored.shown.liver_of_field_fraction is None


@pytest.mark.parametrize("role", ["liver", "normal_liver", "perfused"])
def test_with_liver_or_perfused_region_the_tumor_joins_it(role):
    tumor = liver((slice(6, 8), slice(6, 14), slice(6, 16)), "tumor", "lesion")
    rest = liver((slice(8, 12), slice(6, 14), slice(6, 16)), role, "rest")
    found = quantify(case(rois=RoiSet((tumor, rest))))
    assert found.shown.region == "the union of lesion, rest, grown by 10 mm"
    assert activity_in(found, (slice(6, 8),)) == pytest.approx(1800 * 0.96 / 3, rel=1e-6)


def test_the_whole_image_holds_the_activity_where_that_is_asked_for():
    rois = RoiSet((liver((slice(6, 8), slice(6, 14), slice(6, 16)), "tumor", "lesion"),))
    found = quantify(case(rois=rois, calibration=Administered("image")))
    assert activity_in(found) == pytest.approx(1800 * 0.96, rel=1e-6)
    assert activity_in(found, (slice(6, 8),)) == pytest.approx(1800 * 0.96 / 3, rel=1e-6)
    assert coded("calibration", found.assumptions)[0].numbers["region"] == "the whole image"
    assert found.shown.outside_mbq == 0.0
    assert not coded("activity-outside-region", found.warnings)


@pytest.mark.parametrize("calibration", [Administered("image"), Absolute("image")])
def test_an_roi_named_image_is_not_taken_for_the_image_nor_the_other_way_round(calibration):
    rois = RoiSet((liver(), liver(role="other", name="image")))
    with pytest.raises(QuantityError, match="Give the ROI another name", check=refusal("calibration-region-ambiguous")):
        quantify(case(rois=rois, calibration=calibration))


def elsewhere(mbq_outside_per_net):
    """1728 MBq in the liver (1800 net, shunt 4 %) and a part of the net activity far from it."""
    values = image(1728e6 / (6 * 8 * 10 * GRID.voxel_volume_ml), at=INFUSION, radionuclide=Y90).values.copy()
    values[18, 20:22, 20:25] = 1800e6 * mbq_outside_per_net / 10 / GRID.voxel_volume_ml
    return ActivityMap(values, GRID, at=INFUSION, radionuclide=Y90)


@pytest.mark.parametrize("calibration", [Administered(), Absolute()])
@pytest.mark.parametrize(("part", "warned"), [(0.0, False), (0.1, False), (0.101, True), (0.3, True)])
def test_activity_outside_the_region_is_stated_and_warned_of_above_a_tenth_of_the_net(calibration, part, warned):
    found = quantify(case(elsewhere(part), calibration=calibration))
    assert found.shown.region == "the union of liver, grown by 10 mm"
    assert found.shown.region_mbq == pytest.approx(1728, rel=1e-5)
    assert found.shown.outside_mbq == pytest.approx(1800 * part, rel=1e-4, abs=0.01)
    assert found.shown.outside_fraction == pytest.approx(part, rel=1e-4, abs=1e-5)
    assert found.shown.liver_of_field_fraction == pytest.approx(1728 / (1728 + 1800 * part), rel=1e-5)
    remarks = coded("activity-outside-region", found.warnings)
    assert bool(remarks) == warned
    if warned:
        assert f"{number(1800 * part)} MBq, {100 * part:.1f} % of the net activity, lie outside" in remarks[0].sentence
        assert "1728 MBq inside it (the lung shunt fraction stands for 72.00 MBq of them)" in remarks[0].sentence
        assert remarks[0].numbers["outside_mbq"] == pytest.approx(1800 * part, rel=1e-4)


def test_more_than_three_tenths_outside_are_refused_unless_asked_for():
    activity = elsewhere(0.31)
    with pytest.raises(QuantityError, match=r"558.0 MBq, 31.0 %", check=refusal("activity-outside-region")) as refused:
        quantify(case(activity))
    for way_out in ("calibration_region = ROI", '"image"', "--allow-activity-outside"):
        assert way_out in str(refused.value)
    for calibration in (Administered(outside_allowed=True), Administered("liver"), Absolute()):
        found = quantify(case(activity, calibration=calibration))
        assert coded("activity-outside-region", found.warnings)
        assert found.shown.outside_fraction == pytest.approx(0.31, rel=1e-4)


def test_without_an_administered_activity_what_lies_outside_is_stated_in_mbq_alone():
    found = quantify(case(elsewhere(0.5), given=Administration(Y90, None, INFUSION), calibration=Absolute()))
    assert found.shown.outside_mbq == pytest.approx(900, rel=1e-4)
    assert found.shown.outside_fraction is None
    assert not coded("activity-outside-region", found.warnings)


def test_absolute_calibration_keeps_bq_per_ml_and_decays_over_midnight_by_dates():
    at = INFUSION + timedelta(hours=20)
    found = quantify(case(image(5e6, at=at, radionuclide=Y90), calibration=Absolute()))
    # worked example 21: 5.0 MBq/mL at 20 h is 6.2084 MBq/mL at the infusion
    assert found.activity.bq_per_ml.max() / 1e6 == pytest.approx(6.2084, rel=1e-5)


def test_time_zones_count():
    at = (INFUSION + timedelta(hours=20)).astimezone(timezone(timedelta(hours=9)))
    found = quantify(case(image(5e6, at=at, radionuclide=Y90), calibration=Absolute()))
    assert found.activity.bq_per_ml.max() / 1e6 == pytest.approx(6.2084, rel=1e-5)


def test_recovered_fraction_is_the_ratio_of_both_calibrations():
    activity = image(3e5, background=10.0, at=INFUSION + timedelta(hours=5), radionuclide=Y90)
    scaled = quantify(case(activity))
    stored = quantify(case(activity, calibration=Absolute()))
    ratio = stored.activity.bq_per_ml[8, 8, 8] / scaled.activity.bq_per_ml[8, 8, 8]
    assert scaled.recovered_fraction == pytest.approx(float(ratio), rel=1e-5)
    assert stored.recovered_fraction == pytest.approx(scaled.recovered_fraction, rel=1e-6)


@pytest.mark.parametrize(("factor", "warned"), [(1.0, False), (0.7, True), (1.3, True)])
def test_a_ratio_far_from_one_is_warned_of(factor, warned):
    right = 1800 * 0.96 * 1e6 / (6 * 8 * 10 * GRID.voxel_volume_ml)
    found = quantify(case(image(right * factor, at=INFUSION, radionuclide=Y90)))
    assert found.recovered_fraction == pytest.approx(factor, rel=1e-5)
    assert bool(coded("activity-recovered-implausibly", found.warnings)) == warned
    assert bool(coded("activity-recovered", found.assumptions)) != warned


def test_a_plausible_ratio_is_stated_with_its_region():
    right = 1800 * 0.96 * 1e6 / (6 * 8 * 10 * GRID.voxel_volume_ml)
    found = quantify(case(image(right * 0.9, at=INFUSION, radionuclide=Y90)))
    (recovered,) = coded("activity-recovered", found.assumptions)
    assert recovered.numbers["recovered_fraction"] == pytest.approx(0.9, rel=1e-5)
    assert recovered.sentence == (
        f"The image shows 90 % of the net administered activity less lung shunt in {recovered.numbers['region']}."
    )


def test_negative_voxels_are_kept_and_reported():
    values = image().values.copy()
    values[0, 0, 0] = -1e5
    found = quantify(case(ActivityMap(values, GRID, at=INFUSION, radionuclide=Y90)))
    assert found.activity.bq_per_ml.min() < 0
    (kept,) = coded("negative-voxels-kept", found.assumptions)
    assert kept.numbers == {"voxels": 1}
    assert "1 negative voxels" in kept.sentence


def test_counts_are_scaled_and_have_no_ratio():
    found = quantify(case(image(100, kind=CountMap, radionuclide=TC99M)))
    assert activity_in(found) == pytest.approx(1800 * 0.96, rel=1e-6)
    assert found.recovered_fraction is None
    (imaged,) = coded("image-nuclide-differs", found.assumptions)
    assert imaged.numbers["imaged"] == "Tc-99m"
    (incomparable,) = coded("activity-not-comparable", found.assumptions)
    assert "cannot be compared with the administered one: " in incomparable.sentence
    assert "counts" in incomparable.sentence


def test_an_image_of_no_named_nuclide_is_taken_to_show_where_the_microspheres_lie():
    found = quantify(case(image(100, kind=CountMap)))
    (unknown,) = coded("image-nuclide-unknown", found.assumptions)
    assert unknown.numbers == {"administered": "Y-90"}
    assert "does not say which nuclide it shows; Y-90 is taken" in unknown.sentence
    assert not coded("image-nuclide-unknown", quantify(case()).assumptions)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"activity": image(100, kind=CountMap)}, "counts"),
        ({"activity": image(at=INFUSION, radionuclide=TC99M)}, "Tc-99m"),
        ({"activity": image(radionuclide=Y90)}, "measured_at"),
        ({"given": Administration(Y90, 1850.0)}, "infusion is not known"),
        ({"activity": image(at=INFUSION, radionuclide=F18), "image_nuclide": "Y-90"}, "corrected it for F-18"),
    ],
)
def test_absolute_calibration_is_refused_where_units_nuclide_or_instants_are_missing(change, why):
    with pytest.raises(
        QuantityError, match=rf'{why}.* Use calibration = "administered"', check=refusal("calibration-impossible")
    ):
        quantify(case(**change, calibration=Absolute()))


def test_another_nuclide_is_used_only_on_the_users_word():
    fdg = image(at=INFUSION, radionuclide=F18)
    with pytest.raises(QuantityError, match=r"F-18, not Y-90.*image_nuclide", check=refusal("nuclide-differs")):
        quantify(case(fdg))
    for stated, code in (
        ("F-18", "image-nuclide-differs"),
        ("f18", "image-nuclide-differs"),
        ("Y-90", "image-nuclide-by-user"),
    ):
        found = quantify(case(fdg, image_nuclide=stated))
        assert found.recovered_fraction is None
        (assumed,) = coded(code, found.assumptions)
        assert "F-18" in assumed.sentence
    with pytest.raises(QuantityError, check=refusal("nuclide-contradicts")):
        quantify(case(fdg, image_nuclide="Ga-68"))


def test_a_scan_so_late_that_nothing_is_left_is_refused_and_one_within_forty_half_lives_is_not():
    def scanned_after(half_lives):
        return case(image(at=INFUSION + timedelta(hours=half_lives * Y90.half_life_h), radionuclide=Y90))

    with pytest.raises(
        QuantityError, match=r"41 half-lives after the infusion.*Check the dates", check=refusal("scan-too-late")
    ):
        quantify(scanned_after(41))
    found = quantify(scanned_after(39))
    assert np.isfinite(found.activity.bq_per_ml).all()
    assert coded(
        "activity-recovered-implausibly", found.warnings
    )  # of what the image shows of the administered activity


def test_a_scan_before_the_infusion_is_refused_unless_it_is_the_planning_scan():
    before = INFUSION - timedelta(days=7)
    with pytest.raises(QuantityError, check=refusal("scan-before-infusion")):
        quantify(case(image(at=before, radionuclide=Y90)))
    with pytest.raises(QuantityError, match="image_nuclide = Tc-99m"):
        quantify(case(image(kind=CountMap, at=before)))
    quantify(case(image(kind=CountMap, at=before, radionuclide=TC99M)))
    quantify(case(image(kind=CountMap, at=before), image_nuclide="Tc-99m"))


def test_an_image_without_activity_is_refused():
    with pytest.raises(QuantityError, check=refusal("activity-none")):
        quantify(case(image(0)))


def test_a_region_without_activity_is_refused():
    values = np.zeros(GRID.shape)
    values[0, 0, 0] = 1
    with pytest.raises(QuantityError, match=r"region .* holds no activity", check=refusal("activity-none")):
        quantify(case(ActivityMap(values, GRID, at=INFUSION, radionuclide=Y90)))


def test_decay_needs_an_instant():
    with pytest.raises(QuantityError, check=refusal("instant-missing")):
        decay_to(image(), INFUSION, Y90)


def test_residual_and_vial_are_brought_to_the_infusion():
    # worked example 20: 3.12 GBq at 08:00, infused 13:30, 0.045 GBq left at 15:00 -> 2.9397 - 0.0457 = 2.8939 GBq
    day = datetime(2024, 5, 2, tzinfo=UTC)
    given = administration_from_assays(
        Y90,
        at=day + timedelta(hours=13.5),
        vial=Assay(3120.0, day + timedelta(hours=8)),
        residual=Assay(45.0, day + timedelta(hours=15)),
        lung_shunt_fraction=0.05,
    )
    assert given.administered_mbq == pytest.approx(2939.7, abs=0.05)
    assert given.residual_mbq == pytest.approx(45.7, abs=0.05)
    assert given.net_mbq == pytest.approx(2893.9, abs=0.1)
    assert given.liver_mbq == pytest.approx(2749.3, abs=0.1)


def test_assays_that_contradict_the_infusion_are_refused():
    hour = timedelta(hours=1)
    for wrong, code in (
        ({"vial": Assay(3120.0, INFUSION + hour)}, "instants-disordered"),
        ({"vial": Assay(3120.0, INFUSION.replace(tzinfo=None))}, "zone-missing"),
        ({"residual": Assay(45.0, INFUSION - hour)}, "instants-disordered"),
        ({"residual": Assay(45.0, INFUSION.replace(tzinfo=None))}, "zone-missing"),
    ):
        with pytest.raises(QuantityError, check=refusal(code)):
            administration_from_assays(Y90, at=INFUSION, **({"vial": Assay(3120.0, INFUSION)} | wrong))
    nothing_left = Assay(0.0, INFUSION - hour)
    given = administration_from_assays(Y90, at=INFUSION, vial=Assay(5.0, INFUSION), residual=nothing_left)
    assert given.net_mbq == 5


def test_all_decays_are_activity_times_mean_life():
    decays = count_decays(image(at=INFUSION, radionuclide=Y90), Y90)
    assert decays.total() == pytest.approx(480 * 64e-3 * 1e6 * 64.04 * 3600 / np.log(2), rel=1e-6)


@pytest.mark.parametrize(
    ("hu", "density"), [(-3024, 0.00121), (-1000, 0.00121), (-98, 0.93), (0, 1.0174), (14, 1.03), (1600, 1.9642)]
)
def test_density_follows_the_table_and_padding_is_air(hu, density):
    ct = CtImage(np.full((1, 1, 1), hu), Grid.from_axes((1, 1, 1), (1, 1, 1), (0, 0, 0)))
    assert hu_to_density(ct).g_per_ml[0, 0, 0] == pytest.approx(density, abs=1e-4)


@pytest.mark.parametrize(
    "wrong",
    [
        {"administered_mbq": -5.0},
        {"administered_mbq": 0.0},
        {"administered_mbq": float("nan")},
        {"administered_mbq": 10.0, "residual_mbq": -1.0},
        {"administered_mbq": 10.0, "residual_mbq": 10.0},
        {"lung_shunt_fraction": 4.0},
        {"lung_shunt_fraction": -0.1},
        {"device": "plastic"},
        {"at": datetime(2024, 5, 2, 10)},  # noqa: DTZ001
    ],
)
def test_an_impossible_administration_is_refused(wrong):
    with pytest.raises(QuantityError):
        Administration(Y90, **wrong)


def test_net_activity_needs_the_administered_one():
    with pytest.raises(QuantityError, check=refusal("activity-missing")):
        _ = Administration(Y90).net_mbq
