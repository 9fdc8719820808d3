"""The regions of the liver that a report needs, made from those given, where they were drawn.

Whole liver, normal liver, and the perfused and non-perfused parts of normal liver; and how much of each tumor lies in the
perfused volume. Regions of a label map with one label per voxel do not hold each other: such a liver gets its tumors back, and
so does a perfused region. All of it happens on the voxels of the files, so a border that two regions share is one border.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.geometry.overlap import joined, shared_occupancy, without
from voxeldose.geometry.resample import roi_onto
from voxeldose.model.grid import window_around
from voxeldose.model.remarks import Numbers, Remark
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.roles import LIVER_ROLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxeldose.model.arrays import Floats
    from voxeldose.model.grid import Grid

__all__ = ["DERIVED", "NONPERFUSED", "PERFUSED", "LiverParts", "liver_parts"]

#: Names of regions that are made here, besides ``liver`` and ``normal_liver``.
PERFUSED, NONPERFUSED = "perfused_normal_liver", "nonperfused_normal_liver"
DERIVED = ("liver", "normal_liver", PERFUSED, NONPERFUSED)

#: A region with less than this part inside another was drawn beside it, not in it.
APART = 0.01
#: It still belongs to a liver that is this part of its border (as the check of plausibility takes it), and to a perfused region
#: that is most of its border.
ON_LIVER, ON_PERFUSED = 0.05, 0.5
#: Less of a derived region is what borders leave, and no region.
LEAST_ML = 0.1


@dataclass(frozen=True, eq=False)
class LiverParts:
    """Regions with those that were made from them.

    Parameters
    ----------
    rois : RoiSet
        Those given, where they hold what they enclose, then derived ones; on the grids they were drawn on.
    derived : tuple of str
        Names of the derived ones.
    perfused_fraction : mapping
        Tumor -> part of its volume that lies in perfused regions, 0 to 1; empty where there are none.
    assumptions, warnings : tuple of Remark
        What was made from what, and what is missing.
    """

    rois: RoiSet
    derived: tuple[str, ...]
    perfused_fraction: Mapping[str, float]
    assumptions: tuple[Remark, ...]
    warnings: tuple[Remark, ...]


def liver_parts(rois: RoiSet) -> LiverParts:
    """Whole liver, normal liver and its perfused and non-perfused parts, as far as the regions tell.

    - Whole liver: the regions of role ``liver`` together with tumors, perfused regions and segments that are drawn beside
      them; without a liver, normal liver and the tumors in it. A single liver region keeps its name.
    - Normal liver: as given, else whole liver without tumors.
    - Perfused normal liver: normal liver inside perfused regions; without any liver, those regions without tumors.
    - Non-perfused normal liver: normal liver outside them.

    Parameters
    ----------
    rois : RoiSet
        On any grids in one frame of reference.
    """
    if not rois.with_role(*LIVER_ROLES):
        return LiverParts(rois, (), {}, (), ())
    return _Making(rois).result()


class _Making:
    """The regions of one liver as occupancies on one grid, while parts are made from them."""

    def __init__(self, rois: RoiSet) -> None:
        self.rois = rois
        self.frame = _frame_of(rois)
        self.on = {r.name: roi_onto(r, self.frame)[0] for r in rois.with_role(*LIVER_ROLES)}
        self.changed: dict[str, Roi] = {}
        self.made: list[Roi] = []
        self.assumptions: list[Remark] = []
        self.warnings: list[Remark] = []

    def result(self) -> LiverParts:
        """Everything that can be made, in order."""
        self._fill_perfused()
        tumors = self._together(self._named("tumor"))
        whole = self._whole_liver()
        normal = self._normal_liver(whole, tumors)
        reached = self._together(self._named("perfused"))
        if reached is not None:
            self._split_normal(normal, reached, tumors)
        elif segments := self._named("segment"):
            self.warnings.append(_no_territory(segments))
        given = (self.changed.get(r.name, r) for r in self.rois)
        return LiverParts(
            RoiSet((*given, *self.made), self.rois.grid),
            tuple(r.name for r in self.made),
            {} if reached is None else {n: self._part_inside(n, reached) for n in self._named("tumor")},
            tuple(self.assumptions),
            tuple(self.warnings),
        )

    def _named(self, *roles: str) -> list[str]:
        return self.rois.with_role(*roles).names()

    def _fill_perfused(self) -> None:
        """Give perfused regions the tumors that are drawn beside them and lie in them."""
        tumors = self._named("tumor")
        for name in self._named("perfused"):
            grown, held = self._with_neighbours(self._full(name), tumors, ON_PERFUSED)
            if held:
                self._change(name, grown, held)

    def _whole_liver(self) -> Floats | None:
        livers, normals = self._named("liver"), self._named("normal_liver")
        start = self._together(livers or normals)
        if start is None:
            return None
        parts = self._named("tumor", "perfused", "segment")
        whole, held = self._with_neighbours(start, parts, ON_LIVER)
        if len(livers) == 1:
            if held:
                self._change(livers[0], whole, held)
        elif livers or held:
            self._make_part("liver", "liver", whole, f"{', '.join([*(livers or normals), *held])} together")
        return whole

    def _normal_liver(self, whole: Floats | None, tumors: Floats | None) -> Floats | None:
        given = self._together(self._named("normal_liver"))
        if given is not None or whole is None:
            return given
        left = whole if tumors is None else without(whole, tumors)
        livers, names = self._named("liver"), self._named("tumor")
        words = f"{', '.join(livers)} minus {', '.join(names) or 'nothing'}"
        made = self._make("normal_liver", "normal_liver", left)
        if made is None:
            sentence = "Nothing of the liver is left outside the tumors, so there is no normal liver."
            self.warnings.append(Remark("normal-liver-empty", {}, sentence))
            return None
        self.assumptions.append(Remark("normal-liver-derived", {"roi": made}, f"{made} is {words}."))
        return left

    def _split_normal(self, normal: Floats | None, reached: Floats, tumors: Floats | None) -> None:
        perfused = ", ".join(self._named("perfused"))
        if normal is None:
            left = reached if tumors is None else without(reached, tumors)
            self._make_part(PERFUSED, "other", left, f"{perfused} without tumors, as there is no region of the liver")
            return
        self._make_part(PERFUSED, "other", shared_occupancy(normal, reached), f"normal liver inside {perfused}")
        self._make_part(NONPERFUSED, "other", without(normal, reached), f"normal liver outside {perfused}")

    def _with_neighbours(self, start: Floats, parts: list[str], least: float) -> tuple[Floats, list[str]]:
        """A region with those parts that are drawn beside it and border on it; one that is joined may bring others."""
        whole, held = start, list[str]()
        left = [n for n in parts if self._part_inside(n, start) < APART]
        while True:
            found = [n for n in left if self._border_on(n, whole, left) >= least]
            if not found:
                return whole, [n for n in parts if n in held]
            for name in found:
                whole = joined(whole, self._full(name))
            held += found
            left = [n for n in left if n not in found]

    def _full(self, name: str) -> Floats:
        return self.on[name].on_window(self.frame)

    def _together(self, names: list[str]) -> Floats | None:
        whole = None
        for name in names:
            whole = self._full(name) if whole is None else joined(whole, self._full(name))
        return whole

    def _part_inside(self, name: str, whole: Floats) -> float:
        """Part of a region's volume that lies in another."""
        near = _around(self.on[name].grid)
        inside = shared_occupancy(self.on[name].on_window(near), self.frame.cut(whole, near))
        return float(inside.sum(dtype=np.float64) / self.on[name].occupancy.sum(dtype=np.float64))

    def _border_on(self, name: str, whole: Floats, others: list[str]) -> float:
        """Part of the voxels around a region, those of others apart, that another fills by half; 0 where there are none."""
        from scipy.ndimage import binary_dilation

        near = _around(self.on[name].grid)
        filled = self.on[name].on_window(near) >= 0.5
        ring = binary_dilation(filled) & ~filled
        for other in others:
            if other != name:
                ring &= self.on[other].on_window(near) < 0.5
        return float((self.frame.cut(whole, near)[ring] >= 0.5).mean()) if ring.any() else 0.0

    def _change(self, name: str, whole: Floats, held: list[str]) -> None:
        """Take a region with what it encloses in place of it as drawn."""
        drawn_ml = self.rois[name].volume_ml
        self.on[name] = self.changed[name] = replace(self.rois[name], occupancy=whole, grid=self.frame, offset=None)
        volume_ml = self.on[name].volume_ml
        sentence = (
            f"{name} is drawn beside {', '.join(held)}, as in a map with one label per voxel: its numbers are those of all of "
            f"them together, {volume_ml:.1f} mL and not {drawn_ml:.1f} mL."
        )
        numbers: Numbers = {"roi": name, "drawn_ml": drawn_ml, "volume_ml": volume_ml, "with": ", ".join(held)}
        self.assumptions.append(Remark("region-with-what-it-encloses", numbers, sentence))

    def _make(self, name: str, role: str, occupancy: Floats) -> str | None:
        """Add a region and return its name; nothing where nothing is left of it, an empty name where the user gave it."""
        if float(occupancy.sum(dtype=np.float64)) * self.frame.voxel_volume_ml < LEAST_ML:
            return None
        if name in self.rois and name in (PERFUSED, NONPERFUSED):
            return ""
        if name in self.rois:
            name = "whole_liver" if name == "liver" else f"{name}_derived"
        self.made.append(Roi(name, role, occupancy, self.frame))
        return name

    def _make_part(self, name: str, role: str, occupancy: Floats, words: str) -> None:
        if made := self._make(name, role, occupancy):
            self.assumptions.append(Remark("liver-part-derived", {"roi": made}, f"{made} is {words}."))


def _around(part: Grid) -> Grid:
    """A window with one voxel more to every side."""
    return part.window([-1, -1, -1], [n + 2 for n in part.shape])


def _frame_of(rois: RoiSet) -> Grid:
    """One window that holds every region in the liver, on the finest grid of those that hold others."""
    inside = rois.with_role(*LIVER_ROLES)
    holders = rois.with_role("liver", "normal_liver", "perfused") or inside
    finest = min((r.grid for r in holders), key=lambda g: g.voxel_volume_ml)
    for roi in inside:
        roi.grid.require_same_frame(finest, f"ROI {roi.name!r} and the liver")
    return window_around(finest, np.concatenate([r.grid.corners() for r in inside]))


def _no_territory(segments: list[str]) -> Remark:
    sentence = (
        f"No region is said to be perfused, only segments are given ({', '.join(segments)}): there is no mean of the treated volume "
        "by single compartment, and T/N is against all normal liver. If the infusion went to a segment, give its label treated = "
        'true, or the role "perfused".'
    )
    return Remark("segments-none-treated", {"segments": ", ".join(segments)}, sentence)
