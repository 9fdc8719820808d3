"""Rigid transforms in and out of ITK transform files and texts of four rows.

Every function here speaks of the matrix that takes points of the *moving* image (of the first results) to points of the
*fixed* one (of the second), in LPS millimetres. ITK stores the other direction: where a point of the fixed image lies in the
moving one, as resampling needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from voxeldose.errors import GeometryError, InputError
from voxeldose.io.text_files import read_text
from voxeldose.io.transform_files import ITK_SUFFIXES, require_whole_transform
from voxeldose.model.rigid import rigid_matrix

if TYPE_CHECKING:
    from pathlib import Path

    from voxeldose.model.arrays import Matrix


__all__ = ["is_itk_transform", "read_itk_transform", "read_transform", "write_itk_transform"]


def is_itk_transform(path: Path) -> bool:
    """Whether the name is that of an ITK transform file."""
    return path.name.casefold().endswith(ITK_SUFFIXES)


def read_itk_transform(path: Path) -> Matrix:
    """The rigid matrix from moving to fixed of an ITK transform (``.tfm``, ``.txt``, ``.h5``, ``.mat``).

    Raises
    ------
    InputError
        If it cannot be read.
    GeometryError
        If it is no rigid transform.
    """
    return np.asarray(np.linalg.inv(rigid_matrix(_as_itk_applies_it(path), str(path))))


def read_transform(path: Path) -> Matrix:
    """The matrix, (4, 4), from points of the first results to points of the second.

    Parameters
    ----------
    path : Path
        ``.txt`` or ``.csv`` with four rows of four numbers: that matrix. Or an ITK transform (``.tfm``, ``.h5``, or a text
        that ITK wrote), which as in ``sitk.Resample`` takes points of the *second* to points of the first, and is inverted
        here.

    Raises
    ------
    InputError
        If it is neither.
    GeometryError
        If it is not rigid.
    """
    try:
        text = read_text(path) if path.suffix.casefold() in (".txt", ".csv") else ""
    except OSError as error:
        msg = f"{path}: cannot be read ({error})."
        raise InputError(
            msg, code="file-missing" if isinstance(error, FileNotFoundError) else "file-damaged"
        ) from error
    if text and not text.startswith("#Insight"):
        return rigid_matrix(_matrix_of_text(text, path), str(path))
    return read_itk_transform(path)


def write_itk_transform(matrix_lps_mm: Matrix, path: Path) -> None:
    """Write the matrix from moving to fixed as an ITK transform, which holds its inverse (fixed to moving, LPS)."""
    import SimpleITK as sitk  # noqa: N813

    inverse = np.linalg.inv(matrix_lps_mm)
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(inverse[:3, :3].ravel().tolist())
    affine.SetTranslation(inverse[:3, 3].tolist())
    sitk.WriteTransform(affine, str(path))


def _as_itk_applies_it(path: Path) -> Matrix:
    """The matrix of a linear transform in the direction that ITK stores: from fixed to moving."""
    import SimpleITK as sitk  # noqa: N813

    if not path.is_file():
        msg = f"{path}: there is no such transform file."
        raise InputError(msg, code="file-missing")
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    require_whole_transform(path)
    try:
        transform = sitk.ReadTransform(str(path))
    except RuntimeError as error:
        why = str(error).strip().splitlines()[-1]
        msg = f"{path}: cannot be read as an ITK transform ({why}). Write it again as .tfm, or as .txt with four rows of four numbers."
        raise InputError(msg, code="file-damaged") from error
    if transform.GetDimension() != 3 or not transform.IsLinear():
        msg = f"{path}: a {transform.GetDimension()}-dimensional {transform.GetName()} is no rigid transform; register rigidly."
        raise GeometryError(msg, code="transform-not-rigid")
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    axes = [np.array(transform.TransformPoint(axis)) - origin for axis in np.eye(3).tolist()]
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = np.stack(axes, axis=1), origin
    return matrix


def _matrix_of_text(text: str, path: Path) -> Matrix:
    try:
        matrix = np.array(
            [[float(v) for v in line.replace(",", " ").split()] for line in text.splitlines() if line.strip()]
        )
    except ValueError as error:
        msg = f"{path}: four rows of four numbers are needed ({error})."
        raise InputError(msg, code="table-wrong") from error
    if matrix.shape != (4, 4):
        msg = f"{path}: four rows of four numbers are needed, found the shape {matrix.shape}."
        raise InputError(msg, code="table-wrong")
    return np.asarray(matrix, np.float64)
