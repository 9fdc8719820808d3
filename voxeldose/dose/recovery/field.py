"""The model of the field method: sharp regions with unknown means, places and outlines, and an unknown texture in each.

``x = Σ_k m_k(θ) μ_k exp(c1_k g1 + c2_k g2 - (c1_k² + c2_k²)/2)`` on fine voxels, where ``m_k`` is the occupancy of region k after
its motion θ, ``μ_k`` its mean activity and ``g1``, ``g2`` are unit Gaussian fields of two correlation lengths on the image's
voxels. The scan is ``y = P B x + n`` with correlated noise. Everything here is in units of the scan's reference.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.recovery.scan import Column
from voxeldose.dose.recovery.shapes import AT_REST, OUTSIDE, Motion, Partition
from voxeldose.dose.recovery.spectra import block_mean, upsample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.dose.recovery.scan import Scan
    from voxeldose.dose.recovery.shapes import Region
    from voxeldose.model.arrays import Doubles, Floats

__all__ = ["SCALES_MM", "FieldModel", "Linear", "Parameter", "State"]

#: Correlation of the texture's two fields, full width at half maximum, mm.
SCALES_MM = (8.0, 20.0)
#: Step of the central difference in an outline's place, mm.
STEP_MM = 0.5
#: Prior standard deviation of the boundary of a cold core, mm.
CORE_GROWTH_SD_MM = 1.5
#: Exponents of the texture are cut here.
LOWEST, HIGHEST = -6.0, 3.0


@dataclass(frozen=True)
class Parameter:
    """One unknown of an outline: its shift along an axis, or its growth (axis -1)."""

    region: str
    axis: int
    sd_mm: float


@dataclass(frozen=True, eq=False)
class State:
    """Where the fit stands.

    Parameters
    ----------
    means : ndarray, (n,)
        Mean activity of every region and of the outside.
    motion_mm : ndarray, (p,)
        Of every parameter.
    fields : tuple of ndarray
        The texture's unit fields on the image's box.
    power : ndarray, (2, n)
        Squared coefficient of variation of each region's texture at each scale.
    noise_level : float
        Standard deviation of a voxel at the reference activity, of the noise that neighbours share.
    white_part : float
        Variance of noise that no neighbour shares, relative to that.
    first_level : float
        The noise level that the finest band alone gave, where later ones start from.
    """

    means: Doubles
    motion_mm: Doubles
    fields: tuple[Floats, ...]
    power: Doubles
    noise_level: float
    white_part: float
    first_level: float

    @cached_property
    def strength(self) -> Doubles:
        """``c``, the standard deviation of the texture's logarithm, (2, n)."""
        total = self.power.sum(axis=0)
        factor = np.where(total > 0, log_variance(total) / np.maximum(total, 1e-9), 1)
        return np.sqrt(self.power * factor)


def log_variance(power: Doubles) -> Doubles:
    """``c²`` of ``exp(c g - c²/2)`` whose low frequencies have this power relative to those of ``g``.

    A Gaussian correlation to the n-th power has ``n^(-3/2)`` of its volume, so that the power is ``Σ c^(2n) / (n! n^1.5)``.
    """
    squares = np.linspace(0, 2, 2001)
    series, term = np.zeros_like(squares), np.ones_like(squares)
    for n in range(1, 9):
        term = term * squares / n
        series += term / n**1.5
    return np.interp(power, series, squares)


@dataclass(frozen=True, eq=False)
class FieldModel:
    """Scan, regions and priors.

    Parameters
    ----------
    scan : Scan
        In units of its reference.
    partition : Partition
        Regions and cores.
    parameters : tuple of Parameter
        Unknowns of outlines.
    prior_means, prior_sd : ndarray, (n,)
        Of the means of every region and of the outside.
    """

    scan: Scan
    partition: Partition
    parameters: tuple[Parameter, ...]
    prior_means: Doubles
    prior_sd: Doubles

    @cached_property
    def names(self) -> list[str]:
        """Of regions and the outside."""
        return self.partition.names

    @cached_property
    def kinds(self) -> list[str]:
        """``lesion``, ``core``, ``tissue`` or ``outside``."""
        return [r.kind for r in self.partition.regions] + [OUTSIDE]

    @cached_property
    def motion_sd(self) -> Doubles:
        """Prior standard deviation of every parameter, mm."""
        return np.array([p.sd_mm for p in self.parameters])

    @cached_property
    def noise_spectrum(self) -> Floats:
        """Correlation of the noise."""
        return self.scan.lattice.unit_noise(self.scan.noise.fwhm_mm)

    @cached_property
    def field_spectra(self) -> tuple[Floats, ...]:
        """Square roots of the prior spectra of the texture's fields."""
        return tuple(self.scan.lattice.unit_noise(s / np.sqrt(2)) for s in SCALES_MM)

    def with_scan(self, scan: Scan) -> FieldModel:
        """The same regions and priors with another blur."""
        return replace(self, scan=scan)

    def first_state(self, noise_level: float) -> State:
        """Prior means, no motion, no texture field yet."""
        fields = tuple(np.zeros(self.scan.shape, np.float32) for _ in SCALES_MM)
        power = np.full((len(SCALES_MM), len(self.names)), 0.04)
        white, motion = self.scan.noise.white, np.zeros(len(self.parameters))
        return State(self.prior_means.copy(), motion, fields, power, noise_level, white, noise_level)

    def motions(self, motion_mm: Doubles) -> dict[str, Motion]:
        """Every region's motion."""
        found: dict[str, Motion] = {}
        for parameter, value in zip(self.parameters, motion_mm, strict=True):
            now = found.get(parameter.region, AT_REST)
            if parameter.axis < 0:
                found[parameter.region] = replace(now, growth_mm=float(value))
            else:
                shift = list(now.shift_mm)
                shift[parameter.axis] = float(value)
                found[parameter.region] = replace(now, shift_mm=(shift[0], shift[1], shift[2]))
        return found

    def activity(self, state: State) -> tuple[Floats, Doubles]:
        """Activity on the fine box, and what each region holds of it: activity and number of voxels, (n, 2).

        Voxels on an edge hold two regions, so that a sum over an outline would mix them; these sums do not.
        """
        masks = self.partition.masks(self.motions(state.motion_mm))
        fields = [upsample(g, self.scan.factor) for g in state.fields]
        total = np.zeros(self.scan.fine.shape, np.float32)
        held = np.zeros((len(masks), 2))
        for n, mask in enumerate(masks):
            window = self._window(n)
            filled = mask[window] * texture_factor(state.strength[:, n], [f[window] for f in fields])
            filled *= np.float32(state.means[n])
            total[window] += filled
            held[n] = filled.sum(dtype=np.float64), mask[window].sum(dtype=np.float64)
        return total, held

    def linearise(self, state: State) -> Linear:
        """What the scan shows at a state, and how that changes."""
        scan, motions = self.scan, self.motions(state.motion_mm)
        masks = self.partition.masks(motions)
        used = [bool(row.max() > 0) for row in state.strength]
        fine = [upsample(g, scan.factor) if u else g for g, u in zip(state.fields, used, strict=True)]
        regions: list[Column] = []
        flat: list[Column] = []
        occupancy: list[Floats] = []
        gain = [np.zeros(scan.shape, np.float32) for _ in SCALES_MM]
        for n, mask in enumerate(masks):
            window = self._window(n)
            factor = texture_factor(state.strength[:, n], [f[window] for f in fine] if any(used) else [])
            plain = scan.column(mask[window], window) if n < len(masks) - 1 else _rest(flat, scan.shape)
            flat.append(plain)
            regions.append(plain if isinstance(factor, np.float32) else scan.column(mask[window] * factor, window))
            filled = block_mean(mask, scan.factor)
            occupancy.append(filled)
            amplitude = np.float32(max(state.means[n], 0)) * filled * texture_factor(state.strength[:, n], state.fields)
            for s, c in enumerate(state.strength[:, n]):
                if c > 0:
                    gain[s] += np.float32(c) * amplitude
        predicted = np.zeros(scan.shape, np.float32)
        for column, mean in zip(regions, state.means, strict=True):
            column.add_to(predicted, float(mean))
        moved = [self._change(n, state, fine) for n in range(len(self.parameters))]
        deviation = scan.unit_deviation(predicted)
        return Linear(masks, regions, flat, moved, occupancy, gain, predicted, deviation)

    def _window(self, n: int) -> tuple[slice, slice, slice]:
        """Of a region on the fine box: its own where it is small, else the whole."""
        if self.kinds[n] in ("lesion", "core"):
            return self.partition.regions[n].window
        k, j, i = (slice(0, size) for size in self.scan.fine.shape)
        return k, j, i

    def _change(self, number: int, state: State, fine: Sequence[Floats]) -> Column:
        """Change of the scan per mm of one parameter, by central difference."""
        window = self.partition.regions[self.names.index(self.parameters[number].region)].window
        step = np.zeros(len(self.parameters))
        step[number] = STEP_MM
        after = self.partition.masks(self.motions(state.motion_mm + step), window)
        before = self.partition.masks(self.motions(state.motion_mm - step), window)
        near = [f[window] for f in fine] if state.strength.any() else []
        change = np.zeros_like(after[0])
        for n, (more, less) in enumerate(zip(after, before, strict=True)):
            apart = more - less
            if not apart.any():
                continue
            apart *= np.float32(state.means[n])
            change += apart * texture_factor(state.strength[:, n], near)
        return self.scan.column(change / np.float32(2 * STEP_MM), window)


def _rest(columns: Sequence[Column], shape: tuple[int, int, int]) -> Column:
    """Scan of what lies outside all regions: 1 less that of the regions."""
    left = np.ones(shape, np.float32)
    for column in columns:
        column.add_to(left, -1.0)
    k, j, i = (slice(0, n) for n in shape)
    return Column((k, j, i), left)


def texture_factor(strength: Doubles, fields: Sequence[Floats]) -> Floats | np.float32:
    """Log-normal factor of mean 1 in one region; 1 where it has no texture."""
    if not strength.any() or not len(fields):
        return np.float32(1)
    exponent: Floats | np.float32 = np.float32(-float((strength**2).sum()) / 2)
    for c, field in zip(strength, fields, strict=True):
        if c > 0:
            exponent = exponent + np.float32(c) * field
    return np.exp(np.clip(exponent, np.float32(LOWEST), np.float32(HIGHEST)))


@dataclass(frozen=True, eq=False)
class Linear:
    """The model near a state, on the image's box.

    Parameters
    ----------
    masks : list of ndarray
        Occupancy of every region on the fine box.
    regions, flat : list of Column
        Scan of every region at a mean of 1, with its texture and without.
    moved : list of Column
        Change of the scan per mm of each parameter.
    occupancy : list of ndarray
        Of every region on the image's voxels.
    gain : list of ndarray
        What a texture field is multiplied with before the blur.
    predicted : ndarray
        The scan without noise.
    unit_deviation : ndarray
        Noise at a level of 1.
    """

    masks: list[Floats]
    regions: list[Column]
    flat: list[Column]
    moved: list[Column]
    occupancy: list[Floats]
    gain: list[Floats]
    predicted: Floats
    unit_deviation: Floats


def core_parameters(cores: Sequence[Region]) -> tuple[Parameter, ...]:
    """The growth of each cold core's boundary."""
    return tuple(Parameter(core.name, -1, CORE_GROWTH_SD_MM) for core in cores)
