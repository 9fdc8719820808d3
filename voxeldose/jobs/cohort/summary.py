"""``cohort.html``: how doses, coverage and T/N are distributed, what stands out, what failed; one file that opens offline.

Cases go by their row in the list; their labels are shown when the user asks for identifiers. Numbers are those of the
table; only medians, quartiles and outliers are computed here.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from voxeldose._version import __version__
from voxeldose.io.results.content import messages_of
from voxeldose.jobs.cohort.store import facts_of, read_plan, replacing
from voxeldose.report.cohort import Line, draw_histograms, draw_scatter, format_number, svg_uri, values_by_quantity
from voxeldose.report.templates import page_template

if TYPE_CHECKING:
    from voxeldose.jobs.cohort.store import Store

__all__ = ["FEWEST", "find_outliers", "write_page"]

#: Modified z-score beyond which a value stands out, and the factor that makes the MAD one: Iglewicz and Hoaglin, How to
#: Detect and Handle Outliers, ASQC (1993).
OUTLYING = 3.5
MAD_FACTOR = 0.6745

#: With fewer values of a kind nothing is called an outlier.
FEWEST = 10

#: Files such as NIfTI do not say what they show; that is not guessed here.
NOT_STATED = "not stated"


def write_page(store: Store, *, identifiers: bool) -> None:
    """Write the page from what the cases' folders hold."""
    lines, failures, open_cases = [], [], 0
    for entry in read_plan(store.plan):
        facts = facts_of(store, entry)
        title = entry.name if identifiers else f"row {entry.row}"
        if facts is None:
            open_cases += 1
        elif "failure" in facts:
            shown = facts["failure"]["message"] if identifiers else "see failures.csv"
            failures.append({"title": title, "kind": facts["failure"]["exit_class"], "message": shown})
        else:
            has_report = (store.case(entry.name) / "report.html").is_file()
            file = "report.html" if has_report else "assessment.json"
            lines.append(_line(entry.row, title, f"cases/{entry.name}/{file}", entry.pair, facts))
    _mark_outliers(lines)
    pairs, apart = _pairs(lines)
    lines.sort(key=lambda one: (not one.outlying, not one.warnings, one.row))
    text = page_template("cohort.html.j2", number=format_number).generate(
        lines=lines,
        failures=failures,
        open_cases=open_cases,
        version=__version__,
        spreads=_spreads(lines),
        histograms=svg_uri(draw_histograms(lines)) if any(one.tumors for one in lines) else None,
        pairs=svg_uri(draw_scatter(pairs)) if pairs else None,
        pair_count=len(pairs),
        unpaired=apart,
        fewest=FEWEST,
        identifiers=identifiers,
        warned=_common_warnings(lines),
    )
    with replacing(store.out / "cohort.html") as partial, partial.open("w", encoding="utf-8", errors="replace") as page:
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
    rois = content["rois"]
    tumors = {n: r for n, r in rois.items() if r["role"] == "tumor" and r["mean_dose_gy"] is not None}
    keys = ("mean_dose_gy", "v205_fraction", "v400_fraction", "mass_g")
    normal = [r["mean_dose_gy"] for r in rois.values() if r["role"] == "normal_liver" and r["mean_dose_gy"] is not None]
    return Line(
        row,
        title,
        link,
        task["image_nuclide"] or NOT_STATED,
        {name: {key: r[key] for key in keys} for name, r in tumors.items()},
        normal[0] if len(normal) == 1 else None,
        content["tumor_to_normal_ratio"],
        content["totals"]["recovered_fraction"],
        messages_of(content["warnings"]),
        pair,
        task["seconds"],
    )


def _mark_outliers(lines: list[Line]) -> None:
    """Among images of the same nuclide: tumor dose, normal liver dose, T/N, recovered activity."""
    kinds: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        kinds[line.nuclide].append(line)
    quantities = (
        ("mean tumor dose", "tumor_gy"),
        ("mean normal liver dose", "normal_gy"),
        ("T/N", "ratio"),
        ("image/administered activity", "recovered"),
    )
    for same in kinds.values():
        for words, key in quantities:
            known = [line for line in same if getattr(line, key) is not None]
            for line, stands_out in zip(known, find_outliers([getattr(k, key) for k in known]), strict=True):
                if stands_out:
                    line.outlying.append(words)


def _pairs(lines: list[Line]) -> tuple[list[tuple[float, float]], int]:
    """Mean dose of tumors of one name by Tc-99m and by Y-90 in cases of one pair, and pairs that are not of two such cases."""
    by_pair: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        if line.pair:
            by_pair[line.pair].append(line)
    found, apart = [], 0
    for together in by_pair.values():
        if len(together) < 2:
            continue
        images = {line.nuclide: line for line in together}
        if len(together) != 2 or set(images) != {"Tc-99m", "Y-90"}:
            apart += 1
            continue
        before, after = images["Tc-99m"].tumors, images["Y-90"].tumors
        found += [(before[n]["mean_dose_gy"], after[n]["mean_dose_gy"]) for n in before if n in after]
    return found, apart


def _spreads(lines: list[Line]) -> list[dict[str, Any]]:
    rows = []
    for quantity, kinds in values_by_quantity(lines).items():
        for nuclide, values in sorted(kinds.items()):
            low, middle, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
            numbers = {"low": low, "median": middle, "high": high, "least": min(values), "most": max(values)}
            rows.append({"quantity": quantity, "nuclide": nuclide, "count": len(values), **numbers})
    return rows


def _common_warnings(lines: list[Line]) -> list[tuple[str, int]]:
    """The first words of warnings without their numbers, and in how many cases they stand."""
    counts: dict[str, int] = defaultdict(int)
    for line in lines:
        for words in {" ".join(re.sub(r"\d[\d.,]*", "…", w).split()[:20]) for w in line.warnings}:
            counts[words] += 1
    return sorted(counts.items(), key=lambda item: -item[1])[:12]
