"""Failures that are the file's, turned into refusals that name the file; every other failure is let through.

pydicom converts a value only when it is asked for, so any line that looks at a header may meet damage, with any exception
there is. Wrapping each such line would bury the readers; catching everything would call a caller's slip or a mistake of ours
a damaged file. So each public reader is wrapped once, and a failure is judged by where it was raised: in a library that reads
files, called from here, or as one of the few kinds that only data can cause. What our own lines raise (``TypeError``,
``AttributeError``, ``KeyError`` and the like) gets out as it is. Values are therefore taken from headers through the typed
functions of :mod:`voxeldose.io.dicom.header`, which refuse a value of the wrong kind, and never converted in passing.
"""

from __future__ import annotations

import re
import struct
import zlib
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar, cast

from voxeldose.errors import GeometryError, InputError, VoxeldoseError
from voxeldose.model.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from voxeldose.model.arrays import Doubles

__all__ = ["ELEMENT_DAMAGED", "grid_of_file", "is_damage", "refusing_damage", "without_quotes"]

A = TypeVar("A", bound="str | Path")
P = ParamSpec("P")
R = TypeVar("R")

#: Code of a refusal that names an element of a header but not yet its file; :func:`refusing_damage` adds the file.
ELEMENT_DAMAGED = "element-damaged"
#: What reads files here: what these raise when they are called, the file has caused.
_LIBRARIES = {"pydicom", "highdicom", "nibabel", "SimpleITK", "gdcm", "gzip"}
_HERE = __name__.partition(".")[0]
#: Kinds that nothing but data or a disk causes, whoever raises them.
_OF_DATA = (OSError, EOFError, UnicodeDecodeError, zlib.error, struct.error)
_QUOTED = re.compile(r"""(['"]).*?\1""")


def refusing_damage(read: Callable[Concatenate[A, P], R]) -> Callable[Concatenate[A, P], R]:
    """A reader whose failures to make sense of its file are an ``InputError`` that names the file.

    Its code is ``file-damaged``, ``file-unreadable`` (the disk refuses), ``element-damaged`` (one value of a header) or
    ``memory`` (the file may be sound and this computer too small). What a library quotes from the file is left out of the
    message, since it may be a patient's. What :func:`is_damage` does not count is let through: the caller's mistakes and ours.
    """

    @wraps(read)
    def refusing(path: A, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return read(path, *args, **kwargs)
        except InputError as error:
            if error.code != ELEMENT_DAMAGED or "path" in error.fields:
                raise
            msg = f"{path}: {error}"
            raise InputError(msg, code=error.code, path=str(path), **error.fields) from error
        except VoxeldoseError:
            raise
        except MemoryError as error:
            msg = (
                f"{path}: there is not enough memory for what the file says it holds; it is damaged or too large here."
            )
            raise InputError(msg, code="memory") from error
        except Exception as error:
            if not is_damage(error):
                raise
            msg = f"{path}: {_reason(error)}"
            raise InputError(msg, code=_code(error)) from error

    return cast("Callable[Concatenate[A, P], R]", refusing)


def is_damage(error: Exception) -> bool:
    """Whether a failure is the file's: raised by a library that reads files, or of a kind that only data causes.

    A library's ``AttributeError`` counts if it is about a DICOM keyword that the file lacks, or about the library's own
    objects; a misspelt method of a header is a mistake of ours.
    """
    if isinstance(error, MemoryError | VoxeldoseError):
        return False
    if isinstance(error, _OF_DATA):
        return True
    inside = [name for name in _packages(error) if name == _HERE or name in _LIBRARIES]
    if not inside or inside[-1] == _HERE:
        return False
    return not (isinstance(error, AttributeError) and _is_misspelt(error))


def _packages(error: Exception) -> Iterator[str]:
    """The packages whose lines the failure has passed, the one that raised it last."""
    at = error.__traceback__
    while at is not None:
        yield str(at.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        at = at.tb_next


def _is_misspelt(error: AttributeError) -> bool:
    """Whether an attribute was asked of a DICOM dataset that no dataset could have."""
    from pydicom.datadict import tag_for_keyword
    from pydicom.dataset import Dataset

    return isinstance(error.obj, Dataset) and tag_for_keyword(error.name or "") is None


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror})."
    return (
        f"cannot be read ({type(error).__name__}: {without_quotes(error)}). The file is damaged or breaks its standard; copy or export it "
        "again."
    )


def without_quotes(error: Exception) -> str:
    """The first line of what a library says, without what it quotes: that may be a patient's."""
    return _QUOTED.sub("…", (str(error).strip().splitlines() or [""])[0])[:200]


def _code(error: Exception) -> str:
    return "file-unreadable" if isinstance(error, OSError) and error.strerror else "file-damaged"


def grid_of_file(shape: tuple[int, int, int], affine: Doubles, path: Path) -> Grid:
    """The grid that a header describes; one that spans no space is a refusal that names the file."""
    try:
        return Grid(shape, affine)
    except GeometryError as error:
        msg = f"{path}: {error} Write the file with its affine."
        raise InputError(msg, code="geometry-invalid") from error
