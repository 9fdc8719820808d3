"""``python -m data_fetch``: public data sets, fetched and checked."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Self

import click

from data_fetch.catalogue import catalogue, entry
from voxeldose.errors import VoxeldoseError

#: As everywhere in voxeldose: 3 is a refusal, 2 (wrong usage) is click's own.
REFUSED = 3

_to = click.option("--to", type=click.Path(path_type=Path), help="Folder of all sets (default: the user's cache).")


class _Refusing(click.Group):
    """Turns refusals into one line and exit code 3."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except VoxeldoseError as error:
            click.echo(f"data_fetch: {error}", err=True)
            raise click.exceptions.Exit(REFUSED) from None


@click.group(cls=_Refusing, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Public data sets for trying and validating voxeldose. Nothing is fetched unless asked for."""


@main.command("list")
def list_sets() -> None:
    """Every set: name, licence, size, how it is fetched, title. Needs no network."""
    for name, found in catalogue().items():
        click.echo(f"{name:30s} {found.licence:16s} {found.size:>10s}  {found.method:14s} {found.title}")


@main.command()
@click.argument("name")
def info(name: str) -> None:
    """All that is known of one set. Needs no network."""
    for key, value in entry(name).model_dump(exclude_none=True).items():
        if isinstance(value, tuple):
            for item in value:
                click.echo(f"{key}: " + ", ".join(f"{k} {v}" for k, v in item.items() if v not in (None, False)))
        else:
            click.echo(f"{key}: {value}")


@main.command()
@click.argument("name")
@_to
@click.option("--accept-licence", is_flag=True, help="Do not ask about a non-commercial or unknown licence.")
@click.option("--quiet", is_flag=True, help="No progress.")
def get(name: str, to: Path | None, accept_licence: bool, quiet: bool) -> None:
    """Fetch a set, check it, and go on where an earlier run stopped."""
    found = entry(name)
    click.echo(f"{found.title}\nLicence {found.licence}; cite: {found.citation}; size {found.size}", err=True)
    if found.is_non_commercial and found.method != "manual" and not accept_licence:
        click.confirm(f"{found.licence}: I may use it under this licence", abort=True, err=True)
    from data_fetch.store import default_folder
    from data_fetch.store import get as fetch

    with _Bar(quiet) as bar:
        folder = fetch(name, to or default_folder(), tell=bar.tell, progress=bar.update)
    click.echo(str(folder))


@main.command()
@click.argument("name")
@_to
def verify(name: str, to: Path | None) -> None:
    """Compare every file of a set with its recorded SHA-256."""
    from data_fetch.store import default_folder
    from data_fetch.store import verify as check

    states = check(name, to or default_folder())
    for file, state in states:
        click.echo(f"{state:8s} {file}")
    if any(state != "ok" for _, state in states):
        click.echo(
            f"data_fetch: not every file is sound; python -m data_fetch get {name} fetches them again.", err=True
        )
        raise click.exceptions.Exit(REFUSED)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--set", "name", help="Which set, if the file's name does not tell.")
@_to
def register(file: Path, name: str | None, to: Path | None) -> None:
    """Check and record a file that you downloaded yourself, of a set behind a login."""
    from data_fetch.store import default_folder
    from data_fetch.store import register as record

    known, sha256 = record(file, to or default_folder(), name)
    click.echo(f"{known}: {file.name}, SHA-256 {sha256}")


class _Bar:
    """Progress on a terminal, lines elsewhere."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._live: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

            columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
            self._live = Progress(*columns, console=Console(stderr=True))
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def tell(self, words: str) -> None:
        if self._live is not None:
            self._live.console.print(words)
            self._task = None
        elif not self._quiet:
            click.echo(words, err=True)

    def update(self, have: int, total: int | None) -> None:
        if self._live is None:
            return
        if self._task is None:
            self._task = self._live.add_task("", total=total)
        self._live.update(self._task, completed=have, total=total)


if __name__ == "__main__":
    main(prog_name="python -m data_fetch")
