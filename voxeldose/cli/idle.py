"""Options that cannot act are an error: rules that stand at each command, checked before it runs."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Idle", "refuse_idle"]


@dataclass(frozen=True)
class Idle:
    """Options that do nothing in some form of a command.

    Parameters
    ----------
    options : str
        Names of parameters, separated by spaces.
    beside : str
        They do nothing where one of these is given.
    without : str
        They do nothing where none of these is given; looked at where ``beside`` is empty.
    why : str
        What decides in their place, as the rest of a sentence.
    """

    options: str
    beside: str = ""
    without: str = ""
    why: str = ""

    def message(self, ctx: click.Context) -> str | None:
        """What is wrong with what was given; ``None`` if nothing is."""
        idle = _given(ctx, self.options.split())
        beside = _given(ctx, self.beside.split())
        if not idle or (not beside if self.beside else _given(ctx, self.without.split())):
            return None
        named = " and ".join(_flag(ctx, name) for name in idle)
        form = f"with {_flag(ctx, beside[0])}" if self.beside else f"without {_either(ctx, self.without.split())}"
        verb = "does" if len(idle) == 1 else "do"
        way_out = "leave it out." if len(idle) == 1 else "leave them out."
        return f"{named} {verb} nothing {form}{f': {self.why}' if self.why else ''}; {way_out}"


def refuse_idle(*rules: Idle) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Check these rules before the command runs; an option that would do nothing is wrong usage."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def call(*args: Any, **values: Any) -> None:
            ctx = click.get_current_context()
            for rule in rules:
                if message := rule.message(ctx):
                    raise click.UsageError(message)
            command(*args, **values)

        return call

    return decorate


def _given(ctx: click.Context, names: Iterable[str]) -> list[str]:
    """Those of the parameters that the command line gives, whatever their value."""
    known = {param.name for param in ctx.command.params}
    if unknown := [name for name in names if name not in known]:
        msg = f"{ctx.command.name} has no parameter {', '.join(unknown)}"
        raise LookupError(msg)
    defaults = (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP, None)
    return [name for name in names if ctx.get_parameter_source(name) not in defaults]


def _flag(ctx: click.Context, name: str) -> str:
    param = next(p for p in ctx.command.params if p.name == name)
    return param.opts[0] if isinstance(param, click.Option) else param.human_readable_name


def _either(ctx: click.Context, names: list[str]) -> str:
    return " or ".join(_flag(ctx, name) for name in names)
