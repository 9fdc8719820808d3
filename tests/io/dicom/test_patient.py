"""Patient and study of written objects: the same listed attributes in all, nothing else of the images, no broken value."""

import re
from datetime import UTC, datetime

import numpy as np
import pytest
from export_case import EVERYTHING, OBJECTS, SHAPE, SPACING, ball
from pydicom import config, dcmread
from pydicom.datadict import DicomDictionary, dictionary_keyword, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from remarks import coded

import voxeldose as vd
from voxeldose.io.config.case import case_file_from
from voxeldose.io.dicom.patient import PATIENT_AND_STUDY, citable_copy, left_empty
from voxeldose.io.nifti import write_labels
from voxeldose.jobs.run_case import run_case

#: Texts of the patient, of persons, places and devices that the images may hold; each gets a mark of its own.
MARKED = {
    tag: f"MARK{n:04d}"
    for n, tag in enumerate(
        t
        for t in sorted(DicomDictionary)
        if t >> 16 in (0x0008, 0x0010, 0x0012, 0x0018, 0x0032, 0x0038, 0x0040)
        and dictionary_VR(t) in ("LO", "LT", "SH", "ST", "UC", "UT", "PN")
        and dictionary_keyword(t)
        and "Code" not in dictionary_keyword(t)
    )
}
#: What the readers need, or say of the image on purpose.
LEFT_ALONE = {
    "PatientName",
    "PatientID",
    "Manufacturer",
    "ManufacturerModelName",
    "ConvolutionKernel",
    "SoftwareVersions",
}


def put(header, tag, text):
    value = text.encode() + b" " * (len(text) % 2)
    header[Tag(tag)] = RawDataElement(Tag(tag), dictionary_VR(tag), len(value), value, 0, False, True, True)


@pytest.fixture
def run_marked(write_series, tmp_path):
    """Runner of a study whose headers ``change`` has edited; returns the assessment."""

    def run(change):
        ct = write_series("CT", folder="ct", shape=SHAPE, spacing=SPACING, change=change)
        pet = write_series("PT", folder="pet", shape=(10, 14, 16), spacing=(4.0, 3.0, 2.5), change=change)
        grid = vd.read_ct(ct).grid
        labels = ball(grid, 13, (5, 8, 9)).astype(np.uint8)
        write_labels(labels, grid, tmp_path / "labels.nii.gz")
        case = {
            "activity": {"path": str(pet)},
            "ct": {"path": str(ct)},
            "rois": [{"path": str(tmp_path / "labels.nii.gz"), "labels": {"1": {"name": "liver", "role": "liver"}}}],
            "administration": {"administered_mbq": 300.0, "at": datetime(2024, 5, 2, 10, 15, tzinfo=UTC)},
            "output": EVERYTHING,
        }
        with config.disable_value_validation():
            return run_case(case_file_from(case, "test"), tmp_path / "out")

    return run


def test_no_other_attribute_of_the_images_is_in_any_output(run_marked, tmp_path):
    def mark(header, _):
        for tag, text in MARKED.items():
            if dictionary_keyword(tag) not in LEFT_ALONE:
                put(header, tag, text)
        private = header.private_block(0x0011, "SOMEBODY", create=True)
        private.add_new(0x01, "LO", "MARKPRIVATE")

    run_marked(mark)
    shared = {MARKED[t] for t in MARKED if dictionary_keyword(t) in PATIENT_AND_STUDY}
    for file in (tmp_path / "out").iterdir():
        found = {m.decode() for m in re.findall(rb"MARK(?:\d{4}|PRIVATE)", file.read_bytes())}
        wanted = shared if file.suffix == ".dcm" else set()
        assert found <= wanted, {dictionary_keyword(t) for t, text in MARKED.items() if text in found - wanted}


def test_every_object_says_the_same_of_the_patient_and_the_study(run_marked, tmp_path):
    run_marked(lambda header, _: header.update({"PatientBirthDate": "19560314", "AccessionNumber": "A7"}))
    keys = set(PATIENT_AND_STUDY) - {"SpecificCharacterSet", "PositionReferenceIndicator", "TimezoneOffsetFromUTC"}
    said = [{key: str(made.get(key, "")) for key in keys} for made in (dcmread(tmp_path / "out" / n) for n in OBJECTS)]
    assert said == said[:1] * len(OBJECTS)
    assert said[0]["PatientBirthDate"] == "19560314"
    assert said[0]["AccessionNumber"] == "A7"
    for name in OBJECTS:
        assert {e.keyword for e in dcmread(tmp_path / "out" / name) if e.tag.group == 0x0010} == {
            "PatientName",
            "PatientID",
            "PatientBirthDate",
            "PatientSex",
        }


@pytest.mark.parametrize(
    ("keyword", "text"),
    [
        ("PatientBirthDate", "1956-03-14"),
        ("PatientBirthDate", "14.03.1956"),
        ("PatientSex", "female"),
        ("StudyDate", "2024/05/03"),
        ("StudyTime", "8:15 pm"),
    ],
)
def test_a_value_that_breaks_the_standard_is_left_empty_and_named_without_it(run_marked, tmp_path, keyword, text):
    result = run_marked(lambda header, _: put(header, Tag(keyword), text))
    (remark,) = coded("patient-values-left-empty", result.record.warnings)
    assert remark.numbers == {"keywords": keyword}
    assert not coded("seg-and-sr-left-out", result.record.warnings)
    for file in (tmp_path / "out").iterdir():
        assert text.encode() not in file.read_bytes(), file.name
    for name in OBJECTS:
        assert not dcmread(tmp_path / "out" / name).get(keyword)


def test_values_as_the_standard_writes_them_are_kept():
    header = Dataset()
    header.PatientBirthDate, header.PatientSex, header.StudyDate, header.StudyTime = (
        "19560314",
        "F",
        "20240503",
        "061500.25",
    )
    header.InstitutionName = "X"
    assert left_empty(header) == ()
    copy = citable_copy(header)
    assert (copy.PatientBirthDate, copy.PatientSex, copy.StudyTime) == ("19560314", "F", "061500.25")
    assert "InstitutionName" not in copy
    copy.StudyTime = "07"
    assert header.StudyTime == "061500.25"
