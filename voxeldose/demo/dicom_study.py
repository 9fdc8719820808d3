"""DICOM studies of digital phantoms: CT, PET, SPECT and RTSTRUCT files as scanners and contouring systems write them.

Two runs give identical files, UIDs included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from voxeldose import __version__
from voxeldose.errors import QuantityError
from voxeldose.io.dicom.nuclide import code_of
from voxeldose.model.radionuclide import Y90, Y90_POSITRON_FRACTION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    import numpy.typing as npt
    from pydicom.dataset import Dataset

    from voxeldose.model.administration import Administration
    from voxeldose.model.arrays import Doubles, Floats
    from voxeldose.model.grid import Grid

__all__ = ["PhantomStudy", "stamp_seg", "write_ct", "write_pet", "write_rtstruct", "write_spect"]

#: No slice is stored with a finer slope than this part of the coarsest one.
LEAST_OF_HIGHEST = 1e-3


@dataclass(frozen=True)
class PhantomStudy:
    """What all files of a study share.

    Parameters
    ----------
    words : str
        What it shows; the description of the study and, with the series, the source of every UID.
    patient_id, patient_name : str
        Synthetic; no patient.
    body_part : str
        A defined term of DICOM.
    at : datetime
        When the study began.
    """

    words: str
    patient_id: str
    patient_name: str
    body_part: str
    at: datetime

    def uid(self, *words: object) -> str:
        """The same UID for the same words, in every run."""
        from pydicom.uid import generate_uid

        return str(generate_uid(entropy_srcs=[self.words, *map(str, words)]))


def _dataset(text: str, **values: Any) -> Dataset:
    """A dataset from ``Keyword=Value; …`` in DICOM's own notation (backslash between values) and from Python values."""
    from pydicom.dataset import Dataset

    dataset = Dataset()
    for part in filter(None, text.split("; ")):
        setattr(dataset, *part.split("=", 1))
    for key, value in values.items():
        setattr(dataset, key, value)
    return dataset


def _code(value: str, meaning: str, **more: Any) -> Dataset:
    return _dataset(f"CodeValue={value}; CodingSchemeDesignator=SCT; CodeMeaning={meaning}", **more)


#: What never changes in the headers.
_ALL = (
    "SpecificCharacterSet=ISO_IR 100; TimezoneOffsetFromUTC=+0000; PatientBirthDate=; PatientSex=O; StudyID=1; "
    "AccessionNumber=; ReferringPhysicianName=; PositionReferenceIndicator=; Manufacturer=voxeldose; "
    "ManufacturerModelName=digital phantom"
)
_CT = (
    r"ImageType=ORIGINAL\PRIMARY\AXIAL; SeriesDescription=CT; SeriesNumber=2; PatientPosition=HFS; KVP=120; "
    "AcquisitionNumber=1; RescaleIntercept=-1024; RescaleSlope=1; RescaleType=HU; WindowCenter=50; WindowWidth=400"
)
_PET = (
    r"ImageType=ORIGINAL\PRIMARY; SeriesDescription=Y-90 PET; SeriesNumber=3; SeriesType=STATIC\IMAGE; Units=BQML; "
    r"CountsSource=EMISSION; CorrectedImage=DECY\ATTN\SCAT\RAN; DecayCorrection=START; CollimatorType=NONE; "
    "RandomsCorrectionMethod=DLYD; AttenuationCorrectionMethod=measured,CT; RescaleIntercept=0"
)
_SPECT = (
    r"ImageType=ORIGINAL\PRIMARY\RECON TOMO\EMISSION; SeriesDescription=Tc-99m MAA SPECT; SeriesNumber=1; "
    r"CorrectedImage=ATTN\SCAT"
)


def _common(study: PhantomStudy, text: str, modality: str, sop_class: str) -> Dataset:
    """Patient, study and series."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    dataset = _dataset(f"{_ALL}; {text}", Modality=modality, SOPClassUID=sop_class, SoftwareVersions=__version__)
    dataset.PatientName, dataset.PatientID = study.patient_name, study.patient_id
    dataset.StudyDescription = study.words
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study.uid("study"), study.uid("series", modality)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def _header(study: PhantomStudy, text: str, modality: str, sop_class: str, at: datetime, grid: Grid) -> Dataset:
    """What all images of a series share: patient, study, series, frame of reference, pixels."""
    dataset = _common(study, text, modality, sop_class)
    dataset.BodyPartExamined, dataset.PhotometricInterpretation = study.body_part, "MONOCHROME2"
    dataset.FrameOfReferenceUID = grid.frame_uid
    for group, instant in (("Study", study.at), ("Series", at), ("Acquisition", at), ("Content", at)):
        setattr(dataset, f"{group}Date", instant.strftime("%Y%m%d"))
        setattr(dataset, f"{group}Time", instant.strftime("%H%M%S"))
    if modality != "CT":  # which says it by Patient Position
        lying = _code("102538003", "recumbent", PatientOrientationModifierCodeSequence=[_code("40199007", "supine")])
        dataset.PatientOrientationCodeSequence = [lying]
        dataset.PatientGantryRelationshipCodeSequence = [_code("102540001", "headfirst")]
    dataset.PixelSpacing, dataset.SliceThickness = list(grid.spacing_mm[1:]), grid.spacing_mm[0]
    _, dataset.Rows, dataset.Columns = grid.shape
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    return dataset


def _save(study: PhantomStudy, dataset: Dataset, path: Path, instance: int, pixels: npt.NDArray[np.generic]) -> None:
    dataset.InstanceNumber = instance
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    _write(study, dataset, path, instance)


def _write(study: PhantomStudy, dataset: Dataset, path: Path, instance: int) -> None:
    dataset.SOPInstanceUID = study.uid("instance", dataset.Modality, instance)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(path, enforce_file_format=True)


def _place(dataset: Dataset, grid: Grid, k: int) -> None:
    """Position and orientation of one axial slice."""
    dataset.ImagePositionPatient = [round(float(v), 4) for v in grid.points_lps_mm((k, 0, 0))]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]


def write_ct(study: PhantomStudy, hu: Floats, grid: Grid, folder: Path, at: datetime) -> None:
    """A single-frame CT series; the first instance is the top slice, as scanners number a scan from head to foot."""
    dataset = _header(study, _CT, "CT", "1.2.840.10008.5.1.4.1.1.2", at, grid)
    dataset.BitsStored, dataset.HighBit = 12, 11
    stored = np.clip(np.rint(hu) + 1024, 0, 4095).astype("<u2")
    for n, k in enumerate(reversed(range(grid.shape[0])), 1):
        _place(dataset, grid, k)
        _save(study, dataset, folder / f"ct_{n:03d}.dcm", n, stored[k])


def write_pet(
    study: PhantomStudy,
    bq_per_ml: Floats,
    grid: Grid,
    folder: Path,
    *,
    at: datetime,
    frame_s: float,
    given: Administration,
) -> None:
    """A single-frame PET series of Y-90 in Bq/mL at the start of the scan: signed values, a slope for each slice."""
    if given.at is None or given.administered_mbq is None:
        msg = "The PET of a phantom states what was given and when: Administration needs administered_mbq and at."
        raise QuantityError(msg, code="activity-missing")
    rate = math.log(2) / Y90.half_life_s * frame_s
    in_frame = rate / -math.expm1(-rate)  # mean over the frame to its start: what Decay Factor holds for START
    dataset = _header(study, _PET, "PT", "1.2.840.10008.5.1.4.1.1.128", at, grid)
    dataset.PixelRepresentation = 1
    dataset.NumberOfSlices, dataset.ActualFrameDuration = grid.shape[0], round(frame_s * 1000)
    dataset.DecayFactor = f"{in_frame:.8f}"
    dataset.FrameReferenceTime = round(math.log2(in_frame) * Y90.half_life_s * 1000, 3)
    drug = _dataset(
        "Radiopharmaceutical=Yttrium-90 glass microspheres",
        RadiopharmaceuticalStartTime=given.at.strftime("%H%M%S"),
        RadiopharmaceuticalStartDateTime=given.at.strftime("%Y%m%d%H%M%S+0000"),
        RadionuclideTotalDose=f"{given.administered_mbq * 1e6:.0f}",
        RadionuclideHalfLife=f"{Y90.half_life_s:.0f}",
        RadionuclidePositronFraction=f"{Y90_POSITRON_FRACTION:g}",
        RadionuclideCodeSequence=[_code(code_of("Y-90"), "^90^Yttrium")],
    )
    dataset.RadiopharmaceuticalInformationSequence = [drug]
    highest = np.abs(bq_per_ml).max(axis=(1, 2))
    least = max(float(highest.max()) * LEAST_OF_HIGHEST, 1e-3)  # readers take a slope far beyond most others for damage
    for n, k in enumerate(reversed(range(grid.shape[0])), 1):
        _place(dataset, grid, k)
        slope = f"{max(float(highest[k]), least) / 32767:.9g}"
        dataset.RescaleSlope, dataset.ImageIndex = slope, n
        stored = np.clip(np.rint(bq_per_ml[k] / float(slope)), -32767, 32767).astype("<i2")
        _save(study, dataset, folder / f"pet_{n:03d}.dcm", n, stored)


def write_spect(study: PhantomStudy, counts: npt.NDArray[np.uint16], grid: Grid, path: Path, at: datetime) -> None:
    """A reconstructed SPECT in one multi-frame NM file, from head to foot: its Spacing Between Slices is negative."""
    slices = grid.shape[0]
    dataset = _header(study, _SPECT, "NM", "1.2.840.10008.5.1.4.1.1.20", at, grid)
    dataset.NumberOfFrames = dataset.NumberOfSlices = slices
    dataset.FrameIncrementPointer, dataset.SliceVector = 0x00540080, list(range(1, slices + 1))
    dataset.SpacingBetweenSlices = -grid.spacing_mm[0]
    dataset.CountsAccumulated = int(counts.sum())
    window = _dataset("EnergyWindowLowerLimit=126.45; EnergyWindowUpperLimit=154.55")
    dataset.EnergyWindowInformationSequence = [_dataset("EnergyWindowName=Tc-99m", EnergyWindowRangeSequence=[window])]
    drug = _dataset(
        "Radiopharmaceutical=Tc-99m MAA", RadionuclideCodeSequence=[_code(code_of("Tc-99m"), "^99m^Technetium")]
    )
    dataset.RadiopharmaceuticalInformationSequence = [drug]
    detector = _dataset("CollimatorType=PARA")
    _place(detector, grid, slices - 1)
    dataset.DetectorInformationSequence = [detector]
    rotation = _dataset(
        "StartAngle=0; AngularStep=3; RotationDirection=CW; ScanArc=360; TableHeight=0; TableTraverse=0"
    )
    rotation.ActualFrameDuration, rotation.NumberOfFramesInRotation = 15000, 120
    dataset.RotationInformationSequence = [rotation]
    dataset.NumberOfEnergyWindows = dataset.NumberOfDetectors = dataset.NumberOfRotations = 1
    _save(study, dataset, path, 1, counts[::-1].astype("<u2"))


def stamp_seg(study: PhantomStudy, path: Path, at: datetime) -> None:
    """Give the SEG UIDs and instants that are the same in every run."""
    from pydicom import dcmread

    dataset = dcmread(path)
    dataset.SeriesInstanceUID, dataset.SOPInstanceUID = study.uid("series", "SEG"), study.uid("instance", "SEG", 1)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    organization = study.uid("dimensions", "SEG")
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = organization
    for group in ("InstanceCreation", "Content"):
        setattr(dataset, f"{group}Date", at.strftime("%Y%m%d"))
        setattr(dataset, f"{group}Time", at.strftime("%H%M%S"))
    for item in dataset.get("ContributingEquipmentSequence", []):
        item.ContributionDateTime = at.strftime("%Y%m%d%H%M%S+0000")
    dataset.save_as(path, enforce_file_format=True)


def write_rtstruct(
    study: PhantomStudy,
    contours: Mapping[str, Sequence[Doubles]],
    path: Path,
    *,
    at: datetime,
    frame_uid: str,
) -> None:
    """A structure set of closed planar contours.

    Parameters
    ----------
    contours : mapping
        Name of the region to its contours, each (n, 3) vertices in LPS millimetres.
    at : datetime
        When it was drawn.
    frame_uid : str
        Frame of reference of the points.
    """
    dataset = _common(
        study, "StructureSetLabel=phantom; SeriesNumber=5; OperatorsName=", "RTSTRUCT", "1.2.840.10008.5.1.4.1.1.481.3"
    )
    for group in ("Study", "StructureSet"):
        setattr(dataset, f"{group}Date", at.strftime("%Y%m%d"))
        setattr(dataset, f"{group}Time", at.strftime("%H%M%S"))
    dataset.FrameOfReferenceUID = frame_uid
    dataset.ReferencedFrameOfReferenceSequence = [_dataset("", FrameOfReferenceUID=frame_uid)]
    regions, drawn, seen = [], [], []
    for number, (name, loops) in enumerate(contours.items(), 1):
        region = _dataset("ROIGenerationAlgorithm=AUTOMATIC", ROINumber=number, ROIName=name)
        region.ReferencedFrameOfReferenceUID = frame_uid
        regions.append(region)
        items = []
        for loop in loops:
            item = _dataset("ContourGeometricType=CLOSED_PLANAR", NumberOfContourPoints=len(loop))
            item.ContourData = [f"{v:.4f}" for v in loop.ravel()]
            items.append(item)
        drawn.append(_dataset("", ROIDisplayColor=[255, 0, 0], ContourSequence=items, ReferencedROINumber=number))
        seen.append(
            _dataset("RTROIInterpretedType=; ROIInterpreter=", ObservationNumber=number, ReferencedROINumber=number)
        )
    dataset.StructureSetROISequence, dataset.ROIContourSequence, dataset.RTROIObservationsSequence = (
        regions,
        drawn,
        seen,
    )
    dataset.InstanceNumber = 1
    _write(study, dataset, path, 1)
