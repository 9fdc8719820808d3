"""What a metric may truly be, given what was found: confidence by inverting a bootstrap test.

A value is held possible at a level if errors as stated would often enough lead from it to what was found. So each candidate for
the truth has its own distribution of what would be found, drawn around the candidate and not around the run: where the run's
region lies next to a lesion, the slope there is not the slope at the lesion, and intervals that take one for the other hold the
truth too seldom.

Candidates lie on the path of steepest ascent (and descent) of the metric from the run, in standard deviations of the errors: the
least favorable family, for which fewest errors are needed. On a plane this gives the normal interval of the first order, for
noise alone the basic bootstrap.

References
----------
J. Carpenter, J. R. Statist. Soc. B 61 (1999) 159-172 (test inversion bootstrap); T. J. DiCiccio and J. P. Romano,
Int. Stat. Rev. 58 (1990) 59-76 (least favorable families).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike

    from voxeldose.dose.uncertainty.response_surface import Surface
    from voxeldose.model.arrays import Doubles, Mask


__all__ = ["Confidence", "Response", "confidence", "far_candidate"]

#: Steps along a path, and where it ends, in standard deviations; scores beyond which it need not go.
STEP, SHORTEST, FARTHEST, ENOUGH = 0.4, 0.1, 4.8, 2.6
#: Ranks at which a distribution is turned into its mean and standard deviation.
RANKS = 400


@dataclass(frozen=True, eq=False)
class Response:
    """How one metric of one region responds to errors.

    Parameters
    ----------
    surface : Surface
        Of place and outline; its last coordinate is the scale where ``scale_on_surface``.
    column : int
        Of the metric on the surface.
    own : float
        What the run found.
    log_scale_sd : float
        Standard deviation of the logarithm of what multiplies every dose; 0 without.
    scale_on_surface : bool
        Whether the metric's response to the scale is on the surface; a dose is multiplied by it.
    noise_bias : float
        By how much noise moves the metric on average.
    noise : ndarray
        What noise does besides, in rising order.
    """

    surface: Surface
    column: int
    own: float
    log_scale_sd: float
    scale_on_surface: bool
    noise_bias: float
    noise: Doubles

    @property
    def size(self) -> int:
        """Number of errors of place, outline and scale."""
        return int(self.surface.nodes.shape[1]) + self._multiplies

    @property
    def _multiplies(self) -> bool:
        return self.log_scale_sd > 0 and not self.scale_on_surface

    @property
    def fixed(self) -> Mask:
        """Which of the errors are of place and outline."""
        is_fixed = np.ones(self.size, np.bool_)
        if self.log_scale_sd > 0:
            is_fixed[-1] = False
        return is_fixed

    @property
    def other_sd(self) -> float:
        """Standard deviation of what is neither place, outline nor scale: noise, and what the surface misses."""
        return float(np.hypot(self.noise.std(), self.missed))

    @cached_property
    def missed(self) -> float:
        """By how much the surface may be wrong: what it misses nodes by, and the run's own value differs from the moved region's by."""
        error = float(self.surface.error_sd[self.column])
        return math.hypot(error, self._off_surface) if self.fixed.any() else error

    @cached_property
    def _off_surface(self) -> float:
        """By how much the run's own value lies above the surface."""
        still = np.zeros((1, self.surface.nodes.shape[1]))
        return float(self.own - self.surface.at(still, self.column)[0])

    def at(self, points: Doubles) -> Doubles:
        """The metric at errors (k, size), without other errors; the run's own value at none."""
        place = points[:, :-1] if self._multiplies else points
        values = self.surface.at(place, self.column) + self._off_surface
        return np.asarray(values * np.exp(self.log_scale_sd * points[:, -1])) if self._multiplies else values

    def slope(self, point: Doubles) -> Doubles:
        """Its gradient there."""
        if not self._multiplies:
            return self.surface.slope(point, self.column)
        value, factor = self.at(point[None])[0], np.exp(self.log_scale_sd * point[-1])
        return np.append(self.surface.slope(point[:-1], self.column) * factor, value * self.log_scale_sd)

    def others(self, noise_scores: Doubles, surface_scores: Doubles) -> Doubles:
        """Other errors by normal scores: the noise as sampled, its tails normal, and what the surface misses."""
        from scipy.special import ndtri

        known = ndtri(np.arange(1, self.noise.size + 1) / (self.noise.size + 1))
        beyond = np.maximum(noise_scores - known[-1], 0) + np.minimum(noise_scores - known[0], 0)
        noise = np.interp(noise_scores, known, self.noise) + self.noise.std() * beyond
        return np.asarray(noise + self.missed * surface_scores)


@dataclass(frozen=True, eq=False)
class Confidence:
    """Distribution of confidence in the true value: candidates in rising order, and their normal scores."""

    values: Doubles
    scores: Doubles
    lowest: float
    highest: float

    def quantile(self, parts: ArrayLike) -> Doubles:
        """The values below which the truth lies with these confidences (0 to 1)."""
        from scipy.special import ndtri

        scores = np.asarray(ndtri(np.asarray(parts, float)))
        values = np.interp(scores, self.scores, self.values)
        values += self._rise(-1) * np.maximum(scores - self.scores[-1], 0)
        values += self._rise(0) * np.minimum(scores - self.scores[0], 0)
        return np.asarray(np.clip(values, self.lowest, self.highest))

    def below(self, value: float) -> float:
        """Confidence that the truth lies below a value."""
        from scipy.special import ndtr

        if value <= self.lowest:
            return 0.0
        if value > self.highest:
            return 1.0
        if value < self.values[0]:
            return float(ndtr(self.scores[0] + (value - self.values[0]) / self._rise(0))) if self._rise(0) else 0.0
        if value > self.values[-1]:
            return float(ndtr(self.scores[-1] + (value - self.values[-1]) / self._rise(-1))) if self._rise(-1) else 1.0
        return float(ndtr(np.interp(value, self.values, self.scores)))

    @property
    def mean_and_sd(self) -> tuple[float, float]:
        """Of the distribution."""
        values = self.quantile((np.arange(RANKS) + 0.5) / RANKS)
        return float(values.mean()), float(values.std())

    def _rise(self, end: int) -> float:
        """Rise of the value with the score from the middle to one end, by which tails go on."""
        middle = int(np.abs(self.scores).argmin())
        apart = self.scores[end] - self.scores[middle]
        return float((self.values[end] - self.values[middle]) / apart) if apart else 0.0


def confidence(response: Response, draws: Doubles, lowest: float = -np.inf, highest: float = np.inf) -> Confidence:
    """How far the truth of a metric may be from what was found.

    Parameters
    ----------
    response : Response
        Of the metric.
    draws : ndarray, (k, at least size + 2)
        Standard normal numbers: errors of what would be found, from each candidate; the last two are the other errors.
    lowest, highest : float
        Between which the metric lies by its nature.
    """
    from scipy.special import ndtri

    moved, others = draws[:, : response.size], response.others(draws[:, -2], draws[:, -1])
    count = len(draws)

    def score(point: Doubles, other: float) -> float:
        """Normal score of finding more than was found, if the candidate were true."""
        values = response.at(moved + point) + others + other
        more = np.count_nonzero(values > response.own) + np.count_nonzero(values == response.own) / 2
        return float(ndtri(np.clip(more / count, 0.5 / count, 1 - 0.5 / count)))

    still = np.zeros(response.size)
    candidates = [(float(response.own), score(still, 0.0))]
    for sign in (1, -1):
        for point, other, value in _path(response, sign):
            candidates.append((value, score(point, other)))
            if sign * candidates[-1][1] > ENOUGH:
                break
    values, scores = np.array(sorted(candidates)).T
    values -= response.noise_bias
    scores = np.maximum.accumulate(scores)
    # where errors as stated reach no lower or higher, the dose map has no lower or higher place
    if scores[0] > -ENOUGH:
        lowest = max(lowest, float(values[0]))
    if scores[-1] < ENOUGH:
        highest = min(highest, float(values[-1]))
    return Confidence(values, scores, lowest, highest)


def far_candidate(response: Response, sign: int, reach: float) -> Doubles:
    """Errors (size,) of a candidate for the truth so far up (or down) its path in standard deviations, or at its end."""
    at = np.zeros(response.size)
    for number, (point, _, _) in enumerate(_path(response, sign), 1):
        if number * STEP > reach:
            break
        at = point
    return at


def _path(response: Response, sign: int) -> Iterator[tuple[Doubles, float, float]]:
    """Errors of place, outline and scale, the other errors, and the metric, ever higher (or lower) from the run."""
    sd, size = response.other_sd, response.size
    free = np.ones(size + 1, np.bool_)
    at, last, gone, step = np.zeros(size + 1), response.own, 0.0, STEP

    def uphill(where: Doubles) -> Doubles:
        way = np.append(response.slope(where[:-1]), sd) * free
        length = float(np.linalg.norm(way))
        return sign * way / length if length else way

    while gone < FARTHEST:
        to = at + step * uphill(at + step / 2 * uphill(at))
        value = float(response.at(to[None, :-1])[0] + sd * to[-1])
        if sign * (value - last) > 0:
            at, last, gone = to, value, gone + step
            yield at[:-1], sd * at[-1], value
        elif step > SHORTEST:
            step /= 2
        elif free[:-1][response.fixed].any() and (response.log_scale_sd > 0 or sd > 0):
            free[:-1][response.fixed], step = False, STEP  # no place or outline gives more; the other errors do
        else:
            break
