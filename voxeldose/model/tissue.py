"""Radiobiological parameter sets and dose-effect curves of named tissues, with their sources.

Parameters stand in ``tables/radiobiology.toml``, each with tissue, year and source. A set for one tissue is refused for
another, and a curve for one kind of sphere for another: swapped, the numbers would look just as good. No curve is a default.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from voxeldose.errors import QuantityError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxeldose.model.radionuclide import Radionuclide

__all__ = [
    "Complication",
    "Control",
    "Radiobiology",
    "complication_set",
    "complication_sets",
    "control_set",
    "control_sets",
    "default_sets",
    "linear_quadratic_set",
    "linear_quadratic_sets",
    "require_known",
    "require_one_tissue",
]


@dataclass(frozen=True)
class Radiobiology:
    """Parameters of the linear-quadratic model for one kind of tissue, and the roles of ROIs that are such tissue."""

    name: str
    tissue: str
    roles: tuple[str, ...]
    alpha_beta_gy: float
    repair_half_time_h: float
    alpha_per_gy: float
    source: str
    year: int

    def require_role(self, role: str) -> None:
        """Refuse a region of another tissue.

        Raises
        ------
        QuantityError
            If the role is not one of the set's.
        """
        _require(self.name, self.tissue, self.roles, role)

    def repair(self, radionuclide: Radionuclide) -> float:
        """The Lea-Catcheside factor G of an implant that decays away."""
        return self.repair_half_time_h / (self.repair_half_time_h + radionuclide.half_life_h)


@dataclass(frozen=True, kw_only=True)
class _Curve:
    """A dose-effect curve of ``quantity`` for one kind of tissue and, where ``device`` says so, one kind of sphere.

    ``seen`` is false where ``source`` quotes the number and the series that it comes from was not read.
    """

    name: str
    tissue: str
    roles: tuple[str, ...]
    quantity: str
    source: str
    year: int
    device: str | None = None
    seen: bool = True

    def require_role(self, role: str) -> None:
        """Refuse a region of another tissue; raises QuantityError."""
        _require(self.name, self.tissue, self.roles, role)

    def require_device(self, device: str | None) -> None:
        """Refuse spheres of another kind where theirs is known; raises QuantityError."""
        if None not in (self.device, device) and device != self.device:
            msg = (
                f"The curve {self.name} was found with {self.device} spheres, not {device}: at the same mean dose the two differ "
                "several fold. Choose a curve for that device."
            )
            raise QuantityError(msg, code="device-differs", needed=self.device, found=device)


@dataclass(frozen=True, kw_only=True)
class Control(_Curve):
    """A control curve: half of the tumors at ``d50_gy`` of ``quantity``; ``slope`` where the source gives one."""

    d50_gy: float
    slope: float | None = None


@dataclass(frozen=True, kw_only=True)
class Complication(_Curve):
    """A complication curve: half of the patients at ``td50_gy`` of ``quantity``; its width ``m`` where the source gives one."""

    td50_gy: float
    m: float | None = None


def _require(name: str, tissue: str, roles: tuple[str, ...], role: str) -> None:
    if role not in roles:
        msg = (
            f"The parameter set {name} is for {tissue} (roles {', '.join(roles)}), not for the role {role}. Choose a set for "
            "that tissue."
        )
        raise QuantityError(msg, code="role-differs", needed=roles, found=role)


def require_known(dose_gy: float) -> None:
    """Refuse a dose that is no number."""
    if not math.isfinite(dose_gy):
        msg = f"A probability needs a dose that is known, found {dose_gy} Gy."
        raise QuantityError(msg, code="dose-unknown", found=dose_gy)


def require_one_tissue(*sets: Radiobiology | Control | Complication | None) -> None:
    """Refuse sets of different tissues in one answer: a tumor's curve of a liver's BED, and the other way round.

    Raises
    ------
    QuantityError
        Names the sets and their tissues.
    """
    tissues = {one.name: one.tissue for one in sets if one is not None}
    if len(set(tissues.values())) > 1:
        listed = ", ".join(f"{name} ({tissue})" for name, tissue in tissues.items())
        msg = f"The parameter sets are for different tissues: {listed}. Ask for each region by itself, with sets for its tissue."
        raise QuantityError(msg, code="tissues-differ", sets=tuple(tissues))


@cache
def _table() -> dict[str, list[dict[str, Any]]]:
    return tomllib.loads((resources.files("voxeldose") / "tables" / "radiobiology.toml").read_text("utf-8"))


@cache
def linear_quadratic_sets() -> Mapping[str, Radiobiology]:
    """All sets of the linear-quadratic model, by name."""
    rows = _table()["linear_quadratic"]
    return {row["name"]: Radiobiology(**row | {"roles": tuple(row["roles"])}) for row in rows}


@cache
def control_sets() -> Mapping[str, Control]:
    """All control curves, by name."""
    return {row["name"]: Control(**row | {"roles": tuple(row["roles"])}) for row in _table()["control"]}


@cache
def complication_sets() -> Mapping[str, Complication]:
    """All complication curves, by name."""
    return {row["name"]: Complication(**row | {"roles": tuple(row["roles"])}) for row in _table()["complication"]}


def linear_quadratic_set(name: str, role: str | None = None) -> Radiobiology:
    """The set of that name; with ``role`` only if it is for that tissue.

    Raises
    ------
    QuantityError
        If there is no such set, or it is for another tissue.
    """
    found = linear_quadratic_sets().get(name)
    if found is None:
        msg = f"There is no parameter set {name!r}; there are {', '.join(linear_quadratic_sets())}."
        raise QuantityError(msg, code="name-unknown", found=name, known=tuple(linear_quadratic_sets()))
    if role is not None:
        found.require_role(role)
    return found


def control_set(name: str) -> Control:
    """The control curve of that name; raises QuantityError if there is none."""
    found = control_sets().get(name)
    if found is None:
        msg = f"There is no control curve {name!r}; there are {', '.join(control_sets())}."
        raise QuantityError(msg, code="name-unknown", found=name, known=tuple(control_sets()))
    return found


def complication_set(name: str) -> Complication:
    """The complication curve of that name; raises QuantityError if there is none."""
    found = complication_sets().get(name)
    if found is None:
        msg = f"There is no complication curve {name!r}; there are {', '.join(complication_sets())}."
        raise QuantityError(msg, code="name-unknown", found=name, known=tuple(complication_sets()))
    return found


def default_sets() -> dict[str, Radiobiology]:
    """The set that a role gets without being asked; a role without one has no BED and no EUD."""
    tumor, liver = (linear_quadratic_set(f"cremonesi-2008-{name}") for name in ("tumor", "normal-liver"))
    return {role: chosen for chosen in (tumor, liver) for role in chosen.roles}
