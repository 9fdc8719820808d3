import hashlib
import itertools
import time
from importlib import resources

import numpy as np
import pytest
from remarks import refusal

from benchmarks.bench_kernel import merged_from_eighths
from voxeldose.dose.engines import voxelise as closed_form
from voxeldose.dose.engines.voxelise import voxelise
from voxeldose.errors import GeometryError, InputError, QuantityError
from voxeldose.model.kernel import PointKernel, point_kernel

KERNEL = point_kernel("y90-water")


def test_package_kernel_has_its_provenance_and_hash():
    raw = (resources.files("voxeldose") / "tables" / "y90-water.csv").read_bytes()
    assert KERNEL.sha256 == hashlib.sha256(raw).hexdigest()
    assert "Monte Carlo" in KERNEL.source
    assert KERNEL.mev_per_decay == 0.93334
    assert KERNEL.density_g_per_ml == 1.0


@pytest.mark.parametrize(("part", "radius"), [(0.5, 2.354), (0.9, 5.448), (0.95, 6.351), (0.99, 8.131)])
def test_package_kernel_has_the_ranges_of_its_readme(part, radius):
    assert KERNEL.within(radius) == pytest.approx(part, abs=2e-4)


@pytest.mark.parametrize("spacing", [(3, 3, 3), (3.27, 4.6875, 4.6875), (1, 4, 9), (20, 2, 2), (0.8, 0.9, 1.1)])
@pytest.mark.parametrize("density", [0.26, 1.0, 1.9])
def test_voxel_kernel_holds_the_energy_within_reach_at_any_spacing(spacing, density):
    if density == 0.26 and min(spacing) < 1:
        spacing = (1.6, 1.8, 2.2)  # the same mass thickness; 46 mm of reach in lung would take 1e6 voxels
    kernel = voxelise(KERNEL, spacing, density_g_per_ml=density)
    # rounding of the sum over some 1e5 voxels
    assert kernel.energy_fraction.sum() == pytest.approx(KERNEL.within(12), abs=1e-9)
    assert kernel.fraction_outside == pytest.approx(1 - KERNEL.within(12), abs=1e-9)
    assert kernel.energy_fraction.min() >= 0


def test_voxel_kernel_is_symmetric_with_odd_sizes_and_its_axes_in_array_order():
    kernel = voxelise(KERNEL, (6.0, 3.0, 2.0)).energy_fraction
    assert all(n % 2 == 1 for n in kernel.shape)
    assert kernel.shape[0] < kernel.shape[1] < kernel.shape[2]
    for axis in range(3):
        np.testing.assert_array_equal(kernel, np.flip(kernel, axis))


@pytest.mark.parametrize("spacing", [(5.0, 3.0, 2.0), (4.0, 4.0, 3.0), (1.5, 6.0, 1.5)])
def test_axes_swapped_in_spacing_are_swapped_in_the_kernel(spacing):
    a = voxelise(KERNEL, spacing).energy_fraction
    b = voxelise(KERNEL, (spacing[2], spacing[0], spacing[1])).energy_fraction
    np.testing.assert_allclose(a.transpose(2, 0, 1), b, rtol=0, atol=1e-12 * a.max())  # rounding


def test_density_scaling_is_the_same_mass_thickness():
    a = voxelise(KERNEL, (4.0, 4.0, 4.0), density_g_per_ml=0.5)
    b = voxelise(KERNEL, (2.0, 2.0, 2.0), density_g_per_ml=1.0)
    np.testing.assert_allclose(a.energy_fraction, b.energy_fraction, atol=1e-12)
    # rho^2 in dose per decay: half the density and eight times the volume
    np.testing.assert_allclose(a.gy_per_decay, b.gy_per_decay / 4, rtol=1e-9)


def test_weights_agree_with_brute_force_pairs_of_points():
    spacing = np.array([3.0, 4.0, 4.6])
    rng = np.random.default_rng(7)
    n = 2_000_000
    source = rng.uniform(-0.5, 0.5, (n, 3)) * spacing
    direction = rng.normal(size=(n, 3))
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    radius = np.interp(rng.uniform(0, KERNEL.within(12), n), KERNEL.energy_fraction_within, KERNEL.radius_mm)
    hit = np.rint((source + direction * radius[:, None]) / spacing).astype(int)
    kernel = voxelise(KERNEL, tuple(spacing)).energy_fraction
    half = np.array(kernel.shape) // 2
    for offset in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1), (0, 2, 0)]:
        counted = (np.abs(hit) == np.abs(offset)).all(axis=1).mean()
        mirrored = 2 ** np.count_nonzero(offset)
        expected = kernel[tuple(half + offset)] / KERNEL.within(12) * mirrored
        assert counted == pytest.approx(expected, abs=4 * np.sqrt(expected / n))  # four standard deviations


CUBES = [(s,) * 3 for s in (1.0, 1.5, 2.0, 3.0, 4.42, 4.8, 6.0, 10.0)]
BOXES = [(3.0, 4.07, 4.07), (1.0, 1.1, 1.2), (1.0, 4.0, 9.0), (10.0, 2.0, 2.0), (7.0, 1.3, 3.0)]


@pytest.mark.parametrize("spacing", CUBES + BOXES)
def test_weights_are_those_of_the_voxels_cut_in_eighths(spacing):
    """Both sum over the radius in steps of their own; the documented accuracy is 1e-5 of each weight that matters."""
    found = voxelise(KERNEL, spacing).energy_fraction
    limit = merged_from_eighths(voxelise(KERNEL, tuple(s / 2 for s in spacing)).energy_fraction, found.shape)
    heavy = limit > 1e-4 * limit.max()
    assert abs(found.max() / limit.max() - 1) < 1e-6
    assert np.abs(found[heavy] / limit[heavy] - 1).max() < 1e-5
    assert np.abs(found - limit).max() < 1e-6 * limit.max()


def weight_by_gauss(per_mm, spacing, reach_mm, offset, order=12, parts=3):
    """f(offset) in Cartesian coordinates: Gauss-Legendre in parts of the lattice's cells, Duffy's pyramids at the origin."""
    x, w = np.polynomial.legendre.leggauss(order)
    u, v, t = np.meshgrid(*[(x + 1) / 2] * 3, indexing="ij")
    product = (w[:, None, None] * w[:, None] * w) / 8
    spacing, offset = np.array(spacing), np.array(offset)
    step, total = spacing / parts, 0.0

    def part(point, jacobian):
        r = np.linalg.norm(point, axis=-1)
        tri = np.clip(1 - np.abs(point / spacing - offset), 0, None).prod(axis=-1)
        return float((product * jacobian * tri * per_mm(r) / (4 * np.pi * r**2)).sum() * step.prod())

    for cell in itertools.product(*[range(max(0, (o - 1) * parts), (o + 1) * parts) for o in offset]):
        if any(cell):
            if np.linalg.norm(step * cell) < reach_mm:
                total += part((np.stack((u, v, t), axis=-1) + cell) * step, 1.0)
        else:
            for axis in range(3):
                point = np.roll(np.stack((u, u * v, u * t), axis=-1), axis, axis=-1)
                total += part(point * step, u**2)
    return total * 2 ** np.count_nonzero(offset == 0)


OFFSETS = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 1, 1), (2, 0, 0), (2, 1, 0)]


@pytest.mark.parametrize("spacing", [(3.0, 3.0, 3.0), (2.0, 3.0, 4.5)])
def test_weights_are_those_of_an_independent_integration_of_a_smooth_kernel(spacing):
    end = 9.0
    radius = np.linspace(0, end, 901)
    kernel = PointKernel(radius, 1 - (1 - radius / end) ** 5, 1.0, 1.0, "made for a test")
    weights = voxelise(kernel, spacing).energy_fraction
    middle = np.array(weights.shape) // 2
    for offset in OFFSETS:
        expected = weight_by_gauss(lambda r: 5 / end * np.clip(1 - r / end, 0, 1) ** 4, spacing, end, offset)
        assert weights[tuple(middle + offset)] == pytest.approx(expected, rel=5e-6), offset


def test_weights_of_the_package_kernel_are_those_of_an_independent_integration():
    spacing = (3.0, 4.07, 4.07)
    weights = voxelise(KERNEL, spacing).energy_fraction
    middle = np.array(weights.shape) // 2

    def per_mm(r):
        return np.where(r < 12, KERNEL.at(r.ravel())[1].reshape(r.shape), 0)

    for offset in OFFSETS[1:]:  # shells of 0.01 mm at the origin need another rule: the sum holds the self weight
        expected = weight_by_gauss(per_mm, spacing, 12, offset, order=10, parts=6)
        assert weights[tuple(middle + offset)] == pytest.approx(expected, rel=3e-6), offset


def test_the_direction_integrals_are_those_of_counted_directions():
    rng = np.random.default_rng(5)
    u = np.abs(rng.normal(size=(400_000, 3)))
    u /= np.linalg.norm(u, axis=1)[:, None]
    for x, y, z, r in [(1, 2, 3, 5.0), (0, 1, 2, 3.0), (0, 0, 2, 3.0), (0.1, 0.2, 4, 5.0), (0, 0, 0, 2.0)]:
        ramps = np.clip(r * u - (x, y, z), 0, None)
        number = [np.float64(n) for n in (x, y, z, r)]
        for found, sample in (
            (closed_form._three_ramps(*number), ramps.prod(axis=1)),
            (closed_form._two_ramps(*number[1:]), ramps[:, 1:].prod(axis=1)),
            (closed_form._one_ramp(*number[2:]), ramps[:, 2]),
        ):
            error = sample.std() / np.sqrt(sample.size)
            assert found == pytest.approx(np.pi / 2 * sample.mean(), abs=np.pi / 2 * 4.5 * error)  # 4.5 sigma


def test_voxelising_takes_milliseconds():
    best = np.inf
    for _ in range(20):
        start = time.process_time()
        voxelise(KERNEL, (3.0, 4.07, 4.07))
        best = min(best, time.process_time() - start)
    assert best < 0.02  # 1 ms on a quiet machine; the point is that it is not 100


STEPS = PointKernel(np.array([0, 1.0, 3.0, 3.5, 8.0]), np.array([0, 0.2, 0.2, 0.9, 1.0]), 1.0, 1.0, "steps")
LOCAL = PointKernel(np.array([0, 1e-6]), np.array([0, 1.0]), 1.0, 1.0, "local")
LOCAL_LONG = PointKernel(np.array([0, 1e-6, 5, 20]), np.array([0, 1.0, 1.0, 1.0]), 1.0, 1.0, "local")
LATE = PointKernel(np.array([0, 5.0, 30.0]), np.array([0, 0.0, 1.0]), 1.0, 1.0, "nothing within 5 mm")
COARSE = PointKernel(np.linspace(0, 40, 9), 1 - np.exp(-np.linspace(0, 40, 9) / 9), 1.0, 1.0, "coarse")


@pytest.mark.parametrize("kernel", [STEPS, LOCAL, LOCAL_LONG, LATE, COARSE])
@pytest.mark.parametrize(
    ("spacing", "reach"),
    [((3, 3, 3), 12), ((1, 4, 9), 12), ((2, 3, 4.1), 30), ((0.7, 3, 3), 12), ((50, 60, 70), 12), ((3, 3, 3), 4)],
)
def test_any_table_gives_weights_that_are_not_negative_add_up_and_mirror(kernel, spacing, reach):
    made = voxelise(kernel, spacing, reach_mm=reach)
    assert made.energy_fraction.min() >= 0
    assert made.energy_fraction.sum() == pytest.approx(kernel.within(reach), abs=1e-12)
    assert made.fraction_outside == pytest.approx(1 - kernel.within(reach), abs=1e-12)
    for axis in range(3):
        np.testing.assert_array_equal(made.energy_fraction, np.flip(made.energy_fraction, axis))


def test_local_deposition_stays_in_its_voxel():
    assert voxelise(LOCAL, (3, 3, 3)).energy_fraction.max() == pytest.approx(1, abs=1e-6)
    assert voxelise(LOCAL_LONG, (3, 3, 3)).energy_fraction.max() == pytest.approx(1, abs=1e-6)


def test_a_kernel_without_energy_within_reach_is_zero():
    made = voxelise(LATE, (3, 3, 3), reach_mm=4)
    assert made.energy_fraction.max() == 0
    assert made.fraction_outside == 1


def test_between_its_radii_a_kernel_rises_smoothly_and_keeps_its_table():
    radius = np.linspace(0, 8, 20_001)
    for kernel in (KERNEL, STEPS, COARSE):
        within, per_mm = kernel.at(radius)
        assert (np.diff(within) >= -1e-15).all()
        assert per_mm.min() >= 0
        np.testing.assert_allclose(kernel.at(kernel.radius_mm)[0], kernel.energy_fraction_within, atol=1e-15)
        np.testing.assert_allclose(np.cumsum(per_mm)[:-1] * radius[1], within[1:], atol=2e-3)
    assert KERNEL.within(600) == KERNEL.energy_fraction_within[-1]
    assert KERNEL.at(np.array([600.0]))[1][0] == 0


@pytest.mark.parametrize("spacing", [(4.8, 4.8, 4.8), (3.0, 4.0, 4.0)])
def test_the_far_field_is_that_of_the_point_kernel(spacing):
    made = voxelise(KERNEL, spacing, reach_mm=100)
    assert made.energy_fraction.sum() == pytest.approx(KERNEL.within(100), abs=1e-12)
    half = np.array(made.energy_fraction.shape) // 2
    for axis in range(3):
        along = np.moveaxis(made.energy_fraction, axis, 0)
        line = along[half[axis] :, along.shape[1] // 2, along.shape[2] // 2]
        r = np.arange(line.size) * spacing[axis]
        inner = (r > 20) & (r < 90)
        expected = np.prod(spacing) * KERNEL.at(r[inner])[1] / (4 * np.pi * r[inner] ** 2)
        np.testing.assert_allclose(line[inner], expected, rtol=0.06)  # the table's 1 mm shells have 2 % noise there
    distance = np.sqrt(
        sum(((n - h) * a) ** 2 for n, h, a in zip(np.indices(made.energy_fraction.shape), half, spacing, strict=True))
    )
    for radius in (20, 30, 50, 80):
        assert made.energy_fraction[distance < radius].sum() == pytest.approx(KERNEL.within(radius), abs=2e-5)
    near = voxelise(KERNEL, spacing).energy_fraction
    inside = tuple(slice(h - 1, h + 2) for h in half)
    core = tuple(slice(n // 2 - 1, n // 2 + 2) for n in near.shape)
    np.testing.assert_allclose(made.energy_fraction[inside], near[core], rtol=1e-3)


def test_a_reach_of_half_a_metre_holds_the_bremsstrahlung():
    made = voxelise(KERNEL, (10.0, 10.0, 10.0), reach_mm=500)
    assert made.energy_fraction.shape == (101, 101, 101)
    assert made.fraction_outside == pytest.approx(1 - KERNEL.within(500), abs=1e-12)


def test_energy_can_be_replaced_without_touching_the_shape():
    other = KERNEL.with_energy(0.9267)
    own = voxelise(KERNEL, (3.0, 3.0, 3.0)).gy_per_decay
    np.testing.assert_allclose(voxelise(other, (3.0, 3.0, 3.0)).gy_per_decay, own * 0.9267 / 0.93334, rtol=1e-12)


@pytest.mark.parametrize("spacing", [(0, 1, 1), (1, -1, 1), (1, 1), (np.nan, 1, 1)])
def test_an_impossible_voxel_is_refused(spacing):
    with pytest.raises(GeometryError, check=refusal("spacing-impossible")):
        voxelise(KERNEL, spacing)


def test_an_impossible_density_or_reach_is_refused():
    with pytest.raises(QuantityError):
        voxelise(KERNEL, (3, 3, 3), density_g_per_ml=0)
    with pytest.raises(QuantityError):
        voxelise(KERNEL, (3, 3, 3), reach_mm=0)


def test_an_unknown_kernel_names_the_known():
    with pytest.raises(InputError, check=refusal("name-unknown")):
        point_kernel("ho166-water")


def test_a_range_factor_moves_every_shell_out_and_keeps_the_energy():
    kernel = point_kernel()
    tissue = kernel.with_range(1.0122)
    radius = np.array([0.5, 2.0, 5.0, 9.0])
    np.testing.assert_allclose(tissue.at(1.0122 * radius)[0], kernel.at(radius)[0], rtol=1e-12)
    assert tissue.mev_per_decay == kernel.mev_per_decay
    assert tissue.density_g_per_ml == kernel.density_g_per_ml
    assert "range times 1.0122" in tissue.source


@pytest.mark.parametrize("factor", [0.5, 1.2, 0, float("nan")])
def test_a_range_factor_far_from_one_is_refused(factor):
    with pytest.raises(QuantityError, check=refusal("value-out-of-range")):
        point_kernel().with_range(factor)
