from dataclasses import replace

import numpy as np
import pytest
from small_recovery import CENTRE, ball_roi, small_scan

from voxeldose.dose.recovery.anatomy import anatomy_of
from voxeldose.dose.recovery.dose_points import CentreDose
from voxeldose.dose.recovery.draws import Draw, merged
from voxeldose.dose.recovery.numbers import Gauge, _Points
from voxeldose.dose.recovery.shapes import Motion
from voxeldose.errors import GeometryError
from voxeldose.model.kernel import DEFAULT_REACH_MM, point_kernel
from voxeldose.model.radionuclide import Y90
from voxeldose.model.roi import Roi, RoiSet


def halves(scan, roles):
    """The whole box as two regions, below and above x = 0."""
    left = np.zeros(scan.shape, np.float32)
    left[:, :, : scan.shape[2] // 2] = 1
    return [Roi(f"half {n}", role, part, scan.grid) for n, (role, part) in enumerate(zip(roles, (left, 1 - left)))]  # noqa: B905


def measured(rois, uptake, motions=None, within=()):
    scan = small_scan(shape=(16, 14, 16))
    anatomy = anatomy_of(RoiSet(tuple(rois(scan))), scan)
    masks = anatomy.partition.masks(motions or {})
    names = anatomy.partition.names
    held = [(uptake.get(n, 0) * float(m.sum()), float(m.sum())) for n, m in zip(names, masks, strict=True)]
    activity = sum(np.float32(uptake.get(n, 0)) * m for n, m in zip(names, masks, strict=True))
    dose = CentreDose.of(point_kernel(), scan.fine, Y90, 1.04, DEFAULT_REACH_MM)
    gauge = Gauge(anatomy, scan, dose, list(within))
    draw = Draw(activity, motions or {}, merged(names, np.array(held)))
    return gauge.measure(draw, gauge.dose_of(draw))


def tumor():
    return ball_roi("t", "tumor", CENTRE, 9.0)


def test_two_lobes_are_one_liver():
    found = measured(lambda s: [tumor(), *halves(s, ("liver", "liver"))], {"t": 4, "half 0": 1, "half 1": 1})
    assert found["t"].best["tumor_to_normal"] == pytest.approx(4, rel=1e-3)
    assert found["t"].best["volume_ml"] == pytest.approx(4 / 3 * np.pi * 9**3 / 1000, rel=0.02)
    assert found[""].best["volume_ml"] == pytest.approx(16 * 14 * 16 * 0.042 - found["t"].best["volume_ml"], rel=0.02)


def test_normal_liver_is_the_perfused_one_where_that_is_given():
    uptake = {"t": 4, "half 0": 1, "whole": 0.2}

    def rois(scan):
        perfused, _ = halves(scan, ("perfused", "other"))
        return [tumor(), perfused, Roi("whole", "liver", np.ones(scan.shape, np.float32), scan.grid)]

    found = measured(rois, uptake, within=["half 0"])
    assert found["t"].best["tumor_to_normal"] == pytest.approx(4, rel=1e-3)
    assert measured(rois, uptake)["t"].best["tumor_to_normal"] > 6


def test_a_tumor_inside_another_keeps_its_place_and_both_have_numbers():
    found = measured(
        lambda s: [
            ball_roi("outer", "tumor", CENTRE, 12.0),
            ball_roi("inner", "tumor", CENTRE, 6.0),
            *halves(s, ("liver",) * 2),
        ],
        {"inner": 8, "outer": 4, "half 0": 1, "half 1": 1},
    )
    assert found["inner"].best["tumor_to_normal"] == pytest.approx(8, rel=1e-3)
    assert found["outer"].best["tumor_to_normal"] == pytest.approx(4, rel=1e-3)
    assert found["inner"].best["mean_dose_gy"] > found["outer"].best["mean_dose_gy"]


def test_a_moved_outline_and_the_drawn_one_hold_what_is_theirs():
    motions = {"t": Motion((1.0, 0.0, 0.0), 1.0)}
    found = measured(lambda s: [tumor(), *halves(s, ("liver", "liver"))], {"t": 4, "half 0": 1, "half 1": 1}, motions)
    t = found["t"]
    assert t.best["volume_ml"] > t.as_drawn["volume_ml"]
    assert t.best["tumor_to_normal"] == pytest.approx(4, rel=1e-3)
    assert t.as_drawn["volume_ml"] == pytest.approx(4 / 3 * np.pi * 9**3 / 1000, rel=0.02)
    assert 0.9 * 4 < t.as_drawn["tumor_to_normal"] <= 4.05


def test_a_region_without_a_fine_voxel_inside_is_refused():
    scan = small_scan(shape=(16, 14, 16))
    liver = next(r for r in anatomy_of(RoiSet(tuple(halves(scan, ("liver", "liver")))), scan).partition.regions)
    outside = replace(liver, distance_mm=np.full_like(liver.distance_mm, 0.1))  # as of an outline between the voxels
    with pytest.raises(GeometryError) as refused:
        _Points.around(outside, scan)
    assert refused.value.code == "region-too-small"


def test_without_a_liver_there_is_no_ratio():
    found = measured(lambda _: [tumor()], {"t": 4})
    assert set(found) == {"t"}
    assert "tumor_to_normal" not in found["t"].best
