"""Facts of a result that rules of plausibility ask: plain numbers, some of them one per region.

Names end in their unit: ``_ml``, ``_g``, ``_mm``, ``_deg``, ``_days``, ``_mbq``, ``_gy``, ``_fraction`` (0 to 1). A fact that a
case cannot have (no lungs, no CT) is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.geometry.resample import occupancy_onto
from voxeldose.model.plausibility import Fact
from voxeldose.model.roi import union

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voxeldose.model.arrays import Floats
    from voxeldose.model.assessment import Assessment
    from voxeldose.model.grid import Grid
    from voxeldose.model.roi import Roi, RoiSet
    from voxeldose.model.volume import CtImage

__all__ = ["facts_of"]

#: Roles that lie in the liver.
IN_LIVER = ("liver", "normal_liver", "tumor", "perfused", "segment")
#: CT numbers below which a voxel of the liver is lung or gas, and above which it is bone or metal.
AIR_HU, BONE_HU = -300.0, 300.0
#: Overlap of a tumor with the liver from which a label map is taken to nest them.
NESTED = 0.01


def facts_of(result: Assessment) -> Iterator[Fact]:
    """Every fact that a result has."""
    liver = _Liver.of(result)
    yield from _volumes(result, liver)
    if liver is not None:
        yield from _places(result, liver)
    yield from _positions(result.regions)
    if result.case.ct is not None:
        yield from _hounsfield(result.regions, result.case.ct)
    yield from _activity(result, liver)
    yield from _administration(result)
    yield from _results(result)


@dataclass(frozen=True, eq=False)
class _Liver:
    """The whole liver: the union of the regions that lie in it, on a window of the dose grid."""

    grid: Grid
    occupancy: Floats
    without_tumors: Floats

    @classmethod
    def of(cls, result: Assessment) -> _Liver | None:
        """``None`` where no region is liver."""
        inside, livers = result.regions.with_role(*IN_LIVER), _livers(result.regions)
        if not livers:
            return None
        corners = np.concatenate([r.grid.corners() for r in inside])
        frame = livers.rois[0].grid.extended_to(corners)
        liver = union([r.on_window(frame) for r in livers])
        tumors = result.regions.with_role("tumor")
        apart = () if _is_nested(result, tumors) else tumors
        whole = union([liver, *(r.on_window(frame) for r in apart)])
        return cls(frame, whole, liver)

    @property
    def volume_ml(self) -> float:
        """Of the whole liver."""
        return float(self.occupancy.sum(dtype=np.float64)) * self.grid.voxel_volume_ml


def _livers(regions: RoiSet) -> RoiSet:
    """The regions that are liver, tumors apart or not; normal liver only where there is no other."""
    return regions.with_role("liver") or regions.with_role("normal_liver")


def _is_nested(result: Assessment, tumors: RoiSet) -> bool:
    """Whether the liver regions hold the tumors, so that a tumor outside them lies outside the liver."""
    whole = {r.name for r in result.regions.with_role("liver")}
    shared = {o.second if o.first in whole else o.first for o in result.overlaps if whole & {o.first, o.second}}
    return any(t.name in shared for t in tumors)


def _volumes(result: Assessment, liver: _Liver | None) -> Iterator[Fact]:
    metrics = result.rois
    of = {role: {n: m for n, m in metrics.items() if m.role == role} for role in ("tumor", "perfused", "lung")}
    voxel = result.dose.grid.voxel_volume_ml
    for name, m in of["tumor"].items():
        yield Fact("tumor_ml", m.volume_ml, name)
        yield Fact("tumor_voxels", m.volume_ml / voxel, name)
    for name, m in of["perfused"].items():
        yield Fact("perfused_ml", m.volume_ml, name)
    if of["lung"]:
        yield Fact("lungs_ml", sum(m.volume_ml for m in of["lung"].values()))
        if not isinstance(result.case.density, float):
            yield Fact("lungs_g", sum(m.mass_g for m in of["lung"].values()))
    if liver is None or liver.volume_ml == 0:
        return
    yield Fact("liver_ml", liver.volume_ml)
    if of["tumor"]:
        tumors = union([r.on_window(liver.grid) for r in result.regions.with_role("tumor")])
        inside = float(np.minimum(tumors, liver.occupancy).sum(dtype=np.float64)) * liver.grid.voxel_volume_ml
        yield Fact("tumor_of_liver_fraction", inside / liver.volume_ml)
    for name, m in of["perfused"].items():
        yield Fact("perfused_of_liver_fraction", m.volume_ml / liver.volume_ml, name)
    whole, normal = result.case.rois.with_role("liver"), result.case.rois.with_role("normal_liver")
    if whole and normal and of["tumor"]:
        given = union([result.regions[n].on_window(liver.grid) for n in normal.names()])
        expected = np.clip(liver.occupancy - tumors, 0, 1)
        apart = float(np.abs(given - expected).sum(dtype=np.float64))
        yield Fact("normal_liver_apart_fraction", apart / max(float(given.sum(dtype=np.float64)), 1e-9))


def _places(result: Assessment, liver: _Liver) -> Iterator[Fact]:
    """How tumors and perfused regions lie in the liver, and whether it is one piece and whole."""
    from scipy import ndimage

    frame, tumors = liver.grid, result.regions.with_role("tumor")
    perfused = result.regions.with_role("perfused")
    reached = union([r.on_window(frame) for r in perfused]) if perfused else None
    nested = _is_nested(result, tumors)
    for tumor in tumors:
        own = tumor.on_window(frame)
        if nested:
            yield Fact("tumor_outside_liver_fraction", _outside(own, liver.occupancy), tumor.name)
        else:
            yield Fact("tumor_border_on_liver_fraction", _border_on(own, tumors, liver, frame), tumor.name)
        if (
            reached is not None and result.rois[tumor.name].reached is not False
        ):  # one that is not reached has its own word
            yield Fact("tumor_outside_perfused_fraction", _outside(own, reached), tumor.name)
        yield Fact("tumor_pieces", float(ndimage.label(own >= 0.5)[1]), tumor.name)
    for region in perfused:
        yield Fact("perfused_outside_liver_fraction", _outside(region.on_window(frame), liver.occupancy), region.name)
    pieces, count = ndimage.label(liver.occupancy >= 0.5)
    if count:
        sizes = np.bincount(pieces.ravel())[1:]
        yield Fact("liver_largest_piece_fraction", float(sizes.max() / sizes.sum()))
    yield Fact("liver_at_edge_fraction", _at_edge(result))


def _outside(own: Floats, other: Floats) -> float:
    """Part of a region that another does not hold, less what half-filled border voxels leave open."""
    total = float(own.sum(dtype=np.float64))
    return float(np.clip(own - other, 0, 1).sum(dtype=np.float64)) / total if total else 0.0


def _border_on(own: Floats, tumors: RoiSet, liver: _Liver, frame: Grid) -> float:
    """Part of the voxels around a tumor, other tumors apart, that are liver."""
    from scipy import ndimage

    filled = np.pad(own > 0, 1)
    ring = (ndimage.binary_dilation(filled) & ~filled)[1:-1, 1:-1, 1:-1]
    others = union([t.on_window(frame) for t in tumors]) > 0
    ring &= ~others
    return float((liver.without_tumors[ring] > 0).mean()) if ring.any() else 1.0


def _at_edge(result: Assessment) -> float:
    """Part of the liver's outermost voxels that lie on the first or last slice, row or column of the activity image."""
    from scipy import ndimage

    grid = result.activity.grid
    livers = _livers(result.regions)
    filled = union([occupancy_onto(r, grid) for r in livers]) >= 0.5
    surface = filled & ~ndimage.binary_erosion(filled)
    edge = np.zeros(grid.shape, bool)
    for axis in range(3):
        for end in (0, -1):
            part: list[slice | int] = [slice(None)] * 3
            part[axis] = end
            edge[tuple(part)] = True
    count = int(surface.sum())
    return float((surface & edge).sum() / count) if count else 0.0


def _positions(regions: RoiSet) -> Iterator[Fact]:
    """Where liver and lungs lie to each other, in LPS: the head is at +z, the patient's right at -x."""
    livers, lungs = _livers(regions), regions.with_role("lung")
    if not livers or not lungs:
        return
    liver, lung = _middle(livers), _middle(lungs)
    yield Fact("lungs_above_liver_mm", float(lung[2] - liver[2]))
    yield Fact("liver_right_of_lungs_mm", float(lung[0] - liver[0]))


def _middle(rois: RoiSet) -> Floats:
    """Centroid of regions, (x, y, z) in LPS mm."""
    total, moment = 0.0, np.zeros(3)
    for roi in rois:
        weights = roi.occupancy.astype(np.float64)
        whole = weights.sum()
        index = [
            float((weights.sum(axis=tuple(a for a in range(3) if a != n)) @ np.arange(roi.grid.shape[n])) / whole)
            for n in range(3)
        ]
        total += whole * roi.grid.voxel_volume_ml
        moment += whole * roi.grid.voxel_volume_ml * roi.grid.points_lps_mm(index)
    return np.asarray(moment / total)


def _hounsfield(regions: RoiSet, ct: CtImage) -> Iterator[Fact]:
    """CT numbers at the middles of voxels that a region fills."""
    livers, lungs = _livers(regions), regions.with_role("lung")
    if livers:
        hu = np.concatenate([_hu_inside(r, ct) for r in livers])
        if hu.size:
            yield Fact("liver_hu_mean", float(hu.mean(dtype=np.float64)))
            yield Fact("liver_air_fraction", float((hu < AIR_HU).mean()))
            yield Fact("liver_bone_fraction", float((hu > BONE_HU).mean()))
    if lungs:
        hu = np.concatenate([_hu_inside(r, ct) for r in lungs])
        if hu.size:
            yield Fact("lungs_hu_mean", float(hu.mean(dtype=np.float64)))
    for tumor in regions.with_role("tumor"):
        hu = _hu_inside(tumor, ct)
        if hu.size:
            yield Fact("tumor_hu_mean", float(hu.mean(dtype=np.float64)), tumor.name)


def _hu_inside(roi: Roi, ct: CtImage) -> Floats:
    hu = ct.sampled_on(roi.grid, outside=np.nan)
    inside = hu[roi.occupancy >= 0.99]
    return inside[np.isfinite(inside)]


def _activity(result: Assessment, liver: _Liver | None) -> Iterator[Fact]:
    bq = result.activity.bq_per_ml
    negative, positive = -float(bq[bq < 0].sum(dtype=np.float64)), float(bq[bq > 0].sum(dtype=np.float64))
    if positive:
        yield Fact("negative_of_positive_fraction", negative / positive)
    total = result.totals.activity_mbq
    if liver is None or total <= 0:
        return
    share = result.activity.grid.voxel_volume_ml / 1e6 / total
    livers = result.regions.with_role(*IN_LIVER)
    grid = result.activity.grid
    weights = union([occupancy_onto(r, grid) for r in livers])
    in_liver = float((weights * bq).sum(dtype=np.float64)) * share
    lungs = sum(m.activity_mbq for m in result.rois.values() if m.role == "lung") / total
    if result.totals.liver_of_field_fraction is not None:
        yield Fact("liver_of_field_fraction", result.totals.liver_of_field_fraction)
    yield Fact("elsewhere_fraction", 1 - in_liver - lungs)
    perfused = result.regions.with_role("perfused")
    if perfused and in_liver > 0:
        reached = union([occupancy_onto(r, grid) for r in perfused])
        inside = float((reached * bq).sum(dtype=np.float64)) * share
        yield Fact("liver_outside_perfused_activity_fraction", max(0.0, 1 - inside / in_liver))
    shunt = result.case.administration.lung_shunt_fraction
    if lungs > 0 and shunt:
        yield Fact("lungs_against_shunt_factor", lungs / (lungs + in_liver) / shunt)


def _administration(result: Assessment) -> Iterator[Fact]:
    given = result.case.administration
    for roi, one in ((t.roi, t.given) for t in given.territories) if given.territories else (("", given),):
        if one.lung_shunt_fraction is not None:
            yield Fact("lung_shunt_fraction", one.lung_shunt_fraction, roi)
        if one.administered_mbq is not None:
            yield Fact("residual_fraction", one.residual_mbq / one.administered_mbq, roi)
            if one.device is not None:
                yield Fact(f"{one.device}_mbq", one.administered_mbq, roi)
    image = result.case.activity
    if given.at is not None and image.at is not None and image.radionuclide is not None:
        taken = getattr(image, "acquired_at", None) or image.at
        days = (given.at - taken).total_seconds() / 86400
        if image.radionuclide.name == given.radionuclide.name:
            yield Fact("scan_after_infusion_days", -days)
        else:
            yield Fact("planning_image_age_days", days)
    motion = result.case.registration
    if motion is not None:
        yield Fact("registration_shift_mm", float(np.linalg.norm(motion.shift_mm)), motion.moving)
        yield Fact("registration_rotation_deg", motion.rotation_deg, motion.moving)


def _results(result: Assessment) -> Iterator[Fact]:
    for row in result.tumor_to_normal:
        if row.by_concentration is not None and row.roi in result.rois:
            yield Fact("tumor_to_normal", row.by_concentration, row.roi)
    for name, m in result.rois.items():
        yield Fact("mean_dose_gy", m.mean_dose_gy, name)
        if m.role == "normal_liver":
            yield Fact("normal_liver_mean_dose_gy", m.mean_dose_gy, name)
    totals = result.totals
    if totals.energy_emitted_j > 0:
        yield Fact("energy_missing_fraction", 1 - totals.energy_j / totals.energy_emitted_j)
    yield Fact("dose_voxel_mm", max(result.dose.grid.spacing_mm))
