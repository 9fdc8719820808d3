import math

import numpy as np
import pytest
from remarks import refusal
from scipy.ndimage import gaussian_filter

from voxeldose.dose.uncertainty.mean_dose import diameter_sd_mm, edge_response, mean_dose_spread, sphere_ml
from voxeldose.dose.uncertainty.recovery import Recovery, fit_recovery
from voxeldose.errors import QuantityError


def test_worked_example_28_a_sphere_of_30_mm():
    sd = diameter_sd_mm(4, 7)
    assert sd == pytest.approx(4.51, abs=0.005)
    curve = Recovery(3.0, 0.9)
    assert float(curve.at(sphere_ml(30))) == pytest.approx(0.801, abs=5e-4)
    assert curve.exponent(sphere_ml(30)) == pytest.approx(0.179, abs=5e-4)
    found = mean_dose_spread(30, sd, phi=0.8, recovery=curve)
    assert found.volume == pytest.approx(0.451, abs=5e-4)
    assert found.volume_terms == pytest.approx(0.171, abs=5e-4)
    assert found.volume_terms_as_if_independent == pytest.approx(0.58, abs=5e-3)
    assert found.dominant == "volume_terms"


def test_terms_that_are_independent_add_in_quadrature():
    found = mean_dose_spread(30, 0.0, phi=0.8, calibration=0.03, statistics=0.04)
    assert found.total == pytest.approx(0.05)
    assert found.dominant == "statistics"


def test_the_exponent_is_the_slope_of_the_curve():
    curve, v = Recovery(2.2, 0.8), 5.0
    up, down = (math.log(float(curve.at(v * f))) for f in (1.001, 0.999))
    assert curve.exponent(v) == pytest.approx((up - down) / math.log(1.001 / 0.999), rel=1e-5)


def test_the_curves_own_spread_is_that_of_drawn_curves():
    curve = Recovery(2.0, 0.9, ((0.02, 0.003), (0.003, 0.002)))
    drawn = np.random.default_rng(1).multivariate_normal((2.0, 0.9), curve.covariance, 20000)
    values = 1 - 1 / (1 + (4.0 / drawn[:, 0]) ** drawn[:, 1])
    # 20 000 draws give it to 0.5 %; the curve is not quite linear in b and c
    assert curve.relative_sd(4.0) == pytest.approx(values.std() / curve.at(4.0), rel=0.03)


def test_the_edge_of_a_blurred_sphere_by_voxels():
    # counts inside spheres a little smaller and larger than a uniform sphere of 20 mm blurred by 8 mm, voxels of 0.5 mm
    step, fwhm, radius = 0.5, 8.0, 10.0
    axis = (np.arange(101) - 50) * step
    r = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    image = gaussian_filter(np.clip(0.5 - (r - radius) / step, 0, 1), fwhm / math.sqrt(8 * math.log(2)) / step)
    counts = [float((image * np.clip(0.5 - (r - radius - d) / step, 0, 1)).sum()) for d in (-0.5, 0, 0.5)]
    phi = math.log(counts[2] / counts[0]) / (3 * math.log((radius + 0.5) / (radius - 0.5)))
    recovery = counts[1] * step**3 / (4 / 3 * math.pi * radius**3)
    assert edge_response(20, fwhm, recovery) == pytest.approx(phi, rel=0.01)


def test_a_fit_finds_the_curve_and_its_spread():
    truth, sd = Recovery(1.8, 0.7), 0.02
    volumes = np.array([0.52, 1.15, 2.57, 5.58, 11.49, 26.52])
    random = np.random.default_rng(2)
    exact = fit_recovery([(v, float(truth.at(v)), sd) for v in volumes])
    assert (exact.b_ml, exact.c) == pytest.approx((1.8, 0.7), rel=1e-6)
    fits = [
        fit_recovery([(v, float(truth.at(v)) + sd * random.standard_normal(), sd) for v in volumes]) for _ in range(150)
    ]
    # 150 fits give a standard deviation to 6 %
    assert exact.covariance[0][0] ** 0.5 == pytest.approx(np.std([f.b_ml for f in fits]), rel=0.25)
    assert exact.covariance[1][1] ** 0.5 == pytest.approx(np.std([f.c for f in fits]), rel=0.25)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: diameter_sd_mm(-1, 5), "value-out-of-range"),
        (lambda: edge_response(0, 5, 0.5), "value-out-of-range"),
        (lambda: mean_dose_spread(0, 1, phi=0.8), "value-out-of-range"),
    ],
)
def test_refusals(call, code):
    with pytest.raises(QuantityError, check=refusal(code)):
        call()
