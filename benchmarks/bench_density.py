"""Density-aware dose of a liver under a lung: CPU time and its own discretisation error, homogeneous engine beside it.

    python -m benchmarks.bench_density [--quick]

CPU seconds of the process (all threads), best of three; compilation is timed apart. The error is against 16 times as
many rays: rms of the relative difference over voxels above 1 % of the maximum, everywhere and in lung alone, both on the
tissue side of air. It says nothing of what straight rays leave out; tests/validation/test_interface.py has the integral.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

from benchmarks.machine import describe_machine, told
from voxeldose.dpk import point_kernel
from voxeldose.engines.convolution import Convolution
from voxeldose.engines.density import RayTransport
from voxeldose.grid import Grid
from voxeldose.radionuclide import Y90
from voxeldose.volume import DecayMap, DensityMap, DoseMap

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

CASES = {"SPECT 128³ 4.8 mm": (128, 4.8), "200³ 2 mm": (200, 2.0)}
FINER = 16
RAYS_BY_SIZE = {4.8: 1024, 2.0: 512}


def seconds(work: Callable[[], DoseMap], times: int = 3) -> tuple[float, float, DoseMap]:
    """CPU and wall seconds, each the best, and the result."""
    best, wall = float("inf"), float("inf")
    for _ in range(times):
        start, begin = time.process_time(), time.perf_counter()
        dose = work()
        best, wall = min(best, time.process_time() - start), min(wall, time.perf_counter() - begin)
    return best, wall, dose


def phantom(size: int, spacing: float, fwhm_mm: float) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Relative activity (1 in the liver, 8 in four tumors) and density: liver 1.65 L, lung above it, body, air."""
    axis = (np.arange(size) - size / 2 + 0.5) * spacing
    k, j, i = np.meshgrid(axis, axis, axis, indexing="ij", sparse=True)
    liver = (k / 62) ** 2 + (j / 70) ** 2 + (i / 90.8) ** 2 <= 1
    body = (j / 110) ** 2 + (i / 160) ** 2 + 0 * k <= 1
    lung = (((k - 90) / 110) ** 2 + (j / 80) ** 2 + (i / 100) ** 2 <= 1) & (k > 0) & ~liver
    density = np.where(body, 0.95, 0.0012)
    density[lung] = 0.26
    density[liver] = 1.05
    activity = liver.astype(np.float64)
    rng = np.random.default_rng(3)
    for _ in range(4):
        a, b, c = rng.uniform(-1, 1, 3) * (35, 40, 50)
        activity[((k - a) ** 2 + (j - b) ** 2 + (i - c) ** 2 <= rng.uniform(8, 20) ** 2) & liver] = 8
    if fwhm_mm:
        activity = gaussian_filter(activity, fwhm_mm / 2.3548 / spacing)
        activity[activity < 1e-3] = 0
    return activity.astype(np.float32), density.astype(np.float32)


def error_percent(dose: DoseMap, finer: DoseMap, where: npt.NDArray[np.bool_]) -> float:
    """Relative rms difference over voxels above 1 % of the maximum."""
    seen = where & (finer.gy > 0.01 * finer.gy.max())
    return float(100 * np.sqrt(np.mean((dose.gy[seen] / finer.gy[seen] - 1) ** 2)))


def main() -> None:
    """Print the table."""
    quick = "--quick" in sys.argv
    print(told(describe_machine()))  # noqa: T201
    kernel = point_kernel()
    small = Grid.from_axes((6, 6, 6), (4.0,) * 3, (0, 0, 0))
    one = DecayMap(np.arange(216, dtype=np.float32).reshape(small.shape), small, radionuclide=Y90)
    ramp = DensityMap(1 + one.values / np.float32(216), small)
    first, _, _ = seconds(lambda: RayTransport(kernel).dose(one, ramp), 1)
    print(f"first dose of a 6³ image, with loading or compiling the loop: {first:.2f} s CPU")  # noqa: T201
    for name, (size, spacing) in CASES.items():
        for fwhm in (0.0, 10.0):
            activity, density = phantom(size, spacing, fwhm)
            grid = Grid.from_axes(activity.shape, (spacing,) * 3, (0, 0, 0))
            decays = DecayMap(activity * np.float32(1e9), grid, radionuclide=Y90)
            rho = DensityMap(density, grid)
            engine = RayTransport(kernel)
            cpu, wall, dose = seconds(partial(engine.dose, decays, rho))
            plain, _, _ = seconds(partial(Convolution(kernel).dose, decays, 1.05))
            line = f"{name:18s} {'10 mm FWHM' if fwhm else 'sharp     '} {cpu:5.2f} s CPU, {wall:5.2f} s wall"
            if not quick:
                many = RayTransport(kernel, rays=FINER * RAYS_BY_SIZE[spacing])
                finer = many.dose(decays, rho)
                lung = np.isclose(density, 0.26)
                line += f"; error {error_percent(dose, finer, density > 0.05):.2f} %"
                line += f", lung {error_percent(dose, finer, lung):.2f} %"
            print(f"{line}; homogeneous {plain:.3f} s; lost {dose.energy_lost_fraction:.3%}")  # noqa: T201


if __name__ == "__main__":
    main()
