import math

import pytest
from remarks import refusal

from voxeldose.dose.uncertainty.recovery import Recovery, fit_recovery
from voxeldose.errors import QuantityError


@pytest.mark.parametrize(
    ("curve", "code", "words"),
    [
        ((0, 1), "value-out-of-range", "above 0, found 0 mL and 1"),
        ((1, 1, ((1.0, 2.0), (2.0, 1.0))), "covariance-impossible", "a correlation above 1"),
        ((1, 1, ((1.0, 0.1), (0.2, 1.0))), "covariance-impossible", "symmetric 2 x 2"),
        ((1, 1, ((1.0,), (1.0,))), "covariance-impossible", "symmetric 2 x 2"),
    ],
)
def test_a_curve_that_cannot_be_is_refused(curve, code, words):
    with pytest.raises(QuantityError, match=words, check=refusal(code)):
        Recovery(*curve)


@pytest.mark.parametrize(
    ("spheres", "code", "words"),
    [
        ([(1, 0.5, 0.1), (2, 0.6, 0.1)], "spheres-too-few", "At least three"),
        ([], "spheres-too-few", "At least three"),
        ([(1, 50, 1), (2, 60, 1), (3, 70, 1)], "value-out-of-range", "between 0 and 1.2"),
        ([(math.inf, 0.5, 0.1), (2, 0.6, 0.1), (3, 0.7, 0.1)], "recovery-fit-failed", r"check volumes \(mL\)"),
        ([(1, 0.5, 0.1)] * 3, "recovery-fit-failed", "give more sizes"),
    ],
)
def test_spheres_that_give_no_curve_are_refused(spheres, code, words):
    with pytest.raises(QuantityError, match=words, check=refusal(code)):
        fit_recovery(spheres)
