"""What the DICOM readers refuse: every message names the file or folder, says the way out, and never the patient."""

import shutil

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import RLELossless
from remarks import coded

from voxeldose.errors import VoxeldoseError
from voxeldose.io.dicom.ct import read_ct
from voxeldose.io.dicom.pet import read_pet
from voxeldose.io.dicom.series import read_dicom_volume
from voxeldose.io.dicom.spect import read_spect
from voxeldose.io.images import read_activity, read_image


def without(*keys):
    def change(ds, n=0):
        for key in keys:
            if key in ds:
                delattr(ds, key)

    return change


def setting(only=None, **values):
    def change(ds, n=0):
        if only in (None, n):
            for key, value in values.items():
                setattr(ds, key, value)

    return change


def test_a_missing_slice_is_refused(write_series, refused):
    folder = write_series("CT", change=lambda _, n: n != 2)
    refused(lambda: read_ct(folder), str(folder), "Export", "slice_01.dcm", code="slices-uneven")


def test_a_doubled_slice_is_refused(write_series, refused):
    folder = write_series("CT")
    shutil.copy(folder / "slice_03.dcm", folder / "again.dcm")
    refused(lambda: read_ct(folder), str(folder), "again.dcm", "slice_03.dcm", "keep one", code="slices-doubled")


def test_a_series_with_every_slice_twice_is_refused(write_series, refused):
    folder = write_series("CT")
    for file in list(folder.iterdir()):
        shutil.copy(file, folder / f"copy_{file.name}")
    refused(lambda: read_ct(folder), str(folder), code="slices-doubled")


def test_a_tilted_gantry_is_refused(write_series, refused):
    def tilt(ds, n):
        ds.ImagePositionPatient[1] += 0.4 * n

    folder = write_series("CT", change=tilt)
    refused(lambda: read_ct(folder), str(folder), "tilt", "resample", code="slices-shifted")


@pytest.mark.parametrize(
    "values",
    [
        {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]},
        {"PixelSpacing": [2.0, 1.6]},
        {"Rows": 6},
        {"FrameOfReferenceUID": "1.2.3"},
    ],
    ids=lambda v: next(iter(v)),
)
def test_a_slice_unlike_the_others_is_refused(write_series, refused, values):
    folder = write_series("CT", change=setting(only=3, **values))
    refused(lambda: read_ct(folder), "slice_03.dcm", "export one volume", code="slices-mixed")


def test_axes_that_are_not_perpendicular_are_refused(write_series, refused):
    folder = write_series("CT", change=setting(ImageOrientationPatient=[1, 0, 0, 0.2, 0.98, 0]))
    refused(lambda: read_ct(folder), str(folder), "perpendicular", code="geometry-invalid")


@pytest.mark.parametrize("key", ["ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing"])
def test_a_series_without_geometry_is_refused(write_series, refused, key):
    folder = write_series("CT", change=without(key))
    refused(lambda: read_ct(folder), str(folder), key, "Export", code="geometry-missing")


def test_two_series_in_one_folder_are_refused_unless_one_is_named(write_series, refused, place_error):
    folder = write_series("CT", folder="study/a")
    write_series("CT", folder="study/b", orientation="coronal")
    message = refused(lambda: read_ct(folder.parent), str(folder.parent), "series_uid", code="series-several")
    uid = message.split("series ")[-1].split(")")[0]
    assert place_error(read_ct(folder.parent, series_uid=uid)) < 0.03


def test_a_series_uid_that_is_not_there_is_refused(write_series, refused):
    folder = write_series("CT")
    refused(lambda: read_ct(folder, series_uid="1.2.3"), str(folder), "1.2.3", code="series-missing")


def test_an_empty_folder_is_refused(tmp_path, refused):
    (tmp_path / "empty").mkdir()
    refused(lambda: read_ct(tmp_path / "empty"), str(tmp_path / "empty"), "give the folder", code="folder-empty")


def test_a_folder_that_is_not_there_is_refused(tmp_path, refused):
    refused(lambda: read_ct(tmp_path / "nowhere"), str(tmp_path / "nowhere"), code="file-missing")


def test_a_folder_without_dicom_is_refused(tmp_path, refused):
    (tmp_path / "notes.txt").write_text("notes")
    refused(lambda: read_ct(tmp_path), str(tmp_path), "give a folder", code="dicom-missing")


def test_another_modality_is_refused(write_series, refused):
    folder = write_series("CT")
    refused(lambda: read_pet(folder), str(folder), "CT, 5 files", code="series-missing")


def test_one_slice_is_refused(write_series, refused):
    folder = write_series("CT")
    refused(lambda: read_ct(folder / "slice_02.dcm"), "slice_02.dcm", "give the folder", code="slices-too-few")


@pytest.mark.parametrize(
    ("modality", "uid", "word"),
    [
        ("CT", "1.2.840.10008.5.1.4.1.1.2.1", "Enhanced CT"),
        ("PT", "1.2.840.10008.5.1.4.1.1.130", "Enhanced PET"),
        ("PT", "1.2.840.10008.5.1.4.1.1.128.1", "Legacy Converted Enhanced PET"),
        ("CT", "1.2.840.10008.5.1.4.1.1.2.2", "Legacy Converted Enhanced CT"),
    ],
)
def test_enhanced_objects_are_refused(write_series, refused, modality, uid, word):
    folder = write_series(modality, shape=(1, 3, 4), change=setting(SOPClassUID=uid, NumberOfFrames=1))
    refused(
        lambda: (read_ct if modality == "CT" else read_pet)(folder),
        str(folder),
        word,
        "single-frame",
        code="frames-undescribed",
    )


def test_a_multi_frame_ct_is_refused(write_series, refused):
    folder = write_series("CT", shape=(1, 3, 4), change=setting(NumberOfFrames=2))
    refused(lambda: read_ct(folder), str(folder), "single-frame", code="frames-undescribed")


@pytest.mark.parametrize("key", ["RescaleSlope", "RescaleIntercept"])
@pytest.mark.parametrize("modality", ["CT", "PT"])
def test_stored_values_without_rescale_are_refused(write_series, refused, modality, key):
    folder = write_series(modality, change=lambda ds, n: without(key)(ds) if n == 1 else None)
    refused(
        lambda: (read_ct if modality == "CT" else read_pet)(folder),
        "slice_01.dcm",
        key,
        "Export",
        code="rescale-missing",
    )


def test_a_rescale_that_makes_no_values_is_refused(write_series, refused):
    folder = write_series("CT", change=setting(only=2, RescaleSlope="0"))
    refused(lambda: read_ct(folder), "slice_02.dcm", "(0028,1053)", "found 0", "export", code="rescale-invalid")


def test_a_pet_with_fewer_slices_than_it_states_is_refused(write_series, refused):
    folder = write_series("PT", change=setting(NumberOfSlices=9))
    refused(lambda: read_pet(folder), str(folder), "(0054,0081) says 9 but 5", "whole series", code="series-incomplete")


def test_a_pet_without_rescale_is_refused_also_when_the_user_names_the_quantity(write_series, refused):
    folder = write_series("PT", change=without("RescaleSlope"))
    refused(lambda: read_activity(folder, quantity="bq_per_ml"), "RescaleSlope", code="rescale-missing")


@pytest.mark.parametrize("units", ["GML", "CNTS", "PROPCNTS", ""])
def test_a_pet_in_other_units_is_refused(write_series, refused, units):
    folder = write_series("PT", change=setting(Units=units))
    refused(lambda: read_pet(folder), str(folder), units or "none", "BQML", "counts", code="pet-not-in-bq-per-ml")


def test_truncated_pixel_data_are_refused(write_series, refused):
    folder = write_series("CT")
    file = folder / "slice_02.dcm"
    file.write_bytes(file.read_bytes()[:-40])
    refused(lambda: read_ct(folder), "slice_02.dcm", "copy the file again", code="pixels-unreadable")


@pytest.mark.parametrize("left", [140, 180, 300, 500])
def test_a_file_cut_off_in_its_header_is_refused_or_passed_over_but_never_a_traceback(write_series, left):
    folder = write_series("CT")
    file = folder / "slice_02.dcm"
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(VoxeldoseError):
        read_ct(folder)


def test_pixels_of_another_size_than_stated_are_refused(write_series, refused):
    folder = write_series("CT", change=setting(Columns=10))
    refused(lambda: read_ct(folder), "slice_00.dcm", code="pixels-unreadable")


def more_frames_than_stated(path, stated):
    """Compress the pixels of a file with one frame more than its header says."""
    ds = dcmread(path)
    frames = np.atleast_3d(ds.pixel_array).reshape(-1, ds.Rows, ds.Columns)
    ds.NumberOfFrames = len(frames) + 1
    ds.PixelData = np.concatenate([frames, frames[:1]]).tobytes()
    ds.compress(RLELossless)
    ds.NumberOfFrames = stated
    ds.save_as(path)


def test_a_slice_that_holds_two_frames_is_refused(write_series, refused):
    folder = write_series("CT")
    more_frames_than_stated(folder / "slice_01.dcm", 1)
    refused(lambda: read_ct(folder), "slice_01.dcm", "(2, 7, 9)", "(7, 9)", code="pixels-differ")


def test_a_spect_of_more_frames_than_it_states_is_refused(write_nm, refused):
    path = write_nm()
    more_frames_than_stated(path, 5)
    refused(lambda: read_spect(path), str(path), "6 frames", "says 5", "export it again", code="pixels-differ")


def test_a_colour_image_is_refused(write_series, refused):
    folder = write_series("CT", change=setting(SamplesPerPixel=3))
    refused(lambda: read_ct(folder), "slice_00.dcm", "original series", code="colour-image")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ImagePositionPatient", [0.0, 0.0]),
        ("PixelSpacing", [0, 0]),
        ("PixelSpacing", [-2.0, 1.5]),
        ("ImagePositionPatient", ["", "1", "2"]),
    ],
)
def test_a_malformed_header_is_refused_with_its_file_or_folder(write_series, refused, key, value):
    folder = write_series("CT", change=setting(**{key: value}))
    refused(lambda: read_ct(folder), str(folder))


def test_a_decimal_string_that_is_no_number_is_refused_with_its_file_or_folder(write_series, refused):
    folder = write_series("CT", change=setting(only=1, PixelSpacing=["2.03125", "1.5"]))
    file = folder / "slice_01.dcm"
    file.write_bytes(file.read_bytes().replace(b"2.03125", b"two_mm "))
    refused(lambda: read_ct(folder), str(folder))


# --- SPECT ---


@pytest.mark.parametrize("kind", ["STATIC", "WHOLE BODY", "TOMO", "RECON GATED TOMO"])
def test_nm_that_is_no_reconstructed_volume_is_refused(write_nm, refused, kind):
    path = write_nm(change=setting(ImageType=["ORIGINAL", "PRIMARY", kind, "EMISSION"]))
    refused(lambda: read_spect(path), str(path), kind, "RECON TOMO", code="not-reconstructed")


def test_nm_without_an_image_type_is_refused(write_nm, refused):
    path = write_nm(change=without("ImageType"))
    refused(lambda: read_spect(path), str(path), "none", "RECON TOMO", code="not-reconstructed")


def test_nm_without_detector_geometry_is_refused(write_nm, refused):
    path = write_nm(change=without("DetectorInformationSequence"))
    refused(lambda: read_spect(path), str(path), "NIfTI", code="geometry-missing")


def test_nm_whose_detector_has_no_position_is_refused(write_nm, refused):
    path = write_nm(change=lambda ds: without("ImagePositionPatient")(ds.DetectorInformationSequence[0]))
    refused(lambda: read_spect(path), str(path), "Image Position (Patient)", "Export", code="geometry-missing")


def test_nm_whose_detector_has_no_orientation_is_refused(write_nm, refused):
    path = write_nm(change=lambda ds: without("ImageOrientationPatient")(ds.DetectorInformationSequence[0]))
    refused(lambda: read_spect(path), str(path), "ImageOrientationPatient", "Export", code="geometry-missing")


@pytest.mark.parametrize("change", [without("SpacingBetweenSlices"), setting(SpacingBetweenSlices=0)])
def test_nm_without_spacing_between_slices_is_refused(write_nm, refused, change):
    path = write_nm(change=change)
    refused(
        lambda: read_spect(path), str(path), "Slice Thickness cannot stand in", "Export", code="slice-spacing-missing"
    )


def test_nm_with_several_energy_windows_is_refused(write_nm, refused):
    path = write_nm(change=setting(NumberOfEnergyWindows=2))
    refused(lambda: read_spect(path), str(path), "export the one", code="energy-windows-several")


def test_nm_of_one_frame_is_refused(write_nm, refused):
    path = write_nm(shape=(1, 4, 5))
    refused(lambda: read_spect(path), str(path), code="slices-too-few")


def test_a_spect_of_several_files_is_refused(write_nm, tmp_path, refused):
    path = write_nm()
    shutil.copy(path, tmp_path / "copy.dcm")
    refused(lambda: read_spect(tmp_path), str(tmp_path), "one multi-frame file", code="series-several")


def test_a_truncated_spect_is_refused(write_nm, refused):
    path = write_nm()
    path.write_bytes(path.read_bytes()[:-100])
    refused(lambda: read_spect(path), str(path), code="pixels-unreadable")


def test_an_nm_with_a_real_world_mapping_is_read_as_counts_with_a_note(write_nm):
    from pydicom.dataset import Dataset

    spect = read_spect(write_nm(change=setting(RealWorldValueMappingSequence=[Dataset()])))
    assert coded("real-world-mapping-unused", spect.remarks)


# --- which image is meant ---


def test_an_activity_folder_with_pet_and_spect_is_refused(write_series, write_nm, tmp_path, refused):
    write_series("PT")
    write_nm()
    refused(
        lambda: read_activity(tmp_path),
        str(tmp_path),
        "PT, 5 files",
        "NM, 1 file",
        "Give the folder",
        code="series-several",
    )


def test_a_ct_as_activity_is_refused_without_a_quantity(write_series, refused):
    folder = write_series("CT")
    refused(lambda: read_activity(folder), str(folder), "CT", code="quantity-missing")


def test_a_ct_as_activity_is_read_when_the_user_says_its_quantity(write_series):
    found = read_activity(write_series("CT"), quantity="counts")
    assert coded("quantity-of-user", found.remarks)[0].numbers == {"quantity": "counts"}


def test_an_image_folder_without_images_is_refused(tmp_path, refused):
    (tmp_path / "notes.txt").write_text("notes")
    refused(lambda: read_image(tmp_path), str(tmp_path), code="series-missing")


def test_one_dicom_volume_is_wanted_where_nothing_names_a_modality(write_series, refused):
    folder = write_series("CT", folder="study/a")
    write_series("PT", folder="study/b")
    refused(lambda: read_dicom_volume(folder.parent), str(folder.parent), code="series-several")


def test_values_are_never_changed_by_reading_twice(write_series):
    folder = write_series("PT")
    np.testing.assert_array_equal(read_pet(folder).values, read_pet(folder).values)


def test_raw_data_of_the_scanner_beside_the_image_are_passed_over(write_series, place_error):
    def raw(ds, n):
        ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.66"
        del ds.Rows, ds.Columns

    write_series("PT", folder="study/image")
    folder = write_series("PT", folder="study/raw", change=raw)
    assert place_error(read_pet(folder.parent)) < 0.03
    assert place_error(read_activity(folder.parent)) < 0.03


def test_raw_data_alone_are_refused(write_series, refused):
    def raw(ds, n):
        ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.66"
        del ds.Rows, ds.Columns, ds.PixelData, ds.ImageOrientationPatient
        ds.PixelData = b""

    folder = write_series("PT", change=raw)
    refused(lambda: read_pet(folder), str(folder))
