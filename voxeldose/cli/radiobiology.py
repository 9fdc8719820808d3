"""``voxeldose radiobiology``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from voxeldose.cli.words import PATH

if TYPE_CHECKING:
    from pathlib import Path

    from voxeldose.radiobiology import Control, Radiobiology

__all__ = ["radiobiology"]


@click.command()
@click.option("--dose-gy", type=float, multiple=True, help="Absorbed dose; several are parts of one region.")
@click.option("--volume-ml", type=float, multiple=True, help="Volume of each dose (default: equal parts).")
@click.option("--results", type=PATH, help="A results folder instead of doses, with --roi.")
@click.option("--roi", help="Which region of the results.")
@click.option("--set", "set_name", help="Parameter set of the linear-quadratic model; --list shows them.")
@click.option("--geud-a", type=float, help="Also the generalised EUD with this a.")
@click.option("--control", help="Also the control probability by this curve; --list shows them.")
@click.option("--slope", type=float, help="Slope of a control curve that has none.")
@click.option("--clonogens", type=float, help="Also Poisson control with so many cells and the set's α.")
@click.option("--td50-gy", type=float, help="Also the complication probability, with --m.")
@click.option("--m", type=float, help="Its relative width.")
@click.option("--source", help="Where --slope, --clonogens, --td50-gy and --m come from; needed with them.")
@click.option("--constants", type=click.Choice(["ddep", "icrp107", "vendor"]), default="ddep", show_default=True)
@click.option("--list", "as_list", is_flag=True, help="Show every parameter set with its source.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def radiobiology(as_list: bool, as_json: bool, **flags: Any) -> None:
    """BED, EUD, EUBED, gEUD, control and complication probability, with named parameter sets."""
    content = _listed() if as_list else _answer(flags)
    if as_json:
        click.echo(json.dumps(content, indent=2, ensure_ascii=False))
        return
    if as_list:
        for row in content["linear_quadratic"] + content["control"]:
            numbers = ", ".join(f"{k} {v:g}" for k, v in row.items() if isinstance(v, float))
            click.echo(f"{row['name']} ({row['tissue']}, {row['year']}): {numbers}\n  {row['source']}")
        return
    for key, value in content.items():
        if key.endswith(("_gy", "_probability")):
            click.echo(f"{key} {value:.4g}")
    for source in content["sources"]:
        click.echo(f"source: {source}")
    for warning in content["warnings"]:
        click.echo(f"warning: {warning}", err=True)


def _listed() -> dict[str, Any]:
    from dataclasses import asdict

    from voxeldose.radiobiology import control_sets, linear_quadratic_sets

    return {
        "linear_quadratic": [asdict(s) for s in linear_quadratic_sets().values()],
        "control": [asdict(s) for s in control_sets().values()],
    }


def _answer(flags: dict[str, Any]) -> dict[str, Any]:
    from voxeldose.radiobiology import complication_probability, control_set, linear_quadratic_set, poisson_control
    from voxeldose.radionuclide import y90_constants

    own = [k for k in ("slope", "clonogens", "td50_gy", "m") if flags[k] is not None]
    if own and not flags["source"]:
        msg = f"say with --source where {', '.join(own)} come from."
        raise click.UsageError(msg)
    if (flags["td50_gy"] is None) != (flags["m"] is None):
        msg = "--td50-gy and --m belong together."
        raise click.UsageError(msg)
    nuclide = y90_constants(flags["constants"])
    tissue = linear_quadratic_set(flags["set_name"]) if flags["set_name"] else None
    curve = control_set(flags["control"]) if flags["control"] else None
    content = _of_results(flags, tissue, curve) if flags["results"] is not None else _of_doses(flags, tissue, nuclide)
    sources = [s.source for s in (tissue, curve) if s is not None] + ([flags["source"]] if own else [])
    warnings = ["Parameter sets describe groups of patients, not one: no number here is a prediction for a patient."]
    if curve is not None:
        content["control_probability"] = _control(content, curve, flags, warnings)
    if flags["clonogens"] is not None:
        if tissue is None or content.get("eubed_gy") is None:
            msg = "--clonogens needs --set, for α and the EUBED."
            raise click.UsageError(msg)
        content["poisson_control_probability"] = poisson_control(
            content["eubed_gy"], tissue.alpha_per_gy, flags["clonogens"]
        )
    if flags["td50_gy"] is not None:
        content["complication_probability"] = complication_probability(
            content["mean_dose_gy"], flags["td50_gy"], flags["m"]
        )
    content["half_life_h"] = nuclide.half_life_h
    return content | {"set": flags["set_name"], "control": flags["control"], "sources": sources, "warnings": warnings}


def _of_doses(flags: dict[str, Any], tissue: Radiobiology | None, nuclide: Any) -> dict[str, Any]:
    import numpy as np

    from voxeldose.radiobiology import bed_gy, eubed_gy, eud_gy, geud_gy

    if not flags["dose_gy"]:
        msg = "give --dose-gy (once or more), or --results with --roi."
        raise click.UsageError(msg)
    dose = np.array(flags["dose_gy"], float)
    weights = np.array(flags["volume_ml"] or np.ones(dose.size), float)
    if weights.size != dose.size or (weights <= 0).any():
        msg = f"{dose.size} --dose-gy need as many --volume-ml, each above 0."
        raise click.UsageError(msg)
    mean = float((dose * weights).sum() / weights.sum())
    content: dict[str, Any] = {"mean_dose_gy": mean}
    if tissue is not None:
        bed = bed_gy(dose, tissue, nuclide)
        content |= {
            "bed_gy": float((bed * weights).sum() / weights.sum()),
            "eud_gy": eud_gy(dose, weights, tissue.alpha_per_gy),
            "eubed_gy": eubed_gy(dose, weights, tissue, nuclide),
        }
    if flags["geud_a"] is not None:
        content["geud_gy"] = geud_gy(dose, weights, flags["geud_a"])
    return content


def _of_results(flags: dict[str, Any], tissue: Radiobiology | None, curve: Control | None) -> dict[str, Any]:
    """A region's numbers as its run found them; the set must be the one that the run used."""
    from voxeldose.errors import InputError

    if flags["dose_gy"] or flags["geud_a"] is not None or flags["roi"] is None:
        msg = "--results needs --roi, and takes no --dose-gy or --geud-a."
        raise click.UsageError(msg)
    path: Path = flags["results"] / "assessment.json" if flags["results"].is_dir() else flags["results"]
    try:
        found = json.loads(path.read_text("utf-8"))
        roi = found["rois"].get(flags["roi"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{path}: cannot be read as the results of voxeldose assess."
        raise InputError(msg) from error
    if roi is None or roi["mean_dose_gy"] is None:
        msg = f"{path}: there is no ROI {flags['roi']} with a dose; there are {', '.join(found['rois'])}."
        raise InputError(msg)
    for chosen in (tissue, curve):
        if chosen is not None:
            chosen.require_role(roi["role"])
    used = any(tissue is not None and f"({tissue.name})" in said for said in found["assumptions"])
    if tissue is not None and not used:
        msg = f"{path}: the run used another set than {tissue.name}; name it in the case under [radiobiology] and run again."
        raise InputError(msg)
    return {key: roi[key] for key in ("mean_dose_gy", "bed_gy", "eud_gy", "eubed_gy") if roi.get(key) is not None}


def _control(content: dict[str, Any], curve: Control, flags: dict[str, Any], warnings: list[str]) -> float:
    from voxeldose.errors import QuantityError
    from voxeldose.radiobiology import control_probability

    if curve.quantity == "eud_in_vitro_gy":
        if flags["results"] is not None or len(flags["dose_gy"]) != 1:
            msg = f"The curve {curve.name} is of an EUD with in-vitro radiosensitivity; give that EUD as the one --dose-gy."
            raise QuantityError(msg)
        warnings.append("The dose given is taken as an EUD with in-vitro radiosensitivity, as the curve needs.")
        return control_probability(content["mean_dose_gy"], curve, flags["slope"])
    if content.get(curve.quantity) is None:
        msg = f"The curve {curve.name} is of {curve.quantity}; name a parameter set for it (--set)."
        raise QuantityError(msg)
    return control_probability(content[curve.quantity], curve, flags["slope"])
