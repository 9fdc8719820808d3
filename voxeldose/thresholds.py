"""Published limits beside the values of a run, and where the two are not the same quantity."""

from __future__ import annotations

import math
import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from voxeldose.case import Limit, Threshold

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from voxeldose.case import RoiMetrics

__all__ = ["merged", "published_limits", "thresholds_met"]

#: A dose model of a limit -> the engine whose mean dose is the same quantity, if any.
_SAME_ENGINE = {"local deposition": "local", "kernel": "dpk", "Monte Carlo": "montecarlo"}

#: What such a limit is, for the sentence that says how a dose map's value differs from it.
_IS = {
    "single compartment": "K A / m of the whole volume (single compartment)",
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
) -> tuple[Threshold, ...]:
    """Limits for this device beside the values of the run.

    Parameters
    ----------
    metrics : mapping
        Name to numbers of each region.
    device : str, optional
        ``glass`` or ``resin``; without it only limits for any device apply.
    limits : tuple of Limit, optional
        :func:`published_limits` without it.
    engine : str
        The run's dose engine, for what differs.
    image : str, optional
        The nuclide that the run's image shows.
    """
    found = []
    for limit in published_limits() if limits is None else limits:
        if limit.device not in (None, device):
            continue
        for name, roi in metrics.items():
            value = getattr(roi, limit.metric) if roi.role == limit.role else None
            if value is None or not math.isfinite(value):
                continue
            found.append(
                Threshold(
                    f"{limit.name} ({limit.sense} {_amount(limit)})",
                    name,
                    limit.metric,
                    limit.limit,
                    float(value),
                    value >= limit.limit if limit.sense == "at least" else value < limit.limit,
                    limit.source,
                    limit.method,
                    differences(limit, engine, image),
                )
            )
    return tuple(found)


def differences(limit: Limit, engine: str, image: str | None) -> str:
    """Where a value of this engine and image is not the quantity that the limit was derived for; empty if it is."""
    said = []
    if limit.dose is not None and engine and _SAME_ENGINE.get(limit.dose) != engine:
        said.append(f"the limit is {_IS[limit.dose]}; here it is the dose map's ({engine})")
    if limit.image is not None and image is not None and limit.image != image:
        said.append(f"the limit comes from {limit.image} images; here {image} was imaged")
    text = "; ".join(said)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _amount(limit: Limit) -> str:
    if limit.metric.endswith("_fraction"):
        return f"{100 * limit.limit:g} %"
    return f"{limit.limit:g} Gy"
