"""Where a plan is written: the options that the forms of ``plan`` with a folder share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from voxeldose.cli.idle import Idle, refuse_idle
from voxeldose.cli.options import PATH, Instant, as_record
from voxeldose.cli.terminal import print_answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from voxeldose.planning.answers.plans import PlanAnswer
    from voxeldose.planning.answers.settings import Compartments, PlanSetting

__all__ = ["SheetFlags", "sheet_options"]


@dataclass(frozen=True)
class SheetFlags:
    """Where a plan is written, and what its vial goes by."""

    out: Path | None = None
    overwrite: bool = False
    at: datetime | None = None
    calibrations: tuple[datetime, ...] = ()
    product: Path | None = None

    def show(
        self, answer: PlanAnswer, method: str, setting: PlanSetting, *, as_json: bool, parts: Compartments | None = None
    ) -> None:
        """Print the plan, and write its folder where one is wanted."""
        if self.out is not None:
            from voxeldose.planning.answers.sheets import VialWishes, plan_sheet, write_plan

            wishes = VialWishes(self.at, self.calibrations, self.product)
            sheet = plan_sheet(answer, method, setting, compartments=parts, wishes=wishes)
            write_plan(sheet, self.out, overwrite=self.overwrite)
        print_answer(answer, as_json=as_json)
        if self.out is not None:
            click.echo(f"Plan: {self.out} (open {self.out / 'plan.html'})", err=True)


def sheet_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of :class:`SheetFlags`, which reach the command as its parameter ``sheet``; they need ``--out``."""
    command = refuse_idle(
        Idle("overwrite at calibrations product", without="out", why="they are for the plan's folder")
    )(as_record(SheetFlags, "sheet")(command))
    for option in (
        click.option("--product", type=PATH, help="TOML file with your supplier's vials, for the folder."),
        click.option("--calibrated-at", "calibrations", type=Instant(), multiple=True, help="Calibration of the vial."),
        click.option("--at", type=Instant(), help="The infusion, for the vial; the case's without it."),
        click.option("--overwrite", is_flag=True, help="Replace an earlier plan's folder."),
        click.option("--out", type=PATH, help="Folder for plan.html, plan.pdf and plan.json, other methods beside it."),
    ):
        command = option(command)
    return command
