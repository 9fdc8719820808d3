"""Sets on this disk: fetching them whole, recording their checksums, verifying and registering files."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_fetch.catalogue import DataSet, catalogue, entry
from data_fetch.remote import Hosts, RemoteFile, listing
from data_fetch.transfer import download, unpack
from voxeldose.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["default_folder", "get", "register", "verify"]

RECORD = "data_fetch.json"
#: Seconds to wait for another process that fetches the same set.
LOCK_S = 24 * 3600.0


def default_folder() -> Path:
    """Where sets go without ``--to``: the user's cache, or ``VOXELDOSE_DATA_HOME``."""
    import pooch

    return Path(os.environ.get("VOXELDOSE_DATA_HOME") or pooch.os_cache("voxeldose-data"))


def get(
    name: str,
    to: Path,
    *,
    tell: Callable[[str], None],
    progress: Callable[[int, int | None], None],
    hosts: Hosts | None = None,
    pause_s: float = 1.0,
) -> Path:
    """Fetch a set into ``to/name``; what is there and sound is kept.

    Parameters
    ----------
    name : str
        In the catalogue.
    to : path
        Folder of all sets.
    tell, progress : callable
        Called with a line for the user, and with bytes so far and in all.
    hosts : Hosts, optional
        Where the archives answer.
    pause_s : float
        Wait between attempts.

    Returns
    -------
    Path
        The set's folder; ``data_fetch.json`` in it records every file's SHA-256.

    Raises
    ------
    InputError
        If the set cannot be fetched whole; what is complete stays, and the next run goes on from there.
    """
    from filelock import FileLock, Timeout

    data_set = entry(name)
    folder = to / name
    folder.mkdir(parents=True, exist_ok=True)
    if data_set.method == "manual":
        expected = ", ".join(f.name for f in data_set.files) or "its files"
        msg = (
            f"{name} cannot be fetched by a program: {data_set.instructions} Landing page: {data_set.landing}. Then: "
            f"python -m data_fetch register FILE --set {name} (expected: {expected})."
        )
        raise InputError(msg)
    lock = FileLock(to / f".{name}.lock")
    try:
        if lock.acquire(timeout=0):
            lock.release()
    except Timeout:
        tell(f"{name}: another process fetches this set; waiting for it.")
    with lock.acquire(timeout=LOCK_S):
        if data_set.method == "idc-collection":
            _get_collection(data_set, folder, tell)
        else:
            for file in listing(data_set, hosts or Hosts()):
                _get_file(data_set, file, folder, tell, progress, pause_s)
    return folder


def _get_file(
    data_set: DataSet,
    file: RemoteFile,
    folder: Path,
    tell: Callable[[str], None],
    progress: Callable[[int, int | None], None],
    pause_s: float,
) -> None:
    target, record = folder / file.name, _read_record(folder)
    known = record["files"].get(file.name)
    if known and target.is_file() and _sha256(target) == known["sha256"]:
        tell(f"{file.name}: already here.")
        return
    if target.exists():
        tell(f"{file.name}: is not what was recorded; it is fetched again.")
        target.unlink()
    path = download(file, folder, progress=progress, pause_s=pause_s)
    found = _sha256(path)
    if known and known["url"] == file.url and known["sha256"] != found:
        path.unlink()
        msg = (
            f"{file.url}: has another SHA-256 ({found}) than at the first download ({known['sha256']}): the archive "
            f"changed it. Remove the entry from {folder / RECORD} to accept the new one."
        )
        raise InputError(msg)
    if file.unpack:
        inside = unpack(path, path.parent)
        if data_set.method == "nbia":
            _check_nbia(inside)
    record["files"][file.name] = {
        "sha256": found,
        "bytes": path.stat().st_size,
        "url": file.url,
        "fetched_at": datetime.now(UTC).isoformat(),
    }
    record |= {"identifier": data_set.identifier, "version": data_set.version, "licence": data_set.licence}
    _write_record(folder, record)
    tell(f"{file.name}: {path.stat().st_size} bytes, SHA-256 {found}.")


def _check_nbia(folder: Path) -> None:
    """Compare each image with the MD5 list that TCIA packs beside them."""
    lists = list(folder.glob("md5hashes.csv"))
    if not lists:
        msg = f"{folder}: TCIA's answer holds no md5hashes.csv, so the images cannot be checked. Fetch again."
        raise InputError(msg)
    for line in lists[0].read_text("utf-8").splitlines()[1:]:
        name, _, md5 = line.partition(",")
        path = folder / Path(name.strip()).name
        found = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() if path.is_file() else "no file"
        if found != md5.strip():
            shutil.rmtree(folder)
            msg = f"{path.name}: MD5 {found}, TCIA says {md5.strip()}; the series is not kept. Fetch it again."
            raise InputError(msg)


def _get_collection(data_set: DataSet, folder: Path, tell: Callable[[str], None]) -> None:
    """A whole collection of the Imaging Data Commons, by idc-index, which resumes and checks by itself."""
    try:
        from idc_index import IDCClient
    except ImportError as error:
        msg = (
            "whole collections of the Imaging Data Commons need the package idc-index: pip install 'voxeldose[idc]', then "
            "run this again."
        )
        raise InputError(msg) from error
    client = IDCClient.client()
    if not str(client.get_idc_version()).removeprefix("v").startswith(data_set.version.removeprefix("IDC v")):
        tell(f"The catalogue was made for {data_set.version}; the installed index is {client.get_idc_version()}.")
    client.download_from_selection(collection_id=data_set.record, downloadDir=str(folder), quiet=False)


def verify(name: str, to: Path) -> list[tuple[str, str]]:
    """Every recorded file and whether it is sound: ``ok``, ``missing`` or ``changed``.

    Raises
    ------
    InputError
        If nothing of the set was ever recorded there.
    """
    entry(name)
    folder = to / name
    record = _read_record(folder)
    if not record["files"]:
        msg = f"{folder}: nothing of {name} was fetched or registered there."
        raise InputError(msg)
    states = []
    for file, known in record["files"].items():
        path = Path(known.get("path", folder / file))
        states.append(
            (file, "missing" if not path.is_file() else "ok" if _sha256(path) == known["sha256"] else "changed")
        )
    return states


def register(path: Path, to: Path, name: str | None = None) -> tuple[str, str]:
    """Check a file that the user downloaded, and record where it lies; the set's name and the SHA-256.

    Parameters
    ----------
    path : path
        The file.
    to : path
        Folder of all sets.
    name : str, optional
        Which set; found by the file's name without it.

    Raises
    ------
    InputError
        If no set expects such a file, or size or checksum are not those of the catalogue.
    """
    path = path.absolute()
    if not path.is_file():
        msg = f"{path}: there is no such file."
        raise InputError(msg)
    sets = [name] if name else [n for n, s in catalogue().items() if path.name in {f.name for f in s.files}]
    if len(sets) != 1:
        msg = f"{path.name}: {len(sets)} sets of the catalogue expect a file of this name; say which with --set NAME."
        raise InputError(msg)
    data_set = entry(sets[0])
    pin = next((f for f in data_set.files if f.name == path.name), None)
    if data_set.files and pin is None:
        msg = f"{path.name}: {sets[0]} expects {', '.join(f.name for f in data_set.files)}; keep the name it came with."
        raise InputError(msg)
    found = _sha256(path)
    if pin and pin.size and path.stat().st_size != pin.size:
        msg = f"{path}: {path.stat().st_size} bytes, the catalogue says {pin.size}; the download is not complete."
        raise InputError(msg)
    if pin and pin.checksum:
        kind, _, wanted = pin.checksum.partition(":")
        if _digest(path, kind) != wanted:
            msg = f"{path}: its {kind} is {_digest(path, kind)}, the catalogue says {wanted}. Download it again."
            raise InputError(msg)
    folder = to / sets[0]
    folder.mkdir(parents=True, exist_ok=True)
    record = _read_record(folder)
    earlier = record["files"].get(path.name)
    if earlier and earlier["sha256"] != found:
        msg = f"{path}: was recorded with another SHA-256 ({earlier['sha256']}); remove it from {folder / RECORD} to accept."
        raise InputError(msg)
    record["files"][path.name] = {
        "sha256": found,
        "bytes": path.stat().st_size,
        "path": str(path),
        "registered_at": datetime.now(UTC).isoformat(),
    }
    _write_record(folder, record)
    return sets[0], found


def _read_record(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / RECORD).read_text("utf-8"))
    except FileNotFoundError:
        return {"files": {}}
    except (OSError, ValueError) as error:
        msg = f"{folder / RECORD}: cannot be read ({error}). Remove it; files are then checked anew."
        raise InputError(msg) from error
    return content if isinstance(content, dict) and "files" in content else {"files": {}}


def _write_record(folder: Path, record: dict[str, Any]) -> None:
    partial = folder / f".{RECORD}.{os.getpid()}"
    partial.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    partial.replace(folder / RECORD)


def _sha256(path: Path) -> str:
    return _digest(path, "sha256")


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()
