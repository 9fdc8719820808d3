"""DICOM studies of digital phantoms: CT, PET, SPECT and RTSTRUCT files as scanners and contouring systems write them.

Two runs give identical files, UIDs included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from voxeldose._version import __version__
from voxeldose.errors import QuantityError
from voxeldose.io.dicom.nuclide import code_of
from voxeldose.model.radionuclide import Y90

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    import numpy.typing as npt
    from pydicom.dataset import Dataset

    from voxeldose.demo.shapes import Floats
    from voxeldose.model.administration import Administration
    from voxeldose.model.grid import Grid

__all__ = ["PhantomStudy", "stamp_seg", "write_ct", "write_pet", "write_rtstruct", "write_spect"]

#: Fraction of decays that emit a positron: Selwyn et al., Appl. Radiat. Isot. 65 (2007) 318-327.
Y90_POSITRON_FRACTION = 3.186e-5


@dataclass(frozen=True)
class PhantomStudy:
    """What all files of a study share.

    Parameters
    ----------
    words : str
        What it shows; the description of the study and, with the series, the source of every UID.
    patient_id, patient_name : str
        Of nobody.
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

    made = Dataset()
    for part in filter(None, text.split("; ")):
        setattr(made, *part.split("=", 1))
    for key, value in values.items():
        setattr(made, key, value)
    return made


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

    made = _dataset(f"{_ALL}; {text}", Modality=modality, SOPClassUID=sop_class, SoftwareVersions=__version__)
    made.PatientName, made.PatientID = study.patient_name, study.patient_id
    made.StudyDescription = study.words
    made.StudyInstanceUID, made.SeriesInstanceUID = study.uid("study"), study.uid("series", modality)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return made


def _header(study: PhantomStudy, text: str, modality: str, sop_class: str, at: datetime, grid: Grid) -> Dataset:
    """What all images of a series share: patient, study, series, frame of reference, pixels."""
    made = _common(study, text, modality, sop_class)
    made.BodyPartExamined, made.PhotometricInterpretation = study.body_part, "MONOCHROME2"
    made.FrameOfReferenceUID = grid.frame_uid
    for group, instant in (("Study", study.at), ("Series", at), ("Acquisition", at), ("Content", at)):
        setattr(made, f"{group}Date", instant.strftime("%Y%m%d"))
        setattr(made, f"{group}Time", instant.strftime("%H%M%S"))
    if modality != "CT":  # which says it by Patient Position
        lying = _code("102538003", "recumbent", PatientOrientationModifierCodeSequence=[_code("40199007", "supine")])
        made.PatientOrientationCodeSequence = [lying]
        made.PatientGantryRelationshipCodeSequence = [_code("102540001", "headfirst")]
    made.PixelSpacing, made.SliceThickness = list(grid.spacing_mm[1:]), grid.spacing_mm[0]
    _, made.Rows, made.Columns = grid.shape
    made.SamplesPerPixel, made.PixelRepresentation = 1, 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 16, 15
    return made


def _save(study: PhantomStudy, made: Dataset, path: Path, instance: int, pixels: npt.NDArray[np.generic]) -> None:
    made.InstanceNumber = instance
    made.PixelData = pixels.tobytes()
    made["PixelData"].VR = "OW"
    _write(study, made, path, instance)


def _write(study: PhantomStudy, made: Dataset, path: Path, instance: int) -> None:
    made.SOPInstanceUID = study.uid("instance", made.Modality, instance)
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.save_as(path, enforce_file_format=True)


def _place(made: Dataset, grid: Grid, k: int) -> None:
    """Position and orientation of one axial slice."""
    made.ImagePositionPatient = [round(float(v), 4) for v in grid.points_lps_mm((k, 0, 0))]
    made.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]


def write_ct(study: PhantomStudy, hu: Floats, grid: Grid, folder: Path, at: datetime) -> None:
    """A single-frame CT series; the first instance is the top slice, as scanners number a scan from head to foot."""
    made = _header(study, _CT, "CT", "1.2.840.10008.5.1.4.1.1.2", at, grid)
    made.BitsStored, made.HighBit = 12, 11
    stored = np.clip(np.rint(hu) + 1024, 0, 4095).astype("<u2")
    for n, k in enumerate(reversed(range(grid.shape[0])), 1):
        _place(made, grid, k)
        _save(study, made, folder / f"ct_{n:03d}.dcm", n, stored[k])


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
        raise QuantityError(msg)
    rate = math.log(2) / Y90.half_life_s * frame_s
    in_frame = rate / -math.expm1(-rate)  # mean over the frame to its start: what Decay Factor holds for START
    made = _header(study, _PET, "PT", "1.2.840.10008.5.1.4.1.1.128", at, grid)
    made.PixelRepresentation = 1
    made.NumberOfSlices, made.ActualFrameDuration = grid.shape[0], round(frame_s * 1000)
    made.DecayFactor = f"{in_frame:.8f}"
    made.FrameReferenceTime = round(math.log2(in_frame) * Y90.half_life_s * 1000, 3)
    drug = _dataset(
        "Radiopharmaceutical=Yttrium-90 glass microspheres",
        RadiopharmaceuticalStartTime=given.at.strftime("%H%M%S"),
        RadiopharmaceuticalStartDateTime=given.at.strftime("%Y%m%d%H%M%S+0000"),
        RadionuclideTotalDose=f"{given.administered_mbq * 1e6:.0f}",
        RadionuclideHalfLife=f"{Y90.half_life_s:.0f}",
        RadionuclidePositronFraction=f"{Y90_POSITRON_FRACTION:g}",
        RadionuclideCodeSequence=[_code(code_of("Y-90"), "^90^Yttrium")],
    )
    made.RadiopharmaceuticalInformationSequence = [drug]
    for n, k in enumerate(reversed(range(grid.shape[0])), 1):
        _place(made, grid, k)
        slope = f"{max(float(np.abs(bq_per_ml[k]).max()) / 32767, 1e-6):.9g}"
        made.RescaleSlope, made.ImageIndex = slope, n
        stored = np.clip(np.rint(bq_per_ml[k] / float(slope)), -32767, 32767).astype("<i2")
        _save(study, made, folder / f"pet_{n:03d}.dcm", n, stored)


def write_spect(study: PhantomStudy, counts: npt.NDArray[np.uint16], grid: Grid, path: Path, at: datetime) -> None:
    """A reconstructed SPECT in one multi-frame NM file, from head to foot: its Spacing Between Slices is negative."""
    slices = grid.shape[0]
    made = _header(study, _SPECT, "NM", "1.2.840.10008.5.1.4.1.1.20", at, grid)
    made.NumberOfFrames = made.NumberOfSlices = slices
    made.FrameIncrementPointer, made.SliceVector = 0x00540080, list(range(1, slices + 1))
    made.SpacingBetweenSlices = -grid.spacing_mm[0]
    made.CountsAccumulated = int(counts.sum())
    window = _dataset("EnergyWindowLowerLimit=126.45; EnergyWindowUpperLimit=154.55")
    made.EnergyWindowInformationSequence = [_dataset("EnergyWindowName=Tc-99m", EnergyWindowRangeSequence=[window])]
    drug = _dataset(
        "Radiopharmaceutical=Tc-99m MAA", RadionuclideCodeSequence=[_code(code_of("Tc-99m"), "^99m^Technetium")]
    )
    made.RadiopharmaceuticalInformationSequence = [drug]
    detector = _dataset("CollimatorType=PARA")
    _place(detector, grid, slices - 1)
    made.DetectorInformationSequence = [detector]
    rotation = _dataset(
        "StartAngle=0; AngularStep=3; RotationDirection=CW; ScanArc=360; TableHeight=0; TableTraverse=0"
    )
    rotation.ActualFrameDuration, rotation.NumberOfFramesInRotation = 15000, 120
    made.RotationInformationSequence = [rotation]
    made.NumberOfEnergyWindows = made.NumberOfDetectors = made.NumberOfRotations = 1
    _save(study, made, path, 1, counts[::-1].astype("<u2"))


def stamp_seg(study: PhantomStudy, path: Path, at: datetime) -> None:
    """Give the SEG UIDs and instants that are the same in every run."""
    from pydicom import dcmread

    made = dcmread(path)
    made.SeriesInstanceUID, made.SOPInstanceUID = study.uid("series", "SEG"), study.uid("instance", "SEG", 1)
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    organization = study.uid("dimensions", "SEG")
    for item in (*made.DimensionOrganizationSequence, *made.DimensionIndexSequence):
        item.DimensionOrganizationUID = organization
    for group in ("InstanceCreation", "Content"):
        setattr(made, f"{group}Date", at.strftime("%Y%m%d"))
        setattr(made, f"{group}Time", at.strftime("%H%M%S"))
    for item in made.get("ContributingEquipmentSequence", []):
        item.ContributionDateTime = at.strftime("%Y%m%d%H%M%S+0000")
    made.save_as(path, enforce_file_format=True)


def write_rtstruct(
    study: PhantomStudy,
    contours: Mapping[str, Sequence[npt.NDArray[np.float64]]],
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
    made = _common(
        study, "StructureSetLabel=phantom; SeriesNumber=5; OperatorsName=", "RTSTRUCT", "1.2.840.10008.5.1.4.1.1.481.3"
    )
    for group in ("Study", "StructureSet"):
        setattr(made, f"{group}Date", at.strftime("%Y%m%d"))
        setattr(made, f"{group}Time", at.strftime("%H%M%S"))
    made.FrameOfReferenceUID = frame_uid
    made.ReferencedFrameOfReferenceSequence = [_dataset("", FrameOfReferenceUID=frame_uid)]
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
    made.StructureSetROISequence, made.ROIContourSequence, made.RTROIObservationsSequence = regions, drawn, seen
    made.InstanceNumber = 1
    _write(study, made, path, 1)
