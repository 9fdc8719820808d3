"""Uncertainty of a whole run: errors sampled, metrics answered for, and what is assumed said."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.uncertainty.budget import budget, scale_terms
from voxeldose.dose.uncertainty.inputs import Condition
from voxeldose.dose.uncertainty.noise import NoiseField
from voxeldose.dose.uncertainty.region import MovingRegion, Wanted
from voxeldose.dose.uncertainty.region_response import Answers
from voxeldose.errors import QuantityError
from voxeldose.model.assessment import Distribution, Probability, RoiUncertainty, Uncertainty

if TYPE_CHECKING:
    from collections.abc import Callable

    from voxeldose.dose.engines.base import Engine
    from voxeldose.dose.uncertainty.confidence import Confidence
    from voxeldose.dose.uncertainty.inputs import Spread
    from voxeldose.model.arrays import Doubles
    from voxeldose.model.assessment import Assessment
    from voxeldose.model.volume import FloatArray


__all__ = ["with_uncertainty"]

QUANTILES = (0.025, 0.5, 0.975)
#: How many pairs of noise fields tell how surely the bias by noise is known.
PAIRS = 200
#: Metrics that noise lowers or raises much.
TAILS = ("d98_gy", "d95_gy", "d90_gy", "d70_gy", "d2_gy")


def with_uncertainty(
    result: Assessment, engine: Engine, spread: Spread, *, progress: Callable[[str], None] | None = None
) -> Assessment:
    """The same assessment with ``uncertainty`` filled in.

    Parameters
    ----------
    result : Assessment
        Of :func:`voxeldose.assess`.
    engine : Engine
        That made it; its kernel carries the noise.
    spread : Spread
        What is uncertain and by how much.
    progress : callable, optional
        Called with a few words now and then.

    Raises
    ------
    QuantityError
        If a condition names a region or metric that is not there, or no region has a dose.
    """
    started = time.perf_counter()
    tell = progress or (lambda _: None)
    conditions = _conditions(result, spread)
    known = {n: m for n, m in result.rois.items() if math.isfinite(m.mean_dose_gy)}
    if not known:
        msg = "No region has a dose, so there is nothing to be uncertain about."
        raise QuantityError(msg)
    wanted = Wanted.of(conditions)
    said: list[str] = []
    regions = {name: MovingRegion.of(result, name, spread, wanted) for name in known}
    noise = NoiseField.of(result, engine, spread, list(regions), said) if spread.has_noise else None
    scales = scale_terms(result, spread, said)

    tell("uncertainty: budget")
    budgets = {n: budget(result, r, spread, scales, noise) for n, r in regions.items()}
    roots = np.random.SeedSequence(spread.seed).spawn(spread.samples + 1)
    noisy = _noise_rows(regions, noise, roots[1:], tell)
    log_scale_sd = math.sqrt(sum(math.log1p(sd**2) for sd in scales.values()))
    rois, probabilities, rough = {}, [], []
    for name, region in regions.items():
        tell(f"uncertainty: intervals of {name}")
        m = known[name]
        curve = spread.recovery if m.role == "tumor" else None
        answers = Answers.of(region, spread, (log_scale_sd, curve), noisy[name], np.random.default_rng(roots[0]))
        own = _reported(result, name, answers.base, wanted)
        found = {n: (own[k], answers.confidence(k, own[k])) for k, n in enumerate(wanted.names)}
        recovery = float(curve.at(m.volume_ml)) if curve else None
        if recovery is not None:
            recovered = m.mean_dose_gy / recovery
            found["mean_dose_recovered_gy"] = (recovered, answers.recovered_confidence(recovered))
        rois[name] = RoiUncertainty(
            metrics={n: _distribution(value, one) for n, (value, one) in found.items()},
            contour_sd_mm=region.contour_sd_mm,
            recovery_coefficient=recovery,
            budget_of="mean_dose_recovered_gy" if recovery is not None else "mean_dose_gy",
            budget=budgets[name],
            budget_sd_gy=math.sqrt(sum(t.sd_gy**2 for t in budgets[name])),
            dominant=budgets[name][0].name if budgets[name] else "nothing",
            dvh_band=_band(region, answers),
        )
        probabilities += _probabilities(name, conditions, found, spread.samples)
        rough += _moved_by_noise(name, answers, wanted)
    uncertainty = Uncertainty(
        samples=spread.samples,
        seed=spread.seed,
        inputs=_inputs(spread),
        rois=rois,
        probabilities=tuple(probabilities),
        assumptions=(*_assumptions(spread), *said),
        warnings=(*_warnings(result, spread), *rough),
        seconds=round(time.perf_counter() - started, 3),
    )
    record = replace(  # where whoever reads the result looks for what was assumed and what to beware of
        result.record,
        assumptions=(*result.record.assumptions, *uncertainty.assumptions),
        warnings=(*result.record.warnings, *uncertainty.warnings),
    )
    return replace(result, uncertainty=uncertainty, record=record)


def _noise_rows(
    regions: dict[str, MovingRegion],
    noise: NoiseField | None,
    roots: list[np.random.SeedSequence],
    tell: Callable[[str], None],
) -> dict[str, tuple[Doubles, Doubles] | None]:
    """All that is wanted of each region under each field of noise, and under each of the first fields and the next at once."""
    if noise is None:
        return dict.fromkeys(regions)
    rows: dict[str, list[Doubles]] = {name: [] for name in regions}
    pairs: dict[str, list[Doubles]] = {name: [] for name in regions}
    before: tuple[FloatArray, float] | None = None
    for number, root in enumerate(roots):
        if number % 25 == 0:
            tell(f"uncertainty: noise {number} of {len(roots)}")
        field, drift = noise.draw(np.random.default_rng(root))
        for name, region in regions.items():
            rows[name].append(region.measure(region.noisy_gy(field, noise) / np.float32(1 + drift)))
            if before is not None:
                both = region.noisy_gy(field + before[0], noise) / np.float32(1 + drift + before[1])
                pairs[name].append(region.measure(both))
        before = (field, drift) if number < PAIRS else None
    return {name: (np.array(rows[name]), np.array(pairs[name])) for name in regions}


def _reported(result: Assessment, name: str, base: Doubles, wanted: Wanted) -> list[float]:
    """The run's own values where it has them (they know doses within voxels), else those of the voxels."""
    m = result.rois[name]
    return [float(getattr(m, n, b)) for n, b in zip(wanted.names, base, strict=False)]


def _band(region: MovingRegion, answers: Answers) -> dict[str, tuple[float, ...]]:
    first = len(region.wanted.names)
    columns = range(first, first + region.band_gy.size)
    found = [answers.confidence(k, float(answers.base[k]), on_curve=True) for k in columns]
    rows = np.array([one.quantile(QUANTILES) for one in found]).T
    low, middle, high = np.minimum.accumulate(rows, axis=1)  # a cumulative DVH never rises
    points = {"dose_gy": region.band_gy, "low_fraction": low, "median_fraction": middle, "high_fraction": high}
    return {key: tuple(round(float(v), 6) for v in row) for key, row in points.items()}


def _distribution(value: float, found: Confidence) -> Distribution:
    low, middle, high = found.quantile(QUANTILES)
    mean, sd = found.mean_and_sd
    return Distribution(value, mean, sd, float(low), float(middle), float(high), value - mean)


def _conditions(result: Assessment, spread: Spread) -> tuple[Condition, ...]:
    """Those asked for, and the published thresholds of the device."""
    for one in spread.conditions:
        if one.roi not in result.rois:
            msg = f"The condition on {one.roi} names no ROI of the run; there are {', '.join(result.rois)}."
            raise QuantityError(msg)
    published = []
    for t in result.thresholds:
        if t.metric == "mean_dose_gy" or t.metric.startswith(("d", "v")):
            at_least = (t.value >= t.limit) == t.met
            published.append(Condition(t.roi, t.metric, at_least, t.limit, t.source))
    return (*spread.conditions, *published)


def _probabilities(
    name: str, conditions: tuple[Condition, ...], found: dict[str, tuple[float, Confidence]], samples: int
) -> list[Probability]:
    said = []
    for one in conditions:
        if one.roi != name or one.metric not in found:
            continue
        value, known = found[one.metric]
        below = known.below(one.limit)
        p = 1 - below if one.at_least else below
        near = (p * samples + 1) / (samples + 2)  # so that 0 and 1 are not certain either (Laplace)
        error = math.sqrt(near * (1 - near) / samples)
        sense = "at least" if one.at_least else "below"
        said.append(Probability(name, one.metric, sense, one.limit, value, p, error, one.source))
    return said


def _inputs(spread: Spread) -> dict[str, object]:
    left_out = ("samples", "seed", "conditions", "recovery")
    found: dict[str, object] = {k: v for k, v in vars(spread).items() if k not in left_out}
    curve = spread.recovery
    found["recovery"] = vars(curve).copy() if curve else None
    return found


def _assumptions(spread: Spread) -> list[str]:
    said = [
        "Uncertainties are normal (log-normal for what multiplies every dose), and independent but for what is named.",
        "Scale errors are common to all regions.",
        "All regions shift together; each region's outline is wrong by one distance all around, independently of others.",
    ]
    left_out = [
        name
        for name, value in (
            ("calibration", spread.calibration_fraction),
            ("noise", spread.has_noise),
            ("registration", spread.registration_mm),
            ("outlines", spread.contour_mm + spread.contour_fwhm_mm),
        )
        if not value
    ]
    if left_out:
        said.append(f"Nothing was given for {', '.join(left_out)}, so these are taken as exact.")
    said.append(
        "Intervals are of 95 % confidence: at their ends, errors as stated would lead to this run's value, or one farther off, in "
        "2.5 % of runs. Where errors lower a metric on average (noise and D95, shifts and a tumor's mean), the interval lies "
        "above the run's value. Probabilities are this confidence in a condition."
    )
    if spread.recovery is not None:
        said.append(
            f"Recovery 1 - 1/(1 + (v/b)^c) of hot spheres, b {spread.recovery.b_ml:.4g} mL, c {spread.recovery.c:.4g} "
            f"({spread.recovery.source}), corrects the means of tumors only; a DVH cannot be corrected voxel by voxel."
        )
    return said


def _warnings(result: Assessment, spread: Spread) -> tuple[str, ...]:
    said = []
    if spread.recovery is None and any(m.role == "tumor" for m in result.rois.values()):
        said.append("No recovery curve: partial volume makes tumors' doses too low, and that is in no interval here.")
    if spread.contour_mm + spread.contour_fwhm_mm == 0 and any(m.volume_ml < 30 for m in result.rois.values()):
        said.append("Outlines are taken as exact, though some regions are small; their doses depend on them most.")
    return tuple(said)


def _moved_by_noise(name: str, answers: Answers, wanted: Wanted) -> list[str]:
    """Metrics that noise moves by much of what it makes them scatter: there the correction of the bias is rough."""
    moved = [m for m in TAILS if answers.noise_moves(wanted.names.index(m))]
    if not moved:
        return []
    metrics = ", ".join(m.removesuffix("_gy").upper() for m in moved)
    words = (
        f"{name}: noise moves {metrics} by more than half of the standard deviation it gives, and a dose that is noisy already "
        "less than the true one; this bias is taken off to first order only. The mean bears more weight."
    )
    return [words]
