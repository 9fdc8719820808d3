"""Folders and files of results that appear whole or not at all.

What is being written lies in a hidden neighbour of its name. A folder's writer holds a lock for as long; when it is killed
the lock goes with it, and so the next run knows what was left behind.
"""

from __future__ import annotations

import os
import shutil
import socket
import uuid
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from voxeldose.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["new_folder", "replacing", "take_name"]


@contextmanager
def new_folder(out: Path, *, overwrite: bool, marker: str = "run.json") -> Iterator[Path]:
    """A folder to write into that takes the name ``out`` only when the block ends without error.

    Only a folder that holds ``marker`` or nothing is ever replaced.
    Until then it is a hidden neighbour of ``out``; one left behind by a killed run on this machine is removed.

    Raises
    ------
    InputError
        If ``out`` exists and may not be replaced, or cannot be written.
    """
    out = out.absolute()
    _require_free(out, overwrite=overwrite, marker=marker)
    _remove_leftovers(out)
    word = f"{socket.gethostname()}-{uuid.uuid4().hex[:12]}"
    partial = out.parent / f".{out.name}.partial-{word}"
    lock = _lock_of(partial)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _acquire(lock)
        partial.mkdir()
    except OSError as error:
        _release(lock)
        msg = f"{out}: cannot be written ({error.strerror}). Choose another --out."
        raise InputError(msg, code="output-not-writable") from error
    try:
        yield partial
        earlier = out.parent / f".{out.name}.earlier-{word}"
        take_name(partial, out, earlier)
        shutil.rmtree(earlier, ignore_errors=True)
    except OSError as error:
        if error.filename is not None and not _is_inside(Path(os.fsdecode(error.filename)), out.parent, out.name):
            msg = f"{os.fsdecode(error.filename)}: cannot be used ({error.strerror or error}). No results were written."
            raise InputError(msg, code="file-unreadable") from error
        msg = f"{out}: writing the results failed ({error.strerror or error}). Nothing was left behind."
        raise InputError(msg, code="output-not-writable") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        _release(lock)


def _is_inside(path: Path, parent: Path, name: str) -> bool:
    """Whether a path is that of the results, or of what becomes them."""
    first = path.relative_to(parent).parts[0] if parent in path.parents else ""
    return first == name or first.startswith(f".{name}.")


def take_name(partial: Path, final: Path, earlier: Path) -> None:
    """Give a folder its name by one rename; what had the name before is at ``earlier`` then."""
    if final.exists():
        final.rename(earlier)
    partial.rename(final)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A neighbour of the file ``path`` to write, which takes its name when the block ends without error."""
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _require_free(out: Path, *, overwrite: bool, marker: str) -> None:
    """Refuse a name that is taken and may not be replaced."""
    if not out.exists():
        return
    is_empty = out.is_dir() and not any(out.iterdir())
    if not overwrite and not is_empty:
        msg = f"{out}: already exists; choose another --out or add --overwrite."
        raise InputError(msg, code="output-exists")
    if not is_empty and not (out.is_dir() and (out / marker).exists()):
        msg = f"{out}: is not a folder that voxeldose made (no {marker} in it), so it is not replaced. Choose another."
        raise InputError(msg, code="output-foreign")


def _remove_leftovers(out: Path) -> None:
    """Remove what killed runs on this machine left of ``out``: partial folders whose lock nobody holds."""
    for leftover in out.parent.glob(f".{escape(out.name)}.partial-{socket.gethostname()}-*"):
        lock = _lock_of(leftover)
        if _acquire(lock):
            shutil.rmtree(leftover, ignore_errors=True)
            _release(lock)


def _lock_of(partial: Path) -> FileLock:
    """The lock of a partial folder; it lies outside, so that the folder can be renamed and removed while it is held."""
    return FileLock(partial.with_name(partial.name.replace(".partial-", ".lock-")))


def _acquire(lock: FileLock) -> bool:
    """Whether nobody else holds the lock; false as well where the file system has no locks, so nothing is removed there."""
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError, NotImplementedError):
        return False
    return True


def _release(lock: FileLock) -> None:
    lock.release()
    with suppress(OSError):
        Path(lock.lock_file).unlink(missing_ok=True)
