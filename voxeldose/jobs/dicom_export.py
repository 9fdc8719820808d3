"""An assessment as DICOM objects: dose, regions, measurements."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.radiobiology import bed_gy
from voxeldose.errors import GeometryError, VoxeldoseError
from voxeldose.io.dicom.files import find_series, is_dicom
from voxeldose.io.dicom.new_object import SeriesRef, frame_of, reference_header
from voxeldose.io.dicom.rtdose import StructureDvhs, structure_set_of, write_rtdose
from voxeldose.io.dicom.rtstruct import write_rtstruct
from voxeldose.io.dicom.seg import write_seg
from voxeldose.io.dicom.sr import write_sr
from voxeldose.io.images import is_plain_file
from voxeldose.model.roi import RoiSet

if TYPE_CHECKING:
    from voxeldose.io.config.case import CaseFile
    from voxeldose.io.dicom.files import Series
    from voxeldose.io.dicom.rtdose import StructureSet
    from voxeldose.model.assessment import Assessment
    from voxeldose.model.grid import Grid
    from voxeldose.model.rigid import Registration
    from voxeldose.model.volume import CtImage, DoseMap

__all__ = ["DicomSource", "bed_map", "dicom_source", "write_dicom"]


@dataclass(frozen=True, eq=False)
class DicomSource:
    """The DICOM series that a case was read from.

    Parameters
    ----------
    activity, ct : SeriesRef, optional
        Those of the inputs that were DICOM.
    grids : dict
        The voxels of each of them that is a single-frame series, by ``activity`` and ``ct``.
    modality : str
        Of the activity image.
    structure_set : StructureSet, optional
        The one RTSTRUCT that the regions came from.
    """

    activity: SeriesRef | None
    ct: SeriesRef | None
    grids: dict[str, Grid]
    modality: str
    structure_set: StructureSet | None

    @property
    def reference(self) -> SeriesRef | None:
        """What gives patient, study and frame of reference: the CT, or the activity series without one."""
        return self.ct or self.activity


def dicom_source(
    config: CaseFile, activity: Grid, ct: CtImage | None, registration: Registration | None
) -> DicomSource:
    """The DICOM series behind the images, and the structure set behind the regions if there is just one.

    An image that was moved is not cited: its own frame of reference is not that of the results.
    """
    moved = registration.moving if registration is not None else None
    shown = _series(config.activity.path, ("PT", "NM"), config.activity.series_uid) if moved != "activity" else None
    below = _series(config.ct.path, ("CT",), config.ct.series_uid) if config.ct is not None and moved != "ct" else None
    grids: dict[str, Grid] = {}
    if below is not None and ct is not None:
        grids["ct"] = ct.grid
    if shown is not None and shown.modality != "NM" and int(shown.first.get("NumberOfFrames", 1) or 1) == 1:
        grids["activity"] = activity
    tables = [(t, p) for t in config.rois for p in t.paths]
    structures = None
    if len(tables) == 1:
        table, path = tables[0]
        structures = structure_set_of(Path(path), table.names) if not is_plain_file(Path(path)) else None
    return DicomSource(
        SeriesRef(Path(config.activity.path), shown.uid) if shown is not None else None,
        SeriesRef(Path(config.ct.path), below.uid) if config.ct is not None and below is not None else None,
        grids,
        shown.modality if shown is not None else "",
        structures,
    )


def _series(path: str, modalities: tuple[str, ...], uid: str | None) -> Series | None:
    """The series that a reader found at ``path``; ``None`` for other formats."""
    if is_plain_file(Path(path)) or not is_dicom(Path(path)):
        return None
    images = [s for s in find_series(Path(path)) if uid in (None, s.uid) and "Rows" in s.first]
    return next((s for s in images if s.modality in modalities), images[0] if images else None)


def write_dicom(
    result: Assessment,
    folder: Path,
    source: DicomSource,
    *,
    dose_bits: int = 32,
    bed: str | None = None,
    rtstruct: bool = False,
) -> tuple[str, ...]:
    """Write ``dose.dcm``, ``rois.dcm`` and ``measurements.dcm``, and on request ``bed.dcm`` and ``rois.rtstruct.dcm``.

    Regions that all lie on the voxels of the CT or PET and fill them wholly become a BINARY SEG there, exactly as they
    were given, so that a run with that SEG finds the same numbers; derived normal liver is then made again by the run and is
    not in the SEG. Any others become a FRACTIONAL SEG on the dose grid, derived ones included.

    Returns
    -------
    tuple of str
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
        effective, words = bed_map(result, bed)
        write_rtdose(effective, folder / "bed.dcm", reference=reference, bits=dose_bits, effective=words)
    if rtstruct:
        write_rtstruct(result.regions, folder / "rois.rtstruct.dcm", reference=reference)
    seg, report = folder / "rois.dcm", folder / "measurements.dcm"
    try:
        cited = _write_regions(result, seg, source)
        write_sr(result, report, seg=seg, reference=cited, modality=source.modality)
    except VoxeldoseError as error:
        seg.unlink(missing_ok=True)
        why = str(error)
        for series in filter(None, (source.activity, source.ct)):  # paths may tell more than a report should
            why = why.replace(f"{series.path}: ", "")
        return (f"rois.dcm and measurements.dcm were not written: {why}",)
    return ()


def bed_map(result: Assessment, tissue: str) -> tuple[DoseMap, str]:
    """BED of every voxel with the parameters of one tissue (by role), and words that name them."""
    parameters = result.case.radiobiology[tissue]
    values = bed_gy(result.dose.gy.astype(np.float64), parameters, result.case.administration.radionuclide)
    words = (
        f"BED {parameters.name}: alpha/beta {parameters.alpha_beta_gy:g} Gy, repair {parameters.repair_half_time_h:g} h"
    )
    return result.dose.replaced(values), words


def _write_regions(result: Assessment, path: Path, source: DicomSource) -> SeriesRef:
    """Write the SEG; returns the series that it cites."""
    tries: tuple[tuple[SeriesRef | None, str], ...] = ((source.ct, "ct"), (source.activity, "activity"))
    for series, name in tries:
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
    frame = frame_of(result.dose.grid, reference_header(source.reference))
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
