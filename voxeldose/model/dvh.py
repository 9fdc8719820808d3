"""Dose-volume histograms, exact from the voxels.

Nothing is rounded to bins: voxels are tallied by dose in one pass, and a second pass looks only into the bins where an
answer lies, so that a region of millions of voxels is never sorted unless its whole curve is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from voxeldose.errors import QuantityError
from voxeldose.model.limits import with_tolerance

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from voxeldose.model.arrays import Doubles, Floats, Integers

__all__ = ["Dvh"]

#: Rounding of a sum in float64, so that "90 % of ten voxels" is nine voxels and not ten.
ROUNDING = 1e-9


@dataclass(frozen=True, eq=False, repr=False)
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
        total, *_, negative = self._tallied[1]
        if negative:
            msg = f"A DVH needs volumes of zero or more, found {float(self.occupancy.min()) * self.voxel_ml} mL."
            raise QuantityError(msg, code="volume-negative")
        if total == 0:
            msg = "A DVH needs at least one occupied voxel; the region has none."
            raise QuantityError(msg, code="roi-empty")

    def __repr__(self) -> str:
        low, high = self.range_gy
        return f"Dvh({self.total_ml:.4g} mL, mean {self.mean_gy:.4g} Gy, {low:.4g} to {high:.4g} Gy)"

    def _repr_html_(self) -> str:
        """A table and the curve, for notebooks."""
        from voxeldose.model.display import html_of_dvh

        return html_of_dvh(self)

    def to_dataframe(self, step_gy: float | None = None) -> Any:
        """The curve as a ``pandas.DataFrame`` (extra ``voxeldose[pandas]``).

        Columns ``dose_gy``, ``volume_ml`` and ``volume_fraction`` (cumulative): a row per voxel, highest dose first, or doses
        from 0 in steps of ``step_gy``.
        """
        from voxeldose.model.exchange import frame_of_dvh

        return frame_of_dvh(self, step_gy)

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

        values, weights, layout = tally.rows_of(self.voxel_gy, self.occupancy)
        sums, moments = np.zeros(tally.BINS), np.zeros(5)
        moments[3] = self._first
        tally.tally(values, values.view(np.uint32), weights, layout, sums, moments)
        return _by_dose(sums), moments

    @property
    def _first(self) -> float:
        """Some dose of the region, about which moments are taken: that of the first row with an occupied voxel."""
        for rows, parts in zip(self.voxel_gy, self.occupancy, strict=True):
            for row, part in zip(rows, parts, strict=True):
                i = int(part.argmax())
                if part[i] > 0:
                    return float(row[i])
        return 0.0

    @property
    def total_ml(self) -> float:
        """Volume of the region."""
        return float(self._tallied[1][0]) * self.voxel_ml

    @property
    def mean_gy(self) -> float:
        """Volume-weighted mean dose, negative voxels included."""
        total, along, _, first, _ = self._tallied[1]
        return float(first + along / total)

    @property
    def sd_gy(self) -> float:
        """Volume-weighted standard deviation (of the population)."""
        total, along, square, *_ = self._tallied[1]
        return float(np.sqrt(max(square / total - (along / total) ** 2, 0.0))) if np.isfinite(square) else float("nan")

    @property
    def range_gy(self) -> tuple[float, float]:
        """Lowest and highest dose of an occupied voxel."""
        sums, moments = self._tallied
        if np.isnan(moments[1]):
            return float("nan"), float("nan")
        bins = np.flatnonzero(sums)
        gy, _ = self._picked([int(bins[0]), int(bins[-1])])
        return float(gy[-1]), float(gy[0])

    def _picked(self, bins: Sequence[int]) -> tuple[Floats, Floats]:
        """Dose, highest first, and occupancy of the occupied voxels in these bins."""
        from voxeldose._compiled import tally

        wanted = np.zeros(tally.BINS, np.bool_)
        half = tally.BINS // 2  # by pattern, as tally has them: those of negative doses come last, and fall
        wanted[[b - half if b >= half else tally.BINS - 1 - b for b in bins]] = True
        wanted.setflags(write=False)
        values, weights, layout = tally.rows_of(self.voxel_gy, self.occupancy)
        gy, part = np.empty(self.voxel_gy.size, np.float32), np.empty(self.voxel_gy.size, np.float32)
        count = tally.pick(values, values.view(np.uint32), weights, layout, wanted, gy, part)
        return _highest_first(gy[:count], part[:count])

    def coverage(self, dose_gy: float) -> float:
        """``Vd``: fraction (0–1) of the volume with a dose of at least ``dose_gy``; NaN where doses are not known.

        A dose equals ``dose_gy`` to one part in a million (:data:`voxeldose.model.limits.TOLERANCE`): a region of an even 400 Gy has
        V400 = 1, whatever its voxels lose by float32.
        """
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
        for fraction in fractions:
            if not 0 < fraction <= 1:
                msg = f"Dx needs a fraction above 0 and at most 1, found {fraction}."
                raise QuantityError(msg, code="value-out-of-range", field="fraction", found=fraction)
        sums, moments = self._tallied
        if np.isnan(moments[1]):
            return [float("nan")] * len(doses_gy), [float("nan")] * len(fractions)
        above = np.append(np.cumsum(sums[::-1])[::-1], 0.0)  # occupancy in this bin and all higher ones
        total, falling = above[0], -above[:-1]
        wanted = [fraction * total * (1 - ROUNDING) for fraction in fractions]
        doses_gy = [with_tolerance(dose, "at least") for dose in doses_gy]
        bins_of_doses = [int(_bin(np.float32(dose or -0.0))[0]) for dose in doses_gy]  # -0 is not below 0
        bins_of_parts = [int(np.searchsorted(falling, -part, side="right")) - 1 for part in wanted]
        gy, part = self._picked(bins_of_doses + bins_of_parts)
        bins, falling_gy = -_bin(gy), -gy.astype(np.float64)

        def reached(where: int) -> tuple[int, Doubles]:
            """Where this bin begins among the picked voxels, and the occupancy down to each of its voxels."""
            begin, end = np.searchsorted(bins, (-where, 1 - where))
            return int(begin), np.concatenate(([0.0], np.cumsum(part[begin:end], dtype=np.float64))) + above[where + 1]

        coverages = []
        for dose, where in zip(doses_gy, bins_of_doses, strict=True):
            begin, down_to = reached(where)
            count = int(np.searchsorted(falling_gy, -dose, side="right")) - begin
            coverages.append(min(float(down_to[min(max(count, 0), down_to.size - 1)] / total), 1.0))
        found = []
        for sought, where in zip(wanted, bins_of_parts, strict=True):
            begin, down_to = reached(where)
            rank = min(int(np.searchsorted(down_to[1:], sought)), down_to.size - 2)
            found.append(float(gy[begin + rank]))
        return coverages, found

    @cached_property
    def _sorted(self) -> tuple[Doubles, Doubles]:
        """Doses, highest first, and the volume that receives at least each."""
        filled = self.occupancy > 0
        gy, part = _highest_first(self.voxel_gy[filled], self.occupancy[filled])
        return gy.astype(np.float64), np.cumsum(part, dtype=np.float64) * self.voxel_ml

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


def _bin(gy: Floats | np.float32) -> Integers:
    """The bin of each dose, so that bins rise with the dose."""
    return np.asarray(_pattern(np.atleast_1d(np.asarray(gy, np.float32))) >> np.uint32(16), np.int64)


def _by_dose(bins: Doubles) -> Doubles:
    """Sums by rising dose, from those by pattern: negative doses lie in the upper half, the lowest last."""
    return np.concatenate((bins[bins.size // 2 :][::-1], bins[: bins.size // 2]))


def _highest_first(gy: Floats, part: Floats) -> tuple[Floats, Floats]:
    """Both by falling dose, then falling part: one plain sort of both patterns in one integer, faster than an argsort."""
    pairs = _pattern(gy).astype(np.uint64) << np.uint64(32) | part.view(np.uint32)
    pairs.sort()
    pairs = pairs[::-1]
    pattern = (pairs >> np.uint64(32)).astype(np.uint32)
    bits = np.where(pattern & _SIGN, pattern ^ _SIGN, ~pattern)
    return bits.view(np.float32), pairs.astype(np.uint32).view(np.float32)
