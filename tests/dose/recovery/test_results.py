from types import SimpleNamespace

from voxeldose.dose.recovery.options import Resolution
from voxeldose.dose.recovery.results import _disagreement
from voxeldose.dose.recovery.run import _assumptions
from voxeldose.dose.recovery.scan import Noise
from voxeldose.model.recovered import Estimate, RecoveredMetrics


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
