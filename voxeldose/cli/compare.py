"""``voxeldose compare``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

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
    gamma_percent: float | None
    gamma_mm: float | None
    gamma_local: bool
    gamma_cutoff_percent: float | None
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
@click.option("--gamma-percent", type=float, help="Dose criterion of gamma (default 3).")
@click.option("--gamma-mm", type=float, help="Distance criterion of gamma (default 3).")
@click.option("--gamma-local", is_flag=True, help="Percent of the voxel's dose, not of the highest.")
@click.option("--gamma-cutoff-percent", type=float, help="Voxels below are left out (default 10).")
@click.option("--add", is_flag=True, help="Add the doses of several treatments; BED is summed treatment by treatment.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier comparison.")
@click.option("--json", "as_json", is_flag=True, help="Print comparison.json instead of the table.")
@click.option("--quiet", is_flag=True, help="No progress and no table.")
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
    widths = {"--pre-fwhm": flags.pre_fwhm, "--post-fwhm": flags.post_fwhm}
    idle = [name for name, value in widths.items() if value is not None and flags.match_fwhm is None]
    if idle:
        msg = f"{' and '.join(idle)} state how sharp an image is and act only with --match-fwhm MM."
        raise click.UsageError(msg)
    of_differences = {
        "--match-fwhm": flags.match_fwhm,
        "--gamma-percent": flags.gamma_percent,
        "--gamma-mm": flags.gamma_mm,
    }
    of_differences |= {"--gamma-local": flags.gamma_local or None, "--gamma-cutoff-percent": flags.gamma_cutoff_percent}
    idle = [name for name, value in of_differences.items() if value is not None]
    if flags.add and idle:
        msg = f"{', '.join(idle)} cannot act with --add: a sum is not compared with anything."
        raise click.UsageError(msg)


def _options(flags: CompareFlags) -> ComparisonOptions:
    from voxeldose.dose.comparison import GammaCriteria
    from voxeldose.io.transforms import read_transform
    from voxeldose.jobs.compare import ComparisonOptions
    from voxeldose.jobs.compare_sides import Matching

    percents = {"dose_fraction": flags.gamma_percent, "cutoff_fraction": flags.gamma_cutoff_percent}
    criteria = {name: value / 100 for name, value in percents.items() if value is not None}
    criteria |= {"distance_mm": flags.gamma_mm} if flags.gamma_mm is not None else {}
    matching = Matching(flags.match_fwhm, (flags.pre_fwhm, flags.post_fwhm)) if flags.match_fwhm is not None else None
    return ComparisonOptions(
        rois=flags.rois,
        matrices=tuple(read_transform(path) for path in flags.transforms),
        same_frame=flags.same_frame,
        register=flags.register is not None,
        matching=matching,
        criteria=GammaCriteria(is_local=flags.gamma_local, **criteria),
        add=flags.add,
    )
