"""The engines against our own full Monte Carlo (benchmarks/tables/README.md): transport with scatter, compositions and all.

The goal is 3 % of the local dose, voxel by voxel, beside an interface; to it comes the noise of the tables, three standard
errors, since thousands of voxels are judged.
"""

import numpy as np
import pytest

from benchmarks.accuracy_transport import layer_doses, merged, of_medium, sphere_dose
from benchmarks.monte_carlo import mean_excitation_ev
from benchmarks.monte_carlo_cases import LAYERS, MEDIA, MEV_PER_DECAY, S_VALUES, SPHERES, TABLES, s_value_table
from voxeldose.dose.engines.convolution import Convolution
from voxeldose.dose.engines.local import LocalDeposition
from voxeldose.dose.engines.rays.transport import RayTransport
from voxeldose.model.kernel import point_kernel

KERNEL = point_kernel()
GOAL = 0.03
CASES = {case.name: case for case in SPHERES}


@pytest.mark.parametrize(("medium", "size_mm"), S_VALUES)
def test_voxel_s_values_are_those_of_the_simulation(medium, size_mm):
    """All offsets up to three voxels, isotropic and not, in water and in soft tissue."""
    found = of_medium(KERNEL, medium, size_mm)
    middle = np.array(found.energy_fraction.shape) // 2
    table = s_value_table(medium, size_mm)
    assert len(table) == (20 if len(set(size_mm)) == 1 else 40)
    judged = {
        offset: of for offset, of in table.items() if of[1] < 0.1 * of[0]
    }  # a handful of betas have no bell curve
    assert len(judged) >= 9
    for offset, (value, error) in judged.items():
        ours = float(found.energy_fraction[tuple(middle + offset)])
        # beyond 5 mm the range counts: 0.3 % of it are 1 % of the dose at 5 mm and 10 % at 10 mm
        rough = 0.005 if value > 5e-3 else 0.02 if value > 1e-3 else 0.06
        assert abs(ours - value) <= rough * value + 3 * error, (offset, ours / value)


@pytest.mark.parametrize("spacing_mm", [2.0, 4.0])
@pytest.mark.parametrize("case", [c for c in LAYERS if c.above == "lung"], ids=lambda c: c.active)
def test_liver_and_lung_within_15_mm_of_their_border(case, spacing_mm, record_property):
    depth, found = layer_doses(KERNEL, case, spacing_mm)
    within = [row for row in merged(case, spacing_mm) if abs(row[0]) < 15 and row[1] > 0.01]
    assert len(within) >= 18 / spacing_mm  # lung gives liver nothing beyond 5 mm
    for at, value, error in within:
        ours = float(found[np.abs(depth - at).argmin()])
        record_property(f"{at:g} mm", float(ours / value - 1))
        assert abs(ours - value) <= GOAL * value + 3 * error, (at, ours / value)


@pytest.mark.parametrize("case", [c for c in LAYERS if c.above != "lung"], ids=lambda c: c.above)
def test_voxels_of_4_mm_beside_bone_and_fat_are_within_4_per_cent(case):
    """Bone reflects betas that straight rays let in, so the goal of 3 % is out of reach there: 4 %, which is not modelled.

    Found: bone gets 3.4 % too much, the liver's last voxel 0.7 % too little. The 4 % were set with this known; liver keeps the goal.
    """
    depth, found = layer_doses(KERNEL, case, 4.0)
    seen = [row for row in merged(case, 4.0) if row[1] > 0.05]
    assert len(seen) == 5
    for at, value, error in seen:
        ours = float(found[np.abs(depth - at).argmin()])
        assert abs(ours - value) <= (GOAL if at < 0 else 0.04) * value + 3 * error, (at, ours / value)


def deviations(name, engine, above=0.05, tumor_to_normal=10.0):
    """Relative difference and noise of the voxels above a part of the maximum, by medium."""
    case = CASES[name]
    found, dose, error = sphere_dose(case, tumor_to_normal, engine)
    media, seen = case.media_of_voxels(), dose > above * dose.max()
    return {
        medium: (found[chosen] / dose[chosen] - 1, error[chosen] / dose[chosen])
        for n, medium in enumerate(case.media)
        if (chosen := seen & (media == n)).any()
    }


@pytest.mark.parametrize("name", CASES)
def test_every_voxel_of_liver_around_a_hot_sphere_beside_lung_and_bone_is_within_the_goal(name):
    """T/N 10, dose from 5 % to all of the maximum. Found: 0.2 to 0.5 % rms less the noise of 1.0 and 1.5 %.

    Besides the goal for each voxel, means within 0.3 % (a tenth of it) and 1 % rms less noise; both were set with results known.
    """
    off, noise = deviations(name, RayTransport(KERNEL))["liver"]
    assert off.size > 1000
    assert (np.abs(off) <= GOAL + 3 * noise).all()
    assert abs(off.mean()) < 0.003
    assert (off**2).mean() - (noise**2).mean() < 0.01**2


def test_lung_that_touches_a_hot_sphere_is_within_the_goal_but_for_what_straight_rays_leave_out():
    """Layers as wholes are exact, but betas that turn in the lung spread farther aside than straight rays.

    So the first lung voxels of 2.5 mm right above the sphere get 3 % too much, and rays are noisy there (1.5 % rms).
    """
    off, noise = deviations("touch", RayTransport(KERNEL))["lung"]
    assert off.size > 100
    assert abs(off.mean()) < GOAL
    assert (np.abs(off) <= GOAL + 3 * noise).all()
    assert (off**2).mean() - (noise**2).mean() < 0.035**2


def test_lung_around_an_edge_of_liver_is_within_the_goal():
    """Down to 2 % of the maximum, as lung gets no more here; the table's noise is 3 %."""
    off, noise = deviations("wedge", RayTransport(KERNEL), above=0.02)["lung"]
    assert off.size > 200
    assert abs(off.mean()) < 0.02
    assert (np.abs(off) <= GOAL + 3 * noise).all()


def test_the_simpler_engines_are_far_off_there():
    dpk, local = (deviations("touch", engine) for engine in (Convolution(KERNEL), LocalDeposition()))
    assert abs(dpk["liver"][0].mean()) < 0.015  # 1.04 for 1.05 g/mL
    assert dpk["lung"][0].mean() < -0.5
    assert np.sqrt((local["liver"][0] ** 2).mean()) > 0.25
    assert (local["lung"][0] == -1).all()


def test_materials_have_the_mean_excitation_energies_of_the_literature():
    """NIST for ICRU 44 tissues and cortical bone: 75.2 lung, 64.8 adipose tissue, 112 bone (X-ray mass attenuation tables)."""
    found = {name: mean_excitation_ev(medium) for name, medium in MEDIA.items()}
    published = {"lung": 75.2, "fat": 64.8, "bone": 112.0, "water": 78.0}
    assert {name: found[name] for name in published} == pytest.approx(published, abs=0.1)
    for medium in MEDIA.values():
        assert sum(medium.weights.values()) == pytest.approx(1, abs=1e-9)


def test_the_spectrum_has_the_mean_energy_of_the_tables():
    low, high, part = np.loadtxt(TABLES / "y90-spectrum.csv", delimiter=",", skiprows=1).T
    assert part.sum() == pytest.approx(1, abs=1e-5)
    assert ((low + high) / 2 * part).sum() == pytest.approx(MEV_PER_DECAY, rel=1e-4)


def test_classes_of_alike_voxels_hold_mirror_images_and_nothing_else():
    case = CASES["touch"]
    of = case.classes()
    for image in (of[:, ::-1], of[:, :, ::-1], of.swapaxes(1, 2)):
        np.testing.assert_array_equal(image, of)
    assert of.max() + 1 == 20 * 36  # 8 by 8 pairs of which 36 differ
    assert np.bincount(of.ravel()).max() == 8
