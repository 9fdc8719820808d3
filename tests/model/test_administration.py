import pytest
from remarks import refusal

from voxeldose.errors import QuantityError
from voxeldose.model.administration import Administration
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
