"""What was given to a patient: activities at the instant of infusion, and doubts about their units."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxeldose.errors import QuantityError
from voxeldose.model.limits import is_within
from voxeldose.model.remarks import Remark
from voxeldose.model.territory import instants, lung_shunt_of, require_distinct
from voxeldose.model.volume import require_zone

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from voxeldose.model.radionuclide import Radionuclide
    from voxeldose.model.territory import TreatedTerritory

__all__ = [
    "ADMINISTRATIONS_APART_S",
    "DEVICES",
    "Administration",
    "Assay",
    "administration_from_assays",
    "administration_of",
    "require_above_zero",
    "require_activity",
    "require_shunt",
    "unit_doubts",
]

#: Administrations of header and user that lie further apart than this count as different (judgement).
ADMINISTRATIONS_APART_S = 600.0


DEVICES = ("glass", "resin")


#: What an infusion, a liver compartment and lungs lie within by far; beyond, another unit was likely meant.
LIKELY_MBQ = (20.0, 40_000.0)

LIKELY_LIVER_G = (0.05, 8000.0)

LIKELY_LUNG_G = (100.0, 5000.0)


def unit_doubts(
    activity_mbq: float | None = None, liver_g: Sequence[float] = (), lung_g: float | None = None
) -> tuple[Remark, ...]:
    """Warnings of numbers that look like GBq given as MBq, or kilograms as grams; masses of 0 mean that there is none."""
    doubts = []
    if activity_mbq is not None and not is_within(activity_mbq, *LIKELY_MBQ):
        sentence = (
            f"{activity_mbq:g} MBq is no usual activity of an infusion: check that activities are in MBq, masses in g."
        )
        doubts.append(Remark("activity-unusual", {"activity_mbq": activity_mbq}, sentence))
    total = sum(liver_g)
    if total and not (total >= 2 and all(is_within(g, *LIKELY_LIVER_G) for g in liver_g if g)):
        masses = ", ".join(f"{g:g}" for g in liver_g)
        sentence = f"Masses of {masses} g are no usual part of a liver: check that they are in g."
        doubts.append(Remark("liver-mass-unusual", {"mass_g": total}, sentence))
    if lung_g is not None and not is_within(lung_g, *LIKELY_LUNG_G):
        sentence = f"{lung_g:g} g is no usual mass of lungs: check that it is in g."
        doubts.append(Remark("lung-mass-unusual", {"mass_g": lung_g}, sentence))
    return tuple(doubts)


def require_shunt(fraction: float | None) -> None:
    """Refuse a lung shunt fraction outside 0 to 1, percent included."""
    if fraction is not None and not 0 <= fraction < 1:
        msg = f"The lung shunt fraction must be at least 0 and below 1 (a fraction, not percent), found {fraction}."
        raise QuantityError(msg, code="value-out-of-range", field="lung_shunt_fraction", found=fraction)


def require_above_zero(value: float, what: str, unit: str) -> None:
    """Refuse a number that is not above 0, by its name."""
    if not (math.isfinite(value) and value > 0):
        msg = f"The {what} must be above 0{' ' + unit if unit else ''}, found {value}."
        raise QuantityError(msg, code="value-out-of-range", field=what, found=value)


def require_activity(activity_mbq: float | None) -> float:
    """The activity, refused if it is not above 0 MBq."""
    if activity_mbq is None or not (math.isfinite(activity_mbq) and activity_mbq > 0):
        msg = f"The activity must be above 0 MBq, found {activity_mbq}."
        raise QuantityError(msg, code="value-out-of-range", field="activity_mbq", found=activity_mbq)
    return activity_mbq


@dataclass(frozen=True)
class Administration:
    """What was given, all activities at the instant of infusion.

    Parameters
    ----------
    radionuclide : Radionuclide
        With the set of constants that rules the run.
    administered_mbq : float, optional
        Activity in the vial, decayed to the infusion.
    at : datetime, optional
        The infusion, with its time zone.
    residual_mbq : float
        Left in vial and tubing, at the same instant.
    lung_shunt_fraction : float, optional
        Fraction of the net activity that went to the lungs, 0 to 1; 0 if not given, and the results say so.
    device : str, optional
        ``glass`` or ``resin``; decides which published thresholds apply.
    territories : tuple of TreatedTerritory
        Where several vessels were infused: what each got. The activities here are then their sums, see
        :func:`administration_of`.
    overlap_shared : bool
        Whether voxels that lie in several territories are shared evenly among them; refused otherwise.

    Raises
    ------
    QuantityError
        For a negative activity, a residual above the vial, a fraction outside 0–1, an instant without zone.
    """

    radionuclide: Radionuclide
    administered_mbq: float | None = None
    at: datetime | None = None
    residual_mbq: float = 0.0
    lung_shunt_fraction: float | None = None
    device: str | None = None
    territories: tuple[TreatedTerritory, ...] = ()
    overlap_shared: bool = False

    def __post_init__(self) -> None:
        given = self.administered_mbq
        if given is not None and not (math.isfinite(given) and given > 0):
            msg = f"administered_mbq must be above 0 MBq, found {given}."
            raise QuantityError(msg, code="value-out-of-range", field="administered_mbq", found=given)
        if not (math.isfinite(self.residual_mbq) and self.residual_mbq >= 0):
            msg = f"residual_mbq must be 0 MBq or more, found {self.residual_mbq}."
            raise QuantityError(msg, code="value-out-of-range", field="residual_mbq", found=self.residual_mbq)
        if given is not None and self.residual_mbq >= given:
            msg = f"residual_mbq = {self.residual_mbq} must be less than administered_mbq = {given}."
            raise QuantityError(msg, code="keys-contradict", field="residual_mbq", found=self.residual_mbq)
        shunt = self.lung_shunt_fraction
        if shunt is not None and not 0 <= shunt < 1:
            msg = f"lung_shunt_fraction must be at least 0 and below 1 (a fraction, not percent), found {shunt}."
            raise QuantityError(msg, code="value-out-of-range", field="lung_shunt_fraction", found=shunt)
        if self.device is not None and self.device not in DEVICES:
            msg = f"device must be {' or '.join(DEVICES)}, found {self.device!r}."
            raise QuantityError(msg, code="value-unknown", field="device", found=self.device)
        require_zone(self.at, "administration.at")

    @property
    def net_mbq(self) -> float:
        """Activity that entered the patient: administered less residual.

        Raises
        ------
        QuantityError
            If no administered activity is known.
        """
        if self.administered_mbq is None:
            msg = "The administered activity is not known; give administered_mbq (vial activity at the infusion)."
            raise QuantityError(msg, code="activity-missing", field="administered_mbq")
        return self.administered_mbq - self.residual_mbq

    @property
    def liver_mbq(self) -> float:
        """Net activity less the lung shunt."""
        return self.net_mbq * (1 - (self.lung_shunt_fraction or 0.0))

    @property
    def infusions(self) -> tuple[Administration, ...]:
        """Each infusion alone: of every territory, or the only one."""
        return tuple(territory.given for territory in self.territories) or (self,)


def administration_of(territories: Sequence[TreatedTerritory], *, overlap_shared: bool = False) -> Administration:
    """Several infusions as one administration: activities add up, and the lung shunt is that of all net activity.

    Its instant is that of the first infusion; every activity keeps holding at its own infusion, so that sums of activities are
    proportional to decays and thus to dose.

    Parameters
    ----------
    territories : sequence of TreatedTerritory
        One for every infusion, each with an activity and a region of its own.
    overlap_shared : bool
        Whether territories may share voxels, which then belong to them in equal parts.

    Raises
    ------
    QuantityError
        If there is none, two name one region, one has no activity, or their constants or devices differ.
    """
    if not territories:
        msg = "At least one territory is needed."
        raise QuantityError(msg, code="territory-missing")
    require_distinct(territories)
    given = [territory.given for territory in territories]
    first = given[0]
    if any((one.radionuclide, one.device) != (first.radionuclide, first.device) for one in given):
        msg = "All territories of a case need the same constants and the same device."
        raise QuantityError(msg, code="keys-contradict", field="device")
    return Administration(
        first.radionuclide,
        sum(one.administered_mbq or 0.0 for one in given),
        min(instants(territories), default=None),
        sum(one.residual_mbq for one in given),
        lung_shunt_of(territories),
        first.device,
        tuple(territories),
        overlap_shared,
    )


@dataclass(frozen=True)
class Assay:
    """An activity in MBq as it was measured at an instant."""

    mbq: float
    at: datetime


def administration_from_assays(
    radionuclide: Radionuclide,
    *,
    at: datetime,
    vial: Assay,
    residual: Assay | None = None,
    lung_shunt_fraction: float | None = None,
) -> Administration:
    """Bring the assays of vial and residual, each with its own instant, to the infusion.

    ``A(t) = A_ref · 2^(-(t - t_ref)/T½)`` for both: the vial decays forward to the infusion, the residual back to it.

    Parameters
    ----------
    radionuclide : Radionuclide
        With the run's constants.
    at : datetime
        The infusion.
    vial, residual : Assay
        Each as it was measured.
    lung_shunt_fraction : float, optional
        0 to 1.

    Raises
    ------
    QuantityError
        If an instant has no zone, the infusion lies before the vial's assay, the residual was measured before the infusion, or
        an activity is impossible.
    """
    require_zone(at, "the infusion (at)")
    require_zone(vial.at, "the vial's assay (assayed_at)")
    if at < vial.at:
        msg = (
            f"The infusion at {at.isoformat()} lies before the vial's assay or calibration {vial.at.isoformat()}. Check dates and "
            "time zones, or give the activity as of the infusion."
        )
        raise QuantityError(msg, code="instants-disordered", field="assayed_at")
    if residual is not None:
        require_zone(residual.at, "the residual's assay (residual_at)")
        if residual.mbq and residual.at < at:
            msg = f"The residual was measured at {residual.at.isoformat()}, before the infusion at {at.isoformat()}. Check both."
            raise QuantityError(msg, code="instants-disordered", field="residual_at")

    def at_infusion(assay: Assay) -> float:
        return assay.mbq * radionuclide.decay_factor((at - assay.at).total_seconds())

    left = at_infusion(residual) if residual else 0.0
    return Administration(radionuclide, at_infusion(vial), at, left, lung_shunt_fraction)
