"""Against a real archive: Orthanc with its DICOMweb plugin, on this computer alone; skipped where it is not installed."""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from archives import free_port
from pydicom import dcmread
from small_study import run

from voxeldose.errors import InputError
from voxeldose.io.config.archive import read_archive
from voxeldose.io.network.archive import Outgoing, Query
from voxeldose.io.network.connect import connect
from voxeldose.io.network.refusals import quiet_libraries
from voxeldose.jobs.fetch import fetch_study
from voxeldose.jobs.send import send_results

pytestmark = pytest.mark.slow
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
CASE = """
[activity]
path = "{pet}"
[ct]
path = "{ct}"
[[rois]]
path = "{seg}"
[administration]
device = "glass"
administered_mbq = 1850.0
residual_mbq = 12.0
at = 2024-05-02T10:15:00Z
lung_shunt_fraction = 0.04
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The demo's study."""
    from voxeldose.demo.study import make_study

    folder = tmp_path_factory.mktemp("demo")
    make_study(folder)
    return folder


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    """Its ports for HTTP and DICOM, and the one where it knows us."""
    program = shutil.which("Orthanc") or pytest.skip("no Orthanc")
    if not PLUGIN.exists():
        pytest.skip("no DICOMweb plugin of Orthanc")
    folder = tmp_path_factory.mktemp("orthanc")
    http, dicom, ours = free_port(), free_port(), free_port()
    settings = {
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "HttpPort": http,
        "DicomPort": dicom,
        "DicomAet": "ORTHANC",
        "DicomCheckCalledAet": True,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(PLUGIN)],
        "DicomModalities": {"us": ["VOXELDOSE", "127.0.0.1", ours]},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [program, str(folder / "orthanc.json")], stdout=log, stderr=log, env=dict(os.environ)
        )
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", http), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield http, dicom, ours
    finally:
        process.terminate()
        process.wait(30)


def hashes(http):
    """Instance -> the hash that the archive keeps of its file."""

    def get(path):
        with urllib.request.urlopen(f"http://127.0.0.1:{http}{path}") as answer:
            return answer.read().decode()

    return {n: get(f"/instances/{n}/attachments/dicom/md5") for n in json.loads(get("/instances"))}


def test_a_study_goes_round_three_ways_and_the_numbers_are_the_same(orthanc, study, tmp_path):
    http, dicom, ours = orthanc
    (tmp_path / "move.toml").write_text(
        f'url = "dicom://ORTHANC@127.0.0.1:{dicom}"\nretrieve = "move"\nreceive = "127.0.0.1:{ours}"\n'
    )
    files = [p for folder in ("ct", "pet", "spect") for p in sorted((study / folder).rglob("*.dcm"))]
    files.append(study / "rois.seg.dcm")
    with quiet_libraries(), connect(read_archive(f"http://127.0.0.1:{http}/dicom-web")) as client:
        objects = [Outgoing(p.name, "", dcmread(p), "") for p in files]
        client.store(objects, lambda _: None)
        query = Query(study_uid=str(objects[0].dataset.StudyInstanceUID))
    before = hashes(http)
    assert len(before) == len(files)
    (tmp_path / "direct.toml").write_text(CASE.format(pet=study / "pet", ct=study / "ct", seg=study / "rois.seg.dcm"))
    assert run("assess", tmp_path / "direct.toml", "--out", tmp_path / "direct", "--quiet").exit_code == 0
    ways = {
        "WADO-RS": f"http://127.0.0.1:{http}/dicom-web",
        "C-GET": f"dicom://ORTHANC@127.0.0.1:{dicom}",
        "C-MOVE": str(tmp_path / "move.toml"),
    }
    for method, address in ways.items():
        out = tmp_path / method
        fetched = fetch_study(read_archive(address), query, out)
        assert fetched.method == method
        assert {s.modality: s.instances for s in fetched.series} == {"CT": 110, "PT": 92, "NM": 1, "SEG": 1}
        labels = {s.modality: s.label for s in fetched.series}
        (out / "case.toml").write_text(CASE.format(pet=labels["PT"], ct=labels["CT"], seg=labels["SEG"]))
        assert run("assess", out / "case.toml", "--out", out / "results", "--quiet").exit_code == 0
        rois = [json.loads((p / "assessment.json").read_text())["rois"] for p in (out / "results", tmp_path / "direct")]
        assert rois[0] == rois[1]
    objects = set()
    for method, address, verified in (
        ("WADO-RS", ways["WADO-RS"], "QIDO-RS"),
        ("C-GET", ways["C-GET"], "C-FIND"),
        ("C-MOVE", ways["C-MOVE"], "storage commitment"),
    ):
        sent = send_results(tmp_path / method / "results", read_archive(address))
        assert (sent.sent, sent.verified_by, len(sent.objects)) == (True, verified, 4)
        objects |= {one.sha256 for one in sent.objects}
        assert not send_results(tmp_path / method / "results", read_archive(address)).sent
    after = hashes(http)
    assert {n: after[n] for n in before} == before
    assert len(after) == len(before) + len(objects)  # equal reports of equal runs are one object
    assert 3 * 3 < len(objects) <= 3 * 4


def test_a_title_that_is_not_the_archives_is_refused(orthanc):
    with pytest.raises(InputError) as caught:
        fetch_study(read_archive(f"dicom://OTHER@127.0.0.1:{orthanc[1]}"), Query(study_uid="1.2.3"), "never")
    assert caught.value.code == "called-ae-unknown"
    assert not Path("never").exists()
