"""Confidence in a true value against cases whose answer has a closed form."""

import math

import numpy as np
import pytest
from scipy.stats import chi, norm

from voxeldose._compiled import cubic
from voxeldose.dose.uncertainty.confidence import Response, confidence
from voxeldose.dose.uncertainty.region_response import NoiseSamples, noise_of
from voxeldose.dose.uncertainty.response_surface import Surface, even_normals

ENDS = (0.025, 0.975)


def draws(seed=3, count=512):
    return even_normals(count, 7, np.random.default_rng(seed))


def nodes(size, count=160, seed=1):
    wide = np.clip(1.6 * even_normals(count, size, np.random.default_rng(seed)), -4, 4)
    return np.concatenate([np.zeros((1, size)), wide])


def answer(function, size, *, log_scale_sd=0.0, noise=(0.0,), bias=0.0):
    """Confidence in the truth of a function of ``size`` errors, found where these are zero."""
    at = nodes(size) if size else np.zeros((1, 0))
    surface = Surface.through(at, function(at)[:, None])
    own = float(function(np.zeros((1, size)))[0])
    response = Response(surface, 0, own, log_scale_sd, False, bias, np.sort(np.asarray(noise, float)))
    return confidence(response, draws())


def test_even_normals_are_normal_and_follow_their_seed():
    found = even_normals(512, 5, np.random.default_rng(1))
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=0.02)  # plain random numbers: 0.04
    np.testing.assert_allclose(np.cov(found.T), np.eye(5), atol=0.06)
    np.testing.assert_array_equal(found, even_normals(512, 5, np.random.default_rng(1)))
    assert np.abs(found - even_normals(512, 5, np.random.default_rng(2))).max() > 0.1


def test_a_surface_keeps_planes_and_foretells_what_lies_between_nodes():
    at, points = nodes(4), 1.2 * even_normals(200, 4, np.random.default_rng(9))
    slopes = np.array([2.0, -1.0, 0.5, 3.0])
    curved = 0.5 * (points**2).sum(axis=1) + np.sin(points[:, 0])
    rows = np.stack([7 + at @ slopes, 0.5 * (at**2).sum(axis=1) + np.sin(at[:, 0])], axis=1)
    found = Surface.through(at, rows)
    np.testing.assert_allclose(found.at(points, 0), 7 + points @ slopes, atol=1e-8)
    np.testing.assert_allclose(found.slope(points[0], 0), slopes, atol=1e-8)
    missed = np.sqrt(np.mean((found.at(points, 1) - curved) ** 2))
    assert missed < 0.1 * curved.std()
    assert missed < found.error_sd[1]  # nodes lie farther out, with fewer neighbours
    step = 1e-5 * np.eye(4)
    ahead, behind = (found.at(points[3] + sign * step, 1) for sign in (1, -1))
    np.testing.assert_allclose(found.slope(points[3], 1), (ahead - behind) / 2e-5, rtol=1e-5)


def test_the_loop_without_compilation_gives_the_same():
    at, points = nodes(3, 20), nodes(3, 9, seed=4)
    weights = np.linspace(-1, 2, len(at))
    fast, slow = np.ones(len(points)), np.ones(len(points))
    cubic.add_cubes(points, at, weights, fast)
    cubic.add_cubes.py_func(points, at, weights, slow)
    np.testing.assert_allclose(fast, slow, rtol=1e-12)
    far = np.linalg.norm(points[:, None] - at, axis=2)
    np.testing.assert_allclose(slow, 1 + far**3 @ weights, rtol=1e-10)


def test_on_a_plane_the_interval_is_the_normal_one():
    found = answer(lambda z: 100 + z @ np.array([3.0, -4.0, 0.0, 12.0]), 4)
    # 512 even draws: the 2.5 % tail to a twelfth of its part, 0.05 standard deviations
    np.testing.assert_allclose(found.quantile(ENDS), 100 + 13 * norm.ppf(ENDS), atol=0.06 * 13)
    assert found.quantile(0.5) == pytest.approx(100, abs=0.05 * 13)
    mean, sd = found.mean_and_sd
    assert mean == pytest.approx(100, abs=0.03 * 13)
    assert sd == pytest.approx(13, rel=0.04)
    assert found.below(100 + 13) == pytest.approx(norm.cdf(1), abs=0.02)


def test_the_scale_is_inverted_and_not_mirrored():
    found = answer(lambda z: np.full(len(z), 200.0), 0, log_scale_sd=0.2)
    np.testing.assert_allclose(np.log(found.quantile(ENDS) / 200), 0.2 * norm.ppf(ENDS), atol=0.06 * 0.2)


def test_noise_alone_gives_the_basic_bootstrap():
    noise = np.sort(np.random.default_rng(2).gamma(2.0, 1.0, 2000)) - 2
    found = answer(lambda z: np.full(len(z), 50.0), 0, noise=noise, bias=-1.5)
    np.testing.assert_allclose(found.quantile(ENDS), 51.5 - np.quantile(noise, ENDS[::-1]), atol=0.15)
    assert found.quantile(0.5) == pytest.approx(51.5 - np.median(noise), abs=0.05)


@pytest.mark.parametrize("away", [0.7, 1.2, 1.7, 2.3, 2.8])
def test_a_region_beside_the_peak_holds_the_peak_as_often_as_it_says(away):
    # a dose that falls with the distance from a peak, and a region shifted by a normal error along three axes: what was found is
    # above all but a share chi(away) of what the peak would lead to, however steep or curved the fall
    start = away * np.array([0.6, 0.0, 0.8])

    def fall(z):
        return -np.sqrt(4 + ((z + start) ** 2).sum(axis=1))

    found = answer(fall, 3)
    assert found.below(-2.0) == pytest.approx(chi(3).cdf(away), abs=0.025)  # draws, and a surface through 160 nodes
    # taking errors off the run's own value, as at a slope, would reach the peak only to 2.2 standard deviations
    assert found.quantile(0.975) == pytest.approx(-2, abs=0.03) or found.quantile(0.975) > -2


def test_a_curved_monotone_profile_is_inverted_exactly():
    # found exp(z): the truth lies below exp(u) exactly as often as z would be above -u; mirrored errors would end at 0.3 and 1.7
    found = answer(lambda z: np.exp(0.35 * z[:, 0]), 2)
    np.testing.assert_allclose(found.quantile(ENDS), np.exp(0.35 * norm.ppf(ENDS)), rtol=0.02)


def test_without_errors_the_truth_is_what_was_found():
    found = answer(lambda z: np.full(len(z), 5.0), 0)
    assert found.quantile(ENDS).tolist() == [5, 5]
    assert found.mean_and_sd == (5, 0)
    assert found.below(5 + 1e-9) == 1
    assert found.below(5 - 1e-9) == 0


def test_fractions_stay_between_none_and_all():
    at = nodes(2)
    for own, values in ((1.0, np.ones(len(at))), (0.97, np.minimum(1, 0.97 + 0.05 * at[:, 0]))):
        response = Response(Surface.through(at, values[:, None]), 0, own, 0.0, True, 0.0, np.zeros(1))
        low, high = confidence(response, draws(), 0.0, 1.0).quantile(ENDS)
        assert 0 <= low <= own <= high <= 1
    assert low < 0.9


def test_probabilities_agree_with_the_ends_of_the_interval():
    found = answer(lambda z: 10 + z[:, 0] - 0.2 * z[:, 1] ** 2, 2, noise=np.linspace(-1, 1, 50))
    for part in (0.025, 0.2, 0.5, 0.8, 0.975):
        assert found.below(float(found.quantile(part))) == pytest.approx(part, abs=1e-9)
    assert found.below(-1e9) == 0
    assert found.below(1e9) == 1


def test_a_value_less_its_own_bias_scatters_more_than_the_value():
    # sin(y) of a noisy y: more noise of deviation s multiplies it by exp(-s²/2) on average, so its bias goes with it, and the
    # value less the bias is 2 - exp(-s²/2) times the value; a sum has no bias and scatters as it is
    noise = 0.8 * np.random.default_rng(6).standard_normal(4001)

    def rows(y):
        return np.stack([np.sin(y), 3 + y], axis=1)

    bias, scatter = noise_of(rows(np.zeros(1))[0], NoiseSamples(rows(noise), rows(noise[:-1] + noise[1:])))
    alone = rows(noise).std(axis=0)
    assert scatter.std(axis=0)[0] / alone[0] == pytest.approx(2 - math.exp(-0.32), rel=0.05)
    assert scatter.std(axis=0)[1] == pytest.approx(alone[1], rel=1e-9)
    assert bias == pytest.approx([0, 0], abs=4 * 0.8 / math.sqrt(4001))
    assert noise_of(np.array([1.0, 2.0]), None)[1].tolist() == [[0, 0]]
