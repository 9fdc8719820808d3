"""Dose at voxel centres, and DVHs from points inside an outline.

A voxel's mean dose blurs twice: activity is spread evenly over its voxel, and dose is averaged over the target's. On fine
voxels with a smooth activity both boxes can be divided out of the kernel's spectrum, and a cubic spline then gives the dose
at any point. What it leaves out: activity that is truly uneven inside a voxel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.engines.voxelise import voxelise
from voxeldose.dose.recovery.spectra import Lattice, apply
from voxeldose.model.limits import with_tolerance
from voxeldose.model.radionuclide import JOULE_PER_MEV

if TYPE_CHECKING:
    from voxeldose.model.arrays import Doubles, Floats
    from voxeldose.model.kernel import PointKernel
    from voxeldose.model.radionuclide import Radionuclide

__all__ = ["CentreDose", "PointDvh", "dose_at", "low_discrepancy"]

#: Voxels kept around the points when their spline is made, so that the cut does not reach them.
_SPLINE_ROOM = 6
#: Points that hold a DVH.
QUANTILES = 257


@dataclass(frozen=True, eq=False)
class CentreDose:
    """Activity on fine voxels to the dose at their centres, in a uniform medium.

    Parameters
    ----------
    lattice : Lattice
        The fine box.
    spectrum : ndarray, float32
        Half spectrum that turns the voxels' mean activity in Bq/mL into Gy at their centres.
    """

    lattice: Lattice
    spectrum: Floats

    @classmethod
    def of(
        cls, kernel: PointKernel, lattice: Lattice, nuclide: Radionuclide, density_g_per_ml: float, reach_mm: float
    ) -> CentreDose:
        """From a point kernel: voxelised, with the boxes of source, target and the activity's own mean divided out."""
        voxels = voxelise(kernel, lattice.spacing_mm, density_g_per_ml=density_g_per_ml, reach_mm=reach_mm)
        return cls.of_weights(voxels.energy_fraction, lattice, gy_per_bq_ml(nuclide, density_g_per_ml))

    @classmethod
    def of_weights(cls, energy_fraction: Doubles, lattice: Lattice, gy: float) -> CentreDose:
        """From voxel weights whose middle is the source, and the Gy of 1 Bq/mL whose energy stays where it is."""
        from scipy import fft

        placed = np.zeros(lattice.shape)
        rows = [(np.arange(n) - n // 2) % m for n, m in zip(energy_fraction.shape, lattice.shape, strict=True)]
        np.add.at(placed, np.ix_(*rows), energy_fraction)
        spectrum = fft.rfftn(placed).real * gy / lattice.voxel_box(3).astype(np.float64)
        return cls(lattice, spectrum.astype(np.float32))

    def __call__(self, bq_per_ml: Floats) -> Floats:
        """Dose in Gy at the centres of the voxels, (nk, nj, ni), once all has decayed."""
        return apply(bq_per_ml, self.spectrum)


def gy_per_bq_ml(nuclide: Radionuclide, density_g_per_ml: float) -> float:
    """Gy of 1 Bq/mL everywhere, once all has decayed."""
    return nuclide.decays_per_bq() * nuclide.energy_mev * JOULE_PER_MEV / (density_g_per_ml * 1e-3)


@lru_cache(maxsize=2)
def low_discrepancy(count_log2: int) -> Doubles:
    """Sobol points in the unit cube, (2^count_log2, 3); always the same."""
    from scipy.stats import qmc

    return np.asarray(qmc.Sobol(3, rng=7).random_base2(count_log2))


def dose_at(dose: Floats, index: Doubles) -> Floats:
    """Dose by cubic spline at fractional voxel indices, (3, n), of an array of doses at voxel centres."""
    from scipy.ndimage import map_coordinates, spline_filter

    low = np.maximum(np.floor(index.min(axis=1)).astype(int) - _SPLINE_ROOM, 0)
    high = np.minimum(np.ceil(index.max(axis=1)).astype(int) + _SPLINE_ROOM + 1, dose.shape)
    part = dose[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    spline = spline_filter(part, 3, output=np.float32)
    return np.asarray(
        map_coordinates(spline, index - low[:, None], order=3, prefilter=False, mode="nearest", output=np.float32)
    )


@dataclass(frozen=True, eq=False)
class PointDvh:
    """The DVH of equally weighted points.

    Parameters
    ----------
    gy : ndarray, (n,)
        Dose at points spread evenly over a region, rising.
    """

    gy: Doubles

    @classmethod
    def of(cls, gy: Floats) -> PointDvh:
        """From doses in any order."""
        return cls(np.sort(gy.astype(np.float64)))

    @property
    def mean_gy(self) -> float:
        """Mean over the region."""
        return float(self.gy.mean())

    def dose_to_fraction_gy(self, fraction: float) -> float:
        """``Dx``: the dose that this fraction of the volume receives at least, linear between points."""
        rank = (np.arange(self.gy.size) + 0.5) / self.gy.size
        return float(np.interp(1 - fraction, rank, self.gy))

    def coverage(self, dose_gy: float) -> float:
        """``Vd``: the fraction of the volume with at least this dose."""
        return 1 - float(np.searchsorted(self.gy, with_tolerance(dose_gy, "at least"), side="left")) / self.gy.size

    def quantiles_gy(self) -> Doubles:
        """Doses at evenly spaced parts of the volume, from the lowest to the highest, rising."""
        return np.quantile(self.gy, np.linspace(0, 1, QUANTILES))

    def numbers(self) -> dict[str, float]:
        """The metrics that are recovered, by their names in results."""
        found = {"mean_dose_gy": self.mean_gy}
        found |= {f"d{part:g}_gy": self.dose_to_fraction_gy(part / 100) for part in (95, 70, 50)}
        return found | {f"v{dose:g}_fraction": self.coverage(dose) for dose in (205.0, 400.0)}


def count_for(volume_ml: float, wanted: int, box_ml: float) -> int:
    """Power of two of points in a box so that about ``wanted`` fall into a volume; at most 2^17."""
    return min(17, max(10, math.ceil(math.log2(max(wanted * box_ml / max(volume_ml, 1e-6), 1.0)))))
