"""Lung shunt fraction from a reconstructed image with regions; the lungs' mass from a density image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.assumptions import image_doubts
from voxeldose.dose.lungs.shunt import FIELD_OF_VIEW, Counts, shunt_by_spect
from voxeldose.errors import GeometryError, QuantityError
from voxeldose.geometry.resample import onto, roi_onto
from voxeldose.model.lungs import LungMass, LungSettings, LungShunt
from voxeldose.model.remarks import Remark, distinct
from voxeldose.model.roi import union
from voxeldose.model.roles import LIVER_ROLES

if TYPE_CHECKING:
    from voxeldose.model.arrays import Floats
    from voxeldose.model.grid import Grid
    from voxeldose.model.roi import RoiSet
    from voxeldose.model.volume import ActivityMap, CountMap, DensityMap

__all__ = ["lung_mass", "spect_shunt"]

#: A larger part of the lungs outside the image is a warning.
OUTSIDE_WARNING = 0.01


def lung_mass(density: DensityMap, rois: RoiSet) -> LungMass:
    """Mass of the lung regions from a density image: the sum of density times volume.

    Raises
    ------
    QuantityError
        If there is no lung region.
    GeometryError
        If a lung region reaches beyond the image, so that its mass is not known.
    """
    lungs = _lungs(rois)
    grid = density.grid
    for roi in lungs:
        _, outside = roi_onto(roi, grid)
        if outside > OUTSIDE_WARNING:
            msg = (
                f"{outside:.1%} of ROI {roi.name} lies outside the density image, so the lungs' mass is not known. Give a CT "
                "of the whole lungs, or the mass itself (--lung-mass-g)."
            )
            raise GeometryError(msg, code="roi-outside-image", roi=roi.name, outside_fraction=outside)
    grams = _lung_only(density, lungs).total() * grid.voxel_volume_ml
    return LungMass(grams, f"CT density in {', '.join(lungs.names())}")


def _lung_only(density: DensityMap, lungs: RoiSet) -> DensityMap:
    """Grams of lung per millilitre, on the density's own voxels: on coarser ones the lungs' rim would weigh as liver does."""
    occupancy = union([roi_onto(roi, density.grid)[0].on_window(density.grid) for roi in lungs])
    return density.replaced(occupancy * density.g_per_ml)


def _lungs(rois: RoiSet) -> RoiSet:
    lungs = rois.with_role("lung")
    if not lungs:
        msg = f"There is no ROI with the role lung; there are {', '.join(rois.names()) or 'none'}. Say it with labels."
        raise QuantityError(msg, code="region-missing", role="lung")
    return lungs


@dataclass(frozen=True, eq=False)
class _LungVoxels:
    """Occupancy on the image's grid: of all lung that the image shows, of the lung that is counted, of the liver.

    ``outside`` is the part of each lung region that lies outside the image, where there is any; ``empty_fraction`` the part of all
    lung in the image that lies in slices of nothing but zeros, beyond the field of view; ``at_edge`` whether lung ends where the
    field of view does.
    """

    shown: Floats
    counted: Floats
    liver: Floats
    outside: dict[str, float]
    empty_fraction: float
    at_edge: bool


@dataclass(frozen=True)
class _LungSeen:
    """Amount of lung counted and of all lung, and what they are measured by: volume or mass."""

    counted: float
    whole: float
    measure: str

    @property
    def part(self) -> float:
        return self.counted / self.whole


def spect_shunt(
    image: CountMap | ActivityMap,
    rois: RoiSet,
    *,
    density: DensityMap | None = None,
    lungs: LungSettings | None = None,
) -> LungShunt:
    """Lung shunt fraction from a reconstructed image with lung and liver regions.

    Lung nearer to the liver than ``dome_margin_mm`` (blur and breathing carry liver counts there), outside the image, or in end
    slices of nothing but zeros (beyond the field of view) is not counted; the lungs' counts are then scaled by the mass of all
    lung over the mass seen, as if uptake per gram were even. Where the region itself ends with the field of view, how much is
    missing is not known: the counts are scaled only where the user gives the mass or the volume of whole lungs.

    Parameters
    ----------
    image : CountMap or ActivityMap
        Attenuation- and scatter-corrected, of one instant; any unit proportional to activity.
    rois : RoiSet
        With the roles lung and liver (tumor, segment, perfused count as liver).
    density : DensityMap, optional
        For masses; without it lung density is taken as even, so that volumes stand for masses.
    lungs : LungSettings, optional
        The margin next to the liver, and the mass (needs ``density``) or volume of whole lungs.

    Raises
    ------
    QuantityError
        If a role is missing, the margin leaves no lung, or counts are not positive.
    """
    settings = lungs or LungSettings()
    regions, livers = _lungs(rois), rois.with_role(*LIVER_ROLES)
    if not livers:
        msg = f"There is no ROI of the liver; there are {', '.join(rois.names())}. Say it with labels."
        raise QuantityError(msg, code="region-missing", role="liver")
    image.require_finite()
    voxels = _lung_voxels(regions, livers, image, settings.dome_margin_mm)
    seen = _lung_seen(voxels, regions, image.grid, density, settings)
    counted = float((image.values * voxels.counted).sum(dtype=np.float64))
    in_lung = counted * seen.whole / seen.counted
    in_liver = float((image.values * voxels.liver).sum(dtype=np.float64))
    if in_lung < 0 or in_liver <= 0:
        msg = (
            f"Counts of lung ({in_lung:.6g}) and liver ({in_liver:.6g}) must not be negative. Check image and regions."
        )
        raise QuantityError(msg, code="value-out-of-range")
    doubts = image_doubts(image)
    assumptions = (
        *(note for note in image.remarks if note not in doubts),
        *(n for r in rois for n in r.remarks),
        *_assumptions(regions, livers, seen, settings.dome_margin_mm),
    )
    return shunt_by_spect(
        Counts(in_lung, in_liver),
        f"shunt = N_lung / (N_lung + N_liver), N_lung = counts seen * lung {seen.measure} / lung {seen.measure} seen",
        {
            "lung_counts_seen": counted,
            "lung_part_seen": seen.part,
            "lung_at_edge": voxels.at_edge,
            "dome_margin_mm": settings.dome_margin_mm,
            "lung_ml": sum(r.volume_ml for r in regions),
            "whole_lung_mass_g": settings.mass_g,
            "whole_lung_volume_ml": settings.volume_ml,
        },
        distinct(assumptions),
        (*doubts, *_warnings(voxels, settings)),
    )


def _lung_voxels(lungs: RoiSet, livers: RoiSet, image: CountMap | ActivityMap, dome_margin_mm: float) -> _LungVoxels:
    grid = image.grid
    moved = [roi_onto(roi, grid) for roi in lungs]
    inside = union([roi.on_window(grid) for roi, _ in moved])
    liver = union([roi_onto(roi, grid)[0].on_window(grid) for roi in livers])
    first, last = _filled_slices(image.values)
    shown = np.zeros_like(inside)
    shown[first : last + 1] = inside[first : last + 1]
    total = float(inside.sum(dtype=np.float64))
    empty = 1 - float(shown.sum(dtype=np.float64)) / total if total else 0.0
    if not shown.any():  # all of the lungs are in empty slices: nothing was counted there
        shown = inside
    counted = np.clip(shown, 0, 1 - liver) * (_far_from(liver, grid, dome_margin_mm) if dome_margin_mm else 1)
    if not counted.any():
        msg = f"No lung is left farther than {dome_margin_mm:g} mm from the liver. Use a smaller margin."
        raise QuantityError(msg, code="margin-too-large", dome_margin_mm=dome_margin_mm)
    ends = (shown[first], shown[last], *(shown.take(end, axis) for axis in (1, 2) for end in (0, -1)))
    outside = {roi.name: part for roi, part in moved if part > 0}
    is_known = bool(outside) or empty > 0  # the rest of the region says how much is missing
    return _LungVoxels(shown, counted, liver, outside, empty, not is_known and any(bool(e.any()) for e in ends))


def _filled_slices(values: Floats) -> tuple[int, int]:
    """First and last slice that hold anything but zeros: resampling and reconstruction fill what was not scanned with them."""
    filled = np.flatnonzero(values.any(axis=(1, 2)))
    return (int(filled[0]), int(filled[-1])) if filled.size else (0, values.shape[0] - 1)


def _far_from(liver: Floats, grid: Grid, margin_mm: float) -> Floats:
    """1 where a voxel's centre lies farther than the margin from every voxel centre of the liver."""
    from scipy.ndimage import distance_transform_edt

    return np.asarray(distance_transform_edt(liver < 0.5, sampling=grid.spacing_mm) > margin_mm, np.float32)


def _lung_seen(
    voxels: _LungVoxels, lungs: RoiSet, grid: Grid, density: DensityMap | None, settings: LungSettings
) -> _LungSeen:
    if density is None or settings.volume_ml is not None:
        if settings.mass_g is not None:
            msg = "The mass of the lungs seen is needed as well as that of all lungs; give a CT (--ct), or the lungs' volume."
            raise QuantityError(msg, code="density-missing")
        seen = float(voxels.counted.sum(dtype=np.float64)) * grid.voxel_volume_ml
        whole = settings.volume_ml if settings.volume_ml is not None else sum(r.volume_ml for r in lungs)
        return _scaled_to(seen, whole, "volume", "mL")
    counted = voxels.counted / np.maximum(voxels.shown, np.float32(1e-6))
    grams = onto(_lung_only(density, lungs), grid).g_per_ml
    seen = float((grams * counted).sum(dtype=np.float64)) * grid.voxel_volume_ml
    whole = settings.mass_g if settings.mass_g is not None else lung_mass(density, lungs).grams
    return _scaled_to(seen, whole, "mass", "g")


def _scaled_to(seen: float, whole: float, measure: str, unit: str) -> _LungSeen:
    if seen <= 0 or seen > 1.02 * whole:  # rounding of regions on two grids
        msg = (
            f"{seen:.0f} {unit} of lung are seen but all lungs are {whole:.0f} {unit}; check --lung-mass-g or --lung-volume-ml, CT "
            "and regions."
        )
        raise QuantityError(msg, code="values-contradict", seen=seen, whole=whole)
    return _LungSeen(seen, max(whole, seen), measure)


def _assumptions(lungs: RoiSet, livers: RoiSet, seen: _LungSeen, dome_margin_mm: float) -> list[Remark]:
    lung_names, liver_names = ", ".join(lungs.names()), ", ".join(livers.names())
    remarks = [
        Remark(
            "lung-and-liver-regions",
            {"lung": lung_names, "liver": liver_names},
            f"Lung: {lung_names}; liver: {liver_names}; a voxel of both counts as liver.",
        ),
        Remark(
            "lung-counts-scaled",
            {"seen_fraction": seen.part, "measure": seen.measure},
            f"Counts of {seen.part:.1%} of the lungs (by {seen.measure}) stand for all of them.",
        ),
    ]
    if dome_margin_mm:
        sentence = f"Lung within {dome_margin_mm:g} mm of the liver is left out of lung and liver counts."
        remarks.append(Remark("dome-margin", {"dome_margin_mm": dome_margin_mm}, sentence))
    return remarks


def _warnings(voxels: _LungVoxels, settings: LungSettings) -> list[Remark]:
    remarks = [FIELD_OF_VIEW]
    if not settings.dome_margin_mm:
        sentence = (
            "No margin next to the liver dome is left out: blur and breathing carry liver counts into the right lung "
            "(--dome-margin-mm, about the image's resolution and more)."
        )
        remarks.append(Remark("dome-margin-missing", {}, sentence))
    remarks += [
        Remark(
            "roi-outside-image",
            {"roi": name, "outside_fraction": part},
            f"{part:.1%} of {name} lies outside the image; its counts are taken from the rest.",
        )
        for name, part in voxels.outside.items()
        if part > OUTSIDE_WARNING
    ]
    if voxels.empty_fraction > OUTSIDE_WARNING:
        part = voxels.empty_fraction
        sentence = (
            f"{part:.1%} of the lungs in the image lie in slices that hold nothing but zeros, beyond the field of view; "
            f"{'their counts are taken from the rest' if part < 1 else 'nothing was counted in them'}."
        )
        remarks.append(Remark("lung-beyond-field-of-view", {"outside_fraction": part}, sentence))
    if voxels.at_edge and not settings.is_whole_given:
        sentence = (
            "A lung region ends where the image does, so that lung beyond the field of view is likely missing from region and "
            "counts: the shunt fraction comes out too low. Give the volume or the mass of whole lungs to scale the counts "
            "(--lung-volume-ml, or --lung-mass-g with a CT), or a region of whole lungs."
        )
        remarks.append(Remark("lung-at-image-edge", {}, sentence))
    return remarks
