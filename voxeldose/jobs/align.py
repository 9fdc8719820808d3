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


__all__ = ["Placed", "align"]


@dataclass(frozen=True, eq=False)
class Placed:
    """Images and regions of a case where they lie.

    ``drawn_on`` tells for each set of regions on which image it was drawn (``activity`` or ``ct``), on the user's word;
    ``None`` if nobody said.
    """

    activity: ActivityMap | CountMap
    ct: CtImage | None
    rois: tuple[RoiSet, ...]
    drawn_on: tuple[str | None, ...]


def align(placed: Placed, table: RegistrationTable) -> tuple[Placed, Registration]:
    """Everything in the frame of reference of the image that stays.

    Parameters
    ----------
    placed : Placed
        As read.
    table : RegistrationTable
        ``path`` of a transform or ``method``; ``moving``: ``activity`` (if there is a CT, the default) is moved to the
        CT, ``ct`` to the activity, ``rois`` (the default without a CT) to the activity. Regions move with the image they
        were drawn on.

    Returns
    -------
    placed, registration

    Raises
    ------
    InputError
        If the table contradicts itself or the case, or the transform is not about these images.
    GeometryError
        If the transform is not rigid, or it is not known with which image a region goes.
    """
    if (table.path is None) == (table.method is None):
        msg = 'registration: give either path (DICOM REG, .tfm, .h5) or method = "rigid".'
        raise InputError(msg)
    moving = table.moving or ("activity" if placed.ct is not None else "rois")
    if moving != "rois" and placed.ct is None:
        msg = f'registration: moving = "{moving}" needs a CT beside the activity; give [ct] path, or moving = "rois".'
        raise InputError(msg)
    still: Volume = placed.ct if moving == "activity" and placed.ct is not None else placed.activity
    fixed = "ct" if moving == "activity" else "activity"
    images: dict[str, Volume | None] = {"activity": placed.activity, "ct": placed.ct, "rois": None}
    shown = images[moving] if table.image is None else read_image(table.image)
    frames = _moving_frame(placed, moving, shown, still.grid.frame_uid), still.grid.frame_uid
    _require_image_of(moving, images[moving], shown)
    matrix, source, metric = _transform(table, shown, _seen(placed, moving, still), frames)
    moved, anchor = [], shown.grid if shown is not None else None
    for rois, drawn_on in zip(placed.rois, placed.drawn_on, strict=True):
        parts = []
        for roi in rois:
            moves = _goes_along(roi, rois.grid, drawn_on, (moving, fixed), frames, images)
            anchor = anchor or (roi.grid if moves else None)
            parts.append(replace(roi, grid=roi.grid.moved(matrix, frames[1])) if moves else roi)
        together = [p is not r for p, r in zip(parts, rois, strict=True)]
        whole = rois.grid.moved(matrix, frames[1]) if rois.grid is not None and all(together) else rois.grid
        moved.append(RoiSet(tuple(parts), whole if all(together) or not any(together) else None))
    if anchor is None:
        msg = "registration: no region lies in another frame of reference than the activity, so nothing would move."
        raise InputError(msg)
    activity, ct = placed.activity, placed.ct
    if moving == "activity":
        activity = activity.replaced(activity.values, activity.grid.moved(matrix, frames[1]))
    elif moving == "ct" and ct is not None:
        ct = ct.replaced(ct.values, ct.grid.moved(matrix, frames[1]))
    centre = anchor.corners().mean(axis=0)
    found = Registration(matrix, source, moving, fixed, centre, frames, metric)
    return Placed(activity, ct, tuple(moved), placed.drawn_on), found


def _transform(
    table: RegistrationTable, shown: Volume | None, still: Volume, frames: tuple[str | None, str | None]
) -> tuple[Matrix, str, dict[str, object]]:
    """The matrix from moving to fixed, where it comes from, and how alike it makes the images."""
    if table.path is None:
        if shown is None:
            msg = 'registration: method = "rigid" with moving = "rois" needs image, the image on which they were drawn.'
            raise InputError(msg)
        found = find_rigid(shown, still)
        return found.matrix_lps_mm, found.registration.source, found.metric
    path = Path(table.path)
    if is_itk_transform(path):
        matrix, kind = read_itk_transform(path), "ITK transform"
    else:
        matrix, kind = read_registration(path, *frames), "DICOM Spatial Registration"
    alike: dict[str, object] = {}
    if shown is not None and shown.grid.is_right_angled and still.grid.is_right_angled:
        before, after = similarity(shown, still, None), similarity(shown, still, matrix)
        if before is not None and after is not None:
            alike = {"name": METRIC, "before": before, "after": after}
    return matrix, f"{kind} {path.name}", alike


def _seen(placed: Placed, moving: str, still: Volume) -> Volume:
    """The fixed image that a search looks at: the CT, where it shares the frame of the activity."""
    ct = placed.ct
    return ct if moving == "rois" and ct is not None and ct.grid.may_share_frame(placed.activity.grid) else still


def _require_image_of(moving: str, image: Volume | None, shown: Volume | None) -> None:
    if image is not None and shown is not None and not image.grid.may_share_frame(shown.grid):
        msg = (
            f"registration.image lies in the frame of reference {shown.grid.frame_uid}, the {moving} in "
            f"{image.grid.frame_uid}; give an image of the same session, such as the CT of the PET/CT."
        )
        raise GeometryError(msg)


def _moving_frame(placed: Placed, moving: str, shown: Volume | None, fixed_uid: str | None) -> str | None:
    """The frame of reference of what moves."""
    image = placed.activity if moving == "activity" else placed.ct if moving == "ct" else None
    if image is not None:
        return image.grid.frame_uid
    if shown is not None:
        return shown.grid.frame_uid
    uids = {roi.grid.frame_uid for rois in placed.rois for roi in rois} - {fixed_uid, None}
    if len(uids) > 1:
        msg = f"registration: ROIs lie in {len(uids)} other frames of reference ({', '.join(sorted(map(str, uids)))})."
        raise InputError(msg)
    return uids.pop() if uids else None


def _goes_along(
    roi: Roi,
    whole: Grid | None,
    drawn_on: str | None,
    names: tuple[str, str],
    frames: tuple[str | None, str | None],
    images: dict[str, Volume | None],
) -> bool:
    """Whether a region lies in the frame that moves: by the user's word, its frame of reference, or its voxels."""
    moving, fixed = names
    if drawn_on is not None:
        return drawn_on == moving
    uid = roi.grid.frame_uid
    if uid is not None and frames[0] != frames[1]:
        return uid == frames[0]
    if moving == "rois":
        return uid is None
    on_moving, on_fixed = (
        whole is not None and image is not None and whole.matches(image.grid)
        for image in (images[moving], images[fixed])
    )
    if on_moving != on_fixed:
        return on_moving
    msg = (
        f"ROI {roi.name!r}: nothing tells whether it was drawn on the {moving} or on the {fixed}, so whether it moves. Say it "
        f'with drawn_on = "{moving}" or "{fixed}" in its [[rois]] table.'
    )
    raise GeometryError(msg)
