"""What the commands share: types of their options, labels, and progress."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

__all__ = ["CONSTANTS", "PATH", "Instant", "Number", "named_labels", "progress", "read_labels_json", "with_numbers"]

PATH = click.Path(path_type=Path)

#: Sets of Y-90 constants, the default first.
CONSTANTS = click.Choice(["ddep", "icrp107", "vendor", "legacy"])


class Number(click.ParamType[float]):
    """A number of a size that something measured can have: neither NaN nor infinite, and in its range if not 0.

    Raises
    ------
    QuantityError
        For any other number.
    """

    name = "float"

    def __init__(self, least: float = 1e-12, most: float = 1e12) -> None:
        self.least, self.most = least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = click.FLOAT.convert(value, param, ctx)
        if math.isfinite(number) and (number == 0 or self.least <= abs(number) <= self.most):
            return number
        from voxeldose.errors import QuantityError

        flag = param.opts[0] if param else "a number"
        msg = f"{flag} must be a number from {self.least:g} to {self.most:g}, found {value}."
        raise QuantityError(msg)


def with_numbers(command: click.Command) -> click.Command:
    """The command, with every number among its options a :class:`Number`; so for the commands of a group."""
    for option in command.params:
        if option.type is click.FLOAT:
            option.type = Number()
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        with_numbers(below)
    return command


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


def read_labels_json(path: Path) -> Any:
    """What a labels file holds: label value or name -> name and role.

    Raises
    ------
    InputError
        If it is not JSON.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        from voxeldose.errors import InputError

        msg = f'{path}: cannot be read as JSON ({error}); needed is {{"1": {{"name": "liver", "role": "liver"}}}}.'
        raise InputError(msg) from error


def named_labels(path: Path) -> dict[str, tuple[str, str]]:
    """Label value or name -> (name, role) of a labels file.

    Raises
    ------
    InputError
        If it is not JSON, or a label has no name or no role.
    """
    from voxeldose.errors import InputError

    found = read_labels_json(path)
    labels = found if isinstance(found, dict) else {}
    if not labels or not all(isinstance(v, dict) and {"name", "role"} <= v.keys() for v in labels.values()):
        msg = f'{path}: every label needs a name and a role, as in {{"1": {{"name": "liver", "role": "liver"}}}}.'
        raise InputError(msg)
    return {key: (str(v["name"]), str(v["role"])) for key, v in labels.items()}
