"""Which part of an image belongs to which territory, and the image scaled so that each holds its own activity.

A territory is its region and what lies within 10 mm of it, as blur and breathing carry activity across its edge; what is near
several belongs to the nearest. What lies in none keeps the mean scale of all, and is stated in MBq like what lies outside any
calibration region.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.calibration import REGION_MARGIN_MM, CalibrationRegion, calibration_region, nearest_within
from voxeldose.errors import QuantityError
from voxeldose.geometry.resample import roi_onto
from voxeldose.model.limits import is_within
from voxeldose.model.remarks import Numbers, Remark
from voxeldose.model.territory import TerritoryActivity
from voxeldose.model.volume import ActivityMap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.model.administration import Administration
    from voxeldose.model.arrays import Doubles, Floats
    from voxeldose.model.case import Case
    from voxeldose.model.grid import Grid
    from voxeldose.model.roi import RoiSet
    from voxeldose.model.volume import Volume

__all__ = ["TerritoryShares", "refuse_with_territories", "region_of", "share_out", "share_warnings"]

#: Roles that a territory's region may have: one that was infused.
TERRITORY_ROLES = ("perfused", "segment", "liver")

#: Volume that two territories may share by rounding of their outlines, as part of the smaller one.
OVERLAP_TOLERANCE = 1e-3

#: A territory's part of the image over its part of the activities given, outside which something is likely wrong (judgement).
SHARE_LIMITS = (0.8, 1.2)


@dataclass(frozen=True, eq=False)
class TerritoryShares:
    """The part of each image voxel that belongs to each territory.

    Parameters
    ----------
    given : Administration
        With its territories.
    grid : Grid
        Of the image.
    weights : tuple of ndarray, float32, (nk, nj, ni)
        One for each territory; together at most 1 in a voxel.
    remarks : tuple of Remark
        What is assumed about them.
    """

    given: Administration
    grid: Grid
    weights: tuple[Floats, ...]
    remarks: tuple[Remark, ...]

    @property
    def words(self) -> str:
        """The calibration regions, for people."""
        names = ", ".join(territory.roi for territory in self.given.territories)
        return f"the territories {names}, each grown by {REGION_MARGIN_MM:g} mm"

    def weights_of_all(self) -> Floats:
        """The part of each voxel that belongs to any territory."""
        total = np.zeros(self.grid.shape, np.float32)
        for weight in self.weights:
            total += weight
        return np.minimum(total, 1, out=total)

    def sums(self, values: Floats) -> Doubles:
        """Of voxels in each territory."""
        return np.array([float((values * weight).sum(dtype=np.float64)) for weight in self.weights])

    def held_mbq(self) -> Doubles:
        """Net activity less lung shunt of each territory, at its own infusion."""
        return np.array([territory.given.liver_mbq for territory in self.given.territories])

    def decayed(self) -> Doubles:
        """Part of an activity at the first infusion that is left at each territory's own; 1 where instants are not known."""
        first = self.given.at
        return np.array(
            [
                self.given.radionuclide.decay_factor((one.at - first).total_seconds()) if first and one.at else 1.0
                for one in self.given.infusions
            ]
        )

    def scaled(self, image: Volume) -> ActivityMap:
        """The image in Bq/mL, so that each territory holds its own activity; the mean scale in what belongs to none.

        Raises
        ------
        QuantityError
            If a territory shows no activity.
        """
        found, held = self.sums(image.values), self.held_mbq()
        for territory, value in zip(self.given.territories, found, strict=True):
            if value <= 0:
                msg = (
                    f"The territory {territory.roi} shows no activity ({value:g}), so the image cannot be scaled to what was "
                    "infused there. Check its region, and that the image was taken after that infusion."
                )
                raise QuantityError(msg, code="activity-none", region=territory.roi)
        per_value = 1e6 / self.grid.voxel_volume_ml
        return self._times(image, held / found * per_value, float(held.sum() / found.sum()) * per_value)

    def at_own_infusions(self, activity: ActivityMap) -> ActivityMap:
        """An activity at the first infusion, decayed to each territory's own; what belongs to none stays."""
        left = self.decayed()
        return activity if (left == 1).all() else self._times(activity, left, 1.0)

    def _times(self, image: Volume, factors: Doubles, elsewhere: float) -> ActivityMap:
        scale = np.full(self.grid.shape, elsewhere, np.float32)
        for weight, factor in zip(self.weights, factors, strict=True):
            scale += weight * np.float32(factor - elsewhere)
        return ActivityMap(
            image.values * scale,
            image.grid,
            at=self.given.at,
            radionuclide=self.given.radionuclide,
            remarks=image.remarks,
        )

    def own_part(self, image: Volume, rows: Sequence[TerritoryActivity], roi: str) -> Floats:
        """The part of each calibrated voxel that came by one territory's infusion.

        Parameters
        ----------
        image : Volume
            As it was read.
        rows : sequence of TerritoryActivity
            What each territory shows.
        roi : str
            The territory's region.
        """
        scales = np.array([row.region_mbq for row in rows]) / self.sums(image.values)
        parts = [weight * np.float32(scale) for weight, scale in zip(self.weights, scales, strict=True)]
        total = np.sum(parts, axis=0)
        own = parts[[territory.roi for territory in self.given.territories].index(roi)]
        return np.asarray(np.divide(own, total, out=np.zeros_like(own), where=total > 0), np.float32)

    def activities(
        self, image: Volume, at_first: ActivityMap | None, *, is_scaled: bool
    ) -> tuple[TerritoryActivity, ...]:
        """What each territory was given and shows.

        Parameters
        ----------
        image : Volume
            As it was read, for the shares of the territories in it.
        at_first : ActivityMap, optional
            The image's own Bq/mL at the first infusion, where units allow it.
        is_scaled : bool
            Whether the run scales the image to what was given.
        """
        held, left = self.held_mbq(), self.decayed()
        to_mbq = self.grid.voxel_volume_ml / 1e6
        absolute = self.sums(at_first.bq_per_ml) * left * to_mbq if at_first is not None else None
        shown = held if is_scaled or absolute is None else absolute
        at_once, found = held / left, self.sums(image.values)
        parts = found / found.sum() if found.sum() > 0 else np.full(found.size, math.nan)
        ratios = parts / (at_once / at_once.sum())
        return tuple(
            TerritoryActivity(
                roi=territory.roi,
                at=one.at.isoformat() if one.at else None,
                administered_mbq=one.administered_mbq or 0.0,
                residual_mbq=one.residual_mbq,
                net_mbq=one.net_mbq,
                lung_shunt_fraction=one.lung_shunt_fraction,
                lung_mbq=one.net_mbq - one.liver_mbq,
                held_mbq=one.liver_mbq,
                region_mbq=float(shown[n]),
                recovered_fraction=float(absolute[n] / held[n]) if absolute is not None else None,
                share_ratio=float(ratios[n]),
            )
            for n, (territory, one) in enumerate(zip(self.given.territories, self.given.infusions, strict=True))
        )


def share_out(given: Administration, rois: RoiSet, grid: Grid) -> TerritoryShares | None:
    """The territories of an administration on an image's grid; ``None`` where it has none.

    Parameters
    ----------
    given : Administration
        With territories, or without.
    rois : RoiSet
        The case's regions; those that territories name are needed.
    grid : Grid
        Of the image.

    Raises
    ------
    QuantityError
        If a region is not there or is none that is infused, or territories overlap and may not.
    """
    if not given.territories:
        return None
    occupied = []
    for territory in given.territories:
        roi = rois[territory.roi]
        if roi.role not in TERRITORY_ROLES:
            msg = (
                f"The territory {roi.name} has the role {roi.role}; a volume that was infused is needed: {', '.join(TERRITORY_ROLES)}. "
                "Name another ROI, or give this one another role."
            )
            raise QuantityError(msg, code="territory-role", roi=roi.name, role=roi.role)
        occupied.append(roi_onto(roi, grid)[0].on_window(grid))
    total = np.zeros(grid.shape, np.float32)
    for part in occupied:
        total += part
    shared = _require_apart(given, occupied, total, grid)
    inside = np.minimum(total, 1)
    weights = tuple(
        np.asarray(part / np.maximum(total, 1) + near * (1 - inside), np.float32)
        for part, near in zip(occupied, nearest_within(occupied, grid), strict=True)
    )
    return TerritoryShares(given, grid, weights, (*_assumed(given), *shared))


def region_of(case: Case, grid: Grid, shares: TerritoryShares | None) -> CalibrationRegion:
    """Where a case's activity less the lung shunt lies in its image: in all territories, or in the region of its calibration.

    Raises
    ------
    QuantityError
        If a case with territories names another calibration region, or a case without them has no region to name.
    """
    if shares is None:
        return calibration_region(case.rois, grid, case.calibration)
    if case.calibration.region is not None:
        msg = (
            f"The calibration region {case.calibration.region} (calibration_region) contradicts the territories "
            "([[administration.territory]]): each is calibrated by its own region. Keep one."
        )
        raise QuantityError(msg, code="keys-contradict", field="calibration_region")
    return CalibrationRegion(shares.words, shares.weights_of_all())


def _require_apart(given: Administration, occupied: list[Floats], total: Floats, grid: Grid) -> list[Remark]:
    """Refuse territories that overlap; where sharing is allowed, say how much they share."""
    shared_ml = float(np.clip(total - 1, 0, None).sum(dtype=np.float64)) * grid.voxel_volume_ml
    smallest_ml = min(float(part.sum(dtype=np.float64)) for part in occupied) * grid.voxel_volume_ml
    if shared_ml <= OVERLAP_TOLERANCE * smallest_ml:
        return []
    names = ", ".join(territory.roi for territory in given.territories)
    numbers: Numbers = {"rois": names, "volume_ml": shared_ml}
    if not given.overlap_shared:
        msg = (
            f"The territories {names} share {shared_ml:.2f} mL, of which it is not known what came by which vessel. Draw them apart, "
            'or share such voxels evenly (administration.territory_overlap = "shared").'
        )
        raise QuantityError(msg, code="territories-overlap", volume_ml=shared_ml)
    sentence = f"The territories {names} share {shared_ml:.2f} mL; such voxels belong to each in equal parts."
    return [Remark("territories-overlap-shared", numbers, sentence)]


def _assumed(given: Administration) -> list[Remark]:
    """How territories are told apart, and what is not known of them."""
    names = ", ".join(territory.roi for territory in given.territories)
    sentence = (
        f"Each of the territories {names} holds its own net activity less its own lung shunt, within {REGION_MARGIN_MM:g} mm of its "
        "region and no nearer to another; blur across a border that two share is taken for the other's. What lies in none keeps "
        "the mean scale of all."
    )
    remarks = [Remark("territories", {"rois": names, "count": len(given.territories)}, sentence)]
    instants = {one.at for one in given.infusions}
    if None in instants and len(instants) > 1:
        sentence = "Not every territory has an instant of infusion; all activities are taken as of their infusions."
        remarks.append(Remark("territory-instant-missing", {}, sentence))
    elif len(instants) > 1:
        hours = (max(instants) - min(instants)).total_seconds() / 3600  # type: ignore[operator, type-var]  # none is None
        sentence = (
            f"The territories were infused up to {hours:.1f} h apart: activity and decays of each count from its own infusion, those "
            "of what lies in none from the first."
        )
        remarks.append(Remark("territory-instants-differ", {"hours_apart": hours}, sentence))
    without = [t.roi for t in given.territories if t.given.lung_shunt_fraction is None]
    if without and given.lung_shunt_fraction is not None:
        sentence = f"No lung shunt fraction was given for the territories {', '.join(without)}: 0 is taken."
        remarks.append(Remark("territory-shunt-missing", {"rois": ", ".join(without)}, sentence))
    return remarks


def share_warnings(rows: tuple[TerritoryActivity, ...], *, shows_spheres: bool) -> tuple[Remark, ...]:
    """Territories whose part of the image is far from their part of the activities.

    An image of MAA says nothing of that: how much went into which vessel is not the same then.
    """
    apart = [row for row in rows if not is_within(row.share_ratio, *SHARE_LIMITS)]
    if not shows_spheres or not apart:
        return ()
    low, high = SHARE_LIMITS
    shown = ", ".join(f"{row.roi} {row.share_ratio:.2f}" for row in apart)
    sentence = (
        f"Of all that the territories show, the image's part over the activities' part is outside {low} to {high}: {shown}. Check "
        "which activity went into which vessel, and the regions."
    )
    return (Remark("territories-disagree", {"rois": ", ".join(row.roi for row in apart)}, sentence),)


def refuse_with_territories(given: Administration, what: str, why: str) -> None:
    """Refuse for a case with territories what rests on one scale for the whole image.

    Raises
    ------
    QuantityError
        If the administration has territories.
    """
    if given.territories:
        msg = f"{what} cannot be used with territories: {why} Leave it out, or assess each territory as a case of its own."
        raise QuantityError(msg, code="territories-not-supported", found=what)
