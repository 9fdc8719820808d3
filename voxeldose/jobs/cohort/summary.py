"""``cohort.html``: how doses, coverage and T/N are distributed, what stands out, what failed; one file that opens offline.

Cases go by their row in the list; their labels are shown when the user asks for identifiers. Numbers are the best values of the
table (recovered, else corrected, else the image's own); only medians, quartiles and outliers are computed here.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from voxeldose import __version__
from voxeldose.io.results.content import UNCLASSIFIED, remarks_of
from voxeldose.io.results.new_folder import replacing
from voxeldose.jobs.cohort.store import facts_of, read_plan
from voxeldose.model.best_value import best_pooled_ratio, best_value, numbers_in
from voxeldose.model.remark_groups import harm_of, texts_of
from voxeldose.model.wording import dose
from voxeldose.report.cohort import Line, draw_histograms, draw_scatter, values_by_quantity
from voxeldose.report.images import figure_uri
from voxeldose.report.templates import page_template

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.jobs.cohort.store import Store
    from voxeldose.model.remarks import Remark

__all__ = ["FEWEST", "CommonWarning", "common_warnings", "find_outliers", "write_page"]

#: Modified z-score beyond which a value stands out, and the factor that makes the MAD one: Iglewicz and Hoaglin, How to
#: Detect and Handle Outliers, ASQC (1993).
OUTLYING = 3.5
MAD_FACTOR = 0.6745

#: With fewer values of a kind nothing is called an outlier.
FEWEST = 10

#: Kinds of warnings that are listed.
MOST_KINDS = 12

#: Files such as NIfTI do not say what they show; that is not guessed here.
NOT_STATED = "not stated"

_DPI = 100


def write_page(store: Store, *, identifiers: bool) -> None:
    """Write the page from what the cases' folders hold."""
    lines, failures, open_cases = [], [], 0
    for entry in read_plan(store.plan):
        facts = facts_of(store, entry)
        title = entry.name if identifiers else f"row {entry.row}"
        if facts is None:
            open_cases += 1
        elif "failure" in facts:
            message = facts["failure"]["message"] if identifiers else "see failures.csv"
            failures.append({"title": title, "kind": facts["failure"]["exit_class"], "message": message})
        else:
            has_report = (store.case(entry.name) / "report.html").is_file()
            file = "report.html" if has_report else "assessment.json"
            lines.append(_line(entry.row, title, f"cases/{entry.name}/{file}", entry.pair, facts))
    lines = _mark_outliers(lines)
    pairs, apart = _pairs(lines)
    lines.sort(key=lambda one: (not one.outlying, not one.warnings, one.row))
    text = page_template("cohort.html.j2", number=dose, sentences=_all_sentences).generate(
        lines=lines,
        failures=failures,
        open_cases=open_cases,
        version=__version__,
        spreads=_spreads(lines),
        histograms=figure_uri(draw_histograms(lines), "svg", _DPI) if any(one.tumors for one in lines) else None,
        pairs=figure_uri(draw_scatter(pairs), "svg", _DPI) if pairs else None,
        pair_count=len(pairs),
        unpaired=apart,
        fewest=FEWEST,
        identifiers=identifiers,
        warned=common_warnings(lines),
    )
    with replacing(store.out / "cohort.html") as path, path.open("w", encoding="utf-8", errors="replace") as page:
        page.writelines(text)


def find_outliers(values: list[float]) -> list[bool]:
    """Which values stand out by the modified z-score of their logarithm: 0.6745 (x - median) / MAD beyond 3.5.

    Values that are not above 0 have no logarithm and stand out; with fewer than ten values, or half of them equal, none
    does.
    """
    logs = [math.log(v) if v > 0 else -math.inf for v in values]
    finite = [v for v in logs if math.isfinite(v)]
    if len(finite) < FEWEST:
        return [False] * len(values)
    middle = median(finite)
    spread = median(abs(v - middle) for v in finite)
    return [not math.isfinite(v) or (spread > 0 and MAD_FACTOR * abs(v - middle) / spread > OUTLYING) for v in logs]


def _line(row: int, title: str, link: str, pair: str, facts: dict[str, Any]) -> Line:
    content, task = facts["assessment"], facts["task"]
    rois, numbers = content["rois"], numbers_in(content)
    tumors = [
        n
        for n, r in rois.items()
        if r["role"] == "tumor" and r["mean_dose_gy"] is not None and r.get("reached") is not False
    ]
    livers = [n for n, r in rois.items() if r["role"] == "normal_liver" and r["mean_dose_gy"] is not None]
    normal = [best_value(numbers, name, "mean_dose_gy").value for name in livers]
    keys = ("mean_dose_gy", "v205_fraction", "v400_fraction", "mass_g")
    return Line(
        row,
        title,
        link,
        task["image_nuclide"] or NOT_STATED,
        {name: {key: best_value(numbers, name, key).value or 0.0 for key in keys} for name in tumors},
        normal[0] if len(normal) == 1 else None,
        best_pooled_ratio(numbers, content["tumor_to_normal_ratio"]).value,
        content["totals"]["recovered_fraction"],
        remarks_of(content["warnings"]),
        pair,
        task["seconds"],
    )


def _mark_outliers(lines: list[Line]) -> list[Line]:
    """The lines with what stands out among images of the same nuclide: tumor and normal liver dose, T/N, recovered activity."""
    kinds: dict[str, list[int]] = defaultdict(list)
    for n, line in enumerate(lines):
        kinds[line.nuclide].append(n)
    quantities = (
        ("mean tumor dose", "tumor_gy"),
        ("mean normal liver dose", "normal_gy"),
        ("T/N", "ratio"),
        ("image/administered activity", "recovered"),
    )
    outlying: dict[int, list[str]] = defaultdict(list)
    for same in kinds.values():
        for quantity, key in quantities:
            known = [n for n in same if getattr(lines[n], key) is not None]
            for n, stands_out in zip(known, find_outliers([getattr(lines[k], key) for k in known]), strict=True):
                if stands_out:
                    outlying[n].append(quantity)
    return [replace(line, outlying=tuple(outlying[n])) for n, line in enumerate(lines)]


def _pairs(lines: list[Line]) -> tuple[list[tuple[float, float]], int]:
    """Mean dose of tumors of one name by Tc-99m and by Y-90 in cases of one pair, and pairs that are not of two such cases."""
    by_pair: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        if line.pair:
            by_pair[line.pair].append(line)
    doses, apart = [], 0
    for together in by_pair.values():
        if len(together) < 2:
            continue
        images = {line.nuclide: line for line in together}
        if len(together) != 2 or set(images) != {"Tc-99m", "Y-90"}:
            apart += 1
            continue
        before, after = images["Tc-99m"].tumors, images["Y-90"].tumors
        doses += [(before[n]["mean_dose_gy"], after[n]["mean_dose_gy"]) for n in before if n in after]
    return doses, apart


def _spreads(lines: list[Line]) -> list[dict[str, Any]]:
    rows = []
    for quantity, kinds in values_by_quantity(lines).items():
        for nuclide, values in sorted(kinds.items()):
            low, middle, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
            numbers = {"low": low, "median": middle, "high": high, "least": min(values), "most": max(values)}
            rows.append({"quantity": quantity, "nuclide": nuclide, "count": len(values), **numbers})
    return rows


@dataclass(frozen=True)
class CommonWarning:
    """A kind of warning, its sentence in the first case that has it, and how many cases have it."""

    code: str
    sentence: str
    cases: int


def common_warnings(lines: list[Line]) -> list[CommonWarning]:
    """The kinds of warnings that most cases have, at most twelve, the most harmful first."""
    first: dict[str, Remark] = {}
    cases: dict[str, int] = defaultdict(int)
    for line in lines:
        own = {_kind(one): one for one in reversed(line.warnings)}
        for kind, remark in own.items():
            first.setdefault(kind, remark)
            cases[kind] += 1
    most = sorted(cases, key=lambda kind: -cases[kind])[:MOST_KINDS]
    kinds = sorted(most, key=lambda kind: harm_of(first[kind].code))
    return [CommonWarning(first[kind].code, first[kind].sentence, cases[kind]) for kind in kinds]


def _all_sentences(remarks: Sequence[Remark]) -> str:
    """Warnings of one case, grouped, in one text."""
    return " ".join(texts_of(remarks))


def _kind(remark: Remark) -> str:
    """The code; of a result that states none (schema 1) the sentence."""
    return remark.sentence if remark.code == UNCLASSIFIED else remark.code
