"""Rows of text for the terminal."""

from __future__ import annotations

from typing import Any

import click

__all__ = ["print_rows", "print_table", "print_uncertainty"]

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
    said = [f"T/N {ratio:.2f}" if ratio is not None else "T/N -"]
    said.append(f"{totals['activity_mbq']:.0f} MBq in the image at infusion")
    if totals["recovered_fraction"] is not None:
        said.append(f"image/administered {totals['recovered_fraction']:.3f}")
    click.echo("; ".join(said))


_SPREAD = (
    ("mean Gy", "mean_dose_gy"),
    ("recovered mean", "mean_dose_recovered_gy"),
    ("D95", "d95_gy"),
    ("D70", "d70_gy"),
)


def print_uncertainty(content: dict[str, Any]) -> None:
    """Means, intervals, what rules them, and probabilities, where the run has them."""
    found = content.get("uncertainty")
    if not found:
        return
    rows = []
    shown = [(t, k) for t, k in _SPREAD if any(k in roi["metrics"] for roi in found["rois"].values())]
    for name, roi in found["rois"].items():
        row = {"ROI": name}
        for title, key in shown:
            m = roi["metrics"].get(key)
            row[title] = f"{m['value']:.1f} ({m['q025']:.1f} to {m['q975']:.1f})" if m else "-"
        row["sd of mean"] = f"{roi['metrics'][roi['budget_of']]['sd']:.1f}"
        row["mostly by"] = (
            f"{roi['dominant']} {100 * roi['budget'][0]['variance_fraction']:.0f} %" if roi["budget"] else "-"
        )
        rows.append(row)
    click.echo(f"\n95 % intervals, {found['samples']} samples, seed {found['seed']}:")
    print_rows(rows)
    for p in found["probabilities"]:
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
