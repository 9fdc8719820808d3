"""Sources and media that the tests of rays share."""

import numpy as np

from voxeldose.dose.engines.rays.transport import RayTransport
from voxeldose.model.grid import Grid
from voxeldose.model.kernel import point_kernel
from voxeldose.model.radionuclide import Y90
from voxeldose.model.volume import DecayMap, DensityMap

KERNEL = point_kernel()
GRID = Grid.from_axes((19, 17, 21), (4.0, 5.0, 3.5), (5, 6, 7))


def engine(**options):
    """Without the tail, which the exact kernel of 12 mm has not either."""
    return RayTransport(KERNEL, **{"tail_mm": 0, **options})


def decay_map(values, grid=GRID):
    return DecayMap(values, grid, radionuclide=Y90)


def blob(grid=GRID):
    """Sharp edges, a hot voxel and a cold one."""
    values = np.zeros(grid.shape, np.float32)
    part = tuple(slice(n // 3, n - n // 3) for n in grid.shape)
    values[part] = 1e11
    values[tuple(n // 2 for n in grid.shape)] = 1e12
    values[tuple(n // 2 + 1 for n in grid.shape)] = 0
    return decay_map(values, grid)


def density_map(value, grid=GRID):
    return DensityMap(np.broadcast_to(np.asarray(value, np.float32), grid.shape), grid)


def nearly_uniform(value, grid=GRID):
    """Uniform but for one far corner voxel, so that rays are taken."""
    values = np.full(grid.shape, value, np.float32)
    values[0, 0, 0] *= 0.9
    return DensityMap(values, grid)


def liver_and_lung(grid=GRID):
    values = np.full(grid.shape, 1.05, np.float32)
    values[: grid.shape[0] // 2] = 0.26
    values[:, : grid.shape[1] // 4] = 1.6
    return DensityMap(values, grid)


def energy_j(dose, density):
    rho = density.g_per_ml if isinstance(density, DensityMap) else density
    return float((dose.gy.astype(np.float64) * rho).sum()) * dose.grid.voxel_volume_ml * 1e-3
