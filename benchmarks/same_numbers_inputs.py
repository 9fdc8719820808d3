"""Small studies that both trees read: made with NumPy, nibabel and pydicom alone, the same bytes every time."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
import SimpleITK as Itk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, NuclearMedicineImageStorage

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["write_inputs"]

#: Cases of the cohort.
CASES = 20

_PET = """
[case]
id = "{name}"
[activity]
path = "{name}-image.nii.gz"
quantity = "bq_per_ml"
measured_at = 2024-05-03T06:15:00Z
[[rois]]
path = "{name}-labels.nii.gz"
labels = {{ 1 = {{ name = "liver", role = "liver" }}, 2 = {{ name = "lesion_1", role = "tumor" }}, 3 = {{ name = "lesion_2", role = "tumor" }}, 4 = {{ name = "lesion_3", role = "tumor" }} }}
[administration]
device = "glass"
administered_mbq = {mbq}
at = 2024-05-02T10:15:00Z
lung_shunt_fraction = 0.04
"""

_UNCERTAINTY = """
[uncertainty]
samples = 60
seed = 3
calibration_fraction = 0.05
noise_fraction = 0.2
noise_fwhm_mm = 6.0
registration_mm = 1.0
contour_mm = 0.5
recovery = { b_ml = 3.0, c = 0.9, b_sd_ml = 0.2 }
probabilities = ["lesion_1.d95>=40"]
"""

_DERIVED = """
[[derived]]
name = "perfused_normal"
role = "other"
from = "liver - lesion_1"
[[derived]]
name = "ring"
role = "other"
from = "lesion_1"
margin_mm = 6
within = "liver"
[[derived]]
name = "hot"
role = "perfused"
isocontour_fraction = 0.3
isocontour_of = "maximum of lesion_1"
"""

_PLAN = """
[activity]
path = "plan-image.nii.gz"
quantity = "counts"
image_nuclide = "Tc-99m"
[[rois]]
path = "plan-labels.nii.gz"
labels = { 1 = { name = "liver", role = "liver" }, 2 = { name = "lesion_1", role = "tumor" } }
[administration]
device = "glass"
lung_shunt_fraction = 0.04
"""

_LUNGS = """
[activity]
path = "lungs-image.nii.gz"
quantity = "counts"
[ct]
path = "lungs-ct.nii.gz"
[[rois]]
path = "lungs-labels.nii.gz"
labels = { 1 = { name = "liver", role = "liver" }, 2 = { name = "lungs", role = "lung" } }
[administration]
administered_mbq = 2020.0
residual_mbq = 20.0
[dose]
constants = "legacy"
"""

_TERRITORIES = """
lung_g = 1000
unperfused_g = 600
[[territory]]
name = "right"
activity_mbq = 1200
normal_g = 500
tumors = [{ name = "a", mass_g = 120, tn = 4 }, { name = "b", mass_g = 30, tn = 2.5 }]
[[territory]]
name = "left"
activity_mbq = 800
normal_g = 350
tumors = [{ name = "c", mass_g = 50, tn = 3 }]
"""

_TURN = """#Insight Transform File V1.0
#Transform 0
Transform: AffineTransform_double_3_3
Parameters: 0.9998000066665778 -0.01999866669333308 0 0.01999866669333308 0.9998000066665778 0 0 0 1 1.5 -2 0.75
FixedParameters: 0 0 0
"""


def write_inputs(folder: Path) -> None:
    """Write the case files ``small``, ``spread``, ``turned``, ``plan`` and ``lungs``, planar views and the cohort."""
    folder.mkdir(parents=True)
    text = _write_pet(folder, "small", 7, (22, 26, 30))
    (folder / "small.toml").write_text(text + _DERIVED)
    (folder / "spread.toml").write_text(text + _UNCERTAINTY)
    (folder / "turn.tfm").write_text(_TURN)
    (folder / "turned.toml").write_text(text + '[registration]\npath = "turn.tfm"\n')
    _write_plan(folder)
    _write_lungs(folder)
    _write_planar(folder)
    (folder / "territories.toml").write_text(_TERRITORIES)
    (folder / "cohort").mkdir()
    with (folder / "cohort" / "cases.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["case"])
        for n in range(CASES):
            name = f"case-{n:02d}"
            (folder / "cohort" / f"{name}.toml").write_text(_write_pet(folder / "cohort", name, n, (14, 18, 22)))
            rows.writerow([f"{name}.toml"])


def _write_pet(folder: Path, name: str, seed: int, shape: tuple[int, int, int]) -> str:
    """Write the image and the labels of a patient of its own for every seed; the text of its case file."""
    rng = np.random.default_rng(seed)
    nk, nj, ni = shape
    labels = np.zeros(shape, np.uint8)
    labels[2 : nk - 2, 3 : nj - 3, 3 : ni - 3] = 1
    k, j, i = (int(rng.integers(4, n // 2 - 2)) for n in shape)
    labels[k : k + 4, j : j + 4, i : i + 5] = 2
    labels[nk - 5 : nk - 3, nj - 7 : nj - 4, ni - 8 : ni - 5] = 3
    labels[nk - 5 : nk - 3, 4:6, ni - 6 : ni - 4] = 4
    hot = np.array([0, 1, rng.uniform(6, 9), rng.uniform(4, 6), rng.uniform(2, 3)]) * 1e5
    affine = _affine(rng.uniform(2.5, 4.5, 3), rng.uniform(-60, 0, 3))
    _write(hot[labels] * rng.gamma(8, 1 / 8, shape), affine, folder / f"{name}-image.nii.gz")
    _write(labels, affine, folder / f"{name}-labels.nii.gz")
    return _PET.format(name=name, mbq=round(float(rng.uniform(40, 90)), 3))


def _write_plan(folder: Path) -> None:
    """A planning study: counts of a liver with one lesion, no administered activity."""
    labels = np.zeros((20, 24, 28), np.uint8)
    labels[3:17, 4:20, 4:24] = 1
    labels[8:12, 9:14, 10:16] = 2
    affine = _affine((4, 3.5, 3), (-40, -40, -40))
    noise = np.random.default_rng(1).gamma(20, 1 / 20, labels.shape)
    _write(np.array([0, 8.0, 40.0])[labels] * noise, affine, folder / "plan-image.nii.gz")
    _write(labels, affine, folder / "plan-labels.nii.gz")
    (folder / "plan.toml").write_text(_PLAN)


def _write_lungs(folder: Path) -> None:
    labels = np.zeros((16, 12, 14), np.uint8)
    labels[2:7, 2:10, 2:12] = 1
    labels[7:15, 2:10, 2:12] = 2
    affine = _affine((5, 4, 3), (-20, -22, -30))
    _write(np.array([0, 20.0, 1.0])[labels], affine, folder / "lungs-image.nii.gz")
    _write(np.array([-1000, 50.0, -740.0])[labels], affine, folder / "lungs-ct.nii.gz")
    _write(labels, affine, folder / "lungs-labels.nii.gz")
    (folder / "lungs.toml").write_text(_LUNGS)


def _write_planar(folder: Path) -> None:
    """Two planar views in one NM file, the regions on the anterior one, and their names."""
    views = np.zeros((2, 7, 9), np.uint16)
    views[0], views[1] = 1000 + np.arange(9), 2000 + np.arange(9)
    views[:, 0] -= 900
    _planar_header(views).save_as(folder / "planar.dcm", enforce_file_format=True)
    labels = np.zeros((7, 9), np.uint8)
    labels[1:3, 1:4], labels[4:6, 1:5], labels[0, 8] = 1, 2, 3
    Itk.WriteImage(Itk.GetImageFromArray(labels), str(folder / "planar.png"))
    names = {1: ("lungs", "lung"), 2: ("liver", "liver"), 3: ("background", "other")}
    named = {str(value): {"name": name, "role": role} for value, (name, role) in names.items()}
    (folder / "planar.json").write_text(json.dumps(named))


def _planar_header(views: NDArray[np.uint16]) -> Dataset:
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPClassUID, header.SOPInstanceUID = NuclearMedicineImageStorage, "2.25.1"
    header.StudyInstanceUID, header.SeriesInstanceUID, header.InstanceNumber = "2.25.2", "2.25.3", 1
    header.Modality, header.ImageType = "NM", ["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"]
    header.PatientID, header.PatientName = "PHANTOM", "Phantom"
    header.NumberOfFrames, header.Rows, header.Columns = views.shape
    header.SamplesPerPixel, header.PhotometricInterpretation, header.PixelRepresentation = 1, "MONOCHROME2", 0
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, 16, 15
    header.PixelSpacing, header.NumberOfDetectors, header.NumberOfEnergyWindows = [2.0, 1.5], 2, 1
    header.FrameIncrementPointer, header.DetectorVector = 0x00540020, [1, 2]
    header.DetectorInformationSequence = [_detector("399321004"), _detector("399001007")]
    header.PixelData = views.tobytes()
    return header


def _detector(code: str) -> Dataset:
    detector, view = Dataset(), Dataset()
    view.CodeValue, view.CodingSchemeDesignator, view.CodeMeaning = code, "SCT", "view"
    detector.ViewCodeSequence = [view]
    return detector


def _affine(spacing_mm: Any, corner_mm: Any) -> NDArray[np.float64]:
    """RAS affine of a file whose axes are (i, j, k); ``spacing_mm`` in array order (k, j, i)."""
    affine = np.diag([*np.asarray(spacing_mm, float)[::-1], 1.0])
    affine[:3, 3] = corner_mm
    return affine


def _write(array: NDArray[Any], affine: NDArray[np.float64], path: Path) -> None:
    """Write (k, j, i) voxels: labels as they are, everything else as float32."""
    voxels = array if array.dtype == np.uint8 else array.astype(np.float32)
    image = nibabel.Nifti1Image(np.ascontiguousarray(voxels.transpose(2, 1, 0)), affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    nibabel.save(image, path)
