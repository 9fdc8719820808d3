"""A site's own table of HU and mass density, as CSV."""

from __future__ import annotations

import csv
from pathlib import Path

from voxeldose.errors import InputError
from voxeldose.io.text_files import read_text

__all__ = ["read_hu_table"]


def read_hu_table(path: str | Path) -> list[tuple[float, float]]:
    """Rows of HU and g/mL from a CSV file; a first row of names and lines that begin with # are passed over.

    Parameters
    ----------
    path : path
        Comma, semicolon or tab between the two numbers.

    Returns
    -------
    list of (float, float)
        As written; :func:`voxeldose.dose.density.hu_to_density` checks their order.

    Raises
    ------
    InputError
        If it cannot be read, or a row is not two numbers.
    """
    path = Path(path)
    try:
        text = read_text(path)
    except OSError as error:
        msg = f"{path}: the HU table cannot be read ({error})."
        raise InputError(
            msg, code="file-missing" if isinstance(error, FileNotFoundError) else "file-damaged"
        ) from error
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    delimiter = next((d for d in ("\t", ";") if lines and d in lines[0]), ",")
    rows: list[tuple[float, float]] = []
    for n, cells in enumerate(csv.reader(lines, delimiter=delimiter)):
        try:
            hu, density = (float(c) for c in cells)
        except ValueError:
            if n == 0 and not any(_is_number(c) for c in cells):
                continue
            msg = f"{path}: row {n + 1} is {delimiter.join(cells)!r}, not HU and g/mL as in -1000{delimiter}0.00121."
            raise InputError(msg, code="table-wrong", row=n + 1) from None
        rows.append((hu, density))
    return rows


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
