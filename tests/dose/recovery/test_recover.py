"""The whole recovery on one small digital patient whose truth is made on other voxels and by other code."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.accuracy_recovery_patients import ball
from benchmarks.accuracy_recovery_phantoms import Drawn, Phantom, scan_of, truth_of
from voxeldose.dose.recovery import Resolution, recover
from voxeldose.errors import QuantityError

SMALL = Phantom(
    "small",
    (22, 18, 18),
    {"t": ("tumor", ball(1, -1, 2, 12.0)), "liver": ("liver", ball(0, 0, 0, 24.0))},
    {"t": 6.0, "liver": 1.0},
    70.0,
    noise=0.2,
)


@pytest.fixture(scope="module")
def truth():
    return truth_of(SMALL, np.random.default_rng(1))


@pytest.fixture(scope="module")
def scan(truth):
    return scan_of(SMALL, truth, np.random.default_rng(2), {"t": Drawn((1.5, -1.0, 0.8), 1.0)})


def resolution(**changes):
    return Resolution(**({"fwhm_mm": (6.5,) * 3, "draws": 8, "source": "simulated"} | changes))


@pytest.fixture(scope="module")
def found(scan):
    return recover(scan, resolution())


def test_the_truth_lies_inside_the_intervals(truth, found):
    wanted, tumor = truth.numbers["t"], found.rois["t"].best
    for name in ("mean_dose_gy", "d95_gy", "d70_gy", "d50_gy", "v205_fraction", "v400_fraction", "activity_mbq"):
        estimate = getattr(tumor, name)
        assert estimate.low - 1e-3 <= wanted[name] <= estimate.high + 1e-3, name
    assert tumor.mean_dose_gy.value == pytest.approx(wanted["mean_dose_gy"], rel=0.05)
    assert tumor.tumor_to_normal.value == pytest.approx(wanted["tumor_to_normal"], rel=0.06)
    assert tumor.tumor_to_normal_by_dose.value == pytest.approx(wanted["tumor_to_normal_by_dose"], rel=0.06)


def test_the_recovered_mean_is_nearer_to_the_truth_than_the_run(truth, scan, found):
    wanted = truth.numbers["t"]["mean_dose_gy"]
    assert abs(found.rois["t"].best.mean_dose_gy.value - wanted) < 0.3 * abs(scan.rois["t"].mean_dose_gy - wanted)


def test_the_outline_is_moved_back_to_where_the_image_shows_it(found):
    np.testing.assert_allclose(found.rois["t"].shift_lps_mm, (-1.5, 1.0, -0.8), atol=0.5)
    assert found.rois["t"].growth_mm == pytest.approx(-1.0, abs=0.5)


def test_as_drawn_and_moved_stand_side_by_side(found):
    tumor = found.rois["t"]
    assert tumor.as_drawn.volume_ml.value > tumor.best.volume_ml.value
    assert tumor.as_drawn.mean_dose_gy.value < tumor.best.mean_dose_gy.value


def test_normal_liver_is_recovered_and_has_no_ratio_to_itself(truth, found):
    normal = found.rois["normal_liver"].best
    assert normal.mean_dose_gy.value == pytest.approx(truth.numbers["normal_liver"]["mean_dose_gy"], rel=0.05)
    assert normal.tumor_to_normal.value is None


def test_what_was_assumed_is_said_by_code(found):
    codes = [r.code for r in found.assumptions]
    assert {"resolution-stated", "noise-correlation", "texture-seen", "outlines-fitted"} <= set(codes)
    assert "recovery-validated-in-simulation" in codes
    assert "source not stated" not in found.assumptions[codes.index("resolution-stated")].sentence
    assert 0.7 < found.facts["chi_square_per_voxel"] < 1.3
    assert found.facts["noise_level"] == pytest.approx(0.2, rel=0.2)
    assert "narrower than the one reported" in found.dose.method


def test_the_comparator_has_values_and_no_intervals(truth, scan):
    found = recover(scan, resolution(method="rbv"))
    tumor = found.rois["t"].best
    assert (tumor.mean_dose_gy.low, tumor.mean_dose_gy.high) == (None, None)
    assert found.rois["t"].mean_dose_rbv_gy == tumor.mean_dose_gy.value
    assert found.method == "rbv"


def test_the_method_none_recovers_nothing(scan):
    assert recover(scan, resolution(method="none")) is None


def test_fixed_outlines_do_not_move(scan):
    found = recover(scan, resolution(outlines="fixed", draws=4, fwhm_sd_fraction=0.0))
    assert found.rois["t"].shift_lps_mm == (0.0, 0.0, 0.0)
    assert found.rois["t"].best.mean_dose_gy == found.rois["t"].as_drawn.mean_dose_gy
    assert "tumor-outlines-exact" in [r.code for r in found.assumptions]


NOISE_TOO_HIGH = "with a core that fills a sixth of the only tumor the noise level is found at 0.32 instead of 0.2, and chi-square refuses"


@pytest.mark.slow
@pytest.mark.parametrize(
    "core_mm", [pytest.param(9.0, marks=pytest.mark.xfail(raises=QuantityError, reason=NOISE_TOO_HIGH)), 0.0]
)
def test_a_cold_core_that_nobody_outlined_is_found_and_none_where_there_is_none(core_mm):
    shapes = {"t": ("tumor", ball(1, -1, 2, 17.0)), "liver": ("liver", ball(0, 0, 0, 27.0))}
    uptake = {"t": 6.0, "liver": 1.0}
    phantom = Phantom("whole", (26, 22, 22), shapes, uptake, 70.0, noise=0.2, cv={"t": 0.2, "liver": 0.2})
    if core_mm:
        phantom = replace(phantom, cores={"t": (ball(2, 0, 2, core_mm), 0.0)})
    random = np.random.default_rng(4)
    truth = truth_of(phantom, random)
    tumor = recover(scan_of(phantom, truth, random), resolution()).rois["t"]
    assert tumor.cold_core_ml == pytest.approx(4 / 3 * np.pi * core_mm**3 / 1000, abs=0.8)
    for name in ("mean_dose_gy", "d95_gy", "d70_gy"):
        estimate = getattr(tumor.best, name)
        assert estimate.low <= truth.numbers["t"][name] <= estimate.high, name


@pytest.mark.slow
def test_another_seed_changes_numbers_by_less_than_their_interval(scan, found):
    other = recover(scan, resolution(seed=2)).rois["t"].best
    for name in ("mean_dose_gy", "d70_gy", "activity_mbq"):
        one, two = getattr(found.rois["t"].best, name), getattr(other, name)
        assert abs(one.value - two.value) < (one.high - one.low) / 4, name


def test_the_same_seed_gives_the_same_numbers(scan):
    options = resolution(outlines="fixed", draws=4, fwhm_sd_fraction=0.0)
    assert recover(scan, options).rois == recover(scan, options).rois


def test_the_dvh_agrees_with_the_numbers_and_its_band_holds_it(truth, found):
    for name in ("t", "normal_liver"):
        roi = found.rois[name]
        curve = roi.dvh
        assert (curve.dose_gy[0], curve.fraction[0]) == (0.0, 1.0)
        fraction, low, high = (np.array(row) for row in (curve.fraction, curve.low_fraction, curve.high_fraction))
        assert (np.diff(fraction) <= 0).all()
        assert (np.diff(high) <= 0).all()
        assert ((low <= fraction) & (fraction <= high)).all()
        assert curve.coverage(205.0) == pytest.approx(roi.best.v205_fraction.value, abs=0.004)
        assert curve.coverage(400.0) == pytest.approx(roi.best.v400_fraction.value, abs=0.004)
        assert curve.dose_to_fraction_gy(0.7) == pytest.approx(roi.best.d70_gy.value, rel=0.02)
        area = np.trapezoid(fraction, curve.dose_gy)
        assert area == pytest.approx(roi.best.mean_dose_gy.value, rel=0.01)
    band = found.rois["t"].dvh.estimate(400.0)
    assert band.low <= truth.numbers["t"]["v400_fraction"] <= band.high


def test_the_residual_is_what_noise_explains(scan, found):
    residual = found.residual
    measured = np.isfinite(residual.deviation.values)
    scores = ((residual.image.values - residual.predicted.values) / residual.deviation.values)[measured]
    assert np.mean(np.square(scores)) == pytest.approx(found.facts["chi_square_per_voxel"], rel=0.35)
    whole = scan.activity
    first = whole.grid.first_voxel_of(residual.image.grid)
    inside = np.clip(first, 0, None)
    own = residual.image.values[tuple(slice(i - f, None) for i, f in zip(inside, first, strict=True))]
    part = whole.bq_per_ml[tuple(slice(i, i + n) for i, n in zip(inside, own.shape, strict=True))]
    np.testing.assert_allclose(own[tuple(slice(0, n) for n in part.shape)], part, rtol=1e-5, atol=1.0)


def test_the_moved_outline_lies_where_the_fit_says_with_the_volume_it_says(scan, found):
    (moved,) = found.residual.moved
    drawn, tumor = scan.regions["t"], found.rois["t"]

    def middle(roi):
        index = np.indices(roi.grid.shape).reshape(3, -1).T
        return np.average(roi.grid.points_lps_mm(index), axis=0, weights=roi.occupancy.ravel())

    np.testing.assert_allclose(middle(moved) - middle(drawn), tumor.shift_lps_mm, atol=0.3)
    assert moved.occupancy.sum() * moved.grid.voxel_volume_ml == pytest.approx(tumor.best.volume_ml.value, rel=0.05)


def test_with_twice_the_activity_doses_double_and_coverage_is_read_from_the_dvh(found):
    tumor, twice = found.rois["t"], found.scaled(2.0).rois["t"]
    assert twice.best.mean_dose_gy.value == pytest.approx(2 * tumor.best.mean_dose_gy.value)
    assert twice.best.d95_gy.high == pytest.approx(2 * tumor.best.d95_gy.high)
    assert twice.best.v400_fraction.value == pytest.approx(tumor.dvh.coverage(200.0))
    assert twice.best.activity_mbq.value == pytest.approx(2 * tumor.best.activity_mbq.value)
    assert twice.best.tumor_to_normal == tumor.best.tumor_to_normal
    assert twice.best.volume_ml == tumor.best.volume_ml
    assert found.scaled(2.0).dose.gy.max() == pytest.approx(2 * found.dose.gy.max())
