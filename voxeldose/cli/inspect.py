"""``voxeldose inspect``."""

from __future__ import annotations

from pathlib import Path

import click

from voxeldose.cli.idle import Idle, refuse_idle
from voxeldose.cli.options import PATH, progress
from voxeldose.cli.terminal import print_json, print_lines

__all__ = ["inspect"]


@click.command(short_help="What is in a folder or file, and what would be refused.")
@click.argument("path", type=PATH)
@click.option("--case-file", type=PATH, help="Write the case file that would assess what is found.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier --case-file.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@refuse_idle(Idle("overwrite", without="case_file", why="nothing is written"))
def inspect(path: Path, case_file: Path | None, overwrite: bool, as_json: bool) -> None:
    """What is in a folder or file, and what voxeldose would do with it or why it would refuse.

    Ends with a draft of the case file that would assess it; --case-file writes it.
    """
    from voxeldose.errors import InputError
    from voxeldose.io.case_draft import draft_case
    from voxeldose.io.inspection import inspect as find_series
    from voxeldose.io.inspection_text import inspection_lines
    from voxeldose.io.results.leftovers import leftover_lines

    if case_file is not None and case_file.exists() and not overwrite:
        msg = f"{case_file}: already exists; choose another --case-file or add --overwrite."
        raise InputError(msg, code="file-exists")
    with progress(as_json) as report_progress:
        report_progress("reading")
        found = find_series(path)
    draft = draft_case(found, case_file.absolute().parent if case_file else Path.cwd())
    if case_file is not None:
        try:
            case_file.write_text(draft, "utf-8")
        except OSError as error:
            msg = f"{case_file}: cannot be written ({error.strerror}). Choose another --case-file."
            raise InputError(msg, code="file-unwritable") from error
    if as_json:
        print_json([row.as_dict() for row in found])
        return
    print_lines(inspection_lines(found))
    print_lines(leftover_lines(path), err=True)
    if case_file is not None:
        click.echo(f"\nCase file: {case_file}", err=True)
    else:
        click.echo(f"\nCase file (paths from here; --case-file writes it):\n\n{draft}", nl=False)
