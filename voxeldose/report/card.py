"""The radiation segmentectomy card as parts of a PDF page; its twin for pages is ``templates/card.html.j2``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from voxeldose.report.palette import ALERT, GOOD, QUIET
from voxeldose.report.pdf_layout import heading, paragraph, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.model.card import CardRow

__all__ = ["card_parts"]

_MARKS = {"met": ("✓ met", GOOD), "not met": ("✗ not met", ALERT)}


def card_parts(card: Sequence[CardRow]) -> list[Any]:
    """Heading and table of the card; nothing without rows."""
    if not card:
        return []
    titles = ("Item", "This case", "Reference", "Status", "Evidence and source")
    rows = [[paragraph(title, 8, colour=QUIET, bold=True) for title in titles], *map(_cells, card)]
    note = (
        "Facts of this case next to what published series found; it recommends nothing. What nobody stated is “not given”: state it in "
        "[patient] of the case file."
    )
    head = [heading("Radiation segmentectomy card"), paragraph(note, 7.5, colour=QUIET, after=3)]
    return [*head, table(rows, [36, 23, 20, 21, 78], repeat=1)]


def _cells(row: CardRow) -> list[Any]:
    mark, colour = _MARKS.get(row.status, (row.status, QUIET))
    return [
        paragraph(escape(row.item), 8),
        paragraph(f"<b>{escape(row.value_text)}</b>", 8),
        paragraph(escape(row.reference_text), 8),
        paragraph(escape(mark), 8, colour=colour, bold=row.status in _MARKS),
        paragraph(escape(row.basis), 7, colour=QUIET),
    ]
