"""What a file of results says, as a flat table of keys and values, without what two runs of one program never share."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
import pydicom

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["LEFT_OUT", "REMARKS", "Content", "digest", "read_content"]

#: Keys that are not compared, as patterns of the whole flat key, each with its reason.
LEFT_OUT = {
    "schema": "number of the format, not of the result",
    "version": "of voxeldose",
    "*.version": "of voxeldose",
    "version[[]*": "of voxeldose, a column",
    "python": "version of Python",
    "python[[]*": "version of Python, a column",
    "platform": "of the machine",
    "libraries*": "versions of libraries",
    "started_at": "time of the run",
    "finished_at": "time of the run",
    "timings_s.*": "how long the run took",
    "seconds": "how long the case took",
    "cpu_seconds": "how long the case took",
    "peak_memory_mb": "memory of the process",
    "uncertainty.seconds": "how long the samples took",
    "seconds[[]*": "how long the case took, a column",
    "cpu_seconds[[]*": "how long the case took, a column",
    "peak_memory_mb[[]*": "memory of the process, a column",
    "results": "folder of the run; within a cohort it has a random name",
    "run": "name of the run of a cohort, from its time",
    "inputs[[]*].sha256": "a DICOM file holds UIDs and codes; what the inputs hold is compared by itself",
    "inputs[[]*].bytes": "length of a file that holds UIDs and codes",
    "outputs.*": "hashes of files that hold times and versions; their contents are compared",
    "sha256": "of run.json itself, which holds times",
    "numbers.assessment_sha256": "of assessment.json with its remarks, which are compared by themselves",
    "*InstanceCreationDate": "time of the run",
    "*InstanceCreationTime": "time of the run",
    "*ContentDate": "time of the run",
    "*ContentTime": "time of the run",
    "*ContributionDateTime": "time of the run",
    "*StructureSetDate": "time of the run",
    "*StructureSetTime": "time of the run",
    "*SoftwareVersions": "versions of programs",
    "*DeviceSerialNumber": "version of voxeldose",
    "*RadionuclideCodeSequence*": "the code that names the nuclide, not a number of the study",
    "radiobiology.*": "parameter sets by role, which stand in assessment.json since schema 2",
}

#: Words of a key whose values are sentences for people: counted and shown where they differ, never judged.
REMARKS = frozenset(
    {"assumptions", "warnings", "warning_count", "sentences", "message", "sources", "meaning", "quirks"}
)

_WORDS = re.compile(r"[^.\[\]]+")
_UID = re.compile(r"\b\d+(?:\.\d+){6,}\b")
_PARTIAL = re.compile(r"/\.([\w-]+)\.partial-[^/\s]+")
_TABLE = re.compile(r"\bvoxeldose/[\w./-]*tables/")
_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_FREE_TEXT = frozenset({"LT", "ST", "UT"})


@dataclass(frozen=True, slots=True)
class Content:
    """Of one file: every compared value as text by its key, and the sentences that are only counted."""

    values: dict[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def read_content(path: Path, roots: Sequence[Path] = ()) -> Content:
    """Read what is compared of a file; nothing but its existence for pages, pictures and what is for people.

    Parameters
    ----------
    path : Path
        NIfTI, npz, DICOM, JSON, CSV, Parquet or TOML; anything else is known by its existence.
    roots : sequence of Path
        Folders whose names in a text stand for the same place.

    Returns
    -------
    Content
        Numbers as Python writes them, which is exact; arrays as the hash of their bytes with dtype, shape and affine.
    """
    values: dict[str, str] = {}
    remarks: list[str] = []
    for key, value in _pairs(path):
        if words := REMARKS.intersection(_WORDS.findall(key)):
            remarks += [] if "warning_count" in words else [_in_place(text, roots) for text in _sentences(value)]
        elif not any(fnmatchcase(key, pattern) for pattern in LEFT_OUT):
            values[key] = _in_place(_text(value), roots)
    return Content(values, tuple(remarks))


def digest(content: Content) -> str:
    """SHA-256 of every compared key and value."""
    return hashlib.sha256(json.dumps(sorted(content.values.items())).encode()).hexdigest()


def _pairs(path: Path) -> Iterator[tuple[str, Any]]:
    if path.name.endswith(".nii.gz"):
        yield from _nifti_pairs(path)
    elif path.suffix == ".npz":
        with np.load(path) as arrays:
            for name in arrays.files:
                yield from _array_pairs(arrays[name], f"{name}.")
    elif path.suffix == ".dcm":
        yield from _dicom_pairs(path)
    elif path.suffix == ".json":
        yield from _json_file_pairs(path)
    elif path.suffix == ".csv":
        yield from _csv_pairs(path)
    elif path.suffix == ".parquet":
        yield from _parquet_pairs(path)
    elif path.suffix == ".toml":
        yield from ((f"line {n}", line) for n, line in enumerate(path.read_text("utf-8").splitlines(), 1))


def _array_pairs(array: NDArray[Any], before: str = "") -> Iterator[tuple[str, Any]]:
    yield f"{before}dtype", array.dtype.str
    yield f"{before}shape", str(array.shape)
    yield f"{before}array", hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _nifti_pairs(path: Path) -> Iterator[tuple[str, Any]]:
    image = nibabel.load(path)
    yield from _array_pairs(np.asanyarray(image.dataobj))
    yield "affine", str(image.affine.tolist())
    yield "units", str(image.header.get_xyzt_units())


def _json_file_pairs(path: Path) -> Iterator[tuple[str, Any]]:
    text = path.read_text("utf-8")
    try:
        content = json.loads(text)
    except ValueError:
        yield "text", text
    else:
        yield from _json_pairs(content, "")


def _json_pairs(content: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Leaves by key; an empty object or list is a leaf, and so is everything below a key of :data:`REMARKS`."""
    if content and isinstance(content, dict | list) and not REMARKS.intersection(_WORDS.findall(key)):
        pairs = content.items() if isinstance(content, dict) else enumerate(content)
        for part, value in pairs:
            inner = f"{key}[{part}]" if isinstance(content, list) else f"{key}.{part}".removeprefix(".")
            yield from _json_pairs(value, inner)
    else:
        yield key, content if isinstance(content, str | dict | list) else json.dumps(content)


def _csv_pairs(path: Path) -> Iterator[tuple[str, Any]]:
    """Each cell by column and line, or each line where the file has no header."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = [line for line in csv.reader(file) if line]
    yield "lines", str(len(lines))
    if not lines or any(_is_number(cell) for cell in lines[0]) or len(set(lines[0])) < len(lines[0]):
        yield from ((f"line {n}", ",".join(line)) for n, line in enumerate(lines, 1))
        return
    for n, line in enumerate(lines[1:], 2):
        for column, cell in enumerate(line):
            yield f"{lines[0][column] if column < len(lines[0]) else column}[{n}]", cell


def _parquet_pairs(path: Path) -> Iterator[tuple[str, Any]]:
    if find_spec("pyarrow") is None:  # an optional part of voxeldose: without it no such file is written
        return
    from pyarrow import parquet

    table = parquet.read_table(path)
    for column in table.schema:
        if column.name not in REMARKS:
            yield f"type of {column.name}", str(column.type)
    for name, cells in table.to_pydict().items():
        yield from ((f"{name}[{n}]", cell if isinstance(cell, str) else repr(cell)) for n, cell in enumerate(cells))


def _dicom_pairs(path: Path) -> Iterator[tuple[str, Any]]:
    header = pydicom.dcmread(path)
    if "PixelData" in header:
        yield from _array_pairs(header.pixel_array)
    yield from _element_pairs(header, "")


def _element_pairs(header: Any, before: str) -> Iterator[tuple[str, Any]]:
    """Elements by their keywords: all but UIDs and pixel data, which is compared as an array; free text is a remark."""
    for element in header:
        key = f"{before}{element.keyword or element.tag}"
        if element.VR == "SQ":
            for n, item in enumerate(element.value):
                yield from _element_pairs(item, f"{key}[{n}].")
        elif element.VR in _BINARY:
            if element.keyword != "PixelData":
                yield key, hashlib.sha256(element.value or b"").hexdigest()
        elif element.VR in _FREE_TEXT:
            yield f"{key}.sentences", str(element.value)
        elif element.VR != "UI":
            many = element.value if element.VM > 1 else [element.value]
            yield key, "\\".join(str(value) for value in many)


def _sentences(value: Any) -> list[str]:
    """Sentences of a remark, whether it is a text or an object with a code and a sentence."""
    if isinstance(value, list):
        return [text for item in value for text in _sentences(item)]
    if isinstance(value, dict):
        found = [value[name] for name in ("message", "sentence", "text") if isinstance(value.get(name), str)]
        return found[:1] or [json.dumps(value, sort_keys=True)]
    return [str(value)] if value not in (None, "", "null", "None") else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _in_place(text: str, roots: Sequence[Path]) -> str:
    """The text with every folder of ``roots``, UID and place inside the package under one name: they may move."""
    for root in roots:
        text = text.replace(str(root), "ROOT")
    return _TABLE.sub("TABLES/", _UID.sub("UID", _PARTIAL.sub(r"/\1", text)))
