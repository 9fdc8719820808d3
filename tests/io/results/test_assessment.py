"""The results files: the contract's keys, no NaN, and numbers that agree with the assessment."""

import csv
import json
from datetime import UTC, datetime

import numpy as np
import pytest

import voxeldose as vd
from voxeldose.io.results.assessment import assessment_dict, curve_step_gy, write_json, write_tables
from voxeldose.io.results.content import SCHEMA
from voxeldose.model.volume import CountMap

ROI_KEYS = {
    "role",
    "volume_ml",
    "mass_g",
    "activity_mbq",
    "mean_dose_gy",
    "min_dose_gy",
    "max_dose_gy",
    "sd_dose_gy",
    "d98_gy",
    "d95_gy",
    "d90_gy",
    "d70_gy",
    "d50_gy",
    "d2_gy",
    "v100_fraction",
    "v190_fraction",
    "v205_fraction",
    "v400_fraction",
    "v446_fraction",
    "bed_gy",
    "eud_gy",
    "eubed_gy",
    "single_compartment_gy",
    "perfused_fraction",
    "reached",
    "axial_diameter_mm",
    "mean_dose_local_gy",
}
TOP_KEYS = {
    "schema",
    "rois",
    "tumor_to_normal_ratio",
    "totals",
    "thresholds",
    "constants",
    "method",
    "assumptions",
    "warnings",
}
THRESHOLD_KEYS = {
    "name",
    "roi",
    "metric",
    "limit",
    "value",
    "met",
    "source",
    "method",
    "differs",
    "sense",
    "kind",
    "image_value",
}


def phantom(*, counts=False, administered=1000.0, lung_shunt=0.04):
    """A liver of 12 x 12 x 12 voxels with a hot lesion, in a small image."""
    grid = vd.Grid.from_axes((18, 20, 22), (3.0, 2.5, 2.0), (0, 0, 0), frame_uid="1.2.3")
    liver = np.zeros(grid.shape, np.float32)
    liver[3:15, 4:16, 5:17] = 1
    lesion = np.zeros(grid.shape, np.float32)
    lesion[7:10, 8:11, 9:12] = 1
    values = (1e6 * liver + 4e6 * lesion).astype(np.float32)
    at = datetime(2024, 5, 2, 14, 5, tzinfo=UTC)
    activity = CountMap(values, grid, at=at) if counts else vd.ActivityMap(values, grid, at=at, radionuclide=vd.Y90)
    rois = vd.RoiSet((vd.Roi("liver", "liver", liver, grid), vd.Roi('lesion, "1"', "tumor", lesion, grid)))
    given = vd.Administration(
        vd.Y90, administered, datetime(2024, 5, 2, 10, 15, tzinfo=UTC), lung_shunt_fraction=lung_shunt, device="glass"
    )
    given = given if administered else vd.Administration(vd.Y90, None, given.at)
    calibration = vd.Administered() if administered else vd.Absolute()
    return vd.assess(vd.Case(activity, rois, given, calibration=calibration, id="case-001"))


@pytest.fixture(scope="module")
def result():
    return phantom()


@pytest.fixture(scope="module")
def content(result):
    return assessment_dict(result)


def test_every_key_of_the_contract_is_there(content):
    assert set(content) >= TOP_KEYS
    assert content["schema"] == SCHEMA == "voxeldose/assessment/2"
    assert set(content["totals"]) >= {"activity_mbq", "administered_mbq", "recovered_fraction", "energy_j"}
    assert set(content["constants"]) >= {"half_life_h", "mean_energy_mev", "gy_kg_per_gbq"}


def test_a_region_has_the_keys_of_the_contract_and_what_lies_outside(content):
    assert {"liver", "normal_liver", 'lesion, "1"'} <= set(content["rois"])
    for row in content["rois"].values():
        assert set(row) == ROI_KEYS | {"outside_grid_fraction", "source_name", "codes"}


def test_thresholds_have_the_keys_of_the_contract(content):
    assert content["thresholds"]
    for threshold in content["thresholds"]:
        assert set(threshold) == THRESHOLD_KEYS
        assert isinstance(threshold["met"], bool)


def numbers(value):
    if isinstance(value, dict):
        return [n for v in value.values() for n in numbers(v)]
    if isinstance(value, list):
        return [n for v in value for n in numbers(v)]
    return [value]


@pytest.mark.parametrize("options", [{}, {"counts": True}, {"administered": None}])
def test_the_json_is_plain_and_has_no_nan(tmp_path, options):
    whole = assessment_dict(phantom(**options))
    write_json(whole, tmp_path / "assessment.json")

    def refuse(word):
        raise AssertionError(word)

    back = json.loads((tmp_path / "assessment.json").read_text("utf-8"), parse_constant=refuse)
    assert back == whole
    assert all(n is None or type(n) in (str, bool, int, float) for n in numbers(whole))


def test_numbers_that_are_not_finite_become_null(tmp_path):
    mixed = {"a": np.nan, "b": [np.float32("inf"), np.int64(3), np.float64(0.5)], "c": (True, None), 4: {"d": -np.inf}}
    write_json(mixed, tmp_path / "a.json")
    back = json.loads((tmp_path / "a.json").read_text())
    assert back == {"a": None, "b": [None, 3, 0.5], "c": [True, None], "4": {"d": None}}


def test_counts_have_no_recovered_fraction():
    assert assessment_dict(phantom(counts=True))["totals"]["recovered_fraction"] is None


def test_an_unknown_administered_activity_is_null():
    totals = assessment_dict(phantom(administered=None))["totals"]
    assert totals["administered_mbq"] is None
    assert totals["net_mbq"] is None


def test_fractions_are_fractions_and_times_have_a_zone(content):
    for row in content["rois"].values():
        assert all(0 <= row[key] <= 1 for key in row if key.endswith("_fraction") and row[key] is not None)
    assert datetime.fromisoformat(content["administration"]["at"]).utcoffset() is not None


def test_rois_csv_has_a_row_a_region_with_the_numbers_of_the_json(result, content, tmp_path):
    write_tables(result, tmp_path)
    with (tmp_path / "rois.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["roi"]: row for row in csv.DictReader(file)}
    assert list(rows) == list(content["rois"])
    for name, row in rows.items():
        assert set(row) == ROI_KEYS | {"roi"}
        for key in ROI_KEYS - {"role"}:
            wanted = content["rois"][name][key]
            # eight digits are written
            assert row[key] == "" if wanted is None else float(row[key]) == pytest.approx(wanted, rel=1e-7)


def test_dvh_csv_is_cumulative_from_the_whole_region_to_nothing(result, tmp_path):
    write_tables(result, tmp_path)
    with (tmp_path / "dvh.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["roi", "dose_gy", "volume_ml", "volume_fraction"]
    for name, metrics in result.rois.items():
        own = [
            (float(r["dose_gy"]), float(r["volume_ml"]), float(r["volume_fraction"])) for r in rows if r["roi"] == name
        ]
        dose, volume, fraction = np.array(own).T
        assert (dose[0], fraction[0], fraction[-1]) == (0, 1, 0)
        assert volume[0] == pytest.approx(metrics.volume_ml, rel=1e-6)
        assert (np.diff(dose) > 0).all()
        assert (np.diff(volume) <= 0).all()
        assert 100 < len(own) < 1000
        middle = len(own) // 2
        assert fraction[middle] == pytest.approx(metrics.dvh.coverage(dose[middle]), abs=1e-7)


@pytest.mark.parametrize(
    ("highest", "step"), [(400.0, 1.0), (401.0, 2.0), (1000.0, 5.0), (0.39, 0.001), (0.0, 1.0), (-3.0, 1.0)]
)
def test_the_step_of_a_curve_is_one_two_or_five_times_a_power_of_ten(highest, step):
    assert curve_step_gy(highest) == pytest.approx(step)
