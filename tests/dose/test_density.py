from datetime import UTC, datetime

import numpy as np
import pytest
from remarks import coded, refusal

from voxeldose.dose.assess import assess
from voxeldose.dose.engines.local import LocalDeposition
from voxeldose.errors import GeometryError
from voxeldose.model.administration import Administration
from voxeldose.model.case import Case
from voxeldose.model.grid import Grid
from voxeldose.model.radionuclide import Y90
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.volume import ActivityMap, DensityMap

AT = datetime(2024, 5, 2, 10, 15, tzinfo=UTC)
GRID = Grid.from_axes((12, 10, 10), (4, 3, 2.5), (0, 0, 0))


def box(name, role, slices):
    occupancy = np.zeros(GRID.shape)
    occupancy[slices, 2:8, 2:8] = 1
    return Roi(name, role, occupancy, GRID)


def case(density_from, *rois, axis=0):
    """A liver over slices 2 to 9, rows and columns 2 to 7, and a density image that begins at ``density_from`` along an axis."""
    values = np.zeros(GRID.shape)
    values[2:10, 2:8, 2:8] = 1e5
    start = [density_from if n == axis else 0 for n in range(3)]
    part = GRID.window(start, [n - first for n, first in zip(GRID.shape, start, strict=True)])
    density = DensityMap(np.full(part.shape, 1.05), part)
    given = Administration(Y90, 300.0, AT, 0.0, 0.0, "glass")
    liver = box("liver", "liver", slice(2, 10))
    return Case(ActivityMap(values, GRID, at=AT, radionuclide=Y90), RoiSet((liver, *rois)), given, density=density)


@pytest.mark.parametrize(
    ("axis", "density_from", "part", "short_mm"),
    [(0, 5, 3 / 8, 10), (0, 4, 2 / 8, 6), (1, 4, 2 / 6, 4.5), (2, 6, 4 / 6, 8.75)],
)
def test_a_density_image_that_ends_in_the_liver_is_refused_with_the_missing_millimetres(
    axis, density_from, part, short_mm
):
    with pytest.raises(GeometryError, check=refusal("density-too-small")) as caught:
        assess(case(density_from, axis=axis), LocalDeposition())
    fields = caught.value.fields
    assert fields["outside_fraction"] == pytest.approx(part)
    assert fields["short_mm"] == pytest.approx(short_mm)  # from the edge of the image to the farthest voxel's centre
    assert f"by up to {short_mm:.0f} mm" in str(caught.value)


def test_one_that_holds_the_liver_and_cuts_the_lungs_warns_of_them():
    lungs = box("lungs", "lung", slice(0, 4))
    result = assess(case(2, lungs), LocalDeposition())
    (warning,) = coded("roi-outside-density", result.record.warnings)
    assert warning.numbers == {"roi": "lungs", "outside_fraction": pytest.approx(0.5), "short_mm": pytest.approx(6)}
    assert not coded("roi-outside-density", assess(case(2), LocalDeposition()).record.warnings)
