"""Recovery coefficients of spheres, and the curve through them."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.errors import QuantityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.model.arrays import Doubles

__all__ = ["Recovery", "fit_recovery"]


@dataclass(frozen=True)
class Recovery:
    """Recovery of a hot sphere by its volume, ``RC(v) = 1 - 1/(1 + (v/b)^c)``.

    Parameters
    ----------
    b_ml, c : float
        Volume of half recovery, and steepness.
    covariance : tuple of tuple of float
        Of (b, c); zero where the curve is taken as exact.
    source : str
        Where it was measured.
    """

    b_ml: float
    c: float
    covariance: tuple[tuple[float, float], tuple[float, float]] = ((0.0, 0.0), (0.0, 0.0))
    source: str = "given by the user"

    def __post_init__(self) -> None:
        if not (self.b_ml > 0 and self.c > 0 and math.isfinite(self.b_ml * self.c)):
            msg = f"A recovery curve needs b and c above 0, found {self.b_ml} mL and {self.c}."
            raise QuantityError(msg, code="value-out-of-range")
        if not (1e-6 <= self.b_ml <= 1e6 and 1e-3 <= self.c <= 100):
            msg = f"A recovery curve of half recovery at {self.b_ml:g} mL with exponent {self.c:g} is none that a scanner has."
            raise QuantityError(msg, code="value-out-of-range")
        matrix = np.array(self.covariance, float)
        if not (np.abs(matrix) < 1e12).all():
            msg = f"The uncertainties of b and c are too large to be meant, found {self.covariance}."
            raise QuantityError(msg, code="covariance-impossible")
        if matrix.shape != (2, 2) or np.abs(matrix - matrix.T).max() > 1e-9 * (1 + np.abs(matrix).max()):
            msg = f"The covariance of b and c must be a symmetric 2 x 2 matrix, found {self.covariance}."
            raise QuantityError(msg, code="covariance-impossible")
        if np.linalg.eigvalsh(matrix).min() < -1e-9 * (1 + np.abs(matrix).max()):
            msg = f"The covariance of b and c is impossible (a correlation above 1), found {self.covariance}."
            raise QuantityError(msg, code="covariance-impossible")

    def at(self, volume_ml: float | Doubles) -> Doubles:
        """Recovery of a sphere of that volume."""
        return np.asarray(1 - 1 / (1 + (np.asarray(volume_ml) / self.b_ml) ** self.c))

    def exponent(self, volume_ml: float) -> float:
        """``p = d ln RC / d ln v``."""
        return self.c * (1 - float(self.at(volume_ml)))

    def relative_sd(self, volume_ml: float) -> float:
        """``u(RC)/RC`` by the covariance of the fit."""
        lost = 1 - float(self.at(volume_ml))
        slope = np.array([-self.c * lost / self.b_ml, lost * math.log(volume_ml / self.b_ml)])
        return float(np.sqrt(max(slope @ np.array(self.covariance) @ slope, 0.0)))


def fit_recovery(spheres: Sequence[tuple[float, float, float]], source: str = "fit to spheres") -> Recovery:
    """The recovery curve through measured spheres.

    Parameters
    ----------
    spheres : sequence of (float, float, float)
        Volume in mL, recovery (0 to 1), and its standard uncertainty, of at least three spheres.
    source : str
        Where they were measured.

    Returns
    -------
    Recovery
        With the covariance of the weighted least-squares fit; it is widened where the spheres scatter more than their
        uncertainties say (reduced chi-square above 1).

    Raises
    ------
    QuantityError
        For fewer than three spheres, values outside their ranges, or a fit that does not settle.
    """
    from scipy.optimize import OptimizeWarning, curve_fit

    table = np.array(spheres, float)
    if table.ndim != 2 or table.shape[1] != 3 or len(table) < 3:
        msg = f"At least three spheres, each (volume mL, recovery, its uncertainty), are needed; found {list(spheres)}."
        raise QuantityError(msg, code="spheres-too-few", found=len(spheres))
    volume, recovery, sd = table.T
    if not ((volume > 0).all() and (recovery > 0).all() and (recovery < 1.2).all() and (sd > 0).all()):
        msg = f"Volumes and uncertainties must be above 0 and recoveries between 0 and 1.2; found {list(spheres)}."
        raise QuantityError(msg, code="value-out-of-range")

    def curve(v: Doubles, log_b: float, log_c: float) -> Doubles:
        return np.asarray(1 - 1 / (1 + (v / np.exp(log_b)) ** np.exp(log_c)))

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimizeWarning)  # of an infinite covariance, which is refused below
            logs, covariance = curve_fit(
                curve, volume, recovery, p0=(0.0, 0.0), sigma=sd, absolute_sigma=True, maxfev=5000
            )
    except (RuntimeError, ValueError) as error:
        msg = "No recovery curve 1 - 1/(1 + (v/b)^c) fits these spheres; check volumes (mL) and recoveries (0 to 1)."
        raise QuantityError(msg, code="recovery-fit-failed") from error
    b, c = np.exp(logs)
    chi = float((((recovery - curve(volume, *logs)) / sd) ** 2).sum() / (len(table) - 2))
    turn = np.diag([b, c])
    with np.errstate(invalid="ignore"):
        matrix = turn @ covariance @ turn * max(chi, 1.0)
    if not np.isfinite(matrix).all():
        msg = "The spheres do not determine a recovery curve; give more sizes."
        raise QuantityError(msg, code="recovery-fit-failed")
    off = float(matrix[0, 1])
    return Recovery(float(b), float(c), ((float(matrix[0, 0]), off), (off, float(matrix[1, 1]))), source)
