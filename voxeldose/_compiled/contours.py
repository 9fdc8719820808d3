"""Polygons to the part of each pixel that they cover."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit, types

if TYPE_CHECKING:
    from voxeldose._compiled.arrays import Doubles

__all__ = ["fill"]


_edges = types.Array(types.float64, 2, "C", readonly=True)
_plane = types.Array(types.float64, 2, "C")


@njit(types.void(_edges, types.int64, _plane), cache=True, nogil=True)
def fill(edges: Doubles, rows_a_pixel: int, covered: Doubles) -> None:
    """Add to ``covered`` (nj, ni) the part of each pixel inside the polygons, by the even-odd rule over all edges.

    ``edges`` (n, 4) float64 holds x₀, y₀, x₁, y₁ in pixels (integer = pixel centre), every polygon closed. Coverage is
    exact along a row and taken at ``rows_a_pixel`` lines within each pixel.
    """
    nj, ni = covered.shape
    share = 1.0 / rows_a_pixel
    crossings = np.empty(edges.shape[0])
    for line in range(nj * rows_a_pixel):
        j = line // rows_a_pixel
        y = (line + 0.5) / rows_a_pixel - 0.5
        count = 0
        for n in range(edges.shape[0]):
            y0, y1 = edges[n, 1], edges[n, 3]
            if (y0 <= y) != (y1 <= y):
                crossings[count] = edges[n, 0] + (y - y0) / (y1 - y0) * (edges[n, 2] - edges[n, 0])
                count += 1
        found = np.sort(crossings[:count])
        for n in range(0, count - 1, 2):
            left = min(max(found[n] + 0.5, 0.0), float(ni))  # from here on a pixel spans one integer to the next
            right = min(max(found[n + 1] + 0.5, 0.0), float(ni))
            first, last = int(left), int(right)
            if first == last:
                if first < ni:
                    covered[j, first] += (right - left) * share
                continue
            covered[j, first] += (first + 1 - left) * share
            for i in range(first + 1, last):
                covered[j, i] += share
            if last < ni:
                covered[j, last] += (right - last) * share
