"""Which regions the model knows, from the ROIs of a case, each with the space of what lies inside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.recovery.draws import mapped
from voxeldose.dose.recovery.shapes import Partition, Region, Window, distance_on
from voxeldose.errors import InputError
from voxeldose.geometry.resample import roi_onto
from voxeldose.model.roi import Roi, RoiSet, union

if TYPE_CHECKING:
    from voxeldose.dose.recovery.scan import Scan
    from voxeldose.model.arrays import Floats
    from voxeldose.model.grid import Grid

__all__ = ["Anatomy", "anatomy_of", "box_regions", "region_of_distance"]

#: Roles in the order in which they claim space; what is inside comes first, and the smaller tumor.
ORDER = ("tumor", "segment", "perfused", "liver", "normal_liver", "lung", "other")
#: Roles that hold tumors: their outline is that of the union with what lies inside.
HOLDERS = ("segment", "perfused", "liver", "normal_liver")
#: A tissue with less than this outside others is left out.
LEAST_ML = 0.5
#: How far beyond an outline a lesion's window goes: shift and growth by four standard deviations.
LESION_REACH_MM = 8.0


@dataclass(frozen=True, eq=False)
class Anatomy:
    """The partition of the fine box and the roles in it.

    Parameters
    ----------
    partition : Partition
        Lesions, then tissues.
    roles : dict
        Name of a region to the role of its ROI.
    """

    partition: Partition
    roles: dict[str, str]

    @property
    def lesions(self) -> list[str]:
        """Names of regions that may move."""
        return [r.name for r in self.partition.regions if r.kind == "lesion"]

    def region(self, name: str) -> Region:
        """One of the regions."""
        return next(r for r in self.partition.regions if r.name == name)


def box_regions(rois: RoiSet) -> list[Roi]:
    """The regions that the box must hold: tumors and the liver around them.

    Raises
    ------
    InputError
        If no region is a tumor.
    """
    if not rois.with_role("tumor"):
        msg = (
            "Resolution recovery needs a region with the role tumor: what is recovered is the dose inside outlines. Give one, or "
            'leave [resolution] out (method = "none").'
        )
        raise InputError(msg, code="tumor-missing")
    return list(rois.with_role("tumor", *HOLDERS))


def anatomy_of(rois: RoiSet, scan: Scan) -> Anatomy:
    """Regions of a case on the fine box of a scan."""
    fine = scan.fine_grid
    ordered = sorted(rois, key=lambda r: (ORDER.index(r.role), r.volume_ml if r.role == "tumor" else 0))
    distances = mapped(lambda roi: distance_on(roi, fine), _with_contents(ordered, fine))
    regions = [
        region_of_distance(roi.name, found, scan, kind="lesion" if roi.role == "tumor" else "tissue")
        for roi, found in zip(ordered, distances, strict=True)
        if found is not None
    ]
    filled = Partition(fine.shape, tuple(regions)).masks({})
    kept = [
        r
        for r, mask in zip(regions, filled, strict=False)
        if r.kind == "lesion" or float(mask.sum(dtype=np.float64)) * scan.fine.voxel_ml > LEAST_ML
    ]
    return Anatomy(Partition(fine.shape, tuple(kept)), {r.name: rois[r.name].role for r in kept})


def _with_contents(ordered: list[Roi], fine: Grid) -> list[Roi]:
    """The regions; those that hold others, on the fine box with what lies inside them, so that no gap opens when it moves."""
    inside: list[Floats] = []
    found = []
    for roi in ordered:
        occupancy = _on(roi, fine) if roi.role in ("tumor", *HOLDERS) else None
        if occupancy is not None and roi.role in HOLDERS:
            merged = union([occupancy, *(o for o in inside if _is_held(o, occupancy))])
            found.append(replace(roi, occupancy=merged, grid=fine, offset=None))
        else:
            found.append(roi)
        if occupancy is not None:
            inside.append(occupancy)
    return found


def region_of_distance(
    name: str, found: tuple[Window, Floats], scan: Scan, *, kind: str = "tissue", parent: str = ""
) -> Region:
    """A region from distances on a window, cut to whole voxels of the image; a lesion's to what it may reach."""
    window, distance = found
    if kind != "tissue":
        near = distance < LESION_REACH_MM
        rows = [np.flatnonzero(near.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
        cut = [slice(int(r[0]), int(r[-1]) + 1) for r in rows]
        distance = distance[tuple(cut)]
        k, j, i = (slice(w.start + c.start, w.start + c.stop) for w, c in zip(window, cut, strict=True))
        window = (k, j, i)
    before = [s.start % f for s, f in zip(window, scan.factor, strict=True)]
    after = [-s.stop % f for s, f in zip(window, scan.factor, strict=True)]
    distance = np.pad(distance, list(zip(before, after, strict=True)), mode="edge")
    k, j, i = (slice(s.start - b, s.stop + a) for s, b, a in zip(window, before, after, strict=True))
    spacing = scan.fine.spacing_mm
    side = scan.fine.mean_spacing_mm
    of = "lesion" if kind == "lesion" else "core" if kind == "core" else "tissue"
    return Region(name, of, (k, j, i), np.ascontiguousarray(distance), side, spacing, parent)  # type: ignore[arg-type]


def _on(roi: Roi, fine: Grid) -> Floats | None:
    """Occupancy on the whole fine box; ``None`` where the region does not reach it."""
    index = fine.indices(roi.grid.corners())
    if (index.max(axis=0) < -0.5).any() or (index.min(axis=0) > np.array(fine.shape) - 0.5).any():
        return None
    return roi_onto(roi, fine)[0].on_window(fine)


def _is_held(part: Floats, whole: Floats) -> bool:
    """Whether most of a region, or most of the shell around it, lies inside another."""
    from scipy.ndimage import binary_dilation

    if float((part * whole).sum(dtype=np.float64)) > 0.5 * float(part.sum(dtype=np.float64)):
        return True
    filled = part > 0
    shell = binary_dilation(filled, iterations=2) & ~filled
    return bool(shell.any()) and float(whole[shell].mean()) > 0.5
