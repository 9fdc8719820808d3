"""The field method on a prepared scan: fit, draws, and what a wrong texture or resolution would change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.engines.threads import processors
from voxeldose.dose.recovery.checks import (
    Withheld,
    cold_lesions,
    far_moved,
    require_chi_square,
    require_energy,
    require_no_hot_spot,
    withheld_dvhs,
)
from voxeldose.dose.recovery.cores import with_cores
from voxeldose.dose.recovery.draws import draw_activity, mapped
from voxeldose.dose.recovery.field import FieldModel, Parameter
from voxeldose.dose.recovery.fit import Fit, fit_stage, start_fit, with_parameters

if TYPE_CHECKING:
    from collections.abc import Callable

    from voxeldose.dose.recovery.numbers import Gauge, InOutlines
    from voxeldose.dose.recovery.options import Resolution
    from voxeldose.dose.recovery.run import Prepared
    from voxeldose.model.arrays import Doubles, Floats
    from voxeldose.model.remarks import Remark

__all__ = ["Posterior", "explore", "fit_field"]

#: Least prior standard deviation of a region's mean, in units of the reference.
LEAST_MEAN_SD = 0.3
#: Pairs of draws for what a wrong texture or resolution would change, at most.
SIDE_PAIRS = 4
#: Steps that refit after such a change.
SIDE_STEPS = 2

Numbers = list[dict[str, "InOutlines"]]


@dataclass(frozen=True, eq=False)
class Posterior:
    """What the field method finds.

    Parameters
    ----------
    fit : Fit
        At the image's own texture and the stated resolution.
    numbers : list
        Of every draw, region by region.
    weaker, stronger, wider : list
        Of a few draws with the texture one standard deviation weaker and stronger, and the resolution one wider; each compared
        with as many of ``numbers``, which have the same random numbers.
    dose : ndarray
        Mean dose over the draws, on the fine box.
    gain : float
        Rise of twice the log evidence by cold cores that were tried.
    """

    fit: Fit
    numbers: Numbers
    weaker: Numbers
    stronger: Numbers
    wider: Numbers
    dose: Floats
    gain: float
    warnings: list[Remark]
    withheld: list[Withheld]


def fit_field(ready: Prepared, resolution: Resolution, random: np.random.Generator) -> tuple[Fit, float, list[Remark]]:
    """The fit with its outlines and cores, the evidence of cores, and tumors whose outlines could not be aligned."""
    sd = np.maximum(np.abs(ready.means), LEAST_MEAN_SD)
    model = FieldModel(ready.scan, ready.anatomy.partition, (), ready.means, sd)
    fit = start_fit(model, random)
    require_no_hot_spot(ready.scan, fit.linear.occupancy[-1], fit.linear.predicted)
    fit = fit_stage(fit, random)
    doubts: list[Remark] = []
    if resolution.outlines == "fitted":
        doubts = cold_lesions(fit, fit.linear.flat)
        cold = {str(r.numbers["roi"]) for r in doubts}
        free = _outline_parameters([n for n in ready.anatomy.lesions if n not in cold], resolution)
        if free:
            fit = fit_stage(with_parameters(fit, free), random)
    fit, gain = with_cores(fit, random)
    return fit, gain, doubts


def _outline_parameters(names: list[str], resolution: Resolution) -> tuple[Parameter, ...]:
    """Shift along k, j, i and growth of every lesion."""
    sds = ((0, resolution.shift_sd_mm), (1, resolution.shift_sd_mm), (2, resolution.shift_sd_mm))
    return tuple(Parameter(n, axis, sd) for n in names for axis, sd in (*sds, (-1, resolution.growth_sd_mm)))


def explore(ready: Prepared, gauge: Gauge, resolution: Resolution, report: Callable[[str], None]) -> Posterior:
    """Fit, draw, and measure; transforms outside the draws' own threads are shared among all processors."""
    from scipy import fft

    with fft.set_workers(processors()):
        return _explored(ready, gauge, resolution, report)


def _explored(ready: Prepared, gauge: Gauge, resolution: Resolution, report: Callable[[str], None]) -> Posterior:
    random = np.random.default_rng([resolution.seed, 1])
    report("recovering resolution: fitting")
    fit, gain, doubts = fit_field(ready, resolution, random)
    require_chi_square(fit)
    warnings = [*doubts, *far_moved(fit.model.parameters, fit.state.motion_mm)]
    fit = _with_prior_motion(fit, [str(r.numbers["roi"]) for r in doubts], resolution)
    report("recovering resolution: drawing")
    pairs = resolution.draws // 2
    numbers, dose, mean = _measured(fit, pairs, resolution.seed, gauge)
    require_energy(fit.model.scan, mean, fit.state.noise_level)
    report("recovering resolution: intervals")
    few = min(SIDE_PAIRS, pairs)
    around = [_side(changed, few, resolution.seed, gauge) for changed in _textures(fit, random)]
    wide = _wider(fit, resolution, random)
    wider = _side(wide, few, resolution.seed, gauge) if wide is not None else []
    return Posterior(
        fit, numbers, around[0], around[1], wider, dose, gain, warnings, withheld_dvhs(ready.anatomy, ready.scan)
    )


def _with_prior_motion(fit: Fit, names: list[str], resolution: Resolution) -> Fit:
    """Outlines that could not be aligned stay where they are, but are free in the draws."""
    if not names:
        return fit
    return with_parameters(fit, (*fit.model.parameters, *_outline_parameters(names, resolution)))


def _measured(fit: Fit, pairs: int, seed: int, gauge: Gauge) -> tuple[Numbers, Floats, Floats]:
    """Numbers of every draw, mean dose and mean activity."""
    draws = draw_activity(fit, pairs, seed)
    total = np.zeros_like(draws[0].activity)
    numbers: Numbers = []
    for begin in range(0, len(draws), 8):
        some = draws[begin : begin + 8]
        doses = mapped(gauge.dose_of, some)
        numbers += mapped(lambda both: gauge.measure(*both), list(zip(some, doses, strict=True)))
        for dose in doses:
            total += dose
    mean = np.asarray(np.mean([d.activity for d in draws], axis=0, dtype=np.float32))
    return numbers, np.asarray(total / np.float32(len(draws)), np.float32), mean


def _side(fit: Fit, pairs: int, seed: int, gauge: Gauge) -> Numbers:
    return _measured(fit, pairs, seed, gauge)[0]


def _textures(fit: Fit, random: np.random.Generator) -> list[Fit]:
    """Fits with the texture one standard deviation weaker and stronger."""
    found = []
    power, sd = fit.state.power, fit.strengths.power_sd
    if sd.shape != power.shape:  # cores that were found after it was measured
        sd = np.zeros_like(power)
    for sign in (-1, 1):
        changed = np.clip(power + sign * sd, 0, 1.5)
        state = replace(fit.state, power=changed)
        ratio = (fit.state.strength.max(axis=1) + 1e-6) / (state.strength.max(axis=1) + 1e-6)
        fields = tuple(g * np.float32(min(max(r, 0.3), 3.0)) for g, r in zip(fit.state.fields, ratio, strict=True))
        start = replace(fit, state=replace(state, fields=fields))
        found.append(fit_stage(start, random, steps=SIDE_STEPS, power=changed))
    return found


def _wider(fit: Fit, resolution: Resolution, random: np.random.Generator) -> Fit | None:
    """The fit with a resolution one standard deviation wider."""
    if resolution.fwhm_sd_fraction == 0:
        return None
    psf = fit.model.scan.psf.wider(1 + resolution.fwhm_sd_fraction)
    scan = replace(fit.model.scan, psf=psf, _spectra={})
    model = fit.model.with_scan(scan)
    start = Fit(model, fit.state, model.linearise(fit.state), fit.strengths, fit.solution)
    return fit_stage(start, random, steps=SIDE_STEPS)


def spread_of(values: Doubles) -> Doubles:
    """Standard deviation over draws, the rows of ``values``."""
    return np.asarray(np.std(values, axis=0, ddof=1)) if len(values) > 1 else np.zeros(values.shape[1:])
