"""Density-aware dose at a flat interface of liver and lung, against an independent integral.

In plane-parallel slabs the point form ``D = E f(t) / (4 pi r² s)``, ``t`` the water-equivalent path, integrates over the
lateral plane to ``D(z) = E A / (2 s(z)) ∫ dz' ∫_T^12 f(t)/t dt`` with ``T`` the water-equivalent depth between ``z`` and
``z'``: two one-dimensional integrals, no rays and no voxels.

The rays' weights are fitted to plane layers of liver and lung, and their Sobol shift was chosen on the same media
(``dose/engines/rays/table.py``), so these layers show that the fit holds and that transport, grids and masses are right; they
are no independent judge of the rays. That are the curved borders of ``test_monte_carlo.py``: spheres and a wedge.
"""

import numpy as np
import pytest

from voxeldose.dose.engines.convolution import Convolution
from voxeldose.dose.engines.local import LocalDeposition
from voxeldose.dose.engines.rays.transport import RayTransport
from voxeldose.model.grid import Grid
from voxeldose.model.kernel import point_kernel
from voxeldose.model.radionuclide import JOULE_PER_MEV, Y90
from voxeldose.model.volume import DecayMap, DensityMap

KERNEL = point_kernel()
LIVER, LUNG = 1.05, 0.26
DECAYS_PER_MM3 = 1e5


def slab_integral(thickness, density, range_factor, decays_per_mm3):
    """Mean dose (Gy) of each layer of an infinite stack; activity in whole layers."""
    fine = 300
    t = np.linspace(0, 12, 24001)
    fraction = np.diff(np.interp(t, KERNEL.radius_mm, KERNEL.energy_fraction_within))
    # The inner integral once more over depth, in closed form: I(T) = ∫_0^T dT' ∫_T'^12 f/t dt = Σ f min(T, t)/t
    middle = (t[1:] + t[:-1]) / 2
    below = np.concatenate(([0.0], np.cumsum(fraction)))
    above = np.concatenate((np.cumsum((fraction / middle)[::-1])[::-1], [0.0]))
    inner = below + t * above
    tau = density / range_factor
    edge = np.concatenate(([0.0], np.cumsum(tau * thickness)))
    dose = np.zeros(len(density))
    for layer in range(len(density)):
        depth = edge[layer] + (np.arange(fine) + 0.5) / fine * (edge[layer + 1] - edge[layer])
        for source in np.flatnonzero(decays_per_mm3):
            first, last = (edge[source + n] - depth for n in (0, 1))
            signed = [np.sign(d) * np.interp(np.abs(d), t, inner) for d in (first, last)]
            dose[layer] += decays_per_mm3[source] / (2 * tau[source]) * (signed[1] - signed[0]).mean()
    return dose / range_factor * Y90.energy_mev * JOULE_PER_MEV * 1e6  # per (g/mL mm³ = 1e-6 kg)


def stack(spacing_mm, wide, layers_of_liver, layers):
    grid = Grid.from_axes((layers, wide, wide), (spacing_mm,) * 3, (0, 0, 0))
    rho = np.where(np.arange(layers) < layers_of_liver, LIVER, LUNG)
    return grid, rho, DensityMap(np.broadcast_to(rho[:, None, None], grid.shape), grid)


def decays_in(grid, layers):
    values = np.zeros(grid.shape)
    values[layers] = DECAYS_PER_MM3 * np.prod(grid.spacing_mm)
    return DecayMap(values, grid, radionuclide=Y90)


def equilibrium(density):
    return DECAYS_PER_MM3 * Y90.energy_mev * JOULE_PER_MEV / (density * 1e-6)


#: Layers of 4 mm, the interface between the sixth and the seventh; wide enough for the 46 mm that betas reach in lung.
SPACING, BORDER, LAYERS, WIDE = 4.0, 6, 18, 27
GRID, RHO, DENSITY = stack(SPACING, WIDE, BORDER, LAYERS)
MIDDLE = (slice(None), WIDE // 2, WIDE // 2)


def profile(activity, engine, density=DENSITY):
    decays = decays_in(GRID, slice(0, BORDER) if activity == "liver" else slice(BORDER, LAYERS))
    return engine.dose(decays, density).gy[MIDDLE].astype(float)


def reference(activity, soft_tissue_range):
    factor = np.where(RHO > 1, soft_tissue_range, 1.0)
    active = np.where((RHO > 1) == (activity == "liver"), DECAYS_PER_MM3, 0.0)
    return slab_integral(np.full(LAYERS, SPACING), RHO, factor, active)


def test_the_integral_is_the_published_edge_profile_in_water():
    """Half-space profile from Graves' Y-90 kernel at 0, +1, +2, +3 mm: .498, .234, .121, .061 (another Monte Carlo)."""
    n = 400  # layers of 0.1 mm, activity in the first 200
    active = np.where(np.arange(n) < 200, DECAYS_PER_MM3, 0.0)
    dose = slab_integral(np.full(n, 0.1), np.ones(n), np.ones(n), active) / equilibrium(1.0)
    at = [dose[200 + k - 1 : 200 + k + 1].mean() for k in (0, 10, 20, 30)]
    np.testing.assert_allclose(at, [0.498, 0.234, 0.121, 0.061], rtol=0.02)  # two codes: 1 % below 5 mm, 3 digits


@pytest.mark.parametrize("soft_tissue_range", [1.0, 1.0122])
@pytest.mark.parametrize("activity", ["liver", "lung"])
def test_dose_against_depth_is_the_slab_integral(activity, soft_tissue_range, record_property):
    engine = RayTransport(KERNEL, soft_tissue_range=soft_tissue_range, tail_mm=0)
    dose, exact = profile(activity, engine), reference(activity, soft_tissue_range)
    near = slice(BORDER - 4, BORDER + 4)  # 16 mm on both sides
    seen = exact[near] > 0.003 * exact.max()
    record_property("depth_mm", ((np.arange(LAYERS)[near] - BORDER + 0.5) * SPACING).tolist())
    record_property("of_equilibrium", (dose[near] / equilibrium(LIVER if activity == "liver" else LUNG)).tolist())
    record_property("against_integral", (dose[near][seen] / exact[near][seen]).tolist())
    # Goal: 1 %, what is left of the 3 % against a full Monte Carlo when the method itself takes 2 %. Found: 0.4 % (1024 rays).
    np.testing.assert_allclose(dose[near][seen], exact[near][seen], rtol=0.01)


def test_dose_on_both_sides_is_that_of_another_monte_carlo():
    """Graves' profile of a half-space in water, at the mass depth: an outside judge with all scatter in it.

    In plane layers of one composition transport depends on mass per area alone, so that a Monte Carlo of liver and lung
    with water's atoms is one of water with its depth stretched. Numbers: see the test of the integral.
    """
    depth = np.array([-5.0, -3, -2, -1, 0, 0.5, 1, 2, 3])  # mm of water; 3 are 11.5 mm of lung
    published = np.array([0.9845, 0.935, 0.875, 0.762, 0.498, 0.328, 0.234, 0.121, 0.061])
    layers, border, wide = 34, 16, 27
    fine = Grid.from_axes((layers, wide, wide), (2.0, 4.0, 4.0), (0, 0, 0))
    image = Grid.from_axes((layers // 2, wide, wide), (4.0, 4.0, 4.0), (0, 0, 1.0))
    rho = np.where(np.arange(layers) < border, LIVER, LUNG)
    density = DensityMap(np.broadcast_to(rho[:, None, None], fine.shape), fine)
    engine = RayTransport(KERNEL, soft_tissue_range=1.0, tail_mm=0)
    dose = engine.dose(decays_in(image, slice(0, border // 2)), density, fine).gy[MIDDLE] / equilibrium(LIVER)
    middle = (np.arange(layers) - border + 0.5) * 2 * rho
    near = (middle > -5) & (middle < 3)
    within = np.interp(middle[near], depth, np.log(published))
    # The two codes differ by 1 % below 5 mm and the table has three digits; layers of 2 mm; the goal is 3 %.
    seen = np.abs(middle[near]) > 0.5  # between -1 and 0.5 the profile has a kink that the table does not resolve
    np.testing.assert_allclose(dose[near][seen], np.exp(within)[seen], rtol=0.03)


def test_an_image_coarser_than_the_density_sees_the_interface_where_it_lies():
    """Voxels of 4 mm on a density image of 2 mm whose border halves one: dose is energy over the mass of both halves."""
    layers, border = 18, 6
    fine = Grid.from_axes((2 * layers, WIDE, WIDE), (2.0, 4.0, 4.0), (0, 0, 0))
    image = Grid.from_axes((layers, WIDE, WIDE), (4.0, 4.0, 4.0), (0, 0, 1.0))
    rho = np.where(np.arange(2 * layers) < 2 * border + 1, LIVER, LUNG)
    density = DensityMap(np.broadcast_to(rho[:, None, None], fine.shape), fine)
    engine = RayTransport(KERNEL, soft_tissue_range=1.0, tail_mm=0)
    dose = engine.dose(decays_in(image, slice(0, border)), density).gy[MIDDLE]
    active = np.where(np.arange(2 * layers) < 2 * border, DECAYS_PER_MM3, 0.0)
    exact = slab_integral(np.full(2 * layers, 2.0), rho, np.ones(2 * layers), active)
    mean = (exact * rho).reshape(-1, 2).sum(1) / rho.reshape(-1, 2).sum(1)
    near = slice(border - 4, border + 4)
    np.testing.assert_allclose(dose[near], mean[near], rtol=0.015)  # 512 rays a part, fitted at layers of 2 mm


def test_a_stack_of_many_densities_is_the_slab_integral():
    rho = np.array([1.05] * 5 + [0.95, 0.6, 0.26, 0.3, 0.2, 0.26] + [1.9, 1.6] + [1.0] * 5)
    active = np.zeros(18)
    active[[2, 3, 4, 6, 11]] = DECAYS_PER_MM3
    density = DensityMap(np.broadcast_to(rho[:, None, None], GRID.shape), GRID)
    dose = RayTransport(KERNEL, soft_tissue_range=1.0, tail_mm=0).dose(decays_in(GRID, active > 0), density)
    exact = slab_integral(np.full(18, SPACING), rho, np.ones(18), active)
    seen = exact > 0.01 * exact.max()
    np.testing.assert_allclose(dose.gy[MIDDLE][seen], exact[seen], rtol=0.02)  # rays are fitted at two densities only


def test_liver_dose_falls_into_the_lung_as_expected():
    """Interface values in units of the liver's equilibrium dose: what is on each side, and that it falls off."""
    dose = profile("liver", RayTransport(KERNEL)) / equilibrium(LIVER)
    assert dose[BORDER - 4] == pytest.approx(KERNEL.within(12), abs=2e-3)  # plus a little tail
    assert (np.diff(dose[BORDER - 3 :]) < 0).all()
    # Behind the border fluence is the same on both sides and dose is energy a gram: half the equilibrium at the border,
    # then the water profile at a quarter of the depth. Mean over the first 4 mm of lung: profile from 0 to 1 mm of water.
    assert dose[BORDER] == pytest.approx(0.335, rel=0.02)
    assert dose[BORDER + 3] == pytest.approx(0.038, rel=0.03)


def test_plain_kernels_and_local_deposition_are_far_off_beside_the_border():
    """Why this engine is there: in the first layers of lung the simpler ones are wrong by tens of per cent and more."""
    right = profile("liver", RayTransport(KERNEL))
    plain = profile("liver", Convolution(KERNEL), LIVER)
    assert plain[BORDER] / right[BORDER] < 0.6
    assert plain[BORDER + 1] / right[BORDER + 1] < 0.1
    assert profile("liver", LocalDeposition())[BORDER] == 0


def test_what_crosses_the_border_is_symmetric_in_energy():
    """Reciprocity: a layer of liver gives a layer of lung the energy per decay and mass that it would get from it."""
    engine = RayTransport(KERNEL, soft_tissue_range=1.0, tail_mm=0, rays=4096)
    there = engine.dose(decays_in(GRID, slice(BORDER - 1, BORDER)), DENSITY).gy[MIDDLE].astype(float)[BORDER]
    back = engine.dose(decays_in(GRID, slice(BORDER, BORDER + 1)), DENSITY).gy[MIDDLE].astype(float)[BORDER - 1]
    assert there == pytest.approx(back, rel=5e-3)  # the point form is symmetric; rays of 4096 directions


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("spacing", [(2.0, 4.0, 4.0), (3.0, 4.07, 4.07), (5.0, 3.0, 4.0)])
def test_layers_across_every_axis_of_unequal_voxels_are_the_slab_integral(spacing, axis):
    """Dose along the middle line; activity in the liver."""
    shape = [round(96 / s) | 1 for s in spacing]
    shape[axis] = round(60 / spacing[axis])
    grid = Grid.from_axes(shape, spacing, (0, 0, 0))
    border = round(20 / spacing[axis])
    rho = np.where(np.arange(shape[axis]) < border, LIVER, LUNG)
    form = [-1 if a == axis else 1 for a in range(3)]
    active = np.where(rho > 1, DECAYS_PER_MM3, 0.0)
    values = np.broadcast_to((active * np.prod(spacing)).reshape(form), shape)
    decays = DecayMap(values, grid, radionuclide=Y90)
    density = DensityMap(np.broadcast_to(rho.reshape(form), shape), grid)
    dose = RayTransport(KERNEL, soft_tissue_range=1.0, tail_mm=0).dose(decays, density).gy
    line = dose[tuple(slice(None) if a == axis else shape[a] // 2 for a in range(3))]
    exact = slab_integral(np.full(shape[axis], spacing[axis]), rho, np.ones(shape[axis]), active)
    near = slice(border - round(12 / spacing[axis]), border + round(15 / spacing[axis]))
    np.testing.assert_allclose(line[near], exact[near], rtol=0.015)  # the table of rays treats the axes differently
