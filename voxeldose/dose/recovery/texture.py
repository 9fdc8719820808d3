"""How strong noise and texture are, from the image itself: moments of the residual of flat regions in three bands.

What noise and texture of unit strength would give is found by putting simulated images through the same fit, so that the
degrees of freedom that the fit takes are right. Non-negative least squares over all bands and regions then tell them apart:
noise is in all bands, texture only where the blur lets it through.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.recovery.field import SCALES_MM
from voxeldose.dose.recovery.spectra import apply

if TYPE_CHECKING:
    from collections.abc import Callable

    from voxeldose.dose.recovery.field import FieldModel, Linear, State
    from voxeldose.model.arrays import Doubles, Floats, Mask

__all__ = ["LEAST_LEVEL", "Strengths", "first_noise", "measure"]

#: Gaussian widths that part the bands, mm, and about how much volume makes one independent sample in each, mL.
BANDS_MM, SAMPLE_ML = (14.0, 6.0), (3.0, 0.5, 0.1)
#: Prior of the squared coefficient of variation at each scale, its standard deviation, and the largest taken.
PRIOR_POWER, PRIOR_POWER_SD, MOST_POWER = (0.09, 0.03), (0.25, 0.08), 1.5
#: Variance of white noise relative to that which neighbours share: prior, its standard deviation, least taken.
WHITE, WHITE_SD, LEAST_WHITE = 0.02, 0.1, 0.01
#: Tissue and outside that tell the noise's floor are at least so large, mL; and what it may be.
FLOOR_ML, FLOORS = 20.0, (0.02, 1.0)
#: An image has at least so much noise: below it stands what voxels and outlines leave open.
LEAST_LEVEL = 0.02
#: Relative standard deviation of the squared noise level about that of the finest band.
LEVEL_SD = 0.3
#: Simulated images; regions smaller or weaker than this say nothing.
SIMULATIONS, LEAST_ML, LEAST_MEAN = 4, 0.3, 0.05
#: A tissue's voxels count where it fills the blurred voxel.
FILLED = 0.97
#: Power of regions that cannot have any.
NONE_SD = 1e-4


@dataclass(frozen=True, eq=False)
class Strengths:
    """Noise level and power of the texture.

    Parameters
    ----------
    noise_level : float
        Standard deviation of a voxel at the reference activity.
    white_part : float
        Variance of noise that no neighbour shares, relative to that.
    power, power_sd : ndarray, (2, n)
        Squared coefficient of variation of every region at each scale, and its standard deviation.
    """

    noise_level: float
    white_part: float
    power: Doubles
    power_sd: Doubles

    def only_in(self, chosen: Mask, state: State) -> Strengths:
        """These powers in the chosen regions, and a state's in all others, with its noise."""
        power = np.where(chosen, self.power, state.power)
        return replace(self, power=power, noise_level=state.noise_level, white_part=state.white_part)

    def applied_to(self, state: State) -> State:
        """A state with these strengths."""
        return replace(state, power=self.power, noise_level=self.noise_level, white_part=self.white_part)


@dataclass(frozen=True, eq=False)
class _Bands:
    """Mean squares of residuals by band and region."""

    model: FieldModel
    linear: Linear
    spectra: tuple[Floats, ...]
    weights: list[Floats]
    columns: Floats
    weighted: Floats
    inverse: Doubles

    @classmethod
    def of(cls, model: FieldModel, linear: Linear, noise_level: float) -> _Bands:
        scan = model.scan
        coarse, middle = (scan.lattice.gaussian((b,) * 3) for b in BANDS_MM)
        images = [c.whole(scan.shape) for c in linear.flat]
        weights = []
        for kind, image in zip(model.kinds, images, strict=True):
            v = np.where(scan.measured, image, np.float32(0))
            weights.append(v**2 if kind in ("lesion", "core") else np.where(v > FILLED, v, np.float32(0)))
        moved = [c.whole(scan.shape) for c in linear.moved]
        columns = np.asarray(np.stack([i.ravel() for i in (*images, *moved)]), np.float32)
        weighted = np.asarray(columns / np.square(linear.unit_deviation).ravel(), np.float32)
        prior = np.concatenate((np.full(len(images), 1e-9), 1 / (model.motion_sd * noise_level) ** 2))
        inverse = np.asarray(np.linalg.inv((weighted @ columns.T).astype(np.float64) + np.diag(prior)), np.float64)
        return cls(model, linear, (coarse, middle - coarse, 1 - middle), weights, columns, weighted, inverse)

    def fitted(self, image: Floats) -> Doubles:
        """Factors of the columns in an image."""
        return np.asarray(self.inverse @ (self.weighted @ image.ravel()))

    def of_image(self, image: Floats) -> Doubles:
        """Mean squares of an image's residual, (3, n), in units of the noise at a level of 1."""
        rest = image.ravel() - self.fitted(image).astype(np.float32) @ self.columns
        scaled = np.asarray(rest.reshape(image.shape) / self.linear.unit_deviation, np.float32)
        found = []
        for spectrum in self.spectra:
            square = np.square(apply(scaled, spectrum))
            found.append([float(np.vdot(w, square)) / max(float(w.sum(dtype=np.float64)), 1e-9) for w in self.weights])
        return np.array(found)


def first_noise(model: FieldModel, state: State, linear: Linear, random: np.random.Generator) -> tuple[float, float]:
    """Noise level and floor from the finest band alone, where the blur leaves little texture.

    The variance outside all regions is that of the floor, and tissue of the reference has the floor's and its own. Where either is
    too small to tell, the floor stays as it was.
    """
    bands = _Bands.of(model, linear, state.noise_level)
    volumes = np.array([w.sum(dtype=np.float64) for w in bands.weights]) * model.scan.lattice.voxel_ml
    ratio = bands.of_image(model.scan.image)[2] / np.maximum(bands.of_image(_noise(model, linear, random))[2], 1e-12)
    inside = np.where([kind == "outside" for kind in model.kinds], 0, volumes)
    floor = model.scan.noise.floor
    tissue = np.where((np.abs(state.means - 1) < 0.5) & (np.array(model.kinds) == "tissue"), volumes, 0)
    if tissue.sum() > FLOOR_ML and volumes[-1] > FLOOR_ML and state.means[-1] < LEAST_MEAN:
        warm = float((tissue * ratio).sum() / tissue.sum()) * (1 + floor)
        cold = float(ratio[-1]) * floor
        floor = float(np.clip(cold / max(warm - cold, 1e-9), *FLOORS))
        return max(float(np.sqrt(warm / (1 + floor))), LEAST_LEVEL), floor
    weight = inside if inside.sum() > 0 else volumes
    return max(float(np.sqrt((weight * ratio).sum() / max(weight.sum(), 1e-9))), LEAST_LEVEL), floor


def measure(model: FieldModel, state: State, linear: Linear, random: np.random.Generator) -> Strengths:
    """Noise level and texture of every region, from the residual of flat regions at a state's outlines."""
    bands = _Bands.of(model, linear, state.noise_level)
    n = len(model.names)
    means = np.maximum(bands.fitted(model.scan.image)[:n], 0)
    amplitude = np.zeros(model.scan.shape, np.float32)
    for mean, occupancy in zip(means, linear.occupancy, strict=True):
        amplitude += np.float32(mean) * occupancy

    def usual(make: Callable[[], Floats]) -> Doubles:
        return np.asarray(np.mean([bands.of_image(make()) for _ in range(SIMULATIONS)], axis=0))

    expected = _Expected(
        usual(lambda: _noise(model, linear, random)),
        usual(lambda: linear.unit_deviation * random.standard_normal(model.scan.shape, np.float32)),
        [usual(lambda s=s: _texture(model, amplitude, s, random)) for s in range(len(SCALES_MM))],  # type: ignore[misc]
    )
    volumes = np.array([w.sum(dtype=np.float64) * model.scan.lattice.voxel_ml for w in bands.weights])
    silent = np.array([name == "outside" for name in model.kinds]) | (means < LEAST_MEAN)
    use = (volumes >= LEAST_ML) & (means >= LEAST_MEAN)
    observed = bands.of_image(model.scan.image)
    rows, right = _rows_of_bands(expected, observed, np.where(use, volumes, 0), state.first_level**2)
    more, wanted = _rows_of_priors(silent, state.first_level**2)
    return _non_negative(np.array(rows + more), np.array(right + wanted), (len(SCALES_MM), n))


@dataclass(frozen=True, eq=False)
class _Expected:
    """Mean squares, (3, n), that noise alike between neighbours, white noise and texture of unit strength would give."""

    noise: Doubles
    white: Doubles
    texture: list[Doubles]


def _rows_of_bands(
    expected: _Expected, observed: Doubles, volumes: Doubles, square: float
) -> tuple[list[Doubles], list[float]]:
    """One equation for each band and region that has a volume, divided by its standard deviation."""
    n, scales = volumes.size, len(expected.texture)
    rows, right = [], []
    for b, sample in enumerate(SAMPLE_ML):
        for k in np.flatnonzero(volumes):
            textures = [t[b, k] for t in expected.texture]
            sum_usual = square * expected.noise[b, k] + sum(p * t for p, t in zip(PRIOR_POWER, textures, strict=True))
            size = max(
                sum_usual, float(observed[b, k])
            )  # a cold core is far more than usual, and must not bend the noise
            sd = size * np.sqrt(2 / max(volumes[k] / sample, 0.7)) + 0.05 * size
            row = np.zeros(2 + scales * n)
            row[:2] = expected.noise[b, k], expected.white[b, k]
            row[[2 + s * n + k for s in range(scales)]] = textures
            rows.append(row / sd)
            right.append(float(observed[b, k] / sd))
    return rows, right


def _rows_of_priors(silent: Mask, square: float) -> tuple[list[Doubles], list[float]]:
    """One weak equation for each unknown."""
    n, scales = silent.size, len(SCALES_MM)
    rows, right = [], []

    def add(place: int, value: float, sd: float) -> None:
        row = np.zeros(2 + scales * n)
        row[place] = 1 / sd
        rows.append(row)
        right.append(value / sd)

    add(0, square, LEVEL_SD * square)
    add(1, WHITE * square, WHITE_SD * square)
    for s in range(scales):
        for k in range(n):
            add(2 + s * n + k, 0.0 if silent[k] else PRIOR_POWER[s], NONE_SD if silent[k] else PRIOR_POWER_SD[s])
    return rows, right


def _non_negative(rows: Doubles, right: Doubles, shape: tuple[int, int]) -> Strengths:
    """Non-negative least squares, and what it says of its own error."""
    from scipy.optimize import nnls

    found, _ = nnls(rows, right)
    sd = np.sqrt(np.diag(np.linalg.inv(rows.T @ rows)))[2:].reshape(shape)
    power = np.clip(found[2:].reshape(shape), 0, MOST_POWER)
    square = max(float(found[0]), LEAST_LEVEL**2)
    white = min(max(float(found[1]) / square, LEAST_WHITE), 1.0)
    return Strengths(float(np.sqrt(square)), white, power, np.where(sd < 0.01, 0, sd))


def _noise(model: FieldModel, linear: Linear, random: np.random.Generator) -> Floats:
    """Noise at a level of 1."""
    white = random.standard_normal(model.scan.shape, np.float32)
    return np.asarray(linear.unit_deviation * apply(white, model.noise_spectrum))


def _texture(model: FieldModel, amplitude: Floats, scale: int, random: np.random.Generator) -> Floats:
    """Scan of a texture of unit power at one scale."""
    white = random.standard_normal(model.scan.shape, np.float32)
    return apply(amplitude * apply(white, model.field_spectra[scale]), model.scan.texture_blur)
