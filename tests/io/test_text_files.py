"""Text that any editor saved: byte order marks, UTF-16, Windows' paths and ends of line; times of tables without a zone."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from remarks import coded

from voxeldose.errors import InputError
from voxeldose.io.config.case import case_file_from, read_case_tables
from voxeldose.io.config.hu_table import read_hu_table
from voxeldose.io.config.labels import named_labels
from voxeldose.io.config.toml import read_toml
from voxeldose.io.images import read_ct_image
from voxeldose.io.text_files import read_text
from voxeldose.io.transforms import read_transform
from voxeldose.jobs.cohort.plan import Source, write_plan
from voxeldose.jobs.cohort.store import read_plan

ENDS = {"unix": "\n", "windows": "\r\n", "old mac": "\r"}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_marks_and_ends_of_line_change_nothing(tmp_path, mark, end):
    path = tmp_path / "t.txt"
    path.write_bytes((mark + f"ä = 1{end}b = 2{end}").encode())
    assert read_text(path) == "ä = 1\nb = 2\n"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_another_unicode_encoding_is_named(tmp_path, encoding):
    (tmp_path / "t.toml").write_text('[activity]\npath = "pet"\n', encoding)
    with pytest.raises(InputError, match=r"t\.toml: saved in UTF-.*Save the file in UTF-8") as caught:
        read_toml(tmp_path / "t.toml", "case file")
    assert caught.value.code == "encoding-wrong"


def test_a_windows_encoding_is_refused_by_its_line(tmp_path):
    (tmp_path / "t.toml").write_bytes(b'[case]\nid = "M\xfcller"\n')
    with pytest.raises(InputError, match="line 2 is not in UTF-8") as caught:
        read_toml(tmp_path / "t.toml", "case file")
    assert caught.value.code == "encoding-wrong"


CASE = '[activity]\npath = "pet"\n[[rois]]\npath = "l.nii"\n[administration]\nadministered_mbq = 1.0\n'


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_case_file_of_windows_is_read(tmp_path, end):
    (tmp_path / "case.toml").write_bytes(("\ufeff" + CASE.replace("\n", end)).encode())
    assert case_file_from(read_case_tables(tmp_path / "case.toml"), "case").activity.path == str(tmp_path / "pet")


def test_labels_tables_and_matrices_of_windows_are_read(tmp_path):
    (tmp_path / "l.json").write_text("\ufeff" + json.dumps({"1": {"name": "Leber", "role": "liver"}}), "utf-8")
    assert named_labels(tmp_path / "l.json") == {"1": ("Leber", "liver")}
    (tmp_path / "hu.csv").write_bytes("\ufeffHU;g/mL\r\n-1000;0.001\r\n0;1.0\r\n".encode())
    assert read_hu_table(tmp_path / "hu.csv") == [(-1000, 0.001), (0, 1)]
    (tmp_path / "m.txt").write_bytes("\ufeff1 0 0 4\r\n0 1 0 5\r\n0 0 1 6\r\n0 0 0 1\r\n".encode())
    assert read_transform(tmp_path / "m.txt")[:3, 3].tolist() == [4, 5, 6]


@pytest.mark.parametrize(
    "value",
    [
        r'"C:\Users\pet"',
        r'"C:\new\table"',
        r'"D:\t"',
        r'"\\server\share\pet"',
        r'["pet", "C:\new"]',
        r'{ path = "C:\x" }',
    ],
)
def test_a_windows_path_in_double_quotes_is_refused_with_the_way_out(tmp_path, value):
    (tmp_path / "c.toml").write_text(f"[case]\nid = 'a'\n[activity]\npath = {value}\n")
    with pytest.raises(InputError, match=r"line 4 .*backslash.*single quotes") as caught:
        read_toml(tmp_path / "c.toml", "case file")
    assert caught.value.code == "path-with-backslashes"


@pytest.mark.parametrize("value", [r"'C:\new\pet'", r'"C:\\new\\pet"', '"C:/new/pet"', r'"a\tb"', r'"say \"x\""'])
def test_paths_and_escapes_that_are_right_are_read(tmp_path, value):
    (tmp_path / "c.toml").write_text(f'# "C:\\new"\npath = {value}\n')
    assert read_toml(tmp_path / "c.toml", "case file")["path"]


def test_another_backslash_is_explained_too(tmp_path):
    (tmp_path / "c.toml").write_text('path = "data\\pet"\n')
    with pytest.raises(InputError, match="backslash") as caught:
        read_toml(tmp_path / "c.toml", "case file")
    assert caught.value.code == "file-damaged"


@pytest.mark.parametrize("name", ["with space", "it's", 'say "x"', "zwei\nZeilen", "Läsion", "東京", "a" * 200])
def test_images_are_read_in_folders_of_any_name(write_series, tmp_path, name):
    folder = write_series("CT", folder=f"{name}/{name}")
    assert read_ct_image(folder).grid.shape == (5, 7, 9)
    assert not coded("series-may-be-incomplete", read_ct_image(folder).remarks)


# --- zones of tables ---


def entries(tmp_path, at, zone):
    (tmp_path / "cases.csv").write_text(f"activity.path,rois.path,administration.at\npet,l.nii,{at}\n")
    write_plan(Source(tmp_path / "cases.csv", zone=zone), tmp_path / "out", tmp_path / "plan")
    return [entry.cells["administration.at"] for entry in read_plan(tmp_path / "plan")]


@pytest.mark.parametrize(
    ("at", "zone", "expected"),
    [
        ("2024-05-02T10:15:00", "Europe/Berlin", "2024-05-02T10:15:00+02:00"),
        ("2024-01-02 10:15", "Europe/Berlin", "2024-01-02T10:15:00+01:00"),
        ("2024-05-02T10:15:00", "+05:30", "2024-05-02T10:15:00+05:30"),
        ("2024-05-02T10:15:00", "-03:00", "2024-05-02T10:15:00-03:00"),
        ("2024-05-02T10:15:00Z", "Europe/Berlin", "2024-05-02T10:15:00+00:00"),
    ],
)
def test_instants_of_a_table_take_the_zone_that_is_given(tmp_path, at, zone, expected):
    (found,) = entries(tmp_path, at, zone)
    assert datetime.fromisoformat(found) == datetime.fromisoformat(expected)


def test_without_a_zone_instants_stay_as_they_are(tmp_path):
    assert entries(tmp_path, "2024-05-02T10:15:00", None) == ["2024-05-02T10:15:00"]


@pytest.mark.parametrize("zone", ["Middle/Earth", "25", "../etc/passwd"])
def test_a_zone_that_is_none_is_refused(tmp_path, zone):
    with pytest.raises(InputError, match="no time zone") as caught:
        entries(tmp_path, "2024-05-02T10:15:00", zone)
    assert caught.value.code == "zone-unknown"
