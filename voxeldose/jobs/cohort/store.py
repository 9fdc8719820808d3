"""Where a cohort's files lie, and how they appear whole: the folder, its lock, and what is kept of a failure.

Results of a case are made in a folder of their own under ``.cohort/work`` and take their name by one ``rename``; tables are
written next to their name and replace the earlier ones. Whatever is killed leaves whole files or none.
"""

from __future__ import annotations

import shutil
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voxeldose.errors import InputError
from voxeldose.io.json_text import format_json, parse_json, read_json
from voxeldose.io.results.content import read_content
from voxeldose.io.results.leftovers import COHORT
from voxeldose.io.results.new_folder import replacing, take_name
from voxeldose.jobs.cohort.entry import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["MARKER", "Store", "facts_of", "read_if_there", "read_plan"]

MARKER = "cohort.json"


@dataclass(frozen=True)
class Store:
    """The folder of a cohort.

    Parameters
    ----------
    out : path
        Absolute; the same for the driver and every worker.
    """

    out: Path

    @property
    def hidden(self) -> Path:
        """What the run needs and nobody reads."""
        return self.out / COHORT

    @property
    def plan(self) -> Path:
        """One JSON line per case."""
        return self.hidden / "plan.jsonl"

    @property
    def failures(self) -> Path:
        """One JSON file per case without a result."""
        return self.hidden / "failures"

    def case(self, name: str) -> Path:
        """The results folder of a case."""
        return self.out / "cases" / name

    def failure(self, name: str) -> Path:
        """What is known of a case that failed."""
        return self.failures / f"{name}.json"

    def check(self, *, resume: bool) -> None:
        """Check that a cohort may be written here; called by whoever holds the lock.

        Raises
        ------
        InputError
            If there are results and nobody asked to resume, or the folder is not a cohort's.
        """
        content = [p for p in self.out.iterdir() if p.name != COHORT]
        if content and not (self.out / MARKER).is_file():
            msg = f"{self.out}: is not empty and no cohort (no {MARKER} in it); choose another --out."
            raise InputError(msg, code="folder-not-cohort")
        if content and not resume:
            msg = f"{self.out}: holds a cohort already; add --resume to go on with it, or choose another --out."
            raise InputError(msg, code="folder-taken")

    def prepare(self) -> None:
        """Make the folders of the cases; the marker stands already, so that a run killed here can be resumed."""
        self.clear_work()
        for folder in (self.out / "cases", self.failures):
            folder.mkdir(parents=True, exist_ok=True)

    def withdraw(self) -> None:
        """Leave no trace where no cohort came about."""
        if not (self.out / MARKER).exists():
            shutil.rmtree(self.hidden, ignore_errors=True)
            with suppress(OSError):
                self.out.rmdir()

    def clear_work(self) -> None:
        """Remove what was started and not finished."""
        shutil.rmtree(self.hidden / "work", ignore_errors=True)
        (self.hidden / "work").mkdir(exist_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else runs this cohort; the lock goes with the process, however that ends.

        Raises
        ------
        InputError
            If another run holds it, or the folder cannot be made.
        """
        from filelock import FileLock, Timeout

        try:
            self.hidden.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.hidden / "lock")
            lock.acquire(timeout=0)
        except Timeout:
            msg = f"{self.out}: another run of this cohort is running; wait for it, or choose another --out."
            raise InputError(msg, code="folder-locked") from None
        except OSError as error:
            msg = f"{self.out}: cannot be written ({error.strerror or error}). Choose another --out."
            raise InputError(msg, code="file-not-written") from error
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def staged(self, name: str) -> Iterator[Path]:
        """A path in a folder of its own; what lies there at the end becomes the results folder of the case."""
        work = self.hidden / "work" / f"{name[:40]}-{uuid.uuid4().hex[:12]}"
        work.mkdir()
        try:
            yield work / "results"
            final = self.case(name)
            take_name(work / "results", final, work / "earlier")
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def write_failure(self, name: str, content: dict[str, Any]) -> None:
        """Keep what is known of a failure, whole or not at all."""
        with replacing(self.failure(name)) as path:
            path.write_text(format_json(content, indent=None) + "\n", "utf-8")


def read_plan(plan: Path) -> Iterator[Entry]:
    """The cases of a list, one by one."""
    with plan.open(encoding="utf-8") as file:
        for line in file:
            yield Entry(**parse_json(line))


def facts_of(store: Store, entry: Entry) -> dict[str, Any] | None:
    """``assessment``, ``run`` and ``task`` of a case with a result, ``failure`` of one without; ``None`` while it is open."""
    failure = read_if_there(store.failure(entry.name))
    if failure is not None:
        return {"failure": failure}
    folder = store.case(entry.name)
    if not (folder / "assessment.json").is_file():
        return None
    found = {key: read_if_there(folder / f"{key}.json") for key in ("run", "task")}
    return {"assessment": read_content(folder), **found} if all(found.values()) else None


def read_if_there(path: Path) -> dict[str, Any] | None:
    """Content of a JSON file; ``None`` where it is not there or cannot be read."""
    try:
        content: dict[str, Any] = read_json(path)
    except FileNotFoundError:
        return None
    return content
