"""Any image series as a volume, whatever it says it is."""

from __future__ import annotations

from pathlib import Path

from voxeldose.io.damage import refusing_damage
from voxeldose.io.dicom.files import Series, only_series
from voxeldose.io.dicom.planes import planes_of, volume_of
from voxeldose.io.dicom.spect import nm_volume
from voxeldose.model.volume import Volume

__all__ = ["read_dicom_volume"]


@refusing_damage
def read_dicom_volume(path: str | Path, *, series_uid: str | None = None) -> tuple[Volume, Series]:
    """Stored value times slope plus intercept of any image series, whatever it says it is, and the series.

    For images whose header does not tell their quantity; the caller must know it.
    """
    series = only_series(Path(path), (), series_uid)
    if series.modality == "NM":
        return nm_volume(series), series
    values, grid, remarks = volume_of(planes_of(series), series)
    return Volume(values, grid, remarks=remarks), series
