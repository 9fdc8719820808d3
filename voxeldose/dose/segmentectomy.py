"""The radiation segmentectomy card: facts of a case next to what the sources compare them with. It recommends nothing.

The evidence for dose is for the mean of the perfused volume by one compartment, ``K A (1 - LSF) / m``. Coverage of the tumor
stands next to it without a limit, because no source has one; what sources found of its D95 and mean dose stands there with the
image and the dose model that it was found with.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, fields, replace
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

from voxeldose.dose.compartment import compartment_gy
from voxeldose.errors import QuantityError
from voxeldose.model.best_value import best_pooled_ratio, best_value, numbers_in
from voxeldose.model.card import CardRow
from voxeldose.model.limits import meets
from voxeldose.model.patient import ALBI_SOURCE
from voxeldose.model.radionuclide import Y90, y90_constants

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxeldose.model.best_value import HasNumbers
    from voxeldose.model.radionuclide import Radionuclide

__all__ = ["SegmentectomyFacts", "TumorCoverage", "card_of_results", "facts_of", "segmentectomy_card"]

#: Above this ratio of tumor to normal liver the partition model is advised (secondary citation, original not read).
TN_FOR_PARTITION = 2.0
TN_SOURCE = "Practice of radiation segmentectomy; secondary citation (original not read)"
#: 11 days, for which a manufacturer states 94 %.
DELIVERED_H = 264.0
DELIVERED_SOURCE = "1 - 2^(-t/T½); SIR-Spheres product page: 94 % within 11 days"

#: A treated fraction may exceed 1 by this much: liver and perfused volume are drawn apart.
WHOLE = 1.05

#: Part of a segment that must lie in the perfused volume for it to count as treated (judgement); borders are drawn apart.
SEGMENT_COVERED = 0.1


class TumorCoverage(NamedTuple):
    """How well a tumor is covered: the part of it that gets 400 Gy or more (0 to 1), D95, and its mean dose."""

    name: str
    v400_fraction: float
    d95_gy: float
    mean_gy: float | None = None


@dataclass(frozen=True)
class SegmentectomyFacts:
    """What is known of a treatment; ``None`` is shown as not given.

    Parameters
    ----------
    perfused_gy : float, optional
        Mean of the perfused volume by one compartment.
    perfused_voxel_gy : float, optional
        Mean of the dose map there.
    tumors : tuple of TumorCoverage
        V400 and D95 of each.
    bq_per_sphere : float, optional
        At the infusion.
    treated_fraction : float, optional
        Perfused over whole liver volume.
    albi_grade : int, optional
        1, 2 or 3.
    child_pugh : str, optional
        Class A, B or C.
    segments : int, optional
        Treated.
    tumor_diameter_mm : float, optional
        Of the largest tumor.
    tumor_to_normal : float, optional
        T/N.
    device : str, optional
        The evidence is for glass.
    albi_score : float, optional
        What the grade is from.
    child_pugh_points : int, optional
        What the class is from.
    performance_status : int, optional
        ECOG.
    macrovascular_invasion, extrahepatic_disease, solitary : bool, optional
        Of the disease.
    kind : str, optional
        ``predicted`` or ``delivered``: what the doses of the tumors are from; as given where it is not known.
    """

    perfused_gy: float | None = None
    perfused_voxel_gy: float | None = None
    tumors: tuple[TumorCoverage, ...] = ()
    bq_per_sphere: float | None = None
    treated_fraction: float | None = None
    albi_grade: int | None = None
    child_pugh: str | None = None
    segments: int | None = None
    tumor_diameter_mm: float | None = None
    tumor_to_normal: float | None = None
    device: str | None = None
    albi_score: float | None = None
    child_pugh_points: int | None = None
    performance_status: int | None = None
    macrovascular_invasion: bool | None = None
    extrahepatic_disease: bool | None = None
    solitary: bool | None = None
    kind: str | None = None

    @property
    def tumor_gy(self) -> float | None:
        """Mean dose of the tumor that gets least; ``None`` where a mean is not known."""
        means = [t.mean_gy for t in self.tumors]
        return None if None in means else min((m for m in means if m is not None), default=None)

    def __post_init__(self) -> None:
        numbers = (
            "perfused_gy",
            "bq_per_sphere",
            "treated_fraction",
            "segments",
            "tumor_diameter_mm",
            "tumor_to_normal",
        )
        for name in numbers:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                msg = f"{name} must be above 0, found {value}."
                raise QuantityError(msg, code="value-out-of-range")
        if self.treated_fraction is not None and self.treated_fraction > WHOLE:
            msg = f"treated_fraction must be at most 1 (a fraction, not percent), found {self.treated_fraction}."
            raise QuantityError(msg, code="value-out-of-range")
        for name, coverage, d95, _ in self.tumors:
            if not (0 <= coverage <= 1 and math.isfinite(d95)):
                msg = f"{name} needs V400 from 0 to 1 (a fraction, not percent) and D95 in Gy, found {coverage} and {d95}."
                raise QuantityError(msg, code="value-out-of-range")
        if self.albi_grade not in (None, 1, 2, 3):
            msg = f"albi_grade must be 1, 2 or 3, found {self.albi_grade}."
            raise QuantityError(msg, code="value-out-of-range")
        if self.child_pugh not in (None, "A", "B", "C"):
            msg = f"child_pugh must be A, B or C, found {self.child_pugh!r}."
            raise QuantityError(msg, code="value-out-of-range")


def facts_of(content: Mapping[str, Any], given: SegmentectomyFacts | None = None) -> SegmentectomyFacts:
    """What an assessment (as ``assessment.json`` holds it) knows of a segmentectomy, and what the user adds.

    Parameters
    ----------
    content : mapping
        ``assessment.json``.
    given : SegmentectomyFacts, optional
        What the user knows; it comes before what the assessment says.
    """
    rois, numbers = content["rois"], numbers_in(content)
    perfused = [name for name, roi in rois.items() if roi["role"] == "perfused"]
    one = rois[perfused[0]] if len(perfused) == 1 else None
    ratio = best_pooled_ratio(numbers, content["tumor_to_normal_ratio"]).value
    patient = content.get("patient") or {}
    treated = _treated_tumors(content, perfused)
    diameters = [rois[name].get("axial_diameter_mm") for name in treated]
    facts: dict[str, Any] = {
        "tumors": tuple(_coverage(numbers, name) for name in treated if rois[name]["d95_gy"] is not None),
        "tumor_to_normal": ratio if ratio is not None and ratio > 0 else None,
        "device": content["administration"]["device"],
        "kind": content.get("kind"),
        "segments": _segments_treated(content, perfused),
        "tumor_diameter_mm": None if None in diameters else max(diameters, default=None),
    }
    facts |= {name: value for name, value in patient.items() if name in {f.name for f in fields(SegmentectomyFacts)}}
    if one is not None:
        facts["perfused_voxel_gy"] = one["mean_dose_gy"]
        facts["perfused_gy"] = (
            one["single_compartment_gy"] if "single_compartment_gy" in one else _even_gy(content, one)
        )
        facts["treated_fraction"] = _treated_fraction(content, one["volume_ml"])
    own = {f.name: getattr(given, f.name) for f in fields(SegmentectomyFacts)} if given is not None else {}
    return SegmentectomyFacts(**facts | {name: value for name, value in own.items() if value not in (None, ())})


def card_of_results(content: Mapping[str, Any]) -> tuple[CardRow, ...]:
    """The card of an assessment with one perfused region or more; empty without any.

    Parameters
    ----------
    content : mapping
        ``assessment.json``.
    """
    if not any(roi["role"] == "perfused" for roi in content["rois"].values()):
        return ()
    return segmentectomy_card(facts_of(content), y90_constants(content["constants"]["name"]))


def _coverage(numbers: HasNumbers, name: str) -> TumorCoverage:
    """The best values of a tumor that the run knows."""
    v400, d95, mean = (best_value(numbers, name, m).value for m in ("v400_fraction", "d95_gy", "mean_dose_gy"))
    return TumorCoverage(name, v400 or 0.0, d95 or 0.0, mean)


def _treated_tumors(content: Mapping[str, Any], perfused: list[str]) -> list[str]:
    """Tumors that a perfused region reaches; all of them where there is none."""
    tumors = {name: roi for name, roi in content["rois"].items() if roi["role"] == "tumor"}
    if not perfused:
        return list(tumors)
    met = {
        n for pair in content["overlaps"] for n in _pair(pair) if _pair(pair) & set(perfused)
    }  # earlier results say no more
    return [name for name, roi in tumors.items() if roi.get("reached", name in met) is not False]


def _segments_treated(content: Mapping[str, Any], perfused: list[str]) -> int | None:
    """Segments of which a part lies in the perfused regions; ``None`` where no segment, or no perfused region, is drawn."""
    segments = {name: roi["volume_ml"] for name, roi in content["rois"].items() if roi["role"] == "segment"}
    if not segments or not perfused:
        return None
    inside = dict.fromkeys(segments, 0.0)
    for pair in content["overlaps"]:
        for name in _pair(pair) & set(segments):
            inside[name] += pair["volume_ml"] if _pair(pair) & set(perfused) else 0.0
    return sum(inside[name] >= SEGMENT_COVERED * volume for name, volume in segments.items()) or None


def _pair(overlap: Mapping[str, Any]) -> set[str]:
    return {overlap["first"], overlap["second"]}


def _even_gy(content: Mapping[str, Any], perfused: Mapping[str, Any]) -> float | None:
    """The single-compartment mean of results that were written before it stood in them."""
    net = content["totals"]["net_mbq"]
    if net is None:
        return None
    held = 1 - (content["administration"]["lung_shunt_fraction"] or 0.0)
    return compartment_gy(content["constants"]["gy_kg_per_gbq"], net, perfused["mass_g"], part=held)


def _treated_fraction(content: Mapping[str, Any], perfused_ml: float) -> float | None:
    whole_ml = _whole_liver_ml(content)
    return perfused_ml / whole_ml if whole_ml else None


def segmentectomy_card(facts: SegmentectomyFacts, radionuclide: Radionuclide = Y90) -> tuple[CardRow, ...]:
    """Every line of the card, those that nothing is known of included.

    Parameters
    ----------
    facts : SegmentectomyFacts
        Of the treatment.
    radionuclide : Radionuclide
        For what is delivered after 11 days.
    """
    text = (resources.files("voxeldose") / "tables" / "segmentectomy.toml").read_text("utf-8")
    table = tomllib.loads(text)
    rows = [_row(facts, line) for line in table["row"]]
    first = sum(line["fact"] == "perfused_gy" for line in table["row"])
    doses = [
        _information(
            "Perfused volume, mean of the dose map",
            facts.perfused_voxel_gy,
            "Gy",
            "The same region voxel by voxel; no source sets a limit for it",
        )
    ]
    for tumor in facts.tumors or (TumorCoverage("tumor", math.nan, math.nan),):
        doses += _tumor_rows(facts, tumor, table["tumor"])
    selection = [_selection_row(facts, line) for line in table["selection"]]
    return (*rows[:first], *doses, *rows[first:], *_liver_function(facts), *selection, *_practice(facts, radionuclide))


def _tumor_rows(facts: SegmentectomyFacts, tumor: TumorCoverage, lines: list[dict[str, Any]]) -> list[CardRow]:
    """Coverage of one tumor without a limit, and what sources found with one kind of image and dose."""
    numbers = {"v400_fraction": tumor.v400_fraction, "d95_gy": tumor.d95_gy, "mean_gy": tumor.mean_gy}
    known = {key: value for key, value in numbers.items() if value is not None and math.isfinite(value)}
    rows = [
        _information(
            f"V400 of {tumor.name}",
            known.get("v400_fraction"),
            "fraction",
            "No source sets a limit for coverage by voxels",
        )
    ]
    for line in lines:
        value = known.get(line["fact"])
        status = _compare(line, value)
        if value is not None and line.get("kind") not in (None, facts.kind):
            status = "not applicable"
        rows.append(_card_row(line, value, status, item=line["item"].format(tumor=tumor.name)))
    return rows


def _liver_function(facts: SegmentectomyFacts) -> list[CardRow]:
    """ALBI with its score; its own evidence stands with the treated part."""
    grade, score = facts.albi_grade, facts.albi_score
    words = "" if grade is None else f"grade {grade}" + (f" (score {score:.2f})" if score is not None else "")
    status = "not given" if grade is None else "information"
    evidence = "Grade 1 up to a score of -2.60, grade 2 up to -1.39, from bilirubin and albumin"
    return [CardRow("ALBI", grade, "", None, "", status, ALBI_SOURCE, evidence, words=words)]


def _practice(facts: SegmentectomyFacts, radionuclide: Radionuclide) -> tuple[CardRow, CardRow]:
    """Whether the partition model is advised, and what is delivered after 11 days."""
    ratio = facts.tumor_to_normal
    advice = "not given" if ratio is None else "advised" if meets(ratio, "above", TN_FOR_PARTITION) else "not advised"
    partition = CardRow(
        "Partition model (T/N)",
        ratio,
        "",
        TN_FOR_PARTITION,
        "above",
        advice,
        TN_SOURCE,
        "One compartment averages over unequal uptake",
    )
    delivered = CardRow(
        "Dose delivered after 11 days",
        1 - radionuclide.decay_factor(DELIVERED_H * 3600),
        "fraction",
        None,
        "",
        "information",
        DELIVERED_SOURCE,
        "Physical decay, permanent implant",
    )
    return partition, delivered


def _selection_row(facts: SegmentectomyFacts, line: dict[str, Any]) -> CardRow:
    """A fact that is yes, no or a class, next to what studies selected."""
    value = getattr(facts, line["fact"])
    status = "not given" if value is None else "met" if value == line["wanted"] else "not met"
    words = "" if value is None else line.get("words", {}).get(str(value).lower(), str(value))
    if line["fact"] == "child_pugh" and facts.child_pugh_points is not None:
        words = f"{words} ({facts.child_pugh_points} points)"
    return replace(_card_row(line, None, status), words=words, wanted_words=line["wanted_words"])


def _card_row(line: dict[str, Any], value: float | None, status: str, *, item: str | None = None) -> CardRow:
    return CardRow(
        item or line["item"],
        value,
        line.get("unit", ""),
        line.get("reference"),
        line.get("sense", ""),
        status,
        line["source"] + ("" if line["seen"] else " (original not read)"),
        line["evidence"],
        line.get("image", ""),
        line.get("method", ""),
    )


def _row(facts: SegmentectomyFacts, line: dict[str, Any]) -> CardRow:
    value = getattr(facts, line["fact"])
    return _card_row(line, value, _status(facts, line, value))


def _status(facts: SegmentectomyFacts, line: dict[str, Any], value: float | None) -> str:
    if line["fact"] in ("perfused_gy", "bq_per_sphere") and facts.device not in (None, "glass"):
        return "not applicable"
    if line["fact"] == "treated_fraction":
        if facts.albi_grade not in (None, 2) or facts.child_pugh not in (None, "B"):
            return "not applicable"
        if facts.albi_grade is None or facts.child_pugh is None:
            return "not given"
    return _compare(line, value)


def _compare(line: dict[str, Any], value: float | None) -> str:
    if value is None:
        return "not given"
    if "reference" not in line:
        return "information"
    return "met" if meets(value, line["sense"], line["reference"]) else "not met"


def _information(item: str, value: float | None, unit: str, evidence: str) -> CardRow:
    return CardRow(item, value, unit, None, "", "not given" if value is None else "information", "This run", evidence)


def _whole_liver_ml(content: Mapping[str, Any]) -> float:
    """Liver and tumors together; tumors may lie in the liver region or be cut out of it."""
    rois = content["rois"]
    livers = [name for name, roi in rois.items() if roi["role"] == "liver"]
    tumors = [name for name, roi in rois.items() if roi["role"] == "tumor"]
    if not livers:
        return 0.0
    shared = sum(
        pair["volume_ml"]
        for pair in content["overlaps"]
        if (pair["first"] in livers) != (pair["second"] in livers)
        and {pair["first"], pair["second"]} <= {*livers, *tumors}
    )
    return float(sum(rois[n]["volume_ml"] for n in livers + tumors) - shared)
