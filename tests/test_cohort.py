import csv
import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from cohort_cases import OF_THE_RUN, SHAPE, make_case, make_cohort, read_table

from voxeldose._version import __version__
from voxeldose.cli import main
from voxeldose.cohort.plan import Entry, Source, read_plan, write_plan
from voxeldose.cohort.store import Store
from voxeldose.cohort.task import run_task
from voxeldose.cohort.workers import in_a_process, share_of
from voxeldose.engines import convolution
from voxeldose.errors import InputError

COUNT, BROKEN = 12, 3


def run(*words: object):
    return CliRunner().invoke(main, ["cohort", *(str(w) for w in words)])


def plain(table: Path, out: Path, *more: object):
    return run(table, "--out", out, "--scheduler", "processes", "--no-report", *more)


def start(table: Path, out: Path, *more: object, scheduler: str = "processes") -> subprocess.Popen[str]:
    """The command as a process and group of its own."""
    words = [
        sys.executable,
        "-m",
        "voxeldose",
        "cohort",
        table,
        "--out",
        out,
        "--scheduler",
        scheduler,
        "--no-report",
        *more,
    ]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([str(w) for w in words], start_new_session=True, text=True, **pipes)


def complete_cases(out: Path) -> dict[str, int]:
    """Cases with a result, and when it was written."""
    return {p.parent.name: p.stat().st_mtime_ns for p in (out / "cases").glob("*/run.json")}


def wait_until(claim, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    return make_cohort(tmp_path_factory.mktemp("cases"), COUNT, broken=BROKEN)


@pytest.fixture(scope="module")
def undisturbed(table, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    result = plain(table, out, "--workers", 1)
    assert result.exit_code == 0, result.output
    assert "9 of 12 cases have results; 3 failed" in result.stdout
    return out


def task_for(case: Path, out: Path) -> dict:
    """A task as the driver makes it, with the folders it needs."""
    with Store(out).locked():
        Store(out).prepare()
        write_plan(Source(case.parent), out, Store(out).plan)
    entry = asdict(Entry(1, case.stem, "here", case_file=str(case)))
    return {"entry": entry, "out": str(out), "run": "this", "report": False, "version": __version__}


# --- what comes out ---


def test_every_case_is_in_the_table_and_broken_ones_are_rows_with_their_reason(undisturbed):
    rows = read_table(undisturbed / "cohort.csv")
    assert {int(r["row"]) for r in rows} == set(range(1, COUNT + 1))
    failed = [r for r in rows if r["status"] == "failed"]
    assert [int(r["row"]) for r in failed] == [3, 7, 11]
    with (undisturbed / "failures.csv").open(newline="") as file:
        failures = list(csv.DictReader(file))
    assert [f["exit_class"] for f in failures] == ["refused"] * 3
    assert [f["exit_code"] for f in failures] == ["3"] * 3
    assert "no such file" in failures[0]["message"]
    assert "did you mean 'administered_mbq'" in failures[1]["message"]
    assert "lung_shunt_fraction" in failures[2]["message"]
    assert [r["message"] for r in failed] == [f["message"] for f in failures]


def test_a_case_of_a_cohort_is_what_assess_makes_of_it(undisturbed, table, tmp_path):
    single = CliRunner().invoke(main, ["assess", str(table.parent / "case-0004.toml"), "--out", str(tmp_path / "one")])
    assert single.exit_code == 0, single.output
    alone, among = (
        json.loads((p / "assessment.json").read_text()) for p in (tmp_path / "one", undisturbed / "cases/case-0004")
    )
    assert alone == among
    rows = [r for r in read_table(undisturbed / "cohort.csv") if r["case"] == "case-0004"]
    assert [r["roi"] for r in rows] == list(alone["rois"])
    for row in rows:
        assert float(row["mean_dose_gy"]) == alone["rois"][row["roi"]]["mean_dose_gy"]
        assert float(row["tumor_to_normal_ratio"]) == alone["tumor_to_normal_ratio"]
        assert row["version"] == __version__
        assert row["warnings"] == " | ".join(alone["warnings"])


def test_seconds_and_peak_memory_of_every_case_are_in_the_table(undisturbed):
    with (undisturbed / "cohort.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["status"] == "done"]
    assert all(float(r[key]) > 0 for r in rows for key in OF_THE_RUN)


def test_parquet_holds_what_csv_holds_and_duckdb_reads_both_tables(undisturbed):
    duckdb = pytest.importorskip("duckdb")
    cohort, dvh = (duckdb.read_parquet(str(undisturbed / name)) for name in ("cohort.parquet", "dvh.parquet"))
    mean = cohort.filter("roi = 'lesion_1'").order('"row"').project('"case", mean_dose_gy').fetchall()
    rows = [r for r in read_table(undisturbed / "cohort.csv") if r["roi"] == "lesion_1"]
    assert mean == [(r["case"], float(r["mean_dose_gy"])) for r in rows]
    curve = (
        dvh.filter("\"case\" = 'case-0004' and roi = 'lesion_1'").order("dose_gy").project("volume_fraction").fetchall()
    )
    with (undisturbed / "cases/case-0004/dvh.csv").open(newline="") as file:
        own = [float(r["volume_fraction"]) for r in csv.DictReader(file) if r["roi"] == "lesion_1"]
    assert [c[0] for c in curve] == own


def test_without_pyarrow_there_is_csv_only_and_it_says_so(table, tmp_path):
    (tmp_path / "pyarrow").mkdir()
    (tmp_path / "pyarrow" / "__init__.py").write_text("raise ImportError('not here')")
    two = tmp_path / "two.csv"
    two.write_text(f"case\n{table.parent / 'case-0000.toml'}\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    words = [
        sys.executable,
        "-m",
        "voxeldose",
        "cohort",
        two,
        "--out",
        tmp_path / "out",
        "--scheduler",
        "processes",
        "--no-report",
    ]
    done = subprocess.run(words, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "voxeldose[cohort]" in done.stderr
    assert not list((tmp_path / "out").glob("*.parquet"))
    assert len(read_table(tmp_path / "out/cohort.csv")) == 4


@pytest.mark.slow
def test_dask_and_plain_processes_give_identical_numbers_for_two_hundred_cases(tmp_path):
    pytest.importorskip("distributed")
    table = make_cohort(tmp_path / "in", 200, broken=10)
    for how in ("processes", "local"):
        running = start(table, tmp_path / how, "--workers", 2, scheduler=how)
        said, log = running.communicate(timeout=600)
        assert running.returncode == 0, log
        assert "190 of 200 cases have results; 10 failed" in said
        assert how == "processes" or "dashboard http://127.0.0.1:" in log
    for name in ("cohort.csv", "failures.csv"):
        assert read_table(tmp_path / "processes" / name) == read_table(tmp_path / "local" / name)


def test_dask_on_this_machine_gives_the_numbers_of_plain_processes(undisturbed, table, tmp_path):
    pytest.importorskip("distributed")
    running = start(table, tmp_path / "out", "--workers", 1, scheduler="local")
    _, log = running.communicate(timeout=120)
    assert running.returncode == 0, log
    for name in ("cohort.csv", "failures.csv"):
        assert read_table(tmp_path / "out" / name) == read_table(undisturbed / name)


def test_an_address_without_dask_names_the_extra(table, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    result = run(table, "--out", tmp_path / "out", "--scheduler", "tcp://127.0.0.1:1")
    assert result.exit_code == 3
    assert not (tmp_path / "out").exists()
    assert "voxeldose[cohort]" in result.stderr


# --- going on ---


def test_resume_computes_nothing_that_is_complete_and_gives_the_same_table(undisturbed, table):
    before, rows = complete_cases(undisturbed), read_table(undisturbed / "cohort.csv")
    result = plain(table, undisturbed, "--resume", "--workers", 1)
    assert "9 of them from before" in result.stdout
    assert complete_cases(undisturbed) == before
    assert read_table(undisturbed / "cohort.csv") == rows


def test_results_are_not_touched_without_resume(undisturbed, table):
    result = plain(table, undisturbed)
    assert result.exit_code == 3
    assert "--resume" in result.stderr


def test_a_folder_that_is_no_cohort_is_refused(table, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    result = plain(table, tmp_path, "--resume")
    assert result.exit_code == 3
    assert "no cohort" in result.stderr
    assert (tmp_path / "mine.txt").read_text() == "mine"


def change_image(folder: Path, _: Path) -> None:
    other = folder / "other"
    other.mkdir()
    make_case(other, "case", 99)
    (other / "case-pet.nii.gz").replace(folder / "case-pet.nii.gz")


def change_configuration(folder: Path, _: Path) -> None:
    file = folder / "case.toml"
    file.write_text(file.read_text().replace("lung_shunt_fraction = 0.04", "lung_shunt_fraction = 0.05"))


def damage_result(_: Path, out: Path) -> None:
    file = out / "cases/case/dose.nii.gz"
    file.write_bytes(file.read_bytes()[:-1])


def change_version(_: Path, out: Path) -> None:
    file = out / "cases/case/run.json"
    file.write_text(file.read_text().replace(f'"version": "{__version__}"', '"version": "0.0.1"'))


def leave(_: Path, __: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (leave, "kept"),
        (change_image, "done"),
        (change_configuration, "done"),
        (damage_result, "done"),
        (change_version, "done"),
    ],
)
def test_a_result_is_trusted_only_with_the_same_input_configuration_version_and_output(tmp_path, change, status):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    task = task_for(make_case(folder, "case", 1), out)
    assert run_task(task)["status"] == "done"
    change(folder, out)
    again = run_task({**task, "run": "another"})
    assert again["status"] == status, again
    assert run_task({**task, "run": "a third"})["status"] == "kept"
    assert not list((out / ".cohort/work").iterdir())


def test_a_report_that_is_asked_for_later_is_made(tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    task = task_for(make_case(folder, "case", 1), out)
    run_task(task)
    assert not (out / "cases/case/report.html").exists()
    assert run_task({**task, "run": "another", "report": True})["status"] == "done"
    assert (out / "cases/case/report.html").is_file()


def test_a_second_run_of_the_same_cohort_is_refused(table, tmp_path):
    with Store(tmp_path / "out").locked():
        result = plain(table, tmp_path / "out")
    assert result.exit_code == 3
    assert "another run" in result.stderr


def test_a_source_that_is_refused_leaves_nothing_behind_and_the_folder_can_be_used_next(table, tmp_path):
    assert plain(tmp_path / "none.csv", tmp_path / "out").exit_code == 3
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    assert plain(table, tmp_path / "out").exit_code == 3
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_a_run_killed_before_its_first_case_can_be_resumed(table, tmp_path):
    store = Store(tmp_path / "out")
    with store.locked():
        write_plan(Source(table), store.out, store.plan)
    store.check(resume=False)
    (store.out / "cohort.json").write_text("{}")
    store.check(resume=True)
    with pytest.raises(InputError, match="--resume"):
        store.check(resume=False)


# --- faults ---


def test_a_killed_worker_loses_one_attempt_of_one_case(table, undisturbed, tmp_path):
    out, killed = tmp_path / "out", []

    def kill_one() -> None:
        wait_until(lambda: len(complete_cases(out)) >= 2 and list((out / ".cohort/work").iterdir()))
        killed.append(multiprocessing.active_children()[0].pid)
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    result = plain(table, out, "--workers", 2)
    killer.join()
    assert killed
    assert result.exit_code == 0, result.output
    assert read_table(out / "cohort.csv") == read_table(undisturbed / "cohort.csv")


@pytest.mark.slow
def test_a_case_whose_worker_dies_twice_is_a_failure_and_the_others_are_not(tmp_path):
    """Every worker that begins the case is killed at once."""
    out, over, deaths = tmp_path / "out", threading.Event(), []
    table = make_cohort(tmp_path / "in", 3)
    make_case(table.parent, "case-0001", 1, shape=(60, 70, 80))  # slow enough to be caught

    def kill_them() -> None:
        while not over.is_set():
            if list((out / ".cohort/work").glob("case-0001-*")):
                for worker in multiprocessing.active_children():
                    os.kill(worker.pid, signal.SIGKILL)
                    worker.join()
                    deaths.append(worker.pid)
                for left in (out / ".cohort/work").glob("case-0001-*"):
                    left.rename(out / f"dead-{left.name}")
            time.sleep(0.002)

    killer = threading.Thread(target=kill_them)
    killer.start()
    result = plain(table, out, "--workers", 1)
    over.set()
    killer.join()
    assert result.exit_code == 0, result.output
    assert len(deaths) == 2
    with (out / "failures.csv").open(newline="") as file:
        (failure,) = csv.DictReader(file)
    assert (failure["case"], failure["exit_class"], failure["attempts"]) == ("case-0001", "killed", "2")
    assert "SIGKILL" in failure["message"]
    assert set(complete_cases(out)) == {"case-0000", "case-0002"}


def killed_and_resumed(table: Path, out: Path, times: int, *, workers: int, seed: int) -> int:
    """Kill the whole run at random moments, then let it finish; how often it was killed. Nothing complete may change."""
    rng = np.random.default_rng(seed)
    complete: dict[str, int] = {}
    kills = 0
    for _ in range(times):
        running = start(table, out, "--resume", "--workers", workers)
        goal = len(complete) + int(rng.integers(0, 3))
        wait_until(lambda r=running, g=goal: r.poll() is not None or len(complete_cases(out)) >= g)
        time.sleep(rng.uniform(0, 0.3))
        kills += running.poll() is None
        running.kill()
        running.communicate()
        now = complete_cases(out)
        assert complete.items() <= now.items(), "a complete case was computed again"
        complete = now
    running = start(table, out, "--resume", "--workers", workers)
    log = running.communicate(timeout=300)[1]
    assert running.returncode == 0, log
    assert complete.items() <= complete_cases(out).items(), "a complete case was computed again"
    return kills


def test_a_run_killed_at_random_moments_and_resumed_ends_as_an_undisturbed_one(table, undisturbed, tmp_path):
    out = tmp_path / "out"
    assert killed_and_resumed(table, out, 3, workers=1, seed=3) >= 2
    for name in ("cohort.csv", "failures.csv"):
        assert read_table(out / name) == read_table(undisturbed / name)
    assert not list((out / ".cohort/work").iterdir())


@pytest.mark.slow
def test_twenty_kills_leave_no_trace(tmp_path):
    table = make_cohort(tmp_path / "in", 40, broken=5)
    plain(table, tmp_path / "whole")
    assert killed_and_resumed(table, tmp_path / "out", 20, workers=2, seed=20) >= 15
    for name in ("cohort.csv", "failures.csv"):
        assert read_table(tmp_path / "out" / name) == read_table(tmp_path / "whole" / name)


@pytest.mark.slow
def test_workers_end_with_a_killed_driver(table, tmp_path):
    running = start(table, tmp_path / "out", "--workers", 1)
    wait_until(lambda: complete_cases(tmp_path / "out"))
    running.kill()
    running.communicate()  # returns when nobody holds the pipes any more, workers included
    wait_until(lambda: not alive_in_group(running.pid), 20)


def alive_in_group(group: int) -> list[int]:
    """Processes of a group that are not zombies."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            facts = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(facts[2]) == group and facts[0] != "Z":
            found.append(int(stat.parent.name))
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_signal_stops_cleanly_and_the_last_line_says_how_to_go_on(table, tmp_path, number):
    running = start(table, tmp_path / "out", "--workers", 1)
    wait_until(lambda: complete_cases(tmp_path / "out"))
    if number == signal.SIGINT:
        os.killpg(running.pid, number)  # as a terminal does
    else:
        running.send_signal(number)
    said, log = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "Traceback" not in log
    assert log.rstrip().endswith("--scheduler processes --no-report --workers 1 --resume")
    assert "not finished" in said
    cases = {r["case"] for r in read_table(tmp_path / "out/cohort.csv") if r["status"] == "done"}
    assert cases == set(complete_cases(tmp_path / "out"))
    assert not list((tmp_path / "out/.cohort/work").iterdir())


def test_fail_fast_stops_at_the_first_failure(table, tmp_path):
    result = plain(table, tmp_path / "out", "--fail-fast", "--workers", 1)
    assert result.exit_code == 1
    assert "--fail-fast" in result.stderr
    assert "2 of 12 cases have results; 1 failed (failures.csv); 9 not finished" in result.stdout


def test_a_cohort_of_which_nothing_comes_is_refused(table, tmp_path):
    (tmp_path / "cases.csv").write_text("case\nnothing.toml\n")
    result = plain(tmp_path / "cases.csv", tmp_path / "out")
    assert result.exit_code == 3
    assert "every case failed" in result.stderr


def test_a_full_disk_is_no_fault_of_the_case(tmp_path, monkeypatch):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    task = task_for(make_case(folder, "case", 1), out)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("voxeldose.job.write_nifti", full)
        outcome = run_task(task)
    assert "full" in outcome["stop"]
    assert not complete_cases(out)
    assert not list((out / ".cohort/work").iterdir())
    assert run_task(task)["status"] == "done"


@pytest.mark.slow
def test_a_disk_that_fills_up_stops_the_run_and_with_room_it_goes_on(table, undisturbed, tmp_path):
    """On a file system of 300 kB, made in a mount namespace of its own."""
    out = tmp_path / "out"
    out.mkdir()
    words = f"{sys.executable} -m voxeldose cohort {table} --out {out}/o --scheduler processes --no-report --workers 2"
    script = f"""
    mount -t tmpfs -o size=300k tmpfs {out} || exit 77
    {words} 2> {tmp_path}/first.log; echo $? > {tmp_path}/first
    mount -o remount,size=64m {out}
    {words} --resume; echo $? > {tmp_path}/second
    cp {out}/o/*.csv {tmp_path}
    """
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, check=False)
    if not (tmp_path / "first").exists():
        pytest.skip(f"no file system can be mounted here: {done.stderr[:200]}")
    log = (tmp_path / "first.log").read_text()
    assert (tmp_path / "first").read_text().strip() == "1", log
    assert "full" in log or "No space" in log
    assert "Traceback" not in log
    assert (tmp_path / "second").read_text().strip() == "0", done.stderr
    assert read_table(tmp_path / "cohort.csv") == read_table(undisturbed / "cohort.csv")


@pytest.mark.slow
def test_a_case_that_needs_more_memory_than_its_worker_may_have_is_a_row(tmp_path):
    folder = tmp_path / "in"
    table = make_cohort(folder, 2)
    make_case(folder, "case-0001", 1, shape=(180, 220, 260))
    result = plain(table, tmp_path / "out", "--workers", 1, "--memory-gb", 0.5)
    assert result.exit_code == 0, result.output
    with (tmp_path / "out/failures.csv").open(newline="") as file:
        (failure,) = csv.DictReader(file)
    assert failure["case"] == "case-0001"
    assert failure["exit_class"] == "out of memory"


@pytest.fixture
def cluster(tmp_path):
    """A scheduler and two workers as a user would start them; the address, and the scheduler's process."""
    pytest.importorskip("distributed")
    file, env = tmp_path / "scheduler.json", {**os.environ, "DASK_DISTRIBUTED__SCHEDULER__DASHBOARD__STATUS": ""}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": env, "start_new_session": True}
    dask = [sys.executable, "-m", "dask"]
    here = ["--host", "127.0.0.1", "--no-dashboard"]
    scheduler = subprocess.Popen([*dask, "scheduler", "--port", "0", "--scheduler-file", str(file), *here], **quiet)
    wait_until(file.exists)
    worker = [*dask, "worker", "--scheduler-file", str(file), "--nworkers", "2", "--nthreads", "2", *here]
    workers = subprocess.Popen([*worker, "--local-directory", str(tmp_path / "dask")], **quiet)
    yield json.loads(file.read_text())["address"], scheduler
    for process in (workers, scheduler):
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@pytest.mark.slow
def test_the_users_own_cluster_gives_the_same_table(cluster, table, undisturbed, tmp_path):
    running = start(table, tmp_path / "out", scheduler=cluster[0])
    _, log = running.communicate(timeout=120)
    assert running.returncode == 0, log
    assert read_table(tmp_path / "out/cohort.csv") == read_table(undisturbed / "cohort.csv")


@pytest.mark.slow
def test_a_killed_scheduler_ends_the_run_and_it_goes_on_elsewhere(cluster, tmp_path):
    address, scheduler = cluster
    table = make_cohort(tmp_path / "in", 40, shape=(40, 50, 60))
    running = start(table, tmp_path / "out", scheduler=address)
    wait_until(lambda: len(complete_cases(tmp_path / "out")) >= 2)
    scheduler.kill()
    _, log = running.communicate(timeout=120)
    assert running.returncode == 1
    assert "scheduler is gone" in log
    assert "Traceback" not in log
    wait_until(lambda: not list((tmp_path / "out/.cohort/work").iterdir()))
    before = complete_cases(tmp_path / "out")
    result = plain(table, tmp_path / "out", "--resume")
    assert "40 of 40 cases have results" in result.stdout
    assert before.items() <= complete_cases(tmp_path / "out").items()
    plain(table, tmp_path / "whole")
    assert read_table(tmp_path / "out/cohort.csv") == read_table(tmp_path / "whole/cohort.csv")


@pytest.mark.slow
def test_an_address_where_nobody_answers_is_refused(table, tmp_path):
    pytest.importorskip("distributed")
    running = start(table, tmp_path / "out", scheduler="tcp://127.0.0.1:9")
    _, log = running.communicate(timeout=60)
    assert running.returncode == 3
    assert "no Dask scheduler answers" in log
    assert "Traceback" not in log


# --- shares of the machine ---


def test_workers_share_processors_and_memory_and_none_gets_less_than_one_thread():
    whole = share_of(1, None)
    assert share_of(2, None).threads == max(1, whole.threads // 2)
    assert share_of(1000, None).threads == 1
    assert share_of(4, None).memory_bytes == pytest.approx(whole.memory_bytes / 4, rel=1e-6)
    assert share_of(3, 1.5).memory_bytes == 1_500_000_000


def test_a_process_has_its_threads_set_before_anything_is_loaded(monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "7")
    assert in_a_process(os.getenv, "NUMBA_NUM_THREADS") == "1"
    assert in_a_process(os.getenv, "OMP_NUM_THREADS") == "1"


def test_the_convolution_keeps_to_the_threads_of_its_worker(monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "3")
    assert convolution._processors() == 3
    monkeypatch.delenv("NUMBA_NUM_THREADS")
    assert convolution._processors() >= 1


# --- what would run ---


def test_plan_only_says_what_would_run_and_what_would_be_refused_and_writes_nothing(table, undisturbed, tmp_path):
    result = run(table, "--plan-only")
    assert result.exit_code == 0
    verdicts = [line.split("\t")[2] for line in result.stdout.splitlines()]
    assert [n for n, v in enumerate(verdicts, 1) if v == "refused"] == [3, 7, 11]
    assert verdicts.count("run") == 9
    assert "9 would run; 3 would be refused" in result.stderr
    assert list(tmp_path.iterdir()) == []
    again = run(table, "--plan-only", "--out", undisturbed, "--no-report")
    assert "9 are complete" in again.stderr


def test_the_plan_is_read_back_as_it_was_written(table, tmp_path):
    assert write_plan(Source(table), tmp_path, tmp_path / "plan") == COUNT
    entries = list(read_plan(tmp_path / "plan"))
    assert [e.row for e in entries] == list(range(1, COUNT + 1))
    assert entries[4] == Entry(
        5, "case-0004", "cases.csv, row 5", case_file=str(table.parent / "case-0004.toml"), base=str(table)
    )


def test_cases_are_of_unequal_axes():
    assert len(set(SHAPE)) == 3
