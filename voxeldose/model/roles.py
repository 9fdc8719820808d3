"""Roles of regions, and how names and codes tell them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LIVER_ROLES", "ROLES", "RoiCode", "Role", "role_from_codes", "role_from_name"]

#: What a region may be. ``normal_liver`` is liver without tumors; ``perfused`` is what one infusion reaches.
Role = Literal["tumor", "liver", "normal_liver", "perfused", "segment", "lung", "other"]
ROLES: tuple[Role, ...] = get_args(Role)
#: Roles of what lies in the liver, tumors included.
LIVER_ROLES: tuple[Role, ...] = ("tumor", "liver", "normal_liver", "perfused", "segment")

#: In this order: what is taken from an organ (TG-263 ``Liver-GTV``) and planning volumes come before the words in them.
_ROLE_PATTERNS = (
    ("normal_liver", r"normal.?liver|liver.?normal|liver.?-.?gtv|nontumou?r|parenchyma"),
    ("lung", r"\blungs?.?-.?gtv"),
    ("other", r"(?:^|[^a-z])(?:ctv|itv|ptv|prv)"),
    ("tumor", r"tumou?r|lesion|gtv|metasta|\bhcc\b|\bmass\b"),
    ("segment", r"liver.?segment|\bsegment.?(?:\d|[ivx]+\b)|couinaud"),
    ("perfused", r"perfused|territor"),
    ("lung", r"\blungs?\b|lung_"),
    ("liver", r"\bliver\b"),
)

#: Codes that name a role and nothing else: SNOMED CT and its older SRT form (PS3.16), the Foundational Model of Anatomy, and
#: the RT ROI Interpreted Type of an RTSTRUCT.
_ROLE_CODES = {
    ("SCT", "10200004"): "liver",
    ("SRT", "T-62000"): "liver",
    ("FMA", "7197"): "liver",
    ("SCT", "39607008"): "lung",
    ("SRT", "T-28000"): "lung",
    ("FMA", "7195"): "lung",
    ("SCT", "108369006"): "tumor",
    ("SCT", "86049000"): "tumor",
    ("SRT", "M-80003"): "tumor",
    ("SCT", "372087000"): "tumor",
    ("SCT", "14799000"): "tumor",
    ("SRT", "M-80006"): "tumor",
    ("SCT", "228791009"): "tumor",
    ("3006,00A4", "GTV"): "tumor",
}


def role_from_name(name: str) -> str:
    """The role that a region's name suggests, ``other`` if none; whoever uses this says so to the user.

    Knows usual words and the names of AAPM TG-263 (``Liver``, ``Lung_L``, ``Lungs``, ``GTV``, ``Liver-GTV``).
    """
    words = name.casefold().replace("_", " ")
    for role, pattern in _ROLE_PATTERNS:
        if re.search(pattern, words) or re.search(pattern, name.casefold()):
            return role
    return "other"


def role_from_codes(codes: Sequence[RoiCode]) -> str:
    """The role that all codes known here agree on, ``other`` if there is none or they disagree."""
    roles = {_ROLE_CODES[code.scheme, code.value] for code in codes if (code.scheme, code.value) in _ROLE_CODES}
    return roles.pop() if len(roles) == 1 else "other"


@dataclass(frozen=True)
class RoiCode:
    """What a file says a region is, in a coding scheme such as SNOMED CT (``SCT``)."""

    value: str
    scheme: str
    meaning: str

    def __str__(self) -> str:
        return f"{self.meaning} ({self.scheme} {self.value})"
