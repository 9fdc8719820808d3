"""The perfused part of the liver where nobody outlined it: without it a cold remainder is taken for the tumors' surroundings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.recovery.anatomy import Anatomy, region_of_distance
from voxeldose.dose.recovery.shapes import REACH_MM, Partition
from voxeldose.dose.recovery.spectra import apply, upsample

if TYPE_CHECKING:
    from voxeldose.dose.recovery.scan import Scan

__all__ = ["FOUND_NAME", "with_perfused_part"]

#: Name of the region.
FOUND_NAME = "perfused part"
#: The image is smoothed so much before it is split, mm; lesions are left out with this margin, mm.
SMOOTH_MM, MARGIN_MM = 4.0, 6.0
#: The split is used when its classes differ by more than this factor.
LEAST_CONTRAST = 3.0
#: And the smaller part of the liver is at least this large.
LEAST_ML = 20.0
#: Smoothing of the part's distance, fine voxels.
SMOOTH_VOXELS = 1.0


def with_perfused_part(anatomy: Anatomy, scan: Scan) -> tuple[Anatomy, float | None]:
    """The anatomy with the hot part of its liver as a region of its own, and the contrast; ``None`` where it is not split.

    Two classes of the liver's smoothed image outside lesions, parted at the level midway between their means; the largest
    connected part that is hot.
    """
    from scipy import ndimage

    roles = anatomy.roles
    livers = [r for r in anatomy.partition.regions if roles[r.name] in ("liver", "normal_liver")]
    if not livers or any(role in ("perfused", "segment") for role in roles.values()):
        return anatomy, None
    masks = dict(zip(anatomy.partition.names, anatomy.partition.masks({}), strict=True))
    smooth = upsample(apply(scan.image, scan.lattice.gaussian((SMOOTH_MM,) * 3)), scan.factor)
    liver = sum(masks[r.name] for r in livers)
    sure = np.asarray(liver) > 0.9
    inside = sure.copy()
    for lesion in anatomy.lesions:
        region = anatomy.region(lesion)
        sure[region.window] &= region.distance_mm > MARGIN_MM
        inside |= masks[lesion] > 0.5
    values = smooth[sure]
    ml = scan.fine.voxel_ml
    if values.size * ml < 2 * LEAST_ML:
        return anatomy, None
    level = float(values.mean())
    for _ in range(30):
        high, low = float(values[values > level].mean()), float(values[values <= level].mean())
        level = (high + low) / 2
    if high < LEAST_CONTRAST * max(low, 1e-6) or min((values > level).sum(), (values <= level).sum()) * ml < LEAST_ML:
        return anatomy, None
    hot = inside & (smooth > level)
    for lesion in anatomy.lesions:
        hot |= masks[lesion] > 0.5
    labels, _ = ndimage.label(hot)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    hot = labels == int(sizes.argmax())
    spacing = scan.fine.spacing_mm
    out = ndimage.distance_transform_edt(~hot, sampling=spacing) - spacing[2] / 2
    within = ndimage.distance_transform_edt(hot, sampling=spacing) - spacing[2] / 2
    distance = ndimage.gaussian_filter(np.where(hot, -within, out), SMOOTH_VOXELS, output=np.float32)
    k, j, i = (slice(0, n) for n in scan.fine.shape)
    part = region_of_distance(FOUND_NAME, ((k, j, i), np.minimum(distance, np.float32(REACH_MM))), scan)
    first = next(n for n, r in enumerate(anatomy.partition.regions) if r.kind == "tissue")
    regions = (*anatomy.partition.regions[:first], part, *anatomy.partition.regions[first:])
    split = Anatomy(Partition(anatomy.partition.shape, regions), roles | {FOUND_NAME: "perfused"})
    return split, high / max(low, 1e-6)
