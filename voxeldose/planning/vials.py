"""From the activity in the patient back to the vial: residual, decay, sizes, calibration days, and how many spheres that is.

``A(t) = A_ref 2^(-(t - t_ref)/T½)``; ``SA(t) = SA_cal 2^(-(t - t_cal)/T½)``; ``N = A / SA``, the same at any time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from voxeldose.errors import QuantityError
from voxeldose.model.administration import require_activity, unit_doubts
from voxeldose.model.limits import is_within, meets
from voxeldose.model.radionuclide import Y90
from voxeldose.model.remarks import Remark
from voxeldose.model.volume import require_zone

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from voxeldose.model.radionuclide import Radionuclide

__all__ = [
    "CURIE_BQ",
    "Product",
    "VialOption",
    "VialPlan",
    "bq_per_sphere_at",
    "fraction_delivered",
    "offered_vials",
    "plan_vial",
    "require_residual",
]

#: Exact by definition.
CURIE_BQ = 3.7e10

#: A vial this old (about 27 half-lives) holds less than a hundred-millionth; such a date is a mistake.
DECAYED_H = 24.0 * 73

#: Five times the largest vial on the market; a size above it is MBq given as GBq.
LARGEST_GBQ = 100.0

#: A vial given whole that holds more than this part above what is needed is warned of (judgement): a perfused volume that is to
#: get 400 Gy then gets more than 500 Gy.
MOST_ABOVE = 0.25

#: A vial is not proposed to be kept for longer than a week (judgement).
LONGEST_WAIT_H = 168.0

RESIDUAL_MISSING = Remark("residual-missing", {"residual_mbq": 0.0}, "No residual was given: 0 is taken.")


@dataclass(frozen=True)
class Product:
    """What a supplier delivers.

    Parameters
    ----------
    name : str
        ``glass`` or ``resin``.
    vials_gbq : tuple of float
        Sizes at calibration; empty where any activity can be ordered.
    vials_source : str
        Where they come from.
    bq_per_sphere : float, optional
        At calibration.
    bq_per_sphere_source : str
        Where it comes from.
    shelf_life_h : float, optional
        From calibration to the last use.
    is_divisible : bool
        Whether a part of a vial is drawn, so that it may hold any amount above what is needed.
    """

    name: str
    vials_gbq: tuple[float, ...] = ()
    vials_source: str = "any activity"
    bq_per_sphere: float | None = None
    bq_per_sphere_source: str = "given"
    shelf_life_h: float | None = None
    is_divisible: bool = False

    def __post_init__(self) -> None:
        numbers = [*self.vials_gbq, *(x for x in (self.bq_per_sphere, self.shelf_life_h) if x is not None)]
        if not all(math.isfinite(x) and x > 0 for x in numbers):
            msg = f"{self.name}: vial sizes, activity per sphere and shelf life must be above 0, found {numbers}."
            raise QuantityError(msg, code="value-out-of-range")
        if any(size > LARGEST_GBQ for size in self.vials_gbq):
            msg = f"{self.name}: vial sizes are in GBq, found {max(self.vials_gbq):g}; no vial holds more than {LARGEST_GBQ:g} GBq."
            raise QuantityError(msg, code="value-out-of-range")


@dataclass(frozen=True)
class VialOption:
    """One vial at the infusion.

    ``net_mbq`` is what the whole vial brings into the patient, less the residual; ``excess_fraction`` how much that is above the
    wanted activity; ``is_offered`` whether it holds enough and not too much.
    """

    vial_gbq: float
    calibration_at: datetime
    at_infusion_mbq: float
    net_mbq: float
    excess_fraction: float
    bq_per_sphere: float | None
    spheres: float | None
    is_offered: bool = True

    @property
    def vial_mci(self) -> float:
        """The same size in millicurie."""
        return self.vial_gbq * 1e12 / CURIE_BQ


@dataclass(frozen=True)
class VialPlan:
    """The vial for an activity.

    Parameters
    ----------
    chosen : VialOption
        The smallest that is enough.
    options : tuple of VialOption
        Every size of every calibration that can be used, in order of their activity at the infusion.
    needed_mbq : float
        In the vial at the infusion.
    spheres : float or None
        That carry the wanted activity; in the whole vial there are ``chosen.spheres``.
    spheres_per_ml : float or None
        Over the tumor volume, if all went there: an upper bound.
    """

    activity_mbq: float
    at: datetime
    radionuclide: Radionuclide
    chosen: VialOption
    options: tuple[VialOption, ...]
    needed_mbq: float
    spheres: float | None
    spheres_per_ml: float | None
    assumptions: tuple[Remark, ...]
    sources: tuple[str, ...]
    warnings: tuple[Remark, ...] = ()
    offer_rule: str = ""
    formula: str = "A_vial(cal) = A 2^((t - t_cal)/T½) / (1 - R); SA(t) = SA_cal 2^(-(t - t_cal)/T½); N = A / SA"


def require_residual(fraction: float) -> None:
    """Refuse a residual outside 0 to 1, percent included."""
    if not (math.isfinite(fraction) and 0 <= fraction < 1):
        msg = f"The residual must be at least 0 and below 1 (a fraction, not percent), found {fraction}."
        raise QuantityError(msg, code="value-out-of-range")


def fraction_delivered(elapsed_h: float, radionuclide: Radionuclide = Y90) -> float:
    """Part of the dose that is given after so many hours of a permanent implant, ``1 - 2^(-t/T½)``."""
    return 1 - radionuclide.decay_factor(elapsed_h * 3600.0)


def bq_per_sphere_at(
    bq_at_calibration: float, calibrated_at: datetime, at: datetime, radionuclide: Radionuclide = Y90
) -> float:
    """Specific activity of a sphere at an instant."""
    require_zone(calibrated_at, "calibrated_at")
    require_zone(at, "at")
    return bq_at_calibration * radionuclide.decay_factor((at - calibrated_at).total_seconds())


def plan_vial(
    activity_mbq: float,
    at: datetime,
    radionuclide: Radionuclide = Y90,
    *,
    product: Product | None = None,
    calibrations: Sequence[datetime] = (),
    residual_fraction: float = 0.0,
    expires_at: datetime | None = None,
    tumor_ml: float | None = None,
    most_above: float | None = None,
) -> VialPlan:
    """The smallest vial that holds enough at the hour of infusion.

    Parameters
    ----------
    activity_mbq : float
        Wanted in the patient at the infusion.
    at : datetime
        The infusion.
    radionuclide : Radionuclide
        With the half-life.
    product : Product, optional
        Sizes and spheres; without it a vial of just the needed activity.
    calibrations : sequence of datetime
        The instants the supplier offers. Without them the infusion itself; where even the smallest size is then far too large, the
        instant before it from which that size decays to just what is needed.
    residual_fraction : float
        Part of the vial that stays in vial and tubing, at least 0 and below 1.
    expires_at : datetime, optional
        After which the vial must not be used; the product's shelf life without it.
    tumor_ml : float, optional
        For spheres per millilitre.
    most_above : float, optional
        Most that an offered vial may hold above what is needed, as a part of it; any for a product of which a part is drawn.
        Without it the largest step between two sizes, so that the next larger size is offered and nothing beyond.

    Raises
    ------
    QuantityError
        If the infusion lies before every calibration or after every expiry, no size is enough, or a number is impossible.
    """
    require_activity(activity_mbq)
    require_zone(at, "the infusion (at)")
    require_residual(residual_fraction)
    if tumor_ml is not None and not (math.isfinite(tumor_ml) and tumor_ml > 0):
        msg = f"The tumor volume must be above 0 mL, found {tumor_ml}."
        raise QuantityError(msg, code="value-out-of-range")
    product = product or Product("no product named")
    needed = activity_mbq / (1 - residual_fraction)
    most = _most_above(product) if most_above is None else most_above
    wanted = _Wanted(activity_mbq, needed, residual_fraction, math.inf if product.is_divisible else most)
    before_h = 0.0 if calibrations else _hours_until_needed(product, wanted, radionuclide)
    usable = _usable(calibrations or (at - timedelta(hours=before_h),), at, expires_at, product)
    options = _options(usable, at, radionuclide, product, wanted)
    offered = [o for o in options if o.is_offered]
    if not offered:
        raise _none_offered(options, wanted, at, product)
    chosen = offered[0]
    spheres = activity_mbq * 1e6 / chosen.bq_per_sphere if chosen.bq_per_sphere else None
    return VialPlan(
        activity_mbq,
        at,
        radionuclide,
        chosen,
        tuple(options),
        needed,
        spheres,
        spheres / tumor_ml if spheres is not None and tumor_ml else None,
        _assumptions(product, residual_fraction, tumor_ml, None if calibrations else before_h),
        (f"Vial sizes: {product.vials_source}", *_sphere_source(product)),
        (*unit_doubts(activity_mbq), *_well_above(chosen, product)),
        _offer_rule(wanted.most_above),
    )


def _most_above(product: Product) -> float:
    """The largest step between neighbouring sizes, as a part of the smaller, or :data:`MOST_ABOVE` if that is more."""
    return max([MOST_ABOVE, *(larger / smaller - 1 for smaller, larger in pairwise(sorted(product.vials_gbq)))])


def _hours_until_needed(product: Product, wanted: _Wanted, radionuclide: Radionuclide) -> float:
    """Hours in which the smallest size decays to what is needed, where it holds far too much before; else 0."""
    smallest_mbq = 1000 * min(product.vials_gbq, default=math.inf)
    if math.isinf(smallest_mbq) or meets(smallest_mbq, "at most", wanted.needed_mbq * (1 + wanted.most_above)):
        return 0.0
    hours = radionuclide.half_life_h * math.log2(smallest_mbq / wanted.needed_mbq)
    return hours if hours <= LONGEST_WAIT_H else 0.0


def _well_above(chosen: VialOption, product: Product) -> tuple[Remark, ...]:
    """A warning of a vial given whole that holds much more than is needed."""
    if product.is_divisible or meets(chosen.excess_fraction, "at most", MOST_ABOVE):
        return ()
    sentence = (
        f"The vial holds {100 * chosen.excess_fraction:.0f} % more than is needed, and all of it is given: choose another calibration "
        "or hour (voxeldose plan window lists them)."
    )
    return (Remark("vial-well-above", {"excess_fraction": chosen.excess_fraction}, sentence),)


def offered_vials(
    activity_mbq: float,
    at: datetime,
    calibrations: Sequence[datetime],
    product: Product,
    radionuclide: Radionuclide = Y90,
    *,
    residual_fraction: float = 0.0,
    most_above: float = MOST_ABOVE,
) -> tuple[VialOption, ...]:
    """The vials that :func:`plan_vial` would offer at an instant, smallest first; none where none fits."""
    most = math.inf if product.is_divisible else most_above
    wanted = _Wanted(activity_mbq, activity_mbq / (1 - residual_fraction), residual_fraction, most)
    life_h = DECAYED_H if product.shelf_life_h is None else product.shelf_life_h
    usable = [c for c in calibrations if 0 <= (at - c).total_seconds() / 3600 <= life_h]
    return tuple(o for o in _options(usable, at, radionuclide, product, wanted) if o.is_offered)


class _Wanted(NamedTuple):
    """In the patient, in the vial, the part that stays behind, and the most that a vial may hold above what is needed."""

    activity_mbq: float
    needed_mbq: float
    residual_fraction: float
    most_above: float

    def allows(self, filled_mbq: float) -> bool:
        """Whether a vial that holds this at the infusion is offered."""
        return is_within(filled_mbq, self.needed_mbq, self.needed_mbq * (1 + self.most_above))


def _options(
    usable: Sequence[datetime], at: datetime, radionuclide: Radionuclide, product: Product, wanted: _Wanted
) -> list[VialOption]:
    """Every size of every calibration at the infusion, in order of activity."""
    options = []
    for calibrated_at in usable:
        left = radionuclide.decay_factor((at - calibrated_at).total_seconds())
        per_sphere = product.bq_per_sphere * left if product.bq_per_sphere is not None else None
        for size in product.vials_gbq or (wanted.needed_mbq / left / 1000,):
            filled = size * 1000 * left
            net = filled * (1 - wanted.residual_fraction)
            count = filled * 1e6 / per_sphere if per_sphere else None
            excess = net / wanted.activity_mbq - 1
            options.append(
                VialOption(size, calibrated_at, filled, net, excess, per_sphere, count, wanted.allows(filled))
            )
    return sorted(options, key=lambda o: o.at_infusion_mbq)


def _offer_rule(most_above: float) -> str:
    """Which vials are offered, in words."""
    if math.isinf(most_above):
        return "A part of a vial is drawn, so every vial that holds enough is offered."
    return f"A vial is given whole: one is offered that holds what is needed and at most {100 * most_above:g} % more."


def _none_offered(options: Sequence[VialOption], wanted: _Wanted, at: datetime, product: Product) -> QuantityError:
    """Why none of these vials is offered: all hold too little, or the next one far too much."""
    needed = wanted.needed_mbq
    most = options[-1]
    if not meets(most.at_infusion_mbq, "at least", needed):
        msg = (
            f"{needed:.0f} MBq are needed in the vial at {at.isoformat()}, but the largest {product.name} vial "
            f"({most.vial_gbq:g} GBq at {most.calibration_at.isoformat()}) then holds {most.at_infusion_mbq:.0f} MBq. Name a later "
            "calibration, or plan two vials."
        )
        return QuantityError(msg, code="vial-too-small", needed_mbq=needed, largest_mbq=most.at_infusion_mbq)
    next_one = next(o for o in options if meets(o.at_infusion_mbq, "at least", needed))
    above = next_one.at_infusion_mbq / needed - 1
    msg = (
        f"{needed:.0f} MBq are needed in the vial at {at.isoformat()}, and no {product.name} vial holds that and at most "
        f"{100 * wanted.most_above:g} % more: the next ({next_one.vial_gbq:g} GBq at {next_one.calibration_at.isoformat()}) holds "
        f"{next_one.at_infusion_mbq:.0f} MBq, {100 * above:.0f} % more. Name another calibration (--calibrated-at), your supplier's sizes "
        "(--product, --vial-gbq), or allow more (--most-above-percent)."
    )
    return QuantityError(msg, code="vial-too-large", needed_mbq=needed, next_mbq=next_one.at_infusion_mbq)


def _usable(
    calibrations: Sequence[datetime], at: datetime, expires_at: datetime | None, product: Product
) -> list[datetime]:
    """The calibrations whose vials may be used at the infusion; refused with every reason if there are none."""
    usable, reasons = [], []
    for calibrated_at in calibrations:
        require_zone(calibrated_at, "the calibration (calibrated_at)")
        age_h = (at - calibrated_at).total_seconds() / 3600
        if age_h < 0:
            reasons.append(
                f"the infusion at {at.isoformat()} lies {-age_h:.1f} h before the calibration {calibrated_at.isoformat()}"
            )
        elif product.shelf_life_h is not None and not meets(age_h, "at most", product.shelf_life_h):
            reasons.append(
                f"the vial of {calibrated_at.isoformat()} expired: {age_h:.1f} h old at the infusion, shelf life "
                f"{product.shelf_life_h:g} h"
            )
        elif age_h > DECAYED_H:
            reasons.append(f"the vial of {calibrated_at.isoformat()} is {age_h / 24:.0f} days old and has decayed away")
        else:
            usable.append(calibrated_at)
    if expires_at is not None:
        require_zone(expires_at, "expires_at")
        if at > expires_at:
            usable = []
            reasons.append(f"the vial expired at {expires_at.isoformat()}, before the infusion at {at.isoformat()}")
    if not usable:
        msg = f"No vial can be used: {'; '.join(reasons)}. Check dates and time zones, or name another calibration."
        raise QuantityError(msg, code="vial-unusable")
    return usable


def _assumptions(
    product: Product, residual_fraction: float, tumor_ml: float | None, before_h: float | None
) -> tuple[Remark, ...]:
    remarks = []
    if before_h is not None:
        sentence = "No calibration instant was given: the vial's activity is as of the infusion."
        if before_h:
            sentence = (
                f"No calibration instant was given: a vial of the smallest size holds just what is needed {before_h:.1f} h after its "
                "calibration; ask the supplier for one near that instant."
            )
        remarks.append(Remark("calibration-instant-missing", {"hours_before_infusion": before_h}, sentence))
    if not product.vials_gbq:
        sentence = "No product was named, so the vial has just the activity that is needed."
        remarks.append(Remark("vial-sizes-missing", {}, sentence))
    if residual_fraction == 0:
        remarks.append(RESIDUAL_MISSING)
    if product.bq_per_sphere is not None:
        sentence = (
            f"{product.bq_per_sphere:g} Bq per sphere at calibration ({product.bq_per_sphere_source}); published thresholds in Bq "
            "per sphere depend on the nominal value their authors took."
        )
        remarks.append(Remark("sphere-activity-nominal", {"bq_per_sphere": product.bq_per_sphere}, sentence))
    if tumor_ml is not None:
        sentence = "Spheres per mL are all spheres over the tumor volume, as if none went to normal liver or lungs."
        remarks.append(Remark("spheres-all-in-tumor", {"tumor_ml": tumor_ml}, sentence))
    if product.shelf_life_h is None:
        sentence = "No shelf life is known, so only an expiry that is given is checked."
        remarks.append(Remark("shelf-life-missing", {}, sentence))
    return tuple(remarks)


def _sphere_source(product: Product) -> tuple[str, ...]:
    return (f"Activity per sphere: {product.bq_per_sphere_source}",) if product.bq_per_sphere is not None else ()
