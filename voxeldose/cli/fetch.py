"""``voxeldose fetch``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from voxeldose.cli.idle import Idle, refuse_idle
from voxeldose.cli.options import PATH, as_record, json_option, progress
from voxeldose.cli.terminal import print_answer

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["fetch"]


@dataclass(frozen=True)
class _Options:
    """What ``fetch`` is asked."""

    archive: str
    study: str | None
    accession: str | None
    patient: str | None
    date: str | None
    out: Path | None
    list_only: bool
    modalities: tuple[str, ...]
    labels: tuple[str, ...]
    overwrite: bool


@click.command(short_help="A study from an image archive (PACS) into a folder.")
@click.option("--from", "archive", required=True, metavar="ARCHIVE", help="Its address, or a TOML file of settings.")
@click.option("--study", metavar="UID", help="Study UID; - reads it from standard input, as for the next two.")
@click.option("--accession", metavar="NUMBER", help="Accession number.")
@click.option("--patient", metavar="ID", help="Patient ID, with --date.")
@click.option("--date", metavar="DAY[..DAY]", help="Day of the study, YYYY-MM-DD, or first and last.")
@click.option("--out", type=PATH, help="Folder to make; a folder per series in it.")
@click.option("--list", "list_only", is_flag=True, help="Only say which series there are.")
@click.option("--modality", "modalities", multiple=True, metavar="CT|PT|NM|…", help="Only these; repeatable.")
@click.option("--series", "labels", multiple=True, metavar="NAME", help="Only these, as --list names them; repeatable.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier fetch.")
@json_option
@click.option("--quiet", is_flag=True, help="No progress and no table.")
@as_record(_Options, "options")
@refuse_idle(
    Idle("modalities labels overwrite", beside="list_only", why="every series is listed and none is fetched"),
)
def fetch(options: _Options, as_json: bool, quiet: bool) -> None:
    """A study from an image archive (PACS), whole by the archive's own count, into a folder per series.

    ARCHIVE is https://host/dicom-web, dicom://AE@host:port, or a TOML file.
    """
    if (options.out is None) != options.list_only:
        msg = "give --out for the folder, or --list to see what there is."
        raise click.UsageError(msg)
    with progress(quiet) as report_progress:
        report_progress("loading libraries")
        from voxeldose.io.config.archive import read_archive
        from voxeldose.io.network.archive import Query, date_range
        from voxeldose.jobs.fetch import FetchChoice, SeriesList, fetch_study, list_series

        query = Query(
            study_uid=_typed(options.study),
            accession_number=_typed(options.accession),
            patient_id=_typed(options.patient),
            date=date_range(options.date) if options.date else None,
        )
        archive = read_archive(options.archive)
        answer: Any
        if options.out is None:
            answer = SeriesList(tuple(list_series(archive, query, report_progress)))
        else:
            choice = FetchChoice(options.modalities, options.labels, overwrite=options.overwrite)
            answer = fetch_study(archive, query, options.out, choice, report_progress)
    if as_json or not quiet:
        print_answer(answer, as_json=as_json)


def _typed(word: str | None) -> str | None:
    """The word, or a line of standard input where it is a hyphen: what stands in a command line others can see."""
    return sys.stdin.readline().strip() if word == "-" else word
