"""What a DICOM object that voxeldose writes takes from the images it belongs to: patient, study, frame of reference."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from voxeldose._version import __version__
from voxeldose.errors import GeometryError, InputError
from voxeldose.io.dicom.files import Series, find_series, only_series

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from voxeldose.model.grid import Grid

__all__ = ["SeriesRef", "frame_of", "plan_uid", "reference_header", "save_object", "series_ref", "study_object"]

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


class SeriesRef(NamedTuple):
    """One series on disk: a folder or file, and which of the series in it; the only one if nothing is said."""

    path: Path
    uid: str | None = None

    def series(self) -> Series:
        """Its files and headers."""
        return only_series(self.path, (), self.uid)


def series_ref(reference: str | Path | SeriesRef) -> SeriesRef:
    """A path as a reference to the one series there."""
    return reference if isinstance(reference, SeriesRef) else SeriesRef(Path(reference))


def reference_header(reference: str | Path | SeriesRef) -> Dataset:
    """One header of the image series meant, else of anything that is DICOM there.

    Raises
    ------
    InputError
        If there is no DICOM file.
    """
    path, uid = series_ref(reference)
    found = [s for s in find_series(path) if uid in (None, s.uid)]
    images = [s for s in found if "Rows" in s.first] or found
    if not images:
        msg = f"{path}: no DICOM file to take patient and study from."
        raise InputError(msg)
    return images[0].first


def frame_of(grid: Grid, source: Dataset) -> str:
    """The frame of reference that an object on ``grid`` takes from its reference series.

    A series without one gets one made from its own UID, the same for every object.

    Raises
    ------
    GeometryError
        If the two are known to differ.
    """
    from pydicom.uid import generate_uid

    frame = str(source.get("FrameOfReferenceUID", "") or "") or grid.frame_uid
    if grid.frame_uid is not None and frame != grid.frame_uid:
        msg = f"The dose or regions lie in the frame of reference {grid.frame_uid} but the reference series in {frame}."
        raise GeometryError(msg)
    return frame or str(generate_uid(entropy_srcs=["voxeldose frame", str(source.get("SeriesInstanceUID", ""))]))


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
    if not made.get("StudyInstanceUID"):
        made.StudyInstanceUID = generate_uid()
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
