"""Lung shunt fraction from planar views or SPECT(/CT), lung mass, and the lungs' absorbed dose beside its limits.

The shunt fraction is ``N_lung / (N_lung + N_liver)``; ``N`` is the geometric mean of opposite planar views, or the counts of
a reconstructed image. Planar views, lungs of 1 kg and the limit of 30 Gy were used together when the limit was found;
with a shunt by SPECT (planar views see 3 to 8 percentage points more) or a lung mass by CT the same number means another
thing, and every answer that mixes them says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.errors import GeometryError, QuantityError
from voxeldose.geometry.resample import onto, roi_onto
from voxeldose.model.administration import unit_doubts
from voxeldose.model.roi import union

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voxeldose.model.grid import Grid
    from voxeldose.model.radionuclide import Radionuclide
    from voxeldose.model.roi import RoiSet
    from voxeldose.model.volume import ActivityMap, CountMap, DensityMap, FloatArray

__all__ = [
    "CONVENTIONAL_MASS_G",
    "CUMULATIVE_LIMIT_GY",
    "LIMIT_GY",
    "LIMIT_SOURCE",
    "LungDose",
    "LungMass",
    "LungShunt",
    "Views",
    "counted_shunt",
    "lung_dose",
    "lung_mass",
    "planar_shunt",
    "spect_shunt",
]

#: Both lungs by convention; CT finds 822 ± 103 g (30 patients, Kao 2014, doi:10.1186/s13550-014-0033-7).
CONVENTIONAL_MASS_G = 1000.0
#: One treatment, and all treatments together (package inserts; van Roekel, thesis).
LIMIT_GY, CUMULATIVE_LIMIT_GY = 30.0, 50.0
#: Regions whose counts are the liver's.
LIVER_ROLES = ("liver", "normal_liver", "tumor", "segment", "perfused")
#: A larger part of the lungs outside the image is said as a warning.
OUTSIDE_WARNING = 0.01

#: Where the limits come from.
LIMIT_SOURCE = "package inserts: 30 Gy a treatment, 50 Gy cumulative; found with planar shunts and 1 kg of lung"
FIELD_OF_VIEW = (
    "Both lungs must lie in the field of view, and the image must be corrected for attenuation and scatter: neither can be "
    "seen from its voxels."
)
_PLANAR_SOURCE = "geometric mean of anterior and posterior counts (MIRD 16, J. Nucl. Med. 40 (1999) 37S)"
SPECT_SOURCE = "EANM SOP, Chiesa 2021, doi:10.1186/s40658-021-00394-3"
_BIAS = "planar views overestimate: mean 8.3 % against 3.3 % by SPECT/CT (n = 293, doi:10.1007/s00270-020-02638-8)"


@dataclass(frozen=True)
class Views:
    """Counts of one region in the anterior and the posterior view; ``pixels`` is its size, for the background."""

    anterior: float
    posterior: float
    pixels: float | None = None

    def __post_init__(self) -> None:
        for name in ("anterior", "posterior"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                msg = f"{name} counts must be 0 or more, found {value}."
                raise QuantityError(msg)
        if self.pixels is not None and not 0 < self.pixels < math.inf:
            msg = f"A region needs pixels above 0, found {self.pixels}."
            raise QuantityError(msg)


@dataclass(frozen=True)
class LungShunt:
    """A lung shunt fraction and how it was found.

    ``sd`` is from counting statistics alone, ``None`` where counts are no longer Poisson (reconstructed images).
    """

    fraction: float
    sd: float | None
    method: str
    formula: str
    lung_counts: float
    liver_counts: float
    inputs: Mapping[str, object]
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]
    sources: tuple[str, ...]


@dataclass(frozen=True)
class LungMass:
    """Mass of both lungs and where it comes from; ``is_convention`` for the 1 kg of the inserts."""

    grams: float
    source: str
    is_convention: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.grams) and self.grams > 0):
            msg = f"The lung mass must be above 0 g, found {self.grams}."
            raise QuantityError(msg)


@dataclass(frozen=True)
class LungDose:
    """Mean absorbed dose to the lungs, with earlier treatments, beside the limits."""

    gy: float
    earlier_gy: tuple[float, ...]
    cumulative_gy: float
    mass: LungMass
    allowed_mbq: float | None
    formula: str
    warnings: tuple[str, ...]

    @property
    def limits(self) -> tuple[tuple[str, float, float, bool], ...]:
        """Name, limit, value and whether the value keeps it."""
        return (
            ("one treatment", LIMIT_GY, self.gy, self.gy <= LIMIT_GY),
            ("all treatments", CUMULATIVE_LIMIT_GY, self.cumulative_gy, self.cumulative_gy <= CUMULATIVE_LIMIT_GY),
        )


def planar_shunt(lung: Views, liver: Views, background: Views | None = None) -> LungShunt:
    """Lung shunt fraction from anterior and posterior counts.

    Parameters
    ----------
    lung, liver : Views
        Counts of the whole region in each view, with its pixels where there is a background.
    background : Views, optional
        Counts and pixels of a region beside them; its counts a pixel are taken off both regions, view by view.

    Returns
    -------
    LungShunt
        ``sd`` by Poisson statistics of all counts.

    Raises
    ------
    QuantityError
        If pixels are missing for a background, it exceeds a region, or nothing was counted.
    """
    said, warnings = [], [f"Planar views hold scatter and no attenuation correction; {_BIAS}."]
    counts, spread = {}, {}
    for name, views in (("lung", lung), ("liver", liver)):
        net, variance = _net(name, views, background)
        counts[name] = math.sqrt(net[0] * net[1])
        spread[name] = math.sqrt(sum(v / n**2 for v, n in zip(variance, net, strict=True))) / 2 if min(net) else 0.0
        counts[f"{name} arithmetic"], counts[f"{name} anterior"] = sum(net) / 2, net[0]
    if counts["lung"] + counts["liver"] <= 0:
        msg = "No counts in lung and liver, so there is no shunt fraction. Check the views and regions."
        raise QuantityError(msg)
    if background is None:
        said.append("No background is taken off: body background raises the lungs' counts more than the liver's.")
    fraction = counts["lung"] / (counts["lung"] + counts["liver"])
    return LungShunt(
        fraction=fraction,
        sd=fraction * (1 - fraction) * math.hypot(spread["lung"], spread["liver"]),
        method="planar, geometric mean",
        formula="C = sqrt(C_anterior * C_posterior); shunt = C_lung / (C_lung + C_liver)",
        lung_counts=counts["lung"],
        liver_counts=counts["liver"],
        inputs={
            "lung": vars(lung),
            "liver": vars(liver),
            "background": vars(background) if background else None,
            "by_arithmetic_mean": _part(counts["lung arithmetic"], counts["liver arithmetic"]),
            "by_anterior_view": _part(counts["lung anterior"], counts["liver anterior"]),
        },
        assumptions=tuple(said),
        warnings=tuple(warnings),
        sources=(_PLANAR_SOURCE,),
    )


def _part(lung: float, liver: float) -> float | None:
    return lung / (lung + liver) if lung + liver else None


def _net(name: str, views: Views, background: Views | None) -> tuple[tuple[float, float], tuple[float, float]]:
    """Counts less background in both views, and their variances."""
    given = (views.anterior, views.posterior)
    if background is None:
        return given, given
    if views.pixels is None or background.pixels is None:
        msg = f"A background needs the pixels of the {name} region and its own (--{name}-pixels, --background-pixels)."
        raise QuantityError(msg)
    ratio = views.pixels / background.pixels
    taken = (background.anterior * ratio, background.posterior * ratio)
    net = (given[0] - taken[0], given[1] - taken[1])
    if min(net) < 0:
        msg = (
            f"The background ({taken[0]:.6g} and {taken[1]:.6g} counts over the {name} region) exceeds the region's own "
            f"counts ({given[0]:.6g} and {given[1]:.6g}). Draw it where nothing takes up activity."
        )
        raise QuantityError(msg)
    return net, (given[0] + taken[0] * ratio, given[1] + taken[1] * ratio)


def lung_mass(density: DensityMap, rois: RoiSet) -> LungMass:
    """Mass of the lung regions from a density image: the sum of density times volume.

    Raises
    ------
    QuantityError
        If there is no lung region.
    GeometryError
        If a lung region reaches beyond the image, so that its mass is not known.
    """
    lungs = _lungs(rois)
    grid = density.grid
    for roi in lungs:
        _, outside = roi_onto(roi, grid)
        if outside > OUTSIDE_WARNING:
            msg = (
                f"{outside:.1%} of ROI {roi.name} lies outside the density image, so the lungs' mass is not known. Give a CT "
                "of the whole lungs, or the mass itself (--lung-mass-g)."
            )
            raise GeometryError(msg)
    grams = _lung_only(density, lungs).total() * grid.voxel_volume_ml
    return LungMass(grams, f"CT density in {', '.join(lungs.names())}")


def _lung_only(density: DensityMap, lungs: RoiSet) -> DensityMap:
    """Grams of lung a millilitre, on the density's own voxels: on coarser ones the lungs' rim would weigh as liver does."""
    occupancy = union([roi_onto(roi, density.grid)[0].on_window(density.grid) for roi in lungs])
    return density.replaced(occupancy * density.g_per_ml)


def _lungs(rois: RoiSet) -> RoiSet:
    lungs = rois.with_role("lung")
    if not lungs:
        msg = f"There is no ROI with the role lung; there are {', '.join(rois.names()) or 'none'}. Say it with labels."
        raise QuantityError(msg)
    return lungs


def counted_shunt(lung_counts: float, liver_counts: float) -> LungShunt:
    """Lung shunt fraction from the counts that another program found in a corrected SPECT(/CT).

    Parameters
    ----------
    lung_counts, liver_counts : float
        Of all lung and of all liver with its tumors, in any unit proportional to activity.

    Raises
    ------
    QuantityError
        If a count is negative or not finite, or the liver has none.
    """
    if not (math.isfinite(lung_counts) and lung_counts >= 0 and math.isfinite(liver_counts) and liver_counts > 0):
        msg = f"Counts of lung must be 0 or more and of liver above 0, found {lung_counts} and {liver_counts}."
        raise QuantityError(msg)
    return LungShunt(
        fraction=lung_counts / (lung_counts + liver_counts),
        sd=None,
        method="SPECT",
        formula="shunt = N_lung / (N_lung + N_liver)",
        lung_counts=lung_counts,
        liver_counts=liver_counts,
        inputs={"lung_counts": lung_counts, "liver_counts": liver_counts},
        assumptions=("The counts are of all lung and of all liver, corrected for attenuation and scatter.",),
        warnings=(FIELD_OF_VIEW,),
        sources=(SPECT_SOURCE,),
    )


def spect_shunt(
    image: CountMap | ActivityMap,
    rois: RoiSet,
    *,
    density: DensityMap | None = None,
    dome_margin_mm: float = 0.0,
    lung_mass_g: float | None = None,
) -> LungShunt:
    """Lung shunt fraction from a reconstructed image with lung and liver regions.

    Lung nearer to the liver than ``dome_margin_mm`` (blur and breathing carry liver counts there) or outside the image is
    not counted; the lungs' counts are then scaled by the mass of all lung over the mass seen, as if uptake a gram were even.

    Parameters
    ----------
    image : CountMap or ActivityMap
        Attenuation- and scatter-corrected, of one instant; any unit proportional to activity.
    rois : RoiSet
        With the roles lung and liver (tumor, segment, perfused count as liver).
    density : DensityMap, optional
        For masses; without it lung density is taken as even, so that volumes stand for masses.
    dome_margin_mm : float
        Of lung beside the liver that is left out.
    lung_mass_g : float, optional
        Of the whole lungs, where the regions hold only a part of them; needs ``density``.

    Raises
    ------
    QuantityError
        If a role is missing, the margin leaves no lung, or counts are not positive.
    """
    if not (math.isfinite(dome_margin_mm) and dome_margin_mm >= 0):
        msg = f"dome_margin_mm must be 0 mm or more, found {dome_margin_mm}."
        raise QuantityError(msg)
    lungs, livers = _lungs(rois), rois.with_role(*LIVER_ROLES)
    if not livers:
        msg = f"There is no ROI of the liver; there are {', '.join(rois.names())}. Say it with labels."
        raise QuantityError(msg)
    image.require_finite()
    grid = image.grid
    moved = [roi_onto(roi, grid) for roi in lungs]
    inside = union([roi.on_window(grid) for roi, _ in moved])
    liver = union([roi_onto(roi, grid)[0].on_window(grid) for roi in livers])
    lung = np.clip(inside, 0, 1 - liver) * (_far_from(liver, grid, dome_margin_mm) if dome_margin_mm else 1)
    if not lung.any():
        msg = f"No lung is left farther than {dome_margin_mm:g} mm from the liver. Use a smaller margin."
        raise QuantityError(msg)
    seen, whole, by = _seen_and_whole((lung, inside), lungs, grid, density, lung_mass_g)
    counted = float((image.values * lung).sum(dtype=np.float64))
    in_lung, in_liver = counted * whole / seen, float((image.values * liver).sum(dtype=np.float64))
    if in_lung < 0 or in_liver <= 0:
        msg = (
            f"Counts of lung ({in_lung:.6g}) and liver ({in_liver:.6g}) must not be negative. Check image and regions."
        )
        raise QuantityError(msg)
    outside = [(roi.name, part) for (roi, part) in moved if part > 0]
    assumptions = [
        f"Lung: {', '.join(lungs.names())}; liver: {', '.join(livers.names())}; a voxel of both counts as liver.",
        f"Counts of {seen / whole:.1%} of the lungs ({by}) stand for all of them.",
    ]
    warnings = [FIELD_OF_VIEW]
    if dome_margin_mm:
        assumptions.append(f"Lung within {dome_margin_mm:g} mm of the liver is left out of lung and liver counts.")
    else:
        warnings.append(
            "No margin beside the liver dome is left out: blur and breathing carry liver counts into the right lung "
            "(--dome-margin-mm, about the image's resolution and more)."
        )
    warnings += [
        f"{part:.1%} of {name} lies outside the image; its counts are taken from the rest."
        for name, part in outside
        if part > OUTSIDE_WARNING
    ]
    if any(_touches(inside, end) for end in (0, -1)) and lung_mass_g is None and not outside:
        warnings.append(
            "A lung region ends at the image's edge, so lung beyond the field of view is likely not counted."
        )
    return LungShunt(
        fraction=in_lung / (in_lung + in_liver),
        sd=None,
        method="SPECT",
        formula="shunt = N_lung / (N_lung + N_liver), N_lung = counts seen * lung mass / lung mass seen",
        lung_counts=in_lung,
        liver_counts=in_liver,
        inputs={
            "lung_counts_seen": counted,
            "lung_part_seen": seen / whole,
            "dome_margin_mm": dome_margin_mm,
            "lung_ml": sum(r.volume_ml for r in lungs),
        },
        assumptions=tuple(dict.fromkeys((*image.remarks, *(n for r in rois for n in r.remarks), *assumptions))),
        warnings=tuple(warnings),
        sources=(SPECT_SOURCE,),
    )


def _touches(occupancy: FloatArray, end: int) -> bool:
    return bool(occupancy[end].any())


def _far_from(liver: FloatArray, grid: Grid, margin_mm: float) -> FloatArray:
    """1 where a voxel's centre lies farther than the margin from every voxel centre of the liver."""
    from scipy.ndimage import distance_transform_edt

    return np.asarray(distance_transform_edt(liver < 0.5, sampling=grid.spacing_mm) > margin_mm, np.float32)


def _seen_and_whole(
    lung_and_inside: tuple[FloatArray, FloatArray],
    lungs: RoiSet,
    grid: Grid,
    density: DensityMap | None,
    lung_mass_g: float | None,
) -> tuple[float, float, str]:
    """Amount of lung counted, of all lung, and what they are measured by."""
    lung, inside = lung_and_inside
    if density is None:
        if lung_mass_g is not None:
            msg = "The mass of the lungs seen is needed beside that of all lungs; give a CT (--ct)."
            raise QuantityError(msg)
        return float(lung.sum(dtype=np.float64)) * grid.voxel_volume_ml, sum(r.volume_ml for r in lungs), "by volume"
    counted = lung / np.maximum(inside, np.float32(1e-6))
    grams = onto(_lung_only(density, lungs), grid).g_per_ml
    seen = float((grams * counted).sum(dtype=np.float64)) * grid.voxel_volume_ml
    whole = lung_mass_g if lung_mass_g is not None else lung_mass(density, lungs).grams
    if seen <= 0 or seen > 1.02 * whole:  # rounding of regions on two grids
        msg = f"{seen:.0f} g of lung are seen but all lungs weigh {whole:.0f} g; check --lung-mass-g, CT and regions."
        raise QuantityError(msg)
    return seen, max(whole, seen), "by mass"


def lung_dose(
    net_mbq: float,
    shunt: LungShunt | float,
    radionuclide: Radionuclide,
    *,
    mass: LungMass | None = None,
    earlier_gy: Sequence[float] = (),
) -> LungDose:
    """Mean absorbed dose to the lungs: ``K A shunt / m``, all energy in the lungs, earlier treatments added.

    Parameters
    ----------
    net_mbq : float
        Activity in the patient at the infusion.
    shunt : LungShunt or float
        The fraction of it that goes to the lungs.
    radionuclide : Radionuclide
        With the run's constants.
    mass : LungMass, optional
        1 kg by convention without it.
    earlier_gy : sequence of float
        Lung doses of earlier treatments; absorbed doses add, biologically effective ones do not.
    """
    fraction = shunt.fraction if isinstance(shunt, LungShunt) else shunt
    if not (math.isfinite(net_mbq) and net_mbq > 0):
        msg = f"The activity must be above 0 MBq, found {net_mbq}."
        raise QuantityError(msg)
    if not 0 <= fraction < 1:
        msg = f"A lung shunt fraction is at least 0 and below 1 (no percent), found {fraction}."
        raise QuantityError(msg)
    if any(not (math.isfinite(d) and d >= 0) for d in earlier_gy):
        msg = f"Earlier lung doses must be 0 Gy or more, found {list(earlier_gy)}."
        raise QuantityError(msg)
    mass = mass or LungMass(CONVENTIONAL_MASS_G, "1 kg by convention", is_convention=True)
    per_mbq = radionuclide.gy_kg_per_gbq * fraction / mass.grams
    before = sum(earlier_gy)
    room = min(LIMIT_GY, CUMULATIVE_LIMIT_GY - before)
    gy = per_mbq * net_mbq
    warnings = list(unit_doubts(net_mbq, lung_g=mass.grams))
    if not mass.is_convention:
        warnings.append(f"The lungs' mass is {mass.source}, not the 1 kg that the limits were found with.")
    if isinstance(shunt, LungShunt) and not shunt.method.startswith("planar"):
        warnings.append(f"The shunt is from {shunt.method}; the limits were found with planar views, which show more.")
    if gy > LIMIT_GY:
        warnings.append(f"{gy:.1f} Gy exceed the {LIMIT_GY:g} Gy of one treatment.")
    if gy + before > CUMULATIVE_LIMIT_GY:
        warnings.append(f"{gy + before:.1f} Gy with earlier treatments exceed {CUMULATIVE_LIMIT_GY:g} Gy.")
    return LungDose(
        gy=gy,
        earlier_gy=tuple(earlier_gy),
        cumulative_gy=gy + before,
        mass=mass,
        allowed_mbq=max(room, 0.0) / per_mbq if per_mbq > 0 else None,
        formula="D = K * A * shunt / m",
        warnings=tuple(warnings),
    )
