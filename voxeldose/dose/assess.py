"""``assess``: the order of the steps, once."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.activity import Quantified, count_decays, decays_on_grid, quantify
from voxeldose.dose.assumptions import assumptions_of, image_doubts
from voxeldose.dose.calibration import shown_by
from voxeldose.dose.density import density_on_grid
from voxeldose.dose.engines.local import LocalDeposition
from voxeldose.dose.engines.named import default_engine
from voxeldose.dose.limits import with_best_values
from voxeldose.dose.lungs.findings import ABOVE_LIMITS
from voxeldose.dose.measure import ENERGY_MISSING, DoseOnGrid, Run, Watch, measure
from voxeldose.dose.plausibility import judge
from voxeldose.dose.territories import region_of, share_out
from voxeldose.errors import QuantityError
from voxeldose.geometry.resample import roi_onto
from voxeldose.model.administration import unit_doubts
from voxeldose.model.plausibility import published_rules
from voxeldose.model.remarks import Remark, distinct

if TYPE_CHECKING:
    from collections.abc import Callable

    from voxeldose.dose.engines.base import Engine
    from voxeldose.model.arrays import Floats
    from voxeldose.model.assessment import Assessment
    from voxeldose.model.case import Case
    from voxeldose.model.roi import RoiSet
    from voxeldose.model.territory import TerritoryActivity

__all__ = ["assess", "what_if"]


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
    watch = Watch(progress)
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
    on_grid = DoseOnGrid(decays, density, dose, LocalDeposition().dose(decays, density))
    held = case.administration.liver_mbq if case.administration.administered_mbq is not None else None
    run = Run(case, engine.name, engine.facts(), quantified, tuple(assumptions), tuple(warnings), held)
    return _judged(measure(run, on_grid, watch))


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
        With the change as an assumption; recovered numbers scale with the whole image and are left out of any other change. Its calibration is that of ``result``, changed; no longer the administered
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
    watch = Watch(None)
    watch.step("changing activity")
    case = result.case if rois is None else replace(result.case, rois=rois)
    nuclide = case.administration.radionuclide
    change = result.activity.bq_per_ml * np.float32(activity_factor - 1)
    if territory is not None:
        change *= _weights_of(result, territory)
    activity = result.activity.replaced(result.activity.bq_per_ml + change)
    decays, _ = decays_on_grid(case, count_decays(activity, nuclide))
    density, _, _ = density_on_grid(case, decays)
    if territory is None:
        dose = result.dose.replaced(result.dose.gy * np.float32(activity_factor))
    else:
        delta = count_decays(result.activity.replaced(change), nuclide)
        added = engine.dose(delta, case.density, decays.grid)
        dose = result.dose.replaced(result.dose.gy + added.gy)
    on_grid = DoseOnGrid(decays, density, dose, LocalDeposition().dose(decays, density))
    changed = Remark(
        "activity-changed",
        {"territory": territory, "factor": activity_factor},
        f"What if: activity{f' in {territory}' if territory else ''} times {activity_factor:g}.",
    )
    again = {
        ENERGY_MISSING,
        *ABOVE_LIMITS,
        *(rule.code for rule in result.case.rules or published_rules()),
    }  # asked again of the changed dose
    kept = [a for a in record.assumptions if a.code not in again]
    grid = activity.grid
    region = region_of(result.case, grid, share_out(result.case.administration, result.case.rois, grid))
    shown = shown_by(activity, region, result.case)
    rows = _changed(result, activity_factor, territory)
    quantified = Quantified(activity, result.totals.recovered_fraction, shown, record.calibration, (), (), rows)
    warnings = tuple(w for w in record.warnings if w.code not in again) if rois is None else ()
    # the dose is still that run's, whatever engine came along
    held = result.totals.held_mbq
    if held is not None:
        held *= activity.total() / result.activity.total()
    run = Run(case, record.engine, record.kernel, quantified, (*kept, changed), warnings, held)
    found = _judged(measure(run, on_grid, watch))
    if result.recovered is None or territory is not None or rois is not None or activity_factor == 0:
        return found
    return with_best_values(replace(found, recovered=result.recovered.scaled(activity_factor)))


def _weights_of(result: Assessment, territory: str) -> Floats:
    """The part of each image voxel that belongs to a territory: with what surrounds it where its infusion is known."""
    case, grid = result.case, result.activity.grid
    if any(one.roi == territory for one in result.totals.territories):
        shares = share_out(case.administration, case.rois, grid)
        if shares is not None:
            return shares.own_part(case.activity, result.totals.territories, territory)
    return roi_onto(case.rois[territory], grid)[0].on_window(grid)


def _changed(result: Assessment, factor: float, territory: str | None) -> tuple[TerritoryActivity, ...]:
    """What each territory holds and shows when the activity of one, or of all, changes by a factor."""
    return tuple(
        replace(one, held_mbq=one.held_mbq * factor, lung_mbq=one.lung_mbq * factor, region_mbq=one.region_mbq * factor)
        if territory in (None, one.roi)
        else one
        for one in result.totals.territories
    )


def _judged(result: Assessment) -> Assessment:
    """With what is hardly plausible in its record."""
    found = judge(result)
    record = result.record
    record = replace(
        record,
        assumptions=distinct((*record.assumptions, *found.notes)),
        warnings=distinct((*record.warnings, *found.warnings)),
    )
    return replace(result, record=record)
