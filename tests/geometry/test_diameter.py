"""The longest axial diameter by closed forms."""

import numpy as np
import pytest

from voxeldose.geometry.contours import axial_diameter_mm
from voxeldose.model.grid import Grid
from voxeldose.model.roi import Roi


@pytest.mark.parametrize("spacing", [(2.0, 1.0, 1.0), (3.0, 2.0, 1.5)])
def test_the_longest_axial_diameter_of_a_sphere_is_its_diameter(spacing):
    grid = Grid.from_axes((24, 48, 64), spacing, (0, 0, 0))
    middle = np.array([12, 24, 32]) * spacing
    k, j, i = (np.arange(n) * s for n, s in zip(grid.shape, spacing, strict=True))
    away = np.sqrt(
        (k[:, None, None] - middle[0]) ** 2 + (j[None, :, None] - middle[1]) ** 2 + (i[None, None, :] - middle[2]) ** 2
    )
    ball = Roi("t", "tumor", (away <= 15).astype(np.float32), grid)
    assert axial_diameter_mm(ball) == pytest.approx(30, abs=max(spacing[1:]))


def test_the_longest_axial_diameter_is_the_diagonal_in_one_slice_and_spans_pieces():
    grid = Grid.from_axes((4, 20, 30), (5.0, 2.0, 1.0), (0, 0, 0))
    occupancy = np.zeros(grid.shape, np.float32)
    occupancy[1, 4:10, 5:15] = 1
    # the outline runs half a voxel outside the outermost centres and cuts the corner: 9 mm between columns, 12 mm of rows
    assert axial_diameter_mm(Roi("t", "tumor", occupancy, grid)) == pytest.approx(np.hypot(12, 9))
    occupancy[1, 18, 25] = 1
    assert axial_diameter_mm(Roi("t", "tumor", occupancy, grid)) == pytest.approx(np.hypot(30, 20))
    other = occupancy.copy()
    other[3] = other[1]
    other[1, 18, 25] = other[3, 4:10, 5:15] = 0  # another slice: no chord between slices
    assert axial_diameter_mm(Roi("t", "tumor", other, grid)) == pytest.approx(np.hypot(12, 9))


def test_a_region_without_a_half_occupied_voxel_has_no_diameter():
    grid = Grid.from_axes((2, 3, 3), (1, 1, 1), (0, 0, 0))
    assert axial_diameter_mm(Roi("t", "tumor", np.full(grid.shape, 0.3, np.float32), grid)) is None
