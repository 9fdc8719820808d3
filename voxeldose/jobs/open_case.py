"""A case file to a folder of results: open, assess, write; whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from voxeldose.dose.density import hu_to_density
from voxeldose.dose.engines.named import engine_named
from voxeldose.dose.limits import merged, published_limits
from voxeldose.dose.uncertainty.inputs import Condition, Spread
from voxeldose.dose.uncertainty.recovery import Recovery, fit_recovery
from voxeldose.errors import InputError
from voxeldose.geometry.expressions import Derivation, Isocontour, derive
from voxeldose.io.config.case import input_files
from voxeldose.io.config.hu_table import read_hu_table
from voxeldose.io.config.limits import read_limits
from voxeldose.io.dicom.files import find_series
from voxeldose.io.dicom.options import CtOptions, PetOptions, SpectOptions
from voxeldose.io.images import is_plain_file, load_activity, load_ct_image, read_density
from voxeldose.io.regions import read_rois
from voxeldose.jobs.align import Placed, align
from voxeldose.jobs.dicom_export import DicomSource, dicom_source, require_dicom_for, structure_set_of_case
from voxeldose.model.administration import Administration, Assay, administration_from_assays
from voxeldose.model.case import Absolute, Administered, Case
from voxeldose.model.densities import DEFAULT_DENSITY_G_PER_ML
from voxeldose.model.radionuclide import y90_constants
from voxeldose.model.roi import RoiSet
from voxeldose.model.tissue import default_sets, linear_quadratic_set

if TYPE_CHECKING:
    from collections.abc import Callable

    from voxeldose.dose.engines.base import Engine
    from voxeldose.io.config.case import AdministrationTable, CaseFile, RecoveryTable, UncertaintyTable
    from voxeldose.io.dicom.files import Scan
    from voxeldose.model.grid import Grid
    from voxeldose.model.limits import Limit
    from voxeldose.model.tissue import Radiobiology
    from voxeldose.model.volume import CtImage, DensityMap, Volume

__all__ = ["Opened", "input_uncertainties", "open_case"]


@dataclass(frozen=True, eq=False)
class Opened:
    """A case with its images in memory, its engine, and where its files lie."""

    case: Case
    engine: Engine
    inputs: tuple[Path, ...]
    dicom: DicomSource


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
    scan = cache(find_series)  # every folder is scanned once per case
    shown = load_activity(
        wanted.path,
        quantity=wanted.quantity,
        measured_at=wanted.measured_at,
        zone=zone,
        series_uid=wanted.series_uid,
        pet=PetOptions(wanted.undo_nuclide, given.radionuclide, wanted.undo_suv, wanted.weight_kg),
        spect=SpectOptions(wanted.energy_window, wanted.slice_spacing_mm),
        scan=scan,
    )
    below = None
    if config.ct is not None:
        tell("reading the CT")
        options = CtOptions(config.ct.uneven)
        below = load_ct_image(config.ct.path, series_uid=config.ct.series_uid, options=options, scan=scan)
    tell("reading regions")
    sets = [read_rois([Path(p) for p in table.paths], table.names, scan=scan) for table in config.rois]
    activity, ct = shown.volume, below.volume if below is not None else None
    registration = None
    if config.registration is not None:
        tell("registering")
        placed = Placed(activity, ct, tuple(sets), tuple(table.drawn_on for table in config.rois))
        placed, registration = align(placed, config.registration)
        activity, ct, sets = placed.activity, placed.ct, list(placed.rois)
    rois = _with_derived(config, sum(sets, RoiSet()), activity, scan)
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
        registration=registration,
        limits=_limits(config),
        bilirubin_mg_per_dl=config.case.bilirubin_mg_per_dl,
    )
    structures = structure_set_of_case(config, scan)
    dicom = dicom_source(shown, below, registration=registration, structure_set=structures)
    require_dicom_for(config.output, dicom)
    return Opened(case, engine_named(config.dose.engine), input_files(config), dicom)


def _with_derived(config: CaseFile, rois: RoiSet, activity: Volume, scan: Scan) -> RoiSet:
    """The regions, and those that the case makes from them."""
    plans = []
    for table in config.derived:
        contour = None
        if table.isocontour_fraction is not None or table.isocontour_bq_per_ml is not None:
            of, _, region = table.isocontour_of.partition(" of ")
            contour = Isocontour(table.isocontour_fraction, table.isocontour_bq_per_ml, of, region or None)
        ways = (table.expression, table.isocontour_fraction, table.isocontour_bq_per_ml)
        if sum(way is not None for way in ways) != 1:
            msg = f"derived region {table.name!r}: give one of from, isocontour_fraction and isocontour_bq_per_ml."
            raise InputError(msg)
        image = None
        if table.image is not None:
            path = Path(table.image)
            image = load_activity(path, quantity="counts" if is_plain_file(path) else None, scan=scan).volume
        plans.append(
            Derivation(table.name, table.role, table.expression, contour, table.margin_mm, table.within, image)
        )
    return derive(rois, plans, activity)


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
        vial=Assay(table.administered_mbq, table.assayed_at or table.at),
        residual=Assay(table.residual_mbq, table.residual_at or table.at),
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
    if table.hu_table is not None and table.density != "ct":
        msg = f"dose.hu_table is of use with density = 'ct' only, found density = {table.density!r}; change one."
        raise InputError(msg)
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
    if isinstance(table.hu_table, str):
        return hu_to_density(ct, read_hu_table(table.hu_table))
    return hu_to_density(ct, None if table.hu_table is None else [(hu, density) for hu, density in table.hu_table])


def _limits(config: CaseFile) -> tuple[Limit, ...] | None:
    """The site's own limits in place of published ones of the same name, role and device; ``None`` without a file."""
    if config.dose.thresholds is None:
        return None
    own, with_published = read_limits(Path(config.dose.thresholds))
    return merged(published_limits() if with_published else (), own)


def _radiobiology(config: CaseFile) -> dict[str, Radiobiology]:
    """Role -> parameter set: the defaults, with those that the case names in their place."""
    sets = default_sets()
    for role, name in (("tumor", config.radiobiology.tumor), ("normal_liver", config.radiobiology.normal_liver)):
        if name is not None:
            chosen = linear_quadratic_set(name, role)
            sets |= dict.fromkeys(chosen.roles, chosen)
    return sets


def input_uncertainties(table: UncertaintyTable) -> Spread:
    """The standard uncertainties that a case states."""
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
            msg = (
                "dose.grid = 'rois' needs all regions on one and the same grid (that of a label map or SEG), and they have "
                "none or several; give ct, activity or a spacing in mm."
            )
            raise InputError(msg, code="regions-without-one-grid")
        return rois.grid
    if wanted != "ct":
        return activity.with_spacing(float(wanted))
    if ct is None:
        msg = "dose.grid = 'ct' needs a CT; give [ct] path (--ct)."
        raise InputError(msg)
    return ct.grid
