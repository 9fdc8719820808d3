"""The first page of the PDF, a page to sign: what was given, the picture, the numbers, verdicts, the worst warnings, signatures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from voxeldose.model.wording import activity, measure, number, percent, role_words
from voxeldose.report.content import lung_rows, threshold_rows
from voxeldose.report.headline import best, not_reached, ratios
from voxeldose.report.palette import ALERT, GOOD, QUIET
from voxeldose.report.pdf_layout import WIDE_MM, paragraph, picture, plain_name, table
from voxeldose.report.plots import rois_with_role
from voxeldose.report.wording import sentences

if TYPE_CHECKING:
    from voxeldose.model.assessment import Assessment
    from voxeldose.report.content import Intervals
    from voxeldose.report.headline import Best
    from voxeldose.report.pictures import Pictures

__all__ = ["first_page"]

#: Warnings and thresholds on the first page; all of them follow.
MOST_WARNINGS, MOST_VERDICTS = 3, 6


def first_page(result: Assessment, drawn: Pictures, spread: Intervals | None) -> list[Any]:
    """What is signed; the rest of the report says where it comes from."""
    from reportlab.platypus import Spacer

    half = 62.0
    cells = [picture(drawn.planes["axial"], half, 62.0), _ratios(result, spread)]
    beside = table([cells], [half + 4, WIDE_MM - half - 4], style=[("LINEBELOW", (0, 0), (-1, -1), 0, "#ffffff")])
    return [
        *_titles(result),
        *_chosen_regions(result),
        Spacer(1, 6),
        beside,
        *_verdicts(result),
        *_worst(result),
        *_signatures(),
    ]


def _verdicts(result: Assessment) -> list[Any]:
    """Limits that are met and not, in a line each; sources follow on the next page."""
    rows = threshold_rows(result)
    lines = [
        f"<font color='{GOOD if row.met else ALERT}'><b>{'✓' if row.met else '✗'}</b></font> {plain_name(row.roi)} "
        f"{row.quantity.lower()} <b>{row.value}</b> against {row.limit}: {escape(row.name)}"
        for row in rows[:MOST_VERDICTS]
    ]
    if len(rows) > MOST_VERDICTS:
        lines.append(f"{len(rows) - MOST_VERDICTS} more on the next page")
    return [paragraph(line, 8.5, after=1) for line in lines]


def _worst(result: Assessment) -> list[Any]:
    """The first warnings, and how many more there are."""
    texts = sentences(result.record.warnings)
    shown = [paragraph(f"<b>!</b> {escape(text)}", 8.5, colour=ALERT, after=1) for text in texts[:MOST_WARNINGS]]
    if len(texts) > MOST_WARNINGS:
        shown.append(paragraph(f"{len(texts) - MOST_WARNINGS} more warnings on the next page", 8.5, colour=ALERT))
    return shown


def _signatures() -> list[Any]:
    """Lines to sign on."""
    from reportlab.platypus import KeepTogether, Spacer

    line = "." * 44
    rows = [
        [paragraph(who, 8.5), paragraph(f"{line}", 8.5, colour=QUIET), paragraph(f"Date {'.' * 24}", 8.5, colour=QUIET)]
        for who in ("Medical physicist", "Responsible physician")
    ]
    bare = [("LINEBELOW", (0, 0), (-1, -1), 0, "#ffffff"), ("TOPPADDING", (0, 0), (-1, -1), 10)]
    return [KeepTogether([Spacer(1, 8), table(rows, [42, 82, 54], style=bare)])]


def _titles(result: Assessment) -> list[Any]:
    record, given, totals = result.record, result.case.administration, result.totals
    device = f"{given.device.capitalize()} microspheres, " if given.device else ""
    given_words = f"{activity(totals.activity_mbq)} in the image"
    if totals.net_mbq is not None:
        given_words = f"net {activity(totals.net_mbq)}"
    at = f" at {given.at.isoformat(' ', 'minutes')}" if given.at else ""
    title = f"{escape(record.constants.name)} absorbed dose <font color='{QUIET}'>{plain_name(result.case.id)}</font>"
    return [
        paragraph(title, 16, bold=True, after=3),
        paragraph(escape(result.kind_text), 11, bold=True, after=3),
        paragraph(escape(f"{device}{given_words}{at}. Engine {record.engine}."), 9, colour=QUIET, after=6),
    ]


def _chosen_regions(result: Assessment) -> list[Any]:
    """A few numbers of tumors, normal liver and lungs."""
    chosen = [
        (name, roi)
        for role in ("tumor", "perfused", "normal_liver", "lung")
        for name, roi in rois_with_role(result, role).items()
    ]  # fmt: skip
    if not chosen:
        return [paragraph("No tumor, liver or lung ROI was given.", colour=QUIET)]
    heads = ["Region", "Volume mL", "Mean Gy", "D95 Gy", "D70 Gy", "V400 %"]
    rows = [[paragraph(h, 8, colour=QUIET, bold=True, align=2 if n else 0) for n, h in enumerate(heads)]]
    for name, roi in chosen:
        mean = best(result, name, "mean_dose_gy", "Gy")
        kind = f"<br/><font size='7' color='{QUIET}'>{mean.kind}</font>" if mean.kind else ""
        label = f"{plain_name(name)} <font color='{QUIET}'>{role_words(roi.role, roi.reached)}</font>{kind}"
        others = (("d95_gy", "Gy"), ("d70_gy", "Gy"), ("v400_fraction", "%"))
        cells = [_best(mean, strong=True), *(_best(best(result, name, key, unit), mean) for key, unit in others)]
        rows.append([paragraph(label, 9), *(paragraph(c, 9, align=2) for c in (number(roi.volume_ml), *cells))])
    return [table(rows, [52, 20, 28, 26, 26, 26], repeat=1), *_single_compartments(result)]


def _best(one: Best, mean: Best | None = None, *, strong: bool = False) -> str:
    """A best value, and beneath it its interval, and the image's own where that differs."""
    beneath = [one.interval] if one.interval else []
    if one.kind:
        beneath.append(f"in the image {one.image}")
    elif mean is not None and mean.kind:
        beneath.append(f"not {mean.kind}")
    lines = "".join(f"<br/><font size='6.5' color='{QUIET}'>{words}</font>" for words in beneath)
    return f"{f'<b>{one.words}</b>' if strong else one.words}{lines}"


def _single_compartments(result: Assessment) -> list[Any]:
    """The mean of each perfused volume by one compartment, beside that of the dose map."""
    return [
        paragraph(
            f"{plain_name(name)}: <b>{measure(roi.single_compartment_gy, 'Gy')} Gy</b> by single compartment, K A (1 - LSF) / m; "
            f"{measure(roi.mean_dose_gy, 'Gy')} Gy mean of the dose map.",
            9,
        )
        for name, roi in result.rois.items()
        if roi.single_compartment_gy is not None
    ]


def _ratios(result: Assessment, spread: Intervals | None) -> list[Any]:
    totals = result.totals
    recovered, liver = percent(totals.recovered_fraction), percent(totals.liver_of_field_fraction)
    rows = [
        f"{plain_name(r.roi)} <b>{r.best.words}</b>"
        + (f" ({r.best.interval})" if r.best.interval else "")
        + (f", {r.best.kind}; in the image {r.best.image}" if r.best.kind else "")
        for r in ratios(result)
    ]
    left = [f"{plain_name(name)} not reached" for name in not_reached(result)]
    against = next((f" against {escape(r.normal)}" for r in ratios(result)), "")
    text = (
        f"T/N ratio by activity concentration{against}: {'; '.join([*rows, *left]) or '-'}.  "
        f"Image over administered activity <b>{recovered}{' %' if recovered != '-' else ''}</b>.  "
        f"Liver over field of view <b>{liver}{' %' if liver != '-' else ''}</b>."
    )
    if totals.calibration_region is not None:
        text += (
            f"<br/>Calibration region: {escape(totals.calibration_region)}; {number(totals.calibration_region_mbq)} MBq in it, "
            f"{number(totals.outside_region_mbq)} MBq outside."
        )
    lungs = "; ".join(f"{label}: {words}" for label, words in lung_rows(result))
    if lungs:
        text += f"<br/><b>Lungs</b>: {escape(lungs)}."
    parts = [paragraph(text, 9)]
    return [*parts, paragraph(escape(spread.text), 8, colour=QUIET)] if spread is not None else parts
