import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from remarks import coded, refusal

from voxeldose.errors import InputError, QuantityError
from voxeldose.io.config.plan import read_product
from voxeldose.model.radionuclide import Y90, Y90_ICRP107
from voxeldose.planning.vials import Product, plan_vial

AT = datetime(2024, 5, 2, 10, 15, tzinfo=UTC)
SUNDAYS = [datetime(2024, 4, 21, 16, tzinfo=UTC), datetime(2024, 4, 28, 16, tzinfo=UTC)]
GLASS = Product("glass", (3.0, 5.0, 7.0, 10.0, 15.0, 20.0), bq_per_sphere=2500.0)


def test_the_smallest_vial_that_is_enough_is_chosen_among_sizes_and_calibrations():
    plan = plan_vial(1700.0, AT, product=GLASS, calibrations=SUNDAYS, residual_fraction=0.01)
    assert len(plan.options) == 12
    enough = [o for o in plan.options if o.net_mbq >= 1700]
    assert plan.chosen == min(enough, key=lambda o: o.net_mbq)
    hours = (AT - plan.chosen.calibration_at).total_seconds() / 3600
    by_hand = plan.chosen.vial_gbq * 1000 * 2 ** (-hours / 64.04)
    assert plan.chosen.at_infusion_mbq == pytest.approx(by_hand)
    assert plan.chosen.net_mbq == pytest.approx(by_hand * 0.99)
    assert plan.chosen.excess_fraction == pytest.approx(by_hand * 0.99 / 1700 - 1)


def test_spheres_are_the_same_at_any_time_and_a_week_more_means_more_of_them():
    fresh, old = (plan_vial(1000.0, AT, product=GLASS, calibrations=[c]) for c in reversed(SUNDAYS))
    assert old.spheres / fresh.spheres == pytest.approx(2 ** (7 * 24 / 64.04))
    one = fresh.chosen
    assert one.spheres == pytest.approx(one.vial_gbq * 1e9 / 2500)  # what the vial was filled with
    assert fresh.spheres == pytest.approx(one.spheres * 1000 / one.at_infusion_mbq)


def test_without_sizes_and_calibration_the_vial_is_what_is_needed_at_the_infusion():
    plan = plan_vial(1700.0, AT, residual_fraction=0.01)
    assert plan.chosen.vial_gbq == pytest.approx(1.7 / 0.99)
    assert plan.chosen.calibration_at == AT
    assert plan.spheres is None
    assert "calibration-instant-missing" in {a.code for a in plan.assumptions}


def test_the_half_life_is_that_of_the_constants_and_time_zones_count():
    here = AT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    plan, other = (plan_vial(1700.0, at, n, calibrations=[SUNDAYS[1]]) for at, n in ((here, Y90), (AT, Y90_ICRP107)))
    assert plan.chosen.vial_gbq == pytest.approx(plan_vial(1700.0, AT, calibrations=[SUNDAYS[1]]).chosen.vial_gbq)
    assert other.chosen.vial_gbq < plan.chosen.vial_gbq


def test_spheres_a_millilitre():
    plan = plan_vial(1700.0, AT, product=GLASS, calibrations=SUNDAYS, tumor_ml=50.0)
    assert plan.spheres_per_ml == pytest.approx(plan.spheres / 50)


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        ({"calibrations": [AT + timedelta(hours=1)]}, "vial-unusable", "1.0 h before the calibration"),
        (
            {"calibrations": SUNDAYS[:1], "product": Product("glass", (3.0,), shelf_life_h=24.0)},
            "vial-unusable",
            "expired.*258.2 h old",
        ),
        ({"calibrations": SUNDAYS, "expires_at": AT - timedelta(hours=1)}, "vial-unusable", "expired at"),
        (
            {"calibrations": SUNDAYS[:1], "product": Product("glass", (3.0,))},
            "vial-too-small",
            "needed in the vial.*two vials",
        ),
        ({"calibrations": [datetime(2024, 4, 28, 16)]}, "zone-missing", "no time zone"),  # noqa: DTZ001
        ({"calibrations": [AT.replace(year=1924)]}, "vial-unusable", "decayed away"),
        ({"residual_fraction": 1.0}, "value-out-of-range", "below 1"),
        ({"tumor_ml": 0.0}, "value-out-of-range", "above 0 mL"),
    ],
)
def test_a_vial_that_cannot_be_used_is_refused_with_the_reason(more, code, words):
    with pytest.raises(QuantityError, match=words, check=refusal(code)):
        plan_vial(1700.0, AT, **more)


def test_an_expired_calibration_leaves_the_others():
    plan = plan_vial(1700.0, AT, product=Product("g", (5.0,), shelf_life_h=100.0), calibrations=SUNDAYS)
    assert {o.calibration_at for o in plan.options} == {SUNDAYS[1]}


@pytest.mark.parametrize(("device", "size", "bq"), [("glass", 20.0, 2500.0), ("resin", 3.0, 50.0)])
def test_shipped_products_name_their_sources(device, size, bq):
    table = read_product(device)
    assert max(table.vials_gbq) == size
    assert table.bq_per_sphere == bq
    assert table.vials_source
    assert table.bq_per_sphere_source
    assert table.shelf_life_h is None  # no source was seen


def test_a_sites_product_file_stands_instead(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text("[glass]\nvials_gbq = [3.5]\nshelf_life_h = 288.0\n")
    assert read_product("glass", path).vials_gbq == [3.5]
    with pytest.raises(InputError, match=r"no table \[resin\]", check=refusal("key-missing")):
        read_product("resin", path)
    path.write_text("[glass]\nvial_gbq = [3.5]\n")
    with pytest.raises(InputError, match="did you mean 'vials_gbq'", check=refusal("key-unknown")):
        read_product("glass", path)


@pytest.mark.parametrize(
    ("code", "numbers", "words"),
    [
        ("vial-sizes-missing", {}, "No product was named, so the vial has just the activity that is needed."),
        ("shelf-life-missing", {}, "only an expiry that is given is checked"),
        ("residual-missing", {"residual_mbq": 0.0}, "No residual was given: 0 is taken."),
        ("calibration-instant-missing", {"hours_before_infusion": 0.0}, "as of the infusion"),
        ("spheres-all-in-tumor", {"tumor_ml": 50.0}, "as if none went to normal liver or lungs"),
    ],
)
def test_what_is_not_known_of_a_vial_is_assumed_in_a_sentence(code, numbers, words):
    (assumed,) = coded(code, plan_vial(1700.0, AT, tumor_ml=50.0).assumptions)
    assert assumed.numbers == numbers
    assert words in assumed.sentence
    known = Product("glass", (3.0, 5.0), shelf_life_h=300.0)
    plan = plan_vial(1700.0, AT, product=known, calibrations=SUNDAYS[1:], residual_fraction=0.01)
    assert not coded(code, plan.assumptions)


def test_a_vial_far_above_what_is_needed_is_not_offered_unless_a_part_is_drawn_or_more_is_allowed():
    at = {"calibrations": [AT]}
    with pytest.raises(QuantityError, match="97 % more", check=refusal("vial-too-large")):
        plan_vial(1523.0, AT, product=Product("glass", (3.0,)), **at)
    just = plan_vial(2400.0, AT, product=Product("glass", (2.0, 3.0, 5.0)), **at)  # 3 GBq is exactly 25 % more
    assert [o.is_offered for o in just.options] == [False, True, False]
    assert just.chosen.excess_fraction == pytest.approx(0.25)
    assert "at most 66.6667 % more" in just.offer_rule
    assert not coded("vial-well-above", just.warnings)
    with pytest.raises(QuantityError, check=refusal("vial-too-large")):
        plan_vial(2399.0, AT, product=Product("glass", (3.0,)), **at)
    assert plan_vial(1523.0, AT, product=Product("glass", (3.0,)), most_above=1.0, **at).chosen.vial_gbq == 3
    drawn = plan_vial(600.0, AT, product=Product("resin", (3.0,), is_divisible=True), **at)
    assert drawn.chosen.excess_fraction == pytest.approx(4)
    assert "A part of a vial is drawn" in drawn.offer_rule


def test_the_next_larger_size_is_offered_with_a_warning_and_nothing_beyond():
    glass = Product("glass", (3.0, 5.0, 7.0))
    plan = plan_vial(2000.0, AT, product=glass, calibrations=[AT])
    assert plan.chosen.vial_gbq == 3
    (warned,) = coded("vial-well-above", plan.warnings)
    assert warned.numbers["excess_fraction"] == pytest.approx(0.5)
    assert "50 % more than is needed" in warned.sentence
    with pytest.raises(QuantityError, check=refusal("vial-too-large")):
        plan_vial(1523.0, AT, product=glass, calibrations=[AT])
    with pytest.raises(QuantityError, check=refusal("vial-too-large")):
        plan_vial(2000.0, AT, product=glass, calibrations=[AT], most_above=0.25)


def test_without_a_calibration_a_far_too_large_size_is_asked_for_as_much_earlier_as_it_decays():
    plan = plan_vial(1700.0, AT, product=Product("glass", (3.0, 5.0), bq_per_sphere=2500.0))
    hours = Y90.half_life_h * math.log2(3000 / 1700)
    assert (AT - plan.chosen.calibration_at).total_seconds() / 3600 == pytest.approx(hours)
    assert plan.chosen.at_infusion_mbq == pytest.approx(1700)
    assert plan.chosen.bq_per_sphere == pytest.approx(2500 * 1700 / 3000)
    (assumed,) = coded("calibration-instant-missing", plan.assumptions)
    assert assumed.numbers == {"hours_before_infusion": pytest.approx(hours)}
    assert f"{hours:.1f} h after its calibration" in assumed.sentence
    with pytest.raises(QuantityError, check=refusal("vial-too-large")):  # it would have to wait for more than a week
        plan_vial(450.0, AT, product=Product("glass", (3.0, 5.0)))
    with pytest.raises(QuantityError, match="expired", check=refusal("vial-unusable")):
        plan_vial(1700.0, AT, product=Product("glass", (3.0, 5.0), shelf_life_h=24.0))


def test_sizes_in_steps_are_filled_in_and_resin_is_divisible(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text("[glass]\nvials_gbq = [3.0, 20.0]\nvial_step_gbq = 0.5\n")
    sizes = read_product("glass", path).sizes_gbq
    assert (sizes[:3], sizes[-1], len(sizes)) == ((3.0, 3.5, 4.0), 20.0, 35)
    assert read_product("glass").sizes_gbq == (3, 5, 7, 10, 15, 20)
    assert read_product("resin").is_divisible
    assert not read_product("glass").is_divisible


def test_the_activity_per_sphere_is_nominal():
    (nominal,) = coded(
        "sphere-activity-nominal", plan_vial(1700.0, AT, product=GLASS, calibrations=SUNDAYS).assumptions
    )
    assert nominal.numbers == {"bq_per_sphere": 2500.0}
    assert nominal.sentence.startswith("2500 Bq per sphere at calibration (given); published thresholds")
