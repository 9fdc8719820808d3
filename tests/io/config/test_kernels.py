"""Kernel files: the numbers and what they were made from come back from every format."""

import csv

import nibabel as nib
import numpy as np
import pytest

from voxeldose.io.config.kernels import write_kernel
from voxeldose.model.kernel import VoxelKernel

SPACING = (3.0, 2.0, 1.5)


@pytest.fixture(scope="module")
def kernel():
    """A small kernel with unequal sizes, symmetric as all are, with energy outside."""
    k, j, i = np.meshgrid(*[np.arange(-h, h + 1) * s for h, s in zip((1, 2, 3), SPACING, strict=True)], indexing="ij")
    fraction = np.exp(-np.sqrt(k**2 + j**2 + i**2))
    return VoxelKernel(0.97 * fraction / fraction.sum(), SPACING, 0.9267, 1.04, 11.5, "made for a test")


def test_the_csv_has_a_row_a_voxel_with_both_numbers(kernel, tmp_path):
    write_kernel(kernel, tmp_path / "kernel.csv")
    lines = (tmp_path / "kernel.csv").read_text("utf-8").splitlines()
    comments = [line for line in lines if line.startswith("#")]
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert list(rows[0]) == ["k", "j", "i", "energy_fraction", "gy_per_decay"]
    assert len(rows) == 3 * 5 * 7
    fraction, gy = np.zeros((3, 5, 7)), np.zeros((3, 5, 7))
    for row in rows:
        index = (int(row["k"]) + 1, int(row["j"]) + 2, int(row["i"]) + 3)
        fraction[index], gy[index] = float(row["energy_fraction"]), float(row["gy_per_decay"])
    # ten digits are written
    np.testing.assert_allclose(fraction, kernel.energy_fraction, rtol=1e-9)
    np.testing.assert_allclose(gy, kernel.gy_per_decay, rtol=1e-9)
    said = "\n".join(comments)
    for word in ("made for a test", "3 2 1.5", "0.9267", "1.04", "0.03", "11.5 mm"):
        assert word in said


def test_the_archive_holds_everything_by_name(kernel, tmp_path):
    write_kernel(kernel, tmp_path / "kernel.npz")
    with np.load(tmp_path / "kernel.npz") as found:
        np.testing.assert_array_equal(found["gy_per_decay"], kernel.gy_per_decay)
        np.testing.assert_array_equal(found["energy_fraction"], kernel.energy_fraction)
        np.testing.assert_array_equal(found["spacing_mm"], SPACING)
        for name in ("mev_per_decay", "density_g_per_ml", "fraction_outside", "reach_mm"):
            assert float(found[name]) == getattr(kernel, name)
        assert str(found["source"]) == "made for a test"


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_the_image_has_its_source_voxel_at_the_origin(kernel, tmp_path, suffix):
    write_kernel(kernel, tmp_path / f"kernel{suffix}")
    image = nib.load(tmp_path / f"kernel{suffix}")
    values = image.get_fdata()
    assert values.shape == (7, 5, 3)
    assert image.header.get_zooms() == pytest.approx(SPACING[::-1])
    centre = image.affine @ [*np.unravel_index(values.argmax(), values.shape), 1]
    np.testing.assert_allclose(centre[:3], 0, atol=1e-6)
    # float32 storage
    np.testing.assert_allclose(np.sort(values.ravel()), np.sort(kernel.gy_per_decay.ravel()), rtol=1e-6)
    assert b"Gy per decay" in bytes(image.header["descrip"])


def test_another_suffix_is_refused(kernel, tmp_path, refused):
    refused(
        lambda: write_kernel(kernel, tmp_path / "kernel.txt"), str(tmp_path / "kernel.txt"), ".csv, .npz or .nii.gz"
    )
    assert not (tmp_path / "kernel.txt").exists()
