"""Regions made from regions and from the activity, against closed forms."""

import numpy as np
import pytest
from remarks import refusal

from voxeldose.errors import GeometryError, InputError, QuantityError
from voxeldose.geometry.expressions import Derivation, Isocontour, derive
from voxeldose.model.grid import Grid
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.volume import ActivityMap, CountMap

GRID = Grid.from_axes((9, 10, 12), (3, 2, 1.5), (-10, 20, 5), frame_uid="1.2")
VOXEL = GRID.voxel_volume_ml


def block(name, *box, role="other", grid=GRID):
    occupancy = np.zeros(grid.shape, np.float32)
    occupancy[tuple(slice(a, b) for a, b in box)] = 1
    return Roi(name, role, occupancy, grid)


LIVER = block("liver", (1, 8), (1, 9), (1, 11), role="liver")
ONE = block("lesion_1", (2, 5), (2, 5), (2, 6), role="tumor")
TWO = block("lesion_2", (4, 7), (4, 7), (5, 9), role="tumor")
SPACED = block("Liver seg-4", (1, 3), (1, 9), (1, 11), role="segment")
ROIS = RoiSet((LIVER, ONE, TWO, SPACED))


def made(expression, rois=ROIS, **more):
    return derive(rois, [Derivation("new", "other", expression, **more)])["new"]


def mask(roi):
    return roi.on_window(GRID) > 0.5


A, B, C, D = (mask(r) for r in ROIS)


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("liver - lesion_1 - lesion_2", A & ~B & ~C),
        ("liver - tumors", A & ~B & ~C),
        ("lesion_1 | lesion_2", B | C),
        ("lesion_1 & lesion_2", B & C),
        ("lesion_1|lesion_2&liver", B | (C & A)),
        ("(lesion_1 | lesion_2) & 'Liver seg-4'", (B | C) & D),
        ("liver - (lesion_1 - lesion_2)", A & ~(B & ~C)),
        ('"Liver seg-4" - liver | lesion_1', B),
    ],
)
def test_expressions_mean_their_sets(expression, wanted):
    if expression.startswith('"'):
        with pytest.raises(QuantityError, check=refusal("roi-empty")):
            made(expression)
        return
    np.testing.assert_array_equal(mask(made(expression)), wanted)
    assert made(expression).volume_ml == pytest.approx(wanted.sum() * VOXEL)


@pytest.mark.parametrize(
    ("expression", "code", "words"),
    [
        ("liver - lesion1", "roi-unknown", "Did you mean 'lesion_1'"),
        ("liver - spleen_x", "roi-unknown", r"no ROI 'spleen_x'.*ROIs are liver, lesion_1"),
        ("liver-lesion_1", "roi-unknown", "with spaces"),
        ("liver - ", "expression-not-understood", "lacks a name at its end"),
        ("| liver", "expression-not-understood", "lacks a name before"),
        ("(liver - lesion_1", "expression-not-understood", "closing parenthesis"),
        ("liver lesion_1", "expression-not-understood", "cannot be understood at 'lesion_1'"),
        ("", "expression-not-understood", "lacks a name at its end"),
    ],
)
def test_what_is_no_expression_is_refused(expression, code, words):
    with pytest.raises(InputError, match=words, check=refusal(code)):
        made(expression)


def test_a_name_in_use_and_an_empty_result_are_refused():
    with pytest.raises(InputError, check=refusal("name-taken")):
        derive(ROIS, [Derivation("liver", "other", "lesion_1")])
    with pytest.raises(QuantityError, check=refusal("roi-empty")):
        made("lesion_1 - liver")


def test_later_regions_may_use_earlier_ones_and_say_how_they_were_made():
    rois = derive(ROIS, [Derivation("both", "tumor", "tumors"), Derivation("rest", "other", "liver - both")])
    np.testing.assert_array_equal(mask(rois["rest"]), A & ~B & ~C)
    assert "liver - both" in rois["rest"].remarks[0].sentence
    assert rois["both"].role == "tumor"
    assert rois.names()[:4] == ROIS.names()


def test_regions_on_different_lattices_meet_on_the_finer_one_with_their_volume():
    fine = Grid.from_axes((20, 24, 20), (1.0, 0.8, 0.7), (-4.2, 25.3, 9.1), frame_uid="1.2")
    small = Roi("small", "tumor", np.ones(fine.shape), fine)
    rois = RoiSet((LIVER, small))
    both, rest = made("liver & small", rois), made("liver - small", rois)
    low, high = LIVER.grid.corners(), small.grid.corners()
    sides = np.clip(np.minimum(low.max(0), high.max(0)) - np.maximum(low.min(0), high.min(0)), 0, None)
    assert both.volume_ml == pytest.approx(sides.prod() / 1000, rel=1e-5)
    assert rest.volume_ml == pytest.approx(LIVER.volume_ml - both.volume_ml, rel=1e-5)


def test_partly_filled_voxels_keep_their_parts_and_the_doubt_is_told():
    half = Roi("half", "other", np.full(GRID.shape, 0.5), GRID)
    some = Roi("some", "other", np.full(GRID.shape, 0.7), GRID)
    rois = RoiSet((half, some))
    assert made("half | some", rois).occupancy.max() == pytest.approx(0.7)
    assert made("some - half", rois).occupancy.max() == pytest.approx(0.2)
    assert "may belong to it or not" in made("half & some", rois).remarks[0].sentence
    with pytest.raises(QuantityError, check=refusal("roi-empty")):
        made("half - half", rois)


def test_regions_of_two_frames_are_refused_with_the_way_out():
    other = block("other", (1, 3), (1, 3), (1, 3), grid=Grid(GRID.shape, GRID.affine_lps_mm, "1.3"))
    with pytest.raises(GeometryError, match=r"frames of reference differ.*registration"):
        made("liver | other", RoiSet((LIVER, other)))


def test_a_margin_is_cut_to_what_it_must_stay_within():
    grown = made("lesion_1", margin_mm=6.0, within="liver")
    assert not (mask(grown) & ~A).any()
    assert grown.volume_ml > ONE.volume_ml
    assert "grown by 6 mm" in grown.remarks[0].sentence
    assert "inside liver" in grown.remarks[0].sentence


def cone(grid, centre, slope=1e4, top=1e6):
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1)
    distance = np.linalg.norm(grid.points_lps_mm(index) - centre, axis=-1)
    return ActivityMap(np.clip(top - slope * distance, 0, None), grid)


def test_perfused_volume_is_where_activity_reaches_part_of_the_maximum_in_the_liver():
    hot = np.zeros(GRID.shape, np.float32)
    hot[2:5, 2:5, 2:6] = 100
    hot[0, 0, 0] = 1000  # outside the liver: must not set the reference
    image = CountMap(hot, GRID)
    plan = Derivation("perfused", "perfused", contour=Isocontour(fraction=0.1), within="liver")
    found = derive(ROIS, [plan], image)["perfused"]
    assert mask(found)[2:5, 2:5, 2:6].all()
    assert found.volume_ml > ONE.volume_ml  # linear fall to zero half a voxel beyond
    assert found.on_window(GRID)[0, 0, 0] == 0
    assert "0.1 of the maximum (100) in liver" in found.remarks[0].sentence


@pytest.mark.parametrize(("of", "wanted"), [("maximum", 100), ("mean", 100)])
def test_the_reference_may_be_a_named_region(of, wanted):
    hot = np.zeros(GRID.shape, np.float32)
    hot[2:5, 2:5, 2:6] = 100
    hot[6, 6, 8] = 900
    plan = Derivation("p", "perfused", contour=Isocontour(fraction=0.5, of=of, region="lesion_1"))
    found = derive(ROIS, [plan], CountMap(hot, GRID))["p"]
    assert f"0.5 of the {of} ({wanted}) in lesion_1" in found.remarks[0].sentence


def test_a_concentration_needs_an_image_in_becquerels():
    plan = Derivation("p", "perfused", contour=Isocontour(bq_per_ml=5e5))
    image = cone(GRID, GRID.points_lps_mm((4, 5, 6)), slope=5e4)
    assert derive(ROIS, [plan], image)["p"].volume_ml == pytest.approx(4 / 3 * np.pi, rel=0.06)
    with pytest.raises(QuantityError, check=refusal("quantity-differs")):
        derive(ROIS, [plan], CountMap(image.values, GRID))
    with pytest.raises(QuantityError, match="no voxel reaches"):
        derive(ROIS, [Derivation("p", "perfused", contour=Isocontour(bq_per_ml=5e7))], image)
