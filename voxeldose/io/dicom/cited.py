"""How thick slices of regions are by what is known beside their file: the user's word, or the image series that it cites."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
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
    from voxeldose.model.grid import Grid

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
        grids = [self._grid_of(s) for s in self.series if s.uid in cited]
        found = [g.spacing_mm[int(np.abs(normal @ g.directions).argmax())] for g in grids if g is not None]
        return found[0] if found and max(found) - min(found) <= _ALIKE * found[0] else None

    @cached_property
    def _grids(self) -> dict[str, Grid | None]:
        """The grids of series that were asked for; every region of a file asks for the same."""
        return {}

    def _grid_of(self, series: Series) -> Grid | None:
        """The grid of a series; ``None`` if it is no volume."""
        if series.uid not in self._grids:
            try:
                self._grids[series.uid] = series_grid(series)
            except VoxeldoseError:
                self._grids[series.uid] = None
        return self._grids[series.uid]


def _cited_uids(header: Dataset) -> set[str]:
    """Series Instance UIDs that a segmentation or structure set cites."""
    in_sets = [
        series
        for frame in items(header, "ReferencedFrameOfReferenceSequence")
        for study in items(frame, "RTReferencedStudySequence")
        for series in items(study, "RTReferencedSeriesSequence")
    ]
    return {text(s, "SeriesInstanceUID") for s in (*items(header, "ReferencedSeriesSequence"), *in_sets)} - {""}
