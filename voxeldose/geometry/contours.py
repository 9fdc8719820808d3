"""Regions from planar contours, and contours from regions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from voxeldose.errors import GeometryError, QuantityError
from voxeldose.geometry.keyholes import Polygon, keyholed
from voxeldose.geometry.loops import edges_of, repeated_loops, united_shapes
from voxeldose.geometry.slabs import choose_distance, slabs_of
from voxeldose.model.grid import Grid
from voxeldose.model.remarks import Remark

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from voxeldose.geometry.slabs import SlabThickness
    from voxeldose.model.arrays import Doubles, Floats
    from voxeldose.model.roi import Roi

__all__ = [
    "CONTOUR_LEVEL",
    "PIXEL_MM",
    "ContourStack",
    "Rasterised",
    "axial_diameter_mm",
    "contours_of",
    "from_contours",
    "has_holes",
    "outlines_of",
    "rasterise",
    "stack_contours",
]

#: Contours run where the occupancy, linear between voxel centres, crosses this.
CONTOUR_LEVEL = 0.5
#: Vertices of a contour may leave its plane by this; contours nearer than SAME_PLANE_MM lie in one plane.
PLANAR_MM = 0.2
SAME_PLANE_MM = 0.1
#: A contour of less area is a point or a line, such as a slip of the hand.
NO_AREA_MM2 = 1e-6
#: Pixel of rasterised contours: a 256th of the region's width within these limits; lines probed in each.
PIXEL_MM = (0.2, 1.0)
LINES_PER_PIXEL = 8
#: More voxels than this are refused where the caller chooses the pixel, and else make the pixels larger.
MOST_VOXELS = 100_000_000


class Rasterised(NamedTuple):
    """Occupancy of contours, the grid it lies on, and what was assumed."""

    occupancy: Floats
    grid: Grid
    remarks: tuple[Remark, ...]


class ContourStack(NamedTuple):
    """Closed contours by their planes, each contour once: normal, heights in mm along it, rising, and how many repeat."""

    normal: Doubles
    heights: list[float]
    planes: list[list[Doubles]]
    repeated: int


def stack_contours(contours: Sequence[Doubles]) -> ContourStack:
    """Closed contours (n, 3), in LPS millimetres, by their planes.

    Raises
    ------
    GeometryError
        If contours are not planar and parallel, or enclose nothing.
    """
    loops = [c for c in (np.asarray(c, np.float64) for c in contours) if len(c) >= 3]
    normal, loops = _common_normal(loops)
    along = [c @ normal for c in loops]
    if max(float(np.ptp(a)) for a in along) > PLANAR_MM:
        msg = "contours are not planar, or lie in planes that are not parallel."
        raise GeometryError(msg, code="contours-not-planar")
    heights: list[float] = []
    planes: list[list[Doubles]] = []
    middles = np.array([float(a.mean()) for a in along])
    for n in np.argsort(middles, kind="stable"):
        if not heights or middles[n] - heights[-1] >= SAME_PLANE_MM:
            heights.append(float(middles[n]))
            planes.append([])
        planes[-1].append(loops[n])
    repeated = 0
    for n, plane in enumerate(planes):
        again = repeated_loops(plane) if len(plane) > 1 else []
        repeated += len(again)
        planes[n] = [c for m, c in enumerate(plane) if m not in again]
    return ContourStack(normal, heights, planes, repeated)


def from_contours(
    contours: Sequence[Doubles],
    *,
    thickness: SlabThickness | None = None,
    frame_uid: str | None = None,
    pixel_mm: float | None = None,
    exclusive: bool = False,
) -> Rasterised:
    """Occupancy of closed planar contours, on a grid of its own in their planes.

    Contours of a plane that lie in one another count by the even-odd rule: holes, islands in holes and keyholes come out
    right. Contours that overlap in part are united, and one that is there again counts once; remarks say so.

    Each plane stands for a slab that reaches half way to its neighbours, and at the ends as far out as half the thickness of
    a slice (:func:`voxeldose.geometry.slabs.choose_distance`). A gap of more than 1.5 slices stays empty.

    Parameters
    ----------
    contours : sequence of ndarray, (n, 3)
        Vertices in LPS millimetres; planes may be oblique.
    thickness : SlabThickness, optional
        What is known of the thickness of a slice; without it even planes must show it.
    frame_uid : str, optional
        Frame of reference of the points.
    pixel_mm : float, optional
        In-plane size of the grid's voxels; a 256th of the region's width, but 0.2 to 1.0 mm, without it.
    exclusive : bool
        Whether all contours of a plane count by the even-odd rule, those that overlap too (CLOSEDPLANAR_XOR).

    Raises
    ------
    GeometryError
        If contours are not planar and parallel, enclose nothing, or nothing says how thick a slice is.
    QuantityError
        If ``pixel_mm`` is not above zero, or makes too many voxels.
    """
    return rasterise(
        stack_contours(contours), thickness=thickness, frame_uid=frame_uid, pixel_mm=pixel_mm, exclusive=exclusive
    )


def rasterise(
    stack: ContourStack,
    *,
    thickness: SlabThickness | None = None,
    frame_uid: str | None = None,
    pixel_mm: float | None = None,
    exclusive: bool = False,
) -> Rasterised:
    """:func:`from_contours` of contours that lie by their planes already."""
    distance, remarks = choose_distance(stack.heights, thickness)
    slabs = slabs_of(stack.heights, distance)
    pixels = _pixels_around([c for plane in stack.planes for c in plane], stack.normal, pixel_mm, slabs.slices)
    _require_not_too_many(slabs.slices, pixels, pixel_mm)
    occupancy = np.zeros((slabs.slices, *pixels.shape), np.float32)
    overlaps = 0
    for loops, start, stop in zip(stack.planes, slabs.starts, slabs.stops, strict=True):
        covered, overlapping = pixels.covered(loops, exclusive=exclusive)
        overlaps += overlapping
        for k in range(max(0, int(start)), min(slabs.slices, int(np.ceil(stop)))):
            occupancy[k] += covered * max(0.0, min(stop, k + 1) - max(start, k))
    grid = pixels.grid(slabs.slices, slabs.bottom, distance, frame_uid)
    return Rasterised(np.minimum(occupancy, 1, out=occupancy), grid, (*_remarks_of(stack.repeated, overlaps), *remarks))


def _remarks_of(repeated: int, overlaps: int) -> tuple[Remark, ...]:
    """What was assumed of contours that meet."""
    remarks: list[Remark] = []
    if repeated:
        sentence = f"{repeated} contours are in the file twice and are used once"
        remarks.append(Remark("contours-twice", {"contours": repeated}, sentence))
    if overlaps:
        sentence = f"{overlaps} pairs of contours overlap in part; they are united"
        remarks.append(Remark("contours-overlap", {"pairs": overlaps}, sentence))
    return tuple(remarks)


@dataclass(frozen=True, eq=False)
class _Pixels:
    """Square pixels around all contours, in the directions ``across`` and ``other`` of their planes."""

    normal: Doubles
    across: Doubles
    other: Doubles
    origin: Doubles  # along across and other, of the centre of the first pixel
    size_mm: float
    shape: tuple[int, int]

    def covered(self, loops: Sequence[Doubles], *, exclusive: bool) -> tuple[Doubles, int]:
        """The part of each pixel that the contours of one plane enclose, and how many pairs of them overlap in part."""
        from voxeldose._compiled.contours import fill, fill_united

        flat = [(np.stack([c @ self.across, c @ self.other], axis=-1) - self.origin) / self.size_mm for c in loops]
        covered = np.zeros(self.shape)
        if exclusive or len(flat) == 1:
            fill(edges_of(flat), LINES_PER_PIXEL, covered)
            return covered, 0
        shapes = united_shapes(flat, self.size_mm)
        fill_united(shapes.edges, shapes.starts, LINES_PER_PIXEL, covered)
        return covered, shapes.overlaps

    def grid(self, count: int, bottom: float, distance: float, frame_uid: str | None) -> Grid:
        """The grid of ``count`` slices, ``distance`` mm thick, from the height ``bottom`` up."""
        point = self.across * self.origin[0] + self.other * self.origin[1] + self.normal * (bottom + distance / 2)
        axes = np.stack([self.normal, self.other, self.across], axis=-1)
        shape, spacing = (count, *self.shape), (distance, self.size_mm, self.size_mm)
        return Grid.from_axes(shape, spacing, point, directions=axes, frame_uid=frame_uid)


def _common_normal(loops: Sequence[Doubles]) -> tuple[Doubles, list[Doubles]]:
    """The unit normal of the largest contour, its largest component positive; and the contours that enclose area."""
    normals = [
        np.cross(c, np.roll(c, -1, axis=0)).sum(axis=0) / 2 for c in loops
    ]  # of the length of the area, by Newell
    sizes = [float(np.linalg.norm(n)) for n in normals]
    if not loops or max(sizes) <= NO_AREA_MM2:
        msg = "contours enclose no area."
        raise GeometryError(msg, code="contours-without-area")
    normal = normals[int(np.argmax(sizes))] / max(sizes)
    kept = [c for c, size in zip(loops, sizes, strict=True) if size > NO_AREA_MM2 or not _is_line(c)]
    return np.asarray(normal * np.sign(normal[np.argmax(np.abs(normal))])), kept


def _is_line(loop: Doubles) -> bool:
    """Whether a contour runs to and fro on one line; one that crosses itself may enclose parts that cancel out."""
    across = np.linalg.svd(loop - loop.mean(axis=0), compute_uv=False)[1]
    return bool(across**2 <= NO_AREA_MM2)


def _pixels_around(loops: Sequence[Doubles], normal: Doubles, pixel_mm: float | None, slices: int) -> _Pixels:
    """Pixels that hold all contours with a margin; of a size that fits the region and memory where none is wanted."""
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
    if pixel_mm is None:
        coarsest = float(np.sqrt(size[0] * size[1] * slices / MOST_VOXELS))
        pixel = max(float(np.clip(size.max() / 256, *PIXEL_MM)), coarsest * 1.01)
    else:
        pixel = float(pixel_mm)
    ni, nj = (int(n) for n in np.ceil(size / pixel).astype(int) + 2)
    return _Pixels(normal, across, other, low - pixel / 2, pixel, (nj, ni))


def _require_not_too_many(count: int, pixels: _Pixels, pixel_mm: float | None) -> None:
    voxels = count * pixels.shape[0] * pixels.shape[1]
    if voxels <= MOST_VOXELS:
        return
    if pixel_mm is None:
        msg = f"contours reach over {count} slices, too far for one region in a patient."
        raise GeometryError(msg, code="contours-too-far", slices=count)
    msg = (
        f"pixel_mm = {pixel_mm:g} makes {voxels:.2g} voxels of a region, more than {MOST_VOXELS:.0e}; use a larger one."
    )
    raise QuantityError(msg, code="value-out-of-range", pixel_mm=pixel_mm)


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
