"""``voxeldose compare`` on results folders of a predicted and a delivered dose."""

import csv
import json
import shutil

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from remarks import coded, refusal
from small_study import CASE, run, write_study

from voxeldose.dose.activity import CALIBRATIONS
from voxeldose.errors import InputError, QuantityError
from voxeldose.io.arrays import read_array
from voxeldose.io.results.folder import read_results
from voxeldose.io.transforms import read_transform
from voxeldose.jobs.compare import ComparisonOptions, compare_folders


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A predicted and a delivered dose, and one whose lesion has another name."""
    folder = tmp_path_factory.mktemp("compare")
    other = CASE.replace('"lesion"', '"spot"').replace("60.0", "90.0")
    for name, text, hot in (("pre", CASE, 3.0), ("post", CASE, 5.0), ("other", other, 5.0)):
        case = write_study(folder / f"{name}-case", text, hot=hot)
        result = run("assess", case, "--out", folder / name, "--quiet")
        assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def folders(made, tmp_path):
    """Copies of the results, to spoil."""
    for name in ("pre", "post", "other"):
        shutil.copytree(made / name, tmp_path / name)
    return tmp_path


def compare(folders, *more, first="pre", second="post"):
    result = run("compare", folders / first, folders / second, "--json", *more)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(result, *words, out=None):
    assert result.exit_code == 3, result.output
    assert all(w in result.stderr for w in words), result.stderr
    assert out is None or not out.exists()


def test_every_file_is_written_and_holds_post_less_pre(folders):
    content = compare(folders, "--out", folders / "out")
    out = folders / "out"
    assert {p.name for p in out.iterdir()} == {
        "comparison.json",
        "comparison.csv",
        "comparison.html",
        "comparison.pdf",
        "dose_difference.nii.gz",
    }
    assert json.loads((out / "comparison.json").read_text("utf-8")) == content
    pre, post = (np.asarray(nib.load(folders / n / "dose.nii.gz").dataobj) for n in ("pre", "post"))
    image = nib.load(out / "dose_difference.nii.gz")
    np.testing.assert_array_equal(np.asarray(image.dataobj), post - pre)
    np.testing.assert_array_equal(image.affine, nib.load(folders / "post" / "dose.nii.gz").affine)


def test_numbers_of_regions_are_those_of_both_results(folders):
    content = compare(folders, "--out", folders / "out")
    sides = [json.loads((folders / n / "assessment.json").read_text())["rois"] for n in ("pre", "post")]
    for name, roi in content["rois"].items():
        for metric, pair in roi["metrics"].items():
            assert [pair["pre"], pair["post"]] == [s[name][metric] for s in sides]
        # the same grid: what the first dose gives there is its own mean
        assert roi["pre_in_post_roi_gy"] == pytest.approx(sides[0][name]["mean_dose_gy"], rel=1e-6)
    ratio = content["tumor_to_normal_ratio"]
    assert (ratio["pre"], ratio["post"]) == (pytest.approx(3, rel=1e-4), pytest.approx(5, rel=1e-4))
    (by_tumor,) = content["tumor_to_normal"]
    assert (by_tumor["roi"], by_tumor["normal"]["post"]) == ("lesion", "whole normal liver: normal_liver")
    assert by_tumor["by_concentration"]["difference"] == pytest.approx(2, rel=1e-3)
    found = [json.loads((folders / n / "assessment.json").read_text())["tumor_to_normal"][0] for n in ("pre", "post")]
    assert [by_tumor["by_dose"][k] for k in ("pre", "post")] == [f["by_dose"] for f in found]
    with (folders / "out" / "comparison.csv").open(newline="") as file:
        rows = {(r["roi"], r["metric"]): r for r in csv.DictReader(file)}
    row = rows["lesion", "mean_dose_gy"]
    assert float(row["difference"]) == pytest.approx(float(row["post"]) - float(row["pre"]), rel=1e-6)


@pytest.mark.parametrize("more", [(), ("--add",)])
def test_formula_constants_inputs_and_sources_are_said(folders, more):
    content = compare(folders, *more)
    assert {"formula", "constants", "inputs", "sources", "assumptions", "warnings"} <= content.keys()
    assert [c["name"] for c in content["constants"]] == ["ddep", "ddep"]
    assert content["inputs"]["results"] == ["pre", "post"]
    assert any(("Cremonesi" if more else "Low et al.") in source for source in content["sources"])


def test_a_result_agrees_with_itself(folders):
    content = compare(folders, second="pre")
    assert content["gamma"]["passed_fraction"] == 1
    assert all(roi["rms_difference_gy"] == 0 for roi in content["rois"].values())
    assert content["rois"]["lesion"]["metrics"]["mean_dose_gy"]["ratio"] == 1


def test_criteria_are_taken_and_stated(folders):
    wide = compare(folders, "--gamma-percent", 50, "--gamma-mm", 5)
    tight = compare(folders, "--gamma-percent", 1, "--gamma-mm", 1, "--gamma-local", "--gamma-cutoff-percent", 30)
    assert wide["gamma"]["passed_fraction"] > tight["gamma"]["passed_fraction"]
    assert tight["gamma"]["local"]
    assert tight["gamma"]["evaluated_voxels"] < wide["gamma"]["evaluated_voxels"]
    assert "1 % local, 1 mm, above 30 %" in tight["gamma"]["criteria"]


def test_the_page_opens_offline_and_names_its_registration(folders):
    compare(folders, "--out", folders / "out")
    page = (folders / "out" / "comparison.html").read_text("utf-8")
    assert "Registration: none: not both state a frame of reference" in page
    assert "lesion" in page
    assert page.count("data:image/png;base64,") == 4  # pre, post, their difference, and DVHs
    assert "http://" not in page
    assert "https://" not in page


def test_regions_in_common_are_compared_and_the_others_listed(folders):
    found = compare_folders([folders / n for n in ("pre", "other")], folders / "out", ComparisonOptions())
    assert list(found.content["rois"]) == ["liver", "normal_liver"]
    assert found.content["not_compared"] == {"pre": ["lesion"], "post": ["spot"]}
    (remark,) = coded("rois-not-shared", found.warnings)
    assert remark.numbers == {"only_first": "lesion", "only_second": "spot"}
    assert "lesion (pre), spot (post)" in (folders / "out" / "comparison.html").read_text("utf-8")
    assert not coded(
        "rois-not-shared", compare_folders([folders / n for n in ("pre", "post")], None, ComparisonOptions()).warnings
    )


def test_results_without_a_region_in_common_are_refused(folders):
    keep = {"pre": "liver", "other": "spot"}
    for name, roi in keep.items():
        edited(folders / name, lambda c, roi=roi: c.update(rois={roi: c["rois"][roi]}))
    with pytest.raises(QuantityError, check=refusal("rois-differ")):
        compare_folders([folders / n for n in keep], None, ComparisonOptions())


def test_a_region_of_one_result_alone_cannot_be_chosen(folders):
    content = compare(folders, "--roi", "liver", second="other")
    assert list(content["rois"]) == ["liver"]
    assert any("net activities differ" in w for w in content["warnings"])
    refused(run("compare", folders / "pre", folders / "other", "--roi", "spot"), "spot", "pre has liver")


def in_frame(folder, uid):
    path = folder / "assessment.json"
    content = json.loads(path.read_text("utf-8"))
    content["method"]["grid"]["frame_uid"] = uid
    path.write_text(json.dumps(content))


def test_other_frames_are_refused_unless_joined(folders):
    in_frame(folders / "pre", "1.2.3")
    in_frame(folders / "post", "1.2.4")
    refused(
        run("compare", folders / "pre", folders / "post", "--out", folders / "o"), "1.2.3", "1.2.4", out=folders / "o"
    )
    assert "user states" in compare(folders, "--same-frame")["registration"]["kind"]
    matrix = np.eye(4)
    matrix[0, 3] = 3.0  # one voxel along x
    np.savetxt(folders / "m.txt", matrix)
    content = compare(folders, "--transform", folders / "m.txt", "--out", folders / "out")
    assert content["registration"]["matrices_lps_mm"] == [matrix.tolist()]
    pre, post = (read_array(folders / n / "dose.nii.gz")[0] for n in ("pre", "post"))
    found = read_array(folders / "out" / "dose_difference.nii.gz")[0]
    np.testing.assert_allclose(found[..., 1:], post[..., 1:] - pre[..., :-1], atol=1e-3)  # splines at voxel centres
    assert np.isnan(found[..., 0]).all()


def test_an_itk_transform_is_the_matrix_turned_round(tmp_path):
    euler = sitk.Euler3DTransform((5.0, -3.0, 20.0), 0.1, -0.2, 0.3, (4.0, 5.0, 6.0))
    sitk.WriteTransform(euler, str(tmp_path / "t.tfm"))
    matrix = read_transform(tmp_path / "t.tfm")
    point = np.array([11.0, -7.0, 3.0])
    there = np.array(euler.TransformPoint(point.tolist()))  # ITK: from the second image to the first
    np.testing.assert_allclose(matrix @ [*there, 1], [*point, 1], atol=1e-9)


@pytest.mark.parametrize("text", ["", "1 0 0\n0 1 0", "a b c d\n" * 4, "2 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1"])
def test_a_transform_that_is_none_is_refused(folders, text):
    (folders / "m.txt").write_text(text)
    refused(run("compare", folders / "pre", folders / "post", "--transform", folders / "m.txt"))
    refused(run("compare", folders / "pre", folders / "post", "--transform", folders / "gone.tfm"), "gone.tfm")


def test_treatments_add_on_the_grid_of_the_last_and_bed_by_treatment(folders):
    content = compare(folders, "--add", "--out", folders / "out")
    sides = [json.loads((folders / n / "assessment.json").read_text())["rois"] for n in ("pre", "post")]
    for name in ("lesion", "liver", "normal_liver"):
        row = content["rois"][name]
        assert row["mean_dose_gy"] == pytest.approx(sum(s[name]["mean_dose_gy"] for s in sides), rel=1e-5)
        assert row["bed_gy"] == pytest.approx(sum(s[name]["bed_gy"] for s in sides), rel=1e-4)
        assert row["bed_each_gy"] == pytest.approx([s[name]["bed_gy"] for s in sides], rel=1e-4)
    pre, post = (read_array(folders / n / "dose.nii.gz")[0] for n in ("pre", "post"))
    np.testing.assert_allclose(read_array(folders / "out" / "dose_sum.nii.gz")[0], pre + post, rtol=1e-6)
    found = compare_folders([folders / n for n in ("pre", "post")], None, ComparisonOptions(add=True))
    (by_treatment,) = coded("bed-summed-by-treatment", found.assumptions)
    assert "each treatment by itself and then summed; no repair and no growth" in by_treatment.sentence
    assert by_treatment.sentence in content["assumptions"]
    three = run("compare", folders / "pre", folders / "post", folders / "post", "--add", "--json")
    assert len(json.loads(three.stdout)["results"]) == 3


def test_without_regions_a_sum_is_refused_and_a_comparison_says_so(folders):
    manifest = json.loads((folders / "post" / "run.json").read_text())
    for item in manifest["inputs"]:
        item["sha256"] = "0"
    (folders / "post" / "run.json").write_text(json.dumps(manifest))
    names = [folders / "pre", folders / "post"]
    refused(run("compare", *names, "--add"), "ROI files")
    with pytest.raises(InputError, check=refusal("result-regions-missing")):
        compare_folders(names, None, ComparisonOptions(add=True))
    content = compare(folders)
    assert content["rois"]["lesion"]["gamma_passed_fraction"] is None
    (missing,) = coded("result-regions-missing", compare_folders(names, None, ComparisonOptions()).warnings)
    assert "are not there any more (neither the files of its case nor rois.dcm)" in missing.sentence
    assert missing.sentence in content["warnings"]


def test_from_python_remarks_have_codes_and_the_sentences_of_the_file(folders):
    names = [folders / "pre", folders / "other"]
    found = compare_folders(names, None, ComparisonOptions(rois=("liver",)))
    assert [one.code for one in found.warnings] == ["net-activities-differ"]
    assert found.warnings[0].numbers == {"first_mbq": 60.0, "second_mbq": 90.0}
    assert [one.code for one in found.assumptions] == ["comparison-interpolated", "regions-source", "gamma-criteria"]
    assert found.content["warnings"] == [one.sentence for one in found.warnings]
    assert found.content["assumptions"] == [one.sentence for one in found.assumptions]
    with pytest.raises(InputError) as refusal:
        compare_folders(names[:1], None, ComparisonOptions())
    assert refusal.value.code == "results-count"
    with pytest.raises(QuantityError) as refusal:
        compare_folders(names, None, ComparisonOptions(rois=("spot",)))
    assert refusal.value.code == "roi-unknown"


def edited(folder, change):
    """The results with other content, as another run would have written it."""
    path = folder / "assessment.json"
    content = json.loads(path.read_text("utf-8"))
    change(content)
    path.write_text(json.dumps(content), "utf-8")


DIFFERENCES = {
    "engines-differ": (
        lambda c: c["method"].update(engine="local"),
        {"engine": "local; dpk"},
        "The dose engines differ (local; dpk), so part of a difference may be the method's.",
    ),
    "calibrations-differ": (
        lambda c: c["method"].update(calibration="absolute"),
        {"calibration": f"absolute; administered: {CALIBRATIONS['administered']}"},
        "The calibrations differ (absolute; administered",
    ),
    "constants-differ": (
        lambda c: c["constants"].update(name="vendor"),
        {"constants": "vendor, ddep"},
        "The sets of constants differ (vendor, ddep).",
    ),
    "volumes-differ": (
        lambda c: c["rois"]["lesion"].update(volume_ml=1.0),
        {"roi": "lesion", "first_ml": 1.0, "second_ml": pytest.approx(2.016)},
        "ROI lesion has 1.0 mL in the first result and 2.0 mL in the second.",
    ),
}


@pytest.mark.parametrize("code", DIFFERENCES)
def test_what_a_difference_may_be_due_to_is_warned_of(folders, code):
    change, numbers, words = DIFFERENCES[code]
    names = [folders / "pre", folders / "post"]
    assert not coded(code, compare_folders(names, None, ComparisonOptions()).warnings)
    edited(folders / "pre", change)
    (warning,) = coded(code, compare_folders(names, None, ComparisonOptions()).warnings)
    assert warning.numbers == numbers
    assert words in warning.sentence


def test_a_dose_that_does_not_reach_the_other_is_warned_of(folders):
    away = np.eye(4)
    away[0, 3] = 21.0  # seven voxels along x
    options = ComparisonOptions(matrices=(away,))
    found = compare_folders([folders / "pre", folders / "post"], None, options)
    (short,) = coded("dose-not-reached", found.warnings)
    part = short.numbers["part_fraction"]
    assert short.numbers["result"] == 1
    assert 0.2 < part < 0.6
    assert short.sentence.startswith(f"Result 1 does not reach {part:.1%} of the voxels")


def test_a_region_without_dose_in_one_result_has_no_sum(folders):
    edited(folders / "pre", lambda c: c["rois"]["lesion"].update(mean_dose_gy=None))
    found = compare_folders([folders / "pre", folders / "post"], None, ComparisonOptions(add=True))
    (without,) = coded("sum-without-dose", found.warnings)
    assert without.numbers == {"roi": "lesion"}
    assert "ROI lesion has no dose in one of the results" in without.sentence
    assert "lesion" not in found.content["rois"]


def test_wrong_usage_is_said(folders):
    assert run("compare", folders / "pre").exit_code == 2
    assert run("compare", folders / "pre", folders / "post", folders / "post").exit_code == 2
    assert (
        run("compare", folders / "pre", folders / "post", "--add", "--transform", "a", "--transform", "b").exit_code
        == 2
    )
    assert run("compare", folders / "pre", folders / "post", "--gamma-percent", 0).exit_code == 3


def test_a_folder_that_is_no_result_or_was_changed_is_refused(folders):
    (folders / "empty").mkdir()
    refused(run("compare", folders / "empty", folders / "post"), "empty", "voxeldose assess")
    shutil.copy(folders / "other" / "dose.nii.gz", folders / "kept.nii.gz")
    image = nib.load(folders / "pre" / "dose.nii.gz")
    moved = image.affine.copy()
    moved[0, 3] += 5
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), moved), folders / "pre" / "dose.nii.gz")
    refused(run("compare", folders / "pre", folders / "post"), "does not lie where")
    (folders / "post" / "assessment.json").write_text("{}")
    refused(run("compare", folders / "post", folders / "other"), "schema")


def test_an_earlier_comparison_is_kept_without_overwrite(folders):
    compare(folders, "--out", folders / "out")
    refused(run("compare", folders / "pre", folders / "post", "--out", folders / "out"), "--overwrite")
    compare(folders, "--out", folders / "out", "--overwrite")
    refused(run("compare", folders / "pre", folders / "post", "--out", folders / "pre", "--overwrite"), "not a folder")


def test_people_see_both_doses_and_how_they_were_joined(folders):
    shown = run("compare", folders / "pre", folders / "post")
    assert shown.exit_code == 0
    assert "Registration:" in shown.stdout
    assert "lesion" in shown.stdout
    assert "T/N 3.00 > 5.00" in shown.stdout
    assert "sum mean Gy" in run("compare", folders / "pre", folders / "post", "--add").stdout


def test_regions_come_from_the_case_or_from_nowhere(folders):
    regions = read_results(folders / "post").read_regions()
    assert (regions.source, regions.refusal) == ("case", None)
    assert regions.rois.names() == ["liver", "lesion"]
    (folders / "post" / "run.json").unlink()
    regions = read_results(folders / "post").read_regions()
    assert (regions.rois, regions.source, regions.refusal.code) == (None, None, "file-missing")
