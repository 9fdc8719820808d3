"""How a series was acquired: what is read, and that nothing else is."""

import dataclasses

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from voxeldose.io.dicom.acquisition import ATTRIBUTES, acquisition_of
from voxeldose.io.dicom.files import find_series
from voxeldose.model.reported import Acquisition

PERSONAL = "Identifying^Words"


def read(path):
    (series,) = find_series(path)
    return acquisition_of(series)


def test_a_pet_says_scanner_duration_reconstruction_and_corrections(write_series):
    def change(ds, _):
        ds.Manufacturer, ds.ManufacturerModelName, ds.ActualFrameDuration = "MAKER", "Model 7", "900000"
        ds.ReconstructionMethod, ds.ConvolutionKernel = "OSEM 2i21s", "XYZ Gauss5.00"
        ds.CorrectedImage, ds.ScatterCorrectionMethod = ["DECY", "ATTN", "SCAT"], "Model-based"
        ds.RandomsCorrectionMethod, ds.DecayCorrection = "DLYD", "START"

    found = read(write_series("PT", change=change))
    assert (found.scanner, found.frame_duration_s) == ("MAKER Model 7", 900.0)
    assert found.reconstruction == ("OSEM 2i21s", "filter XYZ Gauss5.00")
    assert found.corrections == ("DECY", "ATTN", "SCAT", "scatter: Model-based", "randoms: DLYD", "decay: START")


def test_a_spect_says_projections_windows_and_collimator(write_nm):
    def change(ds):
        rotation, window, part, head = Dataset(), Dataset(), Dataset(), Dataset()
        rotation.ActualFrameDuration, rotation.NumberOfFramesInRotation = 15000, 60
        part.EnergyWindowLowerLimit, part.EnergyWindowUpperLimit = 126.0, 154.0
        window.EnergyWindowRangeSequence = Sequence([part])
        head.CollimatorGridName, head.CollimatorType = "LEHR", "PARA"
        head.ImageOrientationPatient = ds.DetectorInformationSequence[0].ImageOrientationPatient
        head.ImagePositionPatient = ds.DetectorInformationSequence[0].ImagePositionPatient
        ds.RotationInformationSequence, ds.EnergyWindowInformationSequence = Sequence([rotation]), Sequence([window])
        ds.DetectorInformationSequence, ds.NumberOfDetectors = Sequence([head]), 2

    found = read(write_nm(change=change))
    assert (found.frame_duration_s, found.frames, found.detectors) == (15.0, 60, 2)
    assert (found.energy_windows_kev, found.collimator) == (((126.0, 154.0),), "LEHR")


def test_nothing_that_identifies_is_taken(write_series):
    names = (
        *("PatientName", "PatientID", "PatientComments", "StationName", "InstitutionName", "DeviceSerialNumber"),
        *("OperatorsName", "SeriesDescription", "StudyDescription", "ProtocolName", "ImageComments", "AccessionNumber"),
    )

    def change(ds, _):
        for name in names:
            setattr(ds, name, PERSONAL[:16])

    found = read(write_series("PT", change=change))
    assert PERSONAL[:10] not in repr(dataclasses.asdict(found))
    assert not set(names) & set(ATTRIBUTES)


def test_a_text_of_a_header_is_one_printable_line_of_at_most_64_characters(write_series):
    found = read(write_series("CT", change=lambda ds, _: setattr(ds, "ManufacturerModelName", "a\nb\x07" + "c" * 100)))
    assert r"a\nb\x07c" in found.scanner
    assert "\n" not in found.scanner
    assert len(found.scanner) <= 64 + 1 + 64


def test_a_duration_of_nothing_is_left_out(write_series):
    found = read(write_series("PT", change=lambda ds, _: setattr(ds, "ActualFrameDuration", "0")))
    assert found.frame_duration_s is None


def test_damage_where_only_the_report_looks_refuses_nothing(write_series):
    def change(ds, _):
        ds.add_new(0x00540012, "LO", "no sequence")  # Energy Window Information Sequence

    assert read(write_series("PT", change=change)) == Acquisition()
