"""What a run assumes or warns of: a code for programs, a sentence for people, and the numbers in it.

Nothing searches a sentence for words: whoever must act on a remark asks for its code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

__all__ = ["Numbers", "Remark"]

#: What a sentence states, by name; the unit is in the name.
Numbers = Mapping[str, float | int | str | bool | None]


class Remark(str):
    """One thing that a reader, a step or an engine says of what it did.

    Parameters
    ----------
    code : str
        What kind of remark it is, in words joined by hyphens, such as ``density-gap``; the same for every run.
    numbers : mapping
        What the sentence states, by name with unit, for programs.
    sentence : str
        For people, whole.
    """

    __slots__ = ("code", "numbers")
    code: str
    numbers: Numbers

    def __new__(cls, code: str, numbers: Numbers, sentence: str) -> Self:
        """Keeps code and numbers beside the words."""
        made = super().__new__(cls, sentence)
        made.code, made.numbers = code, dict(numbers)
        return made

    @property
    def sentence(self) -> str:
        """The words."""
        return str.__str__(self)

    def __reduce__(self) -> tuple[type[Self], tuple[str, Numbers, str]]:
        """Pickled whole, code and numbers included."""
        return type(self), (self.code, self.numbers, self.sentence)
