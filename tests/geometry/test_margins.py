"""Isocontours and margins, against closed forms."""

import numpy as np
import pytest

from voxeldose.errors import QuantityError
from voxeldose.geometry.contours import from_contours
from voxeldose.geometry.isocontours import isocontour
from voxeldose.geometry.margins import with_margin
from voxeldose.model.grid import Grid
from voxeldose.model.roi import Roi
from voxeldose.model.volume import ActivityMap


def ball(radius, spacing, centre=(3.3, -4.1, 7.7), parts=1):
    """A sphere; with ``parts`` 1 as a label map, else with exact border voxels."""
    n = [int(2 * radius / s) + 6 for s in spacing]
    first = np.array(centre) - np.array([spacing[a] * (n[a] - 1) / 2 for a in (2, 1, 0)]) + 0.2
    grid = Grid.from_axes(n, spacing, first)
    inside = (np.arange(parts) + 0.5) / parts - 0.5
    index = np.stack(np.meshgrid(*[(np.arange(k)[:, None] + inside).ravel() for k in n], indexing="ij"), -1)
    full = np.linalg.norm(grid.points_lps_mm(index) - centre, axis=-1) <= radius
    occupancy = full.reshape(n[0], parts, n[1], parts, n[2], parts).mean(axis=(1, 3, 5))
    return Roi("ball", "tumor", occupancy, grid)


def radius_of(roi):
    return (roi.volume_ml * 1000 * 3 / 4 / np.pi) ** (1 / 3)


@pytest.mark.parametrize("margin", [-5.0, -2.0, 0.01, 3.0, 10.0])
@pytest.mark.parametrize("spacing", [(2, 2, 2), (3, 1, 1)])
@pytest.mark.parametrize("parts", [1, 5])
def test_a_margin_changes_the_radius_of_a_sphere_by_itself(margin, spacing, parts):
    roi = ball(15, spacing, parts=parts)
    grown = with_margin(roi, margin)
    # a tenth of a voxel's longest side where the surface is known in part of a voxel, a label map's steps cost more
    assert radius_of(grown) - radius_of(roi) == pytest.approx(margin, abs=0.1 if parts > 1 else 0.25)


def test_a_margin_of_a_box_follows_steiner():
    grid = Grid.from_axes((20, 30, 40), (1, 1, 1), (0, 0, 0))
    box, m = Roi("box", "other", np.ones(grid.shape), grid), 6.0
    a, b, c = 20, 30, 40
    wanted = a * b * c + 2 * m * (a * b + b * c + c * a) + np.pi * m**2 * (a + b + c) + 4 / 3 * np.pi * m**3
    # edges are rounded by about a voxel, which takes 0.43 mm of surface off each mm of the 360 mm of edges: 1.4 %
    assert with_margin(box, m).volume_ml * 1000 == pytest.approx(wanted, rel=0.02)
    assert with_margin(box, -m).volume_ml * 1000 == pytest.approx(8 * 18 * 28, rel=0.03)


def test_a_margin_of_contours_on_thin_pixels_and_thick_slices_is_the_same_in_all_directions():
    t = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    heights = np.arange(-19.5, 20, 3.0)
    loops = [
        np.stack([r * np.cos(t), r * np.sin(t), np.full(200, z)], -1)
        for z in heights
        if (r := np.sqrt(max(400 - z**2, 0.01)))
    ]
    occupancy, grid, _ = from_contours(loops)
    roi = Roi("ball", "tumor", occupancy, grid)
    assert radius_of(with_margin(roi, 5)) - radius_of(roi) == pytest.approx(5, abs=0.15)


def test_nothing_left_after_shrinking_is_refused():
    with pytest.raises(QuantityError, match="nothing is left of ROI 'ball'"):
        with_margin(ball(5, (2, 2, 2)), -9)


def cone(grid, centre, slope=1e4, top=1e6):
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1)
    distance = np.linalg.norm(grid.points_lps_mm(index) - centre, axis=-1)
    return ActivityMap(np.clip(top - slope * distance, 0, None), grid)


def test_the_isocontour_of_a_cone_encloses_a_sphere():
    grid = Grid.from_axes((40, 45, 50), (2.5, 2, 2), (0, 0, 0))
    image = cone(grid, (50.3, 44.1, 49.2), slope=2e4)
    found = isocontour(image, 0.6e6)  # radius 20 mm
    assert ((found > 0) & (found < 1)).any()
    volume = found.sum(dtype=float) * grid.voxel_volume_ml
    # linear interpolation of the cone lies below it by up to h² / (8 r) an axis: 0.04 mm of 20
    assert volume == pytest.approx(4 / 3 * np.pi * 8, rel=0.01)
