"""What goes in (``Administration``, ``Case``) and what comes out (``RoiMetrics``, ``RunRecord``, ``Assessment``)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from voxeldose.errors import QuantityError
from voxeldose.radiobiology import default_sets
from voxeldose.volume import ActivityMap, CountMap, CtImage, DensityMap, DoseMap, require_zone

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from voxeldose.dvh import Dvh
    from voxeldose.grid import Grid
    from voxeldose.radiobiology import Radiobiology
    from voxeldose.radionuclide import Radionuclide
    from voxeldose.roi import RoiSet
    from voxeldose.spread import Uncertainty
    from voxeldose.transform import Registration

__all__ = [
    "DEFAULT_DENSITY_G_PER_ML",
    "DEVICES",
    "DOSE_MODELS",
    "Absolute",
    "Administered",
    "Administration",
    "Assessment",
    "Case",
    "Limit",
    "Overlap",
    "RoiMetrics",
    "RunRecord",
    "Threshold",
    "Totals",
    "TumorToNormal",
    "require_bilirubin",
]

#: Soft tissue of Lanconelli's voxel S tables (Phys. Med. Biol. 57 (2012) 517); liver in ICRP 110 is 1.06.
DEFAULT_DENSITY_G_PER_ML = 1.04

DEVICES = ("glass", "resin")

#: How a published limit's dose may have been found.
DOSE_MODELS = ("single compartment", "partition", "local deposition", "kernel", "Monte Carlo", "lung shunt")

#: Nobody with more is a candidate for radioembolization, and a usual value in µmol/L is above it.
HIGHEST_BILIRUBIN = 10.0


@dataclass(frozen=True)
class Administration:
    """What was given, all activities at the instant of infusion.

    Parameters
    ----------
    radionuclide : Radionuclide
        With the set of constants that rules the run.
    administered_mbq : float, optional
        Activity in the vial, decayed to the infusion.
    at : datetime, optional
        The infusion, with its time zone.
    residual_mbq : float
        Left in vial and tubing, at the same instant.
    lung_shunt_fraction : float, optional
        Fraction of the net activity that went to the lungs, 0 to 1; 0 if not given, and the results say so.
    device : str, optional
        ``glass`` or ``resin``; decides which published thresholds apply.

    Raises
    ------
    QuantityError
        For a negative activity, a residual above the vial, a fraction outside 0–1, an instant without zone.
    """

    radionuclide: Radionuclide
    administered_mbq: float | None = None
    at: datetime | None = None
    residual_mbq: float = 0.0
    lung_shunt_fraction: float | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        given = self.administered_mbq
        if given is not None and not (math.isfinite(given) and given > 0):
            msg = f"administered_mbq must be above 0 MBq, found {given}."
            raise QuantityError(msg)
        if not (math.isfinite(self.residual_mbq) and self.residual_mbq >= 0):
            msg = f"residual_mbq must be 0 MBq or more, found {self.residual_mbq}."
            raise QuantityError(msg)
        if given is not None and self.residual_mbq >= given:
            msg = f"residual_mbq = {self.residual_mbq} must be less than administered_mbq = {given}."
            raise QuantityError(msg)
        shunt = self.lung_shunt_fraction
        if shunt is not None and not 0 <= shunt < 1:
            msg = f"lung_shunt_fraction must be at least 0 and below 1 (a fraction, not percent), found {shunt}."
            raise QuantityError(msg)
        if self.device is not None and self.device not in DEVICES:
            msg = f"device must be {' or '.join(DEVICES)}, found {self.device!r}."
            raise QuantityError(msg)
        require_zone(self.at, "administration.at")

    @property
    def net_mbq(self) -> float:
        """Activity that entered the patient: administered less residual.

        Raises
        ------
        QuantityError
            If no administered activity is known.
        """
        if self.administered_mbq is None:
            msg = "The administered activity is not known; give administered_mbq (vial activity at the infusion)."
            raise QuantityError(msg)
        return self.administered_mbq - self.residual_mbq

    @property
    def liver_mbq(self) -> float:
        """Net activity less the lung shunt."""
        return self.net_mbq * (1 - (self.lung_shunt_fraction or 0.0))


@dataclass(frozen=True)
class Administered:
    """Scale the image so that the activity in a region is the net administered activity less the lung shunt.

    ``region`` names an ROI; without it the region is the union of liver, tumor, segment and perfused ROIs grown by
    10 mm, and without those the whole image.
    """

    region: str | None = None


@dataclass(frozen=True)
class Absolute:
    """Take the image's own Bq/mL, decayed to the infusion."""


@dataclass(frozen=True)
class Limit:
    """A published limit, or a site's own, for every ROI of a role.

    Parameters
    ----------
    name : str
        What it is for.
    role : str
        The ROIs it applies to.
    metric : str
        A number of :class:`RoiMetrics`, such as ``mean_dose_gy``.
    sense : str
        ``at least`` or ``below``.
    limit : float
        In the metric's unit; fractions 0 to 1.
    source : str
        Where it was published.
    method : str
        How it was derived, in words.
    device : str, optional
        ``glass`` or ``resin``; any without it.
    dose : str, optional
        The dose model it was derived with, one of :data:`DOSE_MODELS`.
    image : str, optional
        The nuclide of the images it was derived from.
    bilirubin_above_mg_per_dl, bilirubin_below_mg_per_dl : float, optional
        The limit holds for patients whose total bilirubin is above, or below, this; for nobody where it is not known.
    perfused_only : bool
        Of normal liver: the limit is for what the infusion reached, not for all of it.
    """

    name: str
    role: str
    metric: str
    sense: str
    limit: float
    source: str
    method: str
    device: str | None = None
    dose: str | None = None
    image: str | None = None
    bilirubin_above_mg_per_dl: float | None = None
    bilirubin_below_mg_per_dl: float | None = None
    perfused_only: bool = False

    def holds_for(self, bilirubin_mg_per_dl: float | None) -> bool:
        """Whether it is a limit for a patient with this bilirubin."""
        above, below = self.bilirubin_above_mg_per_dl, self.bilirubin_below_mg_per_dl
        if bilirubin_mg_per_dl is None:
            return above is None and below is None
        return (above is None or bilirubin_mg_per_dl > above) and (below is None or bilirubin_mg_per_dl < below)

    @property
    def key(self) -> tuple[str, str, str | None]:
        """What makes two limits the same one."""
        return self.name, self.role, self.device


def require_bilirubin(mg_per_dl: float | None) -> None:
    """Refuse a bilirubin that cannot be in mg/dL."""
    if mg_per_dl is not None and not 0 < mg_per_dl <= HIGHEST_BILIRUBIN:
        msg = f"Bilirubin must be above 0 and in mg/dL (1 mg/dL is 17.1 µmol/L), found {mg_per_dl}."
        raise QuantityError(msg)


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
        Role -> parameter set for BED and EUD; those of :func:`voxeldose.radiobiology.default_sets` without it.
    id : str
        A label for the results; never a patient identifier.
    registration : Registration, optional
        The rigid motion that brought images or regions into one frame of reference, if one was needed.
    limits : tuple of Limit, optional
        To compare the results with; the published ones shipped with voxeldose without it.
    bilirubin_mg_per_dl : float, optional
        Total, of the patient; decides limits that depend on it.
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

    def __post_init__(self) -> None:
        require_bilirubin(self.bilirubin_mg_per_dl)
        for role, tissue in self.radiobiology.items():
            tissue.require_role(role)


@dataclass(frozen=True, eq=False)
class RoiMetrics:
    """Numbers of one region; definitions in :mod:`voxeldose.metrics`. ``None`` where a number would be a lie."""

    role: str
    volume_ml: float
    mass_g: float
    activity_mbq: float
    mean_dose_gy: float
    min_dose_gy: float
    max_dose_gy: float
    sd_dose_gy: float
    d98_gy: float
    d95_gy: float
    d90_gy: float
    d70_gy: float
    d50_gy: float
    d2_gy: float
    v100_fraction: float
    v190_fraction: float
    v205_fraction: float
    v400_fraction: float
    v446_fraction: float
    bed_gy: float | None
    eud_gy: float | None
    mean_dose_local_gy: float
    outside_fraction: float
    dvh: Dvh
    eubed_gy: float | None = None


@dataclass(frozen=True)
class Overlap:
    """Two regions that share volume."""

    first: str
    second: str
    volume_ml: float


@dataclass(frozen=True)
class TumorToNormal:
    """How much more a tumor got than normal liver, by activity concentration and by mean dose.

    ``normal`` says which normal liver: with whole-liver normal where only a part was infused the ratio is too high.
    """

    roi: str
    by_concentration: float | None
    by_dose: float | None
    normal: str
    normal_volume_ml: float


@dataclass(frozen=True)
class Threshold:
    """A limit beside the value of this run.

    ``method`` is how the limit was derived; ``differs`` says where this run's value was found another way, and is empty where
    the two are the same quantity.
    """

    name: str
    roi: str
    metric: str
    limit: float
    value: float
    met: bool
    source: str
    method: str
    differs: str = ""


@dataclass(frozen=True)
class Totals:
    """Sums over the whole case.

    ``recovered_fraction`` is what ``absolute`` calibration would have found in the calibration region, divided by the
    net administered activity less the lung shunt: the ratio between the two calibrations.
    """

    activity_mbq: float
    administered_mbq: float | None
    net_mbq: float | None
    recovered_fraction: float | None
    energy_j: float
    energy_emitted_j: float


@dataclass(frozen=True)
class RunRecord:
    """How a result came about: enough to repeat it and to judge it."""

    version: str
    engine: str
    method: str
    kernel: Mapping[str, object]
    constants: Radionuclide
    calibration: str
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]
    timings_s: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Assessment:
    """The result of a case. Writers and the report take this and nothing else."""

    case: Case
    activity: ActivityMap
    dose: DoseMap
    rois: Mapping[str, RoiMetrics]
    regions: RoiSet
    tumor_to_normal_ratio: float | None
    totals: Totals
    thresholds: tuple[Threshold, ...]
    overlaps: tuple[Overlap, ...]
    record: RunRecord
    tumor_to_normal: tuple[TumorToNormal, ...] = ()
    uncertainty: Uncertainty | None = None
