"""``assess``: the order of the steps, once."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from voxeldose import __version__
from voxeldose.dose import metrics
from voxeldose.dose.activity import Quantified, count_decays, decays_on_grid, image_nuclide, quantify
from voxeldose.dose.assumptions import assumptions_of, image_doubts
from voxeldose.dose.density import density_on_grid
from voxeldose.dose.engines.local import LocalDeposition
from voxeldose.dose.engines.named import default_engine
from voxeldose.dose.limits import thresholds_met
from voxeldose.dose.plausibility import judge, published_rules
from voxeldose.dose.regions import perfused_normal, regions_on
from voxeldose.errors import QuantityError
from voxeldose.geometry.resample import roi_onto
from voxeldose.model.administration import unit_doubts
from voxeldose.model.assessment import Assessment, Overlap, RunRecord, Totals
from voxeldose.model.radionuclide import JOULE_PER_MEV
from voxeldose.model.remarks import Numbers, Remark
from voxeldose.model.volume import DensityMap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from voxeldose.dose.engines.base import Engine
    from voxeldose.model.assessment import RoiMetrics, TumorToNormal
    from voxeldose.model.case import Case
    from voxeldose.model.roi import Roi, RoiSet
    from voxeldose.model.volume import DecayMap, DoseMap

__all__ = ["assess", "what_if"]

#: Code of the remark on energy that is not in the dose map.
ENERGY_MISSING = "energy-missing"

#: Lungs weigh about 0.26 g/mL (ICRU 44); in a uniform medium denser than this their dose would mislead.
LUNG_DENSITY_LIMIT = 0.5


def assess(case: Case, engine: Engine | None = None, *, progress: Callable[[str], None] | None = None) -> Assessment:
    """Absorbed dose, DVHs and metrics of one case.

    The steps: activity at the infusion, all its decays on the dose grid, dose by the engine (and by local deposition for
    comparison), regions on the dose grid, metrics.

    Parameters
    ----------
    case : Case
        Images, regions, administration.
    engine : Engine, optional
        :func:`voxeldose.dose.engines.named.default_engine` without it.
    progress : callable, optional
        Called with a few words before each step.

    Returns
    -------
    Assessment
        With every assumption made, as a remark, in ``record``.

    Raises
    ------
    VoxeldoseError
        If anything in the case cannot be used; the message says what was found, what is needed and the way out.
    """
    engine = engine or default_engine()
    watch = _Watch(progress)
    watch.step("quantifying activity")
    if case.ct is not None:
        case.ct.grid.require_same_frame(case.activity.grid, "CT and activity image")
    quantified = quantify(case)
    assumptions = [*assumptions_of(case, engine), *quantified.assumptions]
    warnings = [*(case.registration.doubts() if case.registration is not None else ()), *quantified.warnings]
    warnings += [doubt for image in (case.activity, case.ct) if image is not None for doubt in image_doubts(image)]
    if case.administration.administered_mbq is not None:
        warnings += unit_doubts(case.administration.net_mbq)

    watch.step("placing activity on the dose grid")
    emitted = count_decays(quantified.activity, case.administration.radionuclide)
    decays, moved = decays_on_grid(case, emitted)
    density, gaps, severe_gaps = density_on_grid(case, decays)
    assumptions += (*moved, *gaps)
    warnings += severe_gaps

    watch.step("computing dose")
    dose = engine.dose(emitted, case.density, decays.grid)
    on_grid = _DoseOnGrid(decays, density, dose, LocalDeposition().dose(decays, density))
    run = _Run(case, engine.name, engine.facts(), quantified, tuple(assumptions), tuple(warnings))
    return _judged(_measure(run, on_grid, watch))


def what_if(
    result: Assessment,
    engine: Engine | None = None,
    *,
    activity_factor: float = 1.0,
    territory: str | None = None,
    rois: RoiSet | None = None,
) -> Assessment:
    """The same case with another activity, in one territory or in all, or with other regions, without a new dose run.

    Dose is linear in activity: the whole map scales at once; a territory's change is computed for its own voxels and
    added.

    Parameters
    ----------
    result : Assessment
        Of :func:`assess`.
    engine : Engine, optional
        That of the result; needed for a territory (the default engine without it).
    activity_factor : float
        By which activity changes, 0 or more.
    territory : str, optional
        Name of the ROI whose activity changes; the whole image without it.
    rois : RoiSet, optional
        Regions to measure instead of the case's.

    Returns
    -------
    Assessment
        With the change as an assumption. Its calibration is that of ``result``, changed; no longer the administered
        activity.

    Raises
    ------
    QuantityError
        If the factor is negative or not finite, or the engine is not that of the result.
    """
    engine = engine or default_engine()
    if not (math.isfinite(activity_factor) and activity_factor >= 0):
        msg = f"activity_factor must be 0 or more, found {activity_factor}."
        raise QuantityError(msg, code="value-out-of-range", field="activity_factor", found=activity_factor)
    record = result.record
    if territory is not None and engine.name != record.engine:
        msg = f"The result was made by the engine {record.engine!r}; give the same to what_if, not {engine.name!r}."
        raise QuantityError(msg, code="engine-differs", needed=record.engine, found=engine.name)
    watch = _Watch(None)
    watch.step("changing activity")
    case = result.case if rois is None else replace(result.case, rois=rois)
    nuclide = case.administration.radionuclide
    change = result.activity.bq_per_ml * np.float32(activity_factor - 1)
    if territory is not None:
        change *= roi_onto(result.case.rois[territory], result.activity.grid)[0].on_window(result.activity.grid)
    activity = result.activity.replaced(result.activity.bq_per_ml + change)
    decays, _ = decays_on_grid(case, count_decays(activity, nuclide))
    density, _, _ = density_on_grid(case, decays)
    if territory is None:
        dose = result.dose.replaced(result.dose.gy * np.float32(activity_factor))
    else:
        delta = count_decays(result.activity.replaced(change), nuclide)
        added = engine.dose(delta, case.density, decays.grid)
        dose = result.dose.replaced(result.dose.gy + added.gy)
    on_grid = _DoseOnGrid(decays, density, dose, LocalDeposition().dose(decays, density))
    changed = Remark(
        "activity-changed",
        {"territory": territory, "factor": activity_factor},
        f"What if: activity{f' in {territory}' if territory else ''} times {activity_factor:g}.",
    )
    again = {ENERGY_MISSING, *(rule.code for rule in published_rules())}  # asked again of the changed dose
    kept = [a for a in record.assumptions if a.code not in again]
    quantified = Quantified(activity, result.totals.recovered_fraction, record.calibration, (), ())
    warnings = tuple(w for w in record.warnings if w.code not in again) if rois is None else ()
    # the dose is still that run's, whatever engine came along
    run = _Run(case, record.engine, record.kernel, quantified, (*kept, changed), warnings)
    return _judged(_measure(run, on_grid, watch))


@dataclass(frozen=True, eq=False)
class _Run:
    """What is known of a run before its regions are measured."""

    case: Case
    engine: str
    kernel: Mapping[str, object]
    quantified: Quantified
    assumptions: tuple[Remark, ...]
    warnings: tuple[Remark, ...]


@dataclass(frozen=True, eq=False)
class _DoseOnGrid:
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


def _measure(run: _Run, on_grid: _DoseOnGrid, watch: _Watch) -> Assessment:
    """Regions on the dose grid and everything that is measured in them."""
    watch.step("measuring regions")
    case, given = run.case, run.case.administration
    totals = _totals(run, on_grid)
    regions = regions_on(case.rois, on_grid.dose.grid)
    measured = {r.name: on_grid.measure(r, regions.outside_fraction[r.name], case) for r in regions.rois}
    overlaps = metrics.overlaps([r for r in regions.rois if r.name in case.rois], on_grid.dose.grid.voxel_volume_ml)
    ratios, against = _tumor_to_normal(measured, regions.rois, on_grid)
    assumptions = (*run.assumptions, *_energy_missing(totals), *regions.assumptions, *against)
    warnings = (
        *run.warnings,
        *regions.warnings,
        *(_lung_without_dose(r.name, on_grid.density) for r in regions.rois if not on_grid.is_known_in(r)),
        *_overlap_warnings(regions.rois, overlaps),
    )
    record = RunRecord(
        version=__version__,
        engine=run.engine,
        method=on_grid.dose.method,
        kernel=run.kernel,
        constants=given.radionuclide,
        calibration=run.quantified.calibration,
        assumptions=_distinct(assumptions),
        warnings=_distinct(warnings),
        timings_s=watch.stop(),
    )
    return Assessment(
        case=case,
        activity=run.quantified.activity,
        dose=on_grid.dose,
        rois=measured,
        regions=regions.rois,
        tumor_to_normal_ratio=metrics.tumor_to_normal(measured),
        totals=totals,
        thresholds=thresholds_met(
            measured,
            given.device,
            case.limits,
            engine=run.engine,
            image=image_nuclide(case),
            bilirubin_mg_per_dl=case.bilirubin_mg_per_dl,
        ),
        overlaps=overlaps,
        record=record,
        tumor_to_normal=ratios,
    )


def _judged(result: Assessment) -> Assessment:
    """With what is hardly plausible in its record."""
    found = judge(result)
    record = result.record
    record = replace(
        record,
        assumptions=_distinct((*record.assumptions, *found.notes)),
        warnings=_distinct((*record.warnings, *found.warnings)),
    )
    return replace(result, record=record)


def _distinct(remarks: Iterable[Remark]) -> tuple[Remark, ...]:
    """Each remark once, in order: a volume and its regions may come from one file."""
    return tuple({(remark.code, remark.sentence): remark for remark in remarks}.values())


def _totals(run: _Run, on_grid: _DoseOnGrid) -> Totals:
    given = run.case.administration
    nuclide = given.radionuclide
    activity = run.quantified.activity
    return Totals(
        activity_mbq=activity.total_mbq(),
        administered_mbq=given.administered_mbq,
        net_mbq=given.net_mbq if given.administered_mbq is not None else None,
        recovered_fraction=run.quantified.recovered_fraction,
        energy_j=on_grid.energy_j(),
        energy_emitted_j=count_decays(activity, nuclide).total() * nuclide.energy_mev * JOULE_PER_MEV,
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


def _tumor_to_normal(
    measured: Mapping[str, RoiMetrics], regions: RoiSet, on_grid: _DoseOnGrid
) -> tuple[tuple[TumorToNormal, ...], list[Remark]]:
    """Every tumor against perfused normal liver where that is known, against whole normal liver elsewhere."""
    normals = regions.with_role("normal_liver").names()
    if not normals or not any(m.role == "tumor" for m in measured.values()):
        return (), []
    perfused = perfused_normal(regions)
    if perfused is not None:
        normal = metrics.roi_metrics(perfused, 0.0, on_grid.dose, on_grid.local, on_grid.decays, on_grid.density)
        definition = (
            f"perfused normal liver: {', '.join(normals)} inside {', '.join(regions.with_role('perfused').names())}"
        )
        return metrics.tumor_to_normal_table(measured, normal, definition), []
    definition = f"whole normal liver: {normals[0]}"
    sentence = (
        f"T/N is against {definition}, as no perfused region is given; where only a part of the liver was infused this "
        "makes it too high."
    )
    remark = Remark("tumor-to-normal-of-whole-liver", {"roi": normals[0]}, sentence)
    return metrics.tumor_to_normal_table(measured, measured[normals[0]], definition), [remark]


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


class _Watch:
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
