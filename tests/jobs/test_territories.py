"""Territories in a case file: from keys to results, read back, replayed, planned, and in a cohort."""

import json
import tomllib
from datetime import UTC, datetime

import nibabel as nib
import numpy as np
import pytest
from remarks import refusal
from small_study import run

from voxeldose.errors import VoxeldoseError
from voxeldose.io.config.case import case_file_again, case_file_from, read_case_file
from voxeldose.io.nifti import write_labels, write_nifti
from voxeldose.io.results.folder import read_results
from voxeldose.jobs.run_case import assess_case
from voxeldose.jobs.settings import build_administration
from voxeldose.model.grid import Grid
from voxeldose.model.radionuclide import Y90
from voxeldose.model.volume import Volume

GRID = Grid.from_axes((14, 18, 40), (5, 4.5, 4), (-80, -40, -35))
LIVER, LEFT, RIGHT = np.s_[2:12, 2:16, 2:38], np.s_[4:10, 4:14, 4:12], np.s_[4:10, 4:14, 24:36]
TUMOR = np.s_[6:8, 7:10, 28:31]

CASE = """
[case]
id = "two-vessels"
[activity]
path = "pet.nii.gz"
quantity = "bq_per_ml"
measured_at = 2024-05-03T06:15:00Z
[[rois]]
path = "labels.nii.gz"
labels = { 1 = { name = "liver", role = "liver" }, 2 = { name = "tumor", role = "tumor" } }
[[rois]]
path = "treated.nii.gz"
labels = { 1 = { name = "left", role = "segment" }, 2 = { name = "right", role = "perfused" } }
[dose]
engine = "local"
[administration]
device = "glass"
at = 2024-05-02T10:15:00Z
"""
TERRITORIES = """
[[administration.territory]]
roi = "left"
administered_mbq = 410.0
residual_mbq = 10.0
lung_shunt_fraction = 0.02
[[administration.territory]]
roi = "right"
administered_mbq = 905.0
residual_mbq = 5.0
lung_shunt_fraction = 0.10
"""
HELD = {"left": 400 * 0.98, "right": 900 * 0.90}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("territories")
    values, labels, treated = np.zeros(GRID.shape, np.float32), *(np.zeros(GRID.shape, np.uint8) for _ in range(2))
    labels[LIVER], labels[TUMOR] = 1, 2
    treated[LEFT], treated[RIGHT] = 1, 2
    left = Y90.decay_factor(20 * 3600)
    for name, where in (("left", LEFT), ("right", RIGHT)):
        weights = np.where(labels[where] == 2, 3.0, 1.0)
        values[where] = weights * HELD[name] * 1e6 * left / (weights.sum() * GRID.voxel_volume_ml)
    write_nifti(Volume(values, GRID), folder / "pet.nii.gz")
    write_labels(labels, GRID, folder / "labels.nii.gz")
    write_labels(treated, GRID, folder / "treated.nii.gz")
    (folder / "case.toml").write_text(CASE + TERRITORIES)
    return folder


@pytest.fixture(scope="module")
def results(folder):
    result = run("assess", folder / "case.toml", "--out", folder / "results")
    assert result.exit_code == 0, result.output
    (folder / "printed.txt").write_text(result.stdout)
    return folder / "results"


def content_of(results) -> dict:
    return json.loads((results / "assessment.json").read_text())


def with_text(folder, tmp_path, text: str):
    path = folder / f"{tmp_path.name}.toml"
    path.write_text(text)
    return path


def test_results_hold_every_territory_and_their_sums(results):
    content = content_of(results)
    rows = {row["roi"]: row for row in content["totals"]["territories"]}
    for name, held in HELD.items():
        assert rows[name]["held_mbq"] == pytest.approx(held)
        assert rows[name]["region_mbq"] == pytest.approx(held)
        assert rows[name]["recovered_fraction"] == pytest.approx(1, rel=1e-5)
        assert rows[name]["share_ratio"] == pytest.approx(1, rel=1e-5)
        assert rows[name]["at"] == "2024-05-02T10:15:00+00:00"
        roi = content["rois"][name]
        assert roi["activity_mbq"] == pytest.approx(held, rel=1e-5)
        assert roi["single_compartment_gy"] == pytest.approx(49.383 * held / roi["mass_g"], rel=1e-4)
        # local deposition: the mean of the map is that of one compartment
        assert roi["mean_dose_gy"] == pytest.approx(roi["single_compartment_gy"], rel=1e-5)
    assert content["rois"]["left"]["role"] == "perfused"
    assert "segment-infused" in {remark["code"] for remark in content["assumptions"]}
    assert content["administration"]["administered_mbq"] == 1315
    assert content["administration"]["lung_shunt_fraction"] == pytest.approx(98 / 1300)
    assert content["totals"]["net_mbq"] == 1300
    assert content["totals"]["held_mbq"] == pytest.approx(sum(HELD.values()))


def test_limits_are_compared_for_each_territory_and_for_the_whole_liver(results):
    content = content_of(results)
    by_roi = {(t["roi"], t["metric"]): t for t in content["thresholds"]}
    for name in HELD:
        assert by_roi[name, "single_compartment_gy"]["value"] == content["rois"][name]["single_compartment_gy"]
    assert any(roi == "normal_liver" for roi, _ in by_roi)


def test_terminal_and_report_show_what_each_got(results, folder):
    printed = (folder / "printed.txt").read_text()
    row = next(line for line in printed.splitlines() if line.startswith("right ") and "905.0" in line)
    assert row.split() == ["right", "905.0", "900.0", "10.0", "90.00", "810.0", "810.0", "100.0", "1.00"]
    together = next(line for line in printed.splitlines() if line.startswith("together"))
    assert together.split() == ["together", "1315", "1300", "7.5", "98.00", "1202", "1202"]
    page = (results / "report.html").read_text()
    assert "Territory left" in page
    assert (
        "410.0 MBq in the vial, 400.0 net: 392.0 in the liver, 8.000 in the lungs; infused 2024-05-02 10:15+00:00"
        in page
    )
    assert "each territory equals its own net" in page
    assert "Territory right" in page


def test_results_are_read_back_with_their_territories(results):
    stored = read_results(results)
    assert [one.roi for one in stored.totals.territories] == ["left", "right"]
    assert stored.totals.territories[1].held_mbq == pytest.approx(810)
    assert stored.administration.net_mbq == 1300


def test_the_results_fit_their_schema(results):
    jsonschema = pytest.importorskip("jsonschema")
    from voxeldose.io.results.schema import assessment_schema

    jsonschema.validate(content_of(results), assessment_schema())


def test_a_replay_gives_the_same_numbers(results, tmp_path):
    result = run("replay", results / "run.json", "--out", tmp_path / "again")
    assert result.exit_code == 0, result.output
    assert content_of(tmp_path / "again")["totals"] == content_of(results)["totals"]
    assert content_of(tmp_path / "again")["rois"] == content_of(results)["rois"]


def test_a_plan_scales_all_territories_and_says_by_how_much(folder, results):
    goal = 2 * content_of(results)["rois"]["right"]["mean_dose_gy"]
    result = run("plan", "voxel", folder / "case.toml", "--goal", f"right.mean={goal}", "--json")
    assert result.exit_code == 0, result.output
    plan = json.loads(result.stdout)
    assert plan["activity_mbq"] == pytest.approx(2600, rel=1e-4)
    assert plan["lung_gy"] == pytest.approx(49.383 * 2 * 98 / 1000, rel=1e-3)  # 1 kg, sum over territories
    (remark,) = [r for r in plan["assumptions"] if isinstance(r, dict) and r["code"] == "plan-territories-together"]
    assert "left 800 MBq, right 1800 MBq" in remark["message"]


def test_a_cohort_takes_cases_with_territories(folder, results, tmp_path):
    (tmp_path / "cases.csv").write_text(f"case\n{folder / 'case.toml'}\n")
    result = run("cohort", tmp_path / "cases.csv", "--out", tmp_path / "out", "--workers", "1")
    assert result.exit_code == 0, result.output
    (found,) = (tmp_path / "out").rglob("assessment.json")
    assert json.loads(found.read_text())["totals"] == content_of(results)["totals"]


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (CASE + "administered_mbq = 5.0\n" + TERRITORIES, "keys-contradict", "administered_mbq cannot stand beside"),
        (CASE + "residual_mbq = 5.0\n" + TERRITORIES, "keys-contradict", "residual_mbq cannot stand beside"),
        (
            CASE.replace('"local"', '"local"\ncalibration_region = "left"') + TERRITORIES,
            "keys-contradict",
            "calibration region left .* contradicts the territories",
        ),
        (CASE + TERRITORIES.replace('"left"', '"middle"'), "roi-unknown", "no ROI 'middle'"),
        (CASE + TERRITORIES.replace('"left"', '"tumor"'), "territory-role", "has the role tumor"),
        (CASE + TERRITORIES.replace('roi = "left"\n', ""), "key-missing", "territory.0.roi is missing"),
    ],
)
def test_a_case_file_that_contradicts_itself_is_refused(folder, tmp_path, text, code, words):
    with pytest.raises(VoxeldoseError, match=words, check=refusal(code)):
        assess_case(read_case_file(with_text(folder, tmp_path, text)))


def test_keys_of_the_administration_hold_for_territories_without_their_own():
    tables = tomllib.loads(
        CASE + "lung_shunt_fraction = 0.05\n" + TERRITORIES.replace("lung_shunt_fraction = 0.02\n", "")
    )
    given = build_administration(case_file_from(tables, "case.toml").administration, "ddep")
    left, right = given.infusions
    assert left.at == right.at == datetime(2024, 5, 2, 10, 15, tzinfo=UTC)
    assert (left.lung_shunt_fraction, right.lung_shunt_fraction) == (0.05, 0.10)
    assert left.device == "glass"


def test_assays_of_a_territory_are_brought_to_its_own_infusion():
    text = TERRITORIES.replace(
        'roi = "right"', 'roi = "right"\nat = 2024-05-02T12:15:00Z\nassayed_at = 2024-05-02T08:15:00Z'
    )
    given = build_administration(case_file_from(tomllib.loads(CASE + text), "case.toml").administration, "ddep")
    right = given.infusions[1]
    assert right.administered_mbq == pytest.approx(905 * Y90.decay_factor(4 * 3600))
    assert given.administered_mbq == pytest.approx(410 + right.administered_mbq)
    assert given.at == datetime(2024, 5, 2, 10, 15, tzinfo=UTC)


def test_a_case_without_territories_is_written_as_before_and_one_with_them_comes_back():
    without = case_file_from(tomllib.loads(CASE + "administered_mbq = 5.0\n"), "case.toml")
    assert not [key for key in without.model_dump(mode="json")["administration"] if key.startswith("territory")]
    both = case_file_from(tomllib.loads(CASE + 'territory_overlap = "shared"\n' + TERRITORIES), "case.toml")
    again = case_file_again(both.model_dump(mode="json"), "run.json")
    assert again == both
    assert build_administration(again.administration, "ddep").overlap_shared


def test_the_dose_file_is_the_sum_of_the_two_doses(results, folder):
    dose = nib.load(results / "dose.nii.gz").get_fdata()
    energy = dose.sum() * GRID.voxel_volume_ml * 1.04 / 1000  # J
    decays = sum(HELD.values()) * 1e6 * Y90.half_life_s / np.log(2)
    assert energy == pytest.approx(decays * Y90.energy_mev * 1.602176634e-13, rel=1e-5)
