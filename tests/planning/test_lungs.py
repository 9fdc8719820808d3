import numpy as np
import pytest
from remarks import coded, refusal

from voxeldose.dose.lungs import counted_shunt, lung_dose, lung_mass, spect_shunt
from voxeldose.errors import GeometryError, InputError, QuantityError
from voxeldose.model.grid import Grid
from voxeldose.model.lungs import LungMass, LungSettings, LungShunt
from voxeldose.model.radionuclide import Y90
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.volume import CountMap, DensityMap
from voxeldose.planning.planar_shunt import Views, planar_regions, planar_shunt

LUNG, LIVER = Views(120e3, 150e3), Views(1.5e6, 1.1e6)
GRID = Grid.from_axes((20, 12, 14), (5, 4, 3), (-20, -22, -50))


def codes(remarks):
    return {remark.code for remark in remarks}


def roi(name, role, where, grid=GRID):
    occupancy = np.zeros(grid.shape)
    occupancy[where] = 1
    return Roi(name, role, occupancy, grid)


LIVER_ROI = roi("liver", "liver", np.s_[2:9, 2:10, 2:12])
LUNG_ROI = roi("lungs", "lung", np.s_[9:18, 2:10, 2:12])


def image(lung=1.0, liver=20.0, dome=None):
    counts = np.zeros(GRID.shape)
    counts[2:9, 2:10, 2:12] = liver
    counts[9:18, 2:10, 2:12] = lung
    if dome is not None:
        counts[9:11, 2:10, 2:12] = dome
    return CountMap(counts, GRID)


def test_worked_example_18_planar_views():
    shunt = planar_shunt(LUNG, LIVER)
    assert shunt.fraction == pytest.approx(0.09457, abs=5e-6)
    assert shunt.inputs["by_arithmetic_mean"] == pytest.approx(0.09408, abs=5e-6)
    assert shunt.inputs["by_anterior_view"] == pytest.approx(0.07407, abs=5e-6)
    assert "planar-overestimates" in codes(shunt.warnings)


def test_worked_example_19_spect():
    grid = Grid.from_axes((2, 1, 1), (5, 4, 3), (0, 0, 0))
    counts = CountMap(np.reshape([58.9e6, 3.1e6], grid.shape), grid)
    rois = RoiSet((roi("liver", "liver", 0, grid), roi("lungs", "lung", 1, grid)))
    assert spect_shunt(counts, rois).fraction == pytest.approx(0.05, abs=1e-8)


def test_worked_example_23_lung_dose():
    by_convention = lung_dose(3000, 0.08, Y90)
    assert by_convention.gy == pytest.approx(11.85, abs=0.005)
    by_ct = lung_dose(3000, 0.08, Y90, mass=LungMass(822.0, "CT"))
    assert by_ct.gy == pytest.approx(14.42, abs=0.005)
    assert by_convention.warnings == ()
    (unusual,) = coded("lung-mass-not-conventional", by_ct.warnings)
    assert unusual.numbers == {"lung_mass_g": 822.0, "source": "CT"}
    assert "not the 1 kg" in unusual.sentence


def test_worked_example_4_the_limit_of_the_insert():
    assert lung_dose(610, 0.999999, Y90).gy == pytest.approx(30.12, abs=0.005)


def test_earlier_treatments_add_and_lower_what_is_allowed():
    first, later = lung_dose(3000, 0.08, Y90), lung_dose(3000, 0.08, Y90, earlier_gy=(20.0, 22.0))
    assert later.cumulative_gy == pytest.approx(first.gy + 42)
    assert [limit.met for limit in later.limits] == [True, False]
    (above,) = coded("lung-dose-above-cumulative-limit", later.warnings)
    assert above.numbers == {"lung_gy": pytest.approx(first.gy + 42), "limit_gy": 50.0, "lung_mass_g": 1000.0}
    assert above.sentence == "53.9 Gy to the lungs (1 kg by convention) with earlier treatments exceed 50 Gy."
    assert not coded("lung-dose-above-limit", later.warnings)
    (above,) = coded("lung-dose-above-limit", lung_dose(9000, 0.08, Y90).warnings)
    assert above.numbers == {"lung_gy": pytest.approx(3 * first.gy), "limit_gy": 30.0, "lung_mass_g": 1000.0}
    assert above.sentence == "35.6 Gy to the lungs (1 kg by convention) exceed the 30 Gy of one treatment."
    assert first.allowed_mbq == pytest.approx(3000 * 30 / first.gy)
    assert later.allowed_mbq == pytest.approx(3000 * 8 / first.gy)
    assert lung_dose(1, 0.1, Y90, earlier_gy=(60.0,)).allowed_mbq == 0
    assert lung_dose(1, 0.0, Y90).allowed_mbq is None


def test_the_spread_by_counts_is_that_of_drawn_counts():
    # 4000 draws give the standard deviation to 1.1 %
    random = np.random.default_rng(3)
    counts = random.poisson([900.0, 1200.0, 20000.0, 15000.0], (4000, 4))
    drawn = [planar_shunt(Views(*c[:2]), Views(*c[2:])).fraction for c in counts.astype(float)]
    assert planar_shunt(Views(900, 1200), Views(20000, 15000)).sd == pytest.approx(np.std(drawn), rel=0.04)


def test_background_is_taken_off_by_pixels_in_each_view():
    lung, liver = Views(130e3, 170e3, 1000), Views(1.52e6, 1.14e6, 2000)
    shunt = planar_shunt(lung, liver, Views(1000, 2000, 100))
    without = planar_shunt(LUNG, LIVER)
    assert shunt.fraction == pytest.approx(without.fraction)
    (missing,) = coded("background-missing", without.assumptions)
    assert "raises the lungs' counts more than the liver's" in missing.sentence
    assert not coded("background-missing", shunt.assumptions)


@pytest.mark.parametrize(
    ("call", "code", "words"),
    [
        (lambda: planar_shunt(Views(0, 0), Views(0, 0)), "counts-missing", "No counts"),
        (lambda: planar_shunt(LUNG, LIVER, Views(1, 1, 1)), "pixels-missing", "pixels"),
        (lambda: planar_shunt(Views(1, 9, 10), Views(99, 99, 10), Views(5, 5, 10)), "background-too-high", "exceeds"),
        (lambda: Views(-1, 2), "value-out-of-range", "0 or more"),
        (lambda: Views(1, 2, 0), "value-out-of-range", "above 0"),
        (lambda: lung_dose(0, 0.1, Y90), "value-out-of-range", "above 0 MBq"),
        (lambda: lung_dose(100, 8.0, Y90), "value-out-of-range", "percent"),
        (lambda: lung_dose(100, 0.1, Y90, earlier_gy=(-1.0,)), "value-out-of-range", "Earlier"),
        (lambda: LungMass(0, "x"), "value-out-of-range", "above 0 g"),
        (lambda: spect_shunt(image(), RoiSet((LIVER_ROI,))), "region-missing", "role lung"),
        (lambda: spect_shunt(image(), RoiSet((LUNG_ROI,))), "region-missing", "ROI of the liver"),
        (
            lambda: spect_shunt(image(), RoiSet((LIVER_ROI, LUNG_ROI)), lungs=LungSettings(dome_margin_mm=99)),
            "margin-too-large",
            "No lung is left",
        ),
        (
            lambda: spect_shunt(image(), RoiSet((LIVER_ROI, LUNG_ROI)), lungs=LungSettings(dome_margin_mm=-1)),
            "value-out-of-range",
            "0 mm or more",
        ),
        (
            lambda: spect_shunt(image(), RoiSet((LIVER_ROI, LUNG_ROI)), lungs=LungSettings(mass_g=900)),
            "density-missing",
            "give a CT",
        ),
        (
            lambda: spect_shunt(image(liver=0), RoiSet((LIVER_ROI, LUNG_ROI))),
            "value-out-of-range",
            "must not be negative",
        ),
    ],
)
def test_refusals(call, code, words):
    with pytest.raises(QuantityError, match=words, check=refusal(code)):
        call()


def test_spect_counts_every_voxel_of_both_regions():
    shunt = spect_shunt(image(), RoiSet((LIVER_ROI, LUNG_ROI)))
    lung, liver = 9 * 80 * 1.0, 7 * 80 * 20.0
    assert shunt.fraction == pytest.approx(lung / (lung + liver))
    assert shunt.inputs["lung_part_seen"] == pytest.approx(1)
    assert "dome-margin-missing" in codes(shunt.warnings)
    (regions,) = coded("lung-and-liver-regions", shunt.assumptions)
    assert regions.numbers == {"lung": "lungs", "liver": "liver"}
    assert regions.sentence == "Lung: lungs; liver: liver; a voxel of both counts as liver."
    assert not coded("dome-margin", shunt.assumptions)


def test_counts_of_another_program_are_taken_as_corrected():
    (corrected,) = coded("counts-corrected", counted_shunt(3, 57).assumptions)
    assert "corrected for attenuation and scatter" in corrected.sentence


def test_a_dome_margin_leaves_out_what_the_liver_spills_and_scales_to_all_lung():
    rois = RoiSet((LIVER_ROI, LUNG_ROI))
    clean = spect_shunt(image(), rois).fraction
    assert spect_shunt(image(dome=10.0), rois).fraction > 2 * clean
    with_margin = spect_shunt(image(dome=10.0), rois, lungs=LungSettings(dome_margin_mm=10))  # two layers of 5 mm
    assert with_margin.fraction == pytest.approx(clean)
    assert with_margin.inputs["lung_part_seen"] == pytest.approx(7 / 9)
    (margin,) = coded("dome-margin", with_margin.assumptions)
    assert margin.numbers == {"dome_margin_mm": 10}
    assert "within 10 mm of the liver is left out" in margin.sentence
    (scaled,) = coded("lung-counts-scaled", with_margin.assumptions)
    assert scaled.numbers == {"seen_fraction": pytest.approx(7 / 9), "measure": "volume"}
    assert scaled.sentence == "Counts of 77.8% of the lungs (by volume) stand for all of them."


def test_lung_beyond_the_field_of_view_is_scaled_and_said():
    tall = Grid.from_axes((30, 12, 14), (5, 4, 3), (-20, -22, -50))
    shunt = spect_shunt(image(), RoiSet((LIVER_ROI, roi("lungs", "lung", np.s_[9:27, 2:10, 2:12], tall))))
    # eleven of eighteen slices lie in the image; two of those are nothing but zeros, so that nine were seen
    assert shunt.lung_counts == pytest.approx(9 * 80 * 18 / 9)
    assert shunt.inputs["lung_part_seen"] == pytest.approx(1 / 2)
    assert "lung-at-image-edge" not in codes(shunt.warnings)
    assert "roi-outside-image" in codes(shunt.warnings)
    (beyond,) = coded("lung-beyond-field-of-view", shunt.warnings)
    assert beyond.numbers["outside_fraction"] == pytest.approx(2 / 11)
    assert "18.2% of the lungs in the image lie in slices that hold nothing but zeros" in beyond.sentence


def cut(slices, **more):
    """Lungs of 12 slices, of which an image cut after so many slices shows the first ones, drawn on the image itself."""
    grid = GRID.window((0, 0, 0), (slices, 12, 14))
    counts = np.zeros(grid.shape)
    counts[2:9, 2:10, 2:12] = 20
    counts[9:21, 2:10, 2:12] = 0.5
    regions = [("liver", np.s_[2:9, 2:10, 2:12]), ("lung", np.s_[9:21, 2:10, 2:12])]
    rois = RoiSet(tuple(roi(role, role, where, grid) for role, where in regions))
    return spect_shunt(CountMap(counts, grid), rois, **more)


def test_lungs_cut_by_the_image_give_too_low_a_shunt_which_is_said_and_scaled_on_request():
    whole = 12 * 0.5 / (12 * 0.5 + 7 * 20)  # 4.1 %
    seen = cut(14)
    assert seen.fraction == pytest.approx(5 * 0.5 / (5 * 0.5 + 7 * 20))  # 1.8 %
    (warned,) = coded("lung-at-image-edge", seen.warnings)
    assert "comes out too low" in warned.sentence
    assert "--lung-volume-ml" in warned.sentence
    assert seen.inputs["lung_at_edge"] is True
    ml = 12 * 80 * 0.06
    scaled = cut(14, lungs=LungSettings(volume_ml=ml))
    assert scaled.fraction == pytest.approx(whole)
    assert scaled.formula.endswith("N_lung = counts seen * lung volume / lung volume seen")
    assert not coded("lung-at-image-edge", scaled.warnings)
    (stand,) = coded("lung-counts-scaled", scaled.assumptions)
    assert stand.numbers == {"seen_fraction": pytest.approx(5 / 12), "measure": "volume"}
    grid = GRID.window((0, 0, 0), (14, 12, 14))
    by_mass = cut(14, density=DensityMap(np.full(grid.shape, 0.3), grid), lungs=LungSettings(mass_g=0.3 * ml))
    assert by_mass.fraction == pytest.approx(whole)
    assert not coded("lung-at-image-edge", by_mass.warnings)


def test_whole_lungs_inside_the_image_are_not_called_cut():
    shunt = spect_shunt(image(), RoiSet((LIVER_ROI, LUNG_ROI)))
    assert shunt.inputs["lung_at_edge"] is True  # the phantom's counts end with its lungs
    counts = image().counts.copy()
    counts[18:] = 0.01
    shunt = spect_shunt(CountMap(counts, GRID), RoiSet((LIVER_ROI, LUNG_ROI)))
    assert shunt.inputs["lung_at_edge"] is False
    assert not {"lung-at-image-edge", "lung-beyond-field-of-view", "roi-outside-image"} & codes(shunt.warnings)


def test_lungs_in_slices_of_zeros_alone_have_no_counts_and_that_is_said():
    shunt = spect_shunt(image(), RoiSet((LIVER_ROI, roi("lungs", "lung", np.s_[18:20, 2:10, 2:12]))))
    assert shunt.fraction == 0
    (beyond,) = coded("lung-beyond-field-of-view", shunt.warnings)
    assert beyond.sentence.endswith("nothing was counted in them.")


@pytest.mark.parametrize(
    ("settings", "words", "code"),
    [
        ({"volume_ml": 1.0}, "mL of lung are seen but all lungs are 1 mL", "values-contradict"),
        ({"volume_ml": 0.0}, "above 0 mL", "value-out-of-range"),
        ({"mass_g": -1.0}, "above 0 g", "value-out-of-range"),
        ({"mass_g": 900.0, "volume_ml": 4000.0}, "give one of them", "values-contradict"),
        ({"earlier_gy": (-1.0,)}, "0 Gy or more", "value-out-of-range"),
    ],
)
def test_whole_lungs_that_cannot_be_are_refused(settings, words, code):
    with pytest.raises(QuantityError, match=words, check=refusal(code)):
        cut(14, lungs=LungSettings(**settings))


def test_masses_rule_where_there_is_a_ct():
    rho = np.full(GRID.shape, 1.0)
    rho[9:18] = np.linspace(0.4, 0.2, 9)[:, None, None]
    density, rois = DensityMap(rho, GRID), RoiSet((LIVER_ROI, LUNG_ROI))
    grams = rho[9:18, 2:10, 2:12].sum() * 0.06
    assert lung_mass(density, rois).grams == pytest.approx(grams, rel=1e-6)
    shunt = spect_shunt(image(), rois, density=density, lungs=LungSettings(mass_g=2 * grams))
    assert shunt.lung_counts == pytest.approx(2 * 720, rel=1e-6)
    with pytest.raises(QuantityError) as refused:
        spect_shunt(image(), rois, density=density, lungs=LungSettings(mass_g=grams / 2))
    assert refused.value.code == "values-contradict"


def test_lung_weighs_the_same_on_a_coarse_image_as_on_the_ct():
    rho = np.full(GRID.shape, 1.05)
    rho[9:18, 2:10, 2:12] = 0.25
    coarse = Grid.from_axes((11, 6, 6), (9.1, 7.3, 6.7), (-20, -22, -45))
    counts = CountMap(np.ones(coarse.shape), coarse)
    shunt = spect_shunt(counts, RoiSet((LIVER_ROI, LUNG_ROI)), density=DensityMap(rho, GRID))
    assert shunt.inputs["lung_part_seen"] == pytest.approx(1, abs=0.01)


def test_the_mass_of_lungs_that_the_ct_cuts_off_is_refused():
    with pytest.raises(GeometryError) as refused:
        lung_mass(DensityMap(np.ones((12, 12, 14)), GRID.window((0, 0, 0), (12, 12, 14))), RoiSet((LUNG_ROI,)))
    assert refused.value.code == "roi-outside-image"
    assert refused.value.fields["roi"] == LUNG_ROI.name


def test_a_spect_shunt_beside_limits_found_by_planar_views_is_said():
    shunt = spect_shunt(image(), RoiSet((LIVER_ROI, LUNG_ROI)))
    assert isinstance(shunt, LungShunt)
    assert "lung-shunt-not-planar" in codes(lung_dose(1000, shunt, Y90).warnings)
    assert lung_dose(1000, planar_shunt(LUNG, LIVER), Y90).warnings == ()


@pytest.mark.parametrize(
    ("label", "means", "words"),
    [("3", ("spleen", "other"), "neither lung nor liver"), ("lung", ("lungs", "lung"), "no whole number")],
)
def test_labels_of_planar_views_are_lung_liver_or_background(label, means, words):
    known = {"1": ("lungs", "lung"), "2": ("lesion", "tumor"), "4": ("background", "other")}
    assert planar_regions(known, "labels.json") == {1: "lung", 2: "liver", 4: "background"}
    with pytest.raises(
        InputError, match=rf"labels\.json: label {label} is {words}", check=refusal("label-unknown")
    ) as caught:
        planar_regions({**known, label: means}, "labels.json")
    assert caught.value.fields == {"label": label}
