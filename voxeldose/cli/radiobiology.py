"""``voxeldose radiobiology``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from voxeldose.cli.options import CONSTANTS, PATH, progress
from voxeldose.cli.plan_answer import facts_of_constants, print_json
from voxeldose.model.roles import ROLES

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from voxeldose.model.tissue import Complication, Control, Radiobiology

__all__ = ["radiobiology"]

ONE_GROUP = "Parameter sets describe groups of patients, not one: no number here is a prediction for a patient."
NOT_STATED = "These results (schema 1) do not state their parameter set; the one named is taken to be theirs."
OF_MEAN = "The BED for the complication curve is that of the mean dose, as if it were even; its source does not say which was taken."

FORMULAS = {
    "bed_gy": "BED = D (1 + G D / (α/β)), G = T_rep / (T_rep + T½), mean over the region",
    "bed_of_mean_gy": "BED of the mean dose",
    "eud_gy": "EUD = -ln(Σ w exp(-α D) / Σ w) / α",
    "eubed_gy": "EUBED = -ln(Σ w exp(-α BED) / Σ w) / α",
    "geud_gy": "gEUD = (Σ w D^a / Σ w)^(1/a)",
    "control_probability": "1 / (1 + (D50/D)^slope)",
    "poisson_control_probability": "exp(-N exp(-α EUBED))",
    "complication_probability": "Φ((D - TD50) / (m TD50))",
    "sum_dose_gy": "Σ D of the treatments",
    "sum_bed_gy": "Σ BED of the treatments, each with its own dose",
}


@dataclass(frozen=True)
class _Region:
    """What is asked about: parts of one region, or the numbers that a run found."""

    role: str | None
    device: str | None
    known: dict[str, float]
    dose_gy: npt.NDArray[np.float64] | None = None
    weights: npt.NDArray[np.float64] | None = None


@click.command(short_help="BED, EUD, gEUD, control and complication probability.")
@click.argument("case", required=False, type=PATH)
@click.option("--dose-gy", type=float, multiple=True, help="Absorbed dose; several are parts of one region.")
@click.option("--volume-ml", type=float, multiple=True, help="Volume of each dose (default: equal parts).")
@click.option(
    "--role", type=click.Choice(ROLES), help="What region the doses are of; sets for other tissue are refused."
)
@click.option("--device", type=click.Choice(["glass", "resin"]), help="Curves found with other spheres are refused.")
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
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def radiobiology(as_list: bool, as_json: bool, **flags: Any) -> None:
    """BED, EUD, EUBED, gEUD, control and complication probability, with named parameter sets.

    Of doses alone, of a region of a CASE, or of a region of results. No curve is taken unless it is named.
    """
    content = _listed() if as_list else _answer(flags, as_json)
    if as_json:
        print_json(content)
        return
    if as_list:
        for row in content["linear_quadratic"] + content["control"] + content["complication"]:
            numbers = ", ".join(f"{k} {v:g}" for k, v in row.items() if isinstance(v, float))
            quoted = "" if row.get("seen", True) else " [quoted; the series was not read]"
            of = f" of {row['quantity']}" if "quantity" in row else ""
            of += f", {row['device']} spheres" if row.get("device") else ""
            click.echo(f"{row['name']} ({row['tissue']}, {row['year']}): {numbers}{of}{quoted}\n  {row['source']}")
        return
    for key in ("mean_dose_gy", *FORMULAS):
        if key in content:
            click.echo(f"{key} {content[key]:.4g}" + (f"   {FORMULAS[key]}" if key in FORMULAS else ""))
    constants = content["constants"]
    click.echo(f"T½ {constants['half_life_h']:g} h ({constants['name']}: {constants['source']})")
    for source in content["sources"]:
        click.echo(f"source: {source}")
    for warning in content["warnings"]:
        click.echo(f"warning: {warning}", err=True)


def _listed() -> dict[str, Any]:
    from dataclasses import asdict

    from voxeldose.model.tissue import complication_sets, control_sets, linear_quadratic_sets

    return {
        "linear_quadratic": [asdict(s) for s in linear_quadratic_sets().values()],
        "control": [asdict(s) for s in control_sets().values()],
        "complication": [asdict(s) for s in complication_sets().values()],
    }


def _answer(flags: dict[str, Any], quiet: bool) -> dict[str, Any]:
    from voxeldose.model.radionuclide import y90_constants
    from voxeldose.model.tissue import complication_set, control_set, linear_quadratic_set, require_one_tissue

    _check_usage(flags)
    tissue = linear_quadratic_set(flags["set_name"]) if flags["set_name"] else None
    control = control_set(flags["control"]) if flags["control"] else None
    complication = complication_set(flags["complication"]) if flags["complication"] else None
    require_one_tissue(tissue, control, complication)
    nuclide, unsure = y90_constants(flags["constants"] or "ddep"), list[str]()
    if flags["case"] is not None:
        region, nuclide = _of_case(flags, quiet)
    elif flags["results"] is not None:
        region, nuclide, unsure = _of_results(flags, tissue)
    else:
        region = _of_flags(flags)
    for chosen in (tissue, control, complication):
        if chosen is not None and region.role is not None:
            chosen.require_role(region.role)
    for curve in (control, complication):
        if curve is not None:
            curve.require_device(flags["device"] or region.device)
    content = _numbers(region, tissue, nuclide, flags)
    warnings = [ONE_GROUP, *unsure]
    content |= _probabilities(content, region, (tissue, control, complication), flags, warnings)
    own = [k for k in ("slope", "clonogens", "td50_gy", "m") if flags[k] is not None]
    said = [(s.source, getattr(s, "seen", True)) for s in (tissue, control, complication) if s is not None]
    inputs = {k: flags[k] for k in ("roi", "geud_a", "slope", "clonogens", "td50_gy", "m")}
    inputs |= {k: list(flags[k]) for k in ("dose_gy", "volume_ml", "earlier_gy")}
    inputs |= {"role": region.role, "device": flags["device"] or region.device}
    return {
        "schema": "voxeldose/radiobiology/1",
        **content,
        "formula": {key: FORMULAS[key] for key in content if key in FORMULAS},
        "constants": facts_of_constants(nuclide),
        "inputs": inputs,
        "set": flags["set_name"],
        "control": flags["control"],
        "complication": flags["complication"],
        "half_life_h": nuclide.half_life_h,
        "sources": [text + ("" if seen else " (original not read)") for text, seen in said]
        + ([flags["source"]] if own else [])
        + [nuclide.source],
        "warnings": warnings,
    }


def _check_usage(flags: dict[str, Any]) -> None:
    own = [k for k in ("slope", "clonogens", "td50_gy", "m") if flags[k] is not None]
    ways = [name for name in ("case", "results", "dose_gy") if flags[name]]
    if own and not flags["source"]:
        msg = f"say with --source where {', '.join(own)} come from."
    elif len(ways) != 1:
        msg = "give --dose-gy (once or more), a CASE with --roi, or --results with --roi: one of them."
    elif (flags["roi"] is None) != (flags["dose_gy"] != ()):
        msg = "--roi names the region of a case or of results; it is needed with them, and not with --dose-gy."
    elif not flags["dose_gy"] and (flags["role"] is not None or flags["volume_ml"]):
        msg = "--role and --volume-ml go with --dose-gy; a case and results know theirs."
    elif flags["results"] is not None and flags["geud_a"] is not None:
        msg = "results do not hold gEUD; give the CASE in place of --results."
    elif flags["case"] is not None and flags["case"].is_dir():
        msg = f"{flags['case']} is a folder; CASE is a case file, and a results folder goes with --results."
    elif flags["complication"] is not None and flags["td50_gy"] is not None:
        msg = "give --complication or --td50-gy, not both."
    elif flags["td50_gy"] is not None and flags["m"] is None:
        msg = "--td50-gy and --m belong together."
    elif flags["m"] is not None and flags["td50_gy"] is None and flags["complication"] is None:
        msg = "--td50-gy and --m belong together, or --complication and --m."
    elif flags["earlier_gy"] and (flags["set_name"] is None or own or flags["control"] or flags["complication"]):
        msg = "--earlier-gy needs --set for the BED of each treatment, and no curve: those were found after one treatment."
    else:
        return
    raise click.UsageError(msg)


def _of_flags(flags: dict[str, Any]) -> _Region:
    import numpy as np

    from voxeldose.errors import QuantityError

    dose = np.array(flags["dose_gy"], float)
    weights = np.array(flags["volume_ml"] or np.ones(dose.size), float)
    if weights.size != dose.size or not (np.isfinite(weights) & (weights > 0)).all():
        msg = f"{dose.size} --dose-gy need as many --volume-ml, each above 0."
        raise click.UsageError(msg)
    for value in (*flags["dose_gy"], *flags["earlier_gy"]):
        if not 0 <= value < np.inf:
            msg = f"An absorbed dose must be 0 Gy or more, found {value}."
            raise QuantityError(msg)
    return _Region(flags["role"], None, {}, dose, weights)


def _of_case(flags: dict[str, Any], quiet: bool) -> tuple[_Region, Any]:
    """A region of a case that is assessed now, voxel by voxel."""
    import math

    from voxeldose.errors import QuantityError
    from voxeldose.io.config.case import case_file_from, read_case_file

    tables = read_case_file(flags["case"])
    if flags["constants"] is not None and isinstance(tables.get("dose", {}), dict):
        tables.setdefault("dose", {})["constants"] = flags["constants"]
    config = case_file_from(tables, str(flags["case"]))
    with progress(quiet) as tell:
        tell("loading libraries")
        from voxeldose.dose.assess import assess
        from voxeldose.jobs.open_case import open_case

        opened = open_case(config, progress=tell)
        result = assess(opened.case, opened.engine, progress=tell)
    roi = result.rois.get(flags["roi"])
    if roi is None or not math.isfinite(roi.mean_dose_gy):
        msg = f"There is no region {flags['roi']} with a dose; there are {', '.join(result.rois)}."
        raise QuantityError(msg)
    filled = roi.dvh.occupancy > 0
    dose, weights = (values[filled].astype(float) for values in (roi.dvh.voxel_gy, roi.dvh.occupancy))
    given = result.case.administration
    return _Region(roi.role, given.device, {}, dose, weights), given.radionuclide


def _of_results(flags: dict[str, Any], tissue: Radiobiology | None) -> tuple[_Region, Any, list[str]]:
    """A region's numbers as its run found them, and warnings; the set must be the one that the run used."""
    from voxeldose.errors import InputError
    from voxeldose.io.results.content import read_content
    from voxeldose.model.radionuclide import y90_constants

    path: Path = flags["results"]
    found = read_content(path)
    try:
        roi = found["rois"].get(flags["roi"])
        constants, device = found["constants"]["name"], found["administration"]["device"]
        sets = {role: one["name"] for role, one in found["radiobiology"].items()} if "radiobiology" in found else None
    except (KeyError, TypeError, AttributeError) as error:
        msg = f"{path}: cannot be read as the results of voxeldose assess."
        raise InputError(msg, code="file-damaged") from error
    warnings: list[str] = []
    if roi is None or roi["mean_dose_gy"] is None:
        msg = f"{path}: there is no ROI {flags['roi']} with a dose; there are {', '.join(found['rois'])}."
        raise InputError(msg)
    if flags["constants"] not in (None, constants):
        msg = f"{path}: the run used the constants {constants}, not {flags['constants']}; give the CASE to change them."
        raise InputError(msg)
    if tissue is not None:
        tissue.require_role(roi["role"])
        if sets is None:
            warnings.append(NOT_STATED)
        elif (used := sets.get(roi["role"])) != tissue.name:
            msg = (
                f"{path}: the run used {f'the set {used}' if used else 'no set'} for this region, not {tissue.name}; name it in "
                "the case under [radiobiology] and run again."
            )
            raise InputError(msg, code="parameter-set-differs", used=used, asked=tissue.name)
    known = {k: roi[k] for k in ("mean_dose_gy", "bed_gy", "eud_gy", "eubed_gy") if roi.get(k) is not None}
    return _Region(roi["role"], device, known), y90_constants(constants), warnings


def _numbers(region: _Region, tissue: Radiobiology | None, nuclide: Any, flags: dict[str, Any]) -> dict[str, float]:
    import numpy as np

    from voxeldose.dose.radiobiology import bed_gy, eubed_gy, eud_gy, geud_gy

    found = dict(region.known)
    dose, weights = region.dose_gy, region.weights
    if dose is not None and weights is not None:
        found["mean_dose_gy"] = float((dose * weights).sum() / weights.sum())
        if tissue is not None:
            found["bed_gy"] = float((bed_gy(dose, tissue, nuclide) * weights).sum() / weights.sum())
            found["eud_gy"] = eud_gy(dose, weights, tissue.alpha_per_gy)
            found["eubed_gy"] = eubed_gy(dose, weights, tissue, nuclide)
        if flags["geud_a"] is not None:
            found["geud_gy"] = geud_gy(dose, weights, flags["geud_a"])
    if tissue is not None:
        found["bed_of_mean_gy"] = float(bed_gy(np.asarray(found["mean_dose_gy"]), tissue, nuclide))
        if flags["earlier_gy"]:
            earlier = np.array(flags["earlier_gy"], float)
            found["sum_dose_gy"] = found["mean_dose_gy"] + float(earlier.sum())
            found["sum_bed_gy"] = found["bed_gy"] + float(bed_gy(earlier, tissue, nuclide).sum())
    return found


def _probabilities(
    content: dict[str, float],
    region: _Region,
    sets: tuple[Radiobiology | None, Control | None, Complication | None],
    flags: dict[str, Any],
    warnings: list[str],
) -> dict[str, float]:
    from voxeldose.dose.radiobiology import complication_by_set, complication_probability, poisson_control
    from voxeldose.errors import QuantityError

    tissue, control, complication = sets
    found: dict[str, float] = {}
    roles = {region.role} if region.role is not None else set(tissue.roles if tissue is not None else ())
    if control is not None:
        found["control_probability"] = _control(content, control, flags, warnings)
    if flags["clonogens"] is not None:
        if tissue is None or content.get("eubed_gy") is None:
            msg = "--clonogens needs --set, for α and the EUBED."
            raise click.UsageError(msg)
        if "tumor" not in roles:
            msg = f"Clonogenic cells are a tumor's; the set {tissue.name} is for {tissue.tissue}."
            raise QuantityError(msg)
        found["poisson_control_probability"] = poisson_control(
            content["eubed_gy"], tissue.alpha_per_gy, flags["clonogens"]
        )
    if flags["td50_gy"] is not None:
        if "tumor" in roles:
            msg = "A complication is of normal tissue, and the dose here is a tumor's. Ask for the region that is at risk."
            raise QuantityError(msg)
        found["complication_probability"] = complication_probability(
            content["mean_dose_gy"], flags["td50_gy"], flags["m"]
        )
    if complication is not None:
        value = content.get(complication.quantity)
        if value is None:
            msg = f"The curve {complication.name} is of {complication.quantity}; name a parameter set for it (--set)."
            raise QuantityError(msg)
        warnings.append(OF_MEAN)
        found["complication_probability"] = complication_by_set(value, complication, flags["m"])
    return found


def _control(content: dict[str, float], curve: Control, flags: dict[str, Any], warnings: list[str]) -> float:
    from voxeldose.dose.radiobiology import control_probability
    from voxeldose.errors import QuantityError

    if curve.quantity == "eud_in_vitro_gy":
        if len(flags["dose_gy"]) != 1:
            msg = f"The curve {curve.name} is of an EUD with in-vitro radiosensitivity; give that EUD as the one --dose-gy."
            raise QuantityError(msg)
        warnings.append("The dose given is taken as an EUD with in-vitro radiosensitivity, as the curve needs.")
        return control_probability(content["mean_dose_gy"], curve, flags["slope"])
    if content.get(curve.quantity) is None:
        msg = f"The curve {curve.name} is of {curve.quantity}; name a parameter set for it (--set)."
        raise QuantityError(msg)
    return control_probability(content[curve.quantity], curve, flags["slope"])
