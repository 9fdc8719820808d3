"""One figure of the accuracy card: what was found, what it should be, who says so, and how far off it may be."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Figure", "Section"]


@dataclass(frozen=True)
class Figure:
    """A number beside its reference.

    Parameters
    ----------
    section, name : str
        Where it stands on the card.
    value, reference : float
        Found, and what it is compared with.
    unit : str
        Of both; ``fraction`` for parts whose difference counts as it is, empty for other numbers without one.
    source : str
        Of the reference.
    low, high : float, optional
        The band of ``value``; a figure without one is shown and not judged.
    reason : str
        Why the band is as wide as it is, or why there is none.
    """

    section: str
    name: str
    value: float
    reference: float
    unit: str
    source: str
    low: float | None
    high: float | None
    reason: str

    @property
    def is_inside(self) -> bool | None:
        """Whether the value lies in its band; ``None`` for a figure that is not judged. NaN is outside."""
        if self.low is None or self.high is None:
            return None
        return self.low <= self.value <= self.high

    @property
    def verdict(self) -> str:
        """The same in a word."""
        return {None: "shown", True: "inside", False: "OUTSIDE"}[self.is_inside]

    @property
    def band(self) -> str:
        """The band as text."""
        return "" if self.low is None else f"{self.low:.4g} to {self.high:.4g}"

    @property
    def difference(self) -> str:
        """The difference as text: relative in percent, of fractions in points of a hundred."""
        if self.unit == "fraction":
            return f"{100 * (self.value - self.reference):+.1f} points"
        return "" if self.deviation is None else f"{100 * self.deviation:+.2f} %"

    @property
    def deviation(self) -> float | None:
        """Relative difference from the reference."""
        return self.value / self.reference - 1 if self.reference else None


@dataclass(frozen=True)
class Section:
    """Maker of the figures of one section, so that their source is written once."""

    name: str
    source: str

    def relative(self, name: str, value: float, reference: float, band: float, reason: str, unit: str = "") -> Figure:
        """A figure that may differ by a part of its reference to either side."""
        apart = abs(reference) * band
        return Figure(
            self.name, name, value, reference, unit, self.source, reference - apart, reference + apart, reason
        )

    def absolute(self, name: str, value: float, reference: float, band: float, reason: str, unit: str = "") -> Figure:
        """A figure that may differ by an amount in its own unit to either side."""
        return Figure(self.name, name, value, reference, unit, self.source, reference - band, reference + band, reason)

    def shown(self, name: str, value: float, reference: float, reason: str, unit: str = "") -> Figure:
        """A figure that is not judged, and why."""
        return Figure(self.name, name, value, reference, unit, self.source, None, None, reason)
