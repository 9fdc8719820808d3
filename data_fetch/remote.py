"""What a set consists of on the other side: names, addresses, sizes and checksums, asked from the archive's interface."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from voxeldose.errors import InputError

if TYPE_CHECKING:
    from data_fetch.catalogue import DataSet, SeriesPin

__all__ = ["Hosts", "RemoteFile", "listing"]

#: Seconds to wait for an answer.
PATIENCE_S = 60


@dataclass(frozen=True)
class Hosts:
    """Where the archives answer; tests put a server of their own here."""

    zenodo: str = "https://zenodo.org"
    figshare: str = "https://api.figshare.com"
    nbia: str = "https://nbia.cancerimagingarchive.net/nbia-api/services/v4"
    idc: str = "https://{bucket}.s3.amazonaws.com"


@dataclass(frozen=True)
class RemoteFile:
    """One file to fetch; ``name`` is its path below the set's folder."""

    name: str
    url: str
    size: int | None = None
    checksum: str | None = None
    unpack: bool = False


def listing(data_set: DataSet, hosts: Hosts) -> list[RemoteFile]:
    """Every file of a set.

    Raises
    ------
    InputError
        If the archive does not answer, or names files that would lie outside the set's folder.
    """
    ask = {
        "http": _pinned,
        "zenodo": _zenodo,
        "figshare": _figshare,
        "dataverse": _dataverse,
        "idc": _idc,
        "nbia": _nbia,
    }
    found = ask[data_set.method](data_set, hosts)
    for file in found:
        parts = PurePosixPath(file.name).parts
        if not parts or ".." in parts or file.name.startswith("/") or "\\" in file.name or ":" in file.name:
            msg = f"{data_set.identifier}: the archive names a file {file.name!r}, which would lie outside the folder."
            raise InputError(msg)
    if not found:
        msg = f"{data_set.identifier}: the archive lists no files; see {data_set.landing}."
        raise InputError(msg)
    wanted = {f.name for f in data_set.files}
    return [f for f in found if not wanted or f.name in wanted]


def _pinned(data_set: DataSet, hosts: Hosts) -> list[RemoteFile]:  # noqa: ARG001
    return [RemoteFile(f.name, f.url or "", f.size, f.checksum, f.unpack) for f in data_set.files]


def _zenodo(data_set: DataSet, hosts: Hosts) -> list[RemoteFile]:
    answer = _json(f"{hosts.zenodo}/api/records/{data_set.record}")
    return [
        RemoteFile(f["key"], f["links"]["self"], f.get("size"), f.get("checksum"), _is_archive(f["key"]))
        for f in answer["files"]
    ]


def _figshare(data_set: DataSet, hosts: Hosts) -> list[RemoteFile]:
    answer = _json(f"{hosts.figshare}/v2/articles/{data_set.record}")
    return [
        RemoteFile(f["name"], f["download_url"], f.get("size"), _md5(f.get("computed_md5")), _is_archive(f["name"]))
        for f in answer["files"]
    ]


def _dataverse(data_set: DataSet, hosts: Hosts) -> list[RemoteFile]:  # noqa: ARG001
    host = str(data_set.host).rstrip("/")
    record = quote(str(data_set.record), safe=":/")
    answer = _json(f"{host}/api/datasets/:persistentId?persistentId={record}")
    found = []
    for item in answer["data"]["latestVersion"]["files"]:
        file = item["dataFile"]
        folder = f"{item['directoryLabel']}/" if item.get("directoryLabel") else ""
        url = f"{host}/api/access/datafile/{file['id']}"
        found.append(
            RemoteFile(
                folder + file["filename"],
                url,
                file.get("filesize"),
                _md5(file.get("md5")),
                _is_archive(file["filename"]),
            )
        )
    return found


def _idc(data_set: DataSet, hosts: Hosts) -> list[RemoteFile]:
    return [file for series in data_set.series for file in _idc_series(series, hosts)]


def _idc_series(series: SeriesPin, hosts: Hosts) -> list[RemoteFile]:
    """Objects below a series' immutable identifier; an entity tag without a dash is the MD5 of a file sent in one piece."""
    base = hosts.idc.format(bucket=series.bucket)
    found, token = [], ""
    while True:
        more = f"&continuation-token={quote(token)}" if token else ""
        text = _get(f"{base}/?list-type=2&prefix={series.crdc_uuid}/{more}").text
        for item in re.findall(r"<Contents>(.*?)</Contents>", text, re.DOTALL):
            key, size, tag = (_element(item, name) for name in ("Key", "Size", "ETag"))
            md5 = tag.strip('"')
            name = f"{series.uid}/{PurePosixPath(key).name}"
            found.append(RemoteFile(name, f"{base}/{quote(key)}", int(size), _md5(md5 if "-" not in md5 else None)))
        token = _element(text, "NextContinuationToken")
        if not token:
            return found


def _nbia(data_set: DataSet, hosts: Hosts) -> list[RemoteFile]:
    return [
        RemoteFile(f"{s.uid}.zip", f"{hosts.nbia}/getImageWithMD5Hash?SeriesInstanceUID={s.uid}", unpack=True)
        for s in data_set.series
    ]


def _element(text: str, name: str) -> str:
    match = re.search(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
    return html.unescape(match.group(1)) if match else ""


def _is_archive(name: str) -> bool:
    return name.casefold().endswith((".zip", ".tar", ".tar.gz", ".tgz"))


def _md5(value: str | None) -> str | None:
    return f"md5:{value}" if value and re.fullmatch(r"[0-9a-f]{32}", value) else None


def _json(url: str) -> Any:
    answer = _get(url)
    try:
        return answer.json()
    except ValueError as error:
        msg = f"{url}: the archive's answer is not JSON; it may be down. Try again later."
        raise InputError(msg) from error


def _get(url: str) -> Any:
    import requests

    try:
        answer = requests.get(url, timeout=PATIENCE_S)
        answer.raise_for_status()
    except requests.RequestException as error:
        msg = f"{url}: no usable answer ({type(error).__name__}). Check the network, or try again later."
        raise InputError(msg) from error
    return answer
