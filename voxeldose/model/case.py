"""What goes into an assessment: images, regions, administration, and how they are to be used."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from voxeldose.model.densities import DEFAULT_DENSITY_G_PER_ML
from voxeldose.model.lungs import LungSettings
from voxeldose.model.patient import Patient, require_bilirubin
from voxeldose.model.reported import Reported
from voxeldose.model.tissue import default_sets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxeldose.model.administration import Administration
    from voxeldose.model.grid import Grid
    from voxeldose.model.limits import Limit
    from voxeldose.model.plausibility import Rule
    from voxeldose.model.rigid import Registration
    from voxeldose.model.roi import RoiSet
    from voxeldose.model.tissue import Radiobiology
    from voxeldose.model.volume import ActivityMap, CountMap, CtImage, DensityMap

__all__ = ["WHOLE_IMAGE", "Absolute", "Administered", "Case"]

#: In place of an ROI's name: all that the image shows.
WHOLE_IMAGE = "image"


@dataclass(frozen=True)
class Administered:
    """Scale the image so that the activity in a region is the net administered activity less the lung shunt.

    ``region`` names an ROI, or the whole image by :data:`WHOLE_IMAGE`; without it the region is the union of liver, tumor,
    segment and perfused ROIs grown by 10 mm, if a liver or a perfused region is among them. ``outside_allowed`` accepts that
    more than 30 % of the net activity lie outside that union.
    """

    region: str | None = None
    outside_allowed: bool = False


@dataclass(frozen=True)
class Absolute:
    """Take the image's own Bq/mL, decayed to the infusion.

    ``region`` is compared with the administered activity, as in :class:`Administered`; the whole image where no region is liver
    or perfused.
    """

    region: str | None = None


@dataclass(frozen=True, eq=False)
class Case:
    """Everything one assessment needs.

    Parameters
    ----------
    activity : ActivityMap or CountMap
        Where the activity is. Counts can only be scaled to the administered activity.
    rois : RoiSet
        On any grids in the same frame of reference.
    administration : Administration
        What was given.
    ct : CtImage, optional
        For display and, if asked, for density.
    calibration : Administered or Absolute
        How image numbers become MBq at the infusion.
    density : float or DensityMap
        Of the tissue in g/mL.
    dose_grid : Grid, optional
        Where the dose is wanted; the activity's own grid without it.
    image_nuclide : str, optional
        What the image shows, on the user's word, such as ``Tc-99m``. Needed where the header names a nuclide other than
        that of the administration or Tc-99m: naming the same one accepts the image as showing where the microspheres
        lie; naming the administration's says that the scanner knew no better.
    radiobiology : mapping, optional
        Role -> parameter set for BED and EUD; those of :func:`voxeldose.model.tissue.default_sets` without it.
    id : str
        A label for the results; never a patient identifier.
    registration : Registration, optional
        The rigid motion that brought images or regions into one frame of reference, if one was needed.
    limits : tuple of Limit, optional
        To compare the results with; the published ones shipped with voxeldose without it.
    bilirubin_mg_per_dl : float, optional
        Total, of the patient; decides limits that depend on it.
    rules : tuple of Rule, optional
        Of plausibility; the published ones without it.
    lungs : LungSettings
        Earlier doses to the lungs, and what is known of whole lungs where an image cuts them.
    patient : Patient
        What is known of the patient; nothing without it.
    reported : Reported
        What a report states besides what is computed: facts on the user's word, how the images were acquired.
    """

    activity: ActivityMap | CountMap
    rois: RoiSet
    administration: Administration
    ct: CtImage | None = field(default=None, kw_only=True)
    calibration: Administered | Absolute = field(default_factory=Administered, kw_only=True)
    density: float | DensityMap = field(default=DEFAULT_DENSITY_G_PER_ML, kw_only=True)
    dose_grid: Grid | None = field(default=None, kw_only=True)
    image_nuclide: str | None = field(default=None, kw_only=True)
    radiobiology: Mapping[str, Radiobiology] = field(default_factory=default_sets, kw_only=True)
    id: str = field(default="", kw_only=True)
    registration: Registration | None = field(default=None, kw_only=True)
    limits: tuple[Limit, ...] | None = field(default=None, kw_only=True)
    bilirubin_mg_per_dl: float | None = field(default=None, kw_only=True)
    rules: tuple[Rule, ...] | None = field(default=None, kw_only=True)
    lungs: LungSettings = field(default_factory=LungSettings, kw_only=True)
    patient: Patient = field(default_factory=Patient, kw_only=True)
    reported: Reported = field(default_factory=Reported, kw_only=True)

    def __post_init__(self) -> None:
        require_bilirubin(self.bilirubin_mg_per_dl)
        for role, tissue in self.radiobiology.items():
            tissue.require_role(role)
