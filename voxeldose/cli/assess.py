"""``voxeldose assess``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from voxeldose.cli.options import CONSTANTS, PATH, DoseGrid, Instant, KeyValue, progress
from voxeldose.cli.terminal import print_json, print_lines, print_warnings

__all__ = ["assess"]


@click.command(short_help="Absorbed dose, DVHs and metrics of a case.")
@click.argument("case", required=False, type=PATH)
@click.option("--activity", type=PATH, help="PET or SPECT: DICOM folder or file, NIfTI, NRRD, MHA.")
@click.option(
    "--rois", type=PATH, multiple=True, help="Label map, DICOM SEG or RTSTRUCT, or folder of masks; may be repeated."
)
@click.option("--ct", type=PATH, help="CT: DICOM folder, or a file in Hounsfield units.")
@click.option(
    "--registration", type=PATH, help="Rigid transform: DICOM REG, or ITK .tfm or .h5; applied to the activity."
)
@click.option("--labels", type=PATH, help='JSON: label value or name -> {"name": …, "role": …}.')
@click.option("--protocol", type=PATH, help="TOML file of the site: its keys hold where the case file has none.")
@click.option("--administered-mbq", type=float, help="Activity in the vial, decayed to the infusion.")
@click.option("--residual-mbq", type=float, help="Left in vial and tubing, at the same instant.")
@click.option("--at", type=Instant(), help="Instant of the infusion, with its zone.")
@click.option("--assayed-at", type=Instant(), help="When --administered-mbq was measured, if not at the infusion.")
@click.option("--residual-at", type=Instant(), help="When --residual-mbq was measured, if not at the infusion.")
@click.option("--measured-at", type=Instant(), help="Instant to which the image's values hold, if it does not say.")
@click.option(
    "--quantity", type=click.Choice(["bq_per_ml", "bq", "counts"]), help="What the image holds, if it does not say."
)
@click.option("--image-nuclide", help="What the image shows, such as Tc-99m; needed where its header names another.")
@click.option("--undo-nuclide", help="Nuclide as which the scanner computed its Bq/mL, such as F-18: undo it.")
@click.option(
    "--undo-suv", is_flag=True, default=None, help="Turn SUV back into Bq/mL with the header's dose and weight."
)
@click.option("--weight-kg", type=float, help="Of the patient, for --undo-suv where the header has none.")
@click.option("--energy-window", type=int, help="Which to read from a SPECT file that holds several, from 1.")
@click.option("--slice-spacing-mm", type=float, help="Spacing, with its sign, of a SPECT file that has none.")
@click.option(
    "--ct-uneven", type=click.Choice(["refuse", "resample"]), help="Uneven or tilted CT slices (default refuse)."
)
@click.option("--hu-table", type=PATH, help="CSV of HU and g/mL, for --density ct.")
@click.option("--lung-shunt", type=float, help="Lung shunt fraction, 0 to 1.")
@click.option("--calibration", type=click.Choice(["administered", "absolute"]), help="How image numbers become MBq.")
@click.option("--calibration-region", help="ROI that holds the net activity less the lung shunt; image: all of it.")
@click.option(
    "--allow-activity-outside", is_flag=True, default=None, help="Accept over 30 % of the activity outside that region."
)
@click.option("--engine", type=click.Choice(["dpk", "local", "density"]), help="Dose engine (default dpk).")
@click.option("--grid", type=DoseGrid(), help="Where dose is wanted: activity (default), ct, rois, or a spacing in mm.")
@click.option("--density-g-per-ml", type=float, help="Uniform density (default 1.04).")
@click.option("--density", help="ct (from CT numbers), or an image in g/mL.")
@click.option("--constants", type=CONSTANTS, help="Set of Y-90 constants (default ddep).")
@click.option("--thresholds", type=PATH, help="TOML file with your site's own limits; they replace published ones.")
@click.option("--device", type=click.Choice(["glass", "resin"]), help="Microspheres; decides the thresholds compared.")
@click.option(
    "--uncertainty",
    type=KeyValue(),
    multiple=True,
    metavar="KEY=VALUE",
    help="A standard uncertainty, as in [uncertainty] of the case file; may be repeated.",
)
@click.option("--samples", type=int, help="Monte Carlo samples of the uncertainty (default 500).")
@click.option("--probability", multiple=True, metavar="CONDITION", help="Such as 'lesion_1.d95>=400'; may be repeated.")
@click.option("--dose-bits", type=click.Choice(["16", "32"]), help="Bits per voxel of dose.dcm (default 16).")
@click.option("--bed-dose", type=click.Choice(["tumor", "liver"]), help="Also bed.dcm and bed.nii.gz for this tissue.")
@click.option("--rtstruct", is_flag=True, default=None, help="Also rois.rtstruct.dcm: the ROIs as contours.")
@click.option(
    "--rtstruct-holes", type=click.Choice(["keyhole", "xor"]), help="How holes are written (default keyhole)."
)
@click.option("--rtplan", is_flag=True, default=None, help="Also rtplan.dcm, for systems that take no dose without it.")
@click.option("--dose-on-ct", is_flag=True, default=None, help="Also dose_on_ct.dcm, on the CT's voxels: for display.")
@click.option("--bilirubin-mg-per-dl", type=float, help="Total, of the patient: decides limits that depend on it.")
@click.option("--id", "case_id", help="A label for the results; never a patient identifier.")
@click.option("--out", type=PATH, help="Results folder (default: CASE-results next to the case file).")
@click.option("--overwrite", is_flag=True, help="Replace an earlier results folder.")
@click.option("--json", "as_json", is_flag=True, help="Print assessment.json instead of the table.")
@click.option("--quiet", is_flag=True, help="No progress and no table.")
def assess(case: Path | None, out: Path | None, overwrite: bool, as_json: bool, quiet: bool, **flags: Any) -> None:
    """Absorbed dose, DVHs and metrics from images, ROIs and administration.

    Give a CASE file (TOML), or --activity and --rois; flags override the case file.
    """
    if case is None and (flags["activity"] is None or not flags["rois"]):
        msg = "give a CASE file, or --activity and --rois."
        raise click.UsageError(msg)
    if out is None and case is None:
        msg = "give --out, the folder for the results."
        raise click.UsageError(msg)
    from voxeldose.io.config.case import case_file_from, read_case_tables
    from voxeldose.io.config.flags import idle_flag, with_flags

    tables = with_flags(read_case_tables(case) if case else {}, flags)
    config = case_file_from(tables, str(case or "command line"))
    if idle := idle_flag(flags, config):
        raise click.UsageError(idle)
    folder = out or (case.with_name(f"{case.stem}-results") if case else Path())
    with progress(quiet) as report_progress:
        report_progress("loading libraries")
        from voxeldose.io.results.assessment import assessment_dict
        from voxeldose.jobs.run_case import run_case
        from voxeldose.report.text import assessment_lines, recovered_lines, uncertainty_lines

        result = run_case(config, folder, overwrite=overwrite, progress=report_progress)
        content = assessment_dict(result)
    if as_json:
        print_json(content)
    elif not quiet:
        print_lines([*assessment_lines(content), *recovered_lines(content), *uncertainty_lines(content)])
    if not quiet:
        print_warnings(result.record.warnings)
        click.echo(f"Results: {folder} (open {folder / 'report.html'})", err=True)
