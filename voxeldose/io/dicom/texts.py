"""Text in DICOM objects that are written: character sets that hold it, and names as labels of at most 64 characters."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from voxeldose.io.dicom.header import text, without_escapes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydicom.dataset import Dataset

__all__ = ["description_of", "fit_character_set", "labels_for", "name_in", "role_in"]

_UTF8 = "ISO_IR 192"
#: Value representations whose characters are those of Specific Character Set.
_TEXTS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
#: The most characters of a Long String.
_LONGEST = 64


def fit_character_set(new: Dataset, source: Dataset | None = None) -> None:
    """Give an object the character set that holds all its text: that of its source if it does, else UTF-8 (ISO_IR 192).

    Without a source it is the object's own set that is kept if it can be. Sets of several values, which switch between sets by escape sequences, become UTF-8; text that is ASCII alone needs none.
    """
    from pydicom.charset import python_encoding

    wide = [t for t in _texts(new) if not t.isascii()]
    stated = (new if source is None else source).get("SpecificCharacterSet")
    codec = python_encoding.get(stated) if isinstance(stated, str) and stated not in ("", "ISO_IR 6") else None
    keeps = isinstance(codec, str) and not stated.startswith("ISO 2022") and all(_fits(t, codec) for t in wide)
    if keeps:
        new.SpecificCharacterSet = stated
        return
    if wide:
        new.SpecificCharacterSet = _UTF8
    elif "SpecificCharacterSet" in new:
        del new.SpecificCharacterSet


def _texts(new: Dataset) -> Iterator[str]:
    """Every text of an object, each made to be encoded again."""
    for element in new.iterall():
        if element.VR not in _TEXTS or not element.value:
            continue
        is_one = isinstance(element.value, str) or element.VM == 1
        values = [without_escapes(str(v)) for v in ([element.value] if is_one else element.value)]
        element.value = values[0] if is_one else values
        yield from values


def _fits(value: str, codec: str) -> bool:
    try:
        value.encode(codec)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def labels_for(names: Sequence[str]) -> list[str]:
    """A Long String for each of different names, each its own: at most 64 characters, no backslash, no control character."""
    taken: set[str] = set()
    labels = []
    for name in names:
        plain = "".join(" " if unicodedata.category(c) == "Cc" else c for c in name.replace("\\", "/"))
        label, n = plain.strip()[:_LONGEST] or "region", 1
        while label in taken:
            n += 1
            label = f"{(plain.strip() or 'region')[: _LONGEST - len(str(n)) - 1]}~{n}"
        taken.add(label)
        labels.append(label)
    return labels


def description_of(role: str, name: str, label: str) -> str:
    """What a region's description says: its role, and its name where the label is not the whole of it."""
    return f"role={role}" + ("" if name == label else f"; voxeldose name={name}")


def role_in(description: str) -> str:
    """The role that :func:`description_of` put into a description; empty if it is another's."""
    found = re.match(r"role=(\w+)", description)
    return found.group(1) if found else ""


def name_in(item: Dataset, label: str, description: str) -> str:
    """The whole name of a segment or ROI, given the keywords of its label and description."""
    found = re.match(r"role=\w+; voxeldose name=(.*)", str(item.get(description, "") or ""), re.DOTALL)
    return found.group(1) if found else text(item, label).strip()
