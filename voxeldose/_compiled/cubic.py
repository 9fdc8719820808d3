"""Loop that adds cubic radial basis functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from voxeldose._compiled.arrays import Doubles

__all__ = ["add_cubes"]


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
