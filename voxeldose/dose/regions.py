"""Regions made from regions: on the dose grid, and normal liver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.geometry.resample import roi_onto
from voxeldose.model.remarks import Remark
from voxeldose.model.roi import Roi, RoiSet, union

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxeldose.model.arrays import Floats
    from voxeldose.model.grid import Grid

__all__ = ["RegionsOnGrid", "perfused_normal", "regions_on"]

#: A region with more than this part outside the dose grid gets a warning.
OUTSIDE_WARNING = 0.01


@dataclass(frozen=True, eq=False)
class RegionsOnGrid:
    """Regions on windows of one grid, the part of each that lies outside it, and what that assumes and warns of."""

    rois: RoiSet
    outside_fraction: Mapping[str, float]
    assumptions: tuple[Remark, ...]
    warnings: tuple[Remark, ...]


def regions_on(rois: RoiSet, grid: Grid) -> RegionsOnGrid:
    """Every region on the dose grid, and normal liver (liver without tumors) where there is none."""
    moved, outside = [], {}
    assumptions: list[Remark] = []
    warnings: list[Remark] = []
    for roi in rois:
        region, beyond = roi_onto(roi, grid)
        if beyond > OUTSIDE_WARNING:
            sentence = (
                f"{beyond:.1%} of ROI {roi.name} lies outside the dose grid; its numbers are those of the part inside."
            )
            warnings.append(Remark("roi-outside-dose-grid", {"roi": roi.name, "outside_fraction": beyond}, sentence))
        moved.append(region)
        outside[roi.name] = beyond
    regions = RoiSet(tuple(moved))
    livers, tumors = regions.with_role("liver"), regions.with_role("tumor")
    if livers and not regions.with_role("normal_liver"):
        normal = _normal_liver(
            livers, tumors, "normal_liver" if "normal_liver" not in regions else "normal_liver_derived"
        )
        if normal is None:
            sentence = "Nothing of the liver is left outside the tumors, so there is no normal liver."
            warnings.append(Remark("normal-liver-empty", {}, sentence))
        else:
            regions += RoiSet((normal,))
            outside[normal.name] = max(outside[r.name] for r in livers)
            sentence = f"{normal.name} is {', '.join(livers.names())} minus {', '.join(tumors.names()) or 'nothing'}."
            assumptions.append(Remark("normal-liver-derived", {"roi": normal.name}, sentence))
    return RegionsOnGrid(regions, outside, tuple(assumptions), tuple(warnings))


def _normal_liver(livers: RoiSet, tumors: RoiSet, name: str) -> Roi | None:
    ends = [r.grid.points_lps_mm(np.array([(0, 0, 0), [n - 1 for n in r.grid.shape]])) for r in livers]
    frame = livers.rois[0].grid.extended_to(np.concatenate(ends))
    liver, moment = _union_and_moments(livers, frame)
    if tumors:  # only what both fill beyond one voxel: a label map's border voxels hold some of each, side by side
        tumor, tumor_moment = _union_and_moments(tumors, frame)
        taken = np.clip(liver + tumor - 1, 0, None)
        moment = moment - tumor_moment * np.where(tumor > 0, taken / np.maximum(tumor, 1e-6), 0)
        liver = np.clip(liver - taken, 0, 1)
    if not (liver > 0).any():
        return None
    offset = np.clip(np.where(liver > 1e-3, moment / np.maximum(liver, 1e-3), 0), -0.5, 0.5)
    return Roi(name, "normal_liver", liver, frame, (), offset)


def perfused_normal(regions: RoiSet) -> Roi | None:
    """The part of normal liver inside perfused regions; ``None`` where there is none of either, or nothing in common.

    In a voxel that both fill only partly, the smaller part counts.
    """
    normals, perfused = regions.with_role("normal_liver"), regions.with_role("perfused")
    if not normals or not perfused:
        return None
    ends = [r.grid.points_lps_mm(np.array([(0, 0, 0), [n - 1 for n in r.grid.shape]])) for r in normals]
    frame = normals.rois[0].grid.extended_to(np.concatenate(ends))
    both = np.minimum(*(union([r.on_window(frame) for r in chosen]) for chosen in (normals, perfused)))
    return Roi("perfused normal liver", "normal_liver", both, frame) if (both > 0).any() else None


def _union_and_moments(rois: RoiSet, frame: Grid) -> tuple[Floats, Floats]:
    """Occupancy of the union on a window of their lattice, and occupancy times offset, (3, nk, nj, ni)."""
    occupancy = union([r.on_window(frame) for r in rois])
    moment = np.zeros((3, *frame.shape), np.float32)
    for roi in rois:
        if roi.offset is not None:
            moment += np.stack([roi.grid.cut(roi.occupancy * along, frame) for along in roi.offset])
    return occupancy, moment
