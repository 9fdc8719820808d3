"""Plans on the terminal, and the options that every form of ``plan`` shares."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from voxeldose.cli.case_input import predict_with_flags
from voxeldose.cli.options import CONSTANTS, DEVICE, PATH, as_record, json_option
from voxeldose.cli.terminal import format_number, print_assumptions, print_json, print_rows, print_warnings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from voxeldose.model.radionuclide import Radionuclide
    from voxeldose.model.remarks import Remark
    from voxeldose.planning.answers.plans import PlanAnswer, PlanSetting
    from voxeldose.planning.plan import Plan

__all__ = ["PlanFlags", "plan_options", "print_basis", "print_plan"]


@dataclass(frozen=True)
class PlanFlags:
    """The options of every form of ``plan``."""

    lung_shunt: float | None = None
    lung_g: float | None = None
    constants: str | None = None
    device: str | None = None
    bilirubin_mg_per_dl: float | None = None
    thresholds: Path | None = None

    def setting(self, case: Path | None, *, quiet: bool) -> PlanSetting:
        """The constants, lungs and limits of a plan; with a case what its image predicts, these flags in place of its keys."""
        from voxeldose.planning.answers.plans import PlanSetting

        flags = {name: value for name, value in vars(self).items() if name != "lung_g"}
        return PlanSetting(
            assessment=predict_with_flags(case, flags, quiet=quiet) if case is not None else None,
            constants=self.constants,
            lung_shunt_fraction=self.lung_shunt,
            lung_mass_g=self.lung_g,
            device=self.device,
            bilirubin_mg_per_dl=self.bilirubin_mg_per_dl,
            limits=_limits(self.thresholds) if case is None and self.thresholds is not None else None,
        )


def _limits(path: Path) -> tuple[object, ...]:
    """A site's own limits, with the published ones unless its file says otherwise."""
    from voxeldose.dose.limits import merged, published_limits
    from voxeldose.io.config.limits import read_limits

    own, with_published = read_limits(path)
    return merged(published_limits() if with_published else (), own)


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


def print_plan(answer: PlanAnswer, *, as_json: bool) -> None:
    """A plan as a table or as JSON."""
    if as_json:
        print_json(answer.as_dict())
        return
    plan = answer.plan
    click.echo(f"Activity in the patient at the infusion: {plan.activity_mbq:.1f} MBq")
    if plan.territories_mbq and len(plan.territories_mbq) > 1:
        click.echo("  " + "; ".join(f"{name} {mbq:.1f} MBq" for name, mbq in plan.territories_mbq.items()))
    print_rows([{"mean dose": name, "Gy": format_number(gy, ".2f")} for name, gy in _doses(plan) if gy is not None])
    if plan.bounds:
        click.echo()
        print_rows(_bound_rows(plan))
    limits = answer.thresholds
    if limits:
        click.echo("\nPublished limits for comparison:")
        print_rows([{"limit": t.name, "role": t.roi, "here": f"{t.value:.4g}", "met": _yes(t.met)} for t in limits])
        for line in dict.fromkeys(f"  {t.name}: {t.differs}" for t in limits if t.differs):
            click.echo(line)
    _print_formula(plan.formula, plan.radionuclide)
    _print_other_constants(plan)
    _print_sources(plan.sources, plan.assumptions, plan.warnings)


def _doses(plan: Plan) -> list[tuple[str, float | None]]:
    doses: list[tuple[str, float | None]] = [(f"tumor {name}", gy) for name, gy in plan.tumor_gy.items()]
    doses.append(("normal liver", plan.normal_gy))
    if plan.whole_normal_gy is not None and plan.whole_normal_gy != plan.normal_gy:
        doses.append(("all normal liver", plan.whole_normal_gy))
    return [*doses, ("perfused volume", plan.perfused_gy), ("lungs", plan.lung_gy)]


def _bound_rows(plan: Plan) -> list[dict[str, str]]:
    return [
        {
            "asked": b.name,
            "role": b.kind + (", binding" if b.name == plan.binding else ""),
            "wanted": f"{b.wanted:g}",
            "here": f"{b.value:.4g}",
            "MBq for it": f"{b.activity_mbq:.1f}" if math.isfinite(b.activity_mbq) else "any",
            "met": _yes(b.met),
        }
        for b in plan.bounds
    ]


def _yes(met: bool) -> str:
    return "yes" if met else "NO"


def _print_other_constants(plan: Plan) -> None:
    from voxeldose.planning.plan import with_other_constants

    table = with_other_constants(plan)
    if any(len(row) > 1 for row in table.values()):
        key, unit = ("activity_mbq", "MBq") if plan.bounds else ("perfused_gy", "Gy in the perfused volume")
        cells = [f"{name} (K {row['gy_kg_per_gbq']:.2f}) {row[key]:.1f}" for name, row in table.items()]
        click.echo(f"By set of constants: {'; '.join(cells)} {unit}")


def print_basis(
    formula: str,
    radionuclide: Radionuclide,
    sources: Sequence[str],
    assumptions: Sequence[Remark],
    warnings: Sequence[Remark],
) -> None:
    """What an answer rests on: formula, constants, sources, assumptions, warnings."""
    _print_formula(formula, radionuclide)
    _print_sources(sources, assumptions, warnings)


def _print_formula(formula: str, radionuclide: Radionuclide) -> None:
    click.echo(f"\nFormula: {formula}")
    click.echo(
        f"K = {radionuclide.gy_kg_per_gbq:.2f} Gy kg/GBq, T½ {radionuclide.half_life_h:g} h "
        f"({radionuclide.constants}: {radionuclide.source})"
    )


def _print_sources(sources: Sequence[str], assumptions: Sequence[Remark], warnings: Sequence[Remark]) -> None:
    for source in sources:
        click.echo(f"Source: {source}")
    print_assumptions(assumptions)
    print_warnings(warnings)
