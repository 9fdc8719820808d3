"""``voxeldose uncertainty``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from voxeldose.cli.idle import Idle, refuse_idle
from voxeldose.cli.options import PATH, json_option
from voxeldose.cli.terminal import print_answer

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["uncertainty"]


@click.group(short_help="Uncertainty of a mean dose; recovery curves.")
def uncertainty() -> None:
    """Uncertainty of a mean dose from numbers alone, and recovery curves from spheres.

    Of a whole case: voxeldose assess with [uncertainty] in the case file, or --uncertainty.
    """


@uncertainty.command(short_help="One region's mean dose by the EANM formulas.")
@click.option("--dose-gy", type=float, required=True, help="Mean dose of the region.")
@click.option("--diameter-mm", type=float, help="Of the region, as of a sphere.")
@click.option("--volume-ml", type=float, help="In place of --diameter-mm.")
@click.option("--voxel-mm", type=float, default=0.0, help="Voxel that the contour was drawn on.")
@click.option("--fwhm-mm", type=float, default=0.0, help="Resolution of the emission image.")
@click.option("--contour-fwhm-mm", type=float, help="Of the image the contour was drawn on (default: --fwhm-mm).")
@click.option("--diameter-sd-mm", type=float, help="In place of voxel and resolution.")
@click.option(
    "--phi",
    type=float,
    help="How counts grow with the contour's volume, d ln(counts) / d ln(volume) (default: of a blurred sphere).",
)
@click.option("--c2", type=float, default=1.0, show_default=True, help="Power of the volume in the S value.")
@click.option("--recovery-b-ml", type=float, help="Recovery curve 1 - 1/(1 + (v/b)^c).")
@click.option("--recovery-c", type=float, help="Its power c.")
@click.option("--recovery-b-sd-ml", type=float, default=0.0, help="Standard uncertainty of b.")
@click.option("--recovery-c-sd", type=float, default=0.0, help="Standard uncertainty of c.")
@click.option("--recovery-correlation", type=float, default=0.0, help="Of b and c.")
@click.option("--calibration", type=float, default=0.0, help="Relative standard uncertainty.")
@click.option("--statistics", type=float, default=0.0, help="Relative, of the counts.")
@click.option("--energy", type=float, help="Relative, of energy per decay and kernel (default 0.007).")
@click.option("--timing-h", type=float, default=0.0, help="Of the time between infusion and image.")
@json_option
@refuse_idle(
    Idle("voxel_mm contour_fwhm_mm", beside="diameter_sd_mm", why="the diameter's uncertainty is given"),
    Idle("recovery_b_sd_ml recovery_c_sd", without="recovery_b_ml recovery_c", why="there is no recovery curve"),
    Idle("recovery_correlation", without="recovery_b_sd_ml", why="b and c have no uncertainty"),
    Idle("recovery_correlation", without="recovery_c_sd", why="b and c have no uncertainty"),
)
def mean(as_json: bool, **numbers: Any) -> None:
    """Standard uncertainty of one region's mean dose by the EANM guidance, correlations kept."""
    from voxeldose.planning.answers.mean_dose import MeanDoseQuestion, answer_mean_dose

    if (numbers["diameter_mm"] is None) == (numbers["volume_ml"] is None):
        msg = "give --diameter-mm or --volume-ml, one of them."
        raise click.UsageError(msg)
    question = MeanDoseQuestion(**numbers)
    if (question.recovery_b_ml is None) != (question.recovery_c is None):
        msg = "--recovery-b-ml and --recovery-c belong together."
        raise click.UsageError(msg)
    if question.phi is None and (question.recovery is None or not question.fwhm_mm):
        msg = "--phi is needed, or a recovery curve and --fwhm-mm to compute it for a blurred sphere."
        raise click.UsageError(msg)
    answer = answer_mean_dose(question)
    print_answer(answer, as_json=as_json)


@uncertainty.command(short_help="The recovery curve through measured spheres.")
@click.option(
    "--sphere", nargs=3, type=float, multiple=True, metavar="ML RC SD", help="Volume, recovery, its uncertainty."
)
@click.option("--results", type=PATH, help="Results folder of a phantom run, instead of spheres.")
@click.option("--true-mbq-per-ml", type=float, help="True concentration in its spheres at the infusion instant.")
@click.option(
    "--true-sd-fraction", type=float, default=0.02, show_default=True, help="Relative, of that concentration."
)
@click.option("--roi", "rois", multiple=True, help="Spheres among the ROIs of the run (default: every tumor).")
@json_option
@refuse_idle(Idle("true_mbq_per_ml true_sd_fraction rois", without="results", why="spheres hold their own recovery"))
def recovery(
    sphere: tuple[tuple[float, float, float], ...],
    results: Path | None,
    true_mbq_per_ml: float | None,
    true_sd_fraction: float,
    rois: tuple[str, ...],
    as_json: bool,
) -> None:
    """The recovery curve through measured spheres, given or taken from the results of a phantom run."""
    from voxeldose.planning.answers.mean_dose import PhantomRun, Sphere, answer_recovery, answer_recovery_of_results

    if bool(sphere) == (results is not None):
        msg = "give --sphere (three or more times) or --results, one of them."
        raise click.UsageError(msg)
    if results is None:
        answer = answer_recovery([Sphere(*row) for row in sphere])
    elif true_mbq_per_ml is None or not true_mbq_per_ml > 0:
        msg = "--results needs --true-mbq-per-ml, the concentration in the spheres."
        raise click.UsageError(msg)
    else:
        run = PhantomRun(results.name, true_mbq_per_ml, true_sd_fraction, rois)
        answer = answer_recovery_of_results(results, run)
    print_answer(answer, as_json=as_json)
