"""A case file to a case in memory: every file that it names is read, and read once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from voxeldose.dose.engines.named import engine_named
from voxeldose.errors import InputError
from voxeldose.geometry.expressions import Derivation, Isocontour, derive
from voxeldose.io.config.case import input_files
from voxeldose.io.config.report import build_stated
from voxeldose.io.dicom.acquisition import acquisition_of
from voxeldose.io.dicom.files import find_series
from voxeldose.io.dicom.options import CtOptions, PetOptions, SpectOptions
from voxeldose.io.images import is_plain_file, load_activity, load_ct_image
from voxeldose.io.regions import RegionSource, read_rois
from voxeldose.jobs import settings
from voxeldose.jobs.align import AlignedImages, align
from voxeldose.jobs.dicom_export import DicomSource, dicom_source, require_dicom_for, structure_set_of_case
from voxeldose.model.case import Case
from voxeldose.model.remarks import Remark
from voxeldose.model.reported import Reported
from voxeldose.model.roi import RoiSet

if TYPE_CHECKING:
    from collections.abc import Callable

    from voxeldose.dose.engines.base import Engine
    from voxeldose.io.config.case import CaseFile, DerivedTable, RoisTable
    from voxeldose.io.dicom.files import Scan
    from voxeldose.io.images import ImageRead
    from voxeldose.model.administration import Administration
    from voxeldose.model.rigid import Registration
    from voxeldose.model.roi import Roi
    from voxeldose.model.volume import ActivityMap, CountMap, CtImage, Volume

__all__ = ["Opened", "open_case"]


@dataclass(frozen=True, eq=False)
class Opened:
    """A case with its images in memory, its engine, and where its files lie."""

    case: Case
    engine: Engine
    inputs: tuple[Path, ...]
    dicom: DicomSource


def open_case(config: CaseFile, *, is_calibrated: bool = True, progress: Callable[[str], None] | None = None) -> Opened:
    """Read every file that a case names.

    ``is_calibrated`` asks for what makes activity of the image; without it ratios of the image can be formed, but no dose.

    Raises
    ------
    VoxeldoseError
        If a file cannot be read, or the case contradicts itself.
    """
    report_progress = progress or (lambda _: None)
    scan = cache(find_series)  # every folder is scanned once per case
    given = settings.build_administration(config.administration, config.dose.constants)
    report_progress("reading the activity image")
    activity = _read_activity(config, given, scan)
    ct = None
    if config.ct is not None:
        report_progress("reading the CT")
        options = CtOptions(config.ct.uneven)
        ct = load_ct_image(config.ct.path, series_uid=config.ct.series_uid, options=options, scan=scan)
    report_progress("reading regions")
    shown = tuple(i.series for i in (activity, ct) if i is not None and i.series is not None)
    rois = tuple(
        _with_treated(
            read_rois(
                [Path(p) for p in table.paths],
                table.names,
                source=RegionSource(scan, shown, table.slice_mm, report_progress),
            ),
            table,
        )
        for table in config.rois
    )
    drawn_on = tuple(table.drawn_on for table in config.rois)
    images, registration = AlignedImages(activity.volume, ct.volume if ct is not None else None, rois, drawn_on), None
    if config.registration is not None:
        report_progress("registering")
        images, registration = align(images, config.registration)
    structures = structure_set_of_case(config, scan)
    dicom = dicom_source(activity, ct, registration=registration, structure_set=structures)
    require_dicom_for(config.output, dicom)
    case = replace(_build_case(config, given, images, registration, scan), reported=_reported(config, activity, ct))
    if is_calibrated:
        case = replace(case, calibration=settings.choose_calibration(config))
    return Opened(case, engine_named(config.dose.engine), input_files(config), dicom)


def _with_treated(rois: RoiSet, table: RoisTable) -> RoiSet:
    """The regions of one entry; a treated segment is perfused, and says so."""
    treated = {label.name for label in (table.labels or {}).values() if label.treated and label.role == "segment"}
    return RoiSet(tuple(_as_perfused(r) if r.name in treated else r for r in rois), rois.grid)


def _as_perfused(segment: Roi) -> Roi:
    sentence = f"Segment {segment.name} is treated, so it counts as the perfused volume."
    remark = Remark("segment-treated", {"roi": segment.name}, sentence)
    return replace(segment, remarks=(*segment.remarks, remark))


def _read_activity(config: CaseFile, given: Administration, scan: Scan) -> ImageRead[ActivityMap | CountMap]:
    table = config.activity
    return load_activity(
        table.path,
        quantity=table.quantity,
        measured_at=table.measured_at,
        zone=(given.at.tzinfo if given.at else None) or UTC,
        series_uid=table.series_uid,
        pet=PetOptions(table.undo_nuclide, given.radionuclide, table.undo_suv, table.weight_kg),
        spect=SpectOptions(table.energy_window, table.slice_spacing_mm),
        scan=scan,
    )


def _build_case(
    config: CaseFile, given: Administration, images: AlignedImages, registration: Registration | None, scan: Scan
) -> Case:
    """The images and regions where they lie, with all that the case file sets."""
    activity, ct = images.activity, images.ct
    derived = [_plan_derivation(table, scan) for table in config.derived]
    rois = _infused(derive(sum(images.rois, RoiSet()), derived, activity), given)
    patient = settings.choose_patient(config)
    return Case(
        activity,
        rois,
        given,
        ct=ct,
        density=settings.build_density(config, ct),
        dose_grid=settings.choose_dose_grid(config, ct, rois, activity.grid),
        image_nuclide=config.activity.image_nuclide,
        radiobiology=settings.choose_tissues(config),
        id=config.case.id,
        registration=registration,
        limits=settings.choose_limits(config),
        bilirubin_mg_per_dl=patient.bilirubin_mg_per_dl,
        patient=patient,
        lungs=settings.build_lungs(config.lungs),
        rules=settings.choose_rules(config),
    )


def _reported(config: CaseFile, activity: ImageRead[ActivityMap | CountMap], ct: ImageRead[CtImage] | None) -> Reported:
    """What the case states for its report, and how its images were acquired."""
    series = (activity.series, ct.series if ct is not None else None)
    image, of_ct = (acquisition_of(one) if one is not None else None for one in series)
    return Reported(build_stated(config.report), image, of_ct, Path(config.protocol).name if config.protocol else "")


def _infused(rois: RoiSet, given: Administration) -> RoiSet:
    """The regions, of which segments that a territory names count as perfused, for they were infused."""
    names = {territory.roi for territory in given.territories}
    changed = []
    for roi in rois:
        if roi.name in names and roi.role == "segment":
            sentence = f"ROI {roi.name} is a segment that was infused as a territory, so it counts as perfused."
            remark = Remark("segment-infused", {"roi": roi.name}, sentence)
            changed.append(replace(roi, role="perfused", remarks=(*roi.remarks, remark)))
        else:
            changed.append(roi)
    return RoiSet(tuple(changed), rois.grid)


def _plan_derivation(table: DerivedTable, scan: Scan) -> Derivation:
    """One region that the case makes from others, or from an image."""
    ways = (table.expression, table.isocontour_fraction, table.isocontour_bq_per_ml)
    if sum(way is not None for way in ways) != 1:
        msg = f"derived region {table.name!r}: give one of from, isocontour_fraction and isocontour_bq_per_ml."
        raise InputError(msg, code="keys-contradict", roi=table.name)
    contour = None
    if table.expression is None:
        of, _, region = table.isocontour_of.partition(" of ")
        contour = Isocontour(table.isocontour_fraction, table.isocontour_bq_per_ml, of, region or None)
    image: Volume | None = None
    if table.image is not None:
        path = Path(table.image)
        image = load_activity(path, quantity="counts" if is_plain_file(path) else None, scan=scan).volume
    return Derivation(table.name, table.role, table.expression, contour, table.margin_mm, table.within, image)
