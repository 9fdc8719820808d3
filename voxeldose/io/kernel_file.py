"""Voxel kernels as files: CSV, NumPy archive or NIfTI."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.errors import InputError
from voxeldose.io.nifti import write_nifti
from voxeldose.model.grid import Grid
from voxeldose.model.volume import Volume

if TYPE_CHECKING:
    from voxeldose.model.kernel import VoxelKernel

__all__ = ["write_kernel"]


def write_kernel(kernel: VoxelKernel, path: str | Path) -> None:
    """Write S values in Gy per decay with what they were made from.

    Parameters
    ----------
    kernel : VoxelKernel
        Any.
    path : path
        ``.csv``: one row a voxel offset (k, j, i) with ``energy_fraction`` and ``gy_per_decay``, comments first.
        ``.npz``: arrays and scalars by the names of :class:`VoxelKernel`. ``.nii.gz``: ``gy_per_decay`` around the origin.

    Raises
    ------
    InputError
        For another suffix.
    """
    path = Path(path)
    name = path.name.casefold()
    if name.endswith(".csv"):
        _write_csv(kernel, path)
    elif name.endswith(".npz"):
        np.savez(
            path,
            gy_per_decay=kernel.gy_per_decay,
            energy_fraction=kernel.energy_fraction,
            spacing_mm=np.array(kernel.spacing_mm),
            mev_per_decay=kernel.mev_per_decay,
            density_g_per_ml=kernel.density_g_per_ml,
            fraction_outside=kernel.fraction_outside,
            reach_mm=kernel.reach_mm,
            source=kernel.source,
        )
    elif name.endswith((".nii", ".nii.gz")):
        half = [n // 2 for n in kernel.energy_fraction.shape]
        first = [-n * s for n, s in zip(half, kernel.spacing_mm, strict=True)][::-1]
        grid = Grid.from_axes(kernel.energy_fraction.shape, kernel.spacing_mm, first)
        write_nifti(
            Volume(kernel.gy_per_decay.astype(np.float32), grid), path, description="voxel S values in Gy per decay"
        )
    else:
        msg = f"{path}: a kernel is written as .csv, .npz or .nii.gz."
        raise InputError(msg)


def _write_csv(kernel: VoxelKernel, path: Path) -> None:
    half = [n // 2 for n in kernel.energy_fraction.shape]
    gy = kernel.gy_per_decay
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"# voxel S values, {kernel.source}\n")
        file.write(f"# spacing_mm (k, j, i): {' '.join(f'{s:g}' for s in kernel.spacing_mm)}\n")
        file.write(f"# mev_per_decay: {kernel.mev_per_decay:g}; density_g_per_ml: {kernel.density_g_per_ml:g}\n")
        file.write(f"# fraction_outside: {kernel.fraction_outside:.6g} beyond {kernel.reach_mm:g} mm\n")
        rows = csv.writer(file)
        rows.writerow(["k", "j", "i", "energy_fraction", "gy_per_decay"])
        for index, fraction in np.ndenumerate(kernel.energy_fraction):
            offset = [int(n - h) for n, h in zip(index, half, strict=True)]
            rows.writerow([*offset, f"{fraction:.9e}", f"{gy[index]:.9e}"])
