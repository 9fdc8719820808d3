import numpy as np
import pytest

from voxeldose.grid import Grid
from voxeldose.metrics import (
    RADIOBIOLOGY,
    Radiobiology,
    bed_gy,
    eud_gy,
    overlaps,
    roi_metrics,
    tumor_to_normal,
)
from voxeldose.radionuclide import Y90, Radionuclide
from voxeldose.roi import Roi
from voxeldose.volume import DecayMap, DensityMap, DoseMap

GRID = Grid.from_axes((1, 1, 10), (10, 10, 10), (0, 0, 0))
DOSES = np.arange(100.0, 600.0, 50.0)
DECAYS = DecayMap(np.full(GRID.shape, 2e6 * Y90.decays_per_bq()), GRID, radionuclide=Y90)


def measured(occupancy=None, doses=DOSES, role="tumor", density=1.05, local=None, outside=0.0):
    roi = Roi("a", role, np.ones(GRID.shape) if occupancy is None else np.reshape(occupancy, GRID.shape), GRID)
    dose = DoseMap(np.reshape(doses, GRID.shape), GRID)
    near = dose if local is None else DoseMap(np.reshape(local, GRID.shape), GRID)
    return roi_metrics(roi, outside, dose, near, DECAYS, density)


def test_the_worked_example_of_ten_voxels():
    m = measured()
    assert m.mean_dose_gy == pytest.approx(325)
    assert (m.min_dose_gy, m.max_dose_gy) == (100, 550)
    assert m.sd_dose_gy / m.mean_dose_gy == pytest.approx(0.442, abs=5e-4)  # population
    assert (m.v400_fraction, m.v446_fraction, m.v190_fraction) == pytest.approx((0.4, 0.3, 0.8))
    assert (m.d95_gy, m.d90_gy, m.d70_gy, m.d50_gy, m.d2_gy) == (100, 150, 250, 350, 550)
    assert m.eud_gy == pytest.approx(304.55, abs=0.005)


def test_volume_mass_and_activity_follow_occupancy():
    m = measured(np.r_[0.25, np.zeros(9)])
    assert m.volume_ml == pytest.approx(0.25)
    assert m.mass_g == pytest.approx(0.25 * 1.05)
    assert m.activity_mbq == pytest.approx(0.5)


def test_mass_follows_a_density_image():
    rho = np.linspace(0.3, 1.2, 10).reshape(GRID.shape)
    assert measured(density=DensityMap(rho, GRID)).mass_g == pytest.approx(rho.sum(), rel=1e-6)


def test_negative_voxels_count_in_the_mean():
    assert measured(doses=np.r_[-100.0, 100.0, np.zeros(8)]).mean_dose_gy == pytest.approx(0, abs=1e-9)


def test_local_mean_is_that_of_the_local_map():
    assert measured(local=DOSES * 2).mean_dose_local_gy == pytest.approx(650)


def test_bed_of_published_examples():
    # Cremonesi 2008 with T½ 64.2 h: NTL 40 Gy -> 64; tumor 65 / 130 / 235 Gy -> 75 / 170 / 360 (as printed, rounded)
    printed = Radionuclide("Y-90", 64.2, 0.9367, "Cremonesi 2008")
    assert bed_gy(np.array([40.0]), RADIOBIOLOGY["liver"], printed)[0] == pytest.approx(63.99, abs=0.005)
    tumor = bed_gy(np.array([65.0, 130.0, 235.0]), RADIOBIOLOGY["tumor"], printed)
    np.testing.assert_allclose(tumor, [74.65, 168.6, 361.1], atol=0.06)


def test_bed_with_the_runs_half_life():
    assert bed_gy(np.array([205.0, 400.0]), RADIOBIOLOGY["tumor"], Y90) == pytest.approx([301.2, 766.2], abs=0.05)
    assert bed_gy(np.array([75.0]), RADIOBIOLOGY["normal_liver"], Y90)[0] == pytest.approx(159.5, abs=0.05)


def test_bed_is_the_mean_over_voxels_and_not_of_the_mean():
    m = measured()
    each = bed_gy(DOSES, RADIOBIOLOGY["tumor"], Y90)
    assert m.bed_gy == pytest.approx(each.mean())
    assert m.bed_gy > bed_gy(np.array([325.0]), RADIOBIOLOGY["tumor"], Y90)[0]


def test_roles_without_parameters_have_no_bed_or_eud():
    m = measured(role="lung")
    assert m.bed_gy is None
    assert m.eud_gy is None


def test_eud_of_an_even_dose_is_that_dose_and_large_doses_do_not_overflow():
    assert eud_gy(np.full(5, 1e5), np.ones(5), 0.01) == pytest.approx(1e5)
    assert np.isfinite(eud_gy(np.array([0.0, 1e7]), np.ones(2), 0.3))


def test_tumor_to_normal_is_activity_a_gram_pooled():
    metrics = {
        "t1": measured(np.r_[1, np.zeros(9)]),
        "n": measured(np.r_[np.zeros(5), np.ones(5)], role="normal_liver"),
    }
    assert tumor_to_normal(metrics) == pytest.approx(1)
    assert tumor_to_normal({"t1": metrics["t1"]}) is None
    assert tumor_to_normal({"n": metrics["n"]}) is None


def test_worked_example_24():
    # 3.6e6 counts in 120 mL of tumor, 6.0e6 in 800 mL of normal liver: 4.00
    grid = Grid.from_axes((1, 1, 2), (10, 10, 10), (0, 0, 0))
    decays = DecayMap([[[3.6e6 / 120, 6.0e6 / 800]]], grid, radionuclide=Y90)
    dose = DoseMap(np.ones(grid.shape), grid)
    metrics = {
        role: roi_metrics(Roi(role, role, [[occupancy]], grid), 0.0, dose, dose, decays, 1.05)
        for role, occupancy in (("tumor", [1, 0]), ("normal_liver", [0, 1]))
    }
    assert tumor_to_normal(metrics) == pytest.approx(4.00, rel=1e-6)


def test_overlap_is_reported_in_ml_and_neighbours_in_one_voxel_do_not_overlap():
    def roi(name, values):
        return Roi(name, "tumor", np.reshape(values, GRID.shape), GRID)

    a, b = roi("a", [1, 1, 0.5] + [0] * 7), roi("b", [0, 1, 0.5] + [0] * 7)
    found = overlaps([a, b], GRID.voxel_volume_ml)
    assert [(o.first, o.second) for o in found] == [("a", "b")]
    assert found[0].volume_ml == pytest.approx(1.0)
    assert overlaps([a, roi("c", [0, 0, 0.5] + [0] * 7)], 1.0) == ()


def test_parameter_sets_say_where_they_come_from():
    assert all(isinstance(t, Radiobiology) and t.source for t in RADIOBIOLOGY.values())


def test_part_of_a_voxel_gets_the_dose_where_it_lies_but_not_in_local_deposition():
    grid = Grid.from_axes((1, 1, 3), (10, 10, 10), (0, 0, 0))
    occupancy = np.reshape([0, 0.5, 0], grid.shape).astype(np.float32)
    offset = np.zeros((3, *grid.shape), np.float32)
    offset[2, 0, 0, 1] = 0.25  # the half towards +x
    roi = Roi("half", "tumor", occupancy, grid, (), offset)
    decays = DecayMap(np.ones(grid.shape), grid, radionuclide=Y90)
    for even, expected in ((False, 20 + 0.25 * 10), (True, 20)):
        dose = DoseMap(np.reshape([10.0, 20.0, 30.0], grid.shape), grid, is_even_in_voxels=even)
        m = roi_metrics(roi, 0.0, dose, dose, decays, 1.0)
        assert m.mean_dose_gy == pytest.approx(expected)
        assert m.mean_dose_local_gy == pytest.approx(20)


def test_the_dose_to_part_of_a_voxel_stays_within_what_its_neighbours_have():
    grid = Grid.from_axes((1, 1, 3), (10, 10, 10), (0, 0, 0))
    offset = np.zeros((3, *grid.shape), np.float32)
    offset[2, 0, 0, 1] = -0.5
    roi = Roi("edge", "tumor", np.reshape([0, 0.1, 0], grid.shape).astype(np.float32), grid, (), offset)
    dose = DoseMap(np.reshape([0.0, 0.1, 30.0], grid.shape), grid)
    m = roi_metrics(roi, 0.0, dose, dose, DecayMap(np.ones(grid.shape), grid, radionuclide=Y90), 1.0)
    assert m.mean_dose_gy == 0
