"""The scan as the model knows it: a box of the image, its fine voxels, the blur between them, and the noise."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.recovery.spectra import Lattice, apply, block_mean, spread
from voxeldose.errors import GeometryError, QuantityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.dose.recovery.shapes import Window
    from voxeldose.model.arrays import Floats, Mask
    from voxeldose.model.grid import Grid
    from voxeldose.model.roi import Roi
    from voxeldose.model.volume import ActivityMap

__all__ = ["Column", "Noise", "Psf", "Scan"]

Shape = tuple[int, int, int]
Triple = tuple[float, float, float]

#: Fine voxels are not larger than this along any axis.
FINE_MM = 2.4
#: Room around all regions: the kernel's reach and two widths of the blur.
ROOM_MM = 25.0
#: Most that a soft edge's blur is undone by, as an exponent.
MOST_SHARPER = 2.0
#: Standard deviations of noise by which voxels outside the image are worse than those inside.
NOT_MEASURED = 30.0


@dataclass(frozen=True)
class Psf:
    """The scanner's blur, without the mean over its voxels: a Gaussian, or the sum of two.

    Parameters
    ----------
    fwhm_mm : tuple of float
        Full widths at half maximum along k, j and i.
    second_fwhm_mm : tuple of float
        Of the second Gaussian, for measured tails or overshoot.
    second_weight : float
        Its part of the whole; may be negative.
    """

    fwhm_mm: Triple
    second_fwhm_mm: Triple = (0.0, 0.0, 0.0)
    second_weight: float = 0.0

    def spectrum(self, lattice: Lattice) -> Floats:
        """On a box of voxels."""
        first = lattice.gaussian(self.fwhm_mm)
        if self.second_weight == 0:
            return first
        weight = np.float32(self.second_weight)
        return (1 - weight) * first + weight * lattice.gaussian(self.second_fwhm_mm)

    @property
    def mean_fwhm_mm(self) -> float:
        """Geometric mean of the widths."""
        return math.prod(self.fwhm_mm) ** (1 / 3)

    def wider(self, factor: float) -> Psf:
        """The same with widths times a factor."""

        def times(widths: Triple) -> Triple:
            k, j, i = (w * factor for w in widths)
            return k, j, i

        return replace(self, fwhm_mm=times(self.fwhm_mm), second_fwhm_mm=times(self.second_fwhm_mm))


@dataclass(frozen=True)
class Noise:
    """Noise of the image: variance grows with activity above a floor, neighbours are alike.

    Parameters
    ----------
    fwhm_mm : float
        Of the filter that gives white noise its correlation.
    floor : float
        Variance where nothing is, as part of that at the reference concentration.
    white : float
        Variance that no neighbour shares, as part of the whole.
    """

    fwhm_mm: float
    floor: float = 0.15
    white: float = 0.02


@dataclass(frozen=True, eq=False)
class Column:
    """An image that is zero outside a window: a region's blur, or what moving an outline changes.

    Parameters
    ----------
    window : tuple of slice
        Of the box of the image.
    values : ndarray, float32
        Inside it.
    """

    window: Window
    values: Floats

    def dot(self, image: Floats) -> float:
        """Sum of products with an image."""
        return float(np.einsum("kji,kji->", self.values, image[self.window], dtype=np.float64))

    def add_to(self, image: Floats, factor: float) -> None:
        """Add this times a factor to an image."""
        image[self.window] += np.float32(factor) * self.values

    def whole(self, shape: Shape) -> Floats:
        """On the whole box."""
        image = np.zeros(shape, np.float32)
        image[self.window] = self.values
        return image


@dataclass(frozen=True, eq=False)
class Scan:
    """A box of the activity image and the model of how it came about: ``y = mean over voxels(blur(x)) + noise``.

    Parameters
    ----------
    image : ndarray, float32, (nk, nj, ni)
        Activity in units of ``reference_bq_per_ml``, zero where nothing was measured.
    measured : ndarray, bool
        Which voxels lie inside the activity image.
    grid, fine_grid : Grid
        Of the image's box and of its voxels' parts.
    factor : tuple of int
        Parts of a voxel along k, j and i.
    psf, noise
        The blur and the noise.
    reference_bq_per_ml : float
        What 1 stands for: normal perfused tissue.
    """

    image: Floats
    measured: Mask
    grid: Grid
    fine_grid: Grid
    factor: Shape
    psf: Psf
    noise: Noise
    reference_bq_per_ml: float = 1.0
    _spectra: dict[Shape, Floats] = field(default_factory=dict, repr=False)

    @classmethod
    def around(cls, activity: ActivityMap, rois: Sequence[Roi], psf: Psf, noise: Noise) -> Scan:
        """The box of an activity image around regions, with room.

        Raises
        ------
        GeometryError
            If the image's axes are not perpendicular.
        """
        from scipy import fft

        whole = activity.grid
        if not whole.is_right_angled:
            msg = "The activity image is sheared; resolution recovery needs perpendicular axes. Resample it first."
            raise GeometryError(msg, code="grid-sheared")
        index = np.concatenate([whole.indices(roi.grid.corners()) for roi in rois])
        room = np.ceil(ROOM_MM / np.array(whole.spacing_mm)).astype(int)
        low = np.floor(index.min(axis=0) + 0.5).astype(int) - room
        high = np.ceil(index.max(axis=0) + 0.5).astype(int) + room
        size = [fft.next_fast_len(int(n), real=True) for n in high - low]
        low -= (np.array(size) - (high - low)) // 2
        grid = whole.window(low.tolist(), size)
        a, b, c = (max(1, math.ceil(s / FINE_MM - 1e-6)) for s in grid.spacing_mm)
        fine = grid.with_spacing([s / f for s, f in zip(grid.spacing_mm, (a, b, c), strict=True)])
        measured = whole.cut(np.ones(whole.shape, np.float32), grid) > 0
        image = whole.cut(activity.bq_per_ml, grid)
        if float(image[measured].max(initial=0.0)) <= 0:
            msg = "There is no activity near the regions, so nothing can be recovered. Check image and regions."
            raise QuantityError(msg, code="no-activity-near-regions")
        return cls(image, measured, grid, fine, (a, b, c), psf, noise)

    @property
    def shape(self) -> Shape:
        """Of the image's box."""
        return self.grid.shape

    @cached_property
    def lattice(self) -> Lattice:
        """Of the image's box."""
        return Lattice(self.grid.shape, self.grid.spacing_mm)

    @cached_property
    def fine(self) -> Lattice:
        """Of the fine box."""
        return self.lattice.refined(self.factor)

    @cached_property
    def fine_blur(self) -> Floats:
        """Spectrum of the blur on the fine box, less what soft edges blur already."""
        return self._blur_on(self.fine)

    def _blur_on(self, fine: Lattice) -> Floats:
        """The blur on a box of fine voxels; an occupancy's edge is a ramp one voxel wide, of a variance that is taken out."""
        widen = sum(k**2 for k in fine.wave_numbers()) * (fine.mean_spacing_mm**2 / 24)
        return np.asarray(self.psf.spectrum(fine) * np.exp(np.minimum(widen, MOST_SHARPER)), np.float32)

    @cached_property
    def texture_blur(self) -> Floats:
        """Spectrum of blur and voxel mean on the image's box, for fields that are smooth."""
        return self.psf.spectrum(self.lattice) * self.lattice.voxel_box()

    def forward(self, activity: Floats) -> Floats:
        """What the scanner shows of activity on the fine box, without noise."""
        return block_mean(apply(activity, self.fine_blur), self.factor)

    def adjoint(self, image: Floats) -> Floats:
        """Transpose of :meth:`forward`."""
        return apply(spread(image, self.factor), self.fine_blur)

    def column(self, activity: Floats, window: Window) -> Column:
        """:meth:`forward` of activity that is zero outside a window of the fine box whose edges are those of voxels."""
        from scipy import fft

        coarse = [slice(s.start // f, s.stop // f) for s, f in zip(window, self.factor, strict=True)]
        margin = [math.ceil(1.5 * w / s) + 1 for w, s in zip(self._widest, self.grid.spacing_mm, strict=True)]
        size = [fft.next_fast_len(s.stop - s.start + 2 * m, real=True) for s, m in zip(coarse, margin, strict=True)]
        if any(n >= m for n, m in zip(size, self.shape, strict=True)):
            image = np.zeros(self.fine.shape, np.float32)
            image[window] = activity
            k, j, i = (slice(0, n) for n in self.shape)
            return Column((k, j, i), self.forward(image))
        local = Lattice((size[0], size[1], size[2]), self.grid.spacing_mm).refined(self.factor)
        if local.shape not in self._spectra:
            self._spectra[local.shape] = self._blur_on(local)
        padded = np.zeros(local.shape, np.float32)
        padded[tuple(slice(m * f, m * f + n) for m, f, n in zip(margin, self.factor, activity.shape, strict=True))] = (
            activity
        )
        values = block_mean(apply(padded, self._spectra[local.shape]), self.factor)
        here, there = [], []
        for s, m, n, limit in zip(coarse, margin, size, self.shape, strict=True):
            start = s.start - m
            low, high = max(start, 0), min(start + n, limit)
            here.append(slice(low, high))
            there.append(slice(low - start, high - start))
        return Column((here[0], here[1], here[2]), np.ascontiguousarray(values[tuple(there)]))

    @property
    def _widest(self) -> Triple:
        k, j, i = (max(a, b) for a, b in zip(self.psf.fwhm_mm, self.psf.second_fwhm_mm, strict=True))
        return k, j, i

    def unit_deviation(self, clean: Floats) -> Floats:
        """Standard deviation of noise in each voxel at a noise level of 1; very large where nothing was measured."""
        deviation = np.sqrt(np.maximum(clean, 0) + np.float32(self.noise.floor))
        return np.where(self.measured, deviation, np.float32(NOT_MEASURED) * deviation).astype(np.float32)

    def in_units_of(self, bq_per_ml: float) -> Scan:
        """The same scan with its image in units of a reference concentration."""
        image = self.image * np.float32(self.reference_bq_per_ml / bq_per_ml)
        return replace(self, image=image, reference_bq_per_ml=bq_per_ml)
