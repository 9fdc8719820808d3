from dataclasses import replace

import numpy as np
import pytest
from small_recovery import small_model

from voxeldose.dose.recovery.field import FieldModel
from voxeldose.dose.recovery.fit import Fit, start_fit
from voxeldose.dose.recovery.solve import System, conjugate_gradients
from voxeldose.dose.recovery.tier1 import labbe_means, region_columns


def noisy(clean):
    return clean + 0.2 * np.random.default_rng(5).standard_normal(clean.shape)


def system_of(shape, strength=0.3):
    made = small_model(noisy, shape=shape)
    state = made.model.first_state(0.25)
    power = np.zeros_like(state.power)
    power[:, :2] = strength**2
    state = replace(state, power=power)
    return System(made.model, state, made.model.linearise(state))


def dense(system, matrix):
    shape = system.model.scan.shape
    n = int(np.prod(shape))
    rows = np.empty((n, n), np.float32)
    unit = np.zeros(n, np.float32)
    for i in range(n):
        unit[i] = 1
        rows[i] = matrix(unit.reshape(shape)).ravel()
        unit[i] = 0
    return rows.astype(np.float64)


def test_conjugate_gradients_agree_with_a_dense_solve_on_12_cubed():
    system = system_of((12, 12, 12))
    matrix = dense(system, system.matrix)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-5 * matrix.max())
    right = np.random.default_rng(1).standard_normal(system.model.scan.shape, np.float32)
    found, _ = conjugate_gradients(system.matrix, system.precondition, right, tolerance=1e-5)
    wanted = np.linalg.solve((matrix + matrix.T) / 2, right.ravel().astype(np.float64)).reshape(right.shape)
    assert np.linalg.norm(found - wanted) < 1e-3 * np.linalg.norm(wanted)


def test_draws_have_the_covariance_of_the_dense_posterior():
    system = system_of((8, 9, 8))
    matrix = dense(system, system.matrix)
    columns = np.stack([c.whole(system.model.scan.shape).ravel() for c in system.columns]).astype(np.float64)
    prior = np.diag(system.column_sd**2)
    wanted = prior - prior @ columns @ np.linalg.solve(matrix, columns.T) @ prior
    rng = np.random.default_rng(11)
    draws = [system.draw(rng) for _ in range(250)]
    found = np.cov(np.array([np.concatenate((d.means, d.motion_mm)) for d in draws]).T)
    sd = np.sqrt(np.diag(wanted))
    np.testing.assert_allclose(np.sqrt(np.diag(found))[:2], sd[:2], rtol=0.15)
    np.testing.assert_allclose(np.sqrt(np.diag(found))[3:], sd[3:], rtol=0.15)
    apart = (found - wanted) / np.outer(sd, sd)
    assert np.abs(apart).max() < 0.25  # four standard errors of a correlation from 250 draws
    deviations = np.array([d.fields[0][4, 4, 4] for d in draws])
    unit = np.zeros(system.model.scan.shape, np.float32)
    unit[4, 4, 4] = 1
    from voxeldose.dose.recovery.spectra import apply

    there = apply(system.linear.gain[0] * apply(unit, system.field_power[0]), system.model.scan.texture_blur).ravel()
    variance = 1 - there.astype(np.float64) @ np.linalg.solve(matrix, there.astype(np.float64))
    assert deviations.std() == pytest.approx(np.sqrt(variance), rel=0.15)


def test_without_texture_and_prior_the_field_method_is_labbe():
    """The limit c = 0: weighted least squares of region means, here with noise that no neighbour shares."""
    made = small_model(noisy, parameters=False)
    columns = region_columns(made.scan, made.masks)
    wanted = labbe_means(made.scan, columns)
    wide = FieldModel(made.scan, made.model.partition, (), wanted.copy(), np.full(3, 5.0))
    state = wide.first_state(0.25)
    state = replace(state, power=np.zeros_like(state.power), white_part=100.0)
    linear = wide.linearise(state)
    system = System(wide, state, linear)
    right_of = system.solve(tolerance=1e-6)
    np.testing.assert_allclose(right_of.means[:2], wanted[:2], rtol=1e-4, atol=1e-4)


def test_the_same_seed_draws_the_same_whatever_the_threads(monkeypatch):
    from voxeldose.dose.recovery.draws import draw_activity

    made = small_model(noisy)
    fit = start_fit(made.model, np.random.default_rng(1))
    fit = Fit(fit.model, fit.state, fit.linear, fit.strengths)
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    one = draw_activity(fit, 2, 7)
    monkeypatch.setenv("NUMBA_NUM_THREADS", "2")
    two = draw_activity(fit, 2, 7)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.activity, b.activity)
