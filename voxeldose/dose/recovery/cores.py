"""Cold cores of lesions: found in the fitted activity, kept when the evidence for them is strong."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.recovery.anatomy import region_of_distance
from voxeldose.dose.recovery.fit import Fit, fit_stage, with_parts
from voxeldose.dose.recovery.shapes import REACH_MM
from voxeldose.dose.recovery.solve import STEP_TOLERANCE, System, conjugate_gradients

if TYPE_CHECKING:
    from voxeldose.dose.recovery.scan import Column
    from voxeldose.dose.recovery.shapes import Region
    from voxeldose.model.arrays import Floats, Mask

__all__ = ["LEAST_GAIN", "core_candidates", "with_cores"]

#: A core is at least so large; its lesion three times that; and it fills at most this part of the lesion.
LEAST_ML, MOST_PART = 1.0, 0.7
#: Cold is below this part of the lesion's upper quartile.
COLD = 0.5
#: Rise of 2 ln evidence that keeps a core. Found on digital phantoms: 57 (SPECT of 12 mm) to 1,000 for real ones; 15 and 94 for cold
#: spots of a texture of 50 %, which are cold in truth but no cores.
LEAST_GAIN = 50.0
#: Smoothing of a core's distance, fine voxels.
SMOOTH = 0.7


def with_cores(fit: Fit, random: np.random.Generator) -> tuple[Fit, float]:
    """The fit with cold cores where evidence speaks for them, one after another, and the largest rise (0 if none was tried)."""
    best = 0.0
    for core in core_candidates(fit):
        changed = frozenset((core.parent, core.name))
        trial = fit_stage(with_parts(fit, [core]), random, only=changed)
        gain = _evidence(trial, changed, fit.linear.unit_deviation) - _evidence(fit, changed, fit.linear.unit_deviation)
        best = gain if best == 0 else max(best, gain)
        if gain > LEAST_GAIN:
            fit = trial
    return fit, best


def core_candidates(fit: Fit) -> list[Region]:
    """Connected parts of lesions whose fitted activity is low."""
    model = fit.model
    ml = model.scan.fine.voxel_ml
    activity, masks = model.activity(fit.state)[0], fit.linear.masks
    found = []
    for n, region in enumerate(model.partition.regions):
        if region.kind != "lesion" or fit.state.means[n] <= 0:
            continue
        inside = masks[n][region.window] > 0.5
        if inside.sum() * ml < 3 * LEAST_ML:
            continue
        values = activity[region.window]
        top = np.percentile(values[inside], 75)
        cold = _large_parts((values < COLD * top) & inside, LEAST_ML / ml)
        if not cold.any() or cold.sum() > MOST_PART * inside.sum():
            continue
        distance = _distance(cold, model.scan.fine.spacing_mm)
        core = region_of_distance(
            f"core of {region.name}", (region.window, distance), model.scan, kind="core", parent=region.name
        )
        found.append(core)
    return found


def _large_parts(cold: Mask, least: float) -> Mask:
    """Connected parts of at least so many voxels."""
    from scipy import ndimage

    labels, count = ndimage.label(cold)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    keep = sizes >= least
    keep[0] = False
    return np.asarray(keep[labels])


def _distance(inside: Mask, spacing: tuple[float, float, float]) -> Floats:
    """Signed distance of voxel centres from a mask's surface, a little smoothed."""
    from scipy import ndimage

    out = ndimage.distance_transform_edt(~inside, sampling=spacing) - spacing[2] / 2
    within = ndimage.distance_transform_edt(inside, sampling=spacing) - spacing[2] / 2
    distance = ndimage.gaussian_filter(np.where(inside, -within, out), SMOOTH, output=np.float32)
    return np.minimum(distance, np.float32(REACH_MM))


def _evidence(fit: Fit, near: frozenset[str], unit_deviation: Floats) -> float:
    """2 ln p(image | texture, noise level) up to a constant: quadratic form and log-determinants.

    That of the covariance of texture and noise is taken region by region in the spectrum; that of region means and outlines over
    the columns of the regions in ``near``, as the others are alike in both fits that are compared. Both are given one noise.
    """
    model, state = fit.model, fit.state
    system = System(model, state, replace(fit.linear, unit_deviation=unit_deviation))
    scan = model.scan
    noise = system.noise_power.astype(np.float64)
    blur = scan.texture_blur.astype(np.float64) ** 2
    weight = np.full(noise.shape, 2.0)
    weight[..., 0] = 1
    if scan.shape[2] % 2 == 0:
        weight[..., -1] = 1
    weight /= weight.sum()
    total = 0.0
    for k, mean in enumerate(np.maximum(state.means, 0)):
        variance = state.noise_level**2 * (mean + scan.noise.floor)
        signal = sum((c * mean) ** 2 * p for c, p in zip(state.strength[:, k], system.field_power, strict=True))
        ratio = np.log1p(signal * blur / (variance * noise))
        total += float(fit.linear.occupancy[k].sum(dtype=np.float64)) * float((weight * ratio).sum())
    chosen = [(c, s) for c, s, name in _named_columns(fit) if name in near]
    columns = [c for c, _ in chosen]
    sd = np.array([s for _, s in chosen])
    solved = [
        conjugate_gradients(system.without_columns, system.precondition, c.whole(scan.shape), tolerance=STEP_TOLERANCE)[
            0
        ]
        for c in columns
    ]
    inner = np.array([[c.dot(v) for v in solved] for c in columns]) * np.outer(sd, sd)
    total += float(np.linalg.slogdet(np.eye(len(columns)) + (inner + inner.T) / 2)[1])
    chi_square = system.solve(None if fit.solution is None else fit.solution.weights).chi_square
    return -chi_square - total


def _named_columns(fit: Fit) -> list[tuple[Column, float, str]]:
    """Columns of means and motions, their prior standard deviations, and the regions they belong to."""
    names = [*fit.model.names, *(p.region for p in fit.model.parameters)]
    return list(zip(fit.system.columns, fit.system.column_sd.tolist(), names, strict=True))
