"""What an engine offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from voxeldose.model.grid import Grid
    from voxeldose.model.volume import DecayMap, DensityMap, DoseMap

__all__ = ["Engine"]


class Engine(Protocol):
    """What an engine offers."""

    @property
    def name(self) -> str:
        """``dpk``, ``local`` and so on."""

    def describe(self) -> str:
        """One sentence for the report."""

    def dose(self, decays: DecayMap, density: DensityMap | float, grid: Grid | None = None) -> DoseMap:
        """Dose on ``grid`` (that of the decays without it), of the images on the grids they have."""
