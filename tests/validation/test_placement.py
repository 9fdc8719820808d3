"""A hot voxel comes out where it lies in the patient, whatever way its file is written."""

import json

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from click.testing import CliRunner

from voxeldose.cli import main

ANGLE = np.radians(17)
TURN = np.array([[np.cos(ANGLE), -np.sin(ANGLE), 0], [np.sin(ANGLE), np.cos(ANGLE), 0], [0, 0, 1]]) @ np.array(
    [[1, 0, 0], [0, np.cos(0.2), -np.sin(0.2)], [0, np.sin(0.2), np.cos(0.2)]]
)
#: RAS affines of (i, j, k): the usual one, axes flipped, axes permuted, oblique and anisotropic.
AFFINES = {
    "usual": np.diag([3.0, 3.0, 4.0, 1.0]),
    "flipped": np.diag([-3.0, 3.0, -4.0, 1.0]),
    "permuted": np.array([[0, 0, 4.0, 0], [3.0, 0, 0, 0], [0, -2.5, 0, 0], [0, 0, 0, 1.0]]),
    "oblique": np.block([[TURN * [2.5, 3.0, 4.5], np.zeros((3, 1))], [np.zeros((1, 3)), np.ones((1, 1))]]),
    "oblique flipped": np.block([[TURN * [-2.5, 3.0, -4.5], np.zeros((3, 1))], [np.zeros((1, 3)), np.ones((1, 1))]]),
}


@pytest.mark.parametrize("name", AFFINES)
@pytest.mark.parametrize("labels", ["usual", "oblique flipped"])
def test_an_off_centre_hot_voxel_stays_in_its_place(tmp_path, name, labels):
    affine = AFFINES[name].copy()
    shape = (24, 22, 20)
    hot = np.array([17, 5, 12])
    place_ras = np.array([31.0, -22.0, 47.0])
    affine[:3, 3] = place_ras - affine[:3, :3] @ hot
    values = np.zeros(shape, np.float32)
    values[tuple(hot)] = 100
    nib.save(nib.Nifti1Image(values, affine), tmp_path / "activity.nii.gz")
    region = AFFINES[labels].copy()
    region[:3, 3] = place_ras - region[:3, :3] @ [10, 10, 10]
    box = np.zeros((21, 21, 21), np.uint8)
    box[7:14, 7:14, 7:14] = 1  # around the hot voxel, whatever its orientation
    nib.save(nib.Nifti1Image(box, region), tmp_path / "lesion.nii.gz")
    words = ["assess", "--activity", tmp_path / "activity.nii.gz", "--rois", tmp_path / "lesion.nii.gz"]
    words += [
        "--quantity",
        "counts",
        "--administered-mbq",
        50,
        "--calibration-region",
        "image",
        "--out",
        tmp_path / "out",
    ]
    result = CliRunner().invoke(main, [str(w) for w in words])
    assert result.exit_code == 0, result.output

    image = sitk.ReadImage(str(tmp_path / "out" / "dose.nii.gz"))
    array = sitk.GetArrayFromImage(image)
    k, j, i = (int(n) for n in np.unravel_index(array.argmax(), array.shape))
    place_lps = place_ras * [-1, -1, 1]
    np.testing.assert_allclose(image.TransformIndexToPhysicalPoint((i, j, k)), place_lps, atol=1e-3)
    read = nib.load(tmp_path / "out" / "dose.nii.gz")
    index = np.unravel_index(np.asarray(read.dataobj).argmax(), read.shape)
    np.testing.assert_allclose(nib.affines.apply_affine(read.affine, index), place_ras, atol=1e-3)
    lesion = json.loads((tmp_path / "out" / "assessment.json").read_text())["rois"]["lesion"]
    assert lesion["activity_mbq"] == pytest.approx(50, rel=1e-3)
    assert lesion["max_dose_gy"] == pytest.approx(float(array.max()), rel=1e-6)
