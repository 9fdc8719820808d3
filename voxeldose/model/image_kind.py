"""What an image makes of a dose: predicted before the treatment, or delivered by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from voxeldose.model.radionuclide import TC99M

__all__ = ["ImageKind", "Kind"]

#: ``predicted`` from particles that stand for the microspheres, ``delivered`` from the microspheres themselves.
Kind = Literal["predicted", "delivered"]

_SCANS = {"PT": " PET", "NM": " SPECT"}


@dataclass(frozen=True)
class ImageKind:
    """Whether a dose is predicted or delivered, by what its activity image shows.

    Parameters
    ----------
    nuclide : str, optional
        What the image shows, such as ``Tc-99m``; ``None`` if nobody has said.
    administered : str
        The nuclide that was, or will be, administered.
    modality : str
        Of the image: ``PT``, ``NM``; empty if it did not come from DICOM.
    """

    nuclide: str | None
    administered: str
    modality: str = ""

    @property
    def kind(self) -> Kind | None:
        """``delivered`` if the image shows the administered nuclide, ``predicted`` if another, ``None`` if not known."""
        if self.nuclide is None:
            return None
        return "delivered" if self.nuclide == self.administered else "predicted"

    @property
    def text(self) -> str:
        """Such as ``PREDICTED (Tc-99m MAA SPECT)`` or ``DELIVERED (Y-90 PET)``; says so where it is not known."""
        if self.kind is None:
            return "NOT KNOWN WHETHER PREDICTED OR DELIVERED (the image names no nuclide)"
        particles = " MAA" if self.nuclide == TC99M.name else ""
        return f"{self.kind.upper()} ({self.nuclide}{particles}{_SCANS.get(self.modality, ' image')})"
