"""Several infusions into territories of one liver, and what they add up to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxeldose.errors import QuantityError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from voxeldose.model.administration import Administration

__all__ = ["TerritoryActivity", "TreatedTerritory", "instants", "lung_shunt_of", "require_distinct"]


@dataclass(frozen=True)
class TreatedTerritory:
    """What was infused into one territory.

    Parameters
    ----------
    roi : str
        Name of the region that the infusion was meant to reach.
    given : Administration
        Vial, residual, lung shunt and instant of this infusion alone.
    """

    roi: str
    given: Administration


@dataclass(frozen=True)
class TerritoryActivity:
    """Activities of one territory of a run, each at the territory's own infusion, in MBq.

    Parameters
    ----------
    roi : str
        Name of its region.
    at : str or None
        The infusion, ISO 8601 with zone.
    administered_mbq, residual_mbq, net_mbq : float
        In the vial, left behind, and their difference.
    lung_shunt_fraction : float or None
        Of this infusion.
    lung_mbq, held_mbq : float
        The parts of the net activity that went to the lungs and stayed in the liver.
    region_mbq : float
        What the calibrated image shows in the territory and what surrounds it: ``held_mbq`` where the image was scaled to it.
    recovered_fraction : float or None
        What the image's own Bq/mL show there over ``held_mbq``; ``None`` where units do not allow it.
    share_ratio : float
        The territory's part of the image over its part of the activities given, both at one instant: 1 where image and vials agree.
    """

    roi: str
    at: str | None
    administered_mbq: float
    residual_mbq: float
    net_mbq: float
    lung_shunt_fraction: float | None
    lung_mbq: float
    held_mbq: float
    region_mbq: float
    recovered_fraction: float | None
    share_ratio: float


def require_distinct(territories: Sequence[TreatedTerritory]) -> None:
    """Refuse a region that is named twice, and a territory without an activity."""
    names = [territory.roi for territory in territories]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = (
            f"Two territories name the ROI {', '.join(twice)}. Activities of several infusions into one volume add up: give their "
            "sum, or a region of its own to each."
        )
        raise QuantityError(msg, code="territory-twice", names=tuple(twice))
    without = [territory.roi for territory in territories if territory.given.administered_mbq is None]
    if without:
        msg = f"The territory {', '.join(without)} has no activity; give its administered_mbq."
        raise QuantityError(msg, code="activity-missing", field="administered_mbq", names=tuple(without))


def instants(territories: Sequence[TreatedTerritory]) -> tuple[datetime, ...]:
    """The infusions' instants; none unless all are known."""
    known = tuple(territory.given.at for territory in territories if territory.given.at is not None)
    return known if len(known) == len(territories) else ()


def lung_shunt_of(territories: Sequence[TreatedTerritory]) -> float | None:
    """The lung shunt fraction of all net activity, ``Σ A_k LSF_k / Σ A_k``; ``None`` if none is known, 0 for one that is not."""
    if all(territory.given.lung_shunt_fraction is None for territory in territories):
        return None
    net = sum(territory.given.net_mbq for territory in territories)
    return sum(t.given.net_mbq * (t.given.lung_shunt_fraction or 0.0) for t in territories) / net
