"""``voxeldose plan vial`` and ``voxeldose plan delivered``: between the vial and the patient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from voxeldose.cli.idle import Idle, refuse_idle
from voxeldose.cli.options import CONSTANTS, DEVICE, PATH, Instant, json_option
from voxeldose.cli.plan_flags import PlanFlags
from voxeldose.cli.terminal import print_answer

if TYPE_CHECKING:
    from pathlib import Path


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
@click.option(
    "--most-above-percent",
    type=click.FloatRange(0, 1000),
    help="Most that a vial which is given whole may hold above what is needed (default: up to the next size).",
)
@click.option("--tumor-ml", type=float, help="Volume of the tumors, for spheres per mL; the case's without it.")
@click.option("--product", "file", type=PATH, help="TOML file with your supplier's vials and spheres.")
@click.option("--device", type=DEVICE, help="Decides vials and spheres; the case's without it.")
@click.option(
    "--lung-shunt", type=float, help="Lung shunt fraction, 0 to 1: the lungs' dose, which the activity wanted counts."
)
@click.option("--constants", type=CONSTANTS, help="Set of Y-90 constants (default ddep, or the case's).")
@json_option
@refuse_idle(
    Idle("tumor_ml", without="device sphere_bq case", why="spheres per mL need the activity per sphere"),
)
def vial(
    case: Path | None,
    sizes: tuple[float, ...],
    sphere_bq: float | None,
    shelf_life_h: float | None,
    file: Path | None,
    device: str | None,
    lung_shunt: float | None,
    constants: str | None,
    most_above_percent: float | None,
    as_json: bool,
    **wanted: Any,
) -> None:
    """The vial for an activity at the hour of infusion, and how many spheres that is."""
    from voxeldose.planning.answers.vials import OwnVials, VialQuestion, answer_vial, product_of
    from voxeldose.planning.plan import Lungs

    question = VialQuestion(**wanted, most_above=None if most_above_percent is None else most_above_percent / 100)
    Lungs(lung_shunt)  # refused before a case is read
    setting = PlanFlags(lung_shunt, constants=constants, device=device).setting(case, quiet=as_json, recovers=False)
    known = setting.assessment is not None and setting.assessment.case.administration.at is not None
    if question.at is None and not known:
        msg = "--at is needed, the infusion with its zone" + (": the case does not say it." if case else ".")
        raise click.UsageError(msg)
    if file is not None and setting.microspheres is None:
        msg = "--product needs --device, which of its tables to take."
        raise click.UsageError(msg)
    product = product_of(setting.microspheres, file, OwnVials(sizes, sphere_bq, shelf_life_h))
    answer = answer_vial(question, setting, product)
    print_answer(answer, as_json=as_json)


@click.command(short_help="Activity that entered the patient, from assays.")
@click.option("--assay-mbq", type=float, required=True, help="Activity of the vial by its assay.")
@click.option("--assayed-at", type=Instant(), required=True, help="The assay, with its zone.")
@click.option("--at", type=Instant(), required=True, help="The infusion, with its zone.")
@click.option("--residual-mbq", type=float, default=0.0, help="Left in vial and tubing, by its own assay.")
@click.option("--residual-at", type=Instant(), help="That assay; the infusion without it.")
@click.option("--lung-shunt", type=float, help="Lung shunt fraction, 0 to 1.")
@click.option("--constants", type=CONSTANTS, help="Set of Y-90 constants (default ddep).")
@json_option
@refuse_idle(Idle("residual_at", without="residual_mbq", why="there is no residual"))
def delivered(lung_shunt: float | None, constants: str | None, as_json: bool, **assays: Any) -> None:
    """Activity that entered the patient, at the infusion, from the assays of vial and residual."""
    from voxeldose.planning.answers.vials import Assays, answer_delivered

    answer = answer_delivered(Assays(**assays), lung_shunt_fraction=lung_shunt, constants=constants)
    print_answer(answer, as_json=as_json)
