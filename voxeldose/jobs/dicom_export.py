"""An assessment as DICOM objects: dose, regions, measurements."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from voxeldose.dose.liver_parts import liver_parts
from voxeldose.dose.radiobiology import bed_gy
from voxeldose.dose.regions import OUTSIDE_WARNING, regions_on
from voxeldose.errors import GeometryError, InputError, VoxeldoseError
from voxeldose.geometry.contours import CONTOUR_LEVEL
from voxeldose.geometry.resample import roi_onto
from voxeldose.io.config.case import OutputTable
from voxeldose.io.dicom.header import count
from voxeldose.io.dicom.new_object import SeriesKind, StudyReference
from voxeldose.io.dicom.patient import left_empty
from voxeldose.io.dicom.rtdose import StructureDvhs, write_display_dose, write_recovered_dose, write_rtdose
from voxeldose.io.dicom.rtplan import write_rtplan
from voxeldose.io.dicom.rtstruct import structure_set_of, write_rtstruct
from voxeldose.io.dicom.seg import write_seg
from voxeldose.io.dicom.sr import write_sr
from voxeldose.io.images import is_plain_file
from voxeldose.model.remarks import Remark
from voxeldose.model.roi import RoiSet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxeldose.io.config.case import CaseFile
    from voxeldose.io.dicom.files import Scan, Series
    from voxeldose.io.dicom.rtstruct import StructureSet
    from voxeldose.io.images import ImageRead
    from voxeldose.model.assessment import Assessment
    from voxeldose.model.grid import Grid
    from voxeldose.model.rigid import Registration
    from voxeldose.model.roi import Roi
    from voxeldose.model.volume import ActivityMap, CountMap, CtImage, DoseMap

__all__ = [
    "DicomSource",
    "bed_map",
    "dicom_source",
    "require_dicom_for",
    "structure_set_of_case",
    "write_dicom",
]

#: Where the numbers of the series begin.
_FIRST_NUMBERS = {"predicted": 800, "delivered": 900}


@dataclass(frozen=True, eq=False)
class DicomSource:
    """The DICOM series that a case was read from.

    Parameters
    ----------
    activity, ct : StudyReference, optional
        Those of the inputs that were DICOM, with their headers.
    grids : mapping
        The voxels of each of them that is a single-frame series, by ``activity`` and ``ct``.
    structure_set : StructureSet, optional
        The one RTSTRUCT that the regions came from.
    """

    activity: StudyReference | None = None
    ct: StudyReference | None = None
    grids: Mapping[str, Grid] = field(default_factory=dict)
    structure_set: StructureSet | None = None

    @property
    def modality(self) -> str:
        """Of the activity image; empty if it was not DICOM."""
        return self.activity.modality if self.activity is not None else ""

    @property
    def reference(self) -> StudyReference | None:
        """What gives patient, study and frame of reference: the CT, or the activity series without one."""
        return self.ct or self.activity

    def of_kind(self, kind: SeriesKind) -> DicomSource:
        """The same series, for results of one kind."""
        activity, ct = (s and replace(s, kind=kind) for s in (self.activity, self.ct))
        return replace(self, activity=activity, ct=ct)


def _series_kind(result: Assessment) -> SeriesKind:
    """What every series of a result says it is, and its first number: predicted 800, delivered 900; one series per kind."""
    return SeriesKind() if result.kind is None else SeriesKind(result.kind_text, _FIRST_NUMBERS[result.kind])


def dicom_source(
    activity: ImageRead[ActivityMap | CountMap],
    ct: ImageRead[CtImage] | None,
    *,
    registration: Registration | None = None,
    structure_set: StructureSet | None = None,
) -> DicomSource:
    """The DICOM series behind the images of a case, as they were read.

    An image that was moved is not cited: its own frame of reference is not that of the results.
    """
    moved = registration.moving if registration is not None else None
    shown = below = None
    grids: dict[str, Grid] = {}
    if activity.series is not None and moved != "activity":
        shown = StudyReference(activity.series, activity.volume.grid)
        if shown.modality != "NM" and count(shown.header, "NumberOfFrames", 1) == 1:
            grids["activity"] = activity.volume.grid
    if ct is not None and ct.series is not None and moved != "ct":
        below = StudyReference(ct.series)  # its voxels are those of its files: a CT may have been resampled
        grids["ct"] = ct.volume.grid
    return DicomSource(shown, below, grids, structure_set)


def structure_set_of_case(config: CaseFile, scan: Scan) -> StructureSet | None:
    """The structure set behind the regions of a case, if there is just one file and it is one."""
    files = [(table, Path(path)) for table in config.rois for path in table.paths]
    if len(files) != 1:
        return None
    table, path = files[0]
    return None if is_plain_file(path) else structure_set_of(path, table.names, scan=scan)


def require_dicom_for(wanted: OutputTable, source: DicomSource) -> None:
    """Refuse objects that only a study can have, where the images of a case are none.

    Raises
    ------
    InputError
        Names the key, its flag, and what is missing.
    """
    for key, flag, why in (
        ("rtstruct", "--rtstruct", "an RTSTRUCT cites the images it lies on"),
        ("rtplan", "--rtplan", "an RTPLAN belongs to a patient and a study"),
    ):
        if getattr(wanted, key) and source.reference is None:
            msg = f"output.{key} ({flag}) needs a DICOM image: {why}. Leave it out."
            raise InputError(msg, code="dicom-missing", key=f"output.{key}")
    if wanted.dose_on_ct and (source.ct is None or "ct" not in source.grids):
        msg = (
            "output.dose_on_ct (--dose-on-ct) needs a CT that is a DICOM series and was not moved by the registration: the "
            "dose takes its voxels and frame of reference. Give one, or leave it out."
        )
        raise InputError(msg, code="dicom-missing", key="output.dose_on_ct")
    if wanted.rtstruct_holes == "xor" and not wanted.rtstruct:
        msg = "output.rtstruct_holes (--rtstruct-holes) says how rois.rtstruct.dcm is written; ask for it with output.rtstruct."
        raise InputError(msg, code="keys-contradict", key="output.rtstruct_holes")


def write_dicom(
    result: Assessment, folder: Path, source: DicomSource, wanted: OutputTable | None = None
) -> tuple[Remark, ...]:
    """Write ``dose.dcm``, ``rois.dcm`` and ``measurements.dcm``, and what ``[output]`` asks for besides.

    Where the run recovered a dose, its mean map is ``dose_recovered.dcm``. On request there are ``bed.dcm``, ``rois.rtstruct.dcm``, ``rtplan.dcm`` and ``dose_on_ct.dcm``. The doses refer to the
    plan if it is written, and ``dose.dcm`` holds the DVHs of the regions in the structure set that is written, or else of
    those in the one that the regions came from.

    Regions that all lie on the voxels of the CT or PET and fill them wholly become a BINARY SEG there, as they were given
    and each with what it encloses, so that a run with that SEG finds the same numbers; derived parts of the liver are then
    derived again by that run and are not in the SEG. Any others become a FRACTIONAL SEG on the dose grid, derived ones included.

    Returns
    -------
    tuple of Remark
        Why SEG and SR, or regions of the structure set, were left out; the dose is then still written.
    """
    wanted = wanted or OutputTable()
    source = source.of_kind(_series_kind(result))
    reference = source.reference
    if reference is None:
        return ()
    structure_set: StructureSet | None = source.structure_set
    remarks: tuple[Remark, ...] = ()
    if wanted.rtstruct:
        structure_set, remarks = _write_contours(result, folder / "rois.rtstruct.dcm", source, wanted)
    plan_uid = None
    if wanted.rtplan:
        path, grid = folder / "rtplan.dcm", result.dose.grid
        plan_uid = write_rtplan(path, reference=reference, grid=grid, structure_set=structure_set)
    _write_doses(result, folder, source, wanted, _Cited(structure_set, plan_uid))
    return (*remarks, *_left_empty(reference), *_write_seg_and_sr(result, folder, source))


def _left_empty(reference: StudyReference) -> tuple[Remark, ...]:
    """What of the patient and study is not in the objects written, by its name and without its value."""
    keywords = ", ".join(left_empty(reference.header))
    if not keywords:
        return ()
    sentence = (
        f"{keywords} of the images break the DICOM standard and are left empty in the DICOM objects written; correct them in "
        "the archive before these are sent there."
    )
    return (Remark("patient-values-left-empty", {"keywords": keywords}, sentence),)


class _Cited(NamedTuple):
    """What the doses refer to."""

    structure_set: StructureSet | None
    plan_uid: str | None


def _write_doses(result: Assessment, folder: Path, source: DicomSource, wanted: OutputTable, cited: _Cited) -> None:
    """Write ``dose.dcm``, ``dose_recovered.dcm`` where the run has one, and on request ``bed.dcm`` and ``dose_on_ct.dcm``."""
    reference, bits = source.reference, wanted.dose_bits
    assert reference is not None  # noqa: S101 - asked for by the caller
    dvhs = None
    if cited.structure_set is not None:
        dvhs = StructureDvhs(cited.structure_set, {name: m.dvh for name, m in result.rois.items()})
    path = folder / "dose.dcm"
    write_rtdose(result.dose, path, reference=reference, bits=bits, dvhs=dvhs, plan_uid=cited.plan_uid)
    if wanted.bed_dose is not None:
        effective, text = bed_map(result, wanted.bed_dose)
        path = folder / "bed.dcm"
        write_rtdose(effective, path, reference=reference, bits=bits, effective=text, plan_uid=cited.plan_uid)
    if result.recovered is not None:
        path = folder / "dose_recovered.dcm"
        write_recovered_dose(result.recovered.dose, path, reference=reference, bits=bits, plan_uid=cited.plan_uid)
    if wanted.dose_on_ct:
        shown = _at_centres(result.dose, source.grids["ct"])
        path = folder / "dose_on_ct.dcm"
        write_display_dose(shown, path, reference=reference, bits=bits, plan_uid=cited.plan_uid)


def _at_centres(dose: DoseMap, grid: Grid) -> DoseMap:
    """A dose at the voxel centres of another grid, linear between its own; zero where it does not reach."""
    dose.grid.require_same_frame(grid, "The dose and the CT")
    rows = np.moveaxis(np.indices((1, *grid.shape[1:])), 0, -1)
    values = np.empty(grid.shape, np.float32)
    for k in range(grid.shape[0]):  # plane by plane: the grid of a CT is large
        values[k] = dose.sampled_at(grid.points_lps_mm(rows + np.array((k, 0, 0))))[0]
    values.setflags(write=False)
    return dose.replaced(values, grid)


def _write_contours(
    result: Assessment, path: Path, source: DicomSource, wanted: OutputTable
) -> tuple[StructureSet | None, tuple[Remark, ...]]:
    """Write the regions as contours in the planes of the series they cite; returns what was left out with reasons.

    Contours between the planes of the images are moved or lost by other systems, so the regions are put on the voxels of
    the CT (or activity) first, from where they were given. Derived normal liver is derived there.
    """
    reference = source.reference
    assert reference is not None  # noqa: S101 - asked for by the caller
    grid = source.grids["ct"] if source.ct is not None and "ct" in source.grids else reference.grid
    on_grid = regions_on(RoiSet(tuple(r for r in result.case.rois if _is_met(r, grid))), grid)
    others = [r for r in result.regions if r.name not in on_grid.rois and r.name not in result.case.rois]
    drawn = on_grid.rois + RoiSet(tuple(roi_onto(r, grid)[0] for r in others if _is_met(r, grid)))
    drawn = RoiSet(tuple(r for r in drawn if (r.occupancy > CONTOUR_LEVEL).any()))
    remarks = (
        *(_left_out(name) for name in result.rois if name not in drawn),
        *(_cut(name, part) for name, part in on_grid.outside_fraction.items() if part > OUTSIDE_WARNING),
    )
    if not len(drawn):
        return None, remarks
    return write_rtstruct(drawn, path, reference=reference, xor=wanted.rtstruct_holes == "xor"), remarks


def _left_out(name: str) -> Remark:
    sentence = f"rois.rtstruct.dcm does not hold ROI {name}: it fills no voxel of the images there by half."
    return Remark("rtstruct-region-left-out", {"roi": name}, sentence)


def _cut(name: str, part: float) -> Remark:
    sentence = f"{part:.1%} of ROI {name} lies outside the images that rois.rtstruct.dcm cites and is not in that file."
    return Remark("rtstruct-region-cut", {"roi": name, "outside_fraction": part}, sentence)


def _is_met(roi: Roi, grid: Grid) -> bool:
    try:
        roi_onto(roi, grid)
    except GeometryError:
        return False
    return True


def _write_seg_and_sr(result: Assessment, folder: Path, source: DicomSource) -> tuple[Remark, ...]:
    """Write ``rois.dcm`` and ``measurements.dcm``; returns why not, where the headers of the images do not allow them."""
    seg, report = folder / "rois.dcm", folder / "measurements.dcm"
    try:
        cited = _write_regions(result, seg, source)
        write_sr(result, report, seg=seg, reference=cited, modality=source.modality)
    except VoxeldoseError as error:
        seg.unlink(missing_ok=True)
        why = str(error)
        for image in filter(None, (source.activity, source.ct)):  # paths may tell more than a report should
            why = _without_paths(why, image.series)
        sentence = f"rois.dcm and measurements.dcm were not written: {why}"
        return (Remark("seg-and-sr-left-out", {"reason": error.code}, sentence),)
    return ()


def _without_paths(sentence: str, series: Series) -> str:
    """A sentence about a series without the folder that it begins with, and with file names for whole paths."""
    sentence = sentence.removeprefix(f"{series.folder}: ")
    for path in series.paths:
        sentence = sentence.replace(str(path), path.name)
    return sentence


def bed_map(result: Assessment, tissue: str) -> tuple[DoseMap, str]:
    """BED of every voxel with the parameters of one tissue (by role), and a text that names them."""
    parameters = result.case.radiobiology[tissue]
    values = bed_gy(result.dose.gy.astype(np.float64), parameters, result.case.administration.radionuclide)
    text = (
        f"BED {parameters.name}: alpha/beta {parameters.alpha_beta_gy:g} Gy, repair {parameters.repair_half_time_h:g} h"
    )
    return result.dose.replaced(values), text


def _write_regions(result: Assessment, path: Path, source: DicomSource) -> StudyReference:
    """Write the SEG; returns the series that it cites."""
    parts = liver_parts(result.case.rois)
    given = RoiSet(tuple(r for r in parts.rois if r.name not in parts.derived))
    for series, name in ((source.ct, "ct"), (source.activity, "activity")):
        grid = source.grids.get(name)
        if series is None or grid is None:
            continue
        if _lie_on_voxels_of(given, grid):
            write_seg(given, path, reference=series)
            return series
    on_ct = "ct" in source.grids and source.grids["ct"].matches(result.dose.grid)
    cited = source.ct if on_ct else source.activity or source.ct
    assert cited is not None  # noqa: S101 - one of them is the reference
    write_seg(_in_frame_of_dose(result, source), path, reference=cited, fractional=True)
    return cited


def _in_frame_of_dose(result: Assessment, source: DicomSource) -> RoiSet:
    """The regions on the dose grid, in the frame of reference that ``dose.dcm`` states."""
    if result.dose.grid.frame_uid is not None or source.reference is None:
        return result.regions
    frame = source.reference.frame_uid_for(result.dose.grid)
    return RoiSet(tuple(replace(r, grid=replace(r.grid, frame_uid=frame)) for r in result.regions))


def _lie_on_voxels_of(rois: RoiSet, grid: Grid) -> bool:
    """Whether all regions lie on voxels of ``grid``, whose frame is known, and fill them wholly."""
    if grid.frame_uid is None:
        return False
    for roi in rois:
        try:
            grid.slices_of(roi.grid)
        except GeometryError:
            return False
        if not np.isin(roi.occupancy, (0.0, 1.0)).all():
            return False
    return True
