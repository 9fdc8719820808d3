"""Stored values: as many as the header says, none beyond its bits, of every encoding; what cannot be decoded says why."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

import voxeldose as vd
from voxeldose.io.dicom.files import read_header
from voxeldose.io.dicom.pixels import stored_pixels
from voxeldose.io.images import read_activity


def edited(file, edit):
    ds = dcmread(file)
    edit(ds)
    ds.save_as(file)


def put(**values):
    def change(ds, n=0):
        for key, value in values.items():
            setattr(ds, key, value)

    return change


# --- bits ---


@pytest.mark.parametrize("bits", [8, 10])
def test_bits_stored_below_what_is_stored_are_refused(write_series, refused, bits):
    folder = write_series("PT")
    edited(folder / "slice_02.dcm", put(BitsStored=bits, HighBit=bits - 1))
    for quantity in (None, "counts"):
        refused(
            lambda q=quantity: read_activity(folder, quantity=q), "slice_02.dcm", "(0028,0101)", code="bits-contradict"
        )


def test_enough_bits_stored_are_read(write_series):
    folder = write_series("PT")
    expected = vd.read_pet(folder).values
    for file in folder.iterdir():
        edited(file, put(BitsStored=15, HighBit=14))
    np.testing.assert_array_equal(vd.read_pet(folder).values, expected)


@pytest.mark.parametrize(("bits", "high"), [(12, 15), (16, 11), (17, 16)])
def test_a_high_bit_that_contradicts_the_bits_stored_is_refused(write_series, refused, bits, high):
    folder = write_series("CT")
    edited(folder / "slice_01.dcm", put(BitsStored=bits, HighBit=high))
    refused(lambda: vd.read_ct(folder), "slice_01.dcm", "(0028,0102)", code="bits-contradict")


@pytest.mark.parametrize("filled", ["sign", "zeros"])
def test_signed_values_of_twelve_bits_are_read_however_they_are_filled_up(write_series, filled):
    values = np.arange(-2048, -2048 + 63).reshape(7, 9) * 30 % 4096 - 2048
    stored = values.astype(np.int16) if filled == "sign" else (values & 0xFFF).astype(np.int16)
    folder = write_series("CT", change=put(BitsStored=12, HighBit=11, PixelRepresentation=1, RescaleSlope="1"))
    for file in folder.iterdir():
        edited(file, put(PixelData=stored.tobytes(), RescaleIntercept="0"))
    np.testing.assert_array_equal(vd.read_ct(folder).hu[0], values)


def test_padding_beyond_the_bits_stored_is_read_as_padding(write_series):
    stored = np.full((7, 9), 1000, np.uint16)
    stored[0] = 63536
    change = put(BitsStored=12, HighBit=11, PixelPaddingValue=63536, RescaleSlope="1", RescaleIntercept="-1024")
    folder = write_series("CT", change=change)
    for file in folder.iterdir():
        edited(file, put(PixelData=stored.tobytes()))
    hu = vd.read_ct(folder).hu
    assert (hu[:, 0] == -1000).all()
    assert (hu[:, 1:] == -24).all()


def test_bits_of_an_overlay_are_taken_off(write_series):
    stored = np.full((7, 9), 1000, np.uint16)
    stored[2, 3] |= 1 << 12

    def change(ds, _):
        ds.BitsStored, ds.HighBit, ds.RescaleSlope, ds.RescaleIntercept = 12, 11, "1", "-1024"
        ds.PixelData = stored.tobytes()
        ds.add_new(0x60000100, "US", 16)
        ds.add_new(0x60000102, "US", 12)

    folder = write_series("CT")
    for file in folder.iterdir():
        edited(file, lambda ds: change(ds, 0))
    assert (vd.read_ct(folder).hu == -24).all()


# --- lengths ---


@pytest.mark.parametrize("more", [2, 126, 20000])
@pytest.mark.parametrize("modality", ["CT", "PT"])
def test_more_bytes_of_pixels_than_the_header_needs_are_refused(write_series, refused, modality, more):
    folder = write_series(modality)
    edited(folder / "slice_03.dcm", lambda ds: setattr(ds, "PixelData", ds.PixelData + bytes(more)))
    read = vd.read_ct if modality == "CT" else vd.read_pet
    refused(lambda: read(folder), "slice_03.dcm", "(7FE0,0010)", code="pixels-differ")


def test_a_pad_byte_is_allowed(write_series):
    folder = write_series("CT")
    for file in folder.iterdir():
        edited(file, put(BitsAllocated=8, BitsStored=8, HighBit=7, PixelData=bytes(63) + b"\0", RescaleSlope="1"))
    assert (vd.read_ct(folder).hu == -1024).all()


def test_elements_behind_the_pixels_change_nothing(write_series):
    folder = write_series("CT")
    expected = vd.read_ct(folder).values
    for file in folder.iterdir():
        edited(file, lambda ds: ds.add_new(0xFFFCFFFC, "OB", bytes(12)))
    np.testing.assert_array_equal(vd.read_ct(folder).values, expected)


# --- values ---


@pytest.mark.parametrize(
    ("slope", "code"), [("-10", "rescale-invalid"), ("0", "rescale-invalid"), ("1e38", "slices-contradict")]
)
@pytest.mark.parametrize("modality", ["CT", "PT"])
def test_a_slope_of_one_slice_that_makes_no_values_is_refused(write_series, refused, modality, slope, code):
    folder = write_series(modality)
    edited(folder / "slice_02.dcm", put(RescaleSlope=slope))
    read = vd.read_ct if modality == "CT" else vd.read_pet
    refused(lambda: read(folder), "slice_02.dcm", code=code)


@pytest.mark.parametrize(("slope", "intercept"), [("1e20", "0"), ("500", "0"), ("1", "1e30"), ("1", "-200000")])
def test_ct_numbers_beyond_sixteen_bits_are_refused(write_series, refused, slope, intercept):
    folder = write_series("CT")
    for file in folder.iterdir():
        edited(file, put(RescaleSlope=slope, RescaleIntercept=intercept))
    refused(lambda: vd.read_ct(folder), str(folder), "(0028,1053)", code="ct-not-in-hu")


def test_values_that_are_not_finite_are_refused(write_series, refused):
    folder = write_series("PT")
    for file in folder.iterdir():
        edited(file, put(RescaleSlope="1e38"))
    for quantity in (None, "counts"):
        refused(lambda q=quantity: read_activity(folder, quantity=q), "not finite", code="rescale-invalid")


def test_more_becquerels_than_spheres_hold_are_refused(write_series, refused):
    folder = write_series("PT")
    for file in folder.iterdir():
        edited(file, put(RescaleSlope="1e12"))
    refused(lambda: vd.read_pet(folder), str(folder), "Bq/mL", code="activity-impossible")


# --- encodings ---


def write_again(file, syntax, *, is_bare=False):
    """The same elements in another uncompressed encoding, with or without preamble and file meta information."""
    read = dcmread(file)
    ds = Dataset()
    for element in read:
        ds.add(element)
    if syntax == ExplicitVRBigEndian:
        ds["PixelData"].value = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
    if is_bare:
        ds.save_as(file, implicit_vr=syntax.is_implicit_VR, little_endian=True, enforce_file_format=False)
        assert file.read_bytes()[128:132] != b"DICM"
        return
    ds.file_meta = read.file_meta
    ds.file_meta.TransferSyntaxUID = syntax
    ds.save_as(file, enforce_file_format=True)


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
@pytest.mark.parametrize("modality", ["CT", "PT"])
def test_every_uncompressed_encoding_holds_the_same_values(write_series, modality, syntax):
    folder = write_series(modality)
    read = vd.read_ct if modality == "CT" else vd.read_pet
    expected = read(folder).values
    for file in folder.iterdir():
        write_again(file, syntax)
    np.testing.assert_array_equal(read(folder).values, expected)


@pytest.mark.parametrize("is_implicit", [True, False])
def test_a_bare_data_set_holds_the_same_values(write_series, is_implicit):
    folder = write_series("CT")
    expected = vd.read_ct(folder).values
    for file in folder.iterdir():
        write_again(file, ImplicitVRLittleEndian if is_implicit else ExplicitVRLittleEndian, is_bare=True)
    np.testing.assert_array_equal(vd.read_ct(folder).values, expected)


def test_pixels_from_the_end_are_those_that_pydicom_decodes(write_series, write_nm):
    for path in (*write_series("CT").iterdir(), write_nm()):
        np.testing.assert_array_equal(stored_pixels(path, read_header(path)), dcmread(path).pixel_array)


needs_dcmtk = pytest.mark.skipif(shutil.which("dcmcjpeg") is None, reason="dcmtk is not installed")


@needs_dcmtk
@pytest.mark.parametrize("bits", [12, 10])
def test_jpeg_of_twelve_bits_is_decoded_as_dcmtk_does(write_series, tmp_path, bits, capfd):
    folder = write_series("CT", change=put(BitsStored=bits, HighBit=bits - 1), shape=(4, 32, 32))
    smooth = np.rint(500 + 40 * np.add.outer(np.arange(32), np.arange(32)) / 10).astype(np.uint16)
    expected = []
    for n, file in enumerate(sorted(folder.iterdir())):
        edited(file, put(PixelData=(smooth + n).tobytes(), RescaleSlope="1", RescaleIntercept="-1000"))
        subprocess.run(["dcmcjpeg", "+ee", str(file), str(file)], check=True, capture_output=True)
        assert dcmread(file).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.51"
        subprocess.run(["dcmdjpeg", str(file), str(tmp_path / "plain.dcm")], check=True, capture_output=True)
        plain = dcmread(tmp_path / "plain.dcm")  # lossy compression gives it another slope
        expected.append(plain.pixel_array * float(plain.RescaleSlope) + float(plain.RescaleIntercept))
    np.testing.assert_allclose(vd.read_ct(folder).hu, expected, rtol=0, atol=1e-3)
    np.testing.assert_allclose(vd.read_ct(folder).hu[0], smooth - 1000.0, rtol=0, atol=2)
    assert capfd.readouterr() == ("", "")


@needs_dcmtk
def test_what_cannot_be_decoded_names_its_compression_and_the_reason(write_series, refused):
    folder = write_series("CT", change=put(BitsStored=12, HighBit=11), shape=(3, 32, 32))
    for file in folder.iterdir():
        edited(file, put(PixelData=np.full((32, 32), 1064, np.uint16).tobytes()))
        subprocess.run(["dcmcjpeg", "+e1", str(file), str(file)], check=True, capture_output=True)
    cut = folder / "slice_01.dcm"
    edited(cut, lambda ds: setattr(ds, "PixelData", ds.PixelData[:16] + bytes(len(ds.PixelData) - 16)))
    message = refused(lambda: vd.read_ct(folder), "slice_01.dcm", "JPEG", code="pixels-unreadable")
    assert ":)" not in message
