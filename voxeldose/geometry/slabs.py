"""How thick a slice is: what its planes show, what they may be told, and the slab that each plane stands for.

The gap between a region's own few planes says nothing: two lesions drawn on one slice each may lie far apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from voxeldose.errors import GeometryError
from voxeldose.model.remarks import Remark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.model.arrays import Doubles, Integers

__all__ = [
    "GAP",
    "SlabThickness",
    "Slabs",
    "choose_distance",
    "fit_lattice",
    "proven_distance",
    "shown_distance",
    "slabs_of",
    "usual_distance",
]

#: A gap of more than this many usual distances of planes stays empty.
GAP = 1.5
#: So many planes, most of them evenly placed, show their distance by themselves.
EVEN_PLANES = 6
#: Fewer show it only if all gaps are alike and none is wider: thicker slices than these are rare in CT and PET.
FEW_PLANES, FEW_PLANES_MM = 3, 5.0
#: Gaps that differ by no more than this part of a distance are alike, as for the slices of an image.
EVEN_PART = 0.05
#: Planes of two regions nearer than this are one; normals whose dot product is above this are parallel.
ONE_PLANE_MM, PARALLEL = 0.1, 0.9999
#: A distance that is stated with few digits may be wrong by this part.
ROUNDED_PART = 0.005
#: Planes drawn on every second or third slice of a series still show their own distance.
EVERY_THIRD = 3.05

_SOURCES = {
    "contours": "the Contour Slab Thickness",
    "series": "the distance of slices in the series that the file cites",
    "set": "the distance of planes in the structure set",
    "user": "the thickness that the user gives",
}


@dataclass(frozen=True)
class SlabThickness:
    """How thick the slices are on which a region was drawn, in mm, and who says so."""

    mm: float
    source: Literal["contours", "series", "set", "user"]

    @property
    def is_stated(self) -> bool:
        """Whether the contours or the user say it, and it is not concluded from images or other regions."""
        return self.source in ("contours", "user")

    def __str__(self) -> str:
        return _SOURCES[self.source]


class Slabs(NamedTuple):
    """Slices of one thickness from ``bottom`` up, and what of them each plane stands for, counted in slices."""

    slices: int
    bottom: float
    distance: float
    starts: list[float]
    stops: list[float]


def proven_distance(planes: Sequence[float]) -> float | None:
    """The usual distance of planes, rising, in mm; ``None`` where they are too few, or too uneven, to show one."""
    gaps = np.diff(planes)
    if len(planes) < EVEN_PLANES:
        return None
    usual = float(np.median(gaps))
    alike = int((np.abs(gaps - usual) <= EVEN_PART * usual).sum())
    return usual if 2 * alike >= gaps.size and alike >= EVEN_PLANES - 1 else None


def shown_distance(planes: Sequence[float]) -> float | None:
    """:func:`proven_distance`, or that of a few even planes at most 5 mm apart; ``None`` where nothing shows it."""
    proven = proven_distance(planes)
    if proven is not None or len(planes) < FEW_PLANES:
        return proven
    gaps = np.diff(planes)
    usual = float(np.median(gaps))
    alike = np.abs(gaps - usual) <= EVEN_PART * usual
    return usual if usual <= FEW_PLANES_MM and 2 * alike.sum() > gaps.size and alike.sum() >= 2 else None


def usual_distance(regions: Sequence[tuple[Doubles, Sequence[float]]]) -> float | None:
    """The usual distance of planes over several regions in mm; ``None`` where nothing shows it.

    Regions with many even planes show it; where there is none, the planes of all regions of one orientation together.

    Parameters
    ----------
    regions : sequence of (ndarray, sequence of float)
        The normal of each region's planes, and their heights in mm, rising.
    """
    proven = [(d, len(heights) - 1) for _, heights in regions if (d := proven_distance(heights)) is not None]
    if proven:
        return float(np.median(np.repeat([d for d, _ in proven], [n for _, n in proven])))
    for normal, _ in regions:
        together = np.sort(np.concatenate([h for other, h in regions if abs(float(other @ normal)) > PARALLEL]))
        planes = together[np.diff(together, prepend=-np.inf) >= ONE_PLANE_MM]
        shown = shown_distance(planes.tolist())
        if shown is not None:
            return shown
    return None


def choose_distance(planes: Sequence[float], thickness: SlabThickness | None) -> tuple[float, tuple[Remark, ...]]:
    """The thickness in mm of the slices of one region, with what is assumed of it.

    A thickness that is known bounds the distance of the region's own planes. Planes that stand nearer are thinner; even
    planes on every second or third slice keep their own distance, unless the contours state their thickness.

    Parameters
    ----------
    planes : sequence of float
        Heights in mm, rising.
    thickness : SlabThickness, optional
        What is known of the slices.

    Raises
    ------
    GeometryError
        If nothing says how thick a slice is.
    """
    gaps = np.diff(planes)
    if thickness is None:
        shown = shown_distance(planes)
        if shown is None:
            raise _unknown(planes)
        return shown, _gap_remarks(gaps, shown)
    if gaps.size:
        distance, remarks = _bounded(planes, thickness)
        return distance, (*remarks, *_gap_remarks(gaps, distance))
    if thickness.is_stated:
        return thickness.mm, ()
    sentence = f"drawn in one plane; taken to be {thickness.mm:.2f} mm thick, {thickness}"
    return thickness.mm, (Remark("contours-in-one-plane", {"thickness_mm": thickness.mm}, sentence),)


def _bounded(planes: Sequence[float], thickness: SlabThickness) -> tuple[float, tuple[Remark, ...]]:
    """The distance that planes show if a known thickness leaves it room, else that thickness."""
    shown = shown_distance(planes)
    usual = float(np.median(np.diff(planes))) if shown is None else shown
    if usual <= thickness.mm or (shown is not None and shown <= GAP * thickness.mm):
        return usual, ()
    proven = proven_distance(planes)
    if proven is None or thickness.is_stated or proven > EVERY_THIRD * thickness.mm:
        return thickness.mm, ()
    sentence = f"its planes are {proven:.2f} mm apart, where {thickness} is {thickness.mm:.2f} mm; taken to be as thick"
    numbers = {"distance_mm": proven, "thickness_mm": thickness.mm}
    return proven, (Remark("contours-on-some-slices", numbers, sentence),)


def _unknown(planes: Sequence[float]) -> GeometryError:
    if len(planes) == 1:
        msg = "drawn in one plane only, so its thickness is not known."
        return GeometryError(msg, code="contours-in-one-plane")
    msg = f"drawn in {len(planes)} planes that lie unevenly or far apart, so the thickness of a slice is not known."
    return GeometryError(msg, code="contours-thickness-unknown", planes=len(planes))


def _gap_remarks(gaps: Doubles, usual: float) -> tuple[Remark, ...]:
    widest = float(gaps.max())
    if widest <= GAP * usual:
        return ()
    sentence = f"planes are up to {widest:.1f} mm apart where slices are {usual:.1f} mm thick; the gap stays empty"
    return (Remark("contours-gap", {"widest_mm": widest, "usual_mm": usual}, sentence),)


def slabs_of(planes: Sequence[float], distance: float) -> Slabs:
    """What each plane stands for: half way to its neighbours, but not into gaps."""
    half = distance / 2
    reach_up = [min(g / 2, half) if g > GAP * distance else g / 2 for g in np.diff(planes)] + [half]
    reach_down = [half, *reach_up[:-1]]
    bottom = planes[0] - half
    count = max(1, int(np.ceil((planes[-1] + half - bottom) / distance - 1e-6)))
    starts = [(h - down - bottom) / distance for h, down in zip(planes, reach_down, strict=True)]
    stops = [(h + up - bottom) / distance for h, up in zip(planes, reach_up, strict=True)]
    return Slabs(count, bottom, distance, starts, stops)


def fit_lattice(planes: Sequence[float], distance: float) -> tuple[Integers, float, float] | None:
    """Slice number of each plane, height of slice 0 and distance of slices, if planes lie on even slices.

    A plane may lie a twentieth of the distance from its even place, as the slices of an image may. The distance asked for
    is kept where it fits; over many slices, one that differs by rounding is fitted to the planes.

    Parameters
    ----------
    planes : sequence of float
        Heights in mm, rising.
    distance : float
        Of slices, in mm.
    """
    heights = np.asarray(planes, np.float64)
    steps = np.rint(np.diff(heights) / distance).astype(np.int64)
    if (steps < 1).any():
        return None
    index = np.concatenate([[0], np.cumsum(steps)])
    fitted = float(heights[-1] - heights[0]) / int(index[-1]) if index[-1] else distance
    for step in (distance, fitted):
        residual = heights - index * step
        start = float(residual.min() + residual.max()) / 2
        if abs(step - distance) <= ROUNDED_PART * distance and np.abs(residual - start).max() <= EVEN_PART * step:
            return index, start, step
    return None
