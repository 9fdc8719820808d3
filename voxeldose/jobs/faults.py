"""The traceback of an unexpected error in a file of its own, without anything of the patient or the user's files."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from voxeldose import __version__

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["describe_fault", "write_fault"]


def write_fault(error: BaseException) -> Path | None:
    """The file, readable by its owner alone, that holds :func:`describe_fault`; ``None`` where none can be written."""
    try:
        handle, path = tempfile.mkstemp(prefix="voxeldose-fault-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(describe_fault(error))
    except OSError:
        return None
    return Path(path)


def describe_fault(error: BaseException) -> str:
    """Versions, and each error of the chain by its type and its frames by module, line and function.

    Messages, values of variables and names of files are left out: they may be a patient's.
    """
    lines = [f"voxeldose {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"]
    for one in _chain(error):
        lines += ["", f"{type(one).__module__}.{type(one).__qualname__}"]
        lines += [_place(frame, line) for frame, line in traceback.walk_tb(one.__traceback__)]
    return "\n".join(lines) + "\n"


def _chain(error: BaseException) -> list[BaseException]:
    """The error and those that it came from, the first of them first."""
    chain: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in chain:
        chain.insert(0, one)
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return chain


def _place(frame: FrameType, line: int) -> str:
    """A frame of an importable module by its name; of anything else not even that."""
    module = str(frame.f_globals.get("__name__", ""))
    if module == "__main__" or module not in sys.modules:
        return "  (a script)"
    return f"  {module}:{line} in {frame.f_code.co_qualname}"
