"""What the check of same numbers finds and what it leaves out, on small folders of results."""

import csv
import json
import shutil

import nibabel
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTDoseStorage, generate_uid

from benchmarks.same_numbers import compare_folders
from benchmarks.same_numbers_content import read_content
from benchmarks.same_numbers_inputs import write_inputs
from benchmarks.same_numbers_runs import DEMO, RUNS, check_tree

ASSESSMENT = {
    "schema": "voxeldose/assessment/1",
    "version": "0.1.0",
    "rois": {"lesion": {"mean_dose_gy": 356.8704820403707, "codes": []}},
    "uncertainty": {"seconds": 1.5},
    "warnings": ["A first sentence.", "A second one."],
}


def write_image(path, array, affine=None):
    nibabel.save(nibabel.Nifti1Image(array, np.diag([3, 3.5, 4, 1.0]) if affine is None else affine), path)


def write_dose(path, pixels, date="20240502", **more):
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPClassUID, header.SOPInstanceUID, header.ContentDate = RTDoseStorage, generate_uid(), date
    header.Rows, header.Columns = pixels.shape
    header.SamplesPerPixel, header.PhotometricInterpretation, header.PixelRepresentation = 1, "MONOCHROME2", 0
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, 16, 15
    header.DoseGridScaling, header.PixelData = "1.5e-07", pixels.tobytes()
    header.update(more)
    header.save_as(path, enforce_file_format=True)


def image():
    return np.arange(60, dtype=np.float32).reshape(3, 4, 5) + np.float32(0.1)


@pytest.fixture
def folders(tmp_path):
    """Two folders with the same results."""
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    write_image(before / "dose.nii.gz", image())
    write_dose(before / "dose.dcm", np.arange(12, dtype=np.uint16).reshape(3, 4))
    np.savez(before / "kernel.npz", energy=image())
    (before / "assessment.json").write_text(json.dumps(ASSESSMENT))
    (before / "cohort.csv").write_text("case,d95_gy,seconds,warnings\none,1.25,3.5,a sentence\n")
    (before / "exit.json").write_text('{"exit_code": 0}')
    (before / "report.html").write_text("<html>a page</html>")
    shutil.copytree(before, after)
    return before, after


def differences(folders):
    return [text for item in compare_folders(*folders) for text in item.differences]


def rewrite(file, change):
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_the_same_results_are_the_same(folders):
    items = compare_folders(*folders)
    assert len(items) == 7
    assert all(item.before == item.after and not item.differences and not item.remarks for item in items)


def test_one_changed_bit_of_an_array_is_found(folders):
    changed = image()
    changed[1, 2, 3] = np.nextafter(changed[1, 2, 3], np.float32(np.inf))
    write_image(folders[1] / "dose.nii.gz", changed)
    (found,) = differences(folders)
    assert found.startswith("dose.nii.gz: array: ")
    (item,) = [item for item in compare_folders(*folders) if item.differences]
    assert item.before != item.after


def test_a_moved_image_and_another_type_are_found(folders):
    write_image(folders[1] / "dose.nii.gz", image(), np.diag([3, 3.5, 4.000001, 1.0]))
    assert any("affine" in text for text in differences(folders))
    write_image(folders[1] / "dose.nii.gz", image().astype(np.float64))
    assert any("dtype: <f4 → <f8" in text for text in differences(folders))


def test_one_changed_value_of_a_kernel_and_of_dicom_are_found(folders):
    np.savez(folders[1] / "kernel.npz", energy=image() * np.float32(1.0000001))
    pixels = np.arange(12, dtype=np.uint16).reshape(3, 4)
    write_dose(folders[1] / "dose.dcm", pixels, PatientSize="1.7")
    assert [text.split(": ")[:2] for text in differences(folders)] == [
        ["dose.dcm", "PatientSize"],
        ["kernel.npz", "energy.array"],
    ]
    pixels[2, 3] += 1
    write_dose(folders[1] / "dose.dcm", pixels)
    assert any(text.startswith("dose.dcm: array") for text in differences(folders))


def test_the_last_digit_of_a_number_is_found(folders):
    rewrite(folders[1] / "assessment.json", lambda c: c["rois"]["lesion"].update(mean_dose_gy=356.87048204037075))
    name = "assessment.json: rois.lesion.mean_dose_gy"
    assert differences(folders) == [f"{name}: 356.8704820403707 → 356.87048204037075"]


def test_a_missing_key_a_new_one_and_an_emptied_list_are_found(folders):
    rewrite(folders[1] / "assessment.json", lambda c: c["rois"].update(lesion={"codes": [1], "new": None}))
    assert differences(folders) == [
        "assessment.json: rois.lesion.mean_dose_gy: 356.8704820403707 → no such key",
        "assessment.json: rois.lesion.codes: [] → no such key",
        "assessment.json: rois.lesion.codes[0]: no such key → 1",
        "assessment.json: rois.lesion.new: no such key → null",
    ]


def test_a_changed_cell_and_a_further_line_are_found(folders):
    (folders[1] / "cohort.csv").write_text("case,d95_gy,seconds,warnings\none,1.26,3.5,a sentence\n")
    assert differences(folders) == ["cohort.csv: d95_gy[2]: 1.25 → 1.26"]
    with (folders[1] / "cohort.csv").open("a", newline="") as file:
        csv.writer(file).writerow(["two", 1, 2, ""])
    assert "cohort.csv: lines: 2 → 3" in differences(folders)


@pytest.mark.parametrize("name", ["report.html", "dose.nii.gz"])
def test_a_file_that_one_side_lacks_is_found(folders, name):
    (folders[1] / name).unlink()
    assert differences(folders) == [f"{name}: a file → no such file"]
    assert differences(folders[::-1]) == [f"{name}: no such file → a file"]


def test_a_command_that_fails_in_both_trees_is_found(folders):
    for folder in folders:
        (folder / "exit.json").write_text('{"exit_code": 2}')
    assert differences(folders) == ["exit.json: exit_code: 2 in both trees, so that nothing is compared"]


def test_fields_that_belong_to_the_run_are_left_out(folders):
    after = folders[1]
    rewrite(after / "assessment.json", lambda c: c.update(schema="2", version="9", uncertainty={"seconds": 9.0}))
    (after / "cohort.csv").write_text("case,d95_gy,seconds,warnings\none,1.25,9.5,a sentence\n")
    (after / "report.html").write_text("<html>another page</html>")
    write_dose(after / "dose.dcm", np.arange(12, dtype=np.uint16).reshape(3, 4), date="20300101")
    for folder in folders:
        (folder / "run.json").write_text(json.dumps({"path": f"{folder}/pet", "uid": generate_uid()}))
    assert differences(folders) == []


def test_sentences_are_shown_but_not_judged_whatever_their_form_and_order(folders):
    said = [{"code": "b", "message": "A second one.", "numbers": {}}, {"code": "a", "message": "A first sentence."}]
    rewrite(folders[1] / "assessment.json", lambda c: c.update(warnings=said))
    assert not any(item.differences or item.remarks for item in compare_folders(*folders))
    rewrite(folders[1] / "assessment.json", lambda c: c.update(warnings=said[:1]))
    (item,) = [item for item in compare_folders(*folders) if item.remarks]
    assert item.differences == []
    assert item.remarks == ["assessment.json: 2 → 1 remarks", "assessment.json: - A first sentence."]


def test_numbered_files_are_one_item_and_each_is_compared(tmp_path):
    for side in ("before", "after"):
        for n in range(3):
            (tmp_path / side / f"case-{n:02d}").mkdir(parents=True)
            (tmp_path / side / f"case-{n:02d}" / "a.json").write_text(f"[{n + (side == 'after' and n == 2)}]")
    (item,) = compare_folders(tmp_path / "before", tmp_path / "after")
    assert (item.name, item.files) == ("case-*/a.json", 3)
    assert item.differences == ["case-02/a.json: [0]: 2 → 3"]


def test_inputs_are_the_same_every_time(tmp_path):
    for side in ("before", "after"):
        write_inputs(tmp_path / side)
    items = compare_folders(tmp_path / "before", tmp_path / "after")
    assert {"small.toml", "plan-image.nii.gz", "planar.dcm", "cohort/cases.csv"} <= {item.name for item in items}
    assert not any(item.differences for item in items)
    assert len(read_content(tmp_path / "before" / "cohort" / "cases.csv").values) == 21


def test_every_command_has_a_folder_of_its_own():
    names = [DEMO.name, *(run.name for run in RUNS)]
    assert len(set(names)) == len(names)


def test_a_folder_without_the_package_is_refused(tmp_path):
    with pytest.raises(ValueError, match="takes voxeldose from"):
        check_tree(tmp_path, tmp_path)
