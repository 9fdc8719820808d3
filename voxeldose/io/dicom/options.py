"""What the user asks of an image whose header does not tell, or tells wrongly."""

from __future__ import annotations

from dataclasses import dataclass

from voxeldose.model.radionuclide import Y90, Radionuclide

__all__ = ["Requests"]


@dataclass(frozen=True)
class Requests:
    """Corrections that are only ever made on request, and choices that no default can make.

    Parameters
    ----------
    undo_nuclide : str, optional
        The nuclide under which the scanner made its Bq/mL, such as ``F-18``; its branching and decay are undone and
        those of ``true_nuclide`` put in.
    true_nuclide : Radionuclide
        What was in the patient.
    undo_suv : bool
        Turn SUV by body weight back into Bq/mL with the header's dose, administration and weight.
    weight_kg : float, optional
        Of the patient, where the header has none.
    energy_window : int, optional
        Number of the energy window to read from an NM file that holds several, from 1.
    slice_spacing_mm : float, optional
        Spacing Between Slices of an NM file that has none, with its sign: positive if the frames follow row × column.
    """

    undo_nuclide: str | None = None
    true_nuclide: Radionuclide = Y90
    undo_suv: bool = False
    weight_kg: float | None = None
    energy_window: int | None = None
    slice_spacing_mm: float | None = None
