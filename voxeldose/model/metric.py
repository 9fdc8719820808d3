"""The names of numbers of a region: ``mean``, ``min``, ``max``, ``D95`` (dose to a part of the volume), ``V400`` (coverage)."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Metric"]

_GRAMMAR = re.compile(
    r"(?P<whole>mean|min|max)(?:_dose_gy)?|d(?P<percent>\d+(?:\.\d+)?)(?:_gy)?|v(?P<gy>\d+(?:\.\d+)?)(?:_fraction)?"
)


@dataclass(frozen=True)
class Metric:
    """One number of a region.

    Parameters
    ----------
    kind : str
        ``mean``, ``min``, ``max``; ``d`` for the dose that a part of the volume receives at least; ``v`` for the part of the
        volume that receives a dose at least.
    number : float
        Percent of the volume for ``d``, Gy for ``v``; 0 for the others.
    """

    kind: str
    number: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Metric | None:
        """From ``mean``, ``d95``, ``V400`` or a key such as ``d95_gy``; ``None`` for anything else."""
        match = _GRAMMAR.fullmatch(text.strip().casefold())
        if match is None:
            return None
        if match["whole"]:
            return cls(match["whole"])
        return cls("d", float(match["percent"])) if match["percent"] else cls("v", float(match["gy"]))

    @property
    def key(self) -> str:
        """Its name in results: ``mean_dose_gy``, ``d95_gy``, ``v400_fraction``."""
        if self.kind == "d":
            return f"d{self.number:g}_gy"
        return f"v{self.number:g}_fraction" if self.kind == "v" else f"{self.kind}_dose_gy"

    @property
    def is_fraction(self) -> bool:
        """Whether it is a part of the volume, 0 to 1, and not a dose in Gy."""
        return self.kind == "v"

    @property
    def is_possible(self) -> bool:
        """Whether there can be such a number: a part above 0 and at most all of the volume."""
        return self.kind != "d" or 0 < self.number <= 100
