"""Instants of a header, with their time zones."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING

from voxeldose.io.dicom.header import text
from voxeldose.model.remarks import Remark

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["format_instant", "instant", "stated_zone", "whole_instant", "zone_remarks"]


#: Years that a header may state; nearer to the ends of the calendar, durations would lead out of it.
_YEARS = range(1000, 9000)


def format_instant(at: datetime) -> str:
    """An instant for people, to the second."""
    return at.isoformat(timespec="seconds")


def instant(header: Dataset, date_key: str, time_key: str, zone: tzinfo) -> datetime | None:
    """Date and time of a header as one instant, ``None`` if either is missing or unreadable."""
    date = re.sub(r"[.\-]", "", text(header, date_key))
    time = text(header, time_key).replace(":", "")
    match = re.fullmatch(r"(\d{2})(\d{2})?(\d{2})?(?:\.(\d{1,6}))?\s*", time)
    if not re.fullmatch(r"\d{8}", date) or not match:
        return None
    hour, minute, second, part = match.groups()
    try:
        at = datetime(
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
    return at if at.year in _YEARS else None


def stated_zone(header: Dataset) -> tzinfo | None:
    """Timezone Offset From UTC (0008,0201), if the header has it."""
    match = re.fullmatch(r"([+-])(\d{2})(\d{2})", text(header, "TimezoneOffsetFromUTC").strip())
    if not match:
        return None
    sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    if offset >= timedelta(days=1):
        return None
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
            at = datetime.strptime(stamp + offset, "%Y%m%d%H%M%S%f%z")
        else:
            at = datetime.strptime(stamp, "%Y%m%d%H%M%S%f").replace(tzinfo=zone)
    except ValueError:
        return None
    return at if at.year in _YEARS else None


def zone_remarks(header: Dataset, zone: tzinfo) -> tuple[Remark, ...]:
    """What is assumed about the time zone of a header."""
    if stated_zone(header) is not None:
        return ()
    name = "UTC" if zone is UTC else str(zone)
    modality = text(header, "Modality")
    sentence = f"The {modality} header states no time zone; its times are taken as {name}."
    return (Remark("time-zone-assumed", {"modality": modality, "zone": name}, sentence),)
