"""A folder of results that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from voxeldose.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["new_folder"]


@contextmanager
def new_folder(out: Path, *, overwrite: bool, marker: str = "run.json") -> Iterator[Path]:
    """A folder to write into that takes the name ``out`` only when the block ends without error.

    Only a folder that holds ``marker`` or nothing is ever replaced.
    Until then it is a hidden neighbour of ``out``; one left behind by a killed run on this machine is removed.

    Raises
    ------
    InputError
        If ``out`` exists and may not be replaced, or cannot be written.
    """
    out = out.absolute()
    if out.exists():
        is_results = out.is_dir() and ((out / marker).exists() or not any(out.iterdir()))
        if not overwrite and not (out.is_dir() and not any(out.iterdir())):
            msg = f"{out}: already exists; choose another --out or add --overwrite."
            raise InputError(msg)
        if not is_results:
            msg = f"{out}: is not a folder that voxeldose made (no {marker} in it), so it is not replaced. Choose another."
            raise InputError(msg)
    for left in out.parent.glob(f".{out.name}.partial-{socket.gethostname()}-*"):
        if not _alive(int(left.name.rpartition("-")[2])):
            shutil.rmtree(left, ignore_errors=True)
    partial = out.parent / f".{out.name}.partial-{socket.gethostname()}-{os.getpid()}"
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        msg = f"{out}: cannot be written ({error.strerror}). Choose another --out."
        raise InputError(msg) from error
    try:
        yield partial
        earlier = out.parent / f".{out.name}.earlier-{os.getpid()}"
        if out.exists():
            out.rename(earlier)
        partial.rename(out)
        shutil.rmtree(earlier, ignore_errors=True)
    except OSError as error:
        msg = f"{out}: writing the results failed ({error.strerror or error}). Nothing was left behind."
        raise InputError(msg) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
