"""What the commands share: types of their options, and progress."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

__all__ = ["CONSTANTS", "PATH", "Instant", "progress"]

PATH = click.Path(path_type=Path)

#: Sets of Y-90 constants, the default first.
CONSTANTS = click.Choice(["ddep", "icrp107", "vendor", "legacy"])


class Instant(click.ParamType[Any]):
    """An ISO 8601 instant; whether it has a zone is checked where its meaning is known."""

    name = "iso-datetime"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        from datetime import datetime

        if isinstance(value, datetime):
            return value
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not an ISO 8601 date and time such as 2024-05-02T10:15:00+02:00", param, ctx)


@contextlib.contextmanager
def progress(quiet: bool) -> Iterator[Callable[[str], None]]:
    """A spinner with the step's name, on a terminal only."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("starting") as status:
        yield status.update
