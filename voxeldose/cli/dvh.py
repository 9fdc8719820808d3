"""``voxeldose dvh``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from voxeldose.cli.options import PATH, Number, named_labels
from voxeldose.cli.terminal import print_rows

if TYPE_CHECKING:
    from pathlib import Path

    from voxeldose.jobs.dvh import DoseVolumes

__all__ = ["dvh"]


@click.command(short_help="Exact DVHs of anyone's dose.")
@click.argument("dose", type=PATH)
@click.argument("regions", type=PATH, nargs=-1, required=True)
@click.option("--labels", type=PATH, help='JSON: label value or name -> {"name": …, "role": …}; only these are read.')
@click.option(
    "--gy", "coverages", type=Number(1e-6, 1e6), multiple=True, help="A further dose for Vd; may be repeated."
)
@click.option(
    "--percent", "parts", type=click.FloatRange(0, 100, min_open=True), multiple=True, help="A further x for Dx, in %."
)
@click.option("--same-frame", is_flag=True, help="State that dose and regions lie in one frame of reference.")
@click.option("--out", type=PATH, help="Folder for dvh.json, rois.csv and dvh.csv.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
def dvh(
    dose: Path,
    regions: tuple[Path, ...],
    labels: Path | None,
    coverages: tuple[float, ...],
    parts: tuple[float, ...],
    same_frame: bool,
    out: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """DVHs and their numbers of DOSE (RTDOSE, or an image in Gy) in REGIONS (RTSTRUCT, SEG, label maps, masks).

    Voxels are cut by the regions exactly and doses are not binned.
    """
    import json

    from voxeldose.jobs.dvh import dose_volumes, write_dose_volumes

    found = dose_volumes(
        dose,
        regions,
        named_labels(labels) if labels else None,
        coverages_gy=coverages,
        volume_fractions=[part / 100 for part in parts],
        same_frame=same_frame,
    )
    if out is not None:
        write_dose_volumes(found, out, overwrite=overwrite)
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=2, ensure_ascii=False))
    else:
        _print(found)


def _print(found: DoseVolumes) -> None:
    rows = []
    for name, one in found.regions.items():
        row = {"ROI": name, "role": one.role, "volume mL": f"{one.volume_ml:.2f}", "mean Gy": f"{one.dvh.mean_gy:.1f}"}
        row |= {f"D{100 * part:g}": f"{gy:.1f}" for part, gy in one.doses_gy.items()}
        row |= {f"V{gy:g} %": f"{100 * part:.1f}" for gy, part in one.coverages.items()}
        rows.append(row)
    print_rows(rows)
    for name, one in found.regions.items():
        if one.outside_fraction > 1e-3:
            click.echo(f"{name}: {100 * one.outside_fraction:.1f} % of it lies outside the dose grid.", err=True)
    for name in found.not_reached:
        click.echo(f"{name}: lies outside the dose grid; it has no numbers.", err=True)
