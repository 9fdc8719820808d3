from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest
from small_recovery import ball_roi, small_scan

from voxeldose.dose.assess import assess
from voxeldose.dose.recovery import recover
from voxeldose.dose.recovery.options import Resolution
from voxeldose.dose.recovery.results import _disagreement
from voxeldose.dose.recovery.run import _assumptions
from voxeldose.dose.recovery.scan import Noise
from voxeldose.model.administration import Administration
from voxeldose.model.best_value import best_value
from voxeldose.model.case import Absolute, Case
from voxeldose.model.radionuclide import Y90
from voxeldose.model.recovered import Estimate, RecoveredMetrics
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.volume import ActivityMap, Volume


def test_two_methods_that_disagree_are_told_and_two_that_agree_are_not():
    drawn = RecoveredMetrics(mean_dose_gy=Estimate(400.0, 380.0, 420.0))
    (remark,) = _disagreement("t", drawn, 440.0)
    assert (remark.code, remark.numbers["rbv_gy"]) == ("recovery-methods-disagree", 440.0)
    assert _disagreement("t", drawn, 410.0) == []


def test_a_perfused_part_that_the_image_shows_is_an_assumption():
    scan = SimpleNamespace(noise=Noise(5.0))
    for contrast, told in ((12.0, True), (None, False)):
        remarks = _assumptions(SimpleNamespace(scan=scan, contrast=contrast), Resolution((6.5,) * 3))
        assert ("perfused-part-found" in [r.code for r in remarks]) == told


def test_normal_liver_of_perfused_regions_is_never_taken_for_all_of_it():
    # a segmentectomy: 350 Gy in perfused normal liver, 50 Gy in the whole of it
    rois = {"t": ("tumor", 6.0), "right": ("perfused", 1.0), "liver": ("liver", 0.1)}
    scan = small_scan((18, 16, 17))
    values = np.zeros(scan.shape, np.float32)
    ones = np.ones(scan.shape, np.float32)
    half = ones.copy()
    half[:, :, 9:] = 0
    ball = ball_roi("t", "tumor", (-10.0, 0.6, 0.4), 9.0)
    regions = RoiSet((ball, Roi("right", "perfused", half, scan.grid), Roi("liver", "liver", ones, scan.grid)))
    values += np.where(half > 0, 1.0, 0.1).astype(np.float32)
    inside = Volume(ball.occupancy, ball.grid).sampled_on(scan.grid)
    values = np.maximum(values, rois["t"][1] * inside) * 2e5
    at = datetime(2024, 5, 2, tzinfo=UTC)
    image = ActivityMap(values, scan.grid, at=at, radionuclide=Y90)
    result = assess(Case(image, regions, Administration(Y90, at=at), calibration=Absolute()))
    found = recover(result, Resolution((6.0, 6.5, 7.0), method="rbv"))
    assert "normal_liver" in result.rois
    assert "normal_liver" not in found.rois
    assert set(found.rois) <= {"t", "perfused_normal_liver"}
    assert best_value(result, "normal_liver", "mean_dose_gy").kind == "image"
    assert found.rois["t"].best.tumor_to_normal.value == pytest.approx(6.0, rel=0.2)
