import json

import numpy as np
import pytest
from small_study import run

from voxeldose.grid import Grid
from voxeldose.io.nifti import write_labels, write_nifti
from voxeldose.volume import Volume

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
    ],
)
def test_wrong_usage(words, said):
    result = run(*words.split())
    assert result.exit_code == 2
    assert said in result.stderr


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
    assert any("field of view" in w for w in found["warnings"])


def test_labels_that_are_no_labels_are_refused(spect):
    (spect / "labels.json").write_text('{"1": "liver"}')
    result = by_spect(spect)
    assert result.exit_code == 3
    assert "name and a role" in result.stderr
