"""``voxeldose card``: the radiation segmentectomy card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from voxeldose.cli.case_input import content_of
from voxeldose.cli.idle import Idle, refuse_idle
from voxeldose.cli.options import DEVICE, PATH, Instant, json_option
from voxeldose.cli.terminal import print_answer

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["card"]


@click.command(short_help="Radiation segmentectomy: a case next to published facts.")
@click.argument("source", required=False, type=PATH, metavar="[CASE|RESULTS]")
@click.option("--perfused-gy", type=float, help="Single-compartment mean of the perfused volume, if not from the case.")
@click.option("--sphere-bq-at-calibration", type=float, help="Activity per sphere at calibration.")
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
@click.option("--device", type=DEVICE, help="If not from the case.")
@json_option
@refuse_idle(
    Idle("at", without="sphere_bq_at_calibration calibrated_at", why="the infusion is for the activity per sphere"),
)
def card(
    source: Path | None,
    sphere_bq_at_calibration: float | None,
    calibrated_at: Any,
    at: Any,
    tumors: tuple[tuple[float, float], ...],
    as_json: bool,
    **known: Any,
) -> None:
    """Radiation segmentectomy: the facts of a case next to what published series compare them with.

    From a case file, a results folder (or its assessment.json), or the flags alone. It shows, it does not recommend.
    """
    from voxeldose.dose.segmentectomy import SegmentectomyFacts, TumorCoverage
    from voxeldose.planning.answers.cards import SphereActivity, answer_card

    content = content_of(source, quiet=as_json) if source else None
    given = SegmentectomyFacts(
        tumors=tuple(TumorCoverage(f"tumor_{n}", *pair) for n, pair in enumerate(tumors, 1)), **known
    )
    has_spheres = sphere_bq_at_calibration is not None or calibrated_at is not None
    spheres = SphereActivity(sphere_bq_at_calibration, calibrated_at, at) if has_spheres else None
    answer = answer_card(given, content, spheres=spheres, source=str(source))
    print_answer(answer, as_json=as_json)
