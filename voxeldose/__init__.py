"""voxeldose: voxel-based absorbed dose for Y-90 radioembolization.

Names and packages are loaded when first used, so that importing the package costs nothing. They are listed once, in the stub
next to this file; ``docs/python.md`` says what each is for.
"""

import lazy_loader

__version__ = "0.1.0"

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    """A package, a name to start with, or a name that a package has made public."""
    if name in __all__:
        return _load(name)
    for package in ("model", "geometry", "dose", "planning", "io", "report", "jobs"):
        if not name.startswith("_") and name in _load(package).__all__:
            return getattr(_load(package), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
