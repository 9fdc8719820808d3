"""A comparison of results, or their sum, for people: what page and PDF both say, and the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from voxeldose.model.wording import measure, ratio
from voxeldose.report import content as of_run
from voxeldose.report.headline import compared_role
from voxeldose.report.images import data_uri, figure_file
from voxeldose.report.templates import page_template
from voxeldose.report.wording import fact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

__all__ = [
    "Cell",
    "Picture",
    "RatioRow",
    "RegionTable",
    "comparison_title",
    "ratio_rows",
    "region_table",
    "side_titles",
    "write_page",
]

_DPI = 130


#: What is shown of each region, as reports call it; comparison.csv has all.
COLUMNS = tuple(
    next(column for column in of_run.COLUMNS if column.key == key)
    for key in (
        "volume_ml",
        "mean_dose_gy",
        "single_compartment_gy",
        "d95_gy",
        "d70_gy",
        "v400_fraction",
        "d2_gy",
        "activity_mbq",
        "bed_gy",
    )
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


class Cell(NamedTuple):
    """A number as text, and what stands small below it: interval, kind, and the image's own value; or nothing."""

    words: str
    note: str = ""


class RatioRow(NamedTuple):
    """T/N of one tumor in both results, and against what; by concentration the best value."""

    roi: str
    by_concentration: tuple[Cell, Cell]
    by_dose: tuple[Cell, Cell]
    normal: str


class RegionTable(NamedTuple):
    """Regions with a line for each result and one for their ratio: headings with units, then by region its role and lines."""

    heads: list[tuple[str, str]]
    regions: list[tuple[str, str, list[tuple[str, list[Cell]]]]]


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
            (_ratio_cell(row, "pre"), _ratio_cell(row, "post")),
            (Cell(ratio(row["by_dose"]["pre"])), Cell(ratio(row["by_dose"]["post"]))),
            " → ".join(dict.fromkeys(row["normal"][side] or "-" for side in ("pre", "post"))),
        )
        for row in content["tumor_to_normal"]
    ]


def _ratio_cell(row: Mapping[str, Any], side: str) -> Cell:
    """T/N by concentration of one tumor in one result, or that it was not reached."""
    return _best_cell(row["best"][side], "T/N") if row["reached"][side] else Cell("not reached")


def region_table(content: Mapping[str, Any], key: str) -> RegionTable:
    """The numbers of every region: ``best`` (of each result as it stands) or ``matched`` (at one resolution)."""
    known = {name: roi for name, roi in content["rois"].items() if roi.get(key)}
    columns = [c for c in COLUMNS if any(_is_known(roi[key].get(c.key)) for roi in known.values())]
    cell = _best_cell if key == "best" else _plain_cell
    regions = []
    for name, roi in known.items():
        lines = [
            (title, [cell(roi[key][c.key][side], c.unit) for c in columns])
            for title, side in zip(side_titles(content), ("pre", "post"), strict=True)
        ]
        lines.append(("post over pre", [Cell(ratio(roi[key][c.key]["ratio"])) for c in columns]))
        regions.append((name, compared_role(content, name), lines))
    return RegionTable([(c.label, c.unit) for c in columns], regions)


def _is_known(pair: Mapping[str, Any] | None) -> bool:
    """Whether a pair of numbers, or of best values, holds any."""
    sides = [pair[side] for side in ("pre", "post")] if pair is not None else []
    return any((side.get("value") if isinstance(side, dict) else side) is not None for side in sides)


def _plain_cell(value: float | None, unit: str) -> Cell:
    return Cell(measure(value, unit))


def _best_cell(value: Mapping[str, Any], unit: str) -> Cell:
    """The best value of a number; where it is not the image's own, with its interval and the image's own."""
    words = measure(value["value"], unit)
    if value["kind"] == "image":
        return Cell(words)
    interval = ""
    if value["low"] is not None and value["high"] is not None:
        interval = f"{measure(value['low'], unit)} to {measure(value['high'], unit)}; "
    return Cell(words, f"{interval}{value['words']}; image {measure(value['image'], unit)}")


def write_page(content: Mapping[str, Any], pictures: Sequence[Picture], path: Path) -> None:
    """Write one self-contained HTML file from ``comparison.json`` and its pictures."""
    is_difference = content["kind"] == "difference"
    groups: dict[str, list[tuple[str, str]]] = {}
    for one in pictures:
        groups.setdefault(one.group, []).append((one.caption, data_uri(one.png, "png")))
    page = page_template("comparison.html.j2", number=fact, measure=measure).render(
        content=content,
        title=comparison_title(content),
        sides=side_titles(content),
        ratios=ratio_rows(content) if is_difference else [],
        regions=region_table(content, "best") if is_difference else None,
        matched=region_table(content, "matched") if is_difference and content["matching"] else None,
        pictures=groups,
    )
    path.write_text(page, "utf-8")
