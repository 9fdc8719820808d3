"""Aliases of arrays, each written once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Doubles", "Matrix"]

#: Any number of axes, double precision.
Doubles = npt.NDArray[np.float64]
#: (4, 4), takes points (x, y, z, 1) to points, in LPS millimetres.
Matrix = npt.NDArray[np.float64]
