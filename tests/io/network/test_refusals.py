"""What fails on the way to an archive, and on which side: each with its own code, without anything of the patient."""

import gc
import logging
import shutil
import socket
import ssl
import subprocess

import pytest
from archives import FIND, MARKERS, Store, assert_no_marker, dicom_archive, free_port, quick, tiny_study, web_archive
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from voxeldose.errors import InputError
from voxeldose.io.network.archive import Outgoing, Query
from voxeldose.io.network.connect import connect
from voxeldose.io.network.contexts import MOST_CONTEXTS
from voxeldose.io.network.storing import send_objects
from voxeldose.jobs.fetch import fetch_study, list_series

STUDY = Query(study_uid=f"{MARKERS[-1]}.1")


def refusal(code, side, call, *words):
    with pytest.raises(InputError) as caught:
        call()
    assert (caught.value.code, caught.value.fields["side"]) == (code, side), caught.value
    assert_no_marker(str(caught.value), repr(caught.value.fields))
    assert all(word in str(caught.value) for word in words), caught.value
    return caught.value


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority, and a certificate of 127.0.0.1 by it; and one by nobody."""
    openssl = shutil.which("openssl") or pytest.skip("no openssl")
    folder = tmp_path_factory.mktemp("certificates")

    def issue(name, *more):
        command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
        command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{name}.key", "-out", f"{name}.pem", *more]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)

    issue("authority")
    for name in ("server", "client"):
        issue(name, "-CA", "authority.pem", "-CAkey", "authority.key", "-addext", "basicConstraints=CA:FALSE")
    issue("stranger")
    return folder


def server_side(certificates):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    context.load_verify_locations(certificates / "authority.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def our_side(certificates, name="client", ca="authority"):
    own = {"certificate": str(certificates / f"{name}.pem"), "key": str(certificates / f"{name}.key")} if name else {}
    return {"tls": {"ca": str(certificates / f"{ca}.pem"), **own}}


@pytest.mark.parametrize("scheme", ["dicom://ARCHIVE@", "http://"])
def test_nobody_there_is_the_networks_side_and_tried_so_often_as_asked(scheme, monkeypatch):
    pauses = []
    monkeypatch.setattr("voxeldose.io.network.refusals.time.sleep", pauses.append)
    archive = quick(f"{scheme}127.0.0.1:{free_port()}", attempts=4, pause_s=1.0)
    steps = []
    refusal("archive-unreachable", "network", lambda: list_series(archive, STUDY, steps.append), "127.0.0.1")
    assert [p for p in pauses if p >= 1] == [1.0, 2.0, 4.0]
    assert sum("attempt" in step for step in steps) == 3


@pytest.mark.parametrize("scheme", ["dicom://ARCHIVE@", "http://"])
def test_silence_ends_after_the_time_limit(scheme):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        archive = quick(f"{scheme}127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.3, attempts=1)
        with pytest.raises(InputError) as caught:
            list_series(archive, STUDY)
    assert caught.value.code in ("archive-timeout", "association-broken")
    assert caught.value.fields["transient"]


def test_wrong_names_say_whose_line_is_missing():
    with dicom_archive(Store(), known=("SOMEBODY",)) as url:
        refusal("calling-ae-unknown", "archive", lambda: list_series(quick(url), STUDY), "VOXELDOSE", "administrator")
        refusal(
            "called-ae-unknown", "here", lambda: list_series(quick(url.replace("ARCHIVE", "OTHER")), STUDY), "OTHER"
        )


def test_a_service_that_is_not_offered_is_named(tmp_path):
    with dicom_archive(Store.of(tiny_study()), services=(FIND,)) as url:
        fetch = lambda archive: fetch_study(archive, STUDY, tmp_path / "out")  # noqa: E731
        refusal("service-missing", "archive", lambda: fetch(quick(url)), "C-GET", "move")
        move = quick(url, retrieve="move", receive=f"127.0.0.1:{free_port()}")
        refusal("service-missing", "archive", lambda: fetch(move), "C-MOVE")


def test_an_archive_that_does_not_know_where_to_send_is_told_what_to_add(tmp_path):
    with dicom_archive(Store.of(tiny_study())) as url:
        archive = quick(url, retrieve="move", receive=f"127.0.0.1:{free_port()}")
        words = ("VOXELDOSE", archive.receive)
        refusal("move-destination-unknown", "archive", lambda: fetch_study(archive, STUDY, tmp_path / "out"), *words)


def test_a_port_that_is_taken_is_our_side(tmp_path):
    with dicom_archive(Store.of(tiny_study())) as url, socket.create_server(("127.0.0.1", 0)) as taken:
        archive = quick(url, retrieve="move", receive=f"127.0.0.1:{taken.getsockname()[1]}")
        refusal("receive-not-possible", "here", lambda: fetch_study(archive, STUDY, tmp_path / "out"))


def test_what_was_not_asked_for_is_turned_away(tmp_path):
    from pynetdicom import AE

    from voxeldose.io.network.receiver import Receiver

    archive = quick("dicom://ARCHIVE@127.0.0.1:9", receive=f"127.0.0.1:{free_port()}")
    receiver = Receiver(archive)
    try:
        entity = AE(ae_title="STRANGER")
        stray = tiny_study(1, 0)[0]
        entity.add_requested_context(stray.SOPClassUID, stray.file_meta.TransferSyntaxUID)
        association = entity.associate("127.0.0.1", archive.listen[1], ae_title="VOXELDOSE")
        assert association.send_c_store(stray).Status == 0x0124
        association.release()
        assert not entity.associate("127.0.0.1", archive.listen[1], ae_title="OTHER").is_established
    finally:
        receiver.close()


@pytest.mark.parametrize(
    ("status", "code", "side"),
    [
        (401, "login-refused", "here"),
        (403, "not-allowed", "archive"),
        (404, "service-missing", "here"),
        (500, "archive-failed", "archive"),
    ],
)
def test_a_status_of_http_says_whose_side_it_is(status, code, side):
    with web_archive(Store(status={"HTTP": status})) as url:
        refusal(code, side, lambda: list_series(quick(url), STUDY), str(status))


@pytest.mark.parametrize("code", [0xA700, 0xC001, 0x0122])
def test_a_status_of_a_question_is_said(code):
    with dicom_archive(Store(status={"C-FIND": code})) as url:
        error = refusal(
            "archive-busy" if code == 0xA700 else "archive-refuses", "archive", lambda: list_series(quick(url), STUDY)
        )
        assert error.fields["status"] == code


def test_a_login_comes_from_file_or_environment(tmp_path, monkeypatch):
    store = Store.of(tiny_study())
    (tmp_path / "token").write_text("MARKTOKEN\n")
    monkeypatch.setenv("PACS_PASSWORD", "MARKSECRET")
    with web_archive(store, authorization="Bearer MARKTOKEN") as url:
        token = quick(url, login={"token": {"file": str(tmp_path / "token")}})
        assert len(list_series(token, STUDY)) == 2
        error = refusal("login-refused", "here", lambda: list_series(quick(url), STUDY))
        assert "MARKTOKEN" not in str(error)
        refusal(
            "secret-missing", "here", lambda: connect(quick(url, login={"token": {"env": "NOT_THERE"}})), "NOT_THERE"
        )
    with web_archive(store, authorization="Basic YWRhOk1BUktTRUNSRVQ=") as url:
        password = quick(url, login={"user": "ada", "password": {"env": "PACS_PASSWORD"}})
        assert len(list_series(password, STUDY)) == 2


def test_a_list_in_pages_is_read_to_its_end():
    with web_archive(Store.of(tiny_study(7, 1)), page=3) as url, connect(quick(url)) as client:
        series = client.find_series(f"{MARKERS[-1]}.1")
        assert len(client.find_instances(series[0])) == 7


# the servers of these tests leave connections that were refused to the collector
@pytest.mark.filterwarnings("ignore:unclosed", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("way", ["dicom", "web"])
def test_both_sides_show_a_certificate(way, certificates, tmp_path):
    store, tls = Store.of(tiny_study()), server_side(certificates)
    with (web_archive if way == "web" else dicom_archive)(store, tls=tls) as url:
        assert len(fetch_study(quick(url, **our_side(certificates)), STUDY, tmp_path / "out").series) == 2
        distrust = quick(url, **our_side(certificates, ca="stranger"))
        refusal("certificate-not-trusted", "here", lambda: list_series(distrust, STUDY), "ca")
        for name in (None, "stranger"):
            archive = quick(url, attempts=1, timeout_s=2.0, **our_side(certificates, name))
            with pytest.raises(InputError) as caught:
                list_series(archive, STUDY)
            assert caught.value.code in ("tls-failed", "archive-unreachable", "association-broken")
    gc.collect()


def test_an_archive_sends_to_us_over_tls_only_with_a_certificate(certificates):
    from voxeldose.io.network.receiver import Receiver

    archive = quick("dicoms://ARCHIVE@127.0.0.1:9", receive=f"127.0.0.1:{free_port()}", **our_side(certificates))
    receiver = Receiver(archive)
    try:
        context = ssl.create_default_context(cafile=certificates / "authority.pem")
        context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
        with socket.create_connection(archive.listen) as plain, context.wrap_socket(plain, server_hostname="127.0.0.1"):
            pass
    finally:
        receiver.close()
    bare = quick("dicoms://ARCHIVE@127.0.0.1:9", receive=f"127.0.0.1:{free_port()}")
    refusal("certificate-missing", "here", lambda: Receiver(bare))


def test_a_certificate_with_another_ones_key_is_refused_before_anyone_is_called(certificates, tmp_path):
    mixed = {"certificate": str(certificates / "client.pem"), "key": str(certificates / "server.key")}
    archive = quick("https://127.0.0.1:9/dicom-web", tls={"ca": str(certificates / "authority.pem"), **mixed})
    refusal("certificate-unusable", "here", lambda: list_series(archive, STUDY), "belong together")


def test_more_kinds_than_a_connection_offers_are_refused_before_it_is_opened():
    objects = []
    for n in range(MOST_CONTEXTS + 1):
        dataset = Dataset()
        dataset.SOPClassUID, dataset.SOPInstanceUID = f"1.2.840.10008.5.1.4.1.1.{n + 1}", f"1.2.{n + 1}"
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        objects.append(Outgoing(f"{n}.dcm", "SEG", dataset, ""))
    archive = quick("dicom://ARCHIVE@127.0.0.1:9")
    refusal("kinds-too-many", "here", lambda: send_objects(archive, objects, lambda _: None), str(MOST_CONTEXTS))


def test_libraries_neither_log_nor_warn(tmp_path, caplog, recwarn):
    caplog.set_level(logging.DEBUG)
    store = Store.of(tiny_study(), cuts=1)
    for way in (web_archive, dicom_archive):
        with way(store) as url:
            fetch_study(quick(url), STUDY, tmp_path / way.__name__)
        store.cuts = 1
    assert_no_marker(caplog.text, *(str(w.message) for w in recwarn))


def test_the_extra_is_named_where_it_is_missing(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pynetdicom", None)
    for name in [n for n in sys.modules if n.startswith("voxeldose.io.network.dimse")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("association", "contexts", "receiver", "storing"):
        monkeypatch.delitem(sys.modules, f"voxeldose.io.network.{name}", raising=False)
    with pytest.raises(InputError) as caught:
        connect(quick("dicom://ARCHIVE@127.0.0.1:9"))
    assert (caught.value.code, caught.value.fields["extra"]) == ("extra-missing", "dicom")
