"""What an engine offers: all that a run, its record and its uncertainty ask of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxeldose.model.grid import Grid
    from voxeldose.model.kernel import VoxelKernel
    from voxeldose.model.remarks import Remark
    from voxeldose.model.volume import DecayMap, DensityMap, DoseMap

__all__ = ["Engine"]


class Engine(Protocol):
    """Decays and density to dose, and what is to be known of how.

    An engine has no state that a run changes, and the same input gives the same bits on any number of threads. Nothing asks
    which class it is: whatever a result must say of it, it says itself. A class that derives from this one has no facts, remarks
    and point spread until it states them. How to write one: ``docs/add-an-engine.md``.
    """

    @property
    def name(self) -> str:
        """A short word for records and case files, such as ``dpk`` or ``local``."""

    def describe(self) -> str:
        """One sentence for the report: the method and where its data come from."""

    def facts(self) -> Mapping[str, object]:
        """What the record keeps of the kernel (source, own energy per decay, reach, hash); empty if there is none."""
        return {}

    def remarks(self) -> tuple[Remark, ...]:
        """The approximations and losses of this engine with these data, each as a remark."""
        return ()

    def point_spread(self, grid: Grid, density_g_per_ml: float) -> VoxelKernel | None:  # noqa: ARG002 - of those that derive
        """Energy around one voxel of ``grid`` in a uniform medium: what carries noise of the image into the dose.

        ``None`` if the engine has none; noise is then carried by a water kernel, and the result says so.
        """
        return None

    def dose(self, decays: DecayMap, density: DensityMap | float, grid: Grid | None = None) -> DoseMap:
        """Dose on ``grid`` (that of the decays without it), of the images on the grids they have.

        Parameters
        ----------
        decays : DecayMap
            All decays in each voxel; negative ones (noise) are kept.
        density : DensityMap or float
            In g/mL, a map on any grid; an engine that cannot use a map raises QuantityError.
        grid : Grid, optional
            Where the dose is wanted.
        """
