from datetime import UTC, datetime

import numpy as np
import pytest
from remarks import refusal

from voxeldose.errors import GeometryError, QuantityError
from voxeldose.model.grid import Grid
from voxeldose.model.volume import ActivityMap, CountMap, CtImage, DoseMap, Volume

GRID = Grid.from_axes((3, 4, 5), (3, 2, 1), (0, 0, 0))


def test_values_are_float32_copied_and_read_only():
    mine = np.ones((3, 4, 5))
    volume = CtImage(mine, GRID)
    mine[:] = 7
    assert volume.hu.dtype == np.float32
    assert volume.hu.max() == 1
    with pytest.raises(ValueError, match="read-only"):
        volume.hu[0, 0, 0] = 3


def test_another_shape_than_the_grid_is_refused():
    with pytest.raises(GeometryError, match=r"\(5, 4, 3\).*\(3, 4, 5\)"):
        DoseMap(np.zeros((5, 4, 3)), GRID)


@pytest.mark.parametrize("kind", [ActivityMap, CountMap])
def test_an_instant_without_zone_is_refused(kind):
    with pytest.raises(QuantityError, check=refusal("zone-missing")):
        kind(np.zeros((3, 4, 5)), GRID, at=datetime(2024, 5, 2, 10))  # noqa: DTZ001


def test_a_voxel_that_is_no_number_is_refused_with_its_place():
    values = np.zeros((3, 4, 5))
    values[1, 2, 3] = np.nan
    with pytest.raises(QuantityError, match=r"1 voxels.*\(1, 2, 3\)"):
        ActivityMap(values, GRID).require_finite()


def test_total_activity_counts_the_voxel_volume():
    image = ActivityMap(np.full((3, 4, 5), 1e6), GRID, at=datetime(2024, 1, 1, tzinfo=UTC))
    assert image.total_mbq() == pytest.approx(60 * 0.006)


def test_sampling_is_linear_in_world_coordinates_and_ends_at_voxel_edges():
    index = np.stack(np.meshgrid(*[np.arange(n) for n in GRID.shape], indexing="ij"), -1)
    x, y, z = np.moveaxis(GRID.points_lps_mm(index), -1, 0)
    volume = Volume(1 + x + 2 * y + 3 * z, GRID)
    np.testing.assert_allclose(volume.sampled_at([(1.5, 2.5, 4.0), (4.4, 0, 0)])[0], 1 + 1.5 + 5 + 12, rtol=1e-6)
    assert volume.sampled_at([(4.6, 0, 0)], outside=-1000.0)[0] == -1000
