"""Correlated noise of an activity image as noise of the dose: one FFT with blur and kernel in one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.calibration import calibration_region
from voxeldose.dose.engines.threads import processors
from voxeldose.dose.engines.voxelise import voxelise
from voxeldose.errors import QuantityError
from voxeldose.geometry.resample import onto, roi_onto
from voxeldose.geometry.smoothing import FWHM_PER_SIGMA
from voxeldose.model.case import Administered
from voxeldose.model.densities import DEFAULT_DENSITY_G_PER_ML
from voxeldose.model.grid import voxels_met
from voxeldose.model.kernel import DEFAULT_REACH_MM, VoxelKernel, point_kernel
from voxeldose.model.radionuclide import JOULE_PER_MEV
from voxeldose.model.remarks import Remark
from voxeldose.model.volume import DensityMap

if TYPE_CHECKING:
    from voxeldose.dose.engines.base import Engine
    from voxeldose.dose.uncertainty.inputs import Spread
    from voxeldose.model.arrays import Floats
    from voxeldose.model.assessment import Assessment
    from voxeldose.model.grid import Grid
    from voxeldose.model.remarks import Numbers

__all__ = ["NoiseField"]


@dataclass(frozen=True, eq=False)
class NoiseField:
    """Correlated noise of the activity as dose, on a window of the dose grid that holds every region."""

    grid: Grid
    sd_bq_per_ml: Floats
    blur: Floats
    to_dose: Floats
    balance: Floats | None

    @classmethod
    def of(
        cls, result: Assessment, engine: Engine, spread: Spread, names: list[str]
    ) -> tuple[NoiseField, tuple[Remark, ...]]:
        """For the regions of these names; and what is assumed."""
        from scipy.ndimage import gaussian_filter

        kernel, kernel_remarks = _point_spread(result, engine)
        grid = _noise_grid(result, spread, names, kernel.reach_mm)
        activity = onto(result.activity, grid).bq_per_ml
        sigma = spread.noise_fwhm_mm / FWHM_PER_SIGMA
        clean = np.clip(gaussian_filter(activity, [sigma / s for s in grid.spacing_mm], mode="constant"), 0, None)
        reference, where = _reference_concentration(result)
        fraction, remarks = spread.noise_fraction, list[Remark]()
        if not fraction:
            fraction, remark = _measure_fraction(result, spread)
            remarks.append(remark)
        sd = fraction * reference * np.sqrt(clean / reference + spread.noise_floor)
        remarks += [_level_remark(fraction, reference, where, spread), *kernel_remarks]
        blur = _blur_spectrum(grid, sigma)
        to_dose = blur * _kernel_spectrum(result, kernel, grid)
        balance = None
        if isinstance(result.case.calibration, Administered):
            image = result.activity
            region = calibration_region(result.case.rois, image.grid, result.case.calibration)
            weights = np.ones(image.grid.shape, np.float32) if region.weights is None else region.weights
            total = region.total_of(image.bq_per_ml) * image.grid.voxel_volume_ml
            near = onto(image.replaced(weights), grid).bq_per_ml * np.float32(grid.voxel_volume_ml / total)
            balance = (_filtered(near, blur) * sd).astype(np.float32)
            sentence = "Noise inside the calibration region also moves the calibration, and that is carried along."
            remarks.append(Remark("noise-moves-calibration", {}, sentence))
        return cls(grid, sd.astype(np.float32), blur, to_dose, balance), tuple(remarks)

    def draw(self, random: np.random.Generator) -> tuple[Floats, float]:
        """Noise dose in Gy on the grid, and the relative change of the activity in the calibration region."""
        white = random.standard_normal(self.grid.shape, np.float32)
        drift = float(np.vdot(white, self.balance)) if self.balance is not None else 0.0
        return _filtered(white * self.sd_bq_per_ml, self.to_dose), drift

    def sd_of_mean(self, occupancy: Floats, mean_gy: float) -> float:
        """Standard deviation of the mean dose over a region (occupancy on this grid), exact for this noise."""
        adjoint = _filtered(occupancy, self.to_dose) * self.sd_bq_per_ml / occupancy.sum(dtype=np.float64)
        if self.balance is not None:
            adjoint = adjoint - mean_gy * self.balance
        return float(np.sqrt((adjoint.astype(np.float64) ** 2).sum()))


def _level_remark(fraction: float, reference: float, where: str, spread: Spread) -> Remark:
    numbers: Numbers = {
        "noise_fraction": fraction,
        "bq_per_ml": reference,
        "rois": where,
        "fwhm_mm": spread.noise_fwhm_mm,
    }
    sentence = (
        f"Noise: {fraction:.1%} per voxel at {reference / 1e3:.4g} kBq/mL (mean of {where}), growing with the "
        f"square root of activity, shared over {spread.noise_fwhm_mm:g} mm."
    )
    return Remark("noise-level", numbers, sentence)


def _measure_fraction(result: Assessment, spread: Spread) -> tuple[float, Remark]:
    """Scatter of the activity inside a region, as part of that in the reference region, scaled by the square root of activity."""
    from scipy.ndimage import distance_transform_edt

    image, name = result.activity, spread.noise_region
    occupancy = roi_onto(result.regions[name], image.grid)[0].on_window(image.grid)
    inner = distance_transform_edt(occupancy > 0.999, sampling=image.grid.spacing_mm) > 2 * spread.noise_fwhm_mm
    values = image.bq_per_ml[inner].astype(np.float64)
    if values.size < 30 or values.mean() <= 0:
        msg = (
            f"uncertainty.noise_region {name}: {values.size} voxels lie farther than {2 * spread.noise_fwhm_mm:g} mm from its edge; "
            "at least 30 with activity are needed. Name a larger region, or give noise_fraction."
        )
        raise QuantityError(msg, code="noise-region-too-small", roi=name, found=int(values.size), needed=30)
    reference, _ = _reference_concentration(result)
    level = values.mean() / reference
    fraction = float(values.std() / reference / np.sqrt(level + spread.noise_floor))
    sentence = f"Noise is the scatter of {values.size} voxels inside {name}; uneven uptake there counts as noise."
    return fraction, Remark("noise-measured", {"voxels": int(values.size), "roi": name}, sentence)


def _noise_grid(result: Assessment, spread: Spread, names: list[str], reach_mm: float) -> Grid:
    """A window of the dose grid around these regions, with space for the kernel and the blur."""
    from scipy import fft

    whole = result.dose.grid
    ends = [whole.indices(result.regions[n].grid.corners()) for n in names]
    reach = spread.reach_mm
    reach += max(reach_mm, DEFAULT_REACH_MM / _plain_density(result)) + 2 * spread.noise_fwhm_mm
    margin = np.ceil(reach / np.array(whole.spacing_mm)).astype(int)
    first, last = voxels_met(np.concatenate(ends))
    size = [fft.next_fast_len(int(n), real=True) for n in last - first + 1 + 2 * margin]
    return whole.window((first - margin).tolist(), size)


def _plain_density(result: Assessment) -> float:
    density = result.case.density
    return DEFAULT_DENSITY_G_PER_ML if isinstance(density, DensityMap) else density


def _reference_concentration(result: Assessment) -> tuple[float, str]:
    for role in ("normal_liver", "liver", "tumor"):
        rois = [(n, m) for n, m in result.rois.items() if m.role == role and m.activity_mbq > 0]
        if rois:
            mbq, ml = sum(m.activity_mbq for _, m in rois), sum(m.volume_ml for _, m in rois)
            return mbq / ml * 1e6, ", ".join(n for n, _ in rois)
    name, first = next(iter(result.rois.items()))
    if first.activity_mbq <= 0:
        msg = "Noise needs a region that holds activity, to be a fraction of; no region does."
        raise QuantityError(msg, code="activity-missing")
    return first.activity_mbq / first.volume_ml * 1e6, name


def _filtered(values: Floats, spectrum: Floats) -> Floats:
    """Circular convolution with a symmetric kernel, by its real spectrum; the window has space around every region."""
    from scipy import fft

    transformed = fft.rfftn(values.astype(np.float32, copy=False), workers=processors())
    transformed *= spectrum
    return np.asarray(fft.irfftn(transformed, values.shape, workers=processors(), overwrite_x=True), np.float32)


def _blur_spectrum(grid: Grid, sigma_mm: float) -> Floats:
    """Spectrum of a Gaussian that gives white noise of unit variance a correlation and keeps its variance."""
    from scipy import fft

    exponent = np.zeros(())
    for axis, (n, step) in enumerate(zip(grid.shape, grid.spacing_mm, strict=True)):
        frequency = fft.rfftfreq(n, step) if axis == 2 else fft.fftfreq(n, step)
        shape = [1, 1, 1]
        shape[axis] = -1
        exponent = exponent + (2 * math.pi * sigma_mm * frequency.reshape(shape)) ** 2 / 2
    spectrum = np.exp(-exponent)
    kernel = fft.irfftn(spectrum, grid.shape)
    return np.asarray(spectrum / np.sqrt((kernel**2).sum()), np.float32)


def _point_spread(result: Assessment, engine: Engine) -> tuple[VoxelKernel, list[Remark]]:
    """What carries noise into the dose, a kernel of uniform density, and what that assumes."""
    density, grid = _plain_density(result), result.dose.grid
    is_uneven = isinstance(result.case.density, DensityMap)
    remarks = []
    if is_uneven:
        sentence = f"Noise is turned into dose at {density:g} g/mL everywhere; in lung its dose is too small."
        remarks.append(Remark("noise-density-uniform", {"density_g_per_ml": density}, sentence))
    kernel = engine.point_spread(grid, density)
    if kernel is None:
        kernel = voxelise(point_kernel(), grid.spacing_mm, density_g_per_ml=density)
        sentence = f"The engine {engine.name} states no point spread, so noise is carried by the Y-90 kernel of water."
        remarks.append(Remark("noise-kernel-borrowed", {"engine": engine.name}, sentence))
    elif is_uneven and kernel.energy_fraction.size > 1:
        sentence = "Noise is carried by the uniform kernel, whatever the engine of the dose."
        remarks.append(Remark("noise-kernel-uniform", {}, sentence))
    return kernel, remarks


def _kernel_spectrum(result: Assessment, kernel: VoxelKernel, grid: Grid) -> Floats:
    """Spectrum of what turns Bq/mL into Gy on a grid."""
    from scipy import fft

    nuclide, density = result.case.administration.radionuclide, _plain_density(result)
    gy = nuclide.decays_per_bq() * nuclide.energy_mev * JOULE_PER_MEV / (density * 1e-3)  # of 1 Bq/mL, all kept
    part = kernel.energy_fraction
    placed = np.zeros(grid.shape)
    places = [np.arange(n) - n // 2 for n in part.shape]
    np.add.at(placed, np.ix_(*[p % n for p, n in zip(places, grid.shape, strict=True)]), part)
    return np.asarray(fft.rfftn(placed).real * gy, np.float32)
