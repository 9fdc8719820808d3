"""The references of the card against random points, so that a slip in a formula is not shared by card and engine."""

import numpy as np
import pytest

from benchmarks.closed_forms import (
    Spread,
    dose_in_sphere,
    off_centre_fraction,
    radius_of_dose,
    sphere_fraction,
    spread_of,
)
from voxeldose.model.kernel import point_kernel

POINTS = 200_000


def ball(rng, radius, centre=(0.0, 0.0, 0.0)):
    direction = rng.standard_normal((POINTS, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return direction * radius * rng.random((POINTS, 1)) ** (1 / 3) + centre


def steps(rng, lengths):
    direction = rng.standard_normal((POINTS, 3))
    return direction / np.linalg.norm(direction, axis=1, keepdims=True) * lengths[:, None]


def within(points, radius):
    return float((np.linalg.norm(points, axis=1) <= radius).mean())


@pytest.mark.parametrize("radius", [2.0, 5.0, 18.5])
def test_sphere_fraction_is_the_part_of_random_steps_that_stay_inside(radius):
    rng = np.random.default_rng(1)
    spread = spread_of(point_kernel(), reach_mm=12)
    lengths = rng.choice(spread.distance_mm, POINTS, p=spread.weight / spread.weight.sum())
    found = within(ball(rng, radius) + steps(rng, lengths), radius) * spread.weight.sum()
    assert sphere_fraction(radius, spread) == pytest.approx(found, abs=0.004)  # 3.5 standard deviations of the count


def test_blur_adds_a_gaussian_step():
    rng = np.random.default_rng(2)
    spread = Spread(np.array([0.0, 3.0, 7.0]), np.array([0.2, 0.5, 0.3]))
    lengths = rng.choice(spread.distance_mm, POINTS, p=spread.weight)
    ends = ball(rng, 6.0) + steps(rng, lengths) + rng.normal(0, 2.1, (POINTS, 3))
    blurred = spread.blurred(2.1)
    assert blurred.weight.sum() == pytest.approx(1, abs=1e-4)
    assert sphere_fraction(6.0, blurred) == pytest.approx(within(ends, 6.0), abs=0.004)


def test_a_ball_inside_another_keeps_what_random_steps_keep():
    rng = np.random.default_rng(3)
    spread = Spread(np.array([1.0, 6.0, 15.0]), np.array([0.3, 0.4, 0.3]))
    ends = ball(rng, 8.0, (6.0, -6.0, 3.0)) + steps(rng, rng.choice(spread.distance_mm, POINTS, p=spread.weight))
    assert off_centre_fraction(22.0, 8.0, 9.0, spread) == pytest.approx(within(ends, 22.0), abs=0.004)


def test_the_dose_profile_has_the_mean_of_the_sphere_and_falls_outwards():
    spread = spread_of(point_kernel())
    edges = np.linspace(0, 11, 2001)
    middle = (edges[1:] + edges[:-1]) / 2
    profile = dose_in_sphere(11.0, middle, spread)
    mean = (profile * np.diff(edges**3)).sum() / 11.0**3
    assert mean == pytest.approx(sphere_fraction(11.0, spread), rel=1e-5)
    assert (np.diff(profile) <= 1e-12).all()
    level = float(dose_in_sphere(11.0, np.array([9.0]), spread)[0])
    assert radius_of_dose(11.0, level, spread) == pytest.approx(9.0, abs=1e-3)
    assert radius_of_dose(11.0, 2.0, spread) == 0.0
    assert radius_of_dose(11.0, 0.0, spread) == 11.0
