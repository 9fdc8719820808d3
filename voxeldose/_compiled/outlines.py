"""Loop that counts the parts of each voxel inside a moved outline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from voxeldose._compiled.arrays import Doubles, Floats, Integers

__all__ = ["fill_moved"]


@njit(nogil=True, cache=True)
def fill_moved(
    outside: Floats,
    cuts: Integers,
    shift: Doubles,
    level: float,
    width: float,
    result: Floats,
) -> None:
    """Write into ``result`` (nk, nj, ni) the fraction of each voxel where the shifted distance is below ``level``.

    ``outside`` holds the distance at every part, (nk·cuts[0], nj·cuts[1], ni·cuts[2]); ``shift`` is in parts. The edge of
    a part is ``width`` wide. Distances are linear between parts, and those of the box's edge go on beyond it.
    """
    nk, nj, ni = outside.shape
    ck, cj, ci = cuts[0], cuts[1], cuts[2]
    ok, oj, oi = int(np.floor(shift[0])), int(np.floor(shift[1])), int(np.floor(shift[2]))
    fk, fj, fi = np.float32(shift[0] - ok), np.float32(shift[1] - oj), np.float32(shift[2] - oi)
    far = np.float32(2.5 * width)  # one part along each axis and half an edge
    one, half, edge, at = np.float32(1), np.float32(0.5), np.float32(width), np.float32(level)
    share = one / np.float32(ck * cj * ci)
    result[:] = 0
    for a in range(nk):
        k1 = min(max(a - ok, 0), nk - 1)
        k0 = min(max(a - ok - 1, 0), nk - 1)
        for b in range(nj):
            j1 = min(max(b - oj, 0), nj - 1)
            j0 = min(max(b - oj - 1, 0), nj - 1)
            row = result[a // ck, b // cj]
            for c in range(ni):
                i1 = min(max(c - oi, 0), ni - 1)
                s = outside[k1, j1, i1] - at
                if s > far:
                    continue
                if s > -far:
                    i0 = min(max(c - oi - 1, 0), ni - 1)
                    s11 = outside[k1, j1, i1] * (one - fi) + outside[k1, j1, i0] * fi
                    s10 = outside[k1, j0, i1] * (one - fi) + outside[k1, j0, i0] * fi
                    s01 = outside[k0, j1, i1] * (one - fi) + outside[k0, j1, i0] * fi
                    s00 = outside[k0, j0, i1] * (one - fi) + outside[k0, j0, i0] * fi
                    s = (s11 * (one - fj) + s10 * fj) * (one - fk) + (s01 * (one - fj) + s00 * fj) * fk - at
                    part = half - s / edge
                    if part > 0:
                        row[c // ci] += min(part, one) * share
                else:
                    row[c // ci] += share
