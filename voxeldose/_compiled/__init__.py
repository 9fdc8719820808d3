"""Loops on plain arrays, compiled by numba; they import nothing else of voxeldose.

Machine code is cached next to these files, or in the user's home; where neither can be written (a read-only container),
in the folder for temporary files, since numba would refuse to start. Whoever could write there could have code run, so a folder
there is used only if it is the user's alone.
"""

import atexit
import os
import shutil
import stat
import tempfile
from pathlib import Path

__all__ = ["private_folder"]


def private_folder(folder: Path) -> Path:
    """``folder``, made if it is not there, if it is this user's and closed to others; else a new one, removed at exit."""
    user = getattr(os, "getuid", None)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if user is None or (stat.S_ISDIR(found.st_mode) and found.st_uid == user() and not found.st_mode & 0o077):
            return folder
    except OSError:  # something else has the name
        pass
    fresh = tempfile.mkdtemp(prefix=f"{folder.name}-")
    atexit.register(shutil.rmtree, fresh, ignore_errors=True)
    return Path(fresh)


if "NUMBA_CACHE_DIR" not in os.environ and not any(
    os.access(place, os.W_OK) for place in (Path(__file__).parent, Path("~").expanduser())
):
    whose = getattr(os, "getuid", lambda: "all")()  # there is none on Windows
    os.environ["NUMBA_CACHE_DIR"] = str(private_folder(Path(tempfile.gettempdir()) / f"voxeldose-numba-{whose}"))
