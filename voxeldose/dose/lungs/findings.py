"""What a run says of the lungs: their dose by the shunt fraction, their mass, and the shunt that its own image shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.density import hu_to_density
from voxeldose.dose.lungs.dose import lung_dose
from voxeldose.dose.lungs.spect import lung_mass, spect_shunt
from voxeldose.errors import GeometryError, QuantityError
from voxeldose.model.grid import bounding_box, voxels_met
from voxeldose.model.lungs import LungFindings, LungMass
from voxeldose.model.remarks import Numbers, Remark
from voxeldose.model.roi import RoiSet
from voxeldose.model.roles import LIVER_ROLES
from voxeldose.model.volume import DensityMap

if TYPE_CHECKING:
    from voxeldose.model.arrays import Doubles
    from voxeldose.model.case import Case
    from voxeldose.model.lungs import LungDose, LungShunt
    from voxeldose.model.roi import Roi

__all__ = ["ABOVE_LIMITS", "LungAnswer", "find_lungs"]

#: Of a dose above the limits; they depend on the activity.
ABOVE_LIMITS = ("lung-dose-above-limit", "lung-dose-above-cumulative-limit")
#: Remarks of a measured shunt or a dose that are warnings in a run; the others are what it rests on.
WARNINGS = (
    *("lung-at-image-edge", "lung-beyond-field-of-view", "roi-outside-image"),
    *ABOVE_LIMITS,
)
#: Remarks that a run makes of its own images, regions and activity anyway.
SAID_BY_RUN = ("activity-unusual", "lung-mass-unusual")


@dataclass(frozen=True, eq=False)
class LungAnswer:
    """Findings (``None`` where nothing of the lungs is known), the mass of each lung region in g, and remarks."""

    findings: LungFindings | None
    mass_g: dict[str, float]
    assumptions: tuple[Remark, ...] = ()
    warnings: tuple[Remark, ...] = ()


def find_lungs(case: Case, image: str, held_mbq: float | None) -> LungAnswer:
    """The lungs' dose by the case's shunt fraction in 1 kg and in their own mass, and the shunt that the image shows.

    Parameters
    ----------
    case : Case
        Lung regions are those of role ``lung``. Their mass is from the run's density image, or from the CT by the table of
        :func:`voxeldose.dose.density.hu_to_density`.
    image : str
        What the image shows, for the sentences.
    held_mbq : float, optional
        Net activity less the lung shunt; without it the lungs have no dose.
    """
    lungs = case.rois.with_role("lung")
    given = case.administration
    if given.lung_shunt_fraction is None and not lungs:
        return LungAnswer(None, {})
    density = _lung_density(case, lungs) if lungs else None
    masses, mass, unknown = _masses(density, lungs)
    if case.lungs.mass_g is not None:
        mass = LungMass(case.lungs.mass_g, "given by the user")
    measured, not_measured = _measured(case, density, lungs)
    if measured is not None and measured.inputs["lung_at_edge"] and mass is not None and case.lungs.mass_g is None:
        mass = LungMass(mass.grams, f"{mass.source}, cut by the image")
    by_convention, by_mass = _doses(case, mass, held_mbq)
    made: list[Remark] = [*unknown, *not_measured]
    for found in (by_convention, by_mass):
        made += [r for r in found.warnings if r.code not in SAID_BY_RUN] if found is not None else []
    if measured is not None:
        rests_on = (*WARNINGS, "dome-margin-missing", "dome-margin", "lung-counts-scaled")
        found_by = (*measured.warnings, *measured.assumptions)
        made += [_compared(measured, case, image), *(r for r in found_by if r.code in rests_on)]
    return LungAnswer(
        LungFindings(given.lung_shunt_fraction, by_convention, by_mass, measured),
        masses,
        tuple(r for r in made if r.code not in WARNINGS),
        tuple(r for r in made if r.code in WARNINGS),
    )


def _lung_density(case: Case, lungs: RoiSet) -> DensityMap | None:
    """Density around the lungs: the run's own image of it, or that of the CT; ``None`` without either."""
    if isinstance(case.density, DensityMap):
        return case.density
    if case.ct is None:
        return None
    grid = case.ct.grid
    low, high = voxels_met(grid.indices(np.concatenate([_filled_corners(roi) for roi in lungs])))
    low, high = np.maximum(low, 0), np.minimum(high, np.array(grid.shape) - 1)
    if (high < low).any():
        return None
    return hu_to_density(case.ct.window(grid.window(low.tolist(), (high - low + 1).tolist())))


def _filled_corners(roi: Roi) -> Doubles:
    """The corners of the box that a region fills, in mm: a label map may be far larger."""
    box = bounding_box(roi.occupancy > 0)
    if box is None:
        return roi.grid.corners()
    return roi.grid.window([s.start for s in box], [s.stop - s.start for s in box]).corners()


def _masses(density: DensityMap | None, lungs: RoiSet) -> tuple[dict[str, float], LungMass | None, list[Remark]]:
    """Mass of each lung region and of all together; none where no density image holds them."""
    if density is None:
        return {}, None, []
    try:
        whole = lung_mass(density, lungs)
        return {roi.name: lung_mass(density, RoiSet((roi,))).grams for roi in lungs}, whole, []
    except GeometryError as error:
        sentence = f"The lungs' mass is not known: {error}"
        return {}, None, [Remark("lung-mass-unknown", {"roi": ", ".join(lungs.names())}, sentence)]


def _doses(case: Case, mass: LungMass | None, held_mbq: float | None) -> tuple[LungDose | None, LungDose | None]:
    given = case.administration
    fraction, earlier = given.lung_shunt_fraction, case.lungs.earlier_gy
    if fraction is None or not held_mbq:
        return None, None
    net_mbq = held_mbq / (1 - fraction)
    by_convention = lung_dose(net_mbq, fraction, given.radionuclide, earlier_gy=earlier)
    if mass is None:
        return by_convention, None
    return by_convention, lung_dose(net_mbq, fraction, given.radionuclide, mass=mass, earlier_gy=earlier)


def _measured(case: Case, density: DensityMap | None, lungs: RoiSet) -> tuple[LungShunt | None, list[Remark]]:
    """The shunt that the run's own image shows; with the reason where it shows none."""
    if not lungs or not case.rois.with_role(*LIVER_ROLES):
        return None, []
    try:
        return spect_shunt(case.activity, case.rois, density=density, lungs=case.lungs), []
    except (QuantityError, GeometryError) as error:
        sentence = f"The image's own lung shunt fraction is not known: {error}"
        return None, [Remark("lung-shunt-not-measured", {}, sentence)]


def _compared(measured: LungShunt, case: Case, image: str) -> Remark:
    stated = case.administration.lung_shunt_fraction
    against = "none is stated" if stated is None else f"the case states {100 * stated:.1f} %"
    numbers: Numbers = {"measured_fraction": measured.fraction, "lung_shunt_fraction": stated}
    sentence = (
        f"In this image ({image}), lungs over lungs and liver are {100 * measured.fraction:.1f} %; {against}. Blur, breathing and scatter "
        "carry counts of the liver into the lungs."
    )
    return Remark("lung-shunt-measured", numbers, sentence)
