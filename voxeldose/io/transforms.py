"""Rigid transforms in and out: DICOM Spatial Registration, and ITK transform files.

Every function here speaks of the matrix that takes points of the *moving* image to points of the *fixed* one, in LPS
millimetres. DICOM stores that direction (source to registered frame); ITK stores the other one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from voxeldose.errors import GeometryError, InputError
from voxeldose.model.rigid import rigid_matrix

if TYPE_CHECKING:
    from pathlib import Path

    from voxeldose.model.arrays import Doubles, Matrix


__all__ = ["is_itk_transform", "read_itk_transform", "read_transform", "write_itk_transform"]

_ITK = (".tfm", ".txt", ".h5", ".hdf5", ".mat", ".xfm")


def is_itk_transform(path: Path) -> bool:
    """Whether the name is that of an ITK transform file."""
    return path.name.casefold().endswith(_ITK)


def read_itk_transform(path: Path) -> Matrix:
    """The matrix from moving to fixed of an ITK transform (``.tfm``, ``.txt``, ``.h5``, ``.mat``).

    ITK stores where a point of the *fixed* image lies in the *moving* one (that is how it resamples), in LPS; the inverse
    is returned.

    Raises
    ------
    InputError
        If it cannot be read.
    GeometryError
        If it is no rigid transform.
    """
    import SimpleITK as sitk  # noqa: N813

    if not path.is_file():
        msg = f"{path}: there is no such transform file."
        raise InputError(msg)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        found = sitk.ReadTransform(str(path))
    except RuntimeError as error:
        msg = f"{path}: cannot be read as an ITK transform ({str(error).strip().splitlines()[-1]}). Write it again."
        raise InputError(msg) from error
    if found.GetDimension() != 3 or not found.IsLinear():
        msg = f"{path}: a {found.GetDimension()}-dimensional {found.GetName()} is no rigid transform; register rigidly."
        raise GeometryError(msg)
    origin = np.array(found.TransformPoint((0.0, 0.0, 0.0)))
    axes = [np.array(found.TransformPoint(axis)) - origin for axis in np.eye(3).tolist()]
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack(axes, axis=1)
    matrix[:3, 3] = origin
    return np.asarray(np.linalg.inv(rigid_matrix(matrix, str(path))))


def write_itk_transform(matrix_lps_mm: Matrix, path: Path) -> None:
    """Write the matrix from moving to fixed as an ITK transform, which holds its inverse (fixed to moving, LPS)."""
    import SimpleITK as sitk  # noqa: N813

    inverse = np.linalg.inv(matrix_lps_mm)
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(inverse[:3, :3].ravel().tolist())
    affine.SetTranslation(inverse[:3, 3].tolist())
    sitk.WriteTransform(affine, str(path))


def read_transform(path: Path) -> Doubles:
    """A rigid transform from points of the first results to points of the second, (4, 4) in LPS millimetres.

    Parameters
    ----------
    path : Path
        ``.txt`` or ``.csv`` with four rows of four numbers: that matrix. Or an ITK transform (``.tfm``, ``.h5``, or a text
        that ITK wrote), which as in ``sitk.Resample`` takes points of the *second* to points of the first, and is turned
        round here.

    Raises
    ------
    InputError
        If it is neither, or not linear.
    """
    try:
        text = path.read_text("utf-8") if path.suffix.casefold() in (".txt", ".csv") else ""
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read ({error})."
        raise InputError(msg) from error
    if text and not text.startswith("#Insight"):
        try:
            matrix = np.array(
                [[float(v) for v in line.replace(",", " ").split()] for line in text.splitlines() if line.strip()]
            )
        except ValueError as error:
            msg = f"{path}: four rows of four numbers are needed ({error})."
            raise InputError(msg) from error
        if matrix.shape != (4, 4):
            msg = f"{path}: four rows of four numbers are needed, found the shape {matrix.shape}."
            raise InputError(msg)
        return np.asarray(matrix, np.float64)
    import SimpleITK as sitk  # noqa: N813

    try:
        transform = sitk.ReadTransform(str(path))
    except RuntimeError as error:
        why = str(error).strip().splitlines()[-1]
        msg = (
            f"{path}: cannot be read as an ITK transform ({why}). Give .tfm, or a .txt with four rows of four numbers."
        )
        raise InputError(msg) from error
    if not transform.IsLinear():
        msg = f"{path}: a rigid transform is needed, found one that is not linear; dose cannot be warped here."
        raise InputError(msg)
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    columns = [np.array(transform.TransformPoint(tuple(axis))) - origin for axis in np.eye(3)]
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = np.stack(columns, axis=1), origin
    try:
        return np.asarray(np.linalg.inv(matrix))
    except np.linalg.LinAlgError as error:
        msg = f"{path}: the transform cannot be turned round."
        raise InputError(msg) from error
