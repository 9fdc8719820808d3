"""A table or a folder to the list of cases: names, no images. The list is a file, so that its length takes no memory."""

from __future__ import annotations

import csv
import difflib
import hashlib
import io
import json
import re
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from voxeldose.errors import InputError
from voxeldose.io.config.case import read_protocol
from voxeldose.io.config.toml import read_toml
from voxeldose.io.dicom.unread import dangling_link
from voxeldose.io.folders import is_dangling, walk_folders
from voxeldose.io.json_text import format_json
from voxeldose.io.results.new_folder import replacing
from voxeldose.io.text_files import read_text
from voxeldose.jobs.cohort.entry import Entry, is_instant, known_columns
from voxeldose.jobs.cohort.store import MARKER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

__all__ = ["MADE_UP", "Source", "import_extra", "write_plan"]

#: Stands in the name of a refused row alone; no name made from a label holds it.
MADE_UP = "~"

#: Tables of which a TOML file must have one to be taken for a case file.
_OF_A_CASE = frozenset({"activity", "rois", "administration"})


@dataclass(frozen=True)
class Source:
    """What the user named: a table, or a folder; and how to read it.

    Parameters
    ----------
    path : path
        CSV, TSV or Parquet; or a folder of case files, or with a template of studies.
    template : path, optional
        A case file with what all cases share.
    identifiers : bool
        Cases without a label take the path of their case file or study as one.
    protocol : path, optional
        The site's protocol, in place of one that cases name.
    zone : str, optional
        Of instants in a table that have none: a name such as Europe/Berlin, or an offset such as +02:00.
    """

    path: Path
    template: Path | None = None
    identifiers: bool = False
    protocol: Path | None = None
    zone: str | None = None


def write_plan(source: Source, out: Path, plan: Path) -> int:
    """List the cases into a file, and count them; names are unique on any file system.

    Raises
    ------
    InputError
        If there is no such table or folder, it cannot be read, or there is no case in it.
    """
    count = 0
    with replacing(plan) as partial, partial.open("w", encoding="utf-8") as file:
        for count, entry in enumerate(_unique_entries(source, out), 1):  # noqa: B007 - counted
            file.write(format_json(asdict(entry), indent=None) + "\n")
        if not count:
            raise InputError(_describe_empty(source), code="cohort-empty")
    return count


def _describe_empty(source: Source) -> str:
    if source.path.is_file():
        return f"{source.path}: the table has no rows."
    if source.template is not None:
        return f"{source.path}: there is no folder in it; with a template each folder directly below is one study."
    return (
        f"{source.path}: there is no case file (TOML with [activity], [[rois]], [administration]) in it. For folders of images "
        "give --template CASE.toml; or list the cases in a table."
    )


def _unique_entries(source: Source, out: Path) -> Iterator[Entry]:
    """The entries, with a second one of the same name refused."""
    seen: dict[str, int] = {}
    protocol = _protocol_of(source)
    for listed in _entries(source, out):
        entry = replace(listed, protocol=protocol)
        key = entry.name.casefold()
        first = seen.setdefault(key, entry.row)
        if first == entry.row:
            yield entry
            continue
        message = f"has the same label, or is the same case, as row {first}; give each case its own case.id."
        yield Entry(
            entry.row,
            f"{entry.name}{MADE_UP}row{entry.row}",
            entry.where,
            entry.pair,
            refused=f"{entry.where}: {message}",
            refused_code="name-taken",
        )


def _protocol_of(source: Source) -> str | None:
    """The absolute path of the site's protocol, after a look at its keys: wrong ones would refuse every case."""
    if source.protocol is None:
        return None
    read_protocol(source.protocol)
    return str(source.protocol.absolute())


def _entries(source: Source, out: Path) -> Iterator[Entry]:
    path = source.path.absolute()
    template = str(source.template.absolute()) if source.template is not None else None
    if source.template is not None and not source.template.is_file():
        msg = f"{source.template}: there is no such template (a case file)."
        raise InputError(msg, code="file-missing")
    if path.is_dir():
        yield from _from_studies(path, out, template, source) if template else _from_case_files(path, out, source)
    elif path.is_file():
        yield from _from_table(path, template, _zone_named(source.zone))
    else:
        msg = f"{source.path}: there is no such table or folder."
        raise InputError(msg, code="file-missing")


def _zone_named(name: str | None) -> tzinfo | None:
    """The zone of a name or an offset."""
    if name is None:
        return None
    try:
        offset = datetime.fromisoformat(f"2000-01-01T00:00{name}").tzinfo
    except ValueError:
        offset = None
    if offset is not None:
        return offset
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        msg = f"{name!r} is no time zone; give one such as Europe/Berlin, or an offset such as +02:00."
        raise InputError(msg, code="zone-unknown") from error


def _with_zone(cells: dict[str, Any], zone: tzinfo) -> dict[str, Any]:
    """Cells whose instants have a zone: that of the cell, else ``zone``."""
    known = known_columns()
    for column, cell in cells.items():
        if not isinstance(cell, str) or not is_instant(known.get(column)):
            continue
        try:
            at = datetime.fromisoformat(cell)
        except ValueError:
            continue  # refused by name when its turn comes
        if at.tzinfo is None:
            cells = {**cells, column: at.replace(tzinfo=zone).isoformat()}
    return cells


def _from_table(path: Path, template: str | None, zone: tzinfo | None) -> Iterator[Entry]:
    for row, read in enumerate(_rows(path), 1):
        cells = read if zone is None else _with_zone(read, zone)
        pair = str(cells.pop("pair", "") or "")
        wrong = cells.pop("", None)
        where = f"{path.name}, row {row}"
        given = cells.pop("case", None)
        case_file = str(path.parent / str(given)) if given is not None else None
        label = cells.get("case.id") or _label_of(case_file)
        name = _name(str(label) if label else None, json.dumps([given, cells], sort_keys=True, default=str))
        refused = code = None
        if wrong is not None:
            refused, code = f"{where}: has more cells than the table has columns.", "row-too-long"
        elif case_file is None and template is None and not cells:
            refused, code = f"{where}: is empty.", "row-empty"
        yield Entry(
            row,
            name,
            where,
            pair,
            case_file,
            template,
            base=str(path),
            cells=cells,
            refused=refused,
            refused_code=code,
        )


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows without their empty cells; ``""`` holds what lies beyond the last column."""
    if path.suffix.casefold() in (".parquet", ".pq"):
        yield from _parquet_rows(path)
        return
    try:
        text = read_text(path)
        mark = max(",;\t", key=text.partition("\n")[0].count)
        table = csv.reader(io.StringIO(text), delimiter=mark, strict=True)
        names = [name.strip() for name in next(table, [])]
        _check_columns(names, path)
        for cells in table:
            row: dict[str, Any] = {n: c.strip() for n, c in zip(names, cells, strict=False) if c.strip()}
            if any(c.strip() for c in cells[len(names) :]):
                row[""] = True
            if row:
                yield row
    except (OSError, csv.Error) as error:
        msg = f"{path}: cannot be read as CSV ({error})."
        raise InputError(msg, code="file-damaged") from error


def _parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    parquet = import_extra("pyarrow.parquet", f"{path}: to read Parquet")
    try:
        file = parquet.ParquetFile(path)
        _check_columns(file.schema_arrow.names, path)
        for batch in file.iter_batches(batch_size=500):
            for row in batch.to_pylist():
                yield {
                    n: v if isinstance(v, (str, int, float)) else v.isoformat() for n, v in row.items() if v is not None
                }
    except (OSError, AttributeError, ValueError) as error:  # pyarrow's own are among them
        msg = f"{path}: cannot be read as Parquet of text, numbers and instants ({error})."
        raise InputError(msg, code="file-damaged") from error


def import_extra(module: str, purpose: str) -> Any:
    """A module of the extra ``cohort``.

    Raises
    ------
    InputError
        If it is not installed; names the extra.
    """
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        msg = f"{purpose}, {package} is needed, and it is not installed: pip install 'voxeldose[cohort]'."
        raise InputError(msg, code="extra-missing", extra="cohort", package=package) from error


def _check_columns(names: list[str], path: Path) -> None:
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        msg = f"{path}: column {twice[0]!r} appears twice."
        raise InputError(msg, code="name-taken", column=twice[0])
    known = ["case", "pair", *known_columns()]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}."
            msg = f"{path}: unknown column {name!r}; {hint} Other facts are joined to the cohort's table by case."
            raise InputError(msg, code="key-unknown", column=name, nearest=near[0] if near else None)
    if "case" not in names and not any(n.startswith(("activity.", "rois.")) for n in names):
        msg = f"{path}: no column 'case' (case files) and none like 'activity.path', 'rois.path'; found {', '.join(names)}."
        raise InputError(msg, code="key-missing")


def _from_case_files(folder: Path, out: Path, source: Source) -> Iterator[Entry]:
    row = 0
    for place, below, files in walk_folders(folder):
        below[:] = [name for name in below if place / name != out]
        if "run.json" in files or MARKER in files:
            below.clear()
            continue
        for link in (place / name for name in files if not Path(name).suffix):
            if is_dangling(link):
                row += 1
                yield _dangling_folder(link, folder, row, source)
        names = [f for f in files if f.endswith(".toml")]
        protocols = {source.protocol.resolve()} if source.protocol is not None else set()
        protocols |= {p for file in names if (p := _named_protocol(place / file)) is not None}
        for file in names:
            path = place / file
            if path.resolve() in protocols or not _is_case_file(path):
                continue
            row += 1
            relative = path.relative_to(folder).as_posix()
            label = _label_of(str(path)) or (relative.removesuffix(".toml") if source.identifiers else None)
            pair = f"pair-{_digest(path.parent.relative_to(folder).as_posix())}"
            yield Entry(row, _name(label, relative), f"case file {row}", pair, str(path))


def _from_studies(folder: Path, out: Path, template: str, source: Source) -> Iterator[Entry]:
    found = sorted(p for p in folder.iterdir() if not p.name.startswith(".") and p != out)
    studies = [p for p in found if p.is_dir() or (is_dangling(p) and not p.suffix)]
    for row, study in enumerate(studies, 1):
        if is_dangling(study):
            yield _dangling_folder(study, folder, row, source)
            continue
        name = _name(study.name if source.identifiers else None, study.name)
        yield Entry(row, name, f"study {row}", template=template, study=str(study))


def _dangling_folder(link: Path, folder: Path, row: int, source: Source) -> Entry:
    """The row of a link that leads nowhere, where a folder of a case should be."""
    relative = link.relative_to(folder).as_posix()
    name = _name(relative if source.identifiers else None, relative)
    shown = link if source.identifiers else Path(f"linked folder {row}")
    return Entry(row, name, f"linked folder {row}", refused=str(dangling_link(shown)), refused_code="link-dangling")


def _named_protocol(path: Path) -> Path | None:
    """The protocol that a case file names, if it can be read and names one."""
    try:
        named = read_toml(path, "case file").get("protocol")
    except InputError:  # it is refused when its turn comes
        return None
    return (path.parent / named).resolve() if isinstance(named, str) else None


def _is_case_file(path: Path) -> bool:
    """Whether it is one, or might be: what cannot be read is to be refused by name, not passed over."""
    try:
        return bool(_OF_A_CASE & set(read_toml(path, "case file")))
    except InputError:
        return True


def _label_of(case_file: str | None) -> str | None:
    """``case.id`` of a case file, if it can be read and has one."""
    if case_file is None:
        return None
    try:
        label = read_toml(Path(case_file), "case file").get("case", {}).get("id")
    except (InputError, AttributeError):  # it is refused when its turn comes
        return None
    return label if isinstance(label, str) and label else None


def _name(label: str | None, otherwise: str) -> str:
    """A folder's name: the label where any file system takes it, else with a mark that tells it from its like."""
    if label is None:
        return f"case-{_digest(otherwise)}"
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", label).strip("._-")[:80]
    return plain if plain == label else f"{plain}-{_digest(label)}".lstrip("-")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:10]
