"""A radiation segmentectomy small enough to assess in seconds: a DICOM study of boxes, sharp and without noise.

Its edges are voxel edges, so that activities, volumes, T/N and the mean dose by local deposition are known in closed form.
``lesion_1`` lies in the perfused volume and has a cold core; ``lesion_2`` lies in the liver and is not reached.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import numpy as np

from voxeldose.demo.dicom_study import PhantomStudy, write_ct, write_pet, write_spect
from voxeldose.io.nifti import write_labels
from voxeldose.model.administration import Administration
from voxeldose.model.grid import Grid
from voxeldose.model.radionuclide import Y90

INFUSION_AT = datetime(2024, 5, 2, 10, 15, tzinfo=UTC)
PET_AT, SPECT_AT = INFUSION_AT + timedelta(hours=20), INFUSION_AT - timedelta(days=7)
ADMINISTERED_MBQ, RESIDUAL_MBQ, LUNG_SHUNT_FRACTION, DENSITY_G_PER_ML = 1810.0, 10.0, 0.05, 1.04
STUDY = PhantomStudy("small digital segmentectomy", "SMALL", "Small^Phantom", "LIVER", SPECT_AT)

#: Slices, rows, columns of 6 mm.
GRID = Grid.from_axes((32, 30, 36), (6, 6, 6), (-105, -87, -93), frame_uid=STUDY.uid("frame"))
LIVER, PERFUSED = np.s_[6:22, 6:24, 5:29], np.s_[6:14, 6:16, 5:16]
LESION_1, CORE, LESION_2 = np.s_[8:12, 9:13, 8:12], np.s_[9:11, 10:12, 9:11], np.s_[15:18, 15:18, 20:23]
LUNGS = np.s_[25:31, 6:24, 4:32]

#: Label and role; all but the perfused volume stand in ``labels.nii.gz`` and do not overlap.
REGIONS = {
    "liver": (1, "liver"),
    "lesion_1": (2, "tumor"),
    "lesion_2": (3, "tumor"),
    "lungs": (4, "lung"),
    "perfused": (5, "perfused"),
}
#: Concentration in the tumor outside its core relative to perfused normal liver, of microspheres and of MAA.
DELIVERED_RATIO, PREDICTED_RATIO = 3.0, 2.5


@dataclass(frozen=True)
class Truth:
    """Numbers of the study by closed form, for one ratio of tumor to normal concentration outside the core."""

    ratio: float
    REPORTED: ClassVar = (
        *(
            "liver",
            "normal_liver",
            "perfused",
            "perfused_normal_liver",
            "nonperfused_normal_liver",
            "lesion_1",
            "lesion_2",
        ),
    )

    @property
    def voxels(self) -> dict[str, int]:
        """Voxels of every region; the liver is with its tumors, as the results have it."""
        filled = {name: np.zeros(GRID.shape, bool)[where].size for name, where in BOXES.items()}
        perfused_normal = filled["perfused"] - filled["lesion_1"]
        normal = filled["liver"] - filled["lesion_1"] - filled["lesion_2"]
        return filled | {
            "normal_liver": normal,
            "perfused_normal_liver": perfused_normal,
            "nonperfused_normal_liver": normal - perfused_normal,
        }

    def volume_ml(self, name: str) -> float:
        """Volume of a region."""
        return self.voxels[name] * GRID.voxel_volume_ml

    @property
    def liver_mbq(self) -> float:
        """Net activity less the lung shunt: all of it lies in the perfused volume."""
        return (ADMINISTERED_MBQ - RESIDUAL_MBQ) * (1 - LUNG_SHUNT_FRACTION)

    @property
    def normal_mbq_per_ml(self) -> float:
        """Concentration of perfused normal liver."""
        hot_ml = self.volume_ml("lesion_1") - self.volume_ml("core")
        return self.liver_mbq / (self.volume_ml("perfused_normal_liver") + self.ratio * hot_ml)

    def activity_mbq(self, name: str) -> float:
        """Activity of a region at the infusion."""
        normal = self.normal_mbq_per_ml * self.volume_ml("perfused_normal_liver")
        held = {"liver": self.liver_mbq, "perfused": self.liver_mbq, "lesion_1": self.liver_mbq - normal}
        held |= dict.fromkeys(("normal_liver", "perfused_normal_liver"), normal)
        held["lungs"] = (ADMINISTERED_MBQ - RESIDUAL_MBQ) * LUNG_SHUNT_FRACTION
        return held.get(name, 0.0)

    def local_mean_gy(self, name: str) -> float:
        """K·A/m with the activity in the region: its mean dose by local deposition."""
        return Y90.gy_kg_per_gbq * self.activity_mbq(name) / (self.volume_ml(name) * DENSITY_G_PER_ML)

    @property
    def tumor_to_normal(self) -> float:
        """Of lesion_1 with its core, relative to perfused normal liver."""
        return self.activity_mbq("lesion_1") / self.volume_ml("lesion_1") / self.normal_mbq_per_ml

    @property
    def local_v400_fraction(self) -> dict[str, float]:
        """By local deposition, with normal liver below 400 Gy and the tumor's rim above."""
        hot = self.voxels["lesion_1"] - self.voxels["core"]
        return {"lesion_1": hot / self.voxels["lesion_1"], "perfused": hot / self.voxels["perfused"], "lesion_2": 0.0}


BOXES = {"liver": LIVER, "perfused": PERFUSED, "lesion_1": LESION_1, "core": CORE, "lesion_2": LESION_2, "lungs": LUNGS}
DELIVERED, PREDICTED = Truth(DELIVERED_RATIO), Truth(PREDICTED_RATIO)


def write_segmentectomy(folder: Path, *, engine: str = "local", more: str = "") -> tuple[Path, Path]:
    """The study in ``folder``: case files of the PET (delivered) and of the MAA SPECT (predicted); ``more`` ends both."""
    for name in ("ct", "pet", "spect"):
        (folder / name).mkdir(parents=True)
    hu = np.full(GRID.shape, -1000, np.float32)
    hu[2:, 2:-2, 2:-2] = 40
    hu[LIVER], hu[LUNGS] = 58, -700
    hu[LESION_1] = hu[LESION_2] = 46
    write_ct(STUDY, hu, GRID, folder / "ct", PET_AT - timedelta(minutes=6))
    given = Administration(Y90, ADMINISTERED_MBQ, INFUSION_AT)
    decayed = Y90.decay_factor((PET_AT - INFUSION_AT).total_seconds())
    pet = _bq_per_ml(DELIVERED) * np.float32(decayed)
    write_pet(STUDY, pet, GRID, folder / "pet", at=PET_AT, frame_s=1200.0, given=given)
    counts = _bq_per_ml(PREDICTED)
    counts = np.rint(counts * (60_000 / counts.max())).astype(np.uint16)
    write_spect(STUDY, counts, GRID, folder / "spect" / "spect.dcm", SPECT_AT)
    labels = np.zeros(GRID.shape, np.uint8)
    for name in ("liver", "lesion_1", "lesion_2", "lungs"):
        labels[BOXES[name]] = REGIONS[name][0]
    write_labels(labels, GRID, folder / "labels.nii.gz")
    perfused = np.zeros(GRID.shape, np.uint8)
    perfused[PERFUSED] = REGIONS["perfused"][0]
    write_labels(perfused, GRID, folder / "perfused.nii.gz")
    files = []
    for name, activity in (("delivered", "pet"), ("predicted", "spect")):
        files.append(folder / f"{name}.toml")
        files[-1].write_text(_case(name, activity, engine) + more)
    return files[0], files[1]


def _bq_per_ml(truth: Truth) -> np.ndarray:
    values = np.zeros(GRID.shape, np.float32)
    values[PERFUSED] = truth.normal_mbq_per_ml * 1e6
    values[LESION_1] *= np.float32(truth.ratio)
    values[CORE] = 0
    values[LUNGS] = truth.activity_mbq("lungs") / truth.volume_ml("lungs") * 1e6
    values[[0, -1], 15, 18] = values.max() / 50_000  # the image goes on where lungs and liver end
    return values


def _case(name: str, activity: str, engine: str) -> str:
    exclusive = ", ".join(
        f'{n} = {{ name = "{roi}", role = "{role}" }}' for roi, (n, role) in REGIONS.items() if roi != "perfused"
    )
    return f"""
[case]
id = "{name}"
[activity]
path = "{activity}"
[ct]
path = "ct"
[[rois]]
path = "labels.nii.gz"
labels = {{ {exclusive} }}
[[rois]]
path = "perfused.nii.gz"
labels = {{ 5 = {{ name = "perfused", role = "perfused" }} }}
[administration]
device = "glass"
administered_mbq = {ADMINISTERED_MBQ}
residual_mbq = {RESIDUAL_MBQ}
at = {INFUSION_AT:%Y-%m-%dT%H:%M:%SZ}
lung_shunt_fraction = {LUNG_SHUNT_FRACTION}
[dose]
engine = "{engine}"
"""
