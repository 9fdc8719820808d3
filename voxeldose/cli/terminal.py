"""Answers on the terminal: results on stdout, what the reader is told besides on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from voxeldose.model.remarks import Remark
    from voxeldose.planning.answers.facts import Answer

__all__ = ["print_answer", "print_json", "print_lines", "print_warnings"]


def print_answer(answer: Answer, *, as_json: bool) -> None:
    """As JSON, or as text with its notes."""
    if as_json:
        print_json(answer.as_dict())
        return
    print_lines(answer.lines())
    print_lines(answer.notes(), err=True)


def print_json(content: Any) -> None:
    """JSON that any parser reads."""
    from voxeldose.io.json_text import format_json
    from voxeldose.io.results.assessment import plain

    click.echo(format_json(plain(content)))


def print_lines(lines: Iterable[str], *, err: bool = False) -> None:
    """Each on its own line, with its tabs; what a header or a name brings along cannot become a command of the terminal."""
    from voxeldose.io.dicom.header import printable

    for line in lines:
        rows = (row.split("\t") for row in line.split("\n"))
        click.echo("\n".join("\t".join(map(printable, cells)) for cells in rows), err=err)


def print_warnings(remarks: Iterable[Remark]) -> None:
    """What is warned of on stderr, a line per kind, the most harmful first."""
    from voxeldose.model.remark_groups import texts_of

    print_lines((f"warning: {text}" for text in texts_of(remarks)), err=True)
