"""Plain processes that run tasks, one at a time each; one that dies takes no other with it.

Every worker is a process of its own on a pipe of its own, so that the task a killed one had is known, and its exit
code. (``concurrent.futures`` ends all its workers when one dies, and reports neither.) Nothing heavy is imported here: threads are
set in a worker before the libraries that read them.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Protocol

from voxeldose.dose.engines.threads import cores
from voxeldose.model.memory import memory_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

__all__ = [
    "Died",
    "Lost",
    "Processes",
    "Share",
    "Workers",
    "in_a_process",
    "run_in_dask_worker",
    "share_of",
    "thread_environment",
]

#: What the libraries under a case read, each once, when they are loaded.
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)

#: What is left to the system and the driver.
_FOR_WORKERS = 0.9


@dataclass(frozen=True)
class Died:
    """A worker ended in the middle of a task; ``again`` says whether the task may be given to another."""

    message: str
    again: bool = True


class Lost(Exception):  # noqa: N818 - an event, not a mistake
    """No worker is left: the scheduler is gone, or the workers cannot run this."""


class Workers(Protocol):
    """What the driver needs of workers; ``end_with_us`` says whether no task is running after ``close``."""

    end_with_us: bool

    def free_slots(self) -> int:
        """How many more tasks can be taken now."""

    def start(self, task: dict[str, Any]) -> None:
        """Take a task."""

    def finished(self, timeout_s: float) -> list[tuple[dict[str, Any], dict[str, Any] | Died]]:
        """Tasks that have ended since the last call, with what became of each; waits for the first one at most so long."""

    def close(self) -> None:
        """End, whatever is running."""


@dataclass(frozen=True)
class Share:
    """What one worker may use of the machine: threads, and memory in bytes where it can be limited."""

    workers: int
    threads: int
    memory_bytes: int | None


def share_of(workers: int | None, memory_gb: float | None) -> Share:
    """Divide this machine's processors and memory between workers; as many workers as processors without a number."""
    count = workers or cores()
    memory = int(memory_gb * 1e9) if memory_gb is not None else None
    if memory is None and (whole := memory_bytes()) is not None:
        memory = int(_FOR_WORKERS * whole / count)
    return Share(count, max(1, cores() // count), memory)


def thread_environment(threads: int) -> dict[str, str]:
    """The variables that keep every library under a case to so many threads."""
    return dict.fromkeys(_THREAD_VARIABLES, str(threads))


@dataclass(eq=False)
class _Worker:
    process: BaseProcess
    pipe: Connection
    task: dict[str, Any] | None = None


class Processes:
    """So many processes on this machine."""

    end_with_us = True

    def __init__(self, share: Share) -> None:
        self._share = share
        self._workers: list[_Worker] = []

    def free_slots(self) -> int:
        """How many more tasks can be taken now."""
        return self._share.workers - sum(w.task is not None for w in self._workers)

    def start(self, task: dict[str, Any]) -> None:
        """Give a task to a worker that has none."""
        worker = next((w for w in self._workers if w.task is None and w.process.is_alive()), None)
        if worker is None:
            self._workers = [w for w in self._workers if w.task is not None]
            worker = self._spawn()
        worker.task = task
        try:
            worker.pipe.send(task)
        except OSError:  # it has just died; ``finished`` will find that
            return

    def finished(self, timeout_s: float) -> list[tuple[dict[str, Any], dict[str, Any] | Died]]:
        """Outcomes, and deaths with their exit code."""
        ended: list[tuple[dict[str, Any], dict[str, Any] | Died]] = []
        busy = {w.pipe: w for w in self._workers if w.task is not None}
        for pipe in wait(list(busy), timeout_s):
            worker = busy[pipe]  # type: ignore[index]  # wait gives back the pipes it was given
            task = worker.task
            assert task is not None  # noqa: S101 - it is busy
            try:
                outcome: dict[str, Any] | Died = worker.pipe.recv()
            except (EOFError, OSError):
                outcome = Died(
                    f"the worker process ended in the middle of it ({_describe_exit(_exit_code(worker.process))})"
                )
                self._workers.remove(worker)
                worker.pipe.close()
            worker.task = None
            ended.append((task, outcome))
        return ended

    def close(self) -> None:
        """Let idle workers go, end the others."""
        for worker in self._workers:
            worker.pipe.close()
            if worker.task is not None:
                worker.process.kill()
        for worker in self._workers:
            worker.process.join()
        self._workers = []

    def _spawn(self) -> _Worker:
        context = get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=_serve, args=(there, self._share), name="voxeldose-worker", daemon=True)
        process.start()
        there.close()
        worker = _Worker(process, here)
        self._workers.append(worker)
        return worker


def in_a_process(work: Callable[..., Any], *arguments: Any) -> Any:
    """What ``work`` returns, run in a process of its own, whose libraries and memory go with it.

    Raises
    ------
    Lost
        If that process is killed.
    """
    with ProcessPoolExecutor(1, get_context("spawn"), _prepare, (Share(1, 1, None),)) as pool:
        try:
            return pool.submit(work, *arguments).result()
        except BrokenProcessPool as error:
            msg = "the process that writes the tables was killed"
            raise Lost(msg) from error


def run_in_dask_worker(task: dict[str, Any]) -> dict[str, Any]:
    """One case in a worker of Dask, with as many threads as that worker has unless the environment says otherwise."""
    from distributed import get_worker

    for name, threads in thread_environment(get_worker().state.nthreads).items():
        os.environ.setdefault(name, threads)
    from voxeldose.jobs.cohort.task import run_task

    return run_task(task)


def _serve(pipe: Connection, share: Share) -> None:
    """A worker: tasks in, outcomes out, until the pipe ends."""
    _prepare(share)
    from voxeldose.jobs.cohort.task import run_task

    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        pipe.send(run_task(task))


def _prepare(share: Share) -> None:
    """Leave Ctrl-C to the driver, keep to this worker's share of threads and memory, and end with the driver."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(thread_environment(share.threads))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if share.memory_bytes is not None:
        try:
            import resource

            resource.setrlimit(resource.RLIMIT_DATA, (share.memory_bytes, share.memory_bytes))
        except (ImportError, OSError, ValueError):
            return  # the system cannot limit it


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _exit_code(process: BaseProcess) -> int | None:
    """The exit code of a process that ended; another thread that asks at the same moment may hold it for an instant."""
    until = time.monotonic() + 2
    process.join()
    while process.exitcode is None and time.monotonic() < until:
        time.sleep(0.01)
    return process.exitcode


def _describe_exit(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        return f"{name}; often the system's answer to too little memory" if name == "SIGKILL" else name
    return f"exit code {exitcode}"
