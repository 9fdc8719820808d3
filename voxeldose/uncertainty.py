"""Uncertainty of the doses of a run: Monte Carlo over the voxels, and a budget of its terms.

Each sample draws one error of every kind and measures the regions anew: the scale (calibration, energy, shunt, timing), a
field of correlated noise carried through the dose kernel, a rigid shift of all regions, an outline too large or too small
for each region, and the recovery curve's parameters. Dose is linear in activity, so no sample needs a dose run: the scale is a number,
the noise one FFT with blur and kernel in one, and regions move over a dose that stays.

What a sample's errors do to a metric is taken off the run's own value (the basic bootstrap): noise and misplaced outlines
have already lowered a tumor's D95 once, so the truth lies above it by as much as they lower it once more.

The budget gives each term's own standard deviation without sampling: products for the scale, the norm of the adjoint for
the noise, five-point quadrature for outlines and shifts, which keeps what is not linear in them.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.case import Administered
from voxeldose.dvh import ROUNDING, Dvh
from voxeldose.errors import QuantityError
from voxeldose.metrics import COVERAGES_GY, FRACTIONS
from voxeldose.noise import NoiseField
from voxeldose.outlines import Outline
from voxeldose.propagation import diameter_sd_mm
from voxeldose.spread import REACH_SIGMAS, Condition, Distribution, Probability, RoiUncertainty, Term, Uncertainty

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from voxeldose.case import Assessment
    from voxeldose.grid import Grid
    from voxeldose.pipeline import Engine
    from voxeldose.propagation import Recovery
    from voxeldose.roi import Roi
    from voxeldose.spread import Spread
    from voxeldose.volume import FloatArray

    Doubles = npt.NDArray[np.float64]

__all__ = ["with_uncertainty"]

#: Found by rank p (n + 1), so that few samples make an interval wider and not narrower.
QUANTILES = (0.025, 0.5, 0.975)
#: Points of a DVH band.
BAND_POINTS = 61


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
    wanted = _Wanted.of(conditions)
    said: list[str] = []
    subjects = {name: _Subject.of(result, name, spread, wanted) for name in known}
    noise = NoiseField.of(result, engine, spread, list(subjects), said) if spread.has_noise else None
    scales = _scale_terms(result, spread, said)

    tell("uncertainty: budget")
    base = {n: s.measure(_gy(result, s)) for n, s in subjects.items()}
    budgets = {n: _budget(result, s, spread, scales, noise) for n, s in subjects.items()}

    drawn: dict[str, list[Doubles]] = {n: [] for n in subjects}
    volumes: dict[str, list[float]] = {n: [] for n in subjects}
    recoveries: list[tuple[float, float]] = []
    roots = np.random.SeedSequence(spread.seed).spawn(spread.samples)
    for number, root in enumerate(roots):
        if number % 25 == 0:
            tell(f"uncertainty: sample {number} of {spread.samples}")
        random = np.random.default_rng(root)
        scale = float(np.prod([1 + sd * random.standard_normal() for sd in scales.values()]))
        shift = random.standard_normal(3) * spread.registration_mm
        recoveries.append(_drawn_recovery(spread, random))
        field, drift = noise.draw(random) if noise else (None, 0.0)
        for name, subject in subjects.items():
            outline = random.standard_normal() * subject.contour_sd_mm
            gy = _gy(result, subject, field, noise)
            occupancy = subject.moved(outline, shift)
            drawn[name].append(subject.measure(gy * np.float32(scale / (1 + drift)), occupancy))
            volumes[name].append(float(occupancy.sum(dtype=np.float64)) * subject.voxel_ml)

    rois, probabilities = {}, []
    for name, subject in subjects.items():
        own = _reported(result, name, base[name], wanted)
        values = own - (np.array(drawn[name]) - base[name])
        values[:, wanted.is_fraction] = np.clip(values[:, wanted.is_fraction], 0, 1)
        rois[name] = _roi_result(
            result,
            subject,
            (own, values),
            (drawn[name], volumes[name], recoveries),
            float(base[name][0]),
            budgets[name],
            spread.recovery,
        )
        probabilities += _probabilities(name, conditions, wanted, values, rois[name])
    uncertainty = Uncertainty(
        samples=spread.samples,
        seed=spread.seed,
        inputs=_inputs(spread),
        rois=rois,
        probabilities=tuple(probabilities),
        assumptions=(*_assumptions(spread), *said),
        warnings=(*_warnings(result, spread), *_first_order_only(rois)),
        seconds=round(time.perf_counter() - started, 3),
    )
    record = replace(  # where whoever reads the result looks for what was assumed and what to beware of
        result.record,
        assumptions=(*result.record.assumptions, *uncertainty.assumptions),
        warnings=(*result.record.warnings, *uncertainty.warnings),
    )
    return replace(result, uncertainty=uncertainty, record=record)


@dataclass(frozen=True)
class _Wanted:
    """What is measured in every sample: the mean, doses to fractions, coverages, and points of the DVH."""

    fractions: tuple[float, ...]
    coverages_gy: tuple[float, ...]

    @classmethod
    def of(cls, conditions: tuple[Condition, ...]) -> _Wanted:
        asked = [c.metric for c in conditions]
        fractions = [float(m[1:-3]) / 100 for m in asked if m.startswith("d")]
        coverages = [float(m[1:-9]) for m in asked if m.startswith("v")]
        return cls(tuple(dict.fromkeys((*FRACTIONS, *fractions))), tuple(dict.fromkeys((*COVERAGES_GY, *coverages))))

    @property
    def names(self) -> list[str]:
        doses = [f"d{100 * f:g}_gy" for f in self.fractions]
        return ["mean_dose_gy", *doses, *(f"v{d:g}_fraction" for d in self.coverages_gy)]

    @property
    def size(self) -> int:
        return len(self.names) + BAND_POINTS

    @property
    def is_fraction(self) -> slice:
        """Coverages and the DVH's points."""
        return slice(1 + len(self.fractions), None)


@dataclass(frozen=True, eq=False)
class _Subject:
    """A region on a box of the dose grid with room to move, and the distance of each voxel from its outline."""

    name: str
    grid: Grid
    occupancy: FloatArray
    outline: Outline | None
    contour_sd_mm: float
    wanted: _Wanted
    band_gy: Doubles
    where: tuple[slice, slice, slice]

    @classmethod
    def of(cls, result: Assessment, name: str, spread: Spread, wanted: _Wanted) -> _Subject:
        roi, whole = result.regions[name], result.dose.grid
        contour = spread.contour_mm or _contour_by_resolution(result, roi, spread)
        reach = REACH_SIGMAS * (contour + spread.registration_mm)
        first = np.rint(whole.indices(roi.grid.points_lps_mm((0, 0, 0)))).astype(int)
        margin = np.ceil(reach / np.array(whole.spacing_mm)).astype(int)
        low = np.maximum(first - margin, 0)
        high = np.minimum(first + np.array(roi.grid.shape) + margin, whole.shape)
        grid = whole.window(low.tolist(), (high - low).tolist())
        occupancy = roi.on_window(grid)
        outline = Outline.of(occupancy, grid.spacing_mm) if reach else None
        if outline is not None:  # what moved outlines are compared with
            occupancy = outline.moved(0.0, np.zeros(3))
        band = np.linspace(0, 1.25 * max(result.rois[name].d2_gy, 1e-3), BAND_POINTS)
        return cls(name, grid, occupancy, outline, contour, wanted, band, whole.slices_of(grid))

    @property
    def voxel_ml(self) -> float:
        return self.grid.voxel_volume_ml

    def moved(self, outline_mm: float, shift_mm: npt.ArrayLike) -> FloatArray:
        """Occupancy with the outline moved outwards and the whole shifted."""
        if self.outline is None:
            return self.occupancy
        return self.outline.moved(outline_mm, shift_mm)

    def measure(self, gy: FloatArray, occupancy: FloatArray | None = None) -> Doubles:
        """All that is wanted, as one row."""
        dvh = Dvh(np.ascontiguousarray(gy), self.occupancy if occupancy is None else occupancy, self.voxel_ml)
        dose, volume = dvh.dose_gy, dvh.volume_ml
        total = volume[-1]
        ranks = np.searchsorted(volume, [f * total * (1 - ROUNDING) for f in self.wanted.fractions])
        above = np.searchsorted(-dose, -np.array([*self.wanted.coverages_gy, *self.band_gy]), side="right")
        covered = np.where(above > 0, volume[above - 1], 0) / total
        return np.array([dvh.mean_gy, *dose[np.minimum(ranks, dose.size - 1)], *covered])

    def mean_gy(self, gy: FloatArray, occupancy: FloatArray) -> float:
        """The mean alone."""
        return float(np.einsum("kji,kji->", gy, occupancy, dtype=np.float64) / occupancy.sum(dtype=np.float64))


def _contour_by_resolution(result: Assessment, roi: Roi, spread: Spread) -> float:
    """Half the uncertainty of a diameter, by the voxels that the region was drawn on and the resolution given."""
    if not spread.contour_fwhm_mm:
        return 0.0
    drawn = result.case.rois[roi.name].grid if roi.name in result.case.rois else roi.grid
    voxel = float(np.prod(drawn.spacing_mm)) ** (1 / 3)
    return diameter_sd_mm(voxel, spread.contour_fwhm_mm) / 2


def _gy(
    result: Assessment, subject: _Subject, field: FloatArray | None = None, noise: NoiseField | None = None
) -> FloatArray:
    gy = result.dose.gy[subject.where]
    if field is None or noise is None:
        return gy
    return gy + field[noise.grid.slices_of(subject.grid)]


def _scale_terms(result: Assessment, spread: Spread, said: list[str]) -> dict[str, float]:
    """Relative standard deviations of what multiplies every dose."""
    given = result.case.administration
    terms = {"calibration": spread.calibration_fraction, "energy and kernel": spread.energy_fraction}
    if spread.lung_shunt_sd:
        if isinstance(result.case.calibration, Administered):
            terms["lung shunt"] = spread.lung_shunt_sd / (1 - (given.lung_shunt_fraction or 0.0))
        else:
            said.append("The lung shunt is not used by absolute calibration, so its uncertainty changes no dose.")
    if spread.timing_h:
        terms["timing"] = spread.timing_h * math.log(2) / given.radionuclide.half_life_h
    return {name: value for name, value in terms.items() if value}


def _drawn_recovery(spread: Spread, random: np.random.Generator) -> tuple[float, float]:
    """B and c of a recovery curve drawn from its covariance, kept above zero; (0, 0) without a curve."""
    if spread.recovery is None:
        return 0.0, 0.0
    curve = spread.recovery
    drawn = random.multivariate_normal((curve.b_ml, curve.c), curve.covariance, method="eigh")
    return max(float(drawn[0]), 1e-3 * curve.b_ml), max(float(drawn[1]), 1e-3 * curve.c)


def _budget(
    result: Assessment, subject: _Subject, spread: Spread, scales: dict[str, float], noise: NoiseField | None
) -> tuple[Term, ...]:
    """Each term's own standard deviation of the mean dose (of the recovered mean where there is a curve), in Gy."""
    gy = _gy(result, subject)
    curve = spread.recovery if result.rois[subject.name].role == "tumor" else None

    def mean(outline: float, shift: tuple[float, ...]) -> float:
        occupancy = subject.moved(outline, shift)
        value = subject.mean_gy(gy, occupancy)
        return value / float(curve.at(occupancy.sum(dtype=np.float64) * subject.voxel_ml)) if curve else value

    still = (0.0, 0.0, 0.0)
    reported = result.rois[subject.name]
    per_gy = 1 / float(curve.at(reported.volume_ml)) if curve else 1.0
    nominal = reported.mean_dose_gy * per_gy
    found = {name: abs(nominal) * sd for name, sd in scales.items()}
    if noise is not None:
        occupancy = subject.grid.cut(subject.occupancy, noise.grid)
        found["noise"] = noise.sd_of_mean(occupancy, subject.mean_gy(gy, subject.occupancy)) * per_gy
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    weights = weights / weights.sum()
    if subject.contour_sd_mm:
        values = np.array([mean(float(x) * subject.contour_sd_mm, still) for x in nodes])
        name = "volume (outline and recovery)" if curve else "volume (outline)"
        found[name] = _sd(values, weights)
    if curve:
        ml = float(subject.occupancy.sum(dtype=np.float64)) * subject.voxel_ml
        found["recovery curve"] = abs(nominal) * curve.relative_sd(ml)
    if spread.registration_mm:
        variances = []
        for axis in np.eye(3) * spread.registration_mm:
            values = np.array([mean(0.0, tuple(float(x) * axis)) for x in nodes])
            variances.append(_sd(values, weights) ** 2)
        found["registration"] = math.sqrt(sum(variances))
    total = sum(v**2 for v in found.values()) or 1.0
    ordered = sorted(found.items(), key=lambda item: -item[1])
    return tuple(Term(name, sd, sd**2 / total) for name, sd in ordered)


def _sd(values: Doubles, weights: Doubles) -> float:
    middle = float(weights @ values)
    return math.sqrt(max(float(weights @ (values - middle) ** 2), 0.0))


def _reported(result: Assessment, name: str, base: Doubles, wanted: _Wanted) -> Doubles:
    """The run's own values where it has them (they know doses within voxels), else those of the voxels."""
    m = result.rois[name]
    return np.array(
        [float(getattr(m, n, b)) for n, b in zip(wanted.names, base, strict=False)] + list(base[len(wanted.names) :])
    )


def _roi_result(
    result: Assessment,
    subject: _Subject,
    found: tuple[Doubles, Doubles],
    drawn: tuple[list[Doubles], list[float], list[tuple[float, float]]],
    base_gy: float,
    budget: tuple[Term, ...],
    curve: Recovery | None,
) -> RoiUncertainty:
    """From the run's own values and the corrected ones; rows, volumes and recovery curves as drawn."""
    wanted, m = subject.wanted, result.rois[subject.name]
    own, values = found
    metrics = {name: _distribution(float(own[n]), values[:, n]) for n, name in enumerate(wanted.names)}
    recovery = None
    if curve is not None and m.role == "tumor":
        rows, volumes, curves = drawn
        recovery = float(curve.at(m.volume_ml))
        rc = np.array([1 - 1 / (1 + (v / b) ** c) for v, (b, c) in zip(volumes, curves, strict=True)])
        plain = subject.occupancy.sum(dtype=np.float64) * subject.voxel_ml
        error = np.array([row[0] for row in rows]) / rc - base_gy / float(curve.at(plain))
        metrics["mean_dose_recovered_gy"] = _distribution(m.mean_dose_gy / recovery, m.mean_dose_gy / recovery - error)
    band = np.quantile(values[:, len(wanted.names) :], QUANTILES, axis=0, method="weibull")
    band = np.minimum.accumulate(band, axis=1)  # a cumulative DVH never rises
    points = {"dose_gy": subject.band_gy, "low_fraction": band[0], "median_fraction": band[1], "high_fraction": band[2]}
    return RoiUncertainty(
        metrics=metrics,
        contour_sd_mm=subject.contour_sd_mm,
        recovery_coefficient=recovery,
        budget_of="mean_dose_recovered_gy" if recovery is not None else "mean_dose_gy",
        budget=budget,
        budget_sd_gy=math.sqrt(sum(t.sd_gy**2 for t in budget)),
        dominant=budget[0].name if budget else "nothing",
        dvh_band={key: tuple(round(float(v), 6) for v in row) for key, row in points.items()},
    )


def _distribution(value: float, values: Doubles) -> Distribution:
    low, middle, high = np.quantile(values, QUANTILES, method="weibull")
    mean, sd = float(values.mean()), float(values.std(ddof=1))
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
    name: str, conditions: tuple[Condition, ...], wanted: _Wanted, values: Doubles, found: RoiUncertainty
) -> list[Probability]:
    said = []
    for one in conditions:
        if one.roi != name or one.metric not in wanted.names:
            continue
        column = values[:, wanted.names.index(one.metric)]
        p = float(np.mean(column >= one.limit if one.at_least else column < one.limit))
        near = (p * column.size + 1) / (column.size + 2)  # so that 0 and 1 are not certain either (Laplace)
        error = math.sqrt(near * (1 - near) / column.size)
        value = found.metrics[one.metric].value
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
        "Uncertainties are normal, and independent but for what is named; scale errors are common to all regions.",
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
        "The errors of each sample are taken off the run's values: where errors lower a metric on average (noise and D95, "
        "shifts and a tumor's mean), the interval lies above the run's value by that bias, to first order."
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


def _first_order_only(rois: dict[str, RoiUncertainty]) -> list[str]:
    """Metrics that the errors move by much of their own spread: there the correction of the bias is rough."""
    said = []
    for name, one in rois.items():
        moved = [
            m for m in ("d98_gy", "d95_gy", "d90_gy", "d70_gy") if abs(one.metrics[m].bias) > one.metrics[m].sd / 2
        ]
        if moved:
            said.append(
                f"{name}: noise and edges move {', '.join(m.removesuffix('_gy').upper() for m in moved)} by more than half of "
                "their standard deviation; their intervals are right to first order only and hold the truth less often than "
                "they say. The mean bears more weight."
            )
    return said
