"""Dose step of the dpk engine beside its peers on four grids, dense and with activity in the liver only.

    python -m benchmarks.bench_convolution            # all: about five minutes
    python -m benchmarks.bench_convolution SPECT PET  # grids whose name begins so

CPU seconds are those of the process (all threads), medians of interleaved runs; wall seconds beside them. What counts as
ours is all of ``Convolution.dose`` for a ready voxel kernel: checks, sums and the result included. Peers are given the
float32 array. Of an image that is zero outside the liver, fftconvolve gets the box of the activity plus the kernel's reach
("cropped"; finding the box included) as well as the whole: the crop itself is worth most of the gain. SimpleITK and torch are
peers where they are installed; torch sums directly, and is left out where that would take minutes.

Peak memory is the rise of the process's resident peak (Linux: VmHWM, reset through /proc/self/clear_refs) during one call
in a process of its own, after calls on small images; the result counts as one grid. First dose: a fresh process,
everything from the start of Python, with an empty and with a filled NUMBA_CACHE_DIR.
"""

# ruff: noqa: T201

from __future__ import annotations

import importlib.util
import itertools
import math
import statistics
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.machine import describe_machine, in_process, reset_peak, resident_kib, times, told
from voxeldose.dose.assess import assess
from voxeldose.dose.engines.convolution import Convolution
from voxeldose.dose.engines.voxelise import voxelise
from voxeldose.model.administration import Administration
from voxeldose.model.case import Administered, Case
from voxeldose.model.grid import Grid
from voxeldose.model.kernel import point_kernel
from voxeldose.model.radionuclide import Y90
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.volume import ActivityMap, DecayMap

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from voxeldose.model.kernel import VoxelKernel

    Image = npt.NDArray[np.float32]
    Shape = tuple[int, int, int]
    Spacing = tuple[float, float, float]

#: Shape, spacing in mm, and the ratios to fftconvolve aimed at: dense, and in the liver only on the cropped box.
CASES = {
    "SPECT 128x128x128, 4.8 mm": ((128, 128, 128), (4.8, 4.8, 4.8), 3.0, 1.0),
    "PET 109x200x200, 3/4.07 mm": ((109, 200, 200), (3.0, 4.07, 4.07), 2.5, 1.0),
    "2mm 200x200x200": ((200, 200, 200), (2.0, 2.0, 2.0), 2.0, 1.1),
    "CT 220x512x512, 2.5/0.98 mm": ((220, 512, 512), (2.5, 0.98, 0.98), 1.5, 1.5),
}
DENSITY = 1.04
SLOW = ("SimpleITK", "torch")

#: Products of voxels and weights above which torch's direct sum (some 5e9 a CPU second) is left out: the CT grid takes
#: minutes a call.
MOST_PRODUCTS = 1e11

FIRST_DOSE = """
import sys
import numpy as np
import voxeldose as vd
from voxeldose.model.kernel import point_kernel
from voxeldose.dose.engines.convolution import Convolution
from voxeldose.model.grid import Grid
from voxeldose.model.radionuclide import Y90
from voxeldose.model.volume import DecayMap
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


def setup(shape: Shape, spacing: Spacing, *, dense: bool) -> tuple[DecayMap, VoxelKernel]:
    """Decays on one of the phantoms, and the voxel kernel that fits."""
    grid = Grid.from_axes(shape, spacing, (0, 0, 0))
    kernel = voxelise(point_kernel(), spacing, density_g_per_ml=DENSITY)
    decays = DecayMap(phantom(grid, dense=dense), grid, radionuclide=Y90)
    return decays, kernel


def case_of(decays: DecayMap) -> Case:
    """A whole case on this image: a liver and three tumors, activity scaled to what was given; the image may be full of it."""
    grid, at = decays.grid, datetime(2024, 5, 2, 10, 15, tzinfo=UTC)
    axes = [(np.arange(n) - n / 2) * s for n, s in zip(grid.shape, grid.spacing_mm, strict=True)]
    k, j, i = np.meshgrid(*axes, indexing="ij", sparse=True)
    rois = [Roi("liver", "liver", (k / 65) ** 2 + (j / 70) ** 2 + (i / 90) ** 2 <= 1, grid)]
    for n, (where, radius) in enumerate(((-30, 22), (5, 14), (40, 9))):
        rois.append(Roi(f"lesion_{n + 1}", "tumor", k**2 + j**2 + (i - where) ** 2 <= radius**2, grid))
    activity = ActivityMap(decays.values, grid, at=at, radionuclide=Y90)
    anywhere = Administered(outside_allowed=True)
    return Case(activity, RoiSet(tuple(rois)), Administration(Y90, 1850.0, at), calibration=anywhere)


def work_of(who: str, decays: DecayMap, kernel: VoxelKernel) -> Callable[[], Image]:
    """The call to be measured."""
    from scipy.signal import fftconvolve

    if who == "assess":
        case, from_point = case_of(decays), Convolution(point_kernel())
        return lambda: assess(case, from_point).dose.gy
    if who == "copy":
        there = np.zeros_like(decays.decays)
        return lambda: np.positive(decays.decays, out=there)
    engine, weights = Convolution(kernel), kernel.energy_fraction.astype(np.float32)
    return {
        "ours": lambda: engine.dose(decays, DENSITY).gy,
        "fftconvolve": lambda: fftconvolve(decays.decays, weights, "same"),
        "cropped": lambda: cropped(decays.decays, weights),
        "SimpleITK": lambda: with_simpleitk(decays.decays, weights),
        "torch": lambda: with_torch(decays.decays, weights),
    }[who]


def peers(shape: Shape, spacing: Spacing, *, dense: bool) -> list[str]:
    """Those that are installed and can do this grid in seconds; the first is the one to beat."""
    weights = voxelise(point_kernel(), spacing, density_g_per_ml=DENSITY).energy_fraction.size
    known = ["fftconvolve"] if dense else ["cropped", "fftconvolve"]
    slow = [who for who in SLOW if importlib.util.find_spec(who)]
    if math.prod(shape) * weights > MOST_PRODUCTS:
        slow = [who for who in slow if who != "torch"]
    return known + slow


def measured(
    shape: Shape, spacing: Spacing, who: list[str], *, dense: bool, runs: int | None = None
) -> dict[str, tuple[float, float]]:
    """CPU and wall seconds of each call on one image, those of slow peers from a third of the runs."""
    decays, kernel = setup(shape, spacing, dense=dense)
    runs = runs or (3 if decays.decays.size > 2e7 else 9)
    found = times({w: work_of(w, decays, kernel) for w in who if w not in SLOW}, runs)
    return found | times({w: work_of(w, decays, kernel) for w in who if w in SLOW}, max(1, runs // 3))


def peak_grids(shape: Shape, spacing: Spacing, who: str, *, dense: bool) -> float:
    """Rise of the resident peak during one call, in grids, in a process of its own; NaN where the system does not tell."""
    if not Path("/proc/self/clear_refs").exists():
        return math.nan
    sizes = (",".join(map(str, n)) for n in (shape, spacing))
    return in_process("-m", "benchmarks.bench_convolution", "--peak", *sizes, "dense" if dense else "liver", who)


def print_peak(shape: Shape, spacing: Spacing, kind: str, who: str) -> None:
    """What :func:`peak_grids` reads."""
    decays, kernel = setup(shape, spacing, dense=kind == "dense")
    for mm, side in itertools.product((spacing, (4.8, 4.8, 4.8)), (8, 24, 48)):
        # what is compiled or imported once does not count, whichever way the sum is taken
        small = Grid.from_axes((side, side, side), mm, (0, 0, 0))
        ones = DecayMap(np.ones(small.shape, np.float32), small, radionuclide=Y90)
        fit = voxelise(point_kernel(), mm, density_g_per_ml=DENSITY)
        if who == "assess" and side * min(mm) < 100:
            continue  # too small for the case's regions
        work_of(who, ones, fit)()
    call = work_of(who, decays, kernel)
    reset_peak()
    before = resident_kib("VmRSS")
    kept = call()
    print((resident_kib("VmHWM") - before) * 1024 / kept.nbytes)


def compare(name: str, *, dense: bool) -> None:
    """Print the rows of one grid and phantom."""
    from scipy.signal import fftconvolve

    shape, spacing, wanted_dense, wanted_cropped = CASES[name]
    kind, others = "dense" if dense else "liver", peers(shape, spacing, dense=dense)
    first, found = others[0], measured(shape, spacing, ["ours", *others], dense=dense)
    decays, kernel = setup(shape, spacing, dense=dense)
    exact = fftconvolve(decays.decays.astype(float), kernel.energy_fraction, "same")
    dose = Convolution(kernel).dose(decays, DENSITY).gy
    exact *= float(dose.sum(dtype=float)) / float(exact.sum())
    apart, high = np.abs(dose - exact), exact > 0.01 * exact.max()
    error, anywhere = float((apart[high] / exact[high]).max()), float(apart.max() / exact.max())
    wanted = wanted_dense if dense else wanted_cropped
    ratio = found[first][0] / found["ours"][0]
    verdict = "reached" if ratio >= wanted else "MISSED"
    print(
        f"\n{name}, {kind}: {ratio:.2f} x {first} (goal {wanted}, {verdict}); error {error:.1e} of the dose above 1 % "
    )
    print(f"  of the maximum, {anywhere:.1e} of the maximum anywhere; least dose {dose.min():.1g}")
    for who, (cpu, wall) in found.items():
        grids = peak_grids(shape, spacing, who, dense=dense)
        print(
            f"  {who:12s} CPU {cpu:8.4f} s  wall {wall:8.4f} s  peak {grids:5.2f} grids  {cpu / found['ours'][0]:6.2f} x ours"
        )


def first_dose(mm: str) -> tuple[float, float]:
    """CPU seconds of the first dose of a fresh process, with an empty and with a filled cache of machine code."""
    with tempfile.TemporaryDirectory() as cache:
        cold = in_process("-c", FIRST_DOSE, mm, cache=cache)
        return cold, statistics.median(in_process("-c", FIRST_DOSE, mm, cache=cache) for _ in range(3))


def main() -> None:
    """Print the tables."""
    print(told(describe_machine()))
    for mm in ("4.8", "2"):
        cold, warm = first_dose(mm)
        print(
            f"first dose of a fresh process, {mm} mm: {cold:.2f} s CPU with a cold numba cache, {warm:.2f} s warm (goal 2 s)"
        )
    for name in CASES:
        if len(sys.argv) == 1 or any(name.startswith(start) for start in sys.argv[1:]):
            for dense in (True, False):
                compare(name, dense=dense)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        size, millimetres, kind, who = sys.argv[2:]
        nk, nj, ni = (int(n) for n in size.split(","))
        mk, mj, mi = (float(n) for n in millimetres.split(","))
        print_peak((nk, nj, ni), (mk, mj, mi), kind, who)
    else:
        main()
