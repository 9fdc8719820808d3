"""Limits that doses in regions are compared with: published ones, and a site's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["DOSE_MODELS", "DoseModel", "Limit"]

#: How a published limit's dose may have been found.
DoseModel = Literal["single compartment", "partition", "local deposition", "kernel", "Monte Carlo", "lung shunt"]
DOSE_MODELS: tuple[DoseModel, ...] = get_args(DoseModel)


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
    sense : str
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
    sense: str
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
