"""``voxeldose kernel``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from voxeldose.cli.options import CONSTANTS, PATH, Number
from voxeldose.model.densities import AIR_G_PER_ML, DENSEST_G_PER_ML

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["kernel"]


@click.command()
@click.option(
    "--spacing-mm",
    type=Number(0.1, 100),
    nargs=3,
    required=True,
    metavar="K J I",
    help="Voxel: slice, row, column spacing.",
)
@click.option(
    "--density-g-per-ml",
    type=Number(AIR_G_PER_ML, DENSEST_G_PER_ML),
    default=1.0,
    show_default=True,
    help="Of the medium.",
)
@click.option(
    "--reach-mm", type=Number(0.01, 200), default=12.0, show_default=True, help="Where the kernel ends, in water."
)
@click.option(
    "--range-factor",
    type=Number(0.1, 10),
    default=1.0,
    show_default=True,
    help="Range in g/cm² against water; 1.0122 for soft tissue.",
)
@click.option("--constants", type=CONSTANTS, help="Energy per decay (default: the kernel's own).")
@click.option("--out", type=PATH, required=True, help=".csv, .npz or .nii.gz")
@click.option("--overwrite", is_flag=True, help="Replace an earlier file.")
def kernel(out: Path, *, overwrite: bool, **setting: Any) -> None:
    """Voxel S values of the Y-90 point kernel for one voxel size."""
    from voxeldose.jobs.make_kernel import KernelSetting, kernel_line, make_kernel

    made = make_kernel(KernelSetting(**setting), out, overwrite=overwrite)
    click.echo(f"{kernel_line(made)}: {out}")
