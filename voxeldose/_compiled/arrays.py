"""Aliases of the arrays that compiled loops take; which cannot import those of :mod:`voxeldose.model.arrays`."""

import numpy as np
import numpy.typing as npt

__all__ = ["Bits", "Doubles", "Floats", "Integers", "Mask", "ShortIntegers"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
ShortIntegers = npt.NDArray[np.int32]
Bits = npt.NDArray[np.uint32]
Mask = npt.NDArray[np.bool_]
