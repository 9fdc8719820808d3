"""``voxeldose plan``: activity for a wanted dose, and back to the vial."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from voxeldose.cli.options import PATH, json_option, require_one_of
from voxeldose.cli.plan_flags import PlanFlags, plan_options
from voxeldose.cli.terminal import print_answer
from voxeldose.cli.vial import delivered, vial

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
def mird(
    case: Path | None,
    mass_g: float | None,
    roi: str | None,
    dose_gy: float | None,
    activity_mbq: float | None,
    as_json: bool,
    flags: PlanFlags,
) -> None:
    """Single compartment: A = D m / (K (1 - LSF))."""
    require_one_of(("--dose-gy", dose_gy), ("--activity-mbq", activity_mbq))
    require_one_of(("CASE", case), ("--mass-g", mass_g))
    from voxeldose.planning.answers.plans import answer_mird

    answer = answer_mird(
        flags.setting(case, quiet=as_json, recovers=False),
        mass_g=mass_g,
        roi=roi,
        dose_gy=dose_gy,
        activity_mbq=activity_mbq,
    )
    print_answer(answer, as_json=as_json)


@plan.command(short_help="Partition model: tumors, normal liver, lungs; inverse.")
@click.argument("case", required=False, type=PATH)
@click.option("--tumor-g", type=float, multiple=True, help="Mass of a tumor; may be repeated.")
@click.option("--tn", type=float, multiple=True, help="T/N of each tumor in that order; one for all.")
@click.option("--normal-g", type=float, help="Normal liver that is perfused.")
@click.option("--unperfused-g", type=float, help="Normal liver that is not, for the mean of all of it.")
@click.option("--territories", type=PATH, help="TOML file with several territories and tumors, instead of the masses.")
@click.option("--activity-mbq", type=float, help="The activity whose doses are asked for.")
@click.option("--tumor-gy", type=float, help="Or the goal: mean dose that every tumor is to reach.")
@click.option("--normal-limit-gy", type=float, help="Limit for the mean of all normal liver.")
@click.option("--lung-limit-gy", type=float, help="Limit for the mean of the lungs.")
@plan_options
def partition(
    case: Path | None,
    tumor_g: tuple[float, ...],
    tn: tuple[float, ...],
    normal_g: float | None,
    unperfused_g: float | None,
    territories: Path | None,
    activity_mbq: float | None,
    tumor_gy: float | None,
    normal_limit_gy: float | None,
    lung_limit_gy: float | None,
    as_json: bool,
    flags: PlanFlags,
) -> None:
    """Partition model: tumors, normal liver and lungs, forward and inverse."""
    by_masses = normal_g is not None or bool(tumor_g)
    require_one_of(("CASE", case), ("--territories", territories), ("--normal-g or --tumor-g", by_masses or None))
    from voxeldose.planning.answers import settings
    from voxeldose.planning.answers.plans import answer_partition

    setting = flags.setting(case, quiet=as_json)
    if case is not None:
        compartments = settings.compartments_of_image(setting, unperfused_g)
    elif territories is not None:
        compartments = settings.compartments_of_file(territories, setting, unperfused_g)
    else:
        if len(tn) not in (len(tumor_g), 1) or (tn and not tumor_g):
            msg = f"{len(tumor_g)} tumors (--tumor-g) need as many ratios (--tn), or one for all; found {len(tn)}."
            raise click.UsageError(msg)
        compartments = settings.compartments_of_masses(
            tumor_g, tn, normal_g or 0.0, setting, unperfused_g=unperfused_g or 0.0
        )
    goals = settings.PartitionGoals(tumor_gy, normal_limit_gy, lung_limit_gy)
    is_inverse = goals != settings.PartitionGoals()
    if is_inverse and activity_mbq is not None:
        msg = "give --activity-mbq, or a goal and limits."
        raise click.UsageError(msg)
    activities = (activity_mbq,) if activity_mbq is not None else compartments.activities_mbq
    if not is_inverse and sum(a is not None for a in activities) < len(compartments.territories):
        msg = "give an activity for every territory (--activity-mbq, or activity_mbq in the file), or --tumor-gy."
        raise click.UsageError(msg)
    answer = answer_partition(compartments, setting, goals=goals if is_inverse else None, activity_mbq=activity_mbq)
    print_answer(answer, as_json=as_json)


@plan.command(short_help="Scale the dose map of a pre-treatment SPECT to a goal.")
@click.argument("case", type=PATH)
@click.option(
    "--goal", "goals", multiple=True, metavar="ROI.METRIC=VALUE", help="Such as lesion_1.mean=400; may be repeated."
)
@click.option("--limit", "limits", multiple=True, metavar="ROI.METRIC=VALUE", help="Such as normal_liver.mean=75.")
@plan_options
def voxel(case: Path, goals: tuple[str, ...], limits: tuple[str, ...], as_json: bool, flags: PlanFlags) -> None:
    """Voxel by voxel: scale the dose map that a pre-treatment image predicts.

    METRIC is mean, min, max, D95 (dose that 95 % receive at least) or V400 (fraction 0-1 that gets 400 Gy or more). ROI is a
    region's name, or a role such as tumor, which means every region of it.
    """
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
    print_answer(answer_voxels(flags.setting(case, quiet=as_json), goals, limits), as_json=as_json)


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


plan.add_command(vial)
plan.add_command(delivered)
