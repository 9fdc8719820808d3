"""PET of every vendor: units, decay references and nuclides all lead to the same activity at the infusion."""

from dataclasses import replace
from datetime import timedelta, timezone

import numpy as np
import pytest
from pet_scans import FRAME_S, INFUSION, SAME, SCAN, at_infusion, case_of, scanner, stamp
from remarks import coded

from voxeldose.dose.activity import quantify
from voxeldose.errors import QuantityError
from voxeldose.io.dicom.options import PetOptions
from voxeldose.io.dicom.pet import read_pet
from voxeldose.io.images import read_activity
from voxeldose.model.case import Absolute, Administered
from voxeldose.model.radionuclide import F18, GA68, GE68, NA22, Y86, Y90, ZR89, scaling_as_another


def states(pet, code, at, words):
    """The instant to which values hold is stated once, under this code, with these words."""
    (remark,) = coded(code, pet.remarks)
    assert pet.at == at
    assert remark.numbers["at"] == at.isoformat()
    assert words in remark.sentence


@pytest.mark.parametrize("factor", [True, False])
@pytest.mark.parametrize("beds", [1, 5])
@pytest.mark.parametrize("delay_h", [1.5, 9.0, 22.0, 94.0])  # the same day, over midnight, the next day, days later
@pytest.mark.parametrize("correction", ["START", "ADMIN", "NONE"])
def test_every_decay_correction_gives_the_same_activity_at_the_infusion(
    write_series, place_error, correction, delay_h, beds, factor
):
    change = scanner(correction=correction, scanned_at=INFUSION + timedelta(hours=delay_h), beds=beds, factor=factor)
    pet = read_pet(write_series("PT", change=change))
    assert place_error(at_infusion(pet)) < 700 * SAME
    assert not coded("pet-decay-factor-contradicts", pet.remarks)


@pytest.mark.parametrize("correction", ["START", "ADMIN", "NONE"])
def test_the_stated_zone_counts_in_every_decay_correction(write_series, place_error, correction):
    local = timezone(timedelta(hours=-7))
    change = scanner(
        correction=correction,
        scanned_at=(INFUSION + timedelta(hours=20)).astimezone(local),
        administered_at=INFUSION.astimezone(local),
        TimezoneOffsetFromUTC="-0700",
    )
    assert place_error(at_infusion(read_pet(write_series("PT", change=change)))) < 700 * SAME


@pytest.mark.parametrize("correction", ["START", "ADMIN", "NONE"])
@pytest.mark.parametrize("computed_as", [F18, GA68, GE68, NA22, Y86, ZR89], ids=lambda n: n.name)
def test_another_nuclide_undone_gives_the_same_activity_at_the_infusion(
    write_series, place_error, correction, computed_as
):
    change = scanner(correction=correction, scanned_at=INFUSION + timedelta(hours=20), computed_as=computed_as, beds=5)
    pet = read_pet(write_series("PT", change=change), options=PetOptions(undo_nuclide=computed_as.name))
    assert pet.radionuclide is Y90
    assert place_error(at_infusion(pet)) < 700 * SAME
    assert "undone for Y-90 as asked" in coded("nuclide-undone", pet.remarks)[0].sentence


def test_factors_of_another_nuclide_are_the_published_ones():
    # branching 0.967/31.86e-6, and 20 h and 20 min of F-18 (109.77 min, as scanners have it) against Y-90
    scanners = replace(F18, half_life_h=109.77 / 60)
    found = scaling_as_another(Y90, scanners, elapsed_s=20 * 3600, frame_s=1200)
    assert found == pytest.approx(30351 / 1953.6 * 1.2417 * 1.0018 / 1.0645, rel=1e-3)
    assert scaling_as_another(Y90, ZR89, elapsed_s=0, frame_s=0) == pytest.approx(7156, rel=0.005)
    assert scaling_as_another(Y90, Y86, elapsed_s=0, frame_s=0) == pytest.approx(10013, rel=1e-3)


def test_another_nuclide_is_never_undone_without_being_asked(write_series):
    change = scanner(correction="START", scanned_at=INFUSION + timedelta(hours=20), computed_as=F18)
    pet = read_pet(write_series("PT", change=change))
    assert pet.radionuclide is F18
    with pytest.raises(QuantityError, match="undo_nuclide = F-18"):
        quantify(case_of(pet, calibration=Absolute(), image_nuclide="Y-90"))


@pytest.mark.parametrize(
    ("wanted", "change", "code", "words"),
    [
        ("Ga-68", {}, "nuclide-contradicts", "names F-18"),
        ("Y-90", {}, "nuclide-contradicts", "names F-18"),
        ("Tc-99m", {}, "nuclide-unknown", "F-18, Ga-68"),
        ("nonsense", {}, "nuclide-unknown", "F-18, Ga-68"),
        ("F-18", {"RadionuclideHalfLife": 231000}, "nuclide-contradicts", "half-life"),
        ("F-18", {"RadionuclidePositronFraction": 0.5}, "nuclide-contradicts", "positron fraction"),
    ],
)
def test_an_undo_that_contradicts_the_header_is_refused(write_series, refused, wanted, change, code, words):
    def other(ds, n):
        scanner(correction="START", scanned_at=INFUSION, computed_as=F18)(ds, n)
        for key, value in change.items():
            setattr(ds.RadiopharmaceuticalInformationSequence[0], key, value)

    folder = write_series("PT", change=other)
    refused(lambda: read_pet(folder, options=PetOptions(undo_nuclide=wanted)), str(folder), words, code=code)


def test_an_undo_whose_times_and_decay_factor_disagree_is_refused(write_series, refused):
    change = scanner(
        correction="ADMIN", scanned_at=INFUSION + timedelta(hours=20), computed_as=F18, DecayFactor="1.0645"
    )
    folder = write_series("PT", change=change)
    refused(
        lambda: read_pet(folder, options=PetOptions(undo_nuclide="F-18")), "1.0645", code="decay-factor-contradicts"
    )


def test_y90_computed_as_f18_under_its_own_name_is_undone_when_asked(write_series, place_error):
    def renamed(ds, n):
        scanner(correction="START", scanned_at=INFUSION + timedelta(hours=20), computed_as=F18)(ds, n)
        ds.RadiopharmaceuticalInformationSequence[0].RadionuclideCodeSequence[0].CodeMeaning = "^90^Yttrium"

    folder = write_series("PT", change=renamed)
    assert "undo_nuclide" in read_pet(folder).not_absolute
    assert place_error(at_infusion(read_pet(folder, options=PetOptions(undo_nuclide="F-18")))) < 700 * SAME


# --- decay references of the vendors ---


def test_a_series_time_before_the_scan_gives_way_to_the_decay_factor(write_series, place_error):
    early = dict(zip(("SeriesDate", "SeriesTime"), stamp(SCAN - timedelta(hours=2)), strict=True))
    pet = read_pet(write_series("PT", change=scanner(correction="START", scanned_at=SCAN, **early)))
    assert pet.at == SCAN
    assert place_error(at_infusion(pet)) < 700 * SAME


def test_a_series_time_before_the_scan_rules_where_the_decay_factor_fits_it(write_series):
    def delayed(ds, n):
        scanner(correction="START", scanned_at=SCAN)(ds, n)
        late = SCAN + timedelta(hours=3)
        ds.AcquisitionDate, ds.AcquisitionTime = stamp(late)
        ds.DecayFactor = f"{Y90.frame_factor(FRAME_S) / Y90.decay_factor(3 * 3600):.8g}"

    assert read_pet(write_series("PT", change=delayed)).at == SCAN


def test_a_stale_decay_factor_of_one_decides_nothing(write_series):
    pet = read_pet(write_series("PT", change=scanner(correction="START", scanned_at=SCAN, DecayFactor="1.0")))
    assert pet.at == SCAN
    assert not coded("pet-decay-factor-contradicts", pet.remarks)


def test_a_decay_factor_that_fits_another_instant_is_said(write_series):
    pet = read_pet(write_series("PT", change=scanner(correction="START", scanned_at=SCAN, DecayFactor="1.25")))
    assert pet.at == SCAN
    (remark,) = coded("pet-decay-factor-contradicts", pet.remarks)
    assert remark.numbers["activity_fraction"] > 0.1
    assert "rather than" in remark.sentence


def test_beds_corrected_each_to_its_own_start_are_brought_to_the_first(write_series, place_error):
    def own(ds, n):
        scanner(correction="NONE", scanned_at=SCAN, beds=5, factor=False)(ds, n)
        factor = Y90.frame_factor(FRAME_S)  # what the scanner adds for its own frame
        ds.RescaleSlope, ds.DecayCorrection = f"{float(ds.RescaleSlope) * factor:.10g}", "START"
        ds.DecayFactor = f"{factor:.8g}"

    pet = read_pet(write_series("PT", change=own))
    states(
        pet, "pet-beds-brought-to-first", SCAN, "each bed was corrected to its own start; all are brought to the first"
    )
    assert place_error(at_infusion(pet)) < 700 * SAME


@pytest.mark.parametrize("factor", [True, False])
def test_a_series_of_philips_made_again_without_its_first_bed_is_counted_back_to_its_start(
    write_series, place_error, factor
):
    mean_s = Y90.half_life_s * np.log2(Y90.frame_factor(FRAME_S))

    def later(ds, n):
        again = dict(zip(("SeriesDate", "SeriesTime"), stamp(SCAN + timedelta(hours=5)), strict=True))
        scanner(correction="START", scanned_at=SCAN, beds=5, factor=factor, **again)(ds, n + 1)
        ds.FrameReferenceTime = float(ds.FrameReferenceTime) + mean_s * 1000
        ds.Manufacturer = "ACME" if factor else "Philips Medical Systems"

    pet = read_pet(write_series("PT", change=later))
    assert abs((pet.at - SCAN).total_seconds()) < 5  # a Decay Factor of eight digits
    assert place_error(at_infusion(pet)) < 700 * SAME
    (remark,) = coded("pet-instant-by-decay-factor" if factor else "pet-instant-start", pet.remarks)
    assert "the instant that Frame Reference Time counts from" in remark.sentence


def test_a_frame_without_a_length_is_said_to_hold_at_its_start(write_series):
    def short(ds, n):
        scanner(correction="NONE", scanned_at=SCAN)(ds, n)
        del ds.ActualFrameDuration

    pet = read_pet(write_series("PT", change=short))
    assert pet.at == SCAN
    assert "(0018,1242)" in coded("pet-frame-start-for-middle", pet.remarks)[0].sentence


def test_beds_that_share_one_acquisition_time_are_told_apart_by_frame_reference_time(write_series, place_error):
    def ge(ds, n):
        scanner(correction="NONE", scanned_at=SCAN, beds=5, factor=False)(ds, n)
        ds.AcquisitionDate, ds.AcquisitionTime = stamp(SCAN)

    pet = read_pet(write_series("PT", change=ge))
    assert place_error(at_infusion(pet)) < 700 * SAME
    middle = SCAN + timedelta(seconds=FRAME_S / 2)
    states(pet, "pet-frames-brought-to-first", middle, "the slices hold at the middles of 5 frames; each is brought")
    assert coded("pet-frames-brought-to-first", pet.remarks)[0].numbers["frames"] == 5


def test_values_without_decay_correction_hold_at_the_middle_of_the_frame(write_series):
    pet = read_pet(write_series("PT", change=scanner(correction="NONE", scanned_at=SCAN)))
    middle = SCAN + timedelta(seconds=FRAME_S / 2)
    states(pet, "pet-frame-middle", middle, "PET values hold at the middle of the frame, ")
    assert coded("pet-frame-middle", pet.remarks)[0].numbers["frames"] == 1


def test_values_corrected_to_the_administration_hold_there(write_series):
    pet = read_pet(write_series("PT", change=scanner(correction="ADMIN", scanned_at=SCAN)))
    states(pet, "pet-instant-administration", INFUSION, "PET values hold at the administration the scanner knew, ")


def test_the_time_of_day_of_an_administration_gets_its_date_from_the_decay_factor(write_series, place_error):
    def timed(ds, n):
        scanner(correction="ADMIN", scanned_at=INFUSION + timedelta(days=2, hours=5))(ds, n)
        drug = ds.RadiopharmaceuticalInformationSequence[0]
        drug.RadiopharmaceuticalStartTime = INFUSION.strftime("%H%M%S")
        del drug.RadiopharmaceuticalStartDateTime

    pet = read_pet(write_series("PT", change=timed))
    words = "the header gives the time of day and the Decay Factor the day"
    states(pet, "pet-administration-day-by-decay-factor", INFUSION, words)
    assert place_error(at_infusion(pet)) < 700 * SAME


def test_the_time_of_day_of_an_administration_alone_is_no_instant(write_series):
    def timed(ds, n):
        scanner(correction="ADMIN", scanned_at=SCAN, factor=False)(ds, n)
        drug = ds.RadiopharmaceuticalInformationSequence[0]
        drug.RadiopharmaceuticalStartTime = INFUSION.strftime("%H%M%S")
        del drug.RadiopharmaceuticalStartDateTime

    pet = read_pet(write_series("PT", change=timed))
    assert pet.at is None
    assert "--measured-at" in coded("pet-instant-missing", pet.remarks)[0].sentence


@pytest.mark.parametrize("correction", ["START", "NONE"])
def test_dates_lost_to_deidentification_name_the_flag_that_gives_them(write_series, correction, place_error):
    blank = dict.fromkeys(("SeriesDate", "AcquisitionDate"), "")
    folder = write_series("PT", change=scanner(correction=correction, scanned_at=SCAN, factor=False, **blank))
    pet = read_pet(folder)
    assert pet.at is None
    (remark,) = coded("pet-instant-missing", pet.remarks)
    assert remark.numbers == {"decay_correction": correction}
    assert "de-identification" in remark.sentence
    said = SCAN if correction == "START" else SCAN + timedelta(seconds=FRAME_S / 2)
    assert place_error(at_infusion(read_activity(folder, measured_at=said))) < 700 * SAME


def test_a_decay_correction_datetime_rules(write_series):
    instant = (SCAN - timedelta(hours=1)).strftime("%Y%m%d%H%M%S")
    change = scanner(correction="START", scanned_at=SCAN, factor=False, DecayCorrectionDateTime=instant)
    pet = read_pet(write_series("PT", change=change))
    states(pet, "pet-instant-stated", SCAN - timedelta(hours=1), "(Decay Correction DateTime).")


@pytest.mark.parametrize(
    ("group", "creator", "element"), [(0x0071, "SIEMENS MED PT", 0x22), (0x0009, "GEMS_PETD_01", 0x0D)]
)
def test_the_vendors_own_reference_rules_only_under_its_creator_and_near_the_scan(
    write_series, group, creator, element
):
    true = SCAN - timedelta(minutes=40)

    def vendor(name, at):
        def change(ds, n):
            scanner(correction="START", scanned_at=SCAN, factor=False)(ds, n)
            ds.private_block(group, name, create=True).add_new(element, "DT", at.strftime("%Y%m%d%H%M%S"))

        return change

    pet = read_pet(write_series("PT", folder="a", change=vendor(creator, true)))
    states(pet, "pet-instant-of-vendor", true, "the vendor's own decay reference (START)")
    assert read_pet(write_series("PT", folder="b", change=vendor("SOMEONE ELSE", true))).at == SCAN
    shifted = true - timedelta(days=400)  # standard dates were shifted by de-identification, private ones were not
    assert read_pet(write_series("PT", folder="c", change=vendor(creator, shifted))).at == SCAN


def test_an_administration_before_the_users_infusion_is_no_scan_before_it(write_series):
    early = INFUSION - timedelta(minutes=25)
    pet = read_pet(write_series("PT", change=scanner(correction="ADMIN", scanned_at=SCAN, administered_at=early)))
    found = quantify(case_of(pet, calibration=Administered("image")))
    assert coded("administrations-differ", found.assumptions)[0].numbers == {"minutes_apart": 25}


def test_a_scan_before_the_infusion_is_refused_in_spite_of_a_later_administration(write_series):
    change = scanner(correction="ADMIN", scanned_at=INFUSION - timedelta(hours=2))
    with pytest.raises(QuantityError, match="before the infusion"):
        quantify(case_of(read_pet(write_series("PT", change=change))))
