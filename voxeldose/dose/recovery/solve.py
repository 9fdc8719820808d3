"""The linear system of one step, and draws from its posterior.

All unknowns are integrated into the covariance of the data,
``A = Bt (Σ_s O_s G_s O_s) Bt + D^½ C D^½ + U Uᵀ``, which conjugate gradients invert in the space of the image. Draws perturb and solve
(Matheron's rule; Orieux et al., IEEE Signal Process. Lett. 19 (2012) 65).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.recovery.spectra import apply

if TYPE_CHECKING:
    from collections.abc import Callable

    from voxeldose.dose.recovery.field import FieldModel, Linear, State
    from voxeldose.dose.recovery.scan import Column
    from voxeldose.model.arrays import Doubles, Floats

__all__ = ["Deviation", "Solution", "System", "conjugate_gradients"]

#: Relative residual at which a step and a draw are good enough, and most iterations.
STEP_TOLERANCE, DRAW_TOLERANCE, MOST_ITERATIONS = 2e-3, 4e-3, 120
#: Texture weaker than this at a scale everywhere is left out of the covariance.
WEAK = 0.03


def conjugate_gradients(
    matrix: Callable[[Floats], Floats],
    precondition: Callable[[Floats], Floats],
    right: Floats,
    *,
    tolerance: float,
    start: Floats | None = None,
) -> tuple[Floats, int]:
    """Solution of a symmetric positive system, and the number of iterations."""
    found = np.zeros_like(right) if start is None else start.copy()
    residual = right.copy() if start is None else right - matrix(found)
    size = _norm(right) + 1e-30
    if _norm(residual) < tolerance * size:
        return found, 0
    z = precondition(residual)
    direction = z.copy()
    rz = _dot(residual, z)
    count = 0
    while count < MOST_ITERATIONS:
        count += 1
        image = matrix(direction)
        step = np.float32(rz / max(_dot(direction, image), 1e-30))
        found += step * direction
        residual -= step * image
        if _norm(residual) < tolerance * size:
            break
        z = precondition(residual)
        new = _dot(residual, z)
        direction *= np.float32(new / rz)
        direction += z
        rz = new
    return found, count


def _dot(a: Floats, b: Floats) -> float:
    return float(np.einsum("kji,kji->", a, b, dtype=np.float64))


def _norm(a: Floats) -> float:
    return float(np.sqrt(_dot(a, a)))


@dataclass(frozen=True, eq=False)
class Solution:
    """One Gauss-Newton solution.

    Parameters
    ----------
    means, motion_mm, fields
        As in a state.
    weights : ndarray
        ``A⁻¹ r``, the start of the next solution.
    chi_square : float
        ``rᵀ A⁻¹ r``.
    iterations : int
        Of conjugate gradients.
    """

    means: Doubles
    motion_mm: Doubles
    fields: tuple[Floats, ...]
    weights: Floats
    chi_square: float
    iterations: int


@dataclass(frozen=True, eq=False)
class Deviation:
    """A draw's difference from the posterior mean; equally likely with either sign."""

    means: Doubles
    motion_mm: Doubles
    fields: tuple[Floats, ...]


@dataclass(frozen=True, eq=False)
class System:
    """The covariance of the data at a state."""

    model: FieldModel
    state: State
    linear: Linear

    @cached_property
    def deviation(self) -> Floats:
        """Standard deviation of the noise."""
        return self.linear.unit_deviation * np.float32(self.state.noise_level)

    @cached_property
    def noise_power(self) -> Floats:
        """Spectrum of the noise's correlation."""
        return np.asarray(np.square(self.model.noise_spectrum) + np.float32(self.state.white_part), np.float32)

    @cached_property
    def white_out(self) -> Floats:
        """Spectrum that undoes the noise's correlation."""
        return np.asarray(1 / self.noise_power, np.float32)

    @cached_property
    def field_power(self) -> list[Floats]:
        """Spectra of the prior covariance of the fields."""
        return [np.square(s) for s in self.model.field_spectra]

    @cached_property
    def columns(self) -> list[Column]:
        """Of everything that is not a field: region means, then motions."""
        return [*self.linear.regions, *self.linear.moved]

    @cached_property
    def column_sd(self) -> Doubles:
        """Prior standard deviations of the columns' factors."""
        return np.concatenate((self.model.prior_sd, self.model.motion_sd))

    @cached_property
    def used(self) -> list[int]:
        """Scales at which there is texture."""
        return [s for s, row in enumerate(self.state.strength) if row.max() > WEAK]

    def prepare(self) -> None:
        """Make what threads share before they begin."""
        _ = self.deviation, self.white_out, self.field_power, self.columns, self.column_sd, self.used
        _ = self.model.field_spectra, self.model.noise_spectrum, self.model.scan.texture_blur

    def without_columns(self, v: Floats) -> Floats:
        """Covariance of texture and noise times an image."""
        blur = self.model.scan.texture_blur
        result = self.deviation * apply(self.deviation * v, self.noise_power)
        if self.used:
            seen = apply(v, blur)
            total = np.zeros_like(v)
            for s in self.used:
                gain = self.linear.gain[s]
                total += gain * apply(gain * seen, self.field_power[s])
            result += apply(total, blur)
        return np.asarray(result)

    def matrix(self, v: Floats) -> Floats:
        """Covariance of the data times an image."""
        result = self.without_columns(v)
        for column, sd in zip(self.columns, self.column_sd, strict=True):
            column.add_to(result, column.dot(v) * sd**2)
        return result

    def precondition(self, v: Floats) -> Floats:
        """Inverse of the noise's covariance, nearly."""
        return np.asarray(apply(v / self.deviation, self.white_out) / self.deviation)

    def solve(self, start: Floats | None = None, *, tolerance: float = STEP_TOLERANCE) -> Solution:
        """Posterior means of the linearised model."""
        model, state, linear = self.model, self.state, self.linear
        right = model.scan.image - linear.predicted
        for column, off in zip(linear.regions, state.means - model.prior_means, strict=True):
            column.add_to(right, float(off))
        for column, off in zip(linear.moved, state.motion_mm, strict=True):
            column.add_to(right, float(off))
        if self.used:
            field = sum(linear.gain[s] * state.fields[s] for s in self.used)
            right += apply(np.asarray(field), model.scan.texture_blur)
        weights, count = conjugate_gradients(self.matrix, self.precondition, right, tolerance=tolerance, start=start)
        shares = self.column_sd**2 * np.array([c.dot(weights) for c in self.columns])
        n = len(model.names)
        return Solution(
            model.prior_means + shares[:n], shares[n:], self._fields(weights), weights, _dot(right, weights), count
        )

    def _fields(self, weights: Floats) -> tuple[Floats, ...]:
        """``G_s O_s Bt a`` for every scale."""
        seen = apply(weights, self.model.scan.texture_blur)
        return tuple(
            apply(self.linear.gain[s] * seen, power) if s in self.used else np.zeros_like(seen)
            for s, power in enumerate(self.field_power)
        )

    def draw(self, random: np.random.Generator) -> Deviation:
        """One posterior deviation: draw all from the prior, and subtract what the data say of it."""
        model, shape = self.model, self.model.scan.shape
        fields = [apply(random.standard_normal(shape, np.float32), s) for s in model.field_spectra]
        white = random.standard_normal(shape, np.float32)
        own = random.standard_normal(shape, np.float32) * np.float32(np.sqrt(self.state.white_part))
        shares = random.standard_normal(len(self.columns)) * self.column_sd
        data = self.deviation * (apply(white, model.noise_spectrum) + own)
        if self.used:
            field = sum(self.linear.gain[s] * fields[s] for s in self.used)
            data += apply(np.asarray(field), model.scan.texture_blur)
        for column, share in zip(self.columns, shares, strict=True):
            column.add_to(data, float(share))
        weights, _ = conjugate_gradients(self.matrix, self.precondition, -data, tolerance=DRAW_TOLERANCE)
        shares = shares + self.column_sd**2 * np.array([c.dot(weights) for c in self.columns])
        found = tuple(g + more for g, more in zip(fields, self._fields(weights), strict=True))
        n = len(model.names)
        return Deviation(shares[:n], shares[n:], found)
