import pytest
from remarks import coded, refusal

from voxeldose.errors import QuantityError
from voxeldose.model.administration import Administration, unit_doubts
from voxeldose.model.radionuclide import Y90


def test_an_unknown_device_is_refused_with_the_known_ones():
    with pytest.raises(
        QuantityError, match="glass or resin, found 'plastic'", check=refusal("value-unknown")
    ) as caught:
        Administration(Y90, 1000.0, device="plastic")
    assert caught.value.fields == {"field": "device", "found": "plastic"}


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({"administered_mbq": 0.0}, "value-out-of-range", "administered_mbq"),
        ({"administered_mbq": float("nan")}, "value-out-of-range", "administered_mbq"),
        ({"residual_mbq": -1.0}, "value-out-of-range", "residual_mbq"),
        ({"residual_mbq": 1000.0}, "keys-contradict", "residual_mbq"),
        ({"lung_shunt_fraction": 8.0}, "value-out-of-range", "lung_shunt_fraction"),
    ],
)
def test_activities_and_a_shunt_that_cannot_be_are_refused_by_their_key(given, code, field):
    with pytest.raises(QuantityError, match=field, check=refusal(code)) as caught:
        Administration(**{"radionuclide": Y90, "administered_mbq": 1000.0, **given})
    assert caught.value.fields["field"] == field


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
