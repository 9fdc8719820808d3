"""Regions grown or shrunk by a margin, with their surface inside voxels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.errors import GeometryError, QuantityError
from voxeldose.geometry.resample import occupancy_onto
from voxeldose.model.grid import window_around

if TYPE_CHECKING:
    from voxeldose.model.arrays import Doubles, Floats
    from voxeldose.model.roi import Roi

__all__ = ["with_margin"]

#: Smoothing of a surface, as the sigma of a Gaussian in parts of a voxel's longest side; and how much longer that side may
#: be than the others.
_SMOOTHING = 0.7
_FLATTEST = 4.0


def with_margin(roi: Roi, margin_mm: float) -> Roi:
    """A region grown by a margin in all directions, or shrunk by a negative one.

    The surface is where the occupancy, smoothed by 0.7 of a voxel's longest side, is one half, then moved so that it
    encloses the region's own volume: steps of a label map, or from one contour to the next, do not count as corners. True
    edges are rounded by as much. Distances are straight, in mm, to that surface.

    Parameters
    ----------
    roi : Roi
        On a grid with perpendicular axes.
    margin_mm : float
        Distance of the new surface from the old one, outwards.

    Returns
    -------
    Roi
        Of the same name, with fractional border voxels.

    Raises
    ------
    QuantityError
        If nothing is left.
    GeometryError
        If the grid is sheared.
    """
    if not roi.grid.is_right_angled:
        msg = f"ROI {roi.name!r} lies on a sheared grid, where distances are not known; resample it first."
        raise GeometryError(msg, code="grid-sheared", roi=roi.name)
    spacing = np.array(roi.grid.spacing_mm)
    reach = max(margin_mm, 0.0) + 2 * spacing
    corners = roi.grid.indices(roi.grid.corners())
    far = np.stack([corners.min(axis=0) - reach / spacing, corners.max(axis=0) + reach / spacing])
    grid = window_around(roi.grid, roi.grid.points_lps_mm(far))
    if (spacing < spacing.max() / _FLATTEST).any():  # thin pixels of contours: finer than their surface is known
        grid = grid.with_spacing(np.maximum(spacing, spacing.max() / _FLATTEST).tolist())
    occupancy = occupancy_onto(roi, grid)
    distance, width = _signed_distance(occupancy, np.array(grid.spacing_mm), abs(margin_mm))
    wanted = float(occupancy.sum(dtype=np.float64))
    low, high = -float(np.linalg.norm(grid.spacing_mm)), float(np.linalg.norm(grid.spacing_mm))
    for _ in range(40):
        middle = (low + high) / 2
        if float(_fill(distance, width, middle).sum(dtype=np.float64)) < wanted:
            low = middle
        else:
            high = middle
    result = _fill(distance, width, (low + high) / 2 + margin_mm)
    if float(result.max()) <= 1e-3:
        msg = f"nothing is left of ROI {roi.name!r} after shrinking it by {-margin_mm:g} mm."
        raise QuantityError(msg, code="roi-empty", roi=roi.name)
    return replace(roi, occupancy=result, grid=grid, offset=None)


def _fill(distance: Floats, width: Floats, level: float) -> Floats:
    """Part of each voxel nearer than ``level``, its border a plane."""
    return np.asarray(np.clip(0.5 - (distance - np.float32(level)) / width, 0, 1), np.float32)


def _signed_distance(occupancy: Floats, spacing_mm: Doubles, margin_mm: float) -> tuple[Floats, Floats]:
    """Distance of voxel centres from the surface (negative inside), and the voxels' width across it, in mm.

    Right within ``margin_mm`` and a voxel of the surface; farther away only the sign is. The surface is given by its
    crossings of the lines between neighbouring voxel centres and its direction there.
    """
    from scipy.ndimage import distance_transform_edt, gaussian_filter
    from scipy.spatial import cKDTree

    smooth = gaussian_filter(occupancy, _SMOOTHING * spacing_mm.max() / spacing_mm, mode="constant", truncate=3)
    if smooth.max() < 0.6:  # so thin that smoothing would wash it away
        smooth = occupancy
    level = 0.5 * min(1.0, float(smooth.max()))
    inside = smooth >= level
    slopes = np.stack(list(np.gradient(smooth, *spacing_mm)), axis=-1)
    points, normals = [], []
    for axis in range(3):
        here = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        there = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        index = np.argwhere(inside[here] != inside[there])
        beyond = index + np.eye(3, dtype=int)[axis]
        one, two = smooth[tuple(index.T)], smooth[tuple(beyond.T)]
        part = ((level - one) / (two - one))[:, None]
        points.append((index + part * np.eye(3)[axis]) * spacing_mm)
        normals.append((1 - part) * slopes[tuple(index.T)] + part * slopes[tuple(beyond.T)])
    surface, normal = np.concatenate(points), np.concatenate(normals)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    across = float(np.linalg.norm(spacing_mm))
    outer = distance_transform_edt(~inside, sampling=spacing_mm)
    inner = distance_transform_edt(inside, sampling=spacing_mm)
    distance = (outer - inner).astype(np.float32)
    width = np.full(distance.shape, across, np.float32)
    near = np.argwhere(np.maximum(outer, inner) < margin_mm + 2 * across)
    _, nearest = cKDTree(surface).query(near * spacing_mm)
    apart = near * spacing_mm - surface[nearest]
    upright = (apart * normal[nearest]).sum(axis=1)
    aside = np.abs(apart - upright[:, None] * normal[nearest])
    sideways = np.linalg.norm(np.clip(aside - spacing_mm / 2, 0, None), axis=1)
    apart_mm = np.hypot(upright, sideways)
    place = tuple(near.T)
    distance[place] = np.where(inside[place], -apart_mm, apart_mm)
    width[place] = np.abs(normal[nearest]) @ spacing_mm
    return distance, width
