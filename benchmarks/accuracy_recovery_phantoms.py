"""Digital patients for resolution recovery, each with the sharp truth, a scan of it, and regions as someone draws them.

The truth is made by another code path than the recovery's model: analytic shapes sampled on voxels a quarter of the scan's,
blurred by ``scipy.ndimage``, its dose by the convolution engine there, and its numbers by occupancy. Noise grows with the square
root of activity and is alike between neighbours. What it leaves out: scatter, attenuation, reconstruction, breathing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.demo.shapes import Points, occupancy
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
    from voxeldose.demo.shapes import Shape
    from voxeldose.model.arrays import Floats
    from voxeldose.model.assessment import Assessment

__all__ = ["Drawn", "Phantom", "Truth", "scan_of", "truth_of"]

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
