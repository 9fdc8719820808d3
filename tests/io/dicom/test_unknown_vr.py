"""Public elements that a converter stored as UN are read by the VR of the dictionary, at any length and depth."""

from __future__ import annotations

import io

import numpy as np
import pytest
from pydicom import config, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite
from pydicom.tag import Tag

import voxeldose as vd
from voxeldose.io.dicom.files import read_header
from voxeldose.io.dicom.header import items, numbers


def stored_in_implicit(element):
    """The value of an element as implicit VR little endian has it."""
    ds, buffer = Dataset(), io.BytesIO()
    ds.add(element)
    with config.disable_value_validation():
        dcmwrite(buffer, ds, implicit_vr=True, little_endian=True, enforce_file_format=False)
    return buffer.getvalue()[8:]


def as_unknown(ds, *keywords):
    for keyword in keywords:
        element = ds[keyword]
        if element.VR == "SQ":
            element.is_undefined_length = False
        value = stored_in_implicit(element)
        ds[element.tag] = RawDataElement(element.tag, "UN", len(value), value, 0, False, True, True)


@pytest.mark.parametrize(
    "keywords",
    [
        ["RescaleSlope", "RescaleIntercept"],
        ["Rows", "Columns", "BitsStored"],
        ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"],
        ["RadiopharmaceuticalInformationSequence"],
        ["Units", "DecayCorrection", "SeriesDate", "SeriesTime"],
        ["Modality", "SeriesInstanceUID", "FrameOfReferenceUID"],
    ],
    ids=str,
)
def test_a_pet_with_elements_stored_as_un_is_the_same_pet(write_series, keywords):
    folder = write_series("PT")
    sound = vd.read_pet(folder)
    for file in folder.iterdir():
        ds = dcmread(file)
        as_unknown(ds, *keywords)
        ds.save_as(file)
    found = vd.read_pet(folder)
    np.testing.assert_array_equal(found.values, sound.values)
    assert found.grid.matches(sound.grid)
    assert (found.at, found.radionuclide) == (sound.at, sound.radionuclide)
    assert found.remarks == sound.remarks


@pytest.mark.parametrize("frames", [3, 1500])
def test_a_sequence_stored_as_un_is_read_at_any_length(tmp_path, frames):
    ds, groups = Dataset(), []
    for n in range(frames):
        group, place = Dataset(), Dataset()
        place.ImagePositionPatient = [0, 0, n]
        group.PlanePositionSequence = [place]
        groups.append(group)
    ds.PerFrameFunctionalGroupsSequence = groups
    as_unknown(ds, "PerFrameFunctionalGroupsSequence")
    assert (len(ds.get_item(0x52009230).value) > 65535) is (frames == 1500)
    path = tmp_path / "a"
    ds.SOPClassUID, ds.Modality = "1.2.840.10008.5.1.4.1.1.66.4", "SEG"
    ds.save_as(path, implicit_vr=False, little_endian=True, enforce_file_format=False)
    found = items(read_header(path), "PerFrameFunctionalGroupsSequence")
    assert [numbers(items(g, "PlanePositionSequence")[0], "ImagePositionPatient")[2] for g in found] == list(
        range(frames)
    )


@pytest.mark.parametrize("points", [5, 20000])
def test_numbers_stored_as_un_are_read_at_any_length(tmp_path, points):
    ds = Dataset()
    ds.SOPClassUID, ds.Modality = "1.2.840.10008.5.1.4.1.1.66.4", "SEG"
    value = "\\".join(str(n) for n in range(points)).encode()
    value += b" " * (len(value) % 2)
    ds[0x30060050] = RawDataElement(Tag(0x30060050), "UN", len(value), value, 0, False, True, True)
    ds.save_as(tmp_path / "a", implicit_vr=False, little_endian=True, enforce_file_format=False)
    assert numbers(read_header(tmp_path / "a"), "ContourData") == list(range(points))
