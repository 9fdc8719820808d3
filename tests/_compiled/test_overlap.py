"""The volume that turned voxels share, against the intersection of half-spaces by Qhull."""

import numpy as np
import pytest
from scipy.spatial import ConvexHull, HalfspaceIntersection
from scipy.spatial.transform import Rotation

from voxeldose._compiled.overlap import gather


def shared(matrix, centre, cell):
    """Volume and centroid of a new voxel's part in a unit cell, from the half-spaces of both."""
    back = np.linalg.inv(matrix)
    planes = [np.append(s * row, -s * (row @ centre) - 0.5) for row in back for s in (1, -1)]
    planes += [np.append(s * axis, -s * cell[n] - 0.5) for n, axis in enumerate(np.eye(3)) for s in (1, -1)]
    planes = np.array(planes)
    inside = centre + (np.random.default_rng(4).random((20000, 3)) - 0.5) @ matrix.T
    room = -(inside @ planes[:, :3].T + planes[:, 3]).max(axis=1)
    if room.max() < 1e-3:
        return None
    hull = ConvexHull(HalfspaceIntersection(planes, inside[room.argmax()]).intersections)
    return hull.volume


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("size", [(1, 1, 1), (2.1, 0.7, 1.4), (0.4, 0.6, 0.3)])
@pytest.mark.parametrize("angles", [(20, -33, 11), (1.5, -0.7, 0.4)])
def test_shared_volumes_are_those_of_the_intersected_half_spaces(angles, size, mirrored):
    matrix = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * np.array(size)
    if mirrored:
        matrix[:, 1] *= -1
    centre = np.array([2.13, 2.9, 3.41])
    checked = 0
    for cell in np.ndindex(5, 6, 7):
        wanted = shared(matrix, centre, np.array(cell, float))
        if wanted is None:
            continue
        values = np.zeros((5, 6, 7), np.float32)
        values[cell] = 1
        mean, moments = np.zeros((1, 1, 1)), np.zeros((3, 1, 1, 1))
        gather(values, matrix, centre, mean, moments)
        assert mean[0, 0, 0] * abs(np.linalg.det(matrix)) == pytest.approx(wanted, rel=1e-7)
        checked += 1
    assert checked >= 2


def test_totals_and_first_moments_are_kept():
    values = np.random.default_rng(1).random((5, 6, 7)).astype(np.float32)
    matrix = Rotation.from_euler("xyz", (20, -33, 11), degrees=True).as_matrix() * [1.2, 0.7, 0.9]
    shape = (20, 26, 22)
    offset = np.array([2, 2.5, 3]) - matrix @ ((np.array(shape) - 1) / 2)
    mean, moments = np.zeros(shape), np.zeros((3, *shape))
    gather(values, matrix, offset, mean, moments)
    volume = abs(np.linalg.det(matrix))
    assert mean.sum() * volume == pytest.approx(values.sum(dtype=float), rel=1e-12)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), -1)
    place = (index @ matrix.T + offset) * mean[..., None] + np.moveaxis(moments, 0, -1) @ matrix.T
    old = np.stack(np.meshgrid(*[np.arange(n) for n in values.shape], indexing="ij"), -1)
    wanted = (old * values[..., None]).sum(axis=(0, 1, 2), dtype=float)
    np.testing.assert_allclose(place.sum(axis=(0, 1, 2)) * volume, wanted, rtol=1e-12)


def test_a_constant_stays_constant_inside_and_nothing_lies_outside():
    values = np.full((9, 9, 9), 3.5, np.float32)
    matrix = Rotation.from_euler("xyz", (10, 20, 30), degrees=True).as_matrix()
    mean, moments = np.zeros((3, 3, 3)), np.zeros((3, 3, 3, 3))
    gather(values, matrix, np.array([4.0, 4, 4]) - matrix @ np.ones(3), mean, moments)
    np.testing.assert_array_equal(mean, 3.5)
    gather(values, matrix, np.array([40.0, 4, 4]), mean, moments)
    np.testing.assert_array_equal(mean, 0)
