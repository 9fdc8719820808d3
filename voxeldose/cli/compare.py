"""``voxeldose compare``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from voxeldose.cli.idle import Idle, refuse_idle
from voxeldose.cli.options import PATH, progress
from voxeldose.cli.terminal import print_json, print_lines, print_warnings

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["compare"]


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
@refuse_idle(
    Idle("gamma_percent gamma_mm gamma_local gamma_cutoff_percent", beside="add", why="a sum has no gamma index"),
    Idle("overwrite", without="out", why="nothing is written"),
)
def compare(
    results: tuple[Path, ...],
    out: Path | None,
    rois: tuple[str, ...],
    transforms: tuple[Path, ...],
    same_frame: bool,
    gamma_percent: float,
    gamma_mm: float,
    gamma_local: bool,
    gamma_cutoff_percent: float,
    add: bool,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Predicted and delivered dose side by side: RESULTS are PRE and POST, two results folders.

    With --add, two or more treatments whose doses are added on the grid of the last.
    """
    if len(results) < 2 or (len(results) > 2 and not add):
        msg = "give two results folders, PRE and POST (more only with --add)."
        raise click.UsageError(msg)
    if transforms and len(transforms) != len(results) - 1:
        msg = f"{len(results)} results need {len(results) - 1} --transform, found {len(transforms)}."
        raise click.UsageError(msg)
    with progress(quiet) as report_progress:
        report_progress("loading libraries")
        from voxeldose.dose.comparison import GammaCriteria
        from voxeldose.io.transforms import read_transform
        from voxeldose.jobs.compare import ComparisonOptions, compare_folders
        from voxeldose.report.text import comparison_lines, sum_lines

        options = ComparisonOptions(
            rois=rois,
            matrices=tuple(read_transform(path) for path in transforms),
            same_frame=same_frame,
            criteria=GammaCriteria(gamma_percent / 100, gamma_mm, gamma_local, gamma_cutoff_percent / 100),
            add=add,
        )
        comparison = compare_folders(results, out, options, overwrite=overwrite, progress=report_progress)
    if as_json:
        print_json(comparison.content)
    elif not quiet:
        print_lines((sum_lines if add else comparison_lines)(comparison.content))
    if not quiet:
        print_warnings(comparison.warnings)
        if out is not None:
            click.echo(f"Comparison: {out} (open {out / 'comparison.html'})", err=True)
