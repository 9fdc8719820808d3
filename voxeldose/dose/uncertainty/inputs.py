"""What is uncertain and by how much (``Spread``), and conditions whose probability is wanted."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from voxeldose.errors import QuantityError
from voxeldose.model.metric import Metric

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxeldose.dose.uncertainty.presets import PresetUsed
    from voxeldose.dose.uncertainty.recovery import Recovery

__all__ = ["DEFAULT_ENERGY_FRACTION", "REACH_SIGMAS", "Condition", "Spread"]

#: DDEP and ICRP 107 differ by 0.7 % in the mean energy per decay of Y-90; the kernel's range adds little to a mean dose.
DEFAULT_ENERGY_FRACTION = 0.007

_CONDITION = re.compile(
    r"\s*(.+)\.(mean(?:_dose_gy)?|[dv]\d+(?:\.\d+)?(?:_gy|_fraction)?)\s*(>=|<)\s*([-+.\deE]+)\s*", re.IGNORECASE
)

#: Above these an entry is a slip of unit or digits (judgement): samples, hours, mm, and multiples of normal liver.
_MOST: Mapping[str, float] = {
    "samples": 1_000_000,
    "seed": 2**63 - 1,
    "timing_h": 1000,
    "noise_fraction": 100,
    "noise_fwhm_mm": 200,
    "noise_floor": 100,
    "registration_mm": 100,
    "contour_mm": 100,
    "contour_fwhm_mm": 100,
}

#: Regions are followed this many standard deviations of shift and outline.
REACH_SIGMAS = 4.0


@dataclass(frozen=True)
class Condition:
    """Something that a region may meet: a metric at least, or below, a limit."""

    roi: str
    metric: str
    at_least: bool
    limit: float
    source: str = "asked for"

    @classmethod
    def parse(cls, words: str) -> Condition:
        """From words such as ``lesion_1.d95 >= 400`` or ``normal_liver.mean < 75``.

        Raises
        ------
        QuantityError
            If the words are not ROI.METRIC >= NUMBER or < NUMBER.
        """
        match = _CONDITION.fullmatch(words)
        metric = Metric.parse(match[2]) if match else None
        try:
            limit = float(match[4]) if match else math.nan
        except ValueError:
            limit = math.nan
        if match is None or metric is None or not metric.is_possible or not math.isfinite(limit):
            msg = f"{words!r} is no condition; write ROI.METRIC >= NUMBER or < NUMBER, as in lesion_1.d95>=400 (mean, dX, vX)."
            raise QuantityError(msg, code="condition-not-understood", text=words)
        if metric.is_fraction and not 0 <= limit <= 1:
            msg = f"{words!r}: {metric.key} is a fraction from 0 to 1."
            raise QuantityError(msg, code="value-out-of-range", found=limit, needed="0 to 1")
        return cls(match[1].strip(), metric.key, match[3] == ">=", limit)


@dataclass(frozen=True)
class Spread:
    """Standard uncertainties (one sigma) of what goes into a dose; 0 leaves a source out.

    Parameters
    ----------
    samples, seed : int
        How many Monte Carlo samples of noise (and at most how many of wrong places), and where their random numbers start.
    calibration_fraction : float
        Of the administered activity (or of the scanner's Bq/mL with absolute calibration).
    energy_fraction : float
        Of energy per decay and kernel.
    lung_shunt_sd : float
        Of the lung shunt fraction; changes the liver's activity where that is administered less shunt.
    timing_h : float
        Of the time between infusion and the instant of the activity.
    noise_fraction : float
        Standard deviation of a voxel where the concentration is that of the normal liver, as part of it. It grows with
        the square root of the concentration.
    noise_fwhm_mm : float
        Over which neighbouring voxels share their noise.
    noise_region : str
        In place of ``noise_fraction``: name of an ROI taken as even, whose own scatter is measured (differences of uptake
        in it then count as noise).
    noise_floor : float
        Variance where there is no activity, as part of that in normal liver.
    registration_mm : float
        Of a rigid shift between regions and activity, along each axis.
    contour_mm : float
        Of the distance between a drawn and the true outline, the same all around a region.
    contour_fwhm_mm : float
        In place of ``contour_mm``: resolution of the image that contours were drawn on, from which, with its voxels,
        the EANM guidance takes the outline's uncertainty.
    recovery : Recovery, optional
        Recovery by volume; corrects the means of tumors; the uncorrected ones are reported too.
    conditions : tuple of Condition
        Conditions whose probability is wanted, besides the published thresholds of the device.
    presets : tuple of PresetUsed
        Published sets that some of the values above are from.
    """

    samples: int = 500
    seed: int = 1
    calibration_fraction: float = 0.0
    energy_fraction: float = DEFAULT_ENERGY_FRACTION
    lung_shunt_sd: float = 0.0
    timing_h: float = 0.0
    noise_fraction: float = 0.0
    noise_fwhm_mm: float = 0.0
    noise_region: str = ""
    noise_floor: float = 0.0
    registration_mm: float = 0.0
    contour_mm: float = 0.0
    contour_fwhm_mm: float = 0.0
    recovery: Recovery | None = None
    conditions: tuple[Condition, ...] = ()
    presets: tuple[PresetUsed, ...] = ()

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if not isinstance(value, float | int):
                continue
            if not (math.isfinite(value) and value >= 0):
                msg = f"uncertainty.{one.name} must be 0 or more, found {value}."
                raise QuantityError(msg, code="value-out-of-range", key=f"uncertainty.{one.name}", found=value)
            if value > _MOST.get(one.name, math.inf):
                msg = f"uncertainty.{one.name} is at most {_MOST[one.name]:g}, found {value:g}; check its unit."
                raise QuantityError(msg, code="value-out-of-range", key=f"uncertainty.{one.name}", found=value)
        if self.samples < 20:
            msg = (
                f"uncertainty.samples must be at least 20, found {self.samples}; 500 give a standard deviation to 3 %."
            )
            raise QuantityError(msg, code="value-out-of-range", key="uncertainty.samples", found=self.samples)
        if self.contour_mm and self.contour_fwhm_mm:
            msg = "uncertainty.contour_mm and contour_fwhm_mm say the same thing twice; keep one."
            raise QuantityError(msg, code="keys-contradict")
        if self.noise_fraction and self.noise_region:
            msg = "uncertainty.noise_fraction and noise_region say the same thing twice; keep one."
            raise QuantityError(msg, code="keys-contradict")
        if self.has_noise and not self.noise_fwhm_mm:
            msg = "uncertainty.noise_fraction and noise_region need noise_fwhm_mm: over what distance voxels share their noise."
            raise QuantityError(msg, code="key-missing", key="uncertainty.noise_fwhm_mm")
        too_large = [n for n in ("calibration_fraction", "energy_fraction", "lung_shunt_sd") if getattr(self, n) > 0.5]
        if too_large:
            msg = f"uncertainty.{too_large[0]} is a fraction of 1, not percent, and at most 0.5."
            raise QuantityError(msg, code="value-out-of-range", key=f"uncertainty.{too_large[0]}")

    @property
    def has_noise(self) -> bool:
        """Whether noise is given in either way."""
        return bool(self.noise_fraction or self.noise_region)

    @property
    def reach_mm(self) -> float:
        """How far regions are followed: so many standard deviations of shift and outline."""
        return REACH_SIGMAS * (self.registration_mm + self.contour_mm + self.contour_fwhm_mm)
