"""Two doses at one resolution: the sharper is blurred until both have the same width."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxeldose.errors import QuantityError
from voxeldose.geometry.smoothing import blurred

if TYPE_CHECKING:
    from voxeldose.model.volume import DoseMap

__all__ = ["Resolution", "match_to"]

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Resolution:
    """How sharp an image is.

    Parameters
    ----------
    fwhm_mm : tuple of float
        Full width at half maximum along slice, row and column axis ``(k, j, i)``.
    source : str
        Who states it, in words.
    """

    fwhm_mm: Triple
    source: str

    def __post_init__(self) -> None:
        if not all(0 < width < 100 for width in self.fwhm_mm):
            msg = f"A resolution is a width above 0 and below 100 mm FWHM, found {self}."
            raise QuantityError(msg, code="value-out-of-range", found=self.fwhm_mm)

    def __str__(self) -> str:
        return format_widths(self.fwhm_mm)

    def blur_to(self, fwhm_mm: float) -> Triple:
        """The width of the blur that brings an image of this resolution to ``fwhm_mm`` along every axis.

        Raises
        ------
        QuantityError
            If the image is less sharp than that already.
        """
        k, j, i = (math.sqrt(max(0.0, fwhm_mm**2 - width**2)) for width in self.fwhm_mm)
        if max(self.fwhm_mm) > fwhm_mm * (1 + 1e-9):
            msg = (
                f"An image of {self} FWHM ({self.source}) cannot be brought to {fwhm_mm:g} mm by blurring: blurring only widens. "
                f"Match at {math.ceil(10 * max(self.fwhm_mm)) / 10:g} mm or more."
            )
            raise QuantityError(msg, code="match-too-sharp", found=self.fwhm_mm, needed=fwhm_mm)
        return k, j, i


def match_to(dose: DoseMap, resolution: Resolution, fwhm_mm: float) -> DoseMap:
    """A dose as an image of ``fwhm_mm`` would have given it.

    Dose is linear in the activity, so blurring the dose is blurring the activity, where the medium is uniform; near the
    border of a lung or of the image it is not exact.

    Parameters
    ----------
    dose : DoseMap
        Of an image of ``resolution``; finite.
    resolution : Resolution
        Of that image.
    fwhm_mm : float
        The width wanted along every axis.

    Raises
    ------
    QuantityError
        If the image is less sharp than that already.
    """
    return blurred(dose, resolution.blur_to(fwhm_mm))


def format_widths(fwhm_mm: Triple) -> str:
    """One number where all axes have the same width, else ``k × j × i``."""
    shown = [f"{width:.3g}" for width in fwhm_mm]
    return f"{shown[0] if len(set(shown)) == 1 else ' × '.join(shown)} mm"
