"""What a dose map, whoever made it, gives to regions: the DVH and its numbers, without activity or mass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxeldose.dose.metrics import COVERAGES_GY, FRACTIONS, dvh_in
from voxeldose.errors import GeometryError
from voxeldose.geometry.resample import roi_onto

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voxeldose.model.dvh import Dvh
    from voxeldose.model.roi import RoiSet
    from voxeldose.model.volume import DoseMap

__all__ = ["RegionDose", "doses_in_regions"]


@dataclass(frozen=True, eq=False)
class RegionDose:
    """Dose in one region.

    Parameters
    ----------
    role : str
        Of the region.
    volume_ml : float
        Inside the dose grid.
    outside_fraction : float
        Part of the region that lies outside the dose grid, and so is not in the numbers.
    coverages : mapping
        Dose in Gy -> fraction of the volume that receives at least it (``Vd``).
    doses_gy : mapping
        Fraction of the volume -> highest dose in Gy that at least this part receives (``Dx``).
    dvh : Dvh
        The whole curve, exact, with mean, standard deviation (volume-weighted) and range.
    """

    role: str
    volume_ml: float
    outside_fraction: float
    coverages: Mapping[float, float]
    doses_gy: Mapping[float, float]
    dvh: Dvh


def doses_in_regions(
    dose: DoseMap,
    rois: RoiSet,
    *,
    coverages_gy: Sequence[float] = COVERAGES_GY,
    fractions: Sequence[float] = FRACTIONS,
) -> dict[str, RegionDose | None]:
    """Dose in each region, by name; ``None`` for a region that the dose grid does not reach.

    Regions are cut by the voxels exactly: a voxel counts by the part of it that the region holds, and that part has the
    dose at its middle, as in :func:`voxeldose.assess`. No bins: ``Vd`` and ``Dx`` are of the voxels themselves.

    Parameters
    ----------
    dose : DoseMap
        In Gy on any grid.
    rois : RoiSet
        On any grids of the same frame of reference.
    coverages_gy : sequence of float
        Doses for ``Vd``.
    fractions : sequence of float
        Parts of the volume for ``Dx``, above 0 and up to 1.

    Raises
    ------
    GeometryError
        If regions and dose lie in different frames of reference.
    QuantityError
        If the dose is not a number somewhere in the grid.
    """
    dose.require_finite()
    found: dict[str, RegionDose | None] = {}
    for roi in rois:
        roi.grid.require_same_frame(dose.grid, f"ROI {roi.name!r} and the dose")
        try:
            inside, outside = roi_onto(roi, dose.grid)
        except GeometryError as error:
            if error.code != "no-overlap":
                raise
            found[roi.name] = None
            continue
        dvh = dvh_in(inside, dose)
        covered, reached = dvh.at(coverages_gy, fractions)
        found[roi.name] = RegionDose(
            role=roi.role,
            volume_ml=dvh.total_ml,
            outside_fraction=outside,
            coverages=dict(zip(coverages_gy, covered, strict=True)),
            doses_gy=dict(zip(fractions, reached, strict=True)),
            dvh=dvh,
        )
    return found
