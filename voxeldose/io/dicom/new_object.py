"""What a DICOM object that voxeldose writes takes from the images it belongs to: patient, study, frame of reference."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from voxeldose import __version__
from voxeldose.errors import GeometryError, InputError
from voxeldose.io.dicom.files import find_series, only_series
from voxeldose.io.dicom.header import text
from voxeldose.io.dicom.patient import copy_patient_and_study
from voxeldose.io.dicom.series import series_grid
from voxeldose.io.dicom.texts import fit_character_set

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from voxeldose.io.dicom.files import Series
    from voxeldose.model.grid import Grid

__all__ = [
    "Instance",
    "SeriesKind",
    "StudyReference",
    "any_study_reference",
    "save_object",
    "study_reference",
]


class Instance(NamedTuple):
    """One image of a series, as other objects cite it."""

    sop_class_uid: str
    sop_instance_uid: str


class SeriesKind(NamedTuple):
    """What a dose stands for, such as DELIVERED (Y-90 PET): in the description of every series, and in its number."""

    text: str = ""
    first_number: int = 900


_NOT_KNOWN = SeriesKind()


@dataclass(frozen=True, eq=False)
class StudyReference:
    """The image series that written objects belong to: its headers, read once and given to every writer of a study.

    Parameters
    ----------
    series : Series
        As :func:`study_reference` finds it, or as a reader returned it with the volume. Its headers are not changed.
    read_grid : Grid, optional
        Its voxels where they have been read; else they come from the headers, when first asked for.
    kind : SeriesKind
        Of the results that will be written.
    """

    series: Series
    read_grid: Grid | None = None
    kind: SeriesKind = _NOT_KNOWN

    @property
    def header(self) -> Dataset:
        """One header, for patient and study."""
        return self.series.first

    @property
    def modality(self) -> str:
        """CT, PT, NM and so on."""
        return self.series.modality

    @property
    def series_uid(self) -> str:
        """Series Instance UID."""
        return self.series.uid

    @property
    def study_uid(self) -> str:
        """Study Instance UID; empty where the header has none."""
        return text(self.header, "StudyInstanceUID")

    @property
    def instances(self) -> tuple[Instance, ...]:
        """Every image of the series."""
        return tuple(Instance(text(h, "SOPClassUID"), text(h, "SOPInstanceUID")) for h in self.series.headers)

    @cached_property
    def grid(self) -> Grid:
        """The voxels of the series.

        Raises
        ------
        InputError
            If its images are no volume.
        """
        return self.read_grid or series_grid(self.series)

    def frame_uid_for(self, grid: Grid) -> str:
        """The frame of reference that an object on ``grid`` takes from the series.

        A series without one gets one made from its own UID, the same for every object.

        Raises
        ------
        GeometryError
            If the two are known to differ.
        """
        from pydicom.uid import generate_uid

        frame = text(self.header, "FrameOfReferenceUID") or grid.frame_uid
        if grid.frame_uid is not None and frame != grid.frame_uid:
            msg = f"The dose or regions lie in the frame of reference {grid.frame_uid} but the reference series in {frame}."
            raise GeometryError(msg, code="frame-differs", needed=frame, found=grid.frame_uid)
        made_from = text(self.header, "SeriesInstanceUID")
        return frame or str(generate_uid(entropy_srcs=["voxeldose frame", made_from]))

    def describe(self, content: str) -> str:
        """Series Description of a new series: what it stands for first, where lists cut it off last."""
        return (f"{self.kind.text}, voxeldose {content}" if self.kind.text else f"voxeldose {content}")[:64]

    def build_object(self, sop_class: str, modality: str, content: str, number: int) -> Dataset:
        """A new object of a new series in the patient and study (:mod:`voxeldose.io.dicom.patient`).

        ``content`` ends the description of the series, and ``number`` is added to the first of its kind.
        """
        from pydicom.dataset import Dataset
        from pydicom.uid import generate_uid

        new = Dataset()
        copy_patient_and_study(self.header, new)
        if not new.get("StudyInstanceUID"):
            new.StudyInstanceUID = generate_uid()
        now = datetime.now(UTC)
        new.SOPClassUID, new.SOPInstanceUID = sop_class, generate_uid()
        new.SeriesInstanceUID = generate_uid()
        new.Modality, new.SeriesDescription = modality, self.describe(content)
        new.SeriesNumber, new.InstanceNumber = self.kind.first_number + number, 1
        new.Manufacturer = new.ManufacturerModelName = "voxeldose"
        new.SoftwareVersions = __version__
        new.InstanceCreationDate, new.InstanceCreationTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
        return new


def study_reference(reference: str | Path | StudyReference) -> StudyReference:
    """The one series of images at a path, as a reference; a reference as it is.

    Raises
    ------
    InputError
        If there is no series of images, or more than one.
    """
    return reference if isinstance(reference, StudyReference) else StudyReference(only_series(Path(reference)))


def any_study_reference(reference: str | Path | StudyReference) -> StudyReference:
    """The first series of images at a path, else anything that is DICOM there, for objects that cite no image.

    Raises
    ------
    InputError
        If there is no DICOM file.
    """
    if isinstance(reference, StudyReference):
        return reference
    series = find_series(Path(reference))
    images = [s for s in series if "Rows" in s.first] or series
    if not images:
        msg = f"{reference}: no DICOM file to take patient and study from."
        raise InputError(msg, code="dicom-missing")
    return StudyReference(images[0])


def save_object(new: Dataset, path: str | Path, *, implicit: bool = False) -> None:
    """Write an object as a DICOM file, explicit little endian; implicit where a text is too long for that.

    Its character set is the one of the images if that holds all its text, else UTF-8.
    """
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    new.file_meta = FileMetaDataset()
    new.file_meta.MediaStorageSOPClassUID = new.SOPClassUID
    new.file_meta.MediaStorageSOPInstanceUID = new.SOPInstanceUID
    new.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit_character_set(new)
        new.save_as(path, enforce_file_format=True)
