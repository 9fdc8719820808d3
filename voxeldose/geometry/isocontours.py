"""Regions bounded by a level of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from voxeldose.model.arrays import Floats
    from voxeldose.model.grid import Grid
    from voxeldose.model.volume import Volume

__all__ = ["isocontour"]

#: Points along each axis of a voxel that an isocontour cuts.
_PROBES = 4

#: Voxels probed at once.
_AT_ONCE = 50_000


def isocontour(image: Volume, threshold: float, around: Grid | None = None) -> Floats:
    """Part of each voxel of an image in which it reaches a threshold.

    Parameters
    ----------
    image : Volume
        Taken to run linearly between voxel centres.
    threshold : float
        In the image's unit.
    around : Grid, optional
        Only near this box; elsewhere the result is 0.

    Returns
    -------
    ndarray, image.grid.shape
        0 to 1, from 64 points in each voxel that the contour cuts.
    """
    from scipy.ndimage import map_coordinates, maximum_filter, minimum_filter

    values, result = image.values, np.zeros(image.grid.shape, np.float32)
    box = tuple(slice(0, n) for n in image.grid.shape)
    if around is not None:
        index = image.grid.indices(around.corners())
        low = np.clip(np.floor(index.min(axis=0)).astype(int) - 1, 0, image.grid.shape)
        high = np.clip(np.ceil(index.max(axis=0)).astype(int) + 2, 0, image.grid.shape)
        box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    near = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in box)
    lowest, highest = minimum_filter(values[near], 3), maximum_filter(values[near], 3)
    part = result[near]
    part[lowest >= threshold] = 1
    cut = np.argwhere((lowest < threshold) & (highest >= threshold)) + [s.start for s in near]
    places = (np.arange(_PROBES) + 0.5) / _PROBES - 0.5
    inside = np.stack(np.meshgrid(places, places, places, indexing="ij"), -1).reshape(-1, 3)
    for start in range(0, len(cut), _AT_ONCE):
        some = cut[start : start + _AT_ONCE]
        points = (some[:, None] + inside).reshape(-1, 3).T
        probed = map_coordinates(values, points, order=1, mode="nearest", output=np.float32)
        result[tuple(some.T)] = (probed.reshape(len(some), -1) >= threshold).mean(axis=1)
    if around is not None:
        whole = np.zeros_like(result)
        whole[box] = result[box]
        return whole
    return result
