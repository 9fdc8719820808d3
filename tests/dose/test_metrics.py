import numpy as np
import pytest
from remarks import refusal

from voxeldose.dose.metrics import roi_metrics
from voxeldose.dose.radiobiology import bed_gy
from voxeldose.dose.regions import overlaps
from voxeldose.dose.tumor_to_normal import tumor_to_normal, tumor_to_normal_of
from voxeldose.errors import QuantityError
from voxeldose.model.grid import Grid
from voxeldose.model.radionuclide import Y90
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.tissue import default_sets
from voxeldose.model.volume import DecayMap, DensityMap, DoseMap

GRID = Grid.from_axes((1, 1, 10), (10, 10, 10), (0, 0, 0))
DOSES = np.arange(100.0, 600.0, 50.0)
DECAYS = DecayMap(np.full(GRID.shape, 2e6 * Y90.decays_per_bq()), GRID, radionuclide=Y90)


def measured(occupancy=None, doses=DOSES, role="tumor", density=1.05, local=None, outside=0.0):
    roi = Roi("a", role, np.ones(GRID.shape) if occupancy is None else np.reshape(occupancy, GRID.shape), GRID)
    dose = DoseMap(np.reshape(doses, GRID.shape), GRID)
    near = dose if local is None else DoseMap(np.reshape(local, GRID.shape), GRID)
    return roi_metrics(roi, outside, dose, near, DECAYS, density, tissue=default_sets().get(role))


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


def test_bed_is_the_mean_over_voxels_and_not_of_the_mean():
    m = measured()
    each = bed_gy(DOSES, default_sets()["tumor"], Y90)
    assert m.bed_gy == pytest.approx(each.mean())
    assert m.bed_gy > bed_gy(np.array([325.0]), default_sets()["tumor"], Y90)[0]


def test_roles_without_parameters_have_no_bed_or_eud():
    m = measured(role="lung")
    assert m.bed_gy is None
    assert m.eud_gy is None
    assert m.eubed_gy is None


def test_parameters_of_the_other_tissue_are_refused():
    roi, dose = Roi("a", "normal_liver", np.ones(GRID.shape), GRID), DoseMap(np.ones(GRID.shape), GRID)
    with pytest.raises(QuantityError, check=refusal("role-differs")):
        roi_metrics(roi, 0.0, dose, dose, DECAYS, 1.05, tissue=default_sets()["tumor"])


def test_tumor_to_normal_of_each_tumor_and_of_all_pooled():
    first, second = measured(np.r_[1, np.zeros(9)]), measured(np.r_[0, 0.5, np.zeros(8)], doses=DOSES * 2)
    normal = measured(np.r_[np.zeros(5), np.ones(5)], doses=np.full(10, 50.0), role="normal_liver")
    found = tumor_to_normal({"a": first, "b": second, "n": normal}, {"n": normal})
    rows = {r.roi: r for r in found.rows}
    assert [rows[n].by_concentration for n in ("a", "b", "treated tumors")] == pytest.approx([1, 1, 1])
    assert rows["a"].by_dose == pytest.approx(100 / 50)
    assert rows["b"].by_dose == pytest.approx(300 / 50)
    assert rows["treated tumors"].by_dose == pytest.approx((100 + 0.5 * 300) / 1.5 / 50)
    assert rows["a"].normal == "whole normal liver: n"
    assert (found.region, found.pooled) == ("n", pytest.approx(1))


def test_tumor_to_normal_needs_a_tumor_and_normal_liver():
    tumor, normal = measured(np.r_[1, np.zeros(9)]), measured(np.r_[np.zeros(5), np.ones(5)], role="normal_liver")
    for found in (tumor_to_normal({"t": tumor}, {}), tumor_to_normal({"n": normal}, {"n": normal})):
        assert (found.rows, found.pooled, found.region) == ((), None, None)


def test_worked_example_24():
    # 3.6e6 counts in 120 mL of tumor, 6.0e6 in 800 mL of normal liver: 4.00
    grid = Grid.from_axes((1, 1, 2), (10, 10, 10), (0, 0, 0))
    decays = DecayMap([[[3.6e6 / 120, 6.0e6 / 800]]], grid, radionuclide=Y90)
    dose = DoseMap(np.ones(grid.shape), grid)
    metrics = {
        role: roi_metrics(Roi(role, role, [[occupancy]], grid), 0.0, dose, dose, decays, 1.05)
        for role, occupancy in (("tumor", [1, 0]), ("normal_liver", [0, 1]))
    }
    normal = {"normal_liver": metrics["normal_liver"]}
    assert tumor_to_normal(metrics, normal).pooled == pytest.approx(4.00, rel=1e-6)


def test_overlap_is_reported_in_ml_and_neighbours_in_one_voxel_do_not_overlap():
    def roi(name, values):
        return Roi(name, "tumor", np.reshape(values, GRID.shape), GRID)

    a, b = roi("a", [1, 1, 0.5] + [0] * 7), roi("b", [0, 1, 0.5] + [0] * 7)
    both = RoiSet((a, b))
    found = overlaps(both, both)
    assert [(o.first, o.second) for o in found] == [("a", "b")]
    assert found[0].volume_ml == pytest.approx(1.5)  # both end in the third voxel, on the same side
    beside = RoiSet((a, roi("c", [0, 0, 0.5, 1] + [0] * 6)))
    assert overlaps(beside, beside) == ()


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


@pytest.mark.parametrize(
    ("tumors", "normal", "code", "words"),
    [
        ({}, (60.0, 800.0), "tumor-to-normal-undefined", "needs a tumor"),
        ({"t": (36.0, 120.0)}, (0.0, 800.0), "tumor-to-normal-undefined", "in the normal region, found 0"),
        ({"t": (36.0, 0.0)}, (60.0, 800.0), "value-out-of-range", r"t needs .* found 36\.0 and 0\.0"),
        ({"t": (36.0, 120.0)}, (-1.0, 800.0), "value-out-of-range", "the normal region needs"),
    ],
)
def test_a_ratio_of_nothing_is_refused(tumors, normal, code, words):
    with pytest.raises(QuantityError, match=words, check=refusal(code)):
        tumor_to_normal_of(tumors, normal, "perfused normal liver")
