"""The speed card: kernel build, dose and a whole assessment beside their peers in the same run. Nothing is judged."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from benchmarks.bench_convolution import CASES, first_dose, measured, peak_grids, peers
from benchmarks.bench_growth import rows
from benchmarks.bench_kernel import build_s
from voxeldose.model.kernel import point_kernel

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["speed_card"]

#: Voxels in the largest grid of a quick run.
QUICK_VOXELS = 9e6
KERNELS_MM = ((4.8, 4.8, 4.8), (3.0, 4.07, 4.07), (2.0, 2.0, 2.0), (2.5, 0.98, 0.98))


def speed_card(*, quick: bool, tell: Callable[[str], None]) -> dict[str, Any]:
    """Everything that takes time, as plain tables.

    Parameters
    ----------
    quick : bool
        Grids of up to :data:`QUICK_VOXELS` voxels, fewer runs, and no peak memory of peers.
    tell : callable
        Gets each line as it is found.

    Returns
    -------
    dict
        ``kernels`` (CPU ms a kernel), ``grids`` (a row each grid, activity and program), ``growth`` (columns as
        :func:`benchmarks.bench_growth.rows`), ``first_dose_s``.
    """
    tell("Voxel kernel, CPU ms:")
    kernel = point_kernel()
    kernels = [{"spacing_mm": list(mm), "cpu_ms": 1000 * build_s(kernel, mm)} for mm in KERNELS_MM]
    for row in kernels:
        tell(f"  {row['spacing_mm']!s:>18} mm {row['cpu_ms']:6.2f}")
    first = dict(zip(("cold", "cached"), first_dose("4.8"), strict=True))
    tell(f"First dose of a fresh process, CPU s: {first['cold']:.2f} cold, {first['cached']:.2f} machine code cached")
    tell(
        f"{'grid':28} {'activity':8} {'program':12} {'CPU s':>8} {'wall s':>8} {'x fft':>7} {'x limit':>8} {'grids':>6}"
    )
    grids: list[dict[str, Any]] = []
    for name, (shape, *_) in CASES.items():
        if quick and math.prod(shape) > QUICK_VOXELS:
            continue
        for dense in (True, False):
            found = _of_grid(name, dense=dense, quick=quick)
            grids += found
            for row in found:
                tell(_line(row))
    tell("Growth, CPU ns a voxel: dense, liver only, one read and write; peak grids: dense, liver only")
    growth = []
    for line in rows(QUICK_VOXELS / 2 if quick else math.inf):
        growth.append(list(line))
        tell(f"  {line[0] / 1e6:6.1f}M " + " ".join(f"{v:7.2f}" for v in line[1:]))
    return {"kernels": kernels, "first_dose_s": first, "grids": grids, "growth": growth}


def _of_grid(name: str, *, dense: bool, quick: bool) -> list[dict[str, Any]]:
    shape, spacing, *_ = CASES[name]
    who = ["copy", "ours", "assess", *peers(shape, spacing, dense=dense)]
    took = measured(shape, spacing, who, dense=dense, runs=3 if quick else None)
    base, limit = took["fftconvolve"][0], took["copy"][0]
    found = []
    for program in who:
        cpu, wall = took[program]
        looked_at = program in ("ours", "assess") or (not quick and program != "copy")
        peak = peak_grids(shape, spacing, program, dense=dense) if looked_at else None
        found.append(
            {
                "grid": name,
                "activity": "dense" if dense else "liver",
                "program": program,
                "cpu_s": cpu,
                "wall_s": wall,
                "fftconvolve_cpu_ratio": base / cpu if cpu else None,
                "limit_cpu_ratio": cpu / limit if limit else None,
                "peak_grids": peak,
            }
        )
    return found


def _line(row: dict[str, Any]) -> str:
    peak = "" if row["peak_grids"] is None else f"{row['peak_grids']:6.2f}"
    return (
        f"{row['grid']:28} {row['activity']:8} {row['program']:12} {row['cpu_s']:8.4f} {row['wall_s']:8.4f} "
        f"{row['fftconvolve_cpu_ratio'] or 0:7.2f} {row['limit_cpu_ratio'] or 0:8.1f} {peak:>6}"
    )
