"""The phantom of a radiation segmentectomy: one segment infused, one tumor in it, another tumor that is not reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from voxeldose.demo.phantom import HU, LIVER_BOX, SHAPES, Phantom, truth_of_phantom
from voxeldose.demo.shapes import sphere

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxeldose.demo.shapes import Points
    from voxeldose.model.arrays import Floats

__all__ = ["SEGMENTECTOMY", "truth_of_segmentectomy"]


#: Outward normals (x, y, z) of the planes that part the segment from the rest of the liver, and a point of both, in LPS mm.
_CUTS = ((0.35, -0.93, 0.1), (0.1, 0.2, 0.97))
_CORNER = (-72.0, 20.0, 6.0)


def _segment(p: Points) -> Floats:
    """The lower back part of the right lobe, between two planes."""
    inside = SHAPES["liver"](p)
    for normal in _CUTS:
        length = np.float32(np.linalg.norm(normal))
        beyond = sum(np.float32(n) / length * (v - np.float32(c)) for n, v, c in zip(normal, p, _CORNER, strict=True))
        inside = np.maximum(inside, beyond)
    return np.asarray(inside, np.float32)


_SPHERES = {
    "lesion_1": ((-84.0, 42.0, -19.0), 18.0),
    "necrotic_core": ((-81.0, 45.0, -17.0), 9.0),
    "lesion_2": ((-30.0, -26.0, 22.0), 11.0),
}

#: 1 mm around the segment for its true doses.
_SEGMENT_BOX = ((-84.0, 40.0, -18.0), (60.0, 52.0, 56.0))

SEGMENTECTOMY = Phantom(
    shapes={name: SHAPES[name] for name in ("body", "spine", "liver", "lungs")}
    | {"perfused": _segment}
    | {name: sphere(*where) for name, where in _SPHERES.items()},
    spheres=_SPHERES,
    within={"perfused": "liver", "lesion_2": "liver", "lesion_1": "perfused", "necrotic_core": "lesion_1"},
    uptake={"perfused": 1.0, "lesion_1": 3.0, "necrotic_core": 0.0, "liver": 0.0, "lesion_2": 0.0},
    normal="perfused",
    regions={
        "liver": (1, "liver"),
        "lesion_1": (2, "tumor"),
        "lesion_2": (3, "tumor"),
        "lungs": (4, "lung"),
        "perfused": (5, "perfused"),
    },
    holds={
        "liver": ("liver", "perfused", "lesion_1", "necrotic_core", "lesion_2"),
        "normal_liver": ("liver", "perfused"),
        "lesion_1": ("lesion_1", "necrotic_core"),
        "lesion_2": ("lesion_2",),
        "lungs": ("lungs",),
        "perfused": ("perfused", "lesion_1", "necrotic_core"),
        "perfused_normal_liver": ("perfused",),
        "nonperfused_normal_liver": ("liver",),
    },
    boxes=dict.fromkeys(("liver", "normal_liver", "nonperfused_normal_liver"), LIVER_BOX)
    | dict.fromkeys(("perfused", "perfused_normal_liver"), _SEGMENT_BOX),
    truth_mm={
        "liver": 1.5,
        "normal_liver": 1.5,
        "nonperfused_normal_liver": 1.5,
        "perfused": 1.0,
        "perfused_normal_liver": 1.0,
        "lesion_1": 0.5,
        "lesion_2": 0.5,
    },
    hu=HU,
    administered_mbq=2400.0,
    noise_fraction=0.10,
)


def truth_of_segmentectomy(volumes_ml: Mapping[str, float]) -> dict[str, Any]:
    """As :func:`voxeldose.demo.phantom.truth_of_phantom`, with the T/N of the tumor that was reached.

    T/N is activity per mL (by concentration) or mean dose (by dose) of lesion_1 relative to the perfused normal liver.
    """
    truth = truth_of_phantom(volumes_ml, SEGMENTECTOMY)
    tumor, normal = truth["rois"]["lesion_1"], truth["rois"]["perfused_normal_liver"]
    per_ml = [roi["activity_mbq"] / roi["volume_ml"] for roi in (tumor, normal)]
    ratios = {
        "by_concentration": per_ml[0] / per_ml[1],
        "by_dose": tumor["mean_dose_gy"] / normal["mean_dose_gy"],
        "normal": "perfused_normal_liver",
    }
    return truth | {"tumor_to_normal": {"lesion_1": ratios}, "not_reached": ["lesion_2"]}
