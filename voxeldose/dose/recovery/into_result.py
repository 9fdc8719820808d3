"""Recovered numbers put into a run: what its limits and probabilities are about from then on."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from voxeldose.dose.limits import with_best_values
from voxeldose.dose.recovery.results import half_of_interval
from voxeldose.model.best_value import best_value
from voxeldose.model.remarks import Remark

if TYPE_CHECKING:
    from voxeldose.model.assessment import Assessment, Probability, Uncertainty
    from voxeldose.model.best_value import BestValue
    from voxeldose.model.recovered import Recovered

__all__ = ["with_recovered"]

#: What an uncertainty says of blur that nothing corrects.
NOT_CORRECTED = "recovery-missing"


def with_recovered(result: Assessment, found: Recovered | None) -> Assessment:
    """A result with its recovered numbers, which its thresholds and probabilities are then about.

    What was assumed for them and what to doubt stands with the run's own. Numbers of regions, curves and dose.nii.gz stay those
    of the image. A probability of a number that was recovered is by Student's t of its interval; where it has no interval the
    probability is not known any more and is left out.
    """
    if found is None:
        return result
    result = replace(result, recovered=found)
    words = (
        "Where a number was recovered, it is the one that limits, probabilities, T/N and first lines of reports use, with the image's "
        "own beside it. Tables, curves and dose.nii.gz are of the image as it is; the recovered mean dose map is "
        "dose_recovered.nii.gz, whose own DVH is narrower than the recovered numbers."
    )
    remarks = [Remark("recovered-numbers-beside", {"method": found.method}, words)]
    uncertainty, unknown = _with_probabilities(result, found) if result.uncertainty is not None else (None, None)
    remarks += [unknown] if unknown is not None else []
    record = replace(
        result.record,
        assumptions=(*result.record.assumptions, *found.assumptions, *remarks),
        warnings=(*(w for w in result.record.warnings if w.code != NOT_CORRECTED), *found.warnings),
        timings_s={**result.record.timings_s, "recovering resolution": round(found.seconds, 4)},
    )
    return with_best_values(replace(result, record=record, uncertainty=uncertainty))


def _with_probabilities(result: Assessment, found: Recovered) -> tuple[Uncertainty | None, Remark | None]:
    """The uncertainty with probabilities of recovered numbers in place of the image's, and which are not known."""
    if result.uncertainty is None:
        return None, None
    draws = int(str(found.facts.get("draws", 0)))
    kept: list[Probability] = []
    unknown: list[str] = []
    for row in result.uncertainty.probabilities:
        best = best_value(result, row.roi, row.metric)
        if best.kind != "recovered":
            kept.append(row)
        elif (new := _probability(row, best, draws)) is not None:
            kept.append(new)
        else:
            unknown.append(f"{row.roi} {row.metric}")
    warnings = tuple(w for w in result.uncertainty.warnings if w.code != NOT_CORRECTED)
    remark = None
    if unknown:
        names = ", ".join(dict.fromkeys(unknown))
        sentence = f"No probability is given for {names}: recovered by a method that knows no interval."
        remark = Remark("probability-not-known", {"numbers": names}, sentence)
    return replace(result.uncertainty, probabilities=tuple(kept), warnings=warnings), remark


def _probability(row: Probability, best: BestValue, draws: int) -> Probability | None:
    """Confidence in a condition by the interval of a recovered number; ``None`` without one."""
    from scipy.special import stdtr

    if best.value is None or best.low is None or best.high is None or draws < 2:
        return None
    half = max(best.high - best.value, best.value - best.low)  # one end may be cut at 0 or 1
    if half <= 0:
        return None
    pairs = draws // 2
    scores = (best.value - row.limit) / half * half_of_interval(pairs)
    above = float(stdtr(max(pairs, 2), scores))
    p = above if row.sense == "at least" else 1 - above
    near = (p * draws + 1) / (draws + 2)  # so that 0 and 1 are not certain either (Laplace)
    error = math.sqrt(near * (1 - near) / draws)
    return replace(row, value=best.value, probability=p, standard_error=error, kind="recovered")
