"""Dose-volume histograms, exact from the voxels: no bins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.errors import QuantityError

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Dvh"]

#: Rounding of a cumulative float64 sum, so that "90 % of ten voxels" is nine voxels and not ten.
ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Dvh:
    """Cumulative dose-volume histogram of one region.

    Parameters
    ----------
    dose_gy : ndarray, (n,)
        Dose of each voxel, highest first.
    volume_ml : ndarray, (n,)
        Volume that receives at least ``dose_gy``: the running sum of each voxel's occupied volume.
    """

    dose_gy: npt.NDArray[np.float64]
    volume_ml: npt.NDArray[np.float64]

    @classmethod
    def from_voxels(cls, dose_gy: npt.ArrayLike, volume_ml: npt.ArrayLike) -> Dvh:
        """Sort voxels by dose.

        Parameters
        ----------
        dose_gy : array_like
            Dose of each voxel.
        volume_ml : array_like
            The part of each voxel's volume that belongs to the region; voxels with none are left out.

        Raises
        ------
        QuantityError
            If nothing is occupied, or a volume is negative.
        """
        dose = np.asarray(dose_gy, np.float64).ravel()
        volume = np.broadcast_to(np.asarray(volume_ml, np.float64), np.shape(dose_gy)).ravel()
        if volume.size and volume.min() < 0:
            msg = f"A DVH needs volumes of zero or more, found {volume.min()} mL."
            raise QuantityError(msg)
        inside = volume > 0
        if not inside.any():
            msg = "A DVH needs at least one occupied voxel; the region has none."
            raise QuantityError(msg)
        dose, volume = dose[inside], volume[inside]
        order = np.argsort(dose)[::-1]
        return cls(dose[order], np.cumsum(volume[order]))

    @property
    def total_ml(self) -> float:
        """Volume of the region."""
        return float(self.volume_ml[-1])

    def coverage(self, dose_gy: float) -> float:
        """``Vd``: fraction (0–1) of the volume with a dose of at least ``dose_gy``; NaN where doses are not known."""
        if np.isnan(self.dose_gy[0]):
            return float("nan")
        count = int(np.searchsorted(-self.dose_gy, -dose_gy, side="right"))
        return float(self.volume_ml[count - 1] / self.total_ml) if count else 0.0

    def dose_to_fraction_gy(self, fraction: float) -> float:
        """``Dx``: the highest dose that at least this fraction of the volume receives.

        No interpolation: the value is the dose of a voxel. Ten equal voxels of 100, 150 … 550 Gy have D90 = 150 Gy,
        since nine of the ten receive at least that, and D95 = 100 Gy.

        Raises
        ------
        QuantityError
            If ``fraction`` is not above 0 and at most 1.
        """
        if not 0 < fraction <= 1:
            msg = f"Dx needs a fraction above 0 and at most 1, found {fraction}."
            raise QuantityError(msg)
        wanted = fraction * self.total_ml * (1 - ROUNDING)
        return float(self.dose_gy[int(np.searchsorted(self.volume_ml, wanted, side="left"))])

    def curve(self, step_gy: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Doses 0, step, 2·step … past the maximum, and the volume in mL that receives at least each."""
        doses = np.arange(0.0, max(float(self.dose_gy[0]), 0.0) + 2 * step_gy, step_gy)
        counts = np.searchsorted(-self.dose_gy, -doses, side="right")
        return doses, np.concatenate(([0.0], self.volume_ml))[counts]
