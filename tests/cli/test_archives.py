"""``fetch`` and ``send`` on the command line: exit codes, what is printed, and that nothing of the patient is."""

import json
import logging
import subprocess
import sys
import time

import pytest
from archives import (
    MARKERS,
    Store,
    assert_no_marker,
    dicom_archive,
    free_port,
    tiny_study,
    web_archive,
    write_dicom_case,
)
from click.testing import CliRunner
from small_study import run

from voxeldose.cli import main

STUDY = f"{MARKERS[-1]}.1"


@pytest.fixture
def shown(caplog):
    """Runs a command and keeps everything that it says, logs included."""
    caplog.set_level(logging.DEBUG)
    words = []

    def call(*arguments, code=0):
        result = run(*arguments)
        words.append(result.output + result.stderr)
        assert result.exit_code == code, result.output
        return result

    yield call
    assert_no_marker(*words, caplog.text)


def test_a_study_is_listed_fetched_and_named_without_the_patient(shown, tmp_path):
    with dicom_archive(Store.of(tiny_study())) as url:
        table = shown("fetch", "--from", url, "--study", STUDY, "--list").stdout
        assert [line.split()[1:] for line in table.splitlines()[1:]] == [["CT", "2", "7"], ["PT", "3", "4"]]
        label = table.splitlines()[2].split()[0]
        answer = shown("fetch", "--from", url, "--study", STUDY, "--series", label, "--out", tmp_path / "pet", "--json")
        assert json.loads(answer.stdout)["series"][0]["instances"] == 4
        shown(
            "fetch", "--from", url, "--accession", "MARKACC", "--out", tmp_path / "all", "--modality", "CT", "--quiet"
        )
        assert len(list((tmp_path / "all").rglob("*.dcm"))) == 7
        missing = shown("fetch", "--from", url, "--accession", "OTHERACC", "--list", code=3)
        assert "OTHERACC" not in missing.stderr
    down = shown("fetch", "--from", url, "--study", STUDY, "--list", code=3)
    assert "refused" in down.stderr


def test_an_identifier_can_come_by_standard_input(tmp_path):
    with web_archive(Store.of(tiny_study())) as url:
        words = ["fetch", "--from", url, "--patient", "-", "--date", "2024-05-02", "--list"]
        result = CliRunner().invoke(main, words, input="MARKID\n")
    assert result.exit_code == 0
    assert_no_marker(result.output)


def test_neither_a_folder_nor_a_list_is_wrong_usage(shown, tmp_path):
    shown("fetch", "--from", "dicom://A@127.0.0.1:9", "--study", "1.2", code=2)
    shown("fetch", "--from", "dicom://A@127.0.0.1:9", "--study", "1.2", "--list", "--out", tmp_path / "out", code=2)
    shown("fetch", "--from", "dicom://A@127.0.0.1:9", "--list", code=3)


def test_from_the_archive_through_an_assessment_and_back(shown, tmp_path):
    """The fetched study gives the numbers of the local one to every digit; the results go back once."""
    from pydicom import dcmread

    case = write_dicom_case(tmp_path / "local")
    store, port = Store.of([dcmread(p) for p in (tmp_path / "local").rglob("*.dcm")]), free_port()
    study = next(iter(store.instances.values())).StudyInstanceUID
    before = {uid: dataset.to_json() for uid, dataset in store.instances.items()}
    shown("assess", case, "--out", tmp_path / "direct", "--quiet")
    with dicom_archive(store, destination=("127.0.0.1", port)) as url:
        (tmp_path / "pacs.toml").write_text(f'url = "{url}"\nreceive = "127.0.0.1:{port}"\n')
        archive = tmp_path / "pacs.toml"
        shown("fetch", "--from", archive, "--study", study, "--out", tmp_path / "got", "--quiet")
        folders = {path.name.partition("-")[0]: path.name for path in (tmp_path / "got").iterdir() if path.is_dir()}
        text = case.read_text().replace('"pet"', f'"{folders["pt"]}"').replace('"ct"', f'"{folders["ct"]}"')
        (tmp_path / "got" / "case.toml").write_text(
            text.replace("labels.nii.gz", str(tmp_path / "local" / "labels.nii.gz"))
        )
        shown("assess", tmp_path / "got" / "case.toml", "--out", tmp_path / "results", "--quiet")
        assert rois_of(tmp_path / "results") == rois_of(tmp_path / "direct")
        sent = json.loads(shown("send", tmp_path / "results", "--to", archive, "--json").stdout)
        assert (sent["sent"], sent["verified_by"], len(sent["objects"])) == (True, "storage commitment", 4)
        again = shown("send", tmp_path / "results", "--to", archive)
        assert "Already sent" in again.stderr
        assert not again.stdout
        assert "4 objects" in shown("send", tmp_path / "results", "--to", archive, "--again").stderr
    assert {uid: dataset.to_json() for uid, dataset in store.instances.items() if uid in before} == before
    assert len(store.instances) == len(before) + 4


def test_a_fetch_that_is_killed_leaves_nothing_to_be_used_and_goes_on(tmp_path):
    store = Store.of(tiny_study(40, 0), delay_s=0.05)
    with dicom_archive(store) as url:
        words = ["fetch", "--from", url, "--study", STUDY, "--out", str(tmp_path / "out"), "--json"]
        process = subprocess.Popen([sys.executable, "-m", "voxeldose", *words], stdout=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while len(list(tmp_path.rglob(".*.dcm"))) < 5 and time.monotonic() < until:
            time.sleep(0.02)
        process.kill()
        process.wait()
        assert not (tmp_path / "out").exists()
        assert not [p for p in tmp_path.rglob("*.dcm") if not p.name.startswith(".")]
        store.delay_s = 0.0
        series = json.loads(run(*words).stdout)["series"][0]
    assert series["instances"] == 40
    assert 5 <= series["resumed"] < 40
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 40
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def rois_of(folder):
    return json.loads((folder / "assessment.json").read_text())["rois"]
