"""Voxel S values of the shipped point kernel, written to a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxeldose.dose.engines.voxelise import voxelise
from voxeldose.errors import InputError
from voxeldose.io.config.kernels import write_kernel
from voxeldose.model.kernel import DEFAULT_REACH_MM, VoxelKernel, point_kernel
from voxeldose.model.radionuclide import y90_constants

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["KernelSetting", "kernel_line", "make_kernel"]


@dataclass(frozen=True)
class KernelSetting:
    """What a voxel kernel is made for.

    Parameters
    ----------
    spacing_mm : tuple of float
        Voxel size ``(k, j, i)``.
    density_g_per_ml : float
        Of the medium.
    reach_mm : float
        Where the kernel ends, in water.
    range_factor : float
        Range in g/cm² against water; 1.0122 for soft tissue.
    constants : str, optional
        Set of Y-90 constants whose energy per decay it takes; the kernel's own without it.
    """

    spacing_mm: tuple[float, float, float]
    density_g_per_ml: float = 1.0
    reach_mm: float = DEFAULT_REACH_MM
    range_factor: float = 1.0
    constants: str | None = None


def make_kernel(setting: KernelSetting, out: Path, *, overwrite: bool = False) -> VoxelKernel:
    """Write voxel S values to ``out`` (``.csv``, ``.npz`` or ``.nii.gz``).

    Raises
    ------
    InputError
        If the file is there already, or there is no such folder.
    """
    if out.exists() and not overwrite:
        msg = f"{out}: already exists; choose another --out or add --overwrite."
        raise InputError(msg, code="file-exists")
    if not out.absolute().parent.is_dir():
        msg = f"{out}: there is no folder {out.absolute().parent}; make it first."
        raise InputError(msg, code="folder-missing")
    point = point_kernel()
    if setting.constants:
        point = point.with_energy(y90_constants(setting.constants).energy_mev)
    if setting.range_factor != 1:
        point = point.with_range(setting.range_factor)
    voxels = voxelise(point, setting.spacing_mm, density_g_per_ml=setting.density_g_per_ml, reach_mm=setting.reach_mm)
    write_kernel(voxels, out)
    return voxels


def kernel_line(kernel: VoxelKernel) -> str:
    """Self-dose, size, energy and what lies outside, in a line."""
    shape = " x ".join(map(str, kernel.energy_fraction.shape))
    return (
        f"self-dose {kernel.gy_per_decay.max() * 1e9:.5g} mGy/(MBq s), {shape} voxels, {kernel.mev_per_decay:g} MeV per decay, "
        f"{kernel.fraction_outside:.3%} of the energy outside"
    )
