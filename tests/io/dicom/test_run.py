"""A DICOM case from its files to a results folder, and on to an archive and back."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
from export_case import EVERYTHING, OBJECTS, SHAPE, SPACING, ball
from pydicom import dcmread

import voxeldose as vd
from voxeldose.io.config.case import case_file_from
from voxeldose.io.inspection import inspect
from voxeldose.io.nifti import write_labels
from voxeldose.io.results.folder import read_results
from voxeldose.jobs.run_case import run_case


@pytest.fixture
def run_study(write_series, tmp_path):
    """Runner of a DICOM case from files to a results folder."""

    def run(out, *, labels="labels.nii.gz", **tables):
        ct = write_series("CT", folder="ct", shape=SHAPE, spacing=SPACING)
        pet = write_series("PT", folder="pet", shape=(10, 14, 16), spacing=(4.0, 3.0, 2.5))
        grid = vd.read_ct(ct).grid
        names = {"1": ("liver", "liver"), "2": ("lesion", "tumor")}
        values = ball(grid, 13, (5, 8, 9)).astype(np.uint8)
        values[ball(grid, 5, (4, 6, 10))] = 2
        write_labels(values, grid, tmp_path / "labels.nii.gz")
        case = {
            "activity": {"path": str(pet)},
            "ct": {"path": str(ct)},
            "rois": [
                {
                    "path": str(tmp_path / labels),
                    "labels": {k: {"name": n, "role": r} for k, (n, r) in names.items()},
                }
            ],
            "administration": {"administered_mbq": 300.0, "at": datetime(2024, 5, 2, 10, 15, tzinfo=UTC)},
        }
        return run_case(case_file_from(case | tables, "test"), out)

    return run


def test_a_run_writes_every_object_and_no_text_names_the_patient(run_study, tmp_path, anonymous):
    out = tmp_path / "results"
    run_study(out, output=EVERYTHING)
    names = {p.name for p in out.iterdir()}
    assert {*OBJECTS, "bed.nii.gz", "columns.json"} <= names
    for name in names:
        if name.endswith((".json", ".csv", ".html")):
            text = (out / name).read_text("utf-8").replace(str(tmp_path), "")
            anonymous(re.sub(r"[A-Za-z0-9+/=]{200,}", "", text))  # images, in which any three letters occur
    for name in OBJECTS:
        made = dcmread(out / name)
        assert made.PatientID == "SECRET-4711"
        assert made.FrameOfReferenceUID == "1.2.826.0.1.3680043.8.498.77" if "FrameOfReferenceUID" in made else True


def test_headers_that_allow_no_seg_leave_the_dose_and_a_warning(run_study, write_series, tmp_path):
    size = {"shape": (10, 14, 16), "spacing": (4.0, 3.0, 2.5)}
    odd = write_series("PT", folder="odd", change=lambda ds, _: delattr(ds, "StudyInstanceUID"), **size)
    result = run_study(tmp_path / "results", activity={"path": str(odd)}, ct=None)
    (remark,) = (w for w in result.record.warnings if getattr(w, "code", "") == "seg-and-sr-left-out")
    assert remark.numbers == {"reason": "headers-insufficient"}
    assert remark.sentence.startswith("rois.dcm and measurements.dcm were not written: headers do not allow a SEG")
    assert not any(str(tmp_path) in w.sentence for w in result.record.warnings)
    names = {p.name for p in (tmp_path / "results").iterdir()}
    assert "dose.dcm" in names
    assert not {"rois.dcm", "measurements.dcm"} & names
    rows = json.loads((tmp_path / "results" / "assessment.json").read_text("utf-8"))["warnings"]
    assert [w.sentence for w in result.record.warnings] == [row["message"] for row in rows]


def test_a_results_folder_gives_its_regions_when_the_files_of_the_case_are_gone(run_study, tmp_path):
    result = run_study(tmp_path / "results")
    (tmp_path / "labels.nii.gz").unlink()
    regions = read_results(tmp_path / "results").read_regions()
    assert (regions.source, regions.refusal.code) == ("seg", "inputs-changed")
    for roi in regions.rois:
        assert roi.volume_ml == pytest.approx(result.rois[roi.name].volume_ml)
        assert roi.role == result.case.rois[roi.name].role


def test_contours_of_plain_files_are_refused(run_study, make_grid, tmp_path, refused):
    grid = make_grid(shape=SHAPE)
    write_labels(ball(grid, 9, (5, 8, 9)).astype(np.uint8), grid, tmp_path / "image.nii.gz")
    words = {"activity": {"path": str(tmp_path / "image.nii.gz"), "quantity": "counts"}, "ct": None}
    refused(
        lambda: run_study(tmp_path / "results", **words, output={"rtstruct": True}), "output.rtstruct", "DICOM image"
    )
    assert not (tmp_path / "results").exists()


@pytest.fixture
def parsed(monkeypatch):
    """How often each file is parsed, by path: headers alone, and with its pixels."""
    headers, whole = Counter(), Counter()
    real = pydicom.dcmread

    def counting(path, *args, **options):
        (headers if options.get("stop_before_pixels") else whole)[Path(path)] += 1
        return real(path, *args, **options)

    monkeypatch.setattr(pydicom, "dcmread", counting)
    return headers, whole


def counts_of(folder, counter):
    return {counter[path] for path in folder.iterdir()}


def test_a_run_parses_each_image_file_once_and_takes_uncompressed_pixels_without_parsing_again(
    run_study, parsed, tmp_path
):
    headers, whole = parsed
    names = {"path": str(tmp_path / "labels.nii.gz"), "labels": {"1": {"name": "liver", "role": "liver"}}}
    run_study(tmp_path / "first")  # writes the study, and reads its CT once more to draw on it
    headers.clear()
    whole.clear()
    case = {
        "activity": {"path": str(tmp_path / "pet")},
        "ct": {"path": str(tmp_path / "ct")},
        "rois": [names],
        "administration": {"administered_mbq": 300.0, "at": datetime(2024, 5, 2, 10, 15, tzinfo=UTC)},
        "output": EVERYTHING,
    }
    run_case(case_file_from(case, "test"), tmp_path / "results")
    assert {*OBJECTS} <= {p.name for p in (tmp_path / "results").iterdir()}
    for folder in ("ct", "pet"):
        assert counts_of(tmp_path / folder, headers) == {1}
        assert counts_of(tmp_path / folder, whole) == {0}


def test_a_folder_that_holds_the_whole_study_is_scanned_once(run_study, parsed, tmp_path):
    headers, whole = parsed
    run_study(tmp_path / "first", output={"rtstruct": True})
    study = tmp_path / "study"
    study.mkdir()
    for folder in ("ct", "pet"):
        for path in (tmp_path / folder).iterdir():
            shutil.copy(path, study / f"{folder}-{path.name}")
    shutil.copy(tmp_path / "first" / "rois.rtstruct.dcm", study)
    headers.clear()
    whole.clear()
    case = {
        **{key: {"path": str(study)} for key in ("activity", "ct")},
        "rois": [{"path": str(study), "labels": {n: {"name": n, "role": "liver"} for n in ("liver",)}}],
        "administration": {"administered_mbq": 300.0, "at": datetime(2024, 5, 2, 10, 15, tzinfo=UTC)},
    }
    run_case(case_file_from(case, "test"), tmp_path / "results")
    assert counts_of(study, headers) == {1}
    assert counts_of(study, whole) == {0}
    headers.clear()
    assert {found.kind for found in inspect(study)} == {"CT", "PT", "RTSTRUCT"}
    assert {headers[p] for p in study.iterdir() if p.name != "rois.rtstruct.dcm"} == {1}
    dose = pydicom.dcmread(tmp_path / "results" / "dose.dcm")
    cited = dose.ReferencedStructureSetSequence[0].ReferencedSOPInstanceUID
    assert cited == pydicom.dcmread(study / "rois.rtstruct.dcm").SOPInstanceUID


ORTHANC = """
import json, os, signal, socket, subprocess, sys, time, urllib.request
study, out = sys.argv[1:]
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
settings = {
    "StorageDirectory": out + "/store", "IndexDirectory": out + "/store", "HttpPort": 18042, "DicomPort": 14242,
    "DicomAet": "ORTHTEST", "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
    "DicomCheckCalledAet": False, "DicomAlwaysAllowStore": True,
}
with open(out + "/orthanc.json", "w") as file:
    json.dump(settings, file)
server = subprocess.Popen(["Orthanc", out + "/orthanc.json"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", 14242), 1).close()
            break
        except OSError:
            time.sleep(0.1)
    subprocess.run(["dcmsend", "-aec", "ORTHTEST", "127.0.0.1", "14242", "+sd", "+r", study], check=True)
    at = "http://127.0.0.1:18042/instances"
    ask = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    os.mkdir(out + "/back")
    for name in json.load(ask.open(at)):
        with open(f"{out}/back/{name}.dcm", "wb") as file:
            file.write(ask.open(f"{at}/{name}/file").read())
finally:
    server.send_signal(signal.SIGTERM)
    server.wait(30)
"""


@pytest.mark.slow
def test_an_archive_takes_every_object_and_gives_it_back_unchanged(run_study, tmp_path):
    """Orthanc in a network of its own, so that it listens on no interface of this machine."""
    for tool in ("Orthanc", "dcmsend", "unshare", "ip"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    if subprocess.run(["unshare", "-rn", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no network namespace can be made here")
    out, pacs, sent = tmp_path / "results", tmp_path / "pacs", tmp_path / "sent"
    result = run_study(out, output={"bed_dose": "tumor", "rtstruct": True, "rtplan": True, "dose_on_ct": True})
    pacs.mkdir()
    sent.mkdir()
    for folder in ("ct", "pet", "results"):
        for path in (tmp_path / folder).glob("*.dcm"):
            shutil.copy(path, sent / f"{folder}-{path.name}")
    words = ["unshare", "-rn", sys.executable, "-c", ORTHANC, str(sent), str(pacs)]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    before = {d.SOPInstanceUID: d for d in map(dcmread, sent.iterdir())}
    after = {d.SOPInstanceUID: d for d in map(dcmread, (pacs / "back").iterdir())}
    assert set(after) == set(before)
    assert len(before) == SHAPE[0] + 10 + len(OBJECTS)
    for uid, dataset in before.items():
        assert after[uid] == dataset
    back = tmp_path / "back"
    back.mkdir()
    kept = {"CT", "PT", "SEG"}
    for path in (pacs / "back").iterdir():
        if dcmread(path, stop_before_pixels=True).Modality in kept:
            shutil.copy(path, back)
    case = {
        **{key: {"path": str(back)} for key in ("activity", "ct")},
        "rois": [
            {
                "path": str(back),
                "labels": {n: {"name": n, "role": r} for n, r in (("liver", "liver"), ("lesion", "tumor"))},
            }
        ],
        "administration": {"administered_mbq": 300.0, "at": datetime(2024, 5, 2, 10, 15, tzinfo=UTC)},
    }
    again = run_case(case_file_from(case, "archive"), tmp_path / "again")
    np.testing.assert_array_equal(again.dose.gy, result.dose.gy)
    assert set(again.rois) == set(result.rois)
    for name, metrics in result.rois.items():
        assert again.rois[name].d95_gy == metrics.d95_gy
        assert again.rois[name].bed_gy == metrics.bed_gy
