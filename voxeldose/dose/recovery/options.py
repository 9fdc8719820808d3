"""What a user says of the scanner's resolution and of outlines."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from voxeldose.dose.recovery.scan import Noise, Psf
from voxeldose.errors import QuantityError

__all__ = ["Resolution"]

#: Widths of a scanner that are believed, mm.
NARROWEST_MM, WIDEST_MM = 2.0, 25.0
#: Filter width of noise as part of the blur's, where none is stated: 5 mm at 6.5 mm PET, 9 mm at 12 mm SPECT.
NOISE_PART = 0.77


@dataclass(frozen=True)
class Resolution:
    """Options of a recovery.

    Parameters
    ----------
    fwhm_mm : tuple of float
        Full widths at half maximum of the scanner's blur along k, j and i, without the mean over voxels; from a phantom scan with
        the patient's reconstruction, never from the patient's own image.
    method : str
        ``field``: sharp regions, texture, outlines and draws; ``rbv``: region-based voxelwise correction, without intervals;
        ``none``: nothing is recovered.
    fwhm_sd_fraction : float
        Relative standard deviation of the widths.
    noise_fwhm_mm : float, optional
        Of the filter that gives the image's noise its correlation; 0.77 of the blur without it.
    outlines : str
        ``fitted``: tumors are moved and grown onto the image within their prior; ``fixed``.
    shift_sd_mm, growth_sd_mm : float
        Prior standard deviations of outlines: place along each axis, and growth.
    draws : int
        Posterior draws, an even number.
    seed : int
        Of all random numbers; results do not depend on the number of threads.
    source : str
        Where the widths come from.
    second_fwhm_mm, second_weight
        A second Gaussian of the blur, for measured tails or overshoot.

    Raises
    ------
    QuantityError
        If a number cannot be.
    """

    fwhm_mm: tuple[float, float, float]
    method: Literal["field", "rbv", "none"] = "field"
    fwhm_sd_fraction: float = 0.08
    noise_fwhm_mm: float | None = None
    outlines: Literal["fitted", "fixed"] = "fitted"
    shift_sd_mm: float = 1.2
    growth_sd_mm: float = 1.0
    draws: int = 24
    seed: int = 1
    source: str = ""
    second_fwhm_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    second_weight: float = 0.0

    def __post_init__(self) -> None:
        for width in self.fwhm_mm:
            _require(NARROWEST_MM <= width <= WIDEST_MM, "fwhm_mm", width, f"{NARROWEST_MM:g} to {WIDEST_MM:g} mm")
        _require(0 <= self.fwhm_sd_fraction <= 0.5, "fwhm_sd_fraction", self.fwhm_sd_fraction, "0 to 0.5")
        noise = self.noise_fwhm_mm
        _require(noise is None or 0 < noise <= WIDEST_MM, "noise_fwhm_mm", noise, f"above 0, up to {WIDEST_MM:g} mm")
        _require(0 < self.shift_sd_mm <= 10, "shift_sd_mm", self.shift_sd_mm, "above 0, up to 10 mm")
        _require(0 < self.growth_sd_mm <= 10, "growth_sd_mm", self.growth_sd_mm, "above 0, up to 10 mm")
        _require(4 <= self.draws <= 256 and self.draws % 2 == 0, "draws", self.draws, "an even number, 4 to 256")
        _require(self.seed >= 0, "seed", self.seed, "0 or more")
        _require(-0.5 <= self.second_weight <= 0.5, "second_weight", self.second_weight, "-0.5 to 0.5")

    @property
    def psf(self) -> Psf:
        """The blur."""
        return Psf(self.fwhm_mm, self.second_fwhm_mm, self.second_weight)

    @property
    def noise(self) -> Noise:
        """The noise's correlation."""
        return Noise(self.noise_fwhm_mm or NOISE_PART * self.psf.mean_fwhm_mm)


def _require(holds: bool, key: str, value: object, needed: str) -> None:
    number = isinstance(value, (int, float)) and math.isfinite(value)
    if not (holds and (number or value is None)):
        msg = f"resolution.{key} must be {needed}; found {value}."
        raise QuantityError(msg, code="value-out-of-range", key=key, found=value)
