"""What lies among slices and cannot be read as one: links that lead nowhere, packed files, empty files, lists of files.

A slice that is passed over in silence makes a shorter volume, which nothing shows if it was the last. So what has the name of a
slice and is none bars its series, with the way out; notes, pictures and other people's files do not.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from voxeldose.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["dangling_link", "may_be_slice", "packed_or_list", "unread_among"]

_SLICE_SUFFIXES = {"", ".dcm", ".ima", ".img", ".dicom"}
#: First bytes of one packed file, and of archives of many.
_PACKED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x1f\x9d": "compress",
}
_ARCHIVES = {b"PK\x03\x04": "zip", b"PK\x05\x06": "zip", b"7z\xbc\xaf": "7z", b"Rar!": "rar"}
_PACKED_SUFFIXES = {".gz", ".bz2", ".xz", ".zst", ".z"}
_DIRECTORY = "1.2.840.10008.1.3.10"
#: Names that lie beside slices and are none.
_OTHERS = re.compile(
    r"(readme|license|licence|lockfile|version|changes?|manifest|index|autorun|makefile)\w*", re.IGNORECASE
)


def may_be_slice(path: Path) -> bool:
    """Whether a name can be that of a DICOM file: no suffix, one of DICOM's, or a number, as the last part of a UID."""
    suffix = path.suffix.casefold()
    return (suffix in _SLICE_SUFFIXES or suffix[1:].isdigit()) and not _OTHERS.fullmatch(path.stem)


def dangling_link(path: Path) -> InputError:
    """The refusal of a link that leads nowhere."""
    msg = (
        f"{path}: this link leads nowhere, so its series may be incomplete. Bring the content that it points to (git annex get, "
        "datalad get, the drive that is not there), or remove the link."
    )
    return InputError(msg, code="link-dangling", path=str(path))


def unread_among(unknown: Iterable[Path], read: set[Path]) -> Iterator[InputError]:
    """What bars series among files that are no DICOM: packed or empty slices, and slices that a DICOMDIR lists in vain.

    Parameters
    ----------
    unknown : iterable of Path
        Files that could not be read as DICOM.
    read : set of Path
        Those that were.
    """
    patterns = {(path.parent, _pattern(path)) for path in read}
    for path in unknown:
        if (name := _packing_of(path)) is not None and may_be_slice(Path(path.stem)):
            yield _packed(path, name)
        elif may_be_slice(path) and (path.parent, _pattern(path)) in patterns:
            msg = (
                f"{path}: {_size(path)} that are no DICOM, under the name of a slice, so its series may be incomplete. Copy or export "
                "the file again, or remove it."
            )
            yield InputError(msg, code="file-damaged", path=str(path))
        elif path.name.upper() == "DICOMDIR" and read:
            yield from _missing_of(path, read)


def packed_or_list(path: Path) -> InputError | None:
    """Why a file that holds no DICOM may hold some all the same: it is an archive, packed, or a DICOMDIR."""
    name = _packing_of(path) or _archive_of(path)
    if name is not None:
        return _packed(path, name)
    if _is_directory(path):
        msg = f"{path}: a DICOMDIR only lists files. Give the folder that holds it, {path.parent}, or one of a series."
        return InputError(msg, code="directory-of-medium", path=str(path))
    return None


def _packed(path: Path, name: str) -> InputError:
    msg = f"{path}: packed with {name}; images in archives and compressed files are not read. Unpack it, and give the folder."
    return InputError(msg, code="file-packed", path=str(path))


def _packing_of(path: Path) -> str | None:
    """What packed one file, by its first bytes; images in NIfTI have their own reader."""
    if path.suffix.casefold() not in _PACKED_SUFFIXES or path.name.casefold().endswith(
        (".nii.gz", ".tar.gz", ".tar.xz", ".tar.bz2")
    ):
        return None
    return _by_start(path, _PACKED)


def _archive_of(path: Path) -> str | None:
    """Which archive a file is, by its first bytes or, of a tar, its name."""
    name = path.name.casefold()
    if ".tar" in name or name.endswith((".tgz", ".txz")):
        return "tar"
    if name.endswith((".docx", ".xlsx", ".pptx", ".odt", ".jar", ".npz")):
        return None
    return _by_start(path, _ARCHIVES)


def _by_start(path: Path, known: dict[bytes, str]) -> str | None:
    with path.open("rb") as file:
        start = file.read(8)
    return next((name for mark, name in known.items() if start.startswith(mark)), None)


def _size(path: Path) -> str:
    return f"{path.stat().st_size} bytes"


def _pattern(path: Path) -> str:
    """A name without its numbers: alike for the slices of one export."""
    return re.sub(r"\d+", "#", path.name)


def _is_directory(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(4096)
    return start[128:132] == b"DICM" and _DIRECTORY.encode() in start


def _missing_of(path: Path, read: set[Path]) -> Iterator[InputError]:
    """The refusal of a folder with slices that lacks some which its DICOMDIR lists there."""
    from pydicom import dcmread

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            listed = [_listed_file(record) for record in dcmread(path).get("DirectoryRecordSequence") or []]
        except Exception:  # noqa: BLE001 - a list that cannot be read says nothing of what is missing
            return
    there = {p.relative_to(path.parent).as_posix().casefold() for p in read if p.is_relative_to(path.parent)}
    folders = {name.rpartition("/")[0] for name in there}
    here = [name for name in listed if name and name.rpartition("/")[0].casefold() in folders]
    missing = [name for name in here if name.casefold() not in there and not (path.parent / name).exists()]
    if missing:
        where = path.parent / missing[0]
        msg = (
            f"{where}: {path.name} lists this file and it is not there ({len(missing)} of {len(here)} in these folders are missing), so "
            "its series is incomplete. Copy the medium whole."
        )
        yield InputError(msg, code="series-incomplete", path=str(where), missing=len(missing), listed=len(here))


def _listed_file(record: object) -> str:
    """The file of a record of an image, with slashes; empty for other records."""
    get = record.get  # type: ignore[attr-defined]
    if get("DirectoryRecordType") != "IMAGE":
        return ""
    parts = get("ReferencedFileID") or []
    return "/".join([str(parts)] if isinstance(parts, str) else [str(p) for p in parts])
