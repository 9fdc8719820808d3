"""JSON to and from text, safe for what users and file systems hand in."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["format_json", "parse_json", "read_json"]

#: What Python makes of a byte in a file's name that is not UTF-8; no UTF-8 text can hold it.
_SURROGATES = re.compile("[\ud800-\udfff]")


def parse_json(text: str) -> Any:
    """What a JSON text holds.

    Raises
    ------
    ValueError
        If it is not JSON, a number has too many digits, or it is nested deeper than can be read.
    """
    try:
        return json.loads(text)
    except RecursionError:
        msg = "it is nested too deeply"
        raise ValueError(msg) from None


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises
    ------
    OSError, ValueError
        If it cannot be read; if it is not UTF-8 or not JSON, as in :func:`parse_json`.
    """
    return parse_json(path.read_text("utf-8-sig"))


def format_json(content: Any, *, indent: int | None = 2) -> str:
    """JSON that any parser reads: no NaN; a file's name that is not UTF-8 stands escaped and is the same when read back."""
    text = json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False)
    return _SURROGATES.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
