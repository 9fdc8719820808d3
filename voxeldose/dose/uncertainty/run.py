"""Uncertainty of a whole run: samples the errors of the input, propagates them to metrics, lists what is assumed."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.limits import with_best_values
from voxeldose.dose.territories import refuse_with_territories
from voxeldose.dose.uncertainty.budget import budget, scale_terms
from voxeldose.dose.uncertainty.inputs import Condition
from voxeldose.dose.uncertainty.noise import NoiseField
from voxeldose.dose.uncertainty.region import MetricList, MovingRegion
from voxeldose.dose.uncertainty.region_response import NoiseSamples, RegionResponse, ScaleErrors
from voxeldose.errors import QuantityError
from voxeldose.model.assessment import Distribution, Probability, RoiUncertainty, Uncertainty
from voxeldose.model.best_value import CORRECTED_MEAN
from voxeldose.model.limits import with_tolerance
from voxeldose.model.metric import Metric
from voxeldose.model.remarks import Remark

if TYPE_CHECKING:
    from collections.abc import Callable

    from voxeldose.dose.engines.base import Engine
    from voxeldose.dose.uncertainty.confidence import Confidence
    from voxeldose.dose.uncertainty.inputs import Spread
    from voxeldose.dose.uncertainty.presets import PresetUsed
    from voxeldose.model.arrays import Doubles, Floats
    from voxeldose.model.assessment import Assessment, Term
    from voxeldose.model.best_value import ValueKind
    from voxeldose.model.limits import Sense


__all__ = ["with_uncertainty"]

QUANTILES = (0.025, 0.5, 0.975)
#: How many pairs of noise fields determine how well the bias by noise is known.
PAIRS = 200
#: Metrics that noise lowers or raises much.
TAILS = ("d98_gy", "d95_gy", "d90_gy", "d70_gy", "d2_gy")
#: Below this volume the dose of a region depends most on its outline.
SMALL_ML = 30.0


def with_uncertainty(
    result: Assessment, engine: Engine, spread: Spread, *, progress: Callable[[str], None] | None = None
) -> Assessment:
    """The same assessment with ``uncertainty`` filled in.

    Parameters
    ----------
    result : Assessment
        Of :func:`voxeldose.assess`.
    engine : Engine
        That of the result; its kernel carries the noise.
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
    report_progress = progress or (lambda _: None)
    if spread.has_noise or spread.lung_shunt_sd:
        refuse_with_territories(
            result.case.administration,
            "uncertainty.noise_fraction, noise_region and lung_shunt_sd",
            "noise and lung shunt move the calibration of each territory on its own, and these intervals know one calibration.",
        )
    conditions = _conditions(result, spread)
    names = [n for n, m in result.rois.items() if math.isfinite(m.mean_dose_gy)]
    if not names:
        msg = "No region has a dose, so there is nothing to be uncertain about."
        raise QuantityError(msg, code="dose-missing")
    metrics = MetricList.of(conditions)
    regions = {name: MovingRegion.of(result, name, spread, metrics) for name in names}
    noise, noise_remarks = NoiseField.of(result, engine, spread, names) if spread.has_noise else (None, ())
    scales, scale_remarks = scale_terms(result, spread)

    report_progress("uncertainty: budget")
    budgets = {n: budget(result, r, spread, scales, noise) for n, r in regions.items()}
    roots = np.random.SeedSequence(spread.seed).spawn(spread.samples + 1)
    samples = _sample_noise(regions, noise, roots[1:], report_progress)
    log_scale_sd = math.sqrt(sum(math.log1p(sd**2) for sd in scales.values()))
    estimates: dict[str, _Estimate] = {}
    for name, region in regions.items():
        report_progress(f"uncertainty: intervals of {name}")
        scale = ScaleErrors(log_scale_sd, spread.recovery if result.rois[name].role == "tumor" else None)
        response = RegionResponse.of(region, spread, scale, samples[name], np.random.default_rng(roots[0]))
        estimates[name] = _estimate(result, region, response, budgets[name], scale)
    uncertainty = Uncertainty(
        samples=spread.samples,
        seed=spread.seed,
        inputs=_inputs(spread),
        rois={name: one.roi for name, one in estimates.items()},
        probabilities=tuple(
            p for n, one in estimates.items() for p in one.probabilities(n, conditions, spread.samples)
        ),
        assumptions=(*_collect_assumptions(spread), *noise_remarks, *scale_remarks),
        warnings=(*_collect_warnings(result, spread), *(w for one in estimates.values() for w in one.warnings)),
    )
    record = replace(  # where whoever reads the result looks for what was assumed and what to beware of
        result.record,
        assumptions=(*result.record.assumptions, *uncertainty.assumptions),
        warnings=(*result.record.warnings, *uncertainty.warnings),
        timings_s={**result.record.timings_s, "uncertainty": round(time.perf_counter() - started, 4)},
    )
    return with_best_values(replace(result, uncertainty=uncertainty, record=record))


@dataclass(frozen=True, eq=False)
class _Metric:
    """One metric of a region: the run's own value, and confidence in the true one."""

    value: float
    confidence: Confidence

    def distribution(self) -> Distribution:
        low, middle, high = self.confidence.quantile(QUANTILES)
        mean, sd = self.confidence.mean_and_sd
        return Distribution(self.value, mean, sd, float(low), float(middle), float(high), self.value - mean)


@dataclass(frozen=True, eq=False)
class _Estimate:
    """What is estimated of one region."""

    roi: RoiUncertainty
    metrics: dict[str, _Metric]
    warnings: tuple[Remark, ...]

    def probabilities(self, name: str, conditions: tuple[Condition, ...], samples: int) -> list[Probability]:
        """Confidence in every condition on this region."""
        rows = []
        for one in conditions:
            if one.roi != name or one.metric not in self.metrics:
                continue
            is_corrected = one.metric == "mean_dose_gy" and CORRECTED_MEAN in self.metrics
            metric = self.metrics[CORRECTED_MEAN if is_corrected else one.metric]
            sense: Sense = "at least" if one.at_least else "below"
            below = metric.confidence.below(with_tolerance(one.limit, sense))
            p = 1 - below if one.at_least else below
            near = (p * samples + 1) / (samples + 2)  # so that 0 and 1 are not certain either (Laplace)
            error = math.sqrt(near * (1 - near) / samples)
            kind: ValueKind = "corrected" if is_corrected else "image"
            rows.append(Probability(name, one.metric, sense, one.limit, metric.value, p, error, one.source, kind))
        return rows


def _estimate(
    result: Assessment, region: MovingRegion, response: RegionResponse, terms: tuple[Term, ...], scale: ScaleErrors
) -> _Estimate:
    """Intervals, budget and DVH band of one region."""
    reported = result.rois[region.name]
    own = _own_values(result, region, response)
    metrics = {n: _Metric(own[k], response.confidence(k, own[k])) for k, n in enumerate(region.metrics.names)}
    recovery = float(scale.recovery.at(reported.volume_ml)) if scale.recovery else None
    if recovery is not None:
        recovered = reported.mean_dose_gy / recovery
        metrics[CORRECTED_MEAN] = _Metric(recovered, response.recovered_confidence(recovered))
    roi = RoiUncertainty(
        metrics={n: one.distribution() for n, one in metrics.items()},
        contour_sd_mm=region.contour_sd_mm,
        recovery_coefficient=recovery,
        budget_of=CORRECTED_MEAN if recovery is not None else "mean_dose_gy",
        budget=terms,
        budget_sd_gy=math.sqrt(sum(t.sd_gy**2 for t in terms)),
        dominant=terms[0].name if terms else "nothing",
        dvh_band=_band(region, response),
    )
    return _Estimate(roi, metrics, _noise_warnings(region, response))


def _sample_noise(
    regions: dict[str, MovingRegion],
    noise: NoiseField | None,
    roots: list[np.random.SeedSequence],
    report_progress: Callable[[str], None],
) -> dict[str, NoiseSamples | None]:
    """The metrics of each region under each field of noise, and under each of the first fields and the next together."""
    if noise is None:
        return dict.fromkeys(regions)
    rows: dict[str, list[Doubles]] = {name: [] for name in regions}
    pairs: dict[str, list[Doubles]] = {name: [] for name in regions}
    before: tuple[Floats, float] | None = None
    for number, root in enumerate(roots):
        if number % 25 == 0:
            report_progress(f"uncertainty: noise {number} of {len(roots)}")
        field, drift = noise.draw(np.random.default_rng(root))
        for name, region in regions.items():
            rows[name].append(region.measure(region.noisy_gy(field, noise) / np.float32(1 + drift)))
            if before is not None:
                both = region.noisy_gy(field + before[0], noise) / np.float32(1 + drift + before[1])
                pairs[name].append(region.measure(both))
        before = (field, drift) if number < PAIRS else None
    return {name: NoiseSamples(np.array(rows[name]), np.array(pairs[name])) for name in regions}


def _own_values(result: Assessment, region: MovingRegion, response: RegionResponse) -> list[float]:
    """The run's own values where it has them (they know doses within voxels), else those of the voxels."""
    reported = result.rois[region.name]
    return [float(getattr(reported, n, b)) for n, b in zip(region.metrics.names, response.base, strict=False)]


def _band(region: MovingRegion, response: RegionResponse) -> dict[str, tuple[float, ...]]:
    first = len(region.metrics.names)
    columns = range(first, first + region.band_gy.size)
    points = [response.confidence(k, float(response.base[k]), on_curve=True) for k in columns]
    rows = np.array([one.quantile(QUANTILES) for one in points]).T
    low, middle, high = np.minimum.accumulate(rows, axis=1)  # a cumulative DVH never rises
    band = {"dose_gy": region.band_gy, "low_fraction": low, "median_fraction": middle, "high_fraction": high}
    return {key: tuple(round(float(v), 6) for v in row) for key, row in band.items()}


def _conditions(result: Assessment, spread: Spread) -> tuple[Condition, ...]:
    """Those asked for, and the published thresholds of the device."""
    for one in spread.conditions:
        if one.roi not in result.rois:
            msg = f"The condition on {one.roi} names no ROI of the run; there are {', '.join(result.rois)}."
            raise QuantityError(msg, code="roi-unknown", found=one.roi, known=tuple(result.rois))
    published = []
    for t in result.thresholds:
        metric = Metric.parse(t.metric)
        if metric is not None and metric.kind in ("mean", "d", "v"):
            published.append(Condition(t.roi, t.metric, t.sense == "at least", t.limit, t.source))
    return (*spread.conditions, *published)


def _inputs(spread: Spread) -> dict[str, object]:
    left_out = ("samples", "seed", "conditions", "recovery", "presets")
    inputs: dict[str, object] = {k: v for k, v in vars(spread).items() if k not in left_out}
    curve = spread.recovery
    inputs["recovery"] = vars(curve).copy() if curve else None
    if spread.presets:
        inputs["presets"] = [vars(one).copy() for one in spread.presets]
    return inputs


def _collect_assumptions(spread: Spread) -> list[Remark]:
    remarks = [
        Remark(
            "uncertainty-distributions",
            {},
            "Uncertainties are normal (log-normal for what multiplies every dose), and independent except where stated.",
        ),
        Remark("uncertainty-scale-common", {}, "Scale errors are common to all regions."),
        Remark(
            "uncertainty-shift-common",
            {},
            "All regions shift together; each region's outline is wrong by one distance all around, independently of others.",
        ),
    ]
    remarks += [_describe_preset(one) for one in spread.presets]
    sources = {
        "calibration": spread.calibration_fraction,
        "noise": spread.has_noise,
        "registration": spread.registration_mm,
        "outlines": spread.contour_mm + spread.contour_fwhm_mm,
    }
    exact = ", ".join(name for name, value in sources.items() if not value)
    if exact:
        sentence = f"Nothing was given for {exact}, so these are taken as exact."
        remarks.append(Remark("uncertainty-sources-exact", {"sources": exact}, sentence))
    sentence = (
        "Intervals are of 95 % confidence: at their ends, errors as stated would lead to this run's value, or one farther off, in "
        "2.5 % of runs. Where errors lower a metric on average (noise and D95, shifts and a tumor's mean), the interval lies "
        "above the run's value. Probabilities are this confidence in a condition."
    )
    remarks.append(Remark("uncertainty-confidence", {"confidence_fraction": 0.95}, sentence))
    if spread.recovery is not None:
        curve = spread.recovery
        sentence = (
            f"Recovery 1 - 1/(1 + (v/b)^c) of hot spheres, b {curve.b_ml:.4g} mL, c {curve.c:.4g} "
            f"({curve.source}), corrects the means of tumors only; a DVH cannot be corrected voxel by voxel."
        )
        remarks.append(Remark("uncertainty-recovery-curve", {"b_ml": curve.b_ml, "c": curve.c}, sentence))
    return remarks


def _describe_preset(preset: PresetUsed) -> Remark:
    """What a preset gave, and where it is from."""
    taken = ", ".join(f"{key} {value:g}" for key, value in preset.taken.items()) or "nothing"
    replaced = f"; the case gives {', '.join(preset.replaced)} itself" if preset.replaced else ""
    sentence = f"Preset {preset.name} ({preset.title}) gives {taken}{replaced}. {preset.source}. {preset.how}"
    return Remark("uncertainty-preset", {"preset": preset.name, **preset.taken}, sentence)


def _collect_warnings(result: Assessment, spread: Spread) -> list[Remark]:
    remarks = []
    if spread.recovery is None and any(m.role == "tumor" for m in result.rois.values()):
        sentence = "No recovery curve: partial volume makes tumors' doses too low, and that is in no interval here."
        remarks.append(Remark("recovery-missing", {}, sentence))
    if spread.recovery is not None:
        sentence = (
            "A recovery curve corrects means alone: D95, coverage and all else of a tumor's DVH are those of the blurred image, and "
            "partial volume is in none of their intervals."
        )
        remarks.append(Remark("recovery-of-means-only", {}, sentence))
    small = [name for name, m in result.rois.items() if m.volume_ml < SMALL_ML]
    if spread.contour_mm + spread.contour_fwhm_mm == 0 and small:
        sentence = "Outlines are taken as exact, though some regions are small; their doses depend on them most."
        remarks.append(Remark("outlines-exact", {"rois": ", ".join(small), "below_ml": SMALL_ML}, sentence))
    return remarks


def _noise_warnings(region: MovingRegion, response: RegionResponse) -> tuple[Remark, ...]:
    """Metrics that noise moves by much of what it makes them scatter: there the correction of the bias is rough."""
    columns = region.metrics.names
    metrics = ", ".join(m.removesuffix("_gy").upper() for m in TAILS if response.noise_moves(columns.index(m)))
    if not metrics:
        return ()
    sentence = (
        f"{region.name}: noise moves {metrics} by more than half of the standard deviation it gives, and a dose that is noisy "
        "already less than the true one; this bias is taken off to first order only. The mean bears more weight."
    )
    return (Remark("noise-bias-first-order", {"roi": region.name, "metrics": metrics}, sentence),)
