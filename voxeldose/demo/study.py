"""The phantom written as a DICOM study: CT, Y-90 PET, Tc-99m MAA SPECT, regions, case files and truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.demo.dicom_study import PhantomStudy, stamp_seg, write_ct, write_pet, write_spect
from voxeldose.demo.phantom import (
    ADMINISTERED_MBQ,
    CT_AT,
    INFUSION_AT,
    LUNG_SHUNT_FRACTION,
    MAA_TUMOR_RATIO,
    PET_AT,
    PET_FRAME_S,
    REGIONS,
    RESIDUAL_MBQ,
    SEED,
    SPECT_AT,
    UPTAKE,
    concentrations,
    ct_numbers,
    label_map,
    pet_image,
    spect_counts,
    truth_of_phantom,
)
from voxeldose.io.dicom.seg import write_seg
from voxeldose.io.nifti import write_labels
from voxeldose.model.administration import Administration
from voxeldose.model.densities import DEFAULT_DENSITY_G_PER_ML
from voxeldose.model.grid import Grid
from voxeldose.model.radionuclide import Y90
from voxeldose.model.roi import Roi, RoiSet

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DemoStudy", "make_study"]

Progress = Callable[[str], None]

PHANTOM = PhantomStudy("voxeldose digital liver phantom", "DEMO", "Demo^Phantom", "LIVER", SPECT_AT)


@dataclass(frozen=True)
class DemoStudy:
    """Where the parts of the study lie.

    Parameters
    ----------
    ct, pet, spect : Path
        Folders, one DICOM series each.
    labels, seg : Path
        The same regions as NIfTI label map and as DICOM SEG, on the CT's voxels.
    assess_toml, plan_toml : Path
        Case files: the PET after treatment, the MAA SPECT before it.
    truth : Path
        JSON with the true numbers of every region.
    """

    ct: Path
    pet: Path
    spect: Path
    labels: Path
    seg: Path
    assess_toml: Path
    plan_toml: Path
    truth: Path


def make_study(folder: Path, *, progress: Progress | None = None) -> DemoStudy:
    """Write the phantom as a study: CT, Y-90 PET, Tc-99m MAA SPECT, regions, case files and truth.

    Two runs give identical files, UIDs included. Files of the same names in ``folder`` are replaced.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    progress : callable, optional
        Called with a few words before each step.

    Returns
    -------
    DemoStudy
        Paths of everything written.
    """
    report_progress = progress or (lambda _: None)
    study = DemoStudy(
        *(folder / name for name in ("ct", "pet", "spect", "labels.nii.gz", "rois.seg.dcm")),
        *(folder / name for name in ("assess.toml", "plan.toml", "truth.json")),
    )
    for part in (study.ct, study.pet, study.spect):
        part.mkdir(parents=True, exist_ok=True)
    frame = PHANTOM.uid("frame")
    ct_grid = Grid.from_axes((110, 144, 176), (2.5, 2.0, 2.0), (-175.0, -143.0, -110.0), frame_uid=frame)
    pet_grid = Grid.from_axes((92, 84, 96), (3.0, 4.07, 4.07), (-193.325, -168.905, -110.0), frame_uid=frame)
    spect_grid = Grid.from_axes((60, 64, 80), (4.8, 4.8, 4.8), (-189.6, -151.2, -114.0), frame_uid=frame)
    randoms = [np.random.default_rng((SEED, n)) for n in range(3)]

    report_progress("computing the true doses")
    truth = truth_of_phantom(pet_grid)
    study.truth.write_text(json.dumps(truth, indent=1) + "\n", "utf-8")
    volumes = {name: roi["volume_ml"] for name, roi in truth["rois"].items()}
    report_progress("writing the CT")
    write_ct(PHANTOM, ct_numbers(ct_grid, randoms[0]), ct_grid, study.ct, CT_AT)
    report_progress("writing the Y-90 PET")
    pet = pet_image(pet_grid, concentrations(volumes, UPTAKE), randoms[1])
    pet *= np.float32(Y90.decay_factor((PET_AT - INFUSION_AT).total_seconds()))
    given = Administration(Y90, ADMINISTERED_MBQ, INFUSION_AT)
    write_pet(PHANTOM, pet, pet_grid, study.pet, at=PET_AT, frame_s=PET_FRAME_S, given=given)
    report_progress("writing the Tc-99m MAA SPECT")
    maa = UPTAKE | {name: MAA_TUMOR_RATIO * UPTAKE[name] for name in ("lesion_1", "lesion_2")}
    counts = spect_counts(spect_grid, concentrations(volumes, maa), randoms[2])
    write_spect(PHANTOM, counts, spect_grid, study.spect / "spect.dcm", SPECT_AT)
    report_progress("writing regions and case files")
    labels = label_map(ct_grid)
    write_labels(labels, ct_grid, study.labels)
    rois = RoiSet(tuple(Roi(name, role, labels == n, ct_grid) for name, (n, role) in REGIONS.items()))
    write_seg(rois, study.seg, reference=study.ct)
    stamp_seg(PHANTOM, study.seg, PET_AT)
    study.assess_toml.write_text(_case_file("demo", "pet"), "utf-8")
    study.plan_toml.write_text(_case_file("demo-plan", "spect"), "utf-8")
    return study


def _case_file(name: str, activity: str) -> str:
    labels = ", ".join(f'{n} = {{ name = "{roi}", role = "{role}" }}' for roi, (n, role) in REGIONS.items())
    return f"""# voxeldose digital liver phantom: no real patient.
[case]
id = "{name}"

[activity]
path = "{activity}"

[ct]
path = "ct"

[[rois]]
path = "labels.nii.gz"
labels = {{ {labels} }}

[administration]
radionuclide = "Y-90"
device = "glass"
administered_mbq = {ADMINISTERED_MBQ}
residual_mbq = {RESIDUAL_MBQ}
at = {INFUSION_AT:%Y-%m-%dT%H:%M:%SZ}
lung_shunt_fraction = {LUNG_SHUNT_FRACTION}

[dose]
engine = "dpk"
calibration = "administered"
grid = "activity"
density = "uniform"
density_g_per_ml = {DEFAULT_DENSITY_G_PER_ML}
constants = "{Y90.constants}"
"""
