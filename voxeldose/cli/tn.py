"""``voxeldose tn``: tumor to normal liver."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from voxeldose.cli.case_input import content_of
from voxeldose.cli.options import PATH, json_option
from voxeldose.cli.terminal import print_answer

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["tn"]


@click.command(short_help="Tumor to normal ratio, of each tumor and of all pooled.")
@click.argument("source", required=False, type=PATH, metavar="[CASE|RESULTS]")
@click.option(
    "--tumor", "tumors", nargs=2, type=float, multiple=True, metavar="COUNTS ML", help="Counts and volume of a tumor."
)
@click.option("--normal", nargs=2, type=float, metavar="COUNTS ML", help="Counts and volume of the normal region.")
@click.option(
    "--tumor-gy", "tumors_gy", nargs=2, type=float, multiple=True, metavar="GY ML", help="Or mean dose and volume."
)
@click.option("--normal-gy", nargs=2, type=float, metavar="GY ML", help="Mean dose and volume of the normal region.")
@click.option("--normal-is", "definition", help="What the normal region is, such as 'perfused normal liver'.")
@json_option
def tn(
    source: Path | None,
    tumors: tuple[tuple[float, float], ...],
    normal: tuple[float, float] | None,
    tumors_gy: tuple[tuple[float, float], ...],
    normal_gy: tuple[float, float] | None,
    definition: str | None,
    as_json: bool,
) -> None:
    """Tumor to normal liver, of each tumor and of all pooled, by counts and by dose.

    From a case file or a results folder, or from numbers: counts (or activity) with --tumor and --normal, mean doses with
    --tumor-gy and --normal-gy.
    """
    by_counts, by_dose = bool(tumors) or normal is not None, bool(tumors_gy) or normal_gy is not None
    if sum((source is not None, by_counts, by_dose)) != 1:
        msg = "give a CASE or RESULTS, or --tumor with --normal, or --tumor-gy with --normal-gy: one of them."
        raise click.UsageError(msg)
    from voxeldose.planning.answers.ratios import answer_ratio, answer_ratio_of_results

    if source is not None:
        if definition is not None:
            msg = "--normal-is goes with numbers; a case knows its normal region."
            raise click.UsageError(msg)
        answer = answer_ratio_of_results(content_of(source, quiet=as_json, is_relative=True), str(source))
    else:
        pairs, region = (tumors, normal) if by_counts else (tumors_gy, normal_gy)
        if not pairs or region is None:
            msg = "tumors and the normal region belong together."
            raise click.UsageError(msg)
        answer = answer_ratio(pairs, region, definition, by_dose=by_dose)
    print_answer(answer, as_json=as_json)
