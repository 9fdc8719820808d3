"""Voxel kernels: time and own error, beside four million random source-target pairs, in one run.

    python -m benchmarks.bench_kernel

CPU milliseconds, best of nine. Own error: largest relative difference from the same integral over voxels cut in
eighths, over the weights above 1e-4 of the self weight ("weights") and for the self weight ("self"). The pairs are the
published way (a random point in the source voxel, one in the target voxel, the mean of the point kernel at their distance):
numpy, one generator, the same number of pairs for each distinct voxel of the octant, errors against the same finer voxels.
"""

from __future__ import annotations

import itertools
import time

import numpy as np
import numpy.typing as npt

from benchmarks.machine import describe_machine, told
from voxeldose.dose.engines.voxelise import voxelise
from voxeldose.model.kernel import PointKernel, point_kernel

SPACINGS = [
    *((s,) * 3 for s in (0.5, 1.0, 2.0, 3.0, 4.8, 6.0, 10.0)),
    (3.0, 4.07, 4.07),
    (1.0, 1.1, 1.2),
    (0.8, 0.9, 1.0),
]
PAIRS = 4_000_000

Spacing = tuple[float, float, float]
Weights = npt.NDArray[np.float64]


def octant(kernel: PointKernel, spacing: Spacing) -> Weights:
    """Weights of voxels at offsets of 0 and more."""
    weights = voxelise(kernel, spacing).energy_fraction
    return weights[tuple(slice(n // 2, None) for n in weights.shape)]


def merged_from_eighths(fine: Weights, shape: tuple[int, ...]) -> Weights:
    """Weights of voxels from those of voxels half as large: an identity, whatever the kernel.

    A voxel's weight is the mean over the halves of the source and the sum over those of the target along each axis, so an offset
    of ``n`` voxels takes ``2n - 1``, ``2n`` and ``2n + 1`` halves with weights 1/2, 1 and 1/2.
    """
    for axis, size in enumerate(shape):
        along = np.moveaxis(fine, axis, 0)
        padded = np.concatenate([along, np.zeros((2 * size + 2, *along.shape[1:]))])
        at = along.shape[0] // 2 + 2 * np.arange(size // 2 + 1)
        merged = (padded[at - 1] + padded[at + 1]) / 2 + padded[at]
        fine = np.moveaxis(np.concatenate([merged[:0:-1], merged]), 0, axis)
    return fine


def finer(kernel: PointKernel, spacing: Spacing) -> Weights:
    """The octant from voxels cut in eighths, whose sums over radius take steps of their own, up to half as wide."""
    k, j, i = spacing
    half = voxelise(kernel, (k / 2, j / 2, i / 2)).energy_fraction
    usual = octant(kernel, spacing).shape
    merged = merged_from_eighths(half, tuple(2 * n - 1 for n in usual))
    return merged[tuple(slice(n - 1, None) for n in usual)]


def by_pairs(kernel: PointKernel, spacing: Spacing, shape: tuple[int, ...]) -> Weights:
    """Monte Carlo over pairs of points, ``PAIRS`` in all, shared by the voxels of the octant."""
    rng = np.random.default_rng(1)
    size = np.array(spacing)
    each = PAIRS // int(np.prod(shape))
    per_mm = kernel.at(radius := np.arange(0.0, 12.0, 0.005))[1]
    result = np.zeros(shape)
    for offset in itertools.product(*(range(n) for n in shape)):
        apart = (rng.random((each, 3)) - rng.random((each, 3)) + offset) * size
        r = np.sqrt((apart**2).sum(axis=1))
        result[offset] = (np.interp(r, radius, per_mm, right=0) / (4 * np.pi * r**2)).mean() * size.prod()
    return result


def errors(found: Weights, limit: Weights) -> tuple[float, float]:
    """Of the self weight and of all weights above 1e-4 of it."""
    heavy = limit > 1e-4 * limit.max()
    apart = np.abs(found[heavy] / limit[heavy] - 1)
    return float(apart[0]), float(apart.max())


def build_s(kernel: PointKernel, spacing: Spacing) -> float:
    """CPU seconds of one voxel kernel, best of nine."""
    best = float("inf")
    for _ in range(10):
        start = time.process_time()
        voxelise(kernel, spacing)
        best = min(best, time.process_time() - start)
    return best


def main() -> None:
    """Print the table."""
    print(told(describe_machine()))  # noqa: T201
    kernel = point_kernel()
    for spacing in SPACINGS:
        best = build_s(kernel, spacing)
        found, limit = octant(kernel, spacing), finer(kernel, spacing)
        own = errors(found, limit)
        start = time.process_time()
        random = by_pairs(kernel, spacing, limit.shape)
        spent = time.process_time() - start
        theirs = errors(random, limit)
        name = " x ".join(f"{s:g}" for s in spacing)
        print(  # noqa: T201
            f"{name:>16} mm: {1000 * best:5.1f} ms, error self {own[0]:.0e}, weights {own[1]:.0e}, "
            f"sum {abs(voxelise(kernel, spacing).energy_fraction.sum() - kernel.within(12)):.0e};   "
            f"{PAIRS / 1e6:g} M pairs: {1000 * spent:5.0f} ms, self {theirs[0]:.0e}, weights {theirs[1]:.0e}"
        )


if __name__ == "__main__":
    main()
