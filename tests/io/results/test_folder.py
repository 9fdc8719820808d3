"""A folder read back gives the assessment that was written, by the same names, from schema 1 and 2."""

import json
import math
from dataclasses import fields, replace

import numpy as np
import pytest
from small_study import CASE, run, write_study

import voxeldose as vd
from voxeldose.errors import InputError
from voxeldose.io.config.case import case_file_from, read_case_tables
from voxeldose.io.results.assessment import assessment_dict
from voxeldose.io.results.content import UNCLASSIFIED, numbers_of, read_content, remark_rows, remarks_of
from voxeldose.jobs.run_case import run_case
from voxeldose.model.assessment import RoiNumbers
from voxeldose.model.remarks import Remark

UNCERTAIN = "lung_shunt_fraction = 0.04\n[uncertainty]\nsamples = 20\ncalibration_fraction = 0.05\n"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A small case with uncertainty: what was computed, and its folder."""
    folder = tmp_path_factory.mktemp("stored")
    write_study(folder, CASE + UNCERTAIN)
    config = case_file_from(read_case_tables(folder / "case.toml"), "case.toml")
    return run_case(config, folder / "results", report=False), folder / "results"


def same(one, other):
    return one == other or (isinstance(one, float) and math.isnan(one) and math.isnan(other))


def test_the_numbers_are_those_that_were_computed(written):
    result, folder = written
    stored = vd.read_results(folder)
    assert set(stored.rois) == set(result.rois)
    for name, roi in stored.rois.items():
        for field in fields(RoiNumbers):
            assert same(getattr(roi, field.name), getattr(result.rois[name], field.name)), (name, field.name)
    for name in ("tumor_to_normal_ratio", "tumor_to_normal", "totals", "thresholds", "overlaps"):
        assert getattr(stored, name) == getattr(result, name), name
    assert stored.id == result.case.id
    assert stored.administration == result.case.administration
    assert stored.grid.matches(result.dose.grid)


def test_the_record_and_the_uncertainty_are_those_of_the_run(written):
    result, folder = written
    stored = vd.read_results(folder)
    assert replace(stored.record, timings_s={}) == replace(result.record, timings_s={})
    assert stored.uncertainty == result.uncertainty


def test_dose_and_curves_are_read_when_they_are_asked_for(written):
    result, folder = written
    stored = vd.read_results(folder)
    np.testing.assert_array_equal(stored.dose.gy, result.dose.gy)
    assert stored.dose.method == result.dose.method
    curve = stored.curves["lesion"]
    assert curve.volume_fraction[0] == 1
    assert curve.volume_ml[0] == pytest.approx(result.rois["lesion"].volume_ml, rel=1e-7)  # eight digits are written


def test_the_parameter_sets_of_the_run_stand_by_role(written):
    result, folder = written
    sets = vd.read_results(folder).radiobiology
    assert set(sets) <= {roi.role for roi in result.rois.values()}
    for role, tissue in sets.items():
        used = result.case.radiobiology[role]
        assert (tissue.name, tissue.alpha_beta_gy, tissue.source) == (used.name, used.alpha_beta_gy, used.source)


def test_regions_are_those_of_the_case_while_its_files_are_unchanged(written):
    result, folder = written
    regions = vd.read_results(folder).read_regions()
    assert (regions.source, regions.refusal) == ("case", None)
    assert regions.rois.names() == result.case.rois.names()


def test_regions_that_cannot_be_read_say_why(written, tmp_path):
    _, folder = written
    manifest = json.loads((folder / "run.json").read_text("utf-8"))
    for item in manifest["inputs"]:
        item["sha256"] = "another"
    for name in ("assessment.json", "dose.nii.gz"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "run.json").write_text(json.dumps(manifest), "utf-8")
    regions = vd.read_results(tmp_path).read_regions()
    assert (regions.rois, regions.source, regions.refusal.code) == (None, None, "inputs-changed")


def downgrade(folder, target):
    """``assessment.json`` as schema 1 had it."""
    content = json.loads((folder / "assessment.json").read_text("utf-8"))
    for part in (content, content["uncertainty"]):
        part |= {key: [row["message"] for row in part[key]] for key in ("assumptions", "warnings")}
    content["schema"] = "voxeldose/assessment/1"
    del content["radiobiology"]
    (target / "assessment.json").write_text(json.dumps(content), "utf-8")


def test_schema_1_is_read_and_its_sentences_have_no_class(written, tmp_path):
    result, folder = written
    downgrade(folder, tmp_path)
    stored = vd.read_results(tmp_path)
    assert stored.content["schema"] == "voxeldose/assessment/1"
    assert {remark.code for remark in stored.record.assumptions} == {UNCLASSIFIED}
    assert [remark.sentence for remark in stored.record.assumptions] == [a.sentence for a in result.record.assumptions]
    assert stored.radiobiology is None
    assert stored.totals == result.totals


def test_what_is_compared_of_schema_1_are_its_numbers(written, tmp_path):
    result, folder = written
    downgrade(folder, tmp_path)
    old, new = read_content(tmp_path), assessment_dict(result)
    assert numbers_of(old, schema=old["schema"]) == numbers_of(new, schema=old["schema"])


def test_words_are_not_compared_and_codes_and_numbers_are():
    one = {"warnings": [{"code": "a", "message": "one", "numbers": {"n": 1}}], "version": "1", "totals": {"x": 1}}
    other = {"warnings": [{"code": "a", "message": "two", "numbers": {"n": 1}}], "version": "2", "totals": {"x": 1}}
    assert numbers_of(one) == numbers_of(other)
    other["warnings"][0]["numbers"]["n"] = 2
    assert numbers_of(one) != numbers_of(other)


def test_remarks_go_through_json_unchanged():
    remarks = (Remark("density-gap", {"part_fraction": 0.12, "roi": "lesion"}, "Words."),)
    rows = json.loads(json.dumps(remark_rows(remarks)))
    assert rows == [{"code": "density-gap", "message": "Words.", "numbers": {"part_fraction": 0.12, "roi": "lesion"}}]
    (back,) = remarks_of(rows)
    assert (back.code, back.numbers, back.sentence) == ("density-gap", remarks[0].numbers, "Words.")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, "file-missing"),
        ("{", "file-damaged"),
        ("[]", "results-schema"),
        ('{"schema": "voxeldose/assessment/3"}', "results-schema"),
        ('{"schema": "voxeldose/assessment/2", "rois": {}}', "file-damaged"),
    ],
)
def test_what_is_no_assessment_is_refused(tmp_path, text, code):
    if text is not None:
        (tmp_path / "assessment.json").write_text(text, "utf-8")
    with pytest.raises(InputError) as refusal:
        vd.read_results(tmp_path)
    assert refusal.value.code == code


def test_a_dose_that_was_replaced_is_refused_when_it_is_asked_for(written, tmp_path):
    result, folder = written
    (tmp_path / "assessment.json").write_bytes((folder / "assessment.json").read_bytes())
    vd.write_nifti(result.dose.window(result.dose.grid), tmp_path / "dose.nii.gz")
    assert vd.read_results(tmp_path).dose.grid.matches(result.dose.grid)
    smaller = vd.Grid.from_axes((3, 4, 5), (4, 4, 4), (0, 0, 0))
    vd.write_nifti(vd.DoseMap(np.zeros(smaller.shape), smaller), tmp_path / "dose.nii.gz")
    with pytest.raises(InputError) as refusal:
        _ = vd.read_results(tmp_path).dose
    assert refusal.value.code == "results-contradict"


def test_a_replay_with_uncertainty_is_identical(written):
    _, folder = written
    again = run("replay", folder / "run.json", "--out", folder.parent / "again", "--json")
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["identical"]


@pytest.fixture(scope="module")
def written_with_recovery(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recovered")
    write_study(folder, CASE + '[resolution]\nmethod = "rbv"\nfwhm_mm = [4.0, 4.5, 4.5]\nsource = "NEMA scan"\n')
    config = case_file_from(read_case_tables(folder / "case.toml"), "case.toml")
    return run_case(config, folder / "results", report=False), folder / "results"


def test_recovered_numbers_and_their_map_are_read_back(written_with_recovery):
    result, folder = written_with_recovery
    stored = vd.read_results(folder)
    assert stored.recovered.method == "rbv"
    assert set(stored.recovered.rois) == set(result.recovered.rois)
    for name, roi in stored.recovered.rois.items():
        computed = result.recovered.rois[name]
        assert roi.best == computed.best
        assert roi.as_drawn == computed.as_drawn
        assert roi.dvh == computed.dvh
        assert roi.dvh.fraction[0] == 1
        assert (roi.role, roi.mean_dose_rbv_gy, roi.shift_lps_mm) == (
            computed.role,
            computed.mean_dose_rbv_gy,
            computed.shift_lps_mm,
        )
    np.testing.assert_allclose(stored.dose_recovered.gy, result.recovered.dose.gy)
    assert stored.dose_recovered.grid.matches(result.recovered.dose.grid)


def test_results_without_recovery_have_none(written):
    stored = vd.read_results(written[1])
    assert stored.recovered is None
    with pytest.raises(InputError, match="Add \\[resolution\\]") as refused:
        _ = stored.dose_recovered
    assert refused.value.code == "dose-not-recovered"
