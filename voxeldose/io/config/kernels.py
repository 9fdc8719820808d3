"""Voxel kernels as files: CSV, NumPy archive or NIfTI."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.errors import InputError, QuantityError
from voxeldose.io.damage import refusing_damage
from voxeldose.io.nifti import write_nifti
from voxeldose.io.text_files import read_text
from voxeldose.model.grid import Grid
from voxeldose.model.kernel import PointKernel
from voxeldose.model.radionuclide import JOULE_PER_MEV
from voxeldose.model.volume import Volume

if TYPE_CHECKING:
    from voxeldose.model.arrays import Doubles
    from voxeldose.model.kernel import VoxelKernel

__all__ = ["read_point_kernel", "write_kernel"]

_QUANTITIES = ("energy_fraction_within", "energy_fraction", "dose_gy_per_decay")

#: Part of the emitted energy that a table must account for: less is another energy, unit or spectrum, or a table that
#: ends too early; 1e-4 more is rounding.
_CLOSURE = (0.9, 1.0001)


def write_kernel(kernel: VoxelKernel, path: str | Path) -> None:
    """Write S values in Gy per decay with what they were made from.

    Parameters
    ----------
    kernel : VoxelKernel
        Any.
    path : path
        ``.csv``: one row per voxel offset (k, j, i) with ``energy_fraction`` and ``gy_per_decay``, comments first.
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
        raise InputError(msg, code="format-unknown")


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


@refusing_damage
def read_point_kernel(path: str | Path, *, mev_per_decay: float, density_g_per_ml: float, source: str) -> PointKernel:
    """A point kernel from a CSV table with a header; lines that begin with ``#`` are skipped.

    Parameters
    ----------
    path : path
        Two columns: ``radius_mm``, rising, and one of ``energy_fraction_within`` (of the emitted energy, within that
        radius), ``energy_fraction`` (in the shell that ends at that radius and begins at the row before, or at 0) or
        ``dose_gy_per_decay`` (at that radius). A dose is integrated as ``4π r² ρ D`` by trapezia, constant from 0 to the
        first radius, where a dose goes as 1/r².
    mev_per_decay : float
        Mean energy emitted per decay in MeV that the table is a fraction of, or was computed with.
    density_g_per_ml : float
        Density of the table's medium.
    source : str
        Who computed or measured it, and how: it stands in every record made with this kernel.

    Returns
    -------
    PointKernel
        With the file's SHA-256. A total between 1 and 1.0001 is scaled to 1.

    Raises
    ------
    InputError
        If a column is unknown, missing or one too many, a number cannot be read, radii or energies do not rise, or the
        total is not 0.9 to 1.0001 of the emitted energy.
    """
    path = Path(path)
    if not (mev_per_decay > 0 and density_g_per_ml > 0 and source.strip()):
        msg = f"{path}: a kernel needs energy and density above 0 and a source in words."
        raise InputError(msg, code="value-out-of-range")
    try:
        raw = path.read_bytes()
        lines = read_text(path).splitlines()
    except OSError as error:
        msg = f"{path}: cannot be read as a table ({type(error).__name__})."
        raise InputError(
            msg, code="file-missing" if isinstance(error, FileNotFoundError) else "file-damaged"
        ) from error
    radius, quantity, values = _columns(path, lines)
    within = _within(path, radius, values, quantity, mev_per_decay * JOULE_PER_MEV, density_g_per_ml)
    if radius[0] > 0:
        radius, within = np.append(0.0, radius), np.append(0.0, within)
    total = float(within[-1])
    if not _CLOSURE[0] <= total <= _CLOSURE[1]:
        msg = (
            f"{path}: the table holds {total:.4f} of the emitted energy of {mev_per_decay} MeV per decay within "
            f"{radius[-1]:g} mm; {_CLOSURE[0]} to {_CLOSURE[1]} is needed. Check the unit of {quantity}, the energy and "
            "the density, or continue the table to larger radii."
        )
        raise InputError(msg, code="kernel-energy", energy_fraction=total)
    try:
        digest = hashlib.sha256(raw).hexdigest()
        return PointKernel(radius, within / max(total, 1.0), mev_per_decay, density_g_per_ml, source, digest)
    except QuantityError as error:
        msg = f"{path}: {error}"
        raise InputError(msg, code="table-wrong") from error


def _columns(path: Path, lines: list[str]) -> tuple[Doubles, str, Doubles]:
    """Radii, the name of the other column, and its values."""
    rows = list(csv.reader(line for line in lines if line.strip() and not line.startswith("#")))
    header = [name.strip() for name in rows[0]] if rows else []
    quantity = next((name for name in header if name in _QUANTITIES), "")
    if sorted(header) != sorted(["radius_mm", quantity]):
        msg = f"{path}: columns are {', '.join(header) or 'none'}; radius_mm and one of {', '.join(_QUANTITIES)} are needed."
        raise InputError(msg, code="table-wrong")
    try:
        table = np.array([[float(cell) for cell in row] for row in rows[1:]], np.float64)
    except ValueError as error:
        msg = f"{path}: every row needs two numbers ({error})."
        raise InputError(msg, code="table-wrong") from error
    if table.ndim != 2 or table.shape[1] != 2 or not np.isfinite(table).all():
        msg = f"{path}: at least one row of two finite numbers is needed below the header."
        raise InputError(msg, code="table-wrong")
    radius = table[:, header.index("radius_mm")]
    if radius[0] < 0 or (np.diff(radius) <= 0).any() or radius[-1] <= 0:
        msg = f"{path}: radius_mm must rise from 0 or more, from row to row."
        raise InputError(msg, code="table-wrong")
    return radius, quantity, table[:, header.index(quantity)]


def _within(
    path: Path, radius: Doubles, values: Doubles, quantity: str, joule: float, density_g_per_ml: float
) -> Doubles:
    """Energy fraction within each radius."""
    if values.min() < 0:
        msg = f"{path}: {quantity} must not be negative; found {values.min():g}."
        raise InputError(msg, code="table-wrong")
    if quantity == "dose_gy_per_decay":
        if radius[0] == 0:
            msg = f"{path}: the dose of a point source is not finite at radius 0; begin the table beyond it."
            raise InputError(msg, code="table-wrong")
        per_mm = 4 * np.pi * radius**2 * (density_g_per_ml * 1e-6) * values / joule  # 1e-6 kg per mm³ at 1 g/mL
        shells = np.append(per_mm[0] * radius[0], (per_mm[1:] + per_mm[:-1]) / 2 * np.diff(radius))
        return np.asarray(np.cumsum(shells))
    if radius[0] == 0 and values[0] != 0:
        msg = f"{path}: {quantity} at radius 0 must be 0; put energy that stays at the source within a small radius."
        raise InputError(msg, code="table-wrong")
    return np.asarray(np.cumsum(values)) if quantity == "energy_fraction" else values
