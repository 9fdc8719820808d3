"""A case file to a folder of results: open, assess, write; whole or not at all."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import socket
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from voxeldose._version import __version__
from voxeldose.case import DEFAULT_DENSITY_G_PER_ML, Absolute, Administered, Administration, Case
from voxeldose.dpk import point_kernel
from voxeldose.engines.convolution import Convolution, LocalDeposition
from voxeldose.engines.density import RayTransport
from voxeldose.errors import InputError
from voxeldose.io.dicom_files import is_dicom
from voxeldose.io.dicom_rt import write_rtdose
from voxeldose.io.images import is_plain_file, read_activity, read_ct_image, read_density
from voxeldose.io.labels import read_rois
from voxeldose.io.nifti import write_nifti
from voxeldose.io.results import assessment_dict, write_json, write_tables
from voxeldose.pipeline import Engine, assess
from voxeldose.propagation import Recovery, fit_recovery
from voxeldose.quantify import administration_from_assays, hu_to_density
from voxeldose.radiobiology import default_sets, linear_quadratic_set
from voxeldose.radionuclide import y90_constants
from voxeldose.report import write_report
from voxeldose.roi import RoiSet
from voxeldose.spread import Condition, Spread
from voxeldose.uncertainty import with_uncertainty

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from voxeldose.case import Assessment
    from voxeldose.grid import Grid
    from voxeldose.io.case_file import AdministrationTable, CaseFile, RecoveryTable, UncertaintyTable
    from voxeldose.radiobiology import Radiobiology
    from voxeldose.volume import CtImage, DensityMap

__all__ = ["Opened", "open_case", "results_folder", "run_case"]

#: What the results record of the machine: the libraries that make numbers.
_LIBRARIES = ("numpy", "scipy", "SimpleITK", "nibabel", "pydicom")


@dataclass(frozen=True, eq=False)
class Opened:
    """A case with its images in memory, its engine, and where its files lie."""

    case: Case
    engine: Engine
    inputs: tuple[Path, ...]
    reference: Path | None


def run_case(
    config: CaseFile, out: Path, *, overwrite: bool = False, progress: Callable[[str], None] | None = None
) -> Assessment:
    """Assess a case and write every result file.

    Parameters
    ----------
    config : CaseFile
        Checked; paths absolute.
    out : path
        The results folder; appears when everything is written.
    overwrite : bool
        Replace an earlier results folder.
    progress : callable, optional
        Called with a few words before each step.

    Returns
    -------
    Assessment
        What was written.

    Raises
    ------
    VoxeldoseError
        If anything cannot be used; ``out`` is then as it was.
    """
    tell = progress or (lambda _: None)
    started = datetime.now(UTC)
    with results_folder(out, overwrite=overwrite) as folder:
        opened = open_case(config, progress=tell)
        result = assess(opened.case, opened.engine, progress=tell)
        if config.uncertainty is not None:
            result = with_uncertainty(result, opened.engine, _spread(config.uncertainty), progress=tell)
        tell("writing results")
        content = assessment_dict(result)
        write_json(content, folder / "assessment.json")
        write_tables(result, folder)
        write_nifti(result.dose, folder / "dose.nii.gz", description="absorbed dose in Gy")
        if opened.reference is not None:
            write_rtdose(result.dose, folder / "dose.dcm", reference=opened.reference)
        tell("drawing the report")
        write_report(result, folder / "report.html")
        tell("hashing inputs")
        manifest = {
            "schema": "voxeldose/run/1",
            "version": __version__,
            "started_at": started.isoformat(),
            "finished_at": datetime.now(UTC).isoformat(),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "libraries": {name: metadata.version(name) for name in _LIBRARIES},
            "case": config.model_dump(mode="json"),
            "inputs": [{"path": str(p), "sha256": _sha256(p), "bytes": p.stat().st_size} for p in opened.inputs],
            "constants": content["constants"],
            "engine": result.record.engine,
            "kernel": dict(result.record.kernel),
            "assumptions": list(result.record.assumptions),
            "warnings": list(result.record.warnings),
            "timings_s": dict(result.record.timings_s),
            "outputs": {p.name: _sha256(p) for p in sorted(folder.iterdir())},
        }
        write_json(manifest, folder / "run.json")
    return result


def open_case(config: CaseFile, *, progress: Callable[[str], None] | None = None) -> Opened:
    """Read every file that a case names.

    Raises
    ------
    VoxeldoseError
        If a file cannot be read, or the case contradicts itself.
    """
    tell = progress or (lambda _: None)
    given = _administration(config.administration, config.dose.constants)
    zone: tzinfo = (given.at.tzinfo if given.at else None) or UTC
    tell("reading the activity image")
    wanted = config.activity
    activity = read_activity(
        wanted.path,
        quantity=wanted.quantity,
        measured_at=wanted.measured_at,
        zone=zone,
        series_uid=wanted.series_uid,
    )
    ct = None
    if config.ct is not None:
        tell("reading the CT")
        ct = read_ct_image(config.ct.path, series_uid=config.ct.series_uid)
    tell("reading regions")
    rois = RoiSet()
    for table in config.rois:
        named = table.labels
        labels = {k: (v.name, str(v.role)) for k, v in named.items()} if named is not None else None
        rois += read_rois([Path(p) for p in _listed(table.path)], labels)
    case = Case(
        activity,
        rois,
        given,
        ct=ct,
        calibration=_calibration(config),
        density=_density(config, ct),
        dose_grid=_dose_grid(config, ct, rois, activity.grid),
        image_nuclide=wanted.image_nuclide,
        radiobiology=_radiobiology(config),
        id=config.case.id,
    )
    paths = [wanted.path, *([config.ct.path] if config.ct else []), *(p for t in config.rois for p in _listed(t.path))]
    if config.dose.density not in ("uniform", "ct"):
        paths.append(config.dose.density)
    images = [Path(p) for p in ([config.ct.path] if config.ct else []) + [wanted.path]]
    reference = next((p for p in images if not is_plain_file(p) and is_dicom(p)), None)
    inputs = tuple(dict.fromkeys(f for p in paths for f in _files(Path(p))))
    return Opened(case, _engine(config), inputs, reference)


@contextmanager
def results_folder(out: Path, *, overwrite: bool, marker: str = "run.json") -> Iterator[Path]:
    """A folder to write into that takes the name ``out`` only when the block ends without error.

    Only a folder that holds ``marker`` or nothing is ever replaced.
    Until then it is a hidden neighbour of ``out``; one left behind by a killed run on this machine is removed.

    Raises
    ------
    InputError
        If ``out`` exists and may not be replaced, or cannot be written.
    """
    out = out.absolute()
    if out.exists():
        is_results = out.is_dir() and ((out / marker).exists() or not any(out.iterdir()))
        if not overwrite and not (out.is_dir() and not any(out.iterdir())):
            msg = f"{out}: already exists; choose another --out or add --overwrite."
            raise InputError(msg)
        if not is_results:
            msg = f"{out}: is not a folder that voxeldose made (no {marker} in it), so it is not replaced. Choose another."
            raise InputError(msg)
    for left in out.parent.glob(f".{out.name}.partial-{socket.gethostname()}-*"):
        if not _alive(int(left.name.rpartition("-")[2])):
            shutil.rmtree(left, ignore_errors=True)
    partial = out.parent / f".{out.name}.partial-{socket.gethostname()}-{os.getpid()}"
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        msg = f"{out}: cannot be written ({error.strerror}). Choose another --out."
        raise InputError(msg) from error
    try:
        yield partial
        earlier = out.parent / f".{out.name}.earlier-{os.getpid()}"
        if out.exists():
            out.rename(earlier)
        partial.rename(out)
        shutil.rmtree(earlier, ignore_errors=True)
    except OSError as error:
        msg = f"{out}: writing the results failed ({error.strerror or error}). Nothing was left behind."
        raise InputError(msg) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _administration(table: AdministrationTable, constants: str) -> Administration:
    nuclide = y90_constants(constants)
    if table.assayed_at is None and table.residual_at is None:
        return Administration(
            nuclide,
            table.administered_mbq,
            table.at,
            table.residual_mbq,
            table.lung_shunt_fraction,
            table.device,
        )
    if table.at is None or table.administered_mbq is None:
        msg = "administration: assayed_at and residual_at need administered_mbq and at (the infusion) beside them."
        raise InputError(msg)
    assayed = administration_from_assays(
        nuclide,
        at=table.at,
        vial=(table.administered_mbq, table.assayed_at or table.at),
        residual=(table.residual_mbq, table.residual_at or table.at),
        lung_shunt_fraction=table.lung_shunt_fraction,
    )
    return replace(assayed, device=table.device)


def _calibration(config: CaseFile) -> Administered | Absolute:
    if config.dose.calibration == "absolute":
        return Absolute()
    if config.administration.administered_mbq is None:
        msg = (
            'administration.administered_mbq is missing: calibration = "administered" scales the image to it. Give it '
            '(--administered-mbq), or use calibration = "absolute" with an image in Bq/mL.'
        )
        raise InputError(msg)
    return Administered(config.dose.calibration_region)


def _density(config: CaseFile, ct: CtImage | None) -> float | DensityMap:
    table = config.dose
    if table.density == "uniform":
        return table.density_g_per_ml if table.density_g_per_ml is not None else DEFAULT_DENSITY_G_PER_ML
    if table.density_g_per_ml is not None:
        msg = f"dose.density = {table.density!r} and dose.density_g_per_ml contradict each other; keep one."
        raise InputError(msg)
    if table.density != "ct":
        return read_density(table.density)
    if ct is None:
        msg = "dose.density = 'ct' needs a CT; give [ct] path (--ct)."
        raise InputError(msg)
    return hu_to_density(ct)


def _radiobiology(config: CaseFile) -> dict[str, Radiobiology]:
    """Role -> parameter set: the defaults, with those that the case names in their place."""
    sets = default_sets()
    for role, name in (("tumor", config.radiobiology.tumor), ("normal_liver", config.radiobiology.normal_liver)):
        if name is not None:
            chosen = linear_quadratic_set(name, role)
            sets |= dict.fromkeys(chosen.roles, chosen)
    return sets


def _spread(table: UncertaintyTable) -> Spread:
    given = table.model_dump(exclude={"recovery", "probabilities"}, exclude_none=True)
    conditions = tuple(Condition.parse(words) for words in table.probabilities)
    return Spread(**given, recovery=_recovery(table.recovery), conditions=conditions)


def _recovery(table: RecoveryTable | None) -> Recovery | None:
    if table is None:
        return None
    if table.spheres is not None:
        if table.b_ml is not None or table.c is not None:
            msg = "uncertainty.recovery: spheres and b_ml, c contradict each other; keep one."
            raise InputError(msg)
        return fit_recovery(table.spheres, table.source or "fit to the spheres given")
    if table.b_ml is None or table.c is None:
        msg = "uncertainty.recovery needs b_ml and c of the curve, or spheres = [[mL, recovery, uncertainty], …]."
        raise InputError(msg)
    off = table.correlation * table.b_sd_ml * table.c_sd
    covariance = ((table.b_sd_ml**2, off), (off, table.c_sd**2))
    return Recovery(table.b_ml, table.c, covariance, table.source or "given by the user")


def _dose_grid(config: CaseFile, ct: CtImage | None, rois: RoiSet, activity: Grid) -> Grid | None:
    wanted = config.dose.grid
    if wanted == "activity":
        return None
    if wanted == "rois":
        if rois.grid is None:
            msg = "dose.grid = 'rois' needs regions on one grid (a label map or SEG); give ct, activity or a spacing in mm."
            raise InputError(msg)
        return rois.grid
    if wanted != "ct":
        return activity.with_spacing(float(wanted))
    if ct is None:
        msg = "dose.grid = 'ct' needs a CT; give [ct] path (--ct)."
        raise InputError(msg)
    return ct.grid


def _engine(config: CaseFile) -> Engine:
    if config.dose.engine == "density":
        return RayTransport(point_kernel())
    return Convolution(point_kernel()) if config.dose.engine == "dpk" else LocalDeposition()


def _listed(path: str | list[str]) -> list[str]:
    return [path] if isinstance(path, str) else path


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
