"""A report as a DICOM object: PDF in the patient and study of the results (Encapsulated PDF, PS3.3 A.45.1)."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from voxeldose.io.dicom.header import count, text
from voxeldose.io.dicom.new_object import SeriesKind, any_study_reference

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

    from voxeldose.io.dicom.new_object import StudyReference

__all__ = ["encapsulate_pdf"]

_ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"
_CONTENT = "report, research use"
#: Of the series, after those of the other results.
_NUMBER = 8


def encapsulate_pdf(pdf: Path, *, beside: Path) -> Dataset:
    """An object that holds a PDF file; the same file in the same study always is the same object.

    Parameters
    ----------
    pdf : path
        The file.
    beside : path
        Another result of the same run: it gives patient, study, and what the results stand for (predicted or delivered).
    """
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    content = pdf.read_bytes()
    source = any_study_reference(beside)
    source = replace(source, kind=_kind_of(source))
    new = source.build_object(_ENCAPSULATED_PDF, "DOC", _CONTENT, _NUMBER)
    made_from = [source.study_uid, hashlib.sha256(content).hexdigest()]
    new.SeriesInstanceUID = generate_uid(entropy_srcs=["voxeldose report series", *made_from])
    new.SOPInstanceUID = generate_uid(entropy_srcs=["voxeldose report", *made_from])
    new.ConversionType = "WSD"
    new.ContentDate, new.ContentTime = new.InstanceCreationDate, new.InstanceCreationTime
    new.AcquisitionDateTime = ""
    new.BurnedInAnnotation = "YES"
    new.DocumentTitle = new.SeriesDescription
    new.ConceptNameCodeSequence = []
    new.MIMETypeOfEncapsulatedDocument = "application/pdf"
    new.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    new.EncapsulatedDocumentLength = len(content)
    for key in ("PositionReferenceIndicator", "OperatorsName"):  # of images
        if key in new:
            delattr(new, key)
    new.preamble = b"\0" * 128  # else not every writer gives it one
    new.file_meta = FileMetaDataset()
    new.file_meta.MediaStorageSOPClassUID = new.SOPClassUID
    new.file_meta.MediaStorageSOPInstanceUID = new.SOPInstanceUID
    new.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return new


def _kind_of(result: StudyReference) -> SeriesKind:
    """What a written result stands for, from the description and number that :class:`StudyReference` gave it."""
    kind, _, content = text(result.header, "SeriesDescription").partition(", voxeldose ")
    return SeriesKind(kind, count(result.header, "SeriesNumber", 900) // 100 * 100) if content else SeriesKind()
