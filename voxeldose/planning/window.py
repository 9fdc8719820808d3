"""Days and hours at which a vial fits: what each brings to the perfused volume, and how many spheres of how much activity."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from voxeldose.dose.compartment import compartment_gy
from voxeldose.errors import QuantityError
from voxeldose.model.administration import require_above_zero, require_activity
from voxeldose.model.radionuclide import Y90
from voxeldose.model.volume import require_zone
from voxeldose.planning.plan import Lungs
from voxeldose.planning.vials import MOST_ABOVE, Product, VialOption, offered_vials, require_residual

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.model.radionuclide import Radionuclide

__all__ = ["WEEKDAYS", "Target", "WindowRow", "calibrations_on", "hours_of", "plan_window"]

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True)
class Target:
    """What the activity is for.

    Parameters
    ----------
    activity_mbq : float
        Wanted in the patient at the infusion.
    perfused_g : float, optional
        Mass of the perfused volume, for its mean dose by single compartment.
    perfused_ml : float, optional
        Its volume, for spheres per millilitre.
    lungs : Lungs
        How much goes there.
    residual_fraction, most_above : float
        As in :func:`voxeldose.planning.vials.plan_vial`.
    assay_h : float, optional
        Hours before the infusion at which the vial is assayed.
    """

    activity_mbq: float
    perfused_g: float | None = None
    perfused_ml: float | None = None
    lungs: Lungs = field(default_factory=Lungs)
    residual_fraction: float = 0.0
    most_above: float = MOST_ABOVE
    assay_h: float | None = None

    def __post_init__(self) -> None:
        require_activity(self.activity_mbq)
        require_residual(self.residual_fraction)
        for name, value, unit in (("perfused mass", self.perfused_g, "g"), ("perfused volume", self.perfused_ml, "mL")):
            if value is not None:
                require_above_zero(value, name, unit)


@dataclass(frozen=True)
class WindowRow:
    """One vial at one hour.

    ``perfused_gy`` is ``K A (1 - LSF) / m`` of what the whole vial brings less the residual; ``spheres_per_ml`` are its spheres
    less those of lungs and residual over the perfused volume; ``assay_mbq`` is what the activity meter should show at the assay.
    """

    at: datetime
    vial: VialOption
    perfused_gy: float | None
    spheres_per_ml: float | None
    assay_mbq: float | None


def hours_of(first: datetime, days: int, hours: tuple[int, int], step_h: int = 1) -> tuple[datetime, ...]:
    """Every so many hours between two hours of each of some days, in the zone of the first."""
    require_zone(first, "the first day (from)")
    opening, closing = hours
    if not (0 <= opening <= closing <= 23):
        msg = f"Hours run from 0 to 23 and the second is not before the first, found {opening} to {closing}."
        raise QuantityError(msg, code="value-out-of-range")
    midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
    every = [
        midnight + timedelta(days=day, hours=hour)
        for day in range(days)
        for hour in range(opening, closing + 1, step_h)
    ]
    return tuple(at for at in every if at >= first)


def calibrations_on(
    weekdays: Sequence[str], hour: str, instants: Sequence[datetime], back_days: int = 14
) -> tuple[datetime, ...]:
    """The calibrations on these weekdays at this hour (``HH:MM``), from some days before the first instant to the last."""
    clock = datetime.strptime(hour, "%H:%M")  # noqa: DTZ007 - an hour of the day, set into instants that have a zone
    start = instants[0].replace(hour=clock.hour, minute=clock.minute, second=0, microsecond=0)
    days = (instants[-1] - instants[0]).days + back_days + 1
    every = (start + timedelta(days=day - back_days) for day in range(days + 1))
    return tuple(at for at in every if WEEKDAYS[at.weekday()] in weekdays and at <= instants[-1])


def plan_window(
    target: Target,
    instants: Sequence[datetime],
    calibrations: Sequence[datetime],
    product: Product,
    radionuclide: Radionuclide = Y90,
) -> tuple[WindowRow, ...]:
    """Every vial that is offered at every instant, in order of time.

    Parameters
    ----------
    target : Target
        What is wanted.
    instants, calibrations : sequence of datetime
        Possible infusions; calibrations of vials. A vial counts from its calibration to the end of its shelf life.
    product : Product
        Sizes, spheres and shelf life.
    radionuclide : Radionuclide
        With the set of constants.

    Raises
    ------
    QuantityError
        If no vial is offered at any of these hours, or a number is impossible.
    """
    rows = [
        _row(at, vial, target, radionuclide)
        for at in instants
        for vial in offered_vials(
            target.activity_mbq,
            at,
            calibrations,
            product,
            radionuclide,
            residual_fraction=target.residual_fraction,
            most_above=target.most_above,
        )
    ]
    if not rows:
        msg = (
            f"No {product.name} vial brings {target.activity_mbq:.0f} MBq and at most {100 * target.most_above:g} % more at any of these "
            "hours. Name other days, other calibrations or sizes (--product), or allow more (--most-above-percent)."
        )
        raise QuantityError(msg, code="window-empty", activity_mbq=target.activity_mbq)
    return tuple(rows)


def _row(at: datetime, vial: VialOption, target: Target, radionuclide: Radionuclide) -> WindowRow:
    kept = (1 - target.residual_fraction) * (1 - (target.lungs.shunt_fraction or 0.0))
    k, mbq = radionuclide.gy_kg_per_gbq, vial.at_infusion_mbq
    gy = compartment_gy(k, mbq, target.perfused_g, part=kept) if target.perfused_g is not None else None
    per_ml = vial.spheres * kept / target.perfused_ml if vial.spheres is not None and target.perfused_ml else None
    assay = mbq / radionuclide.decay_factor(target.assay_h * 3600) if target.assay_h is not None else None
    return WindowRow(at, vial, gy, per_ml, assay)
