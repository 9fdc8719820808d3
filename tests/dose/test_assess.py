from datetime import UTC, datetime

import numpy as np
import pytest
from remarks import coded, refusal
from scipy.ndimage import gaussian_filter

from voxeldose.dose.activity import count_decays
from voxeldose.dose.assess import assess, what_if
from voxeldose.dose.engines.convolution import Convolution
from voxeldose.dose.engines.local import LocalDeposition
from voxeldose.dose.engines.rays.transport import RayTransport
from voxeldose.errors import GeometryError, QuantityError
from voxeldose.model.administration import Administration
from voxeldose.model.case import Absolute, Administered, Case
from voxeldose.model.grid import Grid
from voxeldose.model.kernel import point_kernel
from voxeldose.model.radionuclide import JOULE_PER_MEV, TC99M, Y90, Y90_VENDOR
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.tissue import default_sets
from voxeldose.model.volume import ActivityMap, CtImage, DensityMap

AT = datetime(2024, 5, 2, 10, 15, tzinfo=UTC)
GRID = Grid.from_axes((24, 26, 30), (4, 3.5, 3), (-40, -50, -60))


def roi(name, role, where):
    occupancy = np.zeros(GRID.shape)
    occupancy[where] = 1
    return Roi(name, role, occupancy, GRID)


LIVER = roi("liver", "liver", (slice(4, 20), slice(4, 22), slice(5, 25)))
TUMOR = roi("lesion", "tumor", (slice(9, 14), slice(9, 14), slice(10, 16)))


def case(rois=(LIVER, TUMOR), given=None, blurred=False, **more):
    values = np.zeros(GRID.shape)
    values[4:20, 4:22, 5:25] = 1e5
    values[9:14, 9:14, 10:16] = 5e5
    if blurred:  # 7 mm FWHM
        values = gaussian_filter(values, [3 / s for s in GRID.spacing_mm])
    given = given or Administration(Y90, 300.0, AT, 0.0, 0.05, "glass")
    return Case(ActivityMap(values, GRID, at=AT, radionuclide=Y90), RoiSet(tuple(rois)), given, **more)


def test_normal_liver_is_liver_minus_tumors():
    result = assess(case())
    assert result.rois["normal_liver"].volume_ml == pytest.approx(LIVER.volume_ml - TUMOR.volume_ml)
    (derived,) = coded("normal-liver-derived", result.record.assumptions)
    assert derived.sentence == "normal_liver is liver minus lesion."
    assert result.rois["normal_liver"].role == "normal_liver"


def test_a_given_normal_liver_is_taken():
    given = roi("parenchyma", "normal_liver", (slice(4, 8), slice(4, 22), slice(5, 25)))
    result = assess(case((LIVER, TUMOR, given)))
    assert set(result.rois) == {"liver", "lesion", "parenchyma"}
    assert not coded("normal-liver-holds-tumor", result.record.warnings)


def test_a_normal_liver_with_tumor_in_it_and_a_liver_of_tumor_alone_are_warned_of():
    given = roi("parenchyma", "normal_liver", (slice(4, 20), slice(4, 22), slice(5, 25)))
    (holds,) = coded("normal-liver-holds-tumor", assess(case((TUMOR, given)), LocalDeposition()).record.warnings)
    assert holds.numbers["volume_ml"] == pytest.approx(TUMOR.volume_ml)
    assert {holds.numbers["roi"], holds.numbers["other_roi"]} == {"lesion", "parenchyma"}
    assert f"holds {TUMOR.volume_ml:.2f} mL of tumor" in holds.sentence
    all_tumor = Roi("spread", "tumor", LIVER.on_window(GRID), GRID)
    result = assess(case((LIVER, all_tumor)), LocalDeposition())
    (empty,) = coded("normal-liver-empty", result.record.warnings)
    assert empty.sentence == "Nothing of the liver is left outside the tumors, so there is no normal liver."
    assert "normal_liver" not in result.rois


def test_tumor_to_normal_ratio_is_that_of_the_image():
    assert assess(case()).tumor_to_normal_ratio == pytest.approx(5, rel=1e-5)


def test_tumor_to_normal_uses_perfused_normal_liver_where_it_is_known():
    whole = assess(case())
    (row,) = whole.tumor_to_normal
    assert row.by_concentration == pytest.approx(whole.tumor_to_normal_ratio)
    assert row.normal.startswith("whole normal liver")
    assert coded("tumor-to-normal-of-whole-liver", whole.record.assumptions)
    values = case().activity.values.copy()
    values[15:20] = 0  # not infused
    perfused = roi("infused", "perfused", (slice(4, 15), slice(4, 22), slice(5, 25)))
    one = ActivityMap(values, GRID, at=AT, radionuclide=Y90)
    (row,) = assess(Case(one, RoiSet((LIVER, TUMOR, perfused)), case().administration)).tumor_to_normal
    assert row.by_concentration == pytest.approx(5, rel=1e-5)
    assert row.normal.startswith("perfused_normal_liver")
    inflated = assess(Case(one, RoiSet((LIVER, TUMOR)), case().administration)).tumor_to_normal[0]
    assert inflated.by_concentration > 6.5


def test_parameter_sets_of_the_wrong_tissue_are_refused():
    sets = default_sets()
    with pytest.raises(QuantityError, check=refusal("role-differs")):
        case(radiobiology={"tumor": sets["liver"], "liver": sets["tumor"]})


def test_local_deposition_conserves_energy_in_every_region():
    result = assess(case(), LocalDeposition())
    k = Y90.gy_kg_per_gbq
    for name in ("liver", "lesion"):
        m = result.rois[name]
        assert m.mean_dose_gy * m.mass_g == pytest.approx(k * m.activity_mbq, rel=1e-5)
    # worked example 29: the sum of dose times mass is K times the activity
    assert result.totals.energy_j == pytest.approx(k * result.totals.activity_mbq / 1e3, rel=1e-6)
    assert result.rois["liver"].mean_dose_local_gy == pytest.approx(result.rois["liver"].mean_dose_gy)


def test_an_activity_that_looks_like_gbq_is_warned_of():
    little = assess(case(given=Administration(Y90, 1.85, AT)), LocalDeposition()).record
    (unusual,) = coded("activity-unusual", little.warnings)
    assert unusual.numbers == {"activity_mbq": 1.85}
    assert "in MBq" in unusual.sentence
    assert not coded("activity-unusual", assess(case(), LocalDeposition()).record.warnings)


def test_worked_example_21_from_image_to_dose():
    image = ActivityMap(np.full(GRID.shape, 5e6), GRID, at=datetime(2024, 5, 3, 6, 15, tzinfo=UTC), radionuclide=Y90)
    whole = Case(image, RoiSet((LIVER,)), Administration(Y90, at=AT), calibration=Absolute(), density=1.05)
    assert assess(whole, LocalDeposition()).rois["liver"].mean_dose_gy == pytest.approx(291.97, abs=0.03)


def test_worked_example_22_self_calibration():
    grid = Grid.from_axes((10, 10, 10), (4.42, 4.42, 4.42), (0, 0, 0))
    values = np.full(grid.shape, (6.2e7 - 1500) / 999)
    values[5, 5, 5] = 1500
    occupancy = np.zeros(grid.shape)
    occupancy[5, 5, 5] = 1
    one = Roi("voxel", "other", occupancy, grid)
    image = ActivityMap(values, grid, at=AT, radionuclide=Y90)
    given = Administration(Y90, 2000.0, AT)
    whole = Case(image, RoiSet((one,)), given, density=1.05, calibration=Administered("image"))
    found = assess(whole, LocalDeposition()).rois["voxel"]
    assert found.activity_mbq * 1000 == pytest.approx(48.39, abs=0.005)  # kBq
    assert found.mean_dose_gy == pytest.approx(26.35, abs=0.005)


def test_constants_rule_the_dose():
    a = assess(case()).rois["liver"].mean_dose_gy
    b = assess(case(given=Administration(Y90_VENDOR, 300.0, AT, 0.0, 0.05, "glass"))).rois["liver"].mean_dose_gy
    assert b / a == pytest.approx(50 / 49.383, rel=2e-5)


@pytest.mark.parametrize(
    "grid",
    [
        GRID.with_spacing(2.5),
        Grid.from_axes((30, 40, 35), (3, 2.7, 3.3), (-45, -55, -62)),
        GRID.window((3, 3, 4), (18, 20, 22)),
    ],
)
def test_dose_on_another_grid_gives_the_same_means(grid):
    own, other = assess(case(blurred=True)), assess(case(dose_grid=grid, blurred=True))
    assert other.dose.grid.matches(grid)
    (moved,) = coded("dose-grid-differs", other.record.assumptions)
    assert [moved.numbers[n] for n in ("slices", "rows", "columns")] == list(grid.shape)
    assert [moved.numbers[f"spacing_{n}_mm"] for n in "kji"] == list(grid.spacing_mm)
    assert moved.numbers["inside_fraction"] > 0.98
    assert f"on a grid of {grid.shape} voxels of {' x '.join(f'{s:.4g}' for s in grid.spacing_mm)} mm" in moved.sentence
    assert not coded("dose-grid-differs", own.record.assumptions)
    for name in ("liver", "lesion"):
        # activity is spread evenly over border voxels of the other grid: up to 3 % for a 17 mm lesion here
        assert other.rois[name].mean_dose_gy == pytest.approx(own.rois[name].mean_dose_gy, rel=0.03)
        assert other.rois[name].volume_ml == pytest.approx(own.rois[name].volume_ml, rel=0.005)


def test_dose_inside_a_smaller_grid_counts_activity_just_outside_it():
    part = GRID.window((9, 9, 10), (5, 5, 6))
    whole = assess(case())
    small = assess(case((TUMOR,), dose_grid=part, calibration=Administered("lesion")))
    scale = small.activity.bq_per_ml.max() / whole.activity.bq_per_ml.max()
    np.testing.assert_allclose(small.dose.gy, whole.dose.window(part).gy * scale, rtol=1e-5)


def test_a_region_partly_outside_is_warned_of_and_one_wholly_outside_refused():
    beyond = Roi("lung", "lung", np.ones((10, 10, 10)), GRID.window((19, 5, 5), (10, 10, 10)))
    (outside,) = coded("roi-outside-dose-grid", assess(case((LIVER, beyond))).record.warnings)
    assert outside.numbers == {"roi": "lung", "outside_fraction": pytest.approx(0.5)}
    assert "50.0% of ROI lung lies outside" in outside.sentence
    far = Roi("lung", "lung", np.ones((3, 3, 3)), GRID.window((100, 0, 0), (3, 3, 3)))
    with pytest.raises(GeometryError, check=refusal("no-overlap")):
        assess(case((LIVER, far)))


def test_a_lung_in_a_uniform_medium_of_soft_tissue_has_no_dose():
    lung = roi("lung", "lung", (slice(21, 24), slice(4, 22), slice(5, 25)))
    result = assess(case((LIVER, TUMOR, lung)))
    assert np.isnan(result.rois["lung"].mean_dose_gy)
    assert np.isnan(result.rois["lung"].dvh.coverage(30))
    assert result.rois["lung"].volume_ml == pytest.approx(lung.volume_ml)
    (unknown,) = coded("lung-dose-unknown", result.record.warnings)
    assert "lung has no dose" in unknown.sentence
    assert not any(t.roi == "lung" for t in result.thresholds)
    by_density = assess(
        case((LIVER, TUMOR, lung), density=DensityMap(np.full(GRID.shape, 0.3), GRID)), LocalDeposition()
    )
    assert np.isfinite(by_density.rois["lung"].mean_dose_gy)


def test_side_by_side_labels_lose_nothing_of_the_liver_on_another_grid():
    without = LIVER.on_window(GRID) - TUMOR.on_window(GRID)
    label = Roi("liver", "liver", without, GRID)
    coarse = Grid.from_axes((20, 22, 20), (4.9, 4.3, 4.7), (-44, -52, -64))
    normal = assess(case((label, TUMOR), dose_grid=coarse)).rois["normal_liver"]
    assert normal.volume_ml == pytest.approx(label.volume_ml, rel=1e-4)


def test_overlapping_tumors_are_reported():
    second = roi("lesion_2", "tumor", (slice(13, 16), slice(9, 14), slice(10, 16)))
    result = assess(case((LIVER, TUMOR, second)))
    (overlap,) = coded("rois-overlap", result.record.warnings)
    assert "lesion and lesion_2 overlap" in overlap.sentence
    assert {(o.first, o.second) for o in result.overlaps} >= {("lesion", "lesion_2"), ("liver", "lesion")}


def test_ct_in_another_frame_is_refused():
    framed = ActivityMap(case().activity.values, Grid(GRID.shape, GRID.affine_lps_mm, "1.2"), at=AT, radionuclide=Y90)
    ct = CtImage(np.zeros(GRID.shape), Grid(GRID.shape, GRID.affine_lps_mm, "1.3"))
    with pytest.raises(GeometryError, check=refusal("frame-differs")):
        assess(Case(framed, RoiSet((LIVER,)), Administration(Y90, 300.0, AT), ct=ct))


def test_dose_from_a_nuclide_without_energy_is_refused():
    with pytest.raises(QuantityError, check=refusal("energy-unknown")):
        assess(case(given=Administration(TC99M, 300.0, AT), image_nuclide="Y-90"))


def test_a_density_image_rules_mass_and_local_dose_and_its_gaps_are_warned_of():
    rho = np.full(GRID.shape, 1.05)
    rho[:10] = 0.3
    part = DensityMap(rho[:22], GRID.window((0, 0, 0), (22, 26, 30)))
    result = assess(case(density=part), LocalDeposition())
    assert result.rois["liver"].mass_g < 0.8 * result.rois["liver"].volume_ml
    assert coded("density-gap", result.record.assumptions)  # and no activity lies there
    with pytest.raises(QuantityError, check=refusal("engine-takes-no-density-image")):
        assess(case(density=part))


def test_activity_in_air_and_padding_is_reported_with_its_part():
    rho = np.full(GRID.shape, 1.05)
    rho[:, :5] = 0.0012  # the first row of the liver, of 18
    rho[0] = 0  # no density at all, and no activity
    for engine in (LocalDeposition(), RayTransport(point_kernel(), rays=64)):
        record = assess(case((LIVER,), density=DensityMap(rho, GRID)), engine).record
        (air,) = coded("density-of-air", record.warnings)
        assert "5.03% of the activity" in air.sentence  # a row of 320 voxels; 5760 in the liver, 150 of them fivefold
        (gap,) = coded("density-gap", record.assumptions)
        assert "4.2% of the dose grid, with 0.00% of the activity, is not reached" in gap.sentence
        assert "no dose and no mass" in gap.sentence
        (missing,) = coded("energy-missing", record.assumptions)
        assert missing.numbers["energy_fraction"] > (0.05 if engine.name == "local" else 0.01)


def test_the_density_engine_takes_activity_and_density_on_the_grids_they_have():
    fine = GRID.with_spacing(2.0)
    rho = np.full(fine.shape, 1.05)
    rho[: fine.shape[0] // 3] = 0.26
    density, wanted = DensityMap(rho, fine), GRID.with_spacing(2.5)
    engine = RayTransport(point_kernel(), rays=64)
    for grid in (GRID, wanted):
        result = assess(case(density=density, dose_grid=grid), engine)
        direct = engine.dose(count_decays(result.activity, Y90), density, grid)
        np.testing.assert_array_equal(result.dose.gy, direct.gy)
        found = result.totals.energy_j / result.totals.energy_emitted_j
        assert found == pytest.approx(1 - direct.energy_lost_fraction, rel=1e-5)
        half = what_if(result, engine, activity_factor=0.5, territory="lesion")
        tumor = result.rois["lesion"].mean_dose_gy
        assert 0.5 < half.rois["lesion"].mean_dose_gy / tumor < 0.6  # the liver around it gives some


def test_the_record_says_what_was_done():
    record = assess(case(), Convolution(point_kernel())).record
    assert record.engine == "dpk"
    assert record.kernel["sha256"] == point_kernel().sha256
    assert record.constants is Y90
    words = {
        "microspheres-fixed": "T½/ln 2",
        "constants": "K = 49.38",
        "density-uniform": "1.04 g/mL",
        "calibration": "Calibration administered",
        "energy-missing": "not in the dose map",
        "tissue-parameters": "α/β",
    }
    for code, word in words.items():
        assert all(word in remark.sentence for remark in coded(code, record.assumptions)), code
        assert coded(code, record.assumptions)


def test_energy_deposited_and_lost_add_up():
    result = assess(case())
    emitted = result.totals.activity_mbq * 1e6 * Y90.decays_per_bq() * Y90.energy_mev * JOULE_PER_MEV
    assert result.totals.energy_emitted_j == pytest.approx(emitted, rel=1e-6)
    lost = result.dose.energy_lost_fraction
    assert result.totals.energy_j == pytest.approx(emitted * (1 - lost), rel=1e-5)
    kg = GRID.voxel_volume_ml * 1.04e-3
    assert result.totals.energy_j == pytest.approx(float(result.dose.gy.sum(dtype=float)) * kg, rel=1e-6)


def test_energy_on_a_smaller_grid_is_that_of_the_dose_map():
    part = GRID.window((9, 9, 10), (5, 5, 6))
    result = assess(case((TUMOR,), dose_grid=part, calibration=Administered("lesion")))
    kg = GRID.voxel_volume_ml * 1.04e-3
    assert result.totals.energy_j == pytest.approx(float(result.dose.gy.sum(dtype=float)) * kg, rel=1e-6)
    assert result.totals.energy_j < result.totals.energy_emitted_j


def test_progress_names_each_step():
    said = []
    assess(case(), progress=said.append)
    assert said[0] == "quantifying activity"
    assert "computing dose" in said


def test_results_do_not_change_the_inputs():
    activity = case().activity
    before = activity.values.copy()
    assess(Case(activity, RoiSet((LIVER, TUMOR)), Administration(Y90, 300.0, AT)))
    np.testing.assert_array_equal(activity.values, before)


def test_what_if_all_activity_doubles_is_twice_the_dose():
    own = assess(case())
    twice = what_if(own, activity_factor=2)
    assert twice.rois["lesion"].mean_dose_gy == pytest.approx(2 * own.rois["lesion"].mean_dose_gy, rel=1e-6)
    assert twice.rois["lesion"].activity_mbq == pytest.approx(2 * own.rois["lesion"].activity_mbq, rel=1e-6)
    assert twice.totals.energy_j == pytest.approx(2 * own.totals.energy_j, rel=1e-6)
    (changed,) = coded("activity-changed", twice.record.assumptions)
    assert "times 2" in changed.sentence


@pytest.mark.parametrize("grid", [None, GRID.window((3, 3, 4), (18, 20, 22))])
def test_what_if_in_one_territory_is_a_new_run_with_that_activity(grid):
    own = assess(case(dose_grid=grid))
    changed = what_if(own, activity_factor=3, territory="lesion")
    values = own.activity.bq_per_ml.copy()
    values[9:14, 9:14, 10:16] *= 3
    again = ActivityMap(values, GRID, at=AT, radionuclide=Y90)
    fresh = assess(Case(again, RoiSet((LIVER, TUMOR)), case().administration, calibration=Absolute(), dose_grid=grid))
    np.testing.assert_allclose(changed.dose.gy, fresh.dose.gy, atol=2e-6 * fresh.dose.gy.max())
    assert changed.rois["liver"].mean_dose_gy == pytest.approx(fresh.rois["liver"].mean_dose_gy, rel=1e-5)


def test_what_if_regions_change_the_dose_does_not():
    own = assess(case())
    half = roi("half", "tumor", (slice(9, 14), slice(9, 14), slice(10, 13)))
    other = what_if(own, rois=RoiSet((LIVER, half)))
    assert set(other.rois) == {"liver", "half", "normal_liver"}
    np.testing.assert_array_equal(other.dose.gy, own.dose.gy)


@pytest.mark.parametrize("factor", [-1, np.nan, np.inf])
def test_what_if_refuses_an_impossible_factor(factor):
    with pytest.raises(QuantityError, check=refusal("value-out-of-range")):
        what_if(assess(case()), activity_factor=factor)


def test_what_if_refuses_another_engine_for_a_territory():
    with pytest.raises(QuantityError, check=refusal("engine-differs")):
        what_if(assess(case()), LocalDeposition(), activity_factor=2, territory="lesion")


def test_what_if_keeps_the_engine_that_made_the_dose():
    own = assess(case(), LocalDeposition())
    twice = what_if(own, activity_factor=2)
    assert twice.record.engine == "local"
    assert twice.record.method == own.record.method
    assert twice.record.kernel == own.record.kernel == {}


def test_what_if_says_once_what_energy_is_missing():
    changed = what_if(assess(case()), activity_factor=3, territory="lesion")
    (missing,) = coded("energy-missing", changed.record.assumptions)
    totals = changed.totals
    assert missing.numbers["energy_fraction"] == pytest.approx(1 - totals.energy_j / totals.energy_emitted_j)


@pytest.mark.parametrize("nested", [True, False])
def test_normal_liver_on_another_grid_has_the_dose_of_the_same_region_drawn_by_hand(nested):
    by_hand = LIVER.on_window(GRID) - TUMOR.on_window(GRID)
    drawn = Roi("drawn", "normal_liver", by_hand, GRID)
    liver = LIVER if nested else Roi("liver", "liver", by_hand, GRID)
    coarse = Grid.from_axes((20, 22, 20), (4.9, 4.3, 4.7), (-44, -52, -64))
    made = assess(case((liver, TUMOR), dose_grid=coarse, blurred=True)).rois["normal_liver"]
    given = assess(case((drawn, TUMOR), dose_grid=coarse, blurred=True)).rois["drawn"]
    # the calibration region is the same union; offsets are exact where one region is taken out of whole voxels
    assert made.volume_ml == pytest.approx(given.volume_ml, rel=1e-3)
    assert made.mean_dose_gy == pytest.approx(given.mean_dose_gy, rel=2e-3)
