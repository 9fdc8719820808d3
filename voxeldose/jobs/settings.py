"""What a case file sets, as things of the model: administration, calibration, density, limits, grids, uncertainties."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from voxeldose.dose.density import hu_to_density
from voxeldose.dose.limits import merged, published_limits
from voxeldose.dose.recovery.options import Resolution
from voxeldose.dose.uncertainty.inputs import Condition, Spread
from voxeldose.dose.uncertainty.presets import chosen_presets
from voxeldose.dose.uncertainty.recovery import Recovery, fit_recovery
from voxeldose.errors import InputError
from voxeldose.io.config.hu_table import read_hu_table
from voxeldose.io.config.limits import read_limits
from voxeldose.io.config.rules import read_rules
from voxeldose.io.images import read_density
from voxeldose.model.administration import Administration, Assay, administration_from_assays, administration_of
from voxeldose.model.case import Absolute, Administered
from voxeldose.model.densities import DEFAULT_DENSITY_G_PER_ML
from voxeldose.model.lungs import LungSettings
from voxeldose.model.memory import require_memory
from voxeldose.model.patient import Patient
from voxeldose.model.radionuclide import y90_constants
from voxeldose.model.territory import TreatedTerritory
from voxeldose.model.tissue import default_sets, linear_quadratic_set

if TYPE_CHECKING:
    from voxeldose.io.config.administration import AdministrationTable
    from voxeldose.io.config.case import CaseFile, LungsTable
    from voxeldose.io.config.uncertainty import RecoveryTable, UncertaintyTable
    from voxeldose.model.grid import Grid
    from voxeldose.model.limits import Limit
    from voxeldose.model.plausibility import Rule
    from voxeldose.model.roi import RoiSet
    from voxeldose.model.tissue import Radiobiology
    from voxeldose.model.volume import CtImage, DensityMap

__all__ = [
    "build_administration",
    "build_density",
    "build_lungs",
    "build_resolution",
    "choose_calibration",
    "choose_dose_grid",
    "choose_limits",
    "choose_patient",
    "choose_rules",
    "choose_tissues",
    "input_uncertainties",
]

#: Memory of a run for each voxel of the dose grid: activity, density, doses by two engines, regions (measured, 4.0 GB for 79 million).
_BYTES_A_VOXEL = 50.0


def build_administration(table: AdministrationTable, constants: str) -> Administration:
    """What was given, with this set of constants; activities measured at other instants are decayed to the infusion."""
    if table.territory:
        return _build_territories(table, constants)
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
        msg = "administration: assayed_at and residual_at need administered_mbq and at (the infusion) too."
        raise InputError(msg, code="key-missing")
    assayed = administration_from_assays(
        nuclide,
        at=table.at,
        vial=Assay(table.administered_mbq, table.assayed_at or table.at),
        residual=Assay(table.residual_mbq, table.residual_at or table.at),
        lung_shunt_fraction=table.lung_shunt_fraction,
    )
    return replace(assayed, device=table.device)


def _build_territories(table: AdministrationTable, constants: str) -> Administration:
    """Each infusion as an administration of its own, and all of them together."""
    in_both = [key for key in ("administered_mbq", "assayed_at", "residual_at") if getattr(table, key) is not None]
    in_both += ["residual_mbq"] if table.residual_mbq else []
    if in_both:
        msg = (
            f"administration: {', '.join(in_both)} cannot stand beside [[administration.territory]], whose activities add up. "
            "Give each territory its own, or leave the territories out."
        )
        raise InputError(msg, code="keys-contradict", keys=tuple(f"administration.{key}" for key in in_both))
    territories = []
    for one in table.territory:
        own = {key: value for key, value in one if key != "roi" and value is not None}
        alone = table.model_copy(update={**own, "territory": []})
        territories.append(TreatedTerritory(one.roi, build_administration(alone, constants)))
    return administration_of(territories, overlap_shared=table.territory_overlap == "shared")


def choose_calibration(config: CaseFile) -> Administered | Absolute:
    """How the image becomes activity."""
    if config.dose.calibration == "absolute":
        return Absolute(config.dose.calibration_region)
    if config.administration.administered_mbq is None and not config.administration.territory:
        msg = (
            'administration.administered_mbq is missing: calibration = "administered" scales the image to it. Give it '
            '(--administered-mbq), or use calibration = "absolute" with an image in Bq/mL.'
        )
        raise InputError(msg, code="key-missing", key="administration.administered_mbq")
    return Administered(config.dose.calibration_region, config.dose.allow_activity_outside)


def build_lungs(table: LungsTable) -> LungSettings:
    """What is known of the lungs besides the shunt fraction."""
    return LungSettings(tuple(table.earlier_gy), table.mass_g, table.volume_ml, table.dome_margin_mm)


def build_density(config: CaseFile, ct: CtImage | None) -> float | DensityMap:
    """One number, or a map from the CT or an image of its own."""
    table = config.dose
    if table.hu_table is not None and table.density != "ct":
        msg = f"dose.hu_table is of use with density = 'ct' only, found density = {table.density!r}; change one."
        raise InputError(msg, code="keys-contradict")
    if table.density == "uniform":
        return table.density_g_per_ml if table.density_g_per_ml is not None else DEFAULT_DENSITY_G_PER_ML
    if table.density_g_per_ml is not None:
        msg = f"dose.density = {table.density!r} and dose.density_g_per_ml contradict each other; keep one."
        raise InputError(msg, code="keys-contradict")
    if table.density != "ct":
        return read_density(table.density)
    if ct is None:
        msg = "dose.density = 'ct' needs a CT; give [ct] path (--ct)."
        raise InputError(msg, code="ct-missing")
    if isinstance(table.hu_table, str):
        return hu_to_density(ct, read_hu_table(table.hu_table))
    return hu_to_density(ct, None if table.hu_table is None else [(hu, density) for hu, density in table.hu_table])


def choose_dose_grid(config: CaseFile, ct: CtImage | None, rois: RoiSet, activity: Grid) -> Grid | None:
    """Where the dose is computed; ``None`` for the grid of the activity."""
    choice = config.dose.grid
    if choice == "activity":
        return None
    if choice == "rois":
        if rois.grid is None:
            msg = (
                "dose.grid = 'rois' needs all regions on one and the same grid (that of a label map or SEG), and they have "
                "none or several; give ct, activity or a spacing in mm."
            )
            raise InputError(msg, code="regions-without-one-grid")
        return rois.grid
    if choice == "ct" and ct is None:
        msg = "dose.grid = 'ct' needs a CT; give [ct] path (--ct)."
        raise InputError(msg, code="ct-missing")
    grid = ct.grid if choice == "ct" and ct is not None else activity.with_spacing(float(choice))
    require_memory(grid.shape, _BYTES_A_VOXEL, "A dose grid", "Ask for larger voxels (grid = 3.0, --grid 3).")
    return grid


def choose_limits(config: CaseFile) -> tuple[Limit, ...] | None:
    """The site's own limits in place of published ones of the same name, role and device; ``None`` without a file."""
    if config.dose.thresholds is None:
        return None
    own, with_published = read_limits(Path(config.dose.thresholds))
    return merged(published_limits() if with_published else (), own)


def choose_patient(config: CaseFile) -> Patient:
    """What the case states of the patient; bilirubin may stand in ``[case]`` as well.

    Raises
    ------
    InputError
        If the two tables give different ones.
    """
    table = config.patient.model_dump() if config.patient is not None else {}
    older = config.case.bilirubin_mg_per_dl
    newer = table.get("bilirubin_mg_per_dl")
    if older is not None and newer is not None and older != newer:
        msg = f"case.bilirubin_mg_per_dl = {older:g} and patient.bilirubin_mg_per_dl = {newer:g} contradict each other; keep one."
        raise InputError(msg, code="keys-contradict", key="patient.bilirubin_mg_per_dl")
    return Patient(**table | {"bilirubin_mg_per_dl": older if newer is None else newer})


def choose_rules(config: CaseFile) -> tuple[Rule, ...] | None:
    """The rules of plausibility with the site's own; ``None`` without a file."""
    return read_rules(Path(config.dose.plausibility)) if config.dose.plausibility is not None else None


def choose_tissues(config: CaseFile) -> dict[str, Radiobiology]:
    """Role -> parameter set: the defaults, with those that the case names in their place."""
    sets = default_sets()
    for role, name in (("tumor", config.radiobiology.tumor), ("normal_liver", config.radiobiology.normal_liver)):
        if name is not None:
            chosen = linear_quadratic_set(name, role)
            sets |= dict.fromkeys(chosen.roles, chosen)
    return sets


def input_uncertainties(table: UncertaintyTable) -> Spread:
    """The standard uncertainties that a case states, and those of its presets below them."""
    given = table.model_dump(exclude={"recovery", "probabilities", "presets"}, exclude_none=True)
    presets = chosen_presets(table.presets, given)
    for one in presets:
        given |= one.taken
    conditions = tuple(Condition.parse(words) for words in table.probabilities)
    return Spread(**given, recovery=_recovery(table.recovery), conditions=conditions, presets=presets)


def build_resolution(config: CaseFile) -> Resolution | None:
    """How the scanner's blur is undone; ``None`` where the case does not ask for it.

    Raises
    ------
    InputError
        If the width is missing, or a recovery curve would correct the same blur a second time.
    """
    table = config.resolution
    if table is None or table.method == "none":
        return None
    if table.fwhm_mm is None:
        msg = (
            "resolution.fwhm_mm is missing: the scanner's full width at half maximum, [k, j, i] or one number, from a phantom scan with "
            "the patient's reconstruction."
        )
        raise InputError(msg, code="key-missing", key="resolution.fwhm_mm")
    if config.uncertainty is not None and config.uncertainty.recovery is not None:
        msg = "[resolution] and uncertainty.recovery would both correct the blur; keep one of them."
        raise InputError(msg, code="keys-contradict")
    k, j, i = table.fwhm_mm if isinstance(table.fwhm_mm, list) else [table.fwhm_mm] * 3
    given = table.model_dump(exclude={"fwhm_mm"}, exclude_none=True)
    return Resolution(fwhm_mm=(k, j, i), **given)


def _recovery(table: RecoveryTable | None) -> Recovery | None:
    if table is None:
        return None
    if table.spheres is not None:
        if table.b_ml is not None or table.c is not None:
            msg = "uncertainty.recovery: spheres and b_ml, c contradict each other; keep one."
            raise InputError(msg, code="keys-contradict")
        return fit_recovery(table.spheres, table.source or "fit to the spheres given")
    if table.b_ml is None or table.c is None:
        msg = "uncertainty.recovery needs b_ml and c of the curve, or spheres = [[mL, recovery, uncertainty], …]."
        raise InputError(msg, code="key-missing", key="uncertainty.recovery")
    off = table.correlation * table.b_sd_ml * table.c_sd
    covariance = ((table.b_sd_ml * table.b_sd_ml, off), (off, table.c_sd * table.c_sd))
    return Recovery(table.b_ml, table.c, covariance, table.source or "given by the user")
