"""Media, bodies and tables of our own Monte Carlo (tables/README.md), for who simulates and for who is compared.

Lengths in mm, axes ``(k, j, i)``. Needs NumPy alone, so that the simulation may live in an environment of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LAYERS", "MEDIA", "SPHERES", "S_VALUES", "Layers", "Medium", "SphereCase", "layer_table", "s_value_table"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]
Triple = tuple[float, float, float]

TABLES = Path(__file__).parent / "tables"

#: Mean energy of a decay in the tables, MeV.
MEV_PER_DECAY = 0.93334


@dataclass(frozen=True)
class Medium:
    """What a body is made of.

    Parameters
    ----------
    g_per_ml : float
    weights : dict
        Part of the mass by atomic number.
    mean_excitation_ev : float, optional
        Without it from the elements by the rule of ICRU 37.
    """

    g_per_ml: float
    weights: dict[int, float]
    mean_excitation_ev: float | None = None


_FOUR = {1: 0.101174, 6: 0.111, 7: 0.026, 8: 0.761826}

#: ICRU 44 liver, lung, adipose tissue and cortical bone; ICRU four-component soft tissue; water with ICRU 90's 78 eV.
MEDIA = {
    "water": Medium(1.0, {1: 0.111894, 8: 0.888106}, 78.0),
    "soft": Medium(1.04, _FOUR, 74.9),
    "liver": Medium(
        1.05, {1: 0.102, 6: 0.139, 7: 0.030, 8: 0.716, 11: 0.002, 15: 0.003, 16: 0.003, 17: 0.002, 19: 0.003}
    ),
    "lung": Medium(
        0.26, {1: 0.103, 6: 0.105, 7: 0.031, 8: 0.749, 11: 0.002, 15: 0.002, 16: 0.003, 17: 0.003, 19: 0.002}
    ),
    "fat": Medium(0.93, {1: 0.114, 6: 0.598, 7: 0.007, 8: 0.278, 11: 0.001, 16: 0.001, 17: 0.001}),
    "bone": Medium(
        1.9, {1: 0.034, 6: 0.155, 7: 0.042, 8: 0.435, 11: 0.001, 12: 0.002, 15: 0.103, 16: 0.003, 20: 0.225}
    ),
}


@dataclass(frozen=True)
class Layers:
    """Two half spaces that meet at depth 0, evenly active down to a depth on one side.

    What lies within ``near_mm`` of the border, the reach of betas, is simulated apart from the rest.
    """

    below: str
    above: str
    active: str
    near_mm: float
    active_mm: float

    @property
    def name(self) -> str:
        """As in the table."""
        return f"{self.below}-{self.above}"


LAYERS = (
    Layers("liver", "lung", "liver", 12.0, 30.0),
    Layers("liver", "lung", "lung", 15.0, 60.0),
    Layers("liver", "bone", "liver", 12.0, 30.0),
    Layers("liver", "fat", "liver", 12.0, 30.0),
)


@dataclass(frozen=True, eq=False)
class SphereCase:
    """A hot sphere of 20 mm made of voxels, in liver, beside other media.

    Parameters
    ----------
    name : str
    voxel_mm : float
        Side of the cubes.
    low_mm, shape
        First face and number of voxels of the image.
    centre_mm : tuple
        Of the sphere: voxels whose middle lies within 10 mm of it.
    media : tuple of str
    medium : callable
        Index into ``media`` at points ``(k, j, i)``.
    block_mm, blocks, first_mm
        The equal blocks of one medium each that the simulated body is made of, and where they begin.
    mirrored, swapped : tuple of int
        Axes about whose middle the case is its own image, and two axes that may change places.
    """

    name: str
    voxel_mm: float
    low_mm: Triple
    shape: tuple[int, int, int]
    centre_mm: Triple
    media: tuple[str, ...]
    medium: Callable[[Floats, Floats, Floats], Integers]
    block_mm: Triple
    blocks: tuple[int, int, int]
    first_mm: Triple
    mirrored: tuple[int, ...]
    swapped: tuple[int, int]

    def middles(self) -> tuple[Floats, Floats, Floats]:
        """Of the voxels, one array an axis."""
        axes = [low + (np.arange(n) + 0.5) * self.voxel_mm for low, n in zip(self.low_mm, self.shape, strict=True)]
        k, j, i = np.meshgrid(*axes, indexing="ij")
        return k, j, i

    def media_of_voxels(self) -> Integers:
        """Index into ``media``."""
        return self.medium(*self.middles())

    def media_of_blocks(self) -> Integers:
        """The same for the blocks of the simulated body."""
        axes = [
            first + (np.arange(n) + 0.5) * size
            for first, n, size in zip(self.first_mm, self.blocks, self.block_mm, strict=True)
        ]
        return self.medium(*np.meshgrid(*axes, indexing="ij"))

    def density(self) -> Floats:
        """Of the voxels in g/mL."""
        return np.array([MEDIA[m].g_per_ml for m in self.media])[self.media_of_voxels()]

    def sphere(self) -> npt.NDArray[np.bool_]:
        """Hot voxels."""
        squares = [(x - c) ** 2 for x, c in zip(self.middles(), self.centre_mm, strict=True)]
        return np.asarray(sum(squares) <= 100 + 1e-9)

    def background(self) -> npt.NDArray[np.bool_]:
        """All voxels of liver, the sphere's too."""
        return np.asarray(self.media_of_voxels() == 0)

    def classes(self) -> Integers:
        """Number of the class of alike voxels that each belongs to."""
        index = np.indices(self.shape)
        for axis in self.mirrored:
            index[axis] = np.minimum(index[axis], self.shape[axis] - 1 - index[axis])
        a, b = self.swapped
        index[a], index[b] = np.minimum(index[a], index[b]), np.maximum(index[a], index[b])
        flat = np.ravel_multi_index(tuple(index), self.shape)
        return np.asarray(np.unique(flat, return_inverse=True)[1].reshape(self.shape), np.intp)

    def table(self) -> dict[str, tuple[Floats, Floats]]:
        """Dose of the sphere and of the background in Gy, each for one decay in all, with one standard error."""
        rows = np.loadtxt(TABLES / f"mc-{self.name}.csv", delimiter=",", skiprows=1)
        of = self.classes()
        return {
            part: (rows[of, column], rows[of, column] * rows[of, column + 1] / 100)
            for part, column in (("sphere", 3), ("background", 5))
        }

    def mixed(self, tumor_to_normal: float, sphere: Floats, background: Floats) -> Floats:
        """Dose in Gy for one decay a voxel of liver and that many times more in the sphere."""
        more = (tumor_to_normal - 1) * int(self.sphere().sum())
        return np.asarray(sphere * more + background * int(self.background().sum()))


def _above(k: Floats, j: Floats, i: Floats) -> Integers:  # noqa: ARG001
    return np.asarray(k > 0, np.intp)


def _outside_wedge(k: Floats, j: Floats, i: Floats) -> Integers:  # noqa: ARG001
    return np.asarray((k > 0) | (i > 0), np.intp)


def _beside_rib(k: Floats, j: Floats, i: Floats) -> Integers:  # noqa: ARG001
    return np.digitize(i, [12.0, 20.0])


#: Lung on a flat liver; a right-angled edge of liver in lung; a rib of 8 mm with fat behind it.
SPHERES = (
    SphereCase(
        *("touch", 2.5, (-30.0, -20.0, -20.0), (20, 16, 16), (-10.0, 0.0, 0.0)),
        *(("liver", "lung"), _above, (300.0, 2000.0, 2000.0), (2, 1, 1), (-300.0, -1000.0, -1000.0)),
        *((1, 2), (1, 2)),
    ),
    SphereCase(
        *("wedge", 4.0, (-36.0, -26.0, -36.0), (15, 13, 15), (-12.0, 0.0, -12.0)),
        *(("liver", "lung"), _outside_wedge, (300.0, 2000.0, 300.0), (2, 1, 2), (-300.0, -1000.0, -300.0)),
        *((1,), (0, 2)),
    ),
    SphereCase(
        *("rib", 4.0, (-26.0, -26.0, -28.0), (13, 13, 16), (0.0, 0.0, 0.0)),
        *(("liver", "bone", "fat"), _beside_rib, (2000.0, 2000.0, 4.0), (1, 1, 200), (-1000.0, -1000.0, -400.0)),
        *((0, 1), (0, 1)),
    ),
)

#: Voxels whose S values are tabulated: medium and size.
S_VALUES: tuple[tuple[str, Triple], ...] = (
    ("water", (3.0, 3.0, 3.0)),
    ("water", (3.0, 4.07, 4.07)),
    ("soft", (2.21, 2.21, 2.21)),
    ("soft", (4.8, 4.8, 4.8)),
)


def layer_table(case: Layers) -> Floats:
    """Depth (mm) of layers of 0.5 mm, dose in parts of that deep in the active medium, one standard error of it."""
    rows = np.genfromtxt(TABLES / "mc-layers.csv", delimiter=",", skip_header=1, dtype=None, encoding="utf-8")
    chosen = [r for r in rows if r[0] == case.name and r[1] == case.active]
    return np.array([[r[2], r[3], r[3] * r[4] / 100] for r in chosen])


def s_value_table(medium: str, size_mm: Triple) -> dict[tuple[int, int, int], tuple[float, float]]:
    """Mean part of the emitted energy that a voxel at an offset gets from one voxel, with one standard error."""
    rows = np.genfromtxt(TABLES / "mc-s-values.csv", delimiter=",", skip_header=1, dtype=None, encoding="utf-8")
    chosen = [r for r in rows if r[0] == medium and (r[1], r[2], r[3]) == size_mm]
    return {(int(r[4]), int(r[5]), int(r[6])): (float(r[7]), float(r[7] * r[8] / 100)) for r in chosen}
