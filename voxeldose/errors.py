"""The four exceptions of voxeldose: every refusal is one of these."""

__all__ = ["GeometryError", "InputError", "QuantityError", "VoxeldoseError"]


class VoxeldoseError(Exception):
    """Base of every refusal: the message says what was found, what is needed and the way out."""


class GeometryError(VoxeldoseError):
    """Two things do not lie where they must: grids, frames of reference, spacings."""


class QuantityError(VoxeldoseError):
    """A number has the wrong unit, sign or instant, or no meaning at all."""


class InputError(VoxeldoseError):
    """A file or a key cannot be used; the message names it."""
