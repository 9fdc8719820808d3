"""Activity for a wanted dose, or dose of an activity, with everything that a reader needs to judge it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from voxeldose.dose.limits import compare_means, published_limits
from voxeldose.errors import QuantityError
from voxeldose.io.results.content import remark_rows
from voxeldose.model.lungs import CONVENTIONAL_MASS_G
from voxeldose.model.patient import require_bilirubin
from voxeldose.model.remarks import Remark, distinct
from voxeldose.model.wording import activity, dose, number, ratio
from voxeldose.planning.answers.facts import basis_lines, constants_facts, formula_lines, note_lines
from voxeldose.planning.answers.plausible import judge_plan
from voxeldose.planning.answers.settings import Compartments, PartitionGoals, PlanSetting
from voxeldose.planning.body_surface import plan_body_surface
from voxeldose.planning.compartments import plan_mird, plan_partition, plan_partition_for
from voxeldose.planning.from_assessment import perfused_mass_g, tumor_part_of
from voxeldose.planning.plan import Lungs, Plan, with_other_constants
from voxeldose.planning.territories import doses_of_compartments
from voxeldose.planning.voxels import Wish, plan_voxels, plan_voxels_at
from voxeldose.report.text import table_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voxeldose.model.assessment import Assessment, Threshold

__all__ = [
    "CompartmentRow",
    "PlanAnswer",
    "answer_body_surface",
    "answer_mird",
    "answer_partition",
    "answer_voxels",
    "answer_voxels_at",
]


@dataclass(frozen=True)
class CompartmentRow:
    """What the partition model took of one compartment, and its mean dose; ``volume_ml`` where an image gives it."""

    territory: str
    name: str
    mass_g: float
    volume_ml: float | None
    tumor_to_normal: float
    mean_gy: float

    def cells(self) -> dict[str, str]:
        """The row as text."""
        return {
            "compartment": self.name,
            "territory": self.territory,
            "mass g": number(self.mass_g),
            "volume mL": number(self.volume_ml),
            "T/N": ratio(self.tumor_to_normal),
            "mean Gy": dose(self.mean_gy),
        }


@dataclass(frozen=True)
class PlanAnswer:
    """A plan, the published limits that its doses compare with, and what it was asked from.

    A plan by partition has ``compartments``, one by voxels the assessment at its activity, ``planned``.
    """

    plan: Plan
    thresholds: tuple[Threshold, ...]
    inputs: Mapping[str, object]
    compartments: tuple[CompartmentRow, ...] = ()
    planned: Assessment | None = None

    def as_dict(self) -> dict[str, Any]:
        """The content that ``--json`` prints."""
        plan = self.plan
        return {
            "schema": "voxeldose/plan/1",
            "activity_mbq": plan.activity_mbq,
            "tumor_gy": list(plan.tumor_gy.values()),
            "tumors": list(plan.tumor_gy),
            "normal_gy": plan.normal_gy,
            "whole_normal_gy": plan.whole_normal_gy,
            "perfused_gy": plan.perfused_gy,
            "lung_gy": plan.lung_gy,
            "binding": plan.binding,
            "goals_met": all(b.met for b in plan.bounds) if plan.bounds else None,
            "bounds": [vars(b) | {"met": b.met} for b in plan.bounds],
            "territories_mbq": plan.territories_mbq,
            "compartments": [asdict(c) for c in self.compartments],
            "formula": plan.formula,
            "constants": constants_facts(plan.radionuclide),
            "spread": with_other_constants(plan),
            "thresholds": [asdict(t) for t in self.thresholds],
            "inputs": dict(self.inputs),
            "sources": [*plan.sources, plan.radionuclide.source],
            "assumptions": remark_rows(plan.assumptions),
            "warnings": remark_rows(plan.warnings),
        }

    def lines(self) -> list[str]:
        """The plan as text: doses, goals and limits, formula, sources, assumptions."""
        plan, text = self.plan, [f"Activity in the patient at the infusion: {activity(self.plan.activity_mbq)}"]
        if plan.territories_mbq and len(plan.territories_mbq) > 1:
            text.append("  " + "; ".join(f"{name} {mbq:.1f} MBq" for name, mbq in plan.territories_mbq.items()))
        text += table_lines([{"mean dose": name, "Gy": dose(gy)} for name, gy in _doses(plan) if gy is not None])
        if self.compartments:
            text += ["", *table_lines([c.cells() for c in self.compartments])]
        if plan.bounds:
            text += ["", *table_lines(_bound_rows(plan))]
        if self.thresholds:
            text += ["", "Published limits for comparison:"]
            text += table_lines(
                [{"limit": t.name, "role": t.roi, "here": dose(t.value), "met": _yes(t.met)} for t in self.thresholds]
            )
            text += dict.fromkeys(f"  {t.name}: {t.differs}" for t in self.thresholds if t.differs)
        text += formula_lines(plan.formula, plan.radionuclide)
        return [*text, *_other_constants(plan), *basis_lines(plan.sources, plan.assumptions)]

    def notes(self) -> list[str]:
        """Its warnings."""
        return note_lines(self.plan.warnings)


def _doses(plan: Plan) -> list[tuple[str, float | None]]:
    doses: list[tuple[str, float | None]] = [(f"tumor {name}", gy) for name, gy in plan.tumor_gy.items()]
    if plan.whole_normal_gy is None or plan.whole_normal_gy == plan.normal_gy:
        doses.append(("normal liver", plan.normal_gy))
    else:
        doses += [("perfused normal liver", plan.normal_gy), ("whole normal liver", plan.whole_normal_gy)]
    return [*doses, ("perfused volume (weighted by mass)", plan.perfused_gy), ("lungs", plan.lung_gy)]


def _bound_rows(plan: Plan) -> list[dict[str, str]]:
    return [
        {
            "asked": b.name,
            "role": b.kind + (", binding" if b.name == plan.binding else ""),
            "wanted": f"{b.wanted:g}",
            "here": dose(b.value),
            "MBq for it": f"{b.activity_mbq:.1f}" if math.isfinite(b.activity_mbq) else "any",
            "met": _yes(b.met),
        }
        for b in plan.bounds
    ]


def _yes(met: bool) -> str:
    return "yes" if met else "NO"


def _other_constants(plan: Plan) -> list[str]:
    table = with_other_constants(plan)
    if not any(len(row) > 1 for row in table.values()):
        return []
    key, unit = ("activity_mbq", "MBq") if plan.bounds else ("perfused_gy", "Gy in the perfused volume")
    cells = [f"{name} (K {row['gy_kg_per_gbq']:.2f}) {row[key]:.1f}" for name, row in table.items()]
    return [f"By set of constants: {'; '.join(cells)} {unit}"]


def answer_mird(
    setting: PlanSetting,
    *,
    mass_g: float | None = None,
    roi: str | None = None,
    dose_gy: float | None = None,
    activity_mbq: float | None = None,
) -> PlanAnswer:
    """A plan by one compartment, ``A = D m / (K (1 - LSF))``.

    Parameters
    ----------
    setting : PlanSetting
        Constants, lungs, limits and, without ``mass_g``, the assessment whose perfused region gives the mass.
    mass_g : float, optional
        Of the perfused volume.
    roi : str, optional
        The assessment's perfused region, if none has that role.
    dose_gy, activity_mbq : float, optional
        One of the two.

    Raises
    ------
    QuantityError
        If a number is impossible, or there is neither a mass nor one perfused region.
    """
    assumptions: tuple[Remark, ...] = ()
    if setting.assessment is not None:
        mass_g, name = perfused_mass_g(setting.assessment, roi)
        sentence = f"The perfused volume is {name}, {mass_g:.1f} g by the case."
        assumptions = (Remark("perfused-volume-from-case", {"roi": name, "mass_g": mass_g}, sentence),)
    if mass_g is None:
        msg = "The perfused mass is needed, or an assessment with a perfused region."
        raise QuantityError(msg, code="mass-missing")
    plan = plan_mird(
        mass_g,
        setting.radionuclide,
        dose_gy=dose_gy,
        activity_mbq=activity_mbq,
        lungs=Lungs(setting.shunt_fraction, setting.lung_mass_g),
    )
    inputs = {"mass_g": mass_g, "dose_gy": dose_gy, "activity_mbq": activity_mbq}
    _require_lung_mass_used(plan, setting, "single compartment")
    return _answer(_assuming(plan, assumptions), inputs, setting, "single compartment")


def answer_partition(
    compartments: Compartments,
    setting: PlanSetting,
    *,
    goals: PartitionGoals | None = None,
    activity_mbq: float | None = None,
) -> PlanAnswer:
    """A plan by the partition model: for goals and limits, or the doses of activities.

    Parameters
    ----------
    compartments : Compartments
        Territories with their masses.
    setting : PlanSetting
        Constants and limits.
    goals : PartitionGoals, optional
        Without it the doses of the activities are answered.
    activity_mbq : float, optional
        Into a single territory, in place of the one that ``compartments`` knows.

    Raises
    ------
    QuantityError
        If a number is impossible or missing.
    """
    parts, lung_g, rest_g = compartments.territories, compartments.lung_mass_g, compartments.unperfused_g
    nuclide = setting.radionuclide
    wanted = vars(goals) if goals is not None else dict.fromkeys(vars(PartitionGoals()))
    if goals is not None:
        plan = plan_partition_for(parts, nuclide, lung_g=lung_g, unperfused_g=rest_g, **wanted)
    else:
        activities = (activity_mbq,) if activity_mbq is not None else compartments.activities_mbq
        known = [a for a in activities if a is not None]
        plan = plan_partition(parts, known, nuclide, lung_g=lung_g, unperfused_g=rest_g)
    inputs = {
        "territories": [asdict(p) for p in parts],
        "unperfused_g": rest_g,
        "activity_mbq": activity_mbq,
        **wanted,
    }
    plan = _assuming(plan, compartments.assumptions)
    rows = _compartment_rows(plan, compartments)
    _require_lung_mass_used(plan, setting, "partition")
    return replace(_answer(plan, inputs, replace(setting, lung_mass_g=lung_g), "partition"), compartments=rows)


def _compartment_rows(plan: Plan, compartments: Compartments) -> tuple[CompartmentRow, ...]:
    activities = [(plan.territories_mbq or {})[t.name] for t in compartments.territories]
    return tuple(
        CompartmentRow(
            part.territory,
            part.tumor or "normal liver",
            part.mass_g,
            compartments.volumes_ml.get(part.tumor or ""),
            part.ratio,
            part.mean_gy,
        )
        for part in doses_of_compartments(compartments.territories, activities, plan.radionuclide)
    )


def answer_voxels(setting: PlanSetting, goals: Sequence[str], limits: Sequence[str] = ()) -> PlanAnswer:
    """A plan that scales the predicted dose map to goals and limits such as ``lesion_1.mean=400``.

    Raises
    ------
    QuantityError
        If the setting has no assessment, a goal or limit has no meaning, or none can be reached.
    """
    result = _require_assessment(setting)
    plan = plan_voxels(
        result,
        [Wish.parse(text) for text in goals],
        [Wish.parse(text) for text in limits],
        lungs=Lungs(setting.lung_shunt_fraction, setting.lung_mass_g),
    )
    return _answer_voxels(plan, setting, result, {"goals": list(goals), "limits": list(limits)})


def answer_voxels_at(setting: PlanSetting, activity_mbq: float) -> PlanAnswer:
    """The doses of an activity by the predicted dose map.

    Raises
    ------
    QuantityError
        If the setting has no assessment, or the activity is not above 0 MBq.
    """
    result = _require_assessment(setting)
    plan = plan_voxels_at(result, activity_mbq, lungs=Lungs(setting.lung_shunt_fraction, setting.lung_mass_g))
    return _answer_voxels(plan, setting, result, {"activity_mbq": activity_mbq})


def _require_assessment(setting: PlanSetting) -> Assessment:
    if setting.assessment is None:
        msg = "An assessment is needed, of the image that predicts the dose."
        raise QuantityError(msg, code="assessment-missing")
    return setting.assessment


def _answer_voxels(plan: Plan, setting: PlanSetting, result: Assessment, inputs: Mapping[str, object]) -> PlanAnswer:
    """A plan by the dose map, with that map at the planned activity."""
    from voxeldose.dose.assess import what_if

    _require_lung_mass_used(plan, setting, "voxel")
    planned = what_if(result, activity_factor=plan.activity_mbq / result.case.administration.net_mbq)
    plan = _assuming(plan, _by_territory(planned))
    return replace(_answer(plan, inputs, replace(setting, assessment=planned), "voxel"), planned=planned)


def _by_territory(planned: Assessment) -> tuple[Remark, ...]:
    """How the activity is shared by territories, which the plan changes by one factor."""
    given = planned.case.administration
    rows = planned.totals.territories
    if not rows:
        return ()
    parts = {row.roi: row.held_mbq + row.lung_mbq for row in rows}
    shown = ", ".join(f"{name} {mbq:.4g} MBq" for name, mbq in parts.items())
    sentence = (
        f"The activities of the {len(given.territories)} territories change by one factor, in the proportion that the case gives: "
        f"{shown} in the patient at the infusion."
    )
    return (Remark("plan-territories-together", {"territories": ", ".join(parts)}, sentence),)


def answer_body_surface(
    height_m: float, weight_kg: float, *, tumor_part: float | None = None, assessment: Assessment | None = None
) -> PlanAnswer:
    """Activity of resin microspheres by body surface area.

    Parameters
    ----------
    height_m, weight_kg : float
        Of the patient.
    tumor_part : float, optional
        Tumor over whole liver volume, 0 to 1.
    assessment : Assessment, optional
        Whose regions give it otherwise.

    Raises
    ------
    QuantityError
        If a number is impossible, or neither is given.
    """
    assumptions: tuple[Remark, ...] = ()
    if assessment is not None:
        tumor_part, regions = tumor_part_of(assessment)
        sentence = f"The tumor's part of the liver is {tumor_part:.4f} by the case's regions: {regions}."
        assumptions = (Remark("tumor-part-from-case", {"tumor_part": tumor_part, "roi": regions}, sentence),)
    if tumor_part is None:
        msg = "The tumor's part of the liver is needed, or an assessment with regions of both."
        raise QuantityError(msg, code="tumor-part-missing")
    plan = _assuming(plan_body_surface(height_m, weight_kg, tumor_part), assumptions)
    inputs = {"height_m": height_m, "weight_kg": weight_kg, "tumor_part": tumor_part}
    return _answer(plan, inputs, PlanSetting(), None)


def _assuming(plan: Plan, assumptions: Sequence[Remark]) -> Plan:
    return replace(plan, assumptions=(*assumptions, *plan.assumptions))


def _answer(plan: Plan, inputs: Mapping[str, object], setting: PlanSetting, method: str | None) -> PlanAnswer:
    shared = {
        "lung_shunt_fraction": setting.shunt_fraction,
        "lung_g": setting.lung_mass_g or CONVENTIONAL_MASS_G,
        "device": setting.microspheres,
    }
    thresholds = _thresholds(plan, setting, method)
    _require_bilirubin_used(thresholds, setting)
    found = judge_plan(plan, setting)
    plan = replace(
        plan,
        assumptions=distinct((*plan.assumptions, *found.notes)),
        warnings=distinct((*plan.warnings, *found.warnings)),
    )
    return PlanAnswer(plan, thresholds, {**inputs, **shared})


def _require_lung_mass_used(plan: Plan, setting: PlanSetting, method: str) -> None:
    """Refuse a mass of the lungs that no dose comes from."""
    if setting.lung_mass_g is None:
        return
    mass = f"A mass of the lungs ({setting.lung_mass_g:g} g)"
    if plan.lung_gy is None:
        msg = f"{mass} gives no dose without a lung shunt fraction; give it, or leave the mass out."
        raise QuantityError(msg, code="lung-mass-unused", lung_mass_g=setting.lung_mass_g)
    if method == "voxel" and setting.assessment is not None:
        rois = setting.assessment.rois.items()
        mapped = [name for name, m in rois if m.role == "lung" and math.isfinite(m.mean_dose_gy)]
        if len(mapped) == 1:
            msg = f"{mass} does nothing: the lungs' dose is that of {mapped[0]} in the dose map. Leave it out."
            raise QuantityError(msg, code="lung-mass-unused", lung_mass_g=setting.lung_mass_g)


def _require_bilirubin_used(thresholds: Sequence[Threshold], setting: PlanSetting) -> None:
    """Refuse a bilirubin that decides none of the limits compared."""
    if setting.bilirubin_mg_per_dl is None:
        return
    limits = (
        setting.assessment.case.limits if setting.assessment is not None else setting.limits
    ) or published_limits()
    by_bilirubin = {
        r.name for r in limits if (r.bilirubin_above_mg_per_dl, r.bilirubin_below_mg_per_dl) != (None, None)
    }
    if not any(t.name.startswith(f"{name} (") for t in thresholds for name in by_bilirubin):
        msg = (
            f"Bilirubin ({setting.bilirubin_mg_per_dl:g} mg/dL) decides none of the limits compared here: published ones that "
            "depend on it are for the mean of normal liver with glass microspheres. Leave it out, or name the device."
        )
        raise QuantityError(msg, code="bilirubin-unused", bilirubin_mg_per_dl=setting.bilirubin_mg_per_dl)


def _thresholds(plan: Plan, setting: PlanSetting, method: str | None) -> tuple[Threshold, ...]:
    """Limits for the device, compared with a plan's doses; voxel by voxel where the plan is by voxels."""
    result = setting.assessment
    limits = result.case.limits if result is not None else setting.limits
    bilirubin = result.case.bilirubin_mg_per_dl if result is not None else setting.bilirubin_mg_per_dl
    require_bilirubin(bilirubin)
    if method == "voxel" and result is not None:
        by_voxels = result.thresholds
        if any(t.metric == "mean_dose_gy" and result.rois[t.roi].role == "lung" for t in by_voxels):
            return by_voxels
        return by_voxels + compare_means({"lung": plan.lung_gy}, setting.microspheres, limits)
    doses = {
        "tumor": min(plan.tumor_gy.values(), default=None),
        "normal_liver": plan.whole_normal_gy if plan.whole_normal_gy is not None else plan.normal_gy,
        "perfused_normal": plan.normal_gy,
        "perfused": plan.perfused_gy,
        "lung": plan.lung_gy,
    }
    return compare_means(doses, setting.microspheres, limits, method=method or "", bilirubin_mg_per_dl=bilirubin)
