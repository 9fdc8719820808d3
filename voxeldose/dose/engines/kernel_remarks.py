"""What an engine that uses a kernel states of it: facts for the record, and remarks on range and lost energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxeldose.model.kernel import PointKernel, VoxelKernel
from voxeldose.model.remarks import Remark

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["kernel_facts", "loss_remarks", "range_remark"]

#: A smaller part of the energy is no loss worth a sentence.
NOTHING_LOST = 1e-6


def kernel_facts(kernel: PointKernel | VoxelKernel, reach_mm: float) -> Mapping[str, object]:
    """What the record keeps of a kernel that ends at a radius in water (a voxel kernel at its own)."""
    facts: dict[str, object] = {"source": kernel.source, "own_mev_per_decay": kernel.mev_per_decay}
    if isinstance(kernel, VoxelKernel):
        return facts | {"reach_mm": kernel.reach_mm, "energy_fraction_beyond_reach": kernel.fraction_outside}
    beyond = kernel.fraction_beyond(reach_mm)
    return facts | {"reach_mm": reach_mm, "sha256": kernel.sha256, "energy_fraction_beyond_reach": beyond}


def loss_remarks(kernel: PointKernel | VoxelKernel, reach_mm: float) -> tuple[Remark, ...]:
    """The energy that this kernel leaves out because it ends; nothing if that is nothing."""
    if isinstance(kernel, VoxelKernel):
        part, reach_mm, of = kernel.fraction_outside, kernel.reach_mm, f"mm at {kernel.density_g_per_ml:g} g/mL"
    else:
        part, of = kernel.fraction_beyond(reach_mm), "mm of water"
    if part < NOTHING_LOST:
        return ()
    sentence = (
        f"{100 * part:.2f} % of the emitted energy is lost by the kernel: it is deposited farther than {reach_mm:g} {of} from "
        "where it is emitted, or is not in the kernel's table."
    )
    return (Remark("energy-beyond-reach", {"energy_fraction": part, "reach_mm": reach_mm}, sentence),)


def range_remark(kernel: PointKernel | VoxelKernel) -> Remark:
    """How the kernel was brought to the run's density, and what that leaves out."""
    factor, numbers = kernel.range_factor, {"range_factor": kernel.range_factor}
    if factor != 1:
        sentence = (
            f"The kernel is scaled by density, its range in mass {factor:g} times that of "
            f"{kernel.medium or 'the medium it was made in'} (soft tissue against water: 1.0122)."
        )
        return Remark("kernel-range-scaled", numbers, sentence)
    if kernel.medium == "water":
        sentence = "The water kernel is scaled by density; soft tissue's 1.2 % longer range in mass is not modelled."
    else:
        sentence = (
            "The kernel is scaled by density alone from the medium it was made in; where tissue has another range in mass, that "
            "is not modelled."
        )
    return Remark("kernel-scaled-by-density", numbers, sentence)
