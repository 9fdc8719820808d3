"""Percentiles of twelve regions on a CT grid, beside numpy.percentile region by region, in one run.

    python -m benchmarks.bench_dvh

CPU seconds of the process, best of three. The peer selects each region's voxels from a label map and asks
numpy.percentile for the six doses; voxeldose starts from its regions (cropped occupancies).
"""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.machine import describe_machine, told
from voxeldose.model.dvh import Dvh
from voxeldose.model.grid import Grid
from voxeldose.model.roi import Roi

if TYPE_CHECKING:
    from collections.abc import Callable

SHAPE = (220, 512, 512)
PARTS = (0.98, 0.95, 0.90, 0.70, 0.50, 0.02)


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds, best of three."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def main() -> None:
    """Print the figures."""
    print(told(describe_machine()))  # noqa: T201
    grid = Grid.from_axes(SHAPE, (2.5, 0.98, 0.98), (0, 0, 0))
    rng = np.random.default_rng(1)
    dose = rng.gamma(2.0, 50.0, SHAPE).astype(np.float32)
    labels = np.zeros(SHAPE, np.uint8)
    for n in range(12):  # slabs that fill the grid
        labels[:, n * 512 // 12 : (n + 1) * 512 // 12] = n + 1
    whole = [Roi(str(n), "other", labels == n + 1, grid) for n in range(12)]
    partial = [
        Roi(r.name, r.role, r.occupancy * rng.uniform(0.2, 1, r.grid.shape).astype(np.float32), r.grid) for r in whole
    ]

    def ours(regions: list[Roi]) -> list[list[float]]:
        rows = []
        for roi in regions:
            dvh = Dvh(dose[grid.slices_of(roi.grid)], roi.occupancy, grid.voxel_volume_ml)
            rows.append(dvh.at([], PARTS)[1])
        return rows

    def peer() -> list[np.ndarray]:
        return [np.percentile(dose[labels == n + 1], [100 * (1 - p) for p in PARTS]) for n in range(12)]

    apart = np.abs(np.array(ours(whole)) - np.array(peer())).max()
    base = seconds(peer)
    for name, regions in (("whole voxels", whole), ("fractional voxels", partial)):
        took = seconds(functools.partial(ours, regions))
        ratio = f"numpy.percentile {base:.2f} s, ratio {base / took:.1f}"
        print(f"12 regions, {np.prod(SHAPE):,} voxels, {name}: {took:.2f} s; {ratio}")  # noqa: T201
    print(f"largest difference {apart:.1e} Gy (numpy interpolates between two voxels)")  # noqa: T201


if __name__ == "__main__":
    main()
