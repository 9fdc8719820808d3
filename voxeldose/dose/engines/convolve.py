"""Convolution of an array with a kernel, the fastest of several exact ways."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from voxeldose.dose.engines.threads import in_threads, processors

if TYPE_CHECKING:
    from voxeldose._compiled.convolve import Reach
    from voxeldose.model.arrays import Doubles, Floats

__all__ = ["convolve"]

#: Estimates below this (0.1 s) are processed by one thread: switching threads costs a fifth more CPU.
THREADS_FROM_NS = 1e8

#: Output slices that are summed at once from the spectra around them, so that these are read once for all.
BATCH = 4

#: Padded boxes of activity of so many voxels are transformed as a whole. In smaller ones the direct sum, which has no
#: rounding to see, is as fast; of larger ones the spectrum (half of it, complex) leaves a processor's second-level cache.
BOX_VOXELS = 2**14, 2**18

Method = Literal["direct", "planes", "box"]


def convolve(
    source: Floats,
    kernel: Doubles,
    reach: Reach,
    *,
    method: Method | None = None,
    threads: int | None = None,
) -> Floats:
    """Linear convolution, same size, zeros outside the image; exactly zero where a row has no activity within reach.

    ``method`` and ``threads`` are for tests and benchmarks: without them a box of activity of moderate size is transformed as a
    whole (on one thread, with nothing to compile), others by the method of lower cost on as many threads as there are
    processors. A kernel that is not its own mirror image takes the FFT in three dimensions and float64.
    """
    result = np.zeros(source.shape, np.float32)
    if not _is_symmetric(kernel):
        _convolve_any(source, kernel, reach, result)
        return result
    octant = kernel[tuple(slice(n // 2, None) for n in kernel.shape)]
    if method == "box" or (method is None and BOX_VOXELS[0] < math.prod(_least_sizes(octant, reach)) <= BOX_VOXELS[1]):
        _convolve_box(source, octant, reach, result)
        return result
    direct, planar = _cost_ns(octant, reach)
    if threads is None:
        threads = processors() if min(direct, planar) > THREADS_FROM_NS else 1
    if method == "direct" or (method is None and direct <= planar):
        _convolve_direct(source, octant, reach, result, threads)
    else:
        _convolve_planes(source, octant, reach, result, threads)
    return result


def _is_symmetric(kernel: Doubles) -> bool:
    """Whether sizes are odd and every flip leaves the kernel as it is, to better than float32."""
    flips = (np.flip(kernel, axis) for axis in range(3))
    return all(n % 2 for n in kernel.shape) and all((np.abs(kernel - f) <= 1e-8 * np.abs(kernel)).all() for f in flips)


def _cost_ns(octant: Doubles, reach: Reach) -> tuple[float, float]:
    """Time of the direct sum and of the FFT by slices, from counts; constants fitted to four grids on one Zen 5 core.

    Only their ratio matters, and it only decides which of two exact ways is taken.
    """
    from voxeldose._compiled.convolve import kernel_rows

    offset, _ = kernel_rows(octant)
    widest, depth = int(offset[0, 2]), octant.shape[0]
    products = 4 * float((offset[::4, 2] // 2 * 2 + 2).sum())
    voxels = float((reach.stop - reach.start + 8).sum(where=reach.stop > 0))
    direct = voxels * (0.0145 * products + 0.085 * len(offset) + 0.32 * widest + 0.3 * depth + 0.3)
    rows, columns = (b.stop - b.start + 2 * n for b, n in zip(reach.box[1:], octant.shape[1:], strict=True))
    pixels = float(rows * columns)
    given, made = (float(part[0].stop - part[0].start) for part in (reach.box, reach.out))
    transform = 0.135 * math.log2(pixels)
    planar = pixels * (given * transform + made * (transform + 0.16 * depth + 0.6)) + made * 4e4
    return direct, planar


def _convolve_direct(source: Floats, octant: Doubles, reach: Reach, result: Floats, threads: int) -> None:
    """Direct sum, folded by symmetry. Only products are added: relative error 1e-6 in every voxel, if of one sign."""
    from voxeldose._compiled.convolve import direct_sum

    work = direct_sum(source, octant, reach, result)
    in_threads(work, slice(0, reach.out[0].stop - reach.out[0].start), 1 if threads == 1 else 4 * threads, threads)


def _least_sizes(octant: Doubles, reach: Reach) -> list[int]:
    """Least length of an FFT along each axis: no part of the result that lies in the image is wrapped onto."""
    return [
        b.stop - b.start + n - 1 + max(b.start - o.start, o.stop - b.stop)
        for n, b, o in zip(octant.shape, reach.box, reach.out, strict=True)
    ]


def _fast_sizes(octant: Doubles, reach: Reach) -> list[int]:
    """The next lengths that are quickly transformed."""
    from scipy import fft

    return [fft.next_fast_len(n, real=True) for n in _least_sizes(octant, reach)]


def _columns_reached(octant: Doubles, reach: Reach) -> tuple[npt.NDArray[np.int32], ...]:
    """First column and the one after the last that each row in reach gets dose in, (nk, nj, 1) each."""
    wide, last = octant.shape[2] - 1, reach.out[2].stop
    start, stop = reach.start[reach.out[:2]][..., None], reach.stop[reach.out[:2]][..., None]
    return np.where(stop > 0, start - wide, last).astype(np.int32), np.where(stop > 0, stop + wide, 0).astype(np.int32)


def _convolve_box(source: Floats, octant: Doubles, reach: Reach, result: Floats) -> None:
    """FFT of the activity's box, axis by axis: rows that are zero, or not asked for, are left out.

    The kernel's spectrum is made by its cosines, since it is symmetric. Accuracy is that of :func:`_convolve_planes`.
    """
    from scipy import fft

    box, out, part = reach.box, reach.out, source[reach.box]
    size = _fast_sizes(octant, reach)
    before = [b.start - o.start for b, o in zip(box, out, strict=True)]
    given = np.zeros((*part.shape[:2], before[2] + part.shape[2]), np.float32)
    given[..., before[2] :] = part
    spectrum = fft.fft(fft.fft(fft.rfft(given, size[2], axis=2), size[1], axis=1), size[0], axis=0)
    half = size[0] // 2 + 1
    cosine = [_cosines(n, m, c) for n, m, c in zip(size, (half, size[1], size[2] // 2 + 1), octant.shape, strict=True)]
    planes = np.einsum("kjc,bj->kbc", np.einsum("kji,ci->kjc", octant, cosine[2]), cosine[1]).astype(np.float32)
    factor = np.zeros((half, *planes.shape[1:]), np.float32)
    for plane, weight in zip(planes, cosine[0].T.astype(np.float32), strict=True):
        factor += weight[:, None, None] * plane
    spectrum[:half] *= factor
    spectrum[half:] *= factor[1 : size[0] - half + 1][::-1]
    first, second = (  # where in the circle of each axis the result lies
        np.arange(-n, o.stop - o.start - n) % m for n, o, m in zip(before[:2], out[:2], size[:2], strict=True)
    )
    lines = fft.ifft(spectrum, axis=0, overwrite_x=True).take(first, axis=0)
    lines = fft.ifft(lines, axis=1, overwrite_x=True).take(second, axis=1)
    dose = fft.irfft(lines, size[2], axis=2)[..., : out[2].stop - out[2].start]
    if part.min() >= 0:
        np.maximum(dose, 0, out=dose)
    low, high = _columns_reached(octant, reach)
    column = np.arange(out[2].start, out[2].stop, dtype=np.int32)
    np.copyto(result[out], dose, where=(column >= low) & (column < high))


def _cosines(size: int, frequencies: int, count: int) -> Doubles:
    """What a sample and its mirror image, at 0 to ``count - 1``, add to each of the first frequencies."""
    wave: Doubles = np.cos(2 * np.pi / size * np.outer(np.arange(frequencies), np.arange(count)))
    wave[:, 1:] *= 2
    return wave


def _convolve_planes(source: Floats, octant: Doubles, reach: Reach, result: Floats, threads: int) -> None:
    """FFT of each slice in float32, direct sum over slices; only the slices within reach are held.

    Relative error below 1e-4 where the dose exceeds 1 % of its maximum: rounding is about 5e-7 of the maximum everywhere.
    It also lies, positive or cut to zero, on voxels within reach of a row's activity that receive next to nothing.
    """
    from scipy import fft

    from voxeldose._compiled.convolve import sum_spectra

    box, out = reach.box, reach.out
    size = _fast_sizes(octant, reach)[1:]
    factor = _plane_spectra(octant, size)
    depth = octant.shape[0] - 1
    slots = 2 * depth + BATCH
    positive = all(source[k][box[1:]].min() >= 0 for k in range(box[0].start, box[0].stop))
    rows, columns = out[1].stop - out[1].start, out[2].stop - out[2].start
    corner = tuple(slice(b.start - o.start, b.stop - o.start) for b, o in zip(box[1:], out[1:], strict=True))
    from_i, to_i = _columns_reached(octant, reach)
    column = np.arange(out[2].start, out[2].stop, dtype=np.int32)

    def work(begin: int, end: int) -> None:
        spectra = np.zeros((slots + 1, size[0], size[1] // 2 + 1), np.complex64)  # the last stays zero
        total = np.empty((BATCH, *spectra.shape[1:]), np.complex64)
        given = np.zeros(size, np.float32)
        known = max(box[0].start, begin - depth)
        for k in range(begin, end, BATCH):
            slices = min(BATCH, end - k)
            for n in range(known, min(box[0].stop, k + slices + depth)):
                given[corner] = source[n][box[1:]]
                spectra[n % slots] = fft.rfft2(given)
                known = n + 1
            near = np.arange(k, k + slices)[:, None] + np.arange(-depth, depth + 1)
            slot = np.where((near >= box[0].start) & (near < box[0].stop), near % slots, slots).astype(np.int32)
            sum_spectra(
                spectra.view(np.float32).reshape(slots + 1, -1), slot, factor, total.view(np.float32).reshape(BATCH, -1)
            )
            for n in range(slices):
                lines = fft.ifft(total[n], axis=0, overwrite_x=True)[:rows]
                dose = fft.irfft(lines, size[1], axis=1)[:, :columns]
                into = result[k + n][out[1:]]
                if positive:
                    np.maximum(dose, 0, out=into)
                else:
                    into[:] = dose
                low, high = from_i[k + n - out[0].start], to_i[k + n - out[0].start]
                if low.max() > out[2].start or high.min() < out[2].stop:
                    into[(column < low) | (column >= high)] = 0

    in_threads(work, out[0], threads, threads)


def _plane_spectra(octant: Doubles, size: list[int]) -> Floats:
    """Spectrum of each slice of the kernel from the middle one on; real, since the kernel is symmetric."""
    from scipy import fft

    j, i = (np.arange(1 - n, n) for n in octant.shape[1:])
    spectra = np.empty((octant.shape[0], size[0] * (size[1] // 2 + 1)), np.float32)
    for k, plane in enumerate(octant):
        wrapped = np.zeros(size)
        np.add.at(wrapped, np.ix_(j, i), plane[np.ix_(np.abs(j), np.abs(i))])
        spectra[k] = fft.rfft2(wrapped).real.ravel()
    return spectra


def _convolve_any(source: Floats, kernel: Doubles, reach: Reach, result: Floats) -> None:
    """FFT in three dimensions and float64, for kernels without mirror symmetry; rounding is 1e-16 of the maximum."""
    from scipy import fft

    part = source[reach.box].astype(np.float64)
    full = [p + n - 1 for p, n in zip(part.shape, kernel.shape, strict=True)]
    fast = [fft.next_fast_len(n, real=True) for n in full]
    spread = fft.irfftn(fft.rfftn(part, fast) * fft.rfftn(kernel, fast), fast)
    there = tuple(
        slice(o.start - b.start + n // 2, o.stop - b.start + n // 2)
        for o, b, n in zip(reach.out, reach.box, kernel.shape, strict=True)
    )
    result[reach.out] = spread[there]
    if part.min() >= 0:
        np.maximum(result, 0, out=result)
