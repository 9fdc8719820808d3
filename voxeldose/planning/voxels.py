"""Activity by the voxels of a predicted dose map: scale it until a goal is met or a limit binds.

Dose is linear in activity. Means and ``Dx`` scale with it; ``Vd`` of a map scaled by s is ``V(d/s)`` of the map as it is, so that
the activity for a wanted coverage is read from the DVH, exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.errors import QuantityError
from voxeldose.model.administration import require_activity
from voxeldose.model.best_value import best_value
from voxeldose.model.limits import TOLERANCE
from voxeldose.model.lungs import CONVENTIONAL_MASS_G
from voxeldose.model.metric import Metric
from voxeldose.model.recovered import RecoveredMetrics
from voxeldose.model.remarks import Remark, distinct
from voxeldose.planning.plan import Bound, Lungs, Plan, lung_dose_gy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from voxeldose.model.assessment import Assessment
    from voxeldose.model.dvh import Dvh
    from voxeldose.model.recovered import RecoveredDvh

__all__ = ["Wish", "plan_voxels", "plan_voxels_at"]

#: A coverage changes in steps of a voxel; a limit's activity stays this part below the step, more than what counts as reached.
STEP = 2 * TOLERANCE

VOXEL_SOURCE = "Voxel-wise planning: the predicted dose map scales with activity (dose is linear in activity)"

ONE_FACTOR = Remark(
    "one-factor-for-map",
    {},
    "One factor scales the whole dose map: every infusion that the image shows gets the same.",
)


@dataclass(frozen=True)
class Wish:
    """A wanted number of a region: a goal ("at least") or a limit ("at most").

    Parameters
    ----------
    roi : str
        Name of a region, or a role; a role means every region of it.
    metric : str
        ``mean``, ``min``, ``max``, ``D95`` (dose that 95 % receive at least), ``V400`` (fraction that gets 400 Gy or more).
    wanted : float
        Gy, or 0 to 1 for ``V``.

    Raises
    ------
    QuantityError
        For an unknown metric or an impossible number.
    """

    roi: str
    metric: str
    wanted: float

    def __post_init__(self) -> None:
        metric = self.number
        if metric.is_fraction and not 0 <= self.wanted <= 1:
            msg = f"{self}: a coverage is a fraction, 0 to 1, found {self.wanted:g}; 90 % is 0.9."
            raise QuantityError(msg, code="value-out-of-range")
        if not metric.is_fraction and not (math.isfinite(self.wanted) and self.wanted > 0):
            msg = f"{self}: a dose above 0 Gy is needed, found {self.wanted:g}."
            raise QuantityError(msg, code="value-out-of-range")
        if not metric.is_possible or (metric.is_fraction and metric.number <= 0):
            msg = f"{self}: D needs a percentage above 0 and at most 100, V a dose above 0 Gy."
            raise QuantityError(msg, code="value-out-of-range")

    @classmethod
    def parse(cls, text: str) -> Wish:
        """A wish written as ``lesion_1.mean=400`` or ``lesion_1.V300=90%``.

        Raises
        ------
        QuantityError
            If it has no such form, or its metric or number no meaning.
        """
        where, _, number = text.rpartition("=")
        roi, _, metric = where.rpartition(".")
        try:
            value = float(number.strip().removesuffix("%")) / (100 if number.strip().endswith("%") else 1)
        except ValueError:
            value = None
        if not roi or not metric or value is None:
            msg = f"{text!r} is not of the form ROI.METRIC=VALUE, such as lesion_1.mean=400."
            raise QuantityError(msg, code="wish-malformed")
        return cls(roi, metric, value)

    def __str__(self) -> str:
        return f"{self.roi}.{self.metric}={self.wanted:g}"

    @property
    def number(self) -> Metric:
        """Which number of the region it is."""
        metric = Metric.parse(self.metric)
        if metric is None:
            msg = f"{self}: unknown metric {self.metric!r}; known are mean, min, max, D95 (any percentage), V400 (any dose)."
            raise QuantityError(msg, code="metric-unknown", metric=self.metric)
        return metric


def plan_voxels(
    result: Assessment, goals: Sequence[Wish], limits: Sequence[Wish] = (), *, lungs: Lungs | None = None
) -> Plan:
    """The activity that meets every goal, or what the limits leave of it.

    Parameters
    ----------
    result : Assessment
        Of the pre-treatment image, with any administered activity.
    goals, limits : sequence of Wish
        A limit is kept even where a goal then is not met; without goals the limits rule.
    lungs : Lungs, optional
        For a limit on lungs that have no dose of their own in the map: their dose is then ``K A LSF / m``. Without a shunt
        fraction that of the case is taken.

    Returns
    -------
    Plan
        ``activity_mbq`` is in the patient at the infusion, lung shunt included.

    Raises
    ------
    QuantityError
        If nothing is asked for, a region is not there or has no dose, or no activity reaches a goal.
    """
    if not goals and not limits:
        msg = "A goal or a limit is needed, such as lesion_1.mean=400."
        raise QuantityError(msg, code="goal-missing")
    given = result.case.administration
    lungs = lungs or Lungs()
    if lungs.shunt_fraction is None:
        lungs = replace(lungs, shunt_fraction=given.lung_shunt_fraction)
    asked = [
        (wish, kind, target)
        for wishes, kind in ((goals, "goal"), (limits, "limit"))
        for wish in wishes
        for target in _targets(result, wish, kind, lungs)
    ]
    factors = [target.factor for _, _, target in asked]
    needed = [f for f, (_, kind, _) in zip(factors, asked, strict=True) if kind == "goal"]
    allowed = [f for f, (_, kind, _) in zip(factors, asked, strict=True) if kind == "limit"]
    factor = min([*([max(needed)] if needed else []), *allowed])
    if not math.isfinite(factor):
        msg = "No activity reaches any of these limits; give a goal."
        raise QuantityError(msg, code="goal-unreachable")
    binding = next(target.name for f, (_, _, target) in zip(factors, asked, strict=True) if f == factor)
    bounds = tuple(
        Bound(target.name, kind, wish.wanted, target.value(factor), target.factor * given.net_mbq)
        for wish, kind, target in asked
    )
    missed = [
        Remark("goal-missed", {"binding": binding, "goal": b.name}, f"{binding} rules: {b.name} is not met.")
        for b in bounds
        if b.kind == "goal" and not b.met
    ]
    lung_remarks = [target.remark for _, _, target in asked if target.remark is not None]
    return replace(
        _plan_at(result, factor, lungs, lung_remarks),
        bounds=bounds,
        binding=binding,
        warnings=(*missed, *result.record.warnings),
    )


def plan_voxels_at(result: Assessment, activity_mbq: float, *, lungs: Lungs | None = None) -> Plan:
    """The doses of an activity that is given, voxel by voxel.

    Parameters
    ----------
    result : Assessment
        Of the pre-treatment image, with any administered activity.
    activity_mbq : float
        In the patient at the infusion, lung shunt included.
    lungs : Lungs, optional
        As in :func:`plan_voxels`.

    Raises
    ------
    QuantityError
        If the activity is not above 0 MBq.
    """
    given, lungs = result.case.administration, lungs or Lungs()
    if lungs.shunt_fraction is None:
        lungs = replace(lungs, shunt_fraction=given.lung_shunt_fraction)
    return _plan_at(result, require_activity(activity_mbq) / given.net_mbq, lungs, [])


def _plan_at(result: Assessment, factor: float, lungs: Lungs, remarks: Sequence[Remark]) -> Plan:
    """The dose map scaled by a factor, without goals and limits."""
    given = result.case.administration
    means = {name: _Numbers(result, name).gy(Metric("mean")) * factor for name in result.rois}
    recovered = [name for name in result.rois if best_value(result, name, "mean_dose_gy").kind == "recovered"]
    return Plan(
        factor * given.net_mbq,
        given.radionuclide,
        "A = s A_map, D_i = s D_map,i; s from mean and Dx by proportion, from Vd by V_d(s D) = V_d/s(D)",
        (VOXEL_SOURCE,),
        {name: means[name] for name, m in result.rois.items() if m.role == "tumor" and m.reached is not False},
        normal_gy=_only(result, means, "normal_liver"),
        whole_normal_gy=None,
        perfused_gy=_only(result, means, "perfused"),
        lung_gy=_lungs_gy(result, means, lungs, factor),
        assumptions=distinct([ONE_FACTOR, *remarks, *_recovered_remarks(recovered), *result.record.assumptions]),
        warnings=result.record.warnings,
    )


@dataclass(frozen=True)
class _Target:
    """One region that a wish is for: the factor by which the map may or must be scaled, and the value at a factor.

    ``remark`` says what is assumed where it is a lung.
    """

    name: str
    factor: float
    value: Callable[[float], float]
    remark: Remark | None = None


def _targets(result: Assessment, wish: Wish, kind: str, lungs: Lungs) -> list[_Target]:
    of_role = [name for name, m in result.rois.items() if m.role == wish.roi and m.reached is not False]
    names = [wish.roi] if wish.roi in result.rois else of_role
    if kind == "goal" and wish.roi in result.rois and result.rois[wish.roi].reached is False:
        msg = (
            f"{wish}: {wish.roi} is not reached: less than half of it lies in a perfused region. Give a treated tumor."
        )
        raise QuantityError(msg, code="tumor-not-reached", roi=wish.roi)
    known = [name for name in names if math.isfinite(result.rois[name].mean_dose_gy)]
    lung_like = wish.roi == "lung" or any(result.rois[name].role == "lung" for name in names)
    if lung_like and not known:
        return [_shunted(result, wish, kind, lungs)]
    if not names:
        msg = (
            f"{wish}: there is no region and no role {wish.roi!r}; regions are {', '.join(result.rois)}, roles are "
            f"{', '.join(sorted({m.role for m in result.rois.values()}))}."
        )
        raise QuantityError(msg, code="region-unknown", roi=wish.roi)
    if len(known) < len(names):
        msg = f"{wish}: {', '.join(n for n in names if n not in known)} has no dose in this run; see its warnings."
        raise QuantityError(msg, code="region-without-dose", roi=wish.roi)
    remark = None
    if lung_like:
        regions = ", ".join(known)
        remark = Remark("lung-dose-by-map", {"roi": regions}, f"The lungs' dose is that of the dose map in {regions}.")
    targets = []
    for name in known:
        one = replace(wish, roi=name)
        numbers = _Numbers(result, name)
        targets.append(_Target(str(one), _factor(one, kind, numbers), _value(one, numbers), remark))
    return targets


@dataclass(frozen=True, eq=False)
class _Numbers:
    """The numbers of one region that wishes are about: recovered where the run has them, but for single voxels."""

    result: Assessment
    name: str

    @property
    def image(self) -> Dvh:
        """Of the image as it is."""
        return self.result.rois[self.name].dvh

    @property
    def recovered(self) -> RecoveredDvh | None:
        """Its recovered DVH."""
        found = self.result.recovered.rois.get(self.name) if self.result.recovered is not None else None
        return found.dvh if found is not None else None

    def gy(self, metric: Metric) -> float:
        """A dose in the map as it is."""
        if metric.kind in ("min", "max"):
            return self.image.range_gy[metric.kind == "max"]
        if metric.kind == "mean" or metric.key in RecoveredMetrics.names():
            best = best_value(self.result, self.name, metric.key).value
            return math.nan if best is None else best
        return (self.recovered or self.image).dose_to_fraction_gy(metric.number / 100)

    def coverage(self, dose_gy: float) -> float:
        """The part of the volume that gets this dose or more."""
        return (self.recovered or self.image).coverage(dose_gy)

    def dose_reached_gy(self, fraction: float) -> float:
        """The dose that so much of the volume gets or more."""
        return (self.recovered or self.image).dose_to_fraction_gy(fraction)

    def first_dose_beyond_gy(self, fraction: float) -> float | None:
        """The highest dose that more than so much of the volume gets; ``None`` if none does."""
        if self.recovered is not None:
            return self.recovered.dose_to_fraction_gy(fraction) if fraction < 1 else None
        first = int(np.searchsorted(self.image.volume_ml, fraction * self.image.total_ml * (1 + 1e-9), side="right"))
        return float(self.image.dose_gy[first]) if first < self.image.dose_gy.size else None


def _recovered_remarks(rois: list[str]) -> list[Remark]:
    if not rois:
        return []
    names = ", ".join(rois)
    sentence = f"Doses of {names} are resolution recovered, and coverages are read from the recovered DVH; single voxels are the image's."
    return [Remark("plan-recovered", {"rois": names}, sentence)]


def _shunted(result: Assessment, wish: Wish, kind: str, lungs: Lungs) -> _Target:
    """Lungs without a dose map of their own: even dose from the shunt."""
    if wish.number.kind not in ("mean", "min", "max"):
        msg = f"{wish}: the lungs have no dose map in this run, so only their mean is known. Use lung.mean."
        raise QuantityError(msg, code="metric-unknown")
    if lungs.shunt_fraction is None:
        msg = (
            f"{wish}: the lungs have no dose in this run and no lung shunt fraction is known. Give it (--lung-shunt), or lungs "
            'as a region with engine = "density" and density = "ct".'
        )
        raise QuantityError(msg, code="lung-shunt-missing")
    given = result.case.administration
    at_one = lung_dose_gy(given.radionuclide.gy_kg_per_gbq, [(given.net_mbq, lungs.shunt_fraction)], lungs.grams) or 0.0
    sentence = (
        f"The lungs' dose is K A LSF / m with LSF {lungs.shunt_fraction:g} and {lungs.grams:g} g, not that of a dose map"
        f"{'' if lungs.mass_g else f' ({CONVENTIONAL_MASS_G:g} g is the convention that the 30 Gy limit goes with)'}."
    )
    numbers = {"lung_shunt_fraction": lungs.shunt_fraction, "lung_mass_g": lungs.grams}
    remark = Remark("lung-dose-by-shunt", numbers, sentence)
    if at_one == 0 and kind == "goal":
        msg = f"{wish}: no activity reaches the lungs without shunt."
        raise QuantityError(msg, code="goal-unreachable")
    return _Target(str(wish), wish.wanted / at_one if at_one else math.inf, lambda s: at_one * s, remark)


def _factor(wish: Wish, kind: str, numbers: _Numbers) -> float:
    """By how much the map has to grow for a goal, or may for a limit."""
    metric = wish.number
    if metric.is_fraction:
        return _factor_of_coverage(wish, kind, numbers, metric.number)
    now = numbers.gy(metric)
    if now <= 0:
        if kind == "limit":
            return math.inf
        msg = f"{wish}: {wish.metric} of {wish.roi} is {now:.3g} Gy in the predicted map, so no activity reaches it."
        raise QuantityError(msg, code="goal-unreachable", roi=wish.roi)
    return wish.wanted / now


def _factor_of_coverage(wish: Wish, kind: str, numbers: _Numbers, dose_gy: float) -> float:
    if kind == "goal":
        if wish.wanted == 0:
            return 0.0
        reached = numbers.dose_reached_gy(wish.wanted)
        if reached <= 0:
            msg = f"{wish}: {wish.wanted:.0%} of {wish.roi} never get a dose; voxels at 0 Gy or below stay there."
            raise QuantityError(msg, code="goal-unreachable", roi=wish.roi)
        return dose_gy / reached
    # the first dose whose coverage is above the limit must stay below dose_gy
    first = numbers.first_dose_beyond_gy(wish.wanted)
    return math.inf if first is None or first <= 0 else dose_gy / first * (1 - STEP)


def _value(wish: Wish, numbers: _Numbers) -> Callable[[float], float]:
    metric = wish.number
    if metric.is_fraction:
        return lambda s: numbers.coverage(metric.number / s) if s > 0 else 0.0
    return lambda s: numbers.gy(metric) * s


def _only(result: Assessment, means: dict[str, float], role: str) -> float | None:
    """Mean of the one region of a role; ``None`` with none, several, or no dose."""
    names = [name for name, m in result.rois.items() if m.role == role]
    return means[names[0]] if len(names) == 1 and math.isfinite(means[names[0]]) else None


def _lungs_gy(result: Assessment, means: dict[str, float], lungs: Lungs, factor: float) -> float | None:
    own = _only(result, means, "lung")
    if own is not None:
        return own
    given = result.case.administration
    return lung_dose_gy(given.radionuclide.gy_kg_per_gbq, [(given.net_mbq * factor, lungs.shunt_fraction)], lungs.grams)
