"""A region's outline between voxels: moved outwards or inwards, and shifted, by parts of a voxel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from voxeldose.model.arrays import Floats

__all__ = ["Outline"]

#: Voxels are cut into parts of about this size, larger where a region's box would have more than so many.
PART_MM, PARTS = 0.7, 400_000
#: Width of the smoothing of distances, in parts.
SMOOTH_PARTS = 1.5


@dataclass(frozen=True, eq=False)
class Outline:
    """A region as the distance of every part of its voxels from its outline.

    Shifting occupancies themselves would smear them over two voxels, which is worth a shift of its own.

    Parameters
    ----------
    outside_mm : ndarray, float32
        Distance outside the outline, negative inside, of every part of every voxel of a box.
    cuts : tuple of int
        Parts of a voxel along k, j and i.
    part_mm : tuple of float
        Their size.
    """

    outside_mm: Floats
    cuts: tuple[int, int, int]
    part_mm: tuple[float, float, float]

    @classmethod
    def of(cls, occupancy: Floats, spacing_mm: tuple[float, float, float]) -> Outline:
        """From occupancy on a box; outside the box is nothing.

        The outline is where occupancy, linear between voxel centres, falls to the value that keeps the region's volume.
        """
        from scipy.ndimage import distance_transform_edt, gaussian_filter, zoom

        box_mm3 = float(np.prod(spacing_mm)) * occupancy.size
        size = max(PART_MM, (box_mm3 / PARTS) ** (1 / 3))
        ck, cj, ci = (max(1, math.ceil(s / size - 1e-6)) for s in spacing_mm)
        cuts = (ck, cj, ci)
        fine = zoom(np.pad(occupancy, 1), cuts, order=1, grid_mode=True, mode="grid-constant", prefilter=False)
        count = int(np.clip(round(float(occupancy.sum(dtype=np.float64)) * math.prod(cuts)), 1, fine.size - 1))
        level = float(np.partition(fine.reshape(-1), fine.size - count)[fine.size - count])
        inside = fine >= max(level, 1e-6)
        part = (spacing_mm[0] / ck, spacing_mm[1] / cj, spacing_mm[2] / ci)
        width = float(np.prod(part)) ** (1 / 3)
        out = distance_transform_edt(~inside, sampling=part) - width / 2
        within = distance_transform_edt(inside, sampling=part) - width / 2
        # steps between parts would make the surface half again as large as it is; smoothing takes them out
        distance = gaussian_filter(np.where(inside, -within, out), SMOOTH_PARTS, output=np.float32)
        slope = np.sqrt(sum(np.square(g) for g in np.gradient(distance, *part)))
        distance /= slope[np.abs(distance) < 2 * max(spacing_mm)].mean()
        distance -= np.partition(distance.reshape(-1), count)[count]  # and the region's volume is kept
        distance = distance[ck:-ck, cj:-cj, ci:-ci]
        return cls(np.ascontiguousarray(distance, np.float32), cuts, part)

    def moved(self, outline_mm: float, shift_mm: npt.ArrayLike) -> Floats:
        """Occupancy of the box's voxels with the outline moved outwards and the whole shifted along k, j and i.

        A region that would shrink to nothing keeps its innermost parts.
        """
        from voxeldose._compiled.outlines import fill_moved

        k, j, i = (n // c for n, c in zip(self.outside_mm.shape, self.cuts, strict=True))
        result = np.empty((k, j, i), np.float32)
        width = float(np.prod(self.part_mm)) ** (1 / 3)
        level = max(outline_mm, float(self.outside_mm.min()))
        steps = np.asarray(shift_mm, np.float64) / np.array(self.part_mm)
        fill_moved(self.outside_mm, np.array(self.cuts, np.int64), steps, level, width, result)
        return result
