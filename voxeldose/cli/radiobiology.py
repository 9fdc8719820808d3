"""``voxeldose radiobiology``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from voxeldose.cli.case_input import assess_case, read_case
from voxeldose.cli.idle import Idle, refuse_idle
from voxeldose.cli.options import CONSTANTS, DEVICE, PATH, as_record, json_option
from voxeldose.cli.terminal import print_answer
from voxeldose.model.roles import ROLES

if TYPE_CHECKING:
    from pathlib import Path

    from voxeldose.planning.answers.dosed_regions import Region
    from voxeldose.planning.answers.radiobiology import RadiobiologyQuestion

__all__ = ["radiobiology"]


@dataclass(frozen=True)
class RegionFlags:
    """Which region is asked about: of doses, of a case, or of results."""

    case: Path | None
    results: Path | None
    roi: str | None
    dose_gy: tuple[float, ...]
    volume_ml: tuple[float, ...]
    role: str | None
    constants: str | None

    def read(self, set_name: str | None, *, quiet: bool) -> Region:
        """The region; a case is assessed now."""
        from voxeldose.planning.answers.dosed_regions import region_of_assessment, region_of_doses, region_of_results

        roi = self.roi or ""
        if self.case is not None:
            config = read_case(self.case, {"constants": self.constants})
            result = assess_case(config, quiet=quiet, recovers=False)  # the question is about each voxel
            return region_of_assessment(result, roi)
        if self.results is not None:
            return region_of_results(self.results, roi, set_name=set_name, constants=self.constants)
        return region_of_doses(self.dose_gy, self.volume_ml, role=self.role, constants=self.constants)


def _misuse(region: RegionFlags, asked: RadiobiologyQuestion) -> str | None:
    """Which options do not go together, if any."""
    rules = (
        (
            sum(map(bool, (region.case, region.results, region.dose_gy))) != 1,
            "give --dose-gy (once or more), a CASE with --roi, or --results with --roi: one of them.",
        ),
        (
            (region.roi is None) != (region.dose_gy != ()),
            "--roi names the region of a case or of results; it is needed with them, and not with --dose-gy.",
        ),
        (
            not region.dose_gy and (region.role is not None or region.volume_ml),
            "--role and --volume-ml go with --dose-gy; a case and results know theirs.",
        ),
        (region.results and asked.geud_a is not None, "results do not hold gEUD; give the CASE in place of --results."),
        (
            region.case and region.case.is_dir(),
            f"{region.case} is a folder; CASE is a case file, and a results folder goes with --results.",
        ),
        (
            region.volume_ml and len(region.volume_ml) != len(region.dose_gy),
            f"{len(region.dose_gy)} --dose-gy need as many --volume-ml, each above 0.",
        ),
    )
    return asked.contradiction or next((message for is_wrong, message in rules if is_wrong), None)


@click.command(short_help="BED, EUD, gEUD, control and complication probability.")
@click.argument("case", required=False, type=PATH)
@click.option("--dose-gy", type=float, multiple=True, help="Absorbed dose; several are parts of one region.")
@click.option("--volume-ml", type=float, multiple=True, help="Volume of each dose (default: equal parts).")
@click.option(
    "--role", type=click.Choice(ROLES), help="What region the doses are of; sets for other tissue are refused."
)
@click.option("--device", type=DEVICE, help="Curves found with other spheres are refused.")
@click.option("--results", type=PATH, help="A results folder instead of doses or a case, with --roi.")
@click.option("--roi", help="Which region of the case or of the results.")
@click.option("--set", "set_name", help="Parameter set of the linear-quadratic model; --list shows them.")
@click.option("--geud-a", type=float, help="Also the generalised EUD with this a.")
@click.option(
    "--earlier-gy", type=float, multiple=True, help="Dose of an earlier treatment; its BED is added, not its dose."
)
@click.option("--control", help="Also the control probability by this curve; --list shows them.")
@click.option("--slope", type=float, help="Slope of a control curve that has none.")
@click.option("--clonogens", type=float, help="Also Poisson control with so many cells and the set's α.")
@click.option("--complication", help="Also the complication probability by this curve; --list shows them.")
@click.option("--td50-gy", type=float, help="Or with a mean dose of your own for one half, with --m.")
@click.option("--m", type=float, help="Relative width of a complication curve.")
@click.option("--source", help="Where --slope, --clonogens, --td50-gy and --m come from; needed with them.")
@click.option("--constants", type=CONSTANTS, help="Set of Y-90 constants (default ddep, or the case's).")
@click.option("--list", "as_list", is_flag=True, help="Show every parameter set with its source.")
@json_option
@as_record(RegionFlags, "region")
@refuse_idle(
    Idle(
        "case dose_gy volume_ml role device results roi set_name geud_a earlier_gy control slope clonogens complication td50_gy "
        "m source constants",
        beside="as_list",
        why="every set is listed",
    ),
    Idle("device", without="control complication", why="it is checked against the spheres that a curve was found with"),
    Idle("source", without="slope clonogens td50_gy m", why="it is for numbers of your own"),
    Idle("slope", without="control", why="it is the slope of a control curve"),
)
def radiobiology(region: RegionFlags, as_list: bool, as_json: bool, **asked: Any) -> None:
    """BED, EUD, EUBED, gEUD, control and complication probability, with named parameter sets.

    Of doses alone, of a region of a CASE, or of a region of results. No curve is taken unless it is named.
    """
    from voxeldose.planning.answers.radiobiology import RadiobiologyQuestion, answer_radiobiology, list_parameter_sets

    if as_list:
        print_answer(list_parameter_sets(), as_json=as_json)
        return
    question = RadiobiologyQuestion(**asked)
    if misuse := _misuse(region, question):
        raise click.UsageError(misuse)
    read = region.read(question.set_name, quiet=as_json)
    print_answer(answer_radiobiology(question, read, roi=region.roi), as_json=as_json)
