"""How the metrics of one region respond to errors: a moved and scaled region at nodes, and samples of noise."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.uncertainty.confidence import Confidence, Response, confidence, far_candidate
from voxeldose.dose.uncertainty.response_surface import Surface, even_normals

if TYPE_CHECKING:
    from voxeldose.dose.uncertainty.inputs import Spread
    from voxeldose.dose.uncertainty.recovery import Recovery
    from voxeldose.dose.uncertainty.region import MovingRegion
    from voxeldose.model.arrays import Doubles


__all__ = ["NoiseSamples", "RegionResponse", "ScaleErrors", "noise_of"]

#: Nodes for each error, their spread and limit in standard deviations: candidates for the truth lie as far from the run as the
#: run may lie from the truth, and what would be found from them lies as far again.
NODES_PER_ERROR, NODE_SPREAD, NODE_LIMIT = 32, 1.6, 4.0
#: How far up the paths further nodes lie, one for each metric and direction.
CANDIDATE_REACH = 2.4
#: Draws of what would be found around each candidate, for metrics and for points of the DVH; of shift along three axes, outline,
#: scale, noise and what surfaces miss.
DRAWS, CURVE_DRAWS, ERRORS = 512, 256, 7


@dataclass(frozen=True, eq=False)
class NoiseSamples:
    """Rows of metrics of a region: under each field of noise, and under each of the first fields and the next together."""

    single: Doubles
    paired: Doubles


@dataclass(frozen=True)
class ScaleErrors:
    """What multiplies every dose: the standard deviation of its logarithm, and a recovery curve that divides the mean."""

    log_sd: float
    recovery: Recovery | None = None


@dataclass(frozen=True, eq=False)
class RegionResponse:
    """Of one region: surfaces of its doses and of its coverages (points of its DVH too), and what noise does to each.

    ``base`` is what the voxels give without errors; ``noise_bias`` and ``noise`` (samples, each column in rising order) are of
    the same columns. Last among the doses is the recovered mean, where there is a recovery curve.
    """

    base: Doubles
    doses: Surface
    parts: Surface
    noise_bias: Doubles
    noise: Doubles
    recovered_bias: float
    recovered_noise: Doubles
    log_scale_sd: float
    recovery_sd: float
    draws: Doubles

    @classmethod
    def of(
        cls,
        region: MovingRegion,
        spread: Spread,
        scale: ScaleErrors,
        noisy: NoiseSamples | None,
        random: np.random.Generator,
    ) -> RegionResponse:
        """From the region, the errors of place, outline and scale, and samples of noise."""
        log_scale_sd, curve = scale.log_sd, scale.recovery
        base = region.measure(region.gy)
        size = 3 * bool(spread.registration_mm) + bool(region.contour_sd_mm) + bool(log_scale_sd)
        count = min(spread.samples, NODES_PER_ERROR * size)
        nodes = np.clip(NODE_SPREAD * even_normals(count, size, random), -NODE_LIMIT, NODE_LIMIT)
        nodes = np.concatenate([np.zeros((1, size)), nodes])
        bias, scatter = noise_of(base, noisy)
        per_gy = 1 / float(curve.at(region.ml)) if curve else 1.0
        rows = _rows_at(nodes, region, spread, scale)
        first = cls(
            base=base,
            doses=Surface.through(nodes[:, : size - bool(log_scale_sd)], rows[0]),
            parts=Surface.through(nodes, rows[1]),
            noise_bias=bias,
            noise=scatter,
            recovered_bias=float(bias[0]) * per_gy,
            recovered_noise=scatter[:, 0] * per_gy,
            log_scale_sd=log_scale_sd,
            recovery_sd=curve.relative_sd(region.ml) if curve else 0.0,
            draws=even_normals(DRAWS, ERRORS, random),
        )
        if size == bool(log_scale_sd):
            return first
        more = first.far_candidates(len(region.metrics.names))
        added = _rows_at(more, region, spread, scale)
        nodes, rows = np.concatenate([nodes, more]), [np.concatenate(pair) for pair in zip(rows, added, strict=True)]
        return replace(
            first,
            doses=Surface.through(nodes[:, : size - bool(log_scale_sd)], rows[0]),
            parts=Surface.through(nodes, rows[1]),
        )

    def far_candidates(self, count: int) -> Doubles:
        """Errors (k, size) at which each of the first ``count`` columns may be far above and below what was found.

        There the surfaces must be exact; otherwise a candidate for the truth that is a peak would be blunted.
        """
        responses = [self._response(column, float(self.base[column])) for column in range(count)]
        errors = [far_candidate(one, sign, CANDIDATE_REACH) for one in responses for sign in (1, -1)]
        return np.unique(np.clip(np.array(errors), -NODE_LIMIT, NODE_LIMIT).round(6), axis=0)

    def _response(self, column: int, own: float) -> Response:
        """Of one column."""
        last = self.doses.plane.shape[1] - 1  # the recovered mean is no column of the rows
        bias, noise = float(self.noise_bias[column]), self.noise[:, column]
        if column < last:
            return Response(self.doses, column, own, self.log_scale_sd, False, bias, noise)
        return Response(self.parts, column - last, own, self.log_scale_sd, True, bias, noise)

    def confidence(self, column: int, own: float, *, on_curve: bool = False) -> Confidence:
        """In the true value of one column (a point of the DVH's curve or not), where the run found ``own``."""
        response = self._response(column, own)
        if not response.scale_on_surface:
            return confidence(response, self.draws)
        return confidence(response, self.draws[:CURVE_DRAWS] if on_curve else self.draws, 0.0, 1.0)

    def recovered_confidence(self, own: float) -> Confidence:
        """In the true mean corrected by the recovery curve, whose own error multiplies it."""
        sd = float(np.hypot(self.log_scale_sd, self.recovery_sd))
        column = self.doses.plane.shape[1] - 1
        response = Response(self.doses, column, own, sd, False, self.recovered_bias, self.recovered_noise)
        return confidence(response, self.draws)

    def noise_moves(self, column: int) -> bool:
        """Whether noise moves this column by more than half of the standard deviation it gives."""
        return bool(abs(self.noise_bias[column]) > self.noise[:, column].std() / 2)


def _rows_at(nodes: Doubles, region: MovingRegion, spread: Spread, scale: ScaleErrors) -> list[Doubles]:
    """Doses (the recovered mean last) over their scale, and coverages, of the region moved and scaled by errors (k, size)."""
    log_scale_sd, curve = scale.log_sd, scale.recovery
    shifts = 3 * bool(spread.registration_mm)
    places = shifts + bool(region.contour_sd_mm)
    doses, parts = [], []
    for node in nodes:
        shift = spread.registration_mm * node[:shifts] if shifts else np.zeros(3)
        occupancy = region.moved(region.contour_sd_mm * float(node[shifts:places].sum()), shift)
        factor = math.exp(log_scale_sd * node[-1]) if log_scale_sd else 1.0
        row = region.measure(region.gy * np.float32(factor), occupancy)
        recovered = row[0] / float(curve.at(region.ml_of(occupancy))) if curve else row[0]
        doses.append(np.append(row[: region.metrics.doses], recovered) / factor)
        parts.append(row[region.metrics.doses :])
    return [np.array(doses), np.array(parts)]


def noise_of(base: Doubles, noisy: NoiseSamples | None) -> tuple[Doubles, Doubles]:
    """By how much noise moves each column on average, and how it scatters besides: samples in rising order.

    The bias is found on a dose that is noisy itself, and goes with it: where noise happened to raise a dose to a fraction of the
    volume, more noise lowers it more. A value less its bias therefore scatters more than the value does, by variance and
    covariance of the bias, and the samples are widened by as much. Pairs of noise fields that share a field with their
    neighbours give both (a double bootstrap with one draw); for a mean both are zero.
    """
    if noisy is None:
        return np.zeros(base.size), np.zeros((1, base.size))
    moves, both = noisy.single - base, noisy.paired - base
    bias = moves.mean(axis=0)
    scatter = np.sort(moves - bias, axis=0)
    count = len(both)
    first, second = moves[:count] - bias, moves[1 : count + 1] - bias
    # of two fields together beyond each alone; zero where noise adds up
    joint = both - moves[:count] - moves[1 : count + 1]
    joint -= joint.mean(axis=0)
    with_value = ((first + second) * joint).mean(axis=0) / 2
    of_bias = np.maximum((joint[:-1] * joint[1:]).mean(axis=0), 0)
    variance = scatter.var(axis=0)
    more = np.maximum(of_bias - 2 * with_value, 0) / np.where(variance > 0, variance, 1)
    return bias, scatter * np.sqrt(1 + more)
