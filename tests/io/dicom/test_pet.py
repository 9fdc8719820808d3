"""PET of every vendor: units, decay references and nuclides all lead to the same activity at the infusion."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from pydicom.dataset import Dataset
from remarks import coded

from voxeldose.dose.activity import decay_to, quantify
from voxeldose.errors import InputError, QuantityError
from voxeldose.io.dicom.options import PetOptions
from voxeldose.io.dicom.pet import read_pet
from voxeldose.io.images import read_activity
from voxeldose.model.administration import Administration
from voxeldose.model.case import Absolute, Administered, Case
from voxeldose.model.radionuclide import F18, GA68, GE68, NA22, Y86, Y90, ZR89, known_radionuclide, scaling_as_another
from voxeldose.model.roi import RoiSet

INFUSION = datetime(2024, 5, 2, 16, 20, tzinfo=UTC)
FRAME_S = 1800.0
# slopes are written with 16 characters, stored values round to 3e-5 of the field
SAME = 1e-4


def stamp(at):
    return at.strftime("%Y%m%d"), at.strftime("%H%M%S.%f")


def scanner(*, correction, scanned_at, computed_as=Y90, administered_at=INFUSION, beds=1, factor=True, **header):
    """A change of the test series: ``field`` Bq/mL of Y-90 at the infusion as a scanner would write it.

    It measures counts over a frame from the true nuclide, divides by the positron fraction it believes in, and corrects
    for the decay of the nuclide it believes in.
    """

    def change(ds, n):
        start = scanned_at + timedelta(seconds=FRAME_S * (n * beds // 5))
        begin = {"START": scanned_at, "ADMIN": administered_at, "NONE": start}[correction]
        at_start = Y90.decay_factor((start - INFUSION).total_seconds())
        measured = at_start / Y90.frame_factor(FRAME_S) * Y90.positron_fraction / computed_as.positron_fraction
        applied = 1.0
        if correction != "NONE":
            applied = computed_as.frame_factor(FRAME_S) / computed_as.decay_factor((start - begin).total_seconds())
        ds.RescaleSlope = f"{float(ds.RescaleSlope) * measured * applied:.10g}"
        ds.DecayCorrection, ds.ActualFrameDuration = correction, int(FRAME_S * 1000)
        ds.SeriesDate, ds.SeriesTime = stamp(scanned_at)
        ds.AcquisitionDate, ds.AcquisitionTime = stamp(start)
        ds.FrameReferenceTime = (start - scanned_at).total_seconds() * 1000
        if factor:
            ds.DecayFactor = f"{applied:.8g}"
        drug = ds.RadiopharmaceuticalInformationSequence[0]
        drug.RadiopharmaceuticalStartDateTime = administered_at.strftime("%Y%m%d%H%M%S.%f")
        drug.RadionuclideHalfLife = f"{computed_as.half_life_s:.9g}"
        drug.RadionuclidePositronFraction = f"{computed_as.positron_fraction:.6g}"
        drug.RadionuclideCodeSequence[0].CodeMeaning = computed_as.name
        for key, value in header.items():
            setattr(ds, key, value)

    return change


def states(pet, code, at, words):
    """The instant to which values hold is stated once, under this code, with these words."""
    (remark,) = coded(code, pet.remarks)
    assert pet.at == at
    assert remark.numbers["at"] == at.isoformat()
    assert words in remark.sentence


def at_infusion(pet):
    return decay_to(pet, INFUSION, Y90)


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


def case_of(pet, **options):
    given = Administration(Y90, 1000.0, INFUSION)
    return Case(pet, RoiSet(), given, **options)


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

SCAN = INFUSION + timedelta(hours=22)


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


# --- units ---


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
