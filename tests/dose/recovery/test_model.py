import numpy as np
import pytest
from small_recovery import CENTRE, RADIUS, ball_roi, small_model, small_scan

from voxeldose.dose.recovery.anatomy import anatomy_of
from voxeldose.dose.recovery.field import log_variance, texture_factor
from voxeldose.dose.recovery.shapes import Motion, distance_on
from voxeldose.dose.recovery.tier1 import gtm_means, labbe_means, region_columns, voxelwise
from voxeldose.model.roi import RoiSet


def test_forward_and_adjoint_agree():
    rng = np.random.default_rng(0)
    scan = small_scan()
    x = rng.standard_normal(scan.fine.shape, np.float32)
    y = rng.standard_normal(scan.shape, np.float32)
    seen, back = scan.forward(x), scan.adjoint(y)
    apart = float((seen * y).sum(dtype=float)) - float((x * back).sum(dtype=float))
    assert abs(apart) < 1e-6 * float(np.linalg.norm(seen)) * float(np.linalg.norm(y))


def test_a_small_region_seen_through_its_window_is_what_the_whole_box_gives():
    made = small_model(shape=(24, 24, 24))
    scan, region = made.scan, made.anatomy.region("t")
    filled = made.masks[0][region.window]
    column = scan.column(filled, region.window)
    assert column.values.size < scan.image.size
    np.testing.assert_allclose(column.whole(scan.shape), scan.forward(made.masks[0]), atol=2e-3)


@pytest.mark.parametrize("radius", [6.0, 9.0, 14.0])
def test_distance_from_a_label_map_is_that_of_the_ball(radius):
    fine = small_scan(shape=(20, 18, 18)).fine_grid
    window, distance = distance_on(ball_roi("t", "tumor", CENTRE, radius), fine)
    part = fine.window([s.start for s in window], distance.shape)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in distance.shape], indexing="ij"), -1)
    exact = np.linalg.norm(part.points_lps_mm(index) - CENTRE, axis=-1) - radius
    near = np.abs(exact) < 2.5
    assert abs(float((distance - exact)[near].mean())) < 0.15
    assert float((distance - exact)[near].std()) < 0.25


def test_regions_and_outside_fill_every_voxel_once_wherever_tumors_move():
    made = small_model()
    for motion in (Motion(), Motion((1.0, -0.7, 0.4), 0.8)):
        masks = made.model.partition.masks({"t": motion})
        np.testing.assert_allclose(sum(masks), 1, atol=1e-5)
        assert min(m.min() for m in masks) > -1e-6


def test_a_shift_moves_the_centre_and_growth_the_volume():
    made = small_model(shape=(20, 20, 20))
    region, ml = made.anatomy.region("t"), made.scan.fine.voxel_ml
    volume = 4 / 3 * np.pi * RADIUS**3 / 1000
    assert region.occupancy().sum() * ml == pytest.approx(volume, rel=0.03)
    grown = 4 / 3 * np.pi * (RADIUS + 1) ** 3 / 1000
    assert region.occupancy(Motion(growth_mm=1.0)).sum() * ml == pytest.approx(grown, rel=0.03)
    k = np.arange(region.distance_mm.shape[0])

    def centre(filled):
        return (filled.sum(axis=(1, 2)) * k).sum() / filled.sum()

    moved = centre(region.occupancy(Motion((1.2, 0.0, 0.0)))) - centre(region.occupancy())
    assert moved * made.scan.fine.spacing_mm[0] == pytest.approx(1.2, abs=0.02)


def test_a_liver_label_without_the_tumor_leaves_no_gap_around_it():
    scan = small_scan(shape=(20, 20, 20))
    tumor, liver = ball_roi("t", "tumor", CENTRE, 9.0), ball_roi("liver", "liver", (0, 0, 0), 26.0)
    hollow = liver.on_window(liver.grid) - tumor.on_window(liver.grid)
    from voxeldose.model.roi import Roi

    anatomy = anatomy_of(RoiSet((tumor, Roi("liver", "liver", np.clip(hollow, 0, 1), liver.grid))), scan)
    _, _, outside = anatomy.partition.masks({"t": Motion(growth_mm=-1.5)})
    region = anatomy.region("t")
    assert float(outside[region.window][region.distance_mm < 3].max()) < 0.02


def test_means_of_regions_are_exact_without_noise():
    made = small_model()
    columns = region_columns(made.scan, made.masks)
    np.testing.assert_allclose(labbe_means(made.scan, columns)[:2], made.means[:2], rtol=1e-3)
    np.testing.assert_allclose(gtm_means(made.scan, made.masks, columns)[:2], made.means[:2], rtol=1e-3)


def test_voxelwise_correction_gives_the_sharp_image_without_noise():
    made = small_model(shape=(20, 20, 20))
    columns = region_columns(made.scan, made.masks)
    found, held = voxelwise(made.scan, made.masks, gtm_means(made.scan, made.masks, columns))
    inside = made.masks[0] > 0.9
    assert float(found[inside].mean()) == pytest.approx(4.0, rel=0.02)
    assert held[0, 0] / held[0, 1] == pytest.approx(4.0, rel=0.02)


def test_texture_factor_has_mean_one_and_its_power():
    rng = np.random.default_rng(2)
    fields = [rng.standard_normal(200_000).astype(np.float32), rng.standard_normal(200_000).astype(np.float32)]
    found = texture_factor(np.array([0.4, 0.2]), fields)
    assert float(found.mean()) == pytest.approx(1, abs=0.01)
    assert log_variance(np.array([0.0, 0.09]))[1] == pytest.approx(0.09, abs=0.003)  # small power: c² itself, nearly
    assert log_variance(np.array([0.5]))[0] < 0.5
