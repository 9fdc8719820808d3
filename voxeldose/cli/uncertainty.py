"""``voxeldose uncertainty``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from voxeldose.cli.options import PATH

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["uncertainty"]

#: No recovery curve rises faster with volume than with this power.
STEEPEST = 20.0


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
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def mean(as_json: bool, **flags: Any) -> None:
    """Standard uncertainty of one region's mean dose by the EANM guidance, correlations kept."""
    content = _mean(flags)
    if as_json:
        click.echo(json.dumps(content, indent=2, ensure_ascii=False))
        return
    click.echo(
        f"{content['dose_gy']:.4g} Gy ± {content['sd_gy']:.3g} Gy ({100 * content['relative_sd']:.2f} %, one sigma)"
    )
    for name, value in content["terms"].items():
        mark = "  <- largest" if name == content["dominant"] else ""
        click.echo(f"  {name:14s} {100 * value:6.2f} %{mark}")
    click.echo(
        f"  volume alone {100 * content['volume_relative_sd']:.1f} %; φ {content['phi']:.3f}, p {content['p']:.3f}, c2 {content['c2']:g}; "
        f"in quadrature they would claim {100 * content['volume_terms_as_if_independent']:.1f} %"
    )
    click.echo(f"source: {content['source']}")


def _require_possible(flags: dict[str, Any]) -> None:
    """Refuse doses and times that cannot be, and relative uncertainties that are percent."""
    from voxeldose.errors import QuantityError

    for name in ("calibration", "statistics", "energy"):
        if flags[name] is not None and not 0 <= flags[name] < 1:
            msg = f"--{name} is a relative standard uncertainty, at least 0 and below 1 (no percent), found {flags[name]}."
            raise QuantityError(msg)
    if not flags["dose_gy"] > 0 or flags["timing_h"] < 0:
        msg = f"--dose-gy must be above 0 and --timing-h 0 or more, found {flags['dose_gy']} and {flags['timing_h']}."
        raise QuantityError(msg)
    if flags["recovery_c"] is not None and flags["recovery_c"] > STEEPEST:
        msg = f"--recovery-c is the power of a recovery curve, about 1; found {flags['recovery_c']}."
        raise QuantityError(msg)


def _mean(flags: dict[str, Any]) -> dict[str, Any]:
    import math

    from voxeldose.dose.uncertainty.inputs import DEFAULT_ENERGY_FRACTION
    from voxeldose.dose.uncertainty.mean_dose import GEAR, diameter_sd_mm, edge_response, mean_dose_spread, sphere_ml
    from voxeldose.dose.uncertainty.recovery import Recovery
    from voxeldose.model.radionuclide import Y90

    if (flags["diameter_mm"] is None) == (flags["volume_ml"] is None):
        msg = "give --diameter-mm or --volume-ml, one of them."
        raise click.UsageError(msg)
    _require_possible(flags)
    if (flags["recovery_b_ml"] is None) != (flags["recovery_c"] is None):
        msg = "--recovery-b-ml and --recovery-c belong together."
        raise click.UsageError(msg)
    diameter = flags["diameter_mm"]
    if diameter is None:
        diameter = (6000 * max(flags["volume_ml"], 0.0) / math.pi) ** (1 / 3)
    curve = None
    if flags["recovery_b_ml"] is not None:
        b_sd, c_sd = flags["recovery_b_sd_ml"], flags["recovery_c_sd"]
        off = flags["recovery_correlation"] * b_sd * c_sd
        curve = Recovery(flags["recovery_b_ml"], flags["recovery_c"], ((b_sd**2, off), (off, c_sd**2)))
    contour = flags["fwhm_mm"] if flags["contour_fwhm_mm"] is None else flags["contour_fwhm_mm"]
    sd = flags["diameter_sd_mm"]
    if sd is None:
        sd = diameter_sd_mm(flags["voxel_mm"], contour)
    phi = flags["phi"]
    if phi is None:
        if curve is None or not flags["fwhm_mm"]:
            msg = "--phi is needed, or a recovery curve and --fwhm-mm to compute it for a blurred sphere."
            raise click.UsageError(msg)
        phi = edge_response(diameter, flags["fwhm_mm"], float(curve.at(sphere_ml(diameter))))
    found = mean_dose_spread(
        diameter,
        sd,
        phi=phi,
        recovery=curve,
        c2=flags["c2"],
        calibration=flags["calibration"],
        statistics=flags["statistics"],
        energy=DEFAULT_ENERGY_FRACTION if flags["energy"] is None else flags["energy"],
        timing=flags["timing_h"] * math.log(2) / Y90.half_life_h,
    )
    names = ("volume_terms", "recovery_fit", "calibration", "statistics", "energy", "timing")
    return {
        "schema": "voxeldose/uncertainty-mean/1",
        "dose_gy": flags["dose_gy"],
        "sd_gy": abs(flags["dose_gy"]) * found.total,
        "relative_sd": found.total,
        "terms": {name: getattr(found, name) for name in names},
        "dominant": found.dominant,
        "diameter_mm": diameter,
        "diameter_sd_mm": sd,
        "volume_relative_sd": found.volume,
        "recovery_coefficient": float(curve.at(sphere_ml(diameter))) if curve else None,
        "phi": found.phi,
        "p": found.p,
        "c2": found.c2,
        "volume_terms_as_if_independent": found.volume_terms_as_if_independent,
        "formula": "u(D)/D = |phi - p - c2| u(v)/v with u(v)/v = 3 u(d)/d, the other terms in quadrature",
        "constants": {"name": Y90.constants, "half_life_h": Y90.half_life_h, "source": Y90.source},
        "inputs": dict(flags),
        "source": GEAR,
        "sources": [GEAR, Y90.source],
    }


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
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def recovery(
    sphere: tuple[tuple[float, float, float], ...],
    results: Path | None,
    true_mbq_per_ml: float | None,
    true_sd_fraction: float,
    rois: tuple[str, ...],
    as_json: bool,
) -> None:
    """The recovery curve through measured spheres, given or taken from the results of a phantom run."""
    from voxeldose.dose.uncertainty.mean_dose import GEAR
    from voxeldose.dose.uncertainty.recovery import fit_recovery

    if bool(sphere) == (results is not None):
        msg = "give --sphere (three or more times) or --results, one of them."
        raise click.UsageError(msg)
    found = list(sphere)
    if results is not None:
        if true_mbq_per_ml is None or not true_mbq_per_ml > 0:
            msg = "--results needs --true-mbq-per-ml, the concentration in the spheres."
            raise click.UsageError(msg)
        found = _spheres(results, true_mbq_per_ml, true_sd_fraction, rois)
    curve = fit_recovery(found)
    (bb, bc), (_, cc) = curve.covariance
    correlation = bc / (bb * cc) ** 0.5 if bb * cc > 0 else 0.0
    content = {
        "schema": "voxeldose/recovery/1",
        "spheres": [dict(zip(("volume_ml", "recovery", "sd"), row, strict=True)) for row in found],
        "b_ml": curve.b_ml,
        "c": curve.c,
        "b_sd_ml": bb**0.5,
        "c_sd": cc**0.5,
        "correlation": correlation,
        "fitted": [float(curve.at(row[0])) for row in found],
        "formula": "RC(v) = 1 - 1/(1 + (v/b)^c)",
        "constants": {},
        "inputs": {
            "results": results.name if results else None,
            "true_mbq_per_ml": true_mbq_per_ml,
            "true_sd_fraction": true_sd_fraction if results else None,
            "rois": list(rois),
        },
        "sources": [GEAR],
    }
    if as_json:
        click.echo(json.dumps(content, indent=2))
        return
    for row, fitted in zip(found, content["fitted"], strict=True):
        click.echo(f"  {row[0]:8.3f} mL: measured {row[1]:.3f} ± {row[2]:.3f}, curve {fitted:.3f}")
    click.echo("For the case file, under [uncertainty]:")
    click.echo(
        f"recovery = {{ b_ml = {curve.b_ml:.5g}, c = {curve.c:.5g}, b_sd_ml = {bb**0.5:.3g}, c_sd = {cc**0.5:.3g}, "
        f"correlation = {correlation:.4f} }}"
    )


def _spheres(
    results: Path, true_mbq_per_ml: float, sd_fraction: float, names: tuple[str, ...]
) -> list[tuple[float, float, float]]:
    """Volume, measured over true concentration, and its uncertainty, of the spheres of a phantom run."""
    from voxeldose.errors import InputError
    from voxeldose.io.results.content import read_content

    path = results
    content = read_content(results)
    try:
        rois = dict(content["rois"])
        calibration = str(content["method"]["calibration"])
    except (KeyError, TypeError) as error:
        msg = f"{path}: cannot be read as the results of voxeldose assess."
        raise InputError(msg, code="file-damaged") from error
    if not calibration.startswith("absolute"):
        msg = f"{path}: the run is calibrated to an administered activity; recovery needs calibration = absolute."
        raise InputError(msg)
    wanted = names or tuple(n for n, r in rois.items() if r["role"] == "tumor")
    missing = [n for n in wanted if n not in rois]
    if missing:
        msg = f"{path}: there is no ROI {', '.join(missing)}; there are {', '.join(rois)}."
        raise InputError(msg)
    rows = []
    for name in wanted:
        measured = rois[name]["activity_mbq"] / rois[name]["volume_ml"] / true_mbq_per_ml
        rows.append((float(rois[name]["volume_ml"]), float(measured), float(abs(measured) * sd_fraction)))
    return rows
