import hashlib
from importlib import resources

import numpy as np
import pytest

from voxeldose.dpk import PointKernel, point_kernel, voxelise
from voxeldose.errors import GeometryError, InputError, QuantityError

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


def test_axes_swapped_in_spacing_are_swapped_in_the_kernel():
    a = voxelise(KERNEL, (5.0, 3.0, 2.0)).energy_fraction
    b = voxelise(KERNEL, (2.0, 5.0, 3.0)).energy_fraction
    # the set of directions is not the same seen from another axis: its stated error, 1e-5 of the self weight
    np.testing.assert_allclose(a.transpose(2, 0, 1), b, atol=1e-5 * a.max())


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


def test_more_directions_change_no_weight_that_matters(monkeypatch):
    coarse = voxelise(KERNEL, (3.0, 3.0, 3.0)).energy_fraction
    monkeypatch.setattr("voxeldose.dpk._DIRECTIONS_PER_ANGLE", 160)
    fine = voxelise(KERNEL, (3.0, 3.0, 3.0)).energy_fraction
    heavy = fine > 1e-4 * fine.max()
    assert abs(coarse.max() / fine.max() - 1) < 5e-6
    assert np.abs(coarse / np.where(heavy, fine, 1) - 1)[heavy].max() < 2e-3  # the claim beside the constant


def test_energy_can_be_replaced_without_touching_the_shape():
    other = KERNEL.with_energy(0.9267)
    own = voxelise(KERNEL, (3.0, 3.0, 3.0)).gy_per_decay
    np.testing.assert_allclose(voxelise(other, (3.0, 3.0, 3.0)).gy_per_decay, own * 0.9267 / 0.93334, rtol=1e-12)


@pytest.mark.parametrize("spacing", [(0, 1, 1), (1, -1, 1), (1, 1), (np.nan, 1, 1)])
def test_an_impossible_voxel_is_refused(spacing):
    with pytest.raises(GeometryError, match="three positive spacings"):
        voxelise(KERNEL, spacing)


def test_an_impossible_density_or_reach_is_refused():
    with pytest.raises(QuantityError):
        voxelise(KERNEL, (3, 3, 3), density_g_per_ml=0)
    with pytest.raises(QuantityError):
        voxelise(KERNEL, (3, 3, 3), reach_mm=0)


@pytest.mark.parametrize(
    ("radius", "within"),
    [([0, 1, 1], [0, 0.5, 1]), ([0, 1, 2], [0, 0.6, 0.5]), ([0, 1], [0, 1.2]), ([1, 2], [0, 1]), ([0, 1], [0.1, 1])],
)
def test_a_table_that_is_no_kernel_is_refused(radius, within):
    with pytest.raises(QuantityError):
        PointKernel(np.array(radius, float), np.array(within, float), 1.0, 1.0, "test")


def test_an_unknown_kernel_names_the_known():
    with pytest.raises(InputError, match="y90-water"):
        point_kernel("ho166-water")
