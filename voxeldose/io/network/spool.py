"""Instances on their way in: each is a whole file or none, and what came before a break is still there after it."""

from __future__ import annotations

import hashlib
import os
from threading import Lock
from typing import TYPE_CHECKING

from voxeldose.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from voxeldose.io.network.archive import RemoteInstance

__all__ = ["Spool", "sync_folder"]

_PARTIAL = ".partial"


class Spool:
    """The instances of one series that are wanted, and a folder for those that have come.

    A file is hidden, so that nobody takes it for part of a whole series; its name is a hash of its UID, so that an instance
    that comes twice is one file.

    Parameters
    ----------
    folder : Path
        Made if it is not there; files of an earlier try are kept.
    wanted : sequence of RemoteInstance
        Anything else is turned away.
    report : callable
        Called with the number of instances that are there, after each.
    """

    def __init__(self, folder: Path, wanted: Sequence[RemoteInstance], report: Callable[[int], None]) -> None:
        self.folder = folder
        self.wanted = {instance.uid: instance for instance in wanted}
        self.report = report
        self.failure: OSError | None = None
        self._lock = Lock()
        folder.mkdir(parents=True, exist_ok=True)
        for cut_off in folder.glob(f".*{_PARTIAL}"):
            cut_off.unlink()
        self._present = {uid for uid in self.wanted if self._path(uid).is_file()}

    def _path(self, uid: str) -> Path:
        return self.folder / f".{hashlib.sha256(uid.encode()).hexdigest()[:16]}.dcm"

    @property
    def count(self) -> int:
        """How many of the wanted instances are there."""
        return len(self._present)

    @property
    def missing(self) -> list[RemoteInstance]:
        """Those that are not there yet, in the archive's order."""
        return [instance for uid, instance in self.wanted.items() if uid not in self._present]

    def write(self, uid: str, content: Iterable[bytes]) -> bool:
        """Keep an instance; true once it is on the disk, false if it is not wanted.

        Raises
        ------
        OSError
            If it cannot be written; kept as ``failure`` as well, since a library may stand between here and the caller.
        """
        if uid not in self.wanted:
            return False
        final = self._path(uid)
        partial = final.with_name(final.name + _PARTIAL)
        try:
            with self._lock:  # an archive may send over several connections
                with partial.open("wb") as file:
                    file.writelines(content)
                    file.flush()
                    os.fsync(file.fileno())
                partial.replace(final)  # a name that a power cut takes back is only fetched again
        except OSError as error:
            self.failure = error
            raise
        self._present.add(uid)
        self.report(self.count)
        return True

    def require_written(self) -> None:
        """Refuse if something that came could not be written.

        Raises
        ------
        InputError
            With what the disk said.
        """
        if self.failure is not None:
            msg = f"{self.folder.parent}: an instance could not be written ({self.failure.strerror}). Make room, and run the same command again; it goes on from here."
            raise InputError(msg, code="output-not-writable", side="here") from self.failure

    def release(self, target: Path) -> int:
        """Move the wanted files to a new folder, under names that are not hidden; returns their size in bytes."""
        target.mkdir()
        size = 0
        for uid in self.wanted:
            path = self._path(uid)
            size += path.stat().st_size
            path.rename(target / path.name.removeprefix("."))
        sync_folder(target)
        return size


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk, where the system can (Windows cannot)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
