"""How the dpk engine's dose step grows with the grid, beside one read and write of it; and what the first dose costs.

    python -m benchmarks.bench_growth                 # all: about two minutes
    python -m benchmarks.bench_growth --plot FILE     # and a picture of the table
    python -m benchmarks.bench_growth --largest 3e7   # grids of up to so many voxels

Each grid lies over the same 400 x 400 x 400 mm or so, from large voxels to those of a CT; activity is dense, or in a liver
of 1.7 L only. Nanoseconds a voxel of the whole grid are CPU time of all threads, medians. "read+write" copies the grid into
an array that is there already. Peak memory is the rise of the resident peak in grids, the result included, as in
``bench_convolution.py``; in grids below a few MB memory that the process already held hides a part of it.
"""

# ruff: noqa: T201

from __future__ import annotations

import argparse
import statistics
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.bench_convolution import first_dose, measured, peak_grids
from benchmarks.machine import describe_machine, in_process, told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

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


def rows(largest: float) -> Iterator[tuple[float, ...]]:
    """Voxels; CPU ns a voxel dense, liver and copying; peak in grids dense and liver: a row for each grid up to a size."""
    for shape, spacing in GRIDS:
        voxels = int(np.prod(shape))
        if voxels > largest:
            continue
        runs = max(2, min(9, int(3e7 / voxels)))
        dense = measured(shape, spacing, ["ours", "copy"], dense=True, runs=runs)
        took = (
            dense["ours"][0],
            measured(shape, spacing, ["ours"], dense=False, runs=runs)["ours"][0],
            dense["copy"][0],
        )
        peaks = (peak_grids(shape, spacing, "ours", dense=d) for d in (True, False))
        yield (voxels, *(t / voxels * 1e9 for t in took), *peaks)


def plot(table: list[tuple[float, ...]]) -> Figure:
    """Time and memory over the number of voxels, both axes logarithmic for the time."""
    from matplotlib.figure import Figure

    voxels, dense, liver, copy, dense_peak, liver_peak = zip(*table, strict=True)
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
    return figure


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--plot", metavar="FILE", help="draw the table into this file")
    parser.add_argument("--largest", type=float, default=1e9, metavar="VOXELS", help="leave out larger grids")
    chosen = parser.parse_args()
    print(told(describe_machine()))
    imported = statistics.median(in_process("-c", IMPORT) for _ in range(5))
    print(f"import voxeldose: {imported:.3f} s CPU (goal 0.3 s)")
    for mm in ("4.8", "2"):
        cold, warm = first_dose(mm)
        print(
            f"first dose of a fresh process, {mm} mm dense: {cold:.2f} s CPU, machine code cached {warm:.2f} s (goal 2 s)"
        )
    print(f"\n{'voxels':>8}   CPU ns a voxel: dense  liver  read+write   peak grids: dense  liver")
    table = []
    for row in rows(chosen.largest):
        table.append(row)
        print(
            f"{row[0] / 1e6:7.1f}M {row[1]:22.2f} {row[2]:6.2f} {row[3]:11.2f} {row[4]:19.2f} {row[5]:6.2f}", flush=True
        )
    if chosen.plot:
        plot(table).savefig(chosen.plot, dpi=150)


if __name__ == "__main__":
    main()
