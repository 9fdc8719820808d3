"""The same answer from Python as from the command line."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest
from remarks import coded, refusal
from small_study import run

from voxeldose.dose.assess import assess
from voxeldose.dose.engines.local import LocalDeposition
from voxeldose.dose.lungs import counted_shunt
from voxeldose.dose.segmentectomy import SegmentectomyFacts, TumorCoverage
from voxeldose.errors import InputError, QuantityError
from voxeldose.io.results.assessment import plain
from voxeldose.model.administration import Administration
from voxeldose.model.case import Case
from voxeldose.model.grid import Grid
from voxeldose.model.radionuclide import Y90
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.volume import ActivityMap
from voxeldose.planning.answers.cards import SphereActivity, answer_card
from voxeldose.planning.answers.dosed_regions import region_of_doses, region_of_results
from voxeldose.planning.answers.lungs import LungQuestion, answer_lung_dose, answer_lung_shunt
from voxeldose.planning.answers.mean_dose import (
    MeanDoseQuestion,
    PhantomRun,
    Sphere,
    answer_mean_dose,
    answer_recovery,
    answer_recovery_of_results,
)
from voxeldose.planning.answers.plans import answer_body_surface, answer_mird, answer_partition, answer_voxels
from voxeldose.planning.answers.radiobiology import RadiobiologyQuestion, answer_radiobiology, list_parameter_sets
from voxeldose.planning.answers.ratios import answer_ratio, answer_ratio_of_results
from voxeldose.planning.answers.settings import Compartments, PartitionGoals, PlanSetting
from voxeldose.planning.answers.vials import (
    Assays,
    OwnVials,
    VialQuestion,
    answer_delivered,
    answer_vial,
    product_of,
)
from voxeldose.planning.planar_shunt import Views, planar_shunt
from voxeldose.planning.territories import Territory, Tumor

CALIBRATED, AT = datetime(2024, 5, 5, 12, tzinfo=UTC), datetime(2024, 5, 8, 10, tzinfo=UTC)
LIVER = Territory((Tumor("tumor_1", 200, 5),), 1300, 0.08, "liver")

SAME = {
    "plan mird --mass-g 200 --dose-gy 400 --lung-shunt 0.05 --device glass": lambda: answer_mird(
        PlanSetting(lung_shunt_fraction=0.05, device="glass"), mass_g=200, dose_gy=400
    ),
    "plan partition --tumor-g 200 --normal-g 1300 --tn 5 --lung-shunt 0.08 --tumor-gy 205 --normal-limit-gy 20": (
        lambda: answer_partition(
            Compartments((LIVER,)), PlanSetting(lung_shunt_fraction=0.08), goals=PartitionGoals(205, 20)
        )
    ),
    "plan partition --tumor-g 200 --normal-g 1300 --tn 5 --lung-shunt 0.08 --activity-mbq 2500": lambda: (
        answer_partition(Compartments((LIVER,)), PlanSetting(lung_shunt_fraction=0.08), activity_mbq=2500)
    ),
    "plan bsa --height-m 1.7 --weight-kg 70 --tumor-part 0.2": lambda: answer_body_surface(1.7, 70, tumor_part=0.2),
    (
        "plan vial --activity-mbq 1700 --at 2024-05-08T10:00:00+00:00 --calibrated-at 2024-05-05T12:00:00+00:00 "
        "--residual-fraction 0.01 --device glass --sphere-bq-at-calibration 2400"
    ): lambda: answer_vial(
        VialQuestion(1700, AT, (CALIBRATED,), 0.01),
        PlanSetting(device="glass"),
        product_of("glass", own=OwnVials(bq_per_sphere=2400)),
    ),
    (
        "plan delivered --assay-mbq 3120 --assayed-at 2024-05-05T12:00:00+00:00 --at 2024-05-08T10:00:00+00:00 "
        "--residual-mbq 45 --lung-shunt 0.05 --constants vendor"
    ): lambda: answer_delivered(Assays(3120, CALIBRATED, AT, 45), lung_shunt_fraction=0.05, constants="vendor"),
    (
        "lung-shunt planar --lung-anterior 12 --lung-posterior 15 --liver-anterior 150 --liver-posterior 110 "
        "--activity-mbq 3000 --earlier-gy 12"
    ): lambda: answer_lung_shunt(planar_shunt(Views(12, 15), Views(150, 110)), LungQuestion(3000, earlier_gy=(12,))),
    "lung-shunt spect --lung-counts 3 --liver-counts 57": lambda: answer_lung_shunt(
        counted_shunt(3, 57), LungQuestion()
    ),
    "lung-shunt dose --lung-shunt 0.08 --activity-mbq 3000 --lung-mass-g 822": lambda: answer_lung_dose(
        0.08, LungQuestion(3000, 822)
    ),
    "tn --tumor 36 120 --normal 60 800": lambda: answer_ratio([(36, 120)], (60, 800)),
    (
        "card --perfused-gy 420 --tumor 0.85 372 --sphere-bq-at-calibration 2500 --calibrated-at 2024-05-05T12:00:00+00:00 "
        "--at 2024-05-08T10:00:00+00:00"
    ): lambda: answer_card(
        SegmentectomyFacts(perfused_gy=420, tumors=(TumorCoverage("tumor_1", 0.85, 372),)),
        spheres=SphereActivity(2500, CALIBRATED, AT),
    ),
    "radiobiology --dose-gy 100 --dose-gy 300 --set cremonesi-2008-tumor --geud-a 2": lambda: answer_radiobiology(
        RadiobiologyQuestion("cremonesi-2008-tumor", geud_a=2), region_of_doses([100, 300])
    ),
    "radiobiology --list": list_parameter_sets,
    "uncertainty mean --dose-gy 200 --diameter-mm 30 --voxel-mm 4 --fwhm-mm 7 --phi 0.8": lambda: answer_mean_dose(
        MeanDoseQuestion(200, 30, voxel_mm=4, fwhm_mm=7, phi=0.8)
    ),
    "uncertainty recovery --sphere 0.5 0.3 0.02 --sphere 2.6 0.55 0.02 --sphere 11 0.8 0.02": lambda: answer_recovery(
        [Sphere(0.5, 0.3, 0.02), Sphere(2.6, 0.55, 0.02), Sphere(11, 0.8, 0.02)]
    ),
}


@pytest.mark.parametrize("words", SAME, ids=lambda words: " ".join(words.split()[:2]))
def test_python_answers_as_the_command_line_does(words):
    answer = SAME[words]()
    shown = run(*words.split(), "--json")
    assert shown.exit_code == 0, shown.output
    assert plain(answer.as_dict()) == json.loads(shown.stdout)
    text = run(*words.split())
    assert text.stdout.splitlines() == [part for line in answer.lines() for part in line.split("\n")]
    assert text.stderr.splitlines() == answer.notes()


@pytest.mark.parametrize("words", SAME, ids=lambda words: " ".join(words.split()[:2]))
def test_remarks_of_answers_are_objects(words):
    content = SAME[words]().as_dict()
    for remark in (*content.get("assumptions", ()), *content.get("warnings", ())):
        assert remark.keys() == {"code", "message", "numbers"}
        assert remark["code"] == remark["code"].lower()
        assert " " not in remark["code"]


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (lambda: answer_mird(PlanSetting(), dose_gy=400), "mass-missing"),
        (lambda: answer_voxels(PlanSetting(), ["lesion.mean=400"]), "assessment-missing"),
        (lambda: answer_mird(PlanSetting(lung_mass_g=900), mass_g=200, dose_gy=400), "lung-mass-unused"),
        (lambda: answer_mird(PlanSetting(bilirubin_mg_per_dl=1), mass_g=200, dose_gy=400), "bilirubin-unused"),
        (lambda: answer_body_surface(1.7, 70), "tumor-part-missing"),
        (lambda: answer_vial(VialQuestion(1700), PlanSetting()), "infusion-missing"),
        (lambda: answer_lung_dose(0.1, LungQuestion()), "activity-missing"),
        (lambda: answer_card(SegmentectomyFacts(), spheres=SphereActivity(2500, None)), "sphere-activity-incomplete"),
        (
            lambda: answer_card(SegmentectomyFacts(), spheres=SphereActivity(2500, AT, CALIBRATED)),
            "instants-contradict",
        ),
        (lambda: answer_mean_dose(MeanDoseQuestion(200, 30)), "edge-response-missing"),
        (lambda: answer_mean_dose(MeanDoseQuestion(200, phi=0.8)), "volume-missing"),
        (lambda: region_of_doses([1, 2], [1]), "values-contradict"),
        (lambda: answer_radiobiology(RadiobiologyQuestion(clonogens=9), region_of_doses([1])), "parameter-set-missing"),
    ],
)
def test_what_is_missing_is_refused_with_a_code(ask, code):
    with pytest.raises(QuantityError) as refused:
        ask()
    assert refused.value.code == code


def test_results_that_are_not_whole_or_have_no_ratio_are_refused():
    with pytest.raises(InputError) as refused:
        answer_card(SegmentectomyFacts(), {"constants": {"name": "ddep"}, "rois": {}}, source="results")
    assert refused.value.code == "results-incomplete"
    with pytest.raises(InputError) as refused:
        answer_ratio_of_results({"rois": {}, "tumor_to_normal": []}, "results")
    assert refused.value.code == "region-missing"


@pytest.mark.parametrize(
    ("question", "role", "words"),
    [
        (RadiobiologyQuestion("cremonesi-2008-normal-liver", clonogens=1e6, source="x"), None, "are a tumor's"),
        (RadiobiologyQuestion("cremonesi-2008-tumor", td50_gy=52, m=0.3, source="x"), None, "at risk"),
        (RadiobiologyQuestion(td50_gy=52, m=0.3, source="x"), "tumor", "at risk"),
    ],
)
def test_numbers_of_another_tissue_are_refused(question, role, words):
    with pytest.raises(QuantityError, match=words, check=refusal("tissue-differs")):
        answer_radiobiology(question, region_of_doses([50], role=role))


@pytest.fixture
def results(tmp_path):
    """The least of a run's results: one region of normal liver."""
    row = {"role": "normal_liver", "mean_dose_gy": 60.0, "bed_gy": 110.0, "volume_ml": 1000.0, "activity_mbq": 900.0}
    content = {
        "schema": "voxeldose/assessment/2",
        "rois": {"normal": row},
        "administration": {"device": "glass"},
        "radiobiology": {"normal_liver": {"name": "another"}},
        "constants": {"name": "ddep"},
    }
    manifest = {"schema": "voxeldose/run/2", "inputs": [], "outputs": {}, "version": "0"}
    manifest["case"] = {"dose": {"calibration": "administered"}}
    (tmp_path / "assessment.json").write_text(json.dumps(content))
    (tmp_path / "run.json").write_text(json.dumps(manifest))
    return tmp_path


def test_results_of_other_constants_or_parameters_are_refused(results):
    with pytest.raises(
        InputError, match="used the constants ddep, not vendor", check=refusal("constants-differ")
    ) as caught:
        region_of_results(results, "normal", constants="vendor")
    assert caught.value.fields == {"used": "ddep", "asked": "vendor"}
    asked = "cremonesi-2008-normal-liver"
    with pytest.raises(InputError, match="run again", check=refusal("parameter-set-differs")) as caught:
        region_of_results(results, "normal", set_name=asked)
    assert caught.value.fields == {"used": "another", "asked": asked}
    with pytest.raises(InputError, match="there are normal", check=refusal("region-unknown")):
        region_of_results(results, "liver")


def test_recovery_is_not_measured_in_a_run_scaled_to_the_administered_activity(results):
    with pytest.raises(InputError, match="calibration = absolute", check=refusal("calibration-not-absolute")):
        answer_recovery_of_results(results, PhantomRun("phantom", 2.5))


@pytest.fixture(scope="module")
def assessed():
    """A liver of 480 voxels of 0.05 mL, perfused as a whole, with a tumor of 48."""
    grid = Grid.from_axes((8, 10, 12), (5, 4, 2.5), (0, 0, 0))
    liver, tumor = np.zeros((2, *grid.shape))
    liver[1:7, 1:9, 1:11], tumor[2:5, 2:6, 3:7] = 1, 1
    rois = [
        Roi("liver", "liver", liver, grid),
        Roi("lesion", "tumor", tumor, grid),
        Roi("right", "perfused", liver, grid),
    ]
    image = ActivityMap((1e5 * liver + 4e5 * tumor).astype(np.float32), grid, at=AT, radionuclide=Y90)
    return assess(Case(image, RoiSet(tuple(rois)), Administration(Y90, 1850.0, AT, 12.0, 0.05)), LocalDeposition())


WITH_A_CASE = {
    "perfused-volume-from-case": (
        lambda setting: answer_mird(setting, dose_gy=100),
        {"roi": "right", "mass_g": pytest.approx(480 * 0.05 * 1.04)},
        "The perfused volume is right, 25.0 g by the case.",
    ),
    "tumor-part-from-case": (
        lambda setting: answer_body_surface(1.7, 70, assessment=setting.assessment),
        {"tumor_part": pytest.approx(0.1), "roi": "lesion, normal_liver"},
        "The tumor's part of the liver is 0.1000 by the case's regions: lesion, normal_liver.",
    ),
    "infusion-from-case": (
        lambda setting: answer_vial(VialQuestion(1700), setting),
        {"at": "2024-05-08T10:00:00+00:00"},
        "The infusion is at 2024-05-08T10:00:00+00:00, as the case says.",
    ),
    "tumor-volume-from-case": (
        lambda setting: answer_vial(VialQuestion(1700), setting),
        {"tumor_ml": pytest.approx(48 * 0.05)},
        "The treated tumors are 2.40 mL by the case's regions.",
    ),
}


@pytest.mark.parametrize("code", WITH_A_CASE)
def test_what_a_case_says_instead_of_the_user_is_stated(assessed, code):
    ask, numbers, sentence = WITH_A_CASE[code]
    (remark,) = [one for one in ask(PlanSetting(assessed)).as_dict()["assumptions"] if one["code"] == code]
    assert remark["numbers"] == numbers
    assert remark["message"] == sentence


def test_a_shunt_changes_no_vial():
    answer = answer_vial(VialQuestion(1700, AT), PlanSetting(lung_shunt_fraction=0.08))
    (unused,) = coded("lung-shunt-not-in-vial", answer.plan.assumptions)
    assert unused.numbers == {"lung_shunt_fraction": 0.08}
    assert "so the lung shunt changes no vial" in unused.sentence
    assert not coded("lung-shunt-not-in-vial", answer_vial(VialQuestion(1700, AT), PlanSetting()).plan.assumptions)


@pytest.mark.parametrize(
    ("residual_mbq", "residual_at", "code"),
    [(0.0, None, "residual-missing"), (45.0, None, "residual-at-infusion"), (45.0, AT, None)],
)
def test_a_residual_without_an_instant_is_of_the_infusion(residual_mbq, residual_at, code):
    answer = answer_delivered(Assays(3120, CALIBRATED, AT, residual_mbq, residual_at), lung_shunt_fraction=0.05)
    assert [one.code for one in answer.assumptions] == [code] * bool(code)
    if code == "residual-at-infusion":
        assert answer.assumptions[0].sentence == "The residual is as of the infusion."


def test_activity_by_body_surface_is_for_the_whole_liver_and_plans_no_dose():
    (method,) = coded("body-surface-method", answer_body_surface(1.7, 70, tumor_part=0.2).plan.assumptions)
    assert method.numbers == {"body_surface_m2": pytest.approx(0.20247 * 1.7**0.725 * 70**0.425)}
    assert method.sentence.startswith("Body surface 1.8097 m²; whole liver, resin microspheres; no dose is planned")


def test_a_ratio_is_of_even_density_and_without_correction_of_partial_volume():
    (even,) = coded("tumor-to-normal-uncorrected", answer_ratio([(36, 120)], (60, 800)).assumptions)
    assert "partial volume is not corrected, and lowers T/N of small tumors" in even.sentence


CURVES = {
    "parameters-of-a-group": (
        RadiobiologyQuestion("cremonesi-2008-tumor"),
        "no number here is a prediction for a patient",
    ),
    "bed-of-mean-dose": (
        RadiobiologyQuestion(
            "cremonesi-2008-normal-liver", complication="quoted-2014-glass-lobar", m=0.3, source="x", device="glass"
        ),
        "that of the mean dose, as if it were even",
    ),
    "dose-taken-as-in-vitro-eud": (
        RadiobiologyQuestion(control="ejnmmi-res-2022-hcc-eud"),
        "taken as an EUD with in-vitro radiosensitivity",
    ),
}


@pytest.mark.parametrize("code", CURVES)
def test_what_a_curve_does_not_know_is_warned_of(code):
    question, words = CURVES[code]
    (warning,) = coded(code, answer_radiobiology(question, region_of_doses([100])).warnings)
    assert words in warning.sentence
