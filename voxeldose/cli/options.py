"""What the commands share: types of their options, options as a record, and progress."""

from __future__ import annotations

import contextlib
import functools
import math
import pathlib
import sys
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

__all__ = [
    "CONSTANTS",
    "DEVICE",
    "PATH",
    "DoseGrid",
    "Instant",
    "KeyValue",
    "Number",
    "as_record",
    "json_option",
    "progress",
    "require_one_of",
    "with_numbers",
]

PATH = click.Path(path_type=pathlib.Path)

#: Sets of Y-90 constants, the default first.
CONSTANTS = click.Choice(["ddep", "icrp107", "vendor", "legacy"])

DEVICE = click.Choice(["glass", "resin"])

json_option = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")


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
        raise QuantityError(msg, code="value-out-of-range", flag=flag)


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


class DoseGrid(click.ParamType[Any]):
    """Where dose is wanted: a word, or a spacing in mm."""

    name = "grid"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | float:
        if value in ("activity", "ct", "rois"):
            return str(value)
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is not activity, ct, rois or a spacing in mm", param, ctx)


class KeyValue(click.ParamType[Any]):
    """``KEY=VALUE`` as a pair; a value that reads as a number is one."""

    name = "key=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int | float | str]:
        key, sign, word = (part.strip() for part in value.partition("="))
        if not sign or not word:
            self.fail(f"{value!r} is not KEY=VALUE, such as calibration_fraction=0.05", param, ctx)
        for kind in (int, float):
            with contextlib.suppress(ValueError):
                return key, kind(word)
        return key, word


def as_record(kind: type, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Options that are fields of the dataclass ``kind`` reach the command as one record, its parameter ``name``."""
    own = [f.name for f in fields(kind)]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def call(**values: Any) -> None:
            record = kind(**{key: values[key] for key in own})
            command(**{key: value for key, value in values.items() if key not in own}, **{name: record})

        return call

    return decorate


def require_one_of(*options: tuple[str, object]) -> None:
    """Refuse the usage unless exactly one of the named options is there."""
    if sum(value is not None for _, value in options) != 1:
        msg = f"give {' or '.join(name for name, _ in options)}, exactly one."
        raise click.UsageError(msg)


@contextlib.contextmanager
def progress(quiet: bool) -> Iterator[Callable[[str], None]]:
    """A spinner with the step's name, on a terminal only."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("starting") as status:
        yield status.update
