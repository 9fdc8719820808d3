from dataclasses import replace

import numpy as np
import pytest
from remarks import refusal
from scipy import ndimage, signal

from voxeldose._compiled.convolve import find_reach
from voxeldose.dose.engines import convolve
from voxeldose.dose.engines.convolution import Convolution
from voxeldose.dose.engines.local import LocalDeposition
from voxeldose.dose.engines.voxelise import voxelise
from voxeldose.errors import GeometryError, QuantityError
from voxeldose.model.grid import Grid
from voxeldose.model.kernel import point_kernel
from voxeldose.model.radionuclide import JOULE_PER_MEV, Y90, Y90_ICRP107
from voxeldose.model.volume import DecayMap, DensityMap

KERNEL = point_kernel()
GRID = Grid.from_axes((21, 19, 23), (3.0, 4.0, 2.5), (5, 6, 7))


def decay_map(values, grid=GRID, radionuclide=Y90):
    return DecayMap(values, grid, radionuclide=radionuclide)


def point_source(at=(10, 9, 11), grid=GRID):
    values = np.zeros(grid.shape, np.float32)
    values[at] = 1e12
    return decay_map(values, grid)


def energy_j(dose, density):
    return float(dose.gy.sum(dtype=np.float64)) * density * dose.grid.voxel_volume_ml * 1e-3


def test_dose_of_one_voxel_is_the_kernel_centred_on_it():
    dose = Convolution(KERNEL).dose(point_source(), 1.0)
    kernel = voxelise(KERNEL.with_energy(Y90.energy_mev), GRID.spacing_mm).gy_per_decay
    half = [n // 2 for n in kernel.shape]
    part = tuple(slice(c - h, c + h + 1) for c, h in zip((10, 9, 11), half, strict=True))
    np.testing.assert_allclose(dose.gy[part], kernel * 1e12, rtol=1e-6, atol=1e-9 * dose.gy.max())  # float32 storage
    assert np.unravel_index(dose.gy.argmax(), dose.gy.shape) == (10, 9, 11)


@pytest.mark.parametrize("density", [0.9, 1.0, 1.06])
def test_energy_in_is_energy_out_plus_the_stated_loss(density):
    decays = point_source()
    dose = Convolution(KERNEL).dose(decays, density)
    emitted = decays.total() * Y90.energy_mev * JOULE_PER_MEV
    assert energy_j(dose, density) == pytest.approx(emitted * (1 - dose.energy_lost_fraction), rel=1e-5)
    assert dose.energy_lost_fraction == pytest.approx(1 - KERNEL.within(12), abs=1e-6)


def test_energy_that_leaves_the_image_is_in_the_stated_loss():
    dose = Convolution(KERNEL).dose(point_source((0, 0, 0)), 1.0)
    kernel = voxelise(KERNEL, GRID.spacing_mm).energy_fraction
    corner = kernel[tuple(slice(n // 2, None) for n in kernel.shape)]
    assert dose.energy_lost_fraction == pytest.approx(1 - corner.sum(), abs=1e-6)
    assert dose.energy_lost_fraction > 0.4


def test_nothing_wraps_around_the_image():
    dose = Convolution(KERNEL).dose(point_source((0, 0, 0)), 1.0).gy
    assert dose[0, 0, 0] == dose.max()
    assert dose[10:].max() == dose[:, 10:].max() == dose[:, :, 12:].max() == 0


def test_a_kernel_wider_than_the_image_is_cut_and_not_folded():
    small = Grid.from_axes((2, 3, 1), (3.0, 4.0, 2.5), (0, 0, 0))
    values = np.arange(1, 7, dtype=np.float32).reshape(small.shape) * 1e10
    dose = Convolution(KERNEL).dose(decay_map(values, small), 1.0).gy
    kernel = voxelise(KERNEL.with_energy(Y90.energy_mev), small.spacing_mm).gy_per_decay
    c = [n // 2 for n in kernel.shape]
    expected = np.zeros(small.shape)
    for target in np.ndindex(small.shape):
        for source in np.ndindex(small.shape):
            offset = tuple(c[a] + target[a] - source[a] for a in range(3))
            expected[target] += values[source] * kernel[offset]
    np.testing.assert_allclose(dose, expected, rtol=1e-6)


def test_fft_agrees_with_a_direct_sum_over_the_kernel():
    rng = np.random.default_rng(1)
    values = rng.normal(1, 2, GRID.shape).astype(np.float32) * 1e10
    dose = Convolution(KERNEL).dose(decay_map(values), 1.04).gy
    kernel = voxelise(KERNEL.with_energy(Y90.energy_mev), GRID.spacing_mm, density_g_per_ml=1.04).gy_per_decay
    half = [n // 2 for n in kernel.shape]
    padded = np.pad(values.astype(float), [(h, h) for h in half])
    direct = np.zeros(GRID.shape)
    for index, weight in np.ndenumerate(kernel):
        part = tuple(slice(2 * h - n, 2 * h - n + size) for h, n, size in zip(half, index, GRID.shape, strict=True))
        direct += weight * padded[part]
    np.testing.assert_allclose(dose, direct, atol=2e-7 * np.abs(direct).max())  # float32 storage


def test_non_negative_activity_gives_no_negative_dose_and_noise_keeps_its_sign():
    values = np.zeros(GRID.shape, np.float32)
    values[10, 9, 11] = 1e12
    assert Convolution(KERNEL).dose(decay_map(values), 1.0).gy.min() == 0
    values[5, 9, 11] = -1e12
    assert Convolution(KERNEL).dose(decay_map(values), 1.0).gy.min() < -100


def test_no_activity_gives_no_dose():
    dose = Convolution(KERNEL).dose(decay_map(np.zeros(GRID.shape)), 1.0)
    assert dose.gy.max() == dose.gy.min() == 0
    assert dose.energy_lost_fraction == 0


def test_an_oblique_grid_gives_the_same_dose_as_an_axial_one():
    angle = np.radians(25)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    axes = turn @ np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], float)
    oblique = Grid.from_axes(GRID.shape, GRID.spacing_mm, (5, 6, 7), directions=axes)
    a = Convolution(KERNEL).dose(point_source(), 1.04).gy
    b = Convolution(KERNEL).dose(point_source(grid=oblique), 1.04).gy
    np.testing.assert_allclose(a, b, rtol=1e-6)


def test_kernel_takes_the_energy_of_the_runs_constants():
    ddep = Convolution(KERNEL).dose(point_source(), 1.0).gy
    icrp = Convolution(KERNEL).dose(decay_map(point_source().decays, radionuclide=Y90_ICRP107), 1.0).gy
    np.testing.assert_allclose(icrp, ddep * np.float32(0.9329 / 0.9267), rtol=1e-6)


def test_local_deposition_kernel_and_k_agree():
    uniform = decay_map(np.full(GRID.shape, 1e9 * Y90.decays_per_bq()))  # 1 GBq in each voxel
    local = LocalDeposition().dose(uniform, 1.0)
    kg = GRID.voxel_volume_ml * 1e-3
    assert local.gy[0, 0, 0] * kg == pytest.approx(Y90.gy_kg_per_gbq, rel=1e-6)
    wide = Grid.from_axes((31, 31, 31), (3.0, 4.0, 2.5), (0, 0, 0))
    dpk = Convolution(KERNEL).dose(decay_map(np.full(wide.shape, 1e9 * Y90.decays_per_bq()), wide), 1.0)
    assert dpk.gy[15, 15, 15] * kg == pytest.approx(Y90.gy_kg_per_gbq * KERNEL.within(12), rel=1e-5)


def test_a_voxel_kernel_of_another_spacing_or_density_is_refused():
    with pytest.raises(GeometryError, check=refusal("kernel-spacing-differs")):
        Convolution(voxelise(KERNEL, (3, 3, 3))).dose(point_source(), 1.0)
    with pytest.raises(
        QuantityError, match=r"1\.0 g/mL but the run has 1\.04", check=refusal("kernel-density-differs")
    ):
        Convolution(voxelise(KERNEL, GRID.spacing_mm)).dose(point_source(), 1.04)


def test_a_fitting_voxel_kernel_is_used_as_it_is():
    kernel = voxelise(KERNEL, GRID.spacing_mm)
    np.testing.assert_array_equal(
        Convolution(kernel).dose(point_source(), 1.0).gy, Convolution(KERNEL).dose(point_source(), 1.0).gy
    )


def test_a_sheared_grid_is_refused_by_convolution_and_fine_for_local_deposition():
    affine = GRID.affine_lps_mm.copy()
    affine[:3, 0] += 0.3 * affine[:3, 2]
    sheared = point_source(grid=Grid(GRID.shape, affine))
    with pytest.raises(GeometryError, check=refusal("grid-sheared")):
        Convolution(KERNEL).dose(sheared, 1.0)
    assert LocalDeposition().dose(sheared, 1.0).gy.max() > 0


def test_convolution_refuses_a_density_image():
    with pytest.raises(QuantityError, check=refusal("engine-takes-no-density-image")):
        Convolution(KERNEL).dose(point_source(), DensityMap(np.ones(GRID.shape), GRID))


@pytest.mark.parametrize("density", [0, -1, np.nan, 0.01])
@pytest.mark.parametrize("engine", [Convolution(KERNEL), LocalDeposition()])
def test_a_density_of_air_or_less_is_refused(engine, density):
    with pytest.raises(QuantityError):
        engine.dose(point_source(), density)


def test_local_deposition_divides_by_each_voxels_density_and_says_what_falls_in_air():
    density = np.ones(GRID.shape, np.float32)
    density[:10] = 0.3
    density[0] = 0.001
    decays = decay_map(np.ones(GRID.shape) * 1e12)
    dose = LocalDeposition().dose(decays, DensityMap(density, GRID))
    assert dose.gy[5, 0, 0] == pytest.approx(dose.gy[15, 0, 0] / 0.3, rel=1e-6)
    assert dose.gy[0].max() == 0
    assert dose.energy_lost_fraction == pytest.approx(1 / 21)


def test_local_deposition_refuses_a_density_on_another_grid():
    other = GRID.window((1, 0, 0), GRID.shape)
    with pytest.raises(GeometryError, check=refusal("grid-differs")):
        LocalDeposition().dose(point_source(), DensityMap(np.ones(GRID.shape), other))


def test_a_voxel_that_is_no_number_is_refused():
    values = np.zeros(GRID.shape)
    values[0, 0, 0] = np.inf
    for engine in (Convolution(KERNEL), LocalDeposition()):
        with pytest.raises(QuantityError, check=refusal("value-not-finite")):
            engine.dose(decay_map(values), 1.0)


SPACINGS = ((3.0, 4.0, 2.5), (6.0, 1.9, 3.1), (2.5, 5.0, 13.0), (30.0, 4.0, 4.0))
METHODS = ("direct", "planes", "box")


def kernel_for(spacing):
    return voxelise(KERNEL, spacing).energy_fraction


def spread(values, kernel, **how):
    return convolve.convolve(values, kernel, find_reach(values, kernel.shape), **how)


def reference(values, kernel):
    return ndimage.convolve(values.astype(float), kernel, mode="constant")


def lumps(shape, seed=0):
    """Two separate boxes of noise, one at the image's edge."""
    rng = np.random.default_rng(seed)
    values = np.zeros(shape, np.float32)
    for part in ((slice(0, 3), slice(2, 9), slice(30, None)), (slice(9, 14), slice(15, 20), slice(5, 22))):
        values[part] = rng.random(values[part].shape, np.float32)
    return values


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("shape", [(17, 29, 41), (1, 29, 41), (17, 1, 41), (17, 29, 1), (2, 3, 1)])
def test_all_methods_agree_with_a_direct_sum_in_float64(spacing, shape):
    kernel = kernel_for(spacing)
    dense = np.random.default_rng(3).random(shape, np.float32)
    for values in (dense, lumps(shape) if lumps(shape).any() else -dense, dense - np.float32(0.6)):
        expected = reference(values, kernel)
        largest = np.abs(expected).max()
        direct, planes, box = (spread(values, kernel, method=m) for m in METHODS)
        np.testing.assert_allclose(direct, expected, rtol=2e-6, atol=1e-6 * largest if values.min() < 0 else 0)
        np.testing.assert_allclose(planes, expected, rtol=0, atol=1e-6 * largest)  # float32 FFT
        np.testing.assert_allclose(box, expected, rtol=0, atol=1e-6 * largest)


@pytest.mark.parametrize("method", METHODS)
def test_any_number_of_threads_gives_the_same_bits(method):
    for values in (np.random.default_rng(5).random((37, 30, 45), np.float32), lumps((37, 30, 45))):
        one = spread(values, kernel_for((3, 4, 2.5)), method=method, threads=1)
        for threads in (2, 3, 4):
            several = spread(values, kernel_for((3, 4, 2.5)), method=method, threads=threads)
            np.testing.assert_array_equal(several.view(np.int32), one.view(np.int32))


@pytest.mark.parametrize("method", METHODS)
def test_dose_is_zero_beyond_reach_and_never_negative(method):
    kernel = kernel_for((3, 4, 2.5))
    for at in ((8, 14, 20), (0, 0, 0), (16, 28, 40)):
        values = np.zeros((17, 29, 41), np.float32)
        values[at] = 1e9
        dose = spread(values, kernel, method=method)
        inside = tuple(slice(max(0, c - n // 2), c + n // 2 + 1) for c, n in zip(at, kernel.shape, strict=True))
        assert dose[inside].min() >= 0
        dose[inside] = 0
        assert not dose.any()
    dose = spread(lumps((17, 29, 41)), kernel, method=method)
    assert dose.min() == 0
    assert not dose[reference((lumps((17, 29, 41)) > 0).astype(float), np.ones(kernel.shape)) == 0].any()


def test_direct_sum_has_no_noise_where_the_dose_is_small():
    values = np.zeros((1, 1, 40), np.float32)
    values[0, 0, 20] = 1e12
    kernel = kernel_for((1.0, 1.0, 1.0))
    line = kernel[kernel.shape[0] // 2, kernel.shape[1] // 2]
    assert line.min() < 1e-4 * line.max()
    dose = spread(values, kernel, method="direct")[0, 0, 20 - line.size // 2 :][: line.size]
    np.testing.assert_allclose(dose, line * 1e12, rtol=3e-7)


@pytest.mark.parametrize(
    ("shape", "spacing", "method"),
    [
        ((60, 90, 80), (4.8, 4.8, 4.8), "direct"),  # large voxels: a short kernel
        ((60, 90, 80), (3.0, 4.07, 4.07), "direct"),
        ((60, 90, 80), (1.0, 1.0, 1.0), "planes"),  # small ones: a kernel of 25 voxels along each axis
        ((20, 25, 30), (4.8, 4.8, 4.8), "box"),  # an image of moderate size
    ],
)
def test_the_method_is_chosen_by_the_sizes_of_kernel_and_activity(shape, spacing, method):
    values = np.random.default_rng(9).random(shape, np.float32)
    kernel = kernel_for(spacing)
    chosen = spread(values, kernel)
    for other in ("direct", "planes", "box"):
        if other == method or not (
            other == "direct" and min(spacing) == 1
        ):  # the direct sum of that would take minutes
            same = np.array_equal(spread(values, kernel, method=other), chosen)  # each rounds in its own way
            assert same == (other == method)


def test_negative_zeros_are_no_activity():
    values = lumps((17, 29, 41))
    kernel = kernel_for((3, 4, 2.5))
    np.testing.assert_array_equal(
        spread(np.where(values == 0, np.float32(-0.0), values), kernel), spread(values, kernel)
    )
    assert find_reach(np.full((3, 4, 5), np.float32(-0.0)), kernel.shape) is None


def test_an_asymmetric_voxel_kernel_is_convolved_and_not_mirrored():
    fit = voxelise(KERNEL, GRID.spacing_mm)
    lopsided = fit.energy_fraction * np.random.default_rng(7).uniform(0.5, 1.5, fit.energy_fraction.shape)
    values = np.random.default_rng(8).random(GRID.shape).astype(np.float32)
    dose = Convolution(replace(fit, energy_fraction=lopsided)).dose(decay_map(values * 1e10), 1.0).gy
    expected = reference(values, lopsided)
    np.testing.assert_allclose(dose / dose.max(), expected / expected.max(), rtol=1e-6)
    point = Convolution(replace(fit, energy_fraction=lopsided)).dose(point_source(), 1.0).gy
    half = [n // 2 for n in lopsided.shape]
    part = tuple(slice(c - h, c + h + 1) for c, h in zip((10, 9, 11), half, strict=True))
    np.testing.assert_allclose(point[part] / point.max(), lopsided / lopsided.max(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((17, 29, 41), (3.0, 4.0, 2.5)), ((60, 90, 80), (4.8, 4.8, 4.8)), ((60, 90, 80), (1.0, 1.0, 1.0))],
    ids=["box", "direct", "planes"],
)
def test_the_stated_loss_is_the_energy_that_is_missing(shape, spacing):
    grid = Grid.from_axes(shape, spacing, (0, 0, 0))
    values = lumps(shape) if shape[0] == 17 else np.random.default_rng(10).random(shape, np.float32)
    decays = decay_map(values * 1e9, grid)
    kept = signal.fftconvolve(decays.decays.astype(float), kernel_for(spacing), mode="same").sum()
    lost = 1 - kept / decays.decays.sum(dtype=float)
    assert Convolution(KERNEL).dose(decays, 1.0).energy_lost_fraction == pytest.approx(lost, abs=1e-6)


def test_values_whose_sum_exceeds_float32_are_not_refused():
    grid = Grid.from_axes((1, 1, 500), (4.0, 4.0, 4.0), (0, 0, 0))
    dose = Convolution(KERNEL).dose(decay_map(np.full(grid.shape, 1e36), grid), 1.0)
    assert np.isfinite(dose.gy).all()
    assert 0 < dose.energy_lost_fraction < 1


def test_the_dose_is_read_only_and_the_decays_are_as_they_were():
    decays = point_source()
    before = decays.decays.copy()
    dose = Convolution(KERNEL).dose(decays, 1.0)
    assert not dose.gy.flags.writeable
    np.testing.assert_array_equal(decays.decays, before)
