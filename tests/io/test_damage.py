"""Whose failure it is: the file's becomes a refusal with a code, the caller's and voxeldose's own get out as they are."""

import gzip
import struct

import numpy as np
import pytest
from pydicom import config, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

import voxeldose as vd
from voxeldose.errors import InputError, VoxeldoseError
from voxeldose.io.damage import is_damage, refusing_damage
from voxeldose.io.dicom import header as header_functions
from voxeldose.io.dicom.registration import read_registration
from voxeldose.io.dicom.series import read_dicom_volume
from voxeldose.io.images import read_activity, read_ct_image, read_density, read_image
from voxeldose.io.inspection import inspect
from voxeldose.io.nifti import write_nifti
from voxeldose.model.volume import Volume

# --- the caller's mistakes ---


@pytest.mark.parametrize(
    "read", [vd.read_ct, vd.read_pet, vd.read_spect, read_activity, read_image, read_ct_image, read_dicom_volume]
)
def test_a_misspelt_keyword_is_a_type_error(write_series, read):
    folder = write_series("CT")
    with pytest.raises(TypeError, match="seris_uid"):
        read(folder, seris_uid="1.2.3")


@pytest.mark.parametrize(
    "read",
    [
        vd.read_ct,
        vd.read_pet,
        vd.read_spect,
        vd.read_rtdose,
        vd.read_labels,
        vd.read_seg,
        vd.read_rtstruct,
        read_activity,
        read_image,
        read_ct_image,
        read_density,
        read_dicom_volume,
        inspect,
        lambda path: read_registration(path, "1.2", "1.3"),
        lambda path: vd.read_point_kernel(path, mev_per_decay=1.0, density_g_per_ml=1.0, source="test"),
    ],
)
def test_nothing_in_place_of_a_path_is_no_damaged_file(read):
    with pytest.raises((TypeError, AttributeError)):
        read(None)


def test_options_of_the_wrong_kind_are_no_damaged_file(write_series, write_nm):
    pet, spect = write_series("PT"), write_nm()
    uneven = write_series("CT", folder="ct", change=lambda _, n: n != 2)
    for call in (
        lambda: vd.read_pet(pet, options="F-18"),
        lambda: vd.read_pet(pet, zone="UTC"),
        lambda: vd.read_spect(spect, options="1"),
        lambda: vd.read_ct(uneven, options="resample"),
        lambda: read_activity(pet, pet="F-18"),
    ):
        with pytest.raises((TypeError, AttributeError)):
            call()


# --- mistakes of voxeldose ---


@pytest.mark.parametrize("error", [TypeError, AttributeError, KeyError, IndexError, ValueError, ZeroDivisionError])
@pytest.mark.parametrize(
    ("place", "modality", "read"),
    [
        ("voxeldose.io.dicom.ct.planes_of", "CT", vd.read_ct),
        ("voxeldose.io.dicom.pet.timing_of", "PT", vd.read_pet),
        ("voxeldose.io.dicom.planes.towards_lps", "PT", read_activity),
        ("voxeldose.io.dicom.files.text", "CT", vd.read_ct),
    ],
)
def test_a_fault_of_a_reader_gets_out_as_it_is(write_series, monkeypatch, place, modality, read, error):
    def faulty(*_, **__):
        raise error("planted")  # noqa: EM101

    folder = write_series(modality)
    monkeypatch.setattr(place, faulty)
    with pytest.raises(error, match="planted"):
        read(folder)


def test_a_misspelt_method_of_a_header_is_a_fault_and_a_missing_keyword_is_the_files(write_series):
    file = next(write_series("CT").iterdir())

    @refusing_damage
    def misspelt(path):
        return dcmread(path).gett("Rows")

    @refusing_damage
    def missing(path):
        return dcmread(path).DoseGridScaling

    with pytest.raises(AttributeError, match="gett"):
        misspelt(file)
    with pytest.raises(InputError) as caught:
        missing(file)
    assert caught.value.code == "file-damaged"


# --- the file's ---


def raw(ds, keyword, vr, value):
    tag = Tag(keyword)
    ds[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True, True)


def test_what_pydicom_cannot_convert_names_the_file_and_quotes_nothing(write_series):
    file = next(write_series("CT").iterdir())
    with config.disable_value_validation():
        ds = dcmread(file)
        raw(ds, "NumberOfFrames", "IS", b"Hidden^Ada ")
        ds.save_as(file)

    @refusing_damage
    def read(path):
        return dcmread(path).NumberOfFrames

    with pytest.raises(InputError) as caught:
        read(file)
    assert caught.value.code == "file-damaged"
    assert str(file) in str(caught.value)
    assert "Ada" not in str(caught.value)


def test_a_value_of_another_kind_names_its_tag_and_the_file(write_series):
    def retyped(ds, n):
        del ds.RadiopharmaceuticalInformationSequence
        raw(ds, "RadiopharmaceuticalInformationSequence", "LO", b"Hidden^Ada ")

    folder = write_series("PT", change=retyped)
    with pytest.raises(InputError) as caught:
        vd.read_pet(folder)
    assert caught.value.code == "element-damaged"
    assert caught.value.fields["tag"] == "(0054,0016)"
    assert str(folder) in str(caught.value)
    assert "(0054,0016)" in str(caught.value)
    assert "Ada" not in str(caught.value)


@pytest.mark.parametrize("name", ["image.nii", "image.nii.gz", "image.nrrd", "image.mha"])
def test_what_no_library_can_read_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"this is no image " * 40)
    with pytest.raises(InputError) as caught:
        read_image(tmp_path / name)
    assert name in str(caught.value)


def test_a_broken_gzip_is_refused(tmp_path, make_grid):
    write_nifti(Volume(np.ones((4, 6, 9), np.float32), make_grid()), tmp_path / "image.nii")
    packed = bytearray(gzip.compress((tmp_path / "image.nii").read_bytes()))
    packed[len(packed) // 2] ^= 255
    (tmp_path / "image.nii.gz").write_bytes(packed)
    with pytest.raises(InputError):
        read_image(tmp_path / "image.nii.gz")


def test_too_little_memory_is_no_damage():
    @refusing_damage
    def read(_):
        raise MemoryError

    with pytest.raises(InputError) as caught:
        read("image.nii")
    assert caught.value.code == "memory"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PermissionError(13, "Permission denied"), "file-unreadable"),
        (EOFError("ended"), "file-damaged"),
        (struct.error("short"), "file-damaged"),
    ],
)
def test_kinds_that_only_data_or_a_disk_cause_are_the_files_whoever_raises_them(error, code):
    @refusing_damage
    def read(_):
        raise error

    with pytest.raises(InputError) as caught:
        read("image.nii")
    assert caught.value.code == code
    assert str(caught.value).startswith("image.nii: cannot be read (")


def test_a_refusal_stays_what_it_is():
    refusal = InputError("no such region", code="region-unknown", roi="liver")

    @refusing_damage
    def read(_):
        raise refusal

    with pytest.raises(VoxeldoseError) as caught:
        read("labels.nii")
    assert caught.value is refusal
    assert not is_damage(refusal)


# --- values of headers by their kind ---


@pytest.mark.parametrize("key", ["EnergyWindowVector", "SliceVector"])
@pytest.mark.parametrize("value", [b"abc ", b"1.5 "])
def test_vectors_that_are_no_whole_numbers_are_refused_with_their_tag(write_nm, refused, key, value):
    path = write_nm(change=lambda ds: raw(ds, key, "LO", value))
    tag = {"EnergyWindowVector": "(0054,0010)", "SliceVector": "(0054,0080)"}[key]
    refused(lambda: vd.read_spect(path), str(path), tag)


def test_the_one_number_that_must_be_there_is_refused_when_missing():
    from pydicom.dataset import Dataset

    ds = Dataset()
    for values in ("", [1, 2]):
        ds.ROINumber = values
        with pytest.raises(InputError) as caught:
            header_functions.whole_number(ds, "ROINumber")
        assert caught.value.fields["keyword"] == "ROINumber"
    ds.ROINumber = 7
    assert header_functions.whole_number(ds, "ROINumber") == 7


def test_instants_that_no_calendar_holds_are_missing(write_series):
    def odd(ds, n):
        ds.SeriesDate = ds.AcquisitionDate = "00010101"
        ds.TimezoneOffsetFromUTC = "+9900"

    assert vd.read_pet(write_series("PT", change=odd)).at is None
