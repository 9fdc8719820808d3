"""Workers of Dask distributed: a cluster of this machine, or one of the user's by its scheduler's address.

Only small tables travel. A cluster of this machine runs one case per worker process, the others in a queue; on the user's
cluster the driver keeps two cases per worker in flight.
"""

from __future__ import annotations

import logging
import queue
import signal
import threading
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxeldose.errors import InputError
from voxeldose.jobs.cohort.plan import import_extra
from voxeldose.jobs.cohort.workers import Died, Lost, run_in_dask_worker, thread_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voxeldose.jobs.cohort.workers import Share

__all__ = ["DaskWorkers"]

#: After so long without a word the scheduler is taken to be gone.
PATIENCE_S = 15.0
#: So long a scheduler, and the file that it writes, are waited for.
CONNECT_S = 10.0


class DaskWorkers:
    """Workers behind a Dask scheduler.

    Parameters
    ----------
    share : Share
        Workers, threads and memory of a cluster on this machine; the user's own cluster has its own.
    address : str, optional
        Of a scheduler (``tcp://host:8786``), or a scheduler file (``….json``); without it a cluster of this machine.

    Raises
    ------
    InputError
        If Dask is not installed, or no scheduler answers.
    """

    def __init__(self, share: Share, address: str | None = None) -> None:
        distributed = import_extra("distributed", "for a cluster")
        if address is None:
            import_extra(
                "cryptography", "for a cluster on this machine, whose ports take certificates of this run alone"
            )
        import dask

        _keep_quiet()
        self._killed = distributed.scheduler.KilledWorker
        self._ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._tasks: dict[Any, dict[str, Any]] = {}
        self.end_with_us = address is None
        self._slots, self._asked_at, self._heard_at = share.workers, 0.0, time.monotonic()
        self._cluster = None
        if address is None:
            rules = {
                "distributed.scheduler.allowed-failures": 0,
                "distributed.scheduler.worker-saturation": 1.0,
                # pages would ask nobody for a certificate
                "distributed.scheduler.http.routes": [],
                "distributed.worker.http.routes": [],
            }
            security = distributed.Security.temporary()
            with dask.config.set(rules), _ignore_ctrl_c():
                self._cluster = distributed.LocalCluster(
                    n_workers=share.workers,
                    threads_per_worker=1,
                    protocol="tls://",
                    security=security,
                    host="127.0.0.1",
                    dashboard_address=None,
                    memory_limit=share.memory_bytes or "auto",
                    env=thread_environment(share.threads),
                    silence_logs=50,
                )
                self._client = distributed.Client(self._cluster, security=security)
                self._cluster.scheduler.http_server.stop()
        else:
            is_file = address.endswith(".json")
            how = {"scheduler_file": address} if is_file else {"address": address}
            try:
                if is_file:
                    _wait_for_file(Path(address))
                self._client = distributed.Client(**how, timeout=CONNECT_S)
            except (OSError, TimeoutError, ValueError) as error:
                msg = f"--scheduler {address}: no Dask scheduler answers there ({error}). Start one, or leave it out."
                raise InputError(msg, code="scheduler-missing") from error

    @property
    def dashboard(self) -> str | None:
        """Where a browser shows the running cluster; without bokeh next to the scheduler, little of it."""
        link: str | None = self._client.dashboard_link
        return link

    def free_slots(self) -> int:
        """How many more tasks can be taken now."""
        if not self.end_with_us and time.monotonic() - self._asked_at > 5:
            self._asked_at = time.monotonic()
            try:
                self._slots = max(1, 2 * len(self._client.nthreads()))
            except (OSError, TimeoutError):
                self._slots = 0
        return self._slots - len(self._tasks)

    def start(self, task: dict[str, Any]) -> None:
        """Hand a task to the scheduler."""
        try:
            future = self._client.submit(run_in_dask_worker, task, pure=False, key=f"voxeldose-{uuid.uuid4().hex}")
        except Exception as error:
            msg = f"the scheduler takes no more cases ({error})"
            raise Lost(msg) from error
        self._tasks[future] = task
        future.add_done_callback(self._ended.put)

    def finished(self, timeout_s: float) -> list[tuple[dict[str, Any], dict[str, Any] | Died]]:
        """Outcomes, and cases whose worker died.

        Raises
        ------
        Lost
            If the scheduler is gone, or the workers cannot run a task at all.
        """
        ended: list[tuple[dict[str, Any], dict[str, Any] | Died]] = []
        try:
            future = self._ended.get(timeout=timeout_s)
        except queue.Empty:
            if self._client.status == "running":
                self._heard_at = time.monotonic()
            elif time.monotonic() - self._heard_at > PATIENCE_S or self._client.status == "closed":
                raise Lost(_GONE) from None
            return ended
        while future is not None:
            task = self._tasks.pop(future)
            ended.append((task, self._outcome(future)))
            future.release()
            future = None if self._ended.empty() else self._ended.get()
        self._heard_at = time.monotonic()
        return ended

    def _outcome(self, future: Any) -> dict[str, Any] | Died:
        if future.status == "finished":
            try:
                outcome: dict[str, Any] = future.result(timeout=60)
            except Exception as error:  # the worker that holds it is gone
                raise Lost(_GONE) from error
            return outcome
        if future.status == "error":
            fault = future.exception(timeout=60)
            if isinstance(fault, self._killed):
                message = "the worker process ended in the middle of it, killed or out of memory"
                return Died(message, again=self.end_with_us)
            msg = f"the workers cannot run cases ({type(fault).__name__}: {fault}); they need this voxeldose installed"
            raise Lost(msg)
        raise Lost(_GONE)

    def close(self) -> None:
        """End the cluster of this machine with all it does; on another, cancel what waits."""
        closing = threading.Thread(target=self._close, daemon=True)
        closing.start()
        closing.join(20)

    def _close(self) -> None:
        if self._client.status == "running" and self._tasks:
            self._client.cancel(list(self._tasks), force=True)
        self._client.close(timeout=2)
        if self._cluster is not None:
            self._cluster.close(timeout=5)


def _wait_for_file(file: Path) -> None:
    """Wait for the file of a scheduler that is being started; Dask itself would wait for ever."""
    until = time.monotonic() + CONNECT_S
    while not file.exists():
        if time.monotonic() > until:
            msg = "there is no such file"
            raise FileNotFoundError(msg)
        time.sleep(0.05)


def _keep_quiet() -> None:
    """Silence Dask's log: the driver reports what matters, the rest is tracebacks of connections that end."""
    for name in list(logging.Logger.manager.loggerDict):
        if name.partition(".")[0] in ("distributed", "tornado", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL)


_GONE = "the Dask scheduler is gone"


@contextmanager
def _ignore_ctrl_c() -> Iterator[None]:
    """Processes started meanwhile leave Ctrl-C to the driver."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        if before is not None:  # None: it was set outside Python
            signal.signal(signal.SIGINT, before)
