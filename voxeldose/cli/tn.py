"""``voxeldose tn``: tumor to normal liver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from voxeldose.cli.options import PATH
from voxeldose.cli.plan_answer import assessment_of, print_json, text
from voxeldose.cli.terminal import print_rows

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["tn"]

FORMULA = "T/N = (N_T / V_T) / (N_N / V_N) by counts or activity; mean dose over mean dose by dose; pooled: sums of all tumors"
SOURCES = [
    "Ho et al., Eur. J. Nucl. Med. 23 (1996) 947-952 (T/N of the partition model, normal liver of the same territory)",
    "Mikell et al. 2016, doi:10.1016/j.ijrobp.2016.07.021 (the normal region drawn is a source of uncertainty)",
]
ASSUMED = (
    "Tumor and normal liver are of the same density; partial volume is not corrected, and lowers T/N of small tumors."
)


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
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
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
    if source is not None:
        if definition is not None:
            msg = "--normal-is goes with numbers; a case knows its normal region."
            raise click.UsageError(msg)
        content = _of_assessment(source, as_json)
    else:
        pair = (tumors, normal) if by_counts else (tumors_gy, normal_gy)
        if not pair[0] or pair[1] is None:
            msg = "tumors and the normal region belong together."
            raise click.UsageError(msg)
        content = _of_numbers(pair[0], pair[1], definition, by_dose=by_dose)
    if as_json:
        print_json(content)
        return
    print_rows(
        [
            {
                "tumor": row["roi"],
                "T/N by counts": text(row["by_concentration"], ".2f"),
                "by dose": text(row["by_dose"], ".2f"),
            }
            for row in content["tumor_to_normal"]
        ]
    )
    for row in content["tumor_to_normal"][:1]:
        click.echo(f"normal: {row['normal']}, {row['normal_volume_ml']:.1f} mL")
    click.echo(f"Formula: {FORMULA}")
    for said in SOURCES:
        click.echo(f"Source: {said}")
    for said in content["assumptions"]:
        click.echo(f"assumed: {said}")


def _of_numbers(
    tumors: tuple[tuple[float, float], ...], normal: tuple[float, float], definition: str | None, *, by_dose: bool
) -> dict[str, Any]:
    from dataclasses import asdict

    from voxeldose.dose.metrics import tumor_to_normal_of

    named = {f"tumor_{n}": pair for n, pair in enumerate(tumors, 1)}
    said = definition or "as given; what region it is was not said"
    rows = [asdict(row) for row in tumor_to_normal_of(named, normal, said, by_dose=by_dose)]
    inputs = {"tumors": [list(pair) for pair in tumors], "normal": list(normal), "by": "dose" if by_dose else "counts"}
    assumed = [ASSUMED]
    if definition is None:
        assumed.append(
            "Normal liver that the infusion reached is meant: with whole liver T/N comes out too high (--normal-is)."
        )
    return _content(rows, inputs, {}, assumed)


def _of_assessment(source: Path, quiet: bool) -> dict[str, Any]:
    from voxeldose.errors import InputError

    found = assessment_of(source, quiet, is_relative=True)
    rows = found.get("tumor_to_normal")
    if not rows:
        msg = f"{source}: T/N needs regions of role tumor and of normal liver; there are {', '.join(found['rois'])}."
        raise InputError(msg)
    assumed = [
        ASSUMED,
        *(a["message"] for a in found["assumptions"] if a["message"].startswith(("T/N", "normal_liver is"))),
    ]
    return _content(rows, {"source": str(source)}, found["constants"], assumed)


def _content(
    rows: list[dict[str, Any]], inputs: dict[str, Any], constants: dict[str, Any], assumptions: list[str]
) -> dict[str, Any]:
    return {
        "schema": "voxeldose/tn/1",
        "tumor_to_normal": rows,
        "formula": FORMULA,
        "constants": constants,
        "inputs": inputs,
        "sources": SOURCES,
        "assumptions": assumptions,
        "warnings": [],
    }
