"""``voxeldose radiobiology``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import click

from voxeldose.cli.case_input import assess_case, read_case
from voxeldose.cli.options import CONSTANTS, DEVICE, PATH, as_record, json_option
from voxeldose.cli.terminal import print_answer
from voxeldose.model.roles import ROLES

if TYPE_CHECKING:
    from pathlib import Path

    from voxeldose.planning.answers.dosed_regions import Region
    from voxeldose.planning.answers.radiobiology import RadiobiologyQuestion

__all__ = ["radiobiology"]


@dataclass(frozen=True)
class RadiobiologyFlags:
    """Which region is asked about, and what of it."""

    case: Path | None
    results: Path | None
    roi: str | None
    dose_gy: tuple[float, ...]
    volume_ml: tuple[float, ...]
    role: str | None
    device: str | None
    set_name: str | None
    geud_a: float | None
    earlier_gy: tuple[float, ...]
    control: str | None
    slope: float | None
    clonogens: float | None
    complication: str | None
    td50_gy: float | None
    m: float | None
    source: str | None
    constants: str | None

    def question(self) -> RadiobiologyQuestion:
        """What is asked of the region."""
        from voxeldose.planning.answers.radiobiology import RadiobiologyQuestion

        values = {f.name: getattr(self, f.name) for f in fields(RadiobiologyQuestion)}
        return RadiobiologyQuestion(**values)

    def region(self, *, quiet: bool) -> Region:
        """The region, from doses, from results, or from a case that is assessed now."""
        from voxeldose.planning.answers.dosed_regions import region_of_assessment, region_of_doses, region_of_results

        roi = self.roi or ""
        if self.case is not None:
            result = assess_case(read_case(self.case, {"constants": self.constants}), quiet=quiet)
            return region_of_assessment(result, roi)
        if self.results is not None:
            return region_of_results(self.results, roi, set_name=self.set_name, constants=self.constants)
        return region_of_doses(self.dose_gy, self.volume_ml, role=self.role, constants=self.constants)

    def require_usage(self) -> None:
        """Refuse options that do not go together."""
        own = self.question().own_numbers
        ways = [way for way in (self.case, self.results, self.dose_gy) if way]
        if own and not self.source:
            msg = f"say with --source where {', '.join(own)} come from."
        elif len(ways) != 1:
            msg = "give --dose-gy (once or more), a CASE with --roi, or --results with --roi: one of them."
        elif (self.roi is None) != (self.dose_gy != ()):
            msg = "--roi names the region of a case or of results; it is needed with them, and not with --dose-gy."
        elif not self.dose_gy and (self.role is not None or self.volume_ml):
            msg = "--role and --volume-ml go with --dose-gy; a case and results know theirs."
        elif self.results is not None and self.geud_a is not None:
            msg = "results do not hold gEUD; give the CASE in place of --results."
        elif self.case is not None and self.case.is_dir():
            msg = f"{self.case} is a folder; CASE is a case file, and a results folder goes with --results."
        else:
            self._require_curves(own)
            return
        raise click.UsageError(msg)

    def _require_curves(self, own: tuple[str, ...]) -> None:
        if self.complication is not None and self.td50_gy is not None:
            msg = "give --complication or --td50-gy, not both."
        elif self.td50_gy is not None and self.m is None:
            msg = "--td50-gy and --m belong together."
        elif self.m is not None and self.td50_gy is None and self.complication is None:
            msg = "--td50-gy and --m belong together, or --complication and --m."
        elif self.earlier_gy and (self.set_name is None or own or self.control or self.complication):
            msg = "--earlier-gy needs --set for the BED of each treatment, and no curve: those were found after one treatment."
        elif self.clonogens is not None and self.set_name is None:
            msg = "--clonogens needs --set, for α and the EUBED."
        elif self.volume_ml and len(self.volume_ml) != len(self.dose_gy):
            msg = f"{len(self.dose_gy)} --dose-gy need as many --volume-ml, each above 0."
        else:
            return
        raise click.UsageError(msg)


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
@as_record(RadiobiologyFlags, "flags")
def radiobiology(flags: RadiobiologyFlags, as_list: bool, as_json: bool) -> None:
    """BED, EUD, EUBED, gEUD, control and complication probability, with named parameter sets.

    Of doses alone, of a region of a CASE, or of a region of results. No curve is taken unless it is named.
    """
    from voxeldose.planning.answers.radiobiology import answer_radiobiology, list_parameter_sets

    if as_list:
        print_answer(list_parameter_sets(), as_json=as_json)
        return
    flags.require_usage()
    answer = answer_radiobiology(flags.question(), flags.region(quiet=as_json), roi=flags.roi)
    print_answer(answer, as_json=as_json)
