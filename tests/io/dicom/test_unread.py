"""Nothing is passed over in silence: links, packed and empty slices, names of every kind, and series that lack a part."""

from __future__ import annotations

import gc
import gzip
import shutil
import warnings
import zipfile

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet
from remarks import coded

import voxeldose as vd
from voxeldose.errors import InputError
from voxeldose.io.case_draft import draft_case
from voxeldose.io.config.case import case_file_from, input_files
from voxeldose.io.folders import files_below
from voxeldose.io.inspection import inspect


def refusal_of(found, name):
    return next(s.refusal for s in found if s.path.endswith(name))


def is_usable(found):
    return any("can be used" in s.verdict for s in found if s.kind == "CT")


# --- links ---


@pytest.mark.parametrize("gone", [[0], [2], [4], [3, 4]])
def test_links_that_lead_nowhere_bar_their_series(write_series, tmp_path, refused, gone):
    store = write_series("CT", folder="store")
    linked = tmp_path / "study"
    linked.mkdir()
    for n in range(5):
        (linked / f"{n}.dcm").symlink_to(store / (f"gone{n}.dcm" if n in gone else f"slice_{n:02d}.dcm"))
    refused(lambda: vd.read_ct(linked), f"{gone[0]}.dcm", "link", "datalad get", code="link-dangling")
    found = inspect(linked)
    assert not is_usable(found)
    assert refusal_of(found, f"{gone[0]}.dcm").code == "link-dangling"
    assert "series" in draft_case(found, tmp_path)


def test_sound_links_and_linked_folders_are_followed(write_series, tmp_path, place_error):
    store = write_series("CT", folder="store")
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "CT").symlink_to(store)
    assert place_error(vd.read_ct(tmp_path / "study")) < 0.03
    assert is_usable(inspect(tmp_path / "study"))
    tables = {
        "activity": {"path": str(tmp_path / "study"), "quantity": "counts"},
        "rois": [{"path": str(tmp_path / "study")}],
        "administration": {"administered_mbq": 1.0},
    }
    assert len(input_files(case_file_from(tables, "test"))) == 5


def test_links_in_a_circle_end(write_series, tmp_path, place_error):
    folder = write_series("CT", folder="study/ct")
    (tmp_path / "study" / "ct" / "up").symlink_to(tmp_path / "study")
    assert place_error(vd.read_ct(folder)) < 0.03
    assert len(files_below(tmp_path / "study").files) == 5


def test_a_folder_linked_beside_itself_is_read_once(write_series, tmp_path, place_error):
    folder = write_series("CT", folder="study/ct")
    (tmp_path / "study" / "latest").symlink_to(folder)
    assert place_error(vd.read_ct(tmp_path / "study")) < 0.03


def test_a_dangling_link_to_notes_bars_nothing(write_series, place_error):
    folder = write_series("CT")
    (folder / "notes.pdf").symlink_to(folder / "gone.pdf")
    assert place_error(vd.read_ct(folder)) < 0.03


def test_a_dangling_link_in_place_of_a_label_map_is_told(write_series, tmp_path):
    folder = write_series("CT")
    (folder / "liver.nii.gz").symlink_to(tmp_path / "gone.nii.gz")
    found = inspect(folder)
    assert refusal_of(found, "liver.nii.gz") is not None
    assert is_usable(found)


def test_a_path_that_is_a_dangling_link_is_refused(tmp_path, refused):
    (tmp_path / "ct").symlink_to(tmp_path / "gone")
    refused(lambda: vd.read_ct(tmp_path / "ct"), "link", code="link-dangling")


# --- names ---


@pytest.mark.parametrize(
    "name", ["IM{:03d}", "{}", "1.2.826.0.1.{}", "CT.1.2.826.0.1.{}", "{}.dcm", "{}.DCM", "{}.IMA", "{}.dicom", "{}.v2"]
)
def test_slices_are_read_under_any_name(write_series, tmp_path, place_error, name):
    source = write_series("CT", folder="source")
    (tmp_path / "study").mkdir()
    for n, file in enumerate(sorted(source.iterdir())):
        shutil.copy(file, tmp_path / "study" / name.format(n))
    assert place_error(vd.read_ct(tmp_path / "study")) < 0.03


@pytest.mark.parametrize("content", [b"", b"\0" * 300, b"<html>404</html>"])
@pytest.mark.parametrize("name", ["IM{:03d}", "CT.1.2.826.0.1.{}", "{}.dcm"])
def test_an_empty_or_strange_file_under_the_name_of_a_slice_bars_the_series(
    write_series, tmp_path, refused, name, content
):
    source = write_series("CT", folder="source")
    (tmp_path / "study").mkdir()
    for n, file in enumerate(sorted(source.iterdir())):
        shutil.copy(file, tmp_path / "study" / name.format(n))
    last = tmp_path / "study" / name.format(4)
    last.write_bytes(content)
    refused(lambda: vd.read_ct(tmp_path / "study"), str(last), code="file-damaged")
    assert not is_usable(inspect(tmp_path / "study"))


@pytest.mark.parametrize("name", ["README", "LICENSE", "notes.txt", "VERSION", "report.pdf", "Thumbs.db"])
def test_other_files_beside_slices_bar_nothing(write_series, place_error, name):
    folder = write_series("CT")
    (folder / name).write_text("nothing")
    assert place_error(vd.read_ct(folder)) < 0.03


def test_an_object_without_modality_bars_nothing(write_series, place_error):
    folder = write_series("CT")
    protocol = Dataset()
    protocol.SOPClassUID, protocol.SOPInstanceUID, protocol.HangingProtocolName = (
        "1.2.840.10008.5.1.4.38.1",
        "1.2.3",
        "CT",
    )
    protocol.save_as(folder / "protocol", implicit_vr=True, little_endian=True, enforce_file_format=False)
    assert place_error(vd.read_ct(folder)) < 0.03


# --- packed ---


def test_slices_packed_one_by_one_bar_the_series(write_series, refused):
    folder = write_series("CT")
    last = folder / "slice_04.dcm"
    (folder / "slice_04.dcm.gz").write_bytes(gzip.compress(last.read_bytes()))
    last.unlink()
    refused(lambda: vd.read_ct(folder), "slice_04.dcm.gz", "Unpack", code="file-packed")
    assert not is_usable(inspect(folder))


@pytest.mark.parametrize("name", ["study.zip", "study.tar.gz", "study.tgz", "study.7z"])
def test_an_archive_is_named_with_the_way_out(tmp_path, refused, name):
    path = tmp_path / "study" / name
    path.parent.mkdir()
    if name.endswith("zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("1.dcm", "x")
    else:
        path.write_bytes(b"7z\xbc\xaf\x27\x1c" if name.endswith("7z") else gzip.compress(b"x"))
    for where in (path, path.parent):
        refused(lambda w=where: inspect(w), name, "Unpack", code="file-packed")
        refused(lambda w=where: vd.read_ct(w), name, "Unpack", code="file-packed")


def test_an_archive_beside_a_series_is_told_and_bars_nothing(write_series, place_error):
    folder = write_series("CT")
    with zipfile.ZipFile(folder / "more.zip", "w") as archive:
        archive.writestr("1.dcm", "x")
    assert place_error(vd.read_ct(folder)) < 0.03
    assert refusal_of(inspect(folder), "more.zip").code == "file-packed"


# --- lists of media ---


def write_medium(target, *folders):
    """The files of some folders on a medium with its DICOMDIR."""
    files = FileSet()
    for file in (file for folder in folders for file in sorted(folder.iterdir())):
        files.add(file)
    files.write(target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # pydicom leaves its folder to the collector
        del files
        gc.collect()
    return target


def numbered(ds, _):
    ds.SeriesNumber = 1


@pytest.fixture
def medium(write_series, tmp_path):
    """A CT on a medium with its DICOMDIR."""
    return write_medium(tmp_path / "medium", write_series("CT", folder="source", change=numbered))


def test_a_medium_is_read_with_its_list(medium, place_error):
    assert place_error(vd.read_ct(medium)) < 0.03


def test_a_list_of_files_given_in_place_of_the_folder_is_refused(medium, refused):
    refused(lambda: vd.read_ct(medium / "DICOMDIR"), "folder", code="directory-of-medium")
    refused(lambda: inspect(medium / "DICOMDIR"), "folder", code="directory-of-medium")


@pytest.mark.parametrize("lost", [0, 4])
def test_a_medium_that_lacks_a_listed_slice_is_refused(medium, refused, lost):
    slices = [p for p in files_below(medium).files if p.name != "DICOMDIR"]
    slices[lost].unlink()
    refused(lambda: vd.read_ct(medium), slices[lost].name, "DICOMDIR", code="series-incomplete")
    assert not is_usable(inspect(medium))


def test_a_series_copied_without_the_others_of_its_medium_is_read(write_series, tmp_path, place_error):
    series = [write_series(kind, folder=kind, change=numbered) for kind in ("CT", "PT")]
    medium = write_medium(tmp_path / "medium", *series)
    folders = {p.parent for p in files_below(medium).files if p.name != "DICOMDIR"}
    assert len(folders) == 2
    for folder in folders:
        if dcmread(next(folder.iterdir())).Modality == "PT":
            shutil.rmtree(folder)
    assert place_error(vd.read_ct(medium)) < 0.03


# --- numbers ---


@pytest.mark.parametrize(
    ("kept", "values", "is_whole"),
    [
        (range(5), {}, True),
        (range(4), {}, True),
        (range(1, 5), {}, False),
        (range(0, 5, 2), {}, False),
        (range(4), {"ImagesInAcquisition": 5, "AcquisitionNumber": 1}, False),
        (range(5), {"ImagesInAcquisition": 5, "AcquisitionNumber": 1}, True),
    ],
)
def test_a_ct_whose_numbers_speak_of_more_slices_is_never_simply_usable(write_series, kept, values, is_whole):
    def change(ds, n):
        for key, value in values.items():
            setattr(ds, key, value)
        return n in kept

    folder = write_series("CT", change=change)
    ct = vd.read_ct(folder)
    assert bool(coded("series-may-be-incomplete", ct.remarks)) is not is_whole
    assert is_usable(inspect(folder)) is is_whole


def test_more_instances_than_are_there_are_refused(write_series, refused):
    folder = write_series("CT", change=lambda ds, _: setattr(ds, "NumberOfSeriesRelatedInstances", 9))
    refused(lambda: vd.read_ct(folder), "(0020,1209)", "9", code="series-incomplete")


def test_a_broken_slice_does_not_end_an_inspection(write_series, tmp_path):
    folder = write_series("CT", folder="study/ct")
    write_series("PT", folder="study/pet")
    (folder / "slice_04.dcm").write_bytes((folder / "slice_04.dcm").read_bytes()[:300])
    found = inspect(tmp_path / "study")
    assert {s.kind: bool(s.uses) for s in found} == {"CT": False, "PT": True, "file": False}
    with pytest.raises(InputError):
        vd.read_ct(folder)
    assert np.isfinite(vd.read_pet(tmp_path / "study" / "pet").values).all()
