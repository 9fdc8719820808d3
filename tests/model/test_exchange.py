"""Volumes as objects of other libraries: every voxel in its place, on an oblique grid of unequal axes."""

import sys

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from scipy.spatial.transform import Rotation

from voxeldose.errors import GeometryError, VoxeldoseError
from voxeldose.io.nifti import write_nifti
from voxeldose.model.dvh import Dvh
from voxeldose.model.grid import Grid
from voxeldose.model.volume import CtImage, DoseMap

SHAPE = (3, 4, 5)
VALUES = np.arange(60, dtype=np.float32).reshape(SHAPE)
TURN = Rotation.from_euler("xyz", (12, -25, 40), degrees=True).as_matrix()
AXIAL = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0.0]])
OBLIQUE = Grid.from_axes(SHAPE, (4.0, 2.5, 1.5), (-31.0, 17.0, 203.0), directions=TURN @ AXIAL)
SOME_VOXELS = [(0, 0, 0), (2, 3, 4), (1, 0, 3)]


@pytest.fixture
def dose():
    return DoseMap(VALUES, OBLIQUE)


def test_a_simpleitk_image_has_every_voxel_at_its_physical_point(dose):
    image = dose.to_sitk()
    for k, j, i in SOME_VOXELS:
        assert image[i, j, k] == VALUES[k, j, i]
        point = image.TransformIndexToPhysicalPoint((i, j, k))
        np.testing.assert_allclose(point, OBLIQUE.points_lps_mm((k, j, i)), atol=1e-9)


def test_a_simpleitk_image_written_and_read_back_is_the_same_volume(dose, tmp_path):
    from voxeldose.io.images import read_image

    sitk.WriteImage(dose.to_sitk(), tmp_path / "dose.mha")
    again = read_image(tmp_path / "dose.mha")  # readers turn axes towards the patient's
    points = OBLIQUE.points_lps_mm(np.array(SOME_VOXELS))
    index = np.rint(again.grid.indices(points)).astype(int)
    np.testing.assert_allclose(again.grid.points_lps_mm(index), points, atol=1e-6)
    np.testing.assert_array_equal(again.values[tuple(index.T)], VALUES[tuple(np.array(SOME_VOXELS).T)])


def test_sheared_axes_are_no_simpleitk_image():
    affine = np.eye(4)
    affine[0, 1] = 0.3
    with pytest.raises(GeometryError) as refusal:
        DoseMap(VALUES, Grid(SHAPE, affine)).to_sitk()
    assert refusal.value.code == "grid-sheared"


def test_a_nibabel_image_has_every_voxel_at_its_point_right_anterior_superior(dose):
    image = dose.to_nibabel()
    for k, j, i in SOME_VOXELS:
        assert image.get_fdata()[i, j, k] == VALUES[k, j, i]
        np.testing.assert_allclose(
            (image.affine @ (i, j, k, 1))[:3], OBLIQUE.points_lps_mm((k, j, i)) * (-1, -1, 1), atol=1e-9
        )


def test_a_nibabel_image_is_what_write_nifti_writes(dose, tmp_path):
    import nibabel

    write_nifti(dose, tmp_path / "dose.nii")
    written = nibabel.load(tmp_path / "dose.nii")
    image = dose.to_nibabel()
    np.testing.assert_array_equal(written.get_fdata(), image.get_fdata())
    np.testing.assert_allclose(written.affine, image.affine, atol=1e-4)  # stored in single precision


def test_a_labelled_array_has_coordinates_in_the_patient_where_the_axes_are_the_patients():
    grid = Grid.from_axes(SHAPE, (4.0, 2.5, 1.5), (-31.0, 17.0, 203.0))
    array = CtImage(VALUES, grid).to_xarray()
    assert array.dims == ("z", "y", "x")
    assert array.attrs["units"] == "HU"
    k, j, i = 2, 1, 4
    x, y, z = grid.points_lps_mm((k, j, i))
    assert float(array.sel(z=z, y=y, x=x)) == VALUES[k, j, i]


def test_an_oblique_labelled_array_has_its_affine_and_no_coordinates(dose):
    array = dose.to_xarray()
    assert array.dims == ("k", "j", "i")
    assert not array.coords
    np.testing.assert_array_equal(array.attrs["affine_lps_mm"], OBLIQUE.affine_lps_mm)


def test_a_curve_as_a_table_is_exact_or_in_steps():
    dvh = Dvh.from_voxels([100, 200, 300, 400], [1, 1, 1, 0.5])
    table = dvh.to_dataframe()
    assert list(table["dose_gy"]) == [400, 300, 200, 100]
    assert list(table["volume_ml"]) == [0.5, 1.5, 2.5, 3.5]
    assert table["volume_fraction"].iloc[-1] == 1
    steps = dvh.to_dataframe(step_gy=150.0)
    assert list(steps["dose_gy"][:3]) == [0, 150, 300]
    assert list(steps["volume_ml"][:3]) == [3.5, 2.5, 1.5]


@pytest.mark.parametrize(("extra", "ask"), [("pandas", Dvh.to_dataframe), ("xarray", DoseMap.to_xarray)])
def test_a_library_that_is_not_installed_is_named_with_its_extra(monkeypatch, extra, ask, dose):
    monkeypatch.setitem(sys.modules, extra, None)
    with pytest.raises(VoxeldoseError, match=rf"voxeldose\[{extra}\]") as refusal:
        ask(Dvh.from_voxels([1], [1]) if extra == "pandas" else dose)
    assert refusal.value.code == "extra-missing"
    assert refusal.value.fields == {"extra": extra}
