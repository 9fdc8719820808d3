"""Cohorts: what the command costs beside its cases, whether its two engines agree, what the driver holds, how it scales.

    python benchmarks/bench_cohort.py FOLDER [agree|efficiency|memory|scaling|estimate ...] [CASE.toml ...]

``agree``: 200 synthetic cases, 10 of them broken, by Dask and by plain processes; the tables must be identical.
``efficiency``: CPU seconds of the cohort's cases beside the same cases one by one in a warm process of this run.
``memory``: peak memory of the driver for 50, 500 and 5000 cases; each is computed.
``scaling``: the same cases by one worker and by two.
``estimate``: what 10,000 cases like those named, else like the demonstration's, need, and what limits them.

The estimate is arithmetic on what is measured here: N workers take 10,000 x seconds / N; storage must give bytes / seconds to
each worker, and each task is one message of a kilobyte or so to the scheduler, one to a worker and their answers, so that the
scheduler (a few thousand tasks a second at best) limits nothing before storage and processors do.
"""

from __future__ import annotations

import csv
import json
import os
import pickle
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from cohort_cases import make_case, make_cohort, read_table

#: Cases of the estimate.
MANY = 10_000

#: The driver, saying its own peak memory and the CPU seconds of all it started when it ends.
DRIVER = """
import resource, sys
from voxeldose.cli import main
try:
    main(sys.argv[1:])
finally:
    lines = open("/proc/self/status").read().splitlines()
    peak = next(int(l.split()[1]) / 1024 for l in lines if l.startswith("VmHWM"))
    own, below = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print("driver", peak, own.ru_utime + own.ru_stime, below.ru_utime + below.ru_stime)
"""


def cohort(
    table: Path, out: Path, *more: object, scheduler: str = "processes", report: bool = False
) -> dict[str, float]:
    """Run the command; its wall and CPU seconds, and the driver's peak memory in MB."""
    shutil.rmtree(out, ignore_errors=True)
    words = [
        "cohort",
        table,
        "--out",
        out,
        "--scheduler",
        scheduler,
        "--quiet",
        *more,
        *([] if report else ["--no-report"]),
    ]
    began = time.perf_counter()
    said = subprocess.run(  # noqa: S603 - this program
        [sys.executable, "-c", DRIVER, *(str(w) for w in words)], capture_output=True, text=True, check=True
    ).stdout
    _, peak, own, below = next(line for line in said.splitlines() if line.startswith("driver")).split()
    wall = time.perf_counter() - began
    return {"wall_s": wall, "peak_mb": float(peak), "driver_cpu_s": float(own), "workers_cpu_s": float(below)}


def task_seconds(out: Path) -> dict[str, float]:
    """CPU seconds of each case, as its task measured them."""
    return {p.parent.name: json.loads(p.read_text())["cpu_seconds"] for p in out.glob("cases/*/task.json")}


def agree(folder: Path) -> None:
    """Dask and plain processes on 200 cases."""
    table = make_cohort(folder / "agree", 200, broken=10)
    for how in ("processes", "local"):
        facts = cohort(table, folder / how, "--workers", 2, scheduler=how)
        print(f"{how}: " + ", ".join(f"{k} {v:.1f}" for k, v in facts.items()))  # noqa: T201
    same = {
        n: read_table(folder / "processes" / n) == read_table(folder / "local" / n)
        for n in ("cohort.csv", "failures.csv")
    }
    failed = len(read_table(folder / "local" / "failures.csv"))
    done = len(list((folder / "local").glob("cases/*/run.json")))
    print(f"200 cases: {done} with results, {failed} failures; identical tables: {same}")  # noqa: T201


def efficiency(folder: Path) -> None:
    """The cohort's cases beside the same ones in this process, both warm."""
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
    ):
        os.environ[name] = "1"
    from voxeldose.io.config.case import case_file_from, read_case_tables
    from voxeldose.jobs.run_case import run_case

    for count, report in ((24, False), (8, True)):
        table = make_cohort(folder / "efficiency", count, shape=(60, 110, 128))
        facts = cohort(table, folder / "e2", "--workers", 2, report=report)
        inside, alone = task_seconds(folder / "e2"), {}
        for n in range(-1, count):  # the first one warms up
            file = folder / "efficiency" / f"case-{max(n, 0):04d}.toml"
            start = time.process_time()
            run_case(case_file_from(read_case_tables(file), file.name), folder / "one", overwrite=True, report=report)
            alone[file.stem] = time.process_time() - start
        names = sorted(alone)[2:]  # without the first of each worker
        mean = sum(inside[n] for n in names) / len(names), sum(alone[n] for n in names) / len(names)
        whole = (facts["workers_cpu_s"] + facts["driver_cpu_s"]) / count
        print(  # noqa: T201
            f"{count} cases of 60 x 110 x 128 voxels, {'with' if report else 'without'} reports: {mean[0]:.2f} CPU s a case in the "
            f"cohort, {mean[1]:.2f} alone, ratio {mean[0] / mean[1]:.2f}; everything the command did, starting and tables "
            f"included: {whole:.2f} CPU s a case"
        )


def memory(folder: Path) -> None:
    """The driver's peak for ever more cases; one image, another label each."""
    (folder / "memory").mkdir(parents=True, exist_ok=True)
    make_case(folder / "memory", "case", 1, shape=(12, 14, 16))
    for count in (50, 500, 5000):
        table = folder / "memory" / f"{count}.csv"
        with table.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["case", "case.id", "dose.engine"])
            rows.writerows(["case.toml", f"case-{n:05d}", "local"] for n in range(count))
        facts = cohort(table, folder / "m", "--workers", 2)
        print(f"{count} cases: driver's peak {facts['peak_mb']:.1f} MB, {facts['wall_s']:.0f} s")  # noqa: T201


def scaling(folder: Path) -> None:
    """One worker and two; the machine's load decides how far it is true."""
    table = make_cohort(folder / "scaling", 24, shape=(60, 110, 128))
    walls = {n: cohort(table, folder / "s", "--workers", n)["wall_s"] for n in (1, 2)}
    print(  # noqa: T201
        f"24 cases: one worker {walls[1]:.1f} s, two {walls[2]:.1f} s, {walls[1] / walls[2]:.2f} times as fast; load "
        f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )


def estimate(folder: Path) -> None:
    """What 10,000 cases need that are like the case files named on the command line, else like the demonstration's."""
    cases = [str(Path(word).absolute()) for word in sys.argv[2:] if word.endswith(".toml")]
    if not cases:
        words = ["demo", "--out", folder / "demo", "--overwrite", "--quiet"]
        subprocess.run([sys.executable, "-m", "voxeldose", *words], check=True, capture_output=True)  # noqa: S603 - this program
        cases = sorted(str(p) for p in (folder / "demo").glob("*.toml"))
    table = folder / "estimate.csv"
    rows = [f"{case},case-{n}-{again}" for again in range(3) for n, case in enumerate(cases)]
    table.write_text("\n".join(["case,case.id", *rows]) + "\n")
    shutil.rmtree(folder / "d", ignore_errors=True)
    words = ["cohort", table, "--out", folder / "d", "--scheduler", "processes", "--workers", "1", "--quiet"]
    subprocess.run([sys.executable, "-m", "voxeldose", *words], check=True)  # noqa: S603 - this program
    runs = [json.loads(p.read_text()) for p in (folder / "d").glob("cases/*/run.json")]
    read_mb = 2 * sum(f["bytes"] for r in runs for f in r["inputs"]) / len(runs) / 1e6
    written_mb = sum(p.stat().st_size for p in (folder / "d" / "cases").rglob("*") if p.is_file()) / len(runs) / 1e6
    seconds = sorted(task_seconds(folder / "d").values())[len(runs) // 2]
    plan = (folder / "d" / ".cohort" / "plan.jsonl").read_text().splitlines()
    message = len(pickle.dumps({"entry": json.loads(plan[0]), "out": str(folder), "run": "0" * 32, "version": "0.0.0"}))
    hours = MANY * seconds / 3600
    print(  # noqa: T201
        f"{len(cases)} case file(s): a case reads {read_mb:.0f} MB (each file twice: to see it and to hash it), writes {written_mb:.1f} MB "
        f"and takes {seconds:.1f} CPU s with its report. {MANY:,} of them: {hours:.0f} CPU hours, {MANY * read_mb / 1e6:.2f} TB read, "
        f"{MANY * written_mb / 1e3:.0f} GB written, {4 * MANY} messages of about {message} B."
    )
    for workers in (2, 16, 64):
        print(  # noqa: T201
            f"  {workers} workers: {hours / workers:.1f} h if storage gives {workers * read_mb / seconds:.0f} MB/s; "
            f"{4 * workers / seconds:.0f} messages a second through the scheduler, which takes thousands"
        )


def main() -> None:
    """Print the figures."""
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")  # noqa: T201
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    parts = {f.__name__: f for f in (agree, efficiency, memory, scaling, estimate)}
    for name in [word for word in sys.argv[2:] if not word.endswith(".toml")] or parts:
        parts[name](folder)


if __name__ == "__main__":
    main()
