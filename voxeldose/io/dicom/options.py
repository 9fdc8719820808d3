"""What the user asks of an image whose header is silent or wrong: one record per reader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from voxeldose.model.radionuclide import Y90, Radionuclide

__all__ = ["CtOptions", "PetOptions", "SpectOptions", "Uneven"]

#: What to do with CT slices that are uneven or shift sideways.
Uneven = Literal["refuse", "resample"]


@dataclass(frozen=True)
class CtOptions:
    """Choices of :func:`~voxeldose.io.dicom.ct.read_ct` that no default can make.

    Parameters
    ----------
    uneven : {"refuse", "resample"}
        What happens to slices with uneven distances or a sideways shift (gantry tilt). ``resample`` interpolates them
        linearly onto upright slices at the median distance; a remark on the image says so.
    """

    uneven: Uneven = "refuse"


@dataclass(frozen=True)
class PetOptions:
    """Corrections of :func:`~voxeldose.io.dicom.pet.read_pet` that are only ever made on request.

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
    """

    undo_nuclide: str | None = None
    true_nuclide: Radionuclide = Y90
    undo_suv: bool = False
    weight_kg: float | None = None


@dataclass(frozen=True)
class SpectOptions:
    """Choices of :func:`~voxeldose.io.dicom.spect.read_spect` where the file leaves them open.

    Parameters
    ----------
    energy_window : int, optional
        Number of the energy window to read from a file that holds several, from 1.
    slice_spacing_mm : float, optional
        Spacing Between Slices of a file that has none, with its sign: positive if the frames follow row × column.
    """

    energy_window: int | None = None
    slice_spacing_mm: float | None = None
