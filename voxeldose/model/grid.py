"""Where voxels lie: the only code that knows.

World is the DICOM patient system (LPS, millimetres, points ``(x, y, z)``). Arrays have axes ``(k, j, i)`` = slice, row,
column, and an integer index is a voxel's *centre*; its edges lie at ±0.5. Tuples with one entry per axis are in array
order, so ``spacing_mm[0]`` belongs to ``k``.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from voxeldose.errors import GeometryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.model.arrays import Doubles, Floats, Integers, Mask

__all__ = ["Grid", "bounding_box", "lps_grid", "towards_lps", "voxels_met", "window_around"]

#: Lattices of set operations and margins are made coarser beyond this many voxels.
MOST_VOXELS = 40_000_000


#: Two positions closer than this are the same place.
SAME_PLACE_MM = 1e-3
#: A voxel whose edge comes within this part of a voxel of a box's edge is only touched by the box, not met.
TOUCHED_VOXELS = 1e-6
#: Axes whose unit vectors have a dot product below this are taken as perpendicular (0.06 degrees).
PERPENDICULAR = 1e-3


@dataclass(frozen=True, eq=False, repr=False)
class Grid:
    """A lattice of voxels in the patient.

    Parameters
    ----------
    shape : tuple of int
        Number of voxels ``(nk, nj, ni)``.
    affine_lps_mm : array_like, (4, 4)
        ``affine @ (k, j, i, 1) = (x, y, z, 1)`` in LPS millimetres.
    frame_uid : str, optional
        DICOM Frame of Reference UID; ``None`` for formats that have none.

    Raises
    ------
    GeometryError
        If an axis is empty or the affine does not span space.
    """

    shape: tuple[int, int, int]
    affine_lps_mm: Doubles
    frame_uid: str | None = None

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.shape)
        if len(shape) != 3 or min(shape) < 1:
            msg = f"A grid needs three axes of at least one voxel, found shape {shape}."
            raise GeometryError(msg, code="grid-impossible", found=shape)
        affine = np.array(self.affine_lps_mm, np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or not np.allclose(affine[3], (0, 0, 0, 1)):
            msg = f"A grid's affine must be 4 x 4, finite, with last row 0 0 0 1; found {affine.tolist()}."
            raise GeometryError(msg, code="grid-impossible")
        lengths = np.linalg.norm(affine[:3, :3], axis=0)
        if lengths.min() <= 0 or abs(np.linalg.det(affine[:3, :3] / lengths)) < 1e-3:
            msg = f"A grid's axes must span space; found the affine {affine.tolist()}."
            raise GeometryError(msg, code="grid-impossible")
        affine.setflags(write=False)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "affine_lps_mm", affine)

    def __repr__(self) -> str:
        from voxeldose.model.display import grid_summary

        return f"Grid({grid_summary(self)})"

    def _repr_html_(self) -> str:
        """A table and the box of the grid, for notebooks."""
        from voxeldose.model.display import html_of_grid

        return html_of_grid(self)

    @classmethod
    def from_axes(
        cls,
        shape: Sequence[int],
        spacing_mm: Sequence[float],
        origin_lps_mm: Sequence[float],
        *,
        directions: npt.ArrayLike | None = None,
        frame_uid: str | None = None,
    ) -> Grid:
        """Build a grid from spacings, the centre of voxel (0, 0, 0) and unit vectors.

        Parameters
        ----------
        shape, spacing_mm
            In array order ``(k, j, i)``.
        origin_lps_mm
            ``(x, y, z)`` of the first voxel's centre.
        directions : array_like, (3, 3), optional
            Columns are the unit vectors of k, j and i in LPS. Without them the grid is axial:
            k to the head, j to the back, i to the left.
        frame_uid : str, optional
            DICOM Frame of Reference UID.
        """
        axes = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], float).T if directions is None else np.array(directions)
        affine = np.eye(4)
        affine[:3, :3] = axes * np.asarray(spacing_mm, float)
        affine[:3, 3] = origin_lps_mm
        return cls((int(shape[0]), int(shape[1]), int(shape[2])), affine, frame_uid)

    @cached_property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between voxel centres along ``(k, j, i)``."""
        k, j, i = np.linalg.norm(self.affine_lps_mm[:3, :3], axis=0)
        return float(k), float(j), float(i)

    @cached_property
    def directions(self) -> Doubles:
        """Unit vectors of k, j and i in LPS, as columns."""
        return np.asarray(self.affine_lps_mm[:3, :3] / np.array(self.spacing_mm))

    @cached_property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel; right for sheared grids too."""
        return float(abs(np.linalg.det(self.affine_lps_mm[:3, :3]))) / 1000.0

    @cached_property
    def is_right_angled(self) -> bool:
        """Whether the three axes are perpendicular, as a voxel kernel needs."""
        products = self.directions.T @ self.directions - np.eye(3)
        return bool(np.abs(products).max() < PERPENDICULAR)

    def points_lps_mm(self, index: npt.ArrayLike) -> Doubles:
        """Points ``(…, 3)`` in LPS millimetres of voxel indices ``(…, 3)`` given as ``(k, j, i)``."""
        inside = np.asarray(index, np.float64)
        return np.asarray(inside @ self.affine_lps_mm[:3, :3].T + self.affine_lps_mm[:3, 3])

    def indices(self, points_lps_mm: npt.ArrayLike) -> Doubles:
        """Fractional indices ``(…, 3)`` as ``(k, j, i)`` of points ``(…, 3)`` given as ``(x, y, z)``."""
        points = np.asarray(points_lps_mm, np.float64)
        inverse = np.linalg.inv(self.affine_lps_mm[:3, :3])
        return np.asarray((points - self.affine_lps_mm[:3, 3]) @ inverse.T)

    def corners(self) -> Doubles:
        """The eight outer corners (8, 3) of the grid in LPS millimetres, voxel edges included."""
        ends = [(-0.5, n - 0.5) for n in self.shape]
        return self.points_lps_mm(np.array(list(itertools.product(*ends))))

    def to_index_of(self, other: Grid) -> tuple[Doubles, Doubles]:
        """Matrix ``m`` (3, 3) and offset ``b`` (3,) with ``index_in_other = m @ index_here + b``."""
        inverse = np.linalg.inv(other.affine_lps_mm[:3, :3])
        matrix = inverse @ self.affine_lps_mm[:3, :3]
        offset = inverse @ (self.affine_lps_mm[:3, 3] - other.affine_lps_mm[:3, 3])
        return matrix, offset

    def matches(self, other: Grid) -> bool:
        """Whether both grids have the same voxels: shape, place within 0.001 mm, and no conflict of frames.

        A grid without a frame UID (NIfTI, NRRD) is compared by place alone.
        """
        return self.may_share_frame(other) and self.coincides(other)

    def coincides(self, other: Grid) -> bool:
        """Whether both grids have the same shape and place in numbers, whatever their frames of reference."""
        return self.shape == other.shape and bool(np.abs(self.corners() - other.corners()).max() < SAME_PLACE_MM)

    def may_share_frame(self, other: Grid) -> bool:
        """False only where both frames of reference are known and differ."""
        return self.frame_uid is None or other.frame_uid is None or self.frame_uid == other.frame_uid

    def require_same_frame(self, other: Grid, what: str) -> None:
        """Refuse grids known to lie in different frames of reference; ``what`` names the two in the message."""
        if not self.may_share_frame(other):
            msg = (
                f"{what}: the frames of reference differ ({self.frame_uid} and {other.frame_uid}), so positions in one "
                "say nothing about the other. Register them: give [registration] path (DICOM REG, .tfm or .h5), let a transform "
                'be found by [registration] method = "rigid", or give images and ROIs of the same study.'
            )
            raise GeometryError(msg, code="frame-differs", found=self.frame_uid, needed=other.frame_uid)

    def moved(self, matrix_lps_mm: npt.ArrayLike, frame_uid: str | None) -> Grid:
        """The same voxels after a rigid motion into another frame of reference; nothing is interpolated.

        ``matrix_lps_mm`` (4, 4) takes points of this grid's frame to points of ``frame_uid``.
        """
        return Grid(self.shape, np.asarray(matrix_lps_mm, np.float64) @ self.affine_lps_mm, frame_uid)

    def window(self, start: Sequence[int], shape: Sequence[int]) -> Grid:
        """Part of the same lattice that begins at voxel ``start`` (may be negative) and has ``shape`` voxels."""
        affine = self.affine_lps_mm.copy()
        affine[:3, 3] = self.points_lps_mm(np.asarray(start, float))
        return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine, self.frame_uid)

    def first_voxel_of(self, part: Grid) -> Integers:
        """Index here ``(k, j, i)`` of the first voxel of a grid on the same lattice; may lie outside."""
        return np.asarray(np.rint(self.indices(part.points_lps_mm((0, 0, 0)))), np.int64)

    def slices_of(self, part: Grid) -> tuple[slice, slice, slice]:
        """Slices that cut ``part`` out of an array on this grid.

        Raises
        ------
        GeometryError
            If ``part`` is not a window of this lattice that lies wholly inside.
        """
        first = self.first_voxel_of(part)
        if (
            not self.window(first.tolist(), part.shape).matches(part)
            or (first < 0).any()
            or (first + part.shape > self.shape).any()
        ):
            msg = f"A grid of shape {part.shape} is not a window of the grid of shape {self.shape}."
            raise GeometryError(msg, code="grid-differs", found=part.shape, needed=self.shape)
        k, j, i = (slice(int(a), int(a) + n) for a, n in zip(first, part.shape, strict=True))
        return k, j, i

    def cut(self, values: Floats, part: Grid) -> Floats:
        """The voxels of ``part``, a window of this lattice, out of an array on this grid; zero where there is none."""
        first = self.first_voxel_of(part).tolist()
        whole = np.zeros(part.shape, np.float32)
        here, there = [], []
        for start, size, limit in zip(first, part.shape, self.shape, strict=True):
            low, high = max(0, start), min(limit, start + size)
            here.append(slice(low, max(low, high)))
            there.append(slice(low - start, max(low, high) - start))
        whole[tuple(there)] = values[tuple(here)]
        return whole

    def extended_to(self, points_lps_mm: npt.ArrayLike) -> Grid:
        """The same lattice, grown where needed so that every point lies inside a voxel."""
        first, last = voxels_met(self.indices(points_lps_mm))
        low, high = np.minimum(0, first), np.maximum(np.array(self.shape) - 1, last)
        return self.window(low.tolist(), (high - low + 1).tolist())

    def with_spacing(self, spacing_mm: float | Sequence[float]) -> Grid:
        """A grid over the same region with another spacing; the outer *corner* stays where it is."""
        wanted = np.broadcast_to(np.asarray(spacing_mm, float), (3,))
        if not np.isfinite(wanted).all() or (wanted <= 0).any():
            msg = f"A spacing must be positive, found {wanted.tolist()} mm."
            raise GeometryError(msg, code="spacing-impossible", found=tuple(wanted.tolist()))
        ratio = wanted / np.array(self.spacing_mm)
        shape = np.maximum(1, np.ceil(np.array(self.shape) / ratio - 1e-6)).astype(int)
        affine = np.eye(4)
        affine[:3, :3] = self.directions * wanted
        affine[:3, 3] = self.points_lps_mm(-0.5 + 0.5 * ratio)
        return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine, self.frame_uid)


def bounding_box(mask: Mask) -> tuple[slice, ...] | None:
    """The smallest slices, one per axis, that hold every true element; ``None`` if there is none."""
    box = []
    for axis in range(mask.ndim):
        filled = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        if filled.size == 0:
            return None
        box.append(slice(int(filled[0]), int(filled[-1]) + 1))
    return tuple(box)


def voxels_met(index: npt.ArrayLike, *, with_touched: bool = False) -> tuple[Integers, Integers]:
    """First and last voxel ``(k, j, i)`` of a lattice that a box shares volume with.

    Parameters
    ----------
    index : array_like, (…, 3)
        Fractional indices of points that span the box, such as its corners.
    with_touched : bool
        Whether voxels count that the box only touches, edge to edge. A region that is to be covered whole asks for them; a
        lattice that is to grow no further than it must does not.
    """
    points = np.asarray(index, np.float64).reshape(-1, 3)
    within = -TOUCHED_VOXELS if with_touched else TOUCHED_VOXELS
    first = np.floor(points.min(axis=0) + 0.5 + within)
    last = np.ceil(points.max(axis=0) - 0.5 - within)
    return first.astype(np.int64), last.astype(np.int64)


def towards_lps(values: npt.NDArray[Any], grid: Grid) -> tuple[npt.NDArray[Any], Grid]:
    """Flip and permute an array so that k points to the head, j to the back and i to the left, as nearly as it can.

    Nothing is interpolated: each voxel keeps its value and its place in the patient.

    Parameters
    ----------
    values : ndarray, grid.shape
        Any array on ``grid``.
    grid : Grid
        Where it lies, in any orientation.

    Returns
    -------
    values, grid
        The same voxels in LPS+ (k, j, i) order; ``values`` is C-contiguous.
    """
    order, flips = _lps_order(grid)
    turned = values.transpose(order)[tuple(slice(None, None, -1 if f else 1) for f in flips)]
    return np.ascontiguousarray(turned), lps_grid(grid)


def lps_grid(grid: Grid) -> Grid:
    """The same voxels in LPS+ (k, j, i) order, as :func:`towards_lps` lays them."""
    order, flips = _lps_order(grid)
    affine = grid.affine_lps_mm.copy()
    affine[:3, :3] = grid.affine_lps_mm[:3, list(order)]
    shape = [grid.shape[a] for a in order]
    for axis, flipped in enumerate(flips):
        if flipped:
            affine[:3, 3] += affine[:3, axis] * (shape[axis] - 1)
            affine[:3, axis] *= -1
    return Grid((shape[0], shape[1], shape[2]), affine, grid.frame_uid)


def _lps_order(grid: Grid) -> tuple[tuple[int, ...], list[bool]]:
    """Which axis of ``grid`` becomes k, j and i, and which of these then run the other way."""
    wanted = (2, 1, 0)  # k along z, j along y, i along x
    cosines = grid.directions
    order = max(
        itertools.permutations(range(3)), key=lambda p: sum(abs(cosines[w, a]) for w, a in zip(wanted, p, strict=True))
    )
    return order, [bool(cosines[w, a] < 0) for w, a in zip(wanted, order, strict=True)]


def window_around(lattice: Grid, points_lps_mm: Doubles) -> Grid:
    """The part of a lattice that holds all points, coarser if it were too large."""
    low, high = voxels_met(lattice.indices(points_lps_mm))
    window = lattice.window(low.tolist(), np.maximum(high - low + 1, 1).tolist())
    excess = float(np.prod(np.array(window.shape, float))) / MOST_VOXELS
    return window if excess <= 1 else window.with_spacing([s * excess ** (1 / 3) for s in window.spacing_mm])
