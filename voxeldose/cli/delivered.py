"""``voxeldose plan delivered``."""

from __future__ import annotations

from typing import Any

import click

from voxeldose.cli.options import CONSTANTS, Instant
from voxeldose.cli.plan_answer import constants_for, facts_of_constants, print_json, print_notes
from voxeldose.cli.terminal import print_rows

__all__ = ["delivered"]

FORMULA = "A = A_vial 2^(-(t - t_vial)/T½) - A_res 2^((t_res - t)/T½); into the liver A (1 - LSF)"


@click.command(short_help="Activity that entered the patient, from assays.")
@click.option("--assay-mbq", type=float, required=True, help="Activity of the vial by its assay.")
@click.option("--assayed-at", type=Instant(), required=True, help="The assay, with its zone.")
@click.option("--at", type=Instant(), required=True, help="The infusion, with its zone.")
@click.option("--residual-mbq", type=float, default=0.0, help="Left in vial and tubing, by its own assay.")
@click.option("--residual-at", type=Instant(), help="That assay; the infusion without it.")
@click.option("--lung-shunt", type=float, help="Lung shunt fraction, 0 to 1.")
@click.option("--constants", type=CONSTANTS, help="Set of Y-90 constants (default ddep).")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def delivered(
    assay_mbq: float,
    assayed_at: Any,
    at: Any,
    residual_mbq: float,
    residual_at: Any,
    lung_shunt: float | None,
    **shared: Any,
) -> None:
    """Activity that entered the patient, at the infusion, from the assays of vial and residual."""
    from voxeldose.model.administration import Assay, administration_from_assays, unit_doubts

    nuclide = constants_for(shared, None)
    found = administration_from_assays(
        nuclide,
        at=at,
        vial=Assay(assay_mbq, assayed_at),
        residual=Assay(residual_mbq, residual_at or at),
        lung_shunt_fraction=lung_shunt,
    )
    vial_mbq = found.administered_mbq or 0.0
    assumed = [] if lung_shunt is not None else ["No lung shunt fraction was given: 0 is taken."]
    if residual_mbq == 0:
        assumed.append("No residual was given: 0 is taken.")
    elif residual_at is None:
        assumed.append("The residual is as of the infusion.")
    content: dict[str, Any] = {
        "schema": "voxeldose/delivered/1",
        "activity_mbq": found.net_mbq,
        "liver_mbq": found.liver_mbq,
        "lung_mbq": found.net_mbq - found.liver_mbq,
        "vial_at_infusion_mbq": vial_mbq,
        "residual_at_infusion_mbq": found.residual_mbq,
        "residual_fraction": found.residual_mbq / vial_mbq,
        "formula": FORMULA,
        "constants": facts_of_constants(nuclide),
        "inputs": {
            "assay_mbq": assay_mbq,
            "assayed_at": assayed_at.isoformat(),
            "at": at.isoformat(),
            "residual_mbq": residual_mbq,
            "residual_at": residual_at.isoformat() if residual_at else None,
            "lung_shunt_fraction": lung_shunt,
        },
        "bounds": [],
        "sources": ["Radioactive decay; vial and residual are assayed in the same calibrator", nuclide.source],
        "assumptions": assumed,
        "warnings": list(unit_doubts(found.net_mbq)),
    }
    if shared["as_json"]:
        print_json(content)
        return
    rows = (
        ("vial", vial_mbq),
        ("residual", found.residual_mbq),
        ("in the patient", found.net_mbq),
        ("in the liver", found.liver_mbq),
    )
    print_rows([{"at the infusion": name, "MBq": f"{mbq:.1f}"} for name, mbq in rows])
    click.echo(f"residual {100 * content['residual_fraction']:.2f} % of the vial")
    print_notes(content)
