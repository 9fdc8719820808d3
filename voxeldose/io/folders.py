"""The files below a folder: links are followed, and those that lead nowhere are told."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from voxeldose.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Below", "files_below", "is_dangling", "walk_folders"]


@dataclass(frozen=True)
class Below:
    """Regular files below a folder, and links that lead nowhere, each in the order of their paths."""

    files: tuple[Path, ...]
    dangling: tuple[Path, ...]


def files_below(path: Path) -> Below:
    """Every file in a folder and its subfolders, or the file itself, if there is one; nothing hidden.

    Raises
    ------
    InputError
        If a folder cannot be read.
    """
    if path.is_file():
        return Below((path,), ())
    if not path.exists():
        return Below((), (path,) if path.is_symlink() else ())
    files, dangling = list[Path](), list[Path]()
    for folder, _, names in walk_folders(path):
        for name in names:
            file = folder / name
            if file.is_file():
                files.append(file)
            elif is_dangling(file):
                dangling.append(file)
    return Below(tuple(sorted(files)), tuple(sorted(dangling)))


def is_dangling(path: Path) -> bool:
    """Whether a path is a link that leads nowhere."""
    return path.is_symlink() and not path.exists()


def walk_folders(path: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """A folder and those below it, linked ones too, each once: with the names of its folders and of its files; nothing hidden.

    Names taken from the list of folders are not gone into.

    Raises
    ------
    InputError
        If a folder cannot be read.
    """
    seen: set[tuple[int, int]] = set()

    def refuse(error: OSError) -> None:
        msg = (
            f"{error.filename}: this folder cannot be read ({error.strerror}), so what lies in it would be passed over."
        )
        raise InputError(msg, code="file-unreadable") from error

    for place, folders, names in os.walk(path, followlinks=True, onerror=refuse):
        status = Path(place).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(place), folders, sorted(name for name in names if not name.startswith("."))
