"""``voxeldose plan window``: days and hours at which a vial fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from voxeldose.cli.idle import Idle, refuse_idle
from voxeldose.cli.options import CONSTANTS, DEVICE, PATH, Instant, json_option, require_one_of
from voxeldose.cli.plan_flags import PlanFlags
from voxeldose.cli.terminal import print_answer

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["window"]


@click.command(short_help="Days and hours at which a vial fits, with dose and spheres.")
@click.argument("case", required=False, type=PATH)
@click.option("--activity-mbq", type=float, help="Wanted in the patient at the infusion, lungs included.")
@click.option("--dose-gy", type=float, help="Or the wanted mean dose of the perfused volume.")
@click.option("--mass-g", type=float, help="Perfused volume; from the case's region of role perfused without it.")
@click.option("--roi", help="The case's perfused region, if none has that role.")
@click.option("--from", "first", type=Instant(), required=True, help="First possible infusion, with its zone.")
@click.option("--days", type=click.IntRange(1, 31), default=7, show_default=True, help="How many days from there.")
@click.option("--hours", type=click.IntRange(0, 23), nargs=2, default=(8, 16), show_default=True, help="Of a day.")
@click.option(
    "--calibrated-at", "calibrations", type=Instant(), multiple=True, help="Of a vial; or the product's days."
)
@click.option("--residual-fraction", type=float, default=0.0, help="Part that stays in vial and tubing.")
@click.option("--most-above-percent", type=click.FloatRange(0, 1000), default=25.0, show_default=True)
@click.option("--assay-h", type=float, help="Hours before the infusion at which the vial is assayed.")
@click.option("--product", type=PATH, help="TOML file with your supplier's sizes, shelf life and calibration days.")
@click.option("--device", type=DEVICE, help="Decides vials and spheres; the case's without it.")
@click.option("--lung-shunt", type=float, help="Lung shunt fraction, 0 to 1.")
@click.option("--constants", type=CONSTANTS, help="Set of Y-90 constants (default ddep, or the case's).")
@json_option
@refuse_idle(
    Idle("roi", without="case", why="it names a region of the case"),
    Idle("roi", beside="mass_g", why="the mass is given"),
)
def window(case: Path | None, *, most_above_percent: float, product: Path | None, as_json: bool, **asked: Any) -> None:
    """Weekday, hour and vial for an activity or dose: what the perfused volume gets, Bq per sphere, spheres per mL."""
    require_one_of(("--activity-mbq", asked["activity_mbq"]), ("--dose-gy", asked["dose_gy"]))
    from voxeldose.planning.answers.windows import WindowQuestion, answer_window

    flags = PlanFlags(**{key: asked.pop(key) for key in ("lung_shunt", "constants", "device")})
    setting = flags.setting(case, quiet=as_json, recovers=False)
    question = WindowQuestion(**asked, most_above=most_above_percent / 100)
    print_answer(answer_window(question, setting, product), as_json=as_json)
