"""``voxeldose lung-shunt``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from voxeldose.cli.options import CONSTANTS, PATH, named_labels, progress
from voxeldose.cli.plan_answer import facts_of_constants, print_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from voxeldose.planning.lungs import LungMass, LungShunt

__all__ = ["lung_shunt"]


@click.group(name="lung-shunt", short_help="Lung shunt fraction, and dose to the lungs.")
def lung_shunt() -> None:
    """Lung shunt fraction from planar views or SPECT(/CT), and the lungs' absorbed dose."""


def _dose_options(command: Callable[..., None]) -> Callable[..., None]:
    options = [
        click.option("--activity-mbq", type=float, help="In the patient at the infusion; gives the lung dose."),
        click.option("--lung-mass-g", type=float, help="Of both lungs (default: 1000 g by convention, or the CT's)."),
        click.option(
            "--earlier-gy", type=float, multiple=True, help="Lung dose of an earlier treatment; may be repeated."
        ),
        click.option("--constants", type=CONSTANTS, help="Set of Y-90 constants (default ddep, or the case's)."),
        click.option("--json", "as_json", is_flag=True, help="Machine-readable."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@lung_shunt.command(short_help="From counts or images of anterior and posterior views.")
@click.option("--lung-anterior", type=float, help="Counts of the lungs in the anterior view.")
@click.option("--lung-posterior", type=float, help="Counts of the lungs in the posterior view.")
@click.option("--liver-anterior", type=float, help="Counts of the liver in the anterior view.")
@click.option("--liver-posterior", type=float, help="Counts of the liver in the posterior view.")
@click.option("--background-anterior", type=float, help="Counts of a background region.")
@click.option("--background-posterior", type=float, help="Counts of a background region.")
@click.option("--lung-pixels", type=float, help="Size of the lung region, for the background.")
@click.option("--liver-pixels", type=float, help="Size of the liver region, for the background.")
@click.option("--background-pixels", type=float, help="Size of the background region.")
@click.option(
    "--image", type=PATH, multiple=True, help="NM file of planar views, instead of counts; twice for two files."
)
@click.option("--rois", type=PATH, help="Label image on the pixels of the anterior view.")
@click.option("--posterior-rois", type=PATH, help="Label image on the pixels of the posterior view.")
@click.option("--mirrored", is_flag=True, help="The posterior regions are the anterior ones, left and right swapped.")
@click.option("--labels", type=PATH, help='JSON: label value -> {"name": …, "role": "lung" or "liver"}; "background".')
@click.option("--energy-window", type=int, help="Which one, counted from 1, where a file holds several.")
@_dose_options
def planar(**flags: Any) -> None:
    """From the counts of anterior and posterior views, or from the views themselves."""
    from voxeldose.planning.lungs import Views, planar_shunt

    names = [f"{region}_{view}" for region in ("lung", "liver") for view in ("anterior", "posterior")]
    given = [flags[name] is not None for name in names]
    if flags["image"]:
        if any(given):
            msg = "give counts or --image, not both."
            raise click.UsageError(msg)
        counts = _counted(flags)
    elif not all(given):
        missing = [f"--{n.replace('_', '-')}" for n, here in zip(names, given, strict=True) if not here]
        msg = f"give {', '.join(missing)}, or --image with --rois and --labels."
        raise click.UsageError(msg)
    else:
        counts = {
            region: {key: flags[f"{region}_{key}"] for key in ("anterior", "posterior", "pixels")}
            for region in ("lung", "liver", "background")
        }
    background = counts.get("background", {})
    if (background.get("anterior") is None) != (background.get("posterior") is None):
        msg = "give --background-anterior and --background-posterior, or neither."
        raise click.UsageError(msg)
    shunt = planar_shunt(
        Views(**counts["lung"]),
        Views(**counts["liver"]),
        Views(**background) if background.get("anterior") is not None else None,
    )
    _answer(shunt, flags, None)


def _counted(flags: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Counts and pixels of lung, liver and background in the views of NM files."""
    import numpy as np

    from voxeldose.errors import InputError
    from voxeldose.io.dicom.planar import counts_by_label, read_label_image, read_planar_views

    if flags["rois"] is None or flags["labels"] is None:
        msg = "--image needs --rois (a label image) and --labels (what its values are)."
        raise click.UsageError(msg)
    if flags["mirrored"] == (flags["posterior_rois"] is not None):
        msg = "say where the posterior regions lie: --posterior-rois FILE or --mirrored, one of them."
        raise click.UsageError(msg)
    wanted = {}
    for key, (name, role) in named_labels(flags["labels"]).items():
        region = "background" if name == "background" else "liver" if role in ("tumor", "normal_liver") else role
        if not key.isdigit() or region not in ("lung", "liver", "background"):
            msg = f"{flags['labels']}: label {key} is neither lung nor liver by its role, nor named background."
            raise InputError(msg)
        wanted[int(key)] = region
    views = read_planar_views(list(flags["image"]), energy_window=flags["energy_window"])
    shape = views["anterior"].shape
    anterior = read_label_image(flags["rois"], (shape[0], shape[1]))
    posterior = np.fliplr(anterior) if flags["mirrored"] else read_label_image(flags["posterior_rois"], anterior.shape)
    counts = counts_by_label(views, {"anterior": anterior, "posterior": posterior}, wanted)
    if not {"lung", "liver"} <= counts.keys():
        msg = f"{flags['labels']}: a lung and a liver label are needed, found {', '.join(counts)}."
        raise InputError(msg)
    return dict(counts)


@lung_shunt.command(short_help="From a reconstructed image, or from its counts.")
@click.argument("case", required=False, type=PATH)
@click.option("--activity", type=PATH, help="SPECT, without a case: DICOM folder or file, NIfTI, NRRD, MHA.")
@click.option("--rois", type=PATH, multiple=True, help="Regions with the roles lung and liver.")
@click.option("--labels", type=PATH, help='JSON: label value or name -> {"name": …, "role": …}.')
@click.option("--ct", type=PATH, help="CT for the lungs' density and mass.")
@click.option("--quantity", type=click.Choice(["bq_per_ml", "bq", "counts"]), help="If the image does not say.")
@click.option("--lung-counts", type=float, help="Or counts of all lung, found elsewhere, with --liver-counts.")
@click.option("--liver-counts", type=float, help="Counts of all liver, tumors included.")
@click.option(
    "--dome-margin-mm", type=float, default=0.0, show_default=True, help="Lung this near to the liver is left out."
)
@click.option("--quiet", is_flag=True, help="No progress.")
@_dose_options
def spect(case: Path | None, activity: Path | None, rois: tuple[Path, ...], quiet: bool, **flags: Any) -> None:
    """From a reconstructed image of a CASE or of files, or from its counts; both lungs must lie in its field of view."""
    from voxeldose.planning.lungs import counted_shunt

    counts = (flags["lung_counts"], flags["liver_counts"])
    counted = any(c is not None for c in counts)
    if sum((case is not None, activity is not None or bool(rois), counted)) != 1:
        msg = "give a CASE, or --activity with --rois, or --lung-counts with --liver-counts: one of them."
        raise click.UsageError(msg)
    if counted:
        if None in counts or any(flags[k] for k in ("labels", "ct", "quantity", "dome_margin_mm")):
            msg = "--lung-counts and --liver-counts belong together, without images."
            raise click.UsageError(msg)
        _answer(counted_shunt(*counts), flags, None)
    elif case is not None:
        if any(flags[k] for k in ("labels", "ct", "quantity")):
            msg = "a CASE names its own labels, CT and quantity."
            raise click.UsageError(msg)
        _answer(*_of_case(case, quiet, flags))
    elif activity is None or not rois:
        msg = "--activity and --rois belong together."
        raise click.UsageError(msg)
    else:
        _answer(*_of_files(activity, rois, quiet, flags))


def _of_files(
    activity: Path, rois: tuple[Path, ...], quiet: bool, flags: dict[str, Any]
) -> tuple[LungShunt, dict[str, Any], LungMass | None]:
    with progress(quiet) as tell:
        tell("loading libraries")
        from voxeldose.dose.density import hu_to_density
        from voxeldose.io.images import read_activity, read_ct_image
        from voxeldose.io.regions import read_rois

        tell("reading")
        regions = read_rois(list(rois), named_labels(flags["labels"]) if flags["labels"] else None)
        image = read_activity(activity, quantity=flags["quantity"])
        density = hu_to_density(read_ct_image(flags["ct"])) if flags["ct"] else None
        tell("counting")
        shunt, mass = _by_image(image, regions, density, flags)
    return shunt, flags, mass


def _by_image(image: Any, regions: Any, density: Any, flags: dict[str, Any]) -> tuple[LungShunt, LungMass | None]:
    from voxeldose.planning.lungs import lung_mass, spect_shunt

    given_g = flags["lung_mass_g"]
    shunt = spect_shunt(
        image,
        regions,
        density=density,
        dome_margin_mm=flags["dome_margin_mm"],
        lung_mass_g=given_g if density is not None else None,
    )
    return shunt, lung_mass(density, regions) if density is not None and given_g is None else None


def _of_case(case: Path, quiet: bool, flags: dict[str, Any]) -> tuple[LungShunt, dict[str, Any], LungMass | None]:
    """Shunt by a case's image; activity and constants are the case's where no flag gives them."""
    from dataclasses import replace

    from voxeldose.io.config.case import case_file_from, read_case_file

    config = case_file_from(read_case_file(case), str(case))
    with progress(quiet) as tell:
        tell("loading libraries")
        from voxeldose.dose.density import hu_to_density
        from voxeldose.jobs.open_case import open_case

        opened = open_case(config, progress=tell).case
        tell("counting")
        density = hu_to_density(opened.ct) if opened.ct is not None else None
        shunt, mass = _by_image(opened.activity, opened.rois, density, flags)
    given = opened.administration
    flags = flags | {"constants": flags["constants"] or config.dose.constants}
    if flags["activity_mbq"] is None and given.administered_mbq is not None:
        flags["activity_mbq"] = given.net_mbq
        said = f"The activity is the case's, {given.net_mbq:g} MBq in the patient at the infusion."
        shunt = replace(shunt, assumptions=(*shunt.assumptions, said))
    return shunt, flags, mass


@lung_shunt.command(short_help="Lung dose by a known shunt, earlier treatments added.")
@click.option("--lung-shunt", "fraction", type=float, required=True, help="Lung shunt fraction, 0 to 1.")
@_dose_options
def dose(fraction: float, **flags: Any) -> None:
    """Absorbed dose to the lungs by a shunt fraction that is known, with earlier treatments added."""
    if flags["activity_mbq"] is None:
        msg = "--activity-mbq is needed, the activity in the patient at the infusion."
        raise click.UsageError(msg)
    content = _dose_facts(fraction, flags, None) | {"lung_shunt_fraction": fraction, "method": "given"}
    if flags["as_json"]:
        print_json(content)
        return
    click.echo(f"lung shunt {100 * fraction:.2f} %, given")
    _print_dose(content)


def _dose_facts(shunt: LungShunt | float, flags: dict[str, Any], mass: LungMass | None) -> dict[str, Any]:
    """The lungs' dose beside its limits, as JSON holds it."""
    from voxeldose.model.radionuclide import y90_constants
    from voxeldose.planning.lungs import LIMIT_SOURCE, lung_dose

    nuclide = y90_constants(flags["constants"] or "ddep")
    found = lung_dose(flags["activity_mbq"], shunt, nuclide, mass=_mass(flags, mass), earlier_gy=flags["earlier_gy"])
    return {
        "schema": "voxeldose/lung-shunt/1",
        "activity_mbq": flags["activity_mbq"],
        "lung_mass_g": found.mass.grams,
        "lung_mass_source": found.mass.source,
        "lung_gy": found.gy,
        "earlier_gy": list(found.earlier_gy),
        "cumulative_gy": found.cumulative_gy,
        "allowed_mbq": found.allowed_mbq,
        "lung_dose_formula": found.formula,
        "formula": found.formula,
        "limits": [dict(zip(("name", "limit_gy", "value_gy", "met"), row, strict=True)) for row in found.limits],
        "inputs": {k: flags[k] for k in ("activity_mbq", "lung_mass_g")} | {"earlier_gy": list(found.earlier_gy)},
        "constants": facts_of_constants(nuclide),
        "sources": [LIMIT_SOURCE, nuclide.source],
        "assumptions": [],
        "warnings": list(found.warnings),
    }


def _mass(flags: dict[str, Any], found: LungMass | None) -> LungMass | None:
    """The mass that the user gives, or the one found."""
    from voxeldose.planning.lungs import LungMass

    return found if flags["lung_mass_g"] is None else LungMass(flags["lung_mass_g"], "given by the user")


def _answer(shunt: LungShunt, flags: dict[str, Any], mass: LungMass | None) -> None:
    from voxeldose.model.radionuclide import y90_constants

    nuclide = y90_constants(flags["constants"] or "ddep")
    mass = _mass(flags, mass)
    content: dict[str, Any] = {
        "schema": "voxeldose/lung-shunt/1",
        "lung_shunt_fraction": shunt.fraction,
        "sd_by_counts": shunt.sd,
        "method": shunt.method,
        "formula": shunt.formula,
        "counts": {"lung": shunt.lung_counts, "liver": shunt.liver_counts},
        "inputs": dict(shunt.inputs),
        "lung_mass_g": mass.grams if mass else None,
        "lung_gy": None,
        "assumptions": list(shunt.assumptions),
        "warnings": list(shunt.warnings),
        "sources": list(shunt.sources),
        "constants": facts_of_constants(nuclide),
    }
    if flags["activity_mbq"] is not None:
        facts = _dose_facts(shunt, flags, mass)
        said = {
            "formula": shunt.formula,
            "inputs": content["inputs"] | facts["inputs"],
            "assumptions": content["assumptions"],
            "sources": [*shunt.sources, *facts["sources"]],
            "warnings": [*shunt.warnings, *facts["warnings"]],
        }
        content |= facts | said
    elif flags["earlier_gy"]:
        msg = "--earlier-gy needs --activity-mbq, the activity whose lung dose it is added to."
        raise click.UsageError(msg)
    if flags["as_json"]:
        print_json(content)
        return
    sd = f" ± {100 * shunt.sd:.2g} (counting statistics)" if shunt.sd is not None else ""
    click.echo(f"lung shunt {100 * shunt.fraction:.2f} %{sd}, {shunt.method}: {shunt.formula}")
    click.echo(f"counts: lung {shunt.lung_counts:.6g}, liver {shunt.liver_counts:.6g}")
    _print_dose(content)


def _print_dose(content: dict[str, Any]) -> None:
    if content["lung_gy"] is not None:
        click.echo(
            f"lung dose {content['lung_gy']:.2f} Gy in {content['lung_mass_g']:.0f} g ({content['lung_mass_source']}), "
            f"{content['cumulative_gy']:.2f} Gy with earlier treatments; K = {content['constants']['gy_kg_per_gbq']:.2f} Gy kg/GBq"
        )
        for row in content["limits"]:
            click.echo(
                f"  {row['name']}: {row['value_gy']:.1f} of {row['limit_gy']:g} Gy, {'kept' if row['met'] else 'EXCEEDED'}"
            )
        if content["allowed_mbq"] is not None:
            click.echo(f"  activity that keeps both limits: {content['allowed_mbq']:.0f} MBq in the patient")
    for assumption in content["assumptions"]:
        click.echo(f"assumed: {assumption}", err=True)
    for warning in content["warnings"]:
        click.echo(f"warning: {warning}", err=True)
