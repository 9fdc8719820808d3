"""Resolution recovery in the PDF: numbers side by side, DVHs with their band, the residual, the fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from voxeldose.report.palette import QUIET
from voxeldose.report.pdf_layout import WIDE_MM, heading, paragraph, picture, table
from voxeldose.report.recovery import recovery_words
from voxeldose.report.wording import shortened

if TYPE_CHECKING:
    from voxeldose.model.assessment import Assessment
    from voxeldose.report.recovery import RecoveredRegion
    from voxeldose.report.recovery_plots import RecoveryPictures

__all__ = ["recovery_parts"]


def recovery_parts(result: Assessment, drawn: RecoveryPictures) -> list[Any]:
    """A page on resolution recovery; nothing where nothing was recovered."""
    from reportlab.platypus import KeepTogether, PageBreak

    words = recovery_words(result)
    if words is None:
        return []
    regions = [KeepTogether(_region(region)) for region in words.regions]
    parts: list[Any] = [PageBreak(), heading("Resolution recovery"), *regions]
    if drawn.dvh is not None:
        caption = (
            "Recovered: solid, mean over all draws, with the band of 95 % confidence. In the image as it is: dashed."
        )
        parts.append(KeepTogether([picture(drawn.dvh, 130.0, 76.0), paragraph(caption, 7.5, colour=QUIET)]))
    if drawn.residual is not None:
        caption = (
            "One slice of the activity image through the largest tumor, the patient's right at the left. Outlines: dashed as drawn, "
            "solid as moved onto the image. Where the difference shows a shape and not noise, the recovered numbers are not to be trusted."
        )
        parts.append(KeepTogether([picture(drawn.residual, WIDE_MM, 62.0), paragraph(caption, 7.5, colour=QUIET)]))
    parts += [paragraph(f"{escape(label)}: {escape(value)}", 7.5, after=1) for label, value in words.facts]
    parts.append(paragraph("What it assumed", 8, bold=True, colour=QUIET))
    return [*parts, *(paragraph(f"• {escape(s)}", 7.5, after=1.5) for s in (*words.assumptions, *words.warnings))]


def _region(region: RecoveredRegion) -> list[Any]:
    """The numbers of one region, and its outline."""
    is_moved = any(row.as_drawn for row in region.rows)
    heads = ["", "In the image", "Recovered", "95 % interval", *(["Outline as drawn"] if is_moved else [])]
    rows = [[paragraph(h, 7.5, colour=QUIET, bold=True, align=2 if n else 0) for n, h in enumerate(heads)]]
    for row in region.rows:
        label = f"{row.label} <font color='{QUIET}'>{row.unit}</font>"
        cells = [row.image, f"<b>{row.value}</b>", row.interval, *([row.as_drawn] if is_moved else [])]
        rows.append([paragraph(label, 8), *(paragraph(cell, 8, align=2) for cell in cells)])
    notes = [region.outline] if region.outline else []
    if region.comparator:
        notes.append(f"mean by region-based voxelwise correction, for comparison, {region.comparator}")
    head = paragraph(escape(shortened(region.name, 60)), 9, bold=True)
    note = [paragraph(escape(f"{'; '.join(notes)}."), 7.5, colour=QUIET, after=6)] if notes else []
    return [head, table(rows, [34, 32, 30, 40, *([32] if is_moved else [])], repeat=1), *note]
