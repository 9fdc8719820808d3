"""Real spectra of symmetric filters on a box of voxels, and what they are applied with.

Boxes are periodic: whoever cuts one out of an image leaves room around what matters. Axes and per-axis numbers are in array
order (k, j, i), lengths in mm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.geometry.smoothing import FWHM_PER_SIGMA

if TYPE_CHECKING:
    from voxeldose.model.arrays import Doubles, Floats

__all__ = ["Lattice", "apply", "block_mean", "spread", "upsample"]

Triple = tuple[float, float, float]
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Lattice:
    """A periodic box of voxels.

    Parameters
    ----------
    shape : tuple of int
        ``(nk, nj, ni)``.
    spacing_mm : tuple of float
        ``(k, j, i)``.
    """

    shape: Shape
    spacing_mm: Triple

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel."""
        return math.prod(self.spacing_mm) / 1000

    @property
    def mean_spacing_mm(self) -> float:
        """Side of a cube of a voxel's volume."""
        return math.prod(self.spacing_mm) ** (1 / 3)

    def refined(self, factor: Shape) -> Lattice:
        """The same box with each voxel cut into ``factor`` parts along each axis."""
        k, j, i = (n * f for n, f in zip(self.shape, factor, strict=True))
        a, b, c = (s / f for s, f in zip(self.spacing_mm, factor, strict=True))
        return Lattice((k, j, i), (a, b, c))

    def wave_numbers(self) -> list[Doubles]:
        """Radians per mm along each axis, each shaped to broadcast over a half spectrum (last axis real)."""
        from scipy import fft

        rows = []
        for axis, (n, step) in enumerate(zip(self.shape, self.spacing_mm, strict=True)):
            cycles = fft.rfftfreq(n, step) if axis == 2 else fft.fftfreq(n, step)
            shape = [1, 1, 1]
            shape[axis] = -1
            rows.append(2 * math.pi * cycles.reshape(shape))
        return rows

    def gaussian(self, fwhm_mm: Triple) -> Floats:
        """Spectrum of a Gaussian of these full widths at half maximum; 1 at the origin."""
        exponent = sum(
            (width / FWHM_PER_SIGMA * k) ** 2 / 2 for width, k in zip(fwhm_mm, self.wave_numbers(), strict=True)
        )
        return np.asarray(np.exp(-np.asarray(exponent)), np.float32)

    def voxel_box(self, power: int = 1) -> Floats:
        """Spectrum of the mean over a voxel, to a power."""
        box = np.ones((1, 1, 1))
        for k, step in zip(self.wave_numbers(), self.spacing_mm, strict=True):
            box = box * np.sinc(k * step / (2 * math.pi)) ** power
        return box.astype(np.float32)

    def unit_noise(self, fwhm_mm: float) -> Floats:
        """Spectrum that gives white noise of unit variance a Gaussian kernel's correlation and keeps its variance.

        The kernel is sampled at voxel centres, as a filter after reconstruction is; its correlation has a full width of
        ``sqrt(2)`` times ``fwhm_mm``.
        """
        from scipy import fft

        spectrum = np.ones((1, 1, 1))
        for axis, (n, step) in enumerate(zip(self.shape, self.spacing_mm, strict=True)):
            place = np.rint(fft.fftfreq(n) * n) * step
            kernel = np.exp(-((place * FWHM_PER_SIGMA / fwhm_mm) ** 2) / 2)
            kernel /= np.sqrt((kernel**2).sum())
            along = fft.rfft(kernel).real if axis == 2 else fft.fft(kernel).real
            shape = [1, 1, 1]
            shape[axis] = -1
            spectrum = spectrum * along.reshape(shape)
        return np.asarray(spectrum, np.float32)


def apply(values: Floats, spectrum: Floats) -> Floats:
    """Periodic convolution of the last three axes with a filter given by its real half spectrum."""
    from scipy import fft

    axes = (-3, -2, -1)
    there = fft.rfftn(values.astype(np.float32, copy=False), axes=axes)
    there *= spectrum
    return np.asarray(fft.irfftn(there, values.shape[-3:], axes=axes, overwrite_x=True), np.float32)


def block_mean(values: Floats, factor: Shape) -> Floats:
    """Mean over blocks of ``factor`` voxels: from a fine box to the voxels it was cut from."""
    for axis, f in enumerate(factor):
        if f == 1:
            continue
        parts = [values[(slice(None),) * axis + (slice(n, None, f),)] for n in range(f)]
        total = parts[0] + parts[1]
        for part in parts[2:]:
            total += part
        values = total
    return np.asarray(values / np.float32(math.prod(factor)), np.float32)


def spread(values: Floats, factor: Shape) -> Floats:
    """Adjoint of :func:`block_mean`: each voxel's value, divided by the number of parts, in every part."""
    for axis, f in enumerate(factor):
        values = np.repeat(values, f, axis) if f > 1 else values
    return np.asarray(values / np.float32(math.prod(factor)), np.float32)


def upsample(values: Floats, factor: Shape) -> Floats:
    """Band-limited interpolation from a periodic box to the centres of its voxels' parts."""
    from scipy import fft

    if factor == (1, 1, 1):
        return values
    whole = fft.rfftn(values.astype(np.float32, copy=False))
    shape = tuple(n * f for n, f in zip(values.shape, factor, strict=True))
    wide = np.zeros((shape[0], shape[1], shape[2] // 2 + 1), np.complex64)
    places = []
    for axis, (n, f) in enumerate(zip(values.shape, factor, strict=True)):
        cycles = fft.rfftfreq(n) if axis == 2 else fft.fftfreq(n)
        turn = np.exp(-2j * math.pi * cycles * (f - 1) / (2 * f))  # the first part lies before its voxel's centre
        if n % 2 == 0 and f > 1:
            turn[n // 2] = 0
        along = [1, 1, 1]
        along[axis] = -1
        whole *= turn.reshape(along).astype(np.complex64)
        places.append(np.rint(cycles * n).astype(int) % shape[axis])
    wide[np.ix_(*places)] = whole
    return np.asarray(fft.irfftn(wide, shape, overwrite_x=True) * math.prod(factor), np.float32)
