"""A comparison of results, or their sum, for people: what page and PDF both say, and the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from voxeldose.report.images import data_uri, figure_file
from voxeldose.report.templates import page_template
from voxeldose.report.wording import fact, measure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

__all__ = ["COLUMNS", "Picture", "RatioRow", "comparison_title", "ratio_rows", "side_titles", "write_page"]

_DPI = 130


class Column(NamedTuple):
    """One number of a region: heading, unit (``%`` for fractions), key in ``comparison.json``."""

    label: str
    unit: str
    key: str


#: What is shown of each region; comparison.csv has all.
COLUMNS = (
    Column("Volume", "mL", "volume_ml"),
    Column("Activity", "MBq", "activity_mbq"),
    Column("Mean", "Gy", "mean_dose_gy"),
    Column("D95", "Gy", "d95_gy"),
    Column("D70", "Gy", "d70_gy"),
    Column("D2", "Gy", "d2_gy"),
    Column("V400", "%", "v400_fraction"),
    Column("BED", "Gy", "bed_gy"),
)


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture: the group that it stands in, its caption, and the PNG."""

    group: str
    caption: str
    png: bytes

    @classmethod
    def drawn(cls, group: str, caption: str, figure: Figure) -> Picture:
        """From a figure."""
        return cls(group, caption, figure_file(figure, "png", _DPI))


class RatioRow(NamedTuple):
    """T/N of one tumor in both results, as text, and against what."""

    roi: str
    by_concentration: tuple[str, str]
    by_dose: tuple[str, str]
    normal: tuple[str, str]


def comparison_title(content: Mapping[str, Any]) -> str:
    """What the page is about."""
    return "Dose of several treatments, added" if content["kind"] == "sum" else "Predicted and delivered dose"


def side_titles(content: Mapping[str, Any]) -> list[str]:
    """What each result is called: by its place, and by what it is where the results know."""
    return [f"{side['name']}, {side['kind']}" if side.get("kind") else side["name"] for side in content["results"]]


def ratio_rows(content: Mapping[str, Any]) -> list[RatioRow]:
    """T/N of each tumor."""
    return [
        RatioRow(
            row["roi"],
            _both(row["by_concentration"]),
            _both(row["by_dose"]),
            (row["normal"]["pre"] or "-", row["normal"]["post"] or "-"),
        )
        for row in content["tumor_to_normal"]
    ]


def _both(pair: Mapping[str, float | None]) -> tuple[str, str]:
    return fact(pair["pre"]), fact(pair["post"])


def write_page(content: Mapping[str, Any], pictures: Sequence[Picture], path: Path) -> None:
    """Write one self-contained HTML file from ``comparison.json`` and its pictures."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for one in pictures:
        groups.setdefault(one.group, []).append((one.caption, data_uri(one.png, "png")))
    page = page_template("comparison.html.j2", number=fact, measure=measure).render(
        content=content,
        title=comparison_title(content),
        sides=side_titles(content),
        columns=COLUMNS,
        ratios=ratio_rows(content) if content["kind"] == "difference" else [],
        pictures=groups,
    )
    path.write_text(page, "utf-8")
