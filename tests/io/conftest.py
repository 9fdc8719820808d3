"""Tiny DICOM files whose voxel values tell their own place in the patient.

Every image holds ``500 + x + 2y + 3z`` of its voxels' centres in LPS millimetres, so that any flip, transpose or shift of
half a voxel (0.75 mm at least) shows as a wrong value.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydicom import config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from voxeldose.errors import VoxeldoseError
from voxeldose.model.grid import Grid

if TYPE_CHECKING:
    from pathlib import Path

NAME, NUMBER, BIRTH = "Hidden^Ada", "SECRET-4711", "19580317"

#: Row and column directions in LPS, as in Image Orientation (Patient).
ORIENTATIONS = {
    "axial": ((1, 0, 0), (0, 1, 0)),
    "feet_first": ((-1, 0, 0), (0, 1, 0)),
    "prone": ((-1, 0, 0), (0, -1, 0)),
    "sagittal": ((0, 1, 0), (0, 0, -1)),
    "coronal": ((1, 0, 0), (0, 0, -1)),
}
ORIGIN = np.array([-20.0, 35.0, 60.0])
SOP = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
    "NM": "1.2.840.10008.5.1.4.1.1.20",
}
FRAME = "1.2.826.0.1.3680043.8.498.77"

Change = Callable[[Dataset, int], object]


def _directions(orientation: str) -> tuple[np.ndarray, np.ndarray]:
    if orientation == "oblique":
        a, b, c = np.radians([23.0, -17.0, 9.0])
        x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
        y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
        z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
        turn = x @ y @ z
        return turn[:, 0], turn[:, 1]
    row, column = ORIENTATIONS[orientation]
    return np.array(row, float), np.array(column, float)


def _field(points: np.ndarray) -> np.ndarray:
    return 500 + points @ np.array([1.0, 2.0, 3.0])


def _points(start: np.ndarray, row: np.ndarray, column: np.ndarray, shape: tuple, spacing: tuple) -> np.ndarray:
    """Centres (rows, columns, 3) of one slice."""
    j, i = np.meshgrid(np.arange(shape[1]), np.arange(shape[2]), indexing="ij")
    return start + j[..., None] * column * spacing[1] + i[..., None] * row * spacing[2]


def _common(modality: str) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = SOP[modality], generate_uid(), modality
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = NAME, NUMBER, BIRTH, "F"
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = "20240502"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = "140500"
    ds.StudyID, ds.AccessionNumber, ds.ReferringPhysicianName = "7", "", ""
    ds.FrameOfReferenceUID = FRAME
    ds.Manufacturer, ds.ManufacturerModelName = "ACME", "Testomat"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, 0
    return ds


def _pet_tags(ds: Dataset) -> None:
    ds.Units, ds.DecayCorrection, ds.ActualFrameDuration = "BQML", "START", 1800000
    item, code = Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "C-114A5", "SRT", "^90^Yttrium"
    item.RadionuclideCodeSequence, item.RadionuclideHalfLife = [code], 230544.0
    ds.RadiopharmaceuticalInformationSequence = [item]


def _save(ds: Dataset, path: Path) -> None:
    ds["PixelData"].VR = "OW"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.save_as(path, enforce_file_format=True)


@pytest.fixture
def write_series(tmp_path: Path):
    """Writer of a CT or PT series, one file a slice; ``change(dataset, n)`` edits a header, and ``False`` leaves it out."""

    def write(
        modality: str = "CT",
        *,
        folder: str = "series",
        orientation: str = "axial",
        shape: tuple = (5, 7, 9),
        spacing: tuple = (3.0, 2.0, 1.5),
        reverse: bool = False,
        change: Change | None = None,
    ) -> Path:
        target = tmp_path / folder
        target.mkdir(exist_ok=True, parents=True)
        row, column = _directions(orientation)
        study, series = generate_uid(), generate_uid()
        for n in range(shape[0]):
            start = ORIGIN + n * spacing[0] * np.cross(row, column)
            with config.disable_value_validation():
                ds = _common(modality)
                ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.InstanceNumber = study, series, n + 1
                ds.ImageOrientationPatient = [f"{v:.12g}"[:16] for v in (*row, *column)]
                ds.ImagePositionPatient = [f"{v:.12g}"[:16] for v in start]
                ds.PixelSpacing, ds.SliceThickness = [spacing[1], spacing[2]], 1.0
                ds.Rows, ds.Columns = shape[1:]
                # PET: a slope of its own for every slice; CT: one slope with an intercept
                ds.RescaleSlope, ds.RescaleIntercept = (
                    ("0.05", "-1024") if modality == "CT" else (f"{0.025 + n / 1000}", "0")
                )
                if modality == "PT":
                    _pet_tags(ds)
                stored = (_field(_points(start, row, column, shape, spacing)) - ds.RescaleIntercept) / ds.RescaleSlope
                ds.PixelData = np.rint(stored).astype(np.uint16).tobytes()
                if change is not None and change(ds, n) is False:
                    continue
                place = shape[0] - n if reverse else n
                _save(ds, target / f"slice_{place:02d}.dcm")
        return target

    return write


@pytest.fixture
def write_nm(tmp_path: Path):
    """Writer of a reconstructed SPECT: ``20 * field`` counts; ``sign`` is that of Spacing Between Slices."""

    def write(
        *,
        name: str = "spect.dcm",
        orientation: str = "axial",
        shape: tuple = (5, 7, 9),
        spacing: tuple = (3.0, 2.0, 1.5),
        sign: int = 1,
        change: Callable[[Dataset], object] | None = None,
    ) -> Path:
        row, column = _directions(orientation)
        frames = [
            _field(_points(ORIGIN + n * sign * spacing[0] * np.cross(row, column), row, column, shape, spacing))
            for n in range(shape[0])
        ]
        with config.disable_value_validation():
            ds = _common("NM")
            ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.InstanceNumber = generate_uid(), generate_uid(), 1
            ds.ImageType = ["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"]
            ds.NumberOfFrames, ds.Rows, ds.Columns = shape
            ds.PixelSpacing, ds.SliceThickness = [spacing[1], spacing[2]], spacing[0]
            ds.SpacingBetweenSlices = sign * spacing[0]
            detector = Dataset()
            detector.ImageOrientationPatient = [f"{v:.12g}"[:16] for v in (*row, *column)]
            detector.ImagePositionPatient = ORIGIN.tolist()
            ds.DetectorInformationSequence, ds.NumberOfDetectors = [detector], 1
            ds.NumberOfEnergyWindows, ds.NumberOfSlices = 1, shape[0]
            ds.FrameIncrementPointer, ds.SliceVector = 0x00540080, list(range(1, shape[0] + 1))
            item, code = Dataset(), Dataset()
            code.CodeMeaning = "^99m^Technetium"
            item.RadionuclideCodeSequence = [code]
            ds.RadiopharmaceuticalInformationSequence = [item]
            ds.PixelData = np.rint(20 * np.array(frames)).astype(np.uint16).tobytes()
            if change is not None:
                change(ds)
            _save(ds, tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture(scope="session")
def place_error():
    """Largest difference between a volume's values and what its grid says stands there."""

    def error(volume, scale: float = 1.0) -> float:
        index = np.stack(np.meshgrid(*[np.arange(n) for n in volume.grid.shape], indexing="ij"), axis=-1)
        return float(np.abs(volume.values - scale * _field(volume.grid.points_lps_mm(index))).max())

    return error


@pytest.fixture(scope="session")
def refused():
    """Caller that wants a refusal with these words, of this kind, and without anything that names the patient."""

    def call(action: Callable[[], object], *words: str, code: str | None = None) -> str:
        with pytest.raises(VoxeldoseError) as caught:
            action()
        assert code in (None, caught.value.code)
        message = str(caught.value)
        missing = [w for w in words if w not in message]
        assert not missing, f"{missing} not in: {message}"
        assert_anonymous(message)
        return message

    return call


def assert_anonymous(text: str) -> None:
    """Nothing of the patient that the builders write stands in ``text``."""
    for secret in ("Hidden", "Ada", NUMBER, BIRTH):
        assert secret not in text


@pytest.fixture(scope="session")
def anonymous():
    """The check :func:`assert_anonymous`."""
    return assert_anonymous


@pytest.fixture(scope="session")
def make_grid():
    """Maker of an anisotropic grid with unequal axes in LPS+ (k, j, i) order, axial, oblique or left-handed."""

    def make(kind: str = "axial", shape: tuple = (4, 6, 9), frame_uid: str | None = FRAME) -> Grid:
        spacing = (3.0, 2.0, 1.5)
        if kind == "left_handed":  # an axial feet-first scan with its slices stacked to the head
            mirrored = np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])
            return Grid.from_axes(shape, spacing, ORIGIN, directions=mirrored, frame_uid=frame_uid)
        if kind == "axial":
            return Grid.from_axes(shape, spacing, ORIGIN, frame_uid=frame_uid)
        row, column = _directions(kind)
        axes = np.stack([np.cross(row, column), column, row], axis=1)
        return Grid.from_axes(shape, spacing, ORIGIN, directions=axes, frame_uid=frame_uid)

    return make


@pytest.fixture(scope="session")
def field():
    """``500 + x + 2y + 3z`` on every voxel of a grid."""

    def on(grid: Grid) -> np.ndarray:
        index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), axis=-1)
        return _field(grid.points_lps_mm(index))

    return on


@pytest.fixture(scope="session")
def study_instant() -> datetime:
    """The series and acquisition instant that the builders write, read as UTC."""
    return datetime(2024, 5, 2, 14, 5, tzinfo=UTC)
