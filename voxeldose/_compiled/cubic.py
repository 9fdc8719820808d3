"""Loop that adds cubic radial basis functions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["add_cubes"]

Doubles = npt.NDArray[np.float64]


@njit(nogil=True, cache=True)
def add_cubes(points: Doubles, nodes: Doubles, weights: Doubles, result: Doubles) -> None:
    """Add to ``result`` (k,) at ``points`` (k, p) the cubed distance to each of ``nodes`` (n, p) times its weight (n,)."""
    for i in range(points.shape[0]):
        total = 0.0
        for n in range(nodes.shape[0]):
            square = 0.0
            for c in range(points.shape[1]):
                square += (points[i, c] - nodes[n, c]) ** 2
            total += weights[n] * square * np.sqrt(square)
        result[i] += total
