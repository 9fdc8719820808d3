"""An ``Assessment`` as a PDF of a few pages, for the file and for print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from voxeldose.model.wording import dose, measure, number, role_words
from voxeldose.report.card import card_parts
from voxeldose.report.content import COLUMNS, facts, intervals, threshold_rows
from voxeldose.report.fonts import glyph_note
from voxeldose.report.palette import ALERT, ALERT_SOFT, GOOD, QUIET, SOFT
from voxeldose.report.pdf_first_page import first_page
from voxeldose.report.pdf_layout import (
    WIDE_MM,
    Footer,
    heading,
    paragraph,
    picture,
    plain_name,
    table,
    write_document,
)
from voxeldose.report.pictures import draw_pictures
from voxeldose.report.plots import roi_styles, slice_focus
from voxeldose.report.recovery_pdf import recovery_parts
from voxeldose.report.reporting_items import reporting_items
from voxeldose.report.wording import sentences, shortened

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from voxeldose.model.assessment import Assessment
    from voxeldose.model.card import CardRow
    from voxeldose.report.content import Group, Intervals, ThresholdRow
    from voxeldose.report.pictures import Pictures

__all__ = ["write_pdf"]

#: Regions in one table of a page.
_REGIONS_PER_TABLE = 5
#: Names longer than this stand in two lines over a column.
_LONG_NAME = 16


def write_pdf(
    result: Assessment, path: str | Path, *, pictures: Pictures | None = None, card: Sequence[CardRow] = ()
) -> None:
    """Write the report as a PDF: answers, thresholds and warnings; images and DVH; all numbers; method and assumptions.

    Parameters
    ----------
    result : Assessment
        Nothing else is read.
    path : path-like
        The file to write; what is there is replaced.
    pictures : Pictures, optional
        Those of ``draw_pictures(result)``, where they are drawn already.
    card : sequence of CardRow
        The radiation segmentectomy card of the same run, which is shown where it has rows.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    title = f"{result.record.constants.name} absorbed dose, {result.kind_text}"
    label = f"{title} {shortened(result.case.id, 60)}".strip()
    drawn, spread = pictures or draw_pictures(result), intervals(result)
    parts = [
        *first_page(result, drawn, spread),
        *_details(result),
        *_histograms(result, drawn),
        *_images(result, drawn),
        *recovery_parts(result, drawn.recovery),
        *_numbers(result, spread),
        *card_parts(card),
        *_words(result, spread),
    ]
    footer = Footer(
        label,
        f"voxeldose {result.record.version}. Research use; not for clinical decisions unless validated locally.",
    )
    write_document(parts, path, title=label, subject="Absorbed dose after radioembolization", footer=footer)


def _details(result: Assessment) -> list[Any]:
    """What the first page has no room for: thresholds with their sources, and every warning."""
    from reportlab.platypus import PageBreak

    return [PageBreak(), *_thresholds(result), *_warnings(result)]


def _warnings(result: Assessment) -> list[Any]:
    from reportlab.lib.colors import HexColor
    from reportlab.platypus import Spacer

    texts = sentences(result.record.warnings)
    if not texts:
        return []
    rows = [paragraph(f"Warnings ({len(texts)})", 10, bold=True, colour=ALERT)]
    rows += [paragraph(f"• {escape(text)}", 8.5) for text in texts]
    box = [
        ("BACKGROUND", (0, 0), (-1, -1), HexColor(ALERT_SOFT)),
        ("LINEBEFORE", (0, 0), (0, -1), 3, HexColor(ALERT)),
    ]
    return [Spacer(1, 8), table([[row] for row in rows], [WIDE_MM], style=box)]


def _thresholds(result: Assessment) -> list[Any]:
    head, thresholds = heading("Published thresholds"), threshold_rows(result)
    if not thresholds:
        why = "is compared, since no device was given (glass or resin)"
        if result.case.administration.device:
            why = "applies to the roles of these ROIs"
        return [head, paragraph(f"No published threshold {why}.", colour=QUIET)]
    titles = ("", "Region", "Value", "Limit", "Threshold, source, method")
    rows = [[paragraph(title, 8, colour=QUIET, bold=True) for title in titles]]
    rows += [_threshold(one) for one in thresholds]
    note = "A limit derived with another method than this run's is not the same quantity."
    return [head, table(rows, [21, 31, 30, 18, 78], repeat=1), paragraph(note, 7.5, colour=QUIET)]


def _threshold(row: ThresholdRow) -> list[Any]:
    source = f"{escape(row.source)}. Derived with: {escape(row.method)}. {escape(row.differs)}"
    return [
        paragraph("✓ met" if row.met else "✗ not met", 8.5, bold=True, colour=GOOD if row.met else ALERT),
        paragraph(plain_name(row.roi)),
        paragraph(f"{row.quantity.lower()} <b>{row.value}</b>"),
        paragraph(row.limit),
        paragraph(f"{escape(row.name)}. <font color='{QUIET}'>{source}</font>", 8),
    ]


def _histograms(result: Assessment, drawn: Pictures) -> list[Any]:
    from reportlab.platypus import KeepTogether

    if not result.rois:
        return []
    return [KeepTogether([heading("Dose-volume histograms, cumulative"), picture(drawn.dvh_png, 140.0, 84.0)])]


def _images(result: Assessment, drawn: Pictures) -> list[Any]:
    from reportlab.platypus import PageBreak

    focus = slice_focus(result)
    where = f"the hottest voxel of {focus.roi}" if focus.roi is not None else "the maximum of the dose map"
    caption = (
        f"Planes through {where} ({dose(focus.dose_gy)} Gy). The patient's right is at the left of axial and coronal planes. "
        f"{'CT window 400, level 40 HU.' if result.case.ct is not None else 'No CT was given.'}"
    )
    return [
        PageBreak(),
        heading("Images"),
        picture(drawn.slices_png, WIDE_MM, 200.0),
        paragraph(escape(caption), 7.5, colour=QUIET),
    ]


def _numbers(result: Assessment, spread: Intervals | None) -> list[Any]:
    """Every number of every region, a few regions in one table, and overlaps."""
    from reportlab.platypus import Spacer

    if not result.rois:
        return []
    parts: list[Any] = [heading("Regions")]
    names = list(result.rois)
    for first in range(0, len(names), _REGIONS_PER_TABLE):
        parts += [_region_table(result, names[first : first + _REGIONS_PER_TABLE], spread), Spacer(1, 10)]
    if result.overlaps:
        rows = [
            [
                paragraph(plain_name(o.first)),
                paragraph(plain_name(o.second)),
                paragraph(f"{number(o.volume_ml)} mL", align=2),
            ]
            for o in result.overlaps
        ]
        parts += [heading("Overlaps"), table(rows, [60, 60, 30])]
    return parts


def _region_table(result: Assessment, names: list[str], spread: Intervals | None) -> Any:
    from reportlab.lib.colors import HexColor

    styles = roi_styles(result)
    head = [paragraph("", 8)]
    for name in names:
        role = role_words(result.rois[name].role, result.rois[name].reached)
        line = f"<font color='{styles[name][0]}'>■</font> <b>{_in_lines(plain_name(name))}</b><br/><font color='{QUIET}'>{role}</font>"
        head.append(paragraph(line, 8, align=2))
    rows = [head]
    shading: list[Any] = []
    group = ""
    for column in COLUMNS:
        if column.group != group:
            group = column.group
            shading.append(("BACKGROUND", (0, len(rows)), (-1, len(rows)), HexColor(SOFT)))
            shading.append(("SPAN", (0, len(rows)), (-1, len(rows))))
            rows.append([paragraph(group, 7.5, colour=QUIET, bold=True), *[""] * len(names)])
        cells = []
        for name in names:
            value = measure(getattr(result.rois[name], column.key), column.unit)
            cells.append(paragraph(f"{value}{_interval(spread, name, column.key, column.unit)}", 7.5, align=2))
        rows.append([paragraph(f"{escape(column.label)} <font color='{QUIET}'>{column.unit}</font>", 7.5), *cells])
    width = (WIDE_MM - 46) / _REGIONS_PER_TABLE
    return table(rows, [46, *[width] * len(names)], style=shading, repeat=1)


def _in_lines(name: str) -> str:
    """A long name of words joined by underscores in two lines, so that no word is broken."""
    breaks = [n + 1 for n, letter in enumerate(name) if letter == "_"]
    if len(name) <= _LONG_NAME or not breaks:
        return name
    at = min(breaks, key=lambda n: abs(n - len(name) / 2))
    return f"{name[:at]}<br/>{name[at:]}"


def _interval(spread: Intervals | None, name: str, key: str, unit: str) -> str:
    words = spread.words(name, key, unit) if spread is not None else ""
    return f"<br/><font size='6.5' color='{QUIET}'>{words}</font>" if words else ""


def _words(result: Assessment, spread: Intervals | None) -> list[Any]:
    """Method, assumptions and reporting items; groups stand side by side, two to a row."""
    note = "After the EANM guidance on dosimetry reporting (Lassmann 2011, doi:10.1007/s00259-010-1549-3)."
    note_on_letters = glyph_note(" ".join((result.case.id, *result.rois, *result.case.rois.names())))
    stated = (*sentences(result.record.assumptions), *([note_on_letters] if note_on_letters else []))
    assumptions = [paragraph(f"• {escape(a)}", 7.5, after=1.5) for a in stated]
    return [
        heading("Method, constants, provenance"),
        *_side_by_side(facts(result)),
        heading("Assumptions"),
        *(assumptions or [paragraph("None recorded.", colour=QUIET)]),
        heading("Reporting items"),
        paragraph(note, 7.5, colour=QUIET, after=3),
        *(paragraph(_run_in(group), 7.5, after=3) for group in reporting_items(result, spread)),
    ]


def _run_in(group: Group) -> str:
    """A group of reporting items as one paragraph of markup."""
    missing = f"<font color='{ALERT}'>not given</font>"
    items = [
        f"<font color='{QUIET}'>{escape(label)}:</font> {missing if words is None else escape(words.rstrip('.'))}"
        for label, words in group.rows
    ]
    return f"<b>{escape(group.title)}.</b> {'; '.join(items)}."


def _side_by_side(groups: list[Group]) -> list[Any]:
    """Groups of labels and values in two columns."""
    half = WIDE_MM / 2
    cells = []
    for group in groups:
        head = paragraph(escape(group.title), 8, bold=True, colour=QUIET)
        inner = [
            [paragraph(escape(label), 7.5, colour=QUIET), paragraph(escape(words or ""), 7.5)]
            for label, words in group.rows
        ]
        cells.append([head, table(inner, [33, half - 37])])
    if len(cells) % 2:
        cells.append([paragraph("")])
    pairs = [cells[n : n + 2] for n in range(0, len(cells), 2)]
    bare = [("LINEBELOW", (0, 0), (-1, -1), 0, "#ffffff"), ("LEFTPADDING", (0, 0), (-1, -1), 0)]
    return [table([pair], [half, half], style=bare) for pair in pairs]
