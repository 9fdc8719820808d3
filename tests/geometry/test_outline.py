import math

import numpy as np
import pytest
from scipy.ndimage import shift as nd_shift

from voxeldose.geometry.outline import Outline

SPACING = (3.0, 2.0, 1.5)


def ball(radius=12.0, spacing=SPACING, shape=(16, 22, 28), parts=4):
    """Occupancy of a ball in the middle, voxels cut into parts³."""
    offsets = (np.arange(parts) + 0.5) / parts - 0.5
    total = np.zeros(shape)
    for dk in offsets:
        for dj in offsets:
            for di in offsets:
                k, j, i = (
                    (np.arange(n) - (n - 1) / 2 + d) * s for n, d, s in zip(shape, (dk, dj, di), spacing, strict=True)
                )
                total += k[:, None, None] ** 2 + j[:, None] ** 2 + i**2 <= radius**2
    return (total / parts**3).astype(np.float32)


def test_an_outline_that_does_not_move_keeps_its_region():
    occupancy = ball()
    found = Outline.of(occupancy, SPACING).moved(0.0, (0, 0, 0))
    assert found.sum() == pytest.approx(occupancy.sum(), rel=2e-3)  # parts of 0.7 mm with edges
    assert np.abs(found - occupancy).max() < 0.2  # an outline within a tenth of a voxel
    whole = np.ones((3, 4, 5), np.float32)
    np.testing.assert_array_equal(Outline.of(whole, SPACING).moved(0.0, (0, 0, 0))[1:-1, 1:-1, 1:-1], 1)


@pytest.mark.parametrize("distance", [-2.0, -0.7, 0.5, 1.6])
def test_a_ball_grows_to_the_ball_of_that_radius(distance):
    one = Outline.of(ball(), SPACING)
    ml = float(one.moved(distance, (0, 0, 0)).sum()) * np.prod(SPACING) / 1000
    radius = (ml * 3000 / 4 / math.pi) ** (1 / 3)
    # distances are between parts of 0.7 mm: a tenth of the way and 0.05 mm
    assert radius == pytest.approx(12 + distance, abs=0.05 + 0.1 * abs(distance))


def test_a_shift_moves_the_middle_and_keeps_volume_and_sharpness():
    one = Outline.of(ball(), SPACING)
    still, shift = one.moved(0.0, (0, 0, 0)), np.array([1.7, -0.9, 2.2])
    moved = one.moved(0.0, shift)
    assert moved.sum() == pytest.approx(still.sum(), rel=0.01)
    smeared = nd_shift(still, shift / np.array(SPACING), order=1)
    partly, worse = (((o > 0.02) & (o < 0.98)).sum() for o in (moved, smeared))
    assert partly < 0.8 * worse
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        place = np.arange(moved.shape[axis]) * SPACING[axis]
        before, after = (float((o.sum(axis=others) * place).sum() / o.sum()) for o in (still, moved))
        assert after - before == pytest.approx(shift[axis], abs=0.05)


def test_a_region_never_shrinks_to_nothing():
    assert Outline.of(ball(radius=4.0), SPACING).moved(-50.0, (0, 0, 0)).sum() > 0


def test_the_loop_without_compilation_gives_the_same(monkeypatch):
    from voxeldose._compiled import outlines as compiled

    one = Outline.of(ball(radius=5.0, shape=(6, 8, 9)), SPACING)
    fast = one.moved(0.3, (0.4, -0.8, 0.2))
    monkeypatch.setattr(compiled, "fill_moved", compiled.fill_moved.py_func)
    np.testing.assert_allclose(one.moved(0.3, (0.4, -0.8, 0.2)), fast, atol=1e-5)
