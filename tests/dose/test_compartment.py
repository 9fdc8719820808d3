"""The perfused volume by one compartment: from the function, in an assessment, and against the limits that mean it."""

from datetime import UTC, datetime

import numpy as np
import pytest
from remarks import coded

from voxeldose.dose.assess import assess, what_if
from voxeldose.dose.compartment import compartment_gy
from voxeldose.dose.engines.local import LocalDeposition
from voxeldose.model.administration import Administration
from voxeldose.model.case import Absolute, Case
from voxeldose.model.grid import Grid
from voxeldose.model.radionuclide import Y90
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.volume import ActivityMap

AT = datetime(2024, 5, 2, 10, 15, tzinfo=UTC)
GRID = Grid.from_axes((20, 24, 26), (5, 4, 4), (-40, -50, -60))
LIVER = np.s_[2:18, 2:22, 2:24]
RIGHT, LEFT, TUMOR = np.s_[4:10, 4:10, 4:12], np.s_[12:16, 12:18, 12:22], np.s_[6:8, 6:8, 6:9]


def region(name, role, where):
    occupancy = np.zeros(GRID.shape)
    occupancy[where] = 1
    return Roi(name, role, occupancy, GRID)


def case(*more, mbq=800.0, residual=20.0, shunt=0.05, bq=(1e6, 0.0), **options):
    """Activity in the right territory and, with a second number, in the left one."""
    values = np.zeros(GRID.shape)
    values[RIGHT], values[LEFT] = bq
    rois = RoiSet((region("liver", "liver", LIVER), region("right", "perfused", RIGHT), *more))
    given = Administration(Y90, mbq, AT, residual, shunt, "glass")
    return Case(ActivityMap(values, GRID, at=AT, radionuclide=Y90), rois, given, **options)


MASS_G = 6 * 6 * 8 * 0.08 * 1.04


def test_the_perfused_volume_has_its_mean_by_one_compartment_beside_that_of_the_map():
    result = assess(case())
    wanted = 49.38 * (800 - 20) * 0.95 / MASS_G
    assert result.rois["right"].single_compartment_gy == pytest.approx(wanted, rel=1e-4)
    assert result.rois["right"].mean_dose_gy < 0.97 * wanted  # energy leaves the volume, activity beyond it is none
    assert assess(case(), LocalDeposition()).rois["right"].mean_dose_gy == pytest.approx(wanted, rel=1e-3)
    assert all(m.single_compartment_gy is None for name, m in result.rois.items() if name != "right")
    assert result.totals.held_mbq == pytest.approx(780 * 0.95)
    assert not coded("perfused-activity-shared", result.record.assumptions)


def test_the_400_gy_limit_is_compared_with_one_compartment():
    # 400 Gy by one compartment, to the last digit; the map has less
    result = assess(case(mbq=400 * MASS_G / Y90.gy_kg_per_gbq / 0.95 + 20))
    (limit,) = (t for t in result.thresholds if t.roi == "right")
    assert (limit.metric, limit.limit) == ("single_compartment_gy", 400)
    assert limit.value == pytest.approx(400, rel=1e-9)
    assert limit.met
    assert limit.differs == ""
    assert result.rois["right"].mean_dose_gy < 395


def test_without_an_administered_activity_there_is_none_and_the_map_is_compared_and_said_to_differ():
    given = Administration(Y90, None, AT, device="glass")
    result = assess(Case(case().activity, case().rois, given, calibration=Absolute()))
    assert result.rois["right"].single_compartment_gy is None
    assert result.totals.held_mbq is None
    (limit,) = (t for t in result.thresholds if t.roi == "right")
    assert limit.metric == "mean_dose_gy"
    assert limit.differs.startswith("The limit is K A / m")


def test_several_perfused_regions_share_the_activity_as_the_image_shows_it():
    second = region("left", "perfused", LEFT)
    result = assess(case(second, bq=(1e6, 0.5e6)))
    right, left = 6 * 6 * 8, 4 * 6 * 10
    held = 780 * 0.95
    shares = {"right": right * 1e6, "left": left * 0.5e6}
    for name, voxels in (("right", right), ("left", left)):
        wanted = 49.38 * held * shares[name] / sum(shares.values()) / (voxels * 0.08 * 1.04)
        assert result.rois[name].single_compartment_gy == pytest.approx(wanted, rel=1e-4)
    (said,) = coded("perfused-activity-shared", result.record.assumptions)
    assert said.numbers["held_mbq"] == pytest.approx(held)
    assert "right 523.1 MBq, left 217.9 MBq" in said.sentence


def test_what_if_changes_it_with_the_activity():
    result = assess(case(), LocalDeposition())
    changed = what_if(result, LocalDeposition(), activity_factor=1.5)
    again = what_if(changed, LocalDeposition(), activity_factor=2.0)
    one = result.rois["right"].single_compartment_gy
    assert changed.rois["right"].single_compartment_gy == pytest.approx(1.5 * one, rel=1e-6)
    assert again.rois["right"].single_compartment_gy == pytest.approx(3.0 * one, rel=1e-6)


def test_one_compartment_is_k_a_over_m():
    assert compartment_gy(49.38, 1000.0, 120.0, part=0.9) == pytest.approx(370.35)
