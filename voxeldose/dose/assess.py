"""``assess``: the order of the steps, once."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from voxeldose._version import __version__
from voxeldose.dose import metrics
from voxeldose.dose.activity import Quantified, count_decays, decays_on_grid, image_nuclide, quantify
from voxeldose.dose.density import density_on_grid
from voxeldose.dose.engines.convolution import Convolution
from voxeldose.dose.engines.local import LocalDeposition
from voxeldose.dose.engines.rays.transport import RayTransport
from voxeldose.dose.limits import published_limits, thresholds_met
from voxeldose.dose.regions import perfused_normal, regions_on
from voxeldose.errors import QuantityError
from voxeldose.geometry.resample import roi_onto
from voxeldose.model.administration import unit_doubts
from voxeldose.model.assessment import Assessment, Overlap, RunRecord, Totals
from voxeldose.model.kernel import DEFAULT_REACH_MM, PointKernel, point_kernel
from voxeldose.model.radionuclide import JOULE_PER_MEV
from voxeldose.model.volume import DensityMap

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from voxeldose.dose.engines.base import Engine
    from voxeldose.model.assessment import RoiMetrics, TumorToNormal
    from voxeldose.model.case import Case
    from voxeldose.model.roi import RoiSet
    from voxeldose.model.volume import DecayMap, DoseMap

__all__ = ["assess", "what_if"]

ENERGY_MISSING = "of the emitted energy is not in the dose map"

#: Lungs weigh about 0.26 g/mL (ICRU 44); in a uniform medium denser than this their dose would be a lie.
LUNG_DENSITY_LIMIT = 0.5


def assess(case: Case, engine: Engine | None = None, *, progress: Callable[[str], None] | None = None) -> Assessment:
    """Absorbed dose, DVHs and metrics of one case.

    The steps: activity at the infusion, all its decays on the dose grid, dose by the engine (and by local deposition
    beside it), regions on the dose grid, metrics.

    Parameters
    ----------
    case : Case
        Images, regions, administration.
    engine : Engine, optional
        ``Convolution(point_kernel("y90-water"))`` without it.
    progress : callable, optional
        Called with a few words before each step.

    Returns
    -------
    Assessment
        With every assumption made, as a sentence, in ``record``.

    Raises
    ------
    VoxeldoseError
        If anything in the case cannot be used; the message says what was found, what is needed and the way out.
    """
    engine = engine or Convolution(point_kernel())
    watch = _Watch(progress)
    watch.step("quantifying activity")
    if case.ct is not None:
        case.ct.grid.require_same_frame(case.activity.grid, "CT and activity image")
    found = quantify(case)
    assumptions = [*_what_was_assumed(case, engine), *found.assumptions]
    warnings = [*(case.registration.doubts() if case.registration is not None else ()), *found.warnings]
    if case.administration.administered_mbq is not None:
        warnings += unit_doubts(case.administration.net_mbq)

    watch.step("placing activity on the dose grid")
    emitted = count_decays(found.activity, case.administration.radionuclide)
    decays = decays_on_grid(case, emitted, assumptions)
    density = density_on_grid(case, decays, (assumptions, warnings))

    watch.step("computing dose")
    dose = engine.dose(emitted, case.density, decays.grid)
    placed = _Placed(decays, density, dose, LocalDeposition().dose(decays, density))
    return _measured(case, engine, found, placed, (assumptions, warnings), watch)


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
        That of the result; needed for a territory (``Convolution(point_kernel())`` without it).
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
    engine = engine or Convolution(point_kernel())
    if not (math.isfinite(activity_factor) and activity_factor >= 0):
        msg = f"activity_factor must be 0 or more, found {activity_factor}."
        raise QuantityError(msg)
    if territory is not None and engine.name != result.record.engine:
        msg = f"The result was made by the engine {result.record.engine!r}; give the same to what_if, not {engine.name!r}."
        raise QuantityError(msg)
    watch = _Watch(None)
    watch.step("changing activity")
    case = result.case if rois is None else replace(result.case, rois=rois)
    change = result.activity.bq_per_ml * np.float32(activity_factor - 1)
    if territory is not None:
        change *= roi_onto(result.case.rois[territory], result.activity.grid)[0].on_window(result.activity.grid)
    activity = result.activity.replaced(result.activity.bq_per_ml + change)
    text = f"What if: activity{f' in {territory}' if territory else ''} times {activity_factor:g}."
    found = Quantified(activity, result.totals.recovered_fraction, result.record.calibration, (), ())
    kept = [a for a in result.record.assumptions if ENERGY_MISSING not in a]  # said anew below
    assumptions, warnings = [*kept, text], list(result.record.warnings) if rois is None else []
    decays = decays_on_grid(case, count_decays(activity, case.administration.radionuclide), [])
    density = density_on_grid(case, decays, ([], []))
    if territory is None:
        dose = result.dose.replaced(result.dose.gy * np.float32(activity_factor))
    else:
        delta = count_decays(result.activity.replaced(change), case.administration.radionuclide)
        added = engine.dose(delta, case.density, decays.grid)
        dose = result.dose.replaced(result.dose.gy + added.gy)
    placed = _Placed(decays, density, dose, LocalDeposition().dose(decays, density))
    changed = _measured(case, engine, found, placed, (assumptions, warnings), watch)
    made_by = result.record  # the dose is still that run's, whatever engine came along
    record = replace(changed.record, engine=made_by.engine, method=made_by.method, kernel=made_by.kernel)
    return replace(changed, record=record)


@dataclass(frozen=True, eq=False)
class _Placed:
    """Decays, density and doses on one grid."""

    decays: DecayMap
    density: DensityMap | float
    dose: DoseMap
    local: DoseMap


def _measured(
    case: Case,
    engine: Engine,
    found: Quantified,
    placed: _Placed,
    said: tuple[list[str], list[str]],
    watch: _Watch,
) -> Assessment:
    """Regions on the dose grid and everything that is measured in them; ``said`` are assumptions and warnings."""
    watch.step("measuring regions")
    assumptions, warnings = said
    given, dose, density = case.administration, placed.dose, placed.density
    energy = _energy_j(dose, density)
    emitted = count_decays(found.activity, given.radionuclide).total() * given.radionuclide.energy_mev * JOULE_PER_MEV
    if energy < (1 - 1e-6) * emitted:
        assumptions.append(
            f"{1 - energy / emitted:.2%} {ENERGY_MISSING}: it leaves the kernel's reach (0.39 % at "
            "12 mm of water, bremsstrahlung), the image or the dose grid, or is emitted in air."
        )
    regions, outside = regions_on(case.rois, dose.grid, assumptions, warnings)
    measured = {}
    for region in regions:
        known = region.role != "lung" or isinstance(density, DensityMap) or density < LUNG_DENSITY_LIMIT
        if not known:
            warnings.append(
                f"ROI {region.name} has no dose: at a uniform {density:g} g/mL it would come out several times too low. Use "
                'engine = "density" with density = "ct", or a density for lungs alone.'
            )
        measured[region.name] = metrics.roi_metrics(
            region,
            outside[region.name],
            dose,
            placed.local,
            placed.decays,
            density,
            dose_is_known=known,
            tissue=case.radiobiology.get(region.role),
        )
    shared = metrics.overlaps([r for r in regions if r.name in case.rois], dose.grid.voxel_volume_ml)
    warnings += _overlap_warnings(regions, shared)
    ratios = _tumor_to_normal(measured, regions, placed, assumptions)
    totals = Totals(
        activity_mbq=found.activity.total_mbq(),
        administered_mbq=given.administered_mbq,
        net_mbq=given.net_mbq if given.administered_mbq is not None else None,
        recovered_fraction=found.recovered_fraction,
        energy_j=energy,
        energy_emitted_j=emitted,
    )
    record = RunRecord(
        version=__version__,
        engine=engine.name,
        method=dose.method,
        kernel=_kernel_facts(engine),
        constants=given.radionuclide,
        calibration=found.calibration,
        assumptions=tuple(dict.fromkeys(assumptions)),
        warnings=tuple(dict.fromkeys(warnings)),
        timings_s=watch.done(),
    )
    return Assessment(
        case=case,
        activity=found.activity,
        dose=dose,
        rois=measured,
        regions=regions,
        tumor_to_normal_ratio=metrics.tumor_to_normal(measured),
        totals=totals,
        thresholds=thresholds_met(
            measured,
            given.device,
            case.limits,
            engine=engine.name,
            image=image_nuclide(case),
            bilirubin_mg_per_dl=case.bilirubin_mg_per_dl,
        ),
        overlaps=shared,
        record=record,
        tumor_to_normal=ratios,
    )


def _tumor_to_normal(
    measured: Mapping[str, RoiMetrics], regions: RoiSet, placed: _Placed, assumptions: list[str]
) -> tuple[TumorToNormal, ...]:
    """Every tumor against perfused normal liver where that is known, against whole normal liver elsewhere."""
    normals = regions.with_role("normal_liver").names()
    if not normals or not any(m.role == "tumor" for m in measured.values()):
        return ()
    perfused = perfused_normal(regions)
    if perfused is not None:
        normal = metrics.roi_metrics(perfused, 0.0, placed.dose, placed.local, placed.decays, placed.density)
        definition = (
            f"perfused normal liver: {', '.join(normals)} inside {', '.join(regions.with_role('perfused').names())}"
        )
    else:
        normal = measured[normals[0]]
        definition = f"whole normal liver: {normals[0]}"
        assumptions.append(
            f"T/N is against {definition}, as no perfused region is given; where only a part of the liver was infused this "
            "makes it too high."
        )
    return metrics.tumor_to_normal_table(measured, normal, definition)


class _Watch:
    """Seconds of each step, and a word to whoever waits."""

    def __init__(self, progress: Callable[[str], None] | None) -> None:
        self._progress = progress
        self._seconds: dict[str, float] = {}
        self._now: tuple[str, float] | None = None

    def step(self, words: str) -> None:
        self.done()
        if self._progress:
            self._progress(words)
        self._now = (words, time.perf_counter())

    def done(self) -> dict[str, float]:
        if self._now:
            words, start = self._now
            self._seconds[words] = round(time.perf_counter() - start, 4)
            self._now = None
        return self._seconds


def _what_was_assumed(case: Case, engine: Engine) -> list[str]:
    given, image = case.administration, case.activity
    said = [*image.remarks, *(case.ct.remarks if case.ct else ()), *(n for r in case.rois for n in r.remarks)]
    if isinstance(case.density, DensityMap):
        said += case.density.remarks
    if case.registration is not None:
        said.append(case.registration.sentence())
    said.append("Microspheres do not move: all activity decays where it is (time-integrated activity = A T½/ln 2).")
    nuclide = given.radionuclide
    said.append(
        f"One set of constants: {nuclide.name} T½ {nuclide.half_life_h:g} h, {nuclide.energy_mev:.4f} MeV a decay, "
        f"K = {nuclide.gy_kg_per_gbq:.2f} Gy kg/GBq ({nuclide.source}); kernels keep their shape and take this energy."
    )
    if given.lung_shunt_fraction is None:
        said.append("No lung shunt fraction was given: 0 is taken.")
    if given.at is None:
        said.append("The instant of the infusion was not given; the administered activity is taken as of then.")
    if given.device is None:
        said.append("No device was given, so no published threshold is compared.")
    if case.limits is not None:
        own = [limit for limit in case.limits if limit not in published_limits()]
        said.append(
            f"The thresholds compared are the site's: {len(own)} of its own and {len(case.limits) - len(own)} published."
        )
    if not isinstance(case.density, DensityMap):
        said.append(f"Uniform density {case.density:g} g/mL everywhere, lungs and bone included.")
    if isinstance(engine, Convolution):
        said.append("The water kernel is scaled by density; soft tissue's 1.2 % longer range in mass is not modelled.")

    frames = [v.grid.frame_uid for v in (case.ct, *case.rois) if v is not None]
    if image.grid.frame_uid is None or None in frames:
        said.append(
            "Not every image states its frame of reference; positions are taken to be in the same patient frame."
        )
    if any(r.role in case.radiobiology for r in case.rois):
        for tissue in dict.fromkeys(case.radiobiology.values()):
            said.append(
                f"BED and EUD of {tissue.tissue} ({tissue.name}): α/β {tissue.alpha_beta_gy:g} Gy, repair half-time "
                f"{tissue.repair_half_time_h:g} h, α {tissue.alpha_per_gy:g} per Gy ({tissue.source})."
            )
    return said


def _energy_j(dose: DoseMap, density: DensityMap | float) -> float:
    kg = dose.grid.voxel_volume_ml * 1e-3
    if isinstance(density, DensityMap):
        return float((dose.gy * density.g_per_ml).sum(dtype=np.float64)) * kg
    return dose.total() * density * kg


def _overlap_warnings(regions: RoiSet, shared: tuple[Overlap, ...]) -> list[str]:
    """Overlap that nobody expects: among tumors, or of lung with liver; tumors in liver are as they should be."""
    said = []
    for pair in shared:
        roles = {regions[pair.first].role, regions[pair.second].role}
        if roles == {"tumor"} or ("lung" in roles and roles & {"liver", "normal_liver", "tumor"}):
            said.append(
                f"ROIs {pair.first} and {pair.second} overlap by {pair.volume_ml:.2f} mL; each keeps its own voxels, so sums "
                "over ROIs count that part twice."
            )
        elif "normal_liver" in roles and "tumor" in roles:
            said.append(f"Normal liver {pair.first}/{pair.second} holds {pair.volume_ml:.2f} mL of tumor.")
    return said


def _kernel_facts(engine: Engine) -> dict[str, object]:
    if not isinstance(engine, (Convolution, RayTransport)):
        return {}
    kernel = engine.kernel
    reach = engine.reach_mm if isinstance(engine, Convolution) else DEFAULT_REACH_MM
    facts: dict[str, object] = {"source": kernel.source, "own_mev_per_decay": kernel.mev_per_decay, "reach_mm": reach}
    if isinstance(kernel, PointKernel):
        facts["sha256"] = kernel.sha256
        facts["energy_fraction_beyond_reach"] = 1 - kernel.within(reach)
    return facts
