"""``voxeldose replay``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from voxeldose.cli.options import PATH, progress
from voxeldose.cli.terminal import print_json, print_lines

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["replay"]

#: Sentences shown on the terminal; the rest stands in replay.json.
_SHOWN = 20


@click.command(short_help="Repeat a run from its run.json and compare.")
@click.argument("manifest", type=PATH)
@click.option("--out", type=PATH, required=True, help="Folder for the results of the repeated run.")
@click.option("--set", "settings", multiple=True, metavar="TABLE.KEY=VALUE", help="Change a setting first; repeatable.")
@click.option("--moved", metavar="OLD=NEW", help="Start of the inputs' paths, where they have moved since.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier results folder.")
@click.option("--json", "as_json", is_flag=True, help="Print replay.json instead of sentences.")
@click.option("--quiet", is_flag=True, help="No progress and no sentences.")
def replay(
    manifest: Path, out: Path, settings: tuple[str, ...], moved: str | None, overwrite: bool, as_json: bool, quiet: bool
) -> None:
    """Repeat a run from its MANIFEST (run.json) and say what differs: settings, inputs, software, numbers."""
    pairs = [text.partition("=") for text in (*settings, *([moved] if moved is not None else []))]
    if any(not sign or not key for key, sign, _ in pairs):
        msg = "--set wants TABLE.KEY=VALUE and --moved wants OLD=NEW."
        raise click.UsageError(msg)
    with progress(quiet) as report_progress:
        report_progress("loading libraries")
        from voxeldose.jobs.replay import replay as repeat

        replayed = repeat(
            manifest,
            out,
            settings={key.strip(): value.strip() for key, _, value in pairs[: len(settings)]},
            moved=(pairs[-1][0], pairs[-1][2]) if moved is not None else None,
            overwrite=overwrite,
            progress=report_progress,
        )
    if as_json:
        print_json(replayed.content)
    elif not quiet:
        print_lines(replayed.sentences[:_SHOWN])
        if len(replayed.sentences) > _SHOWN:
            click.echo(f"… and {len(replayed.sentences) - _SHOWN} more in {out / 'replay.json'}.")
