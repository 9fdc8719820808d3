"""To an archive: the objects of a run, once, and done only when the archive says that it has them."""

import json
import shutil

import pytest
from archives import (
    COMMITMENT,
    Store,
    assert_no_marker,
    dicom_archive,
    files_in,
    free_port,
    quick,
    tiny_study,
    web_archive,
    write_dicom_case,
)
from small_study import run

from voxeldose.errors import InputError
from voxeldose.io.results.manifest import sha256
from voxeldose.jobs.send import send_results

KINDS = ["SEG", "RTDOSE", "SR", "DOC"]


@pytest.fixture(scope="session")
def assessed(tmp_path_factory):
    """The results of a DICOM study with markers in its headers."""
    folder = tmp_path_factory.mktemp("assessed")
    case = write_dicom_case(folder / "study")
    result = run("assess", case, "--out", folder / "results", "--quiet")
    assert result.exit_code == 0, result.output
    return folder / "results"


@pytest.fixture
def results(assessed, tmp_path):
    return shutil.copytree(assessed, tmp_path / "results")


def refusal(code, call, *words):
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.code == code, caught.value
    assert_no_marker(str(caught.value))
    assert all(word in str(caught.value) for word in words), caught.value
    return caught.value


@pytest.fixture(params=["C-STORE", "STOW-RS"])
def way(request):
    """An archive with images in it, and how it is asked."""
    store = Store.of(tiny_study(1, 1))
    with (web_archive if request.param == "STOW-RS" else dicom_archive)(store) as url:
        yield request.param, store, quick(url)


def test_every_object_of_a_run_arrives_unchanged_and_is_looked_for(way, results):
    name, store, archive = way
    hashes = {p.name: sha256(p) for p in files_in(results)}
    sent = send_results(results, archive)
    assert (sent.sent, sent.method, sent.verified_by) == (True, name, "C-FIND" if name == "C-STORE" else "QIDO-RS")
    assert [one.kind for one in sent.objects] == KINDS
    from pydicom import dcmread

    for file in ("dose.dcm", "rois.dcm", "measurements.dcm"):
        ours = dcmread(results / file)
        assert store.instances[ours.SOPInstanceUID] == ours
    (report,) = [d for d in store.instances.values() if d.Modality == "DOC"]
    content = bytes(report.EncapsulatedDocument)[: report.EncapsulatedDocumentLength]
    assert content == (results / "report.pdf").read_bytes()
    assert report.SeriesDescription == "DELIVERED (Y-90 PET), voxeldose report, research use"
    assert report.PatientID == "MARKID"
    assert {p.name: sha256(p) for p in files_in(results) if p.name != "sent.json"} == hashes
    assert_no_marker(json.dumps(sent.as_dict()), (results / "sent.json").read_text())


def test_results_are_sent_once_unless_asked_again_and_an_identical_object_is_the_same(way, results):
    _, store, archive = way
    first = send_results(results, archive)
    count = len(store.instances)
    store.asked.clear()
    second = send_results(results, archive)
    assert (second.sent, second.sent_at, store.asked) == (False, first.sent_at, [])
    assert send_results(results, archive, again=True).sent
    assert len(store.instances) == count
    assert len(json.loads((results / "sent.json").read_text())["sendings"]) == 2


def test_an_archive_that_does_not_take_all_kinds_gets_those_that_are_chosen(way, results):
    assert [one.kind for one in send_results(results, way[2], kinds=("rtdose",)).objects] == ["RTDOSE"]
    assert not send_results(results, way[2], kinds=("RTDOSE",)).sent
    assert send_results(results, way[2]).sent  # what has not been sent yet
    refusal("kind-missing", lambda: send_results(results, way[2], kinds=("RTPLAN",)), "RTDOSE")


def test_another_archive_has_not_got_them_yet(way, results):
    send_results(results, way[2])
    with dicom_archive(Store()) as url:
        assert send_results(results, quick(url)).sent


def test_what_an_archive_forgets_does_not_count_as_sent(way, results):
    _, store, archive = way
    store.forgets = True
    refusal("not-confirmed", lambda: send_results(results, archive), "dose.dcm")
    store.forgets = False
    assert send_results(results, archive).sent


def test_an_archive_that_does_not_store_is_said_with_its_status(way, results):
    name, store, archive = way
    store.status = {"C-STORE": 0xA700, "STOW": 0xA700}
    error = refusal(
        "archive-full" if name == "C-STORE" else "object-refused", lambda: send_results(results, archive), "A700"
    )
    assert error.fields["transient"]
    entry = json.loads((results / "sent.json").read_text())["sendings"][-1]
    assert entry["verified_by"] is None


def test_an_archive_commits_itself_over_a_connection_of_its_own(results):
    store, port = Store(), free_port()
    with dicom_archive(store, destination=("127.0.0.1", port)) as url:
        sent = send_results(results, quick(url, receive=f"127.0.0.1:{port}"))
    assert sent.verified_by == "storage commitment"
    assert "C-FIND IMAGE" not in store.asked


def test_a_commitment_that_names_failures_is_not_taken_for_one(results):
    store, port = Store(forgets=True), free_port()
    with dicom_archive(store, destination=("127.0.0.1", port)) as url:
        refusal(
            "not-confirmed",
            lambda: send_results(results, quick(url, receive=f"127.0.0.1:{port}")),
            "storage commitment",
        )


@pytest.mark.parametrize("commitment", [True, False])
def test_an_archive_without_an_answer_on_commitment_is_asked_instance_by_instance(results, commitment):
    store = Store()
    with dicom_archive(store, commitment=commitment) as url:  # it knows no address of ours
        archive = quick(url, receive=f"127.0.0.1:{free_port()}", commitment_wait_s=0.1)
        assert send_results(results, archive).verified_by == "C-FIND"


def test_only_the_kinds_at_hand_are_offered(results, monkeypatch):
    from pynetdicom import AE

    offered, associate = [], AE.associate

    def listening(self, *args, contexts, **kwargs):
        offered.append({(str(c.abstract_syntax), len(c.transfer_syntax)) for c in contexts})
        return associate(self, *args, contexts=contexts, **kwargs)

    monkeypatch.setattr(AE, "associate", listening)
    with dicom_archive(Store()) as url:
        send_results(results, quick(url))
    assert len(offered[0]) == len(KINDS)
    assert {n for _, n in offered[0]} == {1}
    assert COMMITMENT not in {uid for uid, _ in offered[0]}


def test_a_kind_that_is_not_accepted_is_named_before_anything_is_sent(results, monkeypatch):
    import archives

    taken = [c for c in archives.AllStoragePresentationContexts if "Encapsulated PDF" not in str(c)]
    monkeypatch.setattr(archives, "AllStoragePresentationContexts", taken)
    store = Store()
    with dicom_archive(store) as url:
        error = refusal("kind-not-accepted", lambda: send_results(results, quick(url)), "report.pdf")
    assert (error.fields["kind"], error.fields["side"], store.instances) == ("DOC", "archive", {})


def test_changed_results_and_those_without_dicom_are_refused(results, tmp_path):
    archive = quick("dicom://A@127.0.0.1:9")
    (results / "rois.dcm").write_bytes(b"other")
    assert refusal("results-changed", lambda: send_results(results, archive), "rois.dcm").fields["files"] == (
        "rois.dcm",
    )
    refusal("file-missing", lambda: send_results(tmp_path / "none", archive))
    from small_study import write_study

    assert run("assess", write_study(tmp_path / "plain"), "--out", tmp_path / "plain-results", "--quiet").exit_code == 0
    refusal("dicom-missing", lambda: send_results(tmp_path / "plain-results", archive))


def test_a_damaged_record_says_so(results):
    (results / "sent.json").write_text("{")
    refusal("file-damaged", lambda: send_results(results, quick("dicom://A@127.0.0.1:9")))
