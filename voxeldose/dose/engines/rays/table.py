"""The table of rays that every source shares: where they start, where they go, what each carries.

One fixed table for all sources is what keeps the dose smooth: its errors cancel where activity is even.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.engines.voxelise import voxelise
from voxeldose.model.kernel import DEFAULT_REACH_MM, PointKernel

if TYPE_CHECKING:
    from voxeldose.model.arrays import Doubles, Integers

__all__ = [
    "END",
    "LONGEST_RAY_MM",
    "LUNG_G_PER_ML",
    "SOFT_TISSUE_G_PER_ML",
    "STEPS_PER_MM",
    "Bundle",
    "Lines",
    "bundles",
    "energy_table",
    "points",
    "rays_for",
]

#: Media in which the rays' shares are fitted, and between which the range factor falls.
LUNG_G_PER_ML, SOFT_TISSUE_G_PER_ML = 0.26, 1.05

#: Rays end after this length, even in air.
LONGEST_RAY_MM = 60.0

#: Water-equivalent mm per mm of what ends a ray: the layer around the grid, and voxels without density.
END = 1e9

#: Digital shift of the Sobol points: one of the best of several thousand in giving the exact energies across a plane and
#: into near voxels, in media of 1.05 and 0.26 g/mL and voxels of 1.5 to 4.8 mm, and of six the best on a liver and lung.
_SHIFT, _SHIFT_BITS = (56092, 48850, 18532, 49035, 36444), 16

#: Weights of the rays: layers are fitted down to this part of the dose deep in the source, with this ridge.
_FITTED_DOSE, _RIDGE = 0.003, 0.01

#: Rays per voxel, from this voxel size in mm on (cube root of the volume). Too few leave the first layers of lung next to a
#: liver several per cent wrong while the liver looks fine; benchmarks/bench_density.py has the errors.
_RAYS = ((2.5, 1024), (1.0, 512), (0.0, 256))

#: Table of the energy within a radius: steps per mm.
STEPS_PER_MM = 100


def points(number: int) -> Doubles:
    """Sobol points ``(number, 5)`` in the unit cube: two for the direction, three for the start.

    Each lies in the middle of its one of ``number`` equal steps in every coordinate. Direction numbers: Joe and Kuo 2008 (doi:10.1137/070709359).
    """
    bits = number.bit_length() - 1
    rows = [[1 << (bits - 1 - n) for n in range(bits)]]
    for degree, inner, start in ((1, 0, (1,)), (2, 1, (1, 3)), (3, 1, (1, 3, 1)), (3, 2, (1, 1, 1))):
        row = [m << (bits - 1 - n) for n, m in enumerate(start)][:bits]
        for n in range(degree, bits):
            row.append(row[n - degree] ^ (row[n - degree] >> degree))
            for q in range(1, degree):
                row[n] ^= (inner >> (degree - 1 - q) & 1) * row[n - q]
        rows.append(row)
    index = np.arange(number)
    points = np.zeros((number, 5), np.int64)
    for axis, row in enumerate(rows):
        points[:, axis] = (_SHIFT[axis] << bits) >> _SHIFT_BITS
        for n, value in enumerate(row):
            points[:, axis] ^= np.where(index >> n & 1, value, 0)
    return (points + 0.5) / number


def rays_for(spacing_mm: Doubles) -> int:
    """Rays that a voxel of this size takes."""
    size = float(np.prod(spacing_mm)) ** (1 / 3)
    return next(number for least, number in _RAYS if size >= least)


@dataclass(frozen=True, eq=False)
class Lines:
    """Rays of one octant from all over the source voxel, up to the longest ray.

    ``start`` (rays, 3) in voxels; ``speed`` (rays, 3) in voxels a mm; ``chord`` and ``leaving`` (rays,), mm of the whole
    line in the source voxel and from the start on; ``steps`` (rays, voxels, 3) and ``length`` (rays, voxels), voxels from
    the source and mm in each voxel crossed after it, of which the first ``count`` (rays,) are within the longest ray.
    """

    start: Doubles
    speed: Doubles
    chord: Doubles
    leaving: Doubles
    steps: Integers
    length: Doubles
    count: Integers


def trace(points: Doubles, spacing_mm: Doubles) -> Lines:
    """Follow each ray from its start through the voxels of the first octant."""
    cosine, azimuth, start = points[:, 0], points[:, 1] * (math.pi / 2), points[:, 2:]
    sine = np.sqrt(1 - cosine**2)
    speed = np.stack((cosine, sine * np.cos(azimuth), sine * np.sin(azimuth)), axis=1) / spacing_mm
    planes = np.arange(1, math.ceil(LONGEST_RAY_MM / float(spacing_mm.min())) + 3)
    crossed = ((planes - start[:, :, None]) / speed[:, :, None]).reshape(len(points), -1)
    order = np.argsort(crossed, axis=1, kind="stable")
    at = np.take_along_axis(crossed, order, axis=1)
    count = (at < LONGEST_RAY_MM).sum(axis=1)
    most = int(count.max())
    steps = np.cumsum(np.eye(3, dtype=np.int64)[order[:, :most] // planes.size], axis=1)
    before = (start / speed).min(axis=1)
    return Lines(start, speed, before + at[:, 0], at[:, 0], steps, np.diff(at[:, : most + 1], axis=1), count)


def energy_table(kernel: PointKernel, longest_chord: float) -> Doubles:
    """Energy within a radius in water and its integral, far enough beyond the reach for the longest chord."""
    steps = math.ceil((DEFAULT_REACH_MM + longest_chord) * STEPS_PER_MM) + 2
    radius = np.minimum(np.arange(steps) / STEPS_PER_MM, DEFAULT_REACH_MM)
    within = np.interp(radius, kernel.radius_mm * kernel.density_g_per_ml, kernel.energy_fraction_within)
    integral = np.concatenate(([0.0], np.cumsum((within[1:] + within[:-1]) / 2))) / STEPS_PER_MM
    return np.stack((within, integral))


@dataclass(frozen=True, eq=False)
class Bundle:
    """Rays from one part of a source voxel into some octants.

    ``part`` (3,), which part of the voxel they start in; ``octants`` (n, 3), signs of their directions; ``share`` (rays,),
    part of the voxel's emission on each ray in each octant; ``lines``, through lattice voxels as large as the part.
    """

    part: Integers
    octants: Integers
    share: Doubles
    lines: Lines


def bundles(
    kernel: PointKernel, voxel_mm: Doubles, parts: tuple[int, int, int], number: int, table: Doubles
) -> list[Bundle]:
    """Rays of a source voxel that is a block of parts, each as large as the voxels of the lattice that they cross.

    ``number`` rays start in each part, and no two parts send theirs in the same directions. What starts in one part starts,
    mirrored, in another into the other octants.
    """
    cut, count, each = np.array(parts), math.prod(parts), number // 8
    all_points = points(1 << (each * count - 1).bit_length())
    octants = np.array(list(itertools.product((1, -1), repeat=3)))
    found = []
    for n, one in enumerate(np.ndindex(parts)):
        lines = trace(all_points[n * each : (n + 1) * each], voxel_mm / cut)  # a digital net in itself
        share = shares(kernel, voxel_mm / cut, table, lines) / count
        places = np.where(octants > 0, one, cut - 1 - one)
        found += [
            Bundle(place, octants[(places == place).all(axis=1)], share, lines) for place in np.unique(places, axis=0)
        ]
    return found


def shares(kernel: PointKernel, spacing_mm: Doubles, table: Doubles, lines: Lines) -> Doubles:
    """Part of the emission on each ray: nearly equal, so that rays meet what is known exactly.

    A few rays give the layers some mm into a lung several per cent too little or too much, the same all along its
    surface, and a hot voxel one per cent. The least change of equal parts (ridge regression) is taken that brings these
    to their exact values: each layer of soft tissue or lung next to a half-space with activity of either, across each
    axis, and in soft tissue the source voxel and its neighbours.

    A flat source of depth ``s`` sends ``∫ dF(r) max(0, 1 - (s + T)/r) / 2`` beyond a further ``T`` (all in mm of water),
    a half-space ``A(T) = ∫ dF(r) max(0, r - T)² / 4r`` a unit of its depth.
    """
    number = len(lines.chord)
    rows, known = [np.full(number, 30.0)], [30.0]  # the sum, well above any other
    radius = (np.arange(table.shape[1] - 1) + 0.5) / STEPS_PER_MM
    share = np.diff(table[0]) / (4 * radius)
    for source, target in itertools.product((SOFT_TISSUE_G_PER_ML, LUNG_G_PER_ML), repeat=2):
        for axis, spacing in enumerate(spacing_mm):
            planes = np.arange(1, math.ceil(DEFAULT_REACH_MM / (source * spacing)) + 2)[:, None]
            border = source * ((planes - lines.start[:, axis]) / lines.speed[:, axis] - lines.leaving)
            across = target / lines.speed[:, axis]
            left = _average(table, border, source * lines.chord)
            above = float((share * radius**2).sum())
            for layer in itertools.count(1):
                below = float((share * np.maximum(radius - layer * target * spacing, 0) ** 2).sum())
                exact = 2 * (above - below) / (source * spacing)  # both ways: the octants are folded into one
                if exact < 2 * _FITTED_DOSE * target / source:
                    break
                further = _average(table, border + layer * across, source * lines.chord)
                rows.append((further - left).sum(axis=0) / exact)
                known.append(1.0)
                left, above = further, below
    tau = SOFT_TISSUE_G_PER_ML
    path = np.concatenate((np.zeros((number, 1)), np.cumsum(lines.length * tau, axis=1)), axis=1)
    energy = np.diff(_average(table, path, tau * lines.chord[:, None]), axis=1, prepend=0.0)
    voxel = np.concatenate((np.zeros((number, 1, 3), np.int64), lines.steps), axis=1)
    exact_kernel = voxelise(
        kernel, (float(spacing_mm[0]), float(spacing_mm[1]), float(spacing_mm[2])), density_g_per_ml=tau
    ).energy_fraction
    for near in itertools.product((0, 1), repeat=3):
        if sum(near) < 3:
            at = tuple(n // 2 + step for n, step in zip(exact_kernel.shape, near, strict=True))
            fraction = float(exact_kernel[at]) * 2 ** sum(near)
            rows.append(np.where((voxel == near).all(axis=2), energy, 0.0).sum(axis=1) / fraction)
            known.append(1.0)
    a = np.array(rows) / number
    missing = np.array(known) - a.sum(axis=1)
    change = a.T @ np.linalg.solve(a @ a.T + _RIDGE / number * np.eye(len(a)), missing)
    weights = np.maximum(1 + change, 0)
    return np.asarray(np.round(weights / weights.sum(), 12) / 8)


def _average(table: Doubles, path: Doubles, chord: Doubles) -> Doubles:
    """Energy left on a path beyond the source voxel, starts averaged along the chord: ``H`` of ``_compiled.rays``."""
    near, far = (np.interp(p * STEPS_PER_MM, np.arange(table.shape[1]), table[1]) for p in (path, path + chord))
    short = np.interp((path + chord / 2) * STEPS_PER_MM, np.arange(table.shape[1]), table[0])
    average = np.where(chord < 0.5, short, (far - near) / np.maximum(chord, 0.5))
    return np.asarray(np.where(path >= DEFAULT_REACH_MM, table[0, -1], average))
