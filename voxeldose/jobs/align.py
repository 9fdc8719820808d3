"""Images and regions of a case into one frame of reference, as its ``[registration]`` says.

Only grids move: the moving image keeps its voxels and their values.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from voxeldose.errors import GeometryError, InputError
from voxeldose.geometry.register import METRIC, find_rigid, similarity
from voxeldose.io.dicom.registration import read_registration
from voxeldose.io.images import read_image
from voxeldose.io.transforms import is_itk_transform, read_itk_transform
from voxeldose.model.rigid import Registration
from voxeldose.model.roi import RoiSet

if TYPE_CHECKING:
    from voxeldose.io.config.case import RegistrationTable
    from voxeldose.model.arrays import Matrix
    from voxeldose.model.grid import Grid
    from voxeldose.model.roi import Roi
    from voxeldose.model.volume import ActivityMap, CountMap, CtImage, Volume


__all__ = ["AlignedImages", "align"]


@dataclass(frozen=True, eq=False)
class AlignedImages:
    """Images and regions of a case where they lie.

    ``drawn_on`` states for each set of regions on which image it was drawn (``activity`` or ``ct``), on the user's word;
    ``None`` if nobody said.
    """

    activity: ActivityMap | CountMap
    ct: CtImage | None
    rois: tuple[RoiSet, ...]
    drawn_on: tuple[str | None, ...]


@dataclass(frozen=True, eq=False)
class _Motion:
    """What moves (``activity``, ``ct`` or ``rois``) to what stays (``activity`` or ``ct``).

    ``shown`` is the image that shows what moves, another one than ``moving_image`` where the user named one; ``target`` is the
    one that a search compares it with.
    """

    moving: str
    fixed: str
    moving_image: Volume | None
    fixed_image: Volume | None
    shown: Volume | None
    target: Volume
    moving_frame: str | None
    fixed_frame: str | None


@dataclass(frozen=True, eq=False)
class _Transform:
    """The matrix from moving to fixed, where it comes from, and how alike it makes the images."""

    matrix_lps_mm: Matrix
    source: str
    metric: dict[str, object]


def align(images: AlignedImages, table: RegistrationTable) -> tuple[AlignedImages, Registration]:
    """Everything in the frame of reference of the image that stays.

    Parameters
    ----------
    images : AlignedImages
        As read.
    table : RegistrationTable
        ``path`` of a transform or ``method``; ``moving``: ``activity`` (if there is a CT, the default) is moved to the
        CT, ``ct`` to the activity, ``rois`` (the default without a CT) to the activity. Regions move with the image they
        were drawn on.

    Returns
    -------
    images, registration

    Raises
    ------
    InputError
        If the table contradicts itself or the case, or the transform is not about these images.
    GeometryError
        If the transform is not rigid, or it is not known with which image a region goes.
    """
    motion = _plan_motion(images, table)
    transform = _find_transform(table, motion)
    matrix, frame = transform.matrix_lps_mm, motion.fixed_frame
    rois, first_moved = [], None
    for one, drawn_on in zip(images.rois, images.drawn_on, strict=True):
        moved, grid = _move_regions(one, drawn_on, motion, matrix)
        rois.append(moved)
        first_moved = first_moved or grid
    anchor = motion.shown.grid if motion.shown is not None else first_moved
    if anchor is None:
        msg = "registration: no region lies in another frame of reference than the activity, so nothing would move."
        raise InputError(msg, code="nothing-moves")
    activity, ct = images.activity, images.ct
    if motion.moving == "activity":
        activity = activity.replaced(activity.values, activity.grid.moved(matrix, frame))
    elif motion.moving == "ct" and ct is not None:
        ct = ct.replaced(ct.values, ct.grid.moved(matrix, frame))
    registration = Registration(
        matrix,
        transform.source,
        motion.moving,
        motion.fixed,
        anchor.corners().mean(axis=0),
        (motion.moving_frame, frame),
        transform.metric,
    )
    return AlignedImages(activity, ct, tuple(rois), images.drawn_on), registration


def _plan_motion(images: AlignedImages, table: RegistrationTable) -> _Motion:
    """What moves to what, by the table and the images there are."""
    if (table.path is None) == (table.method is None):
        msg = 'registration: give either path (DICOM REG, .tfm, .h5) or method = "rigid".'
        raise InputError(msg, code="keys-contradict" if table.path is not None else "key-missing")
    activity, ct = images.activity, images.ct
    moving = table.moving or ("activity" if ct is not None else "rois")
    if moving != "rois" and ct is None:
        msg = f'registration: moving = "{moving}" needs a CT besides the activity; give [ct] path, or moving = "rois".'
        raise InputError(msg, code="ct-missing")
    fixed_image = ct if moving == "activity" else activity
    moving_image = {"activity": activity, "ct": ct, "rois": None}[moving]
    shown = moving_image if table.image is None else read_image(table.image)
    still: Volume = ct if moving == "activity" and ct is not None else activity
    frame = _moving_frame(images, moving_image, shown, still.grid.frame_uid)
    if moving_image is not None and shown is not None and not moving_image.grid.may_share_frame(shown.grid):
        msg = (
            f"registration.image lies in the frame of reference {shown.grid.frame_uid}, the {moving} in "
            f"{moving_image.grid.frame_uid}; give an image of the same session, such as the CT of the PET/CT."
        )
        raise GeometryError(msg, code="frame-differs", found=shown.grid.frame_uid, needed=moving_image.grid.frame_uid)
    # regions alone are sought on the CT, where it shares the frame of the activity
    on_ct = moving == "rois" and ct is not None and ct.grid.may_share_frame(activity.grid)
    return _Motion(
        moving=moving,
        fixed="ct" if moving == "activity" else "activity",
        moving_image=moving_image,
        fixed_image=fixed_image,
        shown=shown,
        target=ct if on_ct and ct is not None else still,
        moving_frame=frame,
        fixed_frame=still.grid.frame_uid,
    )


def _moving_frame(
    images: AlignedImages, moving_image: Volume | None, shown: Volume | None, fixed_uid: str | None
) -> str | None:
    """The frame of reference of what moves."""
    image = moving_image if moving_image is not None else shown
    if image is not None:
        return image.grid.frame_uid
    uids = {roi.grid.frame_uid for rois in images.rois for roi in rois} - {fixed_uid, None}
    if len(uids) > 1:
        msg = (
            f"registration: ROIs lie in {len(uids)} other frames of reference ({', '.join(sorted(map(str, uids)))}), and one "
            "transform moves those of one. Leave the others out."
        )
        raise InputError(msg, code="frames-several", found=len(uids))
    return uids.pop() if uids else None


def _find_transform(table: RegistrationTable, motion: _Motion) -> _Transform:
    """From the file that the table names, or by search."""
    shown, target = motion.shown, motion.target
    if table.path is None:
        if shown is None:
            msg = 'registration: method = "rigid" with moving = "rois" needs image, the image on which they were drawn.'
            raise InputError(msg, code="key-missing", key="registration.image")
        found = find_rigid(shown, target)
        return _Transform(found.matrix_lps_mm, found.registration.source, found.metric)
    path = Path(table.path)
    if is_itk_transform(path):
        matrix, kind = read_itk_transform(path), "ITK transform"
    else:
        matrix, kind = read_registration(path, motion.moving_frame, motion.fixed_frame), "DICOM Spatial Registration"
    alike: dict[str, object] = {}
    if shown is not None and shown.grid.is_right_angled and target.grid.is_right_angled:
        before, after = similarity(shown, target, None), similarity(shown, target, matrix)
        if before is not None and after is not None:
            alike = {"name": METRIC, "before": before, "after": after}
    return _Transform(matrix, f"{kind} {path.name}", alike)


def _move_regions(rois: RoiSet, drawn_on: str | None, motion: _Motion, matrix: Matrix) -> tuple[RoiSet, Grid | None]:
    """A set of regions with those moved that move; and the grid of the first of these before, if any moves."""
    moves = [_moves(roi, rois.grid, drawn_on, motion) for roi in rois]
    parts = [
        replace(roi, grid=roi.grid.moved(matrix, motion.fixed_frame)) if one else roi
        for roi, one in zip(rois, moves, strict=True)
    ]
    whole = rois.grid
    if all(moves):
        whole = whole.moved(matrix, motion.fixed_frame) if whole is not None else None
    elif any(moves):
        whole = None
    first = next((roi.grid for roi, one in zip(rois, moves, strict=True) if one), None)
    return RoiSet(tuple(parts), whole), first


def _moves(roi: Roi, whole: Grid | None, drawn_on: str | None, motion: _Motion) -> bool:
    """Whether a region lies in the frame that moves: by the user's word, its frame of reference, or its voxels."""
    moving, fixed = motion.moving, motion.fixed
    if drawn_on is not None:
        return drawn_on == moving
    uid = roi.grid.frame_uid
    if uid is not None and motion.moving_frame != motion.fixed_frame:
        return uid == motion.moving_frame
    if moving == "rois":
        return uid is None
    on_moving, on_fixed = (
        whole is not None and image is not None and whole.matches(image.grid)
        for image in (motion.moving_image, motion.fixed_image)
    )
    if on_moving != on_fixed:
        return on_moving
    msg = (
        f"ROI {roi.name!r}: nothing says whether it was drawn on the {moving} or on the {fixed}, so whether it moves. State it "
        f'with drawn_on = "{moving}" or "{fixed}" in its [[rois]] table.'
    )
    raise GeometryError(msg, code="drawn-on-unknown", roi=roi.name)
