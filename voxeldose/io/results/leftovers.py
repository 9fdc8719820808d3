"""Hidden neighbours of results: their names, and what is left of them when a run is killed.

``.NAME.partial-HOST-HEX`` is being written; ``.NAME.ready-HOST-HEX`` is whole and about to take the name;
``.NAME.earlier-HOST-HEX`` had it; ``.NAME.lock`` is held while any of them is in use. ``.NAME.fetch`` holds what came of a study
that is being fetched, for the next try.
"""

from __future__ import annotations

import re
import shutil
import socket
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from filelock import FileLock, Timeout

from voxeldose.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["COHORT", "Leftover", "clean_folder", "find_leftovers", "hidden_name", "leftover_lines", "lock_path", "mend"]

#: Folders of another machine, whose locks may not reach here, are taken for abandoned after a day.
ABANDONED_AFTER_S = 24 * 3600

#: Where a cohort keeps what nobody reads, in its folder.
COHORT = ".cohort"

_OWN_NAME = r"-(?P<host>.+)-[0-9a-f]{12}"
_HIDDEN = re.compile(rf"\.(?P<name>.+)\.(?P<kind>lock|fetch|(?:partial|ready|earlier){_OWN_NAME})", re.DOTALL)


def hidden_name(name: str, kind: Literal["partial", "ready", "earlier"]) -> str:
    """A name of its own for a hidden neighbour of ``name``."""
    return f".{name}.{kind}-{socket.gethostname()}-{uuid.uuid4().hex[:12]}"


def lock_path(out: Path) -> Path:
    """The lock of whoever writes to ``out``; it lies outside, so that the folder can be renamed while it is held."""
    return out.with_name(f".{out.name}.lock")


@dataclass(frozen=True)
class Leftover:
    """A hidden neighbour of results.

    Parameters
    ----------
    path : Path
        Where it is.
    of : str
        Name of the results.
    is_in_use : bool
        Whether a run holds its lock.
    is_resumable : bool
        Whether the next ``fetch`` goes on from it.
    """

    path: Path
    of: str
    is_in_use: bool
    is_resumable: bool

    def remove(self) -> None:
        """Remove it, if it is not in use."""
        if self.is_in_use:
            return
        if self.path.is_dir() and not self.path.is_symlink():
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            with suppress(OSError):
                self.path.unlink()


def find_leftovers(folder: Path) -> Iterator[Leftover]:
    """Every hidden neighbour of results directly in a folder; if it is a cohort's, also what its cases left."""
    cohort = folder / COHORT
    is_running = _is_held(cohort / "lock")
    # whole new results before the earlier ones, so that they are what is put back
    for path in sorted(folder.iterdir(), key=lambda path: (_kind(path) != "ready", path.name)):
        match = _HIDDEN.fullmatch(path.name)
        if match is not None:
            in_use = is_running or _is_held(lock_path(folder / match["name"]))
            yield Leftover(path, match["name"], in_use, is_resumable=match["kind"] == "fetch")
    for path in sorted((cohort / "work").iterdir()) if (cohort / "work").is_dir() else ():
        yield Leftover(path, path.name, is_running, is_resumable=False)


def leftover_lines(folder: Path) -> list[str]:
    """A line about what killed runs left in a folder and how it is removed; none where there is nothing."""
    left = [one for one in find_leftovers(folder) if not one.is_in_use] if folder.is_dir() else []
    return [f"Left by killed runs: {len(left)} hidden; voxeldose clean {folder} removes them."] if left else []


def clean_folder(folder: Path, *, with_fetched: bool = False, dry_run: bool = False) -> list[tuple[Path, str]]:
    """Put whole results back whose replacement was cut off, and remove what else killed runs left in a folder.

    Parameters
    ----------
    folder : Path
        Where results lie.
    with_fetched : bool
        Also remove the part of a study that the next ``fetch`` would go on from.
    dry_run : bool
        Only say what would be done.

    Returns
    -------
    list of (Path, str)
        Each leftover, and what became of it.

    Raises
    ------
    InputError
        If there is no such folder.
    """
    if not folder.is_dir():
        msg = f"{folder}: there is no such folder."
        raise InputError(msg, code="file-missing")
    fates = []
    for leftover in find_leftovers(folder):
        out = folder / leftover.of
        if leftover.is_in_use:
            fate = "in use"
        elif leftover.is_resumable and not with_fetched:
            fate = "kept for the next fetch (--all removes it)"
        elif _kind(leftover.path) in ("ready", "earlier") and not out.exists():
            fate = f"would be put back as {out.name}" if dry_run else f"put back as {out.name}"
            if not dry_run:
                leftover.path.rename(out)
        else:
            fate = "would be removed" if dry_run else "removed"
            if not dry_run:
                leftover.remove()
        fates.append((leftover.path, fate))
    return fates


def mend(out: Path, marker: str) -> None:
    """Bring results back that a killed run was about to put in their place, and remove what killed runs left of them.

    To be called with the lock of ``out`` held. Without results at ``out``, whole new ones take the place, else the earlier ones
    come back. What another machine left is taken for abandoned after a day.
    """
    hidden = _hidden_of(out)
    if not out.exists():
        kinds = ("ready", "earlier")
        whole = [path for kind in kinds for path in hidden if _kind(path) == kind and (path / marker).exists()]
        if whole:
            whole[0].rename(out)
            hidden.remove(whole[0])
    elif not (out / marker).exists():
        hidden = [
            path for path in hidden if _kind(path) == "partial"
        ]  # another's folder took the place: these are kept
    for path in hidden:
        if _host(path) == socket.gethostname() or _age_s(path) > ABANDONED_AFTER_S:
            shutil.rmtree(path, ignore_errors=True)


def _hidden_of(out: Path) -> list[Path]:
    """Folders with hidden names of their own, of ``out``."""
    matches = ((path, _HIDDEN.fullmatch(path.name)) for path in out.parent.iterdir())
    return [path for path, match in matches if match and match["host"] and match["name"] == out.name and path.is_dir()]


def _kind(path: Path) -> str:
    """What a hidden name of its own says the folder is."""
    match = _HIDDEN.fullmatch(path.name)
    return match["kind"].partition("-")[0] if match else ""


def _host(path: Path) -> str | None:
    match = _HIDDEN.fullmatch(path.name)
    return match["host"] if match else None


def _age_s(path: Path) -> float:
    """Since the last change of anything in it."""
    times = [path.lstat().st_mtime]
    with suppress(OSError):
        times += [below.lstat().st_mtime for below in path.rglob("*")]
    return time.time() - max(times)


def _is_held(lock: Path) -> bool:
    """Whether a process holds a lock; a lock that is not there is not held, and nothing is made by asking."""
    if not lock.exists():
        return False
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except (Timeout, OSError, NotImplementedError):
        return True
    held.release()
    return False
