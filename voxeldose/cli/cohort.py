"""``voxeldose cohort``."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from voxeldose.cli.idle import Idle, refuse_idle
from voxeldose.cli.options import PATH, as_record
from voxeldose.cli.terminal import print_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from voxeldose.jobs.cohort.run import Counts
    from voxeldose.jobs.cohort.workers import Workers

__all__ = ["cohort"]


@dataclass(frozen=True)
class CohortFlags:
    """How a cohort is read and run."""

    template: Path | None
    protocol: Path | None
    workers: int | None
    memory_gb: float | None
    scheduler: str | None
    resume: bool
    fail_fast: bool
    plan_only: bool
    no_report: bool
    identifiers: bool
    zone: str | None
    quiet: bool


@click.command()
@click.argument("source", type=PATH)
@click.option("--out", type=PATH, help="Folder of the cohort: tables, report, and a results folder per case.")
@click.option(
    "--template", type=PATH, help="Case file with what all cases share; a folder then holds one study per folder."
)
@click.option("--protocol", type=PATH, help="TOML file of the site: its keys hold where a case has none.")
@click.option("--workers", type=click.IntRange(1), help="Cases at a time on this machine (default: its processors).")
@click.option(
    "--memory-gb", type=click.FloatRange(0.1), help="Most that one worker may use (default: its share of 90 %)."
)
@click.option(
    "--scheduler",
    help="Address of your Dask scheduler (tcp://host:8786) or its file (.json); local for Dask on this machine, processes "
    "(which open no port) for none of Dask. Default: processes.",
)
@click.option(
    "--resume", is_flag=True, help="Go on with the cohort in --out; complete cases are checked, not computed."
)
@click.option("--fail-fast", is_flag=True, help="Stop at the first case that fails.")
@click.option("--plan-only", is_flag=True, help="Print what would run and what would be refused; compute nothing.")
@click.option("--no-report", is_flag=True, help="No report of each case's own.")
@click.option("--identifiers", is_flag=True, help="Show labels in the report; label unlabelled cases by their path.")
@click.option("--zone", help="Time zone of the table's instants that have none: Europe/Berlin, +02:00.")
@click.option("--quiet", is_flag=True, help="No progress.")
@as_record(CohortFlags, "flags")
@refuse_idle(
    Idle("workers memory_gb scheduler resume fail_fast", beside="plan_only", why="nothing is computed"),
)
def cohort(source: Path, out: Path | None, flags: CohortFlags) -> None:
    """Assess many cases: one table, one folder of results.

    SOURCE is a table (CSV or Parquet) with one case per row - a column case with case files, or columns such as activity.path,
    rois.path, administration.administered_mbq; paths from the table's folder - or a folder that is searched for case files, or with
    --template for studies.

    A case that fails is a row in failures.csv and ends nothing: the exit code is 0 unless the run was stopped or no case at all has
    a result.
    """
    from voxeldose.jobs.cohort.plan import Source
    from voxeldose.jobs.cohort.progress import conclusion, preview_lines, stopping_by_signal
    from voxeldose.jobs.cohort.run import Options, run_cohort
    from voxeldose.jobs.cohort.schedulers import ON_THIS_MACHINE, open_workers

    for flag, value in (("--workers", flags.workers), ("--memory-gb", flags.memory_gb)):
        if value is not None and flags.scheduler not in (None, *ON_THIS_MACHINE):
            msg = f"{flag} is of use on this machine only; the cluster at --scheduler has its own workers."
            raise click.UsageError(msg)
    wanted = Source(source, flags.template, flags.identifiers, flags.protocol, flags.zone)
    if flags.plan_only:
        *cases, verdicts = preview_lines(wanted, out, report=not flags.no_report)
        print_lines(cases)
        click.echo(verdicts, err=True)
        return
    if out is None:
        msg = "give --out, the folder for the cohort."
        raise click.UsageError(msg)

    def start_workers() -> Workers:
        opened = open_workers(flags.scheduler, flags.workers, flags.memory_gb)
        if not flags.quiet:
            click.echo(opened.description, err=True)
        return opened.workers

    options = Options(resume=flags.resume, fail_fast=flags.fail_fast, report=not flags.no_report)
    with _progress(flags.quiet) as report_progress, stopping_by_signal():
        counts = run_cohort(wanted, out, start_workers, options, report_progress)
    end = conclusion(counts, sys.argv[1:])
    click.echo(f"{end.outcome}: {out}")
    print_lines(end.notes, err=True)
    if end.exit_code:
        raise click.exceptions.Exit(end.exit_code)


@contextlib.contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[Counts], None]]:
    """One live line on a terminal; elsewhere a line for each failure and one now and then."""
    if quiet:
        yield lambda _: None
        return
    from voxeldose.jobs.cohort.progress import CohortLog, is_logged, standing_line

    if not sys.stderr.isatty():
        log = CohortLog()
        yield lambda counts: print_lines(log.lines(counts), err=True)
        return
    from rich.console import Console

    console = Console(stderr=True)
    with console.status("starting") as status:

        def report_progress(counts: Counts) -> None:
            writing = f"; {counts.news.sentence}" if counts.news.kind == "writing" else ""
            status.update(standing_line(counts) + writing)
            if is_logged(counts):
                console.print(counts.news.sentence, markup=False, highlight=False)

        yield report_progress
