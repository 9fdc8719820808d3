import itertools

import numpy as np
import pytest
from remarks import refusal

from voxeldose.errors import GeometryError
from voxeldose.model.grid import Grid, bounding_box, towards_lps


def rotation(degrees: float, axis: int) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.eye(3)
    a, b = [n for n in range(3) if n != axis]
    turn[a, a] = turn[b, b] = c
    turn[a, b], turn[b, a] = -s, s
    return turn


AXIAL = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], float)


def oblique(shape=(5, 6, 7), spacing=(3.0, 2.0, 1.5), frame_uid=None) -> Grid:
    turn = rotation(20, 2) @ rotation(-15, 0)
    return Grid.from_axes(shape, spacing, (10, -20, 30), directions=turn @ AXIAL, frame_uid=frame_uid)


def test_integer_index_is_a_voxel_centre_and_axes_are_k_j_i():
    grid = Grid.from_axes((4, 5, 6), (3, 2, 1), (10, 20, 30))
    np.testing.assert_allclose(grid.points_lps_mm((1, 2, 3)), (13, 24, 33))


def test_indices_undo_points_on_an_oblique_grid():
    grid = oblique()
    index = np.array([[0, 0, 0], [4, 5, 6], [1.5, -0.5, 3.25]])
    np.testing.assert_allclose(grid.indices(grid.points_lps_mm(index)), index, atol=1e-12)


def test_spacing_and_volume_of_an_oblique_grid_are_those_it_was_made_with():
    grid = oblique()
    np.testing.assert_allclose(grid.spacing_mm, (3, 2, 1.5))
    assert grid.voxel_volume_ml == pytest.approx(0.009)
    assert grid.is_right_angled


def test_voxel_volume_of_a_sheared_grid_is_the_determinant():
    affine = oblique().affine_lps_mm.copy()
    affine[:3, 0] += 0.5 * affine[:3, 2]
    sheared = Grid((5, 6, 7), affine)
    assert sheared.voxel_volume_ml == pytest.approx(0.009)
    assert not sheared.is_right_angled


def test_new_spacing_keeps_the_corner_and_covers_the_region():
    grid = oblique()
    finer = grid.with_spacing((1.0, 1.0, 1.0))
    assert finer.shape == (15, 12, 11)
    np.testing.assert_allclose(finer.corners()[0], grid.corners()[0], atol=1e-9)


def test_grids_in_two_frames_do_not_match():
    assert not oblique(frame_uid="1.2").matches(oblique(frame_uid="1.3"))
    assert oblique(frame_uid="1.2").matches(oblique(frame_uid=None))


def test_grids_a_hundredth_of_a_millimetre_apart_do_not_match():
    affine = oblique().affine_lps_mm.copy()
    affine[0, 3] += 0.01
    assert not oblique().matches(Grid((5, 6, 7), affine))


def test_two_frames_are_refused_with_both_named():
    with pytest.raises(GeometryError, match=r"1\.2.*1\.3.*[Rr]egister"):
        oblique(frame_uid="1.2").require_same_frame(oblique(frame_uid="1.3"), "CT and PET")


@pytest.mark.parametrize("shape", [(0, 1, 1), (2, 3), (-1, 2, 2)])
def test_a_grid_without_three_axes_is_refused(shape):
    with pytest.raises(GeometryError, check=refusal("grid-impossible")):
        Grid(shape, np.eye(4))


@pytest.mark.parametrize("affine", [np.zeros((4, 4)), np.diag([1, 1, 0, 1]), np.full((4, 4), np.nan), np.eye(3)])
def test_a_degenerate_affine_is_refused(affine):
    with pytest.raises(GeometryError):
        Grid((2, 2, 2), affine)


def test_a_window_lies_where_its_first_voxel_was():
    grid = oblique()
    part = grid.window((1, 2, 3), (2, 2, 2))
    np.testing.assert_allclose(part.points_lps_mm((0, 0, 0)), grid.points_lps_mm((1, 2, 3)))
    assert grid.slices_of(part) == (slice(1, 3), slice(2, 4), slice(3, 5))


def test_a_window_that_sticks_out_or_lies_between_voxels_has_no_slices():
    grid = oblique()
    with pytest.raises(GeometryError, match="not a window"):
        grid.slices_of(grid.window((-1, 0, 0), (2, 2, 2)))
    with pytest.raises(GeometryError, match="not a window"):
        grid.slices_of(grid.with_spacing(1.0))


def test_cut_fills_what_lies_outside_with_zero():
    grid = oblique()
    values = np.arange(5 * 6 * 7, dtype=np.float32).reshape(grid.shape) + 1
    cut = grid.cut(values, grid.window((-1, 4, 5), (3, 4, 4)))
    assert cut[0].max() == 0
    np.testing.assert_array_equal(cut[1:, :2, :2], values[:2, 4:, 5:])
    assert cut[:, 2:].max() == cut[..., 2:].max() == 0


def test_cut_of_a_window_far_outside_is_all_zero():
    grid = oblique()
    assert grid.cut(np.ones(grid.shape, np.float32), grid.window((50, 0, 0), (2, 2, 2))).max() == 0


def test_extended_grid_holds_the_points_and_keeps_the_lattice():
    grid = oblique()
    points = grid.points_lps_mm([(-3.2, 0, 0), (2, 9.4, 6.49)])
    wide = grid.extended_to(points)
    inside = wide.indices(points)
    assert (inside > -0.5).all()
    assert (inside < np.array(wide.shape) - 0.5).all()
    assert wide.slices_of(grid) == (slice(3, 8), slice(0, 6), slice(0, 7))
    assert wide.shape == (8, 10, 7)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", list(itertools.product((1, -1), repeat=3)))
def test_turning_towards_lps_keeps_every_voxel_in_its_place(order, flips):
    start = oblique()
    values = np.arange(5 * 6 * 7).reshape(start.shape)
    turned = values.transpose(order)[tuple(slice(None, None, f) for f in flips)]
    affine = start.affine_lps_mm.copy()
    affine[:3, :3] = start.affine_lps_mm[:3, list(order)] * flips
    ends = [(n - 1) if f < 0 else 0 for n, f in zip(turned.shape, flips, strict=True)]
    affine[:3, 3] -= affine[:3, :3] @ ends
    back, grid = towards_lps(turned, Grid(turned.shape, affine))
    assert grid.matches(start)
    np.testing.assert_array_equal(back, values)
    assert back.flags.c_contiguous


def test_turned_axes_point_to_head_back_and_left():
    _, grid = towards_lps(np.zeros((5, 6, 7)), Grid((5, 6, 7), oblique().affine_lps_mm[:, [2, 0, 1, 3]]))
    assert grid.directions[2, 0] > 0.9
    assert grid.directions[1, 1] > 0.9
    assert grid.directions[0, 2] > 0.9


def test_a_bounding_box_holds_every_true_element_and_no_more():
    mask = np.zeros((6, 7, 8), bool)
    mask[2, 3, 4] = mask[4, 1, 7] = True
    assert bounding_box(mask) == np.s_[2:5, 1:4, 4:8]
    assert bounding_box(mask[2]) == np.s_[3:4, 4:5]
    assert bounding_box(np.zeros((6, 7, 8), bool)) is None
