"""``voxeldose compare``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from voxeldose.cli.options import PATH, progress
from voxeldose.cli.terminal import print_rows

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["compare"]

_COLUMNS = (("mean Gy", "mean_dose_gy"), ("D95", "d95_gy"), ("D70", "d70_gy"), ("volume mL", "volume_ml"))


@click.command(short_help="Predicted and delivered dose side by side.")
@click.argument("results", nargs=-1, required=True, type=PATH)
@click.option("--out", type=PATH, help="Folder for the comparison; only the terminal without it.")
@click.option("--roi", "rois", multiple=True, metavar="NAME", help="Compare only this ROI; repeatable.")
@click.option(
    "--transform",
    "transforms",
    type=PATH,
    multiple=True,
    help="Rigid transform from PRE to POST: .txt with 4 x 4 numbers (LPS, mm), or ITK's .tfm. With --add one for each "
    "but the last.",
)
@click.option("--same-frame", is_flag=True, help="The doses lie in one frame, whatever their frames of reference say.")
@click.option("--gamma-percent", type=float, default=3.0, show_default=True, help="Dose criterion of gamma.")
@click.option("--gamma-mm", type=float, default=3.0, show_default=True, help="Distance criterion of gamma.")
@click.option("--gamma-local", is_flag=True, help="Percent of the voxel's dose, not of the highest.")
@click.option("--gamma-cutoff-percent", type=float, default=10.0, show_default=True, help="Voxels below are left out.")
@click.option("--add", is_flag=True, help="Add the doses of several treatments; BED is summed treatment by treatment.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier comparison.")
@click.option("--json", "as_json", is_flag=True, help="Print comparison.json instead of the table.")
@click.option("--quiet", is_flag=True, help="No progress and no table.")
def compare(
    results: tuple[Path, ...],
    out: Path | None,
    transforms: tuple[Path, ...],
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    **words: Any,
) -> None:
    """Predicted and delivered dose side by side: RESULTS are PRE and POST, two results folders.

    With --add, two or more treatments whose doses are added on the grid of the last.
    """
    if len(results) < 2 or (len(results) > 2 and not words["add"]):
        msg = "give two results folders, PRE and POST (more only with --add)."
        raise click.UsageError(msg)
    if transforms and len(transforms) != len(results) - 1:
        msg = f"{len(results)} results need {len(results) - 1} --transform, found {len(transforms)}."
        raise click.UsageError(msg)
    with progress(quiet) as tell:
        tell("loading libraries")
        from voxeldose.dose.comparison import GammaCriteria
        from voxeldose.io.transforms import read_transform
        from voxeldose.jobs.compare import ComparisonOptions, compare_folders

        criteria = GammaCriteria(
            words["gamma_percent"] / 100,
            words["gamma_mm"],
            words["gamma_local"],
            words["gamma_cutoff_percent"] / 100,
        )
        options = ComparisonOptions(
            rois=words["rois"],
            matrices=tuple(read_transform(path) for path in transforms),
            same_frame=words["same_frame"],
            criteria=criteria,
            add=words["add"],
        )
        content = compare_folders(results, out, options, overwrite=overwrite, progress=tell).content
    if as_json:
        click.echo(json.dumps(content, indent=2, ensure_ascii=False))
    elif not quiet:
        (_print_sum if words["add"] else _print_difference)(content)
    if not quiet:
        for warning in content["warnings"]:
            click.echo(f"warning: {warning}", err=True)
        if out is not None:
            click.echo(f"Comparison: {out} (open {out / 'comparison.html'})", err=True)


def _print_difference(content: dict[str, Any]) -> None:
    rows = []
    for name, roi in content["rois"].items():
        row = {"ROI": name, "role": roi["role"]}
        for title, key in _COLUMNS:
            pair = roi["metrics"][key]
            row[title] = f"{_number(pair['pre'])} > {_number(pair['post'])}"
        row["gamma %"] = _number(roi["gamma_passed_fraction"], 100)
        rows.append(row)
    print_rows(rows)
    ratio, gamma = content["tumor_to_normal_ratio"], content["gamma"]
    click.echo(
        f"T/N {_number(ratio['pre'])} > {_number(ratio['post'])}; gamma {gamma['criteria']}: "
        f"{_number(gamma['passed_fraction'], 100)} % of {gamma['evaluated_voxels']} voxels pass"
    )
    for row in content["tumor_to_normal"]:
        by_counts, by_dose = row["by_concentration"], row["by_dose"]
        click.echo(
            f"  {row['roi']}: by concentration {_number(by_counts['pre'])} > {_number(by_counts['post'])}, by dose "
            f"{_number(by_dose['pre'])} > {_number(by_dose['post'])} ({row['normal']['post']})"
        )
    click.echo(f"Registration: {content['registration']['kind']}")


def _print_sum(content: dict[str, Any]) -> None:
    rows = []
    for name, roi in content["rois"].items():
        row = {"ROI": name, "role": roi["role"], "volume mL": _number(roi["volume_ml"])}
        row |= {s["name"]: _number(v) for s, v in zip(content["results"], roi["mean_each_gy"], strict=True)}
        row |= {"sum mean Gy": _number(roi["mean_dose_gy"]), "D95": _number(roi["d95_gy"])}
        rows.append(row | {"D2": _number(roi["d2_gy"]), "BED": _number(roi["bed_gy"])})
    print_rows(rows)
    click.echo(f"Registration: {content['registration']['kind']}")


def _number(value: float | None, factor: float = 1.0) -> str:
    return "-" if value is None else f"{value * factor:.1f}"
