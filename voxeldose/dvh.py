"""Dose-volume histograms, exact from the voxels.

Nothing is rounded to bins: voxels are tallied by dose in one pass, and a second pass looks only into the bins where an
answer lies, so that a region of millions of voxels is never sorted unless its whole curve is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.errors import QuantityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Doubles = npt.NDArray[np.float64]

__all__ = ["Dvh"]

#: Rounding of a sum in float64, so that "90 % of ten voxels" is nine voxels and not ten.
ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Dvh:
    """Cumulative dose-volume histogram of one region.

    Parameters
    ----------
    voxel_gy : ndarray, float32, (nk, nj, ni)
        Dose of each voxel, such as a window of a dose map; kept, not copied.
    occupancy : ndarray, float32, (nk, nj, ni)
        Fraction of each voxel that belongs to the region; voxels with none are left out.
    voxel_ml : float
        Volume of a voxel.

    Raises
    ------
    QuantityError
        If nothing is occupied, or an occupancy is negative.
    """

    voxel_gy: Floats
    occupancy: Floats
    voxel_ml: float

    def __post_init__(self) -> None:
        total, *_, lightest = self._tallied[1]
        if lightest < 0:
            msg = f"A DVH needs volumes of zero or more, found {lightest * self.voxel_ml} mL."
            raise QuantityError(msg)
        if total == 0:
            msg = "A DVH needs at least one occupied voxel; the region has none."
            raise QuantityError(msg)

    @classmethod
    def from_voxels(cls, dose_gy: npt.ArrayLike, volume_ml: npt.ArrayLike) -> Dvh:
        """The DVH of voxels in any order.

        Parameters
        ----------
        dose_gy : array_like
            Dose of each voxel; taken as float32, which is what a dose map holds.
        volume_ml : array_like
            The part of each voxel's volume that belongs to the region.
        """
        dose = np.asarray(dose_gy, np.float32).reshape(1, 1, -1)
        volume = np.broadcast_to(np.asarray(volume_ml, np.float32), np.shape(dose_gy)).reshape(1, 1, -1)
        return cls(dose, volume, 1.0)

    @cached_property
    def _tallied(self) -> tuple[Doubles, Doubles]:
        """Occupancy in each bin of dose, and moments."""
        from voxeldose._compiled import tally

        sums, moments = np.zeros(tally.BINS), np.zeros(7)
        tally.tally(self.voxel_gy, self.voxel_gy.view(np.uint32), self.occupancy, sums, moments)
        return sums, moments

    @property
    def total_ml(self) -> float:
        """Volume of the region."""
        return float(self._tallied[1][0]) * self.voxel_ml

    @property
    def mean_gy(self) -> float:
        """Volume-weighted mean dose, negative voxels included."""
        total, along, _, _, _, first, _ = self._tallied[1]
        return float(first + along / total)

    @property
    def sd_gy(self) -> float:
        """Volume-weighted standard deviation (of the population)."""
        total, along, square, *_ = self._tallied[1]
        return float(np.sqrt(max(square / total - (along / total) ** 2, 0.0))) if np.isfinite(square) else float("nan")

    @property
    def range_gy(self) -> tuple[float, float]:
        """Lowest and highest dose of an occupied voxel."""
        if np.isnan(self._tallied[1][1]):
            return float("nan"), float("nan")
        return float(self._tallied[1][3]), float(self._tallied[1][4])

    def coverage(self, dose_gy: float) -> float:
        """``Vd``: fraction (0–1) of the volume with a dose of at least ``dose_gy``; NaN where doses are not known."""
        return self.at([dose_gy], [])[0][0]

    def dose_to_fraction_gy(self, fraction: float) -> float:
        """``Dx``: the highest dose that at least this fraction of the volume receives.

        No interpolation: the value is the dose of a voxel. Ten equal voxels of 100, 150 … 550 Gy have D90 = 150 Gy,
        since nine of the ten receive at least that, and D95 = 100 Gy.

        Raises
        ------
        QuantityError
            If ``fraction`` is not above 0 and at most 1.
        """
        return self.at([], [fraction])[1][0]

    def at(self, doses_gy: Sequence[float], fractions: Sequence[float]) -> tuple[list[float], list[float]]:
        """Several ``Vd`` and ``Dx`` at once, in two passes over the voxels.

        Returns
        -------
        coverages, doses
            As :meth:`coverage` and :meth:`dose_to_fraction_gy` give each.
        """
        from voxeldose._compiled import tally

        for fraction in fractions:
            if not 0 < fraction <= 1:
                msg = f"Dx needs a fraction above 0 and at most 1, found {fraction}."
                raise QuantityError(msg)
        sums, moments = self._tallied
        if np.isnan(moments[1]):
            return [float("nan")] * len(doses_gy), [float("nan")] * len(fractions)
        above = np.cumsum(sums[::-1])[::-1]  # occupancy in this bin and all higher ones
        total = above[0]
        wanted = [fraction * total * (1 - ROUNDING) for fraction in fractions]
        bins_of_doses = [int(_bin(np.float32(dose or -0.0))[0]) for dose in doses_gy]  # -0 is not below 0
        bins_of_parts = [int(np.searchsorted(-above, -part, side="right")) - 1 for part in wanted]
        marked = np.zeros(tally.BINS, np.bool_)
        marked[bins_of_doses + bins_of_parts] = True
        gy, part = np.empty(self.voxel_gy.size, np.float32), np.empty(self.voxel_gy.size, np.float32)
        count = tally.pick(self.voxel_gy, self.voxel_gy.view(np.uint32), self.occupancy, marked, gy, part)
        gy, part = gy[:count], part[:count].astype(np.float64)
        bins = _bin(gy)
        coverages = []
        for dose, where in zip(doses_gy, bins_of_doses, strict=True):
            higher = above[where + 1] if where + 1 < tally.BINS else 0.0
            coverages.append(float((higher + part[(bins == where) & (gy >= dose)].sum()) / total))
        found = []
        for sought, where in zip(wanted, bins_of_parts, strict=True):
            inside = bins == where
            order = np.argsort(gy[inside])[::-1]
            higher = above[where + 1] if where + 1 < tally.BINS else 0.0
            reached = higher + np.cumsum(part[inside][order])
            rank = min(int(np.searchsorted(reached, sought, side="left")), order.size - 1)
            found.append(float(gy[inside][order[rank]]))
        return [min(c, 1.0) for c in coverages], found

    @cached_property
    def _sorted(self) -> tuple[Doubles, Doubles]:
        """Doses, highest first, and the volume that receives at least each.

        One plain sort of both patterns in one integer, which is several times faster than an argsort.
        """
        filled = self.occupancy > 0
        gy, part = self.voxel_gy[filled], self.occupancy[filled]
        pairs = _pattern(gy).astype(np.uint64) << np.uint64(32) | part.view(np.uint32)
        pairs.sort()
        pairs = pairs[::-1]
        pattern = (pairs >> np.uint64(32)).astype(np.uint32)
        bits = np.where(pattern & _SIGN, pattern ^ _SIGN, ~pattern)
        volume = pairs.astype(np.uint32).view(np.float32)
        return bits.view(np.float32).astype(np.float64), np.cumsum(volume, dtype=np.float64) * self.voxel_ml

    @property
    def dose_gy(self) -> Doubles:
        """Dose of each occupied voxel, highest first, (n,)."""
        return self._sorted[0]

    @property
    def volume_ml(self) -> Doubles:
        """Volume that receives at least ``dose_gy``, (n,)."""
        return self._sorted[1]

    def curve(self, step_gy: float) -> tuple[Doubles, Doubles]:
        """Doses 0, step, 2·step … past the maximum, and the volume in mL that receives at least each."""
        doses = np.arange(0.0, max(self.range_gy[1], 0.0) + 2 * step_gy, step_gy)
        filled = self.occupancy > 0
        gy, part = self.voxel_gy[filled].astype(np.float64), self.occupancy[filled]
        rows = np.floor(gy / step_gy).astype(np.int64) + 1
        sums = np.bincount(np.clip(rows, 0, doses.size), part, minlength=doses.size + 1)
        return doses, np.asarray(np.cumsum(sums[::-1])[::-1][1:] * self.voxel_ml, np.float64)


_SIGN = np.uint32(0x80000000)


def _pattern(gy: Floats) -> npt.NDArray[np.uint32]:
    """The bits of float32 numbers, turned so that they rise with the numbers."""
    bits = gy.view(np.uint32)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _bin(gy: Floats | np.float32) -> npt.NDArray[np.int64]:
    """The bin of each dose, as in :mod:`voxeldose._compiled.tally`."""
    return np.asarray(_pattern(np.atleast_1d(np.asarray(gy, np.float32))) >> np.uint32(16), np.int64)
