"""``voxeldose plan``: activity for a wanted dose, and back to the vial."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from voxeldose.cli.delivered import delivered
from voxeldose.cli.options import PATH
from voxeldose.cli.plan_answer import answer, constants_for, predicted, shared_options, shunt_of
from voxeldose.cli.vial import vial

if TYPE_CHECKING:
    from pathlib import Path

    from voxeldose.model.assessment import Assessment
    from voxeldose.planning.voxels import Wish

__all__ = ["plan"]


@click.group(short_help="Activity for a wanted dose, its doses, and the vial.")
def plan() -> None:
    """Activity for a wanted dose, the dose of an activity, and the vial for it.

    Masses in g, doses in Gy, activities in MBq in the patient at the infusion: net of residual, lung shunt included.
    """


@plan.command()
@click.argument("case", required=False, type=PATH)
@click.option("--mass-g", type=float, help="Perfused volume; from the case's region of role perfused without it.")
@click.option("--roi", help="The case's perfused region, if none has that role.")
@click.option("--dose-gy", type=float, help="Wanted mean dose of the perfused volume.")
@click.option("--activity-mbq", type=float, help="Or the activity whose dose is asked for.")
@shared_options
def mird(
    case: Path | None,
    mass_g: float | None,
    roi: str | None,
    dose_gy: float | None,
    activity_mbq: float | None,
    **shared: Any,
) -> None:
    """Single compartment: A = D m / (K (1 - LSF))."""
    _one_of(("--dose-gy", dose_gy), ("--activity-mbq", activity_mbq))
    _one_of(("CASE", case), ("--mass-g", mass_g))
    from dataclasses import replace

    from voxeldose.planning.compartments import plan_mird
    from voxeldose.planning.from_assessment import perfused_mass_g
    from voxeldose.planning.plan import Lungs

    said: tuple[str, ...] = ()
    result = predicted(case, shared) if case else None
    if result is not None:
        mass_g, name = perfused_mass_g(result, roi)
        said = (f"The perfused volume is {name}, {mass_g:.1f} g by the case.",)
    assert mass_g is not None  # noqa: S101 - see above
    found = plan_mird(
        mass_g,
        constants_for(shared, result),
        dose_gy=dose_gy,
        activity_mbq=activity_mbq,
        lungs=Lungs(shunt_of(shared, result), shared["lung_g"]),
    )
    inputs = {"mass_g": mass_g, "dose_gy": dose_gy, "activity_mbq": activity_mbq}
    answer(replace(found, assumptions=(*said, *found.assumptions)), inputs, shared, "single compartment", result)


@plan.command(short_help="Partition model: tumors, normal liver, lungs; inverse.")
@click.argument("case", required=False, type=PATH)
@click.option("--tumor-g", type=float, multiple=True, help="Mass of a tumor; may be repeated.")
@click.option("--tn", type=float, multiple=True, help="T/N of each tumor in that order; one for all.")
@click.option("--normal-g", type=float, help="Normal liver that is perfused.")
@click.option("--unperfused-g", type=float, help="Normal liver that is not, for the mean of all of it.")
@click.option("--territories", type=PATH, help="TOML file with several territories and tumors, instead of the masses.")
@click.option("--activity-mbq", type=float, help="The activity whose doses are asked for.")
@click.option("--tumor-gy", type=float, help="Or the goal: mean dose that every tumor is to reach.")
@click.option("--normal-limit-gy", type=float, help="Limit for the mean of all normal liver.")
@click.option("--lung-limit-gy", type=float, help="Limit for the mean of the lungs.")
@shared_options
def partition(
    case: Path | None,
    territories: Path | None,
    activity_mbq: float | None,
    tumor_gy: float | None,
    normal_limit_gy: float | None,
    lung_limit_gy: float | None,
    **shared: Any,
) -> None:
    """Partition model: tumors, normal liver and lungs, forward and inverse."""
    from dataclasses import replace

    from voxeldose.planning.compartments import plan_partition, plan_partition_for

    asked = {"tumor_gy": tumor_gy, "normal_limit_gy": normal_limit_gy, "lung_limit_gy": lung_limit_gy}
    wants = any(value is not None for value in asked.values())
    _one_of(
        ("CASE", case),
        ("--territories", territories),
        ("--normal-g or --tumor-g", shared["normal_g"] is not None or bool(shared["tumor_g"]) or None),
    )
    result = predicted(case, shared) if case else None
    parts, given_mbq, lung_g, unperfused_g, said = _parts(result, territories, shared)
    activities = [activity_mbq] if activity_mbq is not None else given_mbq
    if wants and activity_mbq is not None:
        msg = "give --activity-mbq, or a goal and limits."
        raise click.UsageError(msg)
    if not wants and len([a for a in activities if a is not None]) < len(parts):
        msg = "give an activity for every territory (--activity-mbq, or activity_mbq in the file), or --tumor-gy."
        raise click.UsageError(msg)
    nuclide = constants_for(shared, result)
    if wants:
        found = plan_partition_for(parts, nuclide, lung_g=lung_g, unperfused_g=unperfused_g, **asked)
    else:
        known = [a for a in activities if a is not None]
        found = plan_partition(parts, known, nuclide, lung_g=lung_g, unperfused_g=unperfused_g)
    from dataclasses import asdict

    inputs = {
        "territories": [asdict(p) for p in parts],
        "unperfused_g": unperfused_g,
        "activity_mbq": activity_mbq,
        **asked,
    }
    shared["lung_g"] = lung_g
    answer(replace(found, assumptions=(*said, *found.assumptions)), inputs, shared, "partition", result)


def _parts(
    result: Assessment | None, file: Path | None, shared: dict[str, Any]
) -> tuple[list[Any], list[float | None], float | None, float, tuple[str, ...]]:
    """Territories, their activities, masses of lungs and of unperfused liver, and what is assumed."""
    from voxeldose.planning.compartments import Territory, Tumor
    from voxeldose.planning.from_assessment import territory_of

    masses, ratios = shared.pop("tumor_g"), shared.pop("tn")
    normal_g, unperfused_g = shared.pop("normal_g"), shared.pop("unperfused_g")
    if result is not None:
        territory, rest_g, said = territory_of(result, shunt_of(shared, result))
        return [territory], [None], shared["lung_g"], rest_g if unperfused_g is None else unperfused_g, said
    if file is not None:
        from voxeldose.io.config.plan import read_territories

        table = read_territories(file)
        parts = [
            Territory(
                tuple(Tumor(t.name, t.mass_g, t.tn) for t in row.tumors),
                row.normal_g,
                row.lung_shunt_fraction if row.lung_shunt_fraction is not None else shared["lung_shunt"],
                row.name,
            )
            for row in table.territory
        ]
        lung_g = shared["lung_g"] if shared["lung_g"] is not None else table.lung_g
        rest_g = table.unperfused_g if unperfused_g is None else unperfused_g
        return parts, [row.activity_mbq for row in table.territory], lung_g, rest_g, ()
    if len(ratios) not in (len(masses), 1) or (ratios and not masses):
        msg = f"{len(masses)} tumors (--tumor-g) need as many ratios (--tn), or one for all; found {len(ratios)}."
        raise click.UsageError(msg)
    ratios = ratios * len(masses) if len(ratios) == 1 else ratios
    tumors = tuple(
        Tumor(f"tumor_{n}", mass, ratio) for n, (mass, ratio) in enumerate(zip(masses, ratios, strict=True), 1)
    )
    return (
        [Territory(tumors, normal_g or 0.0, shared["lung_shunt"], "liver")],
        [None],
        shared["lung_g"],
        unperfused_g or 0.0,
        (),
    )


@plan.command(short_help="Scale the dose map of a pre-treatment SPECT to a goal.")
@click.argument("case", type=PATH)
@click.option(
    "--goal", "goals", multiple=True, metavar="ROI.METRIC=VALUE", help="Such as lesion_1.mean=400; may be repeated."
)
@click.option("--limit", "limits", multiple=True, metavar="ROI.METRIC=VALUE", help="Such as normal_liver.mean=75.")
@shared_options
def voxel(case: Path, goals: tuple[str, ...], limits: tuple[str, ...], **shared: Any) -> None:
    """Voxel by voxel: scale the dose map that a pre-treatment image predicts.

    METRIC is mean, min, max, D95 (dose that 95 % receive at least) or V400 (fraction 0-1 that gets 400 Gy or more). ROI is a
    region's name, or a role such as tumor, which means every region of it.
    """
    if not goals and not limits:
        msg = "give a --goal or a --limit."
        raise click.UsageError(msg)
    wanted, kept = [_wish(g) for g in goals], [_wish(g) for g in limits]
    from voxeldose.dose.assess import what_if
    from voxeldose.planning.plan import Lungs
    from voxeldose.planning.voxels import plan_voxels

    result = predicted(case, shared)
    found = plan_voxels(result, wanted, kept, lungs=Lungs(shared["lung_shunt"], shared["lung_g"]))
    factor = found.activity_mbq / result.case.administration.net_mbq
    answer(
        found, {"goals": list(goals), "limits": list(limits)}, shared, "voxel", what_if(result, activity_factor=factor)
    )


def _wish(text: str) -> Wish:
    from voxeldose.errors import QuantityError
    from voxeldose.planning.voxels import Wish

    where, _, number = text.rpartition("=")
    roi, _, metric = where.rpartition(".")
    try:
        value = float(number.strip().removesuffix("%")) / (100 if number.strip().endswith("%") else 1)
    except ValueError:
        value = None
    if not roi or not metric or value is None:
        msg = f"{text!r} is not of the form ROI.METRIC=VALUE, such as lesion_1.mean=400."
        raise click.UsageError(msg)
    try:
        return Wish(roi, metric, value)
    except QuantityError as error:
        raise click.UsageError(str(error)) from error


@plan.command(short_help="Resin by body surface area: an activity, no dose.")
@click.argument("case", required=False, type=PATH)
@click.option("--height-m", type=float, required=True)
@click.option("--weight-kg", type=float, required=True)
@click.option(
    "--tumor-part", type=float, help="Tumor over whole liver volume, 0 to 1; from the case's regions without it."
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def bsa(case: Path | None, height_m: float, weight_kg: float, tumor_part: float | None, as_json: bool) -> None:
    """Resin microspheres by body surface area: an activity without a dose, for comparison."""
    from dataclasses import replace

    from voxeldose.planning.body_surface import plan_body_surface
    from voxeldose.planning.from_assessment import tumor_part_of

    _one_of(("CASE", case), ("--tumor-part", tumor_part))
    none = dict.fromkeys(("lung_shunt", "lung_g", "device", "constants", "thresholds"))
    shared: dict[str, Any] = none | {"as_json": as_json}
    said: tuple[str, ...] = ()
    if case is not None:
        tumor_part, regions = tumor_part_of(predicted(case, shared))
        said = (f"The tumor's part of the liver is {tumor_part:.4f} by the case's regions: {regions}.",)
    assert tumor_part is not None  # noqa: S101 - see above
    found = plan_body_surface(height_m, weight_kg, tumor_part)
    inputs = {"height_m": height_m, "weight_kg": weight_kg, "tumor_part": tumor_part}
    answer(replace(found, assumptions=(*said, *found.assumptions)), inputs, shared, "", None)


def _one_of(*options: tuple[str, object]) -> None:
    if sum(value is not None for _, value in options) != 1:
        msg = f"give {' or '.join(name for name, _ in options)}, exactly one."
        raise click.UsageError(msg)


plan.add_command(vial)
plan.add_command(delivered)
