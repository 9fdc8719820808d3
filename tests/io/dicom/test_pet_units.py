"""PET in counts, SUV and by real-world value mappings: the same activity as Bq/mL."""

import numpy as np
import pytest
from pet_scans import INFUSION, SAME, SCAN, at_infusion, scanner
from pydicom.dataset import Dataset
from remarks import coded

from voxeldose.errors import InputError, QuantityError
from voxeldose.io.dicom.options import PetOptions
from voxeldose.io.dicom.pet import read_pet
from voxeldose.io.images import read_activity
from voxeldose.model.radionuclide import Y90, known_radionuclide, scaling_as_another


def philips(units="CNTS", creator="Philips PET Private Group", **factors):
    def change(ds, n):
        ds.Units = units
        block = ds.private_block(0x7053, creator, create=True)
        for name, value in factors.items():
            block.add_new({"suv": 0x00, "bqml": 0x09}[name], "DS", value)

    return change


@pytest.mark.parametrize("units", ["CNTS", "PROPCPS"])
def test_counts_of_philips_times_its_factor_are_bq_per_ml(write_series, place_error, units):
    pet = read_pet(write_series("PT", change=philips(units, suv="0.002", bqml="3.75")))
    assert place_error(pet, scale=3.75) < 0.03 * 3.75
    (remark,) = coded("philips-factor-used", pet.remarks)
    assert remark.numbers["smallest_factor"] == remark.numbers["largest_factor"] == 3.75
    assert "(7053,1009) 3.75" in remark.sentence


def test_a_factor_of_philips_of_its_own_a_slice_is_applied_slice_by_slice(write_series, place_error):
    def change(ds, n):
        philips(bqml=f"{2 + n / 4}")(ds, n)
        ds.RescaleSlope = f"{float(ds.RescaleSlope) / (2 + n / 4):.10g}"

    assert place_error(read_pet(write_series("PT", change=change))) < 0.03


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (philips(suv="0.002"), "(7053,1009)"),
        (philips(bqml="0"), "(7053,1009)"),
        (philips(creator="ANOTHER", bqml="3.75"), "without its private creator"),
        (philips("PROPCNTS"), "PROPCNTS"),
    ],
)
def test_counts_without_a_usable_factor_are_refused(write_series, refused, change, words):
    folder = write_series("PT", change=change)
    refused(lambda: read_pet(folder), str(folder), words, "counts", code="pet-not-in-bq-per-ml")


def test_a_factor_missing_in_one_slice_is_refused(write_series, refused):
    folder = write_series("PT", change=lambda ds, n: philips(bqml="3" if n != 2 else "0")(ds, n))
    refused(lambda: read_pet(folder), code="philips-factor-missing")


def suv(correction="START", weight=70.0, dose=2e9, **header):
    def change(ds, n):
        scanner(correction=correction, scanned_at=SCAN)(ds, n)
        ds.Units, ds.PatientWeight = "GML", weight
        ds.RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose = dose
        left = Y90.decay_factor((SCAN - INFUSION).total_seconds()) if correction == "START" else 1.0
        if weight and dose:
            ds.RescaleSlope = f"{float(ds.RescaleSlope) * weight * 1000 / (dose * left):.10g}"
        for key, value in header.items():
            setattr(ds, key, value)

    return change


@pytest.mark.parametrize("correction", ["START", "ADMIN"])
def test_suv_is_turned_back_when_asked_with_its_factor_said(write_series, place_error, correction):
    folder = write_series("PT", change=suv(correction))
    pet = read_pet(folder, options=PetOptions(undo_suv=True))
    assert place_error(at_infusion(pet)) < 700 * SAME
    (remark,) = coded("suv-undone", pet.remarks)
    assert "1 g/mL is" in remark.sentence
    assert "70 kg" in remark.sentence


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (suv(weight=0), "--weight-kg"),
        (suv(dose=0), "(0018,1074)"),
        (suv(dose=2000), "in Bq"),
        (suv(SUVType="LBM"), "LBM"),
        (suv(DecayCorrection="NONE"), "START or ADMIN"),
        (suv(SeriesDate="", AcquisitionDate=""), "instants"),
    ],
)
def test_suv_is_not_turned_back_without_weight_dose_and_decay(write_series, refused, change, words):
    folder = write_series("PT", change=change)
    refused(lambda: read_pet(folder, options=PetOptions(undo_suv=True)), str(folder), words, code="suv-incomplete")


def test_the_users_weight_stands_in_for_a_missing_one(write_series, place_error):
    def unweighed(ds, n):
        suv()(ds, n)
        del ds.PatientWeight

    pet = read_pet(write_series("PT", change=unweighed), options=PetOptions(undo_suv=True, weight_kg=70.0))
    assert place_error(at_infusion(pet)) < 700 * SAME


def mapping(units, slope, intercept=0.0):
    item, code = Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = units, "UCUM", units
    item.MeasurementUnitsCodeSequence = [code]
    item.RealWorldValueSlope, item.RealWorldValueIntercept = slope, intercept
    return item


@pytest.mark.parametrize(("units", "per"), [("Bq/ml", 1.0), ("kBq/mL", 1e-3), ("MBq/ml", 1e-6), ("Bq/L", 1e3)])
def test_a_real_world_mapping_to_a_concentration_takes_stored_values(write_series, place_error, units, per):
    def mapped(ds, n):
        slope = float(ds.RescaleSlope)
        ds.Units = "PROPCPS"
        ds.RealWorldValueMappingSequence = [mapping("{SUVbw}g/ml", 7.0), mapping(units, slope * per)]
        ds.RescaleSlope = "999"  # must not be applied before the mapping

    assert place_error(read_pet(write_series("PT", change=mapped))) < 0.03


def test_two_real_world_mappings_to_a_concentration_that_differ_are_refused(write_series, refused):
    def mapped(ds, n):
        ds.Units = "PROPCPS"
        ds.RealWorldValueMappingSequence = [mapping("Bq/ml", 1.0), mapping("Bq/ml", 2.0)]

    folder = write_series("PT", change=mapped)
    refused(lambda: read_pet(folder), code="mappings-differ")


def test_a_mapping_without_a_line_is_refused(write_series, refused):
    def mapped(ds, n):
        ds.Units, item = "PROPCPS", mapping("Bq/ml", 1.0)
        del item.RealWorldValueSlope
        ds.RealWorldValueMappingSequence = [item]

    folder = write_series("PT", change=mapped)
    refused(lambda: read_pet(folder), "slice_", "no slope", "Rescale Slope", code="mapping-not-linear")


def test_slices_in_two_units_are_refused(write_series, refused):
    folder = write_series("PT", change=lambda ds, n: setattr(ds, "Units", "GML" if n == 3 else "BQML"))
    refused(lambda: read_pet(folder), "slice_03.dcm", "GML", code="units-differ")


def test_slices_at_several_instants_without_a_nuclide_are_refused(write_series, refused):
    def beds(ds, n):
        scanner(correction="NONE", scanned_at=SCAN, beds=5)(ds, n)
        del ds.RadiopharmaceuticalInformationSequence

    folder = write_series("PT", change=beds)
    refused(lambda: read_pet(folder), str(folder), "5 different instants", code="nuclide-missing")


def test_a_relative_image_is_brought_to_one_instant_too(write_series, place_error):
    change = scanner(correction="NONE", scanned_at=SCAN, beds=5, factor=False, Units="CNTS")
    found = read_activity(write_series("PT", change=change), quantity="counts")
    scale = Y90.decay_factor((found.at - INFUSION).total_seconds())
    assert place_error(found, scale=scale) < 700 * SAME


def test_values_do_not_change_with_the_order_of_files(write_series):
    change = scanner(correction="NONE", scanned_at=SCAN, beds=5)
    one, two = (
        read_pet(write_series("PT", folder=name, reverse=r, change=change)) for name, r in (("a", False), ("b", True))
    )
    np.testing.assert_array_equal(one.values, two.values)


def test_an_unknown_nuclide_cannot_be_undone():
    with pytest.raises(QuantityError, match="positron fraction"):
        scaling_as_another(Y90, known_radionuclide("Tc-99m"), elapsed_s=0, frame_s=0)


def test_a_dynamic_series_says_why_places_are_doubled(write_series):
    def dynamic(ds, n):
        ds.SeriesType = ["DYNAMIC", "IMAGE"]
        ds.ImagePositionPatient[2] = 60 + 3 * (n // 2)

    with pytest.raises(InputError, match="DYNAMIC"):
        read_pet(write_series("PT", shape=(6, 3, 4), change=dynamic))


def test_suv_is_not_undone_where_there_is_none(write_series, refused):
    folder = write_series("PT")
    refused(lambda: read_pet(folder, options=PetOptions(undo_suv=True)), str(folder), code="nothing-to-undo")


@pytest.mark.parametrize("units", ["CNTS", "PROPCPS", ""])
def test_suv_is_not_undone_in_units_that_are_none(write_series, refused, units):
    folder = write_series("PT", change=lambda ds, _: setattr(ds, "Units", units))
    asked = PetOptions(undo_suv=True)
    refused(lambda: read_pet(folder, options=asked), str(folder), "GML", units or "none", code="units-not-suv")


@pytest.mark.parametrize("asked", [PetOptions(undo_nuclide="F-18"), PetOptions(undo_suv=True)])
def test_nothing_is_undone_in_counts_or_a_spect(write_series, write_nm, refused, asked):
    folder = write_series("PT")
    refused(lambda: read_activity(folder, quantity="counts", pet=asked), code="correction-without-pet")
    path = write_nm()
    refused(lambda: read_activity(path, pet=asked), str(path), "leave them out", code="correction-without-pet")
