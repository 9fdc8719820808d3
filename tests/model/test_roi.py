import numpy as np
import pytest
from remarks import refusal

from voxeldose.errors import GeometryError, QuantityError
from voxeldose.geometry.contours import from_contours
from voxeldose.model.grid import Grid
from voxeldose.model.roi import Roi, RoiSet, union
from voxeldose.model.roles import RoiCode, role_from_codes, role_from_name

GRID = Grid.from_axes((6, 7, 8), (3, 2, 1), (0, 0, 0))


def block(name="a", role="tumor", value=1.0, where=(slice(2, 4), slice(1, 5), slice(3, 6))):
    occupancy = np.zeros(GRID.shape)
    occupancy[where] = value
    return Roi(name, role, occupancy, GRID)


def test_a_region_is_cropped_to_where_it_is_and_keeps_its_volume():
    roi = block(value=0.5)
    assert roi.occupancy.shape == (2, 4, 3)
    assert roi.volume_ml == pytest.approx(24 * 0.5 * 0.006)
    np.testing.assert_allclose(roi.grid.points_lps_mm((0, 0, 0)), GRID.points_lps_mm((2, 1, 3)))


def test_a_region_cut_back_out_of_its_crop_is_what_it_was():
    occupancy = np.zeros(GRID.shape, np.float32)
    occupancy[2:4, 1:5, 3:6] = 1
    np.testing.assert_array_equal(block().on_window(GRID), occupancy)


@pytest.mark.parametrize(
    ("change", "code", "error"),
    [
        ({"role": "tumour"}, "role-unknown", "unknown role 'tumour'; roles are tumor, liver"),
        ({"value": 0.0}, "roi-empty", "empty"),
        ({"value": 1.5}, "value-out-of-range", "between 0 and 1"),
        ({"value": -0.5}, "roi-empty", "Check its label"),
        ({"value": np.nan}, "roi-empty", "Check its label"),
    ],
)
def test_an_impossible_region_is_refused(change, code, error):
    with pytest.raises(QuantityError, match=error, check=refusal(code)):
        block(**change)


def test_occupancy_of_another_shape_is_refused():
    with pytest.raises(GeometryError, check=refusal("grid-differs")):
        Roi("a", "tumor", np.ones((2, 2, 2)), GRID)


def test_two_regions_of_one_name_are_refused():
    with pytest.raises(QuantityError, match="same name: a", check=refusal("name-twice")):
        RoiSet((block(), block()))


OTHER = Grid.from_axes((6, 7, 8), (3, 2, 1.5), (0, 0, 0))


@pytest.mark.parametrize(
    ("grids", "kept"),
    [
        ((GRID, Grid.from_axes((6, 7, 8), (3, 2, 1), (0, 0, 0))), True),
        ((GRID, OTHER), False),
        ((GRID, None), False),
        ((None, GRID), False),
        ((None, None), False),
        ((Grid.from_axes((6, 7, 8), (3, 2, 1), (0, 0, 0), frame_uid="1.2"), GRID), True),
    ],
)
def test_a_sum_of_sets_has_a_grid_only_if_both_have_the_same(grids, kept):
    one, two = (RoiSet((block(name),), grid) for name, grid in zip("ab", grids, strict=True))
    both = one + two
    assert both.names() == ["a", "b"]
    assert (both.grid is not None) == kept
    assert not kept or both.grid.matches(GRID)


def test_grids_in_two_frames_of_reference_are_not_the_same_grid_of_a_sum():
    one, two = (Grid.from_axes((6, 7, 8), (3, 2, 1), (0, 0, 0), frame_uid=uid) for uid in ("1.2", "1.3"))
    assert (RoiSet((block("a"),), one) + RoiSet((block("b"),), two)).grid is None


def test_a_grid_lost_in_a_sum_does_not_come_back_with_a_third_set():
    sets = [RoiSet((block(name),), grid) for name, grid in zip("abc", (GRID, OTHER, GRID), strict=True)]
    assert sum(sets, RoiSet()).grid is None


@pytest.mark.parametrize("order", [1, -1])
def test_the_empty_set_adds_nothing_and_takes_no_grid_away(order):
    some = RoiSet((block(),), GRID)
    one, two = [RoiSet(), some][::order]
    assert (one + two).grid is GRID
    assert (one + two).names() == ["a"]


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(QuantityError, match=r"no ROI 'b'; there are a"):
        RoiSet((block(),))["b"]


def test_union_counts_a_shared_voxel_once():
    np.testing.assert_allclose(union([np.array([1, 0.5, 0.0]), np.array([1, 0.25, 0.0])]), [1, 0.75, 0])


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("liver", "liver"),
        ("Lesion_2", "tumor"),
        ("GTV_1", "tumor"),
        ("liver_tumor", "tumor"),
        ("Liver-GTV", "normal_liver"),
        ("normal_liver", "normal_liver"),
        ("lung_upper_lobe_left", "lung"),
        ("Lungs", "lung"),
        ("liver_segment_4", "segment"),
        ("perfused_left", "perfused"),
        ("spleen", "other"),
        ("plunger", "other"),
        ("Lung_L", "lung"),
        ("Lungs-GTV", "lung"),
        ("GTVp", "tumor"),
        ("PTV_liver", "other"),
        ("CTV_4000", "other"),
        ("Liver_PRV05", "other"),
    ],
)
def test_roles_follow_from_usual_names(name, role):
    assert role_from_name(name) == role


LIVER = RoiCode("10200004", "SCT", "Liver")
OLD_LIVER = RoiCode("T-62000", "SRT", "Liver")
NEOPLASM = RoiCode("108369006", "SCT", "Neoplasm")
SPLEEN = RoiCode("78961009", "SCT", "Spleen")


@pytest.mark.parametrize(
    ("codes", "role"),
    [
        ((LIVER,), "liver"),
        ((OLD_LIVER, LIVER), "liver"),
        ((NEOPLASM, SPLEEN), "tumor"),
        ((NEOPLASM, LIVER), "other"),
        ((SPLEEN,), "other"),
        ((), "other"),
        ((RoiCode("10200004", "99LOCAL", "?"),), "other"),
    ],
)
def test_roles_follow_from_codes_only_where_all_agree(codes, role):
    assert role_from_codes(codes) == role


def test_a_contour_that_is_there_twice_counts_once_and_is_told():
    square = [np.array([(0, 0, z), (20, 0, z), (20, 10, z), (0, 10, z)], float) for z in (0, 3, 6)]
    once, _, _ = from_contours(square)
    twice, grid, remarks = from_contours([*square, square[1]])
    np.testing.assert_array_equal(once, twice)
    assert [(r.code, r.numbers) for r in remarks] == [("contours-twice", {"contours": 1})]
    assert "1 contours are in the file twice" in remarks[0].sentence
    assert twice.sum(dtype=float) * grid.voxel_volume_ml == pytest.approx(20 * 10 * 9 / 1000, rel=1e-3)
