"""What a run assumes or warns of: a code for programs, a sentence for people, and the numbers in it.

Nothing searches a sentence for words: whoever must act on a remark asks for its code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["Numbers", "Remark", "distinct"]

#: What a sentence states, by name; the unit is in the name.
Numbers = Mapping[str, float | int | str | bool | None]


@dataclass(frozen=True, eq=False)
class Remark:
    """One thing that a reader, a step or an engine says of what it did.

    Two remarks are the same if code and sentence are: the sentence holds every number.

    Parameters
    ----------
    code : str
        What kind of remark it is, in words joined by hyphens, such as ``density-gap``; the same for every run.
    numbers : mapping
        What the sentence states, by name with unit, for programs. Copied; cannot be changed.
    sentence : str
        For people, whole.
    """

    code: str
    numbers: Numbers
    sentence: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "numbers", MappingProxyType(dict(self.numbers)))

    def __eq__(self, other: object) -> bool:
        """By code and sentence."""
        if not isinstance(other, Remark):
            return NotImplemented
        return (self.code, self.sentence) == (other.code, other.sentence)

    def __hash__(self) -> int:
        """By code and sentence."""
        return hash((self.code, self.sentence))

    def __reduce__(self) -> tuple[type[Remark], tuple[str, dict[str, float | int | str | bool | None], str]]:
        """Pickled with plain numbers, as worker processes send it."""
        return Remark, (self.code, dict(self.numbers), self.sentence)


def distinct(remarks: Iterable[Remark]) -> tuple[Remark, ...]:
    """Each remark once, in order: a volume and its regions may come from one file."""
    return tuple(dict.fromkeys(remarks))
