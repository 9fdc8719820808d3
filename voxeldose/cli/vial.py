"""``voxeldose plan vial`` and ``voxeldose plan delivered``: between the vial and the patient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from voxeldose.cli.options import CONSTANTS, DEVICE, PATH, Instant, json_option
from voxeldose.cli.plan_output import PlanFlags, print_basis
from voxeldose.cli.terminal import format_number, print_json, print_rows

if TYPE_CHECKING:
    from pathlib import Path

    from voxeldose.planning.answers.vials import DeliveredAnswer, VialAnswer

__all__ = ["delivered", "vial"]


@click.command(short_help="The vial for an activity at the hour of infusion.")
@click.argument("case", required=False, type=PATH)
@click.option(
    "--activity-mbq", type=float, required=True, help="Wanted in the patient at the infusion, lungs included."
)
@click.option("--at", type=Instant(), help="The infusion, with its zone; the case's without it.")
@click.option(
    "--calibrated-at", "calibrations", type=Instant(), multiple=True, help="Calibration of the vial; repeat to choose."
)
@click.option(
    "--residual-fraction", type=float, default=0.0, show_default=True, help="Part that stays in vial and tubing."
)
@click.option("--vial-gbq", "sizes", type=float, multiple=True, help="Sizes at calibration, instead of the product's.")
@click.option(
    "--sphere-bq-at-calibration",
    "sphere_bq",
    type=float,
    help="Activity per sphere, instead of the product's nominal one.",
)
@click.option("--shelf-life-h", type=float, help="From calibration to the last use.")
@click.option("--expires-at", type=Instant(), help="Or the instant after which the vial must not be used.")
@click.option("--tumor-ml", type=float, help="Volume of the tumors, for spheres per mL; the case's without it.")
@click.option("--product", "file", type=PATH, help="TOML file with your supplier's vials and spheres.")
@click.option("--device", type=DEVICE, help="Decides vials and spheres; the case's without it.")
@click.option("--lung-shunt", type=float, help="Checked alone: the activity wanted counts the lungs' part.")
@click.option("--constants", type=CONSTANTS, help="Set of Y-90 constants (default ddep, or the case's).")
@json_option
def vial(
    case: Path | None,
    sizes: tuple[float, ...],
    sphere_bq: float | None,
    shelf_life_h: float | None,
    file: Path | None,
    device: str | None,
    lung_shunt: float | None,
    constants: str | None,
    as_json: bool,
    **wanted: Any,
) -> None:
    """The vial for an activity at the hour of infusion, and how many spheres that is."""
    from voxeldose.planning.answers.vials import OwnVials, VialQuestion, answer_vial, product_of
    from voxeldose.planning.plan import Lungs

    question = VialQuestion(**wanted)
    Lungs(lung_shunt)  # refused before a case is read
    setting = PlanFlags(lung_shunt, constants=constants, device=device).setting(case, quiet=as_json)
    known = setting.assessment is not None and setting.assessment.case.administration.at is not None
    if question.at is None and not known:
        msg = "--at is needed, the infusion with its zone" + (": the case does not say it." if case else ".")
        raise click.UsageError(msg)
    if file is not None and setting.microspheres is None:
        msg = "--product needs --device, which of its tables to take."
        raise click.UsageError(msg)
    product = product_of(setting.microspheres, file, OwnVials(sizes, sphere_bq, shelf_life_h))
    answer = answer_vial(question, setting, product)
    if as_json:
        print_json(answer.as_dict())
    else:
        _print_vial(answer)


def _print_vial(answer: VialAnswer) -> None:
    plan, chosen = answer.plan, answer.plan.chosen
    print_rows(
        [
            {
                "vial": ("> " if o is chosen else "  ") + f"{o.vial_gbq:.4g} GBq ({o.vial_mci:.0f} mCi)",
                "calibrated": o.calibration_at.isoformat(),
                "at infusion MBq": f"{o.at_infusion_mbq:.1f}",
                "net MBq": f"{o.net_mbq:.1f}",
                "above wanted %": f"{100 * o.excess_fraction:+.1f}",
                "Bq per sphere": format_number(o.bq_per_sphere, ".1f"),
                "10^6 spheres": format_number(o.spheres and o.spheres / 1e6, ".3f"),
            }
            for o in plan.options
        ]
    )
    click.echo(
        f"\nWanted {plan.activity_mbq:g} MBq in the patient at {plan.at.isoformat()}: {plan.needed_mbq:.1f} MBq in the vial."
    )
    if plan.spheres is not None:
        per_ml = f", {plan.spheres_per_ml:.0f} per mL of tumor" if plan.spheres_per_ml else ""
        click.echo(f"{plan.spheres:.4g} spheres carry it at {chosen.bq_per_sphere:.1f} Bq each{per_ml}.")
    print_basis(plan.formula, plan.radionuclide, plan.sources, plan.assumptions, plan.warnings)


@click.command(short_help="Activity that entered the patient, from assays.")
@click.option("--assay-mbq", type=float, required=True, help="Activity of the vial by its assay.")
@click.option("--assayed-at", type=Instant(), required=True, help="The assay, with its zone.")
@click.option("--at", type=Instant(), required=True, help="The infusion, with its zone.")
@click.option("--residual-mbq", type=float, default=0.0, help="Left in vial and tubing, by its own assay.")
@click.option("--residual-at", type=Instant(), help="That assay; the infusion without it.")
@click.option("--lung-shunt", type=float, help="Lung shunt fraction, 0 to 1.")
@click.option("--constants", type=CONSTANTS, help="Set of Y-90 constants (default ddep).")
@json_option
def delivered(lung_shunt: float | None, constants: str | None, as_json: bool, **assays: Any) -> None:
    """Activity that entered the patient, at the infusion, from the assays of vial and residual."""
    from voxeldose.planning.answers.vials import Assays, answer_delivered

    answer = answer_delivered(Assays(**assays), lung_shunt_fraction=lung_shunt, constants=constants)
    if as_json:
        print_json(answer.as_dict())
    else:
        _print_delivered(answer)


def _print_delivered(answer: DeliveredAnswer) -> None:
    given = answer.administration
    rows = (
        ("vial", answer.vial_mbq),
        ("residual", given.residual_mbq),
        ("in the patient", given.net_mbq),
        ("in the liver", given.liver_mbq),
    )
    print_rows([{"at the infusion": name, "MBq": f"{mbq:.1f}"} for name, mbq in rows])
    click.echo(f"residual {100 * answer.residual_fraction:.2f} % of the vial")
    print_basis(answer.formula, given.radionuclide, answer.sources[:-1], answer.assumptions, answer.warnings)
