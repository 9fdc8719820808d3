"""What DICOM headers say: instants with their zone, the nuclide, numbers, frames of multi-frame files as headers of their own."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any

from voxeldose.model.radionuclide import Radionuclide, known_radionuclide

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = [
    "drug_item",
    "frame_header",
    "instant",
    "nuclide_name",
    "nuclide_of",
    "number",
    "private_value",
    "said_instant",
    "stated_zone",
    "whole_instant",
    "words",
    "zone_note",
]

_ELEMENTS = {
    "yttrium": "Y",
    "technetium": "Tc",
    "fluorine": "F",
    "gallium": "Ga",
    "germanium": "Ge",
    "zirconium": "Zr",
    "lutetium": "Lu",
    "holmium": "Ho",
    "sodium": "Na",
    "indium": "In",
    "iodine": "I",
    "copper": "Cu",
    "carbon": "C",
    "rhenium": "Re",
    "samarium": "Sm",
}
#: Codes of DICOM CID 18 and 4020 (SCT, and SRT as written before 2018), for codes without a meaning beside them.
_CODES = {
    "14691008": "Y-90",
    "C-162A7": "Y-90",
    "10738001": "Y-86",
    "77004003": "F-18",
    "C-111A1": "F-18",
    "35337001": "Ga-68",
    "53315004": "Ge-68",
    "63360001": "Zr-89",
    "71633006": "Na-22",
    "72454006": "Tc-99m",
    "447553000": "Lu-177",
    "C1943": "Ho-166",
}
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
        for tag in item.keys():
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


def said_instant(at: datetime) -> str:
    """An instant for people, to the second."""
    return at.isoformat(timespec="seconds")


def instant(header: Dataset, date_key: str, time_key: str, zone: tzinfo) -> datetime | None:
    """Date and time of a header as one instant, ``None`` if either is missing or unreadable."""
    date = re.sub(r"[.\-]", "", str(header.get(date_key, "") or ""))
    time = str(header.get(time_key, "") or "").replace(":", "")
    match = re.fullmatch(r"(\d{2})(\d{2})?(\d{2})?(?:\.(\d{1,6}))?\s*", time)
    if not re.fullmatch(r"\d{8}", date) or not match:
        return None
    hour, minute, second, part = match.groups()
    try:
        return datetime(
            int(date[:4]),
            int(date[4:6]),
            int(date[6:]),
            int(hour),
            int(minute or 0),
            int(second or 0),
            int((part or "0").ljust(6, "0")),
            tzinfo=stated_zone(header) or zone,
        )
    except ValueError:
        return None


def stated_zone(header: Dataset) -> tzinfo | None:
    """Timezone Offset From UTC (0008,0201), if the header has it."""
    match = re.fullmatch(r"([+-])(\d{2})(\d{2})", str(header.get("TimezoneOffsetFromUTC", "") or "").strip())
    if not match:
        return None
    sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(offset if sign == "+" else -offset)


def whole_instant(value: object, zone: tzinfo) -> datetime | None:
    """A DICOM DT value as an instant, ``None`` if it is missing or unreadable."""
    match = re.fullmatch(r"(\d{12})(\d{2})?(?:\.(\d{1,6})\d*)?([+-]\d{4})?", str(value or "").strip())
    if not match:
        return None
    minute, second, part, offset = match.groups()
    stamp = f"{minute}{second or '00'}{(part or '0').ljust(6, '0')}"
    try:
        if offset:
            return datetime.strptime(stamp + offset, "%Y%m%d%H%M%S%f%z")
        return datetime.strptime(stamp, "%Y%m%d%H%M%S%f").replace(tzinfo=zone)
    except ValueError:
        return None


def zone_note(header: Dataset, zone: tzinfo) -> tuple[str, ...]:
    """What is assumed about the time zone of a header."""
    if stated_zone(header) is not None:
        return ()
    name = "UTC" if zone is UTC else str(zone)
    return (f"The {header.get('Modality', '')} header states no time zone; its times are taken as {name}.",)


def nuclide_of(header: Dataset) -> Radionuclide | None:
    """What the Radiopharmaceutical Information Sequence says was imaged; ``None`` if it says nothing usable."""
    item = drug_item(header)
    if item is None:
        return None
    half_life = (number(item, "RadionuclideHalfLife") or 0.0) / 3600
    codes = item.get("RadionuclideCodeSequence") or []
    texts = [str(c.get("CodeMeaning", "") or "") for c in codes]
    texts += [_CODES.get(str(c.get("CodeValue", "")), "") for c in codes]
    texts.append(str(item.get("Radiopharmaceutical", "") or ""))
    for text in texts:
        name = nuclide_name(text)
        if name:
            known = known_radionuclide(name)
            if known is not None:
                return known
            if half_life > 0:
                return Radionuclide(name, half_life, None, "DICOM header")
    return None


def nuclide_name(text: str) -> str | None:
    """``Y-90`` from ``^90^Yttrium``, ``Yttrium-90``, ``90Y``, ``Y90 microspheres`` and the like."""
    plain = text.replace("^", "")
    symbols = "|".join(sorted(_ELEMENTS.values(), key=len, reverse=True))
    element = "|".join(_ELEMENTS) + "|" + symbols
    match = re.search(rf"\b(\d{{2,3}}m?)\s*-?\s*({element})\b", plain, re.IGNORECASE) or None
    if match:
        mass, word = match.groups()
    else:
        match = re.search(rf"\b({element})\s*-?\s*(\d{{2,3}}m?)(?!\d)", plain, re.IGNORECASE)
        if not match:
            return None
        word, mass = match.groups()
    symbol = _ELEMENTS.get(word.casefold(), word.capitalize())
    return f"{symbol}-{mass.lower()}"
