"""What the answers share: options of ``plan``, an assessment to answer from, and the answer as a table or as JSON."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import click

from voxeldose.cli.options import CONSTANTS, PATH, progress
from voxeldose.cli.terminal import print_rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from voxeldose.model.assessment import Assessment
    from voxeldose.planning.plan import Plan

__all__ = [
    "answer",
    "assessment_of",
    "constants_for",
    "facts_of_constants",
    "predicted",
    "print_json",
    "print_notes",
    "shared_options",
    "shunt_of",
    "text",
]


def shared_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options of every form."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Machine-readable."),
        click.option("--thresholds", type=PATH, help="TOML file with your site's own limits."),
        click.option("--bilirubin-mg-per-dl", type=float, help="Of the patient: decides limits that depend on it."),
        click.option(
            "--device", type=click.Choice(["glass", "resin"]), help="Decides limits shown, vials and spheres."
        ),
        click.option("--constants", type=CONSTANTS, help="Set of Y-90 constants (default ddep)."),
        click.option("--lung-g", type=float, help="Mass of the lungs (default 1000 g, the convention)."),
        click.option("--lung-shunt", type=float, help="Lung shunt fraction, 0 to 1."),
    ):
        command = option(command)
    return command


def shunt_of(shared: dict[str, Any], result: Assessment | None) -> float | None:
    """The lung shunt fraction of the flag, or of the case."""
    if shared["lung_shunt"] is not None or result is None:
        return shared["lung_shunt"]  # type: ignore[no-any-return]  # click has made it a float
    return result.case.administration.lung_shunt_fraction


def constants_for(shared: dict[str, Any], result: Assessment | None) -> Any:
    """The set of constants of the case, or of the flag."""
    from voxeldose.model.radionuclide import y90_constants

    if result is not None:
        return result.case.administration.radionuclide
    return y90_constants(shared["constants"] or "ddep")


def answer(found: Plan, inputs: dict[str, Any], shared: dict[str, Any], method: str, result: Assessment | None) -> None:
    """Print a plan, as a table or as JSON; with a case and voxels ``result`` is the case at the plan's activity."""
    from voxeldose.planning.plan import LUNG_MASS_G, spread

    limits = _limits_beside(found, method, shared, result)
    content = {
        "schema": "voxeldose/plan/1",
        "activity_mbq": found.activity_mbq,
        "tumor_gy": list(found.tumor_gy.values()),
        "tumors": list(found.tumor_gy),
        "normal_gy": found.normal_gy,
        "whole_normal_gy": found.whole_normal_gy,
        "perfused_gy": found.perfused_gy,
        "lung_gy": found.lung_gy,
        "binding": found.binding,
        "goals_met": all(b.met for b in found.bounds) if found.bounds else None,
        "bounds": [vars(b) | {"met": b.met} for b in found.bounds],
        "territories_mbq": found.territories_mbq,
        "formula": found.formula,
        "constants": facts_of_constants(found.radionuclide),
        "spread": spread(found),
        "thresholds": limits,
        "inputs": inputs
        | {
            "lung_shunt_fraction": shunt_of(shared, result),
            "lung_g": shared["lung_g"] or LUNG_MASS_G,
            "device": shared["device"] or (result.case.administration.device if result else None),
        },
        "sources": [*found.sources, found.radionuclide.source],
        "assumptions": list(found.assumptions),
        "warnings": list(found.warnings),
    }
    if shared["as_json"]:
        print_json(content)
        return
    click.echo(f"Activity in the patient at the infusion: {found.activity_mbq:.1f} MBq")
    if found.territories_mbq and len(found.territories_mbq) > 1:
        click.echo("  " + "; ".join(f"{name} {mbq:.1f} MBq" for name, mbq in found.territories_mbq.items()))
    doses: list[tuple[str, float | None]] = [(f"tumor {name}", gy) for name, gy in found.tumor_gy.items()]
    doses += [("normal liver", found.normal_gy)]
    if found.whole_normal_gy is not None and found.whole_normal_gy != found.normal_gy:
        doses.append(("all normal liver", found.whole_normal_gy))
    doses += [("perfused volume", found.perfused_gy), ("lungs", found.lung_gy)]
    print_rows([{"mean dose": name, "Gy": text(gy, ".2f")} for name, gy in doses if gy is not None])
    if found.bounds:
        click.echo()
        print_rows(
            [
                {
                    "asked": b.name,
                    "role": b.kind + (", rules" if b.name == found.binding else ""),
                    "wanted": f"{b.wanted:g}",
                    "here": f"{b.value:.4g}",
                    "MBq for it": f"{b.activity_mbq:.1f}" if math.isfinite(b.activity_mbq) else "any",
                    "met": "yes" if b.met else "NO",
                }
                for b in found.bounds
            ]
        )
    if limits:
        click.echo("\nPublished limits beside it:")
        print_rows(
            [
                {"limit": t["name"], "role": t["roi"], "here": f"{t['value']:.4g}", "met": "yes" if t["met"] else "NO"}
                for t in limits
            ]
        )
        for said in dict.fromkeys(f"  {t['name']}: {t['differs']}" for t in limits if t["differs"]):
            click.echo(said)
    print_notes(content)


def _limits_beside(found: Plan, method: str, shared: dict[str, Any], result: Assessment | None) -> list[dict[str, Any]]:
    """Published limits for the device beside a plan's doses."""
    from voxeldose.dose.limits import beside, published_limits
    from voxeldose.model.case import require_bilirubin

    device = shared["device"] or (result.case.administration.device if result else None)
    limits = result.case.limits if result else None
    bilirubin = result.case.bilirubin_mg_per_dl if result else shared.get("bilirubin_mg_per_dl")
    require_bilirubin(bilirubin)
    if limits is None and shared["thresholds"] is not None:
        from voxeldose.dose.limits import merged
        from voxeldose.io.config.limits import read_limits

        own, with_published = read_limits(shared["thresholds"])
        limits = merged(published_limits() if with_published else (), own)
    doses = {
        "tumor": min(found.tumor_gy.values(), default=None),
        "normal_liver": found.whole_normal_gy if found.whole_normal_gy is not None else found.normal_gy,
        "perfused_normal": found.normal_gy,
        "perfused": found.perfused_gy,
        "lung": found.lung_gy,
    }
    if method != "voxel" or result is None:
        return [vars(t) for t in beside(doses, device, limits, method=method, bilirubin_mg_per_dl=bilirubin)]
    by_voxels = result.thresholds
    if not any(t.metric == "mean_dose_gy" and result.rois[t.roi].role == "lung" for t in by_voxels):
        by_voxels += beside({"lung": found.lung_gy}, device, limits)
    return [vars(t) for t in by_voxels]


def assessment_of(source: Path, quiet: bool, *, is_relative: bool = False) -> dict[str, Any]:
    """``assessment.json`` of a results folder, or of a case that is assessed now.

    With ``is_relative`` a case needs no activity: only ratios are wanted, as of a pre-treatment image.
    """
    from voxeldose.io.results.assessment import assessment_dict
    from voxeldose.io.results.content import read_content

    file = source / "assessment.json" if source.is_dir() else source
    if file.suffix != ".json":
        from voxeldose.io.config.case import case_file_from, read_case_file

        config = case_file_from(read_case_file(source), str(source))
        with progress(quiet) as tell:
            from voxeldose.dose.assess import assess
            from voxeldose.jobs.open_case import open_case
            from voxeldose.jobs.run_case import predict_case

            if is_relative and config.administration.administered_mbq is None:
                return assessment_dict(predict_case(config, progress=tell))
            opened = open_case(config, progress=tell)
            return assessment_dict(assess(opened.case, opened.engine, progress=tell))
    return read_content(file)


def predicted(case: Path, shared: dict[str, Any]) -> Assessment:
    """The dose that the case's image predicts, with the flags in place of the case's own keys."""
    from voxeldose.io.config.case import case_file_from, read_case_file

    tables = read_case_file(case)
    for flag, table, key in (
        ("lung_shunt", "administration", "lung_shunt_fraction"),
        ("device", "administration", "device"),
        ("constants", "dose", "constants"),
        ("bilirubin_mg_per_dl", "case", "bilirubin_mg_per_dl"),
    ):
        if shared.get(flag) is not None and isinstance(tables.get(table, {}), dict):
            tables.setdefault(table, {})[key] = shared[flag]
    if shared["thresholds"] is not None and isinstance(tables.get("dose", {}), dict):
        tables.setdefault("dose", {})["thresholds"] = str(shared["thresholds"].absolute())
    config = case_file_from(tables, str(case))
    with progress(shared["as_json"]) as tell:
        tell("loading libraries")
        from voxeldose.jobs.run_case import predict_case

        return predict_case(config, progress=tell)


def facts_of_constants(nuclide: Any) -> dict[str, Any]:
    """A set of constants as results hold it."""
    return {
        "name": nuclide.constants,
        "radionuclide": nuclide.name,
        "half_life_h": nuclide.half_life_h,
        "mean_energy_mev": nuclide.mean_energy_mev,
        "gy_kg_per_gbq": nuclide.gy_kg_per_gbq,
        "source": nuclide.source,
    }


def print_notes(content: dict[str, Any]) -> None:
    """Formula, constants and their spread, sources, assumptions, warnings."""
    constants = content["constants"]
    click.echo(f"\nFormula: {content['formula']}")
    click.echo(
        f"K = {constants['gy_kg_per_gbq']:.2f} Gy kg/GBq, T½ {constants['half_life_h']:g} h ({constants['name']}: {constants['source']})"
    )
    if any(len(row) > 1 for row in content.get("spread", {}).values()):
        key, unit = ("activity_mbq", "MBq") if content["bounds"] else ("perfused_gy", "Gy in the perfused volume")
        shown = [f"{name} (K {row['gy_kg_per_gbq']:.2f}) {row[key]:.1f}" for name, row in content["spread"].items()]
        click.echo(f"By set of constants: {'; '.join(shown)} {unit}")
    for source in content["sources"][:-1]:
        click.echo(f"Source: {source}")
    for said in content["assumptions"]:
        click.echo(f"assumed: {said}")
    for said in content["warnings"]:
        click.echo(f"warning: {said}", err=True)


def text(value: float | None, form: str) -> str:
    """A number, or a dash where there is none."""
    return "-" if value is None else format(value, form)


def print_json(content: dict[str, Any]) -> None:
    """JSON that any parser reads."""
    from voxeldose.io.results.assessment import plain

    click.echo(json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False))
