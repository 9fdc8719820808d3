"""The machine a benchmark runs on, and how time and memory are measured on it."""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import voxeldose

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["describe_machine", "in_process", "reset_peak", "resident_kib", "times", "told"]

_LIBRARIES = ("numpy", "scipy", "numba", "SimpleITK", "torch", "pymedphys")


def describe_machine() -> dict[str, Any]:
    """Processor, cores, memory, load and the versions of everything that makes a number here."""
    versions = {"python": platform.python_version(), "voxeldose": voxeldose.__version__}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    versions["plastimatch"] = "installed" if shutil.which("plastimatch") else "not installed"
    return {
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": _from_proc("cpuinfo", "model name") or platform.processor() or "unknown",
        "cores": os.cpu_count(),
        "memory_gib": round(int((_from_proc("meminfo", "MemTotal") or "0 kB").split()[0]) / 2**20, 1),
        "load": round(os.getloadavg()[0], 1),
        "versions": versions,
    }


def told(machine: Mapping[str, Any]) -> str:
    """The same as two lines of text."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['platform']}, "
        f"load {machine['load']}\n{versions}"
    )


def _from_proc(file: str, field: str) -> str | None:
    path = Path("/proc") / file
    if not path.exists():
        return None
    lines = path.read_text("utf-8").splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(field)), None)


def times(work: Mapping[str, Callable[[], object]], runs: int) -> dict[str, tuple[float, float]]:
    """Median CPU seconds (all threads) and wall seconds of each, in turn; a counted call follows one that is not."""
    cpu: dict[str, list[float]] = {who: [] for who in work}
    wall: dict[str, list[float]] = {who: [] for who in work}
    for _ in range(runs):
        for who, call in work.items():
            call()  # each finds the caches as it leaves them itself
            before, start = time.process_time(), time.perf_counter()
            call()
            cpu[who].append(time.process_time() - before)
            wall[who].append(time.perf_counter() - start)
    return {who: (statistics.median(cpu[who]), statistics.median(wall[who])) for who in work}


def reset_peak() -> None:
    """Let VmHWM begin anew (Linux)."""
    Path("/proc/self/clear_refs").write_text("5", "ascii")


def resident_kib(field: str) -> int:
    """A field of /proc/self/status, such as VmRSS (now) or VmHWM (the peak since :func:`reset_peak`)."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(field)))


def in_process(*arguments: str, cache: str | None = None) -> float:
    """The number that another Python process prints; it runs beside the room of benchmarks."""
    environment = os.environ | ({"NUMBA_CACHE_DIR": cache} if cache else {})
    done = subprocess.run(  # noqa: S603 - this Python with our own words
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        cwd=Path(__file__).parents[1],
    )
    return float(done.stdout)
