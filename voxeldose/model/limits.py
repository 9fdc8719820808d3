"""Limits that doses in regions are compared with, published ones and a site's own, and the one comparison with them.

Every comparison of a value with a goal, a limit or a range goes through :func:`meets`, so that 400 Gy against a goal of 400 Gy is
met in every place, whatever the last bit of a float says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["DOSE_MODELS", "TOLERANCE", "DoseModel", "Limit", "Sense", "is_within", "meets", "with_tolerance"]

#: Relative difference up to which a value is taken to equal a limit: ten times what float32 (6e-8) loses in a few steps.
TOLERANCE = 1e-6

#: How a value lies to a limit that it meets.
Sense = Literal["at least", "above", "at most", "below"]

#: How a published limit's dose may have been found.
DoseModel = Literal["single compartment", "partition", "local deposition", "kernel", "Monte Carlo", "lung shunt"]
DOSE_MODELS: tuple[DoseModel, ...] = get_args(DoseModel)


def with_tolerance(limit: float, sense: Sense) -> float:
    """The last value that still meets a limit: the limit itself less, or plus, one part in a million."""
    slack = TOLERANCE * abs(limit)
    return limit - slack if sense in ("at least", "above") else limit + slack


def meets(value: float, sense: Sense, limit: float) -> bool:
    """Whether a value meets a goal or keeps a limit; one that equals it to one part in a million does, whatever the sense.

    A plan that goes up to a limit "below 75 Gy" gives 75 Gy and keeps it; which side the last bit falls on decides nothing.

    Parameters
    ----------
    value, limit : float
        In the same unit; a value that is not a number meets nothing.
    sense : Sense
        ``at least`` and ``above`` for goals, ``at most`` and ``below`` for limits.

    Examples
    --------
    >>> meets(399.99999, "at least", 400.0), meets(400.0, "above", 400.0), meets(75.1, "below", 75.0)
    (True, True, False)
    """
    last = with_tolerance(limit, sense)
    return value >= last if sense in ("at least", "above") else value <= last


def is_within(value: float, low: float | None, high: float | None) -> bool:
    """Whether a value lies in a range, its ends included to one part in a million; an end that is ``None`` is open."""
    return (low is None or meets(value, "at least", low)) and (high is None or meets(value, "at most", high))


@dataclass(frozen=True)
class Limit:
    """A published limit, or a site's own, for every ROI of a role.

    Parameters
    ----------
    name : str
        What it is for.
    role : str
        The ROIs it applies to.
    metric : str
        A number of :class:`RoiMetrics`, such as ``mean_dose_gy``.
    sense : Sense
        ``at least`` or ``below``.
    limit : float
        In the metric's unit; fractions 0 to 1.
    source : str
        Where it was published.
    method : str
        How it was derived, in words.
    device : str, optional
        ``glass`` or ``resin``; any without it.
    dose : str, optional
        The dose model it was derived with, one of :data:`DOSE_MODELS`.
    image : str, optional
        The nuclide of the images it was derived from.
    bilirubin_above_mg_per_dl, bilirubin_below_mg_per_dl : float, optional
        The limit holds for patients whose total bilirubin is above, or below, this; for nobody where it is not known.
    perfused_only : bool
        Of normal liver: the limit is for what the infusion reached, not for all of it.
    """

    name: str
    role: str
    metric: str
    sense: Sense
    limit: float
    source: str
    method: str
    device: str | None = None
    dose: str | None = None
    image: str | None = None
    bilirubin_above_mg_per_dl: float | None = None
    bilirubin_below_mg_per_dl: float | None = None
    perfused_only: bool = False

    def holds_for(self, bilirubin_mg_per_dl: float | None) -> bool:
        """Whether it is a limit for a patient with this bilirubin."""
        above, below = self.bilirubin_above_mg_per_dl, self.bilirubin_below_mg_per_dl
        if bilirubin_mg_per_dl is None:
            return above is None and below is None
        return (above is None or bilirubin_mg_per_dl > above) and (below is None or bilirubin_mg_per_dl < below)

    @property
    def key(self) -> tuple[str, str, str | None]:
        """What makes two limits the same one."""
        return self.name, self.role, self.device
