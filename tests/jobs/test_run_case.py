"""A case from its file to its results, and as it is predicted for planning, from Python."""

import json

import pytest
from remarks import coded
from small_study import CASE, GRID, run, write_study

from voxeldose.io.config.case import case_file_from, read_case_tables
from voxeldose.io.results.folder import read_results
from voxeldose.jobs import predict_case


def predicted(folder, text):
    path = write_study(folder, text)
    return predict_case(case_file_from(read_case_tables(path), str(path)))


def test_a_case_without_activity_is_planned_from_a_map_of_1000_mbq(tmp_path):
    result = predicted(tmp_path, CASE.replace("administered_mbq = 60.0\n", "") + '[dose]\nengine = "local"\n')
    (unit,) = coded("plan-activity-unit", result.record.assumptions)
    assert unit.numbers == {"administered_mbq": 1000.0}
    assert unit.sentence == "The case gives no administered activity; the map was made for 1000 MBq and scaled."
    assert result.totals.activity_mbq == pytest.approx(1000, rel=1e-6)
    assert not coded("plan-image-relative", result.record.assumptions)


def test_a_case_with_absolute_calibration_is_planned_from_its_relative_image(tmp_path):
    result = predicted(tmp_path, CASE + '[dose]\nengine = "local"\ncalibration = "absolute"\n')
    (relative,) = coded("plan-image-relative", result.record.assumptions)
    assert relative.sentence == (
        "For planning the image is relative: calibration by administered activity, not absolute."
    )
    assert not coded("plan-activity-unit", result.record.assumptions)


@pytest.mark.parametrize(
    ("nuclide", "kind", "text"),
    [
        ('image_nuclide = "Tc-99m"', "predicted", "PREDICTED (Tc-99m MAA image)"),
        ('image_nuclide = "Y-90"', "delivered", "DELIVERED (Y-90 image)"),
        ("", None, "NOT KNOWN WHETHER PREDICTED OR DELIVERED (the image names no nuclide)"),
    ],
)
def test_every_output_says_whether_the_dose_is_predicted_or_delivered(tmp_path, nuclide, kind, text):
    case = write_study(tmp_path / "study", CASE.replace("[[rois]]", f"{nuclide}\n[[rois]]"))
    answer = run("assess", case, "--out", tmp_path / "out")
    assert answer.exit_code == 0, answer.output
    content = json.loads((tmp_path / "out/assessment.json").read_text())
    again = read_results(tmp_path / "out")
    page = (tmp_path / "out/report.html").read_text()
    assert (content["kind"], content["kind_text"]) == (kind, text) == (again.kind, again.kind_text)
    assert f"Absorbed dose, {text}" in answer.stdout
    assert text in page.split("</title>")[0]
    assert f'<p class="kind">{text}</p>' in page


def test_a_treated_segment_is_the_perfused_volume(tmp_path):
    labels = 'labels = { 1 = { name = "segment_6", role = "segment", treated = true }, 2 = { name = "lesion", role = "tumor" } }'
    text = CASE.replace(CASE[CASE.index("labels = {") : CASE.index("[administration]")], f"{labels}\n")
    case = write_study(tmp_path / "study", text + '[dose]\nengine = "local"\n')
    answer = run("assess", case, "--out", tmp_path / "out", "--json")
    assert answer.exit_code == 0, answer.output
    content = json.loads(answer.stdout)
    segment = content["rois"]["segment_6"]
    assert segment["role"] == "perfused"
    mass_g = 8 * 10 * 10 * GRID.voxel_volume_ml * 1.04  # with the lesion that the label leaves out
    assert segment["single_compartment_gy"] == pytest.approx(49.38 * 60 / mass_g, rel=1e-4)
    assert content["tumor_to_normal_region"] == "perfused_normal_liver"
    assert content["tumor_to_normal_ratio"] == pytest.approx(5, rel=1e-5)
    (said,) = [one for one in content["assumptions"] if one["code"] == "segment-treated"]
    assert said["numbers"] == {"roi": "segment_6"}
    card = json.loads(run("card", tmp_path / "out", "--json").stdout)
    assert card["inputs"]["perfused_gy"] == segment["single_compartment_gy"]
    plan = json.loads(run("plan", "mird", case, "--activity-mbq", 60, "--json").stdout)
    assert plan["perfused_gy"] == pytest.approx(segment["single_compartment_gy"], rel=1e-9)
    ratios = json.loads(run("tn", tmp_path / "out", "--json").stdout)["tumor_to_normal"]
    assert [row["by_concentration"] for row in ratios] == [content["tumor_to_normal_ratio"]]


def test_only_a_segment_can_be_treated(tmp_path):
    text = CASE.replace('name = "liver", role = "liver"', 'name = "liver", role = "liver", treated = true')
    answer = run("assess", write_study(tmp_path / "study", text), "--out", tmp_path / "out")
    assert answer.exit_code == 3
    assert "treated = true goes with the role segment" in answer.stderr
