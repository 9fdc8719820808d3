"""Words to objects, results to files and terminal; exit codes. The only room that prints.

Nothing but click is imported until a command runs, so that ``voxeldose --help`` is instant.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from voxeldose._version import __version__
from voxeldose.errors import VoxeldoseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

__all__ = ["main"]

#: Exit codes of the contract: 2 (wrong usage) is click's own.
REFUSED = 3
FAILED = 1


class _Instant(click.ParamType[Any]):
    """An ISO 8601 instant; whether it has a zone is checked where its meaning is known."""

    name = "iso-datetime"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        from datetime import datetime

        if isinstance(value, datetime):
            return value
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not an ISO 8601 date and time such as 2024-05-02T10:15:00+02:00", param, ctx)


class _Refusing(click.Group):
    """Turns refusals into exit code 3, and anything unforeseen into one line and exit code 1."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except VoxeldoseError as error:
            _stop(f"refused: {error}", REFUSED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except MemoryError:
            _stop("there is not enough memory for these images; ask for a coarser --grid or crop them.", FAILED)
        except BrokenPipeError:
            sys.stderr.close()
            raise click.exceptions.Exit(0) from None
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            why = f"{type(error).__name__}: {error}"
            _stop(f"unforeseen fault ({why}). This is a defect; voxeldose --debug shows where.", FAILED)


def _stop(message: str, code: int) -> NoReturn:
    click.echo(f"voxeldose: {message}", err=True)
    raise click.exceptions.Exit(code)


@click.group(cls=_Refusing, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="voxeldose")
@click.option("--debug", is_flag=True, hidden=True, help="Show the traceback of an unforeseen fault.")
def main(debug: bool) -> None:
    """Voxel-based absorbed dose for Y-90 radioembolization.

    Research use; not for clinical decisions unless validated locally.
    """


_path = click.Path(path_type=Path)


@main.command()
@click.argument("case", required=False, type=_path)
@click.option("--activity", type=_path, help="PET or SPECT: DICOM folder or file, NIfTI, NRRD, MHA.")
@click.option("--rois", type=_path, multiple=True, help="Label map, or folder of masks; may be repeated.")
@click.option("--ct", type=_path, help="CT: DICOM folder, or a file in Hounsfield units.")
@click.option("--labels", type=_path, help='JSON: label value or name -> {"name": …, "role": …}.')
@click.option("--administered-mbq", type=float, help="Activity in the vial, decayed to the infusion.")
@click.option("--residual-mbq", type=float, help="Left in vial and tubing, at the same instant.")
@click.option("--at", type=_Instant(), help="Instant of the infusion, with its zone.")
@click.option("--assayed-at", type=_Instant(), help="When --administered-mbq was measured, if not at the infusion.")
@click.option("--residual-at", type=_Instant(), help="When --residual-mbq was measured, if not at the infusion.")
@click.option("--measured-at", type=_Instant(), help="Instant to which the image's values hold, if it does not say.")
@click.option(
    "--quantity", type=click.Choice(["bq_per_ml", "bq", "counts"]), help="What the image holds, if it does not say."
)
@click.option("--image-nuclide", help="What the image shows, such as Tc-99m; needed where its header names another.")
@click.option("--lung-shunt", type=float, help="Lung shunt fraction, 0 to 1.")
@click.option("--calibration", type=click.Choice(["administered", "absolute"]), help="How image numbers become MBq.")
@click.option("--calibration-region", help="ROI that holds the net activity less the lung shunt.")
@click.option("--engine", type=click.Choice(["dpk", "local", "density"]), help="Dose engine (default dpk).")
@click.option("--grid", help="Where dose is wanted: activity (default), ct, rois, or a spacing in mm.")
@click.option("--density-g-per-ml", type=float, help="Uniform density (default 1.04).")
@click.option("--density", help="ct (from CT numbers), or an image in g/mL.")
@click.option(
    "--constants", type=click.Choice(["ddep", "icrp107", "vendor"]), help="Set of Y-90 constants (default ddep)."
)
@click.option("--device", type=click.Choice(["glass", "resin"]), help="Microspheres; decides the thresholds compared.")
@click.option("--id", "case_id", help="A label for the results; never a patient identifier.")
@click.option("--out", type=_path, help="Results folder (default: CASE-results beside the case file).")
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
    from voxeldose.io.case_file import case_file_from, read_case_file

    tables = read_case_file(case) if case else {}
    _override(tables, flags)
    config = case_file_from(tables, str(case or "command line"))
    folder = out or case.with_name(f"{case.stem}-results") if case else out
    assert folder is not None  # noqa: S101 - one of the two is given, see above
    content = _run(config, folder, overwrite=overwrite, quiet=quiet)
    if as_json:
        click.echo(json.dumps(content, indent=2, ensure_ascii=False))
    elif not quiet:
        _print_table(content)
    if not quiet:
        for warning in content["warnings"]:
            click.echo(f"warning: {warning}", err=True)
        click.echo(f"Results: {folder} (open {folder / 'report.html'})", err=True)


def _run(config: Any, folder: Path, *, overwrite: bool, quiet: bool) -> dict[str, Any]:
    with _progress(quiet) as tell:
        tell("loading libraries")
        from voxeldose.io.results import assessment_dict
        from voxeldose.job import run_case

        return assessment_dict(run_case(config, folder, overwrite=overwrite, progress=tell))


#: Flag -> table and key of the case file.
_KEYS = {
    "quantity": ("activity", "quantity"),
    "measured_at": ("activity", "measured_at"),
    "image_nuclide": ("activity", "image_nuclide"),
    "administered_mbq": ("administration", "administered_mbq"),
    "residual_mbq": ("administration", "residual_mbq"),
    "at": ("administration", "at"),
    "assayed_at": ("administration", "assayed_at"),
    "residual_at": ("administration", "residual_at"),
    "lung_shunt": ("administration", "lung_shunt_fraction"),
    "device": ("administration", "device"),
    "calibration": ("dose", "calibration"),
    "calibration_region": ("dose", "calibration_region"),
    "engine": ("dose", "engine"),
    "density_g_per_ml": ("dose", "density_g_per_ml"),
    "density": ("dose", "density"),
    "constants": ("dose", "constants"),
    "case_id": ("case", "id"),
}


def _override(tables: dict[str, Any], flags: dict[str, Any]) -> None:
    """Put the flags that were given into the tables of the case file; tables that are none are left to its check."""
    if not all(isinstance(tables.get(t, {}), dict) for t in ("case", "activity", "ct", "administration", "dose")):
        return
    for flag, (table, key) in _KEYS.items():
        if flags[flag] is not None:
            tables.setdefault(table, {})[key] = flags[flag]
    for flag in ("activity", "ct"):
        if flags[flag] is not None:
            tables[flag] = {**tables.get(flag, {}), "path": str(flags[flag].absolute())}
    dose = tables.get("dose", {})
    if flags["density"] is not None and flags["density_g_per_ml"] is None:
        dose.pop("density_g_per_ml", None)
    if flags["density_g_per_ml"] is not None and flags["density"] is None:
        dose["density"] = "uniform"
    if flags["density"] not in (None, "ct", "uniform"):
        tables["dose"]["density"] = str(Path(flags["density"]).absolute())
    if flags["grid"] is not None:
        named = flags["grid"] in ("activity", "ct", "rois")
        try:
            tables.setdefault("dose", {})["grid"] = flags["grid"] if named else float(flags["grid"])
        except ValueError:
            msg = f"--grid must be activity, ct, rois or a spacing in mm, found {flags['grid']!r}."
            raise click.UsageError(msg) from None
    if flags["rois"]:
        tables["rois"] = [{"path": str(p.absolute())} for p in flags["rois"]]
    if flags["labels"] is not None:
        paths = [t["path"] for t in tables.get("rois", []) if isinstance(t, dict) and "path" in t]
        files = [p for path in paths for p in ([path] if isinstance(path, str) else path)]
        tables["rois"] = [{"path": files, "labels": _read_labels_json(flags["labels"])}]


def _read_labels_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        from voxeldose.errors import InputError

        msg = f'{path}: cannot be read as JSON ({error}); needed is {{"1": {{"name": "liver", "role": "liver"}}}}.'
        raise InputError(msg) from error


@main.command()
@click.option("--out", type=_path, default=Path("voxeldose-demo"), show_default=True, help="Folder of the study.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier demo.")
@click.option("--quiet", is_flag=True, help="No progress.")
def demo(out: Path, overwrite: bool, quiet: bool) -> None:
    """Build a digital liver phantom as a DICOM study, assess it, and compare with its truth."""
    from voxeldose.demo.run import run_demo

    with _progress(quiet) as tell:
        shown = run_demo(out, overwrite=overwrite, progress=tell)
    click.echo("\nPlanned on the Tc-99m MAA SPECT:")
    _print_table(shown.planned)
    click.echo("\nDelivered, from the Y-90 PET:")
    _print_table(shown.delivered)
    click.echo("\nAgainst the truth the phantom was made with (sharp activity, fine grid):")
    _print_rows(shown.against_truth)
    click.echo(f"\nStudy: {out}   Report: {out / 'results' / 'report.html'}   Picture: {out / 'picture.png'}")


@main.command()
@click.argument("path", type=_path)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def inspect(path: Path, as_json: bool) -> None:
    """What is in a folder or file, and what voxeldose would do with it or why it would refuse."""
    from voxeldose.io.inspection import inspect as look

    with _progress(as_json) as tell:
        tell("reading")
        rows = look(path)
    if as_json:
        click.echo(json.dumps(rows, indent=2, default=str, ensure_ascii=False))
        return
    for row in rows:
        facts = [row["vendor"], row["nuclide"], row["units"], row["decay"], row["grid"]]
        click.echo(f"{row['path']}")
        click.echo(f"  {row['kind']}, {row['files']} file(s); " + "; ".join(str(f) for f in facts if f))
        click.echo(f"  {row['use'] or 'not used'}: {row['verdict']}")


@main.command()
@click.option(
    "--spacing-mm", type=float, nargs=3, required=True, metavar="K J I", help="Voxel: slice, row, column spacing."
)
@click.option("--density-g-per-ml", type=float, default=1.0, show_default=True, help="Of the medium.")
@click.option("--reach-mm", type=float, default=12.0, show_default=True, help="Where the kernel ends, in water.")
@click.option(
    "--constants",
    type=click.Choice(["ddep", "icrp107", "vendor"]),
    help="Energy per decay (default: the kernel's own).",
)
@click.option("--out", type=_path, required=True, help=".csv, .npz or .nii.gz")
@click.option("--overwrite", is_flag=True, help="Replace an earlier file.")
def kernel(
    spacing_mm: tuple[float, float, float],
    density_g_per_ml: float,
    reach_mm: float,
    constants: str | None,
    out: Path,
    overwrite: bool,
) -> None:
    """Voxel S values of the Y-90 point kernel for one voxel size."""
    from voxeldose.dpk import point_kernel, voxelise
    from voxeldose.errors import InputError
    from voxeldose.io.kernel_file import write_kernel
    from voxeldose.radionuclide import y90_constants

    if out.exists() and not overwrite:
        msg = f"{out}: already exists; choose another --out or add --overwrite."
        raise InputError(msg)
    if not out.absolute().parent.is_dir():
        msg = f"{out}: there is no folder {out.absolute().parent}; make it first."
        raise InputError(msg)
    point = point_kernel()
    if constants:
        point = point.with_energy(y90_constants(constants).energy_mev)
    made = voxelise(point, spacing_mm, density_g_per_ml=density_g_per_ml, reach_mm=reach_mm)
    write_kernel(made, out)
    click.echo(
        f"self-dose {made.gy_per_decay.max() * 1e9:.5g} mGy/(MBq s), {' x '.join(map(str, made.energy_fraction.shape))} voxels, "
        f"{made.mev_per_decay:g} MeV a decay, {made.fraction_outside:.3%} of the energy outside: {out}"
    )


@contextlib.contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[str], None]]:
    """A spinner with the step's name, on a terminal only."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("starting") as status:
        yield status.update


_COLUMNS = (
    ("volume mL", "volume_ml", "{:.1f}", 1),
    ("activity MBq", "activity_mbq", "{:.1f}", 1),
    ("mean Gy", "mean_dose_gy", "{:.1f}", 1),
    ("D95", "d95_gy", "{:.1f}", 1),
    ("D70", "d70_gy", "{:.1f}", 1),
    ("D2", "d2_gy", "{:.1f}", 1),
    ("V190 %", "v190_fraction", "{:.1f}", 100),
    ("V400 %", "v400_fraction", "{:.1f}", 100),
    ("mean local", "mean_dose_local_gy", "{:.1f}", 1),
)


def _print_table(content: dict[str, Any]) -> None:
    rows = []
    for name, roi in content["rois"].items():
        row = {"ROI": name, "role": roi["role"]}
        row |= {
            title: "-" if roi[key] is None else form.format(roi[key] * factor) for title, key, form, factor in _COLUMNS
        }
        rows.append(row)
    _print_rows(rows)
    ratio, totals = content["tumor_to_normal_ratio"], content["totals"]
    said = [f"T/N {ratio:.2f}" if ratio is not None else "T/N -"]
    said.append(f"{totals['activity_mbq']:.0f} MBq in the image at infusion")
    if totals["recovered_fraction"] is not None:
        said.append(f"image/administered {totals['recovered_fraction']:.3f}")
    click.echo("; ".join(said))


def _print_rows(rows: list[dict[str, str]]) -> None:
    if not rows:
        return
    widths = {key: max(len(key), *(len(row[key]) for row in rows)) for key in rows[0]}
    left = {next(iter(rows[0])), "role"}

    def line(cells: dict[str, str]) -> str:
        return "  ".join(c.ljust(widths[k]) if k in left else c.rjust(widths[k]) for k, c in cells.items()).rstrip()

    click.echo(line({k: k for k in rows[0]}))
    for row in rows:
        click.echo(line(row))
