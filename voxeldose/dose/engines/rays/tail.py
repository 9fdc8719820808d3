"""What lies beyond the reach of betas: the kernel's tail of bremsstrahlung, as a dose in water whatever the density."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.engines.convolution import Convolution
from voxeldose.model.kernel import DEFAULT_REACH_MM, PointKernel

if TYPE_CHECKING:
    from voxeldose.model.arrays import Floats
    from voxeldose.model.grid import Grid
    from voxeldose.model.volume import DecayMap

__all__ = ["add_tail"]

#: Voxel size of the coarse grid on which the tail is convolved.
_VOXEL_MM = 8.0


def add_tail(kernel: PointKernel, decays: DecayMap, tail_mm: float, gy: Floats, grid: Grid) -> None:
    """Add to ``gy`` on ``grid`` the dose beyond 12 mm up to ``tail_mm``, in water.

    By the exact kernel on a coarse lattice of the activity image, linear between its voxels: the tail varies little.
    """
    from scipy.ndimage import affine_transform

    radius = kernel.radius_mm * kernel.density_g_per_ml
    beyond = radius > DEFAULT_REACH_MM
    if not beyond.any():
        return
    further = kernel.energy_fraction_within[beyond] - kernel.within(DEFAULT_REACH_MM / kernel.density_g_per_ml)
    tail = PointKernel(
        np.concatenate(([0.0, DEFAULT_REACH_MM], radius[beyond])),
        np.concatenate(([0.0, 0.0], np.maximum(further, 0))),
        kernel.mev_per_decay,
        1.0,
        kernel.source,
    )
    fine = decays.grid
    merged = [max(1, round(_VOXEL_MM / s)) for s in fine.spacing_mm]
    coarse = fine.with_spacing([m * s for m, s in zip(merged, fine.spacing_mm, strict=True)])
    padded = np.pad(decays.decays, [(0, c * m - n) for c, m, n in zip(coarse.shape, merged, fine.shape, strict=True)])
    blocks = padded.reshape([n for pair in zip(coarse.shape, merged, strict=True) for n in pair])
    summed = decays.replaced(blocks.sum(axis=(1, 3, 5), dtype=np.float64), coarse)
    wide = coarse.extended_to(grid.corners())
    dose = Convolution(tail, tail_mm).dose(summed.window(wide), 1.0).gy
    matrix, offset = grid.to_index_of(wide)
    for k in range(grid.shape[0]):  # a slice at a time: a CT grid has half a GB
        at = matrix[:, 0] * k + offset
        gy[k] += affine_transform(dose, matrix, at, output_shape=(1, *grid.shape[1:]), order=1, mode="nearest")[0]
