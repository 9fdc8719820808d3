"""Dose step of the dpk engine beside scipy.signal.fftconvolve on the whole grid and on the cropped box, in one run.

    python benchmarks/bench_convolution.py

CPU seconds of the process (all threads), best of five. The crop to the activity's box is worth most of the gain.
"""

from __future__ import annotations

import os
import platform
import time
from typing import TYPE_CHECKING

import numpy as np
import scipy
from scipy.signal import fftconvolve

from voxeldose.dpk import point_kernel, voxelise
from voxeldose.engines.convolution import Convolution
from voxeldose.grid import Grid
from voxeldose.radionuclide import Y90
from voxeldose.volume import DecayMap

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

CASES = {
    "SPECT 128³ 4.8 mm": ((128, 128, 128), (4.8, 4.8, 4.8)),
    "PET 109×200×200 3/4.07 mm": ((109, 200, 200), (3.0, 4.07, 4.07)),
    "2 mm 200³": ((200, 200, 200), (2.0, 2.0, 2.0)),
}


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds, best of five."""
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def phantom(grid: Grid, *, dense: bool) -> npt.NDArray[np.float32]:
    """Noise everywhere, or in a 1.7 L ellipsoid in the middle only."""
    rng = np.random.default_rng(1)
    values = rng.random(grid.shape, np.float32) * np.float32(1e9)
    if not dense:
        axes = [(np.arange(n) - n / 2) * s for n, s in zip(grid.shape, grid.spacing_mm, strict=True)]
        k, j, i = np.meshgrid(*axes, indexing="ij", sparse=True)
        values[(k / 65) ** 2 + (j / 70) ** 2 + (i / 90) ** 2 > 1] = 0
    return values


def main() -> None:
    """Print the table."""
    print(f"{platform.platform()}, {os.cpu_count()} cores, numpy {np.__version__}, scipy {scipy.__version__}")  # noqa: T201
    kernel = point_kernel()
    for name, (shape, spacing) in CASES.items():
        grid = Grid.from_axes(shape, spacing, (0, 0, 0))
        weights = voxelise(kernel, spacing, density_g_per_ml=1.04).energy_fraction
        making = seconds(lambda s=spacing: voxelise(kernel, s, density_g_per_ml=1.04))  # type: ignore[misc]
        fit = voxelise(kernel, spacing, density_g_per_ml=1.04)
        for dense in (True, False):
            decays = DecayMap(phantom(grid, dense=dense), grid, radionuclide=Y90)
            engine = Convolution(fit)
            ours = seconds(lambda e=engine, d=decays: e.dose(d, 1.04))  # type: ignore[misc]
            peer = seconds(lambda d=decays, w=weights: fftconvolve(d.decays, w.astype(np.float32), "same"))  # type: ignore[misc]
            whole = fftconvolve(decays.decays.astype(float), weights, "same")
            dose = engine.dose(decays, 1.04).gy
            apart = float(np.abs(dose / dose.max() - whole / whole.max()).max())
            kind = "dense " if dense else "sparse"
            print(  # noqa: T201
                f"{name:28s} {kind} dose {ours:.3f} s, fftconvolve float32 {peer:.3f} s, ratio {peer / ours:.2f}; kernel "
                f"{1000 * making:.0f} ms; largest difference {apart:.1e} of the maximum"
            )


if __name__ == "__main__":
    main()
