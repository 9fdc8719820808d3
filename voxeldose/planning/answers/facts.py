"""What every answer states in the same form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from voxeldose.model.remark_groups import texts_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from voxeldose.model.radionuclide import Radionuclide
    from voxeldose.model.remarks import Remark

__all__ = ["Answer", "basis_lines", "constants_facts", "formula_lines", "note_lines"]


class Answer(Protocol):
    """What a planning command answers with."""

    def as_dict(self) -> dict[str, Any]:
        """The content that ``--json`` prints."""
        ...

    def lines(self) -> list[str]:
        """The answer as text."""
        ...

    def notes(self) -> list[str]:
        """What the reader is told besides: warnings, a line each."""
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


def formula_lines(formula: str, radionuclide: Radionuclide) -> list[str]:
    """Formula and constants."""
    constants = f"{radionuclide.constants}: {radionuclide.source}"
    numbers = f"K = {radionuclide.gy_kg_per_gbq:.2f} Gy kg/GBq, T½ {radionuclide.half_life_h:g} h"
    return ["", f"Formula: {formula}", f"{numbers} ({constants})"]


def basis_lines(sources: Iterable[str], assumptions: Iterable[Remark]) -> list[str]:
    """Sources and assumptions."""
    return [*(f"Source: {source}" for source in sources), *(f"assumed: {text}" for text in texts_of(assumptions))]


def note_lines(warnings: Iterable[Remark]) -> list[str]:
    """Warnings, a line per kind, the most harmful first."""
    return [f"warning: {text}" for text in texts_of(warnings)]
