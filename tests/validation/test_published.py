"""Published numbers and closed forms; each with its source."""

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import closed_forms
from benchmarks.closed_forms import edge_level, spread_of
from benchmarks.published import EDGE, LANCONELLI, NEMA_DIAMETERS_MM, OFFSETS, SELF_DOSES, SPHERES, TISSUE_RANGE
from voxeldose.cli import main
from voxeldose.dose.engines.convolution import Convolution
from voxeldose.dose.engines.voxelise import voxelise
from voxeldose.dose.metrics import roi_metrics
from voxeldose.geometry.resample import roi_onto
from voxeldose.model.grid import Grid
from voxeldose.model.kernel import point_kernel
from voxeldose.model.radionuclide import Y90
from voxeldose.model.roi import Roi
from voxeldose.model.volume import DecayMap, DoseMap

KERNEL = point_kernel()

# Where the difference comes from: theirs is four-component soft tissue, ours is water scaled by density. Electrons go
# 1.0122 times as far in tissue (README of the kernel), and face, edge and corner neighbours of a big voxel get the first,
# second and third power of that: 1.2, 2.4 and 3.6 %.
TOLERANCE = (0.02, 0.02, 0.02, 0.04, 0.10)


def compare_with_lanconelli(size, range_factor, tolerances):
    # 30 mm, with the bremsstrahlung of their grid: offset 200 of 9.28 mm voxels lies beyond the default reach
    kernel = voxelise(KERNEL.with_range(range_factor), (size,) * 3, density_g_per_ml=1.04, reach_mm=30)
    centre = np.array(kernel.energy_fraction.shape) // 2
    for offset, published, tolerance in zip(OFFSETS, LANCONELLI[size], tolerances, strict=True):
        found = kernel.gy_per_decay[tuple(centre + offset)] * 1e9
        assert found == pytest.approx(published, rel=tolerance), offset


@pytest.mark.parametrize("size", [s for s in LANCONELLI if s <= 6])  # at 9.28 mm offset 110 is 2.3 % low: see above
def test_voxel_s_values_of_scaled_water_are_those_of_lanconelli(size):
    compare_with_lanconelli(size, 1.0, TOLERANCE)


#: With tissue's range nothing but the two Monte Carlo codes differs. Goal: 2 %, as two codes agree on the energy that electrons
#: leave in a few millimetres; 10 % where bremsstrahlung alone arrives (offset 200 at 9.28 mm), for which codes differ more.
TISSUE_GOAL, BREMSSTRAHLUNG_GOAL = 0.02, 0.10


@pytest.mark.parametrize("size", LANCONELLI)
def test_voxel_s_values_with_the_range_of_tissue_are_those_of_lanconelli(size):
    # found: self 0.5 to 1.3 % low, faces to 0.9 %, edges 0.4 %, corners 0.5 %, 200 1.1 %; bremsstrahlung alone 5 % high.
    # The goals were written down with these known.
    compare_with_lanconelli(size, TISSUE_RANGE, (*[TISSUE_GOAL] * 4, TISSUE_GOAL if size <= 6 else BREMSSTRAHLUNG_GOAL))


def test_the_command_line_makes_kernels_of_soft_tissue_too(tmp_path):
    out = tmp_path / "kernel.npz"
    asked = ("--density-g-per-ml", "1.04", "--range-factor", TISSUE_RANGE, "--reach-mm", 30, "--constants", "icrp107")
    result = CliRunner().invoke(
        main, [str(a) for a in ("kernel", "--spacing-mm", 9.28, 9.28, 9.28, *asked, "--out", out)]
    )
    assert result.exit_code == 0, result.output
    with np.load(out) as found:
        s_values = found["gy_per_decay"] * 1e9
        assert f"range times {TISSUE_RANGE:g}" in str(found["source"])
    middle = np.array(s_values.shape) // 2
    for offset, published in list(zip(OFFSETS, LANCONELLI[9.28], strict=True))[:4]:
        assert s_values[tuple(middle + offset)] == pytest.approx(published, rel=0.02), offset
    refused = CliRunner().invoke(
        main, ["kernel", "--spacing-mm", "3", "3", "3", "--range-factor", "2", "--out", str(tmp_path / "k.csv")]
    )
    assert refused.exit_code == 3
    assert "range factor" in refused.output


@pytest.mark.parametrize(("spacing", "published", "tolerance", "source"), SELF_DOSES)
def test_self_dose_is_that_of_dpm_and_mird_17(spacing, published, tolerance, source):
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


def sphere_fraction(radius_mm, reach_mm=12.0):
    """Self-absorbed energy fraction of a uniform sphere."""
    return closed_forms.sphere_fraction(radius_mm, spread_of(KERNEL, reach_mm=reach_mm))


@pytest.mark.parametrize("radius", SPHERES)
def test_the_kernel_gives_uniform_spheres_their_known_absorbed_fraction(radius):
    # The kernels differ by up to 0.4 % of the energy at 3-4 mm. Only the smallest sphere (2.9 mm) shows 0.54 % of it;
    # from 5 mm on it is 0.3 % and less.
    assert sphere_fraction(radius, 11) == pytest.approx(SPHERES[radius], rel=0.005 if radius > 3 else 0.006)


def fractional_sphere(radius_mm, shape, spacing, parts):
    """How much of each voxel lies in a sphere around the image's middle, counted at ``parts``³ points a voxel."""
    axes = [(np.arange(n * parts) + 0.5) * (a / parts) - n * a / 2 for n, a in zip(shape, spacing, strict=True)]
    k, j, i = np.meshgrid(*axes, indexing="ij", sparse=True)
    inside = k**2 + j**2 + i**2 <= radius_mm**2
    return inside.reshape([x for n in shape for x in (n, parts)]).mean(axis=(1, 3, 5))


def absorbed_fraction(occupancy, spacing, **how):
    """Part of the energy of decays that fill a region which stays in the region, both weighed by occupancy."""
    grid = Grid.from_axes(occupancy.shape, spacing, (0, 0, 0))
    dose = Convolution(KERNEL, **how).dose(DecayMap(occupancy * 1e9, grid, radionuclide=Y90), 1.0).gy
    local = 1e9 * Y90.energy_mev * 1.602176634e-13 / (grid.voxel_volume_ml * 1e-3)
    return float((dose * occupancy).sum() / occupancy.sum()) / local


@pytest.mark.parametrize(("radius", "spacing"), [(5.0, 0.5), (9.85, 1.0), (20.0, 2.0), (36.28, 3.0)])
def test_spheres_of_fractional_voxels_tend_to_the_known_part_of_their_energy(radius, spacing):
    """A voxel cut by the surface counts with occupancy², as source and as target, so φ is low; the limit is the closed form.

    How low in percent, by the radius in mm and in voxels (activity is taken as even in a voxel, as an image has it):

    ==========  =====  =====  =====  =====  =====  =====
    radius      R/5    R/10   R/15   R/20   R/25   R/30
    ==========  =====  =====  =====  =====  =====  =====
    2.88 mm     4.0    1.3    0.6    0.4    0.3    0.2
    5 mm        4.6    1.5    0.7    0.4    0.3    0.2
    9.85 mm     5.8    1.9    1.0    0.6    0.4    0.3
    20 mm       7.3    2.7    1.4    0.9    0.6    0.4
    36.28 mm    8.5    3.4    1.9    1.2    0.8
    ==========  =====  =====  =====  =====  =====  =====

    It falls with the power 1.5 to 1.7 of the voxel and comes near 2 as voxels become small beside the range of electrons.
    """
    found = []
    for step in (spacing, spacing / 2):
        n = 2 * int(np.ceil(radius / step)) + 2
        found.append(absorbed_fraction(fractional_sphere(radius, (n,) * 3, (step,) * 3, 4), (step,) * 3))
    assert found[0] < found[1] < sphere_fraction(radius)
    limit = (4 * found[1] - found[0]) / 3
    assert limit == pytest.approx(sphere_fraction(radius), rel=0.005)
    if radius in SPHERES:
        assert limit == pytest.approx(SPHERES[radius], rel=0.005)


@pytest.mark.parametrize(("radius", "voxels"), [(2.88, 20), (5.0, 20), (6.20, 22), (7.82, 24), (9.85, 25), (20.0, 30)])
def test_spheres_of_small_fractional_voxels_keep_the_known_part_of_their_energy(radius, voxels):
    # the table above: 0.5 % needs voxels of R/20 up to 5 mm, R/25 up to 10 mm, R/30 at 20 mm
    step, n = radius / voxels, 2 * voxels + 2
    found = absorbed_fraction(fractional_sphere(radius, (n,) * 3, (step,) * 3, 4), (step,) * 3)
    assert found == pytest.approx(sphere_fraction(radius), rel=0.005)
    assert found < sphere_fraction(radius)


@pytest.mark.parametrize(("radius", "voxels"), [(5.0, 20), (20.0, 22)])
def test_the_mean_dose_that_is_reported_of_a_sphere_needs_fewer_voxels(radius, voxels):
    # the part of a cut voxel that lies in the region has its own dose there: 0.6 times as low as in the table above
    step = radius / voxels
    n = 2 * voxels + 6
    grid = Grid.from_axes((n,) * 3, (step,) * 3, (-(n - 1) / 2 * step,) * 3)
    occupancy = fractional_sphere(radius, (n,) * 3, (step,) * 3, 6)
    fine = Grid.from_axes((4 * n,) * 3, (step / 4,) * 3, (-(4 * n - 1) / 8 * step,) * 3)
    roi, _ = roi_onto(Roi("ball", "tumor", fractional_sphere(radius, (4 * n,) * 3, (step / 4,) * 3, 2), fine), grid)
    decays = DecayMap(occupancy * 1e9, grid, radionuclide=Y90)
    dose = Convolution(KERNEL).dose(decays, 1.0)
    local = 1e9 * Y90.energy_mev * 1.602176634e-13 / (grid.voxel_volume_ml * 1e-3)
    mean = roi_metrics(roi, 0.0, dose, dose, decays, 1.0).mean_dose_gy
    assert mean / local == pytest.approx(sphere_fraction(radius), rel=0.005)


def test_a_sphere_of_small_uneven_fractional_voxels_keeps_the_known_part_of_its_energy():
    occupancy = fractional_sphere(5.0, (54, 44, 44), (0.2, 0.25, 0.25), 3)
    assert absorbed_fraction(occupancy, (0.2, 0.25, 0.25)) == pytest.approx(SPHERES[5], rel=0.005)


def test_a_uniform_sphere_of_20_mm_is_that_of_the_literature():
    assert sphere_fraction(20) == pytest.approx(0.895, abs=0.002)


def test_the_staircase_of_a_300_ml_sphere_loses_what_is_known():
    """300 mL at 4.42 mm as whole voxels: 5.87 % leaves, 4.85 % from the round sphere, with the kernel's sum read as 1.

    Read as it is, with 0.40 % of the energy beyond the reach, 1 - (1 - 0.0587) (0.9960) is lost.
    """
    spacing, n = 4.42, 24
    radius = (3 * 300e3 / (4 * np.pi)) ** (1 / 3)
    kept = sphere_fraction(radius) / KERNEL.within(12)
    assert 1 - kept == pytest.approx(0.0485, abs=0.0005)
    # whole voxels: those whose centres lie inside, with a voxel's corner in the middle of the sphere
    axis = (np.arange(n) - (n - 1) / 2) * spacing
    k, j, i = np.meshgrid(axis, axis, axis, indexing="ij")
    mask = (k**2 + j**2 + i**2 <= radius**2).astype(float)
    found = absorbed_fraction(mask, (spacing,) * 3)
    assert 1 - found / KERNEL.within(12) == pytest.approx(0.0587, abs=0.0012)
    assert 1 - found == pytest.approx(1 - (1 - 0.0587) * KERNEL.within(12), abs=0.0012)


@pytest.mark.parametrize(("depth_mm", "level"), EDGE)
def test_the_edge_of_a_half_space_falls_off_as_published(depth_mm, level):
    """Source x < 0; levels from the Graves kernel, which counts the energy within 11 mm as 0.9960 of all."""
    assert edge_level(depth_mm, spread_of(KERNEL, reach_mm=12)) == pytest.approx(level, abs=0.002)
    step, n = 0.25, 120
    grid = Grid.from_axes((21, 21, n), (2.0, 2.0, step), (0, 0, 0))
    values = np.zeros(grid.shape)
    values[:, :, : n // 2] = 1e9  # the edge lies on the faces between voxels 59 and 60
    dose = Convolution(KERNEL).dose(DecayMap(values, grid, radionuclide=Y90), 1.0).gy
    profile = dose[10, 10] / (1e9 * Y90.energy_mev * 1.602176634e-13 / (grid.voxel_volume_ml * 1e-3))
    found = np.interp(depth_mm, (np.arange(n) - n // 2 + 0.5) * step, profile)
    assert found == pytest.approx(level, abs=0.005)


def test_nema_spheres_have_their_volumes():
    # worked example 11
    volumes = [np.pi * d**3 / 6 / 1000 for d in NEMA_DIAMETERS_MM]
    np.testing.assert_allclose(volumes, [0.524, 1.150, 2.572, 5.575, 11.494, 26.522], atol=5e-4)


@pytest.mark.parametrize(
    ("radius", "shift", "d95", "d70"),
    # dose = x in Gy for x in mm over a sphere: closed form, from the cap of height h with (3R - h) h² / 4R³ of the volume
    [(20.0, 0.0, 145.41, 154.53), (20.0, 1.1, 145.41, 154.53), (6.0, 0.0, 155.62, 158.36), (6.0, 1.1, 155.62, 158.36)],
)
def test_a_sphere_in_a_sloping_dose_has_its_closed_form_dvh(radius, shift, d95, d70):
    grid = Grid.from_axes((30, 30, 30), (2.5, 2.5, 2.5), (160 - 36.25 + shift, -36.25, -36.25))
    x = grid.points_lps_mm(np.stack(np.meshgrid(*[np.arange(30)] * 3, indexing="ij"), -1))[..., 0]
    fine = Grid.from_axes((180, 180, 180), (0.25,) * 3, (160 - 22.375, -22.375, -22.375))
    index = np.stack(np.meshgrid(*[np.arange(180)] * 3, indexing="ij"), -1)
    mask = np.linalg.norm(fine.points_lps_mm(index) - [160, 0, 0], axis=-1) <= radius
    roi, _ = roi_onto(Roi("ball", "tumor", mask, fine), grid)
    dose = DoseMap(x, grid)
    m = roi_metrics(roi, 0.0, dose, dose, DecayMap(np.ones(grid.shape), grid, radionuclide=Y90), 1.0)
    assert m.volume_ml == pytest.approx(4 / 3 * np.pi * radius**3 / 1000, rel=0.005)
    assert m.mean_dose_gy == pytest.approx(
        160, abs=0.02
    )  # exact for a dose that is linear; the fine mask is a staircase
    # a whole voxel has one dose, 2.5 mm wide here: half of that is the most a Dx can be off
    assert m.d95_gy == pytest.approx(d95, abs=1.25)
    assert m.d70_gy == pytest.approx(d70, abs=1.25)
