"""``voxeldose assess``."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import click

from voxeldose.cli.options import CONSTANTS, PATH, Instant, progress, read_labels_json
from voxeldose.cli.terminal import print_table, print_uncertainty

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
@click.option("--calibration-region", help="ROI that holds the net activity less the lung shunt.")
@click.option("--engine", type=click.Choice(["dpk", "local", "density"]), help="Dose engine (default dpk).")
@click.option("--grid", help="Where dose is wanted: activity (default), ct, rois, or a spacing in mm.")
@click.option("--density-g-per-ml", type=float, help="Uniform density (default 1.04).")
@click.option("--density", help="ct (from CT numbers), or an image in g/mL.")
@click.option("--constants", type=CONSTANTS, help="Set of Y-90 constants (default ddep).")
@click.option("--thresholds", type=PATH, help="TOML file with your site's own limits; they replace published ones.")
@click.option("--device", type=click.Choice(["glass", "resin"]), help="Microspheres; decides the thresholds compared.")
@click.option(
    "--uncertainty",
    multiple=True,
    metavar="KEY=VALUE",
    help="A standard uncertainty, as in [uncertainty] of the case file; may be repeated.",
)
@click.option("--samples", type=int, help="Monte Carlo samples of the uncertainty (default 500).")
@click.option("--probability", multiple=True, metavar="CONDITION", help="Such as 'lesion_1.d95>=400'; may be repeated.")
@click.option("--dose-bits", type=click.Choice(["16", "32"]), help="Bits a voxel of dose.dcm (default 32).")
@click.option(
    "--bed-dose",
    type=click.Choice(["tumor", "liver"]),
    help="Also bed.dcm and bed.nii.gz: BED of every voxel with this tissue's parameters.",
)
@click.option("--rtstruct", is_flag=True, default=None, help="Also rois.rtstruct.dcm: the ROIs as contours.")
@click.option("--bilirubin-mg-per-dl", type=float, help="Total, of the patient: decides limits that depend on it.")
@click.option("--id", "case_id", help="A label for the results; never a patient identifier.")
@click.option("--out", type=PATH, help="Results folder (default: CASE-results beside the case file).")
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
    from voxeldose.io.config.case import case_file_from, read_case_file

    tables = read_case_file(case) if case else {}
    _override(tables, flags)
    config = case_file_from(tables, str(case or "command line"))
    folder = out or case.with_name(f"{case.stem}-results") if case else out
    assert folder is not None  # noqa: S101 - one of the two is given, see above
    content = _run(config, folder, overwrite=overwrite, quiet=quiet)
    if as_json:
        click.echo(json.dumps(content, indent=2, ensure_ascii=False))
    elif not quiet:
        print_table(content)
        print_uncertainty(content)
    if not quiet:
        for warning in content["warnings"]:
            click.echo(f"warning: {warning['message']}", err=True)
        click.echo(f"Results: {folder} (open {folder / 'report.html'})", err=True)


def _run(config: Any, folder: Path, *, overwrite: bool, quiet: bool) -> dict[str, Any]:
    with progress(quiet) as tell:
        tell("loading libraries")
        from voxeldose.io.results.assessment import assessment_dict
        from voxeldose.jobs.run_case import run_case

        return assessment_dict(run_case(config, folder, overwrite=overwrite, progress=tell))


#: Flag -> table and key of the case file.
_KEYS = {
    "quantity": ("activity", "quantity"),
    "measured_at": ("activity", "measured_at"),
    "image_nuclide": ("activity", "image_nuclide"),
    "undo_nuclide": ("activity", "undo_nuclide"),
    "undo_suv": ("activity", "undo_suv"),
    "weight_kg": ("activity", "weight_kg"),
    "energy_window": ("activity", "energy_window"),
    "slice_spacing_mm": ("activity", "slice_spacing_mm"),
    "ct_uneven": ("ct", "uneven"),
    "administered_mbq": ("administration", "administered_mbq"),
    "residual_mbq": ("administration", "residual_mbq"),
    "at": ("administration", "at"),
    "assayed_at": ("administration", "assayed_at"),
    "residual_at": ("administration", "residual_at"),
    "lung_shunt": ("administration", "lung_shunt_fraction"),
    "device": ("administration", "device"),
    "bilirubin_mg_per_dl": ("case", "bilirubin_mg_per_dl"),
    "calibration": ("dose", "calibration"),
    "calibration_region": ("dose", "calibration_region"),
    "engine": ("dose", "engine"),
    "density_g_per_ml": ("dose", "density_g_per_ml"),
    "density": ("dose", "density"),
    "constants": ("dose", "constants"),
    "case_id": ("case", "id"),
    "dose_bits": ("output", "dose_bits"),
    "bed_dose": ("output", "bed_dose"),
    "rtstruct": ("output", "rtstruct"),
}


def _override(tables: dict[str, Any], flags: dict[str, Any]) -> None:
    """Put the flags that were given into the tables of the case file; tables that are none are left to its check."""
    if not all(
        isinstance(tables.get(t, {}), dict) for t in ("case", "activity", "ct", "administration", "dose", "output")
    ):
        return
    for flag, (table, key) in _KEYS.items():
        if flags[flag] is not None:
            tables.setdefault(table, {})[key] = int(flags[flag]) if flag == "dose_bits" else flags[flag]
    for flag in ("activity", "ct"):
        if flags[flag] is not None:
            tables[flag] = {**tables.get(flag, {}), "path": str(flags[flag].absolute())}
    if flags["registration"] is not None:
        tables["registration"] = {"path": str(flags["registration"].absolute())}
    dose = tables.get("dose", {})
    if flags["density"] is not None and flags["density_g_per_ml"] is None:
        dose.pop("density_g_per_ml", None)
    if flags["density_g_per_ml"] is not None and flags["density"] is None:
        dose["density"] = "uniform"
    if flags["density"] not in (None, "ct", "uniform"):
        tables["dose"]["density"] = str(Path(flags["density"]).absolute())
    if flags["hu_table"] is not None:
        tables.setdefault("dose", {})["hu_table"] = str(flags["hu_table"].absolute())
    if flags["thresholds"] is not None:
        tables.setdefault("dose", {})["thresholds"] = str(flags["thresholds"].absolute())
    if flags["grid"] is not None:
        named = flags["grid"] in ("activity", "ct", "rois")
        try:
            tables.setdefault("dose", {})["grid"] = flags["grid"] if named else float(flags["grid"])
        except ValueError:
            msg = f"--grid must be activity, ct, rois or a spacing in mm, found {flags['grid']!r}."
            raise click.UsageError(msg) from None
    _override_uncertainty(tables, flags)
    if flags["rois"]:
        tables["rois"] = [{"path": str(p.absolute())} for p in flags["rois"]]
    if flags["labels"] is not None:
        paths = [t["path"] for t in tables.get("rois", []) if isinstance(t, dict) and "path" in t]
        files = [p for path in paths for p in ([path] if isinstance(path, str) else path)]
        tables["rois"] = [{"path": files, "labels": read_labels_json(flags["labels"])}]


def _override_uncertainty(tables: dict[str, Any], flags: dict[str, Any]) -> None:
    """Put --uncertainty, --samples and --probability into the table, which any of them makes."""
    if not (flags["uncertainty"] or flags["samples"] is not None or flags["probability"]):
        return
    table = tables.setdefault("uncertainty", {})
    if not isinstance(table, dict):
        return  # left to the check of the case file
    for words in flags["uncertainty"]:
        key, sign, value = (part.strip() for part in words.partition("="))
        if not sign or not value:
            msg = f"--uncertainty takes KEY=VALUE, such as calibration_fraction=0.05, found {words!r}."
            raise click.UsageError(msg)
        table[key] = _number(value)
    if flags["samples"] is not None:
        table["samples"] = flags["samples"]
    if flags["probability"]:
        table["probabilities"] = list(flags["probability"])


def _number(words: str) -> Any:
    """A whole number, a number, or the words themselves."""
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(words)
    return words
