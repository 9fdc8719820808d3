"""``voxeldose inspect``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from voxeldose.cli.words import PATH, progress

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["inspect"]


@click.command()
@click.argument("path", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def inspect(path: Path, as_json: bool) -> None:
    """What is in a folder or file, and what voxeldose would do with it or why it would refuse."""
    from voxeldose.io.inspection import inspect as look

    with progress(as_json) as tell:
        tell("reading")
        rows = look(path)
    if as_json:
        click.echo(json.dumps(rows, indent=2, default=str, ensure_ascii=False))
        return
    for row in rows:
        facts = [row["vendor"], row["nuclide"], row["units"], row["decay"], row["grid"]]
        click.echo(f"{row['path']}")
        click.echo(f"  {row['kind']}, {row['files']} file(s); " + "; ".join(str(f) for f in facts if f))
        click.echo(f"  {row['use'] or 'not used'}: {row['verdict']}")
