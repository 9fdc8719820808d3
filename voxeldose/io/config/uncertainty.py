"""``[uncertainty]``: standard uncertainties of what goes into a dose."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from voxeldose.io.config.toml import NotNegative, Positive, Table

__all__ = ["RecoveryTable", "UncertaintyTable"]


class RecoveryTable(Table):
    """Recovery by volume: the curve's parameters, or measured spheres (mL, recovery, its uncertainty)."""

    b_ml: Positive | None = None
    """Volume of half recovery in mL: the curve is 1 - 1/(1 + (v/b)^c) of the volume v."""
    c: Positive | None = None
    """Exponent of the curve."""
    b_sd_ml: NotNegative = 0.0
    """Standard deviation of `b_ml` in mL."""
    c_sd: NotNegative = 0.0
    """Standard deviation of `c`."""
    correlation: Annotated[float, Field(ge=-1, le=1)] = 0.0
    """Of the two parameters, -1 to 1."""
    spheres: list[tuple[Positive, Positive, Positive]] | None = None
    """Measured spheres in place of the curve: volume in mL, recovery, its uncertainty. Example: `[[0.52, 0.3, 0.05], [26.5, 0.85, 0.03]]`."""
    source: str | None = None
    """Where the curve comes from. Example: `"NEMA phantom, 2024-03"`."""

    @field_validator("spheres", mode="before")
    @classmethod
    def _rows(cls, value: Any) -> Any:
        return [tuple(row) if isinstance(row, list) else row for row in value] if isinstance(value, list) else value


class UncertaintyTable(Table):
    """``[uncertainty]``: standard uncertainties; keys as in :class:`voxeldose.dose.uncertainty.inputs.Spread`."""

    presets: list[str] = Field(default=[])
    """Published values by name, each used where its key is not given here: `contour-liver-metastases-mri`, `contour-liver-metastases-mri-reviewed`, `registration-liver-deformable`, `registration-liver-affine`, `calibration-vial-label`. Example: `["contour-liver-metastases-mri"]`."""
    samples: Annotated[int, Field(ge=20)] | None = None
    """Monte Carlo samples; 500 without it. Example: `2000`."""
    seed: Annotated[int, Field(ge=0)] | None = None
    """Of the random numbers. Example: `1`."""
    calibration_fraction: NotNegative | None = None
    """Standard uncertainty of the activity (dose calibrator, cross-calibration), relative. Example: `0.05`."""
    energy_fraction: NotNegative | None = None
    """Standard uncertainty of the energy per decay, relative."""
    lung_shunt_sd: NotNegative | None = None
    """Standard uncertainty of the lung shunt fraction. Example: `0.01`."""
    timing_h: NotNegative | None = None
    """Standard uncertainty of the time between infusion and scan in hours. Example: `0.1`."""
    noise_fraction: NotNegative | None = None
    """Standard deviation of a voxel at the concentration of normal liver, relative; it grows with the root of the concentration. Example: `0.25`."""
    noise_fwhm_mm: NotNegative | None = None
    """FWHM in mm of the noise's correlation. Example: `6.0`."""
    noise_region: str | None = None
    """In place of `noise_fraction`: a region taken as even, whose scatter is measured. Example: `"normal_liver"`."""
    noise_floor: NotNegative | None = None
    """Noise variance where there is no activity, as part of that in normal liver. Example: `0.15`."""
    registration_mm: NotNegative | None = None
    """Standard uncertainty of place along each axis in mm. Example: `2.0`."""
    contour_mm: NotNegative | None = None
    """Standard uncertainty in mm of the distance between drawn and true outline, the same all around. Example: `1.5`."""
    contour_fwhm_mm: NotNegative | None = None
    """In place of `contour_mm`: resolution in mm of the image that contours were drawn on."""
    recovery: RecoveryTable | None = None
    """Recovery of activity by volume: the mean dose is corrected with it."""
    probabilities: list[str] = Field(default=[])
    """Conditions whose probability is wanted. Example: `["lesion_1.d95>=400"]`."""
