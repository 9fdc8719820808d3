"""Volumes and regions on another grid, without losing any.

A value is taken to fill its voxel evenly. What a voxel of the new grid gets is the mean over its own volume, so
concentrations keep their total and regions their volume. Where the axes of both grids are parallel the overlap of every
pair of voxels is exact; otherwise each new voxel is probed at a lattice of points and the total is then restored.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from voxeldose.errors import GeometryError
from voxeldose.roi import Roi
from voxeldose.volume import Volume

if TYPE_CHECKING:
    import numpy.typing as npt

    from voxeldose.grid import Grid

__all__ = ["onto", "roi_onto"]

V = TypeVar("V", bound=Volume)

#: Axes that drift less than this many voxels over a whole grid count as parallel.
_PARALLEL_VOXELS = 0.01
#: Points along each axis of a new voxel when the grids are not parallel; more where the old voxels are smaller.
_PROBES = (3, 16)
#: At most this many points are probed at once (about 100 MB).
_POINTS_AT_ONCE = 4_000_000


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
        values = values * (grid.voxel_volume_ml / volume.grid.voxel_volume_ml)
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
    low = np.floor(index.min(axis=0) + 0.5 - 1e-6).astype(int)
    high = np.ceil(index.max(axis=0) - 0.5 + 1e-6).astype(int) + 1
    lattice = grid.window(low.tolist(), (high - low).tolist())
    mean, middle = _mean_and_middle(roi.occupancy, roi.grid, lattice)
    occupancy = _restore_total(mean, roi.volume_ml / lattice.voxel_volume_ml)
    start, stop = np.maximum(low, 0), np.minimum(high, grid.shape)
    part = grid.window(start.tolist(), np.maximum(stop - start, 1).tolist())
    inside = lattice.cut(occupancy.astype(np.float32), part)
    if (start >= stop).any() or not (inside > 0).any():
        msg = (
            f"ROI {roi.name!r} does not overlap the image: it spans {_span(roi.grid)} and the image {_span(grid)} "
            "(x, y, z in LPS mm). Give ROIs of the same study, or register the images first."
        )
        raise GeometryError(msg)
    offset = np.stack([lattice.cut(m.astype(np.float32), part) for m in middle])
    moved = Roi(roi.name, roi.role, np.minimum(inside, 1), part, roi.notes, offset)
    return moved, max(0.0, 1 - moved.volume_ml / roi.volume_ml)


def _span(grid: Grid) -> str:
    low, high = grid.corners().min(axis=0), grid.corners().max(axis=0)
    return " x ".join(f"{a:.0f}..{b:.0f}" for a, b in zip(low, high, strict=True))


def _restore_total(occupancy: npt.NDArray[np.float64], wanted: float) -> npt.NDArray[np.float64]:
    """Give a probed region back its volume by moving only partly filled voxels, which stay between 0 and 1.

    ``w + a w (1 - w)`` keeps 0 and 1 and the interval for ``|a| <= 1``.
    """
    room = float((occupancy * (1 - occupancy)).sum())
    missing = wanted - float(occupancy.sum())
    if room <= 0 or abs(missing) <= 1e-9 * wanted:
        return occupancy
    share = np.clip(missing / room, -1, 1)
    return np.asarray(occupancy + share * occupancy * (1 - occupancy))


def _mean_over_voxels(values: npt.NDArray[np.float32], old: Grid, new: Grid) -> npt.NDArray[np.float64]:
    """Mean of ``values``, even in each old voxel and zero outside, over every voxel of ``new``."""
    matrix, offset = new.to_index_of(old)
    if _are_parallel(matrix, new):
        return _apply([_overlaps(new, old, matrix, offset, axis) for axis in range(3)], values)
    return _probed(values, matrix, offset, new.shape)[0]


def _mean_and_middle(
    values: npt.NDArray[np.float32], old: Grid, new: Grid
) -> tuple[npt.NDArray[np.float64], list[npt.NDArray[np.float64]]]:
    """As :func:`_mean_over_voxels`, and where in each new voxel the mean comes from, in voxels from its centre."""
    matrix, offset = new.to_index_of(old)
    if _are_parallel(matrix, new):
        weights = [_overlaps(new, old, matrix, offset, axis) for axis in range(3)]
        mean = _apply(weights, values)
        moments = []
        for axis in range(3):
            along = list(weights)
            along[axis] = weights[axis] * _middles(new, old, matrix, offset, axis)
            moments.append(_apply(along, values))
    else:
        mean, *moments = _probed(values, matrix, offset, new.shape, moments=True)
    filled = mean > 1e-9
    return mean, [np.where(filled, m / np.where(filled, mean, 1), 0) for m in moments]


def _are_parallel(matrix: npt.NDArray[np.float64], new: Grid) -> bool:
    drift = np.abs(matrix - np.diag(np.diag(matrix))) @ np.array(new.shape)
    return bool(drift.max() < _PARALLEL_VOXELS and (np.diag(matrix) > 0).all())


def _apply(weights: list[npt.NDArray[np.float64]], values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Weigh old voxels along each axis in turn."""
    result = values.astype(np.float64)
    for axis in range(3):
        result = np.moveaxis(np.tensordot(weights[axis], result, axes=(1, axis)), 0, axis)
    return result


def _edges(
    new: Grid, old: Grid, matrix: npt.NDArray[np.float64], offset: npt.NDArray[np.float64], axis: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64], float]:
    """Ends of the overlap of every new with every old voxel along an axis, (new, old), new centres, and the scale."""
    scale = float(matrix[axis, axis])
    centre = (np.arange(new.shape[axis]) * scale + offset[axis])[:, None]
    cells = np.arange(old.shape[axis])
    low, high = np.maximum(centre - scale / 2, cells - 0.5), np.minimum(centre + scale / 2, cells + 0.5)
    return low, high, centre, scale


def _overlaps(
    new: Grid, old: Grid, matrix: npt.NDArray[np.float64], offset: npt.NDArray[np.float64], axis: int
) -> npt.NDArray[np.float64]:
    """Fraction of each new voxel's length that lies in each old voxel, (new, old)."""
    low, high, _, scale = _edges(new, old, matrix, offset, axis)
    return np.asarray(np.clip(high - low, 0, None) / scale)


def _middles(
    new: Grid, old: Grid, matrix: npt.NDArray[np.float64], offset: npt.NDArray[np.float64], axis: int
) -> npt.NDArray[np.float64]:
    """Middle of each overlap in new voxels from the new voxel's centre, (new, old)."""
    low, high, centre, scale = _edges(new, old, matrix, offset, axis)
    return np.asarray(((low + high) / 2 - centre) / scale)


def _probed(
    values: npt.NDArray[np.float32],
    matrix: npt.NDArray[np.float64],
    offset: npt.NDArray[np.float64],
    shape: tuple[int, int, int],
    *,
    moments: bool = False,
) -> list[npt.NDArray[np.float64]]:
    """Mean of the nearest old voxel's value at a lattice of points in every new voxel, and its moments if asked."""
    from scipy.ndimage import affine_transform

    padded = np.pad(values, 1)  # so that points beyond the edge find zero
    size = np.linalg.norm(matrix, axis=0)  # of a new voxel along each axis, in old voxels
    probes = [int(np.clip(np.ceil(1.5 * s), *_PROBES)) for s in size]
    results = [np.zeros(shape) for _ in range(4 if moments else 1)]
    rows = max(1, _POINTS_AT_ONCE // (shape[1] * shape[2]))
    for start in range(0, shape[0], rows):
        stop = min(shape[0], start + rows)
        part = (stop - start, shape[1], shape[2])
        for probe in itertools.product(*(range(n) for n in probes)):
            inside = np.array([(p + 0.5) / n - 0.5 for p, n in zip(probe, probes, strict=True)])
            origin = matrix @ (inside + np.array([start, 0, 0])) + offset + 1
            found = affine_transform(
                padded, matrix, origin, output_shape=part, order=0, mode="constant", output=np.float32
            )
            results[0][start:stop] += found
            for result, place in zip(results[1:], inside, strict=False):
                result[start:stop] += found * place
    return [result / np.prod(probes) for result in results]
