"""Volumes of drawn shapes against area times slices, in one run with plastimatch; and a published structure set."""

import shutil
import subprocess

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from voxeldose.io.regions import read_rtstruct

PLANES = np.arange(-30, 31, 3.0)
SPACING = (3.0, 2.0, 2.0)


def circle(radius, z, centre=(1.3, -2.7), points=360):
    t = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.c_[centre[0] + radius * np.cos(t), centre[1] + radius * np.sin(t), np.full(points, z)]


def keyhole(outer, inner):
    return np.concatenate([outer, outer[:1], inner[:1], inner[::-1]])


#: Contours of a plane, exact area in mm², how far voxeldose may be off, and how far plastimatch is.
SHAPES = {
    "cylinder": (lambda z: [circle(20, z)], np.pi * 400, 0.002),
    "annulus": (lambda z: [circle(20, z), circle(10, z)], np.pi * 300, 0.002),
    "keyhole": (lambda z: [keyhole(circle(20, z), circle(10, z))], np.pi * 300, 0.002),
    "island": (lambda z: [circle(20, z), circle(10, z), circle(5, z)], np.pi * 325, 0.002),
    "lobes": (lambda z: [circle(8, z), circle(6, z, (31.0, -2.7))], np.pi * 100, 0.002),
    "narrow": (lambda z: [circle(1.7, z)], np.pi * 1.7**2, 0.03),
}


@pytest.fixture(scope="module")
def structures(tmp_path_factory):
    """One RTSTRUCT with every shape, on an empty CT of its own."""
    folder = tmp_path_factory.mktemp("rt")
    frame, study, series = generate_uid(), generate_uid(), generate_uid()
    images = [_slice(folder / "ct", n, z, (frame, study, series)) for n, z in enumerate(np.arange(-36, 37, 3.0))]
    ds = _file("1.2.840.10008.5.1.4.1.1.481.3", "RTSTRUCT", study, generate_uid())
    ds.StructureSetLabel = "shapes"
    place, kept, all_of = Dataset(), Dataset(), Dataset()
    all_of.SeriesInstanceUID, all_of.ContourImageSequence = series, []
    for image in images:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
        all_of.ContourImageSequence.append(item)
    kept.ReferencedSOPClassUID, kept.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", study
    kept.RTReferencedSeriesSequence = [all_of]
    place.FrameOfReferenceUID, place.RTReferencedStudySequence = frame, [kept]
    ds.ReferencedFrameOfReferenceSequence = [place]
    ds.StructureSetROISequence, ds.ROIContourSequence, ds.RTROIObservationsSequence = [], [], []
    for number, (name, (drawn, _, _)) in enumerate(SHAPES.items(), 1):
        roi, contours, seen = Dataset(), Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, frame
        roi.ROIGenerationAlgorithm = "MANUAL"
        contours.ReferencedROINumber, contours.ContourSequence = number, []
        for loop in (c for z in PLANES for c in drawn(z)):
            item = Dataset()
            item.ContourGeometricType, item.NumberOfContourPoints = "CLOSED_PLANAR", len(loop)
            item.ContourData = [f"{v:.5f}" for v in loop.ravel()]
            contours.ContourSequence.append(item)
        seen.ObservationNumber = seen.ReferencedROINumber = number
        seen.RTROIInterpretedType, seen.ROIInterpreter = "GTV" if name == "narrow" else "", ""
        ds.StructureSetROISequence.append(roi)
        ds.ROIContourSequence.append(contours)
        ds.RTROIObservationsSequence.append(seen)
    ds.save_as(folder / "rs.dcm", enforce_file_format=True)
    return folder


def _file(sop, modality, study, series):
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = sop
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid()
    ds.Modality, ds.StudyInstanceUID, ds.SeriesInstanceUID = modality, study, series
    ds.PatientName = ds.PatientID = "shapes"
    return ds


def _slice(folder, n, z, uids):
    folder.mkdir(exist_ok=True)
    ds = _file("1.2.840.10008.5.1.4.1.1.2", "CT", uids[1], uids[2])
    ds.FrameOfReferenceUID, ds.InstanceNumber = uids[0], n + 1
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [-60, -60, z], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness = list(SPACING[1:]), SPACING[0]
    ds.Rows = ds.Columns = 61
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, 0
    ds.RescaleSlope, ds.RescaleIntercept = 1, 0
    ds.PixelData = np.zeros((61, 61), np.uint16).tobytes()
    ds["PixelData"].VR = "OW"
    ds.save_as(folder / f"{n:02d}.dcm", enforce_file_format=True)
    return ds


@pytest.mark.parametrize("name", SHAPES)
def test_drawn_shapes_have_area_times_slices(structures, name):
    _, area, tolerance = SHAPES[name]
    found = read_rtstruct(structures / "rs.dcm")[name].volume_ml
    assert found == pytest.approx(area * 3 * len(PLANES) / 1000, rel=tolerance)


def test_volumes_are_no_farther_from_the_truth_than_those_of_plastimatch(structures):
    if shutil.which("plastimatch") is None:
        pytest.skip("plastimatch is not installed")
    out = structures / "masks"
    command = [
        "plastimatch",
        "convert",
        "--input",
        str(structures / "rs.dcm"),
        "--referenced-ct",
        str(structures / "ct"),
    ]
    command += ["--xor-contours", "--output-prefix", str(out), "--prefix-format", "nrrd"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    ours = read_rtstruct(structures / "rs.dcm")
    for name, (_, area, _) in SHAPES.items():
        exact = area * 3 * len(PLANES) / 1000
        mask = sitk.ReadImage(str(out / f"{name}.nrrd"))
        theirs = float(sitk.GetArrayViewFromImage(mask).sum()) * float(np.prod(mask.GetSpacing())) / 1000
        assert abs(ours[name].volume_ml - exact) <= abs(theirs - exact) + 1e-4 * exact
        # whole voxels of 2 mm by their centres: each border voxel may fall on either side
        assert theirs == pytest.approx(exact, rel=0.1 if name != "narrow" else 1.0)


def test_the_interpreted_type_is_kept_and_gives_the_role_where_the_name_tells_nothing(structures):
    rois = read_rtstruct(structures / "rs.dcm")
    assert rois["narrow"].role == "tumor"
    assert any(r.code == "role-from-code" for r in rois["narrow"].remarks)
    assert rois["cylinder"].role == "other"
    renamed = read_rtstruct(structures / "rs.dcm", {"narrow": ("lesion_1", "tumor")})["lesion_1"]
    assert renamed.source_name == "narrow"
    assert [c.value for c in renamed.codes] == ["GTV"]


#: Volumes in mL that dicompyler-core 0.5.6 finds in its own example structure set, by voxel centres of a 2.5 mm dose grid
#: (README of the data and its tests/test_dvhcalc.py).
@pytest.mark.data
def test_the_dicompyler_structures_have_their_published_volume(data_folder):
    rois = read_rtstruct(data_folder / "rt_dicompyler" / "rtss.dcm")
    assert rois["Heart"].volume_ml == pytest.approx(440.23, rel=0.005)
