"""``voxeldose kernel``."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
def kernel(
    spacing_mm: tuple[float, float, float],
    density_g_per_ml: float,
    reach_mm: float,
    range_factor: float,
    constants: str | None,
    out: Path,
    overwrite: bool,
) -> None:
    """Voxel S values of the Y-90 point kernel for one voxel size."""
    from voxeldose.dose.engines.voxelise import voxelise
    from voxeldose.errors import InputError
    from voxeldose.io.config.kernels import write_kernel
    from voxeldose.model.kernel import point_kernel
    from voxeldose.model.radionuclide import y90_constants

    if out.exists() and not overwrite:
        msg = f"{out}: already exists; choose another --out or add --overwrite."
        raise InputError(msg, code="file-exists")
    if not out.absolute().parent.is_dir():
        msg = f"{out}: there is no folder {out.absolute().parent}; make it first."
        raise InputError(msg, code="folder-missing")
    point = point_kernel()
    if constants:
        point = point.with_energy(y90_constants(constants).energy_mev)
    if range_factor != 1:
        point = point.with_range(range_factor)
    voxels = voxelise(point, spacing_mm, density_g_per_ml=density_g_per_ml, reach_mm=reach_mm)
    write_kernel(voxels, out)
    click.echo(
        f"self-dose {voxels.gy_per_decay.max() * 1e9:.5g} mGy/(MBq s), {' x '.join(map(str, voxels.energy_fraction.shape))} voxels, "
        f"{voxels.mev_per_decay:g} MeV per decay, {voxels.fraction_outside:.3%} of the energy outside: {out}"
    )
