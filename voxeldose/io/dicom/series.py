"""Any image series as a volume, whatever it says it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from voxeldose.io.damage import refusing_damage
from voxeldose.io.dicom.files import Series, only_series
from voxeldose.io.dicom.planes import grid_of, planes_of, volume_of
from voxeldose.io.dicom.spect import nm_volume
from voxeldose.model.volume import Volume

if TYPE_CHECKING:
    from voxeldose.model.grid import Grid

__all__ = ["dicom_volume", "read_dicom_volume", "series_grid"]


@refusing_damage
def read_dicom_volume(path: str | Path, *, series_uid: str | None = None) -> tuple[Volume, Series]:
    """Stored value times slope plus intercept of any image series, whatever it says it is, and the series.

    For images whose header does not state their quantity; the caller must know it.
    """
    series = only_series(Path(path), (), series_uid)
    return dicom_volume(series), series


def dicom_volume(series: Series) -> Volume:
    """The volume of :func:`read_dicom_volume` of a series already found."""
    if series.modality == "NM":
        return nm_volume(series)
    values, grid, remarks = volume_of(planes_of(series), series)
    return Volume(values, grid, remarks=remarks)


def series_grid(series: Series) -> Grid:
    """The grid of :func:`dicom_volume`; from headers alone, except for NM, whose frames are needed."""
    return dicom_volume(series).grid if series.modality == "NM" else grid_of(planes_of(series), series)
