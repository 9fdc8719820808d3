"""From draws to numbers with intervals, and to the record of a recovery."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.recovery.checks import withheld_dvhs
from voxeldose.dose.recovery.posterior import spread_of
from voxeldose.geometry.outline import Outline
from voxeldose.model.recovered import Estimate, Recovered, RecoveredDvh, RecoveredMetrics, RecoveredRoi, Residual
from voxeldose.model.remarks import Remark
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.volume import DoseMap, Volume

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from voxeldose.dose.recovery.numbers import InOutlines
    from voxeldose.dose.recovery.options import Resolution
    from voxeldose.dose.recovery.posterior import Posterior
    from voxeldose.dose.recovery.run import Prepared
    from voxeldose.model.arrays import Doubles, Floats
    from voxeldose.model.assessment import Assessment

__all__ = ["collect", "half_of_interval", "moved_regions", "of_comparator"]

#: Numbers that a lesion too small for the resolution does not get.
OF_DVH = ("d95_gy", "d70_gy", "d50_gy", "v205_fraction", "v400_fraction")
#: Standard deviation of what voxels and points leave open: part of a number, or of the volume.
NUMERICAL = 0.005
#: Mean doses of field and comparator that differ by more are worth a word.
DISAGREE, DISAGREE_GY = 0.05, 2.0
#: Name of the normal liver inside perfused regions; where a run has no such region its recovered numbers stand nowhere.
PERFUSED_NORMAL = "perfused_normal_liver"
#: Points of a DVH.
CURVE_POINTS = 301
#: Half of a 95 % interval in standard deviations: Student's t for as many degrees of freedom as pairs of draws.
NORMAL = 1.96

BEST: Callable[[InOutlines], dict[str, float]] = lambda both: both.best  # noqa: E731
DRAWN: Callable[[InOutlines], dict[str, float]] = lambda both: both.as_drawn  # noqa: E731


def collect(
    result: Assessment,
    ready: Prepared,
    posterior: Posterior,
    comparator: dict[str, InOutlines],
    resolution: Resolution,
) -> Recovered:
    """The record of the field method; assumptions made before it and the time it took are the caller's to add."""
    fit = posterior.fit
    withheld = {w.roi for w in posterior.withheld}
    warnings = [*posterior.warnings, *(w.remark for w in posterior.withheld)]
    motions = fit.model.motions(fit.state.motion_mm)
    masks = dict(zip(fit.model.names, fit.linear.masks, strict=True))
    rois = {}
    for key in posterior.numbers[0]:
        name = key or _normal_name(result, ready)
        if name not in result.rois:
            continue
        best, drawn = (_metrics(posterior, key, pick, key in withheld) for pick in (BEST, DRAWN))
        rbv = comparator[key].best["mean_dose_gy"]
        motion = motions.get(key)
        core = masks.get(f"core of {key}")
        rois[name] = RecoveredRoi(
            role=result.rois[name].role,
            best=best,
            as_drawn=drawn,
            mean_dose_rbv_gy=rbv,
            shift_lps_mm=_towards_lps(ready, motion.shift_mm) if motion else (0.0, 0.0, 0.0),
            growth_mm=motion.growth_mm if motion else 0.0,
            cold_core_ml=float(core.sum(dtype=np.float64)) * ready.scan.fine.voxel_ml if core is not None else 0.0,
            dvh=None if key in withheld else _dvh(posterior, key),
        )
        warnings += _disagreement(name, drawn, rbv) if key else []
    facts: dict[str, object] = {
        "fwhm_mm_kji": list(resolution.fwhm_mm),
        "noise_level": fit.state.noise_level,
        "noise_floor": fit.model.scan.noise.floor,
        "chi_square_per_voxel": fit.chi_square,
        "draws": len(posterior.numbers),
        "seed": resolution.seed,
        "outlines": resolution.outlines,
        "core_evidence_gain": posterior.gain,
        "texture_cv": {n: float(np.sqrt(fit.state.power[:, k].sum())) for k, n in enumerate(fit.model.names)},
        "source": resolution.source,
    }
    return Recovered(
        "field",
        rois,
        facts,
        _dose_map(ready, posterior.dose),
        tuple(_outline_remarks(resolution)),
        tuple(warnings),
        0.0,
        _residual(posterior, moved_regions(result.regions, rois)),
    )


def _residual(posterior: Posterior, moved: RoiSet) -> Residual:
    """Image, prediction and noise of the fit's box, in Bq/mL."""
    fit = posterior.fit
    scan, unit = fit.model.scan, np.float32(fit.model.scan.reference_bq_per_ml)
    deviation = np.where(scan.measured, fit.linear.unit_deviation * np.float32(fit.state.noise_level), np.inf)
    rows = (scan.image, fit.linear.predicted, deviation.astype(np.float32))
    image, predicted, noise = (Volume(values * unit, scan.grid) for values in rows)
    return Residual(image, predicted, noise, moved)


def moved_regions(regions: RoiSet, recovered: Mapping[str, RecoveredRoi]) -> RoiSet:
    """Tumors in the outlines that were moved onto the image: shifted, then grown."""
    moved = []
    for name, roi in recovered.items():
        if roi.role != "tumor":
            continue
        drawn = regions[name]
        reach = float(np.linalg.norm(roi.shift_lps_mm)) + abs(roi.growth_mm) + 2
        room = [int(np.ceil(reach / s)) for s in drawn.grid.spacing_mm]
        grid = drawn.grid.window([-r for r in room], [n + 2 * r for n, r in zip(drawn.grid.shape, room, strict=True)])
        shift_kji = grid.directions.T @ np.array(roi.shift_lps_mm)
        outline = Outline.of(drawn.on_window(grid), grid.spacing_mm)
        occupancy = np.clip(outline.moved(roi.growth_mm, shift_kji), 0, 1)
        moved.append(Roi(name, "tumor", occupancy, grid))
    return RoiSet(tuple(moved))


def of_comparator(
    result: Assessment,
    ready: Prepared,
    numbers: dict[str, InOutlines],
    dose: Floats,
) -> Recovered:
    """The record of region-based voxelwise correction, which knows no intervals; assumptions and time as for :func:`collect`."""
    held_back = withheld_dvhs(ready.anatomy, ready.scan)
    withheld = {w.roi for w in held_back}
    rois = {}
    for key, both in numbers.items():
        values = {n: Estimate(v) for n, v in both.best.items() if not (key in withheld and n in OF_DVH)}
        metrics = RecoveredMetrics(**values)
        role = "tumor" if key else "normal_liver"
        dvh = None if key in withheld else _dvh_of_comparator(both)
        name = key or _normal_name(result, ready)
        if name in result.rois:
            rois[name] = RecoveredRoi(role, metrics, metrics, both.best["mean_dose_gy"], dvh=dvh)
    words = (
        "Region-based voxelwise correction: means are right, but texture inside a region stays blurred, so that its D70 and D95 come out "
        "high; outlines are taken as exact and there is no interval."
    )
    remarks = (Remark("rbv-keeps-texture-blurred", {}, words),)
    warnings = tuple(w.remark for w in held_back)
    return Recovered("rbv", rois, {}, _dose_map(ready, dose), remarks, warnings, 0.0)


def _metrics(
    posterior: Posterior, key: str, pick: Callable[[InOutlines], dict[str, float]], withheld: bool
) -> RecoveredMetrics:
    """Means over draws and 95 % intervals of one region."""
    found = {}
    for name in RecoveredMetrics.names():
        if name not in pick(posterior.numbers[0][key]) or (withheld and name in OF_DVH):
            continue

        def of(both: InOutlines, name: str = name) -> Doubles:
            return np.array([pick(both)[name]])

        (value,), (low,), (high,) = _interval(posterior, key, of, is_fraction=name.endswith("_fraction"))
        found[name] = Estimate(float(value), float(low), float(high))
    return RecoveredMetrics(**found)


def _interval(
    posterior: Posterior, key: str, of: Callable[[InOutlines], Doubles], *, is_fraction: bool
) -> tuple[Doubles, Doubles, Doubles]:
    """Means over draws of numbers of one region, (n,), and the ends of their 95 % intervals."""

    def rows(draws: list[dict[str, InOutlines]]) -> Doubles:
        return np.array([of(draw[key]) for draw in draws])

    values = rows(posterior.numbers)
    centre = values.mean(axis=0)
    variance = spread_of(values) ** 2
    if posterior.weaker and posterior.stronger:
        variance += ((rows(posterior.stronger).mean(axis=0) - rows(posterior.weaker).mean(axis=0)) / 2) ** 2
    if posterior.wider:
        variance += (rows(posterior.wider).mean(axis=0) - values[: len(posterior.wider)].mean(axis=0)) ** 2
    variance += (NUMERICAL * (1.0 if is_fraction else centre)) ** 2
    half = half_of_interval(len(values) // 2) * np.sqrt(variance)
    return (
        centre,
        np.minimum(np.maximum(centre - half, 0.0), centre),
        np.minimum(centre + half, 1.0 if is_fraction else np.inf),
    )


def _dvh(posterior: Posterior, key: str) -> RecoveredDvh:
    """Mean over draws of the cumulative DVH of one region with its band; neither rises with the dose."""
    highest = max(float(draw[key].quantiles_gy[-1]) for draw in posterior.numbers)
    doses = _curve_doses(highest)
    curves = _interval(posterior, key, lambda both: _coverages(both.quantiles_gy, doses), is_fraction=True)
    middle, low = (np.minimum.accumulate(curve) for curve in curves[:2])
    high = np.maximum.accumulate(curves[2][::-1])[::-1]
    low[0] = high[0] = middle[0] = 1.0
    return RecoveredDvh(*(tuple(np.round(row, 6).tolist()) for row in (doses, middle, low, high)))


def _dvh_of_comparator(both: InOutlines) -> RecoveredDvh:
    doses = _curve_doses(float(both.quantiles_gy[-1]))
    return RecoveredDvh(*(tuple(np.round(row, 6).tolist()) for row in (doses, _coverages(both.quantiles_gy, doses))))


def _curve_doses(highest_gy: float) -> Doubles:
    """Doses of a curve, in even steps from 0 to a little beyond the highest."""
    return np.linspace(0.0, 1.02 * max(highest_gy, 1e-3), CURVE_POINTS)


def _coverages(quantiles_gy: Doubles, doses_gy: Doubles) -> Doubles:
    """Part of the volume that receives at least each dose; doses below 0, by noise, count as 0."""
    ranks = np.linspace(0, 1, quantiles_gy.size)
    found = 1 - np.interp(doses_gy, quantiles_gy, ranks, left=0.0, right=1.0)
    found[0] = 1.0
    return np.asarray(found)


def half_of_interval(pairs: int) -> float:
    """Half of a 95 % interval in standard deviations known from so many pairs: Student's t (Cornish-Fisher, 1 % from five pairs on)."""
    z, v = NORMAL, max(pairs, 2)
    return z + (z**3 + z) / (4 * v) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)


def _disagreement(name: str, drawn: RecoveredMetrics, rbv: float) -> list[Remark]:
    """A word where the comparator's mean differs, in the outline as drawn."""
    mean = drawn.mean_dose_gy.value
    if not mean or abs(rbv - mean) <= max(DISAGREE * abs(mean), DISAGREE_GY):
        return []
    words = (
        f"{name}: mean dose {mean:.0f} Gy by the field method and {rbv:.0f} Gy by region-based voxelwise correction, in the outline as "
        "drawn; look at outline, cold parts and neighbours."
    )
    return [Remark("recovery-methods-disagree", {"roi": name, "field_gy": mean, "rbv_gy": rbv}, words)]


def _outline_remarks(resolution: Resolution) -> list[Remark]:
    if resolution.outlines == "fixed":
        words = "Tumors' outlines are taken as exact; an error of 1.5 mm changes a mean by about a tenth."
        return [Remark("tumor-outlines-exact", {}, words)]
    words = (
        f"Tumors' outlines are moved onto the image, within {resolution.shift_sd_mm:g} mm an axis and {resolution.growth_sd_mm:g} mm of "
        "growth (standard deviations); numbers as drawn are given too."
    )
    numbers = {"shift_sd_mm": resolution.shift_sd_mm, "growth_sd_mm": resolution.growth_sd_mm}
    return [Remark("outlines-fitted", numbers, words)]


def _normal_name(result: Assessment, ready: Prepared) -> str:
    """The run's own name of the normal liver that is measured: the perfused part of it where perfused regions are given."""
    if ready.perfused:
        return PERFUSED_NORMAL
    return next((r.name for r in result.regions if r.role == "normal_liver"), "normal_liver")


def _towards_lps(ready: Prepared, shift_kji: tuple[float, float, float]) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in ready.scan.grid.directions @ np.array(shift_kji))
    return x, y, z


def _dose_map(ready: Prepared, dose: Floats) -> DoseMap:
    words = "Resolution recovery: dose at the centres of voxels, mean over all draws; its own DVH is narrower than the one reported."
    return DoseMap(dose, ready.scan.fine_grid, method=words)
