"""Liver function of a patient by the published formulas, and what cannot be."""

import math

import pytest
from remarks import refusal

from voxeldose.errors import QuantityError
from voxeldose.model.patient import Patient

GOOD = {"bilirubin_mg_per_dl": 0.8, "albumin_g_per_dl": 4.1, "inr": 1.1, "ascites": "none", "encephalopathy": "none"}


def test_albi_is_the_published_formula_in_its_own_units():
    patient = Patient(bilirubin_mg_per_dl=10 / 17.104, albumin_g_per_dl=4.0)  # 10 µmol/L and 40 g/L
    assert patient.albi_score == pytest.approx(0.66 * 1 - 0.085 * 40)
    assert patient.albi_grade == 1


@pytest.mark.parametrize(("score", "grade"), [(-2.6001, 1), (-2.5999, 2), (-1.3901, 2), (-1.3899, 3)])
def test_albi_grades_end_at_the_published_scores(score, grade):
    albumin_g_per_l = (0.66 * math.log10(20) - score) / 0.085
    assert Patient(20 / 17.104, albumin_g_per_l / 10).albi_grade == grade


def test_albi_needs_both():
    assert Patient(bilirubin_mg_per_dl=1).albi_grade is None
    assert Patient(albumin_g_per_dl=4).albi_score is None


@pytest.mark.parametrize(
    ("changed", "points"),
    [
        ({}, 5),
        ({"bilirubin_mg_per_dl": 1.99}, 5),
        ({"bilirubin_mg_per_dl": 2.0}, 6),
        ({"bilirubin_mg_per_dl": 3.0}, 6),
        ({"bilirubin_mg_per_dl": 3.01}, 7),
        ({"albumin_g_per_dl": 3.51}, 5),
        ({"albumin_g_per_dl": 3.5}, 6),
        ({"albumin_g_per_dl": 2.8}, 6),
        ({"albumin_g_per_dl": 2.79}, 7),
        ({"inr": 1.69}, 5),
        ({"inr": 1.7}, 6),
        ({"inr": 2.3}, 6),
        ({"inr": 2.31}, 7),
        ({"ascites": "mild"}, 6),
        ({"ascites": "moderate"}, 7),
        ({"encephalopathy": "1-2"}, 6),
        ({"encephalopathy": "3-4"}, 7),
        (dict(zip(GOOD, (4, 2, 3, "moderate", "3-4"), strict=True)), 15),
    ],
)
def test_child_pugh_points_are_those_of_the_table(changed, points):
    patient = Patient(**GOOD | changed)
    assert patient.child_pugh_points == points
    assert patient.child_pugh_class == ("A" if points < 7 else "B" if points < 10 else "C")


def test_child_pugh_needs_all_five_items_or_is_as_stated():
    for item in GOOD:
        part = {key: value for key, value in GOOD.items() if key != item}
        assert Patient(**part).child_pugh_points is None
        assert Patient(**part, child_pugh="B").child_pugh_class == "B"
    assert Patient(**GOOD, child_pugh="A").child_pugh_class == "A"
    with pytest.raises(QuantityError, match="give 5 points: class A", check=refusal("values-contradict")):
        Patient(**GOOD, child_pugh="B")


@pytest.mark.parametrize(
    ("stated", "words", "code"),
    [
        ({"albumin_g_per_dl": 40}, "in g/dL", "value-out-of-range"),
        ({"bilirubin_mg_per_dl": 17}, "in mg/dL", "value-out-of-range"),
        ({"inr": 0}, "a ratio", "value-out-of-range"),
        ({"performance_status": 5}, "ECOG, 0 to 4", "value-out-of-range"),
        ({"segments": 10}, "1 to 9", "value-out-of-range"),
        ({"tumor_diameter_mm": math.nan}, "in mm", "value-out-of-range"),
        ({"ascites": "some"}, "none, mild, moderate", "value-unknown"),
        ({"encephalopathy": "2"}, "none, 1-2, 3-4", "value-unknown"),
        ({"child_pugh": "D"}, "A, B, C", "value-unknown"),
    ],
)
def test_what_cannot_be_is_refused(stated, words, code):
    with pytest.raises(QuantityError, match=words, check=refusal(code)):
        Patient(**stated)


def test_facts_hold_what_is_stated_and_what_follows_and_nothing_else():
    assert Patient().facts() == {}
    facts = Patient(**GOOD, performance_status=0, macrovascular_invasion=False).facts()
    assert facts["performance_status"] == 0
    assert facts["macrovascular_invasion"] is False
    assert (facts["child_pugh_points"], facts["child_pugh"], facts["albi_grade"]) == (5, "A", 1)
    assert "solitary" not in facts
