"""Activity for a wanted dose, or dose of an activity, with everything that a reader needs to judge it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from voxeldose.dose.limits import beside
from voxeldose.errors import QuantityError
from voxeldose.io.results.content import remark_rows
from voxeldose.model.case import require_bilirubin
from voxeldose.model.radionuclide import y90_constants
from voxeldose.model.remarks import Remark
from voxeldose.planning.answers.facts import constants_facts
from voxeldose.planning.body_surface import plan_body_surface
from voxeldose.planning.compartments import Territory, Tumor, plan_mird, plan_partition, plan_partition_for
from voxeldose.planning.from_assessment import perfused_mass_g, territory_of, tumor_part_of
from voxeldose.planning.plan import LUNG_MASS_G, Lungs, Plan, with_other_constants
from voxeldose.planning.voxels import Wish, plan_voxels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from voxeldose.model.assessment import Assessment, Threshold
    from voxeldose.model.limits import Limit
    from voxeldose.model.radionuclide import Radionuclide

__all__ = [
    "Compartments",
    "PartitionGoals",
    "PlanAnswer",
    "PlanSetting",
    "answer_body_surface",
    "answer_mird",
    "answer_partition",
    "answer_voxels",
    "compartments_of_file",
    "compartments_of_image",
]


@dataclass(frozen=True)
class PlanSetting:
    """What holds for a plan of any kind.

    Parameters
    ----------
    assessment : Assessment, optional
        Of the pre-treatment image; its case says what is not given here.
    constants : str, optional
        Set of Y-90 constants, ``ddep`` without it; those of the assessment where there is one.
    lung_shunt_fraction : float, optional
        0 to 1.
    lung_mass_g : float, optional
        1000 g, the convention, without it.
    device : str, optional
        ``glass`` or ``resin``; decides the limits shown.
    bilirubin_mg_per_dl : float, optional
        Decides limits that depend on it; the case's where there is an assessment.
    limits : tuple of Limit, optional
        The published ones without it; the case's where there is an assessment.
    """

    assessment: Assessment | None = None
    constants: str | None = None
    lung_shunt_fraction: float | None = None
    lung_mass_g: float | None = None
    device: str | None = None
    bilirubin_mg_per_dl: float | None = None
    limits: tuple[Limit, ...] | None = None

    @property
    def radionuclide(self) -> Radionuclide:
        """With the set of constants."""
        if self.assessment is not None:
            return self.assessment.case.administration.radionuclide
        return y90_constants(self.constants or "ddep")

    @property
    def shunt_fraction(self) -> float | None:
        """The lung shunt fraction given, or that of the case."""
        if self.lung_shunt_fraction is not None or self.assessment is None:
            return self.lung_shunt_fraction
        return self.assessment.case.administration.lung_shunt_fraction

    @property
    def microspheres(self) -> str | None:
        """The device given, or that of the case."""
        return self.device or (self.assessment.case.administration.device if self.assessment else None)


@dataclass(frozen=True)
class Compartments:
    """Territories of the partition model.

    ``activities_mbq`` are those known of each, ``unperfused_g`` is normal liver that no infusion reaches.
    """

    territories: tuple[Territory, ...]
    activities_mbq: tuple[float | None, ...] = ()
    lung_mass_g: float | None = None
    unperfused_g: float = 0.0
    assumptions: tuple[Remark, ...] = ()


@dataclass(frozen=True)
class PartitionGoals:
    """What a partition plan is to reach and to keep, mean doses in Gy."""

    tumor_gy: float | None = None
    normal_limit_gy: float | None = None
    lung_limit_gy: float | None = None


@dataclass(frozen=True)
class PlanAnswer:
    """A plan, the published limits that its doses compare with, and what it was asked from."""

    plan: Plan
    thresholds: tuple[Threshold, ...]
    inputs: Mapping[str, object]

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
            "formula": plan.formula,
            "constants": constants_facts(plan.radionuclide),
            "spread": with_other_constants(plan),
            "thresholds": [asdict(t) for t in self.thresholds],
            "inputs": dict(self.inputs),
            "sources": [*plan.sources, plan.radionuclide.source],
            "assumptions": remark_rows(plan.assumptions),
            "warnings": remark_rows(plan.warnings),
        }


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
    return _answer(_assuming(plan, assumptions), inputs, setting, "single compartment")


def compartments_of_image(setting: PlanSetting, unperfused_g: float | None = None) -> Compartments:
    """The one territory that the assessment's image shows.

    Raises
    ------
    QuantityError
        If the setting has no assessment, or its regions do not give a territory.
    """
    if setting.assessment is None:
        msg = "An assessment is needed, of the image that shows the territory."
        raise QuantityError(msg, code="assessment-missing")
    found = territory_of(setting.assessment, setting.shunt_fraction)
    rest_g = found.unperfused_g if unperfused_g is None else unperfused_g
    return Compartments((found.territory,), (None,), setting.lung_mass_g, rest_g, found.assumptions)


def compartments_of_file(path: Path, setting: PlanSetting, unperfused_g: float | None = None) -> Compartments:
    """Territories of a TOML file; what the setting and ``unperfused_g`` say comes before the file.

    Raises
    ------
    InputError
        If the file cannot be used.
    """
    from voxeldose.io.config.plan import read_territories

    table = read_territories(path)
    territories = tuple(
        Territory(
            tuple(Tumor(t.name, t.mass_g, t.tn) for t in row.tumors),
            row.normal_g,
            row.lung_shunt_fraction if row.lung_shunt_fraction is not None else setting.lung_shunt_fraction,
            row.name,
        )
        for row in table.territory
    )
    return Compartments(
        territories,
        tuple(row.activity_mbq for row in table.territory),
        setting.lung_mass_g if setting.lung_mass_g is not None else table.lung_g,
        table.unperfused_g if unperfused_g is None else unperfused_g,
    )


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
    return _answer(plan, inputs, replace(setting, lung_mass_g=lung_g), "partition")


def answer_voxels(setting: PlanSetting, goals: Sequence[str], limits: Sequence[str] = ()) -> PlanAnswer:
    """A plan that scales the predicted dose map to goals and limits such as ``lesion_1.mean=400``.

    Raises
    ------
    QuantityError
        If the setting has no assessment, a goal or limit has no meaning, or none can be reached.
    """
    from voxeldose.dose.assess import what_if

    result = setting.assessment
    if result is None:
        msg = "An assessment is needed, of the image that predicts the dose."
        raise QuantityError(msg, code="assessment-missing")
    plan = plan_voxels(
        result,
        [Wish.parse(text) for text in goals],
        [Wish.parse(text) for text in limits],
        lungs=Lungs(setting.lung_shunt_fraction, setting.lung_mass_g),
    )
    planned = what_if(result, activity_factor=plan.activity_mbq / result.case.administration.net_mbq)
    inputs = {"goals": list(goals), "limits": list(limits)}
    return _answer(plan, inputs, replace(setting, assessment=planned), "voxel")


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
        "lung_g": setting.lung_mass_g or LUNG_MASS_G,
        "device": setting.microspheres,
    }
    return PlanAnswer(plan, _thresholds(plan, setting, method), {**inputs, **shared})


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
        return by_voxels + beside({"lung": plan.lung_gy}, setting.microspheres, limits)
    doses = {
        "tumor": min(plan.tumor_gy.values(), default=None),
        "normal_liver": plan.whole_normal_gy if plan.whole_normal_gy is not None else plan.normal_gy,
        "perfused_normal": plan.normal_gy,
        "perfused": plan.perfused_gy,
        "lung": plan.lung_gy,
    }
    return beside(doses, setting.microspheres, limits, method=method or "", bilirubin_mg_per_dl=bilirubin)
