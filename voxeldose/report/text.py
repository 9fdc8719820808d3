"""Numbers of an assessment or a comparison as plain text: tables for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voxeldose.model.best_value import best_value, numbers_in
from voxeldose.model.wording import dose, measure, number, percent, ratio, role_words
from voxeldose.report.headline import compared_role, not_reached, ratios

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voxeldose.model.best_value import HasNumbers

__all__ = [
    "assessment_lines",
    "comparison_lines",
    "recovered_lines",
    "sum_lines",
    "table_lines",
    "uncertainty_lines",
]

_COLUMNS = (
    ("volume mL", "volume_ml", "mL"),
    ("activity MBq", "activity_mbq", "MBq"),
    ("mean Gy", "mean_dose_gy", "Gy"),
    ("D95 Gy", "d95_gy", "Gy"),
    ("D70 Gy", "d70_gy", "Gy"),
    ("D2 Gy", "d2_gy", "Gy"),
    ("V190 %", "v190_fraction", "%"),
    ("V400 %", "v400_fraction", "%"),
    ("mean local Gy", "mean_dose_local_gy", "Gy"),
)
#: Behind a number that is not the image's own.
_MARKS = {"recovered": "*", "corrected": "†", "image": ""}
_INTERVALS = (
    ("mean Gy", "mean_dose_gy"),
    ("corrected mean Gy", "mean_dose_recovered_gy"),
    ("D95 Gy", "d95_gy"),
    ("D70 Gy", "d70_gy"),
)
_RECOVERED = (
    ("mean Gy", "mean_dose_gy", "Gy"),
    ("D95 Gy", "d95_gy", "Gy"),
    ("D70 Gy", "d70_gy", "Gy"),
    ("V205 %", "v205_fraction", "%"),
    ("V400 %", "v400_fraction", "%"),
)
_COMPARED = (
    ("mean Gy", "mean_dose_gy", "Gy"),
    ("D95 Gy", "d95_gy", "Gy"),
    ("D70 Gy", "d70_gy", "Gy"),
    ("V400 %", "v400_fraction", "%"),
    ("volume mL", "volume_ml", "mL"),
)


def table_lines(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Rows in columns under a head: names to the left, numbers to the right; nothing without rows."""
    if not rows:
        return []
    widths = {key: max(len(key), *(len(row[key]) for row in rows)) for key in rows[0]}
    left = {next(iter(rows[0])), "role"}

    def line(cells: Mapping[str, str]) -> str:
        return "  ".join(c.ljust(widths[k]) if k in left else c.rjust(widths[k]) for k, c in cells.items()).rstrip()

    return [line({k: k for k in rows[0]}), *map(line, rows)]


def assessment_lines(content: Mapping[str, Any]) -> list[str]:
    """The regions of an assessment by their best values, and a line of totals."""
    numbers = numbers_in(content)
    kinds: dict[str, str] = {}
    rows = []
    for name, roi in content["rois"].items():
        row = {"ROI": name, "role": role_words(roi["role"], roi.get("reached"))}
        for title, key, unit in _COLUMNS:
            one = best_value(numbers, name, key)
            row[title] = measure(one.value, unit) + _MARKS[one.kind]
            kinds |= {_MARKS[one.kind]: one.words} if one.is_better else {}
        rows.append(row)
    marks = [f"{mark} {words}; the image's own value is below" for mark, words in kinds.items()]
    totals = content["totals"]
    parts = [
        _ratio_words(numbers),
        f"{number(totals['activity_mbq'])} MBq in the image at infusion",
    ]
    if totals["recovered_fraction"] is not None:
        parts.append(f"image/administered {percent(totals['recovered_fraction'])} %")
    if totals.get("liver_of_field_fraction") is not None:
        parts.append(f"liver/field of view {percent(totals['liver_of_field_fraction'])} %")
    return [
        f"Absorbed dose, {content['kind_text']}",
        *table_lines(rows),
        *marks,
        *_perfused_lines(content),
        *_territory_lines(content),
        "; ".join(parts),
        *_region_lines(totals),
        *_lung_lines(content.get("lungs")),
    ]


def _lung_lines(lungs: Mapping[str, Any] | None) -> list[str]:
    """The lungs' dose with its limits, and the shunt fraction that the image shows; nothing where none is known."""
    if lungs is None:
        return []
    parts = []
    if lungs["dose_gy"] is not None:
        parts.append(f"{_lung_dose(lungs, 'dose_gy', 'mass')}, by lung shunt {percent(lungs['lung_shunt_fraction'])} %")
    if lungs["dose_own_mass_gy"] is not None:
        parts.append(_lung_dose(lungs, "dose_own_mass_gy", "own_mass"))
    if lungs["measured_shunt_fraction"] is not None:
        cut = ", lungs cut by the image" if lungs["measured_is_cut"] else ""
        parts.append(f"shunt in this image {percent(lungs['measured_shunt_fraction'])} %{cut}")
    limits: dict[str, list[str]] = {}
    for row in lungs["limits"]:
        verdict = "kept" if row["met"] else "EXCEEDED"
        words = f"{row['name']} {dose(row['value_gy'])} of {row['limit_gy']:g} Gy, {verdict}"
        limits.setdefault(row["mass_source"], []).append(words)
    rows = [f"  {source}: {'; '.join(words)}" for source, words in limits.items()]
    return [f"Lungs: {'; '.join(parts)}", *rows] if parts else []


def _lung_dose(lungs: Mapping[str, Any], key: str, mass: str) -> str:
    return f"{dose(lungs[key])} Gy in {number(lungs[f'{mass}_g'])} g ({lungs[f'{mass}_source']})"


def _ratio_words(numbers: HasNumbers) -> str:
    """T/N of each tumor, and of all pooled where there are several, and of which normal liver."""
    found = ratios(numbers)
    words = ", ".join(f"{one.roi} {one.best.words}{_MARKS[one.best.source]}" for one in found)
    left = "".join(f", {name} not reached" for name in not_reached(numbers))
    return f"T/N {words} against {found[0].normal}{left}" if found else f"T/N -{left}"


def _region_lines(totals: Mapping[str, Any]) -> list[str]:
    """What the calibration region is, holds, and leaves outside; nothing for results that do not say it."""
    if totals.get("calibration_region") is None:
        return []
    part = totals["outside_region_fraction"]
    outside = f"{number(totals['outside_region_mbq'])} MBq outside"
    if part is not None:
        outside += f" ({percent(part)} % of the net activity)"
    return [
        f"Calibration region: {totals['calibration_region']}; {number(totals['calibration_region_mbq'])} MBq in it, {outside}"
    ]


def _perfused_lines(content: Mapping[str, Any]) -> list[str]:
    """The mean of each perfused region by one compartment, beside that of the dose map."""
    return [
        f"{name}: {dose(roi['single_compartment_gy'])} Gy by single compartment, K A (1 - LSF) / m; "
        f"{dose(roi['mean_dose_gy'])} Gy mean of the dose map"
        for name, roi in content["rois"].items()
        if roi.get("single_compartment_gy") is not None
    ]


def _territory_lines(content: Mapping[str, Any]) -> list[str]:
    """What each territory got, in its own infusion, and all together; nothing where one vessel was infused."""
    found = content["totals"].get("territories", ())
    rows = [
        {
            "territory": one["roi"],
            "vial MBq": number(one["administered_mbq"]),
            "net MBq": number(one["net_mbq"]),
            "LSF %": percent(one["lung_shunt_fraction"]),
            "lungs MBq": number(one["lung_mbq"]),
            "liver MBq": number(one["held_mbq"]),
            "in the image MBq": number(one["region_mbq"]),
            "image/administered %": percent(one["recovered_fraction"]),
            "share image/vials": ratio(one["share_ratio"]),
        }
        for one in found
    ]
    if not rows:
        return []
    sums = {
        key: number(sum(one[name] for one in found))
        for key, name in (
            ("vial MBq", "administered_mbq"),
            ("net MBq", "net_mbq"),
            ("lungs MBq", "lung_mbq"),
            ("liver MBq", "held_mbq"),
            ("in the image MBq", "region_mbq"),
        )
    }
    together = dict.fromkeys(rows[0], "") | {"territory": "together"} | sums
    together["LSF %"] = percent(content["administration"]["lung_shunt_fraction"])
    return table_lines([*rows, together])


def recovered_lines(content: Mapping[str, Any]) -> list[str]:
    """Recovered numbers with their 95 % intervals, each after that of the image as it is, where the run has them."""
    rows = []
    for name, roi in content["rois"].items():
        found = roi.get("recovered")
        if found is None:
            continue
        row = {"ROI": name}
        for title, key, unit in _RECOVERED:
            row[title] = f"{measure(roi[key], unit)} > {_with_interval(found[key], unit)}"
        rows.append(row | {"T/N": _with_interval(found["tumor_to_normal"], "T/N")})
    if not rows:
        return []
    method = content["resolution"]["method"]
    head = f"As in the image > recovered ({method}){', 95 % intervals' if method == 'field' else ''}:"
    return ["", head, *table_lines(rows)]


def _with_interval(estimate: Mapping[str, float | None], unit: str) -> str:
    """A number with its interval where there is one."""
    value = measure(estimate["value"], unit)
    if estimate["low"] is None or estimate["high"] is None:
        return value
    return f"{value} ({measure(estimate['low'], unit)} to {measure(estimate['high'], unit)})"


def uncertainty_lines(content: Mapping[str, Any]) -> list[str]:
    """Means, intervals, what dominates them, and probabilities, where the run has them."""
    uncertainty = content.get("uncertainty")
    if not uncertainty:
        return []
    rois = uncertainty["rois"]
    columns = [(t, k) for t, k in _INTERVALS if any(k in roi["metrics"] for roi in rois.values())]
    rows = []
    for name, roi in rois.items():
        row = {"ROI": name}
        for title, key in columns:
            m = roi["metrics"].get(key)
            row[title] = f"{dose(m['value'])} ({dose(m['q025'])} to {dose(m['q975'])})" if m else "-"
        row["sd of mean"] = dose(roi["metrics"][roi["budget_of"]]["sd"])
        row["mostly by"] = (
            f"{roi['dominant']} {100 * roi['budget'][0]['variance_fraction']:.0f} %" if roi["budget"] else "-"
        )
        rows.append(row)
    probabilities = [
        f"P({p['roi']} {p['metric']} {'>=' if p['sense'] == 'at least' else '<'} {p['limit']:g}) = {p['probability']:.3f} "
        f"± {p['standard_error']:.3f}"
        for p in uncertainty["probabilities"]
    ]
    head = f"95 % intervals, {uncertainty['samples']} samples, seed {uncertainty['seed']}:"
    return ["", head, *table_lines(rows), *probabilities]


def comparison_lines(content: Mapping[str, Any]) -> list[str]:
    """Predicted and delivered dose side by side: best values, and where those are not the images' own, these as well."""
    rois, gamma = content["rois"], content["gamma"]
    rows = []
    for name, roi in rois.items():
        pairs = {title: _best_pair(roi["best"][key], unit) for title, key, unit in _COMPARED}
        row = {"ROI": name, "role": compared_role(content, name), **pairs}
        rows.append(row | {"gamma %": percent(roi["gamma_passed_fraction"])})
    own = [
        {"ROI": name, "role": compared_role(content, name)}
        | {title: _pair(roi["metrics"][key], unit) for title, key, unit in _COMPARED}
        for name, roi in rois.items()
        if any(roi["best"][key][side]["kind"] != "image" for _, key, _ in _COMPARED for side in ("pre", "post"))
    ]
    passed = f"{percent(gamma['passed_fraction'])} % of {gamma['evaluated_voxels']} voxels pass"
    return [
        *(f"{side['name']}: {side['kind_text']}" for side in content["results"] if side["kind_text"]),
        *table_lines(rows),
        *(["Of these, as in the images:", *table_lines(own)] if own else []),
        *_matched_lines(content),
        f"T/N {' > '.join(ratio(side['best_tumor_to_normal']) for side in content['results'])}; gamma {gamma['criteria']}: {passed}",
        *map(_ratio_line, content["tumor_to_normal"]),
        f"Registration: {content['registration']['kind']}",
    ]


def _ratio_line(row: Mapping[str, Any]) -> str:
    """T/N of one tumor, and against what."""
    if not any(row["reached"].values()):
        return f"  {row['roi']}: not reached"
    against = " > ".join(dict.fromkeys(one or "-" for one in row["normal"].values()))
    return f"  {row['roi']}: by concentration {_best_pair(row['best'], 'T/N')}, by dose {_pair(row['by_dose'], 'T/N')} ({against})"


def _best_pair(pair: Mapping[str, Any], unit: str) -> str:
    return _pair({side: pair[side]["value"] for side in ("pre", "post")}, unit)


def sum_lines(content: Mapping[str, Any]) -> list[str]:
    """The doses of several treatments and their sum."""
    rows = []
    for name, roi in content["rois"].items():
        row = {"ROI": name, "role": role_words(roi["role"]), "volume mL": number(roi["volume_ml"])}
        row |= {f"{s['name']} Gy": dose(v) for s, v in zip(content["results"], roi["mean_each_gy"], strict=True)}
        row |= {"sum mean Gy": dose(roi["mean_dose_gy"]), "D95 Gy": dose(roi["d95_gy"])}
        rows.append(row | {"D2 Gy": dose(roi["d2_gy"]), "BED Gy": dose(roi["bed_gy"])})
    return [*table_lines(rows), f"Registration: {content['registration']['kind']}"]


def _pair(pair: Mapping[str, float | None], unit: str) -> str:
    return f"{measure(pair['pre'], unit)} > {measure(pair['post'], unit)}"


def _matched_lines(content: Mapping[str, Any]) -> list[str]:
    """Regions of post in both doses at one resolution, where they were matched."""
    matching = content["matching"]
    if matching is None:
        return []
    rows = []
    for name, roi in content["rois"].items():
        if roi["matched"] is not None:
            pairs = {t: _pair(roi["matched"][key], unit) for t, key, unit in _COMPARED if key in roi["matched"]}
            rows.append({"ROI": name, "role": compared_role(content, name), **pairs})
    return ["", f"Regions of post, both doses matched at {matching['fwhm_mm']:g} mm FWHM:", *table_lines(rows), ""]
