"""What DICOM headers say: instants with their zone, the nuclide, numbers, frames of multi-frame files as headers of their own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["PHILIPS", "drug_item", "frame_header", "number", "private_value", "words"]

PHILIPS = "Philips PET Private Group"


#: Functional groups whose one item holds attributes that single-frame headers have at the top.
_GROUPS = (
    "PixelMeasuresSequence",
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelValueTransformationSequence",
    "FrameContentSequence",
    "PETFrameCorrectionFactorsSequence",
    "PETFrameTypeSequence",
    "CTImageFrameTypeSequence",
    "UnassignedSharedConvertedAttributesSequence",
    "UnassignedPerFrameConvertedAttributesSequence",
)


def frame_header(header: Dataset, frame: int) -> Dataset:
    """The header of one frame of a multi-frame file, with the attributes of its functional groups at the top.

    What stands for one frame goes before what all share, and that before the file's own attributes
    (PS3.3 C.7.6.16).
    """
    from pydicom.datadict import tag_for_keyword
    from pydicom.dataset import Dataset as NewDataset

    flat = NewDataset()
    passed_over = {tag_for_keyword(k) for k in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")}

    def take(item: Dataset, but: set[int | None]) -> None:
        for tag in item.keys():  # noqa: SIM118 - as stored: iterating a Dataset itself converts every value
            if tag not in but:
                flat[tag] = item.get_item(tag)

    take(header, passed_over)
    shared = header.get("SharedFunctionalGroupsSequence") or []
    own = header.get("PerFrameFunctionalGroupsSequence") or []
    unpacked = {tag_for_keyword(k) for k in _GROUPS}
    for groups in (*shared[:1], *own[frame : frame + 1]):
        take(groups, unpacked)
        for keyword in _GROUPS:
            for item in (groups.get(keyword) or [])[:1]:
                take(item, set())
    return flat


def words(header: Dataset, key: str) -> list[str]:
    """The values of an attribute of code strings; empty if it is missing."""
    value = header.get(key)
    if value is None or value == "":
        return []
    return [value] if isinstance(value, str) else [str(v) for v in value]


def number(header: Dataset, key: str) -> float | None:
    """A number of the header; ``None`` where it is missing, empty or no finite number."""
    try:
        value = float(header.get(key))
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def private_value(header: Dataset, group: int, creator: str, element: int) -> str | None:
    """A private attribute as text, looked up by the creator of its block; ``None`` where either is missing."""
    try:
        value: Any = header.private_block(group, creator)[element].value
    except KeyError:
        return None
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    return str(value).strip(" \0") or None


def drug_item(header: Dataset) -> Dataset | None:
    """The first item of the Radiopharmaceutical Information Sequence."""
    sequence = header.get("RadiopharmaceuticalInformationSequence")
    return sequence[0] if sequence else None
