"""A run repeated from its manifest: the same numbers on the same machine, and what changed if not."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from remarks import coded
from small_study import GRID, run, write_study

from voxeldose import __version__
from voxeldose.errors import InputError
from voxeldose.io.results.manifest import sha256
from voxeldose.jobs.replay import replay as repeat


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small study and its results, made once."""
    folder = tmp_path_factory.mktemp("replay")
    write_study(folder)
    result = run("assess", folder / "case.toml", "--out", folder / "results")
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def study(made, tmp_path):
    """A copy of the study; its manifest names the files of the copy."""
    shutil.copytree(made, tmp_path / "study")
    return tmp_path / "study"


def replay(study, *more):
    out = study / "again"
    result = run("replay", study / "results" / "run.json", "--out", out, "--moved", *more, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found == json.loads((out / "replay.json").read_text("utf-8"))
    return found


def test_a_repeated_run_gives_the_same_numbers_to_the_last_bit(made, study):
    found = replay(study, f"{made}={study}")
    assert found["identical"]
    assert found["manifest_untouched"]
    assert not any(found[key] for key in ("settings", "software"))
    assert not any(found["inputs"].values())
    assert found["sentences"] == ["Every number is the same, to the last bit."]
    written = [json.loads((study / f / "assessment.json").read_text()) for f in ("results", "again")]
    assert written[0] == written[1]


def test_inputs_that_moved_with_the_results_are_found_and_it_is_said(study):
    assert run("assess", study / "case.toml", "--out", study / "own").exit_code == 0
    moved = study.parent / "elsewhere"
    study.rename(moved)
    result = run("replay", moved / "own", "--out", moved / "again", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["identical"]
    assert found["sentences"][0].startswith("Inputs are no longer where they were")


def test_one_voxel_of_the_input_is_found_with_the_file_and_where_the_dose_changed(made, study):
    image = nib.load(study / "pet.nii.gz")
    values = np.asarray(image.dataobj).copy()
    values[12, 7, 4] *= 1.5  # i, j, k
    nib.save(nib.Nifti1Image(values, image.affine, image.header), study / "pet.nii.gz")
    found = replay(study, f"{made}={study}")
    assert not found["identical"]
    assert found["inputs"]["changed"] == [str(study / "pet.nii.gz")]
    assert not found["settings"]
    dose = found["numbers"]["dose"]
    assert dose["at_kji"] == [4, 7, 12]
    np.testing.assert_allclose(dose["at_lps_mm"], GRID.points_lps_mm((4, 7, 12)), atol=1e-3)
    assert dose["largest_change_gy"] > 0
    was, now = found["numbers"]["assessment"]["rois.liver.activity_mbq"]
    assert now > was


def test_one_setting_is_named_with_both_values_and_what_it_does_to_the_numbers(made, study):
    found = replay(study, f"{made}={study}", "--set", "administration.lung_shunt_fraction=0.1")
    assert found["settings"] == {"administration.lung_shunt_fraction": [None, 0.1]}
    assert found["manifest_untouched"]
    was, now = found["numbers"]["assessment"]["rois.lesion.mean_dose_gy"]
    assert now == pytest.approx(0.9 * was, rel=1e-6)  # dose is linear; float32 maps
    assert any("lung_shunt_fraction: None then, 0.1 now" in s for s in found["sentences"])
    assert f"rois.lesion.mean_dose_gy: {was:.8g} then, {now:.8g} now." in found["sentences"]


def test_a_setting_given_as_text_is_read_and_an_unknown_one_refused(study):
    found = replay(study, "x=y", "--set", "dose.engine=local")
    assert found["settings"] == {"dose.engine": ["dpk", "local"]}
    assert found["numbers"]["assessment"]["method.engine"] == ["dpk", "local"]
    bad = run("replay", study / "results", "--out", study / "b", "--set", "dose.engin=local")
    assert bad.exit_code == 3
    assert "'engine'" in bad.stderr
    assert not (study / "b").exists()


def test_another_version_is_named(study):
    path = study / "results" / "run.json"
    manifest = json.loads(path.read_text())
    manifest["version"], manifest["libraries"]["numpy"] = "0.0.9", "1.0"
    path.write_text(json.dumps(manifest))
    found = replay(study, "x=y")
    assert found["software"]["voxeldose"][0] == "0.0.9"
    assert found["software"]["libraries.numpy"][0] == "1.0"
    assert not found["manifest_untouched"]
    assert found["identical"]


def as_schema_1(folder):
    """The results as an earlier version wrote them: remarks as sentences, no parameter sets."""
    content = json.loads((folder / "assessment.json").read_text("utf-8"))
    content |= {key: [row["message"] for row in content[key]] for key in ("assumptions", "warnings")}
    content["schema"] = "voxeldose/assessment/1"
    del content["radiobiology"]
    (folder / "assessment.json").write_text(json.dumps(content), "utf-8")
    manifest = json.loads((folder / "run.json").read_text("utf-8"))
    manifest |= {"schema": "voxeldose/run/1", "assumptions": content["assumptions"], "warnings": content["warnings"]}
    manifest["outputs"]["assessment.json"] = sha256(folder / "assessment.json")
    manifest["numbers"]["assessment_sha256"] = "of sentences and numbers"
    (folder / "run.json").write_text(json.dumps(manifest), "utf-8")
    return content


def test_a_run_of_schema_1_is_compared_by_its_numbers(made, study):
    content = as_schema_1(study / "results")
    found = replay(study, f"{made}={study}")
    assert found["identical"]
    assert found["numbers"]["assessment_identical"] is True
    content["rois"]["liver"]["mean_dose_gy"] += 1
    (study / "results" / "assessment.json").write_text(json.dumps(content), "utf-8")
    manifest = json.loads((study / "results" / "run.json").read_text("utf-8"))
    manifest["outputs"]["assessment.json"] = sha256(study / "results" / "assessment.json")
    (study / "results" / "run.json").write_text(json.dumps(manifest), "utf-8")
    shutil.rmtree(study / "again")
    found = replay(study, f"{made}={study}")
    assert list(found["numbers"]["assessment"]) == ["rois.liver.mean_dose_gy"]
    assert not found["identical"]


def test_a_manifest_of_schema_1_alone_does_not_tell_whether_numbers_differ(made, study):
    as_schema_1(study / "results")
    (study / "results" / "assessment.json").unlink()
    found = replay(study, f"{made}={study}")
    assert found["numbers"]["dose_identical"]
    assert found["numbers"]["assessment_identical"] is None
    assert not found["identical"]
    assert any("is not known" in s for s in found["sentences"])


def test_without_the_earlier_results_it_still_knows_whether_numbers_differ(study):
    for name in ("assessment.json", "dose.nii.gz"):
        (study / "results" / name).unlink()
    found = replay(study, "x=y", "--set", "dose.density_g_per_ml=1.0")
    assert not found["numbers"]["dose_identical"]
    assert found["numbers"]["dose"] is None
    assert any("not next to the manifest" in s for s in found["sentences"])


def test_another_grid_is_said(study):
    found = replay(study, "x=y", "--set", "dose.grid=5.0")
    assert found["numbers"]["dose"] == {"grid_differs": True}


def test_input_that_is_gone_is_refused_with_its_name(made, study):
    (study / "labels.nii.gz").unlink()
    result = run("replay", study / "results", "--out", study / "b", "--moved", f"{made}={study}")
    assert result.exit_code == 3
    assert "labels.nii.gz" in result.stderr
    assert "--moved" in result.stderr
    assert not (study / "b").exists()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": "voxeldose/run/1"}', '{"schema": "voxeldose/assessment/1"}']
)
def test_what_is_no_manifest_is_refused(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    result = run("replay", tmp_path / "run.json", "--out", tmp_path / "out")
    assert result.exit_code == 3
    assert "run.json" in result.stderr
    assert not (tmp_path / "out").exists()


def test_an_existing_folder_is_kept_without_overwrite(study):
    (study / "again").mkdir()
    (study / "again" / "mine.txt").write_text("kept")
    result = run("replay", study / "results", "--out", study / "again")
    assert result.exit_code == 3
    assert (study / "again" / "mine.txt").read_text() == "kept"


@pytest.mark.parametrize("words", [("--set", "engine"), ("--set", "engine=local"), ("--moved", "here")])
def test_malformed_settings_are_wrong_usage_or_refused(study, words):
    assert run("replay", study / "results", "--out", study / "b", *words).exit_code in (2, 3)
    assert not (study / "b").exists()


def test_people_get_sentences_and_quiet_gives_none(study):
    shown = run("replay", study / "results", "--out", study / "b")
    assert shown.stdout == "Every number is the same, to the last bit.\n"
    assert run("replay", study / "results", "--out", study / "c", "--quiet").output == ""


def test_from_python_every_difference_has_a_code(made, study):
    found = repeat(study / "results", study / "again", settings={"dose.engine": "local"}, moved=(str(made), str(study)))
    assert not found.identical
    codes = [one.code for one in found.remarks]
    assert codes[0] == "setting-changed"
    assert found.remarks[0].numbers == {"key": "dose.engine"}
    assert {"dose-differs", "number-changed"} < set(codes)
    changed = {one.numbers["key"]: one.numbers for one in coded("number-changed", found.remarks)}
    assert changed["method.engine"] == {"key": "method.engine", "then": "dpk", "now": "local"}
    was, now = found.content["numbers"]["assessment"]["rois.liver.mean_dose_gy"]
    assert changed["rois.liver.mean_dose_gy"] == {"key": "rois.liver.mean_dose_gy", "then": was, "now": now}
    (dose,) = coded("dose-differs", found.remarks)
    where = found.content["numbers"]["dose"]
    assert dose.numbers == {"voxels": where["voxels_changed"], "largest_change_gy": where["largest_change_gy"]}
    assert f"most by {where['largest_change_gy']:+.6g} Gy at k, j, i = {tuple(where['at_kji'])}" in dose.sentence
    assert found.content["sentences"] == list(found.sentences)
    with pytest.raises(InputError) as refusal:
        repeat(study / "results", study / "b", settings={"engine": "local"})
    assert refusal.value.code == "setting-malformed"


def remarks_of(study, **more):
    return repeat(study / "results", study / "again", moved=("x", "y"), **more).remarks


def without(study, *names):
    for name in names:
        (study / "results" / name).unlink()


@pytest.mark.parametrize(
    ("settings", "code", "sentence"),
    [
        ({}, "numbers-identical", "Every number is the same, to the last bit."),
        ({"administration.device": "resin"}, "dose-identical", "The dose map is the same, to the last bit."),
        ({"dose.grid": "5.0"}, "dose-grid-changed", "The dose map lies on other voxels than then."),
    ],
)
def test_what_came_out_is_told_in_a_sentence(study, settings, code, sentence):
    (remark,) = coded(code, remarks_of(study, settings=settings))
    assert remark.numbers == {}
    assert remark.sentence == sentence


def test_what_cannot_be_told_without_the_earlier_files_is_told_as_such(study):
    without(study, "assessment.json", "dose.nii.gz")
    remarks = remarks_of(study, settings={"dose.density_g_per_ml": "1.0"})
    (dose,) = coded("dose-change-unknown", remarks)
    assert "by how much is not known, as the earlier dose.nii.gz is not next to the manifest" in dose.sentence
    (numbers,) = coded("numbers-change-unknown", remarks)
    assert "which is not known, as the earlier assessment.json is not next to the manifest" in numbers.sentence


def test_numbers_of_a_manifest_of_schema_1_alone_are_unknown(study):
    as_schema_1(study / "results")
    without(study, "assessment.json")
    (unknown,) = coded("numbers-unknown", remarks_of(study))
    assert unknown.sentence.startswith("Whether numbers of the assessment differ is not known, as the earlier")


def test_an_edited_manifest_and_another_version_are_told_apart(study):
    path = study / "results" / "run.json"
    manifest = json.loads(path.read_text("utf-8"))
    manifest["version"] = "0.0.9"
    path.write_text(json.dumps(manifest), "utf-8")
    remarks = remarks_of(study)
    (edited,) = coded("manifest-edited", remarks)
    assert "it was edited, or made by a version that did not seal it" in edited.sentence
    (software,) = coded("software-changed", remarks)
    assert software.numbers == {"key": "voxeldose", "then": "0.0.9", "now": __version__}
    assert software.sentence == f"Software voxeldose: 0.0.9 then, {__version__} now."


def test_inputs_that_moved_changed_came_or_went_are_told(study):
    shutil.rmtree(study / "results")
    assert run("assess", study / "case.toml", "--out", study / "results", "--quiet").exit_code == 0
    moved = study.parent / "elsewhere"
    study.rename(moved)
    shutil.copy(moved / "pet.nii.gz", moved / "other.nii.gz")
    image = nib.load(moved / "labels.nii.gz")
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), image.affine), moved / "labels.nii.gz")
    settings = {"activity.path": str(moved / "other.nii.gz")}
    remarks = repeat(moved / "results", moved / "again", settings=settings).remarks
    assert coded("inputs-moved", remarks)[0].sentence.startswith("Inputs are no longer where they were; those at ")
    for code, name, words in (
        ("input-changed", "labels.nii.gz", "holds other bytes than then."),
        ("input-added", "other.nii.gz", "was not there then."),
        ("input-left-out", "pet.nii.gz", "is not used now."),
    ):
        (remark,) = coded(code, remarks)
        assert remark.numbers == {}
        assert remark.sentence.endswith(f"{name} {words}")


@pytest.mark.parametrize("suffix", [".mhd", ".nhdr"])
def test_values_beside_a_header_are_inputs_and_one_changed_byte_is_found(study, suffix):
    import SimpleITK as sitk  # noqa: N813

    labels = sitk.ReadImage(str(study / "labels.nii.gz"))
    header = study / f"labels{suffix}"
    sitk.WriteImage(labels, str(header), False)
    (values,) = [p for p in study.iterdir() if p.stem == "labels" and p.suffix == ".raw"]
    case = (study / "case.toml").read_text()
    assert "labels.nii.gz" in case
    (study / "case.toml").write_text(case.replace("labels.nii.gz", header.name))
    assert run("assess", study / "case.toml", "--out", study / "first").exit_code == 0
    recorded = {i["path"]: i["sha256"] for i in json.loads((study / "first" / "run.json").read_text())["inputs"]}
    assert recorded[str(values)] == sha256(values)
    content = bytearray(values.read_bytes())
    content[content.index(1)] = 0
    values.write_bytes(content)
    result = run("replay", study / "first", "--out", study / "second", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["inputs"]["changed"] == [str(values)]
