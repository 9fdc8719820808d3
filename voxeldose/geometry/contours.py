"""Regions from planar contours, and contours from regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from voxeldose.errors import GeometryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.model.grid import Grid
    from voxeldose.model.roi import Roi

__all__ = ["contours_of"]

#: Contours run where the occupancy, linear between voxel centres, crosses this.
_LEVEL = 0.5


#: Vertices of a contour may leave its plane by this; contours nearer than SAME_PLANE_MM lie in one plane.
PLANAR_MM = 0.2

SAME_PLANE_MM = 0.1

#: Pixel of rasterised contours: a 256th of the region's width within these limits; lines probed in each.
PIXEL_MM = (0.2, 1.0)

LINES_A_PIXEL = 8


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
    occupancy, grid, remarks

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
    remarks: list[str] = []
    loops, heights, twice = _once(loops, heights)
    if twice:
        remarks.append(f"{twice} contours are in the file twice and are used once")
    if len(planes) > 1:
        usual = float(np.median(np.diff(planes)))
    elif thickness_mm is not None:
        usual = thickness_mm
        remarks.append(
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
        remarks.append(f"planes are up to {gaps.max():.1f} mm apart where most are {usual:.1f} mm; the gap stays empty")
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
    return np.minimum(occupancy, 1).astype(np.float32), grid, tuple(remarks)


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


def contours_of(roi: Roi) -> list[npt.NDArray[np.float64]]:
    """Closed contours (n, 3) of a region in LPS millimetres, plane by plane."""
    import contourpy

    found = []
    for k in range(roi.grid.shape[0]):
        lines = contourpy.contour_generator(z=np.pad(roi.occupancy[k].astype(np.float64), 1)).lines(_LEVEL)
        for line in lines:
            i, j = np.asarray(line)[:-1].T - 1
            if i.size >= 3:
                found.append(roi.grid.points_lps_mm(np.stack([np.full(i.size, float(k)), j, i], axis=-1)))
    return found
