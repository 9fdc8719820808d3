"""A case file with every key there is: those that are set, and all others as comments with their meaning."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from voxeldose.io.config.reference import ROLE_MEANINGS, case_keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voxeldose.io.config.reference import Key

__all__ = ["commented_case"]

_HEAD = (
    "# Every key of a case file. A line that begins with # and a space explains; a # without a space stands before a key",
    "# that is not set, with its default or an example: take the # away to use it, and that of the key's table. Paths are",
    "# relative to this file. `voxeldose keys` prints the same list.",
    "",
)

#: Stands for a value of each kind where a key has neither default nor example.
_ANY = {
    "text": '"..."',
    "number": "1.0",
    "whole number": "1",
    "true or false": "true",
    "instant, ISO 8601 with zone": "2024-05-02T10:15:00Z",
}


def commented_case(tables: Mapping[str, Any]) -> str:
    """A TOML text that sets what ``tables`` sets and shows every other key as a comment.

    Parameters
    ----------
    tables : mapping
        As a case file holds them.

    Returns
    -------
    str
        A case file. Tables in which nothing is set are comments as a whole.
    """
    by_table: dict[str, list[Key]] = {}
    for key in case_keys():
        by_table.setdefault(key.table, []).append(key)
    lines = list(_HEAD)
    for table, keys in by_table.items():
        entries = _entries(tables, table.strip("[]").split(".") if table else [])
        lines += _documented(table, keys, entries[0] if entries else None)
        for entry in entries[1:]:
            lines += [table, *(f"{name} = {_toml(value)}" for name, value in entry.items()), ""]
    lines += ["# Roles:", *(f"#   {role:<14}{meaning}" for role, meaning in ROLE_MEANINGS.items()), ""]
    return "\n".join(lines)


def _documented(table: str, keys: Sequence[Key], entry: Mapping[str, Any] | None) -> list[str]:
    """One table with the meaning of each key above it."""
    lines = [table if entry is not None else f"#{table}"] if table else []
    for key in keys:
        facts = "; ".join(fact for fact in (key.kind, key.unit, _default_of(key)) if fact)
        lines.append(f"# {key.meaning} ({facts})")
        if entry is not None and key.name in entry:
            lines.append(f"{key.name} = {_toml(entry[key.name])}")
        else:
            lines.append(f"#{key.name} = {_shown(key)}")
    return [*lines, ""]


def _default_of(key: Key) -> str:
    return key.default if key.default in ("", "required") else f"default {key.default}"


def _shown(key: Key) -> str:
    """A value that the key may have: its example, its default, or any of its kind."""
    if key.example:
        return key.example
    if key.default not in ("", "required"):
        return key.default
    first = key.kind.split(" | ", maxsplit=1)[0]
    return _ANY.get(first, first)


def _entries(tables: Mapping[str, Any], path: Sequence[str]) -> list[Mapping[str, Any]]:
    """What is set in a table, or in every table of a list; nothing if the table is not there."""
    found: Any = tables
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, list) else [] if found is None else [found]


def _toml(value: Any) -> str:
    """A value in TOML; tables in line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return json.dumps(value, ensure_ascii=False)
