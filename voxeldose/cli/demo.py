"""``voxeldose demo``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from voxeldose.cli.options import PATH, progress
from voxeldose.cli.terminal import print_lines

if TYPE_CHECKING:
    from voxeldose.demo.run import TruthRow

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
        results = run_demo(out, overwrite=overwrite, progress=report_progress)
    click.echo("\nPlanned on the Tc-99m MAA SPECT:")
    print_lines(assessment_lines(assessment_dict(results.planned)))
    click.echo("\nDelivered, from the Y-90 PET:")
    print_lines(assessment_lines(assessment_dict(results.delivered)))
    click.echo("\nAgainst the truth the phantom was made with (sharp activity, fine grid):")
    print_lines(table_lines([_row(one) for one in results.against_truth]))
    click.echo(f"\nStudy: {out}   Report: {out / 'results' / 'report.html'}   Picture: {out / 'picture.png'}")


def _row(one: TruthRow) -> dict[str, str]:
    roi = one.computed
    return {
        "ROI": one.roi,
        "true mean Gy": f"{one.true_mean_gy:.1f}",
        "dpk": _change(roi.mean_dose_gy, one.true_mean_gy),
        "local": _change(roi.mean_dose_local_gy, one.true_mean_gy),
        "true D70": f"{one.true_d70_gy:.1f}",
        "D70": _change(roi.d70_gy, one.true_d70_gy),
        "true V400 %": f"{100 * one.true_v400_fraction:.1f}",
        "V400 %": f"{100 * roi.v400_fraction:.1f}",
        "activity": _change(roi.activity_mbq, one.true_activity_mbq),
    }


def _change(computed: float, true: float) -> str:
    return f"{100 * (computed / true - 1):+.1f} %"
