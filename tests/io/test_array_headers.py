"""NRRD and MetaImage headers that say too little or too much, and values that are not those that they want."""

import bz2
import gzip
import random
import zlib

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from voxeldose.errors import InputError
from voxeldose.io.arrays import read_array

VALUES = np.arange(2 * 3 * 4, dtype=np.float32)
DATA = VALUES.tobytes()
NRRD = {
    "type": "float",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": "4 3 2",
    "space directions": "(2,0,0) (0,3,0) (0,0,4)",
    "space origin": "(10,20,30)",
    "endian": "little",
    "encoding": "raw",
}
META = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
    "Offset": "10 20 30",
    "CenterOfRotation": "0 0 0",
    "ElementSpacing": "2 3 4",
    "DimSize": "4 3 2",
    "ElementType": "MET_FLOAT",
}


def written(fields, changes):
    """Header fields with some changed, or left out where the change is ``None``."""
    return {k: v for k, v in {**fields, **changes}.items() if v is not None}


def write_nrrd(path, data=DATA, **changes):
    fields = written(NRRD, {k.replace("_", " "): v for k, v in changes.items()})
    path.write_bytes(("NRRD0004\n" + "\n".join(f"{k}: {v}" for k, v in fields.items()) + "\n\n").encode() + data)
    return path


def write_meta(path, data=DATA, data_file="LOCAL", **changes):
    fields = {**written(META, changes), "ElementDataFile": data_file}
    path.write_bytes(("\n".join(f"{k} = {v}" for k, v in fields.items()) + "\n").encode() + data)
    return path


@pytest.mark.parametrize("write", [write_nrrd, write_meta])
def test_a_whole_header_places_its_values(tmp_path, write):
    values, grid, _ = read_array(write(tmp_path / ("a.nrrd" if write is write_nrrd else "a.mha")))
    np.testing.assert_array_equal(values.ravel(), VALUES)
    assert grid.spacing_mm == pytest.approx((4, 3, 2))
    np.testing.assert_allclose(grid.affine_lps_mm[:3, 3], (10, 20, 30))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"space_directions": None}, "place-unknown"),
        ({"space_directions": None, "spacings": "2 3 4"}, "place-unknown"),
        ({"space_origin": None}, "place-unknown"),
        ({"space_origin": "(nan,20,30)"}, "geometry-invalid"),
        ({"space_origin": "(10,inf,30)"}, "geometry-invalid"),
        ({"space_directions": "(nan,0,0) (0,3,0) (0,0,4)"}, "geometry-invalid"),
        ({"space_units": '"cm" "cm" "cm"'}, "unit-wrong"),
        ({"space_units": '"m" "m" "m"'}, "unit-wrong"),
        ({"space_units": '"mm" "mm" "um"'}, "unit-wrong"),
        ({"space": None}, "place-unknown"),
    ],
)
def test_an_nrrd_that_does_not_say_where_it_lies_in_millimetres_is_refused(tmp_path, refused, changes, code):
    path = write_nrrd(tmp_path / "a.nrrd", **changes)
    refused(lambda: read_array(path), str(path), code=code)


@pytest.mark.parametrize("units", ['"mm" "mm" "mm"', '"" "" ""', '"millimeter" "mm" "mm"'])
def test_units_that_are_millimetres_or_none_are_taken(tmp_path, units):
    assert read_array(write_nrrd(tmp_path / "a.nrrd", space_units=units))[1].spacing_mm == pytest.approx((4, 3, 2))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"ElementSpacing": None}, "place-unknown"),
        ({"Offset": None}, "place-unknown"),
        ({"TransformMatrix": None}, "place-unknown"),
        ({"Offset": "nan 20 30"}, "geometry-invalid"),
        ({"TransformMatrix": "2 0 0 0 2 0 0 0 2"}, "geometry-invalid"),
        ({"TransformMatrix": "1 0 0 0 1.01 0 0 0 1"}, "geometry-invalid"),
    ],
)
def test_a_metaimage_that_does_not_say_where_it_lies_is_refused(tmp_path, refused, changes, code):
    path = write_meta(tmp_path / "a.mha", **changes)
    refused(lambda: read_array(path), str(path), code=code)


@pytest.mark.parametrize(
    ("offset", "matrix", "spacing"),
    [("Position", "Orientation", "ElementSize"), ("Origin", "Rotation", "ElementSpacing")],
)
def test_other_names_of_the_fields_of_a_metaimage_are_known(tmp_path, offset, matrix, spacing):
    changes = dict.fromkeys(("Offset", "TransformMatrix", "ElementSpacing"))
    changes |= {offset: "10 20 30", matrix: "1 0 0 0 1 0 0 0 1", spacing: "2 3 4"}
    values, _, _ = read_array(write_meta(tmp_path / "a.mha", **changes))
    np.testing.assert_array_equal(values.ravel(), VALUES)


# --- values ---


@pytest.mark.parametrize("more", [b"\0", b"\0" * 4, DATA])
def test_more_or_fewer_bytes_than_the_header_wants_are_refused(tmp_path, refused, more):
    for data in (DATA + more, DATA[: -len(more)]):
        for write, name in ((write_nrrd, "a.nrrd"), (write_meta, "a.mha")):
            path = write(tmp_path / name, data)
            refused(lambda path=path: read_array(path), str(path), "96 bytes", code="file-damaged")


PACKED = {
    "nrrd gzip": (lambda p, d: write_nrrd(p, d, encoding="gzip"), gzip.compress, "a.nrrd"),
    "nrrd bzip2": (lambda p, d: write_nrrd(p, d, encoding="bzip2"), bz2.compress, "a.nrrd"),
    "mha": (
        lambda p, d: write_meta(p, d, CompressedData="True", CompressedDataSize=str(len(d))),
        zlib.compress,
        "a.mha",
    ),
}


@pytest.mark.parametrize("kind", PACKED)
def test_compressed_values_are_read_if_whole_and_else_refused(tmp_path, refused, kind):
    write, pack, name = PACKED[kind]
    path = tmp_path / name
    write(path, pack(DATA))
    if kind != "nrrd bzip2":  # which this build of ITK may not read
        np.testing.assert_array_equal(read_array(path)[0].ravel(), VALUES)
    for other in (DATA[:-4], DATA + bytes(4), DATA * 9):
        write(path, pack(other))
        refused(lambda: read_array(path), str(path), code="file-damaged")
    whole = pack(DATA)
    for n in range(60):
        rng = random.Random(n)  # noqa: S311
        damaged = bytearray(whole)
        damaged[rng.randrange(10, len(damaged))] ^= 1 << rng.randrange(8)
        write(path, bytes(damaged))
        try:
            values = read_array(path)[0]
        except InputError:
            continue
        np.testing.assert_array_equal(values.ravel(), VALUES)  # a bit of the header of a stream that nobody needs
    write(path, whole[: len(whole) // 2])
    refused(lambda: read_array(path), str(path), code="file-damaged")


def test_a_large_compressed_file_is_read_in_parts(tmp_path):
    values = np.random.default_rng(1).integers(0, 50, (40, 200, 230)).astype(np.int32)
    sitk.WriteImage(sitk.GetImageFromArray(values), str(tmp_path / "a.mha"), useCompression=True)
    np.testing.assert_array_equal(read_array(tmp_path / "a.mha")[0], values)


@pytest.mark.parametrize("suffix", ["nhdr", "mhd"])
def test_values_in_a_file_of_their_own_are_those_of_the_header_and_lie_in_its_folder(tmp_path, refused, suffix):
    folder = tmp_path / "case"
    folder.mkdir()
    path = folder / f"a.{suffix}"

    def write(name):
        return write_nrrd(path, b"", data_file=name) if suffix == "nhdr" else write_meta(path, b"", data_file=name)

    write("a.raw")
    refused(lambda: read_array(path), str(path))
    (folder / "a.raw").write_bytes(DATA)
    np.testing.assert_array_equal(read_array(path)[0].ravel(), VALUES)
    (folder / "a.raw").write_bytes(DATA + b"\0\0")
    refused(lambda: read_array(path), str(path), "98", code="file-damaged")
    (tmp_path / "out.raw").write_bytes(DATA)
    for outside in ("../out.raw", "/dev/zero", str(tmp_path / "out.raw")):
        write(outside)
        refused(lambda: read_array(path), str(path), "folder of the header", code="data-file-outside")
