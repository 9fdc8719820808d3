"""Finding a rigid motion: known motions of a phantom and of a real CT are recovered, the same every time."""

import numpy as np
import pytest
from remarks import refusal
from scipy.spatial.transform import Rotation

from voxeldose.errors import GeometryError, QuantityError
from voxeldose.geometry.register import RigidFound, find_rigid, similarity
from voxeldose.model.grid import Grid
from voxeldose.model.rigid import Registration
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.volume import CountMap, CtImage


def motion(angles, shift, centre):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    matrix[:3, 3] = np.array(shift) + centre - matrix[:3, :3] @ centre
    return matrix


def misfit(found, true, grid):
    """Largest distance between the two motions at the corners of an image in mm, and the angle between them in degrees."""
    corners = np.c_[grid.corners(), np.ones(8)]
    apart = np.linalg.norm((corners @ (found - true).T)[:, :3], axis=1).max()
    return apart, np.degrees(Rotation.from_matrix(found[:3, :3] @ true[:3, :3].T).magnitude())


def body(points):
    """Hounsfield units of an uneven body: an ellipse of soft tissue with lungs, spine and a liver."""
    x, y, z = np.moveaxis(points, -1, 0)
    hu = np.full(x.shape, -1000.0)
    hu[(x / 150) ** 2 + (y / 95) ** 2 < 1] = 20
    for side in (-1, 1):
        hu[((x - side * 70) / 50) ** 2 + (y / 65) ** 2 + ((z - 70) / 75) ** 2 < 1] = -800
    hu[(x / 16) ** 2 + ((y - 70) / 16) ** 2 < 1] = 500
    hu[((x + 60) / 70) ** 2 + ((y + 5) / 60) ** 2 + ((z + 45) / 45) ** 2 < 1] = 110
    hu[((x - 75) / 30) ** 2 + ((y - 30) / 25) ** 2 + ((z + 60) / 30) ** 2 < 1] = 160
    return hu


def on(grid, matrix=None):
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1)
    points = grid.points_lps_mm(index)
    if matrix is not None:
        points = points @ matrix[:3, :3].T + matrix[:3, 3]
    return body(points)


FIXED = Grid.from_axes((44, 60, 80), (5, 4, 4), (-160, -120, -110))
MOVING = Grid.from_axes((62, 84, 84), (4, 4, 4), (-166, -160, -124))


def test_a_known_motion_of_a_phantom_is_found_to_half_a_millimetre_and_half_a_degree():
    true = motion((5, -3, 7), (12, -9, 15), np.zeros(3))
    moving, fixed = CtImage(on(MOVING, true), MOVING), CtImage(on(FIXED), FIXED)
    found = find_rigid(moving, fixed)
    apart, angle = misfit(found.matrix_lps_mm, true, FIXED)
    assert apart < 0.5
    assert angle < 0.5
    assert found.metric["after"] > found.metric["before"]


def test_what_was_found_moves_images_and_regions_alike_and_goes_into_a_case():
    far = Grid(MOVING.shape, MOVING.affine_lps_mm, "1.2")
    shift = np.eye(4)
    shift[:3, 3] = 4.0, -6.0, 8.0
    found = RigidFound(shift, Registration(shift, "test", "activity", "ct", far.corners().mean(axis=0), ("1.2", "1.3")))
    image = CountMap(np.ones(far.shape), far)
    mask = np.zeros(far.shape)
    mask[3:5, 6:9, 2:7] = 1
    rois = RoiSet((Roi("liver", "liver", mask, far),), far)
    moved, regions = found.move(image), found.move_regions(rois)
    np.testing.assert_array_equal(moved.values, image.values)
    for before, after in ((far, moved.grid), (rois["liver"].grid, regions["liver"].grid)):
        np.testing.assert_allclose(after.corners(), before.corners() + np.array([4.0, -6.0, 8.0]), atol=1e-9)
        assert after.frame_uid == "1.3"
    assert regions.grid is not None
    assert regions.grid.matches(moved.grid)


@pytest.mark.slow
def test_the_same_images_give_the_same_motion_to_the_last_bit():
    true = motion((0, 0, 0), (3, -2, 4), np.zeros(3))
    moving, fixed = CtImage(on(MOVING, true), MOVING), CtImage(on(FIXED), FIXED)
    found, again = find_rigid(moving, fixed), find_rigid(moving, fixed)
    np.testing.assert_array_equal(again.matrix_lps_mm, found.matrix_lps_mm)
    assert again.metric == found.metric
    assert misfit(found.matrix_lps_mm, true, FIXED)[0] < 0.5


@pytest.mark.slow
def test_uptake_in_organs_is_registered_to_the_ct_without_a_common_scale():
    true = motion((3, -2, 4), (8, -6, 5), np.zeros(3))
    hu = on(MOVING, true)
    rng = np.random.default_rng(3)
    uptake = np.select([hu == 110, hu == 160, hu > -100], [100.0, 250.0, 12.0], 2.0)
    spect = CountMap(rng.poisson(uptake).astype(np.float32), MOVING)
    found = find_rigid(spect, CtImage(on(FIXED), FIXED))
    apart, angle = misfit(found.matrix_lps_mm, true, FIXED)
    # counting noise and 4 mm voxels: a quarter of a voxel in the middle, one at the far corners
    assert apart < 2.0
    assert angle < 0.5


@pytest.mark.data
@pytest.mark.slow
def test_a_known_motion_of_a_real_ct_is_found_to_half_a_millimetre_and_half_a_degree(data_folder):
    import voxeldose as vd

    ct = vd.read_ct(data_folder / "sts001_ge_petct" / "cropped_ct" / "dicom")
    true = motion((2, -3, 4), (6, -8, 5), ct.grid.corners().mean(axis=0))
    placed = CtImage(ct.hu, ct.grid.moved(np.linalg.inv(true), None))
    grid = Grid.from_axes((60, 150, 150), (3.0, 1.3, 1.3), placed.grid.corners().mean(axis=0) - [97, 97, 88])
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1)
    moving = CtImage(placed.sampled_at(grid.points_lps_mm(index), outside=-1000), grid)
    apart, angle = misfit(find_rigid(moving, ct).matrix_lps_mm, true, placed.grid)
    assert apart < 0.5
    assert angle < 0.5


def test_images_without_contrast_or_overlap_have_no_similarity():
    flat = CtImage(np.zeros(FIXED.shape), FIXED)
    with pytest.raises(QuantityError, check=refusal("image-uniform")):
        find_rigid(flat, flat)
    fixed = CtImage(on(FIXED), FIXED)
    away = np.eye(4)
    away[:3, 3] = 5000
    assert similarity(fixed, fixed, away) is None


def noise(shape, seed):
    grid = Grid.from_axes(shape, (4, 4, 4), (0, 0, 0))
    return CtImage(np.random.default_rng(seed).normal(0, 100, shape), grid)


@pytest.mark.parametrize(
    ("shape", "words"),
    [((3, 20, 20), "minimum of four pixels"), ((4, 4, 4), "did not make the images more alike")],
)
def test_a_registration_that_cannot_succeed_is_refused_with_the_way_out(shape, words):
    with pytest.raises(GeometryError, match=words, check=refusal("registration-failed")) as caught:
        find_rigid(noise(shape, 2), noise((20, 20, 20), 0))
    assert "[registration] path" in str(caught.value)
    assert "0x" not in str(caught.value)
