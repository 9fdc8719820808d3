import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from remarks import refusal

from voxeldose.errors import QuantityError
from voxeldose.model.dvh import Dvh

TEN = Dvh.from_voxels(np.arange(100.0, 600.0, 50.0), np.ones(10))


def test_coverage_includes_voxels_at_the_dose_itself():
    assert TEN.coverage(400) == pytest.approx(0.4)
    assert TEN.coverage(400 * (1 + 5e-7)) == pytest.approx(0.4)  # the same dose to one part in a million
    assert TEN.coverage(400 * (1 + 2e-6)) == pytest.approx(0.3)


def test_coverage_below_and_above_all_doses_is_one_and_zero():
    assert TEN.coverage(-5) == 1
    assert TEN.coverage(551) == 0


@pytest.mark.parametrize(("part", "dose"), [(0.95, 100), (0.9, 150), (0.7, 250), (0.5, 350), (0.02, 550), (1, 100)])
def test_dx_is_the_highest_dose_that_at_least_x_percent_receive(part, dose):
    assert TEN.dose_to_fraction_gy(part) == dose


def test_a_voxel_counts_by_its_occupied_volume():
    dvh = Dvh.from_voxels([10.0, 20.0, 30.0], [1.0, 0.5, 0.0])
    assert dvh.total_ml == 1.5
    assert dvh.coverage(15) == pytest.approx(1 / 3)
    assert dvh.dose_gy[0] == 20


@pytest.mark.parametrize("part", [0, -0.1, 1.01, np.nan])
def test_dx_of_an_impossible_fraction_is_refused(part):
    with pytest.raises(QuantityError, check=refusal("value-out-of-range")):
        TEN.dose_to_fraction_gy(part)


@pytest.mark.parametrize(
    ("volumes", "code", "words"),
    [([0.0, 0.0], "roi-empty", "at least one"), ([1.0, -1.0], "volume-negative", r"zero or more, found -1\.0 mL")],
)
def test_a_region_without_volume_or_with_negative_volume_is_refused(volumes, code, words):
    with pytest.raises(QuantityError, match=words, check=refusal(code)):
        Dvh.from_voxels([1.0, 2.0], volumes)


def test_curve_starts_at_zero_with_the_whole_and_ends_with_nothing():
    doses, volumes = TEN.curve(60)
    assert doses[0] == 0
    assert volumes[0] == 10
    assert volumes[-1] == 0
    np.testing.assert_allclose(volumes[:3], [10, 10, 9])


def test_doses_and_volumes_stay_together_when_sorted():
    rng = np.random.default_rng(3)
    dose = np.r_[rng.normal(0, 100, 1000), -0.0, 1e-40, -1e-40, 3e38].astype(np.float32)
    volume = rng.random(dose.size).astype(np.float32)
    dvh = Dvh.from_voxels(dose, volume)
    order = np.argsort(dose, kind="stable")[::-1]
    np.testing.assert_array_equal(dvh.dose_gy, dose[order].astype(float) + 0.0)
    np.testing.assert_allclose(dvh.volume_ml, np.cumsum(volume[order], dtype=float), rtol=1e-6)


def test_negative_zero_is_not_below_zero():
    assert Dvh.from_voxels([-0.0, 0.0, -1.0, 1.0], np.ones(4)).coverage(0.0) == 0.75


def test_many_answers_at_once_are_those_given_one_by_one_and_those_of_the_sorted_voxels():
    rng = np.random.default_rng(5)
    dose = rng.gamma(2, 60, (11, 13, 17)).astype(np.float32) - 20
    occupancy = rng.random(dose.shape).astype(np.float32) * (rng.random(dose.shape) < 0.7)
    dvh = Dvh(dose[::1], occupancy.astype(np.float32), 0.02)
    levels, parts = [-30.0, 0.0, 55.5, 100.0, 1e4], [0.98, 0.9, 0.5, 0.02, 1.0]
    coverages, doses = dvh.at(levels, parts)
    assert coverages == [dvh.coverage(d) for d in levels]
    assert doses == [dvh.dose_to_fraction_gy(p) for p in parts]
    for level, found in zip(levels, coverages, strict=True):
        expected = occupancy[dose >= level].sum(dtype=float) / occupancy.sum(dtype=float)
        assert found == pytest.approx(expected, abs=1e-12)
    for part, found in zip(parts, doses, strict=True):
        rank = np.searchsorted(dvh.volume_ml, part * dvh.volume_ml[-1] * (1 - 1e-9))
        assert found == dvh.dose_gy[rank]
    assert dvh.mean_gy == pytest.approx(np.average(dose, weights=occupancy), rel=1e-6)
    spread = np.average((dose - dvh.mean_gy) ** 2, weights=occupancy)
    assert dvh.sd_gy == pytest.approx(np.sqrt(spread), rel=1e-6)
    assert dvh.range_gy == (dose[occupancy > 0].min(), dose[occupancy > 0].max())


def test_doses_that_are_not_known_answer_nan():
    dvh = Dvh.from_voxels([np.nan, np.nan], [1.0, 1.0])
    assert np.isnan(dvh.coverage(100))
    assert np.isnan(dvh.dose_to_fraction_gy(0.5))
    assert dvh.total_ml == 2


@given(
    st.lists(st.tuples(st.floats(-50, 1000), st.floats(0.001, 1)), min_size=1, max_size=60),
    st.floats(0.01, 1),
)
def test_coverage_of_dx_is_at_least_x_and_any_higher_voxel_dose_covers_less(voxels, part):
    dvh = Dvh.from_voxels(*map(list, zip(*voxels, strict=True)))
    dose = dvh.dose_to_fraction_gy(part)
    assert dvh.coverage(dose) >= part * (1 - 1e-8)
    higher = dvh.dose_gy[dvh.dose_gy > dose + 3e-6 * abs(dose)]  # not the same dose to one part in a million
    if higher.size:
        assert dvh.coverage(higher.min()) < part
