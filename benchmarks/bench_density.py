"""Density-aware dose of a liver under a lung: CPU time and its own discretisation error, homogeneous engine beside it.

    python -m benchmarks.bench_density [--quick]

CPU seconds of the process (all threads), best of three; compilation is timed apart. The error is against 16 times as
many rays: rms of the relative difference over voxels above 1 % of the maximum, everywhere and in lung alone, both on the
tissue side of air. Then a CT grid with CT noise, with activity on it, on a SPECT grid and between the two; and dose against
depth at a liver and lung beside the straight-ray integral, which is exact for straight rays but says nothing of what they
leave out.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

from benchmarks.machine import describe_machine, told
from voxeldose.dose.engines.convolution import Convolution
from voxeldose.dose.engines.rays.transport import RayTransport
from voxeldose.geometry.resample import onto
from voxeldose.model.grid import Grid
from voxeldose.model.kernel import point_kernel
from voxeldose.model.radionuclide import Y90
from voxeldose.model.volume import DecayMap, DensityMap, DoseMap

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

CASES = {"SPECT 128³ 4.8 mm": (128, 4.8), "200³ 2 mm": (200, 2.0)}
FINER = 16
RAYS_BY_SIZE = {4.8: 1024, 2.0: 512}
RAYS_UNDER_CT = 512  # from each of the eight parts of 2.4 mm in which a voxel of 4.8 mm is seen


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


def on_ct(activity_mm: float | None) -> tuple[DecayMap, DensityMap]:
    """Liver under a lung, 512 x 512 x 220 voxels of 0.98 x 0.98 x 2 mm with 2 % noise; activity there or on its own grid."""
    shape, spacing = (220, 512, 512), (2.0, 0.98, 0.98)
    grid = Grid.from_axes(shape, spacing, [-(n - 1) / 2 * s for n, s in zip(shape[::-1], spacing[::-1], strict=True)])
    k, j, i = (
        _along(n, s).reshape([-1 if a == axis else 1 for a in range(3)])
        for axis, (n, s) in enumerate(zip(shape, spacing, strict=True))
    )
    liver = (k / 62) ** 2 + (j / 70) ** 2 + (i / 90.8) ** 2 <= 1
    density = np.where((j / 110) ** 2 + (i / 160) ** 2 + 0 * k <= 1, np.float32(0.95), np.float32(0.0012))
    density[(((k - 90) / 110) ** 2 + (j / 80) ** 2 + (i / 100) ** 2 <= 1) & (k > 0) & ~liver] = 0.26
    density[liver] = 1.05
    noise = np.random.default_rng(1).standard_normal(shape, np.float32)
    density += np.where(density > 0.1, np.float32(0.02) * noise, np.float32(0))
    if activity_mm is None:
        return DecayMap(liver * np.float32(1e7), grid, radionuclide=Y90), DensityMap(density, grid)
    number = int(480 / activity_mm)
    axis = _along(number, activity_mm) + 0.3
    own = Grid.from_axes((number,) * 3, (activity_mm,) * 3, (float(axis[0]),) * 3)
    k, j, i = np.meshgrid(axis, axis, axis, indexing="ij", sparse=True)
    active = (k / 62) ** 2 + (j / 70) ** 2 + (i / 90.8) ** 2 <= 1
    return DecayMap(active * 1e9, own, radionuclide=Y90), DensityMap(density, grid)


def _along(number: int, spacing: float) -> npt.NDArray[np.float32]:
    return ((np.arange(number) - (number - 1) / 2) * spacing).astype(np.float32)


def print_ct() -> None:
    """Times on a CT grid."""
    kernel = point_kernel()
    for name, activity_mm, wanted in (
        ("activity and dose on the CT", None, False),
        ("SPECT 4.8 mm, dose there", 4.8, False),
        ("SPECT 4.8 mm, dose on the CT", 4.8, True),
    ):
        decays, density = on_ct(activity_mm)
        grid = density.grid if wanted else None
        cpu, wall, dose = seconds(lambda d=decays, r=density, g=grid: RayTransport(kernel).dose(d, r, g), 1)
        plain, _, _ = seconds(lambda d=decays, g=grid: Convolution(kernel).dose(d, 1.05, g), 1)
        own = ""
        if activity_mm and not wanted:
            finer = RayTransport(kernel, rays=FINER * RAYS_UNDER_CT).dose(decays, density)
            seen = onto(density, decays.grid).g_per_ml
            lung = (seen > 0.1) & (seen < 0.5)
            own = f"error {error_percent(dose, finer, seen > 0.05):.2f} %, lung {error_percent(dose, finer, lung):.2f} %; "
        print(  # noqa: T201
            f"CT 512 x 512 x 220: {name}: {cpu:.1f} s CPU, {wall:.1f} s wall; {own}homogeneous {plain:.2f} s; "
            f"lost {dose.energy_lost_fraction:.3%}"
        )


def print_ct_error() -> None:
    """Error on the CT grid itself, on a part of it across the liver's dome and the lung: 4096 rays stand for the truth."""
    decays, density = on_ct(None)
    first, size = (111, 216, 216), (44, 80, 80)
    part = decays.grid.window(list(first), list(size))
    cut = tuple(slice(a, a + n) for a, n in zip(first, size, strict=True))
    some = DecayMap(decays.decays[cut].copy(), part, radionuclide=Y90)
    seen = DensityMap(density.g_per_ml[cut].copy(), part)
    cpu, _, dose = seconds(lambda: RayTransport(point_kernel()).dose(some, seen), 1)
    finer = RayTransport(point_kernel(), rays=4096).dose(some, seen)
    lung = seen.g_per_ml < 0.5
    print(  # noqa: T201
        f"CT, {size[0]} x {size[1]} x {size[2]} voxels of it, activity and dose there: {cpu:.1f} s CPU; error "
        f"{error_percent(dose, finer, seen.g_per_ml > 0):.2f} %, lung {error_percent(dose, finer, lung):.2f} %"
    )


def print_interface() -> None:
    """Dose against depth across liver (1.05) and lung (0.26), activity in the liver, layers of 2 mm on a 4 mm image."""
    from tests.validation.test_interface import DECAYS_PER_MM3, KERNEL, LIVER, LUNG, equilibrium, slab_integral

    layers, border, wide = 36, 18, 25
    rho = np.where(np.arange(layers) < border, LIVER, LUNG)
    factor = np.where(rho > 1, 1.0122, 1.0)
    exact = slab_integral(np.full(layers, 2.0), rho, factor, np.where(rho > 1, DECAYS_PER_MM3, 0.0))
    image = Grid.from_axes((layers // 2, wide, wide), (4.0,) * 3, (0, 0, 1.0))
    fine = Grid.from_axes((layers, wide, wide), (2.0, 4.0, 4.0), (0, 0, 0))
    values = np.zeros(image.shape)
    values[: border // 2] = DECAYS_PER_MM3 * 64
    decays = DecayMap(values, image, radionuclide=Y90)
    density = DensityMap(np.broadcast_to(rho[:, None, None], fine.shape), fine)
    rays = RayTransport(KERNEL, tail_mm=0).dose(decays, density, fine).gy[:, wide // 2, wide // 2]
    plain = Convolution(KERNEL).dose(decays, LIVER, fine).gy[:, wide // 2, wide // 2]
    print("depth mm  medium  integral  rays/integral  homogeneous/integral   (1: equilibrium in the liver)")  # noqa: T201
    for n in range(border - 8, border + 8):
        depth, medium = (n - border + 0.5) * 2, "liver" if n < border else "lung"
        print(  # noqa: T201
            f"{depth:8.0f}  {medium:6s}  {exact[n] / equilibrium(LIVER):8.4f}  {rays[n] / exact[n]:13.4f}  {plain[n] / exact[n]:20.3f}"
        )


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

    print_interface()
    if not quick:
        print_ct()
        print_ct_error()


if __name__ == "__main__":
    main()
