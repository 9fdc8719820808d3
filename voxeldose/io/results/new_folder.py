"""Folders and files of results that appear whole or not at all, and take nobody's place unasked.

What is being written lies in a hidden neighbour of its name (:mod:`voxeldose.io.results.leftovers` knows their names). A
folder's writer holds a lock for as long; when it is killed the lock goes with it, and so the next run knows what was left
behind.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from voxeldose.errors import InputError
from voxeldose.io.results.leftovers import hidden_name, lock_path, mend

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["new_folder", "replacing", "take_name"]


@contextmanager
def new_folder(out: Path, *, overwrite: bool, marker: str = "run.json") -> Iterator[Path]:
    """A folder to write into that takes the name ``out`` only when the block ends without error.

    Only a folder that holds ``marker`` or nothing is ever replaced, and only as it was when the block began: what somebody
    puts there meanwhile stays, and the results are kept beside it. A link is followed; the folder that it leads to is
    written. What killed runs left of ``out`` is mended first.

    Raises
    ------
    InputError
        If ``out`` exists and may not be replaced, is being written by another run, or cannot be written; or, at the end, if
        something appeared there.
    """
    out = _real_place(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(out, error) from error
    with _alone(out):
        mend(out, marker)
        _require_free(out, overwrite=overwrite, marker=marker)
        before = _content(out)
        partial = out.with_name(hidden_name(out.name, "partial"))
        try:
            partial.mkdir()
        except OSError as error:
            raise _not_writable(out, error) from error
        try:
            yield partial
            _publish(partial, out, before)
        except OSError as error:
            if error.filename is not None and not _is_ours(Path(os.fsdecode(error.filename)), out):
                msg = f"{os.fsdecode(error.filename)}: cannot be used ({error.strerror or error}). No results were written."
                raise InputError(msg, code="file-unreadable") from error
            msg = f"{out}: writing the results failed ({error.strerror or error}). Nothing was left behind."
            raise InputError(msg, code="output-not-writable") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def take_name(partial: Path, final: Path, earlier: Path) -> None:
    """Give a folder its name by one rename; what had the name before is at ``earlier`` then."""
    if final.exists():
        final.rename(earlier)
    partial.rename(final)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A neighbour of the file ``path`` to write, which takes its name when the block ends without error."""
    partial = path.with_name(hidden_name(path.name, "partial"))
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _publish(partial: Path, out: Path, before: Mapping[str, tuple[int, int]] | None) -> None:
    """Put whole results in their place, if that is as it was; else beside it.

    Whatever the moment of a kill, :func:`voxeldose.io.results.leftovers.mend` finds old or new results whole.
    """
    ready, earlier = (
        partial.with_name(partial.name.replace(".partial-", f".{kind}-")) for kind in ("ready", "earlier")
    )
    partial.rename(ready)
    if before and out.exists():
        out.rename(earlier)
        if _content(earlier) != before:
            earlier.rename(out)
            raise _taken(ready, out)
    else:
        try:
            with suppress(FileNotFoundError):
                out.rmdir()  # an empty folder; one with something in it refuses
        except OSError:
            raise _taken(ready, out) from None
    try:
        ready.rename(out)
    except OSError as error:
        if out.exists():
            raise _taken(ready, out) from error
        shutil.rmtree(ready, ignore_errors=True)
        if earlier.exists():
            earlier.rename(out)
        raise
    shutil.rmtree(earlier, ignore_errors=True)


def _taken(ready: Path, out: Path) -> InputError:
    """The refusal to replace what appeared at ``out``; the results get the first free name beside it."""
    beside = next(
        path for path in (out.with_name(f"{out.name}-{number}") for number in range(2, 1000)) if not path.exists()
    )
    ready.rename(beside)
    msg = f"{out}: was changed by somebody else during the run, so it was left as it is; the results are in {beside}."
    return InputError(msg, code="output-taken", kept_in=str(beside))


def _content(folder: Path) -> dict[str, tuple[int, int]] | None:
    """Size and time of every file below a folder; ``None`` where there is no folder."""
    if not folder.is_dir():
        return None
    stats = {p.relative_to(folder).as_posix(): p.lstat() for p in sorted(folder.rglob("*"))}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}


def _real_place(out: Path) -> Path:
    """Where results at ``out`` come to lie, with links followed; refused where no folder can be put."""
    place = Path(os.path.realpath(out))
    if out.is_symlink() and not place.is_dir():
        msg = f"{out}: is a link to something that is no folder; choose another --out."
        raise InputError(msg, code="output-not-writable")
    if os.path.ismount(place):
        msg = f"{out}: is the top of a file system, which nothing can take the place of; give a folder in it."
        raise InputError(msg, code="output-not-writable")
    return place


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


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """While nobody else writes to ``out``; the lock goes with the process, however that ends.

    A file system without locks is used without.
    """
    path = lock_path(out)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        msg = f"{out}: another run is writing to it; wait for it, or choose another --out."
        raise InputError(msg, code="output-locked") from None
    except NotImplementedError:
        pass
    except OSError as error:
        raise _not_writable(out, error) from error
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        lock.release()


def _not_writable(out: Path, error: OSError) -> InputError:
    msg = f"{out}: cannot be written ({error.strerror or error}). Choose another --out."
    return InputError(msg, code="output-not-writable")


def _is_ours(path: Path, out: Path) -> bool:
    """Whether a path is that of the results, or of what becomes them."""
    first = path.relative_to(out.parent).parts[0] if out.parent in path.parents else ""
    return first == out.name or first.startswith(f".{out.name}.")
