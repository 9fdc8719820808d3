"""Values of a DICOM header by their kind, and frames of multi-frame files as headers of their own.

A value of another kind than asked for is a refusal that names its tag: only here are values of headers converted.
"""

from __future__ import annotations

import math
import re
import warnings
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from voxeldose.errors import InputError
from voxeldose.io.damage import ELEMENT_DAMAGED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydicom.dataelem import RawDataElement
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

__all__ = [
    "PHILIPS",
    "count",
    "drug_item",
    "frame_header",
    "is_missing",
    "items",
    "number",
    "numbers",
    "printable",
    "private_value",
    "same_stored",
    "stated_number",
    "tag_of",
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

#: VRs of text in ASCII, whatever the character set; of text that may be in ASCII; and of numbers in text.
_PLAIN_TEXT = frozenset({"AS", "CS", "DA", "DT", "TM", "UI"})
_TEXT, _ESCAPE = frozenset({"LO", "SH"}), b"\x1b"
_NUMBER_TEXT = frozenset({"DS", "IS"})

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
    "CTReconstructionSequence",
    "CTXRayDetailsSequence",
    "CTExposureSequence",
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

    _read_by_dictionary(header, key)
    value = header.get(key)
    if not value:
        return []
    if isinstance(value, Sequence):
        return list(value)
    raise _damaged(key, "no sequence of items")


def text(header: Dataset, key: str) -> str:
    """An attribute as text, on one line and printable; empty if it is missing.

    Control characters and marks of direction, which no header needs, are shown as their escapes, so that text of a header
    cannot become a line of a file or a command of a terminal.
    """
    stored = _plain_bytes(_raw(header, key))
    if stored is None and header.get_item(tag_of(key), keep_deferred=True) is None:
        return ""
    if stored is not None and b"\\" not in stored:
        return printable(stored.decode("ascii", "replace"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a character set that is not what it says shows in the text
        return printable(without_escapes(str(header.get(key, "") or "")))


def printable(value: str) -> str:
    """Text with every character that is not printable as its escape."""
    return (
        value
        if value.isprintable()
        else "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in value)
    )


def without_escapes(value: str) -> str:
    """Text without the sequences that switch character sets (PS3.5 6.1.2.5), which pydicom leaves in GB 2312 (ISO IR 58)."""
    return _ESCAPES.sub("", value) if "\x1b" in value else value


def words(header: Dataset, key: str) -> list[str]:
    """The values of an attribute of code strings; empty if it is missing."""
    stored = _plain_bytes(_raw(header, key))
    if stored is not None:
        return [printable(v.strip()) for v in stored.decode("ascii", "replace").split("\\")] if stored else []
    return [printable(str(v)) for v in _values(header, key)]


def number(header: Dataset, key: str) -> float | None:
    """A number of the header; ``None`` where it is missing, empty or no finite number."""
    stored = _stored_numbers(header, key)
    if stored is not None:
        return stored[0] if len(stored) == 1 and math.isfinite(stored[0]) else None
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
    found = number(header, key)
    if found is None:
        value = header.get(key)
        if value is None or str(value).strip() == "":
            return None
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
    stored = _stored_numbers(header, key)
    if stored is not None:
        return stored
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

    _read_by_dictionary(header, key)
    value = header.get(key)
    if value is None or value == "":
        return []
    if isinstance(value, bytes):  # a text that is too long for its VR in an explicit file has UN (PS3.5 6.2.2)
        return value.decode("ascii", "replace").strip(" \0").split("\\")
    return list(value) if isinstance(value, MultiValue | list) else [value]


@cache
def tag_of(key: str) -> BaseTag:
    """The tag of a keyword."""
    from pydicom.tag import Tag

    return Tag(key)


def _raw(header: Dataset, key: str) -> RawDataElement | None:
    """An element as it is stored; ``None`` if it is missing, was converted before, or its value was left in the file."""
    element = header.get_item(tag_of(key), keep_deferred=True)
    if element is None or not element.is_raw or element.value is None:
        return None
    return cast("RawDataElement", element)


def is_missing(header: Dataset, key: str) -> bool:
    """Whether an attribute is not there, or is empty."""
    element = header.get_item(tag_of(key))
    return element is None or element.value in (None, "", b"") or not str(element.value).strip(" ")


def same_stored(one: Dataset, other: Dataset, keys: Iterable[str]) -> bool:
    """Whether attributes of two headers are stored alike, byte by byte; ``False`` says nothing of their values."""
    for key in keys:
        first, second = one.get_item(tag_of(key)), other.get_item(tag_of(key))
        if first is not second and (first is None or second is None or first.value != second.value):
            return False
    return True


def _plain_bytes(raw: RawDataElement | None) -> bytes | None:
    """The stored value of text in ASCII, without its padding; ``None`` where pydicom must convert it.

    A series has thousands of headers, and converting a value takes pydicom longer than reading it.
    """
    if raw is None or not (
        raw.VR in _PLAIN_TEXT or (raw.VR in _TEXT and raw.value.isascii() and _ESCAPE not in raw.value)
    ):
        return None
    return bytes(raw.value).strip(b" \0")


def _stored_numbers(header: Dataset, key: str) -> list[float] | None:
    """The numbers of an element of decimal or whole-number text, or of one unsigned short, none if it is missing.

    ``None`` where pydicom must convert it.
    """
    raw = header.get_item(tag_of(key), keep_deferred=True)
    if raw is None:
        return []
    if not raw.is_raw or raw.value is None:
        return None
    if raw.VR == "US" and len(raw.value) == 2:
        return [float(int.from_bytes(raw.value, "little" if raw.is_little_endian else "big"))]
    if raw.VR not in _NUMBER_TEXT or not raw.value.strip(b" \0"):
        return None
    try:
        return [float(part.strip(b" \0")) for part in raw.value.split(b"\\")]
    except ValueError:
        return None


def _read_by_dictionary(header: Dataset, key: str) -> None:
    """Give a public element that is stored as UN the VR of the dictionary, whatever its length.

    Its value is then in implicit VR little endian, whatever the transfer syntax (PS3.5 6.2.2).
    """
    from pydicom.datadict import dictionary_VR

    raw = _raw(header, key)
    if raw is None or raw.VR != "UN":
        return
    kind = dictionary_VR(raw.tag)
    if " " not in kind:
        header[raw.tag] = raw._replace(VR=kind, is_implicit_VR=True, is_little_endian=True)


def tag_text(key: str) -> str:
    """The tag of a keyword for people, as ``(0028,1053)``."""
    tag = tag_of(key)
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
