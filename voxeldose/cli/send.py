"""``voxeldose send``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from voxeldose.cli.options import PATH, json_option, progress
from voxeldose.cli.terminal import print_answer

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["send"]


@click.command(short_help="Results to an image archive (PACS).")
@click.argument("results", type=PATH)
@click.option("--to", "archive", required=True, metavar="ARCHIVE", help="Its address, or a TOML file of settings.")
@click.option("--kind", "kinds", multiple=True, metavar="RTDOSE|SEG|SR|DOC|…", help="Only these; repeatable.")
@click.option("--again", is_flag=True, help="Send although these results have been sent there before.")
@json_option
@click.option("--quiet", is_flag=True, help="No progress and no table.")
def send(results: Path, archive: str, *, as_json: bool, quiet: bool, **asked: Any) -> None:
    """The DICOM objects and the report of a results folder to an image archive (PACS), and whether it has them.

    ARCHIVE is https://host/dicom-web, dicom://AE@host:port, or a TOML file.
    """
    with progress(quiet) as report_progress:
        report_progress("loading libraries")
        from voxeldose.io.config.archive import read_archive
        from voxeldose.jobs.send import send_results

        sent = send_results(results, read_archive(archive), **asked, report_progress=report_progress)
    if as_json or not (quiet and sent.sent):
        print_answer(sent, as_json=as_json)
