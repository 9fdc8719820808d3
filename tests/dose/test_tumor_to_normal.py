"""One policy of T/N: treated tumors against the normal liver that the infusion reached."""

from datetime import UTC, datetime

import numpy as np
import pytest
from remarks import coded

from voxeldose.dose.assess import assess
from voxeldose.dose.engines.local import LocalDeposition
from voxeldose.dose.tumor_to_normal import is_reached
from voxeldose.model.administration import Administration
from voxeldose.model.case import WHOLE_IMAGE, Administered, Case
from voxeldose.model.grid import Grid
from voxeldose.model.radionuclide import Y90
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.volume import ActivityMap

AT = datetime(2024, 5, 2, 10, 15, tzinfo=UTC)
GRID = Grid.from_axes((20, 22, 24), (4, 4, 4), (-40, -40, -40))
LIVER, RIGHT = np.s_[2:18, 2:20, 2:22], np.s_[2:18, 2:20, 2:12]
ONE, TWO, THREE = np.s_[4:7, 4:8, 4:8], np.s_[10:12, 10:13, 5:9], np.s_[5:8, 5:8, 15:19]
HALF = np.s_[14:16, 14:16, 10:14]
#: Activity per mL relative to perfused normal liver; nothing elsewhere.
UPTAKE = {"one": 6.0, "two": 3.0, "three": 0.0}


def region(name, role, where):
    occupancy = np.zeros(GRID.shape)
    occupancy[where] = 1
    return Roi(name, role, occupancy, GRID)


REGIONS = {
    "liver": region("liver", "liver", LIVER),
    "one": region("one", "tumor", ONE),
    "two": region("two", "tumor", TWO),
    "three": region("three", "tumor", THREE),
    "right": region("right", "perfused", RIGHT),
}


def assessed(*names, more=()):
    values = np.zeros(GRID.shape)
    values[RIGHT], values[ONE], values[TWO] = 1, UPTAKE["one"], UPTAKE["two"]
    rois = RoiSet((*(REGIONS[n] for n in names), *more))
    given = Administration(Y90, 800.0, AT, 0.0, 0.04, "glass")
    image = ActivityMap(values * 1e6, GRID, at=AT, radionuclide=Y90)
    return assess(Case(image, rois, given, calibration=Administered(WHOLE_IMAGE)), LocalDeposition())


VOXELS = {"one": 3 * 4 * 4, "two": 2 * 3 * 4}
POOLED = (6 * VOXELS["one"] + 3 * VOXELS["two"]) / sum(VOXELS.values())


def test_treated_tumors_are_compared_with_perfused_normal_liver_and_pooled_without_the_one_not_reached():
    result = assessed("liver", "one", "two", "three", "right")
    rows = {row.roi: row for row in result.tumor_to_normal}
    assert list(rows) == ["one", "two", "three", "treated tumors"]
    for name in ("one", "two"):
        assert rows[name].by_concentration == pytest.approx(UPTAKE[name], rel=1e-5)
        assert rows[name].by_dose == pytest.approx(UPTAKE[name], rel=1e-5)  # by local deposition
    assert (rows["three"].by_concentration, rows["three"].by_dose, rows["three"].reached) == (None, None, False)
    assert rows["treated tumors"].by_concentration == pytest.approx(POOLED, rel=1e-5)
    assert result.tumor_to_normal_ratio == rows["treated tumors"].by_concentration
    assert result.tumor_to_normal_region == "perfused_normal_liver"
    assert {row.normal for row in rows.values()} == {"perfused_normal_liver (normal liver inside right)"}
    assert not coded("tumor-to-normal-of-whole-liver", result.record.assumptions)


def test_a_tumor_that_is_not_reached_is_said_once_and_judged_against_no_limit():
    result = assessed("liver", "one", "two", "three", "right")
    (said,) = coded("tumors-not-reached", result.record.warnings)
    assert said.numbers == {"tumors": "three"}
    assert said.sentence.startswith("Not reached, since less than half lies in a perfused region: three (0 % of it).")
    assert {t.roi for t in result.thresholds} == {"right", "one", "two", "normal_liver"}
    assert [result.rois[n].reached for n in ("one", "three", "liver")] == [True, False, None]
    assert not coded("tumor-outside-perfused", result.record.warnings)


def test_half_of_a_tumor_in_the_perfused_region_makes_it_treated():
    half = region("half", "tumor", HALF)
    result = assessed("liver", "right", more=(half,))
    assert result.rois["half"].perfused_fraction == pytest.approx(0.5)
    assert result.rois["half"].reached
    assert is_reached(0.5 - 1e-5) is False
    assert is_reached(None) is None


def test_without_a_perfused_region_it_is_against_all_normal_liver_and_that_is_said():
    result = assessed("liver", "one", "two", "three")
    assert result.tumor_to_normal_region == "normal_liver"
    (said,) = coded("tumor-to-normal-of-whole-liver", result.record.assumptions)
    assert "as no perfused region is given" in said.sentence
    normal = 16 * 18 * 20 - sum(VOXELS.values()) - 3 * 3 * 4
    warm = 16 * 18 * 10 - sum(VOXELS.values())
    rows = {row.roi: row for row in result.tumor_to_normal}
    assert rows["one"].by_concentration == pytest.approx(6 * normal / warm, rel=1e-5)
    assert rows["three"].by_concentration == 0  # treated, as nobody says otherwise
    assert result.rois["three"].reached is None
    assert {t.roi for t in result.thresholds if t.metric == "mean_dose_gy"} == {"one", "two", "three", "normal_liver"}


def test_a_perfused_region_of_tumor_alone_leaves_whole_normal_liver_to_compare_with():
    within = region("within", "perfused", ONE)
    result = assessed("liver", "one", more=(within,))
    assert result.tumor_to_normal_region == "normal_liver"
    (said,) = coded("tumor-to-normal-of-whole-liver", result.record.assumptions)
    assert "as within holds no normal liver" in said.sentence


def test_several_regions_of_normal_liver_count_together():
    parts = [
        region(n, "normal_liver", w) for n, w in (("a", np.s_[12:18, 2:20, 2:12]), ("b", np.s_[12:18, 2:20, 12:22]))
    ]
    result = assessed("one", more=parts)
    assert result.tumor_to_normal_region == "a, b"
    assert result.tumor_to_normal_ratio == pytest.approx(12, rel=1e-5)  # half of them is cold


def test_one_treated_tumor_is_its_own_pool():
    result = assessed("liver", "one", "three", "right")
    assert [row.roi for row in result.tumor_to_normal] == ["one", "three"]
    normal = 16 * 18 * 10 - VOXELS["one"]  # the second tumor is not drawn here, so it is part of it
    assert result.tumor_to_normal_ratio == pytest.approx(6 / (1 + 2 * VOXELS["two"] / normal), rel=1e-5)


def test_with_no_treated_tumor_there_is_no_ratio():
    result = assessed("liver", "three", "right")
    assert result.tumor_to_normal_ratio is None
    assert [(row.roi, row.reached) for row in result.tumor_to_normal] == [("three", False)]


def test_the_resin_limit_for_perfused_normal_liver_is_compared_with_that():
    rois = RoiSet(tuple(REGIONS[n] for n in ("liver", "one", "right")))
    image = ActivityMap(np.ones(GRID.shape) * 1e5, GRID, at=AT, radionuclide=Y90)
    result = assess(Case(image, rois, Administration(Y90, 800.0, AT, device="resin")), LocalDeposition())
    (limit,) = (t for t in result.thresholds if t.limit == 40)
    assert limit.roi == "perfused_normal_liver"
    assert limit.value == result.rois["perfused_normal_liver"].mean_dose_gy
    assert "all of it" not in limit.differs
