"""How many rays a source voxel takes: most where density changes and much is emitted, fewest where nothing changes.

Noise fills a PET, so nearly every voxel is a source. Errors of rays cancel between neighbours that send the same rays through
the same density, and show beside a border; there the rays go. Numbers of rays by measurement on noisy images
(benchmarks/bench_noisy.py).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.ndimage import maximum_filter, minimum_filter

from voxeldose.dose.engines.rays.table import rays_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voxeldose.model.arrays import Doubles, Integers, Mask, Reals

__all__ = ["CellClass", "by_strength", "classes_of"]

#: A voxel lies at an edge if density varies by this factor in the cube of so many voxels around it.
EDGE_CONTRAST, EDGE_VOXELS = 1.5, 5

#: Less dense than this is lung.
LUNG_BELOW_G_PER_ML = 0.5

#: A source is strong from this part of the activity of the voxel that an average decay comes from: normal liver is, up to a T/N
#: of 6 or so, noise outside the liver is not.
STRONG_FROM = 0.2

#: Below this many, sources in soft tissue take twice as many rays: few neighbours cancel each other's errors.
FEW_SOFT = 50_000

#: Fewer sources than this, of voxels without parts, need no classes: all but those of next to no activity (below this part of
#: the average decay's voxel; what that does to the dose is 0.1 % of what is there) take the usual number.
FEW, WEAK_BELOW, WEAK_RAYS = 30_000, 0.04, 256

_LEAST_DENSITY = 1e-3
_FEWEST_RAYS = 64


class CellClass(NamedTuple):
    """Sources that take the same rays.

    Parameters
    ----------
    name : str
        ``strong edge``, ``edge``, ``lung``, ``soft``; ``usual``, ``weak``.
    chosen : ndarray of bool, (n,)
        Which of the sources.
    rays : int, optional
        A power of two, from each part; by the part's size without it.
    in_parts : bool
        Whether rays start in, and see, each part of a voxel that has a density of its own.
    """

    name: str
    chosen: Mask
    rays: int | None
    in_parts: bool


def classes_of(
    at: Integers, strength: Doubles, density: Reals, voxel_mm: Doubles, parts: tuple[int, int, int]
) -> Iterator[CellClass]:
    """Sort sources by what lies around them and how much they emit.

    Parameters
    ----------
    at : ndarray of int, (n, 3)
        Voxel of each source.
    strength : ndarray, (n,)
        What each emits, as part of what the voxel emits that an average decay comes from.
    density : ndarray, (nk, nj, ni)
        Of whole voxels, g/mL.
    voxel_mm : ndarray, (3,)
        Voxel size.
    parts : tuple of int
        Into how many parts the finest density divides a voxel along each axis.

    Yields
    ------
    CellClass
        None without a source; each source is in one.
    """
    of_voxel = density[tuple(at.T)]
    is_edge = _contrast(density)[tuple(at.T)] >= EDGE_CONTRAST
    is_strong = np.abs(strength) >= STRONG_FROM
    is_lung = of_voxel < LUNG_BELOW_G_PER_ML
    usual, count = rays_for(voxel_mm), math.prod(parts)
    if count == 1 and strength.size < FEW:
        yield from by_strength(strength, usual)
        return
    soft = ~is_edge & ~is_lung
    rows = (
        CellClass(
            "strong edge", is_edge & is_strong, max(_FEWEST_RAYS, _power_of_two(2 * usual / count)), in_parts=True
        ),
        CellClass("edge", is_edge & ~is_strong, usual // 2, in_parts=False),
        CellClass("lung", ~is_edge & is_lung, usual // 2, in_parts=False),
        CellClass("soft", soft, usual // (2 if np.count_nonzero(soft) < FEW_SOFT else 4), in_parts=False),
    )
    for row in rows:
        if row.chosen.any():
            yield row


def by_strength(strength: Doubles, rays: int | None) -> Iterator[CellClass]:
    """All sources alike but for those of next to no activity; ``rays`` and ``strength`` as in :class:`CellClass` and :func:`classes_of`."""
    is_weak = np.abs(strength) < WEAK_BELOW
    rows = CellClass("usual", ~is_weak, rays, in_parts=True), CellClass("weak", is_weak, WEAK_RAYS, in_parts=False)
    yield from (row for row in rows if row.chosen.any())


def _contrast(density: Reals) -> Reals:
    """Highest over lowest density in the cube around each voxel."""
    highest, lowest = maximum_filter(density, EDGE_VOXELS), minimum_filter(density, EDGE_VOXELS)
    return np.asarray(highest / np.maximum(lowest, _LEAST_DENSITY))


def _power_of_two(number: float) -> int:
    return 1 << max(0, math.floor(math.log2(number)))
