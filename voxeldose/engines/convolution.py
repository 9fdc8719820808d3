"""Decays to dose by a kernel: local deposition and dose-point-kernel convolution.

Both engines have the seam that ``pipeline.assess`` calls: ``name``, ``describe()`` and ``dose(decays, density)``.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from voxeldose.errors import GeometryError, QuantityError
from voxeldose.geometry.resample import onto
from voxeldose.model.kernel import DEFAULT_REACH_MM, PointKernel, VoxelKernel, voxelise
from voxeldose.model.radionuclide import JOULE_PER_MEV
from voxeldose.model.volume import AIR_G_PER_ML, DecayMap, DensityMap, DoseMap

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from voxeldose._compiled.convolve import Reach
    from voxeldose.model.grid import Grid
    from voxeldose.model.volume import FloatArray


__all__ = ["Convolution", "LocalDeposition"]


#: Estimates below this (0.1 s) are worked off by one thread: handing the interpreter to and fro costs a fifth more CPU.
THREADS_FROM_NS = 1e8

#: Output slices that are summed at once from the spectra around them, so that these are read once for all.
BATCH = 4

#: Padded boxes of activity of so many voxels are transformed as a whole. In smaller ones the direct sum, which has no
#: rounding to see, is as fast; of larger ones the spectrum (half of it, complex) leaves a processor's second-level cache.
BOX_VOXELS = 2**14, 2**18

#: Size of the parts that voxels of a dose grid other than the image's are cut into, and how many there may be in all.
PART_MM, MOST_PARTS = 1.5, 6 * 10**7

Method = Literal["direct", "planes", "box"]


@dataclass(frozen=True, eq=False)
class LocalDeposition:
    """All energy stays in the voxel where it is emitted: ``D = K A / m``, voxel by voxel.

    The default of the EANM's standard procedure for Y-90 PET (Chiesa 2021, doi:10.1186/s40658-021-00394-3). On images
    blurrier than about 3 mm it is nearer the true mean dose than a second blur by a kernel (Pasciak 2014,
    doi:10.3389/fonc.2014.00121).
    """

    name = "local"

    def describe(self) -> str:
        """One sentence for the report."""
        return "Local deposition: all beta energy stays in the voxel where it is emitted."

    def dose(self, decays: DecayMap, density: DensityMap | float, grid: Grid | None = None) -> DoseMap:
        """Dose in each voxel.

        Parameters
        ----------
        decays : DecayMap
            All decays in each voxel; negative ones (noise) are kept.
        density : DensityMap or float
            In g/mL; a map must lie on the grid of ``decays``. Voxels below 0.05 g/mL (air) get zero dose, since energy
            over nearly no mass is not a dose; the energy is reported as lost.
        grid : Grid, optional
            Where the dose is wanted: both images are brought onto it, activity spread evenly over each of its voxels.
        """
        if grid is not None:
            return self.dose(onto(decays, grid), onto(density, grid) if isinstance(density, DensityMap) else density)
        decays.require_finite()
        energy_j = decays.decays.astype(np.float64) * (decays.radionuclide.energy_mev * JOULE_PER_MEV)
        if isinstance(density, DensityMap):
            _require_match(decays, density)
            rho = density.g_per_ml.astype(np.float64)
            tissue = rho >= AIR_G_PER_ML
            dose = np.where(tissue, energy_j / np.where(tissue, rho, 1.0), 0.0) / (decays.grid.voxel_volume_ml * 1e-3)
            emitted = energy_j.sum()
            lost = float(energy_j[~tissue].sum() / emitted) if emitted else 0.0
            return DoseMap(
                dose.astype(np.float32),
                decays.grid,
                method=self.describe(),
                is_even_in_voxels=True,
                energy_lost_fraction=lost,
            )
        gy = (energy_j / _voxel_kg(decays, density)).astype(np.float32)
        return DoseMap(gy, decays.grid, method=self.describe(), is_even_in_voxels=True)


@dataclass(frozen=True, eq=False)
class Convolution:
    """Decays convolved with the voxel kernel of a uniform medium; no activity outside the image.

    Parameters
    ----------
    kernel : PointKernel or VoxelKernel
        A point kernel is voxelised for each grid and density. A voxel kernel must fit both. Either keeps its shape and
        takes the energy per decay of the run's constants.
    reach_mm : float
        Radius in water at which a point kernel ends.
    """

    kernel: PointKernel | VoxelKernel
    reach_mm: float = DEFAULT_REACH_MM
    name = "dpk"

    def describe(self) -> str:
        """One sentence for the report."""
        return (
            f"Dose point kernel convolution in a uniform medium, kernel cut at {self.reach_mm:g} mm of water; "
            f"kernel: {self.kernel.source}."
        )

    def _margin_mm(self, density: float) -> float:
        """How far beyond a grid activity gives dose inside it."""
        return self.kernel.reach_mm if isinstance(self.kernel, VoxelKernel) else self.reach_mm / density

    def voxel_kernel(self, decays: DecayMap, density: float) -> VoxelKernel:
        """The kernel for this grid and density, or the given one if it fits.

        Raises
        ------
        GeometryError
            If the grid is sheared, or a given voxel kernel was made for another spacing.
        QuantityError
            If a given voxel kernel was made for another density.
        """
        grid = decays.grid
        if not grid.is_right_angled:
            msg = (
                "The activity grid is sheared (its axes are not perpendicular), so no voxel kernel fits it; "
                "resample the image to a right-angled grid, or ask for --grid MM."
            )
            raise GeometryError(msg)
        if isinstance(self.kernel, PointKernel):
            return voxelise(self.kernel, grid.spacing_mm, density_g_per_ml=density, reach_mm=self.reach_mm)
        if not np.allclose(self.kernel.spacing_mm, grid.spacing_mm, rtol=1e-4):
            msg = (
                f"The dose grid has spacing {grid.spacing_mm} mm (k, j, i) but the kernel was made for "
                f"{self.kernel.spacing_mm} mm; call voxelise(kernel, grid.spacing_mm)."
            )
            raise GeometryError(msg)
        if not math.isclose(self.kernel.density_g_per_ml, density, rel_tol=1e-6):
            msg = (
                f"The voxel kernel was made for {self.kernel.density_g_per_ml} g/mL but the run has {density} g/mL; "
                "call voxelise with that density."
            )
            raise QuantityError(msg)
        return self.kernel

    def dose(self, decays: DecayMap, density: DensityMap | float, grid: Grid | None = None) -> DoseMap:
        """Dose in each voxel of ``grid``, or of the grid of ``decays``.

        Parameters
        ----------
        decays : DecayMap
            All decays in each voxel of a right-angled grid; negative ones (noise) are kept.
        density : float
            Of the uniform medium in g/mL. A :class:`DensityMap` is refused: dividing a water convolution by the local
            density doubles the dose in the first lung layer and starves what lies behind it.
        grid : Grid, optional
            Where the dose is wanted, if not on the grid of ``decays``. Activity within reach of it counts. It is spread evenly
            over parts of its voxels (:data:`PART_MM`), and a voxel's dose is the mean of its parts: spread over whole voxels of
            4 mm, a single hot voxel would lose a quarter of its dose.

        Returns
        -------
        DoseMap
            Non-negative where ``decays`` is; ``energy_lost_fraction`` holds what left the kernel's reach or the grid.
        """
        if isinstance(density, DensityMap):
            msg = (
                "The dpk engine takes one uniform density, not a density image: a water kernel is wrong where density "
                'varies. Use density = "uniform", or engine = "local" with the image.'
            )
            raise QuantityError(msg)
        if grid is not None and not grid.matches(decays.grid):
            _voxel_kg(decays, density)  # refuses what is no tissue
            margin = [math.ceil(self._margin_mm(density) / s) for s in grid.spacing_mm]
            wide = grid.window([-m for m in margin], [n + 2 * m for n, m in zip(grid.shape, margin, strict=True)])
            parts = _parts_of_a_voxel(wide) if isinstance(self.kernel, PointKernel) else (1, 1, 1)
            fine = wide.with_spacing([s / n for s, n in zip(wide.spacing_mm, parts, strict=True)])
            dose = self.dose(onto(decays, fine), density)
            if max(parts) == 1:
                return dose.window(grid)
            blocks = dose.gy.reshape([n for pair in zip(wide.shape, parts, strict=True) for n in pair])
            return dose.replaced(blocks.mean(axis=(1, 3, 5)), wide).window(grid)
        from voxeldose._compiled.convolve import find_reach

        voxel_kg = _voxel_kg(decays, density)
        kernel = self.voxel_kernel(decays, density)
        values = decays.decays
        reach = find_reach(values, kernel.energy_fraction.shape)
        if reach is None:
            return DoseMap(np.zeros(values.shape, np.float32), decays.grid, method=self.describe())
        emitted = _sum(values, reach.box)
        if not math.isfinite(emitted):
            decays.require_finite()
            emitted = decays.total()  # finite values, but too large for a row's sum in float32
        gy_per_decay = decays.radionuclide.energy_mev * JOULE_PER_MEV / voxel_kg
        gy = _convolve(values, kernel.energy_fraction * gy_per_decay, reach)
        lost = 1 - _sum(gy, reach.out) / gy_per_decay / emitted if emitted else 0.0
        gy.setflags(write=False)  # else DoseMap would copy it
        return DoseMap(gy, decays.grid, method=self.describe(), energy_lost_fraction=lost)


def _parts_of_a_voxel(grid: Grid) -> tuple[int, int, int]:
    """Into how many parts each voxel of a grid is cut along each axis; fewer where the memory would not do."""
    parts = [max(1, round(s / PART_MM)) for s in grid.spacing_mm]
    while math.prod(grid.shape) * math.prod(parts) > MOST_PARTS and max(parts) > 1:
        parts[parts.index(max(parts))] -= 1
    k, j, i = parts
    return k, j, i


def _voxel_kg(decays: DecayMap, density_g_per_ml: float) -> float:
    if not (math.isfinite(density_g_per_ml) and density_g_per_ml >= AIR_G_PER_ML):
        msg = f"A tissue density of at least {AIR_G_PER_ML} g/mL is needed, found {density_g_per_ml}."
        raise QuantityError(msg)
    return density_g_per_ml * decays.grid.voxel_volume_ml * 1e-3


def _require_match(decays: DecayMap, density: DensityMap) -> None:
    if not density.grid.matches(decays.grid):
        msg = "The density image must lie on the grid of the decays; resample it first (resample.onto)."
        raise GeometryError(msg)


def _sum(values: FloatArray, part: tuple[slice, slice, slice]) -> float:
    """Sum of a part: each row pairwise in float32 (1e-7 of the row), the rows in float64; not finite if a value is not."""
    with np.errstate(over="ignore", invalid="ignore"):
        return float(values[part].sum(axis=2).sum(dtype=np.float64))


def _convolve(
    source: FloatArray,
    kernel: npt.NDArray[np.float64],
    reach: Reach,
    *,
    method: Method | None = None,
    threads: int | None = None,
) -> FloatArray:
    """Linear convolution, same size, zeros outside the image; exactly zero where a row has no activity within reach.

    ``method`` and ``threads`` are for tests and benchmarks: without them a box of activity of moderate size is transformed as a
    whole (on one thread, with nothing to compile), others by the method of lower cost on as many threads as there are
    processors. A kernel that is not its own mirror image takes the FFT in three dimensions and float64.
    """
    result = np.zeros(source.shape, np.float32)
    if not _is_symmetric(kernel):
        _convolve_any(source, kernel, reach, result)
        return result
    octant = kernel[tuple(slice(n // 2, None) for n in kernel.shape)]
    if method == "box" or (method is None and BOX_VOXELS[0] < math.prod(_least_sizes(octant, reach)) <= BOX_VOXELS[1]):
        _convolve_box(source, octant, reach, result)
        return result
    direct, planar = _cost_ns(octant, reach)
    if threads is None:
        threads = _processors() if min(direct, planar) > THREADS_FROM_NS else 1
    if method == "direct" or (method is None and direct <= planar):
        _convolve_direct(source, octant, reach, result, threads)
    else:
        _convolve_planes(source, octant, reach, result, threads)
    return result


def _is_symmetric(kernel: npt.NDArray[np.float64]) -> bool:
    """Whether sizes are odd and every flip leaves the kernel as it is, to better than float32."""
    flips = (np.flip(kernel, axis) for axis in range(3))
    return all(n % 2 for n in kernel.shape) and all((np.abs(kernel - f) <= 1e-8 * np.abs(kernel)).all() for f in flips)


def _cost_ns(octant: npt.NDArray[np.float64], reach: Reach) -> tuple[float, float]:
    """Time of the direct sum and of the FFT by slices, from counts; constants fitted to four grids on one Zen 5 core.

    Only their ratio matters, and it only decides which of two exact ways is taken.
    """
    from voxeldose._compiled.convolve import kernel_rows

    offset, _ = kernel_rows(octant)
    widest, depth = int(offset[0, 2]), octant.shape[0]
    products = 4 * float((offset[::4, 2] // 2 * 2 + 2).sum())
    voxels = float((reach.stop - reach.start + 8).sum(where=reach.stop > 0))
    direct = voxels * (0.0145 * products + 0.085 * len(offset) + 0.32 * widest + 0.3 * depth + 0.3)
    rows, columns = (b.stop - b.start + 2 * n for b, n in zip(reach.box[1:], octant.shape[1:], strict=True))
    pixels = float(rows * columns)
    given, made = (float(part[0].stop - part[0].start) for part in (reach.box, reach.out))
    transform = 0.135 * math.log2(pixels)
    planar = pixels * (given * transform + made * (transform + 0.16 * depth + 0.6)) + made * 4e4
    return direct, planar


def _processors() -> int:
    """As many as NUMBA_NUM_THREADS says, as for the other engines, else all that this process may use."""
    if os.environ.get("NUMBA_NUM_THREADS"):
        return int(os.environ["NUMBA_NUM_THREADS"])
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _in_threads(work: Callable[[int, int], None], part: slice, slabs: int, threads: int) -> None:
    """Call ``work`` on so many slabs of slices; it writes to no other slice, so their order does not matter."""
    slabs = min(slabs, part.stop - part.start)
    edges = [part.start + (part.stop - part.start) * n // slabs for n in range(slabs + 1)]
    if threads == 1:
        for begin, end in pairwise(edges):
            work(begin, end)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, begin, end) for begin, end in pairwise(edges)]:
            done.result()


def _convolve_direct(
    source: FloatArray, octant: npt.NDArray[np.float64], reach: Reach, result: FloatArray, threads: int
) -> None:
    """Direct sum, folded by symmetry. Only products are added: relative error 1e-6 in every voxel, if of one sign."""
    from voxeldose._compiled.convolve import direct_sum

    work = direct_sum(source, octant, reach, result)
    _in_threads(work, slice(0, reach.out[0].stop - reach.out[0].start), 1 if threads == 1 else 4 * threads, threads)


def _least_sizes(octant: npt.NDArray[np.float64], reach: Reach) -> list[int]:
    """Least length of an FFT along each axis: no part of the result that lies in the image is wrapped onto."""
    return [
        b.stop - b.start + n - 1 + max(b.start - o.start, o.stop - b.stop)
        for n, b, o in zip(octant.shape, reach.box, reach.out, strict=True)
    ]


def _fast_sizes(octant: npt.NDArray[np.float64], reach: Reach) -> list[int]:
    """The next lengths that are quickly transformed."""
    from scipy import fft

    return [fft.next_fast_len(n, real=True) for n in _least_sizes(octant, reach)]


def _columns_reached(octant: npt.NDArray[np.float64], reach: Reach) -> tuple[npt.NDArray[np.int32], ...]:
    """First column and the one after the last that each row in reach gets dose in, (nk, nj, 1) each."""
    wide, last = octant.shape[2] - 1, reach.out[2].stop
    start, stop = reach.start[reach.out[:2]][..., None], reach.stop[reach.out[:2]][..., None]
    return np.where(stop > 0, start - wide, last).astype(np.int32), np.where(stop > 0, stop + wide, 0).astype(np.int32)


def _convolve_box(source: FloatArray, octant: npt.NDArray[np.float64], reach: Reach, result: FloatArray) -> None:
    """FFT of the activity's box, axis by axis: rows that are zero, or not asked for, are left out.

    The kernel's spectrum is made by its cosines, since it is symmetric. Accuracy is that of :func:`_convolve_planes`.
    """
    from scipy import fft

    box, out, part = reach.box, reach.out, source[reach.box]
    size = _fast_sizes(octant, reach)
    before = [b.start - o.start for b, o in zip(box, out, strict=True)]
    given = np.zeros((*part.shape[:2], before[2] + part.shape[2]), np.float32)
    given[..., before[2] :] = part
    spectrum = fft.fft(fft.fft(fft.rfft(given, size[2], axis=2), size[1], axis=1), size[0], axis=0)
    half = size[0] // 2 + 1
    cosine = [_cosines(n, m, c) for n, m, c in zip(size, (half, size[1], size[2] // 2 + 1), octant.shape, strict=True)]
    planes = np.einsum("kjc,bj->kbc", np.einsum("kji,ci->kjc", octant, cosine[2]), cosine[1]).astype(np.float32)
    factor = np.zeros((half, *planes.shape[1:]), np.float32)
    for plane, weight in zip(planes, cosine[0].T.astype(np.float32), strict=True):
        factor += weight[:, None, None] * plane
    spectrum[:half] *= factor
    spectrum[half:] *= factor[1 : size[0] - half + 1][::-1]
    first, second = (  # where in the circle of each axis the result lies
        np.arange(-n, o.stop - o.start - n) % m for n, o, m in zip(before[:2], out[:2], size[:2], strict=True)
    )
    lines = fft.ifft(spectrum, axis=0, overwrite_x=True).take(first, axis=0)
    lines = fft.ifft(lines, axis=1, overwrite_x=True).take(second, axis=1)
    dose = fft.irfft(lines, size[2], axis=2)[..., : out[2].stop - out[2].start]
    if part.min() >= 0:
        np.maximum(dose, 0, out=dose)
    low, high = _columns_reached(octant, reach)
    column = np.arange(out[2].start, out[2].stop, dtype=np.int32)
    np.copyto(result[out], dose, where=(column >= low) & (column < high))


def _cosines(size: int, frequencies: int, count: int) -> npt.NDArray[np.float64]:
    """What a sample and its mirror image, at 0 to ``count - 1``, add to each of the first frequencies."""
    wave: npt.NDArray[np.float64] = np.cos(2 * np.pi / size * np.outer(np.arange(frequencies), np.arange(count)))
    wave[:, 1:] *= 2
    return wave


def _convolve_planes(
    source: FloatArray, octant: npt.NDArray[np.float64], reach: Reach, result: FloatArray, threads: int
) -> None:
    """FFT of each slice in float32, direct sum over slices; only the slices within reach are held.

    Relative error below 1e-4 where the dose exceeds 1 % of its maximum: rounding is about 5e-7 of the maximum everywhere.
    It also lies, positive or cut to zero, on voxels within reach of a row's activity that receive next to nothing.
    """
    from scipy import fft

    from voxeldose._compiled.convolve import sum_spectra

    box, out = reach.box, reach.out
    size = _fast_sizes(octant, reach)[1:]
    factor = _plane_spectra(octant, size)
    depth = octant.shape[0] - 1
    slots = 2 * depth + BATCH
    positive = all(source[k][box[1:]].min() >= 0 for k in range(box[0].start, box[0].stop))
    rows, columns = out[1].stop - out[1].start, out[2].stop - out[2].start
    corner = tuple(slice(b.start - o.start, b.stop - o.start) for b, o in zip(box[1:], out[1:], strict=True))
    from_i, to_i = _columns_reached(octant, reach)
    column = np.arange(out[2].start, out[2].stop, dtype=np.int32)

    def work(begin: int, end: int) -> None:
        spectra = np.zeros((slots + 1, size[0], size[1] // 2 + 1), np.complex64)  # the last stays zero
        total = np.empty((BATCH, *spectra.shape[1:]), np.complex64)
        given = np.zeros(size, np.float32)
        known = max(box[0].start, begin - depth)
        for k in range(begin, end, BATCH):
            made = min(BATCH, end - k)
            for n in range(known, min(box[0].stop, k + made + depth)):
                given[corner] = source[n][box[1:]]
                spectra[n % slots] = fft.rfft2(given)
                known = n + 1
            near = np.arange(k, k + made)[:, None] + np.arange(-depth, depth + 1)
            slot = np.where((near >= box[0].start) & (near < box[0].stop), near % slots, slots).astype(np.int32)
            sum_spectra(
                spectra.view(np.float32).reshape(slots + 1, -1), slot, factor, total.view(np.float32).reshape(BATCH, -1)
            )
            for n in range(made):
                lines = fft.ifft(total[n], axis=0, overwrite_x=True)[:rows]
                dose = fft.irfft(lines, size[1], axis=1)[:, :columns]
                into = result[k + n][out[1:]]
                if positive:
                    np.maximum(dose, 0, out=into)
                else:
                    into[:] = dose
                low, high = from_i[k + n - out[0].start], to_i[k + n - out[0].start]
                if low.max() > out[2].start or high.min() < out[2].stop:
                    into[(column < low) | (column >= high)] = 0

    _in_threads(work, out[0], threads, threads)


def _plane_spectra(octant: npt.NDArray[np.float64], size: list[int]) -> FloatArray:
    """Spectrum of each slice of the kernel from the middle one on; real, since the kernel is symmetric."""
    from scipy import fft

    j, i = (np.arange(1 - n, n) for n in octant.shape[1:])
    spectra = np.empty((octant.shape[0], size[0] * (size[1] // 2 + 1)), np.float32)
    for k, plane in enumerate(octant):
        wrapped = np.zeros(size)
        np.add.at(wrapped, np.ix_(j, i), plane[np.ix_(np.abs(j), np.abs(i))])
        spectra[k] = fft.rfft2(wrapped).real.ravel()
    return spectra


def _convolve_any(source: FloatArray, kernel: npt.NDArray[np.float64], reach: Reach, result: FloatArray) -> None:
    """FFT in three dimensions and float64, for kernels without mirror symmetry; rounding is 1e-16 of the maximum."""
    from scipy import fft

    part = source[reach.box].astype(np.float64)
    full = [p + n - 1 for p, n in zip(part.shape, kernel.shape, strict=True)]
    fast = [fft.next_fast_len(n, real=True) for n in full]
    spread = fft.irfftn(fft.rfftn(part, fast) * fft.rfftn(kernel, fast), fast)
    there = tuple(
        slice(o.start - b.start + n // 2, o.stop - b.start + n // 2)
        for o, b, n in zip(reach.out, reach.box, kernel.shape, strict=True)
    )
    result[reach.out] = spread[there]
    if part.min() >= 0:
        np.maximum(result, 0, out=result)
