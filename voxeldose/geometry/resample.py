"""Volumes and regions on another grid, without losing any.

A value is taken to fill its voxel evenly. What a voxel of the new grid gets is the mean over its own volume, so
concentrations keep their total and regions their volume. The volume that every new voxel shares with every old one is
exact, whatever the directions of the two grids: along each axis in turn where the axes are parallel, else by the
divergence theorem over the new voxel's faces.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from voxeldose.errors import GeometryError
from voxeldose.model.grid import voxels_met
from voxeldose.model.volume import DoseMap, Volume

if TYPE_CHECKING:
    from voxeldose.model.arrays import Doubles, Floats
    from voxeldose.model.grid import Grid
    from voxeldose.model.roi import Roi

__all__ = ["are_one_lattice", "moved_onto", "occupancy_onto", "onto", "roi_onto"]

V = TypeVar("V", bound=Volume)

#: Axes that drift less than this many voxels over a whole grid count as parallel.
_PARALLEL_VOXELS = 1e-3
#: Two lattices whose voxels differ by less than this part of a voxel are one.
_SAME_VOXELS = 1e-4
#: In a voxel with less than this of a region, its centroid is too uncertain to use.
_EMPTY = 1e-9


def onto(volume: V, grid: Grid) -> V:
    """The same quantity on another grid: the mean over each new voxel, zero where the old grid does not reach.

    Parameters
    ----------
    volume : Volume
        Intensive (Bq/mL, g/mL, HU, Gy) or extensive (counts, decays).
    grid : Grid
        The new grid, in the same frame of reference.

    Returns
    -------
    Volume
        Of the same kind. The total (times the voxel volume if intensive) is kept for what lies inside ``grid``.

    Raises
    ------
    GeometryError
        If the frames of reference are known to differ.
    """
    volume.grid.require_same_frame(grid, f"Resampling the {volume.quantity} image")
    if volume.grid.matches(grid):
        return volume.replaced(volume.values, grid)
    values = _mean_over_voxels(volume.values, volume.grid, grid)
    if volume.is_extensive:
        values *= grid.voxel_volume_ml / volume.grid.voxel_volume_ml
    values.setflags(write=False)  # so that it is kept and not copied: on the grid of a CT it is large
    return volume.replaced(values, grid)


def roi_onto(roi: Roi, grid: Grid) -> tuple[Roi, float]:
    """A region on another grid, with its volume kept.

    Parameters
    ----------
    roi : Roi
        On any grid in the same frame of reference.
    grid : Grid
        The new grid.

    Returns
    -------
    roi, outside_fraction
        The part inside ``grid``, on a window of its lattice, and the fraction of the volume that lies outside.

    Raises
    ------
    GeometryError
        If the frames of reference differ, or no part of the region lies inside ``grid``.
    """
    roi.grid.require_same_frame(grid, f"ROI {roi.name!r} and the image")
    index = grid.indices(roi.grid.corners())
    first, last = voxels_met(index, with_touched=True)
    start, stop = np.maximum(first, 0), np.minimum(last + 1, grid.shape)
    part = grid.window(start.tolist(), np.maximum(stop - start, 1).tolist())
    offset: Floats | None
    if (start >= stop).any():
        inside, offset = np.zeros(part.shape, np.float32), None
    elif are_one_lattice(roi.grid, part):
        inside, offset = roi.on_window(part), roi.offset
        if offset is not None:
            offset = np.stack([roi.grid.cut(along, part) for along in offset])
    else:
        inside, offset = _mean_and_middle(roi.occupancy, roi.grid, part)
    if not (inside > 0).any():
        msg = (
            f"ROI {roi.name!r} does not overlap the image: it spans {_span(roi.grid)} and the image {_span(grid)} "
            "(x, y, z in LPS mm). Give ROIs of the same study, or register the images ([registration] in the case file)."
        )
        raise GeometryError(msg, code="no-overlap", roi=roi.name)
    moved = replace(roi, occupancy=np.clip(inside, 0, 1), grid=part, offset=offset)
    return moved, max(0.0, 1 - moved.volume_ml / roi.volume_ml)


def occupancy_onto(roi: Roi, grid: Grid) -> Floats:
    """Part of every voxel of ``grid`` that belongs to a region, (nk, nj, ni); 0 where it does not reach.

    Raises
    ------
    GeometryError
        If the frames of reference differ.
    """
    roi.grid.require_same_frame(grid, f"ROI {roi.name!r} and the grid")
    if are_one_lattice(roi.grid, grid):
        return roi.on_window(grid)
    return np.clip(_mean_over_voxels(roi.occupancy, roi.grid, grid), 0, 1)


def are_one_lattice(old: Grid, new: Grid) -> bool:
    """Whether both grids are windows of one lattice, so that voxels can be copied."""
    matrix, offset = new.to_index_of(old)
    apart = (matrix - np.eye(3)) @ np.array(new.shape), offset - np.rint(offset)
    return max(float(np.abs(a).max()) for a in apart) < _SAME_VOXELS


def _span(grid: Grid) -> str:
    low, high = grid.corners().min(axis=0), grid.corners().max(axis=0)
    return " x ".join(f"{a:.0f}..{b:.0f}" for a, b in zip(low, high, strict=True))


def _mean_over_voxels(values: Floats, old: Grid, new: Grid) -> Floats:
    """Mean of ``values``, even in each old voxel and zero outside, over every voxel of ``new``."""
    matrix, offset = new.to_index_of(old)
    if _are_parallel(matrix, new):
        k, j, i = (_overlaps(new, old, matrix, offset, axis) for axis in range(3))
        return _along_ji(j, i, _along_k(k, values))
    return _exact(values, matrix, offset, new.shape)[0].astype(np.float32)


def _mean_and_middle(values: Floats, old: Grid, new: Grid) -> tuple[Floats, Floats]:
    """As :func:`_mean_over_voxels`, and where in each new voxel the mean comes from, in voxels from its centre."""
    matrix, offset = new.to_index_of(old)
    if _are_parallel(matrix, new):
        weights = [_overlaps(new, old, matrix, offset, axis) for axis in range(3)]
        lever = [weights[axis] * _middles(new, old, matrix, offset, axis) for axis in range(3)]
        k, j, i = weights
        along_k = _along_k(k, values)
        mean = _along_ji(j, i, along_k)
        moments = np.stack(
            [
                _along_ji(j, i, _along_k(lever[0], values)),
                _along_ji(lever[1], i, along_k),
                _along_ji(j, lever[2], along_k),
            ]
        )
    else:
        exact, first = _exact(values, matrix, offset, new.shape)
        mean, moments = exact.astype(np.float32), first.astype(np.float32)
    filled = mean > _EMPTY
    for moment in moments:
        np.divide(moment, mean, out=moment, where=filled)
        moment[~filled] = 0
    return mean, moments


def _exact(
    values: Floats,
    matrix: Doubles,
    offset: Doubles,
    shape: tuple[int, int, int],
) -> tuple[Doubles, Doubles]:
    """Mean over every new voxel, and its first moments along k, j and i, for grids in any directions."""
    from voxeldose._compiled.overlap import gather

    mean, moments = np.zeros(shape), np.zeros((3, *shape))
    gather(np.ascontiguousarray(values, np.float32), np.ascontiguousarray(matrix), offset, mean, moments)
    return mean, moments


def _are_parallel(matrix: Doubles, new: Grid) -> bool:
    drift = np.abs(matrix - np.diag(np.diag(matrix))) @ np.array(new.shape)
    return bool(drift.max() < _PARALLEL_VOXELS and (np.diag(matrix) > 0).all())


def _along_k(weights: Doubles, values: Floats) -> Doubles:
    """Weighted sum of source slices, in float64; a new slice touches few of them."""
    from scipy.sparse import csr_array

    k = csr_array(weights)
    result = np.empty((k.shape[0], *values.shape[1:]), np.float64)
    for row in range(values.shape[1]):  # a row at a time: a whole CT in float64 is large
        result[:, row] = k @ values[:, row].astype(np.float64)
    return result


def _along_ji(rows: Doubles, columns: Doubles, values: Doubles) -> Floats:
    """Weighted sum of source rows, then of source columns, of every slice, in float64."""
    from scipy.sparse import csr_array

    j, i = csr_array(rows), csr_array(columns)
    result = np.empty((values.shape[0], j.shape[0], i.shape[0]), np.float32)
    for n, part in enumerate(values):
        result[n] = (i @ (j @ part).T).T
    return result


def _edges(
    new: Grid, old: Grid, matrix: Doubles, offset: Doubles, axis: int
) -> tuple[Doubles, Doubles, Doubles, float]:
    """Ends of the overlap of every new with every old voxel along an axis, (new, old), new centres, and the scale."""
    scale = float(matrix[axis, axis])
    centre = (np.arange(new.shape[axis]) * scale + offset[axis])[:, None]
    cells = np.arange(old.shape[axis])
    low, high = np.maximum(centre - scale / 2, cells - 0.5), np.minimum(centre + scale / 2, cells + 0.5)
    return low, high, centre, scale


def _overlaps(new: Grid, old: Grid, matrix: Doubles, offset: Doubles, axis: int) -> Doubles:
    """Fraction of each new voxel's length that lies in each old voxel, (new, old)."""
    low, high, _, scale = _edges(new, old, matrix, offset, axis)
    return np.asarray(np.clip(high - low, 0, None) / scale)


def _middles(new: Grid, old: Grid, matrix: Doubles, offset: Doubles, axis: int) -> Doubles:
    """Middle of each overlap in new voxels from the new voxel's centre, (new, old)."""
    low, high, centre, scale = _edges(new, old, matrix, offset, axis)
    return np.asarray(((low + high) / 2 - centre) / scale)


def moved_onto(dose: DoseMap, grid: Grid, matrix_lps_mm: Doubles | None = None) -> DoseMap:
    """A dose map at the voxel centres of another grid, cubic between its own; NaN where it does not reach.

    What the splines overshoot beyond the map's lowest and highest dose is cut off.

    Parameters
    ----------
    dose : DoseMap
        On its own grid.
    grid : Grid
        Where it is wanted. Frames of reference are not looked at: see :func:`registration_of`.
    matrix_lps_mm : ndarray, (4, 4), optional
        Takes points of the dose's frame to points of the grid's frame.
    """
    from scipy.ndimage import map_coordinates

    if matrix_lps_mm is None and dose.grid.coincides(grid):
        return dose.replaced(dose.gy, grid)
    points = grid.points_lps_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    if matrix_lps_mm is not None:
        back = np.linalg.inv(matrix_lps_mm)
        points = points @ back[:3, :3].T + back[:3, 3]
    index = dose.grid.indices(points)
    inside = ((index >= -0.5) & (index <= np.array(dose.grid.shape) - 0.5)).all(axis=-1)
    gy = map_coordinates(dose.gy, np.moveaxis(index, -1, 0), order=3, mode="nearest", output=np.float32)
    gy = np.clip(gy, dose.gy.min(), dose.gy.max())
    return dose.replaced(np.where(inside, gy, np.float32("nan")), grid)
