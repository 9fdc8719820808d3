"""How much of a voxel two regions fill together, and regions joined, cut and taken out of each other by that.

Whole voxels leave no doubt. Where both regions fill a voxel in part, the directions of their surfaces there decide: surfaces
that face the same way (a tumor under the capsule, a region and itself) overlap as far as they can, surfaces that face each
other (neighbours) as little as they can; at an angle the product of both parts is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from voxeldose.model.grid import bounding_box

if TYPE_CHECKING:
    from voxeldose.model.arrays import Floats

__all__ = ["joined", "shared_occupancy", "without"]

#: Parts of a voxel that differ by less are the same.
_SAME = 1e-4
#: Cosine of the angle of two surfaces from which they face the same way, or, if negative, each other.
_ALONG = 0.5


def shared_occupancy(first: Floats, second: Floats) -> Floats:
    """Part of each voxel that both regions fill.

    Parameters
    ----------
    first, second : ndarray, (nk, nj, ni)
        Occupancies on one grid, 0 to 1.
    """
    most = np.asarray(np.minimum(first, second), np.float32)
    least = np.clip(first + second - 1, 0, None)
    box = bounding_box(most - least > _SAME)
    if box is None:
        return most
    cosine = _cosine(first, second, box)
    a, b = first[box], second[box]
    most[box] = np.where(cosine > _ALONG, most[box], np.where(cosine < -_ALONG, least[box], a * b))
    return most


def joined(first: Floats, second: Floats) -> Floats:
    """Part of each voxel that either region fills."""
    return np.asarray(np.clip(first + second - shared_occupancy(first, second), 0, 1), np.float32)


def without(first: Floats, second: Floats) -> Floats:
    """Part of each voxel that the first region fills and the second does not."""
    return np.asarray(np.clip(first - shared_occupancy(first, second), 0, 1), np.float32)


def _cosine(first: Floats, second: Floats, box: tuple[slice, ...]) -> Floats:
    """Cosine of the angle between the surfaces of two regions, by the slopes of their occupancies, in a box."""
    slopes = []
    for values in (first, second):
        near = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in box)
        before = [s.start - n.start for s, n in zip(box, near, strict=True)]
        padded = np.pad(values[near], [(1 - b, 2 - b) for b in before])
        cut = padded[tuple(slice(0, s.stop - s.start + 2) for s in box)]
        inner = (slice(1, -1),) * 3
        slopes.append(np.stack([np.gradient(cut, axis=axis)[inner] for axis in range(3)]))
    one, two = slopes
    length = np.sqrt((one**2).sum(axis=0) * (two**2).sum(axis=0))
    return np.asarray(np.divide((one * two).sum(axis=0), length, out=np.zeros_like(length), where=length > 0))
