"""``[resolution]`` through the case file: what it adds to results, and what it leaves alone."""

import json

import jsonschema
import pytest
from remarks import coded
from small_study import CASE, FILES, run, write_study

from voxeldose.errors import InputError
from voxeldose.io.config.case import case_file_again, case_file_from, read_case_file
from voxeldose.io.results.schema import assessment_schema
from voxeldose.jobs.run_case import assess_case, predict_case
from voxeldose.jobs.settings import build_resolution

KEYS = (
    "mean_dose_gy",
    "d95_gy",
    "d70_gy",
    "d50_gy",
    "v205_fraction",
    "v400_fraction",
    "tumor_to_normal",
    "activity_mbq",
)
RBV = '[resolution]\nmethod = "rbv"\nfwhm_mm = [4.0, 4.5, 4.5]\nsource = "NEMA scan"\n'


def settings(folder, text):
    path = write_study(folder, CASE + text)
    tables = read_case_file(path)
    config = tables if not isinstance(tables, dict) else case_file_from(tables, str(path))
    return config, build_resolution(config)


def assess(folder, text):
    path = write_study(folder, CASE + text)
    result = run("assess", path, "--out", folder / "out")
    assert result.exit_code == 0, result.output
    return json.loads((folder / "out" / "assessment.json").read_text()), result


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return assess(tmp_path_factory.mktemp("plain"), "")


@pytest.fixture(scope="module")
def recovered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rbv")
    content, result = assess(folder, RBV)
    return content, result, folder / "out"


def test_recovered_numbers_stand_beside_those_of_the_image(recovered):
    content, _, folder = recovered
    for name in ("lesion", "normal_liver"):
        found = content["rois"][name]["recovered"]
        for key in KEYS:
            assert set(found[key]) == {"value", "low", "high"}
    lesion = content["rois"]["lesion"]["recovered"]
    assert lesion["mean_dose_gy"]["value"] > content["rois"]["lesion"]["mean_dose_gy"]
    assert lesion["as_drawn"]["mean_dose_gy"] == lesion["mean_dose_gy"]
    assert content["rois"]["normal_liver"]["recovered"]["tumor_to_normal"]["value"] is None
    assert "recovered" not in content["rois"]["liver"]
    schema = assessment_schema()
    jsonschema.Draft202012Validator(schema).validate(content)
    needed = schema["properties"]["rois"]["additionalProperties"]["properties"]["recovered"]
    assert set(needed["required"]) == set(lesion)
    assert content["resolution"]["method"] == "rbv"
    assert {p.name for p in folder.iterdir()} == FILES | {"dose_recovered.nii.gz"}


def test_what_was_assumed_stands_in_the_run(recovered):
    content, _, _ = recovered
    codes = [a["code"] for a in content["assumptions"]]
    assert {"resolution-stated", "rbv-keeps-texture-blurred", "recovered-numbers-beside"} <= set(codes)


def test_the_terminal_shows_recovered_beside_raw(recovered):
    content, result, _ = recovered
    raw = content["rois"]["lesion"]["mean_dose_gy"]
    value = content["rois"]["lesion"]["recovered"]["mean_dose_gy"]["value"]
    assert "As in the image > recovered (rbv):" in result.stdout
    assert f"{raw:.3g} > {value:.3g}" in result.stdout


def test_the_numbers_of_the_image_stay_as_they_were(plain, recovered):
    before, after = plain[0], recovered[0]
    assert "resolution" not in before
    for name, roi in before["rois"].items():
        assert {k: v for k, v in after["rois"][name].items() if k != "recovered"} == roi
    assert {k: after[k] for k in ("totals", "tumor_to_normal", "tumor_to_normal_ratio")} == {
        k: before[k] for k in ("totals", "tumor_to_normal", "tumor_to_normal_ratio")
    }


def test_limits_are_compared_with_the_recovered_value_and_the_images_own_stands_beside_it(plain, recovered):
    before, after = plain[0]["thresholds"], recovered[0]["thresholds"]
    assert len(before) == len(after) > 1
    kinds = set()
    for one, best in zip(before, after, strict=True):
        assert (one["roi"], one["limit"]) == (best["roi"], best["limit"])
        assert best["image_value"] == one["value"]
        found = recovered[0]["rois"][best["roi"]]["recovered"][best["metric"]]["value"]
        assert best["value"] == found
        kinds.add(best["kind"])
    assert kinds == {"recovered"}


def test_a_case_without_the_table_is_written_as_before(tmp_path):
    config, resolution = settings(tmp_path, "")
    assert resolution is None
    assert "resolution" not in config.model_dump(mode="json")


def test_a_case_with_the_table_is_read_again_from_its_manifest(tmp_path):
    config, resolution = settings(tmp_path, RBV + "seed = 7\n")
    again = case_file_again(config.model_dump(mode="json"), "run.json")
    assert again == config
    assert build_resolution(again) == resolution
    assert (resolution.fwhm_mm, resolution.seed, resolution.draws) == ((4.0, 4.5, 4.5), 7, 24)


def test_one_width_is_that_of_all_axes_and_the_method_is_field(tmp_path):
    _, resolution = settings(tmp_path, "[resolution]\nfwhm_mm = 6.5\nshift_sd_mm = 2.0\n")
    assert (resolution.fwhm_mm, resolution.method, resolution.shift_sd_mm) == ((6.5, 6.5, 6.5), "field", 2.0)


def test_the_method_none_needs_no_width(tmp_path):
    assert settings(tmp_path, '[resolution]\nmethod = "none"\n')[1] is None


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ('[resolution]\nmethod = "field"\n', "key-missing", "fwhm_mm is missing"),
        (
            "[resolution]\nfwhm_mm = 6.5\n[uncertainty.recovery]\nb_ml = 1.0\nc = 1.0\n",
            "keys-contradict",
            "both correct",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path, text, code, words):
    with pytest.raises(InputError, match=words) as refused:
        settings(tmp_path, text)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "text", ["fwhm = 6.5\n", 'fwhm_mm = "wide"\n', "fwhm_mm = [6.5, 6.5]\n", 'outlines = "free"\n']
)
def test_a_wrong_key_or_value_is_refused_by_the_case_file(tmp_path, text):
    with pytest.raises(InputError, match="resolution"):
        settings(tmp_path, "[resolution]\n" + text)


def test_another_engine_is_refused_and_nothing_is_written(tmp_path):
    path = write_study(tmp_path, CASE + '[dose]\nengine = "local"\n' + RBV)
    result = run("assess", path, "--out", tmp_path / "out")
    assert result.exit_code == 3
    assert 'engine = "dpk"' in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_plan_recovers_what_its_image_predicts(tmp_path):
    path = write_study(tmp_path, CASE + RBV)
    result = predict_case(read_case_file(path))
    assert result.recovered.rois["lesion"].best.mean_dose_gy.value > result.rois["lesion"].mean_dose_gy
    assert not coded("resolution-not-used", result.record.warnings)
    plain = predict_case(read_case_file(write_study(tmp_path / "plain")))
    assert plain.recovered is None
    assert not coded("resolution-not-used", plain.record.warnings)


def test_a_question_about_each_voxel_says_that_it_does_not_use_the_table(tmp_path):
    path = write_study(tmp_path, CASE + RBV)
    result = assess_case(read_case_file(path), recovers=False)
    found = coded("resolution-not-used", result.record.warnings)
    assert [remark.sentence for remark in found] == [
        "[resolution] is not used here: the numbers are those of the blurred image."
    ]
    assert result.recovered is None
    assert assess_case(read_case_file(path)).recovered is not None
    answer = run("radiobiology", path, "--roi", "lesion", "--json")
    assert answer.exit_code == 0, answer.output
    assert "resolution-not-used" in answer.stdout


def test_a_plan_by_voxels_reaches_its_goal_in_the_recovered_numbers(tmp_path):
    path = write_study(tmp_path, CASE + RBV)
    predicted = predict_case(read_case_file(path))
    answer = run("plan", "voxel", path, "--goal", "lesion.mean=400", "--json")
    assert answer.exit_code == 0, answer.output
    plan = json.loads(answer.stdout)
    mean = predicted.recovered.rois["lesion"].best.mean_dose_gy.value
    assert plan["activity_mbq"] == pytest.approx(400.0 / mean * 60.0, rel=1e-6)
    assert plan["tumor_gy"] == [pytest.approx(400.0)]
    assert "plan-recovered" in [remark["code"] for remark in plan["assumptions"]]
    (limit,) = [row for row in plan["thresholds"] if row["limit"] == 205.0]
    assert (limit["value"], limit["kind"]) == (pytest.approx(400.0, rel=1e-5), "recovered")
    blurred = run("plan", "voxel", write_study(tmp_path / "plain"), "--goal", "lesion.mean=400", "--json")
    assert json.loads(blurred.stdout)["activity_mbq"] > plan["activity_mbq"]


def test_a_plan_by_partition_takes_the_recovered_ratio(tmp_path):
    path = write_study(tmp_path, CASE + RBV)
    ratio = predict_case(read_case_file(path)).recovered.rois["lesion"].best.tumor_to_normal.value
    answer = run("plan", "partition", path, "--tumor-gy", "205", "--json")
    assert answer.exit_code == 0, answer.output
    plan = json.loads(answer.stdout)
    assert plan["inputs"]["territories"][0]["tumors"][0]["ratio"] == pytest.approx(ratio, rel=1e-9)
    assert "tumor-to-normal-recovered" in [remark["code"] for remark in plan["assumptions"]]


def test_a_plan_by_mass_alone_recovers_nothing(tmp_path):
    text = CASE.replace('role = "liver"', 'role = "perfused"') + RBV
    answer = run("plan", "mird", write_study(tmp_path, text), "--dose-gy", "400")
    assert answer.exit_code == 0, answer.output
    assert "recovering resolution" not in answer.stderr


def test_effects_of_results_are_those_of_the_image_and_say_so(recovered, tmp_path):
    answer = run("radiobiology", "--results", recovered[2], "--roi", "lesion", "--json")
    assert answer.exit_code == 0, answer.output
    assert "effects-of-blurred-image" in [remark["code"] for remark in json.loads(answer.stdout)["warnings"]]
    assess(tmp_path, "")
    answer = run("radiobiology", "--results", tmp_path / "out", "--roi", "lesion", "--json")
    assert "effects-of-blurred-image" not in answer.stdout


def test_the_table_of_the_terminal_shows_best_values_with_a_mark_and_says_what_it_means(recovered, plain):
    content, result, _ = recovered
    best = content["rois"]["lesion"]["recovered"]
    (row,) = [line for line in result.stdout.split("As in the image")[0].splitlines() if line.startswith("lesion ")]
    assert f" {best['mean_dose_gy']['value']:.3g}*" in row
    assert f" {best['d70_gy']['value']:.3g}*" in row
    assert f" {content['rois']['lesion']['d2_gy']:.3g} " in row  # not recovered, and not marked
    assert "* resolution recovered; the image's own value is below" in result.stdout
    assert f"T/N lesion {best['tumor_to_normal']['value']:.3g}" in result.stdout
    assert "*" not in plain[1].stdout
