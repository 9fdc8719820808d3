"""Nuclide, half-life and positron fraction of a PET header, each checked against the others."""

from datetime import timedelta

import pytest
from remarks import coded

from voxeldose.dose.activity import quantify
from voxeldose.errors import QuantityError
from voxeldose.io.dicom.options import PetOptions
from voxeldose.io.dicom.pet import read_pet
from voxeldose.model.administration import Administration
from voxeldose.model.case import Absolute, Administered, Case
from voxeldose.model.radionuclide import Y90, known_radionuclide
from voxeldose.model.roi import RoiSet


def with_drug(**values):
    def change(ds, n):
        for key, value in values.items():
            setattr(ds.RadiopharmaceuticalInformationSequence[0], key, value)

    return change


@pytest.mark.parametrize(
    ("fraction", "words"),
    [(0.967, "another nuclide"), (0, "not applied"), (1, "not applied"), (3.2e-3, "nobody")],
)
def test_a_positron_fraction_that_is_not_that_of_y90_bars_absolute_values(write_series, fraction, words):
    pet = read_pet(write_series("PT", change=with_drug(RadionuclidePositronFraction=fraction)))
    assert words in pet.not_absolute
    early = Administration(Y90, 1000.0, pet.at - timedelta(hours=3))
    with pytest.raises(QuantityError, match="0018,1076"):
        quantify(Case(pet, RoiSet(), early, calibration=Absolute()))
    # the image is still proportional to activity
    assert quantify(
        Case(pet, RoiSet(), early, calibration=Administered("image"))
    ).activity.total_mbq() == pytest.approx(1000)


@pytest.mark.parametrize(("fraction", "noted"), [(3.186e-5, False), (3.2e-5, True), (3.4e-5, True)])
def test_positron_fractions_in_use_for_y90_are_kept_with_a_note(write_series, fraction, noted):
    pet = read_pet(write_series("PT", change=with_drug(RadionuclidePositronFraction=fraction)))
    assert not pet.not_absolute
    assert bool(coded("positron-fraction-differs", pet.remarks)) == noted
    assert not coded("positron-fraction-assumed", pet.remarks)


def test_a_header_without_a_positron_fraction_is_taken_to_have_used_that_of_y90(write_series):
    pet = read_pet(write_series("PT"))
    (assumed,) = coded("positron-fraction-assumed", pet.remarks)
    assert assumed.numbers == {"positron_fraction": Y90.positron_fraction}
    assert "states no positron fraction (0018,1076); that of Y-90 is taken as applied" in assumed.sentence
    assert not pet.not_absolute
    assert not coded("pet-not-absolute", pet.remarks)


def test_the_half_life_of_another_nuclide_bars_absolute_values(write_series):
    pet = read_pet(write_series("PT", change=with_drug(RadionuclideHalfLife=6586.2)))
    assert "0018,1075" in pet.not_absolute


def test_branching_that_was_not_applied_is_put_in_when_asked(write_series, place_error):
    folder = write_series("PT", change=with_drug(RadionuclidePositronFraction=1))
    pet = read_pet(folder, options=PetOptions(undo_nuclide="Y-90"))
    assert not pet.not_absolute
    assert place_error(pet, scale=1 / 31.86e-6) < 0.03 / 31.86e-6


def test_a_quantitative_spect_stored_as_pt_is_read_as_its_nuclide(write_series, place_error):
    def spect(ds, n):
        drug = ds.RadiopharmaceuticalInformationSequence[0]
        drug.RadionuclideCodeSequence[0].CodeMeaning, drug.RadionuclideHalfLife = "^99m^Technetium", 21624.12

    pet = read_pet(write_series("PT", change=spect))
    assert pet.radionuclide is known_radionuclide("Tc-99m")
    assert coded("pet-object-holds-spect", pet.remarks)
    assert place_error(pet) < 0.03


def test_an_image_without_attenuation_correction_is_not_absolute(write_series):
    pet = read_pet(write_series("PT", change=lambda ds, _: setattr(ds, "CorrectedImage", ["DECY", "SCAT"])))
    assert "attenuation" in pet.not_absolute
    assert len(coded("attenuation-uncorrected", pet.remarks)) == 1
    assert not coded("pet-not-absolute", pet.remarks)
    assert not coded("scatter-uncorrected", pet.remarks)


def test_an_image_without_scatter_correction_is_kept_with_a_note(write_series):
    pet = read_pet(write_series("PT", change=lambda ds, _: setattr(ds, "CorrectedImage", ["DECY", "ATTN"])))
    assert not pet.not_absolute
    (uncorrected,) = coded("scatter-uncorrected", pet.remarks)
    assert uncorrected.sentence == "Corrected Image (0028,0051) names no scatter correction."
