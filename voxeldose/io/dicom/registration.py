"""DICOM Spatial Registration in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from voxeldose.errors import InputError
from voxeldose.io.damage import refusing_damage
from voxeldose.io.dicom.files import find_series, read_header
from voxeldose.io.dicom.header import items, numbers, text
from voxeldose.model.rigid import rigid_matrix

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

    from voxeldose.model.arrays import Matrix

__all__ = ["read_registration"]

_REG = "1.2.840.10008.5.1.4.1.1.66.1"

_DEFORMABLE = "1.2.840.10008.5.1.4.1.1.66.3"


@refusing_damage
def read_registration(path: Path, moving_uid: str | None, fixed_uid: str | None) -> Matrix:
    """The matrix from the moving to the fixed frame of reference that a DICOM Spatial Registration gives.

    Each item of the Registration Sequence (0070,0308) holds a Frame of Reference UID and a matrix that takes its points to
    the registered frame, whose UID stands at the top of the file (PS3.3 C.20.2). Either image may be in either place: the
    matrix returned is that of the moving item followed by the inverse of that of the fixed one.

    Parameters
    ----------
    path : path
        The file, or a folder with one.
    moving_uid, fixed_uid : str or None
        Frames of reference of the two images.

    Raises
    ------
    InputError
        If there is no such file, it says nothing of one of the frames, or several things about one.
    GeometryError
        If a matrix is not rigid.
    """
    file, header = _one_registration(path)
    if moving_uid is None or fixed_uid is None:
        msg = (
            f"{file}: a DICOM registration names frames of reference, but {'the moving' if moving_uid is None else 'the fixed'} "
            "image has none (NIfTI and NRRD never do). Give the images as DICOM, or the transform as an ITK .tfm file."
        )
        raise InputError(msg, code="frame-missing")
    registered = text(header, "FrameOfReferenceUID")
    matrices: dict[str, list[Matrix]] = {registered: [np.eye(4)]} if registered else {}
    for n, item in enumerate(items(header, "RegistrationSequence"), 1):
        uid = text(item, "FrameOfReferenceUID")
        matrix = _matrix(item, f"{file}: item {n} of Registration Sequence (0070,0308)")
        if uid and not any(np.abs(matrix - known).max() < 1e-6 for known in matrices.get(uid, [])):
            matrices.setdefault(uid, []).append(matrix)
    missing = [uid for uid in (moving_uid, fixed_uid) if uid not in matrices]
    if missing:
        msg = (
            f"{file}: registers the frames of reference {', '.join(matrices) or 'none'}, but not {', '.join(missing)} of the "
            "images of this case. Give the registration of these two series."
        )
        raise InputError(msg, code="frame-differs", missing=tuple(missing))
    for uid in (moving_uid, fixed_uid):
        if len(matrices[uid]) > 1:
            msg = f"{file}: holds {len(matrices[uid])} different matrices for the frame {uid}; give the right one as a .tfm file."
            raise InputError(msg, code="registration-several")
    return np.asarray(np.linalg.inv(matrices[fixed_uid][0]) @ matrices[moving_uid][0])


def _one_registration(path: Path) -> tuple[Path, Dataset]:
    if path.is_file():
        header = read_header(path)
        files = [(path, header)] if header is not None else []
    else:
        files = [(p, h) for s in find_series(path) for p, h in zip(s.paths, s.headers, strict=True)]
    rigid = [(p, h) for p, h in files if text(h, "SOPClassUID") == _REG]
    if len(rigid) != 1:
        other = " A deformable one is here; only rigid ones are used." if _has_deformable(files) else ""
        msg = f"{path}: one DICOM Spatial Registration is needed, found {len(rigid)}.{other} Name the file, or a .tfm."
        raise InputError(msg, code="registration-several" if rigid else "registration-missing", found=len(rigid))
    return rigid[0]


def _has_deformable(files: list[tuple[Path, Dataset]]) -> bool:
    return any(text(h, "SOPClassUID") == _DEFORMABLE for _, h in files)


def _matrix(item: Dataset, where: str) -> Matrix:
    """The one matrix of an item; several count only if their order does not matter."""
    steps = []
    for registration in items(item, "MatrixRegistrationSequence"):
        for step in items(registration, "MatrixSequence"):
            values = numbers(step, "FrameOfReferenceTransformationMatrix")
            if not values:
                msg = f"{where}: no Frame of Reference Transformation Matrix (3006,00C6)."
                raise InputError(msg, code="registration-incomplete")
            if len(values) != 16:
                msg = f"{where}: the matrix (3006,00C6) has {len(values)} values instead of 16."
                raise InputError(msg, code="registration-incomplete", values=len(values))
            steps.append(rigid_matrix(np.reshape(values, (4, 4)), where))
    if not steps:
        msg = f"{where}: no matrix (0070,030A)."
        raise InputError(msg, code="registration-incomplete")
    forward, backward = np.eye(4), np.eye(4)
    for step in steps:
        forward, backward = step @ forward, backward @ step
    if np.abs(forward - backward).max() > 1e-6:
        msg = f"{where}: {len(steps)} matrices whose order matters; programs disagree about it. Export one matrix."
        raise InputError(msg, code="registration-ambiguous", matrices=len(steps))
    return forward
