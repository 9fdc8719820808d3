"""Polygons with holes as one contour: the same area, and channels that meet nothing."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import voxeldose as vd
from voxeldose.geometry import keyholes
from voxeldose.geometry.contours import contours_of, from_contours, has_holes, outlines_of
from voxeldose.geometry.keyholes import Polygon, keyholed

TURN = np.linalg.qr(np.array([[1.0, 0.3, 0.1], [-0.2, 1, 0.25], [0.05, -0.4, 1]]))[0]


def square(low, high, *, hole=False):
    ring = np.array([(low, low), (high, low), (high, high), (low, high)], float)
    return ring[::-1] if hole else ring


def area(ring):
    """Signed, by triangles from the origin: what a reader without any rule adds up."""
    following = np.roll(ring, -1, axis=0)
    return 0.5 * float((ring[:, 0] * following[:, 1] - ring[:, 1] * following[:, 0]).sum())


def crossings(ring):
    """How many pairs of edges cross in a point that is no vertex of either."""
    start, end = ring, np.roll(ring, -1, axis=0)
    found = 0
    for a, b in zip(start, end, strict=True):
        over = keyholes._turn(a, b, start) * keyholes._turn(a, b, end)
        under = keyholes._turn(start, end, a) * keyholes._turn(start, end, b)
        found += int(((over < -1e-9) & (under < -1e-9)).sum())
    return found


def masks(seed, shape=(3, 30, 37)):
    """A region of separate voxels, one of rounded pieces, and one of voxels filled in part: holes and islands in all."""
    random = np.random.default_rng(seed)
    yield (random.random(shape) < 0.6).astype(np.float32)
    yield (gaussian_filter(random.random(shape), (0, 2, 2)) > 0.49).astype(np.float32)
    yield np.clip(gaussian_filter(random.random(shape), (0, 1, 1)) * 4 - 1.5, 0, 1).astype(np.float32)


def region(occupancy, turn=None, spacing=(3.0, 2.0, 1.3)):
    axes = turn if turn is not None else np.eye(3)[:, ::-1]
    return vd.Roi("r", "other", occupancy, vd.Grid.from_axes(occupancy.shape, spacing, (7, -11, 20), directions=axes))


def flat_areas(loops, normal):
    """Signed areas of contours in one direction of view, by plane."""
    crosses = [0.5 * np.cross(c, np.roll(c, -1, axis=0)).sum(axis=0) @ normal for c in loops]
    heights = np.round([float((c @ normal).mean()) for c in loops], 3)
    return {h: sum(a for a, other in zip(crosses, heights, strict=True) if other == h) for h in set(heights)}


def test_a_polygon_without_holes_is_its_outline():
    np.testing.assert_array_equal(keyholed(Polygon(square(0, 9))), square(0, 9))


def test_one_hole_is_joined_by_the_shortest_channel_which_is_passed_twice():
    ring = keyholed(Polygon(square(0, 9), (square(1, 3, hole=True),)))
    assert area(ring) == pytest.approx(81 - 4)
    assert len(ring) == 4 + 4 + 2
    edges = [sorted(map(tuple, e)) for e in keyholes._edges(ring).tolist()]
    assert edges.count([(0.0, 0.0), (1.0, 1.0)]) == 2


def test_a_hole_behind_another_is_joined_through_it_and_no_channel_crosses_an_outline():
    holes = tuple(square(2 * n + 1, 2 * n + 2, hole=True) for n in range(6))
    ring = keyholed(Polygon(square(0, 30), holes))
    assert area(ring) == pytest.approx(900 - 6)
    assert crossings(ring) == 0
    lengths = np.linalg.norm(ring - np.roll(ring, -1, axis=0), axis=1)
    assert (np.isclose(lengths, np.sqrt(2))).sum() == 12  # six channels of one diagonal, each passed twice


def test_a_channel_that_a_long_edge_would_cut_is_led_round_it():
    wall = np.array([(4.0, -20), (4, 20), (5, 20), (5, -20)])  # its vertices are far from where it stands between
    target = np.array([(6.0, 0), (6, 1), (7, 1), (7, 0)])
    outer = np.array([(3.0, 0.5), (-30, -30), (60, -30), (60, 30), (-30, 30)])
    assert area(wall) < 0
    assert area(target) < 0
    assert area(outer) > 0
    blocked = keyholes._OpenHoles((wall, target), outer).shortest()
    assert (blocked.start.tolist(), blocked.hole) == ([3.0, 0.5], 1)
    assert keyholes._crosses(blocked.start, target[blocked.vertex], keyholes._edges(wall))
    ring = keyholed(Polygon(outer, (wall, target)))
    assert crossings(ring) == 0
    assert area(ring) == pytest.approx(area(outer) + area(wall) + area(target))


def test_a_hole_that_touches_the_outline_is_joined_where_they_touch():
    hole = np.array([(0.0, 4), (2, 6), (2, 2)])
    outer = np.array([(0.0, 0), (9, 0), (9, 9), (0, 9), (0, 4)])
    ring = keyholed(Polygon(outer, (hole,)))
    assert area(ring) == pytest.approx(81 - 4)
    assert len(ring) == len(outer) + len(hole)


@pytest.mark.parametrize("seed", range(3))
def test_keyholes_of_any_region_enclose_what_its_outlines_do_by_the_even_odd_rule(seed):
    for occupancy in masks(seed):
        for turn in (None, TURN):
            roi = region(occupancy, turn)
            assert has_holes(roi)
            normal = roi.grid.directions[:, 0]
            ours, apart = flat_areas(contours_of(roi), normal), flat_areas(outlines_of(roi), normal)
            assert ours == pytest.approx(apart, rel=1e-9)
            assert len(contours_of(roi)) < len(outlines_of(roi))


@pytest.mark.parametrize("seed", range(2))
def test_no_channel_of_any_region_crosses_an_outline_or_another_channel(seed):
    for occupancy in masks(seed, (1, 30, 37)):
        roi = region(occupancy)
        for ring in contours_of(roi):
            assert crossings(roi.grid.indices(ring)[:, :0:-1]) == 0


@pytest.mark.parametrize("seed", range(2))
def test_keyholes_are_read_back_with_the_volume_of_the_outlines(seed):
    for occupancy in masks(seed):
        for turn in (None, TURN):
            roi = region(occupancy, turn)
            volumes = []
            for loops in (contours_of(roi), outlines_of(roi)):
                found = from_contours(loops, pixel_mm=0.5)
                volumes.append(found.occupancy.sum(dtype=float) * found.grid.voxel_volume_ml)
            # exact along rows and taken at eight lines per pixel across: a channel along a row may cost one line
            assert volumes[0] == pytest.approx(volumes[1], rel=2e-4)


def test_a_region_without_a_voxel_filled_by_half_has_no_contour():
    roi = region(np.full((2, 5, 6), 0.5, np.float32))
    assert contours_of(roi) == outlines_of(roi) == []
    assert not has_holes(roi)
