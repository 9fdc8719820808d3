import json

import pytest
from click.testing import CliRunner

from voxeldose.cli import main


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
        ("", 2, "give --dose-gy"),
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


def test_the_list_shows_sources():
    shown = run("--list").stdout
    assert "cremonesi-2008-tumor (tumor, 2008)" in shown
    assert "89 lesions" in shown


@pytest.fixture
def results(tmp_path):
    roi = {"role": "normal_liver", "mean_dose_gy": 60.0, "bed_gy": 110.0, "eud_gy": 55.0, "eubed_gy": 80.0}
    said = ["BED and EUD of normal liver (cremonesi-2008-normal-liver): α/β 2.5 Gy"]
    (tmp_path / "assessment.json").write_text(json.dumps({"rois": {"normal": roi}, "assumptions": said}))
    return tmp_path


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
