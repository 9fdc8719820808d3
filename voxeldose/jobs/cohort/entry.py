"""One entry of a cohort's list, and the case file it makes: cells to values, templates filled from what a study holds."""

from __future__ import annotations

import types
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from pydantic import BaseModel

from voxeldose.errors import InputError
from voxeldose.io.config.case import CaseFile, case_file_from, read_case_tables, resolve_paths
from voxeldose.io.config.toml import read_toml
from voxeldose.io.json_text import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator


__all__ = ["Entry", "build_case_file", "is_instant", "known_columns"]


@dataclass(frozen=True)
class Entry:
    """One case as listed; nothing of it has been checked but its name.

    Parameters
    ----------
    row : int
        Its place in the list, from 1.
    name : str
        Its folder: the label that the user gave, else made from where it was found, never a name of a folder or file.
    where : str
        What messages call it.
    pair : str
        Cases with the same word belong to one patient.
    case_file, template, study, protocol : str, optional
        Absolute paths: a case file, a case file with what all cases share, the folder of a study, the site's protocol.
    base : str
        The file from whose folder paths in ``cells`` are meant.
    cells : dict
        Keys of the case file as ``table.key``, with text or numbers.
    refused, refused_code : str, optional
        Why it cannot run, known from the list alone: for people, and the code of the refusal.
    """

    row: int
    name: str
    where: str
    pair: str = ""
    case_file: str | None = None
    template: str | None = None
    study: str | None = None
    protocol: str | None = None
    base: str = ""
    cells: dict[str, Any] = field(default_factory=dict)
    refused: str | None = None
    refused_code: str | None = None


def known_columns() -> dict[str, Any]:
    """Columns of a table as ``table.key`` of the case file, with the type of each."""
    return dict(_leaves(CaseFile, ""))


def is_instant(annotation: Any) -> bool:
    """Whether a column holds an instant."""
    return annotation is not None and datetime in _parts(annotation, deep=False)


def build_case_file(entry: Entry) -> CaseFile:
    """The case file of an entry, as if the user had written it; its label is the entry's name where it has none.

    Raises
    ------
    InputError
        If the entry is refused, or its case file, template, study or cells cannot be used.
    """
    if entry.refused is not None:
        raise InputError(entry.refused, code=entry.refused_code)
    tables: dict[str, Any] = {}
    if entry.study is not None and entry.template is not None:
        template = read_toml(Path(entry.template), "template")
        if isinstance(template.get("protocol"), str):
            template["protocol"] = str(Path(entry.template).parent / template["protocol"])
        tables = _fill_template(template, Path(entry.study))
    elif entry.template is not None:
        tables = read_case_tables(Path(entry.template))
    where = entry.where
    if entry.case_file is not None:
        _merge(tables, read_case_tables(Path(entry.case_file)))
        where = entry.case_file
    if entry.cells:
        _merge(tables, resolve_paths(_tables_of(entry.cells), Path(entry.base)))
    if entry.protocol is not None:
        tables["protocol"] = entry.protocol
    case = tables.setdefault("case", {})
    if isinstance(case, dict):
        case["id"] = case.get("id") or entry.name
    return case_file_from(tables, where)


def _leaves(model: type[BaseModel], above: str) -> Iterator[tuple[str, Any]]:
    """Keys with a value of their own; of lists of tables only the first of ``rois``."""
    for name, one in model.model_fields.items():
        inner = next((a for a in _parts(one.annotation) if isinstance(a, type) and issubclass(a, BaseModel)), None)
        is_list = any(get_origin(a) is list for a in _parts(one.annotation, deep=False))
        if above == "" and name == "rois" and inner is not None:
            yield from ((f"rois.{key}", sub.annotation) for key, sub in inner.model_fields.items())
        elif inner is None:
            yield f"{above}{name}", one.annotation
        elif not is_list:
            yield from _leaves(inner, f"{above}{name}.")


def _parts(annotation: Any, *, deep: bool = True) -> Iterator[Any]:
    """The types that a union offers; of lists also what they hold."""
    if get_origin(annotation) in (Union, types.UnionType):
        for part in get_args(annotation):
            yield from _parts(part, deep=deep)
        return
    yield annotation
    if deep and get_origin(annotation) is list:
        yield from _parts(get_args(annotation)[0])
    if hasattr(annotation, "__metadata__"):  # Annotated[float, Field(gt=0)]
        yield from _parts(get_args(annotation)[0], deep=deep)


def _tables_of(cells: dict[str, Any]) -> dict[str, Any]:
    tables: dict[str, Any] = {}
    known = known_columns()
    for column, cell in cells.items():
        *above, key = column.split(".")
        table = tables
        for name in above:
            table = table.setdefault(name, {})
        table[key] = _value(cell, known[column])
    if "rois" in tables:
        tables["rois"] = [tables["rois"]]
    return tables


def _value(cell: Any, annotation: Any) -> Any:
    """A cell as the case file would hold it; what fits no type stays as it is, for the check to name."""
    parts = list(_parts(annotation, deep=False))
    if not isinstance(cell, str):
        return float(cell) if isinstance(cell, int) and not isinstance(cell, bool) and float in parts else cell
    if cell[0] in "[{" and any(get_origin(a) in (list, dict) for a in parts):
        return _json(cell)
    if str in parts:
        return cell
    if bool in parts and cell.casefold() in ("true", "false"):
        return cell.casefold() == "true"
    for kind, read in ((int, int), (float, float), (datetime, datetime.fromisoformat)):
        if kind in parts:
            try:
                return read(cell)
            except ValueError:
                continue
    return cell


def _json(cell: str) -> Any:
    try:
        return parse_json(cell)
    except ValueError as error:
        msg = f'{cell!r} is not JSON ({error}); labels are written {{"1": {{"name": "liver", "role": "liver"}}}}.'
        raise InputError(msg, code="value-not-understood") from error


def _merge(tables: dict[str, Any], more: dict[str, Any]) -> None:
    """Lay tables over others, key by key; the regions are those of one of them, with labels from below where it has none."""
    for name, table in more.items():
        below = tables.get(name)
        if isinstance(table, dict) and isinstance(below, dict):
            _merge(below, table)
        elif name == "rois" and isinstance(below, list) and _has_one_table(below) and _has_one_table(table):
            tables[name] = [{**below[0], **table[0]}]
        else:
            tables[name] = table


def _has_one_table(value: object) -> bool:
    return isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict)


def _fill_template(tables: dict[str, Any], study: Path) -> dict[str, Any]:
    """A template with the paths it leaves out found in a study: the one series or file that can be each."""
    activity = tables.setdefault("activity", {})
    rois = tables.setdefault("rois", [{}])
    ct = tables.get("ct")
    tables = resolve_paths(tables, study / "case.toml")
    lacks = [
        what
        for what, table in (("activity", activity), ("ct", ct), ("rois", rois[0] if _has_one_table(rois) else None))
        if isinstance(table, dict) and "path" not in table
    ]
    if not lacks:
        return tables
    from voxeldose.io.inspection import inspect

    found = inspect(study)
    for what in lacks:
        fitting = [series for series in found if series.uses == (what,)]
        if what == "activity" and not fitting and "quantity" in activity:
            fitting = [series for series in found if "activity" in series.uses]
        if len(fitting) != 1:
            kinds = "; ".join(
                f"{Path(series.path).relative_to(study).as_posix()} ({series.kind})" for series in fitting
            )
            msg = (
                f"{study}: {len(fitting)} series or files can be the {what}{': ' + kinds if kinds else ''}; one is needed. Give "
                f"its path within each study in the template, or list the cases in a table."
            )
            raise InputError(msg, code="study-ambiguous", use=what, found=len(fitting))
        table = {"activity": activity, "ct": ct, "rois": rois[0]}[what]
        assert isinstance(table, dict)  # noqa: S101 - it lacks a path, see above
        table["path"] = fitting[0].path
        if fitting[0].series_uid is not None and what != "rois":
            table["series_uid"] = fitting[0].series_uid
    return tables
