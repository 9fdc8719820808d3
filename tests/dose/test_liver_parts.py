"""Whole, normal, perfused and non-perfused liver from label maps whose volumes are counted by hand."""

from datetime import UTC, datetime

import numpy as np
import pytest
from remarks import coded

from voxeldose.dose.assess import assess
from voxeldose.dose.engines.local import LocalDeposition
from voxeldose.dose.liver_parts import liver_parts
from voxeldose.geometry.overlap import joined, shared_occupancy, without
from voxeldose.geometry.resample import onto
from voxeldose.model.administration import Administration
from voxeldose.model.case import WHOLE_IMAGE, Administered, Case
from voxeldose.model.grid import Grid
from voxeldose.model.radionuclide import Y90
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.volume import ActivityMap, Volume

AT = datetime(2024, 5, 2, 10, 15, tzinfo=UTC)
GRID = Grid.from_axes((26, 28, 30), (3, 2.5, 2), (-30, -35, -40))
COARSE = Grid.from_axes((18, 18, 17), (4.9, 4.3, 4.1), (-32, -38, -42))
LIVER, RIGHT = np.s_[3:23, 3:25, 3:27], np.s_[3:23, 3:25, 3:15]
TUMOR, EDGE, FAR = np.s_[6:12, 6:12, 5:11], np.s_[14:18, 3:9, 18:24], np.s_[0:2, 0:3, 0:4]


def box(*where, minus=()):
    occupancy = np.zeros(GRID.shape)
    for part in where:
        occupancy[part] = 1
    for part in minus:
        occupancy[part] = 0
    return occupancy


def region(name, role, occupancy):
    return Roi(name, role, occupancy, GRID)


def ml(occupancy):
    return float(occupancy.sum()) * GRID.voxel_volume_ml


def measured(*rois, grid=None):
    values = box(LIVER) + 4 * box(TUMOR)
    given = Administration(Y90, 500.0, AT)
    image = ActivityMap(values * 1e5, GRID, at=AT, radionuclide=Y90)
    whole = Administered(WHOLE_IMAGE)
    return assess(Case(image, RoiSet(rois), given, dose_grid=grid, calibration=whole), LocalDeposition())


EXCLUSIVE = (
    region("liver", "liver", box(LIVER, minus=(TUMOR, EDGE))),
    region("lesion", "tumor", box(TUMOR)),
    region("rim", "tumor", box(EDGE)),
)
NESTED = (region("liver", "liver", box(LIVER)), *EXCLUSIVE[1:])
PERFUSED = region("right", "perfused", box(RIGHT))


@pytest.mark.parametrize("given", [EXCLUSIVE, NESTED], ids=["exclusive", "nested"])
@pytest.mark.parametrize("grid", [None, COARSE])
def test_whole_and_normal_liver_are_the_same_whether_the_label_map_nests_them_or_not(given, grid):
    result = measured(*given, PERFUSED, grid=grid)
    normal = box(LIVER, minus=(TUMOR, EDGE))
    wanted = {
        "liver": box(LIVER),
        "normal_liver": normal,
        "perfused_normal_liver": normal * box(RIGHT),
        "nonperfused_normal_liver": normal * (1 - box(RIGHT)),
        "right": box(RIGHT),
        "lesion": box(TUMOR),
        "rim": box(EDGE),
    }
    assert set(result.rois) == set(wanted)
    for name, occupancy in wanted.items():
        assert result.rois[name].volume_ml == pytest.approx(ml(occupancy), rel=1e-5), name
    by_hand = measured(
        *(region(n, "other", o) for n, o in wanted.items()),
        EXCLUSIVE[0].__class__("l", "liver", box(LIVER), GRID),
        grid=grid,
    )
    for name in wanted:
        one, other = result.rois[name], by_hand.rois[name]
        for key in ("min_dose_gy", "mean_dose_gy", "max_dose_gy", "d95_gy"):
            assert getattr(one, key) == pytest.approx(getattr(other, key), rel=1e-5, abs=1e-6), (name, key)


def test_a_liver_that_leaves_out_its_tumors_is_said_to_be_taken_with_them():
    parts = liver_parts(RoiSet(EXCLUSIVE))
    (said,) = coded("region-with-what-it-encloses", parts.assumptions)
    assert said.numbers["with"] == "lesion, rim"
    assert said.numbers["volume_ml"] == pytest.approx(ml(box(LIVER)))
    assert said.numbers["drawn_ml"] == pytest.approx(ml(box(LIVER, minus=(TUMOR, EDGE))))
    nested = liver_parts(RoiSet((*NESTED, PERFUSED))).assumptions
    assert not coded("region-with-what-it-encloses", nested)
    made = [r.sentence for r in coded("liver-part-derived", nested)]
    assert made == [
        "perfused_normal_liver is normal liver inside right.",
        "nonperfused_normal_liver is normal liver outside right.",
    ]


def test_a_tumor_that_borders_on_nothing_is_no_part_of_the_liver():
    far = region("far", "tumor", box(FAR))
    parts = liver_parts(RoiSet((*EXCLUSIVE, far)))
    assert parts.rois["liver"].volume_ml == pytest.approx(ml(box(LIVER)))


def test_a_perfused_region_that_leaves_out_its_tumor_gets_it_back_for_its_mass():
    rest = region("liver", "liver", box(LIVER, minus=(RIGHT, EDGE)))
    right = region("right", "perfused", box(RIGHT, minus=(TUMOR,)))
    result = measured(rest, right, *EXCLUSIVE[1:])
    assert result.rois["right"].volume_ml == pytest.approx(ml(box(RIGHT)))
    assert result.rois["liver"].volume_ml == pytest.approx(ml(box(LIVER)))
    assert result.rois["right"].single_compartment_gy == pytest.approx(49.38 * 500 / (ml(box(RIGHT)) * 1.04), rel=1e-4)
    assert result.rois["lesion"].perfused_fraction == pytest.approx(1)
    assert result.rois["rim"].perfused_fraction == 0  # drawn beside the rest of the liver


def test_without_a_liver_it_is_made_of_normal_liver_and_tumors():
    normal = region("parenchyma", "normal_liver", box(LIVER, minus=(TUMOR, EDGE)))
    result = measured(normal, *EXCLUSIVE[1:])
    assert result.rois["liver"].volume_ml == pytest.approx(ml(box(LIVER)))
    assert result.rois["liver"].role == "liver"
    assert "normal_liver" not in result.rois
    assert "liver" not in measured(normal).rois  # that would be the same region again


def test_several_liver_regions_have_their_union():
    halves = [region(n, "liver", o) for n, o in (("right_lobe", box(RIGHT)), ("left_lobe", box(LIVER) - box(RIGHT)))]
    assert measured(*halves).rois["liver"].volume_ml == pytest.approx(ml(box(LIVER)))
    named = [halves[0], region("liver", "liver", halves[1].on_window(GRID))]
    assert measured(*named).rois["whole_liver"].volume_ml == pytest.approx(ml(box(LIVER)))


def test_without_any_liver_perfused_normal_liver_is_the_perfused_region_without_tumors():
    result = measured(PERFUSED, EXCLUSIVE[1])
    assert result.rois["perfused_normal_liver"].volume_ml == pytest.approx(ml(box(RIGHT)) - ml(box(TUMOR)))
    assert "nonperfused_normal_liver" not in result.rois


def test_parts_that_are_empty_or_given_are_not_made():
    whole = region("all", "perfused", box(LIVER))
    assert "nonperfused_normal_liver" not in measured(*NESTED, whole).rois
    own = region("perfused_normal_liver", "other", box(RIGHT, minus=(TUMOR,)))
    result = measured(*NESTED, PERFUSED, own)
    assert result.rois["perfused_normal_liver"].volume_ml == pytest.approx(own.volume_ml)
    assert "perfused_normal_liver_derived" not in result.rois


def test_derived_parts_are_no_liver_to_limits_and_have_the_tissue_of_normal_liver():
    result = measured(*NESTED, PERFUSED)
    assert {n for n, m in result.rois.items() if m.role == "normal_liver"} == {"normal_liver"}
    part = result.rois["perfused_normal_liver"]
    assert part.role == "other"
    assert part.bed_gy > part.mean_dose_gy


def test_segments_without_a_perfused_one_are_said_once_with_the_way_out():
    segments = [region(f"segment_{n}", "segment", o) for n, o in ((5, box(RIGHT)), (2, box(LIVER) - box(RIGHT)))]
    (said,) = coded("segments-none-treated", measured(*NESTED, *segments).record.warnings)
    assert said.numbers == {"segments": "segment_5, segment_2"}
    assert "treated = true" in said.sentence
    assert not coded("segments-none-treated", measured(*NESTED, *segments, PERFUSED).record.warnings)
    assert not coded("segments-none-treated", measured(*NESTED).record.warnings)


@pytest.mark.parametrize("grid", [None, COARSE])
def test_neighbours_share_nothing_and_what_is_inside_shares_all_of_itself(grid):
    left = region("left", "segment", box(LIVER) - box(RIGHT))
    found = {frozenset((o.first, o.second)): o.volume_ml for o in measured(*NESTED, PERFUSED, left, grid=grid).overlaps}
    assert found[frozenset(("liver", "rim"))] == pytest.approx(ml(box(EDGE)), rel=1e-6)
    assert found[frozenset(("left", "rim"))] == pytest.approx(ml(box(EDGE)), rel=1e-6)
    assert found[frozenset(("right", "lesion"))] == pytest.approx(ml(box(TUMOR)), rel=1e-6)
    assert frozenset(("right", "left")) not in found
    assert frozenset(("right", "rim")) not in found


def test_where_two_regions_fill_a_voxel_in_part_their_surfaces_tell_how_much_they_share():
    fine = [Volume(o, GRID) for o in (box(RIGHT), box(LIVER) - box(RIGHT), box(TUMOR))]
    right, left, tumor = (onto(v, COARSE).values for v in fine)
    ends = np.s_[6:10, 6:10, :]  # away from edges where three surfaces meet
    assert shared_occupancy(right, left)[ends].max() == pytest.approx(0, abs=1e-4)
    inside = shared_occupancy(tumor, right)
    assert float(inside.sum()) == pytest.approx(float(tumor.sum()), rel=0.02)
    assert float(without(right, right).max()) == 0
    assert joined(right, right) == pytest.approx(right)
