"""Enhanced and legacy converted multi-frame PET and CT, against highdicom; frame order and scale are each frame's own."""

import json

import highdicom
import numpy as np
import pytest
from click.testing import CliRunner
from pydicom import config, dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from voxeldose.cli import main
from voxeldose.io.dicom.ct import read_ct
from voxeldose.io.dicom.pet import read_pet
from voxeldose.io.dicom.series import read_dicom_volume
from voxeldose.io.nifti import write_labels
from voxeldose.model.volume import ActivityMap, CtImage

ENHANCED = {
    "enhanced PET": ("PT", "1.2.840.10008.5.1.4.1.1.130"),
    "legacy PET": ("PT", "1.2.840.10008.5.1.4.1.1.128.1"),
    "enhanced CT": ("CT", "1.2.840.10008.5.1.4.1.1.2.1"),
    "legacy CT": ("CT", "1.2.840.10008.5.1.4.1.1.2.2"),
}
ORDER = [3, 0, 4, 1, 2]
ROUNDING = 0.03  # half a slope, as for single-frame series


def group(**sequences):
    made = Dataset()
    for name, values in sequences.items():
        item = Dataset()
        for key, value in values.items():
            setattr(item, key, value)
        setattr(made, name, [item])
    return made


def converted(folder, path, kind, change=None):
    """One multi-frame file of a single-frame series, its frames in :data:`ORDER`."""
    modality, sop = ENHANCED[kind]
    files = sorted(folder.iterdir())
    slices = [dcmread(files[n]) for n in ORDER]
    with config.disable_value_validation():
        ds = Dataset()
        for key in (
            "PatientName",
            "PatientID",
            "PatientBirthDate",
            "StudyDate",
            "StudyTime",
            "SeriesDate",
            "SeriesTime",
        ):
            setattr(ds, key, getattr(slices[0], key))
        for key in ("FrameOfReferenceUID", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"):
            setattr(ds, key, getattr(slices[0], key))
        ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = sop, generate_uid(), modality
        ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
        ds.NumberOfFrames, ds.InstanceNumber = len(slices), 1
        shared = group(
            PixelMeasuresSequence={"PixelSpacing": slices[0].PixelSpacing, "SliceThickness": 1.0},
            PlaneOrientationSequence={"ImageOrientationPatient": slices[0].ImageOrientationPatient},
        )
        if modality == "PT":
            drug = slices[0].RadiopharmaceuticalInformationSequence
            if kind == "legacy PET":
                shared.update(
                    group(
                        UnassignedSharedConvertedAttributesSequence={
                            "Units": "BQML",
                            "DecayCorrection": "START",
                            "RadiopharmaceuticalInformationSequence": drug,
                        }
                    )
                )
            else:
                ds.Units, ds.RadiopharmaceuticalInformationSequence = "BQML", drug
                ds.DecayCorrected, ds.DecayCorrectionDateTime = "YES", "20240502140500"
        ds.SharedFunctionalGroupsSequence = [shared]
        ds.PerFrameFunctionalGroupsSequence = [
            group(
                PlanePositionSequence={"ImagePositionPatient": s.ImagePositionPatient},
                PixelValueTransformationSequence={
                    "RescaleSlope": s.RescaleSlope,
                    "RescaleIntercept": s.RescaleIntercept,
                    "RescaleType": "HU" if modality == "CT" else "US",
                },
                FrameContentSequence={
                    "FrameAcquisitionDateTime": "20240502140500",
                    "FrameAcquisitionDuration": 1800000.0,
                    "FrameReferenceDateTime": "20240502142000",
                },
            )
            for s in slices
        ]
        ds.PixelData = b"".join(s.PixelData for s in slices)
        if change is not None:
            change(ds)
        ds["PixelData"].VR = "OW"
        ds.file_meta = FileMetaDataset()
        ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = sop, ds.SOPInstanceUID
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.save_as(path, enforce_file_format=True)
    return path


def reader_of(kind):
    return read_pet if kind.endswith("PET") else read_ct


@pytest.mark.parametrize("orientation", ["axial", "feet_first", "prone", "sagittal", "coronal", "oblique"])
@pytest.mark.parametrize("kind", ENHANCED)
def test_every_voxel_has_the_value_of_its_place(write_series, tmp_path, place_error, kind, orientation):
    folder = write_series(ENHANCED[kind][0], orientation=orientation)
    volume = reader_of(kind)(converted(folder, tmp_path / "multi.dcm", kind))
    assert isinstance(volume, ActivityMap if kind.endswith("PET") else CtImage)
    assert place_error(volume) < ROUNDING
    assert place_error(read_dicom_volume(tmp_path / "multi.dcm")[0]) < ROUNDING


@pytest.mark.parametrize("kind", ENHANCED)
def test_values_are_those_of_highdicom_at_the_same_places(write_series, tmp_path, kind):
    path = converted(write_series(ENHANCED[kind][0], orientation="oblique"), tmp_path / "multi.dcm", kind)
    ours, theirs = reader_of(kind)(path), highdicom.imread(path).get_volume()
    index = np.stack(np.meshgrid(*[np.arange(n) for n in ours.grid.shape], indexing="ij"), axis=-1).reshape(-1, 3)
    there = np.rint(theirs.map_reference_to_indices(ours.grid.points_lps_mm(index))).astype(int)
    np.testing.assert_allclose(ours.values[tuple(index.T)], theirs.array[tuple(there.T)], rtol=1e-6)


@pytest.mark.parametrize("kind", ["enhanced PET", "legacy PET"])
def test_an_enhanced_pet_has_the_instant_and_nuclide_of_its_series(write_series, tmp_path, kind, study_instant):
    folder = write_series("PT")
    multi, single = read_pet(converted(folder, tmp_path / "multi.dcm", kind)), read_pet(folder)
    assert multi.at == single.at == study_instant
    assert multi.radionuclide is single.radionuclide
    assert multi.acquired_at == study_instant


def test_an_enhanced_pet_without_decay_correction_holds_at_the_middle_of_its_frame(
    write_series, tmp_path, study_instant
):
    def uncorrected(ds):
        ds.DecayCorrected = "NO"
        del ds.DecayCorrectionDateTime

    pet = read_pet(converted(write_series("PT"), tmp_path / "multi.dcm", "enhanced PET", uncorrected))
    assert (pet.at - study_instant).total_seconds() == 900


def test_units_in_a_mapping_of_the_shared_groups_are_applied(write_series, tmp_path, place_error):
    def mapped(ds):
        del ds.Units
        for frame in ds.PerFrameFunctionalGroupsSequence:
            item, code = Dataset(), Dataset()
            code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "kBq/ml", "UCUM", "kBq/ml"
            item.MeasurementUnitsCodeSequence = [code]
            item.RealWorldValueSlope = float(frame.PixelValueTransformationSequence[0].RescaleSlope) / 1000
            item.RealWorldValueIntercept = 0.0
            frame.RealWorldValueMappingSequence = [item]
            frame.PixelValueTransformationSequence[0].RescaleSlope = 1

    pet = read_pet(converted(write_series("PT"), tmp_path / "multi.dcm", "enhanced PET", mapped))
    assert place_error(pet) < ROUNDING


def test_an_enhanced_pet_without_units_is_refused(write_series, tmp_path, refused):
    path = converted(write_series("PT"), tmp_path / "multi.dcm", "enhanced PET", lambda ds: delattr(ds, "Units"))
    refused(lambda: read_pet(path), "(0054,1001)", "none", code="pet-not-in-bq-per-ml")


def test_two_time_points_in_one_file_are_refused(write_series, tmp_path, refused):
    def twice(ds):
        ds.PerFrameFunctionalGroupsSequence = [*ds.PerFrameFunctionalGroupsSequence] * 2
        ds.PixelData, ds.NumberOfFrames = ds.PixelData * 2, 10

    path = converted(write_series("PT"), tmp_path / "multi.dcm", "enhanced PET", twice)
    refused(lambda: read_pet(path), "frame 2", "frame 7", code="slices-doubled")


def test_a_frame_without_its_description_is_refused(write_series, tmp_path, refused):
    def fewer(ds):
        ds.PerFrameFunctionalGroupsSequence = ds.PerFrameFunctionalGroupsSequence[:-1]

    path = converted(write_series("CT"), tmp_path / "multi.dcm", "enhanced CT", fewer)
    refused(lambda: read_ct(path), str(path), "5 frames are stored and 4 described", code="frames-undescribed")


def test_a_missing_frame_is_refused(write_series, tmp_path, refused):
    def missing(ds):
        ds.PerFrameFunctionalGroupsSequence = [g for n, g in enumerate(ds.PerFrameFunctionalGroupsSequence) if n != 3]
        frame = 7 * 9 * 2
        ds.PixelData, ds.NumberOfFrames = ds.PixelData[: 3 * frame] + ds.PixelData[4 * frame :], 4

    path = converted(write_series("CT"), tmp_path / "multi.dcm", "enhanced CT", missing)
    refused(lambda: read_ct(path), code="slices-uneven")


@pytest.mark.parametrize("kind", ["ED", "Z_EFF", "MGML"])
def test_a_spectral_map_is_no_ct(write_series, tmp_path, refused, kind):
    def spectral(ds):
        for frame in ds.PerFrameFunctionalGroupsSequence:
            frame.PixelValueTransformationSequence[0].RescaleType = kind

    path = converted(write_series("CT"), tmp_path / "multi.dcm", "enhanced CT", spectral)
    refused(lambda: read_ct(path), kind, "no CT numbers", code="ct-not-in-hu")


def test_an_enhanced_pet_and_ct_are_assessed_with_every_result(write_series, tmp_path):
    study = tmp_path / "study"
    study.mkdir()
    pet = converted(write_series("PT", shape=(5, 7, 9)), study / "pet.dcm", "enhanced PET")
    converted(write_series("CT", folder="ct"), study / "ct.dcm", "enhanced CT")
    labels = np.zeros((5, 7, 9), np.uint8)
    labels[1:4, 2:6, 2:7] = 1
    write_labels(labels, read_pet(pet).grid, study / "liver.nii.gz")
    drafted = study / "case.toml"
    assert CliRunner().invoke(main, ["inspect", str(study), "--case-file", str(drafted)]).exit_code == 0
    flags = ["--administered-mbq", "100", "--at", "2024-05-02T10:15:00Z", "--json", "--quiet"]
    result = CliRunner().invoke(main, ["assess", str(drafted), *flags])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["totals"]["recovered_fraction"] > 0
    assert (study / "case-results" / "dose.dcm").exists()
