"""Digital patients for resolution recovery, each with the sharp truth, a scan of it, and regions as someone draws them.

The truth is made by another code path than the recovery's model: analytic shapes sampled on voxels a quarter of the scan's,
blurred by ``scipy.ndimage``, its dose by the convolution engine there, and its numbers by occupancy. Noise grows with the square
root of activity and is alike between neighbours. What it leaves out: scatter, attenuation, reconstruction, breathing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.demo.shapes import Points, ellipsoid, occupancy, sphere
from voxeldose.dose.activity import count_decays
from voxeldose.dose.assess import assess
from voxeldose.dose.engines.convolution import Convolution
from voxeldose.model.administration import Administration
from voxeldose.model.case import Absolute, Case
from voxeldose.model.dvh import Dvh
from voxeldose.model.grid import Grid
from voxeldose.model.kernel import point_kernel
from voxeldose.model.radionuclide import JOULE_PER_MEV, Y90
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.volume import ActivityMap

if TYPE_CHECKING:
    from collections.abc import Callable

    from voxeldose.demo.shapes import Shape
    from voxeldose.model.arrays import Floats
    from voxeldose.model.assessment import Assessment

__all__ = ["PHANTOMS", "Drawn", "Phantom", "Truth", "scan_of", "truth_of"]

AT = datetime(2024, 5, 2, 10, 15, tzinfo=UTC)
DENSITY_G_PER_ML = 1.04
#: Parts of a scan's voxel along each axis in the truth; spacing of the grid that regions are drawn on, mm.
PARTS, DRAWN_MM = 4, 1.25
FWHM_PER_SIGMA = math.sqrt(8 * math.log(2))


@dataclass(frozen=True)
class Phantom:
    """A digital patient.

    Parameters
    ----------
    name : str
    shape, spacing_mm
        Of the scan, (k, j, i); its middle is the origin.
    regions : dict
        Name to role and shape, in the order in which they claim space: tumors first.
    uptake : dict
        Name to uptake.
    gy : float
        Dose of an uptake of 1 that stays where it is.
    cores : dict
        Tumor to the shape and uptake of a cold part that nobody outlines.
    cv : dict
        Name to the coefficient of variation of its texture.
    slope : dict
        Name to the relative change of uptake per mm along x, for a gradient.
    texture_mm : float
        Correlation of the texture, full width at half maximum.
    fwhm_mm, second_fwhm_mm, second_weight
        Of the scanner's blur, the same along all axes, perhaps with a second Gaussian.
    noise, noise_floor, noise_fwhm_mm
        Standard deviation at an uptake of 1, variance at none, width of the filter.
    """

    name: str
    shape: tuple[int, int, int]
    regions: dict[str, tuple[str, Shape]]
    uptake: dict[str, float]
    gy: float
    spacing_mm: tuple[float, float, float] = (3.0, 4.07, 4.07)
    cores: dict[str, tuple[Shape, float]] = field(default_factory=dict)
    cv: dict[str, float] = field(default_factory=dict)
    slope: dict[str, float] = field(default_factory=dict)
    texture_mm: float = 8.0
    fwhm_mm: float = 6.5
    second_fwhm_mm: float = 0.0
    second_weight: float = 0.0
    noise: float = 0.25
    noise_floor: float = 0.15
    noise_fwhm_mm: float = 5.0

    @property
    def grid(self) -> Grid:
        """Of the scan."""
        origin = [-(n - 1) / 2 * s for n, s in zip(self.shape[::-1], self.spacing_mm[::-1], strict=True)]
        return Grid.from_axes(self.shape, self.spacing_mm, origin)

    @property
    def tumors(self) -> list[str]:
        """Names of tumors."""
        return [name for name, (role, _) in self.regions.items() if role == "tumor"]


@dataclass(frozen=True)
class Drawn:
    """How a region is drawn wrong: shifted (x, y, z) and grown, mm."""

    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    growth_mm: float = 0.0


@dataclass(frozen=True, eq=False)
class Truth:
    """Sharp activity of a phantom on fine voxels, and its numbers by region."""

    activity: Floats
    grid: Grid
    numbers: dict[str, dict[str, float]]


def truth_of(phantom: Phantom, random: np.random.Generator) -> Truth:
    """The truth with one texture."""
    fine = phantom.grid.with_spacing([s / PARTS for s in phantom.spacing_mm])
    left = np.ones(fine.shape, np.float32)
    activity = np.zeros(fine.shape, np.float32)
    filled: dict[str, Floats] = {}
    held: dict[str, float] = {}
    for name, (_, shape) in phantom.regions.items():
        part = occupancy(shape, fine) * left
        left -= part
        filled[name] = part
        uptake = part * np.float32(phantom.uptake[name])
        if name in phantom.cores:
            core, inside = phantom.cores[name]
            cold = occupancy(core, fine) * part
            uptake = (part - cold) * np.float32(phantom.uptake[name]) + cold * np.float32(inside)
        if name in phantom.slope:
            x = fine.points_lps_mm(np.stack([np.zeros(fine.shape[2])] * 2 + [np.arange(fine.shape[2])], -1))[:, 0]
            middle = float((part.sum(axis=(0, 1), dtype=np.float64) * x).sum() / part.sum(dtype=np.float64))
            uptake *= np.maximum(1 + np.float32(phantom.slope[name]) * (x - middle), 0).astype(np.float32)
        if phantom.cv.get(name):
            uptake *= _texture(phantom, fine, phantom.cv[name], random)
        activity += uptake
        held[name] = float(uptake.sum(dtype=np.float64))  # not of the sum: a voxel on an edge holds two regions
    gy = _gy_per_bq_ml()
    bq = activity * np.float32(phantom.gy / gy)
    decays = count_decays(ActivityMap(bq, fine, at=AT, radionuclide=Y90), Y90)
    dose = _at_centres(Convolution(point_kernel()).dose(decays, DENSITY_G_PER_ML).gy, fine)
    normal = next(n for n, (role, _) in phantom.regions.items() if role == "liver")
    whole = filled[normal] + sum(
        filled[n] for n, (role, _) in phantom.regions.items() if role in ("segment", "perfused")
    )
    mbq = {n: v * phantom.gy / gy * fine.voxel_volume_ml / 1e6 for n, v in held.items()}
    numbers = {n: _numbers(dose, filled[n], fine) | _at_points(dose, fine, phantom, n) for n in phantom.tumors}
    liver = _numbers(dose, np.asarray(whole), fine)
    liver["activity_mbq"] = sum(v for n, v in mbq.items() if n not in phantom.tumors)
    for name, found in numbers.items():
        found["activity_mbq"] = mbq[name]
    for found in numbers.values():
        found["tumor_to_normal"] = (
            found["activity_mbq"] / found["volume_ml"] / liver["activity_mbq"] * liver["volume_ml"]
        )
        found["tumor_to_normal_by_dose"] = found["mean_dose_gy"] / liver["mean_dose_gy"]
    return Truth(bq, fine, numbers | {"normal_liver": liver})


def _at_centres(dose: Floats, grid: Grid) -> Floats:
    """Dose at the centres of voxels: the means over source and target voxels, and that of the activity, divided out."""
    from scipy import fft

    there = fft.rfftn(dose.astype(np.float64))
    for axis, (n, step) in enumerate(zip(grid.shape, grid.spacing_mm, strict=True)):
        cycles = fft.rfftfreq(n, step) if axis == 2 else fft.fftfreq(n, step)
        shape = [1, 1, 1]
        shape[axis] = -1
        there /= np.sinc(cycles * step).reshape(shape) ** 3
    return np.asarray(fft.irfftn(there, dose.shape), np.float32)


def _gy_per_bq_ml() -> float:
    return Y90.decays_per_bq() * Y90.energy_mev * JOULE_PER_MEV / (DENSITY_G_PER_ML * 1e-3)


def _texture(phantom: Phantom, grid: Grid, cv: float, random: np.random.Generator) -> Floats:
    """Log-normal factor of mean 1."""
    from scipy.ndimage import gaussian_filter

    sigma = [phantom.texture_mm / math.sqrt(2) / FWHM_PER_SIGMA / s for s in grid.spacing_mm]
    white = gaussian_filter(random.standard_normal(grid.shape, np.float32), sigma, mode="wrap")
    variance = math.log(1 + cv**2)
    factor = np.exp(white * np.float32(math.sqrt(variance) / _gain(sigma)) - np.float32(variance / 2))
    return np.asarray(factor, np.float32)


def _gain(sigma: list[float]) -> float:
    """Standard deviation of unit white noise after a Gaussian filter of these sigmas in voxels."""
    gain = 1.0
    for s in sigma:
        n = np.arange(-200, 201)
        w = np.exp(-(n**2) / (2 * s * s))
        gain *= float(np.sqrt((w**2).sum())) / float(w.sum())
    return gain


def _numbers(dose: Floats, filled: Floats, grid: Grid) -> dict[str, float]:
    dvh = Dvh(dose, filled, grid.voxel_volume_ml)
    coverages, doses = dvh.at([205.0, 400.0], [0.95, 0.70, 0.50])
    ml = grid.voxel_volume_ml
    return {
        "mean_dose_gy": dvh.mean_gy,
        **dict(zip(("d95_gy", "d70_gy", "d50_gy"), doses, strict=True)),
        **dict(zip(("v205_fraction", "v400_fraction"), coverages, strict=True)),
        "volume_ml": float(filled.sum(dtype=np.float64)) * ml,
    }


def _at_points(dose: Floats, grid: Grid, phantom: Phantom, name: str) -> dict[str, float]:
    """Dose numbers of a tumor from random points inside its shape, so that no voxel is cut by its surface."""
    from scipy.ndimage import map_coordinates

    shapes = [shape for _, shape in phantom.regions.values()]
    order = list(phantom.regions).index(name)
    index = np.argwhere(occupancy(shapes[order], grid) > 0)
    low, high = index.min(axis=0) - 0.5, index.max(axis=0) + 0.5
    place = np.random.default_rng(0).uniform(low, high, (60_000, 3))
    points = Points(*np.asarray(grid.points_lps_mm(place), np.float32).T)
    inside = shapes[order](points) < 0
    for other in shapes[:order]:
        inside &= other(points) >= 0
    gy = map_coordinates(dose, place[inside].T, order=3, mode="nearest")
    return {
        "mean_dose_gy": float(gy.mean()),
        **{f"d{p}_gy": float(np.quantile(gy, 1 - p / 100)) for p in (95, 70, 50)},
        **{f"v{d}_fraction": float((gy >= d).mean()) for d in (205, 400)},
    }


def scan_of(
    phantom: Phantom, truth: Truth, random: np.random.Generator, drawn: dict[str, Drawn] | None = None
) -> Assessment:
    """The assessment of a noisy scan with regions as drawn."""
    from scipy.ndimage import gaussian_filter

    blurred = _blurred(truth.activity, truth.grid, phantom.fwhm_mm)
    if phantom.second_weight:
        second = _blurred(truth.activity, truth.grid, phantom.second_fwhm_mm)
        blurred = (1 - phantom.second_weight) * blurred + phantom.second_weight * second
    n = [m for size in phantom.shape for m in (size, PARTS)]
    clean = blurred.reshape(n).mean(axis=(1, 3, 5))
    unit = phantom.gy / _gy_per_bq_ml()
    sigma = [phantom.noise_fwhm_mm / FWHM_PER_SIGMA / s for s in phantom.spacing_mm]
    white = gaussian_filter(random.standard_normal(phantom.shape, np.float32), sigma, mode="wrap") / _gain(sigma)
    deviation = phantom.noise * unit * np.sqrt(np.maximum(clean, 0) / unit + phantom.noise_floor)
    image = ActivityMap(clean + deviation * white, phantom.grid, at=AT, radionuclide=Y90)
    case = Case(
        image,
        _drawn(phantom, drawn or {}),
        Administration(Y90, None, AT),
        calibration=Absolute(),
        density=DENSITY_G_PER_ML,
    )
    return assess(case)


def _blurred(values: Floats, grid: Grid, fwhm_mm: float) -> Floats:
    from scipy.ndimage import gaussian_filter

    sigma = [fwhm_mm / FWHM_PER_SIGMA / s for s in grid.spacing_mm]
    return np.asarray(gaussian_filter(values, sigma, mode="nearest"), np.float32)


def _drawn(phantom: Phantom, drawn: dict[str, Drawn]) -> RoiSet:
    """Label maps of regions, on a grid of their own."""
    grid = phantom.grid.with_spacing(DRAWN_MM)
    rois = []
    for name, (role, shape) in phantom.regions.items():
        how = drawn.get(name, Drawn())
        part = occupancy(_moved(shape, how), grid)
        rois.append(Roi(name, role, (part >= 0.5).astype(np.float32), grid))
    return RoiSet(tuple(rois))


def _moved(shape: Shape, how: Drawn) -> Shape:
    x, y, z = (np.float32(v) for v in how.shift_mm)
    return lambda p: shape(Points(p.x - x, p.y - y, p.z - z)) - np.float32(how.growth_mm)


def ball(x: float, y: float, z: float, radius_mm: float) -> Shape:
    """A ball."""
    return sphere((x, y, z), radius_mm)


def blob(x: float, y: float, z: float, half: tuple[float, float, float]) -> Shape:
    """An ellipsoid with half axes along x, y and z."""
    return lambda p: ellipsoid(p, (x, y, z), half)


def half_space(normal: tuple[float, float, float], offset: float) -> Shape:
    """Where ``normal . p`` is below an offset."""
    n = np.array(normal) / np.linalg.norm(normal)
    a, b, c = (np.float32(v) for v in n)
    return lambda p: np.asarray(a * p.x + b * p.y + c * p.z - np.float32(offset), np.float32)


def both(*shapes: Shape) -> Shape:
    """Intersection."""
    return lambda p: _combined(np.maximum, [s(p) for s in shapes])


def either(*shapes: Shape) -> Shape:
    """Union."""
    return lambda p: _combined(np.minimum, [s(p) for s in shapes])


def without(first: Shape, second: Shape) -> Shape:
    """The first less the second."""
    return lambda p: _combined(np.maximum, [first(p), -second(p)])


def _combined(how: Callable[[Floats, Floats], Floats], values: list[Floats]) -> Floats:
    result = values[0]
    for other in values[1:]:
        result = how(result, other)
    return result


#: A liver that fills a box, with a rim of nothing around it.
def block(x: float, y: float, z: float) -> Shape:
    """A box with these half widths."""
    sides = [half_space(n, w) for a, w in ((0, x), (1, y), (2, z)) for n in _both_ways(a)]
    return both(*sides)


def _both_ways(axis: int) -> list[tuple[float, float, float]]:
    row = [0.0, 0.0, 0.0]
    row[axis] = 1.0
    return [(row[0], row[1], row[2]), (-row[0], -row[1], -row[2])]


def demo() -> Phantom:
    """Shapes and uptakes of ``voxeldose demo``: 45 mL with a cold core at 11 : 1, 9 mL at 4 : 1."""
    ox, oy, oz = -65.0, -1.0, 15.0

    def at(x: float, y: float, z: float) -> tuple[float, float, float]:
        return x - ox, y - oy, z - oz

    lobes = either(blob(*at(-74, 4, 2), (64, 76, 67)), blob(*at(-8, -38, 24), (72, 36, 32)))
    cut = half_space((0.45, 0, -1), (18.7 - 0.45 * ox + oz) / math.hypot(1, 0.45))
    regions = {
        "45 mL, core, 11:1": ("tumor", ball(*at(-84, 12, 14), 22)),
        "9 mL, 4:1": ("tumor", ball(*at(-38, -24, 18), 13)),
        "liver": ("liver", both(lobes, cut)),
    }
    return Phantom(
        "demo",
        (44, 42, 44),
        regions,
        {"45 mL, core, 11:1": 11, "9 mL, 4:1": 4, "liver": 1},
        41.9,
        cores={"45 mL, core, 11:1": (ball(*at(-78, 6, 17), 8), 0.0)},
    )


def nema() -> Phantom:
    """Six spheres at 8 : 1 in a warm body."""
    regions: dict[str, tuple[str, Shape]] = {}
    for n, d in enumerate((37, 28, 22, 17, 13, 10)):
        a = math.radians(60 * n)
        regions[f"{d} mm, 8:1"] = ("tumor", ball(57.2 * math.cos(a), 57.2 * math.sin(a), 0, d / 2))
    regions["liver"] = ("liver", block(86, 86, 40))
    uptake = dict.fromkeys(regions, 8.0) | {"liver": 1.0}
    return Phantom("nema", (42, 56, 56), regions, uptake, 74.1)


def dome() -> Phantom:
    """Tumors at the dome of the liver under an empty lung, one bulging."""
    regions = {
        "8 mL, 6:1": ("tumor", ball(-20, -12, -8.5, 12.4)),
        "34 mL, 3:1": ("tumor", ball(26, 10, -16, 20)),
    }
    regions["liver"] = (
        "liver",
        either(both(ball(0, 0, -75, 82), half_space((0, 0, -1), 60)), regions["34 mL, 3:1"][1]),
    )
    texture = {"8 mL, 6:1": 0.25, "34 mL, 3:1": 0.25, "liver": 0.2}
    return Phantom(
        "dome", (48, 56, 56), regions, {"8 mL, 6:1": 6, "34 mL, 3:1": 3, "liver": 1}, 80.0, cv=texture, noise=0.3
    )


def segment(*, outlined: bool = True) -> Phantom:
    """Radiation segmentectomy: 450 Gy in one segment, tumors 1.6 and 2.5 times that, hardly anything in the rest."""
    part = both(
        half_space((1, 0, 0), 30),
        half_space((-1, 0, 0), 26),
        half_space((0.2, 1, 0), 26),
        half_space((0, -1, 0.2), 26),
        ball(0, 0, 0, 44),
    )
    names = {"12 mL, 1.6:1": (8, 4, 2, 14.2), "5 mL, 2.5:1": (-12, -10, -14, 10.6)}
    regions: dict[str, tuple[str, Shape]] = {n: ("tumor", ball(*v)) for n, v in names.items()}
    regions["segment"] = ("segment", part)
    regions["liver"] = ("liver", either(ball(-10, 0, 0, 58), part))
    del outlined
    uptake = {"12 mL, 1.6:1": 1.6, "5 mL, 2.5:1": 2.5, "segment": 1.0, "liver": 0.02}
    texture = dict.fromkeys(("segment", *names), 0.3)
    return Phantom("segment", (54, 44, 48), regions, uptake, 450.0, cv=texture, noise=0.2)


def hetero(texture_mm: float = 8.0) -> Phantom:
    """Four tumors of 5 to 60 mL with a log-normal texture of 50 %."""
    places = {
        "60 mL, 6:1": ((-26, 14, 0), 24.3, 6.0),
        "25 mL, 2.5:1": ((32, -18, 2), 18.1, 2.5),
        "10 mL, 4:1": ((-18, -28, -8), 13.4, 4.0),
        "5 mL, 12:1": ((26, 24, 6), 10.6, 12.0),
    }
    regions: dict[str, tuple[str, Shape]] = {n: ("tumor", ball(*c, r)) for n, (c, r, _) in places.items()}
    regions["liver"] = ("liver", block(64, 56, 40))
    uptake = {n: u for n, (_, _, u) in places.items()} | {"liver": 1.0}
    texture = dict.fromkeys(places, 0.5) | {"liver": 0.25}
    return Phantom("hetero", (44, 44, 48), regions, uptake, 65.0, cv=texture, texture_mm=texture_mm, noise=0.3)


def necrotic() -> Phantom:
    """Two tumors with cores that nobody outlined."""
    regions = {
        "141 mL, core, 7:1": ("tumor", blob(-24, 0, 0, (35, 32, 30))),
        "20 mL, core, 5:1": ("tumor", ball(38, 2, 4, 16.8)),
        "liver": ("liver", block(70, 46, 46)),
    }
    names = ("141 mL, core, 7:1", "20 mL, core, 5:1")
    cores = {names[0]: (blob(-21, -3, 3, (20, 18, 16)), 0.3), names[1]: (ball(40, 2, 6, 8), 0.0)}
    uptake = {names[0]: 7.0, names[1]: 5.0, "liver": 1.0}
    texture = dict.fromkeys((*names, "liver"), 0.2)
    return Phantom("necrotic", (48, 40, 50), regions, uptake, 60.0, cores=cores, cv=texture, noise=0.3)


def lobulated() -> Phantom:
    """A tumor of three lobes and a flat one, with a rim of the liver."""
    lobes = either(ball(-20, 0, 0, 14), ball(-6, 10, 4, 11), ball(-10, -12, -6, 10))
    regions = {
        "lobes, 5:1": ("tumor", lobes),
        "flat, 6:1": ("tumor", blob(32, 0, 0, (8, 22, 20))),
        "liver": ("liver", blob(0, 0, 0, (62, 52, 46))),
    }
    texture = {"lobes, 5:1": 0.3, "flat, 6:1": 0.3, "liver": 0.2}
    uptake = {"lobes, 5:1": 5.0, "flat, 6:1": 6.0, "liver": 1.0}
    return Phantom("lobulated", (48, 44, 48), regions, uptake, 70.0, cv=texture, noise=0.3)


def crescent() -> Phantom:
    """A crescent around nothing of its own, and a ball whose uptake rises from one side to the other."""
    regions = {
        "crescent, 6:1": ("tumor", without(ball(-22, 0, 0, 22), ball(-12, 4, 0, 17))),
        "gradient, 5:1": ("tumor", ball(32, 0, 0, 17)),
        "liver": ("liver", blob(0, 0, 0, (66, 50, 48))),
    }
    uptake = {"crescent, 6:1": 6.0, "gradient, 5:1": 5.0, "liver": 1.0}
    return Phantom("crescent", (48, 42, 50), regions, uptake, 70.0, slope={"gradient, 5:1": 0.03}, noise=0.3)


def tails() -> Phantom:
    """The demo's tumors seen by a scanner with 15 % of its blur 13 mm wide; the method is told the Gaussian fitted to spheres."""
    return replace(demo(), name="tails", second_fwhm_mm=13.0, second_weight=0.15)


def spect() -> Phantom:
    """The demo's tumors in a SPECT of 12 mm."""
    return replace(
        demo(),
        name="spect",
        shape=(32, 36, 38),
        spacing_mm=(4.8, 4.8, 4.8),
        fwhm_mm=12.0,
        noise=0.15,
        noise_floor=0.05,
        noise_fwhm_mm=9.0,
    )


PHANTOMS: dict[str, Callable[[], Phantom]] = {
    "demo": demo,
    "nema": nema,
    "dome": dome,
    "segment": segment,
    "hetero": hetero,
    "necrotic": necrotic,
    "lobulated": lobulated,
    "crescent": crescent,
    "tails": tails,
    "spect": spect,
}
