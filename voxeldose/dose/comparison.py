"""Two or more treatments side by side: predicted and delivered dose, or doses that add up.

Every dose is brought onto the grid of the last treatment by a rigid transform, with cubic splines through voxel centres
(straight lines would cut the peaks: 2 to 3 % of a lesion's mean between a SPECT's and a PET's voxels, splines 0.3 %); where a
map does not reach there is no number (NaN), never a zero.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose._compiled.gamma import ROUNDING, search
from voxeldose.dose.metrics import dvh_in
from voxeldose.dose.radiobiology import bed_gy
from voxeldose.errors import GeometryError, QuantityError
from voxeldose.model.remarks import Remark
from voxeldose.model.tissue import default_sets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from voxeldose.model.arrays import Doubles, Floats
    from voxeldose.model.dvh import Dvh
    from voxeldose.model.grid import Grid
    from voxeldose.model.radionuclide import Radionuclide
    from voxeldose.model.roi import Roi, RoiSet
    from voxeldose.model.volume import DoseMap


__all__ = [
    "BED_SOURCE",
    "GAMMA_SOURCE",
    "GammaCriteria",
    "GammaMap",
    "SumInRoi",
    "dose_sum",
    "gamma_index",
    "registration_of",
    "shared_rois",
    "sums_in_rois",
]

GAMMA_SOURCE = "Low et al., Med. Phys. 25 (1998) 656-661 (gamma)"
BED_SOURCE = "Cremonesi et al., Eur. J. Nucl. Med. Mol. Imaging 35 (2008) 2088 (BED of each treatment)"

#: A matrix is rigid if it keeps lengths and angles to this.
_RIGID = 1e-3
#: Steps of the search in one distance criterion; the best is refined to a quarter of a step.
_STEPS = 10


@dataclass(frozen=True)
class GammaCriteria:
    """What agrees: dose difference and distance to agreement (Low et al., Med. Phys. 25 (1998) 656-661).

    Parameters
    ----------
    dose_fraction : float
        Of the highest reference dose (global), or of the reference dose of the voxel (local).
    distance_mm : float
        Distance to agreement.
    is_local : bool
        Which of the two.
    cutoff_fraction : float
        Reference voxels below this part of the highest reference dose are left out.
    limit : float
        Gamma is searched up to here; what is further apart has this value.

    Raises
    ------
    QuantityError
        If a number is not positive, or a fraction is no fraction.
    """

    dose_fraction: float = 0.03
    distance_mm: float = 3.0
    is_local: bool = False
    cutoff_fraction: float = 0.1
    limit: float = 2.0

    def __post_init__(self) -> None:
        if not (0 < self.dose_fraction < 1 and 0 < self.cutoff_fraction < 1):
            msg = (
                f"Gamma wants a dose criterion and a cut-off between 0 and 1 (fractions), found {self.dose_fraction} and "
                f"{self.cutoff_fraction}."
            )
            raise QuantityError(msg, code="value-out-of-range", field="dose_fraction")
        if not (0 < self.distance_mm < 100 and 1 <= self.limit <= 10):
            msg = f"Gamma wants a distance up to 100 mm and a limit from 1 to 10, found {self.distance_mm} and {self.limit}."
            raise QuantityError(msg, code="value-out-of-range", field="distance_mm")

    def __str__(self) -> str:
        kind = "local" if self.is_local else "global"
        return (
            f"{100 * self.dose_fraction:g} % {kind}, {self.distance_mm:g} mm, above {100 * self.cutoff_fraction:g} % of the "
            "highest reference dose"
        )


@dataclass(frozen=True, eq=False)
class GammaMap:
    """Gamma of each reference voxel, NaN where it was not evaluated: (nk, nj, ni) on ``grid``."""

    gamma: Floats
    grid: Grid
    criteria: GammaCriteria
    not_reached: int

    def passed_fraction(self, roi: Roi | None = None) -> float | None:
        """Part of the evaluated voxels with gamma <= 1, in a region (at least half filled voxels) or in all."""
        values = self.gamma
        if roi is not None:
            values = values[roi.on_window(self.grid) >= 0.5]
        known = values[np.isfinite(values)]
        return float((known <= 1).mean()) if known.size else None

    @property
    def evaluated(self) -> int:
        """Number of voxels with a gamma."""
        return int(np.isfinite(self.gamma).sum())


def registration_of(source: Grid, target: Grid, matrix_lps_mm: Doubles | None, *, same_frame: bool = False) -> str:
    """How points of ``source`` are taken to those of ``target``, in words.

    Raises
    ------
    GeometryError
        If the frames of reference differ and nothing was given, or the matrix is not rigid.
    """
    if matrix_lps_mm is not None:
        _require_rigid(matrix_lps_mm)
        return "a rigid transform that was given"
    if source.frame_uid is not None and source.frame_uid == target.frame_uid:
        return "none: both lie in the same frame of reference"
    if same_frame:
        return "none: the user states that both lie in one frame"
    if source.may_share_frame(target):
        return "none: not both state a frame of reference; they are taken to lie in the same"
    msg = (
        f"The doses lie in different frames of reference ({source.frame_uid} and {target.frame_uid}), so a voxel of one says "
        "nothing about the other. Give the rigid transform between them (--transform), or state that they coincide "
        "(--same-frame)."
    )
    raise GeometryError(msg, code="frame-differs")


def _require_rigid(matrix: Doubles) -> None:
    turn = matrix[:3, :3]
    good = matrix.shape == (4, 4) and np.isfinite(matrix).all() and np.allclose(matrix[3], (0, 0, 0, 1))
    if not good or np.abs(turn.T @ turn - np.eye(3)).max() > _RIGID or np.linalg.det(turn) < 0:
        msg = f"A rigid transform (4 x 4, rotation and shift in mm) is needed, found {np.round(matrix, 4).tolist()}."
        raise GeometryError(msg, code="transform-not-rigid")


@dataclass(frozen=True)
class SharedRois:
    """Names of regions: those of both results in the second's order, and those of only one."""

    both: tuple[str, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]


def shared_rois(first: Iterable[str], second: Iterable[str]) -> SharedRois:
    """The regions that two results have in common, by name, and the others.

    Raises
    ------
    QuantityError
        If they have none in common.
    """
    one, other = dict.fromkeys(first), dict.fromkeys(second)
    both = tuple(n for n in other if n in one)
    only_first, only_second = tuple(n for n in one if n not in other), tuple(n for n in other if n not in one)
    if not both:
        msg = (
            f"The results have no ROI in common: the first has {', '.join(only_first) or 'none'}, the second "
            f"{', '.join(only_second) or 'none'}. Assess both with the same names."
        )
        raise QuantityError(msg, code="rois-differ", only_first=only_first, only_second=only_second)
    return SharedRois(both, only_first, only_second)


def gamma_index(
    reference: DoseMap, evaluated: DoseMap, criteria: GammaCriteria, matrix_lps_mm: Doubles | None = None
) -> GammaMap:
    """Gamma of every reference voxel above the cut-off: the least of distance and dose difference taken together.

    The evaluated dose is searched between its own voxel centres (linear) and not beyond them, on a lattice of a tenth of the
    distance criterion, and the best point is refined to a fortieth.

    Parameters
    ----------
    reference, evaluated : DoseMap
        On any grids; the evaluated one with perpendicular axes.
    criteria : GammaCriteria
        What agrees.
    matrix_lps_mm : ndarray, (4, 4), optional
        Takes points of the evaluated dose's frame to points of the reference's.

    Raises
    ------
    GeometryError
        If the evaluated grid is sheared.
    QuantityError
        If no reference dose is above zero.
    """
    if not evaluated.grid.is_right_angled:
        msg = "Gamma needs an evaluated dose on perpendicular axes; resample it first."
        raise GeometryError(msg, code="grid-sheared")
    highest = float(reference.gy.max())
    if not highest > 0:
        msg = f"Gamma needs a reference dose above zero, the highest is {highest:g} Gy."
        raise QuantityError(msg, code="dose-none")
    chosen = np.argwhere(reference.gy >= criteria.cutoff_fraction * highest)
    points = reference.grid.points_lps_mm(chosen)
    if matrix_lps_mm is not None:
        back = np.linalg.inv(matrix_lps_mm)
        points = points @ back[:3, :3].T + back[:3, 3]
    places = evaluated.grid.indices(points)
    reached = ((places >= -ROUNDING) & (places <= np.array(evaluated.grid.shape) - 1 + ROUNDING)).all(axis=1)
    chosen, places = chosen[reached], np.ascontiguousarray(places[reached])
    dose = reference.gy[tuple(chosen.T)].astype(np.float64)
    tolerance = criteria.dose_fraction * (dose if criteria.is_local else np.full(dose.size, highest))
    step = criteria.distance_mm / _STEPS
    gammas = np.empty(dose.size)
    rules = np.array([criteria.distance_mm, step, criteria.limit])
    search(
        places,
        dose,
        tolerance,
        evaluated.gy,
        np.array(evaluated.grid.spacing_mm),
        _offsets(step, criteria.limit * criteria.distance_mm),
        rules,
        gammas,
    )
    gamma = np.full(reference.grid.shape, np.nan, np.float32)
    gamma[tuple(chosen.T)] = gammas
    return GammaMap(gamma, reference.grid, criteria, int((~reached).sum()))


def _offsets(step: float, reach: float) -> Doubles:
    """Points of a cubic lattice within ``reach``, nearest first, (m, 3)."""
    count = int(np.ceil(reach / step))
    line = np.arange(-count, count + 1) * step
    lattice = np.array(list(itertools.product(line, line, line)))
    length = np.linalg.norm(lattice, axis=1)
    order = np.argsort(length, kind="stable")
    return np.ascontiguousarray(lattice[order][length[order] <= reach])


def dose_sum(doses: Sequence[DoseMap]) -> DoseMap:
    """The sum of doses that lie on one grid; NaN where one of them does not reach.

    Absorbed doses add; biologically effective ones are summed each by itself (:func:`sums_in_rois`).
    """
    grid = doses[0].grid
    if not all(d.grid.coincides(grid) for d in doses):
        msg = "Doses must lie on one grid before they are added; use moved_onto(dose, grid)."
        raise GeometryError(msg, code="grid-differs")
    total = np.sum([d.gy.astype(np.float64) for d in doses], axis=0)
    remark = Remark("dose-sum", {"doses": len(doses)}, f"Sum of {len(doses)} absorbed doses.")
    return doses[-1].replaced(total, remarks=(remark,))


@dataclass(frozen=True, eq=False)
class SumInRoi:
    """What several treatments gave one region together.

    ``bed_gy`` is the sum of the mean BED of each treatment by itself: BED of the summed dose would count repair between
    treatments as if there were none. ``outside_fraction`` is the part of the region that a dose map does not reach; the
    numbers are those of the rest.
    """

    role: str
    volume_ml: float
    dvh: Dvh
    mean_each_gy: tuple[float, ...]
    bed_each_gy: tuple[float, ...] | None
    bed_gy: float | None
    outside_fraction: float


def sums_in_rois(
    doses: Sequence[DoseMap], regions: RoiSet, radionuclides: Sequence[Radionuclide]
) -> Mapping[str, SumInRoi]:
    """Dose sums, DVHs and summed BED of every region.

    Parameters
    ----------
    doses : sequence of DoseMap
        Of each treatment, all on one grid, NaN where a map does not reach.
    regions : RoiSet
        On windows of that grid.
    radionuclides : sequence of Radionuclide
        Of each treatment; their half-lives rule repair.
    """
    total = dose_sum(doses)
    known = np.isfinite(total.gy)
    found, tissues = {}, default_sets()
    for roi in regions:
        part = total.grid.slices_of(roi.grid)
        inside = roi.occupancy * known[part]
        volume = float(inside.sum(dtype=np.float64))
        if not volume:
            continue
        part_reached = type(roi)(roi.name, roi.role, inside, roi.grid, roi.remarks, roi.offset)
        each = [_mean(d, part_reached) for d in doses]
        tissue = tissues.get(roi.role)
        beds = None
        if tissue is not None:
            beds = tuple(
                _mean(d.replaced(bed_gy(d.gy.astype(np.float64), tissue, nuclide)), part_reached)
                for d, nuclide in zip(doses, radionuclides, strict=True)
            )
        found[roi.name] = SumInRoi(
            role=roi.role,
            volume_ml=volume * roi.grid.voxel_volume_ml,
            dvh=dvh_in(part_reached, total.replaced(np.nan_to_num(total.gy))),
            mean_each_gy=tuple(each),
            bed_each_gy=beds,
            bed_gy=sum(beds) if beds is not None else None,
            outside_fraction=1 - volume / float(roi.occupancy.sum(dtype=np.float64)),
        )
    return found


def _mean(dose: DoseMap, roi: Roi) -> float:
    return dvh_in(roi, dose.replaced(np.nan_to_num(dose.gy))).mean_gy
