"""``voxeldose card``: the radiation segmentectomy card."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from voxeldose.cli.options import PATH, Instant
from voxeldose.cli.plan_answer import assessment_of
from voxeldose.cli.terminal import print_rows

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["card"]


@click.command(short_help="Radiation segmentectomy: a case beside published facts.")
@click.argument("source", required=False, type=PATH, metavar="[CASE|RESULTS]")
@click.option("--perfused-gy", type=float, help="Single-compartment mean of the perfused volume, if not from the case.")
@click.option("--sphere-bq-at-calibration", type=float, help="Activity a sphere at calibration.")
@click.option("--calibrated-at", type=Instant(), help="Calibration of the vial.")
@click.option("--at", type=Instant(), help="The infusion, if not from the case.")
@click.option("--treated-fraction", type=float, help="Perfused over whole liver volume, 0 to 1, if not from the case.")
@click.option("--albi", "albi_grade", type=click.IntRange(1, 3), help="ALBI grade.")
@click.option("--child-pugh", type=click.Choice(["A", "B", "C"], case_sensitive=False), help="Class.")
@click.option("--segments", type=click.IntRange(1, 9), help="Segments treated.")
@click.option("--tumor-diameter-mm", type=float, help="Of the largest tumor.")
@click.option("--tn", "tumor_to_normal", type=float, help="T/N, if not from the case.")
@click.option(
    "--tumor",
    "tumors",
    nargs=2,
    type=float,
    multiple=True,
    metavar="V400 D95",
    help="Of a tumor: part that gets 400 Gy, 0 to 1, and D95 in Gy; if not from the case.",
)
@click.option("--device", type=click.Choice(["glass", "resin"]), help="If not from the case.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def card(
    source: Path | None,
    sphere_bq_at_calibration: float | None,
    calibrated_at: Any,
    at: Any,
    tumors: tuple[tuple[float, float], ...],
    as_json: bool,
    **known: Any,
) -> None:
    """Radiation segmentectomy: the facts of a case beside what published series compare them with.

    From a case file, a results folder (or its assessment.json), or the flags alone. It shows, it does not recommend.
    """
    from dataclasses import asdict

    from voxeldose.errors import InputError
    from voxeldose.io.results.assessment import plain
    from voxeldose.model.radionuclide import y90_constants
    from voxeldose.planning.segmentectomy import WORDS, SegmentectomyFacts, facts_of, segmentectomy_card

    content = assessment_of(source, as_json) if source else None
    nuclide = y90_constants(content["constants"]["name"] if content else "ddep")
    known["bq_per_sphere"] = _bq_per_sphere(sphere_bq_at_calibration, calibrated_at, at, content, nuclide)
    if tumors:
        known["tumors"] = tuple((f"tumor_{n}", *pair) for n, pair in enumerate(tumors, 1))
    try:
        facts = facts_of(content, **known) if content else SegmentectomyFacts(**known)
    except KeyError as error:
        msg = f"{source}: is not a whole assessment, {error} is missing. Assess the case anew."
        raise InputError(msg) from error
    rows = segmentectomy_card(facts, nuclide)
    if as_json:
        answer = {
            "schema": "voxeldose/card/1",
            "rows": [asdict(r) for r in rows],
            "formula": "K A (1 - LSF) / m of the perfused volume; SA(t) = SA_cal 2^(-(t - t_cal)/T½)",
            "constants": {
                "name": nuclide.constants,
                "gy_kg_per_gbq": nuclide.gy_kg_per_gbq,
                "half_life_h": nuclide.half_life_h,
            },
            "inputs": asdict(facts),
            "sources": [*dict.fromkeys(r.source for r in rows), nuclide.source],
        }
        click.echo(json.dumps(plain(answer), indent=2, ensure_ascii=False, allow_nan=False))
        return
    print_rows(
        [
            {
                "item": r.item,
                "value": _amount(r.value, r.unit),
                "reference": f"{WORDS[r.sense]} {_amount(r.reference, r.unit)}" if r.reference is not None else "-",
                "status": r.status,
            }
            for r in rows
        ]
    )
    click.echo("\nEvidence, as the sources have it; no recommendation:")
    for r in dict.fromkeys(
        (r.item, r.reference, r.unit, r.evidence, r.source) for r in rows if r.reference is not None
    ):
        click.echo(f"- {r[0]}, {_amount(r[1], r[2])}: {r[3]}. {r[4]}.")


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.1f} %" if unit == "fraction" else f"{value:.4g} {unit}".strip()


def _bq_per_sphere(
    at_calibration: float | None, calibrated_at: Any, at: Any, content: Any, nuclide: Any
) -> float | None:
    """At the infusion; ``None`` if it is not given at all."""
    if at_calibration is None and calibrated_at is None:
        return None
    from datetime import datetime

    from voxeldose.errors import QuantityError
    from voxeldose.model.volume import require_zone
    from voxeldose.planning.vials import bq_per_sphere_at

    told = content["administration"]["at"] if content else None
    infused = at or (datetime.fromisoformat(told) if told else None)
    if at_calibration is None or calibrated_at is None or infused is None:
        msg = "Activity a sphere needs --sphere-bq-at-calibration, --calibrated-at and the infusion (--at, or from the case)."
        raise QuantityError(msg)
    require_zone(calibrated_at, "--calibrated-at")
    require_zone(infused, "--at")
    if infused < calibrated_at:
        msg = f"The infusion at {infused.isoformat()} lies before the calibration {calibrated_at.isoformat()}."
        raise QuantityError(msg)
    return bq_per_sphere_at(at_calibration, calibrated_at, infused, nuclide)
