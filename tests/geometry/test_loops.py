"""Contours that meet: repeated, nested, touching, overlapping."""

import numpy as np
import pytest
from region_files import circle, circle_area, rectangle
from remarks import coded, refusal

from voxeldose.errors import GeometryError
from voxeldose.geometry.contours import from_contours
from voxeldose.geometry.loops import repeated_loops
from voxeldose.geometry.slabs import SlabThickness

THICK = SlabThickness(3.0, "user")
TURN = np.array([[0.96, 0, 0.28], [0, 1, 0], [-0.28, 0, 0.96]])
CIRCLE = circle(20.0, 0.0)


def area_of(loops, *, exclusive=False, turn=None):
    """What contours of one plane enclose in mm², and the remarks."""
    turned = [np.asarray(c, float) @ turn.T for c in loops] if turn is not None else loops
    found = from_contours(turned, thickness=THICK, pixel_mm=0.25, exclusive=exclusive)
    area = float(found.occupancy.sum(dtype=float)) * found.grid.voxel_volume_ml * 1000 / 3.0
    return area, [r for r in found.remarks if r.code != "contours-in-one-plane"]


def lens(radius, apart):
    """What two circles share."""
    return 2 * radius**2 * np.arccos(apart / 2 / radius) - apart / 2 * np.sqrt(4 * radius**2 - apart**2)


AGAIN = {
    "copied": CIRCLE,
    "from another start": np.roll(CIRCLE, 77, axis=0),
    "the other way": CIRCLE[::-1],
    "closed by its first point": np.concatenate([CIRCLE, CIRCLE[:1]]),
    "with points between": np.stack([CIRCLE, (CIRCLE + np.roll(CIRCLE, -1, axis=0)) / 2], axis=1).reshape(-1, 3),
    "moved by rounding": CIRCLE + np.array([0.04, -0.05, 0.03]),
    "all at once": np.roll(np.concatenate([CIRCLE, CIRCLE[:1]])[::-1], 31, axis=0) + 0.02,
}


@pytest.mark.parametrize("turn", [None, TURN], ids=["axial", "oblique"])
@pytest.mark.parametrize("again", AGAIN.values(), ids=AGAIN)
def test_a_contour_that_is_there_again_encloses_its_area_once_and_that_is_stated(again, turn):
    area, remarks = area_of([CIRCLE, again], turn=turn)
    assert area == pytest.approx(circle_area(20.0), rel=2e-3)
    assert [(r.code, r.numbers) for r in remarks] == [("contours-twice", {"contours": 1})]


def test_three_of_a_kind_are_one():
    area, (remark,) = area_of([CIRCLE, *AGAIN.values()])
    assert area == pytest.approx(circle_area(20.0), rel=2e-3)
    assert remark.numbers == {"contours": len(AGAIN)}


@pytest.mark.parametrize("moved", [0.3, 1.0])
def test_a_contour_that_is_moved_by_more_is_another_and_is_united(moved):
    area, remarks = area_of([CIRCLE, CIRCLE + np.array([moved, 0, 0])])
    assert area == pytest.approx(2 * np.pi * 400 - lens(20, moved), rel=2e-3)
    assert [r.code for r in remarks] == ["contours-overlap"]


def test_curves_that_are_near_only_in_part_are_two():
    bulge = CIRCLE.copy()
    bulge[10] *= [1.02, 1.02, 1]
    assert repeated_loops([CIRCLE, bulge]) == []
    half = CIRCLE[:90]
    assert repeated_loops([CIRCLE, half]) == []


@pytest.mark.parametrize("turn", [None, TURN], ids=["axial", "oblique"])
def test_contours_that_overlap_in_part_are_united_and_that_is_stated(turn):
    area, remarks = area_of([CIRCLE, CIRCLE + np.array([20, 0, 0])], turn=turn)
    assert area == pytest.approx(2 * np.pi * 400 - lens(20, 20), rel=2e-3)
    (remark,) = coded("contours-overlap", remarks)
    assert remark.numbers == {"pairs": 1}
    assert "overlap in part; they are united" in remark.sentence


def test_exclusive_contours_that_overlap_leave_out_what_they_share():
    area, remarks = area_of([CIRCLE, CIRCLE + np.array([20, 0, 0])], exclusive=True)
    assert area == pytest.approx(2 * np.pi * 400 - 2 * lens(20, 20), rel=2e-3)
    assert remarks == []


def square(x, y, size):
    return rectangle((x, x + size), (y, y + size), 0.0)


#: Contours, the area that they mean in mm², and how many pairs overlap in part.
NESTED = {
    "a hole": ([square(0, 0, 20), square(5, 5, 6)], 400 - 36, 0),
    "an island in a hole": ([square(0, 0, 20), square(2, 2, 12), square(4, 4, 5)], 400 - 144 + 25, 0),
    "a hole in an island": (
        [square(0, 0, 30), square(2, 2, 22), square(4, 4, 12), square(6, 6, 4)],
        900 - 484 + 144 - 16,
        0,
    ),
    "a hole that touches the outline": ([square(0, 0, 20), rectangle((0, 6), (5, 11), 0.0)], 400 - 36, 0),
    "a hole that passes the outline by rounding": ([square(0, 0, 20), rectangle((-0.05, 6), (5, 11), 0.0)], 364, 0),
    "two that share an edge": ([square(0, 0, 20), rectangle((20, 30), (0, 20), 0.0)], 600, 0),
    "two that share an edge but for rounding": ([square(0, 0, 20), rectangle((19.96, 30), (0, 20), 0.0)], 600, 0),
    "two apart": ([square(0, 0, 20), square(40, 0, 5)], 425, 0),
    "a ring and a bar across it": (
        [square(0, 0, 20), square(5, 5, 10), rectangle((-5, 25), (8, 12), 0.0)],
        300 + 40 + 40,
        2,
    ),
    "a bar across two, with a hole in one": (
        [square(0, 0, 10), square(2, 2, 3), square(20, 0, 10), rectangle((8, 22), (6, 9), 0.0)],
        100 - 9 + 100 + 30,
        2,
    ),
    "a hole in what two share": ([square(0, 0, 20), square(10, 0, 20), square(12, 8, 4)], 600 - 16, 1),
    "three in a row": ([square(0, 0, 10), square(5, 0, 10), square(10, 0, 10)], 200, 2),
}


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("turn", [None, TURN], ids=["axial", "oblique"])
@pytest.mark.parametrize("name", NESTED)
def test_nested_contours_are_holes_and_overlapping_ones_are_united(name, turn, order):
    loops, wanted, overlaps = NESTED[name]
    area, remarks = area_of(loops[::order], turn=turn)
    assert area == pytest.approx(wanted, abs=2.5)  # touching edges are taken as such within 0.1 mm
    assert sum(r.numbers["pairs"] for r in coded("contours-overlap", remarks)) == overlaps


@pytest.mark.parametrize("seed", range(8))
def test_the_area_of_random_rectangles_is_that_of_their_union(seed):
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 40, (7, 2))
    sizes = rng.integers(4, 20, (7, 2))
    covered = np.zeros((60, 60), bool)
    loops = []
    for (x, y), (w, h) in zip(corners, sizes, strict=True):
        ours = np.zeros_like(covered)
        ours[x : x + w, y : y + h] = True
        if (ours & covered).sum() in (0, ours.sum()) and covered.any():
            continue  # only rectangles that overlap the earlier ones in part, so that none is a hole
        inside = [
            all(a <= p < b for p, a, b in zip((x, y), c.min(axis=0), c.max(axis=0) + 1, strict=False)) for c in loops
        ]
        if any(inside) and any((c[:, :2].min(axis=0) >= (x, y)).all() for c in loops):
            continue
        loops.append(rectangle((x, x + w), (y, y + h), 0.0))
        covered |= ours
    nested = any(
        (a[:, :2].min(axis=0) >= b[:, :2].min(axis=0)).all() and (a[:, :2].max(axis=0) <= b[:, :2].max(axis=0)).all()
        for a in loops
        for b in loops
        if a is not b
    )
    if nested:
        pytest.skip("one rectangle lies in another")
    assert area_of(loops)[0] == pytest.approx(covered.sum(), rel=1e-3)


def test_a_contour_that_crosses_itself_counts_by_the_even_odd_rule():
    bow = np.array([(0, 0, 0), (20, 20, 0), (20, 0, 0), (0, 20, 0)], float)
    area, remarks = area_of([bow, square(40, 0, 10)])
    assert area == pytest.approx(200 + 100, rel=5e-3)
    assert remarks == []


def test_a_line_among_contours_is_no_plane_of_its_own():
    line = np.array([(0, 0, 90.0), (5, 0, 90.0), (9, 0, 90.0)])
    found = from_contours([circle(10, z) for z in (0, 3, 6)] + [line])
    assert found.grid.shape[0] == 3


def test_contours_whose_planes_differ_by_less_than_rounding_are_used_once():
    loops = [circle(10, z, centre=(x, 0)) for z, x in ((0.0, 0), (0.09, 50), (0.12, 100))]
    found = from_contours(loops, thickness=THICK)
    volume = float(found.occupancy.sum(dtype=float)) * found.grid.voxel_volume_ml * 1000
    # two planes, 0.12 mm apart: two contours stand for half the slab and half the way, one for the rest
    assert volume < 3.2 * 3 * circle_area(10)


def test_contours_that_reach_further_than_a_patient_are_refused_and_take_no_memory():
    with pytest.raises(GeometryError, match="too far", check=refusal("contours-too-far")):
        from_contours([circle(10, 0), circle(10, 1e9)], thickness=THICK)


def test_a_region_too_large_for_its_pixels_gets_larger_ones():
    wide = from_contours([circle(9000, 0), circle(9000, 3)], thickness=THICK)
    assert wide.occupancy.size <= 1e8
    volume = float(wide.occupancy.sum(dtype=float)) * wide.grid.voxel_volume_ml * 1000
    assert volume == pytest.approx(circle_area(9000) * 6, rel=1e-3)
