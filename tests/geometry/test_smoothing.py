"""Blurring by a known width: variances are exact, widths add in quadrature, an even image stays even."""

import numpy as np
import pytest

from voxeldose.geometry.smoothing import FWHM_PER_SIGMA, blurred
from voxeldose.model.grid import Grid
from voxeldose.model.volume import DoseMap

GRID = Grid.from_axes((31, 35, 41), (4.0, 3.0, 2.5), (-40, -50, -60))


def gaussian(fwhm, height=1000.0):
    """A Gaussian around the middle voxel."""
    points = GRID.points_lps_mm(np.moveaxis(np.indices(GRID.shape), 0, -1))
    apart = ((points - GRID.points_lps_mm((15, 17, 20))) ** 2).sum(axis=-1)
    return DoseMap(height * np.exp(-apart / 2 * (FWHM_PER_SIGMA / fwhm) ** 2), GRID)


def widths_mm(dose):
    """FWHM by the second moment along each axis."""
    total, found = dose.gy.sum(dtype=np.float64), []
    for axis, spacing in enumerate(GRID.spacing_mm):
        line = dose.gy.sum(axis=tuple(a for a in range(3) if a != axis), dtype=np.float64)
        place = np.arange(line.size) * spacing
        middle = (line * place).sum() / total
        found.append(FWHM_PER_SIGMA * np.sqrt((line * (place - middle) ** 2).sum() / total))
    return found


@pytest.mark.parametrize("fwhm", [(1.5, 1.0, 0.5), (4.0, 3.0, 5.0), (12.0, 15.0, 9.0)])
def test_variances_add_along_each_axis_also_below_a_voxel(fwhm):
    sharp = gaussian(10.0)
    found = blurred(sharp, fwhm)
    assert widths_mm(found) == pytest.approx([np.hypot(10.0, w) for w in fwhm], rel=1e-4)
    assert found.total() == pytest.approx(sharp.total(), rel=1e-6)


def test_widths_add_in_quadrature():
    twice, once = (
        blurred(blurred(gaussian(8.0), (9.0, 9.0, 9.0)), (12.0, 12.0, 12.0)),
        blurred(gaussian(8.0), (15.0,) * 3),
    )
    np.testing.assert_allclose(twice.gy, once.gy, atol=2e-6 * once.gy.max())


def test_a_gaussian_becomes_the_wider_gaussian():
    wanted = gaussian(15.0, 1000 * (12 / 15) ** 3).gy
    assert np.abs(blurred(gaussian(12.0), (9.0, 9.0, 9.0)).gy - wanted).max() < 1e-4 * wanted.max()


def test_an_even_image_stays_even_up_to_its_edge_and_no_width_changes_nothing():
    even = DoseMap(np.full(GRID.shape, 7.0), GRID)
    np.testing.assert_allclose(blurred(even, (20.0, 0.0, 11.0)).gy, 7.0, rtol=1e-6)
    np.testing.assert_array_equal(blurred(gaussian(8.0), (0.0, 0.0, 0.0)).gy, gaussian(8.0).gy)
