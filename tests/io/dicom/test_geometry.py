"""Where the voxels of CT, PET and SPECT series lie; the files' values tell their own place."""

import shutil

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from remarks import coded

from voxeldose.errors import InputError
from voxeldose.io.dicom.ct import read_ct
from voxeldose.io.dicom.pet import read_pet
from voxeldose.io.dicom.series import read_dicom_volume
from voxeldose.io.dicom.spect import read_spect
from voxeldose.io.images import read_activity, read_image
from voxeldose.model.volume import ActivityMap, CountMap, CtImage, Volume

ORIENTATIONS = ["axial", "feet_first", "prone", "sagittal", "coronal", "oblique"]
# stored values are rounded to half a slope, 0.025 for CT and 0.0145 for PET; half a voxel is 0.75 at least
ROUNDING = 0.03


def simpleitk_series(folder):
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def hottest(volume):
    index = np.unravel_index(np.argmax(volume.values), volume.grid.shape)
    return volume.grid.points_lps_mm(index)


def hottest_simpleitk(image):
    index = np.unravel_index(np.argmax(sitk.GetArrayFromImage(image)), image.GetSize()[::-1])
    return np.array(image.TransformIndexToPhysicalPoint([int(n) for n in index[::-1]]))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_ct_voxel_has_the_value_of_its_place(write_series, place_error, orientation, reverse):
    ct = read_ct(write_series("CT", orientation=orientation, reverse=reverse))
    assert isinstance(ct, CtImage)
    assert place_error(ct) < ROUNDING


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_pet_voxel_has_the_value_of_its_place_with_a_slope_a_slice(
    write_series, place_error, orientation, reverse
):
    pet = read_pet(write_series("PT", orientation=orientation, reverse=reverse))
    assert isinstance(pet, ActivityMap)
    assert place_error(pet) < ROUNDING


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_spect_voxel_has_the_value_of_its_place_for_either_sign_of_spacing(
    write_nm, place_error, orientation, sign
):
    spect = read_spect(write_nm(orientation=orientation, sign=sign))
    assert isinstance(spect, CountMap)
    assert place_error(spect, scale=20) < 0.51  # counts are whole; half a voxel is 15


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("modality", ["CT", "PT"])
def test_simpleitk_finds_the_hottest_voxel_in_the_same_place(write_series, modality, orientation):
    folder = write_series(modality, orientation=orientation)
    volume, _ = read_dicom_volume(folder)
    # GDCM cleans directions of about 1e-6 and its z spacing is a difference of positions: far below a voxel
    np.testing.assert_allclose(hottest(volume), hottest_simpleitk(simpleitk_series(folder)), atol=1e-3)


def test_simpleitk_finds_every_value_of_an_oblique_series_where_voxeldose_does(write_series):
    folder = write_series("PT", orientation="oblique")
    image, volume = simpleitk_series(folder), read_dicom_volume(folder)[0]
    for index in [(0, 0, 0), (4, 0, 8), (2, 6, 3), (1, 3, 0), (3, 5, 7)]:
        place = volume.grid.points_lps_mm(index).tolist()
        assert image[image.TransformPhysicalPointToIndex(place)] == pytest.approx(volume.values[index], rel=1e-6)


def test_an_axial_series_keeps_its_axes_and_spacing_in_array_order(write_series):
    grid = read_ct(write_series("CT")).grid
    assert grid.shape == (5, 7, 9)
    assert grid.spacing_mm == pytest.approx((3.0, 2.0, 1.5))
    assert grid.voxel_volume_ml == pytest.approx(0.009)
    np.testing.assert_allclose(grid.affine_lps_mm[:3, 3], (-20, 35, 60))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_after_reading_k_points_to_the_head_j_to_the_back_and_i_to_the_left(write_series, orientation):
    directions = read_ct(write_series("CT", orientation=orientation)).grid.directions
    assert directions[2, 0] > 0.7
    assert directions[1, 1] > 0.7
    assert directions[0, 2] > 0.7


def test_a_sagittal_series_is_permuted_to_axial_with_its_own_spacings(write_series):
    grid = read_ct(write_series("CT", orientation="sagittal")).grid
    # rows run down (2 mm), columns to the back (1.5 mm), slices along x (3 mm)
    assert grid.spacing_mm == pytest.approx((2.0, 1.5, 3.0))
    assert grid.shape == (7, 9, 5)


def test_the_frame_of_reference_is_kept(write_series, write_nm):
    assert read_ct(write_series("CT")).grid.frame_uid == "1.2.826.0.1.3680043.8.498.77"
    assert read_spect(write_nm()).grid.frame_uid == "1.2.826.0.1.3680043.8.498.77"


def test_slice_thickness_never_stands_for_the_distance_of_slices(write_series):
    def thick(ds, n):
        ds.SliceThickness = 10.0
        ds.SpacingBetweenSlices = 7.0

    assert read_ct(write_series("CT", change=thick)).grid.spacing_mm[0] == pytest.approx(3.0)


def test_slices_up_to_a_few_percent_from_even_places_are_read_with_a_note(write_series):
    def uneven(ds, n):
        if n == 2:
            ds.ImagePositionPatient[2] += 0.08

    pet = read_pet(write_series("PT", change=uneven))
    (remark,) = coded("slices-nearly-even", pet.remarks)
    assert "0.080 mm from even places" in remark.sentence


def test_two_slices_are_a_volume(write_series, place_error):
    assert place_error(read_ct(write_series("CT", shape=(2, 3, 4)))) < ROUNDING


def test_negative_stored_values_and_intercepts_are_kept(write_series):
    def signed(ds, n):
        ds.PixelRepresentation = 1
        ds.RescaleSlope, ds.RescaleIntercept = 2, -10
        ds.PixelData = np.full((7, 9), -7, np.int16).tobytes()

    np.testing.assert_array_equal(read_ct(write_series("CT", change=signed)).hu, -24.0)


def test_a_series_spread_over_subfolders_is_one_volume(write_series, place_error):
    folder = write_series("CT")
    for n, file in enumerate(sorted(folder.iterdir())):
        (folder / f"IM{n}").mkdir()
        shutil.move(file, folder / f"IM{n}" / "slice")
    assert place_error(read_ct(folder)) < ROUNDING


def test_files_without_the_dicom_preamble_are_read(write_series, place_error):
    folder = write_series("CT")
    for file in list(folder.iterdir()):
        file.write_bytes(file.read_bytes()[132:])
    assert place_error(read_ct(folder)) < ROUNDING


def test_a_dicomdir_hidden_files_and_text_beside_the_series_are_passed_over(write_series, place_error):
    folder = write_series("CT")
    (folder / "DICOMDIR").write_bytes(b"no matter")
    (folder / ".hidden").write_bytes(next(folder.glob("*.dcm")).read_bytes())
    (folder / "readme.txt").write_text("remarks")
    (folder / "report").write_bytes(b"\x00\x01 no DICOM at all")
    assert place_error(read_ct(folder)) < ROUNDING


@pytest.mark.parametrize(("modality", "kind"), [("CT", CtImage), ("PT", ActivityMap)])
def test_read_image_makes_the_kind_that_the_header_names(write_series, modality, kind):
    assert type(read_image(write_series(modality))) is kind


def test_read_image_reads_a_spect_and_leaves_an_unknown_modality_unspecified(write_nm, write_series):
    assert type(read_image(write_nm())) is CountMap
    assert type(read_image(write_series("CT", change=lambda ds, _: setattr(ds, "Modality", "MR")))) is Volume


def test_frames_of_a_spect_in_the_order_of_another_slice_vector_are_put_in_place_or_refused(write_nm, place_error):
    def shuffled(ds):
        order = [2, 0, 1, 4, 3]
        frames = np.frombuffer(ds.PixelData, np.uint16).reshape(5, 7, 9)
        ds.SliceVector = [n + 1 for n in order]
        ds.PixelData = frames[order].tobytes()

    path = write_nm(change=shuffled)
    try:
        spect = read_spect(path)
    except InputError:
        return
    assert place_error(spect, scale=20) < 0.51


def test_rescale_of_a_spect_is_applied(write_nm):
    def scaled(ds):
        ds.RescaleSlope, ds.RescaleIntercept = 0.5, 0

    plain, halved = read_spect(write_nm()), read_spect(write_nm(name="b.dcm", change=scaled))
    np.testing.assert_allclose(halved.counts, plain.counts / 2)


def test_read_activity_chooses_the_emission_image_beside_a_ct(write_series, place_error):
    write_series("CT", folder="study/ct")
    folder = write_series("PT", folder="study/pet")
    found = read_activity(folder.parent)
    assert isinstance(found, ActivityMap)
    assert place_error(found) < ROUNDING
