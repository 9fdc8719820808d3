"""What pages, PDFs, terminals and SRs show, as tests read it: tables of text, and measurements by region."""

import re
import shutil
import subprocess
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path

import pytest


class Tables(HTMLParser):
    """Rows of all tables of a page as lists of text, and all text that people see."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.words: list[str] = []
        self._cell: list[str] | None = None
        self._hidden = 0
        self.feed(page)

    def handle_starttag(self, tag, attrs):  # noqa: ARG002 - the parser's
        if tag in ("script", "style", "svg"):
            self._hidden += 1
        elif tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self._cell = []

    def handle_endtag(self, tag):
        if tag in ("script", "style", "svg"):
            self._hidden -= 1
        elif tag in ("td", "th") and self._cell is not None:
            self.tables[-1][-1].append(" ".join(self._cell))
            self._cell = None

    def handle_data(self, data):
        text = " ".join(data.split())
        if text and not self._hidden:
            self.words.append(text)
            if self._cell is not None:
                self._cell.append(text)

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def table(self, head: Iterable[str]) -> list[list[str]]:
        """The first table whose first row begins so."""
        head = list(head)
        return next(t for t in self.tables if t and t[0][: len(head)] == head)


def page(path: Path) -> Tables:
    return Tables(path.read_text())


def pdf_text(path: Path) -> str:
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not installed")
    found = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, text=True, check=True)
    return found.stdout


def columns_of(lines: str) -> dict[str, dict[str, str]]:
    """The first table of a terminal's text, by region and heading."""
    rows = [re.split(r"\s{2,}", line.strip()) for line in lines.splitlines()]
    first = next(n for n, row in enumerate(rows) if row[0] == "ROI")
    head = rows[first]
    found = {}
    for row in rows[first + 1 :]:
        if len(row) != len(head):
            break
        found[row[0]] = dict(zip(head, row, strict=True))
    return found


def measurement_groups(path: Path) -> dict[str, dict[tuple[str, str], float | str]]:
    """Measurements of an SR: region -> (meaning, derivation and method) -> value; the engine's own mean before others."""
    from pydicom import dcmread

    def meaning(item) -> str:
        return item.ConceptNameCodeSequence[0].CodeMeaning

    imaging = next(i for i in dcmread(path).ContentSequence if meaning(i) == "Imaging Measurements")
    groups = {}
    for group in imaging.ContentSequence:
        items = group.ContentSequence
        name = next(i.TextValue for i in items if meaning(i) == "Tracking Identifier")
        found = {}
        for item in items:
            if item.ValueType == "NUM":
                below = ", ".join(sorted(i.ConceptCodeSequence[0].CodeMeaning for i in item.get("ContentSequence", ())))
                found[meaning(item), below] = float(item.MeasuredValueSequence[0].NumericValue)
            elif item.ValueType == "CODE":
                found[meaning(item), ""] = item.ConceptCodeSequence[0].CodeMeaning
        groups[name] = found
    return groups
