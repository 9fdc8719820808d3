from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from small_recovery import ball_roi, small_model, small_scan

from voxeldose.dose.engines.local import LocalDeposition
from voxeldose.dose.recovery import Resolution, recover
from voxeldose.dose.recovery.anatomy import anatomy_of, box_regions
from voxeldose.dose.recovery.checks import (
    cold_lesions,
    far_moved,
    require_chi_square,
    require_energy,
    require_no_hot_spot,
    withheld_dvhs,
)
from voxeldose.dose.recovery.field import Parameter
from voxeldose.dose.recovery.fit import start_fit
from voxeldose.dose.recovery.scan import Noise, Psf, Scan
from voxeldose.dose.recovery.shapes import AT_REST, distance_on
from voxeldose.errors import GeometryError, InputError, QuantityError
from voxeldose.model.administration import Administration
from voxeldose.model.grid import Grid
from voxeldose.model.radionuclide import Y90
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.volume import ActivityMap


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("fwhm_mm", (6.0, 0.5, 6.0)),
        ("fwhm_mm", (6.0, float("nan"), 6.0)),
        ("fwhm_sd_fraction", 0.9),
        ("noise_fwhm_mm", -1.0),
        ("shift_sd_mm", 0.0),
        ("growth_sd_mm", 20.0),
        ("draws", 5),
        ("seed", -1),
    ],
)
def test_an_option_that_cannot_be_is_refused_by_its_key(key, value):
    with pytest.raises(QuantityError, match=f"resolution.{key} must be") as refused:
        Resolution(**({"fwhm_mm": (6.5, 6.5, 6.5)} | {key: value}))
    assert refused.value.code == "value-out-of-range"
    assert refused.value.fields["key"] == key


def test_without_a_tumor_there_is_nothing_to_recover():
    with pytest.raises(InputError, match="needs a region with the role tumor") as refused:
        box_regions(RoiSet((ball_roi("liver", "liver", (0, 0, 0), 20),)))
    assert refused.value.code == "tumor-missing"


def test_another_engine_than_dpk_is_refused():
    result = SimpleNamespace(case=SimpleNamespace(density=1.04, administration=Administration(Y90, 100.0)))
    with pytest.raises(InputError, match='engine = "dpk"') as refused:
        recover(result, Resolution((6.5, 6.5, 6.5)), engine=LocalDeposition())
    assert refused.value.code == "engine-not-supported"


def test_no_activity_near_the_regions_is_refused():
    grid = small_scan(shape=(20, 20, 20)).grid
    empty = ActivityMap(np.zeros(grid.shape, np.float32), grid)
    with pytest.raises(QuantityError, match="no activity near the regions") as refused:
        Scan.around(empty, [ball_roi("t", "tumor", (0, 0, 0), 9)], Psf((6.5,) * 3), Noise(5.0))
    assert refused.value.code == "no-activity-near-regions"


def test_sheared_grids_are_refused():
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[0, 1] = 0.3
    grid = Grid((20, 20, 20), affine)
    roi = Roi("t", "tumor", np.ones(grid.shape, np.float32), grid)
    with pytest.raises(GeometryError, match="sheared") as refused:
        distance_on(roi, small_scan().fine_grid)
    assert refused.value.code == "grid-sheared"


@pytest.mark.parametrize(
    ("radius", "fwhm", "code"),
    [
        (4.2, (6.5,) * 3, "dvh-lesion-too-small"),
        (20.0, (13.0,) * 3, "dvh-resolution-too-wide"),
        (5.6, (6.0, 6.5, 7.0), "dvh-recovery-too-low"),
        (13.0, (6.5,) * 3, None),
    ],
)
def test_dvhs_that_nobody_can_know_are_withheld(radius, fwhm, code):
    scan = small_scan(shape=(26, 22, 24), fwhm=fwhm)
    anatomy = anatomy_of(RoiSet((ball_roi("t", "tumor", (0.6, -0.8, 0.4), radius, half=36),)), scan)
    found = withheld_dvhs(anatomy, scan)
    assert [w.remark.code for w in found] == ([code] if code else [])
    for withheld in found:
        assert "mean and T/N stand" in withheld.remark.sentence


@pytest.mark.parametrize(("uptake", "cold"), [(1.0, True), (4.0, False)])
def test_a_tumor_no_hotter_than_its_surroundings_keeps_its_outline(uptake, cold):
    made = small_model(lambda clean: clean + 0.2 * np.random.default_rng(3).standard_normal(clean.shape))
    model = replace(made.model, prior_means=np.array([uptake, 1.0, 0.0]))
    fit = start_fit(model, np.random.default_rng(1))
    found = cold_lesions(fit, fit.linear.flat)
    assert [r.code for r in found] == (["tumor-not-hotter"] if cold else [])
    if cold:
        assert "stays as drawn" in found[0].sentence


def test_an_outline_that_moves_beyond_two_priors_is_doubted():
    parameters = (Parameter("t", 0, 1.2), Parameter("t", -1, 1.0), Parameter("core of t", -1, 1.5))
    assert far_moved(parameters, np.array([2.0, -1.5, 4.0])) == []
    (found,) = far_moved(parameters, np.array([3.0, -1.5, 0.0]))
    assert (found.code, found.numbers["roi"], found.numbers["moved_mm"]) == ("outline-moved-far", "t", 3.0)
    assert "look at registration and outline" in found.sentence


@pytest.mark.parametrize(
    ("value", "level", "refused"),
    [(0.6, 0.25, True), (0.95, 0.25, False), (1.4, 0.25, True), (0.1, 0.02, False), (1.4, 0.02, True)],
)
def test_chi_square_out_of_range_is_refused_but_for_images_without_noise(value, level, refused):
    fit = SimpleNamespace(chi_square=value, state=SimpleNamespace(noise_level=level))
    if not refused:
        require_chi_square(fit)
        return
    with pytest.raises(QuantityError, match="chi-square per voxel") as error:
        require_chi_square(fit)
    assert error.value.code == "chi-square-out-of-range"


def test_activity_that_is_not_conserved_is_refused():
    made = small_model(shape=(24, 24, 24))
    sharp = sum(np.float32(m) * mask for m, mask in zip(made.means, made.masks, strict=True))
    require_energy(made.scan, sharp, 0.05)
    with pytest.raises(QuantityError, match=r"1\.100 times the image's") as refused:
        require_energy(made.scan, sharp * np.float32(1.1), 0.05)
    assert refused.value.code == "activity-not-conserved"


def test_a_hot_organ_without_a_region_is_refused_and_its_place_told():
    scan = small_scan(shape=(40, 32, 32))
    anatomy = anatomy_of(RoiSet((ball_roi("t", "tumor", (-25, -20, -20), 10, half=40),)), scan)
    masks = anatomy.partition.masks({})
    tumor = scan.forward(4 * masks[0])
    outside = np.ones(scan.shape, np.float32) - scan.forward(masks[0])
    outside = np.clip(outside, 0, 1)
    require_no_hot_spot(replace(scan, image=tumor), outside, tumor)
    gut = scan.forward(4 * ball_on(scan, (30, 25, 25), 12))
    with pytest.raises(QuantityError, match="belong to no region") as refused:
        require_no_hot_spot(replace(scan, image=tumor + gut), outside, tumor)
    assert refused.value.code == "hot-region-not-outlined"
    assert abs(refused.value.fields["x_mm"] - 30) < 5


def ball_on(scan, centre, radius):
    window, distance = distance_on(ball_roi("b", "other", centre, radius, half=46), scan.fine_grid)
    filled = np.zeros(scan.fine.shape, np.float32)
    filled[window] = np.clip(0.5 - distance / scan.fine.mean_spacing_mm, 0, 1)
    assert AT_REST.growth_mm == 0
    return filled
