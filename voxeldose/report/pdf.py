"""An ``Assessment`` as a PDF of a few pages, for the file and for print."""

from __future__ import annotations

import io
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from voxeldose.errors import InputError
from voxeldose.report.content import COLUMNS, Intervals, facts, intervals, reporting_items, threshold_rows
from voxeldose.report.plots import draw_pictures, roi_styles, rois_with_role, slice_focus
from voxeldose.report.wording import measure, number, percent, shortened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voxeldose.case import Assessment
    from voxeldose.report.plots import Pictures

__all__ = ["write_pdf"]

_MARGIN_MM, _WIDE_MM = 16.0, 178.0  # of A4's 210
_INK, _QUIET, _LINE, _SOFT, _ALERT, _ALERT_SOFT, _GOOD = (
    "#1b1f24", "#5a6472", "#c9d0d8", "#f4f6f8", "#8a3b00", "#fff5ea", "#00684a",
)  # fmt: skip
_FONT, _BOLD = "VoxeldoseSans", "VoxeldoseSans-Bold"
#: Regions beside each other in the table of a page.
_ABREAST = 5


def write_pdf(result: Assessment, path: str | Path, *, pictures: Pictures | None = None) -> None:
    """Write the report as a PDF: answers, thresholds and warnings; images and DVH; all numbers; method and assumptions.

    Parameters
    ----------
    result : Assessment
        Nothing else is read.
    path : path-like
        The file to write; what is there is replaced.
    pictures : Pictures, optional
        Those of ``draw_pictures(result)``, where they are drawn already.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.units import mm
    from reportlab.platypus import SimpleDocTemplate

    _register_fonts()
    title = f"{result.record.constants.name} absorbed dose {shortened(result.case.id, 60)}".strip()
    buffer = io.BytesIO()
    document = SimpleDocTemplate(
        buffer,
        pagesize=A4,
        leftMargin=_MARGIN_MM * mm,
        rightMargin=_MARGIN_MM * mm,
        topMargin=12 * mm,
        bottomMargin=14 * mm,
        title=title,
        author="voxeldose",
        subject="Absorbed dose after radioembolization",
        invariant=1,
    )
    drawn, spread = pictures or draw_pictures(result), intervals(result)
    parts = [
        *_answers(result, spread),
        *_histograms(result, drawn),
        *_images(result, drawn),
        *_numbers(result, spread),
        *_words(result, spread),
    ]
    footer = _Footer(
        f"{title}   voxeldose {result.record.version}. Research use; not for clinical decisions unless validated locally."
    )
    with _binary_streams():
        document.build(parts, onFirstPage=footer, onLaterPages=footer)
    try:
        Path(path).write_bytes(buffer.getvalue())
    except OSError as failure:
        msg = f"Cannot write the report to {path}: {failure.strerror}. Name a file in a folder that exists."
        raise InputError(msg) from failure


@contextmanager
def _binary_streams() -> Iterator[None]:
    """Pictures as bytes and not as letters: a fifth smaller, and written in a third of the time."""
    from reportlab import rl_config

    before, rl_config.useA85 = rl_config.useA85, 0
    try:
        yield
    finally:
        rl_config.useA85 = before


class _Footer:
    """Draws the line at the foot of each page."""

    def __init__(self, words: str) -> None:
        self.words = words

    def __call__(self, canvas: Any, document: Any) -> None:
        canvas.saveState()
        canvas.setFont(_FONT, 7)
        canvas.setFillColor(_QUIET)
        canvas.drawString(document.leftMargin + 6, 24, self.words)
        canvas.drawRightString(document.pagesize[0] - document.rightMargin - 6, 24, f"page {document.page}")
        canvas.restoreState()


def _register_fonts() -> None:
    """DejaVu Sans, which comes with matplotlib: it has the signs that the standard fonts of PDF lack (≥, α, ½)."""
    from matplotlib import get_data_path
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    folder = Path(get_data_path()) / "fonts" / "ttf"
    for name, file in ((_FONT, "DejaVuSans.ttf"), (_BOLD, "DejaVuSans-Bold.ttf")):
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, folder / file))
    pdfmetrics.registerFontFamily(_FONT, normal=_FONT, bold=_BOLD, italic=_FONT, boldItalic=_BOLD)


def _paragraph(
    words: str, size: float = 8.5, *, colour: str = _INK, bold: bool = False, align: int = 0, after: float = 0
) -> Any:
    """A paragraph of markup; escape what comes from a file."""
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.platypus import Paragraph

    font = _BOLD if bold else _FONT
    style = ParagraphStyle(
        "",
        fontName=font,
        fontSize=size,
        leading=1.3 * size,
        textColor=colour,
        alignment=align,
        spaceAfter=after,
        splitLongWords=1,
    )
    return Paragraph(words, style)


def _heading(words: str) -> Any:
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.platypus import Paragraph

    style = ParagraphStyle(
        "", fontName=_BOLD, fontSize=11, leading=14, textColor=_INK, spaceBefore=11, spaceAfter=4, keepWithNext=1
    )
    return Paragraph(escape(words), style)


def _table(rows: list[list[Any]], widths_mm: list[float], *, style: list[Any] | None = None, repeat: int = 0) -> Any:
    from reportlab.lib.colors import HexColor
    from reportlab.lib.units import mm
    from reportlab.platypus import Table

    lines = [
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, HexColor(_LINE)),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("TOPPADDING", (0, 0), (-1, -1), 1.3),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.3),
        ("LEFTPADDING", (0, 0), (-1, -1), 3),
        ("RIGHTPADDING", (0, 0), (-1, -1), 3),
    ]
    return Table(rows, [w * mm for w in widths_mm], style=lines + (style or []), repeatRows=repeat, hAlign="LEFT")


def _plain(name: str, longest: int = 60) -> str:
    return escape(shortened(name, longest))


def _answers(result: Assessment, spread: Intervals | None) -> list[Any]:
    from reportlab.lib.colors import HexColor
    from reportlab.platypus import Spacer

    record, given, totals = result.record, result.case.administration, result.totals
    device = f"{given.device.capitalize()} microspheres, " if given.device else ""
    activity = (
        f"net {number(totals.net_mbq)} MBq"
        if totals.net_mbq is not None
        else f"{number(totals.activity_mbq)} MBq in the image"
    )
    at = f" at {given.at.isoformat(' ', 'minutes')}" if given.at else ""
    parts = [
        _paragraph(
            f"{escape(record.constants.name)} absorbed dose <font color='{_QUIET}'>{_plain(result.case.id)}</font>",
            16,
            bold=True,
            after=3,
        ),
        _paragraph(escape(f"{device}{activity}{at}. Engine {record.engine}."), 9, colour=_QUIET, after=6),
    ]
    chosen = [
        (name, roi)
        for role in ("tumor", "normal_liver", "lung")
        for name, roi in rois_with_role(result, role).items()
    ]  # fmt: skip
    heads = ["Region", "Volume mL", "Mean Gy", "D95 Gy", "D70 Gy", "V400 %"]
    rows = [[_paragraph(h, 8, colour=_QUIET, bold=True, align=2 if n else 0) for n, h in enumerate(heads)]]
    for name, roi in chosen:
        mean = f"<b>{number(roi.mean_dose_gy)}</b>{_interval(spread, name, 'mean_dose_gy', 'Gy')}"
        numbers = [number(roi.volume_ml), mean, number(roi.d95_gy), number(roi.d70_gy), percent(roi.v400_fraction)]
        label = f"{_plain(name)} <font color='{_QUIET}'>{roi.role.replace('_', ' ')}</font>"
        rows.append([_paragraph(label, 9), *(_paragraph(n, 9, align=2) for n in numbers)])
    if chosen:
        parts.append(_table(rows, [68, 22, 28, 20, 20, 20], repeat=1))
    else:
        parts.append(_paragraph("No tumor, liver or lung ROI was given.", colour=_QUIET))
    ratio = number(result.tumor_to_normal_ratio)
    recovered = percent(totals.recovered_fraction)
    parts += [
        Spacer(1, 5),
        _paragraph(
            f"T/N ratio <b>{ratio}</b> (activity per gram, tumors over normal liver).  "
            f"Image over administered activity <b>{recovered}{' %' if recovered != '-' else ''}</b>.",
            9,
        ),
    ]
    if spread is not None:
        parts.append(_paragraph(escape(spread.text), 8, colour=_QUIET))
    if record.warnings:
        words = [_paragraph(f"Warnings ({len(record.warnings)})", 10, bold=True, colour=_ALERT)]
        words += [_paragraph(f"• {escape(w)}", 8.5) for w in record.warnings]
        box = [
            ("BACKGROUND", (0, 0), (-1, -1), HexColor(_ALERT_SOFT)),
            ("LINEBEFORE", (0, 0), (0, -1), 3, HexColor(_ALERT)),
        ]
        parts += [Spacer(1, 8), _table([[w] for w in words], [_WIDE_MM], style=box)]
    parts.append(_heading("Published thresholds"))
    found = threshold_rows(result)
    if not found:
        why = (
            "applies to the roles of these ROIs"
            if given.device
            else "is compared, since no device was given (glass or resin)"
        )
        return [*parts, _paragraph(f"No published threshold {why}.", colour=_QUIET)]
    table = [
        [
            _paragraph(h, 8, colour=_QUIET, bold=True)
            for h in ("", "Region", "Value", "Limit", "Threshold, source, method")
        ]
    ]
    for row in found:
        verdict = _paragraph("✓ met" if row.met else "✗ not met", 8.5, bold=True, colour=_GOOD if row.met else _ALERT)
        text = f"{escape(row.name)}. <font color='{_QUIET}'>{escape(row.source)}. Derived with: {escape(row.method)}. {escape(row.differs)}</font>"
        table.append(
            [
                verdict,
                _paragraph(_plain(row.roi)),
                _paragraph(f"{row.quantity.lower()} <b>{row.value}</b>"),
                _paragraph(row.limit),
                _paragraph(text, 8),
            ]
        )
    parts.append(_table(table, [21, 31, 30, 18, 78], repeat=1))
    parts.append(
        _paragraph("A limit derived with another method than this run's is not the same quantity.", 7.5, colour=_QUIET)
    )
    return parts


def _histograms(result: Assessment, drawn: Pictures) -> list[Any]:
    from reportlab.platypus import KeepTogether

    if not result.rois:
        return []
    return [KeepTogether([_heading("Dose-volume histograms, cumulative"), _picture(drawn.dvh_png, 140.0, 84.0)])]


def _images(result: Assessment, drawn: Pictures) -> list[Any]:
    from reportlab.platypus import PageBreak

    focus = slice_focus(result)
    where = f"the hottest voxel of {focus.roi}" if focus.roi is not None else "the maximum of the dose map"
    caption = (
        f"Planes through {where} ({number(focus.dose_gy)} Gy). The patient's right is at the left of axial and coronal planes. "
        f"{'CT window 400, level 40 HU.' if result.case.ct is not None else 'No CT was given.'}"
    )
    return [
        PageBreak(),
        _heading("Images"),
        _picture(drawn.slices_png, _WIDE_MM, 200.0),
        _paragraph(escape(caption), 7.5, colour=_QUIET),
    ]


def _picture(png: bytes, wide_mm: float, tall_mm: float) -> Any:
    """A picture as large as fits, in its own proportions."""
    from reportlab.lib.units import mm
    from reportlab.lib.utils import ImageReader
    from reportlab.platypus import Image

    wide, tall = ImageReader(io.BytesIO(png)).getSize()
    scale = min(wide_mm * mm / wide, tall_mm * mm / tall)
    return Image(io.BytesIO(png), wide * scale, tall * scale, hAlign="LEFT")


def _numbers(result: Assessment, spread: Intervals | None) -> list[Any]:
    from reportlab.lib.colors import HexColor
    from reportlab.platypus import Spacer

    if not result.rois:
        return []
    styles = roi_styles(result)
    parts: list[Any] = [_heading("Regions")]
    regions = list(result.rois.items())
    for part in (regions[n : n + _ABREAST] for n in range(0, len(regions), _ABREAST)):
        head = [_paragraph("", 8)]
        for name, roi in part:
            line = f"<font color='{styles[name][0]}'>■</font> <b>{_plain(name)}</b><br/><font color='{_QUIET}'>{roi.role.replace('_', ' ')}</font>"
            head.append(_paragraph(line, 8, align=2))
        rows = [head]
        shading: list[Any] = []
        group = ""
        for column in COLUMNS:
            if column.group != group:
                group = column.group
                shading.append(("BACKGROUND", (0, len(rows)), (-1, len(rows)), HexColor(_SOFT)))
                shading.append(("SPAN", (0, len(rows)), (-1, len(rows))))
                rows.append([_paragraph(group, 7.5, colour=_QUIET, bold=True), *[""] * len(part)])
            cells = [
                _paragraph(
                    f"{measure(getattr(roi, column.key), column.unit)}{_interval(spread, name, column.key, column.unit)}",
                    7.5,
                    align=2,
                )
                for name, roi in part
            ]
            rows.append(
                [_paragraph(f"{escape(column.label)} <font color='{_QUIET}'>{column.unit}</font>", 7.5), *cells]
            )
        width = (_WIDE_MM - 46) / _ABREAST
        parts += [_table(rows, [46, *[width] * len(part)], style=shading, repeat=1), Spacer(1, 10)]
    if result.overlaps:
        parts.append(_heading("Overlaps"))
        rows = [
            [
                _paragraph(_plain(o.first)),
                _paragraph(_plain(o.second)),
                _paragraph(f"{number(o.volume_ml)} mL", align=2),
            ]
            for o in result.overlaps
        ]
        parts.append(_table(rows, [60, 60, 30]))
    return parts


def _interval(spread: Intervals | None, name: str, key: str, unit: str) -> str:
    words = spread.words(name, key, unit) if spread is not None else ""
    return f"<br/><font size='6.5' color='{_QUIET}'>{words}</font>" if words else ""


def _words(result: Assessment, spread: Intervals | None) -> list[Any]:
    """Method, assumptions and reporting items; groups stand side by side, two to a row."""
    stated = [(title, [(label, escape(words)) for label, words in rows]) for title, rows in facts(result)]
    note = "After the EANM guidance on dosimetry reporting (Lassmann 2011, doi:10.1007/s00259-010-1549-3)."
    assumptions = [_paragraph(f"• {escape(a)}", 7.5, after=1.5) for a in result.record.assumptions]
    return [
        _heading("Method, constants, provenance"),
        *_side_by_side(stated),
        _heading("Assumptions"),
        *(assumptions or [_paragraph("None recorded.", colour=_QUIET)]),
        _heading("Reporting items"),
        _paragraph(note, 7.5, colour=_QUIET, after=3),
        *(_paragraph(_run_in(title, rows), 7.5, after=3) for title, rows in reporting_items(result, spread)),
    ]


def _run_in(title: str, rows: list[tuple[str, str | None]]) -> str:
    """A group of reporting items as one paragraph of markup."""
    missing = f"<font color='{_ALERT}'>not given</font>"
    items = [
        f"<font color='{_QUIET}'>{escape(label)}:</font> {missing if words is None else escape(words)}"
        for label, words in rows
    ]
    return f"<b>{escape(title)}.</b> {'; '.join(items)}."


def _side_by_side(groups: list[tuple[str, list[tuple[str, str]]]]) -> list[Any]:
    """Groups of labels and values (markup) in two columns."""
    half = _WIDE_MM / 2
    cells = []
    for title, rows in groups:
        head = _paragraph(escape(title), 8, bold=True, colour=_QUIET)
        table = [[_paragraph(escape(label), 7.5, colour=_QUIET), _paragraph(words, 7.5)] for label, words in rows]
        cells.append([head, _table(table, [33, half - 37])])
    if len(cells) % 2:
        cells.append([""])
    pairs = [cells[n : n + 2] for n in range(0, len(cells), 2)]
    bare = [("LINEBELOW", (0, 0), (-1, -1), 0, "#ffffff"), ("LEFTPADDING", (0, 0), (-1, -1), 0)]
    return [_table([pair], [half, half], style=bare) for pair in pairs]
