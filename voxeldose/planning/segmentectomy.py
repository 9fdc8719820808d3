"""The radiation segmentectomy card: facts of a case next to what the sources compare them with. It recommends nothing.

The evidence for dose is for the mean of the perfused volume by one compartment, ``K A (1 - LSF) / m``; coverage and D95 of the
tumor stand next to it without a limit, because no source has one.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, fields
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

from voxeldose.dose.compartment import compartment_gy
from voxeldose.errors import QuantityError
from voxeldose.model.limits import meets
from voxeldose.model.radionuclide import Y90
from voxeldose.planning.vials import fraction_delivered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxeldose.model.radionuclide import Radionuclide

__all__ = ["CardRow", "SegmentectomyFacts", "TumorCoverage", "facts_of", "segmentectomy_card"]

#: Above this ratio of tumor to normal liver the partition model is advised (secondary citation, original not read).
TN_FOR_PARTITION = 2.0
TN_SOURCE = "Practice of radiation segmentectomy; secondary citation (original not read)"
#: 11 days, for which a manufacturer states 94 %.
DELIVERED_H = 264.0
DELIVERED_SOURCE = "1 - 2^(-t/T½); SIR-Spheres product page: 94 % within 11 days"

#: A treated fraction may exceed 1 by this much: liver and perfused volume are drawn apart.
WHOLE = 1.05

WORDS = {"at least": "≥", "above": ">", "at most": "≤", "below": "<"}


class TumorCoverage(NamedTuple):
    """How well a tumor is covered: the part of it that gets 400 Gy or more (0 to 1), and D95."""

    name: str
    v400_fraction: float
    d95_gy: float


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
        for name, coverage, d95 in self.tumors:
            if not (0 <= coverage <= 1 and math.isfinite(d95)):
                msg = f"{name} needs V400 from 0 to 1 (a fraction, not percent) and D95 in Gy, found {coverage} and {d95}."
                raise QuantityError(msg, code="value-out-of-range")
        if self.albi_grade not in (None, 1, 2, 3):
            msg = f"albi_grade must be 1, 2 or 3, found {self.albi_grade}."
            raise QuantityError(msg, code="value-out-of-range")
        if self.child_pugh not in (None, "A", "B", "C"):
            msg = f"child_pugh must be A, B or C, found {self.child_pugh!r}."
            raise QuantityError(msg, code="value-out-of-range")


@dataclass(frozen=True)
class CardRow:
    """One line of the card.

    ``status`` is ``met``, ``not met``, ``not given``, ``not applicable``, ``advised``, ``not advised`` or ``information``.
    """

    item: str
    value: float | None
    unit: str
    reference: float | None
    sense: str
    status: str
    source: str
    evidence: str


def facts_of(content: Mapping[str, Any], given: SegmentectomyFacts | None = None) -> SegmentectomyFacts:
    """What an assessment (as ``assessment.json`` holds it) knows of a segmentectomy, and what the user adds.

    Parameters
    ----------
    content : mapping
        ``assessment.json``.
    given : SegmentectomyFacts, optional
        What the user knows; it comes before what the assessment says.
    """
    rois = content["rois"]
    perfused = [roi for roi in rois.values() if roi["role"] == "perfused"]
    one = perfused[0] if len(perfused) == 1 else None
    ratio = content["tumor_to_normal_ratio"]
    facts: dict[str, Any] = {
        "tumors": tuple(
            TumorCoverage(name, roi["v400_fraction"], roi["d95_gy"])
            for name, roi in rois.items()
            if roi["role"] == "tumor" and roi["d95_gy"] is not None and roi.get("reached") is not False
        ),
        "tumor_to_normal": ratio if ratio is not None and ratio > 0 else None,
        "device": content["administration"]["device"],
    }
    if one is not None:
        facts["perfused_voxel_gy"] = one["mean_dose_gy"]
        facts["perfused_gy"] = (
            one["single_compartment_gy"] if "single_compartment_gy" in one else _even_gy(content, one)
        )
        facts["treated_fraction"] = _treated_fraction(content, one["volume_ml"])
    own = {f.name: getattr(given, f.name) for f in fields(SegmentectomyFacts)} if given is not None else {}
    return SegmentectomyFacts(**facts | {name: value for name, value in own.items() if value not in (None, ())})


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
    rows = [_row(facts, line) for line in tomllib.loads(text)["row"]]
    doses = [
        _information(
            "Perfused volume, mean of the dose map",
            facts.perfused_voxel_gy,
            "Gy",
            "The same region voxel by voxel; no source sets a limit for it",
        )
    ]
    for name, coverage, d95 in facts.tumors or (("tumor", None, None),):
        doses.append(
            _information(f"V400 of {name}", coverage, "fraction", "No source sets a limit for coverage by voxels")
        )
        doses.append(_information(f"D95 of {name}", d95, "Gy", "No source sets a limit; noise lowers it"))
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
        fraction_delivered(DELIVERED_H, radionuclide),
        "fraction",
        None,
        "",
        "information",
        DELIVERED_SOURCE,
        "Physical decay, permanent implant",
    )
    return (*rows[:3], *doses, *rows[3:], partition, delivered)


def _row(facts: SegmentectomyFacts, line: dict[str, Any]) -> CardRow:
    value = getattr(facts, line["fact"])
    source = line["source"] + ("" if line["seen"] else " (original not read)")
    return CardRow(
        line["item"],
        value,
        line["unit"],
        line["reference"],
        line["sense"],
        _status(facts, line, value),
        source,
        line["evidence"],
    )


def _status(facts: SegmentectomyFacts, line: dict[str, Any], value: float | None) -> str:
    if line["fact"] in ("perfused_gy", "bq_per_sphere") and facts.device not in (None, "glass"):
        return "not applicable"
    if line["fact"] == "treated_fraction":
        if facts.albi_grade not in (None, 2) or facts.child_pugh not in (None, "B"):
            return "not applicable"
        if facts.albi_grade is None or facts.child_pugh is None:
            return "not given"
    if value is None:
        return "not given"
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
