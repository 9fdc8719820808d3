"""Numbers of regions in one draw: dose at points inside outlines, activity in occupancies."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.recovery.dose_points import PointDvh, count_for, dose_at, low_discrepancy
from voxeldose.dose.recovery.shapes import AT_REST, REACH_MM
from voxeldose.errors import GeometryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.dose.recovery.anatomy import Anatomy
    from voxeldose.dose.recovery.dose_points import CentreDose
    from voxeldose.dose.recovery.draws import Draw
    from voxeldose.dose.recovery.scan import Scan
    from voxeldose.dose.recovery.shapes import Motion, Region
    from voxeldose.model.arrays import Doubles, Floats

__all__ = ["Gauge", "InOutlines"]

#: Points in a region.
POINTS = 4096
#: Roles of what lies in the liver and is no tumor.
NORMAL_ROLES = ("segment", "perfused", "liver", "normal_liver")
#: Surroundings of a lesion lie so far outside its outline, mm.
SHELL_MM = (1.5, 4.5)
#: Lesions may grow by so much beyond where points lie, mm.
GROWTH_MM = 6.0


@dataclass(frozen=True, eq=False)
class InOutlines:
    """Numbers of one region by name, in the outline of the draw and as drawn; its DVH in the outline of the draw.

    ``quantiles_gy`` are doses at evenly spaced parts of the volume, rising.
    """

    best: dict[str, float]
    as_drawn: dict[str, float]
    quantiles_gy: Doubles


@dataclass(frozen=True, eq=False)
class _Points:
    """Points around a region, and how far outside its drawn outline each lies."""

    index: Doubles
    distance_mm: Floats

    @classmethod
    def around(cls, region: Region, scan: Scan) -> _Points:
        near = region.distance_mm < (GROWTH_MM if region.kind == "lesion" else 0.0)
        if not near.any():
            msg = f"ROI {region.name!r} is smaller than a fine voxel of {scan.fine.voxel_ml * 1000:.2g} mm³."
            raise GeometryError(msg, code="region-too-small", roi=region.name)
        rows = [np.flatnonzero(near.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
        low = np.array([r[0] for r in rows]) - 0.5
        size = np.array([r[-1] - r[0] + 1 for r in rows])
        ml = scan.fine.voxel_ml
        volume = float(region.occupancy().sum(dtype=np.float64)) * ml
        unit = low_discrepancy(count_for(volume, POINTS, math.prod(size) * ml))
        start = np.array([s.start for s in region.window])
        index = (low + unit * size + start).T
        distance = region.distance_at(index)
        keep = distance < (GROWTH_MM if region.kind == "lesion" else 0.0)
        return cls(index[:, keep], distance[keep])

    def inside(self, motion: Motion, spacing: Doubles) -> Doubles:
        """Indices (3, n) of points inside the moved outline; at least the innermost one."""
        keep = self.distance_mm < max(motion.growth_mm, float(self.distance_mm.min()) + 1e-6)
        return np.asarray(self.index[:, keep] + (np.array(motion.shift_mm) / spacing)[:, None])


class Gauge:
    """Measures draws: doses by a kernel, numbers of tumors and of the normal liver.

    Parameters
    ----------
    anatomy : Anatomy
        Regions; cores need not be in it.
    scan : Scan
        With its reference concentration.
    dose : CentreDose
        Bq/mL to Gy on the fine box.
    within : list of str
        The perfused regions that normal liver is taken in; the whole liver without any.
    """

    def __init__(self, anatomy: Anatomy, scan: Scan, dose: CentreDose, within: list[str]) -> None:
        self.anatomy, self.scan, self.dose = anatomy, scan, dose
        self._spacing = np.array(scan.fine.spacing_mm)
        self._points = {name: _Points.around(anatomy.region(name), scan) for name in anatomy.lesions}
        livers = [r for r in anatomy.partition.regions if anatomy.roles[r.name] in ("liver", "normal_liver")]
        self._liver = merged_region(livers, anatomy.partition.shape)
        self._perfused = within
        self._within = merged_region([anatomy.region(name) for name in within], anatomy.partition.shape)
        self._liver_points = self._points_of_liver()

    def _points_of_liver(self) -> Doubles | None:
        if self._liver is None:
            return None
        index = _Points.around(self._liver, self.scan).index
        if self._within is not None:
            index = index[:, self._within.distance_at(index) < 0]
        return index if index.shape[1] else None

    def dose_of(self, draw: Draw) -> Floats:
        """Dose in Gy at the centres of fine voxels."""
        return self.dose(draw.activity * np.float32(self.scan.reference_bq_per_ml))

    def measure(self, draw: Draw, dose: Floats) -> dict[str, InOutlines]:
        """Numbers of every lesion, and of the normal liver under an empty name."""
        liver, of_liver = self._normal(draw, dose) or (None, None)
        found = {} if liver is None or of_liver is None else {"": InOutlines(liver, liver, of_liver.quantiles_gy())}
        for name in self.anatomy.lesions:
            both, curves = [], []
            for motion in (draw.motion(name), AT_REST):
                dvh = PointDvh.of(dose_at(dose, self._points[name].inside(motion, self._spacing)))
                curves.append(dvh)
                numbers = dvh.numbers()
                numbers |= self._contents(name, motion, draw)
                known = liver is not None and min(liver["mean_dose_gy"], liver["activity_mbq"]) > 0
                if known and liver is not None and numbers["volume_ml"] > 0:
                    per_ml = liver["activity_mbq"] / liver["volume_ml"]
                    numbers["tumor_to_normal"] = numbers["activity_mbq"] / numbers["volume_ml"] / per_ml
                    numbers["tumor_to_normal_by_dose"] = numbers["mean_dose_gy"] / liver["mean_dose_gy"]
                both.append(numbers)
            found[name] = InOutlines(both[0], both[1], curves[0].quantiles_gy())
        return found

    def _contents(self, name: str, motion: Motion, draw: Draw) -> dict[str, float]:
        """Activity and volume inside an outline: the lesion's own share of it, and surroundings for the rest."""
        total, volume = draw.held[name]
        if motion == draw.motion(name) or volume <= 0:
            return self._in_units(total, volume)
        region, own = self.anatomy.region(name), draw.motion(name)
        filled = region.occupancy(motion)
        shared = float(np.minimum(filled, region.occupancy(own)).sum(dtype=np.float64))
        rest = float(filled.sum(dtype=np.float64)) - shared
        outside = region.shifted(own.shift_mm) - own.growth_mm
        shell = (outside > SHELL_MM[0]) & (outside < SHELL_MM[1])
        around = float(draw.activity[region.window][shell].mean()) if shell.any() else 0.0
        return self._in_units(total * shared / volume + around * rest, shared + rest)

    def _in_units(self, total: float, volume: float) -> dict[str, float]:
        """Sums over fine voxels as MBq and mL."""
        ml = self.scan.fine.voxel_ml
        return {"activity_mbq": total * ml * self.scan.reference_bq_per_ml / 1e6, "volume_ml": volume * ml}

    def _normal(self, draw: Draw, dose: Floats) -> tuple[dict[str, float], PointDvh] | None:
        """Numbers and DVH of the liver outside all lesions."""
        index = self._liver_points
        if self._liver is None or index is None:
            return None
        outside = np.ones(index.shape[1], bool)
        for name in self.anatomy.lesions:
            region, motion = self.anatomy.region(name), draw.motion(name)
            shift = (np.array(motion.shift_mm) / self._spacing)[:, None]
            outside &= region.distance_at(index - shift) > motion.growth_mm
        if not outside.any():
            return None
        dvh = PointDvh.of(dose_at(dose, index[:, outside]))
        parts = [draw.held[name] for name in self._normal_parts]
        return dvh.numbers() | self._in_units(sum(p[0] for p in parts), sum(p[1] for p in parts)), dvh

    @property
    def _normal_parts(self) -> list[str]:
        """Regions that make up normal liver: those inside the liver, or the perfused one and segments."""
        roles = NORMAL_ROLES if self._within is None else ("segment",)
        names = [r.name for r in self.anatomy.partition.regions if self.anatomy.roles[r.name] in roles]
        return [*names, *self._perfused]


def merged_region(regions: Sequence[Region], shape: tuple[int, int, int]) -> Region | None:
    """The union of regions as one region; ``None`` without any."""
    if len(regions) < 2:
        return regions[0] if regions else None
    distance = np.full(shape, REACH_MM, np.float32)
    for region in regions:
        np.minimum(distance[region.window], region.distance_mm, out=distance[region.window])
    k, j, i = (slice(0, n) for n in shape)
    return replace(regions[0], window=(k, j, i), distance_mm=distance)
