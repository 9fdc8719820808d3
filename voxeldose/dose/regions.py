"""Regions on the dose grid, with the parts of the liver that a report needs, and their overlaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.liver_parts import liver_parts
from voxeldose.geometry.overlap import shared_occupancy
from voxeldose.geometry.resample import are_one_lattice, occupancy_onto, roi_onto
from voxeldose.model.assessment import Overlap
from voxeldose.model.remarks import Remark
from voxeldose.model.roi import RoiSet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxeldose.model.grid import Grid
    from voxeldose.model.roi import Roi

__all__ = ["RegionsOnGrid", "overlaps", "regions_on"]

#: A region with more than this part outside the dose grid gets a warning.
OUTSIDE_WARNING = 0.01

#: Less volume that two regions share is rounding.
LEAST_SHARED_ML = 0.01


@dataclass(frozen=True, eq=False)
class RegionsOnGrid:
    """Regions on windows of one grid, and what they assume and warn of.

    Parameters
    ----------
    rois : RoiSet
        Those given, each with what it encloses, then those made from them (:func:`voxeldose.dose.liver_parts.liver_parts`).
    derived : tuple of str
        Names of those that were made.
    outside_fraction : mapping
        Part of each that lies outside the grid.
    perfused_fraction : mapping
        Tumor -> part of it in perfused regions; empty without any.
    overlaps : tuple of Overlap
        Pairs of given regions that share volume.
    assumptions, warnings : tuple of Remark
        How they were made, and what lies outside.
    """

    rois: RoiSet
    derived: tuple[str, ...]
    outside_fraction: Mapping[str, float]
    perfused_fraction: Mapping[str, float]
    overlaps: tuple[Overlap, ...]
    assumptions: tuple[Remark, ...]
    warnings: tuple[Remark, ...]


def regions_on(rois: RoiSet, grid: Grid) -> RegionsOnGrid:
    """Every region on the dose grid, with the parts of the liver that a report needs.

    Raises
    ------
    GeometryError
        If a region that was given lies wholly outside the grid, or in another frame of reference.
    """
    parts = liver_parts(rois)
    moved, outside = [], {}
    warnings: list[Remark] = []
    for roi in parts.rois:
        if roi.name in parts.derived and not _reaches(roi, grid):
            continue
        region, beyond = roi_onto(roi, grid)
        if beyond > OUTSIDE_WARNING and roi.name not in parts.derived:
            sentence = (
                f"{beyond:.1%} of ROI {roi.name} lies outside the dose grid; its numbers are those of the part inside."
            )
            warnings.append(Remark("roi-outside-dose-grid", {"roi": roi.name, "outside_fraction": beyond}, sentence))
        moved.append(region)
        outside[roi.name] = beyond
    regions = RoiSet(tuple(moved))
    return RegionsOnGrid(
        regions,
        tuple(name for name in parts.derived if name in regions),
        outside,
        parts.perfused_fraction,
        overlaps(RoiSet(tuple(r for r in parts.rois if r.name in rois)), regions),
        parts.assumptions,
        (*warnings, *parts.warnings),
    )


def _reaches(roi: Roi, grid: Grid) -> bool:
    """Whether any of a region lies inside a grid."""
    return bool((occupancy_onto(roi, grid) > 0).any())


def overlaps(drawn: RoiSet, on_grid: RoiSet) -> tuple[Overlap, ...]:
    """Every pair of regions that share more than 0.01 mL.

    Counted on the voxels of their file where both lie on them, so that neighbours in a label map share nothing; else on the
    dose grid.

    Parameters
    ----------
    drawn : RoiSet
        Where they were drawn.
    on_grid : RoiSet
        The same regions on windows of one grid.
    """
    pairs = []
    for n, first in enumerate(drawn):
        for second in drawn.rois[n + 1 :]:
            a, b = first, second
            if not are_one_lattice(first.grid, second.grid):
                a, b = on_grid[first.name], on_grid[second.name]
            near = a.grid.window([-1, -1, -1], [n + 2 for n in a.grid.shape])  # with what lies around: slopes need it
            shared = shared_occupancy(a.on_window(near), b.on_window(near))
            volume_ml = float(shared.sum(dtype=np.float64)) * a.grid.voxel_volume_ml
            if volume_ml > LEAST_SHARED_ML:
                pairs.append(Overlap(first.name, second.name, volume_ml))
    return tuple(pairs)
