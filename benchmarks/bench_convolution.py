"""Dose step of the dpk engine beside its peers on four grids, dense and with activity in the liver only.

    python benchmarks/bench_convolution.py            # all: about five minutes
    python benchmarks/bench_convolution.py SPECT PET  # grids whose name begins so

CPU seconds are those of the process (all threads), medians of interleaved runs; wall seconds beside them. What counts as
ours is all of ``Convolution.dose`` for a ready voxel kernel: checks, sums and the result included. Peers are given the
float32 array. Of an image that is zero outside the liver, fftconvolve gets the box of the activity plus the kernel's reach
("cropped"; finding the box included) as well as the whole: the crop itself is worth most of the gain.

Peak memory is the rise of the process's resident peak (Linux: VmHWM, reset through /proc/self/clear_refs) during one call
in a process of its own, after calls on small images; the result counts as one grid. First dose: a fresh process,
everything from the start of Python, with an empty and with a filled NUMBA_CACHE_DIR.
"""

# ruff: noqa: T201
from __future__ import annotations

import importlib
import importlib.util
import itertools
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import scipy

from voxeldose.dpk import point_kernel, voxelise
from voxeldose.engines.convolution import Convolution
from voxeldose.grid import Grid
from voxeldose.radionuclide import Y90
from voxeldose.volume import DecayMap

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Image = npt.NDArray[np.float32]

#: Shape, spacing in mm, and the ratios to fftconvolve aimed at: dense, and in the liver only on the cropped box.
CASES = {
    "SPECT 128x128x128, 4.8 mm": ((128, 128, 128), (4.8, 4.8, 4.8), 3.0, 1.0),
    "PET 109x200x200, 3/4.07 mm": ((109, 200, 200), (3.0, 4.07, 4.07), 2.5, 1.0),
    "2mm 200x200x200": ((200, 200, 200), (2.0, 2.0, 2.0), 2.0, 1.1),
    "CT 220x512x512, 2.5/0.98 mm": ((220, 512, 512), (2.5, 0.98, 0.98), 1.5, 1.5),
}
DENSITY = 1.04

FIRST_DOSE = """
import sys
import numpy as np
import voxeldose as vd
from voxeldose.dpk import point_kernel
from voxeldose.engines.convolution import Convolution
from voxeldose.grid import Grid
from voxeldose.radionuclide import Y90
from voxeldose.volume import DecayMap
import resource
mm = float(sys.argv[1])
grid = Grid.from_axes((64, 80, 80), (mm, mm, mm), (0, 0, 0))
decays = DecayMap(np.random.default_rng(1).random(grid.shape, np.float32), grid, radionuclide=Y90)
Convolution(point_kernel()).dose(decays, 1.04)
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime)
"""


def phantom(grid: Grid, *, dense: bool) -> Image:
    """Noise everywhere, or in a 1.7 L ellipsoid in the middle only."""
    values = np.random.default_rng(1).random(grid.shape, np.float32)
    values *= np.float32(1e9)
    if not dense:
        axes = [(np.arange(n) - n / 2) * s for n, s in zip(grid.shape, grid.spacing_mm, strict=True)]
        k, j, i = np.meshgrid(*axes, indexing="ij", sparse=True)
        values[(k / 65) ** 2 + (j / 70) ** 2 + (i / 90) ** 2 > 1] = 0
    return values


def cropped(values: Image, weights: Image) -> Image:
    """What a user of fftconvolve can do in a few lines."""
    from scipy.signal import fftconvolve

    filled = np.asarray(values.any(axis=2))
    k, j = np.flatnonzero(filled.any(axis=1)), np.flatnonzero(filled.any(axis=0))
    i = np.flatnonzero(values[k[0] : k[-1] + 1, j[0] : j[-1] + 1].any(axis=(0, 1)))
    box = tuple(slice(max(0, a[0] - n // 2), a[-1] + 1 + n // 2) for a, n in zip((k, j, i), weights.shape, strict=True))
    result = np.zeros(values.shape, np.float32)
    result[box] = fftconvolve(values[box], weights, "same")
    return result


def with_simpleitk(values: Image, weights: Image) -> Image:
    """SimpleITK's FFTConvolution with zeros outside."""
    import SimpleITK as sitk  # noqa: N813

    image, kernel = sitk.GetImageFromArray(values), sitk.GetImageFromArray(weights)
    found = sitk.FFTConvolution(image, kernel, False, sitk.FFTConvolutionImageFilter.ZERO_PAD)
    return np.asarray(sitk.GetArrayFromImage(found), np.float32)


def with_torch(values: Image, weights: Image) -> Image:
    """The conv3d of torch (a correlation; the kernel is symmetric)."""
    import torch

    given, kernel = (torch.from_numpy(a.copy())[None, None] for a in (values, weights))
    found = torch.nn.functional.conv3d(given, kernel, padding=tuple(n // 2 for n in weights.shape))
    return np.asarray(found[0, 0].numpy(), np.float32)


def setup(name: str, *, dense: bool) -> tuple[DecayMap, Convolution, Image]:
    """Decays, engine with a ready voxel kernel, and the kernel for peers."""
    shape, spacing, *_ = CASES[name]
    grid = Grid.from_axes(shape, spacing, (0, 0, 0))
    kernel = voxelise(point_kernel(), spacing, density_g_per_ml=DENSITY)
    decays = DecayMap(phantom(grid, dense=dense), grid, radionuclide=Y90)
    return decays, Convolution(kernel), kernel.energy_fraction.astype(np.float32)


def work_of(who: str, decays: DecayMap, engine: Convolution, weights: Image) -> Callable[[], Image]:
    """The call to be measured."""
    from scipy.signal import fftconvolve

    return {
        "ours": lambda: engine.dose(decays, DENSITY).gy,
        "fftconvolve": lambda: fftconvolve(decays.decays, weights, "same"),
        "cropped": lambda: cropped(decays.decays, weights),
        "SimpleITK": lambda: with_simpleitk(decays.decays, weights),
        "torch": lambda: with_torch(decays.decays, weights),
    }[who]


def times(work: dict[str, Callable[[], Image]], runs: int) -> dict[str, tuple[float, float]]:
    """Median CPU and wall seconds of each, in turn; each counted call follows one that is not."""
    cpu: dict[str, list[float]] = {who: [] for who in work}
    wall: dict[str, list[float]] = {who: [] for who in work}
    for _ in range(runs):
        for who, call in work.items():
            call()  # each finds the caches as it leaves them itself
            before, start = time.process_time(), time.perf_counter()
            call()
            cpu[who].append(time.process_time() - before)
            wall[who].append(time.perf_counter() - start)
    return {who: (statistics.median(cpu[who]), statistics.median(wall[who])) for who in work}


def resident_kib(field: str) -> int:
    """A field of /proc/self/status."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(field)))


def print_peak(name: str, kind: str, who: str) -> None:
    """Rise of the resident peak in grids; called in a process of its own."""
    decays, engine, weights = setup(name, dense=kind == "dense")
    for spacing, side in itertools.product((CASES[name][1], (4.8, 4.8, 4.8)), (8, 24, 48)):
        # what is compiled or imported once does not count, whichever way the sum is taken
        small = Grid.from_axes((side, side, side), spacing, (0, 0, 0))
        ones = DecayMap(np.ones(small.shape, np.float32), small, radionuclide=Y90)
        fit = voxelise(point_kernel(), spacing, density_g_per_ml=DENSITY)
        work_of(who, ones, Convolution(fit), fit.energy_fraction.astype(np.float32))()
    Path("/proc/self/clear_refs").write_text("5", "ascii")
    before = resident_kib("VmRSS")
    kept = work_of(who, decays, engine, weights)()
    print((resident_kib("VmHWM") - before) * 1024 / kept.nbytes)


def in_process(*arguments: str, cache: str | None = None) -> float:
    """The number that another process prints."""
    environment = os.environ | ({"NUMBA_CACHE_DIR": cache} if cache else {})
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True, env=environment)  # noqa: S603
    return float(done.stdout)


def compare(name: str, *, dense: bool) -> None:
    """Print the rows of one grid and phantom."""
    from scipy.signal import fftconvolve

    kind = "dense" if dense else "liver"
    decays, engine, weights = setup(name, dense=dense)
    peers = ["fftconvolve"] if dense else ["cropped", "fftconvolve"]
    peers += [
        who for who, module in (("SimpleITK", "SimpleITK"), ("torch", "torch")) if importlib.util.find_spec(module)
    ]
    runs = 3 if decays.decays.size > 2e7 else 9
    fast = {who: work_of(who, decays, engine, weights) for who in ["ours", *peers] if who not in ("SimpleITK", "torch")}
    found = times(fast, runs)
    slow = {who: work_of(who, decays, engine, weights) for who in peers if who not in fast}
    found |= times(slow, 1 if runs == 3 else 3)
    kernel = engine.kernel
    exact = fftconvolve(decays.decays.astype(float), kernel.energy_fraction, "same")
    dose = engine.dose(decays, DENSITY).gy
    scale = float(dose.sum(dtype=float)) / float(exact.sum())
    exact *= scale
    apart, high = np.abs(dose - exact), exact > 0.01 * exact.max()
    relative, absolute = float((apart[high] / exact[high]).max()), float(apart.max() / exact.max())
    _, _, wanted_dense, wanted_cropped = CASES[name]
    first, wanted = peers[0], wanted_dense if dense else wanted_cropped
    ratio = found[first][0] / found["ours"][0]
    verdict = "reached" if ratio >= wanted else "MISSED"
    print(
        f"\n{name}, {kind}: {ratio:.2f} x {first} (goal {wanted}, {verdict}); error {relative:.1e} of the dose above 1 % "
    )
    print(f"  of the maximum, {absolute:.1e} of the maximum anywhere; least dose {dose.min():.1g}")
    for who, (cpu, wall) in found.items():
        grids = in_process(__file__, "--peak", name, kind, who)
        print(
            f"  {who:12s} CPU {cpu:8.4f} s  wall {wall:8.4f} s  peak {grids:5.2f} grids  {cpu / found['ours'][0]:6.2f} x ours"
        )


def main() -> None:
    """Print the tables."""
    versions = {m: importlib.util.find_spec(m) for m in ("numba", "SimpleITK", "torch")}
    installed = [
        f"{m} {importlib.import_module(m).__version__}" if s else f"{m} not installed" for m, s in versions.items()
    ]
    machine = next(
        (x.split(":")[1].strip() for x in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in x),
        "unknown CPU",
    )
    print(f"{platform.platform()}, {machine}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(
        f"Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}, {', '.join(installed)}"
    )
    for mm in ("4.8", "2"):
        with tempfile.TemporaryDirectory() as cache:
            cold = in_process("-c", FIRST_DOSE, mm, cache=cache)
            warm = statistics.median(in_process("-c", FIRST_DOSE, mm, cache=cache) for _ in range(3))
        print(
            f"first dose of a fresh process, {mm} mm: {cold:.2f} s CPU with a cold numba cache, {warm:.2f} s warm (goal 2 s)"
        )
    for name in CASES:
        if len(sys.argv) == 1 or any(name.startswith(start) for start in sys.argv[1:]):
            for dense in (True, False):
                compare(name, dense=dense)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        print_peak(*sys.argv[2:])
    else:
        main()
