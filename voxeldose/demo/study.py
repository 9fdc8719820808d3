"""The phantom written as a DICOM study: CT, Y-90 PET, Tc-99m MAA SPECT, regions, case files and truth."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from voxeldose._version import __version__
from voxeldose.case import DEFAULT_DENSITY_G_PER_ML
from voxeldose.demo.phantom import (
    ADMINISTERED_MBQ,
    CT_AT,
    INFUSION_AT,
    LUNG_SHUNT_FRACTION,
    MAA_TUMOR_RATIO,
    PET_AT,
    PET_FRAME_S,
    REGIONS,
    RESIDUAL_MBQ,
    SEED,
    SPECT_AT,
    UPTAKE,
    concentrations,
    ct_numbers,
    label_map,
    pet_image,
    spect_counts,
    truth_of_phantom,
)
from voxeldose.grid import Grid
from voxeldose.io.dicom_seg import write_seg
from voxeldose.io.nifti import write_labels
from voxeldose.radionuclide import Y90
from voxeldose.roi import Roi, RoiSet

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    import numpy.typing as npt
    from pydicom.dataset import Dataset

    from voxeldose.demo.phantom import Floats

__all__ = ["DemoStudy", "make_study"]

Progress = Callable[[str], None]

#: Fraction of decays that emit a positron: Selwyn et al., Appl. Radiat. Isot. 65 (2007) 318-327.
Y90_POSITRON_FRACTION = 3.186e-5


@dataclass(frozen=True)
class DemoStudy:
    """Where the parts of the study lie.

    Parameters
    ----------
    ct, pet, spect : Path
        Folders, one DICOM series each.
    labels, seg : Path
        The same regions as NIfTI label map and as DICOM SEG, on the CT's voxels.
    assess_toml, plan_toml : Path
        Case files: the PET after treatment, the MAA SPECT before it.
    truth : Path
        JSON with the true numbers of every region.
    """

    ct: Path
    pet: Path
    spect: Path
    labels: Path
    seg: Path
    assess_toml: Path
    plan_toml: Path
    truth: Path


def make_study(folder: Path, *, progress: Progress | None = None) -> DemoStudy:
    """Write the phantom as a study: CT, Y-90 PET, Tc-99m MAA SPECT, regions, case files and truth.

    Two runs give identical files, UIDs included. Files of the same names in ``folder`` are replaced.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    progress : callable, optional
        Called with a few words before each step.

    Returns
    -------
    DemoStudy
        Paths of everything written.
    """
    say = progress or (lambda _: None)
    study = DemoStudy(
        *(folder / name for name in ("ct", "pet", "spect", "labels.nii.gz", "rois.seg.dcm")),
        *(folder / name for name in ("assess.toml", "plan.toml", "truth.json")),
    )
    for part in (study.ct, study.pet, study.spect):
        part.mkdir(parents=True, exist_ok=True)
    frame = _uid("frame")
    ct_grid = Grid.from_axes((110, 144, 176), (2.5, 2.0, 2.0), (-175.0, -143.0, -110.0), frame_uid=frame)
    pet_grid = Grid.from_axes((92, 84, 96), (3.0, 4.07, 4.07), (-193.325, -168.905, -110.0), frame_uid=frame)
    spect_grid = Grid.from_axes((60, 64, 80), (4.8, 4.8, 4.8), (-189.6, -151.2, -114.0), frame_uid=frame)
    randoms = [np.random.default_rng((SEED, n)) for n in range(3)]

    say("computing the true doses")
    truth = truth_of_phantom(pet_grid)
    study.truth.write_text(json.dumps(truth, indent=1) + "\n", "utf-8")
    volumes = {name: roi["volume_ml"] for name, roi in truth["rois"].items()}
    say("writing the CT")
    _write_ct(ct_numbers(ct_grid, randoms[0]), ct_grid, study.ct)
    say("writing the Y-90 PET")
    pet = pet_image(pet_grid, concentrations(volumes, UPTAKE), randoms[1])
    _write_pet(pet * np.float32(Y90.decay_factor((PET_AT - INFUSION_AT).total_seconds())), pet_grid, study.pet)
    say("writing the Tc-99m MAA SPECT")
    maa = UPTAKE | {name: MAA_TUMOR_RATIO * UPTAKE[name] for name in ("lesion_1", "lesion_2")}
    counts = spect_counts(spect_grid, concentrations(volumes, maa), randoms[2])
    _write_spect(counts, spect_grid, study.spect / "spect.dcm")
    say("writing regions and case files")
    labels = label_map(ct_grid)
    write_labels(labels, ct_grid, study.labels)
    rois = RoiSet(tuple(Roi(name, role, labels == n, ct_grid) for name, (n, role) in REGIONS.items()))
    write_seg(rois, study.seg, reference=study.ct)
    _stamp(study.seg)
    study.assess_toml.write_text(_case_file("demo", "pet"), "utf-8")
    study.plan_toml.write_text(_case_file("demo-plan", "spect"), "utf-8")
    return study


def _uid(*words: object) -> str:
    """The same UID for the same words, in every run."""
    from pydicom.uid import generate_uid

    return str(generate_uid(entropy_srcs=["voxeldose digital liver phantom", *map(str, words)]))


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
    "SpecificCharacterSet=ISO_IR 100; TimezoneOffsetFromUTC=+0000; PatientName=Demo^Phantom; PatientID=DEMO; "
    "PatientBirthDate=; PatientSex=O; StudyID=1; StudyDescription=voxeldose digital liver phantom; AccessionNumber=; "
    "ReferringPhysicianName=; BodyPartExamined=LIVER; PositionReferenceIndicator=; Manufacturer=voxeldose; "
    "ManufacturerModelName=digital phantom; PhotometricInterpretation=MONOCHROME2"
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


def _header(text: str, modality: str, sop_class: str, at: datetime, grid: Grid) -> Dataset:
    """What all images of a series share: patient, study, series, frame of reference, pixels."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    made = _dataset(f"{_ALL}; {text}", Modality=modality, SOPClassUID=sop_class, SoftwareVersions=__version__)
    made.StudyInstanceUID, made.SeriesInstanceUID = _uid("study"), _uid("series", modality)
    made.FrameOfReferenceUID = grid.frame_uid
    for group, instant in (("Study", SPECT_AT), ("Series", at), ("Acquisition", at), ("Content", at)):
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
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return made


def _save(made: Dataset, path: Path, instance: int, pixels: npt.NDArray[np.generic]) -> None:
    made.InstanceNumber = instance
    made.SOPInstanceUID = _uid("instance", made.Modality, instance)
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.PixelData = pixels.tobytes()
    made["PixelData"].VR = "OW"
    made.save_as(path, enforce_file_format=True)


def _place(made: Dataset, grid: Grid, k: int) -> None:
    """Position and orientation of one axial slice."""
    made.ImagePositionPatient = [round(float(v), 4) for v in grid.points_lps_mm((k, 0, 0))]
    made.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]


def _write_ct(hu: Floats, grid: Grid, folder: Path) -> None:
    """A single-frame CT series; the first instance is the top slice, as scanners number a scan from head to foot."""
    made = _header(_CT, "CT", "1.2.840.10008.5.1.4.1.1.2", CT_AT, grid)
    made.BitsStored, made.HighBit = 12, 11
    stored = np.clip(np.rint(hu) + 1024, 0, 4095).astype("<u2")
    for n, k in enumerate(reversed(range(grid.shape[0])), 1):
        _place(made, grid, k)
        _save(made, folder / f"ct_{n:03d}.dcm", n, stored[k])


def _write_pet(bq_per_ml: Floats, grid: Grid, folder: Path) -> None:
    """A single-frame PET series in Bq/mL at the start of the scan: signed values, a slope for each slice."""
    rate = math.log(2) / Y90.half_life_s * PET_FRAME_S
    in_frame = rate / -math.expm1(-rate)  # mean over the frame to its start: what Decay Factor holds for START
    made = _header(_PET, "PT", "1.2.840.10008.5.1.4.1.1.128", PET_AT, grid)
    made.PixelRepresentation = 1
    made.NumberOfSlices, made.ActualFrameDuration = grid.shape[0], round(PET_FRAME_S * 1000)
    made.DecayFactor = f"{in_frame:.8f}"
    made.FrameReferenceTime = round(math.log2(in_frame) * Y90.half_life_s * 1000, 3)
    drug = _dataset(
        "Radiopharmaceutical=Yttrium-90 glass microspheres",
        RadiopharmaceuticalStartTime=INFUSION_AT.strftime("%H%M%S"),
        RadiopharmaceuticalStartDateTime=INFUSION_AT.strftime("%Y%m%d%H%M%S+0000"),
        RadionuclideTotalDose=f"{ADMINISTERED_MBQ * 1e6:.0f}",
        RadionuclideHalfLife=f"{Y90.half_life_s:.0f}",
        RadionuclidePositronFraction=f"{Y90_POSITRON_FRACTION:g}",
        RadionuclideCodeSequence=[_code("14691008", "^90^Yttrium")],
    )
    made.RadiopharmaceuticalInformationSequence = [drug]
    for n, k in enumerate(reversed(range(grid.shape[0])), 1):
        _place(made, grid, k)
        slope = f"{max(float(np.abs(bq_per_ml[k]).max()) / 32767, 1e-6):.9g}"
        made.RescaleSlope, made.ImageIndex = slope, n
        stored = np.clip(np.rint(bq_per_ml[k] / float(slope)), -32767, 32767).astype("<i2")
        _save(made, folder / f"pet_{n:03d}.dcm", n, stored)


def _write_spect(counts: npt.NDArray[np.uint16], grid: Grid, path: Path) -> None:
    """A reconstructed SPECT in one multi-frame NM file, from head to foot: its Spacing Between Slices is negative."""
    slices = grid.shape[0]
    made = _header(_SPECT, "NM", "1.2.840.10008.5.1.4.1.1.20", SPECT_AT, grid)
    made.NumberOfFrames = made.NumberOfSlices = slices
    made.FrameIncrementPointer, made.SliceVector = 0x00540080, list(range(1, slices + 1))
    made.SpacingBetweenSlices = -grid.spacing_mm[0]
    made.CountsAccumulated = int(counts.sum())
    window = _dataset("EnergyWindowLowerLimit=126.45; EnergyWindowUpperLimit=154.55")
    made.EnergyWindowInformationSequence = [_dataset("EnergyWindowName=Tc-99m", EnergyWindowRangeSequence=[window])]
    drug = _dataset("Radiopharmaceutical=Tc-99m MAA", RadionuclideCodeSequence=[_code("72454009", "^99m^Technetium")])
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
    _save(made, path, 1, counts[::-1].astype("<u2"))


def _stamp(path: Path) -> None:
    """Give the SEG UIDs and instants that are the same in every run."""
    from pydicom import dcmread

    made = dcmread(path)
    made.SeriesInstanceUID, made.SOPInstanceUID = _uid("series", "SEG"), _uid("instance", "SEG", 1)
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    organization = _uid("dimensions", "SEG")
    for item in (*made.DimensionOrganizationSequence, *made.DimensionIndexSequence):
        item.DimensionOrganizationUID = organization
    for group in ("InstanceCreation", "Content"):
        setattr(made, f"{group}Date", PET_AT.strftime("%Y%m%d"))
        setattr(made, f"{group}Time", PET_AT.strftime("%H%M%S"))
    for item in made.get("ContributingEquipmentSequence", []):
        item.ContributionDateTime = PET_AT.strftime("%Y%m%d%H%M%S+0000")
    made.save_as(path, enforce_file_format=True)


def _case_file(name: str, activity: str) -> str:
    labels = ", ".join(f'{n} = {{ name = "{roi}", role = "{role}" }}' for roi, (n, role) in REGIONS.items())
    return f"""# voxeldose digital liver phantom: no real patient.
[case]
id = "{name}"

[activity]
path = "{activity}"

[ct]
path = "ct"

[[rois]]
path = "labels.nii.gz"
labels = {{ {labels} }}

[administration]
radionuclide = "Y-90"
device = "glass"
administered_mbq = {ADMINISTERED_MBQ}
residual_mbq = {RESIDUAL_MBQ}
at = {INFUSION_AT:%Y-%m-%dT%H:%M:%SZ}
lung_shunt_fraction = {LUNG_SHUNT_FRACTION}

[dose]
engine = "dpk"
calibration = "administered"
grid = "activity"
density = "uniform"
density_g_per_ml = {DEFAULT_DENSITY_G_PER_ML}
constants = "{Y90.constants}"
"""
