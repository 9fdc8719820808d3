"""``voxeldose plan partition``: tumors, normal liver and lungs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from voxeldose.cli.idle import Idle, refuse_idle
from voxeldose.cli.options import PATH, as_record, require_one_of
from voxeldose.cli.plan_flags import PlanFlags, plan_options
from voxeldose.cli.plan_sheet import SheetFlags, sheet_options

if TYPE_CHECKING:
    from pathlib import Path

    from voxeldose.planning.answers.settings import Compartments, PlanSetting

__all__ = ["partition"]


@dataclass(frozen=True)
class Parts:
    """Masses and T/N, or the case or file that gives them."""

    case: Path | None
    territories: Path | None
    tumor_g: tuple[float, ...]
    tn: tuple[float, ...]
    normal_g: float | None
    unperfused_g: float | None

    def compartments(self, setting: PlanSetting) -> Compartments:
        """The territories of the case, of the file, or of the masses."""
        from voxeldose.planning.answers import settings

        if self.case is not None:
            return settings.compartments_of_image(setting, self.unperfused_g, self.tn)
        if self.territories is not None:
            return settings.compartments_of_file(self.territories, setting, self.unperfused_g)
        if len(self.tn) not in (len(self.tumor_g), 1) or (self.tn and not self.tumor_g):
            msg = f"{len(self.tumor_g)} tumors (--tumor-g) need as many ratios (--tn), or one for all; found {len(self.tn)}."
            raise click.UsageError(msg)
        return settings.compartments_of_masses(
            self.tumor_g, self.tn, self.normal_g or 0.0, setting, unperfused_g=self.unperfused_g or 0.0
        )


@click.command(short_help="Partition model: tumors, normal liver, lungs; inverse.")
@click.argument("case", required=False, type=PATH)
@click.option("--tumor-g", type=float, multiple=True, help="Mass of a tumor; may be repeated.")
@click.option("--tn", type=float, multiple=True, help="T/N of each tumor in that order, or of the case's; one for all.")
@click.option("--normal-g", type=float, help="Normal liver that is perfused.")
@click.option("--unperfused-g", type=float, help="Normal liver that is not, for the mean of all of it.")
@click.option("--territories", type=PATH, help="TOML file with several territories and tumors, instead of the masses.")
@click.option("--activity-mbq", type=float, help="The activity whose doses are asked for.")
@click.option("--tumor-gy", type=float, help="Or the goal: mean dose that every tumor is to reach.")
@click.option("--normal-limit-gy", type=float, help="Limit for the mean of all normal liver.")
@click.option("--lung-limit-gy", type=float, help="Limit for the mean of the lungs.")
@plan_options
@sheet_options
@as_record(Parts, "parts")
@refuse_idle(
    Idle("tn", beside="territories", why="the file gives the T/N of each tumor"),
    Idle("lung_g", without="lung_shunt case territories", why="the lungs' dose needs a lung shunt fraction"),
)
def partition(
    parts: Parts,
    flags: PlanFlags,
    sheet: SheetFlags,
    *,
    activity_mbq: float | None,
    as_json: bool,
    **wanted: float | None,
) -> None:
    """Partition model: tumors, normal liver and lungs, forward and inverse."""
    by_masses = parts.normal_g is not None or bool(parts.tumor_g)
    require_one_of(
        ("CASE", parts.case), ("--territories", parts.territories), ("--normal-g or --tumor-g", by_masses or None)
    )
    from voxeldose.planning.answers.plans import answer_partition
    from voxeldose.planning.answers.settings import PartitionGoals

    setting = flags.setting(parts.case, quiet=as_json)
    compartments = parts.compartments(setting)
    goals = PartitionGoals(**wanted)
    is_inverse = goals != PartitionGoals()
    if is_inverse and activity_mbq is not None:
        msg = "give --activity-mbq, or a goal and limits."
        raise click.UsageError(msg)
    activities = (activity_mbq,) if activity_mbq is not None else compartments.activities_mbq
    if not is_inverse and sum(a is not None for a in activities) < len(compartments.territories):
        msg = "give an activity for every territory (--activity-mbq, or activity_mbq in the file), or --tumor-gy."
        raise click.UsageError(msg)
    answer = answer_partition(compartments, setting, goals=goals if is_inverse else None, activity_mbq=activity_mbq)
    sheet.show(answer, "partition", setting, as_json=as_json, parts=compartments)
