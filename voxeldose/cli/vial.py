"""``voxeldose plan vial``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from voxeldose.cli.options import CONSTANTS, PATH, Instant
from voxeldose.cli.plan_answer import constants_for, facts_of_constants, predicted, print_json, print_notes, text
from voxeldose.cli.terminal import print_rows

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["vial"]


@click.command(short_help="The vial for an activity at the hour of infusion.")
@click.argument("case", required=False, type=PATH)
@click.option(
    "--activity-mbq", type=float, required=True, help="Wanted in the patient at the infusion, lungs included."
)
@click.option("--at", type=Instant(), help="The infusion, with its zone; the case's without it.")
@click.option(
    "--calibrated-at", "calibrations", type=Instant(), multiple=True, help="Calibration of the vial; repeat to choose."
)
@click.option(
    "--residual-fraction", type=float, default=0.0, show_default=True, help="Part that stays in vial and tubing."
)
@click.option("--vial-gbq", "sizes", type=float, multiple=True, help="Sizes at calibration, instead of the product's.")
@click.option("--sphere-bq-at-calibration", type=float, help="Activity a sphere, instead of the product's nominal one.")
@click.option("--shelf-life-h", type=float, help="From calibration to the last use.")
@click.option("--expires-at", type=Instant(), help="Or the instant after which the vial must not be used.")
@click.option("--tumor-ml", type=float, help="Volume of the tumors, for spheres a mL; the case's without it.")
@click.option("--product", "file", type=PATH, help="TOML file with your supplier's vials and spheres.")
@click.option(
    "--device", type=click.Choice(["glass", "resin"]), help="Decides vials and spheres; the case's without it."
)
@click.option("--lung-shunt", type=float, help="Checked alone: the activity wanted counts the lungs' part.")
@click.option("--constants", type=CONSTANTS, help="Set of Y-90 constants (default ddep, or the case's).")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def vial(
    case: Path | None,
    activity_mbq: float,
    at: Any,
    calibrations: tuple[Any, ...],
    residual_fraction: float,
    expires_at: Any,
    tumor_ml: float | None,
    file: Path | None,
    **shared: Any,
) -> None:
    """The vial for an activity at the hour of infusion, and how many spheres that is."""
    from dataclasses import replace

    from voxeldose.planning.plan import Lungs
    from voxeldose.planning.vials import plan_vial

    lungs, said = Lungs(shared["lung_shunt"]), []
    result = predicted(case, shared | {"thresholds": None}) if case else None
    if result is not None:
        from voxeldose.planning.from_assessment import tumor_ml as tumor_ml_of

        given = result.case.administration
        shared["device"] = shared["device"] or given.device
        if at is None and given.at is not None:
            at = given.at
            said.append(f"The infusion is at {at.isoformat()}, as the case says.")
        if tumor_ml is None and tumor_ml_of(result) > 0:
            tumor_ml = tumor_ml_of(result)
            said.append(f"The tumors are {tumor_ml:.2f} mL by the case's regions.")
    if at is None:
        msg = "--at is needed, the infusion with its zone" + (": the case does not say it." if case else ".")
        raise click.UsageError(msg)
    if lungs.shunt_fraction is not None:
        said.append("The activity wanted is all that enters the patient, so the lung shunt changes no vial.")
    product = _product(file, shared)
    found = plan_vial(
        activity_mbq,
        at,
        constants_for(shared, result),
        product=product,
        calibrations=calibrations,
        residual_fraction=residual_fraction,
        expires_at=expires_at,
        tumor_ml=tumor_ml,
    )
    found = replace(found, assumptions=(*said, *found.assumptions))
    one = found.chosen
    rows = [
        {
            "vial_gbq": o.vial_gbq,
            "calibration_at": o.calibration_at.isoformat(),
            "at_infusion_mbq": o.at_infusion_mbq,
            "net_mbq": o.net_mbq,
            "excess_fraction": o.excess_fraction,
            "bq_per_sphere": o.bq_per_sphere,
            "spheres_in_vial": o.spheres,
        }
        for o in found.options
    ]
    content = {
        "schema": "voxeldose/plan/1",
        "activity_mbq": activity_mbq,
        "at": at.isoformat(),
        "needed_in_vial_mbq": found.needed_mbq,
        "vial_gbq": one.vial_gbq,
        "vial_mci": one.vial_mci,
        "calibration_at": one.calibration_at.isoformat(),
        "vial_at_infusion_mbq": one.at_infusion_mbq,
        "vial_net_mbq": one.net_mbq,
        "excess_fraction": one.excess_fraction,
        "bq_per_sphere": one.bq_per_sphere,
        "spheres": found.spheres,
        "spheres_in_vial": one.spheres,
        "spheres_per_ml": found.spheres_per_ml,
        "options": rows,
        "device": shared["device"],
        "inputs": {
            "activity_mbq": activity_mbq,
            "at": at.isoformat(),
            "calibrated_at": [c.isoformat() for c in calibrations],
            "residual_fraction": residual_fraction,
            "expires_at": expires_at.isoformat() if expires_at else None,
            "tumor_ml": tumor_ml,
            "device": shared["device"],
            "lung_shunt_fraction": lungs.shunt_fraction,
        },
        "formula": found.formula,
        "constants": facts_of_constants(found.radionuclide),
        "sources": [*found.sources, found.radionuclide.source],
        "assumptions": list(found.assumptions),
        "warnings": list(found.warnings),
    }
    if shared["as_json"]:
        print_json(content)
        return
    print_rows(
        [
            {
                "vial": ("> " if o is one else "  ") + f"{o.vial_gbq:.4g} GBq ({o.vial_mci:.0f} mCi)",
                "calibrated": o.calibration_at.isoformat(),
                "at infusion MBq": f"{o.at_infusion_mbq:.1f}",
                "net MBq": f"{o.net_mbq:.1f}",
                "above wanted %": f"{100 * o.excess_fraction:+.1f}",
                "Bq a sphere": text(o.bq_per_sphere, ".1f"),
                "10^6 spheres": text(o.spheres and o.spheres / 1e6, ".3f"),
            }
            for o in found.options
        ]
    )
    click.echo(
        f"\nWanted {activity_mbq:g} MBq in the patient at {at.isoformat()}: {found.needed_mbq:.1f} MBq in the vial."
    )
    if found.spheres is not None:
        per_ml = f", {found.spheres_per_ml:.0f} a mL of tumor" if found.spheres_per_ml else ""
        click.echo(f"{found.spheres:.4g} spheres carry it at {one.bq_per_sphere:.1f} Bq each{per_ml}.")
    print_notes(content)


def _product(file: Path | None, shared: dict[str, Any]) -> Any:
    from voxeldose.planning.vials import Product

    sizes, sphere_bq = shared.pop("sizes"), shared.pop("sphere_bq_at_calibration")
    shelf_h, device = shared.pop("shelf_life_h"), shared["device"]
    if file is not None and device is None:
        msg = "--product needs --device, which of its tables to take."
        raise click.UsageError(msg)
    known: dict[str, Any] = {}
    if device is not None:
        from voxeldose.io.config.plan import read_product

        known = read_product(device, file).model_dump()
        known["vials_gbq"] = tuple(known["vials_gbq"])
    if sizes:
        known |= {"vials_gbq": sizes, "vials_source": "given"}
    if sphere_bq is not None:
        known |= {"bq_per_sphere": sphere_bq, "bq_per_sphere_source": "given"}
    if shelf_h is not None:
        known["shelf_life_h"] = shelf_h
    return Product(device or "unnamed", **known) if known else None
