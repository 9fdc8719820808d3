"""What an inspection found, as text: a table of series, and for each what does not fit the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxeldose.io.dicom.header import printable
from voxeldose.report.text import table_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.io.inspection import FoundSeries

__all__ = ["inspection_lines"]


def inspection_lines(found: Sequence[FoundSeries]) -> list[str]:
    """A line per series, then each with its instants, what sets it apart, what it needs, and the verdict.

    Control characters of headers and names are shown as their escapes.
    """
    text = table_lines([_cells(n, series) for n, series in enumerate(found, start=1)])
    for n, series in enumerate(found, start=1):
        text += ["", f"{n}  {series.path}"]
        text += [f"   {title:<9} {words}" for title, words in _details(series)]
        text += [f"   {'labels' if not n else '':<9} {line}" for n, line in enumerate(_label_lines(series))]
    return [printable(line) for line in text]


def _cells(n: int, series: FoundSeries) -> dict[str, str]:
    cells = {
        "": str(n),
        "kind": series.kind,
        "files": series.files,
        "vendor": series.vendor,
        "nuclide": series.nuclide,
        "units": series.units,
        "decay": series.decay,
        "grid k j i": (series.grid_text or "").removesuffix(" (k, j, i)").replace(" voxels of", ","),
        "use": series.uses[0] if series.uses else "none",
    }
    return {key: str(value or "-") for key, value in cells.items()}


def _label_lines(series: FoundSeries) -> list[str]:
    """A line per label of a file of regions: number, name, role, volume."""
    rows = [
        {
            "label": one.label,
            "name": one.name or "no name",
            "role": one.role or "-",
            "volume mL": f"{one.volume_ml:.1f}" if one.volume_ml is not None else one.problem,
        }
        for one in series.labels
    ]
    return table_lines(rows)


def _details(series: FoundSeries) -> list[tuple[str, str]]:
    details = [
        ("instants", "; ".join(f"{name} {at}" for name, at in series.instants.items())),
        ("quirks", "; ".join(series.quirks)),
        ("needs", "; ".join(f"{key} ({what})" for key, what in series.needs.items())),
        ("verdict", series.verdict),
    ]
    return [(title, text) for title, text in details if text]
