import json

import pytest
from click.testing import CliRunner
from report_case import corrected, make_result, recovered

from voxeldose.cli import main
from voxeldose.io.results.assessment import assessment_dict


def run(words):
    return CliRunner().invoke(main, ["tn", *words.split()])


def answer(words):
    result = run(words + " --json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_worked_example_24_from_counts_alone():
    found = answer("--tumor 3.6e6 120 --normal 6.0e6 800")
    assert found["tumor_to_normal"][0]["by_concentration"] == pytest.approx(4.0, rel=1e-12)
    assert found["tumor_to_normal"][0]["by_dose"] is None
    assert {"formula", "constants", "inputs", "sources", "assumptions", "warnings"} <= found.keys()
    assert "normal-region-unnamed" in {a["code"] for a in found["assumptions"]}


def test_tumors_are_pooled_by_their_sums_and_doses_by_volume():
    counts = answer("--tumor 4e6 40 --tumor 1e6 40 --normal 1e6 100")["tumor_to_normal"]
    assert [row["by_concentration"] for row in counts] == pytest.approx([10.0, 2.5, 6.25])
    doses = answer("--tumor-gy 300 40 --tumor-gy 100 10 --normal-gy 30 1000 --normal-is perfused")["tumor_to_normal"]
    assert [row["by_dose"] for row in doses] == pytest.approx([10.0, 100 / 30, 260 / 30])
    assert {row["normal"] for row in doses} == {"perfused"}
    assert {row["normal_volume_ml"] for row in doses} == {1000}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("", 2, "one of them"),
        ("results --tumor 1 1 --normal 1 1", 2, "one of them"),
        ("--tumor 1 1 --normal-gy 1 1", 2, "one of them"),
        ("--tumor 1 1", 2, "belong together"),
        ("results --normal-is x", 2, "goes with numbers"),
        ("--tumor nan 1 --normal 1 1", 3, "found nan"),
        ("--tumor -1 1 --normal 1 1", 3, "found -1"),
        ("--tumor 1 0 --normal 1 1", 3, "above 0 mL"),
        ("--tumor 1 1 --normal 0 1", 3, "found 0"),
        ("nowhere", 3, "no such case file"),
    ],
)
def test_what_cannot_be_answered(words, code, said):
    result = run(words)
    assert result.exit_code == code, result.output
    assert said in result.stderr


def test_results_answer_with_their_own_rows_and_normal_region(tmp_path):
    row = {
        "roi": "a",
        "by_concentration": 5.0,
        "by_dose": 4.5,
        "normal": "whole normal liver: n",
        "normal_volume_ml": 9.0,
    }
    said = [
        {"code": "tumor-to-normal-of-whole-liver", "message": "T/N is against whole normal liver: n", "numbers": {}},
        {"code": "something-else", "message": "T/N is against nothing.", "numbers": {}},
    ]
    content = {
        "schema": "voxeldose/assessment/2",
        "tumor_to_normal": [row],
        "assumptions": said,
        "warnings": [],
        "constants": {"name": "ddep"},
    }
    (tmp_path / "assessment.json").write_text(json.dumps(content | {"rois": {"a": {}, "n": {}}}))
    found = answer(str(tmp_path))
    assert found["tumor_to_normal"] == [row]
    assert said[0] in found["assumptions"]
    assert said[1] not in found["assumptions"]
    assert "Normal: whole normal liver: n, 9.000 mL" in run(str(tmp_path)).stdout
    (tmp_path / "assessment.json").write_text(json.dumps(content | {"rois": {"n": {}}, "tumor_to_normal": []}))
    assert "role tumor" in run(str(tmp_path)).stderr


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [(corrected, "corrected", "corrected by recovery curve"), (recovered, "recovered", "resolution recovered")],
)
def test_a_better_ratio_than_the_images_own_stands_next_to_it(tmp_path, change, kind, words):
    result = change(make_result())
    (tmp_path / "assessment.json").write_text(json.dumps(assessment_dict(result)))
    own, better = result.tumor_to_normal[0].by_concentration, 1.25 * result.tumor_to_normal[0].by_concentration
    found = answer(str(tmp_path))
    assert found["tumor_to_normal"][0]["by_concentration"] == own
    assert (found["better"]["lesion"]["kind"], found["better"]["lesion"]["value"]) == (kind, pytest.approx(better))
    assert f"lesion: {better:.3g} {words}" in run(str(tmp_path)).stdout


def test_nothing_better_is_said_where_the_run_knows_only_its_image(tmp_path):
    (tmp_path / "assessment.json").write_text(json.dumps(assessment_dict(make_result())))
    assert answer(str(tmp_path))["better"] == {}
    assert "lesion:" not in run(str(tmp_path)).stdout
