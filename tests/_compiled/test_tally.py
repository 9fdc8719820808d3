import numpy as np
import pytest

from voxeldose._compiled.tally import BINS, pick, rows_of, tally


def counted(values, weights):
    flat, parts, layout = rows_of(values, weights)
    sums, moments = np.zeros(BINS), np.zeros(5)
    moments[3] = 100.0
    tally(flat, flat.view(np.uint32), parts, layout, sums, moments)
    return sums, moments


def images(shape=(5, 7, 4100)):
    rng = np.random.default_rng(2)
    values = rng.normal(100, 80, shape).astype(np.float32)
    return values, (rng.random(shape) * (rng.random(shape) < 0.8)).astype(np.float32)


LARGE, LARGE_WEIGHTS = images()
VIEWS = {
    "whole": (slice(None),) * 3,
    "window": (slice(1, 4), slice(2, 6), slice(3, 2999)),
    "one voxel": (slice(4, 5), slice(6, 7), slice(4099, 4100)),
    "turned around": (slice(None, None, -1), slice(None), slice(None)),
    "every second": (slice(None), slice(None), slice(0, 4001, 2)),
    "nothing": (slice(0, 0), slice(None), slice(None)),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_sums_and_moments_of_any_window_are_those_of_numpy(view):
    values, weights = LARGE[view], LARGE_WEIGHTS[view]
    sums, moments = counted(values, weights)
    expected = np.zeros(BINS)
    np.add.at(
        expected,
        values.view(np.uint32) >> 16 if values.flags.c_contiguous else np.array(values).view(np.uint32) >> 16,
        weights,
    )
    np.testing.assert_allclose(sums, expected, rtol=1e-12, atol=0)
    off, w = values.astype(float) - 100, weights.astype(float)
    np.testing.assert_allclose(moments[:3], [w.sum(), (w * off).sum(), (w * off**2).sum()], rtol=1e-9, atol=1e-9)
    assert moments[4] == 0


def test_the_same_voxels_give_the_same_bits_each_time_and_in_another_place():
    view = VIEWS["window"]
    first = counted(LARGE[view], LARGE_WEIGHTS[view])
    for values, weights in ((LARGE[view], LARGE_WEIGHTS[view]), (LARGE[view].copy(), LARGE_WEIGHTS[view].copy())):
        for one, other in zip(first, counted(values, weights), strict=True):
            np.testing.assert_array_equal(one, other)


def test_values_without_weight_do_not_count_whatever_they_are():
    values, weights = (a[:2, :3, :50].copy() for a in (LARGE, LARGE_WEIGHTS))
    weights[0, 0, :5] = 0
    plain = counted(values, weights)
    values[0, 0, :5] = np.nan, np.inf, -np.inf, 1e38, -0.0
    for one, other in zip(plain, counted(values, weights), strict=True):
        np.testing.assert_array_equal(one, other)


def test_weights_below_zero_are_counted():
    values, weights = (a[:2, :3, :50].copy() for a in (LARGE, LARGE_WEIGHTS))
    weights[1, 1, 3:6] = -0.5
    assert counted(values, weights)[1][4] == 3


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_picked_voxels_are_those_with_weight_in_the_bins_asked_for(view):
    values, weights = LARGE[view], LARGE_WEIGHTS[view]
    bins = np.ascontiguousarray(values).view(np.uint32) >> 16
    wanted = np.zeros(BINS, bool)
    wanted[np.unique(bins)[::3]] = True
    wanted.setflags(write=False)
    flat, parts, layout = rows_of(values, weights)
    gy, part = np.empty(values.size, np.float32), np.empty(values.size, np.float32)
    count = pick(flat, flat.view(np.uint32), parts, layout, wanted, gy, part)
    chosen = wanted[bins] & (weights > 0)
    np.testing.assert_array_equal(gy[:count], values[chosen])
    np.testing.assert_array_equal(part[:count], weights[chosen])


def test_a_window_is_not_copied():
    values, weights = LARGE[VIEWS["window"]], LARGE_WEIGHTS[VIEWS["window"]]
    flat, parts, _ = rows_of(values, weights)
    assert np.shares_memory(flat, LARGE)
    assert np.shares_memory(parts, LARGE_WEIGHTS)
    with pytest.raises(ValueError, match="read-only"):
        flat[0] = 1
