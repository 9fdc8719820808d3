"""DVHs inside an RTDOSE, and the structure set that its regions came from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxeldose.io.dicom_files import find_series

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from pydicom.dataset import Dataset

    from voxeldose.model.dvh import Dvh

__all__ = ["StructureDvhs", "StructureSet", "add_dvhs", "structure_set_of"]

_RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"

#: Points of a curve in the file: Decimal Strings, so a few hundred a region.
_POINTS = 300


@dataclass(frozen=True)
class StructureSet:
    """A structure set on disk: its SOP Instance UID, and the ROI Number of each region by the name used here."""

    uid: str
    numbers: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class StructureDvhs:
    """DVHs of regions that came from a structure set; a region that it does not hold gets none."""

    structure_set: StructureSet
    dvhs: Mapping[str, Dvh]


def structure_set_of(path: Path, labels: Mapping[str, tuple[str, str]] | None) -> StructureSet | None:
    """The structure set at ``path`` with the names that ``labels`` give its regions; ``None`` if it is none.

    Parameters
    ----------
    path : Path
        File, or folder with one RTSTRUCT.
    labels : mapping, optional
        ROI Number or name in the file -> (name, role), as in :func:`voxeldose.io.regions.read_rtstruct`.
    """
    if path.is_file() and path.suffix.casefold() not in ("", ".dcm", ".ima"):
        return None
    headers = [h for s in find_series(path) for h in s.headers if str(h.get("SOPClassUID", "")) == _RTSTRUCT]
    if len(headers) != 1:
        return None
    numbers: dict[str, int] = {}
    for item in headers[0].get("StructureSetROISequence") or []:
        number, own = int(item.ROINumber), str(item.get("ROIName", "") or item.ROINumber)
        if labels is None:
            numbers[own] = number
            continue
        given = labels.get(own) or labels.get(str(number))
        if given:
            numbers[given[0]] = number
    return StructureSet(str(headers[0].SOPInstanceUID), numbers)


def add_dvhs(made: Dataset, found: StructureDvhs) -> None:
    """Put Referenced Structure Set and DVH Sequence (PS3.3 C.8.8.4) into an RTDOSE.

    Each pair of DVH Data is the width of a bin in Gy and the volume in cm3 that receives at least the dose at the bin's
    *lower* edge; the first bin begins at 0 Gy.
    """
    from pydicom.dataset import Dataset

    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = _RTSTRUCT, found.structure_set.uid
    made.ReferencedStructureSetSequence = [reference]
    rows = []
    for name, dvh in found.dvhs.items():
        number = found.structure_set.numbers.get(name)
        if number is None or not math.isfinite(dvh.mean_gy):  # a dose that is not known
            continue
        rows.append(_row(dvh, number, str(made.DoseType)))
    if rows:
        made.DVHSequence = rows
    else:
        del made.ReferencedStructureSetSequence


def _row(dvh: Dvh, number: int, dose_type: str) -> Dataset:
    from pydicom.dataset import Dataset

    lowest, highest = dvh.range_gy
    step = max(highest, 1e-6) / _POINTS
    doses, volumes = dvh.curve(step)
    region = Dataset()
    region.ReferencedROINumber, region.DVHROIContributionType = number, "INCLUDED"
    row = Dataset()
    row.DVHReferencedROISequence = [region]
    row.DVHType, row.DoseUnits, row.DoseType = "CUMULATIVE", "GY", dose_type
    row.DVHDoseScaling, row.DVHVolumeUnits = "1", "CM3"
    row.DVHNumberOfBins = len(doses)
    row.DVHData = _pairs(step, volumes)
    row.DVHMinimumDose, row.DVHMaximumDose, row.DVHMeanDose = (
        f"{v:.9g}" for v in (max(lowest, 0.0), highest, dvh.mean_gy)
    )
    return row


def _pairs(step: float, volumes: npt.NDArray[np.float64]) -> list[str]:
    width = f"{step:.9g}"
    return [text for volume in volumes for text in (width, f"{float(volume):.9g}")]
