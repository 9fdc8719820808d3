"""What may be written where: a cohort's folder is its own, and one run's at a time."""

import pytest
from remarks import refusal

from voxeldose.errors import InputError
from voxeldose.jobs.cohort.store import Store


def test_a_folder_that_another_run_holds_is_refused(tmp_path):
    with Store(tmp_path / "out").locked():
        second = Store(tmp_path / "out").locked()
        with pytest.raises(InputError, match="wait for it", check=refusal("folder-locked")), second:
            pass
    with Store(tmp_path / "out").locked():
        pass


def test_a_folder_of_something_else_is_refused_also_on_resuming(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    for resume in (False, True):
        with pytest.raises(InputError, match="choose another --out", check=refusal("folder-not-cohort")):
            Store(tmp_path).check(resume=resume)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / "out").locked()
    with pytest.raises(InputError, match="cannot be written", check=refusal("file-not-written")), store:
        pass
