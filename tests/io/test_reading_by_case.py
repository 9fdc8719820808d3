"""From the command line: corrections on request, and the case file of an inspection that runs as it is."""

import json

import numpy as np
import pytest
from region_files import circle, circle_area, rectangle, write_structures
from small_study import run

from voxeldose.io.nifti import write_labels
from voxeldose.model.radionuclide import F18, Y90

SHAPE = (6, 14, 16)


def as_fluorine(ds, n):
    """Y-90 computed as F-18, corrected to the start of the scan, 20 h after the infusion."""
    wrong = Y90.positron_fraction / F18.positron_fraction * F18.frame_factor(1800) / Y90.frame_factor(1800)
    ds.RescaleSlope = f"{float(ds.RescaleSlope) * wrong:.10g}"
    drug = ds.RadiopharmaceuticalInformationSequence[0]
    drug.RadionuclideCodeSequence[0].CodeMeaning = "^18^Fluorine"
    drug.RadionuclideHalfLife, drug.RadionuclidePositronFraction = F18.half_life_s, 0.967


@pytest.fixture
def study(write_series, tmp_path):
    """A PET folder and a label map of its inner voxels, named liver."""

    def make(change=None):
        from voxeldose.io.dicom.pet import read_pet

        folder = write_series("PT", folder="study/pet", shape=SHAPE, change=change)
        labels = np.zeros(SHAPE, np.uint8)
        labels[1:5, 2:12, 2:14] = 1
        write_labels(labels, read_pet(folder).grid, tmp_path / "study" / "liver.nii.gz")
        return tmp_path / "study"

    return make


def assessed(folder, *flags):
    out = folder.parent / "out"
    words = ("assess", "--activity", folder / "pet", "--rois", folder / "liver.nii.gz", "--out", out, "--overwrite")
    result = run(*words, "--at", "2024-05-01T18:05:00Z", *flags, "--json", "--quiet")
    return result, json.loads(result.stdout) if result.exit_code == 0 else {}


def test_a_nuclide_undone_on_request_gives_the_absolute_dose_of_the_true_one(study):
    _, right = assessed(study(), "--calibration", "absolute")
    folder = study(as_fluorine)
    result, undone = assessed(folder, "--calibration", "absolute", "--undo-nuclide", "F-18")
    assert result.exit_code == 0, result.output
    liver = [case["rois"]["liver"]["mean_dose_gy"] for case in (right, undone)]
    assert liver[1] == pytest.approx(liver[0], rel=1e-4)
    assert any(a["code"] == "nuclide-undone" for a in undone["assumptions"])


def test_a_nuclide_is_not_undone_unasked_and_the_flag_is_named(study):
    folder = study(as_fluorine)
    result, _ = assessed(folder, "--calibration", "absolute", "--image-nuclide", "Y-90")
    assert result.exit_code == 3
    assert "--undo-nuclide" in result.stderr
    result, relative = assessed(folder, "--image-nuclide", "Y-90", "--administered-mbq", "100")
    assert result.exit_code == 0, result.output
    assert relative["totals"]["activity_mbq"] == pytest.approx(100, rel=0.5)


def test_an_hu_table_names_itself_in_the_assumptions_and_needs_density_ct(study, write_series, tmp_path):
    folder = study()
    write_series("CT", folder="study/ct", shape=SHAPE)
    table = tmp_path / "hu.csv"
    table.write_text("-1000,0.001\n0,1.0\n2000,2.0\n")
    flags = ("--administered-mbq", "100", "--ct", folder / "ct")
    result, found = assessed(folder, *flags, "--engine", "local", "--density", "ct", "--hu-table", table)
    assert result.exit_code == 0, result.output
    assert any("2000 HU 2" in a["message"] for a in found["assumptions"])
    result, _ = assessed(folder, *flags, "--hu-table", table)
    assert result.exit_code == 2  # an option that cannot act
    assert "density" in result.stderr


def test_a_drafted_case_file_is_assessed_with_the_activity_alone(study):
    folder = study()
    drafted = folder / "drafted.toml"
    result = run("inspect", folder, "--case-file", drafted)
    assert result.exit_code == 0, result.output
    assert "Y-90" in result.stdout
    assert "administered_mbq" not in result.stdout  # it lies in the file
    result = run("assess", drafted, "--administered-mbq", 100, "--json", "--quiet")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["rois"]["liver"]["activity_mbq"] > 20
    again = run("inspect", folder, "--case-file", drafted)
    assert again.exit_code == 3
    assert "--overwrite" in again.stderr


def test_inspect_prints_the_table_and_the_draft_and_nothing_of_the_patient(study, anonymous):
    result = run("inspect", study())
    assert result.exit_code == 0, result.output
    for words in ("vendor", "ACME Testomat", "quirks", "no time zone stated", "[activity]", "# administered_mbq = ?"):
        assert words in result.stdout
    anonymous(result.output)


def test_inspect_as_json_is_the_rows(study):
    rows = json.loads(run("inspect", study(), "--json").stdout)
    assert {row["kind"] for row in rows} == {"PT", "file"}


def test_a_case_file_that_cannot_be_written_is_refused(study, tmp_path):
    result = run("inspect", study(), "--case-file", tmp_path / "nowhere" / "case.toml")
    assert result.exit_code == 3
    assert "cannot be written" in result.stderr


def volumes_of(folder, more=""):
    """Volumes in mL of the regions of a case with an RTSTRUCT on its PET, and the code of its refusal."""
    case = f"""
        [activity]
        path = "pet"
        [[rois]]
        path = "rs.dcm"
        {more}
        [administration]
        radionuclide = "Y-90"
        administered_mbq = 300.0
        at = 2024-05-02T10:15:00Z
        [dose]
        calibration = "absolute"
        """
    (folder / "case.toml").write_text(case, "utf-8")
    result = run("assess", folder / "case.toml", "--out", folder.parent / "out", "--overwrite", "--json", "--quiet")
    if result.exit_code:
        return result.exit_code, result.output
    return result.exit_code, {n: r["volume_ml"] for n, r in json.loads(result.stdout)["rois"].items()}


@pytest.mark.parametrize("is_cited", [True, False])
def test_a_lesion_on_one_slice_is_as_thick_as_the_slices_of_the_image_that_its_file_cites(study, is_cited):
    from pydicom import dcmread

    folder = study()
    header = dcmread(next((folder / "pet").iterdir()))
    x, y, z = (float(v) for v in header.ImagePositionPatient)
    drawn = {
        "liver": [rectangle((x + 2, x + 18), (y + 2, y + 22), z)],
        "lesion": [circle(4.0, z, centre=(x + 10, y + 12))],
    }
    write_structures(folder / "rs.dcm", drawn, series_uid=header.SeriesInstanceUID if is_cited else "1.2.3")
    code, found = volumes_of(folder)
    if is_cited:
        assert code == 0, found
        assert found["lesion"] == pytest.approx(circle_area(4.0) * 3.0 / 1000, rel=0.02)
    else:
        assert code == 3
        assert "slice_mm" in found
    code, found = volumes_of(folder, "slice_mm = 2.0")
    assert code == 0, found
    assert found["lesion"] == pytest.approx(circle_area(4.0) * 2.0 / 1000, rel=0.02)
