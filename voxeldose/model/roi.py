"""Regions of interest as fractional occupancy of voxels.

A label map is the case 0/1. Regions may overlap; each lies on its own grid, cropped to where it is not zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from voxeldose.errors import GeometryError, QuantityError
from voxeldose.model.roles import ROLES, RoiCode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from voxeldose.model.grid import Grid

    FloatArray = npt.NDArray[np.float32]

__all__ = ["Roi", "RoiSet"]


#: Vertices of a contour may leave its plane by this; contours nearer than SAME_PLANE_MM lie in one plane.
PLANAR_MM = 0.2
SAME_PLANE_MM = 0.1
#: Pixel of rasterised contours: a 256th of the region's width within these limits; lines probed in each.
PIXEL_MM = (0.2, 1.0)
LINES_A_PIXEL = 8


@dataclass(frozen=True, eq=False)
class Roi:
    """A named region.

    Parameters
    ----------
    name : str
        The user's name for it, unique in a set.
    role : str
        One of :data:`ROLES`.
    occupancy : array_like, grid.shape
        Fraction of each voxel that belongs to the region, 0 to 1; cropped to the box where it is not zero.
    grid : Grid
        Where it lies; need not be the grid of any image.
    notes : tuple of str
        What was assumed to make it.
    offset : array_like, (3, *grid.shape), optional
        Where the occupied part of each voxel lies: its middle along k, j and i in voxels from the voxel's centre. Without
        it the middle is the centre.
    source_name : str
        The region's name in its file, if it has one.
    codes : tuple of RoiCode
        What the file says it is.

    Raises
    ------
    QuantityError
        For an unknown role, an occupancy outside 0–1, or an empty region.
    """

    name: str
    role: str
    occupancy: FloatArray
    grid: Grid
    notes: tuple[str, ...] = ()
    offset: FloatArray | None = None
    source_name: str = field(default="", kw_only=True)
    codes: tuple[RoiCode, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            msg = f"ROI {self.name!r} has the unknown role {self.role!r}; roles are {', '.join(ROLES)}."
            raise QuantityError(msg)
        occupancy = np.asarray(self.occupancy)
        if occupancy.shape != self.grid.shape:
            msg = f"ROI {self.name!r}: occupancy has shape {occupancy.shape} but its grid has {self.grid.shape}."
            raise GeometryError(msg)
        box = _box(occupancy)
        if box is None:
            msg = f"ROI {self.name!r} is empty: no voxel belongs to it. Check its label, or leave it out."
            raise QuantityError(msg)
        part = np.array(occupancy[box], np.float32, order="C")
        if not (np.isfinite(part).all() and part.min() >= 0 and part.max() <= 1 + 1e-6):
            msg = f"ROI {self.name!r}: occupancy must lie between 0 and 1, found {part.min()} to {part.max()}."
            raise QuantityError(msg)
        np.minimum(part, 1, out=part)
        part.setflags(write=False)
        if self.offset is not None:
            offset = np.array(np.asarray(self.offset)[:, *box], np.float32, order="C")
            offset.setflags(write=False)
            object.__setattr__(self, "offset", offset)
        object.__setattr__(self, "occupancy", part)
        object.__setattr__(self, "grid", self.grid.window([s.start for s in box], part.shape))

    @property
    def volume_ml(self) -> float:
        """Occupied volume."""
        return float(self.occupancy.sum(dtype=np.float64)) * self.grid.voxel_volume_ml

    def on_window(self, part: Grid) -> FloatArray:
        """Occupancy on another window of the same lattice, zero where the region does not reach."""
        return self.grid.cut(self.occupancy, part)


def _box(occupancy: npt.NDArray[Any]) -> tuple[slice, slice, slice] | None:
    filled = occupancy > 0
    found = []
    for axis in range(3):
        rows = np.flatnonzero(filled.any(axis=tuple(a for a in range(3) if a != axis)))
        if rows.size == 0:
            return None
        found.append(slice(int(rows[0]), int(rows[-1]) + 1))
    return found[0], found[1], found[2]


@dataclass(frozen=True, eq=False)
class RoiSet:
    """Regions in the order given, each with its own name.

    Parameters
    ----------
    rois : tuple of Roi
        In any order.
    grid : Grid, optional
        The whole grid of the label map they were read from, where there is one.

    Raises
    ------
    QuantityError
        If two regions share a name.
    """

    rois: tuple[Roi, ...] = ()
    grid: Grid | None = None

    def __post_init__(self) -> None:
        rois = tuple(self.rois)
        object.__setattr__(self, "rois", rois)
        names = [r.name for r in rois]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            msg = f"Two ROIs have the same name: {', '.join(twice)}. Give each its own name with labels."
            raise QuantityError(msg)

    def __iter__(self) -> Iterator[Roi]:
        return iter(self.rois)

    def __len__(self) -> int:
        return len(self.rois)

    def __contains__(self, name: object) -> bool:
        return any(r.name == name for r in self.rois)

    def __getitem__(self, name: str) -> Roi:
        for roi in self.rois:
            if roi.name == name:
                return roi
        msg = f"There is no ROI {name!r}; there are {', '.join(self.names()) or 'none'}."
        raise QuantityError(msg)

    def __add__(self, other: RoiSet) -> RoiSet:
        return RoiSet(self.rois + other.rois, self.grid or other.grid)

    def names(self) -> list[str]:
        """All names, in order."""
        return [r.name for r in self.rois]

    def with_role(self, *roles: str) -> RoiSet:
        """The regions that have one of these roles."""
        return RoiSet(tuple(r for r in self.rois if r.role in roles), self.grid)


def union(occupancies: Sequence[FloatArray]) -> FloatArray:
    """Occupancy of the union of regions on one grid, at most 1 in a voxel.

    Within a voxel the parts are taken as disjoint (neighbouring regions share a border voxel far more often than they
    lie on top of each other in it); voxels filled by more than one region count once either way.
    """
    total = np.zeros_like(occupancies[0])
    for occupancy in occupancies:
        total += occupancy
    return np.minimum(total, 1, out=total)


def from_contours(
    contours: Sequence[npt.NDArray[np.float64]], *, thickness_mm: float | None = None, frame_uid: str | None = None
) -> tuple[npt.NDArray[np.float32], Grid, tuple[str, ...]]:
    """Occupancy of closed planar contours, on a grid of its own in their planes.

    All contours of a plane count together by the even-odd rule: holes, islands in holes and keyholes come out right.
    Each plane stands for a slab that reaches half way to its neighbours, and at the ends as far out as half the usual
    distance of planes. A gap of more than 1.5 usual distances stays empty beyond half a usual distance.

    Parameters
    ----------
    contours : sequence of ndarray, (n, 3)
        Vertices in LPS millimetres; planes may be oblique.
    thickness_mm : float, optional
        Distance of planes for a region drawn in one plane only.
    frame_uid : str, optional
        Frame of reference of the points.

    Returns
    -------
    occupancy, grid, notes

    Raises
    ------
    GeometryError
        If contours are not planar and parallel, enclose nothing, or one plane alone has no thickness.
    """
    from voxeldose._compiled.contours import fill
    from voxeldose.model.grid import Grid

    loops = [c for c in (np.asarray(c, np.float64) for c in contours) if len(c) >= 3]
    normals = [np.cross(c, np.roll(c, -1, axis=0)).sum(axis=0) for c in loops]  # twice the area, by Newell
    sizes = [float(np.linalg.norm(n)) for n in normals]
    if not loops or max(sizes) == 0:
        msg = "contours enclose no area."
        raise GeometryError(msg)
    normal = normals[int(np.argmax(sizes))] / max(sizes)
    normal = normal * np.sign(normal[np.argmax(np.abs(normal))])
    along = [c @ normal for c in loops]
    if max(float(np.ptp(a)) for a in along) > PLANAR_MM:
        msg = "contours are not planar, or lie in planes that are not parallel."
        raise GeometryError(msg)
    heights = np.array([float(a.mean()) for a in along])
    planes = _planes(heights)
    notes: list[str] = []
    loops, heights, twice = _once(loops, heights)
    if twice:
        notes.append(f"{twice} contours are in the file twice and are used once")
    if len(planes) > 1:
        usual = float(np.median(np.diff(planes)))
    elif thickness_mm is not None:
        usual = thickness_mm
        notes.append(
            f"drawn in one plane; taken to be {usual:.2f} mm thick, the distance of planes in the structure set"
        )
    else:
        msg = "drawn in one plane only, so its thickness is not known."
        raise GeometryError(msg)
    axis = np.eye(3)[int(np.argmin(np.abs(normal)))]
    across = axis - (axis @ normal) * normal
    across /= np.linalg.norm(across)
    other = np.cross(normal, across)
    flat = [np.stack([c @ across, c @ other], axis=-1) for c in loops]
    low = np.min([f.min(axis=0) for f in flat], axis=0)
    size = np.max([f.max(axis=0) for f in flat], axis=0) - low
    pixel = float(np.clip(size.max() / 256, *PIXEL_MM))
    ni, nj = (int(n) for n in np.ceil(size / pixel).astype(int) + 2)
    origin = low - pixel / 2
    gaps = np.diff(planes)
    if gaps.size and gaps.max() > 1.5 * usual:
        notes.append(f"planes are up to {gaps.max():.1f} mm apart where most are {usual:.1f} mm; the gap stays empty")
    reach_up = [min(g / 2, usual / 2) if g > 1.5 * usual else g / 2 for g in gaps] + [usual / 2]
    reach_down = [usual / 2, *reach_up[:-1]]
    bottom = planes[0] - usual / 2
    nk = max(1, int(np.ceil((planes[-1] + usual / 2 - bottom) / usual - 1e-6)))
    occupancy = np.zeros((nk, nj, ni))
    for height, down, up in zip(planes, reach_down, reach_up, strict=True):
        inside = [f for f, h in zip(flat, heights, strict=True) if abs(h - height) < SAME_PLANE_MM]
        corners = [(f - origin) / pixel for f in inside]
        edges = np.concatenate([np.hstack([c, np.roll(c, -1, axis=0)]) for c in corners])
        covered = np.zeros((nj, ni))
        fill(np.ascontiguousarray(edges), LINES_A_PIXEL, covered)
        start, stop = (height - down - bottom) / usual, (height + up - bottom) / usual
        for k in range(max(0, int(start)), min(nk, int(np.ceil(stop)))):
            occupancy[k] += covered * max(0.0, min(stop, k + 1) - max(start, k))
    point = across * origin[0] + other * origin[1] + normal * (bottom + usual / 2)
    axes = np.stack([normal, other, across], axis=-1)
    grid = Grid.from_axes((nk, nj, ni), (usual, pixel, pixel), point, directions=axes, frame_uid=frame_uid)
    return np.minimum(occupancy, 1).astype(np.float32), grid, tuple(notes)


def _once(
    loops: list[npt.NDArray[np.float64]], heights: npt.NDArray[np.float64]
) -> tuple[list[npt.NDArray[np.float64]], npt.NDArray[np.float64], int]:
    """Every contour once: by the even-odd rule two equal ones would enclose nothing. And how many were there again."""
    seen: dict[tuple[int, bytes], int] = {}
    for n, loop in enumerate(loops):
        seen.setdefault((len(loop), np.round(loop, 3).tobytes()), n)
    kept = sorted(seen.values())
    return [loops[n] for n in kept], heights[kept], len(loops) - len(kept)


def _planes(heights: npt.NDArray[np.float64]) -> list[float]:
    """Distinct heights, rising."""
    found: list[float] = []
    for height in np.sort(heights):
        if not found or height - found[-1] >= SAME_PLANE_MM:
            found.append(float(height))
    return found
