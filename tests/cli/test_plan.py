"""``plan`` and ``card`` as a user meets them."""

import html
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from small_study import run

from voxeldose.io.nifti import write_labels, write_nifti
from voxeldose.model.grid import Grid
from voxeldose.model.volume import Volume

GRID = Grid.from_axes((20, 24, 28), (4, 3.5, 3), (-40, -40, -40))
KEYS = {"activity_mbq", "tumor_gy", "normal_gy", "perfused_gy", "lung_gy", "binding", "formula", "constants", "sources"}
PARTITION = ("partition", "--tumor-g", 200, "--normal-g", 1300, "--tn", 5, "--lung-shunt", 0.08)
VIAL = ("vial", "--activity-mbq", 1700, "--at", "2024-05-02T10:15:00Z")
DELIVERED = ("delivered", "--assay-mbq", 3120, "--assayed-at", "2024-05-02T08:00:00Z")
CASE = """
[activity]
path = "spect.nii.gz"
quantity = "counts"
image_nuclide = "Tc-99m"
[[rois]]
path = "labels.nii.gz"
[rois.labels]
1 = { name = "liver", role = "liver" }
2 = { name = "lesion_1", role = "tumor" }
[administration]
device = "glass"
lung_shunt_fraction = 0.04
[dose]
engine = "local"
"""


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> Path:
    """A planning study: counts and labels, with no administered activity."""
    folder = tmp_path_factory.mktemp("plan")
    labels = np.zeros(GRID.shape, np.uint8)
    labels[3:17, 4:20, 4:24] = 1
    labels[8:12, 9:14, 10:16] = 2
    counts = np.where(labels == 2, 40.0, np.where(labels == 1, 8.0, 0)).astype(np.float32)
    write_nifti(Volume(counts, GRID), folder / "spect.nii.gz")
    write_labels(labels, GRID, folder / "labels.nii.gz")
    (folder / "case.toml").write_text(CASE)
    return folder / "case.toml"


def asked(*words: object):
    result = run("plan", *words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(*words: object, code: int = 3):
    result = run(*words)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    assert result.stdout == ""
    return result.stderr


def test_mird_answers_with_the_keys_of_the_contract_and_all_that_a_reader_needs():
    found = asked("mird", "--mass-g", 200, "--dose-gy", 400, "--lung-shunt", 0.05, "--device", "glass")
    assert found.keys() >= KEYS
    assert found["activity_mbq"] == pytest.approx(400 * 200 / (49.38305 * 0.95))
    assert found["tumor_gy"] == []
    assert found["normal_gy"] is None
    assert found["binding"] == "perfused volume goal"
    assert found["constants"]["gy_kg_per_gbq"] == pytest.approx(49.383, abs=1e-3)
    assert {name: round(row["activity_mbq"], 1) for name, row in found["spread"].items()} == {
        "ddep": 1705.3,
        "icrp107": 1692.3,
        "vendor": 1684.2,
        "legacy": 1695.4,
    }
    assert found["inputs"]["lung_shunt_fraction"] == 0.05
    assert {t["limit"] for t in found["thresholds"]} == {400, 30}
    assert asked("mird", "--mass-g", 200, "--activity-mbq", 1700, "--constants", "legacy")[
        "perfused_gy"
    ] == pytest.approx(49.67 * 1.7 / 0.2)


def test_partition_forward_and_inverse():
    forward = asked(*PARTITION, "--activity-mbq", 2500, "--constants", "vendor")
    assert forward["tumor_gy"] == pytest.approx([250])
    assert (forward["normal_gy"], forward["lung_gy"], forward["binding"]) == (
        pytest.approx(50),
        pytest.approx(10),
        None,
    )
    inverse = asked(*PARTITION, "--tumor-gy", 205, "--normal-limit-gy", 20, "--lung-limit-gy", 30)
    assert inverse["binding"] == "normal liver limit"
    assert inverse["normal_gy"] == pytest.approx(20)
    assert inverse["goals_met"] is False
    assert [w["code"] for w in inverse["warnings"]] == ["goal-missed"]
    assert inverse["warnings"][0]["numbers"]["binding"] == "normal liver limit"


def test_a_limit_that_no_activity_reaches_allows_any():
    nothing_shunted = (*PARTITION[:-1], 0)
    result = run("plan", *nothing_shunted, "--tumor-gy", 205, "--lung-limit-gy", 30)
    assert result.exit_code == 0
    (lungs,) = [line.split() for line in result.stdout.splitlines() if line.startswith("lung limit")]
    assert lungs[-2:] == ["any", "yes"]
    assert asked(*nothing_shunted, "--tumor-gy", 205, "--lung-limit-gy", 30)["bounds"][1]["activity_mbq"] is None


def test_several_tumors_take_their_ratio_in_order_or_one_for_all():
    found = asked(*PARTITION, "--tumor-g", 30, "--tn", 3, "--activity-mbq", 2500)
    assert found["tumor_gy"][0] / found["tumor_gy"][1] == pytest.approx(5 / 3)
    same = asked(*PARTITION, "--tumor-g", 30, "--activity-mbq", 2500)
    assert same["tumor_gy"][0] == pytest.approx(same["tumor_gy"][1])


def test_territories_come_from_a_file(tmp_path):
    path = tmp_path / "liver.toml"
    path.write_text(
        """
        lung_g = 1000
        unperfused_g = 600
        [[territory]]
        name = "right"
        activity_mbq = 1200
        normal_g = 500
        tumors = [{ name = "a", mass_g = 120, tn = 4 }, { name = "b", mass_g = 30, tn = 2.5 }]
        [[territory]]
        name = "left"
        activity_mbq = 800
        normal_g = 350
        tumors = [{ name = "c", mass_g = 50, tn = 3 }]
        """
    )
    found = asked("partition", "--territories", path, "--lung-shunt", 0.05)
    assert found["tumor_gy"] == pytest.approx([213.43, 133.40, 225.17], rel=1e-4)
    assert found["whole_normal_gy"] == pytest.approx(36.52, rel=2e-4)
    planned = asked("partition", "--territories", path, "--lung-shunt", 0.05, "--tumor-gy", 205)
    assert planned["tumor_gy"][1:] == pytest.approx([205, 205])
    assert sum(planned["territories_mbq"].values()) == pytest.approx(planned["activity_mbq"])
    path.write_text(path.read_text().replace("mass_g = 30", "mas_g = 30"))
    message = refused("plan", "partition", "--territories", path, "--tumor-gy", 205)
    assert "territory.0.tumors.1.mas_g" in message
    assert "(b)" in message


def test_voxel_planning_of_a_case_without_an_activity(case):
    found = asked(
        "voxel", case, "--goal", "lesion_1.mean=400", "--limit", "normal_liver.mean=75", "--limit", "lung.mean=30"
    )
    assert found.keys() >= KEYS
    assert found["binding"] == "normal_liver.mean=75"
    assert found["normal_gy"] == pytest.approx(75)
    assert found["tumor_gy"] == pytest.approx([375], rel=1e-5)  # local deposition: 40 to 8 counts
    assert any("gives no administered activity" in a["message"] for a in found["assumptions"])
    by_hand = found["normal_gy"] * 1.04  # Gy g/mL -> over K the concentration in normal liver
    volume = {n: v * GRID.voxel_volume_ml for n, v in (("normal", 14 * 16 * 20 - 120), ("tumor", 120))}
    total = by_hand / 49.38305 * (volume["normal"] + 5 * volume["tumor"]) / 0.96
    assert found["activity_mbq"] == pytest.approx(total, rel=1e-5)
    assert found["lung_gy"] == pytest.approx(49.38305 * total * 0.04 / 1000, rel=1e-5)
    assert any(t["roi"] == "lung" for t in found["thresholds"])


def test_the_planned_activity_gives_the_goal_when_it_is_assessed(case, tmp_path):
    plan = asked("voxel", case, "--goal", "lesion_1.D70=205")
    flags = ("--administered-mbq", plan["activity_mbq"], "--out", tmp_path / "out", "--json", "--quiet")
    delivered = json.loads(run("assess", case, *flags).stdout)
    assert delivered["rois"]["lesion_1"]["d70_gy"] == pytest.approx(205, rel=1e-6)  # float32 voxels
    assert delivered["rois"]["normal_liver"]["mean_dose_gy"] == pytest.approx(plan["normal_gy"], rel=1e-6)


def test_flags_come_before_the_case(case):
    found = asked(
        "voxel", case, "--goal", "lesion_1.V300=90%", "--lung-shunt", 0.1, "--constants", "vendor", "--device", "resin"
    )
    assert found["constants"]["gy_kg_per_gbq"] == pytest.approx(50)
    assert found["inputs"]["lung_shunt_fraction"] == 0.1
    assert found["tumor_gy"] == pytest.approx([300], rel=1e-5)
    assert {t["limit"] for t in found["thresholds"]} == {100, 40, 30}


def test_compartments_from_a_case(case):
    found = asked("partition", case, "--tumor-gy", 205)
    assert found["tumor_gy"] == pytest.approx([205])
    assert found["normal_gy"] == pytest.approx(205 / 5, rel=1e-5)
    assert found["inputs"]["territories"][0]["lung_shunt_fraction"] == 0.04
    whole = asked("mird", case, "--roi", "liver", "--dose-gy", 60)
    assert whole["inputs"]["mass_g"] == pytest.approx(14 * 16 * 20 * GRID.voxel_volume_ml * 1.04)  # with its tumor
    assert "role 'perfused'" in refused("plan", "mird", case, "--dose-gy", 60)


def test_partition_shows_what_it_used_and_takes_ratios_in_place_of_the_images(case):
    own = asked("partition", case, "--activity-mbq", 900)
    other = asked("partition", case, "--activity-mbq", 900, "--tn", 2)
    tumor, normal = own["compartments"]
    volume = {"lesion_1": 120 * GRID.voxel_volume_ml, "normal liver": (14 * 16 * 20 - 120) * GRID.voxel_volume_ml}
    for row in (tumor, normal):
        assert row["volume_ml"] == pytest.approx(volume[row["name"]], rel=1e-6)
        assert row["mass_g"] == pytest.approx(1.04 * volume[row["name"]], rel=1e-6)
    assert tumor["tumor_to_normal"] == pytest.approx(5, rel=1e-6)
    masses = {name: 1.04 * ml / 1000 for name, ml in volume.items()}
    held = 49.38305 * 0.9 * 0.96
    assert other["compartments"][0]["tumor_to_normal"] == 2
    assert other["normal_gy"] == pytest.approx(held / (masses["normal liver"] + 2 * masses["lesion_1"]), rel=1e-6)
    assert other["tumor_gy"] == pytest.approx([2 * other["normal_gy"]])
    for found in (own, other):  # the mean weighted by mass does not depend on how the activity is shared
        assert found["perfused_gy"] == pytest.approx(held / sum(masses.values()), rel=1e-6)
    (said,) = [a for a in other["assumptions"] if a["code"] == "ratios-given"]
    assert said["numbers"] == {"lesion_1": 2}
    text = run("plan", "partition", case, "--activity-mbq", 900, "--tn", 2).stdout
    assert "perfused volume (weighted by mass)" in text
    assert "as many ratios" in refused("plan", "partition", case, "--activity-mbq", 900, "--tn", 2, "--tn", 3)


def test_a_mass_of_the_lungs_or_a_bilirubin_that_decides_nothing_is_refused(case):
    bare = case.with_name("bare.toml")
    bare.write_text(case.read_text().replace("lung_shunt_fraction = 0.04\n", ""))
    assert "without a lung shunt" in refused("plan", "mird", bare, "--roi", "liver", "--dose-gy", 60, "--lung-g", 900)
    assert "none of the limits" in refused("plan", "mird", "--mass-g", 200, "--dose-gy", 9, "--bilirubin-mg-per-dl", 1)
    resin = (*PARTITION, "--activity-mbq", 2600, "--device", "resin", "--bilirubin-mg-per-dl", 1.6)
    assert "none of the limits" in refused("plan", *resin)
    lungs = case.with_name("lungs.toml")
    lungs.write_text(
        case.read_text().replace('"lesion_1", role = "tumor"', '"lungs", role = "lung"') + 'density = "d.nii.gz"\n'
    )
    write_nifti(Volume(np.full(GRID.shape, 0.3, np.float32), GRID), case.with_name("d.nii.gz"))
    words = ("plan", "voxel", lungs, "--goal", "liver.mean=60", "--lung-g", 900)
    assert "that of lungs in the dose map" in refused(*words)


def test_the_vial_gives_the_lungs_dose_where_their_shunt_is_known(case):
    found = asked(*VIAL, "--lung-shunt", 0.05, "--vial-gbq", 2)
    assert found["lung_gy"] == pytest.approx(49.38305 * 1.7 * 0.05)
    assert found["vial_lung_gy"] == pytest.approx(49.38305 * 2 * 0.05)
    assert "Lungs of 1000 g: 4.20 Gy" in run("plan", *VIAL, "--lung-shunt", 0.05).stdout
    assert asked(*VIAL)["lung_gy"] is None


def test_the_vial():
    found = asked(*VIAL, "--calibrated-at", "2024-04-28T16:00:00Z", "--residual-fraction", 0.01, "--device", "glass")
    hours = (datetime(2024, 5, 2, 10, 15, tzinfo=UTC) - datetime(2024, 4, 28, 16, tzinfo=UTC)).total_seconds() / 3600
    left = 2 ** (-hours / 64.04)
    assert found["vial_gbq"] == 5
    assert found["calibration_at"] == "2024-04-28T16:00:00+00:00"
    assert found["bq_per_sphere"] == pytest.approx(2500 * left)
    assert found["spheres"] == pytest.approx(1.7e9 / (2500 * left))
    assert found["vial_net_mbq"] == pytest.approx(5000 * left * 0.99)
    bare = asked(*VIAL)
    assert (bare["vial_gbq"], bare["spheres"]) == (pytest.approx(1.7), None)
    own = asked(*VIAL, "--vial-gbq", 2, "--sphere-bq-at-calibration", 4354, "--device", "glass")
    assert (own["vial_gbq"], own["bq_per_sphere"]) == (2, 4354)


@pytest.mark.parametrize(
    "words",
    [
        ("mird", "--mass-g", 200, "--dose-gy", 400, "--device", "glass"),
        (*PARTITION, "--tumor-gy", 205, "--normal-limit-gy", 75, "--lung-limit-gy", 30),
        (*PARTITION, "--activity-mbq", 2500, "--unperfused-g", 100),
        (*VIAL, "--device", "resin"),
        ("bsa", "--height-m", 1.7, "--weight-kg", 70, "--tumor-part", 0.2),
    ],
)
def test_tables_name_formula_constants_and_source(words):
    result = run("plan", *words)
    assert result.exit_code == 0, result.output
    for word in ("Formula:", "K = 49.38", "Source:"):
        assert word in result.stdout
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("words", "message", "code"),
    [
        (("mird", "--mass-g", 200, "--dose-gy", 400, "--lung-shunt", 1), "below 1", 3),
        (("mird", "--mass-g", 0, "--dose-gy", 400), "above 0 g", 3),
        (("mird", "--mass-g", 200), "--dose-gy or --activity-mbq", 2),
        (("mird", "--dose-gy", 200), "CASE or --mass-g", 2),
        (("partition", "--normal-g", 1300, "--tumor-gy", 205), "needs a tumor", 3),
        (("partition", "--tumor-g", 0, "--tn", 3, "--normal-g", 1300, "--tumor-gy", 205), "mass of tumor_1", 3),
        (("partition", "--tumor-g", 20, "--normal-g", 1300, "--tumor-gy", 205), "as many ratios", 2),
        ((*PARTITION, "--activity-mbq", 1, "--tumor-gy", 205), "--activity-mbq, or a goal", 2),
        (PARTITION, "activity for every territory", 2),
        (("partition", "--tumor-g", 20, "--tn", 3, "--tumor-gy", 205, "--lung-limit-gy", 30), "lung shunt fraction", 3),
        ((*VIAL, "--calibrated-at", "2024-05-03T10:15:00Z"), "before the calibration", 3),
        ((*VIAL, "--calibrated-at", "2024-04-28T10:15:00Z", "--shelf-life-h", 48), "expired", 3),
        (("vial", "--activity-mbq", 1700, "--at", "2024-05-02T10:15:00"), "no time zone", 3),
        ((*VIAL, "--product", "none.toml"), "needs --device", 2),
        ((*VIAL, "--vial-gbq", 3000), "vial sizes are in GBq", 3),
        ((*VIAL, "--lung-shunt", 7), "not percent", 3),
        ((*VIAL, "--residual-fraction", 5), "not percent", 3),
        ((*VIAL, "--expires-at", "2024-05-01T00:00:00Z"), "expired", 3),
        (("vial", "--activity-mbq", 1700), "--at is needed", 2),
        (("vial", "--activity-mbq", "nan", "--at", "2024-05-02T10:15:00Z"), "found nan", 3),
        (("mird", "--mass-g", "nan", "--dose-gy", 400), "found nan", 3),
        (("mird", "--mass-g", -200, "--dose-gy", 400), "above 0 g", 3),
        (("mird", "--mass-g", 200, "--dose-gy", 400, "--lung-shunt", 5), "not percent", 3),
        (("bsa", "--height-m", 1.7, "--weight-kg", 70), "--tumor-part", 2),
        (("bsa", "--height-m", 1.7, "--weight-kg", 70, "--tumor-part", 20), "not percent", 3),
        (("bsa", "--height-m", 170, "--weight-kg", 70, "--tumor-part", 0.2), "in metres", 3),
        ((*DELIVERED, "--at", "2024-05-02T07:59:00Z"), "before the vial's assay", 3),
        ((*DELIVERED, "--at", "2024-05-02T13:30:00"), "no time zone", 3),
        ((*DELIVERED, "--at", "2024-05-02T13:30:00Z", "--residual-mbq", 4000), "less than", 3),
        ((*DELIVERED, "--at", "2024-05-02T13:30:00Z", "--residual-mbq", -1), "0 MBq or more", 3),
        ((*DELIVERED, "--at", "2024-05-02T13:30:00Z", "--lung-shunt", 5), "not percent", 3),
        (
            (*DELIVERED, "--at", "2024-05-02T13:30:00Z", "--residual-mbq", 4, "--residual-at", "2024-05-02T13:00:00Z"),
            "before the infusion",
            3,
        ),
        (("voxel", "none.toml", "--goal", "lesion_1=400"), "ROI.METRIC=VALUE", 2),
        (("voxel", "none.toml", "--goal", "lesion_1.median=400"), "unknown metric", 2),
        (("voxel", "none.toml"), "--goal or a --limit", 2),
        (("voxel", "none.toml", "--goal", "lesion_1.mean=400"), "no such case file", 3),
    ],
)
def test_inconsistent_input_is_refused_with_the_reason(words, message, code):
    assert message in refused("plan", *words, code=code)


def test_worked_example_20_from_numbers_alone():
    residual = ("--residual-mbq", 45, "--residual-at", "2024-05-02T17:00:00+02:00", "--lung-shunt", 0.05)
    found = asked(*DELIVERED, "--at", "2024-05-02T15:30:00+02:00", *residual)
    assert found["vial_at_infusion_mbq"] == pytest.approx(2939.7, abs=0.05)
    assert found["residual_at_infusion_mbq"] == pytest.approx(45.7, abs=0.05)
    assert found["activity_mbq"] == pytest.approx(2893.9, abs=0.06)  # 2893.95
    assert found["liver_mbq"] == pytest.approx(2749.3, abs=0.06)
    assert found["lung_mbq"] + found["liver_mbq"] == pytest.approx(found["activity_mbq"])
    assert {"formula", "constants", "inputs", "sources", "assumptions", "warnings"} <= found.keys()
    assert "in the patient   2893.9" in run("plan", *DELIVERED, "--at", "2024-05-02T13:30:00Z", *residual).stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("mird", "--mass-g", 0.2, "--dose-gy", 400), "check that they are in g"),
        (("mird", "--mass-g", 200, "--activity-mbq", 1.7), "check that activities are in MBq"),
        (("mird", "--mass-g", 200, "--activity-mbq", 1700, "--lung-shunt", 0.1, "--lung-g", 1), "mass of lungs"),
        (("partition", "--tumor-g", 0.2, "--normal-g", 1.3, "--tn", 5, "--tumor-gy", 205), "check that they are in g"),
        ((*VIAL[:1], "--activity-mbq", 1.7, *VIAL[3:]), "check that activities are in MBq"),
        ((*DELIVERED[:1], "--assay-mbq", 3.12, *DELIVERED[3:], "--at", "2024-05-02T13:30:00Z"), "in MBq"),
    ],
)
def test_numbers_that_look_like_another_unit_are_warned_of(words, said):
    assert any(said in warning["message"] for warning in asked(*words)["warnings"])
    assert asked("mird", "--mass-g", 200, "--dose-gy", 400, "--lung-shunt", 0.05, "--lung-g", 800)["warnings"] == []


def test_vial_and_body_surface_take_what_the_case_knows(case):
    given = case.with_name("vial.toml")
    given.write_text(
        case.read_text().replace(
            'device = "glass"', 'device = "glass"\nadministered_mbq = 9\nat = 2024-05-02T10:15:00Z'
        )
    )
    found = asked("vial", given, "--activity-mbq", 1700, "--calibrated-at", "2024-04-28T10:15:00Z")
    alone = asked(*VIAL, "--calibrated-at", "2024-04-28T10:15:00Z", "--device", "glass")
    tumor_ml = 4 * 5 * 6 * GRID.voxel_volume_ml
    assert found["vial_gbq"] == alone["vial_gbq"]
    assert found["spheres"] == pytest.approx(alone["spheres"])
    assert found["spheres_per_ml"] == pytest.approx(alone["spheres"] / tumor_ml, rel=1e-6)
    assert found["inputs"]["tumor_ml"] == pytest.approx(tumor_ml, rel=1e-6)
    part = tumor_ml / (14 * 16 * 20 * GRID.voxel_volume_ml)
    surface = 0.20247 * 1.7**0.725 * 70**0.425
    by_case = asked("bsa", case, "--height-m", 1.7, "--weight-kg", 70)
    assert by_case["activity_mbq"] == pytest.approx(1000 * (surface - 0.2 + part), rel=1e-6)
    assert "does not say it" in refused("plan", "vial", case, "--activity-mbq", 1700, code=2)


def test_a_region_that_is_not_there_is_refused_with_those_that_are(case):
    assert "liver, lesion_1, normal_liver" in refused("plan", "voxel", case, "--goal", "lesion_9.mean=400")


def test_the_card_of_a_results_folder_and_of_its_case_agree(case, tmp_path):
    text = case.read_text().replace('"liver", role = "liver"', '"p", role = "perfused"')
    text = text.replace('device = "glass"', 'device = "glass"\nadministered_mbq = 800.0\nat = 2024-05-02T10:15:00Z')
    given = case.with_name("given.toml")
    given.write_text(text)
    out = tmp_path / "out"
    assert run("assess", given, "--out", out, "--quiet").exit_code == 0
    flags = ("--sphere-bq-at-calibration", 2500, "--calibrated-at", "2024-04-28T16:00:00Z", "--segments", 1, "--json")
    shown = [json.loads(run("card", source, *flags).stdout) for source in (out, out / "assessment.json", given)]
    assert shown[0] == shown[1] == shown[2]
    rows = {(r["item"], r["reference"]): r for r in shown[0]["rows"]}
    mass_g = 14 * 16 * 20 * GRID.voxel_volume_ml * 1.04  # of the perfused label and the tumor in it
    dose = rows["Perfused volume, mean by single compartment", 190]
    assert dose["value"] == pytest.approx(49.38305 * 800 * 0.96 / mass_g, rel=1e-6)
    assert rows["Activity per sphere at infusion", 297]["status"] == "met"
    assert rows["Tumor diameter", 80]["status"] == "met"  # of the lesion that the perfused label encloses
    assert {"formula", "constants", "inputs", "sources"} <= shown[0].keys()
    assert any("Weber 2022" in source for source in shown[0]["sources"])


def test_the_card_needs_no_case_and_says_what_is_not_given():
    result = run("card", "--perfused-gy", 420, "--albi", 2, "--child-pugh", "b", "--treated-fraction", 0.2)
    assert result.exit_code == 0, result.output
    assert "not given" in result.stdout
    assert "14.5 %" in result.stdout
    assert "no recommendation" in result.stdout
    rows = {r["item"]: r for r in json.loads(run("card", "--tumor", 0.85, 372, "--json").stdout)["rows"]}
    assert (rows["V400 of tumor_1"]["value"], rows["D95 of tumor_1"]["value"]) == (0.85, 372)
    assert rows["D95 of tumor_1"]["status"] == "not applicable"  # the image is not known


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("card", "--sphere-bq-at-calibration", 2500), "--calibrated-at"),
        (("card", "nowhere"), "no such case file"),
        (("card", "--treated-fraction", -1), "treated_fraction"),
        (("card", "--treated-fraction", 14), "not percent"),
        (("card", "--tn", 0), "tumor_to_normal"),
        (("card", "--tumor", 40, 300), "not percent"),
        (("card", "--tumor", 0.4, "nan"), "--tumor must be a number"),
        (("card", "--tumor-diameter-mm", 0), "tumor_diameter_mm"),
        (
            (
                "card",
                "--sphere-bq-at-calibration",
                9,
                "--calibrated-at",
                "2024-04-28T16:00:00Z",
                "--at",
                "2024-04-29T16:00:00",
            ),
            "no time zone",
        ),
    ],
)
def test_a_card_that_cannot_be_is_refused(words, message):
    assert message in refused(*words)


def test_a_card_of_something_else_is_refused(tmp_path):
    other = tmp_path / "assessment.json"
    other.write_text("{}")
    assert "is no assessment" in refused("card", tmp_path)
    other.write_text('{"schema": "voxeldose/assessment/1", "constants": {"name": "ddep"}, "rois": {}}')
    assert "tumor_to_normal_ratio" in refused("card", other)


def test_tumor_to_normal_of_a_planning_case_without_an_activity(case):
    result = run("tn", case, "--json")
    assert result.exit_code == 0, result.stderr
    (row,) = json.loads(result.stdout)["tumor_to_normal"]
    assert row["by_concentration"] == pytest.approx(5, rel=1e-6)  # counts 40 and 8 a voxel
    assert row["by_dose"] == pytest.approx(5, rel=1e-6)
    assert row["normal"] == "whole normal liver: normal_liver"


def test_bilirubin_decides_liver_limits_from_numbers_and_from_a_case(case):
    words = ("--device", "glass", "--bilirubin-mg-per-dl", 1.6)
    planned = asked(*PARTITION, "--activity-mbq", 2600, *words)
    rows = {t["limit"]: t["met"] for t in planned["thresholds"] if t["roi"] == "normal_liver"}
    assert rows == {75: True, 50: False}  # 2.6 GBq: 49.38 * 1.04 = 51.4 Gy
    keyed = case.with_name("bilirubin.toml")
    keyed.write_text("[case]\nbilirubin_mg_per_dl = 0.7\n" + case.read_text())
    found = asked("voxel", keyed, "--goal", "lesion_1.mean=100")["thresholds"]
    assert {t["limit"] for t in found if t["roi"] == "normal_liver"} == {75, 90}
    assert {t["limit"] for t in asked("voxel", case, "--goal", "lesion_1.mean=100", *words)["thresholds"]} >= {75, 50}
    assert "mg/dL" in refused("plan", "mird", "--mass-g", 200, "--dose-gy", 9, "--bilirubin-mg-per-dl", 20)


def test_a_sites_thresholds_reach_assessment_and_plan(case, tmp_path):
    site = tmp_path / "site.toml"
    site.write_text(
        '[[threshold]]\nname = "Whole normal liver"\ndevice = "glass"\nrole = "normal_liver"\nmetric = "mean_dose_gy"\n'
        'sense = "below"\nlimit = 50.0\nsource = "protocol"\nmethod = "kernel mean"\ndose = "kernel"\n'
    )
    out = tmp_path / "out"
    result = run("assess", case, "--administered-mbq", 800, "--thresholds", site, "--out", out, "--json", "--quiet")
    assert result.exit_code == 0, result.output
    found = {t["name"]: t for t in json.loads(result.stdout)["thresholds"]}
    mine = found["Whole normal liver (below 50 Gy)"]
    assert "kernel convolution" in mine["differs"]
    assert "(local)" in mine["differs"]
    assert "Tumor response, lobar treatment (at least 205 Gy)" in found
    assert any(Path(i["path"]).name == "site.toml" for i in json.loads((out / "run.json").read_text())["inputs"])
    assert mine["differs"] in html.unescape((out / "report.html").read_text("utf-8"))
    planned = asked("mird", "--mass-g", 200, "--dose-gy", 400, "--device", "glass", "--thresholds", site)
    assert {t["limit"] for t in planned["thresholds"]} == {400}
    assert asked("voxel", case, "--goal", "lesion_1.mean=100", "--thresholds", site)["thresholds"]
    (case.parent / "own.toml").write_text(site.read_text())
    keyed = case.with_name("keyed.toml")
    keyed.write_text(case.read_text() + 'thresholds = "own.toml"\n')
    limits = {t["limit"] for t in asked("voxel", keyed, "--goal", "lesion_1.mean=100")["thresholds"]}
    assert 50 in limits
    assert 75 not in limits
