"""Rays from an image whose voxels are not those of the dose."""

import numpy as np
import pytest
from ray_cases import GRID, KERNEL, blob, decay_map, engine, liver_and_lung

from voxeldose.dose.engines.convolution import Convolution
from voxeldose.geometry.resample import onto
from voxeldose.model.grid import Grid
from voxeldose.model.radionuclide import JOULE_PER_MEV, Y90

#: A hot voxel of the image, and lattices of the dose in no step with it.
IMAGE = Grid.from_axes((9, 9, 9), (3.0, 4.0, 5.0), (0, 0, 0))
HOT = (4, 4, 4)


def hot(grid=IMAGE):
    values = np.zeros(grid.shape)
    values[HOT] = 1e12
    return decay_map(values, grid)


def exact_energy(decays, density, grid, mm=1.0):
    """Energy in each voxel of ``grid``, whose faces lie on a lattice of ``mm``, by the exact kernel on that lattice."""
    size = [round(s / mm) for s in grid.spacing_mm]
    fine = grid.with_spacing(mm)
    gy = Convolution(KERNEL).dose(onto(decays, fine), density).gy.astype(float) * fine.voxel_volume_ml * 1e-3 * density
    pairs = [n for pair in zip(grid.shape, size, strict=True) for n in pair]
    return gy.reshape(pairs).sum(axis=(1, 3, 5))


@pytest.mark.parametrize("density", [1.0, 0.5])
@pytest.mark.parametrize(
    ("spacing", "corner"),
    [((2.0, 2.0, 2.0), (-5.5, -4, -5.5)), ((4.0, 3.0, 5.0), (-7.5, -6, -4.5)), ((3.0, 4.0, 5.0), (-6.5, -5, -7.5))],
)
def test_a_hot_voxel_keeps_its_dose_on_a_dose_grid_in_no_step_with_it(density, spacing, corner):
    shape = [round(66 / s) for s in spacing]
    grid = Grid.from_axes(shape, spacing, [c + s / 2 for c, s in zip(corner, spacing[::-1], strict=True)])
    dose = engine(soft_tissue_range=1.0).dose(hot(), density, grid)
    exact = exact_energy(hot(), density, grid)
    energy = dose.gy * density * grid.voxel_volume_ml * 1e-3
    assert energy.max() == pytest.approx(exact.max(), rel=0.01)  # 16384 rays a part of one cell
    assert np.abs(energy - exact).max() < 0.015 * exact.max()
    assert energy.sum() == pytest.approx(exact.sum(), rel=1e-3)
    inside = 1 - dose.energy_lost_fraction
    assert energy.sum() == pytest.approx(inside * 1e12 * Y90.energy_mev * JOULE_PER_MEV, rel=1e-5)


def test_activity_spread_over_the_dose_grid_first_would_lose_a_tenth_of_a_hot_voxel():
    grid = Grid.from_axes((22, 17, 13), (3.0, 4.0, 5.0), (-7.5, -6.0, -6.5))
    exact = exact_energy(hot(), 1.0, grid, mm=0.5).max()
    mass = grid.voxel_volume_ml * 1e-3
    assert Convolution(KERNEL).dose(onto(hot(), grid), 1.0).gy.max() * mass < 0.9 * exact
    # the homogeneous engine spreads it over parts of 1.3 to 1.7 mm: a third of the size loses a good third of it
    assert Convolution(KERNEL).dose(hot(), 1.0, grid).gy.max() * mass == pytest.approx(exact, rel=0.07)
    assert engine(soft_tissue_range=1.0).dose(hot(), 1.0, grid).gy.max() * mass == pytest.approx(exact, rel=0.01)


def test_a_fine_dose_grid_gets_what_the_convolution_gives_on_it():
    coarse = Grid.from_axes((10, 9, 11), (6.0, 6.0, 4.0), (0, 0, 0))
    grid = coarse.with_spacing(2.0)
    dose = engine(soft_tissue_range=1.0).dose(blob(coarse), 1.05, grid).gy
    exact = Convolution(KERNEL).dose(blob(coarse), 1.05, grid).gy  # nested voxels: nothing is lost by spreading
    assert np.abs(dose - exact).max() < 0.02 * exact.max()
    assert np.sqrt(np.mean((dose - exact)[exact > 0.1 * exact.max()] ** 2)) < 0.005 * exact.max()


def test_tilted_activity_is_where_it_is():
    angle = np.deg2rad(25)
    turn = np.array([[0, -np.sin(angle), np.cos(angle)], [0, np.cos(angle), np.sin(angle)], [1, 0, 0]])
    tilted = Grid.from_axes((9, 9, 9), (6.0, 5.0, 4.0), (1, 2, 3), directions=turn)
    middle = tilted.points_lps_mm(HOT)
    grid = Grid.from_axes((11, 9, 13), (4.0, 5.0, 4.0), middle - np.array([24.3, 20.2, 19.6]))
    dose = engine(soft_tissue_range=1.0).dose(hot(tilted), 1.0, grid)
    fine = onto(hot(tilted), grid.with_spacing(0.5))  # probed: the tilted voxel in cubes of 0.5 mm
    exact = exact_energy(fine, 1.0, grid, mm=0.5)
    energy = dose.gy * grid.voxel_volume_ml * 1e-3
    assert np.abs(energy - exact).max() < 0.02 * exact.max()
    assert 1 - dose.energy_lost_fraction == pytest.approx(KERNEL.within(12), abs=2e-3)


def test_a_part_of_the_dose_grid_gets_the_dose_that_it_has_in_the_whole():
    grid = Grid.from_axes((16, 15, 17), (5.0, 4.0, 4.5), (-3, -4, -5))
    part = grid.window((9, 2, 3), (6, 9, 7))
    activity, density = blob(Grid.from_axes((11, 11, 11), (5.0, 5.0, 5.0), (0, 0, 0))), liver_and_lung()
    whole = engine(rays=64).dose(activity, density, grid)
    alone = engine(rays=64).dose(activity, density, part)
    np.testing.assert_allclose(alone.gy, whole.window(part).gy, rtol=1e-5, atol=1e-6 * whole.gy.max())
    far = grid.window((200, 0, 0), (3, 3, 3))
    nowhere = engine().dose(activity, density, far)
    assert nowhere.gy.max() == 0
    assert nowhere.energy_lost_fraction == 1


def test_cells_and_voxels_take_the_same_rays_way():
    """Two loops, one physics: an image on the dose grid, and the same image called two micrometres away."""
    density = liver_and_lung()
    moved = GRID.affine_lps_mm.copy()
    moved[:3, 3] += 2e-3
    straight = engine(rays=16384).dose(blob(), density).gy
    beside = engine(rays=16384).dose(blob(Grid(GRID.shape, moved)), density, GRID).gy
    assert np.abs(beside - straight).max() < 5e-3 * straight.max()  # either table's own error


def test_any_number_of_threads_gives_the_same_bits_from_cells():
    grid = GRID.with_spacing(5.0)
    one = engine(threads=1, rays=128).dose(blob(), liver_and_lung(), grid).gy
    np.testing.assert_array_equal(engine(threads=3, rays=128).dose(blob(), liver_and_lung(), grid).gy, one)


def test_a_sheared_dose_grid_keeps_the_energy():
    affine = GRID.affine_lps_mm.copy()
    affine[:3, 0] += 0.2 * affine[:3, 2]
    dose = engine(rays=256, soft_tissue_range=1.0).dose(blob(), 1.0, Grid(GRID.shape, affine))
    assert dose.energy_lost_fraction == pytest.approx(1 - KERNEL.within(12), abs=1e-3)
