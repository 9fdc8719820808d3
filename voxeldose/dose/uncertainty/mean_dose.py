"""Uncertainty of a region's mean dose from bare numbers: volume, recovery, calibration, with their correlations kept.

The formulas are those of the EANM guidance (Gear et al., Eur. J. Nucl. Med. Mol. Imaging 45 (2018) 2456-2474,
doi:10.1007/s00259-018-4136-7): a contour that is too large raises the volume, the counts in it and the recovery at once,
so the three are added before they are squared. All uncertainties are standard uncertainties (one sigma).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxeldose.errors import QuantityError
from voxeldose.geometry.smoothing import FWHM_PER_SIGMA

if TYPE_CHECKING:
    from voxeldose.dose.uncertainty.recovery import Recovery


__all__ = ["MeanDoseSpread", "diameter_sd_mm", "edge_response", "mean_dose_spread", "sphere_ml"]

GEAR = "Gear et al. 2018 (EANM), doi:10.1007/s00259-018-4136-7"


def sphere_ml(diameter_mm: float) -> float:
    """Volume of a sphere."""
    return math.pi * diameter_mm**3 / 6000


def diameter_sd_mm(voxel_mm: float, fwhm_mm: float, operator_mm: float = 0.0) -> float:
    """Standard uncertainty of a drawn diameter, ``u² = a²/6 + FWHM²/(4 ln 2) + operator²`` (Gear 2018).

    ``voxel_mm`` and ``fwhm_mm`` are of the image that the contour was drawn on.
    """
    if min(voxel_mm, fwhm_mm, operator_mm) < 0:
        msg = f"Lengths must be 0 mm or more, found {voxel_mm}, {fwhm_mm} and {operator_mm}."
        raise QuantityError(msg, code="value-out-of-range")
    return math.sqrt(voxel_mm**2 / 6 + fwhm_mm**2 / (4 * math.log(2)) + operator_mm**2)


def edge_response(diameter_mm: float, fwhm_mm: float, recovery: float) -> float:
    """``φ = d ln(counts) / d ln v`` of a uniform sphere blurred by a Gaussian, with this recovery in its own outline.

    The concentration at the edge over the mean inside: ``[erf(√2 r/σ) - 2σ/(r √(2π)) (1 - exp(-2r²/σ²))] / (2 RC)``.
    """
    if not (diameter_mm > 0 and fwhm_mm > 0 and recovery > 0):
        msg = f"Diameter, FWHM and recovery must be above 0, found {diameter_mm}, {fwhm_mm} and {recovery}."
        raise QuantityError(msg, code="value-out-of-range")
    r, sigma = diameter_mm / 2, fwhm_mm / FWHM_PER_SIGMA
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
        raise QuantityError(msg, code="value-out-of-range")
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
