"""Loops on plain arrays, compiled by numba; they import nothing else of voxeldose.

Machine code is cached next to these files, or in the user's home; where neither can be written (a read-only container),
in the folder for temporary files, since numba would refuse to start.
"""

import os
import tempfile
from pathlib import Path

if not any(os.access(place, os.W_OK) for place in (Path(__file__).parent, Path("~").expanduser())):
    whose = getattr(os, "getuid", lambda: "all")()  # there is none on Windows
    os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(tempfile.gettempdir()) / f"voxeldose-numba-{whose}"))
