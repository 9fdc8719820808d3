import json

import numpy as np
import pytest
from click.testing import CliRunner

from voxeldose.cli import main
from voxeldose.io.nifti import write_labels, write_nifti
from voxeldose.model.grid import Grid
from voxeldose.model.volume import Volume


def run(words):
    return CliRunner().invoke(main, ["radiobiology", *words.split()])


def answer(words):
    result = run(words + " --json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_numbers_alone_give_bed_and_equivalent_doses():
    found = answer("--dose-gy 205 --set cremonesi-2008-tumor")
    assert found["bed_gy"] == pytest.approx(301.2, abs=0.05)
    assert found["eubed_gy"] == pytest.approx(found["bed_gy"])
    assert "Cremonesi" in found["sources"][0]


def test_parts_of_a_region_have_an_eud():
    doses = " ".join(f"--dose-gy {d}" for d in range(100, 600, 50))
    found = answer(f"{doses} --set cremonesi-2008-tumor --geud-a -10")
    assert found["eud_gy"] == pytest.approx(304.55, abs=0.005)
    assert found["geud_gy"] == pytest.approx(125.66, abs=0.005)


def test_probabilities_name_their_source():
    found = answer("--dose-gy 292 --control jnm-2020-glass-mean-dose --slope 3 --td50-gy 52 --m 0.28 --source clinic")
    assert found["control_probability"] == pytest.approx(0.5)
    assert found["complication_probability"] > 0.99
    assert "clinic" in found["sources"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("--dose-gy 5 --td50-gy 52 --m 0.28", 2, "--source"),
        ("--dose-gy 5 --td50-gy 52 --source x", 2, "belong together"),
        ("--dose-gy 5 --m 0.3 --source x", 2, "belong together"),
        ("--dose-gy 5 --complication quoted-2014-resin-lobar --td50-gy 5 --m 1 --source x", 2, "not both"),
        ("--dose-gy 5 --roi a", 2, "names the region"),
        ("case.toml", 2, "names the region"),
        ("case.toml --roi a --dose-gy 5", 2, "one of them"),
        ("case.toml --roi a --role tumor", 2, "go with --dose-gy"),
        ("--results x --roi a --geud-a 2", 2, "do not hold gEUD"),
        (". --roi a", 2, "goes with --results"),
        ("--dose-gy 5 --earlier-gy 5", 2, "needs --set"),
        ("--dose-gy 5 --earlier-gy 5 --set cremonesi-2008-tumor --clonogens 9 --source x", 2, "after one treatment"),
        ("--dose-gy nan", 3, "found nan"),
        ("--dose-gy -5", 3, "0 Gy or more, found -5"),
        ("--dose-gy 5 --volume-ml nan", 3, "found nan"),
        ("", 2, "give --dose-gy"),
        ("--dose-gy 5 --complication none", 3, "there are quoted-2014"),
        ("--dose-gy 5 --complication quoted-2014-resin-lobar --m 0.3 --source x", 3, "name a parameter set"),
        ("--dose-gy 5 --set cremonesi-2008-normal-liver --complication quoted-2014-resin-lobar", 3, "no width m"),
        ("--dose-gy 5 --dose-gy 6 --volume-ml 1", 2, "as many"),
        ("--dose-gy 5 --clonogens 1e6 --source x", 2, "needs --set"),
        ("--dose-gy 5 --set none", 3, "there are cremonesi"),
        ("--dose-gy 5 --control jnm-2020-glass-mean-dose", 3, "has no slope"),
        ("--dose-gy 5 --control jnm-2020-glass-bed --slope 2 --source x", 3, "name a parameter set"),
        ("--dose-gy 5 --dose-gy 6 --control ejnmmi-res-2022-hcc-eud", 3, "in-vitro"),
        ("--results nowhere --roi a", 3, "cannot be read"),
    ],
)
def test_what_cannot_be_answered(words, code, said):
    result = run(words)
    assert result.exit_code == code, result.output
    assert said in result.stderr


TUMOR, LIVER = "--set cremonesi-2008-tumor", "--set cremonesi-2008-normal-liver"
OWN = "--source x --m 0.3"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (f"{LIVER} --control jnm-2020-glass-bed --slope 2 --source x", "different tissues"),
        (f"{TUMOR} --complication quoted-2014-glass-lobar {OWN}", "different tissues"),
        (f"--control jnm-2020-glass-bed --complication quoted-2014-glass-lobar {OWN}", "different tissues"),
        (f"{LIVER} --clonogens 1e6 --source x", "are a tumor's"),
        (f"{TUMOR} --td50-gy 52 {OWN}", "of normal tissue"),
        (f"--role tumor --td50-gy 52 {OWN}", "of normal tissue"),
        (f"{LIVER} --role tumor", "is for normal liver"),
        (f"{TUMOR} --role liver", "is for tumor"),
        ("--role liver --control jnm-2020-glass-mean-dose --slope 2 --source x", "is for tumor"),
        (f"{LIVER} --role tumor --complication quoted-2014-glass-lobar {OWN}", "is for normal liver"),
    ],
)
def test_sets_of_tumor_and_liver_cannot_be_swapped_with_numbers_either(words, said):
    result = run(f"--dose-gy 60 {words}")
    assert result.exit_code == 3, result.output
    assert said in result.stderr


def test_a_complication_curve_is_half_at_the_quoted_dose():
    # 93 Gy BED is 52.1 Gy and 250 Gy is 99.9 Gy at α/β 2.5 Gy and 2.5 h: D (1 + G D/2.5) with G = 2.5/66.54
    for device, gray, bed in (("resin", 52.137, 93), ("glass", 99.927, 250)):
        found = answer(f"--dose-gy {gray} --device {device} {LIVER} --complication quoted-2014-{device}-lobar {OWN}")
        assert found["bed_of_mean_gy"] == pytest.approx(bed, abs=0.02)
        assert found["complication_probability"] == pytest.approx(0.5, abs=1e-3)
        assert any("original not read" in s and "Walrand" in s for s in found["sources"])
    low = answer(f"--dose-gy 40 {LIVER} --complication quoted-2014-resin-lobar {OWN}")
    # 40 Gy is 64.04 Gy BED: Φ((64.04 - 93)/(0.3 · 93)) = Φ(-1.038)
    assert low["complication_probability"] == pytest.approx(0.1496, abs=1e-3)


def test_a_curve_of_other_spheres_is_refused():
    swapped = run(f"--dose-gy 52 --device glass {LIVER} --complication quoted-2014-resin-lobar {OWN}")
    assert swapped.exit_code == 3
    assert "found with resin spheres" in swapped.stderr
    assert run("--dose-gy 52 --device resin --control jnm-2020-glass-mean-dose --slope 2 --source x").exit_code == 3
    assert answer("--dose-gy 60 --device resin --control quoted-2022-resin-mean-dose --slope 2 --source x")[
        "control_probability"
    ] == pytest.approx(0.5)


def test_json_carries_formula_constants_inputs_and_sources():
    found = answer(f"--dose-gy 100 --dose-gy 300 --volume-ml 3 --volume-ml 1 {TUMOR} --geud-a 2 --constants legacy")
    assert found["formula"].keys() == {"bed_gy", "bed_of_mean_gy", "eud_gy", "eubed_gy", "geud_gy"}
    assert found["constants"]["name"] == "legacy"
    assert found["inputs"]["volume_ml"] == [3, 1]
    assert found["mean_dose_gy"] == 150
    assert found["geud_gy"] == pytest.approx((0.75 * 100**2 + 0.25 * 300**2) ** 0.5)


def test_bed_of_several_treatments_is_summed_by_treatment():
    found = answer(f"--dose-gy 75 --earlier-gy 40 --earlier-gy 30 {LIVER}")
    g = 2.5 / 66.54
    assert found["sum_dose_gy"] == 145
    assert found["sum_bed_gy"] == pytest.approx(sum(d * (1 + g * d / 2.5) for d in (75, 40, 30)), rel=1e-9)
    assert found["sum_bed_gy"] < 145 * (1 + g * 145 / 2.5) - 100


def test_the_list_shows_sources():
    shown = run("--list").stdout
    glass = "quoted-2014-glass-lobar (normal liver, 2014): td50_gy 250 of bed_of_mean_gy, glass spheres"
    assert f"{glass} [quoted; the series was not read]" in shown
    assert "cremonesi-2008-tumor (tumor, 2008)" in shown
    assert "89 lesions" in shown


@pytest.fixture
def results(tmp_path):
    roi = {"role": "normal_liver", "mean_dose_gy": 60.0, "bed_gy": 110.0, "eud_gy": 55.0, "eubed_gy": 80.0}
    content = {"schema": "voxeldose/assessment/2", "rois": {"normal": roi}, "administration": {"device": "glass"}}
    content |= {
        "radiobiology": {"normal_liver": {"name": "cremonesi-2008-normal-liver"}},
        "constants": {"name": "ddep"},
    }
    (tmp_path / "assessment.json").write_text(json.dumps(content))
    return tmp_path


def test_the_set_of_results_is_checked_where_they_state_it_and_said_where_not(results):
    path, words = results / "assessment.json", f"--results {results} --roi normal --set cremonesi-2008-normal-liver"
    content = json.loads(path.read_text())
    assert len(answer(words)["warnings"]) == 1
    path.write_text(json.dumps(content | {"radiobiology": {"normal_liver": {"name": "another"}}}))
    assert run(words).exit_code == 3
    assert "used the set another" in run(words).stderr
    del content["radiobiology"]
    path.write_text(json.dumps(content | {"schema": "voxeldose/assessment/1"}))
    found = answer(words)
    assert "parameter-set-unstated" in {w["code"] for w in found["warnings"]}
    assert found["bed_gy"] == pytest.approx(110.0)


def test_a_region_of_a_run_gets_probabilities_of_its_own_tissue_only(results):
    found = answer(
        f"--results {results} --roi normal --set cremonesi-2008-normal-liver --td50-gy 60 --m 0.3 --source x"
    )
    assert found["complication_probability"] == pytest.approx(0.5)
    swapped = run(f"--results {results} --roi normal --set cremonesi-2008-tumor")
    assert swapped.exit_code == 3
    assert "is for tumor" in swapped.stderr
    missing = run(f"--results {results} --roi liver")
    assert missing.exit_code == 3
    for wrong in (f"--td50-gy 60 {OWN} --set cremonesi-2008-tumor", f"{OWN} --complication quoted-2014-resin-lobar"):
        assert run(f"--results {results} --roi normal {wrong}").exit_code == 3
    assert run(f"--results {results} --roi normal --constants vendor").exit_code == 3


def test_a_region_of_a_case_is_answered_from_its_voxels(tmp_path):
    grid = Grid.from_axes((12, 14, 16), (4, 4, 4), (0, 0, 0))
    labels = np.ones(grid.shape, np.uint8)
    labels[4:8, 5:9, 6:10] = 2
    labels[4:8, 5:9, 8:10] = 3
    bq = np.choose(labels, [0, 1e6, 3e6, 5e6]).astype(np.float32)
    write_nifti(Volume(bq, grid), tmp_path / "pet.nii.gz")
    write_labels(np.minimum(labels, 2), grid, tmp_path / "labels.nii.gz")
    case = tmp_path / "case.toml"
    case.write_text(
        """
[activity]
path = "pet.nii.gz"
quantity = "bq_per_ml"
measured_at = 2024-05-02T10:15:00Z
image_nuclide = "Y-90"
[[rois]]
path = "labels.nii.gz"
[rois.labels]
1 = { name = "liver", role = "liver" }
2 = { name = "lesion", role = "tumor" }
[administration]
device = "glass"
at = 2024-05-02T10:15:00Z
[dose]
engine = "local"
calibration = "absolute"
density_g_per_ml = 1.0
"""
    )
    found = answer(f"{case} --roi lesion {TUMOR} --geud-a -5 --control jnm-2020-glass-bed --slope 2 --source x")
    dose = 49.38305 * np.array([3.0, 5.0])  # half the lesion each
    bed = dose * (1 + 1.5 / 65.54 * dose / 10)
    assert found["mean_dose_gy"] == pytest.approx(dose.mean(), rel=1e-6)
    assert found["bed_gy"] == pytest.approx(bed.mean(), rel=1e-6)
    assert found["geud_gy"] == pytest.approx((dose**-5).mean() ** -0.2, rel=1e-6)
    assert found["control_probability"] == pytest.approx(1 / (1 + (441 / bed.mean()) ** 2), rel=1e-6)
    assert (found["inputs"]["role"], found["inputs"]["device"]) == ("tumor", "glass")
    for words, said in (
        ("--roi lesion " + LIVER, "is for normal liver"),
        (f"--roi liver {LIVER} --complication quoted-2014-resin-lobar {OWN}", "found with resin"),
        ("--roi spleen", "no region spleen"),
    ):
        refused = run(f"{case} {words}")
        assert refused.exit_code == 3
        assert said in refused.stderr
