"""Every slice is asked: what contradicts the others of its series is refused by attribute and file, whatever files are called."""

from __future__ import annotations

import shutil
from copy import deepcopy

import numpy as np
import pytest
from pydicom import config, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import generate_uid

import voxeldose as vd
from voxeldose.io.images import read_activity

LAST = "slice_04.dcm"


def raw(ds, keyword, value):
    """A text value as it is, valid or not."""
    from pydicom.datadict import dictionary_VR

    tag, value = Tag(keyword), value.encode() + b" " * (len(value) % 2)
    ds[tag] = RawDataElement(tag, dictionary_VR(tag), len(value), value, 0, False, True, True)


def in_one(at, edit):
    """A change of one slice of five."""

    def change(ds, n):
        if n == at:
            edit(ds)

    return change


def put(keyword, value):
    return lambda ds: setattr(ds, keyword, value)


def drug(keyword, value):
    return lambda ds: setattr(ds.RadiopharmaceuticalInformationSequence[0], keyword, value)


def other_nuclide(ds):
    code = ds.RadiopharmaceuticalInformationSequence[0].RadionuclideCodeSequence[0]
    code.CodeValue, code.CodeMeaning = "C-111A1", "^18^Fluorine"


PET = {
    "DecayCorrection": put("DecayCorrection", "ADMIN"),
    "CorrectedImage": put("CorrectedImage", ["DECY"]),
    "PatientID": put("PatientID", "SOMEBODY"),
    "PatientName": put("PatientName", "Somebody^Else"),
    "PatientBirthDate": put("PatientBirthDate", "19000101"),
    "StudyInstanceUID": put("StudyInstanceUID", "1.2.3"),
    "SOPClassUID": put("SOPClassUID", "1.2.840.10008.5.1.4.1.1.2"),
    "TimezoneOffsetFromUTC": put("TimezoneOffsetFromUTC", "+0200"),
    "SeriesDate": put("SeriesDate", "20240503"),
    "SeriesTime": put("SeriesTime", "150500"),
    "CountsSource": put("CountsSource", "OTHER"),
    "SeriesType": put("SeriesType", ["GATED", "IMAGE"]),
    "PatientWeight": put("PatientWeight", "70"),
    "RadionuclideCodeSequence": other_nuclide,
    "RadionuclideHalfLife": drug("RadionuclideHalfLife", "6586.2"),
    "RadionuclidePositronFraction": drug("RadionuclidePositronFraction", "0.97"),
    "RadionuclideTotalDose": drug("RadionuclideTotalDose", "1e9"),
    "RadiopharmaceuticalStartDateTime": drug("RadiopharmaceuticalStartDateTime", "20240501120000"),
    "NumberOfSlices": put("NumberOfSlices", 5),
    "ReconstructionMethod": put("ReconstructionMethod", "FBP"),
    "Manufacturer": put("Manufacturer", "Philips"),
}


@pytest.mark.parametrize("at", [0, 2, 4])
@pytest.mark.parametrize("keyword", PET)
@pytest.mark.parametrize("quantity", [None, "counts"])
def test_a_pet_slice_that_contradicts_the_others_is_refused(write_series, refused, keyword, at, quantity):
    folder = write_series("PT", change=in_one(at, PET[keyword]))
    message = refused(
        lambda: read_activity(folder, quantity=quantity), f"slice_{at:02d}.dcm", keyword, code="slices-contradict"
    )
    assert "SOMEBODY" not in message
    assert "Somebody" not in message
    assert "19000101" not in message


@pytest.mark.parametrize("at", [0, 2, 4])
def test_one_slice_of_transmission_is_refused(write_series, refused, at):
    folder = write_series("PT", change=in_one(at, put("CountsSource", "TRANSMISSION")))
    refused(lambda: vd.read_pet(folder), f"slice_{at:02d}.dcm", code="image-not-emission")


def test_units_of_one_slice_are_refused(write_series, refused):
    folder = write_series("PT", change=in_one(3, put("Units", "CNTS")))
    refused(lambda: vd.read_pet(folder), "slice_03.dcm", "CNTS", code="units-differ")


def test_the_refusal_does_not_depend_on_the_names_of_files(write_series, tmp_path):
    """The same slice is named and the same sentence given, whichever file comes first by name."""
    said = []
    for order in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]):
        source = write_series("PT", folder=f"{order}", change=in_one(1, PET["DecayCorrection"]))
        target = tmp_path / f"named{order[0]}{order[1]}"
        target.mkdir()
        for n, place in enumerate(order):
            shutil.copy(source / f"slice_{place:02d}.dcm", target / f"f{n}.dcm")
        wrong = target / f"f{order.index(1)}.dcm"
        with pytest.raises(vd.VoxeldoseError) as caught:
            vd.read_pet(target)
        assert str(wrong) in str(caught.value)
        said.append(str(caught.value).replace(str(wrong), ""))
    assert len(set(said)) == 1


def test_the_values_do_not_depend_on_the_names_of_files(write_series, tmp_path):
    source = write_series("PT")
    target = tmp_path / "renamed"
    target.mkdir()
    for n, file in enumerate(sorted(source.iterdir(), reverse=True)):
        shutil.copy(file, target / f"IM{n}")
    one, two = vd.read_pet(source), vd.read_pet(target)
    np.testing.assert_array_equal(one.values, two.values)
    assert one.at == two.at
    assert one.remarks == two.remarks


def test_studies_written_anew_for_every_file_are_read(write_series, place_error):
    folder = write_series("CT", change=lambda ds, _: setattr(ds, "StudyInstanceUID", generate_uid()))
    assert place_error(vd.read_ct(folder)) < 0.03


def test_a_name_with_blanks_or_carets_at_its_end_is_the_same_name(write_series, place_error):
    folder = write_series("CT", change=in_one(2, put("PatientName", "Hidden^Ada^^^")))
    assert place_error(vd.read_ct(folder)) < 0.03


@pytest.mark.parametrize("value", ["1,8", "NaN", "inf", "abc", "1\\2"])
@pytest.mark.parametrize("modality", ["CT", "PT"])
@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
def test_a_scale_that_is_no_number_is_refused_with_tag_and_file(write_series, refused, modality, keyword, value):
    folder = write_series(modality)
    with config.disable_value_validation():
        ds = dcmread(folder / LAST)
        raw(ds, keyword, value)
        ds.save_as(folder / LAST)
    tag = "(0028,1053)" if keyword == "RescaleSlope" else "(0028,1052)"
    for quantity in (None, "counts"):
        if modality == "CT":
            refused(lambda: vd.read_ct(folder), LAST, tag, code="element-damaged")
        else:
            refused(lambda q=quantity: read_activity(folder, quantity=q), LAST, tag, code="element-damaged")


@pytest.fixture
def spect_of_files(write_nm, tmp_path):
    """A SPECT with one file per slice and a slope of its own in each; ``edit`` changes the fourth."""

    def write(edit=None):
        whole = dcmread(write_nm())
        folder = tmp_path / "slices"
        folder.mkdir()
        frames = whole.pixel_array
        for n, frame in enumerate(frames):
            ds = deepcopy(whole)
            del ds.DetectorInformationSequence, ds.NumberOfFrames, ds.SliceVector, ds.FrameIncrementPointer
            ds.ImageOrientationPatient, ds.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-20, 35, 60 + 3 * n]
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            ds.RescaleSlope, ds.RescaleIntercept = 1 + 0.5 * n, 0
            ds.PixelData = frame.tobytes()
            with config.disable_value_validation():
                if edit is not None and n == 3:
                    edit(ds)
                ds.save_as(folder / f"s{n}.dcm")
        return folder, frames

    return write


def test_every_slice_of_a_spect_has_its_own_slope(spect_of_files):
    folder, frames = spect_of_files()
    expected = frames.astype(float) * (1 + 0.5 * np.arange(5))[:, None, None]
    np.testing.assert_allclose(vd.read_spect(folder).counts, expected, rtol=1e-6)


def test_a_spect_of_files_holds_from_its_first_slice_on_whatever_the_files_are_called(spect_of_files):
    folder, _ = spect_of_files(put("AcquisitionTime", "135500"))
    assert vd.read_spect(folder).at.isoformat() == "2024-05-02T13:55:00+00:00"


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (lambda ds: delattr(ds, "RescaleSlope"), "rescale-missing"),
        (lambda ds: raw(ds, "RescaleSlope", ""), "rescale-missing"),
        (lambda ds: delattr(ds, "RescaleIntercept"), "rescale-missing"),
        (lambda ds: raw(ds, "RescaleSlope", "NaN"), "element-damaged"),
        (lambda ds: raw(ds, "RescaleSlope", "1,8"), "element-damaged"),
        (lambda ds: raw(ds, "RescaleSlope", "-2"), "rescale-invalid"),
        (lambda ds: raw(ds, "RescaleSlope", "1e38"), "slices-contradict"),
        (lambda ds: setattr(ds, "PatientID", "SOMEBODY"), "slices-contradict"),
        (other_nuclide, "slices-contradict"),
    ],
)
def test_one_spect_slice_of_another_kind_is_refused(spect_of_files, refused, edit, code):
    folder, _ = spect_of_files(edit)
    refused(lambda: vd.read_spect(folder), "s3.dcm", code=code)


@pytest.mark.parametrize(
    ("keyword", "value", "code"),
    [("RadionuclideHalfLife", "64,1 h", "element-damaged"), ("RadionuclidePositronFraction", "NaN", "element-damaged")],
)
def test_a_drug_that_is_no_number_in_any_slice_is_refused(write_series, refused, keyword, value, code):
    folder = write_series("PT")
    for file in folder.iterdir():
        with config.disable_value_validation():
            ds = dcmread(file)
            raw(ds.RadiopharmaceuticalInformationSequence[0], keyword, value)
            ds.save_as(file)
    refused(lambda: vd.read_pet(folder), str(folder), keyword, code=code)


def test_a_real_world_slope_below_zero_is_refused(write_series, refused):
    def mapped(ds, _):
        units, item = Dataset(), Dataset()
        units.CodeValue = "Bq/ml"
        item.MeasurementUnitsCodeSequence, item.RealWorldValueSlope, item.RealWorldValueIntercept = [units], -1.0, 0.0
        ds.Units, ds.RealWorldValueMappingSequence = "NONE", [item]

    refused(lambda: vd.read_pet(write_series("PT", change=mapped)), "found -1", code="rescale-invalid")


# --- two series in one ---


def interleaved(write_series, values, shape=(10, 7, 9)):
    """A CT whose slices take the values in turn."""

    def change(ds, n):
        for keyword, choices in values.items():
            setattr(ds, keyword, choices[n % len(choices)])

    return write_series("CT", shape=shape, change=change)


@pytest.mark.parametrize(
    "values",
    [
        {"ConvolutionKernel": ["STANDARD", "BONE"]},
        {"KVP": ["120", "80"]},
        {"AcquisitionNumber": [1, 2]},
        {"AcquisitionNumber": [1, 2, 3]},
        {"ImageType": [["ORIGINAL", "PRIMARY", "AXIAL"], ["DERIVED", "SECONDARY", "AXIAL"]]},
        {"SeriesNumber": [3, 4]},
        {"SliceThickness": ["3", "1.5"]},
        {"ReconstructionDiameter": ["500", "350"]},
        {"Exposure": ["100", "40"]},
        {"XRayTubeCurrent": ["200", "350"]},
        {"ExposureTime": ["500", "750"]},
        {"ContrastBolusAgent": ["", "Iodine"]},
    ],
    ids=str,
)
def test_two_series_that_interleave_are_refused_and_the_attribute_named(write_series, refused, values):
    folder = interleaved(write_series, values)
    message = refused(lambda: vd.read_ct(folder), str(folder), *values, code="slices-contradict")
    assert "export" in message.casefold()


@pytest.mark.parametrize("keyword", ["ConvolutionKernel", "KVP"])
def test_a_kernel_or_voltage_of_a_part_of_the_slices_is_refused(write_series, refused, keyword):
    def change(ds, n):
        setattr(ds, keyword, ("80" if n < 2 else "120") if keyword == "KVP" else ("B" if n < 2 else "A"))

    refused(lambda: vd.read_ct(write_series("CT", change=change)), "slice_00.dcm", keyword, code="slices-contradict")


@pytest.mark.parametrize("kind", ["modulated", "acquisitions", "wobbling", "few"])
def test_a_ct_that_changes_along_the_table_is_read(write_series, place_error, kind):
    def change(ds, n):
        ds.ConvolutionKernel, ds.KVP = "STANDARD", "120"
        if kind == "modulated":
            ds.Exposure, ds.XRayTubeCurrent = (
                str(round(100 + 60 * np.sin(n / 3))),
                str(round(200 + 120 * np.sin(n / 3))),
            )
        if kind == "acquisitions":
            ds.AcquisitionNumber = n // 4
        if kind == "wobbling":
            ds.Exposure = str(100 + n % 2)
        if kind == "few":
            ds.Exposure = str(100 + 50 * (n % 2))

    folder = write_series("CT", shape=(4 if kind == "few" else 14, 7, 9), change=change)
    assert place_error(vd.read_ct(folder)) < 0.03


def test_filters_of_a_pet_that_alternate_are_refused(write_series, refused):
    folder = write_series("PT", change=lambda ds, n: setattr(ds, "ConvolutionKernel", "XYZ Gauss" if n % 2 else "none"))
    refused(lambda: vd.read_pet(folder), "ConvolutionKernel", code="slices-contradict")


@pytest.mark.parametrize("at", [0, 2, 4])
@pytest.mark.parametrize("date", ["20240501", "20240503", "20230502"])
def test_a_slice_of_another_day_is_refused(write_series, refused, at, date):
    folder = write_series("PT", change=in_one(at, put("AcquisitionDate", date)))
    message = refused(lambda: vd.read_pet(folder), f"slice_{at:02d}.dcm", "AcquisitionDate", code="slices-contradict")
    assert date not in message


def test_beds_over_midnight_are_read(write_series):
    def bed(ds, n):
        ds.SeriesDate, ds.SeriesTime = "20240502", "234000"
        ds.AcquisitionDate, ds.AcquisitionTime = ("20240502", "234000") if n < 3 else ("20240503", "001000")

    assert vd.read_pet(write_series("PT", change=bed)).at.isoformat() == "2024-05-02T23:40:00+00:00"


@pytest.mark.parametrize(("keyword", "value"), [("RescaleSlope", "0.06"), ("RescaleIntercept", "-1000")])
@pytest.mark.parametrize("at", [0, 3])
def test_a_ct_slice_with_another_scale_than_the_rest_is_refused(write_series, refused, keyword, value, at):
    folder = write_series("CT", change=in_one(at, put(keyword, value)))
    refused(lambda: vd.read_ct(folder), f"slice_{at:02d}.dcm", keyword, value, code="slices-contradict")


@pytest.mark.parametrize("value", ["-1", "7", "1e38"])
@pytest.mark.parametrize("at", [0, 3])
def test_a_pet_slice_with_another_intercept_than_the_rest_is_refused(write_series, refused, value, at):
    folder = write_series("PT", change=in_one(at, put("RescaleIntercept", value)))
    refused(lambda: vd.read_pet(folder), f"slice_{at:02d}.dcm", "RescaleIntercept", code="slices-contradict")


@pytest.mark.parametrize("at", [0, 3])
def test_a_slope_beyond_all_others_is_refused(write_series, refused, at):
    folder = write_series("PT", change=in_one(at, put("RescaleSlope", "20240507")))
    for quantity in (None, "counts"):
        refused(
            lambda q=quantity: read_activity(folder, quantity=q),
            f"slice_{at:02d}.dcm",
            "(0028,1053)",
            code="slices-contradict",
        )


def test_a_ct_with_a_scale_of_its_own_in_every_slice_is_read(write_series):
    folder = write_series("CT", change=lambda ds, n: setattr(ds, "RescaleSlope", f"{0.05 + n / 1000}"))
    assert vd.read_ct(folder).grid.shape == (5, 7, 9)


def frame_groups(kernels, currents):
    groups = []
    for n, (kernel, current) in enumerate(zip(kernels, currents, strict=True)):
        group = Dataset()
        for name, values in {
            "CTReconstructionSequence": {"ConvolutionKernel": kernel},
            "CTExposureSequence": {"XRayTubeCurrentInmA": current},
            "CTXRayDetailsSequence": {"KVP": 120},
            "PlanePositionSequence": {"ImagePositionPatient": [0, 0, 3 * n]},
            "PlaneOrientationSequence": {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]},
            "PixelMeasuresSequence": {"PixelSpacing": [1, 1]},
            "PixelValueTransformationSequence": {"RescaleSlope": 1, "RescaleIntercept": -1024, "RescaleType": "HU"},
        }.items():
            item = Dataset()
            for key, value in values.items():
                setattr(item, key, value)
            setattr(group, name, [item])
        groups.append(group)
    return groups


@pytest.mark.parametrize(
    ("kernels", "currents", "named"),
    [
        (["A"] * 8, [100.0] * 8, None),
        (["A", "B"] * 4, [100.0] * 8, "ConvolutionKernel"),
        (["A"] * 8, [100.0, 160.0] * 4, "XRayTubeCurrentInmA"),
    ],
)
def test_frames_of_an_enhanced_ct_are_asked_too(write_series, tmp_path, refused, kernels, currents, named):
    ds = dcmread(next(write_series("CT").iterdir()))
    for key in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"):
        delattr(ds, key)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    ds.NumberOfFrames, ds.PixelData = 8, bytes(2 * 8 * ds.Rows * ds.Columns)
    ds.PerFrameFunctionalGroupsSequence = frame_groups(kernels, currents)
    ds.save_as(tmp_path / "enhanced.dcm")
    if named is None:
        assert vd.read_ct(tmp_path / "enhanced.dcm").grid.shape[0] == 8
    else:
        refused(lambda: vd.read_ct(tmp_path / "enhanced.dcm"), "frame", named, code="slices-contradict")
