"""Regions made from other regions and from the activity: set operations, margins, isocontours.

Everything is done where the regions were drawn, before they reach the dose grid, and parts of voxels stay parts.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.errors import GeometryError, InputError, QuantityError
from voxeldose.geometry.isocontours import isocontour
from voxeldose.geometry.margins import with_margin
from voxeldose.geometry.resample import occupancy_onto
from voxeldose.model.grid import window_around
from voxeldose.model.remarks import Numbers, Remark
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.volume import ActivityMap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.model.arrays import Floats
    from voxeldose.model.volume import Volume

__all__ = ["Derivation", "Isocontour", "derive"]

#: Words for every region of a role, unless a region has that name.
_ALL_OF = {"tumors": "tumor", "lungs": "lung", "segments": "segment"}


@dataclass(frozen=True)
class Isocontour:
    """Where the activity is at least ``fraction`` of a reference, or at least ``bq_per_ml``.

    The reference is the maximum or mean (``of``) inside ``region``, a set expression; without it, inside the derivation's
    ``within``, and without that in the whole image.
    """

    fraction: float | None = None
    bq_per_ml: float | None = None
    of: str = "maximum"
    region: str | None = None


@dataclass(frozen=True, eq=False)
class Derivation:
    """How one region is made: from an expression or an isocontour, then grown or shrunk, then cut to ``within``.

    Parameters
    ----------
    name, role : str
        Of the new region.
    expression : str, optional
        Names joined by ``|`` (union), ``&`` (intersection, binds first) and `` - `` (without; spaces around it), with
        parentheses; names with spaces in quotes. ``tumors``, ``lungs`` and ``segments`` mean all regions of that role.
    contour : Isocontour, optional
        Instead of the expression.
    margin_mm : float
        Grown by this, or shrunk if negative.
    within : str, optional
        An expression; what lies outside it is cut off at the end.
    image : Volume, optional
        What the isocontour is drawn on, instead of the activity image.
    """

    name: str
    role: str
    expression: str | None = None
    contour: Isocontour | None = None
    margin_mm: float = 0.0
    within: str | None = None
    image: Volume | None = None


def derive(rois: RoiSet, wanted: Sequence[Derivation], activity: Volume | None = None) -> RoiSet:
    """The regions and those made from them, in order; later ones may use earlier ones.

    Parameters
    ----------
    rois : RoiSet
        On any grids in one frame of reference.
    wanted : sequence of Derivation
        What to make.
    activity : Volume, optional
        For isocontours: Bq/mL or counts.

    Returns
    -------
    RoiSet
        With the derived regions behind the given ones; how each was made stands in its remarks.

    Raises
    ------
    InputError
        If a name is unknown (the nearest is named) or an expression cannot be understood.
    QuantityError
        If nothing is left of a region, or a threshold cannot be applied.
    GeometryError
        If frames of reference differ.
    """
    for plan in wanted:
        try:
            rois = RoiSet((*rois.rois, _build(plan, rois, plan.image or activity)), rois.grid)
        except (GeometryError, InputError, QuantityError) as error:
            msg = f"derived region {plan.name!r}: {error}"
            raise type(error)(msg, code=error.code, **error.fields) from error
    return rois


def _build(plan: Derivation, rois: RoiSet, image: Volume | None) -> Roi:
    if plan.name in rois:
        msg = "there is a ROI of that name already; choose another."
        raise InputError(msg, code="name-taken", found=plan.name)
    limit = _evaluate(plan.within, rois) if plan.within else None
    if plan.expression is not None:
        region = _evaluate(plan.expression, rois)
        words = f"is {plan.expression}"
    elif plan.contour is not None and image is not None:
        region, words = _contour(plan.contour, image, rois, limit)
    else:
        msg = "needs an expression ('from'), or an isocontour and an image of the activity."
        raise InputError(msg, code="key-missing", field="from")
    doubt_ml = region.doubt_ml
    roi = region.roi
    if plan.margin_mm:
        roi = with_margin(roi, plan.margin_mm)
        words += (
            f", {'grown' if plan.margin_mm > 0 else 'shrunk'} by {abs(plan.margin_mm):g} mm from its sub-voxel surface"
        )
    if limit is not None:
        cut = _combine(_Region(roi), limit, "&")
        roi, doubt_ml = cut.roi, doubt_ml + cut.doubt_ml
        words += f", inside {plan.within}"
    sentence = f"ROI {plan.name} was made here: it {words}; {roi.volume_ml:.2f} mL."
    if doubt_ml > 0.001 * roi.volume_ml:
        sentence += f" In voxels that several regions fill in part, {doubt_ml:.2f} mL may belong to it or not."
    numbers: Numbers = {"roi": plan.name, "volume_ml": roi.volume_ml, "doubt_ml": doubt_ml}
    return Roi(plan.name, plan.role, roi.occupancy, roi.grid, (Remark("roi-derived", numbers, sentence),))


@dataclass(frozen=True, eq=False)
class _Region:
    """A region and the volume about which partly filled voxels leave doubt."""

    roi: Roi
    doubt_ml: float = 0.0


def _evaluate(expression: str, rois: RoiSet) -> _Region:
    """The region that an expression means."""
    tokens = re.findall(r"'[^']*'|\"[^\"]*\"|[|&()]|[^\s|&()'\"]+", expression)
    region, rest = _sum(tokens, rois, expression)
    if rest:
        msg = f"{expression!r} cannot be understood at {rest[0]!r}; join names by |, & or ' - ', names with spaces in quotes."
        raise InputError(msg, code="expression-not-understood")
    return region


def _sum(tokens: list[str], rois: RoiSet, whole: str) -> tuple[_Region, list[str]]:
    region, tokens = _product(tokens, rois, whole)
    while tokens and tokens[0] in ("|", "-"):
        other, rest = _product(tokens[1:], rois, whole)
        region, tokens = _combine(region, other, tokens[0]), rest
    return region, tokens


def _product(tokens: list[str], rois: RoiSet, whole: str) -> tuple[_Region, list[str]]:
    region, tokens = _term(tokens, rois, whole)
    while tokens and tokens[0] == "&":
        other, rest = _term(tokens[1:], rois, whole)
        region, tokens = _combine(region, other, "&"), rest
    return region, tokens


def _term(tokens: list[str], rois: RoiSet, whole: str) -> tuple[_Region, list[str]]:
    if not tokens or tokens[0] in ("|", "&", "-", ")"):
        msg = f"{whole!r} lacks a name{f' before {tokens[0]!r}' if tokens else ' at its end'}."
        raise InputError(msg, code="expression-not-understood")
    if tokens[0] == "(":
        region, rest = _sum(tokens[1:], rois, whole)
        if not rest or rest[0] != ")":
            msg = f"{whole!r} lacks a closing parenthesis."
            raise InputError(msg, code="expression-not-understood")
        return region, rest[1:]
    name = tokens[0].strip("'\"")
    if name not in rois and name.casefold() in _ALL_OF:
        members = rois.with_role(_ALL_OF[name.casefold()]).rois
        if members:
            region = _Region(members[0])
            for other in members[1:]:
                region = _combine(region, _Region(other), "|")
            return region, tokens[1:]
    if name not in rois:
        raise InputError(_unknown(name, rois), code="roi-unknown", found=name, known=tuple(rois.names()))
    return _Region(rois[name]), tokens[1:]


def _unknown(name: str, rois: RoiSet) -> str:
    known = rois.names()
    near = difflib.get_close_matches(name.casefold(), [k.casefold() for k in known], 1, 0.4)
    hint = f" Did you mean {next(k for k in known if k.casefold() == near[0])!r}?" if near else ""
    parts = name.split("-")
    if len(parts) > 1 and all(p in rois or p.casefold() in _ALL_OF for p in parts):
        hint = f" Write {' - '.join(parts)!r}, with spaces, to take one from the other."
    return f"there is no ROI {name!r}.{hint} ROIs are {', '.join(known) or 'none'}."


def _combine(first: _Region, second: _Region, sign: str) -> _Region:
    """Union, intersection or difference on the finer of both lattices.

    In a voxel that both fill in part, the parts are taken to overlap as far as they can (so that a region without itself
    is nothing); ``doubt_ml`` is how much they might overlap less.
    """
    a, b = first.roi, second.roi
    a.grid.require_same_frame(b.grid, f"ROIs {a.name!r} and {b.name!r}")
    fine = min((a.grid, b.grid), key=lambda g: g.voxel_volume_ml)
    box = a.grid.corners() if sign != "|" else np.concatenate([a.grid.corners(), b.grid.corners()])
    lattice = window_around(fine, box)
    one, two = occupancy_onto(a, lattice), occupancy_onto(b, lattice)
    shared = np.minimum(one, two)
    least = np.clip(one + two - 1, 0, None)
    doubt = float((shared - least).sum(dtype=np.float64)) * lattice.voxel_volume_ml
    result = {"|": one + two - shared, "&": shared, "-": one - shared}[sign]
    if float(result.max()) <= 1e-6:
        words = {"|": "or", "&": "and", "-": "without"}[sign]
        msg = f"nothing is left: {a.name} {words} {b.name} is empty."
        raise QuantityError(msg, code="roi-empty")
    name = f"{a.name} {sign} {b.name}"
    return _Region(Roi(name, "other", result, lattice), first.doubt_ml + second.doubt_ml + doubt)


def _contour(plan: Isocontour, image: Volume, rois: RoiSet, limit: _Region | None) -> tuple[_Region, str]:
    """Where the activity reaches the threshold, and that in words."""
    if plan.bq_per_ml is not None:
        if not isinstance(image, ActivityMap):
            msg = f"isocontour_bq_per_ml needs an image in Bq/mL, not {image.quantity}; use isocontour_fraction."
            raise QuantityError(msg, code="quantity-differs", found=image.quantity, needed="activity")
        threshold, words = plan.bq_per_ml, f"is where the activity image is at least {plan.bq_per_ml:g} Bq/mL"
    elif plan.fraction is not None:
        named = _evaluate(plan.region, rois) if plan.region else limit
        weights = None if named is None else occupancy_onto(named.roi, image.grid)
        reference = _reference(image, weights, plan.of)
        place = plan.region or (limit.roi.name if limit is not None else "the image")
        threshold = plan.fraction * reference
        words = f"is where the activity is at least {plan.fraction:g} of the {plan.of} ({reference:.4g}) in {place}"
    else:
        msg = "an isocontour needs a fraction or a concentration."
        raise InputError(msg, code="key-missing", field="isocontour_fraction")
    if not threshold > 0:
        msg = f"the threshold of the isocontour is {threshold:g}; it must be above 0."
        raise QuantityError(msg, code="value-out-of-range", field="threshold", found=threshold)
    occupancy = isocontour(image, threshold, None if limit is None else limit.roi.grid)
    if not occupancy.any():
        msg = f"nothing is left: no voxel reaches the threshold {threshold:.4g}."
        raise QuantityError(msg, code="roi-empty")
    return _Region(Roi("isocontour", "other", occupancy, image.grid)), words + " (linear between voxel centres)"


def _reference(image: Volume, weights: Floats | None, of: str) -> float:
    if weights is None:
        return float(image.values.max() if of == "maximum" else image.values.mean(dtype=np.float64))
    if not (weights > 0).any():
        msg = "the region of the reference does not overlap the image."
        raise GeometryError(msg, code="no-overlap")
    if of == "mean":
        return float(np.average(image.values, weights=weights))
    inside = weights >= 0.5
    return float(image.values[inside if inside.any() else weights > 0].max())
