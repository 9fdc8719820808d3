import json
import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from small_study import CASE, FILES, GRID, LESION, run, write_study

from voxeldose.io.arrays import read_array
from voxeldose.io.nifti import write_labels, write_nifti
from voxeldose.model.grid import Grid
from voxeldose.model.volume import Volume
from voxeldose.model.wording import number

LABELS = {"1": {"name": "liver", "role": "liver"}, "2": {"name": "lesion", "role": "tumor"}}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A small NIfTI study: activity in Bq/mL, labels with names, and a case file."""
    write_study(tmp_path, CASE + "residual_mbq = 1.0\nlung_shunt_fraction = 0.04\n")
    (tmp_path / "labels.json").write_text(json.dumps(LABELS))
    return tmp_path


def by_flags(study: Path, *more: object):
    return run(
        *("assess", "--activity", study / "pet.nii.gz", "--rois", study / "labels.nii.gz", "--out", study / "out"),
        *("--labels", study / "labels.json", "--quantity", "bq_per_ml", "--administered-mbq", 60, *more),
    )


def refused(result, *words: str, out: Path | None = None):
    """One clear message on stderr, exit code 2 or 3, no results folder, no traceback."""
    assert result.exit_code in (2, 3), result.output
    for word in words:
        assert word in result.stderr
    assert "Traceback" not in result.output
    if out is not None:
        assert not out.exists()
        assert not list(out.parent.glob(".*partial*"))


def test_a_case_file_gives_every_result(study):
    result = run("assess", study / "case.toml")
    assert result.exit_code == 0, result.output
    out = study / "case-results"
    assert {p.name for p in out.iterdir()} == FILES
    found = json.loads((out / "assessment.json").read_text())
    assert found["schema"] == "voxeldose/assessment/2"
    assert set(found["rois"]) == {"liver", "lesion", "normal_liver"}
    assert found["tumor_to_normal_ratio"] == pytest.approx(5, rel=1e-4)
    assert "lesion" in result.stdout
    assert "Results:" in result.stderr
    assert "Results:" not in result.stdout


def test_flags_give_the_same_numbers_as_the_case_file_and_json_is_what_is_written(study):
    run("assess", study / "case.toml")
    flags = ("--measured-at", "2024-05-03T08:15:00+02:00", "--at", "2024-05-02T10:15:00Z", "--residual-mbq", 1)
    result = by_flags(study, *flags, "--lung-shunt", 0.04, "--device", "glass", "--id", "case-001", "--json", "--quiet")
    assert result.exit_code == 0, result.output
    written = json.loads((study / "case-results" / "assessment.json").read_text())
    shown = json.loads(result.stdout)
    assert shown["rois"] == written["rois"]
    assert shown["totals"] == written["totals"]
    assert result.stderr == ""


def test_flags_override_the_case_file(study):
    found = json.loads(
        run("assess", study / "case.toml", "--engine", "local", "--constants", "vendor", "--json").stdout
    )
    assert found["method"]["engine"] == "local"
    assert found["constants"]["gy_kg_per_gbq"] == pytest.approx(50)


def test_the_manifest_holds_hashes_constants_and_the_case(study):
    import hashlib

    run("assess", study / "case.toml")
    manifest = json.loads((study / "case-results" / "run.json").read_text())
    hashes = {Path(i["path"]).name: i["sha256"] for i in manifest["inputs"]}
    assert hashes["pet.nii.gz"] == hashlib.sha256((study / "pet.nii.gz").read_bytes()).hexdigest()
    assert manifest["case"]["administration"]["administered_mbq"] == 60
    assert manifest["kernel"]["sha256"]
    assert set(manifest["outputs"]) == FILES - {"run.json"}


def test_dose_file_has_the_hottest_voxel_in_the_lesion_by_simpleitk_too(study):
    import SimpleITK as sitk  # noqa: N813

    run("assess", study / "case.toml")
    path = study / "case-results" / "dose.nii.gz"
    values, grid, _ = read_array(path)
    point = grid.points_lps_mm(np.unravel_index(values.argmax(), values.shape))
    image = sitk.ReadImage(str(path))
    array = sitk.GetArrayFromImage(image)
    k, j, i = (int(n) for n in np.unravel_index(array.argmax(), array.shape))
    np.testing.assert_allclose(image.TransformIndexToPhysicalPoint((i, j, k)), point, atol=1e-3)
    index = GRID.indices(point)
    for place, axis in zip(np.rint(index), LESION, strict=True):
        assert axis.start <= place < axis.stop


@pytest.mark.parametrize("grid", ["rois", "2.5"])
def test_dose_on_another_grid(study, grid):
    result = run("assess", study / "case.toml", "--grid", grid, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["method"]["grid"]
    wanted = list(GRID.spacing_mm) if grid == "rois" else [2.5] * 3
    np.testing.assert_allclose(found["spacing_mm_kji"], wanted, rtol=1e-5)
    if grid == "rois":
        assert found["shape_kji"] == list(GRID.shape)


def test_nothing_is_overwritten_unless_asked_and_never_a_folder_of_others(study):
    assert run("assess", study / "case.toml").exit_code == 0
    before = (study / "case-results" / "run.json").read_text()
    refused(run("assess", study / "case.toml"), "already exists", "--overwrite")
    assert (study / "case-results" / "run.json").read_text() == before
    assert run("assess", study / "case.toml", "--overwrite").exit_code == 0
    mine = study / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("dear")
    refused(run("assess", study / "case.toml", "--out", mine, "--overwrite"), "not a folder that voxeldose made")
    assert (mine / "thesis.txt").read_text() == "dear"


def test_a_failed_overwrite_leaves_the_earlier_results(study):
    assert run("assess", study / "case.toml").exit_code == 0
    before = (study / "case-results" / "run.json").read_text()
    (study / "labels.nii.gz").unlink()
    assert run("assess", study / "case.toml", "--overwrite").exit_code == 3
    assert (study / "case-results" / "run.json").read_text() == before


CASES = {
    "missing file": ({"pet.nii.gz": "gone.nii.gz"}, ("gone.nii.gz", "no such file")),
    "empty folder": ({'"pet.nii.gz"': '"empty"'}, ("empty", "folder is empty")),
    "unknown key": ({"residual_mbq": "residul_mbq"}, ("residul_mbq", "did you mean 'residual_mbq'")),
    "unknown table": ({"[administration]": "[administraton]"}, ("administraton", "did you mean 'administration'")),
    "negative activity": ({"administered_mbq = 60.0": "administered_mbq = -60.0"}, ("administered_mbq", "-60")),
    "naive instant": ({"at = 2024-05-02T10:15:00Z": "at = 2024-05-02T10:15:00"}, ("no time zone", "+00:00")),
    "scan before infusion": ({"measured_at = 2024-05-03": "measured_at = 2024-05-01"}, ("before the infusion",)),
    "scan years after infusion": ({"at = 2024-05-02T10:15:00Z": "at = 1900-05-02T10:15:00Z"}, ("half-lives", "dates")),
    "residual in a far year": (
        {"residual_mbq = 1.0": "residual_mbq = 1.0\nresidual_at = 9999-05-02T10:15:00Z"},
        ("half-lives", "dates"),
    ),
    "voxels larger than a patient": ({"[[rois]]": "[dose]\ngrid = 1e6\n[[rois]]"}, ("dose.grid", "100")),
    "margin larger than a liver": (
        {
            "[administration]": '[[derived]]\nname = "a"\nrole = "other"\nfrom = "liver"\nmargin_mm = 1e6\n[administration]'
        },
        ("margin_mm", "200"),
    ),
    "label that is not there": ({"2 = {": "7 = {"}, ("labels.nii.gz", "7")),
    "unknown role": ({'role = "tumor"': 'role = "tumour"'}, ("tumour",)),
    "percent as fraction": ({"fraction = 0.04": "fraction = 4.0"}, ("lung_shunt_fraction",)),
    "residual above vial": ({"residual_mbq = 1.0": "residual_mbq = 100.0"}, ("residual_mbq",)),
    "not toml": ({"[activity]": "[activity"}, ("case.toml", "TOML")),
    "quantity not said": ({'quantity = "bq_per_ml"': ""}, ("pet.nii.gz", "quantity")),
    "wrong type": ({"administered_mbq = 60.0": 'administered_mbq = "60"'}, ("administered_mbq", "'60'")),
    "ct grid without ct": ({"[[rois]]": '[dose]\ngrid = "ct"\n[[rois]]'}, ("[ct]",)),
    "ct density without ct": ({"[[rois]]": '[dose]\ndensity = "ct"\n[[rois]]'}, ("[ct]",)),
    "density said twice": (
        {"[[rois]]": '[dose]\ndensity = "rho.nii"\ndensity_g_per_ml = 1.0\n[[rois]]'},
        ("contradict",),
    ),
    "region that is not there": ({"[[rois]]": '[dose]\ncalibration_region = "spleen"\n[[rois]]'}, ("spleen", "liver")),
    "nothing to scale to": ({"administered_mbq = 60.0": ""}, ("administered_mbq",)),
}


def without_liver(study, *more):
    """The study with its lesion alone labelled."""
    labels = {"2": LABELS["2"]}
    (study / "labels.json").write_text(json.dumps(labels))
    return by_flags(study, "--at", "2024-05-02T10:15:00Z", "--measured-at", "2024-05-03T06:15:00Z", *more)


def test_a_lesion_alone_does_not_get_all_of_the_activity_unless_the_user_says_where_it_lies(study):
    refused(without_liver(study), "lesion (tumor)", "--calibration-region", '"image"', out=study / "out")
    image = json.loads(without_liver(study, "--calibration-region", "image", "--json", "--quiet").stdout)
    whole = json.loads(run("assess", study / "case.toml", "--residual-mbq", 0, "--lung-shunt", 0, "--json").stdout)
    # all counts of this image lie in the liver: both calibrations are one
    dose = whole["rois"]["lesion"]["mean_dose_gy"]
    assert image["rois"]["lesion"]["mean_dose_gy"] == pytest.approx(dose, rel=1e-6)
    assert image["totals"]["calibration_region"] == "the whole image"
    named = without_liver(study, "--calibration-region", "lesion", "--json", "--overwrite")
    assert named.exit_code == 0, named.output
    found = json.loads(named.stdout)
    outside = found["totals"]["outside_region_mbq"]
    assert outside == pytest.approx(60 * (1 / image["rois"]["lesion"]["activity_mbq"] * 60 - 1), rel=1e-4)
    assert "activity-outside-region" in {w["code"] for w in found["warnings"]}


def test_totals_of_the_calibration_are_the_same_in_every_place(study):
    text = (study / "case.toml").read_text().replace("[[rois]]", '[dose]\ncalibration_region = "lesion"\n[[rois]]')
    (study / "case.toml").write_text(text)
    result = run("assess", study / "case.toml")
    assert result.exit_code == 0, result.output
    out = study / "case-results"
    totals = json.loads((out / "assessment.json").read_text())["totals"]
    assert totals["calibration_region"] == "ROI lesion"
    assert totals["calibration_region_mbq"] == pytest.approx(59 * 0.96, rel=1e-6)
    assert totals["outside_region_mbq"] == pytest.approx(totals["activity_mbq"] - 59 * 0.96, rel=1e-5)
    assert totals["outside_region_fraction"] == pytest.approx(totals["outside_region_mbq"] / 59, rel=1e-6)
    assert totals["liver_of_field_fraction"] == pytest.approx(1, rel=1e-6)
    inside, outside = (f"{number(totals[key])} MBq" for key in ("calibration_region_mbq", "outside_region_mbq"))
    assert f"Calibration region: ROI lesion; {inside} in it, {outside} outside" in result.stdout
    assert "liver/field of view 100.0 %" in result.stdout
    assert f"{outside}, {100 * totals['outside_region_fraction']:.1f} % of the net activity" in result.stderr
    assert "Liver / field of view 100" in (out / "report.html").read_text()


def test_much_activity_outside_the_liver_is_accepted_by_key_and_by_flag(study):
    values = np.full(GRID.shape, 4e4, np.float32)
    values[2:10, 2:12, 3:13] = 1e5
    write_nifti(Volume(values, GRID), study / "pet.nii.gz")
    text = (study / "case.toml").read_text()
    small = text.replace('2 = { name = "lesion", role = "tumor" }', '2 = { name = "liver", role = "liver" }')
    small = small.replace('1 = { name = "liver", role = "liver" }, ', "")
    (study / "case.toml").write_text(small)
    refused(run("assess", study / "case.toml"), "--allow-activity-outside", out=study / "case-results")
    by_flag = run("assess", study / "case.toml", "--allow-activity-outside", "--json", "--quiet")
    assert by_flag.exit_code == 0, by_flag.output
    (study / "case.toml").write_text(small.replace("[[rois]]", "[dose]\nallow_activity_outside = true\n[[rois]]"))
    by_key = run("assess", study / "case.toml", "--json", "--quiet", "--overwrite")
    assert json.loads(by_key.stdout)["totals"] == json.loads(by_flag.stdout)["totals"]


@pytest.mark.parametrize("name", CASES)
def test_wrong_input_ends_with_one_message_and_no_results(study, name):
    changes, words = CASES[name]
    (study / "empty").mkdir()
    text = (study / "case.toml").read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (study / "case.toml").write_text(text)
    refused(run("assess", study / "case.toml"), *words, out=study / "case-results")


def test_labels_that_do_not_overlap_the_image_are_refused(study):
    labels = np.ones((4, 4, 4), np.uint8)
    write_labels(labels, Grid.from_axes((4, 4, 4), (3, 3, 3), (900, 0, 0)), study / "labels.nii.gz")
    (study / "labels.json").write_text(json.dumps({"1": LABELS["1"]}))
    refused(by_flags(study), "does not overlap", out=study / "out")


def test_an_image_of_zeros_is_refused(study):
    write_nifti(Volume(np.zeros(GRID.shape), GRID), study / "pet.nii.gz")
    refused(by_flags(study), "no activity", out=study / "out")


def test_not_a_number_is_refused(study):
    values = np.ones(GRID.shape)
    values[1, 2, 3] = np.nan
    write_nifti(Volume(values, GRID), study / "pet.nii.gz")
    refused(by_flags(study), "not finite", out=study / "out")


def test_truncated_and_foreign_files_are_refused(study):
    whole = (study / "pet.nii.gz").read_bytes()
    (study / "pet.nii.gz").write_bytes(whole[: len(whole) // 2])
    refused(by_flags(study), "pet.nii.gz", out=study / "out")
    (study / "pet.nii.gz").write_text("not an image")
    refused(by_flags(study), "pet.nii.gz", out=study / "out")


@pytest.mark.parametrize(
    "words",
    [
        ("assess",),
        ("assess", "--activity", "x"),
        ("assess", "--activity", "x", "--rois", "y"),
        ("assess", "x.toml", "--at", "yesterday"),
        ("assess", "x.toml", "--engine", "magic"),
        ("kernel", "--spacing-mm", "3", "3"),
        ("nothing",),
    ],
)
def test_wrong_usage_is_exit_code_2(words):
    result = run(*words)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_a_grid_that_is_no_word_and_no_number_is_wrong_usage(study):
    assert run("assess", study / "case.toml", "--grid", "fine").exit_code == 2


def test_one_labels_file_names_the_regions_of_several_files(study):
    labels, grid, _ = read_array(study / "labels.nii.gz")
    for name, value in (("whole", labels > 0), ("spot", labels == 2)):
        write_labels(value.astype(np.uint8), grid, study / f"{name}.nii.gz")
    names = {"whole": {"name": "liver", "role": "liver"}, "spot": {"name": "lesion", "role": "tumor"}}
    (study / "labels.json").write_text(json.dumps(names))
    words = ("--rois", study / "whole.nii.gz", "--rois", study / "spot.nii.gz", "--labels", study / "labels.json")
    image = ("--activity", study / "pet.nii.gz", "--quantity", "bq_per_ml", "--administered-mbq", 60)
    result = run("assess", *image, *words, "--out", study / "out", "--json")
    assert result.exit_code == 0, result.output
    rois = json.loads(result.stdout)["rois"]
    assert rois["normal_liver"]["volume_ml"] == pytest.approx(rois["liver"]["volume_ml"] - rois["lesion"]["volume_ml"])


def test_two_regions_of_one_name_are_refused(study):
    refused(by_flags(study, "--rois", study / "labels.nii.gz"), "stands for 2 regions", out=study / "out")


@pytest.mark.parametrize("text", ["dose = 3\n", "administration = [1]\n", "activity = 'pet'\n"])
def test_a_case_file_whose_tables_are_none_is_refused(study, text):
    (study / "case.toml").write_text(text)
    refused(run("assess", study / "case.toml", "--density", "ct", "--device", "glass"), out=study / "case-results")


def test_labels_without_a_file_of_regions_are_refused(study):
    (study / "case.toml").write_text('[activity]\npath = "pet.nii.gz"\n')
    words = ("assess", study / "case.toml", "--labels", study / "labels.json")
    refused(run(*words), "rois", out=study / "case-results")


def test_labels_that_are_no_json_are_refused(study):
    (study / "labels.json").write_text("{1: liver}")
    refused(by_flags(study), "labels.json", "JSON", out=study / "out")


def test_an_unforeseen_fault_is_one_line_and_exit_code_1(study, monkeypatch):
    monkeypatch.setattr(import_module("voxeldose.jobs.run_case"), "assess", lambda *_, **__: 1 / 0)
    result = run("assess", study / "case.toml")
    assert result.exit_code == 1
    assert "ZeroDivisionError" in result.stderr
    assert "Traceback" not in result.output
    assert not (study / "case-results").exists()
    assert not list(study.glob(".*partial*"))


def test_a_killed_run_leaves_no_results_and_a_rerun_works(study):
    script = (
        "import importlib, sys, time\n"
        "job = importlib.import_module('voxeldose.jobs.run_case')\n"
        "job.write_report = lambda *a, **k: (print('writing', flush=True), time.sleep(60))\n"
        "from voxeldose.cli import main\nmain(sys.argv[1:])\n"
    )
    command = [sys.executable, "-c", script, "assess", str(study / "case.toml")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "writing\n"
        os.kill(running.pid, signal.SIGKILL)
    assert not (study / "case-results").exists()
    assert len(list(study.glob(".case-results.partial-*"))) == 1
    result = run("assess", study / "case.toml")
    assert result.exit_code == 0, result.output
    assert {p.name for p in (study / "case-results").iterdir()} == FILES
    assert not list(study.glob(".case-results.partial-*"))


def test_two_runs_into_one_folder_do_not_mix(study):
    command = [sys.executable, "-m", "voxeldose", "assess", str(study / "case.toml"), "--quiet"]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    codes = sorted(p.wait(120) for p in both)
    for p in both:
        assert p.stderr is not None
        p.stderr.close()
    assert codes[0] == 0
    assert codes[1] in (0, 3)
    assert {p.name for p in (study / "case-results").iterdir()} == FILES
    time.sleep(0)


@pytest.mark.parametrize("suffix", ["csv", "npz", "nii.gz"])
def test_kernel_writes_s_values(tmp_path, suffix):
    out = tmp_path / f"s.{suffix}"
    result = run("kernel", "--spacing-mm", 3, 3, 3, "--out", out)
    assert result.exit_code == 0, result.output
    assert "1.59" in result.stdout
    assert out.stat().st_size > 0
    refused(run("kernel", "--spacing-mm", 3, 3, 3, "--out", out), "--overwrite")


@pytest.mark.parametrize(
    ("flag", "number"),
    [("--density-g-per-ml", 26), ("--density-g-per-ml", 0.04), ("--reach-mm", 201), ("--reach-mm", "nan")],
)
def test_a_kernel_beyond_tissue_or_reach_is_refused(tmp_path, flag, number):
    out = tmp_path / "s.csv"
    refused(run("kernel", "--spacing-mm", 3, 3, 3, "--out", out, flag, number), flag, f"found {number}", out=out)


NUMBERS = [
    ("plan", "mird", "--dose-gy", 400, "--mass-g"),
    ("lung-shunt", "planar", "--lung-anterior"),
    ("uncertainty", "mean", "--volume-ml", 5, "--dose-gy"),
    ("uncertainty", "recovery", "--sphere", 1, 0.5),
    ("radiobiology", "--dose-gy"),
    ("card", "--tn"),
    ("assess", "case.toml", "--administered-mbq"),
]


@pytest.mark.parametrize("words", NUMBERS, ids=lambda words: " ".join(map(str, words)))
@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e300", "1e-300", "-1e13"])
def test_no_command_takes_a_number_that_nothing_measured_can_have(words, number):
    result = run(*words, number)
    assert result.exit_code == 3
    flag = next(w for w in reversed(words) if str(w).startswith("--"))
    assert f"{flag} must be a number from 1e-12 to 1e+12, found {number}." in result.stderr


def test_kernel_refuses_what_it_cannot_write_or_make(tmp_path):
    refused(run("kernel", "--spacing-mm", 3, 3, 3, "--out", tmp_path / "s.txt"), ".csv")
    refused(run("kernel", "--spacing-mm", 3, 0, 3, "--out", tmp_path / "s.csv"), "positive")
    refused(run("kernel", "--spacing-mm", 3, 3, 3, "--out", tmp_path / "no" / "s.csv"), "folder")


def test_inspect_lists_files_and_says_what_they_need(study):
    result = run("inspect", study, "--json")
    rows = {Path(r["path"]).name: r for r in json.loads(result.stdout)}
    assert rows["labels.nii.gz"]["use"] == "rois"
    assert "does not say" in rows["pet.nii.gz"]["verdict"]
    assert "labels.nii.gz" in run("inspect", study).stdout


def test_inspect_of_nothing_is_refused(tmp_path):
    refused(run("inspect", tmp_path / "gone"), "no such file or folder")
    refused(run("inspect", tmp_path), "empty")


def test_version():
    from voxeldose import __version__

    assert __version__ in run("--version").stdout
