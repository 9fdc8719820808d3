import json

import pytest
from small_study import CASE, run, write_study

from voxeldose.dose.uncertainty.recovery import Recovery

SPREAD = """
[uncertainty]
samples = 30
seed = 3
calibration_fraction = 0.05
noise_fraction = 0.2
noise_fwhm_mm = 6.0
registration_mm = 1.0
contour_mm = 0.5
recovery = { b_ml = 3.0, c = 0.9, b_sd_ml = 0.2 }
probabilities = ["lesion.d95>=40"]
"""


def assessed(folder, table, *more):
    return run("assess", write_study(folder, table), "--overwrite", *more)


def test_a_case_with_uncertainties_has_them_in_every_result(tmp_path):
    result = assessed(tmp_path, CASE + SPREAD)
    assert result.exit_code == 0, result.stderr
    assert "P(lesion d95_gy >= 40)" in result.stdout
    found = json.loads((tmp_path / "case-results" / "assessment.json").read_text())["uncertainty"]
    assert (found["samples"], found["seed"]) == (30, 3)
    lesion = found["rois"]["lesion"]
    assert lesion["metrics"]["mean_dose_recovered_gy"]["sd"] > 0
    assert {"q025", "q500", "q975", "mean", "sd", "value", "bias"} == set(lesion["metrics"]["d95_gy"])
    assert sum(t["variance_fraction"] for t in lesion["budget"]) == pytest.approx(1)
    assert lesion["dominant"] == lesion["budget"][0]["name"]
    assert len(lesion["dvh_band"]["dose_gy"]) == len(lesion["dvh_band"]["low_fraction"])
    assert found["inputs"]["recovery"]["b_ml"] == 3.0
    assert {p["source"] for p in found["probabilities"]} > {"asked for"}


def test_a_case_without_uncertainties_has_none(tmp_path):
    assert assessed(tmp_path, CASE).exit_code == 0
    assert json.loads((tmp_path / "case-results" / "assessment.json").read_text())["uncertainty"] is None


def test_flags_make_and_change_the_table(tmp_path):
    words = ("--uncertainty", "calibration_fraction=0.1", "--samples", 30, "--probability", "lesion.mean<1e6", "--json")
    found = json.loads(assessed(tmp_path, CASE, *words).stdout)["uncertainty"]
    assert found["samples"] == 30
    assert found["inputs"]["calibration_fraction"] == 0.1
    assert found["probabilities"][0]["probability"] == 1
    changed = json.loads(assessed(tmp_path, CASE + SPREAD, "--samples", 25, "--json").stdout)["uncertainty"]
    assert (changed["samples"], changed["inputs"]["noise_fraction"]) == (25, 0.2)


@pytest.mark.parametrize(
    ("table", "more", "code", "said"),
    [
        ("[uncertainty]\ncalibration_fracton = 0.1", (), 3, "calibration_fraction"),
        ("[uncertainty]\nnoise_fraction = 0.1", (), 3, "noise_fwhm_mm"),
        ('[uncertainty]\nprobabilities = ["lesion.d95"]', (), 3, "no condition"),
        ('[uncertainty]\nprobabilities = ["none.d95>=1"]', (), 3, "names no ROI"),
        ("[uncertainty]\nrecovery = { b_ml = 2.0 }", (), 3, "needs b_ml and c"),
        ("[uncertainty]\nrecovery = { b_ml = 2.0, c = 1.0, spheres = [[1.0, 0.5, 0.1]] }", (), 3, "contradict"),
        ("[uncertainty]\nrecovery = { spheres = [[1.0, 0.5, 0.1]] }", (), 3, "three spheres"),
        ("uncertainty = 5", (), 3, "uncertainty"),
        ("", ("--uncertainty", "calibration_fraction"), 2, "KEY=VALUE"),
        ("", ("--uncertainty", "timing_h=soon"), 3, "timing_h"),
        ("", ("--uncertainty", "calibration=0.1"), 3, "calibration_fraction"),
        ("", ("--samples", "3"), 3, "samples"),
        ('[radiobiology]\ntumor = "cremonesi-2008-normal-liver"', (), 3, "is for normal liver"),
        ('[radiobiology]\ntumor = "unknown"', (), 3, "no parameter set"),
    ],
)
def test_tables_and_flags_that_cannot_be_used(tmp_path, table, more, code, said):
    text = table + "\n" + CASE if "=" in table and not table.startswith("[") else CASE + table
    result = assessed(tmp_path, text, *more)
    assert result.exit_code == code, result.output
    assert said in result.stderr
    assert not (tmp_path / "case-results").exists()


def test_the_worked_example_from_numbers_alone():
    words = "uncertainty mean --dose-gy 200 --diameter-mm 30 --voxel-mm 4 --fwhm-mm 7 --phi 0.8 --recovery-b-ml 3"
    words += " --recovery-c 0.9 --energy 0"
    found = json.loads(run(*words.split(), "--json").stdout)
    assert found["relative_sd"] == pytest.approx(0.171, abs=5e-4)
    assert found["volume_terms_as_if_independent"] == pytest.approx(0.58, abs=5e-3)
    assert {"formula", "constants", "inputs", "sources"} <= found.keys()
    shown = run(*words.split(), "--calibration", "0.3").stdout
    assert "calibration" in shown.split("<- largest")[0].splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("mean --dose-gy 5", "--diameter-mm or --volume-ml"),
        ("mean --dose-gy 5 --volume-ml 5", "--phi"),
        ("mean --dose-gy 5 --volume-ml 5 --recovery-c 1", "belong together"),
        ("recovery", "one of them"),
        ("recovery --results nowhere", "--true-mbq-per-ml"),
    ],
)
def test_wrong_usage(words, said):
    result = run("uncertainty", *words.split())
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--dose-gy nan --diameter-mm 30 --phi 0.8", "--dose-gy must be a number"),
        ("--dose-gy 300 --diameter-mm inf --phi 0.8", "--diameter-mm must be a number"),
        ("--dose-gy 300 --diameter-mm 30 --phi 0.8 --calibration 5", "no percent"),
        ("--dose-gy 300 --diameter-mm 30 --phi 0.8 --statistics -0.1", "at least 0"),
    ],
)
def test_impossible_numbers_are_refused(words, said):
    result = run("uncertainty", "mean", *words.split())
    assert result.exit_code == 3, result.output
    assert said in result.stderr


def write_manifest(folder, calibration):
    """That of a run that was calibrated so."""
    manifest = {
        "schema": "voxeldose/run/2",
        "case": {"dose": {"calibration": calibration}},
        "inputs": [],
        "outputs": {},
    }
    (folder / "run.json").write_text(json.dumps(manifest | {"version": "0"}))


def test_a_recovery_curve_from_spheres_and_from_a_phantom_run(tmp_path):
    truth = Recovery(1.8, 0.7)
    volumes = (0.52, 1.15, 2.57, 5.58, 11.49, 26.52)
    spheres = [w for v in volumes for w in ("--sphere", v, float(truth.at(v)), 0.02)]
    given = json.loads(run("uncertainty", "recovery", *spheres, "--json").stdout)
    assert (given["b_ml"], given["c"]) == pytest.approx((1.8, 0.7), rel=1e-4)
    rois = {
        f"sphere_{n}": {"role": "tumor", "volume_ml": v, "activity_mbq": 2.5 * v * float(truth.at(v))}
        for n, v in enumerate(volumes)
    }
    content = {"schema": "voxeldose/assessment/2", "rois": rois}
    (tmp_path / "assessment.json").write_text(json.dumps(content))
    write_manifest(tmp_path, "absolute")
    words = ("uncertainty", "recovery", "--results", tmp_path, "--true-mbq-per-ml", 2.5)
    measured = json.loads(run(*words, "--json").stdout)
    assert (measured["b_ml"], measured["c"]) == pytest.approx((1.8, 0.7), rel=1e-4)
    assert "recovery = { b_ml = 1.8" in run(*words).stdout
    write_manifest(tmp_path, "administered")
    refused = run(*words)
    assert refused.exit_code == 3
    assert "absolute" in refused.stderr
