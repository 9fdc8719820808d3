"""``voxeldose keys`` and ``voxeldose schema``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from voxeldose.io.config.reference import Key

__all__ = ["keys", "schema"]


@click.command(short_help="Every key of the case file: meaning, unit, default, example.")
@click.argument("table", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the keys as JSON.")
def keys(table: str | None, as_json: bool) -> None:
    """Keys of the case file, or of one TABLE of it such as dose or uncertainty.recovery."""
    from voxeldose.io.config.reference import ROLE_MEANINGS, case_keys

    found = case_keys(table)
    if as_json:
        click.echo(json.dumps([asdict(key) for key in found], indent=2, ensure_ascii=False))
        return
    heading = ""
    for key in found:
        if key.table != heading:
            click.echo(("\n" if heading else "") + key.table)
            heading = key.table
        click.echo(_line(key))
    if any(key.name == "role" or "role" in key.kind for key in found):
        click.echo("\nroles")
        for role, meaning in ROLE_MEANINGS.items():
            click.echo(f"  {role:<14}{meaning}")


@click.command(short_help="JSON Schema of the case file or of assessment.json.")
@click.argument("what", type=click.Choice(["case", "assessment"]))
def schema(what: str) -> None:
    """JSON Schema (draft 2020-12) of the case file's tables, or of assessment.json."""
    if what == "case":
        from voxeldose.io.config.reference import case_schema as schema_of
    else:
        from voxeldose.io.results.schema import assessment_schema as schema_of
    click.echo(json.dumps(schema_of(), indent=2, ensure_ascii=False))


def _line(key: Key) -> str:
    """A key in two or three lines."""
    facts = [
        key.kind,
        key.unit,
        "required" if key.default == "required" else f"default {key.default}" if key.default else "",
    ]
    lines = [f"  {key.name}  ({'; '.join(fact for fact in facts if fact)})", f"      {key.meaning}"]
    if key.example:
        lines.append(f"      {key.name} = {key.example}")
    return "\n".join(lines)
