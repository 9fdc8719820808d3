"""Analytic shapes on voxel grids, in LPS millimetres.

A shape is a function of points that bounds the distance (mm) to its surface: negative inside, and never farther from zero
than the surface is.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from voxeldose.geometry.smoothing import FWHM_PER_SIGMA
from voxeldose.model.arrays import Floats

if TYPE_CHECKING:
    from voxeldose.model.grid import Grid

__all__ = ["Points", "Shape", "blurred", "ellipsoid", "lattice", "occupancy", "sphere"]

#: Where voxels that a surface may cross are probed along each axis: the middles of four parts.
PLACES = np.array([-0.375, -0.125, 0.125, 0.375], np.float32)


class Points(NamedTuple):
    """Coordinates in LPS millimetres; arrays of one shape, or of shapes that broadcast to a lattice."""

    x: Floats
    y: Floats
    z: Floats


def ellipsoid(p: Points, centre: tuple[float, float, float], half: tuple[float, float, float]) -> Floats:
    """A bound of the distance (mm) to an ellipsoid's surface, negative inside; never farther than the surface is."""
    squares = [((v - np.float32(c)) / np.float32(h)) ** 2 for v, c, h in zip(p, centre, half, strict=True)]
    return np.asarray((np.sqrt(squares[0] + squares[1] + squares[2]) - 1) * np.float32(min(half)), np.float32)


#: Bounds the distance of points to a surface, negative inside.
Shape = Callable[[Points], Floats]


def sphere(centre: tuple[float, float, float], radius_mm: float) -> Shape:
    """A ball."""
    return lambda p: ellipsoid(p, centre, (radius_mm,) * 3)


def lattice(grid: Grid) -> Points:
    """Voxel centres of an axial grid, as three axes that broadcast."""
    k, j, i = (np.arange(n) for n in grid.shape)
    affine = grid.affine_lps_mm.astype(np.float32)
    z, y, x = affine[2, 0] * k + affine[2, 3], affine[1, 1] * j + affine[1, 3], affine[0, 2] * i + affine[0, 3]
    axes = (x[None, None, :], y[None, :, None], z[:, None, None])
    return Points(*(np.asarray(v, np.float32) for v in axes))


def occupancy(shape: Shape, grid: Grid) -> Floats:
    """Fraction of each voxel of an axial grid inside a shape; voxels near the surface are cut into 64 parts."""
    points = lattice(grid)
    signed = np.broadcast_to(shape(points), grid.shape)
    inside = (signed < 0).astype(np.float32)
    k, j, i = np.nonzero(np.abs(signed) <= 0.5 * math.hypot(*grid.spacing_mm))
    x, y, z = points.x.ravel()[i], points.y.ravel()[j], points.z.ravel()[k]
    dz, dy, dx = (np.float32(step) * PLACES for step in grid.spacing_mm)
    probes = np.zeros(k.size, np.float32)
    for a, b, c in itertools.product(dx, dy, dz):
        probes += shape(Points(x + a, y + b, z + c)) < 0
    inside[k, j, i] = probes / PLACES.size**3
    return inside


def blurred(values: Floats, grid: Grid, fwhm_mm: float) -> Floats:
    """Values after a Gaussian blur of that full width at half maximum; nothing lies outside the grid."""
    from scipy.ndimage import gaussian_filter

    to_sigma = fwhm_mm / FWHM_PER_SIGMA
    return np.asarray(gaussian_filter(values, [to_sigma / s for s in grid.spacing_mm], mode="constant"), np.float32)
