"""Regions as signed distances on the fine box, and the partition of space that they make.

Occupancy of a fine voxel is ``clip(1/2 - (d - growth)/h, 0, 1)``, with ``d`` the distance outside the outline and ``h`` the
voxel's mean side. A region can be shifted and grown without resampling occupancies, which would blur its edge.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from voxeldose.errors import GeometryError
from voxeldose.geometry.outline import Outline
from voxeldose.geometry.resample import roi_onto

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.model.arrays import Doubles, Floats
    from voxeldose.model.grid import Grid
    from voxeldose.model.roi import Roi

__all__ = ["AT_REST", "OUTSIDE", "Motion", "Partition", "Region", "distance_on", "windows_overlap"]

Window = tuple[slice, slice, slice]
Kind = Literal["lesion", "core", "tissue", "outside"]

#: Name of what belongs to no region.
OUTSIDE = "outside"
#: Distances are known this far around an outline; farther away a voxel is outside in any case.
REACH_MM = 12.0
#: Regions with more voxels of their own than this get their distances on the fine box.
MOST_OWN_VOXELS = 1_000_000


@dataclass(frozen=True)
class Motion:
    """How far a region has moved from where it was drawn.

    Parameters
    ----------
    shift_mm : tuple of float
        Along k, j and i.
    growth_mm : float
        Of the outline, outwards.
    """

    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    growth_mm: float = 0.0


AT_REST = Motion()


@dataclass(frozen=True, eq=False)
class Region:
    """One region on the fine box.

    Parameters
    ----------
    name : str
        The ROI's, or that of a part found inside it.
    kind : str
        ``lesion`` (may move), ``core`` (inside ``parent``, its boundary may grow), ``tissue``.
    window : tuple of slice
        The part of the fine box where its distance is known; outside it the region is not.
    distance_mm : ndarray, float32
        Distance outside the outline, negative inside, at the centres of the window's voxels.
    side_mm : float
        Mean side of a fine voxel.
    spacing_mm : tuple of float
        Of the fine box.
    parent : str
        The lesion that holds a core.
    """

    name: str
    kind: Kind
    window: Window
    distance_mm: Floats
    side_mm: float
    spacing_mm: tuple[float, float, float]
    parent: str = ""
    _kept: dict[tuple[float, float, float], Floats] = field(default_factory=dict, repr=False)

    @cached_property
    def spline(self) -> Floats:
        """Coefficients of a cubic spline through the distances."""
        from scipy.ndimage import spline_filter

        return np.asarray(spline_filter(self.distance_mm, 3, output=np.float32))

    def shifted(self, shift_mm: tuple[float, float, float]) -> Floats:
        """Distance on the window after a shift along (k, j, i)."""
        from scipy.ndimage import shift

        if shift_mm == (0.0, 0.0, 0.0):
            return self.distance_mm
        key = (round(shift_mm[0], 6), round(shift_mm[1], 6), round(shift_mm[2], 6))
        moved = self._kept.get(key)
        if moved is None:
            steps = [a / s for a, s in zip(shift_mm, self.spacing_mm, strict=True)]
            moved = np.asarray(shift(self.spline, steps, output=np.float32, order=3, mode="nearest", prefilter=False))
            if len(self._kept) > 16:
                self._kept.clear()
            self._kept[key] = moved
        return moved

    def occupancy(self, motion: Motion = AT_REST) -> Floats:
        """Fraction of each voxel of the window inside the moved outline."""
        apart = (self.shifted(motion.shift_mm) - np.float32(motion.growth_mm)) / np.float32(self.side_mm)
        return np.asarray(np.clip(np.float32(0.5) - apart, 0, 1), np.float32)

    def distance_at(self, index: Doubles) -> Floats:
        """Distance outside the drawn outline at fractional indices of the fine box, (3, n); large far away."""
        from scipy.ndimage import map_coordinates

        start = np.array([[s.start] for s in self.window])
        return np.asarray(
            map_coordinates(self.distance_mm, index - start, order=1, mode="constant", cval=REACH_MM, output=np.float32)
        )


@dataclass(frozen=True, eq=False)
class Partition:
    """Regions in the order in which they claim space: lesions, cores inside them, tissues, and the rest.

    Parameters
    ----------
    shape : tuple of int
        Of the fine box.
    regions : tuple of Region
        Lesions first, then tissues; cores anywhere.
    """

    shape: tuple[int, int, int]
    regions: tuple[Region, ...]

    @property
    def names(self) -> list[str]:
        """Of all regions and, at the end, of what is outside them."""
        return [r.name for r in self.regions] + [OUTSIDE]

    def with_cores(self, cores: Sequence[Region]) -> Partition:
        """The same regions and cold parts inside lesions."""
        return replace(self, regions=(*self.regions, *cores))

    def masks(self, motions: dict[str, Motion], window: Window | None = None) -> list[Floats]:
        """Occupancy of every region and of the outside on a window of the box; they add up to 1 in each voxel."""
        whole = window or (slice(0, self.shape[0]), slice(0, self.shape[1]), slice(0, self.shape[2]))
        size = tuple(s.stop - s.start for s in whole)
        left = np.ones(size, np.float32)
        found: dict[str, Floats] = {}
        for region in self.regions:
            here, there = windows_overlap(whole, region.window)
            found[region.name] = np.zeros(size, np.float32)
            if here is None or there is None:
                continue
            filled = region.occupancy(motions.get(region.name, AT_REST))[there]
            of = found[region.parent] if region.kind == "core" else left
            part = filled * of[here]
            of[here] -= part
            found[region.name][here] = part
        return [*found.values(), left]


def windows_overlap(first: Window, second: Window) -> tuple[Window, Window] | tuple[None, None]:
    """The common part of two windows, in the indices of each; ``None`` where there is none."""
    low = [max(a.start, b.start) for a, b in zip(first, second, strict=True)]
    high = [min(a.stop, b.stop) for a, b in zip(first, second, strict=True)]
    if any(a >= b for a, b in zip(low, high, strict=True)):
        return None, None
    of = [
        tuple(slice(a - w.start, b - w.start) for a, b, w in zip(low, high, window, strict=True))
        for window in (first, second)
    ]
    return (of[0][0], of[0][1], of[0][2]), (of[1][0], of[1][1], of[1][2])


def distance_on(roi: Roi, fine: Grid) -> tuple[Window, Floats] | None:
    """Distance of fine voxels from a region's outline, on the window of ``fine`` that lies near it.

    The outline is found on the region's own voxels, cut into parts, so that it keeps its volume and place whatever grid it was
    drawn on; large regions are first brought onto the fine box.

    Returns
    -------
    window, distance_mm
        ``None`` where the region does not reach the box.
    """
    from scipy.ndimage import affine_transform

    roi.grid.require_same_frame(fine, f"ROI {roi.name!r} and the image")
    if not roi.grid.is_right_angled:
        msg = f"ROI {roi.name!r} lies on a sheared grid, where distances are not known; resample it first."
        raise GeometryError(msg, code="grid-sheared", roi=roi.name)
    if roi.occupancy.size > MOST_OWN_VOXELS:
        roi = roi_onto(roi, fine)[0]
    margin = [int(np.ceil(REACH_MM / s)) for s in roi.grid.spacing_mm]
    wide = roi.grid.window([-m for m in margin], [n + 2 * m for n, m in zip(roi.grid.shape, margin, strict=True)])
    outline = Outline.of(roi.on_window(wide), roi.grid.spacing_mm)
    window = _window_near(wide, fine)
    if window is None:
        return None
    part = fine.window([s.start for s in window], [s.stop - s.start for s in window])
    matrix, offset = part.to_index_of(wide)
    cuts = np.array(outline.cuts)[:, None]
    distance = affine_transform(
        outline.outside_mm,
        matrix * cuts,
        (offset + 0.5) * cuts[:, 0] - 0.5,
        output_shape=part.shape,
        output=np.float32,
        order=1,
        mode="constant",
        cval=REACH_MM,
    )
    if roi_is_inside(roi, fine):
        side = float(np.prod(fine.spacing_mm)) ** (1 / 3)
        distance -= np.float32(_level_of_volume(distance, side, roi.volume_ml / fine.voxel_volume_ml))
    return window, np.minimum(distance, np.float32(REACH_MM))


def roi_is_inside(roi: Roi, fine: Grid) -> bool:
    """Whether the whole of a region lies inside the fine box."""
    index = fine.indices(roi.grid.corners())
    return bool((index.min(axis=0) >= -0.5).all() and (index.max(axis=0) <= np.array(fine.shape) - 0.5).all())


def _level_of_volume(distance: Floats, side_mm: float, voxels: float) -> float:
    """How far to move an outline so that its soft occupancy has a volume; flat faces along voxels leave that open."""
    deep = float((distance <= -side_mm * 2).sum())
    near = distance[np.abs(distance) < 2 * side_mm].astype(np.float64)
    low, high = -side_mm, side_mm
    for _ in range(20):
        middle = (low + high) / 2
        filled = deep + float(np.clip(0.5 - (near - middle) / side_mm, 0, 1).sum())
        low, high = (middle, high) if filled < voxels else (low, middle)
    return (low + high) / 2


def _window_near(grid: Grid, fine: Grid) -> Window | None:
    """The window of ``fine`` that holds another grid's corners."""
    index = fine.indices(grid.corners())
    low = np.clip(np.floor(index.min(axis=0)).astype(int), 0, fine.shape)
    high = np.clip(np.ceil(index.max(axis=0)).astype(int) + 1, 0, fine.shape)
    if (low >= high).any():
        return None
    k, j, i = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return k, j, i
