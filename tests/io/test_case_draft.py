"""The case file drafted from an inspection: it reads back, points at what was found, and names what is needed."""

import shutil
import tomllib

import nibabel as nib
import numpy as np
import pytest
from pydicom import config

from voxeldose.io.case_draft import draft_case
from voxeldose.io.config.case import case_file_from, read_case_tables
from voxeldose.io.inspection import inspect
from voxeldose.io.inspection_text import inspection_lines


@pytest.fixture
def study(write_series, write_nm, tmp_path):
    """CT, PET and SPECT of one patient, and a label map."""
    write_series("CT", folder="study/ct")
    write_series("PT", folder="study/pet")
    write_nm(name="spect.dcm")
    shutil.move(tmp_path / "spect.dcm", tmp_path / "study" / "spect.dcm")
    labels = np.zeros((9, 7, 5), np.uint8)
    labels[3:6, 2:5, 1:4] = 1
    nib.save(nib.Nifti1Image(labels, np.diag([-2.0, -2, 3, 1])), tmp_path / "study" / "liver.nii.gz")
    return tmp_path / "study"


def written(study, name="case.toml"):
    path = study / name
    path.write_text(draft_case(inspect(study), path.parent), "utf-8")
    return path


def test_a_draft_is_a_case_file_that_names_what_was_found(study):
    config = case_file_from(read_case_tables(written(study)), "case")
    assert config.activity.path == str(study / "pet")
    assert config.ct.path == str(study / "ct")
    assert [table.path for table in config.rois] == [str(study / "liver.nii.gz")]
    assert config.dose.calibration == "administered"


def test_paths_are_relative_to_the_case_file(study):
    tables = tomllib.loads(written(study).read_text("utf-8"))
    assert (tables["activity"]["path"], tables["ct"]["path"]) == ("pet", "ct")


def test_what_is_not_known_is_a_comment_that_says_what_is_needed(study):
    text = written(study).read_text("utf-8")
    assert "# administered_mbq = ?  # needed" in text
    assert "# at = ?" in text
    assert "absolute" in text
    assert 'or: path = "spect.dcm"' in text


def test_a_draft_holds_nothing_of_the_patient(study, anonymous):
    anonymous(written(study).read_text("utf-8"))


def test_two_series_in_one_folder_are_told_apart_by_uid(study, write_series, tmp_path):
    write_series("CT", folder="other", orientation="coronal")
    for file in (tmp_path / "other").iterdir():
        shutil.move(file, study / "ct" / f"other_{file.name}")
    config = case_file_from(read_case_tables(written(study)), "case")
    assert config.ct.series_uid in {row.series_uid for row in inspect(study / "ct")}


def test_a_refused_pet_is_drafted_with_its_ways_out(study, write_series):
    shutil.rmtree(study / "pet")
    (study / "spect.dcm").unlink()
    write_series("PT", folder="study/pet", change=lambda ds, _: setattr(ds, "Units", "GML"))
    text = written(study).read_text("utf-8")
    assert 'path = "pet"' in text
    assert "# undo_suv = true" in text
    assert '# quantity = "counts"' in text
    ready = text.replace('# quantity = "counts"', 'quantity = "counts"')
    assert case_file_from(tomllib.loads(ready), "case").activity.quantity == "counts"


def test_the_y90_pet_goes_before_another_pet(study, write_series):
    def fluorine(ds, n):
        ds.RadiopharmaceuticalInformationSequence[0].RadionuclideCodeSequence[0].CodeMeaning = "^18^Fluorine"

    write_series("PT", folder="study/a_fdg", change=fluorine)
    text = written(study).read_text("utf-8")
    assert tomllib.loads(text)["activity"]["path"] == "pet"
    assert "a_fdg" in text


def test_regions_named_twice_are_drafted_once(study):
    shutil.copytree(study, study / "again", ignore=lambda _, names: [n for n in names if n != "liver.nii.gz"])
    tables = tomllib.loads(written(study).read_text("utf-8"))
    assert len(tables["rois"]) == 1


def test_a_draft_of_nothing_usable_says_what_is_needed(write_series, tmp_path):
    rows = inspect(write_series("CT"))
    text = draft_case(rows, tmp_path)
    assert "# [activity]" in text
    assert "# [[rois]]" in text
    assert tomllib.loads(text)["ct"]["path"] == "series"


def test_regions_without_names_wait_where_others_are_named(study):
    nib.save(nib.Nifti1Image(np.arange(60, dtype=np.uint8).reshape(3, 4, 5) % 3, np.eye(4)), study / "a_seg.nii.gz")
    tables = tomllib.loads(written(study).read_text("utf-8"))
    assert [table["path"] for table in tables["rois"]] == ["liver.nii.gz"]
    (study / "liver.nii.gz").unlink()
    (study / "case.toml").unlink()
    text = written(study).read_text("utf-8")
    assert [table["path"] for table in tomllib.loads(text)["rois"]] == ["a_seg.nii.gz"]
    assert "# labels =" in text


def test_results_of_voxeldose_are_not_taken_for_an_activity(study):
    (study / "results").mkdir()
    shutil.copy(study / "liver.nii.gz", study / "results" / "dose.nii.gz")
    (study / "results" / "run.json").write_text("{}")
    assert "dose.nii.gz" not in written(study).read_text("utf-8")


HOSTILE = 'ACME\nquantity = "counts" #\x1b]0;PWNED\x07\x85'


@pytest.mark.parametrize("keyword", ["Manufacturer", "ManufacturerModelName", "Units", "DecayCorrection"])
def test_text_of_a_header_is_never_a_key_of_the_draft_or_a_command_of_the_terminal(write_series, tmp_path, keyword):
    with config.disable_value_validation():
        folder = write_series("PT", folder="study/pet", change=lambda ds, _: setattr(ds, keyword, HOSTILE))
    found = inspect(folder.parent)
    draft = draft_case(found, folder.parent)
    assert "quantity" not in tomllib.loads(draft).get("activity", {})
    lines = inspection_lines(found)
    for line in (*draft.splitlines(), *lines):
        assert line.isprintable()
    assert len(lines) == len("\n".join(lines).splitlines())


def test_the_name_of_a_folder_is_never_a_key_of_the_draft(write_series, tmp_path):
    folder = write_series("PT", folder='study/x\nquantity = "counts"\x1b')
    draft = draft_case(inspect(folder), tmp_path)
    tables = tomllib.loads(draft)
    assert set(tables["activity"]) == {"path"}
    assert (tmp_path / tables["activity"]["path"]).samefile(folder)
    assert all(line.isprintable() for line in inspection_lines(inspect(folder)))
