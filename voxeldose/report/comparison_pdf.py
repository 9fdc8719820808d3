"""A comparison of results, or their sum, as a PDF for the file and for print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from voxeldose.model.wording import measure, ratio
from voxeldose.report.comparison import comparison_title, ratio_rows, region_table, side_titles
from voxeldose.report.fonts import glyph_note
from voxeldose.report.palette import ALERT, ALERT_SOFT, QUIET, SOFT
from voxeldose.report.pdf_layout import WIDE_MM, Footer, heading, paragraph, picture, table, write_document
from voxeldose.report.wording import fact, shortened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from voxeldose.report.comparison import Cell, Picture, RegionTable

__all__ = ["write_comparison_pdf"]


def write_comparison_pdf(content: Mapping[str, Any], pictures: Sequence[Picture], path: Path) -> None:
    """Write the comparison: what is compared and warnings, T/N, fused slices, regions, curves, agreement, assumptions.

    Parameters
    ----------
    content : mapping
        ``comparison.json``.
    pictures : sequence of Picture
        As on the page.
    path : Path
        The file to write; what is there is replaced.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    title = comparison_title(content)
    parts = [*_titles(content), *_warnings(content["warnings"])]
    parts += (
        _difference(content, pictures) if content["kind"] == "difference" else [*_sums(content), *_others(pictures)]
    )
    parts += _words(content)
    footer = Footer(
        title,
        f"voxeldose {content['version']}. Research use; not for clinical decisions unless validated locally.",
    )
    write_document(parts, path, title=title, subject="Absorbed dose after radioembolization", footer=footer)


def _difference(content: Mapping[str, Any], pictures: Sequence[Picture]) -> list[Any]:
    return [
        *_ratios(content),
        *_fused(pictures),
        *_regions(region_table(content, "best"), "Regions, each result as it stands"),
        *_left_out(content),
        *(_matched(content) if content["matching"] else []),
        *_others(pictures),
        *_agreement(content),
    ]


def _cells(words: Sequence[str], *, bold: bool = False, colour: str = QUIET, first_left: int = 1) -> list[Any]:
    """A row of cells: the first ones to the left, numbers to the right."""
    return [
        paragraph(w, 8, colour=colour, bold=bold, align=0 if n < first_left else 2) for n, w in enumerate(words)
    ]  # fmt: skip


def _plain(words: object) -> str:
    return escape(shortened(str(words), 80))


def _titles(content: Mapping[str, Any]) -> list[Any]:
    rows = [_cells(["Result", "Case", "Dose", "Engine", "Net activity MBq", "T/N, pooled"], bold=True, first_left=4)]
    for name, side in zip(side_titles(content), content["results"], strict=True):
        numbers = (fact(side["net_mbq"]), ratio(side["best_tumor_to_normal"]))
        words = (name, side["id"] or "-", side["kind_text"] or "-", side["engine"])
        rows.append(_row([*map(_plain, words), *numbers], 4))
    registration = f"Registration: {content['registration']['kind']}."
    return [
        paragraph(escape(comparison_title(content)), 16, bold=True, after=5),
        table(rows, [26, 30, 54, 18, 30, 20], repeat=1),
        paragraph(escape(registration), 8, colour=QUIET, after=4),
    ]


def _row(words: Sequence[str], first_left: int = 1, size: float = 8.0) -> list[Any]:
    return [paragraph(w, size, align=0 if n < first_left else 2) for n, w in enumerate(words)]


def _warnings(texts: Sequence[str]) -> list[Any]:
    from reportlab.lib.colors import HexColor
    from reportlab.platypus import Spacer

    if not texts:
        return []
    rows = [[paragraph(f"Warnings ({len(texts)})", 10, bold=True, colour=ALERT)]]
    rows += [[paragraph(f"• {escape(text)}", 8.5)] for text in texts]
    box = [
        ("BACKGROUND", (0, 0), (-1, -1), HexColor(ALERT_SOFT)),
        ("LINEBEFORE", (0, 0), (0, -1), 3, HexColor(ALERT)),
    ]
    return [Spacer(1, 6), table(rows, [WIDE_MM], style=box)]


def _ratios(content: Mapping[str, Any]) -> list[Any]:
    found = ratio_rows(content)
    if not found:
        return []
    rows = [_cells(["Tumor", "By concentration", "By mean dose", "Against"], bold=True)]
    for row in found:
        ratios = [_both(pair) for pair in (row.by_concentration, row.by_dose)]
        words = [_plain(row.roi), *ratios, _plain(row.normal)]
        rows.append(_row(words))
    note = paragraph("Before → after treatment, as each result has it.", 7.5, colour=QUIET)
    return [heading("Tumor-to-normal ratio of each tumor"), table(rows, [42, 36, 36, 64], repeat=1), note]


def _both(pair: tuple[Cell, Cell]) -> str:
    """Both values; where there is no number in either, what both say, once."""
    words = [_cell(one) for one in pair]
    return words[0] if words[0] == words[1] and not words[0][:1].isdigit() else " → ".join(words)


def _fused(pictures: Sequence[Picture]) -> list[Any]:
    from reportlab.platypus import KeepTogether

    chosen = [one for one in pictures if one.group == "fused"]
    width = WIDE_MM / len(chosen)
    shown = [picture(one.png, width - 3, 130.0) for one in chosen]
    captions = [paragraph(escape(one.caption), 7, colour=QUIET) for one in chosen]
    bare = [("LINEBELOW", (0, 0), (-1, -1), 0, "#ffffff")]
    both = table([shown, captions], [width] * len(chosen), style=bare)
    return [KeepTogether([heading("Dose on CT, both at one colour scale"), both])]


def _cell(cell: Cell) -> str:
    """A number and, small, what it is."""
    return f"{cell.words}<br/><font size='6' color='{QUIET}'>{escape(cell.note)}</font>" if cell.note else cell.words


def _regions(found: RegionTable, title: str) -> list[Any]:
    from reportlab.lib.colors import HexColor

    if not found.regions:
        return [heading(title), paragraph("No region lies where both doses reach.", 8, colour=QUIET)]
    count = len(found.heads)
    rows = [_cells(["Region", *(f"{label} {unit}" for label, unit in found.heads)], bold=True)]
    shading: list[Any] = []
    for name, role, lines in found.regions:
        shading.append(("BACKGROUND", (0, len(rows)), (-1, len(rows)), HexColor(SOFT)))
        shading.append(("SPAN", (0, len(rows)), (-1, len(rows))))
        rows.append([paragraph(f"<b>{_plain(name)}</b> <font color='{QUIET}'>{role}</font>", 8), *[""] * count])
        rows += [_row([_plain(words), *map(_cell, cells)]) for words, cells in lines[:-1]]
        rows += [_cells([words, *map(_cell, cells)]) for words, cells in lines[-1:]]
    width = (WIDE_MM - 38) / count
    return [heading(title), table(rows, [38, *[width] * count], style=shading, repeat=1)]


def _left_out(content: Mapping[str, Any]) -> list[Any]:
    only = content["not_compared"]
    if not only["pre"] and not only["post"]:
        return []
    listed = "; ".join(f"{', '.join(only[side]) or 'none'} ({side})" for side in ("pre", "post"))
    return [paragraph(escape(f"Not compared, since only one result has them: {listed}."), 7.5, colour=QUIET)]


def _matched(content: Mapping[str, Any]) -> list[Any]:
    width = f"{content['matching']['fwhm_mm']:g}"
    return _regions(region_table(content, "matched"), f"Regions of post, both doses matched at {width} mm FWHM")


def _sums(content: Mapping[str, Any]) -> list[Any]:
    heads = ["Region", "Volume mL", *(f"{side['name']} mean Gy" for side in content["results"])]
    rows = [_cells([*heads, "Sum mean Gy", "D95 Gy", "D2 Gy", "BED Gy"], bold=True)]
    for name, roi in content["rois"].items():
        each = [measure(value, "Gy") for value in roi["mean_each_gy"]]
        sums = [measure(roi[key], "Gy") for key in ("mean_dose_gy", "d95_gy", "d2_gy", "bed_gy")]
        rows.append(_row([_plain(name), fact(roi["volume_ml"]), *each, *sums]))
    width = (WIDE_MM - 38) / (len(rows[0]) - 1)
    return [heading("Regions of the last treatment"), table(rows, [38, *[width] * (len(rows[0]) - 1)], repeat=1)]


def _others(pictures: Sequence[Picture]) -> list[Any]:
    from reportlab.platypus import KeepTogether

    titles = {"curves": "Dose-volume histograms, cumulative", "maps": "Maps"}
    return [
        KeepTogether(
            [
                heading(titles[one.group]),
                picture(one.png, 150.0 if one.group == "curves" else WIDE_MM, 90.0),
                paragraph(escape(one.caption), 7.5, colour=QUIET),
            ]
        )
        for one in pictures
        if one.group in titles
    ]


def _agreement(content: Mapping[str, Any]) -> list[Any]:
    from reportlab.platypus import KeepTogether

    gamma = content["gamma"]
    passed = f"{measure(gamma['passed_fraction'], '%')} % of {gamma['evaluated_voxels']} voxels pass"
    rows = [
        _cells(
            ["Region of post", "Gamma passed %", "Mean of pre Gy", "Mean of post Gy", "RMS difference Gy"], bold=True
        )
    ]
    keys = ("pre_in_post_roi_gy", "post_in_post_roi_gy", "rms_difference_gy")
    for name, roi in content["rois"].items():
        numbers = (measure(roi["gamma_passed_fraction"], "%"), *(measure(roi[key], "Gy") for key in keys))
        rows.append(_row([_plain(name), *numbers]))
    matched = ", matched" if content["matching"] else ""
    words = f"Gamma {gamma['criteria']}: {passed}. The reference is the dose after treatment."
    parts = [heading(f"Agreement voxel by voxel{matched}"), paragraph(escape(words), 8, after=3)]
    return [KeepTogether([*parts, table(rows, [46, 33, 33, 33, 33], repeat=1)])]


def _words(content: Mapping[str, Any]) -> list[Any]:
    on_letters = glyph_note(" ".join(content["rois"]))
    note = [on_letters] if on_letters else []
    formulas = [f"{name.replace('_', ' ')}: {text}" for name, text in content["formula"].items()]
    return [
        heading("Assumptions"),
        *(paragraph(f"• {escape(text)}", 7.5, after=1.5) for text in (*content["assumptions"], *note)),
        heading("Formulas and sources"),
        *(paragraph(f"• {escape(text)}", 7.5, colour=QUIET, after=1.5) for text in (*formulas, *content["sources"])),
    ]
