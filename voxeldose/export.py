"""An assessment as DICOM objects: dose, regions, measurements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.errors import GeometryError
from voxeldose.io.dicom_dvh import StructureDvhs
from voxeldose.io.dicom_rt import write_rtdose
from voxeldose.io.dicom_rtstruct import write_rtstruct
from voxeldose.io.dicom_seg import write_seg
from voxeldose.io.dicom_sr import write_sr
from voxeldose.metrics import RADIOBIOLOGY, bed_gy

if TYPE_CHECKING:
    from pathlib import Path

    from voxeldose.case import Assessment
    from voxeldose.grid import Grid
    from voxeldose.io.dicom_dvh import StructureSet
    from voxeldose.io.dicom_header import SeriesRef
    from voxeldose.roi import RoiSet
    from voxeldose.volume import DoseMap

__all__ = ["DicomSource", "bed_map", "write_dicom"]


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


def write_dicom(
    result: Assessment,
    folder: Path,
    source: DicomSource,
    *,
    dose_bits: int = 32,
    bed: str | None = None,
    rtstruct: bool = False,
) -> None:
    """Write ``dose.dcm``, ``rois.dcm`` and ``measurements.dcm``, and on request ``bed.dcm`` and ``rois.rtstruct.dcm``.

    Regions that all lie on the voxels of the CT or PET and fill them wholly become a BINARY SEG there, exactly as they
    were given, so that a run with that SEG finds the same numbers; derived normal liver is then made again by the run and is
    not in the SEG. Any others become a FRACTIONAL SEG on the dose grid, derived ones included.
    """
    reference = source.reference
    if reference is None:
        return
    dvhs = None
    if source.structure_set is not None:
        dvhs = StructureDvhs(source.structure_set, {name: m.dvh for name, m in result.rois.items()})
    write_rtdose(result.dose, folder / "dose.dcm", reference=reference, bits=dose_bits, dvhs=dvhs)
    if bed is not None:
        effective, words = bed_map(result, bed)
        write_rtdose(effective, folder / "bed.dcm", reference=reference, bits=dose_bits, effective=words)
    cited = _write_regions(result, folder / "rois.dcm", source)
    write_sr(result, folder / "measurements.dcm", seg=folder / "rois.dcm", reference=cited, modality=source.modality)
    if rtstruct:
        write_rtstruct(result.regions, folder / "rois.rtstruct.dcm", reference=reference)


def bed_map(result: Assessment, tissue: str) -> tuple[DoseMap, str]:
    """BED of every voxel with the parameters of one tissue (a role of ``RADIOBIOLOGY``), and words that name them."""
    parameters = RADIOBIOLOGY[tissue]
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
    cited = source.activity or source.ct
    assert cited is not None  # noqa: S101 - one of them is the reference
    write_seg(result.regions, path, reference=cited, fractional=True)
    return cited


def _lie_on_voxels_of(rois: RoiSet, grid: Grid) -> bool:
    """Whether all regions lie on voxels of ``grid`` and fill them wholly."""
    for roi in rois:
        try:
            grid.slices_of(roi.grid)
        except GeometryError:
            return False
        if not np.isin(roi.occupancy, (0.0, 1.0)).all():
            return False
    return True
