"""Values of a DICOM header by their kind, and frames of multi-frame files as headers of their own.

A value of another kind than asked for is a refusal that names its tag: only here are values of headers converted.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from voxeldose.errors import InputError
from voxeldose.io.damage import ELEMENT_DAMAGED

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = [
    "PHILIPS",
    "count",
    "drug_item",
    "frame_header",
    "items",
    "number",
    "numbers",
    "private_value",
    "stated_number",
    "tag_text",
    "text",
    "whole_number",
    "whole_numbers",
    "without_escapes",
    "words",
]

#: Escape, intermediate bytes, final byte (ISO 2022).
_ESCAPES = re.compile("\x1b[\x20-\x2f]+[\x30-\x7e]")
#: Creator of the private block in which Philips keeps its factors.
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
    flat.file_meta = getattr(header, "file_meta", None)
    passed_over = {tag_for_keyword(k) for k in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")}

    def take(item: Dataset, but: set[int | None]) -> None:
        for tag in item.keys():  # noqa: SIM118 - as stored: iterating a Dataset itself converts every value
            if tag not in but:
                flat[tag] = item.get_item(tag)

    take(header, passed_over)
    shared = items(header, "SharedFunctionalGroupsSequence")
    own = items(header, "PerFrameFunctionalGroupsSequence")
    unpacked = {tag_for_keyword(k) for k in _GROUPS}
    for groups in (*shared[:1], *own[frame : frame + 1]):
        take(groups, unpacked)
        for keyword in _GROUPS:
            for item in items(groups, keyword)[:1]:
                take(item, set())
    return flat


def items(header: Dataset, key: str) -> list[Dataset]:
    """The items of a sequence; empty if it is missing.

    Raises
    ------
    InputError
        If something else stands there.
    """
    from pydicom.sequence import Sequence

    value = header.get(key)
    if not value:
        return []
    if isinstance(value, Sequence):
        return list(value)
    raise _damaged(key, "no sequence of items")


def text(header: Dataset, key: str) -> str:
    """An attribute as text; empty if it is missing."""
    return without_escapes(str(header.get(key, "") or ""))


def without_escapes(value: str) -> str:
    """Text without the sequences that switch character sets (PS3.5 6.1.2.5), which pydicom leaves in GB 2312 (ISO IR 58)."""
    return _ESCAPES.sub("", value) if "\x1b" in value else value


def words(header: Dataset, key: str) -> list[str]:
    """The values of an attribute of code strings; empty if it is missing."""
    return [str(v) for v in _values(header, key)]


def number(header: Dataset, key: str) -> float | None:
    """A number of the header; ``None`` where it is missing, empty or no finite number."""
    try:
        value = float(header.get(key))
    except (TypeError, ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def stated_number(header: Dataset, key: str, where: str = "") -> float | None:
    """A number of the header; ``None`` only where it is missing or empty.

    Raises
    ------
    InputError
        If something else stands there ("1,8", NaN, two numbers), with the tag, and ``where`` it stands if known.
    """
    value = header.get(key)
    if value is None or str(value).strip() == "":
        return None
    found = number(header, key)
    if found is None:
        raise _damaged(key, "no single finite number", where)
    return found


def count(header: Dataset, key: str, default: int) -> int:
    """A whole number of the header; ``default`` where it is missing, 0 or no number."""
    return int(number(header, key) or default)


def numbers(header: Dataset, key: str) -> list[float]:
    """The numbers of an attribute; empty if it is missing.

    Raises
    ------
    InputError
        If a value is no number.
    """
    try:
        return [float(v) for v in _values(header, key)]
    except (TypeError, ValueError, OverflowError) as error:
        raise _damaged(key, "values that are no numbers") from error


def whole_number(header: Dataset, key: str) -> int:
    """The one whole number of an attribute that must be there.

    Raises
    ------
    InputError
        If it is missing, no whole number, or there are several.
    """
    values = whole_numbers(header, key)
    if len(values) != 1:
        raise _damaged(key, f"{len(values)} values where one is needed")
    return values[0]


def whole_numbers(header: Dataset, key: str) -> list[int]:
    """The whole numbers of an attribute; empty if it is missing.

    Raises
    ------
    InputError
        If a value is no whole number.
    """
    values = numbers(header, key)
    if not all(v.is_integer() for v in values):
        raise _damaged(key, "values that are no whole numbers")
    return [int(v) for v in values]


def _values(header: Dataset, key: str) -> list[Any]:
    """The values of an attribute, one or several; empty if it is missing."""
    from pydicom.multival import MultiValue

    value = header.get(key)
    if value is None or value == "":
        return []
    if isinstance(value, bytes):  # a text that is too long for its VR in an explicit file has UN (PS3.5 6.2.2)
        return value.decode("ascii", "replace").strip(" \0").split("\\")
    return list(value) if isinstance(value, MultiValue | list) else [value]


def tag_text(key: str) -> str:
    """The tag of a keyword for people, as ``(0028,1053)``."""
    from pydicom.datadict import tag_for_keyword

    tag = tag_for_keyword(key) or 0
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _damaged(key: str, holds: str, where: str = "") -> InputError:
    """The refusal of one attribute, with its tag; the reader adds the file where it is not known here."""
    start = f"{where}: " if where else ""
    msg = f"{start}{key} {tag_text(key)} holds {holds}. The file is damaged or breaks its standard; copy or export it again."
    fields = {"path": where} if where else {}
    return InputError(msg, code=ELEMENT_DAMAGED, keyword=key, tag=tag_text(key), **fields)


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
    return next(iter(items(header, "RadiopharmaceuticalInformationSequence")), None)
