"""Loops of the kernel convolution, and what lays out their arrays. The caller has checked sizes and types, and passes the same types each time.

Each function is compiled at its first call, and never with ``parallel=True`` (eight seconds): the caller runs
it in threads, each on its own output slices. The terms of a voxel's sum and their order depend on the activity alone, so
any number of threads gives the same bits. ``contract`` lets a product and a sum be rounded once; it reorders nothing.
``benchmarks/bench_convolution.py`` and ``tests/compiled/test_convolve.py`` argue for both.

What looks odd is measured: an index that might be negative, an unaligned row or the innermost loop written in place
costs a factor of two to ten. Hence unsigned indices, rows that begin at multiples of 64 bytes, and small functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from collections.abc import Callable

    from voxeldose._compiled.arrays import Doubles, Floats, Integers, Mask, ShortIntegers

__all__ = ["Reach", "direct_sum", "find_reach", "fold_direct", "kernel_rows", "sum_spectra"]


#: float32 values in 64 bytes: columns are worked on in multiples of it.
LANES = 16

#: Called by compiled code only: without wrappers for other callers, which take half a second to compile.
_INNER = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "error_model": "numpy"}


class Reach(NamedTuple):
    """Where the activity lies and which rows it reaches; ranges are half-open.

    ``start`` to ``stop``, (nk, nj): columns that hold activity in any row within the kernel's reach of this one; 0 and 0
    for none. ``box``: the activity as a whole. ``out``: all that its dose can reach.
    """

    start: ShortIntegers
    stop: ShortIntegers
    box: tuple[slice, slice, slice]
    out: tuple[slice, slice, slice]


def find_reach(source: Floats, size: tuple[int, ...]) -> Reach | None:
    """Find the activity and what a kernel of this size reaches from it; ``None`` if there is no activity."""
    reach = [n // 2 for n in size]
    # the largest of the bits is found six times as fast as any() of floats; negative zero is handled below
    bits = source.view(np.uint32)
    k = np.flatnonzero(bits.reshape(len(source), -1).max(axis=1))
    if not k.size:
        return None
    face = bits[k[0] : k[-1] + 1].max(axis=0)
    j, i = np.flatnonzero(face.max(axis=1)), np.flatnonzero(face.max(axis=0))
    in_k, in_j, in_i = (slice(int(n[0]), int(n[-1]) + 1) for n in (k, j, i))
    columns = source.shape[2]
    first, last = np.zeros(source.shape[:2], np.int32), np.zeros(source.shape[:2], np.int32)
    step = max(1, 2**18 // ((in_j.stop - in_j.start) * (in_i.stop - in_i.start)))
    for n in range(in_k.start, in_k.stop, step):
        slab = (slice(n, min(n + step, in_k.stop)), in_j)
        part = source[slab][..., in_i]
        first[slab], last[slab] = in_i.start, in_i.stop
        if not (part[..., 0].all() and part[..., -1].all()):
            some = part != 0
            first[slab] += some.argmax(axis=2).astype(np.int32)
            last[slab] -= some[..., ::-1].argmax(axis=2).astype(np.int32)
            last[slab][~some.any(axis=2)] = 0
    filled = last > 0
    k, j = np.flatnonzero(filled.any(axis=1)), np.flatnonzero(filled.any(axis=0))
    if not k.size:
        return None
    box_k, box_j = slice(int(k[0]), int(k[-1]) + 1), slice(int(j[0]), int(j[-1]) + 1)
    near = np.where(filled, first, np.int32(columns))
    box = (box_k, box_j, slice(int(near.min()), int(last.max())))
    out_k, out_j, out_i = (
        slice(max(0, b.start - r), min(n, b.stop + r)) for b, r, n in zip(box, reach, source.shape, strict=True)
    )
    here = (out_k, out_j)
    start, stop = np.zeros_like(first), np.zeros_like(last)
    stop[here] = _pick(_pick(last[here], reach[0], 0, np.maximum), reach[1], 1, np.maximum)
    start[here] = _pick(_pick(near[here], reach[0], 0, np.minimum), reach[1], 1, np.minimum)
    start[stop == 0] = 0
    return Reach(start, stop, box, (out_k, out_j, out_i))


def _pick(values: ShortIntegers, reach: int, axis: int, choose: np.ufunc) -> ShortIntegers:
    """The least or the largest value within ``reach`` along an axis."""
    values = np.moveaxis(values, axis, 0)
    found = values.copy()
    for n in range(1, min(reach, len(values) - 1) + 1):
        choose(found[n:], values[:-n], out=found[n:])
        choose(found[:-n], values[n:], out=found[:-n])
    return np.moveaxis(found, 0, axis)


@njit(nogil=True, **_INNER)
def _sum_two(rows: Floats, one: int, two: int, given: int, total: Floats, n: int, into: int, size: int) -> None:
    """Write the sum of two rows, from the column ``given`` on, into row ``n`` of another array, from ``into`` on."""
    x, y, z = rows[one], rows[two], total[n]
    u, v = np.uintp(given), np.uintp(into)
    for i in range(np.uintp(size)):
        z[i + v] = x[i + u] + y[i + u]


@njit(nogil=True, **_INNER)
def _add(parts: Floats, n: int, given: int, total: Floats, line: int, into: int, size: int) -> None:
    """Add a row, from the column ``given`` on, to a row of another array, from ``into`` on."""
    x, y = parts[n], total[line]
    u, v = np.uintp(given), np.uintp(into)
    for i in range(np.uintp(size)):
        y[i + v] += x[i + u]


@njit(nogil=True, fastmath={"contract"}, **_INNER)
def _add_four(x: Floats, weight: Floats, use: Integers, c: int, parts: Floats, a: int, size: int) -> None:
    """Add the four rows of ``x``, times their weights for the distances ``a`` and ``a + 1``, to those two parts."""
    x0, x1, x2, x3 = x[0], x[1], x[2], x[3]
    w0, w1, w2, w3 = weight[use[c]], weight[use[c + 1]], weight[use[c + 2]], weight[use[c + 3]]
    n0, n1, n2, n3 = w0[a], w1[a], w2[a], w3[a]
    m0, m1, m2, m3 = w0[a + 1], w1[a + 1], w2[a + 1], w3[a + 1]
    near, far = parts[a], parts[a + 1]
    for i in range(np.uintp(size)):
        y0, y1, y2, y3 = x0[i], x1[i], x2[i], x3[i]
        near[i] = near[i] + n0 * y0 + n1 * y1 + n2 * y2 + n3 * y3
        far[i] = far[i] + m0 * y0 + m1 * y1 + m2 * y2 + m3 * y3


@njit(nogil=True, cache=True, no_cfunc_wrapper=True, error_model="numpy")
def fold_direct(
    source: Floats,
    filled: Mask,
    start: Integers,
    stop: Integers,
    low: Integers,
    high: Integers,
    offset: Integers,
    weight: Floats,
    layout: Integers,
    begin: int,
    end: int,
    use: Integers,
    planes: Floats,
    folded: Floats,
    parts: Floats,
    dose: Floats,
) -> None:
    """Dose in the output slices ``begin`` to ``end`` by a direct sum over a kernel symmetric in each axis.

    For each group of output rows, the four source rows at the same distance in k and j are added first. Their weighted
    sums are gathered apart for each distance ``a`` in i, and only then added at ``i - a`` and ``i + a``: the inner loop
    reads aligned rows only, and each once for two distances. Source rows without activity are left out.

    Parameters
    ----------
    source : float32, (slices * tall, width)
        The activity's box, with zeros around: ``depth - 1`` slices and ``reach_j`` rows on each side of all output
        rows. Output slice ``k``, row ``j`` lies at ``(k + depth - 1) * tall + j + reach_j``.
    filled : bool, (slices, tall)
        Where a row of ``source`` or one of the ``group - 1`` after it is not zero.
    start, stop : int64, (output slices, output rows)
        Columns that hold activity in any row within reach; 0 and 0 where there is none.
    low, high : int64, (output slices, groups)
        The same for each group of output rows, as multiples of ``LANES``.
    offset : int64, (rows, 3)
        Distance in k, in j, and the reach in i, of each row of weights, widest reach first.
    weight : float32, (rows + 1, even)
        One octant of the kernel, halved where the distance in k or j is 0, for there a source row is added to itself.
        The last row is zero.
    layout : int64, (9,)
        ``depth, tall, tile, group, left, first line, lines a slice, columns, reach_j``: the octant's size in k; rows of a slice of
        ``source``; output rows worked on at once, a multiple of ``group``; column of the dose at which the source begins;
        line of the dose at which output begins; lines and columns of a slice of the dose; the kernel's reach in j.
    begin, end : int
        Output slices.
    use, planes, folded, parts : int64 (rows + 4,), float32 (depth * (tile + 2 reach_j), width), (4, group * width) and
        (even, group * width)
        Scratch.
    dose : float32, (lines, columns)
        Added to within the reach of activity.
    """
    depth, tall, tile, group, left = layout[0], layout[1], layout[2], layout[3], layout[4]
    first_line, lines, columns, reach_j = layout[5], layout[6], layout[7], layout[8]
    rows, widest, height, zero = len(offset), offset[0, 2], tall - 2 * reach_j, np.int64(0)
    for k in range(begin, end):
        middle = k + depth - 1
        for top in range(0, height, tile):
            deep = tile if top + tile <= height else height - top
            for d in range(depth):
                one, two, plane = (middle - d) * tall + top, (middle + d) * tall + top, d * (tile + 2 * reach_j)
                for t in range(deep + 2 * reach_j):
                    _sum_two(source, one + t, two + t, zero, planes, plane + t, zero, source.shape[1])
            for g in range(top // group, (top + deep) // group):
                from_i, size, row = low[k, g], high[k, g] - low[k, g], g * group + reach_j
                if size == 0:
                    continue
                found = 0
                for r in range(rows):
                    d, b = offset[r, 0], offset[r, 1]
                    if (
                        filled[middle - d, row - b]
                        or filled[middle - d, row + b]
                        or filled[middle + d, row - b]
                        or filled[middle + d, row + b]
                    ):
                        use[found] = r
                        found += 1
                for r in range(found, found + 3):
                    use[r] = rows
                for a in range(widest + 1):
                    _sum_two(parts, len(parts) - 1, len(parts) - 1, zero, parts, a, zero, group * size)
                for chunk in range(0, found, 4):
                    for n in range(4 if found - chunk > 4 else found - chunk):
                        b = offset[use[chunk + n], 1]
                        t = offset[use[chunk + n], 0] * (tile + 2 * reach_j) + row - top
                        for q in range(group):
                            _sum_two(planes, t + q - b, t + q + b, from_i, folded, n, q * size, size)
                    for a in range(0, offset[use[chunk], 2] + 1, 2):
                        _add_four(folded, weight, use, chunk, parts, a, group * size)
                for q in range(group):
                    j = g * group + q
                    if j < start.shape[1] and stop[k, j] > 0:
                        line = first_line + k * lines + j
                        for a in range(-widest, widest + 1):
                            into, end_i = start[k, j] + a, stop[k, j] + a
                            into = into if into > 0 else 0
                            end_i = end_i if end_i < columns else columns
                            if end_i > into:
                                given = q * size - left - from_i + into - a
                                _add(parts, a if a > 0 else -a, given, dose, line, into, end_i - into)


def kernel_rows(octant: Doubles) -> tuple[Integers, Floats]:
    """The octant's rows that are not zero, widest first: ``offset`` and ``weight`` of :func:`fold_direct`."""
    wide = np.where(octant != 0, np.arange(octant.shape[2]), -1).max(axis=2)
    k, j = np.nonzero(wide >= 0)
    order = np.argsort(-wide[k, j], kind="stable")
    k, j = k[order], j[order]
    offset = np.stack((k, j, wide[k, j]), axis=1).astype(np.int64)
    size = int(offset[0, 2]) + 1
    weight = np.zeros((len(k) + 1, size + size % 2), np.float32)
    weight[:-1, :size] = octant[k, j, :size]
    weight[:-1] /= np.where(offset[:, :2] > 0, 1, 2).prod(axis=1)[:, None]
    return offset, weight


def direct_sum(values: Floats, octant: Doubles, reach: Reach, dose: Floats) -> Callable[[int, int], None]:
    """Lay out the arrays of :func:`fold_direct`; the answer fills slices of ``dose``, counted from those in reach.

    Parameters
    ----------
    values : float32, (nk, nj, ni)
        The image.
    octant : float64
        Kernel from its middle on in each axis.
    reach : Reach
        From :func:`find_reach`.
    dose : float32, (nk, nj, ni)
        Zeros, to be filled.
    """
    box, out, part = reach.box, reach.out, values[reach.box]
    offset, weight = kernel_rows(octant)
    depth, reach_j, left = octant.shape[0], octant.shape[1] - 1, box[2].start
    slices, rows = (o.stop - o.start for o in out[:2])
    width = -(-part.shape[2] // LANES) * LANES
    group = max(1, min(8, 2048 // width))
    groups = -(-rows // group)
    tile = min(groups, max(2, (2**17 // (depth * width) - 2 * reach_j) // group)) * group  # planes in half a megabyte
    tall = groups * group + 2 * reach_j
    source = _aligned((slices + 2 * depth - 2) * tall, width)
    padded = source.reshape(-1, tall, width)
    at_k, at_j = box[0].start - out[0].start + depth - 1, box[1].start - out[1].start + reach_j
    padded[at_k : at_k + part.shape[0], at_j : at_j + part.shape[1], : part.shape[2]] = part
    some: Mask = np.asarray(padded.any(axis=2))
    filled = some.copy()
    for n in range(1, group):
        filled[:, :-n] |= some[:, n:]
    start, stop = reach.start[out[:2]].astype(np.int64), reach.stop[out[:2]].astype(np.int64)
    heads = np.arange(0, rows, group)
    first = np.minimum.reduceat(np.where(stop > 0, start, box[2].stop), heads, axis=1)
    low = (first - left) // LANES * LANES
    high = np.maximum(-(-(np.maximum.reduceat(stop, heads, axis=1) - left) // LANES) * LANES, low)
    first_line = out[0].start * dose.shape[1] + out[1].start
    layout = np.array((depth, tall, tile, group, left, first_line, *dose.shape[1:], reach_j), np.int64)
    lines = dose.reshape(-1, dose.shape[2])

    def work(begin: int, end: int) -> None:
        use = np.zeros(len(offset) + 4, np.int64)
        planes, folded = _aligned(depth * (tile + 2 * reach_j), width), _aligned(4, group * width)
        parts = _aligned(weight.shape[1] + 1, group * width)  # the last stays zero
        fold_direct(
            source, filled, start, stop, low, high, offset, weight, layout, begin, end, use, planes, folded, parts, lines
        )  # fmt: skip

    return work


def _aligned(rows: int, columns: int) -> Floats:
    """Zeros that begin at a multiple of 64 bytes."""
    buffer = np.zeros(rows * columns + 16, np.float32)
    skip = -(buffer.ctypes.data // 4) % 16
    return buffer[skip : skip + rows * columns].reshape(rows, columns)


@njit(nogil=True, cache=True, no_cfunc_wrapper=True, fastmath={"contract"})
def sum_spectra(spectra: Floats, slot: ShortIntegers, kernel: Floats, total: Floats) -> None:
    """Write the spectra of some output slices: those of the slices around each, weighted by the kernel's.

    Parameters
    ----------
    spectra : float32, (slots, 2 n)
        Real and imaginary parts in turn.
    slot : int32, (slices, 2 reach + 1)
        Which of ``spectra`` lies at each distance in k, from ``-reach`` to ``reach``.
    kernel : float32, (reach + 1, n)
        Spectrum, real because the kernel is symmetric, of each kernel slice from the middle one on.
    total : float32, (slices, 2 n)
        Out.
    """
    reach, size, one = kernel.shape[0] - 1, kernel.shape[1], np.uintp(1)
    for begin in range(0, size, 1024):  # small enough for all slots to stay in the cache
        low, high = np.uintp(begin), np.uintp(begin + 1024 if begin + 1024 < size else size)
        for n in range(slot.shape[0]):
            into, middle, factor = total[n], spectra[slot[n, reach]], kernel[0]
            for i in range(low, high):
                into[i + i] = factor[i] * middle[i + i]
                into[i + i + one] = factor[i] * middle[i + i + one]
            for d in range(1, reach + 1):
                above, below, factor = spectra[slot[n, reach - d]], spectra[slot[n, reach + d]], kernel[d]
                for i in range(low, high):
                    into[i + i] += factor[i] * (above[i + i] + below[i + i])
                    into[i + i + one] += factor[i] * (above[i + i + one] + below[i + i + one])
