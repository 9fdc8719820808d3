"""T/N in the words that terminal, page and PDF share: each tumor, the normal region in the same line, the pooled value second."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voxeldose.model.assessment import Assessment

__all__ = ["RatioWords", "ratio_words", "ratios_of"]


class RatioWords(NamedTuple):
    """T/N of a result as text.

    Parameters
    ----------
    region : str
        The normal region.
    tumors : list of (str, str)
        Each tumor with its ratio, or ``not reached``.
    pooled : str
        Of all treated tumors together; empty where there is only one.
    """

    region: str
    tumors: list[tuple[str, str]]
    pooled: str

    @property
    def line(self) -> str:
        """All of it in one line."""
        each = "; ".join(f"{name} {ratio}" for name, ratio in self.tumors)
        return f"T/N against {self.region}: {each}{f'; treated tumors together {self.pooled}' if self.pooled else ''}"


def ratio_words(rows: Sequence[Mapping[str, Any]], rois: Mapping[str, Any], region: str | None) -> RatioWords | None:
    """T/N from the rows of ``assessment.json``; ``None`` without any.

    Parameters
    ----------
    rows : sequence of mapping
        ``tumor_to_normal``.
    rois : mapping
        Regions by name: a row of another name is of several tumors together.
    region : str, optional
        ``tumor_to_normal_region``; results that do not name it say what it is in their rows.
    """
    if not rows:
        return None
    own = [(row["roi"], _ratio(row)) for row in rows if row["roi"] in rois]
    pooled = [_ratio(row) for row in rows if row["roi"] not in rois]
    return RatioWords(region or rows[0]["normal"], own, pooled[0] if pooled else "")


def ratios_of(result: Assessment) -> RatioWords | None:
    """T/N of an assessment."""
    return ratio_words([asdict(row) for row in result.tumor_to_normal], result.rois, result.tumor_to_normal_region)


def _ratio(row: Mapping[str, Any]) -> str:
    if row.get("reached") is False:
        return "not reached"
    value = row["by_concentration"]
    return "-" if value is None else f"{value:.2f}"
