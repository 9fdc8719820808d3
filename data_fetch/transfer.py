"""Bytes from an address to a checked file, and from an archive to a checked folder; whole or not at all."""

from __future__ import annotations

import shutil
import stat
import tarfile
import time
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from voxeldose.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from data_fetch.remote import RemoteFile

__all__ = ["download", "unpack"]

ATTEMPTS = 5
PATIENCE_S = 60
CHUNK = 1 << 20
#: Bytes written at once while a file comes: what is lost of it when the connection breaks.
PIECE = 1 << 14
#: An archive may unpack to this many times its size (medical images pack 2 to 20 times) and this many members.
EXPANSION = 200
MEMBERS = 1_000_000


def download(
    file: RemoteFile, folder: Path, *, progress: Callable[[int, int | None], None], pause_s: float = 1.0
) -> Path:
    """The file below ``folder``, complete and with the right checksum.

    What was fetched before a connection broke is kept in ``NAME.part`` and continued, also by the next run.

    Parameters
    ----------
    file : RemoteFile
        What to fetch.
    folder : path
        Folder of the set.
    progress : callable
        Called with bytes so far and in all.
    pause_s : float
        Wait before the second attempt; doubled each time.

    Raises
    ------
    InputError
        If the server does not give the whole file, or its checksum is wrong.
    """
    import pooch

    pooch.get_logger().setLevel("ERROR")
    target = folder / file.name
    target.parent.mkdir(parents=True, exist_ok=True)

    def fetch(url: str, output: str, _: object) -> None:
        _fetch(url, Path(output), target.with_name(target.name + ".part"), file.size, progress, pause_s)

    for attempt in (1, 2):
        try:
            pooch.retrieve(file.url, known_hash=file.checksum, fname=target.name, path=target.parent, downloader=fetch)
        except ValueError as error:  # pooch: the checksum differs
            if attempt == 2:
                msg = (
                    f"{file.url}: the file does not have the checksum of the catalogue ({file.checksum}), twice. It was "
                    "changed or damaged on the way and is not kept."
                )
                raise InputError(msg) from error
            continue
        break
    if file.size is not None and target.stat().st_size != file.size:
        found = target.stat().st_size
        target.unlink()
        msg = f"{file.url}: {found} bytes came, {file.size} were announced; the file is not kept."
        raise InputError(msg)
    return target


def _fetch(
    url: str, output: Path, part: Path, size: int | None, progress: Callable[[int, int | None], None], pause_s: float
) -> None:
    """Download to ``part`` in as many goes as it takes, then to ``output``."""
    import requests

    last = "no answer"
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(pause_s * 2 ** (attempt - 1))
        try:
            if _continue(url, part, size, progress):
                part.replace(output)
                return
            last = "the connection ended before the file did"
        except requests.TooManyRedirects as error:
            msg = f"{url}: the server sends us round in a circle of redirects. See the set's landing page."
            raise InputError(msg) from error
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            last = f"HTTP status {status}"
            if 400 <= status < 500 and status not in (408, 416, 425, 429):
                break
            if status == 416:
                part.unlink(missing_ok=True)
        except (requests.RequestException, OSError) as error:
            last = type(error).__name__
    kept = f" {part.stat().st_size} bytes are kept and continued next time." if part.exists() else ""
    msg = f"{url}: could not be fetched in {ATTEMPTS} attempts ({last}).{kept}"
    raise InputError(msg)


def _continue(url: str, part: Path, size: int | None, progress: Callable[[int, int | None], None]) -> bool:
    """Fetch what ``part`` lacks; whether the file is complete."""
    import requests

    have = part.stat().st_size if part.exists() else 0
    if size is not None and have > size:
        part.unlink()
        have = 0
    if size is not None and have == size:
        return True
    headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"} if have else {"Accept-Encoding": "identity"}
    with requests.get(url, headers=headers, stream=True, timeout=PATIENCE_S) as answer:
        answer.raise_for_status()
        if answer.status_code != 206:
            have = 0
        announced = answer.headers.get("Content-Length")
        total = have + int(announced) if announced and announced.isdigit() else size
        with part.open("ab" if have else "wb") as file:
            for chunk in answer.iter_content(PIECE):
                file.write(chunk)
                have += len(chunk)
                progress(have, total)
    return total is None or have == total


def unpack(archive: Path, folder: Path) -> Path:
    """The archive's files in a folder beside it, of its name without the suffix.

    Members that point outside, links, devices, and archives that grow beyond reason are refused before anything is
    written.

    Raises
    ------
    InputError
        If the archive is damaged, holds such a member, or has no name of its own for the folder.
    """
    name = _folder_name(archive)
    target, partial = folder / name, folder / f".{name}.unpacking"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    limit = max(EXPANSION * archive.stat().st_size, CHUNK)
    try:
        members = _zip_members if zipfile.is_zipfile(archive) else _tar_members
        written = 0
        for count, (path, reader) in enumerate(members(archive)):
            place = partial / _inside(path, archive)
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("xb") as file:
                while chunk := reader.read(CHUNK):
                    written += len(chunk)
                    if written > limit or count > MEMBERS:
                        msg = f"{archive.name}: unpacks to more than {EXPANSION} times its size, or to too many files."
                        raise InputError(msg)
                    file.write(chunk)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, RuntimeError, ValueError) as error:
        msg = f"{archive.name}: cannot be unpacked ({type(error).__name__}: {error}). Remove it and fetch it again."
        raise InputError(msg) from error
    else:
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _folder_name(archive: Path) -> str:
    """The archive's name without its suffix; one that would be the folder around it, or the archive, is refused."""
    name = archive.name
    for suffix in (".zip", ".tar.gz", ".tgz", ".tar"):
        name = name[: -len(suffix)] if name.casefold().endswith(suffix) else name
    if not name.strip(". ") or name == archive.name:
        msg = f"{archive.name!r}: an archive needs a name before .zip or .tar, after which its folder is called."
        raise InputError(msg, code="archive-without-name")
    return name


def _inside(path: str, archive: Path) -> PurePosixPath:
    """The member's path, if it lies in the folder."""
    place = PurePosixPath(path.replace("\\", "/"))
    if place.is_absolute() or ".." in place.parts or not place.parts or ":" in place.parts[0]:
        msg = f"{archive.name}: the member {path!r} would lie outside the folder; the archive is not unpacked."
        raise InputError(msg)
    return place


def _zip_members(archive: Path) -> Iterator[tuple[str, Any]]:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            _inside(info.filename, archive)
            if stat.S_ISLNK(info.external_attr >> 16):
                _refuse_link(info.filename, archive)
        for info in opened.infolist():
            if not info.is_dir():
                with opened.open(info) as reader:
                    yield info.filename, reader


def _tar_members(archive: Path) -> Iterator[tuple[str, Any]]:
    with tarfile.open(archive) as opened:
        members = opened.getmembers()
        for member in members:
            _inside(member.name, archive) if member.name not in (".", "./") else None
            if not (member.isfile() or member.isdir()):
                _refuse_link(member.name, archive)
        for member in members:
            if member.isfile():
                reader = opened.extractfile(member)
                if reader is not None:
                    yield member.name, reader


def _refuse_link(name: str, archive: Path) -> None:
    msg = f"{archive.name}: the member {name!r} is a link or a device; the archive is not unpacked."
    raise InputError(msg)
