"""Text that DICOM objects are to hold: names in any script, long names, and images of any character set."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from pydicom import config, dcmread
from pydicom.charset import convert_encodings
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.valuerep import PersonName

import voxeldose as vd
from voxeldose.io.dicom.texts import fit_character_set, labels_for, name_in
from voxeldose.io.regions import read_rtstruct, read_seg

NAMES = ("肝臓", "腫瘍", "Läsion", "печень", "ήπαρ", "간암", "lésion ∅ ≥ 5 mm")
LONG = "a region of the right liver lobe with a name that goes on for much longer than 64 characters, "

#: Character set of the images, and a patient's name in it.
SETS = {
    "none": (None, "Doe^Jane"),
    "empty": ("", "Doe^Jane"),
    "ISO_IR 6": ("ISO_IR 6", "Doe^Jane"),
    "ISO_IR 100": ("ISO_IR 100", "Müller^Zoë"),
    "ISO_IR 101": ("ISO_IR 101", "Wałęsa^Lech"),
    "ISO_IR 144": ("ISO_IR 144", "Люкceмбypг"),
    "ISO_IR 126": ("ISO_IR 126", "Διονυσιος"),
    "ISO_IR 13": ("ISO_IR 13", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    "ISO_IR 192": ("ISO_IR 192", "Wang^XiaoDong=王^小东"),
    "GB18030": ("GB18030", "Wang^XiaoDong=王^小东"),
    "GBK": ("GBK", "Wang^XiaoDong=王^小东"),
    "ISO 2022 IR 87": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
    "ISO 2022 IR 13 and 87": (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎"),
    "ISO 2022 IR 149": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    "ISO 2022 IR 58": (["", "ISO 2022 IR 58"], "Zhang^XiaoDong=张^小东"),
    "ISO 2022 IR 6 and 100": (["ISO 2022 IR 6", "ISO 2022 IR 100"], "Müller^Zoë"),
}


def regions(grid, names):
    rois = []
    for n, name in enumerate(names):
        box = np.zeros(grid.shape, np.float32)
        box[1:3, 1:4, n % 5 : n % 5 + 3] = 1
        rois.append(vd.Roi(name, "tumor", box, grid))
    return vd.RoiSet(tuple(rois))


@pytest.fixture
def images(write_series):
    """A CT of a patient whose name is in one of the character sets."""

    def write(key, folder="ct"):
        charset, name = SETS[key]

        def change(ds, _):
            if charset == ["", "ISO 2022 IR 58"]:  # which pydicom writes without its escape sequences
                raw = b"Zhang^XiaoDong=\x1b$)A" + "张^".encode("gb2312") + b"\x1b$)A" + "小东".encode("gb2312")
                ds.PatientName = PersonName(raw, convert_encodings(charset))
            else:
                ds.PatientName = name
            if charset is not None:
                ds.SpecificCharacterSet = charset

        return write_series("CT", folder=folder, change=change)

    return write


def labels_in(ds):
    items = ds.get("SegmentSequence") or ds.StructureSetROISequence
    return [str(i.get("SegmentLabel") or i.get("ROIName")) for i in items]


@pytest.mark.parametrize("key", SETS)
@pytest.mark.parametrize("names", [("liver", "lesion_1"), NAMES], ids=["plain", "any script"])
def test_objects_are_written_for_images_of_every_character_set(images, tmp_path, key, names):
    folder = images(key)
    rois = regions(vd.read_ct(folder).grid, names)
    vd.write_seg(rois, tmp_path / "seg.dcm", reference=folder)
    vd.write_rtstruct(rois, tmp_path / "rs.dcm", reference=folder)
    for name in ("seg.dcm", "rs.dcm"):
        ds = dcmread(tmp_path / name)
        assert labels_in(ds) == list(names)
        assert str(ds.PatientName) == SETS[key][1]
        assert ds.get("SpecificCharacterSet") in (None, "ISO_IR 192", SETS[key][0])
        if not all(n.isascii() for n in names):
            assert ds.SpecificCharacterSet in ("ISO_IR 192", "GB18030")  # which hold every character
    assert read_seg(tmp_path / "seg.dcm").names() == list(names)
    assert read_rtstruct(tmp_path / "rs.dcm").names() == list(names)


@pytest.mark.parametrize("key", ["ISO_IR 100", "ISO_IR 144", "ISO_IR 126", "GB18030"])
def test_the_set_of_the_images_stays_where_it_holds_the_names(images, tmp_path, key):
    folder = images(key)
    name = {"ISO_IR 100": "Läsion", "ISO_IR 144": "печень", "ISO_IR 126": "ήπαρ", "GB18030": "肝"}[key]
    rois = regions(vd.read_ct(folder).grid, [name])
    vd.write_seg(rois, tmp_path / "seg.dcm", reference=folder)
    ds = dcmread(tmp_path / "seg.dcm")
    assert (ds.SpecificCharacterSet, labels_in(ds), str(ds.PatientName)) == (key, [name], SETS[key][1])


@pytest.mark.parametrize("key", ["ISO 2022 IR 87", "ISO 2022 IR 149", "ISO_IR 144", "GB18030", "ISO_IR 6", "empty"])
def test_the_report_names_every_region_and_its_segment(images, write_series, tmp_path, key):
    ct, pet = images(key), write_series("PT", folder="pet")
    activity = vd.read_pet(pet)
    given = vd.Administration(vd.Y90, 300.0, datetime(2024, 5, 2, 10, 15, tzinfo=UTC))
    names = (*NAMES, LONG + "one", LONG + "two")
    rois = regions(vd.read_ct(ct).grid, names).rois
    rois = vd.RoiSet((replace(rois[0], role="liver"), *rois[1:]))
    result = vd.assess(vd.Case(activity, rois, given))
    vd.write_seg(result.case.rois, tmp_path / "seg.dcm", reference=ct)
    vd.write_sr(result, tmp_path / "sr.dcm", seg=tmp_path / "seg.dcm", reference=ct)
    root = dcmread(tmp_path / "sr.dcm")
    assert root.SpecificCharacterSet in ("ISO_IR 192", "GB18030")
    assert str(root.PatientName) == SETS[key][1]
    found = [e.value for e in root.iterall() if e.keyword == "TextValue"]
    assert {n for n in found if n in names} == set(names)
    cited = [int(e.value) for e in root.iterall() if e.keyword == "ReferencedSegmentNumber"]
    assert sorted(cited) == list(range(1, len(names) + 1))


def test_names_that_a_label_cannot_hold_come_back_whole(images, tmp_path):
    folder = images("ISO_IR 100")
    names = (LONG + "one", LONG + "two", "left\\right", "two\nlines", "tab\there", "a" * 64, "a" * 65, "体" * 70)
    rois = regions(vd.read_ct(folder).grid, names)
    vd.write_seg(rois, tmp_path / "seg.dcm", reference=folder)
    written = vd.write_rtstruct(rois, tmp_path / "rs.dcm", reference=folder)
    for name in ("seg.dcm", "rs.dcm"):
        labels = labels_in(dcmread(tmp_path / name))
        assert len(set(labels)) == len(names)
        assert all(len(label) <= 64 and "\\" not in label and "\n" not in label for label in labels)
    assert read_seg(tmp_path / "seg.dcm").names() == list(names)
    assert read_rtstruct(tmp_path / "rs.dcm").names() == list(names)
    assert written.numbers == {name: n for n, name in enumerate(names, 1)}
    assert read_seg(tmp_path / "seg.dcm", {names[1]: ("two", "tumor")}).names() == ["two"]


@pytest.mark.parametrize(
    ("charset", "raw", "name"),
    [
        (["", "ISO 2022 IR 58"], b"\x1b$)A" + "肝脏".encode("gb2312") + b" 1", "肝脏 1"),
        (["", "ISO 2022 IR 87"], b"\x1b$B" + "肝臓".encode("iso2022_jp")[3:-3] + b"\x1b(B 1", "肝臓 1"),
        (["", "ISO 2022 IR 149"], b"\x1b$)C" + "간".encode("euc_kr") + b" 1", "간 1"),
        ("GB18030", "肝脏".encode("gb18030"), "肝脏"),
        ("ISO_IR 13", "ｶﾝｿﾞｳ".encode("shift_jis"), "ｶﾝｿﾞｳ"),
        ("ISO_IR 144", "печень".encode("iso8859_5"), "печень"),
    ],
)
def test_names_of_regions_are_read_in_every_character_set(images, tmp_path, charset, raw, name):
    folder = images("none")
    rois = regions(vd.read_ct(folder).grid, ["liver"])
    vd.write_rtstruct(rois, tmp_path / "rs.dcm", reference=folder)
    ds = dcmread(tmp_path / "rs.dcm")
    ds.SpecificCharacterSet = charset
    tag = Tag("ROIName")
    ds.StructureSetROISequence[0][tag] = RawDataElement(tag, "LO", len(raw), raw, 0, False, True, True)
    ds.save_as(tmp_path / "rs.dcm")
    assert read_rtstruct(tmp_path / "rs.dcm", {name: ("liver", "liver")}).names() == ["liver"]


def test_labels_are_short_plain_and_different():
    names = ["a" * 70 + str(n) for n in range(12)] + ["", " ", "\\", "liver"]
    labels = labels_for(names)
    assert len(set(labels)) == len(names)
    assert max(len(label) for label in labels) <= 64
    assert labels[-1] == "liver"


def test_a_description_by_others_is_no_name():
    item = Dataset()
    item.SegmentLabel, item.SegmentDescription = "liver", "role=tumor; name=other"
    assert name_in(item, "SegmentLabel", "SegmentDescription") == "liver"


def test_text_in_ascii_needs_no_set_and_a_set_that_is_unknown_becomes_utf_8():
    ds = Dataset()
    with config.disable_value_validation():
        ds.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    ds.SeriesDescription = "plain"
    fit_character_set(ds)
    assert "SpecificCharacterSet" not in ds
    ds.SeriesDescription = "肝"
    fit_character_set(ds)
    assert ds.SpecificCharacterSet == "ISO_IR 192"
    other = Dataset()
    other.SpecificCharacterSet, other.SeriesDescription = "ISO_IR 100", "肝"
    fit_character_set(other)
    assert other.SpecificCharacterSet == "ISO_IR 192"
