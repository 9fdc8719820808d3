"""One case in a worker: use the result that is there if it can be trusted, else assess as ``voxeldose assess`` does.

A task and its outcome are small tables of text and numbers: images and results stay in files.
"""

from __future__ import annotations

import errno
import threading
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxeldose import __version__
from voxeldose.dose.activity import image_nuclide
from voxeldose.errors import VoxeldoseError
from voxeldose.io.config.case import input_files
from voxeldose.io.json_text import format_json, read_json
from voxeldose.io.results.manifest import sha256
from voxeldose.jobs.cohort.entry import Entry, build_case_file
from voxeldose.jobs.cohort.store import Store
from voxeldose.jobs.run_case import run_case

if TYPE_CHECKING:
    from voxeldose.io.config.case import CaseFile

__all__ = ["is_trusted", "run_task"]

_FULL = (errno.ENOSPC, errno.EDQUOT)

#: A worker of someone's cluster may have several threads; cases take turns, or their memory would add up.
_TURN = threading.Lock()


def run_task(task: dict[str, Any]) -> dict[str, Any]:
    """Assess one case, or find its result complete.

    Parameters
    ----------
    task : dict
        ``entry`` (fields of an :class:`Entry`), ``out``, ``run`` (a word for this run), ``report``, ``version``.

    Returns
    -------
    dict
        ``status`` (``done``, ``kept`` or ``failed``), ``seconds``; of a failure ``exit_class``, ``exit_code`` and ``message``; ``stop``
        says why no other case would fare better.
    """
    with _TURN, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what matters is in the results; libraries may quote headers
        started = time.perf_counter()
        try:
            outcome = _attempt(task)
        except VoxeldoseError as error:
            outcome = _failure("refused", 3, str(error)) | _stop_if_full(error)
        except MemoryError:
            outcome = _failure("out of memory", 1, "more memory is needed than a worker may have; use fewer --workers")
        except Exception as error:  # noqa: BLE001 - a fault in one case is a row, not the end
            outcome = _failure("fault", 1, f"{type(error).__name__}: {error}") | _stop_if_full(error)
        outcome["seconds"] = round(time.perf_counter() - started, 3)
        return outcome


def is_trusted(config: CaseFile, folder: Path, *, report: bool = True) -> bool:
    """Whether a results folder is what this version would make of this case: version, configuration, every input and output."""
    try:
        manifest = read_json(folder / "run.json")
        read_json(folder / "task.json")
        if manifest["version"] != __version__ or manifest["case"] != config.model_dump(mode="json"):
            return False
        inputs = {entry["path"]: entry for entry in manifest["inputs"]}
        if set(inputs) != {str(p) for p in input_files(config)} or (
            report and "report.html" not in manifest["outputs"]
        ):
            return False
        if any(Path(path).stat().st_size != entry["bytes"] for path, entry in inputs.items()):
            return False
        whole = [(Path(path), entry["sha256"]) for path, entry in inputs.items()]
        whole += [(folder / name, recorded) for name, recorded in manifest["outputs"].items()]
        return all(sha256(path) == recorded for path, recorded in whole)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _attempt(task: dict[str, Any]) -> dict[str, Any]:
    entry, store = Entry(**task["entry"]), Store(Path(task["out"]))
    if task["version"] != __version__:
        reason = f"a worker has voxeldose {__version__}, the cohort is run by {task['version']}"
        return _failure("fault", 1, reason) | {"stop": f"{reason}; install the same everywhere"}
    if not store.plan.is_file():
        reason = f"a worker does not see {store.out}"
        return _failure("fault", 1, reason) | {
            "stop": f"{reason}; --out and the images must lie where every worker sees them"
        }
    config = build_case_file(entry)
    folder = store.case(entry.name)
    if is_trusted(config, folder, report=task["report"]):
        facts = read_json(folder / "task.json")
        return {"status": "done" if facts["run"] == task["run"] else "kept"}
    started, cpu = time.perf_counter(), time.process_time()
    _forget_peak_memory()
    with store.staged(entry.name) as staged:
        result = run_case(config, staged, report=task["report"])
        facts = {
            "schema": "voxeldose/task/1",
            "run": task["run"],
            "seconds": round(time.perf_counter() - started, 3),
            "cpu_seconds": round(time.process_time() - cpu, 3),
            "peak_memory_mb": _peak_memory_mb(),
            "image_nuclide": image_nuclide(result.case),
        }
        (staged / "task.json").write_text(format_json(facts) + "\n", "utf-8")
    return {"status": "done"}


def _failure(kind: str, code: int, message: str) -> dict[str, Any]:
    return {"status": "failed", "exit_class": kind, "exit_code": code, "message": " ".join(message.split())}


def _stop_if_full(error: BaseException | None) -> dict[str, str]:
    """A full disk is no fault of the case: the run stops, and the case is left for the next."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return {"stop": f"the disk of --out is full ({error.strerror})"}
        error = error.__cause__ or error.__context__
    return {}


def _forget_peak_memory() -> None:
    """Reset the peak (Linux; see proc_pid_clear_refs(5)); elsewhere it is that of the worker so far."""
    try:
        Path("/proc/self/clear_refs").write_text("5", "ascii")
    except OSError:
        return


def _peak_memory_mb() -> float | None:
    try:
        lines = Path("/proc/self/status").read_text("ascii", "replace").splitlines()
        return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024, 1)
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:
        return None
    import sys

    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024), 1)
