"""``voxeldose dvh``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from voxeldose.cli.idle import Idle, refuse_idle
from voxeldose.cli.options import PATH, Number, json_option
from voxeldose.cli.terminal import print_answer

if TYPE_CHECKING:
    from pathlib import Path

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
@json_option
@refuse_idle(Idle("overwrite", without="out", why="nothing is written"))
def dvh(
    dose: Path, regions: tuple[Path, ...], out: Path | None, *, overwrite: bool, as_json: bool, **asked: Any
) -> None:
    """DVHs and their numbers of DOSE (RTDOSE, or an image in Gy) in REGIONS (RTSTRUCT, SEG, label maps, masks).

    Voxels are cut by the regions exactly and doses are not binned.
    """
    from voxeldose.io.config.labels import named_labels
    from voxeldose.jobs.dvh import DvhOptions, dose_volumes, write_dose_volumes

    labels = named_labels(asked["labels"]) if asked["labels"] else None
    parts = tuple(percent / 100 for percent in asked["parts"])
    found = dose_volumes(dose, regions, DvhOptions(labels, asked["coverages"], parts, asked["same_frame"]))
    if out is not None:
        write_dose_volumes(found, out, overwrite=overwrite)
    print_answer(found, as_json=as_json)
