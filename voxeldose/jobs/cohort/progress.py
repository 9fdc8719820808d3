"""Where a cohort stands, in a line for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voxeldose.jobs.cohort.run import Counts

__all__ = ["outcome_line", "standing_line"]


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
