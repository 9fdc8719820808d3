import pytest
from remarks import refusal

from voxeldose.errors import QuantityError
from voxeldose.model.radionuclide import (
    TC99M,
    Y90,
    Y90_ICRP107,
    Y90_VENDOR,
    Radionuclide,
    known_radionuclide,
    scaling_as_another,
    y90_constants,
)


@pytest.mark.parametrize(
    ("nuclide", "k"),
    # Gy kg/GBq of DDEP, ICRP 107 and the package insert, shared table of K values, to its last digit
    [(Y90, 49.383), (Y90_ICRP107, 49.760), (Y90_VENDOR, 50.000)],
)
def test_k_is_the_published_one(nuclide, k):
    assert nuclide.gy_kg_per_gbq == pytest.approx(k, abs=6e-4)


def test_eleven_days_deliver_94_percent():
    assert 1 - Y90.decay_factor(11 * 86400) == pytest.approx(0.9426, abs=5e-5)


def test_decays_of_one_gbq():
    assert 1e9 * Y90.decays_per_bq() == pytest.approx(3.32605e14, rel=2e-6)


def test_decay_undone_goes_back():
    assert Y90.decay_factor(3600) * Y90.decay_factor(-3600) == pytest.approx(1)


def test_activity_is_not_followed_back_beyond_all_numbers():
    assert Y90.decay_factor(-999 * Y90.half_life_s) == pytest.approx(2.0**999)
    assert Y90.decay_factor(1e12) == 0
    with pytest.raises(
        QuantityError, match=r"by 45306 days, 16979 half-lives.*Check the dates", check=refusal("scan-too-late")
    ):
        Y90.decay_factor(-45306 * 86400)


def test_a_nuclide_without_beta_energy_gives_no_dose():
    with pytest.raises(QuantityError, check=refusal("energy-unknown")):
        _ = TC99M.gy_kg_per_gbq


def test_a_half_life_must_be_positive():
    with pytest.raises(QuantityError, check=refusal("value-out-of-range")):
        Radionuclide("X", 0, 1.0, "nobody")


def test_names_are_found_in_any_spelling():
    assert known_radionuclide("y90") is Y90
    assert known_radionuclide("TC-99M") is TC99M
    assert known_radionuclide("Xx-1") is None


def test_an_unknown_set_of_constants_names_the_known():
    with pytest.raises(QuantityError, match="ddep, icrp107, vendor"):
        y90_constants("mird")


@pytest.mark.parametrize(("true", "taken_as"), [(Y90, TC99M), (TC99M, Y90)])
def test_branching_of_a_nuclide_without_positrons_is_not_undone(true, taken_as):
    with pytest.raises(QuantityError, match="of Tc-99m", check=refusal("positron-fraction-unknown")) as caught:
        scaling_as_another(true, taken_as, elapsed_s=0, frame_s=0)
    assert caught.value.fields == {"nuclide": "Tc-99m"}
