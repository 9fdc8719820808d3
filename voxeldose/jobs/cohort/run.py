"""The story of a cohort: list the cases, hand them out, keep what fails, sum up. Holds no more than what is at work."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import deque
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from voxeldose._version import __version__
from voxeldose.errors import InputError, VoxeldoseError
from voxeldose.jobs.cohort.plan import Source, write_plan
from voxeldose.jobs.cohort.store import MARKER, Store, read_plan, replacing
from voxeldose.jobs.cohort.workers import Died, Lost, in_a_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from voxeldose.jobs.cohort.entry import Entry
    from voxeldose.jobs.cohort.workers import Workers

__all__ = ["WRITING", "Counts", "Options", "Verdict", "look_through", "run_cohort"]

#: What is said when all cases have ended.
WRITING = "writing the tables"

#: Tables are written anew when this much time has passed, and no oftener than keeps it to a twentieth of the time.
TABLES_EVERY_S = 30.0


@dataclass(frozen=True)
class Options:
    """How a cohort is run.

    Parameters
    ----------
    resume : bool
        Go on with the cohort that lies in ``--out``.
    fail_fast : bool
        Stop at the first case that fails.
    report : bool
        Draw each case's own report.
    """

    resume: bool = False
    fail_fast: bool = False
    report: bool = True


@dataclass
class Counts:
    """Where a run stands.

    Parameters
    ----------
    total, done, kept, failed, running : int
        Cases: listed, assessed now, complete before, failed, at work.
    seconds : float
        Since the first case.
    stopped : str, optional
        Why the run ended early.
    news : str
        What has just happened, for a log.
    without_parquet : bool
        Only CSV was written.
    failed_codes : set of int
        Exit codes that failed cases would have had alone.
    """

    total: int = 0
    done: int = 0
    kept: int = 0
    failed: int = 0
    running: int = 0
    seconds: float = 0.0
    stopped: str | None = None
    news: str = ""
    without_parquet: bool = False
    failed_codes: frozenset[int] = frozenset()

    @property
    def open(self) -> int:
        """Cases without an end yet."""
        return self.total - self.done - self.kept - self.failed

    @property
    def per_hour(self) -> float | None:
        """Cases that end in an hour at this run's pace; those that were complete before do not count."""
        ended = self.done + self.failed
        return 3600 * ended / self.seconds if ended and self.seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """At that pace."""
        return 3600 * self.open / self.per_hour if self.per_hour else None


@dataclass(frozen=True)
class Verdict:
    """What would become of one case: ``run``, ``complete`` or ``refused``."""

    row: int
    name: str
    verdict: str
    said: str


def look_through(source: Source, out: Path | None, *, report: bool = True) -> Iterator[Verdict]:
    """What a cohort would run and what it would refuse, from its list, case files and folders; nothing is computed.

    Raises
    ------
    InputError
        If the list itself cannot be read.
    """
    import tempfile
    from pathlib import Path

    from voxeldose.io.config.case import named_inputs
    from voxeldose.jobs.cohort.entry import configured
    from voxeldose.jobs.cohort.task import is_trusted

    with tempfile.TemporaryDirectory() as folder:
        plan = Path(folder) / "plan.jsonl"
        write_plan(source, (out or Path(folder)).absolute(), plan)
        for entry in read_plan(plan):
            try:
                config = configured(entry)
            except VoxeldoseError as error:
                yield Verdict(entry.row, entry.name, "refused", str(error))
                continue
            missing = [path for path in named_inputs(config) if not Path(path).exists()]
            if missing:
                yield Verdict(entry.row, entry.name, "refused", f"there is no {missing[0]}")
            elif out is not None and is_trusted(config, Store(out.absolute()).case(entry.name), report=report):
                yield Verdict(
                    entry.row, entry.name, "complete", "its result is of this version, configuration and input"
                )
            else:
                yield Verdict(entry.row, entry.name, "run", entry.case_file or entry.study or entry.where)


def run_cohort(
    source: Source,
    out: Path,
    make_workers: Callable[[], Workers],
    options: Options | None = None,
    tell: Callable[[Counts], None] | None = None,
) -> Counts:
    """Assess every case of a source into ``out``, and write the tables.

    Parameters
    ----------
    source : Source
        The table or folder.
    out : path
        The cohort's folder.
    make_workers : callable
        Starts them; called when the list is known to be readable and ``out`` to be ours alone.
    options : Options, optional
        How to run.
    tell : callable, optional
        Called with the counts, about twice a second and when something happens.

    Returns
    -------
    Counts
        How it ended; a run that was stopped says why and can be resumed.

    Raises
    ------
    InputError
        If the source cannot be read, or ``out`` is not to be used.
    """
    options, store = options or Options(), Store(out.absolute())
    with store.locked():
        started = datetime.now(UTC).isoformat()
        try:
            store.check(resume=options.resume)
            counts = Counts(total=write_plan(source, store.out, store.plan))
            workers = make_workers()
            _write_marker(store, source, counts, started, None)
            store.prepare()
        except VoxeldoseError:
            store.withdraw()
            raise
        except OSError as error:
            store.withdraw()
            msg = f"{store.out}: cannot be written ({error.strerror or error}). Make room, or choose another --out."
            raise InputError(msg) from error
        driver = _Driver(store, options, counts, tell or (lambda _: None))
        try:
            try:
                driver.work_off(workers)
            except KeyboardInterrupt:
                counts.stopped = "interrupted"
            except Lost as lost:
                counts.stopped = str(lost)
            except OSError as error:
                counts.stopped = f"the folder of the cohort cannot be written ({error.strerror or error})"
            counts.running = 0
            driver.tell(WRITING)
            from voxeldose.jobs.cohort.tables import write_all

            counts.without_parquet = not in_a_process(write_all, str(store.out), source.identifiers)
            _write_marker(store, source, counts, started, datetime.now(UTC).isoformat())
        except (OSError, Lost) as error:
            said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            counts.stopped = counts.stopped or f"the tables could not be written ({said})"
        return counts


class _Driver:
    """Hands out cases and takes in outcomes."""

    def __init__(self, store: Store, options: Options, counts: Counts, tell: Callable[[Counts], None]) -> None:
        self._store, self._options, self._counts, self._tell = store, options, counts, tell
        self._run = uuid.uuid4().hex
        self._again: deque[dict[str, Any]] = deque()
        self._tables = _InterimTables(store)

    def tell(self, news: str = "") -> None:
        """Say where the run stands."""
        self._counts.news = news
        self._tell(self._counts)

    def work_off(self, workers: Workers) -> None:
        """Until every case has ended, or the run is to stop."""
        counts = self._counts
        entries = read_plan(self._store.plan)
        began = time.monotonic()
        try:
            more = True
            while more or self._again or counts.running:
                while counts.stopped is None and workers.room() > 0:
                    task = self._again.popleft() if self._again else self._next(entries)
                    if task is None:
                        more = False
                        break
                    workers.start(task)
                    counts.running += 1
                if counts.stopped is not None and not counts.running:
                    break
                for task, outcome in workers.finished(0.5):
                    counts.running -= 1
                    self._take(task, outcome)
                counts.seconds = time.monotonic() - began
                self._tables.write_if_due()
                self.tell()
        finally:
            workers.close()
            if workers.end_with_us:
                self._store.clear_work()
            self._tables.wait()

    def _next(self, entries: Iterator[Entry]) -> dict[str, Any] | None:
        entry = next(entries, None)
        if entry is None:
            return None
        task = {"entry": asdict(entry), "out": str(self._store.out), "run": self._run, "attempt": 1}
        return task | {"report": self._options.report, "version": __version__}

    def _take(self, task: dict[str, Any], outcome: dict[str, Any] | Died) -> None:
        counts, name = self._counts, task["entry"]["name"]
        if isinstance(outcome, Died):
            if outcome.again and task["attempt"] == 1:
                self._again.append({**task, "attempt": 2})
                self.tell(f"{name}: {outcome.message}; it is tried once more")
                return
            message = f"{outcome.message}, {task['attempt']} times" if outcome.again else outcome.message
            outcome = {"status": "failed", "exit_class": "killed", "exit_code": 1, "message": message}
        if "stop" in outcome:
            counts.stopped = counts.stopped or outcome["stop"]
            return
        if outcome["status"] == "failed":
            facts = {k: outcome.get(k) for k in ("exit_class", "exit_code", "message", "seconds")}
            self._store.write_failure(name, facts | {"attempts": task["attempt"]})
            counts.failed += 1
            counts.failed_codes |= {outcome["exit_code"]}
            if self._options.fail_fast:
                counts.stopped = counts.stopped or f"{name} failed, and --fail-fast was given"
            self.tell(f"{name}: failed ({outcome['exit_class']}): {outcome['message']}")
            return
        self._store.failure(name).unlink(missing_ok=True)
        if outcome["status"] == "kept":
            counts.kept += 1
        else:
            counts.done += 1
        self.tell(f"{name}: {outcome['status']}, {outcome['seconds']:.1f} s")


class _InterimTables:
    """Writes the tables now and then while cases are at work, in a process of their own."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._thread: threading.Thread | None = None
        self._next_at = time.monotonic() + TABLES_EVERY_S

    def write_if_due(self) -> None:
        """Start it; a fault here is found by the last writing."""
        if time.monotonic() < self._next_at or (self._thread is not None and self._thread.is_alive()):
            return
        self._next_at = float("inf")
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def _write(self) -> None:
        from voxeldose.jobs.cohort.tables import write_rows

        began = time.monotonic()
        try:
            in_a_process(write_rows, str(self._store.out))
        except (OSError, Lost):
            pass
        finally:
            took = time.monotonic() - began
            self._next_at = time.monotonic() + max(TABLES_EVERY_S, 20 * took)

    def wait(self) -> None:
        """Until none is being written."""
        if self._thread is not None:
            self._thread.join()


def _write_marker(store: Store, source: Source, counts: Counts, started: str, finished: str | None) -> None:
    """What ran, and how it ended: ``cohort.json``."""
    content = {
        "schema": "voxeldose/cohort/1",
        "version": __version__,
        "source": str(source.path.absolute()),
        "template": str(source.template.absolute()) if source.template is not None else None,
        "started_at": started,
        "finished_at": finished,
        "cases": counts.total,
        "done": counts.done + counts.kept,
        "failed": counts.failed,
        "open": counts.open,
        "stopped": counts.stopped,
    }
    with replacing(store.out / MARKER) as path:
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
