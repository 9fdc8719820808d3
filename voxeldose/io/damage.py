"""What a damaged file may raise, turned into a refusal.

Libraries meet a broken header with any exception there is: a string where a number should stand, a sequence without items,
a length beyond the file's end. Each public reader is wrapped, so that its caller sees one kind of refusal that names the
file.
"""

from __future__ import annotations

import re
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar, cast

from voxeldose.errors import GeometryError, InputError, VoxeldoseError
from voxeldose.model.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

__all__ = ["grid_of_file", "refusing_damage"]

A = TypeVar("A", bound="str | Path")
P = ParamSpec("P")
R = TypeVar("R")

_QUOTED = re.compile(r"""(['"]).*?\1""")


def refusing_damage(read: Callable[Concatenate[A, P], R]) -> Callable[Concatenate[A, P], R]:
    """A reader whose every failure to make sense of its file is an ``InputError`` that names the file.

    What a library quotes from the file is left out of the message, since it may be a patient's.
    """

    @wraps(read)
    def refusing(path: A, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return read(path, *args, **kwargs)
        except VoxeldoseError:
            raise
        except MemoryError as error:
            msg = (
                f"{path}: there is not enough memory for what the file says it holds; it is damaged or too large here."
            )
            raise InputError(msg) from error
        except Exception as error:
            why = _QUOTED.sub("…", (str(error).strip().splitlines() or [""])[0])[:200]
            msg = (
                f"{path}: cannot be read ({type(error).__name__}: {why}). The file is damaged or breaks its standard; copy or "
                "export it again."
            )
            raise InputError(msg) from error

    return cast("Callable[Concatenate[A, P], R]", refusing)


def grid_of_file(shape: tuple[int, int, int], affine: npt.NDArray[np.float64], path: Path) -> Grid:
    """The grid that a header describes; one that spans no space is a refusal that names the file."""
    try:
        return Grid(shape, affine)
    except GeometryError as error:
        msg = f"{path}: {error} Write the file with its affine."
        raise InputError(msg) from error
