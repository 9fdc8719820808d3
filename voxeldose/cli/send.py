"""``voxeldose send``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from voxeldose.cli.options import PATH, as_record, json_option, progress
from voxeldose.cli.terminal import print_json, print_lines

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["send"]


@dataclass(frozen=True)
class _Options:
    """What ``send`` is asked."""

    results: Path
    archive: str
    kinds: tuple[str, ...]
    again: bool


@click.command(short_help="Results to an image archive (PACS).")
@click.argument("results", type=PATH)
@click.option("--to", "archive", required=True, metavar="ARCHIVE", help="Its address, or a TOML file of settings.")
@click.option("--kind", "kinds", multiple=True, metavar="RTDOSE|SEG|SR|DOC|…", help="Only these; repeatable.")
@click.option("--again", is_flag=True, help="Send although these results have been sent there before.")
@json_option
@click.option("--quiet", is_flag=True, help="No progress and no table.")
@as_record(_Options, "options")
def send(options: _Options, as_json: bool, quiet: bool) -> None:
    """The DICOM objects and the report of a results folder to an image archive (PACS), and whether it has them.

    ARCHIVE is https://host/dicom-web, dicom://AE@host:port, or a TOML file.
    """
    with progress(quiet) as report_progress:
        report_progress("loading libraries")
        from voxeldose.io.config.archive import read_archive
        from voxeldose.jobs.send import send_results
        from voxeldose.report.text import table_lines

        archive = read_archive(options.archive)
        sent = send_results(
            options.results, archive, kinds=options.kinds, again=options.again, report_progress=report_progress
        )
    if as_json:
        print_json(sent.as_dict())
    elif not sent.sent:
        click.echo(
            f"Already sent to {sent.archive} at {sent.sent_at} ({sent.verified_by}); nothing was done. --again sends it again.",
            err=True,
        )
    elif not quiet:
        print_lines(table_lines([{"file": one.name, "kind": one.kind} for one in sent.objects]))
        click.echo(
            f"{len(sent.objects)} objects are in {sent.archive}, by its own word ({sent.verified_by}).", err=True
        )
