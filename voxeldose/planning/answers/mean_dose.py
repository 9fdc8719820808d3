"""Uncertainty of one region's mean dose from numbers alone, and recovery curves from spheres."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from voxeldose.dose.uncertainty.inputs import DEFAULT_ENERGY_FRACTION
from voxeldose.dose.uncertainty.mean_dose import GEAR, diameter_sd_mm, edge_response, mean_dose_spread, sphere_ml
from voxeldose.dose.uncertainty.recovery import Recovery, fit_recovery
from voxeldose.errors import InputError, QuantityError
from voxeldose.model.radionuclide import Y90

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from voxeldose.dose.uncertainty.mean_dose import MeanDoseSpread

__all__ = [
    "MeanDoseAnswer",
    "MeanDoseQuestion",
    "PhantomRun",
    "RecoveryAnswer",
    "Sphere",
    "answer_mean_dose",
    "answer_recovery",
    "answer_recovery_of_results",
]

#: No recovery curve rises faster with volume than with this power.
STEEPEST = 20.0

_TERMS = ("volume_terms", "recovery_fit", "calibration", "statistics", "energy", "timing")


@dataclass(frozen=True)
class MeanDoseQuestion:
    """A region's mean dose and the standard uncertainties of what it is from.

    Parameters
    ----------
    dose_gy : float
        Mean dose of the region.
    diameter_mm, volume_ml : float, optional
        Of the region as a sphere: one of the two.
    voxel_mm, fwhm_mm : float
        Voxel that the contour was drawn on; resolution of the emission image.
    contour_fwhm_mm : float, optional
        Resolution of the image that the contour was drawn on; ``fwhm_mm`` without it.
    diameter_sd_mm : float, optional
        In place of voxel and resolution.
    phi : float, optional
        ``d ln(counts) / d ln(volume)``; of a blurred sphere without it, which needs a recovery curve and ``fwhm_mm``.
    c2 : float
        Power of the volume in the S value.
    recovery_b_ml, recovery_c : float, optional
        The recovery curve ``1 - 1/(1 + (v/b)^c)``, with standard uncertainties and correlation.
    calibration, statistics, energy : float
        Relative standard uncertainties, below 1.
    timing_h : float
        Of the time between infusion and image.
    """

    dose_gy: float
    diameter_mm: float | None = None
    volume_ml: float | None = None
    voxel_mm: float = 0.0
    fwhm_mm: float = 0.0
    contour_fwhm_mm: float | None = None
    diameter_sd_mm: float | None = None
    phi: float | None = None
    c2: float = 1.0
    recovery_b_ml: float | None = None
    recovery_c: float | None = None
    recovery_b_sd_ml: float = 0.0
    recovery_c_sd: float = 0.0
    recovery_correlation: float = 0.0
    calibration: float = 0.0
    statistics: float = 0.0
    energy: float | None = None
    timing_h: float = 0.0

    def __post_init__(self) -> None:
        for name in ("calibration", "statistics", "energy"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                msg = (
                    f"--{name} is a relative standard uncertainty, at least 0 and below 1 (no percent), found {value}."
                )
                raise QuantityError(msg, code="value-out-of-range", key=name)
        if not self.dose_gy > 0 or self.timing_h < 0:
            msg = f"--dose-gy must be above 0 and --timing-h 0 or more, found {self.dose_gy} and {self.timing_h}."
            raise QuantityError(msg, code="value-out-of-range")
        if self.recovery_c is not None and self.recovery_c > STEEPEST:
            msg = f"--recovery-c is the power of a recovery curve, about 1; found {self.recovery_c}."
            raise QuantityError(msg, code="value-out-of-range", key="recovery_c")

    @property
    def recovery(self) -> Recovery | None:
        """The recovery curve, if one is given."""
        if self.recovery_b_ml is None or self.recovery_c is None:
            return None
        b_sd, c_sd = self.recovery_b_sd_ml, self.recovery_c_sd
        off = self.recovery_correlation * b_sd * c_sd
        return Recovery(self.recovery_b_ml, self.recovery_c, ((b_sd**2, off), (off, c_sd**2)))

    @property
    def sphere_mm(self) -> float:
        """Diameter of the region as a sphere."""
        if self.diameter_mm is not None:
            return self.diameter_mm
        if self.volume_ml is None:
            msg = "The region's diameter or volume is needed."
            raise QuantityError(msg, code="volume-missing")
        return float((6000 * max(self.volume_ml, 0.0) / math.pi) ** (1 / 3))


@dataclass(frozen=True)
class MeanDoseAnswer:
    """The standard uncertainty of a mean dose with its terms."""

    question: MeanDoseQuestion
    spread: MeanDoseSpread
    diameter_mm: float
    diameter_sd_mm: float
    recovery_coefficient: float | None

    def as_dict(self) -> dict[str, Any]:
        """The content that ``--json`` prints."""
        spread, asked = self.spread, self.question
        return {
            "schema": "voxeldose/uncertainty-mean/1",
            "dose_gy": asked.dose_gy,
            "sd_gy": abs(asked.dose_gy) * spread.total,
            "relative_sd": spread.total,
            "terms": {name: getattr(spread, name) for name in _TERMS},
            "dominant": spread.dominant,
            "diameter_mm": self.diameter_mm,
            "diameter_sd_mm": self.diameter_sd_mm,
            "volume_relative_sd": spread.volume,
            "recovery_coefficient": self.recovery_coefficient,
            "phi": spread.phi,
            "p": spread.p,
            "c2": spread.c2,
            "volume_terms_as_if_independent": spread.volume_terms_as_if_independent,
            "formula": "u(D)/D = |phi - p - c2| u(v)/v with u(v)/v = 3 u(d)/d, the other terms in quadrature",
            "constants": {"name": Y90.constants, "half_life_h": Y90.half_life_h, "source": Y90.source},
            "inputs": asdict(asked),
            "source": GEAR,
            "sources": [GEAR, Y90.source],
        }

    def lines(self) -> list[str]:
        """The uncertainty and its terms as text."""
        spread, dose_gy = self.spread, self.question.dose_gy
        total = f"{dose_gy:.4g} Gy ± {abs(dose_gy) * spread.total:.3g} Gy ({100 * spread.total:.2f} %, one sigma)"
        terms = [
            f"  {name:14s} {100 * getattr(spread, name):6.2f} %{'  <- largest' if name == spread.dominant else ''}"
            for name in _TERMS
        ]
        volume = (
            f"  volume alone {100 * spread.volume:.1f} %; φ {spread.phi:.3f}, p {spread.p:.3f}, c2 {spread.c2:g}; in "
            f"quadrature they would claim {100 * spread.volume_terms_as_if_independent:.1f} %"
        )
        return [total, *terms, volume, f"source: {GEAR}"]

    def notes(self) -> list[str]:
        """None."""
        return []


def answer_mean_dose(question: MeanDoseQuestion) -> MeanDoseAnswer:
    """Standard uncertainty of a region's mean dose by the EANM guidance, correlations kept.

    Raises
    ------
    QuantityError
        If a number is impossible, or ``phi`` is neither given nor can be computed.
    """
    diameter, curve = question.sphere_mm, question.recovery
    contour = question.fwhm_mm if question.contour_fwhm_mm is None else question.contour_fwhm_mm
    sd = question.diameter_sd_mm
    if sd is None:
        sd = diameter_sd_mm(question.voxel_mm, contour)
    phi = question.phi
    if phi is None:
        if curve is None or not question.fwhm_mm:
            msg = "phi is needed, or a recovery curve and fwhm_mm to compute it for a blurred sphere."
            raise QuantityError(msg, code="edge-response-missing")
        phi = edge_response(diameter, question.fwhm_mm, float(curve.at(sphere_ml(diameter))))
    spread = mean_dose_spread(
        diameter,
        sd,
        phi=phi,
        recovery=curve,
        c2=question.c2,
        calibration=question.calibration,
        statistics=question.statistics,
        energy=DEFAULT_ENERGY_FRACTION if question.energy is None else question.energy,
        timing=question.timing_h * math.log(2) / Y90.half_life_h,
    )
    recovered = float(curve.at(sphere_ml(diameter))) if curve else None
    return MeanDoseAnswer(question, spread, diameter, sd, recovered)


@dataclass(frozen=True)
class Sphere:
    """Volume of a sphere, measured over true concentration, and the standard uncertainty of that."""

    volume_ml: float
    recovery: float
    sd: float


@dataclass(frozen=True)
class PhantomRun:
    """Which spheres of a phantom run, and their true concentration at the infusion instant.

    ``name`` is that of the results; ``rois`` are the spheres, every tumor without them.
    """

    name: str
    true_mbq_per_ml: float
    true_sd_fraction: float = 0.02
    rois: tuple[str, ...] = ()


@dataclass(frozen=True)
class RecoveryAnswer:
    """The curve through measured spheres."""

    spheres: tuple[Sphere, ...]
    curve: Recovery
    run: PhantomRun | None

    @property
    def b_sd_ml(self) -> float:
        """Standard uncertainty of b."""
        return float(self.curve.covariance[0][0] ** 0.5)

    @property
    def c_sd(self) -> float:
        """Standard uncertainty of c."""
        return float(self.curve.covariance[1][1] ** 0.5)

    @property
    def correlation(self) -> float:
        """Of b and c."""
        (bb, bc), (_, cc) = self.curve.covariance
        return bc / (bb * cc) ** 0.5 if bb * cc > 0 else 0.0

    @property
    def fitted(self) -> tuple[float, ...]:
        """The curve at each sphere."""
        return tuple(float(self.curve.at(sphere.volume_ml)) for sphere in self.spheres)

    def as_dict(self) -> dict[str, Any]:
        """The content that ``--json`` prints."""
        run = self.run
        return {
            "schema": "voxeldose/recovery/1",
            "spheres": [asdict(sphere) for sphere in self.spheres],
            "b_ml": self.curve.b_ml,
            "c": self.curve.c,
            "b_sd_ml": self.b_sd_ml,
            "c_sd": self.c_sd,
            "correlation": self.correlation,
            "fitted": list(self.fitted),
            "formula": "RC(v) = 1 - 1/(1 + (v/b)^c)",
            "constants": {},
            "inputs": {
                "results": run.name if run else None,
                "true_mbq_per_ml": run.true_mbq_per_ml if run else None,
                "true_sd_fraction": run.true_sd_fraction if run else None,
                "rois": list(run.rois) if run else [],
            },
            "sources": [GEAR],
        }

    def lines(self) -> list[str]:
        """The curve at each sphere as text, and the line for a case file."""
        rows = [
            f"  {sphere.volume_ml:8.3f} mL: measured {sphere.recovery:.3f} ± {sphere.sd:.3f}, curve {fitted:.3f}"
            for sphere, fitted in zip(self.spheres, self.fitted, strict=True)
        ]
        key = (
            f"recovery = {{ b_ml = {self.curve.b_ml:.5g}, c = {self.curve.c:.5g}, b_sd_ml = {self.b_sd_ml:.3g}, "
            f"c_sd = {self.c_sd:.3g}, correlation = {self.correlation:.4f} }}"
        )
        return [*rows, "For the case file, under [uncertainty]:", key]

    def notes(self) -> list[str]:
        """None."""
        return []


def answer_recovery(spheres: Sequence[Sphere], run: PhantomRun | None = None) -> RecoveryAnswer:
    """The recovery curve through three or more spheres; ``run`` says which run they are of.

    Raises
    ------
    QuantityError
        If the spheres do not give a curve.
    """
    curve = fit_recovery([(s.volume_ml, s.recovery, s.sd) for s in spheres])
    return RecoveryAnswer(tuple(spheres), curve, run)


def answer_recovery_of_results(results: Path, run: PhantomRun) -> RecoveryAnswer:
    """The recovery curve through the spheres of a phantom run, from its results folder.

    Raises
    ------
    InputError
        If the results cannot be read, the run is not calibrated absolutely, or a sphere is not among its regions.
    QuantityError
        If the spheres do not give a curve.
    """
    from voxeldose.io.results.content import read_content
    from voxeldose.io.results.manifest import read_manifest

    content = read_content(results)
    manifest, _ = read_manifest(results if results.is_dir() else results.parent)
    rois: Mapping[str, Any] = content["rois"]
    if manifest["case"]["dose"]["calibration"] != "absolute":
        msg = f"{results}: the run is calibrated to an administered activity; recovery needs calibration = absolute."
        raise InputError(msg, code="calibration-not-absolute")
    wanted = run.rois or tuple(n for n, r in rois.items() if r["role"] == "tumor")
    missing = [n for n in wanted if n not in rois]
    if missing:
        msg = f"{results}: there is no ROI {', '.join(missing)}; there are {', '.join(rois)}."
        raise InputError(msg, code="region-unknown")
    return answer_recovery([_sphere(rois[name], run) for name in wanted], run)


def _sphere(roi: Mapping[str, Any], run: PhantomRun) -> Sphere:
    measured = roi["activity_mbq"] / roi["volume_ml"] / run.true_mbq_per_ml
    return Sphere(float(roi["volume_ml"]), float(measured), float(abs(measured) * run.true_sd_fraction))
