"""How much memory there is, and asking for it before it is taken."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

from voxeldose.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MEMORY_VARIABLE", "memory_bytes", "memory_limit_bytes", "require_memory"]

#: The environment's limit in GiB, where the user sets one.
MEMORY_VARIABLE = "VOXELDOSE_MEMORY_GIB"

#: Part of the machine's memory that one array may ask for; a run holds several.
_PART = 0.5

_GIB = 2**30


def memory_bytes() -> int | None:
    """Memory of the machine, or of the container if that has less; ``None`` where the system does not say."""
    try:
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    try:
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:  # noqa: PTH123 - one word of the kernel's
            return min(whole, int(file.read()))
    except (OSError, ValueError):
        return whole


def memory_limit_bytes() -> float:
    """Most that one array may take: what ``VOXELDOSE_MEMORY_GIB`` says, else half of the memory; infinite if nothing is known.

    Raises
    ------
    InputError
        If the variable is no number above 0.
    """
    stated = os.environ.get(MEMORY_VARIABLE)
    if stated is None:
        whole = memory_bytes()
        return math.inf if whole is None else _PART * whole
    try:
        limit = float(stated)
    except ValueError:
        limit = math.nan
    if not limit > 0:
        msg = f"The environment's {MEMORY_VARIABLE} must be a number of GiB above 0, found {stated!r}."
        raise InputError(msg, code="value-out-of-range", field=MEMORY_VARIABLE)
    return limit * _GIB


def require_memory(shape: Sequence[int], bytes_each: float, what: str, way_out: str) -> None:
    """Refuse an array before it is made, if it would take more than :func:`memory_limit_bytes`.

    Parameters
    ----------
    shape : sequence of int
        Of the array.
    bytes_each : float
        Of one element, with what its making needs beside it.
    what, way_out : str
        What it is, and a sentence on what can be done, for the message.

    Raises
    ------
    InputError
        ``memory``; names both sizes.
    """
    needed, limit = math.prod(map(int, shape)) * bytes_each, memory_limit_bytes()
    if needed > limit:
        size = " x ".join(str(int(n)) for n in shape)
        msg = (
            f"{what} of {size} would take {needed / _GIB:.3g} GiB of memory, more than the {limit / _GIB:.3g} GiB that one "
            f"array may have here. {way_out} ({MEMORY_VARIABLE} sets another limit.)"
        )
        raise InputError(msg, code="memory", needed_gib=needed / _GIB, limit_gib=limit / _GIB)
