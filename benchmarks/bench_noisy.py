"""Density-aware dose of noisy PETs: CPU time, and error over the whole image.

    python -m benchmarks.bench_noisy [--quick]

Noise fills the field, air and skin included, so that nearly every voxel is a source, and the CT is noisy too. Two phantoms of
other shapes than each other, each with two patterns of noise; CPU seconds of the process (all threads) on 200 x 200 x 109 voxels,
and on a smaller image the rms error against many times as many rays: over voxels above 1 % of the maximum, everywhere and in lung
alone, both on the tissue side of air. ``--quick`` leaves out the large image and all but one pattern.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

from benchmarks.machine import describe_machine, told
from voxeldose.dose.engines.rays.transport import RayTransport
from voxeldose.geometry.resample import onto
from voxeldose.model.densities import AIR_G_PER_ML
from voxeldose.model.grid import Grid
from voxeldose.model.kernel import point_kernel
from voxeldose.model.radionuclide import Y90
from voxeldose.model.volume import DecayMap, DensityMap

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

LARGE, SMALL = (109, 200, 200), (56, 84, 92)
#: Of a voxel of the PET, and of the CT's.
PET_MM, CT_MM = (3.0, 4.07, 4.07), (1.5, 2.035, 2.035)
LUNG_BELOW = 0.5
MANY_RAYS = 1024

#: Standard deviation of a voxel at the concentration of normal liver, of the CT in g/mL, and FWHM of the PET's blur and noise.
NOISE, CT_NOISE, BLUR_MM = 0.35, 0.02, 6.5


def torso(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], kind: str) -> tuple[Floats, Floats]:
    """Relative activity (1 in normal liver) and density of a phantom: ``dome`` under one lung, or ``wedge`` between two."""
    k, j, i = (
        ((np.arange(n) - n / 2 + 0.5) * s).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        for axis, (n, s) in enumerate(zip(shape, spacing_mm, strict=True))
    )
    body = (j / 105) ** 2 + (i / 150) ** 2 + 0 * k <= 1
    if kind == "dome":
        liver = (k / 62) ** 2 + (j / 70) ** 2 + (i / 90) ** 2 <= 1
        lung = (((k - 90) / 110) ** 2 + (j / 80) ** 2 + (i / 100) ** 2 <= 1) & (k > 0) & ~liver
        bone = ((j - 88) ** 2 + i**2 <= 14**2) & (k < 1e3)
        tumors = ((10, 20, -30, 22), (-15, -25, 40, 13), (30, 5, 0, 9))
    else:
        liver = (np.abs(k) <= 55) & (i < 0.7 * k + 60) & ((i + 20) ** 2 / 100**2 + (j / 65) ** 2 <= 1)
        lung = ((((np.abs(i) - 75) / 55) ** 2 + (j / 75) ** 2 + ((k - 75) / 90) ** 2) <= 1) & ~liver
        bone = ((j - 80) ** 2 + i**2 <= 17**2) | (np.abs(np.sqrt((j / 98) ** 2 + (i / 140) ** 2) - 1) < 0.03) & (
            k % 25 < 9
        )
        tumors = ((0, 0, -60, 25), (-20, 30, -20, 16), (25, -20, -50, 11))
    density = np.where(body, 0.98, 0.0012).astype(np.float32)
    density[np.broadcast_to(bone & body, shape)] = 1.35
    density[lung & body] = 0.26
    density[liver & body] = 1.05
    activity = (liver & body).astype(np.float32)
    for a, b, c, radius in tumors:
        activity[((k - a) ** 2 + (j - b) ** 2 + (i - c) ** 2 <= radius**2) & liver] = 6
    return activity, density


def noisy(shape: tuple[int, int, int], kind: str, seed: int) -> tuple[DecayMap, DensityMap]:
    """A PET and the density of a CT with voxels of half its size, both with noise everywhere."""
    rng = np.random.default_rng(seed)
    pet = Grid.from_axes(shape, PET_MM, [-(n - 1) / 2 * s for n, s in zip(shape[::-1], PET_MM[::-1], strict=True)])
    ct = pet.with_spacing(CT_MM)
    activity, _ = torso(shape, PET_MM, kind)
    _, density = torso(ct.shape, CT_MM, kind)
    sigma = [BLUR_MM / 2.3548 / s for s in PET_MM]
    blurred = gaussian_filter(activity, sigma)
    noise = gaussian_filter(rng.standard_normal(shape).astype(np.float32), sigma)
    values = blurred + NOISE * np.sqrt(np.maximum(blurred, 0.1)) * noise / noise.std()
    density += CT_NOISE * rng.standard_normal(ct.shape).astype(np.float32) * (density > AIR_G_PER_ML)
    return (
        DecayMap((values * 1e9).astype(np.float32), pet, radionuclide=Y90),
        DensityMap(np.maximum(density, 0.0012), ct),
    )


def cpu_seconds(decays: DecayMap, density: DensityMap, rays: int | None = None) -> tuple[float, Floats]:
    """CPU seconds of a run, and its dose."""
    start = time.process_time()
    dose = RayTransport(point_kernel(), rays=rays).dose(decays, density)
    return time.process_time() - start, dose.gy


def main() -> None:
    """Print what was measured."""
    quick = "--quick" in sys.argv
    print(told(describe_machine()))  # noqa: T201
    cpu_seconds(*noisy((12, 20, 20), "dome", 1))  # compile
    for kind in ("dome", "wedge"):
        for seed in (1,) if quick else (1, 2):
            decays, density = noisy(SMALL, kind, seed)
            seconds, dose = cpu_seconds(decays, density)
            truth_seconds, truth = cpu_seconds(decays, density, MANY_RAYS)
            rho = onto(density, decays.grid).g_per_ml
            shown = (truth > 0.01 * truth.max()) & (rho > AIR_G_PER_ML)
            text = (
                f"{kind}, noise {seed}, {SMALL}: {seconds:.1f} CPU s ({truth_seconds:.0f} with {MANY_RAYS} rays a part)"
            )
            for name, where in (("everywhere", shown), ("lung", shown & (rho < LUNG_BELOW))):
                off = float(np.sqrt(np.mean((dose[where] / truth[where] - 1) ** 2)))
                bias = float(dose[where].sum(dtype=float) / truth[where].sum(dtype=float) - 1)
                text += f"; {name} rms {off:.2%}, bias {bias:+.2%}"
            print(text, flush=True)  # noqa: T201
        if not quick:
            seconds, _ = cpu_seconds(*noisy(LARGE, kind, 3))
            print(f"{kind}, noise 3, {LARGE}: {seconds:.1f} CPU s", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
