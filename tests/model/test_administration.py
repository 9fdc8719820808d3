import pytest
from remarks import coded

from voxeldose.model.administration import unit_doubts


@pytest.mark.parametrize(
    ("given", "code", "numbers", "sentence"),
    [
        (
            {"activity_mbq": 1.7},
            "activity-unusual",
            {"activity_mbq": 1.7},
            "1.7 MBq is no usual activity of an infusion: check that activities are in MBq, masses in g.",
        ),
        (
            {"liver_g": (1.3, 0.2)},
            "liver-mass-unusual",
            {"mass_g": 1.5},
            "Masses of 1.3, 0.2 g are no usual part of a liver: check that they are in g.",
        ),
        (
            {"lung_g": 0.8},
            "lung-mass-unusual",
            {"mass_g": 0.8},
            "0.8 g is no usual mass of lungs: check that it is in g.",
        ),
    ],
)
def test_numbers_that_look_like_gbq_or_kilograms_are_doubted(given, code, numbers, sentence):
    (doubt,) = unit_doubts(**given)
    assert [doubt] == coded(code, [doubt])
    assert doubt.numbers == numbers
    assert doubt.sentence == sentence


def test_usual_numbers_and_regions_without_mass_are_not_doubted():
    assert unit_doubts(1700.0, (1300.0, 0.0, 200.0), 800.0) == ()
    assert unit_doubts(None, (0.0, 0.0), None) == ()
