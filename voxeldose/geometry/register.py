"""Finding a rigid motion between two images, by mutual information (SimpleITK).

The motion found is a :class:`voxeldose.model.rigid.Registration`; nothing is resampled except inside the search.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from voxeldose.errors import GeometryError, QuantityError
from voxeldose.model.rigid import ALIKE, Registration, rigid_matrix
from voxeldose.model.roi import RoiSet
from voxeldose.model.volume import CtImage, Volume

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voxeldose.model.arrays import Matrix
    from voxeldose.model.grid import Grid


__all__ = ["METRIC", "RigidFound", "find_rigid", "similarity"]

AnyVolume = TypeVar("AnyVolume", bound=Volume)

METRIC = "Mattes mutual information"

#: Bins of the joint histogram; points sampled for the metric; and the seed that makes every run the same.
_BINS = 48
_POINTS = 80_000
_SEED = 20240502
#: Smoothing (mm) and shrinking from the first level to the last; voxels are not made larger than this (mm).
_LEVELS_MM = (6.0, 3.0, 1.0)
_COARSEST_MM = (8.0, 4.0, 2.5)
#: CT numbers are cut here: beyond lie metal and the void outside the reconstruction circle.
_HU = (-1000.0, 1000.0)


@dataclass(frozen=True, eq=False)
class RigidFound:
    """A rigid motion that was found.

    Parameters
    ----------
    matrix_lps_mm : ndarray, (4, 4)
        Takes points of the moving image to points of the fixed one.
    registration : Registration
        How it came about, for :class:`voxeldose.Case`.
    """

    matrix_lps_mm: Matrix
    registration: Registration

    @property
    def metric(self) -> dict[str, Any]:
        """How alike the images are (higher is more alike): ``name``, ``before``, ``after``."""
        return self.registration.metric

    def move(self, image: AnyVolume) -> AnyVolume:
        """A volume of the moving image in the frame of reference of the fixed one; no value changes."""
        return image.replaced(image.values, self._moved(image.grid))

    def move_regions(self, rois: RoiSet) -> RoiSet:
        """Regions drawn on the moving image, in the frame of reference of the fixed one."""
        moved = tuple(replace(roi, grid=self._moved(roi.grid)) for roi in rois)
        return RoiSet(moved, self._moved(rois.grid) if rois.grid is not None else None)

    def _moved(self, grid: Grid) -> Grid:
        return grid.moved(self.matrix_lps_mm, self.registration.frames[1])


def find_rigid(moving: Volume, fixed: Volume) -> RigidFound:
    """The rigid motion of the moving image to the fixed one with the most mutual information.

    Three levels from coarse to fine; the search starts where the images lie, or, if they hardly overlap there, with their
    centres on each other. Points are sampled by a fixed seed on one thread, so that the same images give the same motion.

    Parameters
    ----------
    moving, fixed : Volume
        Of the same body, such as two CTs, or CT and SPECT.

    Returns
    -------
    RigidFound
        ``move`` and ``move_regions`` apply it; ``registration`` goes into the case.

    Raises
    ------
    GeometryError
        If the images do not overlap enough, or the search does not end in a better place than it began.

    References
    ----------
    Mattes et al., IEEE Trans. Med. Imaging 22 (2003) 120-128.
    """
    with _one_thread():
        motion = _search(moving, fixed)
    before, after = similarity(moving, fixed, None), similarity(moving, fixed, motion)
    if after is None or (before is not None and after < before - ALIKE):
        msg = (
            "The search for a registration did not make the images more alike. Register them elsewhere and give the transform "
            "with [registration] path."
        )
        raise GeometryError(msg, code="registration-failed")
    metric = {"name": METRIC, "before": before if before is not None else 0.0, "after": after}
    first, second = ("ct" if isinstance(image, CtImage) else "activity" for image in (moving, fixed))
    frames = moving.grid.frame_uid, fixed.grid.frame_uid
    return RigidFound(
        motion, Registration(motion, f"found here by {METRIC}", first, second, _centre(moving), frames, metric)
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let SimpleITK add up in one order, so that the last digits are the same in every run."""
    import SimpleITK as sitk  # noqa: N813

    usual = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(usual)


def _search(moving: Volume, fixed: Volume) -> Matrix:
    import SimpleITK as sitk  # noqa: N813

    still, moved = _image(fixed), _image(moving)
    start = sitk.Euler3DTransform()
    start.SetCenter(_centre(fixed).tolist())
    if not _overlap(fixed, moving):
        start.SetTranslation((_centre(moving) - _centre(fixed)).tolist())
    search = _method(sitk)
    search.SetOptimizerAsRegularStepGradientDescent(
        learningRate=2.0, minStep=3e-4, numberOfIterations=200, relaxationFactor=0.5, gradientMagnitudeTolerance=1e-8
    )
    search.SetOptimizerScalesFromPhysicalShift()
    motion = start
    try:
        for smooth_mm, coarse_mm in zip(_LEVELS_MM, _COARSEST_MM, strict=True):
            here = _at(still, smooth_mm, coarse_mm)
            _sample(search, here)
            search.SetInitialTransform(motion, inPlace=False)
            level = search.Execute(here, _at(moved, smooth_mm, coarse_mm))
            motion = sitk.Euler3DTransform(_inner(level))
    except RuntimeError as error:
        reason = re.sub(r"\(0x[0-9a-f]+\)", "", str(error).strip().splitlines()[-1])
        msg = (
            f"The images could not be registered ({reason}). Register them elsewhere and give "
            "the transform with [registration] path."
        )
        raise GeometryError(msg, code="registration-failed") from error
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(motion.GetMatrix(), (3, 3))
    matrix[:3, 3] = motion.TransformPoint((0.0, 0.0, 0.0))
    return np.asarray(np.linalg.inv(rigid_matrix(matrix, "registration")))


def similarity(moving: Volume, fixed: Volume, matrix_lps_mm: Matrix | None) -> float | None:
    """Mattes mutual information of two images after a motion of the moving one; ``None`` if they do not overlap."""
    import SimpleITK as sitk  # noqa: N813

    inverse = np.linalg.inv(np.eye(4) if matrix_lps_mm is None else matrix_lps_mm)
    place = sitk.AffineTransform(3)
    place.SetMatrix(inverse[:3, :3].ravel().tolist())
    place.SetTranslation(inverse[:3, 3].tolist())
    level = (_LEVELS_MM[-1], _COARSEST_MM[-1])
    with _one_thread():
        measure = _method(sitk)
        measure.SetInitialTransform(place)
        here = _at(_image(fixed), *level)
        _sample(measure, here)
        try:
            return -float(measure.MetricEvaluate(here, _at(_image(moving), *level)))
        except RuntimeError:
            return None


def _method(sitk: Any) -> Any:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetInterpolator(sitk.sitkLinear)
    return method


def _sample(method: Any, fixed: Any) -> None:
    """Let the metric look at the same random points of the fixed image in every run."""
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(min(1.0, _POINTS / float(np.prod(fixed.GetSize()))), _SEED)


def _inner(transform: Any) -> Any:
    """The Euler transform that SimpleITK may wrap in a composite."""
    import SimpleITK as sitk  # noqa: N813

    down = transform.Downcast()
    while isinstance(down, sitk.CompositeTransform):
        down = down.GetNthTransform(down.GetNumberOfTransforms() - 1).Downcast()
    return down


def _image(volume: Volume) -> Any:
    """A SimpleITK image in the same place, CT numbers within bounds."""
    if not volume.grid.is_right_angled:
        msg = "An image with sheared axes cannot be registered here; give it on perpendicular axes."
        raise GeometryError(msg, code="grid-sheared")
    values = volume.values
    if isinstance(volume, CtImage):
        values = np.clip(values, *_HU)
    if float(np.ptp(values)) == 0:
        msg = f"The {volume.quantity} image has one value everywhere, so it cannot be registered."
        raise QuantityError(msg, code="image-uniform")
    return volume.replaced(values).to_sitk()


def _at(image: Any, smooth_mm: float, coarse_mm: float) -> Any:
    """Smoothed, and with voxels of up to ``coarse_mm``."""
    import SimpleITK as sitk  # noqa: N813

    factors = [max(1, int(coarse_mm / s)) for s in image.GetSpacing()]
    kept = [min(f, max(1, n // 16)) for f, n in zip(factors, image.GetSize(), strict=True)]
    small = sitk.BinShrink(image, kept) if max(kept) > 1 else image
    return sitk.SmoothingRecursiveGaussian(sitk.Cast(small, sitk.sitkFloat32), smooth_mm)


def _centre(volume: Volume) -> Matrix:
    return volume.grid.points_lps_mm((np.array(volume.grid.shape) - 1) / 2)


def _overlap(fixed: Volume, moving: Volume) -> bool:
    """Whether the centre of each image lies inside the other."""
    return all(
        ((here := b.grid.indices(_centre(a))) > -0.5).all() and (here < np.array(b.grid.shape) - 0.5).all()
        for a, b in ((fixed, moving), (moving, fixed))
    )
