"""Numbers, names and remarks as people read them: four significant digits, doses three, percent, ``-`` where there is no number."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from voxeldose.model.remark_groups import texts_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from voxeldose.model.remarks import Remark

__all__ = ["activity", "dose", "fact", "measure", "number", "percent", "sentences", "shortened", "times"]


#: 1 Ci is 37 GBq by definition.
MBQ_PER_MCI = 37.0


def number(value: float | None, digits: int = 4) -> str:
    """Write so many significant digits, all of those before the point, ``-`` where there is no number."""
    if value is None or not math.isfinite(value):
        return "-"
    size = abs(value)
    if size >= 10 ** (digits - 1) - 0.05:
        return f"{value:.0f}" if size < 1e7 else f"{value:.3e}"
    return f"{value:#.{digits}g}" if size >= 1e-3 else f"{value:.3g}"


def activity(mbq: float | None) -> str:
    """Write an activity as a clinic orders it, in MBq and mCi, ``-`` where there is none."""
    if mbq is None or not math.isfinite(mbq):
        return "-"
    return f"{number(mbq)} MBq ({number(mbq / MBQ_PER_MCI, 3)} mCi)"


def percent(fraction: float | None) -> str:
    """Write a fraction as percent with one decimal, without the sign."""
    return "-" if fraction is None or not math.isfinite(fraction) else f"{100 * fraction:.1f}"


def dose(value: float | None) -> str:
    """Write an absorbed dose in Gy: three significant digits, as nobody knows one better, ``-`` where there is no number."""
    if value is None or not math.isfinite(value):
        return "-"
    if abs(value) >= 999.5:
        return f"{float(f'{value:.3g}'):.0f}" if abs(value) < 1e7 else f"{value:.2e}"
    return number(value, 3)


def measure(value: float | None, unit: str) -> str:
    """Write a value of a column: percent where the unit is ``%``, a dose where it is ``Gy``."""
    if unit == "Gy":
        return dose(value)
    return percent(value) if unit == "%" else number(value)


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
