"""``voxeldose demo``."""

from __future__ import annotations

from pathlib import Path

import click

from voxeldose.cli.options import PATH, progress
from voxeldose.cli.terminal import print_lines

__all__ = ["demo"]


@click.command(short_help="Make a digital liver phantom and assess it.")
@click.option("--out", type=PATH, default=Path("voxeldose-demo"), show_default=True, help="Folder of the study.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier demo.")
@click.option("--quiet", is_flag=True, help="No progress.")
def demo(out: Path, overwrite: bool, quiet: bool) -> None:
    """Build a digital liver phantom as a DICOM study, assess it, and compare with its truth."""
    from voxeldose.demo.run import run_demo
    from voxeldose.io.results.assessment import assessment_dict
    from voxeldose.report.text import assessment_lines, table_lines

    with progress(quiet) as report_progress:
        run = run_demo(out, overwrite=overwrite, progress=report_progress)
    click.echo("\nPlanned on the Tc-99m MAA SPECT:")
    print_lines(assessment_lines(assessment_dict(run.planned)))
    click.echo("\nDelivered, from the Y-90 PET:")
    print_lines(assessment_lines(assessment_dict(run.delivered)))
    click.echo("\nAgainst the truth the phantom was made with (sharp activity, fine grid):")
    print_lines(table_lines([row.cells() for row in run.against_truth]))
    click.echo(f"\nStudy: {out}   Report: {out / 'results' / 'report.html'}   Picture: {out / 'picture.png'}")
