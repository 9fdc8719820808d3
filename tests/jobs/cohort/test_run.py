"""What a cohort gives, how it goes on, and what it would do."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cohort_cases import (
    COUNT,
    OF_THE_RUN,
    SHAPE,
    complete_cases,
    make_case,
    make_cohort,
    plain,
    read_table,
    run,
    start,
    task_for,
)
from small_study import run as run_command

from voxeldose import __version__
from voxeldose.dose.engines.threads import processors
from voxeldose.errors import InputError
from voxeldose.jobs.cohort.entry import Entry
from voxeldose.jobs.cohort.plan import Source, write_plan
from voxeldose.jobs.cohort.store import Store, read_plan
from voxeldose.jobs.cohort.task import run_task
from voxeldose.jobs.cohort.workers import in_a_process, share_of

# --- what comes out ---


def test_every_case_is_in_the_table_and_broken_ones_are_rows_with_their_reason(undisturbed_cohort):
    rows = read_table(undisturbed_cohort / "cohort.csv")
    assert {int(r["row"]) for r in rows} == set(range(1, COUNT + 1))
    failed = [r for r in rows if r["status"] == "failed"]
    assert [int(r["row"]) for r in failed] == [3, 7, 11]
    with (undisturbed_cohort / "failures.csv").open(newline="") as file:
        failures = list(csv.DictReader(file))
    assert [f["exit_class"] for f in failures] == ["refused"] * 3
    assert [f["exit_code"] for f in failures] == ["3"] * 3
    assert "no such file" in failures[0]["message"]
    assert "did you mean 'administered_mbq'" in failures[1]["message"]
    assert "lung_shunt_fraction" in failures[2]["message"]
    assert [r["message"] for r in failed] == [f["message"] for f in failures]


def test_a_case_of_a_cohort_is_what_assess_makes_of_it(undisturbed_cohort, cohort_table, tmp_path):
    single = run_command("assess", cohort_table.parent / "case-0004.toml", "--out", tmp_path / "one")
    assert single.exit_code == 0, single.output
    alone, among = (
        json.loads((p / "assessment.json").read_text())
        for p in (tmp_path / "one", undisturbed_cohort / "cases/case-0004")
    )
    assert alone == among
    rows = [r for r in read_table(undisturbed_cohort / "cohort.csv") if r["case"] == "case-0004"]
    assert [r["roi"] for r in rows] == list(alone["rois"])
    for row in rows:
        assert float(row["mean_dose_gy"]) == alone["rois"][row["roi"]]["mean_dose_gy"]
        assert float(row["tumor_to_normal_ratio"]) == alone["tumor_to_normal_ratio"]
        assert row["version"] == __version__
        assert row["warnings"] == " | ".join(w["message"] for w in alone["warnings"])


def test_seconds_and_peak_memory_of_every_case_are_in_the_table(undisturbed_cohort):
    with (undisturbed_cohort / "cohort.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["status"] == "done"]
    assert all(float(r[key]) > 0 for r in rows for key in OF_THE_RUN)


def test_parquet_holds_what_csv_holds_and_duckdb_reads_both_tables(undisturbed_cohort):
    duckdb = pytest.importorskip("duckdb")
    cohort, dvh = (duckdb.read_parquet(str(undisturbed_cohort / name)) for name in ("cohort.parquet", "dvh.parquet"))
    mean = cohort.filter("roi = 'lesion_1'").order('"row"').project('"case", mean_dose_gy').fetchall()
    rows = [r for r in read_table(undisturbed_cohort / "cohort.csv") if r["roi"] == "lesion_1"]
    assert mean == [(r["case"], float(r["mean_dose_gy"])) for r in rows]
    curve = (
        dvh.filter("\"case\" = 'case-0004' and roi = 'lesion_1'").order("dose_gy").project("volume_fraction").fetchall()
    )
    with (undisturbed_cohort / "cases/case-0004/dvh.csv").open(newline="") as file:
        own = [float(r["volume_fraction"]) for r in csv.DictReader(file) if r["roi"] == "lesion_1"]
    assert [c[0] for c in curve] == own


def test_without_pyarrow_there_is_csv_only_and_it_says_so(cohort_table, tmp_path):
    (tmp_path / "pyarrow").mkdir()
    (tmp_path / "pyarrow" / "__init__.py").write_text("raise ImportError('not here')")
    two = tmp_path / "two.csv"
    two.write_text(f"case\n{cohort_table.parent / 'case-0000.toml'}\n")
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
        assert ("Dask" in log) == (how == "local")
    for name in ("cohort.csv", "failures.csv"):
        assert read_table(tmp_path / "processes" / name) == read_table(tmp_path / "local" / name)


def test_dask_on_this_machine_gives_the_numbers_of_plain_processes(undisturbed_cohort, cohort_table, tmp_path):
    pytest.importorskip("distributed")
    running = start(cohort_table, tmp_path / "out", "--workers", 1, scheduler="local")
    _, log = running.communicate(timeout=120)
    assert running.returncode == 0, log
    for name in ("cohort.csv", "failures.csv"):
        assert read_table(tmp_path / "out" / name) == read_table(undisturbed_cohort / name)


def test_an_address_without_dask_names_the_extra(cohort_table, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    result = run(cohort_table, "--out", tmp_path / "out", "--scheduler", "tcp://127.0.0.1:1")
    assert result.exit_code == 3
    assert not (tmp_path / "out").exists()
    assert "voxeldose[cohort]" in result.stderr


# --- going on ---


def test_resume_computes_nothing_that_is_complete_and_gives_the_same_table(undisturbed_cohort, cohort_table):
    before, rows = complete_cases(undisturbed_cohort), read_table(undisturbed_cohort / "cohort.csv")
    result = plain(cohort_table, undisturbed_cohort, "--resume", "--workers", 1)
    assert "9 of them from before" in result.stdout
    assert complete_cases(undisturbed_cohort) == before
    assert read_table(undisturbed_cohort / "cohort.csv") == rows


def test_results_are_not_touched_without_resume(undisturbed_cohort, cohort_table):
    result = plain(cohort_table, undisturbed_cohort)
    assert result.exit_code == 3
    assert "--resume" in result.stderr


def test_a_folder_that_is_no_cohort_is_refused(cohort_table, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    result = plain(cohort_table, tmp_path, "--resume")
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


def test_a_second_run_of_the_same_cohort_is_refused(cohort_table, tmp_path):
    with Store(tmp_path / "out").locked():
        result = plain(cohort_table, tmp_path / "out")
    assert result.exit_code == 3
    assert "another run" in result.stderr


def test_a_source_that_is_refused_leaves_nothing_behind_and_the_folder_can_be_used_next(cohort_table, tmp_path):
    assert plain(tmp_path / "none.csv", tmp_path / "out").exit_code == 3
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    assert plain(cohort_table, tmp_path / "out").exit_code == 3
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_a_run_killed_before_its_first_case_can_be_resumed(cohort_table, tmp_path):
    store = Store(tmp_path / "out")
    with store.locked():
        write_plan(Source(cohort_table), store.out, store.plan)
    store.check(resume=False)
    (store.out / "cohort.json").write_text("{}")
    store.check(resume=True)
    with pytest.raises(InputError, match="--resume") as refusal:
        store.check(resume=False)
    assert refusal.value.code == "folder-taken"


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
    assert processors() == 3
    monkeypatch.delenv("NUMBA_NUM_THREADS")
    assert processors() >= 1


# --- what would run ---


def test_plan_only_says_what_would_run_and_what_would_be_refused_and_writes_nothing(
    cohort_table, undisturbed_cohort, tmp_path
):
    result = run(cohort_table, "--plan-only")
    assert result.exit_code == 0
    verdicts = [line.split("\t")[2] for line in result.stdout.splitlines()]
    assert [n for n, v in enumerate(verdicts, 1) if v == "refused"] == [3, 7, 11]
    assert verdicts.count("run") == 9
    assert "9 would run; 3 would be refused" in result.stderr
    assert list(tmp_path.iterdir()) == []
    again = run(cohort_table, "--plan-only", "--out", undisturbed_cohort, "--no-report")
    assert "9 are complete" in again.stderr


def test_the_plan_is_read_back_as_it_was_written(cohort_table, tmp_path):
    assert write_plan(Source(cohort_table), tmp_path, tmp_path / "plan") == COUNT
    entries = list(read_plan(tmp_path / "plan"))
    assert [e.row for e in entries] == list(range(1, COUNT + 1))
    assert entries[4] == Entry(
        5,
        "case-0004",
        "cases.csv, row 5",
        case_file=str(cohort_table.parent / "case-0004.toml"),
        base=str(cohort_table),
    )


def test_cases_are_of_unequal_axes():
    assert len(set(SHAPE)) == 3
