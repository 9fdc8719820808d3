"""Where each label of an array of whole numbers lies, in one pass over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from voxeldose.model.arrays import Integers

__all__ = ["labelled_boxes"]

#: Beyond this label, labels are numbered anew: a place is kept for each number up to the highest.
_HIGHEST = 1 << 16


def labelled_boxes(values: npt.NDArray[Any], background: int = 0) -> dict[int, tuple[slice, ...]]:
    """The smallest box that holds each number of an array but the background.

    Parameters
    ----------
    values : ndarray
        Whole numbers, 0 or above, of any type.
    background : int
        The number that stands for no label.
    """
    from scipy.ndimage import find_objects

    if background == 0 and not values.any():
        return {}
    labels: Integers = values.astype(np.int64)
    if background != 0:
        labels = np.where(labels == background, 0, labels + 1)
    numbers = np.arange(1, int(labels.max(initial=0)) + 1) if labels.max(initial=0) <= _HIGHEST else None
    if numbers is None:
        found, inverse = np.unique(labels, return_inverse=True)
        labels, numbers = inverse.reshape(labels.shape) + int(found[0] != 0), found[found != 0]
    boxes = find_objects(labels)
    shift = int(background != 0)
    return {int(n) - shift: box for n, box in zip(numbers, boxes, strict=True) if box is not None}
