"""Published numbers and closed forms; each with its source."""

import numpy as np
import pytest

from voxeldose.dpk import point_kernel, voxelise
from voxeldose.engines.convolution import Convolution
from voxeldose.grid import Grid
from voxeldose.radionuclide import Y90
from voxeldose.volume import DecayMap

KERNEL = point_kernel()

# Lanconelli et al., Phys. Med. Biol. 57 (2012) 517, Y-90 in soft tissue of 1.04 g/mL: mGy/(MBq s) by voxel size in mm
# for offsets 000, 100, 110, 111, 200
LANCONELLI = {
    2.21: (3.00, 5.70e-1, 2.26e-1, 1.20e-1, 7.00e-2),
    2.4: (2.53, 4.71e-1, 1.81e-1, 9.29e-2, 5.21e-2),
    3: (1.59, 2.75e-1, 9.50e-2, 4.29e-2, 2.05e-2),
    3.59: (1.08, 1.73e-1, 5.31e-2, 2.08e-2, 8.10e-3),
    4: (8.58e-1, 1.29e-1, 3.62e-2, 1.27e-2, 4.18e-3),
    4.42: (6.89e-1, 9.73e-2, 2.48e-2, 7.78e-3, 2.10e-3),
    4.8: (5.73e-1, 7.63e-2, 1.78e-2, 5.07e-3, 1.11e-3),
    5: (5.22e-1, 6.75e-2, 1.51e-2, 4.07e-3, 7.89e-4),
    6: (3.42e-1, 3.80e-2, 6.86e-3, 1.45e-3, 1.31e-4),
}
OFFSETS = ((0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 1, 1), (2, 0, 0))
# Two Monte Carlo codes differ by 1 % near the source, 3-5 % at 7-8 mm and 10-20 % at 10-11 mm (README of the kernel),
# where offset 200 of 6 mm voxels has most of its dose: 9.4 % below there, within 1.5 % up to 4.42 mm.
TOLERANCE = (0.02, 0.02, 0.02, 0.04, 0.10)


@pytest.mark.parametrize("size", LANCONELLI)
def test_voxel_s_values_are_those_of_lanconelli(size):
    kernel = voxelise(KERNEL, (size,) * 3, density_g_per_ml=1.04, reach_mm=30)  # with the bremsstrahlung of their grid
    centre = np.array(kernel.gy_per_decay.shape) // 2
    for offset, published, tolerance in zip(OFFSETS, LANCONELLI[size], TOLERANCE, strict=True):
        found = kernel.gy_per_decay[tuple(centre + offset)] * 1e9
        assert found == pytest.approx(published, rel=tolerance), offset


@pytest.mark.parametrize(
    ("spacing", "published", "tolerance"),
    # water; DPM and MIRD 17 as quoted by the shared notes; 4x4x3 mm: that source states 4 %
    [((3, 3, 3), 1.581, 0.01), ((3, 3, 3), 1.61, 0.02), ((6, 6, 6), 0.346, 0.01), ((3, 4, 4), 1.013, 0.04)],
)
def test_self_dose_is_that_of_dpm_and_mird_17(spacing, published, tolerance):
    assert voxelise(KERNEL, spacing).gy_per_decay.max() * 1e9 == pytest.approx(published, rel=tolerance)


@pytest.mark.parametrize(
    ("spacing", "offset", "fraction"),
    # energy fractions from the Graves 2019 kernel, water: self and neighbours; 1 % is the difference of the two kernels
    [
        ((2, 2, 2), (0, 0, 0), 0.1958),
        ((4, 4, 4), (0, 0, 0), 0.3673),
        ((4.42, 4.42, 4.42), (0, 0, 0), 0.3985),
        ((3, 4, 4), (0, 0, 0), 0.3362),
        ((3, 4, 4), (0, 0, 1), 0.0486),
        ((3, 4, 4), (1, 0, 0), 0.0679),
    ],
)
def test_energy_fractions_agree_with_another_point_kernel(spacing, offset, fraction):
    kernel = voxelise(KERNEL, spacing).energy_fraction
    found = kernel[tuple(np.array(kernel.shape) // 2 + offset)]
    assert found == pytest.approx(fraction, rel=0.01)


def sphere_fraction(radius_mm):
    """Self-absorbed energy fraction of a uniform sphere, Σ e(r) (1 - 3x/2 + x³/2) with x = r/2R < 1."""
    radius, within = KERNEL.radius_mm, KERNEL.energy_fraction_within
    middle, energy = (radius[1:] + radius[:-1]) / 2, np.diff(within)
    near = middle < min(2 * radius_mm, 12)
    x = middle[near] / (2 * radius_mm)
    return float((energy[near] * (1 - 1.5 * x + 0.5 * x**3)).sum())


def test_a_uniform_sphere_of_20_mm_keeps_the_known_part_of_its_energy():
    assert sphere_fraction(20) == pytest.approx(0.895, abs=0.01)
    spacing, n = 1.0, 66
    grid = Grid.from_axes((n,) * 3, (spacing,) * 3, (-(n - 1) / 2 * spacing,) * 3)
    index = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), -1)
    inside = np.linalg.norm(grid.points_lps_mm(index), axis=-1) <= 20
    decays = DecayMap(inside * 1e9, grid, radionuclide=Y90)
    dose = Convolution(KERNEL).dose(decays, 1.0)
    local = 1e9 * Y90.energy_mev * 1.602176634e-13 / 1e-6  # Gy, 1 mm voxels of water
    found = float(dose.gy[inside].mean()) / local
    assert found == pytest.approx(0.895, abs=0.01)
    # 1 mm steps of a 20 mm sphere have 1.5 times its surface, on which 10 % of the energy leaves: up to 1 %
    assert found == pytest.approx(sphere_fraction(20), abs=0.01)


@pytest.mark.parametrize(
    ("depth_mm", "level"),
    [(-5, 0.9845), (-3, 0.935), (-2, 0.875), (-1, 0.762), (1, 0.234), (2, 0.121), (3, 0.061), (4, 0.028), (6, 0.004)],
)
def test_the_edge_of_a_half_space_falls_off_as_published(depth_mm, level):
    """Source x < 0; levels from the Graves kernel, which counts the energy within 11 mm as 0.9960 of all."""
    step, n = 0.5, 81
    grid = Grid.from_axes((41, 41, n), (2.0, 2.0, step), (0, 0, 0))
    values = np.zeros(grid.shape)
    values[:, :, : n // 2] = 1e9  # the edge lies between voxels 39 and 40
    values[:, :, n // 2] = 0.5e9  # and the middle voxel is cut in half by it
    dose = Convolution(KERNEL).dose(DecayMap(values, grid, radionuclide=Y90), 1.0).gy
    profile = dose[20, 20] / (1e9 * Y90.energy_mev * 1.602176634e-13 / (grid.voxel_volume_ml * 1e-3))
    found = np.interp(depth_mm, (np.arange(n) - n // 2) * step, profile)
    assert found == pytest.approx(level, abs=0.008)  # the two kernels differ by 0.4 % of the energy at 3-4 mm


def test_nema_spheres_have_their_volumes():
    # worked example 11
    volumes = [np.pi * d**3 / 6 / 1000 for d in (10, 13, 17, 22, 28, 37)]
    np.testing.assert_allclose(volumes, [0.524, 1.150, 2.572, 5.575, 11.494, 26.522], atol=5e-4)
