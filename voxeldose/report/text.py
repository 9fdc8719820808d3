"""Numbers of an assessment or a comparison as plain text: tables for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voxeldose.model.best_value import best_value, numbers_in
from voxeldose.report.headline import not_reached, ratios

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voxeldose.model.best_value import HasNumbers

__all__ = [
    "assessment_lines",
    "comparison_lines",
    "format_number",
    "recovered_lines",
    "sum_lines",
    "table_lines",
    "uncertainty_lines",
]

_COLUMNS = (
    ("volume mL", "volume_ml", 1),
    ("activity MBq", "activity_mbq", 1),
    ("mean Gy", "mean_dose_gy", 1),
    ("D95", "d95_gy", 1),
    ("D70", "d70_gy", 1),
    ("D2", "d2_gy", 1),
    ("V190 %", "v190_fraction", 100),
    ("V400 %", "v400_fraction", 100),
    ("mean local", "mean_dose_local_gy", 1),
)
#: Behind a number that is not the image's own.
_MARKS = {"recovered": "*", "corrected": "†", "image": ""}
_INTERVALS = (
    ("mean Gy", "mean_dose_gy"),
    ("recovered mean", "mean_dose_recovered_gy"),
    ("D95", "d95_gy"),
    ("D70", "d70_gy"),
)
_RECOVERED = (
    ("mean Gy", "mean_dose_gy", 1),
    ("D95", "d95_gy", 1),
    ("D70", "d70_gy", 1),
    ("V205 %", "v205_fraction", 100),
    ("V400 %", "v400_fraction", 100),
)
_COMPARED = (
    ("mean Gy", "mean_dose_gy", 1),
    ("D95", "d95_gy", 1),
    ("D70", "d70_gy", 1),
    ("V400 %", "v400_fraction", 100),
    ("volume mL", "volume_ml", 1),
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


def format_number(value: float | None, form: str = ".1f", factor: float = 1.0) -> str:
    """A number, or a dash where there is none."""
    return "-" if value is None else format(value * factor, form)


def assessment_lines(content: Mapping[str, Any]) -> list[str]:
    """The regions of an assessment by their best values, and a line of totals."""
    numbers = numbers_in(content)
    kinds: dict[str, str] = {}
    rows = []
    for name, roi in content["rois"].items():
        row = {"ROI": name, "role": "tumor, not reached" if roi.get("reached") is False else roi["role"]}
        for title, key, factor in _COLUMNS:
            one = best_value(numbers, name, key)
            row[title] = format_number(one.value, factor=factor) + _MARKS[one.kind]
            kinds |= {_MARKS[one.kind]: one.words} if one.is_better else {}
        rows.append(row)
    marks = [f"{mark} {words}; the image's own value is below" for mark, words in kinds.items()]
    totals = content["totals"]
    parts = [
        _ratio_words(numbers),
        f"{totals['activity_mbq']:.0f} MBq in the image at infusion",
    ]
    if totals["recovered_fraction"] is not None:
        parts.append(f"image/administered {totals['recovered_fraction']:.3f}")
    if totals.get("liver_of_field_fraction") is not None:
        parts.append(f"liver/field of view {totals['liver_of_field_fraction']:.3f}")
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
        parts.append(
            f"{_lung_dose(lungs, 'dose_gy', 'mass')}, by lung shunt {100 * lungs['lung_shunt_fraction']:.1f} %"
        )
    if lungs["dose_own_mass_gy"] is not None:
        parts.append(_lung_dose(lungs, "dose_own_mass_gy", "own_mass"))
    if lungs["measured_shunt_fraction"] is not None:
        cut = ", lungs cut by the image" if lungs["measured_is_cut"] else ""
        parts.append(f"shunt in this image {100 * lungs['measured_shunt_fraction']:.1f} %{cut}")
    limits: dict[str, list[str]] = {}
    for row in lungs["limits"]:
        verdict = "kept" if row["met"] else "EXCEEDED"
        words = f"{row['name']} {row['value_gy']:.1f} of {row['limit_gy']:g} Gy, {verdict}"
        limits.setdefault(row["mass_source"], []).append(words)
    rows = [f"  {source}: {'; '.join(words)}" for source, words in limits.items()]
    return [f"Lungs: {'; '.join(parts)}", *rows] if parts else []


def _lung_dose(lungs: Mapping[str, Any], dose: str, mass: str) -> str:
    return f"{lungs[dose]:.1f} Gy in {lungs[f'{mass}_g']:.0f} g ({lungs[f'{mass}_source']})"


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
    outside = f"{totals['outside_region_mbq']:.0f} MBq outside"
    if part is not None:
        outside += f" ({100 * part:.1f} % of the net activity)"
    return [
        f"Calibration region: {totals['calibration_region']}; {totals['calibration_region_mbq']:.0f} MBq in it, {outside}"
    ]


def _perfused_lines(content: Mapping[str, Any]) -> list[str]:
    """The mean of each perfused region by one compartment, beside that of the dose map."""
    return [
        f"{name}: {format_number(roi['single_compartment_gy'])} Gy by single compartment, K A (1 - LSF) / m; "
        f"{format_number(roi['mean_dose_gy'])} Gy mean of the dose map"
        for name, roi in content["rois"].items()
        if roi.get("single_compartment_gy") is not None
    ]


def _territory_lines(content: Mapping[str, Any]) -> list[str]:
    """What each territory got, in its own infusion, and all together; nothing where one vessel was infused."""
    found = content["totals"].get("territories", ())
    rows = [
        {
            "territory": one["roi"],
            "vial MBq": format_number(one["administered_mbq"]),
            "net MBq": format_number(one["net_mbq"]),
            "LSF %": format_number(one["lung_shunt_fraction"], factor=100),
            "lungs MBq": format_number(one["lung_mbq"]),
            "liver MBq": format_number(one["held_mbq"]),
            "in the image MBq": format_number(one["region_mbq"]),
            "image/administered": format_number(one["recovered_fraction"], ".3f"),
            "share image/vials": format_number(one["share_ratio"], ".2f"),
        }
        for one in found
    ]
    if not rows:
        return []
    sums = {
        key: format_number(sum(one[name] for one in found))
        for key, name in (
            ("vial MBq", "administered_mbq"),
            ("net MBq", "net_mbq"),
            ("lungs MBq", "lung_mbq"),
            ("liver MBq", "held_mbq"),
            ("in the image MBq", "region_mbq"),
        )
    }
    together = dict.fromkeys(rows[0], "") | {"territory": "together"} | sums
    together["LSF %"] = format_number(content["administration"]["lung_shunt_fraction"], factor=100)
    return table_lines([*rows, together])


def recovered_lines(content: Mapping[str, Any]) -> list[str]:
    """Recovered numbers with their 95 % intervals, each after that of the image as it is, where the run has them."""
    rows = []
    for name, roi in content["rois"].items():
        found = roi.get("recovered")
        if found is None:
            continue
        row = {"ROI": name}
        for title, key, factor in _RECOVERED:
            row[title] = f"{format_number(roi[key], factor=factor)} > {_with_interval(found[key], factor)}"
        rows.append(row | {"T/N": _with_interval(found["tumor_to_normal"], 1, ".2f")})
    if not rows:
        return []
    method = content["resolution"]["method"]
    head = f"As in the image > recovered ({method}){', 95 % intervals' if method == 'field' else ''}:"
    return ["", head, *table_lines(rows)]


def _with_interval(estimate: Mapping[str, float | None], factor: float, form: str = ".1f") -> str:
    """A number with its interval where there is one."""
    value = format_number(estimate["value"], form, factor)
    if estimate["low"] is None or estimate["high"] is None:
        return value
    return (
        f"{value} ({format_number(estimate['low'], form, factor)} to {format_number(estimate['high'], form, factor)})"
    )


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
            row[title] = f"{m['value']:.1f} ({m['q025']:.1f} to {m['q975']:.1f})" if m else "-"
        row["sd of mean"] = f"{roi['metrics'][roi['budget_of']]['sd']:.1f}"
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
        pairs = {title: _best_pair(roi["best"][key], factor) for title, key, factor in _COMPARED}
        row = {"ROI": name, "role": roi["role"], **pairs}
        rows.append(row | {"gamma %": format_number(roi["gamma_passed_fraction"], factor=100)})
    own = [
        {"ROI": name, "role": roi["role"]} | {t: _pair(roi["metrics"][key], factor) for t, key, factor in _COMPARED}
        for name, roi in rois.items()
        if any(roi["best"][key][side]["kind"] != "image" for _, key, _ in _COMPARED for side in ("pre", "post"))
    ]
    passed = f"{format_number(gamma['passed_fraction'], factor=100)} % of {gamma['evaluated_voxels']} voxels pass"
    return [
        *(f"{side['name']}: {side['kind_text']}" for side in content["results"] if side["kind_text"]),
        *table_lines(rows),
        *(["Of these, as in the images:", *table_lines(own)] if own else []),
        *_matched_lines(content),
        f"T/N {_pair(content['tumor_to_normal_ratio'])}; gamma {gamma['criteria']}: {passed}",
        *map(_ratio_line, content["tumor_to_normal"]),
        f"Registration: {content['registration']['kind']}",
    ]


def _ratio_line(row: Mapping[str, Any]) -> str:
    """T/N of one tumor, and against what."""
    if not any(row["reached"].values()):
        return f"  {row['roi']}: not reached"
    against = " > ".join(dict.fromkeys(one or "-" for one in row["normal"].values()))
    return f"  {row['roi']}: by concentration {_best_pair(row['best'], 1)}, by dose {_pair(row['by_dose'])} ({against})"


def _best_pair(pair: Mapping[str, Any], factor: float) -> str:
    return _pair({side: pair[side]["value"] for side in ("pre", "post")}, factor)


def sum_lines(content: Mapping[str, Any]) -> list[str]:
    """The doses of several treatments and their sum."""
    rows = []
    for name, roi in content["rois"].items():
        row = {"ROI": name, "role": roi["role"], "volume mL": format_number(roi["volume_ml"])}
        row |= {s["name"]: format_number(v) for s, v in zip(content["results"], roi["mean_each_gy"], strict=True)}
        row |= {"sum mean Gy": format_number(roi["mean_dose_gy"]), "D95": format_number(roi["d95_gy"])}
        rows.append(row | {"D2": format_number(roi["d2_gy"]), "BED": format_number(roi["bed_gy"])})
    return [*table_lines(rows), f"Registration: {content['registration']['kind']}"]


def _pair(pair: Mapping[str, float | None], factor: float = 1.0) -> str:
    return f"{format_number(pair['pre'], factor=factor)} > {format_number(pair['post'], factor=factor)}"


def _matched_lines(content: Mapping[str, Any]) -> list[str]:
    """Regions of post in both doses at one resolution, where they were matched."""
    matching = content["matching"]
    if matching is None:
        return []
    rows = []
    for name, roi in content["rois"].items():
        if roi["matched"] is not None:
            pairs = {t: _pair(roi["matched"][key], factor) for t, key, factor in _COMPARED if key in roi["matched"]}
            rows.append({"ROI": name, "role": roi["role"], **pairs})
    return ["", f"Regions of post, both doses matched at {matching['fwhm_mm']:g} mm FWHM:", *table_lines(rows), ""]
