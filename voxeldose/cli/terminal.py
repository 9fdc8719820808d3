"""Answers on the terminal: rows of text, JSON, remarks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from voxeldose.model.remarks import Remark

__all__ = [
    "format_number",
    "print_assumptions",
    "print_json",
    "print_rows",
    "print_table",
    "print_uncertainty",
    "print_warnings",
]

_COLUMNS = (
    ("volume mL", "volume_ml", "{:.1f}", 1),
    ("activity MBq", "activity_mbq", "{:.1f}", 1),
    ("mean Gy", "mean_dose_gy", "{:.1f}", 1),
    ("D95", "d95_gy", "{:.1f}", 1),
    ("D70", "d70_gy", "{:.1f}", 1),
    ("D2", "d2_gy", "{:.1f}", 1),
    ("V190 %", "v190_fraction", "{:.1f}", 100),
    ("V400 %", "v400_fraction", "{:.1f}", 100),
    ("mean local", "mean_dose_local_gy", "{:.1f}", 1),
)


def print_table(content: dict[str, Any]) -> None:
    """The regions of an assessment, and a line of totals."""
    rows = []
    for name, roi in content["rois"].items():
        row = {"ROI": name, "role": roi["role"]}
        row |= {
            title: "-" if roi[key] is None else form.format(roi[key] * factor) for title, key, form, factor in _COLUMNS
        }
        rows.append(row)
    print_rows(rows)
    ratio, totals = content["tumor_to_normal_ratio"], content["totals"]
    totals_line = [f"T/N {ratio:.2f}" if ratio is not None else "T/N -"]
    totals_line.append(f"{totals['activity_mbq']:.0f} MBq in the image at infusion")
    if totals["recovered_fraction"] is not None:
        totals_line.append(f"image/administered {totals['recovered_fraction']:.3f}")
    click.echo("; ".join(totals_line))


_INTERVALS = (
    ("mean Gy", "mean_dose_gy"),
    ("recovered mean", "mean_dose_recovered_gy"),
    ("D95", "d95_gy"),
    ("D70", "d70_gy"),
)


def print_uncertainty(content: dict[str, Any]) -> None:
    """Means, intervals, what dominates them, and probabilities, where the run has them."""
    uncertainty = content.get("uncertainty")
    if not uncertainty:
        return
    rows = []
    columns = [(t, k) for t, k in _INTERVALS if any(k in roi["metrics"] for roi in uncertainty["rois"].values())]
    for name, roi in uncertainty["rois"].items():
        row = {"ROI": name}
        for title, key in columns:
            m = roi["metrics"].get(key)
            row[title] = f"{m['value']:.1f} ({m['q025']:.1f} to {m['q975']:.1f})" if m else "-"
        row["sd of mean"] = f"{roi['metrics'][roi['budget_of']]['sd']:.1f}"
        row["mostly by"] = (
            f"{roi['dominant']} {100 * roi['budget'][0]['variance_fraction']:.0f} %" if roi["budget"] else "-"
        )
        rows.append(row)
    click.echo(f"\n95 % intervals, {uncertainty['samples']} samples, seed {uncertainty['seed']}:")
    print_rows(rows)
    for p in uncertainty["probabilities"]:
        sign = ">=" if p["sense"] == "at least" else "<"
        click.echo(
            f"P({p['roi']} {p['metric']} {sign} {p['limit']:g}) = {p['probability']:.3f} ± {p['standard_error']:.3f}"
        )


def print_rows(rows: list[dict[str, str]]) -> None:
    """Rows in columns: names to the left, numbers to the right."""
    if not rows:
        return
    widths = {key: max(len(key), *(len(row[key]) for row in rows)) for key in rows[0]}
    left = {next(iter(rows[0])), "role"}

    def line(cells: dict[str, str]) -> str:
        return "  ".join(c.ljust(widths[k]) if k in left else c.rjust(widths[k]) for k, c in cells.items()).rstrip()

    click.echo(line({k: k for k in rows[0]}))
    for row in rows:
        click.echo(line(row))


def print_json(content: dict[str, Any]) -> None:
    """JSON that any parser reads."""
    from voxeldose.io.results.assessment import plain

    click.echo(json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False))


def print_assumptions(remarks: Iterable[Remark], *, err: bool = False) -> None:
    """What is assumed, a line each."""
    for remark in remarks:
        click.echo(f"assumed: {remark.sentence}", err=err)


def print_warnings(remarks: Iterable[Remark]) -> None:
    """What is warned of, a line each on stderr."""
    for remark in remarks:
        click.echo(f"warning: {remark.sentence}", err=True)


def format_number(value: float | None, form: str) -> str:
    """A number, or a dash where there is none."""
    return "-" if value is None else format(value, form)
