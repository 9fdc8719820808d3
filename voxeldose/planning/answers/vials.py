"""The vial for an activity at the hour of infusion, and the activity that assays say was delivered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from voxeldose.errors import QuantityError
from voxeldose.io.results.content import remark_rows
from voxeldose.model.administration import Assay, administration_from_assays, unit_doubts
from voxeldose.model.radionuclide import y90_constants
from voxeldose.model.remarks import Remark
from voxeldose.model.wording import dose, number
from voxeldose.planning.answers.facts import basis_lines, constants_facts, formula_lines, note_lines
from voxeldose.planning.from_assessment import tumor_ml as tumor_ml_of
from voxeldose.planning.plan import Lungs, lung_dose_gy
from voxeldose.planning.vials import RESIDUAL_MISSING, Product, plan_vial
from voxeldose.report.text import table_lines

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from voxeldose.model.administration import Administration
    from voxeldose.model.assessment import Assessment
    from voxeldose.model.radionuclide import Radionuclide
    from voxeldose.planning.answers.settings import PlanSetting
    from voxeldose.planning.vials import VialOption, VialPlan

__all__ = [
    "Assays",
    "DeliveredAnswer",
    "OwnVials",
    "VialAnswer",
    "VialQuestion",
    "answer_delivered",
    "answer_vial",
    "product_of",
]


#: What a product's table says of a :class:`Product` besides its sizes.
_PRODUCT = {"vials_source", "bq_per_sphere", "bq_per_sphere_source", "shelf_life_h", "is_divisible"}


@dataclass(frozen=True)
class VialQuestion:
    """What a vial is asked for.

    Parameters
    ----------
    activity_mbq : float
        Wanted in the patient at the infusion, lungs included.
    at : datetime, optional
        The infusion; the case's without it.
    calibrations : tuple of datetime
        The instants that the supplier offers; the infusion itself without them.
    residual_fraction : float
        Part of the vial that stays in vial and tubing.
    expires_at : datetime, optional
        After which the vial must not be used.
    tumor_ml : float, optional
        For spheres per millilitre; the case's without it.
    most_above : float, optional
        Most that a vial which is given whole may hold above what is needed, as a part of it; the largest step between two sizes
        without it.
    """

    activity_mbq: float
    at: datetime | None = None
    calibrations: tuple[datetime, ...] = ()
    residual_fraction: float = 0.0
    expires_at: datetime | None = None
    tumor_ml: float | None = None
    most_above: float | None = None


@dataclass(frozen=True)
class OwnVials:
    """Sizes, spheres and shelf life in place of the product's."""

    vials_gbq: tuple[float, ...] = ()
    bq_per_sphere: float | None = None
    shelf_life_h: float | None = None


def product_of(device: str | None, file: Path | None = None, own: OwnVials | None = None) -> Product | None:
    """The product of a device, by the shipped table or a site's own file; ``None`` where nothing is known of it.

    Raises
    ------
    InputError
        If the file cannot be used.
    """
    own = own or OwnVials()
    product = Product(device or "unnamed")
    if device is not None:
        from voxeldose.io.config.plan import read_product

        table = read_product(device, file)
        product = Product(device, **table.model_dump(include=_PRODUCT), vials_gbq=table.sizes_gbq)
    elif own == OwnVials():
        return None
    if own.vials_gbq:
        product = replace(product, vials_gbq=own.vials_gbq, vials_source="given")
    if own.bq_per_sphere is not None:
        product = replace(product, bq_per_sphere=own.bq_per_sphere, bq_per_sphere_source="given")
    if own.shelf_life_h is not None:
        product = replace(product, shelf_life_h=own.shelf_life_h)
    return product


@dataclass(frozen=True)
class VialAnswer:
    """The vial, every option, what it was asked from, and the lungs whose dose follows from the shunt fraction."""

    plan: VialPlan
    device: str | None
    inputs: Mapping[str, object]
    lungs: Lungs

    def lung_gy(self, activity_mbq: float) -> float | None:
        """Lung dose of an activity in the patient; ``None`` without a shunt fraction."""
        k = self.plan.radionuclide.gy_kg_per_gbq
        return lung_dose_gy(k, [(activity_mbq, self.lungs.shunt_fraction)], self.lungs.grams)

    def as_dict(self) -> dict[str, Any]:
        """The content that ``--json`` prints."""
        plan, chosen = self.plan, self.plan.chosen
        return {
            "schema": "voxeldose/plan/1",
            "activity_mbq": plan.activity_mbq,
            "at": plan.at.isoformat(),
            "needed_in_vial_mbq": plan.needed_mbq,
            "vial_gbq": chosen.vial_gbq,
            "vial_mci": chosen.vial_mci,
            "calibration_at": chosen.calibration_at.isoformat(),
            "vial_at_infusion_mbq": chosen.at_infusion_mbq,
            "vial_net_mbq": chosen.net_mbq,
            "excess_fraction": chosen.excess_fraction,
            "bq_per_sphere": chosen.bq_per_sphere,
            "spheres": plan.spheres,
            "spheres_in_vial": chosen.spheres,
            "spheres_per_ml": plan.spheres_per_ml,
            "offer_rule": plan.offer_rule,
            "options": [_option_facts(o) for o in plan.options],
            "lung_gy": self.lung_gy(plan.activity_mbq),
            "vial_lung_gy": self.lung_gy(chosen.net_mbq),
            "device": self.device,
            "inputs": dict(self.inputs),
            "formula": plan.formula,
            "constants": constants_facts(plan.radionuclide),
            "sources": [*plan.sources, plan.radionuclide.source],
            "assumptions": remark_rows(plan.assumptions),
            "warnings": remark_rows(plan.warnings),
        }

    def lines(self) -> list[str]:
        """The vials as text, the one chosen marked."""
        plan, chosen = self.plan, self.plan.chosen
        text = table_lines(
            [
                {
                    "vial": ("> " if o is chosen else "  ") + f"{o.vial_gbq:.4g} GBq ({o.vial_mci:.0f} mCi)",
                    "calibrated": o.calibration_at.isoformat(),
                    "at infusion MBq": f"{o.at_infusion_mbq:.1f}",
                    "net MBq": f"{o.net_mbq:.1f}",
                    "above wanted %": f"{100 * o.excess_fraction:+.1f}",
                    "Bq per sphere": number(o.bq_per_sphere),
                    "10^6 spheres": number(o.spheres and o.spheres / 1e6),
                }
                for o in plan.options
                if o.is_offered
            ]
        )
        text.append(plan.offer_rule)
        when, needed = plan.at.isoformat(), f"{plan.needed_mbq:.1f} MBq in the vial"
        text += ["", f"Wanted {plan.activity_mbq:g} MBq in the patient at {when}: {needed}."]
        if plan.spheres is not None:
            per_ml = f", {plan.spheres_per_ml:.0f} per mL of tumor" if plan.spheres_per_ml else ""
            text.append(f"{plan.spheres:.4g} spheres carry it at {chosen.bq_per_sphere:.1f} Bq each{per_ml}.")
        lung_gy, vial_lung_gy = self.lung_gy(plan.activity_mbq), self.lung_gy(chosen.net_mbq)
        if lung_gy is not None and vial_lung_gy is not None:
            text.append(
                f"Lungs of {self.lungs.grams:g} g: {dose(lung_gy)} Gy of the wanted activity, {dose(vial_lung_gy)} Gy of the whole vial."
            )
        text += formula_lines(plan.formula, plan.radionuclide)
        return [*text, *basis_lines(plan.sources, plan.assumptions)]

    def notes(self) -> list[str]:
        """Its warnings."""
        return note_lines(self.plan.warnings)


def _option_facts(option: VialOption) -> dict[str, Any]:
    return {
        "vial_gbq": option.vial_gbq,
        "calibration_at": option.calibration_at.isoformat(),
        "at_infusion_mbq": option.at_infusion_mbq,
        "net_mbq": option.net_mbq,
        "excess_fraction": option.excess_fraction,
        "bq_per_sphere": option.bq_per_sphere,
        "spheres_in_vial": option.spheres,
        "is_offered": option.is_offered,
    }


def answer_vial(question: VialQuestion, setting: PlanSetting, product: Product | None = None) -> VialAnswer:
    """The smallest vial that holds enough at the infusion.

    Parameters
    ----------
    question : VialQuestion
        What is wanted.
    setting : PlanSetting
        Constants and device; its assessment says the infusion and the tumors' volume where the question does not.
    product : Product, optional
        Sizes and spheres, as :func:`product_of` has them.

    Raises
    ------
    QuantityError
        If the infusion is not known, or no vial can be used.
    """
    lungs = Lungs(setting.shunt_fraction, setting.lung_mass_g)
    filled, assumptions = question, list[Remark]()
    if setting.assessment is not None:
        filled, assumptions = _with_case(question, setting.assessment)
    if filled.at is None:
        msg = "The infusion is needed, with its zone: neither the question nor a case says it."
        raise QuantityError(msg, code="infusion-missing")
    if lungs.shunt_fraction:
        assumptions += lungs.remarks()
        sentence = "The activity wanted is all that enters the patient, so the lung shunt changes no vial."
        assumptions.append(Remark("lung-shunt-not-in-vial", {"lung_shunt_fraction": lungs.shunt_fraction}, sentence))
    plan = plan_vial(
        filled.activity_mbq,
        filled.at,
        setting.radionuclide,
        product=product,
        calibrations=filled.calibrations,
        residual_fraction=filled.residual_fraction,
        expires_at=filled.expires_at,
        tumor_ml=filled.tumor_ml,
        most_above=filled.most_above,
    )
    inputs = {
        "activity_mbq": filled.activity_mbq,
        "at": filled.at.isoformat(),
        "calibrated_at": [c.isoformat() for c in filled.calibrations],
        "residual_fraction": filled.residual_fraction,
        "expires_at": filled.expires_at.isoformat() if filled.expires_at else None,
        "tumor_ml": filled.tumor_ml,
        "device": setting.microspheres,
        "lung_shunt_fraction": lungs.shunt_fraction,
    }
    plan = replace(plan, assumptions=(*assumptions, *plan.assumptions))
    return VialAnswer(plan, setting.microspheres, inputs, lungs)


def _with_case(question: VialQuestion, assessment: Assessment) -> tuple[VialQuestion, list[Remark]]:
    """The question with what the case says where it does not, and what is so assumed."""
    remarks = []
    at, tumor_ml = assessment.case.administration.at, tumor_ml_of(assessment, treated=True)
    if question.at is None and at is not None:
        question = replace(question, at=at)
        sentence = f"The infusion is at {at.isoformat()}, as the case says."
        remarks.append(Remark("infusion-from-case", {"at": at.isoformat()}, sentence))
    if question.tumor_ml is None and tumor_ml > 0:
        question = replace(question, tumor_ml=tumor_ml)
        sentence = f"The treated tumors are {tumor_ml:.2f} mL by the case's regions."
        remarks.append(Remark("tumor-volume-from-case", {"tumor_ml": tumor_ml}, sentence))
    return question, remarks


@dataclass(frozen=True)
class Assays:
    """Assays of vial and residual, each with its instant, and the infusion; the residual's is the infusion without one."""

    assay_mbq: float
    assayed_at: datetime
    at: datetime
    residual_mbq: float = 0.0
    residual_at: datetime | None = None


@dataclass(frozen=True)
class DeliveredAnswer:
    """What entered the patient, and what it was asked from."""

    administration: Administration
    assays: Assays
    assumptions: tuple[Remark, ...]
    warnings: tuple[Remark, ...]
    formula: str = "A = A_vial 2^(-(t - t_vial)/T½) - A_res 2^((t_res - t)/T½); into the liver A (1 - LSF)"

    @property
    def vial_mbq(self) -> float:
        """Activity of the vial at the infusion."""
        return self.administration.administered_mbq or 0.0

    @property
    def residual_fraction(self) -> float:
        """Of the vial."""
        return self.administration.residual_mbq / self.vial_mbq

    @property
    def sources(self) -> tuple[str, ...]:
        """Where the method and the half-life come from."""
        method = "Radioactive decay; vial and residual are assayed in the same calibrator"
        return method, self.administration.radionuclide.source

    def as_dict(self) -> dict[str, Any]:
        """The content that ``--json`` prints."""
        given, assays = self.administration, self.assays
        return {
            "schema": "voxeldose/delivered/1",
            "activity_mbq": given.net_mbq,
            "liver_mbq": given.liver_mbq,
            "lung_mbq": given.net_mbq - given.liver_mbq,
            "vial_at_infusion_mbq": self.vial_mbq,
            "residual_at_infusion_mbq": given.residual_mbq,
            "residual_fraction": self.residual_fraction,
            "formula": self.formula,
            "constants": constants_facts(given.radionuclide),
            "inputs": {
                "assay_mbq": assays.assay_mbq,
                "assayed_at": assays.assayed_at.isoformat(),
                "at": assays.at.isoformat(),
                "residual_mbq": assays.residual_mbq,
                "residual_at": assays.residual_at.isoformat() if assays.residual_at else None,
                "lung_shunt_fraction": given.lung_shunt_fraction,
            },
            "bounds": [],
            "sources": list(self.sources),
            "assumptions": remark_rows(self.assumptions),
            "warnings": remark_rows(self.warnings),
        }

    def lines(self) -> list[str]:
        """The activities as text."""
        given = self.administration
        rows = (
            ("vial", self.vial_mbq),
            ("residual", given.residual_mbq),
            ("in the patient", given.net_mbq),
            ("in the liver", given.liver_mbq),
        )
        return [
            *table_lines([{"at the infusion": name, "MBq": f"{mbq:.1f}"} for name, mbq in rows]),
            f"residual {100 * self.residual_fraction:.2f} % of the vial",
            *formula_lines(self.formula, given.radionuclide),
            *basis_lines(self.sources[:-1], self.assumptions),
        ]

    def notes(self) -> list[str]:
        """Its warnings."""
        return note_lines(self.warnings)


def answer_delivered(
    assays: Assays, *, lung_shunt_fraction: float | None = None, constants: str | None = None
) -> DeliveredAnswer:
    """Activity that entered the patient, at the infusion.

    Raises
    ------
    QuantityError
        If an instant has no zone or lies where it cannot, or an activity is impossible.
    """
    nuclide: Radionuclide = y90_constants(constants or "ddep")
    given = administration_from_assays(
        nuclide,
        at=assays.at,
        vial=Assay(assays.assay_mbq, assays.assayed_at),
        residual=Assay(assays.residual_mbq, assays.residual_at or assays.at),
        lung_shunt_fraction=lung_shunt_fraction,
    )
    remarks = []
    if lung_shunt_fraction is None:
        sentence = "No lung shunt fraction was given: 0 is taken."
        remarks.append(Remark("lung-shunt-missing", {"lung_shunt_fraction": 0.0}, sentence))
    if assays.residual_mbq == 0:
        remarks.append(RESIDUAL_MISSING)
    elif assays.residual_at is None:
        remarks.append(Remark("residual-at-infusion", {}, "The residual is as of the infusion."))
    return DeliveredAnswer(given, assays, tuple(remarks), unit_doubts(given.net_mbq))
