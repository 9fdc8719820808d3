"""Posterior draws of the activity, and the numbers of regions in each.

Noise widens a DVH and the most likely map narrows it; only draws have the right width. Draws come in pairs of opposite sign.
Afterwards each region is scaled so that the mean of the draws reproduces the image, which takes out what the logarithm biases.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from voxeldose.dose.engines.threads import processors
from voxeldose.dose.recovery.shapes import AT_REST, OUTSIDE, Motion
from voxeldose.dose.recovery.spectra import apply, block_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from voxeldose.dose.recovery.fit import Fit
    from voxeldose.model.arrays import Doubles, Floats

__all__ = ["Draw", "draw_activity", "mapped"]

T = TypeVar("T")
R = TypeVar("R")

#: Prior standard deviation of the factor that each region is scaled by, and voxels that share their noise.
FACTOR_SD, SHARED = 0.1, 8.0


@dataclass(frozen=True, eq=False)
class Draw:
    """One possible truth.

    Parameters
    ----------
    activity : ndarray, float32
        On the fine box, in the scan's units.
    motions : dict
        Of every lesion, from where it was drawn.
    held : dict
        What every region holds, cores with their lesion: activity times, and number of, fine voxels.
    """

    activity: Floats
    motions: dict[str, Motion]
    held: dict[str, tuple[float, float]]

    def motion(self, name: str) -> Motion:
        """Of one region."""
        return self.motions.get(name, AT_REST)


def mapped(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """``work`` on each item, in threads; each result depends on its item alone, so their number changes nothing."""
    threads = min(processors(), len(items))
    if threads <= 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, items))


def draw_activity(fit: Fit, pairs: int, seed: int) -> list[Draw]:
    """Pairs of draws around a fit; the first pairs are the same whatever their number."""
    model, state, system = fit.model, fit.state, fit.system
    system.prepare()

    def pair(number: int) -> list[tuple[Floats, Doubles, dict[str, Motion]]]:
        deviation = system.draw(np.random.default_rng([seed, number]))
        found = []
        for sign in (1, -1):
            drawn = replace(
                state,
                means=state.means + sign * deviation.means,
                motion_mm=state.motion_mm + sign * deviation.motion_mm,
                fields=tuple(g + np.float32(sign) * d for g, d in zip(state.fields, deviation.fields, strict=True)),
            )
            activity, held = model.activity(drawn)
            found.append((activity, held, model.motions(drawn.motion_mm)))
        return found

    drawn = [d for both in mapped(pair, range(pairs)) for d in both]
    mean = np.asarray(np.mean([d[0] for d in drawn], axis=0, dtype=np.float32))
    factors = _balance(fit, mean)
    total = np.zeros_like(mean)
    for mask, factor in zip(fit.linear.masks, factors, strict=True):
        total += np.float32(factor) * mask
    parents = [r.parent or r.name for r in model.partition.regions] + [OUTSIDE]
    return [
        Draw(activity * total, motions, merged(parents, held * np.stack((factors, np.ones_like(factors)), axis=1)))
        for activity, held, motions in drawn
    ]


def merged(names: Sequence[str], held: Doubles) -> dict[str, tuple[float, float]]:
    """What regions hold, added up where they have one name."""
    found: dict[str, tuple[float, float]] = {}
    for name, (activity, volume) in zip(names, held.tolist(), strict=True):
        before = found.get(name, (0.0, 0.0))
        found[name] = (before[0] + activity, before[1] + volume)
    return found


def _balance(fit: Fit, mean: Floats) -> Doubles:
    """By how much to scale each region so that the mean of the draws reproduces the image region by region."""
    scan = fit.model.scan
    columns = np.stack(
        [block_mean(apply(mean * m, scan.fine_blur), scan.factor).ravel() for m in fit.linear.masks]
    ).astype(np.float64)
    weighted = columns / (SHARED * np.square(fit.system.deviation.astype(np.float64)).ravel())
    square = weighted @ columns.T + np.eye(len(columns)) / FACTOR_SD**2
    return np.asarray(np.linalg.solve(square, weighted @ scan.image.ravel() + 1 / FACTOR_SD**2))
