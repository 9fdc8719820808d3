"""``assessment.json`` read back, of this schema and of the one before: the one loader of results.

Schema 1 held assumptions and warnings as sentences alone and did not state the radiobiological sets of a run. What is handed
out has the shape of schema 2, whichever was read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voxeldose.errors import InputError
from voxeldose.io.json_text import read_json
from voxeldose.model.remarks import Remark

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = [
    "SCHEMA",
    "SCHEMAS",
    "UNCLASSIFIED",
    "messages_of",
    "numbers_of",
    "read_content",
    "remark_rows",
    "remarks_of",
    "upgrade_remarks",
]

SCHEMA = "voxeldose/assessment/2"
#: What is read, the newest last.
SCHEMAS = ("voxeldose/assessment/1", SCHEMA)

#: Code of a remark of which only the sentence is known.
UNCLASSIFIED = "unclassified"

_LISTS = ("assumptions", "warnings")


def read_content(path: Path) -> dict[str, Any]:
    """Content of ``assessment.json``, remarks as objects also where schema 1 had sentences.

    Parameters
    ----------
    path : Path
        A results folder, or the file.

    Returns
    -------
    dict
        As written, but for the remarks; ``schema`` says which schema the file has.

    Raises
    ------
    InputError
        ``file-missing``, ``file-damaged`` or ``results-schema``.
    """
    file = path / "assessment.json" if path.is_dir() else path
    way_out = "Give the folder, or the assessment.json, of a run of voxeldose assess."
    try:
        content = read_json(file)
    except (OSError, ValueError) as error:
        msg = f"{file}: cannot be read as the results of an assessment ({error}). {way_out}"
        raise InputError(
            msg, code="file-missing" if isinstance(error, FileNotFoundError) else "file-damaged"
        ) from error
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema not in SCHEMAS:
        msg = f"{file}: is no assessment of voxeldose (schema {' or '.join(SCHEMAS)} is needed, found {schema!r}). {way_out}"
        raise InputError(msg, code="results-schema", found=schema, needed=SCHEMAS)
    upgraded: dict[str, Any] = upgrade_remarks(content)
    if isinstance(uncertainty := upgraded.get("uncertainty"), dict):
        upgraded["uncertainty"] = upgrade_remarks(uncertainty)
    return upgraded


def upgrade_remarks(content: Mapping[str, Any]) -> dict[str, Any]:
    """The same content with every assumption and warning as an object; a sentence alone gets the code ``unclassified``."""
    upgraded = dict(content)
    for key in _LISTS:
        if isinstance(rows := upgraded.get(key), list):
            upgraded[key] = [
                row if isinstance(row, dict) else {"code": UNCLASSIFIED, "message": str(row), "numbers": {}}
                for row in rows
            ]
    return upgraded


def remark_rows(remarks: Iterable[Remark]) -> list[dict[str, Any]]:
    """Remarks as JSON holds them."""
    return [{"code": r.code, "message": r.sentence, "numbers": dict(r.numbers)} for r in remarks]


def remarks_of(rows: Iterable[Mapping[str, Any]]) -> tuple[Remark, ...]:
    """Remarks from what JSON holds of them."""
    return tuple(Remark(str(r["code"]), dict(r.get("numbers") or {}), str(r["message"])) for r in rows)


def messages_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The sentences of remarks that JSON holds, for people."""
    return [str(row["message"]) for row in rows]


def numbers_of(content: Mapping[str, Any], *, schema: str = SCHEMA) -> dict[str, Any]:
    """What two runs are compared by: everything but words for people, facts for the report, the version, and how long it took.

    With the ``schema`` of an earlier run only what that held: schema 1 had no numbers of remarks and no parameter sets.
    """
    left_out = {"schema", "version", "reported", *(() if schema == SCHEMA else (*_LISTS, "radiobiology"))}
    numbers = _bare(content, left_out)
    if isinstance(uncertainty := numbers.get("uncertainty"), dict):
        numbers["uncertainty"] = _bare(uncertainty, left_out | {"seconds"})
    return numbers


def _bare(content: Mapping[str, Any], left_out: set[str]) -> dict[str, Any]:
    """Without some keys, and of remarks codes and numbers alone."""
    kept = {key: value for key, value in content.items() if key not in left_out}
    return kept | {
        key: [{"code": row["code"], "numbers": row["numbers"]} for row in kept[key]] for key in _LISTS if key in kept
    }
