"""Regions from planar contours, and contours from regions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from voxeldose.errors import GeometryError, QuantityError
from voxeldose.geometry.keyholes import Polygon, keyholed
from voxeldose.model.grid import Grid
from voxeldose.model.remarks import Remark

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from voxeldose.model.arrays import Doubles, Floats
    from voxeldose.model.roi import Roi

__all__ = [
    "CONTOUR_LEVEL",
    "PIXEL_MM",
    "Rasterised",
    "axial_diameter_mm",
    "contours_of",
    "from_contours",
    "has_holes",
    "outlines_of",
]

#: Contours run where the occupancy, linear between voxel centres, crosses this.
CONTOUR_LEVEL = 0.5
#: Vertices of a contour may leave its plane by this; contours nearer than SAME_PLANE_MM lie in one plane.
PLANAR_MM = 0.2
SAME_PLANE_MM = 0.1
#: Pixel of rasterised contours: a 256th of the region's width within these limits; lines probed in each.
PIXEL_MM = (0.2, 1.0)
LINES_PER_PIXEL = 8
#: A gap of more than this many usual distances of planes stays empty.
GAP = 1.5
#: More voxels than this are refused, where the caller chooses the pixel.
MOST_VOXELS = 100_000_000


class Rasterised(NamedTuple):
    """Occupancy of contours, the grid it lies on, and what was assumed."""

    occupancy: Floats
    grid: Grid
    remarks: tuple[Remark, ...]


def from_contours(
    contours: Sequence[Doubles],
    *,
    thickness_mm: float | None = None,
    frame_uid: str | None = None,
    pixel_mm: float | None = None,
) -> Rasterised:
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
    pixel_mm : float, optional
        In-plane size of the grid's voxels; a 256th of the region's width, but 0.2 to 1.0 mm, without it.

    Raises
    ------
    GeometryError
        If contours are not planar and parallel, enclose nothing, or one plane alone has no thickness.
    QuantityError
        If ``pixel_mm`` is not above zero, or makes too many voxels.
    """
    loops = [c for c in (np.asarray(c, np.float64) for c in contours) if len(c) >= 3]
    normal = _common_normal(loops)
    along = [c @ normal for c in loops]
    if max(float(np.ptp(a)) for a in along) > PLANAR_MM:
        msg = "contours are not planar, or lie in planes that are not parallel."
        raise GeometryError(msg, code="contours-not-planar")
    heights = np.array([float(a.mean()) for a in along])
    planes = _planes(heights)
    loops, heights, repeated = _once(loops, heights)
    distance, remarks = _distance_of(planes, thickness_mm)
    if repeated:
        sentence = f"{repeated} contours are in the file twice and are used once"
        remarks = (Remark("contours-twice", {"contours": repeated}, sentence), *remarks)
    pixels = _pixels_around(loops, normal, pixel_mm)
    slabs = _slabs(planes, distance)
    _require_not_too_many(slabs.slices, pixels)
    occupancy = np.zeros((slabs.slices, *pixels.shape))
    for height, start, stop in zip(planes, slabs.starts, slabs.stops, strict=True):
        covered = pixels.covered([c for c, h in zip(loops, heights, strict=True) if abs(h - height) < SAME_PLANE_MM])
        for k in range(max(0, int(start)), min(slabs.slices, int(np.ceil(stop)))):
            occupancy[k] += covered * max(0.0, min(stop, k + 1) - max(start, k))
    grid = pixels.grid(slabs.slices, slabs.bottom, distance, frame_uid)
    return Rasterised(np.minimum(occupancy, 1).astype(np.float32), grid, remarks)


@dataclass(frozen=True, eq=False)
class _Pixels:
    """Square pixels around all contours, in the directions ``across`` and ``other`` of their planes."""

    normal: Doubles
    across: Doubles
    other: Doubles
    origin: Doubles  # along across and other, of the centre of the first pixel
    size_mm: float
    shape: tuple[int, int]

    def covered(self, loops: Sequence[Doubles]) -> Doubles:
        """The part of each pixel that the contours of one plane enclose."""
        from voxeldose._compiled.contours import fill

        flat = [(np.stack([c @ self.across, c @ self.other], axis=-1) - self.origin) / self.size_mm for c in loops]
        edges = np.concatenate([np.hstack([c, np.roll(c, -1, axis=0)]) for c in flat])
        covered = np.zeros(self.shape)
        fill(np.ascontiguousarray(edges), LINES_PER_PIXEL, covered)
        return covered

    def grid(self, count: int, bottom: float, distance: float, frame_uid: str | None) -> Grid:
        """The grid of ``count`` slices, ``distance`` mm thick, from the height ``bottom`` up."""
        point = self.across * self.origin[0] + self.other * self.origin[1] + self.normal * (bottom + distance / 2)
        axes = np.stack([self.normal, self.other, self.across], axis=-1)
        shape, spacing = (count, *self.shape), (distance, self.size_mm, self.size_mm)
        return Grid.from_axes(shape, spacing, point, directions=axes, frame_uid=frame_uid)


class _Slabs(NamedTuple):
    """Slices of one thickness from ``bottom`` up, and what of them each plane stands for, counted in slices."""

    slices: int
    bottom: float
    starts: list[float]
    stops: list[float]


def _common_normal(loops: Sequence[Doubles]) -> Doubles:
    """The unit normal of the largest contour, its largest component positive."""
    normals = [np.cross(c, np.roll(c, -1, axis=0)).sum(axis=0) for c in loops]  # twice the area, by Newell
    sizes = [float(np.linalg.norm(n)) for n in normals]
    if not loops or max(sizes) == 0:
        msg = "contours enclose no area."
        raise GeometryError(msg, code="contours-without-area")
    normal = normals[int(np.argmax(sizes))] / max(sizes)
    return np.asarray(normal * np.sign(normal[np.argmax(np.abs(normal))]))


def _distance_of(planes: Sequence[float], thickness_mm: float | None) -> tuple[float, tuple[Remark, ...]]:
    """The usual distance of planes in mm, with what is assumed of it and of wider gaps."""
    if len(planes) == 1 and thickness_mm is None:
        msg = "drawn in one plane only, so its thickness is not known."
        raise GeometryError(msg, code="contours-in-one-plane")
    if len(planes) == 1 and thickness_mm is not None:
        sentence = (
            f"drawn in one plane; taken to be {thickness_mm:.2f} mm thick, the distance of planes in the structure set"
        )
        return thickness_mm, (Remark("contours-in-one-plane", {"thickness_mm": thickness_mm}, sentence),)
    gaps = np.diff(planes)
    usual, widest = float(np.median(gaps)), float(gaps.max())
    if widest <= GAP * usual:
        return usual, ()
    sentence = f"planes are up to {widest:.1f} mm apart where most are {usual:.1f} mm; the gap stays empty"
    return usual, (Remark("contours-gap", {"widest_mm": widest, "usual_mm": usual}, sentence),)


def _pixels_around(loops: Sequence[Doubles], normal: Doubles, pixel_mm: float | None) -> _Pixels:
    """Pixels that hold all contours with a margin; of a size that fits the region where none is wanted."""
    axis = np.eye(3)[int(np.argmin(np.abs(normal)))]
    across = axis - (axis @ normal) * normal
    across /= np.linalg.norm(across)
    other = np.cross(normal, across)
    flat = [np.stack([c @ across, c @ other], axis=-1) for c in loops]
    low = np.min([f.min(axis=0) for f in flat], axis=0)
    size = np.max([f.max(axis=0) for f in flat], axis=0) - low
    if pixel_mm is not None and not (np.isfinite(pixel_mm) and pixel_mm > 0):
        msg = f"pixel_mm must be above 0, found {pixel_mm:g}."
        raise QuantityError(msg, code="value-out-of-range", pixel_mm=pixel_mm)
    pixel = float(np.clip(size.max() / 256, *PIXEL_MM)) if pixel_mm is None else float(pixel_mm)
    ni, nj = (int(n) for n in np.ceil(size / pixel).astype(int) + 2)
    return _Pixels(normal, across, other, low - pixel / 2, pixel, (nj, ni))


def _slabs(planes: Sequence[float], distance: float) -> _Slabs:
    """What each plane stands for: half way to its neighbours, but not into gaps."""
    half = distance / 2
    reach_up = [min(g / 2, half) if g > GAP * distance else g / 2 for g in np.diff(planes)] + [half]
    reach_down = [half, *reach_up[:-1]]
    bottom = planes[0] - half
    count = max(1, int(np.ceil((planes[-1] + half - bottom) / distance - 1e-6)))
    starts = [(h - down - bottom) / distance for h, down in zip(planes, reach_down, strict=True)]
    stops = [(h + up - bottom) / distance for h, up in zip(planes, reach_up, strict=True)]
    return _Slabs(count, bottom, starts, stops)


def _require_not_too_many(count: int, pixels: _Pixels) -> None:
    voxels = count * pixels.shape[0] * pixels.shape[1]
    if pixels.size_mm < PIXEL_MM[0] and voxels > MOST_VOXELS:
        msg = (
            f"pixel_mm = {pixels.size_mm:g} makes {voxels:.2g} voxels of a region, more than {MOST_VOXELS:.0e}; use a larger "
            "one."
        )
        raise QuantityError(msg, code="value-out-of-range", pixel_mm=pixels.size_mm)


def _once(loops: list[Doubles], heights: Doubles) -> tuple[list[Doubles], Doubles, int]:
    """Every contour once: by the even-odd rule two equal ones would enclose nothing. And how many were repeated."""
    seen: dict[tuple[int, bytes], int] = {}
    for n, loop in enumerate(loops):
        seen.setdefault((len(loop), np.round(loop, 3).tobytes()), n)
    kept = sorted(seen.values())
    return [loops[n] for n in kept], heights[kept], len(loops) - len(kept)


def _planes(heights: Doubles) -> list[float]:
    """Distinct heights, rising."""
    planes: list[float] = []
    for height in np.sort(heights):
        if not planes or height - planes[-1] >= SAME_PLANE_MM:
            planes.append(float(height))
    return planes


def contours_of(roi: Roi) -> list[Doubles]:
    """Closed contours (n, 3) in LPS millimetres, plane by plane, each around one piece of a region.

    A piece with holes is one contour too, joined to them by channels of no width (keyholes); a piece inside a hole is a
    piece of its own. So contours never enclose one another's area, and no rule is needed to count them together.
    """
    return [_place(roi, k, keyholed(piece)) for k, piece in _pieces(roi)]


def outlines_of(roi: Roi) -> list[Doubles]:
    """Closed contours (n, 3) in LPS millimetres, plane by plane, holes as contours of their own: even-odd."""
    return [_place(roi, k, ring) for k, piece in _pieces(roi) for ring in (piece.outer, *piece.holes)]


def axial_diameter_mm(roi: Roi) -> float | None:
    """Longest distance between two points of the region's outline in one slice of its own grid, mm.

    This is the longest diameter in the plane of measurement, as RECIST has it, for regions drawn on axial slices; along an
    oblique direction a region may be longer. ``None`` where no voxel is occupied enough to have an outline.
    """
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import pdist

    by_slice: dict[int, list[Doubles]] = {}
    for k, piece in _pieces(roi):
        by_slice.setdefault(k, []).append(piece.outer)
    outlines = [np.concatenate(rings) for rings in by_slice.values()]
    return max((float(pdist(points[ConvexHull(points).vertices]).max()) for points in outlines), default=None)


def has_holes(roi: Roi) -> bool:
    """Whether a piece of a region has a hole in any plane."""
    return any(piece.holes for _, piece in _pieces(roi))


def _pieces(roi: Roi) -> Iterator[tuple[int, Polygon]]:
    """Every piece of a region by its plane, in millimetres along i and j from the plane's first voxel."""
    from contourpy import FillType, contour_generator

    scale = np.array(roi.grid.spacing_mm[:0:-1])
    for k in range(roi.grid.shape[0]):
        padded = np.pad(roi.occupancy[k].astype(np.float64), 1)
        generator = contour_generator(z=padded, fill_type=FillType.OuterOffset)
        for points, offsets in zip(*generator.filled(CONTOUR_LEVEL, np.inf), strict=True):
            rings = [(ring[:-1] - 1) * scale for ring in np.split(np.asarray(points), offsets[1:-1])]
            outer, *holes = (r for r in rings if len(r) >= 3)
            yield k, Polygon(outer, tuple(holes))


def _place(roi: Roi, k: int, ring: Doubles) -> Doubles:
    """Points of the plane ``k`` in LPS millimetres."""
    i, j = (ring / roi.grid.spacing_mm[:0:-1]).T
    return roi.grid.points_lps_mm(np.stack([np.full(i.size, float(k)), j, i], axis=-1))
