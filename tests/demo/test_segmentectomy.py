"""The segmentectomy of the demonstration, and its small twin for tests: what is true of them, and what runs find."""

import json
import tomllib

import nibabel as nib
import numpy as np
import pytest
import small_segmentectomy as small
from small_study import FILES, run

from voxeldose.demo.run import AnswerRow, compare_answers
from voxeldose.io.config.case import read_case_file
from voxeldose.io.regions import read_seg
from voxeldose.model.radionuclide import Y90


@pytest.fixture(scope="module")
def study(demo):
    return demo / "segmentectomy"


@pytest.fixture(scope="module")
def truth(study) -> dict:
    return json.loads((study / "truth.json").read_text())


def found(study, which: str = "results") -> dict:
    return json.loads((study / which / "assessment.json").read_text())


def test_both_studies_are_made_and_the_lobe_keeps_its_place(demo, study):
    made = {"ct", "pet", "spect", "labels.nii.gz", "rois.seg.dcm", "assess.toml", "plan.toml", "truth.json"}
    made |= {"full.toml", "labels.json", "results", "planned", "picture.png"}
    assert {p.name for p in demo.iterdir()} == made | {"segmentectomy", "printed.txt"}
    assert {p.name for p in study.iterdir()} == made | {"perfused.nii.gz"}
    assert {p.name for p in (study / "results").iterdir()} >= FILES


def test_activity_of_the_truth_is_all_in_the_segment_and_the_lungs(truth):
    given, rois = truth["parameters"], truth["rois"]
    net = given["administered_mbq"] - given["residual_mbq"]
    assert rois["perfused"]["activity_mbq"] == pytest.approx(net * (1 - given["lung_shunt_fraction"]), rel=1e-9)
    assert rois["lungs"]["activity_mbq"] == pytest.approx(net * given["lung_shunt_fraction"], rel=1e-9)
    assert rois["lesion_2"]["activity_mbq"] == rois["nonperfused_normal_liver"]["activity_mbq"] == 0
    parts = rois["perfused_normal_liver"]["activity_mbq"] + rois["lesion_1"]["activity_mbq"]
    assert parts == pytest.approx(rois["perfused"]["activity_mbq"], rel=1e-9)


def test_truth_of_one_compartment_is_above_400_gy_and_that_of_voxels_below_it(truth):
    given, perfused = truth["parameters"], truth["rois"]["perfused"]
    kg = perfused["volume_ml"] * perfused["density_g_per_ml"] / 1000
    gbq = (given["administered_mbq"] - given["residual_mbq"]) * (1 - given["lung_shunt_fraction"]) / 1000
    assert perfused["mird_dose_gy"] == pytest.approx(49.38 * gbq / kg, rel=1e-3)
    assert 400 < perfused["mean_dose_gy"] < perfused["mird_dose_gy"]


def test_true_ratio_is_that_of_uptakes_less_the_cold_core(truth):
    spheres = truth["parameters"]["spheres"]
    cold = (spheres["necrotic_core"]["radius_mm"] / spheres["lesion_1"]["radius_mm"]) ** 3
    ratio = truth["tumor_to_normal"]["lesion_1"]
    assert ratio["by_concentration"] == pytest.approx(truth["parameters"]["uptake"]["lesion_1"] * (1 - cold), rel=1e-6)
    assert ratio["normal"] == "perfused_normal_liver"


def test_one_tumor_lies_in_the_perfused_volume_and_one_outside(study):
    labels, perfused = (nib.load(study / f"{n}.nii.gz").get_fdata() for n in ("labels", "perfused"))
    assert set(np.unique(labels[perfused == 5])) == {1, 2}  # liver and lesion_1: nothing out of the liver
    assert np.all(perfused[labels == 2] == 5)
    assert not np.any(perfused[labels == 3])


def test_the_pet_finds_the_dose_less_what_blur_carries_out(study, truth):
    # 6.5 mm FWHM on a segment of 254 mL and a ball of 18 mm radius
    rois, true = found(study)["rois"], truth["rois"]
    assert 0.88 < rois["perfused"]["mean_dose_gy"] / true["perfused"]["mean_dose_gy"] < 0.97
    assert 0.80 < rois["lesion_1"]["mean_dose_gy"] / true["lesion_1"]["mean_dose_gy"] < 0.95
    assert abs(rois["lesion_2"]["mean_dose_gy"]) < 10  # noise about zero
    for name in ("perfused", "lesion_1", "lesion_2", "liver", "normal_liver", "perfused_normal_liver"):
        assert rois[name]["volume_ml"] == pytest.approx(true[name]["volume_ml"], rel=0.02)


def test_the_spect_predicts_a_smaller_ratio_than_the_pet_finds(study, truth):
    ratios = [
        next(row for row in found(study, which)["tumor_to_normal"] if row["roi"] == "lesion_1")["by_concentration"]
        for which in ("planned", "results")
    ]
    assert ratios[0] < ratios[1]
    assert ratios[1] / truth["tumor_to_normal"]["lesion_1"]["by_concentration"] < 1


def test_the_terminal_compares_with_the_truth_and_says_why_it_differs(demo, truth):
    printed = (demo / "printed.txt").read_text()
    lobe, segmentectomy = printed.split("Study segmentectomy:")
    assert "Against the truth" in lobe
    assert "one compartment" not in lobe
    for what in ("perfused, one compartment", "perfused, mean", "T/N", "V400", "not reached", "blur"):
        assert what in segmentectomy
    one = next(line for line in segmentectomy.splitlines() if line.startswith("perfused, one compartment"))
    assert f"{truth['rois']['perfused']['mird_dose_gy']:.0f}" in one


def test_one_study_alone_lies_in_the_folder_itself(tmp_path, monkeypatch):
    from voxeldose.demo import run as demo_run

    def run_one(folder, case, _):
        folder.mkdir(exist_ok=True)
        (folder / "made").write_text(case)
        return demo_run.DemoRun(case, folder, None, None, (), ())

    monkeypatch.setattr(demo_run, "_run_one", run_one)
    assert [r.folder for r in demo_run.run_demo(tmp_path / "a", cases=("segmentectomy",))] == [tmp_path / "a"]
    assert (tmp_path / "a" / "made").read_text() == "segmentectomy"
    both = demo_run.run_demo(tmp_path / "b")
    assert [(r.case, r.folder) for r in both] == [
        ("lobe", tmp_path / "b"),
        ("segmentectomy", tmp_path / "b" / "segmentectomy"),
    ]
    assert (tmp_path / "b" / "segmentectomy" / "made").read_text() == "segmentectomy"


@pytest.mark.parametrize("which", ["lobe", "segmentectomy"])
def test_the_full_case_file_is_the_case_and_its_labels_are_those(demo, study, which):
    folder = demo if which == "lobe" else study
    case = read_case_file(folder / "assess.toml")
    assert read_case_file(folder / "full.toml") == case
    labels = json.loads((folder / "labels.json").read_text())
    named = {key: {"name": v.name, "role": v.role} for table in case.rois for key, v in (table.labels or {}).items()}
    assert labels == named
    assert tomllib.loads((folder / "full.toml").read_text()) == tomllib.loads((folder / "assess.toml").read_text())


def test_flags_with_the_labels_file_give_the_numbers_of_the_case_file(tmp_path):
    case, _ = small.write_segmentectomy(tmp_path / "study")
    labels = {str(n): {"name": name, "role": role} for name, (n, role) in small.REGIONS.items()}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    by_case = json.loads(run("assess", case, "--json", "--out", tmp_path / "a").stdout)
    files = ("--rois", case.parent / "labels.nii.gz", "--rois", case.parent / "perfused.nii.gz")
    given = ("--administered-mbq", 1810, "--residual-mbq", 10, "--lung-shunt", 0.05, "--at", "2024-05-02T10:15:00Z")
    words = (
        "--activity",
        case.parent / "pet",
        "--ct",
        case.parent / "ct",
        *files,
        "--labels",
        tmp_path / "labels.json",
        *given,
    )
    result = run("assess", *words, "--engine", "local", "--device", "glass", "--json", "--out", tmp_path / "b")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["rois"] == by_case["rois"]


@pytest.mark.parametrize(("which", "truth"), [(0, small.DELIVERED), (1, small.PREDICTED)])
def test_the_small_study_has_the_numbers_of_its_closed_forms(tmp_path, which, truth):
    case = small.write_segmentectomy(tmp_path / "study")[which]
    result = run("assess", case, "--json", "--out", tmp_path / "results")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    # 1e-4: stored values of the images are rounded to 16 bits, the set's K to its digits
    for name in truth.REPORTED:
        roi = content["rois"][name]
        assert roi["volume_ml"] == pytest.approx(truth.volume_ml(name), rel=1e-6)
        assert roi["activity_mbq"] == pytest.approx(truth.activity_mbq(name), rel=1e-4)
        assert roi["mean_dose_gy"] == pytest.approx(truth.local_mean_gy(name), rel=1e-4)
    even = Y90.gy_kg_per_gbq * truth.liver_mbq / (truth.volume_ml("perfused") * small.DENSITY_G_PER_ML)
    assert content["rois"]["perfused"]["single_compartment_gy"] == pytest.approx(even, rel=1e-9)
    assert content["tumor_to_normal_ratio"] == pytest.approx(truth.tumor_to_normal, rel=1e-4)
    assert content["tumor_to_normal_region"] == "perfused_normal_liver"
    segments = read_seg(tmp_path / "results" / "rois.dcm")
    assert segments["liver"].volume_ml == pytest.approx(truth.volume_ml("liver"), rel=1e-6)  # as the report measures it
    for name, fraction in truth.local_v400_fraction.items():
        assert content["rois"][name]["v400_fraction"] == pytest.approx(fraction, abs=1e-9)


def test_an_answer_shows_its_change_and_none_where_there_is_none():
    row = AnswerRow("mean, Gy", 400.0, (None, 380.0))
    assert row.cells() == {"": "mean, Gy", "true": "400", "planned": "-", "delivered": "380 (-5.0 %)"}
    assert AnswerRow("V400, %", 90.0, (95.0, 80.0), 1, in_points=True).cells()["delivered"] == "80.0 (-10.0)"
    assert AnswerRow("not reached, Gy", 0.0, (0.1, -2.0)).cells()["delivered"] == "-2"
    assert compare_answers(None, None, {"rois": {}}) == ()


@pytest.mark.parametrize("folder", ["ct", "pet", "spect"])
def test_files_of_the_two_studies_share_no_uid(demo, study, folder):
    from pydicom import dcmread

    first, second = (dcmread(next(iter(sorted((f / folder).iterdir())))) for f in (demo, study))
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID", "PatientID"):
        assert getattr(first, name) != getattr(second, name), name
