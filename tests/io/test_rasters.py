"""NRRD and MetaImage: what is damaged, cut, too long, or lies elsewhere is refused; nothing is read that is not what was written."""

from __future__ import annotations

import gzip
import os
import random
import re
import zlib

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from voxeldose.errors import VoxeldoseError
from voxeldose.io.arrays import header_remarks, read_array
from voxeldose.io.config.case import case_file_from, input_files
from voxeldose.io.dicom.planar import read_label_image
from voxeldose.io.images import read_image
from voxeldose.io.raster import data_files
from voxeldose.io.regions import read_labels

SHAPE = (12, 14, 16)


def labels():
    k, j, i = np.mgrid[:12, :14, :16]
    values = np.zeros(SHAPE, np.uint8)
    values[(k - 6) ** 2 + (j - 7) ** 2 + (i - 8) ** 2 < 25] = 1
    values[(k - 6) ** 2 + (j - 8) ** 2 + (i - 9) ** 2 < 5] = 2
    return values


def written(path, *, packed=True, values=None):
    image = sitk.GetImageFromArray(labels() if values is None else values)
    image.SetSpacing((1.5, 2.0, 3.0))
    image.SetOrigin((-20.0, 35.0, 60.0))
    for n, name in ((1, "liver"), (2, "lesion_1")):
        for key, text in {"ID": f"S{n}", "LabelValue": str(n), "Name": name, "Layer": "0"}.items():
            image.SetMetaData(f"Segment{n - 1}_{key}", text)
    sitk.WriteImage(image, str(path), packed)
    return path


HEADER = """NRRD0004
type: uint8
dimension: 3
space: left-posterior-superior
sizes: 16 14 12
space directions: (1.5,0,0) (0,2,0) (0,0,3)
kinds: domain domain domain
endian: little
encoding: {encoding}
space origin: (-20,35,60)
"""
META = """ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
CompressedData = {packed}
TransformMatrix = 1 0 0 0 1 0 0 0 1
Offset = -20 35 60
ElementSpacing = 1.5 2 3
DimSize = 16 14 12
ElementType = MET_UCHAR
"""
PACK = {
    "raw": bytes,
    "gzip": gzip.compress,
    "ascii": lambda b: " ".join(str(v) for v in b).encode(),
    "hex": lambda b: b.hex().encode(),
}


def nrrd(path, encoding="raw", *, more="", data=None):
    content = PACK[encoding](labels().tobytes()) if data is None else data
    path.write_bytes((HEADER.format(encoding=encoding) + more + "\n").encode() + content)
    return path


def detached(folder, kind="mhd", *, name="v.raw", packed=False, data=None, listed=False):
    """A header with its values beside it."""
    values = labels().tobytes()
    if kind == "mhd":
        values = zlib.compress(values) if packed else values
        header = META.format(packed=packed) + f"ElementDataFile = {name}\n"
    else:
        values = gzip.compress(values) if packed else values
        header = HEADER.format(encoding="gzip" if packed else "raw")
        header += f"data file: LIST 3\n{name}\n" if listed else f"data file: {name}\n"
    (folder / f"v.{kind}").write_text(header)
    (folder / "v.raw").write_bytes(values if data is None else data)
    return folder / f"v.{kind}"


# --- what is right is read ---


@pytest.mark.parametrize("encoding", PACK)
def test_every_encoding_of_nrrd_is_read(tmp_path, encoding):
    values, grid, _ = read_array(nrrd(tmp_path / "a.nrrd", encoding))
    np.testing.assert_array_equal(values, labels())
    assert grid.spacing_mm == pytest.approx((3.0, 2.0, 1.5))


@pytest.mark.parametrize("name", ["a.nrrd", "a.seg.nrrd", "a.mha", "a.mhd", "a.nhdr"])
@pytest.mark.parametrize("packed", [True, False])
def test_what_itk_writes_is_read(tmp_path, name, packed):
    values, grid, texts = read_array(written(tmp_path / name, packed=packed))
    np.testing.assert_array_equal(values, labels())
    np.testing.assert_allclose(grid.affine_lps_mm[:3, 3], (-20, 35, 60))
    assert header_remarks(texts) == ()


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(("kind", "listed"), [("mhd", False), ("nhdr", False), ("nhdr", True)])
def test_detached_values_are_read(tmp_path, kind, packed, listed):
    values, _, _ = read_array(detached(tmp_path, kind, packed=packed, listed=listed))
    np.testing.assert_array_equal(values, labels())


@pytest.mark.parametrize("kind", ["mhd", "nhdr"])
def test_one_file_per_slice_is_read_and_one_of_another_size_refused(tmp_path, refused, kind):
    for n, plane in enumerate(labels()):
        (tmp_path / f"s{n:03d}.raw").write_bytes(plane.tobytes())
    if kind == "mhd":
        header = META.format(packed=False) + "ElementDataFile = s%03d.raw 0 11 1\n"
    else:
        header = HEADER.format(encoding="raw") + "data file: s%03d.raw 0 11 1\n"
    path = tmp_path / f"v.{kind}"
    path.write_text(header)
    np.testing.assert_array_equal(read_array(path)[0], labels())
    assert [p.name for p in data_files(path)] == [f"s{n:03d}.raw" for n in range(12)]
    (tmp_path / "s004.raw").write_bytes(bytes(14 * 16 - 1))
    refused(lambda: read_array(path), "s004.raw", code="file-damaged")


def test_bytes_to_skip_are_skipped(tmp_path):
    values, _, _ = read_array(nrrd(tmp_path / "a.nrrd", more="byte skip: 5\n", data=b"12345" + labels().tobytes()))
    np.testing.assert_array_equal(values, labels())


# --- what is damaged is refused ---


@pytest.mark.parametrize("name", ["a.seg.nrrd", "a.mha", "a.nrrd"])
@pytest.mark.parametrize("kind", ["bit", "zeros", "cut", "swap"])
def test_damaged_packed_values_are_refused_or_equal(tmp_path, name, kind):
    path = written(tmp_path / name)
    sound = path.read_bytes()
    start = sound.find(b"\n\n" if "nrrd" in name else b"LOCAL") + 8
    refusals = 0
    for seed in range(60):
        rng = random.Random(seed)  # noqa: S311
        content, at = bytearray(sound), rng.randrange(start, len(sound) - 20)
        if kind == "bit":
            content[at] ^= 1 << rng.randrange(8)
        elif kind == "zeros":
            content[at : at + 16] = bytes(16)
        elif kind == "cut":
            del content[at:]
        else:
            content[at : at + 8] = content[at : at + 8][::-1]
        path.write_bytes(content)
        try:
            values = read_array(path)[0]
        except VoxeldoseError:
            refusals += 1
        else:
            np.testing.assert_array_equal(values, labels())
    assert refusals > 50


@pytest.mark.parametrize("at", [-1, -5, -8])
def test_a_wrong_checksum_or_length_alone_is_refused(tmp_path, refused, at):
    packed = bytearray(gzip.compress(labels().tobytes()))
    packed[at] ^= 4
    refused(lambda: read_array(nrrd(tmp_path / "a.nrrd", "gzip", data=bytes(packed))), "a.nrrd", code="file-damaged")


def test_an_encoding_that_is_not_read_is_named_with_its_way_out(tmp_path, refused):
    refused(lambda: read_array(nrrd(tmp_path / "a.nrrd", "bzip2", data=b"BZh")), "gzip", code="format-unknown")


@pytest.mark.parametrize("encoding", PACK)
@pytest.mark.parametrize("change", ["more", "fewer"])
def test_values_that_are_more_or_fewer_than_the_header_wants_are_refused(tmp_path, refused, encoding, change):
    values = labels().tobytes()
    values = values + values[:16] if change == "more" else values[:-16]
    path = nrrd(tmp_path / "a.nrrd", encoding, data=PACK[encoding](values))
    refused(lambda: read_array(path), "a.nrrd", code="file-damaged")


@pytest.mark.parametrize("change", [b"tail", b"\x1f\x8bmore"])
def test_what_follows_packed_values_is_refused(tmp_path, refused, change):
    path = nrrd(tmp_path / "a.nrrd", "gzip", data=gzip.compress(labels().tobytes()) + change)
    refused(lambda: read_array(path), "a.nrrd", code="file-damaged")


@pytest.mark.parametrize("name", ["a.mha", "a.nrrd"])
def test_unpacked_values_that_are_too_many_are_refused(tmp_path, refused, name):
    path = written(tmp_path / name, packed=False)
    with path.open("ab") as file:
        file.write(bytes(100))
    refused(lambda: read_array(path), name, code="file-damaged")


def test_a_packed_size_that_differs_from_the_stream_is_refused(tmp_path, refused):
    path = written(tmp_path / "a.mha")
    content = path.read_bytes()
    size = re.search(rb"CompressedDataSize = (\d+)", content)[1]
    path.write_bytes(content.replace(b"Size = " + size, b"Size = " + str(int(size) - 1).encode(), 1))
    refused(lambda: read_array(path), "a.mha", code="file-damaged")


def test_a_small_file_that_unpacks_without_end_is_refused_soon(tmp_path, refused):
    path = nrrd(tmp_path / "a.nrrd", "gzip", data=gzip.compress(bytes(1 << 28), 9))
    refused(lambda: read_array(path), "a.nrrd", code="file-damaged")


def test_a_field_stated_twice_is_refused(tmp_path, refused):
    path = nrrd(tmp_path / "a.nrrd", more="sizes: 14 16 12\n")
    refused(lambda: read_array(path), "sizes", code="file-damaged")


@pytest.mark.parametrize("suffix", ["nrrd", "mha"])
def test_a_header_without_end_is_refused(tmp_path, refused, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(b"NRRD0004\nencoding: raw\n" + b"a = b\nc: d\n" * 1000)
    refused(lambda: read_array(path), str(path), code="file-damaged")


def test_a_damaged_label_image_of_a_planar_view_is_refused(tmp_path, refused):
    path = tmp_path / "a.mha"
    sitk.WriteImage(sitk.GetImageFromArray(labels()[6]), str(path), True)
    assert read_label_image(path, (14, 16)).max() == 2
    content = bytearray(path.read_bytes())
    content[-4] ^= 1
    path.write_bytes(content)
    refused(lambda: read_label_image(path, (14, 16)), "a.mha", code="file-damaged")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_nifti_with_more_bytes_than_its_header_wants_is_refused(tmp_path, refused, name):
    path = written(tmp_path / name)
    content = path.read_bytes()
    path.write_bytes(
        gzip.compress(gzip.decompress(content) + bytes(16)) if name.endswith("gz") else content + bytes(16)
    )
    refused(lambda: read_array(path), name, code="file-damaged")


# --- values elsewhere ---


@pytest.mark.parametrize("kind", ["mhd", "nhdr"])
@pytest.mark.parametrize("place", ["absolute", "above", "link"])
def test_values_outside_the_folder_of_the_header_are_refused(tmp_path, refused, kind, place):
    folder = tmp_path / "study"
    folder.mkdir()
    outside = tmp_path / "secret.raw"
    outside.write_bytes(labels().tobytes())
    name = {"absolute": str(outside), "above": "../secret.raw", "link": "link.raw"}[place]
    if place == "link":
        (folder / "link.raw").symlink_to(outside)
    refused(lambda: read_array(detached(folder, kind, name=name)), f"v.{kind}", code="data-file-outside")


@pytest.mark.parametrize("kind", ["mhd", "nhdr"])
def test_a_device_or_folder_in_place_of_values_is_refused(tmp_path, refused, kind):
    refused(lambda: read_array(detached(tmp_path, kind, name="/dev/zero")), code="data-file-outside")
    os.mkfifo(tmp_path / "pipe")
    refused(lambda: read_array(detached(tmp_path, kind, name="pipe")), code="data-file-outside")
    (tmp_path / "folder").mkdir()
    refused(lambda: read_array(detached(tmp_path, kind, name="folder")), code="data-file-outside")


@pytest.mark.parametrize("kind", ["mhd", "nhdr"])
def test_values_that_are_not_there_or_of_another_size_are_refused(tmp_path, refused, kind):
    refused(lambda: read_array(detached(tmp_path, kind, name="gone.raw")), "beside", code="file-missing")
    for size in (-1, 1, 100):
        data = labels().tobytes()
        data = data[:size] if size < 0 else data + bytes(size)
        refused(lambda d=data: read_array(detached(tmp_path, kind, data=d)), "v.raw", code="file-damaged")


@pytest.mark.parametrize("kind", ["mhd", "nhdr"])
def test_detached_values_are_inputs_of_a_case(tmp_path, kind):
    path = detached(tmp_path, kind)
    tables = {
        "activity": {"path": str(path), "quantity": "counts"},
        "rois": [{"path": str(path), "labels": {"1": {"name": "liver", "role": "liver"}}}],
        "administration": {"administered_mbq": 1.0},
    }
    assert input_files(case_file_from(tables, "test")) == (path, tmp_path / "v.raw")


# --- headers that say nothing ---


def without(path, key):
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join(line for line in lines if not line.startswith(key.encode())))
    return path


@pytest.mark.parametrize("key", ["space directions", "space origin"])
def test_an_nrrd_that_does_not_say_where_it_lies_is_refused(tmp_path, refused, key):
    refused(lambda: read_array(without(nrrd(tmp_path / "a.nrrd"), key)), "a.nrrd", code="place-unknown")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(1.5,0,0)", "(nan,0,0)"),
        ("(1.5,0,0)", "none"),
        ("(-20,35,60)", "(nan,35,60)"),
        ("(-20,35,60)", "(-20,35)"),
        ("(0,0,3)", "(0,0,inf)"),
    ],
)
def test_an_nrrd_with_a_place_in_no_numbers_is_refused(tmp_path, old, new):
    path = nrrd(tmp_path / "a.nrrd")
    path.write_bytes(path.read_bytes().replace(old.encode(), new.encode()))
    with pytest.raises(VoxeldoseError) as caught:
        read_array(path)
    assert caught.value.code in ("place-unknown", "file-damaged")


def test_an_nrrd_in_other_units_is_refused(tmp_path, refused):
    path = nrrd(tmp_path / "a.nrrd", more='space units: "cm" "cm" "cm"\n')
    refused(lambda: read_array(path), "cm", "millimetres", code="unit-wrong")
    assert read_array(nrrd(tmp_path / "b.nrrd", more='space units: "mm" "mm" "mm"\n'))[1].spacing_mm[0] == 3


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ElementSpacing = 1.5 2 3\n", ""),
        ("1.5 2 3", "1.5 0 3"),
        ("1.5 2 3", "1.5 nan 3"),
        ("1 0 0 0 1 0 0 0 1", "2 0 0 0 2 0 0 0 2"),
        ("1 0 0 0 1 0 0 0 1", "1 0 0 0 1 0 0 0 nan"),
        ("1 0 0 0 1 0 0 0 1", "1 0 0 0 1 0 0 0 0.9"),
        ("-20 35 60", "-20 nan 60"),
        ("-20 35 60", "-20 35"),
    ],
)
def test_a_metaimage_with_a_doubtful_place_is_refused(tmp_path, refused, old, new):
    path = tmp_path / "a.mha"
    header = META.format(packed=False).replace(old, new) + "ElementDataFile = LOCAL\n"
    path.write_bytes(header.encode() + labels().tobytes())
    refused(lambda: read_array(path), "a.mha", code="place-unknown")


@pytest.mark.parametrize("key", ["Offset", "TransformMatrix"])
def test_what_a_metaimage_leaves_open_is_said(tmp_path, key):
    path = tmp_path / "a.mha"
    header = META.format(packed=False) + "ElementDataFile = LOCAL\n"
    path.write_bytes(header.encode() + labels().tobytes())
    (assumed,) = read_image(without(path, key)).remarks
    assert assumed.code == "place-assumed"
    (liver, _) = read_labels(path, {1: ("liver", "liver"), 2: ("lesion_1", "tumor")})
    assert "place-assumed" in [remark.code for remark in liver.remarks]


def test_a_turned_metaimage_is_read(tmp_path):
    path = tmp_path / "a.mha"
    turned = META.format(packed=False).replace("1 0 0 0 1 0 0 0 1", "0.8 0.6 0 -0.6 0.8 0 0 0 1")
    path.write_bytes((turned + "ElementDataFile = LOCAL\n").encode() + labels().tobytes())
    np.testing.assert_allclose(read_array(path)[1].affine_lps_mm[:3, 2], (1.2, 0.9, 0), atol=1e-9)
