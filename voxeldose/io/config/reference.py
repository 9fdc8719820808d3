"""Every key of the case file with its meaning, unit, default and example, from the model that checks it."""

from __future__ import annotations

import difflib
import typing
from dataclasses import dataclass
from datetime import datetime
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from voxeldose.errors import InputError
from voxeldose.io.config.case import CaseFile

if typing.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["ROLE_MEANINGS", "Key", "case_keys", "case_schema", "key_lines"]

#: What each role means for the numbers.
ROLE_MEANINGS = {
    "tumor": "a tumor: T/N, tumor limits, and the goal of a plan",
    "liver": "the whole liver, with or without its tumors; normal liver is made from it",
    "normal_liver": "liver without tumors, where it is given and not made",
    "perfused": "a treated volume: what one infusion was meant to reach",
    "segment": "a part of the liver, for its own numbers",
    "lung": "lung: lung dose and shunt",
    "other": "anything else: it gets numbers and no limit",
}

#: Endings of keys, longest first, and the unit that they mean.
_UNITS = {
    "_mg_per_dl": "mg/dL",
    "_bq_per_ml": "Bq/mL",
    "_g_per_ml": "g/mL",
    "_fraction": "1 (0 to 1)",
    "_mbq": "MBq",
    "_ml": "mL",
    "_mm": "mm",
    "_kg": "kg",
    "_gy": "Gy",
    "_h": "h",
}


@dataclass(frozen=True)
class Key:
    """One key of the case file.

    Parameters
    ----------
    table : str
        As it is written: ``[dose]``, ``[[rois]]``; empty for keys that stand before every table.
    name : str
        The key.
    meaning, example : str
        For people; the example is TOML, empty where none is needed.
    unit : str
        Empty for what has none.
    kind : str
        What may stand there: a type, or the choices.
    default : str
        As TOML; empty where there is none, ``required`` where the key must be given.
    """

    table: str
    name: str
    meaning: str
    example: str
    unit: str
    kind: str
    default: str


def case_keys(table: str | None = None) -> tuple[Key, ...]:
    """Every key, in the order of the file, or those of one table.

    Parameters
    ----------
    table : str, optional
        Such as ``dose`` or ``uncertainty.recovery``.

    Raises
    ------
    InputError
        If there is no such table; names the nearest.
    """
    keys = tuple(_keys_of(CaseFile, "", is_list=False))
    if table is None:
        return keys
    wanted = table.strip("[] ")
    found = tuple(key for key in keys if key.table.strip("[]") == wanted)
    if not found:
        known = list(dict.fromkeys(key.table.strip("[]") for key in keys if key.table))
        near = difflib.get_close_matches(wanted, known, 1, 0.4)
        hint = f"did you mean {near[0]!r}" if near else f"there are {', '.join(known)}"
        msg = f"The case file has no table {wanted!r}; {hint}."
        raise InputError(msg, code="table-unknown", known=known)
    return found


def case_schema() -> dict[str, Any]:
    """JSON Schema of the case file, as of its tables in JSON."""
    return CaseFile.model_json_schema() | {"$schema": "https://json-schema.org/draft/2020-12/schema"}


def key_lines(keys: Sequence[Key]) -> list[str]:
    """The keys as plain text, by table, and what roles mean where one may stand."""
    lines: list[str] = []
    for n, key in enumerate(keys):
        if n == 0 or key.table != keys[n - 1].table:
            title = key.table or "before every table"
            lines += ["", title] if n else [title]
        given = "required" if key.default == "required" else f"default {key.default}" if key.default else ""
        lines.append(f"  {key.name}  ({'; '.join(fact for fact in (key.kind, key.unit, given) if fact)})")
        lines.append(f"      {key.meaning}")
        lines += [f"      {key.name} = {key.example}"] if key.example else []
    if any("role" in (key.name, key.kind) or "name and role" in key.kind for key in keys):
        lines += ["", "roles", *(f"  {role:<14}{meaning}" for role, meaning in ROLE_MEANINGS.items())]
    return lines


def _keys_of(model: type[BaseModel], above: str, *, is_list: bool) -> Iterator[Key]:
    below: list[tuple[type[BaseModel], str, bool]] = []
    for name, field in model.model_fields.items():
        inner, listed = _table_in(field.annotation)
        shown = field.alias or name
        if inner is not None and "dict" not in str(get_origin(_without_none(field.annotation))):
            below.append((inner, f"{above}.{shown}" if above else shown, listed))
            continue
        meaning, _, example = (field.description or "").partition("Example: ")
        yield Key(
            table=(f"[[{above}]]" if is_list else f"[{above}]") if above else "",
            name=shown,
            meaning=meaning.strip(),
            example=example.strip().rstrip(".").strip("`"),
            unit=next((unit for end, unit in _UNITS.items() if shown.endswith(end)), ""),
            kind=_kind(field.annotation),
            default=_default(field.default) if field.default_factory is None else "[]",
        )
    for inner, place, listed in below:
        yield from _keys_of(inner, place, is_list=listed)


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, UnionType):
        rest = [a for a in get_args(annotation) if a is not type(None)]
        return rest[0] if len(rest) == 1 else annotation
    return annotation


def _table_in(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The table that a key holds, and whether it holds several."""
    plain = _without_none(annotation)
    if isinstance(plain, type) and issubclass(plain, BaseModel):
        return plain, False
    if get_origin(plain) is list and isinstance(get_args(plain)[0], type) and issubclass(get_args(plain)[0], BaseModel):
        return get_args(plain)[0], True
    return None, False


_NAMES: dict[Any, str] = {
    str: "text",
    bool: "true or false",
    int: "whole number",
    float: "number",
    datetime: "instant, ISO 8601 with zone",
    dict: "table of name and role by label",
}


def _kind(annotation: Any) -> str:
    """What may stand there, in words."""
    plain = _without_none(annotation)
    origin, inner = get_origin(plain), get_args(plain)
    if origin is typing.Annotated:
        return _kind(inner[0])
    if origin in (Union, UnionType, Literal):
        choices = inner if origin is Literal else (_kind(a) for a in inner if a is not type(None))
        quoted = (f'"{a}"' if origin is Literal and isinstance(a, str) else str(a) for a in choices)
        return " | ".join(dict.fromkeys(quoted))
    if origin in (list, tuple):
        return f"list of {_kind(inner[0])}" if origin is list else f"list of {len(inner)} numbers"
    return _NAMES.get(origin or plain, str(getattr(plain, "__name__", plain)))


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)
