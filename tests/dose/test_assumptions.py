"""What a case and its engine assume, in a sentence and a code for each."""

from datetime import UTC, datetime

import numpy as np
import pytest
from remarks import coded

from voxeldose.dose.assumptions import assumptions_of
from voxeldose.dose.engines.local import LocalDeposition
from voxeldose.dose.limits import published_limits
from voxeldose.model.administration import Administration
from voxeldose.model.case import Case
from voxeldose.model.grid import Grid
from voxeldose.model.limits import Limit
from voxeldose.model.radionuclide import Y90
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.volume import ActivityMap
from voxeldose.planning.plan import TRAPPED

AT = datetime(2024, 5, 2, 10, 15, tzinfo=UTC)


def assumed(code, given=None, frame_uid="1.2", **more):
    grid = Grid.from_axes((2, 3, 4), (4, 3, 2), (0, 0, 0), frame_uid=frame_uid)
    image = ActivityMap(np.ones(grid.shape, np.float32), grid, at=AT, radionuclide=Y90)
    rois = RoiSet((Roi("liver", "liver", np.ones(grid.shape), grid),))
    given = given or Administration(Y90, 1850.0, AT, 0.0, 0.05, "glass")
    return coded(code, assumptions_of(Case(image, rois, given, **more), LocalDeposition()))


@pytest.mark.parametrize(
    ("code", "numbers", "sentence"),
    [
        ("lung-shunt-missing", {"lung_shunt_fraction": 0.0}, "No lung shunt fraction was given: 0 is taken."),
        (
            "infusion-instant-missing",
            {},
            "The instant of the infusion was not given; the administered activity is taken as of then.",
        ),
        ("device-missing", {}, "No device was given, so no published threshold is compared."),
    ],
)
def test_what_an_administration_does_not_say_is_assumed(code, numbers, sentence):
    (remark,) = assumed(code, Administration(Y90, 1850.0))
    assert remark.numbers == numbers
    assert remark.sentence == sentence
    assert not assumed(code)


def test_a_sites_thresholds_are_counted_apart_from_the_published_ones():
    own = Limit("Liver", "normal_liver", "mean_dose_gy", "below", 50.0, "protocol", "kernel mean")
    (remark,) = assumed("limits-of-site", limits=(*published_limits()[:3], own))
    assert remark.numbers == {"own": 1, "published": 3}
    assert remark.sentence == "The thresholds compared are the site's: 1 of its own and 3 published."
    assert not assumed("limits-of-site")


def test_images_without_a_frame_are_taken_to_be_in_one():
    (remark,) = assumed("frame-unstated", frame_uid=None)
    assert "taken to be in the same patient frame" in remark.sentence
    assert not assumed("frame-unstated")


def test_assessments_and_plans_state_in_one_sentence_that_microspheres_stay():
    assert assumed("microspheres-fixed") == [TRAPPED]
    assert "Microspheres do not move" in TRAPPED.sentence
