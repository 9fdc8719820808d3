"""Where a cohort stands, in lines for people."""

from __future__ import annotations

import contextlib
import shlex
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxeldose.jobs.cohort.run import preview_cohort

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from voxeldose.jobs.cohort.plan import Source
    from voxeldose.jobs.cohort.run import Counts

__all__ = [
    "CohortLog",
    "Conclusion",
    "conclusion",
    "is_logged",
    "outcome_line",
    "preview_lines",
    "standing_line",
    "stopping_by_signal",
]

#: Seconds between two lines of a log that say where the run stands.
LOG_EVERY_S = 30.0


def is_logged(counts: Counts) -> bool:
    """Whether the last news is worth a line of its own."""
    return counts.news.kind in ("failed", "retried")


class CohortLog:
    """Lines for a log: each failure, and now and then where the run stands."""

    def __init__(self) -> None:
        self._last_s = time.monotonic()

    def lines(self, counts: Counts) -> list[str]:
        """What is to be written now; often nothing."""
        found = [counts.news.sentence] if is_logged(counts) else []
        if time.monotonic() - self._last_s > LOG_EVERY_S or counts.news.kind == "writing":
            self._last_s = time.monotonic()
            found.append(standing_line(counts))
        return found


def preview_lines(source: Source, out: Path | None, *, report: bool) -> Iterator[str]:
    """What a run would do with each case, a line each, and at the end how many of each."""
    verdicts: Counter[str] = Counter()
    for one in preview_cohort(source, out, report=report):
        verdicts[one.verdict] += 1
        yield f"{one.row}\t{one.name}\t{one.verdict}\t{one.reason}"
    parts = [f"{verdicts['run']} would run", f"{verdicts['refused']} would be refused"]
    parts += [f"{verdicts['complete']} are complete"] if verdicts["complete"] else []
    yield "; ".join(parts) + "."


def standing_line(counts: Counts) -> str:
    """What is done, fails and runs, and how long the rest takes at this pace."""
    parts = [
        f"{counts.done + counts.kept} of {counts.total} done",
        f"{counts.failed} failed",
        f"{counts.running} running",
    ]
    if counts.kept:
        parts[0] += f" ({counts.kept} from before)"
    if counts.per_hour is not None:
        parts.append(f"{counts.per_hour:.0f} per hour")
    if counts.seconds_left is not None and counts.open:
        parts.append(_time_left(counts.seconds_left / 60))
    return ", ".join(parts)


def _time_left(minutes: float) -> str:
    if minutes > 90:
        return f"{minutes / 60:.1f} h left"
    return f"{minutes:.0f} min left" if minutes >= 1 else "under 1 min left"


def outcome_line(counts: Counts) -> str:
    """What came of the cases of a run that has ended."""
    parts = [f"{counts.done + counts.kept} of {counts.total} cases have results"]
    parts += [f"{counts.kept} of them from before"] if counts.kept else []
    parts += [f"{counts.failed} failed (failures.csv)"] if counts.failed else []
    parts += [f"{counts.open} not finished"] if counts.open else []
    return "; ".join(parts)


@dataclass(frozen=True)
class Conclusion:
    """The end of a run: its outcome, what else is to be told, and the exit code of a command."""

    outcome: str
    notes: tuple[str, ...]
    exit_code: int


def conclusion(counts: Counts, command: Sequence[str] = ()) -> Conclusion:
    """How a run ended; not 0 if it was stopped, or nothing came of any case.

    Parameters
    ----------
    counts : Counts
        At the end of the run.
    command : sequence of str
        The words of the command that ran it, to say how it goes on.
    """
    notes, code = [], 0
    if counts.without_parquet:
        notes.append("Only CSV was written, and no table of DVHs: Parquet needs pip install 'voxeldose[cohort]'.")
    if counts.stopped is not None:
        words = [w for w in command if w != "--resume"]
        is_known = words[:1] == ["cohort"]
        again = f"voxeldose {shlex.join(words)} --resume" if is_known else "the same command with --resume"
        notes.append(f"voxeldose: stopped: {counts.stopped}. To go on: {again}")
        code = 1
    elif counts.total and counts.failed == counts.total:
        notes.append("voxeldose: every case failed; failures.csv says why.")
        code = 3 if counts.failed_codes == {3} else 1
    return Conclusion(outcome_line(counts), tuple(notes), code)


@contextlib.contextmanager
def stopping_by_signal() -> Iterator[None]:
    """A request to end (SIGTERM, as batch systems send) stops as cleanly as Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt
