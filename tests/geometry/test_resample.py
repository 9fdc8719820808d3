import numpy as np
import pytest
from remarks import refusal

from voxeldose.dose.metrics import roi_metrics
from voxeldose.errors import GeometryError
from voxeldose.geometry.resample import onto, roi_onto
from voxeldose.model.grid import Grid
from voxeldose.model.radionuclide import Y90
from voxeldose.model.roi import Roi
from voxeldose.model.volume import ActivityMap, CountMap, DecayMap, DoseMap

AXIAL = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], float)


def turned(degrees):
    a = np.radians(degrees)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    return about_z @ about_x @ AXIAL


def ball(radius_mm, centre=(3.3, -4.1, 7.7), spacing=(1.25, 0.9, 0.9), directions=AXIAL):
    """A sphere as a label map: voxel centres inside."""
    n = [int(2 * radius_mm / s) + 6 for s in spacing]
    first = np.array(centre) - directions @ (np.array(spacing) * (np.array(n) - 1) / 2)
    grid = Grid.from_axes(n, spacing, first, directions=directions)
    index = np.stack(np.meshgrid(*[np.arange(m) for m in n], indexing="ij"), -1)
    inside = np.linalg.norm(grid.points_lps_mm(index) - centre, axis=-1) <= radius_mm
    return Roi("ball", "tumor", inside.astype(np.float32), grid)


def centroid(roi):
    index = np.stack(np.meshgrid(*[np.arange(m) for m in roi.grid.shape], indexing="ij"), -1)
    place = index if roi.offset is None else index + np.moveaxis(roi.offset, 0, -1)
    return np.average(roi.grid.points_lps_mm(place).reshape(-1, 3), axis=0, weights=roi.occupancy.ravel())


COARSE = {
    "axial": Grid.from_axes((40, 40, 40), (4.8, 4.8, 4.8), (-95, -95, -95)),
    "anisotropic": Grid.from_axes((60, 48, 50), (3.27, 4.07, 4.07), (-95, -95, -95)),
    "oblique": Grid.from_axes((50, 50, 50), (4.8, 4.1, 4.1), (-60, -70, -135), directions=turned(20)),
    "finer": Grid.from_axes((80, 80, 80), (0.6, 0.6, 0.6), (-20, -28, -16)),
    "finer oblique": Grid.from_axes(
        (80, 80, 80), (0.6, 0.6, 0.6), np.array([3.3, -4.1, 7.7]) - turned(20) @ [24, 24, 24], directions=turned(20)
    ),
}


@pytest.mark.parametrize("radius", [6.3, 15.0])  # 1 mL and 14 mL
@pytest.mark.parametrize("name", COARSE)
@pytest.mark.parametrize("angle", [0, 33])
def test_a_region_of_one_ml_or_more_keeps_volume_and_place(radius, name, angle):
    roi = ball(radius, directions=turned(angle) if angle else AXIAL)
    moved, outside = roi_onto(roi, COARSE[name])
    assert moved.volume_ml == pytest.approx(roi.volume_ml, rel=1e-6)  # exact but for float32 storage
    assert outside < 1e-6
    assert moved.occupancy.min() >= 0
    assert moved.occupancy.max() <= 1
    np.testing.assert_allclose(centroid(moved), centroid(roi), atol=2e-4)  # exact but for float32 storage


def test_a_region_on_its_own_grid_is_unchanged():
    roi = ball(6)
    whole = roi.grid.window((-3, -2, -4), [n + 9 for n in roi.grid.shape])
    moved, outside = roi_onto(roi, whole)
    np.testing.assert_allclose(moved.on_window(roi.grid), roi.occupancy, atol=1e-6)
    assert outside < 1e-6


def test_half_a_region_outside_the_grid_is_told():
    roi = ball(15)
    half = Grid.from_axes((40, 40, 20), (4, 4, 4), (3.3 + 2, -80, -80))
    moved, outside = roi_onto(roi, half)
    assert outside == pytest.approx(0.5, abs=0.01)  # the sphere is a staircase
    assert moved.volume_ml == pytest.approx(roi.volume_ml * (1 - outside))


def test_a_region_outside_the_grid_is_refused_with_both_places():
    with pytest.raises(GeometryError, match=r"does not overlap.*LPS mm"):
        roi_onto(ball(6, centre=(500, 0, 0)), COARSE["axial"])


def test_regions_and_images_of_another_frame_are_refused():
    roi = ball(6)
    framed = Roi("a", "tumor", roi.occupancy, Grid(roi.grid.shape, roi.grid.affine_lps_mm, "1.2.3"))
    other = Grid(COARSE["axial"].shape, COARSE["axial"].affine_lps_mm, "1.2.4")
    with pytest.raises(GeometryError, check=refusal("frame-differs")):
        roi_onto(framed, other)
    with pytest.raises(GeometryError, check=refusal("frame-differs")):
        onto(ActivityMap(np.ones(roi.grid.shape), framed.grid), other)


@pytest.mark.parametrize("name", COARSE)
def test_resampled_concentration_keeps_total_and_place(name):
    roi = ball(12)
    image = ActivityMap(roi.occupancy * 1e6, roi.grid)
    moved = onto(image, COARSE[name])
    assert moved.total_mbq() == pytest.approx(image.total_mbq(), rel=1e-6)  # float32 storage
    index = np.stack(np.meshgrid(*[np.arange(m) for m in moved.grid.shape], indexing="ij"), -1)
    place = np.average(moved.grid.points_lps_mm(index).reshape(-1, 3), axis=0, weights=moved.values.ravel())
    np.testing.assert_allclose(place, centroid(roi), atol=0.1)


def test_counts_keep_their_total_and_concentration_its_value():
    grid = Grid.from_axes((10, 10, 10), (4, 4, 4), (0, 0, 0))
    finer = grid.with_spacing((2.0, 1.0, 0.5))
    counts = onto(CountMap(np.ones(grid.shape), grid), finer)
    assert counts.total() == pytest.approx(1000, rel=1e-6)
    assert onto(ActivityMap(np.ones(grid.shape), grid), finer).values.max() == pytest.approx(1)


def test_outside_the_old_grid_there_is_nothing():
    grid = Grid.from_axes((4, 4, 4), (2, 2, 2), (0, 0, 0))
    wide = grid.window((-2, 0, 0), (8, 4, 4))
    moved = onto(ActivityMap(np.ones(grid.shape), grid), wide)
    np.testing.assert_allclose(moved.values[:, 0, 0], [0, 0, 1, 1, 1, 1, 0, 0])


@pytest.mark.parametrize("name", COARSE)
@pytest.mark.parametrize("angle", [0, 33])
def test_mean_of_a_sloping_dose_is_the_dose_at_the_middle_of_the_region(name, angle):
    roi = ball(11, directions=turned(angle) if angle else AXIAL)
    grid = COARSE[name]
    index = np.stack(np.meshgrid(*[np.arange(m) for m in grid.shape], indexing="ij"), -1)
    slope = np.array([3.0, -2.0, 5.0])  # Gy a mm along x, y, z: no two axes can be swapped
    dose = DoseMap(1000 + grid.points_lps_mm(index) @ slope, grid)
    moved, _ = roi_onto(roi, grid)
    decays = DecayMap(np.ones(grid.shape), grid, radionuclide=Y90)
    found = roi_metrics(moved, 0.0, dose, dose, decays, 1.0).mean_dose_gy
    assert found == pytest.approx(1000 + centroid(roi) @ slope, abs=0.01)  # float32 dose
