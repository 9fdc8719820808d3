"""One line of the radiation segmentectomy card: a fact of a case and what a source compares it with."""

from __future__ import annotations

from dataclasses import dataclass

from voxeldose.model.wording import NO_NUMBER, dose, percent, ratio

__all__ = ["CardRow"]

_SIGNS = {"at least": "≥", "above": ">", "at most": "≤", "below": "<"}


@dataclass(frozen=True)
class CardRow:
    """One line of the card.

    Parameters
    ----------
    item : str
        What it is about.
    value, reference : float or None
        The case's number and that of the source; ``None`` where there is none.
    unit : str
        Of both; ``fraction`` for parts of 1.
    sense : str
        How the value is to lie to the reference: ``at least``, ``above``, ``at most``, ``below``; empty without one.
    status : str
        ``met``, ``not met``, ``not given``, ``not applicable``, ``advised``, ``not advised`` or ``information``.
    source, evidence : str
        Where the reference was published, and what was found there.
    image, method : str
        Which images and which dose the reference was found with, where it holds for no others.
    words, wanted_words : str
        Value and reference where they are no numbers.
    """

    item: str
    value: float | None
    unit: str
    reference: float | None
    sense: str
    status: str
    source: str
    evidence: str
    image: str = ""
    method: str = ""
    words: str = ""
    wanted_words: str = ""

    @property
    def value_text(self) -> str:
        """The case's value for people."""
        return self.words or _amount(self.value, self.unit)

    @property
    def reference_text(self) -> str:
        """What it is compared with, for people; a dash where there is nothing."""
        if self.wanted_words:
            return self.wanted_words
        return "-" if self.reference is None else f"{_SIGNS[self.sense]} {_amount(self.reference, self.unit)}"

    @property
    def basis(self) -> str:
        """Evidence with image and method beside it, and the source, as one text."""
        found = "; ".join(part for part in (self.image, self.method) if part)
        return f"{self.evidence}{f' [{found}]' if found else ''}. {self.source}."


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return NO_NUMBER
    if unit == "fraction":
        return f"{percent(value)} %"
    words = f"{value:g}" if value == round(value) and abs(value) < 1000 else ratio(value)
    return f"{dose(value) if unit == 'Gy' else words} {unit}".strip()
