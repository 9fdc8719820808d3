"""Files that a command would write: an earlier one is kept, and a place that cannot be written is named."""

import numpy as np
import pytest
from click.testing import CliRunner
from remarks import refusal

from voxeldose.cli.inspect import inspect
from voxeldose.cli.kernel import kernel
from voxeldose.errors import InputError
from voxeldose.io.nifti import write_nifti
from voxeldose.model.grid import Grid
from voxeldose.model.volume import Volume


def call(command, *words):
    """The command with its refusal raised, which the whole command line turns into an exit code."""
    return CliRunner().invoke(command, [str(w) for w in words], catch_exceptions=False)


@pytest.fixture
def image(tmp_path):
    grid = Grid.from_axes((3, 4, 5), (3, 2, 2), (0, 0, 0))
    write_nifti(Volume(np.ones(grid.shape, np.float32), grid), tmp_path / "pet.nii.gz")
    return tmp_path / "pet.nii.gz"


def test_an_earlier_kernel_is_kept_without_overwrite(tmp_path):
    words = ("--spacing-mm", 5, 5, 5, "--out", tmp_path / "kernel.csv")
    (tmp_path / "kernel.csv").write_text("earlier")
    with pytest.raises(InputError, match="--overwrite", check=refusal("file-exists")):
        call(kernel, *words)
    assert (tmp_path / "kernel.csv").read_text() == "earlier"
    assert call(kernel, *words, "--overwrite").exit_code == 0
    assert (tmp_path / "kernel.csv").read_text() != "earlier"


def test_a_kernel_in_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"there is no folder .* make it first", check=refusal("folder-missing")):
        call(kernel, "--spacing-mm", 5, 5, 5, "--out", tmp_path / "none" / "kernel.csv")


def test_an_earlier_case_file_is_kept_without_overwrite(tmp_path, image):
    case = tmp_path / "case.toml"
    case.write_text("earlier")
    with pytest.raises(InputError, match="--overwrite", check=refusal("file-exists")):
        call(inspect, image, "--case-file", case)
    assert case.read_text() == "earlier"
    assert call(inspect, image, "--case-file", case, "--overwrite").exit_code == 0
    assert "[activity]" in case.read_text()


def test_a_case_file_that_cannot_be_written_is_refused(tmp_path, image):
    with pytest.raises(InputError, match="Choose another --case-file", check=refusal("file-unwritable")):
        call(inspect, image, "--case-file", tmp_path / "none" / "case.toml")
