"""Dose point kernels and the voxel kernels made from them.

A point kernel is written as the energy fraction deposited *within* a radius, so that lost energy is visible and local
deposition is the kernel that reaches 1 at radius 0.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from importlib import resources

import numpy as np
import numpy.typing as npt

from voxeldose.errors import GeometryError, InputError, QuantityError
from voxeldose.radionuclide import JOULE_PER_MEV

__all__ = ["DEFAULT_REACH_MM", "PointKernel", "VoxelKernel", "point_kernel", "voxelise"]

#: Radius in water at which voxel kernels end. 99.61 % of the energy lies inside; the rest is bremsstrahlung spread over
#: half a metre (about 1e-6 of the self-dose a voxel) and is reported as lost, never folded into the near field.
DEFAULT_REACH_MM = 12.0

#: Directions an octant is averaged over: Gauss-Legendre in cos(polar angle) and in azimuth. With 48 a weight above 1e-4
#: of the self weight is within 1e-3 of its limit at 2 mm voxels, 3e-4 at 4.8 mm, and the self weight within 2e-6.
_DIRECTIONS_PER_ANGLE = 48

FloatVector = npt.NDArray[np.float64]

_TABLES = {
    "y90-water": (
        0.93334,
        1.0,
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
        Fraction of ``mev_per_decay`` deposited within each radius, rising from 0 towards 1; linear in between.
    mev_per_decay : float
        Mean energy emitted per decay in MeV.
    density_g_per_ml : float
        Density of the medium.
    source : str
        Who computed or measured it, and how.
    sha256 : str
        Hash of the table it was read from.

    Raises
    ------
    QuantityError
        If radii or fractions do not rise, or more energy is deposited than emitted.
    """

    radius_mm: FloatVector
    energy_fraction_within: FloatVector
    mev_per_decay: float
    density_g_per_ml: float
    source: str
    sha256: str = ""

    def __post_init__(self) -> None:
        radius = np.array(self.radius_mm, np.float64)
        within = np.array(self.energy_fraction_within, np.float64)
        if radius.ndim != 1 or radius.shape != within.shape or radius.size < 2 or radius[0] != 0 or within[0] != 0:
            msg = "A point kernel needs two equally long columns that begin at radius 0 with energy 0."
            raise QuantityError(msg)
        if (np.diff(radius) <= 0).any() or (np.diff(within) < 0).any() or within[-1] > 1 + 1e-6:
            msg = (
                "A point kernel's radii must rise and its energy within a radius must not fall nor exceed 1; "
                f"found {within[-1]:.6f} at {radius[-1]} mm."
            )
            raise QuantityError(msg)
        if not (self.mev_per_decay > 0 and self.density_g_per_ml > 0):
            msg = (
                f"A point kernel needs energy and density above 0, found {self.mev_per_decay}, {self.density_g_per_ml}."
            )
            raise QuantityError(msg)
        for array, name in ((radius, "radius_mm"), (within, "energy_fraction_within")):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def within(self, radius_mm: float) -> float:
        """Energy fraction deposited within a radius."""
        return float(np.interp(radius_mm, self.radius_mm, self.energy_fraction_within))

    def with_energy(self, mev_per_decay: float) -> PointKernel:
        """The same shape with another energy per decay: how a run makes kernel and K agree."""
        return replace(self, mev_per_decay=mev_per_decay)

    def in_density(self, density_g_per_ml: float) -> PointKernel:
        """The kernel of the same material at another density: radii scale with 1/ρ, ``D_ρ(r) = ρ² D_w(ρ r)``."""
        ratio = self.density_g_per_ml / density_g_per_ml
        return replace(self, radius_mm=self.radius_mm * ratio, density_g_per_ml=density_g_per_ml)


@dataclass(frozen=True, eq=False)
class VoxelKernel:
    """Mean dose in each voxel around a voxel that is uniformly filled with decays.

    Parameters
    ----------
    energy_fraction : ndarray, odd sizes (mk, mj, mi)
        Part of the emitted energy deposited in each voxel; the source is the middle one.
    spacing_mm : tuple of float
        Voxel size ``(k, j, i)``.
    mev_per_decay, density_g_per_ml : float
        As in the point kernel it was made from.
    reach_mm : float
        Radius at which the point kernel was cut.
    source : str
        As in the point kernel.
    """

    energy_fraction: FloatVector
    spacing_mm: tuple[float, float, float]
    mev_per_decay: float
    density_g_per_ml: float
    reach_mm: float
    source: str

    @property
    def fraction_outside(self) -> float:
        """Part of the emitted energy that is deposited beyond the kernel's reach."""
        return 1.0 - float(self.energy_fraction.sum())

    @property
    def gy_per_decay(self) -> FloatVector:
        """Voxel S values in Gy per decay, that is Gy/(Bq·s); times 1e9 they are mGy/(MBq·s)."""
        mass_kg = self.density_g_per_ml * math.prod(self.spacing_mm) * 1e-6
        return np.asarray(self.energy_fraction * (self.mev_per_decay * JOULE_PER_MEV / mass_kg))


def point_kernel(name: str = "y90-water") -> PointKernel:
    """A point kernel that ships with voxeldose.

    Parameters
    ----------
    name : str
        ``y90-water``: our own Monte Carlo result with its own 0.93334 MeV a decay; provenance in
        ``voxeldose/tables/README.md``.

    Raises
    ------
    InputError
        For another name.
    """
    if name not in _TABLES:
        msg = f"There is no point kernel {name!r}; voxeldose ships {', '.join(_TABLES)}."
        raise InputError(msg)
    energy, density, source = _TABLES[name]
    raw = (resources.files("voxeldose") / "tables" / f"{name}.csv").read_bytes()
    table = np.loadtxt(raw.decode().splitlines(), delimiter=",", skiprows=1, usecols=(1, 2))
    return PointKernel(
        np.concatenate(([0.0], table[:, 0])),
        np.concatenate(([0.0], np.cumsum(table[:, 1]))),
        energy,
        density,
        source,
        hashlib.sha256(raw).hexdigest(),
    )


def voxelise(
    kernel: PointKernel,
    spacing_mm: tuple[float, float, float],
    *,
    density_g_per_ml: float | None = None,
    reach_mm: float = DEFAULT_REACH_MM,
) -> VoxelKernel:
    """Integrate a point kernel over a source voxel and over every target voxel around it.

    The energy that a uniformly filled voxel leaves in the voxel at offset ``n`` is
    ``f(n) = ∫ dF(r) ⟨Π tri(r u/a - n)⟩`` with ``tri(t) = max(0, 1 - |t|)``, averaged over directions ``u``: the six-fold
    integral over pairs of points reduced to one over their difference. It is taken over the table's shells (energy
    uniform in radius inside a shell, two Gauss points) and over a fixed set of directions. There is no singularity, all
    terms are positive, and the sum over all voxels is exactly the energy within the reach.

    Parameters
    ----------
    kernel : PointKernel
        Made for any density.
    spacing_mm : tuple of float
        Voxel size ``(k, j, i)``; any aspect ratio.
    density_g_per_ml : float, optional
        Density of the medium; the kernel's own without it.
    reach_mm : float
        Radius in water (times ρ: the same mass thickness) at which the kernel ends.

    Returns
    -------
    VoxelKernel
        With odd sizes. Discretisation error: see the module's ``_DIRECTIONS_PER_ANGLE``.

    Raises
    ------
    GeometryError
        If a spacing is not positive.
    QuantityError
        If the density or the reach is not positive.
    """
    spacing = np.asarray(spacing_mm, np.float64)
    if spacing.shape != (3,) or not (np.isfinite(spacing).all() and (spacing > 0).all()):
        msg = f"A voxel needs three positive spacings in mm, found {spacing_mm}."
        raise GeometryError(msg)
    density = kernel.density_g_per_ml if density_g_per_ml is None else density_g_per_ml
    if not (math.isfinite(density) and density > 0 and reach_mm > 0):
        msg = f"Density and reach must be positive, found {density} g/mL and {reach_mm} mm."
        raise QuantityError(msg)
    kernel = kernel.in_density(density)
    reach = min(reach_mm / density, float(kernel.radius_mm[-1]))
    octant = _octant_weights(*_shell_points(kernel, reach), spacing, reach)
    folded = octant.copy()
    for axis in range(3):  # an off-axis voxel shares the octant's energy with its mirror image
        away = [slice(None)] * 3
        away[axis] = slice(1, None)
        folded[tuple(away)] /= 2
    whole = folded
    for axis in range(3):
        whole = np.concatenate((np.flip(np.delete(whole, 0, axis), axis), whole), axis)
    size = (float(spacing[0]), float(spacing[1]), float(spacing[2]))
    return VoxelKernel(whole, size, kernel.mev_per_decay, density, reach, kernel.source)


def _shell_points(kernel: PointKernel, reach_mm: float) -> tuple[FloatVector, FloatVector]:
    """Radii and energies of two Gauss points a shell, the last shell cut at the reach."""
    edges = np.append(kernel.radius_mm[kernel.radius_mm < reach_mm], reach_mm)
    energy = np.diff(np.interp(edges, kernel.radius_mm, kernel.energy_fraction_within))
    middle, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    gauss = 1 / math.sqrt(3)
    return np.concatenate((middle - gauss * half, middle + gauss * half)), np.concatenate((energy, energy)) / 2


def _octant_weights(radius: FloatVector, energy: FloatVector, spacing: FloatVector, reach_mm: float) -> FloatVector:
    """Share the energy at every radius and octant direction among the eight voxels around that point."""
    nodes, weights = np.polynomial.legendre.leggauss(_DIRECTIONS_PER_ANGLE)
    nodes, weights = (nodes + 1) / 2, weights / 2
    sine, azimuth = np.sqrt(1 - nodes**2)[:, None], np.pi / 2 * nodes
    toward = (np.repeat(nodes, nodes.size), (sine * np.cos(azimuth)).ravel(), (sine * np.sin(azimuth)).ravel())
    share = energy[:, None] * np.outer(weights, weights).ravel()
    shape = (np.floor(reach_mm / spacing) + 2).astype(int)
    place = [radius[:, None] * (u / a) for u, a in zip(toward, spacing, strict=True)]
    first = [p.astype(np.int32) for p in place]
    beyond = [p - f for p, f in zip(place, first, strict=True)]
    base = (first[0] * shape[1] + first[1]) * shape[2] + first[2]
    total = np.zeros(int(shape.prod()))
    for k in (0, 1):
        in_k = share * (beyond[0] if k else 1 - beyond[0])
        for j in (0, 1):
            in_j = in_k * (beyond[1] if j else 1 - beyond[1])
            for i in (0, 1):
                voxel = base + ((k * shape[1] + j) * shape[2] + i)
                weight = in_j * (beyond[2] if i else 1 - beyond[2])
                total += np.bincount(voxel.ravel(), weight.ravel(), minlength=total.size)
    return total.reshape(shape)
