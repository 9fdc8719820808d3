"""Regions of interest as fractional occupancy of voxels.

A label map is the case 0/1. Regions may overlap; each lies on its own grid, cropped to where it is not zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.errors import GeometryError, QuantityError
from voxeldose.model.grid import bounding_box
from voxeldose.model.roles import ROLES, RoiCode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from voxeldose.model.arrays import Floats
    from voxeldose.model.grid import Grid
    from voxeldose.model.remarks import Remark

__all__ = ["Roi", "RoiSet"]


@dataclass(frozen=True, eq=False, repr=False)
class Roi:
    """A named region.

    Parameters
    ----------
    name : str
        The user's name for it, unique in a set.
    role : str
        One of :data:`ROLES`.
    occupancy : array_like, grid.shape
        Fraction of each voxel that belongs to the region, 0 to 1; cropped to the box where it is not zero.
    grid : Grid
        Where it lies; need not be the grid of any image.
    remarks : tuple of Remark
        What was assumed to make it.
    offset : array_like, (3, *grid.shape), optional
        Where the occupied part of each voxel lies: its middle along k, j and i in voxels from the voxel's centre. Without
        it the middle is the centre.
    source_name : str
        The region's name in its file, if it has one.
    codes : tuple of RoiCode
        What the file says it is.

    Raises
    ------
    QuantityError
        For an unknown role, an occupancy outside 0–1, or an empty region.
    """

    name: str
    role: str
    occupancy: Floats
    grid: Grid
    remarks: tuple[Remark, ...] = ()
    offset: Floats | None = None
    source_name: str = field(default="", kw_only=True)
    codes: tuple[RoiCode, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            msg = f"ROI {self.name!r} has the unknown role {self.role!r}; roles are {', '.join(ROLES)}."
            raise QuantityError(msg, code="role-unknown", roi=self.name, found=self.role, known=ROLES)
        occupancy = np.asarray(self.occupancy)
        if occupancy.shape != self.grid.shape:
            msg = f"ROI {self.name!r}: occupancy has shape {occupancy.shape} but its grid has {self.grid.shape}."
            raise GeometryError(msg, code="grid-differs", found=occupancy.shape, needed=self.grid.shape)
        box = bounding_box(occupancy > 0)
        if box is None:
            msg = f"ROI {self.name!r} is empty: no voxel belongs to it. Check its label, or leave it out."
            raise QuantityError(msg, code="roi-empty", roi=self.name)
        part = np.array(occupancy[box], np.float32, order="C")
        if not (np.isfinite(part).all() and part.min() >= 0 and part.max() <= 1 + 1e-6):
            msg = f"ROI {self.name!r}: occupancy must lie between 0 and 1, found {part.min()} to {part.max()}."
            raise QuantityError(msg, code="value-out-of-range", roi=self.name, field="occupancy")
        np.minimum(part, 1, out=part)
        part.setflags(write=False)
        if self.offset is not None:
            offset = np.array(np.asarray(self.offset)[:, *box], np.float32, order="C")
            offset.setflags(write=False)
            object.__setattr__(self, "offset", offset)
        object.__setattr__(self, "occupancy", part)
        object.__setattr__(self, "grid", self.grid.window([s.start for s in box], part.shape))

    def __repr__(self) -> str:
        return f"Roi({self.name!r}, {self.role}, {self.volume_ml:.4g} mL, {self.grid!r})"

    def _repr_html_(self) -> str:
        """A table and a slice, for notebooks."""
        from voxeldose.model.display import html_of_roi

        return html_of_roi(self)

    @property
    def volume_ml(self) -> float:
        """Occupied volume."""
        return float(self.occupancy.sum(dtype=np.float64)) * self.grid.voxel_volume_ml

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed to make it, as sentences."""
        return tuple(remark.sentence for remark in self.remarks)

    def on_window(self, part: Grid) -> Floats:
        """Occupancy on another window of the same lattice, zero where the region does not reach."""
        return self.grid.cut(self.occupancy, part)


@dataclass(frozen=True, eq=False, repr=False)
class RoiSet:
    """Regions in the order given, each with its own name.

    Parameters
    ----------
    rois : tuple of Roi
        In any order.
    grid : Grid, optional
        The whole grid of the label map they were read from, where there is one.

    Raises
    ------
    QuantityError
        If two regions share a name.
    """

    rois: tuple[Roi, ...] = ()
    grid: Grid | None = None

    def __post_init__(self) -> None:
        rois = tuple(self.rois)
        object.__setattr__(self, "rois", rois)
        names = [r.name for r in rois]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            msg = f"Two ROIs have the same name: {', '.join(twice)}. Give each its own name with labels."
            raise QuantityError(msg, code="name-twice", names=tuple(twice))

    def __repr__(self) -> str:
        return f"RoiSet({', '.join(f'{r.name} ({r.role}, {r.volume_ml:.4g} mL)' for r in self.rois)})"

    def _repr_html_(self) -> str:
        """A row per region and where they lie, for notebooks."""
        from voxeldose.model.display import html_of_rois

        return html_of_rois(self)

    def __iter__(self) -> Iterator[Roi]:
        return iter(self.rois)

    def __len__(self) -> int:
        return len(self.rois)

    def __contains__(self, name: object) -> bool:
        return any(r.name == name for r in self.rois)

    def __getitem__(self, name: str) -> Roi:
        for roi in self.rois:
            if roi.name == name:
                return roi
        msg = f"There is no ROI {name!r}; there are {', '.join(self.names()) or 'none'}."
        raise QuantityError(msg, code="roi-unknown", found=name, known=tuple(self.names()))

    def __add__(self, other: RoiSet) -> RoiSet:
        """The regions of both; on a grid only if both have the same. ``RoiSet()`` adds nothing and changes nothing."""
        if not self.rois and self.grid is None:
            return other
        if not other.rois and other.grid is None:
            return self
        is_shared = self.grid is not None and other.grid is not None and self.grid.matches(other.grid)
        return RoiSet(self.rois + other.rois, self.grid if is_shared else None)

    def names(self) -> list[str]:
        """All names, in order."""
        return [r.name for r in self.rois]

    def with_role(self, *roles: str) -> RoiSet:
        """The regions that have one of these roles."""
        return RoiSet(tuple(r for r in self.rois if r.role in roles), self.grid)


def union(occupancies: Sequence[Floats]) -> Floats:
    """Occupancy of the union of regions on one grid, at most 1 in a voxel.

    Within a voxel the parts are taken as disjoint (neighbouring regions share a border voxel far more often than they
    lie on top of each other in it); voxels filled by more than one region count once either way.
    """
    total = np.zeros_like(occupancies[0])
    for occupancy in occupancies:
        total += occupancy
    return np.minimum(total, 1, out=total)
