"""Regions as they stand in files, before anybody names them, and parts of files that are no region.

A part that could not be read bars the others only where it is asked for.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from voxeldose.model.remarks import Remark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.errors import InputError
    from voxeldose.model.grid import Grid
    from voxeldose.model.roi import Roi

__all__ = ["FileRegion", "FoundRegions", "SetAside", "label_key", "remarks_of_parts"]


@dataclass(frozen=True, eq=False)
class FileRegion:
    """One region as it stands in a file.

    Parameters
    ----------
    keys : tuple of str
        What it may be called by; its number in the file last.
    own_name : str or None
        The name that the file gives it.
    roi : Roi
        The region.
    whole : Grid
        All voxels of the file.
    role : str or None
        The role that the file gives it.
    file : str
        The name of the file.
    """

    keys: tuple[str, ...]
    own_name: str | None
    roi: Roi
    whole: Grid
    role: str | None = None
    file: str = ""


@dataclass(frozen=True, eq=False)
class SetAside:
    """One part of a file that is no region, with all that it may be called by (its number last), and why."""

    keys: tuple[str, ...]
    name: str
    error: InputError


class FoundRegions(NamedTuple):
    """What a file or folder holds."""

    regions: list[FileRegion]
    set_aside: list[SetAside]


def label_key(label: object) -> str:
    """A label for comparison: accents composed (NFC), without the spaces around it, which DICOM calls insignificant."""
    return unicodedata.normalize("NFC", str(label)).strip()


def remarks_of_parts(parts: Sequence[SetAside]) -> tuple[Remark, ...]:
    """What is stated of parts that nobody asked for: which, and why; parts of one kind together."""
    by_code: dict[str, list[SetAside]] = {}
    for part in parts:
        by_code.setdefault(part.error.code, []).append(part)
    remarks = []
    for code, alike in by_code.items():
        names = ", ".join(part.name for part in alike)
        sentence = f"Left out, since they cannot be used: {names}. {alike[0].error}"
        remarks.append(Remark("regions-set-aside", {"regions": names, "why": code}, sentence))
    return tuple(remarks)
