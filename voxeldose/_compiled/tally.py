"""Loops behind dose-volume histograms: tally the voxels of a region by dose, and pick those of some bins.

Doses are binned by the upper 16 bits of their float32 pattern: it rises with a dose above zero, and beyond half of all
bins it falls with one below zero. A bin is 0.4 to 0.8 % of the dose wide, and any rank is found exactly by looking into
one bin.

Images come flat, with a layout that says where rows begin (:func:`rows_of`): a loop over neighbours in memory is processed
several voxels at a time, one over an array of unknown strides is not. Each part of the work has its own small loop
over the same stretch of a row, which stays in the processor's first-level cache; sums are float64 in a fixed order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit, types

if TYPE_CHECKING:
    from voxeldose._compiled.arrays import Bits, Doubles, Floats, Integers, Mask

__all__ = ["BINS", "pick", "rows_of", "tally"]

BINS = 1 << 16


_values = types.Array(types.float32, 1, "C", readonly=True)
_bits = types.Array(types.uint32, 1, "C", readonly=True)
_layout = types.Array(types.int64, 1, "C", readonly=True)
_marks = types.Array(types.boolean, 1, "C", readonly=True)
_sums = types.Array(types.float64, 1, "C")
_into = types.Array(types.float32, 1, "C")

#: Called by compiled code only.
_INNER = {"nogil": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}

#: Voxels of a row worked on at once.
STRETCH = 2048


def rows_of(values: Floats, weights: Floats) -> tuple[Floats, Floats, Integers]:
    """Two images (nk, nj, ni) of one shape, such as windows of larger ones, flat and read-only, and their layout.

    The layout holds the shape, then how far apart slices and rows begin in each. Nothing is copied if neighbours in a
    row lie side by side.
    """
    flat, steps = [], []
    for given in (values, weights):
        image = given
        if image.strides[2] != 4 or min(image.strides) < 0 or image.strides[0] % 4 or image.strides[1] % 4:
            image = np.ascontiguousarray(image)
        size = sum((n - 1) * step for n, step in zip(image.shape, image.strides, strict=True)) // 4 + 1
        flat.append(np.lib.stride_tricks.as_strided(image, (size if image.size else 0,), (4,), writeable=False))
        steps += [image.strides[0] // 4, image.strides[1] // 4]
    layout = np.array((*values.shape, *steps), np.int64)
    layout.setflags(write=False)
    return flat[0], flat[1], layout


@njit(**_INNER)
def _add_to_bins(bits: Bits, weights: Floats, sums: Doubles) -> None:
    for i in range(bits.size):
        sums[np.uintp(bits[i] >> np.uint32(16))] += np.float64(weights[i])


@njit(fastmath={"reassoc", "contract"}, **_INNER)
def _moments(values: Floats, weights: Floats, first: float) -> tuple[float, float, float, int]:
    total = along = square = 0.0
    negative = 0
    for i in range(values.size):
        weight = np.float64(weights[i])
        off = np.float64(values[i]) - first if weight > 0 else 0.0
        total += weight
        along += weight * off
        square += weight * off * off
        negative += 1 if weight < 0 else 0
    return total, along, square, negative


@njit(types.void(_values, _bits, _values, _layout, _sums, _sums), cache=True, nogil=True, no_cfunc_wrapper=True)
def tally(
    values: Floats,
    bits: Bits,
    weights: Floats,
    layout: Integers,
    sums: Doubles,
    moments: Doubles,
) -> None:
    """Add weights into ``sums`` (65536) by the bin of each value, and moments into ``moments`` (5).

    ``values``, ``weights`` and ``layout`` from :func:`rows_of`, ``bits`` the values seen as uint32; sums and moments
    float64. Moments: Σw, Σw(v - v₀), Σw(v - v₀)² over weights above zero, v₀ (given), how many weights are below zero;
    if any, nothing else means anything.
    """
    for k in range(layout[0]):
        for j in range(layout[1]):
            for i in range(0, layout[2], STRETCH):
                size = STRETCH if layout[2] - i > STRETCH else layout[2] - i
                v, w = k * layout[3] + j * layout[4] + i, k * layout[5] + j * layout[6] + i
                weight = weights[w : w + size]
                _add_to_bins(bits[v : v + size], weight, sums)
                total, along, square, negative = _moments(values[v : v + size], weight, moments[3])
                moments[0] += total
                moments[1] += along
                moments[2] += square
                moments[4] += negative


@njit(**_INNER)
def _pick_row(
    values: Floats,
    bits: Bits,
    weights: Floats,
    wanted: Mask,
    into_value: Floats,
    into_weight: Floats,
    found: int,
) -> int:
    at = np.uintp(found)
    for i in range(bits.size):
        if wanted[np.uintp(bits[i] >> np.uint32(16))] and weights[i] > 0:
            into_value[at] = values[i]
            into_weight[at] = weights[i]
            at += np.uintp(1)
    return int(at)


@njit(
    types.int64(_values, _bits, _values, _layout, _marks, _into, _into), cache=True, nogil=True, no_cfunc_wrapper=True
)
def pick(
    values: Floats,
    bits: Bits,
    weights: Floats,
    layout: Integers,
    wanted: Mask,
    into_value: Floats,
    into_weight: Floats,
) -> int:
    """Copy the voxels with a weight above zero whose bin is marked in ``wanted`` (65536); return how many."""
    found = 0
    for k in range(layout[0]):
        for j in range(layout[1]):
            v, w, size = k * layout[3] + j * layout[4], k * layout[5] + j * layout[6], layout[2]
            found = _pick_row(
                values[v : v + size], bits[v : v + size], weights[w : w + size], wanted, into_value, into_weight, found
            )
    return found
