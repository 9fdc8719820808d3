"""When an image's values hold, of which nuclide and quantity they are, by header and by the user's word."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from pydicom.dataset import Dataset
from remarks import coded, refusal

from voxeldose.errors import QuantityError, VoxeldoseError
from voxeldose.io.dicom.nuclide import nuclide_name, nuclide_of
from voxeldose.io.dicom.pet import read_pet
from voxeldose.io.dicom.spect import read_spect
from voxeldose.io.images import read_activity, read_ct_image, read_density
from voxeldose.model.radionuclide import TC99M, Y90
from voxeldose.model.volume import ActivityMap, CountMap


def setting(**values):
    def change(ds, n=0):
        for key, value in values.items():
            if value is None:
                delattr(ds, key)
            else:
                setattr(ds, key, value)

    return change


def administered(start):
    def change(ds, n):
        ds.DecayCorrection = "ADMIN"
        if start:
            ds.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartDateTime = start

    return change


# --- PET, decay correction START ---


def test_start_means_the_series_instant(write_series, study_instant):
    pet = read_pet(write_series("PT"))
    assert pet.at == study_instant
    (remark,) = coded("pet-instant-start", pet.remarks)
    assert remark.numbers == {"at": "2024-05-02T14:05:00+00:00"}
    assert "(Decay Correction START)" in remark.sentence


def test_start_means_the_acquisition_where_the_series_was_made_later(write_series, study_instant):
    pet = read_pet(write_series("PT", change=setting(SeriesTime="173000")))
    assert pet.at == study_instant


def test_start_means_the_series_where_later_beds_were_measured_after_it(write_series, study_instant):
    def beds(ds, n):
        ds.AcquisitionTime = f"14{5 + 4 * n:02d}00"

    assert read_pet(write_series("PT", change=beds)).at == study_instant


def test_start_means_the_earliest_acquisition_whichever_file_comes_first(write_series, study_instant):
    def falling(ds, n):
        ds.AcquisitionTime, ds.SeriesTime = f"14{25 - 5 * n:02d}00", "150000"

    assert read_pet(write_series("PT", change=falling)).at == study_instant


def test_start_takes_the_acquisition_where_the_series_has_no_time(write_series, study_instant):
    assert read_pet(write_series("PT", change=setting(SeriesTime=None))).at == study_instant


def test_a_scan_over_midnight_holds_at_its_start(write_series):
    def late(ds, n):
        ds.SeriesDate, ds.SeriesTime = "20240502", "235800"
        ds.AcquisitionDate, ds.AcquisitionTime = ("20240502", "235800") if n < 2 else ("20240503", "000200")

    assert read_pet(write_series("PT", change=late)).at == datetime(2024, 5, 2, 23, 58, tzinfo=UTC)


def test_a_series_saved_after_midnight_holds_at_its_acquisition(write_series):
    change = setting(SeriesDate="20240503", SeriesTime="001000", AcquisitionDate="20240502", AcquisitionTime="235000")
    assert read_pet(write_series("PT", change=change)).at == datetime(2024, 5, 2, 23, 50, tzinfo=UTC)


def test_start_without_any_time_has_no_instant_and_says_so(write_series):
    pet = read_pet(write_series("PT", change=setting(SeriesTime=None, AcquisitionTime=None)))
    assert pet.at is None
    assert coded("pet-instant-missing", pet.remarks)


def test_old_style_dates_and_fractions_of_seconds_are_understood(write_series):
    change = setting(
        SeriesDate="2024.05.02", SeriesTime="14:05:00", AcquisitionDate="2024.05.02", AcquisitionTime="140500.25"
    )
    assert read_pet(write_series("PT", change=change)).at == datetime(2024, 5, 2, 14, 5, tzinfo=UTC)


# --- ADMIN, NONE and unknown ---


def test_admin_means_the_administration_with_its_date(write_series):
    pet = read_pet(write_series("PT", change=administered("20240502101500.000000")))
    assert pet.at == datetime(2024, 5, 2, 10, 15, tzinfo=UTC)


def test_admin_with_an_offset_is_that_instant(write_series):
    pet = read_pet(write_series("PT", change=administered("20240502101500+0200")))
    assert pet.at == datetime(2024, 5, 2, 8, 15, tzinfo=UTC)


def test_admin_follows_the_zone_that_the_header_states(write_series):
    def change(ds, n):
        administered("20240502101500")(ds, n)
        ds.TimezoneOffsetFromUTC = "+0200"

    # PS3.3 C.12.1.1.8: the offset applies to every DT of the file that has none of its own
    assert read_pet(write_series("PT", change=change)).at == datetime(2024, 5, 2, 8, 15, tzinfo=UTC)


@pytest.mark.parametrize("start", ["", "101500"])
def test_admin_without_a_date_has_no_instant_and_says_the_way_out(write_series, start):
    pet = read_pet(write_series("PT", change=administered(start)))
    assert pet.at is None
    assert "measured_at" in coded("pet-instant-missing", pet.remarks)[0].sentence


def test_none_means_the_middle_of_the_frame(write_series, study_instant):
    pet = read_pet(write_series("PT", change=setting(DecayCorrection="NONE")))
    assert pet.at == study_instant + timedelta(minutes=15)


def test_none_without_a_time_has_no_instant(write_series):
    pet = read_pet(write_series("PT", change=setting(DecayCorrection="NONE", AcquisitionTime=None)))
    assert pet.at is None


@pytest.mark.parametrize("correction", [None, "", "WEIRD"])
def test_another_decay_correction_leaves_the_instant_open_and_says_so(write_series, correction):
    pet = read_pet(write_series("PT", change=setting(DecayCorrection=correction)))
    assert pet.at is None
    assert "(0054,1102)" in coded("pet-decay-correction-unknown", pet.remarks)[0].sentence


# --- time zones ---


@pytest.mark.parametrize(("offset", "hours"), [("+0200", 2), ("-0530", -5.5), ("+0000", 0)])
def test_the_stated_zone_rules_and_needs_no_note(write_series, offset, hours):
    pet = read_pet(write_series("PT", change=setting(TimezoneOffsetFromUTC=offset)), zone=ZoneInfo("Asia/Tokyo"))
    assert pet.at == datetime(2024, 5, 2, 14, 5, tzinfo=timezone(timedelta(hours=hours)))
    assert not coded("time-zone-assumed", pet.remarks)


def test_without_a_stated_zone_the_given_one_is_taken_with_a_note(write_series):
    pet = read_pet(write_series("PT"), zone=ZoneInfo("Europe/Berlin"))
    assert pet.at == datetime(2024, 5, 2, 12, 5, tzinfo=UTC)
    (remark,) = coded("time-zone-assumed", pet.remarks)
    assert remark.numbers["zone"] == "Europe/Berlin"
    assert "taken as Europe/Berlin" in remark.sentence


def test_a_spect_holds_at_its_acquisition(write_nm, study_instant):
    spect = read_spect(write_nm())
    assert spect.at == study_instant
    assert spect.radionuclide is TC99M


def test_a_spect_with_unreadable_dates_has_no_instant(write_nm):
    assert read_spect(write_nm(change=setting(AcquisitionDate="24 Nov 93"))).at is None


# --- nuclides ---


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("^90^Yttrium", "Y-90"),
        ("Yttrium-90", "Y-90"),
        ("Yttrium^90^", "Y-90"),
        ("90Y", "Y-90"),
        ("Y-90", "Y-90"),
        ("Y90 microspheres", "Y-90"),
        ("90Y SIR-Spheres", "Y-90"),
        ("^99m^Technetium", "Tc-99m"),
        ("Technetium Tc^99m^", "Tc-99m"),
        ("Tc99m MAA", "Tc-99m"),
        ("TC-99M", "Tc-99m"),
        ("18F", "F-18"),
        ("^18^Fluorine", "F-18"),
        ("Fluorine F^18^", "F-18"),
        ("Gallium-68", "Ga-68"),
        ("166Ho", "Ho-166"),
        ("FDG -- fluorodeoxyglucose", None),
        ("Solution", None),
        ("", None),
    ],
)
def test_nuclides_are_recognised_in_the_spellings_of_the_vendors(text, name):
    assert nuclide_name(text) == name


def radiopharmaceutical(meaning=None, drug=None, half_life=None):
    header, item, code = Dataset(), Dataset(), Dataset()
    if meaning is not None:
        code.CodeMeaning = meaning
        item.RadionuclideCodeSequence = [code]
    if drug is not None:
        item.Radiopharmaceutical = drug
    if half_life is not None:
        item.RadionuclideHalfLife = half_life
    header.RadiopharmaceuticalInformationSequence = [item]
    return header


def test_a_pet_of_yttrium_says_so(write_series):
    assert read_pet(write_series("PT")).radionuclide is Y90


def test_a_known_nuclide_keeps_the_half_life_of_the_house_whatever_the_header_says():
    assert nuclide_of(radiopharmaceutical("^90^Yttrium", half_life=6586.2)) is Y90


def test_an_unknown_nuclide_takes_the_half_life_of_the_header():
    found = nuclide_of(radiopharmaceutical("^64^Copper", half_life=45721.0))
    assert found.name == "Cu-64"
    assert found.half_life_h == pytest.approx(45721 / 3600)


def test_the_name_of_the_drug_stands_in_for_a_missing_code():
    assert nuclide_of(radiopharmaceutical(drug="Y-90 TheraSphere")) is Y90


def test_a_header_that_says_nothing_usable_has_no_nuclide():
    assert nuclide_of(Dataset()) is None
    assert nuclide_of(radiopharmaceutical(drug="FDG", half_life=6588.0)) is None


# --- the user's word against the header's ---


def test_measured_at_is_taken_where_the_header_has_no_instant(write_series, study_instant):
    folder = write_series("PT", change=setting(DecayCorrection=None))
    pet = read_activity(folder, measured_at=study_instant)
    assert pet.at == study_instant
    assert coded("pet-instant-of-user", pet.remarks)


@pytest.mark.parametrize("quantity", [None, "bq_per_ml", "counts"])
def test_measured_at_that_contradicts_the_header_is_refused(write_series, refused, study_instant, quantity):
    folder = write_series("PT")
    wrong = study_instant + timedelta(hours=3)
    refused(
        lambda: read_activity(folder, quantity=quantity, measured_at=wrong),
        str(folder),
        "Leave",
        code="instant-contradicts",
    )


def test_measured_at_within_a_minute_of_the_header_is_accepted(write_series, study_instant):
    found = read_activity(write_series("PT"), measured_at=study_instant + timedelta(seconds=30))
    assert found.bq_per_ml.shape == (5, 7, 9)


def test_measured_at_without_a_zone_is_refused(write_series, study_instant):
    with pytest.raises(VoxeldoseError, match="zone"):
        read_activity(write_series("PT"), measured_at=study_instant.replace(tzinfo=None))


def test_a_spect_takes_the_instant_of_the_user(write_nm, study_instant):
    later = study_instant + timedelta(hours=1)
    assert read_activity(write_nm(change=setting(AcquisitionTime=None)), measured_at=later).at == later


@pytest.mark.parametrize(("units", "quantity"), [("BQML", "bq"), ("GML", "bq_per_ml"), ("CNTS", "bq_per_ml")])
def test_a_quantity_that_contradicts_the_units_is_refused(write_series, refused, units, quantity):
    folder = write_series("PT", change=setting(Units=units))
    refused(
        lambda: read_activity(folder, quantity=quantity),
        str(folder),
        units,
        quantity,
        "leave",
        code="quantity-contradicts",
    )


@pytest.mark.parametrize("units", ["GML", "CNTS"])
def test_a_pet_in_other_units_is_a_relative_image_when_the_user_says_so(write_series, units, study_instant):
    found = read_activity(write_series("PT", change=setting(Units=units)), quantity="counts")
    assert type(found) is CountMap
    assert found.at == study_instant
    assert units in coded("quantity-of-user", found.remarks)[0].sentence


def test_bq_per_ml_said_of_a_pet_in_bqml_reads_the_same_numbers(write_series):
    folder = write_series("PT")
    said, read = read_activity(folder, quantity="bq_per_ml"), read_activity(folder)
    np.testing.assert_array_equal(said.values, read.values)
    assert said.at == read.at
    assert said.radionuclide is read.radionuclide


def test_a_spect_in_bq_a_voxel_is_divided_by_the_voxel_volume(write_nm):
    per_ml, counts = read_activity(write_nm(), quantity="bq"), read_activity(write_nm())
    assert type(per_ml) is ActivityMap
    # float32 storage: 6e-8 relative
    np.testing.assert_allclose(per_ml.bq_per_ml, counts.counts / 0.009, rtol=1e-6)
    assert per_ml.at == counts.at


def test_an_unknown_quantity_is_refused(write_series):
    with pytest.raises(QuantityError, match="bq_per_ml, bq, counts", check=refusal("quantity-unknown")):
        read_activity(write_series("PT"), quantity="kbq")


# --- files that say nothing ---


@pytest.fixture
def plain_file(tmp_path, make_grid, field):
    from voxeldose.io.nifti import write_nifti
    from voxeldose.model.volume import Volume

    grid = make_grid()
    path = tmp_path / "image.nii.gz"
    write_nifti(Volume(field(grid), grid), path)
    return path


def test_a_nifti_activity_needs_its_quantity(plain_file, refused):
    refused(
        lambda: read_activity(plain_file),
        str(plain_file),
        "quantity = bq_per_ml, bq or counts",
        code="quantity-missing",
    )


def test_a_nifti_activity_takes_quantity_and_instant_from_the_user(plain_file, study_instant, place_error):
    found = read_activity(plain_file, quantity="bq_per_ml", measured_at=study_instant)
    assert type(found) is ActivityMap
    assert found.at == study_instant
    assert found.radionuclide is None
    assert place_error(found) < 1e-3  # float32 of about 700


def test_a_nifti_in_bq_keeps_its_total(plain_file):
    counts, activity = (read_activity(plain_file, quantity=q) for q in ("counts", "bq"))
    assert activity.total_mbq() * 1e6 == pytest.approx(counts.total(), rel=1e-6)


def test_a_plain_file_as_ct_is_said_to_be_taken_as_hounsfield_units(plain_file):
    assert "Hounsfield" in coded("file-taken-as-hu", read_ct_image(plain_file).remarks)[0].sentence


def test_a_density_outside_what_tissue_can_be_is_refused(plain_file, refused):
    refused(lambda: read_density(plain_file), str(plain_file), "g/mL", code="density-out-of-range")
