"""What every answer states in the same form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from voxeldose.model.radionuclide import Radionuclide

__all__ = ["Answer", "constants_facts"]


class Answer(Protocol):
    """What a planning command answers with."""

    def as_dict(self) -> dict[str, Any]:
        """The content that ``--json`` prints."""
        ...


def constants_facts(radionuclide: Radionuclide) -> dict[str, Any]:
    """A set of constants as results hold it."""
    return {
        "name": radionuclide.constants,
        "radionuclide": radionuclide.name,
        "half_life_h": radionuclide.half_life_h,
        "mean_energy_mev": radionuclide.mean_energy_mev,
        "gy_kg_per_gbq": radionuclide.gy_kg_per_gbq,
        "source": radionuclide.source,
    }
