"""Labels files (JSON): what the values of a label map, or the names of masks, are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voxeldose.errors import InputError
from voxeldose.io.json_text import parse_json
from voxeldose.io.text_files import read_text

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["named_labels", "read_labels_file"]


def read_labels_file(path: Path) -> Any:
    """What a labels file holds: label value or name -> name and role.

    Raises
    ------
    InputError
        If it is not JSON.
    """
    try:
        return parse_json(read_text(path))
    except (OSError, ValueError) as error:
        msg = f'{path}: cannot be read as JSON ({error}); needed is {{"1": {{"name": "liver", "role": "liver"}}}}.'
        raise InputError(msg, code="file-damaged") from error


def named_labels(path: Path) -> dict[str, tuple[str, str]]:
    """Label value or name -> (name, role) of a labels file.

    Raises
    ------
    InputError
        If it is not JSON, or a label has no name or no role.
    """
    content = read_labels_file(path)
    labels = content if isinstance(content, dict) else {}
    if not labels or not all(isinstance(v, dict) and {"name", "role"} <= v.keys() for v in labels.values()):
        msg = f'{path}: every label needs a name and a role, as in {{"1": {{"name": "liver", "role": "liver"}}}}.'
        raise InputError(msg, code="label-incomplete")
    return {
        key: (str(v["name"]), "perfused" if v.get("treated") is True else str(v["role"])) for key, v in labels.items()
    }
