"""Cohorts whose workers, driver, scheduler or disk fail, and clusters of the user's own."""

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
from pathlib import Path

import numpy as np
import pytest
from cohort_cases import complete_cases, make_case, make_cohort, plain, read_table, start, task_for, wait_until

from voxeldose.jobs.cohort.task import run_task


def test_a_killed_worker_loses_one_attempt_of_one_case(cohort_table, undisturbed_cohort, tmp_path):
    out, killed = tmp_path / "out", []

    def kill_one() -> None:
        wait_until(lambda: len(complete_cases(out)) >= 2 and list((out / ".cohort/work").iterdir()))
        killed.append(multiprocessing.active_children()[0].pid)
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    result = plain(cohort_table, out, "--workers", 2)
    killer.join()
    assert killed
    assert result.exit_code == 0, result.output
    assert read_table(out / "cohort.csv") == read_table(undisturbed_cohort / "cohort.csv")


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


def test_a_run_killed_at_random_moments_and_resumed_ends_as_an_undisturbed_one(
    cohort_table, undisturbed_cohort, tmp_path
):
    out = tmp_path / "out"
    assert killed_and_resumed(cohort_table, out, 3, workers=1, seed=3) >= 2
    for name in ("cohort.csv", "failures.csv"):
        assert read_table(out / name) == read_table(undisturbed_cohort / name)
    assert not list((out / ".cohort/work").iterdir())


@pytest.mark.slow
def test_twenty_kills_leave_no_trace(tmp_path):
    table = make_cohort(tmp_path / "in", 80, broken=5)
    plain(table, tmp_path / "whole")
    assert killed_and_resumed(table, tmp_path / "out", 20, workers=2, seed=20) >= 15
    for name in ("cohort.csv", "failures.csv"):
        assert read_table(tmp_path / "out" / name) == read_table(tmp_path / "whole" / name)


@pytest.mark.slow
def test_workers_end_with_a_killed_driver(cohort_table, tmp_path):
    running = start(cohort_table, tmp_path / "out", "--workers", 1)
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
def test_a_signal_stops_cleanly_and_the_last_line_says_how_to_go_on(cohort_table, tmp_path, number):
    running = start(cohort_table, tmp_path / "out", "--workers", 1)
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


def test_fail_fast_stops_at_the_first_failure(cohort_table, tmp_path):
    result = plain(cohort_table, tmp_path / "out", "--fail-fast", "--workers", 1)
    assert result.exit_code == 1
    assert "--fail-fast" in result.stderr
    assert "2 of 12 cases have results; 1 failed (failures.csv); 9 not finished" in result.stdout


def test_a_cohort_of_which_nothing_comes_is_refused(cohort_table, tmp_path):
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
        patch.setattr(Path, "write_text", full)  # as the system answers whoever writes results
        outcome = run_task(task)
    assert "full" in outcome["stop"]
    assert not complete_cases(out)
    assert not list((out / ".cohort/work").iterdir())
    assert run_task(task)["status"] == "done"


@pytest.mark.slow
def test_a_disk_that_fills_up_stops_the_run_and_with_room_it_goes_on(cohort_table, undisturbed_cohort, tmp_path):
    """On a file system of 300 kB, made in a mount namespace of its own."""
    out = tmp_path / "out"
    out.mkdir()
    words = f"{sys.executable} -m voxeldose cohort {cohort_table} --out {out}/o --scheduler processes --no-report --workers 2"
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
    assert read_table(tmp_path / "cohort.csv") == read_table(undisturbed_cohort / "cohort.csv")


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
def test_the_users_own_cluster_gives_the_same_table(cluster, cohort_table, undisturbed_cohort, tmp_path):
    running = start(cohort_table, tmp_path / "out", scheduler=cluster[0])
    _, log = running.communicate(timeout=120)
    assert running.returncode == 0, log
    assert read_table(tmp_path / "out/cohort.csv") == read_table(undisturbed_cohort / "cohort.csv")


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
def test_an_address_where_nobody_answers_is_refused(cohort_table, tmp_path):
    pytest.importorskip("distributed")
    running = start(cohort_table, tmp_path / "out", scheduler="tcp://127.0.0.1:9")
    _, log = running.communicate(timeout=60)
    assert running.returncode == 3
    assert "no Dask scheduler answers" in log
    assert "Traceback" not in log
