"""Limits compared with the values of a run or plan, and where the two are not the same quantity."""

from __future__ import annotations

import math
import tomllib
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from voxeldose.dose.liver_parts import PERFUSED
from voxeldose.model.assessment import Threshold
from voxeldose.model.best_value import best_value
from voxeldose.model.limits import Limit, meets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from voxeldose.model.assessment import Assessment, RoiMetrics

__all__ = ["compare_means", "differences", "merged", "published_limits", "thresholds_met", "with_best_values"]

#: The dose model of a limit on ``K A / m``.
SINGLE_COMPARTMENT = "single compartment"

#: A dose model of a limit -> what gives the same quantity: an engine, or a plan by compartments.
_SAME = {"local deposition": "local", "kernel": "dpk", "Monte Carlo": "montecarlo"}

#: What a dose by each model is, for the sentence that says how two differ.
_IS = {
    SINGLE_COMPARTMENT: "K A / m of the whole volume (single compartment)",
    "partition": "the partition model's, even in each compartment",
    "local deposition": "by local deposition",
    "kernel": "by kernel convolution",
    "Monte Carlo": "by Monte Carlo transport",
    "lung shunt": "K A LSF / m from a lung shunt fraction and a lung mass",
}


@cache
def published_limits() -> tuple[Limit, ...]:
    """The limits shipped in ``tables/thresholds.toml``, each with its source."""
    text = (resources.files("voxeldose") / "tables" / "thresholds.toml").read_text("utf-8")
    return tuple(Limit(**row) for row in tomllib.loads(text)["threshold"])


def merged(limits: Iterable[Limit], own: Iterable[Limit]) -> tuple[Limit, ...]:
    """``limits`` with those of ``own``: one of the same name, role and device replaces, any other is added."""
    table = {limit.key: limit for limit in limits}
    table.update({limit.key: limit for limit in own})
    return tuple(table.values())


def thresholds_met(
    metrics: Mapping[str, RoiMetrics],
    device: str | None,
    limits: tuple[Limit, ...] | None = None,
    *,
    engine: str = "",
    image: str | None = None,
    bilirubin_mg_per_dl: float | None = None,
) -> tuple[Threshold, ...]:
    """The values of a run compared with the limits for its device.

    Parameters
    ----------
    metrics : mapping
        Name to numbers of each region. A limit that was derived by one compartment is compared with that number of a perfused
        region, where the run has it, and not with the mean of the dose map.
    device : str, optional
        ``glass`` or ``resin``; without it only limits for any device apply.
    limits : tuple of Limit, optional
        :func:`published_limits` without it.
    engine : str
        The run's dose engine, for what differs.
    image : str, optional
        The nuclide that the run's image shows.
    bilirubin_mg_per_dl : float, optional
        The patient's; limits that depend on it are left out without it.
    """
    compared = []
    for limit in _limits_for(device, limits, bilirubin_mg_per_dl):
        for name, roi in _compared_regions(limit, metrics).items():
            same, how = _same_quantity(limit, roi, engine)
            value = getattr(roi, same.metric)
            if value is not None and math.isfinite(value):
                one = _compare(same, name, float(value), differences(limit, how, image, is_perfused=name == PERFUSED))
                compared.append(replace(one, image_value=one.value))
    return tuple(compared)


def with_best_values(result: Assessment) -> Assessment:
    """A result whose thresholds compare the best values that it knows by now, recovered or corrected, with their limits.

    Where that is not the image's own value, ``differs`` says so.
    """
    return replace(result, thresholds=tuple(_by_best_value(result, one) for one in result.thresholds))


def _by_best_value(result: Assessment, threshold: Threshold) -> Threshold:
    best = best_value(result, threshold.roi, threshold.metric)
    if threshold.sense is None or not best.is_better or best.value is None or best.image is None:
        return threshold
    met, of_image = (meets(value, threshold.sense, threshold.limit) for value in (best.value, best.image))
    image = f"{best.image:.3g} Gy" if threshold.metric.endswith("_gy") else f"{100 * best.image:.1f} %"
    verdict = "" if met == of_image else f", which would {'' if of_image else 'not '}meet the limit"
    words = f"Here it is {best.words}; the image's own is {image}{verdict}."
    differs = " ".join(filter(None, (threshold.differs, words)))
    return replace(threshold, value=best.value, met=met, differs=differs, kind=best.kind, image_value=best.image)


def _compared_regions(limit: Limit, metrics: Mapping[str, RoiMetrics]) -> dict[str, RoiMetrics]:
    """The regions that a limit is for: those of its role, but no tumor that is not reached; perfused normal liver where it means that."""
    if limit.perfused_only and PERFUSED in metrics:
        return {PERFUSED: metrics[PERFUSED]}
    return {name: m for name, m in metrics.items() if m.role == limit.role and m.reached is not False}


def _same_quantity(limit: Limit, roi: RoiMetrics, engine: str) -> tuple[Limit, str]:
    """The limit with the metric of a region that is the limit's own quantity, where the run has it, and how it was found."""
    is_even = limit.dose == SINGLE_COMPARTMENT and limit.metric == "mean_dose_gy"
    if is_even and roi.single_compartment_gy is not None:
        return replace(limit, metric="single_compartment_gy"), SINGLE_COMPARTMENT
    return limit, SINGLE_COMPARTMENT if limit.metric == "single_compartment_gy" else engine


def compare_means(
    mean_gy: Mapping[str, float | None],
    device: str | None,
    limits: tuple[Limit, ...] | None = None,
    *,
    method: str = "",
    bilirubin_mg_per_dl: float | None = None,
) -> tuple[Threshold, ...]:
    """The mean doses of a plan by compartments compared with the limits for them.

    Parameters
    ----------
    mean_gy : mapping
        Role to mean dose; ``None`` where it is not known. ``perfused_normal`` is that of the normal liver that is perfused.
    device, limits, bilirubin_mg_per_dl
        As in :func:`thresholds_met`.
    method : str
        One of :data:`voxeldose.model.limits.DOSE_MODELS`; the lungs' dose is always from the lung shunt.
    """
    compared = []
    for limit in _limits_for(device, limits, bilirubin_mg_per_dl):
        part = mean_gy.get("perfused_normal") if limit.perfused_only else None
        value = mean_gy.get(limit.role) if part is None else part
        if limit.metric == "mean_dose_gy" and value is not None:
            how = "lung shunt" if limit.role == "lung" else method
            if limit.role == "perfused" and method == "partition":  # its mean by mass is K A (1 - LSF) / m
                how = SINGLE_COMPARTMENT
            compared.append(
                _compare(limit, limit.role, value, differences(limit, how, None, is_perfused=part is not None))
            )
    return tuple(compared)


def _limits_for(device: str | None, limits: tuple[Limit, ...] | None, bilirubin_mg_per_dl: float | None) -> list[Limit]:
    rows = published_limits() if limits is None else limits
    return [r for r in rows if r.device in (None, device) and r.holds_for(bilirubin_mg_per_dl)]


def _compare(limit: Limit, roi: str, value: float, differs: str) -> Threshold:
    met = meets(value, limit.sense, limit.limit)
    name = f"{limit.name} ({limit.sense} {_amount(limit)})"
    return Threshold(name, roi, limit.metric, limit.limit, value, met, limit.source, limit.method, differs, limit.sense)


def differences(limit: Limit, method: str, image: str | None, *, is_perfused: bool = False) -> str:
    """Where a value is not the quantity that the limit was derived for; empty if it is.

    ``method`` is the run's engine, or one of :data:`voxeldose.model.limits.DOSE_MODELS`; ``image`` the nuclide that the image shows;
    ``is_perfused`` says that a value of normal liver is that of its perfused part.
    """
    differing = []
    if limit.dose is not None and method and method not in (limit.dose, _SAME.get(limit.dose)):
        here = _IS.get(method) or f"the dose map's ({method})"
        differing.append(f"the limit is {_IS[limit.dose]}; here it is {here}")
    if limit.image is not None and image is not None and limit.image != image:
        differing.append(f"the limit comes from {limit.image} images; here {image} was imaged")
    if limit.perfused_only and not is_perfused:
        differing.append(
            "the limit is for normal liver that the infusion reached; here it is all of it, which is less or the same"
        )
    text = "; ".join(differing)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _amount(limit: Limit) -> str:
    if limit.metric.endswith("_fraction"):
        return f"{100 * limit.limit:g} %"
    return f"{limit.limit:g} Gy"
