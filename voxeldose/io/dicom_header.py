"""What a DICOM object that voxeldose writes takes from the images it belongs to: patient, study, frame of reference."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from voxeldose._version import __version__
from voxeldose.errors import GeometryError, InputError
from voxeldose.io.dicom_files import find_series

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

    from voxeldose.grid import Grid

__all__ = ["frame_of", "plan_uid", "reference_header", "save_object", "study_object"]

#: What an object shares with the images it belongs to.
_PATIENT_AND_STUDY = (
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
    "ReferringPhysicianName",
    "PositionReferenceIndicator",
    "SpecificCharacterSet",
    "TimezoneOffsetFromUTC",
)
#: Type 2 of the RT objects: there, and empty if nobody knows.
_MAY_BE_EMPTY = (
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


def reference_header(path: Path) -> Dataset:
    """One header of the image series in a folder or file, else of anything that is DICOM there.

    Raises
    ------
    InputError
        If there is no DICOM file.
    """
    found = find_series(path)
    images = [s for s in found if "Rows" in s.first] or found
    if not images:
        msg = f"{path}: no DICOM file to take patient and study from."
        raise InputError(msg)
    return images[0].first


def frame_of(grid: Grid, source: Dataset) -> str:
    """The frame of reference that an object on ``grid`` takes from its reference series.

    Raises
    ------
    GeometryError
        If the two are known to differ.
    """
    from pydicom.uid import generate_uid

    frame = str(source.get("FrameOfReferenceUID", "") or "") or grid.frame_uid
    if grid.frame_uid is not None and frame != grid.frame_uid:
        msg = f"The dose lies in the frame of reference {grid.frame_uid} but the reference series in {frame}."
        raise GeometryError(msg)
    return frame or str(generate_uid())


def study_object(source: Dataset, sop_class: str, modality: str, description: str) -> Dataset:
    """A new object of a new series in the patient and study of ``source``; values against the standard are kept."""
    from pydicom.dataset import Dataset
    from pydicom.uid import generate_uid

    made = Dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # values of the source that break the standard are copied as they are
        for key in _PATIENT_AND_STUDY:
            if key in source:
                made[key] = source[key]
    for key in _MAY_BE_EMPTY:
        if key not in made:
            setattr(made, key, "")
    now = datetime.now(UTC)
    made.SOPClassUID, made.SOPInstanceUID = sop_class, generate_uid()
    made.SeriesInstanceUID = generate_uid()
    made.Modality, made.SeriesDescription = modality, description
    made.SeriesNumber = made.InstanceNumber = 1
    made.Manufacturer = made.ManufacturerModelName = "voxeldose"
    made.SoftwareVersions = __version__
    made.InstanceCreationDate, made.InstanceCreationTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    return made


def plan_uid(source: Dataset) -> str:
    """The UID of the plan that radioembolization has not; the same for all doses of a study."""
    from pydicom.uid import generate_uid

    return str(generate_uid(entropy_srcs=["voxeldose plan", str(source.get("StudyInstanceUID", ""))]))


def save_object(made: Dataset, path: str | Path) -> None:
    """Write an object as a DICOM file, explicit little endian."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.save_as(path, enforce_file_format=True)
