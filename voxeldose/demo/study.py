"""The phantoms written as DICOM studies: CT, Y-90 PET, Tc-99m MAA SPECT, regions, labels, case files and truth."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from voxeldose.demo.dicom_study import PhantomStudy, stamp_seg, write_ct, write_pet, write_spect
from voxeldose.demo.phantom import (
    CT_AT,
    INFUSION_AT,
    LOBE,
    LUNG_SHUNT_FRACTION,
    PET_AT,
    PET_FRAME_S,
    RESIDUAL_MBQ,
    SEED,
    SPECT_AT,
    Phantom,
    concentrations,
    ct_numbers,
    label_map,
    part_volumes_ml,
    pet_image,
    spect_counts,
    truth_of_phantom,
)
from voxeldose.demo.segmentectomy import SEGMENTECTOMY, truth_of_segmentectomy
from voxeldose.io.config.commented import commented_case
from voxeldose.io.dicom.seg import write_seg
from voxeldose.io.nifti import write_labels
from voxeldose.model.administration import Administration
from voxeldose.model.densities import DEFAULT_DENSITY_G_PER_ML
from voxeldose.model.grid import Grid
from voxeldose.model.radionuclide import Y90
from voxeldose.model.roi import Roi, RoiSet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["SUBJECTS", "DemoStudy", "Subject", "make_study"]

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Subject:
    """What one study of the demonstration shows.

    Parameters
    ----------
    phantom : Phantom
        Its shapes and activities.
    study : PhantomStudy
        What all its files share.
    id : str
        Of its cases.
    truth : callable
        Volumes of parts to the content of ``truth.json``.
    label_files : mapping
        Label map to the regions in it, later ones on top of earlier ones.
    """

    phantom: Phantom
    study: PhantomStudy
    id: str
    truth: Callable[[Mapping[str, float]], dict[str, Any]]
    label_files: Mapping[str, tuple[str, ...]]


_EXCLUSIVE = {"labels.nii.gz": ("lungs", "liver", "lesion_1", "lesion_2")}

#: The studies by name; of ``lobe`` the whole liver was treated.
SUBJECTS = {
    "lobe": Subject(
        LOBE,
        PhantomStudy("voxeldose digital liver phantom", "DEMO", "Demo^Phantom", "LIVER", SPECT_AT),
        "demo",
        truth_of_phantom,
        _EXCLUSIVE,
    ),
    "segmentectomy": Subject(
        SEGMENTECTOMY,
        PhantomStudy(
            "voxeldose digital radiation segmentectomy", "DEMO-SEGMENT", "Demo^Segmentectomy", "LIVER", SPECT_AT
        ),
        "segmentectomy",
        truth_of_segmentectomy,
        _EXCLUSIVE | {"perfused.nii.gz": ("perfused",)},
    ),
}


@dataclass(frozen=True)
class DemoStudy:
    """Where the parts of a study lie.

    Parameters
    ----------
    ct, pet, spect : Path
        Folders, one DICOM series each.
    labels, seg : Path
        Regions that do not overlap as NIfTI label map, and all regions as DICOM SEG, on the CT's voxels.
    assess_toml, plan_toml : Path
        Case files: the PET after treatment, the MAA SPECT before it.
    truth : Path
        JSON with the true numbers of every region.
    full_toml : Path
        The case of ``assess_toml`` with every key there is, explained; those without effect as comments.
    labels_json : Path
        Label to name and role, for ``--labels``.
    """

    ct: Path
    pet: Path
    spect: Path
    labels: Path
    seg: Path
    assess_toml: Path
    plan_toml: Path
    truth: Path
    full_toml: Path
    labels_json: Path


def make_study(folder: Path, *, case: str = "lobe", progress: Progress | None = None) -> DemoStudy:
    """Write a phantom as a study: CT, Y-90 PET, Tc-99m MAA SPECT, regions, case files and truth.

    Two runs give identical files, UIDs included. Files of the same names in ``folder`` are replaced.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    case : str
        One of :data:`SUBJECTS`.
    progress : callable, optional
        Called with a few words before each step.

    Returns
    -------
    DemoStudy
        Paths of everything written.
    """
    report_progress = progress or (lambda _: None)
    subject = SUBJECTS[case]
    study = DemoStudy(
        *(folder / name for name in ("ct", "pet", "spect", "labels.nii.gz", "rois.seg.dcm")),
        *(folder / name for name in ("assess.toml", "plan.toml", "truth.json", "full.toml", "labels.json")),
    )
    for part in (study.ct, study.pet, study.spect):
        part.mkdir(parents=True, exist_ok=True)
    report_progress("computing the true doses")
    frame = subject.study.uid("frame")
    volumes = part_volumes_ml(_pet_grid(frame), subject.phantom)
    study.truth.write_text(json.dumps(subject.truth(volumes), indent=1) + "\n", "utf-8")
    _write_images(subject, study, volumes, report_progress)
    report_progress("writing regions and case files")
    _write_regions(subject, study, _ct_grid(frame))
    study.assess_toml.write_text(_case_file(subject, subject.id, "pet"), "utf-8")
    study.plan_toml.write_text(_case_file(subject, f"{subject.id}-plan", "spect"), "utf-8")
    full = commented_case(tomllib.loads(_case_file(subject, subject.id, "pet")))
    study.full_toml.write_text(f"# {subject.study.words}: no real patient.\n{full}", "utf-8")
    labels = {str(n): {"name": name, "role": role} for name, (n, role) in subject.phantom.regions.items()}
    study.labels_json.write_text(json.dumps(labels, indent=1) + "\n", "utf-8")
    return study


def _ct_grid(frame: str) -> Grid:
    return Grid.from_axes((110, 144, 176), (2.5, 2.0, 2.0), (-175.0, -143.0, -110.0), frame_uid=frame)


def _pet_grid(frame: str) -> Grid:
    return Grid.from_axes((92, 84, 96), (3.0, 4.07, 4.07), (-193.325, -168.905, -110.0), frame_uid=frame)


def _write_images(
    subject: Subject, study: DemoStudy, volumes_ml: Mapping[str, float], report_progress: Progress
) -> None:
    """CT, PET and SPECT, each with random numbers of its own."""
    phantom, shared = subject.phantom, subject.study
    frame = shared.uid("frame")
    ct_grid, pet_grid = _ct_grid(frame), _pet_grid(frame)
    spect_grid = Grid.from_axes((60, 64, 80), (4.8, 4.8, 4.8), (-189.6, -151.2, -114.0), frame_uid=frame)
    randoms = [np.random.default_rng((SEED, n)) for n in range(3)]
    report_progress("writing the CT")
    write_ct(shared, ct_numbers(ct_grid, randoms[0], phantom), ct_grid, study.ct, CT_AT)
    report_progress("writing the Y-90 PET")
    pet = pet_image(pet_grid, concentrations(volumes_ml, phantom.uptake, phantom), randoms[1], phantom)
    pet *= np.float32(Y90.decay_factor((PET_AT - INFUSION_AT).total_seconds()))
    given = Administration(Y90, phantom.administered_mbq, INFUSION_AT)
    write_pet(shared, pet, pet_grid, study.pet, at=PET_AT, frame_s=PET_FRAME_S, given=given)
    report_progress("writing the Tc-99m MAA SPECT")
    maa = concentrations(volumes_ml, phantom.predicted_uptake, phantom)
    counts = spect_counts(spect_grid, maa, randoms[2], phantom)
    write_spect(shared, counts, spect_grid, study.spect / "spect.dcm", SPECT_AT)


def _write_regions(subject: Subject, study: DemoStudy, grid: Grid) -> None:
    """Label maps of regions that do not overlap, and one SEG of all regions."""
    phantom, rois = subject.phantom, []
    for file, names in subject.label_files.items():
        labels = label_map(grid, phantom, names)
        write_labels(labels, grid, study.labels.parent / file)
        rois += [Roi(name, role, labels == n, grid) for name, (n, role) in phantom.regions.items() if name in names]
    write_seg(RoiSet(tuple(rois)), study.seg, reference=study.ct)
    stamp_seg(subject.study, study.seg, PET_AT)


def _case_file(subject: Subject, name: str, activity: str) -> str:
    files = []
    for file, names in subject.label_files.items():
        shown = {n: region for n, region in subject.phantom.regions.items() if n in names}
        labels = ", ".join(f'{n} = {{ name = "{roi}", role = "{role}" }}' for roi, (n, role) in shown.items())
        files.append(f'[[rois]]\npath = "{file}"\nlabels = {{ {labels} }}\n')
    rois = "\n".join(files)
    return f"""# {subject.study.words}: no real patient.
[case]
id = "{name}"

[activity]
path = "{activity}"

[ct]
path = "ct"

{rois}
[administration]
radionuclide = "Y-90"
device = "glass"
administered_mbq = {subject.phantom.administered_mbq}
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
