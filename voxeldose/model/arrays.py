"""Aliases of arrays, each written once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Doubles", "Floats", "Integers", "Mask", "Matrix", "Reals"]

#: Any number of axes, single precision: what volumes store.
Floats = npt.NDArray[np.float32]
#: Any number of axes, double precision.
Doubles = npt.NDArray[np.float64]
#: Any number of axes, single or double precision.
Reals = npt.NDArray[np.floating[Any]]
#: Any number of axes, 64-bit integers.
Integers = npt.NDArray[np.int64]
#: Any number of axes, true or false.
Mask = npt.NDArray[np.bool_]
#: (4, 4), takes points (x, y, z, 1) to points, in LPS millimetres.
Matrix = npt.NDArray[np.float64]
