"""How thick a slice is, and the slabs that planes stand for."""

import numpy as np
import pytest
from remarks import refusal

from voxeldose.errors import GeometryError
from voxeldose.geometry.slabs import (
    SlabThickness,
    choose_distance,
    fit_lattice,
    proven_distance,
    shown_distance,
    slabs_of,
    usual_distance,
)

AXIAL, TILTED = np.array([0.0, 0, 1]), np.array([0.6, 0, 0.8])


def heights(count, distance, start=0.0):
    return [start + distance * n for n in range(count)]


def thick(planes, distance):
    """What all planes stand for, in mm."""
    slabs = slabs_of(planes, distance)
    return sum(slabs.stops) * distance - sum(slabs.starts) * distance


@pytest.mark.parametrize(
    ("planes", "distance"),
    [
        (heights(6, 3.0), 3.0),
        (heights(5, 3.0), None),
        ([*heights(10, 3.0), 90.0], 3.0),
        ([0, 3, 7, 12, 18, 25, 33], None),
        ([0.0], None),
    ],
)
def test_six_even_planes_show_their_distance_by_themselves(planes, distance):
    assert proven_distance(planes) == (None if distance is None else pytest.approx(distance))


@pytest.mark.parametrize(
    ("planes", "distance"),
    [
        (heights(3, 3.0), 3.0),
        (heights(2, 3.0), None),
        (heights(3, 30.0), None),
        ([0, 3, 10], None),
        (heights(5, 5.0), 5.0),
    ],
)
def test_a_few_planes_show_theirs_only_if_even_and_near(planes, distance):
    assert shown_distance(planes) == distance


@pytest.mark.parametrize("source", ["contours", "series", "set", "user"])
def test_the_gap_of_two_planes_is_never_their_thickness(source):
    distance, remarks = choose_distance([9.0, 39.0], SlabThickness(3.0, source))
    assert distance == 3.0
    assert thick([9.0, 39.0], distance) == pytest.approx(6.0)
    (gap,) = remarks
    assert (gap.code, gap.numbers) == ("contours-gap", {"widest_mm": 30.0, "usual_mm": 3.0})


def test_planes_nearer_than_what_is_known_are_thinner():
    distance, remarks = choose_distance(heights(4, 1.5), SlabThickness(3.0, "set"))
    assert (distance, remarks) == (1.5, ())
    assert thick(heights(4, 1.5), distance) == pytest.approx(6.0)


def test_planes_on_every_second_slice_keep_their_distance_unless_the_contours_state_theirs():
    planes = heights(8, 6.0)
    distance, (remark,) = choose_distance(planes, SlabThickness(3.0, "series"))
    assert (distance, remark.code) == (6.0, "contours-on-some-slices")
    assert remark.numbers == {"distance_mm": 6.0, "thickness_mm": 3.0}
    assert "the series that the file cites" in remark.sentence
    assert choose_distance(planes, SlabThickness(3.0, "contours"))[0] == 3.0
    assert choose_distance(heights(8, 30.0), SlabThickness(3.0, "series"))[0] == 3.0


def test_one_plane_of_stated_thickness_needs_no_assumption():
    assert choose_distance([5.0], SlabThickness(2.5, "contours")) == (2.5, ())
    distance, (remark,) = choose_distance([5.0], SlabThickness(2.5, "set"))
    assert (distance, remark.code) == (2.5, "contours-in-one-plane")


@pytest.mark.parametrize(
    ("planes", "code"),
    [
        ([4.0], "contours-in-one-plane"),
        ([9.0, 39.0], "contours-thickness-unknown"),
        (heights(4, 12.0), "contours-thickness-unknown"),
    ],
)
def test_few_planes_without_a_word_on_their_thickness_are_refused(planes, code):
    with pytest.raises(GeometryError, match="thickness", check=refusal(code)):
        choose_distance(planes, None)


def test_the_usual_distance_is_that_of_regions_with_many_planes():
    liver, far = heights(20, 3.0), [9.0, 39.0]
    assert usual_distance([(AXIAL, liver), *[(AXIAL, far)] * 30]) == pytest.approx(3.0)
    assert usual_distance([(AXIAL, far), (AXIAL, [12.0]), (AXIAL, [15.0]), (AXIAL, [18.0])]) == pytest.approx(3.0)
    assert usual_distance([(AXIAL, far), (TILTED, [12.0]), (TILTED, [15.0])]) is None
    assert usual_distance([]) is None


def test_slabs_of_even_planes_touch_and_none_fills_a_gap():
    assert thick(heights(7, 2.0), 2.0) == pytest.approx(14.0)
    assert thick([0, 2, 4, 20, 22], 2.0) == pytest.approx(10.0)
    assert thick([0, 2.0, 5.0], 2.0) == pytest.approx(7.0)  # from 1 below the first to 1 above the last


@pytest.mark.parametrize("shift", [0.0, 0.06, -0.15])
def test_planes_near_even_places_lie_on_a_lattice(shift):
    planes = np.array([0.0, 3.27, 6.54, 13.08, 32.7])
    planes[2] += shift
    index, start, step = fit_lattice(planes, 3.27)
    np.testing.assert_array_equal(index, [0, 1, 2, 4, 10])
    assert step == 3.27
    assert np.abs(start + index * step - planes).max() <= 0.05 * 3.27


def test_a_stated_distance_that_is_rounded_is_fitted_over_many_planes():
    planes = heights(100, 3.2734)
    index, _, step = fit_lattice(planes, 3.27)
    assert (index[-1], step) == (99, pytest.approx(3.2734))


@pytest.mark.parametrize("planes", [[0, 3.0, 7.0], [0, 1.0], [0, 3.0, 3.2], [0, 3.5, 7.0]])
def test_planes_between_even_places_lie_on_none(planes):
    assert fit_lattice(planes, 3.0) is None
