"""``voxeldose plan``: activity for a wanted dose, and back to the vial."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from voxeldose.cli.idle import Idle, refuse_idle
from voxeldose.cli.options import PATH, json_option, require_one_of
from voxeldose.cli.partition import partition
from voxeldose.cli.plan_flags import PlanFlags, plan_options
from voxeldose.cli.plan_sheet import SheetFlags, sheet_options
from voxeldose.cli.terminal import print_answer
from voxeldose.cli.vial import delivered, vial
from voxeldose.cli.window import window

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["plan"]


@click.group(short_help="Activity for a wanted dose, its doses, and the vial.")
def plan() -> None:
    """Activity for a wanted dose, the dose of an activity, and the vial for it.

    Masses in g, doses in Gy, activities in MBq in the patient at the infusion: net of residual, lung shunt included.
    """


@plan.command()
@click.argument("case", required=False, type=PATH)
@click.option("--mass-g", type=float, help="Perfused volume; from the case's region of role perfused without it.")
@click.option("--roi", help="The case's perfused region, if none has that role.")
@click.option("--dose-gy", type=float, help="Wanted mean dose of the perfused volume.")
@click.option("--activity-mbq", type=float, help="Or the activity whose dose is asked for.")
@plan_options
@sheet_options
@refuse_idle(
    Idle("roi", without="case", why="it names a region of the case"),
    Idle("lung_g", without="lung_shunt case", why="the lungs' dose needs a lung shunt fraction"),
)
def mird(case: Path | None, flags: PlanFlags, sheet: SheetFlags, *, as_json: bool, **asked: Any) -> None:
    """Single compartment: A = D m / (K (1 - LSF))."""
    require_one_of(("--dose-gy", asked["dose_gy"]), ("--activity-mbq", asked["activity_mbq"]))
    require_one_of(("CASE", case), ("--mass-g", asked["mass_g"]))
    from voxeldose.planning.answers.plans import answer_mird

    setting = flags.setting(case, quiet=as_json, recovers=sheet.out is not None)
    sheet.show(answer_mird(setting, **asked), "single compartment", setting, as_json=as_json)


@plan.command(short_help="Scale the dose map of a pre-treatment SPECT to a goal.")
@click.argument("case", type=PATH)
@click.option(
    "--goal", "goals", multiple=True, metavar="ROI.METRIC=VALUE", help="Such as lesion_1.mean=400; may be repeated."
)
@click.option("--limit", "limits", multiple=True, metavar="ROI.METRIC=VALUE", help="Such as normal_liver.mean=75.")
@plan_options
@sheet_options
def voxel(case: Path, flags: PlanFlags, sheet: SheetFlags, *, as_json: bool, **wishes: tuple[str, ...]) -> None:
    """Voxel by voxel: scale the dose map that a pre-treatment image predicts.

    METRIC is mean, min, max, D95 (dose that 95 % receive at least) or V400 (fraction 0-1 that gets 400 Gy or more). ROI is a
    region's name, or a role such as tumor, which means every region of it.
    """
    goals, limits = wishes["goals"], wishes["limits"]
    if not goals and not limits:
        msg = "give a --goal or a --limit."
        raise click.UsageError(msg)
    from voxeldose.errors import QuantityError
    from voxeldose.planning.answers.plans import answer_voxels
    from voxeldose.planning.voxels import Wish

    for text in (*goals, *limits):
        try:
            Wish.parse(text)
        except QuantityError as error:
            raise click.UsageError(str(error)) from error
    setting = flags.setting(case, quiet=as_json)
    sheet.show(answer_voxels(setting, goals, limits), "voxel", setting, as_json=as_json)


@plan.command(short_help="Resin by body surface area: an activity, no dose.")
@click.argument("case", required=False, type=PATH)
@click.option("--height-m", type=float, required=True)
@click.option("--weight-kg", type=float, required=True)
@click.option(
    "--tumor-part", type=float, help="Tumor over whole liver volume, 0 to 1; from the case's regions without it."
)
@json_option
def bsa(case: Path | None, height_m: float, weight_kg: float, tumor_part: float | None, as_json: bool) -> None:
    """Resin microspheres by body surface area: an activity without a dose, for comparison."""
    require_one_of(("CASE", case), ("--tumor-part", tumor_part))
    from voxeldose.planning.answers.plans import answer_body_surface

    result = PlanFlags().setting(case, quiet=as_json, recovers=False).assessment
    answer = answer_body_surface(height_m, weight_kg, tumor_part=tumor_part, assessment=result)
    print_answer(answer, as_json=as_json)


plan.add_command(partition)
plan.add_command(vial)
plan.add_command(delivered)
plan.add_command(window)
