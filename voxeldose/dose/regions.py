"""Regions on the dose grid, their overlaps, and the region that calibrates the image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.liver_parts import liver_parts
from voxeldose.geometry.overlap import shared_occupancy
from voxeldose.geometry.resample import are_one_lattice, occupancy_onto, roi_onto
from voxeldose.model.assessment import Overlap
from voxeldose.model.grid import bounding_box
from voxeldose.model.remarks import Remark
from voxeldose.model.roi import RoiSet, union
from voxeldose.model.roles import LIVER_ROLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxeldose.model.arrays import Floats
    from voxeldose.model.grid import Grid
    from voxeldose.model.roi import Roi

__all__ = ["RegionsOnGrid", "overlaps", "reference_region", "regions_on"]

#: A region with more than this part outside the dose grid gets a warning.
OUTSIDE_WARNING = 0.01

#: Less volume that two regions share is rounding.
LEAST_SHARED_ML = 0.01

#: By how much the default calibration region is larger than its ROIs: the blur of the scanner and breathing carry
#: activity across their edges.
REGION_MARGIN_MM = 10.0


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


def reference_region(rois: RoiSet, grid: Grid, region: str | None = None) -> tuple[Floats | None, str]:
    """Weights of the calibration region on ``grid`` (``None`` for the whole image) and its description.

    ``region`` names an ROI; without it the union of all that lie in the liver, grown by 10 mm, or the whole image.
    """
    if region is not None:
        roi, _ = roi_onto(liver_parts(rois).rois[region], grid)
        return roi.on_window(grid), f"ROI {region}"
    chosen = rois.with_role(*LIVER_ROLES)
    if not chosen:
        return None, "the whole image"
    merged = union([roi_onto(roi, grid)[0].on_window(grid) for roi in chosen])
    names = ", ".join(chosen.names())
    return _grow(merged, grid), f"the union of {names}, grown by {REGION_MARGIN_MM:g} mm"


def _grow(occupancy: Floats, grid: Grid) -> Floats:
    """1 in every voxel whose centre lies within the margin of the centre of an occupied voxel, 0 elsewhere.

    Only the box around the region is searched, so large images cost no more than small ones.
    """
    from scipy.ndimage import distance_transform_edt

    filled = occupancy > 0
    result = np.zeros(grid.shape, np.float32)
    inner = bounding_box(filled)
    if inner is None:
        return result
    reaches = [math.ceil(REGION_MARGIN_MM / step) for step in grid.spacing_mm]
    box = tuple(
        slice(max(0, part.start - reach), min(n, part.stop + reach))
        for part, reach, n in zip(inner, reaches, grid.shape, strict=True)
    )
    result[box] = distance_transform_edt(~filled[box], sampling=grid.spacing_mm) <= REGION_MARGIN_MM
    return result
