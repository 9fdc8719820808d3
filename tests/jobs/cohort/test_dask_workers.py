import pytest
from remarks import refusal

from voxeldose.errors import InputError
from voxeldose.jobs.cohort import dask_workers
from voxeldose.jobs.cohort.workers import Share


@pytest.mark.parametrize(("address", "words"), [("nowhere://x", "nowhere"), ("scheduler.json", "no such file")])
def test_a_scheduler_that_is_not_there_is_refused(tmp_path, monkeypatch, address, words):
    pytest.importorskip("distributed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dask_workers, "CONNECT_S", 0.1)
    with pytest.raises(InputError, match=f"{words}.*Start one, or leave it out", check=refusal("scheduler-missing")):
        dask_workers.DaskWorkers(Share(1, 1, None), address)
