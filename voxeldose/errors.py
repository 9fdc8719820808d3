"""The four exceptions of voxeldose: every refusal is one of these.

A refusal has a sentence for people, a ``code`` for programs and, by name, what the sentence states. Nothing searches a
sentence for words.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = ["GeometryError", "InputError", "QuantityError", "VoxeldoseError"]


class VoxeldoseError(Exception):
    """Base of every refusal: the message says what was found, what is needed and the way out.

    Parameters
    ----------
    message : str
        For people.
    code : str, optional
        What kind of refusal it is, in words joined by hyphens, such as ``series-several``; the class's own without it.
    **fields
        What the message states, by name with unit, for programs.
    """

    usual_code: ClassVar[str] = "refused"

    def __init__(self, message: str = "", *, code: str | None = None, **fields: object) -> None:
        super().__init__(message)
        self.code = code or self.usual_code
        self.fields = fields


class GeometryError(VoxeldoseError):
    """Two things do not lie where they must: grids, frames of reference, spacings."""

    usual_code = "geometry"


class QuantityError(VoxeldoseError):
    """A number has the wrong unit, sign or instant, or no meaning at all."""

    usual_code = "quantity"


class InputError(VoxeldoseError):
    """A file or a key cannot be used; the message names it."""

    usual_code = "input"
