"""``voxeldose keys`` and ``voxeldose schema``."""

from __future__ import annotations

from dataclasses import asdict

import click

from voxeldose.cli.options import json_option
from voxeldose.cli.terminal import print_json, print_lines

__all__ = ["keys", "schema"]


@click.command(short_help="Every key of the case file: meaning, unit, default, example.")
@click.argument("table", required=False)
@json_option
def keys(table: str | None, as_json: bool) -> None:
    """Keys of the case file, or of one TABLE of it such as dose or uncertainty.recovery."""
    from voxeldose.io.config.reference import case_keys, key_lines

    found = case_keys(table)
    if as_json:
        print_json([asdict(key) for key in found])
    else:
        print_lines(key_lines(found))


@click.command(short_help="JSON Schema of the case file or of assessment.json.")
@click.argument("what", type=click.Choice(["case", "assessment"]))
def schema(what: str) -> None:
    """JSON Schema (draft 2020-12) of the case file's tables, or of assessment.json."""
    if what == "case":
        from voxeldose.io.config.reference import case_schema as schema_of
    else:
        from voxeldose.io.results.schema import assessment_schema as schema_of
    print_json(schema_of())
