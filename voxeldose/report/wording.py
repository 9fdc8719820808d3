"""Facts, names and remarks as people read them; numbers are those of :mod:`voxeldose.model.wording`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxeldose.model.remark_groups import texts_of
from voxeldose.model.wording import number

if TYPE_CHECKING:
    from collections.abc import Iterable

    from voxeldose.model.remarks import Remark

__all__ = ["fact", "sentences", "shortened", "times"]


def fact(value: object) -> str:
    """Write anything: floats as numbers, ``-`` where there is nothing, the rest as it is."""
    return number(value) if value is None or isinstance(value, float) else str(value)


def times(numbers: Iterable[float]) -> str:
    """Write numbers with a multiplication sign between them."""
    return " \u00d7 ".join(f"{n:.4g}" for n in numbers)


def sentences(remarks: Iterable[Remark]) -> list[str]:
    """What remarks say to people: grouped by code, the most harmful first."""
    return texts_of(remarks)


def shortened(name: str, longest: int) -> str:
    """Shorten a name until it fits a legend, without what XML cannot hold."""
    words = "".join(c if c.isprintable() else "?" for c in " ".join(name.split()))
    return words if len(words) <= longest else f"{words[: longest - 1]}…"
