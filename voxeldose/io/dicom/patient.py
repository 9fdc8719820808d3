"""Patient and study of an object that is written: what it takes from the images it belongs to, the same in every object."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

from voxeldose.io.dicom.header import text

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["MAY_BE_EMPTY", "PATIENT_AND_STUDY", "citable_copy", "copy_patient_and_study", "left_empty"]

#: What an object shares with the images it belongs to; listed in ``docs/pacs.md``.
PATIENT_AND_STUDY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
    "PositionReferenceIndicator",
    "SpecificCharacterSet",
    "TimezoneOffsetFromUTC",
)

#: Type 2 of the objects written: there, and empty if nobody knows, or (physicians and operators) always.
MAY_BE_EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "OperatorsName",
)

#: Dates, times and the sex as PS3.5 and PS3.3 C.7.1.1 write them; anything else may be any text, and no writer takes it.
_FORMS = {
    "PatientBirthDate": r"\d{8}",
    "PatientSex": "[MFO]",
    "StudyDate": r"\d{8}",
    "StudyTime": r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?",
    "TimezoneOffsetFromUTC": r"[+-]\d{4}",
}

#: What a reader of images needs to cite them, besides the groups of relationship (0020), pixels (0028) and frames (5200).
_OF_IMAGES = ("SOPClassUID", "SOPInstanceUID", "Modality", "ImageType", "SliceThickness", "SpacingBetweenSlices")
_GROUPS = (0x0020, 0x0028, 0x5200)


def left_empty(header: Dataset) -> tuple[str, ...]:
    """Keywords of patient and study whose value breaks the standard; it is not copied."""
    return tuple(
        key for key, form in _FORMS.items() if (stated := text(header, key)) and not re.fullmatch(form, stated)
    )


def copy_patient_and_study(header: Dataset, new: Dataset) -> None:
    """Give an object the patient and study of a header, decoded by the header's character set; what is type 2 is there."""
    from pydicom.dataelem import DataElement

    broken = left_empty(header)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # texts longer than the standard allows are copied as they are
        for key in PATIENT_AND_STUDY:
            if key in header and key not in broken:
                element = header[key]
                new[key] = DataElement(element.tag, element.VR, element.value, already_converted=True)
    for key in MAY_BE_EMPTY:
        if key not in new:
            setattr(new, key, None)


def citable_copy(header: Dataset) -> Dataset:
    """A copy of an image's header with what an object that cites it may take over, and nothing else.

    Attributes of the copy can be replaced without a change of the header that was read. It has no character set: its texts are
    decoded.
    """
    from pydicom.datadict import tag_for_keyword
    from pydicom.dataset import Dataset as NewDataset

    copy, of_images = NewDataset(), {tag_for_keyword(key) for key in _OF_IMAGES}
    for tag in header.keys():  # noqa: SIM118 - a dataset iterates over its elements, and would parse every one
        if tag.group in _GROUPS or tag in of_images:
            copy[tag] = header.get_item(tag)
    copy_patient_and_study(header, copy)
    if "SpecificCharacterSet" in copy:
        del copy.SpecificCharacterSet
    return copy
