"""The region whose activity is known when an image is scaled, and what the image shows inside and outside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.liver_parts import liver_parts
from voxeldose.errors import QuantityError
from voxeldose.geometry.resample import roi_onto
from voxeldose.model.case import WHOLE_IMAGE, Administered
from voxeldose.model.grid import bounding_box
from voxeldose.model.limits import meets
from voxeldose.model.remarks import Numbers, Remark
from voxeldose.model.roi import union
from voxeldose.model.roles import LIVER_ROLES
from voxeldose.model.wording import number, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.model.administration import Administration
    from voxeldose.model.arrays import Floats
    from voxeldose.model.case import Absolute, Case
    from voxeldose.model.grid import Grid
    from voxeldose.model.roi import RoiSet
    from voxeldose.model.volume import ActivityMap

__all__ = [
    "REGION_MARGIN_MM",
    "CalibrationRegion",
    "Shown",
    "calibration_region",
    "nearest_within",
    "outside_remarks",
    "shown_by",
]

#: By how much the default region is larger than its ROIs: the blur of the scanner and breathing carry activity across their
#: edges.
REGION_MARGIN_MM = 10.0

#: Roles of which one must be there: what was infused is known to lie in the liver, or in what the infusion reached.
INFUSED_ROLES = ("liver", "normal_liver", "perfused")

#: Parts of the net activity outside the region: above the first a warning, above the second a refusal (judgement).
OUTSIDE_WARNING, OUTSIDE_REFUSAL = 0.1, 0.3


@dataclass(frozen=True, eq=False)
class CalibrationRegion:
    """Where the activity less the lung shunt lies.

    Parameters
    ----------
    words : str
        What it is, for people.
    weights : ndarray, float32, (nk, nj, ni), optional
        Part of each image voxel that belongs to it; ``None`` for the whole image.
    was_named : bool
        Whether the user named it, so that what lies outside was asked for.
    is_liver : bool
        Whether it is the union of all liver regions, grown by 10 mm.
    """

    words: str
    weights: Floats | None
    was_named: bool = False
    is_liver: bool = False

    def total_of(self, values: Floats) -> float:
        """The sum of voxels inside it."""
        inside = values if self.weights is None else values * self.weights
        return float(inside.sum(dtype=np.float64))


@dataclass(frozen=True)
class Shown:
    """What a calibrated image shows at the infusion.

    Parameters
    ----------
    region : str
        The calibration region, in words.
    region_mbq, outside_mbq : float
        Activity inside it and outside, noise included.
    outside_fraction : float or None
        ``outside_mbq`` over the net administered activity; ``None`` where that is not known.
    liver_of_field_fraction : float or None
        Activity in the union of all liver regions grown by 10 mm, over that of the whole field of view; ``None`` without a liver.
    """

    region: str
    region_mbq: float
    outside_mbq: float
    outside_fraction: float | None
    liver_of_field_fraction: float | None


def calibration_region(rois: RoiSet, grid: Grid, calibration: Administered | Absolute) -> CalibrationRegion:
    """The region that a calibration names, on the image's grid; the union of what lies in the liver, grown by 10 mm, without one.

    Absolute calibration scales nothing: where no region is liver or perfused, it compares the whole image.

    Raises
    ------
    QuantityError
        If the region named is not there, "image" could mean two things, or no region says where the activity was infused.
    """
    named = calibration.region
    if named == WHOLE_IMAGE and WHOLE_IMAGE in rois:
        msg = (
            f'calibration_region = "{WHOLE_IMAGE}" means the whole image, but an ROI has that name too. Give the ROI another name '
            "(labels)."
        )
        raise QuantityError(msg, code="calibration-region-ambiguous", found=WHOLE_IMAGE)
    if named == WHOLE_IMAGE:
        return CalibrationRegion("the whole image", None, was_named=True)
    if named is not None:
        region = liver_parts(rois).rois[named]  # with what it encloses, as its row in the results is
        return CalibrationRegion(f"ROI {named}", roi_onto(region, grid)[0].on_window(grid), was_named=True)
    if rois.with_role(*INFUSED_ROLES):
        return _liver_region(rois, grid)
    if isinstance(calibration, Administered):
        there = ", ".join(f"{r.name} ({r.role})" for r in rois) or "none"
        msg = (
            f"No ROI is liver, normal liver or perfused volume (there are {there}), so it is not known where the activity was "
            "infused: scaled to a part of it, that part would get all of it. Give the liver or the perfused volume as an ROI with "
            "that role, name the ROI that holds the activity (calibration_region, --calibration-region), or take the whole image "
            f'(calibration_region = "{WHOLE_IMAGE}").'
        )
        raise QuantityError(msg, code="calibration-region-missing", field="calibration_region")
    return CalibrationRegion("the whole image", None)


def _liver_region(rois: RoiSet, grid: Grid) -> CalibrationRegion:
    chosen = rois.with_role(*LIVER_ROLES)
    merged = union([roi_onto(roi, grid)[0].on_window(grid) for roi in chosen])
    names = ", ".join(chosen.names())
    return CalibrationRegion(
        f"the union of {names}, grown by {REGION_MARGIN_MM:g} mm", nearest_within([merged], grid)[0], is_liver=True
    )


def nearest_within(occupied: Sequence[Floats], grid: Grid) -> list[Floats]:
    """For each region, 1 in every voxel whose centre lies within the margin of the region and no nearer to another, 0 elsewhere.

    Distances are those to the centre of the nearest occupied voxel; of two equal ones the first region's counts. Only the box
    around the regions is searched, so large images cost no more than small ones.

    Parameters
    ----------
    occupied : sequence of ndarray, (nk, nj, ni)
        Occupancy of each region on ``grid``.
    grid : Grid
        Of all of them.
    """
    from scipy.ndimage import distance_transform_edt

    near = [np.zeros(grid.shape, np.float32) for _ in occupied]
    inner = bounding_box(np.logical_or.reduce([part > 0 for part in occupied]))
    if inner is None:
        return near
    reaches = [math.ceil(REGION_MARGIN_MM / step) for step in grid.spacing_mm]
    box = tuple(
        slice(max(0, part.start - reach), min(n, part.stop + reach))
        for part, reach, n in zip(inner, reaches, grid.shape, strict=True)
    )
    away = np.stack([distance_transform_edt(part[box] <= 0, sampling=grid.spacing_mm) for part in occupied])
    nearest, within = away.argmin(axis=0), away.min(axis=0) <= REGION_MARGIN_MM
    for n, part in enumerate(near):
        part[box] = (nearest == n) & within
    return near


def shown_by(activity: ActivityMap, region: CalibrationRegion, case: Case) -> Shown:
    """What a calibrated image shows inside and outside the region, and in the liver."""
    given, rois = case.administration, case.rois
    ml = activity.grid.voxel_volume_ml / 1e6
    total, inside = activity.total_mbq(), region.total_of(activity.bq_per_ml) * ml
    outside = total - inside if region.weights is not None else 0.0
    liver = None
    if rois.with_role("liver", "normal_liver") and total > 0:
        whole = region if region.is_liver else _liver_region(rois, activity.grid)
        liver = whole.total_of(activity.bq_per_ml) * ml / total
    part = outside / given.net_mbq if given.administered_mbq is not None else None
    return Shown(region.words, inside, outside, part, liver)


def outside_remarks(shown: Shown, region: CalibrationRegion, case: Case) -> tuple[Remark, ...]:
    """A warning of much activity outside the calibration region.

    Raises
    ------
    QuantityError
        If the image was scaled, more than 30 % of the net activity lie outside, and the user has neither named the region nor
        accepted it.
    """
    part, calibration = shown.outside_fraction, case.calibration
    if part is None or meets(part, "at most", OUTSIDE_WARNING):
        return ()
    amount = f"{number(shown.outside_mbq)} MBq, {percent(part)} % of the net activity,"
    is_accepted = not isinstance(calibration, Administered) or region.was_named or calibration.outside_allowed
    if not is_accepted and not meets(part, "at most", OUTSIDE_REFUSAL):
        other = (
            "draw the territories again"
            if case.administration.territories
            else f'name the ROI that holds the activity or take the whole image (calibration_region = ROI or "{WHOLE_IMAGE}")'
        )
        msg = (
            f"{amount} would lie outside the calibration region ({region.words}): the regions do not hold all that was infused, or "
            f"much of the image is background or another organ. Check regions, image and units; {other}, or accept what lies "
            "outside (allow_activity_outside = true, --allow-activity-outside)."
        )
        raise QuantityError(msg, code="activity-outside-region", outside_mbq=shown.outside_mbq, outside_fraction=part)
    numbers: Numbers = {"region": region.words, "outside_mbq": shown.outside_mbq, "outside_fraction": part}
    sentence = (
        f"{amount} lie outside the calibration region ({region.words}) by this image, besides the {number(shown.region_mbq)} MBq inside "
        f"it{_lungs_part(case.administration)}: free pertechnetate, scatter, noise, another organ, or regions that are too small."
    )
    return (Remark("activity-outside-region", numbers, sentence),)


def _lungs_part(given: Administration) -> str:
    if not given.lung_shunt_fraction:
        return ""
    return f" (the lung shunt fraction stands for {number(given.net_mbq * given.lung_shunt_fraction)} MBq of them)"
