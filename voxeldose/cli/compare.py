"""``voxeldose compare``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from voxeldose.cli.idle import Idle, refuse_idle
from voxeldose.cli.options import PATH, as_record, progress
from voxeldose.cli.terminal import print_json, print_lines, print_warnings

if TYPE_CHECKING:
    from pathlib import Path

    from voxeldose.jobs.compare import ComparisonOptions

__all__ = ["compare"]


@dataclass(frozen=True)
class CompareFlags:
    """What is compared and how."""

    rois: tuple[str, ...]
    transforms: tuple[Path, ...]
    register: str | None
    same_frame: bool
    match_fwhm: float | None
    pre_fwhm: float | None
    post_fwhm: float | None
    gamma_percent: float
    gamma_mm: float
    gamma_local: bool
    gamma_cutoff_percent: float
    add: bool


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
@click.option(
    "--register", type=click.Choice(["rigid"]), help="Find the transform from PRE to POST by the CTs of the cases."
)
@click.option("--same-frame", is_flag=True, help="The doses lie in one frame, whatever their frames of reference say.")
@click.option(
    "--match-fwhm", type=float, metavar="MM", help="Width that both doses get: each is blurred up to this FWHM."
)
@click.option("--pre-fwhm", type=float, metavar="MM", help="How sharp the image of PRE is (FWHM), for --match-fwhm.")
@click.option("--post-fwhm", type=float, metavar="MM", help="How sharp the image of POST is (FWHM), for --match-fwhm.")
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
    Idle("match_fwhm", beside="add", why="a sum is not compared with anything"),
    Idle("pre_fwhm post_fwhm", without="match_fwhm", why="they say how sharp an image is that is to be blurred"),
    Idle("overwrite", without="out", why="nothing is written"),
)
@as_record(CompareFlags, "flags")
def compare(
    results: tuple[Path, ...], out: Path | None, overwrite: bool, as_json: bool, quiet: bool, flags: CompareFlags
) -> None:
    """Predicted and delivered dose side by side: RESULTS are PRE and POST, two results folders.

    With --add, two or more treatments whose doses are added on the grid of the last.
    """
    _require_usable(flags, len(results))
    with progress(quiet) as report_progress:
        report_progress("loading libraries")
        from voxeldose.jobs.compare import compare_folders
        from voxeldose.report.text import comparison_lines, sum_lines

        comparison = compare_folders(results, out, _options(flags), overwrite=overwrite, progress=report_progress)
    if as_json:
        print_json(comparison.content)
    elif not quiet:
        print_lines((sum_lines if flags.add else comparison_lines)(comparison.content))
    if not quiet:
        print_warnings(comparison.warnings)
        if out is not None:
            click.echo(f"Comparison: {out} (open {out / 'comparison.html'})", err=True)


def _require_usable(flags: CompareFlags, count: int) -> None:
    """Refuse flags that contradict each other or could not act."""
    if count < 2 or (count > 2 and not flags.add):
        msg = "give two results folders, PRE and POST (more only with --add)."
        raise click.UsageError(msg)
    if flags.transforms and len(flags.transforms) != count - 1:
        msg = f"{count} results need {count - 1} --transform, found {len(flags.transforms)}."
        raise click.UsageError(msg)
    ways = {"--transform": flags.transforms, "--register": flags.register, "--same-frame": flags.same_frame}
    given = [name for name, value in ways.items() if value]
    if len(given) > 1:
        msg = f"{' and '.join(given)} contradict each other; keep one."
        raise click.UsageError(msg)


def _options(flags: CompareFlags) -> ComparisonOptions:
    from voxeldose.dose.comparison import GammaCriteria
    from voxeldose.io.transforms import read_transform
    from voxeldose.jobs.compare import ComparisonOptions
    from voxeldose.jobs.compare_sides import Matching

    matching = Matching(flags.match_fwhm, (flags.pre_fwhm, flags.post_fwhm)) if flags.match_fwhm is not None else None
    return ComparisonOptions(
        rois=flags.rois,
        matrices=tuple(read_transform(path) for path in flags.transforms),
        same_frame=flags.same_frame,
        register=flags.register is not None,
        matching=matching,
        criteria=GammaCriteria(
            flags.gamma_percent / 100, flags.gamma_mm, flags.gamma_local, flags.gamma_cutoff_percent / 100
        ),
        add=flags.add,
    )
