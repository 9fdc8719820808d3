"""What a run measures in its regions once the dose is there: numbers, T/N, thresholds, overlaps, and the record of it all."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from voxeldose import __version__
from voxeldose.dose import metrics
from voxeldose.dose.activity import count_decays, image_kind
from voxeldose.dose.compartment import held_by_perfused, single_compartments_gy
from voxeldose.dose.density import require_density_in
from voxeldose.dose.limits import thresholds_met
from voxeldose.dose.liver_parts import NONPERFUSED, PERFUSED
from voxeldose.dose.lungs.findings import find_lungs
from voxeldose.dose.regions import regions_on
from voxeldose.dose.tumor_to_normal import is_reached, not_reached_remark, tumor_to_normal
from voxeldose.geometry.contours import axial_diameter_mm
from voxeldose.model.assessment import Assessment, Overlap, RunRecord, Totals
from voxeldose.model.grid import window_around
from voxeldose.model.radionuclide import JOULE_PER_MEV
from voxeldose.model.remarks import Numbers, Remark, distinct
from voxeldose.model.roi import Roi, RoiSet, union
from voxeldose.model.volume import DensityMap

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from voxeldose.dose.activity import Quantified
    from voxeldose.dose.regions import RegionsOnGrid
    from voxeldose.model.assessment import RoiMetrics
    from voxeldose.model.case import Case
    from voxeldose.model.volume import DecayMap, DoseMap

__all__ = ["ENERGY_MISSING", "DoseOnGrid", "Run", "Watch", "measure"]

#: Code of the remark on energy that is not in the dose map.
ENERGY_MISSING = "energy-missing"

#: Lungs weigh about 0.26 g/mL (ICRU 44); in a uniform medium denser than this their dose would mislead.
LUNG_DENSITY_LIMIT = 0.5


@dataclass(frozen=True, eq=False)
class Run:
    """What is known of a run before its regions are measured."""

    case: Case
    engine: str
    kernel: Mapping[str, object]
    quantified: Quantified
    assumptions: tuple[Remark, ...]
    warnings: tuple[Remark, ...]
    held_mbq: float | None = None


@dataclass(frozen=True, eq=False)
class DoseOnGrid:
    """Decays, density and doses on one grid."""

    decays: DecayMap
    density: DensityMap | float
    dose: DoseMap
    local: DoseMap

    def measure(self, region: Roi, outside_fraction: float, case: Case) -> RoiMetrics:
        """All numbers of one region; no dose where the medium does not fit it."""
        return metrics.roi_metrics(
            region,
            outside_fraction,
            self.dose,
            self.local,
            self.decays,
            self.density,
            dose_is_known=self.is_known_in(region),
            tissue=case.radiobiology.get(region.role),
        )

    def is_known_in(self, region: Roi) -> bool:
        """Whether the medium fits the region: lungs have no dose in a uniform medium as dense as tissue."""
        return region.role != "lung" or isinstance(self.density, DensityMap) or self.density < LUNG_DENSITY_LIMIT

    def energy_j(self) -> float:
        """Energy in the dose map."""
        kg = self.dose.grid.voxel_volume_ml * 1e-3
        if isinstance(self.density, DensityMap):
            return float((self.dose.gy * self.density.g_per_ml).sum(dtype=np.float64)) * kg
        return self.dose.total() * self.density * kg


def measure(run: Run, on_grid: DoseOnGrid, watch: Watch) -> Assessment:
    """Regions on the dose grid and everything that is measured in them."""
    watch.step("measuring regions")
    case, given = run.case, run.case.administration
    totals = _totals(run, on_grid)
    regions = regions_on(case.rois, on_grid.dose.grid)
    without_density = require_density_in(regions.rois, case, on_grid.density)
    shown = image_kind(case)
    lungs = find_lungs(case, shown.nuclide or "nuclide not stated", run.held_mbq)
    rois, shared = _measure_regions(run, on_grid, regions, lungs.mass_g)
    ratios = tumor_to_normal(rois, _normals(rois, regions.rois, on_grid, case))
    assumptions = (
        *run.assumptions,
        *_energy_missing(totals),
        *regions.assumptions,
        *shared,
        *ratios.assumptions,
        *lungs.assumptions,
    )
    warnings = (
        *run.warnings,
        *regions.warnings,
        *without_density,
        *(_lung_without_dose(r.name, on_grid.density) for r in regions.rois if not on_grid.is_known_in(r)),
        *_overlap_warnings(regions.rois, regions.overlaps),
        *not_reached_remark(rois),
        *lungs.warnings,
    )
    return Assessment(
        case=case,
        activity=run.quantified.activity,
        dose=on_grid.dose,
        rois=rois,
        regions=regions.rois,
        tumor_to_normal_ratio=ratios.pooled,
        totals=totals,
        thresholds=thresholds_met(
            rois,
            given.device,
            case.limits,
            engine=run.engine,
            image=shown.nuclide,
            bilirubin_mg_per_dl=case.bilirubin_mg_per_dl,
        ),
        overlaps=regions.overlaps,
        record=RunRecord(
            version=__version__,
            engine=run.engine,
            method=on_grid.dose.method,
            kernel=run.kernel,
            constants=given.radionuclide,
            calibration=run.quantified.calibration,
            assumptions=distinct(assumptions),
            warnings=distinct(warnings),
            timings_s=watch.stop(),
        ),
        tumor_to_normal=ratios.rows,
        tumor_to_normal_region=ratios.region,
        kind=shown.kind,
        kind_text=shown.text,
        lungs=lungs.findings,
    )


def _measure_regions(
    run: Run, on_grid: DoseOnGrid, regions: RegionsOnGrid, lungs_g: Mapping[str, float]
) -> tuple[dict[str, RoiMetrics], tuple[Remark, ...]]:
    """The numbers of every region; lungs in a medium as dense as liver have the mass of the CT, or none."""
    case = run.case
    alone = {r.name: _measure_region(r, regions, on_grid, case) for r in regions.rois}
    for region in regions.rois:
        if not on_grid.is_known_in(region):
            alone[region.name] = replace(alone[region.name], mass_g=lungs_g.get(region.name, math.nan))
    held_by, shared = held_by_perfused(alone, run.held_mbq, run.quantified.territories)
    even_gy = single_compartments_gy(alone, held_by, case.administration.radionuclide.gy_kg_per_gbq)
    diameter_mm = {r.name: axial_diameter_mm(r) for r in case.rois if r.role == "tumor"}
    return {
        name: replace(m, single_compartment_gy=even_gy.get(name), axial_diameter_mm=diameter_mm.get(name))
        for name, m in alone.items()
    }, shared


def _measure_region(region: Roi, regions: RegionsOnGrid, on_grid: DoseOnGrid, case: Case) -> RoiMetrics:
    """The numbers of one region; the parts of normal liver have the parameters of its tissue."""
    is_part = region.name in (PERFUSED, NONPERFUSED) and region.name in regions.derived
    tissue = replace(region, role="normal_liver") if is_part else region
    found = on_grid.measure(tissue, regions.outside_fraction[region.name], case)
    inside = regions.perfused_fraction.get(region.name)
    return replace(found, role=region.role, perfused_fraction=inside, reached=is_reached(inside))


def _totals(run: Run, on_grid: DoseOnGrid) -> Totals:
    given = run.case.administration
    nuclide = given.radionuclide
    activity, shown = run.quantified.activity, run.quantified.shown
    return Totals(
        activity_mbq=activity.total_mbq(),
        administered_mbq=given.administered_mbq,
        net_mbq=given.net_mbq if given.administered_mbq is not None else None,
        recovered_fraction=run.quantified.recovered_fraction,
        energy_j=on_grid.energy_j(),
        energy_emitted_j=count_decays(activity, nuclide).total() * nuclide.energy_mev * JOULE_PER_MEV,
        calibration_region=shown.region,
        calibration_region_mbq=shown.region_mbq,
        outside_region_mbq=shown.outside_mbq,
        outside_region_fraction=shown.outside_fraction,
        liver_of_field_fraction=shown.liver_of_field_fraction,
        held_mbq=run.held_mbq,
        territories=run.quantified.territories,
    )


def _energy_missing(totals: Totals) -> list[Remark]:
    """The part of the emitted energy that the dose map does not hold; how much of it the engine loses, the engine states."""
    if totals.energy_j >= (1 - 1e-6) * totals.energy_emitted_j:
        return []
    part = 1 - totals.energy_j / totals.energy_emitted_j
    sentence = (
        f"{part:.2%} of the emitted energy is not in the dose map: it is lost by the engine as stated, leaves the image or the "
        "dose grid, or is emitted in air."
    )
    return [Remark(ENERGY_MISSING, {"energy_fraction": part}, sentence)]


def _lung_without_dose(name: str, density: DensityMap | float) -> Remark:
    numbers = {"roi": name} | ({} if isinstance(density, DensityMap) else {"density_g_per_ml": density})
    sentence = (
        f"ROI {name} has no dose: at a uniform {density:g} g/mL it would come out several times too low. Use "
        'engine = "density" with density = "ct", or a density for lungs alone.'
    )
    return Remark("lung-dose-unknown", numbers, sentence)


def _normals(rois: Mapping[str, RoiMetrics], regions: RoiSet, on_grid: DoseOnGrid, case: Case) -> dict[str, RoiMetrics]:
    """The region of normal liver; of several, their union."""
    normals = regions.with_role("normal_liver")
    if len(normals) < 2:
        return {name: rois[name] for name in normals.names()}
    corners = np.concatenate([r.grid.corners() for r in normals])
    frame = window_around(on_grid.dose.grid, corners)
    both = Roi(", ".join(normals.names()), "normal_liver", union([r.on_window(frame) for r in normals]), frame)
    return {both.name: on_grid.measure(both, 0.0, case)}


def _overlap_warnings(regions: RoiSet, overlaps: tuple[Overlap, ...]) -> list[Remark]:
    """Overlap that nobody expects: among tumors, or of lung with liver; tumors in liver are as they should be."""
    warnings = []
    for pair in overlaps:
        roles = {regions[pair.first].role, regions[pair.second].role}
        numbers: Numbers = {"roi": pair.first, "other_roi": pair.second, "volume_ml": pair.volume_ml}
        if roles == {"tumor"} or ("lung" in roles and roles & {"liver", "normal_liver", "tumor"}):
            sentence = (
                f"ROIs {pair.first} and {pair.second} overlap by {pair.volume_ml:.2f} mL; each keeps its own voxels, so sums "
                "over ROIs count that part twice."
            )
            warnings.append(Remark("rois-overlap", numbers, sentence))
        elif "normal_liver" in roles and "tumor" in roles:
            sentence = f"Normal liver {pair.first}/{pair.second} holds {pair.volume_ml:.2f} mL of tumor."
            warnings.append(Remark("normal-liver-holds-tumor", numbers, sentence))
    return warnings


class Watch:
    """Seconds of each step, and a word to whoever waits."""

    def __init__(self, progress: Callable[[str], None] | None) -> None:
        self._progress = progress
        self._seconds: dict[str, float] = {}
        self._now: tuple[str, float] | None = None

    def step(self, words: str) -> None:
        """End the step before and begin this one."""
        self.stop()
        if self._progress:
            self._progress(words)
        self._now = (words, time.perf_counter())

    def stop(self) -> dict[str, float]:
        """End the last step; seconds of all."""
        if self._now:
            words, start = self._now
            self._seconds[words] = round(time.perf_counter() - start, 4)
            self._now = None
        return self._seconds
