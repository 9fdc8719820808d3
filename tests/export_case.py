"""What the tests of DICOM exports share: the size of their study, a ball in it, and what a run may write."""

import numpy as np

SHAPE, SPACING = (12, 16, 18), (3.0, 2.5, 2.0)
OBJECTS = [
    "dose.dcm",
    "bed.dcm",
    "dose_on_ct.dcm",
    "rtplan.dcm",
    "rois.dcm",
    "measurements.dcm",
    "rois.rtstruct.dcm",
]
#: Asks a run for all of them.
EVERYTHING = {"bed_dose": "liver", "rtstruct": True, "rtplan": True, "dose_on_ct": True}


def ball(grid, radius, centre):
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), axis=-1)
    apart = np.linalg.norm((index - np.array(centre)) * grid.spacing_mm, axis=-1)
    return apart <= radius
