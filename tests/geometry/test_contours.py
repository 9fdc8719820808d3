import numpy as np
import pytest
from remarks import refusal

from voxeldose.errors import GeometryError
from voxeldose.geometry.contours import from_contours
from voxeldose.geometry.slabs import SlabThickness

SQUARE = np.array([[0.0, 0, 0], [20, 0, 0], [20, 20, 0], [0, 20, 0]])
UP = np.array([0.0, 0, 3])
BENT = SQUARE + np.array([[0.0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 2]])
STANDING = SQUARE[:, [2, 0, 1]]


@pytest.mark.parametrize("loops", [[SQUARE, BENT], [SQUARE, SQUARE + UP, STANDING]], ids=["bent", "not parallel"])
def test_contours_that_lie_in_no_parallel_planes_are_refused(loops):
    with pytest.raises(GeometryError, match="not planar", check=refusal("contours-not-planar")):
        from_contours(loops, thickness=SlabThickness(3.0, "user"))


@pytest.mark.parametrize(
    "loops",
    [[], [SQUARE[:2]], [np.array([[0.0, 0, 0], [10, 0, 0], [20, 0, 0]])], [np.zeros((5, 3))]],
    ids=["none", "two points", "a line", "one point"],
)
def test_contours_without_area_are_refused(loops):
    with pytest.raises(GeometryError, match="enclose no area", check=refusal("contours-without-area")):
        from_contours(loops, thickness=SlabThickness(3.0, "user"))
