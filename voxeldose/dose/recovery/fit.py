"""The fit: Gauss-Newton steps in stages, so that each unknown is met when those before it are known.

(1) means and texture with outlines as drawn, (2) outlines, (3) cold cores, which a misplaced outline would feign, (4) all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.recovery.field import FieldModel, Linear, State, core_parameters
from voxeldose.dose.recovery.solve import Solution, System
from voxeldose.dose.recovery.texture import Strengths, first_noise, measure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.dose.recovery.field import Parameter
    from voxeldose.dose.recovery.shapes import Region
    from voxeldose.model.arrays import Doubles, Floats

__all__ = ["Fit", "fit_stage", "start_fit", "with_parameters", "with_parts"]

#: Steps of a stage; texture is measured before those in the second tuple.
STEPS, MEASURED_AT = 3, (0, 1)
#: A lesion's mean stays above this part of its first estimate.
LEAST_OF_FIRST = 0.05
#: Change of the texture's logarithm that one step may make.
LARGEST_STEP = 1.0
#: Mean of a cold core as part of its rim before the fit, its standard deviation, and how much the rim rises without it.
CORE_MEAN, CORE_SD, RIM_RISE = 0.1, 0.25, 1.1


@dataclass(frozen=True, eq=False)
class Fit:
    """A model at a state, ready for draws.

    Parameters
    ----------
    model, state, linear
        Where the fit stands.
    strengths : Strengths
        As measured last.
    solution : Solution
        Of the last step.
    """

    model: FieldModel
    state: State
    linear: Linear
    strengths: Strengths
    solution: Solution | None = None

    @property
    def system(self) -> System:
        """The covariance of the data here."""
        return System(self.model, self.state, self.linear)

    @property
    def chi_square(self) -> float:
        """Per voxel that was measured."""
        if self.solution is None:
            return float("nan")
        return self.solution.chi_square / max(int(self.model.scan.measured.sum()), 1)


def start_fit(model: FieldModel, random: np.random.Generator) -> Fit:
    """A fit at its prior means, with the noise level of the finest band."""
    state = model.first_state(0.25)
    flat = replace(state, power=np.zeros_like(state.power))
    linear = model.linearise(flat)
    level, floor = first_noise(model, flat, linear, random)
    model = model.with_scan(replace(model.scan, noise=replace(model.scan.noise, floor=floor)))
    linear = model.linearise(flat)
    n = len(model.names)
    nothing = Strengths(level, state.white_part, state.power, np.zeros((len(state.fields), n)))
    return Fit(model, replace(state, noise_level=level, first_level=level), linear, nothing)


def fit_stage(
    fit: Fit,
    random: np.random.Generator,
    *,
    steps: int = STEPS,
    power: Doubles | None = None,
    only: frozenset[str] | None = None,
) -> Fit:
    """Some Gauss-Newton steps.

    ``power`` fixes the texture instead of measuring it. With ``only`` it is measured in these regions alone, and the noise stays as
    it was, so that the evidence of two fits differs by what is tried and by nothing else.
    """
    model, state, strengths, solution = fit.model, fit.state, fit.strengths, fit.solution
    start = None if solution is None else solution.weights
    if power is not None:
        state = replace(state, power=power)
    linear = model.linearise(state)
    for n in range(steps):
        if power is None and n in MEASURED_AT:
            strengths = measure(model, state, linear, random)
            if only is not None:
                strengths = strengths.only_in(np.array([n in only for n in model.names]), state)
            state = strengths.applied_to(state)
            linear = model.linearise(state)
        solution = System(model, state, linear).solve(start)
        start = solution.weights
        state = _stepped(model, state, linear, solution)
        linear = model.linearise(state)
    return Fit(model, state, linear, strengths, solution)


def _stepped(model: FieldModel, state: State, linear: Linear, solution: Solution) -> State:
    """A state moved towards a solution, not so far that the texture's exponent changes by more than 1."""
    largest = 0.0
    for k, occupancy in enumerate(linear.occupancy):
        change: Floats | float = 0.0
        for c, new, old in zip(state.strength[:, k], solution.fields, state.fields, strict=True):
            if c > 0:
                change = change + np.float32(c) * (new - old)
        largest = max(largest, float(np.abs(change * (occupancy > 0.2)).max()))
    part = min(1.0, LARGEST_STEP / max(largest, 1e-6))
    means = state.means + part * (solution.means - state.means)
    for k, kind in enumerate(model.kinds):
        if kind == "lesion":
            means[k] = max(means[k], LEAST_OF_FIRST * abs(model.prior_means[k]))
    motion = state.motion_mm + part * (solution.motion_mm - state.motion_mm)
    fields = tuple(old + np.float32(part) * (new - old) for old, new in zip(state.fields, solution.fields, strict=True))
    return replace(state, means=means, motion_mm=motion, fields=fields)


def with_parameters(fit: Fit, parameters: tuple[Parameter, ...]) -> Fit:
    """The same fit with further unknowns of outlines; what was known is kept."""
    model = replace(fit.model, parameters=parameters)
    known = {(p.region, p.axis): v for p, v in zip(fit.model.parameters, fit.state.motion_mm, strict=True)}
    motion = np.array([known.get((p.region, p.axis), 0.0) for p in parameters])
    state = replace(fit.state, motion_mm=motion)
    return Fit(model, state, model.linearise(state), fit.strengths, fit.solution)


def with_parts(fit: Fit, cores: Sequence[Region]) -> Fit:
    """The same fit with cold cores: their own means, textures and boundaries; the fields begin again at zero."""
    old, n = fit.model, len(fit.model.names)
    parents = [old.names.index(core.parent) for core in cores]
    last = n - 1  # of the outside, which stays at the end
    level = np.maximum(fit.state.means[parents], 0)
    prior = old.prior_means.copy()
    prior[parents] = RIM_RISE * fit.state.means[parents]
    sd = np.maximum(CORE_SD * np.maximum(fit.state.means[parents], 0.1), 1e-3)
    model = replace(
        old,
        partition=old.partition.with_cores(cores),
        parameters=(*old.parameters, *core_parameters(cores)),
        prior_means=np.insert(prior, last, CORE_MEAN * level),
        prior_sd=np.insert(old.prior_sd, last, sd),
    )
    state = replace(
        fit.state,
        means=np.insert(fit.state.means, last, CORE_MEAN * level),
        motion_mm=np.concatenate((fit.state.motion_mm, np.zeros(len(cores)))),
        fields=tuple(np.zeros_like(g) for g in fit.state.fields),
        power=np.insert(fit.state.power, [last] * len(cores), 0.0, axis=1),
    )
    return Fit(model, state, model.linearise(state), fit.strengths)
