"""A small study of plain files with its case file, and the command line, for the tests of commands."""

from pathlib import Path

import numpy as np
from click.testing import CliRunner

from voxeldose.cli import main
from voxeldose.io.nifti import write_labels, write_nifti
from voxeldose.model.grid import Grid
from voxeldose.model.volume import Volume

GRID = Grid.from_axes((12, 14, 16), (4, 3.5, 3), (-20, -22, -25))
LIVER, LESION = np.s_[2:10, 2:12, 3:13], np.s_[5:8, 5:9, 6:10]

#: Ends in the table of the administration, so that keys of it and further tables can be added.
CASE = """
[case]
id = "case-001"
[activity]
path = "pet.nii.gz"
quantity = "bq_per_ml"
measured_at = 2024-05-03T06:15:00Z
[[rois]]
path = "labels.nii.gz"
labels = { 1 = { name = "liver", role = "liver" }, 2 = { name = "lesion", role = "tumor" } }
[administration]
device = "glass"
administered_mbq = 60.0
at = 2024-05-02T10:15:00Z
"""

#: What an assessment of plain files leaves, and what it adds for DICOM.
FILES = {
    "assessment.json",
    "columns.json",
    "rois.csv",
    "dvh.csv",
    "dose.nii.gz",
    "report.html",
    "report.pdf",
    "run.json",
}
DICOM_FILES = {"dose.dcm", "rois.dcm", "measurements.dcm"}


def run(*words: object):
    """The command line with these words."""
    return CliRunner().invoke(main, [str(w) for w in words])


def write_study(folder: Path, text: str = CASE, *, hot: float = 5.0) -> Path:
    """The case file in ``folder`` beside its image, with a lesion so many times as hot as the liver, and its labels."""
    labels = np.zeros(GRID.shape, np.uint8)
    labels[LIVER], labels[LESION] = 1, 2
    values = np.where(labels == 2, hot * 1e5, np.where(labels == 1, 1e5, 0)).astype(np.float32)
    folder.mkdir(exist_ok=True)
    write_nifti(Volume(values, GRID), folder / "pet.nii.gz")
    write_labels(labels, GRID, folder / "labels.nii.gz")
    (folder / "case.toml").write_text(text)
    return folder / "case.toml"
