"""Where the cases of a cohort run: plain processes, Dask on this machine, or a cluster of the user's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxeldose.jobs.cohort.workers import Processes, share_of

if TYPE_CHECKING:
    from voxeldose.jobs.cohort.workers import Workers

__all__ = ["ON_THIS_MACHINE", "OpenWorkers", "open_workers"]

#: Names of schedulers that are none of the user's own.
ON_THIS_MACHINE = ("local", "processes")


@dataclass(frozen=True)
class OpenWorkers:
    """Workers that wait for cases, and what they are, for people."""

    workers: Workers
    description: str


def open_workers(
    scheduler: str | None = None, workers: int | None = None, memory_gb: float | None = None
) -> OpenWorkers:
    """The workers asked for.

    Parameters
    ----------
    scheduler : str, optional
        Address of a Dask scheduler or its file, ``local`` for Dask on this machine, with ports that take certificates of this run
        alone; ``processes``, which open no port, without it.
    workers, memory_gb : optional
        On this machine: how many, and the most that each may use.
    """
    where = scheduler or "processes"
    share = share_of(workers, memory_gb)
    each = f"{share.workers} workers of {share.threads} thread{'s' * (share.threads > 1)}"
    if share.memory_bytes is not None:
        each += f" and {share.memory_bytes / 1e9:.1f} GB"
    if where == "processes":
        return OpenWorkers(Processes(share), f"{each}, plain processes.")
    from voxeldose.jobs.cohort.dask_workers import DaskWorkers

    dask = DaskWorkers(share, None if where == "local" else where)
    return OpenWorkers(dask, f"{each}, Dask." if where == "local" else f"Dask at {where}; dashboard {dask.dashboard}.")
