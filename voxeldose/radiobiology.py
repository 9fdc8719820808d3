"""Dose to effect: BED, EUD, EUBED, gEUD, and control and complication probability with named parameter sets.

- ``BED = D (1 + G D / (α/β))``, ``G = T_rep/(T_rep + T½)``: all decays of a permanent implant, repair with one half-time,
  no proliferation (Dale 1985; Cremonesi 2008). One administration; repeated ones do not add.
- ``EUD = -ln(Σ w exp(-α D) / Σ w) / α`` (Niemierko 1997); EUBED is the same with BED in place of D.
- ``gEUD = (Σ w D^a / Σ w)^(1/a)`` (Niemierko 1999).
- control ``1 / (1 + (D50/D)^slope)``, complication ``Φ((D - TD50) / (m TD50))`` (Lyman, Kutcher, Burman with n = 1).

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

import numpy as np

from voxeldose.errors import QuantityError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from voxeldose.radionuclide import Radionuclide

    Doubles = npt.NDArray[np.float64]

__all__ = [
    "Complication",
    "Control",
    "Radiobiology",
    "bed_gy",
    "complication_by_set",
    "complication_probability",
    "complication_set",
    "complication_sets",
    "control_probability",
    "control_set",
    "control_sets",
    "default_sets",
    "eubed_gy",
    "eud_gy",
    "geud_gy",
    "linear_quadratic_set",
    "linear_quadratic_sets",
    "poisson_control",
    "require_one_tissue",
]

#: exp of more is no float.
LARGEST_EXPONENT = 700.0


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
            raise QuantityError(msg)


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
        raise QuantityError(msg)


def _require_known(dose_gy: float) -> None:
    if not math.isfinite(dose_gy):
        msg = f"A probability needs a dose that is known, found {dose_gy} Gy."
        raise QuantityError(msg)


def require_one_tissue(*sets: Radiobiology | Control | Complication | None) -> None:
    """Refuse sets of different tissues in one answer: a tumor's curve of a liver's BED, and the other way round.

    Raises
    ------
    QuantityError
        Names the sets and their tissues.
    """
    tissues = {one.name: one.tissue for one in sets if one is not None}
    if len(set(tissues.values())) > 1:
        said = ", ".join(f"{name} ({tissue})" for name, tissue in tissues.items())
        msg = f"The parameter sets are for different tissues: {said}. Ask for each region by itself, with sets for its tissue."
        raise QuantityError(msg)


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
        raise QuantityError(msg)
    if role is not None:
        found.require_role(role)
    return found


def control_set(name: str) -> Control:
    """The control curve of that name; raises QuantityError if there is none."""
    found = control_sets().get(name)
    if found is None:
        msg = f"There is no control curve {name!r}; there are {', '.join(control_sets())}."
        raise QuantityError(msg)
    return found


def complication_set(name: str) -> Complication:
    """The complication curve of that name; raises QuantityError if there is none."""
    found = complication_sets().get(name)
    if found is None:
        msg = f"There is no complication curve {name!r}; there are {', '.join(complication_sets())}."
        raise QuantityError(msg)
    return found


def default_sets() -> dict[str, Radiobiology]:
    """The set that a role gets without being asked; a role without one has no BED and no EUD."""
    tumor, liver = (linear_quadratic_set(f"cremonesi-2008-{name}") for name in ("tumor", "normal-liver"))
    return {role: chosen for chosen in (tumor, liver) for role in chosen.roles}


def bed_gy(dose_gy: Doubles, tissue: Radiobiology, radionuclide: Radionuclide) -> Doubles:
    """Biologically effective dose of a permanent implant, voxel by voxel."""
    return np.asarray(dose_gy * (1 + tissue.repair(radionuclide) * dose_gy / tissue.alpha_beta_gy))


def eud_gy(dose_gy: Doubles, weights: Doubles, alpha_per_gy: float) -> float:
    """Equivalent uniform dose: the even dose with the same surviving fraction; ``weights`` are volumes."""
    lowest = dose_gy.min()
    surviving = float((weights * np.exp(-alpha_per_gy * (dose_gy - lowest))).sum() / weights.sum())
    return float(lowest - np.log(surviving) / alpha_per_gy)


def eubed_gy(dose_gy: Doubles, weights: Doubles, tissue: Radiobiology, radionuclide: Radionuclide) -> float:
    """Equivalent uniform BED: the even BED with the same surviving fraction, dose rate and repair counted."""
    return eud_gy(bed_gy(dose_gy, tissue, radionuclide), weights, tissue.alpha_per_gy)


def geud_gy(dose_gy: Doubles, weights: Doubles, a: float) -> float:
    """Generalised EUD: ``a`` below 0 for tumors (cold spots rule), 1 the mean, above 1 for serial organs.

    Raises
    ------
    QuantityError
        If ``a`` is 0 or a dose is negative, for which the power means nothing.
    """
    if a == 0 or not math.isfinite(a):
        msg = f"gEUD needs a parameter a that is not 0, found {a}."
        raise QuantityError(msg)
    if dose_gy.min() < 0:
        msg = f"gEUD needs doses of 0 Gy or more, found {dose_gy.min():g} Gy (noise); use EUD instead."
        raise QuantityError(msg)
    highest = float(dose_gy.max())
    if highest == 0 or (a < 0 and dose_gy[weights > 0].min() == 0):
        return 0.0
    scale = float(dose_gy[weights > 0].min()) if a < 0 else highest  # the largest power is then 1
    return float(scale * ((weights * (dose_gy / scale) ** a).sum() / weights.sum()) ** (1 / a))


def control_probability(dose_gy: float, curve: Control, slope: float | None = None) -> float:
    """Part of tumors controlled at this dose by a log-logistic curve, ``1 / (1 + (D50/D)^slope)``.

    Raises
    ------
    QuantityError
        If neither the set nor the caller gives a slope, or both do, or the dose is not a number.
    """
    _require_known(dose_gy)
    if (slope is None) == (curve.slope is None):
        msg = (
            f"The set {curve.name} has no slope (only {curve.d50_gy:g} Gy for one half); give one with its source (--slope)."
            if slope is None
            else f"The set {curve.name} has a slope of its own, {curve.slope:g}; leave --slope out."
        )
        raise QuantityError(msg)
    exponent = float(slope or curve.slope or 0)
    if not 0 < exponent < math.inf:
        msg = f"A slope must be above 0, found {exponent}."
        raise QuantityError(msg)
    if dose_gy <= 0:
        return 0.0
    return 1 / (1 + math.exp(min(exponent * math.log(curve.d50_gy / dose_gy), LARGEST_EXPONENT)))


def complication_probability(dose_gy: float, td50_gy: float, m: float) -> float:
    """Part of patients with the complication at this mean dose, ``Φ((D - TD50) / (m TD50))``.

    Parameters hold for one device, endpoint and way of measuring dose; :func:`complication_by_set` takes those of a named set.

    Raises
    ------
    QuantityError
        If a parameter is not above 0, or the dose is not a number.
    """
    _require_known(dose_gy)
    if not (0 < td50_gy < math.inf and 0 < m < math.inf):
        msg = f"TD50 and m must be above 0, found {td50_gy} Gy and {m}."
        raise QuantityError(msg)
    return 0.5 * math.erfc(-(dose_gy - td50_gy) / (m * td50_gy) / math.sqrt(2))


def complication_by_set(dose_gy: float, curve: Complication, m: float | None = None) -> float:
    """Part of patients with the complication by a named curve, at this dose of the curve's ``quantity``.

    Raises
    ------
    QuantityError
        If neither the set nor the caller gives the width m, or both do.
    """
    if (m is None) == (curve.m is None):
        msg = (
            f"The set {curve.name} has no width m (only {curve.td50_gy:g} Gy for one half); give one with its source (--m)."
            if m is None
            else f"The set {curve.name} has a width of its own, {curve.m:g}; leave --m out."
        )
        raise QuantityError(msg)
    return complication_probability(dose_gy, curve.td50_gy, float(m if m is not None else curve.m or 0))


def poisson_control(eubed: float, alpha_per_gy: float, clonogens: float) -> float:
    """Probability that no clonogenic cell survives, ``exp(-N exp(-α EUBED))``."""
    _require_known(eubed)
    if not (1 <= clonogens < math.inf and alpha_per_gy > 0):
        msg = f"Poisson control needs at least one cell and α above 0, found {clonogens} and {alpha_per_gy}."
        raise QuantityError(msg)
    return math.exp(-clonogens * math.exp(-alpha_per_gy * eubed))
