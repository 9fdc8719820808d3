"""``voxeldose demo``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from voxeldose.cli.options import PATH, progress
from voxeldose.cli.terminal import print_lines

if TYPE_CHECKING:
    from voxeldose.demo.run import DemoRun

__all__ = ["demo"]


@click.command(short_help="Make digital liver phantoms and assess them.")
@click.option("--out", type=PATH, default=Path("voxeldose-demo"), show_default=True, help="Folder of the study.")
@click.option(
    "--case",
    type=click.Choice(["both", "lobe", "segmentectomy"]),
    default="both",
    show_default=True,
    help="Which phantom; with both, the segmentectomy lies in the folder segmentectomy in OUT.",
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier demo.")
@click.option("--quiet", is_flag=True, help="No progress.")
def demo(out: Path, case: str, overwrite: bool, quiet: bool) -> None:
    """Build digital liver phantoms as DICOM studies, assess them, and compare with their truth."""
    from voxeldose.demo.run import run_demo

    cases = ("lobe", "segmentectomy") if case == "both" else (case,)
    with progress(quiet) as report_progress:
        runs = run_demo(out, cases=cases, overwrite=overwrite, progress=report_progress)
    for run in runs:
        _print_run(run)


def _print_run(run: DemoRun) -> None:
    from voxeldose.demo.run import WHY_ANSWERS_DIFFER, WHY_DIFFERENT
    from voxeldose.io.results.assessment import assessment_dict
    from voxeldose.report.text import assessment_lines, table_lines

    click.echo(f"\nStudy {run.case}: planned on the Tc-99m MAA SPECT:")
    print_lines(assessment_lines(assessment_dict(run.planned)))
    click.echo("\nDelivered, from the Y-90 PET:")
    print_lines(assessment_lines(assessment_dict(run.delivered)))
    click.echo("\nAgainst the truth the phantom was made with (sharp activity, fine grid):")
    print_lines(table_lines([row.cells() for row in run.against_truth]))
    print_lines(WHY_DIFFERENT)
    if run.answers:
        click.echo("\nWhat a segmentectomy is judged by:")
        print_lines(table_lines([row.cells() for row in run.answers]))
        print_lines(WHY_ANSWERS_DIFFER)
    folder = run.folder
    click.echo(f"\nStudy: {folder}   Report: {folder / 'results' / 'report.html'}   Picture: {folder / 'picture.png'}")
