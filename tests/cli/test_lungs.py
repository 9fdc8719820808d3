import json

import numpy as np
import pytest
from small_study import run

from voxeldose.io.nifti import write_labels, write_nifti
from voxeldose.model.grid import Grid
from voxeldose.model.volume import Volume

COUNTS = "--lung-anterior 120000 --lung-posterior 150000 --liver-anterior 1.5e6 --liver-posterior 1.1e6"


def test_numbers_alone_give_shunt_and_lung_dose():
    words = f"lung-shunt planar {COUNTS} --activity-mbq 3000 --earlier-gy 12 --json".split()
    result = run(*words)
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["lung_shunt_fraction"] == pytest.approx(0.09457, abs=5e-6)
    assert found["lung_gy"] == pytest.approx(49.383 * 3 * found["lung_shunt_fraction"], rel=1e-4)
    assert found["cumulative_gy"] == pytest.approx(found["lung_gy"] + 12)
    assert found["lung_mass_g"] == 1000
    assert {"formula", "constants", "inputs", "sources", "warnings"} <= found.keys()
    assert [row["met"] for row in found["limits"]] == [True, True]


def test_text_says_formula_limits_and_what_is_allowed():
    shown = run(*f"lung-shunt planar {COUNTS} --activity-mbq 9000".split())
    assert "9.46 %" in shown.stdout
    assert "EXCEEDED" in shown.stdout
    assert "activity that keeps both limits" in shown.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("lung-shunt planar --lung-anterior 5", "--lung-posterior"),
        (f"lung-shunt planar {COUNTS} --image a.dcm", "not both"),
        (f"lung-shunt planar {COUNTS} --earlier-gy 5", "--activity-mbq"),
        (f"lung-shunt planar {COUNTS} --background-anterior 5", "--background-posterior"),
        ("lung-shunt planar --image a.dcm", "--rois"),
        ("lung-shunt spect", "one of them"),
        ("lung-shunt spect case.toml --lung-counts 5", "one of them"),
        ("lung-shunt spect case.toml --ct a", "its own"),
        ("lung-shunt spect --activity a", "belong together"),
        ("lung-shunt spect --lung-counts 5", "belong together"),
        ("lung-shunt spect --lung-counts 5 --liver-counts 9 --ct a", "without images"),
        ("lung-shunt dose --lung-shunt 0.08", "--activity-mbq is needed"),
    ],
)
def test_wrong_usage(words, said):
    result = run(*words.split())
    assert result.exit_code == 2
    assert said in result.stderr


def test_worked_example_19_from_counts_alone():
    found = json.loads(run("lung-shunt", "spect", "--lung-counts", 3.1e6, "--liver-counts", 58.9e6, "--json").stdout)
    assert found["lung_shunt_fraction"] == pytest.approx(0.05, rel=1e-12)
    assert found["sources"] == ["EANM SOP, Chiesa 2021, doi:10.1186/s40658-021-00394-3"]
    assert found["inputs"] == {"lung_counts": 3.1e6, "liver_counts": 58.9e6}


@pytest.mark.parametrize(("constants", "k"), [("ddep", 49.38), ("vendor", 50), ("legacy", 49.67)])
def test_worked_example_23_from_a_known_shunt_with_earlier_treatments(constants, k):
    words = "lung-shunt dose --lung-shunt 0.08 --activity-mbq 3000 --earlier-gy 12 --earlier-gy 20 --json --constants"
    found = json.loads(run(*words.split(), constants).stdout)
    assert found["lung_gy"] == pytest.approx(k * 3 * 0.08, rel=1e-4)
    assert found["cumulative_gy"] == pytest.approx(32 + k * 0.24, rel=1e-4)
    assert found["allowed_mbq"] == pytest.approx(18 / (k * 0.08) * 1000, rel=1e-4)
    assert {"formula", "constants", "inputs", "sources", "warnings"} <= found.keys()
    by_ct = run("lung-shunt", "dose", "--lung-shunt", 0.08, "--activity-mbq", 3000, "--lung-mass-g", 822)
    assert "14.4 Gy in 822" in by_ct.stdout
    assert "not the 1 kg" in by_ct.stderr


@pytest.mark.parametrize(
    "words",
    [
        "dose --lung-shunt 8 --activity-mbq 3000",
        "dose --lung-shunt nan --activity-mbq 3000",
        "dose --lung-shunt 0.08 --activity-mbq nan",
        "dose --lung-shunt 0.08 --activity-mbq 3000 --lung-mass-g 0",
        "spect --lung-counts -1 --liver-counts 5",
        "spect --lung-counts 1 --liver-counts 0",
        "spect --lung-counts nan --liver-counts 5",
    ],
)
def test_impossible_numbers_are_refused(words):
    result = run("lung-shunt", *words.split())
    assert result.exit_code == 3, result.output
    assert "found" in result.stderr


@pytest.fixture
def spect(tmp_path):
    grid = Grid.from_axes((16, 12, 14), (5, 4, 3), (-20, -22, -30))
    labels = np.zeros(grid.shape, np.uint8)
    labels[2:7, 2:10, 2:12] = 1
    labels[7:15, 2:10, 2:12] = 2
    write_labels(labels, grid, tmp_path / "labels.nii.gz")
    write_nifti(Volume(np.choose(labels, [0, 20.0, 1.0]).astype(np.float32), grid), tmp_path / "spect.nii.gz")
    write_nifti(Volume(np.choose(labels, [-1000, 50.0, -740.0]).astype(np.float32), grid), tmp_path / "ct.nii.gz")
    named = {"1": {"name": "liver", "role": "liver"}, "2": {"name": "lungs", "role": "lung"}}
    (tmp_path / "labels.json").write_text(json.dumps(named))
    return tmp_path


def by_spect(folder, *more):
    words = ("--activity", folder / "spect.nii.gz", "--quantity", "counts", "--rois", folder / "labels.nii.gz")
    return run("lung-shunt", "spect", *words, "--labels", folder / "labels.json", "--json", *more)


def test_spect_with_ct_gives_shunt_mass_and_dose(spect):
    result = by_spect(spect, "--ct", spect / "ct.nii.gz", "--activity-mbq", 2000, "--dome-margin-mm", 7)
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["lung_shunt_fraction"] == pytest.approx(8 / (8 + 5 * 20), rel=1e-6)
    assert found["lung_mass_source"].startswith("CT density")
    grams = 8 * 80 * 0.06 * np.interp(-740, (-1000, -98), (0.00121, 0.93))
    assert found["lung_mass_g"] == pytest.approx(grams, rel=1e-4)
    assert "field-of-view" in {w["code"] for w in found["warnings"]}


def test_a_case_gives_what_its_files_give_and_its_own_activity_and_constants(spect):
    case = spect / "case.toml"
    case.write_text(
        """
[activity]
path = "spect.nii.gz"
quantity = "counts"
[ct]
path = "ct.nii.gz"
[[rois]]
path = "labels.nii.gz"
[rois.labels]
1 = { name = "liver", role = "liver" }
2 = { name = "lungs", role = "lung" }
[administration]
administered_mbq = 2020.0
residual_mbq = 20.0
[dose]
constants = "legacy"
"""
    )
    result = run("lung-shunt", "spect", case, "--dome-margin-mm", 7, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    more = ("--ct", spect / "ct.nii.gz", "--activity-mbq", 2000, "--dome-margin-mm", 7, "--constants", "legacy")
    files = json.loads(by_spect(spect, *more).stdout)
    same = ("lung_shunt_fraction", "lung_gy", "lung_mass_g", "lung_mass_source", "constants")
    assert [found[k] for k in same] == [files[k] for k in same]
    assert found["constants"]["gy_kg_per_gbq"] == 49.67
    (by_case,) = [a for a in found["assumptions"] if a["code"] == "activity-from-case"]
    assert by_case["numbers"] == {"activity_mbq": 2000}
    assert "the case's, 2000 MBq" in by_case["message"]
    messages = [a["message"] for a in found["assumptions"]]
    assert len(messages) == len(set(messages))
    assert json.loads(run("lung-shunt", "spect", case, "--activity-mbq", 100, "--json").stdout)["activity_mbq"] == 100


def test_a_case_needs_no_administered_activity_for_a_shunt_and_says_what_whole_lungs_are(spect):
    text = """
[activity]
path = "spect.nii.gz"
quantity = "counts"
[[rois]]
path = "labels.nii.gz"
[rois.labels]
1 = { name = "liver", role = "liver" }
2 = { name = "lungs", role = "lung" }
"""
    case = spect / "case.toml"
    case.write_text(text)
    plain = run("lung-shunt", "spect", case, "--json")
    assert plain.exit_code == 0, plain.stderr
    found = json.loads(plain.stdout)
    assert found["lung_shunt_fraction"] == pytest.approx(8 / 108, rel=1e-6)
    assert found["lung_gy"] is None
    assert "activity-from-case" not in {a["code"] for a in found["assumptions"]}
    ml = 8 * 80 * 0.06
    twice = json.loads(run("lung-shunt", "spect", case, "--lung-volume-ml", 2 * ml, "--json").stdout)
    assert twice["lung_shunt_fraction"] == pytest.approx(16 / 116, rel=1e-6)
    case.write_text(text + f"[lungs]\nvolume_ml = {3 * ml}\nearlier_gy = [7.0]\ndome_margin_mm = 7.0\n")
    by_case = json.loads(run("lung-shunt", "spect", case, "--activity-mbq", 1000, "--json").stdout)
    assert by_case["lung_shunt_fraction"] == pytest.approx(24 / 124, rel=1e-6)
    assert by_case["cumulative_gy"] == pytest.approx(by_case["lung_gy"] + 7)
    assert by_case["inputs"]["dome_margin_mm"] == 7
    flags = ("--lung-volume-ml", 2 * ml, "--dome-margin-mm", 0, "--json")
    assert json.loads(run("lung-shunt", "spect", case, *flags).stdout)["lung_shunt_fraction"] == pytest.approx(16 / 116)


def test_the_mass_of_whole_lungs_scales_counts_without_an_activity(spect):
    grams = 8 * 80 * 0.06 * np.interp(-740, (-1000, -98), (0.00121, 0.93))
    result = by_spect(spect, "--ct", spect / "ct.nii.gz", "--lung-mass-g", 2 * grams)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["lung_shunt_fraction"] == pytest.approx(16 / 116, rel=1e-4)
    assert by_spect(spect, "--lung-mass-g", 900).exit_code == 2


def test_labels_that_are_no_labels_are_refused(spect):
    (spect / "labels.json").write_text('{"1": "liver"}')
    result = by_spect(spect)
    assert result.exit_code == 3
    assert "name and a role" in result.stderr
