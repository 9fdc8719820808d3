"""``voxeldose clean``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from voxeldose.cli.options import PATH

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["clean"]


@click.command(short_help="Remove what killed runs left behind.")
@click.argument("folder", type=PATH, default=".")
@click.option(
    "--all", "with_fetched", is_flag=True, help="Also the part of a study that the next fetch would go on from."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
def clean(folder: Path, *, with_fetched: bool, dry_run: bool) -> None:
    """Remove the hidden folders and files that killed runs left in FOLDER (here without it), beside its results.

    What a living run uses is left alone, and results are never touched: where a run was killed while it replaced results, those
    that are whole are put back first.
    """
    from voxeldose.io.results.leftovers import clean_folder

    for path, fate in clean_folder(folder, with_fetched=with_fetched, dry_run=dry_run):
        click.echo(f"{fate}: {path}")
