"""Reconstructed SPECT in the layouts of the vendors, its energy windows, and values in Bq/mL."""

from datetime import UTC, datetime

import numpy as np
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from remarks import coded

from voxeldose.errors import VoxeldoseError
from voxeldose.io.dicom.options import SpectOptions
from voxeldose.io.dicom.series import read_dicom_volume
from voxeldose.io.dicom.spect import read_spect
from voxeldose.io.images import read_activity
from voxeldose.model.volume import ActivityMap, CountMap

ORIENTATIONS = ["axial", "feet_first", "sagittal", "oblique"]
HALF_A_COUNT = 0.51  # counts are whole; half a voxel is 15


def mapping(units, slope, intercept=0.0):
    item, code = Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = units, "UCUM", units
    item.MeasurementUnitsCodeSequence = [code]
    item.RealWorldValueSlope, item.RealWorldValueIntercept = slope, intercept
    return item


def geometry_at_the_top(ds):
    detector = ds.DetectorInformationSequence[0]
    ds.ImagePositionPatient, ds.ImageOrientationPatient = (
        detector.ImagePositionPatient,
        detector.ImageOrientationPatient,
    )
    del ds.DetectorInformationSequence


def orientation_at_the_top(ds):
    detector = ds.DetectorInformationSequence[0]
    ds.ImageOrientationPatient = detector.ImageOrientationPatient
    del detector.ImageOrientationPatient


def two_detectors(ds):
    second = Dataset()
    second.ImagePositionPatient = [1.0, 2.0, 3.0]
    ds.DetectorInformationSequence.append(second)


def thickness_unlike_spacing(ds):
    ds.SliceThickness = 17.0


def retired_modality(ds):
    ds.Modality = "ST"


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize(
    "layout",
    [geometry_at_the_top, orientation_at_the_top, two_detectors, thickness_unlike_spacing, retired_modality],
)
def test_every_voxel_has_the_value_of_its_place_in_any_layout(write_nm, place_error, layout, orientation, sign):
    spect = read_spect(write_nm(orientation=orientation, sign=sign, change=layout))
    assert isinstance(spect, CountMap)
    assert place_error(spect, scale=20) < HALF_A_COUNT


def test_where_a_volume_lies_is_stated_if_the_detectors_do_not_say_it_once(write_nm):
    (of_file,) = coded("spect-place-of-file", read_spect(write_nm(change=geometry_at_the_top)).remarks)
    assert of_file.sentence.startswith("Position and orientation are those at the top of the NM file")
    remarks = read_spect(write_nm(change=two_detectors)).remarks
    (differ,) = coded("spect-detectors-differ", remarks)
    assert differ.numbers == {"detectors": 2}
    assert differ.sentence == "2 detectors state different positions; a reconstructed volume lies at the first's."
    assert not coded("spect-place-of-file", remarks)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_frames_with_places_of_their_own_are_put_there(write_nm, place_error, orientation, sign):
    def per_frame(ds):
        detector = ds.DetectorInformationSequence[0]
        row, column = (np.array(detector.ImageOrientationPatient[a : a + 3], float) for a in (0, 3))
        start, order = np.array(detector.ImagePositionPatient, float), [3, 0, 4, 1, 2]
        frames = np.frombuffer(ds.PixelData, np.uint16).reshape(5, 7, 9)
        ds.PixelData, groups = frames[order].tobytes(), []
        for n in order:
            group, place = Dataset(), Dataset()
            place.ImagePositionPatient = [
                f"{v:.12g}"[:16] for v in start + n * float(ds.SpacingBetweenSlices) * np.cross(row, column)
            ]
            group.PlanePositionSequence = [place]
            groups.append(group)
        shared, turn, measures = Dataset(), Dataset(), Dataset()
        turn.ImageOrientationPatient, measures.PixelSpacing = detector.ImageOrientationPatient, ds.PixelSpacing
        shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [turn], [measures]
        ds.SharedFunctionalGroupsSequence, ds.PerFrameFunctionalGroupsSequence = [shared], groups
        del ds.DetectorInformationSequence, ds.SpacingBetweenSlices, ds.PixelSpacing

    spect = read_spect(write_nm(orientation=orientation, sign=sign, change=per_frame))
    assert place_error(spect, scale=20) < HALF_A_COUNT


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_frames_with_a_detector_item_each_are_put_where_it_says(write_nm, place_error, orientation, sign):
    def item_a_frame(ds):
        first = ds.DetectorInformationSequence[0]
        row, column = (np.array(first.ImageOrientationPatient[a : a + 3], float) for a in (0, 3))
        step = float(ds.SpacingBetweenSlices) * np.cross(row, column)
        ds.DetectorInformationSequence = []
        for n in range(5):
            item = Dataset()
            item.ImageOrientationPatient = first.ImageOrientationPatient
            place = np.array(first.ImagePositionPatient, float) + n * step
            item.ImagePositionPatient = [f"{v:.12g}"[:16] for v in place]
            ds.DetectorInformationSequence.append(item)
        del ds.SpacingBetweenSlices

    spect = read_spect(write_nm(orientation=orientation, sign=sign, change=item_a_frame))
    assert place_error(spect, scale=20) < HALF_A_COUNT


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_spect_of_single_frame_files_is_stacked(write_series, place_error, orientation):
    def spect(ds, n):
        ds.SOPClassUID, ds.Modality = "1.2.840.10008.5.1.4.1.1.20", "NM"
        ds.ImageType = ["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"]

    assert place_error(read_spect(write_series("CT", orientation=orientation, change=spect))) < 0.03


# --- spacing ---


def without_spacing(ds):
    del ds.SpacingBetweenSlices


@pytest.mark.parametrize("sign", [1, -1])
def test_a_missing_spacing_between_slices_is_the_users_to_say_with_its_sign(write_nm, place_error, refused, sign):
    path = write_nm(sign=sign, change=without_spacing)
    refused(lambda: read_spect(path), str(path), "--slice-spacing-mm", "3", "-3", code="slice-spacing-missing")
    spect = read_spect(path, options=SpectOptions(slice_spacing_mm=3.0 * sign))
    assert place_error(spect, scale=20) < HALF_A_COUNT
    assert "as the user says" in coded("spect-spacing-of-user", spect.remarks)[0].sentence


def test_the_users_spacing_never_replaces_that_of_the_file(write_nm, place_error):
    spect = read_spect(write_nm(), options=SpectOptions(slice_spacing_mm=-9.0))
    assert place_error(spect, scale=20) < HALF_A_COUNT


# --- energy windows ---


def windowed(ds):
    """Two windows: the photopeak holds the field, the second twice that."""
    frames = np.frombuffer(ds.PixelData, np.uint16).reshape(5, 7, 9)
    ds.PixelData = np.concatenate([frames, 2 * frames]).tobytes()
    ds.NumberOfFrames, ds.NumberOfEnergyWindows = 10, 2
    ds.EnergyWindowVector = [1] * 5 + [2] * 5
    ds.SliceVector = [1, 2, 3, 4, 5] * 2
    ds.FrameIncrementPointer = [0x00540010, 0x00540080]
    ds.EnergyWindowInformationSequence = []
    for name, low, high in (("Photopeak", 126.0, 154.0), ("Scatter", 110.0, 126.0)):
        item, limits = Dataset(), Dataset()
        item.EnergyWindowName = name
        limits.EnergyWindowLowerLimit, limits.EnergyWindowUpperLimit = low, high
        item.EnergyWindowRangeSequence = [limits]
        ds.EnergyWindowInformationSequence.append(item)


def test_several_energy_windows_are_refused_by_name(write_nm, refused):
    path = write_nm(change=windowed)
    refused(
        lambda: read_spect(path),
        str(path),
        "2 energy windows",
        "1: Photopeak 126-154 keV",
        "Scatter",
        "--energy-window",
        code="energy-windows-several",
    )


@pytest.mark.parametrize(("window", "scale"), [(1, 20), (2, 40)])
def test_the_energy_window_asked_for_is_read(write_nm, place_error, window, scale):
    spect = read_spect(write_nm(change=windowed), options=SpectOptions(energy_window=window))
    assert place_error(spect, scale=scale) < 2 * HALF_A_COUNT
    (remark,) = coded("energy-window-chosen", spect.remarks)
    assert remark.numbers == {"energy_window": window, "windows": 2}


@pytest.mark.parametrize("window", [0, 3])
def test_an_energy_window_that_is_not_there_is_refused(write_nm, refused, window):
    path = write_nm(change=windowed)
    refused(
        lambda: read_spect(path, options=SpectOptions(energy_window=window)), "1 to 2", code="energy-window-missing"
    )


def test_windows_whose_frames_nothing_tells_are_refused(write_nm, refused):
    def unsaid(ds):
        windowed(ds)
        del ds.EnergyWindowVector

    path = write_nm(change=unsaid)
    refused(
        lambda: read_spect(path, options=SpectOptions(energy_window=1)),
        str(path),
        "(0054,0010)",
        "export one",
        code="energy-window-vector-missing",
    )


@pytest.mark.parametrize("order", [[1, 2, 4, 3, 5], [1, 2, 3, 1, 2]], ids=["another order", "two volumes"])
def test_frames_that_are_not_numbered_in_order_are_refused(write_nm, refused, order):
    path = write_nm(change=lambda ds: setattr(ds, "SliceVector", order))
    refused(lambda: read_spect(path), str(path), "(0054,0080)", "1 to 5", "Export one", code="slices-unordered")


def test_frames_of_one_window_among_several_need_no_choice(write_nm, place_error):
    def one(ds):
        ds.NumberOfEnergyWindows, ds.EnergyWindowVector = 2, [1] * 5

    assert place_error(read_spect(write_nm(change=one)), scale=20) < HALF_A_COUNT


# --- values in Bq/mL ---


@pytest.mark.parametrize("sign", [1, -1])
def test_a_real_world_mapping_makes_a_spect_an_activity(write_nm, place_error, sign):
    def mapped(ds):
        ds.RealWorldValueMappingSequence = [mapping("kBq/ml", 0.05e-3, -0.1)]
        ds.RescaleSlope, ds.RescaleIntercept = 65535.0, 0.0

    spect = read_spect(write_nm(sign=sign, change=mapped))
    assert isinstance(spect, ActivityMap)
    assert spect.at == datetime(2024, 5, 2, 14, 5, tzinfo=UTC)
    assert place_error(spect.replaced(spect.values + 100)) < 0.03
    assert coded("real-world-mapping-used", spect.remarks)
    assert "--measured-at" in coded("spect-instant-start", spect.remarks)[0].sentence


def test_an_activity_spect_without_date_and_time_asks_for_them(write_nm):
    def undated(ds):
        ds.RealWorldValueMappingSequence = [mapping("Bq/ml", 0.05)]
        del ds.AcquisitionDate, ds.AcquisitionTime

    spect = read_spect(write_nm(change=undated))
    assert spect.at is None
    (missing,) = coded("spect-instant-missing", spect.remarks)
    assert "no usable acquisition date and time; give it with measured_at (--measured-at)" in missing.sentence


def test_a_mapping_to_suv_leaves_counts_and_says_so(write_nm, place_error):
    path = write_nm(change=lambda ds: setattr(ds, "RealWorldValueMappingSequence", [mapping("g/ml", 3.0)]))
    spect = read_spect(path)
    assert isinstance(spect, CountMap)
    assert place_error(spect, scale=20) < HALF_A_COUNT
    assert "g/ml is not applied" in coded("real-world-mapping-unused", spect.remarks)[0].sentence


def test_units_that_a_vendor_writes_into_nm_count_with_a_note(write_nm, place_error):
    def quantified(ds):
        ds.Units, ds.RescaleSlope, ds.RescaleIntercept = "BQML", 0.05, 0.0

    spect = read_spect(write_nm(change=quantified))
    assert isinstance(spect, ActivityMap)
    assert place_error(spect) < 0.03
    assert coded("spect-units-used", spect.remarks)[0].numbers == {"units": "BQML"}


def test_an_activity_spect_takes_the_users_instant_and_may_be_used_as_counts(write_nm):
    path = write_nm(change=lambda ds: setattr(ds, "RealWorldValueMappingSequence", [mapping("Bq/ml", 0.05)]))
    said = datetime(2024, 5, 2, 9, 0, tzinfo=UTC)
    assert read_activity(path, measured_at=said).at == said
    assert type(read_activity(path, quantity="counts")) is CountMap
    assert type(read_activity(path, quantity="bq_per_ml")) is ActivityMap


def test_an_activity_spect_is_no_activity_a_voxel(write_nm, refused):
    path = write_nm(change=lambda ds: setattr(ds, "RealWorldValueMappingSequence", [mapping("Bq/ml", 0.05)]))
    refused(lambda: read_activity(path, quantity="bq"), str(path), code="quantity-contradicts")


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_mapping_in_functional_groups_is_applied_frame_by_frame(write_nm, place_error, sign, shared):
    def grouped(ds):
        groups = []
        for n in range(1 if shared else 5):
            group = Dataset()
            group.RealWorldValueMappingSequence = [mapping("Bq/ml", 0.05 if shared else 0.05 * (1 + n))]
            groups.append(group)
        if shared:
            ds.SharedFunctionalGroupsSequence = groups
            return
        frames = np.frombuffer(ds.PixelData, np.uint16).reshape(5, 7, 9)
        stored = np.rint(frames / (1 + np.arange(5))[:, None, None])
        ds.PixelData, ds.PerFrameFunctionalGroupsSequence = stored.astype(np.uint16).tobytes(), groups

    spect = read_spect(write_nm(sign=sign, change=grouped))
    assert isinstance(spect, ActivityMap)
    assert place_error(spect) < (0.03 if shared else 0.16)  # half a slope of up to 0.25, and of 0.05


def test_a_mapping_of_some_frames_only_is_refused(write_nm, refused):
    def grouped(ds):
        groups = [Dataset() for _ in range(5)]
        groups[0].RealWorldValueMappingSequence = [mapping("Bq/ml", 0.05)]
        ds.PerFrameFunctionalGroupsSequence = groups

    path = write_nm(change=grouped)
    refused(lambda: read_spect(path), code="mappings-differ")


# --- what is no volume ---


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("TOMO", "reconstruct"),
        ("GATED TOMO", "reconstruct"),
        ("DYNAMIC", "in time"),
        ("STATIC", "planar"),
        ("WHOLE BODY", "planar"),
        ("RECON GATED TOMO", "export their sum"),
    ],
)
@pytest.mark.parametrize("read", [read_spect, read_activity, read_dicom_volume])
def test_what_is_no_reconstructed_volume_is_refused_with_what_it_is(write_nm, refused, kind, words, read):
    path = write_nm(change=lambda ds: setattr(ds, "ImageType", ["ORIGINAL", "PRIMARY", kind, "EMISSION"]))
    refused(lambda: read(path), str(path), kind, words, code="not-reconstructed")


@pytest.mark.parametrize("junk", ["x", "nan", "1e309", "-5", "1\\2", ""])
@pytest.mark.parametrize(
    "key",
    [
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "NumberOfFrames",
        "SpacingBetweenSlices",
        "RescaleSlope",
        "Rows",
    ],
)
def test_a_value_that_is_no_number_is_refused_or_passed_over_but_never_a_traceback(write_nm, key, junk):
    def spoilt(ds):
        ds.RescaleSlope = 1
        where = ds if key in ds else ds.DetectorInformationSequence[0]
        if key == "Rows":
            ds.Rows = 0
        else:
            where[key] = DataElement(where[key].tag, "LO", junk)

    path = write_nm(change=spoilt)
    try:
        spect = read_spect(path)
    except VoxeldoseError:
        return
    assert spect.grid.shape == (5, 7, 9)
