"""Codes of regions, anatomical or pathological, and of the RT objects that are read and written."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from voxeldose.io.dicom.header import items, text
from voxeldose.model.roles import RoiCode

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["CODED_BY", "CODES_OF_ROLES", "RTDOSE", "RTPLAN", "RTSTRUCT", "codes_in", "codes_of_role"]

#: SOP Class UIDs (PS3.6).
RTDOSE = "1.2.840.10008.5.1.4.1.1.481.2"
RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
RTPLAN = "1.2.840.10008.5.1.4.1.1.481.5"


class _Coded(NamedTuple):
    """SNOMED CT codes of a role (PS3.16 CID 7150 and 7166) and the colour viewers are asked to use (RGB)."""

    category: tuple[str, str]
    kind: tuple[str, str]
    rgb: tuple[int, int, int]


_ANATOMY = ("123037004", "Anatomical Structure")

_LIVER = ("10200004", "Liver")

CODES_OF_ROLES = {
    "tumor": _Coded(("49755003", "Morphologically Abnormal Structure"), ("108369006", "Neoplasm"), (215, 48, 39)),
    "liver": _Coded(_ANATOMY, _LIVER, (221, 130, 101)),
    "normal_liver": _Coded(_ANATOMY, _LIVER, (190, 150, 110)),
    "perfused": _Coded(_ANATOMY, _LIVER, (254, 196, 79)),
    "segment": _Coded(_ANATOMY, _LIVER, (217, 180, 140)),
    "lung": _Coded(_ANATOMY, ("39607008", "Lung"), (116, 173, 209)),
    "other": _Coded(("85756007", "Tissue"), ("85756007", "Tissue"), (128, 174, 128)),
}

#: What a segment is: its kind, and where in the body if its kind does not say.
CODED_BY = ("SegmentedPropertyTypeCodeSequence", "AnatomicRegionSequence")


def codes_of_role(role: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """SNOMED CT category and kind of a role, each as code and meaning."""
    return CODES_OF_ROLES[role].category, CODES_OF_ROLES[role].kind


def codes_in(item: Dataset, keyword: str) -> tuple[RoiCode, ...]:
    """The codes of a code sequence (PS3.3 Table 8.8-1); none if it is not there."""
    return tuple(
        RoiCode(
            str(next((c[k].value for k in ("CodeValue", "LongCodeValue", "URNCodeValue") if k in c), "")),
            text(c, "CodingSchemeDesignator"),
            text(c, "CodeMeaning"),
        )
        for c in items(item, keyword)
    )
