"""Numbers as people read them, the same in every place: doses and ratios with three significant digits, others with four.

Files for programs hold whole numbers; whatever a person reads is written by a function of this file.
"""

from __future__ import annotations

import math

__all__ = ["NO_NUMBER", "activity", "dose", "measure", "number", "percent", "ratio", "role_words"]

#: Where there is no number.
NO_NUMBER = "-"
#: What rounding leaves of a dose where there is none.
NOTHING_GY = 5e-4
#: 1 Ci is 37 GBq by definition.
MBQ_PER_MCI = 37.0


def number(value: float | None, digits: int = 4) -> str:
    """Write so many significant digits, all of those before the point, ``-`` where there is no number."""
    if value is None or not math.isfinite(value):
        return NO_NUMBER
    size = abs(value)
    if size >= 10 ** (digits - 1) - 0.05:
        return f"{value:.0f}" if size < 1e7 else f"{value:.3e}"
    return f"{value:#.{digits}g}" if size >= 1e-3 else f"{value:.3g}"


def activity(mbq: float | None) -> str:
    """Write an activity as a clinic orders it, in MBq and mCi, ``-`` where there is none."""
    if mbq is None or not math.isfinite(mbq):
        return NO_NUMBER
    return f"{number(mbq)} MBq ({number(mbq / MBQ_PER_MCI, 3)} mCi)"


def percent(fraction: float | None) -> str:
    """Write a fraction as percent with one decimal, without the sign."""
    return NO_NUMBER if fraction is None or not math.isfinite(fraction) else f"{100 * fraction:.1f}"


def dose(value: float | None) -> str:
    """Write an absorbed dose in Gy: three significant digits, as nobody knows one better, ``-`` where there is no number."""
    if value is None or not math.isfinite(value):
        return NO_NUMBER
    if abs(value) < NOTHING_GY:
        return "0"
    if abs(value) >= 999.5:
        return f"{float(f'{value:.3g}'):.0f}" if abs(value) < 1e7 else f"{value:.2e}"
    return number(value, 3)


def ratio(value: float | None) -> str:
    """Write a ratio, such as T/N, with three significant digits as doses are, ``-`` where there is none."""
    return dose(value)


def measure(value: float | None, unit: str) -> str:
    """Write a value of a column: percent where the unit is ``%``, a dose where it is ``Gy``, a ratio where it is ``T/N``."""
    if unit == "Gy":
        return dose(value)
    if unit == "T/N":
        return ratio(value)
    return percent(value) if unit == "%" else number(value)


def role_words(role: str, reached: bool | None = None) -> str:
    """Write what a region is, and of a tumor that no infusion reached that it is so."""
    return f"{role.replace('_', ' ')}{', not reached' if reached is False else ''}"
