"""Doses side by side: closed forms, pymedphys as another gamma, and what must never be added."""

import numpy as np
import pytest
from remarks import coded, refusal

import voxeldose as vd
from voxeldose.dose.comparison import (
    GammaCriteria,
    dose_sum,
    gamma_index,
    registration_of,
    shared_rois,
    sums_in_rois,
)
from voxeldose.dose.radiobiology import bed_gy
from voxeldose.errors import GeometryError, QuantityError
from voxeldose.geometry.resample import moved_onto
from voxeldose.model.tissue import default_sets
from voxeldose.model.volume import DoseMap

ANGLE = np.radians(25)
TURN = np.array([[np.cos(ANGLE), -np.sin(ANGLE), 0], [np.sin(ANGLE), np.cos(ANGLE), 0], [0, 0, 1.0]])


def grid_of(shape=(11, 12, 13), spacing=(3.0, 2.5, 2.0), **more):
    return vd.Grid.from_axes(shape, spacing, (-9.0, 4.0, 20.0), **more)


def points_of(grid):
    return grid.points_lps_mm(np.moveaxis(np.indices(grid.shape), 0, -1))


def blob(grid, centre, width, height=100.0):
    """A Gaussian of dose around a point in LPS."""
    apart = ((points_of(grid) - np.array(centre)) ** 2).sum(axis=-1)
    return DoseMap((height * np.exp(-apart / 2 / width**2)).astype(np.float32), grid)


CENTRE = (3.0, 18.0, 35.0)


@pytest.mark.parametrize("is_local", [False, True])
def test_gamma_is_that_of_pymedphys(is_local):
    pymedphys = pytest.importorskip("pymedphys")
    grid = grid_of()
    reference, evaluated = blob(grid, CENTRE, 8), blob(grid, (3.5, 18.5, 34.4), 8.2, 102)
    criteria = GammaCriteria(0.03, 2.0, is_local, 0.1, 2.0)
    own = gamma_index(reference, evaluated, criteria)
    axes = tuple(np.arange(n) * s for n, s in zip(grid.shape, grid.spacing_mm, strict=True))
    other = pymedphys.gamma(
        axes,
        reference.gy,
        axes,
        evaluated.gy,
        3.0,
        2.0,
        lower_percent_dose_cutoff=10,
        interp_fraction=15,
        max_gamma=2,
        local_gamma=is_local,
    )
    known = np.isfinite(other)
    np.testing.assert_array_equal(known, np.isfinite(own.gamma))
    # both search a lattice: pymedphys one of 0.13 mm, ours one of 0.2 mm refined to 0.05; steep local criteria feel it most
    assert own.passed_fraction() == pytest.approx((other[known] <= 1).mean(), abs=0.025 if is_local else 0.003)
    difference = other[known] - own.gamma[known]
    assert abs(difference.mean()) < (0.05 if is_local else 0.02)
    if not is_local:
        assert np.abs(difference).max() < 0.08


def test_gamma_of_a_dose_with_itself_is_zero():
    dose = blob(grid_of(), CENTRE, 8)
    found = gamma_index(dose, dose, GammaCriteria())
    assert np.nanmax(found.gamma) == 0
    assert found.passed_fraction() == 1
    assert found.evaluated == (dose.gy >= 0.1 * dose.gy.max()).sum()


def test_gamma_of_an_even_dose_is_its_difference_over_the_criterion():
    grid = grid_of()
    low, high = DoseMap(np.full(grid.shape, 100.0), grid), DoseMap(np.full(grid.shape, 104.5), grid)
    np.testing.assert_allclose(gamma_index(low, high, GammaCriteria(0.03)).gamma, 1.5, rtol=1e-6)
    np.testing.assert_allclose(gamma_index(high, low, GammaCriteria(0.03)).gamma, 4.5 / 3.135, rtol=1e-6)


def test_gamma_of_a_ramp_that_is_shifted_is_known():
    """Along a slope g a shift s is seen as s·g / sqrt(ΔD² + (g Δd)²): the nearest point of a line."""
    grid = grid_of((3, 3, 60), (3.0, 3.0, 1.0))
    slope, shift = 2.0, 2.5
    ramp = 50 + slope * (points_of(grid)[..., 0] + 9.0)
    reference, evaluated = DoseMap(ramp, grid), DoseMap(ramp - slope * shift, grid)
    criteria = GammaCriteria(0.03, 3.0)
    found = gamma_index(reference, evaluated, criteria).gamma[1, 1, 15:45]
    tolerance = 0.03 * ramp.max()
    wanted = slope * shift / np.hypot(tolerance, slope * 3.0)
    assert float(np.abs(found - wanted).max()) < 0.01  # the lattice is refined to 0.075 mm


def test_gamma_follows_a_transform_and_grids_of_their_own():
    shift = np.eye(4)
    shift[:3, :3], shift[:3, 3] = TURN, (40.0, -7.0, 3.0)
    reference = blob(grid_of(), CENTRE, 8)
    axes = TURN.T @ np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], float).T
    there = np.linalg.inv(shift)
    centre = there[:3, :3] @ CENTRE + there[:3, 3]
    grid = vd.Grid.from_axes((30, 30, 30), (1.7, 1.9, 1.5), centre - axes @ (25, 28, 22), directions=axes)
    evaluated = blob(grid, centre, 8)
    found = gamma_index(reference, evaluated, GammaCriteria(0.02, 1.0), shift)
    assert found.passed_fraction() == 1
    # straight lines between voxels cut the peak by 2 %: (1.9/8)²/8 a axis
    assert np.nanmax(found.gamma) < 0.5
    assert gamma_index(reference, evaluated, GammaCriteria(0.02, 1.0)).passed_fraction() < 0.1


def test_voxels_that_the_other_dose_does_not_reach_have_no_gamma():
    dose = blob(grid_of(), CENTRE, 30)
    part = dose.window(dose.grid.window((0, 0, 0), (5, 12, 13)))
    found = gamma_index(dose, part, GammaCriteria())
    assert np.isnan(found.gamma[5:]).all()
    assert found.not_reached == 6 * 12 * 13
    assert found.passed_fraction() == 1


@pytest.mark.parametrize(
    "words",
    [{"dose_fraction": 3.0}, {"dose_fraction": 0.0}, {"distance_mm": 0.0}, {"cutoff_fraction": 10.0}, {"limit": 0.5}],
)
def test_criteria_that_are_none_are_refused(words):
    with pytest.raises(QuantityError):
        GammaCriteria(**words)


def test_gamma_without_a_dose_or_on_sheared_voxels_is_refused():
    grid = grid_of()
    empty = DoseMap(np.zeros(grid.shape), grid)
    with pytest.raises(QuantityError, check=refusal("dose-none")):
        gamma_index(empty, empty, GammaCriteria())
    affine = grid.affine_lps_mm.copy()
    affine[0, 1] += 0.4
    sheared = DoseMap(np.ones(grid.shape), vd.Grid(grid.shape, affine))
    with pytest.raises(GeometryError, check=refusal("grid-sheared")):
        gamma_index(sheared, sheared, GammaCriteria())


# --- moving and registration ---


def test_a_smooth_dose_is_moved_with_its_peak():
    source, target = grid_of((20, 22, 24)), grid_of((14, 15, 20), (4.0, 3.5, 2.3))
    dose = blob(source, (12.0, 30.0, 47.0), 9)
    found, wanted = moved_onto(dose, target).gy, blob(target, (12.0, 30.0, 47.0), 9).gy
    known = np.isfinite(found)
    assert known.mean() > 0.5
    assert np.abs(found - wanted)[known].max() < 0.5  # of 100 Gy; straight lines would be 3 Gy low at the peak


def test_a_rigid_transform_takes_points_of_the_dose_to_points_of_the_grid():
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = TURN, (11.0, -3.0, 6.0)
    source = grid_of((30, 30, 30), (2.0, 2.0, 2.0))
    centre = np.array([20.0, 33.0, 49.0])
    dose = blob(source, centre, 7)
    there = matrix[:3, :3] @ centre + matrix[:3, 3]
    target = vd.Grid.from_axes((9, 11, 13), (2.0, 2.0, 2.0), there - (12, 10, 8))
    moved = moved_onto(dose, target, matrix)
    hottest = target.points_lps_mm(np.unravel_index(np.nanargmax(moved.gy), target.shape))
    np.testing.assert_allclose(hottest, there, atol=1e-6)


def test_on_its_own_grid_a_dose_keeps_every_bit():
    dose = blob(grid_of(), CENTRE, 5)
    np.testing.assert_array_equal(moved_onto(dose, grid_of(frame_uid="1.2")).gy, dose.gy)


def test_beyond_the_map_there_is_no_number():
    dose = DoseMap(np.ones((11, 12, 13)), grid_of())
    found = moved_onto(dose, dose.grid.window((-2, 0, 0), (4, 12, 13))).gy
    assert np.isnan(found[:2]).all()
    assert (found[2:] == 1).all()


def test_frames_that_differ_are_refused_unless_something_joins_them():
    one, other, none = grid_of(frame_uid="1.2.3"), grid_of(frame_uid="1.2.4"), grid_of()
    with pytest.raises(GeometryError, match=r"1\.2\.3.*1\.2\.4.*--transform"):
        registration_of(one, other, None)
    assert "user states" in registration_of(one, other, None, same_frame=True)
    assert "given" in registration_of(one, other, np.eye(4))
    assert "same frame of reference" in registration_of(one, one, None)
    assert "taken to lie" in registration_of(one, none, None)


@pytest.mark.parametrize("change", [(0, 0, 1.1), (0, 1, 0.2), (3, 0, 1.0), (0, 0, np.nan), (2, 2, -1.0)])
def test_a_transform_that_is_not_rigid_is_refused(change):
    matrix = np.eye(4)
    matrix[change[0], change[1]] = change[2]
    with pytest.raises(GeometryError, check=refusal("transform-not-rigid")):
        registration_of(grid_of(), grid_of(), matrix)


def test_regions_in_common_are_found_by_name_and_the_others_named():
    shared = shared_rois(["a", "c", "b"], ["d", "b", "a", "e"])
    assert (shared.both, shared.only_first, shared.only_second) == (("b", "a"), ("c",), ("d", "e"))
    with pytest.raises(QuantityError, match=r"first has c.*second d, e", check=refusal("rois-differ")):
        shared_rois(["c"], ["d", "e"])


# --- sums ---


def regions_on(grid):
    left = np.zeros(grid.shape, np.float32)
    left[2:8, 3:9, 2:7] = 1
    left[8, 3:9, 2:7] = 0.4
    return vd.RoiSet((vd.Roi("lesion", "tumor", left, grid), vd.Roi("spleen", "other", left[::-1].copy(), grid)))


def test_doses_add_and_bed_is_summed_by_treatment_never_of_the_sum():
    grid = grid_of()
    doses = [DoseMap(np.full(grid.shape, value), grid) for value in (80.0, 120.0)]
    found = sums_in_rois(doses, regions_on(grid), [vd.Y90, vd.Y90])["lesion"]
    assert found.dvh.mean_gy == pytest.approx(200, rel=1e-6)
    assert found.mean_each_gy == pytest.approx((80, 120), rel=1e-6)
    each = [float(bed_gy(np.array([d]), default_sets()["tumor"], vd.Y90)[0]) for d in (80.0, 120.0)]
    assert found.bed_gy == pytest.approx(sum(each), rel=1e-6)
    of_the_sum = float(bed_gy(np.array([200.0]), default_sets()["tumor"], vd.Y90)[0])
    assert found.bed_gy < of_the_sum - 40  # 2 G D1 D2/(α/β) = 43.9 Gy would be too much
    assert found.volume_ml == pytest.approx(regions_on(grid)["lesion"].volume_ml)


def test_a_region_without_parameters_has_no_bed():
    grid = grid_of()
    dose = DoseMap(np.ones(grid.shape), grid)
    assert sums_in_rois([dose, dose], regions_on(grid), [vd.Y90, vd.Y90])["spleen"].bed_gy is None


def test_what_one_dose_does_not_reach_is_left_out_and_said():
    grid = grid_of()
    values = np.full(grid.shape, 10.0, np.float32)
    values[:5] = np.nan
    doses = [DoseMap(values, grid), DoseMap(np.full(grid.shape, 5.0), grid)]
    found = sums_in_rois(doses, regions_on(grid), [vd.Y90, vd.Y90])["lesion"]
    assert found.outside_fraction == pytest.approx(3 / 6.4, rel=1e-6)
    assert found.dvh.mean_gy == pytest.approx(15, rel=1e-6)
    total = dose_sum(doses)
    assert np.isnan(total.gy[:5]).all()
    (summed,) = coded("dose-sum", total.remarks)
    assert summed.numbers == {"doses": 2}
    assert summed.sentence == "Sum of 2 absorbed doses."


def test_doses_on_two_grids_are_not_added():
    with pytest.raises(GeometryError, check=refusal("grid-differs")):
        dose_sum([blob(grid_of(), CENTRE, 5), blob(grid_of((11, 12, 14)), CENTRE, 5)])
