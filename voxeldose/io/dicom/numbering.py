"""Whether the numbers of a series' files speak of slices that are not there: at its ends, nothing else would show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxeldose.errors import InputError
from voxeldose.io.dicom.header import count, number
from voxeldose.model.remarks import Remark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.io.dicom.planes import Plane

__all__ = ["missing_slices"]


def missing_slices(planes: Sequence[Plane], modality: str) -> tuple[Remark, ...]:
    """The remark that slices may be missing, by Instance Number (0020,0013) and Images in Acquisition (0020,1002).

    Raises
    ------
    InputError
        If Number of Series Related Instances (0020,1209) says that there are more.
    """
    if any(plane.frame is not None for plane in planes):
        return ()
    here = len(planes)
    stated = max(count(p.header, "NumberOfSeriesRelatedInstances", 0) for p in planes)
    if stated > here:
        msg = (
            f"{planes[0].path.parent}: Number of Series Related Instances (0020,1209) says {stated} but {here} are here. Export the "
            "whole series again."
        )
        raise InputError(msg, code="series-incomplete", stated=stated, slices=here)
    found = [number(p.header, "InstanceNumber") for p in planes]
    numbers = sorted({int(n) for n in found if n is not None})
    if len(numbers) < here:
        return ()
    low, high = numbers[0], numbers[-1]
    acquired = count(planes[0].header, "ImagesInAcquisition", 0) if _is_one_acquisition(planes, modality) else 0
    if low <= 1 and high - low + 1 == here and acquired <= here:
        return ()
    how = (
        f"numbered {low} to {high}" if low > 1 or high - low + 1 > here else f"of {acquired} that the acquisition made"
    )
    sentence = (
        f"The {modality} series has {here} slices {how} (Instance Number (0020,0013), Images in Acquisition (0020,1002)): slices "
        "at its ends may be missing. Compare with the archive."
    )
    facts = {"slices": here, "first_number": low, "last_number": high, "acquired": acquired}
    return (Remark("series-may-be-incomplete", facts, sentence),)


def _is_one_acquisition(planes: Sequence[Plane], modality: str) -> bool:
    return modality == "CT" and len({number(p.header, "AcquisitionNumber") for p in planes}) == 1
