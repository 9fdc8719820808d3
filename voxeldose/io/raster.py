"""Headers of NRRD and MetaImage files, and the values behind them: where they lie, unpacked once and held against their checksums.

ITK reads both, but neither looks at checksums nor asks where a header points. So a header is read here first: what holds its
values (the file itself, or files beside it) is found, measured, and unpacked to its end; only then does ITK see it.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from voxeldose.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

__all__ = ["RASTER_SUFFIXES", "RasterHeader", "beside", "data_files", "read_raster_header", "require_sound_values"]

_NRRD, _META = (".nrrd", ".nhdr"), (".mha", ".mhd")
RASTER_SUFFIXES = (*_NRRD, *_META)

Encoding = Literal["raw", "text", "hex", "zlib"]
_ENCODINGS: dict[str, Encoding] = {
    "raw": "raw",
    "txt": "text",
    "text": "text",
    "ascii": "text",
    "hex": "hex",
    "gz": "zlib",
    "gzip": "zlib",
}
#: A header is shorter than this; what goes on without an end is none.
_LONGEST_HEADER = 1 << 24
_PART = 1 << 20
#: Takes zlib and gzip streams, and checks the sum at the end of either.
_ANY_DEFLATE = 47


@dataclass(frozen=True)
class RasterHeader:
    """Fields of a header, and where its values lie.

    Parameters
    ----------
    fields : mapping
        By key in small letters and without blanks; keys and values of an NRRD's own dictionary (``:=``) are left out.
    start : int
        Byte of the file after the header.
    names : tuple of str
        Of the files that hold the values, as the header has them; none if they follow the header.
    encoding : str
        How the values are stored.
    skip : int
        Bytes to leave out before them, after unpacking; -1: they are the last in their file.
    lines : int
        Lines to leave out before that.
    """

    fields: Mapping[str, str]
    start: int
    names: tuple[str, ...] = ()
    encoding: Encoding = "raw"
    skip: int = 0
    lines: int = 0
    stated_bytes: int | None = field(default=None)


def read_raster_header(path: Path) -> RasterHeader:
    """The header of an NRRD or MetaImage file.

    Raises
    ------
    InputError
        If it has no end, says one thing twice, or its encoding is not known.
    """
    with path.open("rb") as file:
        if path.name.casefold().endswith(_NRRD):
            return _nrrd_header(file, path)
        return _meta_header(file, path)


def data_files(path: Path) -> tuple[Path, ...]:
    """The files beside a header that hold its values; none if they follow it, or if it cannot be read."""
    try:
        header = read_raster_header(path)
    except (InputError, OSError):
        return ()
    return tuple(path.parent / name for name in header.names)


def require_sound_values(path: Path, header: RasterHeader, wanted: int, items: int) -> None:
    """Unpack the values of a file and refuse them if they are not exactly what the header wants.

    Parameters
    ----------
    path : Path
        Of the header.
    header : RasterHeader
        Of it.
    wanted : int
        Bytes of all values.
    items : int
        How many values there are.

    Raises
    ------
    InputError
        If a file of values lies outside the header's folder, is no regular file, is damaged by its checksum, or holds more or
        fewer bytes.
    """
    files = [beside(path, name) for name in header.names]
    if not files:
        _require_bytes(path, header, header.start, wanted, items)
        return
    if wanted % len(files):
        raise _other_size(path, wanted, f"{len(files)} files are named")
    for file in files:
        _require_bytes(file, header, 0, wanted // len(files), items // len(files))


def beside(path: Path, name: str) -> Path:
    """A file of values, which must be a regular file in or below the folder of its header."""
    file = path.parent / name
    if not file.resolve().is_relative_to(path.parent.resolve()):
        msg = (
            f"{path}: its header points to values outside its folder. Put the file of values beside the header, as a file and not "
            "as a link, and name it without its folder."
        )
        raise InputError(msg, code="data-file-outside")
    if not file.exists():
        msg = f"{path}: the file of values that its header names is not beside it. Copy both together."
        raise InputError(msg, code="file-missing")
    if not file.is_file():
        msg = f"{path}: its header points to something that is no regular file. Put the values into a file beside the header."
        raise InputError(msg, code="data-file-outside")
    return file


def _require_bytes(file: Path, header: RasterHeader, start: int, wanted: int, items: int) -> None:
    """Refuse one file whose values are damaged, or more or fewer than wanted."""
    with file.open("rb") as opened:
        opened.seek(start)
        for _ in range(header.lines):
            opened.readline(_LONGEST_HEADER)
        if header.encoding in ("text", "hex"):
            _require_text(file, opened, header, wanted, items)
            return
        packed_from = opened.tell()
        there = sum(len(part) for part in _unpacked(file, opened, header.encoding, wanted + max(header.skip, 0)))
        packed = opened.tell() - packed_from
    if header.stated_bytes is not None and header.encoding != "raw" and packed != header.stated_bytes:
        raise _other_size(file, header.stated_bytes, f"{packed} packed bytes are there")
    needed = wanted + max(header.skip, 0)
    if there < needed or (there > needed and header.skip >= 0):
        raise _other_size(file, needed, f"{'more' if there > needed and header.encoding != 'raw' else there} are there")


def _require_text(file: Path, opened: BinaryIO, header: RasterHeader, wanted: int, items: int) -> None:
    """Refuse values written as text that are more or fewer than wanted."""
    content = opened.read()
    if header.encoding == "hex":
        there, needed = len(re.sub(rb"\s", b"", content)), 2 * wanted
    else:
        there, needed = len(content.replace(b",", b" ").split()), items
    if there != needed:
        raise _other_size(file, needed, f"{there} written values are there")


def _unpacked(file: Path, opened: BinaryIO, encoding: Encoding, most: int) -> Iterator[bytes]:
    """The content in parts, unpacked; it ends early once there is more than ``most``."""
    if encoding == "raw":
        while part := opened.read(_PART):
            yield part
        return
    unpack = zlib.decompressobj(_ANY_DEFLATE)
    total, pending = 0, b""
    try:
        while not unpack.eof and (pending := pending or opened.read(_PART)):
            part = unpack.decompress(pending, _PART)
            pending = unpack.unconsumed_tail
            total += len(part)
            yield part
            if total > most:
                return
    except zlib.error as error:
        msg = f"{file}: its packed values are damaged (the stream or its checksum is wrong). Copy or write the file again."
        raise InputError(msg, code="file-damaged") from error
    rest = unpack.unused_data + opened.read(_PART)
    if not unpack.eof or rest.strip(b"\0\r\n"):
        what = "end before their checksum" if not unpack.eof else "are followed by something else"
        msg = f"{file}: its packed values {what}. Copy or write the file again."
        raise InputError(msg, code="file-damaged")


def _other_size(path: Path, wanted: int, found: str) -> InputError:
    msg = f"{path}: cannot be read: its header wants {wanted} bytes of values, {found}. Copy or write the file again."
    return InputError(msg, code="file-damaged")


def _lines(file: BinaryIO, path: Path) -> Iterator[str]:
    """The lines of a header, without their ends; refused where it has none."""
    while line := file.readline(_LONGEST_HEADER):
        if file.tell() > _LONGEST_HEADER:
            msg = f"{path}: its header has no end within {_LONGEST_HEADER >> 20} MiB. Copy or write the file again."
            raise InputError(msg, code="file-damaged")
        yield line.decode("utf-8", "replace").rstrip("\r\n")


def _take(fields: dict[str, str], key: str, value: str, path: Path) -> None:
    """Put a field in; one that says two things is refused."""
    if fields.setdefault(key, value) != value:
        msg = f"{path}: its header says two things of {key!r}. Write the file again."
        raise InputError(msg, code="file-damaged", key=key)


def _nrrd_header(file: BinaryIO, path: Path) -> RasterHeader:
    fields: dict[str, str] = {}
    names: list[str] = []
    is_list = False
    for n, line in enumerate(_lines(file, path)):
        if n == 0 and not line.startswith("NRRD"):
            msg = f"{path}: does not begin with NRRD, so it is no NRRD file. Write it again."
            raise InputError(msg, code="file-damaged")
        if is_list:
            names += [line] if line else []
            continue
        if not line and "datafile" not in fields:
            break
        match = re.match(r"([^:]+):(?!=)\s*(.*)$", line)
        if n == 0 or line.startswith("#") or not match:
            continue
        key = match[1].strip().casefold().replace(" ", "")
        _take(fields, key, match[2].strip(), path)
        is_list = key == "datafile" and match[2].split()[:1] == ["LIST"]
    if "datafile" in fields and not is_list:
        names = _numbered(fields["datafile"], path)
    encoding = _ENCODINGS.get(fields.get("encoding", "").casefold())
    if encoding is None:
        msg = f"{path}: its encoding is none of raw, gzip, ascii and hex, which are read. Write it with gzip."
        raise InputError(msg, code="format-unknown")
    skip, lines = (_whole(fields.get(key, "0"), path, key) for key in ("byteskip", "lineskip"))
    return RasterHeader(fields, file.tell(), tuple(names), encoding, skip, lines)


def _numbered(value: str, path: Path) -> list[str]:
    """One name, or the names of a pattern with first, last and step: ``slice%03d.raw 1 20 1``."""
    match = re.fullmatch(r"(.*%\d*d.*?)\s+(-?\d+)\s+(-?\d+)\s+(-?\d+)(?:\s+\d+)?", value)
    if not match:
        return [value]
    first, last, step = (int(v) for v in match.groups()[1:])
    numbers = range(first, last + (1 if step > 0 else -1), step) if step else range(0)
    if not 0 < len(numbers) < 1 << 20:
        msg = f"{path}: the numbers of its files of values make no list. Write the file again."
        raise InputError(msg, code="file-damaged")
    place = re.search(r"%(0?)(\d*)d", match[1])
    if place is None:
        return [value]
    width = int(place[2] or 0)
    texts = [str(n).zfill(width) if place[1] else str(n).rjust(width) for n in numbers]
    return [match[1][: place.start()] + text + match[1][place.end() :] for text in texts]


def _meta_header(file: BinaryIO, path: Path) -> RasterHeader:
    fields: dict[str, str] = {}
    for line in _lines(file, path):
        key, equals, value = line.partition("=")
        if equals:
            _take(fields, key.strip().casefold(), value.strip(), path)
        if key.strip().casefold() == "elementdatafile":
            break
    place = fields.get("elementdatafile", "")
    if not place:
        msg = f"{path}: its header names no ElementDataFile, so its values are nowhere. Copy or write the file again."
        raise InputError(msg, code="file-damaged")
    start, names = file.tell(), []
    if place.split()[:1] == ["LIST"]:
        names = [line.strip() for line in _lines(file, path) if line.strip()]
    elif place.upper() != "LOCAL":
        names = _numbered(place, path)
    is_packed = fields.get("compresseddata", "").casefold() in ("true", "1")
    is_text = fields.get("binarydata", "true").casefold() in ("false", "0")
    stated = (
        _whole(fields["compresseddatasize"], path, "CompressedDataSize") if "compresseddatasize" in fields else None
    )
    skip = _whole(fields.get("headersize", "0"), path, "HeaderSize")
    encoding: Encoding = "text" if is_text else "zlib" if is_packed else "raw"
    return RasterHeader(fields, start, tuple(names), encoding, skip, 0, stated if is_packed else None)


def _whole(value: str, path: Path, key: str) -> int:
    if not re.fullmatch(r"-?\d{1,15}", value.strip()):
        msg = f"{path}: {key} in its header is no whole number. Write the file again."
        raise InputError(msg, code="file-damaged", key=key)
    return int(value)
