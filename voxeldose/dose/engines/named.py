"""Engines by the names that case files have for them, and the one that a run takes without being asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxeldose.dose.engines.convolution import Convolution
from voxeldose.dose.engines.local import LocalDeposition
from voxeldose.dose.engines.rays.transport import RayTransport
from voxeldose.errors import InputError
from voxeldose.model.kernel import point_kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from voxeldose.dose.engines.base import Engine

__all__ = ["DEFAULT_ENGINE", "ENGINES", "default_engine", "engine_named"]

#: Name -> how the engine is built, with the kernel that ships with voxeldose where it needs one.
ENGINES: Mapping[str, Callable[[], Engine]] = {
    "dpk": lambda: Convolution(point_kernel()),
    "local": LocalDeposition,
    "density": lambda: RayTransport(point_kernel()),
}
DEFAULT_ENGINE = "dpk"


def default_engine() -> Engine:
    """The engine of a run that names none."""
    return engine_named(DEFAULT_ENGINE)


def engine_named(name: str) -> Engine:
    """The engine of that name.

    Raises
    ------
    InputError
        If there is none.
    """
    if name not in ENGINES:
        msg = f"There is no engine {name!r}; there are {', '.join(ENGINES)}."
        raise InputError(msg, code="name-unknown", found=name, known=tuple(ENGINES))
    return ENGINES[name]()
