"""A plan for people: methods side by side, inputs, limits and vial; what page and PDF both say, the page, and the PDF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from xml.sax.saxutils import escape

from voxeldose.model.wording import activity, dose, number, percent, ratio, role_words
from voxeldose.report.palette import ALERT, ALERT_SOFT, GOOD, QUIET
from voxeldose.report.pdf_layout import WIDE_MM, Footer, heading, paragraph, table, write_document
from voxeldose.report.templates import page_template, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["Grid", "plan_grids", "plan_title", "write_plan_page", "write_plan_pdf"]

_TITLES = {"single compartment": "Single compartment (MIRD)", "partition": "Partition model", "voxel": "Voxel by voxel"}
_SHORT = {"single compartment": "MIRD", "partition": "partition", "voxel": "voxels"}
CURIE_MBQ = 37_000.0


class Grid(NamedTuple):
    """A table of words: its title, heads, rows, and a note below it; the first column is text, ``marked`` rows stand out."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    marked: Sequence[int] = ()
    wide: int | None = None


def plan_title(content: Mapping[str, Any]) -> str:
    """What is planned, in one line."""
    mbq = content["activity_mbq"]
    return f"{activity(mbq)} in the patient at the infusion"


def plan_grids(content: Mapping[str, Any]) -> list[Grid]:
    """Every table of a plan, in the order of the page."""
    grids = [
        _side_by_side(content),
        _bounds(content),
        _limits(content),
        _compartments(content),
        _territories(content),
        _regions(content),
        _lungs(content),
        _vial(content),
    ]
    return [grid for grid in grids if grid.rows or grid.note]


def _side_by_side(content: Mapping[str, Any]) -> Grid:
    methods = content["methods"]
    tumors = list(dict.fromkeys(name for m in methods.values() for name in m["tumors_gy"]))
    rows = [("Perfused volume", [m["perfused_gy"] for m in methods.values()])]
    rows += [(f"Tumor {name}", [m["tumors_gy"].get(name) for m in methods.values()]) for name in tumors]
    rows += [
        ("Perfused normal liver", [m["normal_gy"] for m in methods.values()]),
        ("Whole normal liver", [m["whole_normal_gy"] for m in methods.values()]),
        ("Lungs", [m["lung_gy"] for m in methods.values()]),
    ]
    heads = ["Mean absorbed dose, Gy"] + [
        _TITLES[name] + (" (the plan)" if name == content["method"] else "") for name in methods
    ]
    shown = [[name, *map(dose, values)] for name, values in rows if any(v is not None for v in values)]
    missing = " ".join(f"{_TITLES[name]}: {why}" for name, why in content["missing"].items())
    return Grid("Methods side by side, at the planned activity", heads, shown, missing)


def _bounds(content: Mapping[str, Any]) -> Grid:
    plan = content["plan"]
    rows = [
        [
            b["name"],
            "goal" if b["kind"] == "goal" else "limit",
            _wanted(b["wanted"], b["name"]),
            _wanted(b["value"], b["name"]),
            number(b["activity_mbq"]) if b["activity_mbq"] is not None and b["activity_mbq"] < 1e12 else "any",
            "binding" if b["name"] == plan["binding"] else "",
            "✓ met" if b["met"] else "✗ not met",
        ]
        for b in plan["bounds"]
    ]
    marked = [n for n, b in enumerate(plan["bounds"]) if b["name"] == plan["binding"]]
    heads = ("Goal or limit", "Kind", "Wanted", "Here", "MBq for it", "Binding", "Met")
    return Grid("Goals and limits of this plan", heads, rows, marked=marked)


def _wanted(value: float, name: str) -> str:
    is_fraction = ".V" in name.upper() and "=" in name
    return f"{percent(value)} %" if is_fraction else f"{dose(value)} Gy"


def _limits(content: Mapping[str, Any]) -> Grid:
    rows = [
        [
            f"{t['roi']}: {t['name']}",
            _of_metric(t["value"], t["metric"]),
            _SHORT[t["by"]],
            "✓ met" if t["met"] else "✗ not met",
            " ".join(part for part in (f"{t['source']}.", t["differs"]) if part),
        ]
        for t in content["thresholds"]
    ]
    note = "" if rows else "No published limit is compared: the device is not given, or none applies to these regions."
    return Grid("Published limits", ("Limit", "Here", "By", "Met", "Source"), rows, note, wide=4)


def _of_metric(value: float, metric: str) -> str:
    return f"{percent(value)} %" if metric.endswith("_fraction") else f"{dose(value)} Gy"


def _compartments(content: Mapping[str, Any]) -> Grid:
    rows = [
        [
            c["name"],
            c["territory"],
            number(c["mass_g"]),
            number(c["volume_ml"]),
            ratio(c["tumor_to_normal"]),
            dose(c["mean_gy"]),
        ]
        for c in content["compartments"]
    ]
    density = content["density_g_per_ml"]
    note = f"Masses are volumes times {density:g} g/mL." if density is not None and rows else ""
    return Grid(
        "Compartments of the partition model",
        ("Compartment", "Territory", "Mass, g", "Volume, mL", "T/N", "Mean, Gy"),
        rows,
        note if rows else "",
    )


def _territories(content: Mapping[str, Any]) -> Grid:
    rows = [
        [
            t["territory"],
            number(t["activity_mbq"]),
            "-" if t["lung_shunt_fraction"] is None else percent(t["lung_shunt_fraction"]),
            number(t["perfused_g"]),
            dose(t["perfused_gy"]),
            dose(t["normal_gy"]),
            "; ".join(f"{name} {dose(gy)}" for name, gy in t["tumors_gy"].items()) or "-",
        ]
        for t in content["territories"]
    ]
    heads = ("Territory", "MBq", "Shunt, %", "Perfused, g", "Perfused mean, Gy", "Normal liver, Gy", "Tumors, Gy")
    return Grid("Dose by territory", heads, rows)


def _regions(content: Mapping[str, Any]) -> Grid:
    rows = [
        [
            r["roi"],
            role_words(r["role"]),
            number(r["volume_ml"]),
            dose(r["mean_dose_gy"]),
            dose(r["d95_gy"]),
            dose(r["d70_gy"]),
            percent(r["v400_fraction"]),
        ]
        for r in content["regions"]
    ]
    heads = ("Region", "Role", "Volume, mL", "Mean, Gy", "D95, Gy", "D70, Gy", "V400, %")
    return Grid("Voxel by voxel, at the planned activity", heads, rows)


def _lungs(content: Mapping[str, Any]) -> Grid:
    lungs = content["lungs"]
    if lungs["lung_shunt_fraction"] is None:
        return Grid("Lungs", (), (), "No lung shunt fraction was given: the lungs' dose is not known.")
    row = [
        percent(lungs["lung_shunt_fraction"]),
        number(lungs["activity_mbq"]),
        number(lungs["mass_g"]),
        dose(lungs["mean_gy"]),
    ]
    return Grid("Lungs", ("Shunt, %", "Activity, MBq", "Mass, g", "Mean, Gy"), [row])


def _vial(content: Mapping[str, Any]) -> Grid:
    vial = content["vial"]
    heads = ("Vial", "Calibrated", "At infusion, MBq", "Above wanted, %", "Bq per sphere", "10⁶ spheres")
    if vial is None:
        return Grid("Vial", (), (), content["no_vial"])
    offered = [o for o in vial["options"] if o["is_offered"]]
    rows = [
        [
            f"{o['vial_gbq']:.4g} GBq ({o['vial_gbq'] * 1e6 / CURIE_MBQ:.0f} mCi)",
            o["calibration_at"].replace("T", " ")[:16] + o["calibration_at"][19:],
            number(o["at_infusion_mbq"]),
            f"{100 * o['excess_fraction']:+.1f}",
            number(o["bq_per_sphere"]),
            number(o["spheres_in_vial"] and o["spheres_in_vial"] / 1e6),
        ]
        for o in offered
    ]
    marked = [
        n
        for n, o in enumerate(offered)
        if o["vial_gbq"] == vial["vial_gbq"] and o["calibration_at"] == vial["calibration_at"]
    ]
    spheres, parts = content["spheres"], [vial["offer_rule"]]
    if spheres is not None:
        parts.append(f"{spheres['spheres'] / 1e6:.3g} million spheres carry the planned activity")
        for key, what in (
            ("per_ml_of_tumor", "of tumor, as if all went there"),
            ("per_ml_of_perfused", "of the perfused volume"),
        ):
            if spheres[key] is not None:
                parts[-1] += f", {float(f'{spheres[key]:.3g}'):.0f} per mL {what}"
        parts[-1] += "."
    return Grid("Vial", heads, rows, " ".join(parts), marked=marked)


def _facts(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What holds for the whole plan."""
    inputs, constants = content["inputs"], content["constants"]
    shunt = inputs["lung_shunt_fraction"]
    kernel = f"{constants['name']}: K {constants['gy_kg_per_gbq']:.2f} Gy kg/GBq, T½ {constants['half_life_h']:g} h"
    rows = [
        ("Case", content["case"]["id"] or "none: numbers alone"),
        ("Image", content["kind_text"] or "none"),
        ("Device", inputs["device"] or "not given"),
        ("Lung shunt", "not given" if shunt is None else f"{percent(shunt)} %"),
        ("Constants", kernel),
    ]
    rows += [(_TITLES[m], formula) for m, formula in content["formulas"].items()]
    return rows


def write_plan_page(content: Mapping[str, Any], path: Path) -> None:
    """Write one self-contained HTML file from ``plan.json``."""
    page = page_template("plan.html.j2").render(
        content=content,
        title=plan_title(content),
        method=_TITLES[content["method"]],
        grids=plan_grids(content),
        facts=_facts(content),
        style=text_of("report.css"),
    )
    path.write_text(page, "utf-8", newline="\n")


def write_plan_pdf(content: Mapping[str, Any], path: Path) -> None:
    """Write the same as a PDF.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    title = f"Y-90 plan {content['case']['id']}".strip()
    parts: list[Any] = [
        paragraph(escape(title), 16, bold=True, after=3),
        paragraph(f"<b>{escape(plan_title(content))}</b>", 11, after=3),
        paragraph(
            f"{escape(_TITLES[content['method']])}. PLANNED: nothing has been administered.", 9, colour=QUIET, after=6
        ),
        *_warnings(content),
    ]
    for grid in plan_grids(content):
        parts += [heading(grid.title), *_grid_parts(grid)]
    parts.append(heading("Basis"))
    parts.append(
        table(
            [[paragraph(escape(a), 8, colour=QUIET), paragraph(escape(b), 8)] for a, b in _facts(content)],
            [44, WIDE_MM - 44],
        )
    )
    for head, texts in (
        ("Sources", content["sources"]),
        ("Assumptions", [r["message"] for r in content["assumptions"]]),
    ):
        parts.append(heading(head))
        parts += [paragraph(f"• {escape(text)}", 8, after=1.5) for text in texts]
    footer = Footer(
        title, f"voxeldose {content['version']}. Research use; not for clinical decisions unless validated locally."
    )
    write_document(parts, path, title=title, subject="Plan of a radioembolization", footer=footer)


def _warnings(content: Mapping[str, Any]) -> list[Any]:
    from reportlab.lib.colors import HexColor

    texts = [r["message"] for r in content["warnings"]]
    if not texts:
        return []
    rows = [paragraph(f"Warnings ({len(texts)})", 10, bold=True, colour=ALERT)]
    rows += [paragraph(f"• {escape(text)}", 8.5) for text in texts]
    box = [("BACKGROUND", (0, 0), (-1, -1), HexColor(ALERT_SOFT)), ("LINEBEFORE", (0, 0), (0, -1), 3, HexColor(ALERT))]
    return [table([[row] for row in rows], [WIDE_MM], style=box)]


def _grid_parts(grid: Grid) -> list[Any]:
    parts: list[Any] = []
    if grid.rows:
        n = len(grid.heads)
        first = 56.0 if grid.wide is not None else 46.0
        last = 62.0 if grid.wide is not None else None
        rest = (WIDE_MM - first - (last or 0)) / (n - (2 if last else 1))
        widths = [first, *[rest] * (n - 1)]
        if last:
            widths[-1] = last
        rows = [
            [paragraph(escape(h), 8, colour=QUIET, bold=True, align=_align(c, grid)) for c, h in enumerate(grid.heads)]
        ]
        rows += [
            [_cell(word, c, grid, is_marked=r in grid.marked) for c, word in enumerate(row)]
            for r, row in enumerate(grid.rows)
        ]
        parts.append(table(rows, widths, repeat=1))
    return [*parts, paragraph(escape(grid.note), 8, colour=QUIET)] if grid.note else parts


def _align(column: int, grid: Grid) -> int:
    return 0 if column in {0, grid.wide} else 2


def _cell(word: str, column: int, grid: Grid, *, is_marked: bool) -> Any:
    colour = {"✓": GOOD, "✗": ALERT}.get(word[:1])
    text = f"<b>{escape(word)}</b>" if is_marked else escape(word)
    if colour is not None:
        return paragraph(text, 8, colour=colour, bold=True, align=_align(column, grid))
    return paragraph(text, 7 if column == grid.wide else 8.5, align=_align(column, grid))
