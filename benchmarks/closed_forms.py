"""Doses of uniform spheres and half spaces in closed form, sharp and blurred: sums over radius, no voxels, no engine.

All follow from two facts about a ball of radius ``R``. Of a sphere of radius ``r`` drawn around a point at distance ``s``
from the ball's centre the part ``(R² - (s - r)²) / 4 s r`` lies inside. Averaged over points of the ball that is
``1 - 3x/2 + x³/2`` with ``x = r / 2R`` up to 1. What takes energy or activity from one point to another — electrons, the blur
of a scanner, breathing — is written as weights over distances (:class:`Spread`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from voxeldose.model.kernel import PointKernel

    Floats = npt.NDArray[np.float64]

__all__ = [
    "Spread",
    "dose_in_sphere",
    "edge_level",
    "in_ball",
    "off_centre_fraction",
    "radius_of_dose",
    "sphere_fraction",
    "spread_of",
]


@dataclass(frozen=True, eq=False)
class Spread:
    """Distances (mm, all directions alike) and the part of energy or activity that goes so far."""

    distance_mm: Floats
    weight: Floats

    def blurred(self, sigma_mm: float) -> Spread:
        """After a Gaussian blur of that standard deviation along each axis.

        A shift by ``d`` and a Gaussian step end at distance ``t`` with density
        ``t / (d σ √2π) (exp(-(t-d)²/2σ²) - exp(-(t+d)²/2σ²))``; for ``d = 0`` it is Maxwell's.
        """
        if sigma_mm == 0:
            return self
        step = sigma_mm / 25
        last = float(self.distance_mm[self.weight > 1e-9].max()) + 6 * sigma_mm
        t = np.arange(step / 2, last, step)
        d = np.maximum(self.distance_mm, 1e-4 * sigma_mm)[:, None]
        near, far = np.exp(-(((t - d) / sigma_mm) ** 2) / 2), np.exp(-(((t + d) / sigma_mm) ** 2) / 2)
        density = t / (d * sigma_mm * math.sqrt(2 * math.pi)) * (near - far)
        return Spread(t, self.weight @ density * step)


def spread_of(kernel: PointKernel, density_g_per_ml: float = 1.0, reach_mm: float = math.inf) -> Spread:
    """Where a point kernel puts its energy, in parts of the emitted; ``reach_mm`` of water.

    Shells of the kernel's own table, their energy at their middle.
    """
    water = kernel.in_density(1.0)
    radius = water.radius_mm
    middle, energy = (radius[1:] + radius[:-1]) / 2, np.diff(water.energy_fraction_within)
    return Spread(middle[middle < reach_mm] / density_g_per_ml, energy[middle < reach_mm])


def sphere_fraction(radius_mm: float, spread: Spread) -> float:
    """Part of what starts evenly in a ball that ends in it: ``Σ w (1 - 3x/2 + x³/2)``, ``x = r / 2R < 1``."""
    x = np.minimum(spread.distance_mm / (2 * radius_mm), 1)
    return float((spread.weight * (1 - 1.5 * x + 0.5 * x**3)).sum())


def in_ball(radius_mm: float, centre_mm: Floats, shell_mm: Floats) -> Floats:
    """Part of each shell around points at distances ``centre_mm`` from a ball's centre that lies in the ball.

    Either the points (n, 1) and the shells (m,), or both of one shape; distances above 0.
    """
    part = (radius_mm**2 - (centre_mm - shell_mm) ** 2) / (4 * centre_mm * shell_mm)
    return np.clip(part, 0, 1)


def dose_in_sphere(radius_mm: float, at_mm: Floats, spread: Spread) -> Floats:
    """Dose at distances from the centre of a uniform sphere, in parts of the dose deep inside a large one."""
    s = np.maximum(np.asarray(at_mm, np.float64), 1e-6)
    return np.asarray(in_ball(radius_mm, s[..., None], spread.distance_mm) @ spread.weight)


def radius_of_dose(radius_mm: float, level: float, spread: Spread) -> float:
    """Distance from the centre inside which the dose is at least ``level``: dose falls from the centre outwards."""
    at = np.linspace(0, radius_mm, 4001)
    dose = dose_in_sphere(radius_mm, at, spread)
    return float(np.interp(-level, -dose, at, left=0.0, right=radius_mm))


def off_centre_fraction(radius_mm: float, inner_mm: float, apart_mm: float, spread: Spread) -> float:
    """Part of what starts evenly in a ball of ``inner_mm`` that ends in a ball of ``radius_mm``, centres apart."""
    s = np.linspace(max(apart_mm - inner_mm, 0), apart_mm + inner_mm, 402)
    s = (s[1:] + s[:-1]) / 2
    weight = s**2 * in_ball(inner_mm, np.full_like(s, apart_mm), s)
    return float((dose_in_sphere(radius_mm, s, spread) * weight).sum() / weight.sum())


def edge_level(depth_mm: float, spread: Spread) -> float:
    """Dose at a depth outside a half space of activity, in parts of that deep inside: ``Σ w ½ (1 - x/r)``."""
    beyond = spread.distance_mm > abs(depth_mm)
    leak = float((spread.weight[beyond] * 0.5 * (1 - abs(depth_mm) / spread.distance_mm[beyond])).sum())
    return leak if depth_mm >= 0 else float(spread.weight.sum()) - leak
