"""Public scanner files; expected numbers were read with pydicom, SimpleITK and nibabel (``FACTS.json`` beside the data)."""

import json
import tarfile

import nibabel as nib
import numpy as np
import pytest

from voxeldose.io.arrays import read_array
from voxeldose.io.dicom.ct import read_ct
from voxeldose.io.dicom.options import CtOptions, PetOptions
from voxeldose.io.dicom.pet import read_pet
from voxeldose.io.dicom.rtdose import read_rtdose
from voxeldose.io.dicom.series import read_dicom_volume
from voxeldose.io.dicom.spect import read_spect
from voxeldose.io.images import read_activity
from voxeldose.io.inspection import inspect
from voxeldose.io.regions import read_labels

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def facts(data_folder):
    return json.loads((data_folder / "FACTS.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def penred(data_folder, tmp_path_factory):
    """CT and SPECT of PenRed's Y-90 example, unpacked."""
    folder = tmp_path_factory.mktemp("penred")
    with tarfile.open(data_folder / "y90_sirt_penred" / "dicoms.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return {name: next(p for p in folder.rglob(name) if p.is_dir()) for name in ("CT", "SPECT")}


def test_a_ct_with_a_missing_slice_is_refused(data_folder, refused):
    folder = data_folder / "ct_quirk_missing_slice" / "dicom"
    refused(lambda: read_ct(folder), str(folder), "10.000 mm", "5.000 mm", "missing")


def test_the_penred_ct_is_read_on_its_grid(penred):
    ct = read_ct(penred["CT"])
    assert ct.grid.shape == (190, 72, 124)
    assert ct.grid.spacing_mm == pytest.approx((4, 4, 4))
    np.testing.assert_allclose(ct.grid.affine_lps_mm[:3, 3], (-248.488, -104.933, -378.625), atol=1e-3)
    assert (ct.hu.min(), ct.hu.max()) == (-1001, 2346)
    assert ct.grid.frame_uid is None


def test_the_penred_spect_says_it_is_a_ct_and_needs_its_quantity(penred, refused):
    refused(lambda: read_activity(penred["SPECT"]), "CT", "quantity")
    spect = read_activity(penred["SPECT"], quantity="counts")
    assert spect.grid.shape == (209, 128, 128)
    assert spect.grid.spacing_mm == pytest.approx((4.41806, 4.41806, 4.41806), rel=1e-5)
    np.testing.assert_allclose(spect.grid.affine_lps_mm[:3, 3], (-281.847, -279.547, -460.547), atol=1e-3)
    assert spect.counts.max() == pytest.approx(0.331373, rel=1e-5)


def test_a_ge_pet_has_its_activity_hottest_voxel_instant_and_nuclide(data_folder, facts):
    pet = read_pet(data_folder / "sts001_ge_petct" / "pet")
    known = facts["sts001_ge_petct/pet"]
    assert pet.grid.shape == tuple(known["shape_zyx"])
    # FACTS multiplies by 3.27 mm; the mean distance of the slices, which differ by up to 2.5 %, is 3.27000 too
    assert pet.total_mbq() == pytest.approx(193.196, rel=1e-5)
    assert np.unravel_index(pet.values.argmax(), pet.grid.shape) == (62, 70, 69)
    assert pet.values.max() == pytest.approx(273860.36, rel=1e-6)
    assert pet.radionuclide.name == "F-18"
    assert pet.at.isoformat() == "2000-09-07T11:20:11+00:00"
    assert pet.grid.frame_uid == known["FrameOfReferenceUID"]
    assert any("even" in remark.sentence for remark in pet.remarks)


def test_a_pet_in_suv_is_refused_and_may_be_used_as_a_relative_image(data_folder, facts, refused):
    folder = data_folder / "sts001_ge_petct" / "cropped_pet" / "dicom"
    refused(lambda: read_pet(folder), str(folder), "GML", "BQML", "counts", "undo_suv")
    # SUV corrected to the administration: 388.777472 MBq in 71 kg
    turned = read_pet(folder, options=PetOptions(undo_suv=True))
    suv = facts["sts001_ge_petct/cropped_pet"]["value_max"]
    assert turned.values.max() == pytest.approx(suv * 388.777472e6 / 71000, rel=1e-6)
    found = read_activity(folder, quantity="counts")
    assert found.counts.max() == pytest.approx(facts["sts001_ge_petct/cropped_pet"]["value_max"], rel=1e-6)


def test_a_ct_series_equals_its_nifti_image_through_world_coordinates(data_folder):
    folder = data_folder / "sts001_ge_petct" / "cropped_ct"
    ct = read_ct(folder / "dicom")
    image = nib.load(folder / "nifti" / "image" / "image.nii.gz")
    values = image.get_fdata()
    index = np.stack(np.meshgrid(*[np.arange(0, n, 5) for n in ct.grid.shape], indexing="ij"), axis=-1).reshape(-1, 3)
    ras = ct.grid.points_lps_mm(index) * (-1, -1, 1)
    inverse = np.linalg.inv(image.affine)
    there = ras @ inverse[:3, :3].T + inverse[:3, 3]
    np.testing.assert_allclose(there, np.rint(there), atol=0.01)  # the NIfTI affine is float32
    np.testing.assert_array_equal(ct.hu[tuple(index.T)], values[tuple(np.rint(there).astype(int).T)])


def test_the_nifti_of_a_ct_is_read_onto_the_same_voxels(data_folder):
    folder = data_folder / "sts001_ge_petct" / "cropped_ct"
    ct = read_ct(folder / "dicom")
    values, grid, _ = read_array(folder / "nifti" / "image" / "image.nii.gz")
    np.testing.assert_array_equal(values, ct.hu)
    np.testing.assert_allclose(grid.affine_lps_mm, ct.grid.affine_lps_mm, atol=1e-4)


def test_the_mask_of_a_ct_has_its_published_volume(data_folder):
    (roi,) = read_labels(data_folder / "sts001_ge_petct" / "cropped_ct" / "nifti" / "mask" / "mask.nii.gz")
    assert int(roi.occupancy.sum()) == 117145
    assert roi.volume_ml == pytest.approx(365.32, abs=0.01)


def test_a_recon_tomo_without_geometry_is_refused_in_spite_of_its_old_dates(data_folder, refused):
    path = data_folder / "nm_recon_tomo_heart" / "NM-MONO2-16-13x-heart.dcm"
    refused(lambda: read_spect(path), str(path), "Detector Information Sequence", "NIfTI")
    (row,) = inspect(path)
    assert row.verdict.startswith("refused")


def test_a_ct_scanned_feet_first_is_read_with_k_to_the_head(data_folder):
    ct = read_ct(data_folder / "pydicom_misc" / "ct_5slice")
    assert ct.grid.shape == (5, 16, 16)
    assert ct.grid.spacing_mm[0] == pytest.approx(2.5)
    assert ct.grid.directions[2, 0] == pytest.approx(1)


def test_a_ge_ct_of_three_slices_keeps_its_slice_distance_of_1_mm(data_folder, facts):
    ct, known = read_ct(data_folder / "ct_seg_dcmqi" / "ct-3slice"), facts["ct_seg_dcmqi/ct-3slice"]
    assert ct.grid.spacing_mm == pytest.approx((1.0, 0.810547, 0.810547), rel=1e-5)
    assert (ct.hu.min(), ct.hu.max()) == (known["value_min"], known["value_max"])
    assert np.unravel_index(ct.hu.argmax(), ct.grid.shape) == tuple(known["argmax_zyx"])
    assert any("-3024 HU" in r.sentence and "air" in r.sentence for r in ct.remarks)


def test_a_ct_with_a_missing_slice_is_interpolated_where_the_user_asks(data_folder):
    folder = data_folder / "ct_quirk_missing_slice" / "dicom"
    ct = read_ct(folder, options=CtOptions("resample"))
    assert ct.grid.shape == (5, 512, 512)
    assert ct.grid.spacing_mm[0] == pytest.approx(5)
    np.testing.assert_allclose(ct.hu[3], (ct.hu[2] + ct.hu[4]) / 2, atol=1e-3)  # float32 of about 1000


def test_a_legacy_converted_enhanced_ct_equals_its_single_frame_series(data_folder):
    folder = data_folder / "ct_seg_dcmqi" / "24x38x3"
    enhanced, single = read_ct(folder / "multiframe"), read_ct(folder / "image")
    np.testing.assert_array_equal(enhanced.hu, single.hu)
    assert enhanced.grid.matches(single.grid)
    assert enhanced.grid.shape == (3, 38, 24)


def test_a_planar_nm_in_lossless_jpeg_is_refused(data_folder, refused):
    path = data_folder / "pydicom_misc" / "JPEG-LL.dcm"
    refused(lambda: read_spect(path), str(path))
    refused(lambda: read_activity(path), str(path))
    refused(lambda: read_dicom_volume(path), str(path))


def test_a_clinical_rtdose_is_read_in_gray(data_folder):
    dose = read_rtdose(data_folder / "rt_dicompyler" / "rtdose.dcm")
    assert dose.grid.shape == (98, 129, 194)
    assert dose.grid.spacing_mm == pytest.approx((3.0, 2.5, 2.5))
    assert dose.gy.max() == pytest.approx(14.680764, rel=1e-6)


@pytest.mark.parametrize("name", ["rtdose.dcm", "rtdose_1frame.dcm", "rtdose_expb.dcm"])
def test_a_relative_rtdose_is_refused(data_folder, refused, name):
    path = data_folder / "pydicom_misc" / name
    refused(lambda: read_rtdose(path), str(path), "RELATIVE", "not GY")


@pytest.mark.parametrize(
    ("name", "label", "voxels"),
    [("liver_seg.nrrd", 1, 107098), ("heart_seg.nrrd", 3, 41449), ("spine_seg.nrrd", 2, 12439)],
)
def test_label_maps_of_dcmqi_are_read_onto_their_ct(data_folder, name, label, voxels):
    rois = read_labels(data_folder / "ct_seg_dcmqi" / name, {label: ("organ", "other")})
    ct = read_ct(data_folder / "ct_seg_dcmqi" / "ct-3slice")
    assert int(rois["organ"].occupancy.sum()) == voxels
    assert rois["organ"].volume_ml == pytest.approx(voxels * 0.810547**2 / 1000, rel=1e-5)
    assert rois.grid.matches(ct.grid)


def test_a_mask_of_one_label_is_named_by_its_file(data_folder):
    (roi,) = read_labels(data_folder / "ct_seg_dcmqi" / "liver_seg.nrrd")
    assert (roi.name, roi.role) == ("liver_seg", "liver")


def test_every_public_folder_can_be_inspected_without_naming_a_patient(data_folder):
    names = ("ct_seg_dcmqi", "pydicom_misc", "nm_recon_tomo_heart", "seg_highdicom", "rt_dicompyler")
    rows = [row for name in names for row in inspect(data_folder / name)]
    assert all(row.verdict for row in rows)
    text = str([{k: v for k, v in row.as_dict().items() if k != "path"} for row in rows])
    for patient in ("JANCT000", "Anonymized^", "CompressedSamples"):
        assert patient not in text
