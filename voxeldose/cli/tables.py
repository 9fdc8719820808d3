"""Rows of text for the terminal."""

from __future__ import annotations

from typing import Any

import click

__all__ = ["print_rows", "print_table"]

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
