"""Synthetic cases for cohorts: small grids varied by seed, some of them broken; a table that lists them; running them."""

from __future__ import annotations

import csv
import subprocess
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
from small_study import run as run_command

from voxeldose import __version__
from voxeldose.io.nifti import write_labels, write_nifti
from voxeldose.jobs.cohort.entry import Entry
from voxeldose.jobs.cohort.plan import Source, write_plan
from voxeldose.jobs.cohort.store import Store
from voxeldose.model.grid import Grid
from voxeldose.model.volume import Volume

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (14, 18, 22)
#: Cases of the cohort that most tests share, and how many of them are broken.
COUNT, BROKEN = 12, 3

CASE = """
[case]
id = "{name}"
[activity]
path = "{name}-pet.nii.gz"
quantity = "bq_per_ml"
measured_at = 2024-05-03T06:15:00Z
[[rois]]
path = "{name}-labels.nii.gz"
labels = {{ 1 = {{ name = "liver", role = "liver" }}, 2 = {{ name = "lesion_1", role = "tumor" }}, 3 = {{ name = "lesion_2", role = "tumor" }} }}
[administration]
device = "glass"
administered_mbq = {mbq}
at = 2024-05-02T10:15:00Z
lung_shunt_fraction = 0.04
"""

#: How a broken case is broken.
FAULTS = ("no image", "no such key", "shunt in percent", "not TOML", "no image in the file")


def make_case(
    folder: Path, name: str, seed: int, *, shape: tuple[int, int, int] = SHAPE, fault: str | None = None
) -> Path:
    """One case file with its images; every seed another patient."""
    rng = np.random.default_rng(seed)
    grid = Grid.from_axes(shape, tuple(rng.uniform(2.5, 4.5, 3)), tuple(rng.uniform(-60, 0, 3)))
    labels = np.zeros(shape, np.uint8)
    nk, nj, ni = shape
    labels[2 : nk - 2, 3 : nj - 3, 3 : ni - 3] = 1
    k, j, i = (int(rng.integers(4, n // 2 - 1)) for n in shape)
    labels[k : k + 3, j : j + 4, i : i + 4] = 2
    labels[nk - 5 : nk - 3, nj - 6 : nj - 4, ni - 7 : ni - 4] = 3
    tumor = float(rng.uniform(3, 9))
    values = np.where(labels >= 2, tumor * 1e5, np.where(labels == 1, 1e5, 0)) * rng.gamma(8, 1 / 8, shape)
    write_nifti(Volume(values.astype(np.float32), grid), folder / f"{name}-pet.nii.gz")
    write_labels(labels, grid, folder / f"{name}-labels.nii.gz")
    text = CASE.format(name=name, mbq=round(float(rng.uniform(40, 90)), 3))
    if fault == "no image":
        (folder / f"{name}-pet.nii.gz").unlink()
    elif fault == "no such key":
        text = text.replace("administered_mbq", "administerd_mbq")
    elif fault == "shunt in percent":
        text = text.replace("0.04", "4.0")
    elif fault == "not TOML":
        text = text.replace("[administration]", "[administration")
    elif fault == "no image in the file":
        (folder / f"{name}-pet.nii.gz").write_bytes(b"not an image" * 40)
    file = folder / f"{name}.toml"
    file.write_text(text)
    return file


def make_cohort(
    folder: Path, count: int, *, broken: int = 0, shape: tuple[int, int, int] = SHAPE, prefix: str = "case"
) -> Path:
    """A table of so many cases, the broken ones spread evenly among them."""
    folder.mkdir(parents=True, exist_ok=True)
    every = max(1, count // broken) if broken else count + 1
    table = folder / "cases.csv"
    with table.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["case"])
        for n in range(count):
            is_broken = broken > 0 and n % every == every // 2 and n // every < broken
            fault = FAULTS[n // every % len(FAULTS)] if is_broken else None
            rows.writerow([make_case(folder, f"{prefix}-{n:04d}", n, shape=shape, fault=fault).name])
    return table


#: What two runs of the same cases never share.
OF_THE_RUN = {"seconds", "cpu_seconds", "peak_memory_mb"}


def read_table(file: Path) -> list[dict[str, str]]:
    """Rows without what belongs to the run and not to the case."""
    with file.open(newline="", encoding="utf-8") as text:
        return [{k: v for k, v in row.items() if k not in OF_THE_RUN} for row in csv.DictReader(text)]


def run(*words: object):
    """The command ``cohort`` with these words."""
    return run_command("cohort", *words)


def plain(table: Path, out: Path, *more: object):
    """A cohort in plain processes, without reports."""
    return run(table, "--out", out, "--scheduler", "processes", "--no-report", *more)


def start(table: Path, out: Path, *more: object, scheduler: str = "processes") -> subprocess.Popen[str]:
    """The command as a process and group of its own."""
    words = ("cohort", table, "--out", out, "--scheduler", scheduler, "--no-report", *more)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        [sys.executable, "-m", "voxeldose", *(str(w) for w in words)], start_new_session=True, text=True, **pipes
    )


def complete_cases(out: Path) -> dict[str, int]:
    """Cases with a result, and when it was written."""
    return {p.parent.name: p.stat().st_mtime_ns for p in (out / "cases").glob("*/run.json")}


def wait_until(claim, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def task_for(case: Path, out: Path) -> dict:
    """A task as the driver makes it, with the folders it needs."""
    with Store(out).locked():
        Store(out).prepare()
        write_plan(Source(case.parent), out, Store(out).plan)
    entry = asdict(Entry(1, case.stem, "here", case_file=str(case)))
    return {"entry": entry, "out": str(out), "run": "this", "report": False, "version": __version__}
