"""Remarks as people read them: one entry per code, those whose cause can do most harm first, nothing twice."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from voxeldose.model.remarks import distinct

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from voxeldose.model.remarks import Remark

__all__ = ["RemarkGroup", "group_remarks", "harm_of", "texts_of"]

#: The level of a code that the table does not have.
USUAL = 3

#: Sentences of one code become one where at least this part of their words is common to all (judgement).
COMMON = 0.6


@cache
def _levels() -> Mapping[str, int]:
    """Code to level, from ``tables/harm.toml``."""
    text = (resources.files("voxeldose") / "tables" / "harm.toml").read_text("utf-8")
    return {code: int(level) for level, codes in tomllib.loads(text).items() for code in codes}


def harm_of(code: str) -> int:
    """How much harm the cause of a remark can do: 1 most, 4 least."""
    return _levels().get(code, USUAL)


@dataclass(frozen=True)
class RemarkGroup:
    """All remarks of one code.

    Parameters
    ----------
    code : str
        Theirs.
    harm : int
        1 most, 4 least.
    remarks : tuple of Remark
        In the order made.
    """

    code: str
    harm: int
    remarks: tuple[Remark, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """Sentences that differ in a few words are one, with what differs listed in it; those that have little in common stay."""
        alike: list[list[str]] = []
        for remark in self.remarks:
            own = next((group for group in alike if _joined([*group, remark.sentence]) is not None), None)
            if own is None:
                alike.append([remark.sentence])
            else:
                own.append(remark.sentence)
        return tuple(_joined(group) or "" for group in alike)


def group_remarks(remarks: Iterable[Remark]) -> tuple[RemarkGroup, ...]:
    """Remarks by code, most harmful first, then in the order made; the same sentence once."""
    by_code: dict[str, list[Remark]] = {}
    for remark in distinct(remarks):
        by_code.setdefault(remark.code, []).append(remark)
    groups = [RemarkGroup(code, harm_of(code), tuple(own)) for code, own in by_code.items()]
    return tuple(sorted(groups, key=lambda group: group.harm))


def texts_of(remarks: Iterable[Remark]) -> list[str]:
    """What remarks say to people, grouped and ordered; never the same twice."""
    return list(dict.fromkeys(text for group in group_remarks(remarks) for text in group.texts))


def _joined(sentences: Sequence[str]) -> str | None:
    """One sentence for several that differ in one stretch of words; ``None`` where little is common."""
    if len(sentences) == 1:
        return sentences[0]
    rows = [sentence.split(" ") for sentence in sentences]
    shortest = min(len(row) for row in rows)
    start = _common(rows, shortest)
    end = _common([row[::-1] for row in rows], shortest - start - 1)
    if start + end < COMMON * max(len(row) for row in rows):
        return None
    middles = [" ".join(row[start : len(row) - end]) for row in rows]
    marks = {middle[-1:] for middle in middles}
    closing = marks.pop() if len(marks) == 1 and marks <= set(".,;:") else ""
    if closing:
        middles = [middle[:-1] for middle in middles]
    first = rows[0]
    between = ", " if all(" " not in middle for middle in middles) else "; "
    return " ".join([*first[:start], between.join(middles) + closing, *first[len(first) - end :]])


def _common(rows: Sequence[Sequence[str]], most: int) -> int:
    """How many words all rows begin with, at most so many."""
    count = 0
    while count < most and len({row[count] for row in rows}) == 1:
        count += 1
    return count
