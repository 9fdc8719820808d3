"""Uncertainty of a region's mean dose from bare numbers: volume, recovery, calibration, with their correlations kept.

The formulas are those of the EANM guidance (Gear et al., Eur. J. Nucl. Med. Mol. Imaging 45 (2018) 2456-2474,
doi:10.1007/s00259-018-4136-7): a contour that is too large raises the volume, the counts in it and the recovery at once,
so the three are added before they are squared. All uncertainties are standard uncertainties (one sigma).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.errors import QuantityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

__all__ = [
    "MeanDoseSpread",
    "Recovery",
    "diameter_sd_mm",
    "edge_response",
    "fit_recovery",
    "mean_dose_spread",
    "sphere_ml",
]

GEAR = "Gear et al. 2018 (EANM), doi:10.1007/s00259-018-4136-7"


@dataclass(frozen=True)
class Recovery:
    """Recovery of a hot sphere by its volume, ``RC(v) = 1 - 1/(1 + (v/b)^c)``.

    Parameters
    ----------
    b_ml, c : float
        Volume of half recovery, and steepness.
    covariance : tuple of tuple of float
        Of (b, c); zero where the curve is taken as exact.
    source : str
        Where it was measured.
    """

    b_ml: float
    c: float
    covariance: tuple[tuple[float, float], tuple[float, float]] = ((0.0, 0.0), (0.0, 0.0))
    source: str = "given by the user"

    def __post_init__(self) -> None:
        if not (self.b_ml > 0 and self.c > 0 and math.isfinite(self.b_ml * self.c)):
            msg = f"A recovery curve needs b and c above 0, found {self.b_ml} mL and {self.c}."
            raise QuantityError(msg)
        matrix = np.array(self.covariance, float)
        if matrix.shape != (2, 2) or np.abs(matrix - matrix.T).max() > 1e-9 * (1 + np.abs(matrix).max()):
            msg = f"The covariance of b and c must be a symmetric 2 x 2 matrix, found {self.covariance}."
            raise QuantityError(msg)
        if np.linalg.eigvalsh(matrix).min() < -1e-9 * (1 + np.abs(matrix).max()):
            msg = f"The covariance of b and c is impossible (a correlation above 1), found {self.covariance}."
            raise QuantityError(msg)

    def at(self, volume_ml: float | npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Recovery of a sphere of that volume."""
        return np.asarray(1 - 1 / (1 + (np.asarray(volume_ml) / self.b_ml) ** self.c))

    def exponent(self, volume_ml: float) -> float:
        """``p = d ln RC / d ln v``."""
        return self.c * (1 - float(self.at(volume_ml)))

    def relative_sd(self, volume_ml: float) -> float:
        """``u(RC)/RC`` by the covariance of the fit."""
        lost = 1 - float(self.at(volume_ml))
        slope = np.array([-self.c * lost / self.b_ml, lost * math.log(volume_ml / self.b_ml)])
        return float(np.sqrt(max(slope @ np.array(self.covariance) @ slope, 0.0)))


def fit_recovery(spheres: Sequence[tuple[float, float, float]], source: str = "fit to spheres") -> Recovery:
    """The recovery curve through measured spheres.

    Parameters
    ----------
    spheres : sequence of (float, float, float)
        Volume in mL, recovery (0 to 1), and its standard uncertainty, of at least three spheres.
    source : str
        Where they were measured.

    Returns
    -------
    Recovery
        With the covariance of the weighted least-squares fit; it is widened where the spheres scatter more than their
        uncertainties say (reduced chi-square above 1).

    Raises
    ------
    QuantityError
        For fewer than three spheres, values outside their ranges, or a fit that does not settle.
    """
    from scipy.optimize import curve_fit

    table = np.array(spheres, float)
    if table.ndim != 2 or table.shape[1] != 3 or len(table) < 3:
        msg = f"At least three spheres, each (volume mL, recovery, its uncertainty), are needed; found {list(spheres)}."
        raise QuantityError(msg)
    volume, recovery, sd = table.T
    if not ((volume > 0).all() and (recovery > 0).all() and (recovery < 1.2).all() and (sd > 0).all()):
        msg = f"Volumes and uncertainties must be above 0 and recoveries between 0 and 1.2; found {list(spheres)}."
        raise QuantityError(msg)

    def curve(v: npt.NDArray[np.float64], log_b: float, log_c: float) -> npt.NDArray[np.float64]:
        return np.asarray(1 - 1 / (1 + (v / np.exp(log_b)) ** np.exp(log_c)))

    try:
        logs, found = curve_fit(curve, volume, recovery, p0=(0.0, 0.0), sigma=sd, absolute_sigma=True, maxfev=5000)
    except (RuntimeError, ValueError) as error:
        msg = "No recovery curve 1 - 1/(1 + (v/b)^c) fits these spheres; check volumes (mL) and recoveries (0 to 1)."
        raise QuantityError(msg) from error
    b, c = np.exp(logs)
    chi = float((((recovery - curve(volume, *logs)) / sd) ** 2).sum() / (len(table) - 2))
    turn = np.diag([b, c])
    matrix = turn @ found @ turn * max(chi, 1.0)
    if not np.isfinite(matrix).all():
        msg = "The spheres do not determine a recovery curve; give more sizes."
        raise QuantityError(msg)
    off = float(matrix[0, 1])
    return Recovery(float(b), float(c), ((float(matrix[0, 0]), off), (off, float(matrix[1, 1]))), source)


def sphere_ml(diameter_mm: float) -> float:
    """Volume of a sphere."""
    return math.pi * diameter_mm**3 / 6000


def diameter_sd_mm(voxel_mm: float, fwhm_mm: float, operator_mm: float = 0.0) -> float:
    """Standard uncertainty of a drawn diameter, ``u² = a²/6 + FWHM²/(4 ln 2) + operator²`` (Gear 2018).

    ``voxel_mm`` and ``fwhm_mm`` are of the image that the contour was drawn on.
    """
    if min(voxel_mm, fwhm_mm, operator_mm) < 0:
        msg = f"Lengths must be 0 mm or more, found {voxel_mm}, {fwhm_mm} and {operator_mm}."
        raise QuantityError(msg)
    return math.sqrt(voxel_mm**2 / 6 + fwhm_mm**2 / (4 * math.log(2)) + operator_mm**2)


def edge_response(diameter_mm: float, fwhm_mm: float, recovery: float) -> float:
    """``φ = d ln(counts) / d ln v`` of a uniform sphere blurred by a Gaussian, with this recovery in its own outline.

    The concentration at the edge over the mean inside: ``[erf(√2 r/σ) - 2σ/(r √(2π)) (1 - exp(-2r²/σ²))] / (2 RC)``.
    """
    if not (diameter_mm > 0 and fwhm_mm > 0 and recovery > 0):
        msg = f"Diameter, FWHM and recovery must be above 0, found {diameter_mm}, {fwhm_mm} and {recovery}."
        raise QuantityError(msg)
    r, sigma = diameter_mm / 2, fwhm_mm / math.sqrt(8 * math.log(2))
    edge = math.erf(math.sqrt(2) * r / sigma)
    edge -= 2 * sigma / (r * math.sqrt(2 * math.pi)) * (1 - math.exp(-2 * (r / sigma) ** 2))
    return edge / (2 * recovery)


@dataclass(frozen=True)
class MeanDoseSpread:
    """Relative standard uncertainties of a mean dose, term by term.

    ``volume_terms`` is the net of counts, recovery and mass, which one wrong contour changes together;
    ``volume_terms_as_if_independent`` is what adding them in quadrature would claim.
    """

    volume: float
    volume_terms: float
    volume_terms_as_if_independent: float
    recovery_fit: float
    calibration: float
    statistics: float
    energy: float
    timing: float
    phi: float
    p: float
    c2: float

    @property
    def total(self) -> float:
        """All terms together."""
        terms = (self.volume_terms, self.recovery_fit, self.calibration, self.statistics, self.energy, self.timing)
        return math.sqrt(sum(t**2 for t in terms))

    @property
    def dominant(self) -> str:
        """The name of the largest term."""
        names = ("volume_terms", "recovery_fit", "calibration", "statistics", "energy", "timing")
        return max(names, key=lambda name: float(getattr(self, name)))


def mean_dose_spread(
    diameter_mm: float,
    diameter_sd: float,
    *,
    phi: float,
    recovery: Recovery | None = None,
    c2: float = 1.0,
    calibration: float = 0.0,
    statistics: float = 0.0,
    energy: float = 0.0,
    timing: float = 0.0,
) -> MeanDoseSpread:
    """Relative uncertainty of the mean dose to a sphere-like region, ``D = Ã S``, ``A = C / (Q R)``, ``S ∝ v^-c2``.

    Parameters
    ----------
    diameter_mm, diameter_sd : float
        Of the region, and its standard uncertainty (:func:`diameter_sd_mm`).
    phi : float
        ``d ln(counts) / d ln v`` (:func:`edge_response`).
    recovery : Recovery, optional
        The curve that the dose was corrected by; none without it.
    c2 : float
        Power of the volume in the S value; 1 where all energy stays inside.
    calibration, statistics, energy, timing : float
        Relative standard uncertainties of calibration factor (or administered activity), counts, energy per decay
        and kernel, and decay over an uncertain time.
    """
    if not (diameter_mm > 0 and diameter_sd >= 0):
        msg = f"The diameter must be above 0 and its uncertainty 0 or more, found {diameter_mm} and {diameter_sd} mm."
        raise QuantityError(msg)
    ml = sphere_ml(diameter_mm)
    p = recovery.exponent(ml) if recovery else 0.0
    relative = 3 * diameter_sd / diameter_mm
    return MeanDoseSpread(
        volume=relative,
        volume_terms=abs(phi - p - c2) * relative,
        volume_terms_as_if_independent=math.sqrt(phi**2 + p**2 + c2**2) * relative,
        recovery_fit=recovery.relative_sd(ml) if recovery else 0.0,
        calibration=calibration,
        statistics=statistics,
        energy=energy,
        timing=timing,
        phi=phi,
        p=p,
        c2=c2,
    )
