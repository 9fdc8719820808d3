"""``voxeldose inspect``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from voxeldose.cli.options import PATH, progress
from voxeldose.cli.terminal import print_lines

if TYPE_CHECKING:
    from voxeldose.io.inspection import FoundSeries

__all__ = ["inspect"]


@click.command(short_help="What is in a folder or file, and what would be refused.")
@click.argument("path", type=PATH)
@click.option("--case-file", type=PATH, help="Write the case file that would assess what is found.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier --case-file.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def inspect(path: Path, case_file: Path | None, overwrite: bool, as_json: bool) -> None:
    """What is in a folder or file, and what voxeldose would do with it or why it would refuse.

    Ends with a draft of the case file that would assess it; --case-file writes it.
    """
    from voxeldose.errors import InputError
    from voxeldose.io.case_draft import draft_case
    from voxeldose.io.inspection import inspect as find_series
    from voxeldose.report.text import table_lines

    if case_file is not None and case_file.exists() and not overwrite:
        msg = f"{case_file}: already exists; choose another --case-file or add --overwrite."
        raise InputError(msg, code="file-exists")
    with progress(as_json) as report_progress:
        report_progress("reading")
        rows = find_series(path)
    draft = draft_case(rows, case_file.absolute().parent if case_file else Path.cwd())
    if case_file is not None:
        try:
            case_file.write_text(draft, "utf-8")
        except OSError as error:
            msg = f"{case_file}: cannot be written ({error.strerror}). Choose another --case-file."
            raise InputError(msg, code="file-unwritable") from error
    if as_json:
        click.echo(json.dumps([row.as_dict() for row in rows], indent=2, ensure_ascii=False))
        return
    print_lines(table_lines([_summary(n, row) for n, row in enumerate(rows, start=1)]))
    for n, row in enumerate(rows, start=1):
        click.echo(f"\n{n}  {row.path}")
        for title, text in _details(row):
            click.echo(f"   {title:<9} {text}")
    if case_file is not None:
        click.echo(f"\nCase file: {case_file}", err=True)
    else:
        click.echo(f"\nCase file (paths from here; --case-file writes it):\n\n{draft}", nl=False)


def _summary(n: int, row: FoundSeries) -> dict[str, str]:
    """One line of the table."""
    grid = (row.grid_text or "").removesuffix(" (k, j, i)").replace(" voxels of", ",")
    cells = {
        "": str(n),
        "kind": row.kind,
        "files": row.files,
        "vendor": row.vendor,
        "nuclide": row.nuclide,
        "units": row.units,
        "decay": row.decay,
        "grid k j i": grid,
        "use": row.uses[0] if row.uses else "none",
    }
    return {key: str(value or "-") for key, value in cells.items()}


def _details(row: FoundSeries) -> list[tuple[str, str]]:
    """What does not fit the table."""
    details = [
        ("instants", "; ".join(f"{name} {at}" for name, at in row.instants.items())),
        ("quirks", "; ".join(row.quirks)),
        ("needs", "; ".join(f"{key} ({what})" for key, what in row.needs.items())),
        ("verdict", row.verdict),
    ]
    return [(title, text) for title, text in details if text]
