import numpy as np
import pytest
from remarks import refusal

from voxeldose.errors import QuantityError
from voxeldose.model.kernel import PointKernel


@pytest.mark.parametrize(
    ("radius", "within", "words"),
    [
        ([1, 2], [0, 1], "begin at radius 0"),
        ([0, 1], [0.1, 1], "begin at radius 0"),
        ([0, 1, 2], [0, 1], "equally long"),
        ([0], [0], "equally long"),
        ([0, 1, 1], [0, 0.5, 1], "radii must rise"),
        ([0, 1, 2], [0, 0.6, 0.5], "energy not fall"),
        ([0, 1], [0, 1.2], r"exceed 1; it ends at 1\.2"),
    ],
)
def test_columns_that_are_no_kernel_are_refused(radius, within, words):
    with pytest.raises(QuantityError, match=words, check=refusal("kernel-impossible")):
        PointKernel(np.array(radius, float), np.array(within, float), 1.0, 1.0, "test")


@pytest.mark.parametrize(("mev", "density"), [(0.0, 1.0), (1.0, -1.0)])
def test_a_kernel_without_energy_or_density_is_refused(mev, density):
    with pytest.raises(QuantityError, match="energy and density above 0", check=refusal("kernel-impossible")):
        PointKernel(np.array([0.0, 1.0]), np.array([0.0, 1.0]), mev, density, "test")
