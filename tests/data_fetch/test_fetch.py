"""Fetching against a server on this machine that behaves as badly as real ones do."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from data_fetch import catalogue as catalogue_room
from data_fetch import store, transfer
from data_fetch.__main__ import main
from data_fetch.catalogue import CATALOGUE, DataSet, FilePin, SeriesPin, catalogue
from data_fetch.remote import Hosts, RemoteFile, listing
from data_fetch.transfer import download, unpack
from voxeldose.errors import InputError

CONTENT = bytes(range(256)) * 2000
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
SHA256 = hashlib.sha256(CONTENT).hexdigest()
UUID = "fd0199d5-8700-483e-8fc9-736511b30772"


class Server(ThreadingHTTPServer):
    """Remembers what was asked; ``cut`` is after how many bytes an answer breaks off, and how often."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str | None]] = []
        self.cut = (0, 0)
        self.files = {"/good.bin": CONTENT}
        self.no_range = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.partition("?")[0]
        self.server.asked.append((self.path, self.headers.get("Range")))
        if path == "/loop":
            self.send_response(302)
            self.send_header("Location", "/loop")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = self.server.files.get(self.path, self.server.files.get(path))
        if body is None:
            self.send_error(404)
            return
        start, asked = 0, self.headers.get("Range")
        if asked and not self.server.no_range:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        size, times = self.server.cut
        part = body[start:]
        if times and path == "/good.bin":
            self.server.cut = (size, times - 1)
            self.wfile.write(part[:size])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
            return
        self.wfile.write(part)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    made = Server()
    thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def fetched(server, folder, path="/good.bin", **known):
    file = RemoteFile("good.bin", server.url + path, **known)
    return download(file, folder, progress=lambda *_: None, pause_s=0.001)


def test_a_file_comes_whole_with_its_checksum(server, tmp_path):
    path = fetched(server, tmp_path, size=len(CONTENT), checksum=f"md5:{MD5}")
    assert path.read_bytes() == CONTENT
    assert [p.name for p in tmp_path.iterdir()] == ["good.bin"]


@pytest.mark.parametrize("known", [{}, {"size": len(CONTENT), "checksum": f"sha256:{SHA256}"}])
def test_a_dropped_connection_is_continued_where_it_broke(server, tmp_path, known):
    server.cut = (100_000, 3)
    assert fetched(server, tmp_path, **known).read_bytes() == CONTENT
    ranges = [r for _, r in server.asked]
    assert ranges[0] is None
    assert all(r and int(r[6:-1]) > 0 for r in ranges[1:])


def test_a_server_without_ranges_is_asked_from_the_start_again(server, tmp_path):
    server.cut, server.no_range = (100_000, 2), True
    assert fetched(server, tmp_path).read_bytes() == CONTENT


def test_what_came_before_giving_up_is_continued_by_the_next_run(server, tmp_path):
    server.cut = (50_000, transfer.ATTEMPTS)
    with pytest.raises(InputError, match=r"could not be fetched in 5 attempts.*kept and continued"):
        fetched(server, tmp_path)
    assert not (tmp_path / "good.bin").exists()
    server.asked.clear()
    assert fetched(server, tmp_path).read_bytes() == CONTENT
    assert (
        int(server.asked[0][1][6:-1]) > 3 * 50_000
    )  # of what each of the five attempts brought, at most one piece is lost


def test_a_wrong_checksum_is_refused_and_nothing_kept(server, tmp_path):
    server.files["/good.bin"] = CONTENT[:-1] + b"!"
    with pytest.raises(InputError, match="checksum"):
        fetched(server, tmp_path, checksum=f"md5:{MD5}")
    assert list(tmp_path.iterdir()) == []
    server.files["/good.bin"] = CONTENT
    assert fetched(server, tmp_path, checksum=f"md5:{MD5}").read_bytes() == CONTENT


def test_a_truncated_file_is_refused(server, tmp_path):
    server.files["/good.bin"] = CONTENT[:-7]
    with pytest.raises(InputError, match=r"bytes came|could not be fetched"):
        fetched(server, tmp_path, size=len(CONTENT))
    assert not (tmp_path / "good.bin").exists()


def test_a_circle_of_redirects_is_refused(server, tmp_path):
    with pytest.raises(InputError, match="circle of redirects"):
        fetched(server, tmp_path, path="/loop")


def test_what_is_not_there_is_refused_at_once(server, tmp_path):
    with pytest.raises(InputError, match="404"):
        fetched(server, tmp_path, path="/no")
    assert len(server.asked) == 1


# --- archives ---------------------------------------------------------------------------------------------------------


def zipped(path: Path, files: dict[str, bytes], link: str | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        if link:
            info = zipfile.ZipInfo(link)
            info.external_attr = 0o120777 << 16
            archive.writestr(info, "/etc/passwd")
    return path


def tarred(path: Path, files: dict[str, bytes], kind: bytes | None = None) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        if kind:
            info = tarfile.TarInfo("link")
            info.type, info.linkname = kind, "../../outside"
            archive.addfile(info)
    return path


@pytest.mark.parametrize("make", [zipped, tarred])
def test_an_archive_unpacks_beside_itself(tmp_path, make):
    archive = make(tmp_path / f"set.{'zip' if make is zipped else 'tar.gz'}", {"a/b.txt": b"1", "c.txt": b"2"})
    folder = unpack(archive, tmp_path)
    assert folder == tmp_path / "set"
    assert (folder / "a" / "b.txt").read_bytes() == b"1"
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "a/../../evil.txt", "..\\evil.txt", "C:/evil.txt"])
@pytest.mark.parametrize("make", [zipped, tarred])
def test_a_member_that_points_outside_is_refused_before_anything_is_written(tmp_path, make, name):
    inner = tmp_path / "inner"
    inner.mkdir()
    archive = make(inner / f"set.{'zip' if make is zipped else 'tar.gz'}", {"good.txt": b"1", name: b"2"})
    with pytest.raises(InputError, match="outside"):
        unpack(archive, inner)
    assert {p.name for p in inner.iterdir()} == {archive.name}
    assert {p.name for p in tmp_path.iterdir()} == {"inner"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    with pytest.raises(InputError, match="link or a device"):
        unpack(tarred(tmp_path / "set.tar.gz", {"good.txt": b"1"}, kind), tmp_path)


def test_a_link_in_a_zip_is_refused(tmp_path):
    with pytest.raises(InputError, match="link or a device"):
        unpack(zipped(tmp_path / "set.zip", {"good.txt": b"1"}, "link"), tmp_path)


def test_an_archive_that_grows_beyond_reason_is_refused(tmp_path):
    with pytest.raises(InputError, match="200 times"):
        unpack(zipped(tmp_path / "bomb.zip", {f"{n}.bin": bytes(20 << 20) for n in range(3)}), tmp_path)
    assert not (tmp_path / "bomb").exists()


@pytest.mark.parametrize("name", [".zip", "..zip", "...tar", ". .tar.gz", "set"])
def test_an_archive_without_a_name_of_its_own_touches_nothing(tmp_path, name):
    kept = tmp_path / "other.dcm"
    kept.write_text("x")
    with pytest.raises(InputError) as refusal:
        unpack(zipped(tmp_path / name, {"a": b"x"}), tmp_path)
    assert refusal.value.code == "archive-without-name"
    assert {p.name for p in tmp_path.iterdir()} == {"other.dcm", name}


def test_a_damaged_archive_is_refused(tmp_path):
    archive = zipped(tmp_path / "set.zip", {"a.bin": os.urandom(10_000)})
    raw = bytearray(archive.read_bytes())
    raw[3000:3010] = b"\0" * 10
    archive.write_bytes(raw)
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack(archive, tmp_path)
    assert not (tmp_path / "set").exists()


# --- whole sets -------------------------------------------------------------------------------------------------------


def made_set(**values) -> DataSet:
    base = {"title": "t", "identifier": "i", "version": "1", "licence": "CC0-1.0", "citation": "c", "size": "1 MB"}
    return DataSet(**(base | {"landing": "https://example.org"} | values))


@pytest.fixture
def sets(monkeypatch, server):
    """A catalogue of one set that the server holds."""
    pin = FilePin(name="good.bin", url=f"{server.url}/good.bin", size=len(CONTENT), checksum=f"md5:{MD5}")
    known = {"one": made_set(method="http", files=(pin,))}
    monkeypatch.setattr(catalogue_room, "catalogue", lambda: known)
    monkeypatch.setattr(store, "catalogue", lambda: known)
    return known


def get(name, to, hosts=None):
    said = []
    folder = store.get(name, to, tell=said.append, progress=lambda *_: None, hosts=hosts, pause_s=0.001)
    return folder, said


def test_a_set_is_fetched_once_recorded_and_verified(sets, server, tmp_path):
    folder, _ = get("one", tmp_path)
    assert json.loads((folder / "data_fetch.json").read_text())["files"]["good.bin"]["sha256"] == SHA256
    assert store.verify("one", tmp_path) == [("good.bin", "ok")]
    server.asked.clear()
    _, said = get("one", tmp_path)
    assert said == ["good.bin: already here."]
    assert not server.asked


def test_a_file_that_changed_on_disk_is_told_and_fetched_again(sets, server, tmp_path):
    folder, _ = get("one", tmp_path)
    (folder / "good.bin").write_bytes(b"spoilt")
    assert store.verify("one", tmp_path) == [("good.bin", "changed")]
    get("one", tmp_path)
    assert store.verify("one", tmp_path) == [("good.bin", "ok")]
    (folder / "good.bin").unlink()
    assert store.verify("one", tmp_path) == [("good.bin", "missing")]


def test_without_a_checksum_the_first_download_binds(sets, server, tmp_path):
    sets["one"] = made_set(method="http", files=(FilePin(name="good.bin", url=f"{server.url}/good.bin"),))
    folder, _ = get("one", tmp_path)
    (folder / "good.bin").unlink()
    server.files["/good.bin"] = b"another file"
    with pytest.raises(InputError, match="another SHA-256"):
        get("one", tmp_path)


def test_two_processes_that_fetch_one_set_leave_it_whole(server, tmp_path):
    server.cut = (200_000, 2)
    code = (
        "import sys\nfrom pathlib import Path\nfrom data_fetch import catalogue, store\n"
        "from data_fetch.catalogue import DataSet, FilePin\n"
        f"pin = FilePin(name='good.bin', url='{server.url}/good.bin', checksum='md5:{MD5}')\n"
        "one = DataSet(title='t', identifier='i', version='1', licence='CC0-1.0', citation='c', size='s',\n"
        "              landing='https://example.org', method='http', files=(pin,))\n"
        "catalogue.catalogue = lambda: {'one': one}\n"
        "store.get('one', Path(sys.argv[1]), tell=print, progress=lambda *_: None, pause_s=0.001)\n"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [run.communicate(timeout=60)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert (tmp_path / "one" / "good.bin").read_bytes() == CONTENT
    assert sum("already here" in s for s in said) == 1
    assert sum(r is None for _, r in server.asked) == 1


def test_a_manual_set_says_what_to_do_and_register_checks_it(sets, tmp_path):
    pin = FilePin(name="mine.bin", checksum=f"md5:{MD5}")
    sets["two"] = made_set(method="manual", instructions="Log in and download.", files=(pin,))
    with pytest.raises(InputError, match=r"Log in and download.*example.org.*register.*mine.bin"):
        get("two", tmp_path)
    mine = tmp_path / "mine.bin"
    mine.write_bytes(CONTENT[:-1])
    with pytest.raises(InputError, match="md5"):
        store.register(mine, tmp_path / "sets")
    mine.write_bytes(CONTENT)
    assert store.register(mine, tmp_path / "sets") == ("two", SHA256)
    assert store.verify("two", tmp_path / "sets") == [("mine.bin", "ok")]
    with pytest.raises(InputError, match="say which"):
        store.register(tmp_path / "sets" / "two" / "data_fetch.json", tmp_path / "sets")


def test_zenodo_figshare_and_dataverse_list_their_files(server):
    hosts = Hosts(zenodo=server.url, figshare=server.url)
    server.files |= {
        "/api/records/7": json.dumps(
            {"files": [{"key": "a.zip", "size": 3, "checksum": f"md5:{MD5}", "links": {"self": "http://x/a.zip"}}]}
        ).encode(),
        "/v2/articles/8": json.dumps(
            {"files": [{"name": "b.csv", "size": 4, "computed_md5": MD5, "download_url": "http://x/b"}]}
        ).encode(),
        "/api/datasets/:persistentId": json.dumps(
            {
                "data": {
                    "latestVersion": {
                        "files": [
                            {
                                "directoryLabel": "d",
                                "dataFile": {"id": 9, "filename": "c.txt", "filesize": 5, "md5": MD5},
                            }
                        ]
                    }
                }
            }
        ).encode(),
    }
    zenodo = listing(made_set(method="zenodo", record="7"), hosts)
    assert zenodo == [RemoteFile("a.zip", "http://x/a.zip", 3, f"md5:{MD5}", unpack=True)]
    figshare = listing(made_set(method="figshare", record="8"), hosts)
    assert figshare == [RemoteFile("b.csv", "http://x/b", 4, f"md5:{MD5}")]
    dataverse = listing(made_set(method="dataverse", record="doi:10.1/X", host=server.url), hosts)
    assert dataverse == [RemoteFile("d/c.txt", f"{server.url}/api/access/datafile/9", 5, f"md5:{MD5}")]


def test_an_archive_that_names_a_path_outside_is_refused(server):
    server.files["/v2/articles/8"] = json.dumps({"files": [{"name": "../b", "download_url": "http://x/b"}]}).encode()
    with pytest.raises(InputError, match="outside the folder"):
        listing(made_set(method="figshare", record="8"), Hosts(figshare=server.url))


def test_a_pinned_series_is_fetched_from_the_public_bucket(sets, server, tmp_path):
    pages = [
        (
            f"<R><Contents><Key>{UUID}/1.dcm</Key><Size>{len(CONTENT)}</Size><ETag>&quot;{MD5}&quot;</ETag></Contents>"
            "<NextContinuationToken>more</NextContinuationToken></R>"
        ),
        f"<R><Contents><Key>{UUID}/2.dcm</Key><Size>3</Size><ETag>&quot;0-2&quot;</ETag></Contents></R>",
    ]
    server.files |= {
        f"/?list-type=2&prefix={UUID}/": pages[0].encode(),
        f"/?list-type=2&prefix={UUID}/&continuation-token=more": pages[1].encode(),
        f"/{UUID}/1.dcm": CONTENT,
        f"/{UUID}/2.dcm": b"two",
    }
    sets["three"] = made_set(method="idc", series=(SeriesPin(uid="1.2.3", content="CT", crdc_uuid=UUID),))
    folder, _ = get("three", tmp_path, Hosts(idc=server.url))
    assert (folder / "1.2.3" / "1.dcm").read_bytes() == CONTENT
    assert (folder / "1.2.3" / "2.dcm").read_bytes() == b"two"


@pytest.mark.parametrize("sound", [True, False])
def test_a_series_of_tcia_is_checked_against_its_md5_list(sets, server, tmp_path, sound):
    md5 = MD5 if sound else "0" * 32
    archive = zipped(tmp_path / "x.zip", {"1.dcm": CONTENT, "md5hashes.csv": f"File,MD5\n1.dcm,{md5}\n".encode()})
    server.files["/getImageWithMD5Hash"] = archive.read_bytes()
    sets["four"] = made_set(method="nbia", series=(SeriesPin(uid="1.2.3", content="PT"),))
    if sound:
        folder, _ = get("four", tmp_path, Hosts(nbia=server.url))
        assert (folder / "1.2.3" / "1.dcm").read_bytes() == CONTENT
        return
    with pytest.raises(InputError, match="TCIA says"):
        get("four", tmp_path, Hosts(nbia=server.url))
    assert not (tmp_path / "four" / "1.2.3").exists()


# --- the catalogue and the command ------------------------------------------------------------------------------------


def test_every_entry_keeps_the_schema_and_is_pinned():
    known = catalogue()
    assert len(known) >= 15
    for name, found in known.items():
        assert found.version, name
        for file in found.files:
            assert found.method == "manual" or file.checksum, f"{name}: {file.name} has no checksum"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('method = "http"', 'method = "ftp"', "method"),
        ("md5:a90ec6c4", "md5:zz0ec6c4", "checksum"),
        ('landing = "https', 'landing = "gopher', "landing"),
        ("crdc_uuid = ", "crdc = ", "series"),
    ],
)
def test_an_entry_that_breaks_the_schema_is_named(tmp_path, old, new, said):
    broken = tmp_path / "catalogue.toml"
    broken.write_text(CATALOGUE.read_text("utf-8").replace(old, new), "utf-8")
    with pytest.raises(InputError, match=said):
        catalogue(broken)


def test_list_and_info_need_no_network(monkeypatch):
    import socket

    def refuse(*_, **__):
        raise AssertionError

    monkeypatch.setattr(socket.socket, "connect", refuse)
    listed = CliRunner().invoke(main, ["list"])
    assert listed.exit_code == 0
    assert "chaos-train" in listed.output
    shown = CliRunner().invoke(main, ["info", "chaos-train"])
    assert "CC-BY-NC-SA-4.0" in shown.output
    assert CliRunner().invoke(main, ["info", "nothing"]).exit_code == 3


def test_a_non_commercial_licence_is_asked_about(tmp_path):
    result = CliRunner().invoke(main, ["get", "chaos-train", "--to", str(tmp_path)], input="n\n")
    assert result.exit_code == 1
    assert "CC-BY-NC-SA-4.0" in result.output
    assert list(tmp_path.iterdir()) == []


def test_the_command_fetches_and_verifies(sets, tmp_path):
    got = CliRunner().invoke(main, ["get", "one", "--to", str(tmp_path), "--quiet"])
    assert got.exit_code == 0, got.output
    assert CliRunner().invoke(main, ["verify", "one", "--to", str(tmp_path)]).exit_code == 0
    (tmp_path / "one" / "good.bin").write_bytes(b"")
    assert CliRunner().invoke(main, ["verify", "one", "--to", str(tmp_path)]).exit_code == 3


def test_a_whole_collection_names_the_extra_it_needs(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "idc_index", None)
    with pytest.raises(InputError, match=r"voxeldose\[idc\]"):
        get("hcc-tace-seg", tmp_path)
