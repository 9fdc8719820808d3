"""An assessment as DICOM objects: dose, regions, measurements."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.radiobiology import bed_gy
from voxeldose.errors import GeometryError, VoxeldoseError
from voxeldose.io.dicom.header import count
from voxeldose.io.dicom.new_object import StudyReference
from voxeldose.io.dicom.rtdose import StructureDvhs, structure_set_of, write_rtdose
from voxeldose.io.dicom.rtstruct import write_rtstruct
from voxeldose.io.dicom.seg import write_seg
from voxeldose.io.dicom.sr import write_sr
from voxeldose.io.images import is_plain_file
from voxeldose.model.remarks import Remark
from voxeldose.model.roi import RoiSet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxeldose.io.config.case import CaseFile
    from voxeldose.io.dicom.files import Scan, Series
    from voxeldose.io.dicom.rtdose import StructureSet
    from voxeldose.io.images import ImageRead
    from voxeldose.model.assessment import Assessment
    from voxeldose.model.grid import Grid
    from voxeldose.model.rigid import Registration
    from voxeldose.model.volume import ActivityMap, CountMap, CtImage, DoseMap

__all__ = ["DicomSource", "bed_map", "dicom_source", "structure_set_of_case", "write_dicom"]


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


def write_dicom(
    result: Assessment,
    folder: Path,
    source: DicomSource,
    *,
    dose_bits: int = 32,
    bed: str | None = None,
    rtstruct: bool = False,
) -> tuple[Remark, ...]:
    """Write ``dose.dcm``, ``rois.dcm`` and ``measurements.dcm``, and on request ``bed.dcm`` and ``rois.rtstruct.dcm``.

    Regions that all lie on the voxels of the CT or PET and fill them wholly become a BINARY SEG there, exactly as they
    were given, so that a run with that SEG finds the same numbers; derived normal liver is then derived again by that run
    and is not in the SEG. Any others become a FRACTIONAL SEG on the dose grid, derived ones included.

    Returns
    -------
    tuple of Remark
        Why SEG and SR were left out, where the headers of the images do not allow them; the dose is then still written.
    """
    reference = source.reference
    if reference is None:
        return ()
    dvhs = None
    if source.structure_set is not None:
        dvhs = StructureDvhs(source.structure_set, {name: m.dvh for name, m in result.rois.items()})
    write_rtdose(result.dose, folder / "dose.dcm", reference=reference, bits=dose_bits, dvhs=dvhs)
    if bed is not None:
        effective, text = bed_map(result, bed)
        write_rtdose(effective, folder / "bed.dcm", reference=reference, bits=dose_bits, effective=text)
    if rtstruct:
        write_rtstruct(result.regions, folder / "rois.rtstruct.dcm", reference=reference)
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
    for series, name in ((source.ct, "ct"), (source.activity, "activity")):
        grid = source.grids.get(name)
        if series is None or grid is None:
            continue
        if _lie_on_voxels_of(result.case.rois, grid):
            write_seg(result.case.rois, path, reference=series)
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
