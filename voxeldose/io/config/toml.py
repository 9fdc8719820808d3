"""TOML files with a schema: reading them, and errors that name the key and the nearest known one."""

from __future__ import annotations

import difflib
import re
import tomllib
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voxeldose.errors import InputError
from voxeldose.io.text_files import read_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = [
    "Fraction",
    "NotNegative",
    "Positive",
    "Table",
    "check_part",
    "read_toml",
    "table_from",
    "table_from_json",
]

#: A drive or share in double quotes, with single backslashes; and any backslash between double quotes.
_WINDOWS_PATH = re.compile(r"""[=\[,{]\s*"(?:[A-Za-z]:\\(?!\\)|\\\\[A-Za-z0-9._-]+\\(?!\\))""")
_WITH_BACKSLASH = re.compile(r'"[^"\n]*\\[^"\n]*"')
_BACKSLASHES = " In double quotes a backslash begins an escape: write paths with / or in single quotes, as in path = 'C:\\data\\pet'."

#: From 0 to just below 1.
Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class Table(BaseModel):
    """A table whose keys are all known, of the type they say, finite, and not changed after reading.

    The docstring under a key is its meaning for users (``voxeldose keys``); it may end with ``Example: `…`.``
    """

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


T = TypeVar("T", bound=Table)


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The tables of a TOML file, as they stand there.

    Parameters
    ----------
    path : path
        The file.
    what : str
        What the file is, for the message, as in "case file".

    Raises
    ------
    InputError
        If there is no such file or it is not TOML.
    """
    text = ""
    try:
        text = read_text(path)
        _require_escaped_paths(text, path)
        tables = tomllib.loads(text)
    except FileNotFoundError as error:
        msg = f"{path}: there is no such {what}."
        raise InputError(msg, code="file-missing") from error
    except (OSError, ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else error
        msg = f"{path}: cannot be read as TOML ({why}).{_BACKSLASHES if _WITH_BACKSLASH.search(text) else ''}"
        raise InputError(msg, code="file-damaged") from error
    key = _key_with_nul(tables)
    if key is not None:
        msg = f"{path}: {key} holds the character NUL, which no name or path has; write the text without it."
        raise InputError(msg, code="value-wrong", keys=(key,))
    return tables


def _require_escaped_paths(text: str, path: Path) -> None:
    r"""Refuse a Windows path whose backslashes are escapes of TOML: ``"C:\new"`` would hold a line feed, and no error."""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.lstrip().startswith("#") and _WINDOWS_PATH.search(line):
            msg = f"{path}: line {number} holds a Windows path with backslashes.{_BACKSLASHES}"
            raise InputError(msg, code="path-with-backslashes", line=number)


def _key_with_nul(value: object, key: str = "") -> str | None:
    """The first key whose text, or that of a key below it, holds NUL."""
    if isinstance(value, str):
        return key if "\0" in value else None
    if isinstance(value, dict):
        parts = [(name, f"{key}.{name}".lstrip(".")) for name in value]
        hidden = next((at.replace("\0", "�") for name, at in parts if "\0" in name), None)
        return hidden or next(filter(None, (_key_with_nul(value[name], at) for name, at in parts)), None)
    if isinstance(value, list):
        return next(filter(None, (_key_with_nul(item, f"{key}.{at}") for at, item in enumerate(value))), None)
    return None


def table_from(model: type[T], tables: dict[str, Any], where: str) -> T:
    """The tables as ``model``, with types and limits checked.

    Raises
    ------
    InputError
        Names every wrong key, what was found, and for an unknown one the nearest known.
    """
    try:
        return model.model_validate(tables)
    except ValidationError as error:
        raise _refusal(error.errors(), model, tables, where) from None


def check_part(model: type[Table], tables: Mapping[str, Any], where: str) -> None:
    """Check the keys and values that are there; keys that ``model`` needs may be missing.

    Raises
    ------
    InputError
        As of :func:`table_from`.
    """
    try:
        model.model_validate(dict(tables))
    except ValidationError as error:
        problems = [one for one in error.errors() if one["type"] != "missing"]
        if problems:
            raise _refusal(problems, model, tables, where) from None


def table_from_json(model: type[T], tables: dict[str, Any], where: str) -> T:
    """As :func:`table_from`, for tables that went through JSON and hold instants as text."""
    try:
        return model.model_validate(tables, strict=False)
    except ValidationError as error:
        raise _refusal(error.errors(), model, tables, where) from None


#: What pydantic calls a problem -> what the refusal is called; any other is a value that cannot be.
_CODES = {"extra_forbidden": "key-unknown", "missing": "key-missing"}


def _refusal(problems: Sequence[Any], model: type[Table], tables: object, where: str) -> InputError:
    """One refusal of all problems; its code is that of the first, ``keys`` are those of all."""
    sentences = dict.fromkeys(_describe(p, model, tables) for p in problems)
    keys = tuple(dict.fromkeys(_dotted(_place(p, tables)) for p in problems))
    return InputError(
        f"{where}: " + "; ".join(sentences) + ".", code=_CODES.get(problems[0]["type"], "value-wrong"), keys=keys
    )


def _dotted(place: list[Any]) -> str:
    return ".".join(str(p) for p in place)


def _describe(problem: Any, model: type[Table], tables: object) -> str:
    place = _place(problem, tables)
    key, entry = _dotted(place), _entry_name(tables, place)
    if problem["type"] == "extra_forbidden":
        known = sorted(_known_keys(model, place[:-1]))
        near = difflib.get_close_matches(str(place[-1]), known, 1, 0.4)
        hint = f"did you mean {near[0]!r}" if near else f"known keys are {', '.join(known)}"
        return f"unknown key {key!r}{entry}, {hint}"
    if problem["type"] == "missing":
        return f"{key}{entry} is missing"
    return f"{key}{entry}: {problem['msg'][0].lower()}{problem['msg'][1:]}, found {problem['input']!r}"


def _place(problem: Any, tables: object) -> list[Any]:
    """Keys and numbers down to the problem, without pydantic's names of the types that it tried."""
    place = []
    for step in problem["loc"]:
        known = (
            step in tables
            if isinstance(tables, dict)
            else isinstance(tables, (list, tuple)) and isinstance(step, int) and step < len(tables)
        )
        if known:
            tables = tables[step]  # type: ignore[index]  # a table or a list, as just seen
        if known or (problem["type"] == "missing" and step == problem["loc"][-1]):
            place.append(step)
    return place


def _entry_name(tables: object, place: list[Any]) -> str:
    """The name of the entry that a problem lies in, where its list of tables gives names."""
    for at in place[:-1]:
        try:
            tables = tables[at]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            return ""
    name = (
        tables.get("name")
        if isinstance(tables, dict) and isinstance(place[-2] if len(place) > 1 else "", int)
        else None
    )
    return f" ({name})" if isinstance(name, str) else ""


def _known_keys(model: type[Table], place: list[Any]) -> set[str]:
    table: type[BaseModel] = model
    for name in place:
        field = table.model_fields.get(str(name))
        if field is not None:
            table = next(_models(field.annotation), table)
    return {field.alias or name for name, field in table.model_fields.items()}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every model in a type such as ``list[RoisTable] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
