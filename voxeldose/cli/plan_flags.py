"""The options that every form of ``plan`` shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from voxeldose.cli.case_input import predict_with_flags
from voxeldose.cli.options import CONSTANTS, DEVICE, PATH, as_record, json_option

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from voxeldose.planning.answers.settings import PlanSetting

__all__ = ["PlanFlags", "plan_options"]


@dataclass(frozen=True)
class PlanFlags:
    """The options of every form of ``plan``."""

    lung_shunt: float | None = None
    lung_g: float | None = None
    constants: str | None = None
    device: str | None = None
    bilirubin_mg_per_dl: float | None = None
    thresholds: Path | None = None

    def setting(self, case: Path | None, *, quiet: bool, recovers: bool = True) -> PlanSetting:
        """The constants, lungs and limits of a plan; with a case what its image predicts, these flags in place of its keys.

        Without ``recovers`` only masses and volumes are wanted, which the image's blur does not change.
        """
        from voxeldose.planning.answers.settings import PlanSetting, site_limits

        flags = {name: value for name, value in vars(self).items() if name != "lung_g"}
        return PlanSetting(
            assessment=predict_with_flags(case, flags, quiet=quiet, recovers=recovers) if case is not None else None,
            constants=self.constants,
            lung_shunt_fraction=self.lung_shunt,
            lung_mass_g=self.lung_g,
            device=self.device,
            bilirubin_mg_per_dl=self.bilirubin_mg_per_dl,
            limits=site_limits(self.thresholds) if case is None and self.thresholds is not None else None,
        )


def plan_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of :class:`PlanFlags`, which reach the command as its parameter ``flags``, and ``--json``."""
    command = as_record(PlanFlags, "flags")(command)
    for option in (
        json_option,
        click.option("--thresholds", type=PATH, help="TOML file with your site's own limits."),
        click.option("--bilirubin-mg-per-dl", type=float, help="Of the patient: decides limits that depend on it."),
        click.option("--device", type=DEVICE, help="Decides limits shown, vials and spheres."),
        click.option("--constants", type=CONSTANTS, help="Set of Y-90 constants (default ddep)."),
        click.option("--lung-g", type=float, help="Mass of the lungs (default 1000 g, the convention)."),
        click.option("--lung-shunt", type=float, help="Lung shunt fraction, 0 to 1."),
    ):
        command = option(command)
    return command
