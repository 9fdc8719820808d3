"""A cohort from its list to its tables: list the cases, hand them out, keep failures, sum up.

No more is held in memory than the cases that are running.
"""

from __future__ import annotations

import tempfile
import threading
import time
import uuid
from collections import deque
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxeldose import __version__
from voxeldose.errors import InputError, VoxeldoseError
from voxeldose.io.config.case import named_inputs
from voxeldose.io.json_text import format_json
from voxeldose.io.results.new_folder import replacing
from voxeldose.jobs.cohort.entry import Entry, build_case_file
from voxeldose.jobs.cohort.plan import Source, write_plan
from voxeldose.jobs.cohort.store import MARKER, Store, read_plan
from voxeldose.jobs.cohort.tables import failure_message, write_all, write_rows
from voxeldose.jobs.cohort.workers import Died, Lost, in_a_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from voxeldose.jobs.cohort.workers import Workers

__all__ = ["Counts", "News", "Options", "Verdict", "preview_cohort", "run_cohort"]

#: Tables are written again after this many seconds, and at most 5 % of run time goes into them.
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


@dataclass(frozen=True)
class News:
    """What has just happened, for a log.

    Parameters
    ----------
    kind : str
        ``done``, ``kept``, ``failed``, ``retried`` (of one case), ``writing`` (the tables, when all cases have ended) or
        ``none``.
    sentence : str
        The same for people.
    """

    kind: str = "none"
    sentence: str = ""


@dataclass
class Counts:
    """Where a run stands.

    Parameters
    ----------
    total, done, kept, failed, running : int
        Cases: listed, assessed now, complete before, failed, running.
    seconds : float
        Since the first case.
    stopped : str, optional
        Why the run ended early.
    news : News
        What has just happened.
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
    news: News = field(default_factory=News)
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
    reason: str


def preview_cohort(source: Source, out: Path | None, *, report: bool = True) -> Iterator[Verdict]:
    """What a cohort would run and what it would refuse, from its list, case files and folders; nothing is computed.

    Raises
    ------
    InputError
        If the list itself cannot be read.
    """
    from voxeldose.jobs.cohort.task import is_trusted  # loads the engines, which the driver of a run does not need

    with tempfile.TemporaryDirectory() as folder:
        plan = Path(folder) / "plan.jsonl"
        write_plan(source, (out or Path(folder)).absolute(), plan)
        for entry in read_plan(plan):
            try:
                config = build_case_file(entry)
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
    report_progress: Callable[[Counts], None] | None = None,
) -> Counts:
    """Assess every case of a source into ``out``, and write the tables.

    Parameters
    ----------
    source : Source
        The table or folder.
    out : path
        The cohort's folder.
    make_workers : callable
        Starts them; called when the list is known to be readable and no other run uses ``out``.
    options : Options, optional
        How to run.
    report_progress : callable, optional
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
            raise InputError(msg, code="file-not-written") from error
        driver = _Driver(store, options, counts, report_progress or (lambda _: None), identifiers=source.identifiers)
        try:
            try:
                driver.run(workers)
            except KeyboardInterrupt:
                counts.stopped = "interrupted"
            except Lost as lost:
                counts.stopped = str(lost)
            except OSError as error:
                counts.stopped = f"the folder of the cohort cannot be written ({error.strerror or error})"
            counts.running = 0
            driver.report("writing", "writing the tables")
            counts.without_parquet = not in_a_process(write_all, str(store.out), source.identifiers)
            _write_marker(store, source, counts, started, datetime.now(UTC).isoformat())
        except (OSError, Lost) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            counts.stopped = counts.stopped or f"the tables could not be written ({reason})"
        return counts


class _Driver:
    """Hands out cases and records outcomes."""

    def __init__(
        self,
        store: Store,
        options: Options,
        counts: Counts,
        report_progress: Callable[[Counts], None],
        *,
        identifiers: bool,
    ) -> None:
        self._store, self._options, self._counts = store, options, counts
        self._report_progress, self._identifiers = report_progress, identifiers
        self._run = uuid.uuid4().hex
        self._again: deque[dict[str, Any]] = deque()
        self._tables = _InterimTables(store)

    def report(self, kind: str = "none", sentence: str = "") -> None:
        """Report where the run stands, and what has just happened."""
        self._counts.news = News(kind, sentence)
        self._report_progress(self._counts)

    def run(self, workers: Workers) -> None:
        """Hand out cases until every one has ended, or the run is to stop."""
        counts = self._counts
        entries = read_plan(self._store.plan)
        started = time.monotonic()
        try:
            more = True
            while more or self._again or counts.running:
                while counts.stopped is None and workers.free_slots() > 0:
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
                    self._record(task, outcome)
                counts.seconds = time.monotonic() - started
                self._tables.write_if_due()
                self.report()
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

    def _record(self, task: dict[str, Any], outcome: dict[str, Any] | Died) -> None:
        counts, name = self._counts, task["entry"]["name"]
        if isinstance(outcome, Died):
            if outcome.again and task["attempt"] == 1:
                self._again.append({**task, "attempt": 2})
                self.report("retried", f"{name}: {outcome.message}; it is tried once more")
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
            message = failure_message(Entry(**task["entry"]), outcome, identifiers=self._identifiers)
            self.report("failed", f"{name}: failed ({outcome['exit_class']}): {message}")
            return
        self._store.failure(name).unlink(missing_ok=True)
        if outcome["status"] == "kept":
            counts.kept += 1
        else:
            counts.done += 1
        self.report(outcome["status"], f"{name}: {outcome['status']}, {outcome['seconds']:.1f} s")


class _InterimTables:
    """Writes the tables now and then while cases are running, in a process of its own."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._thread: threading.Thread | None = None
        self._next_at = time.monotonic() + TABLES_EVERY_S

    def write_if_due(self) -> None:
        """Start writing; a fault here shows again when the tables are written last."""
        if time.monotonic() < self._next_at or (self._thread is not None and self._thread.is_alive()):
            return
        self._next_at = float("inf")
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def _write(self) -> None:
        started = time.monotonic()
        try:
            in_a_process(write_rows, str(self._store.out))
        except (OSError, Lost):
            pass
        finally:
            seconds = time.monotonic() - started
            self._next_at = time.monotonic() + max(TABLES_EVERY_S, 20 * seconds)

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
        path.write_text(format_json(content) + "\n", "utf-8")
