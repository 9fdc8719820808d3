"""How the dpk engine's dose step grows with the grid, beside one read and write of it; and what the first dose costs.

    python benchmarks/bench_growth.py                 # all: about two minutes
    python benchmarks/bench_growth.py --plot FILE     # and a picture of the table
    python benchmarks/bench_growth.py --largest 3e7   # grids of up to so many voxels

Each grid lies over the same 400 x 400 x 400 mm or so, from large voxels to those of a CT; activity is dense, or in a liver
of 1.7 L only. Nanoseconds a voxel of the whole grid are CPU time of all threads, medians. "read+write" copies the grid into
an array that is there already. Peak memory is the rise of the resident peak in grids, the result included, as in
``bench_convolution.py``; in grids below a few MB memory that the process already held hides a part of it.
"""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from bench_convolution import DENSITY, FIRST_DOSE, in_process, phantom, resident_kib

from voxeldose.dpk import point_kernel, voxelise
from voxeldose.engines.convolution import Convolution
from voxeldose.grid import Grid
from voxeldose.radionuclide import Y90
from voxeldose.volume import DecayMap

#: Shape and spacing in mm, from SPECT to CT.
GRIDS = (
    ((64, 64, 64), (6.4, 6.4, 6.4)),
    ((96, 96, 96), (4.8, 4.8, 4.8)),
    ((128, 128, 128), (4.8, 4.8, 4.8)),
    ((109, 200, 200), (3.0, 4.07, 4.07)),
    ((200, 200, 200), (2.0, 2.0, 2.0)),
    ((256, 256, 256), (1.6, 1.6, 1.6)),
    ((220, 512, 512), (2.5, 0.98, 0.98)),
    ((300, 512, 512), (1.5, 0.8, 0.8)),
)

IMPORT = "import time; start = time.process_time(); import voxeldose; print(time.process_time() - start)"


def nanoseconds(work: object, voxels: int, runs: int) -> float:
    """Median CPU time a voxel."""
    spent = []
    for _ in range(runs + 1):
        start = time.process_time()
        work()  # type: ignore[operator]
        spent.append(time.process_time() - start)
    return statistics.median(spent[1:]) / voxels * 1e9


def decays_on(number: int, *, dense: bool) -> tuple[DecayMap, Convolution]:
    """Decays on one of the grids, and the engine with its voxel kernel."""
    shape, spacing = GRIDS[number]
    grid = Grid.from_axes(shape, spacing, (0, 0, 0))
    kernel = voxelise(point_kernel(), spacing, density_g_per_ml=DENSITY)
    return DecayMap(phantom(grid, dense=dense), grid, radionuclide=Y90), Convolution(kernel)


def print_peak(number: int, *, dense: bool) -> None:
    """Rise of the resident peak in grids; called in a process of its own."""
    decays, engine = decays_on(number, dense=dense)
    for side in (8, 24, 48):  # what is compiled or imported once does not count
        part = Grid.from_axes((side, side, side), decays.grid.spacing_mm, (0, 0, 0))
        engine.dose(DecayMap(np.ones(part.shape, np.float32), part, radionuclide=Y90), DENSITY)
    Path("/proc/self/clear_refs").write_text("5", "ascii")
    before = resident_kib("VmRSS")
    kept = engine.dose(decays, DENSITY).gy
    print((resident_kib("VmHWM") - before) * 1024 / kept.nbytes)


def plot(rows: list[tuple[float, ...]], path: str) -> None:
    """Time and memory over the number of voxels, both axes logarithmic for the time."""
    from matplotlib.figure import Figure

    voxels, dense, liver, copy, dense_peak, liver_peak = zip(*rows, strict=True)
    figure = Figure(figsize=(7, 7), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    for axes, series in (
        (above, ((dense, "dense", "o-"), (liver, "liver only", "s-"), (copy, "one read and write", "k:"))),
        (below, ((dense_peak, "dense", "o-"), (liver_peak, "liver only", "s-"))),
    ):
        for values, label, style in series:
            axes.plot(voxels, values, style, label=label)
        axes.grid(visible=True, which="both", alpha=0.3)
        axes.legend()
    above.set(xscale="log", yscale="log", ylabel="CPU time a voxel (ns)", title="Dose by kernel convolution")
    below.set(xlabel="voxels in the grid", ylabel="peak memory (grids, result included)", ylim=(0, None))
    figure.savefig(path, dpi=150)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--plot", metavar="FILE", help="draw the table into this file")
    parser.add_argument("--largest", type=float, default=1e9, metavar="VOXELS", help="leave out larger grids")
    chosen = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, numpy {np.__version__}")
    imported = statistics.median(in_process("-c", IMPORT) for _ in range(5))
    print(f"import voxeldose: {imported:.3f} s CPU (goal 0.3 s)")
    for mm in ("4.8", "2"):
        with tempfile.TemporaryDirectory() as empty:
            cold = in_process("-c", FIRST_DOSE, mm, cache=empty)
            warm = in_process("-c", FIRST_DOSE, mm, cache=empty)
        print(
            f"first dose of a fresh process, {mm} mm dense: {cold:.2f} s CPU, machine code cached {warm:.2f} s (goal 2 s)"
        )
    print(
        f"\n{'grid':>16} {'spacing mm':>16} {'voxels':>6}   CPU ns a voxel: dense  liver  read+write   peak grids: dense  liver"
    )
    rows = []
    for number, (shape, spacing) in enumerate(GRIDS):
        voxels = int(np.prod(shape))
        if voxels > chosen.largest:
            continue
        runs = max(3, min(15, int(3e7 / voxels)))
        took = []
        for dense in (True, False):
            decays, engine = decays_on(number, dense=dense)
            took.append(nanoseconds(lambda e=engine, d=decays: e.dose(d, DENSITY), voxels, runs))
        there = np.empty_like(decays.decays)
        took.append(nanoseconds(lambda d=decays, t=there: np.copyto(t, d.decays), voxels, runs))
        del decays, there
        took += [in_process(__file__, "--peak", str(number), kind) for kind in ("dense", "liver")]
        rows.append((voxels, *took))
        name, size = (" x ".join(f"{n:g}" for n in part) for part in (shape, spacing))
        print(
            f"{name:>16} {size:>16} {voxels / 1e6:5.1f}M {took[0]:22.2f} {took[1]:6.2f} {took[2]:11.2f} "
            f"{took[3]:19.2f} {took[4]:6.2f}",
            flush=True,
        )
    if chosen.plot:
        plot(rows, chosen.plot)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        print_peak(int(sys.argv[2]), dense=sys.argv[3] == "dense")
    else:
        main()
