"""A volume made less sharp by a known width."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np

from voxeldose.model.volume import Volume

__all__ = ["FWHM_PER_SIGMA", "blurred"]

V = TypeVar("V", bound=Volume)

#: Full width at half maximum of a Gaussian over its standard deviation: the square root of 8 ln 2.
FWHM_PER_SIGMA = math.sqrt(8 * math.log(2))


def blurred(volume: V, fwhm_mm: tuple[float, float, float]) -> V:
    """The same quantity after a Gaussian blur; the image is mirrored at its edges.

    Every cosine of the image is multiplied by the Gaussian's transform at its frequency, so that widths of blurs add in
    quadrature exactly, also those below a voxel, where samples of a Gaussian would blur too little. The total is kept.

    Parameters
    ----------
    volume : Volume
        Finite values, (nk, nj, ni).
    fwhm_mm : tuple of float
        Full width at half maximum along slice, row and column axis ``(k, j, i)``; 0 leaves an axis as it is.

    Returns
    -------
    Volume
        Of the same kind, on the same grid.
    """
    from scipy.fft import dct, idct

    values = volume.values.astype(np.float64)
    for axis, (width, spacing) in enumerate(zip(fwhm_mm, volume.grid.spacing_mm, strict=True)):
        if width <= 0:
            continue
        count = values.shape[axis]
        sigma = width / FWHM_PER_SIGMA / spacing
        kept = np.exp(-0.5 * (sigma * np.pi * np.arange(count) / count) ** 2)
        shape = [1, 1, 1]
        shape[axis] = count
        values = idct(dct(values, axis=axis) * kept.reshape(shape), axis=axis)
    return volume.replaced(values.astype(np.float32))
