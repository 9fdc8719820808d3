"""What a case file states of the patient."""

import tomllib

import pytest
from remarks import refusal
from small_study import CASE, write_study

from voxeldose.errors import InputError
from voxeldose.io.config.case import case_file_from, read_case_file
from voxeldose.io.config.flags import with_flags
from voxeldose.io.results.assessment import assessment_dict
from voxeldose.jobs.run_case import assess_case
from voxeldose.jobs.settings import choose_patient

PATIENT = '[patient]\nbilirubin_mg_per_dl = 1.6\nalbumin_g_per_dl = 3.9\nascites = "mild"\nperformance_status = 1\n'


def case(text: str, **flags):
    return case_file_from(with_flags(tomllib.loads(text), flags), "case")


def test_bilirubin_stands_in_either_table_and_a_flag_replaces_both():
    older = CASE.replace('id = "case-001"', "bilirubin_mg_per_dl = 0.7")
    assert choose_patient(case(older)).bilirubin_mg_per_dl == 0.7
    assert choose_patient(case(CASE + PATIENT)).bilirubin_mg_per_dl == 1.6
    assert choose_patient(case(CASE + PATIENT, bilirubin_mg_per_dl=2.0)).bilirubin_mg_per_dl == 2.0
    assert choose_patient(case(CASE)).facts() == {}
    with pytest.raises(
        InputError, match=r"0\.7 and patient\.bilirubin_mg_per_dl = 1\.6", check=refusal("keys-contradict")
    ):
        choose_patient(case(older + PATIENT))


def test_the_patient_reaches_limits_and_results(tmp_path):
    read = read_case_file(write_study(tmp_path / "study", CASE + PATIENT))
    content = assessment_dict(assess_case(read))
    assert content["patient"]["albi_grade"] == 2
    assert content["patient"]["performance_status"] == 1
    assert "child_pugh" not in content["patient"]
    assert {50.0, 75.0} == {t["limit"] for t in content["thresholds"] if t["roi"] == "normal_liver"}
    assert content["rois"]["liver"]["axial_diameter_mm"] is None
    # 4 x 4 voxels of 3.5 x 3 mm: the outline runs half a voxel outside the outermost centres
    assert content["rois"]["lesion"]["axial_diameter_mm"] == pytest.approx((14**2 + 9**2) ** 0.5, rel=1e-6)


def test_a_case_without_the_table_says_nothing_of_the_patient(tmp_path):
    content = assessment_dict(assess_case(read_case_file(write_study(tmp_path / "study"))))
    assert content["patient"] is None
    assert "patient" not in read_case_file(write_study(tmp_path / "study")).model_dump()
