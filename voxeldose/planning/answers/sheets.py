"""A plan with the other methods beside it at the same activity, its inputs, limits and vial, as a folder for people and programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from voxeldose import __version__
from voxeldose.errors import QuantityError
from voxeldose.io.results.assessment import write_json
from voxeldose.io.results.content import remark_rows
from voxeldose.io.results.new_folder import new_folder
from voxeldose.model.remarks import distinct
from voxeldose.planning.answers.facts import constants_facts
from voxeldose.planning.answers.plans import answer_mird, answer_partition, answer_voxels_at
from voxeldose.planning.answers.settings import compartments_of_image
from voxeldose.planning.answers.vials import VialQuestion, answer_vial, product_of
from voxeldose.planning.from_assessment import tumor_ml
from voxeldose.planning.plan import Lungs
from voxeldose.report.plan import write_plan_page, write_plan_pdf

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from voxeldose.planning.answers.plans import PlanAnswer
    from voxeldose.planning.answers.settings import Compartments, PlanSetting
    from voxeldose.planning.answers.vials import VialAnswer

__all__ = ["PlanSheet", "VialWishes", "plan_sheet", "write_plan"]

T = TypeVar("T")

SCHEMA = "voxeldose/plan-sheet/1"
#: Tells a folder that voxeldose made, so that it may be replaced.
MARKER = "plan.json"
METHODS = ("single compartment", "partition", "voxel")


@dataclass(frozen=True)
class VialWishes:
    """What the vial of a plan goes by: the infusion and calibrations that the case does not say, and a product of one's own."""

    at: datetime | None = None
    calibrations: tuple[datetime, ...] = ()
    product: Path | None = None


@dataclass(frozen=True)
class PlanSheet:
    """A plan, and what the other methods say of the same activity.

    Parameters
    ----------
    method : str
        That of the plan, one of :data:`METHODS`.
    answers : mapping
        Method to its answer for the planned activity; the plan's own is the plan.
    missing : mapping
        Method to the reason why it has no answer.
    compartments : Compartments or None
        Territories of the partition model.
    vial : VialAnswer or None
        ``no_vial`` says why there is none.
    """

    method: str
    answers: Mapping[str, PlanAnswer]
    missing: Mapping[str, str]
    compartments: Compartments | None
    vial: VialAnswer | None
    no_vial: str
    setting: PlanSetting

    @property
    def own(self) -> PlanAnswer:
        """The plan itself."""
        return self.answers[self.method]

    def as_dict(self) -> dict[str, Any]:
        """The content of ``plan.json``; the plan's own answer stands in it as ``--json`` prints it."""
        plan, result = self.own.plan, self.setting.assessment
        lungs = Lungs(self.setting.shunt_fraction, self.own.inputs["lung_g"])  # type: ignore[arg-type]
        return {
            "schema": SCHEMA,
            "version": __version__,
            "case": {"id": result.case.id if result is not None else ""},
            "kind_text": result.kind_text if result is not None else None,
            "method": self.method,
            "activity_mbq": plan.activity_mbq,
            "plan": self.own.as_dict(),
            "methods": {m: _doses(self.answers[m]) for m in METHODS if m in self.answers},
            "missing": dict(self.missing),
            "regions": _regions(self.answers.get("voxel")),
            "compartments": [asdict(c) for a in self.answers.values() for c in a.compartments],
            "territories": self._territories(),
            "lungs": {
                "lung_shunt_fraction": lungs.shunt_fraction,
                "activity_mbq": None if lungs.shunt_fraction is None else plan.activity_mbq * lungs.shunt_fraction,
                "mass_g": lungs.grams,
                "mean_gy": plan.lung_gy,
            },
            "thresholds": self._thresholds(),
            "vial": self.vial.as_dict() if self.vial is not None else None,
            "no_vial": self.no_vial,
            "spheres": self._spheres(),
            "inputs": self.own.as_dict()["inputs"],
            "density_g_per_ml": result.case.density
            if result is not None and isinstance(result.case.density, float)
            else None,
            "constants": constants_facts(plan.radionuclide),
            "formulas": {m: a.plan.formula for m, a in self.answers.items()},
            "sources": list(
                dict.fromkeys(s for a in self.answers.values() for s in (*a.plan.sources, plan.radionuclide.source))
            ),
            "assumptions": remark_rows(distinct([r for a in self.answers.values() for r in a.plan.assumptions])),
            "warnings": remark_rows(distinct([r for a in self.answers.values() for r in a.plan.warnings])),
        }

    def _thresholds(self) -> list[dict[str, Any]]:
        """Limits against the plan's own doses, and against those of another method that are the limit's own quantity."""
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for method in sorted(self.answers, key=lambda m: m != self.method):
            for t in self.answers[method].thresholds:
                if method == self.method or (not t.differs and t.roi != "lung"):
                    found.setdefault((t.name, f"{t.value:.6g}"), asdict(t) | {"by": method})
        return list(found.values())

    def _territories(self) -> list[dict[str, Any]]:
        """What each infusion brings: activity, mass, the mean of its perfused volume, of its normal liver and of its tumors."""
        if self.compartments is None or "partition" not in self.answers:
            return []
        answer, rows = self.answers["partition"], []
        doses = answer.compartments
        for territory in self.compartments.territories:
            parts = [d for d in doses if d.territory == territory.name]
            rows.append(
                {
                    "territory": territory.name,
                    "activity_mbq": (answer.plan.territories_mbq or {})[territory.name],
                    "lung_shunt_fraction": territory.lung_shunt_fraction,
                    "perfused_g": territory.perfused_g,
                    "perfused_gy": sum(d.mean_gy * d.mass_g for d in parts) / territory.perfused_g,
                    "normal_gy": next(
                        (d.mean_gy for d in parts if d.tumor_to_normal == 1 and d.name == "normal liver"), None
                    ),
                    "tumors_gy": {d.name: d.mean_gy for d in parts if d.name != "normal liver"},
                }
            )
        return rows

    def _spheres(self) -> dict[str, float | None] | None:
        """Spheres that carry the activity, per mL of tumor and per mL of the perfused volume."""
        if self.vial is None or self.vial.plan.spheres is None:
            return None
        result, spheres = self.setting.assessment, self.vial.plan.spheres
        perfused = [m.volume_ml for m in result.rois.values() if m.role == "perfused"] if result is not None else []
        held = 1 - (self.setting.shunt_fraction or 0.0)
        return {
            "spheres": spheres,
            "bq_per_sphere": self.vial.plan.chosen.bq_per_sphere,
            "per_ml_of_tumor": self.vial.plan.spheres_per_ml,
            "per_ml_of_perfused": spheres * held / sum(perfused) if perfused else None,
        }


def plan_sheet(
    answer: PlanAnswer,
    method: str,
    setting: PlanSetting,
    *,
    compartments: Compartments | None = None,
    wishes: VialWishes | None = None,
) -> PlanSheet:
    """The plan with the other two methods at its activity, and its vial.

    A method that the case or the masses do not allow is missing, and the sheet says why.

    Parameters
    ----------
    answer : PlanAnswer
        The plan.
    method : str
        One of :data:`METHODS`.
    setting : PlanSetting
        That of the plan.
    compartments : Compartments, optional
        Those of a partition plan; the case's without them.
    wishes : VialWishes, optional
        For the vial.
    """
    mbq, missing = answer.plan.activity_mbq, dict[str, str]()
    plain = replace(setting, bilirubin_mg_per_dl=None, lung_mass_g=None)
    if compartments is None and setting.assessment is not None:
        compartments = _tried(lambda: compartments_of_image(setting), "partition", missing)

    def single() -> PlanAnswer:
        if setting.assessment is not None:
            return answer_mird(plain, activity_mbq=mbq)
        if compartments is None or len(compartments.territories) != 1:
            msg = "one perfused volume is needed; several territories have one each."
            raise QuantityError(msg, code="regions-several")
        return answer_mird(plain, mass_g=compartments.territories[0].perfused_g, activity_mbq=mbq)

    def partition() -> PlanAnswer:
        if compartments is None:
            msg = missing.pop("partition", "masses of tumors and normal liver are needed, or a case.")
            raise QuantityError(msg, code="mass-missing")
        return answer_partition(compartments, plain, activity_mbq=mbq)

    makers: dict[str, Callable[[], PlanAnswer]] = {
        "single compartment": single,
        "partition": partition,
        "voxel": lambda: answer_voxels_at(plain, mbq),
    }
    found: dict[str, PlanAnswer] = {}
    for name, make in makers.items():
        one = answer if name == method else _tried(make, name, missing)
        if one is not None:
            found[name] = one
    territories = compartments.territories if compartments is not None else ()
    if len(territories) > 1:
        vial, no_vial = None, "Territories are infused one by one: choose a vial for each (voxeldose plan vial)."
    else:
        vial, no_vial = _vial(mbq, setting, wishes or VialWishes())
    return PlanSheet(method, found, missing, compartments, vial, no_vial, setting)


def _tried(make: Callable[[], T], name: str, missing: dict[str, str]) -> T | None:
    """What is made, or nothing and the reason under its name."""
    try:
        return make()
    except QuantityError as error:
        missing[name] = str(error)
        return None


def _doses(answer: PlanAnswer) -> dict[str, Any]:
    """Mean doses by one method, under the names of the plan."""
    plan, normal_gy, whole_normal_gy = answer.plan, answer.plan.normal_gy, answer.plan.whole_normal_gy
    if answer.planned is not None:  # a dose map's normal liver is all of it; its perfused part is a region of its own
        perfused = answer.planned.rois.get("perfused_normal_liver")
        normal_gy, whole_normal_gy = perfused.mean_dose_gy if perfused is not None else None, plan.normal_gy
    return {
        "perfused_gy": plan.perfused_gy,
        "tumors_gy": dict(plan.tumor_gy),
        "normal_gy": normal_gy,
        "whole_normal_gy": whole_normal_gy,
        "lung_gy": plan.lung_gy,
    }


def _regions(answer: PlanAnswer | None) -> list[dict[str, Any]]:
    """Numbers of every region that the dose map has at the planned activity."""
    if answer is None or answer.planned is None:
        return []
    keys = ("role", "volume_ml", "mass_g", "mean_dose_gy", "d95_gy", "d70_gy", "v400_fraction")
    return [{"roi": name} | {key: getattr(m, key) for key in keys} for name, m in answer.planned.rois.items()]


def _vial(mbq: float, setting: PlanSetting, wishes: VialWishes) -> tuple[VialAnswer | None, str]:
    """The vial for an activity, or why there is none."""
    result = setting.assessment
    if setting.microspheres is None:
        return None, "The device is not given (glass or resin), so no vial is chosen."
    if wishes.at is None and (result is None or result.case.administration.at is None):
        return None, "The infusion is not given (--at), so no vial is chosen."
    question = VialQuestion(mbq, wishes.at, wishes.calibrations, tumor_ml=tumor_ml(result) or None if result else None)
    try:
        return answer_vial(question, setting, product_of(setting.microspheres, wishes.product)), ""
    except QuantityError as error:
        return None, str(error)


def write_plan(sheet: PlanSheet, out: Path, *, overwrite: bool = False) -> None:
    """Write ``plan.json``, ``plan.html`` and ``plan.pdf`` into a folder that appears whole or not at all.

    Raises
    ------
    InputError
        If the folder exists and may not be replaced, or cannot be written.
    """
    content = sheet.as_dict()
    with new_folder(out, overwrite=overwrite, marker=MARKER) as folder:
        write_json(content, folder / MARKER)
        write_plan_page(content, folder / "plan.html")
        write_plan_pdf(content, folder / "plan.pdf")
