"""Figures of the density engine and of voxel S values against our own Monte Carlo (tables/README.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmarks.figures import Section
from benchmarks.monte_carlo_cases import LAYERS, MEDIA, MEV_PER_DECAY, S_VALUES, SPHERES, layer_table, s_value_table
from voxeldose.dose.engines.rays.transport import SOFT_TISSUE_RANGE, RayTransport
from voxeldose.dose.engines.voxelise import voxelise
from voxeldose.model.grid import Grid
from voxeldose.model.radionuclide import JOULE_PER_MEV, Y90
from voxeldose.model.volume import DecayMap, DensityMap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.figures import Figure
    from benchmarks.monte_carlo_cases import Layers, SphereCase
    from voxeldose.dose.engines.convolution import Convolution
    from voxeldose.dose.engines.local import LocalDeposition
    from voxeldose.model.kernel import PointKernel, VoxelKernel

__all__ = ["beside_lung", "layer_doses", "merged", "of_medium", "s_values_simulated", "sphere_dose"]

Floats = npt.NDArray[np.float64]

_SOURCE = "own Monte Carlo, PenRed (benchmarks/tables/README.md)"


def layer_doses(kernel: PointKernel, case: Layers, spacing_mm: float) -> tuple[Floats, Floats]:
    """Depths (mm) and doses of the density engine along the middle line, in parts of that deep in the active medium."""
    lateral_mm = 6.0 if spacing_mm < 3 else 4.0
    wide = round(108 / lateral_mm) | 1  # more than twice what betas reach in lung
    low, high = -32.0, 60.0
    n = round((high - low) / spacing_mm)
    depth = np.asarray(low + (np.arange(n) + 0.5) * spacing_mm, np.float64)
    grid = Grid.from_axes((n, wide, wide), (spacing_mm, lateral_mm, lateral_mm), (0, 0, 0))
    rho = np.where(depth < 0, MEDIA[case.below].g_per_ml, MEDIA[case.above].g_per_ml)
    active = ((depth < 0) == (case.active == case.below)) & (np.abs(depth) < case.active_mm)
    decays = np.zeros(grid.shape, np.float32)
    decays[active] = grid.voxel_volume_ml * 1e3
    density = DensityMap(np.broadcast_to(rho[:, None, None], grid.shape).astype(np.float32), grid)
    dose = RayTransport(kernel).dose(DecayMap(decays, grid, radionuclide=Y90), density).gy[:, wide // 2, wide // 2]
    deep = Y90.energy_mev * JOULE_PER_MEV / (MEDIA[case.active].g_per_ml * 1e-6)
    return depth, np.asarray(dose / deep, np.float64)


def merged(case: Layers, spacing_mm: float) -> list[tuple[float, float, float]]:
    """Depth, dose and its standard error of the table's layers of 0.5 mm, brought to thicker ones."""
    table = layer_table(case)
    layer = np.floor(table[:, 0] / spacing_mm)
    whole = [rows for rows in (table[layer == n] for n in np.unique(layer)) if len(rows) == round(spacing_mm / 0.5)]
    return [
        (rows[:, 0].mean(), rows[:, 1].mean(), float(np.sqrt((rows[:, 2] ** 2).sum())) / len(rows)) for rows in whole
    ]


def of_medium(kernel: PointKernel, medium: str, size_mm: tuple[float, float, float]) -> VoxelKernel:
    """Voxel kernel of a medium of the tables, with the range of tissue in tissue."""
    factor = SOFT_TISSUE_RANGE if medium == "soft" else 1.0
    return voxelise(kernel.with_range(factor), size_mm, density_g_per_ml=MEDIA[medium].g_per_ml, reach_mm=30)


def sphere_dose(
    case: SphereCase, tumor_to_normal: float, engine: RayTransport | Convolution | LocalDeposition
) -> tuple[Floats, Floats, Floats]:
    """Dose of an engine beside that of the table and its standard error, all for the energy of the table."""
    grid = Grid.from_axes(case.shape, (case.voxel_mm,) * 3, case.low_mm[::-1])
    density = DensityMap(case.density().astype(np.float32), grid)
    decays = case.mixed(tumor_to_normal, *(m / m.sum() for m in (case.sphere(), case.background())))
    found = engine.dose(
        DecayMap(decays.astype(np.float32), grid, radionuclide=Y90), density if engine.name != "dpk" else 1.04
    ).gy
    (hot, hot_error), (normal, normal_error) = case.table().values()
    dose = case.mixed(tumor_to_normal, hot, normal)
    zero = np.zeros_like(hot)
    error = np.hypot(*(case.mixed(tumor_to_normal, *e) for e in ((hot_error, zero), (zero, normal_error))))
    return np.asarray(found, np.float64) * (MEV_PER_DECAY / Y90.energy_mev), dose, np.asarray(error, np.float64)


def beside_lung(kernel: PointKernel) -> Iterator[Figure]:
    """Dose against depth on both sides of a liver and a lung, and of a hot sphere that touches the lung."""
    flat = Section("liver and lung in layers of 4 mm, density engine", _SOURCE)
    for case in (c for c in LAYERS if c.above == "lung"):
        depth, found = layer_doses(kernel, case, 4.0)
        for at, value, error in merged(case, 4.0):
            if abs(at) < 15 and value > 0.01:
                ours = float(found[np.abs(depth - at).argmin()])
                why = f"the goal is 3 %; noise of the table {100 * error / value:.1f} %"
                yield flat.relative(f"{case.active} active, {at:+g} mm", ours, value, 0.03, why)
    for sphere in SPHERES:
        section = Section(f"hot sphere in liver ({sphere.name}), density engine", _SOURCE)
        ours_gy, dose, _ = sphere_dose(sphere, 10.0, RayTransport(kernel))
        media = sphere.media_of_voxels()
        for n, medium in enumerate(sphere.media):
            seen = (media == n) & (dose > 0.02 * dose.max())
            if seen.sum() < 10:
                continue
            why = "mean over voxels above 2 % of the maximum; straight rays give lung above the sphere 3 % too much"
            yield section.relative(medium, float(ours_gy[seen].mean()), float(dose[seen].mean()), 0.03, why, "Gy")


def s_values_simulated(kernel: PointKernel) -> Iterator[Figure]:
    """What a voxel and its nearest neighbours get."""
    for medium, size_mm in S_VALUES:
        section = Section(f"voxel S values, {medium} {MEDIA[medium].g_per_ml:g} g/mL", _SOURCE)
        made = of_medium(kernel, medium, size_mm)
        middle = np.array(made.energy_fraction.shape) // 2
        for offset, (value, error) in s_value_table(medium, size_mm).items():
            if max(offset) < 2:
                found = float(made.energy_fraction[tuple(middle + offset)])
                name = f"{' x '.join(f'{s:g}' for s in size_mm)} mm, offset {''.join(map(str, offset))}"
                noise = error / value
                why = f"0.5 % and three standard errors of the table ({100 * noise:.1f} %)"
                yield section.relative(name, found, value, 0.005 + 3 * noise, why, "of the energy")
