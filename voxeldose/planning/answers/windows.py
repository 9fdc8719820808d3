"""Days and hours at which a vial fits, with formula, constants and sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voxeldose.errors import QuantityError
from voxeldose.io.results.content import remark_rows
from voxeldose.model.remarks import Remark
from voxeldose.model.wording import dose, number
from voxeldose.planning.answers.facts import basis_lines, constants_facts, formula_lines, note_lines
from voxeldose.planning.answers.vials import product_of
from voxeldose.planning.compartments import plan_mird
from voxeldose.planning.from_assessment import perfused_mass_g
from voxeldose.planning.plan import Lungs
from voxeldose.planning.vials import MOST_ABOVE, RESIDUAL_MISSING
from voxeldose.planning.window import WEEKDAYS, Target, calibrations_on, hours_of, plan_window
from voxeldose.report.text import table_lines

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from voxeldose.model.radionuclide import Radionuclide
    from voxeldose.planning.answers.settings import PlanSetting
    from voxeldose.planning.window import WindowRow

__all__ = ["WindowAnswer", "WindowQuestion", "answer_window"]

FORMULA = (
    "A(t) = A_cal 2^(-(t - t_cal)/T½); D = K A (1 - R) (1 - LSF) / m; SA(t) = SA_cal 2^(-(t - t_cal)/T½); N = A / SA"
)


@dataclass(frozen=True)
class WindowQuestion:
    """What a window is asked for.

    Parameters
    ----------
    first : datetime
        First possible infusion, with its zone; hours are in that zone.
    days : int
        How many days from there.
    hours : tuple of int
        First and last hour of a day.
    activity_mbq, dose_gy : float, optional
        Wanted in the patient, or mean of the perfused volume by single compartment: one of the two.
    mass_g, roi : optional
        Mass of the perfused volume, or the case's region.
    calibrations : tuple of datetime
        Of the vials; the product's weekdays without them.
    residual_fraction, most_above : float
        Part that stays behind; most that a vial given whole may hold above what is needed.
    assay_h : float, optional
        Hours before the infusion at which the vial is assayed.
    """

    first: datetime
    days: int = 7
    hours: tuple[int, int] = (8, 16)
    activity_mbq: float | None = None
    dose_gy: float | None = None
    mass_g: float | None = None
    roi: str | None = None
    calibrations: tuple[datetime, ...] = ()
    residual_fraction: float = 0.0
    most_above: float = MOST_ABOVE
    assay_h: float | None = None


@dataclass(frozen=True)
class WindowAnswer:
    """Vials by day and hour, and what they were asked from."""

    rows: tuple[WindowRow, ...]
    target: Target
    radionuclide: Radionuclide
    rule: str
    sources: tuple[str, ...]
    assumptions: tuple[Remark, ...]
    inputs: Mapping[str, object]

    def as_dict(self) -> dict[str, Any]:
        """The content that ``--json`` prints."""
        return {
            "schema": "voxeldose/plan-window/1",
            "activity_mbq": self.target.activity_mbq,
            "rows": [
                {
                    "at": r.at.isoformat(),
                    "weekday": WEEKDAYS[r.at.weekday()],
                    "vial_gbq": r.vial.vial_gbq,
                    "calibration_at": r.vial.calibration_at.isoformat(),
                    "at_infusion_mbq": r.vial.at_infusion_mbq,
                    "net_mbq": r.vial.net_mbq,
                    "excess_fraction": r.vial.excess_fraction,
                    "perfused_gy": r.perfused_gy,
                    "bq_per_sphere": r.vial.bq_per_sphere,
                    "spheres_in_vial": r.vial.spheres,
                    "spheres_per_ml": r.spheres_per_ml,
                    "assay_mbq": r.assay_mbq,
                }
                for r in self.rows
            ],
            "offer_rule": self.rule,
            "inputs": dict(self.inputs),
            "formula": FORMULA,
            "constants": constants_facts(self.radionuclide),
            "sources": [*self.sources, self.radionuclide.source],
            "assumptions": remark_rows(self.assumptions),
            "warnings": [],
        }

    def lines(self) -> list[str]:
        """A row for every vial of every hour."""
        shown = [
            {
                "infusion": f"{r.at:%a %d %b %H:%M}",
                "vial": f"{r.vial.vial_gbq:.4g} GBq ({r.vial.vial_mci:.0f} mCi) of {r.vial.calibration_at:%a %d %b %H:%M}",
                "net MBq": f"{r.vial.net_mbq:.0f}",
                "above %": f"{100 * r.vial.excess_fraction:+.1f}",
                "perfused Gy": dose(r.perfused_gy),
                "Bq per sphere": number(r.vial.bq_per_sphere),
                "spheres per mL": number(r.spheres_per_ml),
                "at assay MBq": number(r.assay_mbq),
            }
            for r in self.rows
        ]
        wanted = f"Wanted {self.target.activity_mbq:.1f} MBq in the patient. {self.rule}"
        basis = basis_lines(self.sources, self.assumptions)
        return [*table_lines(shown), "", wanted, *formula_lines(FORMULA, self.radionuclide), *basis]

    def notes(self) -> list[str]:
        """None."""
        return note_lines(())


def answer_window(question: WindowQuestion, setting: PlanSetting, product_file: Path | None = None) -> WindowAnswer:
    """Every vial that fits, by day and hour.

    Parameters
    ----------
    question : WindowQuestion
        What is wanted, and when.
    setting : PlanSetting
        Constants, device, lungs; its assessment gives mass and volume of the perfused region.
    product_file : Path, optional
        A site's own table of products.

    Raises
    ------
    QuantityError
        If the device or its calibrations are not known, no mass is there for a dose, or no vial fits.
    """
    if setting.microspheres is None:
        msg = "The device is needed (--device glass or resin, or the case's), which decides vials and spheres."
        raise QuantityError(msg, code="device-unknown")
    target, remarks = _target(question, setting)
    product = product_of(setting.microspheres, product_file)
    instants = hours_of(question.first, question.days, question.hours)
    calibrations = question.calibrations or _calendar(setting.microspheres, product_file, instants)
    if product is None or not product.vials_gbq:
        msg = f"The sizes of {setting.microspheres} vials are not known; give them in a product file (--product)."
        raise QuantityError(msg, code="vial-sizes-unknown")
    rows = plan_window(target, instants, calibrations, product, setting.radionuclide)
    if question.residual_fraction == 0:
        remarks.append(RESIDUAL_MISSING)
    if target.lungs.shunt_fraction is None:
        remarks += target.lungs.remarks()
    if product.shelf_life_h is None:
        sentence = "No shelf life is known: vials of every age are shown."
        remarks.append(Remark("shelf-life-missing", {}, sentence))
    rule = (
        "A part of a vial is drawn, so every vial that holds enough is shown."
        if product.is_divisible
        else f"A vial is given whole: those are shown that hold what is needed and at most {100 * question.most_above:g} % more."
    )
    sources = (f"Vial sizes: {product.vials_source}", f"Activity per sphere: {product.bq_per_sphere_source}")
    inputs = {
        "from": question.first.isoformat(),
        "days": question.days,
        "hours": list(question.hours),
        "dose_gy": question.dose_gy,
        "perfused_g": target.perfused_g,
        "perfused_ml": target.perfused_ml,
        "calibrated_at": [c.isoformat() for c in calibrations],
        "residual_fraction": question.residual_fraction,
        "lung_shunt_fraction": target.lungs.shunt_fraction,
        "device": setting.microspheres,
        "assay_h": question.assay_h,
    }
    return WindowAnswer(rows, target, setting.radionuclide, rule, sources, tuple(remarks), inputs)


def _target(question: WindowQuestion, setting: PlanSetting) -> tuple[Target, list[Remark]]:
    """The activity wanted and the perfused volume it is for, and what was taken from the case."""
    lungs, remarks, mass_g, ml = Lungs(setting.shunt_fraction), list[Remark](), question.mass_g, None
    if setting.assessment is not None and mass_g is None:
        mass_g, name = perfused_mass_g(setting.assessment, question.roi)
        ml = setting.assessment.rois[name].volume_ml
        sentence = f"The perfused volume is {name}, {mass_g:.1f} g by the case."
        remarks.append(Remark("perfused-volume-from-case", {"roi": name, "mass_g": mass_g}, sentence))
    vial: dict[str, Any] = {key: getattr(question, key) for key in ("residual_fraction", "most_above", "assay_h")}
    if question.dose_gy is None:
        return Target(question.activity_mbq or 0.0, mass_g, ml, lungs, **vial), remarks
    if mass_g is None:
        msg = "A dose needs the mass of the perfused volume (--mass-g), or a case with a perfused region."
        raise QuantityError(msg, code="mass-missing")
    plan = plan_mird(mass_g, setting.radionuclide, dose_gy=question.dose_gy, lungs=lungs)
    return Target(plan.activity_mbq, mass_g, ml, lungs, **vial), remarks


def _calendar(device: str, file: Path | None, instants: tuple[datetime, ...]) -> tuple[datetime, ...]:
    """The calibrations on the product's weekdays."""
    from voxeldose.io.config.plan import read_product

    table = read_product(device, file)
    if not table.calibration_weekdays:
        msg = (
            f"On which days {device} vials are calibrated is not known: give the calibrations (--calibrated-at, repeatable), or "
            "calibration_weekdays in a product file (--product)."
        )
        raise QuantityError(msg, code="calibrations-missing", device=device)
    return calibrations_on(table.calibration_weekdays, table.calibration_hour, instants)
