"""Loops behind dose-volume histograms: tally the voxels of a region by dose, and pick those of some bins.

Doses are binned by the upper 16 bits of their float32 pattern, turned so that it rises with the dose; a bin is then
0.4 to 0.8 % of the dose wide, and any rank is found exactly by looking into one bin.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit, types

__all__ = ["BINS", "pick", "rising", "tally"]

BINS = 1 << 16

FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]
BitArray = npt.NDArray[np.uint32]

_values = types.Array(types.float32, 3, "A", readonly=True)
_bits = types.Array(types.uint32, 3, "A", readonly=True)
_sums = types.Array(types.float64, 1, "C")
_into = types.Array(types.float32, 1, "C")


@njit(types.uint32(types.uint32), inline="always")
def rising(bits: np.uint32) -> np.uint32:
    """The pattern of a float32 as a number that rises with it."""
    return bits ^ np.uint32(0xFFFFFFFF) if bits & np.uint32(0x80000000) else bits | np.uint32(0x80000000)


@njit(types.void(_values, _bits, _values, _sums, _sums), cache=True, nogil=True)
def tally(values: FloatArray, bits: BitArray, weights: FloatArray, sums: DoubleArray, moments: DoubleArray) -> None:
    """Add the weights above zero into ``sums`` (65536) by the bin of each value, and moments into ``moments`` (7).

    ``values`` and ``weights`` (nk, nj, ni) float32, ``bits`` the same values seen as uint32; sums and moments float64.
    Moments: Σw, Σw(v - v₀), Σw(v - v₀)², lowest and highest value, v₀ (the first value counted), lowest weight.
    """
    first = total = along = square = 0.0
    lowest, highest, lightest = np.inf, -np.inf, np.inf
    for k in range(values.shape[0]):
        for j in range(values.shape[1]):
            for i in range(values.shape[2]):
                weight = np.float64(weights[k, j, i])
                lightest = min(lightest, weight)
                if weight > 0:
                    value = np.float64(values[k, j, i])
                    sums[rising(bits[k, j, i]) >> 16] += weight
                    if total == 0:
                        first = value
                    off = value - first
                    total += weight
                    along += weight * off
                    square += weight * off * off
                    lowest = min(lowest, value)
                    highest = max(highest, value)
    moments[0], moments[1], moments[2], moments[3], moments[4] = total, along, square, lowest, highest
    moments[5], moments[6] = first, lightest


@njit(types.int64(_values, _bits, _values, types.Array(types.boolean, 1, "C"), _into, _into), cache=True, nogil=True)
def pick(
    values: FloatArray,
    bits: BitArray,
    weights: FloatArray,
    wanted: npt.NDArray[np.bool_],
    into_value: FloatArray,
    into_weight: FloatArray,
) -> int:
    """Copy the voxels with weight above zero whose bin is marked in ``wanted`` (65536); return how many."""
    found = 0
    for k in range(values.shape[0]):
        for j in range(values.shape[1]):
            for i in range(values.shape[2]):
                if wanted[rising(bits[k, j, i]) >> 16] and weights[k, j, i] > 0:
                    into_value[found] = values[k, j, i]
                    into_weight[found] = weights[k, j, i]
                    found += 1
    return found
