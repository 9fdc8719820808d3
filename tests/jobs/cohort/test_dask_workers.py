import json
import socket
import ssl
import sys
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from remarks import refusal

from voxeldose.errors import InputError
from voxeldose.jobs.cohort import dask_workers
from voxeldose.jobs.cohort.schedulers import open_workers
from voxeldose.jobs.cohort.workers import Processes, Share


@pytest.mark.parametrize(("address", "words"), [("nowhere://x", "nowhere"), ("scheduler.json", "no such file")])
def test_a_scheduler_that_is_not_there_is_refused(tmp_path, monkeypatch, address, words):
    pytest.importorskip("distributed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dask_workers, "CONNECT_S", 0.1)
    with pytest.raises(InputError, match=f"{words}.*Start one, or leave it out", check=refusal("scheduler-missing")):
        dask_workers.DaskWorkers(Share(1, 1, None), address)


def talk_without_certificate(host, port):
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((host, port), timeout=5) as plain, trust.wrap_socket(plain) as secured:
        secured.sendall(b"x" * 8)
        if not secured.recv(1):
            raise ConnectionResetError


@pytest.mark.skipif(sys.platform != "linux", reason="reads the sockets that the kernel lists")
def test_a_cluster_of_this_machine_opens_no_port_that_answers_without_its_certificate():
    pytest.importorskip("distributed")
    workers = dask_workers.DaskWorkers(Share(1, 1, None))
    try:
        scheduler = workers._cluster.scheduler
        assert scheduler.address.startswith("tls://127.0.0.1:")
        pages = scheduler.services["dashboard"].port
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", pages), timeout=5)
        (worker,) = scheduler.workers.values()
        # Dask always lists its pages; there are none
        assert json.load(urlopen(f"http://127.0.0.1:{worker.services['dashboard']}/sitemap.json")) == {
            "paths": ["/sitemap.json"]
        }
        for page in ("info/main/workers.html", "health", "metrics", ""):
            with pytest.raises(HTTPError, match="404"):
                urlopen(f"http://127.0.0.1:{worker.services['dashboard']}/{page}", timeout=5)
        host, port = scheduler.address.removeprefix("tls://").split(":")
        with pytest.raises(OSError):  # noqa: PT011 - an alert of TLS, or a connection that is cut
            talk_without_certificate(host, int(port))
    finally:
        workers.close()


def test_without_a_word_no_dask_is_used():
    opened = open_workers(None, 1)
    assert isinstance(opened.workers, Processes)
    opened.workers.close()
