"""How thick slices of regions are by what is known beside their file: the user's word, or the image series that it cites."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.errors import QuantityError, VoxeldoseError
from voxeldose.io.dicom.header import items, text
from voxeldose.io.dicom.series import series_grid
from voxeldose.model.remarks import Remark

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from voxeldose.io.dicom.files import Series
    from voxeldose.model.arrays import Doubles

__all__ = ["CitedImages"]

#: Series that agree to this part have one distance of slices.
_ALIKE = 0.01


@dataclass(frozen=True, eq=False)
class CitedImages:
    """Image series that objects may cite, and how thick the user says that a slice is, in mm."""

    series: tuple[Series, ...] = ()
    user_mm: float | None = None

    def __post_init__(self) -> None:
        if self.user_mm is not None and not (np.isfinite(self.user_mm) and self.user_mm > 0):
            msg = f"The thickness of a slice must be above 0 mm, found {self.user_mm:g}."
            raise QuantityError(msg, code="value-out-of-range", slice_mm=self.user_mm)

    def user_remarks(self, what: str) -> tuple[Remark, ...]:
        """What is stated where the user's word is taken."""
        if self.user_mm is None:
            return ()
        sentence = f"{what}: a slice is taken to be {self.user_mm:g} mm thick, as the user says."
        return (Remark("slice-thickness-of-user", {"slice_mm": self.user_mm}, sentence),)

    def slice_mm(self, header: Dataset, normal: Doubles) -> float | None:
        """The distance of slices along ``normal`` in the series that an object cites.

        ``None`` if it cites none of these, or several that differ.
        """
        cited = _cited_uids(header)
        found = [d for s in self.series if s.uid in cited and (d := _slice_mm(s, normal)) is not None]
        return found[0] if found and max(found) - min(found) <= _ALIKE * found[0] else None


def _slice_mm(series: Series, normal: Doubles) -> float | None:
    """The spacing along the axis of a series that is nearest to ``normal``; ``None`` if it is no volume."""
    try:
        grid = series_grid(series)
    except VoxeldoseError:
        return None
    return grid.spacing_mm[int(np.abs(normal @ grid.directions).argmax())]


def _cited_uids(header: Dataset) -> set[str]:
    """Series Instance UIDs that a segmentation or structure set cites."""
    in_sets = [
        series
        for frame in items(header, "ReferencedFrameOfReferenceSequence")
        for study in items(frame, "RTReferencedStudySequence")
        for series in items(study, "RTReferencedSeriesSequence")
    ]
    return {text(s, "SeriesInstanceUID") for s in (*items(header, "ReferencedSeriesSequence"), *in_sets)} - {""}
