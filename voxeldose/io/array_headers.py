"""Text headers of NRRD and MetaImage files, and whether the bytes behind them are those that they want.

ITK fills up what is missing, passes over what is too much, checks no checksum of compressed values, and takes an origin that
is no number for 0; so all of that is looked at here before it reads.
"""

from __future__ import annotations

import bz2
import math
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["TextHeader", "bytes_wanted", "require_place", "require_values", "text_header"]

#: NRRD spaces that lie in the patient; SimpleITK turns each to LPS.
_PATIENT_SPACES = {"left-posterior-superior", "right-anterior-superior", "left-anterior-superior", "LPS", "RAS", "LAS"}
#: The most bytes of a header.
_LONGEST = 1 << 22
_CHUNK = 1 << 22
#: Names of one field of a MetaImage header.
_ALIASES = {
    "position": "offset",
    "origin": "offset",
    "rotation": "transformmatrix",
    "orientation": "transformmatrix",
    "elementsize": "elementspacing",
}
#: What must be there to know where voxels lie, by format.
_PLACED_BY = {
    "NRRD": ("space directions", "space origin"),
    "MetaImage": ("elementspacing", "offset", "transformmatrix"),
}
_NUMBER = re.compile(r"[-+]?(?:nan|inf(?:inity)?|(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class TextHeader:
    """The fields of a header by their names in lower case, and where in which file the values begin."""

    format: str
    fields: Mapping[str, str]
    data_file: Path | None
    start: int

    @property
    def is_whole(self) -> bool:
        """Whether it says how many values there are; else it is no header."""
        return "sizes" in self.fields or "dimsize" in self.fields


def text_header(path: Path) -> TextHeader:
    """The header of an NRRD or MetaImage file.

    Raises
    ------
    InputError
        If the values stand in a file that lies outside of the header's folder.
    """
    with path.open("rb") as file:
        raw = file.read(_LONGEST)
    if path.name.casefold().endswith((".nrrd", ".nhdr")):
        end = re.search(rb"\r?\n\r?\n", raw)
        fields = _fields(raw[: end.start() if end else len(raw)], ":")
        name = fields.get("data file", fields.get("datafile"))
        start = end.end() if end else len(raw)
        return TextHeader("NRRD", fields, _data_file(path, name), 0 if name else start)
    mark = re.search(rb"ElementDataFile\s*=[^\n]*(?:\n|$)", raw, re.IGNORECASE)
    fields = _fields(raw[: mark.end() if mark else len(raw)], "=")
    name = fields.get("elementdatafile", "")
    is_local = name.upper() == "LOCAL"
    start = mark.end() if mark and is_local else 0
    return TextHeader("MetaImage", fields, _data_file(path, None if is_local else name), start)


def _fields(raw: bytes, sign: str) -> dict[str, str]:
    """Fields of a header, the first of each name; comments and key/value pairs (``:=``) left out."""
    fields: dict[str, str] = {}
    for line in raw.decode("utf-8", "replace").splitlines():
        name, found, value = line.partition(sign)
        if found and not line.startswith("#") and not value.startswith("="):
            key = name.strip().casefold()
            fields.setdefault(_ALIASES.get(key, key), value.strip())
    return fields


def _data_file(path: Path, name: str | None) -> Path | None:
    """The file of the values; ``None`` where they are several, which ITK checks one by one."""
    if name is None:
        return path
    if not name or name.upper().startswith("LIST") or "%" in name:
        return None
    found = path.parent / name
    if not found.resolve().is_relative_to(path.parent.resolve()) or (found.exists() and not found.is_file()):
        msg = f"{path}: its values stand in {name}, which is no file in the folder of the header. Put it there."
        raise InputError(msg, code="data-file-outside")
    return found


def require_place(header: TextHeader, path: Path) -> None:
    """Refuse a header that does not say, in numbers and millimetres, where voxels lie.

    Raises
    ------
    InputError
        Names the field.
    """
    space = header.fields.get("space", "")
    if header.format == "NRRD" and space not in _PATIENT_SPACES:
        found = f"'space' is {space}" if space else "there is no 'space'"
        msg = f"{path}: in the NRRD header {found}, so left and right are not certain. Write it as left-posterior-superior."
        raise InputError(msg, code="place-unknown")
    for field in _PLACED_BY[header.format]:
        value = header.fields.get(field)
        if value is None:
            msg = f"{path}: the {header.format} header has no {field!r}, so nobody knows where the voxels lie. Write it whole."
            raise InputError(msg, code="place-unknown", field=field)
        numbers = [float(n) for n in _NUMBER.findall(value.replace("none", ""))]
        if not numbers or not np.isfinite(numbers).all():
            msg = f"{path}: {field!r} of the {header.format} header is {value[:80]}, which are no numbers. Write it again."
            raise InputError(msg, code="geometry-invalid", field=field)
    units = {u for u in re.findall(r'"([^"]*)"', header.fields.get("space units", "")) if u}
    other = sorted(units - {"mm", "millimeter", "millimetre", "millimeters", "millimetres"})
    if other:
        msg = f"{path}: lengths are in {', '.join(other)}, millimetres are needed."
        raise InputError(msg, code="unit-wrong", found=other)


def require_values(header: TextHeader, wanted: int, path: Path) -> None:
    """Refuse a file whose values are not the ``wanted`` bytes, or fail their checksum.

    Raises
    ------
    InputError
        If they are fewer or more, or damaged.
    """
    encoding = _encoding(header)
    if header.data_file is None or encoding == "text" or _skips(header):
        return
    if not header.data_file.is_file():
        msg = f"{path}: its values stand in {header.data_file.name}, which is not there. Copy it too."
        raise InputError(msg, code="file-missing")
    if encoding == "raw":
        there = header.data_file.stat().st_size - header.start
    else:
        try:
            there = sum(_unpacked(header.data_file, header.start, encoding, wanted))
        except (zlib.error, OSError, EOFError, ValueError) as error:
            msg = f"{path}: its compressed values are damaged ({str(error)[:100]}). Copy or write the file again."
            raise InputError(msg, code="file-damaged") from error
    if there != wanted:
        msg = f"{path}: cannot be read: its header wants {wanted} bytes of values, "
        msg += f"{'more' if there > wanted and encoding != 'raw' else there} are there. Copy or write the file again."
        raise InputError(msg, code="file-damaged")


def _encoding(header: TextHeader) -> str:
    """``raw``, ``gzip``, ``zlib``, ``bzip2`` or ``text``."""
    if header.format == "NRRD":
        stated = header.fields.get("encoding", "raw").casefold()
        known = {"raw": "raw", "gz": "gzip", "gzip": "gzip", "bz2": "bzip2", "bzip2": "bzip2"}
        return known.get(stated, "text")
    if header.fields.get("binarydata", "True").casefold() == "false":
        return "text"
    return "zlib" if header.fields.get("compresseddata", "False").casefold() == "true" else "raw"


def _skips(header: TextHeader) -> bool:
    """Whether values begin somewhere that only the reader finds."""
    keys = ("line skip", "byte skip", "lineskip", "byteskip", "headersize")
    return any(header.fields.get(key, "0") != "0" for key in keys)


def _unpacked(path: Path, start: int, encoding: str, wanted: int) -> Iterator[int]:
    """How many bytes each part of a compressed file holds, to its end and its checksum, but not far beyond ``wanted``."""
    there = 0
    with path.open("rb") as file:
        file.seek(start)
        if encoding == "bzip2":
            with bz2.open(file) as unpacked:
                while there <= wanted and (part := unpacked.read(_CHUNK)):
                    there += len(part)
                    yield len(part)
            return
        unpack = zlib.decompressobj(wbits=31 if encoding == "gzip" else 15)
        while not unpack.eof and there <= wanted:
            packed = unpack.unconsumed_tail or file.read(_CHUNK)
            found = len(unpack.decompress(packed, _CHUNK) if packed else unpack.flush())
            if not packed and not unpack.eof:
                msg = "they end too early"
                raise EOFError(msg)
            there += found
            yield found


def bytes_wanted(path: Path) -> int:
    """How many bytes of values the header wants, as ITK reads it."""
    import SimpleITK as sitk  # noqa: N813

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    item = sitk.Image([1, 1], reader.GetPixelID(), reader.GetNumberOfComponents())
    return int(math.prod(reader.GetSize())) * int(item.GetSizeOfPixelComponent()) * int(reader.GetNumberOfComponents())
