"""Rigid motions between frames of reference, and where one came from.

A rigid motion moves a grid by changing its affine: no voxel is interpolated and no value changes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from voxeldose.errors import GeometryError
from voxeldose.model.remarks import Numbers, Remark

if TYPE_CHECKING:
    import numpy.typing as npt

    from voxeldose.model.arrays import Matrix


__all__ = ["Registration", "rigid_matrix"]

#: A matrix whose axes differ from perpendicular unit vectors by more than this is no rigid motion; decimal strings of 16
#: characters keep 1e-13, matrices written with four decimals 1e-4.
RIGID = 1e-3

#: Mutual informations that differ by less are those of images that are equally alike.
ALIKE = 1e-3


def rigid_matrix(values: npt.ArrayLike, what: str) -> Matrix:
    """A 4 x 4 matrix as the rigid motion nearest to it; ``what`` names it in messages.

    Raises
    ------
    GeometryError
        If it scales, shears, mirrors, or is no homogeneous matrix.
    """
    matrix = np.array(values, np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or np.abs(matrix[3] - (0, 0, 0, 1)).max() > 1e-9:
        msg = f"{what}: a transform must be 4 x 4 with last row 0 0 0 1, found {matrix.tolist()}."
        raise GeometryError(msg, code="transform-not-rigid")
    left, sizes, right = np.linalg.svd(matrix[:3, :3])
    turn = left @ right
    if np.abs(sizes - 1).max() > RIGID or np.linalg.det(turn) < 0:
        msg = (
            f"{what}: not a rigid transform (scales {', '.join(f'{s:.4f}' for s in sizes)}, determinant "
            f"{np.linalg.det(matrix[:3, :3]):.4f}). Only rotation and translation are used here, since volumes and "
            "activity must not change; register rigidly."
        )
        raise GeometryError(msg, code="transform-not-rigid", scales=tuple(sizes.tolist()))
    matrix[:3, :3] = turn
    return matrix


@dataclass(frozen=True, eq=False)
class Registration:
    """A rigid motion that brings the moving image to the fixed one.

    Parameters
    ----------
    matrix_lps_mm : array_like, (4, 4)
        ``matrix @ (x, y, z, 1)`` of a point of the moving image is the same point of the patient in the fixed image.
    source : str
        Where it comes from, in words.
    moving, fixed : str
        What is moved and what stays: ``activity``, ``ct`` or ``rois``.
    centre_lps_mm : array_like, (3,)
        Centre of the moving image, before it is moved.
    frames : tuple
        Frame of Reference UID of the moving and of the fixed image; ``None`` where there is none.
    metric : dict
        How alike the images are: ``name``, ``before``, ``after``. Empty if nobody measured it.

    Raises
    ------
    GeometryError
        If the matrix is not rigid.
    """

    matrix_lps_mm: Matrix
    source: str
    moving: str
    fixed: str
    centre_lps_mm: Matrix
    frames: tuple[str | None, str | None] = (None, None)
    metric: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        matrix = rigid_matrix(self.matrix_lps_mm, self.source)
        matrix.setflags(write=False)
        object.__setattr__(self, "matrix_lps_mm", matrix)

    @property
    def rotation_deg(self) -> float:
        """Angle of the rotation about its axis."""
        turn = self.matrix_lps_mm[:3, :3]
        twice_sine = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
        return math.degrees(math.atan2(float(np.linalg.norm(twice_sine)), float(np.trace(turn)) - 1))

    @property
    def rotation_xyz_deg(self) -> tuple[float, float, float]:
        """Angles about the fixed axes x, then y, then z (LPS)."""
        turn = self.matrix_lps_mm[:3, :3]
        about_y = math.asin(float(np.clip(-turn[2, 0], -1, 1)))
        about_x = math.atan2(turn[2, 1], turn[2, 2])
        about_z = math.atan2(turn[1, 0], turn[0, 0])
        return math.degrees(about_x), math.degrees(about_y), math.degrees(about_z)

    @property
    def shift_mm(self) -> tuple[float, float, float]:
        """By how much the centre of the moving image moves, (x, y, z) in LPS."""
        centre = np.asarray(self.centre_lps_mm, np.float64)
        x, y, z = self.matrix_lps_mm[:3, :3] @ centre + self.matrix_lps_mm[:3, 3] - centre
        return float(x), float(y), float(z)

    def doubts(self) -> tuple[Remark, ...]:
        """A warning if the images are less alike than they were."""
        if not self.metric or self.metric["after"] >= self.metric["before"] - ALIKE:
            return ()
        sentence = (
            f"The registration makes the images less alike ({self.metric['name']} {self.metric['before']:.4f} before, "
            f"{self.metric['after']:.4f} after): look at them in the report, and check that the transform is that of these "
            "images and not its inverse."
        )
        numbers = {"before": self.metric["before"], "after": self.metric["after"]}
        return (Remark("registration-less-alike", numbers, sentence),)

    def facts(self) -> dict[str, Any]:
        """Everything about it, for results and report."""
        return {
            "source": self.source,
            "moving": self.moving,
            "fixed": self.fixed,
            "moving_frame_uid": self.frames[0],
            "fixed_frame_uid": self.frames[1],
            "rotation_deg": self.rotation_deg,
            "rotation_xyz_deg": list(self.rotation_xyz_deg),
            "shift_of_centre_mm_xyz": list(self.shift_mm),
            "matrix_moving_to_fixed_lps_mm": self.matrix_lps_mm.tolist(),
            "metric": dict(self.metric) or None,
        }

    def remark(self) -> Remark:
        """What was done, for the assumptions of a result."""
        shift = ", ".join(f"{v:.2f}" for v in self.shift_mm)
        sentence = (
            f"The {self.moving} was registered rigidly to the {self.fixed} ({self.source}): rotation {self.rotation_deg:.2f} "
            f"degrees, its centre moved by ({shift}) mm in LPS, {float(np.linalg.norm(self.shift_mm)):.2f} mm in all. Grids "
            "were moved, no value was interpolated; breathing and deformation are not corrected."
        )
        if self.metric:
            sentence += (
                f" {self.metric['name']} of the two images {self.metric['before']:.4f} before and "
                f"{self.metric['after']:.4f} after."
            )
        numbers: Numbers = {
            "moving": self.moving,
            "fixed": self.fixed,
            "rotation_deg": self.rotation_deg,
            "shift_mm": float(np.linalg.norm(self.shift_mm)),
        }
        return Remark("registered", numbers, sentence)
