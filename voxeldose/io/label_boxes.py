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

    highest = int(values.max(initial=0))
    if background == 0 and highest <= _HIGHEST:
        return {n: box for n, box in enumerate(find_objects(values, highest), 1) if box is not None} if highest else {}
    labels: Integers = np.where(values == background, 0, values.astype(np.int64) + 1)
    found, inverse = np.unique(labels, return_inverse=True)
    boxes = find_objects(inverse.reshape(labels.shape) + int(found[0] != 0))
    return {int(n) - 1: box for n, box in zip(found[found != 0], boxes, strict=True) if box is not None}
