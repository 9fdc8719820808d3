"""Days and hours at which a vial fits, by closed forms."""

import json
from datetime import datetime, timedelta, timezone

import pytest
from remarks import refusal
from small_study import CASE, run, write_study

from voxeldose.errors import QuantityError
from voxeldose.model.radionuclide import Y90
from voxeldose.planning.answers.settings import PlanSetting
from voxeldose.planning.answers.windows import WindowQuestion, answer_window
from voxeldose.planning.plan import Lungs
from voxeldose.planning.vials import Product
from voxeldose.planning.window import Target, calibrations_on, hours_of, plan_window

ZONE = timezone(timedelta(hours=2))
SUNDAY = datetime(2024, 5, 5, 12, tzinfo=ZONE)
MONDAY = datetime(2024, 5, 6, 8, tzinfo=ZONE)
GLASS = Product("glass", (3.0, 5.0, 10.0), bq_per_sphere=2500.0, shelf_life_h=288.0)


def test_hours_lie_in_the_zone_of_the_first_and_not_before_it():
    found = hours_of(MONDAY.replace(hour=10), 2, (9, 11))
    assert [(at.day, at.hour) for at in found] == [(6, 10), (6, 11), (7, 9), (7, 10), (7, 11)]
    assert {at.utcoffset() for at in found} == {timedelta(hours=2)}
    with pytest.raises(QuantityError, match="not before the first", check=refusal("value-out-of-range")):
        hours_of(MONDAY, 1, (11, 9))
    with pytest.raises(QuantityError, match="no time zone"):
        hours_of(MONDAY.replace(tzinfo=None), 1, (9, 11))


def test_calibrations_are_those_weekdays_around_the_window():
    found = calibrations_on(["sunday"], "12:00", hours_of(MONDAY, 7, (8, 16)))
    assert found == (SUNDAY - timedelta(days=7), SUNDAY, SUNDAY + timedelta(days=7))
    assert calibrations_on(["wednesday"], "18:30", [MONDAY])[-1] == datetime(2024, 5, 1, 18, 30, tzinfo=ZONE)


def test_rows_hold_the_closed_forms():
    target = Target(2200.0, 150.0, 144.0, Lungs(0.05), residual_fraction=0.01, assay_h=3.0)
    at = SUNDAY + timedelta(hours=64.04)  # one half-life: 1500, 2500 and 5000 MBq; 2222 are needed
    (row,) = plan_window(target, [at], [SUNDAY], GLASS)
    assert row.vial.vial_gbq == 5
    assert row.vial.at_infusion_mbq == pytest.approx(2500)
    assert row.perfused_gy == pytest.approx(Y90.gy_kg_per_gbq * 2.5 * 0.99 * 0.95 / 0.150)
    assert row.vial.bq_per_sphere == pytest.approx(1250)
    assert row.spheres_per_ml == pytest.approx(2e6 * 0.99 * 0.95 / 144)
    assert row.assay_mbq == pytest.approx(2500 * 2 ** (3 / 64.04))


def test_vials_count_from_their_calibration_to_the_end_of_their_life_and_none_far_above():
    week = hours_of(MONDAY, 14, (9, 9))
    rows = plan_window(Target(1500.0), week, [SUNDAY, SUNDAY + timedelta(days=7)], GLASS)
    for row in rows:
        assert timedelta(0) <= row.at - row.vial.calibration_at <= timedelta(hours=288)
        assert -1e-9 <= row.vial.excess_fraction <= 0.25
    assert {(row.at.day, row.vial.vial_gbq) for row in rows} >= {(7, 3.0), (9, 5.0)}
    assert all(row.perfused_gy is None for row in rows)
    with pytest.raises(QuantityError, match="No glass vial brings 15 MBq", check=refusal("window-empty")):
        plan_window(Target(15.0), week, [SUNDAY], GLASS)


def test_a_dose_needs_a_mass_and_a_device_its_calibrations():
    setting = PlanSetting(device="glass")
    for question, code in (
        (WindowQuestion(MONDAY, dose_gy=400), "mass-missing"),
        (WindowQuestion(MONDAY, activity_mbq=1500), "calibrations-missing"),
    ):
        with pytest.raises(QuantityError, check=refusal(code)):
            answer_window(question, setting)
    with pytest.raises(QuantityError, check=refusal("device-unknown")):
        answer_window(WindowQuestion(MONDAY, activity_mbq=1500), PlanSetting())
    with pytest.raises(QuantityError, match="not percent", check=refusal("value-out-of-range")):
        answer_window(WindowQuestion(MONDAY, activity_mbq=1500, calibrations=(SUNDAY,), residual_fraction=2), setting)


def test_a_product_without_sizes_is_refused(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text('[glass]\ncalibration_weekdays = ["sunday"]\n')
    with pytest.raises(QuantityError, check=refusal("vial-sizes-unknown")):
        answer_window(WindowQuestion(MONDAY, activity_mbq=1500), PlanSetting(device="glass"), path)


def test_the_command_takes_mass_from_the_case_and_days_from_the_site(tmp_path):
    text = CASE.replace('"liver", role = "liver"', '"right", role = "perfused"') + "lung_shunt_fraction = 0.04\n"
    case = write_study(tmp_path / "study", text)
    site = tmp_path / "site.toml"
    site.write_text(
        "[glass]\nvials_gbq = [3.0, 20.0]\nvial_step_gbq = 0.5\nbq_per_sphere = 2500.0\nshelf_life_h = 288\n"
        'calibration_weekdays = ["sunday"]\n'
    )
    words = (
        "plan",
        "window",
        case,
        "--from",
        "2024-05-13T08:00:00+02:00",
        "--days",
        3,
        "--hours",
        9,
        10,
        "--product",
        site,
    )
    planned = json.loads(run("plan", "mird", case, "--dose-gy", 400, "--json").stdout)
    result = run(*words, "--dose-gy", 400, "--most-above-percent", 900, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["activity_mbq"] == pytest.approx(planned["activity_mbq"])
    row = found["rows"][0]
    assert row["weekday"] == "monday"
    assert row["perfused_gy"] == pytest.approx(400 * (1 + row["excess_fraction"]))
    assert {"formula", "constants", "sources", "offer_rule", "assumptions"} <= found.keys()
    text = run(*words, "--dose-gy", 400, "--most-above-percent", 900).stdout
    assert "perfused Gy" in text
    assert "Mon 13 May 09:00" in text
