"""Dose point kernels and the voxel kernels made from them.

A point kernel is written as the energy fraction deposited *within* a radius, so that lost energy is visible and local
deposition is the kernel that reaches 1 at radius 0.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.errors import InputError, QuantityError
from voxeldose.model.radionuclide import JOULE_PER_MEV

if TYPE_CHECKING:
    from voxeldose.model.arrays import Doubles

__all__ = ["DEFAULT_REACH_MM", "PointKernel", "VoxelKernel", "point_kernel"]

#: Radius in water at which voxel kernels end. 99.61 % of the energy lies inside; the rest is bremsstrahlung spread over
#: half a metre (about 1e-6 of the self-dose per voxel) and is reported as lost, never folded into the near field.
DEFAULT_REACH_MM = 12.0


#: Energy per decay in MeV, density in g/mL, medium, and source of each table.
_TABLES = {
    "y90-water": (
        0.93334,
        1.0,
        "water",
        "voxeldose Monte Carlo (PENELOPE-2018 physics), Y-90 in water, 9.65 million histories; voxeldose/tables/README.md",
    )
}


@dataclass(frozen=True, eq=False)
class PointKernel:
    """Energy deposited around a point source in an infinite uniform medium.

    Parameters
    ----------
    radius_mm : ndarray, (n,)
        Rising radii, the first 0.
    energy_fraction_within : ndarray, (n,)
        Fraction of ``mev_per_decay`` deposited within each radius, rising from 0 towards 1; in between the rising cubic
        of Fritsch and Butland 1984, doi:10.1137/0905021 (straight lines change small weights by up to 3e-4).
    mev_per_decay : float
        Mean energy emitted per decay in MeV.
    density_g_per_ml : float
        Density of the medium.
    source : str
        Who computed or measured it, and how.
    sha256 : str
        Hash of the table it was read from.
    medium : str
        What the table was computed in, such as ``water``; empty where nobody says.
    range_factor : float
        Range in g/cm² against that medium, by :meth:`with_range`; 1 as the table was read.

    Raises
    ------
    QuantityError
        If radii or fractions do not rise, or more energy is deposited than emitted.
    """

    radius_mm: Doubles
    energy_fraction_within: Doubles
    mev_per_decay: float
    density_g_per_ml: float
    source: str
    sha256: str = ""
    medium: str = ""
    range_factor: float = 1.0

    def __post_init__(self) -> None:
        radius = np.array(self.radius_mm, np.float64)
        within = np.array(self.energy_fraction_within, np.float64)
        if radius.ndim != 1 or radius.shape != within.shape or radius.size < 2 or radius[0] != 0 or within[0] != 0:
            msg = "A point kernel needs two equally long columns that begin at radius 0 with energy 0."
            raise QuantityError(msg, code="kernel-impossible")
        if (np.diff(radius) <= 0).any() or (np.diff(within) < 0).any() or within[-1] > 1 + 1e-6:
            msg = f"A point kernel's radii must rise and its energy not fall nor exceed 1; it ends at {within[-1]:.6f}."
            raise QuantityError(msg, code="kernel-impossible")
        if not (self.mev_per_decay > 0 and self.density_g_per_ml > 0):
            msg = f"A point kernel needs energy and density above 0: {self.mev_per_decay}, {self.density_g_per_ml}."
            raise QuantityError(msg, code="kernel-impossible")
        for array, name in ((radius, "radius_mm"), (within, "energy_fraction_within")):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def within(self, radius_mm: float) -> float:
        """Energy fraction deposited within a radius."""
        return float(self.at(np.array([radius_mm]))[0][0])

    def fraction_beyond(self, reach_mm: float) -> float:
        """Energy fraction that is not deposited within a radius in water (times ρ: the same mass thickness)."""
        return 1 - self.within(reach_mm / self.density_g_per_ml)

    def at(self, radius_mm: Doubles) -> tuple[Doubles, Doubles]:
        """Energy fraction deposited within each radius, and per mm of radius there, which is never negative."""
        width = np.diff(self.radius_mm)
        mean = np.diff(self.energy_fraction_within) / width
        weight = (1 + width[1:] / (width[:-1] + width[1:])) / 3
        below = weight * mean[1:] + (1 - weight) * mean[:-1]
        slope = np.concatenate((mean[:1], mean[:-1] * mean[1:] / np.where(below > 0, below, 1), mean[-1:]))
        inside = np.clip(radius_mm, 0, self.radius_mm[-1])
        n = np.clip(np.searchsorted(self.radius_mm, inside, side="right") - 1, 0, width.size - 1)
        t = (inside - self.radius_mm[n]) / width[n]
        bend, lean = slope[n] + slope[n + 1] - 2 * mean[n], mean[n] - slope[n]
        within = self.energy_fraction_within[n] + width[n] * t * (slope[n] + t * (lean - bend + t * bend))
        per_mm = np.maximum(slope[n] + t * (2 * (lean - bend) + 3 * t * bend), 0)
        return within, np.where(radius_mm > self.radius_mm[-1], 0, per_mm)

    def with_energy(self, mev_per_decay: float) -> PointKernel:
        """The same shape with another energy per decay: how a run makes kernel and K agree."""
        return replace(self, mev_per_decay=mev_per_decay)

    def in_density(self, density_g_per_ml: float) -> PointKernel:
        """The kernel of the same material at another density: radii scale with 1/ρ, ``D_ρ(r) = ρ² D_w(ρ r)``."""
        ratio = self.density_g_per_ml / density_g_per_ml
        return replace(self, radius_mm=self.radius_mm * ratio, density_g_per_ml=density_g_per_ml)

    def with_range(self, factor: float) -> PointKernel:
        """The kernel of a medium in which electrons go ``factor`` times as far in g/cm² as in this one.

        Four-component soft tissue is 1.0122 times water (``voxeldose/tables/README.md``), which is the density engine's
        default; ``Convolution(point_kernel().with_range(1.0122))`` agrees with it in uniform tissue to 1e-4. Against water
        scaled by density alone a 4 mm voxel then gets 1.0 % less from itself, its face neighbour 0.3 % less, its edge
        neighbour 0.8 % and the next voxel but one 4 % more.

        Raises
        ------
        QuantityError
            If the factor is not between 0.9 and 1.1: what differs more from water differs in more than range.
        """
        if not 0.9 <= factor <= 1.1:
            msg = f"A range factor lies near 1 (soft tissue against water 1.0122), found {factor}."
            raise QuantityError(msg, code="value-out-of-range", field="factor", found=factor)
        return replace(
            self,
            radius_mm=self.radius_mm * factor,
            source=f"{self.source}; range times {factor:g}",
            range_factor=self.range_factor * factor,
        )


@dataclass(frozen=True, eq=False)
class VoxelKernel:
    """Mean dose in each voxel around a voxel that is uniformly filled with decays.

    Parameters
    ----------
    energy_fraction : ndarray, odd sizes (mk, mj, mi)
        Part of the emitted energy deposited in each voxel; the source is the middle one.
    spacing_mm : tuple of float
        Voxel size ``(k, j, i)``.
    mev_per_decay, density_g_per_ml, source
        As in the point kernel it was made from.
    reach_mm : float
        Radius at which the point kernel was cut.
    medium, range_factor
        As in the point kernel.
    """

    energy_fraction: Doubles
    spacing_mm: tuple[float, float, float]
    mev_per_decay: float
    density_g_per_ml: float
    reach_mm: float
    source: str
    medium: str = ""
    range_factor: float = 1.0

    @property
    def fraction_outside(self) -> float:
        """Part of the emitted energy that is deposited beyond the kernel's reach."""
        return 1.0 - float(self.energy_fraction.sum())

    @property
    def gy_per_decay(self) -> Doubles:
        """Voxel S values in Gy per decay, that is Gy/(Bq·s); times 1e9 they are mGy/(MBq·s)."""
        mass_kg = self.density_g_per_ml * math.prod(self.spacing_mm) * 1e-6
        return np.asarray(self.energy_fraction * (self.mev_per_decay * JOULE_PER_MEV / mass_kg))


def point_kernel(name: str = "y90-water") -> PointKernel:
    """A point kernel that ships with voxeldose.

    Parameters
    ----------
    name : str
        ``y90-water``: our own Monte Carlo result with 0.93334 MeV per decay; see ``voxeldose/tables/README.md``.

    Raises
    ------
    InputError
        For another name.
    """
    if name not in _TABLES:
        msg = f"There is no point kernel {name!r}; voxeldose ships {', '.join(_TABLES)}."
        raise InputError(msg, code="name-unknown", found=name, known=tuple(_TABLES))
    energy, density, medium, source = _TABLES[name]
    raw = (resources.files("voxeldose") / "tables" / f"{name}.csv").read_bytes()
    table = np.loadtxt(raw.decode().splitlines(), delimiter=",", skiprows=1, usecols=(1, 2))
    radius, within = (np.concatenate(([0.0], column)) for column in (table[:, 0], np.cumsum(table[:, 1])))
    digest = hashlib.sha256(raw).hexdigest()
    return PointKernel(radius, within, energy, density, source, digest, medium)
